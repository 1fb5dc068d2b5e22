"""Detection, by its shape, of a kernel in another framework's layout.

Most such kernels do not fit x's channels, and the error names the layout that they seem to have
(check_channels). A kernel that fits by chance would give meaningless numbers, so there is a warning for it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

from .arguments import fits_torch, nchw_hint

_WINDOWS = (2, 3, 4, 5, 7)  # common window sizes, which are too small to be numbers of channels


def looks_foreign(operation: str, kernel: tuple[int, ...]) -> bool:
    """Whether a kernel of (kh, kw, in, out) or (kw, in, out) is more likely one of PyTorch's or ONNX's.

    (64, 3, 3, 3) fits an RGB image: it would be a window of 64 rows and 3 columns, with 3 input and 3 output
    channels. Such tall, narrow kernels with so few channels are very rare. In 1-D the middle axis is the
    same in both layouts, so every (O, I, kw) fits. There, the sign of a foreign kernel is a window whose size
    is large and a multiple of 8, with very few outputs.

    >>> looks_foreign("conv2d", (64, 3, 3, 3)), looks_foreign("conv2d", (9, 9, 3, 3))
    (True, False)
    >>> looks_foreign("conv2d_transpose", (3, 64, 3, 3)), looks_foreign("conv2d", (64, 16, 3))
    (True, True)
    """
    if len(kernel) == 3:
        first, inputs, last = kernel
        return operation == "conv2d" and first >= 8 and first % 8 == 0 and inputs > 1 and last in (3, 5, 7)
    if len(kernel) != 4 or kernel[2] != kernel[3] or kernel[2] not in _WINDOWS:
        return False
    if operation == "conv2d":  # (O, I, k, k) on I = k channels
        return kernel[0] >= 8 and kernel[1] == kernel[2]
    if operation == "conv2d_transpose":  # (I, O, k, k) on I = k channels
        return kernel[1] >= 8 and kernel[0] == kernel[2]
    return False


def warn_of_foreign(operation: str, kernel: tuple[int, ...]) -> None:
    """Warn if a kernel that fits looks foreign; callers remember the result and so call this once."""
    if looks_foreign(operation, kernel):
        warn(
            f"kernel of shape {kernel} looks like PyTorch's or ONNX's layout, here it means "
            f"{_meaning(kernel)}: convlite.convert.from_torch and from_onnx convert such kernels"
        )


def warn_of_window(layer: str, kernel: tuple[int, ...]) -> None:
    """Warn if a 2-D layer is made from a kernel with a tall, not square window whose last two sizes look like
    a window, as in (64, 3, 7, 7). There is no x yet whose channels could be compared.
    """
    if len(kernel) == 4 and kernel[0] >= 8 and kernel[0] != kernel[1] and kernel[2] == kernel[3] in (3, 5, 7):
        warn(
            f"{layer}: the kernel of shape {kernel} looks like PyTorch's or ONNX's layout, here it means "
            f"{_meaning(kernel)}: see convlite.convert.from_torch and from_onnx"
        )


def check_channels(
    received: int,
    expected: int,
    x: tuple[int, ...],
    kernel: tuple[int, ...],
    form: str,
    foreign: str,
    groups: int = 1,
) -> None:
    """Check the kernel's input channels against those of x (of each group). The message mentions layouts if
    a transposed kernel would fit.
    """
    if received == expected:
        return
    from . import _hints  # late: only errors need it

    operation = "depthwise_conv2d" if "multiplier" in form else "conv2d"
    operation = "conv2d_transpose" if foreign.startswith("IO") else operation
    cout = kernel[-1]
    hint = _hints.swapped(received, expected, kernel, operation, groups, cout)
    if fits_torch(kernel, expected, foreign):
        hint = f"; {kernel} looks like PyTorch's {foreign}: see convlite.convert.from_torch"
    elif len(x) == 4 and x[1] == received * groups and x[1] < x[3]:
        hint = f"; {nchw_hint(x)}"
    elif len(x) == 3 and x[1] == received * groups and x[1] < x[2]:
        hint = f"; x of shape {x} looks like NCW: write x.transpose(0, 2, 1)"
    elif not hint and groups == 1 and len(x) == 4:
        hint = _hints.other_channels(x, (None, None, None, received))
    has = f"x has {expected}"
    if groups > 1:
        has = f"each of the {groups} groups of x's {expected * groups} channels has {expected}"
    raise ValueError(f"kernel has {received} input channels but {has} (kernel is {form}, got {kernel}){hint}")


def _meaning(kernel: tuple[int, ...]) -> str:
    window = " x ".join(map(str, kernel[:-2]))
    return f"a window of {window}, {kernel[-2]} and {kernel[-1]} channels"


def warn(message: str) -> None:
    """Give a UserWarning at the caller's line outside of convlite."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "convlite":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def build_from(
    build: Callable[[tuple[int | None, ...]], None], x: tuple[int, ...], image: bool, known: bool
) -> None:
    """Call build((None, H, W, C)) for an x of this shape; detect images whose channels come first.

    An image of 1 or 3 rows, many columns and many channels is usually (N, C, H, W). If no layer refuses it,
    this function refuses images of 3 rows and equal numbers of columns and channels, since no real
    (N, H, W, C) image with such a shape is known; for the others it gives a warning. A layer that was built
    for such a shape accepts it, and so does a layer whose weights fix the number of channels (`known`).
    """
    _, rows, columns, channels = x if image and len(x) == 4 else (0, 0, 0, 0)
    first = rows in (1, 3) and columns > rows and channels > rows
    hint = nchw_hint(x)
    if not known and rows == 3 and columns == channels >= 16:
        raise ValueError(
            f"{hint}; if it is (N, H, W, C) all the same, build((None, {rows}, {columns}, {channels}))"
        )
    try:
        build((None, *x[1:]))
    except ValueError as error:
        if not x:
            raise ValueError("x must have a batch axis; got a scalar") from None
        if not first:
            raise
        again = ValueError(f"{error}; {hint}")
        again.__dict__.update(error.__dict__)
        for note in getattr(error, "__notes__", ()):
            again.add_note(note)
        raise again from None
    if not known and first and columns >= 16 and channels >= 16:
        warn(f"{hint}; if it is (N, H, W, C), build((None, {rows}, {columns}, {channels})) says so")
