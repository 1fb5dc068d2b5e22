"""Coverage-guided fuzzing of what parses: arguments, geometry, weights in files. Run by `.ci/fuzz`.

    python tests/fuzz.py TARGET [libFuzzer's options]     with the package atheris
    python tests/fuzz.py TARGET --random RUNS SEED        without it: the same targets on random bytes

A target reads bytes and raises nothing but what it may: a crash, another exception, a hang or too much memory
is a finding, and libFuzzer leaves the bytes in crash-*, timeout-* or oom-*.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import itertools
import json
import os
import random
import sys
import tempfile
import zipfile
from typing import Any

import numpy as np

try:
    import atheris
except ImportError:
    atheris = None

with atheris.instrument_imports(include=["convlite"]) if atheris else contextlib.nullcontext():
    import convlite as cl
    from convlite import _dispatch, arguments, geometry, ops, pack
    from convlite.layers.files import read_weights
    from convlite.network.file import read_network
    from convlite.plan import FORMS, Weights, plan_as, plan_for

from network_examples import branching, classifier

REFUSALS = (TypeError, ValueError, MemoryError)
OPERATIONS = ("conv2d", "conv2d_transpose", "depthwise_conv2d", "conv1d", "conv1d_transpose", "dense")


class Reader:
    """Values out of bytes, the same for the same bytes; zeros where they end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        """The next one."""
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def pick(self, *choices: Any) -> Any:
        """One of them."""
        return choices[self.byte() % len(choices)]

    def integer(self) -> int:
        """Mostly small, at times at a limit."""
        kind = self.byte()
        if kind < 200:
            return kind % 12
        edge = self.pick(2**7, 2**15, 2**16, 2**24, 2**31, 2**32, 2**62, 2**63, 2**64, 10**4400)
        return self.pick(1, -1) * (edge + self.byte() % 3 - 1)

    def value(self, depth: int = 0) -> Any:
        """Anything that Python can write down."""
        kind = self.byte() % (14 if depth < 3 else 10)
        if kind < 4:
            return self.integer()
        if kind == 4:
            return self.pick("same", "valid", "SAME", "same_lower", "full", "", "causal", "\0", "é" * 3)
        if kind == 5:
            return self.pick(None, True, False, 1.0, float("nan"), float("inf"), 1j, b"1", ..., object(), int)
        if kind == 6:
            return self.pick(np.int64, np.uint8, np.float32, np.bool_)(self.byte() % 5)
        if kind == 7:
            return np.array(
                [self.byte() % 5 for _ in range(self.byte() % 5)], self.pick("i4", "f4", "O", "u1")
            )
        if kind < 10:
            return self.pick(1, 2, (1, 1), (2, 3), [1, 2, 2, 1], ((0, 1), (1, 0)), "same")
        items = [self.value(depth + 1) for _ in range(self.byte() % 6)]
        return self.pick(tuple, list)(items)

    def shape(self, rank: int) -> Any:
        """Mostly a shape of this rank."""
        if self.byte() < 20:
            return self.value()
        return tuple(self.integer() for _ in range(rank))


def _options(read: Reader, *names: str) -> dict[str, Any]:
    return {name: read.value() for name in names if read.byte() % 3}


def parse(data: bytes) -> None:
    """arguments.py: a form, or a refusal that names the argument."""
    read = Reader(data)
    parser = read.pick(
        arguments.as_int, arguments.as_size, arguments.as_pair, arguments.as_single, arguments.as_padding,
        arguments.as_padding_1d, arguments.as_real, arguments.as_flag, arguments.as_operand,
    )  # fmt: skip
    value = read.value()
    try:
        result = parser(value, "name")
    except REFUSALS as error:
        assert "name" in str(error), error
        assert len(str(error)) < 1000
        return
    if isinstance(result, np.ndarray):
        assert result.flags.c_contiguous
        assert result.dtype in (np.float32, np.float64)
    else:
        hash(result)
        if parser in (arguments.as_pair, arguments.as_padding) and not isinstance(result, str):
            assert parser(result, "name") == result  # a form is one of its own


def shapes(data: bytes) -> None:
    """Shape questions: an answer that the phases bear out, or a refusal."""
    read = Reader(data)
    transposed = read.byte() % 2
    names = ("strides", "padding", "dilations", "groups")
    options = _options(read, *names, *(("output_shape", "output_padding") if transposed else ()))
    x, kernel = read.shape(4), read.shape(4)
    whole = isinstance(x, tuple) and isinstance(kernel, tuple) and len(x) == len(kernel) == 4
    if read.byte() % 2 and whole:  # channels that fit
        kernel = (*kernel[:3], x[-1]) if transposed else (*kernel[:2], x[-1], kernel[-1])
    asked = cl.conv2d_transpose_output_shape if transposed else cl.conv2d_output_shape
    try:
        shape = asked(x, kernel, **options)
    except REFUSALS as error:
        assert len(str(error)) < 1000
        return
    assert len(shape) == 4
    assert all(type(n) is int and n >= 0 for n in shape)
    with contextlib.redirect_stdout(io.StringIO()):  # what has an answer has an explanation
        cl.explain("conv2d_transpose" if transposed else "conv2d", x, kernel, **options)


def axes(data: bytes) -> None:
    """geometry.py: the phases of an axis cover every output once and read what the definition reads."""
    read = Reader(data)
    in_size, kernel, stride, dilation = (read.byte() % n for n in (40, 9, 9, 9))
    kernel, stride, dilation = kernel + 1, stride + 1, dilation + 1
    pad = read.pick("valid", "same", "same_lower", (read.byte() % 9, read.byte() % 9))
    transposed = read.byte() % 2
    try:
        if transposed:
            size = read.pick(None, read.byte())
            extra = None if size is not None else read.pick(None, read.byte() % 9)
            axis = geometry.transpose_axis(in_size, kernel, stride, dilation, pad, "height", size, extra)
        else:
            axis = geometry.conv_axis(in_size, kernel, stride, dilation, pad, "height")
    except ValueError:
        return
    before = axis.pads[0]
    seen = []
    for phase in axis.phases:
        for i in range(phase.count):
            out = phase.start + i * phase.step
            seen.append(out)
            reads = sorted(i * phase.in_step + o for o in phase.offsets)
            reads = [r for r in reads if 0 <= r < in_size]
            if transposed:
                want = [
                    r
                    for r in range(in_size)
                    if (out + before - r * stride) in range(0, kernel * dilation, dilation)
                ]
            else:
                want = [out * stride + t * dilation - before for t in range(kernel)]
                want = [r for r in want if 0 <= r < in_size]
            assert reads == want, (in_size, kernel, stride, dilation, pad, out, reads, want)
    assert sorted(seen) == list(range(axis.out_size))


def calls(data: bytes) -> None:
    """Operations: the definition's values, or a refusal where it refuses."""
    read = Reader(data)
    name = read.pick(*OPERATIONS)
    rank = {"conv1d": 3, "conv1d_transpose": 3, "dense": 2}.get(name, 4)
    sizes = [read.byte() % 9 for _ in range(rank)]
    taps = [1 + read.byte() % 4 for _ in range(rank - 2)]
    channels = [read.byte() % 20 for _ in range(2)]
    if read.byte() % 8:
        channels[1 if "transpose" in name else 0] = sizes[-1]
    known = {"dense": ()}.get(name, ("strides", "padding", "dilations"))
    options = _options(read, *known)
    if "transpose" in name:
        options |= _options(read, "output_padding")
    dtype = read.pick(np.float32, np.float64)
    x = (np.arange(np.prod(sizes, dtype=int)) * 5 % 7 - 3.0).astype(dtype).reshape(sizes)
    kernel = (np.arange(np.prod([*taps, *channels], dtype=int)) * 3 % 5 - 2.0).astype(dtype)
    kernel = kernel.reshape([*taps, *channels])
    if any(isinstance(v, int) and v > 99 for v in _flat(list(options.values()))):
        return  # sizes beyond what is worth computing belong to `shapes`
    try:
        want = getattr(cl.reference, name)(x, kernel, **options)
    except REFUSALS:
        want = None
    try:
        got = getattr(cl, name)(x, kernel, **options)
    except REFUSALS:
        assert want is None, (name, x.shape, kernel.shape, options)
        return
    assert want is not None, (name, x.shape, kernel.shape, options)
    np.testing.assert_array_equal(got, want, strict=True)


def plans(data: bytes) -> None:
    """Every form of an operation: a plan for each geometry that the checks let through, and the definition's
    values, with weights that are finite and with weights that may not meet padding.
    """
    read = Reader(data)
    name = read.pick("conv2d", "conv2d_transpose", "depthwise_conv2d")
    sizes = tuple(read.byte() % n for n in (3, 7, 24))
    taps, strides, dilations = (tuple(1 + read.byte() % n for _ in range(2)) for n in (4, 4, 3))
    groups = read.pick(1, 1, 2, 3, 17)
    cin, cout = groups * read.pick(1, 1, 2, 4, 9), groups * read.pick(1, 1, 2, 5, 33)
    padding = read.pick(
        "valid", "same", "same_lower", tuple((read.byte() % 4, read.byte() % 4) for _ in range(2))
    )
    extra = read.pick(None, tuple(read.byte() % 4 for _ in range(2)))
    dtype, isa = read.pick(np.float32, np.float64), _dispatch.active_isa()
    kernel = {
        "conv2d": (*taps, cin // groups, cout),
        "conv2d_transpose": (*taps, cout // groups, cin),
        "depthwise_conv2d": (*taps, cin, 1 + cout % 3),
    }[name]
    groups = 1 if name == "depthwise_conv2d" else groups
    options: dict[str, Any] = {"strides": strides, "padding": padding, "dilations": dilations}
    options |= {} if name == "depthwise_conv2d" else {"groups": groups}
    extra = extra if name == "conv2d_transpose" else None
    x = (np.arange(np.prod((*sizes, cin), dtype=int)) * 5 % 7 - 3.0).astype(dtype).reshape(*sizes, cin)
    weights = (np.arange(np.prod(kernel, dtype=int)) * 3 % 5 - 2.0).astype(dtype).reshape(kernel)
    try:
        pads = arguments.as_padding(padding)
        geo = ops.geometry_of(name, x.shape, kernel, strides, pads, dilations, groups, None, extra)
    except ValueError:
        return
    options |= {} if extra is None else {"output_padding": extra}
    want = getattr(cl.reference, name)(x, weights, **options)
    shaped = Weights(name, kernel, strides, dilations, groups)
    made = [plan_for(geo, shaped, np.dtype(dtype), isa, fast=True)]
    for finite, form in itertools.product((True, False), FORMS):
        if form != "winograd":
            made += [plan_as(form, geo, shaped._replace(finite=finite), np.dtype(dtype), isa)]
    for each in made:
        if each is None:
            continue
        panels = pack.pack_panels(weights, shaped, isa, each.layout)
        near = 1e-2 if each.form == "winograd" else 0
        for finite in (True, False)[: 1 + (not each.needs_finite)]:
            out = np.full(geo.out_shape, 7, dtype)
            if out.size:
                each.runner.run(x, panels.data, None, None, out, 0, 0.0, 0.0, finite, 1)
            np.testing.assert_allclose(out, want, rtol=0, atol=near)


def _flat(values: Any) -> list[Any]:
    if isinstance(values, (list, tuple, np.ndarray)):
        return [v for item in values for v in _flat(item)]
    return [values]


def _read(data: bytes, ending: str) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        path = os.path.join(folder, f"w{ending}")
        with open(path, "wb") as file:
            file.write(data)
        try:
            weights = read_weights(path)
        except (ValueError, ImportError):
            return
        assert sum(w.nbytes for w in weights.values()) <= 2000 * len(data) + 4096
        assert not any(w.dtype.hasobject or w.dtype == np.float16 for w in weights.values())
        if all(len(name) <= 40 for name in weights):
            _load(path, weights)


def _load(path: str, weights: dict[str, np.ndarray]) -> None:
    """A model takes what fits, the same as is read, and nothing else; a refusal changes nothing."""
    model = cl.layers.Sequential([cl.layers.Dense(3, name="a"), cl.layers.Dense(2, name="b")])
    model.build((None, 2))
    before = model.named_weights()
    try:
        report = model.load_weights(path, strict=False, rename=lambda name: name[:40] or None)
    except (TypeError, ValueError):
        assert all(model.named_weights()[name] is weight for name, weight in before.items())
        return
    assert len(str(report)) < 10_000 + 100 * len(weights)
    for name, weight in model.named_weights().items():
        want = weights[name] if name in report.loaded else before[name]
        np.testing.assert_array_equal(weight, want)


def npz(data: bytes) -> None:
    """A .npz file of these bytes: arrays, or ValueError."""
    _read(data, ".npz")


def member(data: bytes) -> None:
    """A sound archive around a member of these bytes."""
    stream = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if data[:1] > b"\x80" else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", kind) as archive:
        archive.writestr("kernel.npy", data[1:])
    _read(stream.getvalue(), ".npz")


def safetensors(data: bytes) -> None:
    """A .safetensors file of these bytes; the length of its header is set right for half of them."""
    if data[:1] > b"\x80":
        end = data.find(b"}}") + 2
        data = len(data[1:end]).to_bytes(8, "little") + data[1:]
    _read(data, ".safetensors")


def _network(text: bytes, arrays: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        path = os.path.join(folder, "n.npz")
        np.savez(path, graph=np.frombuffer(text, np.uint8), **arrays)
        try:
            graph = read_network(path)
        except ValueError as error:
            assert "n.npz" in str(error), error
            return
        assert str(graph)
        cl.Network.of_optimised(graph)


@functools.cache
def _documents() -> list[tuple[bytes, dict[str, Any]]]:
    """(JSON text, arrays) of sound network files."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, graph in enumerate((classifier(), branching())):
            path = os.path.join(folder, f"{number}.npz")
            cl.Network(graph).save(path)
            arrays = read_weights(path)
            found.append((arrays.pop("graph").tobytes(), arrays))
    return found


def network_text(data: bytes) -> None:
    """A network file with these bytes as its JSON: a graph, or ValueError that names the file."""
    _network(data[1:], _documents()[data[:1] > b"\x80"][1])


def network(data: bytes) -> None:
    """A network file whose JSON says something else in a few places."""
    read = Reader(data)
    text, arrays = read.pick(*_documents())
    document = json.loads(text)
    for _ in range(1 + read.byte() % 4):
        _edit(document["graph"], read)
    _network(json.dumps(document).encode(), arrays)


def _edit(held: Any, read: Reader) -> None:
    """Change one place: another value, one from elsewhere, none, or the same one twice."""
    places = []
    waiting = [held]
    while waiting:
        part = waiting.pop()
        keys = list(part) if isinstance(part, dict) else range(len(part))
        places += [(part, key) for key in keys]
        waiting += [part[key] for key in keys if isinstance(part[key], (dict, list))]
    if not places:
        return
    part, key = places[(256 * read.byte() + read.byte()) % len(places)]
    other, its = places[(256 * read.byte() + read.byte()) % len(places)]
    what = read.byte() % 5
    if what == 0:
        del part[key]
    elif what == 1:
        part[key] = copy.deepcopy(other[its])
    elif what == 2 and isinstance(part, list):
        part.insert(key, copy.deepcopy(part[key]))
    elif what == 3:
        part[key] = read.pick(
            None, True, "", "x", "N", "float64", [], {}, 0.5, 1e300, -1, 0, 2, 2**31, 2**62, 10**30
        )
    else:
        part[key] = read.pick(
            [part[key]], {"array": 0}, {"float": "nan"}, {"dtype": "int8"}, [1, 1], [0, 0], "same"
        )


TARGETS = {
    f.__name__: f
    for f in (parse, shapes, axes, calls, plans, npz, member, safetensors, network_text, network)
}


def seeds() -> dict[str, list[bytes]]:
    """Sound files to start from."""
    stream, array = io.BytesIO(), io.BytesIO()
    np.savez(stream, a=np.ones((2, 3), np.float32), b=np.zeros(0))
    np.save(array, np.ones((2, 3), np.float32))
    packed = io.BytesIO()
    np.savez_compressed(packed, a=np.ones(9))
    header = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    half = b'{"a/bias":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]}}'
    fits = io.BytesIO()
    np.savez(fits, **{"a/bias": np.arange(3, dtype=np.float16)})
    return {
        "npz": [stream.getvalue(), packed.getvalue(), fits.getvalue()],
        "member": [b"\0" + array.getvalue(), b"\xff" + array.getvalue()],
        "network_text": [bytes([255 * n]) + text for n, (text, _) in enumerate(_documents())],
        "safetensors": [
            len(header).to_bytes(8, "little") + header + bytes(8),
            b"\xff" + header + bytes(8),
            len(half).to_bytes(8, "little") + half + bytes(range(6)),
        ],
    }


def _mutated(random_: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(random_.randrange(1, 6)):
        at = random_.randrange(len(data) + 1)
        what = random_.randrange(3)
        if what == 0:
            data[at : at + 1] = random_.randbytes(1)
        elif what == 1:
            data[at : at + random_.randrange(9)] = b""
        else:
            data[at:at] = random_.choice([b"\0" * 4, b"\xff" * 4, b"9" * 9, random_.randbytes(4)])
    return bytes(data)


def run_random(target: str, runs: int, seed: int) -> None:
    """The target on random bytes, or on files with random faults."""
    random_, known = random.Random(seed), seeds().get(target)
    for _ in range(runs):
        data = _mutated(random_, random_.choice(known)) if known else random_.randbytes(random_.randrange(60))
        TARGETS[target](data)


def main(arguments: list[str]) -> None:
    """See above."""
    target, *options = arguments
    if options[:1] == ["--random"]:
        run_random(target, int(options[1]), int(options[2]))
        return
    if atheris is None:
        raise SystemExit("coverage-guided fuzzing needs the package atheris; there is --random RUNS SEED")
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(seeds().get(target, [])):
            with open(os.path.join(corpus, str(number)), "wb") as file:
                file.write(data)
        atheris.Setup([sys.argv[0], *options, corpus], TARGETS[target])
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
