"""Run the code that convlite.explain prints and compare its results with convlite's.

    python tests/golden/check_explain.py     in an environment with convlite and some of TensorFlow, PyTorch, ONNX Runtime

Frameworks that are missing are skipped aloud. Everything runs in float64, where TensorFlow has only its own
kernels (onednn's float32 ones accept more), but for ONNX Runtime, whose convolutions are float32.
"""

import itertools
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np

import convlite as cl
from convlite._equivalents import equivalents
from convlite.explain import resolve


def cases():
    """(operation, x shape, kernel shape, options)."""
    for strides, padding, dilations in itertools.product(
        [1, 2, (3, 1), (2, 3)],
        ["valid", "same", "same_lower", 1, ((0, 1), (2, 0))],
        [1, 2, (1, 3)],
    ):
        options = {"strides": strides, "padding": padding, "dilations": dilations}
        for size in (3, 2, 1):
            yield "conv2d", (2, 9, 8, 4), (size, size, 4, 6), options
            yield "depthwise_conv2d", (2, 9, 8, 4), (size, size, 4, 2), options
            yield "conv2d_transpose", (2, 4, 5, 4), (size, size, 6, 4), options
            if isinstance(strides, int):
                for extra in range(strides):
                    more = options | {"output_padding": extra}
                    yield "conv2d_transpose", (2, 4, 5, 4), (size, size + 1, 6, 4), more
        yield "conv2d", (2, 9, 8, 4), (3, 3, 2, 6), options | {"groups": 2}
        yield "conv2d_transpose", (2, 4, 5, 4), (3, 3, 3, 4), options | {"groups": 2}
        if isinstance(strides, int) and isinstance(dilations, int):
            line = options | {"padding": (2, 1) if isinstance(padding, tuple) else padding}
            yield "conv1d", (2, 9, 4), (3, 2, 6), line | {"groups": 2}
            yield "conv1d_transpose", (2, 4, 4), (3, 3, 4), line | {"groups": 2}
            yield "conv1d_transpose", (2, 4, 4), (4, 6, 4), line
    for shape in ((14, 14), (13, 12), (64, 12, 12, 4)):
        options = {"strides": 3, "padding": "valid" if shape != (13, 12) else "same", "output_shape": shape}
        kernel = (3, 3, 4, 2) if shape != (13, 12) else (5, 2, 4, 2)
        size = (5, 4) if shape == (13, 12) else (4, 4)
        yield "conv2d_transpose", (64, *size, 2), kernel, options
    for shape in ((4,), (3, 4), (2, 3, 4)):
        yield "dense", shape, (4, 5), {}


def runners():
    """Framework -> a function of (code, x, kernel) that returns y, for those that are installed."""
    found = {}
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        print(f"skipped: {error.name}")
    else:

        def run(code, x, kernel):
            names = {"tf": tf, "keras": keras, "np": np, "x": x, "kernel": kernel}
            exec("\n".join(code), names)
            return np.asarray(names["y"])

        found["TensorFlow"] = found["Keras 3"] = run
    try:
        import torch
    except ImportError as error:
        print(f"skipped: {error.name}")
    else:

        def run_torch(code, x, kernel):
            names = {"F": torch.nn.functional, "x": torch.from_numpy(x), "kernel": torch.from_numpy(kernel)}
            exec("\n".join(code), names)
            return names["y"].numpy()

        found["PyTorch"] = run_torch
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        print(f"skipped: {error.name}")
    else:

        def run_onnx(code, x, kernel):
            names = {"onnx": onnx, "x": x.astype(np.float32), "kernel": kernel.astype(np.float32)}
            exec("\n".join(code), names)
            values = [
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
                for name, shape in (("X", names["X"].shape), ("W", names["W"].shape), ("Y", None))
            ]
            graph = onnx.helper.make_graph([names["node"]], "one", values[:2], values[2:])
            model = onnx.helper.make_model(
                graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9
            )
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), providers=["CPUExecutionProvider"]
            )
            (result,) = session.run(None, {name: np.ascontiguousarray(names[name]) for name in "XW"})
            return eval(code[-1].removeprefix("# y = "), {"Y": result})

        found["ONNX"] = run_onnx
    return found


def main():
    warnings.simplefilter("ignore")
    run, rng, count, wrong = (
        runners(),
        np.random.default_rng(0),
        dict.fromkeys(["TensorFlow", "Keras 3", "PyTorch", "ONNX"], 0),
        0,
    )
    for operation, x_shape, kernel_shape, options in cases():
        x, kernel = rng.standard_normal(x_shape), rng.standard_normal(kernel_shape)
        try:
            expected = getattr(cl.reference, operation)(x, kernel, **options)
        except ValueError:
            continue  # no such call
        call = resolve(operation, x_shape, kernel_shape, **options)
        assert call.out == expected.shape
        for one in equivalents(call):
            if one.framework not in run:
                continue
            count[one.framework] += 1
            try:
                y = run[one.framework](one.code, x, kernel)
                problem = None if y.shape == expected.shape else f"shape {y.shape}, not {expected.shape}"
                if problem is None and not np.allclose(
                    y, expected, atol=1e-4 if one.framework == "ONNX" else 1e-10
                ):
                    problem = f"differs by {np.abs(y - expected).max():.3g}"
            except Exception as error:
                problem = f"{type(error).__name__}: {str(error)[:200]}"
            if problem:
                wrong += 1
                print(
                    f"{one.framework}: {operation} {x_shape} {kernel_shape} {options}\n  {problem}",
                    *one.code,
                    sep="\n    ",
                )
    print("equal:", {name: n for name, n in count.items() if n}, "wrong:", wrong)
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
