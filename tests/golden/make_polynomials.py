"""Prints the coefficients of src/convlite/kernels/isa/exponential.h; run it with a Python that has mpmath.

Each polynomial interpolates its function at Chebyshev nodes, in 60 digits, which is within a small factor of
the best polynomial of the degree; the degree is the least one whose error stays below a tenth of a unit in the
last place. The functions are entire or analytic well beyond their intervals, so nothing subtler is needed.

    python tests/golden/make_polynomials.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp

mp.mp.dps = 60
Function = Callable[[Any], Any]


def interpolate(f: Function, low: Any, high: Any, degree: int) -> list[Any]:
    """Coefficients, lowest first, of the polynomial through f at the Chebyshev nodes of [low, high]."""
    n = degree + 1
    nodes = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]
    powers = mp.matrix(n, n)
    for i, x in enumerate(nodes):
        for k in range(n):
            powers[i, k] = x**k
    return list(mp.lu_solve(powers, mp.matrix([f(x) for x in nodes])))


def error(f: Function, weight: Function, low: Any, high: Any, coefficients: list[Any]) -> Any:
    """The largest of |polynomial - f| * weight on a grid."""
    grid = [low + (high - low) * i / 400 for i in range(401)]
    return max(abs(mp.polyval(coefficients[::-1], x) - f(x)) * weight(x) for x in grid)


def least(f: Function, weight: Function, low: Any, high: Any, goal: Any) -> tuple[list[Any], Any]:
    """The polynomial of least degree whose weighted error is below the goal."""
    for degree in range(2, 40):
        coefficients = interpolate(f, low, high, degree)
        reached = error(f, weight, low, high, coefficients)
        if reached < goal:
            return coefficients, reached
    raise ValueError("no degree below 40 does")


def expm1_rest(r: Any) -> Any:
    """q of exp(r) = 1 + r + r*r*q(r)."""
    return mp.mpf(1) / 2 + r / 6 + r * r / 24 if abs(r) < mp.mpf(10) ** -25 else (mp.expm1(r) - r) / (r * r)


def exp_rest(r: Any) -> Any:
    """Q of exp(r) = 1 + r*Q(r)."""
    return 1 + r / 2 + r * r / 6 if abs(r) < mp.mpf(10) ** -25 else mp.expm1(r) / r


def log1p_ratio(z: Any) -> Any:
    """P of log1p(u) = s * P(s*s) with s = 2u / (2 + u)."""
    s = mp.sqrt(z)
    return 2 * mp.atanh(s / 2) / s if z > mp.mpf(10) ** -40 else 1 + z / 12


def normal_tail(t: Any) -> Any:
    """R of the normal distribution's tail: erfc(a/sqrt 2)/2 = exp(-a*a/2) * w * R(1 - w), w = 2K/(a + K)."""
    if t > 1 - mp.mpf(10) ** -30:
        return 1 / (2 * K * mp.sqrt(2 * mp.pi))
    w = 1 - t
    a = 2 * K / w - K
    return mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2 / w


K = mp.mpf(4)  # where t = 0: among 3 ... 6 no other whole number needs a lower degree in both precisions


def main() -> None:
    ln2 = mp.log(2)
    for name, digits, goal, most in (
        ("float", 9, mp.mpf(2) ** -24 / 10, 15),
        ("double", 17, mp.mpf(2) ** -53 / 10, 39),
    ):
        # the high part of ln 2 is short, so that its product with the exponent n is exact without FMA
        bits = 14 if name == "float" else 40
        high = mp.floor(ln2 * 2**bits) / 2**bits
        print(f"{name}: LN2_HIGH {mp.nstr(high, 25)}, LN2_LOW {mp.nstr(ln2 - high, digits)}")
        edge = ln2 / 2 * (1 + mp.mpf(2) ** -8)
        largest = (most - K) / (most + K)
        for title, f, weight, low, top in (
            ("EXP", exp_rest, lambda r: abs(r), -edge, edge),
            # weighted as part of expm1
            ("EXPM1", expm1_rest, lambda r: abs(r), -edge, edge),
            ("LOG1P", log1p_ratio, lambda z: 1 / log1p_ratio(z), mp.mpf(0), mp.mpf(4) / 9),
            ("TAIL", normal_tail, lambda t: 1 / normal_tail(t), mp.mpf(-1), largest),
        ):
            coefficients, reached = least(f, weight, low, top, goal)
            print(
                f"{name}: {title}, degree {len(coefficients) - 1}, error 2^{mp.nstr(mp.log(reached, 2), 4)}"
            )
            print("    " + ", ".join(mp.nstr(c, digits) for c in reversed(coefficients)))


if __name__ == "__main__":
    main()
