"""Architectures that torchvision does not have, as small PyTorch modules of our own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn


def conv(inputs: int, outputs: int, size: int = 1, stride: int = 1, act: bool = True) -> nn.Sequential:
    """Convolution without bias, batch norm and SiLU: what the detectors are made of."""
    pad = (size - 1) // 2
    parts = [nn.Conv2d(inputs, outputs, size, stride, pad, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*parts, *([nn.SiLU()] if act else []))


class Bottleneck(nn.Module):
    """Two convolutions, and the input added where asked."""

    def __init__(self, width: int, sizes: tuple[int, int], add: bool) -> None:
        super().__init__()
        self.first, self.second, self.add = conv(width, width, sizes[0]), conv(width, width, sizes[1]), add

    def forward(self, x: Any) -> Any:
        y = self.second(self.first(x))
        return x + y if self.add else y


class CrossStage(nn.Module):
    """Two branches side by side, one of them with bottlenecks, joined (version 5)."""

    def __init__(self, inputs: int, outputs: int, count: int, add: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        self.left, self.right, self.last = conv(inputs, half), conv(inputs, half), conv(outputs, outputs)
        self.middle = nn.Sequential(*(Bottleneck(half, (1, 3), add) for _ in range(count)))

    def forward(self, x: Any) -> Any:
        return self.last(torch.cat((self.middle(self.left(x)), self.right(x)), 1))


class SplitStage(nn.Module):
    """One convolution split in two; every bottleneck's output is kept and all are joined (version 8)."""

    def __init__(self, inputs: int, outputs: int, count: int, add: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        self.first, self.last = conv(inputs, outputs), conv((2 + count) * half, outputs)
        self.middle = nn.ModuleList(Bottleneck(half, (3, 3), add) for _ in range(count))

    def forward(self, x: Any) -> Any:
        kept = list(self.first(x).chunk(2, 1))
        for part in self.middle:
            kept.append(part(kept[-1]))
        return self.last(torch.cat(kept, 1))


class PyramidPool(nn.Module):
    """Three 5x5 maxima, one after the other, joined with their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.last = conv(width, width // 2), conv(2 * width, width)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Any) -> Any:
        kept = [self.first(x)]
        for _ in range(3):
            kept.append(self.pool(kept[-1]))
        return self.last(torch.cat(kept, 1))


class Detector(nn.Module):
    """Backbone, the way up and down again over three scales, and a head of one of two kinds."""

    def __init__(self, stage: Any, first: tuple[int, int], version: int) -> None:
        super().__init__()
        widths, counts = (16, 32, 64, 128, 256), (1, 2, 3 if version == 5 else 2, 1)
        self.stem = conv(3, widths[0], *first)
        self.downs = nn.ModuleList(
            nn.Sequential(conv(a, b, 3, 2), stage(b, b, count))
            for a, b, count in zip(widths, widths[1:], counts, strict=False)
        )
        self.pool, self.up = PyramidPool(256), nn.Upsample(scale_factor=2, mode="nearest")
        self.tops = nn.ModuleList((stage(384, 128, 1, False), stage(192, 64, 1, False)))
        self.steps = nn.ModuleList((conv(64, 64, 3, 2), conv(128, 128, 3, 2)))
        self.bottoms = nn.ModuleList((stage(192, 128, 1, False), stage(384, 256, 1, False)))
        self.head = AnchorHead((64, 128, 256)) if version == 5 else FreeHead((64, 128, 256))

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        kept = []
        for down in self.downs:
            x = down(x)
            kept.append(x)
        large, middle, small = kept[1], kept[2], self.pool(kept[3])
        middle = self.tops[0](torch.cat((self.up(small), middle), 1))
        large = self.tops[1](torch.cat((self.up(middle), large), 1))
        middle = self.bottoms[0](torch.cat((self.steps[0](large), middle), 1))
        small = self.bottoms[1](torch.cat((self.steps[1](middle), small), 1))
        return self.head((large, middle, small))


class AnchorHead(nn.Module):
    """Three anchors a place: offsets, sizes and scores, decoded to pixels."""

    def __init__(self, widths: Sequence[int], classes: int = 80) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Conv2d(width, 3 * (classes + 5), 1) for width in widths)
        self.fields = classes + 5

    def forward(self, maps: Sequence[Any]) -> Any:
        found = []
        for part, x, stride in zip(self.parts, maps, (8, 16, 32), strict=True):
            y = part(x)
            batch, _, height, width = y.shape
            y = y.view(batch, 3, self.fields, height, width).permute(0, 1, 3, 4, 2).contiguous()
            place, size, score = y.sigmoid().split((2, 2, self.fields - 4), 4)
            rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            grid = torch.stack((columns, rows), 2).to(y.dtype) - 0.5
            anchors = torch.tensor([[1.25, 1.6], [2.0, 3.75], [4.1, 2.9]]).view(1, 3, 1, 1, 2) * stride
            boxes = torch.cat(((place * 2 + grid) * stride, (size * 2) ** 2 * anchors, score), 4)
            found.append(boxes.view(batch, 3 * height * width, self.fields))
        return torch.cat(found, 1)


class FreeHead(nn.Module):
    """No anchors: four distances, each the mean of a softmax over 16 bins, and scores."""

    def __init__(self, widths: Sequence[int], classes: int = 80, bins: int = 16) -> None:
        super().__init__()
        self.sides = nn.ModuleList(self._branch(width, 64, 4 * bins) for width in widths)
        self.scores = nn.ModuleList(self._branch(width, 80, classes) for width in widths)
        self.bins, self.classes = bins, classes

    @staticmethod
    def _branch(inputs: int, width: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(conv(inputs, width, 3), conv(width, width, 3), nn.Conv2d(width, outputs, 1))

    def forward(self, maps: Sequence[Any]) -> Any:
        found, centres, strides = [], [], []
        for side, score, x, stride in zip(self.sides, self.scores, maps, (8, 16, 32), strict=True):
            y = torch.cat((side(x), score(x)), 1)
            batch, channels, height, width = y.shape
            found.append(y.view(batch, channels, height * width))
            rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            centres.append(torch.stack((columns, rows)).view(2, -1).to(y.dtype) + 0.5)
            strides.append(torch.full((1, height * width), float(stride)))
        sides, scores = torch.cat(found, 2).split((4 * self.bins, self.classes), 1)
        batch, _, places = sides.shape
        share = sides.view(batch, 4, self.bins, places).transpose(2, 1).softmax(1)
        bins = torch.arange(self.bins, dtype=share.dtype).view(1, self.bins, 1, 1)
        low, high = (share * bins).sum(1).chunk(2, 1)
        centre = torch.cat(centres, 1)[None]
        first, last = centre - low, centre + high
        boxes = torch.cat(((first + last) / 2, last - first), 1) * torch.cat(strides, 1)
        return torch.cat((boxes, scores.sigmoid()), 1)


def yolov5n() -> nn.Module:
    return Detector(CrossStage, (6, 2), 5)


def yolov8n() -> nn.Module:
    return Detector(SplitStage, (3, 2), 8)


def espcn() -> nn.Module:
    """Super-resolution by three: convolutions, then a shuffle of channels into pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 64, 5, padding=2), nn.Tanh(), nn.Conv2d(64, 32, 3, padding=1), nn.Tanh(),
        nn.Conv2d(32, 9, 3, padding=1), nn.PixelShuffle(3),
    )  # fmt: skip


def dcgan() -> nn.Module:
    """The generator: transposed convolutions from one pixel of 100 channels to 64x64."""
    parts: list[nn.Module] = []
    widths = (100, 512, 256, 128, 64)
    for number, (a, b) in enumerate(pairwise(widths)):
        step = (1, 0) if number == 0 else (2, 1)
        parts += [nn.ConvTranspose2d(a, b, 4, *step, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*parts, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())


class UNet(nn.Module):
    """Four steps down and up, each step up joined with what was there on the way down."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [width << step for step in range(5)]
        self.downs = nn.ModuleList(self._twice(a, b) for a, b in zip([3, *widths], widths, strict=False))
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in pairs)
        self.joins = nn.ModuleList(self._twice(a, b) for a, b in pairs)
        self.pool, self.last = nn.MaxPool2d(2), nn.Conv2d(width, 2, 1)

    @staticmethod
    def _twice(inputs: int, outputs: int) -> nn.Sequential:
        parts: list[nn.Module] = []
        for a in (inputs, outputs):
            parts += [nn.Conv2d(a, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        return nn.Sequential(*parts)

    def forward(self, x: Any) -> Any:
        kept = []
        for number, down in enumerate(self.downs):
            x = down(self.pool(x) if number else x)
            kept.append(x)
        for up, join, skip in zip(self.ups, self.joins, kept[-2::-1], strict=True):
            x = join(torch.cat((skip, up(x)), 1))
        return self.last(x)


class StyleTransfer(nn.Module):
    """Mirrored padding, instance norm, residual blocks, and upsampling by the nearest pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.downs = nn.Sequential(self._part(3, 32, 9), self._part(32, 64, 3, 2), self._part(64, 128, 3, 2))
        self.blocks = nn.ModuleList(
            nn.Sequential(self._part(128, 128, 3), self._part(128, 128, 3, act=False)) for _ in range(5)
        )
        up = nn.Upsample(scale_factor=2, mode="nearest")
        self.ups = nn.Sequential(up, self._part(128, 64, 3), up, self._part(64, 32, 3))
        self.last = nn.Sequential(nn.ReflectionPad2d(4), nn.Conv2d(32, 3, 9))

    @staticmethod
    def _part(inputs: int, outputs: int, size: int, stride: int = 1, act: bool = True) -> nn.Sequential:
        parts = [
            nn.ReflectionPad2d(size // 2), nn.Conv2d(inputs, outputs, size, stride),
            nn.InstanceNorm2d(outputs, affine=True),
        ]  # fmt: skip
        return nn.Sequential(*parts, *([nn.ReLU()] if act else []))

    def forward(self, x: Any) -> Any:
        x = self.downs(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(self.ups(x))
