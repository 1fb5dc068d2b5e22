"""A progress bar for work that is done in batches."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Progress", "reporting"]

Progress = bool | Callable[[int, int], object]


@contextlib.contextmanager
def reporting(progress: Progress, total: int, title: str) -> Iterator[Callable[[int], object]]:
    """A function to tell how many of `total` are done: it calls `progress`, draws a bar, or does nothing.

    >>> with reporting(lambda done, total: print(f"{done}/{total}"), 2, "model") as report:
    ...     report(1)
    1/2
    """
    if callable(progress):
        yield lambda done: progress(done, total)
    elif not progress:
        yield lambda done: None
    elif (tqdm := _tqdm()) is not None:
        with tqdm(total=total, desc=title, unit="sample") as bar:
            yield lambda done: bar.update(done - bar.n)
    else:
        try:
            yield lambda done: print(f"\r{title}: {done}/{total}", end="", file=sys.stderr, flush=True)
        finally:
            print(file=sys.stderr)


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm
