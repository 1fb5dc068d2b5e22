"""A progress bar for work in batches."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Progress", "reporting"]

_SECONDS = 10.0  # between lines

Progress = (
    bool | Callable[[int, Any], object]
)  # called with (number done, total); the total is None if it is unknown


@contextlib.contextmanager
def reporting(progress: Progress, total: int | None, title: str) -> Iterator[Callable[[int], object]]:
    """A function to tell how many of `total` are done: it calls `progress`, draws a bar, or does nothing.

    total is None where it is not known: a bar then only counts. The bar is on standard error. Where
    that is no terminal, there are whole lines instead, one in ten seconds and one at the end.

    >>> with reporting(lambda done, total: print(f"{done}/{total}"), 2, "model") as report:
    ...     report(1)
    1/2
    """
    if callable(progress):
        yield lambda done: progress(done, total)
    elif not progress:
        yield lambda done: None
    elif not sys.stderr.isatty():
        with _lines(total, title) as report:
            yield report
    elif (tqdm := _tqdm()) is not None:
        with tqdm(total=total, desc=title, unit="sample") as bar:
            yield lambda done: bar.update(done - bar.n)
    else:
        try:
            of = "" if total is None else f"/{total}"
            yield lambda done: print(f"\r{title}: {done}{of}", end="", file=sys.stderr, flush=True)
        finally:
            print(file=sys.stderr)


@contextlib.contextmanager
def _lines(total: int | None, title: str) -> Iterator[Callable[[int], object]]:
    """Print the progress as whole lines."""
    shown, done_last = time.monotonic(), 0

    def report(done: int) -> None:
        nonlocal shown, done_last
        done_last = done
        if time.monotonic() - shown >= _SECONDS and done != total:
            shown = time.monotonic()
            say()

    def say() -> None:
        of = "" if total is None else f"/{total}"
        print(f"{title}: {done_last}{of}", file=sys.stderr, flush=True)

    yield report
    say()


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm
