"""How many inputs and outputs ONNX's operators have, and which inputs must be there.

The package `onnx` knows it too, but to look up one operator it registers all of them, which takes 8 MB of the
process. So it is asked only for the definition of an operator that is not read here, and the others stand in
a table, which a test compares with the package.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

__all__ = ["ANY", "Signature", "signature_of"]

ANY = 2**31 - 1  # "1-" in the table: any number from 1 on


class Signature(NamedTuple):
    """The least and the most inputs and outputs; the names of inputs by place, "" for what may be missing."""

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    names: tuple[str, ...]


@lru_cache(1024)
def signature_of(operator: str, version: int) -> Signature | None:
    """The signature of an operator of ONNX's own domain in a version of the operators; None for one that is
    not in the table, and in versions before it was.

    >>> signature_of("Conv", 13)
    Signature(inputs=(2, 3), outputs=(1, 1), names=('X', 'W'))
    >>> signature_of("Clip", 6).inputs, signature_of("Clip", 11).inputs, signature_of("Erf", 8)
    ((1, 1), (1, 3), None)
    """
    found = None
    for row in _ROWS.get(operator, ()):
        since, inputs, outputs, *names = row.split()
        if int(since) <= version:
            found = Signature(_span(inputs), _span(outputs), tuple(["" if n == "_" else n for n in names]))
    return found


def _span(text: str) -> tuple[int, int]:
    """
    >>> _span("2"), _span("1-3"), _span("1-")[0]
    ((2, 2), (1, 3), 1)
    """
    least, dash, most = text.partition("-")
    return int(least), (int(most) if most else ANY) if dash else int(least)


# Operator: since a version, inputs, outputs, which inputs must be there (_: need not); from another version.
_TABLE = """\
Abs: 1 1 1 X
Acos: 7 1 1 input
Acosh: 9 1 1 input
Add: 1 2 1 A B
And: 1 2 1 A B
ArgMax: 1 1 1 data
ArgMin: 1 1 1 data
Asin: 7 1 1 input
Asinh: 9 1 1 input
Atan: 7 1 1 input
Atanh: 9 1 1 input
AveragePool: 1 1 1 X
BatchNormalization: 1 5 1-5 X scale B mean var; 14 5 1-3 X scale B input_mean input_var
BitShift: 11 2 1 X Y
BitwiseAnd: 18 2 1 A B
BitwiseNot: 18 1 1 X
BitwiseOr: 18 2 1 A B
BitwiseXor: 18 2 1 A B
Cast: 1 1 1 input
CastLike: 15 2 1 input target_type
Ceil: 1 1 1 X
Celu: 12 1 1 X
Clip: 1 1 1 input; 11 1-3 1 input
Compress: 9 2 1 input condition
Concat: 1 1- 1
Constant: 1 0 1
ConstantOfShape: 9 1 1 input
Conv: 1 2-3 1 X W
ConvInteger: 10 2-4 1 x w
ConvTranspose: 1 2-3 1 X W
Cos: 7 1 1 input
Cosh: 9 1 1 input
CumSum: 11 2 1 x axis
DepthToSpace: 1 1 1 input
DequantizeLinear: 10 2-3 1 x x_scale
Div: 1 2 1 A B
Dropout: 1 1 1-2 data; 12 1-3 1-2 data
DynamicQuantizeLinear: 11 1 3 x
Einsum: 12 1- 1
Elu: 1 1 1 X
Equal: 1 2 1 A B
Erf: 9 1 1 input
Exp: 1 1 1 input
Expand: 8 2 1 input shape
EyeLike: 9 1 1 input
Flatten: 1 1 1 input
Floor: 1 1 1 X
GRU: 1 3-6 0-2 X W R
Gather: 1 2 1 data indices
GatherElements: 11 2 1 data indices
GatherND: 11 2 1 data indices
Gelu: 20 1 1 X
Gemm: 1 3 1 A B C; 11 2-3 1 A B
GlobalAveragePool: 1 1 1 X
GlobalLpPool: 1 1 1 X
GlobalMaxPool: 1 1 1 X
Greater: 1 2 1 A B
GreaterOrEqual: 12 2 1 A B
GridSample: 16 2 1 X grid
GroupNormalization: 18 3 1 X scale bias
HardSigmoid: 1 1 1 X
HardSwish: 14 1 1 X
Hardmax: 1 1 1 input
Identity: 1 1 1 input
If: 1 1 1- cond
InstanceNormalization: 1 3 1 input scale B
IsInf: 10 1 1 X
IsNaN: 9 1 1 X
LRN: 1 1 1 X
LSTM: 1 3-8 0-3 X W R
LayerNormalization: 17 2-3 1-3 X Scale
LeakyRelu: 1 1 1 X
Less: 1 2 1 A B
LessOrEqual: 12 2 1 A B
Log: 1 1 1 input
LogSoftmax: 1 1 1 input
Loop: 1 3- 1-; 11 2- 1-
LpNormalization: 1 1 1 input
LpPool: 1 1 1 X
MatMul: 1 2 1 A B
MatMulInteger: 10 2-4 1 A B
Max: 1 1- 1
MaxPool: 1 1 1 X; 8 1 1-2 X
Mean: 1 1- 1
MeanVarianceNormalization: 9 1 1 X
Min: 1 1- 1
Mish: 18 1 1 X
Mod: 10 2 1 A B
Mul: 1 2 1 A B
Neg: 1 1 1 X
NonMaxSuppression: 10 2-5 1 boxes scores
NonZero: 9 1 1 X
Not: 1 1 1 X
OneHot: 9 3 1 indices depth values
Or: 1 2 1 A B
PRelu: 1 2 1 X slope
Pad: 1 1 1 data; 11 2-3 1 data pads; 18 2-4 1 data pads
Pow: 1 2 1 X Y
QLinearConv: 10 8-9 1 x x_scale x_zero_point w w_scale w_zero_point y_scale y_zero_point
QLinearMatMul: 10 8 1 a a_scale a_zero_point b b_scale b_zero_point y_scale y_zero_point
QuantizeLinear: 10 2-3 1 x y_scale
RMSNormalization: 23 2 1 X scale
RNN: 1 3-6 0-2 X W R
Range: 11 3 1 start limit delta
Reciprocal: 1 1 1 X
ReduceL1: 1 1 1 data; 18 1-2 1 data
ReduceL2: 1 1 1 data; 18 1-2 1 data
ReduceLogSum: 1 1 1 data; 18 1-2 1 data
ReduceLogSumExp: 1 1 1 data; 18 1-2 1 data
ReduceMax: 1 1 1 data; 18 1-2 1 data
ReduceMean: 1 1 1 data; 18 1-2 1 data
ReduceMin: 1 1 1 data; 18 1-2 1 data
ReduceProd: 1 1 1 data; 18 1-2 1 data
ReduceSum: 1 1 1 data; 13 1-2 1 data
ReduceSumSquare: 1 1 1 data; 18 1-2 1 data
Relu: 1 1 1 X
Reshape: 1 2 1 data shape
Resize: 10 2 1 X scales; 11 3-4 1 X roi scales; 13 1-4 1 X
ReverseSequence: 10 2 1 input sequence_lens
RoiAlign: 10 3 1 X rois batch_indices
Round: 11 1 1 X
Scan: 8 2- 1-; 9 1- 1-
Scatter: 9 3 1 data indices updates
ScatterElements: 11 3 1 data indices updates
ScatterND: 11 3 1 data indices updates
Selu: 1 1 1 X
Shape: 1 1 1 data
Shrink: 9 1 1 input
Sigmoid: 1 1 1 X
Sign: 9 1 1 input
Sin: 7 1 1 input
Sinh: 9 1 1 input
Size: 1 1 1 data
Slice: 1 1 1 data; 10 3-5 1 data starts ends
Softmax: 1 1 1 input
Softplus: 1 1 1 X
Softsign: 1 1 1 input
SpaceToDepth: 1 1 1 input
Split: 1 1 1- input; 13 1-2 1- input
Sqrt: 1 1 1 X
Squeeze: 1 1 1 data; 13 1-2 1 data
Sub: 1 2 1 A B
Sum: 1 1- 1
Swish: 24 1 1 X
Tan: 7 1 1 input
Tanh: 1 1 1 input
ThresholdedRelu: 10 1 1 X
Tile: 1 2 1 input repeats
TopK: 1 1 2 X; 10 2 2 X K
Transpose: 1 1 1 data
Trilu: 14 1-2 1 input
Unique: 11 1 1-4 X
Unsqueeze: 1 1 1 data; 13 2 1 data axes
Upsample: 1 1 1 X; 9 2 1 X scales
Where: 9 3 1 condition X Y
Xor: 1 2 1 A B
"""
_ROWS = {name: rows.split("; ") for name, _, rows in (line.partition(": ") for line in _TABLE.splitlines())}
