"""The errors of precision="fast" beside those of "exact", for each of its forms: docs/precision.md's table.

    python tests/error_table.py           write it between the page's markers; takes minutes
    python tests/error_table.py --print   print it

Each form computes convolutions of 16 and 64 channels, of 13x11 and 24x22 pixels (143 and 528 along one axis),
with each of INPUTS and each of WEIGHTS. The float64 reference says what is right. The largest error is
max |error| / max |output|, the typical one the root of the mean square of both. The bound is that of the
docstring of convlite.plan.winograd, for each output; what it leaves is tested by test_fewer_products.py, too.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from test_fewer_products import Case, error_bound, run

from convlite import ops, reference
from convlite.plan import winograd

PAGE = Path(__file__).parents[1] / "docs/precision.md"
BEGIN, END = "<!-- errors: tests/error_table.py -->\n", "<!-- end of errors -->\n"
CALLS = ((16, (13, 11)), (64, (24, 22)))
BOUND = 16  # channels of the calls whose bound is computed, which takes long


class Form(NamedTuple):
    """A row: its title, its kernel, tile and options."""

    title: str
    kernel: tuple[int, int]
    tile: tuple[int, int]
    options: Any = MappingProxyType({})


DILATED, TWICE, STRIDED = {"dilations": (2, 2)}, {"transposed": True}, {"strides": (2, 2)}
FORMS = (
    *(Form(f"3x3, F({m}, 3)", (3, 3), (m, m)) for m in (2, 3, 4, 5, 6)),
    *(Form(f"3x3 dilated, F({m}, 3)", (3, 3), (m, m), DILATED) for m in (4, 6)),
    Form("3x3 in 4 groups, F(4, 3)", (3, 3), (4, 4), {"groups": 4}),
    *(Form(f"5x5, F({m}, 5)", (5, 5), (m, m)) for m in (2, 4)),
    *(Form(f"1x3, F({m}, 3)", (1, 3), (1, m)) for m in (2, 4, 6)),
    *(Form(f"1x5, F({m}, 5)", (1, 5), (1, m)) for m in (2, 4)),
    Form("1x7, F(4, 7)", (1, 7), (1, 4)),
    *(Form(f"transposed 4x4 / 2, F({m}, 2)", (4, 4), (m, m), TWICE) for m in (2, 3, 4)),
    *(Form(f"transposed 5x5 / 2, F({m}, 3)", (5, 5), (m, m), TWICE) for m in (2, 4)),
    *(Form(f"transposed 3x3 / 2, F({m}, 2)", (3, 3), (m, m), TWICE) for m in (2, 3, 4)),
    *(Form(f"3x3 / 2, F({m}, 2)", (3, 3), (m, m), STRIDED) for m in (2, 3, 4)),
    *(Form(f"5x5 / 2, F({m}, 3)", (5, 5), (m, m), STRIDED) for m in (2, 3, 4)),
    Form("1x5 / 2, F(4, 3)", (1, 5), (1, 4), STRIDED),
)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers."""
    return rng.standard_normal(shape)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Even numbers from 0 to 1."""
    return rng.random(shape)


def rectified(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """What a relu leaves."""
    return np.maximum(rng.standard_normal(shape), 0)


def smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Like pixels: 0 to 255, slowly changing, with some noise."""
    rows, columns = np.ogrid[: shape[1], : shape[2]]
    waves = 127 + 100 * np.sin(rows / 5 + columns / 7)
    return waves[None, :, :, None] + rng.standard_normal(shape) * 8


def spread(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Of all magnitudes: lognormal, with signs."""
    return rng.standard_normal(shape) * np.exp(2 * rng.standard_normal(shape))


INPUTS, WEIGHTS = (normal, positive, rectified, smooth, spread), (normal, positive)


def take(tile: tuple[int, int]) -> None:
    """Let Winograd's form serve whatever it can, in tiles of this size."""
    found: Any = {(0, 0): 1e2, tile: 1.0}
    winograd.products = lambda _: dict(found)
    winograd.fits_groups = lambda _: True
    ops.planned.cache_clear()


def errors(form: Form) -> dict[str, list[float]]:
    """The largest and the typical error of each call, "fast" and "exact", and shares of the bound."""
    found: dict[str, list[float]] = {
        name: [] for name in ("fast", "fast typical", "exact", "exact typical", "bound")
    }
    take(form.tile)
    for (channels, size), draw_x, draw_w in itertools.product(CALLS, INPUTS, WEIGHTS):
        size = (1, size[0] * size[1]) if form.kernel[0] == 1 else size
        case = Case((1, *size, channels), channels, form.kernel, (form.tile,), **form.options)
        rng = np.random.default_rng(channels)
        last = channels if case.transposed else channels // case.groups, channels
        x = draw_x(rng, case.shape).astype(np.float32)
        kernel = draw_w(rng, (*form.kernel, *last)).astype(np.float32)
        bias = np.zeros(channels, np.float32)
        want = run(case, *(a.astype(np.float64) for a in (x, kernel, bias)), reference)
        for name in ("fast", "exact"):
            off = run(case, x, kernel, bias, precision=name) - want
            found[name].append(float(np.abs(off).max() / np.abs(want).max()))
            found[f"{name} typical"].append(float(np.sqrt(np.mean(off**2) / np.mean(want**2))))
            if name == "fast" and channels == BOUND:
                bound = error_bound(case, x, kernel, bias, form.tile, want.shape) * 2.0**-24
                found["bound"].append(float((np.abs(off) / np.maximum(bound, 1e-300)).max()))
    return found


def power(value: float) -> str:
    """A number with one digit.

    >>> power(3.14e-7)
    '3e-7'
    """
    return f"{value:.0e}".replace("e-0", "e-")


def table() -> str:
    """The rows."""
    lines = [
        "| form | largest, fast | exact | typical, fast | exact | largest part of the bound |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for form in FORMS:
        found = errors(form)
        cells = [power(max(found[name])) for name in ("fast", "exact")]
        cells += [power(float(np.median(found[f"{name} typical"]))) for name in ("fast", "exact")]
        lines.append(f"| {form.title} | " + " | ".join(cells) + f" | {max(found['bound']):.1%} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write or print the table."""
    text = table()
    if "--print" in sys.argv[1:]:
        print(text, end="")
        return
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no {BEGIN} ... {END}")
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
