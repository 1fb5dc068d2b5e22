"""What can be said of the packaging without building: setup.py's flags and errors, lists, licences."""

import base64
import csv
import hashlib
import importlib.util
import os
import re
import sys
import tomllib
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IDENTIFIERS = (ROOT / ".ci" / "wheel_identifiers.txt").read_text().split()


class CompileError(Exception):
    """In place of setuptools's."""


class PlatformError(Exception):
    """In place of setuptools's."""


def load(path: Path) -> Any:
    """A script as a module, not entered in sys.modules."""
    spec = importlib.util.spec_from_file_location(path.stem + "_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Any:
    """setup.py with stand-ins for setuptools and Cython, which a test environment need not have."""

    def stand_in(name: str, **names: object) -> None:
        module = types.ModuleType(name)
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, name, module)

    for variable in ("CFLAGS", "ARCHFLAGS", "CONVLITE_DEBUG", "CONVLITE_OPENMP"):
        monkeypatch.delenv(variable, raising=False)
    stand_in("Cython")
    stand_in("Cython.Build", cythonize=None)
    stand_in("setuptools", Extension=lambda *args, **kwargs: None, setup=None)
    stand_in("setuptools.command")
    stand_in("setuptools.command.build_ext", build_ext=object)
    stand_in(
        "setuptools.errors", CompileError=CompileError, LinkError=CompileError, PlatformError=PlatformError
    )
    monkeypatch.chdir(ROOT)
    return load(ROOT / "setup.py")


def test_the_description_of_pypi_has_no_relative_link(build: Any) -> None:
    text = build.description()
    readme = (ROOT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert len(targets) == len(re.findall(r"\]\(([^)]+)\)", readme))
    assert all(target.startswith(("https://", "#")) for target in targets)
    version = (ROOT / "src" / "convlite" / "VERSION").read_text().strip()
    source = PYPROJECT["project"]["urls"]["Source"]
    assert f"]({source}/blob/v{version}/docs/index.md)" in text
    assert f"]({source}/raw/v{version}/docs/_static/demo.jpg)" in text
    assert not re.findall(r'(?:src|srcset)="(?!https://)', text)
    for target in targets:  # what the addresses name is there
        path = target.partition("#")[0].removeprefix(f"{source}/blob/v{version}/")
        assert target.startswith("#") or "://" in path or (ROOT / path).exists()


def test_the_version_is_said_everywhere_alike() -> None:
    version = (ROOT / "src" / "convlite" / "VERSION").read_text().strip()
    dated = re.findall(
        r"^## \[(\S+)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    citation = (ROOT / "CITATION.cff").read_text()
    assert dated[0][0] == version
    assert f"\nversion: {version}\ndate-released: {dated[0][1]}\n" in citation
    assert f"\nrepository-code: {PYPROJECT['project']['urls']['Source']}\n" in citation


# ---- setup.py ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plat", "archflags", "want"),
    [
        ("linux-x86_64", "", "x86-64"),
        ("win-amd64", "", "x86-64"),
        ("macosx-10.15-x86_64", "", "x86-64"),
        ("macosx-11.0-universal2", "", "other"),
        ("macosx-11.0-universal2", "-arch x86_64", "x86-64"),
        ("macosx-11.0-universal2", "-arch arm64", "other"),
        ("macosx-11.0-universal2", "-arch x86_64 -arch arm64", "other"),
        ("linux-aarch64", "", "other"),
        ("linux-aarch64", "-arch x86_64", "other"),
        ("linux-armv7l", "", "other"),
        ("win-arm64", "", "other"),
        ("win32", "", "other"),
        ("emscripten-4.0.9-wasm32", "", "other"),
    ],
)
@pytest.mark.skipif(sys.maxsize < 2**32, reason="a 32-bit Python builds for no x86-64")
def test_the_cpu_that_is_built_for(
    build: Any, monkeypatch: pytest.MonkeyPatch, plat: str, archflags: str, want: str
) -> None:
    monkeypatch.setenv("ARCHFLAGS", archflags)
    assert build.kind_of_cpu(plat) == want


@pytest.mark.parametrize("kind", ["unix", "clang-cl"])
def test_flags_that_the_bits_depend_on(build: Any, kind: str) -> None:
    flags = " ".join(build.own_flags(kind))
    assert "-ffp-contract=off" in flags
    assert "fast-math" not in flags


@pytest.mark.parametrize(
    ("cflags", "stripped"), [("", True), ("-O2 -fno-gnu-unique", True), ("-g", False), ("-O1 -ggdb3", False)]
)
def test_cflags_decide_about_debug_symbols(
    build: Any, monkeypatch: pytest.MonkeyPatch, cflags: str, stripped: bool
) -> None:
    monkeypatch.setenv("CFLAGS", cflags)
    assert ("-g0" in build.own_flags("unix")) == stripped


@pytest.mark.skipif("CONVLITE_SANITIZER" in os.environ, reason="sanitized builds have levels of their own")
@pytest.mark.parametrize(("cflags", "tables"), [("", False), ("-g1", True)])
def test_each_instruction_set_is_compiled_with_flags_of_its_own(
    build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cflags: str, tables: bool
) -> None:
    monkeypatch.setenv("CFLAGS", cflags)
    commands: dict[str, list[str]] = {}

    def compile_one(sources: list[str], output_dir: str, macros: Any, **rest: Any) -> list[str]:
        [(macro, isa)] = macros
        assert macro == "ISA"
        assert (build.ISA / "simd" / f"{isa}.h").exists()
        commands[isa] = rest["extra_postargs"]
        return [f"{Path(output_dir).name}/{Path(sources[0]).stem}.o"]

    made = build.BuildExt()
    made.plat_name, made.build_temp = "linux-x86_64", str(tmp_path)
    made.compiler = types.SimpleNamespace(compile=compile_one)
    extension = types.SimpleNamespace(depends=[], extra_objects=[], define_macros=[])
    made.compile_kernels(extension, "unix")
    assert extension.extra_objects == ["avx512/isa.o", "avx2/isa.o", "base/isa.o"]
    rows = "ISA_ROW(avx512,CPU_AVX512)ISA_ROW(avx2,CPU_AVX2)ISA_ROW(base,CPU_ANY)"  # best first
    assert ("CONVLITE_ISAS", rows) in extension.define_macros
    level = {isa: [flag for flag in flags if flag.startswith("-O")][-1] for isa, flags in commands.items()}
    assert level == {"base": "-Os", "avx2": "-O2", "avx512": "-O2"}
    for isa, flags in commands.items():
        assert ("-mavx512f" in flags) == (isa == "avx512")
        assert ("-mfma" in flags) == (isa != "base")
        assert ("-fno-asynchronous-unwind-tables" not in flags) == tables


class Compiler:
    """Compiles what has the wanted option, and has no way to run anything."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted

    def compile(self, sources: list[str], output_dir: str, extra_postargs: list[str]) -> list[str]:
        assert "omp parallel" in Path(sources[0]).read_text()
        if self.wanted not in extra_postargs:
            raise CompileError
        return ["probe.o"]

    def link_executable(self, objects: list[str], program: str, extra_postargs: list[str]) -> None:
        assert objects == ["probe.o"]


def builder(build: Any, plat: str, wanted: str) -> Any:
    made = build.BuildExt()
    made.plat_name, made.compiler = plat, Compiler(wanted)
    return made


@pytest.mark.parametrize(
    ("plat", "kind", "wanted", "link"),
    [
        ("linux-x86_64", "unix", "-fopenmp", ["-fopenmp"]),
        ("win-amd64", "msvc", "/openmp", []),
        ("macosx-11.0-arm64", "unix", "-Xpreprocessor", ["-lomp"]),
        (
            "macosx-11.0-arm64",
            "unix",
            "-I/opt/homebrew/opt/libomp/include",
            ["-L/opt/homebrew/opt/libomp/lib", "-lomp"],
        ),
    ],
)
def test_the_first_openmp_that_builds_is_taken(
    build: Any, plat: str, kind: str, wanted: str, link: list[str]
) -> None:
    compile_args, link_args = builder(build, plat, wanted).probe_openmp(build.openmp_pairs(plat, kind))
    assert wanted in compile_args
    assert link_args == link


@pytest.mark.parametrize(
    ("plat", "kind", "hint"),
    [
        ("linux-x86_64", "unix", "libomp-dev"),
        ("macosx-11.0-arm64", "unix", "brew install libomp"),
        ("win-amd64", "msvc", "Visual Studio"),
        ("freebsd-14-amd64", "unix", "OpenMP runtime,"),
    ],
)
def test_without_openmp_the_error_says_how_to_mend_it(build: Any, plat: str, kind: str, hint: str) -> None:
    with pytest.raises(PlatformError, match="CONVLITE_OPENMP=0") as caught:
        builder(build, plat, "no such option").probe_openmp(build.openmp_pairs(plat, kind))
    assert hint in str(caught.value)


# ---- lists -------------------------------------------------------------------------------------------------


def test_identifiers_are_well_formed_and_unique() -> None:
    form = re.compile(r"cp3\d\dt?-(manylinux|musllinux|macosx|win|pyodide)_(\w+)")
    assert [name for name in IDENTIFIERS if not form.fullmatch(name)] == []
    assert len(IDENTIFIERS) == len(set(IDENTIFIERS))


def test_every_platform_has_the_abi3_wheel() -> None:
    platforms = {name.partition("-")[2] for name in IDENTIFIERS if "pyodide" not in name}
    assert platforms == {name.partition("-")[2] for name in IDENTIFIERS if name.startswith("cp311-")}
    assert {"manylinux_x86_64", "musllinux_aarch64", "macosx_arm64", "win_amd64", "win_arm64"} <= platforms


def test_the_classifiers_name_the_versions_that_are_tested() -> None:
    named = {
        "cp3" + line.rpartition(".")[2]
        for line in PYPROJECT["project"]["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", line)
    }
    assert named == {name.partition("-")[0] for name in IDENTIFIERS if "t-" not in name}
    assert PYPROJECT["project"]["requires-python"] == ">=3.11"


@pytest.mark.skipif(not (ROOT / ".github").is_dir(), reason="the sdist has no workflows")
def test_actions_are_pinned_by_hash() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses:(.*)", path.read_text())
        assert used, f"{path.name} uses no action"
        for line in used:
            assert re.fullmatch(r" [\w.-]+/[\w.-]+@[0-9a-f]{40} # v[\d.]+", line), f"{path.name}: {line}"


# ---- licences of what a wheel bundles ----------------------------------------------------------------------

INFO = "convlite-1.0.dist-info"
METADATA = """Metadata-Version: 2.4
Name: convlite
License-Expression: MIT
License-File: LICENSE
Dynamic: license-file

License-File: of the text below
"""


def wheel(folder: Path, *libraries: str) -> Path:
    """A wheel with the given libraries."""
    path = folder / "convlite-1.0-cp311-abi3-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in libraries:
            archive.writestr(name, b"code of " + name.encode())
        archive.writestr("convlite/_kernels.abi3.so", b"code")
        archive.writestr(f"{INFO}/METADATA", METADATA)
        archive.writestr(f"{INFO}/licenses/LICENSE", "MIT")
        archive.writestr(f"{INFO}/RECORD", "")
    return path


@pytest.mark.parametrize(
    ("library", "expression", "text"),
    [
        (
            "convlite.libs/libgomp-24e2.so.1.0.0",
            "GPL-3.0-or-later WITH GCC-exception-3.1",
            "GCC-exception-3.1.txt",
        ),
        (
            "convlite/.dylibs/libomp.dylib",
            "Apache-2.0 WITH LLVM-exception",
            "Apache-2.0-with-LLVM-exception.txt",
        ),
        ("convlite.libs/vcomp140-99.dll", "LicenseRef-Microsoft-Redistributable", "vcomp140.txt"),
    ],
)
def test_a_bundled_runtime_brings_its_licence(
    tmp_path: Path, library: str, expression: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = wheel(tmp_path, library)
    bundled = load(ROOT / ".ci" / "bundled.py")
    bundled.rewrite(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    head, _, body = files[f"{INFO}/METADATA"].decode().partition("\n\n")
    assert f"License-Expression: MIT AND {expression}\n" in head
    assert f"License-File: {text}\n" in head
    assert body == METADATA.partition("\n\n")[2]
    assert len(files[f"{INFO}/licenses/{text}"]) > 200
    assert library.rpartition("/")[2].encode() in files[f"{INFO}/sboms/bundled.cdx.json"]
    rows = list(csv.reader(files[f"{INFO}/RECORD"].decode().splitlines()))
    assert {row[0] for row in rows} == set(files)
    for name, digest, _size in rows:
        if name != f"{INFO}/RECORD":
            own = hashlib.sha256(files[name]).digest()
            assert digest == "sha256=" + base64.urlsafe_b64encode(own).decode().rstrip("=")
    before = path.read_bytes()
    bundled.rewrite(path)  # once is enough
    assert path.read_bytes() == before
    assert capsys.readouterr().out.endswith("nothing to add\n")


def test_a_wheel_without_a_runtime_stays_as_it_is(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    before = path.read_bytes()
    load(ROOT / ".ci" / "bundled.py").rewrite(path)
    assert path.read_bytes() == before


def test_a_library_without_a_known_licence_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path, "convlite.libs/libatomic-1.so.1")
    before = path.read_bytes()
    with pytest.raises(SystemExit, match=r"libatomic.*no licence"):
        load(ROOT / ".ci" / "bundled.py").rewrite(path)
    assert path.read_bytes() == before
