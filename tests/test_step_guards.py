"""The steps between convolutions touch nothing beside their arrays: test_guard_pages.py for them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from test_guard_pages import SIDES, Rooms, interpret

from convlite import PackedKernel, _dispatch, _kernels, precision
from convlite.pack import made_ready

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason=f"guard pages are made with Linux's mprotect; this is {sys.platform}"
)

CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 65, 127, 129)
Kernel = Callable[..., None]
Step = tuple[str, tuple[np.ndarray, ...], tuple[int, ...], Kernel]  # name, inputs, shape of out, the call


def _passes(isa: str, dtype: Any) -> Iterator[Step]:
    for c in CHANNELS:
        x, row, pixel = (np.ones(s, dtype) for s in ((2, 5, 3, c), (c,), (2, 5, 3, 1)))
        for name, code in _kernels.pass_codes().items():
            for b in (x, row, pixel):
                if name != "first":
                    yield (
                        f"{name}-{c}-{b.shape}", (x, b), x.shape,
                        lambda a, b, out, code=code: _kernels.elementwise(isa, code, a, b, out),
                    )  # fmt: skip
        for act in (0, 3, 8):
            yield (
                f"affine-{c}-{act}", (x, row, row, row, row), x.shape,
                lambda x, m, f, o, s, out, act=act: _kernels.affine(isa, x, m, f, o, out, act, 0.0, 0.0, s),
            )  # fmt: skip
            yield (
                f"scale-{c}-{act}", (x, row, row), x.shape,
                lambda x, f, s, out, act=act: _kernels.affine(isa, x, None, f, None, out, act, 0.0, 0.0, s),
            )  # fmt: skip


def _moves(isa: str, dtype: Any) -> Iterator[Step]:
    for c, order in itertools.product(CHANNELS, itertools.permutations(range(3))):
        for height in (1, 3, 16, 21):
            x = np.arange(height * 35.0 * c).astype(dtype).reshape(height, 35, c)
            shape = x.transpose(order).shape
            yield (
                f"copy-{x.shape}-{order}", (x,), shape,
                lambda x, out, order=order: _kernels.copy(isa, x.transpose(order), out),
            )  # fmt: skip
    for c, mode in itertools.product(CHANNELS, _kernels.pad_modes().values()):
        x = np.ones((2, 3, 4, c), dtype)
        yield f"pad-{c}-{mode}", (x,), (2, 8, 9, c), lambda x, out, m=mode: _kernels.pad(x, out, 3, 2, m)


def _sums(isa: str, dtype: Any) -> Iterator[Step]:
    for c, pixels in itertools.product(CHANNELS, (1, 5, 16, 49, 300, 2100)):
        x, row = np.ones((2, pixels, c), dtype), np.ones(c, dtype)
        for code in _kernels.reduce_codes().values():
            yield (
                f"reduce-{x.shape}-{code}", (x,), (2, c),
                lambda x, out, code=code: _kernels.reduce(isa, code, x, out),
            )  # fmt: skip
        yield (
            f"group-{x.shape}", (x, row, row), x.shape,
            lambda x, s, o, out, c=c: _kernels.group_norm(isa, x, s, o, out, c, 1e-3),
        )  # fmt: skip
        yield (
            f"layer-{x.shape}", (x[0], row, row), x.shape[1:],
            lambda x, s, o, out: _kernels.layer_norm(isa, x, s, o, out, 1e-3, 8),
        )  # fmt: skip


def _resamplings(isa: str, dtype: Any) -> Iterator[Step]:
    for c, taps in itertools.product(CHANNELS, (1, 2, 3, 4)):
        x, size = np.ones((2, 5, 6, c), dtype), np.dtype(dtype).itemsize
        rows, columns = (np.arange(n * taps).reshape(n, taps) % (n // 2 + 1) for n in (9, 11))
        weights = [np.ones(t.shape, dtype) for t in (rows, columns)]
        yield (
            f"resize-{c}-{taps}", (x, rows, weights[0], columns, weights[1]), (2, 9, 11, c),
            lambda x, r, v, q, w, out, c=c, size=size: _kernels.resize(
                isa, size, x, out, (2, 5, 6, c, 9, 11), r, v, q, w
            ),
        )  # fmt: skip


def _residuals(isa: str, dtype: Any) -> Iterator[Step]:
    for c, width, fast in itertools.product((1, 5, 16, 19, 33), (1, 3, 9, 17), (False, True)):
        for kernel, operation in (((3, 3, 7, c), "conv2d"), ((3, 3, c, 1), "depthwise_conv2d")):
            x = np.ones((2, 12, width, kernel[2]), dtype)
            packed = PackedKernel(np.ones(kernel, dtype), operation)
            with precision("fast" if fast else "exact"):
                plan, panels = made_ready(packed, x.shape, (1, 1), "same", (1, 1))
            if not plan.runner.adds:
                continue
            shape = (2, 12, width, c)
            for act, last in ((0, 1), (9, 0)):
                yield (
                    f"residual-{c}-{width}-{plan}-{act}", (x, np.ones(shape, dtype)), shape,
                    lambda x, r, out, run=plan.runner.run, p=panels, act=act, last=last: run(
                        x, p.data, None, None, out, act, 0.0, 0.0, p.finite, 1, None, r, last, 0.0, 3.0
                    ),
                )  # fmt: skip


def run_all() -> None:
    """Every step with its arrays between guards, each announced; results are those of ordinary arrays."""
    isa, rooms = _dispatch.active_isa(), Rooms()
    families = (_passes, _moves, _sums, _resamplings, _residuals)
    for family, dtype, side in itertools.product(families, (np.float32, np.float64), SIDES):
        for name, inputs, shape, kernel in family(isa, dtype):
            print(name, np.dtype(dtype), side, flush=True)
            want = np.zeros(shape, dtype)
            kernel(*inputs, want)
            guarded = [rooms(str(i), a.nbytes).keep(a, side) for i, a in enumerate(inputs)]
            room = rooms("out", want.nbytes)
            out = room.place(shape, dtype, side)
            kernel(*guarded, out)
            assert out.tobytes() == want.tobytes()
            assert (room.slack == 255).all()
    print("all")


def test_no_byte_beside_an_array_is_touched(isa: str) -> None:
    code, lines, errors = interpret("import test_step_guards as t; t.run_all()", CONVLITE_ISA=isa)
    assert code == 0, f"exit code {code} in {lines[-1:]}: {errors[-3000:]}"
    assert lines[-1] == "all"
    assert len(lines) > 5000
