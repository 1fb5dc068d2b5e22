"""TFLite files as graphs: TensorFlow's rules on files of a few operators, quantised and faulty ones."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tflite", reason="the package tflite is not installed: the importer is not tested")
pytest.importorskip("flatbuffers", reason="flatbuffers is not installed: the importer is not tested")

from tflite_models import model

from convlite.network.interpret import interpret
from convlite.network.load.tflite import OPERATORS, read_tflite
from convlite.network.network import Network

RNG = np.random.default_rng(5)
X = RNG.standard_normal((1, 4, 6, 8)).astype(np.float32)
CONV = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}


def run(
    name: str,
    inputs: dict[str, np.ndarray],
    table: tuple[str, dict[str, Any]] | None = None,
    outputs: str = "y",
    constants: dict[str, np.ndarray] | None = None,
    read: str = "",
    **more: Any,
) -> Any:
    """One operator by the interpreter; Network must give the same."""
    text = read or " ".join([*inputs, *(constants or {})])
    types = {key: str(value.dtype) for key, value in inputs.items()} | more.pop("types", {})
    data = model(
        [(name, text, outputs, table)],
        {key: value.shape for key, value in inputs.items()},
        dict.fromkeys(outputs.split(), ()),
        constants,
        types=types,
        **more,
    )
    graph = read_tflite(data)
    found = interpret(graph, list(inputs.values()))
    again = Network(graph)(*inputs.values())
    for one, other in zip(found, again if isinstance(again, tuple) else (again,), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    return found[0] if len(found) == 1 else found


def ints(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


def conv_by_loops(x: np.ndarray, w: np.ndarray, stride: int, groups: int = 1) -> np.ndarray:
    """SAME convolution of NHWC by kernels (outputs, h, w, inputs), the odd padding behind."""
    o, kh, kw, c = w.shape
    pads = []
    for size, k in ((x.shape[1], kh), (x.shape[2], kw)):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        pads.append((total // 2, total - total // 2))
    wide = np.pad(x, ((0, 0), *pads, (0, 0)))
    y = np.zeros((x.shape[0], -(-x.shape[1] // stride), -(-x.shape[2] // stride), o))
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            window = wide[:, i * stride : i * stride + kh, j * stride : j * stride + kw]
            for k in range(o):
                first = k // (o // groups) * c
                y[:, i, j, k] = (window[..., first : first + c] * w[k]).sum((1, 2, 3))
    return y


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_conv(groups: int, stride: int) -> None:
    w = RNG.standard_normal((6, 3, 2, 8 // groups)).astype(np.float32)
    b = RNG.standard_normal(6).astype(np.float32)
    table = ("Conv2DOptions", {**CONV, "StrideH": stride, "StrideW": stride, "FusedActivationFunction": 3})
    y = run("CONV_2D", {"x": X}, table, constants={"w": w, "b": b})
    wanted = np.clip(conv_by_loops(X, w, stride, groups) + b, 0, 6)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)


def test_depthwise_with_a_multiplier() -> None:
    w = RNG.standard_normal((1, 3, 3, 16)).astype(np.float32)
    y = run("DEPTHWISE_CONV_2D", {"x": X}, ("DepthwiseConv2DOptions", CONV), constants={"w": w})
    wanted = conv_by_loops(X, w[0].transpose(2, 0, 1)[..., None], 1, groups=8)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)


def transposed_by_loops(x: np.ndarray, w: np.ndarray, stride: int) -> np.ndarray:
    """SAME transposed convolution: what `conv_by_loops` is the adjoint of."""
    size = [x.shape[1] * stride, x.shape[2] * stride]
    full = np.zeros((x.shape[0], size[0] + w.shape[1], size[1] + w.shape[2], w.shape[0]))
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            part = np.einsum("nc,ohwc->nhwo", x[:, i, j], w)
            full[:, i * stride : i * stride + w.shape[1], j * stride : j * stride + w.shape[2]] += part
    before = [max(w.shape[1 + a] - stride, 0) // 2 for a in range(2)]
    return full[:, before[0] : before[0] + size[0], before[1] : before[1] + size[1]]


@pytest.mark.parametrize("k", [2, 3, 4])
def test_transpose_conv_and_that_of_mediapipe(k: int) -> None:
    w = RNG.standard_normal((5, k, k, 8)).astype(np.float32)
    wanted = transposed_by_loops(X, w, 2)
    table = ("TransposeConvOptions", {"StrideH": 2, "StrideW": 2})
    y = run("TRANSPOSE_CONV", {"x": X}, table, constants={"s": ints(1, 8, 12, 5), "w": w}, read="s w x")
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    b = np.ones(5, np.float32)
    y = run(
        "custom:Convolution2DTransposeBias",
        {"x": X},
        constants={"w": w, "b": b},
        custom_options=struct.pack("<iii", 1, 2, 2),
    )
    np.testing.assert_allclose(y, wanted + 1, rtol=1e-4, atol=1e-5)


def test_fully_connected_flattens_or_not() -> None:
    w = RNG.standard_normal((3, 8)).astype(np.float32)
    for keep, shape in ((True, (1, 4, 6, 3)), (False, (24, 3))):
        y = run(
            "FULLY_CONNECTED", {"x": X}, ("FullyConnectedOptions", {"KeepNumDims": keep}), constants={"w": w}
        )
        np.testing.assert_allclose(y, (X @ w.T).reshape(shape), rtol=1e-4, atol=1e-5)


def blocks(x: np.ndarray) -> np.ndarray:
    return x.reshape(1, 2, 2, 3, 2, 8).transpose(2, 4, 0, 1, 3, 5).reshape(4, 2, 3, 8)


POOL = {"StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2}
WINDOWS = X.reshape(1, 2, 2, 3, 2, 8)
ONE: dict[str, tuple[Any, ...]] = {  # name -> (operator, options, constants, what NumPy makes of X)
    "average": ("AVERAGE_POOL_2D", ("Pool2DOptions", POOL), {}, WINDOWS.mean((2, 4))),
    "max": ("MAX_POOL_2D", ("Pool2DOptions", POOL), {}, WINDOWS.max((2, 4))),
    "l2": ("L2_POOL_2D", ("Pool2DOptions", POOL), {}, np.sqrt((WINDOWS**2).mean((2, 4)))),
    "mean": (
        "MEAN",
        ("ReducerOptions", {"KeepDims": True}),
        {"a": ints(1, 2)},
        X.mean((1, 2), keepdims=True),
    ),
    "reduce max": ("REDUCE_MAX", ("ReducerOptions", {}), {"a": ints(-1)}, X.max(-1)),
    "arg max": ("ARG_MAX", ("ArgMaxOptions", {"OutputType": 0}), {"a": ints(3)}, X.argmax(3)),
    "softmax": (
        "SOFTMAX",
        ("SoftmaxOptions", {"Beta": 2.0}),
        {},
        np.exp(2 * X) / np.exp(2 * X).sum(-1, keepdims=True),
    ),
    "l2 norm": ("L2_NORMALIZATION", None, {}, X / np.sqrt((X**2).sum(-1, keepdims=True))),
    "lrn": (
        "LOCAL_RESPONSE_NORMALIZATION",
        ("LocalResponseNormalizationOptions", {"Radius": 8, "Bias": 1.0, "Alpha": 0.5, "Beta": 0.5}),
        {},
        X / np.sqrt(1 + 0.5 * (X**2).sum(-1, keepdims=True)),
    ),
    "relu n1": ("RELU_N1_TO_1", None, {}, np.clip(X, -1, 1)),
    "rsqrt": ("SQUARE", None, {}, X * X),
    "prelu": (
        "PRELU",
        None,
        {"a": np.full((1, 1, 8), 0.3, np.float32)},
        np.where(X < 0, X * np.float32(0.3), X),
    ),
    "add": (
        "ADD",
        ("AddOptions", {"FusedActivationFunction": 1}),
        {"a": X[0, 0, 0]},
        np.maximum(X + X[0, 0, 0], 0),
    ),
    "squared difference": ("SQUARED_DIFFERENCE", None, {"a": X[0, 0, 0]}, (X - X[0, 0, 0]) ** 2),
    "floor div": ("FLOOR_DIV", None, {"a": np.float32([0.7])}, np.floor(X / 0.7)),
    "not equal": ("NOT_EQUAL", None, {"a": X[:, :1]}, X[:, :1] != X),
    "pad": (
        "PAD",
        None,
        {"p": ints((0, 0), (1, 2), (0, 1), (0, 3))},
        np.pad(X, ((0, 0), (1, 2), (0, 1), (0, 3))),
    ),
    "mirror": (
        "MIRROR_PAD",
        ("MirrorPadOptions", {"Mode": 1}),
        {"p": ints((0, 0), (1, 2), (0, 1), (0, 0))},
        np.pad(X, ((0, 0), (1, 2), (0, 1), (0, 0)), "symmetric"),
    ),
    "transpose": ("TRANSPOSE", None, {"p": ints(0, 3, 1, 2)}, X.transpose(0, 3, 1, 2)),
    "reshape": ("RESHAPE", ("ReshapeOptions", {"NewShape": [1, -1, 4]}), {}, X.reshape(1, -1, 4)),
    "squeeze": ("SQUEEZE", ("SqueezeOptions", {"SqueezeDims": [0]}), {}, X[0]),
    "expand": ("EXPAND_DIMS", None, {"a": ints(-1)}, X[..., None]),
    "shape": ("SHAPE", ("ShapeOptions", {"OutType": 2}), {}, ints(1, 4, 6, 8)),
    "gather": ("GATHER", ("GatherOptions", {"Axis": 2}), {"i": ints(5, 0)}, X[:, :, [5, 0]]),
    "tile": ("TILE", None, {"m": ints(1, 2, 1, 1)}, np.tile(X, (1, 2, 1, 1))),
    "slice": ("SLICE", None, {"b": ints(0, 1, 0, 2), "s": ints(-1, 2, 6, 3)}, X[:, 1:3, :, 2:5]),
    "reverse": ("REVERSE_V2", None, {"a": ints(2)}, X[:, :, ::-1]),
    "depth to space": (
        "DEPTH_TO_SPACE",
        ("DepthToSpaceOptions", {"BlockSize": 2}),
        {},
        X.reshape(1, 4, 6, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(1, 8, 12, 2),
    ),
    "space to batch": ("SPACE_TO_BATCH_ND", None, {"b": ints(2, 2), "p": ints((0, 0), (0, 0))}, blocks(X)),
    "matmul": (
        "BATCH_MATMUL",
        ("BatchMatMulOptions", {"AdjY": True}),
        {"m": X[0, 0, :3]},
        X @ X[0, 0, :3].T,
    ),
    "nearest": (
        "RESIZE_NEAREST_NEIGHBOR",
        ("ResizeNearestNeighborOptions", {}),
        {"s": ints(8, 9)},
        X[:, [0, 0, 1, 1, 2, 2, 3, 3]][:, :, [0, 0, 1, 2, 2, 3, 4, 4, 5]],
    ),
    "nearest half pixel": (
        "RESIZE_NEAREST_NEIGHBOR",
        ("ResizeNearestNeighborOptions", {"HalfPixelCenters": True}),
        {"s": ints(2, 3)},
        X[:, 1::2, 1::2],
    ),
    "bilinear half pixel": (
        "RESIZE_BILINEAR",
        ("ResizeBilinearOptions", {"HalfPixelCenters": True}),
        {"s": ints(2, 3)},
        WINDOWS.mean((2, 4)),
    ),
    "bilinear corners": (
        "RESIZE_BILINEAR",
        ("ResizeBilinearOptions", {"AlignCorners": True}),
        {"s": ints(2, 2)},
        X[:, ::3, ::5],
    ),
    "strided": (
        "STRIDED_SLICE",
        ("StridedSliceOptions", {"BeginMask": 8, "EndMask": 8, "ShrinkAxisMask": 1, "NewAxisMask": 4}),
        {"b": ints(0, 1, 0, 0), "e": ints(1, 4, 0, 0), "s": ints(1, 2, 1, -1)},
        X[0, 1:4:2, None, ::-1],
    ),
    "ellipsis": (
        "STRIDED_SLICE",
        ("StridedSliceOptions", {"EllipsisMask": 1}),
        {"b": ints(0, -3), "e": ints(0, -1), "s": ints(1, 1)},
        X[..., -3:-1],
    ),
}


@pytest.mark.parametrize("name", ONE)
def test_one_operator(name: str) -> None:
    kind, table, constants, wanted = ONE[name]
    integers = {"arg max": "int32", "shape": "int32", "not equal": "bool"}
    more = {"types": {"y": integers[name]}} if name in integers else {}
    y = run(kind, {"x": X}, table, constants=constants, **more)
    assert y.shape == wanted.shape
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)


def test_space_to_batch_and_back() -> None:
    table: dict[str, Any] = {"b": ints(2, 2), "c": ints((0, 0), (0, 0))}
    np.testing.assert_array_equal(run("BATCH_TO_SPACE_ND", {"x": blocks(X)}, constants=table), X)


def test_split_pack_unpack() -> None:
    parts = run("SPLIT", {"x": X}, ("SplitOptions", {"NumSplits": 2}), "u v", {"a": ints(3)}, "a x")
    np.testing.assert_array_equal(np.concatenate(parts, 3), X)
    parts = run("UNPACK", {"x": X}, ("UnpackOptions", {"Num": 4, "Axis": 1}), "a b c d")
    np.testing.assert_array_equal(np.stack(parts, 1), X)
    y = run("PACK", {"x": X}, ("PackOptions", {"ValuesCount": 2, "Axis": 1}), read="x x")
    np.testing.assert_array_equal(y, np.stack([X, X], 1))


def test_float16_and_sparse_constants() -> None:
    half = X[0, 0, 0].astype(np.float16)
    data = model(
        [("DEQUANTIZE", "w", "d", None), ("ADD", "x d", "y", ("AddOptions", {}))],
        {"x": X.shape},
        {"y": X.shape},
        {"w": half},
    )
    np.testing.assert_array_equal(interpret(read_tflite(data), [X])[0], X + half.astype(np.float32))
    dense = np.zeros((3, 8), np.float32)
    dense[0, 2], dense[2, 1], dense[2, 7] = 5, 6, 7
    levels = [(3,), (ints(0, 1, 1, 3), ints(2, 1, 7))]
    data = model(
        [("DENSIFY", "w", "d", None), ("FULLY_CONNECTED", "x d", "y", ("FullyConnectedOptions", {}))],
        {"x": (2, 8)},
        {"y": (2, 3)},
        {"w": np.float32([5, 6, 7])},
        sparse={"w": ((3, 8), [0, 1], levels)},
    )
    x = X[0, 0, :2]
    np.testing.assert_allclose(interpret(read_tflite(data), [x])[0], x @ dense.T, rtol=1e-6)


def test_quantised_models_are_floats_inside_and_integers_at_the_ends() -> None:
    w = RNG.integers(-127, 128, (4, 8)).astype(np.int8)
    scale = np.float32([0.01, 0.02, 0.03, 0.04])
    data = model(
        [("FULLY_CONNECTED", "x w b", "y", ("FullyConnectedOptions", {}))],
        {"x": (3, 8)},
        {"y": (3, 4)},
        {"w": w, "b": ints(10, 20, 30, 4000)},
        types={"x": "int8", "y": "int8"},
        scales={
            "x": ([0.05], [3], 0),
            "w": (scale, [0] * 4, 0),
            "b": (scale * np.float32(0.05), [0] * 4, 0),
            "y": ([0.1], [-5], 0),
        },
    )
    x = RNG.integers(-128, 128, (3, 8)).astype(np.int8)
    real = (x.astype(float) - 3) * 0.05 @ (w * scale[:, None].astype(float)).T
    real += np.array([10, 20, 30, 4000]) * scale * 0.05
    wanted = np.clip(np.rint(real / 0.1) - 5, -128, 127)
    y = Network(read_tflite(data))(x)
    assert y.dtype == np.int8
    assert np.abs(y - wanted).max() <= 1  # a tie of rounding at most
    assert (y == wanted).mean() > 0.9


def quantised(seed: int) -> bytes:
    """Convolution, depthwise one, sum, mean over the image, dense, softmax: all in int8."""
    rng = np.random.default_rng(seed)
    layers = {"c": ((12, 3, 3, 4), 0), "d": ((1, 3, 3, 12), 3), "f": ((5, 12), 0)}
    constants: dict[str, np.ndarray] = {"axes": ints(1, 2)}
    scales: dict[str, tuple[Any, ...]] = {"x": ([0.02], [-4], 0)}
    before, real = {"c": 0.02, "d": 0.05, "f": 0.03}, {"c": 0.05, "d": 0.05, "s": 0.06, "m": 0.03}
    for name, (shape, axis) in layers.items():
        constants[f"{name}w"] = rng.integers(-127, 128, shape).astype(np.int8)
        each = rng.uniform(0.4, 1, shape[axis]) / np.sqrt(np.prod(shape) / shape[axis]) / 50
        scales[f"{name}w"] = (each, [0] * shape[axis], axis)
        scales[f"{name}b"] = (each * before[name], [0] * shape[axis], 0)
        constants[f"{name}b"] = rng.integers(-900, 900, shape[axis]).astype(np.int32)
    scales |= {name: ([step], [-128 if name in "cdm" else -20], 0) for name, step in real.items()}
    scales |= {"l": ([0.05], [7], 0), "y": ([1 / 256], [-128], 0)}
    relu = {"FusedActivationFunction": 1}
    depth = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, "DepthMultiplier": 1}
    return model(
        [
            ("CONV_2D", "x cw cb", "c", ("Conv2DOptions", CONV | relu)),
            ("DEPTHWISE_CONV_2D", "c dw db", "d", ("DepthwiseConv2DOptions", depth | relu)),
            ("ADD", "c d", "s", ("AddOptions", {})),
            ("MEAN", "s axes", "m", ("ReducerOptions", {"KeepDims": False})),
            ("FULLY_CONNECTED", "m fw fb", "l", ("FullyConnectedOptions", {})),
            ("SOFTMAX", "l", "y", ("SoftmaxOptions", {"Beta": 1.0})),
        ],
        {"x": (1, 9, 8, 4)},
        {"y": (1, 5)},
        constants,
        types=dict.fromkeys("xcdsmly", "int8"),
        scales=scales,
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_quantised_network_gives_what_litert_gives(seed: int) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")
    data = quantised(seed)
    runner = litert.Interpreter(model_content=data)
    runner.allocate_tensors()
    x = np.random.default_rng(seed).integers(-128, 128, (1, 9, 8, 4)).astype(np.int8)
    runner.set_tensor(runner.get_input_details()[0]["index"], x)
    runner.invoke()
    wanted = runner.get_tensor(runner.get_output_details()[0]["index"])
    y = Network(read_tflite(data))(x)
    assert y.dtype == wanted.dtype == np.int8
    assert np.ptp(wanted.astype(int)) > 10
    # LiteRT rounds every value in between to eight bits: some steps of the result, of 256
    assert np.abs(y.astype(int) - wanted).max() <= 4


def test_free_batch() -> None:
    data = model([("RELU", "x", "y", None)], {"x": (None, 3)}, {"y": (None, 3)})
    graph = read_tflite(data)
    assert graph.inputs[0].shape == ("x[0]", 3)
    assert Network(graph)(np.ones((5, 3), np.float32)).shape == (5, 3)


def test_everything_unsupported_is_named_at_once() -> None:
    data = model(
        [
            ("LSTM", "x", "a", None),
            ("WHILE", "x", "u", None),
            ("IF", "x", "v", None),
            ("custom:Own", "x", "b", None),
            ("RELU", "a", "c", None),
            ("TRANSPOSE", "x x", "y", None),
        ],
        {"x": (2, 3)},
        {"y": (2, 3)},
    )
    with pytest.raises(ValueError, match="5 operators cannot be read") as refused:
        read_tflite(data)
    for text in ("LSTM ('a')", "WHILE ('u')", "IF ('v')", "CUSTOM 'Own' ('b')", "TRANSPOSE ('y'): its perm"):
        assert text in str(refused.value)


def test_what_is_no_file(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="does not start as a TFLite file"):
        read_tflite(b"nothing")
    with pytest.raises(TypeError, match="path or bytes"):
        read_tflite(3)
    path = tmp_path / "m.tflite"
    path.write_bytes(model([("RELU", "x", "y", None)], {"x": (1,)}, {"y": (1,)}))
    assert read_tflite(path).name == "tiny"


def seeds() -> list[bytes]:
    found = [
        model([(kind, " ".join(["x", *constants]), "y", table)], {"x": X.shape}, {"y": ()}, constants)
        for kind, table, constants, _ in ONE.values()
    ]
    levels = [(3,), (ints(0, 1, 1, 3), ints(2, 1, 7))]
    found += [
        model(
            [("DENSIFY", "w", "d", None), ("FULLY_CONNECTED", "x d", "y", ("FullyConnectedOptions", {}))],
            {"x": (2, 8)},
            {"y": (2, 3)},
            {"w": np.float32([5, 6, 7])},
            sparse={"w": ((3, 8), [0, 1], levels)},
        )
    ] * 8
    return found


def test_mutated_files_are_refused_or_read() -> None:
    rng, refused = random.Random(0), 0
    wild = [0, 1, 255, 2**31 - 1, 2**32 - 1, 2**16, 12]
    everything = seeds()
    for _ in range(1500):
        data = bytearray(rng.choice(everything))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(data) - 4)
            if rng.random() < 0.5:
                data[place] = rng.randrange(256)
            else:
                data[place : place + 4] = struct.pack("<I", rng.choice(wild))
        if rng.random() < 0.1:
            data = data[: rng.randrange(len(data))]
        try:
            read_tflite(bytes(data))
        except ValueError:
            refused += 1
    assert refused > 300


def test_the_table_holds_what_is_promised() -> None:
    promised = """
        CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV FULLY_CONNECTED AVERAGE_POOL_2D MAX_POOL_2D L2_POOL_2D
        PAD PADV2 MIRROR_PAD ADD SUB MUL DIV MAXIMUM MINIMUM POW SQUARED_DIFFERENCE CONCATENATION
        RESHAPE TRANSPOSE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR MEAN SUM REDUCE_MAX REDUCE_MIN
        REDUCE_PROD REDUCE_ANY REDUCE_ALL RELU RELU6 RELU_N1_TO_1 PRELU LEAKY_RELU ELU HARD_SWISH
        LOGISTIC TANH GELU SOFTMAX LOG_SOFTMAX EXP SQRT RSQRT ABS NEG SQUARE FLOOR CEIL ROUND SLICE
        STRIDED_SLICE SPLIT SPLIT_V PACK UNPACK SQUEEZE EXPAND_DIMS GATHER GATHER_ND TILE SHAPE FILL
        CAST SELECT SELECT_V2 ARG_MAX ARG_MIN TOPK_V2 ONE_HOT CUMSUM DEPTH_TO_SPACE SPACE_TO_DEPTH
        SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND BATCH_MATMUL L2_NORMALIZATION LOCAL_RESPONSE_NORMALIZATION
        DEQUANTIZE QUANTIZE DENSIFY custom:Convolution2DTransposeBias EQUAL LOGICAL_NOT
    """
    assert set(promised.split()) <= set(OPERATORS)
