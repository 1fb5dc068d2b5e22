"""ONNX files as graphs: every rule of translation on a model of a few nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed: the importer is not tested")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_models import Shape, branch, info, kinds, model, node, refusal, run, values  # noqa: E402

from convlite.network.interpret import interpret  # noqa: E402
from convlite.network.load.onnx import read_onnx  # noqa: E402

# ---- convolutions: a channels-first definition of their own to compare with


def convolved(
    x: np.ndarray, w: np.ndarray, strides: Any, pads: Any, dilations: Any = (1, 1), groups: int = 1
) -> Any:
    """Conv of NCHW by the formula, one output at a time."""
    (top, left), (bottom, right) = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    m, c, kh, kw = w.shape
    oh = (x.shape[2] - (kh - 1) * dilations[0] - 1) // strides[0] + 1
    ow = (x.shape[3] - (kw - 1) * dilations[1] - 1) // strides[1] + 1
    y = np.zeros((x.shape[0], m, oh, ow))
    for i in range(oh):
        for j in range(ow):
            rows = i * strides[0] + np.arange(kh) * dilations[0]
            columns = j * strides[1] + np.arange(kw) * dilations[1]
            window = x[:, :, rows][:, :, :, columns]
            for o in range(m):
                first = o // (m // groups) * c
                y[:, o, i, j] = np.sum(window[:, first : first + c] * w[o], axis=(1, 2, 3))
    return y


def close(got: np.ndarray, wanted: np.ndarray) -> None:
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "pads"),
    [
        ({}, ((0, 0), (0, 0))),
        ({"pads": [1, 0, 2, 1]}, ((1, 0), (2, 1))),
        ({"auto_pad": "VALID"}, ((0, 0), (0, 0))),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, ((0, 0), (1, 1))),
        ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, ((1, 1), (0, 0))),
        ({"dilations": [2, 1], "pads": [1, 1, 1, 1]}, ((1, 1), (1, 1))),
    ],
)
def test_conv(attributes: dict[str, Any], pads: Any) -> None:
    x, w, b = values(2, 3, 7, 8), values(4, 3, 2, 3), values(4)
    y = run(model([node("Conv", "xwb", **attributes)], {"x": x.shape}, constants={"w": w, "b": b}), x)[0]
    strides, dilations = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    close(y, convolved(x, w, strides, pads, dilations) + b[:, None, None])


def test_conv_with_groups_and_computed_weights() -> None:
    x, w = values(1, 4, 5, 5), values(6, 2, 3, 3)
    proto = model([node("Conv", "xw", group=2)], {"x": x.shape, "w": w.shape})
    close(run(proto, x, w)[0], convolved(x, w, (1, 1), ((0, 0), (0, 0)), groups=2))


def test_conv_of_one_axis() -> None:
    x, w = values(2, 3, 9), values(4, 3, 3)
    y = run(
        model([node("Conv", "xw", strides=[2], pads=[1, 1])], {"x": ("N", 3, "T")}, constants={"w": w}), x
    )[0]
    wide = convolved(x[:, :, None], w[:, :, None], (1, 2), ((0, 1), (0, 1)))
    close(y, wide[:, :, 0])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("free", [False, True])
def test_conv_of_three_axes_one_of_which_has_a_window_of_one(axis: int, size: int, free: bool) -> None:
    x, w = values(2, 3, *np.insert([5, 6], axis, size)), values(4, 3, *np.insert([3, 2], axis, 1))
    shape: Shape = ("N", 3, "D", "H", "W") if free else x.shape
    (y,) = run(model([node("Conv", "xw")], {"x": shape}, constants={"w": w}), x)
    parts = [
        convolved(np.take(x, i, 2 + axis), np.take(w, 0, 2 + axis), (1, 1), ((0, 0), (0, 0)))
        for i in range(size)
    ]
    close(y, np.stack(parts, 2 + axis))


def test_shared_weights_stay_shared() -> None:
    w = values(3, 3, 1, 1)
    nodes = [node("Conv", "xw", ["a"]), node("Conv", "aw")]
    graph = read_onnx(model(nodes, {"x": (1, 3, 4, 4)}, constants={"w": w}))
    convolutions = [entry for entry in graph.nodes if entry.kind == "conv"]
    assert convolutions[0].inputs[1] == convolutions[1].inputs[1]
    assert len(graph.constants) == 1


@pytest.mark.parametrize(
    ("attributes", "crop", "size"),
    [
        ({"strides": [2, 2]}, (0, 0), (9, 9)),
        ({"strides": [2, 2], "pads": [1, 0, 0, 1]}, (1, 0), (8, 8)),
        ({"strides": [2, 2], "output_padding": [1, 1]}, (0, 0), (10, 10)),
        ({"strides": [2, 2], "output_shape": [8, 8]}, (1, 1), (8, 8)),
        ({"strides": [2, 2], "output_shape": [2, 2, 8, 8]}, (1, 1), (8, 8)),
        ({"strides": [2, 2], "output_shape": [8, 8], "auto_pad": "SAME_UPPER"}, (0, 0), (8, 8)),
        ({"strides": [2, 2], "auto_pad": "SAME_LOWER"}, (1, 1), (8, 8)),
        ({"strides": [2, 2], "output_shape": [11, 11]}, (0, 0), (11, 11)),
    ],
)
def test_conv_transpose(attributes: dict[str, Any], crop: Any, size: Any) -> None:
    x, w = values(2, 4, 4, 4), values(4, 2, 3, 3)
    (y,) = run(model([node("ConvTranspose", "xw", **attributes)], {"x": x.shape}, constants={"w": w}), x)
    full = np.zeros((2, 2, 16, 16))
    for i in range(4):
        for j in range(4):
            full[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum("nc,cmhw->nmhw", x[:, :, i, j], w)
    close(y, full[:, :, crop[0] : crop[0] + size[0], crop[1] : crop[1] + size[1]])


@pytest.mark.parametrize("trans", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("c_shape", [None, (5,), (1, 5), (3, 5), (), (3, 1)])
@pytest.mark.parametrize("constant", [False, True])
def test_gemm(trans: tuple[int, int], c_shape: Any, constant: bool) -> None:
    a, b = values(*(4, 3)[:: 1 if trans[0] else -1]), values(*(4, 5)[:: -1 if trans[1] else 1])
    arrays = {"b": b} if c_shape is None else {"b": b, "c": values(*c_shape)}
    held = arrays if constant else {}
    free: dict[str, Shape] = {} if constant else {name: array.shape for name, array in arrays.items()}
    entry = node("Gemm", ["a", *arrays], alpha=0.5, beta=2.0, transA=trans[0], transB=trans[1])
    proto = model([entry], {"a": a.shape, **free}, constants=held)
    (y,) = run(proto, a, *([] if constant else arrays.values()))
    wanted = 0.5 * (a.T if trans[0] else a) @ (b.T if trans[1] else b) + 2 * arrays.get("c", np.float32(0))
    close(y, wanted)
    assert ("dense" in kinds(read_onnx(proto))) == constant


# ---- old forms


def test_softmax_before_13_flattens() -> None:
    x = values(2, 3, 4)
    wanted = np.exp(x) / np.exp(x).sum((1, 2), keepdims=True)
    for shape in [x.shape, ("A", "B", "C"), None]:
        close(run(model([node("Softmax", "x")], {"x": shape}, opset=12), x)[0], wanted)
    close(
        run(model([node("Softmax", "x")], {"x": None}, opset=13), x)[0],
        np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    )
    flat = read_onnx(model([node("Softmax", "x")], {"x": ("N", 7, 1, 1)}, opset=12))
    assert kinds(flat) == ["softmax"]


def test_attributes_that_became_inputs() -> None:
    x = values(1, 2, 3)
    close(run(model([node("Clip", "x", min=-0.5)], {"x": x.shape}, opset=6), x)[0], np.maximum(x, -0.5))
    close(run(model([node("Pad", "x", pads=[0, 0, 1, 0, 0, 2], value=3.0)], {"x": x.shape}, opset=10), x)[0],
          np.pad(x, ((0, 0), (0, 0), (1, 2)), constant_values=3))  # fmt: skip
    close(
        run(model([node("Slice", "x", starts=[1], ends=[99], axes=[2])], {"x": x.shape}, opset=9), x)[0],
        x[:, :, 1:],
    )
    close(run(model([node("Squeeze", "x", axes=[0])], {"x": x.shape}, opset=11), x)[0], x[0])
    close(
        run(model([node("Unsqueeze", "x", axes=[0, -1])], {"x": x.shape}, opset=11), x)[0], x[None, ..., None]
    )
    close(
        run(model([node("ReduceSum", "x", axes=[1], keepdims=0)], {"x": x.shape}, opset=11), x)[0], x.sum(1)
    )
    close(
        run(model([node("ReduceMean", "x", axes=[-1])], {"x": x.shape}, opset=17), x)[0],
        x.mean(-1, keepdims=True),
    )
    first, second = run(
        model([node("Split", "x", "ab", axis=2, split=[1, 2])], {"x": x.shape}, "ab", opset=11), x
    )
    close(first, x[:, :, :1])
    close(second, x[:, :, 1:])
    top, where = run(
        model([node("TopK", "x", "ab", k=2)], {"x": x.shape}, ["a", info("b", None, 7)], opset=9), x
    )
    close(top, -np.sort(-x, -1)[..., :2])
    assert where.dtype == np.int64


def test_add_of_version_6_begins_at_an_axis() -> None:
    x, b = values(2, 3, 4, 5), values(3)
    proto = model([node("Add", "xb", axis=1, broadcast=1)], {"x": x.shape}, constants={"b": b}, opset=6)
    close(run(proto, x)[0], x + b[:, None, None])


def test_upsample_and_the_first_resize() -> None:
    x = values(1, 1, 2, 3)
    scales = np.float32([1, 1, 2, 2])
    doubled = x.repeat(2, 2).repeat(2, 3)
    close(
        run(model([node("Upsample", "x", scales=[1.0, 1.0, 2.0, 2.0])], {"x": x.shape}, opset=7), x)[0],
        doubled,
    )
    for name, opset in [("Upsample", 9), ("Resize", 10)]:
        close(
            run(model([node(name, "xs")], {"x": x.shape}, constants={"s": scales}, opset=opset), x)[0],
            doubled,
        )
    wide = values(1, 1, 4, 6)
    halved = run(
        model([node("Resize", "xs")], {"x": (1, 1, 4, 6)}, constants={"s": 1 / scales}, opset=10), wide
    )[0]
    close(halved, wide[:, :, ::2, ::2])


@pytest.mark.parametrize("opset", [6, 9, 13, 15])
def test_batch_normalization(opset: int) -> None:
    x, s, b, m, v = values(2, 3, 4), *(values(3) for _ in range(3)), np.abs(values(3))
    more = {"is_test": 1} if opset == 6 else {}
    proto = model([node("BatchNormalization", "xsbmv", epsilon=0.1, **more)], {"x": x.shape},
                  constants={"s": s, "b": b, "m": m, "v": v}, opset=opset)  # fmt: skip
    column = [array[:, None] for array in (s, b, m, v)]
    close(run(proto, x)[0], (x - column[2]) / np.sqrt(column[3] + np.float32(0.1)) * column[0] + column[1])


@pytest.mark.parametrize("opset", [7, 12, 13])
def test_dropout_does_nothing(opset: int) -> None:
    nodes = [node("Dropout", "x", ["d", "mask"]), node("Relu", "d")]
    assert kinds(read_onnx(model(nodes, {"x": (2, 2)}, opset=opset))) == ["relu"]


# ---- the file's parts


def test_names_layout_and_free_axes_are_the_files() -> None:
    names = ["input:0", "b;c", "d/e f"]
    nodes = [node("Add", names[:2], [names[2]])]
    shapes: dict[str, Shape] = {names[0]: ("batch", None, 3, 0), names[1]: (None, 1, 3, "w")}
    graph = read_onnx(model(nodes, shapes, [names[2]]))
    assert [value.name for value in graph.inputs] == names[:2]
    assert [value.name for value in graph.outputs] == names[2:]
    assert graph.inputs[0].shape == ("batch", "input:0[1]", 3, "input:0[3]")
    assert graph.inputs[1].shape == ("b;c[0]", 1, 3, "w")


def test_outputs_that_are_inputs_constants_or_the_same_value() -> None:
    x, c = values(2), values(3)
    nodes = [node("Identity", "x", "a"), node("Relu", "x", "r"), node("Identity", "r", "s")]
    got = run(model(nodes, {"x": (2,)}, ["x", "a", "c", "r", "s"], constants={"c": c}), x)
    for array, wanted in zip(got, [x, x, c, np.maximum(x, 0), np.maximum(x, 0)], strict=True):
        np.testing.assert_array_equal(array, wanted)


def test_initialisers_listed_as_inputs_are_constants() -> None:
    proto = model([node("Add", "xw")], {"x": (2,), "w": (2,)}, constants={"w": np.float32([1, 2])})
    graph = read_onnx(proto)
    assert [value.name for value in graph.inputs] == ["x"]


def test_constants_in_every_form() -> None:
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.float32([5, 6]), "v"), numpy_helper.from_array(np.int64([1, 3]), "i"), [4]
    )
    forms: list[tuple[dict[str, Any], np.ndarray]] = [
        ({"value": numpy_helper.from_array(np.float32([[1, 2]]))}, np.float32([[1, 2]])),
        ({"value_float": 1.5}, np.float32(1.5)),
        ({"value_floats": [1.5, 2]}, np.float32([1.5, 2])),
        ({"value_int": 3}, np.int64(3)),
        ({"value_ints": [3, 4]}, np.int64([3, 4])),
        ({"sparse_value": sparse}, np.float32([0, 5, 0, 6])),
    ]
    for attributes, wanted in forms:
        out = info("y", None, helper.np_dtype_to_tensor_dtype(wanted.dtype))
        (got,) = run(model([node("Constant", "", **attributes)], {}, [out]))
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
    assert "strings" in refusal(model([node("Constant", "", value_string="a")], {}))


def test_sparse_initialisers() -> None:
    held = helper.make_sparse_tensor(
        numpy_helper.from_array(np.float32([5, 6]), "w"),
        numpy_helper.from_array(np.int64([[0, 1], [1, 0]]), "i"),
        [2, 2],
    )
    (y,) = run(model([node("Add", "xw")], {"x": (2, 2)}, sparse=[held]), np.zeros((2, 2), np.float32))
    np.testing.assert_array_equal(y, [[0, 5], [6, 0]])


def test_external_data_lies_beside_the_model(tmp_path: Any) -> None:
    w = values(64, 64)
    proto = model([node("MatMul", "xw")], {"x": (2, 64)}, constants={"w": w})
    path = tmp_path / "m.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    x = values(2, 64)
    close(interpret(read_onnx(path), [x])[0], x @ w)
    assert "path of the model instead" in refusal(path.read_bytes())
    outside = onnx.load(path, load_external_data=False)
    for entry in outside.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../w.bin"
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "m.onnx").write_bytes(outside.SerializeToString())
    with pytest.raises(ValueError, match="must lie in the folder of the model"):
        read_onnx(tmp_path / "inner" / "m.onnx")
    (tmp_path / "w.bin").write_bytes(b"12")
    with pytest.raises(ValueError, match=r"initialiser 'w': external data from byte 0 to 16384"):
        read_onnx(path)


def test_nodes_may_come_in_any_order() -> None:
    nodes = [node("Neg", "a"), node("Relu", "x", "a")]
    np.testing.assert_array_equal(run(model(nodes, {"x": (2,)}), np.float32([-1, 2]))[0], [0, -2])


@pytest.mark.parametrize(("code", "tolerance"), [(TensorProto.FLOAT16, 1e-3), (TensorProto.BFLOAT16, 1e-2)])
def test_16_bit_floats_are_widened(code: int, tolerance: float) -> None:
    w = values(3, 4)
    held = helper.make_tensor("w", code, w.shape, w.reshape(-1).tolist())
    graph = helper.make_graph(
        [node("MatMul", "xw", "z"), node("Relu", "z")], "g", [info("x", (2, 3), code)],
        [info("y", None, code), info("z", None, code)], [held],
    )  # fmt: skip
    read = read_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
    dtype = np.float16 if code == TensorProto.FLOAT16 else np.float32
    x = values(2, 3).astype(dtype)
    y, z = interpret(read, [x])
    assert y.dtype == z.dtype == dtype
    np.testing.assert_allclose(z, x.astype(np.float32) @ w, rtol=tolerance, atol=tolerance)
    assert all(array.dtype == np.float32 for array in read.constants.values())


# ---- functions and sub-graphs


def test_functions_are_taken_apart() -> None:
    inner = helper.make_function(
        "own", "scale", ["a"], ["c"],
        [helper.make_node("LeakyRelu", ["a"], ["b"]), helper.make_node("Neg", ["b"], ["c"])],
        [helper.make_opsetid("", 20)], ["slope"],
    )  # fmt: skip
    inner.node[0].attribute.append(onnx.AttributeProto(name="alpha", type=1, ref_attr_name="slope"))
    outer = helper.make_function(
        "own", "twice", ["a"], ["c"],
        [helper.make_node("scale", ["a"], ["b"], domain="own", slope=0.5),
         helper.make_node("scale", ["b"], ["c"], domain="own")],
        [helper.make_opsetid("own", 1)],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    calls = [
        helper.make_node("twice", ["x"], ["z"], domain="own"),
        helper.make_node("twice", ["z"], ["y"], domain="own"),
    ]
    proto = model(calls, {"x": (3,)}, imports=imports, functions=[inner, outer])

    def twice(x: np.ndarray) -> np.ndarray:
        x = -np.where(x < 0, 0.5 * x, x)
        return -np.where(x < 0, 0.01 * x, x)

    x = np.float32([-4, 0, 3])
    close(run(proto, x)[0], twice(twice(x)))


def test_a_function_that_calls_itself_is_refused() -> None:
    again = helper.make_function(
        "own", "again", ["a"], ["b"], [helper.make_node("again", ["a"], ["b"], domain="own")],
        [helper.make_opsetid("own", 1)],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    call = helper.make_node("again", ["x"], ["y"], domain="own")
    assert "deep within each other" in refusal(model([call], {"x": (3,)}, imports=imports, functions=[again]))


def test_functions_that_unfold_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty functions, each of which calls the next one ten times."""
    functions = []
    for level in range(20):
        calls = [
            helper.make_node(f"f{level + 1}" if level < 19 else "Neg", [f"v{i}"], [f"v{i + 1}"],
                             domain="own" if level < 19 else "") for i in range(10)
        ]  # fmt: skip
        functions.append(
            helper.make_function("own", f"f{level}", ["v0"], ["v10"], calls,
                                 [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)])
        )  # fmt: skip
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    call = helper.make_node("f0", ["x"], ["y"], domain="own")
    monkeypatch.setattr("convlite.network.load.onnx.reading.MOST_UNFOLDED", 2000)
    assert "unfold into more than" in refusal(
        model([call], {"x": (3,)}, imports=imports, functions=functions)
    )


def test_if_closes_over_what_its_branches_read() -> None:
    then = branch([node("Conv", "xw", ["t"])], "t")
    other = branch([node("Add", "xk", ["o"])], "o", {"k": np.float32([3])})
    nodes = [node("Relu", "x0", ["x"]), node("If", "c", then_branch=then, else_branch=other)]
    nodes[0] = node("Relu", ["x0"], ["x"])
    w = values(2, 2, 1, 1)
    proto = model(nodes, [info("x0", (1, 2, 3, 3)), info("c", (), TensorProto.BOOL)], constants={"w": w})
    x = np.abs(values(1, 2, 3, 3))
    close(run(proto, x, np.array(True))[0], convolved(x, w, (1, 1), ((0, 0), (0, 0))))
    close(run(proto, x, np.array(False))[0], x + 3)


def test_a_condition_that_is_known_leaves_one_branch() -> None:
    bad = branch([node("Det", "x", ["t"])], "t")
    good = branch([node("Relu", "x", ["o"])], "o")
    nodes = [
        node("Shape", "x", ["s"]), node("Size", "s", ["n"]), node("Equal", ["n", "two"], ["c"]),
        node("If", "c", then_branch=good, else_branch=bad),
    ]  # fmt: skip
    graph = read_onnx(model(nodes, {"x": ("N", "M")}, constants={"two": np.int64(2)}))
    assert kinds(graph)[-1] in ("relu", "identity")
    assert "relu" in kinds(graph)
    assert "if_" not in kinds(graph)


def test_loop_carries_and_collects() -> None:
    body = helper.make_graph(
        [node("Add", "ax", ["b"]), node("Identity", "k", ["go"]), node("Mul", "bb", ["q"])], "body",
        [info("i", (), 7), info("k", (), 9), info("a", (2,))],
        [info("go", (), 9), info("b", (2,)), info("q", (2,))],
    )  # fmt: skip
    proto = model(
        [node("Loop", ["n", "", "start"], ["last", "all"], body=body)],
        [info("x", (2,)), info("n", (), TensorProto.INT64)], ["last", "all"],
        constants={"start": np.float32([0, 1])},
    )  # fmt: skip
    x = np.float32([1, 2])
    last, every = run(proto, x, np.array(3, np.int64))
    np.testing.assert_array_equal(last, [3, 7])
    np.testing.assert_array_equal(every, [[1, 9], [4, 25], [9, 49]])


# ---- fused operators of ONNX Runtime


def test_microsofts_fused_operators() -> None:
    x, w, b, z = values(1, 2, 4, 4), values(3, 2, 3, 3), values(3), values(1, 3, 2, 2)
    entry = helper.make_node(
        "FusedConv", ["x", "w", "b", "z"], ["y"], domain="com.microsoft", activation="Relu"
    )
    (y,) = run(model([entry], {"x": x.shape, "z": z.shape}, constants={"w": w, "b": b}), x, z)
    close(y, np.maximum(convolved(x, w, (1, 1), ((0, 0), (0, 0))) + b[:, None, None] + z, 0))
    a, k = values(2, 3, 4), values(2, 5, 4)
    entry = helper.make_node("FusedMatMul", ["a", "k"], ["y"], domain="com.microsoft", transB=1, alpha=0.5)
    close(run(model([entry], {"a": a.shape, "k": k.shape}), a, k)[0], 0.5 * a @ k.swapaxes(1, 2))
