"""Geometry: phases against the scatter definition, sizes against TensorFlow's rules, and what is refused."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from convlite import geometry
from convlite.geometry import (
    MAX_PHASES,
    Axis,
    Geometry,
    conv_axis,
    residue_classes,
    same_pads,
    transpose_axis,
)

PADS: tuple[Any, ...] = ("valid", "same", "same_lower", (0, 0), (1, 0), (0, 2), (3, 2))
GRID = list(itertools.product(range(7), range(1, 6), range(1, 5), range(1, 4), PADS))

Link = tuple[int, int, int]  # output, input, tap


def links(axis: Axis, taps: list[int]) -> Counter[Link]:
    """What the phases say: which output reads which input through which tap. `taps` are in packed order."""
    found: Counter[Link] = Counter()
    for phase in axis.phases:
        for i in range(phase.count):
            for t, offset in enumerate(phase.offsets):
                place = i * phase.in_step + offset
                if 0 <= place < axis.in_size:
                    found[phase.start + i * phase.step, place, taps[phase.before + t]] += 1
    return found


def outputs(axis: Axis) -> list[int]:
    return sorted(p.start + i * p.step for p in axis.phases for i in range(p.count))


def test_convolution_is_its_definition() -> None:
    checked = 0
    for n, k, s, d, pad in GRID:
        extent = (k - 1) * d + 1
        if pad in ("same", "same_lower"):
            size = -(-n // s)
            total = max((size - 1) * s + extent - n, 0)
            before = total // 2 if pad == "same" else total - total // 2
        else:
            before, after = (0, 0) if pad == "valid" else pad
            size = (n + before + after - extent) // s + 1
            if size < 0 or (size == 0 and n > 0):
                with pytest.raises(ValueError, match="exceeds x's height"):
                    conv_axis(n, k, s, d, pad, "height")
                continue
        axis = conv_axis(n, k, s, d, pad, "height")
        assert axis.out_size == size
        assert outputs(axis) == list(range(size))
        want = Counter(
            (o, o * s + t * d - before, t)
            for o in range(size)
            for t in range(k)
            if 0 <= o * s + t * d - before < n
        )
        assert links(axis, list(range(k))) == want, (n, k, s, d, pad)
        checked += 1
    assert checked > 2000


def transpose_sizes(n: int, extent: int, s: int, pad: Any) -> list[int]:
    """All output sizes whose convolution has n outputs, found by trying."""
    found = []
    for size in range(n * s + extent + 1):
        if pad in ("same", "same_lower"):
            back = -(-size // s)
        else:
            before, after = (0, 0) if pad == "valid" else pad
            back = (size + before + after - extent) // s + 1
        if back == n:
            found.append(size)
    return found


def test_transpose_is_the_scatter() -> None:
    """Input i adds to output i*stride + tap*dilation - before: for every size that gives the input back."""
    checked = 0
    for n, k, s, d, pad in GRID:
        extent = (k - 1) * d + 1
        taps = [tap for taps in residue_classes(k, s, d) for tap in taps]
        assert sorted(taps) == list(range(k))
        legal = transpose_sizes(n, extent, s, pad)
        for size in legal:
            axis = transpose_axis(n, k, s, d, pad, "width", output_size=size)
            if pad in ("same", "same_lower"):
                total = max((n - 1) * s + extent - size, 0) if n else 0
                before = total // 2 if pad == "same" else total - total // 2
            else:
                before = 0 if pad == "valid" else pad[0]
            assert outputs(axis) == list(range(size))
            want = Counter(
                (i * s + t * d - before, i, t)
                for i in range(n)
                for t in range(k)
                if 0 <= i * s + t * d - before < size
            )
            assert links(axis, taps) == want, (n, k, s, d, pad, size)
            checked += 1
        for size in (min(legal, default=0) - 1, max(legal, default=-1) + 1):
            if size >= 0 and legal:
                with pytest.raises(ValueError, match=f"output_shape asks for an output width of {size}"):
                    transpose_axis(n, k, s, d, pad, "width", output_size=size)
    assert checked > 5000


def test_transpose_links_are_the_convolutions_links_turned_round() -> None:
    for n, k, s, d, pad in GRID[::3]:
        for size in transpose_sizes(n, (k - 1) * d + 1, s, pad):
            if n == 0 or size == 0:
                continue
            forward = conv_axis(size, k, s, d, pad, "height")
            back = transpose_axis(n, k, s, d, pad, "height", output_size=size)
            taps = [tap for taps in residue_classes(k, s, d) for tap in taps]
            there = links(forward, list(range(k)))
            assert links(back, taps) == Counter({(i, o, t): c for (o, i, t), c in there.items()})


def test_default_sizes_are_keras_sizes_and_give_the_input_back() -> None:
    for n, k, s, d, pad in GRID:
        extent = (k - 1) * d + 1
        if pad == "valid":
            want = n * s + max(extent - s, 0)
        elif isinstance(pad, str):
            want = n * s
        else:
            want = (n - 1) * s + extent - sum(pad)
        if want < 0 and n:
            with pytest.raises(ValueError, match="padding"):
                transpose_axis(n, k, s, d, pad, "height")
            continue
        axis = transpose_axis(n, k, s, d, pad, "height")
        assert axis.out_size == max(want, 0)
        if n:
            assert axis.out_size in transpose_sizes(n, extent, s, pad)


def test_output_padding() -> None:
    """Keras: same (in-1)*s + k - 2*(k//2) + p, valid (in-1)*s + k + p; PyTorch: (in-1)*s - 2*pad + k + p."""
    refusals: set[str] = set()
    for n, k, s, d, pad in GRID:
        extent = (k - 1) * d + 1
        for p in range(max(s, d)):
            crop = 2 * (extent // 2) if pad in ("same", "same_lower") else 0 if pad == "valid" else sum(pad)
            want = (n - 1) * s + extent - crop + p
            try:
                axis = transpose_axis(n, k, s, d, pad, "height", output_padding=p)
            except ValueError as error:
                refusals.add(str(error).split(" ")[0])
                assert want not in transpose_sizes(n, extent, s, pad)
                continue
            assert axis.out_size == max(want, 0)
        with pytest.raises(ValueError, match="output_padding must be smaller than the stride"):
            transpose_axis(n, k, s, d, pad, "height", output_padding=max(s, d))
    assert refusals == {"output_padding", "padding"}  # the argument at fault comes first


# ---- examples ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "k", "s", "want"),
    [
        (224, 7, 2, (2, 3)),
        (5, 3, 2, (1, 1)),
        (4, 3, 2, (0, 1)),
        (4, 2, 1, (0, 1)),
        (1, 5, 3, (2, 2)),
        (0, 3, 1, (1, 1)),
        (7, 1, 3, (0, 0)),
    ],
)
def test_same_pads(n: int, k: int, s: int, want: tuple[int, int]) -> None:
    assert same_pads(n, k, s) == want
    assert same_pads(n, k, s, lower=True) == want[::-1]


@pytest.mark.parametrize(
    ("n", "k", "s", "pad", "want"),
    [
        (4, 3, 3, "valid", (12, 14)),  # document 004: 4x4 becomes 12x12, or 14x14 when asked
        (7, 5, 2, "same", (13, 14)),
        (3, 5, 2, "same", (5, 6)),
        (2, 3, 1, "valid", (4, 4)),
        (2, 3, 2, (1, 1), (3, 4)),
        (1, 1, 1, (2, 2), (0, -3)),
    ],
)
def test_possible_sizes_of_the_transpose(n: int, k: int, s: int, pad: Any, want: tuple[int, int]) -> None:
    assert geometry.transpose_size_range(n, k, s, pad) == want


def test_a_phase_without_taps_is_still_a_phase() -> None:
    axis = transpose_axis(3, 1, 3, 1, "same", "height")
    assert sorted(len(p.offsets) for p in axis.phases) == [0, 0, 1]
    assert sum(p.count for p in axis.phases) == 9


def test_records_are_frozen() -> None:
    axis = conv_axis(5, 3, 1, 1, "same", "height")
    with pytest.raises(AttributeError):
        axis.out_size = 3  # type: ignore[misc]
    assert hash(axis) == hash(conv_axis(5, 3, 1, 1, "same", "height"))


def test_multiply_adds() -> None:
    rows = conv_axis(14, 3, 1, 1, "same", "height")
    assert geometry.Geometry(2, rows, rows, 256, 64, 1).multiply_adds == 2 * 14 * 14 * 9 * 256 * 64
    assert geometry.Geometry(2, rows, rows, 256, 64, 4).multiply_adds == 2 * 14 * 14 * 9 * 64 * 64
    rows = transpose_axis(7, 5, 2, 1, "same", "height")  # half of the outputs have 3 taps, half have 2
    assert geometry.Geometry(1, rows, rows, 8, 4, 1).multiply_adds == (7 * 5) ** 2 * 8 * 4


# ---- messages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (1, 3, 1, 1, "valid", "height"),
            "kernel's effective height 3 exceeds x's height 1: there is no output; "
            'give a larger x or a smaller kernel, or write padding="same"',
        ),
        (
            (1, 3, 2, 4, (1, 0), "width"),
            "kernel's effective width 9 exceeds x's width 2 (1 + padding 1 + 0): there is no output; "
            'give a larger x or a smaller kernel, or write padding="same"',
        ),
    ],
)
def test_messages_of_convolutions(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        conv_axis(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (4, 3, 3, 1, "valid", "height", 15, None),
            "output_shape asks for an output height of 15, but only 12..14 give x's height of 4 back "
            "(stride 3, effective kernel 3, padding 'valid')",
        ),
        (
            (3, 2, 2, 1, "same", "width", None, 0),
            "output_padding asks for an output width of 4, but only 5..6 give x's width of 3 back "
            "(stride 2, effective kernel 2, padding 'same')",
        ),
        (
            (3, 3, 2, 1, "valid", "width", None, 2),
            "output_padding must be smaller than the stride or the dilation (2 along width); got 2",
        ),
        (
            (1, 1, 1, 1, (2, 2), "height", None, None),
            "padding (2, 2) crops away more than the whole output along height: "
            "x's height is 1, the full output 1",
        ),
        (
            (1, 1, 2**20, 1, "same", "height", None, None),
            "strides of a transposed convolution must be at most 65536; got 1048576 for height",
        ),
    ],
)
def test_messages_of_transposes(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        transpose_axis(*arguments)
    assert str(caught.value) == message


def test_a_huge_stride_costs_nothing_where_the_output_is_small() -> None:
    assert transpose_axis(1, 3, 2**30, 1, (0, 0), "height").out_size == 3
    assert conv_axis(5, 3, 2**30, 1, "same", "height").out_size == 1


# ---- limits ------------------------------------------------------------------------------------------------


def test_pairs_of_phases_are_limited() -> None:
    def phases(rows: int, columns: int) -> tuple[Axis, Axis]:
        return transpose_axis(9, 1, rows, 1, "same", "height"), transpose_axis(
            9, 1, columns, 1, "same", "height"
        )

    assert Geometry(1, *phases(1024, 1024), 1, 1, 1).out_shape == (1, 9 * 1024, 9 * 1024, 1)
    with pytest.raises(ValueError, match="must multiply to at most 1048576"):
        geometry.check_phases(*phases(1025, 1024))


def test_phases_of_an_axis_are_limited() -> None:
    assert len(transpose_axis(2, 1, MAX_PHASES, 1, "same", "height").phases) == MAX_PHASES
    assert len(transpose_axis(1, 1, MAX_PHASES + 1, 1, "valid", "height", 9).phases) == 9
    with pytest.raises(ValueError, match="must be at most 65536"):
        transpose_axis(2, 1, MAX_PHASES + 1, 1, "same", "height")


@pytest.mark.parametrize(
    ("pad", "extra", "want"),
    [("valid", 0, 8), ("valid", 3, 11), ((1, 1), 0, 6), ((1, 1), 3, 9), ("same", 0, 4), ("same", 1, None)],
)
def test_output_padding_up_to_a_dilation_above_the_stride(pad: Any, extra: int, want: int | None) -> None:
    """With a stride of 1 and a dilation of 4 PyTorch takes 0..3; "same" knows one size only."""
    if want is None:
        with pytest.raises(ValueError, match=r"output_padding asks .* height of 5, but only 4\.\.4"):
            transpose_axis(4, 2, 1, 4, pad, "height", None, extra)
    else:
        assert transpose_axis(4, 2, 1, 4, pad, "height", None, extra).out_size == want


def test_nothing_is_padded_around_no_input() -> None:
    assert [transpose_axis(0, 5, 2, 1, pad, "height").pads for pad in ("same", "same_lower", "valid")] == [
        (0, 0)
    ] * 3


def test_a_stride_of_more_phases_than_there_may_be_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="at most 1048576; got a stride of 1073741824 with 16777216 taps"):
        transpose_axis(1, 1 << 24, 1 << 30, 1, (1 << 23, (1 << 23) - 1), "width")
