"""Instructions for each multiply-add of a vector, and the functions that take the rest: callgrind's counts.

    python bench/instructions.py [--out FILE]

Wants valgrind. Counts do not depend on what else the machine does, so they find what times hide; they say
nothing about waiting for memory. Valgrind knows no AVX-512: the AVX2 kernels are counted, on one thread. Each
shape runs in two processes, with a few calls more in the second: the difference is the calls alone.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import machine

import convlite as cl

LANES = 8
MORE_CALLS = 2
SHOWN = 4  # functions of a row
SAME: dict[str, Any] = {"padding": "same"}
# operation, x, kernel, options
SHAPES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "1x1 24 -> 144 on 56x56": ("conv2d", (1, 56, 56, 24), (1, 1, 24, 144), {}),
    "1x1 64 -> 64 on 56x56": ("conv2d", (1, 56, 56, 64), (1, 1, 64, 64), {}),
    "3x3 64 -> 64 on 56x56": ("conv2d", (1, 56, 56, 64), (3, 3, 64, 64), SAME),
    "3x3 3 -> 64 on 224x224": ("conv2d", (1, 224, 224, 3), (3, 3, 3, 64), SAME),
    "transpose 2x2/2 16 -> 1 on 160x160": (
        "conv2d_transpose",
        (1, 160, 160, 16),
        (2, 2, 1, 16),
        SAME | {"strides": 2},
    ),
}
CALLS = """
import sys
import numpy as np
import convlite as cl
name, x_shape, kernel_shape, options, times = {call!r}
x, kernel = np.ones(x_shape, np.float32), np.ones(kernel_shape, np.float32)
packed = cl.PackedKernel(kernel, name, strides=options.get("strides", 1))
bias = np.zeros(kernel_shape[2 if name == "conv2d_transpose" else 3], np.float32)
out = getattr(cl, name)(x, packed, bias, **options)
for _ in range(times):
    getattr(cl, name)(x, packed, bias, out=out, **options)
"""


def self_costs(lines: Iterator[str]) -> Counter[str]:
    """Instructions of each function, without those it calls, from callgrind's file."""
    names: dict[str, str] = {}
    costs: Counter[str] = Counter()
    function = ""
    for line in lines:
        if line.startswith("fn="):
            number, _, name = line[3:].strip().partition(" ")
            function = names.setdefault(number, name)
        elif line.startswith("cfn="):
            number, _, name = line[4:].strip().partition(" ")
            names.setdefault(number, name)
        elif line.startswith("calls="):
            next(lines)  # what the callee took
        elif re.match(r"[0-9+*-]", line):
            costs[function] += int(line.split()[1])
    return costs


def counted(call: tuple[Any, ...], times: int) -> Counter[str]:
    """What a process with so many calls executes."""
    environment = os.environ | {
        "CONVLITE_ISA": "avx2",
        "CONVLITE_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",  # or dictionaries differ between the two processes whose difference is taken
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "callgrind")
        script = CALLS.format(call=(*call, times))
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={file}",
            sys.executable,
            "-c",
            script,
        ]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        if run.returncode:
            raise SystemExit(run.stderr)
        with file.open() as lines:
            return self_costs(lines)


def row(name: str) -> list[str]:
    """A line of the table."""
    call = SHAPES[name]
    few, more = counted(call, 0), counted(call, MORE_CALLS)
    costs = Counter({f: (more[f] - few[f]) / MORE_CALLS for f in more if more[f] > few[f]})
    operation, x, kernel, options = call
    pixels = x[1:3]
    if operation == "conv2d":
        pixels = cl.conv2d_output_shape(x, kernel, **options)[1:3]
    products = math.prod(pixels) * math.prod(kernel)
    total, sums = sum(costs.values()), products / LANES
    parts = [f"`{f}` {cost / total:.0%}" for f, cost in costs.most_common(SHOWN) if cost >= 0.01 * total]
    counts = [f"{total / 1e6:.3f}", f"{sums / 1e6:.3f}", f"{total / sums:.2f}"]
    return [name, *counts, ", ".join(parts)]


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "callgrind.md")
    options = parser.parse_args()
    version = subprocess.run(
        ["valgrind", "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    header = ["layer", "instructions, millions", "multiply-adds of 8 lanes, millions", "ratio", "where"]
    lines = [header, ["---", "---:", "---:", "---:", "---"], *map(row, SHAPES)]
    text = (
        "# Instructions of a call\n\n"
        f"Written by `python bench/instructions.py` ({version}, commit {machine()['commit']}):\n"
        "AVX2, float32, one thread, packed weights, bias, `out`. Multiply-adds are those of the definition,\n"
        "products with padding included.\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)
    )
    options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
