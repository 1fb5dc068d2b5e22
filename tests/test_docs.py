"""The pages of docs/ say what convlite does: their examples run, the API pages name all that is public."""

import doctest
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

import convlite as cl

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if not {"_build", "_generated"} & {*page.parts}]
WITH_EXAMPLES = [page for page in PAGES if "```pycon" in page.read_text()]
DOCUMENTED = [
    "convlite",
    "convlite.layers",
    "convlite.activations",
    "convlite.initializers",
    "convlite.initializers.keras3",
    "convlite.convert",
    "convlite.reference",
]


def examples(page: Path) -> str:
    """The page with every line outside of its ```pycon blocks left empty, so that line numbers stay."""
    lines, inside = [], False
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            inside = line == "```pycon"
            lines.append("")
        else:
            lines.append(line if inside else "")
    return "\n".join(lines) + "\n"


@pytest.mark.thread_unsafe(reason="reads what is printed")
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(DOCS)))
def test_examples_print_what_the_page_says(page: Path) -> None:
    test = doctest.DocTestParser().get_doctest(examples(page), {}, page.name, str(page), 0)
    assert test.examples
    report: list[str] = []
    doctest.DocTestRunner().run(test, out=report.append)
    assert not report, "".join(report)


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
    assert sorted(set(found) - public) == []
    assert [name for name, count in found.items() if count > 1] == []


def test_the_list_of_public_modules_is_whole() -> None:
    modules = {f"convlite.{name}" for name in cl.__all__ if isinstance(getattr(cl, name), type(doctest))}
    assert modules <= set(DOCUMENTED)


def test_every_difference_that_the_readme_names_has_an_example() -> None:
    readme = (ROOT / "README.md").read_text().partition("\nDifferences:\n")[2].partition("\n## ")[0]
    named = re.findall(r"^(\d+)\. ", readme, re.MULTILINE)
    sections = re.split(
        r"^## (\d+)$", (DOCS / "coming-from" / "differences.md").read_text(), flags=re.MULTILINE
    )
    assert named
    assert sections[1::2] == named
    assert all(">>> " in section for section in sections[2::2])
