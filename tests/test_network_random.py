"""Networks of random graphs against the interpreter, and against themselves: batches, threads, repetition."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from network_examples import F

import convlite as cl
from convlite.network.graph import Graph, Node, Value
from convlite.network.interpret import interpret

Array = np.ndarray[Any, Any]
UNARY = ("relu", "sigmoid", "tanh", "silu", "hard_swish", "softplus", "abs", "neg", "erf", "relu6")
RESIZE: dict[str, Any] = {
    "axes": (1, 2), "coordinates": "half_pixel", "nearest_mode": "floor", "cubic_a": -0.75,
    "exclude_outside": False, "extrapolation_value": 0.0, "antialias": False,
    "keep_aspect_ratio_policy": "stretch",
}  # fmt: skip


class Builder:
    """A graph that grows by random nodes; values are images (batch, height, width, channels)."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self.shapes: dict[str, tuple[int, ...]] = {"x": (8, 6, 4)}

    def pick(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def numbers(self, *shape: int) -> str:
        scale = 1 / np.sqrt(max(np.prod(shape[:-1], dtype=int), 1))
        return self.constant((self.rng.standard_normal(shape) * scale).astype(F))

    def put(self, kind: str, inputs: tuple[str, ...], *shapes: tuple[int, ...], **attributes: Any) -> str:
        outputs = tuple(f"v{len(self.shapes) + n}" for n in range(len(shapes)))
        self.nodes.append(Node(kind, inputs, outputs, attributes))
        self.shapes.update(zip(outputs, shapes, strict=True))
        return outputs[0]

    def grow(self) -> None:
        names = list(self.shapes)
        x = self.pick(names[-3:] if self.rng.random() < 0.6 else names)
        self.pick(STEPS)(self, x, self.shapes[x])


def unary(b: Builder, x: str, s: tuple[int, ...]) -> None:
    b.put(b.pick(UNARY), (x,), s)


def binary(b: Builder, x: str, s: tuple[int, ...]) -> None:
    same = [name for name, shape in b.shapes.items() if shape == s]
    b.put(b.pick(("add", "sub", "mul", "max", "min")), (x, b.pick(same)), s)


def with_constant(b: Builder, x: str, s: tuple[int, ...]) -> None:
    c = b.pick((b.numbers(s[-1]), b.numbers(1), b.numbers(1, 1, s[-1]), b.numbers(*s)))
    b.put(b.pick(("add", "sub", "mul")), b.pick(((x, c), (c, x))), s)


def conv(b: Builder, x: str, s: tuple[int, ...]) -> None:
    groups = b.pick((1, s[-1], 2 if s[-1] % 2 == 0 else 1))
    out = groups * b.pick((1, 2)) if groups > 1 else b.pick((3, 4, 8))
    if out > 16:
        return
    strides = b.pick(((1, 1), (2, 1)))
    sizes = tuple(-(-n // t) for n, t in zip(s, strides, strict=False))
    inputs = (x, b.numbers(3, 3, s[-1] // groups, out), b.numbers(out))[: b.pick((2, 3))]
    how = {"padding": "same", "dilations": (1, 1), "groups": groups, "activation": None}
    b.put("conv", inputs, (*sizes, out), strides=strides, **how)


def conv_transpose(b: Builder, x: str, s: tuple[int, ...]) -> None:
    if max(s[:2]) > 8:
        return
    groups = b.pick((1, 2)) if s[-1] % 2 == 0 else 1
    k = b.numbers(2, 2, 2, s[-1])
    how = {"output_shape": None, "output_padding": None, "dilations": (1, 1), "activation": None}
    shape = (2 * s[0], 2 * s[1], 2 * groups)
    padding = ((0, 0), (0, 0))
    b.put("conv_transpose", (x, k), shape, strides=(2, 2), padding=padding, groups=groups, **how)


def batch_norm(b: Builder, x: str, s: tuple[int, ...]) -> None:
    more = [b.numbers(s[-1]) for _ in range(3)]
    b.put("batch_norm", (x, *more, b.constant(b.rng.random(s[-1]).astype(F) + 0.5)), s, epsilon=1e-3)


def pool(b: Builder, x: str, s: tuple[int, ...]) -> None:
    how = {"strides": (1, 1), "padding": ((1, 1), (0, 2)), "dilations": (1, 1), "ceil_mode": False}
    more = {"count_include_pad": b.pick((True, False))}
    b.put(b.pick(("max_pool", "avg_pool")), (x,), s, kernel=(3, 3), **how, **more)


def concat(b: Builder, x: str, s: tuple[int, ...]) -> None:
    others = [name for name, shape in b.shapes.items() if shape[:2] == s[:2] and shape[2] + s[2] <= 16]
    if others:
        other = b.pick(others)
        b.put("concat", (x, other), (*s[:2], s[2] + b.shapes[other][2]), axis=b.pick((3, -1)))


def split(b: Builder, x: str, s: tuple[int, ...]) -> None:
    if s[2] > 1:
        first = int(b.rng.integers(1, s[2]))
        sizes = (first, s[2] - first)
        b.put(
            "split", (x, b.constant(np.array(sizes))), *((*s[:2], n) for n in sizes), axis=3, num_outputs=None
        )


def part(b: Builder, x: str, s: tuple[int, ...]) -> None:
    if s[0] > 2:
        starts, ends, axes, steps = ([1], [10**9], [1], [b.pick((1, 2))])
        size = len(range(1, s[0], steps[0]))
        places = tuple(b.constant(np.array(v)) for v in (starts, ends, axes, steps))
        b.put("slice", (x, *places), (size, *s[1:]))


def reshaped(b: Builder, x: str, s: tuple[int, ...]) -> None:
    new = (s[1], s[0], s[2])
    b.put("reshape", (x, b.constant(np.array([-1, *new]))), new, allowzero=False)


def transposed(b: Builder, x: str, s: tuple[int, ...]) -> None:
    perm = b.pick(((0, 3, 1, 2), (0, 2, 3, 1), (0, 2, 1, 3)))
    new = tuple(s[axis - 1] for axis in perm[1:])
    if max(new[2], 1) <= 16:
        b.put("transpose", (x,), new, perm=perm)


def gate(b: Builder, x: str, s: tuple[int, ...]) -> None:
    axes = b.constant(np.array([1, 2]))
    kind = b.pick(("reduce_mean", "reduce_max", "reduce_sum"))
    m = b.put(kind, (x, axes), (1, 1, s[2]), keepdims=True, noop_with_empty_axes=False)
    d = b.put("dense", (m, b.numbers(s[2], s[2]), b.numbers(s[2])), (1, 1, s[2]), activation=None)
    g = b.put("sigmoid", (d,), (1, 1, s[2]))
    b.put("mul", (x, g), s)


def resize(b: Builder, x: str, s: tuple[int, ...]) -> None:
    new = (b.pick((5, 7, 8)), b.pick((3, 6)))
    sizes = b.constant(np.array(new))
    b.put("resize", (x, "", "", sizes), (*new, s[2]), mode=b.pick(("nearest", "linear", "cubic")), **RESIZE)


def pad(b: Builder, x: str, s: tuple[int, ...]) -> None:
    if max(s[:2]) < 10:
        pads = b.constant(np.array([0, 1, 0, 0, 0, 0, 1, 0]))
        mode = b.pick(("constant", "edge"))
        b.put("pad", (x, pads), (s[0] + 1, s[1] + 1, s[2]), mode=mode)


def norm(b: Builder, x: str, s: tuple[int, ...]) -> None:
    kind = b.pick(("softmax", "layer_norm", "instance_norm"))
    if kind == "softmax":
        b.put(kind, (x,), s, axis=b.pick((-1, 1)))
    elif kind == "layer_norm":
        b.put(kind, (x, b.numbers(s[2]), b.numbers(s[2])), s, axis=-1, epsilon=0.1)
    else:
        b.put(kind, (x, b.numbers(s[2]), b.numbers(s[2])), s, epsilon=0.1)


Step = Callable[[Builder, str, tuple[int, ...]], None]
STEPS: tuple[Step, ...] = (
    *(unary, unary, unary, binary, binary, binary, with_constant, conv, conv, conv_transpose, batch_norm),
    *(pool, concat, split, part, reshaped, transposed, transposed, gate, resize, pad, norm),
)


def graph_of(seed: int) -> Graph:
    """5 to 40 nodes; outputs in the middle and at the end, sometimes one twice, sometimes the input."""
    b = Builder(seed)
    wanted = int(b.rng.integers(5, 41))
    while len(b.nodes) < wanted:
        b.grow()
    names = list(b.shapes)
    outputs = [names[-1], *(b.pick(names) for _ in range(3))]
    if b.rng.random() < 0.3:
        outputs.append("x")
    if b.rng.random() < 0.3:
        outputs.append(outputs[0])
    values = [Value(name, F, ("N", *b.shapes[name])) for name in outputs]
    return Graph.of([Value("x", F, ("N", 8, 6, 4))], values, b.nodes, b.constants)


def images(seed: int, count: int) -> Array:
    return np.random.default_rng(seed).standard_normal((count, 8, 6, 4)).astype(F)


def bits(outputs: Any) -> list[bytes]:
    return [y.tobytes() for y in (outputs if isinstance(outputs, tuple) else (outputs,))]


SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_values_are_the_interpreters(seed: int) -> None:
    graph = graph_of(seed)
    net = cl.Network(graph)
    for count in (1, 3, 0):
        x = images(seed, count)
        for found, wanted in zip(net(x), interpret(graph, [x]), strict=True):
            assert found.shape == wanted.shape
            scale = max(1.0, float(np.abs(wanted).max(initial=0)))
            np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=5e-5 * scale)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_bits_always(seed: int) -> None:
    net = cl.Network(graph_of(seed))
    x, other = images(seed, 3), images(seed + 1000, 3)
    with cl.num_threads(1):
        want = bits(net(x))
    with cl.num_threads(2):
        assert bits(net(x)) == want
    singles = [net(x[i : i + 1]) for i in range(3)]
    assert bits(tuple(np.concatenate(parts) for parts in zip(*singles, strict=True))) == want
    second = bits(net(other))
    given = x.copy()
    outputs = net(given)
    for number, y in enumerate(outputs):
        assert not any(np.shares_memory(y, z) for z in (given, *outputs[number + 1 :]))
        y[...] = np.nan
    given[...] = np.nan
    assert bits(net(x)) == want
    assert bits(net(other)) == second


@pytest.mark.parametrize("seed", SEEDS[::8])
def test_eight_threads_at_once(seed: int) -> None:
    net = cl.Network(graph_of(seed))
    inputs = [images(n, 1 + n % 3) for n in range(8)]
    want = [bits(net(x)) for x in inputs]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            assert [bits(y) for y in threads.map(net, inputs)] == want


def _broken(monkeypatch: pytest.MonkeyPatch, net: cl.Network, error: Exception) -> None:
    (program,) = net._executor._programs.values()
    step = program.steps[len(program.steps) // 2]

    def fails(frame: list[Any]) -> None:
        step.run(frame)
        raise error

    with monkeypatch.context() as patch:
        broken = [type(s)(fails if s is step else s.run, s.node, s.how, s.drop) for s in program.steps]
        patch.setattr(program, "steps", tuple(broken))
        with pytest.raises(type(error)):
            net(images(5, 2))


@pytest.mark.parametrize("error", [MemoryError("no"), RuntimeError("no"), KeyboardInterrupt()])
def test_a_call_after_one_that_failed(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    net = cl.Network(graph_of(3))
    x = images(4, 2)
    want = bits(net(x))
    _broken(monkeypatch, net, error)
    (program,) = net._executor._programs.values()
    assert len(program._frames) == 1
    assert bits(net(x)) == want
    net.release()
    assert not program._frames
    assert bits(net(x)) == want
