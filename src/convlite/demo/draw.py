"""Two pictures: the photograph with its faces, and where P-Net sees faces of which size."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import images, pooling
from .detect import LANDMARKS, Face, HeatMap
from .extras import extra
from .pyramid import WINDOW

__all__ = ["annotate", "heat_map"]

Picture = Any  # PIL.Image.Image; Pillow is optional
Bytes = npt.NDArray[np.uint8]

_BOX = (255, 214, 0)
_DOTS = ((0, 229, 255), (0, 255, 106), (255, 64, 129), (255, 145, 0), (213, 128, 255))  # as LANDMARKS
_PAPER, _INK = (18, 18, 22), (235, 235, 235)
# Score 0, 1/4 ... 1. Lightness rises with it, so the map also reads in grey and for the colour-blind.
_COLOURS = np.array([(10, 8, 30), (86, 16, 110), (187, 55, 84), (249, 142, 8), (252, 255, 164)], np.float32)
_WIDTH, _COLUMNS, _GAP = 1024, 5, 12


def annotate(image: Bytes, faces: list[Face]) -> Picture:
    """The photograph (H,W,3) with each face's box, score and five landmarks; small ones are enlarged."""
    pil_image, pil_draw = extra("PIL.Image"), extra("PIL.ImageDraw")
    height, width = image.shape[:2]
    factor = max(1, round(_WIDTH / max(height, width)))
    picture = pil_image.fromarray(image).resize(
        (width * factor, height * factor), pil_image.Resampling.LANCZOS
    )
    pen = pil_draw.Draw(picture)
    side = math.sqrt(picture.width * picture.height)
    for face in faces:
        x1, y1, x2, y2 = box = [(v + 0.5) * factor for v in face.box]  # pixel v is drawn around v + 1/2
        line = max(1, round(min(side / 340, (x2 - x1) / 20)))
        pen.rectangle(box, outline=_BOX, width=line)
        for (x, y), colour in zip(face.landmarks.values(), _DOTS, strict=True):
            x, y, r = (x + 0.5) * factor, (y + 0.5) * factor, 1.8 * line
            pen.ellipse((x - r, y - r, x + r, y + r), fill=colour, outline=(0, 0, 0), width=max(1, line // 3))
        font = _font(max(10, round(min(side / 48, (x2 - x1) / 4))))
        text_height = sum(font.getmetrics())
        below = y1 < text_height  # no room above the box
        _label(pen, (x1, y2 + text_height if below else y1), f"{face.score:.4f}", font, _BOX)
    font = _font(max(10, round(side / 48)))
    _legend(pen, picture.size, font)
    return picture


def heat_map(image: Bytes, maps: list[HeatMap]) -> Picture:
    """P-Net's score at every place: the best over all sizes on the photograph (H,W,3), then size by size."""
    pil_image, pil_draw = extra("PIL.Image"), extra("PIL.ImageDraw")
    big = _canvas(image, _WIDTH - 2 * _GAP)
    tile_width = (_WIDTH - (_COLUMNS + 1) * _GAP) // _COLUMNS
    small = _canvas(image, tile_width)
    font, small_font = _font(22), _font(14)
    head, foot, caption = 44, 56, 26
    rows = math.ceil(len(maps) / _COLUMNS)
    total = head + len(big) + foot + rows * (len(small) + caption + _GAP)
    picture = pil_image.new("RGB", (_WIDTH, total), _PAPER)
    pen = pil_draw.Draw(picture)

    title = "P-Net: the score of the best window around each place"
    across, along = sorted(_zooms(image, big))[::-1]
    title += f", stretched {across / along:.0f}x" if across > 1.5 * along else ""
    pen.text((_GAP, 9), title, fill=_INK, font=font)
    scores = [_spread(m, big.shape[:2], _zooms(image, big)) for m in maps]
    best = np.max(scores, axis=0, initial=0.0)
    picture.paste(pil_image.fromarray(_overlay(big, best)), (_GAP, head))
    _colour_bar(picture, pen, head + len(big) + 14, small_font)

    for number, m in enumerate(maps):
        row, column = divmod(number, _COLUMNS)
        left = _GAP + column * (tile_width + _GAP)
        top = head + len(big) + foot + row * (len(small) + caption + _GAP)
        tile = _spread(m, small.shape[:2], _zooms(image, small))
        picture.paste(pil_image.fromarray(_overlay(small, tile)), (left, top))
        text = f"faces of {WINDOW / m.scale:.0f} px: max {m.scores.max(initial=0.0):.2f}"
        pen.text((left, top + len(small) + 4), text, fill=_INK, font=small_font)
    return picture


def _canvas(image: Bytes, width: int) -> Bytes:
    """The photograph in grey, `width` pixels wide, or narrower where it would get much taller than wide.

    A side that would be a thin line is stretched to an eighth of `width`.
    """
    pil_image = extra("PIL.Image")
    zoom = min(width / image.shape[1], 1.25 * width / image.shape[0])
    size = [max(width // 8, round(side * zoom)) for side in image.shape[1::-1]]
    grey = pil_image.fromarray(image).convert("L").resize(size, pil_image.Resampling.LANCZOS)
    return np.asarray(grey.convert("RGB"))


def _zooms(image: Bytes, canvas: Bytes) -> tuple[float, float]:
    """The canvas's pixels for one of the photograph's, along height and width."""
    return canvas.shape[0] / image.shape[0], canvas.shape[1] / image.shape[1]


def _spread(level: HeatMap, shape: tuple[int, ...], zooms: tuple[float, float]) -> npt.NDArray[np.float32]:
    """The level's scores on a canvas, as squares that touch: each is the middle of its window."""
    scores = level.scores[np.newaxis, :, :, np.newaxis]
    cells = [2 / level.scale * zoom for zoom in zooms]
    several = (max(1, math.ceil(1 / cells[0])), max(1, math.ceil(1 / cells[1])))
    if several != (1, 1):  # several windows to a pixel: the best one counts
        scores = pooling.max_pool2d(scores, several, padding="same")
    size = (
        max(1, round(scores.shape[1] * cells[0] * several[0])),
        max(1, round(scores.shape[2] * cells[1] * several[1])),
    )
    squares = images.resize2d(scores, size, method="nearest")[0, :, :, 0]
    canvas = np.zeros(shape[:2], np.float32)
    top, left = (round((WINDOW / 2 - 1) / level.scale * zoom) for zoom in zooms)
    part = canvas[top : top + size[0], left : left + size[1]]
    part[...] = squares[: part.shape[0], : part.shape[1]]
    return canvas


def _overlay(grey: Bytes, scores: npt.NDArray[np.float32]) -> Bytes:
    opacity = (0.25 + 0.65 * scores)[..., np.newaxis]
    return (0.6 * grey * (1 - opacity) + _colour(scores) * opacity).astype(np.uint8)


def _colour(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    stops = np.linspace(0, 1, len(_COLOURS))
    return np.stack([np.interp(scores, stops, channel) for channel in _COLOURS.T], axis=-1).astype(np.float32)


def _colour_bar(picture: Picture, pen: Any, top: int, font: Any) -> None:
    ramp = np.tile(np.linspace(0, 1, 300, dtype=np.float32), (16, 1))
    picture.paste(extra("PIL.Image").fromarray(_colour(ramp).astype(np.uint8)), (_GAP + 60, top))
    pen.text((_GAP, top), "score 0", fill=_INK, font=font)
    pen.text((_GAP + 368, top), "1", fill=_INK, font=font)
    pen.text((_GAP + 420, top), "below: each level of the pyramid by itself", fill=_INK, font=font)


def _legend(pen: Any, size: tuple[int, int], font: Any) -> None:
    """The landmarks' colours, bottom left; left and right are the viewer's."""
    step = 1.6 * font.size
    for row, (name, colour) in enumerate(zip(LANDMARKS, _DOTS, strict=True)):
        _label(pen, (0.4 * font.size, size[1] - 0.4 * font.size - (4 - row) * step), name, font, colour)


def _label(pen: Any, corner: tuple[float, float], text: str, font: Any, colour: tuple[int, int, int]) -> None:
    """Dark text on a coloured plate whose lower left corner is `corner`."""
    pad = 0.25 * font.size
    height = sum(font.getmetrics())
    x, y = corner[0], corner[1] - height
    pen.rectangle((x, y, x + pen.textlength(text, font=font) + 2 * pad, y + height), fill=colour)
    pen.text((x + pad, y), text, fill=(0, 0, 0), font=font)


def _font(size: int) -> Any:
    return extra("PIL.ImageFont").load_default(size)
