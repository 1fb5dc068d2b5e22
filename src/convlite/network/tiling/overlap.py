"""`Network.map_overlap`: a network over the chunks of a Dask array, with the halos that it needs.

The network is a value of Dask's graph of its own. So the scheduler sends it to a worker once, as it sends
data, and what the worker plans is kept with it for all further chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Any

import numpy as np

from ... import _precision, _threads
from ..executor import Executor
from ..graph import Array, described_shape
from .grid import Cells, Grid, cut_of
from .rule import ROLES
from .tiles import only_input

__all__ = ["mapped"]


def mapped(network: Any, executor: Executor, x: Any, threads: int) -> Any:
    """The lazy output for a Dask array; a tuple of them where there are several."""
    try:
        dask: Any = import_module("dask")
        da: Any = import_module("dask.array")
    except ImportError:
        raise ImportError('map_overlap needs the package dask: pip install "dask[array]"') from None
    value = only_input(executor)
    if not isinstance(x, da.Array):
        raise TypeError(
            f"x must be a dask.array; got {type(x).__name__}: write dask.array.from_array(x, ...)"
        )
    if x.dtype != value.dtype:
        raise TypeError(
            f"x must be {value.dtype}, as the input {value.name!r}; got {x.dtype}: write "
            f'x.astype("{value.dtype}")'
        )
    if any(np.isnan(size) for size in x.shape):
        raise ValueError("the sizes of x must be known: call x.compute_chunk_sizes() before")
    rank = None if value.shape is None else len(value.shape)
    bare = rank is not None and x.ndim == rank - 1
    whole = x[None] if bare else x
    cells = cut_of(executor, tuple(int(size) for size in whole.shape))
    grid = Grid(cells, _edges(cells, whole.chunks))
    depth = _depth(cells, grid, whole.chunks)
    chunks = [_chunks(cells, grid, whole.ndim, number) for number in range(len(cells.outputs))]
    wide = da.overlap.overlap(whole, depth, boundary=dict.fromkeys(depth, "none"), allow_rechunk=False)
    # The network as a value of the graph that chunks share; `pure` names it by what it computes.
    carried = dask.delayed(network, pure=True, traverse=False)
    block = _Block(tuple(whole.shape), grid.edges, depth, _precision.resolve(), threads)
    made = [
        {"dtype": dtype, "chunks": sizes, "meta": np.empty((0,) * whole.ndim, dtype)}
        for dtype, sizes in zip(cells.dtypes, chunks, strict=True)
    ]
    if len(made) == 1:
        results = [wide.map_blocks(block, network=carried, **made[0])]
    else:  # a block of tuples, which callers do not see, and the parts of each tuple
        tuples = wide.map_blocks(
            block, network=carried, dtype=object, meta=np.empty((0,) * whole.ndim, object)
        )
        results = [tuples.map_blocks(itemgetter(number), **how) for number, how in enumerate(made)]
    results = [result[0] for result in results] if bare else results
    return results[0] if len(results) == 1 else tuple(results)


def _axis(cells: Cells, role: int) -> int:
    """Of the input that follows a role."""
    return cells.cut.roles[cells.cut.input.name].index(role)


def _edges(cells: Cells, chunks: tuple[tuple[int, ...], ...]) -> dict[int, list[int]]:
    """Where chunks begin along each role, and the end; each must have outputs."""
    for axis, role in enumerate(cells.cut.roles[cells.cut.input.name]):
        if role is None and len(chunks[axis]) > 1:
            raise ValueError(
                f"x must be in one piece along axis {axis}, which the network looks at as a whole; its "
                f"chunks are {chunks[axis]}: write x.rechunk({{{axis}: -1}})"
            )
    found = {}
    for role in cells.cut.used:
        edges = [0, *accumulate(int(size) for size in chunks[_axis(cells, role)])]
        for lo, hi in pairwise(edges):
            windows = [cells.window(name, role, lo, hi) for name in cells.outputs]
            if any(first >= last for first, last in windows):
                raise ValueError(
                    f"the chunk {lo}:{hi} of x has no outputs of its own along the {ROLES[role]}: make "
                    f"chunks larger, best multiples of {cells.cut.alignment(role)}"
                )
        found[role] = edges
    return found


def _depth(cells: Cells, grid: Grid, chunks: tuple[tuple[int, ...], ...]) -> dict[int, tuple[int, int]]:
    """(before, behind) of each axis; chunks must hold what their neighbours read of them."""
    depth = {}
    for axis, role in enumerate(cells.cut.roles[cells.cut.input.name]):
        before, behind = (0, 0) if role is None else grid.halo(role)
        depth[axis] = before, behind
        if len(chunks[axis]) > 1 and min(chunks[axis]) < max(before, behind):
            raise ValueError(
                f"the chunks of x must be at least as large as the halo, {max(before, behind)} along axis "
                f"{axis}; the smallest is {min(chunks[axis])}: write x.rechunk"
            )
    return depth


def _chunks(cells: Cells, grid: Grid, rank: int, number: int) -> tuple[tuple[int, ...], ...]:
    """Of an output."""
    name, shape = cells.outputs[number], cells.output_shapes[number]
    roles = cells.cut.roles[name]
    if len(shape) != rank or any(roles[_axis(cells, role)] != role for role in cells.cut.used):
        raise ValueError(
            f"the output {name!r} of shape {described_shape(shape)} does not have its images, rows and "
            "columns where x has them, which map_overlap needs"
        )
    found: list[tuple[int, ...]] = []
    for axis, role in enumerate(roles):
        if role is None:
            found.append((shape[axis],))
        else:
            found.append(tuple(way.wanted[name][1] - way.wanted[name][0] for way in grid.ways[role]))
    return tuple(found)


class _Block:
    """What runs for each chunk: small, since it travels with every task."""

    def __init__(
        self,
        shape: tuple[int, ...],
        edges: Mapping[int, Any],
        depth: Mapping[int, tuple[int, int]],
        precision: Any,
        threads: int,
    ) -> None:
        self.shape, self.edges, self.depth = shape, dict(edges), dict(depth)
        self.precision, self.threads = precision, threads
        self.__name__ = "convlite_tiles"  # what Dask calls the tasks

    def __call__(self, block: Array, network: Any, block_id: tuple[int, ...] = ()) -> Any:
        with _precision.precision(self.precision), _threads.num_threads(self.threads):
            cells = cut_of(network._executor, self.shape)
            ways, place = {}, [slice(None)] * len(self.shape)
            for role, edges in self.edges.items():
                axis = _axis(cells, role)
                number = block_id[axis]
                lo, hi = edges[number], edges[number + 1]
                way = cells.cut.way(role, {out: cells.window(out, role, lo, hi) for out in cells.outputs})
                start = lo - (self.depth[axis][0] if number else 0)
                place[axis] = slice(way.source[0] - start, way.source[1] - start)
                ways[role] = way
            results = cells.run(cells.tile(ways), np.asarray(block[tuple(place)]))
            return results[0] if len(results) == 1 else results

    def __dask_tokenize__(self) -> Any:
        return self.shape, self.edges, self.depth, self.precision, self.threads
