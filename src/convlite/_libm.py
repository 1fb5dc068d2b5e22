"""logf, sinf and cosf with the bits that TensorFlow gets on Linux, in NumPy.

TensorFlow's float32 normals go through the C library's single-precision functions, which are not
correctly rounded: NumPy's own float32 log differs from glibc's in 22% of the inputs that the random
streams can produce, and float64 results rounded to float32 still differ in 1%. glibc (2.28 and later)
evaluates short polynomials in double precision; these functions evaluate the same polynomials, so the
bits are TensorFlow's on every platform, whatever C library it has.

Checked against glibc 2.36, with and without its FMA variants, for all 2**23 uniform values u:
logf(max(u, 1e-7)), sinf(2*pi*u) and cosf(2*pi*u) are equal in every bit.

Source of the polynomials: Arm Optimized Routines (math/logf.c, math/sinf.c), from where glibc has them.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["logf", "sinf_cosf"]

Float32 = npt.NDArray[np.float32]

# log x = k*log 2 + log c + log(z/c) with x = 2**k * z and one c for each sixteenth of z's octave. The table
# holds 1/c; each c was chosen near its sixteenth's middle such that log c lies almost exactly on a float64.
_LOG_INVERSES = np.array(
    [
        float.fromhex(text)
        for text in (
            *("0x1.661ec79f8f3bep+0", "0x1.571ed4aaf883dp+0", "0x1.49539f0f010bp+0", "0x1.3c995b0b80385p+0"),
            *("0x1.30d190c8864a5p+0", "0x1.25e227b0b8eap+0", "0x1.1bb4a4a1a343fp+0", "0x1.12358f08ae5bap+0"),
            *("0x1.0953f419900a7p+0", "0x1p+0", "0x1.e608cfd9a47acp-1", "0x1.ca4b31f026aap-1"),
            *("0x1.b2036576afce6p-1", "0x1.9c2d163a1aa2dp-1", "0x1.886e6037841edp-1", "0x1.767dcf5534862p-1"),
        )
    ]
)
_LOG_CENTRES = np.array([-math.log(inverse) for inverse in _LOG_INVERSES])
# 0.69921875f. The octave of z starts here and not at 1, so that log is accurate on both sides of 1.
_LOG_START = np.uint32(0x3F330000)
_LOG_R2, _LOG_R3, _LOG_R4 = map(
    float.fromhex, ("-0x1.ffffef20a4123p-2", "0x1.5575b0be00b6ap-2", "-0x1.00ea348b88334p-2")
)

# Minimax polynomials on [-pi/4, pi/4]: coefficients of x**3, x**5, x**7 and of x**2, x**4, x**6, x**8.
_SIN = tuple(map(float.fromhex, ("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13")))
_COS = tuple(
    map(
        float.fromhex,
        ("-0x1.ffffffd0c621cp-2", "0x1.55553e1068f19p-5", "-0x1.6c087e89a359dp-10", "0x1.99343027bf8c3p-16"),
    )
)


def logf(x: Float32) -> Float32:
    """Natural logarithm of positive normal float32 values, rounded as glibc rounds it.

    >>> logf(np.array([1.0, 0.5, 1e-7], np.float32))
    array([  0.       ,  -0.6931472, -16.118095 ], dtype=float32)
    """
    bits = x.view(np.uint32)
    shifted = bits - _LOG_START
    sixteenth = (shifted >> np.uint32(19)) & np.uint32(15)
    exponent = shifted.view(np.int32) >> np.int32(23)
    z = (bits - (shifted & np.uint32(0xFF800000))).view(np.float32).astype(np.float64)
    r = z * _LOG_INVERSES[sixteenth] - 1.0
    r2 = r * r
    # The order of the operations is part of the result.
    y = (_LOG_R3 * r + _LOG_R2) + _LOG_R4 * r2
    log: Float32 = (y * r2 + ((_LOG_CENTRES[sixteenth] + exponent * math.log(2.0)) + r)).astype(np.float32)
    return log


def sinf_cosf(x: Float32) -> tuple[Float32, Float32]:
    """Sine and cosine of float32 angles in [0, 2*pi], rounded as glibc rounds them.

    >>> sinf_cosf(np.array([0.0, 1.5], np.float32))
    (array([0.      , 0.997495], dtype=float32), array([1.       , 0.0707372], dtype=float32))
    """
    angle = x.astype(np.float64)
    quarter = np.floor(angle * (2.0 / math.pi) + 0.5)
    y = angle - quarter * (math.pi / 2.0)
    y2 = y * y
    y3 = y * y2
    y4 = y2 * y2
    sine = (y + y3 * _SIN[0]) + (y3 * y2) * (_SIN[1] + y2 * _SIN[2])
    cosine = ((1.0 + y2 * _COS[0]) + y4 * _COS[1]) + (y4 * y2) * (_COS[2] + y2 * _COS[3])
    turn = quarter.astype(np.int8) & np.int8(3)
    swapped = (turn & 1) == 1
    sin = np.where(swapped, cosine, sine)
    cos = np.where(swapped, sine, cosine)
    np.negative(sin, out=sin, where=turn >= 2)
    np.negative(cos, out=cos, where=(turn == 1) | (turn == 2))
    return sin.astype(np.float32), cos.astype(np.float32)
