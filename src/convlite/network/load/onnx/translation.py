"""The nodes of an ONNX graph, in order, each by the function of its operator; refusals are collected."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from convlite.network.facts import Fact
from convlite.network.graph import Array

from .building import UNKNOWN, Builder
from .operation import NEWEST, OPERATORS, Operation
from .signatures import Signature, signature_of
from .tensors import Refused, Store, computed_dtype

__all__ = ["Refusals", "Scope", "add_constants", "declared", "formal", "names_of", "translate"]

_DEFAULT = ("", "ai.onnx")
_MAX_DEPTH = 40  # of functions and sub-graphs within each other
_FREE = {"", "?", "None", "none", "-1", "unk", "unknown"}  # names that exporters write for an unknown size


_PROBLEMS = (ValueError, TypeError, IndexError, KeyError, OverflowError, ZeroDivisionError, MemoryError)


class Refusals:
    """The nodes that could not be read, for one message; how much has been read, to limit malicious files."""

    def __init__(self, limit: int) -> None:
        self.reasons: list[str] = []
        self.limit = limit
        self.read = 0

    def count(self) -> None:
        self.read += 1
        if self.read > self.limit:
            raise Refused(f"the functions of the file unfold into more than {self.limit} nodes")


class Scope:
    """Which value a name of the file stands for, within one graph or one call of a function.

    builder: the graph that is made. parent: where a sub-graph looks names up that are not found here.
    attributes: what the function was called with. versions: domain -> version of the operator set.
    direct: the scope of a graph, whose names are kept (the builder knows them); a function's get its prefix.
    """

    def __init__(
        self,
        builder: Builder,
        store: Store,
        refusals: Refusals,
        versions: Mapping[str, int],
        functions: Mapping[tuple[str, str, str], Any],
        parent: Scope | None = None,
        prefix: str = "",
        attributes: Mapping[str, Any] | None = None,
        direct: bool = True,
    ) -> None:
        self.builder = builder
        self.direct = direct
        self.store = store
        self.refusals = refusals
        self.versions = versions
        self.functions = functions
        self.parent = parent
        self.prefix = prefix
        self.attributes = attributes or {}
        self.names: dict[str, str] = {}
        self.poisoned: set[str] = set()  # names that refused nodes write, and all that depends on them
        self.depth: int = parent.depth + 1 if parent else 0
        if self.depth > _MAX_DEPTH:
            raise Refused(f"functions and sub-graphs lie more than {_MAX_DEPTH} deep within each other")

    def inner(self, builder: Builder) -> Scope:
        """The scope of a sub-graph, which sees the names of this one."""
        return Scope(
            builder,
            self.store,
            self.refusals,
            self.versions,
            self.functions,
            self,
            self.prefix,
            self.attributes,
        )

    def find(self, name: str) -> str | None:
        """The value that a name of the file stands for; captured where it belongs to a graph outside."""
        if name in self.names:
            return self.names[name]
        if self.parent is None:
            return None
        found = self.parent.find(name)
        if found is None or self.parent.builder is self.builder:
            return found
        return self.builder.capture(found)

    def is_poisoned(self, name: str) -> bool:
        if name in self.names:
            return name in self.poisoned
        return self.parent is not None and self.parent.is_poisoned(name)

    def bind(self, name: str, value: str) -> None:
        if name in self.names:
            raise Refused(f"the value {name!r} is written twice")
        self.names[name] = value

    def own_name(self, name: str) -> str:
        """The name in the graph that is made for a name that this scope writes: a graph's own names stay."""
        return name if self.direct else self.builder.unique(f"{self.prefix}{name}")


# ---- declared types ----


def declared(info: Any) -> tuple[int | None, tuple[int | str | None, ...] | None]:
    """(element type, shape) that a ValueInfoProto states; None where it says nothing."""
    kind = info.type.WhichOneof("value") if info.HasField("type") else None
    if kind is None:
        return None, None
    if kind != "tensor_type":
        word = {"sequence_type": "a sequence", "map_type": "a map", "optional_type": "an optional value"}.get(
            kind, "a sparse tensor"
        )
        raise Refused(
            f"{info.name!r} is {word}; only tensors are supported: export the model with tensors instead"
        )
    tensor = info.type.tensor_type
    code = int(tensor.elem_type) or None
    if not tensor.HasField("shape"):
        return code, None
    if len(tensor.shape.dim) > 64:
        raise Refused(f"{info.name!r} has {len(tensor.shape.dim)} axes; NumPy has 64")
    sizes: list[int | str | None] = []
    for dim in tensor.shape.dim:
        if dim.HasField("dim_value") and dim.dim_value > 0:
            sizes.append(int(dim.dim_value))
        elif dim.dim_param not in _FREE:
            sizes.append(str(dim.dim_param))
        else:
            sizes.append(None)
    return code, tuple(sizes)


# ---- order ----


def _reads(node: Any, depth: int = 0) -> set[str]:
    """Names that a node reads: its inputs, and what its sub-graphs capture."""
    names = {str(name) for name in node.input if name}
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs:
            if depth > _MAX_DEPTH:
                raise Refused(f"sub-graphs lie more than {_MAX_DEPTH} deep within each other")
            read = {str(info.name) for info in graph.output}
            read.update(*(_reads(inner, depth + 1) for inner in graph.node))
            names |= read - names_of(graph, outputs=False)
    return names


def _ordered(nodes: Sequence[Any], wanted: Iterable[str]) -> list[tuple[Any, set[str]]]:
    """The nodes that `wanted` needs, each after those it reads from, with the names that it reads.

    They stand in the file's order if that will do.
    """
    writers: dict[str, int] = {}
    for number, node in enumerate(nodes):
        for name in node.output:
            if name and name in writers:
                raise Refused(f"the value {name!r} is written twice, the second time by {_titled(node)}")
            writers[name] = number
    reads: dict[int, set[int]] = {}
    read: dict[int, set[str]] = {}
    waiting = [writers[name] for name in wanted if name in writers]
    while waiting:
        number = waiting.pop()
        if number not in reads:
            names = read[number] = _reads(nodes[number])
            before = reads[number] = {writers[name] for name in names if name in writers}
            if number in before:  # perhaps only in a graph inside, which then captures another value
                before.remove(number)
                if any(name in nodes[number].output for name in nodes[number].input if name):
                    raise Refused(f"{_titled(nodes[number])} reads what it writes")
            waiting.extend(reads[number])
    left = {number: len(before) for number, before in reads.items()}
    readers: dict[int, list[int]] = {}
    for number, before in reads.items():
        for other in before:
            readers.setdefault(other, []).append(number)
    ready = [number for number, count in left.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        number = heapq.heappop(ready)
        order.append((nodes[number], read[number]))
        for other in readers.get(number, ()):
            left[other] -= 1
            if left[other] == 0:
                heapq.heappush(ready, other)
    if len(order) < len(reads):
        stuck = next(number for number, count in left.items() if count)
        raise Refused(f"the nodes form a cycle through {_titled(nodes[stuck])}")
    return order


def _titled(node: Any) -> str:
    domain = "" if node.domain in _DEFAULT else f"{node.domain}."
    name = node.name or next((name for name in node.output if name), "")
    return f"{domain}{node.op_type} {name!r}" if name else f"{domain}{node.op_type}"


# ---- nodes ----


def translate(scope: Scope, nodes: Sequence[Any], wanted: Iterable[str]) -> None:
    """Reads the nodes that `wanted` needs into the scope's builder; refusals are collected in the scope."""
    wanted = list(wanted)
    ordered = _ordered(nodes, wanted)
    used = set(wanted).union(*(names for _, names in ordered))
    for node, names in ordered:
        scope.refusals.count()
        poisoned = False
        try:
            poisoned = any(map(scope.is_poisoned, names))
            results = _translated(scope, node, used)
            _bind_outputs(scope, node, used, results)
        except _PROBLEMS as problem:
            if scope.refusals.read > scope.refusals.limit:
                raise
            if not poisoned:
                scope.refusals.reasons.append(f"{scope.prefix}{_titled(node)}: {_told(problem)}")
            poisoned = True
            for name in node.output:
                if name and name not in scope.names:
                    scope.names[name] = scope.own_name(name)
                    scope.builder.facts[scope.names[name]] = UNKNOWN
        if poisoned:
            scope.poisoned.update(name for name in node.output if name)


def _told(problem: Exception) -> str:
    if isinstance(problem, ValueError):
        return re.sub(r"^node '.*?' \((\w+)\): ", "", str(problem))  # the caller names the node
    return f"it is malformed ({type(problem).__name__}: {problem})"


def _translated(scope: Scope, node: Any, used: set[str]) -> tuple[int, tuple[str, ...]]:
    """Adds what a node becomes; the number of the first node added, and the values of its outputs."""
    start = len(scope.builder.nodes)
    inputs = []
    for name in node.input:
        value = scope.find(name) if name else ""
        if value is None:
            raise Refused(f"nothing writes its input {name!r}")
        inputs.append(value)
    domain = "" if node.domain in _DEFAULT else str(node.domain)
    local = scope.functions.get((domain, str(node.op_type), str(node.overload)))
    if local is not None:
        return start, _called(scope, node, local, inputs, used)
    known = OPERATORS.get((domain, str(node.op_type)))
    version = scope.versions.get(domain)
    if version is None:
        if known is None or not domain:
            raise Refused(f"the file names no version of the operator set {domain or 'ai.onnx'!r}")
        version = 1
    label = f"{scope.prefix}{node.name or next((name for name in node.output if name), '')}"
    operation = Operation(scope, node, version, inputs, label, used)
    if known is None:
        return start, _by_definition(scope, node, operation, inputs, used)
    signature = None if domain else signature_of(str(node.op_type), version)
    if signature is not None:
        _checked(operation, signature)
    if not known.since <= version <= known.until:
        raise Refused(f"version {version} of the operator is not supported; {known} is")
    results = known.translate(operation)
    unread = operation.unread()
    if unread:
        raise Refused(f"the attribute {unread[0]!r} is not known for this operator in version {version}")
    return start, (results,) if isinstance(results, str) else tuple(results)


def _bind_outputs(scope: Scope, node: Any, used: set[str], translated: tuple[int, tuple[str, ...]]) -> None:
    """Gives the values that were made for a node the names that the file has for them."""
    start, results = translated
    made = {name for added in scope.builder.nodes[start:] for name in added.outputs if name}
    renamed: dict[str, str] = {}
    for place, name in enumerate(node.output):
        if name not in used:
            continue
        if place >= len(results) or not results[place]:
            raise Refused(f"its output {place}, {name!r}, is not supported")
        value = results[place]
        if value in made and value not in renamed:
            renamed[value] = scope.own_name(name)
            value = renamed[value]
        else:
            value = renamed.get(value, value)
        scope.bind(str(name), value)
    scope.builder.rename(start, renamed)


@lru_cache(1024)
def _schema(operator: str, version: int, domain: str) -> Any:
    """What the onnx package knows of an operator; None for other domains and unknown ones."""
    from onnx import defs

    try:
        return defs.get_schema(operator, version, domain)
    except Exception:  # the package raises a type of its own, which moved between versions
        return None


def _checked(operation: Operation, signature: Signature) -> None:
    """Refuses a number of inputs or outputs that the operator does not have."""
    (least, most), given = signature.inputs, len(operation.inputs)
    if not least <= given <= most:
        raise Refused(f"{given} inputs; {operation.name} has {least} to {most}")
    (least, most), outputs = signature.outputs, len(operation.proto.output)
    if not least <= outputs <= most:
        raise Refused(f"{outputs} outputs; {operation.name} has {least} to {most}")
    for place, (name, value) in enumerate(zip(signature.names, operation.inputs, strict=False)):
        if name and not value:
            raise Refused(f"its input {place} ({name}) is missing")


# ---- functions ----


def _called(
    scope: Scope,
    node: Any,
    function: Any,
    inputs: Sequence[str],
    used: set[str],
    defaults: Iterable[Any] = (),
) -> tuple[str, ...]:
    """The body of a function in place of a node that calls it."""
    label = node.name or next((name for name in node.output if name), node.op_type)
    attributes = {str(attribute.name): attribute for attribute in [*defaults, *function.attribute_proto]}
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in scope.attributes:
                attributes[str(attribute.name)] = scope.attributes[attribute.ref_attr_name]
        else:
            attributes[str(attribute.name)] = attribute
    versions = {
        ("" if entry.domain in _DEFAULT else str(entry.domain)): int(entry.version)
        for entry in function.opset_import
    }
    inner = Scope(
        scope.builder,
        scope.store,
        scope.refusals,
        {"": NEWEST, **scope.versions, **versions},
        scope.functions,
        scope,
        f"{scope.prefix}{label}/",
        attributes,
        direct=False,
    )
    inner.parent = None  # a function sees its own inputs only
    if len(inputs) > len(function.input):
        raise Refused(f"{len(inputs)} inputs; the function has {len(function.input)}")
    for place, name in enumerate(function.input):
        inner.names[str(name)] = inputs[place] if place < len(inputs) else ""
    before = len(scope.refusals.reasons)
    wanted = [
        place < len(node.output) and node.output[place] in used for place in range(len(function.output))
    ]
    asked = [str(name) for name, needed in zip(function.output, wanted, strict=True) if needed]
    translate(inner, function.node, asked)
    if len(scope.refusals.reasons) > before:
        scope.poisoned.update(name for name in node.output if name)
    results = []
    for name, needed in zip(function.output, wanted, strict=True):
        found = inner.find(str(name)) if needed else ""
        if found is None:
            raise Refused(f"its function never writes {name!r}")
        results.append(found)
    return tuple(results)


def _by_definition(
    scope: Scope, node: Any, operation: Operation, inputs: Sequence[str], used: set[str]
) -> tuple[str, ...]:
    """An operator that ONNX itself defines by others; refused where it is none of those."""
    domain = "" if node.domain in _DEFAULT else str(node.domain)
    schema = _schema(str(node.op_type), operation.version, domain)
    if schema is None:
        raise Refused(
            "the operator is not known"
            if not node.domain
            else f"the operators of {node.domain} are not supported"
        )
    rows = tuple(["" if int(entry.option.value) else str(entry.name) for entry in schema.inputs])
    least, most = (schema.min_input, schema.max_input), (schema.min_output, schema.max_output)
    _checked(operation, Signature(least, most, rows))
    function = _definition(schema, node, operation, inputs)
    if function is None:
        raise Refused(
            "the operator is not supported; write it with supported ones, or leave it out of the network"
        )
    defaults = [entry.default_value for entry in schema.attributes.values() if entry.default_value.type]
    return _called(scope, node, function, inputs, used, defaults)


def _definition(schema: Any, node: Any, operation: Operation, inputs: Sequence[str]) -> Any:
    from onnx import FunctionProto, TypeProto, helper

    if schema.has_function:
        return schema.function_body
    if not schema.has_context_dependent_function:
        return None
    types = []
    for name in inputs:
        fact = operation.fact(name) if name else UNKNOWN
        if not name or fact.dtype is None:
            types.append(TypeProto().SerializeToString())
            continue
        shape = (
            None if fact.shape is None else [size if isinstance(size, int) else None for size in fact.shape]
        )
        types.append(
            helper.make_tensor_type_proto(
                helper.np_dtype_to_tensor_dtype(fact.dtype), shape
            ).SerializeToString()
        )
    resolved = type(node)()
    resolved.CopyFrom(node)
    del resolved.attribute[:]
    for name, attribute in operation.attributes().items():
        resolved.attribute.add().CopyFrom(attribute)
        resolved.attribute[-1].name = name
    versions = schema.context_dependent_function_opset_versions
    fitting = [version for version in versions if version <= operation.version] or list(versions)
    try:
        data = schema.get_context_dependent_function_with_opset_version(
            fitting[-1], resolved.SerializeToString(), types
        )
    except Exception as problem:
        raise Refused(f"ONNX's own definition of it fails: {problem}") from None
    function = FunctionProto()
    function.ParseFromString(data)
    return function if function.node else None


# ---- graphs ----


def add_constants(scope: Scope, graph: Any, aside: Mapping[int, Array] | None = None) -> None:
    """The initialisers of a graph. aside: raw data that the graph lacks, by the initialiser's number."""
    raw = aside or {}
    for number, tensor in enumerate(graph.initializer):
        _add_constant(scope, str(tensor.name), tensor, partial(scope.store.array, raw=raw.get(number)))
    for sparse in graph.sparse_initializer:
        _add_constant(scope, str(sparse.values.name), sparse, scope.store.dense)


def _add_constant(scope: Scope, name: str, tensor: Any, read: Any) -> None:
    try:
        if not name:
            raise Refused("it has no name")
        if name in scope.names:
            raise Refused("it stands there twice")
        array = read(tensor)
    except Refused as problem:
        raise Refused(f"the initialiser {name!r}: {problem}") from None
    own = scope.own_name(name)
    scope.names[name] = own
    scope.builder.constants[own] = array


def names_of(graph: Any, *, outputs: bool = True) -> set[str]:
    """Every name that a GraphProto writes itself; its builder keeps other values off them.

    outputs: with those of its outputs, which may be values from outside.
    """
    names = {str(info.name) for info in [*graph.input, *(graph.output if outputs else ())]}
    names.update(str(tensor.name) for tensor in graph.initializer)
    names.update(str(sparse.values.name) for sparse in graph.sparse_initializer)
    names.update(str(name) for node in graph.node for name in node.output)
    return names


def formal(scope: Scope, info: Any, code: int | None, shape: Any, fact: Fact) -> None:
    """Adds an input to a sub-graph, with what is known of it."""
    name = scope.own_name(str(info.name))
    scope.bind(str(info.name), name)
    dtype = fact.dtype if fact.dtype is not None else (computed_dtype(code) if code else None)
    if dtype is None:
        raise Refused(f"the type of the input {info.name!r} of its sub-graph is not known")
    known = shape if fact.shape is None else fact.shape
    dims = None if known is None else _named(name, known)
    scope.builder.add_input(name, dtype, dims, Fact(dtype, known, fact.data))


def _named(name: str, shape: Sequence[int | str | None]) -> tuple[int | str, ...]:
    """Sizes without a name get one that no other size has."""
    return tuple(f"{name}[{axis}]" if size is None else size for axis, size in enumerate(shape))
