"""What a network costs a worker, and how many workers scale: numbers to plan a cluster by.

    python bench/bench_workers.py MODEL... [--shape 1,3,224,224] [--images 32] [--page]

Prints the bytes of the pickle (its text and its buffers), the time to pickle, to unpickle, and of the first
call beside a later one (weights packed, program made), then images a second of 1 and 2 processes of one
thread each, interleaved, the fastest of three rounds. --page: write the table into docs/large-images.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import pathlib
import pickle
import time
from typing import Any

import numpy as np
from figures import show, table, where

import convlite as cl

held: Any = None


def receive(net: cl.Network, shape: tuple[int, ...]) -> None:
    """Once a worker."""
    global held
    cl.set_num_threads(1)
    held = net, np.random.default_rng(0).random(shape).astype(np.float32)
    net(held[1])


def work(count: int) -> None:
    """Some images."""
    net, x = held
    for _ in range(count):
        net(x)


def seconds(run: Any) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def costs(file: str, shape: tuple[int, ...], images: int) -> dict[str, str]:
    """The rows of one model."""
    net = cl.load(file)
    buffers: list[pickle.PickleBuffer] = []
    pickled = min(seconds(lambda: pickle.dumps(net, protocol=5, buffer_callback=[].append)) for _ in range(5))
    text = pickle.dumps(net, protocol=5, buffer_callback=buffers.append)
    copies = [bytes(buffer.raw()) for buffer in buffers]
    unpickled = min(seconds(lambda: pickle.loads(text, buffers=copies)) for _ in range(5))
    cl.set_num_threads(1)
    x = np.zeros(shape, np.float32)
    firsts, laters = [], []
    for _ in range(3):
        twin = pickle.loads(text, buffers=copies)
        firsts.append(seconds(lambda twin=twin: twin(x)))
        laters.append(min(seconds(lambda twin=twin: twin(x)) for _ in range(5)))
    context = multiprocessing.get_context("forkserver")
    pools = {count: context.Pool(count, receive, (net, shape)) for count in (1, 2)}
    rates: dict[int, float] = dict.fromkeys(pools, 0.0)
    for count, pool in pools.items():
        pool.map(work, [1] * count, 1)
    for _ in range(3):
        for count, pool in pools.items():
            taken = seconds(lambda count=count, pool=pool: pool.map(work, [images // count] * count, 1))
            rates[count] = max(rates[count], images / taken)
    for pool in pools.values():
        pool.terminate()
    return {
        "pickle beside the weights": f"{len(text) / 1e3:.0f} kB",
        "weights, as buffers of protocol 5": f"{sum(map(len, copies)) / 1e6:.1f} MB",
        "to pickle, to unpickle": f"{1e3 * pickled:.1f} ms, {1e3 * unpickled:.1f} ms",
        "first call: weights packed, steps planned": f"{1e3 * min(firsts):.0f} ms",
        "a later call, one thread": f"{1e3 * min(laters):.1f} ms",
        "1 worker of one thread": f"{rates[1]:.1f} images/s",
        "2 workers of one thread": f"{rates[2]:.1f} images/s: {rates[2] / rates[1]:.2f} times",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--shape", default="1,3,224,224")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    shape = tuple(int(size) for size in options.shape.split(","))
    place = where()
    found = {pathlib.Path(file).stem: costs(file, shape, options.images) for file in options.models}
    rows = [[row, *(column[row] for column in found.values())] for row in next(iter(found.values()))]
    show("workers", [*table(["", *found], rows), "", f"({place}.)"], options.page)


if __name__ == "__main__":
    main()
