"""The parent: one process for each peer and thread count, one of them running at a time, round robin.

Peers must not share a process (their OpenMP runtimes do not mix), and must not run beside each other. Many of
them let idle threads spin, so a worker that is not asked is stopped by a signal, threads and all, where the
system has such signals. A round visits every layer, and each layer every worker, in an order that turns: a
slow second of the machine hits one slice of several, and the fastest call of all rounds is the figure.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .rivals import WINOGRAD
from .shape import Shape

__all__ = ["Lost", "Worker", "batches", "environment", "measure", "steps"]

BATCH_BYTES = 100_000_000  # operands that every worker holds at a time
PATIENCE = 180.0  # seconds for one answer
# Chosen for another purpose by whoever called: they would slow a peer down, or set its threads
_CLEARED = (
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "OPENBLAS_",
    "GOTO_",
    "BLIS_",
    "ONEDNN_",
    "DNNL_",
    "TBB_",
    "ORT_",
)

Say = Callable[[str], object]


class Lost(Exception):
    """A worker ended or did not answer."""


def environment(peer: str, threads: int) -> dict[str, str]:
    """The environment of a worker: the caller's without what sets threads or kernels, and its own threads."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CLEARED)}
    kept.pop("CONVLITE_NUM_THREADS", None)
    count = "1" if peer == "machine" else str(threads)
    kept |= {"OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count, "MKL_NUM_THREADS": count}
    if peer == "reference":
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            del kept[name]
    return kept


class Worker:
    """The parent's end of one worker process; it sleeps unless it is asked."""

    def __init__(self, peer: str, threads: int, folder: Path) -> None:
        self.peer, self.threads = peer, threads
        self._log = folder / f"{peer}-{threads}.txt"
        # the package that this process uses, not another one that happens to be installed
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "convlite.bench.worker", peer, str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(peer, threads) | {"PYTHONPATH": path},
            )
        self._selector = selectors.DefaultSelector()
        assert self.process.stdout is not None
        if sys.platform != "win32":  # Windows cannot wait for a pipe
            self._selector.register(self.process.stdout, selectors.EVENT_READ)

    def receive(self) -> dict[str, Any]:
        """The next answer; Lost if none comes."""
        assert self.process.stdout is not None
        if sys.platform != "win32" and not self._selector.select(PATIENCE):
            raise Lost(f"no answer within {PATIENCE:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            lines = self._log.read_text(errors="replace").split("\n")
            raise Lost(f"ended with status {self.process.wait()}: {' '.join(lines[-4:])}"[:300].strip())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def send(self, request: dict[str, Any]) -> None:
        """Ask; the answer comes later."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise Lost(str(error)) from None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Wake the worker, ask, get the answer, put it to sleep."""
        self.signal("SIGCONT")
        self.send(request)
        answer = self.receive()
        self.signal("SIGSTOP")
        return answer

    def signal(self, name: str) -> None:
        """SIGSTOP or SIGCONT to the process, where the system has them."""
        number = getattr(signal, name, None)
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def end(self) -> None:
        """End the process, asleep or not."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._selector.close()


def batches(shapes: list[Shape], limit: int = BATCH_BYTES) -> list[list[Shape]]:
    """The shapes in order, cut where the operands pass the limit."""
    found: list[list[Shape]] = [[]]
    held = 0
    for shape in shapes:
        if found[-1] and held + shape.bytes > limit:
            found.append([])
            held = 0
        found[-1].append(shape)
        held += shape.bytes
    return found


def measure(
    shapes: list[Shape],
    peers: list[str],
    threads: list[int],
    rounds: int,
    nanoseconds: int,
    *,
    say: Say,
    step: Callable[[str, int], object],
) -> dict[str, Any]:
    """Run everything: {"versions", "skipped", "machine", "resident", "results"}, as report.py reads it.

    `say` is told what is skipped; `step(text, n)` that n more of `steps(...)` are done.
    """
    run = _Run(rounds, nanoseconds, say, step)
    with run.started(peers, threads):
        for batch in batches(shapes):
            run.batch(batch)
    return run.found()


def steps(shapes: int, rounds: int) -> int:
    """How many steps `measure` reports."""
    return shapes * (rounds + 1)


class _Run:
    def __init__(self, rounds: int, nanoseconds: int, say: Say, step: Callable[[str, int], object]) -> None:
        self.rounds, self.nanoseconds, self.say, self.step = rounds, nanoseconds, say, step
        self.workers: list[Worker] = []
        self.versions: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.results: list[dict[str, Any]] = []
        self.probes: dict[int, list[float]] = {}
        self.resident: dict[int, dict[str, int]] = {}

    def found(self) -> dict[str, Any]:
        machine = {str(threads): {"gflops": probes} for threads, probes in self.probes.items()}
        return {
            "versions": self.versions,
            "skipped": self.skipped,
            "machine": machine,
            "resident": {str(threads): peers for threads, peers in self.resident.items()},
            "results": [record for record in self.results if record["peers"]],
        }

    @contextlib.contextmanager
    def started(self, peers: list[str], threads: list[int]) -> Iterator[None]:
        """All workers, asleep; those that cannot start are named."""
        with tempfile.TemporaryDirectory(prefix="convlite-bench-") as name:
            self.folder = Path(name)
            kinds = [(peer, count) for count in threads for peer in ["machine", *peers]]
            everyone = [Worker(peer, count, self.folder) for peer, count in [("reference", 1), *kinds]]
            try:
                for worker in everyone:
                    self._greet(worker)
                self.reference = everyone[0]
                yield
            finally:
                for worker in everyone:
                    worker.end()

    def _greet(self, worker: Worker) -> None:
        try:
            hello = worker.receive()
        except Lost as error:
            hello = {"missing": str(error)}
        if "missing" in hello:
            if worker.peer in ("machine", "reference", "convlite"):
                raise RuntimeError(f"{worker.peer} cannot start: {hello['missing']}")
            if worker.peer not in self.skipped:
                self.say(f'skipped {worker.peer}: {hello["missing"]} (pip install "convlite[bench]")')
            self.skipped[worker.peer] = hello["missing"]
            return
        self.versions[worker.peer] = hello["version"]
        if worker.peer != "reference":
            self.workers.append(worker)

    def _lose(self, worker: Worker, error: Lost) -> None:
        self.say(f"lost {worker.peer} with {worker.threads} thread(s): {error}")
        self.skipped[f"{worker.peer}, {worker.threads} thread(s)"] = str(error)
        self.workers.remove(worker)
        worker.end()
        if worker.peer == "machine":
            raise RuntimeError(f"the worker that measures the machine is lost: {error}")

    # ---- one batch of layers -------------------------------------------------------------------------------

    def batch(self, shapes: list[Shape]) -> None:
        """Prepare and verify the layers in all workers, time them in rounds, forget them."""
        able: dict[str, list[Worker]] = {}
        records = {
            (shape.name, threads): _record(shape, threads)
            for shape in shapes
            for threads in sorted({worker.threads for worker in self.workers})
        }
        for worker in self.workers:
            worker.signal("SIGCONT")
        for shape in shapes:
            able[shape.name] = self._prepare(shape, records)
        for worker in self.workers:
            worker.signal("SIGSTOP")
        for turn in range(self.rounds):
            for shape in shapes:
                order = [worker for worker in able[shape.name] if worker in self.workers]
                shift = turn % max(len(order), 1)
                for worker in order[shift:] + order[:shift]:
                    self._time(worker, shape, turn, records[shape.name, worker.threads])
                self.step(shape.name, 1)
        self.results += records.values()
        for worker in list(self.workers):
            try:
                most = worker.ask({"do": "drop"}).get("resident")
            except Lost as error:
                self._lose(worker, error)
                continue
            if most:
                self.resident.setdefault(worker.threads, {})[worker.peer] = most

    def _prepare(self, shape: Shape, records: dict[tuple[str, int], dict[str, Any]]) -> list[Worker]:
        """The workers that have the layer, verified; all of them prepare at the same time."""
        path = str(self.folder / "reference.npy")
        request = {"do": "prepare", "line": shape.line, "reference": path}
        self.reference.ask(request)
        asked, able = [], []
        for worker in list(self.workers):
            if worker.peer in WINOGRAD and not shape.winograd:
                continue
            try:
                worker.send(request)
                asked.append(worker)
            except Lost as error:
                self._lose(worker, error)
        for worker in asked:
            try:
                answer = worker.receive()
            except Lost as error:
                self._lose(worker, error)
                continue
            record = records[shape.name, worker.threads]
            for variant, fault in answer.get("wrong", {}).items():
                self.say(f"{shape.name}: {worker.peer} ({variant}) is left out: {fault}")
            if "refused" in answer:
                record["refused"][worker.peer] = answer["refused"]
                if worker.peer == "convlite" or " off by " in answer["refused"]:
                    self.say(f"{shape.name}: {worker.peer} is left out: {answer['refused']}")
                continue
            able.append(worker)
            if worker.peer != "machine":
                record["peers"][worker.peer] = {"errors": answer["errors"], "rounds": []}
        self.step(shape.name, 1)
        return able

    def _time(self, worker: Worker, shape: Shape, turn: int, record: dict[str, Any]) -> None:
        if turn >= 3 and worker.peer in record["peers"] and _hopeless(worker.peer, record["peers"]):
            return
        request = {"do": "time", "name": shape.name, "turn": turn, "nanoseconds": self.nanoseconds}
        try:
            answer = worker.ask(request)
        except Lost as error:
            self._lose(worker, error)
            return
        if worker.peer == "machine":
            record["gbs"] = max(record["gbs"], answer["gbs"])
            self.probes.setdefault(worker.threads, []).append(round(answer["gflops"], 2))
            return
        peer = record["peers"][worker.peer]
        peer["rounds"].append(round(answer["us"], 3))
        if answer["us"] <= peer.get("us", answer["us"]):
            peer["us"], peer["variant"] = round(answer["us"], 3), answer["variant"]


def _record(shape: Shape, threads: int) -> dict[str, Any]:
    return {
        "name": shape.name,
        "network": shape.network,
        "family": shape.family,
        "line": shape.line,
        "threads": threads,
        "multiply_adds": shape.multiply_adds,
        "bytes": shape.bytes,
        "gbs": 0.0,
        "peers": {},
        "refused": {},
    }


def _hopeless(peer: str, peers: dict[str, Any]) -> bool:
    """So far behind, and slow in absolute terms, that the first rounds told enough: others need the time."""
    own = peers[peer].get("us", 0.0)
    best = min((entry["us"] for entry in peers.values() if "us" in entry), default=own)
    behind = 1.5 if own > 30_000 else 3.0
    return bool(peer != "convlite" and own > behind * best and own > 10_000)
