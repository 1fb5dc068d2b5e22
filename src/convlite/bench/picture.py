"""Results of layers -> one chart: how many times faster than the best peer each shape runs."""

from __future__ import annotations

import math
from typing import Any

from .bars import Bar, Panels
from .bars import draw as draw_bars
from .report import Row, families, rows, thread_counts
from .rivals import PEERS

__all__ = ["draw", "heading"]


def heading(data: dict[str, Any]) -> str:
    """The processor and the day, for a chart's title."""
    return f"{data['context']['cpu'].partition(' (family')[0]}, {data['context']['date'][:10]}"


def draw(data: dict[str, Any], *, dark: bool = False) -> str:
    """The SVG: a bar for each shape, by family; a panel for each number of threads."""
    found = rows(data)
    panels: Panels = []
    for threads in thread_counts(found):
        mine = [row for row in found if row.threads == threads]
        panels.append(
            (
                f"{threads} thread{'s' if threads > 1 else ''}",
                [(family, [_bar(row) for row in members]) for family, members in families(mine)],
            )
        )
    title = f"Layers: times the best peer, {heading(data)}"
    return draw_bars(
        panels, title, "The best peer's time over convlite's; above 1 convlite is faster.", dark=dark
    )


def _bar(row: Row) -> Bar:
    ours = "convlite" if math.isnan(row.ratio("convlite_fast")) else "convlite_fast"
    rivals = row.rivals(ours)
    peer = PEERS[rivals[0]][1].partition(",")[0].partition(" (")[0] if rivals else ""
    return Bar(row.title, row.ratio("convlite"), row.ratio("convlite_fast"), peer)
