"""`convlite convert`: a network's file in, our own file out."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Sequence

from ..._parser import Parser
from ..file import ENDINGS
from ..load import load
from .common import add_layout, add_model, ending_well

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run `convlite convert` with these arguments; returns 0, or 1 after a line on stderr."""
    parser = Parser(
        prog="convlite convert",
        description="Convert a network's file into one that convlite reads with NumPy alone (.npz).",
    )
    add_model(parser, "in")
    parser.add_argument("out", type=pathlib.Path, metavar="OUT", help=f"ends in {' or '.join(ENDINGS)}")
    add_layout(parser)
    parser.add_argument("--float16", action="store_true", help="store the weights in half the bytes, rounded")
    options = parser.parse_args(arguments)
    return ending_well("convert", lambda: _convert(options))


def _convert(options: argparse.Namespace) -> int:
    source, out = getattr(options, "in"), options.out
    if out.suffix not in ENDINGS:
        raise ValueError(f"OUT must end in {' or '.join(ENDINGS)}; got {str(out)!r}")
    net = load(source, options.layout)
    net.save(out, float16=options.float16)
    data = source.with_name(f"{source.name}.data")  # where PyTorch's exporter writes the weights
    sizes = out.stat().st_size, sum(path.stat().st_size for path in (source, data) if path.is_file())
    after, before = (f"{size / 1e6:{',.1f' if size >= 1e5 else '.1g'}} MB" for size in sizes)
    print(f"wrote {out}: {len(net.graph.nodes)} nodes, {after} (from {before})")
    return 0
