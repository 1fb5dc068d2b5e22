"""Outputs written past the caches: where this happens, and that it changes no bit and no byte beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from convlite import _dispatch, _kernels, pack
from convlite._memory import aligned_empty
from convlite.activations import CODES
from convlite.ops import geometry_of
from convlite.plan import Plan, Weights, plan_as

F = np.dtype("f4")
ALWAYS, NEVER = -1, 1 << 60  # from how many bytes on


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    found = _kernels.stream_from()
    yield
    _kernels.stream_from(found)


class Case(NamedTuple):
    operation: str
    shape: tuple[int, int, int, int]
    kernel: tuple[int, int, int, int]
    strides: tuple[int, int] = (1, 1)
    padding: Any = "same"
    groups: int = 1
    form: str = "strided"


CASES = {
    "a first layer": Case("conv2d", (1, 9, 47, 3), (3, 3, 3, 64)),
    "1x1": Case("conv2d", (2, 5, 29, 24), (1, 1, 24, 144)),
    "steps of 32 channels": Case("conv2d", (1, 5, 41, 16), (1, 1, 16, 32), (1, 2)),
    "pieces": Case("conv2d", (1, 6, 31, 48), (3, 3, 48, 64)),
    "sections": Case("conv2d", (1, 4, 14, 640), (3, 3, 640, 32)),
    "two lines": Case("conv2d", (3, 6, 3, 32), (3, 3, 32, 32)),
    "thinned": Case("conv2d", (1, 14, 14, 256), (3, 3, 256, 64)),
    "groups": Case("conv2d", (1, 5, 30, 32), (3, 3, 16, 64), groups=2),
    "phases": Case("conv2d_transpose", (1, 5, 28, 64), (3, 3, 64, 64), (2, 2)),
    "phases side by side": Case(
        "conv2d_transpose", (1, 5, 29, 24), (2, 2, 24, 24), (2, 2), form="merged_phases"
    ),
    "phases side by side, over the ends": Case(
        "conv2d_transpose", (1, 5, 29, 16), (4, 4, 16, 16), (2, 2), form="merged_phases"
    ),
}
# These have tiles whose outputs do not begin on lines, or end in the middle of one.
OTHERS = {
    "40 channels": Case("conv2d", (1, 5, 30, 16), (1, 1, 16, 40)),
    "groups of 24": Case("conv2d", (1, 5, 30, 32), (3, 3, 16, 48), groups=2),
    "phases of half a line": Case(
        "conv2d_transpose", (1, 5, 29, 24), (4, 4, 24, 24), (2, 2), form="merged_phases"
    ),
}


class Made(NamedTuple):
    plan: Plan
    x: np.ndarray
    panels: pack.Panels
    bias: np.ndarray
    shape: tuple[int, ...]

    def run(self, out: np.ndarray, threads: int, activation: str = "", into: Any = None) -> None:
        code = CODES[activation] if activation else 0
        high = np.inf if activation else 0.0
        given = self.x, self.panels.data, self.bias, None, out, code, 0.0, high, True, threads, into
        self.plan.runner.run(*given)

    def streams(self, out: np.ndarray, threads: int = 1) -> bool:
        assert isinstance(self.plan.runner, _kernels.Direct)
        return self.plan.runner.streams(out, threads)


def made(case: Case, dtype: np.dtype[Any] = F) -> Made:
    """The case in its form, with operands."""
    isa = _dispatch.active_isa()
    geometry = geometry_of(
        case.operation, case.shape, case.kernel, case.strides, case.padding, (1, 1), case.groups, None, None
    )
    weights = Weights(case.operation, case.kernel, case.strides, (1, 1), case.groups)
    plan = plan_as(case.form, geometry, weights, dtype, isa)
    if plan is None:
        pytest.skip(f"{isa} has no {case.form} form of this case")
    rng = np.random.default_rng(7)
    x, kernel, bias = (
        rng.standard_normal(shape).astype(dtype)
        for shape in (case.shape, case.kernel, (geometry.out_shape[3],))
    )
    return Made(plan, x, pack.pack_panels(kernel, weights, isa, plan.layout), bias, geometry.out_shape)


def room(shape: tuple[int, ...], offset: int = 0, more: int = 0, dtype: np.dtype[Any] = F) -> np.ndarray:
    """An output `offset` elements behind the start of a cache line, with `more` channels between pixels."""
    return memory_and_room(shape, offset, more, dtype)[1]


def memory_and_room(
    shape: tuple[int, ...], offset: int, more: int, dtype: np.dtype[Any] = F
) -> tuple[np.ndarray, np.ndarray]:
    """The same, and all of the memory that it lies in."""
    whole = (*shape[:3], shape[3] + more)
    memory = aligned_empty(int(np.prod(whole)) + offset + 16, dtype)
    memory[:] = -77.25
    return memory, memory[offset : offset + int(np.prod(whole))].reshape(whole)[..., : shape[3]]


def can_stream() -> bool:
    return bool(_kernels.describe(_dispatch.active_isa(), "f32")["streams"])


PLACES = {"on a line": (0, 0), "an element behind": (1, 0), "half a line behind": (8, 0)} | {
    "among others": (0, 3),
    "among whole lines": (0, 16),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", CASES | OTHERS)
def test_the_bits_are_the_same(isa: str, threads: int, name: str, place: str) -> None:
    case = made((CASES | OTHERS)[name])
    for activation in ("", "clip", "tanh"):
        memories = []
        for least in (NEVER, ALWAYS):
            _kernels.stream_from(least)
            memory, out = memory_and_room(case.shape, *PLACES[place])
            case.run(out, threads, activation)
            assert not (out == -77.25).any()
            memories.append(memory)
        assert memories[0].tobytes() == memories[1].tobytes()


@pytest.mark.parametrize("name", CASES)
def test_whole_lines_are_streamed(isa: str, name: str) -> None:
    """Where the instruction set can, and the output begins on a line: `OTHERS` do not."""
    case = made(CASES[name])
    _kernels.stream_from(ALWAYS)
    assert case.streams(room(case.shape)) == can_stream()
    assert not case.streams(room(case.shape, 1))
    assert not case.streams(room(case.shape, 8))
    assert not case.streams(room(case.shape, 0, 3))
    _kernels.stream_from(NEVER)
    assert not case.streams(room(case.shape))


@pytest.mark.parametrize("name", OTHERS)
def test_other_tiles_are_not(isa: str, name: str) -> None:
    case = made(OTHERS[name])
    _kernels.stream_from(ALWAYS)
    assert not case.streams(room(case.shape))


def test_doubles_are_not(isa: str) -> None:
    case = made(CASES["1x1"], np.dtype("f8"))
    _kernels.stream_from(ALWAYS)
    assert not case.streams(room(case.shape, dtype=np.dtype("f8")))


def test_x86_with_fma_can() -> None:
    """NEON and plain C have no such stores; the compilers of Windows do not join the ends of sums."""
    for isa in _dispatch.available_isas():
        streams = _kernels.describe(isa, "f32")["streams"]
        assert not streams or isa in ("avx2", "avx512")
        assert not _kernels.describe(isa, "f64")["streams"]


def test_only_what_is_larger_than_half_the_cache() -> None:
    """More threads have at least as much cache."""
    case = made(CASES["1x1"])
    out = room(case.shape)
    _kernels.stream_from(out.nbytes)
    assert not case.streams(out)
    _kernels.stream_from(out.nbytes - 1)
    assert case.streams(out) == can_stream()
    assert not case.streams(out, 1 << 20)


def test_the_cache_has_a_size() -> None:
    assert 1 << 17 < _kernels.stream_from() < 1 << 40


def test_a_script_may_get_an_output_that_lies_otherwise(isa: str, threads: int) -> None:
    """Whether it lies on lines is asked when the step runs: a stream to another address would be a fault."""
    case = made(CASES["1x1"])
    want = room(case.shape)
    _kernels.stream_from(NEVER)
    case.run(want, 1)
    _kernels.stream_from(ALWAYS)
    lent = room(case.shape)
    script = _kernels.Script(threads, [lent])
    case.run(lent, threads, into=script)
    script.keep(case)
    script.close()
    for offset in (0, 1, 8, 0):
        out = room(case.shape, offset)
        script.point([out])
        script.run(0, len(script))
        assert out.tobytes() == want.tobytes()
