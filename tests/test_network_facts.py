"""What is known before a network runs: arithmetic with named sizes, chains of shape operators, branches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convlite.network import facts as f
from convlite.network.facts import Fact, Size
from convlite.network.graph import Graph, Node, Value
from convlite.network.infer import facts_of, facts_of_rows, open_facts

FLOAT, INT64, BOOL = np.dtype(np.float32), np.dtype(np.int64), np.dtype(bool)
NAMES = {"N": 1, "H": 7, "W": 12}

# ---- arithmetic ----

atoms = st.one_of(st.integers(-9, 9), st.sampled_from(list(NAMES)))
operations: dict[str, Any] = {
    "sum_of": (f.sum_of, lambda a, b: a + b),
    "difference": (f.difference, lambda a, b: a - b),
    "times": (f.times, lambda a, b: a * b),
    "floor_of": (f.floor_of, lambda a, b: a // b),
    "smallest": (f.smallest, min),
    "largest": (f.largest, max),
}
trees = st.recursive(
    atoms, lambda inner: st.tuples(st.sampled_from(list(operations)), inner, inner), max_leaves=6
)


def value_of(size: Size, names: dict[str, int]) -> Any:
    if not isinstance(size, str):
        return size
    return eval(size.replace("/", "//"), {"floor": int, "min": min, "max": max, **names})


def both(tree: Any, names: dict[str, int]) -> tuple[Size, Any]:
    """A tree of operations worked out with names, and with numbers; None where a division by zero is."""
    if not isinstance(tree, tuple):
        return tree, names[tree] if isinstance(tree, str) else tree
    named, plain = operations[tree[0]]
    (a, x), (b, y) = both(tree[1], names), both(tree[2], names)
    if x is None or y is None or (tree[0] == "floor_of" and y == 0):
        return named(a, b) if x is not None and y is not None else None, None
    return named(a, b), plain(x, y)


@settings(max_examples=600)
@given(trees, st.fixed_dictionaries({name: st.integers(1, 30) for name in NAMES}))
def test_named_sizes_are_worked_out_like_numbers(tree: Any, names: dict[str, int]) -> None:
    size, wanted = both(tree, names)
    if size is not None and wanted is not None:
        assert value_of(size, names) == wanted, size


@pytest.mark.parametrize(
    ("size", "written"),
    [
        (f.sum_of(f.times("N", 2), f.times("N", 3)), "5*N"),
        (f.floor_of(f.sum_of("H", -1), 2), "floor((H + 1)/2) - 1"),
        (f.floor_of(f.times(f.times("H", "W"), "N"), "W"), "H*N"),
        (f.floor_of(f.sum_of(f.times("H", 4), 6), 4), "H + 1"),
        (f.ceil_of("H", 2), "floor((H + 1)/2)"),
        (f.sum_of(f.floor_of(f.difference("H", 1), 2), 1), "floor((H + 1)/2)"),
        (f.times("floor(H/2)", 4), "4*floor(H/2)"),
        (f.difference("N", "N"), 0),
        (f.product(["N", 2, "N"]), "2*N*N"),
        (f.times(None, 0), 0),
        (f.sum_of(None, 1), None),
        (f.floor_of("N", 0), None),
        (f.sum_of("batch size - 1", 1), "batch size"),
    ],
)
def test_sums_have_one_form(size: Size, written: Size) -> None:
    assert size == written


def test_equal_sizes_of_strided_layers_have_equal_names() -> None:
    """Padding 1, window 3, stride 2 twice, against SAME: (H + 1) // 2 both."""
    one = f.sum_of(f.floor_of(f.difference(f.sum_of("H", 2), 3), 2), 1)
    assert f.same_size(one, f.ceil_of("H", 2)) is True


def test_shapes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="a size is 3 and 4 at once"):
        f.merged_shapes((3, "N"), (4, 2))
    with pytest.raises(ValueError, match="at once"):
        f.merged_shapes((3,), (3, 1))
    with pytest.raises(ValueError, match=r"do not broadcast: axis -1 has sizes \[3, 4\]"):
        f.broadcast([(2, 3), (4,)])
    assert f.broadcast([None, (1,)]) is None
    assert f.broadcast([(None,), (1,)]) == (None,)


# ---- chains ----


class Chain:
    """Builds a graph node by node."""

    def __init__(self, *shape: Any) -> None:
        self.inputs = [Value("x", FLOAT, shape)]
        self.nodes: list[Node] = []
        self.constants: dict[str, Any] = {}

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value, dtype)
        return name

    def __call__(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        names = tuple(item if isinstance(item, str) else self.constant(item) for item in inputs)
        self.nodes.append(Node(kind, names, (f"v{len(self.nodes)}",), attributes))
        return self.nodes[-1].outputs[0]

    def fact(self, name: str, **shapes: Any) -> Fact:
        return facts_of(
            Graph.of(self.inputs, [Value(name, FLOAT, None)], self.nodes, self.constants), shapes
        )[name]

    def dim(self, x: str, axis: int) -> str:
        size = self("gather", self("shape", x, start=0, end=None), axis, axis=0)
        return self("unsqueeze", size, [0])


def test_flatten_by_shape_gather_concat_reshape() -> None:
    c = Chain("N", 7, 7, 64)
    y = c("reshape", "x", c("concat", c.dim("x", 0), [-1], axis=0), allowzero=False)
    assert c.fact(y).shape == ("N", 3136)
    assert c.fact(y, x=(2, 7, 7, 64)).shape == (2, 3136)


def test_free_height_and_width_through_upsampling_and_concat() -> None:
    """A decoder resizes to the size of what it joins, as exporters write it: shape, slice, concat, resize."""
    c = Chain("N", "H", "W", 8)
    small = c(
        "max_pool",
        "x",
        kernel=(2, 2),
        strides=(2, 2),
        padding=((0, 0),) * 2,
        dilations=(1, 1),
        ceil_mode=False,
    )
    sizes = c("slice", c("shape", "x", start=0, end=None), [1], [3], [0])
    how = {
        "mode": "nearest",
        "coordinates": "asymmetric",
        "nearest_mode": "floor",
        "cubic_a": -0.75,
        "axes": (1, 2),
    }
    how |= {"exclude_outside": False, "extrapolation_value": 0.0, "antialias": False}
    c.nodes.append(
        Node("resize", (small, "", "", sizes), ("up",), how | {"keep_aspect_ratio_policy": "stretch"})
    )
    y = c("concat", "x", "up", axis=3)
    assert c.fact(small).shape == ("N", "floor(H/2)", "floor(W/2)", 8)
    assert c.fact(y).shape == ("N", "H", "W", 16)


def test_channel_shuffle_and_pixel_arithmetic() -> None:
    c = Chain("N", "H", "W", 58)
    sizes = [c.dim("x", axis) for axis in range(4)]
    half = c("div", sizes[3], [2])
    split = c("reshape", "x", c("concat", *sizes[:3], [2], half, axis=0), allowzero=False)
    assert c.fact(split).shape == ("N", "H", "W", 2, 29)
    area = c("mul", sizes[1], sizes[2])
    flat = c("reshape", "x", c("concat", sizes[0], area, [-1], axis=0), allowzero=False)
    assert c.fact(flat).shape == ("N", "H*W", 58)
    back = c("reshape", flat, c("concat", *sizes[:3], [58], axis=0), allowzero=False)
    assert c.fact(back).shape == ("N", "H", "W", 58)
    total = c("reduce_prod", c("shape", "x", start=1, end=None), keepdims=True, noop_with_empty_axes=False)
    assert c.fact(total).data.tolist() == ["58*H*W"]  # type: ignore[union-attr]


def test_expand_as_torch_writes_it() -> None:
    """where(shape == -1, ones, shape): a free size is no -1."""
    c = Chain("N", 1)
    sizes = c("concat", c.dim("x", 0), [4], axis=0)
    ones = c("constant_of_shape", [2], value=np.array([1]))
    wanted = c("where", c("equal", sizes, [-1, -1]), ones, sizes)
    assert c.fact(c("expand", "x", wanted)).shape == ("N", 4)


def test_casts_keep_named_sizes_and_ranges_count() -> None:
    c = Chain("N", 5)
    size = c("squeeze", c("cast", c.dim("x", 0), dtype=np.dtype(np.int32)), [0])
    assert c.fact(size).data.tolist() == "N"  # type: ignore[union-attr]
    steps = c("range", c.constant(0, np.int32), size, c.constant(1, np.int32))
    assert c.fact(steps).shape == ("N",)
    assert c.fact(steps, x=(3, 5)).known.tolist() == [0, 1, 2]  # type: ignore[union-attr]


def test_inequalities_of_named_sizes_hold_for_empty_ones_too() -> None:
    c = Chain("N")
    size = c.dim("x", 0)
    for kind, other, wanted in [
        ("less", [0], 0), ("greater_equal", [0], 1), ("equal", [-1], 0), ("greater", [0], None),
        ("equal", [0], None), ("equal", size, 1), ("less_equal", [4], None), ("greater", [-1], 1),
    ]:  # fmt: skip
        fact = c.fact(c(kind, size, other))
        assert (None if fact.data is None else fact.data.tolist()[0]) == wanted, (kind, other)


def test_small_constants_fold_and_large_results_do_not() -> None:
    c = Chain("N")
    assert c.fact(c("add", [1, 2], [3, 4])).known.tolist() == [4, 6]  # type: ignore[union-attr]
    huge = c("constant_of_shape", [50000, 50000], value=np.zeros(1, np.float32))
    assert c.fact(huge).shape == (50000, 50000)
    assert c.fact(huge).data is None
    weights = c.constant(np.zeros((300, 400)), np.float32)
    assert c.fact(c("transpose", weights, perm=(1, 0))).known is not None


def test_given_shapes_bind_names_everywhere() -> None:
    inputs = [Value("x", FLOAT, ("N", 3)), Value("h", FLOAT, (2, "N"))]
    graph = Graph.of(inputs, inputs, [])
    assert facts_of(graph, {"x": (5, 3)})["h"].shape == (2, 5)
    assert facts_of(graph, {"x": ("B", 3)})["h"].shape == (2, "B")
    for shapes, message in [
        ({"y": (1,)}, "there is no input 'y'"),
        ({"x": (5, 4)}, r"'x' must have shape \(N, 3\), not \(5, 4\)"),
        ({"x": (5,)}, r"'x' has 2 axes \(N, 3\), not \(5,\)"),
        ({"x": (5, 3), "h": (2, 6)}, "'N' is 5 and 6 at once"),
    ]:
        with pytest.raises(ValueError, match=message):
            facts_of(graph, shapes)


def test_wrong_shapes_name_the_node() -> None:
    c = Chain("N", "H", "W", 3)
    kernel = c.constant(np.zeros((3, 3, 4, 8)), np.float32)
    how = {"strides": (1, 1), "padding": "same", "dilations": (1, 1), "groups": 1, "activation": None}
    c.nodes.append(Node("conv", ("x", kernel), ("y",), how, "Conv_7"))
    with pytest.raises(
        ValueError, match=r"node 'Conv_7' \(conv\): the channels of x .* must have size 4, not 3"
    ):
        c.fact("y")


@pytest.mark.parametrize("kind", ["conv", "conv_transpose"])
def test_a_padding_of_another_name_is_refused(kind: str) -> None:
    """ "valid" is no name of this vocabulary: it must not count as "same"."""
    c = Chain("N", 8, 8, 3)
    how = {"strides": (1, 1), "padding": "valid", "dilations": (1, 1), "groups": 1, "activation": None}
    how |= {"output_padding": None, "output_shape": None} if kind == "conv_transpose" else {}
    c.nodes.append(Node(kind, ("x", c.constant(np.zeros((3, 3, 3, 3)), np.float32)), ("y",), how))
    with pytest.raises(ValueError, match=r"padding must be .* not 'valid'"):
        c.fact("y")


# ---- branches and loops ----


def branches() -> dict[str, Graph]:
    x = Value("a", FLOAT, None)
    out = [Value("b", FLOAT, None)]
    then = Graph.of([x], out, [Node("concat", ("a", "a"), ("b",), {"axis": 1})])
    return {"then_branch": then, "else_branch": Graph.of([x], out, [Node("neg", ("a",), ("b",))])}


def test_a_branch_is_chosen_where_its_condition_is_known() -> None:
    c = Chain("N", 3)
    yes = c.constant(True, bool)
    assert c.fact(c("if_", yes, "x", **branches())).shape == ("N", 6)
    c.inputs.append(Value("c", BOOL, ()))
    assert c.fact(c("if_", "c", "x", **branches())).shape == ("N", None)


def test_a_condition_on_shapes_is_known_with_them() -> None:
    c = Chain("N", 3)
    size = c("gather", c("shape", "x", start=0, end=None), 0, axis=0)
    y = c("if_", c("greater", size, 2), "x", **branches())
    assert c.fact(y).shape == ("N", None)
    assert c.fact(y, x=(3, 3)).shape == (3, 6)
    assert c.fact(y, x=(2, 3)).shape == (2, 3)


def test_a_branch_that_does_not_fit_is_not_taken() -> None:
    """As exporters write a squeeze: if the axis has size 1, without it; otherwise as it is."""
    x = Value("a", FLOAT, None)
    out = [Value("b", FLOAT, None)]
    squeezed = Graph.of([x], out, [Node("squeeze", ("a", "axis"), ("b",))], {"axis": np.array([1])})
    kept = Graph.of([x], out, [Node("identity", ("a",), ("b",))])
    c = Chain("N", 3)
    c.inputs.append(Value("c", BOOL, ()))
    assert c.fact(c("if_", "c", "x", then_branch=squeezed, else_branch=kept)).shape == ("N", 3)
    with pytest.raises(ValueError, match=r"axis 1 of .* has not size 1"):
        c.fact(c("if_", "c", "x", then_branch=squeezed, else_branch=squeezed))


def loop(node: Node, *, state: int = 1) -> dict[str, Any]:
    values = [Value("i", INT64, ()), Value("c", BOOL, ()), Value("a", FLOAT, None)]
    outputs = [Value("c", BOOL, ()), Value("b", FLOAT, None), Value("b", FLOAT, None)]
    return {"body": Graph.of(values, outputs, [node]), "carried": state}


def test_a_loop_keeps_what_its_body_keeps() -> None:
    c = Chain("N", 3)
    c.inputs.append(Value("count", INT64, ()))
    for node, wanted in [
        (Node("neg", ("a",), ("b",)), ("N", 3)),
        (Node("concat", ("a", "a"), ("b",), {"axis": 0}), (None, 3)),
        (Node("unsqueeze", ("a", "i"), ("b",)), None),
    ]:
        number = len(c.nodes)
        c.nodes.append(Node("loop", ("count", "", "x"), (f"s{number}", f"r{number}"), loop(node)))
        assert c.fact(f"s{number}").shape == wanted
        rows = c.fact(f"r{number}").shape
        assert rows == (None if wanted is None else (None, *wanted))


def test_what_may_wrap_is_left_to_the_run() -> None:
    c = Chain("N")
    size = c.dim("x", 0)
    assert c.fact(c("cast", size, dtype=np.dtype(np.uint8))).data is None
    assert c.fact(c("cast", size, dtype=BOOL)).data is None
    assert c.fact(c("cast", size, dtype=np.dtype(np.int32))).data is not None
    largest = c("concat", size, [2**63 - 1], axis=0)
    assert c.fact(largest).data is not None
    assert c.fact(c("add", largest, [1, 1])).data is None
    with np.errstate(over="ignore"):
        assert c.fact(c("add", largest, [1, 1]), x=(3,)).known.tolist() == [4, -(2**63)]  # type: ignore[union-attr]
    assert c.fact(c("cast", largest, dtype=np.dtype(np.int32))).data is None


def test_facts_for_a_number_of_rows_are_those_that_inference_finds() -> None:
    kernel, bias = np.ones((3, 3, 3, 4), np.float32), np.ones(4, np.float32)
    options = {"strides": (1, 1), "padding": "same", "dilations": (1, 1), "groups": 1, "activation": None}
    nodes = [
        Node("conv", ("x", "k", "b"), ("c",), options),
        Node("add", ("c", "b"), ("s",)),
        Node("reshape", ("s", "flat"), ("y",), {"allowzero": False}),
    ]
    x, y = Value("x", FLOAT, ("n", 5, 6, 3)), Value("y", FLOAT, ("n", 120))
    held = {"k": kernel, "b": bias, "flat": np.array([-1, 120])}
    graph = Graph.of([x], [y], nodes, held)
    known = open_facts(graph, facts_of(graph))
    assert list(known) == ["x", "c", "s", "y"]
    for rows in (0, 1, 7):
        wanted, found = (
            facts_of(graph, {"x": (rows, 5, 6, 3)}),
            facts_of_rows(graph, known, {"x": (rows, 5, 6, 3)}),
        )
        assert found is not None
        assert {name: str(fact) for name, fact in found.items()} == {
            name: str(fact) for name, fact in wanted.items()
        }
    for shape in ((2, 5, 7, 3), (2, 5, 6), (), ("n", 5, 6, 3)):
        assert facts_of_rows(graph, known, {"x": shape}) is None
    assert facts_of_rows(graph, known, {}) is None
    assert facts_of_rows(graph, {}, {"x": (1, 5, 6, 3)}) is None


@pytest.mark.parametrize(
    ("shape", "node"),
    [
        (("n", 4), Node("concat", ("x", "x"), ("y",), {"axis": 0})),  # two rows for each
        (("n", 4), Node("shape", ("x",), ("y",), {"start": 0, "end": None})),  # known where n is
        (("n", "m"), Node("relu", ("x",), ("y",))),
        (("n",), Node("relu", ("x",), ("y",))),
        (("n", 4), Node("transpose", ("x",), ("y",), {"perm": (1, 0)})),
        ((2, 4), Node("relu", ("x",), ("y",))),
    ],
)
def test_graphs_with_more_that_is_open_than_rows_are_asked_anew(shape: Any, node: Node) -> None:
    graph = Graph.of([Value("x", FLOAT, shape)], [Value("y", FLOAT, None)], [node])
    assert open_facts(graph, facts_of(graph)) == {}
