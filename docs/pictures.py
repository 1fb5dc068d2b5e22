"""The pictures of the pages, drawn by matplotlib from what convlite computes: an SVG for each theme.

`python docs/pictures.py DIRECTORY` draws them without building the site.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import convlite as cl
from convlite.geometry import transpose_axis


@dataclass(frozen=True)
class Theme:
    """The colours of a picture; the background is the page's."""

    name: str
    ink: str
    faint: str  # outlines, what is not read
    first: str  # fills: two kinds of things that must be told apart
    second: str
    scale: str  # matplotlib's name of a sequence of colours


THEMES = (
    Theme("light", "#2b2f36", "#b4bac4", "#9cc9f0", "#f7c59f", "Blues"),
    Theme("dark", "#d7dae0", "#646b78", "#2b5f8f", "#8c5526", "Blues_r"),
)

# Without these an SVG has a new hash and a new date each time, and Sphinx copies it again.
STABLE: Any = {"svg.hashsalt": "convlite", "svg.fonttype": "path", "font.size": 9.0, "axes.linewidth": 0.6}


class Sheet:
    """A figure with one pair of axes on which boxes and words are placed: x to the right, y down."""

    def __init__(self, theme: Theme, width: float, height: float, unit: float = 0.32) -> None:
        self.theme = theme
        self.figure = Figure(figsize=(width * unit, height * unit))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)
        self.axes.axis("off")

    def box(
        self, x: float, y: float, text: str = "", *, fill: str = "none", width: float = 1, height: float = 1,
        hatch: str = "", edge: str = "",
    ) -> None:  # fmt: skip
        """A rectangle with a word in it."""
        edge = edge or self.theme.faint
        self.axes.add_patch(Rectangle((x, y), width, height, fc=fill, ec=edge, lw=0.8, hatch=hatch))
        if text:
            self.word(x + width / 2, y + height / 2, text, align="center", size=8)

    def word(self, x: float, y: float, text: str, *, align: str = "left", size: float = 9) -> None:
        """A line of text, centred vertically at y."""
        self.axes.text(x, y, text, color=self.theme.ink, ha=align, va="center", fontsize=size)

    def line(
        self, start: tuple[float, float], end: tuple[float, float], colour: str, style: str = "-"
    ) -> None:
        """A straight line."""
        (x0, y0), (x1, y1) = start, end
        self.axes.plot([x0, x1], [y0, y1], color=colour, lw=1.4, ls=style, solid_capstyle="round")

    def bracket(self, x: float, y: float, width: float) -> None:
        """A flat bracket below y."""
        left, right = x + 0.12, x + width - 0.12
        self.axes.plot([left, left, right, right], [y, y + 0.25, y + 0.25, y], color=self.theme.ink, lw=1.1)


def checkerboard(theme: Theme) -> Figure:
    """A constant image upsampled in three ways, with kernels of ones and with random ones."""
    image = np.ones((1, 8, 8, 1), np.float32)

    def kernel(size: int, random: bool) -> np.ndarray:
        shape = (size, size, 1, 1)
        return cl.initializers.random_uniform(shape, seed=3) if random else np.ones(shape, np.float32)

    ways: list[tuple[str, Callable[[bool], np.ndarray]]] = [
        ("transposed, 3x3, stride 2", lambda r: cl.conv2d_transpose(image, kernel(3, r), strides=2)),
        ("transposed, 4x4, stride 2", lambda r: cl.conv2d_transpose(image, kernel(4, r), strides=2)),
        ("resize to twice, then conv 3x3", lambda r: cl.conv2d(cl.upsample2d(image, 2), kernel(3, r))),
    ]
    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    panels = figure.subplots(2, len(ways))
    for row, random in enumerate((False, True)):
        for panel, (title, way) in zip(panels[row], ways, strict=True):
            inside = way(random)[0, 2:14, 2:14, 0]  # away from the borders
            shown = panel.imshow(inside, cmap=theme.scale, vmin=0, vmax=inside.max() * 1.5)
            panel.set(xticks=[], yticks=[])
            values = np.unique(inside.round(4))
            said = ", ".join(f"{value:.3g}" for value in values)
            panel.set_xlabel(f"values: {said}", color=theme.ink, fontsize=8.5)
            for spine in panel.spines.values():
                spine.set_color(theme.faint)
            shown.set_interpolation("nearest")
            if row == 0:
                panel.set_title(title, color=theme.ink, fontsize=9.5)
        panels[row][0].set_ylabel("random kernel" if random else "kernel of ones", color=theme.ink)
    return figure


def sizes(theme: Theme) -> Figure:
    """Images of 12, 13 and 14 pixels that a 3-wide convolution with stride 3 turns into 4."""
    sheet = Sheet(theme, 22.5, 9.6)
    for row, size in enumerate((12, 13, 14)):
        y = 0.6 + 2.9 * row
        outputs = cl.conv2d_output_shape((1, 1, size, 1), (1, 3, 1, 1), strides=(1, 3))[2]
        for pixel in range(size):
            read = pixel < 3 * outputs
            fill = (theme.first, theme.second)[pixel // 3 % 2] if read else "none"
            sheet.box(0.4 + pixel, y, str(pixel), fill=fill, hatch="" if read else "////")
        for output in range(outputs):
            sheet.bracket(0.4 + 3 * output, y + 1.1, 3)
            sheet.word(0.4 + 3 * output + 1.5, y + 1.75, str(output), align="center", size=8)
        sheet.word(15.2, y + 0.5, f"{size} pixels")
        sheet.word(15.2, y + 1.75, f"give {outputs} outputs")
    return sheet.figure


def phases(theme: Theme) -> Figure:
    """The phases of a transposed convolution along one axis, from geometry.transpose_axis."""
    inputs, kernel, stride = 4, 3, 2
    axis = transpose_axis(inputs, kernel, stride, 1, "same", "width")
    sheet = Sheet(theme, 20, 9.4)
    colours = (theme.first, theme.second)
    left, top, bottom, gap = 3.6, 1.0, 5.6, 2.0
    terms: dict[int, int] = {}
    for colour, phase in zip(colours, axis.phases, strict=True):
        for i in range(phase.count):
            output = phase.start + i * phase.step
            reached = [i * phase.in_step + offset for offset in phase.offsets]
            terms[output] = sum(0 <= source < inputs for source in reached)
            for source in reached:
                if 0 <= source < inputs:
                    start = (left + gap * 2 * source + gap, top + 1.2)
                    sheet.line(start, (left + gap * output + 0.6, bottom), colour)
            sheet.box(left + gap * output, bottom, str(output), fill=colour, width=1.2, height=1.2)
    for source in range(inputs):
        sheet.box(
            left + gap * 2 * source + gap - 0.6, top, str(source), width=1.2, height=1.2, edge=theme.ink
        )
    sheet.word(0.3, top + 0.6, "input")
    sheet.word(0.3, bottom + 0.6, "output")
    sheet.word(0.3, bottom + 1.9, "terms")
    for output, count in terms.items():
        sheet.word(left + gap * output + 0.6, bottom + 1.9, str(count), align="center", size=8)
    for number, (colour, phase) in enumerate(zip(colours, axis.phases, strict=True)):
        x = left + 7.5 * number
        sheet.box(x, bottom + 2.7, fill=colour, width=0.7, height=0.7)
        taps = f"{len(phase.offsets)} tap{'s' if len(phase.offsets) > 1 else ''}"
        sheet.word(x + 1, bottom + 3.05, f"phase {number}: {taps}", size=8.5)
    return sheet.figure


def tile(theme: Theme) -> Figure:
    """A tile of 14 pixels by two vectors, and what one step of its innermost loop does."""
    sheet = Sheet(theme, 29, 19.2, 0.27)
    left, top, wide = 10.2, 3.4, 7.0
    for vector in range(2):
        x = left + vector * (wide + 0.4)
        sheet.box(x, top - 1.5, f"weights {16 * vector} to {16 * vector + 15}", fill=theme.second, width=wide)
        for pixel in range(14):
            sheet.box(x, top + pixel, f"sum [{pixel}][{vector}]", fill=theme.first, width=wide, height=0.9)
    for pixel in range(14):
        sheet.box(left - 4.6, top + pixel, f"pixel {pixel}", width=2.8, height=0.9)
    sheet.box(left - 1.45, top + 4, "x", fill=theme.second, width=1.1, height=0.9)
    sheet.line((left - 1.8, top + 4.45), (left - 1.45, top + 4.45), theme.ink)
    sheet.word(0.3, top + 0.45, "14 pixels")
    sheet.word(0.3, top + 4.45, "one channel k")
    sheet.word(left, top - 2.3, "16 output channels", size=8.5)
    sheet.word(left + wide + 0.4, top - 2.3, "the next 16", size=8.5)
    sheet.word(left + 2 * wide + 0.8, top - 1.0, "2 registers")
    sheet.word(left + 2 * wide + 0.8, top + 4.45, "1 register")
    sheet.word(left + 2 * wide + 0.8, top + 13.45, "28 registers")
    text = "for each tap and channel k: sum [i][j] += x(pixel i, k) * weights j"
    sheet.word(left - 4.6, top + 15.0, text)
    return sheet.figure


def panel(theme: Theme) -> Figure:
    """Panels of a kernel of 9 taps, kc channels and 40 outputs: two vectors wide, then one with zeros."""
    sheet = Sheet(theme, 30, 14.4, 0.26)
    lanes, outputs, vectors = 16, 40, 2
    left, top, wide, high = 4.2, 2.4, 6.0, 0.95
    rows = ["k = 0", "k = 1", "...", "k = kc-1"]
    for number in range(math.ceil(outputs / (lanes * vectors))):
        first = number * lanes * vectors
        columns = min(vectors, math.ceil((outputs - first) / lanes))
        x = left + number * (vectors * wide + 2.2)
        sheet.word(x, top - 1.2, f"panel {number}: channels {first} to {min(first + 32, outputs) - 1}")
        for tap in range(2):
            for row, label in enumerate(rows):
                y = top + tap * 4.9 + row
                for column in range(columns):
                    low = first + lanes * column
                    high_end = min(low + lanes, outputs)
                    used = wide * (high_end - low) / lanes
                    text = "..." if label == "..." else f"{low} ... {high_end - 1}"
                    fill = (theme.first, theme.second)[tap]
                    cell = x + column * wide
                    sheet.box(cell, y, text, fill=fill, width=used, height=high)
                    if used < wide:
                        text = "" if label == "..." else "0 ... 0"
                        sheet.box(cell + used, y, text, width=wide - used, height=high, hatch="")
                if number == 0:
                    sheet.word(x - 0.3, y + high / 2, label, align="right", size=8)
            if number == 0:
                sheet.word(0.2, top + tap * 4.9 - 0.4 + high / 2, f"tap (0, {tap})", size=8.5)
        sheet.word(
            x,
            top + 10.2,
            "... 7 taps more, then the next panel" if not number else "... 7 taps more",
            size=8.5,
        )
    return sheet.figure


PICTURES = (checkerboard, sizes, phases, tile, panel)


def drawn() -> Iterator[tuple[str, Figure]]:
    """(file name, figure) of every picture in every theme."""
    for draw in PICTURES:
        for theme in THEMES:
            yield f"{draw.__name__}-{theme.name}.svg", draw(theme)


def write(directory: Path) -> None:
    """Write every picture."""
    with mpl.rc_context(STABLE):
        for name, figure in drawn():
            FigureCanvasSVG(figure)
            figure.savefig(directory / name, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    write(target)
