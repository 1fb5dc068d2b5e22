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

import numpy as np

from ..._layouts import warn
from ..._options import suggesting
from ..graph import Graph
from .onnx import read_onnx

__all__ = ["from_torch"]

_Free = dict[str, dict[int, str]]


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
    graphs is tried first, then its older one, which follows one call: a UserWarning names the lines where
    the module asked for a tensor's values, as in `if x.sum() > 0`, and another tells if axis 0 had to be
    fixed. Needs the packages `torch` and `onnx`.

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
        raise TypeError(f"module must be a torch.nn.Module; got {_no_module(module)}")
    while isinstance(module, torch.nn.DataParallel) or hasattr(module, "_orig_mod"):  # of torch.compile
        module = module._orig_mod if hasattr(module, "_orig_mod") else module.module
    examples = tuple(example_inputs) if isinstance(example_inputs, (tuple, list)) else (example_inputs,)
    for number, example in enumerate(examples):
        if not isinstance(example, torch.Tensor):
            if isinstance(example, (list, tuple, dict)):
                raise TypeError(
                    f"example_inputs must be tensors; number {number} is a {type(example).__name__}: "
                    "wrap the module in one whose forward takes each tensor by itself"
                )
            numbers = all(type(one) is int for one in examples)
            write = f"torch.zeros{examples}".replace(",)", ")") if numbers else "torch.from_numpy(x)"
            raise TypeError(
                f"example_inputs must be tensors; number {number} is of type {type(example).__name__}: "
                f"write {write}"
            )
    names = list(input_names) if input_names is not None else _names(module, len(examples))
    if len(names) != len(examples):
        raise ValueError(f"input_names must have {len(examples)} names; got {names}")
    free: _Free = {}
    if dynamic_axes is None:
        free = {name: {0: "batch"} for name, example in zip(names, examples, strict=True) if example.ndim}
    elif isinstance(dynamic_axes, Mapping):
        for name, axes in dynamic_axes.items():
            free[name] = dict(axes if isinstance(axes, Mapping) else {one: f"{name}[{one}]" for one in axes})
    model, doubtful = _exported(torch, module, examples, names, free, opset)
    graph = read_onnx(model)
    long = [len(one) for name, one in zip(names, examples, strict=True) if 0 in free.get(name, {})]
    if doubtful and long and not _holds_for_two(torch, module, examples, names, free, graph):
        free = {name: {axis: axes[axis] for axis in axes if axis} for name, axes in free.items()}
        with _quiet(torch, module):
            graph = read_onnx(_scripted(torch, module, examples, names, free, opset))
        warn(
            f"the batch is fixed at {long[0]}, as in example_inputs: for twice as many the network would not "
            "give the module's numbers"
        )
    return graph


def _holds_for_two(
    torch: Any, module: Any, examples: tuple[Any, ...], names: list[str], free: _Free, graph: Graph
) -> bool:
    """Whether the graph computes what the module does where every free axis 0 is twice as long.

    The older exporter calls an axis free that a loop of the module, `for i in range(len(x))`, has gone along.
    """
    from ..network import Network

    try:
        with _quiet(torch, module):
            twice = [
                torch.cat([example, example]) if 0 in free.get(name, {}) else example
                for name, example in zip(names, examples, strict=True)
            ]
            found = torch.utils._pytree.tree_leaves(module(*[example.clone() for example in twice]))
            wanted = [one.detach().cpu().float().numpy() for one in found if isinstance(one, torch.Tensor)]
            got = Network(graph)(*[example.detach().cpu().numpy() for example in twice])
        got = got if isinstance(got, tuple) else (got,)
        for one, other in zip(got, wanted, strict=True):
            size = float(abs(one[np.isfinite(one)]).max(initial=1))
            if one.shape != other.shape or not np.allclose(one, other, 1e-3, 1e-3 * size, equal_nan=True):
                return False
        return True
    except Exception:  # another length is none of its inputs
        return False


def _no_module(given: Any) -> str:
    """What was given in place of a module, and what to do with it."""
    if isinstance(given, Mapping):
        return (
            "a mapping, as state_dict() gives: it holds weights and no operations; make the module, then "
            "write module.load_state_dict(state)"
        )
    if type(given).__name__ == "ExportedProgram":
        return "an ExportedProgram: give its module, program.module()"
    if isinstance(given, type):
        return f"the class {given.__name__}: make one, {given.__name__}(...)"
    return f"an object of type {type(given).__name__}"


def _names(module: Any, count: int) -> list[str]:
    """The names of the parameters of `forward`."""
    import inspect

    try:
        parameters = [*inspect.signature(module.forward).parameters.values()]
    except ValueError:  # a traced ScriptModule's has none
        parameters = []
    names = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    rest = [f"input{number}" for number in range(len(names), count)]
    return [*names[:count], *rest]


@contextlib.contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """In eval mode; every part goes back into its own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    with contextlib.suppress(NotImplementedError):  # torch.export's modules have one mode only
        module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextlib.contextmanager
def _quiet(torch: Any, module: Any) -> Iterator[list[warnings.WarningMessage]]:
    """In eval mode, without what the exporters print, log and warn of. Gives what the tracer warns of."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            _evaluating(module),
            torch.no_grad(),
            warnings.catch_warnings(record=True) as told,
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", torch.jit.TracerWarning)
            yield told
    finally:
        logging.disable(before)


def _exported(
    torch: Any, module: Any, examples: tuple[Any, ...], names: list[str], free: _Free, opset: int
) -> tuple[Any, bool]:
    """The ONNX model, and whether the newer exporter refused."""
    problems = []
    for how in (_traced, _scripted):
        try:
            with _quiet(torch, module) as told:
                model = how(torch, module, examples, names, free, opset)
        except Exception as problem:  # the other exporter may succeed
            problems.append(f"{how.__name__.strip('_')}: {_first_cause(problem)}")
            continue
        if problems:  # the newer one keeps to what holds for all values, or refuses
            _warn_of_values(told, os.path.dirname(torch.__file__), problems[0])
        return model, bool(problems)
    raise ValueError(f"torch.onnx.export does not take this module: {'; '.join(problems)}")


def _first_cause(problem: BaseException) -> str:
    """One line about what the exporter met first; its own error begins with advice about the exporter."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(problem)).strip().splitlines()
    return lines[0][:300] if lines else type(problem).__name__


def _warn_of_values(told: Sequence[warnings.WarningMessage], torch: str, problem: str) -> None:
    """Tells the lines outside of PyTorch where the tracer followed the values of the examples."""
    lines = {
        f"{os.path.basename(one.filename)}:{one.lineno} ({str(one.message).split(' might ')[0]})": None
        for one in told
        if not one.filename.startswith(torch + os.sep)
    }
    if lines:
        warn(
            "this module asks for values of tensors, and the network keeps what example_inputs gave in "
            f"{', '.join([*lines][:5])}; write torch.where for an `if`, or compare the network with the "
            f"module on other inputs. PyTorch's newer exporter refused: {problem}"
        )


def _traced(
    torch: Any, module: Any, examples: tuple[Any, ...], names: list[str], free: _Free, opset: int
) -> Any:
    """The exporter on top of torch.export."""
    shapes = tuple(dict.fromkeys(free.get(name, ()), torch.export.Dim.DYNAMIC) for name in names)
    program = torch.onnx.export(
        module, examples, dynamo=True, input_names=names, opset_version=opset, verbose=False,
        **({"dynamic_shapes": shapes} if free else {}),
    )  # fmt: skip
    return _renamed(program.model_proto, names, free)


def _renamed(model: Any, names: list[str], free: _Free) -> Any:
    """The model with the caller's names for free sizes, where the exporter made up its own ("s31")."""
    wanted: dict[str, str] = {}
    for info in model.graph.input:
        if info.name not in names or info.name not in free:
            continue
        for axis, name in free[info.name].items():
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
    torch: Any, module: Any, examples: tuple[Any, ...], names: list[str], free: _Free, opset: int
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
