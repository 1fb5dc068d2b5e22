"""Write resize.npz: what ONNX Runtime, ONNX's reference, PyTorch, PIL and Keras make of small images.

Run with an interpreter that has onnx, onnxruntime, torch, pillow and keras (README.md names the versions):

    python tests/golden/make_resize.py

"cases" is a JSON list: how to call convlite, on which image ("x"), and the shape of the result; the results
themselves lie one after the other in "want". Images are multiples of 1/16, as in make_ops.py.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx.reference import ReferenceEvaluator
from PIL import Image

RNG = np.random.default_rng(20261128)
IMAGES: dict[str, np.ndarray] = {}
CASES: list[dict[str, Any]] = []
WANT: list[np.ndarray] = []
# Sizes at which no coordinate lies so close to a boundary that its last bit decides.
SIZES = [((5, 8), (8, 4)), ((6, 9), (1, 12)), ((4, 10), (3, 3))]
COORDINATES = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
               "tf_half_pixel_for_nn", "tf_crop_and_resize"]  # fmt: skip
ROI = (0.1, -0.2, 0.9, 1.1)
ONNX = {"cubic_a": -0.75, "exclude_outside": False}  # what PyTorch has without antialias


def image(height: int, width: int) -> str:
    key = f"{height}x{width}"
    if key not in IMAGES:
        IMAGES[key] = (RNG.integers(-31, 32, (1, height, width, 2)) / 16).astype("float32")
    return key


def add(source: str, x: str, want: Any, call: str = "resize2d", **options: Any) -> None:
    want = np.asarray(want)
    CASES.append({"source": source, "function": call, "x": x, "shape": want.shape, "options": options})
    WANT.append(np.ascontiguousarray(want, dtype="float32").ravel())


def nchw(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def model(geometry: dict[str, Any], **attributes: Any) -> onnx.ModelProto:
    helper, tensor = onnx.helper, onnx.numpy_helper.from_array
    names = ["x", *(name if name in geometry else "" for name in ("roi", "scales", "sizes"))]
    dtypes = {"sizes": np.int64}
    constants = [tensor(np.array(v, dtypes.get(k, np.float32)), k) for k, v in geometry.items()]
    node = helper.make_node("Resize", names, ["y"], **attributes)
    ends = [helper.make_tensor_value_info(name, 1, [None] * 4) for name in "xy"]
    graph = helper.make_graph([node], "resize", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def onnx_resize(which: str, x: np.ndarray, geometry: dict[str, Any], **attributes: Any) -> np.ndarray:
    proto, feed = model(geometry, **attributes), {"x": nchw(x)}
    if which == "onnx.reference":
        (y,) = ReferenceEvaluator(proto).run(None, feed)
    else:
        (y,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feed)
    return y.transpose(0, 2, 3, 1)


def one_onnx(source: str, img: Any, how: str, size: Any, coordinates: str, **given: Any) -> None:
    """One case; `given` are convlite's options."""
    attributes: dict[str, Any] = {"coordinate_transformation_mode": coordinates}
    names = {"cubic_a": "cubic_coeff_a", "method": "mode", "keep_aspect_ratio": "keep_aspect_ratio_policy"}
    attributes |= {names.get(k, k): int(v) if isinstance(v, bool) else v for k, v in given.items()}
    scales = [float(np.float32((m + 0.3) / n)) for m, n in zip(size, img, strict=True)]
    geometry = {"sizes": [1, 2, *size]} if how == "size" else {"scales": [1, 1, *scales]}
    options: dict[str, Any] = {how: list(size) if how == "size" else scales}
    if coordinates == "tf_crop_and_resize":
        geometry["roi"] = [0, 0, *ROI[:2], 1, 1, *ROI[2:]]
        attributes["extrapolation_value"] = 7.0
        options |= {"roi": ROI, "extrapolation_value": 7.0}
    if "keep_aspect_ratio" in given:
        attributes["axes"], geometry["sizes"] = [2, 3], list(size)
    x = image(*img)
    want = onnx_resize(source, IMAGES[x], geometry, **attributes)
    add(source, x, want, coordinates=coordinates, **options, **given)


def of_onnx() -> None:
    for (img, size), coordinates, how in itertools.product(SIZES, COORDINATES, ("size", "scales")):
        for mode in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
            one_onnx("onnxruntime", img, how, size, coordinates, method="nearest", nearest_mode=mode)
        for antialias in (False, True):
            smooth = {"antialias": antialias}
            one_onnx(
                "onnxruntime", img, how, size, coordinates, method="linear", exclude_outside=False, **smooth
            )
            for a, exclude in ((-0.75, False), (-0.5, True)):
                extra = {"cubic_a": a, "exclude_outside": exclude, **smooth}
                one_onnx("onnxruntime", img, how, size, coordinates, method="cubic", **extra)
    for coordinates, antialias in itertools.product(("half_pixel", "asymmetric"), (False, True)):
        extra = {
            "exclude_outside": True,
            "antialias": antialias,
        }  # what ONNX Runtime does not have for "linear"
        one_onnx("onnx.reference", *SIZES[0][:1], "size", SIZES[0][1], coordinates, method="linear", **extra)
    for policy, size in itertools.product(("not_larger", "not_smaller"), ((7, 9), (3, 7))):
        options = {"method": "linear", "exclude_outside": False, "keep_aspect_ratio": policy}
        one_onnx("onnxruntime", (5, 8), "size", size, "half_pixel", **options)


def of_torch() -> None:
    for img, size in [*SIZES, ((20, 30), (3, 7)), ((3, 3), (7, 7))]:
        x = image(*img)
        tensor = torch.from_numpy(nchw(IMAGES[x]))

        def interpolate(target: Any, tensor: torch.Tensor = tensor, **options: Any) -> np.ndarray:
            return F.interpolate(tensor, **target, **options).numpy().transpose(0, 2, 3, 1)

        scales = [0.55, 0.37] if img == (20, 30) else [1.6, 0.55]
        for target, given in (
            ({"size": size}, {"size": size}),
            ({"scale_factor": scales}, {"scales": scales}),
        ):
            name = "torch.nn.functional.interpolate"
            for align in (False, True):
                place = {"coordinates": "align_corners" if align else "half_pixel"}
                if align and "scales" in given:
                    continue
                add(name, x, interpolate(target, mode="bilinear", align_corners=align), **given, **place)
                cubic = interpolate(target, mode="bicubic", align_corners=align)
                add(name, x, cubic, method="bicubic", **given, **place, **ONNX)
            if "size" in given or img == (20, 30):  # its antialiasing by a scale that enlarges gives zeros
                for mode in ("bilinear", "bicubic"):
                    add(name, x, interpolate(target, mode=mode, antialias=True), method=mode, antialias=True,
                        **given)  # fmt: skip
            nearest = interpolate(target, mode="nearest")
            add(name, x, nearest, method="nearest", coordinates="asymmetric", **given)
            add(name, x, interpolate(target, mode="nearest-exact"), method="nearest-exact", **given)
            add(name, x, interpolate(target, mode="area"), method="adaptive_average", **given)


def of_pil() -> None:
    kinds = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos3": Image.LANCZOS}
    for (img, size), method in itertools.product([*SIZES, ((20, 30), (3, 7))], kinds):
        x = image(*img)
        planes = [Image.fromarray(IMAGES[x][0, :, :, c]) for c in (0, 1)]
        want = [np.asarray(plane.resize(size[::-1], kinds[method])) for plane in planes]
        add("PIL.Image.resize", x, np.stack(want, -1)[None], method=method, antialias=True, size=size)


def of_keras() -> None:
    for img, size in [*SIZES, ((20, 30), (3, 7)), ((20, 30), (16, 40))]:
        x = image(*img)
        for options in (
            {}, {"antialias": True}, {"interpolation": "nearest"}, {"crop_to_aspect_ratio": True},
            {"pad_to_aspect_ratio": True, "fill_value": 0.5}, {"interpolation": "bicubic", "antialias": True},
        ):  # fmt: skip
            layer = keras.layers.Resizing(*size, data_format="channels_last", **options)
            add("keras.layers.Resizing", x, layer(IMAGES[x]).numpy(), call="Resizing", height=size[0],
                width=size[1], **options)  # fmt: skip


def nearest_indices() -> np.ndarray:
    """The pixels of sizes 1, 4, 7 ... 64 resized to 1 ... 64 by ONNX Runtime's default, joined."""
    rows = []
    for n in range(1, 65, 3):
        ramp = np.arange(n, dtype="float32").reshape(1, 1, n, 1)
        for m in range(1, 65):
            attributes = {"mode": "nearest", "coordinate_transformation_mode": "half_pixel"}
            rows.append(onnx_resize("onnxruntime", ramp, {"sizes": [1, 1, 1, m]}, **attributes).ravel())
    return np.concatenate(rows).astype("uint8")


if __name__ == "__main__":
    onnxruntime.set_default_logger_severity(3)
    for make in (of_onnx, of_torch, of_pil, of_keras):
        make()
    path = Path(__file__).parent / "resize.npz"
    arrays = {f"x/{key}": value for key, value in IMAGES.items()}
    np.savez_compressed(
        path,
        cases=np.array(json.dumps(CASES)),
        want=np.concatenate(WANT),
        indices=nearest_indices(),
        **arrays,
    )
    print(f"{path.name}: {len(CASES)} cases, {path.stat().st_size} bytes")
