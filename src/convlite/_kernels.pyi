"""The compiled core (kernels/_kernels.pyx). Its callers in Python have checked every argument."""

from collections.abc import Callable, Sequence
from typing import Any, TypedDict, final

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import disjoint_base  # known to type checkers; nothing is imported at run time

from .activations import Fused
from .arguments import Array
from .pack import PackedKernel, Panels
from .plan.depthwise import DepthwiseLines as LinesPlan
from .plan.direct import Direct as DirectPlan
from .plan.few_rows import FewRows as RowsPlan
from .plan.lanewise import Lanewise as LanewisePlan
from .plan.pixel_vectors import PixelVectors as PixelPlan
from .plan.tall_skinny import TallSkinny as SkinnyPlan
from .plan.winograd import Winograd as WinogradPlan

ISAS: tuple[str, ...]

class _Table(TypedDict):
    isa: str
    itemsize: int
    lanes: int
    mr: int
    tall_mr: int
    nr: int
    depthwise_mr: int
    line_mr: int
    line_rows: int
    wide: bool
    lines: set[tuple[int, int]]
    lanewise: bool
    moves: bool
    pixels: bool
    skinny_sums: int
    fma: bool
    streams: bool
    vector_nanoseconds: float

# None where this machine or this build has no such instruction set: only available_isas() has to ask.
def describe(isa: str, kind: str) -> _Table | Any: ...
def address(array: Array) -> int: ...
def activation_codes() -> dict[str, int]: ...
def peak_flops(isa: str, kind: str, rounds: int, threads: int = 1) -> float: ...
def float_mode(mode: int | None = None) -> int: ...
def stream_from(nbytes: int | None = None) -> int: ...
def openmp() -> int: ...
def in_parallel() -> bool: ...
def pause_openmp() -> bool: ...

# Bound steps: kernels/script.pxi.
@final
class Script:
    threads: int
    def __init__(self, threads: int, arrays: Sequence[Array] = ()) -> None: ...
    def __len__(self) -> int: ...
    def keep(self, thing: object) -> None: ...
    def join(self, first: int, last: int) -> int: ...
    def close(self) -> None: ...
    def point(self, arrays: Sequence[Array]) -> None: ...
    def run(self, first: int, last: int, alone: bool = False) -> None: ...

@disjoint_base
class Runner:
    adds: bool
    def run(
        self,
        x: Array,
        weights: Array,
        bias: Array | None,
        alpha: Array | None,
        out: Array,
        code: int,
        a: float,
        b: float,
        finite: bool,
        threads: int,
        into: Script | None = None,
        residual: Array | None = None,
        last: int = 0,
        last_a: float = 0.0,
        last_b: float = 0.0,
    ) -> None: ...

@final
class Direct(Runner):
    def __init__(self, plan: DirectPlan) -> None: ...
    def streams(self, out: Array, threads: int = 1) -> bool: ...

@final
class DepthwiseLines(Runner):
    def __init__(self, plan: LinesPlan) -> None: ...

@final
class Lanewise(Runner):
    def __init__(self, plan: LanewisePlan) -> None: ...

@final
class PixelVectors(Runner):
    def __init__(self, plan: PixelPlan) -> None: ...

@final
class TallSkinny(Runner):
    def __init__(self, plan: SkinnyPlan) -> None: ...

@final
class FewRows(Runner):
    def __init__(self, plan: RowsPlan) -> None: ...

@final
class Winograd(Runner):
    def __init__(self, plan: WinogradPlan) -> None: ...
    scratch_bytes: int

@final
class Recipe:
    def __init__(
        self,
        itemsize: int,
        tap_offsets: Sequence[int],
        phase_taps: Sequence[int],
        groups: int,
        kc: int,
        width: int,
        k_step: int,
        l_step: int,
        group_step: int,
        lanes: int,
        nr: int,
        depthwise: bool,
        isa: str = "",
        whole: bool = False,
    ) -> None: ...
    def pack(self, kernel: Array, packed: Array) -> bool: ...

def all_finite(kernel: Array, isa: str, kind: str) -> bool: ...
def philox_uniform(k0: int, k1: int, upper0: int, upper1: int, out: Array, threads: int) -> None: ...

# Calls that were made before: kernels/calls.pxi.

@final
class Call:
    def __init__(
        self,
        runner: Runner,
        given: tuple[Any, ...],
        x_shape: tuple[int, ...],
        out_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        kernel_shape: tuple[int, ...],
        recipe: Recipe | None,
        panels: Panels | None,
        fused: Fused,
        after: Callable[[Array], Any] | None,
        needs_finite: bool,
        fast: bool | None,
        is_fast: Callable[[], bool],
        threads_for: Callable[[float], int] | None,
        nanoseconds: int,
        new_output: Callable[[tuple[int, ...], np.dtype[Any]], Array],
    ) -> None: ...

@final
class Calls:
    def __len__(self) -> int: ...
    def keep(self, call: Call) -> None: ...
    def clear(self) -> None: ...

@disjoint_base
class Packed:
    calls: Calls

@final
class Bound:
    kernel: PackedKernel
    def __init__(
        self,
        given: tuple[Any, ...],
        kernel: PackedKernel,
        bias: Array | None,
        first: Callable[[ArrayLike], Array],
    ) -> None: ...

plain_calls: Calls

def use_tables(isa: str) -> None: ...
def replay(
    x: ArrayLike,
    kernel: ArrayLike | PackedKernel,
    bias: ArrayLike | None,
    out: Array | None,
    *given: Any,
) -> Array | None: ...
def bound(
    given: tuple[Any, ...], kernel: PackedKernel, bias: Array | None, first: Callable[[ArrayLike], Array]
) -> Callable[[ArrayLike], Array]: ...
def is_wanted(
    given: tuple[Any, ...], x: ArrayLike, kernel: ArrayLike | PackedKernel, short: bool
) -> bool: ...
def pack_winograd(
    kernel: Array,
    packed: Array,
    isa: str,
    itemsize: int,
    sizes: tuple[int, int, int, int],
    row_factors: Array,
    column_factors: Array,
    parts: tuple[int, int],
    first: int,
    first_to: int,
    row_step: int,
    column_step: int,
    k_step: int,
    l_step: int,
    cin: int,
    cout: int,
) -> None: ...
def activate(
    isa: str,
    itemsize: int,
    x: Array,
    out: Array,
    rows: int,
    columns: int,
    alpha: Array | None,
    code: int,
    a: float,
    b: float,
    threads: int,
) -> None: ...
def softmax(
    isa: str,
    itemsize: int,
    x: Array,
    out: Array,
    rows: int,
    columns: int,
    threads: int,
    into: Script | None = None,
    logarithm: bool = False,
) -> None: ...
def pool(
    isa: str,
    itemsize: int,
    x: Array,
    out: Array,
    images: int,
    channels: int,
    rows: tuple[int, ...],
    columns: tuple[int, ...],
    largest: bool,
    count_padding: bool,
    threads: int,
    into: Script | None = None,
) -> None: ...

# Steps between convolutions (kernels/README.md): arrays of one dtype, broadcast as NumPy's, of any strides.
def pass_codes() -> dict[str, int]: ...
def elementwise(
    isa: str,
    op: int,
    a: Array,
    b: Array | float | None,
    out: Array,
    code: int = 0,
    low: float = 0.0,
    high: float = 0.0,
    alpha: Array | None = None,
    threads: int = 1,
    into: Script | None = None,
) -> None: ...
def affine(
    isa: str,
    x: Array,
    centre: Array | None,
    factor: Array,
    offset: Array | None,
    out: Array,
    code: int = 0,
    low: float = 0.0,
    high: float = 0.0,
    alpha: Array | None = None,
    threads: int = 1,
    into: Script | None = None,
) -> None: ...
def copy(
    isa: str, x: np.ndarray[Any, Any], out: np.ndarray[Any, Any], threads: int = 1, into: Script | None = None
) -> None: ...
def pad_modes() -> dict[str, int]: ...
def pad(
    x: Array,
    out: Array,
    top: int,
    left: int,
    mode: int,
    value: float = 0.0,
    threads: int = 1,
    into: Script | None = None,
) -> None: ...
def reduce_codes() -> dict[str, int]: ...
def reduce(isa: str, op: int, x: Array, out: Array, threads: int = 1, into: Script | None = None) -> None: ...
def norm_factor(variance: Array, scale: Array | None, out: Array, itemsize: int, epsilon: float) -> None: ...
def layer_norm(
    isa: str,
    x: Array,
    scale: Array | None,
    offset: Array | None,
    out: Array,
    epsilon: float,
    code: int = 0,
    low: float = 0.0,
    high: float = 0.0,
    threads: int = 1,
    into: Script | None = None,
) -> None: ...
def group_norm(
    isa: str,
    x: Array,
    scale: Array | None,
    offset: Array | None,
    out: Array,
    groups: int,
    epsilon: float,
    code: int = 0,
    low: float = 0.0,
    high: float = 0.0,
    threads: int = 1,
    into: Script | None = None,
) -> None: ...
def resample(
    isa: str,
    itemsize: int,
    x: Array,
    out: Array,
    index: np.ndarray[Any, Any],
    weights: Array,
    outer: int,
    in_size: int,
    out_size: int,
    inner: int,
    taps: int,
    threads: int = 1,
) -> None: ...
def resize(
    isa: str,
    itemsize: int,
    x: Array,
    out: Array,
    sizes: tuple[int, int, int, int, int, int],
    row_index: np.ndarray[Any, Any],
    row_weights: Array,
    column_index: np.ndarray[Any, Any],
    column_weights: Array,
    threads: int = 1,
    into: Script | None = None,
) -> None: ...

# Recurrent layers, and functions of one number.
def recurrent_gates(
    isa: str,
    product: Array,
    inputs: Array,
    h: Array | None,
    c: Array | None,
    out: Array,
    hidden: int,
    threads: int = 1,
    into: Script | None = None,
) -> None: ...
def unary(isa: str, op: int, x: Array, out: Array, threads: int = 1, into: Script | None = None) -> None: ...
def unary_codes() -> dict[str, int]: ...
def elements(
    op: str,
    element: str,
    a: np.ndarray[Any, Any],
    b: np.ndarray[Any, Any] | None,
    condition: np.ndarray[Any, Any] | None,
    out: np.ndarray[Any, Any],
    target: str = "",
    stride: int = 0,
    size: int = 0,
    threads: int = 1,
    into: Script | None = None,
) -> None: ...
def extreme_places(
    itemsize: int,
    x: np.ndarray[Any, Any],
    out: np.ndarray[Any, Any],
    outer: int,
    middle: int,
    inner: int,
    smallest: bool,
    last: bool,
    threads: int = 1,
    into: Script | None = None,
) -> None: ...
