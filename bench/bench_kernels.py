"""How near the kernels come to the machine's peak: each instruction set's micro-kernel, and whole layers.

    python bench/bench_kernels.py [--rounds N] [--threads N] [--json FILE] [--check]

The peak is a loop of multiply-adds on registers (`_kernels.peak_flops`), measured in the same rounds. Weights
are packed beforehand. Every result is compared with the reference in float64 before its time counts. --check
fails unless `conv2d 3x3 256->256 on 14x14` reaches 60% of the peak on one thread.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import interleaved, print_table, write_json

# isort: split
from cases import NETWORKS, Case
from tolerance import tolerance

import convlite as cl
from convlite import _dispatch, _kernels
from convlite.explain import resolve
from convlite.plan import kind_of

GATE = "conv-resnet50-14x14-256"
GATE_SHARE = 0.6
LAYERS = (
    GATE,
    "conv-resnet50-56x56-64",
    "conv-resnet50-7x7-512",
    "conv-resnet50-1x1-down",
    "conv-resnet50-stem",
    "conv-mobilenet-pointwise",
    "depthwise-mobilenet-14x14-512",
    "transpose-dcgan-7x7-256",
    "transpose-unet-28x28-256",
    "dense-mlp-batch",
)


@dataclass
class Task:
    """One call, measured."""

    name: str
    isa: str
    dtype: str
    threads: int
    flops: float
    run: Callable[[], object]
    error: float = 0.0


def micro_case(isa: str, kind: str) -> Case:
    """Whole tiles only, pixels and weights in L2: what remains is the micro-kernel."""
    table = _kernels.describe(isa, kind)
    channels, pixels = 8 * table["nr"] * table["lanes"], 48 * table["mr"]
    name = f"micro-kernel {table['mr']}x{table['nr']} of {table['lanes']} lanes"
    return Case(name, "conv2d", (1, 1, pixels, 256), (1, 1, 256, channels))


def title(case: Case) -> str:
    """What is computed, in the words of the documentation."""
    if case.operation == "dense":
        return f"dense {case.kernel[0]}->{case.kernel[1]}, {case.x[0]} rows"
    kh, kw = case.kernel[:2]
    stride = case.options.get("strides", 1)
    text = f"{case.operation} {kh}x{kw}{f'/{stride}' if stride != 1 else ''} {case.x[-1]}->{case.cout}"
    return f"{text} on {case.x[1]}x{case.x[2]}"


def flops_of(case: Case) -> float:
    """Two for each product by definition: taps on padding count, as in every published figure."""
    if case.operation == "dense":
        return 2.0 * math.prod(case.x) * case.kernel[1]
    if case.operation == "conv2d_transpose":  # as a scatter: each input meets the whole kernel
        return 2.0 * math.prod(case.x[:3]) * math.prod(case.kernel)
    out = resolve(case.operation, case.x, case.kernel, **case.options).out
    return 2.0 * math.prod(out[:3]) * math.prod(case.kernel)


def prepare(case: Case, isa: str, dtype: str, threads: int, name: str) -> Task:
    """Pack, run once, compare with the reference, and hand back what is to be timed."""
    x, kernel, bias = case.operands(dtype)
    function = getattr(cl, case.operation)
    packed = cl.PackedKernel(kernel, case.operation, **case.packing)
    reference = getattr(cl.reference, case.operation)
    wide = [a.astype(np.float64) for a in (x, kernel, bias)]
    expected = reference(*wide, **case.options)
    out = np.empty(expected.shape, dtype)

    def run() -> object:
        with _dispatch.use_isa(isa), cl.num_threads(threads):
            return function(x, packed, bias, out=out, **case.options)

    run()
    np.testing.assert_allclose(out, expected, **tolerance(dtype, case.terms, np.abs(expected).max()))
    error = float(np.abs(out - expected).max() / np.abs(expected).max())
    return Task(name, isa, dtype, threads, flops_of(case), run, error)


def peak_task(isa: str, dtype: str, threads: int) -> Task:
    """Multiply-adds on registers for about a millisecond."""
    kind = kind_of(np.dtype(dtype))
    rounds = 100_000
    flops = _kernels.peak_flops(isa, kind, rounds, threads)
    return Task("peak", isa, dtype, threads, flops, lambda: _kernels.peak_flops(isa, kind, rounds, threads))


def main() -> None:
    """Prepare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=40, help="short rounds; the best one counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--check", action="store_true", help=f"fail below {GATE_SHARE:.0%}% for {GATE}")
    options = parser.parse_args()

    best = _dispatch.active_isa()
    cases = {case.name: case for case in NETWORKS}
    tasks = []
    for isa in _dispatch.available_isas():
        for dtype in ("float32", "float64"):
            case = micro_case(isa, kind_of(np.dtype(dtype)))
            tasks.append(prepare(case, isa, dtype, 1, case.name))
    for name in LAYERS:
        tasks.append(prepare(cases[name], best, "float32", options.threads, title(cases[name])))
    gate = tasks[-len(LAYERS)]
    if options.threads != 1:
        gate = prepare(cases[GATE], best, "float32", 1, title(cases[GATE]))
        tasks.append(gate)
    kinds = sorted({(task.isa, task.dtype, task.threads) for task in tasks})
    peaks = [peak_task(*kind) for kind in kinds]

    times = interleaved([t.run for t in [*peaks, *tasks]], options.rounds, label="rounds")
    seconds = [min(found) for found in times]
    peak = {kind: task.flops / s for kind, task, s in zip(kinds, peaks, seconds, strict=False)}
    rows: list[dict[str, Any]] = []
    for task, s in zip(tasks, seconds[len(peaks) :], strict=True):
        top = peak[task.isa, task.dtype, task.threads]
        rows.append(
            {
                "name": task.name,
                "isa": task.isa,
                "dtype": task.dtype,
                "threads": task.threads,
                "ms": s * 1e3,
                "gflops": task.flops / s / 1e9,
                "peak_gflops": top / 1e9,
                "share": task.flops / s / top,
                "error": task.error,
            }
        )
    print_table(
        ["prepacked weights", "isa", "dtype", "threads", "ms", "GFLOP/s", "peak", "of peak", "error"],
        [
            [
                r["name"],
                r["isa"],
                r["dtype"],
                r["threads"],
                f"{r['ms']:.3f}",
                f"{r['gflops']:.1f}",
                f"{r['peak_gflops']:.1f}",
                f"{r['share']:.0%}",
                f"{r['error']:.0e}",
            ]
            for r in rows
        ],
    )
    share = rows[tasks.index(gate)]["share"]
    asked = f"at least {GATE_SHARE:.0%} is asked for"
    print(f"\n{gate.name}, prepacked, one thread, {best}: {share:.0%} of the peak ({asked})")
    write_json(options.json, rows)
    if options.check and share < GATE_SHARE:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
