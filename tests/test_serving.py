"""examples/serve_fastapi.py under gunicorn --preload: right answers, errors that say what is wrong."""

from __future__ import annotations

import http.client
import importlib.util
import io
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from tile_networks import espcn

import convlite as cl

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
NEEDED = ("fastapi", "uvicorn", "uvicorn_worker", "gunicorn")
missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]


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


@pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")
def test_the_example_answers(tmp_path: pathlib.Path) -> None:
    net = cl.Network(espcn())
    net.save(tmp_path / "espcn.npz")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "gunicorn", "serve_fastapi:app", "--preload", "--workers", "2"),
        *("-k", "uvicorn_worker.UvicornWorker", "--bind", f"127.0.0.1:{port}", "--log-level", "error"),
        *("--chdir", str(EXAMPLES)),
    ]
    environment = {"MODEL": str(tmp_path / "espcn.npz"), "CONVLITE_NUM_THREADS": "1", "SIZE": "32"}
    server = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                status, text = asked(port, "GET", "/health")
                break
            except OSError:  # not up yet
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert (status, b"espcn" in text) == (200, True)
        x = np.random.default_rng(0).random((2, 24, 40, 3)).astype(np.float32)
        for _ in range(4):
            status, text = asked(port, "POST", "/predict", npy(x))
            assert status == 200
            assert np.load(io.BytesIO(text)).tobytes() == net(x).tobytes()
        status, text = asked(port, "POST", "/predict", npy(x[0]))
        assert (status, b"is the batch axis missing?" in text) == (422, True)
        assert asked(port, "POST", "/predict", b"no array")[0] == 422
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
