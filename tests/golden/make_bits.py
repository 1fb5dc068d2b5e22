"""Writes bits.json: what convlite's own outputs are, bit for bit (../bits.py, ../test_bits.py).

    PYTHONPATH=tests python tests/golden/make_bits.py

on a CPU whose best instruction set has fused multiply-adds. A change of this file is a decision: it belongs into the
changelog, with its reason. Names of the hashes that changed are printed.
"""

import json

import bits

from convlite import _dispatch, _kernels

if not _kernels.describe(_dispatch.active_isa(), "f32")["fma"]:
    raise SystemExit(f"{_dispatch.active_isa()} has no fused multiply-add, so its bits are others")
before = bits.read() if bits.FILE.exists() else {}
after = bits.compute()
rows = [f"  {json.dumps(name)}: {json.dumps(hashes)}" for name, hashes in after.items()]
bits.FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n")
changed = [name for name in after if name in before and before[name] != after[name]]
new, gone = [name for name in after if name not in before], [name for name in before if name not in after]
print(f"{len(after)} calls; changed: {changed}; new: {len(new)}; gone: {gone}")
