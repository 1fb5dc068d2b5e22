"""What a network keeps for its next call, and gives back when there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from network_examples import F, numbers

import convlite as cl
from convlite.network import idle
from convlite.network.graph import Graph, Node, Value
from convlite.network.program import Program

pytestmark = pytest.mark.thread_unsafe(reason="changes how long idle arenas are kept")
_POSIX = hasattr(os, "fork")


def network(rows: int | str = "N") -> cl.Network:
    nodes = [Node("abs", ("x",), ("t",)), Node("softmax", ("t",), ("y",), {"axis": -1})]
    ends = [[Value(name, F, (rows, 4))] for name in "xy"]
    return cl.Network(Graph.of(*ends, nodes))


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    idle.stop()  # a thread that sleeps for the usual time
    monkeypatch.setattr(idle, "PERIOD", 0.02)
    yield
    idle.stop()


def program_of(net: cl.Network) -> Program:
    (program,) = net._executor._programs.values()
    return program


def comes(wanted: bool, what: object) -> bool:
    """Whether what() becomes so within a long time."""
    end = time.monotonic() + 20
    while bool(what()) is not wanted and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.005)
    return bool(what()) is wanted  # type: ignore[operator]


def test_an_arena_goes_when_no_call_comes_and_the_thread_ends(soon: None) -> None:
    net, x = network(), numbers(1, 64, 4)
    want = net(x).tobytes()
    program = program_of(net)
    arena = weakref.ref(next(a.base for frame in program._frames for a in frame if a is not None))
    for _ in range(3):
        assert comes(False, lambda: program._frames)
        assert comes(False, lambda: idle.watch)
        assert arena() is None
        assert net(x).tobytes() == want
        assert idle.watch is not None
    assert program_of(net) is program  # the plan stays


def test_an_arena_stays_while_calls_come() -> None:
    idle.stop()
    net = network()
    net(numbers(1, 8, 4))
    held, other = program_of(net), network()
    other(numbers(1, 8, 4))
    frame = held._frames[0]
    held.called, program_of(other).called = True, False
    locks = idle._thread.allocate_lock(), idle._thread.allocate_lock()
    for lock in locks:
        lock.acquire()
    turns = iter((False, True))

    class Wake:  # two wakings: one that looks, one that ends
        def acquire(self, timeout: float) -> bool:
            return next(turns)

    idle._run(Wake(), locks[1])
    assert held._frames == [frame]
    assert not held.called
    assert not program_of(other)._frames
    idle.stop()
    assert not held._frames


def test_calls_that_run_while_arenas_go(soon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "PERIOD", 0.0005)
    nets = [network() for _ in range(4)]
    images = [numbers(i, 30 + i, 4) for i in range(4)]
    want = [net(x).tobytes() for net, x in zip(nets, images, strict=True)]

    def calls(number: int) -> bool:
        good = True
        for turn in range(200):
            which = (number + turn) % 4
            good &= nets[which](images[which]).tobytes() == want[which]
            time.sleep(0.0002 * (turn % 7))
        return good

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(calls, range(8)))
    assert comes(False, lambda: any(program_of(net)._frames for net in nets))


def test_where_no_thread_can_be_started_arenas_stay(soon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*given: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(idle._thread, "start_new_thread", none)
    net, x = network(), numbers(1, 8, 4)
    np.testing.assert_array_equal(net(x), net(x))
    assert idle.watch is None
    assert program_of(net)._frames


@pytest.mark.skipif(not _POSIX, reason="fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_finds_no_thread_and_no_arena(soon: None) -> None:
    net, x = network(), numbers(1, 8, 4)
    want = net(x).tobytes()
    assert program_of(net)._frames
    child = os.fork()
    if child == 0:
        good = idle.watch is None and not program_of(net)._frames and net(x).tobytes() == want
        os._exit(0 if good and idle.watch is not None and comes(False, lambda: idle.watch) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not program_of(net)._frames
    assert net(x).tobytes() == want


def test_an_interpreter_ends_beside_the_thread() -> None:
    code = (
        "import numpy as np, convlite as cl\n"
        "from convlite.network import idle\n"
        "from convlite.layers import Conv2D, InputLayer, Sequential\n"
        "net = Sequential([InputLayer((None, None, 1)), Conv2D(2, 3)]).network()\n"
        "net(np.zeros((1, 8, 8, 1), np.float32))\n"
        "print(idle.watch is not None)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cl.__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=40, check=True)
    assert done.stdout == "True\n"
    assert not done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the system for its memory")
def test_a_large_arena_goes_back_to_the_system(soon: None) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )

    nodes = [Node("softmax", ("x",), ("t",), {"axis": 1}), Node("softmax", ("t",), ("y",), {"axis": -1})]
    ends = [[Value(name, F, (16, 1 << 19))] for name in "xy"]
    net, x = cl.Network(Graph.of(*ends, nodes)), np.zeros((16, 1 << 19), F)
    for _ in range(3):  # malloc keeps such a block from the second time on
        np.testing.assert_allclose(net(x)[0, 0], 1 / (1 << 19), rtol=1e-5)
        size = program_of(net).arena_bytes
        assert size >= 32 << 20
        least = resident() - size // 2
        assert comes(False, lambda: program_of(net)._frames)
        assert comes(True, lambda least=least: resident() < least)


def test_load_plans_where_the_file_fixes_the_shapes(tmp_path: Path) -> None:
    for rows, ready in ((8, 1), ("N", 0)):
        network(rows).save(tmp_path / "net.npz")
        net, x = cl.load(tmp_path / "net.npz"), numbers(1, 8, 4)
        made = list(net._executor._programs.values())
        assert [len(program._frames) for program in made] == [1] * ready
        frames = [program._frames[0] for program in made]
        np.testing.assert_array_equal(net(x), network()(x))
        assert [program._frames[0] for program in made] == frames
        assert list(net._executor._programs.values())[:ready] == made
        with cl.precision("fast"):
            np.testing.assert_allclose(net(x), network()(x), rtol=1e-6)
        assert len(net._executor._programs) == 2
