"""Networks in other processes: pools of all kinds, Dask with processes, Ray; tiles of a Dask array."""

from __future__ import annotations

import concurrent.futures
import importlib.util
import multiprocessing
import pathlib
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from interpreter import TIMEOUT, python
from tile_networks import F, computed, espcn, unet

import convlite as cl
from convlite.network.graph import Graph, Node, Value

Array = np.ndarray[Any, Any]
unix = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")


def images(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(F)


# ---- pickles and pools ----


def test_weights_travel_in_buffers_of_protocol_5() -> None:
    net, x = cl.Network(unet()), images(1, 64, 64, 3)
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(net, protocol=5, buffer_callback=buffers.append)
    weights = sum(array.nbytes for array in net.graph.constants.values())
    assert len(text) < 20_000 < weights
    assert sum(buffer.raw().nbytes for buffer in buffers) == weights
    twin = pickle.loads(text, buffers=buffers)
    name = max(net.graph.constants, key=lambda key: net.graph.constants[key].nbytes)
    assert np.shares_memory(twin.graph.constants[name], net.graph.constants[name])
    assert np.array_equal(twin(x), net(x))  # from here on there are the packed weights
    assert np.array_equal(twin.graph.constants[name], net.graph.constants[name])
    net.tiled(x, tile=16)  # what tiles keep does not travel
    assert len(pickle.dumps(net, protocol=5, buffer_callback=[].append)) == len(text)


@unix
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork with threads around is the point
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str) -> None:
    net, batches = cl.Network(unet()), [images(1, 32, 32, 3) + number for number in range(4)]
    want = [net(x) for x in batches]
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.starmap(computed, [(net, x) for x in batches])
    assert all(np.array_equal(a, b) for a, b in zip(found, want, strict=True))


@unix
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_concurrent_futures(kind: str) -> None:
    net, batches = cl.Network(unet()), [images(1, 32, 32, 3) + number for number in range(4)]
    want = [net(x) for x in batches]
    pool: concurrent.futures.Executor
    if kind == "threads":
        pool = concurrent.futures.ThreadPoolExecutor(3)
    else:
        pool = concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    with pool:
        found = list(pool.map(computed, [net] * 4, batches))
    assert all(np.array_equal(a, b) for a, b in zip(found, want, strict=True))


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_joblib(backend: str) -> None:
    joblib = pytest.importorskip("joblib")
    net, batches = cl.Network(espcn()), [images(1, 20, 24, 3) + number for number in range(4)]
    found = joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(computed)(net, x) for x in batches)
    assert all(np.array_equal(a, net(x)) for a, x in zip(found, batches, strict=True))


# ---- Dask ----


@pytest.fixture
def da() -> Any:
    return pytest.importorskip("dask.array")


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_a_dask_array_keeps_its_chunks_and_has_the_bits(da: Any, scheduler: str) -> None:
    net, x = cl.Network(unet()), images(2, 160, 136, 3)
    lazy = net.map_overlap(da.from_array(x, chunks=(1, (56, 48, 56), 68, 3)))
    assert lazy.chunks == ((1, 1), (56, 48, 56), (68, 68), (2,))
    assert lazy.dtype == F
    assert lazy._meta.shape == (0, 0, 0, 0)
    assert np.array_equal(lazy.compute(scheduler=scheduler), net(x))
    assert np.array_equal(lazy[1, 50:60, 60:70].compute(scheduler=scheduler), net(x)[1, 50:60, 60:70])


def test_a_dask_array_scales_its_chunks(da: Any) -> None:
    net, x = cl.Network(espcn()), images(1, 60, 50, 3)
    lazy = net.map_overlap(da.from_array(x[0], chunks=(20, 25, 3)))
    assert lazy.chunks == ((60, 60, 60), (75, 75), (3,))
    assert np.array_equal(lazy.compute(), net(x)[0])
    assert net.map_overlap(da.from_array(x[0], chunks=(20, 25, 3))).name == lazy.name


def test_the_precision_is_that_of_the_call(da: Any) -> None:
    net, x = cl.Network(espcn()), images(1, 96, 96, 3)
    with cl.precision("fast"):
        lazy, whole = net.map_overlap(da.from_array(x, chunks=(1, 96, 96, 3))), net(x)
    assert np.array_equal(lazy.compute(), whole)
    assert not np.array_equal(whole, net(x))


def test_dask_arrays_that_do_not_fit(da: Any) -> None:
    net, x = cl.Network(unet()), da.zeros((1, 160, 160, 3), chunks=(1, 32, 160, 3), dtype=F)
    with pytest.raises(
        ValueError, match=r"at least as large as the halo, 46 along axis 1; the smallest is 32"
    ):
        net.map_overlap(x)
    with pytest.raises(ValueError, match=r"in one piece along axis 3.*x.rechunk\(\{3: -1\}\)"):
        net.map_overlap(x.rechunk((1, 160, 160, 1)))
    with pytest.raises(TypeError, match=r'x must be float32.*write x.astype\("float32"\)'):
        net.map_overlap(x.astype("f8"))
    with pytest.raises(TypeError, match=r"x must be a dask.array; got ndarray: write dask.array.from_array"):
        net.map_overlap(np.zeros((1, 160, 160, 3), F))
    with pytest.raises(ValueError, match="threads must be"):
        net.map_overlap(x, threads=0)


def two_outputs() -> cl.Network:
    """Half the size, and edges of the picture as it is: outputs of two scales that share a node."""
    options = {
        "strides": (1, 1),
        "padding": "same",
        "dilations": (1, 1),
        "groups": 1,
        "activation": ("relu",),
    }
    pool = {
        "kernel": (2, 2),
        "strides": (2, 2),
        "padding": ((0, 0), (0, 0)),
        "dilations": (1, 1),
        "ceil_mode": False,
    }
    nodes = [
        Node("conv", ("x", "k"), ("a",), options),
        Node("max_pool", ("a",), ("half",), pool),
        Node("conv", ("a", "l"), ("edges",), {**options, "activation": None}),
    ]
    ends = [("half", ("n", "p", "q", 4)), ("edges", ("n", "h", "w", 2))]
    outputs = [Value(name, F, shape) for name, shape in ends]
    constants = {"k": images(3, 3, 3, 4), "l": images(5, 5, 4, 2)}
    return cl.Network(Graph.of([Value("x", F, ("n", "h", "w", 3))], outputs, nodes, constants))


@pytest.mark.parametrize("bare", [False, True])
def test_several_outputs_are_several_arrays(da: Any, bare: bool) -> None:
    net, x = two_outputs(), images(1, 64, 48, 3)
    given, chunks = (x[0], (16, 24, 3)) if bare else (x, (1, 16, 24, 3))
    half, edges = net.map_overlap(da.from_array(given, chunks=chunks))
    assert half.chunks[-3:] == ((8, 8, 8, 8), (12, 12), (4,))
    assert edges.chunks[-3:] == ((16, 16, 16, 16), (24, 24), (2,))
    assert half.dtype == edges.dtype == F
    want = [array[0] if bare else array for array in net(x)]
    assert np.array_equal(half.compute(scheduler="threads"), want[0])
    assert np.array_equal(edges.compute(scheduler="synchronous"), want[1])
    import dask

    found = dask.compute(half, edges, scheduler="threads")
    assert all(np.array_equal(a, b) for a, b in zip(found, want, strict=True))


def test_several_outputs_computed_together_run_each_chunk_once(
    da: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask

    from convlite.network.tiling.grid import Cells

    net, x, calls = two_outputs(), images(1, 64, 48, 3), []
    lazy = net.map_overlap(da.from_array(x, chunks=(1, 16, 24, 3)))
    run = Cells.run
    monkeypatch.setattr(Cells, "run", lambda self, tile, part: calls.append(1) or run(self, tile, part))
    dask.compute(*lazy, scheduler="synchronous")
    assert len(calls) == 8


CLUSTER = """
import os, sys, time
import numpy as np
import dask.array as da
from distributed import Client, LocalCluster
sys.path.insert(0, {folder!r})
from tile_networks import unet
import convlite as cl

def count():  # how often a worker unpickles a network
    from convlite.network.executor import Executor
    old, Executor.count = Executor.__setstate__, 0
    def new(self, state):
        Executor.count += 1
        old(self, state)
    Executor.__setstate__ = new
    return cl.get_num_threads()

def counted():
    from convlite.network.executor import Executor
    return Executor.count

def dying(block):  # the first worker that comes here dies
    try:
        os.close(os.open({flag!r}, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return block
    os._exit(1)

if __name__ == "__main__":
    net = cl.Network(unet())
    x = np.random.default_rng(0).standard_normal((1, 192, 192, 3)).astype("float32")
    lazy = net.map_overlap(da.from_array(x, chunks=(1, 48, 64, 3)))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        threads = client.run(count)
        same = np.array_equal(lazy.compute(), net(x))
        times = client.run(counted)
        source = da.from_array(x, chunks=(1, 48, 64, 3)).map_blocks(dying, meta=np.empty((0,) * 4, "f4"))
        again = np.array_equal(net.map_overlap(source).compute(), net(x))
    print(same, sorted(times.values()), again, sorted(threads.values()))
"""


def test_a_cluster_sends_the_network_once_a_worker_and_survives_one(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("distributed")
    script = CLUSTER.format(folder=str(pathlib.Path(__file__).parent), flag=str(tmp_path / "died"))
    file = tmp_path / "cluster.py"
    file.write_text(script)
    run = python(f"import runpy; runpy.run_path({str(file)!r}, run_name='__main__')")
    assert run.stdout.split("\n")[0] == "True [1, 1] True [1, 1]", run.stderr[-3000:]


# ---- Ray ----


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_actors(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """The bits of one process, also where an actor dies. Needs the extra test-ray: Ray is large."""
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    path = pathlib.Path(__file__).parents[1] / "examples" / "ray_batches.py"
    spec = importlib.util.spec_from_file_location("ray_batches", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ray_batches", module)
    spec.loader.exec_module(module)
    net, x, flag = cl.Network(espcn()), images(12, 20, 24, 3), tmp_path / "died"

    class Dying(module.Predictor):  # type: ignore[name-defined, misc]
        """The first actor that has a batch dies over it."""

        def __call__(self, batch: dict[str, Array]) -> dict[str, Array]:
            import os

            if not flag.exists():
                flag.touch()
                os._exit(1)
            found: dict[str, Array] = super().__call__(batch)
            return found

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        ray.cloudpickle.register_pickle_by_value(module)
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        rows = {}
        for actor in (module.Predictor, Dying):
            data = ray.data.from_numpy(x).map_batches(
                actor,
                fn_constructor_args=(net,),
                batch_size=4,
                num_cpus=1,
                compute=ray.data.ActorPoolStrategy(size=2),
            )
            rows[actor] = data.take_all()
    finally:
        ray.shutdown()
    assert flag.exists()
    want = {image.tobytes(): out for image, out in zip(x, net(x), strict=True)}
    for found in rows.values():
        assert len(found) == len(x)
        for row in found:
            assert np.array_equal(np.asarray(row["out"], F), want[np.asarray(row["data"], F).tobytes()])


def test_the_example_for_ray_runs_as_its_docstring_says(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("ray")
    cl.Network(espcn()).save(tmp_path / "espcn.npz")
    path = pathlib.Path(__file__).parents[1] / "examples" / "ray_batches.py"
    command = [sys.executable, str(path), str(tmp_path / "espcn.npz")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert run.stdout.split("\n")[-2:] == ["(96, 96, 3)", ""], run.stderr[-2000:]
