"""Weights of networks lie in memory once: what is set aside of a file, what is kept as panels only."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import _dispatch
from convlite.network.constants import Constants, is_there
from convlite.network.graph import Graph, Node, Value
from convlite.pack import PackedKernel, pack_panels, unpacked
from convlite.plan import Weights

F = np.dtype("float32")
CONV = {"strides": (1, 1), "dilations": (1, 1), "padding": "same", "groups": 1, "activation": None}


def odd(shape: tuple[int, ...], dtype: Any = F) -> np.ndarray:
    """Different numbers, among them those that only the bits tell apart."""
    array = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    array.reshape(-1)[:2] = -0.0, 0.0
    return array


# ---- panels -> kernel --------------------------------------------------------------------------------------

KERNELS: list[tuple[str, tuple[int, ...], str, dict[str, Any]]] = [
    ("conv2d", (3, 2, 5, 37), "direct", {}),
    ("conv2d", (1, 1, 130, 70), "direct", {}),
    ("conv2d", (3, 3, 4, 3 * 37), "direct", {"groups": 3}),
    ("conv2d_transpose", (5, 4, 7, 3), "direct", {"strides": (2, 3)}),
    ("conv2d_transpose", (2, 2, 6, 4), "direct", {"strides": (3, 1), "dilations": (2, 1), "groups": 2}),
    ("depthwise_conv2d", (3, 3, 19, 2), "depthwise", {}),
    ("conv2d", (3, 3, 2, 5), "lanewise", {}),
    ("conv2d", (3, 5, 3, 4), "pixel_vectors", {}),
    ("conv2d_transpose", (4, 4, 3, 5), "pixel_vectors", {}),
    ("conv2d_transpose", (2, 2, 3, 5), "tall_skinny", {"strides": (2, 2)}),
    ("conv2d_transpose", (4, 4, 3, 8), "merged_phases", {"strides": (2, 2)}),
    ("dense", (70, 45), "direct", {}),
]


@pytest.mark.parametrize("order", ["rows", "columns"])
@pytest.mark.parametrize(("operation", "shape", "layout", "options"), KERNELS)
def test_panels_give_the_kernel_back(
    operation: str,
    shape: tuple[int, ...],
    layout: str,
    options: dict[str, Any],
    order: str,
    isa: str,
    dtype: np.dtype,
) -> None:
    kernel = odd(shape, dtype)
    held = kernel if order == "rows" else np.ascontiguousarray(kernel.transpose()).transpose()
    weights = Weights(operation, shape, **options)
    panels = pack_panels(held, weights, isa, layout)
    assert panels.finite
    same = pack_panels(kernel, weights, isa, layout)
    assert panels.data.tobytes() == same.data.tobytes()
    back = unpacked(panels, weights, isa, layout)
    assert (back.tobytes(), back.dtype, back.shape) == (kernel.tobytes(), kernel.dtype, shape)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 31, 32, 129 * 70 + 69])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_not_finite_is_found_wherever_it_is(
    value: float, place: int, order: Any, dtype: np.dtype
) -> None:
    kernel = np.ones((1, 1, 130, 70), dtype)
    kernel.reshape(-1)[place] = value
    held = np.asarray(kernel, order=order)
    isa, weights = _dispatch.active_isa(), Weights("conv2d", kernel.shape)
    assert not pack_panels(held, weights, isa, "direct").finite
    kernel.reshape(-1)[place] = np.finfo(dtype).max
    held = np.asarray(kernel, order=order)
    assert pack_panels(held, weights, isa, "direct").finite


def test_a_kernel_that_was_let_go_pickles_and_is_packed_otherwise() -> None:
    kernel = odd((3, 3, 8, 24))
    packed = PackedKernel(kernel)
    assert packed._let_go()
    assert packed._let_go()
    assert packed.kernel.tobytes() == kernel.tobytes()
    assert pickle.loads(pickle.dumps(packed)).kernel.tobytes() == kernel.tobytes()
    assert packed.panels("lanewise").data.tobytes() == PackedKernel(kernel).panels("lanewise").data.tobytes()
    only = PackedKernel._deferred(kernel, "conv2d")
    assert not only._let_go()  # nothing is packed


# ---- networks ----------------------------------------------------------------------------------------------


def network() -> tuple[cl.Network, dict[str, np.ndarray]]:
    """Two convolutions with one kernel, a depthwise one, a matrix that is gathered from as well."""
    constants = {
        "k": odd((3, 3, 32, 32)),
        "d": odd((3, 3, 1, 32)),
        "m": odd((32, 300)),
        "bias": odd((32,)),
    }
    nodes = [
        Node("conv", ("x", "k", "bias"), ("a",), CONV),
        Node("conv", ("a", "k"), ("b",), CONV),
        Node("conv", ("b", "d"), ("c",), {**CONV, "groups": 32}),
        Node("dense", ("c", "m"), ("y",), {"activation": None}),
        Node("gather", ("m", "rows"), ("z",), {"axis": 0}),
    ]
    inputs = [Value("x", F, ("n", "h", "w", 32)), Value("rows", np.dtype("int64"), (2,))]
    outputs = [Value("y", F, ("n", "h", "w", 300)), Value("z", F, (2, 300))]
    return cl.Network(Graph.of(inputs, outputs, nodes, constants)), constants


def called(net: cl.Network, size: int = 9) -> list[bytes]:
    x = np.random.default_rng(1).standard_normal((1, size, size + 1, 32)).astype(F)
    return [array.tobytes() for array in net(x, np.array([0, 2]))]


def away(net: cl.Network) -> set[str]:
    held = net.graph.constants
    assert isinstance(held, Constants)
    return {name for name in held if not is_there(held.entry(name))}


def test_packed_kernels_lie_in_memory_once_and_come_back_to_the_bit(tmp_path: Path) -> None:
    net, constants = network()
    text = str(net.graph)
    assert not away(net)
    want = called(net), called(network()[0], 5)
    assert "k" in away(net)
    assert not away(net) & {"m", "bias"}
    assert str(net.graph) == text
    for name, array in net.graph.constants.items():
        if name in constants:
            assert array.tobytes() == constants[name].tobytes()
            assert not array.flags.writeable
    net.save(tmp_path / "net.npz")
    others = [cl.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(net)), cl.Network(net.graph)]
    for other in (net, *others, net):
        assert (called(other), called(other, 5)) == want


def test_precision_and_instruction_set_change_after_the_kernels_went(tmp_path: Path) -> None:
    net, _ = network()
    want = called(net)
    with cl.precision("fast"):
        assert called(net) == called(network()[0])
    assert called(net) == want
    net._executor.release()
    assert called(net) == want


def test_tiles_use_the_panels_of_a_network_that_ran() -> None:
    k, x = odd((3, 3, 32, 32)), odd((1, 40, 40, 32))
    node = Node("conv", ("x", "k"), ("y",), CONV)
    shape = ("n", "h", "w", 32)
    net = cl.Network(Graph.of([Value("x", F, shape)], [Value("y", F, shape)], [node], {"k": k}))
    want = net(x)
    assert away(net) == {"k"}
    assert net.tiled(x, tile=16).tobytes() == want.tobytes()
    assert len(net._executor._packed) == 1
    assert net(x).tobytes() == want.tobytes()


# ---- files -------------------------------------------------------------------------------------------------


def file_of_weights() -> Any:
    """A model with large and small weights, of two dtypes, of which one has its elements in a typed field."""
    import onnx_models
    from onnx import helper

    weights = {"w": odd((64, 40)), "v": odd((40, 64), np.float64).astype(F), "b": odd((64,))}
    nodes = [onnx_models.node("MatMul", "xw", "a"), onnx_models.node("MatMul", "av", "c")]
    nodes += [onnx_models.node("MatMul", "ct", "d"), onnx_models.node("Add", "db", "y")]
    proto = onnx_models.model(nodes, {"x": ("N", 64)}, constants=weights)
    typed = helper.make_tensor("t", 1, (64, 64), np.arange(64 * 64, dtype=F).tolist())
    proto.graph.initializer.append(typed)
    return proto


def test_large_weights_are_set_aside() -> None:
    pytest.importorskip("onnx")
    from onnx import ModelProto

    from convlite.network.load.onnx.aside import set_aside

    proto = file_of_weights()
    data = proto.SerializeToString()
    found = set_aside(data)
    assert found is not None
    rest, raw = found
    held = {proto.graph.initializer[number].name: array for number, array in raw.items()}
    assert set(held) == {"w", "v"}
    model = ModelProto.FromString(rest)
    for number, array in raw.items():
        assert not model.graph.initializer[number].raw_data
        model.graph.initializer[number].raw_data = array.tobytes()
    assert model == proto


def test_a_file_reads_as_the_model_in_memory_does(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from convlite.network.load.onnx import read_onnx

    proto = file_of_weights()
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    want = read_onnx(proto)
    for source in (path, path.read_bytes()):
        found = read_onnx(source)
        assert str(found) == str(want)
        assert {n: a.tobytes() for n, a in found.constants.items()} == {
            n: a.tobytes() for n, a in want.constants.items()
        }
        assert all(array.flags.aligned for array in found.constants.values())


def test_files_that_are_cut_off_or_written_otherwise_are_left_to_the_package(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from onnx import ModelProto

    from convlite.network.load.onnx import read_onnx
    from convlite.network.load.onnx.aside import set_aside

    proto = file_of_weights()
    data = proto.SerializeToString()
    path = tmp_path / "m.onnx"
    for end in range(1, len(data), len(data) // 40):
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match=r"m\.onnx"):
            read_onnx(path)
    twice = data + ModelProto(graph=proto.graph).SerializeToString()  # protobuf joins the two graphs
    assert set_aside(twice) is None
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="no graph"):
        read_onnx(path)


def test_a_weight_of_the_wrong_size_is_refused_in_a_file(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from convlite.network.load.onnx import read_onnx

    proto = file_of_weights()
    (tensor,) = [tensor for tensor in proto.graph.initializer if tensor.name == "w"]
    tensor.dims[0] = 63
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="takes 10080 bytes, but has 10240"):
        read_onnx(path)
