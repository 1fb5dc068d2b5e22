"""ConvTranspose's attributes against ONNX Runtime's results (golden/onnx_transpose.npz)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlite as cl

with np.load(Path(__file__).parent / "golden" / "onnx_transpose.npz") as _file:
    STORED = {name: _file[name] for name in _file.files}
CASES: list[dict[str, Any]] = json.loads(str(STORED.pop("cases")))
ROW = np.arange(1, 4, dtype=np.float32).reshape(1, 3, 1)


def attributes(case: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in case.items() if name not in ("kernel", "want")}


def test_the_grid_is_whole() -> None:
    assert len(CASES) > 400
    assert sum(case["want"] is not None for case in CASES) > 300


@pytest.mark.parametrize("number", [n for n, case in enumerate(CASES) if case["kernel"]])
def test_one_axis(number: int) -> None:
    case = CASES[number]
    kernel = np.float32([1, 10, 100, 1000])[: case["kernel"]].reshape(-1, 1, 1)
    options = {"strides": case["strides"][0], "dilations": case["dilations"][0]}

    def run() -> np.ndarray:
        found = cl.convert.onnx_transpose_padding(ROW.shape, kernel.shape, **attributes(case))
        return cl.conv1d_transpose(ROW, kernel, **options, **found)

    if case["want"] is None:  # refused there
        if case["dilations"] == [2]:
            return  # ONNX Runtime wants output_padding below the stride; below the dilation does here
        with pytest.raises(ValueError, match=r"output_padding|output_shape"):
            run()
        return
    got = run()
    assert got.ravel().tolist() == case["want"]
    for axis in (1, 2):  # the same along either axis of an image
        image, square = np.expand_dims(ROW, axis), np.expand_dims(kernel, axis - 1)
        pair = {k: [1 if k != "output_padding" else 0] for k in ("strides", "dilations", "output_padding")}
        both = {}
        for name, value in attributes(case).items():
            if name == "auto_pad":
                both[name] = value
            elif name == "pads":
                both[name] = [0, *value[:1], 0, *value[1:]] if axis == 1 else [value[0], 0, value[1], 0]
            else:
                other = pair.get(name, [1])
                both[name] = [*other, *value] if axis == 1 else [*value, *other]
        found = cl.convert.onnx_transpose_padding(image.shape, square.shape, **both)
        steps = {name: both[name] for name in ("strides", "dilations")}
        np.testing.assert_array_equal(
            cl.conv2d_transpose(image, square, **steps, **found), np.expand_dims(got, axis)
        )


@pytest.mark.parametrize("number", [n for n, case in enumerate(CASES) if not case["kernel"]])
def test_images(number: int) -> None:
    x = cl.convert.nchw_to_nhwc(STORED["image"])
    kernel = cl.convert.from_onnx(STORED["weight"], "ConvTranspose")
    found = cl.convert.onnx_transpose_padding(x.shape, kernel.shape, **attributes(CASES[number]))
    got = cl.conv2d_transpose(x, kernel, strides=CASES[number]["strides"], **found)
    np.testing.assert_allclose(cl.convert.nhwc_to_nchw(got), STORED[str(number)], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"auto_pad": "SAME"}, "auto_pad must be one of NOTSET, SAME_UPPER, SAME_LOWER, VALID; got 'SAME'"),
        ({"auto_pad": "VALID", "pads": [0, 0, 0, 0]}, "pads and auto_pad exclude each other"),
        ({"pads": [1, 1]}, r"pads must be 4 numbers, one for each axis; got \[1, 1\]"),
        ({"strides": [1, 2, 2]}, "strides must be 2 numbers"),
        (
            {"output_shape": [9, 40]},
            "output_shape must be at most 1 larger than the full output, 13, along axis 2",
        ),
        ({"x_shape": (1, 2)}, r"x_shape and kernel_shape must be \(N, H, W, C\)"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    good = {"x_shape": (1, 4, 6, 2), "kernel_shape": (3, 3, 5, 2), "strides": 2}
    with pytest.raises(ValueError, match=message):
        cl.convert.onnx_transpose_padding(**{**good, **arguments})
