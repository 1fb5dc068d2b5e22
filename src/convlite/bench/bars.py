"""Ratios -> a chart in SVG: bars of "times the best peer" on a log axis, the peer named at each.

Written by hand, so that the chart needs no other package: a bar is a rectangle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "Panels", "draw"]

_LIGHT = {
    "text": "#24292f", "soft": "#57606a", "grid": "#d8dee4", "one": "#57606a",
    "fast": "#0b6e4f", "exact": "#7fb8a4", "lost": "#c2452d", "lost exact": "#e3a899",
}  # fmt: skip
_DARK = {
    "text": "#e6edf3", "soft": "#9198a1", "grid": "#30363d", "one": "#9198a1",
    "fast": "#3fb68b", "exact": "#1f6f55", "lost": "#f0785f", "lost exact": "#8c4335",
}  # fmt: skip
_TICKS = (0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
_ROW, _HEAD, _WIDTH, _TEXT = 21, 92, 900, 12
_LEGEND = (
    ("fast", 'convlite, "fast"'),
    ("exact", 'convlite, "exact"'),
    ("lost", "slower than the best peer"),
)
_GLYPH = 6.6  # pixels of a letter at this size, about


@dataclass(frozen=True)
class Bar:
    """A network or a layer: times the best peer under each precision (nan: not timed)."""

    title: str
    exact: float
    fast: float
    peer: str


Panels = list[tuple[str, list[tuple[str, list[Bar]]]]]


def draw(panels: Panels, title: str, below: str, *, dark: bool = False) -> str:
    """The chart: a panel beside the other, (heading, [(family, bars)]); rows are those of the first panel.

    title: what and where; below: a line under it.
    """
    colours = _DARK if dark else _LIGHT
    bars = [bar for _, families in panels for _, members in families for bar in members]
    left = 24 + _GLYPH * max((len(bar.title) for bar in bars), default=1)
    room = 12 + _GLYPH * max((len(bar.peer) + 5 for bar in bars), default=1)
    width = (max(_WIDTH, left + 260.0 * len(panels)) - left) / max(len(panels), 1)
    low, high = _limits([value for bar in bars for value in (bar.exact, bar.fast)])
    count = sum(len(members) + bool(text) for text, members in panels[0][1]) if panels else 0
    height = _HEAD + _ROW * count + 34
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width * len(panels):.0f} {height}" '
        f'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif" font-size="{_TEXT}">',
        f"<title>{escape(title)}</title>",
        _text(12, 22, title, colours["text"], weight="bold", size=14),
        _text(12, 41, below, colours["soft"]),
    ]
    x = 12.0
    for kind, name in _LEGEND:
        out.append(_box(x, 52, 11, 11, colours[kind]))
        out.append(_text(x + 16, 62, name, colours["text"]))
        x += 34 + _GLYPH * len(name)
    for number, (heading, families) in enumerate(panels):
        start = left + width * number
        scale = (width - room - 8) / math.log(high / low)
        out += _axis(start, scale, low, high, heading, height, colours)
        y = _HEAD
        for family, members in families:
            if family:
                if not number:
                    out.append(_text(12, y + 15, family, colours["text"], weight="bold"))
                y += _ROW
            for bar in members:
                if not number:
                    out.append(_text(left - 10, y + 14, bar.title, colours["text"], anchor="end"))
                out += _bar(bar, start, y, scale, low, colours)
                y += _ROW
    return "\n".join([*out, "</svg>", ""])


def _limits(values: list[float]) -> tuple[float, float]:
    """The axis: ticks outside of all values, and 1 within."""
    known = [value for value in values if not math.isnan(value)] or [1.0]
    low = max((tick for tick in _TICKS if tick <= min(*known, 0.7)), default=min(known))
    high = min((tick for tick in _TICKS if tick >= max(*known, 1.5)), default=max(known))
    return low, high


def _axis(
    start: float, scale: float, low: float, high: float, heading: str, height: int, colours: dict[str, str]
) -> list[str]:
    out = [_text(start, 84, heading, colours["text"], weight="bold")]
    for tick in _TICKS:
        if low <= tick <= high:
            x = start + scale * math.log(tick / low)
            one = tick == 1
            colour, line = colours["one" if one else "grid"], 1.4 if one else 0.8
            out.append(
                f'<path d="M{x:.1f} {_HEAD - 2}V{height - 28}" stroke="{colour}" stroke-width="{line}"/>'
            )
            out.append(_text(x, height - 14, f"{tick:g}", colours["soft"], anchor="middle"))
    return out


def _bar(bar: Bar, start: float, y: float, scale: float, low: float, colours: dict[str, str]) -> list[str]:
    """The wide bar is "fast" (alone, "exact"), the narrow one below it "exact"; both begin at 1."""
    both = [(bar.fast, "fast"), (bar.exact, "exact")]
    known = [(value, kind) for value, kind in both if not math.isnan(value)]
    one, out, end = start + scale * math.log(1 / low), [], start
    top, thick = y + 2.0, 10.0 if len(known) == 2 else 14.0
    for value, kind in known:
        x = start + scale * math.log(value / low)
        lost = {"fast": "lost", "exact": "lost exact"}[kind]
        out.append(
            _box(min(x, one), top, max(abs(x - one), 1.0), thick, colours[kind if value >= 1 else lost])
        )
        top, thick, end = top + thick + 1, 5.0, max(end, x, one)
    if known:
        out.append(_text(end + 5, y + 14, f"{known[0][0]:.2f} {bar.peer}", colours["text"], size=11))
    return out


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(
    x: float, y: float, text: str, colour: str, *, anchor: str = "", weight: str = "", size: int = _TEXT
) -> str:
    more = f' text-anchor="{anchor}"' if anchor else ""
    more += f' font-weight="{weight}"' if weight else ""
    more += f' font-size="{size}"' if size != _TEXT else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{more}>{escape(text)}</text>'
