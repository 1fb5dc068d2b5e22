"""tests/bit_lists.py: instruction sets give the same bits, and what differs is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bit_lists import FAMILIES, compare, digest

from convlite import _dispatch


@pytest.mark.thread_unsafe(reason="selects instruction sets")
@pytest.mark.parametrize("family", FAMILIES)
def test_instruction_sets_with_fma_give_the_same_bits(family: Any) -> None:
    fused = [isa for isa in ("avx512", "avx2") if isa in _dispatch.available_isas()]
    if len(fused) < 2:
        pytest.skip(f"two instruction sets with FMA are needed; this CPU has {fused}")
    rows = []
    for isa in fused:
        with _dispatch.use_isa(isa):
            rows.append(list(family()))
    assert compare(*rows) == []
    assert len(rows[0]) > 50


def test_a_difference_is_named() -> None:
    want = ["conv float32 aa 11", "conv float64 aa 22", "pool float32 bb 33", "old float32 cc 44"]
    got = ["conv float32 aa 11", "conv float64 aa 23", "pool float32 bc 34", "new float32 cc 44"]
    assert compare(want, want) == []
    assert compare(got, want) == [
        "conv float64: the results differ",
        "new float32: only in one of the lists",
        "old float32: only in one of the lists",
        "pool float32: the operands differ",
    ]


def test_the_hash_is_of_values_and_signs() -> None:
    x = np.array([[1, 0, np.nan]], np.float32)
    assert digest(x) == digest(x.astype(">f4")) == digest(np.copysign(x, [1, 1, -1]).astype(np.float32))
    others = [x.astype(np.float64), x.T.copy(), np.copysign(x, [1, -1, 1]).astype(np.float32), x + 1]
    assert len({digest(x), *map(digest, others)}) == 5
