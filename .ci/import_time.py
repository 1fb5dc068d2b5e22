"""How long `import convlite` takes once NumPy is imported: the fastest of many fresh interpreters.

Usage: python .ci/import_time.py LIMIT_IN_MILLISECONDS

The limit is for a machine where the yardstick, Python work of the same kind, takes YARD milliseconds; on a
slower one it is as much higher. (The import of NumPy is none: one machine took 57 ms, then 115 ms.)
"""

import subprocess
import sys

SCRIPT = """
import time, numpy
start = time.perf_counter()
import convlite
ours = time.perf_counter() - start
import dataclasses
start = time.perf_counter()
for i in range(20):
    dataclasses.make_dataclass(f"C{i}", ["a", "b", "c", "d"], frozen=True)
print(1e3 * (time.perf_counter() - start), 1e3 * ours)
"""
ROUNDS = 30
YARD = 11.0


def once() -> tuple[float, float]:
    """Milliseconds in one interpreter, the yardstick's and ours; whatever the import prints fails here."""
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    if run.stderr or len(words := run.stdout.split()) != 2:
        raise SystemExit(f"`import convlite` printed something: {run.stdout}{run.stderr}")
    return float(words[0]), float(words[1])


if __name__ == "__main__":
    once()  # writes the .pyc files
    times = [once() for _ in range(ROUNDS)]
    yard, ours = (min(column) for column in zip(*times, strict=True))
    limit = float(sys.argv[1]) * max(1.0, yard / YARD)
    print(f"import convlite: {ours:.1f} ms over NumPy, the fastest of {ROUNDS}; limit {limit:.1f} ms")
    sys.exit(ours > limit)
