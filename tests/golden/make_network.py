"""Write network_v1.npz: a network file of version 1 that every later version must read. Run it once a version.

python tests/golden/make_network.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from network_examples import branching, classifier, numbers  # noqa: E402

import convlite as cl  # noqa: E402

for name, graph in (("classifier", classifier()), ("branching", branching())):
    cl.Network(graph).save(HERE / f"network_v1_{name}.npz")
x = numbers(7, 2, 9, 7, 3)
y, q = cl.Network(branching())(np.array(True), np.array([-1, 0.5, 4], np.float32))
np.savez_compressed(HERE / "network_v1_values.npz", x=x, classifier=cl.Network(classifier())(x), y=y, q=q)
