"""The backend test suite of the `onnx` package, run through convlite: its cases, and one verdict for each.

    PYTHONPATH=src python tests/onnx_backend.py [PARTS OF NAMES...]

prints how many cases pass, are refused (by reason) and fail.
"""

from __future__ import annotations

import collections
import functools
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Runner = Callable[[Any, Sequence[np.ndarray]], Sequence[np.ndarray]]
MAX_BYTES = 1 << 28  # of a case's inputs


def interpreted(graph: Any, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    from convlite.network.interpret import interpret

    return interpret(graph, inputs)


class Refusal(Exception):
    """The importer refuses the model: honest where the reason names what is not supported."""


class Prepared:
    """A model that was read; `run` computes it."""

    def __init__(self, model: Any, runner: Runner) -> None:
        from convlite.network.load.onnx import read_onnx

        try:
            self.graph = read_onnx(model)
        except ValueError as problem:
            raise Refusal(str(problem)) from None
        self.runner = runner

    def run(self, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        # bfloat16 is a dtype of another package: read as float32.
        given = [np.asarray(x, np.float32) if x.dtype.name == "bfloat16" else np.asarray(x) for x in inputs]
        return self.runner(self.graph, given)


class Backend:
    """What `onnx.backend.test.BackendTest` asks for; the runner of graphs is a parameter."""

    def __init__(self, runner: Runner = interpreted) -> None:
        self.runner = runner

    def is_compatible(self, model: Any, device: str = "CPU") -> bool:
        return device == "CPU"

    def prepare(self, model: Any, device: str = "CPU") -> Prepared:
        return Prepared(model, self.runner)

    def run_model(
        self, model: Any, inputs: Sequence[np.ndarray], device: str = "CPU"
    ) -> Sequence[np.ndarray]:
        return self.prepare(model, device).run(inputs)

    def supports_device(self, device: str) -> bool:
        return device == "CPU"


# ---- cases


@functools.cache
def cases() -> dict[str, Any]:
    """Name -> case: those of single nodes, the simple and converted ones, the light networks."""
    import onnx.backend.test.case.model as models
    from onnx.backend.test.case.utils import import_recursive
    from onnx.backend.test.loader import load_model_tests

    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_recursive(models)
        for kind in ("node", "simple", "pytorch-operator", "pytorch-converted"):
            for case in load_model_tests(kind=kind):
                found[f"{kind}/{case.name}"] = case
        for case in models.collect_testcases():
            found.setdefault(f"{case.kind}/{case.name}", case)
    return dict(sorted(found.items()))


def _array(value: Any) -> Any:
    """An array of a TensorProto or an array; anything else (sequences, optionals) as it is."""
    from onnx import numpy_helper

    return numpy_helper.to_array(value) if hasattr(value, "dims") else value


def _loaded(path: Path) -> Any:
    import onnx
    from onnx import numpy_helper

    data = path.read_bytes()
    tensor = onnx.TensorProto()
    tensor.ParseFromString(data)
    return numpy_helper.to_array(tensor)


def data_of(case: Any) -> tuple[Any, list[tuple[list[Any], list[Any]]]]:
    """(source of the model, [(inputs, outputs)])."""
    import onnx.backend.test

    if case.model is not None and case.data_sets is not None:
        return case.model, [([*map(_array, a)], [*map(_array, b)]) for a, b in case.data_sets]
    folder = Path(onnx.backend.test.__file__).parent / "data"
    if case.model_dir is None:  # a light network: its input is a ramp
        path = folder / "light" / Path(case.url).name
        model = onnx.load(path)
        constants = {tensor.name for tensor in model.graph.initializer}
        (info,) = [value for value in model.graph.input if value.name not in constants]
        shape = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        count = int(np.prod(shape))
        ramp = (np.arange(count).reshape(shape) / count).astype(np.float32)
        return path, [([ramp], [_loaded(path.with_name(f"{path.stem}_output_0.pb"))])]
    sets = []
    for data in sorted(Path(case.model_dir).glob("test_data_set_*")):
        sides = []
        for side in ("input", "output"):
            count = len(list(data.glob(f"{side}_*.pb")))
            sides.append([_loaded(data / f"{side}_{number}.pb") for number in range(count)])
        sets.append((sides[0], sides[1]))
    return Path(case.model_dir) / "model.onnx", sets


def check(case: Any, backend: Any) -> None:
    """Runs a case: Refusal where the model is not read, AssertionError where an output is wrong."""
    model, sets = data_of(case)
    prepared = backend.prepare(model)
    for inputs, wanted in sets:
        outputs = prepared.run(inputs)
        assert len(outputs) == len(wanted)
        for number, (out, expected) in enumerate(zip(outputs, wanted, strict=True)):
            assert out.shape == expected.shape, (number, out.shape, expected.shape)
            rtol = case.rtol
            if expected.dtype.name == "bfloat16":
                expected, rtol = expected.astype(np.float32), max(rtol, 2**-6)
            assert out.dtype == expected.dtype, (number, out.dtype, expected.dtype)
            if expected.dtype.name == "float16":
                rtol = max(rtol, 2**-9)  # computed in float32: two units in the last place
            np.testing.assert_allclose(out, expected, rtol=rtol, atol=case.atol)


def main(*parts: str) -> int:
    """Counts verdicts and prints what is refused and what fails."""
    backend, passed = Backend(), 0
    refused: dict[str, list[str]] = collections.defaultdict(list)
    failed: list[tuple[str, str]] = []
    for name, case in cases().items():
        if not any(word in name for word in parts or [""]):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(case, backend)
            passed += 1
        except Refusal as problem:
            lines = str(problem).splitlines()
            refused[lines[1].strip() if len(lines) > 1 else lines[0]].append(name)
        except Exception as problem:
            failed.append((name, f"{type(problem).__name__}: {' '.join(str(problem).split())[:300]}"))
    for reason, names in sorted(refused.items()):
        print(f"refused {len(names):4} {names[0]}: {reason[:200]}")
    for name, reason in failed:
        print(f"FAILED   {name}: {reason}")
    print(f"passed {passed}, refused {sum(map(len, refused.values()))}, failed {len(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
