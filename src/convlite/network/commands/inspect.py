"""`convlite inspect`: what a network's file holds, and what of it is not supported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..._parser import Parser
from ..load import load
from .common import add_layout, add_model, ending_well, size_in
from .pictures import random_inputs

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run `convlite inspect` with these arguments; returns 0, or 1 after the reasons on stderr."""
    parser = Parser(
        prog="convlite inspect",
        description="Print a network's nodes, shapes, parameters and multiply-adds without running it. If "
        "the file has nodes that are not supported, print these, and exit with status 1.",
    )
    add_model(parser)
    add_layout(parser)
    parser.add_argument(
        "--size",
        type=size_in,
        metavar="HxW",
        help="the height and width of images if the network does not fix them, to see what runs each node",
    )
    parser.add_argument(
        "--text", action="store_true", help="print the graph as text too, with all attributes"
    )
    options = parser.parse_args(arguments)
    return ending_well("inspect", lambda: _inspect(options))


def _inspect(options: argparse.Namespace) -> int:
    try:
        net = load(options.model, options.layout)
    except ValueError as error:
        print(f"convlite inspect: {error}", file=sys.stderr)  # all its lines: they are what was asked for
        return 1
    shapes = [] if options.size is None else [x.shape for x in random_inputs(net, options.size).values()]
    net.summary(*shapes)
    if options.text:
        print(f"\n{net.graph}")
    return 0
