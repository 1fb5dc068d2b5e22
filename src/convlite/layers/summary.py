"""The table that `Sequential.summary` prints."""

from collections.abc import Sequence

from .base import Shape
from .chain import Chain

__all__ = ["table"]

_HEADER = ("Layer (type)", "Output shape", "Parameters", "Multiply-adds")


def table(model: Chain) -> list[str]:
    """Lines: a row for each layer, then the totals; "?" stands for what an unbuilt model does not know.

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
