"""The choice of the instruction set: the best one, at import; CONVLITE_ISA forces a lower one."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import _kernels, _threads

ISAS = _kernels.ISAS  # of this build, best first; base is SSE2 on x86-64 and NEON on arm64


def available_isas() -> tuple[str, ...]:
    """The instruction sets that this machine and this build offer, best first.

    >>> available_isas()[-1]
    'base'
    """
    return tuple(isa for isa in ISAS if _kernels.describe(isa, "f32") is not None)


def _choose() -> tuple[str, str]:
    available = available_isas()
    wanted = os.environ.get("CONVLITE_ISA", "").strip().lower()
    if not wanted:
        return available[0], "the best that the CPU and the operating system support"
    if wanted not in available:
        known = wanted in ISAS
        reason = "is not supported by this machine" if known else "is unknown to this build"
        raise ImportError(f"CONVLITE_ISA={wanted!r} {reason}; there are: {', '.join(available)}")
    return wanted, "CONVLITE_ISA"


_isa, _reason = _choose()
_kernels.use_tables(_isa)


def active_isa() -> str:
    """The instruction set in use."""
    return _isa


@contextmanager
def use_isa(isa: str) -> Iterator[None]:
    """Use another instruction set inside this block, in the whole process; for tests."""
    global _isa
    if isa not in available_isas():
        raise ValueError(f"isa must be one of {', '.join(available_isas())}; got {isa!r}")
    before = _isa
    _isa = isa
    _kernels.use_tables(isa)
    try:
        yield
    finally:
        _isa = before
        _kernels.use_tables(before)


def config() -> dict[str, Any]:
    """What was chosen and why, as a dict: version, instruction set, OpenMP, threads."""
    import numpy as np

    from . import __version__

    openmp = _kernels.openmp()
    threads, reason = _threads.default()
    tile = _kernels.describe(_isa, "f32")
    return {
        "convlite": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "isa": _isa,
        "isa_reason": _reason,
        "isas": list(available_isas()),
        "fma": tile["fma"],
        "tile": f"{tile['mr']}x{tile['nr']} of {tile['lanes']} float32 lanes",
        "openmp": openmp or None,
        "threads": _threads.get_num_threads(),
        "default_threads": threads,
        "default_threads_reason": reason,
    }


def show_config() -> None:
    """Print what was chosen and why: version, instruction set, OpenMP, threads.

    Examples
    --------
    >>> show_config()  # doctest: +ELLIPSIS
    convlite ...
    """
    c = config()
    openmp = f"OpenMP {c['openmp']}" if c["openmp"] else "none: built without OpenMP, one thread"
    print(f"convlite {c['convlite']} (Python {c['python']}, NumPy {c['numpy']}, {c['machine']})")
    print(f"  instruction set  {c['isa']}: {c['isa_reason']}; available: {', '.join(c['isas'])}")
    print(f"  micro-kernel     {c['tile']}, {'fused multiply-add' if c['fma'] else 'multiply, then add'}")
    print(f"  parallel         {openmp}")
    print(
        f"  threads          {c['threads']} (default {c['default_threads']}: {c['default_threads_reason']})"
    )
