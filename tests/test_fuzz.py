"""The fuzzer's targets on a few random bytes each: what `.ci/fuzz` runs for longer, guided by coverage."""

from __future__ import annotations

import fuzz
import pytest


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_targets_hold_on_random_bytes(target: str) -> None:
    if target == "safetensors":
        pytest.importorskip("safetensors.numpy")
    fuzz.run_random(target, 300, 1)


@pytest.mark.long
@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_targets_hold_on_many_random_bytes(target: str) -> None:
    fuzz.run_random(target, 100_000, 2)


@pytest.mark.parametrize(("target", "seed"), [(t, s) for t, known in fuzz.seeds().items() for s in known])
def test_the_seeds_are_sound_files(target: str, seed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the fuzzer would see refusals only."""
    if target == "safetensors":
        pytest.importorskip("safetensors.numpy")
    read = []
    name = "read_network" if target == "network_text" else "read_weights"
    reader = getattr(fuzz, name)
    monkeypatch.setattr(fuzz, name, lambda path: read.append(reader(path)) or read[-1])
    fuzz.TARGETS[target](seed)
    assert len(read) == 1
    assert read[0]
