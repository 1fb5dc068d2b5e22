"""Shapes, padding and output sizes, down to phases: integers in, frozen records out.

Along one axis, every operation is a list of phases. A phase computes the outputs `start + i*step` for i <
count, and output i reads the inputs `i*in_step + offset`, one offset for each kernel element (tap) that
reaches it:

    convolution   one phase:      step 1,       in_step = stride, offset = tap*dilation - before
    transpose     stride phases:  step stride,  in_step = 1,     offset = (r + before - tap*dilation) / stride
                  for the outputs r, r + stride, ...: the taps for which that division has no remainder
    dense         one phase, one tap, offset 0

A 2-D operation is the product of two axes. The transpose's identity follows from its definition as a scatter:
input i adds to the outputs i*stride + tap*dilation - before; solve for i. A phase without taps (stride larger
than the kernel) is still a phase: its sum is empty.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, NamedTuple

from ._layouts import check_channels, warn_of_foreign
from .arguments import Pad, Padding, Pair, check_groups, check_taps

MAX_PHASE_PAIRS = 2**20  # of both axes together
MAX_PHASES = 2**16  # per axis: each costs a record, so a mistyped stride must not take all memory


# Named tuples: a frozen dataclass takes three times as long to make, and a call on a new shape makes five.


class Phase(NamedTuple):
    """Outputs start, start + step, ... (count of them), and the inputs that each one reads."""

    start: int
    step: int
    count: int  # type: ignore[assignment]  # in the place of tuple.count
    in_step: int
    offsets: tuple[int, ...]  # evenly spaced, rising or falling
    before: int  # how many taps belong to phases packed earlier: where this phase's weights start

    @property
    def reach(self) -> int:
        """The number of inputs from the first to the last one that an output reads."""
        return abs(self.offsets[-1] - self.offsets[0]) + 1


class Axis(NamedTuple):
    """One axis of an operation: its sizes, its padding, its phases."""

    in_size: int
    out_size: int
    kernel: int
    pads: Pair
    phases: tuple[Phase, ...]

    @property
    def in_step(self) -> int:
        """The step between the inputs of successive outputs, the same in every phase."""
        return self.phases[0].in_step if self.phases else 1

    @property
    def most_taps(self) -> int:
        """The largest number of taps in a phase."""
        return max([len(p.offsets) for p in self.phases], default=0)

    @property
    def products(self) -> int:
        """The number of pairs of an output and a tap."""
        return sum([p.count * len(p.offsets) for p in self.phases])

    @property
    def is_point(self) -> bool:
        """Whether output i reads input i, and nothing else: one tap, stride 1, no padding."""
        if self.kernel != 1 or self.in_size != self.out_size or not self.out_size:
            return False
        phase = self.phases[0]
        return len(self.phases) == phase.step == phase.in_step == 1 and phase.offsets == (0,)


class Geometry(NamedTuple):
    """An operation on arrays of given sizes: everything that the plan needs to know."""

    images: int
    rows: Axis
    columns: Axis
    cin: int
    cout: int
    groups: int

    @property
    def out_shape(self) -> tuple[int, int, int, int]:
        """(N, Ho, Wo, Cout)."""
        return self.images, self.rows.out_size, self.columns.out_size, self.cout

    @property
    def multiply_adds(self) -> int:
        """Products by definition: one per output, tap of its phase, and input channel of its group."""
        pairs = self.rows.products * self.columns.products
        return self.images * pairs * self.cout * (self.cin // self.groups)


def effective_kernel(kernel: int, dilation: int) -> int:
    """The extent of a dilated kernel: (kernel - 1)*dilation + 1.

    >>> effective_kernel(3, 2)
    5
    """
    return (kernel - 1) * dilation + 1


# ---- convolution -------------------------------------------------------------------------------------------


def same_pads(in_size: int, extent: int, stride: int, *, lower: bool = False) -> Pair:
    """TensorFlow's SAME: out = ceil(in/stride); total = max((out-1)*stride + extent - in, 0);
    before = total//2.

    `lower` is ONNX's SAME_LOWER: the odd one goes before.

    >>> same_pads(5, 3, 2), same_pads(4, 3, 2), same_pads(4, 3, 2, lower=True)
    ((1, 1), (0, 1), (1, 0))
    """
    out = -(-in_size // stride)
    total = max((out - 1) * stride + extent - in_size, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


def resolve_pads(pad: Pad, in_size: int, extent: int, stride: int) -> Pair:
    """(before, after) along one axis of a convolution."""
    if isinstance(pad, tuple):
        return pad
    if pad == "valid":
        return 0, 0
    return same_pads(in_size, extent, stride, lower=pad == "same_lower")


def conv_size(in_size: int, extent: int, stride: int, pads: Pair, axis: str, what: str = "kernel") -> int:
    """(in + before + after - extent)//stride + 1; a kernel larger than an image that has pixels is refused.

    >>> conv_size(5, 3, 2, (1, 1), "height"), conv_size(0, 1, 1, (0, 0), "height")
    (3, 0)
    """
    padded = in_size + pads[0] + pads[1]
    out = (padded - extent) // stride + 1
    if out < 0 or (out == 0 and in_size > 0):
        padding = f" ({in_size} + padding {pads[0]} + {pads[1]})" if pads != (0, 0) else ""
        raise ValueError(
            f"{what}'s effective {axis} {extent} exceeds x's {axis} {padded}{padding}: there is no output; "
            f'give a larger x or a smaller {what}, or write padding="same"'
        )
    return out


def conv_axis(
    in_size: int, kernel: int, stride: int, dilation: int, pad: Pad, axis: str, what: str = "kernel"
) -> Axis:
    """The axis of a convolution: one phase with every tap.

    >>> conv_axis(5, 3, 2, 1, "same", "height").phases
    (Phase(start=0, step=1, count=3, in_step=2, offsets=(-1, 0, 1), before=0),)
    """
    extent = effective_kernel(kernel, dilation)
    pads = resolve_pads(pad, in_size, extent, stride)
    out = conv_size(in_size, extent, stride, pads, axis, what)
    offsets = tuple(range(-pads[0], kernel * dilation - pads[0], dilation))
    return Axis(in_size, out, kernel, pads, (Phase(0, 1, out, stride, offsets, 0),))


# ---- transpose ---------------------------------------------------------------------------------------------


def transpose_default_size(in_size: int, extent: int, stride: int, pad: Pad) -> int:
    """Keras's size: same in*s; valid in*s + max(k - s, 0); explicit padding crops the full output:
    (in-1)*s + k - before - after.

    >>> [transpose_default_size(*case) for case in ((3, 5, 2, "same"), (4, 3, 3, "valid"), (4, 3, 2, (1, 1)))]
    [6, 12, 7]
    """
    if isinstance(pad, tuple):
        return (in_size - 1) * stride + extent - pad[0] - pad[1]
    if pad == "valid":
        return in_size * stride + max(extent - stride, 0)
    return in_size * stride


def transpose_padded_size(in_size: int, extent: int, stride: int, pad: Pad, output_padding: int) -> int:
    """Keras's size with output_padding p: same (in-1)*s + k - 2*(k//2) + p;
    otherwise (in-1)*s + k + p - before - after (PyTorch's).
    """
    full = (in_size - 1) * stride + extent + output_padding
    if isinstance(pad, tuple):
        return full - pad[0] - pad[1]
    return full if pad == "valid" else full - 2 * (extent // 2)


def transpose_size_range(in_size: int, extent: int, stride: int, pad: Pad) -> Pair:
    """The output sizes whose convolution has `in_size` outputs: SAME (in-1)*s+1 .. in*s;
    otherwise (in-1)*s+k-pads, and s-1 more.

    >>> transpose_size_range(4, 3, 3, "valid"), transpose_size_range(3, 5, 2, "same")
    ((12, 14), (5, 6))
    """
    if isinstance(pad, str) and pad != "valid":
        return max((in_size - 1) * stride + 1, 0), in_size * stride
    low = (in_size - 1) * stride + extent - (sum(pad) if isinstance(pad, tuple) else 0)
    return max(low, 0), low + stride - 1


def transpose_size(
    in_size: int,
    extent: int,
    stride: int,
    pad: Pad,
    axis: str,
    output_size: int | None,
    output_padding: int | None,
    dilation: int = 1,
) -> int:
    """The output size that the arguments ask for, checked against what is possible."""
    low, high = transpose_size_range(in_size, extent, stride, pad)
    if output_size is not None:
        size = output_size
    elif output_padding is not None:
        bound = max(stride, dilation)  # PyTorch's
        if output_padding >= bound:
            raise ValueError(
                f"output_padding must be smaller than the stride or the dilation ({bound} along {axis}); "
                f"got {output_padding}"
            )
        size = transpose_padded_size(in_size, extent, stride, pad, output_padding)
        if (
            isinstance(pad, tuple) or pad == "valid"
        ):  # a dilation above the stride allows sizes beyond the range
            high += bound - stride
    else:
        size = transpose_default_size(in_size, extent, stride, pad)
    if in_size == 0 and output_size is None:  # nothing to crop: a negative size is an empty one
        return max(size, 0)
    if not low <= size <= high:
        asked = "output_padding" if output_padding is not None else "padding"
        if output_size is not None:
            asked = "output_shape"
        if high < 0:
            raise ValueError(
                f"padding {pad} crops away more than the whole output along {axis}: "
                f"x's {axis} is {in_size}, the full output {(in_size - 1) * stride + extent}"
            )
        raise ValueError(
            f"{asked} asks for an output {axis} of {size}, but only {low}..{high} give "
            f"x's {axis} of {in_size} back (stride {stride}, effective kernel {extent}, padding {pad!r})"
        )
    return size


def transpose_pads(out_size: int, in_size: int, extent: int, stride: int, pad: Pad) -> Pair:
    """The pads of the convolution that this transposes: SAME's follow from the OUTPUT size,
    max((in-1)*s + k - out, 0).
    """
    if isinstance(pad, tuple):
        return pad
    if pad == "valid" or in_size == 0:
        return 0, 0
    total = max((in_size - 1) * stride + extent - out_size, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if pad == "same_lower" else (small, large)


def transpose_axis(
    in_size: int,
    kernel: int,
    stride: int,
    dilation: int,
    pad: Pad,
    axis: str,
    output_size: int | None = None,
    output_padding: int | None = None,
) -> Axis:
    """The axis of a transposed convolution: a phase for each residue of the output index.

    >>> [p.offsets for p in transpose_axis(3, 5, 2, 1, "same", "height").phases]
    [(0, -1), (1, 0, -1)]
    """
    extent = effective_kernel(kernel, dilation)
    out = transpose_size(in_size, extent, stride, pad, axis, output_size, output_padding, dilation)
    if min(stride, out) > MAX_PHASES:
        raise ValueError(
            f"strides of a transposed convolution must be at most {MAX_PHASES}; got {stride} for {axis}"
        )
    before, after = transpose_pads(out, in_size, extent, stride, pad)
    classes, packed = {}, 0  # residue -> its taps, and how many are packed before them
    for taps in residue_classes(kernel, stride, dilation):
        classes[taps[0] * dilation % stride] = taps, packed
        packed += len(taps)
    phases = []
    for r in range(min(stride, out)):
        taps, packed = classes.get((r + before) % stride, ([], 0))
        offsets = tuple((r + before - tap * dilation) // stride for tap in taps)
        phases.append(Phase(r, stride, -(-(out - r) // stride), 1, offsets, packed))
    return Axis(in_size, out, kernel, (before, after), tuple(phases))


def check_phases(rows: Axis, columns: Axis) -> None:
    """Refuse too many pairs of phases: each pair has its own blocks."""
    pairs = len(rows.phases), len(columns.phases)
    if pairs[0] * pairs[1] > MAX_PHASE_PAIRS:
        raise ValueError(
            f"strides of a transposed convolution must multiply to at most {MAX_PHASE_PAIRS}; got {pairs}"
        )


def residue_classes(kernel: int, stride: int, dilation: int) -> list[list[int]]:
    """The taps of a transposed convolution by tap*dilation mod stride: each class is one phase's taps,
    whatever the padding; only the residues that have taps, in ascending order.

    >>> residue_classes(5, 2, 1)
    [[0, 2, 4], [1, 3]]
    """
    period = stride // math.gcd(stride, dilation)  # taps so far apart have the same residue
    if min(period, kernel) > MAX_PHASE_PAIRS:  # check_phases would refuse them, after a minute
        raise ValueError(
            f"strides of a transposed convolution must multiply to at most {MAX_PHASE_PAIRS}; "
            f"got a stride of {stride} with {kernel} taps"
        )
    first = sorted(range(min(period, kernel)), key=lambda tap: tap * dilation % stride)
    return [list(range(tap, kernel, period)) for tap in first]


# ---- operations --------------------------------------------------------------------------------------------

Operation = Literal["conv2d", "conv2d_transpose", "depthwise_conv2d", "dense"]


class Record(NamedTuple):
    """The facts about an operation that all code from the arguments down to the panels uses."""

    # The kernel's axes. h, w: the window; k, l: an input and an output channel of a group; g: the group. An
    # axis "gl" counts the groups, and the output channels within each.
    kernel: tuple[str, ...]
    written: str = ""  # the same as errors write it,
    foreign: str = ""  # and what it is in PyTorch
    transposed: bool = False  # strides are between outputs, and the caller may choose how many there are
    grouped: bool = False  # takes `groups`


OPERATIONS: dict[str, Record] = {
    "conv2d": Record(("h", "w", "k", "gl"), "({window}, Cin//groups, Cout)", "OI{space}", grouped=True),
    "conv2d_transpose": Record(
        ("h", "w", "l", "gk"), "({window}, Cout//groups, Cin)", "IO{space}", grouped=True, transposed=True
    ),
    "depthwise_conv2d": Record(("h", "w", "g", "l"), "({window}, C, multiplier)", "(C*m, 1, kh, kw)"),
    "dense": Record(("k", "l")),
}


def channels_of(operation: str, kernel: tuple[int, ...], groups: int) -> tuple[int, int, int]:
    """(input channels, output channels, groups) of a kernel of this shape.

    >>> channels_of("conv2d", (3, 3, 4, 8), 2), channels_of("depthwise_conv2d", (3, 3, 4, 2), 1)
    ((8, 8, 2), (4, 8, 4))
    """
    record = OPERATIONS[operation]
    sizes = dict(zip(record.kernel, kernel, strict=True))
    if not record.grouped:
        groups = sizes.get("g", 1)
    cin = sizes["gk"] if "gk" in sizes else sizes.get("k", 1) * groups
    cout = sizes["gl"] if "gl" in sizes else sizes["l"] * groups
    return cin, cout, max(groups, 1)


@lru_cache(maxsize=512)
def geometry_of(
    operation: Operation,
    x: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: Pair,
    padding: Padding,
    dilations: Pair,
    groups: int,
    output_shape: tuple[int, ...] | None,
    output_padding: Pair | None,
    axes: int = 2,
) -> Geometry:
    """Shapes and options -> Geometry; every error about shapes is raised here, in the shapes of a caller with
    so many spatial axes.
    """
    record = OPERATIONS[operation]
    height, width = kernel[:2] if "h" in record.kernel else (1, 1)
    if "h" in record.kernel:
        _check_kernel(operation, (x[0], *x[3 - axes :]), kernel[2 - axes :], groups)
    cin, cout, groups = channels_of(operation, kernel, groups)
    if record.grouped:
        check_groups(groups, cin, cout)
    pads: tuple[Pad, Pad] = padding if isinstance(padding, tuple) else (padding, padding)
    if record.transposed:
        window, sizes = (height, width), (output_shape, output_padding)
        rows, columns = _transposed_axes(x, cout, window, strides, pads, dilations, *sizes, axes)
    else:
        rows = conv_axis(x[1], height, strides[0], dilations[0], pads[0], "height")
        columns = conv_axis(x[2], width, strides[1], dilations[1], pads[1], "width")
    warn_of_foreign(operation, kernel[2 - axes :])
    return Geometry(x[0], rows, columns, cin, cout, groups)


def _transposed_axes(
    x: tuple[int, ...],
    cout: int,
    kernel: Pair,
    strides: Pair,
    pads: tuple[Pad, Pad],
    dilations: Pair,
    output_shape: tuple[int, ...] | None,
    output_padding: Pair | None,
    axes: int,
) -> tuple[Axis, Axis]:
    """The axes of a transposed operation, whose output size the caller may set."""
    if output_shape is not None and output_padding is not None:
        raise ValueError("output_shape and output_padding exclude each other: give one")
    whole = output_shape is not None and len(output_shape) == 4
    sizes = output_shape[1:3] if output_shape and whole else output_shape or (None, None)
    if output_shape and whole and (output_shape[0], output_shape[3]) != (x[0], cout):
        raise ValueError(
            f"output_shape {(output_shape[0], *output_shape[3 - axes :])} must have x's batch {x[0]} "
            f"and the kernel's {cout} output channels"
        )
    extras = output_padding or (None, None)
    rows, columns = (
        transpose_axis(x[1 + a], kernel[a], strides[a], dilations[a], pads[a], name, sizes[a], extras[a])
        for a, name in enumerate(("height", "width"))
    )
    check_phases(rows, columns)
    return rows, columns


def _check_kernel(operation: Operation, x: tuple[int, ...], kernel: tuple[int, ...], groups: int) -> None:
    """Check the kernel's window and its input channels against x; shapes have one or two spatial axes."""
    record, places = OPERATIONS[operation], "row and one column" if len(kernel) == 4 else "tap"
    if 0 in kernel[:-2]:
        raise ValueError(f"kernel must have at least one {places}; got {kernel}")
    height, width = (1, *kernel)[-4:-2]
    check_taps(height, width)
    window, space = ("kh, kw", "HW") if len(kernel) == 4 else ("kw", "W")
    names = record.kernel[-2:]
    inputs = next(name for name in ("k", "gk", "g") if name in names)
    split = groups if inputs == "k" else 1  # the kernel has those of one group
    if x[-1] % split:
        check_groups(groups, x[-1], kernel[-1])
    received, written = kernel[names.index(inputs) - 2], record.written.format(window=window)
    check_channels(received, x[-1] // split, x, kernel, written, record.foreign.format(space=space), split)
