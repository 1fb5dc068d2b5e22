"""What a call and the package cost beside the arithmetic.

    python bench/bench_overhead.py [--rounds N] [--json FILE]

Calls on (1, 8, 8, 8) with a 3x3 kernel, and of a small dense layer, in each form; the first call of a
process against its median call; a first call with a new shape; the import over NumPy's; the size of the
installed files; resident memory. What needs a fresh process gets one, several times.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from itertools import count
from pathlib import Path

import numpy as np
from common import interleaved, print_table, write_json

import convlite as cl

FIRST_CALL = """
import time
import numpy as np
import convlite as cl
x, kernel = np.ones((1, 8, 8, 8), np.float32), np.ones((3, 3, 8, 8), np.float32)
call = lambda: cl.conv2d(x, kernel, padding="same")
if {built}:
    call = cl.layers.Conv2D.from_weights(kernel, padding="same")
    call.build(x.shape)
    call = lambda layer=call: layer(x)
times = []
for _ in range(3):  # the clock's own first call takes half a microsecond
    time.perf_counter()
for _ in range(300):
    start = time.perf_counter()
    call()
    times.append(time.perf_counter() - start)
print(times[0], sorted(times[1:])[150])
"""
IMPORT = """
import time
import numpy
def resident():
    try:
        return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1]) * 1024
    except OSError:
        return 0
before, start = resident(), time.perf_counter()
import convlite
print(time.perf_counter() - start, resident() - before, resident())
"""


def fresh(script: str, times: int) -> list[list[float]]:
    """What the script prints, from several new processes."""
    runs = (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        for _ in range(times)
    )
    return [[float(word) for word in run.stdout.split()] for run in runs]


def installed_bytes() -> dict[str, int]:
    """The files that an installation has: sources, stubs, the compiled core; no caches, no C sources."""
    kinds = {".py", ".pyi", ".so", ".pyd", ".typed", ""}
    folder = Path(cl.__file__).parent
    files = [
        p for p in folder.rglob("*") if p.is_file() and p.suffix in kinds and "__pycache__" not in p.parts
    ]
    compiled = sum(p.stat().st_size for p in files if p.suffix in {".so", ".pyd"})
    return {"all": sum(p.stat().st_size for p in files), "compiled": compiled}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=40, help="short rounds; the best one counts")
    parser.add_argument(
        "--processes", type=int, default=7, help="fresh processes for imports and first calls"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 8, 8, 8)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 8, 8)).astype(np.float32)
    bias, out = np.zeros(8, np.float32), np.empty((1, 8, 8, 8), np.float32)
    packed = cl.PackedKernel(kernel)
    point, dot = np.ones((1, 1, 1, 1), np.float32), cl.PackedKernel(np.ones((1, 1, 1, 1), np.float32))
    layer = cl.layers.Conv2D.from_weights(kernel, bias, padding="same")
    point_layer = cl.layers.Conv2D.from_weights(point, np.zeros(1, np.float32))
    vector, matrix = rng.standard_normal((1, 64)).astype(np.float32), np.ones((64, 10), np.float32)
    packed_matrix, logits = cl.PackedKernel(matrix, "dense"), np.empty((1, 10), np.float32)
    dense_layer = cl.layers.Dense.from_weights(matrix, np.zeros(10, np.float32))
    expected = cl.reference.conv2d(x.astype(np.float64), kernel.astype(np.float64), padding="same")
    np.testing.assert_allclose(cl.conv2d(x, kernel, padding="same"), expected, atol=1e-4)
    new_width = count(1000)

    def unseen() -> None:
        cl.conv2d(np.empty((1, 1, next(new_width), 1), np.float32), dot)

    tasks = {
        "conv2d (1,8,8,8) 3x3, array": lambda: cl.conv2d(x, kernel, padding="same"),
        "conv2d (1,8,8,8) 3x3, packed": lambda: cl.conv2d(x, packed, padding="same"),
        "conv2d (1,8,8,8) 3x3, packed, bias, relu, out": lambda: cl.conv2d(
            x, packed, bias, padding="same", activation="relu", out=out
        ),
        "layers.Conv2D (1,8,8,8) 3x3": lambda: layer(x),
        "conv2d (1,1,1,1) 1x1, packed: the call alone": lambda: cl.conv2d(point, dot),
        "layers.Conv2D (1,1,1,1) 1x1: the call alone": lambda: point_layer(point),
        "dense (1,64) to 10, array": lambda: cl.dense(vector, matrix),
        "dense (1,64) to 10, packed": lambda: cl.dense(vector, packed_matrix),
        "dense (1,64) to 10, packed, out": lambda: cl.dense(vector, packed_matrix, out=logits),
        "layers.Dense (1,64) to 10": lambda: dense_layer(vector),
        "conv2d on about 1000 pixels, each shape for the first time": unseen,
    }
    times = interleaved(list(tasks.values()), options.rounds, label="calls")
    rows = [
        {"name": name, "value": min(found) * 1e6, "median": statistics.median(found) * 1e6, "unit": "us"}
        for name, found in zip(tasks, times, strict=True)
    ]

    for built, name in enumerate(("conv2d", "a layer that was built")):
        script = FIRST_CALL.replace("{built}", str(built))
        ratios = [first / median for first, median in fresh(script, options.processes)]
        rows.append(
            {
                "name": f"first call / median call, {name}",
                "value": min(ratios),
                "median": statistics.median(ratios),
                "unit": "x",
            }
        )
    seconds, grown, resident = zip(*fresh(IMPORT, options.processes), strict=True)
    rows.append(
        {
            "name": "import convlite, NumPy being there",
            "value": min(seconds) * 1e3,
            "median": statistics.median(seconds) * 1e3,
            "unit": "ms",
        }
    )
    for name, values in (("resident memory over NumPy's", grown), ("resident memory with NumPy", resident)):
        rows.append(
            {
                "name": name,
                "value": min(values) / 2**20,
                "median": statistics.median(values) / 2**20,
                "unit": "MiB",
            }
        )
    for name, size in installed_bytes().items():
        rows.append(
            {"name": f"installed files, {name}", "value": size / 2**10, "median": None, "unit": "KiB"}
        )

    print_table(
        ["cost", "best", "median", "unit"],
        [
            [r["name"], f"{r['value']:.2f}", "" if r["median"] is None else f"{r['median']:.2f}", r["unit"]]
            for r in rows
        ],
    )
    write_json(options.json, rows)


if __name__ == "__main__":
    main()
