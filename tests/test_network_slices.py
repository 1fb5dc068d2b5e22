"""Concats and splits of channels that are views: dense blocks, splits, skips; same bits as with copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from network_examples import CONV, F, numbers

import convlite as cl
from convlite.network import assemble
from convlite.network.graph import Graph, Node, Value
from convlite.network.interpret import interpret

POOL: dict[str, Any] = {
    "kernel": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0)), "dilations": (1, 1), "ceil_mode": False,
}  # fmt: skip


class Net:
    """A graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, Any] = {}

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(Node(kind, inputs, (name,), attributes))
        return name

    def conv(self, x: str, cin: int, cout: int, size: int = 3, **options: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = numbers(len(self.constants), size, size, cin, cout) / (size * cin**0.5)
        return self.add("conv", x, name, **{**CONV, "padding": "same", **options})

    def const(self, *values: float, dtype: Any = np.int64) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = np.array(values, dtype)
        return name

    def graph(self, *outputs: str, channels: int = 16, size: int = 12) -> Graph:
        ends = [Value(name, F, None) for name in outputs]
        inputs = [Value("x", F, ("N", size, size, channels))]
        return Graph.of(inputs, ends, self.nodes, self.constants)


def dense_block(listed: bool) -> Graph:
    """DenseNet: batch norm that cannot be folded, then convolutions, whose output is joined to what was."""
    net = Net()
    parts = [net.add("max_pool", net.conv("x", 16, 16), **POOL)]
    whole, width = parts[0], 16
    for _ in range(4):
        scale, offset = numbers(width, width), numbers(width + 1, width)
        net.constants |= {f"s{width}": scale, f"o{width}": offset}
        y = net.add("affine", whole, f"s{width}", f"o{width}", activation=("relu",))
        y = net.conv(net.conv(y, width, 32, 1), 32, 8)
        parts.append(y)
        whole = net.add("concat", *(parts if listed else (whole, y)), axis=-1)
        width += 8
    return net.graph(net.add("avg_pool", whole, **POOL, count_include_pad=False))


def split_block() -> Graph:
    """Halves that take two ways, one through convolutions, and meet again."""
    net = Net()
    whole = net.conv("x", 16, 32, 1, activation=("silu",))
    axis = net.const(3)
    halves = [
        net.add("slice", whole, net.const(low), net.const(low + 16), axis, net.const(1)) for low in (0, 16)
    ]
    ways = [*halves]
    for _ in range(2):
        y = net.conv(net.conv(ways[-1], 16, 16, 1), 16, 16)
        ways.append(net.add("add", ways[-1], y))
    return net.graph(net.conv(net.add("concat", *ways, axis=-1), 64, 20, 1))


def skips() -> Graph:
    """U-Net: what is joined later is pooled first."""
    net = Net()
    kept, x, width = [], "x", 16
    for _ in range(2):
        x = net.conv(x, width, 24, activation=("relu",))
        kept.append(x)
        x, width = net.add("max_pool", x, **POOL), 24
    for skip in reversed(kept):
        net.constants[name := f"t{skip}"] = numbers(5, 2, 2, 12, width) / 7
        options = {
            **CONV,
            "padding": ((0, 0), (0, 0)),
            "strides": (2, 2),
            "output_shape": None,
            "output_padding": (0, 0),
        }
        x = net.add("conv_transpose", x, name, **options)
        x, width = net.conv(net.add("concat", skip, x, axis=3), 36, 24), 24
    return net.graph(x)


def odd_ones() -> Graph:
    """What may not be a view: inputs, outputs, a value that comes twice, softmax, other axes, a lone one."""
    net = Net()
    a, b = net.conv("x", 16, 8), net.conv("x", 16, 8, 1)
    soft = net.add("softmax", a, axis=-1)
    twice = net.add("concat", b, b, "x", axis=-1)
    rows = net.add("concat", a, b, axis=1)
    lone = net.add("concat", net.add("tanh", b), axis=-1)
    both = net.add("concat", a, lone, soft, axis=-1)
    return net.graph(a, both, net.add("relu", twice), net.add("relu", rows), net.add("relu", lone))


def halves(again: bool) -> Graph:
    """ShuffleNet: one half stays, the other is replaced; again: what was replaced is needed later."""
    net = Net()
    x, ends = net.conv("x", 16, 16), []
    for _ in range(3):
        first = net.add("slice", x, net.const(0), net.const(8), net.const(3))
        second = net.add("slice", x, net.const(8), net.const(16), net.const(3))
        y = net.conv(net.conv(second, 8, 24, 1), 24, 8)
        ends += [net.add("add", y, second, activation=None)] if again else []
        x = net.conv(net.add("concat", first, y, axis=-1), 16, 16)
    return net.graph(net.conv(x, 16, 4), *ends)


def padded() -> Graph:
    """Style transfer: reflecting pads behind norms and sums; what is padded is a summand as well."""
    net = Net()
    net.constants |= {"scale": numbers(1, 16), "offset": numbers(2, 16)}

    def pad(x: str, count: int, mode: str = "reflect") -> str:
        return net.add("pad", x, net.const(0, count, count, 0, 0, count + 1, count, 0), mode=mode)

    def norm(x: str) -> str:
        return net.add("instance_norm", x, "scale", "offset", epsilon=1e-5)

    x = norm(net.conv("x", 16, 16))
    for mode in ("reflect", "edge"):
        y = net.conv(pad(x, 1, mode), 16, 16, padding=((0, 0), (0, 0)))
        y = net.add("slice", y, net.const(0), net.const(12), net.const(1))
        x = net.add("add", x, norm(y), activation=None)
    return net.graph(net.conv(pad(net.add("relu", x), 3), 16, 8, padding=((0, 0), (0, 0))), x)


GRAPHS = {
    "dense block of lists": dense_block(True),
    "dense block of pairs": dense_block(False),
    "split": split_block(),
    "skips": skips(),
    "odd ones": odd_ones(),
    "halves": halves(False),
    "halves, needed again": halves(True),
    "padded": padded(),
}


def outputs(graph: Graph, x: Any) -> tuple[Any, ...]:
    net = cl.Network(graph)
    net(x)
    found = net(x)
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_same_bits_as_with_copies(name: str, precision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, x = GRAPHS[name], numbers(1, 2, 12, 12, 16)
    with cl.precision(precision):
        for threads in (1, 3):
            with cl.num_threads(threads):
                found = outputs(graph, x)
                with monkeypatch.context() as patch:
                    patch.setattr(assemble, "in_place", lambda *_: ({}, set(), {}))
                    copied = outputs(graph, x)
                for a, b in zip(found, copied, strict=True):
                    assert a.tobytes() == b.tobytes()
    for a, wanted in zip(found, interpret(graph, [x]), strict=True):
        np.testing.assert_allclose(a, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["dense block of lists", "split", "skips"])
def test_no_copy_is_left(name: str) -> None:
    net = cl.Network(GRAPHS[name])
    net(numbers(1, 2, 12, 12, 16))
    (program,) = net._executor._programs.values()
    (frame,) = program._frames
    assert len(frame.script) == len([step for step in program.steps if step.how != "copy"])


@pytest.mark.parametrize("again", [False, True])
def test_a_concat_lies_where_its_parts_were_split_from(again: bool) -> None:
    net = cl.Network(halves(again))
    net(numbers(1, 2, 12, 12, 16))
    (program,) = net._executor._programs.values()
    (frame,) = program._frames
    without = len([step for step in program.steps if step.how != "copy"])
    assert (len(frame.script) == without) == (not again)


def test_what_is_padded_lies_in_the_padded_array() -> None:
    net = cl.Network(padded())
    net(numbers(1, 2, 12, 12, 16))
    (program,) = net._executor._programs.values()
    assert [view.corner for view in program.arena_views if view.corner] == [(1, 1), (1, 1), (3, 3)]


@pytest.mark.parametrize("mode", ["reflect", "edge", "constant"])
def test_padding_of_channels_first_runs_in_the_core(mode: Any) -> None:
    net = Net()
    pads = net.const(0, 0, 2, 3, 0, 0, 1, 4)
    built = cl.Network(net.graph(net.add("pad", "x", pads, mode=mode), channels=9))
    x = numbers(1, 2, 12, 12, 9)
    np.testing.assert_array_equal(built(x), np.pad(x, ((0, 0), (0, 0), (2, 1), (3, 4)), mode))
    (program,) = built._executor._programs.values()
    assert [step.how for step in program.steps] == ["copy"]


BEFORE_A_PAD: dict[str, tuple[Any, ...]] = {  # the shapes of constants, then attributes
    "affine": ((16,), (16,), {"activation": ("relu",)}),
    "layer_norm": ((16,), (16,), {"axis": -1, "epsilon": 0.1}),
    "instance_norm": ((16,), (16,), {"epsilon": 0.1}),
    "group_norm": ((16,), (16,), {"epsilon": 0.1, "groups": 4}),
    "relu": ({},),
    "softplus": ({},),
    "sqrt": ({},),
    "exp": ({},),
    "add": ((16,), {}),
    "mul": ((12, 12, 1), {}),
    "max": ((1,), {}),
    "softmax": ({"axis": -1},),
    "max_pool": ({**POOL},),
    "avg_pool": ({**POOL, "count_include_pad": False},),
    "conv": ((3, 3, 16, 16), {**CONV, "padding": "same"}),
    "conv of each channel": ((3, 3, 1, 16), {**CONV, "padding": "same", "groups": 16}),
    "dense": ((16, 16), (16,), {"activation": None}),
}


@pytest.mark.parametrize("after", [(1, 1), (0, 2)])
@pytest.mark.parametrize("what", BEFORE_A_PAD)
def test_what_any_step_writes_may_be_padded(what: str, after: tuple[int, int]) -> None:
    """The padded array is in the arena, since a pool reads it; a step that cannot do with gaps has a copy."""
    net = Net()
    *shapes, options = BEFORE_A_PAD[what]
    names = []
    for number, shape in enumerate(shapes):
        net.constants[f"c{number}"] = numbers(number, *shape) / 4
        names.append(f"c{number}")
    x = net.add("abs", net.add("max_pool", "x", **{**POOL, "strides": (1, 1), "padding": ((0, 1), (0, 1))}))
    y = net.add(what.split()[0], x, *names, **options)
    wide = net.add("pad", y, net.const(0, 1, after[0], 0, 0, 0, after[1], 0), mode="reflect")
    graph = net.graph(net.add("max_pool", wide, **POOL))
    x = np.random.default_rng(0).standard_normal((2, 12, 12, 16)).astype(F)
    (want,) = interpret(graph, [x])
    np.testing.assert_allclose(cl.Network(graph)(x), want, rtol=2e-4, atol=1e-5)
