"""Writes initializers_streams.npz and initializers_classes.npz: random numbers from a real TensorFlow.

Run with TensorFlow 2.21, tf_keras 2.21 and Keras 3.15 on Linux: `python make_initializers.py`. The keys tell
the tests what to compute: the parts between the colons are Python literals or names.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = (
    "1"  # tf.compat.v1.keras is then TensorFlow 1's, from tf_keras, and not Keras 3
)

import keras
import numpy as np
import tensorflow as tf
import tf_keras

HERE = Path(__file__).parent
v1 = tf.compat.v1
STREAMS = ("random_uniform", "random_normal", "truncated_normal")
SEEDS = [(None, 0), (None, 1), (42, None), (0, 0), (-3, 2**31 + 5), (2**40 + 17, -(2**35)), (7, 2**31 - 1)]
LONG = {"float32": 4099, "float64": 1031}  # about a hundred groups of a truncated normal draw a value again
HASHED = 300_001
SHAPES = [(3, 3, 5, 7), (11,), (4, 9)]


def graph_value(make: Callable[[], tf.Tensor], graph_seed: int | None = None) -> np.ndarray:
    """The value of the tensor that `make` adds to a new graph with this seed."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(graph_seed)
        return session.run(make())


def sha256(value: np.ndarray) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(value.tobytes()).digest(), np.uint8)


def streams() -> Iterator[tuple[str, np.ndarray]]:
    for name in STREAMS:
        draw = getattr(v1, name)
        for dtype in ("float32", "float64"):
            for graph_seed, seed in SEEDS:
                value = graph_value(lambda d=draw, t=dtype, s=seed: d((37,), dtype=t, seed=s), graph_seed)
                yield f"{name}:{graph_seed}:{seed}:{dtype}", value
            value = graph_value(lambda d=draw, t=dtype: d((LONG[t],), dtype=t, seed=5))
            yield f"{name}:None:5:{dtype}", value
        value = graph_value(lambda d=draw: d((HASHED,), seed=6))
        yield f"sha256:{name}:6:{HASHED}", sha256(value)
    yield "range:-0.3:1.7", graph_value(lambda: v1.random_uniform((257,), -0.3, 1.7, seed=4))
    yield "moments:0.25:1.3", graph_value(lambda: v1.random_normal((257,), 0.25, 1.3, seed=4))
    yield "truncated:0.25:1.3", graph_value(lambda: v1.truncated_normal((257,), 0.25, 1.3, seed=4))
    with tf.Graph().as_default(), v1.Session() as session:  # which calls a graph counts
        v1.set_random_seed(3)
        first = v1.random_normal((5,))
        v1.zeros((2,))
        second = v1.random_uniform((5,))
        seeded = v1.random_uniform((5,), seed=0)
        third = v1.truncated_normal((5,))
        yield "graph", np.stack(session.run([first, second, seeded, third]))
    for seed in [(0, 0), (5, 0), (5, -9), (2**33 + 1, 2**40)]:
        for name in ("stateless_uniform", "stateless_normal", "stateless_truncated_normal"):
            draw = getattr(tf.random, name)
            for dtype in ("float32", "float64"):
                yield (
                    f"{name}:{seed}:{dtype}",
                    draw((37,), seed=tf.constant(seed, tf.int64), dtype=dtype).numpy(),
                )


def classes() -> Iterator[tuple[str, np.ndarray]]:
    options = [
        ("RandomNormal", {}),
        ("RandomNormal", {"mean": 0.5, "stddev": 2.0}),
        ("RandomUniform", {}),
        ("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
        ("TruncatedNormal", {}),
        *(("VarianceScaling", {"scale": 0.7, "mode": mode, "distribution": distribution})
          for mode in ("fan_in", "fan_out", "fan_avg")
          for distribution in ("truncated_normal", "untruncated_normal", "uniform")),
        *((name, {}) for name in ("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal")),
        ("Orthogonal", {}),
        ("Orthogonal", {"gain": 1.5}),
    ]  # fmt: skip
    old = {"GlorotUniform": "glorot_uniform", "GlorotNormal": "glorot_normal", "HeUniform": "he_uniform",
           "HeNormal": "he_normal", "LecunUniform": "lecun_uniform", "LecunNormal": "lecun_normal",
           "Orthogonal": "orthogonal"}  # fmt: skip
    for name, arguments in options:
        for shape in SHAPES:
            if name == "Orthogonal" and len(shape) < 2:
                continue
            dtypes = ("float32", "float64") if shape == (4, 9) else ("float32",)
            for dtype in dtypes:
                key = f"{name}:{arguments}:{shape}:{dtype}"
                tf1 = getattr(v1.keras.initializers, old.get(name, name))
                value = graph_value(lambda m=tf1, a=arguments, s=shape, t=dtype: m(seed=3, **a)(s, dtype=t))
                yield f"tf1:{key}", value
                if not arguments:
                    value = graph_value(lambda m=tf1, s=shape, t=dtype: m()(s, dtype=t), 42)
                    yield f"tf1_graph_seed:{key}", value
                value = getattr(keras.initializers, name)(seed=3, **arguments)(shape, dtype=dtype).numpy()
                yield f"keras3:{key}", value
                keras2 = getattr(tf_keras.initializers, name)(seed=3, **arguments)(shape, dtype=dtype).numpy()
                # They part in float64 uniform values only, whose limits Keras 3 rounds to float32.
                assert np.array_equal(keras2, value) or dtype == "float64", key
    for seed in (0, 2**31 - 3, 2**31 - 2, 2**31 + 5, -4):
        yield f"keras3_seed:{seed}", keras.initializers.RandomUniform(seed=seed)((5,)).numpy()
    # Document 003: an unseeded Xavier initializer in a graph with seed 42.
    value = graph_value(lambda: v1.glorot_uniform_initializer()((3, 3, 32, 32)), 42)
    yield "document_003", value.reshape(-1)[:5]
    yield "sha256:document_003", sha256(value)


if __name__ == "__main__":
    print(tf.__version__, keras.__version__, tf_keras.__version__, np.__version__, sys.platform)
    for name, arrays in (
        ("initializers_streams.npz", dict(streams())),
        ("initializers_classes.npz", dict(classes())),
    ):
        np.savez_compressed(HERE / name, **arrays)
        print(name, len(arrays), (HERE / name).stat().st_size)
