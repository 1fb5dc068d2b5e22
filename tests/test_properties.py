"""Random geometry, sizes of zero and one included, against the reference: the same values and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import convlite as cl

sizes = st.one_of(st.integers(0, 2), st.integers(0, 9))
channels = st.one_of(st.integers(0, 3), st.integers(1, 40))
kernels = st.one_of(st.integers(1, 3), st.integers(1, 7))
steps = st.one_of(st.just(1), st.integers(1, 4))
pads = st.one_of(
    st.sampled_from(["valid", "same", "same_lower"]),
    st.tuples(
        st.tuples(st.integers(0, 5), st.integers(0, 5)), st.tuples(st.integers(0, 5), st.integers(0, 5))
    ),
)
pairs = st.tuples(steps, steps)
images = st.integers(0, 3)
dtypes = st.sampled_from(["float32", "float64"])


def whole(seed: int, *shape: int) -> np.ndarray:
    """Whole numbers from -4 to 4: sums of them are exact in any order."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float64)


def compare(name: str, dtype: str, *arrays: np.ndarray, **options: Any) -> None:
    """The operation and its definition agree: in every value, or in refusing."""
    operands = [array.astype(dtype) for array in arrays]
    try:
        want = getattr(cl.reference, name)(*operands, **options)
    except ValueError:
        with pytest.raises(ValueError):
            getattr(cl, name)(*operands, **options)
        return
    got = getattr(cl, name)(*operands, **options)
    np.testing.assert_array_equal(got, want, strict=True)


@settings(max_examples=120)
@given(
    images, sizes, sizes, channels, channels, kernels, kernels, pairs, pairs, pads, st.integers(1, 4), dtypes
)
def test_conv2d(
    isa: str, n: int, h: int, w: int, cin: int, cout: int, kh: int, kw: int,
    strides: Any, dilations: Any, padding: Any, groups: int, dtype: str,
) -> None:  # fmt: skip
    x, kernel, bias = (
        whole(1, n, h, w, cin * groups),
        whole(2, kh, kw, cin, cout * groups),
        whole(3, cout * groups),
    )
    options = {"strides": strides, "dilations": dilations, "padding": padding, "groups": groups}
    compare("conv2d", dtype, x, kernel, bias, **options)


@settings(max_examples=150)
@given(
    images, sizes, sizes, channels, channels, kernels, kernels, pairs, pairs, pads, st.integers(1, 4), dtypes,
    st.sampled_from(["default", "output_shape", "output_padding"]),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
)  # fmt: skip
@example(1, 0, 3, 2, 2, 3, 3, (1, 1), (1, 1), "valid", 1, "float32", "default", (0, 0))
@example(1, 2, 3, 2, 2, 2, 2, (1, 1), (4, 4), "valid", 1, "float32", "output_padding", (3, 2))
def test_conv2d_transpose(
    isa: str, n: int, h: int, w: int, cin: int, cout: int, kh: int, kw: int,
    strides: Any, dilations: Any, padding: Any, groups: int, dtype: str, how: str, extra: Any,
) -> None:  # fmt: skip
    x, kernel, bias = (
        whole(1, n, h, w, cin * groups),
        whole(2, kh, kw, cout, cin * groups),
        whole(3, cout * groups),
    )
    options = {"strides": strides, "dilations": dilations, "padding": padding, "groups": groups}
    if how == "output_padding":
        options["output_padding"] = extra
    elif how == "output_shape":
        options["output_shape"] = tuple(
            max(
                (size - 1) * s
                + 1
                + p
                + (0 if isinstance(padding, str) and padding != "valid" else (k - 1) * d),
                0,
            )
            for size, s, p, k, d in zip((h, w), strides, extra, (kh, kw), dilations, strict=True)
        )
    compare("conv2d_transpose", dtype, x, kernel, bias, **options)


@settings(max_examples=100)
@given(images, sizes, sizes, channels, st.integers(0, 5), kernels, kernels, pairs, pairs, pads, dtypes)
def test_depthwise_conv2d(
    isa: str, n: int, h: int, w: int, c: int, multiplier: int, kh: int, kw: int,
    strides: Any, dilations: Any, padding: Any, dtype: str,
) -> None:  # fmt: skip
    x, kernel, bias = whole(1, n, h, w, c), whole(2, kh, kw, c, multiplier), whole(3, c * multiplier)
    options = {"strides": strides, "dilations": dilations, "padding": padding}
    compare("depthwise_conv2d", dtype, x, kernel, bias, **options)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 5), max_size=4), st.integers(0, 70), st.integers(0, 70), dtypes)
def test_dense(isa: str, leading: list[int], k: int, m: int, dtype: str) -> None:
    compare("dense", dtype, whole(1, *leading, k), whole(2, k, m), whole(3, m))


@settings(max_examples=60)
@given(
    images,
    sizes,
    channels,
    channels,
    kernels,
    steps,
    steps,
    st.integers(0, 5),
    st.integers(0, 5),
    st.booleans(),
)
def test_one_axis(
    isa: str, n: int, w: int, cin: int, cout: int, k: int, stride: int, dilation: int,
    before: int, after: int, transposed: bool,
) -> None:  # fmt: skip
    options = {"strides": stride, "dilations": dilation, "padding": (before, after)}
    if transposed:
        compare("conv1d_transpose", "float32", whole(1, n, w, cin), whole(2, k, cout, cin), **options)
    else:
        compare("conv1d", "float32", whole(1, n, w, cin), whole(2, k, cin, cout), **options)


@settings(max_examples=80)
@given(sizes, sizes, kernels, kernels, pairs, pairs, pads)
def test_the_transpose_undoes_the_size(
    h: int, w: int, kh: int, kw: int, strides: Any, dilations: Any, padding: Any
) -> None:
    """Every size that conv2d takes is a legal output_shape of the transpose of what it gives."""
    options = {"strides": strides, "dilations": dilations, "padding": padding}
    try:
        forward = cl.conv2d_output_shape((1, h, w, 2), (kh, kw, 2, 3), **options)
    except ValueError:
        return
    shape = cl.conv2d_transpose_output_shape(forward, (kh, kw, 2, 3), output_shape=(h, w), **options)
    assert shape == (1, h, w, 2)


@settings(max_examples=60)
@given(
    st.sampled_from([name for name in cl.activations.NAMES if not name.endswith("softmax")]),
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), max_size=40),
)
def test_activations_do_not_depend_on_the_place(isa: str, name: str, values: list[float]) -> None:
    """Vectors and what is left over compute the same bits, and NaN stays NaN."""
    x = np.array(values, np.float32)
    got = cl.activate(x, name)
    alone = np.array([cl.activate(x[i : i + 1], name)[0] for i in range(x.size)], np.float32)
    np.testing.assert_array_equal(got, alone)
    assert np.isnan(got[np.isnan(x)]).all()
