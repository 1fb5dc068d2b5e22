"""Weight files in part, under other names, in half precision; predict on one batch after the other."""

import json
import pathlib
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import layers
from convlite.layers.files import write_weights

Array = np.ndarray


def network(classes: int = 3, dtype: Any = "float32", **names: str) -> layers.Sequential:
    model = layers.Sequential(
        [
            layers.Conv2D(4, 3, name=names.get("conv", "conv"), dtype=dtype),
            layers.Flatten(),
            layers.Dense(classes, name=names.get("head", "head"), dtype=dtype),
        ],
        name="net",
    )
    model.build((None, 6, 6, 1))
    return model


def filled() -> layers.Sequential:
    """The network with weights that float16 holds."""
    model = network()
    rng = np.random.default_rng(3)
    model.set_weights([rng.integers(-40, 40, w.shape).astype("f4") / 16 for w in model.get_weights()])
    return model


NAMES = ("conv/kernel", "conv/bias", "head/kernel", "head/bias")


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "w.npz"
    filled().save_weights(path)
    return path


def same(model: layers.Sequential, name: str, source: str | None = None) -> bool:
    return np.array_equal(model.named_weights()[name], filled().named_weights()[source or name])


# ---- in part, and under other names ----------------------------------------------------------------------


def test_a_whole_file_is_reported_too(file: pathlib.Path) -> None:
    report = network().load_weights(file)
    assert report == layers.LoadReport(str(file), NAMES)
    assert str(report) == f"{file}: 4 of 4 weights loaded"


def test_another_head_keeps_its_weights(file: pathlib.Path) -> None:
    model = network(classes=7)
    before = model.named_weights()
    report = model.load_weights(file, strict=False)
    assert report.loaded == NAMES[:2]
    assert (report.missing, report.unused) == ((), ())
    assert report.mismatched == {"head/kernel": ((64, 7), (64, 3)), "head/bias": ((7,), (3,))}
    assert same(model, "conv/kernel")
    np.testing.assert_array_equal(model.named_weights()["head/kernel"], before["head/kernel"])
    assert str(report).splitlines() == [
        f"{file}: 2 of 4 weights loaded",
        "of another shape: head/kernel, (64, 7) here and (64, 3) in the file",
        "of another shape: head/bias, (7,) here and (3,) in the file",
    ]


def test_a_layer_more_and_a_layer_less(file: pathlib.Path) -> None:
    trunk = layers.Sequential([layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="bn")])
    trunk.build((None, 6, 6, 1))
    report = trunk.load_weights(file, strict=False)
    assert report.loaded == NAMES[:2]
    assert report.missing == tuple(f"bn/{n}" for n in ("gamma", "beta", "moving_mean", "moving_variance"))
    assert report.unused == NAMES[2:]
    assert str(report).splitlines()[1:] == [
        "missing in the file: bn/gamma, bn/beta, bn/moving_mean, bn/moving_variance",
        "not in the model: head/kernel, head/bias",
    ]
    with pytest.raises(
        ValueError, match=r"missing \['bn/gamma'.*unknown \['head/kernel'.*strict=False takes"
    ):
        trunk.load_weights(file)


RENAMES: dict[str, Any] = {
    "layers": {"conv": "body", "head": "top"},
    "names": {"conv/kernel": "body/kernel", "conv/bias": "body/bias", "head": "top"},
    "the longer one": {
        "conv": "nowhere",
        "conv/kernel": "body/kernel",
        "conv/bias": "body/bias",
        "head": "top",
    },
    "a function": lambda name: name.replace("conv", "body").replace("head", "top"),
}


@pytest.mark.parametrize("name", RENAMES)
def test_renames(file: pathlib.Path, name: str) -> None:
    model = network(conv="body", head="top")
    report = model.load_weights(file, rename=RENAMES[name])
    assert report.loaded == ("body/kernel", "body/bias", "top/kernel", "top/bias")
    assert same(model, "body/kernel", "conv/kernel")
    assert same(model, "top/bias", "head/bias")


def test_none_leaves_a_weight_out(file: pathlib.Path) -> None:
    model = network()
    report = model.load_weights(file, strict=False, rename={"head": None})
    assert (report.loaded, report.missing, report.unused) == (NAMES[:2], NAMES[2:], ())
    trunk = layers.Sequential([layers.Conv2D(4, 3, name="conv")])  # not even built
    trunk.load_weights(file, rename=lambda name: name if name.startswith("conv") else None)
    assert same(trunk, "conv/kernel")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"rename": {"con": "body"}},
            ValueError,
            "rename has .'con'., but no name in the file begins with it",
        ),
        (
            {"rename": {"conv": "head"}},
            ValueError,
            "rename gives 'conv/kernel' and 'head/kernel' the same name",
        ),
        ({"rename": {"conv": 3}}, TypeError, "rename must give a name or None for 'conv/kernel'; got 3"),
        ({"rename": lambda name: b"x"}, TypeError, "rename must give a name or None"),
        ({"rename": "conv"}, TypeError, "rename must be a mapping or a function of a name; got 'conv'"),
        ({"strict": "no"}, TypeError, "strict must be True or False; got 'no'"),
        (
            {"strict": False, "rename": lambda name: "x" + name},
            ValueError,
            "no weight that fits net: its names are",
        ),
    ],
)
def test_refusals_change_nothing(
    file: pathlib.Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = network()
    before = model.named_weights()
    with pytest.raises(error, match=message):
        model.load_weights(file, **options)
    assert all(model.named_weights()[name] is weight for name, weight in before.items())


def test_a_part_needs_a_built_model(file: pathlib.Path) -> None:
    model = layers.Sequential([layers.Conv2D(4, 3, name="conv")])
    with pytest.raises(ValueError, match=r"Sequential 'sequential' must be built for strict=False: call"):
        model.load_weights(file, strict=False)
    assert not model.built


@pytest.mark.parametrize("strict", [True, False])
def test_another_dtype_is_refused_by_name(tmp_path: pathlib.Path, strict: bool) -> None:
    path, model = tmp_path / "w.npz", network()
    weights = model.named_weights()
    write_weights(path, {**weights, "head/bias": weights["head/bias"].astype("f8") + 1})
    with pytest.raises(
        TypeError, match=r"'head/bias' must be float32; got float64 in .*read_weights\(path\)"
    ):
        model.load_weights(path, strict=strict)
    np.testing.assert_array_equal(model.named_weights()["head/bias"], weights["head/bias"])
    model.assign({name: array.astype("float32") for name, array in layers.read_weights(path).items()})
    np.testing.assert_array_equal(model.named_weights()["head/bias"], weights["head/bias"] + 1)


def test_reading_gives_a_dict(file: pathlib.Path) -> None:
    weights = layers.read_weights(file)
    assert tuple(weights) == NAMES
    assert all(w.dtype == np.float32 for w in weights.values())
    model = network(conv="other")
    model.set_weights(list(weights.values()))  # by their order
    assert same(model, "other/kernel", "conv/kernel")


# ---- half precision --------------------------------------------------------------------------------------


def stored(path: pathlib.Path, kind: str, weights: dict[str, Array]) -> None:
    """A file of half precision, written without convlite."""
    if path.suffix == ".npz":
        np.savez(path, **{name: w.astype(np.float16) for name, w in weights.items()})
        return
    header, data = {}, b""
    for name, w in weights.items():
        w = np.ascontiguousarray(w, "<f4")
        raw = w.astype("<f2").tobytes() if kind == "F16" else (w.view("<u4") >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": kind, "shape": w.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize("kind", ["npz", "F16", "BF16"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("strict", [True, False])
def test_half_precision_is_widened_exactly(
    tmp_path: pathlib.Path, kind: str, dtype: str, strict: bool
) -> None:
    if kind != "npz":
        pytest.importorskip("safetensors")
    path = tmp_path / ("w.npz" if kind == "npz" else "w.safetensors")
    stored(path, kind, dict(filled().named_weights()))
    model = network(dtype=dtype)
    assert model.load_weights(path, strict=strict).loaded == NAMES
    for name, weight in filled().named_weights().items():
        got = model.named_weights()[name]
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, weight)
        np.testing.assert_array_equal(layers.read_weights(path)[name], weight, strict=True)


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_every_half_number_is_itself(tmp_path: pathlib.Path, kind: str) -> None:
    pytest.importorskip("safetensors")
    bits = np.arange(1 << 16, dtype="<u2")
    text = json.dumps({"a": {"dtype": kind, "shape": [256, 256], "data_offsets": [0, 2 << 16]}}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bits.tobytes())
    (got,) = layers.read_weights(path).values()
    want = bits.view("<f2").astype("f4") if kind == "F16" else (bits.astype("u4") * 65536).view("f4")
    assert type(got) is np.ndarray
    np.testing.assert_array_equal(got, want.reshape(256, 256), strict=True)


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_half_precision_is_saved_on_request(tmp_path: pathlib.Path, ending: str) -> None:
    if ending == "safetensors":
        pytest.importorskip("safetensors")
    whole, half = tmp_path / f"whole.{ending}", tmp_path / f"half.{ending}"
    model, twin = network(), network()
    model.save_weights(whole)
    model.save_weights(half, float16=True)
    assert whole.stat().st_size - half.stat().st_size >= 2 * model.count_params() - 64
    twin.load_weights(half)
    for got, weight in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, weight.astype(np.float16).astype(np.float32))
    if ending == "npz":
        with np.load(half) as arrays:
            assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}


def test_what_float16_cannot_hold_is_not_saved(tmp_path: pathlib.Path) -> None:
    model, path = filled(), tmp_path / "w.npz"
    weights = dict(model.named_weights())
    model.assign({**weights, "head/bias": np.float32([1, 65504, -1e5])})
    with pytest.raises(ValueError, match=r"up to 65504; weight 'head/bias' has -100000"):
        model.save_weights(path, float16=True)
    assert not path.exists()
    model.assign({**weights, "head/bias": np.float32([1, np.inf, np.nan])})
    model.save_weights(path, float16=True)
    assert layers.read_weights(path)["head/bias"].tolist()[:2] == [1, np.inf]
    with pytest.raises(TypeError, match="float16 must be True or False"):
        model.save_weights(path, float16="yes")


def test_half_precision_in_set_weights() -> None:
    model = filled()
    twin = network()
    twin.set_weights([w.astype(">f2") for w in model.get_weights()])
    for a, b in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    with pytest.raises(
        TypeError, match=r"must be float32; got int64: cast it with np.asarray\(w, 'float32'\)$"
    ):
        twin.set_weights([w.astype(np.int64) for w in model.get_weights()])
    with pytest.raises(TypeError, match=r"must be float32; got <U\d+$"):
        twin.set_weights([w.astype(str) for w in model.get_weights()])


def test_raw_bytes_and_other_kinds_are_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, a=np.zeros(3, "V2"))
    with pytest.raises(ValueError, match=r"'a' holds \|V2, which are no numbers; NumPy stores bfloat16 so"):
        layers.read_weights(path)
    pytest.importorskip("safetensors")
    text = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(ValueError, match="'a' is F8_E4M3; convlite reads F64, F32, F16, BF16"):
        layers.read_weights(path)


# ---- predict on batches ----------------------------------------------------------------------------------


class Loader:
    """Iterated anew each time, as data loaders are."""

    def __init__(self, batches: list[Array]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Array]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


ITERABLES: dict[str, Callable[[list[Array]], Any]] = {
    "generator": lambda batches: (b for b in batches),
    "iterator": iter,
    "map": lambda batches: map(np.copy, batches),
    "loader": Loader,
    "lists": lambda batches: (b.tolist() for b in batches),
}


@pytest.mark.parametrize("name", ITERABLES)
@pytest.mark.parametrize("size", [1, 2, 32])
def test_predict_takes_batches(name: str, size: int) -> None:
    dtype = "float64" if name == "lists" else "float32"
    model = network(dtype=dtype)
    x = np.random.default_rng(1).normal(size=(9, 6, 6, 1)).astype(dtype)
    batches = [x[:4], x[4:5], x[5:5], x[5:]]
    if name == "lists":
        batches.pop(2)  # whose list tells no shape
    seen: list[tuple[int, Any]] = []
    got = model.predict(
        ITERABLES[name](batches), size, progress=lambda done, total: seen.append((done, total))
    )
    np.testing.assert_array_equal(got, model(x), strict=True)
    assert seen[-1] == (9, None)
    assert [done for done, _ in seen] == np.cumsum([len(b) for b in batches]).tolist()


def test_progress_without_a_total(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convlite._progress._tqdm", lambda: None)
    x = np.ones((3, 6, 6, 1), np.float32)
    network().predict(iter([x, x]), progress=True)
    assert capsys.readouterr().err == "net: 6\n"  # redirected: whole lines
    monkeypatch.setattr("convlite._progress._SECONDS", 0.0)
    network().predict(iter([x, x]), progress=True)
    assert capsys.readouterr().err == "net: 3\nnet: 6\nnet: 6\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    network().predict(iter([x, x]), progress=True)
    assert capsys.readouterr().err == "\rnet: 3\rnet: 6\n"


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            {"x": 1},
            TypeError,
            r"x must be an array or an iterable of batches; got a dict: give the array itself",
        ),
        ({1.0}, TypeError, "x must be an array or an iterable of batches; got a set$"),
        (iter(()), ValueError, "x must give at least one batch; it gave none"),
        (iter([(1, 2)]), TypeError, r"its batch 0 is a tuple: give what the model takes alone"),
        (iter([{"x": 1}]), TypeError, "its batch 0 is a dict"),
        (iter([np.ones((1, 6, 6, 1), "f4"), "a"]), TypeError, "batch 1 of x must be an array of float32"),
        (iter([np.float32(1)]), ValueError, "must have a batch axis"),
        ("text", TypeError, "x must be an array of float32 or float64"),
        (3.5, ValueError, "x must have a batch axis"),
    ],
    ids=str,
)
def test_what_predict_does_not_take(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        network().predict(x)


def test_batches_that_cannot_be_joined_are_refused() -> None:
    model = layers.Sequential([layers.ReLU()])
    with pytest.raises(ValueError, match=r"batch 1 of x gives float32 of shape \(2, 4\), the first"):
        model.predict(np.ones((2, n), np.float32) for n in (3, 4))


@pytest.mark.parametrize(
    ("begin", "text"),
    [
        ("version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("\n<!DOCTYPE html>\n", "web page"),
        ("\ufeff<html>", "web page"),
    ],
)
@pytest.mark.parametrize("ending", [".npz", ".safetensors", ".onnx", ".tflite", ".keras", ".h5"])
def test_what_stands_in_place_of_a_file(begin: str, text: str, ending: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / f"model{ending}"
    path.write_text(begin, encoding="utf-8")
    with pytest.raises(ValueError, match=text):
        cl.load(path)
    if ending in (".npz", ".safetensors"):
        with pytest.raises(ValueError, match=text):
            cl.layers.read_weights(path)


def test_the_error_for_a_missing_folder_names_it(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(FileNotFoundError) as raised:
        write_weights(folder / "w.npz", {"a": np.zeros(1)})
    assert raised.value.filename == str(folder)
