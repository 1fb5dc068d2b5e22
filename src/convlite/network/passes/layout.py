"""Move transposes together, so that they cancel.

Importers put a transpose before and after every channels-last node of a channels-first file; files of
channels-last frameworks carry their own. Going through the graph in order, a transpose moves from the inputs
of a node to its outputs wherever the node works with any order of axes:

    op(transpose(x, p), transpose(y, p))  =  transpose(op(x, y), p)

so transposes sink until they meet their inverse, or a node that does mind. One that moves axes of size one
only is a reshape. `_SINK` holds the rule of each kind: what becomes of its attributes and other inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..facts import Fact
from ..graph import Array, Graph, Node
from .editor import Editor

__all__ = ["sink_transposes"]

Perm = tuple[int, ...]


def sink_transposes(graph: Graph, facts: Mapping[str, Fact]) -> Graph:
    """The same network with as few transposes as this module knows how to leave."""
    editor = Editor(graph, facts)
    for _ in range(8):
        changed = False
        for number in editor.order():
            if number in editor.nodes:
                changed |= _step(editor, number)
        editor.sweep()
        if not changed:
            break
    for number, _ in editor.of_kind("transpose"):  # not earlier: a reshape stops the others
        _as_reshape(editor, number)
    return editor.graph()


def _step(editor: Editor, number: int) -> bool:
    node = editor.nodes[number]
    if node.kind == "transpose":
        return _simplify(editor, number)
    if node.kind == "dense":
        return _into_dense(editor, number)
    rule = _SINK.get(node.kind)
    if rule is None or not any(_transposed(editor, name) for name in node.inputs):
        return False
    return rule(editor, number)


def _transposed(editor: Editor, name: str) -> tuple[str, Perm] | None:
    """(source, perm) where a value is written by a transpose."""
    node = editor.producer(name) if name else None
    if node is None or node.kind != "transpose":
        return None
    return node.inputs[0], tuple(node.attributes["perm"])


def inverse(perm: Perm) -> Perm:
    """
    >>> inverse((0, 3, 1, 2))
    (0, 2, 3, 1)
    """
    result = [0] * len(perm)
    for position, axis in enumerate(perm):
        result[axis] = position
    return tuple(result)


def _permuted(fact: Fact, perm: Perm) -> Fact:
    """What is known of transpose(x, perm)."""
    shape = None if fact.shape is None else tuple(fact.shape[axis] for axis in perm)
    return Fact(fact.dtype, shape, None)


def _transpose(editor: Editor, name: str, perm: Perm, label: str = "") -> str:
    """transpose(name, perm): a constant's at once; an existing node's output where there is one."""
    if perm == tuple(range(len(perm))):
        return name
    held = editor.constant(name)
    if held is not None:
        return editor.add_constant(f"{name}.transposed", held.transpose(perm))
    for reader in editor.readers(name):
        node = editor.nodes[reader]
        if node.kind == "transpose" and tuple(node.attributes["perm"]) == perm:
            return node.outputs[0]
    return editor.add("transpose", (name,), _permuted(editor.facts[name], perm), label, perm=perm)


def _finish(editor: Editor, number: int, perm: Perm, **fields: Any) -> bool:
    """Change a node, and hand the transpose on to all its outputs."""
    node = editor.nodes[number]
    back = inverse(perm)
    new_outputs = []
    for name in node.outputs:
        new_outputs.append(editor.fresh(f"{name}.inner") if name else "")
    editor.change(number, outputs=tuple(new_outputs), **fields)
    for old, new in zip(node.outputs, new_outputs, strict=True):
        if not old:
            continue
        fact = editor.facts[old]
        editor.facts[new] = _permuted(fact, back) if fact.shape is not None else fact
        editor.insert(Node("transpose", (new,), (old,), {"perm": perm}, node.label))
    return True


# ---- transposes themselves ----


def _simplify(editor: Editor, number: int) -> bool:
    """Nothing moved: out. Two in a row: one."""
    node = editor.nodes[number]
    perm: Perm = tuple(node.attributes["perm"])
    source, output = node.inputs[0], node.outputs[0]
    if perm == tuple(range(len(perm))):
        editor.replace(output, source)
        return True
    held = editor.constant(source)
    if held is not None and output not in editor.outputs:
        editor.replace(output, editor.add_constant(f"{source}.transposed", held.transpose(perm)))
        return True
    before = _transposed(editor, source)
    if before is not None:
        inner, first = before
        editor.change(number, inputs=(inner,), attributes={"perm": tuple(first[axis] for axis in perm)})
        return True
    return False


def _as_reshape(editor: Editor, number: int) -> None:
    """A transpose that moves axes of size one only is a reshape, which costs nothing."""
    node = editor.nodes[number]
    perm: Perm = tuple(node.attributes["perm"])
    shape = editor.shape(node.inputs[0])
    if shape is None or not _order_kept(shape, perm):
        return
    target = _reshape_target(tuple(shape[axis] for axis in perm))
    if target is not None:
        name = editor.add_constant(f"{node.outputs[0]}.shape", np.array(target, np.int64))
        inputs = (node.inputs[0], name)
        editor.change(number, kind="reshape", inputs=inputs, attributes={"allowzero": False})


def _order_kept(shape: tuple[Any, ...], perm: Perm) -> bool:
    """Whether transposing moves axes of size one only.

    >>> _order_kept(("n", 1, 1, 8), (0, 3, 1, 2)), _order_kept(("n", 1, 2, 8), (0, 3, 1, 2))
    (True, False)
    """
    moved = [axis for axis in perm if not (isinstance(shape[axis], int) and shape[axis] == 1)]
    return moved == sorted(moved)


def _reshape_target(shape: tuple[Any, ...]) -> tuple[int, ...] | None:
    """A shape as reshape takes it, with -1 for one free size; None where there are more."""
    target = tuple(size if isinstance(size, int) else -1 for size in shape)
    return target if target.count(-1) <= 1 and 0 not in target else None


# ---- elementwise: operands broadcast against each other ----


def _elementwise(editor: Editor, number: int) -> bool:
    """All operands in the order of the majority; the others are transposed back, constants at once."""
    node = editor.nodes[number]
    found = [_transposed(editor, name) for name in node.inputs]
    ranks = [editor.rank(name) if name else 0 for name in node.inputs]
    if any(rank is None for rank in ranks):
        return False
    rank = max(r for r in ranks if r is not None)
    perms = [entry[1] for entry in found if entry is not None and len(entry[1]) == rank]
    if not perms:
        return False
    perm = max(set(perms), key=lambda p: (perms.count(p), p))
    back = inverse(perm)
    plain = 0  # operands that would need a transpose of their own
    for name, entry in zip(node.inputs, found, strict=True):
        if name and not (entry is not None and entry[1] == perm) and not _is_small(editor, name):
            plain += 1
    if plain > perms.count(perm):
        return False
    inputs: list[str] = []
    for name, entry in zip(node.inputs, found, strict=True):
        if not name:
            inputs.append(name)
        elif entry is not None and entry[1] == perm:
            inputs.append(entry[0])
        else:
            moved = _operand(editor, name, rank, back)
            if moved is None:
                return False
            inputs.append(moved)
    return _finish(editor, number, perm, inputs=tuple(inputs))


def _is_small(editor: Editor, name: str) -> bool:
    """Whether transposing an operand is done beforehand, or nothing to do."""
    if editor.constant(name) is not None:
        return True
    shape = editor.shape(name)
    return shape is not None and sum(not (isinstance(size, int) and size == 1) for size in shape) <= 1


def _operand(editor: Editor, name: str, rank: int, back: Perm) -> str | None:
    """transpose(operand with leading axes of one, back)."""
    shape = editor.shape(name)
    assert shape is not None
    held = editor.constant(name)
    if held is not None:
        if held.size == 1:
            return name
        full = held.reshape((1,) * (rank - held.ndim) + held.shape)
        return editor.add_constant(f"{name}.transposed", full.transpose(back))
    if not shape:
        return name
    if len(shape) < rank:
        target = _reshape_target((1,) * (rank - len(shape)) + shape)
        if target is None:
            return None
        full_shape = (1,) * (rank - len(shape)) + shape
        fact = Fact(editor.facts[name].dtype, full_shape, None)
        sizes = editor.add_constant(f"{name}.shape", np.array(target, np.int64))
        name = editor.add("reshape", (name, sizes), fact, allowzero=False)
    return _transpose(editor, name, back)


# ---- kinds that name axes ----


def _along(editor: Editor, number: int) -> bool:
    """Kinds with one operand and an attribute `axis` that keep the rank: softmax, hardmax, ..."""
    node = editor.nodes[number]
    source, perm = _of_first(editor, node)
    if source is None:
        return False
    axis = perm[node.attributes["axis"] % len(perm)]
    attributes = {**node.attributes, "axis": axis}
    return _finish(editor, number, perm, inputs=(source, *node.inputs[1:]), attributes=attributes)


def _layer_norm(editor: Editor, number: int) -> bool:
    """Only where it looks at the last axis and that stays the last."""
    node = editor.nodes[number]
    source, perm = _of_first(editor, node)
    if source is None or node.attributes["axis"] % len(perm) != len(perm) - 1 or perm[-1] != len(perm) - 1:
        return False
    if any(node.outputs[1:]):
        return False
    return _finish(editor, number, perm, inputs=(source, *node.inputs[1:]))


def _concat(editor: Editor, number: int) -> bool:
    """All parts in one order; parts that are not transposed get a transpose where most are."""
    node = editor.nodes[number]
    found = [_transposed(editor, name) for name in node.inputs]
    perms = [entry[1] for entry in found if entry is not None]
    perm = max(set(perms), key=lambda p: (perms.count(p), p))
    fixed = [_is_small(editor, name) and editor.constant(name) is not None for name in node.inputs]
    if 2 * perms.count(perm) < len(node.inputs) - sum(fixed):
        return False
    if any(editor.rank(name) != len(perm) for name in node.inputs):
        return False
    inputs = [
        entry[0] if entry is not None and entry[1] == perm else _transpose(editor, name, inverse(perm))
        for name, entry in zip(node.inputs, found, strict=True)
    ]
    axis = perm[node.attributes["axis"] % len(perm)]
    return _finish(editor, number, perm, inputs=tuple(inputs), attributes={**node.attributes, "axis": axis})


def _of_first(editor: Editor, node: Node) -> tuple[str | None, Perm]:
    entry = _transposed(editor, node.inputs[0])
    return (None, ()) if entry is None else entry


def _axes_input(editor: Editor, node: Node, position: int, rank: int) -> tuple[int, ...] | None:
    """Constant axes at an input's position; all axes where the input is left out; None where unknown."""
    if position >= len(node.inputs) or not node.inputs[position]:
        return tuple(range(rank))
    held = editor.constant(node.inputs[position])
    return None if held is None else tuple(int(axis) % rank for axis in held.reshape(-1))


def _slice(editor: Editor, number: int) -> bool:
    """x, starts, ends, axes?, steps?"""
    node = editor.nodes[number]
    source, perm = _of_first(editor, node)
    if source is None:
        return False
    if len(node.inputs) < 4 or not node.inputs[3]:
        starts = editor.shape(node.inputs[1])
        if starts is None or not isinstance(starts[0], int):
            return False
        axes: tuple[int, ...] | None = tuple(range(starts[0]))
    else:
        axes = _axes_input(editor, node, 3, len(perm))
    if axes is None:
        return False
    moved = editor.add_constant(f"{node.outputs[0]}.axes", np.array([perm[axis] for axis in axes], np.int64))
    inputs = (source, node.inputs[1], node.inputs[2], moved, *node.inputs[4:])
    return _finish(editor, number, perm, inputs=inputs)


def _pad(editor: Editor, number: int) -> bool:
    """x, pads, value?, axes?"""
    node = editor.nodes[number]
    source, perm = _of_first(editor, node)
    if source is None:
        return False
    axes = _axes_input(editor, node, 3, len(perm))
    if axes is None:
        return False
    moved = editor.add_constant(f"{node.outputs[0]}.axes", np.array([perm[axis] for axis in axes], np.int64))
    value = node.inputs[2] if len(node.inputs) > 2 else ""
    return _finish(editor, number, perm, inputs=(source, node.inputs[1], value, moved))


def _resize(editor: Editor, number: int) -> bool:
    node = editor.nodes[number]
    source, perm = _of_first(editor, node)
    if source is None:
        return False
    named = node.attributes["axes"]
    axes = perm if named is None else tuple(perm[axis % len(perm)] for axis in named)
    attributes = {**node.attributes, "axes": axes}
    return _finish(editor, number, perm, inputs=(source, *node.inputs[1:]), attributes=attributes)


def _reduce(editor: Editor, number: int) -> bool:
    """With keepdims the transpose stays; without, what is left of it."""
    node = editor.nodes[number]
    source, perm = _of_first(editor, node)
    if source is None:
        return False
    rank = len(perm)
    if len(node.inputs) > 1 and node.inputs[1]:
        axes = _axes_input(editor, node, 1, rank)
        if axes is None:
            return False
        if not axes:
            if not node.attributes["noop_with_empty_axes"]:
                axes = tuple(range(rank))
            else:
                return False
    else:
        if node.attributes["noop_with_empty_axes"]:
            return False
        axes = tuple(range(rank))
    inner = [perm[axis] for axis in axes]
    moved = editor.add_constant(f"{node.outputs[0]}.axes", np.array(sorted(inner), np.int64))
    if node.attributes["keepdims"]:
        return _finish(editor, number, perm, inputs=(source, moved))
    return _finish(editor, number, _without(perm, set(axes)), inputs=(source, moved))


def _without(perm: Perm, axes: set[int]) -> Perm:
    """What a permutation becomes when these axes of its result go.

    >>> _without((0, 3, 1, 2), {1})
    (0, 1, 2)
    """
    left = [axis for position, axis in enumerate(perm) if position not in axes]
    ranks = {axis: place for place, axis in enumerate(sorted(left))}
    return tuple(ranks[axis] for axis in left)


def _arg(editor: Editor, number: int) -> bool:
    node = editor.nodes[number]
    source, perm = _of_first(editor, node)
    if source is None:
        return False
    axis = node.attributes["axis"] % len(perm)
    attributes = {**node.attributes, "axis": perm[axis]}
    kept = perm if node.attributes["keepdims"] else _without(perm, {axis})
    return _finish(editor, number, kept, inputs=(source,), attributes=attributes)


def _squeeze(editor: Editor, number: int) -> bool:
    node = editor.nodes[number]
    source, perm = _of_first(editor, node)
    if source is None or len(node.inputs) < 2 or not node.inputs[1]:
        return False
    axes = _axes_input(editor, node, 1, len(perm))
    if axes is None:
        return False
    moved = editor.add_constant(
        f"{node.outputs[0]}.axes", np.array(sorted(perm[axis] for axis in axes), np.int64)
    )
    return _finish(editor, number, _without(perm, set(axes)), inputs=(source, moved))


def _unsqueeze(editor: Editor, number: int) -> bool:
    """New axes go where they are wanted in the end: the transpose keeps them in place at the front of x."""
    node = editor.nodes[number]
    source, perm = _of_first(editor, node)
    if source is None:
        return False
    held = editor.constant(node.inputs[1])
    if held is None:
        return False
    rank = len(perm) + held.size
    new = sorted(int(axis) % rank for axis in held.reshape(-1))
    # the new axes come last in x, so that its own keep their numbers
    order, own, extra = [], iter(perm), iter(range(len(perm), rank))
    for position in range(rank):
        order.append(next(extra) if position in new else next(own))
    axes = editor.add_constant(f"{node.outputs[0]}.axes", np.arange(len(perm), rank, dtype=np.int64))
    return _finish(editor, number, tuple(order), inputs=(source, axes))


def _gather(editor: Editor, number: int) -> bool:
    """Constant indices of rank 0 or 1."""
    node = editor.nodes[number]
    source, perm = _of_first(editor, node)
    if source is None:
        return False
    indices = editor.shape(node.inputs[1])
    if indices is None or len(indices) > 1:
        return False
    axis = node.attributes["axis"] % len(perm)
    attributes = {**node.attributes, "axis": perm[axis]}
    kept = perm if indices else _without(perm, {axis})
    return _finish(editor, number, kept, inputs=(source, node.inputs[1]), attributes=attributes)


# ---- reshapes that split or join whole axes ----


def _reshape(editor: Editor, number: int) -> bool:
    """Where the reshape splits or joins neighbouring axes that are neighbours in x too: reshape x, then
    transpose."""
    node = editor.nodes[number]
    source, perm = _of_first(editor, node)
    output = node.outputs[0]
    before, after, inner = editor.shape(node.inputs[0]), editor.shape(output), None
    if source is not None:
        inner = editor.shape(source)
    if source is None or before is None or after is None or inner is None:
        return False
    groups = factor_groups(before, after)
    if groups is None:
        return False
    # groups: (axes of the transposed x, axes of the result), in order; each must be one run of axes of x
    places = []
    inside = list(range(len(perm)))  # the order that stays with x: axes of one run may be permuted
    for axes, results in groups:
        run = [perm[axis] for axis in axes]
        first = min(run)
        if sorted(run) != list(range(first, first + len(run))):
            return False
        inside[first : first + len(run)] = run
        places.append((first, results))
    order = [results for _, results in sorted(places, key=lambda place: place[0])]
    flat = [axis for results in order for axis in results]
    if flat == sorted(flat) and inside != sorted(inside):
        return False  # a channel shuffle: no transpose passes it
    target = _reshape_target(tuple(after[axis] for axis in flat))
    if target is None:
        return False
    sizes = editor.add_constant(f"{output}.shape", np.array(target, np.int64))
    attributes = {"allowzero": False}
    inputs = (_transpose(editor, source, tuple(inside), node.label), sizes)
    outer = inverse(tuple(flat))
    return _finish(editor, number, outer, kind="reshape", inputs=inputs, attributes=attributes)


def factor_groups(
    before: tuple[Any, ...], after: tuple[Any, ...]
) -> list[tuple[list[int], list[int]]] | None:
    """The finest cut of two shapes of one array into groups of axes with equal products; None where sizes
    that are not known prevent it, or a group would be empty on one side.

    >>> factor_groups(("n", 8, 5, 5), ("n", 2, 4, 5, 5))
    [([0], [0]), ([1], [1, 2]), ([2], [3]), ([3], [4])]
    """
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) and j < len(after):
        left, right = [i], [j]
        a, b = before[i], after[j]
        i, j = i + 1, j + 1
        if not isinstance(a, int) or not isinstance(b, int):
            if a is None or b is None or a != b:
                return None
            groups.append((left, right))
            continue
        if a == 0 or b == 0:
            return None
        while a != b:
            if a < b:
                if i == len(before) or not isinstance(before[i], int) or before[i] == 0:
                    return None
                left.append(i)
                a, i = a * before[i], i + 1
            else:
                if j == len(after) or not isinstance(after[j], int) or after[j] == 0:
                    return None
                right.append(j)
                b, j = b * after[j], j + 1
        groups.append((left, right))
    for rest, side, shape in ((range(i, len(before)), 0, before), (range(j, len(after)), 1, after)):
        for axis in rest:  # trailing ones belong to the last group
            if shape[axis] != 1 or not groups:
                return None
            groups[-1][side].append(axis)
    return groups


def _into_dense(editor: Editor, number: int) -> bool:
    """flatten(transpose(x)) into a dense layer: the rows of its kernel change places instead."""
    node = editor.nodes[number]
    flat, kernel = editor.producer(node.inputs[0]), editor.constant(node.inputs[1])
    if flat is None or flat.kind not in ("reshape", "flatten") or kernel is None or kernel.ndim != 2:
        return False
    entry = _transposed(editor, flat.inputs[0])
    shape, result = editor.shape(flat.inputs[0]), editor.shape(node.inputs[0])
    if entry is None or shape is None or result is None or len(result) != 2:
        return False
    source, perm = entry
    sizes = shape[1:]
    known = all(isinstance(size, int) for size in sizes)
    if (
        perm[0] != 0
        or not known
        or not kernel.shape[0]
        or int(np.prod(sizes, dtype=np.int64)) != kernel.shape[0]
    ):
        return False
    if result[1] != kernel.shape[0]:
        return False
    back = inverse(tuple(axis - 1 for axis in perm[1:]))
    target = editor.add_constant(f"{node.inputs[0]}.shape", np.array([-1, kernel.shape[0]], np.int64))
    fact = Fact(editor.facts[node.inputs[0]].dtype, result, None)
    inner = editor.add("reshape", (source, target), fact, flat.label, allowzero=False)
    weights = editor.hold_constant(f"{node.inputs[1]}.rows", _turned(kernel, sizes, back))
    editor.change(number, inputs=(inner, weights, *node.inputs[2:]))
    return True


def _turned(kernel: Array, sizes: Perm, back: Perm) -> Array:
    """A kernel whose rows, numbered by `sizes`, have their axes in another order; memory stays in its own."""
    if kernel.flags.c_contiguous:
        return kernel.reshape(*sizes, -1).transpose(*back, len(back)).reshape(kernel.shape)
    columns = kernel.T.reshape(-1, *sizes).transpose(0, *(axis + 1 for axis in back))
    return columns.reshape(kernel.shape[::-1]).T


def _words(text: str) -> list[str]:
    return text.split()


_UNARY = _words(
    "relu relu6 sigmoid tanh silu gelu hard_swish mish softsign selu elu celu leaky_relu thresholded_relu "
    "hard_sigmoid softplus shrink abs neg exp log sqrt reciprocal sign floor ceil round erf sin cos tan asin "
    "acos atan sinh cosh asinh acosh atanh not isnan isinf bitwise_not swish cast identity"
)
_BROADCASTING = _words(
    "add sub mul div pow mod and or xor equal less less_equal greater greater_equal bitwise_and bitwise_or "
    "bitwise_xor max min sum mean where prelu clip"
)
_REDUCTIONS = _words(
    "reduce_sum reduce_mean reduce_max reduce_min reduce_prod reduce_l1 reduce_l2 reduce_log_sum "
    "reduce_log_sum_exp reduce_sum_square"
)

_SINK: dict[str, Callable[[Editor, int], bool]] = {
    **dict.fromkeys((*_UNARY, *_BROADCASTING), _elementwise),
    **dict.fromkeys(("softmax", "log_softmax", "hardmax", "split", "lp_normalize"), _along),
    **dict.fromkeys(_REDUCTIONS, _reduce),
    "arg_max": _arg,
    "arg_min": _arg,
    "layer_norm": _layer_norm,
    "concat": _concat,
    "slice": _slice,
    "pad": _pad,
    "resize": _resize,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "gather": _gather,
    "reshape": _reshape,
    "flatten": _reshape,
}
