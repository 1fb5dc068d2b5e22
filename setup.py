"""Build of the one compiled module: Cython loop nests, and the same C kernels compiled once per instruction
set with its own flags.

CONVLITE_OPENMP=0 builds without OpenMP, CONVLITE_DEBUG=1 with Cython's checks and C asserts. Metadata is in
pyproject.toml.
"""

import os
import platform
import sys
import sysconfig
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError, PlatformError

ISA = Path("src/convlite/kernels/isa")
DEBUG = os.environ.get("CONVLITE_DEBUG", "0") == "1"
OPENMP = os.environ.get("CONVLITE_OPENMP", "1") != "0"
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
LIMITED_API = not FREE_THREADED and platform.python_implementation() == "CPython"

# Each row: file in isa/, flags of GCC and Clang, flags of MSVC. base is what the platform guarantees.
ISA_FLAGS = {
    "x86-64": [
        ("base", [], []),
        ("avx2", ["-mavx2", "-mfma"], ["/arch:AVX2"]),
        ("avx512", ["-mavx512f", "-mavx2", "-mfma"], ["/arch:AVX512"]),
    ],
    "other": [("base", [], [])],
}
# -ffp-contract=off: fused multiply-adds are written where they are meant, so that all instruction sets give
# the same bits. Never -ffast-math: it would break NaN and Inf, and set flush-to-zero for the whole process.
FLAGS = {
    "unix": ["-O3", "-fno-math-errno", "-ffp-contract=off", "-fvisibility=hidden", "-std=gnu11"],
    "msvc": ["/O2", "/std:c11"],
}
OPENMP_FLAGS = {"unix": (["-fopenmp"], ["-fopenmp"]), "msvc": (["/openmp:llvm"], [])}
OPENMP_PROBE = """
#include <omp.h>
int main(void) {
    int n = 0;
#pragma omp parallel reduction(+:n)
    n += omp_get_num_threads();
    return n == 0;
}
"""


def machine() -> str:
    """The kind of CPU that is built for (which may not be the one that builds)."""
    name = (os.environ.get("_PYTHON_HOST_PLATFORM") or sysconfig.get_platform()).lower()
    return "x86-64" if name.endswith(("x86_64", "amd64")) and sys.maxsize > 2**32 else "other"


class BuildExt(build_ext):
    """Compiles the files of isa/ with their own flags and links the objects into the extension."""

    def build_extension(self, ext: Extension) -> None:
        kind = "msvc" if self.compiler.compiler_type == "msvc" else "unix"
        flags = list(FLAGS[kind])
        if kind == "unix" and not DEBUG:
            flags.append("-g0")  # debug symbols are ten times the size of the code
        if not DEBUG:
            ext.define_macros.append(("NDEBUG", "1"))
        for isa, unix, msvc in ISA_FLAGS[machine()]:
            out = Path(self.build_temp) / "isa" / isa
            own = unix if kind == "unix" else msvc
            ext.extra_objects += self.compiler.compile(
                [str(ISA / f"{isa}.c")],
                output_dir=str(out),
                include_dirs=[str(ISA)],
                extra_postargs=flags + own,
                depends=ext.depends,
            )
            ext.define_macros.append((f"CONVLITE_HAVE_{isa.upper()}", "1"))
        if OPENMP:
            compile_args, link_args = OPENMP_FLAGS[kind]
            self.probe_openmp(compile_args, link_args)
            flags += compile_args
            ext.extra_link_args += link_args
        ext.extra_compile_args += flags
        super().build_extension(ext)

    def probe_openmp(self, compile_args: list[str], link_args: list[str]) -> None:
        """Compile and link an OpenMP program (never run it: builds may be cross), or say how to go on."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text(OPENMP_PROBE)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=compile_args)
                self.compiler.link_executable(objects, str(Path(folder) / "probe"), extra_postargs=link_args)
            except (CompileError, LinkError) as error:
                raise PlatformError(
                    "the C compiler cannot build OpenMP programs. Install its OpenMP runtime (Debian: gcc "
                    "brings libgomp, clang needs libomp-dev; macOS: libomp), or set CONVLITE_OPENMP=0 "
                    "to build for one thread."
                ) from error


extension = Extension(
    "convlite._kernels",
    ["src/convlite/kernels/_kernels.pyx"],
    include_dirs=["src/convlite/kernels", "src/convlite/kernels/isa"],
    depends=[
        str(p)
        for p in sorted(
            [*ISA.iterdir(), *Path("src/convlite/kernels").glob("*.[ph]*"), Path("src/convlite/_cpu.h")]
        )
    ],
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if LIMITED_API else [],
    py_limited_api=LIMITED_API,
)

setup(
    ext_modules=cythonize(
        [extension],
        compiler_directives={"boundscheck": DEBUG, "initializedcheck": DEBUG, "cdivision": False},
    ),
    cmdclass={"build_ext": BuildExt},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {},
)
