"""Write the README's table of speed between its markers, from the committed result.

`block` is the whole table, for docs/speed.md.

python bench/readme_table.py [RESULT.json] [README.md]
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from convlite.bench.report import Summary, noise, rows, summary
from convlite.bench.rivals import PEERS

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench" / "results" / "convlite-bench.json"
BEGIN, END = "<!-- speed: bench/readme_table.py -->", "<!-- end of speed -->"


def block(data: dict[str, Any]) -> str:
    """The lines between the markers: what was measured where, and a row for each family."""
    context, found = data["context"], rows(data)
    counts = sorted({row.threads for row in found})
    lines = _facts(data, counts)
    head = [f"{count} thread{'s' if count > 1 else ''}: ratio, worst, limit" for count in counts]
    lines += ["", "| layers | shapes | " + " | ".join(head) + " |", "| --- | --- |" + " --- |" * len(counts)]
    cells: dict[tuple[str, str], dict[int, Summary]] = {}
    for entry in summary(found):
        cells.setdefault((entry.family, entry.ours), {})[entry.threads] = entry
    for (family, ours), by_count in cells.items():
        title = family if ours == "convlite" else f'{family}, `precision("fast")`'
        texts = [_cell(by_count.get(count)) for count in counts]
        shapes = max(entry.shapes for entry in by_count.values())
        lines.append(f"| {title} | {shapes} | " + " | ".join(texts) + " |")
    worst = ", ".join(f"{noise([row for row in found if row.threads == count]):.0%}" for count in counts)
    lines += [
        "",
        "Ratio: the fastest peer's time over convlite's, geometric mean; above 1 it is ahead.",
        "Worst: the shape with the lowest ratio. Limit: the part of FMA peak, or of the speed at which",
        "memory can be read, that convlite reaches.",
        f"Fastest call of {context['rounds']} interleaved rounds; the median round was {worst} slower.",
    ]
    return "\n".join(lines)


def front(data: dict[str, Any]) -> str:
    """The README's lines: a number a cell, and where it was measured."""
    context, found = data["context"], rows(data)
    counts = sorted({row.threads for row in found})
    titles = [f"{count} thread{'s' if count > 1 else ''}" for count in counts]
    lines = ["| layers | shapes | " + " | ".join(titles) + " | worst shape, 1 thread |"]
    lines.append("| --- | ---: |" + " ---: |" * (len(counts) + 1))
    cells: dict[tuple[str, str], dict[int, Summary]] = {}
    for entry in summary(found):
        cells.setdefault((entry.family, entry.ours), {})[entry.threads] = entry
    for (family, ours), by_count in cells.items():
        title = family if ours == "convlite" else f'{family}, `precision("fast")`'
        texts = [f"**{by_count[count].ratio:.2f}**" if count in by_count else "-" for count in counts]
        first = by_count[min(by_count)]
        texts.append(f"{first.worst.ratio(ours):.2f}")
        lines.append(f"| {title} | {first.shapes} | " + " | ".join(texts) + " |")
    peers = [PEERS[peer][1].partition(",")[0] for peer in PEERS if peer in data["versions"]]
    named = ", ".join(name for name in dict.fromkeys(peers) if not name.startswith("convlite"))
    lines += [
        "",
        f"The fastest of {named} on each shape, over convlite's time",
        "(geometric mean): above 1 convlite is faster.",
        f"Measured on {context['cpu']}, {context['cores']} cores, {context['isa']}, {context['date'][:10]}.",
    ]
    return "\n".join(lines)


def _facts(data: dict[str, Any], counts: list[int]) -> list[str]:
    context = data["context"]
    peaks = [max(data["machine"][str(count)]["gflops"]) for count in counts]
    peers = [f"{PEERS[peer][1]} {data['versions'][peer]}" for peer in PEERS if peer in data["versions"]]
    return [
        f"{context['cpu']}, {context['cores']} cores, {context['isa']}, FMA peak "
        f"{', '.join(f'{peak:.0f}' for peak in peaks)} GFLOP/s on {', '.join(map(str, counts))} threads; "
        f"{context['compiler']}, `{context['flags']}`; {context['date'][:10]}, `{context['command']}`.",
        f"Versions: {', '.join(peers)}.",
    ]


def _cell(entry: Summary | None) -> str:
    if entry is None:
        return "-"
    limit = "" if entry.family == "tiny" or math.isnan(entry.fraction) else f", {entry.fraction:.0%}"
    ratio = entry.worst.ratio(entry.ours)
    return f"**{entry.ratio:.2f}**, {ratio:.2f} ({entry.worst.title}){limit}"


def rewrite(text: str, lines: str, first: str = BEGIN, last: str = END, gap: str = "\n\n") -> str:
    """The README with the lines between its markers; ValueError if it has none."""
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"the README has no {first} ... {last}")
    return f"{before}{first}{gap}{lines}{gap}{last}{after}"


def arguments(text: str | None, result: Path) -> tuple[Path, Path]:
    """The result and the README that the command line names, `result` and ours by default."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", metavar="RESULT.json", nargs="?", type=Path, default=result)
    parser.add_argument("readme", metavar="README.md", nargs="?", type=Path, default=ROOT / "README.md")
    options = parser.parse_args()
    return options.result, options.readme


def main() -> None:
    """Rewrite the README."""
    result, readme = arguments(__doc__, RESULT)
    lines = front(json.loads(result.read_text(encoding="utf-8")))
    readme.write_text(rewrite(readme.read_text(encoding="utf-8"), lines), encoding="utf-8")


if __name__ == "__main__":
    main()
