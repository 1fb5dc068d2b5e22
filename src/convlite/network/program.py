"""A network made ready to run on inputs of one set of shapes.

    graph + facts --lower each node--> steps on slots --place--> an arena

A slot is a number; a frame is a list that holds an array for each slot while one call runs. Most slots are
views of the frame's arena; a reshape is a slot that views another one; the network's inputs and results get
theirs anew in each call. Threads may share a program: each call takes a frame from a pool, or makes one.

A step is a function of the frame. Where it is the core's, it is bound once for each frame: the core then runs
it, and all such steps that follow, without Python (kernels/script.pxi).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .. import _kernels, _threads
from .._memory import Room, empty, pages
from . import idle
from .constants import Constants
from .facts import Fact
from .graph import Array, Node

__all__ = ["Frame", "Lowered", "Lowering", "Program", "Run", "Script", "Slice", "View"]

Script = _kernels.Script


class Frame(list[Any]):
    """An array for each slot, and the steps bound to them.

    script: those that the core runs. lent: the slots whose arrays are other ones in each call. views: the
    views of these that a call needs. drop: loose slots. parts: what runs, in order: (first, last) of the
    script, or a Step. steps, threads: what was bound, for how many threads.
    """

    script: Script
    lent: tuple[int, ...] = ()
    views: tuple[View, ...] = ()
    drop: tuple[int, ...] = ()
    parts: tuple[tuple[int, int] | Step, ...] = ()
    steps: tuple[Step, ...] | None = None
    threads: int = 0


Run = Callable[..., None]  # of a frame; the core's of a script as well, to which they add themselves


class View(NamedTuple):
    """A slot that is another one in another shape; or some of it: channels from `start` on, or, where `rows`,
    neighbouring elements from that one on; or, where there is a corner (row, column), a part of its rows and
    columns.
    """

    slot: int
    source: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    start: int = -1
    rows: bool = False
    corner: tuple[int, int] | None = None

    def of(self, source: Array) -> Array:
        """The view of this array."""
        if self.rows:
            return source.reshape(-1)[self.start : self.start + math.prod(self.shape)].reshape(self.shape)
        if self.start >= 0:
            return source[..., self.start : self.start + self.shape[-1]]
        if self.corner is not None:
            top, left = self.corner
            return source[:, top : top + self.shape[1], left : left + self.shape[2]]
        assert self.dtype is not None
        view: Array = source.view(self.dtype).reshape(self.shape)
        assert view.size == 0 or np.may_share_memory(view, source)
        return view


class Slice(NamedTuple):
    """A slot that holds what another one has from channel `start` on; where `rows`, from that element on."""

    whole: int
    part: int
    start: int
    rows: bool = False


@dataclass(slots=True)
class Lowered:
    """How a node is computed.

    run: the step, None where views do it all. reads, writes: its slots. loose: it makes its arrays itself and
    puts them into the frame (what NumPy computes); otherwise it finds them there. over: the slot whose memory
    the output may take, if nobody needs that any more. how: what does the work, for summaries. core: the
    step may be given a script, to which it adds itself in place of running. gaps: the slots, of those it
    reads and writes, that may be some channels of a larger array. slices: what a concat or a split copies,
    which it does not where the one lies in the other already. frames: the slots that may be some rows and
    columns of larger images. middle: what a padding copies, likewise: (padded, image, the image's corner).
    """

    run: Run | None
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    loose: bool = False
    over: tuple[int, ...] = ()
    how: str = ""
    core: bool = False
    gaps: tuple[int, ...] = ()
    slices: tuple[Slice, ...] = ()
    frames: tuple[int, ...] = ()
    middle: tuple[int, int, tuple[int, int]] | None = None


@dataclass(slots=True)
class Step:
    """A step of a finished program."""

    run: Run
    node: Node
    how: str
    drop: tuple[int, ...] = ()  # loose slots that no later step reads
    core: bool = False  # run(frame, script) adds it to a script


class Lowering:
    """The state while nodes become steps: slots by name, and what is known of them."""

    def __init__(self, facts: dict[str, Fact], constants: Constants, packed: dict[Any, Any]):
        self.facts = facts
        self.room: Room | None = None  # where new panels are to lie
        self.constants = constants
        self.packed = packed  # PackedKernels by what they were made from, shared by a network's programs
        self.spare: list[tuple[str, Any]] = []  # constants that a PackedKernel holds too, with its key
        self.names: dict[str, int] = {}
        self.held: list[Array | None] = []  # constants, by slot
        self.shapes: list[tuple[int, ...] | None] = []
        self.dtypes: list[np.dtype[Any] | None] = []
        self.views: list[View] = []
        self.turned: dict[int, int] = {}  # slots of matrices, and of the same ones transposed
        self.ranges: dict[str, tuple[int, int]] = {}  # bounds of integers that are computed, where known

    def new_slot(self, shape: tuple[int, ...] | None, dtype: np.dtype[Any] | None) -> int:
        """A slot of its own."""
        self.held.append(None)
        self.shapes.append(shape)
        self.dtypes.append(dtype)
        return len(self.held) - 1

    def slot(self, name: str) -> int:
        """The slot of a value; constants get theirs on first use."""
        if name not in self.names:
            fact = self.facts[name]
            shape = fact.shape if fact.concrete else None
            self.names[name] = self.new_slot(shape, fact.dtype)  # type: ignore[arg-type]
            if name in self.constants:
                self.held[self.names[name]] = self.constants[name]
        return self.names[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a value, all of it numbers."""
        fact = self.facts[name]
        if not fact.concrete:
            raise ValueError(f"the shape of {name!r} is not known before it is computed")
        return fact.shape  # type: ignore[return-value]

    def view(self, slot: int, shape: tuple[int, ...]) -> int:
        """A slot that is another one in this shape."""
        if self.shapes[slot] == shape:
            return slot
        new = self.new_slot(shape, self.dtypes[slot])
        held = self.held[slot]
        if held is not None:
            self.held[new] = held.reshape(shape)
        else:
            self.views.append(View(new, slot, shape, self.dtypes[slot]))
        return new


@dataclass(slots=True, eq=False, weakref_slot=True)
class Program:
    """Steps and where their arrays lie.

    called: whether it was, since idle.py asked last.
    """

    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    results: tuple[tuple[int, tuple[int, ...], np.dtype[Any]], ...]  # made anew for each call
    views: tuple[View, ...]  # of inputs and results, likewise
    template: list[Any]
    buffers: tuple[tuple[int, int, tuple[int, ...], np.dtype[Any]], ...]  # slot, offset, shape, dtype
    arena_views: tuple[View, ...]
    arena_bytes: int
    copied: tuple[int, ...]  # outputs that are inputs or constants, or share memory with another output
    called: bool = False
    _frames: list[Frame] = field(default_factory=list)

    def run(self, arrays: Sequence[Array], ticks: list[tuple[int, int]] | None = None) -> tuple[Array, ...]:
        """The outputs for inputs of this program's shapes and dtypes.

        ticks: a list that is to get the start and the end of each step, in nanoseconds. The steps then run
        one by one, chains of passes too.
        """
        threads = _threads.threads_for(_threads.SERIAL_WORK)
        frame = self._frame(threads)
        try:
            if frame.threads != threads or frame.steps is not self.steps:
                self._bind(frame, arrays, threads, ticks is None)
            self._lend(frame, arrays)
            script = frame.script
            script.point([frame[slot] for slot in frame.lent])
            for part in frame.parts:
                if ticks is not None:
                    start = time.perf_counter_ns()
                if type(part) is tuple:
                    script.run(*part, ticks is not None)
                else:
                    self._run_step(part, frame)  # type: ignore[arg-type]
                if ticks is not None:
                    ticks.append((start, time.perf_counter_ns()))
            return tuple([self._result(frame, slot) for slot in self.outputs])
        finally:
            self._clear(frame)

    def bind(self, arrays: Sequence[Array]) -> None:
        """Have a frame ready for the first call; arrays: like its inputs."""
        frame = self._new_frame()
        self._bind(frame, arrays, _threads.threads_for(_threads.SERIAL_WORK), True)
        self._clear(frame)

    def _frame(self, threads: int) -> Frame:
        """A free frame, if possible one that is bound for this number of threads."""
        frames = self._frames
        try:
            for number in range(len(frames) - 1, -1, -1):
                if frames[number].threads == threads:
                    return frames.pop(number)
            if len(frames) > 1:  # two are kept for callers that alternate between thread counts
                return frames.pop()
        except IndexError:  # another thread took it
            pass
        return self._new_frame()

    def _run_step(self, step: Step, frame: Frame) -> None:
        try:
            step.run(frame)
        except Exception as error:
            error.add_note(f"in the node {step.node.label or step.node} of the network")
            raise
        for slot in step.drop:
            frame[slot] = None

    def _lend(self, frame: Frame, arrays: Sequence[Array]) -> None:
        """The call's own arrays: its inputs, and new ones for results."""
        for slot, array in zip(self.inputs, arrays, strict=True):
            frame[slot] = array if array.flags.aligned else array.copy()
        for slot, shape, dtype in self.results:
            frame[slot] = empty(shape, dtype)
        for view in frame.views:
            source = frame[view.source]
            frame[view.slot] = view.of(source) if view.start >= 0 else source.reshape(view.shape)

    def _bind(self, frame: Frame, arrays: Sequence[Array], threads: int, join: bool) -> None:
        """Bind the core's steps to this frame's arrays; join: those that follow each other are one part."""
        frame.lent, frame.views = (*self.inputs, *(slot for slot, _, _ in self.results)), self.views
        frame.drop = tuple([slot for step in self.steps for slot in step.drop])
        self._lend(frame, [np.empty(array.shape, array.dtype) for array in arrays])
        script = Script(threads, [frame[slot] for slot in frame.lent])
        parts: list[tuple[int, int] | Step] = []
        for step in self.steps:
            if not step.core:
                parts.append(step)
                continue
            first = len(script)
            step.run(frame, script)
            last = parts[-1] if parts else None
            if join and type(last) is tuple:
                parts[-1] = (last[0], len(script))
            else:
                parts.append((first, len(script)))
        for part in parts:
            if join and type(part) is tuple:
                script.join(*part)
        script.close()
        if all(step.core for step in self.steps):  # they have their pointers: only outputs need views
            self._clear_lent(frame)
            frame.views = self._views_of_outputs()
        frame.script, frame.parts = script, tuple(parts)
        frame.steps, frame.threads = self.steps, threads

    def _views_of_outputs(self) -> tuple[View, ...]:
        needed, views = set(self.outputs), []
        for view in reversed(self.views):  # each of them has its source before it
            if view.slot in needed:
                needed.add(view.source)
                views.append(view)
        return tuple(reversed(views))

    def _result(self, frame: Frame, slot: int) -> Array:
        result: Array = frame[slot]
        return np.array(result, order="C") if slot in self.copied else result

    def _clear(self, frame: Frame) -> None:
        """Drop the arrays of the call, and keep the arena for the next call."""
        self._clear_lent(frame)
        for slot in frame.drop:
            frame[slot] = None
        for slot in self.outputs:  # outputs that steps allocated; none is in the arena
            frame[slot] = self.template[slot]
        self._frames.append(frame)
        self.called = True
        if idle.watch is None:
            idle.start()

    def _clear_lent(self, frame: Frame) -> None:
        for slot in frame.lent:
            frame[slot] = None
        for view in frame.views:
            frame[view.slot] = None

    def _new_frame(self) -> Frame:
        idle.programs[id(self)] = self
        frame = Frame(self.template)
        arena = pages(self.arena_bytes)
        for slot, offset, shape, dtype in self.buffers:
            size = math.prod(shape) * dtype.itemsize
            frame[slot] = arena[offset : offset + size].view(dtype).reshape(shape)
        for view in self.arena_views:
            frame[view.slot] = view.of(frame[view.source])
        return frame

    def release(self) -> None:
        """Give the arenas back."""
        self._frames.clear()
