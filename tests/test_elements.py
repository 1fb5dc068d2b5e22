"""Numbers one by one: logarithms, integers, comparisons, choices by a condition or a place, against NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import _kernels
from convlite.network.executor import Executor
from convlite.network.graph import Graph, Node, Value
from convlite.network.interpret import interpret

WHOLE = (np.int32, np.int64)
FLOATS = (np.float32, np.float64)


def numbers(seed: int, *shape: int, dtype: Any = np.float32) -> Any:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.integers(-5, 6, shape).astype(dtype)


# ---- the kernels ----


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("count", [1, 16, 17, 9001])
def test_logarithms(isa: str, dtype: Any, count: int) -> None:
    most = math.floor(math.log10(float(np.finfo(dtype).max)))
    rng = np.random.default_rng(0)
    x = (rng.uniform(0.5, 1.5, count) * 10.0 ** rng.integers(-most - 5, most, count)).astype(dtype)
    x[::3] = rng.uniform(0.9, 1.1, count)[::3]
    out = np.empty_like(x)
    for threads in (1, 3):
        _kernels.unary(isa, _kernels.unary_codes()["log"], x, out, threads)
        want = np.array([math.log(value) for value in x.tolist()])  # NumPy's own log may be 2 units off
        if dtype == np.float32:  # computed in double: rounded once more
            np.testing.assert_allclose(out, want, rtol=2**-23.9)
        else:
            np.testing.assert_allclose(out, want, rtol=3 * 2.0**-53, atol=2.0**-60)
    _kernels.unary(isa, _kernels.unary_codes()["log"], x, x)  # in place
    assert x.tobytes() == out.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
def test_logarithms_of_what_has_none(isa: str, dtype: Any) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([0, -0.0, -1, -np.inf, np.inf, np.nan, 1, tiny, -tiny, np.finfo(dtype).max] * 3, dtype)
    out = np.empty_like(x)
    _kernels.unary(isa, _kernels.unary_codes()["log"], x, out)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(out, np.log(x.astype(np.float64)).astype(dtype), rtol=2**-22)


TWO: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "add": (np.add, WHOLE),
    "sub": (np.subtract, WHOLE),
    "mul": (np.multiply, WHOLE),
    "min": (np.minimum, WHOLE),
    "max": (np.maximum, WHOLE),
    "equal": (np.equal, (bool, *WHOLE, *FLOATS)),
    "less": (np.less, (*WHOLE, *FLOATS)),
    "less_equal": (np.less_equal, (*WHOLE, *FLOATS)),
    "and": (np.logical_and, (bool,)),
    "or": (np.logical_or, (bool,)),
    "xor": (np.logical_xor, (bool,)),
}
SHAPES = {
    "alike": ((3, 40), (3, 40)),
    "a row": ((300, 40), (40,)),
    "a number": ((5,), ()),
    "across": ((4, 1, 5), (3, 1)),
    "numbers": ((), ()),
    "nothing": ((0, 3), (3,)),
}


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("op", TWO)
def test_two_operands(op: str, shapes: str) -> None:
    function, dtypes = TWO[op]
    for dtype in dtypes:
        a, b = (numbers(seed, *shape, dtype=dtype) for seed, shape in enumerate(SHAPES[shapes]))
        if np.dtype(dtype).kind == "f" and a.size > 2:
            a.reshape(-1)[:2] = np.nan, np.inf
        want = np.asarray(function(a, b))
        for threads in (1, 3):
            out = np.zeros_like(want)
            _kernels.elements(op, np.dtype(dtype).name, a, b, None, out, threads=threads)
            np.testing.assert_array_equal(out, want)


def test_sums_of_integers_wrap_around() -> None:
    a = np.array([2**31 - 1, -(2**31), 7], np.int32)
    for op, function in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply)):
        out = np.empty_like(a)
        with np.errstate(all="ignore"):
            _kernels.elements(op, "int32", a, a[::-1], None, out)
            np.testing.assert_array_equal(out, function(a, a[::-1]))


NAMES = ("bool", "int32", "int64", "float32", "float64")


@pytest.mark.parametrize("element", NAMES)
def test_casts_choices_and_negation(element: str) -> None:
    x = numbers(0, 6, 7, dtype=element)
    for target in NAMES:
        if element.startswith("float") and target.startswith("int"):
            continue
        out = np.zeros(x.shape, target)
        _kernels.elements("cast", element, x, None, None, out, target)
        np.testing.assert_array_equal(out, x.astype(target))
    condition, other = numbers(1, 6, 1, dtype=bool), numbers(2, 7, dtype=element)
    out = np.zeros_like(x)
    _kernels.elements("where", element, x, other, condition, out)
    np.testing.assert_array_equal(out, np.where(condition, x, other))
    if element == "bool":
        _kernels.elements("not", "bool", x, x, None, out)
        np.testing.assert_array_equal(out, ~x)


def test_operands_that_do_not_fit_are_refused() -> None:
    x, out = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for op, a, b, condition in (
        ("add", x, None, None),
        ("where", x, x, None),
        ("cast", x, x, None),
        ("add", x, x, x.astype(bool)),
        ("add", x.astype(np.int32), x, None),
        ("add", x, np.zeros(2, np.int64), None),
    ):
        with pytest.raises(ValueError, match="internal error"):
            _kernels.elements(op, "int64", a, b, condition, out, "int64")
    with pytest.raises(ValueError, match="internal error"):
        _kernels.extreme_places(4, np.zeros(0, np.float32), out, 3, 0, 1, False, False)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("smallest", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 9, 1), (3, 5, 7), (1, 9000, 2), (0, 3, 2)])
def test_places_of_the_largest(dtype: Any, last: bool, smallest: bool, shape: tuple[int, ...]) -> None:
    find = np.argmin if smallest else np.argmax
    for holes in (0, 4):
        x = numbers(3, *shape, dtype=dtype)
        x.reshape(-1)[:holes] = np.nan
        flipped = np.flip(x, 1)
        want = shape[1] - 1 - find(flipped, 1) if last else find(x, 1)
        for threads in (1, 3):
            out = np.full(want.shape, -1, np.int64)
            _kernels.extreme_places(x.itemsize, x, out, *shape, smallest, last, threads)
            np.testing.assert_array_equal(out, want)


# ---- in networks ----


def steps(nodes: list[Node], x: Any, constants: dict[str, Any], outputs: dict[str, Any]) -> list[str]:
    """What runs each node; the network's outputs are those of the interpreter, twice."""
    ends = [Value(name, np.dtype(dtype), None) for name, dtype in outputs.items()]
    graph = Graph.of([Value("x", x.dtype, x.shape)], ends, nodes, constants, name="n")
    executor = Executor(graph)
    wanted = interpret(graph, [x])
    for threads in (1, 2):
        with cl.num_threads(threads):
            for found, want in zip(executor.run([x]), wanted, strict=True):
                np.testing.assert_array_equal(found, want, strict=True)
    return [step.how for step in executor.program((x.shape,)).steps]


def arg_max(x: str, out: str, axis: int, keepdims: int = 1) -> Node:
    return Node("arg_max", (x,), (out,), {"axis": axis, "keepdims": keepdims, "select_last_index": 0})


def node(kind: str, inputs: str, out: str, **attributes: Any) -> Node:
    return Node(kind, tuple(inputs.split()), (out,), attributes)


def test_neighbours_of_the_largest_number_without_numpy() -> None:
    """Places that are computed stay inside: arg_max, shifts by constants, clip."""
    x = np.random.default_rng(0).standard_normal((2, 5, 11)).astype(np.float32)
    constants = {
        "shifts": np.array([[[-1, 0, 1]]], np.int64),
        "low": np.array(0, np.int64),
        "high": np.array(10, np.int64),
        "table": np.arange(11.0),
        "half": np.array(0.5, np.float32),
        "none": np.array(-np.inf, np.float32),
    }
    nodes = [
        arg_max("x", "at", 2),
        node("add", "at shifts", "near"),
        node("clip", "near low high", "places"),
        node("gather_elements", "x places", "values", axis=-1),
        node("cast", "values", "wide", dtype="float64"),
        node("gather", "table places", "listed", axis=0),
        node("greater", "x half", "above"),
        node("where", "above x none", "kept"),
        node("not", "above", "below"),
    ]
    outputs = {"wide": "float64", "listed": "float64", "kept": "float32", "below": "bool", "places": "int64"}
    assert set(steps(nodes, x, constants, outputs)) == {"elements"}


def test_a_row_for_each_place() -> None:
    x = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)
    constants = {"table": np.random.default_rng(2).standard_normal((4, 6)).astype(np.float32)}
    nodes = [arg_max("x", "at", 1, 0), node("gather", "table at", "rows", axis=0)]
    assert steps(nodes, x, constants, {"rows": "float32"}) == ["elements", "elements"]


def test_places_that_may_lie_outside_are_left_to_numpy() -> None:
    x = np.random.default_rng(0).standard_normal((2, 5)).astype(np.float32)
    constants = {"one": np.array(1, np.int64), "table": np.arange(5, dtype=np.float32)}
    nodes = [arg_max("x", "at", 1), node("add", "at one", "next"), node("gather", "table next", "y", axis=0)]
    x[:, 4] = -9
    assert steps(nodes, x, constants, {"y": "float32"})[-1] == "NumPy"
    x[0, 4] = 9  # the next one is outside
    graph = Graph.of(
        [Value("x", x.dtype, x.shape)], [Value("y", np.dtype(np.float32), None)], nodes, constants, name="n"
    )
    with pytest.raises(ValueError, match="outside"):
        Executor(graph).run([x])


# ---- copies that are not needed ----


def test_heads_are_written_where_the_concat_has_them() -> None:
    """Rows of one image, through a reshape, into what a call returns and into the arena."""
    x = np.random.default_rng(0).standard_normal((1, 6, 4, 3)).astype(np.float32)
    constants = {"two": np.array(2, np.float32), "flat": np.array([1, -1, 3], np.int64)}
    nodes = [
        node("add", "x two", "a"),
        node("reshape", "a flat", "b", allowzero=0),
        node("mul", "x two", "c"),
        node("reshape", "c flat", "d", allowzero=0),
        node("concat", "b d", "y", axis=1),
        node("concat", "b d b", "twice", axis=1),
        node("relu", "twice", "z"),
    ]
    dtype = np.dtype(np.float32)
    graph = Graph.of(
        [Value("x", dtype, x.shape)], [Value(n, dtype, None) for n in "yz"], nodes, constants, name="n"
    )
    executor = Executor(graph)
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal(x.shape).astype(np.float32)
        kept = executor.run([x])
        executor.run([-x])  # what a call returned is its own
        for found, want in zip(kept, interpret(graph, [x]), strict=True):
            np.testing.assert_array_equal(found, want)
    program = executor.program((x.shape,))
    assert sum(view.rows for view in program.views) == 1  # b in y
    assert sum(view.rows for view in program.arena_views) == 1  # d in twice


def test_rows_of_channels_that_are_put_together_are_copied() -> None:
    x = np.random.default_rng(0).standard_normal((1, 5, 4, 3)).astype(np.float32)
    constants = {"two": np.array(2, np.float32)}
    nodes = [
        node("add", "x two", "a"),
        node("mul", "x two", "b"),
        node("concat", "a b", "c", axis=3),
        node("sub", "c two", "d"),
        node("concat", "c d", "y", axis=1),
        Node("split", ("d",), ("e", "f"), {"axis": 3}),
        node("relu", "f", "g"),
        node("concat", "d c", "h", axis=1),
        node("relu", "h", "z"),
    ]
    steps(nodes, x, constants, {"y": "float32", "g": "float32", "z": "float32"})


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ["instance_norm", "group_norm"])
def test_an_activation_behind_a_norm_is_part_of_it(kind: str, dtype: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, 4, 6)).astype(dtype)
    constants = {
        name: np.random.default_rng(1).standard_normal(6).astype(dtype) for name in ("scale", "offset")
    }
    groups = {"groups": 2} if kind == "group_norm" else {}
    nodes = [node(kind, "x scale offset", "n", epsilon=1e-5, **groups)]
    for behind, attributes, left in (("relu", {}, 1), ("sigmoid", {}, 1), ("leaky_relu", {"alpha": 0.3}, 2)):
        whole = [*nodes, Node(behind, ("n",), ("y",), attributes)]
        graph = Graph.of(
            [Value("x", x.dtype, x.shape)], [Value("y", x.dtype, None)], whole, constants, name="n"
        )
        network = cl.Network(graph)
        assert len(network.profile(x, repeat=1).rows) == left
        plain = Executor(graph).run([x])[0]
        assert network(x).tobytes() == plain.tobytes()
        close = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-12}
        np.testing.assert_allclose(network(x), interpret(graph, [x])[0], **close)


def test_a_matrix_that_two_products_take_is_transposed_once() -> None:
    x = np.random.default_rng(0).integers(-3, 4, (5, 8, 6)).astype(np.float32)
    constants = {name: numbers(seed, 7, 8) for seed, name in enumerate("pq")}
    nodes = [
        node("matmul", "p x", "a"),
        node("matmul", "q x", "b"),
        node("add", "a b", "c"),
        node("relu", "x", "r"),
        node("matmul", "p r", "d"),
    ]
    hows = steps(nodes, x, constants, {"c": "float32", "d": "float32"})
    assert [how.split(":")[0] for how in hows] == ["dense", "dense", "pass", "pass", "dense"]
