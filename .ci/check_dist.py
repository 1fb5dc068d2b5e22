"""Check what `python -m build` made: the sdist holds the sources, the wheel only what runs.

Usage: python .ci/check_dist.py DIRECTORY
"""

import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL_LIMIT = 1_500_000  # bytes, the project's promise
RUNS = {".py", ".pyi", ".so", ".pyd"}


def check(directory: Path) -> None:
    """Raise SystemExit that names what is missing from, or too much in, the two archives."""
    (sdist,) = directory.glob("*.tar.gz")
    (wheel,) = directory.glob("*.whl")
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}

    needed = {"setup.py", "pyproject.toml", "LICENSE", "README.md", "src/convlite/kernels/_kernels.pyx"}
    if missing := sorted(needed - sources):
        raise SystemExit(f"{sdist.name} lacks {', '.join(missing)}")
    if "src/convlite/kernels/_kernels.c" in sources:
        raise SystemExit(f"{sdist.name} carries the generated _kernels.c")

    shapes = {name for name in files if name.startswith("convlite/bench/shapes/") and name.endswith(".txt")}
    extra = {name for name in files if Path(name).suffix not in RUNS} - shapes
    if extra != {"convlite/VERSION", "convlite/py.typed"}:
        raise SystemExit(f"{wheel.name}: beside Python files it holds {sorted(extra)}")
    if not shapes:
        raise SystemExit(f"{wheel.name} lacks the shapes of `convlite bench`")
    if not any(name.startswith("convlite/_kernels.") and name.endswith(".so") for name in files):
        raise SystemExit(f"{wheel.name} has no compiled module")
    if not any(name.endswith(".pyi") for name in files):
        raise SystemExit(f"{wheel.name} has no stubs")
    if wheel.stat().st_size > WHEEL_LIMIT:
        raise SystemExit(f"{wheel.name} has {wheel.stat().st_size} bytes, more than {WHEEL_LIMIT}")
    print(f"{sdist.name}: {len(sources)} entries")
    print(f"{wheel.name}: {len(files)} files, {wheel.stat().st_size} bytes")


if __name__ == "__main__":
    check(Path(sys.argv[1]))
