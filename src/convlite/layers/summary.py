"""The tables that `Sequential.summary` and `Model.summary` print."""

import itertools
from collections.abc import Sequence
from typing import Any

from .base import Layer, Shape
from .chain import Chain
from .symbolic import Operation
from .tracing import Plan

__all__ = ["model_table", "table"]

_HEADER = ("Layer (type)", "Output shape", "Parameters", "Multiply-adds")


def table(model: Chain) -> list[str]:
    """Lines: a row for each layer, then the totals; "?" replaces values that an unbuilt model does not have.

    Multiply-adds are for one sample.
    """
    known = model.input_shape
    shapes: Sequence[Shape | None] = [None] * (len(model.steps) + 1) if known is None else model.shapes(known)
    rows = []
    for (name, layer), before, after in zip(model.steps, shapes, shapes[1:], strict=False):
        work = None if before is None else layer.multiply_adds(before)
        parameters = layer.count_params() if layer.built else None
        rows.append(
            (f"{name} ({type(layer).__name__})", "?" if after is None else str(after), parameters, work)
        )
    total = model.count_params() if model.built else None
    work = None if known is None else model.multiply_adds(known)
    return _layout(f"Model: {model.name}", rows, total, work)


def model_table(
    model: Layer,
    steps: Sequence[tuple[str, Layer]],
    entries: Sequence[int],
    shapes: Sequence[Shape],
    plan: Plan,
    calls: Sequence[tuple[int | Operation, list[int], Any, int | None]],
) -> list[str]:
    """Lines: a row for each input and each call, then the totals; parameters stand at a layer's first call.

    The last column says which calls a call takes its inputs from.
    """
    made: dict[int, str] = {}
    rows: list[tuple[str, str, int | None, int | None]] = []
    sources: list[str] = []
    for number, entry, shape in zip(plan.inputs, entries, shapes, strict=True):
        made[number] = steps[entry][0]
        rows.append((f"{made[number]} (InputLayer)", str(shape), 0, 0))
        sources.append("")
    seen: set[int] = set()
    for step, (target, inputs, shape, work) in zip(plan.steps, calls, strict=True):
        if isinstance(target, int):
            label, layer = steps[target]
            told, parameters = f"{label} ({type(layer).__name__})", layer.count_params()
            parameters = 0 if target in seen else parameters
            seen.add(target)
        else:
            label, told, parameters = target.kind, f"{target.kind} (arithmetic)", 0
        rows.append((told, str(shape), parameters, work))
        sources.append(", ".join(made[number] for number in inputs))
        made.update(dict.fromkeys(step.outputs, label))
    known = [work for *_, work in rows if work is not None]
    total = sum(known) if len(known) == len(rows) else None
    lines = _layout(f"Model: {model.name}", rows, model.count_params(), total)
    beside = ["", "", "From", "", *sources]
    return [f"{line}  {told}".rstrip() for line, told in itertools.zip_longest(lines, beside, fillvalue="")]


def _layout(
    title: str,
    rows: Sequence[tuple[str, str, int | None, int | None]],
    parameters: int | None,
    work: int | None,
) -> list[str]:
    cells = [_HEADER, *((*row[:2], _number(row[2]), _number(row[3])) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = [
        f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {count:>{widths[2]}}  {products:>{widths[3]}}"
        for name, shape, count, products in cells
    ]
    rule = "-" * len(lines[0])
    totals = [f"Parameters: {_number(parameters)}", f"Multiply-adds for one sample: {_number(work)}"]
    return [title, rule, lines[0], rule, *lines[1:], rule, *totals]


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"
