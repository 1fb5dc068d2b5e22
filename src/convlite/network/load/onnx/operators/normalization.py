"""Batch, instance, layer and group normalisation, LRN and their relatives; softmax."""

from __future__ import annotations

from ..operation import Operation, operator
from ..tensors import Refused

__all__: list[str] = []


@operator("BatchNormalization")
def _batch_normalization(op: Operation) -> tuple[str, ...]:
    op.ignore("momentum", "is_test")
    if op.integer("spatial", 1) != 1:
        raise Refused("the attribute 'spatial' is 0; only one mean and variance a channel is supported")
    if op.flag("training_mode") or (op.version < 14 and any(op.proto.output[1:])):
        raise Refused(
            "it computes means and variances of the batch (training): export the model for inference"
        )
    x = op.required(0)
    rank = op.rank(x)
    if rank < 2:
        raise Refused(f"its input has {rank} axes; (N, C, spatial...) has at least 2")
    y = op.emit(
        "batch_norm", op.channels_last(x, rank), *(op.required(place) for place in range(1, 5)),
        epsilon=op.real("epsilon", 1e-5),
    )  # fmt: skip
    return (op.channels_first(y, rank),)


@operator("InstanceNormalization")
def _instance_normalization(op: Operation) -> str:
    x = op.required(0)
    rank = op.rank(x)
    if rank < 3:
        raise Refused(f"its input has {rank} axes; (N, C, spatial...) has at least 3")
    y = op.emit(
        "instance_norm", op.channels_last(x, rank), op.required(1), op.required(2),
        epsilon=op.real("epsilon", 1e-5),
    )  # fmt: skip
    return op.channels_first(y, rank)


@operator("LayerNormalization")
def layer_normalization(op: Operation) -> tuple[str, ...]:
    op.ignore("stash_type")  # the precision of the sums: never less than float32 here
    if len(op.wanted) > 3:
        raise Refused(f"it has {len(op.wanted)} outputs; there are 3")
    return op.emit_many(
        "layer_norm", (op.required(0), op.input(1), op.input(2)), 3,
        axis=op.integer("axis", -1), epsilon=op.real("epsilon", 1e-5),
    )  # fmt: skip


@operator("RMSNormalization")
def _rms_normalization(op: Operation) -> str:
    op.ignore("stash_type")
    return op.emit(
        "rms_norm",
        op.required(0),
        op.required(1),
        axis=op.integer("axis", -1),
        epsilon=op.real("epsilon", 1e-5),
    )


@operator("GroupNormalization")
def _group_normalization(op: Operation) -> str:
    op.ignore("stash_type")
    x, scale, offset = op.required(0), op.required(1), op.required(2)
    groups = op.integer("num_groups")
    if groups < 1:
        raise Refused(f"the attribute 'num_groups' must be positive; it is {groups}")
    rank = op.rank(x)
    if rank < 3:
        raise Refused(f"its input has {rank} axes; (N, C, spatial...) has at least 3")
    if op.version < 21:  # one number a group there
        scale, offset = (_per_channel(op, x, name, groups) for name in (scale, offset))
    y = op.emit(
        "group_norm",
        op.channels_last(x, rank),
        scale,
        offset,
        groups=groups,
        epsilon=op.real("epsilon", 1e-5),
    )
    return op.channels_first(y, rank)


def _per_channel(op: Operation, x: str, name: str, groups: int) -> str:
    """A vector of one number a group as one number a channel."""
    shape = op.shape(x)
    channels = shape[1] if shape is not None else None
    if not isinstance(channels, int) or channels % groups:
        raise Refused(
            f"its {channels or 'unknown number of'} channels must be known and divide into {groups} groups"
        )
    wide = op.emit("expand", op.emit("unsqueeze", name, op.axes([1])), op.axes([groups, channels // groups]))
    return op.emit("reshape", wide, op.axes([channels]), allowzero=False)


@operator("LRN")
def _lrn(op: Operation) -> str:
    x, size = op.required(0), op.integer("size")
    if not 1 <= size < 1 << 31:
        raise Refused(f"the attribute 'size' must be positive; it is {size}")
    rank = op.rank(x)
    if rank < 2:
        raise Refused(f"its input has {rank} axes; (N, C, spatial...) has at least 2")
    y = op.emit(
        "lrn", op.channels_last(x, rank), size=size, alpha=op.real("alpha", 1e-4),
        beta=op.real("beta", 0.75), bias=op.real("bias", 1.0),
    )  # fmt: skip
    return op.channels_first(y, rank)


@operator("LpNormalization")
def _lp_normalization(op: Operation) -> str:
    p = op.integer("p", 2)
    if p not in (1, 2):
        raise Refused(f"the attribute 'p' is {p}; 1 and 2 are supported")
    return op.emit("lp_normalize", op.required(0), axis=op.integer("axis", -1), p=p)


@operator("MeanVarianceNormalization")
def _mean_variance_normalization(op: Operation) -> str:
    return op.emit("mean_variance_normalize", op.required(0), axes=op.integers("axes", (0, 2, 3)))


# ---- softmax

_SOFTMAX = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Hardmax": "hardmax"}


@operator(*_SOFTMAX)
def _softmax(op: Operation) -> str:
    kind, x = _SOFTMAX[op.name], op.required(0)
    if op.version >= 13:
        return op.emit(kind, x, axis=op.integer("axis", -1))
    axis = op.integer("axis", 1)  # of the matrix to which the input is flattened
    shape = op.shape(x)
    if shape is not None:
        rank = len(shape)
        if not -rank <= axis <= rank:
            raise Refused(f"the attribute 'axis' is {axis}, but its input has {rank} axes")
        axis += rank if axis < 0 else 0
        wide = [place for place in range(axis, rank) if shape[place] != 1]
        if len(wide) <= 1 and axis < rank:
            return op.emit(kind, x, axis=wide[0] if wide else axis)
    flat = op.emit(kind, op.emit("flatten", x, axis=axis), axis=1)
    return op.emit("reshape", flat, op.emit("shape", x, start=0, end=None), allowzero=True)
