"""`convlite demo`: read a picture, find the faces, print them and the times, write two PNG files."""

import argparse
import contextlib
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from .. import num_threads
from .._parser import Parser
from .clock import Clock
from .detect import Detection, Progress, detect
from .draw import annotate, heat_map
from .extras import NEEDED, DemoError, extra
from .networks import load_networks

__all__ = ["main", "read_image"]

_EPILOG = f"""\
Without IMAGE the demo takes scikit-image's photograph of the astronaut Eileen Collins (NASA, public domain).
It needs: pip install {NEEDED}
The networks are made from the weights of mtcnn, without TensorFlow, and kept in the cache directory
($XDG_CACHE_HOME/convlite, else ~/.cache/convlite)."""


def main(arguments: Sequence[str]) -> int:
    """Run `convlite demo` with these arguments; returns 0, or 1 after a message on stderr."""
    options = _parser().parse_args(arguments)
    scope = contextlib.nullcontext() if options.threads is None else num_threads(options.threads)
    try:
        with scope:
            _demo(options.image, options.output, options.min_face, options.verbose)
    except DemoError as error:
        print(f"convlite demo: {error}", file=sys.stderr)
        return 1
    return 0


def read_image(path: pathlib.Path) -> npt.NDArray[np.uint8]:
    """A picture as (H,W,3) uint8 RGB, turned as its EXIF orientation says.

    Raises DemoError where there is no such file, or Pillow cannot read it, or it has 16 or 32 bits a channel.
    """
    pil_image, pil_ops = extra("PIL.Image"), extra("PIL.ImageOps")
    try:
        with pil_image.open(path) as picture:
            if picture.mode[0] in "IF":
                raise DemoError(
                    f"{path} has more than 8 bits a channel (mode {picture.mode}); save it with 8 bits"
                )
            return np.array(pil_ops.exif_transpose(picture).convert("RGB"))
    except FileNotFoundError:
        raise DemoError(f"there is no file {path}") from None
    except pil_image.UnidentifiedImageError:
        raise DemoError(f"{path} is no picture that Pillow can read") from None
    except pil_image.DecompressionBombError as error:
        raise DemoError(f"{path} is too large: {error}") from None
    except (OSError, ValueError, SyntaxError) as error:  # SyntaxError is what Pillow raises for a broken PNG
        raise DemoError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="convlite demo",
        description="Find the faces in a photograph: MTCNN's three networks on convlite and NumPy alone.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("image", nargs="?", type=pathlib.Path, metavar="IMAGE", help="any picture that Pillow can read")
    add(
        "--output",
        type=pathlib.Path,
        default=pathlib.Path("convlite-demo"),
        metavar="DIR",
        help="directory for the two PNG files (default: ./convlite-demo)",
    )
    add("--threads", type=_positive, metavar="N", help="number of threads (default: convlite's own choice)")
    add(
        "--min-face",
        type=_positive,
        default=20,
        metavar="PIXELS",
        help="smallest face to look for (default: 20); more is faster on a large photograph",
    )
    add("--verbose", action="store_true", help="also print what each network did, and its time")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, received {text!r}")
    return int(text)


def _demo(path: pathlib.Path | None, output: pathlib.Path, min_face: int, verbose: bool) -> None:
    before, after = Clock(), Clock()
    with before("read the picture"):
        image = extra("skimage.data").astronaut() if path is None else read_image(path)
    with before("load the networks"):
        networks = load_networks()
    with _progress_bar() as progress:
        found = detect(image, networks, min_face=min_face, progress=progress)
    name = "astronaut" if path is None else path.stem
    files = [output / f"{name}-faces.png", output / f"{name}-pnet.png"]
    with after("draw and save"):
        try:
            output.mkdir(parents=True, exist_ok=True)
            annotate(image, found.faces).save(
                files[0], compress_level=3
            )  # a third of the time for a tenth more bytes
            heat_map(image, found.heat_maps).save(files[1], compress_level=3)
        except OSError as error:
            raise DemoError(f"cannot write to {output}: {error.strerror or error}") from None
    _report(path.name if path else "astronaut.png", image.shape, found)
    stages = {"find the faces": sum(found.milliseconds.values())}
    if verbose:
        _print_details(found)
        stages = found.milliseconds
    _print_times(before.milliseconds | stages | after.milliseconds)
    print(f"\nwrote {files[0]}: the photograph with boxes and landmarks")
    print(f"wrote {files[1]}: the first network's score for every place and size")


def _report(name: str, shape: tuple[int, ...], found: Detection) -> None:
    count = len(found.faces)
    print(f"{name}, {shape[1]} x {shape[0]} pixels: {count} face{'' if count == 1 else 's'}")
    for number, face in enumerate(found.faces, start=1):
        x1, y1, x2, y2 = face.box
        print(f"\nface {number}       score {face.score:.5f}")
        print(f"  box         x {x1:.1f} to {x2:.1f}, y {y1:.1f} to {y2:.1f}")
        for landmark, (x, y) in face.landmarks.items():
            print(f"  {landmark:<11} x {x:.1f}, y {y:.1f}")


def _print_details(found: Detection) -> None:
    """What those ask who know the networks: boxes after each, and the two forms of their heads."""
    left = ", ".join(f"{len(rows)} after {network}" for network, rows in found.boxes.items())
    print(f"\nboxes: {left}")
    for comparison in found.comparisons:
        same = "are equal to the last bit"
        if comparison.largest:
            same = f"differ by at most {comparison.largest:.1e}"
        heads = "scores of its dense head and of the same head as convolutions"
        print(f"{comparison.name}: {comparison.count} {heads} {same}")


def _print_times(milliseconds: dict[str, float]) -> None:
    print(f"\n{'stage':<32}{'ms':>8}")
    for stage, value in milliseconds.items():
        print(f"{stage:<32}{value:8.1f}")
    print(f"{'all':<32}{sum(milliseconds.values()):8.1f}")


@contextlib.contextmanager
def _progress_bar() -> Iterator[Progress]:
    """A bar on stderr that starts anew for each network; none where stderr is not a terminal."""
    with extra("tqdm").tqdm(desc="P-Net", total=1, leave=False, disable=None, mininterval=0.02) as bar:

        def progress(stage: str, done: int, total: int) -> None:
            if done == 1:
                bar.set_description_str(stage, refresh=False)
                bar.reset(total)
            bar.update()

        yield progress
