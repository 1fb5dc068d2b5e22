"""What is asked for by a wrong name: keywords that are misspelt, and what other libraries' models can do."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import convlite as cl
from convlite import activations, convert, initializers, layers, reference
from convlite.layers import Conv2D, InputLayer, Layer, Sequential

# What the package makes itself, abstract classes, and NumPy's ufuncs.
NOT_CALLED = {"LoadReport", "SymbolicTensor", "Layer", "KernelLayer", "WeightedLayer"}


def takes_any(function: Callable[..., Any]) -> bool:
    """Whether it hands other keywords on, as `from_weights` does to the constructor."""
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())


def functions() -> Iterator[tuple[str, Callable[..., Any], bool]]:
    """Each public function, constructor and method, and whether an instance comes first."""
    for module in (cl, activations, convert, initializers, layers, reference):
        for name in module.__all__:
            thing = getattr(module, name)
            where = f"{module.__name__}.{name}"
            if inspect.isclass(thing) and name not in NOT_CALLED:
                yield where, thing, False
                for member, value in inspect.getmembers(thing):
                    plain = inspect.isfunction(value)
                    method = plain or inspect.ismethod(value)
                    if method and not member.startswith("_") and member != "call" and not takes_any(value):
                        yield f"{where}.{member}", value, plain
            elif callable(thing) and not inspect.isclass(thing):
                yield where, thing, False


def long_names(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """The arguments that have a default, and those that have none; long enough to be recognised."""
    parameters = list(inspect.signature(function).parameters.values())
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needed = [p.name for p in named if p.default is p.empty and p.name != "self"]
    return [p.name for p in named if p.default is not p.empty and len(p.name) > 3], needed


FUNCTIONS = [(where, function, method) for where, function, method in functions() if long_names(function)[0]]


@pytest.mark.parametrize(
    ("function", "method"), [(f, m) for _, f, m in FUNCTIONS], ids=[where for where, _, _ in FUNCTIONS]
)
def test_a_misspelt_keyword_is_told_the_right_one(function: Callable[..., Any], method: bool) -> None:
    names, needed = long_names(function)
    for name in names:
        wrong = name[:-1] + "q"
        with pytest.raises(TypeError, match=f"{wrong}.*did you mean '{name}'"):
            function(*[object()] * method, **dict.fromkeys(needed), **{wrong: 1})


def test_there_are_functions_to_ask() -> None:
    assert len(FUNCTIONS) > 250


MODEL = Sequential([InputLayer((8, 8, 1)), Conv2D(2, 3)])
TRAINING = ["fit", "train", "train_on_batch", "backward"]


@pytest.mark.parametrize("model", [MODEL, MODEL.network(), Conv2D(2, 3)], ids=["model", "network", "layer"])
class TestAttributesOfOtherLibraries:
    @pytest.mark.parametrize("name", [*TRAINING, "compile", "evaluate"])
    def test_convlite_does_not_train(self, model: Any, name: str) -> None:
        with pytest.raises(AttributeError, match=f"no attribute '{name}': convlite runs networks"):
            getattr(model, name)

    @pytest.mark.parametrize("name", ["eval", "forward", "cuda"])
    def test_what_to_do_instead(self, model: Any, name: str) -> None:
        with pytest.raises(AttributeError, match=r"leave it out|as in model"):
            getattr(model, name)

    def test_they_do_not_exist(self, model: Any) -> None:
        for name in [*TRAINING, "compile", "evaluate", "eval", "forward"]:
            assert not hasattr(model, name)
            assert not hasattr(type(model), name)
            assert name not in dir(model)
            assert getattr(model, name, 5) == 5

    def test_other_names_are_refused_as_ever(self, model: Any) -> None:
        with pytest.raises(AttributeError, match=r"object has no attribute 'spam'$"):
            model.spam  # noqa: B018
        assert type(pickle.loads(pickle.dumps(model))) is type(model)


class Own(Layer):
    def call(self, x: Any) -> Any:
        return x

    @property
    def broken(self) -> int:
        raise AttributeError("of the layer's own")

    def fit(self) -> str:
        return "fitted"


def test_a_subclass_keeps_its_own() -> None:
    own = Own()
    assert own.fit() == "fitted"
    with pytest.raises(AttributeError, match="of the layer's own"):
        own.broken  # noqa: B018
    own.loss = 3  # type: ignore[attr-defined]
    assert own.loss == 3  # type: ignore[attr-defined]
