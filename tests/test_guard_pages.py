"""Nothing beside an array is touched: operands lie against pages that must not be, on either side.

A vector that reads a little too far does no harm nearly always, and kills the process where an array ends
with its mapping. Here every array does: x, kernel, bias, alpha and out lie between two pages without
access, flush with one of them, and so do the packed weights; inputs are read-only besides. An interpreter
of its own for each instruction set runs all cases, and if it dies, the last line that it printed names the
one.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cases import SMALL, Case
from interpreter import python

import convlite as cl
from convlite import _kernels, activations, ops, pack
from convlite.plan import direct

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason=f"guard pages are made with Linux's mprotect; this is {sys.platform}"
)

SIDES = ("end", "start")
SLACK = 1024  # bytes on an array's free side that hold NaN and must keep it
NO_ACCESS, READ, WRITE = 0, 1, 3  # of mprotect
ACTIVATIONS = (
    None, "relu", "prelu", "hard_swish", "tanh", "leaky_relu", "hard_sigmoid", "elu", "sigmoid", "silu",
    "gelu", "gelu_tanh", "softplus",
)  # fmt: skip


def _cases() -> Iterator[Case]:
    """The shapes of cases.py, and what they leave out: lines, few rows, few outputs, and Winograd's form."""
    yield from SMALL
    for kernel, stride, channels in itertools.product((3, 5), (1, 2), (2, 5, 16, 19, 33)):
        for width in (1, 4, 7, 8, 15):
            name = f"lines-{kernel}-{stride}-{channels}-{width}"
            options = {"strides": stride, "padding": "same"}
            shapes = (2, 3, width, channels), (kernel, kernel, channels, 1)
            yield Case(name, "depthwise_conv2d", *shapes, options)
    for kernel, channels, width in itertools.product((6, 9, 31), (8, 16, 19, 33), (1, 7, 8, 15)):
        shapes = (2, 3, width, channels), (kernel, kernel, channels, 1)
        name = f"wide-lines-{kernel}-{channels}-{width}"
        yield Case(name, "depthwise_conv2d", *shapes, {"padding": "same"})
        turned = (2, width, 3, channels), (kernel, 1, channels, 1)
        yield Case(f"{name}-column", "depthwise_conv2d", *turned, {"padding": "same"})
    for rows, inputs, outputs in itertools.product((1, 3, 8, 9), (1, 4, 7), (1, 3, 16, 37)):
        yield Case(f"rows-{rows}-{inputs}-{outputs}", "dense", (rows, inputs), (inputs, outputs))
    # pixel vectors, and phases side by side ("wide"); an odd width for every remainder of the vectors
    for width, kernel, cout in itertools.product((1, 5, 15, 16, 17, 31, 40, 65), (3, 5, 9), (1, 2, 3)):
        shapes = (2, 4, width, 3), (kernel, kernel, 3, cout)
        options = {"padding": "same"}
        yield Case(f"few-{width}-{kernel}-{cout}", "conv2d", *shapes, options)
        options = {"padding": "same", "strides": 2, "dilations": 1}
        yield Case(f"few-{width}-{kernel}-{cout}-stride", "conv2d", *shapes, options)
        options = {"padding": "same", "dilations": 3}
        yield Case(f"few-{width}-{kernel}-{cout}-dilated", "conv2d", *shapes, options)
        turned = (2, 4, width, 3), (kernel, kernel, cout, 3)
        options = {"padding": "same", "strides": 2}
        yield Case(f"few-{width}-{kernel}-{cout}-turned", "conv2d_transpose", *turned, options)
    for width, stride, cout, padding in itertools.product(
        (1, 6, 9, 30, 33), (2, 4), (3, 5, 21), ("same", "valid")
    ):
        options = {"padding": padding, "strides": stride}
        shapes = (1, 3, width, 7), (2 * stride, 2 * stride, cout, 7)
        yield Case(f"wide-{width}-{stride}-{cout}-{padding}", "conv2d_transpose", *shapes, options)
    for width, cin, cout, padding in itertools.product(
        (13, 16, 17), (9, 16), (11, 20, 32, 35), ("same", "valid")
    ):
        options = {"padding": padding, "precision": "fast"}
        name = f"fast-{width}-{cin}-{cout}-{padding}"
        yield Case(name, "conv2d", (2, 14, width, cin), (3, 3, cin, cout), options)
        yield Case(f"{name}-turned", "conv2d_transpose", (1, 14, width, cin), (3, 3, cout, cin), options)
    for cin, cout in ((33, 47), (48, 32)):
        options = {"padding": "same", "precision": "fast"}
        for kernel in ((1, 3), (3, 1), (1, 7), (7, 1), (5, 5)):
            yield Case(f"fast-{kernel}-{cin}", "conv2d", (1, 21, 23, cin), (*kernel, cin, cout), options)
        dilated = options | {"dilations": (2, 3)}
        yield Case(f"fast-dilated-{cin}", "conv2d", (1, 21, 23, cin), (3, 3, cin, cout), dilated)
        by_two = options | {"strides": 2}
        yield Case(f"fast-by-2-{cin}", "conv2d_transpose", (1, 17, 17, 64), (4, 4, cout, 64), by_two)


# ---- what the interpreter runs -----------------------------------------------------------------------------


def protect(address: int, size: int, access: int) -> None:
    call = ctypes.CDLL(None, use_errno=True).mprotect
    if call(ctypes.c_void_p(address), ctypes.c_size_t(size), access):
        raise OSError(ctypes.get_errno(), "mprotect")


class Room:
    """Memory between two pages without access."""

    def __init__(self, size: int) -> None:
        self.size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        whole = np.frombuffer(mmap.mmap(-1, self.size + 2 * mmap.PAGESIZE), np.uint8)
        self.inside = whole[mmap.PAGESIZE : -mmap.PAGESIZE]
        self.start = self.inside.ctypes.data
        for page in (self.start - mmap.PAGESIZE, self.start + self.size):
            protect(page, mmap.PAGESIZE, NO_ACCESS)
        self.slack = self.inside[:0]

    def place(self, shape: tuple[int, ...], dtype: Any, side: str) -> np.ndarray:
        """An array of NaN against the page before or behind, more of it on its free side."""
        protect(self.start, self.size, WRITE)
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        first = 0 if side == "start" else self.size - nbytes
        last = first + nbytes
        self.slack = self.inside[last : last + SLACK] if first == 0 else self.inside[:first][-SLACK:]
        self.slack[...] = 255
        self.inside[first:last] = 255
        return self.inside[first:last].view(dtype).reshape(shape)

    def keep(self, values: np.ndarray, side: str) -> np.ndarray:
        """A copy of an array there, read-only."""
        array = self.place(values.shape, values.dtype, side)
        array[...] = values
        protect(self.start, self.size, READ)
        return array


class Rooms:
    """A room for each operand, as large as has been needed."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}

    def __call__(self, name: str, nbytes: int) -> Room:
        if name not in self.rooms or self.rooms[name].size < nbytes:
            self.rooms[name] = Room(max(nbytes, 2**16))
        return self.rooms[name]


def run(case: Case, dtype: Any, side: str, activation: str | None, infinite: bool, rooms: Rooms) -> None:
    """A call with its operands between guards gives the bits of a call on ordinary arrays."""
    x, kernel, bias = case.operands(dtype)
    kernel.flat[:1] = np.inf if infinite else kernel.flat[:1]
    given: Any = activation
    if activation == "prelu":
        given = cl.activations.PReLU(bias[::-1] if case.cout else np.ones(1, dtype))
    operation = getattr(cl, case.operation)
    want = operation(x, kernel, bias, activation=given, **case.options)
    if activation == "prelu":
        vars(given)["alpha"] = rooms("alpha", bias.nbytes).keep(given.alpha, side)
    guarded = [
        rooms(name, a.nbytes).keep(a, side) for name, a in (("x", x), ("kernel", kernel), ("bias", bias))
    ]
    room = rooms("out", want.nbytes)
    out = room.place(want.shape, dtype, side)

    def panels(size: int, dtype: Any) -> np.ndarray:
        return rooms("panels", size * dtype.itemsize).place((size,), dtype, side)

    ordinary, pack.aligned_empty = pack.aligned_empty, panels
    _kernels.plain_calls.clear()
    try:
        for _ in range(2):  # the checked way, then, where it is short, as one that is known
            out[...] = np.nan
            operation(*guarded, activation=given, out=out, **case.options)
            assert out.tobytes() == want.tobytes()
    finally:
        pack.aligned_empty = ordinary
    assert all((r.slack == 255).all() for r in (room, rooms("panels", 0)))


def run_activate(size: int, dtype: Any, side: str, activation: str, rooms: Rooms) -> None:
    values = np.linspace(-4, 4, size).astype(dtype)
    given: Any = cl.activations.PReLU(-values) if activation == "prelu" else activation
    want = cl.activate(values, given)
    if activation == "prelu":
        vars(given)["alpha"] = rooms("alpha", values.nbytes).keep(given.alpha, side)
    out = rooms("out", values.nbytes).place((size,), dtype, side)
    cl.activate(rooms("x", values.nbytes).keep(values, side), given, out=out)
    assert out.tobytes() == want.tobytes()
    cl.activate(out, "relu", out=out)
    assert (rooms("out", 0).slack == 255).all()


def _edges() -> Iterator[Case]:
    """Lines whose first and last pixels read outside."""
    for width, kernel, stride, cin in itertools.product((4, 6, 7, 14, 17), (3, 7), (1, 2), (1, 5)):
        for cout, padding in ((3, "same"), (11, "same"), (19, "same"), (33, ((2, 1), (1, 3)))):
            options = {"strides": stride, "padding": padding}
            name = f"edges-{width}-{kernel}-{stride}-{cin}-{cout}"
            yield Case(name, "conv2d", (2, 5, width, cin), (kernel, kernel, cin, cout), options)
        yield Case(f"copied-{width}-{cin}", "conv2d", (2, 5, width, cin), (1, 1, cin, 5), {"strides": stride})


def run_pool(shape: tuple[int, ...], dtype: Any, side: str, options: dict[str, Any], rooms: Rooms) -> None:
    image = (np.arange(np.prod(shape)) * 7 % 11 - 5.0).astype(dtype).reshape(shape)
    for pool in (cl.max_pool2d, cl.avg_pool2d):
        want = pool(image, **options)
        out = rooms("out", want.nbytes).place(want.shape, dtype, side)
        pool(rooms("x", image.nbytes).keep(image, side), **options, out=out)
        assert out.tobytes() == want.tobytes()
        assert (rooms("out", 0).slack == 255).all()


def run_softmax(rows: int, columns: int, dtype: Any, side: str, rooms: Rooms) -> None:
    values = np.linspace(-4, 4, rows * columns).astype(dtype).reshape(rows, columns)
    want = cl.softmax(values)
    out = rooms("out", values.nbytes).place(values.shape, dtype, side)
    ordinary, activations.new_output = activations.new_output, lambda *_: out
    try:
        cl.softmax(rooms("x", values.nbytes).keep(values, side))
    finally:
        activations.new_output = ordinary
    assert out.tobytes() == want.tobytes()
    assert (rooms("out", 0).slack == 255).all()


def run_all() -> None:
    """Every case in both dtypes on both sides, each announced; then the algorithms that the plans chose."""
    rooms, chosen, plan_of = Rooms(), set(), ops.planned

    def recorded(*arguments: Any) -> Any:
        found = plan_of(*arguments)
        chosen.add(str(found))
        return found

    ops.planned = recorded
    turns = itertools.cycle(ACTIVATIONS)
    dtypes = (np.dtype(np.float32), np.dtype(np.float64))
    for dtype, side in itertools.product(dtypes, SIDES):
        for case in _cases():
            # over padding an infinite weight takes another way than a finite one
            for infinite in (False, True) if "padding" in case.options else (False,):
                activation = next(turns)
                print(case.name, dtype, side, activation, "infinite" if infinite else "", flush=True)
                run(case, dtype, side, activation, infinite, rooms)
        for size, activation in itertools.product((1, 3, 4, 7, 16, 21, 33), ACTIVATIONS[1:]):
            print("activate", size, dtype, side, activation, flush=True)
            run_activate(size, dtype, side, activation, rooms)
        for rows, columns in itertools.product((1, 3), (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 65)):
            print("softmax", rows, columns, dtype, side, flush=True)
            run_softmax(rows, columns, dtype, side, rooms)
        pools = itertools.product((1, 3, 4, 7, 16, 17, 33), ((1, 1), (2, 5), (5, 6)), (1, 2, 3), (1, 2))
        for channels, size, window, strides in pools:
            options = {"pool_size": window, "strides": strides, "padding": "same"}
            print("pool", channels, size, options, dtype, side, flush=True)
            run_pool((2, *size, channels), dtype, side, options, rooms)
    # what the rules choose only for many channels
    for call_work, set_lines, side, dtype in itertools.product((0, 2**40), (0, 8), SIDES, dtypes):
        direct.CALL_WORK, direct.SET_LINES = call_work, set_lines
        plan_of.cache_clear()
        for case in _edges():
            print(case.name, call_work, set_lines, side, dtype, flush=True)
            run(case, dtype, side, None, False, rooms)
    print(*sorted(chosen), sep=", ")


# ---- the tests ---------------------------------------------------------------------------------------------


def interpret(script: str, **environment: str) -> tuple[int, list[str], str]:
    """Exit code, lines and errors of a script that finds this module."""
    path = ":".join(p for p in sys.path if p)
    done = python(script, PYTHONPATH=path, PYTHONFAULTHANDLER="1", **environment)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_no_byte_beside_an_array_is_touched(isa: str) -> None:
    code, lines, errors = interpret("import test_guard_pages as t; t.run_all()", CONVLITE_ISA=isa)
    assert code == 0, f"exit code {code} in {lines[-1:]}: {errors[-3000:]}"
    # Nothing has been left out; which of the first two forms a shape takes depends on the instruction set.
    chosen = set(lines[-1].split(", "))
    assert chosen >= {"strided", "gathered", "depthwise tiles", "depthwise lines", "few rows"}
    assert chosen >= {"winograd 3x3", "winograd 4x4", "winograd 5x5", "winograd 6x6", "winograd 1x4"}
    assert chosen >= {"pixel vectors", "merged phases"}
    assert "lanewise" in chosen or not _kernels.describe(isa, "f32")["lanewise"]
    assert "tall skinny" in chosen or not _kernels.describe(isa, "f32")["skinny_sums"]


@pytest.mark.parametrize(("side", "access"), [*itertools.product(SIDES, ("read", "write", "write inside"))])
def test_the_guards_hold(side: str, access: str) -> None:
    inside = access == "write inside"
    script = f"""
    import ctypes, numpy as np, test_guard_pages as t
    array = t.Room(1).keep(np.zeros(3), {side!r})
    address = array.ctypes.data + {0 if inside else -1 if side == "start" else 24}
    print(ctypes.string_at(array.ctypes.data, 24) == bytes(24), flush=True)
    {"ctypes.string_at(address, 1)" if access == "read" else "ctypes.memset(address, 0, 1)"}
    """
    code, lines, _ = interpret(script)
    assert (code, lines) == (-signal.SIGSEGV, ["True"])
