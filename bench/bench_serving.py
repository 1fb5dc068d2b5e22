"""Requests a second, latency and memory of examples/serve_fastapi.py, against the same app on ONNX Runtime.

    pip install ".[onnx]" fastapi uvicorn uvicorn-worker gunicorn onnxruntime
    python bench/bench_serving.py MODEL.onnx [--seconds 5] [--clients 4] [--workers 2]

On loopback, one thread a worker. Each server gets the same load: so many clients, each with one connection
and one request at a time. Memory is what Linux says of each worker after the load: resident, Pss (pages that
several share count in parts) and what is the worker's own. Processor: what
the workers took for a request, which a busy machine changes least.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shape", default="1,3,224,224")
    options = parser.parse_args()
    x = np.random.default_rng(0).random([int(n) for n in options.shape.split(",")]).astype(np.float32)
    body = io.BytesIO()
    np.save(body, x)
    workers = ["--workers", str(options.workers)]
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "peer.py").write_text(PEER)
        path = os.pathsep.join([folder, str(EXAMPLES), os.environ.get("PYTHONPATH", "")])
        environment = {"MODEL": options.model, "CONVLITE_NUM_THREADS": "1", "PYTHONPATH": path}
        columns = "requests/s   50% ms   99% ms  processor ms   MB a worker: resident, Pss, own"
        print(f"{'server':32} {columns}")
        for kind in ("uvicorn", "gunicorn --preload"):
            for name, app in (("convlite", "serve_fastapi:app"), ("ONNX Runtime", "peer:app")):
                port = free_port()
                bind = ["--bind", f"127.0.0.1:{port}", "--worker-class", "uvicorn_worker.UvicornWorker"]
                if kind == "uvicorn":
                    command = ["-m", "uvicorn", app, "--port", str(port), *workers, "--log-level", "error"]
                else:
                    command = ["-m", "gunicorn", app, "--preload", *workers, *bind, "--log-level", "error"]
                with serving([sys.executable, *command], port, environment) as server:
                    loaded(port, body.getvalue(), options.clients, 1)
                    begin = processor(server)
                    times = loaded(port, body.getvalue(), options.clients, options.seconds)
                    each = 1e3 * (processor(server) - begin) / len(times)
                    held = memory(server)
                middle, slow = (1e3 * float(np.percentile(times, part)) for part in (50, 99))
                rate = len(times) / options.seconds
                shown = "; ".join(f"{rss}, {pss}, {own}" for rss, pss, own in held)
                line = f"{name + ', ' + kind:32} {rate:10.1f} {middle:8.1f} {slow:8.1f} {each:10.1f}"
                print(f"{line}   {shown}", flush=True)


if __name__ == "__main__":
    main()
