"""How long `import convlite` takes once NumPy is imported: the fastest of many fresh interpreters.

Usage: python .ci/import_time.py LIMIT_IN_MILLISECONDS

The limit holds on a machine that imports NumPy in NUMPY milliseconds; on a slower one it is as much higher.
"""

import subprocess
import sys

SCRIPT = """
import time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import convlite
print(1e3 * (middle - start), 1e3 * (time.perf_counter() - middle))
"""
ROUNDS = 30
NUMPY = 60.0


def once() -> tuple[float, float]:
    """Milliseconds in one interpreter, NumPy's and ours; whatever the import prints fails here."""
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    if run.stderr or len(words := run.stdout.split()) != 2:
        raise SystemExit(f"`import convlite` printed something: {run.stdout}{run.stderr}")
    return float(words[0]), float(words[1])


if __name__ == "__main__":
    once()  # writes the .pyc files
    times = [once() for _ in range(ROUNDS)]
    numpy, ours = (min(column) for column in zip(*times, strict=True))
    limit = float(sys.argv[1]) * max(1.0, numpy / NUMPY)
    print(f"fastest of {ROUNDS}: NumPy {numpy:.1f} ms, convlite {ours:.1f} ms more; limit {limit:.1f} ms")
    sys.exit(ours > limit)
