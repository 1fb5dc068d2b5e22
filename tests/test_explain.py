"""explain: its text, its numbers, its errors. tests/golden/check_explain.py runs the code that is printed."""

import re
from pathlib import Path

import numpy as np
import pytest

import convlite as cl
from convlite._equivalents import equivalents
from convlite.explain import describe, resolve

GOLDEN = Path(__file__).parent / "golden" / "explain.txt"
CASES = [
    ("conv2d", (1, 224, 224, 3), (7, 7, 3, 64), {"strides": 2, "padding": "same"}),
    (
        "conv2d",
        (1, 14, 14, 8),
        (3, 3, 4, 8),
        {"padding": "same_lower", "dilations": 2, "strides": (2, 1), "groups": 2},
    ),
    ("conv2d_transpose", (64, 7, 7, 256), (5, 5, 128, 256), {"strides": 2, "padding": "same"}),
    ("conv2d_transpose", (64, 4, 4, 256), (3, 3, 128, 256), {"strides": 3, "output_shape": (14, 14)}),
    (
        "conv2d_transpose",
        (1, 4, 4, 8),
        (3, 3, 4, 8),
        {"strides": 2, "dilations": 2, "padding": 1, "groups": 2},
    ),
    ("depthwise_conv2d", (1, 9, 9, 8), (3, 3, 8, 2), {"strides": (2, 1), "padding": "same"}),
    ("depthwise_conv2d", (1, 9, 9, 8), (3, 3, 8, 2), {"strides": 2, "dilations": 2, "padding": "same"}),
    ("conv1d", (1, 16, 8), (3, 8, 6), {"padding": (2, 0)}),
    ("conv1d_transpose", (1, 8, 8), (4, 6, 8), {"strides": 2, "padding": 1}),
    ("dense", (8, 3), (3, 5), {}),
]


def test_text_is_the_golden_text() -> None:
    # Changed on purpose? First let check_explain.py run the code, then write the new text into the file.
    text = "\n\n\n".join(describe(operation, x, kernel, **options) for operation, x, kernel, options in CASES)
    text = re.sub("(?m)^  form .*\n", "", text)  # depends on the instruction set
    assert text + "\n" == GOLDEN.read_text()


def test_the_form_that_runs_the_call_is_named(isa: str) -> None:
    for call, form in (
        (((1, 28, 28, 32), (3, 3, 32, 64)), 'strided; with precision="fast" winograd 4x4'),
        (((1, 28, 28, 32), (3, 3, 32, 1)), "pixel vectors"),
        (((1, 1, 1, 512), (1, 1, 512, 64)), "few rows"),
    ):
        assert f"  form {form}" in describe("conv2d", *call, padding="same").splitlines()
    assert "  form " not in describe("conv2d", (0, 28, 28, 32), (3, 3, 32, 64))


@pytest.mark.parametrize(("operation", "x", "kernel", "options"), CASES)
def test_output_shape_is_the_operations(
    operation: str, x: tuple[int, ...], kernel: tuple[int, ...], options: dict[str, object]
) -> None:
    x, kernel = (1, *x[1:]) if len(x) > 2 else x, kernel
    if "output_shape" not in options and np.prod(x) * np.prod(kernel) > 1e9:
        pytest.skip("too large to compute in a test; the golden text has the shape")
    y = getattr(cl, operation)(np.ones(x, np.float32), np.ones(kernel, np.float32), **options)
    assert resolve(operation, x, kernel, **options).out == y.shape


def test_every_framework_has_code_that_compiles() -> None:
    for operation, x, kernel, options in CASES:
        found = equivalents(resolve(operation, x, kernel, **options))
        assert [one.framework for one in found] == ["TensorFlow", "Keras 3", "PyTorch", "ONNX"]
        for one in found:
            compile("\n".join(one.code), one.framework, "exec")
            assert re.search(r"^(# )?y = ", one.code[-1])


def test_asymmetric_same_becomes_a_pad_in_pytorch() -> None:
    text = describe("conv2d", (1, 224, 224, 3), (7, 7, 3, 64), strides=2, padding="same")
    assert "top 2, bottom 3, left 2, right 3" in text
    assert "F.pad(x.permute(0, 3, 1, 2), (2, 3, 2, 3))" in text


def test_output_padding_reaches_each_framework() -> None:
    text = describe("conv2d_transpose", (1, 4, 4, 2), (3, 3, 5, 2), strides=2, output_padding=(1, 0))
    assert "[1, 10, 9, 5]" in text
    assert text.count("output_padding=(1, 0)") == 2 + 1  # Keras: as a function, as a layer; PyTorch
    assert "output_padding=[1, 0]" in text


def test_empty_output_is_said() -> None:
    assert "the output is empty" in describe("conv2d", (0, 2, 2, 1), (1, 1, 1, 1))


def test_explain_prints_what_describe_says(capsys: pytest.CaptureFixture[str]) -> None:
    cl.explain("conv1d", [1, 16, 8], [3, 8, 6])
    assert capsys.readouterr().out == describe("conv1d", (1, 16, 8), (3, 8, 6)) + "\n"


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("conv3d", (1,), (1,)), {}, ValueError, "operation must be one of conv2d, conv2d_transpose"),
        (("conv2d", (1, 8, 8), (3, 3, 3, 4)), {}, ValueError, r"x_shape must be 4 sizes; got \(1, 8, 8\)"),
        (("conv2d", 3, (3, 3, 3, 4)), {}, TypeError, "x_shape must be a sequence of integers; got 3"),
        (("conv2d", (1, 8, 8, 3.0), (3, 3, 3, 4)), {}, TypeError, "x_shape must be a sequence of integers"),
        (("conv2d", (1, 8, 8, 3), (3, 3, 4, 4)), {}, ValueError, "kernel has 4 input channels but x has 3"),
        (
            ("conv2d", (1, 8, 8, 3), (3, 3, 3, 4)),
            {"output_shape": (8, 8)},
            ValueError,
            "belong to the transposed",
        ),
        (("conv2d", (1, 8, 8, 3), (3, 3, 3, 4)), {"padding": "full"}, ValueError, "padding must be"),
        (("conv2d", (1, 8, 8, 3), (3, 3, 3, 4)), {"strides": 0}, ValueError, "strides must be at least 1"),
        (
            ("conv1d_transpose", (1, 8, 3), (3, 4, 3)),
            {"output_shape": (1, 2)},
            ValueError,
            "output_shape must be 1 or 3",
        ),
        (
            ("conv2d_transpose", (1, 8, 8, 3), (3, 3, 4, 3)),
            {"output_shape": (99, 9)},
            ValueError,
            "only 10..10 give",
        ),
        (("dense", (8, 3), (4, 5)), {}, ValueError, "kernel has 4 inputs but x has 3"),
        (("dense", (8, 3), (3, 5)), {"strides": 2}, ValueError, "no meaning for dense"),
        (("dense", (), (3, 5)), {}, ValueError, "x_shape must be one or more sizes"),
    ],
)
def test_errors(arguments: tuple, options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cl.explain(*arguments, **options)
