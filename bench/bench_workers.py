"""What a network costs a worker, and how many workers scale: numbers to plan a cluster by.

    python bench/bench_workers.py MODEL [--shape 1,3,224,224] [--images 32]

Prints the bytes of the pickle (its text and its buffers), the time to pickle, to unpickle, and of the first
call beside a later one (weights packed, program made), then images a second of 1 and 2 processes of one
thread each, interleaved, the fastest of three rounds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import pickle
import time
from typing import Any

import numpy as np

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--shape", default="1,3,224,224")
    parser.add_argument("--images", type=int, default=32)
    options = parser.parse_args()
    shape = tuple(int(size) for size in options.shape.split(","))
    net = cl.load(options.model)
    buffers: list[pickle.PickleBuffer] = []
    best = min(seconds(lambda: pickle.dumps(net, protocol=5, buffer_callback=[].append)) for _ in range(5))
    text = pickle.dumps(net, protocol=5, buffer_callback=buffers.append)
    weights = sum(buffer.raw().nbytes for buffer in buffers)
    print(f"pickle: {len(text) / 1e3:.0f} kB and buffers of {weights / 1e6:.1f} MB in {1e3 * best:.1f} ms")
    copies = [bytes(buffer.raw()) for buffer in buffers]
    best = min(seconds(lambda: pickle.loads(text, buffers=copies)) for _ in range(5))
    print(f"unpickled in {1e3 * best:.1f} ms")
    cl.set_num_threads(1)
    x = np.zeros(shape, np.float32)
    firsts, laters = [], []
    for _ in range(3):
        twin = pickle.loads(text, buffers=copies)
        firsts.append(seconds(lambda twin=twin: twin(x)))
        laters.append(min(seconds(lambda twin=twin: twin(x)) for _ in range(5)))
    print(f"first call {1e3 * min(firsts):.0f} ms, later ones {1e3 * min(laters):.1f} ms")
    context = multiprocessing.get_context("forkserver")
    pools = {count: context.Pool(count, receive, (net, shape)) for count in (1, 2)}
    rates: dict[int, float] = dict.fromkeys(pools, 0.0)
    for count, pool in pools.items():
        pool.map(work, [1] * count, 1)
    for _ in range(3):
        for count, pool in pools.items():
            taken = seconds(
                lambda count=count, pool=pool: pool.map(work, [options.images // count] * count, 1)
            )
            rates[count] = max(rates[count], options.images / taken)
    for pool in pools.values():
        pool.terminate()
    print(f"1 worker {rates[1]:.1f} images/s, 2 workers {rates[2]:.1f}: {rates[2] / rates[1]:.2f} times")


if __name__ == "__main__":
    main()
