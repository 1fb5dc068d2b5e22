"""Random networks of images that can be cut into tiles, and two that are like those people run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import convlite as cl
from convlite.network.facts import Fact
from convlite.network.graph import Graph, Node, Value
from convlite.network.infer import facts_of_node

Array = np.ndarray[Any, Any]
F = np.dtype("float32")
CONV: dict[str, Any] = {
    "strides": (1, 1), "padding": "same", "dilations": (1, 1), "groups": 1, "activation": None,
}  # fmt: skip
TRANSPOSED: dict[str, Any] = {**CONV, "strides": (2, 2), "output_padding": None, "output_shape": None}
POOL: dict[str, Any] = {
    "kernel": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0)), "dilations": (1, 1), "ceil_mode": False,
}  # fmt: skip
RESIZE: dict[str, Any] = {
    "axes": None, "coordinates": "half_pixel", "nearest_mode": "floor", "cubic_a": -0.75, "mode": "linear",
    "exclude_outside": False, "extrapolation_value": 0.0, "antialias": False,
    "keep_aspect_ratio_policy": "stretch",
}  # fmt: skip
MOST = 4096 * 8  # elements of a value of a random network


class Growing:
    """A graph that grows node by node, with the shape of each value."""

    def __init__(self, seed: int, shape: tuple[int, ...], most: int = MOST) -> None:
        self.most = most
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self.facts: dict[str, Fact] = {"x": Fact(F, shape)}
        self.images = ["x"]

    def pick(self, *options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def shape(self, name: str) -> tuple[int, ...]:
        found = self.facts[name].shape
        assert found is not None
        return found  # type: ignore[return-value]

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        self.facts[name] = Fact.of(self.constants[name])
        return name

    def numbers(self, *shape: int) -> str:
        scale = 1 / np.sqrt(max(np.prod(shape[:-1], dtype=int), 1))
        return self.constant((self.rng.standard_normal(shape) * scale).astype(F))

    def put(self, kind: str, inputs: tuple[str, ...], outputs: int = 1, **attributes: Any) -> str | None:
        """The name of the first output; None where the node would make too much of it, or nothing."""
        names = tuple(f"v{len(self.facts)}_{number}" for number in range(outputs))
        node = Node(kind, inputs, names, attributes)
        try:
            facts = facts_of_node(node, [self.facts[name] if name else None for name in inputs])
        except ValueError:  # a window that does not fit
            return None
        shape: Any = facts[0].shape
        if min(shape) < 1 or (len(shape) == 4 and min(shape[1:3]) < 3) or np.prod(shape) > self.most:
            return None
        self.nodes.append(node)
        self.facts.update(zip(names, facts, strict=False))
        return names[0]

    def add(self, name: str | None) -> None:
        if name is not None:
            self.images.append(name)

    def graph(self, outputs: int = 1) -> Graph:
        found = [name for name in self.images[::-1][:outputs] if name != "x"] or ["x"]
        ends = [Value(name, F, tuple(f"{name} {axis}" for axis in range(4))) for name in found]
        if found == ["x"]:
            self.nodes.append(Node("relu", ("x",), ("y",)))
            ends = [Value("y", F, tuple("abcd"))]
        channels = self.shape("x")[3]
        return Graph.of([Value("x", F, ("n", "h", "w", channels))], ends, self.nodes, self.constants)


def conv(g: Growing, x: str) -> str | None:
    channels = g.shape(x)[3]
    groups = g.pick(1, 1, channels, 2 if channels % 2 == 0 else 1)
    out = groups * g.pick(1, 2) if groups > 1 else g.pick(3, 4, 8, 16)
    taps = g.pick((3, 3), (3, 3), (1, 1), (5, 5), (1, 4), (2, 2), (7, 3))
    padding = g.pick("same", "same", "same_lower", ((0, 0), (0, 0)), ((1, 2), (3, 0)), ((4, 4), (2, 2)))
    kernel = g.numbers(*taps, channels // groups, out)
    inputs = (x, kernel, g.numbers(out))[: g.pick(2, 3)]
    strides, dilations = g.pick((1, 1), (1, 1), (2, 2), (2, 1), (3, 3)), g.pick((1, 1), (1, 1), (2, 3))
    how = {"strides": strides, "padding": padding, "dilations": dilations, "groups": groups}
    return g.put("conv", inputs, **how, activation=g.pick(None, ("relu",)))


def transposed(g: Growing, x: str) -> str | None:
    channels = g.shape(x)[3]
    groups = g.pick(1, 1, 2 if channels % 2 == 0 else 1)
    taps, strides = g.pick(
        ((2, 2), (2, 2)), ((3, 3), (2, 2)), ((4, 4), (2, 2)), ((1, 3), (2, 3)), ((5, 5), (3, 2))
    )
    padding = g.pick("same", ((0, 0), (0, 0)), ((1, 0), (0, 1)))
    extra = None if padding == "same" else g.pick(None, (1, 1))
    how = {"strides": strides, "padding": padding, "output_padding": extra, "output_shape": None}
    kernel = g.numbers(*taps, g.pick(2, 3), channels)
    return g.put("conv_transpose", (x, kernel), **how, dilations=(1, 1), groups=groups, activation=None)


def pool(g: Growing, x: str) -> str | None:
    kernel = g.pick((2, 2), (3, 3), (3, 2))
    strides = g.pick((2, 2), (1, 1), (3, 2))
    padding, ceil = g.pick(((0, 0), (0, 0)), ((1, 1), (1, 1)), ((0, 1), (1, 0))), g.pick(False, True)
    if g.rng.random() < 0.2:
        padding, ceil = "same", False
    how: dict[str, Any] = {"padding": padding, "dilations": (1, 1), "ceil_mode": ceil}
    kind = g.pick("max_pool", "avg_pool")
    if kind == "avg_pool":
        how["count_include_pad"] = g.pick(True, False)
    return g.put(kind, (x,), kernel=kernel, strides=strides, **how)


def resize(g: Growing, x: str) -> str | None:
    n, h, w, c = g.shape(x)
    how = {**RESIZE, "mode": g.pick("linear", "nearest", "cubic")}
    how["coordinates"] = g.pick("half_pixel", "asymmetric", "align_corners")
    how["antialias"] = how["mode"] != "nearest" and g.pick(False, True)
    if g.rng.random() < 0.6:
        scales = g.constant(np.array([1, g.pick(2, 3, 0.5), g.pick(2, 1, 1.5), 1], F))
        return g.put("resize", (x, "", scales), **how)
    sizes = g.constant(np.array([n, g.pick(2 * h, h + 3, max(h // 2, 1)), g.pick(2 * w, w), c]))
    return g.put("resize", (x, "", "", sizes), **how)


def pad(g: Growing, x: str) -> str | None:
    mode = g.pick("constant", "reflect", "edge", "symmetric")
    amounts = [0, g.pick(0, 1, 2), g.pick(0, 2), 0, 0, g.pick(0, 2), g.pick(0, 1), 0]
    if mode == "constant":
        amounts[1] = g.pick(3, -1)
        return g.put("pad", (x, g.constant(np.array(amounts)), g.numbers(1)), mode=mode)
    return g.put("pad", (x, g.constant(np.array(amounts))), mode=mode)


def blocks(g: Growing, x: str) -> str | None:
    _, h, w, c = g.shape(x)
    if c % 4 == 0 and g.rng.random() < 0.6:
        return g.put("depth_to_space", (x,), block=2, mode=g.pick("DCR", "CRD"))
    return g.put("space_to_depth", (x,), block=2) if h % 2 == w % 2 == 0 and c <= 4 else None


def shuffled(g: Growing, x: str) -> str | None:
    """depth_to_space as reshapes and a transpose, as some exporters write it."""
    n, h, w, c = g.shape(x)
    if c % 4 or n * h * w * c > MOST:
        return None
    six = g.put("reshape", (x, g.constant(np.array([n, h, w, 2, 2, c // 4]))), allowzero=False)
    turned = g.put("transpose", (six or "",), perm=(0, 1, 3, 2, 4, 5))
    return g.put("reshape", (turned or "", g.constant(np.array([n, 2 * h, 2 * w, c // 4]))), allowzero=False)


def part(g: Growing, x: str) -> str | None:
    steps = g.constant(np.array([g.pick(1, 2), 1]))
    starts, ends = (
        g.constant(np.array([g.pick(0, 1, 3), 2])),
        g.constant(np.array([10**6, g.pick(-1, 10**6)])),
    )
    return g.put("slice", (x, starts, ends, g.constant(np.array([1, 2])), steps))


def unary(g: Growing, x: str) -> str | None:
    return g.put(g.pick("relu", "sigmoid", "tanh", "silu", "hard_swish", "abs", "neg"), (x,))


def with_constant(g: Growing, x: str) -> str | None:
    _, h, w, c = g.shape(x)
    other = g.pick(g.numbers(c), g.numbers(1), g.numbers(1, h, w, 1), g.numbers(h, 1, c))
    return g.put(g.pick("add", "mul", "sub"), g.pick((x, other), (other, x)))


def binary(g: Growing, x: str) -> str | None:
    same = [name for name in g.images if g.shape(name) == g.shape(x)]
    return g.put(g.pick("add", "mul", "max"), (x, g.pick(*same)))


def concat(g: Growing, x: str) -> str | None:
    same = [name for name in g.images if g.shape(name)[:3] == g.shape(x)[:3]]
    return g.put("concat", (x, g.pick(*same)), axis=3) if g.shape(x)[3] <= 8 else None


def split(g: Growing, x: str) -> str | None:
    channels = g.shape(x)[3]
    return (
        g.put("split", (x, g.constant(np.array([1, channels - 1]))), 2, axis=3, num_outputs=None)
        if channels > 1
        else None
    )


def along_channels(g: Growing, x: str) -> str | None:
    channels = g.shape(x)[3]
    choice = g.pick("softmax", "dense", "layer_norm", "reduce", "batch_norm")
    if choice == "softmax":
        return g.put("softmax", (x,), axis=-1)
    if choice == "dense":
        return g.put("dense", (x, g.numbers(channels, 6), g.numbers(6)), activation=None)
    if choice == "layer_norm":
        return g.put("layer_norm", (x, g.numbers(channels), g.numbers(channels)), axis=-1, epsilon=1e-5)
    if choice == "batch_norm":
        variance = g.constant(g.rng.random(channels).astype(F) + 0.5)
        return g.put("batch_norm", (x, *(g.numbers(channels) for _ in range(3)), variance), epsilon=1e-3)
    kind = g.pick("reduce_mean", "reduce_max")
    return g.put(kind, (x, g.constant(np.array([3]))), keepdims=True, noop_with_empty_axes=False)


STEPS: tuple[Callable[[Growing, str], str | None], ...] = (
    *(conv, conv, conv, transposed, pool, resize, pad, blocks, shuffled, part, unary, with_constant, binary),
    *(concat, split, along_channels),
)


def computed(net: cl.Network, x: Array) -> Array:
    """One call on one thread, for pools, which find this module by its name."""
    with cl.num_threads(1):
        result: Array = net(x)
        return result


def random_network(seed: int, nodes: int = 8, outputs: int = 1) -> tuple[Graph, tuple[int, ...]]:
    """(a graph, the shape of its input)."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 3)), int(rng.integers(18, 40)), int(rng.integers(18, 40)), 4)
    g = Growing(seed, shape)
    for _ in range(200):
        if len(g.nodes) >= nodes:
            break
        x = g.images[-1] if g.rng.random() < 0.7 else g.pick(*g.images)
        g.add(g.pick(*STEPS)(g, x))
    return g.graph(outputs), shape


def espcn(scale: int = 3, features: int = 32, channels: int = 3) -> Graph:
    """Three convolutions and a shuffle of pixels: larger pictures."""
    g = Growing(1, (1, 60, 60, channels), 1 << 24)
    last = channels * scale * scale
    for x, taps, inner, outer, name in (
        ("x", 5, channels, features, ("tanh",)),
        ("", 3, features, features, ("tanh",)),
        ("", 3, features, last, None),
    ):  # fmt: skip
        kernel = g.numbers(taps, taps, inner, outer)
        g.add(g.put("conv", (x or g.images[-1], kernel, g.numbers(outer)), **{**CONV, "activation": name}))
    g.add(g.put("depth_to_space", (g.images[-1],), block=scale, mode="DCR"))
    return g.graph().with_(name="espcn")


def unet(base: int = 8, levels: int = 3, channels: int = 3) -> Graph:
    """Down by pools, up by transposed convolutions, with what was there before put beside it."""
    size = 8 << levels
    g = Growing(2, (1, size, size, channels), 1 << 24)

    def block(x: str, outer: int) -> str:
        for _ in range(2):
            kernel = g.numbers(3, 3, g.shape(x)[3], outer)
            x = g.put("conv", (x, kernel, g.numbers(outer)), **{**CONV, "activation": ("relu",)}) or ""
        return x

    x, beside = "x", []
    for level in range(levels):
        x = block(x, base << level)
        beside.append(x)
        x = g.put("max_pool", (x,), **POOL) or ""
    x = block(x, base << levels)
    for level in reversed(range(levels)):
        up = g.put("conv_transpose", (x, g.numbers(2, 2, base << level, g.shape(x)[3])), **TRANSPOSED)
        x = block(g.put("concat", (up or "", beside[level]), axis=3) or "", base << level)
    g.add(g.put("conv", (x, g.numbers(1, 1, base, 2), g.numbers(2)), **CONV))
    return g.graph().with_(name="unet")
