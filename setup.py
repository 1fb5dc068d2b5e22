"""Build of the one compiled module: Cython loop nests, and the same C kernels compiled once per instruction
set with its own flags.

CONVLITE_OPENMP=0 builds without OpenMP, CONVLITE_DEBUG=1 with Cython's checks and C asserts. CC, CFLAGS,
CPPFLAGS, LDFLAGS and ARCHFLAGS are used as always; the flags below come after CFLAGS. Nothing that was built
is ever run, so cross builds work. Metadata is in pyproject.toml.
"""

import os
import platform
import re
import shutil
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError, PlatformError

ISA = Path("src/convlite/kernels/isa")
DEBUG = os.environ.get("CONVLITE_DEBUG", "0") == "1"
OPENMP = os.environ.get("CONVLITE_OPENMP", "1") != "0"
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # 3.13t and 3.14t have no Limited API
LIMITED_API = not FREE_THREADED and platform.python_implementation() == "CPython"

# The instruction sets, best first: the one list of them. Each row: its header in isa/simd/, what of _cpu.h it
# needs, and its flags, the same for GCC, Clang and clang-cl. base is what the platform guarantees; on x86-64
# that is for processors older than 2013, and -Os makes it 250 KB instead of 570.
# -fpeel-loops is what gathered tiles need of -O3: 197 instructions for four channels, 279 without it.
ISAS = {
    "x86-64": [
        ("avx512", "CPU_AVX512", ["-fpeel-loops", "-mavx512f", "-mavx512vl", "-mavx2", "-mfma"]),
        ("avx2", "CPU_AVX2", ["-fpeel-loops", "-mavx2", "-mfma"]),
        ("base", "CPU_ANY", ["-Os"]),
    ],
    "other": [("base", "CPU_ANY", ["-fpeel-loops"])],
}
# -ffp-contract=off: fused multiply-adds are written where they are meant, so that all instruction sets give
# the same bits. Never -ffast-math: it would break NaN and Inf, and set flush-to-zero for the whole process.
# GCC's -O3 made 300 KB more than -O2, in code around the inner loops.
KERNEL_FLAGS = ["-O2", "-fno-math-errno", "-ffp-contract=off"]
# No methods for pickling, which would say that it cannot be done, as Python says without them: 26 KB.
DIRECTIVES = {"boundscheck": DEBUG, "initializedcheck": DEBUG, "cdivision": False, "auto_pickle": False}
# Nothing throws through the kernels: 40 KB. Debuggers want the tables, so that CFLAGS with -g keep them.
NO_UNWIND_TABLES = "-fno-asynchronous-unwind-tables"
# Functions, targets of jumps and loops begin anywhere: 28 KB, no slower (14 networks 0.99 to 1.01; Zen 4).
NO_ALIGNMENT = ["-fno-align-functions", "-fno-align-jumps", "-fno-align-loops"]
# The loop nests call their own functions, but small ones and those that say `inline`: 13 KB, no slower (16
# calls of 0.5 to 2000 us 0.99 to 1.05). Small ones too: 3 KB, but short calls take 4 to 7% more; -Os: 100 KB,
# and 10 to 17%. -fno-tree-ch for the kernels: 50 KB, but passes and lines take up to 6% more (all Zen 4).
LOOP_NEST_FLAGS = {"unix": ["-fno-inline-functions"], "msvc": []}
FLAGS = {
    "unix": [*KERNEL_FLAGS, *NO_ALIGNMENT, "-fvisibility=hidden", "-std=gnu11"],
    "msvc": ["/O2", "/std:c11", "/fp:precise"],
    "clang-cl": ["/std:c11", *(f"/clang:{flag}" for flag in KERNEL_FLAGS)],
}
CLANG_CL_TARGET = {"win-amd64": "x86_64", "win-arm64": "aarch64", "win32": "i686"}

# What compiles, and what links, OpenMP programs; the first pair that works is taken.
OPENMP_GNU = [(["-fopenmp"], ["-fopenmp"])]
# Apple's Clang has the pragmas, but neither the option nor the runtime. Homebrew's is on no default path.
OPENMP_APPLE = [
    (
        ["-Xpreprocessor", "-fopenmp", *(f"-I{p}/include" for p in prefix)],
        [*(f"-L{p}/lib" for p in prefix), "-lomp"],
    )
    for prefix in ([], ["/opt/homebrew/opt/libomp"], ["/usr/local/opt/libomp"])
]
# Not /openmp:llvm: vcomp140.dll may be passed on in a wheel, libomp140.*.dll may not (Microsoft's terms).
OPENMP_MICROSOFT = [(["/openmp"], [])]
OPENMP_PROBE = """
#include <omp.h>
int main(void) {
    int n = 0;
#pragma omp parallel reduction(+:n)
    n += omp_get_num_threads();
    return n == 0;
}
"""
OPENMP_HINT = {
    "linux": "gcc brings it; clang needs Debian's and Ubuntu's libomp-dev, Fedora's libomp-devel",
    "macosx": "`brew install libomp`; one that lies elsewhere: CPPFLAGS=-I..., LDFLAGS=-L...; a universal2 "
    "Python also needs ARCHFLAGS='-arch arm64' or '-arch x86_64'",
    "win": 'Visual Studio\'s component "Desktop development with C++"',
}
CLANG_CL_HINT = (
    "convlite: clang-cl was not found; the kernels need it beside cl.exe. Install LLVM "
    '(`winget install LLVM.LLVM`) or Visual Studio\'s component "C++ Clang Compiler for Windows", and put '
    "its folder on PATH."
)


def kind_of_cpu(plat: str) -> str:
    """The rows of ISAS for a platform such as "linux-x86_64", which may not be the one that builds."""
    name = plat.lower()
    archs = set(re.findall(r"-arch\s+(\S+)", os.environ.get("ARCHFLAGS", "")))
    if name.startswith("macosx") and len(archs) == 1:
        name = archs.pop()  # of a universal2 Python
    return "x86-64" if name.endswith(("x86_64", "amd64")) and sys.maxsize > 2**32 else "other"


def own_flags(kind: str) -> list[str]:
    """Our flags; no debug symbols, ten times the size of the code, unless CFLAGS ask for them."""
    symbols = DEBUG or re.search(r"(^|\s)-g", os.environ.get("CFLAGS", ""))
    return FLAGS[kind] if symbols or kind != "unix" else [*FLAGS[kind], "-g0"]


def openmp_pairs(plat: str, kind: str) -> list[tuple[list[str], list[str]]]:
    """The pairs of compile and link arguments to try."""
    if kind == "msvc":
        return OPENMP_MICROSOFT
    return OPENMP_GNU + OPENMP_APPLE if plat.startswith("macosx") else OPENMP_GNU


def openmp_error(plat: str) -> str:
    """What to do when no pair works."""
    hint = next((f" ({hint})" for system, hint in OPENMP_HINT.items() if plat.startswith(system)), "")
    return (
        "convlite: the C compiler cannot build OpenMP programs; its own message is above. Install the OpenMP "
        f"runtime{hint}, or another compiler (CC=gcc), or set CONVLITE_OPENMP=0 to build for one thread."
    )


class BuildExt(build_ext):
    """Compiles isa/isa.c once for each instruction set and links the objects into the extension."""

    def build_extension(self, ext: Extension) -> None:
        kind = "msvc" if self.compiler.compiler_type == "msvc" else "unix"
        if not DEBUG:
            ext.define_macros.append(("NDEBUG", "1"))
        ext.extra_compile_args += own_flags(kind)
        if OPENMP:
            compile_args, link_args = self.probe_openmp(openmp_pairs(self.plat_name, kind))
            ext.extra_compile_args += compile_args
            ext.extra_link_args += link_args
        if self.plat_name.startswith("linux"):
            ext.extra_link_args.append("-Wl,-z,noseparate-code")  # no padding around the code: 4 KB
        self.compile_kernels(ext, kind)
        ext.extra_compile_args += LOOP_NEST_FLAGS[kind]
        super().build_extension(ext)

    def compile_kernels(self, ext: Extension, kind: str) -> None:
        """Compile isa/isa.c for each instruction set, and tell the extension which there are."""
        rows = ISAS[kind_of_cpu(self.plat_name)]
        with self.clang_cl() if kind == "msvc" else nullcontext(own_flags(kind)) as flags:

            def compiled(row: tuple[str, str, list[str]]) -> list[str]:
                isa, _, own = row
                folder = Path(self.build_temp) / "isa" / isa
                folder.mkdir(parents=True, exist_ok=True)
                return self.compiler.compile(
                    [str(ISA / "isa.c")],
                    output_dir=str(folder),
                    macros=[("ISA", isa)],
                    include_dirs=[str(ISA)],
                    extra_postargs=flags + own + ([NO_UNWIND_TABLES] if "-g0" in flags else []),
                    depends=ext.depends,
                )

            # Side by side: each is a process of its own, and the largest takes as long as the others do.
            with ThreadPoolExecutor() as pool:
                ext.extra_objects += [name for names in pool.map(compiled, rows) for name in names]
        # isa/isas.h: no spaces, which shells and response files would split
        table = "".join([f"ISA_ROW({isa},{cpu})" for isa, cpu, _ in rows])
        ext.define_macros.append(("CONVLITE_ISAS", table))

    @contextmanager
    def clang_cl(self) -> Iterator[list[str]]:
        """Let Clang compile in place of cl.exe for a while, and give its flags.

        A micro-kernel keeps its sums in registers only if its loops over them are unrolled, and cl.exe has
        no pragma for that. The objects fit together; the loop nests, which use OpenMP, stay with cl.exe.
        """
        llvm = os.path.expandvars(r"%ProgramFiles%\LLVM\bin")
        found = shutil.which("clang-cl") or shutil.which("clang-cl", path=llvm)
        if found is None:
            raise PlatformError(CLANG_CL_HINT)
        if not self.compiler.initialized:
            self.compiler.initialize(self.plat_name)
        before = self.compiler.cc
        self.compiler.cc = found
        try:
            yield [*FLAGS["clang-cl"], f"--target={CLANG_CL_TARGET[self.plat_name]}-pc-windows-msvc"]
        finally:
            self.compiler.cc = before

    def probe_openmp(self, pairs: list[tuple[list[str], list[str]]]) -> tuple[list[str], list[str]]:
        """The first pair that compiles and links an OpenMP program."""
        for compile_args, link_args in pairs:
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder) / "probe.c"
                source.write_text(OPENMP_PROBE)
                program = str(Path(folder) / "probe")
                try:
                    objects = self.compiler.compile(
                        [str(source)], output_dir=folder, extra_postargs=compile_args
                    )
                    self.compiler.link_executable(objects, program, extra_postargs=link_args)
                except (CompileError, LinkError):
                    continue
                return compile_args, link_args
        raise PlatformError(openmp_error(self.plat_name))


extension = Extension(
    "convlite._kernels",
    ["src/convlite/kernels/_kernels.pyx"],
    include_dirs=["src/convlite/kernels", "src/convlite/kernels/isa"],
    depends=[
        str(p)
        for p in sorted(
            [*ISA.rglob("*.[ch]"), *Path("src/convlite/kernels").glob("*.[ph]*"), Path("src/convlite/_cpu.h")]
        )
    ],
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if LIMITED_API else [],
    py_limited_api=LIMITED_API,
)


def description() -> str:
    """README.md for PyPI: links and pictures of its own tree become addresses of this version."""
    source = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]
    tag = "v" + Path("src/convlite/VERSION").read_text(encoding="utf-8").strip()

    def address(match: re.Match[str]) -> str:
        kind = "raw" if match[1].startswith("!") else "blob"
        return f"{match[1]}({source}/{kind}/{tag}/{match[2]})"

    text = Path("README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!?\[[^\]]*\])\((?!https?:|#)([^)]+)\)", address, text)
    return re.sub(r'(src|srcset)="(?!https?:)([^"]+)"', rf'\1="{source}/raw/{tag}/\2"', text)


if __name__ == "__main__":  # the tests import what is above
    setup(
        long_description=description(),
        long_description_content_type="text/markdown",
        ext_modules=cythonize(
            [extension],
            compiler_directives=DIRECTIVES,
        ),
        cmdclass={"build_ext": BuildExt},
        options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {},
    )
