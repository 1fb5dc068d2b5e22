"""The same call in TensorFlow, Keras 3, PyTorch and ONNX: code that runs, and what to know about it.

In the code, `x` and `kernel` are the operands of the convlite call: NumPy arrays for TensorFlow, Keras and
ONNX, tensors for PyTorch; `y` is convlite's result. If a framework lacks an option, the code uses other
functions of it, and a note gives the reason. tests/golden/check_explain.py runs the code and compares the
results: last with TensorFlow 2.21, Keras 3.15 on TensorFlow, PyTorch 2.13 and ONNX Runtime 1.31.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .arguments import PadMode, Pair
from .geometry import effective_kernel

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A call with all options resolved. Tuples have one entry per spatial axis: two, one, or none (dense)."""

    operation: str  # a function's name
    x: Sizes
    kernel: Sizes
    out: Sizes
    strides: Sizes
    dilations: Sizes
    pads: tuple[Pair, ...]
    mode: PadMode | Literal["explicit"]
    groups: int
    multiply_adds: int
    form: str = ""  # the form that runs it here, in float32

    @property
    def axes(self) -> int:
        """How many spatial axes there are."""
        return len(self.strides)

    @property
    def transposed(self) -> bool:
        """Whether this is a transposed convolution."""
        return self.operation.endswith("transpose")

    @property
    def window(self) -> Sizes:
        """The kernel's sizes."""
        return self.kernel[: self.axes]

    @property
    def extents(self) -> Sizes:
        """The effective sizes of the dilated kernel."""
        return tuple(effective_kernel(k, d) for k, d in zip(self.window, self.dilations, strict=True))

    @property
    def sizes(self) -> Sizes:
        """The output's sizes."""
        return self.out[1:-1] if self.axes else ()

    @property
    def padded(self) -> bool:
        """Whether the call pads (or, for a transposed convolution, crops)."""
        return any(p != (0, 0) for p in self.pads)

    @property
    def excess(self) -> Sizes:
        """For a transposed convolution: output size + pads - full output size, which is (in-1)*s + k."""
        full = [(n - 1) * s + k for n, s, k in zip(self.x[1:-1], self.strides, self.extents, strict=True)]
        return tuple(n + sum(p) - f for n, p, f in zip(self.sizes, self.pads, full, strict=True))


@dataclass
class Equivalent:
    """Code that computes y from x and kernel in one framework, and what to know about it."""

    framework: str
    code: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def equivalents(call: Call) -> list[Equivalent]:
    """The call in each framework.

    >>> call = Call("dense", (8, 3), (3, 5), (8, 5), (), (), (), "valid", 1, 120)
    >>> [one.code[0] for one in equivalents(call)][:3]
    ['y = tf.matmul(x, kernel)', 'y = keras.ops.matmul(x, kernel)', 'y = F.linear(x, kernel.T)']
    """
    if call.operation == "dense":
        return _dense(call)
    return [_tensorflow(call), _keras(call), _pytorch(call), _onnx(call)]


def _dense(call: Call) -> list[Equivalent]:
    vector = len(call.x) == 1
    node = 'node = onnx.helper.make_node("MatMul", ["X", "W"], ["Y"])'
    return [
        Equivalent(
            "TensorFlow",
            ["y = tf.tensordot(x, kernel, 1)" if vector else "y = tf.matmul(x, kernel)"],
            ["tf.matmul wants rank 2 or more"] if vector else [],
        ),
        Equivalent(
            "Keras 3",
            ["y = keras.ops.matmul(x, kernel)"],
            [f"as a layer: Dense({call.kernel[1]}), on inputs of rank 2 or more"],
        ),
        Equivalent(
            "PyTorch",
            ["y = F.linear(x, kernel.T)"],
            ["the weight is (outputs, inputs): the transpose of kernel"],
        ),
        Equivalent(
            "ONNX",
            ["X, W = x, kernel", node, "# y = Y"],
            ["Gemm takes inputs of rank 2 only; with transB=1 its weight is PyTorch's"],
        ),
    ]


# ---- parts of the code -------------------------------------------------------------------------------------


def _each(values: Sequence[Any]) -> str:
    """(1, 2) for two axes, 1 for one."""
    return repr(values[0]) if len(values) == 1 else repr(tuple(values))


def _dilation(name: str, values: Sequence[int]) -> str:
    """The argument, if it is not the default."""
    return f", {name}={_each(values)}" if max(values) > 1 else ""


def _around(pads: Sequence[Pair]) -> str:
    """TensorFlow's form of pads."""
    return repr([[0, 0], *(list(p) for p in pads), [0, 0]])


def _slices(starts: Sequence[int], sizes: Sequence[int]) -> str:
    """The indices of a crop."""
    return ", ".join(f"{start}:{start + size}" for start, size in zip(starts, sizes, strict=True))


def _spread(call: Call, out: Equivalent, why: str) -> str:
    """Code for a framework without the dilation: the kernel with zeros between its elements."""
    shape = (*call.extents, *call.kernel[call.axes :])
    steps = ", ".join(f"::{d}" for d in call.dilations)
    out.code += [f"wide = np.zeros({shape}, kernel.dtype)", f"wide[{steps}] = kernel"]
    out.notes.append(f"{why}: zeros between the kernel's elements give the same")
    return "wide"


def _thin(call: Call, out: Equivalent, why: str) -> str:
    """Code for a framework without the strides: every pixel is computed, then some are kept."""
    out.notes.append(f"{why}: all pixels are computed, then some kept")
    return "[:, " + ", ".join(f"::{s}" for s in call.strides) + "]"


# ---- TensorFlow --------------------------------------------------------------------------------------------


def _tensorflow(call: Call) -> Equivalent:
    out = Equivalent("TensorFlow")
    if call.mode == "same_lower" and call.padded:
        out.notes.append(
            "there is no SAME_LOWER: its pads are written out, and hold for this input size only"
        )
    explicit = call.padded and call.mode not in ("valid", "same")
    mode = (
        '"SAME"' if call.mode == "same" else _around(call.pads) if explicit and call.axes == 2 else '"VALID"'
    )
    if explicit and call.axes == 1:
        out.notes.append("the 1-D functions take no explicit padding")
    if call.transposed:
        return _tensorflow_transpose(call, out, mode, explicit)
    x, kernel, after, strides, dilations = "x", "kernel", "", call.strides, call.dilations
    if explicit and call.axes == 1:
        x = f"tf.pad(x, {_around(call.pads)})"
    if call.operation == "depthwise_conv2d":
        if strides[0] != strides[1]:
            after = _thin(call, out, "the CPU kernels, oneDNN's float32 one apart, want equal strides")
            x = f"tf.pad(x, {_around(call.pads)})" if call.padded else x
            mode, strides = '"VALID"', (1, 1)
        elif max(strides) > 1 and max(dilations) > 1:
            kernel = _spread(
                call, out, "with strides and dilations above 1 it gives other numbers without an error"
            )
            dilations = (1, 1)
        strides = (1, *strides, 1)
    if call.groups > 1 and call.operation != "depthwise_conv2d":
        out.notes.append("groups are no argument: they follow from the kernel's shape")
    name = "strides" if call.axes == 2 else "stride"
    options = f"{name}={_each(strides)}, padding={mode}{_dilation('dilations', dilations)}"
    out.code.append(f"y = tf.nn.{call.operation}({x}, {kernel}, {options}){after}")
    return out


def _tensorflow_transpose(call: Call, out: Equivalent, mode: str, explicit: bool) -> Equivalent:
    x, kernel, shape, after = "x", "kernel", list(call.out), ""
    if explicit and call.axes == 1:
        shape[1] += sum(call.pads[0])
        after = f"[:, {_slices([p[0] for p in call.pads], call.sizes)}]"
    if max(call.dilations) > 1:
        kernel = _spread(call, out, "the CPU kernels, oneDNN's float32 one apart, dilate no transpose")
    if call.groups > 1:
        out.notes.append("the CPU kernels, oneDNN's float32 one apart, have no groups here: a call for each")
        out.code.append(f"pairs = zip(tf.split(x, {call.groups}, -1), tf.split({kernel}, {call.groups}, -1))")
        x, kernel, shape[-1] = "a", "b", shape[-1] // call.groups
    options = f"strides={_each(call.strides)}, padding={mode}"
    y = f"tf.nn.{call.operation}({x}, {kernel}, {shape}, {options})"
    if call.groups > 1:
        y = f"tf.concat([{y} for a, b in pairs], -1)"
    out.code.append(f"y = {y}{after}")
    out.notes.append("the output's shape is required; by default convlite's is Keras's")
    return out


# ---- Keras -------------------------------------------------------------------------------------------------


def _keras(call: Call) -> Equivalent:
    out = Equivalent("Keras 3")
    mode = "same" if call.mode == "same" else "valid"
    by_hand = call.padded and call.mode != "same"
    if by_hand:
        layer, where = ("Cropping", "after") if call.transposed else ("ZeroPadding", "before")
        pads = _each(call.pads)
        out.notes.append(f'padding is "valid" or "same": as layers, {layer}{call.axes}D({pads}) {where} it')
    if call.transposed:
        return _keras_transpose(call, out, mode, by_hand)
    x, kernel, after, strides, dilations = "x", "kernel", "", call.strides, call.dilations
    both = max(strides) > 1 and max(dilations) > 1
    depthwise = call.operation == "depthwise_conv2d"
    if depthwise and strides[0] != strides[1]:
        after = _thin(call, out, "TensorFlow's CPU kernels, oneDNN's float32 one apart, want equal strides")
        by_hand, mode, strides = call.padded, "valid", (1, 1)
    elif both and not depthwise:
        kernel = _spread(call, out, "strides above 1 with dilations above 1 are refused")
        dilations = (1,) * call.axes
    if by_hand:
        x = f"keras.ops.pad(x, {_around(call.pads)})"
    name = "depthwise_conv" if depthwise else "conv"
    options = f'strides={_each(strides)}, padding="{mode}"{_dilation("dilation_rate", dilations)}'
    out.code.append(f"y = keras.ops.{name}({x}, {kernel}, {options}){after}")
    if not (by_hand or after or both):
        size = _each(call.window)
        if depthwise:
            layer = f"DepthwiseConv2D({size}, depth_multiplier={call.kernel[-1]}, {options})"
        else:
            groups = f", groups={call.groups}" if call.groups > 1 else ""
            layer = f"Conv{call.axes}D({call.kernel[-1]}, {size}, {options}{groups})"
        out.notes.append(f"as a layer: {layer}")
    return out


def _keras_transpose(call: Call, out: Equivalent, mode: str, by_hand: bool) -> Equivalent:
    x, kernel, after, sizes = "x", "kernel", "", call.sizes
    if by_hand:
        after = f"[:, {_slices([p[0] for p in call.pads], sizes)}]"
        sizes = tuple(n + sum(p) for n, p in zip(sizes, call.pads, strict=True))
    if max(call.dilations) > 1:
        why = "strides above 1 with dilations above 1 are refused"
        if max(call.strides) == 1:
            why = "TensorFlow's CPU kernels, oneDNN's float32 one apart, dilate no transpose"
        kernel = _spread(call, out, why)
    extra: list[int | None] = []
    usual = True
    for size, n, s, k in zip(sizes, call.x[1:-1], call.strides, call.extents, strict=True):
        default = n * s if mode == "same" else n * s + max(k - s, 0)
        least = (n - 1) * s + k - (2 * (k // 2) if mode == "same" else 0)
        unsaid = size == default
        usual &= unsaid
        # "same" with an even kernel: the default cannot be said in numbers, which stop below the stride
        extra.append(None if unsaid and size - least >= s else size - least)
    chosen = "" if usual else f", output_padding={_each(extra)}"
    if call.groups > 1:
        out.notes.append("there are no groups here: a call for each")
        split = f"keras.ops.split(x, {call.groups}, -1), keras.ops.split({kernel}, {call.groups}, -1)"
        out.code.append(f"pairs = zip({split})")
        x, kernel = "a", "b"
    options = f'strides={_each(call.strides)}, padding="{mode}"{chosen}'
    y = f"keras.ops.conv_transpose({x}, {kernel}, {options})"
    if call.groups > 1:
        y = f"keras.ops.concatenate([{y} for a, b in pairs], -1)"
    elif kernel == "kernel" and not after and (usual or None not in extra):
        layer = f"Conv{call.axes}DTranspose({call.out[-1]}, {_each(call.window)}, {options})"
        out.notes.append(f"as a layer: {layer}")
    out.code.append(f"y = {y}{after}")
    return out


# ---- PyTorch and ONNX --------------------------------------------------------------------------------------

_FIRST = {1: "0, 2, 1", 2: "0, 3, 1, 2"}  # channels first
_LAST = {1: "0, 2, 1", 2: "0, 2, 3, 1"}  # and back
_WEIGHT = {1: "2, 1, 0", 2: "3, 2, 0, 1"}


def _weight(call: Call, method: str) -> tuple[str, str]:
    """Code for the weight of these two frameworks, and its layout in words."""
    space = "HW"[2 - call.axes :] if call.axes == 2 else "W"
    if call.operation == "depthwise_conv2d":
        shape = (call.out[-1], 1, *call.window)
        return (
            f"kernel.{method}(2, 3, 0, 1).reshape({shape})",
            "(C*multiplier, 1, kh, kw)",
        )
    return f"kernel.{method}({_WEIGHT[call.axes]})", ("IO" if call.transposed else "OI") + space


def _pytorch(call: Call) -> Equivalent:
    out = Equivalent("PyTorch")
    weight, layout = _weight(call, "permute")
    x = f"x.permute({_FIRST[call.axes]})"
    out.notes.append(f"channels come first, and the weight is {layout}: see convlite.convert.from_torch")
    if call.transposed:
        return _pytorch_transpose(call, out, x, weight)
    padding = [p[0] for p in call.pads]
    uneven = any(before != after for before, after in call.pads)
    if uneven:
        flat = tuple(n for pair in reversed(call.pads) for n in pair)
        x, padding = f"F.pad({x}, {flat})", [0] * call.axes
        out.notes.append(
            "padding= is the same on both sides, here the sides differ: hence F.pad, last axis first"
        )
    if call.mode in ("same", "same_lower"):
        if max(call.strides) > 1:
            out.notes.append(
                'padding="same" is refused with strides; these pads hold for this input size only'
            )
        elif call.mode == "same" or not uneven:
            out.notes.append('padding="same" gives the same here, where strides are 1')
    options = f"stride={_each(call.strides)}, padding={_each(padding)}{_dilation('dilation', call.dilations)}"
    if call.groups > 1:
        options += f", groups={call.groups}"
    out.code += [
        f"X, W = {x}, {weight}",
        f"Y = F.conv{call.axes}d(X, W, {options})",
        f"y = Y.permute({_LAST[call.axes]})",
    ]
    return out


def _pytorch_transpose(call: Call, out: Equivalent, x: str, weight: str) -> Equivalent:
    # One number crops both ends; output_padding gives a few rows back at the end; the rest is cut by hand.
    padding, extra, starts = [], [], []
    for (before, after), more, s, d in zip(call.pads, call.excess, call.strides, call.dilations, strict=True):
        both, rest = before, before - after + more
        if not 0 <= rest < max(s, d):
            both = min(before, after)
            rest = min(more, max(s, d) - 1)
        padding.append(both)
        extra.append(rest)
        starts.append(before - both)
    gives = [
        n + sum(p) - more - 2 * both + rest
        for n, p, more, both, rest in zip(call.sizes, call.pads, call.excess, padding, extra, strict=True)
    ]
    cut = ""
    if tuple(gives) != call.sizes:
        cut = f"[:, :, {_slices(starts, call.sizes)}]"
        out.notes.append(
            "padding= crops both ends alike, and output_padding gives back less than max(stride, dilation): "
            "the rest is cut by hand"
        )
    elif any(extra):
        out.notes.append("output_padding, below max(stride, dilation), is in addition to the crop at the end")
    if call.mode == "same" and any(after > before for before, after in call.pads):
        ends = [p[1] for p in call.pads]
        back = [p[1] - p[0] + more for p, more in zip(call.pads, call.excess, strict=True)]
        if all(more < max(s, d) for more, s, d in zip(back, call.strides, call.dilations, strict=True)):
            usual = f"padding={_each(ends)}, output_padding={_each(back)}"
            out.notes.append(f"{usual} has the same size, but is shifted by a pixel")
    if call.mode == "same":
        out.notes.append("SAME's crop follows from the output's size: these numbers hold for this size only")
    options = f"stride={_each(call.strides)}, padding={_each(padding)}"
    if any(extra):
        options += f", output_padding={_each(extra)}"
    if call.groups > 1:
        options += f", groups={call.groups}"
    options += _dilation("dilation", call.dilations)
    out.code += [
        f"X, W = {x}, {weight}",
        f"Y = F.conv_transpose{call.axes}d(X, W, {options})",
        f"y = Y{cut}.permute({_LAST[call.axes]})",
    ]
    return out


def _onnx(call: Call) -> Equivalent:
    out = Equivalent("ONNX")
    weight, layout = _weight(call, "transpose")
    out.notes.append(f"channels come first, and the weight is {layout}: see convlite.convert.from_onnx")
    pads = [p[0] for p in call.pads] + [p[1] for p in call.pads]
    attributes = f"kernel_shape={list(call.window)}, strides={list(call.strides)}, pads={pads}"
    attributes += f", dilations={list(call.dilations)}, group={call.groups}"
    name = "ConvTranspose" if call.transposed else "Conv"
    if call.transposed:
        attributes += f", output_padding={list(call.excess)}"
    automatic = {"same": "SAME_UPPER", "same_lower": "SAME_LOWER"}.get(call.mode)
    if automatic and not call.transposed:
        out.notes.append(
            f'auto_pad="{automatic}" means the same and holds for all input sizes; pads, for this one'
        )
    elif automatic:
        usual = all(
            size == n * s and k >= s
            for size, n, s, k in zip(call.sizes, call.x[1:-1], call.strides, call.extents, strict=True)
        )
        shape = "" if usual else f", output_shape={list(call.sizes)}"
        out.notes.append(
            f'auto_pad="{automatic}"{shape} means the same from opset 11, but not with output_padding: see '
            "convlite.convert.onnx_transpose_padding"
        )
    out.code += [
        f"X, W = x.transpose({_FIRST[call.axes]}), {weight}",
        f'node = onnx.helper.make_node("{name}", ["X", "W"], ["Y"], {attributes})',
        f"# y = Y.transpose({_LAST[call.axes]})",
    ]
    return out
