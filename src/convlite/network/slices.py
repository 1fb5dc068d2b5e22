"""Concats and splits without copies: one slot becomes a view of another's channels, or of its rows.

That is possible where every step that reads or writes the slot can do with gaps between pixels
(Lowered.gaps), and both lie in the arena. Concats are looked at from the last to the first, so that a dense
block, whose concats each repeat the one before, lies in one array from its first layer on. Where parts of an
array are replaced and the others kept (a detector's boxes, ShuffleNet's halves), they are replaced in it.

An image that is padded becomes the middle of the padded one, where every step that uses it can do with gaps
between rows (Lowered.frames).

Rows have no gaps, so that any step may write them, also into what a call returns: the heads of a detector
that lie one after the other.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence, Set

from .graph import Node
from .program import Lowered, Lowering, Slice

__all__ = ["in_place"]

Parts = Sequence[tuple[Node, Lowered]]


def in_place(
    parts: Parts, low: Lowering, source: MutableMapping[int, int], fixed: Set[int], results: Set[int]
) -> tuple[dict[int, int], set[int], dict[int, tuple[int, int]]]:
    """The first channel, or element, of each slot that became a view of some, the slots that are rows, and
    the corners of those that are the middle of another; `source` is told of them.

    fixed: the slots that own memory outside of the arena; results: those of them that each call makes anew.
    """
    places = _Places(parts, low, source, fixed, results)
    return places.found(), places.rows, places.corners


class _Places:
    def __init__(
        self,
        parts: Parts,
        low: Lowering,
        source: MutableMapping[int, int],
        fixed: Set[int],
        results: Set[int],
    ) -> None:
        self.parts, self.low, self.source, self.fixed = parts, low, source, fixed
        self.results, self.rows = results, set[int]()
        self.start: dict[int, int] = {}
        self.corners: dict[int, tuple[int, int]] = {}
        # what is put together of channels, which must lie in the arena
        self.concats = {
            part.slices[0].whole
            for _, part in parts
            if part.slices and not part.slices[0].rows and part.slices[0].whole in part.writes
        }
        self.barred = set(fixed)  # roots with a use that needs whole pixels
        for _, part in parts:
            for slot in (*part.reads, *part.writes):
                root = slot
                while root in source:
                    root = source[root]
                if slot not in part.gaps or self._channels(slot) != self._channels(root):
                    self.barred.add(root)

    def found(self) -> dict[int, int]:
        for _, part in self.parts:
            for whole, slot, start, _ in part.slices:
                if whole in part.reads and self._may_move(slot) and self._root(whole) not in self.fixed:
                    self._move(slot, whole, start)
        for _, part in reversed(self.parts):
            if part.slices and part.slices[0].whole in part.writes:
                if part.slices[0].rows:
                    self._rows(part.slices)
                else:
                    self._concat(part.slices)
        for _, part in self.parts:
            if part.middle is not None:
                self._middle(*part.middle)
        return self.start

    def _middle(self, padded: int, image: int, corner: tuple[int, int]) -> None:
        if {padded, image} & (self.fixed | self.source.keys()):
            return
        for _, part in self.parts:
            for slot in (*part.reads, *part.writes):
                if self._root(slot) == image and (slot != image or slot not in part.frames):
                    return
        self.source[image], self.corners[image] = padded, corner

    def _rows(self, slices: Sequence[Slice]) -> None:
        out = slices[0].whole
        root = self._root(out)
        if (root in self.fixed and root not in self.results) or self._is_cut(out):
            return
        owners = [self._root(part) for _, part, _, _ in slices]
        for owner, (_, part, start, _) in zip(owners, slices, strict=True):
            free = owner not in self.fixed and owner not in self.concats and owner != root
            whole = self._size(owner) == self._size(part) and not self._is_part(part)
            if free and whole and owners.count(owner) == 1:
                self._move(owner, out, start)
                self.rows.add(owner)

    def _size(self, slot: int) -> int:
        return math.prod(self.low.shapes[slot] or ())

    def _is_part(self, slot: int) -> bool:
        """Whether the slot is a part of another, or views such a one."""
        while slot in self.source:
            if slot in self.start:
                return True
            slot = self.source[slot]
        return False

    def _is_cut(self, slot: int) -> bool:
        """Whether the slot is some channels of another, or views such a one."""
        while slot in self.source:
            if slot in self.start and slot not in self.rows:
                return True
            slot = self.source[slot]
        return False

    def _channels(self, slot: int) -> int:
        shape = self.low.shapes[slot]
        return shape[-1] if shape else -1

    def _root(self, slot: int) -> int:
        while slot in self.source:
            slot = self.source[slot]
        return slot

    def _may_move(self, slot: int) -> bool:
        return slot not in self.source and slot not in self.barred

    def _move(self, slot: int, whole: int, start: int) -> None:
        self.source[slot], self.start[slot] = whole, start

    def _concat(self, slices: Sequence[Slice]) -> None:
        out = slices[0].whole
        if self._root(out) in self.fixed:
            return
        homes = {
            (self.source[part], self.start[part] - start) if part in self.start else None
            for _, part, start, _ in slices
        }
        home = homes.pop()
        if not homes and home is not None and self._may_move(out):  # they lie side by side
            self._move(out, *home)
            return
        if self._put_back(out, slices):
            return
        slots = [part for _, part, _, _ in slices]
        for number, (_, part, start, _) in enumerate(slices):
            if slots.count(part) > 1:
                continue
            if self._may_move(part):
                self._move(part, out, start)
            elif self.start.get(part) == 0 and self._whole(slots[number:]):
                self._move(self.source[part], out, start)

    def _put_back(self, out: int, slices: Sequence[Slice]) -> bool:
        """Let a concat take the place of the array that some of its parts were split from, and stay in, if
        the other parts are written when nobody needs the channels there any more. Whether it did.
        """
        low, shape = self.low, self.low.shapes[out]
        homes = {self.source[part] for _, part, start, _ in slices if self.start.get(part) == start}
        new = [(part, start) for _, part, start, _ in slices if self.start.get(part) != start]
        if len(homes) != 1 or out in self.source or out in self.fixed:
            return False
        home = homes.pop()
        root = self._root(home)
        alike = low.shapes[home] == shape and low.dtypes[home] == low.dtypes[out]
        if not alike or self._is_part(home) or len({part for part, _ in new}) < len(new):
            return False
        if not all(self._may_move(part) and self._is_free(root, home, part, start) for part, start in new):
            return False
        self.source[out] = home
        for part, start in new:
            self._move(part, out, start)
        return True

    def _is_free(self, root: int, home: int, part: int, start: int) -> bool:
        """Whether, from the first step that writes the part, no step uses the channels that it takes."""
        channels = range(start, start + self._channels(part))
        written = False
        for _, step in self.parts:
            written = written or any(self._root(slot) == part for slot in step.writes)
            for slot in (*step.reads, *step.writes) if written else ():
                if self._root(slot) != root:
                    continue
                first = self.start.get(slot, -1)
                beside = first >= channels.stop or 0 <= first <= channels.start - self._channels(slot)
                if self.source.get(slot) != home or not beside:
                    return False
        return written

    def _whole(self, slots: Sequence[int]) -> bool:
        """Whether the slots are, in order, all channels of an array that may move."""
        parent = self.source[slots[0]]
        end = 0
        for slot in slots:
            if self.source.get(slot) != parent or self.start.get(slot) != end:
                break
            end += self._channels(slot)
        return self._may_move(parent) and end == self._channels(parent) and parent not in slots
