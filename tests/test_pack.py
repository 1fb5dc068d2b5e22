"""Packed kernels: the layout of panels, and objects that are immutable, shareable and picklable."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import _dispatch, _kernels, pack
from convlite._memory import aligned_empty
from convlite.geometry import channels_of, residue_classes
from convlite.pack import PackedKernel
from convlite.plan import Weights, kind_of


def numbered(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    """Every weight is another number, none of them zero."""
    return np.arange(1, np.prod(shape, dtype=int) + 1, dtype=dtype).reshape(shape)


def panels_of(weights: np.ndarray, lanes: int, nr: int) -> Iterator[np.ndarray]:
    """[taps][kc][width] -> panels [taps][kc][nr*lanes], the last one as many vectors wide as it needs."""
    for first in range(0, weights.shape[2], nr * lanes):
        panel = weights[:, :, first : first + nr * lanes]
        yield np.pad(panel, ((0, 0), (0, 0), (0, -panel.shape[2] % lanes)))


def check(packed: PackedKernel, phases: list[list[np.ndarray]]) -> None:
    """phases[phase][group] is [taps][kc][width]."""
    table = _kernels.describe(_dispatch.active_isa(), kind_of(packed.dtype))
    want = [
        panel.reshape(-1)
        for groups in phases
        for weights in groups
        for panel in panels_of(weights, table["lanes"], table["nr"])
    ]
    np.testing.assert_array_equal(packed.panels("direct").data, np.concatenate(want), strict=True)


# ---- layout ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cout", [1, 3, 16, 17, 32, 33, 70])
def test_panels_of_a_convolution(isa: str, dtype: np.dtype, cout: int) -> None:
    kernel = numbered(2, 3, 5, cout, dtype=dtype)
    check(PackedKernel(kernel), [[kernel.reshape(6, 5, cout)]])


def test_panels_of_groups(isa: str, dtype: np.dtype) -> None:
    kernel = numbered(2, 3, 4, 3 * 37, dtype=dtype)
    check(PackedKernel(kernel, groups=3), [np.split(kernel.reshape(6, 4, 111), 3, axis=2)])


@pytest.mark.parametrize("cout", [1, 37])
def test_panels_of_dense(isa: str, dtype: np.dtype, cout: int) -> None:
    kernel = numbered(9, cout, dtype=dtype)
    check(PackedKernel(kernel, "dense"), [[kernel[None]]])


@pytest.mark.parametrize("strides", [(1, 1), (2, 3), (5, 4)])
@pytest.mark.parametrize("dilations", [(1, 1), (2, 1), (3, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_panels_of_a_transpose(isa: str, strides: Any, dilations: Any, groups: int) -> None:
    """A phase for each pair of residue classes that has taps; its taps in the kernel's order."""
    kernel = numbered(3, 4, 19, 6)
    phases = []
    for rows in residue_classes(3, strides[0], dilations[0]):
        for columns in residue_classes(4, strides[1], dilations[1]):
            taps = np.stack([kernel[a, b].T for a in rows for b in columns])  # [taps][Cin][Cout//groups]
            phases.append(np.split(taps, groups, axis=1))
    packed = PackedKernel(kernel, "conv2d_transpose", strides=strides, dilations=dilations, groups=groups)
    check(packed, phases)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_weights_are_by_multiplier_tap_and_channel(
    isa: str, dtype: np.dtype, multiplier: int
) -> None:
    kernel = numbered(3, 2, 32, multiplier, dtype=dtype)  # so many channels fill the vectors of each ISA
    want = kernel.reshape(6, 32, multiplier).transpose(2, 0, 1)
    packed = PackedKernel(kernel, "depthwise_conv2d")
    np.testing.assert_array_equal(packed.panels("depthwise").data, want.reshape(-1))
    grouped = PackedKernel(kernel.reshape(3, 2, 1, 32 * multiplier), groups=32)
    np.testing.assert_array_equal(grouped.panels("depthwise").data, want.reshape(-1))
    if not _kernels.describe(isa, kind_of(dtype))["lanewise"]:
        return  # lane by lane: panels of one vector, [panel][tap][lanes]
    lanes = _kernels.describe(isa, "f32")["lanes"]
    want = kernel.reshape(6, -1, lanes).transpose(1, 0, 2)
    np.testing.assert_array_equal(packed.panels("lanewise").data, want.reshape(-1))


def test_panels_start_on_a_cache_line(isa: str, dtype: np.dtype) -> None:
    for cout in range(1, 9):
        assert PackedKernel(numbered(1, 1, 3, cout, dtype=dtype)).panels().data.ctypes.data % 64 == 0
    for size in (0, 1, 1000):
        empty = aligned_empty(size, dtype)
        assert (empty.size, empty.dtype) == (size, dtype)
        assert empty.size == 0 or empty.ctypes.data % 64 == 0


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("operation", ["conv2d", "conv2d_transpose", "depthwise_conv2d"])
def test_packing_notices_what_is_not_finite(isa: str, dtype: np.dtype, operation: Any, value: float) -> None:
    kernel = np.full((3, 3, 20, 20), np.finfo(dtype).max, dtype)
    assert PackedKernel(kernel, operation).panels().finite
    for place in (0, 1777, kernel.size - 1):
        odd = kernel.copy()
        odd.reshape(-1)[place] = value
        assert not PackedKernel(odd, operation).panels().finite


@pytest.mark.parametrize(
    ("operation", "shape", "groups", "want"),
    [
        ("conv2d", (3, 3, 4, 6), 2, (8, 6, 2)),
        ("conv2d_transpose", (3, 3, 4, 6), 2, (6, 8, 2)),
        ("depthwise_conv2d", (3, 3, 4, 6), 1, (4, 24, 4)),
        ("depthwise_conv2d", (3, 3, 0, 6), 1, (0, 0, 1)),
        ("dense", (4, 6), 1, (4, 6, 1)),
    ],
)
def test_channels(operation: str, shape: tuple[int, ...], groups: int, want: tuple[int, ...]) -> None:
    assert channels_of(operation, shape, groups) == want


# ---- objects -----------------------------------------------------------------------------------------------

OBJECTS = {
    "conv2d": lambda: PackedKernel(numbered(3, 3, 2, 8), groups=2),
    "conv2d_transpose": lambda: PackedKernel(
        numbered(3, 3, 8, 4), "conv2d_transpose", strides=(2, 1), dilations=(1, 2)
    ),
    "depthwise_conv2d": lambda: PackedKernel(numbered(3, 3, 4, 2), "depthwise_conv2d"),
    "dense": lambda: PackedKernel(numbered(4, 8), "dense"),
}


def run(packed: PackedKernel) -> np.ndarray:
    options: dict[str, Any] = {}
    if packed.operation == "conv2d":
        options = {"groups": 2}
    elif packed.operation == "conv2d_transpose":
        options = {"strides": (2, 1), "dilations": (1, 2)}
    x = numbered(1, 4, 5, 4)
    return getattr(cl, packed.operation)(x, packed, **options)


@pytest.mark.parametrize("operation", OBJECTS)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickling(operation: str, protocol: int) -> None:
    packed = OBJECTS[operation]()
    twin = pickle.loads(pickle.dumps(packed, protocol))
    for name in ("operation", "strides", "dilations", "groups", "shape", "dtype"):
        assert getattr(twin, name) == getattr(packed, name)
    np.testing.assert_array_equal(twin.kernel, packed.kernel)
    assert not twin.kernel.flags.writeable
    np.testing.assert_array_equal(run(twin), run(packed))


def test_pickling_lends_the_kernel_out_of_band() -> None:
    packed = OBJECTS["conv2d"]()
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(packed, 5, buffer_callback=buffers.append)
    assert [len(buffer.raw()) for buffer in buffers] == [packed.kernel.nbytes]
    assert len(data) < 500
    np.testing.assert_array_equal(run(pickle.loads(data, buffers=buffers)), run(packed))


@pytest.mark.parametrize("operation", OBJECTS)
def test_copies(operation: str) -> None:
    packed = OBJECTS[operation]()
    assert copy.deepcopy(packed) is packed
    assert copy.deepcopy([packed, packed]) == [packed, packed]
    np.testing.assert_array_equal(run(copy.copy(packed)), run(packed))


def test_the_kernel_is_a_read_only_copy() -> None:
    kernel = numbered(3, 3, 2, 8)
    packed = PackedKernel(kernel, groups=2)
    before = run(packed)
    kernel[...] = 0
    assert packed.kernel[0, 0, 0, 0] == 1
    np.testing.assert_array_equal(run(packed), before)
    with pytest.raises(ValueError, match="read-only"):
        packed.kernel[0] = 1
    with pytest.raises(AttributeError):
        packed.other = 1  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        packed.shape = (1,)  # type: ignore[misc]


@pytest.mark.parametrize("name", ["kernel", "operation", "strides", "dilations", "groups"])
def test_attributes_cannot_be_replaced(name: str) -> None:
    packed = OBJECTS["conv2d"]()
    with pytest.raises(AttributeError):
        setattr(packed, name, getattr(packed, name))


def test_repr() -> None:
    assert repr(OBJECTS["conv2d"]()) == "PackedKernel(conv2d, shape=(3, 3, 2, 8), dtype=float32)"


@pytest.mark.thread_unsafe(reason="selects instruction sets")
def test_an_instruction_set_is_packed_for_when_it_is_first_used() -> None:
    packed = OBJECTS["conv2d"]()
    first = packed.panels()
    assert packed.panels() is first
    results = []
    for isa in _dispatch.available_isas():
        with _dispatch.use_isa(isa):
            results.append(run(packed))
            assert packed.panels() is packed.panels()
    assert packed.panels() is first
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_packing_frees_what_it_takes() -> None:
    kernel = numbered(3, 3, 8, 8)
    gc.collect()
    before = sys.getrefcount(kernel)
    for _ in range(50):
        cl.conv2d(np.ones((1, 3, 3, 8), np.float32), PackedKernel(kernel))
    gc.collect()
    assert sys.getrefcount(kernel) == before


# ---- refusals ----------------------------------------------------------------------------------------------

X = numbered(1, 5, 5, 4)
TRANSPOSE = PackedKernel(numbered(3, 3, 4, 4), "conv2d_transpose")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: PackedKernel(numbered(3, 3, 4, 4), "conv1d"), ValueError,
         "operation must be one of conv2d, conv2d_transpose, depthwise_conv2d, dense; got 'conv1d'"),
        (lambda: PackedKernel(numbered(3, 4, 4)), ValueError,
         "kernel must have 4 dimensions (kh, kw, in, out); got shape (3, 4, 4)"),
        (lambda: PackedKernel(numbered(3, 3, 4, 4), "dense"), ValueError,
         "kernel must have 2 dimensions (in, out); got shape (3, 3, 4, 4)"),
        (lambda: PackedKernel(np.ones((3, 3, 4, 4), int)), TypeError,
         "kernel must be float32 or float64; got int64; write kernel.astype(np.float32)"),
        (lambda: PackedKernel(OBJECTS["conv2d"]()), TypeError,
         "kernel must be an array of float32 or float64; got an object of type PackedKernel: "
         "convert it first, as in np.asarray(kernel, np.float32)"),
        (lambda: PackedKernel(numbered(3, 3, 4, 4), groups=3), ValueError,
         "groups must divide the kernel's last axis; got groups=3 and 4 channels"),
        (lambda: PackedKernel(numbered(3, 3, 4, 4), groups=0), ValueError,
         "groups must be at least 1; got 0"),
        (lambda: PackedKernel(numbered(3, 3, 4, 4), "conv2d_transpose", strides=0), ValueError,
         "strides must be at least 1; got 0"),
        (lambda: cl.conv2d(X, PackedKernel(numbered(4, 4), "dense")), ValueError,
         'kernel was packed for "dense"; this is "conv2d"'),
        (lambda: cl.dense(X, PackedKernel(numbered(1, 1, 4, 4))), ValueError,
         'kernel was packed for "conv2d"; this is "dense"'),
        (lambda: cl.depthwise_conv2d(X, PackedKernel(numbered(3, 3, 4, 4))), ValueError,
         'kernel was packed for "conv2d"; this is "depthwise_conv2d"'),
        (lambda: cl.conv2d_transpose(X, PackedKernel(numbered(3, 3, 4, 4))), ValueError,
         'kernel was packed for "conv2d"; this is "conv2d_transpose"'),
        (lambda: cl.conv1d(X[0], PackedKernel(numbered(1, 4), "dense")), ValueError,
         'kernel was packed for "dense"; this is "conv2d"'),
        (lambda: cl.conv1d(X[0], PackedKernel(numbered(3, 3, 4, 4))), ValueError,
         "kernel must be packed from (1, kw, in, out) for a 1-D operation; got (3, 3, 4, 4)"),
        (lambda: cl.conv2d(X.astype(np.float64), PackedKernel(numbered(3, 3, 4, 4))), TypeError,
         "x is float64 but kernel is float32: convlite casts nothing silently; write x.astype(np.float32)"),
        (lambda: cl.conv2d(X, PackedKernel(numbered(3, 3, 2, 4), groups=2)), ValueError,
         "kernel was packed for strides=(1, 1), dilations=(1, 1), groups=2; "
         "this call has strides=(1, 1), dilations=(1, 1), groups=1"),
        (lambda: cl.conv2d_transpose(X, TRANSPOSE, strides=2), ValueError,
         "kernel was packed for strides=(1, 1), dilations=(1, 1), groups=1; "
         "this call has strides=(2, 2), dilations=(1, 1), groups=1"),
        (lambda: cl.conv2d_transpose(X, TRANSPOSE, dilations=2), ValueError,
         "kernel was packed for strides=(1, 1), dilations=(1, 1), groups=1; "
         "this call has strides=(1, 1), dilations=(2, 2), groups=1"),
        (lambda: cl.conv2d(X, PackedKernel(numbered(3, 3, 5, 4))), ValueError,
         "kernel has 5 input channels but x has 4 (kernel is (kh, kw, Cin//groups, Cout), got (3, 3, 5, 4)); "
         "its last two axes look swapped: write kernel.swapaxes(-1, -2)"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_strides_of_a_convolution_do_not_matter_to_its_packing() -> None:
    kernel = numbered(3, 3, 4, 4)
    packed = PackedKernel(kernel, strides=7, dilations=5)
    for options in ({}, {"strides": 2}, {"dilations": 2, "padding": "same"}):
        np.testing.assert_array_equal(cl.conv2d(X, packed, **options), cl.conv2d(X, kernel, **options))


def test_a_mismatch_leaves_out_untouched() -> None:
    out = np.full((1, 3, 3, 4), -77.25, np.float32)
    with pytest.raises(ValueError, match="packed for"):
        cl.conv2d(X, PackedKernel(numbered(3, 3, 2, 4), groups=2), out=out)
    assert (out == -77.25).all()


@pytest.mark.parametrize("shape", [(300, 257), (64, 2048), (5, 7)])
def test_a_kernel_in_fortran_order_is_copied_whole(shape: tuple[int, int]) -> None:
    kernel = np.random.default_rng(0).standard_normal(shape[::-1]).astype(np.float32).T
    packed = cl.PackedKernel(kernel, "dense")
    assert packed.kernel.flags.c_contiguous
    assert not np.may_share_memory(packed.kernel, kernel)
    np.testing.assert_array_equal(packed.kernel, kernel)


def test_what_a_kernel_keeps_packed_is_bounded(isa: str) -> None:
    """Under "fast" each size of map has a form of its own; old ones are forgotten, and packed anew."""
    rng = np.random.default_rng(1)
    kernel = rng.standard_normal((3, 3, 64, 64)).astype(np.float32)
    packed = PackedKernel(kernel)
    first = weakref.ref(packed.panels().data)
    images = [rng.standard_normal((1, n, n, 64)).astype(np.float32) for n in (4, 7, 14, 28, 36)]
    with cl.precision("fast"):
        want = [cl.conv2d(x, kernel, padding="same") for x in images]
        for _ in range(2):
            for x, y in zip(images, want, strict=True):
                np.testing.assert_array_equal(cl.conv2d(x, packed, padding="same"), y)
                np.testing.assert_array_equal(cl.conv2d(x, packed, padding="same"), y)  # a known call
                held = sum(panels.data.nbytes for panels in packed._panels.values())
                assert held <= pack.MOST_PANELS * kernel.nbytes
    gc.collect()
    assert first() is None  # nor does a call hold it


def test_small_kernels_keep_all_their_panels() -> None:
    packed = PackedKernel(numbered(3, 3, 8, 8))
    panels = [packed.panels(layout) for layout in ("direct", "winograd 2x2", "winograd 4x4", "winograd 6x6")]
    assert all(packed.panels(layout) is one for layout, one in zip(
        ("direct", "winograd 2x2", "winograd 4x4", "winograd 6x6"), panels, strict=True
    ))  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 0, 1), (2, 3, 0, 1)])
@pytest.mark.parametrize("shape", [(1, 1, 40, 70), (3, 3, 5, 33), (3, 3, 64, 16), (7, 7, 3, 20)])
def test_packing_finds_what_is_not_finite_wherever_it_is(
    shape: tuple[int, ...], order: tuple[int, ...], dtype: type
) -> None:
    rng, places = np.random.default_rng(5), np.argsort(order)
    weights, isa = Weights("conv2d", shape), _dispatch.active_isa()
    laid = rng.choice([-1e30, 1e-310, 1e-40, 0.0, 3.0], [shape[axis] for axis in order]).astype(dtype)
    assert pack.pack_panels(laid.transpose(places), weights, isa, "direct").finite
    for place in (0, laid.size - 1, *rng.integers(laid.size, size=20)):
        for value in (np.nan, np.inf, -np.inf):
            bad = laid.copy()
            bad.reshape(-1)[place] = value
            panels = pack.pack_panels(bad.transpose(places), weights, isa, "direct")
            assert not panels.finite
            assert np.count_nonzero(~np.isfinite(panels.data)) == 1
