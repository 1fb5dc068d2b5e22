"""The command `convlite`: a table of subcommands, each imported only when it is asked for."""

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from . import __version__, show_config
from ._parser import Parser

__all__ = ["main"]

BROKEN_PIPE = 141  # 128 and the number of SIGPIPE: what a shell reports of a command that it ended

# Command -> (what it does, the module and function that do it). The function takes the other arguments and
# returns the exit status.
COMMANDS = {
    "info": (
        "print the version, the CPU's instruction sets and the threads in use, and why",
        "convlite.cli:info",
    ),
    "convert": (
        "convert a network's file into one that needs NumPy alone",
        "convlite.network.commands.convert:main",
    ),
    "inspect": (
        "print the nodes of a network's file, or those that are not supported",
        "convlite.network.commands.inspect:main",
    ),
    "run": ("run a network on pictures and arrays", "convlite.network.commands.run:main"),
    "demo": ("find the faces in a photograph", "convlite.demo.run:main"),
    "bench": ("measure convlite against other libraries on this machine", "convlite.bench.run:main"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: sys.argv) and return the exit status; misuse raises SystemExit(2).

    Without arguments it prints the help.

    >>> main(["--version"])
    Traceback (most recent call last):
        ...
    SystemExit: 0
    """
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader has ended, as in `convlite inspect FILE | head`
        with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # Python flushes stdout once more at its end
        return BROKEN_PIPE


def _run(given: Sequence[str]) -> int:
    width = max(map(len, COMMANDS))
    parser = Parser(
        prog="convlite",
        description="Run convolutional networks on CPUs with NumPy alone.",
        epilog="\n".join(
            ["commands:"]
            + [f"  {name:<{width}}  {purpose}" for name, (purpose, _) in COMMANDS.items()]
            + ["", "convlite COMMAND --help describes the options of a command."]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"convlite {__version__}")
    parser.add_argument(
        "command", metavar="COMMAND", choices=list(COMMANDS), help="one of the commands below"
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="what the command takes")
    if not given:
        parser.print_help()
        return 0
    options = parser.parse_args(given)
    module, function = COMMANDS[options.command][1].split(":")
    run: Callable[[Sequence[str]], int] = getattr(importlib.import_module(module), function)
    return run(options.arguments)


def info(arguments: Sequence[str]) -> int:
    """`convlite info`: print `convlite.show_config()`."""
    Parser(
        prog="convlite info", description="Print what convlite was built with, what it chose and why."
    ).parse_args(arguments)
    show_config()
    return 0
