"""A call like one before is compared and run in the core (kernels/calls.pxi): same result, same checks."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import _calls, _dispatch, _kernels

RNG = np.random.default_rng(7)


def numbers(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


X, K, B = numbers(1, 6, 7, 8), numbers(3, 3, 8, 10), numbers(10)


def again(name: str, x: Any, kernel: Any, bias: Any = None, out: Any = None, **options: Any) -> Any:
    """What the core answers to this call: None where it leaves it to the checked way."""
    keywords = getattr(cl, name).__kwdefaults__ | options
    return _kernels.replay(x, kernel, bias, out, name, *(v for k, v in keywords.items() if k != "out"))


CALLS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "same": ("conv2d", (2, 6, 7, 8), (3, 3, 8, 10), {"padding": "same"}),
    "explicit": ("conv2d", (1, 6, 7, 3), (2, 3, 3, 20), {"padding": ((1, 0), (2, 1)), "strides": (2, 1)}),
    "groups": ("conv2d", (1, 5, 5, 8), (3, 3, 4, 6), {"groups": 2, "activation": "relu6"}),
    "pixels": ("conv2d", (1, 9, 40, 3), (3, 3, 3, 2), {"padding": "same"}),
    "transpose": ("conv2d_transpose", (1, 5, 5, 8), (3, 3, 10, 8), {"strides": 2, "padding": "same"}),
    "head": ("conv2d_transpose", (1, 5, 20, 8), (4, 4, 1, 8), {"strides": 2, "padding": "same"}),
    "few sums": ("conv2d_transpose", (1, 5, 9, 8), (2, 2, 1, 8), {"strides": 2}),
    "depthwise": ("depthwise_conv2d", (1, 7, 7, 16), (3, 3, 16, 1), {"padding": "same"}),
    "dense": ("dense", (3, 2, 9), (9, 5), {"activation": cl.activations.LeakyReLU(0.3)}),
    "dense, vector": ("dense", (64,), (64, 10), {"activation": "softmax"}),
    "conv1d": ("conv1d", (2, 9, 4), (3, 4, 5), {"dilations": 2, "activation": "tanh"}),
    "conv1d_transpose": ("conv1d_transpose", (2, 9, 4), (3, 5, 4), {"strides": 2}),
    "fast": ("conv2d", (1, 24, 24, 32), (3, 3, 32, 32), {"padding": "same", "precision": "fast"}),
}


def packed(name: str, kernel: np.ndarray, options: dict[str, Any]) -> cl.PackedKernel:
    operation = name.replace("1d", "2d")
    strides = options.get("strides", 1)
    return cl.PackedKernel(
        kernel[None] if "1d" in name else kernel,
        operation,
        strides=(1, strides) if "1d" in name else strides,
        groups=options.get("groups", 1),
    )


@pytest.mark.parametrize("with_bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("form", ["packed", "array"])
@pytest.mark.parametrize("case", CALLS)
def test_the_second_call_is_the_first_one(
    case: str, form: str, with_bias: bool, dtype: np.dtype, isa: str
) -> None:
    name, shape, kernel_shape, options = CALLS[case]
    operation, x, k = getattr(cl, name), numbers(*shape, dtype=dtype), numbers(*kernel_shape, dtype=dtype)
    kernel = packed(name, k, options) if form == "packed" else k
    first = operation(x, kernel, **options)
    bias = numbers(first.shape[-1], dtype=dtype) if with_bias else None
    assert again(name, numbers(*(2 * n for n in shape), dtype=dtype), kernel, bias, **options) is None
    if form == "array" and case == "fast":
        assert again(name, x, kernel, bias, **options) is None  # Winograd's panels are not made here
        return
    other = numbers(*shape, dtype=dtype)
    expected = operation(np.asfortranarray(other), k, bias, **options)  # a copy is made: the checked way
    if form == "array":
        operation(x, k, **options)
    found = again(name, other, kernel, bias, **options)
    assert found is not None
    assert found.dtype == dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)
    out = np.full_like(expected, np.nan)
    if options.get("activation") == "softmax":
        assert again(name, other, kernel, bias, out, **options) is None  # it could fail after the sums
        assert np.isnan(out).all()
    else:
        assert again(name, other, kernel, bias, out, **options) is out
        np.testing.assert_array_equal(out, expected)


def test_what_differs_takes_the_checked_way() -> None:
    kernel = cl.PackedKernel(K)
    cl.conv2d(X, kernel, B, padding="same")

    def served(x: Any = X, bias: Any = B, out: Any = None, **options: Any) -> bool:
        return again("conv2d", x, kernel, bias, out, **{"padding": "same"} | options) is not None

    class Sub(np.ndarray):
        pass

    wide = numbers(1, 6, 7, 16)
    raw = np.zeros(X.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(np.float32).reshape(X.shape)
    readonly = X.copy()
    readonly.setflags(write=False)
    shape = (1, 6, 7, 10)
    frozen = np.empty(shape, np.float32)
    frozen.setflags(write=False)
    memory = np.zeros(1000, np.float32)
    described = X.astype(np.dtype(np.float32, metadata={"unit": "mm"}))  # equal, though another object
    assert served()
    assert served(readonly)
    assert served(described)
    assert served(X[None][0])
    assert served(padding="".join(["sa", "me"]))  # equal, though not the same object
    assert served(bias=None)
    refused = {
        "float64": served(X.astype(np.float64)),
        "int": served(X.astype(np.int32)),
        "byte order": served(X.astype(">f4")),
        "half": served(X.astype(np.float16)),
        "dates": served(X.astype("M8[s]")),
        "objects": served(X.astype(object)),
        "strided": served(wide[..., ::2]),
        "reversed": served(X[:, ::-1]),
        "Fortran": served(np.asfortranarray(X)),
        "described, Fortran": served(np.asfortranarray(described)),
        "unaligned": served(unaligned),
        "subclass": served(X.view(Sub)),
        "list": served(X.tolist()),
        "memory": served(memoryview(X)),
        "batch": served(np.concatenate([X, X])),
        "rank": served(X[0]),
        "bias length": served(bias=np.zeros(9, np.float32)),
        "bias dtype": served(bias=np.zeros(10)),
        "bias rank": served(bias=np.zeros((1, 10), np.float32)),
        "bias list": served(bias=[0.0] * 10),
        "bias strided": served(bias=np.zeros(20, np.float32)[::2]),
        "out shape": served(out=np.empty((1, 6, 7, 9), np.float32)),
        "out dtype": served(out=np.empty(shape)),
        "out read-only": served(out=frozen),
        "out strided": served(out=np.empty((1, 6, 7, 20), np.float32)[..., ::2]),
        "out over x": served(memory[:336].reshape(X.shape), out=memory[300:720].reshape(shape)),
        "out over bias": served(bias=memory[410:420], out=memory[:420].reshape(shape)),
        "strides": served(strides=2),
        "float strides": served(strides=1.0),
        "bool groups": served(groups=True),
        "mutable": served(dilations=[1, 1]),
        "activation": served(activation="relu"),
        "precision": served(precision="fast"),
        "case": served(padding="SAME"),
    }
    assert [name for name, was in refused.items() if was] == []


def test_arguments_of_equal_value_and_another_type_are_still_refused() -> None:
    kernel = cl.PackedKernel(K)
    cl.conv2d(X, kernel)
    with pytest.raises(TypeError, match="strides"):
        cl.conv2d(X, kernel, strides=1.0)
    with pytest.raises(TypeError, match="groups"):
        cl.conv2d(X, kernel, groups=True)
    with pytest.raises(ValueError, match="precision"):
        cl.conv2d(X, kernel, precision="bogus")  # type: ignore[arg-type]
    memory = np.zeros(336 + 200, np.float32)
    x = memory[:336].reshape(X.shape)
    cl.conv2d(x, kernel, out=memory[336:].reshape(1, 4, 5, 10))
    with pytest.raises(ValueError, match="must not overlap"):
        cl.conv2d(x, kernel, out=memory[100:300].reshape(1, 4, 5, 10))


def test_a_mutable_argument_is_read_each_time() -> None:
    kernel, strides = cl.PackedKernel(K), [1, 1]
    assert cl.conv2d(X, kernel, strides=strides).shape == (1, 4, 5, 10)
    strides[:] = [2, 2]
    assert cl.conv2d(X, kernel, strides=strides).shape == (1, 2, 3, 10)
    assert len(kernel.calls) == 0
    with pytest.raises(AttributeError, match="immutable"):
        cl.activations.PReLU([0.5]).alpha = np.ones(1)


def test_bias_and_plain_kernels_are_read_each_time() -> None:
    kernel, bias = K.copy(), B.copy()
    for _ in range(3):
        expected = cl.reference.conv2d(X, kernel, bias)
        np.testing.assert_allclose(cl.conv2d(X, kernel, bias), expected, rtol=1e-5, atol=1e-5)
        kernel += 1
        bias -= 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_kernel_that_is_no_longer_finite_does_not_meet_padding(bad: float) -> None:
    kernel = K.copy()
    cl.conv2d(X, kernel, padding="same")
    assert again("conv2d", X, kernel, padding="same") is not None
    kernel[0, 0, 3, 4] = bad
    assert again("conv2d", X, kernel, padding="same") is None
    y = cl.conv2d(X, kernel, padding="same")
    assert np.isfinite(y[:, 0]).all()  # its tap reads outside there
    assert not np.isfinite(y[:, 1:, 1:, 4]).any()


@pytest.mark.thread_unsafe(reason="selects instruction sets")
def test_another_instruction_set_has_its_own_calls() -> None:
    others = [isa for isa in _dispatch.available_isas() if isa != _dispatch.active_isa()]
    if not others:
        pytest.skip("one instruction set only")
    kernel = cl.PackedKernel(K)
    best = cl.conv2d(X, kernel)
    with _dispatch.use_isa(others[-1]):
        assert again("conv2d", X, kernel) is None
        cl.conv2d(X, kernel)
        assert again("conv2d", X, kernel) is not None
    np.testing.assert_array_equal(again("conv2d", X, kernel), best)


@pytest.mark.parametrize("form", ["packed", "array"])
@pytest.mark.parametrize("case", [case for case in CALLS if case != "fast"])
def test_calls_under_fast_take_the_short_path_where_the_direct_form_is_faster(case: str, form: str) -> None:
    """Such calls were checked and planned each time, at 20 us a call."""
    name, shape, kernel_shape, options = CALLS[case]
    operation, x, k = getattr(cl, name), numbers(*shape), numbers(*kernel_shape)
    kernel = packed(name, k, options) if form == "packed" else k
    with cl.precision("fast"):
        expected = operation(x, kernel, **options)
        found = again(name, x, kernel, **options)
    assert found is not None
    np.testing.assert_array_equal(found, expected)


def test_precision_is_that_of_the_context_and_thread() -> None:
    x, kernel = numbers(1, 24, 24, 32), numbers(3, 3, 32, 32)
    layer = cl.layers.Conv2D.from_weights(kernel, padding="same")
    exact = layer(x)
    with cl.precision("fast"):
        fast = layer(x)
    assert not np.array_equal(exact, fast), "Winograd's form was expected here"
    wrong: list[str] = []

    def work(mode: Any, expected: np.ndarray) -> None:
        with cl.precision(mode):
            for _ in range(50):
                if not np.array_equal(layer(x), expected):
                    wrong.append(mode)

    threads = [threading.Thread(target=work, args=pair) for pair in (("exact", exact), ("fast", fast)) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    cl.set_precision("fast")
    try:
        np.testing.assert_array_equal(layer(x), fast)
    finally:
        cl.set_precision("exact")
    np.testing.assert_array_equal(layer(x), exact)


def test_the_number_of_threads_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(_calls._threads, "threads_for", lambda work: asked.append(work) or 1)
    kernel, long = cl.PackedKernel(numbers(1, 1, 64, 64)), numbers(1, 64, 64, 64)
    cl.conv2d(long, kernel)
    asked.clear()
    cl.conv2d(long, kernel)
    cl.conv2d(long, kernel)
    assert len(asked) == 2
    assert min(asked) >= _calls._threads.SERIAL_WORK
    short = numbers(1, 4, 4, 64)
    cl.conv2d(short, kernel)
    asked.clear()
    cl.conv2d(short, kernel)
    assert asked == []


def test_memory_is_bounded() -> None:
    kernel = cl.PackedKernel(numbers(1, 1, 2, 3))
    for width in range(1, 1200):
        x = numbers(1, 1, width, 2)
        np.testing.assert_array_equal(cl.conv2d(x, kernel), cl.conv2d(x, kernel.kernel))
    assert 200 < len(kernel.calls) <= 256
    assert 200 < len(_kernels.plain_calls) <= 256
    long = cl.PackedKernel(numbers(1, 1, 64, 64))
    with cl.num_threads(1):
        for width in range(2000, 2400):
            cl.conv2d(np.zeros((1, 1, width, 64), np.float32), long)
    assert 50 < len(long.calls) <= 64
    few = cl.PackedKernel(numbers(1, 1, 2, 3))
    strided = numbers(1, 1, 9, 4)[..., ::2]
    for _ in range(5):
        cl.conv2d(x, few, np.zeros(6, np.float32)[::2])  # what Calls do not serve is not kept again and again
        cl.conv2d(strided, few)
        cl.conv2d(x, few, activation=cl.activations.LeakyReLU(0.25))
    assert len(few.calls) == 2


@pytest.mark.parametrize(("shapes", "most_missing"), [(64, 0), (100, 0), (200, 20), (400, 240)])
def test_shapes_in_turn_find_their_calls(shapes: int, most_missing: int) -> None:
    """The oldest displaced by each new one had missed all from 65 shapes on."""
    kernel = cl.PackedKernel(numbers(1, 1, 2, 3))
    inputs = [numbers(1, height, width, 2) for height in (4, 5) for width in range(1, shapes // 2 + 1)]
    for x in inputs * 3:
        cl.conv2d(x, kernel)
    missing = sum(again("conv2d", x, kernel) is None for x in inputs)
    assert missing <= most_missing


def test_a_new_shape_among_many_is_kept_soon() -> None:
    kernel = cl.PackedKernel(numbers(1, 1, 2, 3))
    for width in range(1, 1200):
        cl.conv2d(numbers(1, 1, width, 2), kernel)
    x, calls = numbers(1, 3, 3, 2), 1
    while again("conv2d", x, kernel) is None:
        cl.conv2d(x, kernel)
        calls += 1
    assert calls < 200


def test_empty_arrays_and_long_calls_with_arrays_are_not_kept() -> None:
    cl.conv2d(numbers(0, 4, 4, 2), numbers(1, 1, 2, 3))
    cl.conv2d(numbers(1, 64, 64, 64), numbers(1, 1, 64, 64))
    assert len(_kernels.plain_calls) == 0


@pytest.mark.parametrize("shape", [(1, 6, 7, 8), (None, 6, 7, 8)])
def test_a_built_layer_is_prepared(shape: tuple[int | None, ...]) -> None:
    layer = cl.layers.Conv2D.from_weights(K, B, padding="same", activation="relu")
    layer.build(shape)
    given = ("conv2d", (1, 1), "same", (1, 1), 1, layer.activation, None)
    kernel = layer._prepared.__self__.kernel
    assert not _kernels.is_wanted(given, X, kernel, True)
    np.testing.assert_array_equal(layer(X), cl.conv2d(X, K, B, padding="same", activation="relu"))
    assert len(kernel.calls) == 1


def test_build_calls_no_function_of_the_user() -> None:
    seen: list[int] = []
    layer = cl.layers.Conv2D.from_weights(K, activation=lambda y: seen.append(1) or y)
    layer.build((1, 6, 7, 8))
    assert seen == []
    layer(X)
    layer(X)
    assert seen == [1, 1]


def test_one_layer_in_many_threads() -> None:
    layer = cl.layers.Conv2D.from_weights(K, B, padding="same")
    inputs = [numbers(1, 6, width, 8) for width in range(1, 90)]
    expected = [cl.conv2d(x, K, B, padding="same") for x in inputs]
    wrong: list[int] = []

    def work(start: int) -> None:
        for i in range(300):
            j = (start + i) % len(inputs)
            if not np.array_equal(layer(inputs[j]), expected[j]):
                wrong.append(j)

    threads = [threading.Thread(target=work, args=(7 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_no_references_are_lost() -> None:
    import sys

    kernel = cl.PackedKernel(K)
    out = np.empty((1, 4, 5, 10), np.float32)
    held = [X, B, out, kernel]
    cl.conv2d(X, kernel, B, out=out)
    before = [sys.getrefcount(value) for value in held]
    for _ in range(100):
        cl.conv2d(X, kernel, B, out=out)
        cl.conv2d(X, kernel, B)
    assert [sys.getrefcount(value) for value in held] == before
    assert sys.getrefcount(cl.conv2d(X, kernel, B)) == sys.getrefcount(np.empty(1))


@pytest.mark.parametrize("kind", [cl.activations.LeakyReLU, cl.activations.ELU])
def test_a_numpy_scalar_is_not_taken_for_the_float_that_it_equals(kind: Any) -> None:
    """np.float16(0.1) == 0.1 in NumPy 2, and 0.0 == -0.0."""
    x, kernel = -np.ones((1, 4)), np.eye(4)
    for parameter in (np.float16(0.1), 0.1, np.float32(0.1), 0.0, -0.0, np.float64(0.1)):
        activation = kind(parameter)
        got = cl.dense(x, kernel, activation=activation)
        assert got.tobytes() == activation(x @ kernel).tobytes()
    for most in (np.float16(6.1), 6.1, np.float32(6.1)):
        assert cl.dense(-9 * x, kernel, activation=cl.activations.ReLU(most)).max() == float(most)


def test_building_calls_no_method_of_a_subclass() -> None:
    class Scaled(cl.layers.Conv2D):
        def build(self, input_shape: Any) -> None:
            super().build(input_shape)
            self.scale = 2.0

        def call(self, x: Any) -> Any:
            return super().call(x) * self.scale

    layer = Scaled(3, 3, dtype="float64")
    layer.build((None, 8, 8, 1))
    x = np.ones((1, 8, 8, 1))
    np.testing.assert_array_equal(layer(x), 2 * cl.conv2d(x, layer.kernel, layer.bias))


def test_a_layer_whose_call_is_replaced_calls_it() -> None:
    class Doubled(cl.layers.Conv2D):
        def call(self, x: Any) -> Any:
            return 2 * super().call(x)

    plain, doubled = cl.layers.Conv2D.from_weights(K, B), Doubled.from_weights(K, B)
    own = cl.layers.Conv2D.from_weights(K, B)
    own.call = lambda x: x  # type: ignore[method-assign]
    for _ in range(3):
        np.testing.assert_array_equal(doubled(X), 2 * plain(X))
        assert own(X) is X
    expected = plain(X)
    plain.call = lambda x: 2 * expected  # type: ignore[method-assign]
    np.testing.assert_array_equal(plain(X), 2 * expected)  # after calls, too


def test_new_weights_are_used_at_once() -> None:
    layer = cl.layers.Conv2D.from_weights(K, B)
    first = layer(X)
    layer.set_weights([2 * K, 2 * B])
    np.testing.assert_array_equal(layer(X), 2 * first)


@pytest.mark.parametrize("count", [0, 3, 4, 17])
def test_replay_takes_any_number_of_arguments(count: int) -> None:
    arguments: tuple[Any, ...] = (X, K, None, None, *range(13))
    if count < 4:
        with pytest.raises(TypeError, match="internal error"):
            _kernels.replay(*arguments[:count])
    else:
        assert _kernels.replay(*arguments[:count]) is None
