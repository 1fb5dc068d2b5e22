"""Write src/convlite/kernels/isa/winograd_points.h: the transforms along one axis, from their points.

    python tests/golden/make_winograd.py          writes the file
    python tests/golden/make_winograd.py --check  says whether it is what would be written

F(m, r) needs n = m + r - 1 points, the last at infinity. With p running over the
others, P(x) the product of all (x - p), and N_p the product of the differences p - q:

    B^T  row of p: the coefficients of P(x) / (x - p); of infinity: those of P(x)
    A^T  row i: p^i; of infinity: 1 in the last row
    G    row of p: p^k / N_p; of infinity: the last unit vector (plan/along.py)

Where N_0 is a power of two, B^T's row of 0 is divided by it, so that G's is the first unit vector.

The rows of p and -p are u1 + p*u0 and u1 - p*u0, where u0 and u1 are sums with the coefficients of
P(x) / (x^2 - p^2): from the inputs as they are, and from the next ones. Likewise A^T has p^i times the sum or
the difference of the two.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

TARGET = Path(__file__).parents[2] / "src/convlite/kernels/isa/winograd_points.h"

HALF = Fraction(1, 2)
# By n, how many products. Those of 4, 6, 7 and 8 stand in winograd.h, by hand.
POINTS: dict[int, list[Fraction]] = {
    3: [Fraction(p) for p in (0, 1)],
    4: [Fraction(p) for p in (0, 1, -1)],
    5: [Fraction(p) for p in (0, 1, -1, HALF)],
    6: [Fraction(p) for p in (0, 1, -1, HALF, -2)],
    7: [Fraction(p) for p in (0, 1, -1, HALF, -HALF, 2)],
    8: [Fraction(p) for p in (0, 1, -1, HALF, -HALF, 2, -2)],
    10: [Fraction(p) for p in (0, 1, -1, HALF, -HALF, 2, -2, Fraction(5, 4), Fraction(-5, 4))],
}
INPUTS = (3, 5, 10)
OUTPUTS = ((3, 2), (4, 3), (5, 3), (5, 4), (6, 2), (8, 4), (10, 4))


def product(points: list[Fraction]) -> list[Fraction]:
    """The coefficients of the product of all (x - p), the constant first."""
    found = [Fraction(1)]
    for p in points:
        found = [
            (found[i - 1] if i else Fraction(0)) - (p * found[i] if i < len(found) else 0)
            for i in range(len(found) + 1)
        ]
    return found


def number(value: Fraction) -> str:
    """In C; every point and what is made of it is a binary fraction."""
    assert Fraction(float(value)) == value
    return repr(float(value)).removesuffix(".0")


def chain(terms: list[tuple[Fraction, str]]) -> str:
    """The sum of coefficient * vector: those of 1 and -1 first, then a multiply-add each."""
    terms = sorted((t for t in terms if t[0]), key=lambda t: (t[0] != 1, t[0] != -1))
    text = terms[0][1]
    assert terms[0][0] == 1
    for c, vector in terms[1:]:
        if abs(c) == 1:
            text = f"V{'ADD' if c == 1 else 'SUB'}({text}, {vector})"
        else:
            text = f"VFMA(VSPLAT((REAL){number(c)}), {vector}, {text})"
    return text


def pairs_of(points: list[Fraction]) -> list[tuple[int, int]]:
    """Where p and -p are, p > 0."""
    return [(i, points.index(-p)) for i, p in enumerate(points) if p > 0 and -p in points]


def input_transform(n: int) -> list[str]:
    """The lines of y = B^T x."""
    points, lines = POINTS[n], []
    pairs = pairs_of(points)
    paired = {i for pair in pairs for i in pair}
    for i, p in enumerate(points):
        if i in paired:
            continue
        others = [q for q in points if q != p]
        row = product(others)
        if p == 0 and row[0].numerator in (1, -1):
            row = [c / row[0] for c in row]
        lines.append(f"y[{i}] = {chain([(c, f'x[{j}]') for j, c in enumerate(row)])};")
    for i, j in pairs:
        p = points[i]
        row = product([q for q in points if abs(q) != p])
        u0 = chain([(c, f"x[{k}]") for k, c in enumerate(row)])
        u1 = chain([(c, f"x[{k + 1}]") for k, c in enumerate(row)])
        lines += [f"u0 = {u0};", f"u1 = {u1};"]
        lines += [
            f"y[{at}] = {chain([(Fraction(1), 'u1'), (sign * p, 'u0')])};" for at, sign in ((i, 1), (j, -1))
        ]
    lines.append(f"y[{n - 1}] = {chain([(c, f'x[{j}]') for j, c in enumerate(product(points))])};")
    return lines


def output_transform(n: int, m: int) -> list[str]:
    """The lines of y = A^T x."""
    points, lines = POINTS[n], []
    pairs = pairs_of(points)
    paired = {i for pair in pairs for i in pair}
    for k, (i, j) in enumerate(pairs):
        lines.append(f"const V sum{k} = VADD(x[{i}], x[{j}]), difference{k} = VSUB(x[{i}], x[{j}]);")
    for row in range(m):
        terms = [(p**row, f"x[{i}]") for i, p in enumerate(points) if i not in paired]
        terms += [
            (points[i] ** row, f"{'difference' if row % 2 else 'sum'}{k}") for k, (i, _) in enumerate(pairs)
        ]
        if row == m - 1:
            terms.append((Fraction(1), f"x[{n - 1}]"))
        lines.append(f"y[{row}] = {chain(terms)};")
    return lines


def text() -> str:
    """The whole file."""
    out = [
        "/* Written by tests/golden/make_winograd.py: the transforms along one axis, from their points. y = B^T x and y = A^T x. */",
        "",
    ]
    for n in INPUTS:
        listed = ", ".join(number(p) for p in POINTS[n])
        out += [
            f"/* {listed}, inf */",
            f"INLINE void NAME(winograd_bt{n})(const V *x, V *y) {{",
        ]
        out += ["    V u0, u1;"] if pairs_of(POINTS[n]) else []
        out += [f"    {line}" for line in input_transform(n)] + ["}", ""]
    for n, m in OUTPUTS:
        out += [f"INLINE void NAME(winograd_at{n}_{m})(const V *x, V *y) {{"]
        out += [f"    {line}" for line in output_transform(n, m)] + ["}", ""]
    return "\n".join(out)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(TARGET.read_text() != text())
    TARGET.write_text(text())
