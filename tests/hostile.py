"""Calls that nobody should make: a good call of every public function, and bad values for each argument.

`CALLS` names, for each public callable, the arguments of a call that works and the kind of each; `BAD` the
hostile values of a kind. A function that is missing here fails a test, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import os
import random
import tempfile
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from hostile_blocks import blocks
from hostile_images import images

import convlite as cl
from convlite.initializers import keras3

SPACES = {
    "": cl,
    "layers.": cl.layers,
    "activations.": cl.activations,
    "initializers.": cl.initializers,
    "keras3.": keras3,
    "convert.": cl.convert,
    "reference.": cl.reference,
}


def public() -> dict[str, Any]:
    """Everything that can be called by a public name, by that name."""
    found = {}
    for prefix, space in SPACES.items():
        names = getattr(space, "__all__", None) or [n for n in vars(space) if not n.startswith("_")]
        for name in names:
            value = getattr(space, name)
            ours = getattr(value, "__module__", "").startswith("convlite")
            if callable(value) and ours and not isinstance(value, types.ModuleType):
                found[prefix + name] = value
    return found


# ---- values ------------------------------------------------------------------------------------------------


class Unprintable:
    """Its repr raises: a message must not depend on it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Index:
    """An integer whose __index__ is none."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __index__(self) -> Any:
        return self.value

    def __repr__(self) -> str:
        return f"Index({self.value!r})"


def f32(*shape: int) -> np.ndarray:
    """Small whole numbers, no two neighbours alike."""
    return (np.arange(np.prod(shape, dtype=int)) * 5 % 7 - 2.0).astype(np.float32).reshape(shape)


def huge(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    """An array of any size in the memory of one number."""
    return np.lib.stride_tricks.as_strided(np.ones(1, dtype), shape, (0,) * len(shape))


NAN = float("nan")
INTEGERS: tuple[Any, ...] = (
    0, -1, True, 2.0, NAN, "2", b"2", None, 1j, ..., 2**31, 2**63, -(2**63), 10**5000, {}, {1}, object, (), (1,),
    (1, 2, 3), (1, 1, 1, 1, 1), (0, 1), (1, -1), (True, 1), (1.0, 1), (NAN, 1), (None, 1), (1, 2**31), (1, 2**63),
    ("1", 1), [2, 1, 1, 1], [1, 1, 1, 0], [[1, 1], [1, 1]], [1] * 5000, Unprintable(), (Unprintable(), 1),
    Index(None), Index("1"),
)  # fmt: skip
ONE_INTEGER = (*(v for v in INTEGERS if v not in ((1,), (1, 2, 3))), (1,), [1])
PADDINGS: tuple[Any, ...] = (
    -1, True, 1.0, NAN, "full", "", b"same", None, 1j, ..., 2**31, 2**63, 10**5000, {}, object, (), (1,), (1, 2, 3),
    (1, -1), (True, 1), (1.0, 1), (1, 2**31), ("same", "same"), ((1, 2), (3,)), ((1, 2, 3), (1, 2, 3)),
    ((0, 0), (0, -2)), ((0, 0), (NAN, 0)), [[1, 0], [0, 0], [0, 0], [0, 0]], [[[1]]], "x" * 5000, [1] * 5000,
    Unprintable(), (Unprintable(), 1),
)  # fmt: skip
REALS: tuple[Any, ...] = (
    True, "1", b"1", None, 1j, ..., 10**400, {}, object, (), (1.0,), [1.0], [1.0, 2.0], Unprintable(), NAN,
    float("inf"), -1.0, Index(1),
)  # fmt: skip
FLAGS: tuple[Any, ...] = ("yes", "", None, 2, 0.5, NAN, [True], (), {}, object, Unprintable())
NAMES: tuple[Any, ...] = (
    "no such",
    "",
    b"x",
    None,
    1,
    1.5,
    True,
    [],
    {},
    (),
    object,
    ["same"],
    "x" * 5000,
    Unprintable(),
)
SPECS: tuple[Any, ...] = (
    "no such", "", b"relu", 1, 1.5, True, [], {}, (), float, np.ndarray, "x" * 5000, Unprintable(), ...,
    cl.activations.PReLU(np.ones(99, np.float32)), cl.activations.PReLU(np.ones(1)), cl.activations.ReLU,
)  # fmt: skip
SHAPES: tuple[Any, ...] = (
    -1, True, 1.0, NAN, "4", b"4", None, 1j, {}, object, (), (-1,) * 4, (1.0,) * 4, (None,) * 4, (True,) * 4,
    (2**31,) * 4, (2**63,) * 4, (10**5000,) * 4, ((1, 2),) * 4, (1,) * 70, ["1"] * 4, (2**31 - 1,) * 4,
    (0, 2**31 - 1, 2**31 - 1, 0), [1] * 5000, Unprintable(), (Unprintable(),) * 4,
)  # fmt: skip
ARRAYS: tuple[Any, ...] = (
    None, 1, 1.5, True, 1j, "text", b"text", ..., object, object(), {}, {1.5}, [], [[]], [[1.5], [1.5, 2.5]], [None],
    ["1.5"], (x for x in (1.5,)), Unprintable(), memoryview(b"text"),
)  # fmt: skip


def _wrong_arrays(good: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Arrays of the right shape and the wrong kind, and of every other rank."""
    for dtype in (
        "float16",
        "int32",
        "int64",
        "uint8",
        "bool",
        "complex64",
        "object",
        "U3",
        "S3",
        "M8[s]",
        "m8[s]",
        "f4,f4",
    ):
        if good.size:
            yield dtype, np.zeros(good.shape, dtype)
    other = np.float64 if good.dtype == np.float32 else np.float32
    yield np.dtype(other).name, good.astype(other)
    for rank in range(8):
        if rank != good.ndim:
            yield f"rank {rank}", np.ones((2,) * rank, good.dtype)
    yield "empty", np.ones((0,) * good.ndim, good.dtype)
    for axis in range(good.ndim):
        shape = list(good.shape)
        shape[axis] = 0
        yield f"no axis {axis}", np.ones(shape, good.dtype)
        shape[axis] = good.shape[axis] + 1
        yield f"longer axis {axis}", np.ones(shape, good.dtype)
        shape[axis] = 2**42
        yield f"16 TB along {axis}", huge(*shape, dtype=good.dtype)
        shape[axis - 1] = 0
        yield f"2**42 times nothing along {axis}", huge(*shape, dtype=good.dtype)
    if good.ndim > 1:
        yield "2**28 times 2**28", huge(2**28, 2**28, *good.shape[2:], dtype=good.dtype)


BAD: dict[str, tuple[Any, ...]] = {
    "integers": INTEGERS,
    "axes": (*ONE_INTEGER, 5, -6, (-1, -1), [0, 1, 2, 3, 4]),
    "numbers": (*REALS, (1.0, 2.0), [NAN, 1.0], ["1"], [[1.0]], [1.0] * 99, [[1.0, 2.0]] * 2),
    "integer": ONE_INTEGER,
    "padding": PADDINGS,
    "real": REALS,
    "flag": FLAGS,
    "name": NAMES,
    "spec": SPECS,
    "shape": SHAPES,
    "mapping": ("dense", b"x", 1, [], {}, {"x": "y"}, {"dense": 1}, {1: 2}, {"dense": None}, len),
    "path": (*(n for n in NAMES if n != "no such"), "no such.txt", "\0.npz", "/.npz"),
}  # fmt: skip


def label(value: Any) -> str:
    """A short text for a value: the same with any NumPy."""
    if isinstance(value, int) and abs(value) > 2**64:
        return "a huge integer"
    if isinstance(value, Unprintable):
        return "an object without repr"
    if isinstance(value, (tuple, list)):
        inside = [label(v) for v in value[:4]] + (["..."] if len(value) > 4 else [])
        return ("({})" if isinstance(value, tuple) else "[{}]").format(", ".join(inside)) + (
            f" of {len(value)}" if len(value) > 4 else ""
        )
    if isinstance(value, str) and len(value) > 40:
        return f"a text of {len(value)}"
    if isinstance(value, (type, types.GeneratorType, memoryview)) or type(value) is object:
        return getattr(value, "__name__", type(value).__name__)
    return repr(value)


def bad_values(kind: str, good: Any) -> Iterator[tuple[str, Any]]:
    """(label, value) of everything hostile for an argument of this kind whose good value is `good`."""
    if kind != "array":
        yield from ((label(v), v) for v in BAD[kind])
        return
    yield from ((label(v), v) for v in ARRAYS)
    yield from _wrong_arrays(good)


# ---- the calls ---------------------------------------------------------------------------------------------


class Call(NamedTuple):
    """A call that works: `run(**good)`; the kinds of its arguments, and whether a NaN may stand in for them."""

    run: Callable[..., Any]
    good: dict[str, Any]
    kinds: dict[str, str]


GEOMETRY = {"strides": (1, "integers"), "padding": ("valid", "padding"), "dilations": (1, "integers")}
GROUPS = {"groups": (1, "integer")}
SIZES = {"output_shape": (None, "shape"), "output_padding": (None, "integers")}
ACTIVATION = {"activation": (None, "spec")}
X4, X3, X2 = ((f32(*s), "array") for s in ((2, 5, 6, 4), (2, 6, 4), (3, 4)))
BIAS = {"bias": (f32(4), "array")}
SEEDS = {"seed": (1, "integer"), "graph_seed": (2, "integer")}


def _call(run: Callable[..., Any], **arguments: tuple[Any, str]) -> Call:
    good = {name: value for name, (value, _) in arguments.items()}
    return Call(run, good, {name: kind for name, (_, kind) in arguments.items()})


def _operations(space: Any, extra: dict[str, Any]) -> dict[str, Call]:
    k4, k3 = (f32(3, 3, 4, 4), "array"), (f32(3, 4, 4), "array")
    options: dict[str, dict[str, Any]] = {
        "conv2d": {"x": X4, "kernel": k4, **BIAS, **GEOMETRY, **GROUPS, **extra},
        "conv2d_transpose": {"x": X4, "kernel": k4, **BIAS, **GEOMETRY, **GROUPS, **SIZES, **extra},
        "depthwise_conv2d": {"x": X4, "kernel": (f32(3, 3, 4, 1), "array"), **BIAS, **GEOMETRY},
        "dense": {"x": X2, "kernel": (f32(4, 4), "array"), **BIAS},
        "conv1d": {"x": X3, "kernel": k3, **BIAS, **GEOMETRY, **GROUPS},
        "conv1d_transpose": {"x": X3, "kernel": k3, **BIAS, **GEOMETRY, **GROUPS, **SIZES},
    }
    return {name: _call(getattr(space, name), **rest, **ACTIVATION) for name, rest in options.items()}


def _layer(
    kind: Any, x: np.ndarray, names: dict[str, str] | None = None, **arguments: tuple[Any, str]
) -> Call:
    """A layer made, built and called; x is an argument like the others."""

    def run(x: Any, **options: Any) -> Any:
        return kind(**options)(x)

    return _call(run, x=(x, "array"), **arguments)


def _initializer(kind: Any, **arguments: tuple[Any, str]) -> Call:
    def run(shape: Any, **options: Any) -> Any:
        return kind(**options)(shape)

    return _call(run, shape=((3, 2), "shape"), **arguments)


def _layers() -> dict[str, Call]:
    la = cl.layers
    filters, size = {"filters": (4, "integer")}, {"kernel_size": (3, "integers")}
    common = {
        "use_bias": (True, "flag"), "kernel_initializer": ("ones", "name"), "bias_initializer": ("ones", "name"),
        "dtype": ("float32", "name"), "name": ("mine", "name"), **ACTIVATION,
    }  # fmt: skip
    geometry = {"strides": (1, "integers"), "padding": ("valid", "padding"), "dilation_rate": (1, "integers")}
    extra, mode = {"output_padding": (0, "integers")}, {"padding_mode": ("reflect", "name")}
    x4, x3, x2 = X4[0], X3[0], X2[0]
    separable = {k.replace("kernel", "depthwise"): v for k, v in common.items()}
    separable["pointwise_initializer"] = ("ones", "name")
    slope = {"negative_slope": (0.5, "real")}
    return {
        "Conv2D": _layer(la.Conv2D, x4, **filters, **size, **geometry, **mode, **GROUPS, **common),
        "Conv2DTranspose": _layer(la.Conv2DTranspose, x4, **filters, **size, **geometry, **extra, **GROUPS, **common),
        "DepthwiseConv2D": _layer(
            la.DepthwiseConv2D, x4, **size, **geometry, **mode, depth_multiplier=(1, "integer"), **common
        ),
        "SeparableConv2D": _layer(
            la.SeparableConv2D, x4, **filters, **size, **geometry, **mode, depth_multiplier=(1, "integer"),
            **separable,
        ),
        "Conv1D": _layer(la.Conv1D, x3, **filters, **size, **geometry, **mode, **GROUPS, **common),
        "Conv1DTranspose": _layer(la.Conv1DTranspose, x3, **filters, **size, **geometry, **extra, **GROUPS, **common),
        "Dense": _layer(la.Dense, x2, units=(3, "integer"), **common),
        "GlobalMaxPooling2D": _layer(la.GlobalMaxPooling2D, x4, keepdims=(True, "flag")),
        "GlobalAveragePooling2D": _layer(la.GlobalAveragePooling2D, x4, keepdims=(True, "flag")),
        "InputLayer": _layer(la.InputLayer, x2, shape=((4,), "shape")),
        "Flatten": _layer(la.Flatten, x4, order=("HWC", "name")),
        "Reshape": _layer(la.Reshape, x2, target_shape=((2, 2), "shape")),
        "UpSampling2D": _layer(la.UpSampling2D, x4, size=(2, "integers"), interpolation=("nearest", "name")),
        "ZeroPadding2D": _layer(la.ZeroPadding2D, x4, padding=(1, "padding")),
        "Cropping2D": _layer(la.Cropping2D, x4, cropping=(1, "padding")),
        "Dropout": _layer(la.Dropout, x2, rate=(0.5, "real"), seed=(1, "integer")),
        "Activation": _layer(la.Activation, x2, activation=("relu", "spec")),
        "ReLU": _layer(la.ReLU, x2, max_value=(6.0, "real"), threshold=(1.0, "real"), **slope),
        "LeakyReLU": _layer(la.LeakyReLU, x2, **slope),
        "PReLU": _layer(
            la.PReLU, x4, alpha_initializer=("ones", "name"), shared_axes=((1, 2), "integers"),
            dtype=("float32", "name"),
        ),
        "Softmax": _layer(la.Softmax, x2, axis=(-1, "integer")),
        "BatchNormalization": _layer(
            la.BatchNormalization, x4, axis=(-1, "integer"), momentum=(0.9, "real"), epsilon=(1e-3, "real"),
            center=(True, "flag"), scale=(True, "flag"), dtype=("float32", "name"),
            beta_initializer=("zeros", "name"), gamma_initializer=("ones", "name"),
            moving_mean_initializer=("zeros", "name"), moving_variance_initializer=("ones", "name"),
        ),
        "read_weights": _call(lambda path: list(la.read_weights(path)), path=(weights_file(), "path")),
        "Sequential": _layer(
            lambda name: la.Sequential([la.Dense(3, kernel_initializer="ones")], name=name), x2, name=("mine", "name")
        ),
    }  # fmt: skip


_folder = tempfile.TemporaryDirectory()


def weights_file() -> str:
    """A sound file of weights."""
    path = os.path.join(_folder.name, "w.npz")
    if not os.path.exists(path):
        np.savez(path, **{"dense/kernel": f32(2, 3), "dense/bias": f32(3)})
    return path


def _activations() -> dict[str, Call]:
    ac = cl.activations

    def made(kind: Any) -> Callable[..., Any]:
        return lambda x, **options: kind(**options)(x)

    return {
        "ReLU": _call(made(ac.ReLU), x=X2, max_value=(6.0, "real")),
        "LeakyReLU": _call(made(ac.LeakyReLU), x=X2, alpha=(0.5, "real")),
        "ELU": _call(made(ac.ELU), x=X2, alpha=(0.5, "real")),
        "PReLU": _call(made(ac.PReLU), x=X2, alpha=(f32(4), "array")),
        "softmax": _call(ac.softmax, x=X2),
        "get": _call(lambda spec: repr(ac.get(spec)), spec=("relu", "spec")),
    }


def _initializers(space: Any, seeds: dict[str, Any]) -> dict[str, Call]:
    bounds = {"minval": (0.0, "real"), "maxval": (1.0, "real")}
    normal = {"mean": (0.0, "real"), "stddev": (1.0, "real")}
    scaling = {"scale": (1.0, "real"), "mode": ("fan_in", "name"), "distribution": ("uniform", "name")}
    calls = {
        "Zeros": _initializer(space.Zeros),
        "Ones": _initializer(space.Ones),
        "Constant": _initializer(space.Constant, value=(1.0, "real")),
        "Identity": _initializer(space.Identity, gain=(1.0, "real")),
        "RandomUniform": _initializer(space.RandomUniform, **bounds, **seeds),
        "RandomNormal": _initializer(space.RandomNormal, **normal, **seeds),
        "TruncatedNormal": _initializer(space.TruncatedNormal, **normal, **seeds),
        "VarianceScaling": _initializer(space.VarianceScaling, **scaling, **seeds),
        "Orthogonal": _initializer(space.Orthogonal, gain=(1.0, "real"), **seeds),
    }
    for family in ("Glorot", "Xavier", "He", "Lecun"):
        for kind in ("Uniform", "Normal"):
            calls[family + kind] = _initializer(getattr(space, family + kind), **seeds)
    return calls


def _tensorflow1() -> dict[str, Call]:
    i = cl.initializers
    shape, dtype = {"shape": ((3, 2), "shape")}, {"dtype": ("float32", "name")}
    normal = {"mean": (0.0, "real"), "stddev": (1.0, "real")}
    return {
        "random_uniform": _call(
            i.random_uniform, **shape, **dtype, minval=(0.0, "real"), maxval=(1.0, "real"), **SEEDS
        ),
        "random_normal": _call(i.random_normal, **shape, **dtype, **normal, **SEEDS),
        "truncated_normal": _call(i.truncated_normal, **shape, **dtype, **normal, **SEEDS),
        "Graph": _call(lambda seed: i.Graph(seed).seed is None, seed=(1, "integer")),
        "get": _call(lambda initializer: repr(i.get(initializer)), initializer=("zeros", "name")),
    }


def _convert() -> dict[str, Call]:
    c = cl.convert
    operation, order = {"operation": ("conv2d", "name")}, {"order": ("HWC", "name")}
    k4 = {"kernel": (f32(3, 3, 4, 4), "array")}
    w4 = {"weight": (f32(4, 4, 3, 3), "array")}
    per_channel = {name: (np.abs(f32(4)) + 1, "array") for name in ("mean", "variance", "scale", "offset")}

    model = {
        "model": (cl.layers.Sequential([cl.layers.InputLayer((4, 4, 1)), cl.layers.Conv2D(2, 3)]), "name")
    }
    sizes = {"x_shape": ((1, 4, 5, 2), "shape"), "kernel_shape": ((3, 3, 4, 2), "shape")}
    node = {
        "auto_pad": ("NOTSET", "name"),
        "pads": ([0, 1, 0, 1], "shape"),
        "output_shape": ((6, 6), "shape"),
    }
    steps = {name: (GEOMETRY[name][0], "integers") for name in ("strides", "dilations")}
    return {
        "onnx_transpose_padding": _call(
            c.onnx_transpose_padding, **sizes, **steps, **node, output_padding=(None, "integers")
        ),
        "from_torch": _call(c.from_torch, **w4, **operation, groups=(1, "integer")),
        "to_torch": _call(c.to_torch, **k4, **operation),
        "from_onnx": _call(c.from_onnx, **w4, operation=("Conv", "name"), groups=(1, "integer"), trans_b=(False, "flag")),
        "to_onnx": _call(c.to_onnx, **k4, **operation, trans_b=(False, "flag")),
        "from_keras": _call(c.from_keras, weight=(f32(3, 3, 4, 4), "array"), **operation),
        "to_keras": _call(c.to_keras, **k4, **operation),
        "nchw_to_nhwc": _call(c.nchw_to_nhwc, x=X4),
        "nhwc_to_nchw": _call(c.nhwc_to_nchw, x=X4),
        "dense_to_conv2d": _call(
            c.dense_to_conv2d, kernel=(f32(4, 4), "array"), **BIAS, input_shape=((2, 2, 1), "shape"), **order
        ),
        "conv2d_to_dense": _call(c.conv2d_to_dense, **k4, **BIAS, **order),
        "fold_batch_norm": _call(c.fold_batch_norm, **k4, **BIAS, **per_channel, epsilon=(1e-3, "real"), **operation,
            gamma=(None, "name"), beta=(None, "name"),
        ),
        "convolutionalize": _call(lambda model: type(c.convolutionalize(model)).__name__, **model),
        "fold_batch_norms": _call(lambda model: type(c.fold_batch_norms(model)).__name__, **model),
    }  # fmt: skip


def _threads(n: Any) -> str:
    with cl.num_threads(n):
        return "entered"


def _precise(mode: Any) -> str:
    with cl.precision(mode):
        return cl.get_precision()


def _set_and_reset(n: Any) -> int:
    before = cl.get_num_threads()
    try:
        cl.set_num_threads(n)
        return cl.get_num_threads()
    finally:
        cl.set_num_threads(before)


def _seeded(seed: Any) -> str:
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        keras3.set_random_seed(seed)
        return repr(cl.initializers.get("he_normal"))
    finally:
        keras3.forget_random_seed()
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def _set_precision(mode: Any) -> str:
    before = cl.get_precision()
    try:
        cl.set_precision(mode)
        return cl.get_precision()
    finally:
        cl.set_precision(before)


NETWORK = os.path.join(os.path.dirname(__file__), "golden", "network_v1_classifier.npz")


def _top() -> dict[str, Call]:
    shapes = {"x_shape": ((2, 5, 6, 4), "shape"), "kernel_shape": ((3, 3, 4, 4), "shape")}
    vectors = {name: (np.abs(f32(4)) + 1, "array") for name in ("mean", "variance", "scale", "offset")}
    plain = (
        "relu", "relu6", "sigmoid", "tanh", "silu", "gelu", "hard_swish", "hard_sigmoid", "softplus",
    )  # fmt: skip
    return {
        **_operations(cl, {"precision": ("exact", "name")}),
        **{name: _call(getattr(cl, name), x=X2) for name in plain},
        "PackedKernel": _call(
            lambda kernel, **options: cl.PackedKernel(kernel, **options).panels().data.shape,
            kernel=(f32(3, 3, 4, 4), "array"), operation=("conv2d_transpose", "name"), strides=(1, "integers"),
            dilations=(1, "integers"), groups=(1, "integer"),
        ),
        "conv2d_output_shape": _call(cl.conv2d_output_shape, **shapes, **GEOMETRY, **GROUPS),
        "conv2d_transpose_output_shape": _call(cl.conv2d_transpose_output_shape, **shapes, **GEOMETRY, **GROUPS, **SIZES),
        "same_padding": _call(
            cl.same_padding, size=(5, "integers"), kernel_size=(3, "integers"), strides=(1, "integers"),
            dilations=(1, "integers"),
        ),
        "explain": _call(
            lambda **options: cl.explain(**options), operation=("conv2d_transpose", "name"), **shapes, **GEOMETRY,
            **GROUPS, **SIZES,
        ),
        "global_avg_pool2d": _call(cl.global_avg_pool2d, x=X4, keepdims=(True, "flag")),
        "global_max_pool2d": _call(cl.global_max_pool2d, x=X4, keepdims=(True, "flag")),
        "upsample2d": _call(cl.upsample2d, x=X4, factors=(2, "integers"), method=("bilinear", "name")),
        "activate": _call(cl.activate, x=X2, activation=("relu", "spec")),
        "leaky_relu": _call(cl.leaky_relu, x=X2, alpha=(0.5, "real")),
        "elu": _call(cl.elu, x=X2, alpha=(0.5, "real")),
        "softmax": _call(cl.softmax, x=X2, axis=(-1, "integer")),
        "prelu": _call(cl.prelu, x=X2, alpha=(f32(4), "array")),
        "bias_add": _call(cl.bias_add, x=X2, **BIAS),
        "batch_norm": _call(
            cl.batch_norm, x=X2, **vectors, epsilon=(1e-3, "real"),
            **dict.fromkeys(("gamma", "beta", "weight", "bias"), (None, "name")),
        ),
        "flatten": _call(cl.flatten, x=X4, order=("HWC", "name")),
        "precision": _call(_precise, mode=("fast", "name")),
        "set_precision": _call(_set_precision, mode=("fast", "name")),
        "load": _call(lambda path, layout: cl.load(path, layout).name, path=(NETWORK, "path"), layout=("NHWC", "name")),
        "num_threads": _call(_threads, n=(1, "integer")),
        "set_num_threads": _call(_set_and_reset, n=(1, "integer")),
    }  # fmt: skip


def _methods() -> dict[str, Call]:
    la = cl.layers

    def built(x: Any) -> Any:
        layer = la.Conv2D(4, 3, kernel_initializer="ones")
        layer(X4[0])
        return layer(x)

    def pipeline(x: Any) -> Any:
        model = la.Sequential([la.Conv2D(4, 3, kernel_initializer="ones"), la.MaxPooling2D(), la.Flatten()])
        model(X4[0])
        return model(x)

    def loaded(strict: Any, rename: Any) -> Any:
        model = la.Sequential([la.InputLayer((2,)), la.Dense(3, kernel_initializer="ones")])
        report = model.load_weights(weights_file(), strict=strict, rename=rename)
        return len(report.loaded)

    def predict(x: Any, batch_size: Any) -> Any:
        return la.Sequential([la.Dense(3, kernel_initializer="ones")]).predict(x, batch_size)

    kernel, vector = (f32(3, 3, 4, 4), "array"), (np.abs(f32(4)) + 1, "array")
    moving = {"moving_mean": vector, "moving_variance": vector}
    shape = {"input_shape": ((None, 5, 6, 4), "shape")}
    return {
        "Conv2D.from_weights": _call(
            lambda **options: la.Conv2D.from_weights(**options)(X4[0]), kernel=kernel, **BIAS
        ),
        "Conv2D.set_weights": _call(
            lambda kernel, bias: la.Conv2D(4, 3).set_weights([kernel, bias]), kernel=kernel, **BIAS
        ),
        "Conv2D.build": _call(lambda input_shape: la.Conv2D(4, 3).build(input_shape), **shape),
        "Conv2D.compute_output_shape": _call(
            lambda input_shape: la.Conv2D(4, 3).compute_output_shape(input_shape), **shape
        ),
        "Conv2D.multiply_adds": _call(
            lambda input_shape: la.Conv2D(4, 3).multiply_adds(input_shape), **shape
        ),
        "Conv2D.call": _call(built, x=X4),
        "Dense.from_weights": _call(
            lambda **options: la.Dense.from_weights(**options)(X2[0]), kernel=(f32(4, 4), "array"), **BIAS
        ),
        "PReLU.from_weights": _call(
            lambda alpha: la.PReLU.from_weights(alpha)(X2[0]), alpha=(f32(4), "array")
        ),
        "BatchNormalization.from_weights": _call(
            lambda **options: la.BatchNormalization.from_weights(**options)(X2[0]),
            gamma=vector,
            beta=vector,
            **moving,
        ),
        "Sequential.load_weights": _call(
            loaded, strict=(True, "flag"), rename=({"dense": "dense"}, "mapping")
        ),
        "Sequential.call": _call(pipeline, x=X4),
        "Sequential.predict": _call(predict, x=X2, batch_size=(2, "integer")),
    }


CALLS: dict[str, Call] = {
    **_top(),
    **{f"layers.{name}": call for name, call in _layers().items()},
    **{f"layers.{name}": call for name, call in _methods().items()},
    **{f"activations.{name}": call for name, call in _activations().items()},
    **{f"initializers.{name}": call for name, call in _initializers(cl.initializers, SEEDS).items()},
    **{f"initializers.{name}": call for name, call in _tensorflow1().items()},
    "keras3.set_random_seed": _call(_seeded, seed=(1, "integer")),
    **{f"keras3.{name}": call for name, call in _initializers(keras3, {"seed": (1, "integer")}).items()},
    **{f"convert.{name}": call for name, call in _convert().items()},
    **{f"reference.{name}": call for name, call in _operations(cl.reference, {}).items()},
    **blocks(_call, _layer, f32),
    **images(_call, f32, _layer),
}

# What takes no argument, and what only stands under others.
NO_ARGUMENTS = {
    "get_precision", "get_num_threads", "show_config", "Network", "layers.Layer", "layers.LoadReport", "layers.WeightedLayer", "layers.KernelLayer",
    "layers.SymbolicTensor",
    "initializers.Initializer", "keras3.Initializer", "activations.Fused", "activations.Activation",
    "activations.as_operand", "activations.as_real", "activations.shown", "activations.resolve", "activations.checked",
}  # fmt: skip
