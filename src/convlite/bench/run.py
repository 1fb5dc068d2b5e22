"""The command `convlite bench`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .._parser import Parser
from . import conduct, machine, picture, race, report, standings
from .rivals import PEERS, RACERS
from .shape import Shape, load, shipped

__all__ = ["main"]

RIVALS = [peer for peer in PEERS if not peer.startswith("convlite")]
RACE_ROUNDS = 8
FULL = {"rounds": 12, "nanoseconds": 20_000_000}
QUICK = {"rounds": 6, "nanoseconds": 4_000_000}


def main(arguments: Sequence[str]) -> int:
    """Run `convlite bench ARGUMENTS` and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.show:
            sys.stdout.write(_shown(json.loads(options.show.read_text(encoding="utf-8"))))
            return 0
        if options.models or options.networks:
            return _race(options, "convlite bench " + shlex.join(arguments))
        shapes = _shapes(options)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
        data = _measure(options, shapes, "convlite bench " + shlex.join(arguments))
    except BrokenPipeError:  # convlite.cli ends quietly
        raise
    except (OSError, ValueError, RuntimeError) as error:
        print(f"convlite bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("convlite bench: interrupted; nothing was written", file=sys.stderr)
        return 130
    sys.stdout.write(report.table(data))
    if options.out:
        print()
        _store(data, options.out, "convlite-bench", picture.draw)
    return 0


def _race(options: argparse.Namespace, command: str) -> int:
    """Networks: measure, print, and store where --out says so."""
    paths = race.found_in([*options.models, *([options.networks] if options.networks else [])])
    data = _measure_networks(options, paths, command)
    sys.stdout.write(standings.table(data))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        _store(data, options.out, "convlite-networks", standings.draw)
    return 0


def _shown(data: dict[str, Any]) -> str:
    return standings.table(data) if data.get("kind") == "networks" else report.table(data)


def _store(data: dict[str, Any], folder: Path, name: str, draw: Callable[..., str]) -> None:
    """The JSON, and the chart for light and for dark pages: none of layers on a busy machine."""
    written = {f"{name}.json": _json(data)}
    if data.get("kind") == "networks" or report.busy(data) is None:
        written |= {f"{name}.svg": draw(data), f"{name}-dark.svg": draw(data, dark=True)}
    for file, text in written.items():
        (folder / file).write_text(text, encoding="utf-8")
        print(f"wrote {folder / file}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="convlite bench",
        description="Measure convlite against other libraries on this machine, each at its best setting, in "
        "a process of its own, in turn. Every result is checked. With MODEL it measures "
        "whole networks, without it a set of layers. Files are written with --out only.",
        epilog="NAME.inputs.npz beside NAME.onnx holds the arrays that the network is fed, by name; without "
        "it, they are random numbers from a fixed seed. PyTorch takes part if NAME.pt2 (torch.export.save) "
        "is in the same folder, ncnn if pnnx is installed. Libraries that are not installed are skipped and "
        "named; pip install '.[bench]' in a checkout installs them. Run nothing else at the same time.",
    )
    parser.add_argument(
        "models", nargs="*", type=Path, metavar="MODEL", help="networks to measure: files, or folders of them"
    )
    parser.add_argument("--networks", type=Path, metavar="FOLDER", help="a folder of networks to measure")
    parser.add_argument(
        "--seconds",
        type=float,
        default=5.0,
        metavar="S",
        help="seconds of timing for each network and number of threads (default: %(default)g)",
    )
    parser.add_argument(
        "--size", type=_size, metavar="HxW", help="the size of images, if the network does not fix it"
    )
    parser.add_argument("--anyway", action="store_true", help="show ratios on a busy machine too")
    parser.add_argument(
        "--quick", action="store_true", help="measure a few shapes of each kind, in few rounds"
    )
    parser.add_argument("--against", type=_peers, default=RIVALS, metavar="A,B", help=", ".join(RIVALS))
    parser.add_argument(
        "--shapes",
        type=Path,
        metavar="FILE",
        help="a file of shapes, with lines as in convlite/bench/shapes/*.txt",
    )
    parser.add_argument(
        "--threads",
        type=_counts,
        default=[1, 2],
        metavar="1,2",
        help="the numbers of threads to measure with",
    )
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="the number of rounds for each layer or network"
    )
    parser.add_argument(
        "--precision",
        choices=["exact", "fast"],
        default="exact",
        help='layers: "fast" adds convlite under precision("fast"), where it has Winograd tiles',
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the folder to write results and charts to")
    parser.add_argument("--show", type=Path, metavar="JSON", help="print the table of a stored run and exit")
    return parser


def _peers(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in RIVALS:
            raise argparse.ArgumentTypeError(f"no such peer: {name!r}; there are {', '.join(RIVALS)}")
    return [name for name in RIVALS if name in names]


def _counts(text: str) -> list[int]:
    try:
        counts = sorted({int(word) for word in text.split(",")})
    except ValueError:
        counts = [0]
    if counts[0] < 1:
        raise argparse.ArgumentTypeError(f"must be positive integers with commas between; got {text!r}")
    return counts


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"must be HxW, like 224x224; got {text!r}")
    return int(height), int(width)


def _shapes(options: argparse.Namespace) -> list[Shape]:
    shapes = load(options.shapes) if options.shapes else shipped()
    if options.quick and any(shape.quick for shape in shapes):
        shapes = [shape for shape in shapes if shape.quick]
    if not shapes:
        raise ValueError(f"{options.shapes} has no shapes")
    names = [shape.name for shape in shapes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two shapes have the same name: {', '.join(twice)}")
    return shapes


def _measure(options: argparse.Namespace, shapes: list[Shape], command: str) -> dict[str, Any]:
    setting = QUICK if options.quick else FULL
    rounds = options.rounds if options.rounds is not None else setting["rounds"]
    if rounds < 1:
        raise ValueError(f"--rounds must be at least 1; got {rounds}")
    ours = ["convlite", "convlite_fast"] if options.precision == "fast" else ["convlite"]
    begin, watch, own = time.monotonic(), machine.Neighbours(), sum(os.times()[:4])
    with (
        _progress(conduct.steps(len(shapes), rounds)) as (say, step),
        watch.watched(max(options.threads)) as told,
    ):
        found = conduct.measure(
            shapes,
            ours + options.against,
            options.threads,
            rounds,
            setting["nanoseconds"],
            say=say,
            step=step,
        )
        told["cpu"] = sum(os.times()[:4]) - own  # of this process and of the workers, which have ended
    context = machine.describe(command)
    context |= {"precision": options.precision, "rounds": rounds, "seconds": round(time.monotonic() - begin)}
    if options.anyway:
        context["anyway"] = True
    data = {"context": context, "busy": {"all": watch.share()}, **found}
    context["noise"] = {
        str(threads): round(report.noise([row for row in report.rows(data) if row.threads == threads]), 4)
        for threads in options.threads
    }
    return data


def _measure_networks(options: argparse.Namespace, paths: list[Path], command: str) -> dict[str, Any]:
    rounds = options.rounds if options.rounds is not None else RACE_ROUNDS
    if rounds < 1 or not 0 < options.seconds < float("inf"):
        raise ValueError(f"--rounds and --seconds must be above 0; got {rounds} and {options.seconds}")
    against = {"ncnn_wino" if peer == "ncnn" else peer for peer in options.against}
    peers = [peer for peer in RACERS if peer.startswith("convlite") or peer in against]
    begin = time.monotonic()
    with _progress(race.steps(len(paths), len(options.threads), rounds)) as (say, step):
        found = race.measure(
            paths, peers, options.threads, rounds, options.seconds, size=options.size, say=say, step=step
        )
    context = machine.describe(command) | {"rounds": rounds, "seconds": round(time.monotonic() - begin)}
    if options.anyway:
        context["anyway"] = True
    return {"context": context, **found}


def _json(data: dict[str, Any]) -> str:
    """One line for each result: small changes stay small in a diff."""
    head = {key: value for key, value in data.items() if key != "results"}
    lines = ",\n".join(json.dumps(record) for record in data["results"])
    return json.dumps(head, indent=1).removesuffix("\n}") + f',\n "results": [\n{lines}\n ]\n}}\n'


@contextlib.contextmanager
def _progress(total: int) -> Iterator[tuple[conduct.Say, Callable[[str, int], object]]]:
    """Where to tell what is skipped, and that steps are done: a bar, if standard error is a terminal."""
    try:
        from tqdm import tqdm
    except ImportError:
        print("(pip install tqdm for a progress bar)", file=sys.stderr)
        yield (lambda text: print(text, file=sys.stderr, flush=True)), (lambda name, n: None)
        return
    with tqdm(
        total=total, unit="slice", file=sys.stderr, dynamic_ncols=True, disable=None
    ) as bar:  # no terminal: no bar

        def step(name: str, n: int) -> None:
            bar.set_postfix_str(name, refresh=False)
            bar.update(n)

        yield (lambda text: bar.write(text, file=sys.stderr)), step
