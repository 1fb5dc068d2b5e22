"""How idle OpenMP threads wait: they spin briefly, then sleep. This is imported before the compiled core.

By default the threads of libgomp spin for milliseconds after a region. That takes the time of a CPU for
nothing, and beside another busy process each region then waits for a time slice of the scheduler (1 to 5 ms).
With GOMP_SPINCOUNT=1000 the threads sleep after a few microseconds: regions in a row still cost 0.6 us, a
region after a pause costs 32 to 38 us, and idle threads cost nothing.

libgomp reads the variable once, when it is loaded. So it is set while the core is imported and restored
afterwards: no other library and no child process sees it. It has no effect if the user has set a policy
(OMP_WAIT_POLICY, GOMP_SPINCOUNT), or if the same libgomp is in the process already (a copy that another
package's wheel brings does not count).
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
