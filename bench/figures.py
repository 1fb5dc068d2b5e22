"""Tables of figures in a page of the documentation: benchmarks write them, between two comments.

<!-- figures: NAME -->
what was measured
<!-- end of figures -->
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from common import ROOT, machine

PAGE = ROOT / "docs" / "large-images.md"


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
    text = PAGE.read_text(encoding="utf-8")
    pattern = rf"(<!-- figures: {name} -->\n).*?(<!-- end of figures -->)"
    body = "\n".join(lines)
    new, count = re.subn(pattern, lambda found: f"{found[1]}{body}\n{found[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise RuntimeError(f"{PAGE} has {count} places for the figures {name!r}; it must have one")
    PAGE.write_text(new, encoding="utf-8")
