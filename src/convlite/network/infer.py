"""What is known of every value of a graph before it runs: dtypes, shapes, and what follows from shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import is_
from typing import Any

import numpy as np

from .constants import entry_of, is_there
from .facts import (
    Fact,
    Size,
    at_least,
    difference,
    elementwise,
    floor_of,
    largest,
    merged_shapes,
    product,
    same_size,
    smallest,
    sum_of,
    times,
)
from .graph import Array, Graph, Node, Value, described_shape
from .kinds import kind_of

__all__ = ["Memo", "facts_of", "facts_of_node", "facts_of_rows", "open_facts", "remembered"]

MOST_SYMBOLS = 1024  # elements of a value that is kept with names in it
MOST_HELD = 1 << 24  # elements of all values of a graph that are known beforehand, but for constants
MOST_FOLDED = 1 << 18  # elements of a value that may grow from smaller constants
# Branches and loops may run without end; windows and steps cost more than the size of a result tells.
NEVER_FOLDED = {
    *("if_", "loop", "scan", "conv", "conv_transpose", "max_pool", "max_pool_indices", "avg_pool", "lp_pool"),
    *("conv_integer", "qlinear_conv", "lstm", "gru", "rnn", "non_max_suppression", "roi_align"),
}


# Facts of nodes by what they follow from, for graphs that have most of their nodes in common. The inputs are
# kept since their data is known by its address. Also facts of constants and of nodes themselves, by id.
Memo = dict[Any, tuple[Any, ...]]


def facts_of(
    graph: Graph,
    input_shapes: Mapping[str, Sequence[int | str | None]] | None = None,
    memo: Memo | None = None,
) -> dict[str, Fact]:
    """A fact for every input, constant and value of a graph.

    Args:
        graph: The graph.
        input_shapes: Shapes for some inputs, by name; the declared ones otherwise. A number given for a free
            size holds wherever that size is named.
        memo: What earlier calls found, for this one to use and to add to.

    Returns:
        name -> Fact(dtype, shape, data). `data` is there for constants and what follows from them and
        from shapes.

    Raises:
        ValueError: An input shape that contradicts the declared one; a node whose inputs do not fit, by name.

    Examples:
        >>> from convlite.network.graph import Graph, Node, Value
        >>> x = Value("x", np.dtype("float32"), ("N", 4))
        >>> graph = Graph.of([x], [], [Node("concat", ("x", "x"), ("y",), {"axis": 0})])
        >>> print(facts_of(graph)["y"], facts_of(graph, {"x": (3, 4)})["y"])
        float32(2*N, 4) float32(6, 4)
    """
    shapes = dict(input_shapes or {})
    unknown = set(shapes) - {value.name for value in graph.inputs}
    if unknown:
        raise ValueError(
            f"there is no input {sorted(unknown)[0]!r}; there are {[v.name for v in graph.inputs]}"
        )
    sizes = _bound_names(graph, shapes)
    facts: dict[str, Fact] = {}
    for value in graph.inputs:
        declared = (
            value.shape if value.shape is None else tuple(sizes.get(size, size) for size in value.shape)
        )
        given = shapes.get(value.name)
        facts[value.name] = Fact(
            value.dtype, merged_shapes(None if given is None else tuple(given), declared)
        )
    return propagated(graph, facts, {} if memo is None else memo)


def propagated(graph: Graph, facts: dict[str, Fact], memo: Memo) -> dict[str, Fact]:
    """facts_of with facts for the inputs."""
    _with_constants(graph, facts, memo)
    held = 0
    for node in graph.nodes:
        inputs = [facts[name] if name else None for name in node.inputs]
        try:
            found = remembered(node, inputs, memo)
        except ValueError as error:
            from .misfits import undivided

            raise ValueError(f"{undivided(graph, facts, node)}{error}") from None
        for name, fact in zip(node.outputs, found, strict=False):
            if name:
                held += 0 if fact.data is None else fact.data.size
                facts[name] = fact if held <= MOST_HELD else Fact(fact.dtype, fact.shape)
    return facts


def open_facts(graph: Graph, facts: Mapping[str, Fact]) -> dict[str, Fact]:
    """What is known of inputs and nodes' outputs, where all that they have open is one free number of rows,
    the first size of each; empty elsewhere."""
    found = {value.name: facts[value.name] for value in graph.inputs}
    for node in graph.nodes:
        found |= {name: facts[name] for name in node.outputs if name}
    first = None
    for fact in found.values():
        rows, *sizes = fact.shape or [None]
        first = rows if first is None else first
        if fact.data is not None or not sizes or rows != first or not Fact(None, tuple(sizes)).concrete:
            return {}
    return found if isinstance(first, str) and not any(graph.subgraphs()) else {}


def facts_of_rows(
    graph: Graph, known: Mapping[str, Fact], shapes: Mapping[str, Sequence[Any]]
) -> dict[str, Fact] | None:
    """facts_of from `open_facts`, a third of the time; None where facts_of must look itself."""
    rows = tuple(shapes.get(graph.inputs[0].name, ()))[:1] if known else ()
    if not rows or not isinstance(rows[0], int):
        return None
    facts = {name: Fact(fact.dtype, rows + fact.shape[1:]) for name, fact in known.items() if fact.shape}
    if {value.name: facts[value.name].shape for value in graph.inputs} != shapes:
        return None
    return _with_constants(graph, facts, {})


def _with_constants(graph: Graph, facts: dict[str, Fact], memo: Memo) -> dict[str, Fact]:
    for name in graph.constants:
        entry = entry_of(graph.constants, name)
        key = "constant", id(entry)
        if not is_there(entry):
            facts[name] = Fact(entry.dtype, entry.shape)
            continue
        if key not in memo:
            memo[key] = entry, Fact.of(entry)
        facts[name] = memo[key][1]
    return facts


def remembered(node: Node, inputs: Sequence[Fact | None], memo: Memo) -> tuple[Fact, ...]:
    """facts_of_node, once for all nodes of one kind and attributes with the same known of their inputs."""
    last = memo.get(id(node))
    if last is not None and all(map(is_, last[1], inputs)):  # the node itself, after another pass
        found: tuple[Fact, ...] = last[2]
        return found
    known = tuple(
        None if fact is None else (fact.dtype, fact.shape, None if fact.data is None else id(fact.data))
        for fact in inputs
    )
    key = (node.kind, id(node.attributes), len(node.outputs), known)
    if key not in memo:
        memo[key] = ((node.attributes, *inputs), facts_of_node(node, inputs))
    found = memo[key][1]
    memo[id(node)] = node, inputs, found
    return found


def _bound_names(graph: Graph, shapes: Mapping[str, Sequence[Any]]) -> dict[Size, Size]:
    """What the given shapes say of the declared names of free sizes."""
    sizes: dict[Size, Size] = {}
    for value in graph.inputs:
        given = shapes.get(value.name)
        if given is None or value.shape is None:
            continue
        if len(given) != len(value.shape):
            raise ValueError(
                f"the input {value.name!r} has {len(value.shape)} axes {described_shape(value.shape)}, "
                f"not {described_shape(tuple(given))}{_order(given, value)}"
            )
        for declared, size in zip(value.shape, given, strict=True):
            if isinstance(declared, str) and size is not None:
                if same_size(sizes.get(declared), size) is False:
                    raise ValueError(
                        f"the input {value.name!r}: {declared!r} is {sizes[declared]} and {size} at once"
                    )
                sizes.setdefault(declared, size)
            elif isinstance(declared, int) and isinstance(size, int) and declared != size:
                raise ValueError(
                    f"the input {value.name!r} must have shape {described_shape(value.shape)}, "
                    f"not {described_shape(tuple(given))}{_order(given, value)}"
                )
    return sizes


def _order(given: Sequence[Any], value: Value) -> str:
    from .._hints import other_order

    return other_order(tuple(given), value.shape or (), "this network", False)


def facts_of_node(node: Node, inputs: Sequence[Fact | None]) -> tuple[Fact, ...]:
    """The facts of a node's outputs, values included where they follow from constants and shapes."""
    kind = kind_of(node)
    facts = kind.infer(node, inputs)
    if all(fact.known is not None for fact in facts):
        return facts
    if node.kind not in NEVER_FOLDED and _worth_folding(inputs, facts):
        arrays = [None if fact is None else fact.known for fact in inputs]
        return tuple(Fact.of(np.asarray(array)) for array in kind.compute(node, arrays))
    data = _with_names(node, inputs, facts)
    if data is not None:
        return tuple(_held(fact, array) for fact, array in zip(facts, data, strict=False))
    return facts


def _worth_folding(inputs: Sequence[Fact | None], facts: Sequence[Fact]) -> bool:
    """Whether all inputs are known and the outputs are not much larger than they."""
    if not inputs or any(fact is not None and fact.known is None for fact in inputs):
        return False
    size = sum(fact.known.size for fact in inputs if fact is not None and fact.known is not None)
    for fact in facts:
        if fact.shape is None or None in fact.shape:
            return size <= MOST_FOLDED
        count = product(fact.shape)
        if not isinstance(count, int) or count > max(size, MOST_FOLDED):
            return False
    return True


def _held(fact: Fact, data: Array) -> Fact:
    """A fact with a value, some elements of which may have only names."""
    items = data.ravel().tolist()
    if fact.dtype is None or all(item is None for item in items):
        return fact
    limits = (0, 1) if fact.dtype.kind == "b" else (np.iinfo(fact.dtype).min, np.iinfo(fact.dtype).max)
    if any(isinstance(item, int) and not limits[0] <= item <= limits[1] for item in items):
        return fact  # what wraps is left to the run
    if all(isinstance(item, int) for item in items):
        return Fact.of(np.asarray(items, fact.dtype).reshape(data.shape))
    return Fact(fact.dtype, data.shape, data)


# ---- values with names in them ----


def _objects(fact: Fact | None) -> Array | None:
    """A value of integers as an object array of sizes; None where nothing is known."""
    if fact is None:
        return None
    if fact.data is not None and fact.data.size <= MOST_SYMBOLS:
        if fact.data.dtype == object:
            return fact.data
        if fact.data.dtype.kind in "iub":
            data = np.empty(fact.data.shape, object)
            data.reshape(-1)[:] = [int(item) for item in fact.data.ravel().tolist()]
            return data
        return None
    whole = fact.shape is not None and fact.concrete and fact.dtype is not None and fact.dtype.kind in "iu"
    if whole and fact.data is None:
        count = math.prod(size for size in fact.shape or () if isinstance(size, int))
        if count <= 64:
            return np.full(fact.shape, None, object)  # type: ignore[arg-type]
    return None


def _equal(a: Size, b: Size) -> Size:
    same = same_size(a, b)
    if same is None and (_less(a, b) == 1 or _less(b, a) == 1):
        return 0
    return None if same is None else int(same)


def _less(a: Size, b: Size) -> Size:
    """Whether a < b, as 0 or 1; None if that is not known (a free size may be 0)."""
    if at_least(b, sum_of(a, 1)):
        return 1
    return 0 if at_least(a, b) else None


def _not(a: Size) -> Size:
    return 1 - a if isinstance(a, int) else None


def _chosen(condition: Size, a: Size, b: Size) -> Size:
    if condition is None or isinstance(condition, str):
        return a if a == b else None
    return a if condition else b


def _quotient(a: Size, b: Size) -> Size:
    """ONNX's division of integers: towards zero."""
    if isinstance(a, int) and isinstance(b, int) and b:
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return floor_of(a, b) if at_least(a, 0) and at_least(b, 0) else None


def _remainder(a: Size, b: Size) -> Size:
    return (
        difference(a, times(floor_of(a, b), b)) if isinstance(b, int) and b > 0 and at_least(a, 0) else None
    )


ARITHMETIC: dict[str, Callable[..., Size]] = {
    "add": sum_of,
    "sub": difference,
    "mul": times,
    "div": _quotient,
    "mod": _remainder,
    "max": largest,
    "min": smallest,
    "sum": sum_of,
    "equal": _equal,
    "less": _less,
    "greater": lambda a, b: _less(b, a),
    "less_equal": lambda a, b: _not(_less(b, a)),
    "greater_equal": lambda a, b: _not(_less(a, b)),
    "not": _not,
    "where": _chosen,
    "neg": lambda a: times(a, -1),
    "identity": lambda a: a,
}


def _with_names(node: Node, inputs: Sequence[Fact | None], facts: Sequence[Fact]) -> tuple[Array, ...] | None:
    """The outputs of a node on integers of which some have only names; None if they cannot be found."""
    kind = kind_of(node)
    if not any(fact is not None and fact.data is not None and fact.data.dtype == object for fact in inputs):
        return None
    if any(fact.dtype is None or fact.dtype.kind not in "iub" for fact in facts):
        return None
    if any(not fact.concrete or _count(fact) > MOST_FOLDED for fact in facts):
        return None
    if kind.moves:
        return _moved(node, inputs)
    dtypes = [fact.dtype for fact in facts if fact.dtype is not None and fact.dtype != bool]
    if any(dtype.kind == "u" or dtype.itemsize < 4 for dtype in dtypes):
        return None  # a size may wrap
    values = [_objects(fact) for fact in inputs if fact is not None]
    held = [value for value in values if value is not None]
    if len(held) < len(values):
        return None
    if node.kind in ("cast", "cast_like"):
        return None if facts[0].dtype == bool else (held[0],)
    if node.kind == "reduce_prod":
        return _reduced(node, inputs, facts, product)
    if node.kind == "reduce_sum":
        return _reduced(node, inputs, facts, lambda sizes: _folded(sum_of, sizes))
    if node.kind not in ARITHMETIC:
        return None
    function = ARITHMETIC[node.kind]
    if node.kind in ("max", "min", "sum"):
        total = held[0]
        for value in held[1:]:
            total = elementwise(function, total, value)
        return (total,)
    return (elementwise(function, *held),)


def _count(fact: Fact) -> int:
    return math.prod(size for size in fact.shape or () if isinstance(size, int))


def _folded(function: Callable[[Size, Size], Size], sizes: Sequence[Size]) -> Size:
    total: Size = 0
    for size in sizes:
        total = function(total, size)
    return total


def _moved(node: Node, inputs: Sequence[Fact | None]) -> tuple[Array, ...] | None:
    """The kind only moves elements, so their values do not matter. Their places must be known."""
    joined = node.kind == "concat"
    arrays: list[Array | None] = []
    for number, fact in enumerate(inputs):
        if fact is None:
            arrays.append(None)
        elif number == 0 or joined:
            arrays.append(_objects(fact))
        else:
            known = fact.known
            if known is None and node.kind == "reshape" and fact.data is not None:
                return None
            arrays.append(known)
        if fact is not None and arrays[-1] is None:
            return None
    return kind_of(node).compute(node, arrays)


def _reduced(
    node: Node, inputs: Sequence[Fact | None], facts: Sequence[Fact], function: Callable[[Any], Size]
) -> tuple[Array, ...] | None:
    """A reduction of a vector to one number."""
    values = _objects(inputs[0])
    shape = facts[0].shape
    if values is None or values.ndim != 1 or shape is None or shape not in ((), (1,)):
        return None
    result = np.empty(shape, object)
    result[...] = function(values.tolist())
    return (result,)
