"""The backend test suite of the `onnx` package: every case passes, or is refused for a reason listed here."""

import re
import warnings

import pytest

onnx = pytest.importorskip(
    "onnx", reason="the package onnx is not installed: its backend test suite is not run"
)

import onnx_backend  # noqa: E402  (needs onnx)

# What may be refused: a part of the message. Everything else must pass.
REFUSALS = (
    r"elements of type (string|complex64|complex128|float8\w+|float4\w+|u?int2) are not supported",
    r"elements of type u?int4 are supported in constants only",
    r"is (a sequence|an optional value|a map|a sparse tensor); only tensors",
    r"version [1-5] of ONNX's operators",
    r"version 8 of the operator is not supported; Scan \(9\) is",
    r"3-D windows \([\dx]+\) are not supported",
    r"the attribute 'antialias' is 1",
    r"peepholes",
    r"training\): export the model for inference",
    r"whether it trains is computed",
    r"the indices of a 3-D MaxPool",
)
# Operators that are out of scope: words, trees and training; random numbers, spectra, deformed windows.
UNSUPPORTED = {
    "ai.onnx.ml": None,  # every operator of the domain
    "ai.onnx.preview.training": None,
    "": {
        "BitCast", "Col2Im", "CumProd", "DFT", "DeformConv", "Det", "ImageDecoder", "MaxRoiPool", "MaxUnpool",
        "MelWeightMatrix", "Multinomial", "Optional", "OptionalGetElement", "OptionalHasElement",
        "RandomNormal",
        "RandomNormalLike", "RandomUniform", "RandomUniformLike", "RegexFullMatch", "STFT", "SequenceAt",
        "SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceLength",
        "SplitToSequence", "ConcatFromSequence", "StringConcat", "StringNormalizer", "StringSplit",
        "TensorScatter", "TfIdfVectorizer",
    },
}  # fmt: skip


def is_honest(problem: str) -> bool:
    """Whether every line of a refusal names something that is known not to be supported."""
    lines = problem.splitlines()
    lines = [line.strip() for line in (lines[1:] if len(lines) > 1 else lines)]
    for line in lines:
        found = re.match(r"(?:.*/)?([\w.]+)(?: '[^']*')?: the operator is not supported", line)
        if found:
            domain, _, name = found[1].rpartition(".")
            names = UNSUPPORTED.get(domain, set())
            if names is None or name in names:
                continue
        if not any(re.search(part, line) for part in REFUSALS):
            return False
    return True


# The nine networks take ten seconds each in NumPy: two always, all with --long.
QUICK = ("real/test_squeezenet", "real/test_shufflenet")


def groups() -> dict[str, list[str]]:
    """The cases by their kind and first letters: two thousand tests would be as many lines."""
    found: dict[str, list[str]] = {}
    for name in onnx_backend.cases():
        kind, case = name.split("/")
        if kind == "real":
            continue
        key = f"{kind}/{case.removeprefix('test_')[:2].lower()}" if kind == "node" else kind
        found.setdefault(key, []).append(name)
    return found


@pytest.mark.parametrize("group", sorted(groups()))
def test_cases_pass_or_are_refused_honestly(group: str) -> None:
    assert_sound(groups()[group])


@pytest.mark.parametrize("name", QUICK)
def test_two_networks(name: str) -> None:
    assert_sound([name])


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in onnx_backend.cases() if name.startswith("real/")])
def test_the_nine_networks(name: str) -> None:
    assert_sound([name])


def assert_sound(names: list[str]) -> None:
    """Each case passes or is refused for a listed reason."""
    backend, wrong = onnx_backend.Backend(), []
    for name in names:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                onnx_backend.check(onnx_backend.cases()[name], backend)
        except onnx_backend.Refusal as problem:
            if not is_honest(str(problem)):
                wrong.append(f"{name} is refused: {problem}")
        except (AssertionError, ValueError) as problem:
            wrong.append(f"{name}: {' '.join(str(problem).split())[:300]}")
    assert not wrong, "\n".join(wrong)


def test_most_cases_are_read() -> None:
    """The suite is there and is not refused wholesale."""
    assert len(onnx_backend.cases()) > 1000


def test_a_refusal_that_is_not_listed_is_noticed() -> None:
    assert not is_honest("x: 1 node cannot be read\n  Conv 'c': the operator is not supported; ...")
    assert is_honest("x: 1 node cannot be read\n  a/Det 'c': the operator is not supported; ...")
