"""Why two branches of a network differ in size by a few pixels: a stride that does not divide its input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import lcm

from .facts import Fact, Size
from .graph import Graph, Node, Value
from .infer import facts_of_node

__all__ = ["undivided"]

_STRIDED = {"conv", "conv_transpose", "max_pool", "avg_pool", "lp_pool"}


def undivided(graph: Graph, facts: Mapping[str, Fact], node: Node) -> str:
    """What to do where a node's inputs differ in size since a stride before it does not divide an image.

    Args:
        graph: The network.
        facts: What is known of the values before the node.
        node: The node whose inputs do not fit.

    Returns:
        What comes before the error, "give images ..., since ... has strides 2 and gets 15 rows: ", or ""
        where images of such sizes do not fit either, or the network takes none of other sizes, as that of
        one tile.
    """
    shapes = [facts[name].shape for name in node.inputs if name in facts]
    images = [shape for shape in shapes if shape is not None and len(shape) == 4]
    if len({shape[1:3] for shape in images}) < 2:
        return ""
    axis = 1 if len({shape[1] for shape in images}) > 1 else 2  # what is told is of the axis that differs
    steps = [(before, pair) for before in _before(graph, node) for pair in [_strides(before)] if pair]
    found = next(
        (text for before, pair in steps for text in [_rest(before, pair[axis - 1], axis, facts)] if text), ""
    )
    if not found:
        return ""
    reduced: dict[str, tuple[int, int]] = {}  # of each value: by how much it is smaller than the image
    most = 1
    for one in _before(graph, node):
        known = [reduced.get(name, (1, 1)) for name in one.inputs] or [(1, 1)]
        rows, columns = max(r for r, _ in known), max(c for _, c in known)
        pair = _strides(one)
        if pair and one.kind != "conv_transpose":
            rows, columns = rows * pair[0], columns * pair[1]
        elif one.kind in ("conv_transpose", "resize"):
            rows, columns = 1, 1  # enlarges: later values are reduced by less than `most` says already
        most = lcm(most, rows, columns)
        reduced.update(dict.fromkeys(one.outputs, (rows, columns)))
    if not any(_fits(graph, facts, node, most, axes) for axes in ((1, 2), (2, 3))):
        return ""
    return (
        f"give images whose height and width are multiples of {most}, padded (np.pad, convlite.pad2d) or "
        f"resized (convlite.resize2d), since {found}: "
    )


def _fits(graph: Graph, facts: Mapping[str, Fact], node: Node, most: int, axes: tuple[int, int]) -> bool:
    """Whether the node's inputs fit once the images, whose rows and columns are these axes, are enlarged to
    multiples of `most`."""
    known = dict(facts)
    for value in graph.inputs:
        known[value.name] = Fact(facts[value.name].dtype, _enlarged(value, facts[value.name], most, axes))
    if all(known[value.name].shape == facts[value.name].shape for value in graph.inputs):
        return False
    try:
        for one in (*_before(graph, node), node):
            found = facts_of_node(one, [known[name] if name else None for name in one.inputs])
            known.update(zip(one.outputs, found, strict=False))
    except ValueError:
        return False
    return True


def _enlarged(value: Value, fact: Fact, most: int, axes: tuple[int, int]) -> tuple[Size, ...] | None:
    """An input's shape with multiples of `most` for rows and columns that the network leaves open."""
    if fact.shape is None or len(fact.shape) != 4:
        return fact.shape
    declared = (None,) * 4 if value.shape is None else value.shape
    return tuple(
        -(-size // most) * most
        if axis in axes and not isinstance(fixed, int) and isinstance(size, int)
        else size
        for axis, (size, fixed) in enumerate(zip(fact.shape, declared, strict=True))
    )


def _before(graph: Graph, node: Node) -> Iterator[Node]:
    """The nodes that a node depends on, in order."""
    wanted = set(node.inputs)
    found: list[Node] = []
    place = next(number for number, one in enumerate(graph.nodes) if one is node)
    for one in reversed(graph.nodes[:place]):
        if wanted & set(one.outputs):
            found.append(one)
            wanted |= set(one.inputs)
    return reversed(found)


def _strides(node: Node) -> tuple[int, int] | None:
    """The strides over rows and columns of a node that has two above 1."""
    strides = node.attributes.get("strides") if node.kind in _STRIDED else None
    return strides if isinstance(strides, tuple) and len(strides) == 2 and max(strides) > 1 else None


def _rest(node: Node, stride: int, axis: int, facts: Mapping[str, Fact]) -> str:
    """That a pool's or a convolution's stride does not divide an axis of its images, in words; else ""."""
    shape = facts[node.inputs[0]].shape
    if node.kind == "conv_transpose" or shape is None or len(shape) != 4:
        return ""
    size = shape[axis]
    if not isinstance(size, int) or not size % stride:
        return ""
    name = node.label or node.outputs[0]
    return f"{name!r} ({node.kind}) has strides {stride} and gets {size} {('rows', 'columns')[axis - 1]}"
