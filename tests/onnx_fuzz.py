"""ONNX models with faults: bytes changed at random, and fields set to what no exporter writes.

    PYTHONPATH=src python tests/onnx_fuzz.py RUNS SEED [FILE.onnx...]

Reading one may raise nothing but ValueError. What does something else is written to onnx-finding-SEED.onnx.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convlite.network.load.onnx import OPERATORS, read_onnx

WILD = [0, -1, 1, 2, 3, 7, 2**31, 2**40, 10**12, -(2**63), 2**63 - 1]
NAMES = ["", "?", "N", "a*b", "floor(x/2)", "(", "-", "N - 1", " + ", "1", "*", "max(a, b)"]


def seeds() -> list[bytes]:
    """Sound models that reach most of the importer: shape arithmetic, branches, a loop, an LSTM, images."""
    rng = np.random.default_rng(0)

    def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Any:
        return helper.make_node(kind, inputs.split(" "), outputs.split(" "), **attributes)

    def info(name: str, shape: Any, dtype: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, dtype, shape)

    def model(nodes: list[Any], inputs: list[Any], constants: dict[str, Any], opset: int = 18) -> bytes:
        held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
        graph = helper.make_graph(nodes, "seed", inputs, [info("y", None)], held)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        return bytes(proto.SerializeToString())

    def floats(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32)

    then = helper.make_graph([node("Relu", "x", "t")], "then", [], [info("t", None)])
    other = helper.make_graph([node("Neg", "x", "o")], "else", [], [info("o", None)])
    classifier = model(
        [
            node("If", "c", "i", then_branch=then, else_branch=other),
            node("Conv", "i w", "a", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("MaxPool", "a", "p", kernel_shape=[3, 3], ceil_mode=1),
            node("Shape", "p", "s"), node("Gather", "s zero", "n"), node("Concat", "n rest", "t", axis=0),
            node("Reshape", "p t", "r"), node("Gemm", "r k b", "g"), node("Softmax", "g", "y"),
        ],
        [info("x", ("N", 2, 8, 8)), info("c", (), TensorProto.BOOL)],
        {
            "w": floats(4, 2, 3, 3), "zero": np.int64([0]), "rest": np.int64([-1]), "k": floats(16, 5),
            "b": floats(5),
        },
    )  # fmt: skip
    decoder = model(
        [
            node("ConvTranspose", "x w", "a", strides=[2, 2], output_shape=[16, 16]),
            node("Resize", "a  scales", "r", mode="linear"), node("Slice", "r starts ends axes", "s"),
            node("Pad", "s pads", "d", mode="reflect"), node("Split", "d", "e f", axis=1, num_outputs=2),
            node("Expand", "e big", "g"), node("Tile", "f twice", "h"), node("Add", "g h", "y"),
        ],
        [info("x", (1, 3, 8, 8))],
        {
            "w": floats(3, 4, 3, 3), "scales": np.float32([1, 1, 2, 2]), "starts": np.int64([1]),
            "ends": np.int64([9]), "axes": np.int64([2]), "pads": np.int64([0, 0, 1, 1, 0, 0, 1, 1]),
            "big": np.int64([1, 1, 1, 1]), "twice": np.int64([1, 1, 1, 1]),
        },
    )  # fmt: skip
    body = helper.make_graph(
        [node("Add", "v one", "v2"), node("Identity", "k", "k2")], "body",
        [info("i", (), 7), info("k", (), 9), info("v", None)], [info("k2", (), 9), info("v2", None)],
    )  # fmt: skip
    sequence = model(
        [
            node("LSTM", "x w r b", "h", hidden_size=3), node("Squeeze", "h axes", "q"),
            node("Loop", "count  q", "l", body=body), node("LayerNormalization", "l scale", "m"),
            node("ReduceMean", "m axes", "y"),
        ],
        [info("x", ("T", 1, 2))],
        {
            "w": floats(1, 12, 2), "r": floats(1, 12, 3), "b": floats(1, 24), "axes": np.int64([1]),
            "count": np.array(3), "one": floats(1), "scale": floats(3),
        },
    )  # fmt: skip
    return [classifier, decoder, sequence]


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, taken out, put in or copied."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        at, what = rng.randrange(len(changed)), rng.randrange(6)
        if what < 2:
            changed[at] = rng.randrange(256)
        elif what == 2:
            del changed[at : at + rng.randrange(1, 9)]
        elif what == 3:
            changed[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif what == 4:
            start, count = rng.randrange(len(changed)), rng.randrange(1, 40)
            changed[at : at + count] = changed[start : start + count]
        else:
            changed[at : at + 1] = b"\xff\xff\xff\xff\x0f"
        changed = changed or bytearray(1)
    return bytes(changed)


def _attribute(attribute: Any, rng: random.Random) -> None:
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(WILD)
    elif attribute.type == 2:
        attribute.i = rng.choice(WILD)
    elif attribute.type == 1:
        attribute.f = rng.choice([0.0, -1.0, float("nan"), float("inf"), 1e30])
    elif attribute.type == 3:
        attribute.s = rng.choice([b"", b"SAME_UPPER", b"linear", b"\xff"])
    else:
        attribute.type = rng.randrange(15)


def _input(value: Any, rng: random.Random) -> None:
    tensor = value.type.tensor_type
    dims, what = tensor.shape.dim, rng.randrange(5)
    if what == 0 and dims:
        dims[rng.randrange(len(dims))].dim_value = rng.choice(WILD)
    elif what == 1 and dims:
        dims[rng.randrange(len(dims))].dim_param = rng.choice(NAMES)
    elif what == 2 and dims:
        del dims[rng.randrange(len(dims))]
    elif what == 3:
        tensor.ClearField("shape")
    else:
        tensor.elem_type = rng.randrange(30)


def _constant(tensor: Any, rng: random.Random) -> None:
    if tensor.data_type == TensorProto.INT64 and rng.random() < 0.6:
        try:
            array = numpy_helper.to_array(tensor).reshape(-1).copy()
        except (ValueError, TypeError):  # an earlier change made its shape lie
            return
        if array.size:
            array[rng.randrange(array.size)] = rng.choice(WILD)
            tensor.raw_data = array.tobytes()
    elif tensor.dims and rng.random() < 0.5:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(WILD)
    else:
        tensor.data_type = rng.randrange(30)


def mutated_fields(data: bytes, rng: random.Random) -> bytes:
    """One to three fields of a sound model set to something wild."""
    proto = ModelProto.FromString(data)
    graph = proto.graph
    operators = [name for domain, name in OPERATORS if not domain]
    for _ in range(rng.choice([1, 1, 2, 3])):
        node, what = rng.choice(graph.node), rng.randrange(8)
        if what == 0 and node.attribute:
            _attribute(rng.choice(node.attribute), rng)
        elif what == 1 and node.input:
            others = [name for other in graph.node for name in [*other.input, *other.output]]
            node.input[rng.randrange(len(node.input))] = rng.choice(["", "nowhere", rng.choice(others)])
        elif what == 2 and node.input:
            del node.input[rng.randrange(len(node.input)) :]
        elif what == 3:
            _input(rng.choice(graph.input), rng)
        elif what == 4:
            node.op_type = rng.choice(operators)
        elif what == 5:
            proto.opset_import[0].version = rng.randrange(6, 29)
        elif what == 6 and node.attribute:
            del node.attribute[rng.randrange(len(node.attribute))]
        elif graph.initializer:
            _constant(rng.choice(graph.initializer), rng)
    return bytes(proto.SerializeToString())


def run(runs: int, seed: int, known: list[bytes] | None = None) -> tuple[int, int]:
    """How many of so many mutated models are read, and how many refused."""
    rng, read = random.Random(seed), 0
    known = known or seeds()
    for data in known:
        read_onnx(data)
    for _ in range(runs):
        change = mutated_bytes if rng.random() < 0.5 else mutated_fields
        changed = change(rng.choice(known), rng)
        try:
            read_onnx(changed)
            read += 1
        except ValueError:
            pass
        except BaseException:
            Path(f"onnx-finding-{seed}.onnx").write_bytes(changed)
            raise
    return read, runs - read


if __name__ == "__main__":
    print(run(int(sys.argv[1]), int(sys.argv[2]), [Path(name).read_bytes() for name in sys.argv[3:]]))
