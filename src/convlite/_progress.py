"""A progress bar for work that is done in batches."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Progress", "reporting"]

Progress = bool | Callable[[int, Any], object]  # the number in all is None where it is not known


@contextlib.contextmanager
def reporting(progress: Progress, total: int | None, title: str) -> Iterator[Callable[[int], object]]:
    """A function to tell how many of `total` are done: it calls `progress`, draws a bar, or does nothing.

    total is None where it is not known: a bar then only counts.

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
            of = "" if total is None else f"/{total}"
            yield lambda done: print(f"\r{title}: {done}{of}", end="", file=sys.stderr, flush=True)
        finally:
            print(file=sys.stderr)


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm
