"""How long `import convlite` takes once NumPy is imported: the fastest of many fresh interpreters.

Usage: python .ci/import_time.py LIMIT_IN_MILLISECONDS
"""

import subprocess
import sys

SCRIPT = """
import time, numpy
start = time.perf_counter()
import convlite
print(1e3 * (time.perf_counter() - start))
"""
ROUNDS = 30


def once() -> float:
    """Milliseconds in one interpreter; whatever the import prints fails here."""
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    if run.stderr or run.stdout.count("\n") != 1:
        raise SystemExit(f"`import convlite` printed something: {run.stdout}{run.stderr}")
    return float(run.stdout)


if __name__ == "__main__":
    limit = float(sys.argv[1])
    once()  # writes the .pyc files
    best = min(once() for _ in range(ROUNDS))
    print(f"import convlite: {best:.1f} ms over NumPy, the fastest of {ROUNDS}; limit {limit:g} ms")
    sys.exit(best > limit)
