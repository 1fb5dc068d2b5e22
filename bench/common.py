"""What the benchmarks share: timing in interleaved rounds, the machine's description, tables, JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # cases.py and tolerance.py: tests and benchmarks share them


def interleaved(
    tasks: Sequence[Callable[[], object]], rounds: int, seconds: float = 0.002, label: str = ""
) -> list[list[float]]:
    """Seconds per call of each task, for each round: every round runs every task for about `seconds`.

    Short rounds in turn, because the neighbours on a shared machine come and go: a slow spell then hits all
    tasks alike, and a quiet moment is found by each. Take the best round of a task, and compare bests.
    """
    repeats = []
    for task in tasks:
        task()  # plans, caches
        start = time.perf_counter()
        task()
        repeats.append(max(1, int(seconds / max(time.perf_counter() - start, 1e-7))))
    times: list[list[float]] = [[] for _ in tasks]
    for _ in progress(range(rounds), label):
        for task, repeat, found in zip(tasks, repeats, times, strict=True):
            start = time.perf_counter()
            for _ in range(repeat):
                task()
            found.append((time.perf_counter() - start) / repeat)
    return times


def progress(items: Iterable[Any], label: str) -> Iterable[Any]:
    """The items, with a progress bar where tqdm is installed and someone looks."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, desc=label, leave=False, disable=None)


def machine() -> dict[str, Any]:
    """What a result must carry to be worth something: CPU, load, commit, configuration, command."""
    from convlite import _dispatch

    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    commit = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    return {
        "cpu": model,
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip() or None,
        "command": " ".join([Path(sys.executable).name, *sys.argv]),
        **_dispatch.config(),
    }


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as they must be: the first to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        print(
            "  ".join(
                c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
            )
        )


def write_json(path: Path | None, rows: list[dict[str, Any]]) -> None:
    """The rows and the machine, for scripts that draw tables from them."""
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
        print(f"written: {path}")
