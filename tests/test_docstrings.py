"""Every public function, class and method describes its parameters, results and errors, with an example.

The checks of this file need nothing; numpydoc's own, listed in NUMPYDOC, run where it is installed
(.ci/lint.txt names it).
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

MODULES = (
    "convlite",
    "convlite.layers",
    "convlite.activations",
    "convlite.initializers",
    "convlite.initializers.keras3",
    "convlite.convert",
    "convlite.reference",
)
SECTIONS = ("Parameters", "Returns", "Yields", "Raises", "Examples")
# numpydoc's checks: sections known and in order; parameters all there, none else, in order, each with a type
# and a meaning that is a sentence; results likewise; a summary of one line; no double blank lines.
# Left out: extended summaries, "see also" and the infinitive, which not every summary here begins with.
NUMPYDOC = {
    "GL03", "GL05", "GL06", "GL07", "GL08", "PR01", "PR02", "PR03", "PR04", "PR06", "PR07", "PR08", "PR09",
    "PR10", "RT03", "RT04", "RT05", "YD01", "SS01", "SS06", "EX01",
}  # fmt: skip
MANAGERS = {"convlite.precision", "convlite.num_threads"}  # generators, but for `with`: nothing is yielded


def public() -> Iterator[tuple[str, Any]]:
    """Each public function, class and method by its name; an inherited method with the class that has it."""
    seen: set[int] = set()
    for name in MODULES:
        module = importlib.import_module(name)
        for word in module.__all__:
            value = getattr(module, word)
            if not callable(value) or id(value) in seen:
                continue
            seen.add(id(value))
            yield f"{name}.{word}", value
            if inspect.isclass(value):
                yield from methods(f"{name}.{word}", value, seen)


def methods(name: str, kind: type, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """The public methods of a class; those that override a documented one without a text inherit it."""
    for word in dir(kind):
        found = inspect.getattr_static(kind, word)
        function = getattr(found, "__func__", found)
        if word.startswith("_") or not inspect.isfunction(function) or id(function) in seen:
            continue
        seen.add(id(function))
        if function.__module__.startswith("convlite") and function.__doc__ is not None:
            yield f"{name}.{word}", getattr(kind, word)


PUBLIC = dict(public())


def sections(text: str) -> dict[str, list[str]]:
    """The lines of each section, by its title."""
    found: dict[str, list[str]] = {"": []}
    lines, title = text.split("\n"), ""
    for i, line in enumerate(lines):
        if i + 1 < len(lines) and line and set(lines[i + 1]) == {"-"} and len(lines[i + 1]) == len(line):
            title = line
            found[title] = []
        elif title and set(line) == {"-"}:
            continue
        else:
            found[title].append(line)
    return found


def described(lines: list[str]) -> dict[str, tuple[str, str]]:
    """(type, meaning) of each parameter of a section."""
    found: dict[str, tuple[str, str]] = {}
    names: list[str] = []
    for line in lines:
        if line and not line.startswith(" "):
            head, _, kind = line.partition(" : ")
            names = [name.strip(" *") for name in head.split(",")]
            found |= dict.fromkeys(names, (kind, ""))
        elif line.strip():
            found |= {name: (found[name][0], f"{found[name][1]} {line.strip()}".strip()) for name in names}
    return found


def parameters(thing: Any) -> list[inspect.Parameter]:
    return [one for one in inspect.signature(thing).parameters.values() if one.name not in ("self", "cls")]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_is_described_in_order(name: str) -> None:
    thing = PUBLIC[name]
    text = sections(inspect.getdoc(thing) or "")
    found = described(text.get("Parameters", []))
    assert list(found) == [one.name for one in parameters(thing)]
    for one in parameters(thing):
        kind, meaning = found[one.name]
        assert kind, f"{one.name} has no type"
        assert len(meaning) > 3, f"{one.name} has no meaning"
        assert meaning.endswith("."), f"{one.name}: {meaning} is no sentence"
        stated = re.search(r"default (.+)$", kind)
        if one.default is inspect.Parameter.empty or one.kind is one.VAR_KEYWORD:
            assert stated is None, f"{one.name} has no default"
        else:
            assert stated, f"{one.name} does not say its default, {one.default!r}"
            assert shown(one.default) == stated[1].replace("'", '"'), one.name


def shown(default: Any) -> str:
    """A default as docstrings write it."""
    if isinstance(default, type):
        return default.__name__
    if type(default).__name__ == "_HAS_DEFAULT_FACTORY_CLASS":
        return "{}"
    return repr(default).replace("'", '"')


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_returned_and_an_example(name: str) -> None:
    thing = PUBLIC[name]
    text = sections(inspect.getdoc(thing) or "")
    assert set(text) <= {"", *SECTIONS}, "a section that no one knows"
    assert [title for title in text if title] == [title for title in SECTIONS if title in text]
    assert any(">>>" in line for line in text.get("Examples", [])), "no example"
    assert " : shared" not in (inspect.getdoc(thing) or ""), "a shared entry that was not put in"
    if not inspect.isclass(thing) and name not in MANAGERS:
        back = inspect.signature(thing).return_annotation
        assert ("Returns" in text) == (back not in ("None", None)), f"returns {back}"


@pytest.mark.parametrize("name", PUBLIC)
def test_numpydoc_finds_nothing(name: str) -> None:
    validate = pytest.importorskip("numpydoc.validate")
    errors = [(code, what) for code, what in validate.validate(name)["errors"] if code in NUMPYDOC]
    assert not (set(errors) - {("YD01", what) for _, what in errors if name in MANAGERS})
