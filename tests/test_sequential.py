"""Sequential: building, naming, predicting, the summary, and weights in files."""

import builtins
import copy
import io
import os
import pathlib
import pickle
import resource
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from convlite import layers, reference
from convlite.layers.files import write_weights

Array = np.ndarray
FORMATS = ["npz", "safetensors"]


def network(**options: Any) -> layers.Sequential:
    return layers.Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", **options),
            layers.MaxPooling2D(2),
            layers.Conv2D(6, 2, padding="same", use_bias=False, name="second", **options),
            layers.BatchNormalization(**options),
            layers.Flatten(),
            layers.Dense(5, "softmax", **options),
        ],
        name="small",
    )


def filled(**options: Any) -> layers.Sequential:
    """The network, built for 8x8 images, with weights that are all different."""
    model = network(**options)
    model.build((None, 8, 8, 2))
    rng = np.random.default_rng(7)
    model.set_weights([rng.uniform(0.1, 1.0, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def batch(size: int, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(size).normal(size=(size, 8, 8, 2)).astype(dtype)


@pytest.fixture(params=FORMATS)
def file(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path:
    """Where weights go, in each format; skipped where its package is missing."""
    if request.param == "safetensors":
        pytest.importorskip("safetensors.numpy")
    return tmp_path / f"weights.{request.param}"


def test_layers_feed_each_other(dtype: np.dtype) -> None:
    model, x = filled(dtype=dtype), batch(3, dtype)
    kernel, bias, second, gamma, beta, mean, variance, dense, offset = model.get_weights()
    y = reference.conv2d(x, kernel, bias, activation="relu")
    y = y.reshape(3, 3, 2, 3, 2, 4).max(axis=(2, 4))
    y = reference.conv2d(y, second, padding="same")
    y = (y - mean) / np.sqrt(variance + dtype.type(1e-3)) * gamma + beta
    y = reference.dense(y.reshape(3, -1), dense, offset, activation="softmax")
    # softmax: probabilities down to 1e-40, where only what is far below the largest counts
    np.testing.assert_allclose(model(x), y, rtol=1e4 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
    assert (model.input_shape, model.output_shape) == ((None, 8, 8, 2), (None, 5))


def test_an_input_layer_builds_at_once() -> None:
    model = layers.Sequential([layers.InputLayer((8, 8, 2)), layers.Conv2D(4, 3)])
    assert model.built
    assert model.output_shape == (None, 6, 6, 4)
    model.add(layers.Flatten())
    model.add(layers.Dense(3))
    assert model.output_shape == (None, 3)
    with pytest.raises(ValueError, match="made for the shape") as caught:
        model(np.zeros((1, 9, 8, 2), np.float32))
    assert "in the layer 'input_layer' (InputLayer) of 'sequential'" in caught.value.__notes__


def test_names_are_made_unique_in_order() -> None:
    model = layers.Sequential([layers.Dense(2), layers.Dense(2), layers.Dense(2, name="last")])
    assert [name for name, _ in model.steps] == ["dense", "dense_1", "last"]
    assert model.get_layer("dense_1") is model.layers[1] is model[1]
    assert len(model) == 3
    assert list(model) == model.layers


def test_sequentials_nest() -> None:
    inner = layers.Sequential([layers.Conv2D(4, 3), layers.ReLU()], name="inner")
    model = layers.Sequential([inner, layers.Conv2D(2, 1)])
    x = batch(2)
    want = model(x)
    assert model.weight_names() == [
        "inner/conv2d/kernel",
        "inner/conv2d/bias",
        "conv2d/kernel",
        "conv2d/bias",
    ]
    np.testing.assert_array_equal(inner(x), np.maximum(inner.layers[0](x), 0))
    np.testing.assert_array_equal(model.layers[1](inner(x)), want)
    twin = copy.copy(model)
    twin.set_weights([0 * w for w in twin.get_weights()])
    np.testing.assert_array_equal(model(x), want)


@pytest.mark.parametrize("how", [pickle.dumps, copy.deepcopy])
def test_models_pickle_and_copy(how: Callable[[Any], Any]) -> None:
    model, x = filled(), batch(2)
    twin = how(model)
    twin = pickle.loads(twin) if isinstance(twin, bytes) else twin
    np.testing.assert_array_equal(twin(x), model(x))
    assert str(twin) == str(model)
    twin.add(layers.Dense(2))
    assert len(model) == 6


def test_many_threads_call_one_new_model() -> None:
    model, x = network(), batch(2)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: model(x), range(24)))
    for result in results:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("size", [0, 1, 4, 5])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_predict_gives_the_bits_of_one_call(size: int, batch_size: int) -> None:
    model, x = filled(), batch(size)
    seen: list[tuple[int, int]] = []
    result = model.predict(x, batch_size, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(result, model(x))
    assert result.shape == (size, 5)
    np.testing.assert_array_equal(model.predict(x, batch_size), result)
    steps = [*range(batch_size, size, batch_size), size]
    assert seen == [(done, size) for done in steps]


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def test_predict_shows_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    on_a_terminal(monkeypatch)
    filled().predict(batch(4), 2, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "small: 100%" in err
    assert "4/4" in err


def test_predict_shows_a_line_without_tqdm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "tqdm")
    on_a_terminal(monkeypatch)
    filled().predict(batch(4), 2, progress=True)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "\rsmall: 2/4\rsmall: 4/4\n")


def test_predict_shows_whole_lines_where_it_is_redirected(capsys: pytest.CaptureFixture[str]) -> None:
    filled().predict(batch(4), 2, progress=True)
    assert capsys.readouterr() == ("", "small: 4/4\n")


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **options: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(f"No module named {package!r}")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", missing)


SUMMARY = """\
Model: small
------------------------------------------------------------------------------------
Layer (type)                              Output shape     Parameters  Multiply-adds
------------------------------------------------------------------------------------
conv2d (Conv2D)                           (None, 6, 6, 4)          76          2,592
max_pooling2d (MaxPooling2D)              (None, 3, 3, 4)           0              0
second (Conv2D)                           (None, 3, 3, 6)          96            864
batch_normalization (BatchNormalization)  (None, 3, 3, 6)          24              0
flatten (Flatten)                         (None, 54)                0              0
dense (Dense)                             (None, 5)               275            270
------------------------------------------------------------------------------------
Parameters: 471
Multiply-adds for one sample: 3,726
"""


def test_summary(capsys: pytest.CaptureFixture[str]) -> None:
    model, lines = filled(), []
    model.summary()
    assert capsys.readouterr().out == SUMMARY
    model.summary(print_fn=lines.append)
    assert "\n".join(lines) + "\n" == str(model) + "\n" == SUMMARY
    assert model.count_params() == 471


def test_an_unbuilt_model_has_a_summary_too() -> None:
    text = str(network())
    assert "conv2d (Conv2D)" in text
    assert "Parameters: ?" in text


def test_weights_survive_a_file(file: pathlib.Path, dtype: np.dtype) -> None:
    model, x = filled(dtype=dtype), batch(2, dtype)
    model.save_weights(file)
    built, fresh = network(dtype=dtype), network(dtype=dtype)
    built.build((None, 8, 8, 2))
    for twin in (built, fresh):
        twin.load_weights(str(file))
        np.testing.assert_array_equal(twin(x), model(x))
    assert os.listdir(file.parent) == [file.name]


def test_an_npz_file_has_readable_names(tmp_path: pathlib.Path) -> None:
    model = filled()
    model.save_weights(tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz", allow_pickle=False) as archive:
        assert archive.files == model.weight_names()
        np.testing.assert_array_equal(archive["second/kernel"], model.get_layer("second").get_weights()[0])


def test_a_file_is_replaced_at_once_or_not_at_all(
    file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = filled()
    model.save_weights(file)
    before = file.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    other = network()
    other.build((None, 8, 8, 2))
    with pytest.raises(OSError, match="disk full"):
        other.save_weights(file)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


@pytest.mark.thread_unsafe(reason="one file")
def test_a_symbolic_link_stays_one(file: pathlib.Path) -> None:
    real = file.with_stem("real")
    file.symlink_to(real)
    filled().save_weights(file)
    assert file.is_symlink()
    assert real.is_file()


def test_safetensors_is_optional(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"")
    hide(monkeypatch, "safetensors")
    for action in (filled().save_weights, filled().load_weights):
        with pytest.raises(ImportError, match="pip install safetensors, or"):
            action(path)
    assert os.listdir(tmp_path) == [path.name]


def saved(**arrays: Array) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def lying_header(shape: tuple[int, ...]) -> bytes:
    """An .npz whose only array claims a shape and has no data."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, archive.open("conv2d/kernel.npy", "w") as member:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a weights file",
        b"PK\x03\x04 cut short",
        saved(a=np.zeros(3))[:-30],
        saved(a=np.array([{}], dtype=object)),
        np.lib.format.magic(1, 0) + b"\x10\x00",
        pickle.dumps([1, 2]),
        (1 << 60).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
    ],
)
def test_malformed_files_are_refused(file: pathlib.Path, content: bytes) -> None:
    model, x = filled(), batch(1)
    want = model(x)
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.\w+' is not a readable weights file: "):
        model.load_weights(file)
    np.testing.assert_array_equal(model(x), want)


@pytest.mark.parametrize("shape", [(3,), (1 << 45,), (1 << 20, 1 << 20, 1 << 20), (-1,)])
def test_a_file_that_claims_more_than_it_holds_is_refused(
    tmp_path: pathlib.Path, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(lying_header(shape))
    with pytest.raises(ValueError, match="is not a readable weights file"):
        filled().load_weights(path)


def bomb(claimed: int, stored: int) -> bytes:
    """A compressed .npz with fewer bytes than its header needs."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        np.lib.format.write_array_header_1_0(
            member, {"descr": "<f4", "fortran_order": False, "shape": (claimed,)}
        )
        member.write(bytes(stored))
    return stream.getvalue()


@pytest.mark.parametrize("lie", ["header", "directory"])
def test_no_memory_is_taken_for_what_a_file_only_claims(tmp_path: pathlib.Path, lie: str) -> None:
    path = tmp_path / "w.npz"
    content = bytearray(bomb(1 << 34, 1 << 20))
    if lie == "directory":  # the size of the member in the table at the end: 64 GB
        at = content.rindex(b"PK\x01\x02")
        content[at + 24 : at + 28] = (0xFFFFFFFE).to_bytes(4, "little")
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="is not a readable weights file"):
            filled().load_weights(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 16


def test_members_that_share_their_bytes_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "w.npz"
    content = saved(a=np.zeros(300))
    directory, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entry, tail = content[directory:end], bytearray(content[end:])
    tail[8:12] = (2).to_bytes(2, "little") * 2  # two entries, for one and the same member
    tail[12:16] = (2 * len(entry)).to_bytes(4, "little")
    path.write_bytes(content[:directory] + entry + entry.replace(b"a.npy", b"b.npy") + bytes(tail))
    with pytest.raises(ValueError, match="members overlap"):
        filled().load_weights(path)


def test_a_bare_array_is_no_weights_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "w.npz"
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(ValueError, match="is not a readable weights file"):
        filled().load_weights(path)


def change(**changes: Any) -> Callable[[dict[str, Array]], dict[str, Array]]:
    return lambda weights: weights | {name.replace("__", "/"): value for name, value in changes.items()}


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (
            change(third__kernel=np.zeros(3, np.float32)),
            ValueError,
            r"missing \[\], unknown \['third/kernel'\]",
        ),
        (
            lambda weights: dict(list(weights.items())[1:]),
            ValueError,
            r"missing \['conv2d/kernel'\], unknown \[\]",
        ),
        (
            change(dense__kernel=np.zeros((54, 4), np.float32)),
            ValueError,
            r"weight 'dense/kernel' must have shape \(54, 5\); got \(54, 4\)",
        ),
        (change(dense__bias=np.zeros(5)), TypeError, "weight 'dense/bias' must be float32; got float64"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    file: pathlib.Path,
    edit: Callable[[dict[str, Array]], dict[str, Array]],
    error: type[Exception],
    message: str,
) -> None:
    model, x = filled(), batch(1)
    want = model(x)
    changed = edit({name: 2 * weight for name, weight in model.named_weights().items()})
    write_weights(file, changed)
    with pytest.raises(error, match=message):
        model.load_weights(file)
    np.testing.assert_array_equal(model(x), want)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (
            lambda: layers.Sequential([layers.Flatten]),
            TypeError,
            r"got the class Flatten: write Flatten\(\.\.\.\)",
        ),
        (lambda: layers.Sequential([np.abs]), TypeError, r"wrap a function as Activation\(function\)"),
        (lambda: layers.Sequential(["relu"]), TypeError, "must be convlite layers; got str"),
        (
            lambda: layers.Sequential([layers.Dense(2, name="a"), layers.Dense(2, name="a")]),
            ValueError,
            "name 'a' is taken by another layer of sequential",
        ),
        (
            lambda: layers.Sequential([layers.Dense(2)] * 2),
            ValueError,
            r"in sequential already: give copy\.copy",
        ),
        (lambda: network().get_layer("third"), ValueError, "small has no layer 'third'; its layers are"),
        (lambda: network().save_weights("w.npz"), ValueError, "Conv2D 'conv2d' has no weights yet"),
        (
            lambda: filled().save_weights("w.h5"),
            ValueError,
            r"path must end in \.npz or \.safetensors; got 'w.h5'",
        ),
        (lambda: filled().load_weights("w.pkl"), ValueError, "path must end in"),
        (lambda: filled().load_weights("w.keras"), ValueError, r"got 'w.keras': .*keras_model\.get_weights"),
        (lambda: filled().load_weights("w.pth"), ValueError, r"got 'w.pth': .*safetensors\.torch\.save_file"),
        (lambda: filled().load_weights("no such file.npz"), FileNotFoundError, "no such file"),
        (lambda: filled().predict(batch(2), 0), ValueError, "batch_size must be at least 1"),
        (lambda: filled().predict(np.float32(1)), ValueError, "x must have a batch axis"),
        (lambda: filled().set_weights([]), ValueError, "Sequential 'small' has 9 weights .*got 0 arrays"),
        (
            lambda: filled()(batch(1, np.float64)),
            TypeError,
            r"(?s)x is float64.*in the layer 'conv2d' \(Conv2D\)",
        ),
        (
            lambda: network().build((None, 1, 1, 2)),
            ValueError,
            r"(?s)exceeds.*at the layer 'conv2d' \(Conv2D\) of 'small'",
        ),
    ],
)
def test_errors_name_the_argument(action: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        action()
