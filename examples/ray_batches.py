"""A network over a Ray dataset: each actor loads it once and plans once for each shape of a batch.

    pip install convlite "ray[data]"
    python examples/ray_batches.py MODEL

An actor keeps to the cores that Ray gives it. A batch whose actor dies is computed again by another one, with
the same bits.
"""

from __future__ import annotations

import sys

import numpy as np

import convlite as cl


class Predictor:
    """Adds a column `out` to each batch: the network's output for the column `data`, as Ray calls arrays.

    path: a file that convlite.load reads, or a Network, which Ray sends to each actor once. threads: of each
    call; give as many to map_batches as num_cpus.
    """

    def __init__(self, path: object, threads: int = 1) -> None:
        self.net = path if isinstance(path, cl.Network) else cl.load(path)  # type: ignore[arg-type]
        self.threads = threads

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        images = np.ascontiguousarray(batch["data"])
        with cl.num_threads(self.threads):
            return {**batch, "out": self.net(images)}


def main(path: str) -> None:
    import ray

    images = np.random.default_rng(0).random((64, 32, 32, 3)).astype(np.float32)
    data = ray.data.from_numpy(np.split(images, 4))  # four blocks
    found = data.map_batches(
        Predictor,
        fn_constructor_args=(path,),
        batch_size=16,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=2),
    )
    print(found.take(1)[0]["out"].shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
