"""The bits of the kernels' results, a line for each call, to be compared between machines.

    python tests/bit_lists.py [--isa NAME] > FILE           # write
    python tests/bit_lists.py [--isa NAME] --compare FILE   # differences; exit code 1 if there are any

A line has the name of the call, the dtype, a hash of the operands and one of the result. Instruction sets
with fused multiply-add (avx2, avx512, NEON) must give equal lines, and so must those without (SSE2, plain C).
Hashes are of little-endian numbers, and every NaN counts as the same: which NaN an operation makes depends on
the processor.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from cases import SMALL, TAILS, Case

import convlite as cl
from convlite import _dispatch, activations

DTYPES = (np.dtype("float32"), np.dtype("float64"))
# log_softmax has its hashes in bits.json; here the others keep their turns.
ACTIVATIONS = (None, *(name for name in activations.NAMES if name != "log_softmax"))
SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 1e-37, -3e38)

FAST = tuple(
    Case(
        f"fast-{size}-{cin}-{cout}-{padding}",
        "conv2d",
        (2, size, size + 1, cin),
        (3, 3, cin, cout),
        {"padding": padding, "precision": "fast"},
    )
    for size, (cin, cout), padding in itertools.product(
        (5, 14, 17), ((9, 40), (16, 35), (33, 64)), ("same", "valid")
    )
)

# Sums of several pieces, equal and not: large tiles of any instruction set, with whole panels and half ones.
LONG = tuple(
    Case(
        f"long-{kernel}-{cin}-{cout}-{padding}",
        "conv2d",
        (1, 5, 29, cin),
        (3, kernel, cin, cout),
        {"padding": padding},
    )
    for kernel, cin, cout, padding in itertools.product(
        (1, 3), (96, 160, 257), (32, 40, 64), ("same", "valid")
    )
)


def digest(*arrays: np.ndarray) -> str:
    """A hash of shapes, dtypes and numbers."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.shape} {array.dtype.name};".encode())
        canonical = np.where(np.isnan(array), array.dtype.type(np.nan), array)
        found.update(np.ascontiguousarray(canonical, array.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()[:16]


def line(name: str, compute: Callable[..., np.ndarray], *operands: np.ndarray) -> str:
    """A line of the list, for compute(*operands)."""
    return f"{name} {operands[0].dtype} {digest(*operands)} {digest(compute(*operands))}"


def convolutions() -> Iterator[str]:
    """Every shape of cases.py, of Winograd's form and of long sums, with the activations in turn."""
    turns = itertools.cycle(ACTIVATIONS)
    for dtype, case in itertools.product(DTYPES, (*SMALL, *FAST, *LONG)):
        activation = next(turns) if case.cout else None

        def compute(*operands: np.ndarray, case: Case = case, given: str | None = activation) -> np.ndarray:
            return getattr(cl, case.operation)(*operands, activation=given, **case.options)

        yield line(f"{case.name}-{activation}", compute, *case.operands(dtype))


def special_values() -> Iterator[str]:
    """Shapes of every kind with NaN, Inf, -0, tiny and huge numbers in x or in the kernel."""
    for dtype, case, place in itertools.product(DTYPES, SMALL, (0, 1)):
        if "channels-" in case.name or "pixels-" in case.name:
            continue
        operands = case.exact_operands(dtype)
        flat = operands[place].reshape(-1)
        for i, value in enumerate(SPECIAL):
            if flat.size:
                flat[(i * 7919 + 3) % flat.size] = value

        def compute(*operands: np.ndarray, case: Case = case) -> np.ndarray:
            return getattr(cl, case.operation)(*operands, activation="relu6", **case.options)

        with np.errstate(all="ignore"):
            yield line(f"{case.name}-special-{'x' if place == 0 else 'kernel'}", compute, *operands)


def pools() -> Iterator[str]:
    """Max and average pools, with zeros of both signs, NaN and Inf."""
    for dtype, channels in itertools.product(DTYPES, TAILS):
        x = np.random.default_rng(channels).integers(-3, 4, (2, 7, 6, channels)).astype(dtype)
        x[x == 0] = np.where(np.arange(np.count_nonzero(x == 0)) % 2, dtype.type(0), -dtype.type(0))
        for i, value in enumerate(SPECIAL[:3]):
            x.reshape(-1)[(i * 7919 + 3) % x.size] = value
        for name, size in itertools.product(("max_pool2d", "avg_pool2d"), (2, 3)):
            pool = getattr(cl, name)
            yield line(
                f"{name}-{size}-{channels}",
                lambda x, pool=pool, size=size: pool(x, size, strides=1, padding="same"),
                x,
            )


def elementwise() -> Iterator[str]:
    """Activations over arrays, from tiny to huge arguments, and softmax over rows of many lengths."""
    for dtype in DTYPES:
        # no subnormal numbers: x86's maxima take them for zeros, and qemu's do not
        sizes = 2.0 ** np.arange(-126 if dtype == np.float32 else -1022, 120, 0.5)
        points = np.concatenate([np.arange(-4000, 4001) / 256, sizes, -sizes, SPECIAL]).astype(dtype)
        for name in (n for n in activations.NAMES if not n.endswith("softmax")):
            yield line(f"activate-{name}", lambda x, name=name: cl.activate(x, name), points)
        slopes = activations.PReLU(np.linspace(-0.5, 1.5, points.size).astype(dtype))
        yield line("activate-prelu", lambda x, slopes=slopes: cl.activate(x, slopes), points)
        for n in (*TAILS, 1000):
            x = (np.arange(3 * n) * 37 % 101 / 8 - 6).astype(dtype).reshape(3, n)
            yield line(f"softmax-{n}", cl.softmax, x)


FAMILIES: tuple[Callable[[], Iterator[str]], ...] = (convolutions, special_values, pools, elementwise)


def lines(isa: str | None = None) -> list[str]:
    """The whole list on an instruction set, or on the one in use."""
    with _dispatch.use_isa(isa) if isa else nullcontext():
        return [found for family in FAMILIES for found in family()]


def compare(got: list[str], want: list[str]) -> list[str]:
    """What differs, in words: calls that only one list has, other operands, other results."""
    a, b = ({tuple(row.split()[:2]): tuple(row.split()[2:]) for row in rows} for rows in (got, want))
    found = [f"{' '.join(key)}: only in one of the lists" for key in sorted(a.keys() ^ b.keys())]
    for key in a.keys() & b.keys():
        if a[key][0] != b[key][0]:
            found.append(f"{' '.join(key)}: the operands differ")
        elif a[key][1] != b[key][1]:
            found.append(f"{' '.join(key)}: the results differ")
    return sorted(found)


def main() -> int:
    """Write the list, or compare it."""
    parser = argparse.ArgumentParser(description="the bits of the kernels' results")
    parser.add_argument("--isa", choices=_dispatch.available_isas(), help="default: the best")
    parser.add_argument("--compare", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    got = lines(arguments.isa)
    if arguments.compare is None:
        print(*got, sep="\n")
        return 0
    differences = compare(got, arguments.compare.read_text().splitlines())
    print(*differences, f"bits: {len(got)} results, {len(differences)} differences", sep="\n")
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())
