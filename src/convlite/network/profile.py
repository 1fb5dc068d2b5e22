"""The time of a network, node by node, as a table, a chart or a trace."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .executor import Executor
from .graph import Array
from .kinds import named
from .program import Step
from .summary import aligned, kind_shown

__all__ = ["Profile", "ProfileRow", "profiled"]


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """The time of one node, or of one kind of node.

    node: its name in the file; "" for a kind. kind: what it computes. how: what runs it. ms: the median over
    the repeats, in milliseconds. share: of the sum over all nodes, 0 to 1. count: the number of nodes.
    """

    node: str
    kind: str
    how: str
    ms: float
    share: float
    count: int = 1


@dataclass(frozen=True, slots=True)
class Profile:
    """What `Network.profile` measured; `print` shows it as a table.

    name: the network's. rows: one for each step that runs, in order. ms: the sum of their medians. total_ms:
    the median time of a whole call. repeat: the calls that were timed. spans: of the fastest one, each
    step's start and duration in microseconds. The table's last row, "between nodes", is total_ms less ms.
    """

    name: str
    rows: tuple[ProfileRow, ...]
    ms: float
    total_ms: float
    repeat: int
    spans: tuple[tuple[float, float], ...]

    def by_kind(self) -> tuple[ProfileRow, ...]:
        """A row for each kind and what runs it, the slowest first."""
        groups: dict[tuple[str, str], list[ProfileRow]] = {}
        for row in self.rows:
            groups.setdefault((row.kind, row.how), []).append(row)
        sums = [
            ProfileRow("", *key, sum(row.ms for row in rows), sum(row.share for row in rows), len(rows))
            for key, rows in groups.items()
        ]
        return tuple(sorted(sums, key=lambda row: -row.ms))

    def __str__(self) -> str:
        nodes = [("Node", "Kind", "Runs as", "ms", "Share")]
        nodes += [(_short(row.node), row.kind, row.how, f"{row.ms:.3f}", _percent(row)) for row in self.rows]
        between = f"{self.total_ms - self.ms:.3f}"  # so that the rows add up to the call's time
        nodes.append(("between nodes", "", "", between, ""))
        kinds = [("Kind", "Runs as", "Nodes", "ms", "Share")]
        kinds += [
            (row.kind, row.how, str(row.count), f"{row.ms:.3f}", _percent(row)) for row in self.by_kind()
        ]
        kinds.append(("between nodes", "", "", between, ""))
        first, second = aligned(nodes, "<<<>>"), aligned(kinds, "<<>>>")
        rules = ["-" * max(map(len, lines)) for lines in (first, second)]
        return "\n".join(
            [
                f"Profile of {self.name}: {self.total_ms:.3f} ms a call, median of {self.repeat}",
                *(rules[0], first[0], rules[0], *first[1:], ""),
                *(rules[1], second[0], rules[1], *second[1:]),
            ]
        )

    def chart(self, path: str | os.PathLike[str]) -> None:
        """Draw the time of each kind and of the slowest nodes as bars; the ending of `path` says the format.

        Needs the package matplotlib: ImportError where it is missing.
        """
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError("charts need the package matplotlib: pip install matplotlib") from None
        kinds = self.by_kind()[:12]
        nodes = sorted(self.rows, key=lambda row: -row.ms)[:20]
        figure = Figure(figsize=(9, 1.8 + 0.25 * (len(kinds) + len(nodes))), layout="constrained")
        FigureCanvasAgg(figure)
        heights = [max(len(part), 1) for part in (kinds, nodes)]
        axes = figure.subplots(2, 1, height_ratios=heights)
        for axis, rows, title in zip(axes, (kinds, nodes), ("by kind", "slowest nodes"), strict=True):
            labels = [_label(row) for row in rows]
            places = range(len(rows))
            axis.barh(places, [row.ms for row in rows])
            axis.set_yticks(places, labels, fontsize=8)
            axis.invert_yaxis()
            axis.set_title(title, loc="left")
            axis.set_xlabel("ms")
        figure.suptitle(f"{self.name}: {self.total_ms:.2f} ms a call")
        figure.savefig(path)

    def trace(self, path: str | os.PathLike[str]) -> None:
        """Write the fastest run as JSON that chrome://tracing and https://ui.perfetto.dev show."""
        events = [
            {
                "name": row.node,
                "cat": row.kind,
                "ph": "X",
                "ts": start,
                "dur": duration,
                "pid": 0,
                "tid": 0,
                "args": {"kind": row.kind, "runs as": row.how},
            }
            for row, (start, duration) in zip(self.rows, self.spans, strict=True)
        ]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)


def profiled(executor: Executor, arrays: Sequence[Array], repeat: int) -> Profile:
    """Time each step of the program for these inputs, over `repeat` calls after one that is not counted.

    The core's steps are bound as in a call, and run one by one.
    """
    program = replace(executor.program(tuple(array.shape for array in arrays)), _frames=[])
    runs: list[list[tuple[int, int]]] = []
    wholes: list[int] = []
    for number in range(repeat + 1):
        ticks: list[tuple[int, int]] = []
        begin = time.perf_counter_ns()
        program.run(arrays, ticks)
        if number:
            wholes.append(time.perf_counter_ns() - begin)
            runs.append(ticks)
    times = [statistics.median(end - start for start, end in step) / 1e6 for step in zip(*runs, strict=True)]
    total = sum(times)
    rows = tuple(
        ProfileRow(_name(step), kind_shown(step.node), step.how, ms, ms / total if total else 0.0)
        for step, ms in zip(program.steps, times, strict=True)
    )
    fastest = runs[wholes.index(min(wholes))]
    origin = fastest[0][0] if fastest else 0
    spans = tuple(((start - origin) / 1e3, (end - start) / 1e3) for start, end in fastest)
    return Profile(executor.graph.name, rows, total, statistics.median(wholes) / 1e6, repeat, spans)


def _name(step: Step) -> str:
    return step.node.label or next((name for name in step.node.outputs if name), named(step.node))


def _short(name: str) -> str:
    return name if len(name) <= 40 else "..." + name[-37:]


def _label(row: ProfileRow) -> str:
    return _short(row.node) if row.node else f"{row.kind} ({row.how}), {row.count}"


def _percent(row: ProfileRow) -> str:
    return f"{100 * row.share:.1f} %"
