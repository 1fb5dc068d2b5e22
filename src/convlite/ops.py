"""The operations: NHWC arrays in, a new NHWC array (or `out`) back.

Shapes: N images, H x W pixels, C channels; kernels are kh x kw. dtypes: float32 or float64, the same for all
operands of a call. In place of `kernel` each accepts a PackedKernel. Subnormal numbers count as zeros in the
operations of this module; docs/same-bits.md lists the others.
Common arguments:

    strides, dilations   int, (h, w), or TensorFlow's [1, h, w, 1]
    padding              "valid", "same" (TensorFlow's rule), "same_lower" (ONNX), an int, (ph, pw),
                         ((top, bottom), (left, right)), or TensorFlow's [[0, 0], [t, b], [l, r], [0, 0]]
    activation           None, a name, an object such as convlite.activations.LeakyReLU(0.1), or any callable
    out                  where to write: exact shape and dtype, C-contiguous, overlapping no input;
                         untouched when an error is raised
    precision            "exact" or "fast" for this call (convlite.precision); None: what holds here

Errors: TypeError for dtypes and kinds, ValueError for shapes and values, each naming the argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Never, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from . import _dispatch, _precision, _threads
from ._calls import Given, remember
from ._kernels import replay
from ._options import catching, documented, public
from ._precision import Precision
from ._types import Pads, Sizes
from .activations import NONE, Spec, checked, resolve
from .arguments import (
    Array,
    Padding,
    Pair,
    as_nhwc,
    as_numbers,
    as_operand,
    as_output_shape,
    as_padding,
    as_padding_1d,
    as_pair,
    as_single,
    as_size,
    check_bias,
    check_out,
    mixed_dtypes,
    new_output,
    shown,
)
from .geometry import OPERATIONS, Operation, effective_kernel, geometry_of, same_pads
from .pack import PackedKernel, with_weights
from .plan import Weights, planned

Kernel = ArrayLike | PackedKernel

# ---- the operations ----------------------------------------------------------------------------------------


@documented
@catching
def conv2d(
    x: ArrayLike,
    kernel: Kernel,
    bias: ArrayLike | None = None,
    *more: Never,
    strides: Sizes = 1,
    padding: Pads = "valid",
    dilations: Sizes = 1,
    groups: int = 1,
    activation: Spec = None,
    out: Array | None = None,
    precision: Precision | None = None,
    **others: Never,
) -> Array:
    """2-D convolution (cross-correlation) of images with a bank of filters.

    Pixels outside the image add nothing to the sum:
        out[n,i,j,l] = activation(bias[l] + sum over a,b,k of
            x[n, i*s + a*d - before, j*s + b*d - before, k] * kernel[a,b,k,l])
    Ho = (H + before + after - ((kh-1)*d + 1))//s + 1, or with "same" ceil(H/s). A kernel that is
    larger than the padded image is refused, as in Keras and PyTorch.

    A kernel in PyTorch's layout (Cout, Cin, kh, kw) that happens to fit x's channels cannot be told from a
    tall one. One warning is given where it has 8 rows or more and its last two axes look like a window, as
    in (64, 3, 3, 3).

    x, kernel, bias, strides, padding, dilations, groups, activation, out,
    precision -> (N, Ho, Wo, Cout) : shared, conv2d

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> x = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    >>> cl.conv2d(x, np.ones((2, 2, 1, 1), np.float32))[0, :, :, 0]
    array([[ 8., 12.],
           [20., 24.]], dtype=float32)
    """
    if more or others:
        _refuse(conv2d, more, others)
    again = replay(x, kernel, bias, out, "conv2d", strides, padding, dilations, groups, activation, precision)
    if again is not None:
        return again
    given = ("conv2d", strides, padding, dilations, groups, activation, precision)
    s, p, d = as_pair(strides, "strides"), as_padding(padding), as_pair(dilations, "dilations")
    return _run("conv2d", given, x, kernel, bias, activation, out, s, p, d, groups, precision=precision)


@documented
@catching
def conv2d_transpose(
    x: ArrayLike,
    kernel: Kernel,
    bias: ArrayLike | None = None,
    *more: Never,
    strides: Sizes = 1,
    padding: Pads = "valid",
    output_shape: Sizes | None = None,
    output_padding: Sizes | None = None,
    dilations: Sizes = 1,
    groups: int = 1,
    activation: Spec = None,
    out: Array | None = None,
    precision: Precision | None = None,
    **others: Never,
) -> Array:
    """Transposed 2-D convolution, the adjoint of conv2d with the same kernel array.

    x[n,i,j,k] * kernel[a,b,l,k] is added to out[n, i*s + a*d - before, j*s + b*d - before, l]. The size is
    by default Keras's ("same": H*s; "valid": H*s + max(k-s, 0), k the effective kernel; explicit padding:
    (H-1)*s + k - before - after, as in PyTorch and ONNX). `output_shape` picks any size whose conv2d gives
    x's size; `output_padding` is that of Keras and PyTorch.

    x, kernel, bias, strides, padding, output_shape, output_padding, dilations, groups, activation, out,
    precision -> (N, Ho, Wo, Cout) : shared, conv2d_transpose

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> x = np.ones((1, 2, 2, 1), np.float32)
    >>> cl.conv2d_transpose(x, np.ones((3, 3, 1, 1), np.float32), strides=2, padding="same")[0, :, :, 0]
    array([[1., 1., 2., 1.],
           [1., 1., 2., 1.],
           [2., 2., 4., 2.],
           [1., 1., 2., 1.]], dtype=float32)
    """
    if more or others:
        _refuse(conv2d_transpose, more, others)
    again = replay(
        x, kernel, bias, out, "conv2d_transpose", strides, padding, output_shape, output_padding, dilations,
        groups, activation, precision,
    )  # fmt: skip
    if again is not None:
        return again
    sizes = (output_shape, output_padding)
    given = ("conv2d_transpose", strides, padding, *sizes, dilations, groups, activation, precision)
    s, p, d = as_pair(strides, "strides"), as_padding(padding), as_pair(dilations, "dilations")
    size = as_output_shape(output_shape)
    extra = None if output_padding is None else as_pair(output_padding, "output_padding", minimum=0)
    options = (s, p, d, groups, size, extra)
    return _run("conv2d_transpose", given, x, kernel, bias, activation, out, *options, precision=precision)


@documented
@catching
def depthwise_conv2d(
    x: ArrayLike,
    kernel: Kernel,
    bias: ArrayLike | None = None,
    *more: Never,
    strides: Sizes = 1,
    padding: Pads = "valid",
    dilations: Sizes = 1,
    activation: Spec = None,
    out: Array | None = None,
    **others: Never,
) -> Array:
    """Depthwise 2-D convolution: each channel by itself.

    Channel c of x gives the channels c*multiplier + m of the output; everything else is as in conv2d.

    x, kernel, bias, strides, padding, dilations, activation,
    out -> (N, Ho, Wo, C*multiplier) : shared, depthwise_conv2d

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> x = np.array([[[[1.0, 10.0]]]])
    >>> cl.depthwise_conv2d(x, np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))[0, 0, 0]
    array([ 1.,  2., 30., 40.])
    """
    if more or others:
        _refuse(depthwise_conv2d, more, others)
    again = replay(x, kernel, bias, out, "depthwise_conv2d", strides, padding, dilations, activation)
    if again is not None:
        return again
    given = ("depthwise_conv2d", strides, padding, dilations, activation)
    s, p, d = as_pair(strides, "strides"), as_padding(padding), as_pair(dilations, "dilations")
    return _run("depthwise_conv2d", given, x, kernel, bias, activation, out, s, p, d)


@documented
@catching
def dense(
    x: ArrayLike,
    kernel: Kernel,
    bias: ArrayLike | None = None,
    *more: Never,
    activation: Spec = None,
    out: Array | None = None,
    **others: Never,
) -> Array:
    """Matrix product over the last axis of x; leading axes are kept, as in a 1x1 convolution.

    x, kernel, bias, activation, out -> (..., M) : shared, dense

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.dense(np.array([1.0, 2.0]), np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), activation="relu")
    array([1., 2., 3.])
    """
    if more or others:
        _refuse(dense, more, others)
    again = replay(x, kernel, bias, out, "dense", activation)
    if again is not None:
        return again
    given = ("dense", activation)
    array = as_operand(x, "x")
    if array.ndim == 0:
        raise ValueError("x must have at least 1 dimension (..., K); got a scalar")
    shape = _kernel(kernel, "dense", array.dtype, x).shape
    if shape[0] != array.shape[-1]:
        hint = (
            f"; {shape} looks like PyTorch's (out, in): write kernel.T" if shape[1] == array.shape[-1] else ""
        )
        raise ValueError(
            f"kernel has {shape[0]} inputs but x has {array.shape[-1]} (kernel is (K, M), got {shape}){hint}"
        )
    out_shape = (*array.shape[:-1], shape[1])
    rows = math.prod(array.shape[:-1])
    target = None
    if out is not None:
        target = check_out(out, out_shape, array.dtype, (x, kernel, bias)).reshape(1, 1, rows, shape[1])
    inner = array.reshape(1, 1, rows, shape[0])
    whole = (x, kernel, out_shape)
    options: tuple[Pair, Padding, Pair] = (1, 1), "valid", (1, 1)
    y = _run("dense", given, inner, kernel, bias, activation, target, *options, whole=whole)
    return y.reshape(out_shape) if out is None else out


@documented
@catching
def conv1d(
    x: ArrayLike,
    kernel: Kernel,
    bias: ArrayLike | None = None,
    *more: Never,
    strides: Sizes = 1,
    padding: Pads = "valid",
    dilations: Sizes = 1,
    groups: int = 1,
    activation: Spec = None,
    out: Array | None = None,
    **others: Never,
) -> Array:
    """1-D convolution of sequences: conv2d's rules on one axis.

    x, kernel, bias, strides, padding, dilations, groups, activation, out -> (N, Wo, Cout) : shared, conv1d

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.conv1d(np.arange(4.0).reshape(1, 4, 1), np.ones((2, 1, 1)))[0, :, 0]
    array([1., 3., 5.])
    """
    if more or others:
        _refuse(conv1d, more, others)
    again = replay(x, kernel, bias, out, "conv1d", strides, padding, dilations, groups, activation)
    if again is not None:
        return again
    given = ("conv1d", strides, padding, dilations, groups, activation)
    return _run_1d("conv2d", given, x, kernel, bias, activation, out, strides, padding, dilations, groups)


@documented
@catching
def conv1d_transpose(
    x: ArrayLike,
    kernel: Kernel,
    bias: ArrayLike | None = None,
    *more: Never,
    strides: Sizes = 1,
    padding: Pads = "valid",
    output_shape: Sizes | None = None,
    output_padding: Sizes | None = None,
    dilations: Sizes = 1,
    groups: int = 1,
    activation: Spec = None,
    out: Array | None = None,
    **others: Never,
) -> Array:
    """Transposed 1-D convolution of sequences: conv2d_transpose's rules on one axis.

    x, kernel, bias, strides, padding, output_shape, output_padding, dilations, groups, activation,
    out -> (N, Wo, Cout) : shared, conv1d_transpose

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.conv1d_transpose(np.ones((1, 2, 1)), np.ones((3, 1, 1)), strides=2)[0, :, 0]
    array([1., 1., 2., 1., 1.])
    """
    if more or others:
        _refuse(conv1d_transpose, more, others)
    again = replay(
        x, kernel, bias, out, "conv1d_transpose", strides, padding, output_shape, output_padding, dilations,
        groups, activation,
    )  # fmt: skip
    if again is not None:
        return again
    sizes = (output_shape, output_padding)
    given = ("conv1d_transpose", strides, padding, *sizes, dilations, groups, activation)
    size: tuple[int, ...] | None = None
    if output_shape is not None:
        numbers = as_numbers(output_shape, "output_shape")
        if len(numbers) not in (1, 3):
            raise ValueError(f"output_shape must be Wo, (Wo,) or (N, Wo, Cout); got {shown(output_shape)}")
        size = (1, numbers[0]) if len(numbers) == 1 else (numbers[0], 1, numbers[1], numbers[2])
    extra = None if output_padding is None else (0, as_single(output_padding, "output_padding", minimum=0))
    options = (strides, padding, dilations, groups, size, extra)
    return _run_1d("conv2d_transpose", given, x, kernel, bias, activation, out, *options)


# ---- shapes ------------------------------------------------------------------------------------------------


@public
def conv2d_output_shape(
    x_shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    strides: Sizes = 1,
    padding: Pads = "valid",
    dilations: Sizes = 1,
    groups: int = 1,
) -> tuple[int, int, int, int]:
    """The shape of conv2d's result for these shapes, (N, Ho, Wo, Cout).

    Parameters
    ----------
    x_shape, kernel_shape, strides, padding, dilations, groups : shared, shapes

    Returns
    -------
    tuple of ints
        (N, Ho, Wo, Cout).

    Raises
    ------
    errors : shared

    Examples
    --------
    >>> import convlite as cl
    >>> cl.conv2d_output_shape((1, 224, 224, 3), (7, 7, 3, 64), strides=2, padding="same")
    (1, 112, 112, 64)
    """
    x, kernel = as_nhwc(x_shape, "x_shape"), as_nhwc(kernel_shape, "kernel_shape")
    s, p, d = as_pair(strides, "strides"), as_padding(padding), as_pair(dilations, "dilations")
    return geometry_of("conv2d", x, kernel, s, p, d, as_size(groups, "groups"), None, None).out_shape


@public
def conv2d_transpose_output_shape(
    x_shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    strides: Sizes = 1,
    padding: Pads = "valid",
    output_shape: Sizes | None = None,
    output_padding: Sizes | None = None,
    dilations: Sizes = 1,
    groups: int = 1,
) -> tuple[int, int, int, int]:
    """The shape of conv2d_transpose's result for these shapes, (N, Ho, Wo, Cout).

    Parameters
    ----------
    x_shape, kernel_shape, strides, padding, output_shape, output_padding,
    dilations, groups : shared, shapes

    Returns
    -------
    tuple of ints
        (N, Ho, Wo, Cout).

    Raises
    ------
    errors : shared

    Examples
    --------
    >>> import convlite as cl
    >>> cl.conv2d_transpose_output_shape((64, 4, 4, 256), (3, 3, 128, 256), strides=3)
    (64, 12, 12, 128)
    >>> big = dict(strides=3, output_shape=(14, 14))
    >>> cl.conv2d_transpose_output_shape((64, 4, 4, 256), (3, 3, 128, 256), **big)
    (64, 14, 14, 128)
    """
    x, kernel = as_nhwc(x_shape, "x_shape"), as_nhwc(kernel_shape, "kernel_shape")
    s, p, d = as_pair(strides, "strides"), as_padding(padding), as_pair(dilations, "dilations")
    size = as_output_shape(output_shape)
    extra = None if output_padding is None else as_pair(output_padding, "output_padding", minimum=0)
    options = (s, p, d, as_size(groups, "groups"), size, extra)
    return geometry_of("conv2d_transpose", x, kernel, *options).out_shape


@public
def same_padding(
    size: Sizes, kernel_size: Sizes, *, strides: Sizes = 1, dilations: Sizes = 1
) -> tuple[Pair, Pair]:
    """What padding="same" adds to an image: TensorFlow's rule.

    Parameters
    ----------
    size, kernel_size, strides, dilations : shared, shapes

    Returns
    -------
    tuple
        ((top, bottom), (left, right)): the rows and columns that are added on each side.

    Raises
    ------
    errors : shared

    Examples
    --------
    >>> import convlite as cl
    >>> cl.same_padding((224, 224), 7, strides=2)
    ((2, 3), (2, 3))
    """
    sizes, kernels = as_pair(size, "size", minimum=0), as_pair(kernel_size, "kernel_size")
    steps, gaps = as_pair(strides, "strides"), as_pair(dilations, "dilations")
    rows, columns = (same_pads(sizes[i], effective_kernel(kernels[i], gaps[i]), steps[i]) for i in (0, 1))
    return rows, columns


def _refuse(function: Callable[..., Any], more: tuple[object, ...], others: Iterable[str]) -> NoReturn:
    """Raise TypeError for arguments that an operation does not have."""
    from ._hints import refuse_arguments  # late: only errors need it

    refuse_arguments(function, more, others)


# ---- shared code -------------------------------------------------------------------------------------------


def _kernel(kernel: Kernel, operation: str, dtype: np.dtype[Any], x: object) -> Array | PackedKernel:
    """Check a kernel's operation, rank and dtype, and return it; x is the caller's operand."""
    if isinstance(kernel, PackedKernel):
        if kernel.operation != operation:
            raise ValueError(f'kernel was packed for "{kernel.operation}"; this is "{operation}"')
        if kernel.dtype != dtype:
            raise mixed_dtypes(x, "x", dtype, kernel.dtype, ("kernel", None))
        return kernel
    return as_operand(kernel, "kernel", len(OPERATIONS[operation].kernel), dtype, ("x", x))


def _check_packing(kernel: PackedKernel, strides: Pair, dilations: Pair, groups: int, axes: int) -> None:
    transposed = OPERATIONS[kernel.operation].transposed
    if kernel.groups != groups or (transposed and (kernel.strides, kernel.dilations) != (strides, dilations)):
        raise ValueError(
            f"kernel was packed for strides={_short(kernel.strides, axes)}, "
            f"dilations={_short(kernel.dilations, axes)}, groups={kernel.groups}; this call has "
            f"strides={_short(strides, axes)}, dilations={_short(dilations, axes)}, groups={groups}"
        )


def _short(pair: Pair, axes: int) -> Pair | int:
    """A pair in the caller's form: one number if there is one spatial axis."""
    return pair if axes == 2 else pair[1]


def _run(
    operation: Operation,
    given: Given,
    x: ArrayLike,
    kernel: Kernel,
    bias: ArrayLike | None,
    activation: Spec,
    out: Array | None,
    strides: Pair,
    padding: Padding,
    dilations: Pair,
    groups: int = 1,
    output_shape: tuple[int, ...] | None = None,
    output_padding: Pair | None = None,
    whole: tuple[ArrayLike, Kernel, tuple[int, ...]] | None = None,
    precision: Precision | None = None,
) -> Array:
    """Check, plan, pack, allocate, run, remember. `given`: see _calls.py; `whole`: x and kernel as they were
    given and the shape of the result, where these differ.
    """
    array = as_operand(x, "x", 4)
    dtype = array.dtype
    weights = _kernel(kernel, operation, dtype, x)
    groups = as_size(groups, "groups")
    axes = 1 if "1d" in given[0] else 2  # of the caller
    if isinstance(weights, PackedKernel):
        _check_packing(weights, strides, dilations, groups, axes)
    isa = _dispatch.active_isa()
    options = (strides, padding, dilations, groups, output_shape, output_padding, axes)
    fast = _precision.resolve(precision) == "fast"
    shapes = (operation, array.shape, weights.shape, *options)
    plan = planned(isa, dtype, fast, isinstance(weights, PackedKernel), True, *shapes)
    geometry = plan.geometry
    bias_array = check_bias(bias, geometry.cout, dtype)
    fused, after = (NONE, None) if activation is None else resolve(activation, geometry.cout, dtype)
    # as given, and as used: an object that lends its memory, such as a memoryview, is an array only then
    inputs = (x, array, kernel, weights, bias, bias_array) if out is not None else ()
    given_x, given_kernel, shape = whole or (x, kernel, geometry.out_shape)
    y = check_out(out, geometry.out_shape, dtype, inputs, shape)
    # a callable may raise: out stays untouched
    target = new_output(geometry.out_shape, dtype, shape) if after is not None and out is not None else y
    busy = target.size > 0  # 2**42 empty rows need no tables
    if busy:
        facts = Weights(operation, weights.shape, strides, dilations, groups)
        plan, panels = with_weights(plan, weights, facts, shapes)
        code, a, b, alpha = fused
        threads = _threads.threads_for(plan.nanoseconds)
        plan.runner.run(array, panels.data, bias_array, alpha, target, code, a, b, panels.finite, threads)
    if after is not None:
        y[...] = checked(after, target, shape)
    if busy:  # from here on nothing may raise: `out` is written
        try:  # noqa: SIM105 - suppress() is itself an object that needs memory
            remember(given, given_x, given_kernel, shape, plan, panels, fused, after, facts, precision)
        except MemoryError:
            pass  # the next call is checked again
    return y


def _run_1d(
    operation: Literal["conv2d", "conv2d_transpose"],
    given: Given,
    x: ArrayLike,
    kernel: Kernel,
    bias: ArrayLike | None,
    activation: Spec,
    out: Array | None,
    strides: object,
    padding: object,
    dilations: object,
    groups: int,
    output_shape: tuple[int, ...] | None = None,
    output_padding: Pair | None = None,
) -> Array:
    """The 1-D operations are the 2-D ones on images of one row."""
    array = as_operand(x, "x", 3)
    groups = as_size(groups, "groups")
    if isinstance(kernel, PackedKernel):
        _kernel(kernel, operation, array.dtype, x)
        if kernel.shape[0] != 1:
            raise ValueError(
                f"kernel must be packed from (1, kw, in, out) for a 1-D operation; got {kernel.shape}"
            )
        weights: Array | PackedKernel = kernel
    else:
        weights = as_operand(kernel, "kernel", 3, array.dtype, ("x", x))[None]
    options = (
        (1, as_single(strides, "strides")),
        as_padding_1d(padding),
        (1, as_single(dilations, "dilations")),
        groups,
        output_shape,
        output_padding,
    )
    inner = array[:, None]
    images, _, width, cout = geometry_of(operation, inner.shape, weights.shape, *options, 1).out_shape
    flat = (images, width, cout)
    target = None if out is None else check_out(out, flat, array.dtype, (x, kernel, bias))[:, None]
    whole = (x, kernel, flat)
    y = _run(operation, given, inner, weights, bias, activation, target, *options, whole=whole)
    return y[:, 0] if out is None else out
