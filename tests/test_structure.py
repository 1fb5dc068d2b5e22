"""The layers hold: who imports whom, what is public, how long a file may grow."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tolerance import tolerance

import convlite as cl
from convlite import _dispatch, _kernels
from convlite.geometry import OPERATIONS, Record, geometry_of
from convlite.pack import pack_panels
from convlite.plan import FORMS, Weights, plan_as

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "convlite"
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 600

# Module -> the modules of convlite that it may import. The compiled `_kernels` import none of them.
MAY_IMPORT: dict[str, set[str]] = {
    "_memory": {"_kernels"},
    "_locks": set(),
    "_hints": set(),
    "_inference": set(),
    "_types": set(),
    "arguments": {"_hints", "_memory"},
    "_definitions": {"_options", "arguments"},
    "_image_arguments": {"arguments"},
    "_reference_blocks": {"_definitions", "_options", "arguments"},
    "_reference_images": {"_image_arguments", "_options", "arguments"},
    "reference": {"_definitions", "_layouts", "_options", "arguments"}
    | {"_reference_blocks", "_reference_images"},
    "geometry": {"_layouts", "arguments"},
    "_reductions": {"_dispatch", "_threads", "_kernels"},
    "normalization": {"_options", "_reductions", "arguments", "_dispatch", "_threads", "_kernels"},
    "shuffles": {"_types", "_options", "arguments", "geometry"},
    "activations": {"_types", "_options", "_reductions", "arguments", "_dispatch", "_threads", "_kernels"},
    "_precision": {"_options", "arguments"},
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
        "_precision",
        "_kernels",
    },
    "ops": {"_types", "arguments", "geometry", "plan", "pack", "activations", "_dispatch", "_precision"}
    | {"_threads", "_kernels", "_calls", "_options", "_hints"},
    "_equivalents": {"arguments", "geometry"},
    "explain": {"_types", "_dispatch", "_equivalents", "geometry", "plan", "arguments", "_options"},
    "_calls": {"plan", "pack", "activations", "arguments", "_precision", "_threads", "_kernels"}
    | {"_memory"},
    "pooling": {"_types", "_options", "arguments", "geometry", "_dispatch", "_threads", "_kernels"},
    "resampling": {"_image_arguments", "_dispatch", "_threads", "_kernels", "arguments"},
    "images": {"_types", "_options", "_image_arguments", "arguments", "resampling"},
    "pointwise": {
        "_types",
        "_options",
        "_memory",
        "arguments",
        "activations",
        "_dispatch",
        "_threads",
        "_kernels",
    },
    "_progress": set(),
    "_weight_files": {"_options", "arguments"},
    "_libm": set(),
    "_philox": {"_kernels", "_libm", "_threads"},
    "initializers": {"_options", "_philox", "arguments"},
    "layers": {
        "_hints",
        "_inference",
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
        "geometry",
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
    "_parser": {"_hints"},
    "_layouts": {"_hints", "arguments"},
    "_weights": {"_hints", "_options", "arguments"},
    "_convolutionalize": {"_options", "layers", "activations", "_weights", "arguments"},
    "_flax": {"_options", "_weights", "arguments"},
    "_onnx": {"_options", "arguments", "geometry"},
    "convert": {"_weights", "_flax", "_convolutionalize", "_onnx"},
    "network": {"_locks", "_memory", "_kernels", "_precision", "_threads", "_dispatch"}
    | {"activations", "arguments", "geometry", "reference", "ops", "pack", "plan", "pooling", "images"}
    | {"pointwise", "_progress", "_weight_files", "_types", "_inference", "_options", "_hints", "_parser"}
    | {"_layouts"},
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


def test_nothing_is_left_of_a_merge() -> None:
    """No copies that patch, merges and editors leave, and no marks of conflicts."""
    for folder in ("src", "tests", "docs", "bench", "examples", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            assert path.suffix not in {".orig", ".rej", ".bak"}, path
            if path.suffix in {".py", ".pyi", ".pyx", ".pxi", ".h", ".md"}:
                marks = ("<" * 7 + " ", ">" * 7 + " ")
                assert not any(line.startswith(marks) for line in path.read_text("utf-8").splitlines()), path


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


def c_lines(path: Path, name: str) -> int:
    """Lines of a function of the vector code, from its first to its closing brace."""
    lines = path.read_text().splitlines()
    (start,) = [i for i, line in enumerate(lines) if re.match(rf"\w+ \w+ NAME\({name}\)\(.*{{$", line)]
    return lines.index("}", start) - start + 1


def walk() -> dict[str, tuple[list[str], int]]:
    """The table "A call, file by file" of docs/fast.md: file -> functions, and the lines that it says."""
    text = (ROOT / "docs" / "fast.md").read_text()
    rows = re.findall(
        r"(?m)^\| `(\S+)` \| (`.*`) \| (\d+) \|$", text[text.index("## A call, file by file") :]
    )
    return {file: (re.findall(r"`(\w+)`", named), int(lines)) for file, named, lines in rows}


def test_the_walk_in_the_docs_is_there() -> None:
    """Every function that it names is in its file; they have as many lines as it says, 900 in 10 files."""
    total = 0
    for file, (named, said) in walk().items():
        if file.endswith(".h"):
            found = sum(c_lines(SOURCE / file, name) for name in named)
        else:
            known: dict[str, int] = {}
            for name, length in functions(SOURCE / file, docstrings=False):
                known.setdefault(name, length)
            assert set(named) <= set(known), (file, set(named) - set(known))
            found = sum(known[name] for name in named)
        assert abs(found - said) <= 2, f"docs/fast.md says {said} lines for {file}; there are {found}"
        total += found
    assert len(walk()) <= 10
    assert total <= 900


TRACED = """
import sys
import numpy as np
import convlite as cl
cl.conv2d(np.ones((1, 5, 5, 3), np.float32), np.ones((3, 3, 3, 3), np.float32))
x, kernel, entered = np.ones((1, 56, 56, 16), np.float32), np.ones((3, 3, 16, 64), np.float32), set()
def note(frame, event, argument):
    code = frame.f_code
    if event == "call" and "convlite" in code.co_filename:
        entered.add((code.co_filename.replace("\\\\", "/").split("convlite/")[-1], code.co_qualname))
sys.setprofile(note)
cl.conv2d(x, kernel)
sys.setprofile(None)
for file, name in sorted(entered):
    print(file, name)
"""
BESIDE_THE_WAY = {"arguments.py", "_layouts.py", "_dispatch.py", "_precision.py", "_threads.py", "_memory.py"}
BESIDE_THE_WAY |= {
    "_calls.py",
    *(f"plan/{form}.py" for form in ("few_rows", "lanewise", "depthwise", "tall_skinny")),
}
CHECKS_AND_OTHER_FORMS = {"_kernel", "_check_kernel", "pixel_vectors_costs", "tall_skinny_costs", "_line"}
CHECKS_AND_OTHER_FORMS.add("pixels_together")


def test_the_walk_in_the_docs_is_the_way() -> None:
    """What a call really enters in Python is what the walk names, and what it says that it leaves out."""
    run = subprocess.run([sys.executable, "-c", TRACED], capture_output=True, text=True, check=True)
    entered = {tuple(line.split(" ", 1)) for line in run.stdout.splitlines()}
    top = {(file, name) for file, name in entered if "." not in name}  # not of records
    named = {(file, name) for file, (names, _) in walk().items() if file.endswith(".py") for name in names}
    assert named <= top, sorted(named - top)
    beside = {(file, name) for file, name in top - named if file not in BESIDE_THE_WAY}
    assert {name for _, name in beside} <= CHECKS_AND_OTHER_FORMS, sorted(beside)


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
        known = {"plan/choice.py", "pack.py", *own}
        assert literals[form] <= known, form
        assert len(literals[form]) <= 4, form


def test_an_operation_is_a_record() -> None:
    """Between the function that users call and the loops nobody asks which operation it is."""
    between = [SOURCE / "pack.py", SOURCE / "_calls.py", *(SOURCE / "plan").glob("*.py")]
    for path in between:
        tree = ast.parse(path.read_text())
        compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare | ast.Dict | ast.Match)]
        for node in (inside for outer in compared for inside in ast.walk(outer)):
            assert not (isinstance(node, ast.Constant) and node.value in OPERATIONS), (path, node.lineno)
    for path in (SOURCE / "kernels").glob("*.p*"):
        quoted = set(re.findall(r'"(\w+)"', path.read_text()))
        assert not quoted & set(OPERATIONS), path


@pytest.mark.parametrize(
    ("form", "groups"),
    [("strided", 1), ("strided", 2), ("gathered", 2), ("pixel_vectors", 1), ("winograd", 1)],
)
def test_a_new_operation_needs_a_record(form: str, groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of kernels (kh, kw, Cout, Cin//groups): from shapes to a result, by the layers as they are."""
    name, near = "conv2d_outputs_first", 30 if form == "winograd" else 1
    record = Record(("h", "w", "gl", "k"), "({window}, Cout, Cin//groups)", "OI{space}", grouped=True)
    monkeypatch.setitem(OPERATIONS, name, record)
    rng, isa = np.random.default_rng(5), _dispatch.active_isa()
    x = rng.standard_normal((2, 18, 20, 64)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 64 if form == "winograd" else 8, 64 // groups)).astype(np.float32)
    weights = Weights(name, kernel.shape, groups=groups)
    call: Any = (name, x.shape, kernel.shape, (1, 1), "same", (1, 1), groups, None, None)
    plan = plan_as(form, geometry_of(*call), weights, x.dtype, isa)
    assert plan is not None
    panels = pack_panels(kernel, weights, isa, plan.layout)
    y = np.empty(plan.geometry.out_shape, np.float32)
    plan.runner.run(x, panels.data, None, None, y, 0, 0.0, 0.0, True, 1)
    want = cl.reference.conv2d(x, kernel.swapaxes(2, 3), padding="same", groups=groups)
    np.testing.assert_allclose(y, want, **tolerance("f4", near * 9 * 64, np.abs(want).max()))
    with pytest.raises(ValueError, match=r"kernel is \(kh, kw, Cout, Cin//groups\), got"):
        geometry_of(*call[:2], (3, 3, 8, 5), *call[3:])


def test_imports_of_forms() -> None:
    """Above the plan's folder no module but one imports a form's own."""
    inside = {f"convlite.plan.{path.stem}" for path in (SOURCE / "plan").glob("*.py")}
    for path in MODULES:
        if path.parent != SOURCE / "plan":
            found = {name for name, _ in imported(path)} & inside
            assert not found or module_of(path) == "_calls", f"{path}: {found}"


def test_an_instruction_set_is_known_to_its_header_and_to_the_cpu() -> None:
    """setup.py has the list; no kernel, no loop nest and no module names one, or says an instruction."""
    headers = (SOURCE / "kernels" / "isa" / "simd").glob("*.h")
    names = "|".join({path.stem for path in headers} - {"base", "scalar"})  # which are words, too
    said = re.compile(rf"\b({names})\b|CPU_AVX|_mm\d*_[a-z]+_p[sd]|\bv\w+q_[fu]\d\d\b")
    found = {
        str(path.relative_to(SOURCE))
        for path in (
            *SOURCE.glob("*.[hp]*"),
            *(SOURCE / "plan").rglob("*.py"),
            *(SOURCE / "kernels").rglob("*.[hp]*"),
        )
        if said.search(path.read_text()) and path.parent.name != "simd"
    }
    assert found == {"_cpu.h"}


def test_no_word_of_an_instruction_set_may_be_missing() -> None:
    """simd.h looks for every word of its list, but for four that are optional and those it makes itself."""
    text = (SOURCE / "kernels" / "isa" / "simd.h").read_text()
    words = set(re.findall(r"(?m)^#undef (\w+)$", text)) - {"SIMD_HEADER"}
    checked = set(re.findall(r"defined\((\w+)\)", text.partition("what must be there")[2]))
    optional = {"VPERMUTE", "VPERMUTE_QUARTERS", "VSTREAM", "FMA_INSTRUCTION"}
    made = {"QUARTER", "HAS_HALF", "HAS_MASKS", "HAS_STREAM", "HALF"}
    assert words - checked == optional | made
    for path in (SOURCE / "kernels" / "isa" / "simd").glob("*.h"):
        assert set(re.findall(r"(?m)^#define (\w+)", path.read_text())) <= words, path.name


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


def test_no_condition_asks_for_a_macro_that_nobody_defines() -> None:
    """Such a condition is false for ever: a renamed macro would take its fast path with it, and no error."""
    folder = SOURCE / "kernels"
    texts = [path.read_text() for path in (*folder.glob("*.h"), *(folder / "isa").rglob("*.[hc]"))]
    made = {name for text in texts for name in re.findall(r"(?m)^\s*#\s*define (\w+)", text)}
    asked = {name for text in texts for name in re.findall(r"(?:defined\s*\(?|#\s*ifn?def )\s*(\w+)", text)}
    compilers = {name for name in asked if name.startswith("_")}
    outside = {
        "ISA",
        "CONVLITE_ISAS",
        "CONVLITE_KEEP_SUBNORMALS",
        "KMP_VERSION_MAJOR",
    }  # setup.py, who builds, LLVM
    assert asked - compilers - made == outside


def test_scripts_of_the_benchmarks_know_their_arguments() -> None:
    """An argument that a script does not know must not start it: `--help` measured for minutes, and rewrote
    the README."""
    scripts = [path for path in (ROOT / "bench").glob("*.py") if "__main__" in path.read_text()]
    assert len(scripts) > 10
    parsed = re.compile(r"ArgumentParser|= arguments\(")
    assert [path.name for path in scripts if not parsed.search(path.read_text())] == []
