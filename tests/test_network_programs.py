"""Programs run by the core: threads, forks, signals, the GIL, and what a call leaves behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from network_examples import CONV, F, numbers

import convlite as cl
from convlite import _dispatch, _kernels, _threads
from convlite.network.graph import Graph, Node, Value
from convlite.network.interpret import interpret

_POSIX = hasattr(os, "fork")


def value(name: str, *shape: int | str) -> Value:
    return Value(name, F, shape)


def chain(length: int, channels: int = 16, size: int = 24, odd: str = "") -> Graph:
    """3x3 convolutions with what stands between them; `odd`: a kind that NumPy computes, in the middle."""
    nodes, constants, x = [], {}, "x"
    for i in range(length):
        constants[f"k{i}"] = numbers(i, 3, 3, channels, channels) / 12
        nodes.append(Node("conv", (x, f"k{i}"), (f"c{i}",), {**CONV, "padding": "same"}))
        nodes.append(Node("sigmoid", (f"c{i}",), (f"s{i}",)))
        nodes.append(Node("mul", (f"c{i}", f"s{i}"), (f"m{i}",)))
        x = f"m{i}"
        if odd and i == length // 2:
            nodes.append(Node(odd, (x,), ("odd",)))
            x = "odd"
    constants["axes"] = np.array([1, 2])
    means = {"keepdims": True, "noop_with_empty_axes": False}
    nodes += [
        Node("reduce_mean", (x, "axes"), ("mean",), means),
        Node("softmax", ("mean",), ("soft",), {"axis": -1}),
        Node("concat", (x, x), ("both",), {"axis": -1}),
    ]
    ends = [value("soft", "N", 1, 1, channels), value("both", "N", size, size, 2 * channels)]
    return Graph.of([value("x", "N", size, size, channels)], ends, nodes, constants)


def bits(outputs: Any) -> tuple[bytes, ...]:
    return tuple(y.tobytes() for y in outputs)


@pytest.mark.parametrize("odd", ["", "tan"])
@pytest.mark.parametrize("batch", [1, 3])
def test_bits_do_not_depend_on_threads(odd: str, batch: int) -> None:
    graph = chain(4, odd=odd)
    net, x = cl.Network(graph), numbers(1, batch, 24, 24, 16)
    for found, wanted in zip(net(x), interpret(graph, [x]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    with cl.num_threads(1):
        want = bits(net(x))
    for threads in (2, 3, 7):
        with cl.num_threads(threads):
            assert {bits(net(x)) for _ in range(20)} == {want}


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 64])
def test_threads_do_each_task_once(threads: int) -> None:
    """Steps that add 1 to arrays where they lie: tasks of 32 KB, fewer than threads, many, or one."""
    arrays = [np.zeros(size, F) for size in (20_000, 24_577, 40_000, 150_001, 1_200_000, 100)]
    script = _kernels.Script(threads, arrays)
    add = _kernels.pass_codes()["add"]
    for array in arrays * 3:
        _kernels.elementwise(_dispatch.active_isa(), add, array, 1.0, array, into=script)
    script.close()
    for count in range(1, 41):
        script.run(0, len(script))
        assert all((array == 3 * count).all() for array in arrays)


def test_sixteen_threads_on_one_program() -> None:
    net = cl.Network(chain(3))
    inputs = [numbers(n, 1, 24, 24, 16) for n in range(16)]
    want = [bits(net(x)) for x in inputs]
    with ThreadPoolExecutor(16) as threads:
        for _ in range(5):
            assert [bits(y) for y in threads.map(net, inputs)] == want
    (program,) = net._executor._programs.values()
    assert 1 <= len(program._frames) <= 17


def test_the_core_runs_all_but_what_numpy_must() -> None:
    for odd, parts in (("", 1), ("tan", 3)):
        net = cl.Network(chain(3, odd=odd))
        net(numbers(0, 1, 24, 24, 16))
        (program,) = net._executor._programs.values()
        (frame,) = program._frames
        assert len(frame.parts) == parts
        assert ("NumPy" in str(net)) == bool(odd)


def test_inputs_and_results_are_other_arrays_in_each_call() -> None:
    net = cl.Network(chain(2))
    x = numbers(0, 2, 24, 24, 16)
    want = bits(net(x))
    kept = net(x)
    for _ in range(3):
        other = x.copy()
        found = net(other)
        assert bits(found) == want
        assert not any(np.shares_memory(a, b) for a in found for b in (*kept, x, other))
        other[...] = np.nan
        for y in found:
            y[...] = np.nan
    assert bits(kept) == want


@pytest.mark.skipif(not _POSIX, reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_after_a_run() -> None:
    net, x = cl.Network(chain(3)), numbers(0, 1, 24, 24, 16)
    with cl.num_threads(2):
        want = bits(net(x))
        child = os.fork()
        if child == 0:
            os._exit(0 if all(bits(net(x)) == want for _ in range(3)) else 1)
        deadline = time.monotonic() + 60
        while (done := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
            assert bits(net(x)) == want
        if done[0] == 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        assert os.waitstatus_to_exitcode(done[1]) == 0


def test_other_python_threads_run_meanwhile() -> None:
    net, x = cl.Network(chain(12, 64, 56)), numbers(0, 2, 56, 56, 64)
    net(x)
    turns, ended = [0], threading.Event()

    def count() -> None:
        while not ended.is_set():
            turns[0] += 1
            time.sleep(0)

    other = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # whoever has the GIL keeps it, unless it lets go
    try:
        other.start()
        before = turns[0]
        net(x)
        after = turns[0]
    finally:
        ended.set()
        sys.setswitchinterval(interval)
        other.join()
    assert after > before


def _forever(net: cl.Network, x: Any) -> None:
    while True:
        net(x)


@pytest.mark.skipif(not _POSIX, reason="signals")
def test_ctrl_c_ends_a_long_call_between_steps() -> None:
    net, x = cl.Network(chain(40, 64, 56)), numbers(0, 16, 56, 56, 64)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with cl.num_threads(1):
            start = time.perf_counter()
            want = bits(net(x))
            whole = time.perf_counter() - start
            caller = threading.main_thread().ident
            assert caller is not None
            threading.Timer(whole / 20, signal.pthread_kill, (caller, signal.SIGINT)).start()
            start = time.perf_counter()
            with pytest.raises(KeyboardInterrupt):
                _forever(net, x)
            assert time.perf_counter() - start < 0.9 * whole
            assert bits(net(x)) == want
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not _POSIX, reason="process times")
def test_no_thread_is_busy_after_a_call() -> None:
    net, x = cl.Network(chain(6)), numbers(0, 1, 24, 24, 16)
    with cl.num_threads(2):
        for _ in range(20):
            net(x)
        time.sleep(0.3)  # LLVM's OpenMP spins for 0.2 s, GCC's not at all
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.1


def test_a_quota_bounds_the_threads_of_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = cl.Network(chain(2)), numbers(0, 1, 24, 24, 16)
    for name in ("CONVLITE_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(_threads, "_process", None)
    for quota, threads in ((1.5, 1), (3.0, 3)):
        monkeypatch.setattr(_threads, "cgroup_quota", lambda quota=quota: quota)
        monkeypatch.setattr(_threads, "_default_count", _threads._default()[0])
        net(x)
        (program,) = net._executor._programs.values()
        assert program._frames[-1].script.threads == (threads if _kernels.openmp() else 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="CPUs of single threads")
def test_threads_keep_the_cpus_that_they_may_use() -> None:
    """One that meets the leader on its CPU moves away; it may come back."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("there is one CPU")
    net, x = cl.Network(chain(6)), numbers(0, 4, 24, 24, 16)
    want = bits(net(x))

    def restrict(cpus: set[int]) -> None:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), cpus)

    try:
        with cl.num_threads(2):
            for cpu in sorted(allowed) * 5:
                restrict({cpu})  # all meet here
                assert bits(net(x)) == want
                restrict(allowed)
                assert bits(net(x)) == want
                found = [os.sched_getaffinity(int(thread)) for thread in os.listdir("/proc/self/task")]
                assert all(cpus == allowed for cpus in found)
    finally:
        restrict(allowed)


def test_a_new_count_of_threads_binds_anew() -> None:
    net, x = cl.Network(chain(2)), numbers(0, 1, 24, 24, 16)
    (first,) = {bits(net(x)) for _ in range(2)}
    (program,) = net._executor._programs.values()
    for threads in (1, 2, 1):
        with cl.num_threads(threads):
            assert bits(net(x)) == first
        assert program._frames[-1].threads == program._frames[-1].script.threads == threads


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("index", [1, -1])
def test_one_number_of_a_vector_is_read_at_each_call(dtype: str, index: int) -> None:
    """NumPy gives a copy where an index takes the last axis away; a bound step must read the vector."""
    kind = np.dtype(dtype)
    node = Node("gather", ("x", "i"), ("y",), {"axis": 0})
    ends = [Value("x", kind, ("n",))], [Value("y", kind, ())]
    net = cl.Network(Graph.of(*ends, [node], {"i": np.array(index)}))
    for k in range(3):
        x = np.array([3, 7, 9 + k], kind) * (k + 1)
        assert np.asarray(net(x)) == x[index]
    sizes = [Node("shape", ("x",), ("s",), {"start": 0, "end": None}), node.with_(inputs=("s", "i"))]
    ends = [Value("x", F, ("n", "m"))], [Value("y", np.dtype("int64"), ())]
    net = cl.Network(Graph.of(*ends, sizes, {"i": np.array(index)}))
    assert [int(net(np.zeros((2, m), F))) for m in (5, 6)] == [5, 6]
