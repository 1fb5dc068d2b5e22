"""Random geometry for what is no convolution, and for other ways to one: pools, images, layers, "fast"."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_properties import channels, dtypes, images, kernels, pads, pairs, sizes, steps, whole
from tolerance import tolerance

import convlite as cl


def window_values(x: np.ndarray, window: Any, strides: Any, padding: Any, dilations: Any) -> list[np.ndarray]:
    """For each tap, what every output finds there: NaN outside the image. Written from TensorFlow's rule."""
    before, outs = [], []
    for axis, (size, k, s, d) in enumerate(zip(x.shape[1:3], window, strides, dilations, strict=True)):
        extent = (k - 1) * d + 1
        if isinstance(padding, str) and padding != "valid":
            out = -(-size // s)
            total = max((out - 1) * s + extent - size, 0)
            first = total - total // 2 if padding == "same_lower" else total // 2
        else:
            first, last = (0, 0) if padding == "valid" else padding[axis]
            out = max((size + first + last - extent) // s + 1, 0)
        before.append(first)
        outs.append(out)
    taps = []
    for a in range(window[0]):
        for b in range(window[1]):
            rows = np.arange(outs[0]) * strides[0] + a * dilations[0] - before[0]
            columns = np.arange(outs[1]) * strides[1] + b * dilations[1] - before[1]
            inside = ((rows >= 0) & (rows < x.shape[1]))[:, None] & ((columns >= 0) & (columns < x.shape[2]))
            found = np.full((x.shape[0], *outs, x.shape[3]), np.nan)
            if x.shape[1] and x.shape[2]:
                near = np.ix_(np.clip(rows, 0, x.shape[1] - 1), np.clip(columns, 0, x.shape[2] - 1))
                found[:, inside] = x[:, near[0], near[1]][:, inside]
            taps.append(found)
    return taps


@settings(max_examples=120)
@given(images, sizes, sizes, channels, st.tuples(kernels, kernels), pairs, pairs, pads, dtypes)
def test_max_pool2d(
    isa: str,
    n: int,
    h: int,
    w: int,
    c: int,
    window: Any,
    strides: Any,
    dilations: Any,
    padding: Any,
    dtype: str,
) -> None:
    x = whole(1, n, h, w, c).astype(dtype)
    try:
        got = cl.max_pool2d(x, window, strides=strides, padding=padding, dilations=dilations)
    except ValueError as error:
        assert any(word in str(error) for word in ("padding", "pool_size"))  # noqa: PT017
        return
    taps = window_values(x, window, strides, padding, dilations)
    want = np.max(np.where(np.isnan(taps), -np.inf, taps), axis=0)
    np.testing.assert_array_equal(got, want.astype(dtype), strict=True)


@settings(max_examples=120)
@given(images, sizes, sizes, channels, st.tuples(kernels, kernels), pairs, pads, st.booleans(), dtypes)
def test_avg_pool2d(
    isa: str,
    n: int,
    h: int,
    w: int,
    c: int,
    window: Any,
    strides: Any,
    padding: Any,
    counted: bool,
    dtype: str,
) -> None:
    x = whole(1, n, h, w, c).astype(dtype)
    options = {"strides": strides, "padding": padding, "count_include_pad": counted}
    try:
        got = cl.avg_pool2d(x, window, **options)
    except ValueError as error:
        assert any(word in str(error) for word in ("padding", "pool_size"))  # noqa: PT017
        return
    taps = np.array(window_values(x, window, strides, padding, (1, 1)))
    with np.errstate(invalid="ignore"):
        share = len(taps) if counted else (~np.isnan(taps)).sum(axis=0)
        want = np.where(np.isnan(taps), 0, taps).sum(axis=0) / share
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=0)
    assert got.dtype == dtype


@settings(max_examples=60)
@given(images, sizes, sizes, channels, st.tuples(steps, steps), st.booleans(), dtypes)
def test_images_keep_their_pixels(
    n: int, h: int, w: int, c: int, factors: Any, edge: bool, dtype: str
) -> None:
    """Enlarged by whole factors and taken apart again, or framed and cropped: the image."""
    x = whole(1, n, h, w, c).astype(dtype)
    large = cl.upsample2d(x, factors)
    np.testing.assert_array_equal(large[:, :: factors[0], :: factors[1]], x, strict=True)
    if h and w:
        np.testing.assert_array_equal(cl.resize2d(large, (h, w), method="nearest"), x, strict=True)
        np.testing.assert_allclose(cl.resize2d(x, (h, w)), x, rtol=1e-6, atol=1e-6)
        (top, left), mode = factors, "edge" if edge else "constant"
        framed = cl.pad2d(x, ((top, 2), (left, 1)), mode=mode)
        np.testing.assert_array_equal(framed[:, top:-2, left:-1], x, strict=True)


@settings(max_examples=60)
@given(
    st.sampled_from([name for name in cl.activations.NAMES if not name.endswith("softmax")]),
    st.integers(0, 70), st.integers(1, 40), dtypes,
)  # fmt: skip
def test_activations_are_the_definitions(isa: str, name: str, rows: int, columns: int, dtype: str) -> None:
    x = (whole(3, rows, columns) / 2).astype(dtype)
    want = cl.reference.dense(x, np.eye(columns, dtype=dtype), activation=name)
    one = np.eye(columns, dtype=dtype)
    got = cl.activate(x, name)
    np.testing.assert_allclose(got, want, **tolerance(dtype, 1, 4))
    np.testing.assert_array_equal(got, cl.dense(x, one, activation=name))


@settings(max_examples=60)
@given(images, sizes, sizes, channels, channels, kernels, kernels, pairs, pairs, pads, dtypes, st.booleans())
def test_layers_and_packed_kernels_are_the_functions(
    isa: str, n: int, h: int, w: int, cin: int, cout: int, kh: int, kw: int,
    strides: Any, dilations: Any, padding: Any, dtype: str, transposed: bool,
) -> None:  # fmt: skip
    x = whole(1, n, h, w, cin).astype(dtype)
    name = "conv2d_transpose" if transposed else "conv2d"
    kernel = whole(2, kh, kw, *((cout, cin) if transposed else (cin, cout))).astype(dtype)
    options = {"strides": strides, "dilations": dilations, "padding": padding}
    try:
        want = getattr(cl, name)(x, kernel, **options)
    except ValueError:
        with pytest.raises(ValueError):
            getattr(cl.reference, name)(x, kernel, **options)
        return
    packing = {k: v for k, v in options.items() if transposed and k != "padding"}
    packed = cl.PackedKernel(kernel, name, **packing)
    for _ in range(2):  # the second time everything is cached
        np.testing.assert_array_equal(getattr(cl, name)(x, packed, **options), want, strict=True)
    out = np.full_like(want, np.nan)
    assert getattr(cl, name)(x, kernel, **options, out=out) is out
    np.testing.assert_array_equal(out, want)
    if cout and cin:
        kind = cl.layers.Conv2DTranspose if transposed else cl.layers.Conv2D
        layer = kind.from_weights(kernel, strides=strides, padding=padding, dilation_rate=dilations)
        for _ in range(2):
            if 0 in (h, w, *want.shape[1:3]):  # which TensorFlow's function takes and Keras's layer refuses
                with pytest.raises(
                    ValueError, match=rf"'{name}' (would give .*, which is nothing|has no pixel)"
                ):
                    layer(x)
            else:
                np.testing.assert_array_equal(layer(x), want, strict=True)


@settings(max_examples=60)
@given(images, st.integers(1, 40), st.integers(1, 40), channels, channels, pads, dtypes)
def test_fast_is_near(
    isa: str, n: int, h: int, w: int, cin: int, cout: int, padding: Any, dtype: str
) -> None:
    x, kernel = whole(1, n, h, w, cin).astype(dtype), whole(2, 3, 3, cin, cout).astype(dtype)
    try:
        want = cl.reference.conv2d(x, kernel, padding=padding)
    except ValueError:
        with pytest.raises(ValueError):
            cl.conv2d(x, kernel, padding=padding, precision="fast")
        return
    got = cl.conv2d(x, kernel, padding=padding, precision="fast")
    # winograd.py's bound, which is 509 times the direct form's where all operands are as large as the largest
    largest = 9 * cin * np.abs(x).max(initial=0) * np.abs(kernel).max(initial=0)
    bound = (cin + 30) * np.finfo(dtype).eps / 2 * 509 * largest
    np.testing.assert_allclose(got, want, rtol=0, atol=bound)
