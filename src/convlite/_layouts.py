"""Kernels that were not converted, where their shape says so and nothing else would.

Most foreign kernels do not fit x's channels: the error says what they look like (check_channels).
Those that happen to fit give numbers without a meaning: here is a warning for them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

from .arguments import fits_torch, nchw_hint

_WINDOWS = (2, 3, 4, 5, 7)  # of kernels that are common, and too few for channels


def looks_foreign(operation: str, kernel: tuple[int, ...]) -> bool:
    """Whether a kernel of (kh, kw, in, out) or (kw, in, out) is more likely one of PyTorch's or ONNX's.

    (64, 3, 3, 3) fits an RGB image, as 64 rows and 3 columns of 3 channels to 3. A real kernel so tall, so
    narrow and with so few channels is hardly ever made. In 1-D the middle axis is the same in both layouts,
    so each (O, I, kw) fits; what tells is a window of many places, a multiple of 8, with very few outputs.

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
    """Warn where a kernel that fits looks_foreign; the caller remembers its answer, and so asks once."""
    if looks_foreign(operation, kernel):
        warn(
            f"kernel of shape {kernel} looks like PyTorch's or ONNX's layout, here it means "
            f"{_meaning(kernel)}: convlite.convert.from_torch and from_onnx convert such kernels"
        )


def warn_of_window(layer: str, kernel: tuple[int, ...]) -> None:
    """Warn where a 2-D layer is made from a kernel that is tall, not square, and ends in a window's two
    sizes: (64, 3, 7, 7). No x is there yet whose channels would tell.
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
    """kernel's input channels against x's (of each group), with a word about layouts when a transposition
    would fit.
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
    has = f"x has {expected}"
    if groups > 1:
        has = f"each of the {groups} groups of x's {expected * groups} channels has {expected}"
    raise ValueError(f"kernel has {received} input channels but {has} (kernel is {form}, got {kernel}){hint}")


def _meaning(kernel: tuple[int, ...]) -> str:
    window = " x ".join(map(str, kernel[:-2]))
    return f"a window of {window}, {kernel[-2]} and {kernel[-1]} channels"


def warn(message: str) -> None:
    """A UserWarning at the line outside of convlite that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "convlite":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def build_from(
    build: Callable[[tuple[int | None, ...]], None], x: tuple[int, ...], image: bool, known: bool
) -> None:
    """build((None, H, W, C)) for an x of this shape, with a word about channels that come first.

    An image of 1 or 3 rows, many columns and many channels is mostly (N, C, H, W). Where no layer refuses it,
    one of 3 rows and as many columns as channels is refused here, since no real (N, H, W, C) is known that
    looks so, and of the others a warning is given. A layer that was built for such a shape takes it, and so
    does one whose weights say the number of channels (`known`).
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
