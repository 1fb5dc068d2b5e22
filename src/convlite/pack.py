"""Kernels as aligned panels in the order in which the micro-kernels read them.

The layout, for each phase, then each group, then each panel of output channels:
[taps][input channels][nr*lanes], the last panel narrower but whole vectors wide, padded with zeros. The
phases of a transposed convolution are its residue classes (geometry.py): they depend on the stride and the
dilation only, so one packing serves every input size and padding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _dispatch, _kernels, _precision
from ._locks import fork_lock
from ._memory import Room, aligned_empty
from ._options import public
from ._types import Sizes
from .arguments import (
    Array,
    Pair,
    as_operand,
    as_output_shape,
    as_padding,
    as_pair,
    as_size,
    check_taps,
    is_one_of,
    shown,
)
from .geometry import OPERATIONS, Operation, channels_of, residue_classes
from .plan import Plan, Weights, kind_of, planned, read_layout, usual_layout, weights_of

# The most memory that a kernel's panels take, as a multiple of the kernel's size. "fast" has other panels for
# each size of map (up to 7 times the kernel's size). Small kernels keep all panels.
MOST_PANELS = 10
SMALL_PANELS = 256 * 1024

_IN_ORDER = ("pixel_vectors", "tall_skinny", "merged_phases")
# Layouts with every number of the kernel, and zeros: the kernel can be recovered from them.
_MOVED = frozenset((*_IN_ORDER, "direct", "depthwise", "lanewise", "wide_lines"))


class Panels(NamedTuple):
    """Packed weights for one instruction set."""

    data: Array
    finite: bool  # no Inf, no NaN: zeros may stand for padding


# ---- the layouts -------------------------------------------------------------------------------------------

Recipe = tuple[int, _kernels.Recipe]  # how many numbers the panels have, and what fills them


def pack_panels(kernel: Array, weights: Weights, isa: str, layout: str, room: Room | None = None) -> Panels:
    """Pack a kernel, of which `weights` are the facts, for one instruction set, in the layout of a plan.

    room: where the panels are to lie.
    """
    if layout.startswith("winograd"):
        return _pack_winograd(kernel, weights, isa, layout, room)
    memory, steps = _as_it_lies(kernel)
    if steps is not None and layout in _IN_ORDER:
        memory, steps = np.ascontiguousarray(kernel), None
    size, recipe = recipe_for(weights, isa, kind_of(kernel.dtype), layout, steps)
    data = (aligned_empty if room is None else room.empty)(size, kernel.dtype)
    return Panels(data, recipe.pack(memory, data))


def unpacked(panels: Panels, weights: Weights, isa: str, layout: str) -> Array:
    """Recover the kernel, in C order, from panels in one of the layouts _MOVED.

    An array of the kernel's indices is packed in the same way; it gives the position of each number.

    >>> kernel, isa = np.arange(36.0).reshape(3, 3, 2, 2), _dispatch.active_isa()
    >>> weights = Weights("conv2d", kernel.shape)
    >>> panels = pack_panels(kernel, weights, isa, "direct")
    >>> bool((unpacked(panels, weights, isa, "direct") == kernel).all())
    True
    """
    count, dtype = math.prod(weights.shape), panels.data.dtype
    size, recipe = recipe_for(weights, isa, kind_of(dtype), layout, None)
    word = np.dtype(f"u{dtype.itemsize}")
    places = aligned_empty(size, word)
    recipe.pack(np.arange(1, count + 1, dtype=word), places)
    flat = np.empty(count + 1, dtype)  # the first place is that of the zeros
    flat[places] = panels.data
    kernel = flat[1:].reshape(weights.shape)
    kernel.flags.writeable = False
    return kernel


@lru_cache(maxsize=512)
def recipe_for(weights: Weights, isa: str, kind: str, layout: str, steps: tuple[int, ...] | None) -> Recipe:
    """The size of a kernel's panels in the layout of a plan, and how to fill them.

    steps: of the kernel's axes in its memory, in elements; None for C order, which those of _IN_ORDER want.
    """
    if layout == "merged_phases":  # stride taps of a kernel row are one of stride*Cout channels, as they lie
        (height, width, cout, cin), (down, along) = weights.shape, weights.strides
        shape = (height, width // along, along * cout, cin)
        weights, layout = weights._replace(shape=shape, strides=(down, 1)), "direct"
    table = _kernels.describe(isa, kind)
    return _RECIPES[layout](weights, steps or _in_order(weights.shape), table)


def _in_order(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The steps of an array in C order, in elements."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _as_it_lies(kernel: Array) -> tuple[Array, tuple[int, ...] | None]:
    """The kernel's memory as an array in C order, and the kernel's steps in it; a copy where it has gaps."""
    if kernel.flags.c_contiguous:
        return kernel, None
    memory = kernel.transpose(sorted(range(kernel.ndim), key=lambda axis: -kernel.strides[axis]))
    if not memory.flags.c_contiguous:
        return np.ascontiguousarray(kernel), None
    return memory, tuple(step // kernel.itemsize for step in kernel.strides)


def _taps(weights: Weights, steps: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The offsets of the taps, phase by phase, and the number of taps of each phase."""
    (height, width), (down, along) = weights.size, steps[:2] if len(steps) == 4 else (0, 0)
    rows, columns = [list(range(height))], [list(range(width))]
    if weights.transposed:
        rows = residue_classes(height, weights.strides[0], weights.dilations[0])
        columns = residue_classes(width, weights.strides[1], weights.dilations[1])
    phases = [(row, column) for row in rows if row for column in columns if column]
    taps = [a * down + b * along for row, column in phases for a in row for b in column]
    return taps, [len(row) * len(column) for row, column in phases]


def _channels(weights: Weights, steps: tuple[int, ...]) -> tuple[int, int, int, int, int, int]:
    """The number of groups g, the numbers of input channels k and output channels l of each, and the steps of
    k, l and g: a weight is at its tap's offset + k*k_step + l*l_step + g*group_step.
    """
    cin, cout, groups = channels_of(weights.operation, weights.shape, weights.groups)
    by_name = dict(zip(OPERATIONS[weights.operation].kernel, steps, strict=True))
    kc, width = cin // groups, cout // groups
    k_step = by_name.get("k", by_name.get("gk", 0))
    l_step = by_name.get("l", by_name.get("gl", 0))
    group_step = by_name.get("g", kc * k_step if "gk" in by_name else width * l_step)
    return groups, kc, width, k_step, l_step, group_step


def _direct(weights: Weights, steps: tuple[int, ...], table: _kernels._Table) -> Recipe:
    """[phase][group][panel][taps][kc][nr*lanes]"""
    (taps, phases), sizes, lanes = _taps(weights, steps), _channels(weights, steps), table["lanes"]
    groups, kc, width, *_ = sizes
    size = len(taps) * groups * kc * -(-width // lanes) * lanes
    parameters = (lanes, table["nr"], False, table["isa"])
    return size, _kernels.Recipe(table["itemsize"], taps, phases, *sizes, *parameters)


def _depthwise(weights: Weights, steps: tuple[int, ...], table: _kernels._Table) -> Recipe:
    """[multiplier][taps][channel]: the groups are the channels."""
    taps, phases = _taps(weights, steps)
    groups, _, width, _, l_step, group_step = _channels(weights, steps)
    sizes = (1, groups, width, group_step, l_step, 0)
    parameters = (table["lanes"], table["nr"], True)
    return len(taps) * groups * width, _kernels.Recipe(table["itemsize"], taps, phases, *sizes, *parameters)


def _lanewise(
    weights: Weights, steps: tuple[int, ...], table: _kernels._Table, whole: bool = False
) -> Recipe:
    """[phase][panel of one vector][taps][kc][lanes]: over the outputs of all groups. `whole`: the last panel
    begins with the last channels that fill a vector, not behind the panel before."""
    (taps, phases), lanes = _taps(weights, steps), table["lanes"]
    groups, kc, width, k_step, _, group_step = _channels(weights, steps)
    cout, step = groups * width, group_step if weights.transposed else steps[-1]
    sizes, parameters = (1, kc, cout, k_step, step, 0), (lanes, 1, False, "", whole)
    recipe = _kernels.Recipe(table["itemsize"], taps, phases, *sizes, *parameters)
    return len(taps) * kc * -(-cout // lanes) * lanes, recipe


def _pixel_vectors(weights: Weights, steps: tuple[int, ...], table: _kernels._Table) -> Recipe:
    """[kernel columns][cin][kernel rows][cout]: as panels of cout lanes, a phase for each kernel column and a
    group for each input channel."""
    (height, width), (down, along, *_steps) = weights.size, steps
    _groups, cin, cout, cin_step, cout_step, _group_step = _channels(weights, steps)
    taps = range(0, width * along, along)
    recipe = _kernels.Recipe(
        table["itemsize"], taps, [1] * width, cin, height, cout, down, cout_step, cin_step, 1, cout, False
    )
    return math.prod(weights.shape), recipe


def _tall_skinny(weights: Weights, steps: tuple[int, ...], table: _kernels._Table) -> Recipe:
    """[cin][kernel rows][kernel columns][cout]: the same with a group for each input channel."""
    (height, width), along = weights.size, steps[1]
    _groups, cin, cout, cin_step, cout_step, _group_step = _channels(weights, steps)
    taps, sizes = range(0, height * width * along, along), (cin, 1, cout, 0, cout_step, cin_step)
    recipe = _kernels.Recipe(table["itemsize"], taps, [height * width], *sizes, 1, cout, False)
    return math.prod(weights.shape), recipe


_RECIPES: dict[str, Callable[[Weights, tuple[int, ...], _kernels._Table], Recipe]] = {
    "direct": _direct,
    "depthwise": _depthwise,
    "lanewise": _lanewise,
    "wide_lines": partial(_lanewise, whole=True),
    "pixel_vectors": _pixel_vectors,
    "tall_skinny": _tall_skinny,
}


def _pack_winograd(kernel: Array, weights: Weights, isa: str, layout: str, room: Room | None) -> Panels:
    """Transform a kernel for Winograd's form: for each group, panels [slots][cin][nr*lanes]. The slots of
    a position, one for each part of a strided convolution, follow each other.

    The transposed convolution reads the kernel in reverse order: its steps are negative.
    """
    (height, width), strides = weights.size, weights.strides if weights.transposed else (1, 1)
    memory, lying = _as_it_lies(kernel)
    down, along, *_rest = lying = lying or _in_order(weights.shape)
    groups, kc, per_group, k_step, l_step, group_step = _channels(weights, lying)
    lanes = _kernels.describe(isa, kind_of(kernel.dtype))["lanes"]
    first, turned = ((height - 1) * down + (width - 1) * along, -1) if weights.transposed else (0, 1)
    steps = (turned * down, turned * along, k_step, l_step)
    tiles, parts = read_layout(layout)
    factors = [weights_of(kernel.shape[a], strides[a], tiles[a], parts[a]) for a in (0, 1)]
    rows, columns = (np.array(each).ravel() for each in factors)
    size = len(factors[0]) * len(factors[1]) * kc * -(-per_group // lanes) * lanes
    data = (aligned_empty if room is None else room.empty)(groups * size, kernel.dtype)
    sizes = (height, width, kernel.size, data.size)
    for group in range(groups):
        places = (first + group * group_step, group * size, *steps)
        _kernels.pack_winograd(
            memory, data, isa, kernel.itemsize, sizes, rows, columns, parts, *places, kc, per_group
        )
    return Panels(data, True)


def _rows_first(kernel: ArrayLike) -> ArrayLike:
    """A large matrix in Fortran order as a copy in C order; everything else as it is.

    Files of other frameworks hold dense kernels transposed. Copying in blocks takes a quarter of NumPy's time
    (12544 x 4096 on Zen 4: 0.15 s and 0.64 s), since copying a row reads a cache line for each number.
    """
    if not isinstance(kernel, np.ndarray) or kernel.ndim != 2 or kernel.size < 1 << 16:
        return kernel
    if kernel.flags.c_contiguous or not kernel.flags.f_contiguous:
        return kernel
    rows, columns = kernel.shape
    copy = np.empty(kernel.shape, kernel.dtype)
    for i in range(0, rows, 64):
        for j in range(0, columns, 64):
            copy[i : i + 64, j : j + 64] = kernel[i : i + 64, j : j + 64]
    return copy


@public
class PackedKernel(_kernels.Packed):
    """A kernel packed once for many calls: give it to an operation in place of the array.

    It is immutable and may be shared by threads; it pickles as the array it was made from.

    Parameters
    ----------
    kernel : array_like
        The kernel, float32 or float64, in the layout of the operation; (1, kw, in, out) for the 1-D ones.
    operation : str, default "conv2d"
        "conv2d", "conv2d_transpose", "depthwise_conv2d" or "dense".
    strides : int, (h, w) or [1, h, w, 1], default 1
        Those of the calls; they matter to "conv2d_transpose" only.
    dilations : int, (h, w) or [1, h, w, 1], default 1
        Those of the calls; they matter to "conv2d_transpose" only.
    groups : int, default 1
        The groups of the calls, for "conv2d" and "conv2d_transpose".

    Raises
    ------
    errors : shared

    Examples
    --------
    >>> import convlite as cl
    >>> kernel = cl.PackedKernel(np.ones((3, 3, 2, 4), np.float32))
    >>> cl.conv2d(np.ones((1, 5, 5, 2), np.float32), kernel)[0, 0, 0]
    array([18., 18., 18., 18.], dtype=float32)
    """

    __slots__ = (
        *("_array", "_dtype", "_lock", "_panels", "_room", "_shape", "_whole"),
        *("dilations", "groups", "operation", "strides"),
    )

    def __init__(
        self,
        kernel: ArrayLike,
        operation: Operation = "conv2d",
        *,
        strides: Sizes = 1,
        dilations: Sizes = 1,
        groups: int = 1,
    ) -> None:
        if not is_one_of(operation, OPERATIONS):
            raise ValueError(f"operation must be one of {', '.join(OPERATIONS)}; got {shown(operation)}")
        array = as_operand(_rows_first(kernel), "kernel", len(OPERATIONS[operation].kernel))
        if not isinstance(kernel, np.ndarray) or np.may_share_memory(array, kernel):
            array = np.array(array)
        array.setflags(write=False)
        self._room: Room | None = None
        self._fill(array, operation, strides, dilations, groups)
        self.panels()

    @classmethod
    def _deferred(
        cls, kernel: Array, operation: Operation, room: Room | None = None, **options: Any
    ) -> PackedKernel:
        """A network's packed kernel. It holds an array that nobody writes to, in any order, uncopied, and
        packs it when a plan first needs a layout, into `room`.
        """
        packed = cls.__new__(cls)
        packed._room = room
        packed._fill(kernel, operation, **{"strides": 1, "dilations": 1, "groups": 1} | options)
        return packed

    def _fill(
        self, array: Array, operation: Operation, strides: object, dilations: object, groups: int
    ) -> None:
        check_taps(*(array.shape[:2] if array.ndim == 4 else (1, 1)))
        self._array: Array | None = array
        self._whole: tuple[str, str, Panels] | None = (
            None  # the panels that a released array is recovered from
        )
        self._shape: tuple[int, ...] = array.shape
        self._dtype: np.dtype[Any] = array.dtype
        self.operation: str = operation
        # the facts that the packing depends on; 1 for those that do not matter
        record = OPERATIONS[operation]
        self.strides: Pair = as_pair(strides, "strides") if record.transposed else (1, 1)
        self.dilations: Pair = as_pair(dilations, "dilations") if record.transposed else (1, 1)
        self.groups: int = as_size(groups, "groups") if record.grouped else 1
        split = array.shape[-1]
        if record.grouped and split % self.groups:
            raise ValueError(
                f"groups must divide the kernel's last axis; got groups={self.groups} and {split} channels"
            )
        self._panels: dict[tuple[str, str], Panels] = {}
        self._lock = fork_lock()  # from here on nothing can be assigned

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, "_lock"):
            raise AttributeError(f"a PackedKernel is immutable: pack a new one instead of assigning {name}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a PackedKernel is immutable: {name} stays")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array that was packed."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the array that was packed."""
        return self._dtype

    @property
    def kernel(self) -> Array:
        """The array that was packed."""
        array = self._array
        if array is not None:
            return array
        assert self._whole is not None
        isa, layout, panels = self._whole
        return unpacked(panels, self._weights, isa, layout)

    @property
    def _weights(self) -> Weights:
        return Weights(self.operation, self.shape, self.strides, self.dilations, self.groups)

    def _let_go(self) -> bool:
        """Release the array if the panels hold all its numbers; `kernel` then recovers it from them."""
        if self._array is None:
            return True
        with self._lock:
            for (isa, layout), panels in self._panels.items():
                if layout in _MOVED:
                    object.__setattr__(self, "_whole", (isa, layout, panels))
                    object.__setattr__(self, "_array", None)
                    return True
        return False

    def panels(self, layout: str | None = None, isa: str | None = None) -> Panels:
        """The packed weights, as the core reads them.

        Parameters
        ----------
        layout : str or None, default None
            One of the layouts of docs/fast.md; None: what most calls need.
        isa : str or None, default None
            An instruction set of `show_config`; None: the one in use.

        Returns
        -------
        Panels
            The weights in that layout, made once and kept.

        Examples
        --------
        >>> import convlite as cl
        >>> cl.PackedKernel(np.ones((3, 3, 2, 4), np.float32)).panels().finite
        True
        """
        isa = isa or _dispatch.active_isa()
        weights = self._weights
        if layout is None:
            layout = usual_layout(weights, self.dtype, isa)
        panels = self._panels.get((isa, layout))
        if panels is None:
            with self._lock:
                panels = self._panels.get((isa, layout))
                if panels is None:
                    panels = pack_panels(self.kernel, weights, isa, layout, self._room)
                    self._panels[isa, layout] = panels
                    object.__setattr__(self, "_room", None)  # it is for the first layout
                    self._forget_old()
        return panels

    def _forget_old(self) -> None:
        """If all panels take too much memory, drop the oldest, and the calls that refer to them."""
        most = max(MOST_PANELS * math.prod(self.shape) * self.dtype.itemsize, SMALL_PANELS)
        taken = sum([panels.data.nbytes for panels in self._panels.values()])
        while taken > most and len(self._panels) > 1:
            taken -= self._panels.pop(next(iter(self._panels))).data.nbytes
            self.calls.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self.kernel, self.operation, self.strides, self.dilations, self.groups)

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedKernel:
        return self

    def __repr__(self) -> str:
        return f"PackedKernel({self.operation}, shape={self.shape}, dtype={self.dtype})"


def _unpickle(
    kernel: Array, operation: Operation, strides: Pair, dilations: Pair, groups: int
) -> PackedKernel:
    return PackedKernel(kernel, operation, strides=strides, dilations=dilations, groups=groups)


# ---- a plan, and the weights in its layout -----------------------------------------------------------------


def with_weights(
    plan: Plan, weights: Array | PackedKernel, facts: Weights, call: tuple[Any, ...]
) -> tuple[Plan, Panels]:
    """A plan, and the weights in its layout.

    If the weights hold Inf or NaN and the plan uses zeros as padding, another plan is chosen, which skips
    the padding. `facts`: facts about the weights; `call`: geometry_of's arguments.
    """

    def pack(layout: str) -> Panels:
        if isinstance(weights, PackedKernel):
            return weights.panels(layout, plan.isa)
        if not layout:
            finite = not plan.needs_finite or _kernels.all_finite(weights, plan.isa, plan.kind)
            return Panels(weights, finite)  # without repacking
        return pack_panels(weights, facts, plan.isa, layout)

    panels = pack(plan.layout)
    if panels.finite or not plan.needs_finite:
        return plan, panels
    other = planned(plan.isa, weights.dtype, False, isinstance(weights, PackedKernel), False, *call)
    return other, panels if other.layout == plan.layout else pack(other.layout)


def made_ready(
    packed: PackedKernel,
    x_shape: tuple[int, ...],
    strides: object = 1,
    padding: object = "valid",
    dilations: object = 1,
    output_shape: object = None,
    output_padding: Pair | None = None,
) -> tuple[Plan, Panels | None]:
    """The plan of a packed kernel's operation on x (N,H,W,C) of this shape, under the precision and the
    instruction set in force, and the weights in its layout; no weights where there is no output.

    >>> str(made_ready(PackedKernel(np.ones((3, 3, 8, 64), np.float32)), (1, 28, 28, 8))[0])
    'strided'
    """
    s, p, d = as_pair(strides, "strides"), as_padding(padding), as_pair(dilations, "dilations")
    size = as_output_shape(output_shape)
    call = (packed.operation, x_shape, packed.shape, s, p, d, packed.groups, size, output_padding, 2)
    plan = planned(_dispatch.active_isa(), packed.dtype, _precision.is_fast(), True, True, *call)
    if 0 in plan.geometry.out_shape:
        return plan, None
    return with_weights(plan, packed, Weights(packed.operation, packed.shape, s, d, packed.groups), call)
