"""A program as users write it: a strict type checker accepts it, and it runs."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / ".ci" / "user.py"
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="the program is in the repository alone")


def test_it_runs() -> None:
    run = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, check=True)
    assert run.stdout == "(1, 8, 8, 1) (1, 7, 7, 1) (1, 2) (1, 3, 3, 4)\n"
    assert run.stderr == ""


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_a_strict_checker_accepts_it_and_knows_arrays_from_symbolic_tensors(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy as np\n"
        "from convlite.layers import Add, Conv2D, Input\n"
        "x = Input((8, 8, 3))\n"
        "reveal_type(Conv2D(4, 3)(x))\n"
        "reveal_type(Add()([x, x]) * 2)\n"
        "reveal_type(Conv2D(4, 3)(np.zeros((1, 8, 8, 3))))\n"
        "np.add(x, 'a')\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", PROGRAM, program]
    run = subprocess.run(command, capture_output=True, text=True)
    told = [line for line in run.stdout.splitlines() if "Revealed" in line]
    assert [("SymbolicTensor" in line, "ndarray" in line) for line in told] == [
        (True, False), (True, False), (False, True),
    ]  # fmt: skip
    errors = [line for line in run.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, run.stdout + run.stderr
    assert "program.py:7: error" in errors[0]
