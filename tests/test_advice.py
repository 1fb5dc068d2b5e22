"""What errors advise: it is followed here, and it works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import cli
from convlite.layers import (
    Add,
    AveragePooling2D,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Flatten,
    Input,
    InputLayer,
    MaxPooling2D,
    Model,
    Sequential,
    UpSampling2D,
)  # fmt: skip
from convlite.network.graph import Graph, Node, Value


def unet(height: int | None, width: int | None) -> Model:
    """Three levels: two pools and a convolution of stride 2, so that sizes must be multiples of 8."""
    x = Input((height, width, 3))
    top = Conv2D(4, 3, padding="same")(x)
    middle = Conv2D(4, 3, padding="same")(MaxPooling2D(name="first")(top))
    low = Conv2D(4, 3, strides=2, padding="same", name="second")(middle)
    bottom = UpSampling2D()(AveragePooling2D(name="third")(low))
    up = Conv2DTranspose(4, 2, strides=2)(Concatenate()([bottom, low]))
    up = UpSampling2D()(Add()([up, middle]))
    return Model(x, Concatenate()([up, top]))


@pytest.mark.parametrize(
    ("size", "layer", "told"),
    [
        ((32, 28), "third", "7 columns"),
        ((36, 32), "third", "9 rows"),
        ((30, 32), "second", "15 rows"),
        ((30, 28), "third", "7 columns"),  # rows do not fit either: they are not what this node is about
    ],
)
def test_sizes_that_pools_do_not_divide(size: tuple[int, int], layer: str, told: str) -> None:
    """The layer and the multiple are named; images padded to it pass."""
    net = unet(None, None).network()
    x = np.zeros((1, *size, 3), np.float32)
    with pytest.raises(ValueError, match=f"'{layer}' .* has strides 2 and gets {told}") as caught:
        net(x)
    found = re.search(r"multiples of (\d+)", str(caught.value))
    assert found is not None
    most = int(found[1])
    assert most == 8
    pads = [(0, -n % most) for n in size]
    assert net(np.pad(x, [(0, 0), *pads, (0, 0)])).shape[3] == 8
    assert str(caught.value).startswith("give images")
    assert told.split()[1] == ("columns" if "axis 2" in str(caught.value) else "rows")


def test_a_size_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "unet.npz")
    unet(None, None).save(path)
    assert cli.main(["run", path, "--size", "30x28"]) == 1
    assert "give --size 32x32, or give images" in capsys.readouterr().err
    assert cli.main(["run", path, "--size", "32x32"]) == 0
    np.save(tmp_path / "x.npy", np.zeros((1, 30, 28, 3), np.float32))  # --size leaves arrays as they are
    assert cli.main(["run", path, str(tmp_path / "x.npy")]) == 1
    told = capsys.readouterr().err
    assert "give images" in told
    assert "--size" not in told


def test_what_runs_each_node_needs_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "unet.npz")
    unet(None, None).save(path)
    assert cli.main(["inspect", path]) == 0
    assert "give the command --size HxW" in capsys.readouterr().out.splitlines()[-1]
    assert cli.main(["inspect", path, "--size", "32x24"]) == 0
    told = capsys.readouterr().out
    assert "?" not in told
    assert "(1, 32, 24, 4)" in told


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (["inspekt", "m.npz"], "inspect"),
        (["run", "m.npz", "--lables", "f.txt"], "--labels"),
        (["run", "m.npz", "--lables=f.txt"], "--labels"),
        (["inspect", "m.npz", "--sise", "3x3"], "--size"),
        (["convert", "a", "b", "--layuot", "NHWC"], "--layout"),
        (["convert", "a", "b", "--layout", "NHCW"], "NHWC"),
        (["demo", "--thraeds", "1"], "--threads"),
        (["bench", "--secnods", "1"], "--seconds"),
    ],
    ids=lambda c: c[-1] if isinstance(c, list) else "",
)
def test_misspelt_commands_and_options(
    command: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(command)
    assert capsys.readouterr().err.endswith(f"did you mean {meant!r}?\n")


def test_three_spatial_axes() -> None:
    for name, flat in [("Conv3D", "Conv2D"), ("MaxPool3D", "MaxPooling2D"), ("UpSampling3D", "UpSampling2D")]:
        with pytest.raises(
            AttributeError, match=f"there is none, .* one or two spatial axes, as in '{flat}'"
        ):
            getattr(cl.layers, name)
    with pytest.raises(AttributeError, match=r"there is none, .* as in 'conv2d'"):
        _ = cl.conv3d  # type: ignore[attr-defined]


def test_a_whole_network_is_no_file_of_weights(tmp_path: Path) -> None:
    model = Sequential([InputLayer((4,)), Dense(2)])
    model.save(tmp_path / "net.npz")
    for strict in (True, False):
        with pytest.raises(ValueError, match=r"net.npz' is a whole network.*convlite\.load\("):
            model.load_weights(tmp_path / "net.npz", strict=strict)
    assert cl.load(tmp_path / "net.npz")(np.ones((1, 4), np.float32)).shape == (1, 2)
    model.save_weights(tmp_path / "w.npz")
    model.load_weights(tmp_path / "w.npz")


def test_sizes_of_an_input_that_pools_do_not_divide() -> None:
    with pytest.raises(
        ValueError, match=r"^make .* multiples of 8.* 'second' has strides 2 and gets 15 rows"
    ):
        unet(30, 32)
    unet(32, 32)


def test_other_misfits_are_not_blamed_on_strides() -> None:
    x = Input((9, 9, 1))
    with pytest.raises(ValueError, match="joins along axis 3") as caught:
        Concatenate()([Conv2D(1, 3)(x), x])
    assert "strides" not in str(caught.value)
    with pytest.raises(ValueError, match="axes") as caught:
        Concatenate()([MaxPooling2D()(x), Flatten()(x)])
    assert "strides" not in str(caught.value)
    with pytest.raises(ValueError, match="axis 1 has 4 and 9") as caught:
        Add()([MaxPooling2D()(x), x])  # of even sizes they would not fit either
    assert "strides" not in str(caught.value)
    with pytest.raises(ValueError, match=r"make .* multiples of 2.*'halved' has strides 2 and gets 9 rows: "):
        Add()([UpSampling2D()(MaxPooling2D(name="halved")(x)), x])


def advised(shape: tuple[Any, ...], *nodes: Node, first: bool = False, **constants: Any) -> str:
    """What is told of images "x" of 15 x 15 that a pool halves before other nodes; "p" is its result.

    first: whether channels come first in the network's input.
    """
    pool: dict[str, Any] = {"kernel": (2, 2), "strides": (2, 2), "dilations": (1, 1), "ceil_mode": False}
    pool["padding"] = ((0, 0), (0, 0))
    f = np.dtype("float32")
    perm = (0, 2, 3, 1) if first else (0, 1, 2, 3)
    turned = Node("transpose", ("z",), ("x",), {"perm": perm})
    ends = [Value("z", f, shape)], [Value("y", f, None)]
    graph = Graph.of(*ends, [turned, Node("max_pool", ("x",), ("p",), pool), *nodes], constants)
    with pytest.raises(ValueError, match=r"node 'y") as caught:
        cl.Network(graph)(np.zeros((1, 3, 15, 15) if first else (1, 15, 15, 3), f))
    return str(caught.value)


def test_multiples_are_advised_only_where_they_help() -> None:
    """Not where images of another size would not fit either, nor where the error is of another kind."""
    conv = {"strides": (1, 1), "padding": "same", "dilations": (1, 1), "groups": 1, "activation": None}
    up = Node("depth_to_space", ("q",), ("u",), {"block": 2, "mode": "DCR"})
    wide = Node("concat", ("p", "p", "p", "p"), ("q",), {"axis": 3})
    both = Node("add", ("x", "u"), ("y",), {"activation": None})
    advice = "since 'p' (max_pool) has strides 2 and gets 15 rows: "
    assert advice in advised(("n", "h", "w", 3), wide, up, both)
    assert advice in advised(("n", 3, "h", "w"), wide, up, both, first=True)
    assert advice not in advised((1, 15, 15, 3), wide, up, both)  # takes no other images
    half = Node("add", ("x", "p"), ("y",), {"activation": None})
    assert "multiples" not in advised(("n", "h", "w", 3), half)
    kernel = np.zeros((3, 3, 5, 4), np.float32)
    told = advised(tuple("nhwc"), Node("conv", ("p", "k"), ("y",), conv), k=kernel)
    assert "channels" in told
    assert "multiples" not in told


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2)], ids=["NHWC", "NCHW"])
def test_an_image_of_another_size(axes: tuple[int, ...]) -> None:
    shape = tuple((1, 24, 20, 3)[axis] for axis in axes)
    f = np.dtype("float32")
    net = cl.Network(Graph.of([Value("x", f, shape)], [Value("y", f, shape)], [Node("relu", ("x",), ("y",))]))
    x = np.zeros((1, 10, 30, 3), f)
    with pytest.raises(ValueError, match=r"of 24 x 20: write convlite.resize2d\(x, \(24, 20\)\)"):
        net(x.transpose(axes))
    net(cl.resize2d(x, (24, 20)).transpose(axes))


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2)], ids=["NHWC", "NCHW"])
@pytest.mark.parametrize(
    ("given", "wanted", "advice"), [(1, 3, "grey"), (4, 3, "alpha"), (3, 1, "mean"), (4, 1, "mean")]
)
def test_images_with_other_channels(axes: tuple[int, ...], given: int, wanted: int, advice: str) -> None:
    """What is advised is what the network takes."""
    shape, f = tuple((1, "h", "w", wanted)[axis] for axis in axes), np.dtype("float32")
    net = cl.Network(Graph.of([Value("x", f, shape)], [Value("y", f, shape)], [Node("relu", ("x",), ("y",))]))
    x = np.zeros((1, 10, 30, given), f).transpose(axes)
    with pytest.raises(ValueError, match=advice) as caught:
        net(x)
    told = str(caught.value).rsplit("rite ", 1)[1]
    net(eval(told, {"np": np, "x": x}))
    net.predict(eval(told, {"np": np, "x": x}))


def test_channels_of_a_convolution() -> None:
    x, kernel = np.zeros((1, 9, 9, 4), np.float32), np.zeros((3, 3, 3, 8), np.float32)
    with pytest.raises(ValueError, match=r"is the fourth channel alpha\? Write x\[..., :3\]$"):
        cl.conv2d(x, kernel)
    with pytest.raises(ValueError, match=r"are the images grey\? Write np.repeat\(x, 3, axis=-1\)$"):
        cl.conv2d(x[..., :1], kernel)


def test_a_pair_of_images_and_labels() -> None:
    model = Sequential([Flatten(), Dense(2)])
    x = np.zeros((2, 4, 4, 3), np.float32)
    with pytest.raises(
        ValueError, match=r"got a pair, as of images and labels: give the images alone, x\[0\]"
    ):
        model.predict((x, np.zeros(2)))


def test_an_image_of_another_size_for_a_model() -> None:
    model = Sequential([InputLayer((24, 20, 3)), Flatten(), Dense(2)])
    with pytest.raises(ValueError, match=r"write convlite.resize2d\(x, \(24, 20\)\)"):
        model(np.zeros((1, 10, 30, 3), np.float32))
    with pytest.raises(ValueError, match="was made for the shape") as caught:
        model(np.zeros((1, 24, 20, 4), np.float32))
    assert "resize2d" not in str(caught.value)


def test_a_file_of_weights_without_a_network(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"weights only.*load_weights.*Network.from_keras"):
        cl.load(path)


X, KERNEL = np.zeros((1, 8, 8, 3), np.float32), np.zeros((3, 3, 3, 4), np.float32)


@pytest.mark.parametrize("arguments", [(X,), (X, KERNEL), (X, KERNEL, 1), (Conv2D(4, 3),)])
def test_explain_takes_a_name_and_shapes(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(
        (TypeError, ValueError), match=r'explain\("conv2d", x.shape, kernel.shape\)'
    ) as caught:
        cl.explain(*arguments)
    assert "0., 0." not in str(caught.value)


def test_explain_with_arrays() -> None:
    with pytest.raises(TypeError, match=r"got a float32 array of shape \(1, 8, 8, 3\): write x.shape"):
        cl.explain("conv2d", X, KERNEL)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"write kernel.shape"):
        cl.explain("conv2d", X.shape, KERNEL)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGPIPE and other errors for such pipes")
@pytest.mark.parametrize("command", [["--help"], ["info"], ["inspect", "FILE", "--text"]], ids=lambda c: c[0])
def test_a_command_whose_reader_has_ended_is_quiet(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    Sequential([InputLayer((8, 8, 1))] + [Conv2D(1, 1) for _ in range(9)]).save(path)
    words = [str(path) if word == "FILE" else word for word in command]
    running = subprocess.Popen(
        [sys.executable, "-m", "convlite", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    running.stdout.close()
    running.stdout = None
    _, errors = running.communicate()
    assert errors == b""
    assert running.returncode in (0, 141)


def test_a_layer_that_is_sought_beside_the_operations() -> None:
    with pytest.raises(AttributeError, match=r"it is a layer: convlite\.layers\.Conv2D$"):
        cl.Conv2D  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'Conv5D'$|did you mean"):
        cl.Conv5D  # noqa: B018
