"""Live PyTorch modules as graphs, through PyTorch's own export to ONNX."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..._options import suggesting
from ..graph import Graph
from .onnx import read_onnx

__all__ = ["from_torch"]


@suggesting
def from_torch(
    module: Any,
    example_inputs: Any,
    *,
    input_names: Sequence[str] | None = None,
    dynamic_axes: Mapping[str, Any] | Sequence[str] | None = None,
    opset: int = 18,
) -> Graph:
    """A PyTorch module as a graph.

    module: a `torch.nn.Module`. example_inputs: a tensor, or a tuple of them, for one call. input_names:
    names for the inputs; None: those of `forward`'s parameters. dynamic_axes: as torch.onnx.export takes them
    (input -> {axis: name}); None: axis 0 of every input that has axes is free, () nothing is. opset: of the
    ONNX model in between.

    The module is exported in eval mode and left in the mode that it was in. PyTorch's exporter that traces
    graphs is tried first, then its older one. Needs the packages `torch` and `onnx`.

    Returns a Graph in the vocabulary of `convlite.network.kinds`. Raises ValueError where neither exporter
    takes the module, or where what it writes is not supported; ImportError without one of the packages.
    """
    try:
        import onnx  # noqa: F401
        import torch
    except ImportError as problem:
        raise ImportError(
            f"PyTorch modules are read with the packages torch and onnx ({problem}): pip install torch onnx"
        ) from None
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be a torch.nn.Module; got a {type(module).__name__}")
    examples = tuple(example_inputs) if isinstance(example_inputs, (tuple, list)) else (example_inputs,)
    for number, example in enumerate(examples):
        if not isinstance(example, torch.Tensor):
            raise TypeError(
                f"example_inputs must be tensors; number {number} is a {type(example).__name__}: "
                "write torch.from_numpy(x)"
            )
    names = list(input_names) if input_names is not None else _names(module, len(examples))
    if len(names) != len(examples):
        raise ValueError(f"input_names must have {len(examples)} names; got {names}")
    if dynamic_axes is None:
        free: dict[str, Any] = {
            name: {0: "batch"} for name, example in zip(names, examples, strict=True) if example.ndim
        }
    else:
        free = dict(dynamic_axes) if isinstance(dynamic_axes, Mapping) else {}
    return read_onnx(_exported(torch, module, examples, names, free, opset))


def _names(module: Any, count: int) -> list[str]:
    """The names of the parameters of `forward`."""
    import inspect

    names = []
    for parameter in inspect.signature(module.forward).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    rest = [f"input{number}" for number in range(len(names), count)]
    return [*names[:count], *rest]


@contextlib.contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """In eval mode; every part goes back into its own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters report to the log, to warnings and to standard output."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _exported(
    torch: Any, module: Any, examples: tuple[Any, ...], names: list[str], free: dict[str, Any], opset: int
) -> Any:
    problems = []
    for how in (_traced, _scripted):
        try:
            with _evaluating(module), _quiet(), torch.no_grad():
                return how(torch, module, examples, names, free, opset)
        except Exception as problem:  # the other exporter may succeed
            text = str(problem).strip().splitlines() or [type(problem).__name__]
            problems.append(f"{how.__name__.strip('_')}: {text[0][:300]}")
    raise ValueError(f"torch.onnx.export does not take this module: {'; '.join(problems)}")


def _traced(
    torch: Any, module: Any, examples: tuple[Any, ...], names: list[str], free: dict[str, Any], opset: int
) -> Any:
    """The exporter on top of torch.export."""
    dims = {name: torch.export.Dim.DYNAMIC for axes in free.values() for name in _of(axes).values()}
    shapes = tuple(
        {axis: dims[name] for axis, name in _of(free[key]).items()} if key in free else None for key in names
    )
    program = torch.onnx.export(
        module, examples, dynamo=True, input_names=names, opset_version=opset, verbose=False,
        **({"dynamic_shapes": shapes} if free else {}),
    )  # fmt: skip
    return _renamed(program.model_proto, names, free)


def _renamed(model: Any, names: list[str], free: dict[str, Any]) -> Any:
    """The model with the caller's names for free sizes, where the exporter made up its own ("s31")."""
    wanted: dict[str, str] = {}
    for info in model.graph.input:
        if info.name not in names or info.name not in free:
            continue
        for axis, name in _of(free[info.name]).items():
            found = info.type.tensor_type.shape.dim[axis].dim_param
            if not found or found in wanted:
                continue
            taken = set(wanted.values())  # sizes that may differ get names of their own
            wanted[found] = name if name not in taken else f"{info.name}[{axis}]"
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    for dim in (dim for value in values for dim in value.type.tensor_type.shape.dim):
        if dim.dim_param:
            dim.dim_param = re.sub(r"\w+", lambda word: wanted.get(word[0], word[0]), dim.dim_param)
    return model


def _scripted(
    torch: Any, module: Any, examples: tuple[Any, ...], names: list[str], free: dict[str, Any], opset: int
) -> Any:
    """The older exporter, which follows one call."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        torch.onnx.export(
            module, examples, path, dynamo=False, input_names=names, opset_version=min(opset, 20),
            dynamic_axes=free,
        )  # fmt: skip
        import onnx

        return onnx.load(path)


def _of(axes: Any) -> dict[int, str]:
    """{axis: name}; a list of axes gets names."""
    return dict(axes) if isinstance(axes, Mapping) else {int(axis): f"axis{axis}" for axis in axes}
