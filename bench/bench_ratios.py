"""Two ratios that need no other library: a transposed convolution against the convolution it is the adjoint
of, and two threads against one.

    python bench/bench_ratios.py [--rounds N] [--json FILE]

Layers are those of convlite/bench/shapes. The adjoint takes the transposed convolution's output and kernel to
its input, with the same multiply-adds; measured where there are 16 output channels or more. Threads are
compared where a layer has 50 million multiply-adds (100 MFLOP) or more. Weights are packed beforehand, `out`
is given, both members of a pair are called in the same rounds. So each call on two threads finds its worker
asleep after one on one thread, and pays for waking it (7 to 24 us on the machine of the committed results).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import interleaved, print_table, write_json

import convlite as cl
from convlite.bench.shape import Operands, Shape, shipped

FEWEST_CHANNELS = 16
LEAST_WORK = 50_000_000  # multiply-adds
OPERATIONS: dict[str, Callable[..., Any]] = {
    "conv": cl.conv2d,
    "transpose": cl.conv2d_transpose,
    "depthwise": cl.depthwise_conv2d,
    "dense": cl.dense,
}


def options_of(shape: Shape) -> dict[str, Any]:
    """Keyword arguments of the operation, without groups, which depthwise and dense do not have."""
    if shape.operation == "dense":
        return {}
    pad = shape.padding
    explicit = ((pad[0], pad[0]), (pad[1], pad[1])) if isinstance(pad, tuple) else pad
    found = {"strides": shape.strides, "padding": explicit, "dilations": shape.dilation}
    return found if shape.operation == "depthwise" else found | {"groups": shape.groups}


def packed(kernel: np.ndarray[Any, Any], operation: str, options: dict[str, Any]) -> cl.PackedKernel:
    """The kernel in the layout of its operation."""
    kept = {name: options[name] for name in ("strides", "dilations", "groups") if name in options}
    return cl.PackedKernel(kernel, operation, **(kept if operation.startswith("conv2d") else {}))


def call_of(shape: Shape, threads: int) -> Callable[[], object]:
    """The layer, ready to be called."""
    operands, options, function = Operands.of(shape), options_of(shape), OPERATIONS[shape.operation]
    kernel = packed(operands.kernel, function.__name__, options)
    out = np.empty(shape.out, np.float32)
    return _on(threads, partial(function, operands.x, kernel, operands.bias, out=out, **options))


def adjoint_of(shape: Shape) -> Callable[[], object]:
    """The convolution from the transposed one's output to its input, on one thread."""
    random = np.random.default_rng(0)
    x = random.standard_normal(shape.out, dtype=np.float32)
    options = options_of(shape)
    kernel = packed(Operands.of(shape).kernel, "conv2d", options)
    bias, out = random.standard_normal(shape.cin, dtype=np.float32), np.empty(shape.x, np.float32)
    return _on(1, partial(cl.conv2d, x, kernel, bias, out=out, **options))


def _on(threads: int, call: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        with cl.num_threads(threads):
            return call()

    return run


def main() -> None:
    """Prepare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=30, help="short rounds; the best one counts")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()

    pairs: list[tuple[str, Shape, Callable[[], object], Callable[[], object]]] = []
    for shape in shipped():
        if shape.operation == "transpose" and shape.cout >= FEWEST_CHANNELS:
            pairs.append(("transposed / convolution", shape, call_of(shape, 1), adjoint_of(shape)))
    for shape in shipped():
        if shape.multiply_adds >= LEAST_WORK:
            pairs.append(("1 thread / 2 threads", shape, call_of(shape, 1), call_of(shape, 2)))

    rows = []
    # a few pairs at a time: operands of all layers at once would take gigabytes and cool the caches
    for start in range(0, len(pairs), 4):
        some = pairs[start : start + 4]
        calls = [call for _, _, first, second in some for call in (first, second)]
        best = [min(found) for found in interleaved(calls, options.rounds, 0.02, "rounds")]
        for (kind, shape, _, _), first, second in zip(some, best[::2], best[1::2], strict=True):
            rows.append(
                {
                    "kind": kind,
                    "name": shape.name,
                    "first_ms": first * 1e3,
                    "second_ms": second * 1e3,
                    "ratio": first / second,
                }
            )
    print_table(
        ["layer", "pair", "ms", "ms", "ratio"],
        [
            [r["name"], r["kind"], f"{r['first_ms']:.3f}", f"{r['second_ms']:.3f}", f"{r['ratio']:.2f}"]
            for r in rows
        ],
    )
    write_json(options.json, rows)


if __name__ == "__main__":
    main()
