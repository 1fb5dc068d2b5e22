"""Scripts in interpreters of their own: for what is decided at import, and for forks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

# Seconds; `.ci/emulate` has more patience.
TIMEOUT = float(os.environ.get("INTERPRETER_TIMEOUT", "180"))


def python(script: str, *, prelude: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script that finds nothing but `environment` of what convlite and OpenMP read.

    Warnings are errors, and so is a run that takes longer than TIMEOUT.
    """
    foreign = ("CONVLITE_", "OMP_", "GOMP_")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    source = textwrap.dedent(prelude) + "\n" + textwrap.dedent(script)
    command = [sys.executable, "-W", "error", "-c", source]
    return subprocess.run(
        command, env={**clean, **environment}, capture_output=True, text=True, timeout=TIMEOUT
    )
