"""The compiled core (kernels/_kernels.pyx). Its callers in Python have checked every argument."""

from collections.abc import Sequence
from typing import Any, TypedDict, final

from .arguments import Array
from .plan import Plan
from .winograd import WinogradPlan

class _Table(TypedDict):
    lanes: int
    mr: int
    nr: int
    depthwise_mr: int
    line_mr: int
    lines: set[tuple[int, int]]
    fma: bool

# None where this machine or this build has no such instruction set: only available_isas() has to ask.
def describe(isa: str, bits: int) -> _Table | Any: ...
def address(array: Array) -> int: ...
def activation_codes() -> dict[str, int]: ...
def peak_flops(isa: str, bits: int, rounds: int, threads: int = 1) -> float: ...
def float_mode(mode: int | None = None) -> int: ...
def openmp() -> int: ...
def in_parallel() -> bool: ...
def pause_openmp() -> bool: ...

@final
class Gather:
    def __init__(self, plan: Plan) -> None: ...
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
    ) -> None: ...

@final
class Pixels:
    def __init__(self, plan: Plan) -> None: ...
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
    ) -> None: ...

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
    ) -> None: ...
    def pack(self, kernel: Array, packed: Array) -> bool: ...

@final
class Winograd:
    def __init__(self, plan: WinogradPlan) -> None: ...
    scratch_bytes: int
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
    ) -> None: ...

def multiply_rows(
    isa: str,
    itemsize: int,
    x: Array,
    w: Array,
    bias: Array | None,
    alpha: Array | None,
    out: Array,
    rows: int,
    kc: int,
    columns: int,
    code: int,
    a: float,
    b: float,
    threads: int,
) -> None: ...
def pack_winograd(
    kernel: Array,
    packed: Array,
    isa: str,
    itemsize: int,
    m: int,
    first: int,
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
def softmax(isa: str, itemsize: int, x: Array, out: Array, rows: int, columns: int, threads: int) -> None: ...
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
) -> None: ...
