"""Keras's keywords that have no meaning here: accepted if they change nothing, refused by name otherwise.

`understands_keras` wraps the constructor of every layer class. A model pasted from Keras then works without
edits, and an error names the class that the caller wrote.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, Unpack

from ..arguments import as_flag, shown

__all__ = ["Predicting", "progress_of", "refuse_training", "understands_keras"]

Shape = tuple[int | None, ...]


class _Word(NamedTuple):
    """A keyword: the values that are accepted, and the reason why others are not."""

    fits: Callable[[Any], bool]
    why: str


def _one_of(*values: Any) -> Callable[[Any], bool]:
    return lambda value: any(type(value) is type(known) and value == known for known in values)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | int) and value in (0, 1)


_NONE = _one_of(None)
_TRAINING = "acts in training only, and convlite does not train: leave it out"
_WORDS: dict[str, _Word] = {
    "data_format": _Word(
        _one_of(None, "channels_last"), "is channels_last in convlite: see convlite.convert.nchw_to_nhwc"
    ),
    "trainable": _Word(_is_flag, "must be True or False, which makes no difference here"),
    "seed": _Word(lambda value: value is None or isinstance(value, int), "must be an integer or None"),
    "dtype": _Word(
        lambda value: value is None or _dtype_name(value) == "float32",
        "has no meaning for a layer without weights, which computes in x's dtype: leave it out",
    ),
    "autocast": _Word(lambda value: True, ""),
    "activity_regularizer": _Word(_NONE, _TRAINING),
    "renorm": _Word(_one_of(False), _TRAINING),
    "fused": _Word(_one_of(None, True, False), "must be None, True or False"),
    "synchronized": _Word(_is_flag, "must be True or False, which makes no difference here"),
    "noise_shape": _Word(_NONE, _TRAINING),
    "batch_size": _Word(_NONE, "is not fixed in convlite: leave it out"),
    "sparse": _Word(_one_of(False, None), "is for tensors that convlite has not"),
    "ragged": _Word(_one_of(False, None), "is for tensors that convlite has not"),
    "dynamic": _Word(_one_of(False, None), "has no meaning in convlite"),
    "lora_rank": _Word(_NONE, "is not in convlite: give the merged kernel to from_weights"),
    "lora_alpha": _Word(_NONE, "is not in convlite: give the merged kernel to from_weights"),
    "quantization_config": _Word(_NONE, "is not in convlite, which computes in float32 and float64"),
    "weights": _Word(
        _NONE, "is not taken by constructors: use from_weights, or set_weights on the built layer"
    ),
}
_PARTS = ("kernel", "bias", "depthwise", "pointwise", "gamma", "beta", "alpha")
_WORDS |= {
    f"{part}_{kind}": _Word(_NONE, _TRAINING) for part in _PARTS for kind in ("regularizer", "constraint")
}

# Names of keywords in other frameworks and in older versions of Keras.
_OTHER_NAMES = {
    "stride": ("strides",),
    "subsample": ("strides",),
    "dilation": ("dilation_rate",),
    "dilations": ("dilation_rate",),
    "out_channels": ("filters",),
    "nb_filter": ("filters",),
    "out_features": ("units",),
    "output_dim": ("units",),
    "bias": ("use_bias",),
    "border_mode": ("padding",),
    "init": ("kernel_initializer",),
    "eps": ("epsilon",),
    "alpha": ("negative_slope",),
    "p": ("rate",),
    "dim": ("axis",),
    "scale_factor": ("size",),
    "mode": ("interpolation",),
    "kernel_size": ("pool_size",),
}
_INFERRED = {"in_channels", "in_features", "num_features", "input_channels"}


def understands_keras(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor: it handles Keras's other keywords, and its errors name the caller's class."""
    signature = inspect.signature(init)
    asked: list[
        set[str] | None
    ] = []  # filled when the first layer is made, since annotations may name classes defined later

    @functools.wraps(init)
    def wrapper(self: Any, *arguments: Any, **keywords: Any) -> None:
        stated = None
        known = asked[0] if asked else _names(init)
        asked[:] = [known]
        if known is not None and not keywords.keys() <= known:
            keywords, stated = _sorted_out(type(self), keywords, known)
        if type(self).__init__ is not wrapper:
            init(self, *arguments, **keywords)
        else:
            _made(init, signature, self, arguments, keywords)
        if stated is not None:
            self.stated_shape = self.as_input_shape(stated)

    return wrapper


def _made(
    init: Callable[..., None],
    signature: inspect.Signature,
    layer: Any,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
) -> None:
    """Call the constructor of the class that was written; errors begin with its name."""
    kind = type(layer).__name__
    try:
        signature.bind(layer, *arguments, **keywords)
    except TypeError as error:
        raise TypeError(f"{kind}: {error}") from None
    try:
        init(layer, *arguments, **keywords)
    except (TypeError, ValueError) as error:
        ours = type(error) in (TypeError, ValueError) and len(error.args) == 1
        if ours and isinstance(error.args[0], str) and "_told" not in error.__dict__:
            text = error.args[0] if error.args[0].startswith(kind) else f"{kind}: {error.args[0]}"
            error.__dict__["_told"] = text
            error.args = (text,)
        raise


def _names(init: Callable[..., None]) -> set[str] | None:
    """The keywords that a constructor takes; None where it takes any."""
    names = set()
    for parameter in inspect.signature(init).parameters.values():
        if parameter.kind is not parameter.VAR_KEYWORD:
            names.add(parameter.name)
        else:
            try:
                hint = typing.get_type_hints(init).get(parameter.name)
            except (
                Exception
            ):  # a caller's subclass whose annotations name types that do not exist at run time
                return None
            if typing.get_origin(hint) is not Unpack:
                return None
            names |= typing.get_type_hints(typing.get_args(hint)[0]).keys()
    return names


def _sorted_out(kind: type, keywords: dict[str, Any], known: set[str]) -> tuple[dict[str, Any], Shape | None]:
    """Return (the other keywords, the input shape that was stated). TypeError for a refused keyword."""
    left, stated = {}, None
    for name, value in keywords.items():
        if name in known:
            left[name] = value
        elif name in ("input_shape", "batch_input_shape", "batch_shape", "input_dim"):
            stated = _stated(kind, name, value)
        elif (word := _WORDS.get(name)) is None:
            raise TypeError(f"{kind.__name__} has no argument {name!r}{_meant(name, known)}")
        elif not word.fits(value):
            raise TypeError(f"{kind.__name__}: {name} {word.why}; got {shown(value)}")
    if stated is not None and "shape" in known:  # an InputLayer, as older Keras writes it
        if "shape" in left or stated[0] is not None:
            raise TypeError(
                f"{kind.__name__} takes shape=, one sample's shape without the batch, and nothing beside"
            )
        return {**left, "shape": stated[1:]}, None
    return left, stated


def _stated(kind: type, name: str, value: Any) -> Shape:
    """The shape with the batch axis that one of Keras's keywords states."""
    if name == "input_dim":
        value = (value,)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"{kind.__name__}: {name} must be a sequence of sizes or None; got {shown(value)}")
    return tuple(value) if name.startswith("batch") else (None, *value)


def _meant(name: str, known: set[str]) -> str:
    """A suggestion of the keyword that the caller may have meant."""
    if name in _INFERRED:
        return ": convlite's layers find the number of input channels themselves, leave it out"
    other = [candidate for candidate in _OTHER_NAMES.get(name, ()) if candidate in known]
    near = other or difflib.get_close_matches(name, sorted(known - {"self"}), 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return "; it has " + ", ".join(sorted(known - {"self"}))


def dtype_of(value: Any) -> Any:
    """Return a dtype for NumPy: for Keras's policies and TensorFlow's dtypes this is their name."""
    return (
        _dtype_name(value) if hasattr(value, "compute_dtype") or hasattr(value, "as_numpy_dtype") else value
    )


def _dtype_name(value: Any) -> Any:
    return value if isinstance(value, str) else getattr(value, "name", getattr(value, "__name__", None))


def refuse_training(layer: str, training: Any, mask: Any) -> None:
    """Refuse Keras's arguments `training` and `mask` of a call unless they are False and None."""
    if mask is not None:
        raise TypeError(f"{layer}: mask has no meaning in convlite; got {type(mask).__name__}")
    if training is not None and as_flag(training, "training"):
        raise ValueError(f"{layer}: training=True is refused, as convlite computes inference only")


class Predicting(TypedDict, total=False):
    """Keras's keywords of `predict`: verbose=1 means progress=True; the others must be None."""

    verbose: int | str
    steps: None
    callbacks: None


def progress_of(keras: Mapping[str, Any], progress: Any) -> Any:
    """`progress`, or what Keras's verbose says about it. TypeError for other keywords and values."""
    for name, value in keras.items():
        if name == "verbose":
            if not _one_of(0, 1, False, True, "auto")(value):
                raise TypeError(f"predict: verbose must be 0, 1 or 'auto'; got {shown(value)}; see progress")
            progress = progress or value in (1, True)
        elif name not in ("steps", "callbacks"):
            raise TypeError(
                f"predict has no argument {name!r}{_meant(name, {'x', 'batch_size', 'progress'})}"
            )
        elif value is not None:
            raise TypeError(f"predict: {name} is not in convlite; got {shown(value)}: leave it out")
    return progress
