"""The types of every public function, class and method can be asked for at run time."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import convlite as cl
from convlite import _image_arguments, _types, activations

MODULES = (
    "convlite",
    "convlite.layers",
    "convlite.activations",
    "convlite.initializers",
    "convlite.initializers.keras3",
    "convlite.convert",
    "convlite.reference",
)


def public() -> Iterator[tuple[str, Any]]:
    """Every public callable and every method of a public class, by its name."""
    for name in MODULES:
        module = importlib.import_module(name)
        for word in module.__all__:
            value = getattr(module, word)
            if not callable(value):
                continue
            yield f"{name}.{word}", value
            for method, function in inspect.getmembers(value) if inspect.isclass(value) else ():
                if inspect.isroutine(function) and "convlite" in (getattr(function, "__module__", "") or ""):
                    yield f"{name}.{word}.{method}", function
                elif isinstance(function, property):
                    yield f"{name}.{word}.{method}", function.fget


@pytest.mark.parametrize(("name", "thing"), list(public()), ids=[name for name, _ in public()])
def test_types_resolve(name: str, thing: Any) -> None:
    hints = typing.get_type_hints(thing)
    if inspect.isfunction(thing) and not name.endswith("__"):
        assert "return" in hints, f"{name} does not say what it returns"


# Lines that a type checker must refuse, and what must be in its message.
REFUSED = {
    'cl.conv2d(x, x, padding="sme")': "padding",
    'cl.conv2d(x, x, activation="rellu")': "activation",
    'cl.conv2d(x, x, strides="two")': "strides",
    "cl.conv2d(x, x, strides=2.5)": "strides",
    "cl.conv2d(x, x, stride=2)": "stride",
    "cl.conv2d(x, x, None, 2)": "conv2d",
    'cl.conv2d(x, x, precision="fats")': "precision",
    'cl.conv1d_transpose(x, x, padding="sme")': "padding",
    'cl.max_pool2d(x, padding="sme")': "padding",
    'cl.resize2d(x, 4, method="bilinaer")': "method",
    'cl.pad2d(x, 1, mode="reflct")': "mode",
    "cl.softmax(x, dim=1)": "dim",
    'L.Conv2D(4, 3, padding="sme")': "padding",
    'L.Conv2D(4, 3, activation="rellu")': "activation",
    'L.Conv2D(4, 3, "two")': "Conv2D",
    "L.Conv2D(4, 3, stride=2)": "stride",
    'L.Conv2D(4, 3, padding_mode="refl")': "padding_mode",
    'L.SeparableConv2D(4, 3, activation="rellu")': "activation",
    'L.Dense(4, "rellu")': "Dense",
    'L.MaxPooling2D(2, padding="sme")': "padding",
    'cl.PackedKernel(x, "conv2")': "PackedKernel",
    "a = cl.relu(x); a32: NDArray[np.float32] = a": "float64",
    "b = cl.sigmoid(x32); b64: NDArray[np.float64] = b": "float64",
    "c = L.Dense(4)(x); c32: NDArray[np.float32] = c": "float64",
    "d = L.Conv2D(4, 3)(x32); d64: NDArray[np.float64] = d": "float64",
    "cl.relu(y=x)": "Elementwise",
}
ACCEPTED = (
    'cl.conv2d(x, x, strides=(1, 2), padding="SAME", dilations=[1, 2, 2, 1], activation="relu")',
    "cl.conv2d(x, x, padding=((1, 1), (0, 1)), strides=np.int64(2), activation=cl.activations.ELU())",
    "cl.conv2d(x, x, padding=[[0, 0], [1, 1], [1, 1], [0, 0]], activation=np.tanh)",
    'L.Conv1D(4, 3, padding="causal", activation="hardswish", name="first")',
    'L.Dense(4, "softmax", use_bias=False)',
    "e32: NDArray[np.float32] = cl.relu(L.Conv2D(4, 3)(x32))",
    "e64: NDArray[np.float64] = cl.tanh(x=x)",
    "f32: NDArray[np.float32] = cl.relu([1.0, 2.0])",  # no array: nothing is known
    "g32: NDArray[np.float32] = cl.conv2d(x32, x32)",
    "h32: NDArray[np.float32] = L.Add()([x32, x32])",
    "symbol: L.SymbolicTensor = L.Dense(4)(L.Input((4,)))",
)


def test_misspelt_names_are_found_by_a_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    head = ["import numpy as np", "import convlite as cl", "from convlite import layers as L"]
    head += ["from numpy.typing import NDArray", "x = np.ones((1, 8, 8, 4))"]
    head.append("x32 = np.ones((1, 8, 8, 4), np.float32)")
    program = tmp_path / "program.py"
    program.write_text("\n".join([*head, *ACCEPTED, *REFUSED]) + "\n")
    options = ["--no-error-summary", "--cache-dir", str(tmp_path / "cache"), "--follow-imports=silent"]
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(program)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(Path(cl.__file__).parents[1])},
    ).stdout  # fmt: skip
    errors = {int(line.split(":")[1]): line for line in found.splitlines() if ": error: " in line}
    first = len(head) + len(ACCEPTED) + 1
    assert set(errors) == set(range(first, first + len(REFUSED))), found
    for number, word in enumerate(REFUSED.values(), first):
        assert word in errors[number], errors[number]


def test_literals_are_the_names_that_are_taken() -> None:
    assert {*typing.get_args(_types.ActivationName)} == {*activations.NAMES, *activations.ALIASES}
    assert {*typing.get_args(_types.Mode)} == {*_image_arguments.MODES, *_image_arguments.MODE_ALIASES}
