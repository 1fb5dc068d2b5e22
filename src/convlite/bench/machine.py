"""What a result must name to mean something: machine, compiler, flags, versions."""

from __future__ import annotations

import ast
import contextlib
import datetime
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import __version__, _dispatch, _kernels

__all__ = ["BUSY", "Neighbours", "describe"]

BUSY = 0.1  # of the processors: from here on a run is not worth a ratio


def describe(command: str) -> dict[str, Any]:
    """The context of a run, as the JSON file stores it."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return {
        "convlite": __version__,
        "commit": _commit(),
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": cores,
        "system": platform.platform(),
        "python": platform.python_version(),
        "isa": _dispatch.active_isa(),
        "compiler": compiler(Path(_kernels.__file__)),
        "flags": _flags(),
        "openmp": _kernels.openmp(),
    }


def cpu_model() -> str:
    """The CPU as the system calls it, with its family and model numbers where those say more."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(re.findall(r"^([^\t:]+?)\s*: (.*)$", text.split("\n\n")[0], re.MULTILINE))
    name: str = fields.get("model name", platform.machine())
    if "cpu family" in fields:
        name += f" (family {fields['cpu family']}, model {fields.get('model', '?')})"
    return name


def compiler(library: Path) -> str:
    """What GCC and Clang leave in an ELF file's .comment, the last entry being the one that compiled.

    >>> compiler(Path(__file__))
    'unknown'
    """
    if library.suffix == ".py":
        return "unknown"
    names = re.findall(rb"(?:GCC: \([^)\0]*\) |[A-Za-z ]*clang version )[0-9][0-9.]*", library.read_bytes())
    return ", ".join(sorted({name.decode() for name in names})) or "unknown"


def _root() -> Path | None:
    """The checkout that this package lies in, if it does."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "setup.py").exists() and (root / "src" / "convlite").exists() else None


def _flags() -> str:
    """The flags in setup.py: GCC's and Clang's common ones, and those of the instruction set."""
    root = _root()
    if root is None:
        return "those of the wheel (setup.py)"
    values: dict[str, Any] = {}
    for node in ast.parse((root / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                if node.targets[0].id == "FLAGS" and isinstance(node.value, ast.Dict):
                    values["FLAGS"] = {"unix": _listed(node.value.values[0], values)}
    own: list[str] = []
    for table in values.get("ISAS", {}).values():
        own = next((flags for isa, _, flags in table if isa == _dispatch.active_isa()), own) or own
    return " ".join([*values.get("FLAGS", {}).get("unix", []), *own])


def _listed(node: ast.expr, values: dict[str, Any]) -> list[str]:
    """A list of strings that may spread named lists: [*NAME, "text"]."""
    found: list[str] = []
    for item in node.elts if isinstance(node, ast.List) else []:
        if isinstance(item, ast.Starred):
            found += values[ast.unparse(item.value)]
        else:
            found.append(ast.literal_eval(item))
    return found


def _commit() -> str | None:
    root = _root()
    if root is None:
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


class Neighbours:
    """How much of this process's processors others took while a worker was timed."""

    def __init__(self) -> None:
        self.taken = self.own = self.wall = self.waited = 0.0

    @staticmethod
    def _used() -> float:
        """Seconds of work of all processes on the processors that this one may use, and of other guests of
        the same host; 0 where the system does not tell.
        """
        try:
            text = Path("/proc/stat").read_text(encoding="ascii")
        except OSError:
            return 0.0
        ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        rows = [line.split() for line in text.splitlines() if line.startswith("cpu")]
        # user, nice, system, (idle, iowait,) irq, softirq, steal
        ticks = [sum(map(int, row[1:4] + row[6:9])) for row in rows if row[0] in ours]
        return sum(ticks) / os.sysconf("SC_CLK_TCK")

    @contextlib.contextmanager
    def watched(self, threads: int) -> Iterator[dict[str, float]]:
        """Around one request: put the worker's processor time into what is yielded, as "cpu"."""
        before, start = self._used(), time.perf_counter()
        told: dict[str, float] = {}
        yield told
        wall = time.perf_counter() - start
        self.taken += self._used() - before
        self.own += told.get("cpu", 0.0)
        self.wall += wall
        if threads == 1:  # a thread that never waits for others runs all the time
            self.waited += max(0.0, told.get("wall", 0.0) - told.get("cpu", 0.0))

    def share(self) -> float:
        """Of the processors' time: what others took, or what a single thread waited for its processor."""
        if not self.wall:
            return 0.0
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        others = (self.taken - self.own) / (self.wall * cores) if self.taken else 0.0
        return round(max(others, self.waited / self.wall, 0.0), 3)
