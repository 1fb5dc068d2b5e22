"""Results -> text: the table of every shape and peer, and the figures that summarise a family.

Everything is computed from the dictionary that conduct.measure returned and run.py completed (the JSON file),
so that a stored run prints as a fresh one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .machine import BUSY
from .rivals import PEERS, WINOGRAD
from .shape import FAMILIES, parse

__all__ = ["Row", "geomean", "busy", "rows", "summary", "table"]

OURS = ("convlite", "convlite_fast")
_TITLES = {"convlite_fast": "fast"}  # the columns are narrow


def geomean(values: Iterable[float]) -> float:
    """The geometric mean; nan for none.

    >>> geomean([2.0, 8.0])
    4.0
    """
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs)) if logs else math.nan


@dataclass(frozen=True)
class Row:
    """One shape on one number of threads: microseconds by peer, and the least the machine allows."""

    name: str
    network: str
    family: str
    threads: int
    flops: float
    us: dict[str, float]
    noise: dict[str, float]
    limit_us: float
    bound: str  # "compute" or "memory"
    title: str = ""  # spelled out

    def rivals(self, ours: str = "convlite") -> list[str]:
        """The peers that `ours` is compared with, fastest first: exact sums not with Winograd's."""
        fast = ours in WINOGRAD
        names = [name for name in self.us if name not in OURS and (fast or name not in WINOGRAD)]
        return sorted(names, key=self.us.__getitem__)

    def ratio(self, ours: str = "convlite") -> float:
        """How many times faster than the best peer; nan where one of them is missing."""
        rivals = self.rivals(ours)
        return self.us[rivals[0]] / self.us[ours] if rivals and ours in self.us else math.nan

    def fraction(self, peer: str) -> float:
        """Of the machine's limit."""
        return self.limit_us / self.us[peer] if peer in self.us else math.nan

    def gflops(self, peer: str) -> float:
        """GFLOP/s, multiply-adds by definition."""
        return self.flops / self.us[peer] / 1e3 if peer in self.us else math.nan


def rows(data: dict[str, Any]) -> list[Row]:
    """The rows of a run, in its order."""
    found = []
    for record in data["results"]:
        threads = record["threads"]
        peak = max(data["machine"][str(threads)]["gflops"])
        # a larger buffer is never read faster: what was seen there holds here too
        speeds = [
            other["gbs"]
            for other in data["results"]
            if other["threads"] == threads and other["bytes"] >= record["bytes"] and other["gbs"] > 0
        ]
        flops = 2.0 * record["multiply_adds"]
        compute, memory = flops / peak / 1e3, record["bytes"] / max(speeds, default=math.inf) / 1e3
        timed = {peer: entry for peer, entry in record["peers"].items() if "us" in entry}
        found.append(
            Row(
                record["name"],
                record["network"],
                record["family"],
                threads,
                flops,
                {peer: entry["us"] for peer, entry in timed.items()},
                {peer: statistics.median(entry["rounds"]) / entry["us"] - 1 for peer, entry in timed.items()},
                max(compute, memory),
                "memory" if memory > compute else "compute",
                parse(record["line"], record["network"]).title,
            )
        )
    return found


def families(found: list[Row]) -> list[tuple[str, list[Row]]]:
    """The rows of each family, in the order of FAMILIES."""
    grouped = [(family, [row for row in found if row.family == family]) for family in FAMILIES]
    return [(family, members) for family, members in grouped if members]


def thread_counts(found: list[Row]) -> list[int]:
    """The numbers of threads that were measured."""
    return sorted({row.threads for row in found})


def noise(found: list[Row]) -> float:
    """The median, over convlite's shapes, of how far a median round lies above the fastest."""
    values = [row.noise["convlite"] for row in found if "convlite" in row.noise]
    return statistics.median(values) if values else math.nan


@dataclass(frozen=True)
class Summary:
    """A family on one number of threads, one of OURS against the best peer of each shape."""

    family: str
    threads: int
    ours: str
    shapes: int
    ratio: float
    worst: Row
    fraction: float
    won: int


def summary(found: list[Row]) -> list[Summary]:
    """The families that convlite and at least one peer have."""
    result = []
    for threads in thread_counts(found):
        for family, members in families([row for row in found if row.threads == threads]):
            for ours in OURS:
                both = [row for row in members if not math.isnan(row.ratio(ours))]
                if both:
                    ratios = [row.ratio(ours) for row in both]
                    result.append(
                        Summary(
                            family,
                            threads,
                            ours,
                            len(both),
                            geomean(ratios),
                            min(both, key=lambda row: row.ratio(ours)),
                            geomean(row.fraction(ours) for row in both),
                            sum(ratio >= 1 for ratio in ratios),
                        )
                    )
    return result


# ---- text --------------------------------------------------------------------------------------------------


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 0.1 else f"{value:.2g}"


def _speeds(row: Row, columns: list[str]) -> list[str]:
    """GFLOP/s, of tiny layers microseconds; the best is marked."""
    best = min(row.us.values(), default=math.nan)
    cells = []
    for peer in columns:
        value = row.us.get(peer, math.nan) if row.family == "tiny" else row.gflops(peer)
        cells.append(("*" if row.us.get(peer) == best else "") + _number(value))
    return cells


def _title(family: str) -> str:
    return f"{family} (us a call)" if family == "tiny" else family


def busy(data: dict[str, Any]) -> str | None:
    """What others took of the processors, where that forbids ratios."""
    most = max(data.get("busy", {}).values(), default=0.0)
    if most < BUSY or data["context"].get("anyway"):
        return None
    return (
        f"The machine was busy: other processes took {most:.0%} of the processors while layers were timed. "
        "Speeds are shown, ratios are not:\nthey would show what the other processes did. "
        "Run again when nothing else runs (--anyway shows ratios all the same)."
    )


def table(data: dict[str, Any]) -> str:
    """The whole report of a run, as text; without ratios where the machine was busy."""
    found, warning = rows(data), busy(data)
    lines = [] if warning is None else [warning]
    for threads in thread_counts(found):
        mine = [row for row in found if row.threads == threads]
        columns = [peer for peer in PEERS if any(peer in row.us for row in mine)]
        width = max(len(row.title) for row in mine)
        lines += ["", _heading(data, threads, mine)]
        shown = [ours for ours in OURS if ours in columns and warning is None]
        ratios = ["ratio" if ours == "convlite" else "(fast)" for ours in shown]
        head = [_TITLES.get(peer, peer) for peer in columns]
        lines.append(_join("", width, head, ["us", *ratios, "limit"]) + ("  best peer" if shown else ""))
        for family, members in families(mine):
            lines.append(_title(family))
            lines += [_line(row, columns, shown, width) for row in members]
            lines += [_family_line(members, columns, shown, width)] if shown else []
        lines += _overall(mine, columns, width) if shown else []
        lines += _resident(data, threads, columns)
    return "\n".join(lines).strip("\n") + "\n"


def _heading(data: dict[str, Any], threads: int, mine: list[Row]) -> str:
    probes = data["machine"][str(threads)]["gflops"]
    quiet = sum(probe > 0.95 * max(probes) for probe in probes) / len(probes)
    return (
        f"{threads} thread(s): GFLOP/s of the fastest call; FMA peak {max(probes):.0f} GFLOP/s ({quiet:.0%} "
        f"of {len(probes)} probes within 5% of it); convlite's median round {noise(mine):.0%} over its best"
    )


def _join(name: str, width: int, speeds: list[str], figures: list[str]) -> str:
    return f"{name:<{width}}" + "".join(f"{cell:>10}" for cell in speeds + figures)


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _line(row: Row, columns: list[str], shown: list[str], width: int) -> str:
    ours = row.us.get("convlite", math.nan)
    mark = "m" if row.bound == "memory" else " "
    limit = "- " if row.family == "tiny" or math.isnan(ours) else f"{row.fraction('convlite'):.0%}{mark}"
    figures = [_number(ours), *(_ratio(row.ratio(name)) for name in shown), limit]
    best = row.rivals()[:1] if shown else []
    return f"{_join(row.title, width, _speeds(row, columns), figures)}  {', '.join(best)}".rstrip()


def _family_line(members: list[Row], columns: list[str], shown: list[str], width: int) -> str:
    """convlite's speed over each peer's, over the shapes that both have."""
    both = [row for row in members if "convlite" in row.us]
    cells = [
        ""
        if peer == "convlite"
        else _ratio(geomean(row.us[peer] / row.us["convlite"] for row in both if peer in row.us))
        for peer in columns
    ]
    ratios = [
        _ratio(geomean(row.ratio(name) for row in members if not math.isnan(row.ratio(name))))
        for name in shown
    ]
    fraction = geomean(row.fraction("convlite") for row in both)
    limit = "- " if members[0].family == "tiny" or math.isnan(fraction) else f"{fraction:.0%} "
    return _join("  convlite / peer", width, cells, ["", *ratios, limit])


def _resident(data: dict[str, Any], threads: int, columns: list[str]) -> list[str]:
    most = data.get("resident", {}).get(str(threads), {})
    sizes = [f"{peer} {most[peer] / 1e6:.0f}" for peer in columns if peer in most]
    return [f"most memory resident, MB, all layers prepared: {', '.join(sizes)}"] if sizes else []


def _overall(mine: list[Row], columns: list[str], width: int) -> list[str]:
    lines = []
    for ours in OURS:
        both = [row for row in mine if not math.isnan(row.ratio(ours))]
        if not both:
            continue
        lost = sorted((row for row in both if row.ratio(ours) < 1), key=lambda row: row.ratio(ours))
        title = PEERS[ours][1]
        lines.append(
            f"{title}: {geomean(row.ratio(ours) for row in both):.2f} times the best peer of each shape "
            f"(geomean); ahead on {len(both) - len(lost)} of {len(both)}"
        )
        if lost:
            lines += ["  behind:", *(f"    {row.ratio(ours):.2f}  {row.title}" for row in lost)]
    note = ' (ncnn_wino is compared with precision("fast") only)' if "ncnn_wino" in columns else ""
    lines.append(f"ratio: the best peer's time over convlite's{note}; limit: of FMA peak, or of reading the")
    lines.append("operands once (m), a dash where a call is too short to measure it")
    return lines
