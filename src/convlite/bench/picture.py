"""Results -> one chart: how much of the machine's limit each shape reaches, by convlite and two peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .report import Row, families, rows, thread_counts

__all__ = ["draw"]

_OURS, _BEST, _SECOND, _GRID = "#0b6e4f", "#d1495b", "#9aa5b1", "#e3e7eb"


def draw(data: dict[str, Any], path: Path) -> None:
    """Write a PNG: a line for each shape, by family; a panel for each number of threads. Needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = [row for row in rows(data) if row.family != "tiny" and "convlite" in row.us]
    counts = thread_counts(found)
    most = max((sum(row.threads == count for row in found) for count in counts), default=1)
    height = 1.6 + 0.19 * (most + 2 * len(families(found)))
    figure = Figure(figsize=(4.2 + 3.6 * len(counts), height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, max(len(counts), 1), sharey=True, squeeze=False)[0]
    for panel, count in zip(panels, counts, strict=False):
        _panel(panel, [row for row in found if row.threads == count], count)
    if counts:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
        figure.supxlabel(
            "percent of the machine's limit (FMA peak, or reading the operands once)", fontsize=9
        )
    figure.savefig(path)


def _panel(panel: Any, found: list[Row], threads: int) -> None:
    place, ticks, labels = 0.0, [], []
    points: dict[str, list[tuple[float, float]]] = {"ours": [], "best": [], "second": [], "fast": []}
    for family, members in families(found):
        panel.text(1, place, family, fontsize=8, weight="bold", va="center", color="#333333")
        place += 1
        for row in members:
            points["ours"].append((100 * row.fraction("convlite"), place))
            if "convlite_fast" in row.us:
                points["fast"].append((100 * row.fraction("convlite_fast"), place))
            for name, peer in zip(("best", "second"), row.rivals(), strict=False):
                points[name].append((100 * row.fraction(peer), place))
            ticks.append(place)
            labels.append(row.name)
            place += 1
        place += 0.6
    styles = {
        "second": ("second-best peer", _SECOND, "o", 16),
        "best": ("best peer", _BEST, "D", 20),
        "ours": ("convlite", _OURS, "o", 34),
        "fast": ('convlite, "fast"', _OURS, "^", 34),
    }
    for name, (label, colour, marker, size) in styles.items():
        if points[name]:
            x, y = zip(*points[name], strict=True)
            panel.scatter(x, y, s=size, c=colour, marker=marker, label=label, zorder=3, linewidths=0)
    panel.axvline(100, color="#555555", linewidth=0.8)
    panel.set_yticks(ticks, labels, fontsize=7)
    panel.tick_params(axis="x", labelsize=8)
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(place, -1)
    panel.set_xlim(0, None)
    panel.grid(axis="both", color=_GRID, linewidth=0.6)
    panel.set_axisbelow(True)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    panel.set_title(f"{threads} thread{'s' if threads > 1 else ''}", fontsize=10)
