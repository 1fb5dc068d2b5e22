"""A graph as a picture: in the language of graphviz's `dot`, drawn by `dot` where that is installed."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence

from .constants import entry_of
from .facts import Fact
from .graph import Graph, Node, described_shape
from .infer import facts_of
from .summary import kind_shown

__all__ = ["dot_of", "plotted"]

_TEXT = (".dot", ".gv")
_DRAWN = (".svg", ".png", ".pdf")
_COLOURS = {
    "conv": "#cfe2f3",
    "conv_transpose": "#cfe2f3",
    "dense": "#d9ead3",
    "matmul": "#d9ead3",
    "max_pool": "#fff2cc",
    "avg_pool": "#fff2cc",
    "if_": "#f4cccc",
    "loop": "#f4cccc",
    "scan": "#f4cccc",
}


def dot_of(graph: Graph, shapes: Mapping[str, Sequence[int]] | None = None) -> str:
    """The graph in graphviz's language: a box for each node, arrows with the shapes of what flows.

    Constants stand in the boxes. Names are only labels: nothing that a file says can end a string.
    """
    facts = facts_of(graph, shapes)
    lines = [
        f"digraph {_quoted(graph.name)} {{",
        "  rankdir=TB;",
        '  node [shape=box, style="rounded,filled", fillcolor=white, fontname=sans, fontsize=10];',
        "  edge [fontname=sans, fontsize=9];",
    ]
    origin: dict[str, str] = {}
    for number, value in enumerate(graph.inputs):
        origin[value.name] = f"i{number}"
        lines.append(f"  i{number} [shape=ellipse, label={_quoted(value.name, str(value.dtype))}];")
    for number, node in enumerate(graph.nodes):
        origin.update((name, f"n{number}") for name in node.outputs if name)
        colour = _COLOURS.get(node.kind, "white")
        lines.append(f'  n{number} [fillcolor="{colour}", label={_quoted(*_label(node, graph))}];')
    for number, value in enumerate(graph.outputs):
        lines.append(f"  o{number} [shape=ellipse, label={_quoted(value.name, str(value.dtype))}];")
    for number, node in enumerate(graph.nodes):
        lines += [_edge(origin[name], f"n{number}", facts[name]) for name in node.inputs if name in origin]
    for number, value in enumerate(graph.outputs):
        if value.name in origin:
            lines.append(_edge(origin[value.name], f"o{number}", facts[value.name]))
    return "\n".join([*lines, "}", ""])


def plotted(
    graph: Graph, path: str | os.PathLike[str], shapes: Mapping[str, Sequence[int]] | None = None
) -> None:
    """Write the picture; the ending of `path` says how."""
    ending = pathlib.Path(path).suffix.lower()
    if ending not in (*_TEXT, *_DRAWN):
        raise ValueError(f"path must end in one of {', '.join((*_TEXT, *_DRAWN))}; got {os.fspath(path)!r}")
    text = dot_of(graph, shapes).encode()
    if ending in _TEXT:
        pathlib.Path(path).write_bytes(text)
        return
    program = shutil.which("dot")
    if program is None:
        raise RuntimeError(
            f"{ending} pictures are drawn by the program dot of graphviz, which is not installed "
            '(Debian and Ubuntu: apt install graphviz; macOS: brew install graphviz); or write a ".dot" file'
        )
    final = pathlib.Path(os.path.realpath(path))
    part = final.with_name(f".{uuid.uuid4().hex}{ending}")
    try:
        done = subprocess.run(
            [program, f"-T{ending[1:]}", "-o", str(part)], input=text, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(
                f"dot could not draw the network: {done.stderr.decode(errors='replace').strip()}"
            )
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)


def _label(node: Node, graph: Graph) -> list[str]:
    lines = [kind_shown(node)]
    if node.label:
        lines.append(node.label if len(node.label) <= 40 else "..." + node.label[-37:])
    constants = (entry_of(graph.constants, name) for name in node.inputs)
    held = [described_shape(entry.shape) for entry in constants if entry is not None]
    if held:
        lines.append(" ".join(held))
    return lines


def _edge(start: str, end: str, fact: Fact) -> str:
    return f"  {start} -> {end} [label={_quoted(described_shape(fact.shape))}];"


def _quoted(*lines: str) -> str:
    r"""
    >>> print(_quoted('a "b"', "c\\"))
    "a \"b\"\nc\\"
    """
    escaped = (
        "".join(letter if letter.isprintable() else "?" for letter in line)
        .replace("\\", "\\\\")
        .replace('"', '\\"')
        for line in lines
    )
    return '"' + "\\n".join(escaped) + '"'
