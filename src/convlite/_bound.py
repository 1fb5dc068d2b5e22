"""An operation with everything but x fixed: how a layer calls the operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _dispatch, _precision
from .activations import Fused, Spec, resolve
from .arguments import Array, as_operand
from .ops import _plan, compute
from .pack import PackedKernel, Panels
from .plan import Plan, with_panels
from .winograd import WinogradPlan

_MOST_SHAPES = 64  # that a layer remembers


class Bound:
    """An operation with everything but x fixed, as a layer has it: operation(x, kernel, bias, ...); what
    depends on the shape of x only is done once for each shape.

    `operation` is the public function and `options` its keyword arguments; it makes the first call for each
    shape, with all of its checks. `geometry` is the same options as the plan takes them: strides, padding,
    dilations, groups, output_shape and output_padding in 2-D.
    """

    __slots__ = ("_activation", "_bias", "_calls", "_geometry", "_kernel", "_operation", "_options")

    def __init__(
        self,
        operation: Callable[..., Array],
        kernel: PackedKernel,
        bias: Array | None,
        activation: Spec,
        options: dict[str, Any],
        geometry: tuple[Any, ...],
    ) -> None:
        self._operation, self._options, self._geometry = operation, options, geometry
        self._kernel, self._bias, self._activation = kernel, bias, activation
        self._calls: dict[Any, tuple[Plan | WinogradPlan, Panels, Fused, tuple[int, ...]]] = {}

    def __call__(self, x: ArrayLike) -> Array:
        array = as_operand(x, "x")
        dtype = array.dtype
        key = (array.shape, _dispatch.active_isa(), _precision.resolve(None) == "fast")
        found = self._calls.get(key)
        if found is None or dtype is not self._kernel.kernel.dtype:
            return self._first(array, *key)
        plan, panels, fused, shape = found
        y = np.empty(shape, dtype)
        compute(plan, panels, self._bias, fused, array, y)
        return y

    def _first(self, x: Array, shape: tuple[int, ...], isa: str, fast: bool) -> Array:
        kernel = self._kernel
        y = self._operation(x, kernel, self._bias, activation=self._activation, **self._options)
        fused, after = resolve(self._activation, y.shape[-1], y.dtype)
        if after is None:
            inner = shape
            if kernel.operation == "dense":
                inner = (1, 1, math.prod(shape[:-1]), shape[-1])
            elif len(shape) == 3:
                inner = (shape[0], 1, *shape[1:])
            plan = _plan(isa, x.dtype, fast, kernel.operation, inner, kernel.shape, *self._geometry)
            if len(self._calls) >= _MOST_SHAPES:
                self._calls.clear()
            plan, panels = with_panels(plan, partial(kernel.panels, isa=isa))
            self._calls[shape, isa, fast] = plan, panels, fused, y.shape
        return y
