"""Results of race.py -> text and figures: each network against its best peer.

Everything comes from the dictionary that race.measure returned and run.py completed (the JSON file).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .bars import Bar, Panels
from .bars import draw as draw_bars
from .machine import BUSY
from .picture import heading
from .report import OURS, geomean
from .rivals import PEERS, RACERS

__all__ = ["Standing", "busy", "draw", "names", "standings", "table", "versions"]

_SHORT = {"convlite": "exact", "convlite_fast": "fast", "ncnn_wino": "ncnn"}


@dataclass(frozen=True)
class Standing:
    """One network on one number of threads: milliseconds of a call by peer, and what else was measured."""

    name: str
    threads: int
    ms: dict[str, float]
    peers: dict[str, dict[str, Any]]
    refused: dict[str, str]

    @property
    def best(self) -> str | None:
        """The fastest peer; None without any."""
        rivals = [peer for peer in self.ms if peer not in OURS]
        return min(rivals, key=self.ms.__getitem__, default=None)

    def ratio(self, ours: str) -> float:
        """How many times faster than the best peer; nan where one of them is missing."""
        return self.ms[self.best] / self.ms[ours] if self.best and ours in self.ms else math.nan

    def against(self, what: str, peer: str = "ort") -> float:
        """convlite's load_ms or resident over a peer's; nan where one is missing."""
        ours, theirs = (self.peers.get(name, {}).get(what) for name in ("convlite", peer))
        return ours / theirs if ours and theirs else math.nan

    @property
    def first(self) -> float:
        """convlite's first call, in calls."""
        own = self.peers.get("convlite")
        return own["first_ms"] / own["ms"] if own and "ms" in own else math.nan


def standings(data: dict[str, Any]) -> list[Standing]:
    """The networks of a run, in its order."""
    return [
        Standing(
            record["name"],
            record["threads"],
            {peer: entry["ms"] for peer, entry in record["peers"].items() if "ms" in entry},
            record["peers"],
            record["refused"],
        )
        for record in data["results"]
    ]


def busy(data: dict[str, Any]) -> str | None:
    """What others took of the processors, where that forbids ratios."""
    most = max(data["busy"].values(), default=0.0)
    if most < BUSY or data["context"].get("anyway"):
        return None
    return (
        f"The machine was busy: other processes took {most:.0%} of the processors while networks were timed. "
        "Times are shown; ratios would compare the neighbours. Run again when nothing else runs"
        " (--anyway shows ratios all the same)."
    )


def names(peer: str) -> str:
    """What readers call a peer.

    >>> names("ncnn_wino")
    'ncnn'
    """
    return PEERS[peer][1].partition(",")[0].partition(" (")[0]


def versions(data: dict[str, Any]) -> str:
    """Peers and their versions; convlite once."""
    named = {names(peer): version.partition("-")[0] for peer, version in data["versions"].items()}
    return ", ".join(f"{name} {version}" for name, version in named.items())


def _columns(found: list[Standing]) -> list[str]:
    return [peer for peer in RACERS if any(peer in row.ms for row in found)]


def table(data: dict[str, Any]) -> str:
    """The whole report of a run, as text."""
    found, warning = standings(data), busy(data)
    lines = [warning] if warning else []
    for threads in sorted({row.threads for row in found}):
        mine = [row for row in found if row.threads == threads]
        columns = _columns(mine)
        width = max(len(row.name) for row in mine)
        heads = [_SHORT.get(peer, peer) for peer in columns]
        lines += ["", f"{threads} thread{'s' if threads > 1 else ''}: milliseconds of the fastest call"]
        head = "".join(f"{text:>10}" for text in heads)
        if not warning:
            head += f"{'exact':>10}{'fast':>8}   best peer"
        lines.append(f"{'':<{width}}{head}{'load':>10}{'first':>8}{'memory':>8}")
        for row in mine:
            lines.append(_line(row, columns, width, not warning))
        if not warning:
            lines += _overall(mine)
    left_out = dict.fromkeys(
        f"  {row.name}: {names(peer)}: {why}" for row in found for peer, why in row.refused.items()
    )
    lines += ["", "left out:", *left_out] if left_out else []
    if any(row.best for row in found) and not warning:
        lines += ["", "exact, fast after the times: the best peer's time over convlite's."]
    lines += ["load: milliseconds; first: the first call, in calls; memory: MB of the process (convlite's)."]
    return "\n".join(lines).strip("\n") + "\n"


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.1f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _line(row: Standing, columns: list[str], width: int, ratios: bool) -> str:
    text = f"{row.name:<{width}}"
    text += "".join(f"{_number(row.ms.get(peer, math.nan)):>10}" for peer in columns)
    if ratios:
        text += f"{_ratio(row.ratio('convlite')):>10}{_ratio(row.ratio('convlite_fast')):>8}"
        text += f"   {names(row.best) if row.best else '-':<9}"
    own = row.peers.get("convlite", {})
    text += f"{_number(own.get('load_ms', math.nan)):>{10 if not ratios else 13}}{_number(row.first):>8}"
    return text + f"{_number(own.get('resident', math.nan) / 1e6):>8}"


def _overall(mine: list[Standing]) -> list[str]:
    lines = []
    for ours in OURS:
        ratios = {row.name: row.ratio(ours) for row in mine if not math.isnan(row.ratio(ours))}
        if ratios:
            ahead = sum(ratio >= 1 for ratio in ratios.values())
            lines.append(
                f'"{_SHORT[ours]}": {geomean(ratios.values()):.2f} times the best peer (geomean), '
                f"ahead on {ahead} of {len(ratios)}"
            )
    for what, title in (("load_ms", "load"), ("resident", "memory")):
        if values := [row.against(what) for row in mine if not math.isnan(row.against(what))]:
            lines.append(f"{title}: {geomean(values):.2f} of ONNX Runtime's (geomean)")
    return lines


def draw(data: dict[str, Any], *, dark: bool = False) -> str:
    """The chart, in SVG; of a busy machine only why there is none."""
    title = f"Whole networks: times the best peer, {heading(data)}"
    warning = busy(data)
    return draw_bars(
        [] if warning else _panels(data),
        title,
        warning or "The fastest other runtime's time over convlite's; that runtime is named.",
        dark=dark,
    )


def _panels(data: dict[str, Any]) -> Panels:
    """A panel for each number of threads: best ratio first."""
    found = standings(data)
    first = min((row.threads for row in found), default=1)
    order: Callable[[Standing], float] = lambda row: -row.ratio("convlite_fast")  # noqa: E731
    ranked = sorted((row for row in found if row.threads == first and row.best), key=order)
    panels: Panels = []
    for threads in sorted({row.threads for row in found}):
        by_name = {row.name: row for row in found if row.threads == threads and row.best}
        rows = [by_name[row.name] for row in ranked if row.name in by_name]
        made = [
            Bar(row.name, row.ratio("convlite"), row.ratio("convlite_fast"), names(row.best or ""))
            for row in rows
        ]
        panels.append((f"{threads} thread{'s' if threads > 1 else ''}", [("", made)]))
    return panels
