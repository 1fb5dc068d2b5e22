"""How idle OpenMP threads wait: briefly, then asleep. Imported before anything that imports the compiled
core.

By default libgomp's threads spin for milliseconds after a region. That burns a CPU while nothing happens, and
beside any other busy process
each region then costs a slice of the scheduler (1 to 5 ms). With GOMP_SPINCOUNT=1000 they sleep after a few
microseconds: back-to-back
regions still cost 0.6 us, a region after a pause 32 to 38 us, and idle threads cost nothing.

libgomp reads the variable once, when it is loaded, so it is set around the import of the core only and
restored: no other library and no child
process sees it. It has no effect where the user has chosen a policy (OMP_WAIT_POLICY, GOMP_SPINCOUNT), or
where the same libgomp is in the
process already (another package's wheel brings its own copy, which does not count).
"""

import os

_CHOSEN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")

if any(name in os.environ for name in _CHOSEN):
    from . import _kernels
else:
    os.environ["GOMP_SPINCOUNT"] = "1000"
    try:
        from . import _kernels
    finally:
        del os.environ["GOMP_SPINCOUNT"]

__all__ = ["_kernels"]
