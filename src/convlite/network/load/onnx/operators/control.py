"""If, Loop and Scan, whose bodies become graphs of their own, closed over what they capture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convlite.network.facts import Fact
from convlite.network.graph import Graph, Value

from ..building import Builder
from ..operation import Operation, operator
from ..tensors import Refused
from ..translation import Scope, add_constants, declared, formal, names_of, translate

__all__: list[str] = []


def _opened(op: Operation, proto: Any) -> Scope:
    """A scope for a sub-graph with its constants; its nodes are read by `_read`."""
    scope = op.scope.inner(Builder(op.builder, names_of(proto)))
    add_constants(scope, proto)
    return scope


def _read(scope: Scope, proto: Any) -> list[str]:
    """Reads a sub-graph's nodes; the names of its outputs."""
    before = len(scope.refusals.reasons)
    translate(scope, proto.node, [str(info.name) for info in proto.output])
    if len(scope.refusals.reasons) > before:
        raise Inside
    names = []
    for info in proto.output:
        found = scope.find(str(info.name))
        if found is None:
            raise Refused(f"nothing writes the output {info.name!r} of its sub-graph")
        names.append(found)
    return names


class Inside(Refused):
    """Nodes within a sub-graph were refused, and each is listed already."""


def _closed(scope: Scope, proto: Any, names: Sequence[str], captured: Sequence[str]) -> Graph:
    """The graph of a scope whose captured inputs are `captured`, names of the graph outside."""
    builder = scope.builder
    assert builder.parent is not None
    inputs = []
    for outer in captured:
        inner = builder.capture(outer)
        fact = builder.fact(inner)
        if fact.dtype is None:
            raise Refused(f"the type of {outer!r}, which its sub-graph reads, is not known")
        inputs.append(Value(inner, fact.dtype, _dims(inner, fact)))
    outputs: list[Value] = []
    for place, name in enumerate(names):
        fact = builder.fact(name)
        if fact.dtype is None:
            raise Refused(f"the type of output {place} of its sub-graph is not known")
        if any(value.name == name for value in outputs):
            copy = builder.unique(name)
            builder.add("identity", [name], {}, [copy], "")
            name = copy
        outputs.append(Value(name, fact.dtype, _dims(name, fact)))
    return builder.finished(outputs, str(proto.name) or "body", inputs)


def _dims(name: str, fact: Fact) -> Any:
    if fact.shape is None:
        return None
    return tuple(f"{name}[{axis}]" if size is None else size for axis, size in enumerate(fact.shape))


@operator("If")
def _if(op: Operation) -> tuple[str, ...]:
    condition = op.required(0)
    known = op.known(condition)
    branches = [op.graph("then_branch"), op.graph("else_branch")]
    count = len(op.proto.output)
    for branch in branches:
        if len(branch.output) != count:
            raise Refused(f"a branch has {len(branch.output)} outputs, the node {count}")
        if len(branch.input):
            raise Refused("a branch has inputs; branches have none")
    if known is not None:
        if known.size != 1:
            raise Refused(f"its condition has {known.size} elements")
        return _inlined(op, branches[0] if bool(known.reshape(-1)[0]) else branches[1])
    scopes = [_opened(op, branch) for branch in branches]
    problems = len(op.scope.refusals.reasons)
    names = []
    for scope, branch in zip(scopes, branches, strict=True):
        try:
            names.append(_read(scope, branch))
        except Inside:
            names.append([])
    if len(op.scope.refusals.reasons) > problems:
        return _poisoned(op, count)
    captured = list(dict.fromkeys(name for scope in scopes for name in _needed(scope)))
    graphs = [
        _closed(scope, branch, found, captured)
        for scope, branch, found in zip(scopes, branches, names, strict=True)
    ]
    return op.emit_many("if_", (condition, *captured), count, then_branch=graphs[0], else_branch=graphs[1])


def _needed(scope: Scope) -> list[str]:
    return scope.builder.captures()


def _poisoned(op: Operation, count: int) -> tuple[str, ...]:
    """Names for the outputs of a node whose refusals are listed already."""
    op.scope.poisoned.update(str(name) for name in op.proto.output if name)
    return tuple(op.builder.unique(f"{op.name}:refused") for _ in range(count))


def _inlined(op: Operation, proto: Any) -> tuple[str, ...]:
    """The branch of a condition that is known takes the place of the node."""
    scope = Scope(
        op.builder, op.scope.store, op.scope.refusals, op.scope.versions, op.scope.functions, op.scope,
        f"{op.label}/", op.scope.attributes, direct=False,
    )  # fmt: skip
    add_constants(scope, proto)
    try:
        return tuple(_read(scope, proto))
    except Inside:
        return _poisoned(op, len(op.proto.output))


@operator("Loop")
def _loop(op: Operation) -> tuple[str, ...]:
    """loop(count?, condition?, carried..., captured...); its body: (turn, condition, carried..., ...)."""
    proto = op.graph("body")
    count, condition = op.input(0), op.input(1)
    carried = [op.required(place) for place in range(2, len(op.inputs))]
    if len(proto.input) != 2 + len(carried):
        raise Refused(f"its body has {len(proto.input)} inputs; {2 + len(carried)} are needed")
    scans = len(proto.output) - 1 - len(carried)
    if scans < 0 or len(op.proto.output) > len(carried) + scans:
        raise Refused(f"its body has {len(proto.output)} outputs for {len(carried)} carried values")
    starts = [Fact(np.dtype(np.int64), ()), Fact(np.dtype(bool), ()), *(op.fact(name) for name in carried)]
    scope = _body(op, proto, starts)
    try:
        names = _read(scope, proto)
    except Inside:
        return _poisoned(op, len(op.proto.output))
    captured = _needed(scope)
    graph = _closed(scope, proto, names, captured)
    return op.emit_many(
        "loop",
        (count, condition, *carried, *captured),
        len(carried) + scans,
        body=graph,
        carried=len(carried),
    )


def _body(op: Operation, proto: Any, starts: Sequence[Fact]) -> Scope:
    """The scope of a body with its formal inputs, whose sizes may change from one turn to the next."""
    scope = _opened(op, proto)
    for place, (info, start) in enumerate(zip(proto.input, starts, strict=True)):
        code, stated = declared(info)
        shape = start.shape
        if place >= 2 and shape is not None:
            # Only sizes that the body declares as fixed are known to be constant.
            same = stated is not None and len(stated) == len(shape)
            shape = tuple(
                size if same and stated is not None and isinstance(stated[axis], int) else None
                for axis, size in enumerate(shape)
            )
            if stated is not None and len(stated) != len(start.shape or ()):
                shape = None
        formal(scope, info, code, stated if shape is None else shape, Fact(start.dtype, shape))
    return scope


@operator("Scan", since=9)
def _scan(op: Operation) -> tuple[str, ...]:
    """scan(states..., scanned..., captured...): the body takes (states..., slices..., captured...)."""
    proto = op.graph("body")
    scanned = op.integer("num_scan_inputs")
    states = len(op.inputs) - scanned
    outputs = len(proto.output) - states
    if scanned < 1 or states < 0 or outputs < 0 or len(proto.input) != len(op.inputs):
        raise Refused(f"{len(op.inputs)} inputs, {scanned} of them scanned, do not fit its body")
    in_axes = op.integers("scan_input_axes", (0,) * scanned)
    out_axes = op.integers("scan_output_axes", (0,) * outputs)
    in_back = op.integers("scan_input_directions", (0,) * scanned)
    out_back = op.integers("scan_output_directions", (0,) * outputs)
    starts = []
    for place, name in enumerate(op.inputs):
        fact = op.fact(name)
        if place < states or fact.shape is None:
            starts.append(Fact(fact.dtype, fact.shape))
            continue
        axis = in_axes[place - states]
        if not -len(fact.shape) <= axis < len(fact.shape):
            raise Refused(f"the attribute 'scan_input_axes' names axis {axis} of {len(fact.shape)}")
        axis %= len(fact.shape)
        starts.append(Fact(fact.dtype, (*fact.shape[:axis], *fact.shape[axis + 1 :])))
    scope = _opened(op, proto)
    for info, start in zip(proto.input, starts, strict=True):
        code, stated = declared(info)
        formal(scope, info, code, stated, start)
    try:
        names = _read(scope, proto)
    except Inside:
        return _poisoned(op, len(op.proto.output))
    captured = _needed(scope)
    graph = _closed(scope, proto, names, captured)
    return op.emit_many(
        "scan", (*op.inputs, *captured), states + outputs, body=graph, states=states, input_axes=in_axes,
        output_axes=out_axes, input_reversed=tuple(map(bool, in_back)),
        output_reversed=tuple(map(bool, out_back)),
    )  # fmt: skip
