"""Tiles of networks whose convolutions add residuals: windows of the two operands differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from tile_networks import CONV, POOL, RESIZE, TRANSPOSED, F, Growing, conv

import convlite as cl
from convlite import Network
from convlite.layers import (
    Add,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Input,
    MaxPooling2D,
    Model,
    UpSampling2D,
)
from convlite.network.facts import Fact
from convlite.network.graph import Graph, Node, Value
from convlite.network.infer import facts_of
from convlite.network.passes import fuse_residuals
from convlite.network.tiling.grid import Grid, cut_of, edges_of
from convlite.network.tiling.rule import RULES, Rule

Array = np.ndarray[Any, Any]


def numbers(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(F)


def adds(graph: Graph, facts: Mapping[str, Fact]) -> list[Node]:
    """The convolutions that add a residual."""
    found = fuse_residuals(graph, facts)
    return [node for node in found.nodes if node.kind == "conv" and len(node.inputs) == 4]


# ---- random networks ----


def activation(g: Growing, channels: int, slopes: bool = True) -> Any:
    options: list[Any] = [None, ("relu",), ("silu",), ("leaky_relu", 0.2)]
    if slopes:
        options.append(("prelu", numbers(len(g.facts), channels)))
    return options[int(g.rng.integers(len(options)))]


def down(g: Growing, x: str) -> str | None:
    """Half of the rows and columns: mostly by a convolution."""
    if g.rng.random() < 0.25:
        return g.put("max_pool", (x,), **POOL)
    taps = g.pick((3, 3), (5, 5), (2, 2), (1, 3))
    kernel = g.numbers(*taps, g.shape(x)[3], g.pick(4, 8))
    padding = g.pick("same", "same", "same_lower")
    how = {**CONV, "strides": (2, 2), "padding": padding, "activation": g.pick(None, ("relu",))}
    return g.put("conv", (x, kernel), **how)


def up(g: Growing, x: str) -> str | None:
    """Twice the rows and columns."""
    channels = g.shape(x)[3]
    if g.rng.random() < 0.5:
        how = {**RESIZE, "mode": g.pick("nearest", "linear"), "coordinates": "half_pixel"}
        return g.put("resize", (x, "", g.constant(np.array([1, 2, 2, 1], F))), **how)
    taps = g.pick(2, 3)
    return g.put("conv_transpose", (x, g.numbers(taps, taps, g.pick(4, 8), channels)), **TRANSPOSED)


def residual(g: Growing, x: str) -> str | None:
    """last(first(conv(x)) + what is there of as many rows and columns), which may have fewer channels."""
    others = [name for name in g.images if name != x and g.shape(name)[:3] == g.shape(x)[:3]]
    if not others:
        return None
    other = g.pick(*others)
    there = g.shape(other)[3]
    channels = there + int(g.pick(0, 0, 1, 4))
    taps, dilations = g.pick((1, 1), (3, 3), (5, 5), (1, 4)), g.pick((1, 1), (1, 1), (2, 3))
    first = activation(g, channels)
    made = g.put(
        "conv",
        (x, g.numbers(*taps, g.shape(x)[3], channels), g.numbers(channels)),
        **{**CONV, "dilations": dilations, "activation": first},
    )
    if channels > there:
        pads = g.constant(np.array([0] * 7 + [channels - there]))
        other = g.put("pad", (other, pads), mode="constant") or ""
    slopes = first is None or first[0] != "prelu"
    operands = g.pick((made or "", other), (other, made or ""))
    return g.put("add", operands, activation=activation(g, channels, slopes)) if made and other else None


def with_constant(g: Growing, x: str) -> str | None:
    """A residual that is a constant of the image's size."""
    n, h, w, c = g.shape(x)
    made = g.put("conv", (x, g.numbers(3, 3, c, 4)), **CONV)
    return g.put("add", (made or "", g.constant(numbers(len(g.facts), n, h, w, 4))), activation=None)


STEPS = (down, down, up, up, up, residual, residual, residual, conv, with_constant)


def random_network(seed: int) -> tuple[Graph, tuple[int, ...]]:
    """(a graph in which at least one convolution adds a residual, the shape of its input)."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 3)), 8 * int(rng.integers(3, 5)), 8 * int(rng.integers(3, 6)), 4)
    g = Growing(seed, shape, 1 << 16)
    for number in range(200):
        x = g.images[-1] if g.rng.random() < 0.8 else g.pick(*g.images)
        if number > 8 and adds(g.graph(1 + seed % 2), g.facts):
            break
        g.add(g.pick(*STEPS)(g, x))
    return g.graph(1 + seed % 2), shape


@pytest.mark.parametrize("seed", range(30))
def test_random_residuals_have_the_bits_of_the_whole_run(seed: int) -> None:
    graph, shape = random_network(seed)
    assert adds(graph, facts_of(graph, {"x": shape}))
    net, x = Network(graph), numbers(seed, *shape)
    steps = net.tiling(shape).alignment
    tile = [step * max(1, (8 + 4 * (seed % 3)) // step) for step in steps]
    whole = net(x)
    tiled = net.tiled(x, tile=tile)
    for one, other in zip(*(y if isinstance(y, tuple) else (y,) for y in (tiled, whole)), strict=True):
        assert one.tobytes() == other.tobytes()
    with cl.precision("fast"):
        same, fast, tiled = net.tiling(shape, tile).same_bits, net(x), net.tiled(x, tile=tile)
    ends = [y if isinstance(y, tuple) else (y,) for y in (tiled, fast, whole)]
    for one, other, exact in zip(*ends, strict=True):
        assert np.abs(one - exact).max() <= 1e-4 * np.abs(exact).max()
        assert not same or one.tobytes() == other.tobytes()


# ---- networks that people write ----


@pytest.mark.parametrize("strided", [True, False], ids=["convolution", "pool"])
@pytest.mark.parametrize("transposed", [True, False], ids=["transposed", "repeated"])
def test_a_unet_whose_last_level_is_added(strided: bool, transposed: bool) -> None:
    """What the pool needs of the first convolution is more than what the addition at the end does."""
    x = Input((None, None, 3))
    top = Conv2D(4, 3, padding="same")(x)
    middle = MaxPooling2D()(top)
    low = Conv2D(4, 3, padding="same", strides=2)(middle) if strided else MaxPooling2D()(middle)
    back = Conv2DTranspose(4, 2, strides=2)(low) if transposed else UpSampling2D()(low)
    beside = UpSampling2D()(Concatenate()([back, middle]))
    model = Model(x, Add()([Conv2D(4, 1)(beside), top]))
    images = numbers(1, 2, 32, 48, 3)
    whole = model.network()(images)
    for tile in (4, 8, 12, (16, 8)):
        assert model.tiled(images, tile=tile).tobytes() == whole.tobytes()


SLOPES = ("prelu", numbers(8, 8))


@pytest.mark.parametrize("last", [None, ("relu",), SLOPES], ids=["alone", "relu", "prelu"])
@pytest.mark.parametrize("channels", [8, 5])
@pytest.mark.parametrize("from_image", [True, False], ids=["of the image", "computed"])
def test_one_residual(last: Any, channels: int, from_image: bool) -> None:
    """The convolution's operand reaches 4 places further than the residual, which nothing else needs."""
    nodes = [
        Node("conv", ("x", "k"), ("a",), CONV),
        Node("conv", ("x", "m"), ("r",), CONV),
        Node("pad", ("x" if from_image else "r", "pads"), ("p",), {"mode": "constant"}),
        Node("conv", ("a", "l"), ("c",), {**CONV, "dilations": (2, 2)}),
        Node("add", ("p", "c"), ("y",), {"activation": last}),
    ]
    if channels == 8:
        nodes = [node for node in nodes if node.kind != "pad"]
        nodes[-1] = nodes[-1].with_(inputs=("x" if from_image else "r", "c"))
    constants = {
        "k": numbers(1, 5, 5, channels, 8),
        "l": numbers(2, 3, 3, 8, 8),
        "m": numbers(3, 1, 1, channels, channels),
        "pads": np.array([0] * 7 + [8 - channels]),
    }
    ends = [Value("x", F, ("n", "h", "w", channels))], [Value("y", F, ("n", "h", "w", 8))]
    graph = Graph.of(*ends, nodes, constants)
    x = numbers(4, 2, 21, 26, channels)
    (node,) = adds(graph, facts_of(graph, {"x": x.shape}))
    assert node.inputs[3] == ("x" if from_image else "r")
    net = Network(graph)
    assert net.tiling(x.shape, 7).halo == ((4, 4), (4, 4))
    assert net.tiled(x, tile=7).tobytes() == net(x).tobytes()


def test_tiles_add_within_the_convolution_too() -> None:
    graph, shape = random_network(0)
    cells = cut_of(Network(graph)._executor, shape)
    edges = {role: edges_of(cells, role, 8 * cells.cut.alignment(role)) for role in cells.cut.used}
    for tile in Grid(cells, edges).kinds():
        assert adds(cells.cut.network(tile.ways), facts_of(cells.cut.network(tile.ways)))


def test_an_operand_that_a_rule_forgets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that does not cut an input that follows the image would let it lie anywhere."""

    def forgetful(look: Any) -> Rule:
        made = RULES["mul"](look)
        return Rule(made.roles, (made.cut[0], {}))

    monkeypatch.setitem(RULES, "add", forgetful)
    nodes = [Node("relu", ("x",), ("a",)), Node("add", ("x", "a"), ("y",), {"activation": None}, "sum")]
    shape = ("n", "h", "w", 2)
    net = Network(Graph.of([Value("x", F, shape)], [Value("y", F, shape)], nodes))
    with pytest.raises(ValueError, match=r"node 'sum' \(add\) takes its input 'a' from the image"):
        net.tiled(numbers(5, 1, 8, 8, 2), tile=4)
