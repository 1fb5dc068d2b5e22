"""`Network.tiled` and `Network.tiling`: what users call to run a network tile by tile."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import _precision
from ..._progress import Progress, reporting
from ...arguments import as_int, as_size, new_output, shown
from ..executor import Executor
from ..graph import Array, Value, described_shape
from ..inputs import refuse_shape
from ..summary import as_shape
from .grid import Cells, Grid, Tile, cut_of, edges_of, widest
from .journal import Journal, fingerprint
from .record import TiledArray, Tiling
from .rule import ROLES

__all__ = ["run_tiled", "tiling_for"]

DEFAULT_MEMORY = 256 << 20
WORTH = 0.25  # the largest halo, as a part of a tile's side, that may be added to keep the bits of "fast"


def tiling_for(
    executor: Executor, shape: Sequence[int], tile: Any, memory: float | None
) -> tuple[Tiling, Grid, bool]:
    """(the tiling, its grid, whether the shape lacks the axis of images)."""
    value = only_input(executor)
    sizes = tuple(as_int(size, f"shape[{axis}]") for axis, size in enumerate(as_shape(shape, "shape")))
    rank = None if value.shape is None else len(value.shape)
    bare = rank is not None and len(sizes) == rank - 1
    cells = cut_of(executor, (1, *sizes) if bare else sizes)
    roles = tuple(role for role in cells.cut.used if role)
    alignment = {role: cells.cut.alignment(role) for role in roles}
    if tile is not None:
        if memory is not None:
            raise TypeError("give tile or memory, not both")
        sides = _sides(tile, roles, alignment)
        grid = _grid(cells, sides)
    else:
        grid, sides = _fitting(cells, roles, alignment, memory)
    if cells.fast:
        grid = _aligned(executor, grid, sides, memory) or grid
        cells = grid.cells
    halo = tuple(grid.halo(role) for role in roles)
    outputs = tuple(shape[1:] if bare else shape for shape in cells.output_shapes)
    same = not cells.fast or _same_forms(grid)
    peak = cells.peak(grid.largest())
    found = tuple(min(sides[role], cells.size(role)) for role in roles)
    aligned = tuple(alignment[role] for role in roles)
    return Tiling(sizes, found, halo, aligned, len(grid), outputs, peak, same), grid, bare


def only_input(executor: Executor) -> Value:
    """The network's one input; TypeError where there are several."""
    inputs = executor.graph.inputs
    if len(inputs) != 1:
        raise TypeError(f"tiles need a network of one input; this one has {len(inputs)}")
    return inputs[0]


def _sides(tile: Any, roles: tuple[int, ...], alignment: dict[int, int]) -> dict[int, int]:
    """The tile's size along each role, checked."""
    given = tuple(tile) if isinstance(tile, Sequence | np.ndarray) else (tile,) * len(roles)
    if len(given) != len(roles):
        names = " and ".join(ROLES[role] for role in roles)
        raise ValueError(f"tile must have one number for {names}; got {shown(tile)}")
    sides = {}
    for role, side in zip(roles, given, strict=True):
        size, step = as_size(side, "tile"), alignment[role]
        if size % step:
            fits = [n for n in (size // step * step, -(-size // step) * step) if n]
            raise ValueError(
                f"tile must be a multiple of {step} along {ROLES[role]}, this network's strides taken "
                f"together; got {size}: write {' or '.join(map(str, fits))}"
            )
        sides[role] = size
    return sides


def _same_forms(grid: Grid) -> bool:
    """Whether each convolution of each tile takes the form of the whole run."""
    return all(grid.cells.same_forms(kind) for kind in grid.kinds())


def _aligned(executor: Executor, grid: Grid, sides: dict[int, int], memory: float | None) -> Grid | None:
    """The same tiles with windows that keep the bits of "fast", where that makes halos little larger."""
    if _same_forms(grid):
        return None
    found = _grid(cut_of(executor, grid.cells.shape, aligned=True), sides)
    if any(max(found.halo(role)) > WORTH * side for role, side in sides.items()) or not _same_forms(found):
        return None
    if memory is not None and found.cells.peak(found.largest()) > memory:
        return None
    return found


def _grid(cells: Cells, sides: dict[int, int]) -> Grid:
    edges = {role: edges_of(cells, role, sides.get(role, 1)) for role in cells.cut.used}
    return Grid(cells, edges)


def _fitting(
    cells: Cells, roles: tuple[int, ...], alignment: dict[int, int], memory: float | None
) -> tuple[Grid, dict[int, int]]:
    """The largest square tiles that fit into so many bytes."""
    limit = DEFAULT_MEMORY if memory is None else memory
    if not isinstance(limit, int | float | np.integer) or not limit > 0:
        raise ValueError(f"memory must be a number of bytes above 0; got {shown(memory)}")
    step = math.lcm(*alignment.values())
    most = -(-max(cells.size(role) for role in roles) // step)

    def needed(count: int) -> int:
        """Bytes of tiles of so many steps, by a few of them."""
        ways = {role: widest(cells, role, count * step if role else 1) for role in cells.cut.used}
        return cells.peak(cells.tile(ways))

    low, high = 0, 1  # in steps: a size that fits, and one that does not
    while high <= most and needed(high) <= limit:
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > max(1, low // 8):
        middle = (low + high) // 2
        low, high = (middle, high) if needed(middle) <= limit else (low, middle)
    if low == 0:
        if memory is not None:
            least = needed(1)
            raise ValueError(
                f"memory must be at least {least} bytes, for tiles of {step}; got {shown(memory)}"
            )
        low = 1
    while True:
        sides = dict.fromkeys(roles, low * step)
        grid = _grid(cells, sides)
        if low == 1 or cells.peak(grid.largest()) <= limit:
            cells.forget()
            return grid, sides
        low -= 1


def run_tiled(
    executor: Executor,
    x: TiledArray,
    out: Any,
    tile: Any,
    memory: float | None,
    progress: Progress,
    journal: str | os.PathLike[str] | None,
) -> Any:
    """The outputs for x, tile by tile."""
    value = only_input(executor)
    refuse_shape(x, value, "x")
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        x = np.asarray(x)
    if np.dtype(x.dtype) != value.dtype:
        raise TypeError(
            f"x must be {value.dtype}, as the input {value.name!r}; got {x.dtype}: give an object with "
            "shape, dtype and __getitem__ that converts what it reads"
        )
    if len(x.shape) == len(value.shape or ()) and (order := _order(tuple(x.shape), value)):
        raise ValueError(order)
    tiling, grid, bare = tiling_for(executor, x.shape, tile, memory)
    outs = _outs(executor, x, out, tiling)
    head = {
        "network": fingerprint(executor.graph) if journal is not None else "",
        "x": [list(tiling.shape), str(value.dtype)],
        "out": [list(shape) for shape in tiling.output_shapes],
        "tile": list(tiling.tile),
        "precision": _precision.resolve(),
    }
    if journal is not None and out is None:
        raise TypeError("a journal needs out: what an interrupted run has written must be somewhere")
    log = Journal(journal, head, outs)
    _run(grid, x, outs, bare, log, progress, executor.graph.name)
    log.finish()
    return outs[0] if len(outs) == 1 else outs


def _order(shape: tuple[int, ...], value: Value) -> str:
    """The message for an x whose channels are at the other end, or ""."""
    from ..._hints import other_order

    hint = other_order(shape, value.shape or (), "this network", True)
    return f"x must have the shape {described_shape(value.shape)}; got {shape}{hint}" if hint else ""


def _run(
    grid: Grid, x: TiledArray, outs: tuple[Any, ...], bare: bool, log: Journal, progress: Progress, name: str
) -> None:
    cells, total = grid.cells, len(grid)
    last: Tile | None = None
    try:
        with reporting(progress, total, name) as report:
            report(len(log.done))
            for number, tile in enumerate(grid):
                if number in log.done:
                    continue
                if last is not None and last.key != tile.key:
                    cells.give_back(last)
                last = tile
                _one(cells, tile, x, outs, bare)
                log.wrote(number)
                report(len(log.done))
    except BaseException as error:
        error.add_note(_told(len(log.done), total, log))
        raise
    finally:
        log.flush()
        if last is not None:
            cells.give_back(last)


def _one(cells: Cells, tile: Tile, x: TiledArray, outs: tuple[Any, ...], bare: bool) -> None:
    """Read, compute and write one tile; nothing of it is kept."""
    results = cells.run(tile, _read(x, tile, bare, cells))
    for out, where, result in zip(outs, tile.targets, results, strict=True):
        out[where[1:] if bare else where] = result[0] if bare else result


def _told(done: int, total: int, log: Journal) -> str:
    where = "; what they wrote into out is valid"
    if log.path is not None:
        where += f", and the same call goes on from there by the journal {str(log.path)!r}"
    return f"in tile {done + 1} of {total}: {done} are done{where}"


def _read(x: TiledArray, tile: Tile, bare: bool, cells: Cells) -> Array:
    """A tile's part of x."""
    place = tuple(
        slice(part.start, size if part.stop is None else part.stop)
        for part, size in zip(tile.source, cells.shape, strict=True)
    )
    part = np.asarray(x[place[1:] if bare else place])
    part = part[None] if bare else part
    wanted = tuple(along.stop - along.start for along in place)
    if part.shape != wanted:
        raise ValueError(f"x gave an array of the shape {part.shape} for {place}; it must be {wanted}")
    if part.dtype != cells.cut.input.dtype:
        raise TypeError(f"x gave an array of {part.dtype} though its dtype is {cells.cut.input.dtype}")
    return part


def _outs(executor: Executor, x: TiledArray, out: Any, tiling: Tiling) -> tuple[Any, ...]:
    """What the outputs are written into, checked."""
    declared = executor.graph.outputs
    if out is None:
        return tuple(
            new_output(shape, value.dtype)
            for shape, value in zip(tiling.output_shapes, declared, strict=True)
        )
    outs = out if isinstance(out, tuple | list) else (out,)
    if len(outs) != len(declared):
        raise TypeError(f"out must be one array for each of the {len(declared)} outputs; got {len(outs)}")
    for one, shape, value in zip(outs, tiling.output_shapes, declared, strict=True):
        what = "out" if len(outs) == 1 else f"out for {value.name!r}"
        if tuple(one.shape) != shape:
            got = described_shape(tuple(one.shape))
            raise ValueError(f"{what} must have the shape {described_shape(shape)}; got {got}")
        if np.dtype(one.dtype) != value.dtype:
            raise TypeError(f"{what} must be {value.dtype}; got {one.dtype}")
        if isinstance(one, np.ndarray):
            if not one.flags.writeable:
                raise ValueError(f"{what} must be writeable; it is read-only")
            if isinstance(x, np.ndarray) and (np.may_share_memory(one, x) or _same_file(one, x)):
                raise ValueError(f"{what} must not overlap x: tiles read what others would have written over")
    return tuple(outs)


def _same_file(one: Array, other: Array) -> bool:
    """Whether two memory maps show the same part of one file."""
    names = [getattr(array, "filename", None) for array in (one, other)]
    if None in names or getattr(one, "offset", 0) != getattr(other, "offset", 1):
        return False
    return os.path.exists(names[0]) and os.path.samefile(names[0], names[1])  # type: ignore[arg-type]
