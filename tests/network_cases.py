"""Nodes of the vocabulary with inputs that fit, drawn at random; see also network_cases_rare."""

from __future__ import annotations

from typing import Any

import numpy as np
from network_pieces import Case, Rng, broadcastable, case, floats, like, maybe, pick, shape, small, vector

# ---- windows ----


def window(rng: Rng, axes: int) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    """Sizes, kernel and attributes that leave at least one position."""
    kernel = tuple(small(rng, 1, 3) for _ in range(axes))
    dilations = tuple(small(rng, 1, 2) for _ in range(axes))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    sizes = tuple(e + small(rng, 0, 5) for e in extent)
    padding: Any = tuple((small(rng, 0, k - 1), small(rng, 0, k - 1)) for k in kernel)
    strides = tuple(small(rng, 1, 3) for _ in range(axes))
    attributes = {
        "strides": strides,
        "dilations": dilations,
        "padding": pick(rng, padding, padding, "same", "same_lower"),
    }
    return sizes, kernel, attributes


@case("conv")
def _conv(rng: Rng) -> Case:
    sizes, kernel, attributes = window(rng, pick(rng, 1, 2, 2))
    groups, cin, cout = small(rng, 1, 3), small(rng, 1, 3), small(rng, 1, 3)
    x = floats(rng, small(rng), *sizes, cin * groups)
    weights = like(x, rng.standard_normal((*kernel, cin, cout * groups)))
    bias = maybe(rng, like(x, rng.standard_normal(cout * groups)))
    activation = pick(rng, None, None, ("relu",), ("leaky_relu", 0.2))
    return attributes | {"groups": groups, "activation": activation}, [x, weights, bias]


@case("conv_transpose")
def _conv_transpose(rng: Rng) -> Case:
    sizes, kernel, attributes = window(rng, pick(rng, 1, 2, 2))
    groups, cin, cout = small(rng, 1, 3), small(rng, 1, 3), small(rng, 1, 3)
    x = floats(rng, small(rng), *sizes, cin * groups)
    weights = like(x, rng.standard_normal((*kernel, cout, cin * groups)))
    bias = maybe(rng, like(x, rng.standard_normal(cout * groups)))
    extra = tuple(small(rng, 0, s - 1) for s in attributes["strides"])
    wanted = tuple(n * s + small(rng, 0, 1) for n, s in zip(sizes, attributes["strides"], strict=True))
    more = {"output_padding": pick(rng, None, extra), "output_shape": pick(rng, None, None, wanted)}
    return attributes | more | {"groups": groups, "activation": None}, [x, weights, bias]


@case("dense")
def _dense(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    units = small(rng)
    kernel = like(x, rng.standard_normal((x.shape[-1], units)))
    return {"activation": pick(rng, None, ("relu6",))}, [
        x,
        kernel,
        maybe(rng, like(x, rng.standard_normal(units))),
    ]


@case("matmul")
def _matmul(rng: Rng) -> Case:
    lead = shape(rng, 0, 2)
    rows, inner, columns = small(rng), small(rng), small(rng)
    left, right = (*broadcastable(rng, lead), rows, inner), (*lead, inner, columns)
    a = floats(rng, *pick(rng, left, left, (inner,)))
    return {}, [a, like(a, rng.standard_normal(pick(rng, right, right, (inner,))))]


@case("einsum")
def _einsum(rng: Rng) -> Case:
    i, j, k, b = (small(rng) for _ in range(4))
    text, shapes = pick(
        rng,
        ("ij,jk->ik", [(i, j), (j, k)]),
        ("...ij,...jk->...ik", [(b, i, j), (1, j, k)]),
        ("ii->i", [(i, i)]),
        ("bij,bjk", [(b, i, j), (b, j, k)]),
        ("ij->ji", [(i, j)]),
        ("i,j->ij", [(i,), (j,)]),
    )
    first = floats(rng, *shapes[0])
    return {"equation": text}, [first, *(like(first, rng.standard_normal(s)) for s in shapes[1:])]


@case("max_pool", "avg_pool", "lp_pool", "max_pool_indices")
def _pool(rng: Rng) -> Case:
    sizes, kernel, attributes = window(rng, pick(rng, 1, 2, 2))
    more = {
        "kernel": kernel,
        "ceil_mode": pick(rng, False, True),
        "count_include_pad": pick(rng, False, True),
    }
    more |= {"p": 2, "channels_first_index": pick(rng, True, False), "storage_order": pick(rng, 0, 1)}
    return attributes | more, [floats(rng, small(rng), *sizes, small(rng))]


# ---- normalisations ----


@case("batch_norm")
def _batch_norm(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    rest = [like(x, rng.standard_normal(x.shape[-1])) for _ in range(3)]
    return {"epsilon": 1e-5}, [x, *rest, like(x, rng.random(x.shape[-1]))]


@case("instance_norm", "group_norm")
def _instance_norm(rng: Rng) -> Case:
    groups = small(rng, 1, 3)
    x = floats(rng, *shape(rng, 2, 3), groups * small(rng))
    scales = [like(x, rng.standard_normal(x.shape[-1])) for _ in range(2)]
    return {"epsilon": 1e-5, "groups": groups}, [x, *scales]


@case("layer_norm")
def _layer_norm(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    axis = small(rng, 0, x.ndim - 1)
    scales = [maybe(rng, like(x, rng.standard_normal(x.shape[axis:]))) for _ in range(2)]
    return {"axis": axis - pick(rng, 0, x.ndim), "epsilon": 1e-5}, [x, *scales]


@case("rms_norm")
def _rms_norm(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    axis = small(rng, 0, x.ndim - 1)
    return {"axis": axis, "epsilon": 1e-5}, [x, like(x, rng.standard_normal(x.shape[axis:]))]


@case("lrn")
def _lrn(rng: Rng) -> Case:
    return {"size": small(rng), "alpha": 0.1, "beta": 0.75, "bias": 1.0}, [floats(rng, *shape(rng, 3))]


@case("lp_normalize", "softmax", "log_softmax", "hardmax")
def _along(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    return {"axis": small(rng, -x.ndim, x.ndim - 1), "p": pick(rng, 1, 2)}, [x]


@case("mean_variance_normalize")
def _mvn(rng: Rng) -> Case:
    return {"axes": (0, 2)}, [floats(rng, *shape(rng, 3))]


# ---- elementwise ----

UNARY = [
    *("relu", "relu6", "sigmoid", "tanh", "silu", "swish", "gelu", "hard_swish", "mish", "softsign", "selu"),
    *("elu", "celu", "leaky_relu", "thresholded_relu", "hard_sigmoid", "softplus", "shrink", "exp", "log"),
    *("sqrt", "reciprocal", "erf", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh"),
    *("acosh", "atanh", "abs", "neg", "sign", "floor", "ceil", "round", "identity", "isnan"),
]


@case(*UNARY)
def _unary(rng: Rng) -> Case:
    attributes = {
        "alpha": 0.3,
        "beta": 0.4,
        "gamma": 1.1,
        "bias": 0.2,
        "lambd": 0.3,
        "approximate": pick(rng, False, True),
    }
    return attributes, [floats(rng, *shape(rng))]


@case("isinf")
def _isinf(rng: Rng) -> Case:
    return {"positive": True, "negative": False}, [floats(rng, *shape(rng))]


@case("not")
def _not(rng: Rng) -> Case:
    return {}, [rng.random(shape(rng)) < 0.5]


@case("bitwise_not")
def _bitwise_not(rng: Rng) -> Case:
    return {}, [rng.integers(-9, 9, shape(rng)).astype(pick(rng, np.int32, np.int8, np.int64))]


def operands(rng: Rng, count: int = 2) -> list[Any]:
    whole = shape(rng)
    first = pick(rng, floats(rng, *whole), rng.integers(-9, 9, whole))
    rest = [like(first, rng.integers(1, 6, broadcastable(rng, whole))) for _ in range(count - 1)]
    both = [np.asarray(first), *rest]
    return both if rng.random() < 0.5 else both[::-1]


@case("add", "sub", "mul", "div", "mod", "pow", "equal", "less", "less_equal", "greater", "greater_equal")
def _binary(rng: Rng) -> Case:
    return {"fmod": pick(rng, False, True)}, operands(rng)


@case("and", "or", "xor")
def _logical(rng: Rng) -> Case:
    return {}, [array > 0 for array in operands(rng)]


@case("bitwise_and", "bitwise_or", "bitwise_xor", "bit_shift")
def _bits(rng: Rng) -> Case:
    return {"direction": pick(rng, "LEFT", "RIGHT")}, [np.abs(a).astype(np.uint8) for a in operands(rng)]


@case("max", "min", "sum", "mean")
def _variadic(rng: Rng) -> Case:
    return {}, operands(rng, small(rng, 1, 4))


@case("prelu")
def _prelu(rng: Rng) -> Case:
    x = floats(rng, *shape(rng))
    return {}, [x, like(x, rng.standard_normal(broadcastable(rng, x.shape)))]


@case("clip")
def _clip(rng: Rng) -> Case:
    x = floats(rng, *shape(rng))
    return {}, [x, maybe(rng, like(x, -0.5)), maybe(rng, like(x, 0.5))]


@case("where")
def _where(rng: Rng) -> Case:
    a, b = operands(rng)
    return {}, [rng.random(broadcastable(rng, np.broadcast_shapes(a.shape, b.shape))) < 0.5, a, b]


@case("cast")
def _cast(rng: Rng) -> Case:
    return {"dtype": np.dtype(pick(rng, "float32", "int64", "bool", "uint8"))}, [np.abs(operands(rng, 1)[0])]


@case("cast_like")
def _cast_like(rng: Rng) -> Case:
    return {}, [np.abs(operands(rng, 1)[0]), np.zeros(3, pick(rng, "float64", "int32"))]


# ---- reductions ----


REDUCED = ["sum", "mean", "max", "min", "prod", "l1", "l2", "log_sum", "log_sum_exp", "sum_square"]


@case(*(f"reduce_{name}" for name in REDUCED))
def _reduce(rng: Rng) -> Case:
    x = floats(rng, *shape(rng))
    count = small(rng, 0, x.ndim)
    axes = [int(axis) - pick(rng, 0, x.ndim) for axis in rng.permutation(x.ndim)[:count]]
    attributes = {"keepdims": pick(rng, True, False), "noop_with_empty_axes": pick(rng, True, False)}
    return attributes, [x, maybe(rng, vector(*axes))]


@case("arg_max", "arg_min")
def _arg(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    keep = {"keepdims": pick(rng, True, False), "select_last_index": pick(rng, True, False)}
    return {"axis": small(rng, -x.ndim, x.ndim - 1)} | keep, [x]


@case("top_k")
def _top_k(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    axis = small(rng, -x.ndim, x.ndim - 1)
    how = {"largest": pick(rng, True, False), "sorted": True}
    return {"axis": axis} | how, [x, vector(small(rng, 0, x.shape[axis]))]


@case("cumsum")
def _cumsum(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    how = {"exclusive": pick(rng, True, False), "reverse": pick(rng, True, False)}
    return how, [x, np.array(small(rng, -x.ndim, x.ndim - 1))]


@case("nonzero")
def _nonzero(rng: Rng) -> Case:
    return {}, [rng.integers(0, 2, shape(rng))]


@case("unique")
def _unique(rng: Rng) -> Case:
    x = rng.integers(0, 3, shape(rng, 1))
    axis = pick(rng, None, small(rng, -x.ndim, x.ndim - 1))
    return {"axis": axis, "sorted": pick(rng, True, False)}, [x]


# ---- shapes ----


@case("shape")
def _shape(rng: Rng) -> Case:
    return {"start": small(rng, -2, 2), "end": pick(rng, None, 1, -1, 3)}, [floats(rng, *shape(rng))]


@case("size")
def _size(rng: Rng) -> Case:
    return {}, [floats(rng, *shape(rng))]


@case("constant_of_shape")
def _constant(rng: Rng) -> Case:
    return {"value": np.array([2.5], np.float32)}, [vector(*shape(rng))]


@case("range")
def _range(rng: Rng) -> Case:
    dtype = pick(rng, np.int64, np.float32)
    return {}, [np.array(v, dtype) for v in (small(rng, -3, 3), small(rng, -3, 9), pick(rng, 1, 2, -1))]


@case("reshape")
def _reshape(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    sizes = list(x.shape)
    while len(sizes) > 1 and rng.random() < 0.5:
        sizes[-2:] = [sizes[-2] * sizes[-1]]
    if rng.random() < 0.4:
        sizes[0] = 0
    elif rng.random() < 0.6:
        sizes[small(rng, 0, len(sizes) - 1)] = -1
    return {"allowzero": False}, [x if sizes[0] != 0 or len(sizes) > 1 else x.ravel(), vector(*sizes)]


@case("flatten")
def _flatten(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    return {"axis": small(rng, -x.ndim, x.ndim)}, [x]


@case("squeeze")
def _squeeze(rng: Rng) -> Case:
    sizes = [pick(rng, 1, small(rng)) for _ in range(small(rng, 1, 4))]
    ones = [axis for axis, size in enumerate(sizes) if size == 1]
    return {}, [floats(rng, *sizes), maybe(rng, vector(*ones))]


@case("unsqueeze")
def _unsqueeze(rng: Rng) -> Case:
    x, count = floats(rng, *shape(rng)), small(rng, 1, 2)
    axes = rng.permutation(x.ndim + count)[:count]
    return {}, [x, vector(*(int(axis) - pick(rng, 0, x.ndim + count) for axis in axes))]


@case("transpose")
def _transpose(rng: Rng) -> Case:
    x = floats(rng, *shape(rng))
    return {"perm": tuple(int(axis) for axis in rng.permutation(x.ndim))}, [x]


@case("expand")
def _expand(rng: Rng) -> Case:
    whole = shape(rng)
    wanted = tuple(pick(rng, size, size, 1) for size in whole)
    return {}, [floats(rng, *broadcastable(rng, whole)), vector(*wanted)]


@case("tile")
def _tile(rng: Rng) -> Case:
    x = floats(rng, *shape(rng))
    return {}, [x, vector(*(small(rng, 0, 3) for _ in range(x.ndim)))]


@case("depth_to_space")
def _depth_to_space(rng: Rng) -> Case:
    block = small(rng, 1, 3)
    x = floats(rng, small(rng), small(rng), small(rng), block * block * small(rng))
    return {"block": block, "mode": pick(rng, "DCR", "CRD")}, [x]


@case("space_to_depth")
def _space_to_depth(rng: Rng) -> Case:
    block = small(rng, 1, 3)
    return {"block": block}, [floats(rng, small(rng), block * small(rng), block * small(rng), small(rng))]


# ---- selection ----


@case("concat")
def _concat(rng: Rng) -> Case:
    first = floats(rng, *shape(rng, 1))
    axis = small(rng, 0, first.ndim - 1)
    parts = [first]
    for _ in range(small(rng, 0, 3)):
        sizes = list(first.shape)
        sizes[axis] = small(rng, 0, 3)
        parts.append(like(first, rng.standard_normal(sizes)))
    return {"axis": axis - pick(rng, 0, first.ndim)}, parts


@case("split")
def _split(rng: Rng) -> Case:
    sizes = [small(rng, 0, 3) for _ in range(3)]
    x = floats(rng, *shape(rng, 0, 2), sum(sizes), *shape(rng, 0, 2))
    axis = x.shape.index(sum(sizes))
    if rng.random() < 0.5:
        return {"axis": axis, "num_outputs": None}, [x, vector(*sizes)]
    whole = pick(rng, 3, 5, 6, 8)
    return {"axis": 0, "num_outputs": 3}, [floats(rng, whole, small(rng)), None]


@case("slice")
def _slice(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    count = small(rng, 1, x.ndim)
    axes = rng.permutation(x.ndim)[:count] if rng.random() < 0.7 else None
    starts = [pick(rng, *range(-7, 8)) for _ in range(count)]
    ends = [pick(rng, *range(-7, 8), 2**31 - 1, 2**63 - 1, -(2**31), -(2**63)) for _ in range(count)]
    steps = maybe(rng, vector(*(pick(rng, 1, 1, 2, 3, -1, -2) for _ in range(count))))
    places = None if axes is None else vector(*(int(axis) - pick(rng, 0, x.ndim) for axis in axes))
    return {}, [x, vector(*starts), vector(*ends), places, steps]


@case("pad")
def _pad(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    axes = [int(axis) for axis in rng.permutation(x.ndim)[: small(rng, 1, x.ndim)]]
    pads = [pick(rng, 0, 1, 2, 3) - (pick(rng, 0, 1) if x.shape[a] > 2 else 0) for a in axes * 2]
    mode = pick(rng, "constant", "reflect", "edge", "wrap", "symmetric")
    value = maybe(rng, like(x, 1.5)) if mode == "constant" else None
    return {"mode": mode}, [x, vector(*pads), value, vector(*axes)]


def places(rng: Rng, size: int, sizes: tuple[int, ...]) -> Any:
    return rng.integers(-size, size, sizes)


@case("gather")
def _gather(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    axis = small(rng, -x.ndim, x.ndim - 1)
    return {"axis": axis}, [x, places(rng, x.shape[axis], shape(rng, 0, 2))]


@case("gather_elements")
def _gather_elements(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    axis = small(rng, -x.ndim, x.ndim - 1)
    sizes = [small(rng, 0, size) for size in x.shape]
    return {"axis": axis}, [x, places(rng, x.shape[axis], tuple(sizes))]


@case("scatter_elements")
def _scatter_elements(rng: Rng) -> Case:
    attributes, (x, indices) = _gather_elements(rng)
    reduction = pick(rng, "none", "add", "mul", "max", "min")
    return attributes | {"reduction": reduction}, [x, indices, like(x, rng.standard_normal(indices.shape))]


@case("gather_nd")
def _gather_nd(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 2))
    batch = small(rng, 0, x.ndim - 1)
    depth = small(rng, 1, x.ndim - batch)
    lead = (*x.shape[:batch], *shape(rng, 0, 2))
    lead = lead if len(lead) >= batch else x.shape[:batch]
    parts = [places(rng, x.shape[batch + n], lead) for n in range(depth)]
    return {"batch_dims": batch}, [x, np.stack(parts, -1)]


@case("scatter_nd")
def _scatter_nd(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    depth = small(rng, 1, x.ndim)
    lead = shape(rng, 1, 2)
    indices = np.stack([places(rng, x.shape[n], lead) for n in range(depth)], -1)
    updates = like(x, rng.standard_normal((*lead, *x.shape[depth:])))
    return {"reduction": pick(rng, "none", "add", "mul", "max", "min")}, [x, indices, updates]


@case("one_hot")
def _one_hot(rng: Rng) -> Case:
    indices = rng.integers(-4, 4, shape(rng, 0, 3))
    axis = small(rng, -indices.ndim - 1, indices.ndim)
    return {"axis": axis}, [np.asarray(indices), vector(small(rng)), np.array([0, 1], np.float32)]


@case("trilu")
def _trilu(rng: Rng) -> Case:
    return {"upper": pick(rng, True, False)}, [
        floats(rng, *shape(rng, 2)),
        maybe(rng, np.array(small(rng, -2, 2))),
    ]


@case("eye_like")
def _eye_like(rng: Rng) -> Case:
    return {"dtype": pick(rng, None, np.dtype("int32")), "k": small(rng, -2, 2)}, [
        floats(rng, small(rng), small(rng))
    ]


@case("reverse_sequence")
def _reverse_sequence(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 2))
    return {"batch_axis": 0, "time_axis": 1}, [x, rng.integers(0, x.shape[1] + 1, x.shape[0])]


@case("compress")
def _compress(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    axis = pick(rng, None, small(rng, -x.ndim, x.ndim - 1))
    size = x.size if axis is None else x.shape[axis]
    return {"axis": axis}, [x, rng.random(small(rng, 0, size)) < 0.5]


# ---- images ----


@case("resize")
def _resize(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1, 4))
    axes = (
        None
        if rng.random() < 0.4
        else tuple(int(a) for a in rng.permutation(x.ndim)[: small(rng, 1, x.ndim)])
    )
    count = x.ndim if axes is None else len(axes)
    mode = pick(rng, "nearest", "linear", "cubic")
    modes = ["half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "align_corners", "asymmetric"]
    attributes = {
        "axes": axes,
        "mode": mode,
        "coordinates": pick(rng, *modes, "tf_half_pixel_for_nn", "tf_crop_and_resize"),
        "nearest_mode": pick(rng, "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
        "cubic_a": -0.75,
        "exclude_outside": pick(rng, True, False) and mode != "nearest",
        "extrapolation_value": 9.0,
        "antialias": pick(rng, False, True) and mode != "nearest",
        "keep_aspect_ratio_policy": pick(rng, "stretch", "stretch", "not_larger", "not_smaller"),
    }
    roi = like(x, np.repeat([0.1, 0.8], count))
    if rng.random() < 0.5:
        return attributes, [x, roi, np.float32([pick(rng, 1, 2, 3, 0.5, 1.7) for _ in range(count)]), None]
    return attributes, [x, roi, None, vector(*(small(rng, 1, 7) for _ in range(count)))]


@case("non_max_suppression")
def _nms(rng: Rng) -> Case:
    batch, classes, boxes = small(rng, 1, 2), small(rng, 1, 2), small(rng, 1, 6)
    arrays: list[Any] = [
        rng.random((batch, boxes, 4), np.float32),
        rng.random((batch, classes, boxes), np.float32),
    ]
    arrays += [vector(small(rng)), np.float32([0.4]), maybe(rng, np.float32([0.3]))]
    return {"center_point_box": pick(rng, False, True)}, arrays


@case("grid_sample")
def _grid_sample(rng: Rng) -> Case:
    axes = pick(rng, 1, 2, 2, 3)
    x = floats(rng, small(rng), *(small(rng) for _ in range(axes)), small(rng))
    grid = like(x, rng.uniform(-1.5, 1.5, (len(x), *(small(rng) for _ in range(axes)), axes)))
    mode = pick(rng, "nearest", "linear", "cubic")
    padding = pick(rng, "zeros", "border", "reflection")
    return {"mode": mode, "padding_mode": padding, "align_corners": pick(rng, True, False)}, [x, grid]


@case("affine_grid")
def _affine_grid(rng: Rng) -> Case:
    n, axes = small(rng), pick(rng, 2, 3)
    theta = floats(rng, n, axes, axes + 1)
    return {"align_corners": pick(rng, True, False)}, [
        theta,
        vector(n, 3, *(small(rng, 2) for _ in range(axes))),
    ]


@case("roi_align")
def _roi_align(rng: Rng) -> Case:
    x = floats(rng, 2, small(rng, 2), small(rng, 2), small(rng))
    count = small(rng)
    rois = like(x, np.sort(rng.uniform(0, 5, (count, 2, 2)), 1).reshape(count, 4))
    attributes = {
        "output_height": small(rng, 1, 3),
        "output_width": small(rng, 1, 3),
        "mode": pick(rng, "avg", "max"),
    }
    attributes |= {"sampling_ratio": small(rng, 0, 2), "spatial_scale": 0.8}
    attributes["coordinates"] = pick(rng, "half_pixel", "output_half_pixel")
    return attributes, [x, rois, rng.integers(0, 2, count)]
