"""No allocation that fails leaves anything half-changed: the core's own, those of arrays, all others.

faults.py walks through calls of every kernel in a process where failing_malloc.c refuses the first
allocation, the second, and so on until a call needs no more. What comes of each must be MemoryError with
`out` untouched, or the right result; the next calls must have the same bits; threads, mode and locks must be
as before, and no block of the core may be left over.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from interpreter import TIMEOUT

from convlite import _dispatch

HERE = Path(__file__).parent
NOTHING = {
    "max pool",
    "average pool",
    "activation",
    "softmax",
}  # need no memory of the core


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """failing_malloc.c, compiled."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        pytest.skip("failing allocations need Linux with glibc")
    if "CONVLITE_SANITIZER" in os.environ:
        pytest.skip("the sanitizer has its own malloc")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("failing allocations need a C compiler; here is no cc, gcc or clang")
    built = tmp_path_factory.mktemp("faults") / "failing_malloc.so"
    source = HERE / "failing_malloc.c"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(built), str(source)], check=True)
    return built


def faults(library: Path, source: str, threads: int, *names: str) -> dict[str, tuple[int, int]]:
    """{call: (allocations that failed, errors that came of it)} of faults.py."""
    foreign = ("CONVLITE_", "OMP_", "GOMP_")
    kept = [key for key in os.environ if key == "CONVLITE_ISA" or not key.startswith(foreign)]
    environment = {key: os.environ[key] for key in kept}
    environment["LD_PRELOAD"] = str(library)
    if source == "all":
        environment["PYTHONMALLOC"] = "malloc"
    command = [sys.executable, str(HERE / "faults.py"), source, str(threads), *names]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20 * TIMEOUT)
    assert run.returncode == 0, f"exit code {run.returncode}: {run.stdout[-500:]}\n{run.stderr[-3000:]}"
    rows = [line.split(": ") for line in run.stdout.splitlines()]
    return {name: (int(failed), int(errors)) for name, failed, errors in rows}


@pytest.mark.parametrize("threads", [1, 2])
def test_every_allocation_of_the_core_fails_once(library: Path, threads: int) -> None:
    if threads > 1 and not _dispatch.config()["openmp"]:
        pytest.skip("this build has no OpenMP")
    found = faults(library, "core", threads)
    assert {name for name in found if "/" not in name or name.endswith("/array")} >= NOTHING
    for name, (failed, errors) in found.items():
        if name in NOTHING:
            assert failed == 0, name
        elif "/known" not in name:  # a known call that fails is made anew, and may then succeed
            assert failed == errors, name
            # these need no scratch: slopes only where the channels fill no whole vectors
            assert failed >= 1 or name.startswith(("skinny", "slopes")), name


def test_every_array_fails_once(library: Path) -> None:
    for name, (failed, errors) in faults(library, "numpy", 1).items():
        if not name.endswith("/out"):
            assert failed >= 1, name
        if "/known" not in name:
            assert failed == errors, name


@pytest.mark.skipif(
    sys.version_info >= (3, 12),
    reason="CPython 3.12 and 3.13 crash by themselves when a generator expression finds no memory",
)
@pytest.mark.parametrize(
    "names", [["few rows"], pytest.param([], marks=pytest.mark.long)], ids=["one", "all"]
)
def test_every_allocation_of_the_process_fails_once(library: Path, names: list[str]) -> None:
    """Objects of the interpreter included."""
    for name, (failed, errors) in faults(library, "all", 1, *names).items():
        assert failed >= errors >= 1, name
