"""Tables of figures in a page of the documentation: benchmarks write them, between two comments.

<!-- figures: NAME -->
what was measured
<!-- end of figures -->
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from common import ROOT, machine

PAGES = [ROOT / "docs" / name for name in ("large-images.md", "serving.md")]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table of Markdown."""
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def where() -> str:
    """The machine, the day and how busy it was."""
    found = machine()
    load = "" if found["load"] is None else f", load {found['load']} when it began"
    return f"{found['cpu']}, {os.cpu_count()} cores{load}, {found['date']}"


def show(name: str, lines: Sequence[str], page: bool) -> None:
    """Print the lines, and put them into the page where asked to."""
    print("\n".join(lines), flush=True)
    if not page:
        return
    begin, end = f"<!-- figures: {name} -->\n", "<!-- end of figures -->"
    texts = {path: path.read_text(encoding="utf-8") for path in PAGES}
    places = [path for path, text in texts.items() for _ in range(text.count(begin))]
    if len(places) != 1:
        raise RuntimeError(f"there are {len(places)} places for the figures {name!r}; there must be one")
    before, _, rest = texts[places[0]].partition(begin)
    body = "\n".join(lines)
    places[0].write_text(f"{before}{begin}{body}\n{end}{rest.partition(end)[2]}", encoding="utf-8")
