"""A shape where an array is wanted, an array where a shape is wanted, and axes in another order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite.layers import Conv2D, Input, InputLayer, Model, Sequential
from convlite.network.graph import Graph, Node, Value

SHAPE = (1, 24, 16, 3)
KERNEL = np.ones((3, 3, 3, 2), np.float32)


def sequential() -> Sequential:
    return Sequential([InputLayer(SHAPE[1:]), Conv2D(2, 3, padding="same")])


def functional() -> Model:
    x = Input(SHAPE[1:])
    return Model(x, Conv2D(2, 3, padding="same")(x))


MAKERS = {
    "network": lambda: sequential().network(),
    "sequential": sequential,
    "model": functional,
    "layer": lambda: Conv2D.from_weights(KERNEL, padding="same"),
}
OF_ARRAYS = ("__call__", "predict", "profile", "tiled")
OF_SHAPES = ("summary", "plot", "tiling", "build", "compute_output_shape")


def methods(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(kind, name) for kind, make in MAKERS.items() for name in names if hasattr(make(), name)]


@pytest.mark.parametrize(("kind", "name"), methods(OF_ARRAYS))
def test_a_shape_is_no_array(kind: str, name: str) -> None:
    """Every method of arrays says what a shape is, and the array that it advises passes."""
    method = getattr(MAKERS[kind](), name)
    with pytest.raises(TypeError, match=r"looks like a shape: write np\.zeros|if it is a shape") as caught:
        method(SHAPE)
    assert "np.zeros(" in str(caught.value)
    method(np.zeros(SHAPE, np.float32))


@pytest.mark.parametrize(("kind", "name"), methods(OF_SHAPES))
def test_an_array_is_no_shape(kind: str, name: str, tmp_path: Path) -> None:
    """The message is one line, and x.shape passes where it says so."""
    method: Callable[..., Any] = getattr(MAKERS[kind](), name)
    first = (tmp_path / "net.dot",) if name == "plot" else ()
    with pytest.raises(TypeError) as caught:
        method(*first, np.zeros(SHAPE, np.float32))
    told = str(caught.value)
    assert len(told) < 250
    assert "\n" not in told
    if name == "summary" and kind != "network":  # takes no shapes
        assert "network().summary(shape)" in told
    else:
        assert told.endswith("write x.shape")
        method(*first, np.zeros(SHAPE, np.float32).shape)


@pytest.mark.parametrize("operation", ["conv2d", "max_pool2d", "resize2d"])
def test_operations(operation: str) -> None:
    second: Any = {"conv2d": KERNEL, "max_pool2d": 2, "resize2d": (4, 4)}[operation]
    with pytest.raises(TypeError, match=r"np\.zeros\(x, np\.float32\) if it is a shape"):
        getattr(cl, operation)(SHAPE, second)


def test_numbers_written_out_are_an_array() -> None:
    """Where one axis is wanted, a list of whole numbers is cast, not taken for a shape."""
    f = np.dtype("float32")
    net = cl.Network(
        Graph.of(
            [Value("x", f, (3,))],
            [Value("y", f, (3,))],
            [Node("relu", ("x",), ("y",))],
        )
    )
    with pytest.raises(TypeError, match=r"write np\.asarray\(x, np\.float32\)$"):
        net([1, 2, 3])


def test_a_sample_of_a_table_written_out_is_no_shape() -> None:
    net = Sequential([InputLayer((3,))]).network()
    with pytest.raises(TypeError, match=r"must be float32; got int(32|64): write np\.asarray"):
        net([1, 2, 3])
    with pytest.raises(ValueError, match=r"got \(3,\); is the batch axis missing\?"):
        net.predict([1, 2, 3])
    with pytest.raises(TypeError, match="looks like a shape"):
        net.profile((1, 3))


def test_sizes_without_a_tuple() -> None:
    with pytest.raises(ValueError, match=r"got 4: write one tuple, \(1, 24, 16, 3\)"):
        sequential().network().summary(*SHAPE)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a shape must be a sequence of sizes; got 5"):
        sequential().network().summary(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["network", "sequential", "model"])
@pytest.mark.parametrize("name", OF_ARRAYS)
def test_channels_first(kind: str, name: str) -> None:
    method = getattr(MAKERS[kind](), name)
    x = np.zeros(SHAPE, np.float32).transpose(0, 3, 1, 2)
    with pytest.raises(ValueError, match=r"channels last: write np\.transpose") as caught:
        method(x)
    assert "np.transpose(x, (0, 2, 3, 1))" in str(caught.value)
    method(np.transpose(x, (0, 2, 3, 1)))


@pytest.mark.parametrize("name", ["summary", "tiling"])
def test_shapes_channels_first(name: str) -> None:
    method = getattr(sequential().network(), name)
    with pytest.raises(ValueError, match=r"channels last: write \(1, 24, 16, 3\)"):
        method((1, 3, 24, 16))
    if name == "summary":
        with pytest.raises(ValueError, match=r"batch axis missing\? Write \(1, 24, 16, 3\)"):
            method((24, 16, 3))


@pytest.mark.parametrize("kind", ["network", "sequential", "model"])
def test_predict_tells_the_shape_that_it_got(kind: str) -> None:
    with pytest.raises(ValueError, match=r"got \(24, 16, 3\).*Write x\[None\]"):
        MAKERS[kind]().predict(np.zeros(SHAPE[1:], np.float32), batch_size=4)
