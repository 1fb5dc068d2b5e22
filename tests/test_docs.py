"""The pages of docs/ say what convlite does: their examples run, the API pages name all that is public."""

import contextlib
import doctest
import importlib
import json
import re
from collections import Counter
from collections.abc import Set
from pathlib import Path

import network_examples
import numpy as np
import pytest
import tile_networks

import convlite as cl

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if not {"_build", "_generated"} & {*page.parts}]
WITH_EXAMPLES = [page for page in PAGES if "```pycon" in page.read_text()]
NEEDS = re.compile(r"<!-- needs: (\w+(?:, \w+)*) -->")
DOCUMENTED = [
    "convlite",
    "convlite.layers",
    "convlite.activations",
    "convlite.initializers",
    "convlite.initializers.keras3",
    "convlite.convert",
    "convlite.reference",
]
# What public functions take and give back, of modules that are not public as a whole.
GIVEN_BACK = {
    "convlite.network.graph.Value",
    "convlite.network.profile.Profile",
    "convlite.network.profile.ProfileRow",
    "convlite.network.tiling.record.TiledArray",
    "convlite.network.tiling.record.Tiling",
}


def examples(page: Path, missing: Set[str] = frozenset()) -> str:
    """The page with every line outside of its ```pycon blocks left empty, so that line numbers stay.

    Blocks below a comment `<!-- needs: PACKAGE, ... -->` are left out where one of them is in `missing`.
    """
    lines, inside, needed = [], False, set[str]()
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            inside = line == "```pycon" and not needed & missing
            needed = set()
            lines.append("")
        else:
            needed = set(found[1].split(", ")) if (found := NEEDS.fullmatch(line)) else needed
            lines.append(line if inside else "")
    return "\n".join(lines) + "\n"


def not_there(page: Path) -> set[str]:
    """The packages that blocks of the page need, and that cannot be imported here."""
    missing = set()
    for name in {name for names in NEEDS.findall(page.read_text()) for name in names.split(", ")}:
        try:
            importlib.import_module(name)
        except ImportError:  # also Keras without its backend
            missing.add(name)
    return missing


def write_models() -> None:
    """The files that the pages load, into the current directory, as far as the packages are there."""
    cl.Network(network_examples.classifier()).save("tiny.npz")
    cl.Network(tile_networks.unet()).save("unet.npz")
    cl.Network(tile_networks.espcn()).save("espcn.npz")
    kernel, bias = np.ones((8, 3, 3, 3), np.float32), np.zeros(8, np.float32)
    with contextlib.suppress(ImportError):
        import onnx_models

        nodes = [
            onnx_models.node("Conv", ["image", "k", "b"], ["c"]),
            onnx_models.node("Relu", ["c"], ["r"]),
            onnx_models.node("GlobalAveragePool", ["r"], ["p"]),
            onnx_models.node("Flatten", ["p"], ["f"]),
            onnx_models.node("Gemm", ["f", "w"], ["scores"]),
        ]
        constants = {"k": kernel, "b": bias, "w": np.ones((8, 10), np.float32)}
        made = onnx_models.model(nodes, {"image": ("batch", 3, 32, 32)}, ["scores"], constants)
        Path("model.onnx").write_bytes(made.SerializeToString())
    with contextlib.suppress(ImportError):
        import tflite_models

        options = ("Conv2DOptions", {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1})
        made = tflite_models.model(
            [("CONV_2D", "x k b", "y", options)],
            {"x": (1, 16, 16, 3)}, {"y": (1, 16, 16, 8)}, {"k": kernel, "b": bias},
        )  # fmt: skip
        Path("model.tflite").write_bytes(made)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own variables
@pytest.mark.thread_unsafe(reason="reads what is printed")
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(DOCS)))
def test_examples_print_what_the_page_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_models()
    missing = not_there(page)
    test = doctest.DocTestParser().get_doctest(examples(page, missing), {}, page.name, str(page), 0)
    assert test.examples
    report: list[str] = []
    doctest.DocTestRunner().run(test, out=report.append)
    assert not report, "".join(report)
    if missing:
        pytest.skip(f"all blocks ran but those that need {', '.join(sorted(missing))}")


def test_blocks_that_need_a_missing_package_are_left_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- needs: one, two -->\n```pycon\n>>> 1\n```\n\n```pycon\n>>> 2\n```\n")
    assert examples(page).split() == [">>>", "1", ">>>", "2"]
    assert examples(page, {"two"}).split() == [">>>", "2"]


def test_no_example_stands_outside_of_a_block_that_runs() -> None:
    for page in PAGES:
        prompts = [line for line in page.read_text().splitlines() if line.lstrip().startswith(">>> ")]
        run = [line for line in examples(page).splitlines() if line.lstrip().startswith(">>> ")]
        assert prompts == run, page.name


def documented() -> Counter[str]:
    """How often each name has an entry on the API pages, by its full name."""
    found: Counter[str] = Counter()
    for page in sorted((DOCS / "api").glob("*.rst")):
        module = ""
        for kind, name in re.findall(r"^\.\. ((?:py:)?\w+):: (\S+)", page.read_text(), re.MULTILINE):
            if kind == "currentmodule":
                module = name
            elif kind == "automodule":
                found[name] += name in DOCUMENTED
            elif kind in {"autofunction", "autoclass", "autodata"}:
                found[f"{module}.{name}"] += 1
    return +found


def test_every_public_name_has_one_entry() -> None:
    public = {f"{module}.{name}" for module in DOCUMENTED for name in importlib.import_module(module).__all__}
    found = documented()
    assert sorted(public - set(found)) == []
    assert sorted(set(found) - public) == sorted(GIVEN_BACK)
    assert [name for name, count in found.items() if count > 1] == []


def test_the_list_of_public_modules_is_whole() -> None:
    modules = {f"convlite.{name}" for name in cl.__all__ if isinstance(getattr(cl, name), type(doctest))}
    assert modules <= set(DOCUMENTED)


def test_every_difference_that_is_named_has_an_example() -> None:
    told = (DOCS / "operations.md").read_text().partition("\nDifferences:\n")[2].partition("\n## ")[0]
    named = re.findall(r"^(\d+)\. ", told, re.MULTILINE)
    sections = re.split(
        r"^## (\d+)$", (DOCS / "coming-from" / "differences.md").read_text(), flags=re.MULTILINE
    )
    assert named
    assert sections[1::2] == named
    assert all(">>> " in section for section in sections[2::2])


@pytest.mark.parametrize("notebook", sorted((DOCS / "gallery").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs_and_named_in_the_gallery(notebook: Path) -> None:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    assert cells[0]["cell_type"] == "markdown"
    assert cells[0]["source"][0].startswith("# ")
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in cells}) == len(cells)
    index = (DOCS / "gallery" / "index.md").read_text("utf-8")
    assert index.count(f"<{notebook.name}>`") == 1
    assert f"\n{notebook.stem}\n" in index


def test_parts_of_other_files_begin_and_end_where_a_page_says() -> None:
    """The site's build would say so, too, but runs after the tests."""
    found = 0
    for page in PAGES:
        for file, options in re.findall(
            r"(?m)^```\{(?:literal)?include\} (\S+)\n((?::.*\n)*)", page.read_text("utf-8")
        ):
            anchors = re.findall(r"(?m)^:(?:start|end)-(?:after|at|before): (.*)$", options)
            if anchors:
                text = (page.parent / file).read_text("utf-8")
                for anchor in anchors:
                    found += 1
                    assert anchor.strip('"') in text, (page.name, file, anchor)
    assert found >= 10
