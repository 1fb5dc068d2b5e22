"""Layers that hold layers: their weights are found, named, saved, loaded, counted and copied, or refused."""

import collections
import copy
import functools
import pathlib
import pickle
import threading
import types
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convlite import layers

Array = np.ndarray


class Residual(layers.Layer):
    """x + 1x1(norm(3x3(x))), widened where the channels differ: layers in an attribute, a list and a dict."""

    def __init__(self, filters: int, **options: Any) -> None:
        super().__init__(**options)
        self.conv = layers.Conv2D(filters, 3, padding="same")
        self.more = [layers.BatchNormalization(), {"last": layers.Conv2D(filters, 1)}]
        self.short = layers.Conv2D(filters, 1, use_bias=False)

    def call(self, x: Array) -> Array:
        y = self.more[0](self.conv(x))
        return self.more[1]["last"](y) + self.short(x)


class Both(layers.Layer):
    """The same layer twice, from two attributes and a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.second = layers.Dense(4)
        self.third = (self.first,)

    def call(self, x: Array) -> Array:
        return self.third[0](self.second(self.first(x)))


def network() -> layers.Sequential:
    return layers.Sequential(
        [Residual(6), Residual(4), layers.GlobalAveragePooling2D(), Both(), layers.Dense(3, "softmax")]
    )


def filled(shape: tuple[int | None, ...] = (None, 8, 8, 3)) -> layers.Sequential:
    model = network()
    model.build(shape)
    rng = np.random.default_rng(5)
    model.set_weights([rng.uniform(0.1, 1, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def image(size: int = 8) -> Array:
    return np.random.default_rng(1).normal(size=(2, size, size, 3)).astype(np.float32)


NAMES = [
    "residual/conv/kernel", "residual/conv/bias", "residual/more/0/gamma", "residual/more/0/beta",
    "residual/more/0/moving_mean", "residual/more/0/moving_variance", "residual/more/1/last/kernel",
    "residual/more/1/last/bias", "residual/short/kernel",
]  # fmt: skip


def test_weights_are_found_and_named() -> None:
    model = filled()
    names = model.weight_names()
    assert names[:9] == NAMES
    assert names[9:18] == [name.replace("residual", "residual_1") for name in NAMES]
    assert names[18:] == ["both/first/kernel", "both/first/bias", "dense/kernel", "dense/bias"]
    assert [w.shape for w in model.get_weights()[:2]] == [(3, 3, 3, 6), (6,)]
    assert list(model.named_weights()) == names
    assert model.count_params() == sum(w.size for w in model.get_weights())
    assert model[3].count_params() == 4 * 4 + 4  # of the shared layer, once
    assert [path for path, _ in model[0].sublayers()] == ["conv", "more/0", "more/1/last", "short"]
    assert [path for path, _ in model[3].sublayers()] == ["first", "second", "third/0"]


@pytest.mark.parametrize("how", ["build", "call"])
def test_building_builds_what_is_inside(how: str) -> None:
    model = network()
    assert not model.built
    assert model.compute_output_shape((None, 8, 8, 3)) == (None, 3)
    assert not model.built  # asking for a shape builds nothing
    if how == "build":
        model.build((None, 8, 8, 3))
    else:
        model(image())
    assert model.built
    assert model[0].conv.kernel.shape == (3, 3, 3, 6)
    assert (model[0].output_shape, model[1].input_shape) == ((None, 8, 8, 6), (None, 8, 8, 6))
    assert model.output_shape == (None, 3)


def test_the_summary_has_the_right_totals() -> None:
    rows = {line.split(" ")[0]: line.split() for line in str(filled()).splitlines()}
    assert rows["residual"][-2:] == [str(6 * 27 + 6 + 24 + 36 + 6 + 18), "?"]
    assert rows["both"][-2] == "20"
    assert rows["Parameters:"] == ["Parameters:", str(filled().count_params())]


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
@pytest.mark.parametrize("built", [True, False])
def test_weights_survive_a_file(tmp_path: pathlib.Path, ending: str, built: bool) -> None:
    if ending == "safetensors":
        pytest.importorskip("safetensors.numpy")
    model, twin, path = filled(), network(), tmp_path / f"w.{ending}"
    model.save_weights(path)
    if built:
        twin.build((None, 8, 8, 3))
    twin.load_weights(path)
    np.testing.assert_array_equal(twin(image()), model(image()))


def test_an_unbuilt_layer_inside_is_not_saved_in_part(tmp_path: pathlib.Path) -> None:
    model = layers.Sequential([Residual(6)])
    with pytest.raises(ValueError, match="Conv2D 'conv2d' has no weights yet"):
        model.save_weights(tmp_path / "w.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_have_layers_of_their_own(how: Callable[[Any], Any]) -> None:
    model, x = filled(), image()
    want = model(x)
    twin = how(model)
    np.testing.assert_array_equal(twin(x), want)
    assert twin[3].first is twin[3].second is twin[3].third[0] is not model[3].first
    assert not {id(layer) for _, layer in twin[0].sublayers()} & {
        id(layer) for _, layer in model[0].sublayers()
    }
    twin.set_weights([0 * w for w in twin.get_weights()])
    np.testing.assert_array_equal(model(x), want)
    assert (twin(x) == np.float32(1 / 3)).all()


def test_a_layer_as_activation_is_found_and_copied() -> None:
    layer = layers.Conv2D(4, 3, activation=layers.PReLU("ones", shared_axes=(1, 2)))
    model = layers.Sequential([layer])
    model.build((None, 8, 8, 3))
    assert model.weight_names() == ["conv2d/kernel", "conv2d/bias", "conv2d/activation/alpha"]
    x = image()
    want = model(x)
    for twin in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        weights = twin.get_weights()
        np.testing.assert_array_equal(twin(x), want)
        twin.set_weights([*weights[:2], 0 * weights[2]])
        np.testing.assert_array_equal(twin(x), np.maximum(want, 0))
        np.testing.assert_array_equal(model(x), want)


def test_unknown_sizes() -> None:
    block = Residual(4)
    with pytest.raises(ValueError, match=r"Residual 'residual' holds layers; what it gives .* is not known"):
        block.compute_output_shape((None, None, None, 3))
    block.build((None, 8, 8, 3))
    assert block.compute_output_shape((None, None, 9, 3)) == (None, None, 9, 4)
    assert block.compute_output_shape((5, 30, 9, 3)) == (5, 30, 9, 4)
    assert "residual" in repr(Residual(4))


def test_many_threads_call_one_new_model() -> None:
    made: list[tuple[int, ...]] = []

    def counted(shape: tuple[int, ...], dtype: Any) -> Array:
        made.append(shape)
        return np.full(shape, 0.5, dtype)

    class Held(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3, kernel_initializer=counted)

        def call(self, x: Array) -> Array:
            return self.dense(x)

    for _ in range(20):
        made.clear()
        model = layers.Sequential([Held(), layers.Dense(3, kernel_initializer=counted)])
        x, bad = np.ones((2, 4), np.float32), np.ones((2, 4))
        wait = threading.Barrier(8)

        def one(i: int, model: Any = model, wait: Any = wait, x: Array = x, bad: Array = bad) -> Any:
            wait.wait()
            try:
                return model(bad if i % 4 == 3 else x)
            except TypeError as error:
                return str(error)

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(one, range(8)))
        for i, result in enumerate(results):  # who calls it wrongly spoils it for nobody
            if i % 4 == 3:
                assert "x is float64" in result
            else:
                np.testing.assert_array_equal(result, np.full((2, 3), 3, np.float32))


# ---- what cannot be found or named -----------------------------------------------------------------------


class Holder(layers.Layer):
    """A layer with anything in an attribute."""

    def __init__(self, thing: Any) -> None:
        super().__init__()
        self.thing = thing

    def call(self, x: Array) -> Array:
        return x


HELD = layers.Dense(3)


class OfAClass(Holder):
    dense = layers.Dense(3)


class OfTheModule(Holder):
    def call(self, x: Array) -> Array:
        return HELD(x)


class OfASlot(Holder):
    __slots__ = ("dense",)

    def __init__(self, thing: Any) -> None:
        super().__init__(thing)
        self.dense = layers.Dense(3)


def closure(layer: layers.Layer) -> Callable[[Array], Array]:
    return lambda x: layer(x)


def objects(layer: layers.Layer) -> Array:
    array = np.empty(2, object)
    array[1] = layer
    return array


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: Holder({d}), "inside of thing, a set, where its weights have no name"),
        (lambda d: Holder([frozenset([d])]), "inside of thing/0, a frozenset"),
        (lambda d: Holder(types.SimpleNamespace(a=[d])), "inside of thing, a SimpleNamespace"),
        (lambda d: Holder(types.MappingProxyType({1: d})), "inside of thing, a mappingproxy"),
        (lambda d: Holder(functools.partial(map, d)), "inside of thing, a partial"),
        (lambda d: Holder(closure(d)), "inside of thing, a function"),
        (lambda d: Holder(lambda x: HELD(x)), "inside of thing, a function"),
        (lambda d: Holder(d.call), "inside of thing, a method"),
        (lambda d: Holder(objects(d)), "inside of thing, a ndarray"),
        (lambda d: layers.Activation(closure(d)), "inside of activation, a function"),
        (lambda d: Holder({d: 1}), "as a key of thing: make it a value"),
        (lambda d: Holder({"a/b": d}), r"under the key 'a/b' \(thing/a/b\)"),
        (lambda d: Holder({1.5: [d]}), "holds layers under the key 1.5"),
        (lambda d: Holder({"..": d}), "a key must be an integer, or a string without slashes"),
        (lambda d: Holder({1: d, "1": layers.Dense(2)}), "two layers under the name 'thing/1'"),
        (lambda d: OfAClass(1), "a layer in OfAClass.dense, which is no attribute of its own"),
        (lambda d: OfASlot(1), "a layer in OfASlot.dense"),
        (lambda d: OfTheModule(1), "OfTheModule.call uses a layer that of_the_module does not hold"),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_what_has_no_name_is_refused(
    make: Callable[[layers.Layer], layers.Layer], message: str, inside: bool
) -> None:
    holder = make(layers.Dense(3))
    if inside:
        with pytest.raises(ValueError, match=message):
            layers.Sequential([layers.ReLU(), holder])
        return
    for action in (holder.weight_names, holder.count_params, lambda: holder(np.ones((2, 3), np.float32))):
        with pytest.raises(ValueError, match=message):
            action()
    assert holder.input_shape is None


@pytest.mark.parametrize(
    "thing",
    [
        [1],
        {"a": {1.5: 2}},
        (),
        "text",
        np.ones(3),
        collections.deque([1]),
        threading.Lock(),
        {layers.Dense},
        len,
    ],
    ids=str,
)
def test_what_holds_no_layer_is_left_alone(thing: Any) -> None:
    model = layers.Sequential([Holder(thing)])
    assert model(np.ones((2, 3), np.float32)).shape == (2, 3)
    assert model.weight_names() == []


def test_lists_that_hold_themselves_are_looked_through_once() -> None:
    held: list[Any] = [layers.Dense(3)]
    held.append(held)
    assert Holder(held).weight_names() == ["thing/0/kernel", "thing/0/bias"]


def test_cycles_are_refused() -> None:
    outer, inner = Holder(None), Holder(None)
    outer.thing, inner.thing = inner, [outer]
    for action in (
        outer.weight_names,
        lambda: outer.build((None, 3)),
        lambda: outer.built,
        outer.get_weights,
    ):
        with pytest.raises(ValueError, match="holds itself, through"):
            action()
    model = layers.Sequential([layers.Dense(3)])
    for layer in (model, layers.Sequential([model]), Holder([model])):
        with pytest.raises(ValueError, match="must not hold itself"):
            model.add(layer)
    assert len(model) == 1
    copy.deepcopy(outer)


def test_a_layer_made_in_a_call_is_refused_and_left_unbuilt() -> None:
    made: list[weakref.ref[layers.Layer]] = []
    kept: list[Exception] = []

    class Maker(layers.Layer):
        def call(self, x: Array) -> Array:
            dense = layers.Dense(3)
            made.append(weakref.ref(dense))
            try:
                return dense(x)
            except ValueError as error:
                kept.append(error)
                raise

    model = layers.Sequential([Maker()])
    with pytest.raises(ValueError, match=r"sequential calls the layer 'dense', which none of its attributes"):
        model(np.ones((2, 3), np.float32))
    dense = made[0]()
    assert dense is not None
    assert not dense.built
    assert model.input_shape is None
    assert kept


def test_a_layer_made_in_a_call_may_have_no_weights() -> None:
    class Plain(layers.Layer):
        def call(self, x: Array) -> Array:
            return layers.ReLU()(x)

    assert layers.Sequential([Plain()])(np.full((2, 3), -1, np.float32)).max() == 0


def test_layers_made_in_build_belong_to_the_layer() -> None:
    class Late(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.parts: list[layers.Layer] = []

        def build(self, input_shape: Any) -> None:
            if not self.parts:
                self.parts.append(layers.Dense(input_shape[-1]))
            super().build(input_shape)

        def call(self, x: Array) -> Array:
            return self.parts[0](x)

    late = Late()
    model = layers.Sequential([late, layers.Dense(2)])
    with pytest.raises(ValueError, match="Conv2D 'conv2d' takes 4 axes"):
        layers.Sequential([late, layers.Conv2D(3, 3)]).build((None, 5))
    assert late.parts == []
    model.build((None, 5))
    assert model.weight_names() == ["late/parts/0/kernel", "late/parts/0/bias", "dense/kernel", "dense/bias"]


def test_a_shape_that_is_declared_wrongly_is_refused() -> None:
    class Wrong(Residual):
        def compute_output_shape(self, input_shape: Any) -> Any:
            return tuple(input_shape)

    wrong = Wrong(6)
    with pytest.raises(
        ValueError, match=r"Wrong 'wrong' gives the shape \(None, 8, 8, 6\) .* says \(None, 8, 8, 3\)"
    ):
        wrong.build((None, 8, 8, 3))
    assert not wrong.conv.built


# ---- refusals leave everything as it was -----------------------------------------------------------------


def state(layer: layers.Layer) -> Any:
    """All that a build could change, of a layer and of what it holds."""
    return (
        layer.input_shape,
        layer.__dict__.get("_ready"),
        layer._prepared,
        {n: id(w) for n, w in (getattr(layer, "_weights", None) or {}).items()},
        sorted(vars(layer)),
        [(path, id(part), state(part)) for path, part in layer.sublayers()],
    )


class Stop(BaseException):
    """As Ctrl-C is."""


class Refuses(layers.Layer):
    """A layer that cannot be built, or not be called."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when, self.inner = when, layers.Dense(2)

    def build(self, input_shape: Any) -> None:
        if self.when == "before":
            raise ValueError("no")
        super().build(input_shape)
        self.extra = layers.Dense(3)
        if self.when == "after":
            raise Stop

    def call(self, x: Array) -> Array:
        y = self.inner(x)
        if self.when == "call":
            raise ValueError("no")
        return y


leaves = st.one_of(
    st.integers(1, 3).map(lambda n: ("dense", n)), st.just(("norm",)), st.just(("prelu",)), st.just(("relu",))
)
trees = st.recursive(
    leaves,
    lambda inner: st.tuples(st.sampled_from(["chain", "held"]), st.lists(inner, max_size=3)),
    max_leaves=6,
)


class Chained(layers.Layer):
    """Layers in a list, one after the other."""

    def __init__(self, inner: list[layers.Layer]) -> None:
        super().__init__()
        self.inner = inner

    def call(self, x: Array) -> Array:
        for layer in self.inner:
            x = layer(x)
        return x


def grown(tree: Any) -> layers.Layer:
    kind, *rest = tree
    if kind in ("chain", "held"):
        inner = [grown(part) for part in rest[0]]
        return layers.Sequential(inner) if kind == "chain" else Chained(inner)
    return {
        "dense": layers.Dense,
        "norm": layers.BatchNormalization,
        "prelu": layers.PReLU,
        "relu": layers.ReLU,
    }[kind](*rest)


@settings(max_examples=60)
@given(
    st.lists(trees, max_size=3),
    st.sampled_from(["before", "after", "call"]),
    st.sampled_from(["build", "call", "add", "make"]),
    st.booleans(),
)
def test_a_refusal_leaves_everything_as_it_was(parts: list[Any], when: str, how: str, some: bool) -> None:
    inner = [grown(part) for part in parts]
    if some and inner and not isinstance(inner[0], layers.Sequential):  # which would build the whole at once
        inner[0].build((None, 4))
    bad = Refuses(when)
    x = np.ones((2, 4), np.float32)
    wanted = Stop if when == "after" else ValueError
    if how == "make":
        before = [state(layer) for layer in (*inner, bad)]
        with pytest.raises(wanted):
            layers.Sequential([layers.InputLayer((4,)), *inner, bad])
        assert [state(layer) for layer in (*inner, bad)] == before
        return
    model = layers.Sequential(inner if how == "add" else [*inner, bad])
    if how == "add":
        model.build((None, 4))
    before = state(model), state(bad)
    with pytest.raises(wanted):
        {"build": lambda: model.build((None, 4)), "call": lambda: model(x), "add": lambda: model.add(bad)}[
            how
        ]()
    assert (state(model), state(bad)) == before


def test_a_refused_call_leaves_a_new_layer_unbuilt() -> None:
    layer = layers.Conv2D(4, 3)
    before = state(layer)
    with pytest.raises(TypeError, match="x is float64"):
        layer(np.ones((1, 8, 8, 3)))
    assert state(layer) == before
    assert layer(np.ones((1, 8, 8, 5), np.float32)).shape == (1, 6, 6, 4)


def test_weights_that_find_no_memory_replace_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = filled(), image()
    want, weights = model(x), [2 * w for w in model.get_weights()]
    prepare, calls = layers.KernelLayer._prepare, []

    def failing(self: Any, arrays: Any) -> Any:
        calls.append(self)
        if len(calls) == 4:
            raise MemoryError("none")
        return prepare(self, arrays)

    monkeypatch.setattr(layers.KernelLayer, "_prepare", failing)
    with pytest.raises(MemoryError):
        model.set_weights(weights)
    np.testing.assert_array_equal(model(x), want)


def test_a_subclass_that_names_its_own_weights_is_asked() -> None:
    class Own(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.scale = np.float32([1, 2, 3])

        def weight_names(self) -> list[str]:
            return ["scale"]

        def named_weights(self) -> dict[str, Array]:
            return {"scale": self.scale}

        def call(self, x: Array) -> Array:
            return x * self.scale

    class Assigned(Own):
        def assign(self, weights: Any) -> None:
            self.scale = np.asarray(weights["scale"])

    model = layers.Sequential([layers.Dense(3), Own()])
    model.build((None, 3))
    assert model.weight_names() == ["dense/kernel", "dense/bias", "own/scale"]
    assert model.get_weights()[2].tolist() == [1, 2, 3]
    before = model.get_weights()
    with pytest.raises(
        ValueError, match=r"own names weights of its own, \['scale'\]; it must have an assign"
    ):
        model.set_weights([2 * w for w in before])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model = layers.Sequential([layers.Dense(3), Assigned()])
    model.build((None, 3))
    model.set_weights([2 * w for w in model.get_weights()])
    assert model[1].scale.tolist() == [2, 4, 6]
