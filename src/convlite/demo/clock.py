"""A stopwatch for the stages of the demo."""

import contextlib
import time
from collections.abc import Iterator

__all__ = ["Clock"]


class Clock:
    """Adds up the time spent in named stages, in milliseconds, in the order in which they first ran.

    >>> clock = Clock()
    >>> for _ in range(3):
    ...     with clock("sleep"):
    ...         time.sleep(0.001)
    >>> clock.milliseconds["sleep"] >= 3
    True
    """

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        elapsed = (time.perf_counter() - begin) * 1e3
        self.milliseconds[stage] = self.milliseconds.get(stage, 0.0) + elapsed
