"""Write the README's lines about whole networks between its markers, and the charts beside the result.

`pages` is what docs/speed.md includes.

python bench/networks_table.py [RESULT.json] [README.md]
"""

import json
from pathlib import Path
from typing import Any

from readme_table import arguments, rewrite

from convlite.bench import standings
from convlite.bench.report import OURS, geomean
from convlite.bench.rivals import RACERS
from convlite.bench.standings import Standing, names

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench" / "results" / "convlite-networks.json"
HELD_OUT = ROOT / "bench" / "results" / "convlite-held-out.json"  # networks that nothing was tuned on
AVX2 = ROOT / "bench" / "results" / "convlite-networks-avx2.json"  # on a processor without AVX-512
SECOND = ROOT / "bench" / "results" / "convlite-networks-2.json"  # an earlier race on another processor
BEGIN, END = "<!-- networks: bench/networks_table.py -->", "<!-- end of networks -->"
FIRST, LAST = "<!-- fast: bench/networks_table.py -->", "<!-- end of fast -->"  # within one line
FEWER_PRODUCTS = "ncnn_wino"  # runs Winograd's form, as convlite's "fast" does
ALT = "A bar for each network: how many times faster than the fastest other runtime, which is named."


def ratios(found: list[Standing], ours: str) -> dict[str, float]:
    """The ratios of the networks that convlite and a peer ran, by name."""
    return {row.name: row.ratio(ours) for row in found if row.best and ours in row.ms}


def unlike_fast(found: list[Standing]) -> dict[str, float]:
    """The ratios of "exact" to the fastest of those that have no form with fewer products, by name."""
    ours, others = OURS[0], {}
    for row in found:
        direct = [ms for peer, ms in row.ms.items() if peer not in (*OURS, FEWER_PRODUCTS)]
        if direct and ours in row.ms:
            others[row.name] = min(direct) / row.ms[ours]
    return others


def _won(quotients: dict[str, float]) -> str:
    return f"{sum(quotient >= 1 for quotient in quotients.values())} of {len(quotients)}"


def sentences(data: dict[str, Any]) -> list[str]:
    """A line for each number of threads: means and counts; ValueError for a busy machine's result."""
    if warning := standings.busy(data):
        raise ValueError(warning)
    found, lines = standings.standings(data), []
    for threads in sorted({row.threads for row in found}):
        mine = [row for row in found if row.threads == threads]
        exact, fast = (ratios(mine, ours) for ours in OURS)
        direct = unlike_fast(mine)
        lines.append(
            f"- {threads} thread{'s' if threads > 1 else ''}: **{geomean(fast.values()):.2f}** times the "
            f'fastest other runtime of each network with `precision("fast")` (geometric mean), ahead on '
            f'{_won(fast)}; **{geomean(exact.values()):.2f}** with "exact", ahead on {_won(exact)} '
            f"({geomean(direct.values()):.2f} and {_won(direct)} against all but ncnn, which runs Winograd's "
            "form, too)."
        )
    return lines


def headline(data: dict[str, Any]) -> str:
    """The README's first sentence about speed, of one thread."""
    rows = [row for row in standings.standings(data) if row.threads == 1]
    exact, fast = (ratios(rows, ours) for ours in OURS)
    return (
        f"On one thread, {len(fast)} networks run at **{geomean(fast.values()):.2f}** times the speed of the "
        f'fastest other runtime of each with `precision("fast")`, at **{geomean(exact.values()):.2f}** times '
        f"with the default (geometric means): [Speed](#speed)."
    )


def written(readme: str, data: dict[str, Any]) -> str:
    """The README with the sentence and the lines of a result."""
    return rewrite(rewrite(readme, front(data), BEGIN, END), headline(data), FIRST, LAST, gap="")


def measured(data: dict[str, Any]) -> str:
    """Where, when, against what."""
    context = data["context"]
    given = "--networks" if "--networks" in context["command"] else "NETWORK"
    return (
        f"`convlite bench {given}`, {context['date'][:10]}, {context['cpu'].partition(' (family')[0]}, "
        f"{context['cores']} cores, {context['isa']}, float32. {standings.versions(data)}."
    )


def front(data: dict[str, Any]) -> str:
    """The README's lines. The chart is on the page, which has it for both themes."""
    chart = "- [A bar for each network](docs/speed.md), also where it is slower, and on another processor."
    return "\n".join([*sentences(data), chart, f"- Measured by {measured(data)}"])


def table(data: dict[str, Any], threads: int) -> str:
    """Milliseconds by runtime, the best other one's in bold, and the ratios, a row for each network."""
    mine = [row for row in standings.standings(data) if row.threads == threads]
    columns = [peer for peer in RACERS if any(peer in row.ms for row in mine)]
    heads = [{"convlite": '"exact"', "convlite_fast": '"fast"'}.get(peer, names(peer)) for peer in columns]
    lines = ["| network | " + " | ".join(heads) + ' | ratio, "exact" | "fast" |']
    lines.append("| --- |" + " ---: |" * (len(columns) + 2))
    for row in mine:
        cells = []
        for peer in columns:
            ms = row.ms.get(peer)
            cell = "-" if ms is None else f"{ms:.0f}" if ms >= 100 else f"{ms:.3g}"
            cells.append(f"**{cell}**" if peer == row.best else cell)
        quotients = [f"{row.ratio(ours):.2f}" if row.best and ours in row.ms else "-" for ours in OURS]
        lines.append(f"| {row.name} | " + " | ".join([*cells, *quotients]) + " |")
    return "\n".join(lines)


def costs(data: dict[str, Any]) -> str:
    """Load, first call and memory on one thread, against ONNX Runtime's; two threads over one."""
    found = {(row.name, row.threads): row for row in standings.standings(data)}
    first = min(threads for _, threads in found)
    lines = [
        "| network | load, ms | session, ms | first call | memory, MB | ONNX Runtime, MB | 2 threads over 1 |"
    ]
    lines.append("| --- |" + " ---: |" * 6)
    for (name, threads), row in found.items():
        own, ort, two = row.peers.get("convlite"), row.peers.get("ort"), found.get((name, 2))
        if threads != first or own is None:
            continue
        gain = f"{row.ms['convlite_fast'] / two.ms['convlite_fast']:.2f}" if two and first == 1 else "-"
        cells = [f"{own['load_ms']:.0f}", f"{ort['load_ms']:.0f}" if ort else "-", f"{row.first:.1f}"]
        cells += [f"{own['resident'] / 1e6:.0f}", f"{ort['resident'] / 1e6:.0f}" if ort else "-", gain]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def left_out(data: dict[str, Any]) -> str:
    """What could not race, once for each network and runtime."""
    told: dict[tuple[str, str], str] = {}
    for row in standings.standings(data):
        for peer, why in row.refused.items():
            told.setdefault((row.name, names(peer)), why)
    lines = [f"- {name}, {peer}: {why.strip().rstrip('.')}." for (name, peer), why in told.items()]
    return "\n".join(["Left out:", "", *lines]) if lines else ""


def block(data: dict[str, Any]) -> str:
    """docs/speed.md's part."""
    lines = [measured(data), "", *sentences(data), ""]
    for kind, alt in (("light", ALT), ("dark", "The same bars for dark pages.")):
        file = "networks.svg" if kind == "light" else "networks-dark.svg"
        lines += [f"```{{image}} _generated/{file}", f":alt: {alt}", f":class: only-{kind}", "```", ""]
    for threads in sorted({row.threads for row in standings.standings(data)}):
        title = f"{threads} thread{'s' if threads > 1 else ''}"
        lines += [
            f"Milliseconds of the fastest call, {title}; the best other runtime's, in bold, over convlite's:",
            "",
        ]
        lines += [table(data, threads), ""]
    lines += [
        "What `convlite.load` takes beside what ONNX Runtime takes to make a session of the same file,",
        'the first call in calls, and the memory of the whole process; one thread, "exact".',
        "",
        costs(data),
        "",
        left_out(data),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def beside(data: dict[str, Any]) -> str:
    """The tables of a race that is not in the chart."""
    found, others = standings.standings(data), max(data["busy"].values())
    lines = [measured(data), "", *sentences(data), ""]
    lines += [f"Other processes took up to {others:.0%} of the processors meanwhile.", ""]
    for threads in sorted({row.threads for row in found}):
        lines += [f"{threads} thread{'s' if threads > 1 else ''}, as above:", "", table(data, threads), ""]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """The files that docs/speed.md includes."""
    made = {}
    files = {"held-out.md": HELD_OUT, "second-processor.md": SECOND, "avx2-processor.md": AVX2}
    for name, file in files.items():
        found = beside(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else ""
        made[name] = found or "No result is committed yet.\n"
    if not RESULT.exists():
        return made | {"networks.md": "The race of whole networks has no committed result yet.\n"}
    data = json.loads(RESULT.read_text(encoding="utf-8"))
    return made | {
        "networks.md": block(data),
        "networks.svg": standings.draw(data),
        "networks-dark.svg": standings.draw(data, dark=True),
    }


def main() -> None:
    """Rewrite the README, and draw the charts anew."""
    result, readme = arguments(__doc__, RESULT)
    data = json.loads(result.read_text(encoding="utf-8"))
    text = written(readme.read_text(encoding="utf-8"), data)
    result.with_suffix(".svg").write_text(standings.draw(data), encoding="utf-8")
    result.with_name(f"{result.stem}-dark.svg").write_text(standings.draw(data, dark=True), encoding="utf-8")
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
