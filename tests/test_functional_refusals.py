"""What Model, Input and merging layers refuse, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import layers
from convlite.layers import Add, Concatenate, Conv2D, Dense, Input, Model


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def summed() -> Model:
    a, b = Input((3,), name="a"), Input((3,), name="b")
    return Model([a, b], [Add()([a, b]), layers.Subtract()([a, b])])


def refusals() -> dict[str, tuple[Callable[[], Any], type[Exception], str]]:
    image, row = Input((8, 8, 3), name="image"), Input((4,), name="row")
    y = Conv2D(2, 3, name="body")(image)
    array = numbers(1, 8, 8, 3)
    two = summed()
    one = Model(image, y)

    def of(call: Callable[[Any], Any]) -> Callable[[], Any]:
        class Own(layers.Layer):
            def call(self, x: Any) -> Any:
                return call(x)

        return lambda: Own()(row)

    own = "the layer 'own' \\(Own\\) cannot be part of a network: its call "
    return {
        "disconnected": (
            lambda: Model(Input((8, 8, 3)), y), ValueError,
            "graph is disconnected: its outputs need the layer 'image' \\(InputLayer\\)",
        ),
        "output elsewhere": (
            lambda: Model(image, row), ValueError, "disconnected: .* 'row' \\(InputLayer\\)",
        ),
        "no Input": (lambda: Model(y, layers.ReLU()(y)), ValueError, "must be what Input gave; got <Sym"),
        "twice": (lambda: Model([image, image], y), ValueError, "inputs of model must differ"),
        "arrays": (lambda: Model(image, array), TypeError, "outputs must be symbolic tensors"),
        "a layer": (lambda: Model(image, Dense(2)), TypeError, "not built.*: call the layer on one"),
        "nothing": (lambda: Model([], y), ValueError, "inputs must hold at least one symbolic tensor"),
        "no arguments": (lambda: Model(), TypeError, "Model: missing a required argument: 'inputs'"),
        "names": (
            lambda: Model(image, Dense(2, name="a")(layers.ReLU(name="a")(image))), ValueError,
            "model: the name 'a' is that of a ReLU and a Dense: names must differ",
        ),
        "lanczos": (
            lambda: Model(image, layers.Resizing(4, 4, "lanczos3", name="small")(image)), ValueError,
            "the layer 'small' \\(Resizing\\) of 'model' cannot be part of a network: its interpolation",
        ),
        "free windows": (
            lambda: Model(free := Input((None, None, 3)), layers.AdaptiveMaxPooling2D(3)(free)), ValueError,
            "'adaptive_max_pooling2d' \\(AdaptiveMaxPooling2D\\) .* image's size, which is free",
        ),
        "free frame": (
            lambda: Model(
                free := Input((None, None, 3)),
                Conv2D(2, 3, 2, padding="same", padding_mode="reflect")(free),
            ), ValueError, "what padding 'same' adds depends on the image's size",
        ),
        "a function": (
            lambda: Model(row, Dense(2, activation=lambda z: np.clip(z, 0, 1))(row)), ValueError,
            "'dense' \\(Dense\\) .* activation '<lambda>' does what cannot be recorded; np.clip needs",
        ),
        "dtype of a layer": (
            lambda: Dense(2, name="d")(Input((4,), dtype="float64")), TypeError,
            "the layer 'd' \\(Dense\\) has weights of float32 and is called on a tensor of float64: make it",
        ),
        "half": (lambda: Input((4,), dtype="float16"), TypeError, "dtype must be float32 or float64; got"),
        "batch size": (lambda: Input((4,), batch_size=2), TypeError, "batch_size is not fixed"),
        "rank": (lambda: Conv2D(2, 3)(row), ValueError, "Conv2D 'conv2d' takes 4 axes"),
        "too small": (lambda: Conv2D(2, 9)(image), ValueError, "Conv2D .*height 9 exceeds x's height"),
        "other channels": (lambda: Conv2D.from_weights(np.ones((1, 1, 5, 2)))(image), TypeError, "float64"),
        "add": (
            lambda: Add(name="sum")([image, Input((8, 7, 3))]), ValueError,
            "the layer 'sum' \\(Add\\): the shapes .* do not broadcast: axis 2 has 8 and 7",
        ),
        "add of one": (lambda: Add()(image), TypeError, "takes a list of tensors, layer\\(\\[a, b\\]\\)"),
        "add of arrays": (lambda: Add()([image, array]), TypeError, "at 1, an array of shape \\(1, 8"),
        "add of dtypes": (
            lambda: Add()([row, Input((4,), dtype="float64")]), TypeError,
            "of one dtype; got float32, float64",
        ),
        "subtract of three": (lambda: layers.Subtract()([row] * 3), ValueError, "a list of 2 tensors; got 3"),
        "concatenate": (
            lambda: Concatenate()([image, Input((8, 7, 3))]), ValueError,
            "'concatenate' \\(Concatenate\\) joins along axis 3, so that .* differ along axis 2",
        ),
        "concatenate ranks": (lambda: Concatenate()([image, row]), ValueError, "tensors with as many axes"),
        "concatenate axis": (lambda: Concatenate(4)([image, image]), ValueError, "along axis 4: it must"),
        "the batch": (lambda: Concatenate(0), ValueError, "not the batch; got 0"),
        "dot": (lambda: layers.Dot(1)([row, Input((5,))]), ValueError, "axes of one size; got 4 and 5"),
        "batch sizes": (
            lambda: Add()([numbers(2, 3), numbers(1, 3)]), ValueError, "tensors of one batch size; got",
        ),
        "ranks": (lambda: image + row, ValueError, "they must have as many axes; give the shorter"),
        "an array of samples": (lambda: image + array.repeat(2, 0), ValueError, "must hold for every sample"),
        "an array of doubles": (lambda: row + np.ones(4), TypeError, "float32 and an array of float64"),
        "text": (lambda: row + "a", TypeError, "must be a number, a symbolic tensor or an array of float32"),
        "an index": (lambda: row[0], ValueError, "must have all samples"),
        "far out": (lambda: row[:, 4], IndexError, "index 4 is outside of axis 1"),
        "a mask as index": (lambda: row[:, None], TypeError, "an index such as .* needs the numbers"),
        "a loop": (lambda: list(row), TypeError, "a loop over the samples needs the numbers"),
        "an array of it": (lambda: np.asarray(row), TypeError, "needs the numbers of a symbolic tensor"),
        "an operation": (lambda: cl.relu(row), TypeError, "needs the numbers of a symbolic tensor"),
        "NumPy inside": (of(lambda x: np.mean(x, axis=1)), TypeError, own + "does what .*; np.mean needs"),
        "an operation inside": (of(cl.relu), TypeError, own + "does what cannot be recorded; a function of"),
        "a condition inside": (of(lambda x: x if x.sum() > 0 else -x), TypeError, own + ".*x.sum needs"),
        "a number given": (of(lambda x: 3), TypeError, own + "must give the tensors .* it gave 3"),
        "a fault inside": (of(lambda x: 1 / 0), ZeroDivisionError, "division by zero"),
        "layers nobody holds": (of(Dense(3)), ValueError, "uses a layer that own does not hold|own"),
        "too few arrays": (
            lambda: two([numbers(1, 3)]), ValueError,
            "'model' \\(Model\\) takes 2 arrays, a list in the order \\['a', 'b'\\] or a dict; got a list",
        ),
        "an array for two": (lambda: two(numbers(2, 3)), ValueError, "takes 2 arrays.*; got one ndarray"),
        "a missing name": (lambda: two({"a": numbers(1, 3)}), TypeError, "missing \\['b'\\], unknown \\[\\]"),
        "other batches": (lambda: two([numbers(1, 3), numbers(2, 3)]), ValueError, "batch is 1 in 'a'"),
        "another size": (lambda: one(array[:, 1:]), ValueError, "input 'image' must have the shape"),
        "channels first": (lambda: one(array.transpose(0, 3, 1, 2)), ValueError, "channels last"),
        "doubles": (lambda: one(array.astype(np.float64)), TypeError, "the input 'image' must be float32"),
        "integers": (lambda: one(np.ones((1, 8, 8, 3), int)), TypeError, "image must be float32 or float64"),
        "training": (lambda: one(image, training=True), ValueError, "training=True is refused"),
        "another tensor": (lambda: one(Input((7, 8, 3))), ValueError, "image was made for the shape"),
        "a tensor of doubles": (lambda: one(Input((8, 8, 3), dtype="float64")), TypeError, "float64"),
        "a mixed list": (lambda: two([row, array]), TypeError, "an array of shape .*: all must be symbolic"),
        "convolutionalized": (lambda: cl.convert.convolutionalize(one), TypeError, "must be a convlite"),
    }  # fmt: skip


REFUSALS = refusals()


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_name_what_is_wrong(name: str) -> None:
    call, kind, message = REFUSALS[name]
    with pytest.raises(kind, match=f"(?s){message}"):
        call()


def test_a_refused_call_leaves_the_layers_as_they_were() -> None:
    class Half(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Dense(3), Conv2D(2, 3)

        def call(self, x: Any) -> Any:
            return self.second(self.first(x))

    layer = Half()
    with pytest.raises(ValueError, match="takes 4 axes") as caught:
        layer(Input((4,)))
    assert "in the layer 'half' (Half)" in "".join(caught.value.__notes__)
    assert not layer.first.built
    assert layer.first.input_shape is None
    assert layer.input_shape is None
