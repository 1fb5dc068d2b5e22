"""What an installed runtime costs before it computes: bytes on disk, seconds to import, memory. Writes
results/footprint.json, and the README's table from it.

python bench/footprint.py          measure, each package in a fresh virtual environment; downloads about 1 GB
python bench/footprint.py --show   write the table from the committed result
python bench/footprint.py FOLDER   keep the environments there, and use those of an earlier run

Size: the files that `pip install` adds to an environment that has NumPy, bytecode included. Import: the
fastest of ROUNDS processes that import NumPy first and then the package, the packages in turn. Memory: what
that import adds to the resident set, the least of them. Linux only, since /proc tells the memory.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import venv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench" / "results" / "footprint.json"
BEGIN, END = "<!-- footprint: bench/footprint.py -->", "<!-- end of footprint -->"
ROUNDS = 8
# What pip is given, what is imported, and the name that readers know.
PACKAGES = {
    "convlite": (str(ROOT), "convlite, convlite.network", "convlite"),
    "onnxruntime": ("onnxruntime", "onnxruntime", "ONNX Runtime"),
    "openvino": ("openvino", "openvino", "OpenVINO"),
    "litert": ("ai-edge-litert", "ai_edge_litert.interpreter", "LiteRT"),
    "torch": ("torch==2.13.0", "torch", "PyTorch (CPU build)"),
}
PROBE = """
import numpy, time
def resident():
    return int(open("/proc/self/statm").read().split()[1])
before, start = resident(), time.perf_counter()
import {module}
print(time.perf_counter() - start, resident() - before)
"""


def size(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def install(folder: Path, what: str) -> tuple[Path, int]:
    """A virtual environment with NumPy, then with the package: its Python, and the bytes that came last."""
    python, noted = folder / "bin" / "python", folder / "bytes"
    if noted.exists():
        return python, int(noted.read_text())
    venv.create(folder, with_pip=True)

    def pip(*arguments: str) -> None:
        subprocess.run([python, "-m", "pip", "install", "-q", *arguments], check=True, stdout=sys.stderr)

    pip("numpy")
    before = size(folder)
    pip(what)
    grown = size(folder) - before
    noted.write_text(str(grown))
    return python, grown


def measure(kept: str | None) -> dict[str, Any]:
    """Install every package, then import them in turn."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        pythons = {}
        for name, (what, _, title) in PACKAGES.items():
            pythons[name], grown = install(Path(kept or scratch, name), what)
            code = f"from importlib.metadata import version; print(version({what.partition('==')[0]!r}))"
            if name == "convlite":
                code = "import convlite; print(convlite.__version__)"
            told = subprocess.run([pythons[name], "-c", code], check=True, capture_output=True, text=True)
            found[name] = {"title": title, "version": told.stdout.strip(), "bytes": grown}
        times: dict[str, list[tuple[float, int]]] = {name: [] for name in PACKAGES}
        for _ in range(ROUNDS):
            for name, (_, module, _) in PACKAGES.items():
                command = [pythons[name], "-c", PROBE.format(module=module)]
                told = subprocess.run(command, check=True, capture_output=True, text=True)
                seconds, pages = told.stdout.split()
                times[name].append((float(seconds), int(pages)))
        for name, rounds in times.items():
            found[name]["import_seconds"] = min(seconds for seconds, _ in rounds)
            found[name]["resident_bytes"] = min(pages for _, pages in rounds) * 4096
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "cpu": next(line.partition(":")[2].strip() for line in lines if "model name" in line),
        "python": platform.python_version(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "packages": found,
    }


def table(data: dict[str, Any]) -> str:
    """The README's lines."""
    lines = ["| beside NumPy | installed | import | memory |", "| --- | ---: | ---: | ---: |"]
    for one in data["packages"].values():
        bold = "**" if one["title"] == "convlite" else ""
        cells = [
            f"{one['title']} {one['version']}",
            f"{one['bytes'] / 1e6:.1f} MB" if one["bytes"] < 1e7 else f"{one['bytes'] / 1e6:.0f} MB",
            f"{one['import_seconds'] * 1e3:.0f} ms",
            f"{one['resident_bytes'] / 1e6:.0f} MB",
        ]
        lines.append("| " + " | ".join(f"{bold}{cell}{bold}" for cell in cells) + " |")
    said = f"Measured by `bench/footprint.py`, {data['date']}, CPython {data['python']}, {data['cpu']}."
    return "\n".join([*lines, "", said])


def main() -> None:
    """Measure unless `--show` is given, and rewrite the README's table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", action="store_true", help="measure nothing")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="keep the environments there")
    options = parser.parse_args()
    if not options.show:
        found = json.dumps(measure(options.folder), indent=1)
        RESULT.write_text(found + "\n", encoding="utf-8")
    readme = ROOT / "README.md"
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no {BEGIN} ... {END}")
    lines = table(json.loads(RESULT.read_text(encoding="utf-8")))
    readme.write_text(f"{before}{BEGIN}\n\n{lines}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
