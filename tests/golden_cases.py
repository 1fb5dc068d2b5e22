"""Reads tests/golden/ops_*.npz (written by make_ops.py) as parameters for pytest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class GoldenCase:
    """One call: `function(*operands, **options)` is `want`, says `source`.

    Operands are in the order of convlite's positional parameters: x, kernel, bias ...
    """

    function: str
    source: str
    operands: dict[str, np.ndarray]
    options: dict[str, Any]
    want: np.ndarray

    @property
    def leaves_nothing(self) -> bool:
        """Whether a window is larger than x, which is refused here; TensorFlow gives an empty array."""
        return self.want.size == 0 and self.operands["x"].size > 0 and "kernel" in self.operands

    def call(self, module: Any) -> np.ndarray:
        """Call `module`'s function of this case's name."""
        function = getattr(module, self.function)
        if self.function == "batch_norm":  # whose scale and offset are given by name
            return function(**self.operands, **self.options)
        return function(*self.operands.values(), **self.options)


def golden_cases(name: str, *functions: str) -> list[Any]:
    """The cases of golden/ops_NAME.npz, for pytest.mark.parametrize; only those of `functions`, if given."""
    found = []
    with np.load(FOLDER / f"ops_{name}.npz") as file:
        for entry in json.loads(str(file["cases"])):
            if functions and entry["function"] not in functions:
                continue
            stored = {key: file[f"{entry['name']}/{key}"] for key in [*entry["operands"], "want"]}
            arrays = {key: array.astype(array.dtype.newbyteorder("=")) for key, array in stored.items()}
            case = GoldenCase(
                entry["function"], entry["source"], {key: arrays[key] for key in entry["operands"]},
                entry["options"], arrays["want"],
            )  # fmt: skip
            text = ",".join(f"{key}={value}" for key, value in entry["options"].items()).replace(" ", "")
            dtype = arrays["x"].dtype.name
            found.append(pytest.param(case, id=f"{entry['name']}-{entry['function']}-{dtype}-{text}"))
    return found
