"""Processes and neighbours: pools, signals, the end of the interpreter, other libraries with threads."""

from __future__ import annotations

import concurrent.futures
import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interpreter import python

import convlite as cl
from convlite import _dispatch, _threads

needs_openmp = pytest.mark.skipif(not _dispatch.config()["openmp"], reason="this build has no OpenMP")
unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

X = np.ones((2, 40, 40, 16), np.float32)
KERNEL = np.ones((3, 3, 16, 32), np.float32)


# ---- pools -------------------------------------------------------------------------------------------------


@needs_openmp
def test_one_model_called_from_sixteen_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its own number of OpenMP threads, which is another in each round."""
    monkeypatch.setattr(_threads, "SERIAL_WORK", 0)
    rng = np.random.default_rng(0)
    weights = [
        rng.standard_normal(shape).astype(np.float32) for shape in ((3, 3, 3, 24), (3, 3, 24, 1), (24, 5))
    ]
    model = cl.layers.Sequential(
        [
            cl.layers.Conv2D.from_weights(weights[0], activation="relu", padding="same"),
            cl.layers.DepthwiseConv2D.from_weights(weights[1], strides=2),
            cl.layers.MaxPooling2D(2),
            cl.layers.Dense.from_weights(weights[2], activation="softmax"),
        ]
    )
    images = [rng.standard_normal((1, 17 + i % 4, 18, 3)).astype(np.float32) for i in range(16)]
    want = [model(x).tobytes() for x in images]
    start = threading.Barrier(16)

    def call(i: int) -> bool:
        start.wait()
        good = True
        for turn in range(6):
            with cl.num_threads(1 + (i + turn) % 4):
                good &= model(images[i]).tobytes() == want[i]
        return good

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(call, range(16)))


@unix
@needs_openmp
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork with threads around is the point
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_of_processes(method: str) -> None:
    with cl.num_threads(2):
        want = cl.conv2d(X, KERNEL)
    context: Any = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        tasks = [pool.submit(cl.conv2d, X, KERNEL) for _ in range(4)]
        for task in tasks:
            np.testing.assert_array_equal(task.result(timeout=60), want)


@needs_openmp
@pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing"])
def test_joblib(backend: str) -> None:
    joblib = pytest.importorskip("joblib")
    want = cl.conv2d(X, KERNEL)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        results = joblib.Parallel()(joblib.delayed(cl.conv2d)(X, KERNEL) for _ in range(4))
    for got in results:
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_dask(scheduler: str) -> None:
    dask = pytest.importorskip("dask")
    want = cl.conv2d(X, KERNEL)
    tasks = [dask.delayed(cl.conv2d)(X, KERNEL) for _ in range(6)]
    for got in dask.compute(*tasks, scheduler=scheduler, num_workers=3):
        np.testing.assert_array_equal(got, want)


# ---- signals and the end -----------------------------------------------------------------------------------

WORK = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
import numpy as np
import convlite as cl
from convlite import _threads
_threads.SERIAL_WORK = 0
x = np.ones((1, 64, 64, 64), np.float32)
kernel = cl.PackedKernel(np.ones((3, 3, 64, 128), np.float32))

def work():
    with cl.num_threads(2):
        return float(cl.conv2d(x, kernel, padding="valid").max())

want = work()
"""


@unix
@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=needs_openmp)])
def test_an_interrupt_is_raised_after_the_call(threads: int) -> None:
    """The signal comes when the first number is written and the last is not; the array is whole all the same,
    and the next calls are right.
    """
    script = f"""
    cl.set_num_threads({threads})
    big = np.ones((40, 64, 64, 64), np.float32)
    out = np.empty((40, 62, 62, 128), np.float32)
    caught = []

    def interrupt():
        while np.isnan(out[0, 0, 0, 0]):
            time.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        caught.append(bool(np.isnan(out[-1]).any()))  # still at it when the signal had come

    for attempt in range(20):  # until it came in good time
        out.fill(np.nan)
        thread = threading.Thread(target=interrupt)
        interrupted = False
        try:
            thread.start()
            cl.conv2d(big, kernel, out=out)
            thread.join()
        except KeyboardInterrupt:
            interrupted = True
        thread.join()
        assert interrupted
        assert (out == want).all()
        assert cl.get_num_threads() == {threads}
        assert work() == want
        assert (cl.conv2d(big[:2], kernel) == want).all()
        if caught[-1]:
            break
    print("ok" if caught[-1] else "the signal never came during a call")
    """
    run = python(script, prelude=WORK)
    assert run.stdout == "ok\n", run.stderr


@pytest.mark.parametrize("daemon", [True, False])
def test_the_interpreter_ends_while_threads_compute(daemon: bool) -> None:
    script = f"""
    def busy():
        for _ in range(50):
            assert work() == want
    for _ in range(4):
        threading.Thread(target=busy, daemon={daemon}).start()
    time.sleep(0.02)
    print("ok", flush=True)
    """
    run = python(script, prelude=WORK)
    assert (run.returncode, run.stdout, run.stderr) == (0, "ok\n", "")


def test_calls_from_atexit_and_destructors() -> None:
    script = """
    import atexit
    class Late:
        def __del__(self):
            print(work() == want, flush=True)
    late = Late()
    atexit.register(lambda: print(work() == want, flush=True))
    """
    run = python(script, prelude=WORK)
    assert (run.returncode, run.stdout, run.stderr) == (0, "True\nTrue\n", "")


# ---- servers -----------------------------------------------------------------------------------------------

PRELOADED = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
"""


@unix
@needs_openmp
@pytest.mark.parametrize("idle", [True, False], ids=["idle", "while another thread computes"])
def test_a_server_that_forks_after_loading(idle: bool) -> None:
    """As gunicorn --preload: the parent computes, then forks workers, and forks again those that die."""
    if not idle and os.environ.get("CONVLITE_SANITIZER") == "asan":
        pytest.skip(
            "Clang 16's ASan forks with its malloc locked: the child may wait for that for ever, in fork()"
        )
    script = f"""
    stop = threading.Event()
    def busy():
        while not stop.is_set():
            assert work() == want
    if not {idle}:
        threading.Thread(target=busy).start()
    children = []
    for generation in range(3):
        for worker in range(3):
            pid = os.fork()
            if pid == 0:
                good = all(work() == want for _ in range(3))
                threads = [threading.Thread(target=work) for _ in range(3)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                os._exit(0 if good else 1)
            children.append(pid)
        assert work() == want
    deadline = time.monotonic() + 40
    left = set(children)
    while left and time.monotonic() < deadline:
        for pid in list(left):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                assert status == 0, status
                left.remove(pid)
        time.sleep(0.01)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    stop.set()
    print("ok" if not left else f"{{len(left)}} hang")
    """
    run = python(script, prelude=PRELOADED + WORK)
    assert run.stdout == "ok\n", run.stderr


APPLICATION = (
    WORK
    + """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (os.getpid(), work() == want)]
"""
)


@pytest.mark.long
@unix
def test_gunicorn_preload(tmp_path: Path) -> None:
    if importlib.util.find_spec("gunicorn") is None:
        pytest.skip("gunicorn is not installed")
    import socket
    import subprocess
    import time
    import urllib.request

    (tmp_path / "service.py").write_text(APPLICATION)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [
        "--preload",
        "--workers",
        "3",
        "--threads",
        "2",
        "--bind",
        f"127.0.0.1:{port}",
        "--timeout",
        "20",
    ]
    command = [sys.executable, "-m", "gunicorn", *options, "service:app"]
    server = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        answers: list[str] = []
        deadline = time.monotonic() + 40
        while len(answers) < 60:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as reply:
                    answers.append(reply.read().decode())
            except OSError:  # not up yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
    finally:
        server.send_signal(signal.SIGTERM)
        _, log = server.communicate(timeout=30)
    assert {answer.split()[1] for answer in answers} == {"1"}
    assert "TIMEOUT" not in log
    assert str(server.pid) not in {answer.split()[0] for answer in answers}


# ---- other libraries ---------------------------------------------------------------------------------------

OTHERS = {
    "numpy": "import numpy; a = numpy.ones((500, 500)); assert (a @ a)[0, 0] == 500",
    "torch": "import torch; a = torch.ones(500, 500); assert float((a @ a)[0, 0]) == 500",
    "sklearn": "from sklearn.cluster import KMeans; import numpy; "
    "KMeans(3, n_init=1).fit(numpy.arange(6000.0).reshape(-1, 2))",
    "scipy": "import scipy.linalg, numpy; scipy.linalg.svd(numpy.ones((200, 200)))",
}


PAIRS = [("convlite", other) for other in ("torch", "sklearn", "numpy", "scipy")]
ORDERS = [
    *PAIRS,
    *(pair[::-1] for pair in PAIRS),
    ("torch", "convlite", "sklearn"),
    ("sklearn", "torch", "convlite"),
]


@pytest.mark.long
@needs_openmp
@pytest.mark.parametrize("names", ORDERS, ids="-".join)
def test_together_with_other_libraries(names: tuple[str, ...]) -> None:
    """Loaded in this order, used in turn, then in a forked child: right, and nobody hangs."""
    for name in names:
        if name != "convlite" and importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    lines = [line for name in names for line in OTHERS.get(name, WORK).splitlines()]
    uses = [OTHERS.get(name, "assert work() == want") for name in names]
    script = ["import warnings; warnings.simplefilter('ignore')", *lines, *uses, *uses]
    script += [
        "import os, time",
        "pid = os.fork()",
        "if pid == 0:",
        "    good = work() == want",
        "    os._exit(0 if good else 1)",
        "deadline = time.monotonic() + 30",
        "done = 0",
        "while not done and time.monotonic() < deadline:",
        "    done, status = os.waitpid(pid, os.WNOHANG)",
        "    time.sleep(0.01)",
        "if not done: os.kill(pid, 9)",
        *uses,
        "print('ok' if done and status == 0 else 'the child hangs or fails')",
    ]
    run = python("\n".join(script))
    assert run.stdout == "ok\n", run.stderr
