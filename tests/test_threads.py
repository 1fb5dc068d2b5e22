"""Threads: how many and why, scopes, forks, many callers at once, and rest when idle."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from interpreter import python

import convlite as cl
from convlite import _dispatch, _kernels, _threads, ops
from convlite.initializers import GlorotUniform
from convlite.layers import Conv2D

needs_openmp = pytest.mark.skipif(not _dispatch.config()["openmp"], reason="this build has no OpenMP")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


# ---- scopes ------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test sets for the process is undone."""
    monkeypatch.setattr(_threads, "_process", None)
    monkeypatch.setattr(_threads, "_forked_serial", False)


def test_scopes_nest() -> None:
    default = cl.get_num_threads()
    with cl.num_threads(3):
        assert cl.get_num_threads() == 3
        with cl.num_threads(1):
            assert cl.get_num_threads() == 1
        assert cl.get_num_threads() == 3
    assert cl.get_num_threads() == default
    with pytest.raises(ZeroDivisionError), cl.num_threads(5):
        raise ZeroDivisionError
    assert cl.get_num_threads() == default


def test_the_process_setting_is_everywhere_but_in_scopes() -> None:
    with cl.num_threads(2):
        cl.set_num_threads(4)
        assert cl.get_num_threads() == 2
    assert cl.get_num_threads() == 4
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cl.get_num_threads).result() == 4


def test_a_scope_is_for_its_own_thread() -> None:
    default = cl.get_num_threads()
    with cl.num_threads(default + 5), ThreadPoolExecutor(1) as pool:
        assert pool.submit(cl.get_num_threads).result() == default
        context = contextvars.copy_context()
        assert pool.submit(context.run, cl.get_num_threads).result() == default + 5


def test_a_scope_is_for_its_own_task() -> None:
    async def task(n: int) -> int:
        with cl.num_threads(n):
            await asyncio.sleep(0.001)
            return cl.get_num_threads()

    async def both() -> list[int]:
        return await asyncio.gather(task(2), task(3))

    assert asyncio.run(both()) == [2, 3]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (2**31, ValueError),
        (1.0, TypeError),
        (True, TypeError),
        (None, TypeError),
        ("2", TypeError),
        (4097, ValueError),
        (2**31 - 1, ValueError),
    ],
)
def test_bad_counts(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^n must be"):
        cl.set_num_threads(value)
    with pytest.raises(error, match=r"^n must be"), cl.num_threads(value):
        pass


def test_a_refused_count_changes_nothing() -> None:
    cl.set_num_threads(3)
    with pytest.raises(
        ValueError, match=r"^n must be at most 4096 threads; got 5000; a call uses at most \d+ here$"
    ):
        cl.set_num_threads(5000)
    assert cl.get_num_threads() == 3


def test_little_work_is_done_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with cl.num_threads(4):
        assert _threads.threads_for(_threads.SERIAL_WORK - 1) == 1
        assert _threads.threads_for(_threads.SERIAL_WORK) == 4
        monkeypatch.setattr(_kernels, "in_parallel", lambda: True)  # inside another library's region
        assert _threads.threads_for(10**12) == 1


@needs_openmp
def test_a_mistyped_count_does_not_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads._kernels, "in_parallel", lambda: False)
    with cl.num_threads(4096):
        assert cl.get_num_threads() == 4096
        assert _threads.threads_for(10**12) == _threads.MOST_THREADS


def test_more_threads_than_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "SERIAL_WORK", 0)
    x, kernel = np.ones((1, 1, 1, 2)), np.ones((1, 1, 2, 3))
    with cl.num_threads(4096):
        np.testing.assert_array_equal(cl.conv2d(x, kernel), np.full((1, 1, 1, 3), 2.0))


@needs_openmp
def test_absurdly_many_threads() -> None:
    """libgomp ends the process where it cannot create a thread, and overflows the stack before that."""
    script = """
    import numpy as np, convlite as cl
    cl.set_num_threads(4096)
    x = np.ones((1, 1000, 1000, 4), np.float32)
    assert cl.conv2d(x, np.ones((3, 3, 4, 8), np.float32)).max() == 36
    assert cl.max_pool2d(x, 2).sum() == 1e6 and cl.avg_pool2d(x, 2).sum() == 1e6
    assert cl.softmax(x).max() == 0.25 and cl.tanh(x).max() < 1
    print("ok")
    """
    run = python(script)
    assert run.stdout == "ok\n", (run.returncode, run.stderr)


# ---- the default -------------------------------------------------------------------------------------------

PRINT = """
import convlite as cl
from convlite import _threads
print(cl.get_num_threads(), _threads.default()[1])
"""


@needs_openmp
@pytest.mark.parametrize(
    ("environment", "want"),
    [
        ({"CONVLITE_NUM_THREADS": "3"}, "3 CONVLITE_NUM_THREADS"),
        ({"CONVLITE_NUM_THREADS": " 5 ", "OMP_NUM_THREADS": "2"}, "5 CONVLITE_NUM_THREADS"),
        ({"CONVLITE_NUM_THREADS": "4096"}, "4096 CONVLITE_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "6"}, "6 OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "4,2"}, "4 OMP_NUM_THREADS"),
        ({"CONVLITE_NUM_THREADS": "", "OMP_NUM_THREADS": "7"}, "7 OMP_NUM_THREADS"),
    ],
)
def test_the_environment_sets_the_default(environment: dict[str, str], want: str) -> None:
    assert python(PRINT, **environment).stdout.strip() == want


@needs_openmp
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "²", "4097", "99999999999999", "9" * 5000])
def test_a_bad_environment_is_an_error(value: str) -> None:
    run = python("import convlite", CONVLITE_NUM_THREADS=value)
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "ImportError: CONVLITE_NUM_THREADS must be an integer from 1 to 4096; got '" + value[:50]
    )
    assert len(last) < 400


@needs_openmp
def test_another_librarys_bad_environment_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVLITE_NUM_THREADS", raising=False)
    for value in ("0", "many", "4097", "99999999999999"):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert _threads._environment() is None


@needs_openmp
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_affinity_bounds_the_default() -> None:
    prelude = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    assert python(PRINT, prelude=prelude).stdout.split()[0] == "1"


@needs_openmp
@pytest.mark.parametrize(
    ("cores", "quota", "want"),
    [(8, None, 8), (8, 2.0, 2), (8, 2.9, 2), (8, 0.5, 1), (2, 4.0, 2), (1, None, 1)],
)
def test_the_default_is_the_least_of_all(
    monkeypatch: pytest.MonkeyPatch, cores: int, quota: float | None, want: int
) -> None:
    for name in ("CONVLITE_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(_threads, "cgroup_quota", lambda: quota)
    count, reason = _threads._default()
    assert count == want
    assert ("quota" in reason) == (quota is not None and quota < cores)


# ---- fork --------------------------------------------------------------------------------------------------

# A child's first parallel region hangs for ever if the pool of its parent was copied without its threads.
FORK = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forks with threads around are the point
import numpy as np
import convlite as cl
from convlite import _threads
_threads.SERIAL_WORK = 0
x = np.ones((2, 16, 16, 8), np.float32)
kernel = cl.PackedKernel(np.ones((3, 3, 8, 32), np.float32))

def work():
    with cl.num_threads(2):
        return float(cl.conv2d(x, kernel, padding="same").sum())

want = work()

def child(n=1):
    pid = os.fork()
    if pid == 0:
        ok = work() == want and work() == want
        if ok and n > 1:
            ok = child(n - 1)
        os._exit(0 if ok else 1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return False
"""


@needs_fork
@needs_openmp
def test_a_forked_child_computes_with_threads() -> None:
    run = python("assert child(); assert work() == want; assert child(); print('ok')", prelude=FORK)
    assert run.stdout == "ok\n", run.stderr


@needs_fork
@needs_openmp
def test_a_child_of_a_child_computes() -> None:
    run = python("assert child(3); assert work() == want; print('ok')", prelude=FORK)
    assert run.stdout == "ok\n", run.stderr


@needs_fork
@needs_openmp
def test_a_fork_from_a_thread() -> None:
    script = """
    results = []
    def forks():
        results.append(work() == want)
        results.append(child())
        results.append(work() == want)
    for _ in range(2):
        thread = threading.Thread(target=forks)
        thread.start()
        thread.join()
    assert results == [True] * 6, results
    print('ok')
    """
    run = python(script, prelude=FORK)
    assert run.stdout == "ok\n", run.stderr


@needs_fork
@needs_openmp
@pytest.mark.skipif(
    os.environ.get("CONVLITE_SANITIZER") == "asan",
    reason="Clang 16's ASan forks with its malloc locked: the child may wait for that for ever, in fork()",
)
def test_a_fork_while_another_thread_computes() -> None:
    script = """
    stop = threading.Event()
    def busy():
        while not stop.is_set():
            assert work() == want
    thread = threading.Thread(target=busy)
    thread.start()
    good = [child() for _ in range(5)]
    stop.set()
    thread.join()
    assert all(good), good
    print('ok')
    """
    run = python(script, prelude=FORK)
    assert run.stdout == "ok\n", run.stderr


@needs_fork
@needs_openmp
def test_a_pool_of_forked_processes() -> None:
    script = """
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert [pool.apply_async(work).get(timeout=20) for _ in range(4)] == [want] * 4
    print('ok')
    """
    run = python(script, prelude=FORK)
    assert run.stdout == "ok\n", run.stderr


def test_where_the_pool_cannot_be_freed_the_child_computes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kernels, "pause_openmp", lambda: False)
    with cl.num_threads(4):
        _threads._before_fork()
        assert cl.get_num_threads() == 4  # the parent goes on as before
        _threads._after_in_child()
        assert cl.get_num_threads() == 1


def test_threads_that_fork_at_once_do_not_mix_their_pools_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kernels, "pause_openmp", lambda: False)
    _threads._before_fork()
    monkeypatch.setattr(_kernels, "pause_openmp", lambda: True)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_threads._before_fork).result()
        pool.submit(_threads._after_in_child).result()
    assert not _threads._forked_serial
    _threads._after_in_child()
    assert _threads._forked_serial


# ---- many callers ------------------------------------------------------------------------------------------


@needs_openmp
def test_one_packed_kernel_for_many_python_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "SERIAL_WORK", 0)
    rng = np.random.default_rng(0)
    kernel = cl.PackedKernel(rng.standard_normal((3, 3, 16, 40)).astype(np.float32))
    images = [rng.standard_normal((1, 9 + i, 10, 16)).astype(np.float32) for i in range(8)]
    want = [cl.conv2d(x, kernel, padding="same", activation="tanh") for x in images]
    start = threading.Barrier(len(images))

    def call(i: int) -> bool:
        start.wait()
        out = np.empty_like(want[i])
        for n in (1, 2, 3, 1, 2):
            with cl.num_threads(n):
                cl.conv2d(images[i], kernel, padding="same", activation="tanh", out=out)
            if out.tobytes() != want[i].tobytes():
                return False
        return True

    with ThreadPoolExecutor(len(images)) as pool:
        assert all(pool.map(call, range(len(images))))


@pytest.mark.thread_unsafe(reason="selects instruction sets")
def test_a_kernel_may_be_packed_by_many_at_once() -> None:
    kernel = cl.PackedKernel(np.ones((3, 3, 16, 40), np.float32))
    x = np.ones((1, 5, 5, 16), np.float32)
    start = threading.Barrier(6)

    def call(_: int) -> float:
        start.wait()
        return float(cl.conv2d(x, kernel)[0, 0, 0, 0])

    with _dispatch.use_isa("base"), ThreadPoolExecutor(6) as pool:
        assert list(pool.map(call, range(6))) == [144.0] * 6


def test_caches_may_be_filled_by_many_at_once() -> None:
    """Plans are thrown out, layers are built and forget shapes (they remember 64), while others compute."""
    rng = np.random.default_rng(1)
    kernel = rng.standard_normal((3, 3, 4, 8)).astype(np.float32)
    images = [rng.standard_normal((1, 5 + i % 9, 6 + i // 9, 4)).astype(np.float32) for i in range(72)]

    def fresh() -> Conv2D:
        return Conv2D(8, 3, padding="same", kernel_initializer=GlorotUniform(seed=3), activation="tanh")

    first, layer = fresh(), fresh()
    want = [first(x).tobytes() + cl.conv2d(x, kernel, strides=2).tobytes() for x in images]
    ops.planned.cache_clear()
    start = threading.Barrier(9)

    def compute(i: int) -> bool:
        start.wait()
        order = [(i * 11 + j) % len(images) for j in range(len(images))]
        return all(
            layer(images[j]).tobytes() + cl.conv2d(images[j], kernel, strides=2).tobytes() == want[j]
            for j in order + order[::-1]
        )

    def forget() -> bool:
        start.wait()
        for _ in range(50):
            ops.planned.cache_clear()
            ops.geometry_of.cache_clear()
            time.sleep(1e-4)
        return True

    with ThreadPoolExecutor(9) as pool:
        done = [pool.submit(forget), *(pool.submit(compute, i) for i in range(8))]
        assert all(result.result() for result in done)


def test_the_interpreter_runs_on_during_a_call() -> None:
    """The GIL is released: another Python thread moves while this one is inside the core."""
    x = np.ones((1, 64, 64, 128), np.float32)
    kernel = cl.PackedKernel(np.ones((3, 3, 128, 256), np.float32))
    ticks, stop = 0, threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not stop.is_set():
            ticks += 1
            time.sleep(0)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        with cl.num_threads(1):
            cl.conv2d(x, kernel, padding="same")
            best = 0
            for _ in range(5):  # the other thread may be kept waiting by a busy machine
                before = ticks
                cl.conv2d(x, kernel, padding="same")
                best = max(best, ticks - before)
    finally:
        stop.set()
        thread.join()
    assert best > 20


# ---- rest --------------------------------------------------------------------------------------------------


@needs_openmp
def test_idle_threads_take_no_time() -> None:
    script = """
    import time, numpy as np, convlite as cl
    from convlite import _threads
    _threads.SERIAL_WORK = 0
    x, kernel = np.ones((2, 32, 32, 16), np.float32), np.ones((3, 3, 16, 32), np.float32)
    with cl.num_threads(2):
        for _ in range(20):
            cl.conv2d(x, kernel)
    shares = []
    for _ in range(5):
        before, start = time.process_time(), time.perf_counter()
        time.sleep(0.1)
        shares.append((time.process_time() - before) / (time.perf_counter() - start))
    print(min(shares))
    """
    # a thread that spins takes a share of 1; the smallest of five: a host may charge a moment to anybody
    assert float(python(script).stdout) < 0.1


@needs_openmp
def test_other_libraries_see_nothing_of_it() -> None:
    """omp_set_num_threads is never called, and neither is the environment changed."""
    script = """
    import ctypes, os
    gomp = ctypes.CDLL("libgomp.so.1")
    before = gomp.omp_get_max_threads(), dict(os.environ)
    import numpy as np, convlite as cl
    from convlite import _threads
    _threads.SERIAL_WORK = 0
    cl.set_num_threads(3)
    cl.conv2d(np.ones((1, 32, 32, 8)), np.ones((3, 3, 8, 32)))
    assert (gomp.omp_get_max_threads(), dict(os.environ)) == before
    print("ok")
    """
    run = python(script)
    if "libgomp.so.1" in run.stderr:
        pytest.skip("this build's OpenMP is not libgomp")
    assert run.stdout == "ok\n", run.stderr
