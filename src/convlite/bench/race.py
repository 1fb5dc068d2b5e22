"""Whole networks: files, what they are fed, and the race, in which every peer has a process for each network.

The parent of conduct.py, with a network in the place of a layer: the processes start together, load one after
the other, are compared with each other, and are timed in rounds whose order turns, one running at a time.
"""

from __future__ import annotations

import contextlib
import gc
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .conduct import Lost, Say, Worker
from .machine import Neighbours
from .rivals import RACERS

__all__ = ["SUFFIXES", "TOLERANCE", "Model", "found_in", "measure", "model_of", "reads", "steps", "verdicts"]

Array = NDArray[Any]
SUFFIXES = (".onnx", ".tflite", ".npz", ".safetensors", ".keras", ".h5")
SIDECAR = ".inputs.npz"
# Of the largest number of an output. Runtimes differ by 1e-6 to 1e-4, with a hundred layers and Winograd's
# form among them; sums in float16 or bfloat16 by 2e-3 and more.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Model:
    """A network's file and what it is fed, in the file's order."""

    path: Path
    inputs: dict[str, Array]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


def found_in(paths: list[Path]) -> list[Path]:
    """The files, and the networks in the folders; ValueError where there are none, or two of one name."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            if path.suffix not in SUFFIXES:
                raise ValueError(f"{path} is no network: a name ends in {', '.join(SUFFIXES)}")
            found.append(path)
            continue
        inside = [file for file in sorted(path.iterdir()) if file.suffix in SUFFIXES]
        inside = [file for file in inside if not file.name.endswith(SIDECAR)]
        if not inside:
            raise ValueError(f"{path} holds no network: names end in {', '.join(SUFFIXES)}")
        found += inside
    names = [path.stem for path in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two networks have the same name: {', '.join(twice)}")
    return found


def model_of(path: Path, size: tuple[int, int] | None = None) -> Model:
    """The network of a file, with the arrays of NAME.inputs.npz beside it, or numbers from a seed.

    A free batch is 1; size is for images whose height and width are free. ValueError where a size is unknown.
    """
    from ..network.commands.pictures import random_inputs
    from ..network.load import load

    net = load(path)
    stored = path.with_name(path.stem + SIDECAR)
    if not stored.exists():
        return Model(path, random_inputs(net, size))
    with np.load(stored) as arrays:
        given = dict(arrays)
    wanted = [value.name for value in net.inputs]
    if set(given) != set(wanted):
        raise ValueError(f"{stored} must hold {', '.join(wanted)}; it holds {', '.join(given)}")
    return Model(path, {name: given[name] for name in wanted})


def reads(peer: str, path: Path) -> bool:
    """Whether a peer reads this file, or what lies beside it for that peer."""
    known = RACERS[peer].split()
    return not known or path.suffix in known or (".pt2" in known and path.with_suffix(".pt2").exists())


def verdicts(
    answers: dict[str, list[Array]], own: str = "convlite"
) -> tuple[dict[str, float], dict[str, str]]:
    """Who computes what: the difference from the others by peer, and what is wrong with those that are out.

    The judge is, number by number, the median of one answer for each library (convlite's is its "exact").
    Of two that differ nobody knows who is right: the other one is out.
    """
    voters = [peer for peer in answers if peer != "convlite_fast"]
    shapes = {peer: [y.size for y in answers[peer]] for peer in answers}
    most = max(shapes.values(), key=list(shapes.values()).count) if len(voters) > 2 else shapes[voters[0]]
    judges = [peer for peer in voters if shapes[peer] == most]
    if len(judges) == 2 and own in judges:
        judges = [own]
    errors: dict[str, float] = {}
    faults: dict[str, str] = {}
    medians = []
    for place in range(len(most)):
        flat = [np.asarray(answers[peer][place], np.float64).reshape(-1) for peer in judges]
        medians.append(np.sort(flat, axis=0)[(len(flat) - 1) // 2])  # numpy.median is nan if one is
    for peer, outputs in answers.items():
        if shapes[peer] != most:
            faults[peer] = f"its outputs have {shapes[peer]} numbers, those of the others {most}"
            continue
        off = max(_difference(y, median) for y, median in zip(outputs, medians, strict=True))
        if off <= TOLERANCE:
            errors[peer] = off
        else:
            against = own if len(judges) == 1 else "the others"
            faults[peer] = f"wrong: off by {off:.1e} of the largest number from {against}"
    return errors, faults


def _difference(y: Array, median: Array) -> float:
    y = np.asarray(y, np.float64).reshape(-1)
    if not y.size:
        return 0.0
    if not np.array_equal(np.isfinite(y), np.isfinite(median)):
        return float("inf")
    seen = np.isfinite(median)
    largest = np.abs(median[seen]).max(initial=1e-30)
    return float(np.abs(y[seen] - median[seen]).max(initial=0) / largest)


def steps(models: int, threads: int, rounds: int) -> int:
    """How many steps `measure` reports."""
    return models * threads * (rounds + 1)


def measure(
    paths: list[Path],
    peers: list[str],
    threads: list[int],
    rounds: int,
    seconds: float,
    *,
    size: tuple[int, int] | None = None,
    say: Say,
    step: Callable[[str, int], object],
) -> dict[str, Any]:
    """Run everything: {"kind", "versions", "skipped", "busy", "results"}, as standings.py reads it.

    seconds: of timing, for a network on one number of threads; short networks and long take the same.
    `say` is told what is skipped; `step(text, n)` that n more of `steps(...)` are done. Ctrl-C ends the race
    with the networks that were measured.
    """
    race = _Race(peers, rounds, seconds, say)
    with race.until_interrupted():
        _run_all(race, paths, threads, size, step)
    if not race.results:
        raise ValueError("none of the networks can be read: " + "; ".join(race.skipped.values()))
    return race.found()


def _run_all(
    race: _Race,
    paths: list[Path],
    threads: list[int],
    size: tuple[int, int] | None,
    step: Callable[[str, int], object],
) -> None:
    for path in paths:
        try:
            model = model_of(path, size)
        except (ValueError, TypeError, ImportError, OSError) as error:
            if len(paths) == 1:
                raise
            race.skip(path.name, str(error).splitlines()[0])
            step(path.stem, len(threads) * (race.rounds + 1))
            continue
        gc.collect()
        with tempfile.TemporaryDirectory(prefix="convlite-bench-") as folder:
            for count in threads:
                race.run(model, count, Path(folder), partial(step, model.name))


class _Race:
    def __init__(self, peers: list[str], rounds: int, seconds: float, say: Say) -> None:
        self.peers, self.rounds, self.seconds, self.say = peers, rounds, seconds, say
        self.versions: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.neighbours: dict[int, Neighbours] = {}
        self.results: list[dict[str, Any]] = []

    def found(self) -> dict[str, Any]:
        return {
            "kind": "networks",
            "versions": self.versions,
            "skipped": self.skipped,
            "busy": {str(count): seen.share() for count, seen in self.neighbours.items()},
            "results": self.results,
        }

    def skip(self, what: str, why: str) -> None:
        if what not in self.skipped:
            self.say(f"skipped {what}: {why}")
        self.skipped[what] = why

    @contextlib.contextmanager
    def until_interrupted(self) -> Iterator[None]:
        """After Ctrl-C what was measured until then is the result, if anything was."""
        try:
            yield
        except KeyboardInterrupt:
            if not self.results:
                raise
            self.skip("the rest", "interrupted")

    @contextlib.contextmanager
    def started(self, path: Path, threads: int, folder: Path) -> Iterator[list[Worker]]:
        """A process for each peer that is installed and reads such a file, asleep."""
        peers = [peer for peer in self.peers if peer not in self.skipped and reads(peer, path)]
        everyone = [Worker(peer, threads, folder) for peer in peers]
        try:
            ready = []
            for worker in everyone:
                try:
                    hello = worker.receive()
                except Lost as error:
                    hello = {"missing": str(error)}
                if "missing" in hello:
                    if worker.peer.startswith("convlite"):
                        raise RuntimeError(f"{worker.peer} cannot start: {hello['missing']}")
                    self.skip(worker.peer, f'{hello["missing"]} (pip install "convlite[bench]")')
                    continue
                self.versions[worker.peer] = hello["version"]
                worker.signal("SIGSTOP")
                ready.append(worker)
            yield ready
        finally:
            for worker in everyone:
                worker.end()

    def run(self, model: Model, threads: int, folder: Path, step: Callable[[int], object]) -> None:
        record: dict[str, Any] = {
            "name": model.name,
            "file": model.path.name,
            "inputs": {name: [str(x.dtype), list(x.shape)] for name, x in model.inputs.items()},
            "threads": threads,
            "peers": {},
            "refused": {},
        }
        with self.started(model.path, threads, folder) as workers:
            able = self._load(model, workers, folder, record)
            step(1)
            for turn in range(self.rounds):
                shift = turn % max(len(able), 1)
                for worker in able[shift:] + able[:shift]:
                    if worker.peer in record["peers"]:
                        self._time(worker, len(able), record)
                step(1)
        self.results.append(record)

    def _load(
        self, model: Model, workers: list[Worker], folder: Path, record: dict[str, Any]
    ) -> list[Worker]:
        """The workers whose outputs are right."""
        inputs = folder / "inputs.npz"
        np.savez(inputs, *model.inputs.values())
        answers: dict[str, list[Array]] = {}
        for worker in workers:
            outputs, own = folder / f"{worker.peer}.npz", folder / worker.peer
            own.mkdir(exist_ok=True)  # what a peer converted serves all numbers of threads
            what = {"path": str(model.path), "inputs": str(inputs), "names": list(model.inputs)}
            what |= {"outputs": str(outputs), "folder": str(own)}
            try:
                told = worker.ask({"do": "load", "what": what})
            except Lost as error:
                told = {"refused": str(error)}
            if "refused" in told:
                self._refuse(record, worker.peer, told["refused"])
                continue
            with np.load(outputs) as arrays:
                answers[worker.peer] = [arrays[f"arr_{place}"] for place in range(len(arrays.files))]
            record["peers"][worker.peer] = told | {"rounds": []}
        if answers:
            errors, faults = verdicts(answers)
            for peer, fault in faults.items():
                self._refuse(record, peer, fault)
            for peer, off in errors.items():
                record["peers"][peer]["error"] = off
        return [worker for worker in workers if worker.peer in record["peers"]]

    def _refuse(self, record: dict[str, Any], peer: str, why: str) -> None:
        self.say(f"{record['name']}, {record['threads']} thread(s): {peer} is left out: {why}")
        record["refused"][peer] = why
        record["peers"].pop(peer, None)

    def _time(self, worker: Worker, racers: int, record: dict[str, Any]) -> None:
        nanoseconds = int(1e9 * self.seconds / self.rounds / racers)
        watch = self.neighbours.setdefault(worker.threads, Neighbours())
        try:
            with watch.watched(worker.threads) as told:
                answer = worker.ask({"do": "run", "nanoseconds": nanoseconds})
                told |= {"cpu": answer["cpu"], "wall": answer["wall"]}
        except Lost as error:
            self._refuse(record, worker.peer, str(error))
            return
        peer = record["peers"][worker.peer]
        peer["rounds"].append(round(answer["ms"], 5))
        peer["ms"] = min(peer["rounds"])
