"""examples/serve_fastapi.py under gunicorn --preload: answers, errors that say what is wrong, memory."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import io
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
from interpreter import python
from tile_networks import espcn

import convlite as cl

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "serving.md"
NEEDED = ("fastapi", "uvicorn", "uvicorn_worker", "gunicorn")
missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
needs_servers = pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")


def npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def asked(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body)
    reply = connection.getresponse()
    found = reply.status, reply.read()
    connection.close()
    return found


def command_of(server: str, port: int) -> list[str]:
    """The line of the page that starts this server, with a free port."""
    (line,) = re.findall(rf"{server} serve:app[^`\n]*", PAGE.read_text())
    _, *arguments = shlex.split(line.replace("serve:app", "serve_fastapi:app"))
    place = ["--bind", f"127.0.0.1:{port}"] if server == "gunicorn" else ["--port", str(port)]
    return [sys.executable, "-m", server, *arguments, *place, "--log-level", "error"]


@contextlib.contextmanager
def serving(server: str, model: pathlib.Path, **more: str) -> Iterator[tuple[int, int]]:
    """(port, process) of a server as the page starts it; it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clean = {key: value for key, value in os.environ.items() if key != "CONVLITE_NUM_THREADS"}
    environment = {**clean, "MODEL": str(model), "WEB_CONCURRENCY": "2", "SIZE": "32", **more}
    process = subprocess.Popen(command_of(server, port), env=environment, cwd=ROOT / "examples")
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                asked(port, "GET", "/health")
                break
            except OSError:  # not up yet
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


@needs_servers
@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_the_example_answers(server: str, tmp_path: pathlib.Path) -> None:
    net = cl.Network(espcn())
    net.save(tmp_path / "espcn.npz")
    with serving(server, tmp_path / "espcn.npz") as (port, _):
        status, text = asked(port, "GET", "/health")
        told = json.loads(text)
        assert (status, told["network"]) == (200, "espcn")
        allowed = int(python("import convlite; print(convlite.get_num_threads())").stdout)
        assert told["threads"] == max(1, allowed // 2)
        x = np.random.default_rng(0).random((2, 24, 40, 3)).astype(np.float32)
        for _ in range(4):
            status, text = asked(port, "POST", "/predict", npy(x))
            assert status == 200
            assert np.load(io.BytesIO(text)).tobytes() == net(x).tobytes()
        status, text = asked(port, "POST", "/predict", npy(x[0]))
        assert (status, b"is the batch axis missing?" in text) == (422, True)
        assert asked(port, "POST", "/predict", b"no array")[0] == 422


def own_bytes(parent: int) -> list[int]:
    """Of each worker: the memory that it shares with nobody. Workers are what forked from the parent."""
    found = []
    for child in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((child / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                lines = (child / "smaps_rollup").read_text().splitlines()[1:]
                sizes = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines}
                if sizes["Rss"] > 40e6:  # not a helper of multiprocessing
                    found.append(sizes["Private_Dirty"] + sizes["Private_Clean"])
    return found


@needs_servers
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_workers_that_are_forked_after_packing_share_the_weights(tmp_path: pathlib.Path) -> None:
    """uvicorn's workers each load the network; gunicorn's with --preload inherit it."""
    kernel = np.random.default_rng(0).standard_normal((3, 3, 1024, 1024)).astype(np.float32)
    layers = [cl.layers.InputLayer((None, None, 1024)), cl.layers.Conv2D.from_weights(kernel, padding="same")]
    net = cl.layers.Sequential(layers).network()
    net.save(tmp_path / "wide.npz")
    x = np.random.default_rng(1).random((1, 8, 8, 1024)).astype(np.float32)
    want, held = net(x).tobytes(), {}
    for server in ("uvicorn", "gunicorn"):
        with serving(server, tmp_path / "wide.npz", SIZE="8") as (port, process):
            for _ in range(12):  # each worker has one
                status, text = asked(port, "POST", "/predict", npy(x))
                assert status == 200
                assert np.load(io.BytesIO(text)).tobytes() == want
            held[server] = own_bytes(process)
    assert len(held["uvicorn"]) == len(held["gunicorn"]) == 2
    assert min(held["uvicorn"]) > kernel.nbytes, held
    assert max(held["gunicorn"]) < kernel.nbytes, held
