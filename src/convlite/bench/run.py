"""The command `convlite bench`."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from . import conduct, machine, report
from .rivals import PEERS
from .shape import Shape, load, shipped

__all__ = ["main"]

RIVALS = [peer for peer in PEERS if not peer.startswith("convlite")]
FULL = {"rounds": 12, "nanoseconds": 20_000_000}
QUICK = {"rounds": 6, "nanoseconds": 4_000_000}


def main(arguments: Sequence[str]) -> int:
    """Run `convlite bench ARGUMENTS` and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.show:
            sys.stdout.write(report.table(json.loads(options.show.read_text(encoding="utf-8"))))
            return 0
        shapes = _shapes(options)
        options.out.mkdir(parents=True, exist_ok=True)
        data = _measure(options, shapes, "convlite bench " + shlex.join(arguments))
    except (OSError, ValueError, RuntimeError) as error:
        print(f"convlite bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("convlite bench: interrupted; nothing was written", file=sys.stderr)
        return 130
    sys.stdout.write(report.table(data))
    stored = options.out / "convlite-bench.json"
    stored.write_text(_json(data), encoding="utf-8")
    print(f"\nwrote {stored}")
    _draw(data, options.out / "convlite-bench.png")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="convlite bench",
        description="Measure convlite against other libraries on this machine, each at its best setting, in "
        "its own process, round robin; verify every result; print a table, write convlite-bench.json, .png.",
        epilog="Peers that are not installed are skipped and named; pip install 'convlite[bench]' installs "
        "them. Let nothing else run meanwhile.",
    )
    parser.add_argument("--quick", action="store_true", help="a few shapes of each kind, few rounds")
    parser.add_argument("--against", type=_peers, default=RIVALS, metavar="A,B", help=", ".join(RIVALS))
    parser.add_argument("--shapes", type=Path, metavar="FILE", help="lines as in convlite/bench/shapes/*.txt")
    parser.add_argument("--threads", type=_counts, default=[1, 2], metavar="1,2", help="numbers of threads")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds for each shape")
    parser.add_argument(
        "--precision",
        choices=["exact", "fast"],
        default="exact",
        help='"fast" adds convlite under precision("fast"), for 3x3 convolutions with stride 1',
    )
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where to write; default: here"
    )
    parser.add_argument("--show", type=Path, metavar="JSON", help="print the table of a stored run and end")
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
    begin = time.monotonic()
    with _progress(conduct.steps(len(shapes), rounds)) as (say, step):
        found = conduct.measure(
            shapes,
            ours + options.against,
            options.threads,
            rounds,
            setting["nanoseconds"],
            say=say,
            step=step,
        )
    context = machine.describe(command)
    context |= {"precision": options.precision, "rounds": rounds, "seconds": round(time.monotonic() - begin)}
    data = {"context": context, **found}
    context["noise"] = {
        str(threads): round(report.noise([row for row in report.rows(data) if row.threads == threads]), 4)
        for threads in options.threads
    }
    return data


def _json(data: dict[str, Any]) -> str:
    """One line for each result: small changes stay small in a diff."""
    head = {key: value for key, value in data.items() if key != "results"}
    lines = ",\n".join(json.dumps(record) for record in data["results"])
    return json.dumps(head, indent=1).removesuffix("\n}") + f',\n "results": [\n{lines}\n ]\n}}\n'


def _draw(data: dict[str, Any], path: Path) -> None:
    from .picture import draw

    try:
        draw(data, path)
    except ImportError as error:
        print(f'no picture: {error}; pip install "convlite[bench]"', file=sys.stderr)
    else:
        print(f"wrote {path}")


@contextlib.contextmanager
def _progress(total: int) -> Iterator[tuple[conduct.Say, Callable[[str, int], object]]]:
    """Where to tell what is skipped, and that steps are done: a bar on standard error."""
    try:
        from tqdm import tqdm
    except ImportError:
        print("(pip install tqdm for a progress bar)", file=sys.stderr)
        yield (lambda text: print(text, file=sys.stderr, flush=True)), (lambda name, n: None)
        return
    with tqdm(total=total, unit="slice", file=sys.stderr, dynamic_ncols=True) as bar:

        def step(name: str, n: int) -> None:
            bar.set_postfix_str(name, refresh=False)
            bar.update(n)

        yield (lambda text: bar.write(text, file=sys.stderr)), step
