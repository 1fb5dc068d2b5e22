"""Time a megapixel and memory of `Network.tiled` against the size of its tiles.

    python bench/bench_tiles.py [--side 1024] [--tiles 64,128,256,512] [--page]
    python bench/bench_tiles.py --scan SIDE [--memory BYTES] [--page]

Two networks: an ESPCN (factor 3, 32 features) and a U-Net (3 levels from 8 channels), in both precisions. For
each tile: seconds a megapixel of input over those of the whole run, and what the U-Net's reads over what is
its own; the memory that `tiling` says and the peak that Linux measures beside x and out. Seconds are those of
the processor on one thread, which a busy machine changes least. Rounds of all tiles are interleaved, the
fastest counts. --scan: a run of each network over a memory map of SIDE x SIDE x 3 bytes into another map of
bytes; the memory is the most of what is no page of a file, looked up every 20 ms. --page: write the table
into docs/large-images.md.
"""

from __future__ import annotations

import argparse
import math
import pathlib
import sys
import tempfile
import threading
import time
from typing import Any

import numpy as np
from figures import show, table, where

import convlite as cl

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
from tile_networks import espcn, unet


class Pixels:
    """Bytes read as float32 from 0 to 1, and written so: what a scan is to a network."""

    dtype = np.dtype("float32")

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.shape = pixels, pixels.shape

    def __getitem__(self, place: Any) -> np.ndarray:
        return self.pixels[place] * np.float32(1 / 255)

    def __setitem__(self, place: Any, values: np.ndarray) -> None:
        for row, numbers in zip(self.pixels[place], values, strict=True):
            for line, part in zip(row, numbers, strict=True):  # the conversion takes no memory worth a word
                line[...] = np.clip(part * np.float32(255) + np.float32(0.5), 0, 255)

    def flush(self) -> None:
        self.pixels.flush()


def status(what: str) -> float:
    """A line of /proc/self/status, in MB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 / 1e6 for line in file if line.startswith(what))


def measured(run: Any) -> tuple[float, float]:
    """(seconds of the processor on one thread, peak in MB above what was there, pages of files left out)."""
    peak, done = [status("RssAnon")], threading.Event()
    before = peak[0]

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], status("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.process_time()
    try:
        with cl.num_threads(1):
            run()
    finally:
        seconds = time.process_time() - begin
        done.set()
        watcher.join()
    return seconds, peak[0] - before


def sweep(net: cl.Network, side: int, tiles: list[int]) -> dict[int, tuple[float, float, float]]:
    """For each tile, 0 the whole run: (seconds, peak MB, MB that `tiling` says)."""
    x = np.random.default_rng(0).random((1, side, side, 3), np.float32)
    out = net(x)
    best: dict[int, tuple[float, float, float]] = {}
    for _ in range(3):
        for tile in (0, *tiles):
            said = net.tiling(x.shape, tile).peak_bytes / 1e6 if tile else math.nan
            net.release()
            seconds, peak = measured(lambda tile=tile: net.tiled(x, out, tile) if tile else net(x))
            old = best.get(tile, (math.inf, 0))
            best[tile] = min(seconds, old[0]), max(peak, old[1]), said
            net.release()
    return best


def swept(side: int, tiles: list[int]) -> list[str]:
    """The table of both networks in both precisions."""
    place, found, halos, reads = where(), {}, {}, {}
    nets = {"ESPCN x3": cl.Network(espcn()), "U-Net": cl.Network(unet())}
    for name, net in nets.items():
        for precision in ("exact", "fast"):
            with cl.precision(precision):
                found[name, precision] = sweep(net, side, tiles)
                halos[name, precision] = net.tiling((1, side, side, 3), tiles[-1]).halo[0][0]
    (before, behind), _ = nets["U-Net"].tiling((1, side, side, 3), tiles[0]).halo
    reads = {tile: ((tile + before + behind) / tile) ** 2 for tile in tiles}
    heads = ["tile", *(f"{name} (halo {halos[name, kind]}) {kind}" for name, kind in found)]
    rows = []
    for tile in (0, *tiles[::-1]):
        cells = [f"{column[tile][0] / column[0][0]:.2f}" for column in found.values()]
        rows.append([str(tile or "whole run"), *cells, f"{reads.get(tile, 1):.2f}"])
    lines = table([*heads, "reads over own pixels, U-Net"], rows)
    for name in nets:
        column = found[name, "exact"]
        pixels = side * side / 1e6
        each = [f"tiles of {tile}: {column[tile][1]:.0f} ({column[tile][2]:.0f})" for tile in tiles]
        lines += [
            "",
            f"{name}: the whole run took {column[0][0] / pixels:.3f} s a megapixel in exact, "
            f"{found[name, 'fast'][0][0] / pixels:.3f} in fast. MB that a run in exact took beside "
            f"x and out, and what `tiling` had said: whole run {column[0][1]:.0f}, {', '.join(each)}.",
        ]
    return [*lines, "", f"({side}x{side}x3 pixels, fastest of three interleaved rounds; {place}.)"]


def scan(graph: Any, side: int, memory: float) -> list[str]:
    """One run from file to file: a row."""
    net = cl.Network(graph)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        source = np.memmap(f"{folder}/x", np.uint8, "w+", shape=(1, side, side, 3))
        row = np.random.default_rng(0).integers(0, 256, (1, 64, side, 3), np.uint8)
        for start in range(0, side, 64):
            source[:, start : start + 64] = row[:, : min(64, side - start)]
        source.flush()
        found = net.tiling(source.shape, memory=memory)
        net.release()
        out = Pixels(np.memmap(f"{folder}/y", np.uint8, "w+", shape=found.output_shapes[0]))
        seconds, peak = measured(
            lambda: net.tiled(Pixels(source), out, memory=memory, journal=f"{folder}/tiles")
        )
    shape = "x".join(map(str, found.output_shapes[0][1:]))
    tiles = f"{found.tiles} of {found.tile[0]}"
    each = f"{seconds / (side * side / 1e6):.3f} s"
    row = [
        net.name,
        shape,
        tiles,
        f"{found.peak_bytes / 1e6:.0f} MB",
        f"{peak:.0f} MB",
        f"{seconds:.0f} s",
        each,
    ]
    print(*row, sep=", ", file=sys.stderr, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--tiles", default="64,128,256,512")
    parser.add_argument("--scan", type=int)
    parser.add_argument("--memory", type=float, default=256e6)
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    if options.scan:
        place = where()
        rows = [scan(graph, options.scan, options.memory) for graph in (espcn(), unet())]
        heads = ["", "result", "tiles", "memory said", "taken", "processor", "a megapixel"]
        told = f"({options.scan}x{options.scan}x3 bytes, one thread, memory={options.memory:.0f}; {place}.)"
        show("scan", [*table(heads, rows), "", told], options.page)
    else:
        tiles = sorted(int(tile) for tile in options.tiles.split(","))
        show("tiles", swept(options.side, tiles), options.page)


if __name__ == "__main__":
    main()
