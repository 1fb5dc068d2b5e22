"""The choice of the instruction set: best first, forceable, loud."""

from __future__ import annotations

import numpy as np
import pytest
from interpreter import python

import convlite as cl
from convlite import _dispatch, _kernels

SHOW = "from convlite import _dispatch; print(_dispatch.active_isa())"


def test_available_isas_are_in_order_and_end_with_the_floor() -> None:
    available = _dispatch.available_isas()
    assert available[-1] == "base"
    assert list(available) == [isa for isa in _dispatch.ISAS if isa in available]
    for isa in _dispatch.ISAS:
        assert (_kernels.describe(isa, "f32") is not None) == (isa in available)
        assert (_kernels.describe(isa, "f64") is not None) == (isa in available)


def test_the_best_is_chosen() -> None:
    run = python(SHOW)
    assert run.stdout.split() == [_dispatch.available_isas()[0]]
    assert run.stderr == ""


@pytest.mark.parametrize("isa", _dispatch.ISAS)
def test_the_environment_forces_one(isa: str) -> None:
    if isa not in _dispatch.available_isas():
        pytest.skip(f"this CPU has no {isa}")
    assert python(SHOW, CONVLITE_ISA=isa).stdout.split() == [isa]
    assert python(SHOW, CONVLITE_ISA=f" {isa.upper()} ").stdout.split() == [isa]


def test_an_empty_environment_variable_forces_none() -> None:
    assert python(SHOW, CONVLITE_ISA="").stdout.split() == [_dispatch.available_isas()[0]]


@pytest.mark.parametrize("isa", ["avx1024", "sse2", "0", "avx2,avx512"])
def test_an_unknown_one_is_an_error_that_lists_what_there_is(isa: str) -> None:
    run = python("import convlite", CONVLITE_ISA=isa)
    assert run.returncode == 1
    there = ", ".join(_dispatch.available_isas())
    assert (
        run.stderr.strip().splitlines()[-1]
        == f"ImportError: CONVLITE_ISA={isa!r} is unknown to this build; there are: {there}"
    )


def test_an_unsupported_one_is_an_error() -> None:
    script = """
from convlite import _kernels
describe = _kernels.describe
_kernels.ISAS = ("best", *_kernels.ISAS)
_kernels.describe = lambda isa, kind: None if isa == "best" else describe(isa, kind)
import sys, importlib
sys.modules.pop("convlite._dispatch", None)
importlib.import_module("convlite._dispatch")
"""
    # The first import must succeed before its pieces can be replaced.
    run = python("import os, convlite; os.environ['CONVLITE_ISA'] = 'best'" + script)
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: CONVLITE_ISA='best' is not supported by this machine; ")


def test_the_variable_is_read_once() -> None:
    run = python("import os, convlite; os.environ['CONVLITE_ISA'] = 'nonsense'; convlite.show_config()")
    assert run.returncode == 0


@pytest.mark.thread_unsafe(reason="selects instruction sets")
def test_use_isa_is_for_a_while() -> None:
    before = _dispatch.active_isa()
    with _dispatch.use_isa("base"):
        assert _dispatch.active_isa() == "base"
        with _dispatch.use_isa(before):
            assert _dispatch.active_isa() == before
        assert _dispatch.active_isa() == "base"
    assert _dispatch.active_isa() == before
    with pytest.raises(ZeroDivisionError), _dispatch.use_isa("base"):
        raise ZeroDivisionError
    assert _dispatch.active_isa() == before


def test_use_isa_refuses_what_is_not_there() -> None:
    there = ", ".join(_dispatch.available_isas())
    with pytest.raises(ValueError) as caught, _dispatch.use_isa("neon9"):
        pass
    assert str(caught.value) == f"isa must be one of {there}; got 'neon9'"


def test_forced_sets_compute_the_same() -> None:
    script = """
import numpy as np, convlite as cl
x = np.arange(60, dtype=np.float32).reshape(1, 4, 5, 3)
print(cl.conv2d(x, np.ones((3, 3, 3, 17), np.float32), padding="same").sum())
"""
    results = {python(script, CONVLITE_ISA=isa).stdout for isa in _dispatch.available_isas()}
    x = np.arange(60, dtype=np.float32).reshape(1, 4, 5, 3)
    want = cl.conv2d(x, np.ones((3, 3, 3, 17), np.float32), padding="same").sum()
    assert results == {f"{want}\n"}


def test_config_says_what_was_chosen(isa: str) -> None:
    config = _dispatch.config()
    assert config["isa"] == isa
    assert config["convlite"] == cl.__version__
    assert config["isas"] == list(_dispatch.available_isas())
    assert config["threads"] == cl.get_num_threads()
    tile = _kernels.describe(isa, "f32")
    assert config["tile"] == f"{tile['mr']}x{tile['nr']} of {tile['lanes']} float32 lanes"


def test_show_config_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    cl.show_config()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"convlite {cl.__version__} (Python ")
    assert [line.split("  ")[1].strip() for line in lines[1:]] == [
        "instruction set", "micro-kernel", "parallel", "threads"
    ]  # fmt: skip
    assert f"available: {', '.join(_dispatch.available_isas())}" in lines[1]
