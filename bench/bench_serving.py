"""Requests a second, latency and memory of examples/serve_fastapi.py, against the same app on ONNX Runtime.

    pip install ".[onnx]" fastapi uvicorn uvicorn-worker gunicorn onnxruntime
    python bench/bench_serving.py MODEL.onnx [--seconds 5] [--clients 4] [--workers 2] [--page]

On loopback, one thread a worker. Each server gets the same load: so many clients, each with one connection
and one request at a time. Memory is what Linux says of each worker after the load: resident, Pss (pages that
several share count in parts) and what is the worker's own. Processor: what the workers took for a request,
which a busy machine changes least. Rounds of all servers are interleaved: those that do not have their turn
sleep. --page: write the table into docs/serving.md.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

import numpy as np
from figures import show, table, where

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
PEER = '''
import convlite as cl
import numpy as np
import onnxruntime as ort

class Net:
    """ONNX Runtime where the app asks for a convlite.Network."""
    def __init__(self, path):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (self.input,) = self.session.get_inputs()
        self.name = "onnxruntime"
    @property
    def inputs(self):
        from convlite.network.graph import Value
        return (Value(self.input.name, np.dtype("float32"), tuple(self.input.shape)),)
    def __call__(self, x):
        return self.session.run(None, {self.input.name: x})[0]
    def release(self):
        pass

cl.load = Net
from serve_fastapi import app
'''


Server = tuple[int, "subprocess.Popen[bytes]"]


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(command: list[str], port: int, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers."""
    server = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    break
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server does not answer: {command}")
            time.sleep(0.2)
        yield server
    finally:
        server.terminate()
        server.communicate(timeout=30)


def loaded(port: int, body: bytes, clients: int, seconds: float) -> list[float]:
    """Seconds of each request of some clients, for so long."""
    times: list[float] = []
    stop = time.monotonic() + seconds

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.monotonic() < stop:
            begin = time.perf_counter()
            connection.request("POST", "/predict", body, {"Content-Type": "application/octet-stream"})
            reply = connection.getresponse()
            data = reply.read()
            if reply.status != 200:
                raise RuntimeError(data)
            times.append(time.perf_counter() - begin)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def children(server: subprocess.Popen[bytes]) -> Iterator[tuple[pathlib.Path, list[str]]]:
    """(folder in /proc, fields of its stat from the state on) of each child."""
    for child in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (child / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == server.pid:
                yield child, fields


def processor(server: subprocess.Popen[bytes]) -> float:
    """Seconds of the processor that the workers took."""
    ticks = sum(int(fields[11]) + int(fields[12]) for _, fields in children(server))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(server: subprocess.Popen[bytes]) -> list[tuple[int, int, int]]:
    """(resident, Pss, own) in MB of each worker."""
    found = []
    for child, _ in children(server):
        lines = (child / "smaps_rollup").read_text().splitlines()[1:]
        sizes = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines}
        if sizes["Rss"] > 40:  # not a helper of multiprocessing
            found.append((sizes["Rss"], sizes["Pss"], sizes["Private_Dirty"] + sizes["Private_Clean"]))
    return found


def started(
    stack: contextlib.ExitStack, kind: str, app: str, options: argparse.Namespace, path: str
) -> Server:
    """(port, process) of a server."""
    port, workers = free_port(), ["--workers", str(options.workers)]
    environment = {"MODEL": options.model, "CONVLITE_NUM_THREADS": "1", "PYTHONPATH": path}
    if kind == "uvicorn":
        command = ["-m", "uvicorn", app, "--port", str(port), *workers, "--log-level", "error"]
    else:
        bind = ["--bind", f"127.0.0.1:{port}", "--worker-class", "uvicorn_worker.UvicornWorker"]
        command = ["-m", "gunicorn", app, "--preload", *workers, *bind, "--log-level", "error"]
    return port, stack.enter_context(serving([sys.executable, *command], port, environment))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--shape", default="1,3,224,224")
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    x = np.random.default_rng(0).random([int(n) for n in options.shape.split(",")]).astype(np.float32)
    body = io.BytesIO()
    np.save(body, x)
    place, rows = where(), []
    apps = {"convlite": "serve_fastapi:app", "ONNX Runtime": "peer:app"}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        (pathlib.Path(folder) / "peer.py").write_text(PEER)
        path = os.pathsep.join([folder, str(EXAMPLES), os.environ.get("PYTHONPATH", "")])
        servers = {
            (name, kind): started(stack, kind, app, options, path)
            for kind in ("uvicorn", "gunicorn --preload")
            for name, app in apps.items()
        }
        times: dict[tuple[str, str], list[float]] = {key: [] for key in servers}
        took = dict.fromkeys(servers, 0.0)
        for port, _ in servers.values():
            loaded(port, body.getvalue(), options.clients, 0.5)
        for _ in range(options.rounds):
            for key, (port, server) in servers.items():
                begin = processor(server)
                times[key] += loaded(port, body.getvalue(), options.clients, options.seconds / options.rounds)
                took[key] += processor(server) - begin
        for key, (_, server) in servers.items():
            middle, slow = (1e3 * float(np.percentile(times[key], part)) for part in (50, 99))
            held = memory(server)
            own, pss = (", ".join(str(sizes[place]) for sizes in held) for place in (2, 1))
            each = f"{1e3 * took[key] / len(times[key]):.1f} ms"
            rate = f"{len(times[key]) / options.seconds:.1f}"
            rows.append([", ".join(key), each, f"{own} ({pss})", rate, f"{middle:.0f}, {slow:.0f} ms"])
    heads = ["", "processor a request", "MB of a worker's own (Pss)", "requests/s", "50%, 99% latency"]
    who = f"{options.workers} workers of one thread, {options.clients} clients"
    told = f"({pathlib.Path(options.model).stem}, {who}; {place}.)"
    show("serving", [*table(heads, rows), "", told], options.page)


if __name__ == "__main__":
    main()
