"""What the machine allows on whole networks, beside what is reached: a roofline of each step.

    python bench/network_limits.py NETS --json bench/results/convlite-limits.json [--only NAME,NAME]
        [--against ort,openvino,litert] [--rounds 12] [--seconds 0.05] [--steps]

NETS is a folder that bench/write_networks.py filled. One thread, one process for each network: the peak of
multiply-adds, the bandwidths, the network in "exact" and "fast", its steps and the peers take turns, and the
fastest of each counts. Rows are added to the file; a network that is there already is replaced if all took
less time together: the machine was quieter. limits_table.py writes the page.

A step takes at least

    max(products / peak, weights / their bandwidth + activations / theirs)

- products: multiply-adds of an output and a tap inside the image, so no padding. In "fast" those of the form
  that needs fewest: of all Winograd's tiles that the library has, whichever the step uses, without their
  transforms. 1x1 and depthwise convolutions, and strides beyond 2, have none.
- weights: those of taps that meet the image, read once in a call, as fast as any of three passes reads as
  many bytes as all weights of the network have.
- activations: each input read and each output written once. The first 4 MB of a step as fast as a pass or a
  copy within half of a core's own cache, which holds 2 MB (of what is read, then of what is written); the
  rest as fast as one over 24 MB. What fusing two steps would save is not counted.

Elementwise functions count as moving data only. So this is a bound from below; a step may be unable to
reach it. (Only small steps whose data lie in the first-level cache are faster: a few passes of swift_f0.)
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported

import numpy as np
from common import machine

import convlite as cl
from convlite import _dispatch, _kernels
from convlite.bench.race import found_in, model_of, reads, verdicts
from convlite.bench.rivals import PEERS, Unsupported
from convlite.geometry import Axis, Geometry
from convlite.network.facts import Fact
from convlite.network.network import Network
from convlite.network.program import Step
from convlite.network.summary import multiply_adds
from convlite.plan.along import along, tiles_of
from convlite.plan.winograd import FEWEST_CHANNELS

NEAR, SHARED = 2 << 20, 24 << 20  # bytes: a core's own cache; what lies in the one that all cores share
Precision = Literal["exact", "fast"]
PRECISIONS: tuple[Precision, ...] = ("exact", "fast")
PEAK_ROUNDS = 100_000
# What copies only a part of its inputs, or those that do not lie in place already
PARTIAL = ("concat", "slice", "split", "gather", "strided_slice")


# ---- the bound of a step -----------------------------------------------------------------------------------


def inside(axis: Axis) -> int:
    """The pairs of an output and a tap whose input is inside the image."""
    return sum(
        0 <= place * phase.in_step + offset < axis.in_size
        for phase in axis.phases
        for place in range(phase.count)
        for offset in phase.offsets
    )


def taps_inside(axis: Axis) -> int:
    """The taps that any output uses on an input inside the image."""
    used = {
        (phase.start, offset)
        for phase in axis.phases
        for place in range(phase.count)
        for offset in phase.offsets
        if 0 <= place * phase.in_step + offset < axis.in_size
    }
    return len(used)


def lines_read(axis: Axis) -> int:
    """The inputs along an axis that any output reads."""
    found = {
        place * phase.in_step + offset
        for phase in axis.phases
        for place in range(phase.count)
        for offset in phase.offsets
    }
    return sum(0 <= line < axis.in_size for line in found)


def forms(geometry: Geometry, precision: Precision) -> list[tuple[float, float]]:
    """(multiply-adds, weights) of the direct form, and in "fast" of each of Winograd's tiles."""
    rows, columns = geometry.rows, geometry.columns
    cin, cout = geometry.cin // geometry.groups, geometry.cout
    pairs = cin * cout
    found = [
        (
            float(geometry.images * inside(rows) * inside(columns) * pairs),
            float(taps_inside(rows) * taps_inside(columns) * pairs),
        )
    ]
    if precision == "exact" or min(cin, cout // geometry.groups) < FEWEST_CHANNELS:
        return found
    for tile in ((m, n) for m in tiles_of(rows) for n in tiles_of(columns)):
        if tile != (1, 1):
            down, across = along(rows, tile[0]), along(columns, tile[1])
            slots = down.slots * across.slots
            tiles = down.count(rows.out_size) * across.count(columns.out_size)
            found.append((float(geometry.images * slots * tiles * pairs), float(slots * pairs)))
    return found


def kind_of(step: Step, geometry: Geometry | None, products: float) -> str:
    """What the page calls it."""
    if geometry is None:
        return "other products" if products else "everything else"
    if geometry.groups == geometry.cin > 1:
        return "depthwise"
    if "winograd" in step.how:
        return "Winograd"
    taps = geometry.rows.kernel * geometry.columns.kernel
    return "1x1 and dense" if taps == 1 else "direct, more taps"


class Bounds:
    """The machine's limits, and what a network's steps need of it."""

    def __init__(self, peak: float, bandwidth: dict[str, float]) -> None:
        self.peak = peak  # multiply-adds a second
        self.bandwidth = bandwidth  # bytes a second, by task

    def seconds(self, products: float, weights: float, activations: float) -> float:
        """The least time."""
        near = min(activations, 2 * NEAR)
        moved = weights / self.bandwidth["weights"] + near / self.bandwidth["near"]
        moved += (activations - near) / self.bandwidth["shared"]
        return max(products / self.peak, moved)

    def step(
        self, step: Step, facts: dict[str, Fact], constants: set[str], precision: Precision
    ) -> tuple[str, float]:
        """(kind, least seconds)."""
        node, plan = step.node, inspect.getclosurevars(step.run).nonlocals.get("plan")
        geometry: Geometry | None = getattr(plan, "geometry", None)
        written = sum(_bytes(facts[name]) for name in node.outputs if name)
        inputs = [
            _bytes(facts[name]) for name in dict.fromkeys(node.inputs) if name and name not in constants
        ]
        if geometry is None:
            work = multiply_adds(node, facts) or 0
            products = float(work) if isinstance(work, int) else 0.0
            held = sum(_bytes(facts[name]) for name in node.inputs if name in constants)
            held = held if products else 0.0
            passed = 0.0 if node.kind in PARTIAL else sum(inputs) + written
            return kind_of(step, None, products), self.seconds(products, held, passed)
        share = lines_read(geometry.rows) * lines_read(geometry.columns)
        share /= max(geometry.rows.in_size * geometry.columns.in_size, 1)
        moved = inputs[0] * share + sum(inputs[1:]) + written
        choices = forms(geometry, precision)
        least = min(self.seconds(products, 4 * weights, moved) for products, weights in choices)
        return kind_of(step, geometry, choices[0][0]), least


def _bytes(fact: Fact) -> float:
    if not fact.concrete or fact.dtype is None:
        return 0.0
    return float(math.prod(fact.shape) * fact.dtype.itemsize)  # type: ignore[arg-type]


# ---- one network -------------------------------------------------------------------------------------------


class Measured:
    """A network, its steps and what they are measured with."""

    def __init__(self, net: Network, arrays: list[Any]) -> None:
        self.net, self.arrays = net, arrays
        self.steps: dict[str, tuple[Step, ...]] = {}
        self.spans: dict[str, list[list[float]]] = {precision: [] for precision in PRECISIONS}
        shapes = tuple(array.shape for array in arrays)
        names = [value.name for value in net.inputs]
        for precision in PRECISIONS:
            with cl.precision(precision):
                net(*arrays)
                self.steps[precision] = net._executor.program(shapes).steps
        self.graph, self.facts = net._executor.prepared(dict(zip(names, shapes, strict=True)))
        self.constants = set(self.graph.constants)

    def caller(self, precision: Precision) -> Callable[[], object]:
        """A call under this precision."""

        def call() -> object:
            with cl.precision(precision):
                return self.net(*self.arrays)

        return call

    def profile(self, precision: Precision, seconds: float) -> None:
        """Each step's time in a whole call, the least of several."""
        begin = time.perf_counter()
        while True:
            with cl.precision(precision):
                profile = self.net.profile(*self.arrays, repeat=3)
            self.spans[precision].append([span[1] * 1e-6 for span in profile.spans])
            if time.perf_counter() - begin > seconds:
                return

    def weights(self) -> int:
        """The bytes of all constants."""
        return int(sum(_bytes(self.facts[name]) for name in self.constants if name in self.facts))


def bandwidth_tasks(weights: int) -> dict[str, list[tuple[int, Callable[[], object]]]]:
    """By name: the bytes that a task moves, and the task. A copy counts what is read and what is written."""
    found: dict[str, list[tuple[int, Callable[[], object]]]] = {}
    for name, size in (("weights", max(weights, 1 << 16)), ("near", NEAR // 2), ("shared", SHARED)):
        first, second = np.ones((2, size // 8), np.float32)
        both = 2 * first.nbytes
        found[name] = [(both, partial(np.dot, first, second)), (first.nbytes, partial(np.max, first))]
        if name != "weights":
            found[name].append((both, partial(np.copyto, second, first)))
    return found


def fastest(task: Callable[[], object], seconds: float) -> float:
    """The fastest call of those that fit into the time; two at least."""
    best, begin = math.inf, time.perf_counter()
    task()
    while True:
        start = time.perf_counter()
        task()
        stop = time.perf_counter()
        best = min(best, stop - start)
        if stop - begin > seconds:
            return best


def peers_of(
    path: Path, inputs: dict[str, Any], against: list[str], folder: str
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """The calls of those that run this file by name; their outputs and versions."""
    calls: dict[str, Any] = {}
    answers: dict[str, Any] = {}
    versions: dict[str, str] = {}
    for peer in against:
        if not reads(peer, path):
            continue
        rival = import_module(f"convlite.bench.rivals.{PEERS[peer][0]}")
        try:
            version = rival.start(1)
            file = rival.convert(str(path), inputs, folder) if hasattr(rival, "convert") else str(path)
            call = rival.load(file, inputs)
            call.run()
            answers[peer] = [np.asarray(y) for y in call.result()]
        except Unsupported as error:
            print(f"{path.stem}: without {peer}: {error}", flush=True)
            continue
        except Exception as error:  # whatever it is: the others race without this one
            print(f"{path.stem}: without {peer}: {error!r:.120}", flush=True)
            continue
        calls[peer], versions[peer] = call, version
    return calls, answers, versions


def measured(path: Path, options: argparse.Namespace, folder: str) -> dict[str, Any]:
    """The row of a network."""
    model = model_of(path)
    cl.set_num_threads(1)
    own = Measured(cl.load(path), list(model.inputs.values()))
    peers, answers, versions = peers_of(path, model.inputs, options.against, folder)
    for precision in PRECISIONS:
        found = own.caller(precision)()
        name = "convlite" if precision == "exact" else "convlite_fast"
        answers[name] = [np.asarray(y) for y in (found if isinstance(found, tuple) else (found,))]
    errors, faults = verdicts(answers)
    if own_faults := [fault for peer, fault in faults.items() if peer.startswith("convlite")]:
        raise RuntimeError(f"{path.stem}: {own_faults[0]}")
    tasks: dict[str, Callable[[], object]] = {"exact": own.caller("exact"), "fast": own.caller("fast")}
    tasks |= {peer: call.run for peer, call in peers.items() if peer not in faults}
    isa = _dispatch.active_isa()
    moves = bandwidth_tasks(own.weights())
    flops, best_peak = _kernels.peak_flops(isa, "f32", PEAK_ROUNDS, 1), math.inf
    best, rates = dict.fromkeys(tasks, math.inf), dict.fromkeys(moves, 0.0)
    for _ in range(options.rounds):
        for precision in PRECISIONS:
            peak = fastest(lambda: _kernels.peak_flops(isa, "f32", PEAK_ROUNDS, 1), 0.005)
            best_peak = min(best_peak, peak)
            own.profile(precision, options.seconds)
        for name, task in tasks.items():
            best[name] = min(best[name], fastest(task, options.seconds))
        for name, ways in moves.items():
            rates[name] = max([rates[name], *(size / fastest(task, 0.004) for size, task in ways)])
    bounds = Bounds(flops / best_peak / 2, rates)
    row: dict[str, Any] = {
        "name": path.stem,
        "weights": own.weights(),
        "peak_gflops": round(flops / best_peak / 1e9, 1),
        "gigabytes": {name: round(speed / 1e9, 1) for name, speed in rates.items()},
        "peers": {name: round(1e3 * s, 5) for name, s in best.items() if name not in PRECISIONS},
        "error": {name: float(f"{error:.1e}") for name, error in errors.items()},
        "versions": versions,
    }
    for precision in PRECISIONS:
        steps = _steps(own, bounds, precision, options.steps)
        row[precision] = {"ms": round(1e3 * best[precision], 5)} | steps
    return row


def _steps(own: Measured, bounds: Bounds, precision: Precision, shown: bool) -> dict[str, Any]:
    """[kind, bound, time] of each step, in microseconds, and the sum of the bounds in milliseconds."""
    steps, times = own.steps[precision], np.min(np.array(own.spans[precision]), axis=0)
    rows = []
    for step, seconds in zip(steps, times, strict=True):
        kind, least = bounds.step(step, own.facts, own.constants, precision)
        rows.append([kind, round(1e6 * least, 2), round(1e6 * float(seconds), 2)])
        if shown:
            node = step.node
            name = node.label or next((name for name in node.outputs if name), node.kind)
            print(
                f"{precision:5} {name[-40:]:40} {step.how[:34]:34} {kind:18} {1e6 * least:9.1f} of "
                f"{1e6 * seconds:9.1f} us {least / max(seconds, 1e-9):5.0%}"
            )
    return {"bound_ms": round(sum(row[1] for row in rows) / 1e3, 5), "steps": rows}


# ---- all of them -------------------------------------------------------------------------------------------


def added(file: Path, row: dict[str, Any]) -> None:
    """The row in the file, unless one of that name and these peers is there that took less time."""
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    for old in rows:
        if (
            old["name"] == row["name"]
            and old["peers"].keys() == row["peers"].keys()
            and took(old) <= took(row)
        ):
            print(f"{row['name']}: the row that is there took less time")
            return
    rows = [*(old for old in rows if old["name"] != row["name"]), row]
    rows.sort(key=lambda one: str(one["name"]).lower())
    lines = ",\n".join(json.dumps(one) for one in rows)
    found = json.dumps(machine())
    file.write_text(f'{{"machine": {found},\n"rows": [\n{lines}\n]}}\n', encoding="utf-8")


def took(row: dict[str, Any]) -> float:
    """The milliseconds of all in a row."""
    return float(row["exact"]["ms"] + row["fast"]["ms"] + sum(row["peers"].values()))


def main() -> None:
    """A process for each network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("networks", type=Path)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="NAME,NAME")
    parser.add_argument("--against", type=lambda text: text.split(","), default=["ort", "openvino", "litert"])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.05, help="of a task in a round")
    parser.add_argument("--steps", action="store_true", help="print each step")
    options = parser.parse_args()
    paths = found_in([options.networks])
    paths = [path for path in paths if options.only is None or path.stem in options.only]
    if len(paths) > 1:
        for path in paths:
            subprocess.run([sys.executable, *sys.argv, "--only", path.stem], check=True)
        return
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        row = measured(paths[0], options, folder)
    told = [f"peak {row['peak_gflops']:.0f} GFLOP/s"]
    told += [f"{p} {row[p]['bound_ms']:.3f} of {row[p]['ms']:.3f} ms" for p in PRECISIONS]
    told += [f"{peer} {ms:.3f}" for peer, ms in row["peers"].items()]
    print(f"{row['name']}: {', '.join(told)}", flush=True)
    if options.json:
        added(options.json, row)


if __name__ == "__main__":
    main()
