"""Kinds that move numbers or only say how to look at them."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from ..program import Frame, Lowered, Lowering
from .table import rule


@rule("reshape", "flatten", "squeeze", "unsqueeze", "identity")
def viewed(node: Node, low: Lowering) -> Lowered | None:
    """A view: nothing to do."""
    source, name = low.slot(node.inputs[0]), node.outputs[0]
    shape = low.shape(name)
    if np.prod(shape, dtype=np.int64) != np.prod(low.shape(node.inputs[0]), dtype=np.int64):
        return None
    if low.facts[node.inputs[0]].dtype != low.facts[name].dtype:
        return None
    low.names[name] = low.view(source, shape)
    return Lowered(None, (source,), (), how="view")


@rule("transpose")
def transpose(node: Node, low: Lowering) -> Lowered | None:
    """A copy in the other order."""
    source, target = low.slot(node.inputs[0]), low.slot(node.outputs[0])
    low.shape(node.outputs[0])
    perm = node.attributes["perm"]

    def run(frame: Frame) -> None:
        np.copyto(frame[target], frame[source].transpose(perm))

    return Lowered(run, (source,), (target,), how="copy")


@rule("concat")
def concat(node: Node, low: Lowering) -> Lowered | None:
    """Copies side by side."""
    sources, target = tuple(low.slot(name) for name in node.inputs), low.slot(node.outputs[0])
    axis = node.attributes["axis"]
    if len({low.facts[name].dtype for name in node.inputs}) > 1:
        return None

    def run(frame: Frame) -> None:
        np.concatenate([frame[slot] for slot in sources], axis, out=frame[target])

    return Lowered(run, sources, (target,), how="copy")
