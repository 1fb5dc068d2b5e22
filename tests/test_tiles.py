"""Networks run tile by tile: the bits of the whole run, refusals, memory, journals, readers that fail."""

from __future__ import annotations

import os
import pathlib
import sys
from typing import Any

import numpy as np
import pytest
from interpreter import python
from network_examples import channels_first, classifier
from tile_networks import CONV, POOL, TRANSPOSED, F, espcn, random_network, unet

import convlite as cl
from convlite.network.graph import Graph, Node, Value
from convlite.network.tiling.moves import groups_of
from convlite.network.tiling.record import Tiling

Array = np.ndarray[Any, Any]


def numbers(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(F)


def tuples(outputs: Any) -> tuple[Array, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def same(a: Any, b: Any) -> bool:
    return all(
        left.shape == right.shape and left.tobytes() == right.tobytes()
        for left, right in zip(tuples(a), tuples(b), strict=True)
    )


def image_network(*nodes: Node, channels: int = 4, out: int = 4, **constants: Any) -> cl.Network:
    ends = [Value("x", F, ("n", "h", "w", channels))], [Value("y", F, ("n", "a", "b", out))]
    return cl.Network(Graph.of(*ends, nodes, constants))


class Reader:
    """A source that is no array, counts what is read of it, and may fail."""

    def __init__(self, array: Array, fail_at: int = -1) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.reads: list[tuple[slice, ...]] = []
        self.fail_at = fail_at

    def __getitem__(self, place: tuple[slice, ...]) -> Array:
        if len(self.reads) == self.fail_at:
            raise OSError("the disk is gone")
        self.reads.append(place)
        return self.array[place]


# ---- the same bits ----


@pytest.mark.parametrize("seed", [*range(60), 678])  # 678: a constant of one row a tile
def test_random_networks_have_the_bits_of_the_whole_run(seed: int) -> None:
    graph, shape = random_network(seed, nodes=3 + seed % 9, outputs=1 + seed % 2)
    net = cl.Network(graph)
    x = numbers(seed, *shape)
    rng = np.random.default_rng(seed)
    steps = net.tiling(shape).alignment
    tile = [step * int(rng.integers(1, max(2, 14 // step))) for step in steps]
    whole = net(x)
    assert same(net.tiled(x, tile=tile), whole)
    outs = tuple(np.full(array.shape, np.nan, F) for array in tuples(whole))  # every place is written
    assert same(net.tiled(x, outs, tile=tile), outs)
    assert same(outs, whole)


@pytest.mark.parametrize("graph", [espcn(), unet()], ids=["espcn", "unet"])
@pytest.mark.parametrize("tile", [16, 40, (24, 64)])
def test_networks_that_people_run(graph: Graph, tile: Any) -> None:
    net, x = cl.Network(graph), numbers(3, 2, 72, 104, 3)
    whole = net(x)
    found = net.tiling(x.shape, tile)
    assert found.same_bits
    assert found.output_shapes == (whole.shape,)
    assert same(net.tiled(x, tile=tile), whole)


@pytest.mark.parametrize("graph", [espcn(), unet(base=16)], ids=["espcn", "unet"])
@pytest.mark.parametrize("tile", [16, 104, 136])
def test_fast_tiles_have_the_bits_where_they_say_so_and_small_errors_elsewhere(
    graph: Graph, tile: int
) -> None:
    net, x = cl.Network(graph), numbers(4, 1, 208, 208, 3)
    exact = net(x)
    with cl.precision("fast"):
        whole, tiled, found = net(x), net.tiled(x, tile=tile), net.tiling(x.shape, tile)
    if found.same_bits:
        assert same(whole, tiled)
    error = np.abs(tiled - exact).max() / np.abs(exact).max()
    assert error < 3e-5
    assert not same(whole, exact)
    if graph.name == "espcn":
        assert found.same_bits == (tile >= 104)


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("tile", [32, 64, 160])
def test_fast_tiles_of_strided_convolutions(tile: int, up: bool) -> None:
    """3x3 and 5x5 with stride 2 in Winograd's form; only what goes down has the bits of the whole run."""
    down = {**CONV, "strides": (2, 2), "activation": ("relu",)}
    kernels = {"a": numbers(1, 5, 5, 16, 32), "b": numbers(2, 3, 3, 32, 32)}
    nodes = [
        Node("conv", ("x", "a"), ("p",), down),
        Node("conv", ("p", "b"), ("q" if up else "y",), {**down, "padding": ((1, 1), (1, 1))}),
    ]
    if up:
        nodes.append(Node("conv_transpose", ("q", "c"), ("y",), TRANSPOSED))
        kernels["c"] = numbers(3, 3, 3, 32, 32)
    net, x = image_network(*nodes, channels=16, out=32, **kernels), numbers(5, 1, 416, 448, 16)
    exact = net(x)
    with cl.precision("fast"):
        whole, tiled, found = net(x), net.tiled(x, tile=tile), net.tiling(x.shape, tile)
    assert found.same_bits == (not up and tile >= 64)
    if found.same_bits:
        assert same(tiled, whole)
    assert np.abs(tiled - exact).max() < 3e-5 * np.abs(exact).max()
    assert not same(whole, exact)


def test_channels_first_and_sequences() -> None:
    graph = channels_first()
    open_ends = [Value("x", F, ("N", 3, "h", "w"))], [Value("y", F, ("N", 4, "h", "w"))]
    net = cl.Network(graph.with_(inputs=tuple(open_ends[0]), outputs=tuple(open_ends[1])))
    x = numbers(5, 2, 3, 30, 17)
    found = net.tiling(x.shape, 8)
    assert (found.tiles, found.halo) == (2 * 4 * 3, ((1, 1), (1, 1)))
    assert same(net.tiled(x, tile=8), net(x))

    row = {"strides": (2,), "padding": ((3, 1),), "dilations": (2,), "groups": 1, "activation": None}
    ends = [Value("x", F, ("n", "w", 2))], [Value("y", F, ("n", "v", 3))]
    net = cl.Network(Graph.of(*ends, [Node("conv", ("x", "k"), ("y",), row)], {"k": numbers(6, 5, 2, 3)}))
    x = numbers(7, 3, 101, 2)
    assert net.tiling(x.shape, 10).alignment == (2,)
    assert same(net.tiled(x, tile=10), net(x))


def test_one_image_without_its_axis() -> None:
    net, x = cl.Network(unet()), numbers(8, 64, 48, 3)
    out = np.empty((64, 48, 2), F)
    assert net.tiled(x, out, tile=16) is out
    assert same(out[None], net(x[None]))
    assert net.tiling(x.shape, 16).output_shapes == ((64, 48, 2),)


def test_infinite_pixels_reach_what_they_reach_in_the_whole_run() -> None:
    net, x = cl.Network(unet()), numbers(9, 1, 64, 64, 3)
    x[0, 20, 31] = np.inf
    x[0, 47, 16, 1] = np.nan
    assert np.array_equal(net.tiled(x, tile=16), net(x), equal_nan=True)


def test_large_resizes_have_one_form() -> None:
    resize = {
        "axes": (1, 2), "coordinates": "half_pixel", "nearest_mode": "floor", "cubic_a": -0.75,
        "exclude_outside": False, "extrapolation_value": 0.0, "antialias": False, "mode": "linear",
        "keep_aspect_ratio_policy": "stretch",
    }  # fmt: skip
    node = Node("resize", ("x", "", "s"), ("y",), resize)
    net = image_network(node, channels=1, out=1, s=np.array([3, 2], F))
    x = numbers(10, 1, 5000, 4, 1)
    assert same(net.tiled(x, tile=(640, 4)), net(x))


# ---- where halos come from ----


def test_halos_are_those_of_the_arithmetic() -> None:
    def halo(*nodes: Node, tile: int = 32, **constants: Any) -> Any:
        return image_network(*nodes, **constants).tiling((1, 128, 128, 4), tile).halo[0]

    k3, k5, k2 = numbers(0, 3, 3, 4, 4), numbers(0, 5, 5, 4, 4), numbers(0, 2, 2, 4, 4)
    first = Node("conv", ("x", "k"), ("a",), CONV)
    assert halo(first.with_(outputs=("y",)), k=k3) == (1, 1)
    assert halo(first, Node("conv", ("a", "l"), ("y",), {**CONV, "dilations": (3, 3)}), k=k3, l=k5) == (7, 7)
    # A stride before the second convolution doubles what that one reaches.
    strided = first.with_(attributes={**CONV, "strides": (2, 2), "padding": ((1, 1), (1, 1))})
    assert halo(strided, Node("conv", ("a", "l"), ("y",), CONV), k=k3, l=k5) == (5, 4)
    pool = Node("max_pool", ("x",), ("a",), POOL)
    assert halo(pool, Node("conv", ("a", "k"), ("y",), {**CONV, "padding": ((0, 1), (0, 1))}), k=k2) == (0, 2)


def test_tiles_read_no_more_than_their_halo() -> None:
    net, x = cl.Network(unet()), Reader(numbers(11, 1, 96, 96, 3))
    found = net.tiling(x.shape, 32)
    net.tiled(x, tile=32)
    (top, bottom), (left, right) = found.halo
    assert len(x.reads) == found.tiles == 9
    middle = x.reads[4]
    assert middle[1:3] == (slice(32 - top, 64 + bottom), slice(32 - left, 64 + right)) or top > 32


def test_groups_of_a_reshape() -> None:
    assert groups_of((1, 8, 3), (8, 3, 1)) == [([0, 1], [0]), ([2], [1, 2])]
    assert groups_of((4, 6), (24,)) == [([0, 1], [0])]


# ---- what is refused ----


def refused(net: cl.Network, shape: tuple[int, ...]) -> str:
    with pytest.raises(ValueError, match="cannot be cut into tiles") as raised:
        net.tiled(np.zeros(shape, F))
    return str(raised.value)


def test_nodes_that_look_at_the_whole_image_are_refused_by_name() -> None:
    told = refused(cl.Network(classifier()), (1, 16, 16, 3))
    assert "(reduce_mean) reduces all rows" in told

    def one(kind: str, *inputs: str, out: int = 4, attributes: dict[str, Any], **constants: Any) -> str:
        node = Node(kind, ("x", *inputs), ("y",), attributes, "the node")
        return refused(image_network(node, out=out, **constants), (1, 16, 16, 4))

    ones = np.ones(4, F)
    told = one("instance_norm", "s", "o", attributes={"epsilon": 1e-5}, s=ones, o=ones)
    assert "node 'the node' (instance_norm) takes the mean of all rows" in told
    told = one("group_norm", "s", "o", attributes={"epsilon": 1e-5, "groups": 2}, s=ones, o=ones)
    assert "(group_norm) takes the mean of all rows" in told
    assert "(softmax) looks at all columns" in one("softmax", attributes={"axis": 2})
    told = one("slice", "s", "e", "a", "t", attributes={}, s=[-1], e=[-100], a=[1], t=[-1])
    assert "(slice) turns round all rows" in told
    told = one("pad", "p", attributes={"mode": "wrap"}, p=[0, 1, 1, 0, 0, 1, 1, 0])
    assert "(pad) repeats the other side of the image" in told
    told = one("cumsum", "a", attributes={"exclusive": False, "reverse": False}, a=1)
    assert "(cumsum) is of a kind that needs all of the image, as far as is known" in told


def test_reshapes_that_mix_rows_and_columns_are_refused() -> None:
    nodes = [Node("reshape", ("x", "s"), ("y",), {"allowzero": False}, "tokens")]
    ends = [Value("x", F, ("n", "h", "w", 4))], [Value("y", F, ("n", "t", 4))]
    net = cl.Network(Graph.of(*ends, nodes, {"s": np.array([1, -1, 4])}))
    assert "node 'tokens' (reshape) mixes rows with other axes" in refused(net, (1, 8, 6, 4))


def test_bad_arguments() -> None:
    net, x = cl.Network(unet()), numbers(12, 1, 64, 64, 3)
    with pytest.raises(ValueError, match=r"a multiple of 8 along rows.*got 12: write 8 or 16"):
        net.tiled(x, tile=12)
    with pytest.raises(ValueError, match=r"got 4: write 8"):
        net.tiled(x, tile=4)
    with pytest.raises(ValueError, match=r"tile must have one number for rows and columns; got \(8, 8, 8\)"):
        net.tiled(x, tile=(8, 8, 8))
    with pytest.raises(TypeError, match="give tile or memory, not both"):
        net.tiled(x, tile=8, memory=1e9)
    with pytest.raises(ValueError, match=r"memory must be at least \d+ bytes, for tiles of 8; got 1000"):
        net.tiled(x, memory=1000)
    with pytest.raises(ValueError, match="memory must be a number of bytes above 0"):
        net.tiled(x, memory=-1)
    with pytest.raises(ValueError, match=r"out must have the shape \(1, 64, 64, 2\); got \(1, 64, 64, 3\)"):
        net.tiled(x, np.empty((1, 64, 64, 3), F))
    with pytest.raises(TypeError, match="out must be float32; got float64"):
        net.tiled(x, np.empty((1, 64, 64, 2)))
    with pytest.raises(TypeError, match="x must be float32, as the input 'x'; got uint8"):
        net.tiled(np.zeros((1, 64, 64, 3), np.uint8))
    with pytest.raises(TypeError, match="one array for each of the 1 outputs; got 2"):
        net.tiled(x, (x, x))
    with pytest.raises(TypeError, match="a journal needs out"):
        net.tiled(x, journal="nowhere")
    with pytest.raises(ValueError, match=r"must have 4 axes|has 4 axes"):
        net.tiling((64, 64))
    relu = image_network(Node("relu", ("x",), ("y",)))
    images = numbers(13, 1, 8, 8, 4)
    with pytest.raises(ValueError, match="out must not overlap x"):
        relu.tiled(images, images)
    images.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable"):
        relu.tiled(images + 1, images)
    with pytest.raises(ValueError, match="there is nothing to cut"):
        relu.tiled(np.zeros((1, 0, 8, 4), F))


def test_networks_of_two_inputs_are_refused() -> None:
    values = [Value(name, F, ("n", "h", "w", 1)) for name in "xzy"]
    net = cl.Network(Graph.of(values[:2], values[2:], [Node("add", ("x", "z"), ("y",))]))
    with pytest.raises(TypeError, match="tiles need a network of one input; this one has 2"):
        net.tiled(np.zeros((1, 8, 8, 1), F))


def test_readers_must_give_what_they_promise() -> None:
    net = image_network(Node("relu", ("x",), ("y",)))

    class Short(Reader):
        def __getitem__(self, place: tuple[slice, ...]) -> Array:
            return super().__getitem__(place)[:, :2]

    class Wide(Reader):
        def __getitem__(self, place: tuple[slice, ...]) -> Array:
            return super().__getitem__(place).astype(float)

    with pytest.raises(ValueError, match=r"x gave an array of the shape \(1, 2, 8, 4\).*\(1, 8, 8, 4\)"):
        net.tiled(Short(numbers(1, 1, 8, 8, 4)))
    with pytest.raises(TypeError, match="x gave an array of float64 though its dtype is float32"):
        net.tiled(Wide(numbers(1, 1, 8, 8, 4)))


# ---- files, interruptions, progress ----


def test_maps_of_files_and_progress(tmp_path: pathlib.Path) -> None:
    net, x = cl.Network(espcn()), numbers(14, 1, 50, 60, 3)
    np.save(tmp_path / "x.npy", x)
    source = np.load(tmp_path / "x.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", F, (1, 150, 180, 3))
    seen: list[tuple[int, Any]] = []
    net.tiled(source, out, tile=20, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 9) for done in range(10)]
    assert same(np.load(tmp_path / "y.npy"), net(x))
    relu = image_network(Node("relu", ("x",), ("y",)), channels=3, out=3)
    with pytest.raises(ValueError, match="out must not overlap x"):
        relu.tiled(source, np.load(tmp_path / "x.npy", mmap_mode="r+"))


def test_h5py_and_zarr(tmp_path: pathlib.Path) -> None:
    net, x = cl.Network(unet()), numbers(15, 40, 56, 3)
    whole = net(x[None])[0]
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["x"] = x
        out = file.create_dataset("y", (40, 56, 2), "f4")
        net.tiled(file["x"], out, tile=16, journal=tmp_path / "journal")
        assert same(out[:], whole)
    assert not (tmp_path / "journal").exists()
    zarr = pytest.importorskip("zarr")
    source = zarr.create_array(store=str(tmp_path / "x.zarr"), data=x, chunks=(16, 16, 3))
    target = zarr.create_array(
        store=str(tmp_path / "y.zarr"), shape=(40, 56, 2), chunks=(16, 16, 2), dtype="f4"
    )
    net.tiled(source, target, tile=16)
    assert same(np.asarray(target[:]), whole)


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: pathlib.Path) -> None:
    net, x = cl.Network(espcn()), numbers(16, 1, 60, 60, 3)
    journal = tmp_path / "y.npy.tiles"
    out = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", F, (1, 180, 180, 3))
    with pytest.raises(OSError, match="the disk is gone") as raised:
        net.tiled(Reader(x, fail_at=4), out, tile=20, journal=journal)
    (note,) = raised.value.__notes__
    assert "in tile 5 of 9: 4 are done; what they wrote into out is valid" in note
    assert str(journal) in note
    whole = net(x)
    assert same(out[:, :60], whole[:, :60])  # three tiles a row
    with open(journal, "a") as file:
        file.write("7")  # a line that was being written when the machine stopped

    again = Reader(x)
    net.tiled(again, out, tile=20, journal=journal)
    assert len(again.reads) == 5
    assert same(out, whole)
    assert not journal.exists()


def test_journals_of_other_runs_are_refused(tmp_path: pathlib.Path) -> None:
    net, x, journal = cl.Network(espcn()), numbers(16, 1, 60, 60, 3), tmp_path / "tiles"
    out = np.empty((1, 180, 180, 3), F)
    with pytest.raises(OSError, match="disk"):
        net.tiled(Reader(x, fail_at=2), out, tile=20, journal=journal)
    with pytest.raises(
        ValueError, match=r"of another run: its tile is \[20, 20\], not \[30, 30\]; delete it"
    ):
        net.tiled(x, out, tile=30, journal=journal)
    other = cl.Network(espcn(features=16))
    with pytest.raises(ValueError, match="of another run: its network is"):
        other.tiled(x, out, tile=20, journal=journal)
    journal.write_text("what is this\n")
    with pytest.raises(ValueError, match="cannot be read: delete it to begin anew"):
        net.tiled(x, out, tile=20, journal=journal)


# ---- memory ----


def test_memory_picks_the_tile() -> None:
    net = cl.Network(unet())
    before = 0
    for memory in (22e6, 30e6, 50e6, 100e6):
        found = net.tiling((1, 4096, 4096, 3), memory=memory)
        assert isinstance(found, Tiling)
        assert before < found.peak_bytes <= memory
        assert found.tile[0] == found.tile[1]
        before = found.peak_bytes
    assert net.tiling((1, 64, 64, 3)).tiles == 1
    assert str(found).startswith(f"{found.tiles} tiles of {found.tile[0]}x{found.tile[0]} (multiples of 8x8)")


SCRIPT = """
import sys
import numpy as np
sys.path.insert(0, {folder!r})
from tile_networks import unet
import convlite as cl

class Noise:
    shape, dtype = (1, 1024, 1024, 3), np.dtype("float32")
    def __getitem__(self, place):
        return np.ones([along.stop - along.start for along in place], np.float32)

class Nowhere:
    shape, dtype = (1, 1024, 1024, 2), np.dtype("float32")
    def __setitem__(self, place, value):
        pass

def peak(what="VmHWM"):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(what))

net = cl.Network(unet())
memory = {memory}
with cl.num_threads(2):
    net(np.ones((1, 64, 64, 3), np.float32))  # what a process takes at its first call
    found = net.tiling(Noise.shape, memory=memory)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    before = peak("VmRSS")
    net.tiled(Noise(), Nowhere(), memory=memory)
    print(found.peak_bytes, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.skipif("CONVLITE_SANITIZER" in os.environ, reason="the sanitizer's memory is counted, too")
@pytest.mark.parametrize("memory", [38e6, 90e6])
def test_memory_is_kept(memory: float) -> None:
    script = SCRIPT.format(folder=str(pathlib.Path(__file__).parent), memory=memory)
    told, measured = map(int, python(script).stdout.split())
    assert told <= memory
    assert measured <= told
    assert measured > 0.3 * told  # what is told is about what is taken


# ---- files that lie ----


def test_tables_of_a_resize_that_lead_out_of_the_image_are_an_error() -> None:
    tables = {
        "places": (np.array([[0], [9]]), np.array([[0]])),
        "weights": (np.ones((2, 1), F), np.ones((1, 1), F)),
    }
    net = image_network(Node("resample", ("x",), ("y",), tables))
    with pytest.raises(ValueError, match=r"\(resample\): index 9 is out of bounds"):
        net(numbers(1, 1, 4, 4, 4))


def test_a_sequential_that_was_built_for_small_images_takes_large_ones() -> None:
    layers = [cl.layers.InputLayer((16, 16, 3)), cl.layers.Conv2D(4, 3, strides=2, padding="same")]
    model = cl.layers.Sequential(layers)
    x = numbers(1, 1, 50, 60, 3)
    assert same(model.tiled(x, tile=16), model.network((None, None, None, 3))(x))


@pytest.mark.parametrize(
    "layer",
    [
        cl.layers.Conv2D(4, 5, strides=2, padding="same"),
        cl.layers.Conv2DTranspose(3, 3, strides=2),
        cl.layers.DepthwiseConv2D(3, dilation_rate=2, padding="same"),
        cl.layers.MaxPooling2D(2),
        cl.layers.UpSampling2D((2, 3)),
        cl.layers.ZeroPadding2D(3),
        cl.layers.ReLU(),
    ],
    ids=lambda layer: layer.name,
)
def test_single_operations(layer: cl.layers.Layer) -> None:
    x = Reader(numbers(2, 1, 50, 60, 3))
    whole = layer(x.array)
    assert same(layer.tiled(x, tile=16), whole)
    assert len(x.reads) == 4 * 4
    if layer.rank == 4:
        assert same(layer.tiled(x.array[0], tile=(16, 20)), whole[0])


def test_a_layer_of_sequences() -> None:
    layer, x = cl.layers.Conv1D(4, 7, dilation_rate=3, padding="same"), numbers(3, 2, 500, 3)
    assert same(layer.tiled(x, tile=64), layer(x))
    with pytest.raises(ValueError, match=r"cannot be cut into tiles: node .* reduces all rows"):
        cl.layers.GlobalAveragePooling2D().tiled(numbers(1, 1, 50, 60, 3))


class Bands:
    """Bands first, and windows read by a method: how rasterio gives a scan, without rasterio."""

    dtype = F

    def __init__(self, bands: Array) -> None:
        self.bands, self.shape = bands, (*bands.shape[1:], bands.shape[0])

    def read(self, window: tuple[tuple[int, int], tuple[int, int]]) -> Array:
        return self.bands[:, slice(*window[0]), slice(*window[1])]

    def __getitem__(self, place: tuple[slice, ...]) -> Array:
        rows, columns, channels = place
        window = (rows.start, rows.stop), (columns.start, columns.stop)
        return np.moveaxis(self.read(window), 0, -1)[..., channels]


def test_a_reader_of_bands() -> None:
    net, scan = cl.Network(unet()), Bands(numbers(4, 3, 72, 56))
    assert same(net.tiled(scan, tile=24), net(np.moveaxis(scan.bands, 0, -1)[None])[0])


def test_a_reader_that_fails_without_a_journal_and_an_out_that_fails() -> None:
    net, x = cl.Network(unet()), numbers(5, 1, 48, 48, 3)
    whole, out = net(x), np.full((1, 48, 48, 2), np.nan, F)
    with pytest.raises(OSError, match="the disk is gone") as raised:
        net.tiled(Reader(x, fail_at=7), out, tile=16)
    assert raised.value.__notes__ == ["in tile 8 of 9: 7 are done; what they wrote into out is valid"]
    assert same(out[:, :32], whole[:, :32])
    assert same(out[:, 32:, :16], whole[:, 32:, :16])
    assert np.isnan(out[:, 32:, 16:]).all()

    class Full:
        shape, dtype = out.shape, F

        def __init__(self) -> None:
            self.written: list[Any] = []

        def __setitem__(self, place: Any, value: Array) -> None:
            if len(self.written) == 4:
                raise OSError("no space left on the device")
            assert same(value, whole[place])
            self.written.append(place)

    with pytest.raises(OSError, match="no space") as raised:
        net.tiled(x, Full(), tile=16)
    assert "in tile 5 of 9: 4 are done" in raised.value.__notes__[0]
