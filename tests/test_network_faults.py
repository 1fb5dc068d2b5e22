"""What networks once did wrong: shared memory, outputs that come twice, factors that overflow."""

from __future__ import annotations

import gc
import os
import signal
import threading
import warnings
import weakref
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from network_examples import CONV, F, classifier, numbers

import convlite as cl
from convlite import _locks
from convlite.network import program as programs
from convlite.network.graph import Graph, Node, Value
from convlite.network.interpret import interpret

RESIZE: dict[str, Any] = {
    "axes": (1, 2), "mode": "linear", "coordinates": "half_pixel", "nearest_mode": "floor", "cubic_a": -0.75,
    "exclude_outside": False, "extrapolation_value": 0.0, "antialias": False,
    "keep_aspect_ratio_policy": "stretch",
}  # fmt: skip


def value(name: str, *shape: int | str, dtype: Any = F) -> Value:
    return Value(name, np.dtype(dtype), shape)


def agrees(graph: Graph, *inputs: Any) -> cl.Network:
    """The network's outputs are the interpreter's, own their memory, and may be written."""
    want = interpret(graph, inputs)
    net = cl.Network(graph)
    for _ in range(2):
        got = net(*inputs)
        got = got if isinstance(got, tuple) else (got,)
        for number, (found, wanted) in enumerate(zip(got, want, strict=True)):
            assert found.shape == wanted.shape
            assert found.dtype == wanted.dtype
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
            assert not any(np.shares_memory(found, other) for other in (*got[number + 1 :], *inputs))
        for found in got:
            found[...] = 77
    return net


def test_an_output_and_its_reshape_do_not_share_memory() -> None:
    nodes = [Node("tan", ("x",), ("y",)), Node("reshape", ("y", "s"), ("z",), {"allowzero": False})]
    ends = [value("x", "N", 4)], [value("y", "N", 4), value("z", "N", 2, 2)]
    agrees(Graph.of(*ends, nodes, {"s": np.array([-1, 2, 2])}), numbers(0, 2, 4))


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_loop_of_no_turns_does_not_lend_the_arena(turns: int) -> None:
    inside = [value("i", dtype="int64"), value("k", dtype="bool"), value("a", 3)]
    body = Graph.of(inside, [value("k", dtype="bool"), value("b", 3)], [Node("neg", ("a",), ("b",))])
    nodes = [
        Node("abs", ("x",), ("y",)),
        Node("loop", ("n", "", "y"), ("z",), {"body": body, "carried": 1}),
        Node("neg", ("y",), ("q",)),
        Node("exp", ("q",), ("r",)),
        Node("sin", ("r",), ("t",)),
        Node("add", ("t", "z"), ("w",)),
    ]
    ends = [value("x", 3), value("n", dtype="int64")], [value("z", 3), value("w", 3)]
    agrees(Graph.of(*ends, nodes), numbers(1, 3), np.array(turns))


@pytest.mark.parametrize("after", [False, True])
def test_a_branch_that_gives_one_value_twice(after: bool) -> None:
    branch = Graph.of([value("a", 3)], [value("p", 3)] * 2, [Node("tan", ("a",), ("p",))])
    ways = {"then_branch": branch, "else_branch": branch}
    nodes = [Node("if_", ("c", "x"), ("u", "v"), ways), Node("neg", ("v",), ("w",))]
    ends = [value("x", 3)], [value("u", 3), value("w" if after else "v", 3)]
    net = agrees(Graph.of(*ends, nodes, {"c": np.array(True)}), numbers(1, 3))
    assert "if_" not in [node.kind for node in net.graph.nodes]


def test_a_depthwise_kernel_for_two_numbers_of_channels() -> None:
    nodes = [
        Node("conv", ("x", "k"), ("u",), {**CONV, "groups": 8}),
        Node("conv", ("y", "k"), ("w",), {**CONV, "groups": 4}),
    ]
    ends = [value("x", 1, 5, 5, 8), value("y", 1, 5, 5, 4)], [value("u", 1, 5, 5, 8), value("w", 1, 5, 5, 8)]
    graph = Graph.of(*ends, nodes, {"k": numbers(3, 3, 3, 1, 8)})
    agrees(graph, numbers(1, 1, 5, 5, 8), numbers(2, 1, 5, 5, 4))


def _turned(*rest: Node, outputs: list[Value]) -> Graph:
    nodes = [
        Node("transpose", ("x",), ("t",), {"perm": (0, 2, 3, 1)}),
        Node("conv", ("t", "k"), ("c",), CONV),
        Node("transpose", ("c",), ("y",), {"perm": (0, 3, 1, 2)}),
        *rest,
    ]
    constants = {"k": numbers(6, 3, 3, 3, 4), "one": np.array(1)}
    return Graph.of([value("x", "N", 3, 8, 8)], outputs, nodes, constants)


def test_an_output_that_is_read_inside_too_keeps_its_layout() -> None:
    more = Node("cumsum", ("y", "one"), ("z",), {"exclusive": False, "reverse": False})
    graph = _turned(more, outputs=[value("y", "N", 4, 8, 8), value("z", "N", 4, 8, 8)])
    x = numbers(1, 2, 3, 8, 8)
    net = cl.Network(graph, layout="NHWC")
    for found, wanted in zip(net(x.transpose(0, 2, 3, 1)), interpret(graph, [x]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_an_output_that_comes_twice_is_declared_as_it_comes() -> None:
    net = cl.Network(_turned(outputs=[value("y", "N", 4, 8, 8)] * 2), layout="NHWC")
    assert [out.shape for out in net.outputs] == [("N", 8, 8, 4)] * 2
    assert [y.shape for y in net(numbers(1, 2, 8, 8, 3))] == [(2, 8, 8, 4)] * 2


@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("axes", [(1, 2), (2, 1), None])
def test_resize_with_axes_that_hang_together(policy: str, coordinates: str, axes: Any) -> None:
    attributes = {**RESIZE, "axes": axes, "coordinates": coordinates, "keep_aspect_ratio_policy": policy}
    sizes = np.array([1, 8, 8, 2] if axes is None else [8, 8])
    node = Node("resize", ("x", "", "", "s"), ("y",), attributes)
    x = numbers(1, 1, 4, 5, 2)
    agrees(Graph.of([value("x", 1, 4, 5, 2)], [Value("y", F, None)], [node], {"s": sizes}), x)


def test_resize_without_axes_behind_a_transpose() -> None:
    nodes = [
        Node("transpose", ("x",), ("t",), {"perm": (0, 2, 3, 1)}),
        Node("resize", ("t", "", "s"), ("y",), {**RESIZE, "axes": None}),
    ]
    constants = {"s": np.float32([1, 2, 3, 1])}
    graph = Graph.of([value("x", 1, 2, 4, 5)], [Value("y", F, None)], nodes, constants)
    agrees(graph, numbers(1, 1, 2, 4, 5))


@pytest.mark.parametrize(("factor", "x"), [(1e30, 1e-30), (1e-30, 1e38)])
def test_factors_whose_product_is_no_number_stay_apart(factor: float, x: float) -> None:
    nodes = [Node("mul", ("x", "c"), ("t",)), Node("mul", ("t", "c"), ("y",))]
    graph = Graph.of([value("x", 2, 3)], [value("y", 2, 3)], nodes, {"c": np.float32([factor])})
    want = interpret(graph, [np.full((2, 3), x, F)])[0]
    np.testing.assert_allclose(cl.Network(graph)(np.full((2, 3), x, F)), want, rtol=1e-4, atol=0)


def test_a_clip_of_doubles_at_a_number_of_singles_is_no_relu() -> None:
    ends = [value("x", 2, dtype="float64")], [value("y", 2, dtype="float64")]
    graph = Graph.of(
        *ends, [Node("clip", ("x", "a", "b"), ("y",))], {"a": np.float64(0), "b": np.float64(3.4e38)}
    )
    agrees(graph, np.array([1e300, -1]))


def test_frames_hold_no_results() -> None:
    graph = Graph.of([value("x", 3)], [value("y", 3)], [Node("tan", ("x",), ("y",))])
    net = cl.Network(graph)
    net(numbers(0, 3))
    (program,) = net._executor._programs.values()
    assert all(slot is None for frame in program._frames for slot in frame)


@pytest.mark.parametrize("kind", ["softmax", "affine", "dense", "layer_norm", "reshape", "reduce_mean"])
def test_a_scan_over_the_second_axis(kind: str) -> None:
    """What its body is given are slices that do not lie in one piece."""
    constants: dict[str, Any] = {"k": numbers(1, 4, 4), "o": numbers(2, 4), "n": np.array([-1])}
    how: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "softmax": (("e",), {"axis": -1}),
        "affine": (("e", "o", "o"), {"activation": ("relu",)}),
        "dense": (("e", "k", "o"), {"activation": None}),
        "layer_norm": (("e", "o", "o"), {"axis": -1, "epsilon": 0.1}),
        "reshape": (("e", "n"), {"allowzero": False}),
        "reduce_mean": (("e", "n"), {"keepdims": True, "noop_with_empty_axes": False}),
    }
    inputs, attributes = how[kind]
    used = {name: constants[name] for name in inputs if name in constants}
    body = Graph.of([value("e", 3, 4)], [Value("r", F, None)], [Node(kind, inputs, ("r",), attributes)], used)
    ways = {"body": body, "states": 0, "input_axes": (2,), "input_reversed": (False,)}
    ways |= {"output_axes": (0,), "output_reversed": (True,)}
    graph = Graph.of([value("x", 3, 4, 5)], [Value("y", F, None)], [Node("scan", ("x",), ("y",), ways)])
    agrees(graph, numbers(3, 3, 4, 5))


@pytest.mark.parametrize("kind", ["relu", "softmax", "affine", "conv"])
def test_inputs_that_are_not_aligned(kind: str) -> None:
    memory = np.zeros(2 * 5 * 5 * 4 * 4 + 1, np.uint8)
    x = memory[1:].view(F).reshape(2, 5, 5, 4)
    x[...] = numbers(1, 2, 5, 5, 4)
    inputs, attributes = {
        "relu": (("x",), {}),
        "softmax": (("x",), {"axis": -1}),
        "affine": (("x", "s", "s"), {"activation": None}),
        "conv": (("x", "k"), CONV),
    }[kind]
    constants = {"s": numbers(2, 4), "k": numbers(3, 3, 3, 4, 4)}
    nodes = [Node(kind, inputs, ("y",), attributes)]
    agrees(Graph.of([value("x", "N", 5, 5, 4)], [value("y", "N", 5, 5, 4)], nodes, constants), x)


@pytest.mark.parametrize("kind", ["relu", "relu6", "clip", "max", "max_pool", "concat", "pad", "resize"])
def test_numbers_that_are_not_finite(kind: str) -> None:
    x = numbers(3, 2, 4, 5, 2)
    x[0, 1, 2, 0], x[0, 3, 4, 1], x[1, 0, 0, 0], x[1, 2, 2] = np.inf, -np.inf, np.nan, np.inf
    pooled = {"kernel": (2, 2), "strides": (1, 1), "padding": ((0, 1), (1, 0)), "dilations": (1, 1)}
    inputs, attributes = {
        "relu": (("x",), {}),
        "relu6": (("x",), {}),
        "clip": (("x", "low", "high"), {}),
        "max": (("x", "c"), {}),
        "max_pool": (("x",), {**pooled, "ceil_mode": False}),
        "concat": (("x", "x"), {"axis": -1}),
        "pad": (("x", "p"), {"mode": "edge"}),
        "resize": (("x", "", "", "s"), RESIZE),
    }[kind]
    constants = {
        "low": np.float32(-1), "high": np.float32(1), "c": np.float32([np.nan, 1]), "s": np.array([8, 10]),
        "p": np.array([0, 1, 2, 0, 0, 1, 0, 0]),
    }  # fmt: skip
    nodes = [Node(kind, inputs, ("y",), attributes)]
    agrees(Graph.of([value("x", "N", 4, 5, 2)], [Value("y", F, None)], nodes, constants), x)


def test_programs_are_eight_and_release_lets_their_memory_go() -> None:
    nodes = [Node("abs", ("x",), ("t",)), Node("softmax", ("t",), ("y",), {"axis": -1})]
    net = cl.Network(Graph.of([value("x", "N", 4)], [value("y", "N", 4)], nodes))
    for count in (*range(1, 30), 1):
        x = numbers(count, count, 4)
        np.testing.assert_allclose(net(x), interpret(net.graph, [x])[0], rtol=1e-5)
        assert len(net._executor._programs) <= 8
    arenas = [
        weakref.ref(array.base if array.base is not None else array)
        for program in net._executor._programs.values()
        for frame in program._frames
        for array in frame
        if array is not None
    ]
    assert arenas
    net.release()
    gc.collect()
    assert not any(arena() is not None for arena in arenas)


def test_the_program_that_goes_is_the_one_used_longest_ago() -> None:
    nodes = [Node("abs", ("x",), ("y",))]
    net = cl.Network(Graph.of([value("x", "N", 4)], [value("y", "N", 4)], nodes))
    net(numbers(0, 1, 4))
    first = next(iter(net._executor._programs.values()))
    for count in range(2, 30):
        net(numbers(0, count, 4))
        net(numbers(0, 1, 4))
        assert any(program is first for program in net._executor._programs.values())
        assert net._executor.last_shapes() == ((1, 4),)
    assert len(net._executor._programs) == 8


@pytest.mark.parametrize("most", [np.finfo(np.float32).max, np.inf, 6.0, 1e30])
def test_a_clip_at_the_largest_number_clips_infinity(most: float) -> None:
    constants = {"low": np.float32(0), "high": np.float32(most)}
    nodes = [Node("clip", ("x", "low", "high"), ("y",), {})]
    graph = Graph.of([value("x", 6)], [value("y", 6)], nodes, constants)
    x = np.array([np.inf, -np.inf, np.nan, 3e38, -0.5, 5.5], np.float32)
    want = np.array([most, 0, np.nan, min(most, 3e38), 0, 5.5], np.float32)
    np.testing.assert_array_equal(cl.Network(graph)(x), want)
    np.testing.assert_array_equal(interpret(graph, [x])[0], want)


@pytest.mark.parametrize("new", [(11, 11), (12, 9), (3, 4)])
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
def test_an_infinite_pixel_at_the_border_is_not_cancelled_by_itself(
    new: tuple[int, int], coordinates: str
) -> None:
    attributes = {**RESIZE, "mode": "cubic", "coordinates": coordinates}
    nodes = [Node("resize", ("x", "", "", "s"), ("y",), attributes)]
    graph = Graph.of([value("x", 1, 6, 5, 2)], [Value("y", F, None)], nodes, {"s": np.array(new)})
    for row, column in ((0, 0), (5, 2), (2, 4), (2, 2)):
        x = numbers(3, 1, 6, 5, 2)
        x[0, row, column] = np.inf
        found, want = cl.Network(graph)(x), interpret(graph, [x])[0]
        assert not np.isnan(want).any()
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


# ---- what stops a call amid its work -----------------------------------------------------------------------

IMAGES = numbers(9, 2, 12, 16, 3)


class Stopped(BaseException):
    """In place of KeyboardInterrupt, which pytest takes for its own."""


@pytest.mark.thread_unsafe(reason="replaces functions of the package")
def test_memory_that_cannot_be_had_leaves_nothing_half_done(monkeypatch: pytest.MonkeyPatch) -> None:
    want = cl.Network(classifier())(IMAGES).tobytes()
    failed = 0
    for good in range(40):
        net, left = cl.Network(classifier()), [good]

        def failing(make: Any, *given: Any, left: list[int] = left) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise MemoryError
            return make(*given)

        with monkeypatch.context() as patch:
            for name in ("empty", "pages"):
                patch.setattr(programs, name, partial(failing, getattr(programs, name)))
            try:
                net(IMAGES)
            except MemoryError:
                failed += 1
            else:
                break
        for _ in range(2):
            assert net(IMAGES).tobytes() == want
    assert failed >= 2  # the arena and the results
    assert good < 39


def test_a_call_that_is_stopped_at_any_step_leaves_the_next_one_right() -> None:
    net = cl.Network(classifier())
    want = net(IMAGES).tobytes()
    (program,) = net._executor._programs.values()
    steps = program.steps
    for number, step in enumerate(steps):

        def stopping(frame: Any, run: Any = step.run) -> None:
            run(frame)
            raise Stopped

        stopped = replace(step, run=stopping, core=False)
        program.steps = (*steps[:number], stopped, *steps[number + 1 :])
        with pytest.raises(Stopped):
            net(IMAGES)
        program.steps = steps
        assert net(IMAGES).tobytes() == want
    (frame,) = program._frames
    assert not any(array is IMAGES for array in frame)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.thread_unsafe(reason="sets a signal's handler")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a signal amid a finalizer
def test_signals_at_any_moment_leave_a_network_right() -> None:
    def stop(*_: Any) -> None:
        raise Stopped

    net = cl.Network(classifier())
    want = net(IMAGES).tobytes()
    before = signal.signal(signal.SIGALRM, stop)
    stopped = 0
    try:
        for turn in range(150):
            net = cl.Network(classifier()) if turn % 3 == 0 else net
            try:
                signal.setitimer(signal.ITIMER_REAL, 2e-5 + 4e-5 * (turn % 50))
                for _ in range(200):
                    net(IMAGES)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Stopped:
                stopped += 1
            assert net(IMAGES).tobytes() == want
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert stopped > 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("kind", ["network", "packed kernel", "layer"])
def test_a_child_forked_while_a_lock_is_held_goes_on(kind: str) -> None:
    held: Any
    if kind == "network":
        held = cl.Network(classifier())
        lock, work = held._executor.lock, partial(held, IMAGES[:1])
    elif kind == "packed kernel":
        held = cl.PackedKernel(numbers(1, 3, 3, 3, 4))
        held._panels.clear()
        lock, work = held._lock, partial(cl.conv2d, IMAGES, held)
    else:
        held = cl.layers.Dense(3)
        lock, work = held._lock, partial(held, numbers(1, 2, 5))
    assert lock in _locks._made
    taken, done = threading.Event(), threading.Event()

    def take() -> None:
        with lock:
            taken.set()
            done.wait(60)

    thread = threading.Thread(target=take)
    thread.start()
    assert taken.wait(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads around is the point
        child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that hangs
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert status == 0
