"""The precision of operations, "exact" or "fast": for a block of code, and a default for the process.

"exact": each output is one ordered sum over (kh, kw, cin), cut where the shape says (sums.py). "fast":
convolutions with stride 1 or 2, and transposed ones with stride 2, may use Winograd's form, where that is
faster (plan/winograd.py has the rule, the error bound, and what becomes of NaN and Inf). Both are
deterministic: a result depends on the shape and the values, never on the batch around an image, the number of
threads, or which FMA instruction set computes it.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from ._options import suggesting
from .arguments import is_one_of, shown

Precision = Literal["exact", "fast"]

_scope: contextvars.ContextVar[Precision | None] = contextvars.ContextVar("convlite_precision", default=None)
_process: Precision = "exact"


def _check(mode: Precision) -> Precision:
    if not is_one_of(mode, get_args(Precision)):
        raise ValueError(f'precision must be "exact" or "fast"; got {shown(mode)}')
    return mode


def resolve(mode: Precision | None = None) -> Precision:
    """A call's own precision, or the one in force if the call has none."""
    return (_scope.get() or _process) if mode is None else _check(mode)


def is_fast() -> bool:
    """Whether the precision in force is "fast"."""
    return (_scope.get() or _process) == "fast"


def get_precision() -> Precision:
    """Return the precision of a call from here.

    Returns
    -------
    str
        "exact" or "fast".

    Examples
    --------
    >>> import convlite as cl
    >>> cl.get_precision()
    'exact'
    """
    return resolve()


@suggesting
def set_precision(mode: Precision) -> None:
    """Set the precision for the whole process; a block of `precision` has precedence.

    Parameters
    ----------
    mode : str
        "exact" or "fast".

    Raises
    ------
    ValueError
        For another mode.

    Examples
    --------
    >>> import convlite as cl
    >>> cl.set_precision("exact")
    """
    global _process
    _process = _check(mode)


@suggesting
@contextmanager
def precision(mode: Precision) -> Iterator[None]:
    """Compute "exact" or "fast" inside this block, in this Python thread (or asyncio task) only.

    "fast" allows Winograd's form to convolutions with stride 1 (3x3, 5x5, dilated, along one axis) and to
    those with stride 2, transposed or not (3 to 6 taps along an axis): up to 4 times faster, with errors of
    typically 1e-6 to 3e-5 of the largest output in float32, instead of a few times 1e-7 (the bound:
    convlite.plan.winograd). A NaN or Inf in x spreads over blocks of up to 8x8 outputs, which lie a dilation
    apart.

    Parameters
    ----------
    mode : str
        "exact" or "fast".

    Raises
    ------
    ValueError
        For another mode.

    Examples
    --------
    >>> import convlite as cl
    >>> with cl.precision("fast"):
    ...     cl.get_precision()
    'fast'
    """
    token = _scope.set(_check(mode))
    try:
        yield
    finally:
        _scope.reset(token)
