"""A network in one file of its own: the graph as JSON, the weights as arrays; nothing is executable.

Members of the .npz (or .safetensors) file:

    graph        the JSON text's bytes, uint8
    0, 1, ...    the arrays that the JSON names by number

The JSON is {"format": "convlite network", "version": 1, "graph": {...}}. A graph is {"name", "inputs",
"outputs", "nodes", "constants"}; an input or output is [name, dtype, shape], a node [kind, inputs, outputs,
attributes, label]; constants are {name: [number of the array, dtype]}: an array stored as float16 is widened
to that dtype. Attribute values are JSON's own, lists standing for tuples, or {"array": number},
{"dtype": name}, {"float": "inf"}, {"graph": {...}}. Files of version 1 stay readable: a kind that changes its
meaning gets another name.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._weight_files import read_weights, write_weights
from .facts import same_size
from .graph import Array, Graph, Node, Value, described_shape
from .infer import facts_of
from .kinds import KINDS
from .kinds.elementwise import BINARY, COMPARISONS

__all__ = ["ENDINGS", "read_network", "write_network"]

ENDINGS = (".npz", ".safetensors")

FORMAT, VERSION = "convlite network", 1
_PAIRS = frozenset((*BINARY, *COMPARISONS, "pow", "prelu", "matmul"))  # kinds of two inputs
_DEEPEST = 20  # graphs within graphs
_DEEPEST_LOOPS = 4  # loops within loops: what is known of their shapes takes several rounds, each level again
_MOST_NODES = 1_000_000
_MOST_TEXT = 1 << 28  # bytes of JSON
_LONGEST_SIZE = 1000  # characters of a free size's name
_MOST_AXES = 64  # NumPy's
_DTYPES = frozenset(
    f"{kind}{bits}"
    for kind, sizes in {"int": (8, 16, 32, 64), "uint": (8, 16, 32, 64), "float": (16, 32, 64)}.items()
    for bits in sizes
) | {"bool", "complex64", "complex128"}
# float16: constants that only these read are weights; others (scales of a resize, thresholds) stay.
_WEIGHTED = frozenset(
    (
        "conv",
        "conv_transpose",
        "dense",
        "matmul",
        "einsum",
        "lstm",
        "gru",
        "rnn",
        "gather",
        "prelu",
        "add",
        "mul",
    )
)


def write_network(path: str | os.PathLike[str], graph: Graph, *, float16: bool = False) -> None:
    """Write a graph to a file that ends in .npz or .safetensors, at once or not at all.

    float16: store float32 and float64 weights in half precision, widened again when read; ValueError where a
    weight is too large for that.
    """
    arrays: dict[str, Array] = {}
    document = {"format": FORMAT, "version": VERSION, "graph": _Writer(arrays, float16).graph(graph)}
    text = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    write_weights(path, {"graph": np.frombuffer(text, np.uint8), **arrays})


def read_network(path: str | os.PathLike[str]) -> Graph:
    """The graph of a file. ValueError where it is malformed, OSError where it cannot be opened."""
    arrays = read_weights(path)
    name = os.fspath(path)
    try:
        text = arrays.pop("graph")
    except KeyError:
        raise ValueError(
            f"{name!r} holds arrays, but no network: see load_weights for weights files"
        ) from None
    try:
        if text.dtype != np.uint8 or text.ndim != 1 or text.size > _MOST_TEXT:
            raise ValueError(f"its graph is {text.dtype}{text.shape}")
        document = json.loads(text.tobytes(), object_pairs_hook=_once, parse_constant=_no_constant)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError("it does not say that it is a network")
        if document.get("version") != VERSION:
            raise ValueError(
                f"its version is {document.get('version')}; this convlite reads version {VERSION}"
            )
        graph = _Reader(arrays).graph(document.get("graph"))
        _check(graph)
        return graph
    except RecursionError:
        raise ValueError(f"{name!r} is not a readable network: it is nested too deeply") from None
    except KeyError as error:
        raise ValueError(f"{name!r} is not a readable network: it lacks {error}") from error
    except (ValueError, TypeError, IndexError, AttributeError, ArithmeticError, MemoryError) as error:
        raise ValueError(f"{name!r} is not a readable network: {error}") from error


def _check(graph: Graph) -> None:
    """ValueError where the nodes do not fit together, or the outputs are not what is declared."""
    facts = facts_of(graph)
    for value in graph.outputs:
        fact = facts[value.name]
        if fact.dtype is not None and fact.dtype != value.dtype:
            raise ValueError(f"the output {value} is {fact.dtype}")
        if value.shape is None or fact.shape is None:
            continue
        if len(fact.shape) != len(value.shape) or any(
            same_size(found, said) is False for found, said in zip(fact.shape, value.shape, strict=True)
        ):
            raise ValueError(f"the output {value} has the shape {described_shape(fact.shape)}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")


class _Writer:
    """Graphs to JSON values, arrays into a dictionary under numbers, each once however often it occurs."""

    def __init__(self, arrays: dict[str, Array], half: bool) -> None:
        self.arrays, self.half = arrays, half
        self.numbers: dict[tuple[int, bool], tuple[int, Array]] = {}

    def graph(self, graph: Graph) -> dict[str, Any]:
        kept = {name for node in graph.nodes if node.kind not in _WEIGHTED for name in node.inputs}
        kept.update(value.name for value in graph.outputs)
        return {
            "name": graph.name,
            "inputs": [self.value(value) for value in graph.inputs],
            "outputs": [self.value(value) for value in graph.outputs],
            "nodes": [self.node(node) for node in graph.nodes],
            "constants": {
                name: [self.array(array, name, name in kept), array.dtype.name]
                for name, array in graph.constants.items()
            },
        }

    def value(self, value: Value) -> list[Any]:
        shape = (
            None if value.shape is None else [int(s) if not isinstance(s, str) else s for s in value.shape]
        )
        return [value.name, value.dtype.name, shape]

    def node(self, node: Node) -> list[Any]:
        attributes = {name: self.attribute(value) for name, value in node.attributes.items()}
        return [node.kind, list(node.inputs), list(node.outputs), attributes, node.label]

    def attribute(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | str | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, tuple | list):
            return [self.attribute(item) for item in value]
        if isinstance(value, np.ndarray):
            return {"array": self.array(value, "", whole=True)}
        if isinstance(value, np.dtype):
            return {"dtype": value.name}
        if isinstance(value, Graph):
            return {"graph": self.graph(value)}
        if isinstance(value, np.generic):
            return self.attribute(value.item())
        raise TypeError(f"an attribute {value!r} cannot be written")

    def array(self, array: Array, name: str, whole: bool = False) -> int:
        key = (id(array), whole)
        known = self.numbers.get(key)
        if known is not None:
            return known[0]
        number = len(self.arrays)
        stored = np.ascontiguousarray(array, array.dtype.newbyteorder("=")) if array.ndim else array
        if self.half and not whole and array.dtype in (np.float32, np.float64) and array.size > 1:
            with np.errstate(over="ignore"):
                stored = stored.astype(np.float16)
            if not np.array_equal(np.isfinite(stored), np.isfinite(array)):
                raise ValueError(
                    f"the weight {name!r} has numbers too large for float16; save it without float16"
                )
        self.arrays[str(number)] = stored
        self.numbers[key] = (number, array)
        return number


class _Reader:
    """JSON values to graphs; everything is checked, since a file may say anything."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = arrays

    def graph(self, held: Any, depth: int = 0, loops: int = 0) -> Graph:
        if depth > _DEEPEST or loops > _DEEPEST_LOOPS:
            raise ValueError("graphs are nested too deeply")
        _want(held, dict, "a graph")
        nodes, constants = _want(held["nodes"], list, "nodes"), _want(held["constants"], dict, "constants")
        if len(nodes) > _MOST_NODES:
            raise ValueError(f"{len(nodes)} nodes")
        return Graph.of(
            [self.value(value) for value in _want(held["inputs"], list, "inputs")],
            [self.value(value) for value in _want(held["outputs"], list, "outputs")],
            [self.node(node, depth, loops) for node in nodes],
            {name: self.constant(name, entry) for name, entry in constants.items()},
            name=_want(held["name"], str, "name"),
        )

    def value(self, held: Any) -> Value:
        name, dtype, shape = _want(held, list, "an input or output")
        sizes: tuple[int | str, ...] | None = None
        if shape is not None:
            if len(_want(shape, list, "a shape")) > _MOST_AXES:
                raise ValueError(f"{name!r} has {len(shape)} axes")
            for size in shape:
                if not isinstance(size, str) and (type(size) is not int or not 0 <= size < 2**63):
                    raise ValueError(f"{name!r} has a size {size!r}")
                if isinstance(size, str) and not 0 < len(size) <= _LONGEST_SIZE:
                    raise ValueError(f"{name!r} has a free size whose name has {len(size)} characters")
            sizes = tuple(shape)
        return Value(_want(name, str, "a name"), _dtype(dtype), sizes)

    def node(self, held: Any, depth: int, loops: int) -> Node:
        kind, inputs, outputs, attributes, label = _want(held, list, "a node")
        if _want(kind, str, "a kind") not in KINDS:
            raise ValueError(f"a node of the kind {kind!r}, which this version does not know")
        names = [*_want(inputs, list, "inputs"), *_want(outputs, list, "outputs")]
        if not all(isinstance(name, str) for name in names):
            raise ValueError(f"names of the node {label!r} are no strings")
        loops += kind in ("loop", "scan")
        if kind in _PAIRS and len(inputs) != 2:
            raise ValueError(f"the node {label or outputs!r} ({kind}) has {len(inputs)} inputs, not 2")
        values = {
            name: self.attribute(value, depth, loops)
            for name, value in _want(attributes, dict, "attributes").items()
        }
        return Node(kind, tuple(inputs), tuple(outputs), values, _want(label, str, "a label"))

    def attribute(self, held: Any, depth: int, loops: int) -> Any:
        if held is None or isinstance(held, bool | str | int | float):
            return held
        if isinstance(held, list):
            return tuple(self.attribute(item, depth, loops) for item in held)
        ((tag, value),) = _want(held, dict, "an attribute").items()
        if tag == "array":
            return self.array(value)
        if tag == "dtype":
            return _dtype(value)
        if tag == "float":
            return float(_want(value, str, "a number"))
        if tag == "graph":
            return self.graph(value, depth + 1, loops)
        raise ValueError(f"an attribute of the kind {tag!r}")

    def array(self, number: Any) -> Array:
        if type(number) is not int or str(number) not in self.arrays:
            raise ValueError(f"the array {number!r} is missing")
        return self.arrays[str(number)]

    def constant(self, name: str, entry: Any) -> Array:
        number, dtype = _want(entry, list, "a constant")
        array, wanted = self.array(number), _dtype(dtype)
        if array.dtype != wanted:
            if array.dtype != np.float16 or wanted.kind != "f":
                raise ValueError(f"the constant {name!r} is stored as {array.dtype}, and {wanted} is wanted")
            array = array.astype(wanted)
        return array


def _want(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{what} must be a {kind.__name__}; found {type(value).__name__}")
    return value


def _dtype(name: Any) -> np.dtype[Any]:
    if _want(name, str, "a dtype") not in _DTYPES:
        raise ValueError(f"a dtype {name!r}")
    result: np.dtype[Any] = np.dtype(name)
    return result
