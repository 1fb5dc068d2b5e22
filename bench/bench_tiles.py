"""Time a megapixel and memory of `Network.tiled` against the size of its tiles.

    python bench/bench_tiles.py [--side 2048] [--tiles 64,128,256,512]
    python bench/bench_tiles.py --scan SIDE [--memory BYTES]

Two networks: an ESPCN (factor 3, 32 features) and a U-Net (3 levels from 8 channels). Each line: the tile,
its halo, what it reads over what is its own, seconds a megapixel of input, and over those of the whole run;
the memory that `tiling` says and the peak that Linux measures beside x and out. Seconds are those of the
processor on one thread, which a busy machine changes least. Rounds of all tiles are interleaved, the fastest
counts. --scan: one run over a uint8 memory map of SIDE x SIDE x 3 pixels through
the U-Net into another one.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time
from typing import Any

import numpy as np

import convlite as cl

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
from tile_networks import espcn, unet


class Scaled:
    """uint8 pixels read as float32 from 0 to 1: what a scan is to a network."""

    dtype = np.dtype("float32")

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.shape = pixels, pixels.shape

    def __getitem__(self, place: Any) -> np.ndarray:
        return self.pixels[place] * np.float32(1 / 255)


def status(what: str) -> float:
    """A line of /proc/self/status, in MB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1e3 for line in file if line.startswith(what))


def measured(run: Any) -> tuple[float, float]:
    """(seconds of the processor on one thread, peak in MB above what was there)."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before, begin = status("VmRSS"), time.process_time()
    with cl.num_threads(1):
        run()
    return time.process_time() - begin, status("VmHWM") - before


def sweep(net: cl.Network, side: int, tiles: list[int]) -> None:
    """The table of one network."""
    x = np.random.default_rng(0).random((1, side, side, 3), np.float32)
    out = net(x)
    found = {tile: net.tiling(x.shape, tile) for tile in tiles}
    best: dict[int, tuple[float, float]] = {}
    for _ in range(2):
        for tile in (0, *tiles):
            seconds, peak = measured(lambda tile=tile: net.tiled(x, out, tile) if tile else net(x))
            old = best.get(tile, (np.inf, 0))
            best[tile] = min(seconds, old[0]), max(peak, old[1])
            net.release()
    pixels = side * side / 1e6
    print(f"{net.name}, {side}x{side}x3, {cl.get_precision()}")
    print("tile     halo   read/own   s/megapixel   of whole   said MB   peak MB")
    print(f"whole               1.00 {best[0][0] / pixels:13.4f}       1.00           {best[0][1]:9.0f}")
    for tile in tiles:
        (top, bottom), (left, right) = found[tile].halo
        read = (tile + top + bottom) * (tile + left + right) / tile**2
        seconds, peak = best[tile]
        ratio = seconds / best[0][0]
        said = found[tile].peak_bytes / 1e6
        print(
            f"{tile:5} {top:5}+{bottom:<2} {read:9.2f} {seconds / pixels:13.4f} {ratio:10.2f} {said:9.0f} "
            f"{peak:9.0f}"
        )


def scan(side: int, memory: float) -> None:
    """One run from file to file."""
    net = cl.Network(unet())
    with tempfile.TemporaryDirectory(dir=".") as folder:
        source = np.memmap(f"{folder}/x", np.uint8, "w+", shape=(1, side, side, 3))
        row = np.random.default_rng(0).integers(0, 256, (1, 64, side, 3), np.uint8)
        for start in range(0, side, 64):
            source[:, start : start + 64] = row[:, : min(64, side - start)]
        source.flush()
        out = np.lib.format.open_memmap(f"{folder}/y.npy", "w+", np.float32, (1, side, side, 2))
        print(net.tiling(source.shape, memory=memory))
        seconds, peak = measured(
            lambda: net.tiled(Scaled(source), out, memory=memory, journal=f"{folder}/tiles")
        )
        pages = status("RssFile")
        print(
            f"scan {side}x{side}x3: {seconds:.0f} s, {seconds / (side * side / 1e6):.4f} s a megapixel, peak "
            f"{peak:.0f} MB, of which {pages:.0f} MB are pages of the two files"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--tiles", default="64,128,256,512")
    parser.add_argument("--scan", type=int)
    parser.add_argument("--memory", type=float, default=256e6)
    options = parser.parse_args()
    if options.scan:
        scan(options.scan, options.memory)
        return
    tiles = [int(tile) for tile in options.tiles.split(",")]
    for graph in (espcn(), unet()):
        for precision in ("exact", "fast"):
            with cl.precision(precision):
                sweep(cl.Network(graph), options.side, tiles)


if __name__ == "__main__":
    main()
