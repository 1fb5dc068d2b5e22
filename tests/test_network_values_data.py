"""What the kinds compute that reduce, move and pick: values by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from network_pieces import INF, F, run

from convlite.network.facts import Fact
from convlite.network.graph import Node
from convlite.network.kinds import KINDS


def ints(*items: int) -> Any:
    return np.array(items, np.int64)


# ---- reductions ----

BY_HAND = {
    "reduce_sum": 6, "reduce_mean": 2, "reduce_max": 3, "reduce_min": 1, "reduce_prod": 6, "reduce_l1": 6,
    "reduce_l2": math.sqrt(14), "reduce_log_sum": math.log(6), "reduce_sum_square": 14,
    "reduce_log_sum_exp": math.log(math.exp(1) + math.exp(2) + math.exp(3)),
}  # fmt: skip
OF_NOTHING = {
    "reduce_sum": 0, "reduce_max": -INF, "reduce_min": INF, "reduce_prod": 1, "reduce_l1": 0, "reduce_l2": 0,
    "reduce_log_sum": -INF, "reduce_sum_square": 0, "reduce_log_sum_exp": -INF,
}  # fmt: skip
KEEP = {"keepdims": True, "noop_with_empty_axes": False}


@pytest.mark.parametrize("kind", BY_HAND)
def test_reductions(kind: str) -> None:
    x = F([[1, 2, 3], [1, 2, 3]])
    np.testing.assert_allclose(run(kind, x, ints(1), **KEEP), [[BY_HAND[kind]]] * 2, rtol=1e-6)
    np.testing.assert_allclose(
        run(kind, x, ints(-1), **KEEP | {"keepdims": False}), [BY_HAND[kind]] * 2, rtol=1e-6
    )
    assert run(kind, x, None, **KEEP).shape == (1, 1)
    assert run(kind, x, ints(), **KEEP | {"keepdims": False}).shape == ()
    assert run(kind, x, ints(), keepdims=True, noop_with_empty_axes=True).shape == (2, 3)
    if kind in OF_NOTHING:
        assert run(kind, F([[], []]), ints(1), **KEEP).tolist() == [[OF_NOTHING[kind]]] * 2
    with pytest.raises(ValueError, match="axis 2 is not one of 2 axes"):
        run(kind, x, ints(2), **KEEP)
    with pytest.raises(ValueError, match="an axis twice"):
        run(kind, x, ints(1, -1), **KEEP)


def test_reductions_of_integers_and_of_infinities() -> None:
    big = np.array([2**53, 1], np.int64)
    assert run("reduce_sum", big, None, **KEEP).tolist() == [2**53 + 1]
    assert run("reduce_max", np.array([False, True]), None, **KEEP).tolist() == [True]
    assert run("reduce_log_sum_exp", F([-INF, -INF]), None, **KEEP).tolist() == [-INF]
    assert run("reduce_log_sum_exp", F([1000, 1000]), None, **KEEP) == pytest.approx(1000 + math.log(2))
    assert run("reduce_sum", np.full(2**20, 0.1, F), None, **KEEP) == pytest.approx(
        2**20 * float(F(0.1)), rel=1e-7
    )


def test_largest_and_top() -> None:
    x = F([[2, 7, 7, 1]])
    how = {"axis": 1, "keepdims": False}
    assert run("arg_max", x, select_last_index=False, **how).tolist() == [1]
    assert run("arg_max", x, select_last_index=True, **how).tolist() == [2]
    assert run("arg_min", x, select_last_index=False, axis=0, keepdims=True).tolist() == [[0, 0, 0, 0]]
    values, places = run("top_k", x, ints(3), outputs=2, axis=-1, largest=True, sorted=True)
    assert (values.tolist(), places.tolist()) == ([[7, 7, 2]], [[1, 2, 0]])
    values, places = run(
        "top_k", np.uint8([5, 0, 5, 9]), ints(3), outputs=2, axis=0, largest=False, sorted=True
    )
    assert (values.tolist(), places.tolist()) == ([0, 5, 5], [1, 0, 2])
    with pytest.raises(ValueError, match="k is 5, but axis 1 has 4 elements"):
        run("top_k", x, ints(5), outputs=2, axis=-1, largest=True, sorted=True)


@pytest.mark.parametrize(
    ("exclusive", "reverse", "want"),
    [(False, False, [1, 3, 6]), (True, False, [0, 1, 3]), (False, True, [6, 5, 3]), (True, True, [5, 3, 0])],
)
def test_cumsum(exclusive: bool, reverse: bool, want: list[int]) -> None:
    x = ints(1, 2, 3)
    assert run("cumsum", x, np.array(0), exclusive=exclusive, reverse=reverse).tolist() == want
    column = run("cumsum", x[:, None].astype(F), np.array(-2), exclusive=exclusive, reverse=reverse)
    assert column.ravel().tolist() == want
    empty = run("cumsum", np.zeros((2, 0), F), np.array(1), exclusive=exclusive, reverse=reverse)
    assert empty.shape == (2, 0)


def test_as_many_as_there_are() -> None:
    assert run("nonzero", ints(0, 3, 0, 4)).tolist() == [[1, 3]]
    assert run("nonzero", np.array([[1, 0], [1, 1]])).tolist() == [[0, 1, 1], [0, 0, 1]]
    y, first, which, counts = run("unique", ints(5, 2, 5, 1), outputs=4, axis=None, sorted=False)
    assert [a.tolist() for a in (y, first, which, counts)] == [[5, 2, 1], [0, 1, 3], [0, 1, 0, 2], [2, 1, 1]]
    y, first, which, counts = run("unique", ints(5, 2, 5, 1), outputs=4, axis=None, sorted=True)
    assert [a.tolist() for a in (y, first, which, counts)] == [[1, 2, 5], [3, 1, 0], [2, 1, 2, 0], [1, 1, 2]]
    assert run("compress", F([[1, 2], [3, 4]]), np.array([False, True]), axis=0).tolist() == [[3, 4]]
    assert run("compress", F([[1, 2], [3, 4]]), np.array([0, 1, 1], bool), axis=None).tolist() == [2, 3]


# ---- shapes ----


def test_shapes_as_values() -> None:
    x = np.zeros((2, 3, 4))
    assert run("shape", x, start=0, end=None).tolist() == [2, 3, 4]
    assert run("shape", x, start=-2, end=-1).tolist() == [3]
    assert run("shape", x, start=-9, end=9).tolist() == [2, 3, 4]
    assert run("size", x).tolist() == 24
    assert run("constant_of_shape", ints(2), value=F([7])).tolist() == [7, 7]
    assert run("constant_of_shape", ints(), value=F([7])).shape == ()
    assert run("range", *ints(1, 8, 3)).tolist() == [1, 4, 7]
    assert run("range", *ints(5, 0, -2)).tolist() == [5, 3, 1]
    assert run("range", *F([0, 1, 0.3])).tolist() == pytest.approx([0, 0.3, 0.6, 0.9])
    assert run("range", *ints(3, 1, 1)).size == 0
    with pytest.raises(ValueError, match="delta is 0"):
        run("range", *ints(1, 2, 0))


@pytest.mark.parametrize(
    ("sizes", "allowzero", "want"),
    [
        ((6, -1), False, (6, 4)), ((0, -1), False, (2, 12)), ((0, 0, 2, -1), False, (2, 3, 2, 2)),
        ((-1,), False, (24,)), ((4, 3, 2), True, (4, 3, 2)), ((24, 1, 1), False, (24, 1, 1)),
    ],
)  # fmt: skip
def test_reshape(sizes: tuple[int, ...], allowzero: bool, want: tuple[int, ...]) -> None:
    x = np.arange(24).reshape(2, 3, 4)
    got = run("reshape", x, ints(*sizes), allowzero=allowzero)
    assert got.shape == want
    assert got.ravel().tolist() == list(range(24))


@pytest.mark.parametrize(
    ("sizes", "allowzero", "message"),
    [
        ((5, -1), False, r"\(2, 3, 4\) does not divide into \(5, -1\)"),
        ((-1, -1), False, "more than one -1"),
        ((5, 5), False, r"has 24 elements, the new shape \(5, 5\) has 25"),
        ((1, 1, 1, 0), False, "copies axis 3"),
        ((0, -1), True, "leaves open"), ((-2, 12), False, "negative size"),
    ],
)  # fmt: skip
def test_reshapes_that_do_not_fit(sizes: tuple[int, ...], allowzero: bool, message: str) -> None:
    x = np.zeros((2, 3, 4))
    with pytest.raises(ValueError, match=message):
        run("reshape", x, ints(*sizes), allowzero=allowzero)
    node = Node("reshape", ("x", "s"), ("y",), {"allowzero": allowzero})
    with pytest.raises(ValueError, match=message):
        KINDS["reshape"].infer(node, [Fact(x.dtype, x.shape), Fact.of(ints(*sizes))])


def test_empty_arrays_reshape() -> None:
    assert run("reshape", np.zeros((0, 3)), ints(3, 0), allowzero=True).shape == (3, 0)
    assert run("reshape", np.zeros((0, 3)), ints(0, 5), allowzero=False).shape == (0, 5)


def test_axes_come_and_go() -> None:
    x = np.zeros((1, 3, 1, 4))
    assert run("squeeze", x, None).shape == (3, 4)
    assert run("squeeze", x, ints(-2)).shape == (1, 3, 4)
    assert run("unsqueeze", x, ints(0, -1)).shape == (1, 1, 3, 1, 4, 1)
    assert run("flatten", x, axis=2).shape == (3, 4)
    assert run("flatten", x, axis=0).shape == (1, 12)
    assert run("flatten", x, axis=4).shape == (12, 1)
    assert run("flatten", x, axis=-1).shape == (3, 4)
    assert run("expand", x, ints(2, 1, 5, 1)).shape == (2, 3, 5, 4)
    assert run("expand", x, ints(2, 1, 1, 1, 1)).shape == (2, 1, 3, 1, 4)
    assert run("tile", ints(1, 2), ints(2)).tolist() == [1, 2, 1, 2]
    with pytest.raises(ValueError, match=r"axis 1 of .* has not size 1"):
        run("squeeze", x, ints(1))
    with pytest.raises(ValueError, match="an axis twice"):
        run("unsqueeze", x, ints(0, -6))


def test_depth_and_space() -> None:
    x = np.arange(8).reshape(1, 1, 1, 8)
    assert run("depth_to_space", x, block=2, mode="DCR")[0, :, :, 0].tolist() == [[0, 2], [4, 6]]
    assert run("depth_to_space", x, block=2, mode="CRD")[0, :, :, 0].tolist() == [[0, 1], [2, 3]]
    assert (
        run("space_to_depth", run("depth_to_space", x, block=2, mode="DCR"), block=2).tolist() == x.tolist()
    )
    with pytest.raises(ValueError, match="the number of channels 6 is not a multiple of 4"):
        run("depth_to_space", x[..., :6], block=2, mode="DCR")


# ---- selection ----


def test_concat_and_split() -> None:
    x = np.arange(7)
    assert [p.tolist() for p in run("split", x, None, outputs=3, axis=0)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [p.tolist() for p in run("split", x, ints(0, 6, 1), outputs=3, axis=0)] == [
        [],
        [0, 1, 2, 3, 4, 5],
        [6],
    ]
    for sizes, message in [((1, 2), "2 sizes for 3 parts"), ((1, 2, 3), r"\[1, 2, 3\] do not make up 7")]:
        with pytest.raises(ValueError, match=message):
            run("split", x, ints(*sizes), outputs=3, axis=0)
    assert run("concat", F([[1], [2]]), F([[3], [4]]), axis=-1).tolist() == [[1, 3], [2, 4]]
    with pytest.raises(ValueError, match="axis 0 of each input must have size 2, not 3"):
        KINDS["concat"].infer(
            Node("concat", ("a", "b"), ("y",), {"axis": 1}), [Fact(None, (2, 1)), Fact(None, (3, 1))]
        )


@pytest.mark.parametrize(
    ("start", "end", "step", "want"),
    [
        (1, 4, 1, [1, 2, 3]), (-3, -1, 1, [3, 4]), (0, 2**63 - 1, 2, [0, 2, 4]),
        (-99, 99, 1, [0, 1, 2, 3, 4, 5]),
        (4, 1, 1, []), (5, 0, -2, [5, 3, 1]), (99, -99, -1, [5, 4, 3, 2, 1, 0]), (-1, -(2**63), -3, [5, 2]),
        (2, -1, -1, []), (0, 3, -1, []), (6, 9, 1, []),
    ],
)  # fmt: skip
def test_slice(start: int, end: int, step: int, want: list[int]) -> None:
    x = np.stack([np.arange(6)] * 2)
    assert run("slice", x, ints(start), ints(end), ints(-1), ints(step))[0].tolist() == want
    node = Node("slice", ("x", "a", "b", "c", "d"), ("y",))
    facts = [Fact(x.dtype, ("N", 6)), *(Fact.of(ints(v)) for v in (start, end, 1, step))]
    assert KINDS["slice"].infer(node, facts)[0].shape == ("N", len(want))


@pytest.mark.parametrize(
    ("start", "end", "want"),
    [
        (1, 2**63 - 1, "N - 1"),
        (0, -1, "N - 1"),
        (-1, 2**63 - 1, 1),
        (0, 1, 1),
        (2, -1, "max(N - 3, 0)"),
        (0, 5, "min(N, 5)"),
    ],
)
def test_slices_of_free_axes(start: int, end: int, want: Any) -> None:
    facts = [Fact(np.dtype(F), ("N",)), Fact.of(ints(start)), Fact.of(ints(end))]
    assert KINDS["slice"].infer(Node("slice", ("x", "a", "b"), ("y",)), facts)[0].shape == (want,)


@pytest.mark.parametrize(
    ("mode", "want"),
    [
        ("constant", [0, 0, 0, 1, 2, 3, 0, 0]), ("edge", [1, 1, 1, 1, 2, 3, 3, 3]),
        ("reflect", [2, 3, 2, 1, 2, 3, 2, 1]), ("symmetric", [3, 2, 1, 1, 2, 3, 3, 2]),
        ("wrap", [1, 2, 3, 1, 2, 3, 1, 2]),
    ],
)  # fmt: skip
def test_pad(mode: str, want: list[int]) -> None:
    x = F([[1, 2, 3]])
    assert run("pad", x, ints(0, 3, 0, 2), None, None, mode=mode)[0].tolist() == want
    assert run("pad", x, ints(3, 2), None, ints(-1), mode=mode)[0].tolist() == want
    assert run("pad", x, ints(-1, 0), None, ints(1), mode=mode)[0].tolist() == [2, 3]


def test_pad_with_a_value_and_more_than_there_is() -> None:
    assert run("pad", F([1, 2]), ints(1, -1), F(9), None, mode="constant").tolist() == [9, 1]
    assert run("pad", np.zeros(0, F), ints(1, 1), F(9), None, mode="constant").tolist() == [9, 9]
    with pytest.raises(ValueError, match="nothing to repeat along axis 0"):
        run("pad", np.zeros(0, F), ints(1, 1), None, None, mode="edge")
    node = Node("pad", ("x", "p"), ("y",), {"mode": "constant"})
    with pytest.raises(ValueError, match="take away more than there is along axis 0"):
        KINDS["pad"].infer(node, [Fact(np.dtype(F), (2,)), Fact.of(ints(-2, -1))])


def test_gather_and_scatter() -> None:
    x = np.arange(6).reshape(2, 3)
    assert run("gather", x, np.array([[0, -1]]), axis=1).tolist() == [[[0, 2]], [[3, 5]]]
    assert run("gather_elements", x, np.array([[2, 0], [-1, 1]]), axis=1).tolist() == [[2, 0], [5, 4]]
    assert run("gather_nd", x, np.array([[1, 0], [0, -1]]), batch_dims=0).tolist() == [3, 2]
    assert run("gather_nd", x, np.array([[1], [0]]), batch_dims=1).tolist() == [1, 3]
    with pytest.raises(ValueError, match=r"an index lies outside of -3 \.\. 2"):
        run("gather", x, ints(3), axis=1)
    ones, place = np.ones((2, 2), np.int64), np.array([[0, 0], [2, 2]])
    for reduction, want in [
        ("none", [[1, 1, 2], [3, 4, 1]]), ("add", [[2, 1, 2], [3, 4, 7]]), ("mul", [[0, 1, 2], [3, 4, 5]]),
        ("max", [[1, 1, 2], [3, 4, 5]]), ("min", [[0, 1, 2], [3, 4, 1]]),
    ]:  # fmt: skip
        assert run("scatter_elements", x, place, ones, axis=1, reduction=reduction).tolist() == want
    updates = np.full((2, 3), 10)
    assert run("scatter_nd", x, np.array([[1], [1]]), updates, reduction="add").tolist() == [
        [0, 1, 2],
        [23, 24, 25],
    ]
    assert run("scatter_nd", x, np.array([[0, 1]]), ints(7), reduction="none").tolist() == [
        [0, 7, 2],
        [3, 4, 5],
    ]


def test_masks_and_orders() -> None:
    got = run("one_hot", ints(1, -1, 5), ints(3), ints(0, 8), axis=0)
    assert got.T.tolist() == [[0, 8, 0], [0, 0, 8], [0, 0, 0]]
    x = np.arange(1, 10).reshape(3, 3)
    assert run("trilu", x, None, upper=True).tolist() == [[1, 2, 3], [0, 5, 6], [0, 0, 9]]
    assert run("trilu", x, np.array(-1), upper=False).tolist() == [[0, 0, 0], [4, 0, 0], [7, 8, 0]]
    assert run("eye_like", x, dtype=None, k=1).tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    got = run("reverse_sequence", x, ints(1, 2, 3), batch_axis=0, time_axis=1)
    assert got.tolist() == [[1, 2, 3], [5, 4, 6], [9, 8, 7]]
    got = run("reverse_sequence", x, ints(1, 2, 3), batch_axis=1, time_axis=0)
    assert got.T.tolist() == [[1, 4, 7], [5, 2, 8], [9, 6, 3]]


def test_what_is_cut_off_is_not_repeated() -> None:
    x = F([1, 2, 3])
    assert run("pad", x, ints(-1, 1), None, None, mode="wrap").tolist() == [2, 3, 2]
    assert run("pad", x, ints(-1, 2), None, None, mode="edge").tolist() == [2, 3, 3, 3]
    assert run("pad", x, ints(1, -1), None, None, mode="reflect").tolist() == [2, 1, 2]
