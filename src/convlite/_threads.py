"""How many threads a call may use: environment, affinity, cgroup quota, scopes; and what a fork does.

The count is handed to each parallel region; `omp_set_num_threads` is never called, so that no other library
notices. After a fork, libgomp's pool is gone and a child's first region would hang for ever: the pool is
freed before each fork, and where that is impossible the child computes on one thread.
"""

from __future__ import annotations

import contextvars
import os
from collections.abc import Iterator
from contextlib import contextmanager

from . import _kernels
from .arguments import as_size

# Multiply-adds: a region costs about 6 us and waking a sleeping thread 30; below 40 us of work it loses.
SERIAL_WORK = 2_000_000
# Of a call, whatever was asked for: OpenMP ends the process where the system has no more threads to give.
MOST_THREADS = 1024

_scope: contextvars.ContextVar[int | None] = contextvars.ContextVar("convlite_num_threads", default=None)
_process: int | None = None
_forked_serial = False
_pause_failed = False


def _environment() -> tuple[int, str] | None:
    for name in ("CONVLITE_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if not text:
            continue
        if text.isdecimal() and 0 < int(text) < 2**31:
            return int(text), name
        if name == "CONVLITE_NUM_THREADS":
            raise ImportError(f"{name} must be a positive integer; got {text!r}")
    return None


def cgroup_quota(root: str | os.PathLike[str] = "/sys/fs/cgroup") -> float | None:
    """CPUs that the container's quota allows, or None: cgroup v2's cpu.max, v1's cpu.cfs_quota_us /
    cpu.cfs_period_us.
    """

    def words(*parts: str) -> list[str]:
        with open(os.path.join(root, *parts), encoding="ascii") as file:
            return file.read().split()

    try:
        quota, period = words("cpu.max")[:2]
    except (OSError, ValueError):
        try:
            quota, period = words("cpu", "cpu.cfs_quota_us")[0], words("cpu", "cpu.cfs_period_us")[0]
        except (OSError, IndexError):
            return None
    try:
        return float(quota) / float(period) if float(quota) > 0 else None
    except (ValueError, ZeroDivisionError):  # "max"
        return None


def _default() -> tuple[int, str]:
    if not _kernels.openmp():
        return 1, "built without OpenMP"
    given = _environment()
    if given:
        return given
    try:
        cores, reason = len(os.sched_getaffinity(0)), "CPUs that this process may run on"
    except AttributeError:
        cores, reason = os.cpu_count() or 1, "CPUs"
    quota = cgroup_quota()
    if quota is not None and quota < cores:
        return max(1, int(quota)), f"the container's quota of {quota:g} CPUs"
    return cores, reason


_default_count, _default_reason = _default()


def default() -> tuple[int, str]:
    """The default count and where it comes from."""
    return _default_count, _default_reason


def get_num_threads() -> int:
    """The number of threads that a call from here may use.

    Examples:
        >>> get_num_threads() >= 1
        True
    """
    if _forked_serial:
        return 1
    return _scope.get() or _process or _default_count


def set_num_threads(n: int) -> None:
    """Set the number of threads for the whole process (a scope of num_threads comes first).

    Examples:
        >>> set_num_threads(get_num_threads())
    """
    global _process
    _process = as_size(n, "n")


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Use n threads inside this block, in this Python thread (or asyncio task) only.

    Examples:
        >>> with num_threads(1):
        ...     get_num_threads()
        1
    """
    token = _scope.set(as_size(n, "n"))
    try:
        yield
    finally:
        _scope.reset(token)


def threads_for(multiply_adds: int) -> int:
    """The number of threads worth their cost for this work; 1 inside another library's parallel region."""
    if multiply_adds < SERIAL_WORK:
        return 1
    count = min(get_num_threads(), MOST_THREADS)
    return 1 if count > 1 and _kernels.in_parallel() else count


def _before_fork() -> None:
    global _pause_failed
    _pause_failed = not _kernels.pause_openmp()


def _after_in_child() -> None:
    global _forked_serial
    _forked_serial = _forked_serial or _pause_failed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_in_child)
