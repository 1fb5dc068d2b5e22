"""docs/speed.md's part about what the machine allows, from the result of network_limits.py.

`pages` is what the page includes. python bench/limits_table.py [RESULT.json] prints it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from convlite.bench.report import geomean
from convlite.bench.standings import names

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench" / "results" / "convlite-limits.json"
GOAL = 1.6
SAVES = 1.1  # "fast" saves something where the bound falls by this factor
LONG = 20.0  # microseconds; the clock around shorter steps is a part of their time

Row = dict[str, Any]


def best(row: Row) -> tuple[str, float]:
    """The fastest peer and its milliseconds."""
    peers: dict[str, float] = row["peers"]
    return min(peers.items(), key=lambda item: item[1])


def most(row: Row) -> float:
    """How far ahead "fast" would be at the machine's limit."""
    return best(row)[1] / float(row["fast"]["bound_ms"])


def ahead(row: Row) -> float:
    """How far ahead it is."""
    return best(row)[1] / float(row["fast"]["ms"])


def saves(row: Row) -> bool:
    """Whether Winograd's forms need noticeably less than all products."""
    return bool(row["exact"]["bound_ms"] >= SAVES * row["fast"]["bound_ms"])


def share(row: Row, precision: str) -> float:
    """The bound's part of the time."""
    return float(row[precision]["bound_ms"] / row[precision]["ms"])


def table(rows: list[Row]) -> list[str]:
    """A row for each network."""
    lines = [
        '| network | "exact": at least, ms | takes | share | "fast": at least, ms | takes | share '
        '| best runtime | takes | "fast" is ahead | at most |',
        "| --- |" + " ---: |" * 6 + " --- |" + " ---: |" * 3,
    ]
    for row in sorted(rows, key=most, reverse=True):
        cells = [row["name"]]
        for precision in ("exact", "fast"):
            cells += [f"{row[precision]['bound_ms']:.3g}", f"{row[precision]['ms']:.3g}"]
            cells.append(f"{share(row, precision):.0%}")
        peer, ms = best(row)
        cells += [names(peer), f"{ms:.3g}", f"{ahead(row):.2f}", f"{most(row):.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def groups(rows: list[Row]) -> list[str]:
    """Networks with and without something to save, and all."""
    lines = [
        '| networks | count | "fast" at least, of "exact" at least | share reached | best runtime\'s share '
        'of "exact" | "fast" is ahead | at most |',
        "| --- |" + " ---: |" * 6,
    ]
    for name, chosen in (
        ("Winograd's forms save products", [row for row in rows if saves(row)]),
        ("they save nothing", [row for row in rows if not saves(row)]),
        ("all", rows),
    ):
        left = geomean(row["fast"]["bound_ms"] / row["exact"]["bound_ms"] for row in chosen)
        theirs = geomean(row["exact"]["bound_ms"] / best(row)[1] for row in chosen)
        cells = [name, str(len(chosen)), f"{left:.0%}", f"{geomean(share(r, 'fast') for r in chosen):.0%}"]
        cells += [f"{theirs:.0%}", f"{geomean(map(ahead, chosen)):.2f}", f"{geomean(map(most, chosen)):.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def by_kind(rows: list[Row]) -> dict[str, tuple[float, float, float, float]]:
    """(part of the time, part of what lies above the bounds, share, best tenth's share) by kind of step, in
    "fast". Each network counts alike; the best tenth is of steps that take LONG."""
    times: dict[str, float] = {}
    bounds: dict[str, float] = {}
    shares: dict[str, list[float]] = {}
    for row in rows:
        whole = sum(step[2] for step in row["fast"]["steps"]) * len(rows)
        for kind, least, taken in row["fast"]["steps"]:
            times[kind] = times.get(kind, 0.0) + taken / whole
            bounds[kind] = bounds.get(kind, 0.0) + min(least, taken) / whole
            if taken >= LONG:
                shares.setdefault(kind, []).append(min(least / taken, 1.0))
    above = sum(times.values()) - sum(bounds.values())
    return {
        kind: (taken, (taken - bounds[kind]) / above, bounds[kind] / taken, _top(shares.get(kind, [])))
        for kind, taken in sorted(times.items(), key=lambda item: -item[1])
    }


def _top(values: Iterable[float]) -> float:
    """What a tenth of the values reach; 1 of none."""
    ordered = sorted(values)
    return ordered[int(0.9 * (len(ordered) - 1))] if ordered else 1.0


def kinds(rows: list[Row]) -> list[str]:
    """The table of by_kind."""
    lines = [
        "| steps | of the time | of the time above the bounds | share reached | the best tenth's share |",
        "| --- |" + " ---: |" * 4,
    ]
    for kind, figures in by_kind(rows).items():
        lines.append(f"| {kind} | {' | '.join(f'{figure:.0%}' for figure in figures)} |")
    return lines


def conclusions(rows: list[Row]) -> list[str]:
    """What the tables say of a goal."""
    top, now = geomean(map(most, rows)), geomean(map(ahead, rows))
    found = by_kind(rows)
    like_best = geomean(
        best(row)[1] / sum(least / found[kind][3] / 1e3 for kind, least, _ in row["fast"]["steps"])
        for row in rows
    )
    poor = [row for row in rows if not saves(row)]
    rich = geomean(ahead(row) for row in rows if saves(row))
    needed = (GOAL ** len(rows) / rich ** (len(rows) - len(poor))) ** (1 / max(len(poor), 1))
    mean = geomean(map(ahead, poor))
    return [
        f'With every step at its bound "fast" would be {top:.2f} times as fast as the best runtime of each '
        f"network (geometric mean); it is {now:.2f} times as fast in this run. If every step reached the "
        f"share that the best tenth of its kind reaches, it would be {like_best:.2f}.",
        f"For a mean of {GOAL} all networks would have to reach {GOAL / top:.0%} of their bounds. In "
        f'{len(poor)} of the {len(rows)} Winograd\'s forms save nothing: there "fast" does the same products '
        f'as "exact" and as every runtime. With the others where they are, these {len(poor)} would have to '
        f"be {needed:.2f} times as fast as their best runtime, {needed / geomean(map(most, poor)):.0%} of "
        f"their bounds; they are at {mean:.2f} and {geomean(share(row, 'fast') for row in poor):.0%}.",
    ]


def block(data: dict[str, Any]) -> str:
    """The part of the page."""
    rows, machine = [row for row in data["rows"] if row["peers"]], data["machine"]
    peaks = [row["peak_gflops"] for row in rows]
    speeds = {name: [row["gigabytes"][name] for row in rows] for name in ("near", "shared")}
    versions = {peer: version for row in rows for peer, version in row["versions"].items()}
    told = [f"{names(peer)} {version.partition('-')[0]}" for peer, version in sorted(versions.items())]
    lines = [
        f"`bench/network_limits.py`, {machine['date']}, {machine['cpu']}, {machine['isa']}, one thread; "
        f"convlite {machine['convlite']}, {', '.join(told)}. In the same rounds: {min(peaks):.0f} to "
        f"{max(peaks):.0f} GFLOP/s of multiply-adds in registers, {min(speeds['near']):.0f} to "
        f"{max(speeds['near']):.0f} GB/s within a core's own cache, {min(speeds['shared']):.0f} to "
        f"{max(speeds['shared']):.0f} GB/s beyond it.",
        "",
        *groups(rows),
        "",
        *(line for text in conclusions(rows) for line in (text, "")),
        'The steps in "fast", each network counted alike:',
        "",
        *kinds(rows),
        "",
        'Each network, sorted by how far "fast" could be ahead:',
        "",
        *table(rows),
    ]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """The file that docs/speed.md includes."""
    return {"limits.md": block(json.loads(RESULT.read_text(encoding="utf-8")))}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", metavar="RESULT.json", nargs="?", type=Path, default=RESULT)
    print(block(json.loads(parser.parse_args().result.read_text(encoding="utf-8"))))
