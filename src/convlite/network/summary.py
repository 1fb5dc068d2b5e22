"""The table that `Network.summary` prints: a row for each node, then totals."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..arguments import shown
from .constants import entry_of
from .executor import Executor
from .facts import Fact, Size, product, sum_of, times
from .graph import Graph, Node, described_shape
from .infer import facts_of

__all__ = [
    "Row",
    "aligned",
    "as_shape",
    "kind_shown",
    "described",
    "given_shapes",
    "multiply_adds",
    "rows_of",
]

Shapes = Mapping[str, Sequence[int]]
_LONGEST = 30  # characters of a number of multiply-adds with names of free sizes in it


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of one node.

    shapes: of the outputs that are asked for, as text. work: multiply-adds; None where they are not known.
    how: what runs it; "?" where that depends on shapes that are not known.
    """

    name: str
    kind: str
    shapes: tuple[str, ...]
    parameters: int
    work: Size
    how: str


def given_shapes(executor: Executor, shapes: Sequence[Sequence[int]]) -> Shapes | None:
    """The inputs' shapes by name: those given, else the declared ones, else those of the last new program.

    None where none of these is known. ValueError where the given ones do not fit.
    """
    inputs = executor.graph.inputs
    if shapes:
        if len(shapes) != len(inputs):
            names = ", ".join(value.name for value in inputs)
            numbers = all(isinstance(size, int) for size in shapes)
            hint = f": write one tuple, {shapes}" if numbers and len(inputs) == 1 else ""
            raise ValueError(f"shapes must be one for each input ({names}); got {len(shapes)}{hint}")
        for shape in shapes:
            as_shape(shape, "a shape")
        wanted = {value.name: tuple(shape) for value, shape in zip(inputs, shapes, strict=True)}
        for name, shape in wanted.items():
            if not all(isinstance(size, int) and size >= 0 for size in shape):
                raise ValueError(f"the shape of {name!r} must be sizes; got {shown(shape)}")
        return wanted
    if all(Fact.of_value(value).concrete for value in inputs):
        return {value.name: value.shape or () for value in inputs}  # type: ignore[misc]
    last = executor.last_shapes()
    return None if last is None else dict(zip((value.name for value in inputs), last, strict=True))


def as_shape(shape: Any, name: str) -> tuple[Any, ...]:
    """A shape as a tuple; TypeError for an array and for what is no sequence."""
    if hasattr(shape, "shape") and getattr(shape, "ndim", 1) != 1:
        from .._hints import array_for_shape

        raise TypeError(array_for_shape(shape, name))
    if isinstance(shape, str | bytes) or not isinstance(shape, Iterable):
        raise TypeError(f"{name} must be a sequence of sizes; got {shown(shape)}")
    return tuple(shape)


def rows_of(executor: Executor, shapes: Shapes | None) -> list[Row]:
    """A row for each node that runs; for inputs of these shapes where they are known."""
    if shapes is None:
        graph = executor.graph
        facts: Mapping[str, Fact] = facts_of(graph)
        ways: dict[tuple[str, ...], str] | None = None
    else:
        graph, facts = executor.prepared(shapes)
        program = executor.program(tuple(tuple(shapes[value.name]) for value in graph.inputs))
        ways = {}
        for step in program.steps:
            ways.setdefault(step.node.outputs, step.how)
    counted: set[str] = set()
    return [_row(node, graph, facts, ways, counted) for node in graph.nodes]


def _row(
    node: Node,
    graph: Graph,
    facts: Mapping[str, Fact],
    ways: Mapping[tuple[str, ...], str] | None,
    counted: set[str],
) -> Row:
    parameters = sum(
        entry.size
        for name in dict.fromkeys(node.inputs)
        if (entry := entry_of(graph.constants, name)) is not None
        and name not in counted
        and entry.dtype.kind == "f"
    )
    counted.update(node.inputs)
    inside = [value for value in node.attributes.values() if isinstance(value, Graph)]
    parameters += sum(_parameters(value) for value in inside)
    shapes = tuple(described_shape(facts[name].shape) for name in node.outputs if name)
    how = "?" if ways is None else ways.get(node.outputs, "view")
    name = node.label or next((output for output in node.outputs if output), "")
    return Row(name, kind_shown(node), shapes, parameters, multiply_adds(node, facts), how)


def kind_shown(node: Node) -> str:
    """The kind, with what is computed with it: an activation, a residual, an activation behind that.

    >>> kind_shown(Node("dense", ("x", "k"), ("y",), {"activation": ("leaky_relu", 0.1)}))
    'dense + leaky_relu'
    >>> kind_shown(Node("conv", ("x", "k", "", "r"), ("y",), {"activation": None, "last": "relu"}))
    'conv + add + relu'
    """
    shown = [node.kind, node.attributes.get("activation")]
    if node.kind == "conv" and len(node.inputs) > 3:
        shown += ["add", node.attributes["last"]]
    return " + ".join(part if isinstance(part, str) else part[0] for part in shown if part)


def _parameters(graph: Graph) -> int:
    held = (entry_of(each.constants, name) for each in (graph, *graph.subgraphs()) for name in each.constants)
    return sum(entry.size for entry in held if entry.dtype.kind == "f")


def multiply_adds(node: Node, facts: Mapping[str, Fact]) -> Size:
    """The multiply-adds of a node: those of its sums of products; 0 for other kinds; None where unknown.

    What lies in padding counts. Branches and loops run as often as their inputs say: None.
    """
    if node.kind in ("if_", "loop", "scan"):
        return None
    shapes = [facts[name].shape if name else None for name in node.inputs]
    result = facts[node.outputs[0]].shape if node.outputs and node.outputs[0] else None
    if node.kind in ("conv", "conv_transpose", "dense", "matmul") and (result is None or None in shapes[:2]):
        return None
    if node.kind == "conv":
        return times(product(result or ()), product((shapes[1] or ())[:-1]))
    if node.kind == "conv_transpose":
        return times(product(shapes[0] or ()), product((shapes[1] or ())[:-1]))
    if node.kind in ("dense", "matmul"):
        return times(product(result or ()), (shapes[0] or (None,))[-1])
    if node.kind in ("lstm", "gru", "rnn"):
        if None in shapes[:3] or len(shapes[0] or ()) != 3:
            return None
        steps = product((shapes[0] or ())[:2])
        return times(steps, sum_of(product(shapes[1] or ()), product(shapes[2] or ())))
    return None if node.kind in ("einsum", "qlinear_conv", "conv_integer", "qlinear_matmul") else 0


def described(executor: Executor, shapes: Shapes | None) -> list[str]:
    """The lines of the table."""
    rows = rows_of(executor, shapes)
    cells = [("Node", "Kind", "Output shape", "Parameters", "Multiply-adds", "Runs as")]
    for row in rows:
        count = f"{row.parameters:,}" if row.parameters else ""
        work = "" if row.work == 0 else _number(row.work)
        cells.append((_short(row.name), row.kind, ", ".join(row.shapes), count, work, row.how))
    lines = aligned(cells, "<<<>><")
    total: Size = 0
    for row in rows:
        total = sum_of(total, row.work)
    graph = executor.graph
    ends = [f"Network: {graph.name}"]
    for word, values in (("in", graph.inputs), ("out", graph.outputs)):
        ends += [f"  {word:<3}  {value}" for value in values]
    if shapes is not None and any(not Fact.of_value(value).concrete for value in graph.inputs):
        told = ", ".join(f"{name}: {described_shape(tuple(shape))}" for name, shape in shapes.items())
        ends.append(f"For {told}")
    rule = "-" * max(map(len, lines))
    totals = [
        f"Nodes: {_counted(len(rows), len(graph.nodes))}",
        f"Parameters: {_parameters(graph):,}",
        f"Multiply-adds: {_number(total)}",
    ]
    if any(row.how == "?" for row in rows):
        totals.append(
            '"?" under "Runs as" depends on free sizes: call summary(shape), or give the command --size HxW'
        )
    return [*ends, rule, lines[0], rule, *lines[1:], rule, *totals]


def aligned(cells: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Rows of text in columns; for each column "<" or ">" says on which side its cells stand.

    >>> aligned([("a", "1"), ("bc", "20")], "<>")
    ['a    1', 'bc  20']
    """
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(_padded(row, sides, widths)).rstrip() for row in cells]


def _padded(row: Sequence[str], sides: str, widths: Sequence[int]) -> Iterable[str]:
    return (f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True))


def _counted(run: int, held: int) -> str:
    """The rows, and the graph's nodes where some are computed with others, which depends on shapes: files and
    `convlite convert` count those.

    >>> _counted(66, 66), _counted(56, 66)
    ('66', '56 run, of 66 in the graph')
    """
    return f"{run}" if run == held else f"{run} run, of {held} in the graph"


def _short(name: str) -> str:
    """The end of a long name: exporters write the path to a node before it."""
    return name if len(name) <= 40 else "..." + name[-37:]


def _number(size: Size) -> str:
    if isinstance(size, str):
        text = re.sub("[0-9]{4,}", lambda found: f"{int(found[0]):,}", size)
        return text if len(text) <= _LONGEST else "?"
    return "?" if size is None else f"{math.trunc(size):,}"
