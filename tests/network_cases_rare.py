"""Random nodes of recurrent, quantised and nested kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
from network_cases import _conv
from network_pieces import Case, Rng, case, floats, like, maybe, pick, shape, small

from convlite.network.graph import Graph, Node, Value

# ---- recurrent ----


def _cells(rng: Rng, gates: int, states: int, functions: tuple[str, ...], more: dict[str, Any]) -> Case:
    steps, batch, width, hidden = (small(rng, 1, 4) for _ in range(4))
    direction = pick(rng, "forward", "reverse", "bidirectional")
    count = 2 if direction == "bidirectional" else 1
    layout = pick(rng, 0, 1)
    x = floats(rng, *((steps, batch) if not layout else (batch, steps)), width)

    def some(*sizes: int) -> Any:
        return like(x, rng.standard_normal(sizes))

    state = (count, batch, hidden) if not layout else (batch, count, hidden)
    arrays = [x, some(count, gates * hidden, width), some(count, gates * hidden, hidden)]
    arrays += [maybe(rng, some(count, 2 * gates * hidden)), maybe(rng, rng.integers(0, steps + 1, batch))]
    arrays += [maybe(rng, some(*state)) for _ in range(states)]
    attributes = {"direction": direction, "hidden_size": hidden, "activations": functions * count}
    return attributes | {"clip": pick(rng, None, 0.7), "layout": layout} | more, arrays


@case("lstm")
def _lstm(rng: Rng) -> Case:
    return _cells(rng, 4, 2, ("sigmoid", "tanh", "tanh"), {"input_forget": pick(rng, False, True)})


@case("gru")
def _gru(rng: Rng) -> Case:
    return _cells(rng, 3, 1, ("sigmoid", "tanh"), {"linear_before_reset": pick(rng, False, True)})


@case("rnn")
def _rnn(rng: Rng) -> Case:
    return _cells(rng, 1, 1, ("tanh",), {})


# ---- quantised ----


def integers(rng: Rng, *sizes: int) -> Any:
    return rng.integers(0, 120, sizes).astype(pick(rng, np.uint8, np.int8))


@case("quantize_linear")
def _quantize(rng: Rng) -> Case:
    x = np.asarray(rng.standard_normal(shape(rng, 1)), np.float32)
    axis = small(rng, 0, x.ndim - 1)
    block = small(rng, 1, 2) if rng.random() < 0.3 else 0
    sizes: tuple[int, ...] = pick(rng, (), (x.shape[axis],))
    if block:
        sizes = (*x.shape[:axis], -(-x.shape[axis] // block), *x.shape[axis + 1 :])
    scale = rng.uniform(0.1, 1, sizes).astype(np.float32)
    zero = maybe(rng, integers(rng, *sizes))
    return {"axis": axis, "block_size": block, "dtype": np.dtype("uint8"), "saturate": True}, [x, scale, zero]


@case("dequantize_linear")
def _dequantize(rng: Rng) -> Case:
    attributes, (x, scale, zero) = _quantize(rng)
    held = integers(rng, *x.shape)
    return attributes, [held, scale, None if zero is None else zero.astype(held.dtype)]


@case("dynamic_quantize_linear")
def _dynamic(rng: Rng) -> Case:
    return {}, [np.asarray(rng.standard_normal(shape(rng)), np.float32)]


@case("matmul_integer")
def _matmul_integer(rng: Rng) -> Case:
    rows, inner, columns = small(rng), small(rng), small(rng)
    a, b = integers(rng, rows, inner), integers(rng, inner, columns)
    zeros = pick(rng, (a[:, 0], b[0]), (a[0, :1], b[0, :1]), (a[0, 0].reshape(()), b[0, 0].reshape(())))
    return {}, [a, b, maybe(rng, zeros[0]), maybe(rng, zeros[1])]


@case("conv_integer")
def _conv_integer(rng: Rng) -> Case:
    attributes, (x, kernel, _) = _conv(rng)
    held = [integers(rng, *array.shape) for array in (x, kernel)]
    zeros = held[0].ravel()[0].reshape(()), held[1].ravel()[0].reshape(())
    return attributes, [*held, maybe(rng, zeros[0]), maybe(rng, zeros[1])]


@case("qlinear_conv")
def _qlinear_conv(rng: Rng) -> Case:
    attributes, (x, kernel, zx, zk) = _conv_integer(rng)
    zx, zk = (np.zeros((), a.dtype) if z is None else z for z, a in ((zx, x), (zk, kernel)))
    scale = np.float32(0.02).reshape(())
    scales = rng.uniform(0.01, 0.1, pick(rng, (), (kernel.shape[-1],))).astype(np.float32)
    bias = maybe(rng, rng.integers(-50, 50, kernel.shape[-1]).astype(np.int32))
    return attributes, [
        x,
        scale,
        zx,
        kernel,
        scales,
        zk,
        np.array(0.3, np.float32),
        np.array(3, np.uint8),
        bias,
    ]


@case("qlinear_matmul")
def _qlinear_matmul(rng: Rng) -> Case:
    _, (a, b, *_) = _matmul_integer(rng)
    scale = np.float32([0.02])
    zero = a[0, :1], b[0, :1]
    return {}, [a, scale, zero[0], b, scale, zero[1], np.float32([0.3]), np.array([3], np.uint8)]


# ---- graphs inside ----

FLOAT = np.dtype(np.float32)


@case("if_")
def _if(rng: Rng) -> Case:
    x = Value("x", FLOAT, None)
    branches = [
        Graph.of([x], [Value("y", FLOAT, None)], [Node(kind, ("x",), ("y",), {})]) for kind in ("relu", "neg")
    ]
    held = rng.standard_normal(shape(rng)).astype(np.float32)
    return {"then_branch": branches[0], "else_branch": branches[1]}, [np.array(rng.random() < 0.5), held]


@case("loop")
def _loop(rng: Rng) -> Case:
    """Doubles x, or lets it grow along its first axis, and collects a row."""
    values = [Value("i", np.dtype(np.int64), ()), Value("c", np.dtype(bool), ()), Value("x", FLOAT, None)]
    grows = rng.random() < 0.5
    node = Node("concat", ("x", "x"), ("y",), {"axis": 0}) if grows else Node("add", ("x", "x"), ("y",))
    row = Node("shape", ("y",), ("s",), {"start": 0, "end": None})
    outputs = [Value("c", np.dtype(bool), ()), Value("y", FLOAT, None), Value("s", np.dtype(np.int64), (1,))]
    body = Graph.of(values, outputs, [node, row])
    turns = maybe(rng, np.array(small(rng, 0, 3)))
    going = np.array(turns is not None)
    return {"body": body, "carried": 1}, [turns, going, rng.standard_normal(small(rng)).astype(np.float32)]


@case("scan")
def _scan(rng: Rng) -> Case:
    values = [Value("s", FLOAT, None), Value("x", FLOAT, None), Value("k", FLOAT, None)]
    nodes = [Node("add", ("s", "x"), ("t",)), Node("mul", ("t", "k"), ("y",))]
    body = Graph.of(values, [Value("t", FLOAT, None), Value("y", FLOAT, None)], nodes)
    steps, width = small(rng, 1, 4), small(rng)
    first = pick(rng, True, False)
    attributes = {
        "body": body,
        "states": 1,
        "input_axes": (0 if first else 1,),
        "output_axes": (pick(rng, 0, 1),),
    }
    attributes |= {"input_reversed": (pick(rng, True, False),), "output_reversed": (pick(rng, True, False),)}
    x = rng.standard_normal((steps, width) if first else (width, steps)).astype(np.float32)
    return attributes, [rng.standard_normal(width).astype(np.float32), x, np.array(2, np.float32)]


@case("affine")
def _affine(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    vectors = [like(x, rng.standard_normal(x.shape[-1])) for _ in range(2)]
    return {"activation": None}, [x, *vectors]


@case("taken")
def _taken(rng: Rng) -> Case:
    x = floats(rng, *shape(rng, 1))
    places = tuple(pick(rng, None, rng.integers(0, size, small(rng))) if size else None for size in x.shape)
    return {"places": places}, [x]


@case("resample")
def _resample(rng: Rng) -> Case:
    axes = small(rng, 1, 2)
    x = floats(rng, small(rng), *(small(rng) for _ in range(axes)), small(rng))
    places, weights = [], []
    for size in x.shape[1:-1]:
        table = small(rng), small(rng, 1, 3)
        places.append(rng.integers(0, size, table))
        weights.append(like(x, rng.standard_normal(table)))
    return {"places": tuple(places), "weights": tuple(weights)}, [x]
