"""Fixtures that span the grid of kernels: isa, dtype, threads. What the machine lacks is skipped aloud."""

import os
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest

import convlite as cl
from convlite import _dispatch, _kernels

# The same examples in every run, and no deadline: the machine may be shared. A fixture that selects an
# instruction set holds for all the examples of a test, so it need not be set up anew for each.
hypothesis.settings.register_profile(
    "convlite",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("convlite")

# Scripts that need TensorFlow or PyTorch; what the tests of ONNX files share, which needs the package onnx.
collect_ignore_glob = ["golden/*", "onnx_*.py"]

# CONVLITE_ISA narrows the grid to one row, so that `.ci/run` can walk it row by row.
_FORCED = os.environ.get("CONVLITE_ISA")


@pytest.fixture(autouse=True)
def no_calls_before() -> None:
    """What one test called says nothing to the next."""
    _kernels.plain_calls.clear()


@pytest.fixture(params=[_FORCED] if _FORCED else list(_dispatch.ISAS))
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that convlite has kernels for; skipped where the CPU lacks it."""
    if request.param not in _dispatch.available_isas():
        pytest.skip(f"this CPU has no {request.param}; it runs {', '.join(_dispatch.available_isas())}")
    with _dispatch.use_isa(request.param):
        yield request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    """Each dtype that convlite computes in."""
    return np.dtype(request.param)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Thread counts: one, two, and one that does not divide the work; more than one needs OpenMP."""
    if request.param > 1 and not _dispatch.config()["openmp"]:
        pytest.skip(f"this build has no OpenMP; {request.param} threads are asked for")
    with cl.num_threads(request.param):
        yield request.param
