"""The layers hold: who imports whom, what is public, how long a file may grow."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import convlite as cl
from convlite import _kernels
from convlite.plan import FORMS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "convlite"
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 600

# Module -> the modules of convlite that it may import. The compiled `_kernels` import none of them.
MAY_IMPORT: dict[str, set[str]] = {
    "_memory": {"_kernels"},
    "_locks": set(),
    "_hints": set(),
    "_types": set(),
    "arguments": {"_hints", "_memory"},
    "_definitions": {"_options", "arguments"},
    "_image_arguments": {"arguments"},
    "_reference_blocks": {"_definitions", "_options", "arguments"},
    "_reference_images": {"_image_arguments", "_options", "arguments"},
    "reference": {"_definitions", "_layouts", "_options", "arguments"}
    | {"_reference_blocks", "_reference_images"},
    "geometry": {"arguments"},
    "_reductions": {"_dispatch", "_threads", "_kernels"},
    "normalization": {"_options", "_reductions", "arguments", "_dispatch", "_threads", "_kernels"},
    "shuffles": {"_types", "_options", "arguments", "geometry"},
    "activations": {"_types", "_options", "_reductions", "arguments", "_dispatch", "_threads", "_kernels"},
    "_precision": {"arguments"},
    "sums": set(),
    "plan": {"arguments", "geometry", "sums", "_kernels"},
    "_waiting": {"_kernels"},
    "_threads": {"_kernels", "arguments"},
    "_dispatch": {"_kernels", "_threads"},
    "pack": {
        "_types",
        "_locks",
        "_options",
        "_memory",
        "arguments",
        "geometry",
        "plan",
        "_dispatch",
        "_kernels",
    },
    "_plans": {"_dispatch", "_kernels", "_layouts", "_precision", "arguments", "geometry", "pack", "plan"},
    "ops": {"_types", "_plans", "arguments", "geometry", "pack", "activations", "_dispatch", "_precision"}
    | {"_threads", "_kernels", "_calls", "_options", "_hints"},
    "_equivalents": {"arguments", "geometry"},
    "explain": {"_types", "_dispatch", "_equivalents", "_plans", "geometry", "plan", "arguments", "_options"},
    "_calls": {"plan", "pack", "activations", "arguments", "_precision", "_threads", "_kernels"}
    | {"_memory"},
    "pooling": {"_types", "_options", "arguments", "geometry", "_dispatch", "_threads", "_kernels"},
    "resampling": {"_image_arguments", "_dispatch", "_threads", "_kernels", "arguments"},
    "images": {"_types", "_options", "_image_arguments", "arguments", "resampling"},
    "pointwise": {"_options", "arguments", "activations", "_dispatch", "_threads", "_kernels"},
    "_progress": set(),
    "_weight_files": {"arguments"},
    "_libm": set(),
    "_philox": {"_kernels", "_libm", "_threads"},
    "initializers": {"_options", "_philox", "arguments"},
    "layers": {
        "_hints",
        "_options",
        "_types",
        "network",
        "_progress",
        "_weight_files",
        "_locks",
        "_image_arguments",
        "_calls",
        "_layouts",
        "_memory",
        "ops",
        "pooling",
        "images",
        "pointwise",
        "normalization",
        "shuffles",
        "initializers",
        "pack",
        "activations",
        "arguments",
    },
    "_options": {"_hints"},
    "_layouts": {"_hints", "arguments"},
    "_weights": {"_options", "arguments"},
    "_convolutionalize": {"layers", "activations", "_weights", "arguments"},
    "_flax": {"_weights", "arguments"},
    "_onnx": {"_options", "arguments", "geometry"},
    "convert": {"_weights", "_flax", "_convolutionalize", "_onnx"},
    "network": {"_locks", "_memory", "_kernels", "_plans", "_precision", "_threads", "_dispatch"}
    | {"activations", "arguments", "geometry", "reference", "ops", "pack", "plan", "pooling", "images"}
    | {"pointwise", "_progress", "_weight_files", "_types"},
}
TOP = {"__init__", "__main__", "cli", "demo", "bench"}  # the face of the package: these may import everything


def module_of(path: Path) -> str:
    """The first component below convlite: layers/conv.py belongs to layers."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[str, bool]]:
    """The absolute dotted names that a file imports, each with whether this happens at import time."""
    package = ["convlite", *path.relative_to(SOURCE).parts[:-1]]
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, at_import: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            if prefix == "convlite":  # from . import geometry, pack
                found.extend((f"convlite.{alias.name}", at_import) for alias in node.names)
            else:
                found.append((prefix, at_import))
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        )
        for child in ast.iter_child_nodes(node):
            visit(child, at_import and not lazy)

    visit(ast.parse(path.read_text()), True)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    module = module_of(path)
    if module in TOP:
        return
    assert module in MAY_IMPORT, f"{module} has no row in MAY_IMPORT: say which layers it stands on"
    below = set()
    for name, _ in imported(path):
        top, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if top != "convlite" or target in {module, "__version__"}:
            continue
        below.add(target)
    assert below <= MAY_IMPORT[module], f"{module} must not import {sorted(below - MAY_IMPORT[module])}"


def test_the_table_of_imports_has_no_cycle_and_no_ghost() -> None:
    present = {module_of(path) for path in MODULES}
    assert set(MAY_IMPORT) <= present, f"no such module: {sorted(set(MAY_IMPORT) - present)}"
    settled = {"_kernels"}
    while ready := {name for name, below in MAY_IMPORT.items() if below <= settled} - settled:
        settled |= ready
    assert settled >= set(MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_numpy_is_the_only_third_party_import(path: Path) -> None:
    # Optional packages (safetensors, and the demo's) are imported inside the functions that need them.
    allowed = {"convlite", "numpy", *sys.stdlib_module_names}
    at_import = {name.split(".")[0] for name, now in imported(path) if now}
    assert at_import <= allowed, f"imports {sorted(at_import - allowed)} when it is loaded"


def test_importing_convlite_loads_numpy_and_nothing_else() -> None:
    script = """
import sys, numpy
before = set(sys.modules)
import convlite
names = {name.split(".")[0] for name in set(sys.modules) - before if "cython" not in name}
print(*sorted(names - sys.stdlib_module_names - {"numpy"}))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["convlite"]
    assert run.stderr == ""


def test_public_names_exist_and_are_unique() -> None:
    assert len(cl.__all__) == len(set(cl.__all__))
    assert [name for name in cl.__all__ if not hasattr(cl, name)] == []


@pytest.mark.parametrize("name", cl.__all__)
def test_public_names_are_documented(name: str) -> None:
    value = getattr(cl, name)
    if not (inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value)):
        return
    assert value.__doc__, f"convlite.{name} has no docstring"
    if inspect.isroutine(value):
        assert "Examples" in value.__doc__, f"convlite.{name} has no Examples section"
        assert ">>> " in value.__doc__, f"convlite.{name} has no example that runs"


@pytest.mark.parametrize("name", [name for name in cl.__all__ if inspect.ismodule(getattr(cl, name))])
def test_public_modules_document_their_functions(name: str) -> None:
    module = getattr(cl, name)
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        if inspect.isroutine(value) or inspect.isclass(value):
            assert value.__doc__, f"convlite.{name}.{public} has no docstring"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.pyi")), ids=lambda path: path.name)
def test_stubs_agree_with_what_is_there(path: Path) -> None:
    dotted = "convlite." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    module = importlib.import_module(dotted.removesuffix(".__init__"))
    declared = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            declared.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            declared.add(node.target.id)
    declared = {name for name in declared if not name.startswith("_")}
    present = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
    modules = {name for name in present if inspect.ismodule(getattr(module, name))}
    assert declared == set(present) - modules


@pytest.mark.parametrize("folder", ["src", "tests", "examples", "bench", ".ci"])
def test_no_file_outgrows_one_sitting(folder: str) -> None:
    generated = SOURCE / "kernels" / "_kernels.c"
    kinds = {".py", ".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ""}
    for path in (ROOT / folder).rglob("*"):
        if path.is_file() and path.suffix in kinds and path != generated:
            lines = len(path.read_text().splitlines())
            assert lines <= MAX_LINES, f"{path.relative_to(ROOT)} has {lines} lines"


MAX_FUNCTION = 80


def functions(path: Path, docstrings: bool = True) -> Iterator[tuple[str, int]]:
    """Name and lines of each function, in Python or Cython, with their docstrings or without; Cython's by
    their indentation."""
    text = path.read_text()
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                words = None if docstrings else ast.get_docstring(node, clean=False)
                told = 0 if words is None else len(words.split("\n"))
                yield node.name, node.end_lineno - node.lineno + 1 - told
        return
    lines = [line.split("#")[0].rstrip() for line in text.splitlines()]
    for i, line in enumerate(lines):
        start = re.match(r"( *)(?:cdef|def) (?!class )[^=]*?(\w+)\(", line)
        if not start:
            continue
        header, still_open = i, line.count("(") - line.count(")")
        while still_open > 0:
            header += 1
            still_open += lines[header].count("(") - lines[header].count(")")
        if not lines[header].endswith(":"):
            continue  # a declaration
        end = header + 1
        while end < len(lines) and (not lines[end] or lines[end].startswith(start[1] + " ")):
            end += 1
        while not lines[end - 1]:
            end -= 1
        told = 0
        if not docstrings and lines[header + 1].lstrip().startswith('"""'):
            opened = lines[header + 1].count('"""')
            told = 1
            while opened < 2:
                told += 1
                opened += lines[header + told].count('"""')
        yield start[2], end - i - told


def test_no_function_outgrows_a_screen() -> None:
    found: dict[str, int] = {}
    for path in SOURCE.rglob("*"):
        if path.suffix in {".py", ".pxi", ".pyx"}:
            for name, lines in functions(path):
                found[name] = max(found.get(name, 0), lines)
    assert {"plan_for", "direct_task", "run_strided", "execute", "pack_words"} <= set(found)
    long = {name: lines for name, lines in found.items() if lines > MAX_FUNCTION}
    assert not long


def test_the_walk_in_the_docs_is_there() -> None:
    """docs/fast.md: every function that it names, and as many lines as it says, a tenth more or less."""
    text = (ROOT / "docs" / "fast.md").read_text()
    rows = re.findall(r"(?m)^\| `(\S+)` \| (.*) \| (\d+) \|$", text)
    assert 8 < len(rows) <= 12
    assert sum(int(lines) for *_, lines in rows) <= 900
    for file, named, lines in rows:
        if file.endswith(".h"):
            continue
        known: dict[str, int] = {}
        for name, length in functions(SOURCE / file, docstrings=False):
            known.setdefault(name, length)
        found = sum(known[name] for name in re.findall(r"`(\w+)`", named))
        assert abs(found - int(lines)) <= 2 + int(lines) // 10, (file, found)


# ---- how many places a new thing touches: CONTRIBUTING.md --------------------------------------------------


def test_a_form_is_named_in_few_modules() -> None:
    """Its own, the choice, its cost, and where its weights are packed: nothing else asks which form it is."""
    literals: dict[str, set[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())) if module_of(path) != "bench" else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in FORMS:
                literals.setdefault(node.value, set()).add(str(path.relative_to(SOURCE)))
    for form in FORMS:
        own = {f"plan/{form}.py", "plan/depthwise.py", "plan/direct.py"}
        known = {"plan/form.py", "plan/costs.py", "pack.py", *own}
        assert literals[form] <= known, form
        assert len(literals[form]) <= 4, form


def test_imports_of_forms() -> None:
    """Above the plan's folder no module but one imports a form's own."""
    inside = {f"convlite.plan.{path.stem}" for path in (SOURCE / "plan").glob("*.py")}
    for path in MODULES:
        if path.parent != SOURCE / "plan":
            found = {name for name, _ in imported(path)} & inside
            assert not found or module_of(path) == "_calls", f"{path}: {found}"


def test_an_activation_is_known_to_two_headers() -> None:
    """The kernels' list, and its case. No loop nest and no kernel names one, but those that are cheap enough
    for registers or that recurrent layers have.
    """
    kernels = SOURCE / "kernels"
    files = [path for path in kernels.rglob("*") if path.suffix in (".h", ".pxi", ".pyx", ".pxd")]
    known = {"none", "clip", "elu", "sigmoid", "tanh"}  # elu: where the dear ones begin
    for name in set(_kernels.activation_codes()) - known:
        code = re.compile(rf"\b(ACT_{name.upper()}|X\({name.upper()}, {name}\))")
        found = {path.name for path in files if code.search(path.read_text())}
        assert found == {"table.h", "epilogue.h"}, name
