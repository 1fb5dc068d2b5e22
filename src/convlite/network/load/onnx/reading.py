"""An ONNX file as a graph: inputs, constants and outputs; `translation` reads the nodes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from convlite.network.facts import Fact
from convlite.network.graph import Array, Dim, Graph, Value
from convlite.network.infer import Memo

from .aside import set_aside
from .building import Builder
from .operation import NEWEST, OLDEST
from .tensors import FLOAT16, Refused, Store, file_dtype
from .translation import Refusals, Scope, add_constants, declared, names_of, translate

__all__ = ["read_onnx"]

_LONG = 40  # characters of a formula for a size

MOST_UNFOLDED = 50_000  # nodes beside three times the file's own: only malicious files have more


def read_onnx(source: Any, memo: Memo | None = None) -> Graph:
    """An ONNX model as a graph with the file's own names, layout and order of inputs and outputs.

    source: the path of a file (external data is looked for beside it), its bytes, or an `onnx.ModelProto`.
    memo: takes what is found about the nodes' shapes.

    Weights of 16-bit floats are widened and everything is computed in float32; inputs and outputs of float16
    keep that dtype, those of bfloat16 become float32. Initialisers that are listed as inputs are constants.

    Returns a Graph in the vocabulary of `convlite.network.kinds`. Needs the package `onnx`.

    Raises ValueError naming every node that is not supported or malformed, and ImportError without `onnx`.
    """
    # Operators register themselves when they are imported.
    from . import operators  # noqa: F401

    model, store, title = _model(source)
    try:
        return _graph(model, store, title, memo)
    except Refused as problem:
        raise ValueError(f"{title} cannot be read: {problem}") from None


def _model(source: Any) -> tuple[Any, Store, str]:
    try:
        import onnx
    except ImportError:
        raise ImportError(
            "ONNX files are read with the package onnx, which is not installed: pip install onnx"
        ) from None
    from google.protobuf.message import DecodeError

    if isinstance(source, onnx.ModelProto):
        return source, Store(None), "the ONNX model"
    folder: Path | None
    if isinstance(source, (bytes, bytearray, memoryview)):
        folder, title = None, "the ONNX model"
        data, aside = _parted(bytes(source))
    elif isinstance(source, (str, os.PathLike)):
        path = Path(os.fspath(source))
        folder, title = path.parent, path.name
        data, aside = _read(path)
    else:
        raise TypeError(f"source must be a path, bytes or an onnx.ModelProto; got a {type(source).__name__}")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as problem:
        raise ValueError(f"{title} is no ONNX file: {problem}") from None
    return model, Store(folder, aside), title


def _parted(data: Any) -> tuple[bytes, dict[int, Array]]:
    """What is to be parsed, and the large weights."""
    return set_aside(data) or (data[:], {})


def _read(path: Path) -> tuple[bytes, dict[int, Array]]:
    """A file, mapped while the weights are copied out of it."""
    with path.open("rb") as file:
        try:
            with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                return _parted(data)
        except (OSError, ValueError):  # it is empty, or what cannot be mapped: a pipe
            return _parted(file.read())


def _versions(model: Any) -> dict[str, int]:
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain in ("", "ai.onnx") else str(entry.domain)
        versions[domain] = int(entry.version)
    version = versions.get("")
    if version is not None and not OLDEST <= version <= NEWEST:
        hint = "export it with a newer one" if version < OLDEST else f"export it with opset {NEWEST} or older"
        raise Refused(f"it uses version {version} of ONNX's operators; {OLDEST} to {NEWEST} are read: {hint}")
    return versions


def _graph(model: Any, store: Store, title: str, memo: Memo | None) -> Graph:
    if not model.HasField("graph") or not model.graph.output:
        raise Refused("it holds no graph with an output")
    proto = model.graph
    functions = {
        (
            "" if function.domain in ("", "ai.onnx") else str(function.domain),
            str(function.name),
            str(function.overload),
        ): function
        for function in model.functions
    }
    builder = Builder(names=names_of(proto), memo=memo)
    refusals = Refusals(MOST_UNFOLDED + 3 * len(proto.node))
    scope = Scope(builder, store, refusals, _versions(model), functions)
    add_constants(scope, proto, store.aside)
    _add_inputs(scope, proto)
    wanted = [str(output.name) for output in proto.output]
    translate(scope, proto.node, wanted)
    outputs = _outputs(scope, proto) if not refusals.reasons else []
    if refusals.reasons:
        listed = refusals.reasons[:50]
        more = [f"... and {len(refusals.reasons) - 50} more"] if len(refusals.reasons) > 50 else []
        count = len(refusals.reasons)
        raise ValueError(
            f"{title}: {count} node{'s' * (count != 1)} cannot be read\n"
            + "\n".join(f"  {line}" for line in [*listed, *more])
        )
    return builder.finished(outputs, str(proto.name) or "network")


def _add_inputs(scope: Scope, proto: Any) -> None:
    builder = scope.builder
    for info in proto.input:
        name = str(info.name)
        if not name:
            raise Refused("an input has no name")
        if name in scope.names:
            if scope.names[name] in builder.constants:
                continue  # files of version 3 list their initialisers as inputs too
            raise Refused(f"the input {name!r} stands there twice")
        code, shape = declared(info)
        try:
            dtype = file_dtype(code or 0)
        except Refused as problem:
            raise Refused(f"the input {name!r}: {problem}") from None
        own = scope.own_name(name)
        known = None if shape is None else _free_sizes(name, shape)
        builder.add_input(own, dtype, known, Fact(dtype, known))
        if code == FLOAT16:
            inner = builder.unique(f"{name}:float32")
            builder.add("cast", [own], {"dtype": np.dtype(np.float32)}, [inner], "")
            own = inner
        scope.names[name] = own


def _free_sizes(name: str, shape: Sequence[int | str | None]) -> tuple[Dim, ...]:
    """Free sizes without a name get one that no other size has."""
    return tuple(f"{name}[{axis}]" if size is None else size for axis, size in enumerate(shape))


def _outputs(scope: Scope, proto: Any) -> list[Value]:
    """The graph's outputs under the names that the file has for them, in its dtype."""
    builder = scope.builder
    outputs: list[Value] = []
    seen: set[str] = set()
    for info in proto.output:
        name = str(info.name)
        if not name:
            raise Refused("an output has no name")
        if name in seen:
            raise Refused(f"the output {name!r} stands there twice")
        seen.add(name)
        held = scope.find(name)
        if held is None:
            raise Refused(f"nothing writes the output {name!r}")
        code, shape = declared(info)
        fact = builder.fact(held)
        dtype = file_dtype(code) if code else fact.dtype
        if dtype is None:
            raise Refused(f"the type of the output {name!r} is not known; the file must state it")
        if any(value.name == name for value in builder.inputs):
            pass  # an output that is an input
        elif dtype == np.float16:
            if held == name:
                inner = builder.unique(f"{name}:float32")
                builder.rename(0, {name: inner})
                scope.names = {key: inner if value == name else value for key, value in scope.names.items()}
                held = inner
            builder.add("cast", [held], {"dtype": dtype}, [name], "")
        elif held != name:
            builder.add("identity", [held], {}, [name], "")
        outputs.append(Value(name, dtype, _output_shape(name, fact, shape)))
    return outputs


def _output_shape(name: str, fact: Fact, stated: Sequence[int | str | None] | None) -> tuple[Dim, ...] | None:
    """What was inferred, unless it is a long formula, before what the file states: that may be stale."""
    if fact.shape is None:
        return None if stated is None else _free_sizes(name, stated)
    sizes: list[int | str | None] = []
    for axis, size in enumerate(fact.shape):
        told = stated[axis] if stated is not None and len(stated) == len(fact.shape) else None
        unwieldy = isinstance(size, str) and len(size) > _LONG and isinstance(told, str)
        sizes.append(told if size is None or unwieldy else size)
    return _free_sizes(name, sizes)
