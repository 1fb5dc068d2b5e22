"""The table of rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._types import ActivationName
from ...activations import ELU, LeakyReLU, PReLU, Spec
from ..graph import Node
from ..kinds.elementwise import fused_activation
from ..program import Lowered, Lowering

__all__ = ["RULES", "SHAPELESS", "Rule", "activation_of", "rule"]

Rule = Callable[[Node, Lowering], Lowered | None]
RULES: dict[str, list[Rule]] = {}  # in this order: the first whose answer is not None
SHAPELESS: set[str] = set()  # kinds whose rules do not ask for shapes


def rule(*kinds: str, shapeless: bool = False) -> Callable[[Rule], Rule]:
    """Enter a rule for some kinds."""

    def enter(function: Rule) -> Rule:
        for kind in kinds:
            RULES.setdefault(kind, []).append(function)
            if shapeless:
                SHAPELESS.add(kind)
        return function

    return enter


def activation_of(attribute: Any, dtype: np.dtype[Any] | None = None) -> Spec:
    """The activation object or name that a fused attribute, a name or `(name, *parameters)`, stands for.

    dtype: of the operands, which slopes are brought to.

    >>> activation_of(("leaky_relu", 0.1)), activation_of("relu")
    (LeakyReLU(alpha=0.1), 'relu')
    """
    form = fused_activation(attribute)
    if form is None:
        return None
    name, *parameters = form
    if name == "leaky_relu":
        return LeakyReLU(*parameters)
    if name == "elu":
        return ELU(*parameters)
    if name == "prelu":
        return PReLU(np.asarray(parameters[0], dtype))
    result: ActivationName = name
    return result
