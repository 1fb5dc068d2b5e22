"""What the commands share: options, and errors that end in one line on stderr."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Callable

__all__ = ["add_layout", "ending_well", "one_line", "positive", "size_in"]


def add_layout(parser: argparse.ArgumentParser) -> None:
    """--layout NHWC."""
    parser.add_argument(
        "--layout",
        choices=["NHWC"],
        help="take and give images with the channels last (default: as the file has them)",
    )


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, received {text!r}")
    return int(text)


def size_in(text: str) -> tuple[int, int]:
    """(height, width) of HxW, for argparse."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH, such as 224x224, received {text!r}")
    return int(parts[0]), int(parts[1])


def one_line(error: BaseException) -> str:
    """An error's message on one line.

    >>> one_line(ValueError("m.onnx: 2 nodes cannot be read" + chr(10) + "  node 'a': ..."))
    "m.onnx: 2 nodes cannot be read; node 'a': ..."
    """
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines) or type(error).__name__


def ending_well(command: str, run: Callable[[], int]) -> int:
    """The exit status of `run`; 1 after a line on stderr where it raises what a user can mend."""
    try:
        return run()
    except (
        BrokenPipeError
    ):  # the reader of the output has ended: so does `main` of convlite.cli, without a message
        raise
    except (ValueError, TypeError, OSError, ImportError, RuntimeError, MemoryError) as error:
        print(f"convlite {command}: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"convlite {command}: interrupted", file=sys.stderr)
        return 130


MODEL = "a file that ends in .onnx, .tflite, .keras, .h5, .npz or .safetensors"


def add_model(parser: argparse.ArgumentParser, name: str = "model") -> None:
    """The network's file."""
    parser.add_argument(name, type=pathlib.Path, metavar=name.upper(), help=MODEL)
