"""The number of threads of a call (from environment, affinity, cgroup quota and scopes), and forks.

The count is handed to each parallel region; `omp_set_num_threads` is never called, so that no other library
notices. After a fork, libgomp's pool is gone and a child's first region would hang for ever: the pool is
freed before each fork, and where that is impossible the child computes on one thread.
"""

from __future__ import annotations

import _thread  # not threading, whose import takes 1.2 ms
import contextvars
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from . import _kernels
from .arguments import as_size, shown

# Nanoseconds of one thread: a region costs about 6 us and waking a sleeping thread 30; below, it loses.
SERIAL_WORK = 40_000
# Any count may be asked for; where threads cannot be created, OpenMP's runtime ends the process.
MOST_THREADS = max(64, 2 * (os.cpu_count() or 1))
LARGEST = 4096  # a larger count is a mistake: no machine has so many CPUs

_scope: contextvars.ContextVar[int | None] = contextvars.ContextVar("convlite_num_threads", default=None)
_process: int | None = None
_forked_serial = False
_fork = _thread._local()  # what a thread that forks must remember: several may fork at once


def _environment() -> tuple[int, str] | None:
    for name in ("CONVLITE_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if not text:
            continue
        if text.isdecimal() and len(text) < 10 and 0 < int(text) <= LARGEST:
            return int(text), name
        if name == "CONVLITE_NUM_THREADS":
            raise ImportError(f"{name} must be an integer from 1 to {LARGEST}; got {shown(text)}")
    return None


def _as_count(n: object) -> int:
    count = as_size(n, "n")
    if count > LARGEST:
        raise ValueError(
            f"n must be at most {LARGEST} threads; got {count}; a call uses at most {MOST_THREADS} here"
        )
    return count


def _quota(folder: str) -> float | None:
    """CPUs that one group allows: cgroup v2's cpu.max, v1's cpu.cfs_quota_us / cpu.cfs_period_us."""

    def words(name: str) -> list[str]:
        with open(os.path.join(folder, name), encoding="ascii") as file:
            return file.read().split()

    try:
        quota, period = words("cpu.max")[:2]
    except (OSError, ValueError):
        try:
            quota, period = words("cpu.cfs_quota_us")[0], words("cpu.cfs_period_us")[0]
        except (OSError, ValueError, IndexError):
            return None
    try:
        share = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return share if 0 < share < float("inf") else None


def _unescaped(path: str) -> str:
    """mountinfo writes a blank, a tab, a line's end and a backslash as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _groups(root: str) -> Iterator[str]:
    """The folders of this process's groups for CPU time, each from the innermost up to its mount."""

    def lines(name: str) -> list[str]:
        try:
            with open(
                os.path.join(root, "proc/self", name), encoding="utf-8", errors="surrogateescape"
            ) as file:
                return file.read().splitlines()
        except OSError:
            return []

    found = {}  # "cpu" for v1, "" for v2 -> path of the group
    for line in lines("cgroup"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers or "cpu" in controllers.split(","):
            found["cpu" if controllers else ""] = path
    for line in lines("mountinfo"):
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        if kind[0] == "cgroup" and "cpu" not in kind[2].split(","):
            continue
        group = found.get("cpu" if kind[0] == "cgroup" else "")
        if group is None:
            continue
        mounted, mount = _unescaped(fields[3]), _unescaped(fields[4]).lstrip("/")
        # A container may see its own group as the mount's root ("/.." where it lies outside of the mount).
        inside = os.path.relpath(group, mounted) if group.startswith("/") else "."
        parts = [] if inside.startswith("..") else [part for part in inside.split("/") if part != "."]
        for count in range(len(parts), -1, -1):
            yield os.path.join(root, mount, *parts[:count])


def cgroup_quota(root: str | os.PathLike[str] = "/") -> float | None:
    """CPUs that the quotas of this process's control groups allow, the least of all ancestors, or None.

    `root` has /proc/self and the mounts, for the tests.
    """
    root = os.fspath(root)
    usual = os.path.join(root, "sys/fs/cgroup")  # also where /proc says nothing
    folders = [usual, os.path.join(usual, "cpu"), *_groups(root)]
    return min((quota for folder in folders if (quota := _quota(folder)) is not None), default=None)


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
    """Return the number of threads that a call from here may use.

    Returns
    -------
    int
        The number of threads.

    Examples
    --------
    >>> get_num_threads() >= 1
    True
    """
    if _forked_serial:
        return 1
    return _scope.get() or _process or _default_count


def set_num_threads(n: int) -> None:
    """Set the number of threads for the whole process; a block of `num_threads` has precedence.

    Parameters
    ----------
    n : int
        The number of threads, from 1 to 4096. A call uses at most 64 or twice as many as there are CPUs,
        whichever is more.

    Raises
    ------
    TypeError
        For what is no integer.
    ValueError
        For a number outside of 1 to 4096.

    Examples
    --------
    >>> set_num_threads(get_num_threads())
    """
    global _process
    _process = _as_count(n)


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Use n threads inside this block, in this Python thread (or asyncio task) only.

    Parameters
    ----------
    n : int
        The number of threads, from 1 to 4096. A call uses at most 64 or twice as many as there are CPUs,
        whichever is more.

    Raises
    ------
    TypeError
        For what is no integer.
    ValueError
        For a number outside of 1 to 4096.

    Examples
    --------
    >>> with num_threads(1):
    ...     get_num_threads()
    1
    """
    token = _scope.set(_as_count(n))
    try:
        yield
    finally:
        _scope.reset(token)


def threads_for(nanoseconds: float) -> int:
    """The number of threads worth their cost for work that takes one of them so long; 1 inside another
    library's parallel region."""
    if nanoseconds < SERIAL_WORK:
        return 1
    count = 1 if _forked_serial else _scope.get() or _process or _default_count
    return 1 if count == 1 or _kernels.in_parallel() else min(count, MOST_THREADS)


def _before_fork() -> None:
    _fork.pause_failed = not _kernels.pause_openmp()


def _after_in_child() -> None:
    global _forked_serial
    _forked_serial = _forked_serial or _fork.pause_failed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_in_child)
