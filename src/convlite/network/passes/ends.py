"""Images channels last at a network's ends, where its file has them channels first."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Value
from ..infer import facts_of
from .editor import Editor

__all__ = ["channels_last_ends"]


def channels_last_ends(graph: Graph) -> Graph:
    """Take off the transposes at inputs and outputs: an input that is read only by transposes to channels
    last comes channels last, an output that a transpose from channels last writes is left so."""
    editor = Editor(graph, facts_of(graph))
    inputs: list[Value] = []
    for value in graph.inputs:
        readers = [editor.nodes[number] for number in editor.readers(value.name)]
        rank = 0 if value.shape is None else len(value.shape)
        perm = (0, *range(2, rank), 1)
        plain = all(node.kind == "transpose" and tuple(node.attributes["perm"]) == perm for node in readers)
        if rank >= 3 and readers and plain and value.name not in editor.outputs:
            assert value.shape is not None
            turned = tuple(value.shape[axis] for axis in perm)
            inputs.append(replace(value, shape=turned))
            for node in readers:
                editor.replace(node.outputs[0], value.name)
        else:
            inputs.append(value)
    outputs: list[Value] = []
    for value in graph.outputs:
        last = editor.producer(value.name)
        rank = 0 if value.shape is None else len(value.shape)
        perm = (0, rank - 1, *range(1, rank - 1))
        if rank >= 3 and last is not None and last.kind == "transpose":
            source, found = last.inputs[0], tuple(last.attributes["perm"])
            if found == perm and source not in editor.outputs and source not in editor.inputs:
                assert value.shape is not None
                turned = tuple(value.shape[axis] for axis in (0, *range(2, rank), 1))
                editor.replace(value.name, source)
                outputs.append(replace(value, shape=turned))
                continue
        outputs.append(value)
    return editor.graph().with_(inputs=tuple(inputs), outputs=tuple(outputs))
