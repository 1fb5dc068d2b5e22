"""The cache of checked calls, and operations with all arguments but x fixed.

ops.py checks and plans the first call of each kind; kernels/calls.pxi decides when a later call may skip
this. A PackedKernel keeps the calls that were made with it; the core keeps short calls with arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _kernels, _precision, _threads
from ._memory import empty, is_large
from .activations import CELU, ELU, Fused, HardShrink, LeakyReLU, Named, PReLU, ReLU, SoftShrink, softmax
from .arguments import Array, as_operand, mixed_dtypes
from .pack import PackedKernel, Panels, recipe_for
from .plan import Plan, Weights
from .plan.winograd import Winograd, tile_for

Given = tuple[Any, ...]

_CONSTANTS = frozenset(
    {int, str, type(None), ReLU, LeakyReLU, ELU, CELU, SoftShrink, HardShrink, PReLU, Named}
)
_MOST_AXES = 6  # of calls.pxi


def constant(value: object) -> bool:
    """Whether an argument is immutable, so that it is safe in a cache key.

    >>> constant(((1, 1), "same", None)), constant([1, 1])
    (True, False)
    """
    if type(value) is tuple:
        return all(map(constant, value))
    return type(value) in _CONSTANTS or value is softmax


def remember(
    given: Given,
    x: ArrayLike,
    kernel: ArrayLike | PackedKernel,
    out_shape: tuple[int, ...],
    plan: Plan,
    panels: Panels,
    fused: Fused,
    after: Callable[[Array], Any] | None,
    weights: Weights,
    precision: _precision.Precision | None,
) -> None:
    """Keep the plan of a call, if a later call can use it.

    `given` is the operation's name and all arguments but arrays; x and kernel are the caller's objects;
    `weights` are the facts that the packing depends on.
    """
    short = plan.nanoseconds < _threads.SERIAL_WORK
    if not _kernels.is_wanted(given, x, kernel, short):
        return
    if not constant(given) or not (after is None or after is softmax):
        return
    assert isinstance(x, np.ndarray)  # the caller remembers calls with arrays only
    if 0 in x.shape or 0 in out_shape or max(x.ndim, len(out_shape)) > _MOST_AXES:
        return
    calls, recipe, kernel_shape = _kernels.plain_calls, None, ()
    fast = isinstance(plan, Winograd)
    if isinstance(kernel, PackedKernel):
        calls = kernel.calls
    else:
        # the time of the check does not matter in a long call, and its plan would take memory here
        if not short or fast:
            return
        if not panels.finite:
            return
        kernel_shape = np.shape(kernel)
        if plan.layout:
            recipe = recipe_for(weights, plan.isa, plan.kind, plan.layout, None)[1]
    call = _kernels.Call(
        plan.runner,
        given,
        x.shape,
        out_shape,
        x.dtype,
        kernel_shape,
        recipe,
        panels if isinstance(kernel, PackedKernel) else None,
        fused,
        after,
        plan.needs_finite,
        # the precision in force, if the plan depends on it and the call did not set it
        _precision.is_fast() if precision is None and (fast or any(tile_for(plan.geometry))) else None,
        _precision.is_fast,
        None if short else _threads.threads_for,
        plan.nanoseconds,
        empty if is_large(out_shape, x.dtype) else np.empty,
    )
    calls.keep(call)


def bind(
    operation: Callable[..., Array],
    kernel: PackedKernel,
    bias: Array | None,
    arguments: dict[str, Any],
) -> Callable[[ArrayLike], Array]:
    """operation(x, kernel, bias, **arguments) as a function of x; layers call the operations through it."""
    keywords: dict[str, Any] = (operation.__kwdefaults__ or {}) | arguments  # in the operation's order
    given = [value for name, value in keywords.items() if name != "out"]

    def first(x: ArrayLike) -> Array:
        array = as_operand(x, "x")
        if array.dtype != kernel.dtype:
            raise mixed_dtypes(x, "x", array.dtype, kernel.dtype, ("kernel", None))
        return operation(array, kernel, bias, **arguments)

    return _kernels.bound((operation.__name__, *given), kernel, bias, first)
