"""Model: branches, shared and nested layers, layers of one's own, weights, files, threads."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tolerance import tolerance

import convlite as cl
from convlite import layers, reference
from convlite.layers import Add, Concatenate, Conv2D, Dense, Input, Model

Array = np.ndarray
RNG = np.random.default_rng


def numbers(*shape: int, dtype: Any = np.float32, seed: int = 0) -> Array:
    return RNG(seed).standard_normal(shape).astype(dtype)


def scattered(model: layers.Layer) -> Any:
    """Weights that no initializer gives: every offset and statistic counts."""
    rng = RNG(7)
    model.set_weights([rng.uniform(0.1, 0.6, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def close(actual: Array, expected: Array, terms: int = 256) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, **tolerance(actual.dtype, terms, scale))


class Residual(layers.Layer):
    """x + two convolutions of it, with a norm between: layers in an attribute, a list and a dict."""

    def __init__(self, filters: int, **options: Any) -> None:
        super().__init__(**options)
        self.conv = layers.Conv2D(filters, 3, padding="same")
        self.more = [layers.BatchNormalization(), {"last": layers.Conv2D(filters, 1)}]
        self.short = layers.Conv2D(filters, 1, use_bias=False)

    def call(self, x: Any) -> Any:
        y = self.more[0](self.conv(x))  # type: ignore[operator]
        return self.more[1]["last"](y) + self.short(x)  # type: ignore[index]


def squeezed() -> Model:
    """Two branches, a gate over channels, a shared layer, two outputs."""
    image = Input((None, None, 3), name="image")
    shared = Conv2D(4, 3, padding="same", activation="relu", name="shared")
    lift = Conv2D(3, 1, name="lift")
    a = shared(image)
    b = shared(lift(image))
    gate = Dense(4, "sigmoid", name="gate")(layers.GlobalAveragePooling2D(keepdims=True)(a))
    both = Concatenate(name="both")([a * gate, b])
    pooled = layers.GlobalMaxPooling2D()(both)
    return scattered(Model(image, [both, Dense(5, "softmax", name="head")(pooled)], name="squeezed"))


def expected_of_squeezed(model: Model, x: Array) -> tuple[Array, Array]:
    """The same by the definitions in float64."""
    w = {name: array.astype(np.float64) for name, array in model.named_weights().items()}
    x = x.astype(np.float64)

    def shared(x: Array) -> Array:
        kernel, bias = w["shared/kernel"], w["shared/bias"]
        return reference.conv2d(x, kernel, bias, padding="same", activation="relu")

    a = shared(x)
    b = shared(x @ w["lift/kernel"][0, 0] + w["lift/bias"])
    gate = 1 / (1 + np.exp(-(a.mean((1, 2), keepdims=True) @ w["gate/kernel"] + w["gate/bias"])))
    both = np.concatenate([a * gate, b], -1)
    scores = both.max((1, 2)) @ w["head/kernel"] + w["head/bias"]
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return both.astype(np.float32), (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def test_branches_a_shared_layer_and_two_outputs() -> None:
    model = squeezed()
    for size in (7, 12):
        x = numbers(2, size, size + 1, 3)
        got = model(x)
        assert isinstance(got, list)
        for one, other in zip(got, expected_of_squeezed(model, x), strict=True):
            close(one, other)
    assert model.weight_names() == [
        f"{name}/{weight}" for name in ("shared", "gate", "lift", "head") for weight in ("kernel", "bias")
    ]
    assert model.count_params() == (3 * 3 + 3) + (27 * 4 + 4) + (16 + 4) + (8 * 5 + 5)


def test_batches_and_threads_do_not_change_the_bits() -> None:
    model, x = squeezed(), numbers(5, 16, 17, 3)
    with cl.num_threads(1):
        whole = model(x)
    for number, sample in enumerate(x):
        with cl.num_threads(2):
            alone = model(sample[None])
        for one, other in zip(alone, whole, strict=True):
            np.testing.assert_array_equal(one[0], other[number])
    for one, other in zip(model.predict(x, batch_size=2), whole, strict=True):
        np.testing.assert_array_equal(one, other)
    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(lambda _: model(x), range(8)):
            for one, other in zip(results, whole, strict=True):
                np.testing.assert_array_equal(one, other)


def test_many_threads_may_make_the_first_call() -> None:
    model, x = squeezed(), numbers(1, 8, 8, 3)
    with ThreadPoolExecutor(8) as pool:
        first, *others = pool.map(lambda _: model(x)[1], range(16))
    assert all(np.array_equal(first, other) for other in others)


# ---- structures


def pair(inputs: Callable[[Any, Any], Any], outputs: Callable[[Any, Any], Any]) -> Model:
    a, b = Input((3,), name="a"), Input((3,), name="b")
    return Model(inputs(a, b), outputs(Add()([a, b]), layers.Subtract()([a, b])))


def test_inputs_and_outputs_keep_their_structure() -> None:
    a, b = numbers(2, 3), numbers(2, 3, seed=1)
    listed = pair(lambda a, b: [a, b], lambda p, q: [p, q])
    tupled = pair(lambda a, b: (a, b), lambda p, q: (p, q))
    mapped = pair(lambda a, b: {"first": a, "second": b}, lambda p, q: {"sum": p, "rest": q})
    single = pair(lambda a, b: [a, b], lambda p, q: p)
    np.testing.assert_array_equal(single([a, b]), a + b)
    np.testing.assert_array_equal(single({"b": b, "a": a}), a + b)
    for result in (listed([a, b]), tupled((a, b)), list(mapped({"second": b, "first": a}).values())):
        np.testing.assert_array_equal(result[0], a + b)
        np.testing.assert_array_equal(result[1], a - b)
    assert isinstance(listed((a, b)), list)
    assert isinstance(tupled([a, b]), tuple)
    assert list(mapped([a, b])) == ["sum", "rest"]
    assert [value.name for value in mapped.network().outputs] == ["sum", "rest"]
    assert [value.name for value in mapped.network().inputs] == ["a", "b"]
    assert mapped.input_names == ["a", "b"]
    assert listed.output_shape == [(None, 3), (None, 3)]
    assert single.output_shape == (None, 3)
    assert listed.compute_output_shape([(4, 3), (None, 3)])[0] == (4, 3)
    assert repr(single) == "<Model 'model': a (None, 3), b (None, 3) -> (None, 3)>"


def test_an_input_may_be_an_output_and_an_output_be_there_twice() -> None:
    x = Input((3,))
    y = layers.ReLU()(x)
    given = numbers(2, 3)
    results = Model(x, [x, y, y, x])(given)
    for result, expected in zip(results, [given, *[np.maximum(given, 0)] * 2, given], strict=True):
        np.testing.assert_array_equal(result, expected)
    assert not any(np.shares_memory(result, given) for result in results)


def test_predict_takes_all_inputs_batches_and_progress() -> None:
    a, b = numbers(5, 3), numbers(5, 3, seed=1)
    told: list[Any] = []
    model = pair(lambda a, b: [a, b], lambda p, q: {"sum": p, "rest": q})
    result = model.predict({"a": a, "b": b}, 2, lambda done, total: told.append((done, total)))
    np.testing.assert_array_equal(result["sum"], a + b)
    assert told == [(2, 5), (4, 5), (5, 5)]
    x = Input((3,))
    alone = Model(x, layers.ReLU()(x))
    np.testing.assert_array_equal(alone.predict(part for part in (a[:2], a[2:])), np.maximum(a, 0))
    assert alone.predict(a[:0], verbose=0).shape == (0, 3)
    with pytest.raises(ValueError, match="takes the same number of samples for each input; got the shapes"):
        model.predict([a, b[:2]])
    with pytest.raises(ValueError, match="at least one batch"):
        alone.predict(iter(()))


# ---- layers in layers


def test_a_layer_of_ones_own_is_followed_and_its_weights_count() -> None:
    x = Input((8, 8, 3))
    block = Residual(4, name="block")
    model = scattered(Model(x, layers.ReLU()(block(x))))
    assert model.weight_names()[0] == "block/conv/kernel"
    assert len(model.weight_names()) == 9
    given = numbers(2, 8, 8, 3)
    close(model(given), np.maximum(block(given), 0))
    kinds = [node.kind for node in model.network().graph.nodes]
    assert kinds.count("conv") == 3
    assert "batch_norm" not in kinds


def test_models_and_sequentials_are_layers() -> None:
    a, b = Input((8, 8, 4), name="a"), Input((8, 8, 4), name="b")
    inner = Model([a, b], [Add()([a, Conv2D(4, 1)(b)]), a - b], name="inner")
    chain = layers.Sequential([Conv2D(4, 3, padding="same"), Residual(4), layers.ReLU()], name="chain")
    x = Input((8, 8, 4))
    first, second = inner([chain(x), x])
    third, _ = inner([second, first])
    model = scattered(Model(x, Concatenate()([third, chain(second)])))
    given = numbers(2, 8, 8, 4)
    one, two = inner([chain(given), given])
    close(model(given), np.concatenate([inner([two, one])[0], chain(two)], -1), 2048)
    names = model.weight_names()
    assert names[:2] == ["chain/conv2d/kernel", "chain/conv2d/bias"]
    assert names[-2:] == ["inner/conv2d/kernel", "inner/conv2d/bias"]
    assert model.count_params() == chain.count_params() + inner.count_params()
    assert [name for name in model.network().graph.constants if name.startswith("inner")]


def test_a_model_stands_in_a_sequential_and_in_a_layer() -> None:
    x = Input((8, 8, 3))
    model = Model(x, Conv2D(2, 3)(x), name="net")

    class Twice(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def call(self, x: Any) -> Any:
            return self.net(x) * 2

    given = numbers(1, 8, 8, 3)
    chain = layers.Sequential([model, layers.Flatten()])
    assert chain.weight_names() == ["net/conv2d/kernel", "net/conv2d/bias"]
    np.testing.assert_array_equal(chain(given), model(given).reshape(1, -1))
    np.testing.assert_array_equal(Twice()(given), model(given) * 2)
    start = Input((8, 8, 3))
    np.testing.assert_array_equal(Model(start, Twice()(start))(given), model(given) * 2)


def test_a_lambda_finds_its_shape() -> None:
    half = layers.Lambda(lambda x: x[:, ::2])
    mean = layers.Lambda(lambda x: x.mean(axis=1))
    assert half.compute_output_shape((None, None, 3)) == (None, None, 3)
    assert half.compute_output_shape((None, 5, 3)) == (None, 3, 3)
    assert mean.compute_output_shape((None, 5, 3)) == (None, 3)
    assert layers.Lambda(lambda x: x.mean(1), (3,)).compute_output_shape((None, None, 3)) == (None, 3)
    x = numbers(2, 5, 3)
    np.testing.assert_array_equal(layers.Sequential([half, mean])(x), x[:, ::2].mean(axis=1))
    with pytest.raises(ValueError, match="Lambda 'lambda' needs output_shape, as sizes of"):
        mean.compute_output_shape((None, None, 3))
    with pytest.raises(ValueError, match=r"must give float32 for the \(2,\) samples of x; it gave float32"):
        layers.Lambda(lambda x: x[:1])(x)
    with pytest.raises(TypeError, match=r"'lambda' \(Lambda\) cannot be part of a network: .* x.mean needs"):
        mean(Input((5, 3)))
    with pytest.raises(
        ValueError, match=r"must be \(5, 3\), the shape of a sample that .* gives; got \(3,\)"
    ):
        layers.Lambda(lambda x: -x, (3,))(x)
    dense = Dense(2)
    with pytest.raises(ValueError, match="holds a layer inside of function, a function, where its weights"):
        layers.Lambda(lambda x: dense(x))(x)


def test_subclasses_compute_what_they_say() -> None:
    class Doubled(Dense):
        def call(self, x: Any) -> Any:
            return layers.Activation(None)(x) * 2.0

    class Named(Dense):
        pass

    class Halved(Model):
        def call(self, x: Any) -> Any:
            return x * 0.5

    x, given = Input((4,)), numbers(2, 4)
    np.testing.assert_array_equal(Model(x, Doubled(4)(x))(given), given * 2)
    plain = Named(3)
    close(Model(x, plain(x))(given), plain(given))
    half = Halved(x, Dense(4)(x))
    assert np.array_equal(half(given), given / 2)
    np.testing.assert_array_equal(Model(x, half(x))(given), given / 2)


def test_symbolic_arithmetic_is_numpys() -> None:
    x = numbers(2, 4, 5) ** 2 + 0.5
    array = numbers(4, 1, seed=2)
    formulas: list[Callable[[Any], Any]] = [
        lambda x: 1 - x, lambda x: x - 1, lambda x: 2 / x, lambda x: x / 3, lambda x: x**2, lambda x: 2**x,
        lambda x: -x, lambda x: abs(-x), lambda x: x + array, lambda x: array * x,
        lambda x: np.float32(2) * x, np.exp, np.log, np.sqrt, np.tanh, np.sin, np.cos,
        lambda x: np.maximum(x, 1.0), lambda x: np.minimum(1.0, x), lambda x: x * x[:, :1] + x[..., -1:],
        lambda x: x[:, 1:3, ::2], lambda x: x[:, -1], lambda x: x[:, 0, 1:], lambda x: x[..., 2],
        lambda x: x[:, :, -3:-1], lambda x: x[:, 1::2] * 2,
    ]  # fmt: skip
    start = Input((4, 5))
    ends = [formula(start) for formula in formulas]
    for result, end, formula in zip(Model(start, ends)(x), ends, formulas, strict=True):
        expected = formula(x)
        assert end.shape == (None, *expected.shape[1:])
        close(result, expected.astype(np.float32), 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_merging_layers_compute_with_arrays_too(dtype: Any) -> None:
    a, b, c = (numbers(2, 3, 4, dtype=dtype, seed=seed) for seed in range(3))
    row = numbers(2, 4, dtype=dtype, seed=5)
    cases: list[tuple[layers.Layer, list[Array], Array]] = [
        (layers.Add(), [a, b, c], a + b + c),
        (layers.Subtract(), [a, b], a - b),
        (layers.Multiply(), [a, b, c], a * b * c),
        (layers.Average(), [a, b, c], ((a.astype(np.float64) + b + c) / 3).astype(dtype)),
        (layers.Maximum(), [a, b, c], np.maximum(np.maximum(a, b), c)),
        (layers.Minimum(), [a, b], np.minimum(a, b)),
        (layers.Add(), [a], a),
        (layers.Add(), [a, b[:, :1]], a + b[:, :1]),
        (layers.Multiply(), [a, row], a * row[:, None]),
        (layers.Concatenate(), [a, b[..., :1]], np.concatenate([a, b[..., :1]], -1)),
        (layers.Concatenate(1), [a, b], np.concatenate([a, b], 1)),
        (layers.Dot(1), [a, b], np.einsum("nij,nik->njk", a, b)),
        (layers.Dot((2, 1)), [a, row], np.einsum("nij,nj->ni", a, row)),
        (layers.Dot(-1), [row, 2 * row], 2 * np.sum(row * row, -1, keepdims=True)),
        (layers.Dot(-1, normalize=True), [row, 2 * row], np.ones((2, 1), dtype)),
    ]
    for layer, arrays, expected in cases:
        eager = layer(arrays)
        close(eager, expected, 16)
        starts = [Input(array.shape[1:], dtype=dtype) for array in arrays]
        end = layer(starts)
        assert end.shape == (None, *expected.shape[1:])
        np.testing.assert_allclose(Model(starts, end)(arrays), eager, **tolerance(dtype, 16, 4.0))


# ---- weights


def test_new_weights_are_seen_at_the_next_call() -> None:
    model, x = squeezed(), numbers(1, 6, 6, 3)
    before, network = model(x)[0], model.network()
    model.set_weights([w * 0 for w in model.get_weights()])
    assert not model(x)[0].any()
    np.testing.assert_array_equal(network(x)[0], before)
    layer = model.get_layer("lift")
    layer.set_weights([np.zeros((1, 1, 3, 3), np.float32), np.ones(3, np.float32)])
    model.get_layer("shared").set_weights([np.zeros((3, 3, 3, 4), np.float32), np.ones(4, np.float32)])
    np.testing.assert_array_equal(model(x)[0][..., 4:], np.ones((1, 6, 6, 4), np.float32))


def test_weights_of_a_layer_that_names_its_own_are_seen() -> None:
    class Scale(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.factor = np.float32([2.0])

        def weight_names(self) -> list[str]:
            return ["factor"]

        def named_weights(self) -> dict[str, Array]:
            return {"factor": self.factor}

        def assign(self, weights: Any) -> None:
            self.factor = np.asarray(weights["factor"])

        def call(self, x: Any) -> Any:
            return x * self.factor

    x, given = Input((3,)), numbers(2, 3)
    model = Model(x, Scale()(x))
    np.testing.assert_array_equal(model(given), given * 2)
    model.set_weights([np.float32([3.0])])
    np.testing.assert_array_equal(model(given), given * 3)


def test_weights_and_networks_in_files(tmp_path: Path) -> None:
    model, x = squeezed(), numbers(2, 9, 8, 3)
    for ending in (".npz", ".safetensors"):
        if ending == ".safetensors":
            pytest.importorskip("safetensors")
        path = tmp_path / f"weights{ending}"
        model.save_weights(path)
        other = squeezed()
        other.set_weights([w * 0 for w in other.get_weights()])
        assert other.load_weights(path).missing == ()
        np.testing.assert_array_equal(other(x)[1], model(x)[1])
        model.save(tmp_path / f"network{ending}")
        loaded = cl.load(tmp_path / f"network{ending}")
        for one, two in zip(loaded(image=x), model(x), strict=True):
            np.testing.assert_array_equal(one, two)
    model.save(tmp_path / "half.npz", float16=True)
    close(cl.load(tmp_path / "half.npz")(x)[1].round(1), model(x)[1].round(1))


def test_copies_and_pickles_are_models_of_their_own() -> None:
    model, x = squeezed(), numbers(1, 6, 6, 3)
    expected = model(x)[1]
    twins = [pickle.loads(pickle.dumps(model)), copy.copy(model), copy.deepcopy(model)]
    model.set_weights([w * 0 for w in model.get_weights()])
    for twin in twins:
        np.testing.assert_array_equal(twin(x)[1], expected)
        assert twin.weight_names() == model.weight_names()
        assert twin.get_layer("lift") is not model.get_layer("lift")
        again = Model(twin.inputs, twin.outputs[1])  # of the copy's layers
        np.testing.assert_array_equal(again(x), expected)
        assert again.get_layer("lift") is twin.get_layer("lift")


def test_a_second_model_of_the_same_tensors_shares_the_layers() -> None:
    x = Input((8, 8, 3))
    features = Conv2D(4, 3, activation="relu", name="body")(x)
    whole = Model(x, Dense(2)(layers.Flatten()(features)))
    part = Model(whole.inputs, features)
    scattered(whole)
    given = numbers(1, 8, 8, 3)
    close(part(given), whole.get_layer("body")(given))


def test_names_are_as_in_a_sequential() -> None:
    x = Input((8, 8, 3))
    y = Conv2D(3, 1)(x)
    z = Add()([Conv2D(3, 1)(y), y])
    model = Model(x, Conv2D(3, 1, name="conv2d")(z))
    assert [name for name, _ in model.sublayers()] == ["input_layer", "conv2d_1", "conv2d_2", "add", "conv2d"]
    assert len(model) == 5
    assert [type(layer).__name__ for layer in model] == ["InputLayer", "Conv2D", "Conv2D", "Add", "Conv2D"]
    with pytest.raises(ValueError, match="model has no layer 'conv'; its layers are"):
        model.get_layer("conv")


def test_the_summary_names_shapes_work_and_where_from() -> None:
    x = Input((8, 8, 3), name="image")
    shared = Conv2D(3, 3, padding="same", name="shared")
    y = Add()([shared(x), shared(shared(x))]) * 2.0
    model = Model(x, layers.Flatten()(y))
    lines = str(model).splitlines()
    assert lines[0] == "Model: model"
    rows = [line.split() for line in lines[4:-3]]
    assert [row[0] for row in rows] == ["image", "shared", "shared", "shared", "add", "mul", "flatten"]
    assert [row[-3:] for row in rows[1:4]] == [
        ["84", "5,184", "image"], ["0", "5,184", "image"], ["0", "5,184", "shared"],
    ]  # fmt: skip
    assert lines[8].endswith("shared, shared")
    assert lines[-2:] == ["Parameters: 84", "Multiply-adds for one sample: 15,552"]
    printed: list[str] = []
    model.summary(print_fn=printed.append)
    assert printed == lines
    assert model.multiply_adds((None, 8, 8, 3)) == 15552
    assert model.network().inputs[0].shape == ("batch", 8, 8, 3)


def test_a_sequential_becomes_a_network() -> None:
    model = layers.Sequential([Conv2D(4, 3, activation="relu"), Residual(4), layers.Flatten(), Dense(3)])
    with pytest.raises(ValueError, match="has no input shape yet: give input_shape"):
        model.network()
    x = numbers(3, 8, 8, 3)
    model(x)
    scattered(model)
    expected = model(x)
    net = model.network()
    assert net.inputs[0].shape == ("batch", 8, 8, 3)
    assert [value.name for value in net.outputs] == ["dense"]
    close(net(x), expected, 2048)
    free = layers.Sequential([Conv2D(4, 3), layers.GlobalAveragePooling2D()])
    anew = free.network((None, None, None, 3))
    close(anew(x), free(x), 2048)
    assert free.built
    double = layers.Sequential([layers.InputLayer((4,), name="row"), Dense(2, dtype="float64")])
    assert str(double.network().inputs[0]) == "row: float64(batch, 4)"
    assert (
        layers.Sequential([layers.ReLU()]).network((None, 3), dtype="float64").inputs[0].dtype == np.float64
    )


# ---- seeds


def test_weights_are_drawn_in_the_order_of_calls_and_layers() -> None:
    def weights(functional: bool) -> list[Array]:
        with cl.initializers.Graph(seed=3):
            parts = [Conv2D(4, 3), layers.Flatten(), Dense(3)]
            if not functional:
                model: Any = layers.Sequential([layers.InputLayer((6, 6, 2)), *parts])
            else:
                x = y = Input((6, 6, 2))
                for part in parts:
                    y = part(y)
                model = Model(x, y)
        return model.get_weights()

    for one, other in zip(weights(True), weights(False), strict=True):
        np.testing.assert_array_equal(one, other)


def test_long_models_work() -> None:
    x = y = Input((2,))
    for _ in range(400):
        y = layers.ReLU()(y) + 1.0
    np.testing.assert_array_equal(Model(x, y)(np.float32([[1, -5]])), [[401, 400]])


def test_profile_and_plot_are_the_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = squeezed()
    model.plot(tmp_path / "net.dot")
    assert "shared" in (tmp_path / "net.dot").read_text()
    assert model.profile(numbers(1, 6, 6, 3), repeat=1).rows
    capsys.readouterr()
