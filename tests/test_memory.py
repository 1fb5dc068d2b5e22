"""Memory: flat over many shapes and calls, caches with a bound, and nothing half-done where it ends."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from calls import every_operation, operands
from interpreter import python

import convlite as cl
from convlite import _kernels, _memory, _threads, arguments, geometry, ops, pack
from convlite.network.collector import uncollected
from convlite.plan import choice, direct, winograd

linux = pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="this system has no /proc/self/statm"
)
# A sanitizer keeps freed memory for a while.
own_memory = pytest.mark.skipif(
    "CONVLITE_SANITIZER" in os.environ, reason="the sanitizer's memory is counted, too"
)


def resident() -> int:
    """Bytes of this process that are in memory, what malloc keeps for later given back."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def random_call(rng: np.random.Generator) -> None:
    """One call of one operation on a new shape."""
    n, h, w, cin, cout, k, s = (int(v) for v in rng.integers(1, [3, 20, 20, 24, 24, 5, 4]))
    x = np.ones((n, h, w, cin), rng.choice([np.float32, np.float64]))
    which = rng.integers(5)
    if which == 0:
        cl.conv2d(x, np.ones((k, k, cin, cout), x.dtype), strides=s, padding="same", dilations=1 + n)
    elif which == 1:
        cl.conv2d_transpose(x, np.ones((k, k, cout, cin), x.dtype), strides=s)
    elif which == 2:
        cl.depthwise_conv2d(x, np.ones((k, k, cin, 1 + n), x.dtype), strides=s, padding="same")
    elif which == 3:
        cl.dense(x, np.ones((cin, cout), x.dtype), activation="gelu")
    else:
        cl.conv2d(x, np.ones((3, 3, cin, cout), x.dtype), padding="same", precision="fast")
    cl.max_pool2d(x, 2, padding="same")


def growth(warm: int, calls: int) -> int:
    """Bytes more after `calls` random shapes than before, when the caches are full."""
    rng = np.random.default_rng(1)
    for _ in range(warm):
        random_call(rng)
    before = resident()
    for _ in range(calls):
        random_call(rng)
    return resident() - before


@own_memory
@linux
def test_new_shapes_leave_nothing(isa: str) -> None:
    assert growth(1200, 1000) < 4 << 20


@own_memory
@linux
@pytest.mark.long
def test_ten_thousand_shapes_leave_nothing(isa: str) -> None:
    assert growth(2000, 10_000) < 4 << 20


def small_calls(count: int) -> None:
    x, kernel = np.ones((1, 4, 4, 3), np.float32), np.ones((3, 3, 3, 5), np.float32)
    packed, layer = cl.PackedKernel(kernel), cl.layers.Conv2D.from_weights(kernel)
    for _ in range(count // 5):
        cl.conv2d(x, kernel)
        cl.conv2d(x, packed, activation="relu")
        layer(x)
        cl.max_pool2d(x, 2)
        cl.softmax(x)
        cl.PackedKernel(kernel)


@own_memory
@linux
@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_small_calls_leave_nothing(count: int) -> None:
    small_calls(1000)
    before = resident()
    small_calls(count)
    assert resident() - before < 1 << 20


@own_memory
@linux
def test_errors_leave_nothing() -> None:
    def fails(_: Any) -> Any:
        raise ZeroDivisionError

    x, kernel = np.ones((1, 100, 100, 16), np.float32), np.ones((3, 3, 16, 16), np.float32)

    def wrong(count: int) -> None:
        for _ in range(count):
            with pytest.raises(ZeroDivisionError):
                cl.conv2d(x, kernel, activation=fails)
            with pytest.raises(ValueError):
                cl.conv2d(x, kernel[:, :, :3])
            with pytest.raises(ValueError):
                cl.conv2d(x, kernel, out=x)

    wrong(20)
    before = resident()
    wrong(300)
    assert resident() - before < 2 << 20


def test_caches_have_a_bound() -> None:
    caches = {
        f"{module.__name__}.{name}": value.cache_info().maxsize
        for module in (arguments, geometry, ops, pack, choice, direct, winograd)
        for name, value in vars(module).items()
        if hasattr(value, "cache_info")
    }
    assert "convlite.ops.planned" in caches
    assert all(size is not None and size <= 4096 for size in caches.values()), caches


# ---- where memory ends -------------------------------------------------------------------------------------


@every_operation
def test_where_there_is_no_memory(
    name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed allocation in a call: MemoryError, `out` untouched, and the next call right."""

    def fails(*_: Any, **__: Any) -> Any:
        raise MemoryError

    x, kernel, bias = operands(x_shape, kernel_shape, shape)
    call = getattr(cl, name)
    want = call(x, kernel, bias, **options)
    out = np.full(shape, 7, np.float32)
    failed = 0  # the steps just before the kernels
    for module, function in (
        (pack, "pack_panels"),
        (_threads, "threads_for"),
    ):
        _kernels.plain_calls.clear()  # known calls take another way
        with monkeypatch.context() as patch:
            patch.setattr(module, function, fails)
            try:
                call(x, kernel, bias, **options, out=out)
            except MemoryError:
                failed += 1
                np.testing.assert_array_equal(out, 7)
        np.testing.assert_array_equal(call(x, kernel, bias, **options), want)
        out.fill(7)
    assert failed >= 1


def test_a_result_is_there_though_nothing_can_be_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a call leaves for the next one is made after `out` is written."""

    def fails(*_: Any) -> Any:
        raise MemoryError

    x, kernel = np.ones((1, 5, 5, 3), np.float32), np.ones((3, 3, 3, 4), np.float32)
    monkeypatch.setattr(ops, "remember", fails)
    out = np.full((1, 3, 3, 4), 7, np.float32)
    assert cl.conv2d(x, kernel, out=out) is out
    np.testing.assert_array_equal(out, 27)


LIMITED = """
import resource
import numpy as np
import convlite as cl
x = np.ones((1, 8, 8, 4), np.float32)
kernel = np.ones((3, 3, 4, 8), np.float32)
want = cl.conv2d(x, kernel)
big = np.ones((1, 1, 1, 3000), np.float32)      # 12 KB, whose kernels and outputs are hundreds of MB
weights = np.broadcast_to(np.float32(1), (1, 1, 3000, 3000))
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (20 << 20), resource.RLIM_INFINITY))
failed = 0
for call in (
    lambda: cl.conv2d(big, weights),
    lambda: cl.PackedKernel(weights),
    lambda: cl.dense(big, weights[0, 0]),
    lambda: cl.conv2d(x, kernel, padding=5000),
    lambda: cl.conv2d_transpose(x, np.ones((1, 1, 8, 4), np.float32), strides=1000),
    lambda: cl.layers.Conv2D.from_weights(weights)(big),
):
    for _ in range(3):
        try:
            call()
        except MemoryError:
            failed += 1
        assert (cl.conv2d(x, kernel) == want).all()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert cl.conv2d(big, weights).max() == 3000
assert (cl.conv2d(x, kernel) == want).all()
print(failed)
"""


@linux
def test_a_process_without_memory_goes_on() -> None:
    """Real failures under a limit: MemoryError each time, right results in between and afterwards."""
    run = python(LIMITED, OPENBLAS_NUM_THREADS="1")
    assert run.stdout == "18\n", run.stderr


def test_large_arrays_of_a_room_lie_side_by_side_and_others_beside_it() -> None:
    room, size, byte = _memory.Room([_memory.APART] * 4), _memory.APART, np.dtype(np.uint8)
    arrays = [
        room.empty(size - 1, byte),
        *(room.empty(size, byte) for _ in range(7)),
        room.empty(3 * size, byte),
    ]
    spans = sorted((_kernels.address(array), array.nbytes) for array in arrays)
    assert all(start % 64 == 0 for start, _ in spans)
    assert all(start + nbytes <= after for (start, nbytes), (after, _) in pairwise(spans))
    assert [array.nbytes for array in arrays] == [size - 1, *[size] * 7, 3 * size]
    first, second = (_kernels.address(array) for array in arrays[1:3])
    assert second - first == size
    assert _memory.Room([1, 2]).empty(5, np.dtype(float)).nbytes == 40


@pytest.fixture
def collects() -> Iterator[None]:
    before = gc.isenabled()
    yield
    (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.usefixtures("collects")
def test_the_collector_goes_on_as_it_was(wanted: bool) -> None:
    (gc.enable if wanted else gc.disable)()
    with pytest.raises(KeyError), uncollected():
        {True: None}[gc.isenabled()]
    assert gc.isenabled() is wanted
    first, last = uncollected(), uncollected()  # of two threads
    first.__enter__()
    last.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    last.__exit__(None, None, None)
    assert gc.isenabled() is wanted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.usefixtures("collects")
def test_the_collector_runs_in_a_forked_child() -> None:
    gc.enable()
    with uncollected():
        child = os.fork()
        if not child:
            os._exit(0 if gc.isenabled() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not gc.isenabled()
    assert gc.isenabled()
