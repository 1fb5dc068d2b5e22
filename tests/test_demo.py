"""The demo against the mtcnn package's own answers (golden/demo_boxes.json), and against bad input."""

import hashlib
import importlib.metadata
import io
import json
import pathlib
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite.demo import boxes, detect, draw, extras, networks, pyramid, run, weights

GOLDEN = json.loads(pathlib.Path(__file__).with_name("golden").joinpath("demo_boxes.json").read_text())
PIL_Image = pytest.importorskip("PIL.Image", reason="the demo's packages are missing: pip install '.[demo]'")
skimage_data = pytest.importorskip(
    "skimage.data", reason="the demo's packages are missing: pip install '.[demo]'"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _private_cache(cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


@pytest.fixture(scope="module")
def nets(cache: pathlib.Path) -> networks.Networks:
    return networks.load_networks(cache)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return skimage_data.astronaut()


@pytest.fixture(scope="module")
def found(astronaut: np.ndarray, nets: networks.Networks) -> detect.Detection:
    return detect.detect(astronaut, nets)


# The photograph, against the package under TensorFlow.


def test_one_face_where_the_mtcnn_package_sees_it(
    found: detect.Detection, capsys: pytest.CaptureFixture[str]
) -> None:
    (face,), (golden,) = found.faces, GOLDEN["faces"]
    assert face.score > 0.99
    assert list(face.landmarks) == ["left eye", "right eye", "nose", "mouth left", "mouth right"]
    box = np.abs(np.subtract(face.box, golden["box"])).max()
    points = np.abs(np.subtract(list(face.landmarks.values()), list(golden["landmarks"].values()))).max()
    score = abs(face.score - golden["score"])
    with capsys.disabled():
        print(
            f"\ndemo: largest differences from mtcnn {GOLDEN['made_with']['mtcnn']} under TensorFlow "
            f"{GOLDEN['made_with']['tensorflow']}: "
            f"box {box:.1e} px, landmarks {points:.1e} px, score {score:.1e}"
        )
    assert box < 1e-3
    assert points < 1e-3
    assert score < 1e-6


@pytest.mark.parametrize("network", ["P-Net", "R-Net", "O-Net"])
def test_every_network_leaves_the_packages_boxes(found: detect.Detection, network: str) -> None:
    golden = np.array(GOLDEN["stages"][network.replace("-", "").lower()])
    assert found.boxes[network].shape == golden.shape
    # Scores that are equal but for a rounding may change places: compare sorted by place.
    ours, theirs = (rows[np.lexsort(rows[:, :4].round(1).T)] for rows in (found.boxes[network], golden))
    np.testing.assert_allclose(ours[:, :4], theirs[:, :4], rtol=0, atol=1e-3)
    np.testing.assert_allclose(ours[:, 4], theirs[:, 4], rtol=0, atol=2e-6)


def test_the_pyramid_is_the_packages(astronaut: np.ndarray) -> None:
    scales = pyramid.scales(*astronaut.shape[:2])
    np.testing.assert_allclose(scales, GOLDEN["scales"], rtol=1e-12)
    levels = list(pyramid.levels(pyramid.normalize(astronaut), scales))
    assert [list(level.shape[:2]) for level in levels] == GOLDEN["level_sizes"]
    np.testing.assert_allclose(levels[-1], GOLDEN["smallest_level"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", ["chelsea", "coffee"])
def test_no_face_where_the_package_sees_none(name: str, nets: networks.Networks) -> None:
    assert len(detect.detect(getattr(skimage_data, name)(), nets).faces) == GOLDEN["no_face"][name] == 0


def test_the_result_does_not_depend_on_threads(
    astronaut: np.ndarray, nets: networks.Networks, found: detect.Detection, threads: int
) -> None:
    assert detect.detect(astronaut, nets).faces == found.faces


# The networks.


def test_pnet_sliding_is_pnet_on_each_window(astronaut: np.ndarray, nets: networks.Networks) -> None:
    level = pyramid.resize_area(pyramid.normalize(astronaut), (32, 40))
    whole = nets.pnet(level[np.newaxis])
    assert whole.shape == (1, 11, 15, 6)
    windows = np.lib.stride_tricks.sliding_window_view(level, (12, 12), (0, 1))[::2, ::2]
    single = nets.pnet(np.ascontiguousarray(windows.reshape(-1, 3, 12, 12).transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(single.reshape(whole.shape), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["rnet", "onet"])
def test_both_heads_give_the_same_scores(name: str, nets: networks.Networks, found: detect.Detection) -> None:
    classifier = getattr(nets, name)
    comparison = next(c for c in found.comparisons if c.name == classifier.name)
    assert comparison.largest < 1e-6
    assert comparison.count > 0
    # And as convolutions the network slides too: four pixels more give a second row and column.
    side = classifier.size + {"rnet": 4, "onet": 8}[name]
    image = np.random.default_rng(0).uniform(-1, 1, (1, side, side, 3)).astype(np.float32)
    assert classifier.convolutional(image).shape == (1, 2, 2, {"rnet": 6, "onet": 16}[name])


def test_heads_that_differ_are_refused(astronaut: np.ndarray, nets: networks.Networks) -> None:
    broken = networks.Classifier("R-Net", 24, nets.rnet.dense, lambda x: nets.rnet.convolutional(x[:, ::-1]))
    with pytest.raises(
        ArithmeticError, match=r"R-Net: the scores of the dense and of the convolutional head"
    ):
        detect.detect(astronaut, networks.Networks(nets.pnet, broken, nets.onet))


def test_a_picture_smaller_than_the_window_has_no_face(nets: networks.Networks) -> None:
    result = detect.detect(np.zeros((5, 9, 3), np.uint8), nets)
    assert result.faces == []
    assert result.heat_maps == []
    assert draw.heat_map(np.zeros((5, 9, 3), np.uint8), []).size[0] == 1024


# Pixels and boxes, against their definitions.


@pytest.mark.parametrize(("n", "m"), [(7, 3), (12, 4), (5, 5), (4, 6), (1, 3), (100, 1)])
def test_resize_area_is_the_mean_over_the_rectangle(n: int, m: int) -> None:
    row = np.random.default_rng(1).normal(size=n)
    fine = np.repeat(row, m)  # n*m steps: each output covers exactly n of them
    expected = fine.reshape(m, n).mean(axis=1)
    for axis, image in enumerate([row.reshape(n, 1, 1), row.reshape(1, n, 1)]):
        size = (m, 1) if axis == 0 else (1, m)
        np.testing.assert_allclose(pyramid.resize_area(image, size).ravel(), expected, atol=1e-5)


def test_crop_agrees_with_its_definition() -> None:
    rng = np.random.default_rng(2)
    image = rng.normal(size=(9, 11, 2)).astype(np.float32)
    rows = np.array([[1.5, 2.0, 7.25, 8.0, 0.9], [-3.0, -2.0, 6.0, 5.0, 0.9], [0.0, 0.0, 11.0, 9.0, 0.9]])
    patches = pyramid.crop(image, rows, 6)
    for patch, (x1, y1, x2, y2, _) in zip(patches, rows, strict=True):
        for i, j in np.ndindex(6, 6):
            y, x = (y1 + (y2 - y1) * i / 5) * 8 / 9, (x1 + (x2 - x1) * j / 5) * 10 / 11
            if not (0 <= y <= 8 and 0 <= x <= 10):
                assert (patch[i, j] == 0).all()
                continue
            expected = sum(
                image[a, b] * max(0, 1 - abs(y - a)) * max(0, 1 - abs(x - b))
                for a in range(9)
                for b in range(11)
            )
            np.testing.assert_allclose(patch[i, j], expected, atol=1e-5)


@pytest.mark.parametrize("of_smaller", [False, True])
def test_suppression_agrees_with_its_definition(of_smaller: bool) -> None:
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 30, (40, 2))
    rows = np.column_stack([corner, corner + rng.uniform(5, 20, (40, 2)), rng.permutation(40) / 40])

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        sides = [max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1)]
        areas = [(r[2] - r[0]) * (r[3] - r[1]) for r in (a, b)]
        common = sides[0] * sides[1]
        return common / (min(areas) if of_smaller else sum(areas) - common)

    kept = [a for a in rows if not any(b[4] > a[4] and overlap(a, b) > 0.4 for b in rows)]
    expected = np.array(sorted(kept, key=lambda row: -row[4]))
    np.testing.assert_array_equal(boxes.suppress(rows, 0.4, of_smaller=of_smaller), expected)


def test_no_box_passes_through_every_step() -> None:
    none = np.empty((0, 5))
    for rows in (
        boxes.suppress(none, 0.5),
        boxes.square(none),
        boxes.apply_offsets(none, np.empty((0, 4), np.float32)),
        boxes.propose(np.zeros((3, 3), np.float32), np.zeros((3, 3, 4), np.float32), 0.6, 0.5),
    ):
        assert rows.shape == (0, 5)
    assert pyramid.crop(np.zeros((8, 8, 3), np.float32), none, 24).shape == (0, 24, 24, 3)


# The weights.


NAMES = {"onet", "onet-convolutional", "pnet", "rnet", "rnet-convolutional"}
FILES = {f"mtcnn-1.0.0-v2-{name}.npz" for name in NAMES}


def all_of(found: networks.Networks) -> list[cl.Network]:
    classifiers = [found.onet, found.rnet]
    return [found.pnet, *(form for c in classifiers for form in (c.dense, c.convolutional))]


def test_networks_come_from_the_cache_the_second_time(
    cache: pathlib.Path, nets: networks.Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_read_package", lambda network: pytest.fail("the cache was not used"))
    again = networks.load_networks(cache)
    assert [str(net.graph) for net in all_of(again)] == [str(net.graph) for net in all_of(nets)]
    for one, other in zip(all_of(again), all_of(nets), strict=True):
        held = other.graph.constants
        assert all(np.array_equal(array, held[name]) for name, array in one.graph.constants.items())
    assert {path.name for path in cache.iterdir()} == FILES


def test_no_weight_is_lost_on_the_way(nets: networks.Networks) -> None:
    expected = weights.read_weights()
    assert {array.dtype for array in expected.values()} == {np.dtype(np.float32)}
    for name, net in [("pnet", nets.pnet), ("rnet", nets.rnet.dense), ("onet", nets.onet.convolutional)]:
        held = sum(a.size for a in net.graph.constants.values() if a.dtype == np.float32)
        slopes = (node.attributes.get("activation") for node in net.graph.nodes)
        held += sum(np.size(slope[1]) for slope in slopes if isinstance(slope, tuple))
        assert held == sum(a.size for key, a in expected.items() if key.startswith(name))


def test_a_broken_cache_is_replaced(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "mtcnn-1.0.0-v2-onet.npz"
    for content in [b"", b"PK\x03\x04 half a file", b"\x80\x04N."]:
        path.write_bytes(content)
        assert networks.load_networks(tmp_path).onet.dense.name == "onet"
        assert cl.load(path).name == "onet"
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert networks.load_networks(tmp_path / "file").pnet.name == "pnet"


def test_a_changed_weight_file_is_never_unpickled(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mtcnn" / "assets" / "weights"
    folder.mkdir(parents=True)
    (folder / "pnet.lz4").write_bytes(b"anything else")

    class Changed:
        version = "9.9"

        @staticmethod
        def locate_file(name: str) -> pathlib.Path:
            return tmp_path / name

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Changed)
    monkeypatch.setitem(sys.modules, "joblib", None)
    digest = hashlib.sha256(b"anything else").hexdigest()
    with pytest.raises(
        extras.DemoError, match=rf"is not the file of mtcnn 1.0.0 \(installed: 9.9\).*{digest}"
    ):
        networks.load_networks(tmp_path / "cache")
    (folder / "pnet.lz4").unlink()
    with pytest.raises(extras.DemoError, match=r"cannot read the weights in .*pnet.lz4"):
        networks.load_networks(tmp_path / "cache")


def test_the_package_missing_is_said(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(extras.DemoError, match=r"mtcnn 1\.0\.0; pip install mtcnn==1\.0\.0 joblib"):
        networks.load_networks(tmp_path)


@pytest.mark.parametrize(
    ("configured", "expected"),
    [("/somewhere", "/somewhere/convlite"), ("relative", "~/.cache/convlite"), ("", "~/.cache/convlite")],
)
def test_the_cache_directory_follows_xdg(
    configured: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", configured)
    assert weights.cache_directory() == pathlib.Path(expected).expanduser()


# The command.


def test_the_packages_that_messages_name_are_those_of_the_extra() -> None:
    project = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert extras.NEEDED.split() == project["optional-dependencies"]["demo"]


def test_how_the_networks_went_is_for_those_who_ask(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo("--output", tmp_path) == 0
    brief = capsys.readouterr().out
    assert demo("--output", tmp_path, "--verbose") == 0
    full = capsys.readouterr().out
    for part in ["99 after P-Net", "R-Net: 99 scores of its dense head", "O-Net: ", "R-Net, conv"]:
        assert part in full
        assert part not in brief


@pytest.mark.parametrize("shape", [(50, 10_000), (10_000, 50), (50, 50)])
def test_the_heat_map_of_any_shape_can_be_seen(shape: tuple[int, int]) -> None:
    scores = np.zeros((shape[0] // 2 - 5, shape[1] // 2 - 5), np.float32)
    scores[:, scores.shape[1] // 2 :] = 1  # the right half
    picture = draw.heat_map(np.zeros((*shape, 3), np.uint8), [detect.HeatMap(1.0, scores)])
    pixels = np.asarray(picture)[44 : 44 + 125].astype(
        int
    )  # below the title: an eighth of the width at least
    assert picture.width == 1024
    assert (pixels.sum(-1) > 400).sum() > 5000


def demo(*arguments: Any) -> int:
    return run.main([str(a) for a in arguments])


def test_the_command_prints_and_draws(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo("--output", tmp_path / "out", "--threads", 1) == 0
    text = capsys.readouterr().out
    assert text.startswith("astronaut.png, 512 x 512 pixels: 1 face\n")
    for part in [
        "score 0.9991",
        "left eye",
        "mouth right",
        "find the faces",
        "ms\n",
    ]:
        assert part in text
    with PIL_Image.open(tmp_path / "out" / "astronaut-faces.png") as picture:
        assert picture.size == (1024, 1024)
        assert picture.getpixel((2 * 182, 2 * 110)) == (255, 214, 0)  # the left side of the box
    with PIL_Image.open(tmp_path / "out" / "astronaut-pnet.png") as picture:
        assert picture.size[0] == 1024


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_any_mode_of_picture_is_read(mode: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    PIL_Image.new("RGB", (30, 20), (200, 100, 50)).convert(mode).save(path)
    image = run.read_image(path)
    assert image.shape == (20, 30, 3)
    assert image.dtype == np.uint8


def test_a_picture_on_its_side_is_turned(tmp_path: pathlib.Path) -> None:
    picture = PIL_Image.new("RGB", (30, 20))
    exif = picture.getexif()
    exif[0x0112] = 6  # orientation: turn a quarter clockwise to see it upright
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert run.read_image(tmp_path / "turned.jpg").shape == (30, 20, 3)


def _bad_pictures(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    yield folder / "nowhere.png", "there is no file"
    yield folder, "cannot read"
    (folder / "notes.txt").write_text("not a picture")
    yield folder / "notes.txt", "is no picture that Pillow can read"
    buffer = io.BytesIO()
    PIL_Image.fromarray(skimage_data.astronaut()).save(buffer, "PNG")
    (folder / "half.png").write_bytes(buffer.getvalue()[:5000])
    yield folder / "half.png", "cannot read"
    PIL_Image.fromarray(np.zeros((4, 4), np.uint16)).save(folder / "deep.png")
    yield folder / "deep.png", "more than 8 bits a channel"


def test_bad_pictures_are_named(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, message in _bad_pictures(tmp_path):
        assert demo(path, "--output", tmp_path) == 1
        captured = capsys.readouterr()
        assert captured.err.startswith("convlite demo: ")
        assert str(path) in captured.err
        assert message in captured.err
        assert captured.out == ""


def test_output_that_cannot_be_written_is_named(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert demo("--output", tmp_path / "file") == 1
    assert f"cannot write to {tmp_path / 'file'}" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["tqdm", "skimage.data"])
def test_a_missing_extra_is_named(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert demo() == 1
    assert f"needs the module {module!r}; pip install {extras.NEEDED}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--threads", "0"], ["--min-face", "-3"], ["--threads", "two"], ["--colour"]]
)
def test_wrong_options_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        demo(*arguments)
    assert "convlite demo: error:" in capsys.readouterr().err


def test_threads_are_put_back(tmp_path: pathlib.Path) -> None:
    before = cl.get_num_threads()
    demo(tmp_path / "nowhere.png", "--threads", 1)
    assert cl.get_num_threads() == before
