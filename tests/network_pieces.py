"""What tests of the vocabulary share: one node computed, and the pieces of random nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convlite.network.graph import Node
from convlite.network.kinds import KINDS

Case = tuple[dict[str, Any], list[Any]]  # attributes, inputs (None: left out)
Rng = np.random.Generator

CASES: dict[str, Callable[[Rng], Case]] = {}
OUTPUTS: dict[str, int] = {
    "max_pool_indices": 2,
    "layer_norm": 3,
    "top_k": 2,
    "unique": 4,
    "lstm": 3,
    "gru": 2,
}
OUTPUTS |= {"rnn": 2, "dynamic_quantize_linear": 3, "split": 3, "loop": 2, "scan": 2}


def case(*names: str) -> Callable[[Callable[[Rng], Case]], Callable[[Rng], Case]]:
    def put(make: Callable[[Rng], Case]) -> Callable[[Rng], Case]:
        CASES.update(dict.fromkeys(names, make))
        return make

    return put


def node_of(kind: str, rng: Rng) -> tuple[Node, list[Any]]:
    attributes, drawn = CASES[kind](rng)
    arrays = [None if array is None else np.asarray(array) for array in drawn]
    names = ["" if array is None else f"i{number}" for number, array in enumerate(arrays)]
    outputs = tuple(f"o{number}" for number in range(OUTPUTS.get(kind, 1)))
    return Node(kind, tuple(names), outputs, attributes, "n"), arrays


# ---- pieces ----


def pick(rng: Rng, *options: Any) -> Any:
    return options[int(rng.integers(len(options)))]


def floats(rng: Rng, *shape: int) -> Any:
    dtype = pick(rng, np.float32, np.float32, np.float64)
    return np.asarray(rng.standard_normal(shape), dtype)


def small(rng: Rng, low: int = 1, high: int = 5) -> int:
    return int(rng.integers(low, high + 1))


def shape(rng: Rng, low: int = 0, high: int = 4) -> tuple[int, ...]:
    return tuple(small(rng) for _ in range(small(rng, low, high)))


def vector(*items: int) -> Any:
    return np.array(items, np.int64)


def like(x: Any, array: Any) -> Any:
    return np.asarray(array, x.dtype)


def maybe(rng: Rng, value: Any) -> Any:
    return value if rng.random() < 0.7 else None


def broadcastable(rng: Rng, whole: tuple[int, ...]) -> tuple[int, ...]:
    kept = whole[small(rng, 0, len(whole)) :] if whole else whole
    return tuple(pick(rng, size, size, 1) for size in kept)


# ---- one node ----

F = np.float32
INF = float("inf")


def run(kind: str, *arrays: Any, outputs: int = 1, **attributes: Any) -> Any:
    held = [array if array is None else np.asarray(array) for array in arrays]
    names = tuple("" if array is None else f"i{n}" for n, array in enumerate(held))
    node = Node(kind, names, tuple(f"o{n}" for n in range(outputs)), attributes)
    got = KINDS[kind].compute(node, held)
    return got[0] if outputs == 1 else got


def normal(*shape: int, seed: int = 0, dtype: Any = F) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)
