"""`convlite run`: a network on pictures, arrays or a folder of them."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import re
import sys
import time
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ..._parser import Parser
from ..._progress import reporting
from ..graph import Array, described_shape
from ..load import load
from ..network import Network
from ..summary import aligned
from .common import add_layout, add_model, ending_well, one_line, positive, size_in
from .pictures import ARRAYS, Preparation, fitting_size, inputs_of, random_inputs, save_picture

__all__ = ["main"]

_EPILOG = """\
A picture becomes (pixel * scale - mean) / std, resized to the height and width that the network wants
without keeping their ratio; in a network with free sizes it keeps its own. Without INPUT the network runs on
random numbers, to time it. One output that is a vector is shown as the classes with the largest values, other
outputs by their shapes; nothing is written without --out or a FILE for --profile. A run over a folder with
--out DIR may be stopped and called again: what has its file there is not computed twice. An input that cannot
be read is reported, and the others go on. Pictures need the package Pillow: pip install pillow."""

Outputs = dict[str, Array]
_ENDINGS = (*ARRAYS, ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")  # taken from folders


def main(arguments: Sequence[str]) -> int:
    """Run `convlite run` with these arguments; returns 0, or 1 after a line on stderr for each failure."""
    options = _parser().parse_args(arguments)
    return ending_well("run", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="convlite run",
        description="Run a network on pictures, .npy and .npz files, or folders of them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model(parser)
    add = parser.add_argument
    add("inputs", nargs="*", type=pathlib.Path, metavar="INPUT", help="a picture, .npy, .npz or a folder")
    add(
        "--size",
        type=size_in,
        metavar="HxW",
        help="the height and width of images, if the network does not fix them",
    )
    add("--mean", type=_numbers, metavar="A,B,C", help="a number to subtract from each channel (default: 0)")
    add("--std", type=_numbers, metavar="A,B,C", help="a number to divide each channel by (default: 1)")
    add(
        "--scale",
        type=_scale,
        metavar="S",
        help="a factor for pixels (default: 1/255 if the network takes floats, 1 if it takes integers)",
    )
    add_layout(parser)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--top", type=positive, metavar="N", help="the number of classes to show (default: 5)")
    shown.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FILE|DIR",
        help="where to write: FILE.npz gets all outputs; FILE.png the output as a picture (FILE-NAME.png for "
        "each of several inputs); a folder gets INPUT.npz for each input, and an input whose file is there "
        "is skipped",
    )
    add("--format", choices=["npz", "png"], help="the format of the files in --out DIR (default: npz)")
    add(
        "--labels",
        type=pathlib.Path,
        metavar="FILE",
        help="a file with the names of the classes, one on each line",
    )
    add(
        "--profile",
        nargs="?",
        const="",
        metavar="FILE",
        help="print the time of each node and kind for the first input; FILE.json: a trace for "
        "chrome://tracing; FILE.png, .svg: a chart (needs matplotlib)",
    )
    add(
        "--workers",
        type=positive,
        default=2,
        metavar="N",
        help="the number of inputs to read at the same time (default: 2)",
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    how = Preparation(options.size, options.scale, options.mean, options.std)
    out = options.out
    folder = out is not None and (out.is_dir() or not out.suffix)
    if out is not None and not folder and out.suffix.lower() not in (".npz", ".png"):
        raise ValueError(f"--out must end in .npz or .png, or be a folder; got {str(out)!r}")
    if options.format is not None and not folder:
        raise ValueError("--format goes with --out DIR")
    profile = options.profile
    if profile and pathlib.Path(profile).suffix.lower() not in (".json", ".png", ".svg", ".pdf"):
        raise ValueError(f"--profile takes a file that ends in .json, .png, .svg or .pdf; got {profile!r}")
    labels = None if options.labels is None else _names_in(options.labels)
    net = load(options.model, options.layout)
    if not options.inputs:
        return _timed(net, how, options)
    paths, several = _listed(options.inputs)
    show = _Show(options.top, labels, several)
    failures, begin = 0, time.perf_counter()
    files = _Folder(out, options.format or "npz", paths) if folder else None
    skipped = 0 if files is None else len(paths) - len(files.waiting)
    paths = paths if files is None else files.waiting
    bar = several and out is not None and sys.stderr.isatty()  # what is shown says itself how far it is
    scale = how.scale_for(net.inputs[0].dtype) if net.inputs else 1.0
    writer = _writer(out, several, scale) if files is None else files.writing(scale)
    with writer as write, reporting(bar, len(paths), net.name) as report:
        for number, (path, outcome) in enumerate(_outcomes(paths, net, how, options.workers)):
            try:
                arrays = _read(outcome)
                outputs = _called(net, arrays, path.suffix.lower() not in ARRAYS)
                if profile is not None:
                    _profiled(net, arrays, profile)
                    profile = None
                if write is not None:
                    write(path, outputs)
                else:
                    show(path, outputs)
            except BrokenPipeError:
                raise
            except (ValueError, TypeError, OSError, MemoryError, zipfile.BadZipFile) as error:
                failures += 1
                clear = "\r\x1b[K" if bar else ""  # the bar has a line of its own
                text = one_line(error).removeprefix(f"{path}: ")
                print(f"{clear}convlite run: {path}: {text}", file=sys.stderr)
            report(number + 1)
    if files is not None:
        seconds = time.perf_counter() - begin
        done = len(paths) - failures
        rate = f", {done / seconds:.1f} a second" if done else ""
        print(f"{done} done, {skipped} skipped, {failures} failed in {seconds:.1f} s{rate}: {out}")
    return 1 if failures else 0


def _read(outcome: Future[dict[str, Array]]) -> dict[str, Array]:
    """The inputs; ValueError whatever a broken file makes its reader raise."""
    try:
        return outcome.result()
    except (ValueError, TypeError, OSError, MemoryError, ImportError, zipfile.BadZipFile):
        raise
    except Exception as error:
        raise ValueError(f"it cannot be read: {error!r}") from error


class _Folder:
    """--out DIR: a file for each input; those that have theirs wait no more.

    Inputs of the same name in several folders get their folders' names, too.
    """

    def __init__(self, folder: pathlib.Path, ending: str, paths: Sequence[pathlib.Path]) -> None:
        names = Counter(path.name for path in paths)
        self.targets = {
            path: folder / (
                f"{path.name if names[path.name] == 1 else '-'.join(path.parts[-2:])}.{ending}"
            )
            for path in paths
        }  # fmt: skip
        twice = [path for path, count in Counter(self.targets.values()).items() if count > 1]
        if twice:
            raise ValueError(f"two inputs would be written to {twice[0]}: run them one after the other")
        self.folder, self.ending = folder, ending
        self.waiting = [path for path in paths if not self.targets[path].exists()]

    @contextlib.contextmanager
    def writing(self, scale: float) -> Iterator[Callable[[pathlib.Path, Outputs], None]]:
        """What writes the outputs of one input: whole files only."""
        self.folder.mkdir(parents=True, exist_ok=True)

        def write(path: pathlib.Path, outputs: Outputs) -> None:
            target = self.targets[path]
            part = target.with_name(f".{target.name}.part.{self.ending}")
            try:
                if self.ending == "png":
                    save_picture(part, outputs, scale)
                else:
                    with zipfile.ZipFile(part, "w", allowZip64=True) as archive:
                        _add(archive, outputs)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)

        yield write


def _add(archive: zipfile.ZipFile, outputs: Outputs) -> None:
    """Arrays under their own names, as in a .npz file."""
    for name, array in outputs.items():
        with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array(file, array, allow_pickle=False)


def _names_in(path: pathlib.Path) -> list[str]:
    """The lines of a file, without empty ones at its end."""
    try:
        return path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"--labels must be a text file in UTF-8; {path} is not") from None


def _listed(given: Sequence[pathlib.Path]) -> tuple[list[pathlib.Path], bool]:
    """(the files, sorted within a folder; whether there may be several)."""
    paths: list[pathlib.Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in _ENDINGS)
            if not inside:
                raise ValueError(f"the folder {path} has no file that ends in {', '.join(_ENDINGS)}")
            paths += inside
        else:
            paths.append(path)
    return paths, len(given) > 1 or given[0].is_dir()


def _outcomes(
    paths: Sequence[pathlib.Path], net: Network, how: Preparation, workers: int
) -> Iterator[tuple[pathlib.Path, Future[dict[str, Array]]]]:
    """Each file with its inputs, read ahead by a few files."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[pathlib.Path, Future[dict[str, Array]]]] = deque()
        try:
            for path in paths:
                waiting.append((path, pool.submit(inputs_of, path, net, how)))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for _, future in waiting:
                future.cancel()


def _called(net: Network, arrays: dict[str, Array], sized: bool = True) -> Outputs:
    """The outputs by name; sized: whether --size could give the images another size."""
    try:
        outputs = net(*(arrays[value.name] for value in net.inputs))
    except ValueError as error:
        found = re.search(r"multiples of (\d+)", str(error))
        if found is None or not sized or len(net.inputs) != 1:
            raise
        size = fitting_size(net.inputs[0], next(iter(arrays.values())).shape, int(found[1]))
        raise ValueError(f"give --size {size}, or {error}" if size else str(error)) from None
    if len(net.outputs) == 1:
        outputs = (outputs,)
    return {value.name: output for value, output in zip(net.outputs, outputs, strict=True)}


@contextlib.contextmanager
def _writer(
    out: pathlib.Path | None, several: bool, scale: float
) -> Iterator[Callable[[pathlib.Path, Outputs], None] | None]:
    """What writes the outputs of one input; None without --out."""
    if out is None:
        yield None
        return
    if out.suffix.lower() == ".png":
        yield lambda path, outputs: save_picture(
            out.with_name(f"{out.stem}-{path.stem}{out.suffix}") if several else out, outputs, scale
        )
        return
    part = out.with_name(f".{out.name}.part")
    taken: set[str] = set()
    try:
        with zipfile.ZipFile(part, "w", allowZip64=True) as archive:

            def add(path: pathlib.Path, outputs: Outputs) -> None:
                for name, array in outputs.items():
                    member = f"{path.name}/{name}" if several else name
                    if member in taken:
                        member = f"{path}/{name}"
                    taken.add(member)
                    with archive.open(f"{member}.npy", "w", force_zip64=True) as file:
                        np.lib.format.write_array(file, array, allow_pickle=False)

            yield add
        if taken:
            part.replace(out)
    finally:
        part.unlink(missing_ok=True)


class _Show:
    """Prints the outputs of one input after another."""

    def __init__(self, top: int | None, labels: list[str] | None, several: bool) -> None:
        self.top, self.labels, self.several = top, labels, several

    def __call__(self, path: pathlib.Path, outputs: Outputs) -> None:
        if self.several:
            print(path)
        first = next(iter(outputs.values()))
        vector = first.size > 1 and max(first.shape, default=0) == first.size and first.dtype.kind in "iuf"
        if len(outputs) == 1 and vector:
            print("\n".join(self._classes(first.ravel())))
        elif self.top is not None or self.labels is not None:
            option = "--labels" if self.top is None else "--top"
            raise ValueError(
                f"{option} needs one output that is a vector; write the outputs with --out FILE.npz"
            )
        else:
            print("\n".join(_told(outputs)))

    def _classes(self, values: Array) -> list[str]:
        if self.labels is not None and len(self.labels) != values.size:
            raise ValueError(
                f"--labels must name each of the {values.size} classes, one on a line in their order; "
                f"it names {len(self.labels)}"
            )
        best = np.argsort(-values.astype(np.float64), kind="stable")[: self.top or 5]
        cells = [("Class", "Value", "Label")] if self.labels is not None else [("Class", "Value")]
        for place in best.tolist():
            row = (str(place), f"{values[place]:.6g}")
            if self.labels is not None:
                row = (*row, self.labels[place])  # type: ignore[assignment]
            cells.append(row)  # type: ignore[arg-type]
        return aligned(cells, "><<"[: len(cells[0])])


def _told(outputs: Outputs) -> list[str]:
    cells = [("Output", "Type", "Shape", "Smallest", "Mean", "Largest")]
    for name, array in outputs.items():
        if array.size and array.dtype.kind in "iufb":
            numbers = [f"{float(number):.6g}" for number in (array.min(), array.mean(), array.max())]
        else:
            numbers = [""] * 3
        cells.append((name, str(array.dtype), described_shape(array.shape), *numbers))  # type: ignore[arg-type]
    return aligned(cells, "<<<>>>")


def _timed(net: Network, how: Preparation, options: argparse.Namespace) -> int:
    """Run on random numbers: the first call, then the median of what two seconds hold."""
    arrays = random_inputs(net, how.size)
    begin = time.perf_counter()
    outputs = _called(net, arrays)
    first = time.perf_counter() - begin
    times: list[float] = []
    while len(times) < 3 or (sum(times) < 2 and len(times) < 100):
        begin = time.perf_counter()
        _called(net, arrays)
        times.append(time.perf_counter() - begin)
    for name, array in arrays.items():
        print(f"random input {name}: {array.dtype}{described_shape(array.shape)}")
    print("\n".join(_told(outputs)))
    middle = sorted(times)[len(times) // 2]
    print(f"first call {1e3 * first:.2f} ms, then {1e3 * middle:.2f} ms (median of {len(times)})")
    if options.out is not None:
        scale = how.scale_for(net.inputs[0].dtype) if net.inputs else 1.0
        with _writer(options.out, False, scale) as write:
            assert write is not None
            write(pathlib.Path("random"), outputs)
    if options.profile is not None:
        _profiled(net, arrays, options.profile)
    return 0


def _profiled(net: Network, arrays: dict[str, Array], file: str) -> None:
    found = net.profile(*(arrays[value.name] for value in net.inputs))
    print(found)
    if not file:
        return
    if pathlib.Path(file).suffix.lower() == ".json":
        found.trace(file)
    else:
        found.chart(file)
    print(f"wrote {file}")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not np.isfinite(numbers).all():
        raise argparse.ArgumentTypeError(f"must be numbers with commas between, received {text!r}")
    return numbers


def _scale(text: str) -> float:
    numbers: Any = _numbers(text)
    if len(numbers) != 1 or numbers[0] == 0:
        raise argparse.ArgumentTypeError(f"must be one number that is not 0, received {text!r}")
    return float(numbers[0])
