"""Every kind of the vocabulary: what it says of its outputs holds, however little is known."""

from __future__ import annotations

import math
from typing import Any

import network_cases_rare  # noqa: F401  it and what it imports fill CASES
import numpy as np
import pytest
from network_pieces import CASES, node_of

from convlite.network.facts import Fact, Size
from convlite.network.graph import Node
from convlite.network.infer import facts_of_node
from convlite.network.kinds import KINDS, kind_of

ROUNDS = 60


def draws(kind: str) -> list[tuple[Node, list[Any], np.random.Generator]]:
    found = []
    for seed in range(ROUNDS):
        rng = np.random.default_rng([seed, *kind.encode()])
        found.append((*node_of(kind, rng), rng))
    return found


def evaluated(size: Size, names: dict[str, int]) -> Any:
    if isinstance(size, str):
        return eval(size, {"floor": math.floor, "min": min, "max": max, **names})
    return size


def agrees(fact: Fact, array: Any, names: dict[str, int] | None = None, *, fully: bool = False) -> None:
    assert isinstance(array, np.ndarray)
    assert fact.dtype is None or fact.dtype == array.dtype
    if fact.shape is not None:
        sizes = tuple(evaluated(size, names or {}) for size in fact.shape)
        assert len(sizes) == array.ndim
        assert all(size is None or size == actual for size, actual in zip(sizes, array.shape, strict=True)), (
            sizes
        )
    if fully:
        assert fact.dtype is not None
        assert fact.concrete
    if fact.known is not None:
        np.testing.assert_array_equal(fact.known, array, strict=True)
    elif fact.data is not None:
        held = [evaluated(item, names or {}) for item in fact.data.ravel().tolist()]
        assert fact.data.shape == array.shape
        assert all(a is None or a == b for a, b in zip(held, array.ravel().tolist(), strict=True))


def test_every_kind_has_cases() -> None:
    assert set(CASES) == set(KINDS)


# Kinds whose sizes depend on what is computed, not on shapes alone.
BY_VALUE = {"nonzero", "unique", "compress", "non_max_suppression", "loop", "scan"}


@pytest.mark.parametrize("kind", CASES)
def test_everything_known(kind: str) -> None:
    for node, arrays, _ in draws(kind):
        got = kind_of(node).compute(node, arrays)
        facts = kind_of(node).infer(node, [None if a is None else Fact.of(a) for a in arrays])
        assert len(got) == len(facts) >= len(node.outputs)
        for fact, array in zip(facts, got, strict=True):
            agrees(fact, array, fully=kind not in BY_VALUE)
        for fact, array in zip(
            facts_of_node(node, [None if a is None else Fact.of(a) for a in arrays]), got, strict=True
        ):
            agrees(fact, array)


@pytest.mark.parametrize("kind", CASES)
def test_shapes_known_and_small_integers(kind: str) -> None:
    """Integers are shapes, axes and the like; of floats only the shape is known."""
    for node, arrays, _ in draws(kind):
        got = kind_of(node).compute(node, arrays)
        facts: list[Fact | None] = []
        for array in arrays:
            known = array is not None and array.dtype.kind in "iub" and array.size < 9
            facts.append(
                None if array is None else Fact.of(array) if known else Fact(array.dtype, array.shape)
            )
        by_value = BY_VALUE | {"range", "resize"}  # by floats: limits and scales
        for fact, array in zip(kind_of(node).infer(node, facts), got, strict=True):
            agrees(fact, array, fully=kind not in by_value)


@pytest.mark.parametrize("kind", CASES)
def test_part_of_the_shapes_known(kind: str) -> None:
    """Sizes unknown or with a name, arrays without a value or of unknown rank: no contradiction."""
    for node, arrays, rng in draws(kind):
        got = kind_of(node).compute(node, arrays)
        for _ in range(4):
            names: dict[str, int] = {}
            facts = [None if array is None else veiled(array, rng, names) for array in arrays]
            for fact, array in zip(facts_of_node(node, facts), got, strict=True):
                agrees(fact, array, names)


def veiled(array: Any, rng: np.random.Generator, names: dict[str, int]) -> Fact:
    if rng.random() < 0.1:
        return Fact(array.dtype, None)
    sizes: list[Size] = []
    for size in array.shape:
        way = rng.random()
        if way < 0.25 and size:
            same = [name for name, value in names.items() if value == size]
            name = same[0] if same and rng.random() < 0.5 else f"N{len(names)}"
            names[name] = size
            sizes.append(name)
        else:
            sizes.append(None if way < 0.4 else size)
    if array.dtype.kind in "iub" and array.size < 9 and rng.random() < 0.7:
        if array.dtype == np.int64 and rng.random() < 0.5:
            data = np.empty(array.shape, object)
            for place, item in np.ndenumerate(array):
                data[place] = item = int(item)
                if item >= 1 and rng.random() < 0.4:
                    name = f"N{len(names)}"
                    names[name] = item
                    data[place] = name
                elif rng.random() < 0.1:
                    data[place] = None
            if any(not isinstance(item, int) for item in data.ravel().tolist()):
                return Fact(array.dtype, array.shape, data)
        return Fact.of(array)
    return Fact(array.dtype, tuple(sizes))


@pytest.mark.parametrize("kind", CASES)
def test_inputs_are_left_as_they_are(kind: str) -> None:
    for node, arrays, _ in draws(kind)[:10]:
        before = [None if array is None else array.copy() for array in arrays]
        frozen = [None if array is None else array.view() for array in arrays]
        for array in frozen:
            if array is not None:
                array.flags.writeable = False
        kind_of(node).compute(node, frozen)
        for a, b in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(a, b)


def test_errors_name_the_node_its_kind_and_its_inputs() -> None:
    node = Node("matmul", ("a", "b"), ("y",), {}, "/head/MatMul")
    with pytest.raises(ValueError, match=r"'/head/MatMul' \(matmul\).*size 3, not 4.*float64\(2, 3\)"):
        KINDS["matmul"].infer(node, [Fact(np.dtype(float), (2, 3)), Fact(np.dtype(float), (4, 2))])
    with pytest.raises(ValueError, match=r"'/head/MatMul' \(matmul\)"):
        KINDS["matmul"].compute(node, [np.zeros((2, 3)), np.zeros((4, 2))])
    with pytest.raises(ValueError, match=r"node 'y' \(warp\): there is no such kind"):
        kind_of(Node("warp", ("a",), ("y",)))
    with pytest.raises(ValueError, match=r"\(softmax\): it lacks the attribute 'axis'"):
        KINDS["softmax"].infer(Node("softmax", ("a",), ("y",)), [Fact(np.dtype(float), (2, 3))])
    with pytest.raises(ValueError, match=r"\(add\): input 1 is missing"):
        KINDS["add"].compute(Node("add", ("a", ""), ("y",)), [np.zeros(2), None])
