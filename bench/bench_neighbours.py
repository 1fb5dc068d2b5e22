"""What a busy neighbour costs: two threads against one, alone and beside a process that spins.

    python bench/bench_neighbours.py NETWORK... [--rounds 6] [--seconds 0.25] [--busy 1]

NETWORK is a file with NAME.inputs.npz beside it, as bench/write_networks.py writes them. Calls of one and of
two threads take turns in one process. Prints milliseconds, the mean of all calls, and the ratios of two
threads to one in the same condition, and to one thread alone.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import print_table

import convlite as cl
from convlite.bench.race import model_of


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that spin."""
    found = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.1)
        yield
    finally:
        for process in found:
            process.kill()
            process.wait()


def calls(net: cl.Network, arrays: list[Any], threads: int, seconds: float) -> list[float]:
    """Milliseconds of each call within the time, three at least."""
    found: list[float] = []
    with cl.num_threads(threads):
        net(*arrays)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(found) < 3:
            start = time.perf_counter()
            net(*arrays)
            found.append(1e3 * (time.perf_counter() - start))
    return found


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("networks", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=0.25, help="of one number of threads in a round")
    parser.add_argument("--busy", type=int, default=1, help="how many processes spin")
    options = parser.parse_args()
    rows = []
    for path in options.networks:
        model, net = model_of(path), cl.load(path)
        arrays = list(model.inputs.values())
        means = []
        for count in (0, options.busy):
            times: dict[int, list[float]] = {1: [], 2: []}
            with neighbours(count):
                for _ in range(options.rounds):
                    for threads, found in times.items():
                        found += calls(net, arrays, threads, options.seconds)
            means += [statistics.mean(found) for found in times.values()]
        one, two, one_beside, two_beside = means
        ratios = [two / one, two_beside / one_beside, two_beside / one]
        rows.append([path.stem, *(f"{ms:.2f}" for ms in means), *(f"{ratio:.2f}" for ratio in ratios)])
    heads = ["ms", "1, alone", "2, alone", "1, beside", "2, beside"]
    print_table([*heads, "2/1 alone", "2/1 beside", "2 beside/1 alone"], rows)


if __name__ == "__main__":
    main()
