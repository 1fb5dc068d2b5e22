"""The tables and figures of the pages: from the table of operations.md, from explain, from the readers'
tables of operators, and from the committed results.

No number of these is typed.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import limits_table
import networks_table
import readme_table

import convlite.network.load.keras.layers
import convlite.network.load.keras.operations
import convlite.network.load.keras.recurrent
import convlite.network.load.onnx.operators
import convlite.network.load.tflite.operators  # noqa: F401, these register what they read
from convlite._equivalents import equivalents
from convlite.bench import picture
from convlite.bench.report import rows, summary
from convlite.bench.rivals import PEERS
from convlite.explain import resolve
from convlite.network.load.keras.call import LAYERS
from convlite.network.load.onnx import NEWEST, OLDEST
from convlite.network.load.onnx import OPERATORS as ONNX
from convlite.network.load.tflite import OPERATORS as TFLITE

ROOT = Path(__file__).parents[1]
FRAMEWORKS = ("TensorFlow", "Keras 3", "PyTorch", "ONNX")

# The calls that the pages "Coming from ..." show.
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "conv": (("conv2d", (1, 224, 224, 3), (7, 7, 3, 64)), {"strides": 2, "padding": "same"}),
    "transpose": (("conv2d_transpose", (1, 7, 7, 64), (3, 3, 32, 64)), {"strides": 2, "padding": "same"}),
    "depthwise": (("depthwise_conv2d", (1, 56, 56, 24), (3, 3, 24, 1)), {"padding": "same"}),
    "dense": (("dense", (8, 512), (512, 10)), {}),
}


def results() -> dict[str, Any]:
    """The committed result of `convlite bench`."""
    data: dict[str, Any] = json.loads((ROOT / "bench" / "results" / "convlite-bench.json").read_text("utf-8"))
    return data


def figures() -> dict[str, str]:
    """What the pages' texts quote, by name: `ratio_transposed_1` is a family's ratio on one thread."""
    data = results()
    context = data["context"]
    peers = {name.partition("_")[0] for name in data["versions"]} - {"reference", "machine", "convlite"}
    said = {
        "cpu": context["cpu"],
        "measured_on": context["date"][:10],
        "measured_with": f"`{context['command'].partition(' --out')[0]}`",
        "peers": str(len(peers)),
        "shapes": str(len({record["name"] for record in data["results"]})),
    }
    for entry in summary(rows(data)):
        name = f"{re.sub('[^a-z0-9]+', '_', entry.family)}_{entry.threads}"
        name += "_fast" if entry.ours != "convlite" else ""
        said[f"ratio_{name}"] = f"{entry.ratio:.2f}"
        said[f"limit_{name}"] = f"{entry.fraction:.0%}"
        said[f"count_{name}"] = str(entry.shapes)
        said[f"won_{name}"] = str(entry.won)
        said[f"worst_{name}"] = f"{entry.worst.ratio(entry.ours):.2f}"
    return said


def operations(framework: str) -> str:
    """The table of operations.md from one framework's side, then the differences that it refers to: that
    page's words, and the example that differences.md has for each.
    """
    text = (
        (ROOT / "docs" / "operations.md")
        .read_text("utf-8")
        .partition("\n## Operations\n")[2]
        .partition("\n## ")[0]
    )
    head, _, *body = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| "))
    column = head.index(framework)
    told = dict(re.findall(r"^(\d+)\. (.*(?:\n   .*)*)", text.partition("\nDifferences:\n")[2], re.MULTILINE))
    differences = (ROOT / "docs" / "coming-from" / "differences.md").read_text("utf-8")
    pieces = re.split(r"^## (\d+)\n", differences, flags=re.MULTILINE)
    examples = dict(zip(pieces[1::2], pieces[2::2], strict=True))

    out = [f"| {framework} | convlite |", "| --- | --- |"]
    used: list[str] = []
    for row in body:
        notes = re.findall(r"\[(\d+)\]", row[column])
        used += [note for note in notes if note not in used]
        name = re.sub(r" \[\d+\]", "", row[column])
        if name != "none":
            marks = "".join(f" [{used.index(note) + 1}]" for note in notes)
            ours = re.sub(r"`(\w+)`", r"{py:func}`~convlite.\1`", row[0])
            out.append(f"| {name}{marks} | {ours} |")
    out += ["", "## The differences", ""] if used else []
    for number, note in enumerate(used, 1):
        out += [f"**{number}.** {' '.join(told[note].split())}", "", examples[note].strip(), ""]
    return "\n".join(out) + "\n"


def call(name: str, framework: str) -> str:
    """A call of CALLS in convlite and in a framework, as `convlite.explain` prints it."""
    (operation, x, kernel), options = CALLS[name]
    resolved = resolve(operation, x, kernel, **options)
    (found,) = [one for one in equivalents(resolved) if one.framework == framework]
    arguments = "".join(f", {key}={value!r}" for key, value in options.items())
    arguments = arguments.replace("'", '"')
    code = [f"# x {x}, kernel {kernel}, y {resolved.out}"]
    code += [f"y = cl.{operation}(x, kernel{arguments})", "", f"# {framework}", *found.code]
    notes = [f"- {note}" for note in found.notes]
    return "\n".join(["```python", *code, "```", "", *notes, ""])


def supported_onnx() -> str:
    """The table of ONNX's operators that are read, by domain and name, with the versions of their set."""
    out = [
        f"{len(ONNX)} operators. Of ONNX's own domain, versions {OLDEST} to {NEWEST} of the operator set",
        f'are read; {OLDEST} under "since" means that or older.',
        "",
        "| operator | domain | since | until |",
        "| --- | --- | --- | --- |",
    ]
    for (domain, name), one in sorted(ONNX.items()):
        until = "" if one.until == float("inf") else f"{one.until:.0f}"
        out.append(f"| `{name}` | {domain or 'ai.onnx'} | {one.since} | {until} |")
    return "\n".join(out) + "\n"


def supported_names(names: Iterable[str], what: str) -> str:
    """A sentence that counts, and the names in alphabetical order."""
    listed = sorted(names)
    assert listed, f"no {what} are registered"
    return f"{len(listed)} {what}: {', '.join(f'`{name}`' for name in listed)}.\n"


def every_shape(data: dict[str, Any]) -> str:
    """A table for each number of threads: convlite and the fastest other library on each shape."""
    out: list[str] = []
    found = [row for row in rows(data) if row.ratio() == row.ratio()]  # measured on both sides
    for threads in sorted({row.threads for row in found}):
        out += [f"### {threads} thread{'s' if threads > 1 else ''}", ""]
        out += [
            "| shape | convlite, us | fastest other | its us | ratio |",
            "| --- | ---: | --- | ---: | ---: |",
        ]
        for row in found:
            if row.threads == threads:
                name, best = row.title or row.name, row.rivals()[0]
                other = PEERS[best][1].partition(",")[0]
                times = f"{row.us['convlite']:,.1f} | {other} | {row.us[best]:,.1f}"
                out.append(f"| {name} | {times} | {row.ratio():.2f} |")
        out.append("")
    return "\n".join(out)


def write(directory: Path) -> None:
    """Write every table as Markdown."""
    data = results()
    made = {"speed.md": readme_table.block(data), "every-shape.md": every_shape(data)}
    made |= {"speed.svg": picture.draw(data), "speed-dark.svg": picture.draw(data, dark=True)}
    made |= networks_table.pages() | limits_table.pages()
    made["supported-onnx.md"] = supported_onnx()
    made["supported-tflite.md"] = supported_names(TFLITE, "operators")
    made["supported-keras.md"] = supported_names(LAYERS, "layers and operations (`ops.`)")
    for framework in FRAMEWORKS:
        short = framework.split()[0].lower()
        made[f"operations-{short}.md"] = operations(framework)
        made |= {f"{name}-{short}.md": call(name, framework) for name in CALLS}
    for name, text in made.items():
        path = directory / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, encoding="utf-8")
