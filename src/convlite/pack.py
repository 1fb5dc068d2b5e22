"""Kernels as aligned panels in the order in which the micro-kernels read them.

The layout, for each phase, then each group, then each panel of output channels:
[taps][input channels][nr*lanes], the last panel narrower but whole vectors wide, padded with zeros. The
phases of a transposed convolution are its residue classes (geometry.py): they depend on the stride and the
dilation only, so one packing serves every input size and padding.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _dispatch, _kernels
from ._locks import fork_lock
from ._memory import aligned_empty
from ._options import documented
from ._types import Sizes
from .arguments import Array, Pair, as_operand, as_pair, as_size, check_taps, is_one_of, shown
from .geometry import residue_classes
from .plan import Weights, channels_of, read_layout, usual_layout, weights_of

# What one kernel keeps packed, as a multiple of its own size: the panels in use and others, where "fast" has
# other ones for each size of map (up to 7 times the kernel's size). Small ones keep all.
MOST_PANELS = 10
SMALL_PANELS = 256 * 1024

Operation = Literal["conv2d", "conv2d_transpose", "depthwise_conv2d", "dense"]
_RANK = {"conv2d": 4, "conv2d_transpose": 4, "depthwise_conv2d": 4, "dense": 2}


_IN_ORDER = ("pixel_vectors", "tall_skinny", "merged_phases")
# Layouts that have every number of the kernel once, and zeros: the kernel can be read out of them.
_MOVED = frozenset((*_IN_ORDER, "direct", "depthwise", "lanewise"))


class Panels(NamedTuple):
    """Packed weights for one instruction set."""

    data: Array
    finite: bool  # no Inf, no NaN: zeros may stand for padding


@lru_cache(maxsize=512)
def _recipe(
    operation: str,
    shape: tuple[int, ...],
    strides: Pair,
    dilations: Pair,
    groups: int,
    isa: str,
    bits: int,
    layout: str,
    steps: tuple[int, ...],
) -> tuple[int, _kernels.Recipe]:
    """recipe_for the layouts "direct", "depthwise", "lanewise" and, of the merged kernel, "merged_phases"."""
    cin, cout, groups = channels_of(operation, shape, groups)
    height, width = shape[:2] if len(shape) == 4 else (1, 1)
    table = _kernels.describe(isa, bits)
    per_group, kc = cout // groups, cin // groups

    # where the kernel holds tap t, channel k of a group, output channel l of it, and group g:
    # offset = the tap's + k*k_step + l*l_step + g*group_step
    row_step, column_step, next_to_last, last = (0, 0, *steps)[-4:]
    if operation == "conv2d_transpose":
        k_step, l_step, group_step = last, next_to_last, kc * last
    elif operation == "depthwise_conv2d":
        k_step, l_step, group_step = 0, last, next_to_last
    else:
        k_step, l_step, group_step = next_to_last, last, per_group * last

    if operation == "conv2d_transpose":
        rows = residue_classes(height, strides[0], dilations[0])
        columns = residue_classes(width, strides[1], dilations[1])
    else:
        rows, columns = [list(range(height))], [list(range(width))]
    rows, columns = [c for c in rows if c], [c for c in columns if c]
    taps = [a * row_step + b * column_step for row in rows for column in columns for a in row for b in column]
    phase_taps = [len(row) * len(column) for row in rows for column in columns]

    sizes: tuple[int, int, int, int, int, int]
    if layout == "lanewise":  # [phase][panel of one vector][taps][kc][lanes]: over the outputs of all groups
        padded = -(-cout // table["lanes"]) * table["lanes"]
        l_step = group_step if operation == "conv2d_transpose" else last
        recipe = _kernels.Recipe(
            bits // 8, taps, phase_taps, 1, kc, cout, k_step, l_step, 0, table["lanes"], 1, False
        )
        return len(taps) * kc * padded, recipe
    if layout == "depthwise":
        # channels are the groups: kc counts them, width is the multiplier
        size = len(taps) * cout
        sizes = (1, groups, per_group, group_step, l_step, 0)
    else:
        padded = -(-per_group // table["lanes"]) * table["lanes"]
        size = len(taps) * groups * kc * padded
        sizes = (groups, kc, per_group, k_step, l_step, group_step)
    parameters = (table["lanes"], table["nr"], layout == "depthwise")
    return size, _kernels.Recipe(bits // 8, taps, phase_taps, *sizes, *parameters)


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


def pack_panels(
    kernel: Array,
    operation: str,
    strides: Pair,
    dilations: Pair,
    groups: int,
    isa: str,
    layout: str,
) -> Panels:
    """Pack a kernel for one instruction set, in the layout of a plan."""
    if layout.startswith("winograd"):
        return _pack_winograd(np.ascontiguousarray(kernel), operation, strides, groups, isa, layout)
    bits = 8 * kernel.itemsize
    memory, steps = _as_it_lies(kernel)
    if steps is not None and layout in _IN_ORDER:
        memory, steps = np.ascontiguousarray(kernel), None
    size, recipe = recipe_for(operation, kernel.shape, strides, dilations, groups, isa, bits, layout, steps)
    data = aligned_empty(size, kernel.dtype)
    return Panels(data, recipe.pack(memory, data))


def unpacked(
    panels: Panels,
    operation: str,
    shape: tuple[int, ...],
    strides: Pair,
    dilations: Pair,
    groups: int,
    isa: str,
    layout: str,
) -> Array:
    """The kernel, in C order, that was packed in one of the layouts _MOVED.

    The numbers of its places are packed as it was, and say where each one went.

    >>> kernel = np.arange(36.0).reshape(3, 3, 2, 2)
    >>> how = ((1, 1), (1, 1), 1, _dispatch.active_isa(), "direct")
    >>> bool((unpacked(pack_panels(kernel, "conv2d", *how), "conv2d", kernel.shape, *how) == kernel).all())
    True
    """
    count, dtype = math.prod(shape), panels.data.dtype
    size, recipe = recipe_for(operation, shape, strides, dilations, groups, isa, 8 * dtype.itemsize, layout)
    word = np.dtype(f"u{dtype.itemsize}")
    places = aligned_empty(size, word)
    recipe.pack(np.arange(1, count + 1, dtype=word), places)
    flat = np.empty(count + 1, dtype)  # the first place is that of the zeros
    flat[places] = panels.data
    kernel = flat[1:].reshape(shape)
    kernel.flags.writeable = False
    return kernel


def recipe_for(
    operation: str,
    shape: tuple[int, ...],
    strides: Pair,
    dilations: Pair,
    groups: int,
    isa: str,
    bits: int,
    layout: str,
    steps: tuple[int, ...] | None = None,
) -> tuple[int, _kernels.Recipe]:
    """The size of the panels of a kernel of this shape in the layout of a plan, and how to fill them.

    steps: of the kernel's axes in its memory, in elements; None for C order, which those of _IN_ORDER want.
    """
    if layout == "pixel_vectors":
        return _pixel_recipe(operation, shape, bits)
    if layout == "tall_skinny":
        return _skinny_recipe(operation, shape, bits)
    if layout == "merged_phases":  # stride taps of a kernel row are one of stride*Cout channels, as they lie
        height, width, cout, cin = shape
        shape, strides = (height, width // strides[1], strides[1] * cout, cin), (strides[0], 1)
    return _recipe(operation, shape, strides, dilations, groups, isa, bits, layout, steps or _in_order(shape))


@lru_cache(maxsize=512)
def _pixel_recipe(operation: str, shape: tuple[int, ...], bits: int) -> tuple[int, _kernels.Recipe]:
    """[kernel columns][cin][kernel rows][cout]: as panels of cout lanes, a phase for each kernel column and a
    group for each input channel."""
    height, width, a, b = shape
    cin, cout, cin_step, cout_step = (a, b, b, 1) if operation == "conv2d" else (b, a, 1, b)
    taps, steps = range(0, width * a * b, a * b), (width * a * b, cout_step, cin_step)
    recipe = _kernels.Recipe(bits // 8, taps, [1] * width, cin, height, cout, *steps, 1, cout, False)
    return height * width * a * b, recipe


@lru_cache(maxsize=512)
def _skinny_recipe(operation: str, shape: tuple[int, ...], bits: int) -> tuple[int, _kernels.Recipe]:
    """[cin][kernel rows][kernel columns][cout]: the same with a group for each input channel."""
    height, width, a, b = shape
    cin, cout, cin_step, cout_step = (a, b, b, 1) if operation == "conv2d" else (b, a, 1, b)
    taps = range(0, height * width * a * b, a * b)
    steps = (cin, 1, cout, 0, cout_step, cin_step)
    return height * width * a * b, _kernels.Recipe(bits // 8, taps, [height * width], *steps, 1, cout, False)


def _pack_winograd(
    kernel: Array, operation: str, strides: Pair, groups: int, isa: str, layout: str
) -> Panels:
    """Transform a C-contiguous kernel for Winograd's form: for each group, panels [slots][cin][nr*lanes].

    The transpose reads the kernel turned round: its steps are negative.
    """
    height, width = kernel.shape[:2]
    cin, cout, groups = channels_of(operation, kernel.shape, groups)
    kc, per_group = cin // groups, cout // groups
    lanes = _kernels.describe(isa, 8 * kernel.itemsize)["lanes"]
    plane = kernel.shape[2] * kernel.shape[3]
    if operation == "conv2d_transpose":
        first, group_step, steps = (height * width - 1) * plane, kc, (-width * plane, -plane, 1, cin)
    else:
        first, group_step, steps, strides = 0, per_group, (width * plane, plane, cout, 1), (1, 1)
    factors = [weights_of(kernel.shape[a], strides[a], tile) for a, tile in enumerate(read_layout(layout))]
    rows, columns = (np.array(each).ravel() for each in factors)
    size = len(factors[0]) * len(factors[1]) * kc * -(-per_group // lanes) * lanes
    data = aligned_empty(groups * size, kernel.dtype)
    sizes = (height, width, kernel.size, data.size)
    for group in range(groups):
        places = (first + group * group_step, group * size, *steps)
        _kernels.pack_winograd(
            kernel, data, isa, kernel.itemsize, sizes, rows, columns, *places, kc, per_group
        )
    return Panels(data, True)


def _rows_first(kernel: ArrayLike) -> ArrayLike:
    """A large matrix in Fortran order as a copy in C order; everything else as it is.

    Files of other frameworks hold dense kernels the other way around. Block by block it takes a quarter of
    NumPy's time (12544 x 4096 on Zen 4: 0.15 s and 0.64 s): whole rows need a cache line for each number.
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


@documented
class PackedKernel:
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
        *("_array", "_dtype", "_lock", "_panels", "_shape", "_whole"),
        *("calls", "dilations", "groups", "operation", "strides"),
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
        if not is_one_of(operation, _RANK):
            raise ValueError(f"operation must be one of {', '.join(_RANK)}; got {shown(operation)}")
        array = as_operand(_rows_first(kernel), "kernel", _RANK[operation])
        if not isinstance(kernel, np.ndarray) or np.may_share_memory(array, kernel):
            array = np.array(array)
        array.setflags(write=False)
        self._fill(array, operation, strides, dilations, groups)
        self.panels()

    @classmethod
    def _deferred(cls, kernel: Array, operation: Operation, **options: Any) -> PackedKernel:
        """A network's: of an array that nobody writes to, which is held as it is, in any order; nothing is
        packed before a plan asks for its layout.
        """
        packed = cls.__new__(cls)
        packed._fill(kernel, operation, **{"strides": 1, "dilations": 1, "groups": 1} | options)
        return packed

    def _fill(
        self, array: Array, operation: Operation, strides: object, dilations: object, groups: int
    ) -> None:
        check_taps(*(array.shape[:2] if array.ndim == 4 else (1, 1)))
        self._array: Array | None = array
        self._whole: tuple[str, str, Panels] | None = None  # what the array is made from where it is gone
        self._shape: tuple[int, ...] = array.shape
        self._dtype: np.dtype[Any] = array.dtype
        self.operation: str = operation
        # what the packing depends on; 1 where it does not
        transposed = operation == "conv2d_transpose"
        self.strides: Pair = as_pair(strides, "strides") if transposed else (1, 1)
        self.dilations: Pair = as_pair(dilations, "dilations") if transposed else (1, 1)
        self.groups: int = as_size(groups, "groups") if operation in ("conv2d", "conv2d_transpose") else 1
        split = array.shape[-1]
        if operation in ("conv2d", "conv2d_transpose") and split % self.groups:
            raise ValueError(
                f"groups must divide the kernel's last axis; got groups={self.groups} and {split} channels"
            )
        self._panels: dict[tuple[str, str], Panels] = {}
        self.calls = _kernels.Calls()  # that were made with it: _calls.py
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
        options = (self.operation, self.shape, self.strides, self.dilations, self.groups)
        return unpacked(panels, *options, isa, layout)

    def _let_go(self) -> bool:
        """Forget the array where the panels hold every number of it; `kernel` then makes it again."""
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
        options = (self.operation, self.strides, self.dilations, self.groups)
        if layout is None:
            layout = usual_layout(Weights(self.operation, self.shape, *options[1:]), self.dtype, isa)
        panels = self._panels.get((isa, layout))
        if panels is None:
            with self._lock:
                panels = self._panels.get((isa, layout))
                if panels is None:
                    panels = pack_panels(self.kernel, *options, isa, layout)
                    self._panels[isa, layout] = panels
                    self._forget_old()
        return panels

    def _forget_old(self) -> None:
        """Drop the panels that were packed first, where all take too much; and the calls, which hold them."""
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
