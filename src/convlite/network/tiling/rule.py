"""What cutting a network into windows asks of each kind of node.

Some axes of the input are cut: images, rows, columns. Each is a role, and a value's roles say which of its
axes follow them. A rule answers, for a node and one role at a time: to have the places lo..hi of your output,
which places of your inputs are needed; and then, what is the node that computes the one from the other. A
window is always one of the whole result, with its borders, so that nothing but the way to it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..facts import Fact
from ..graph import Array, Node
from ..kinds import named

__all__ = ["ROLES", "RULES", "Back", "Local", "Look", "Refused", "Roles", "Rule", "Window", "aligned", "rule"]

ROLES = ("images", "rows", "columns")
Roles = tuple[int | None, ...]  # for each axis of a value, the role that it follows
Window = tuple[int, int]


class Refused(ValueError):
    """A node that looks at the whole image. reached: how many nodes are before it."""

    reached = 0


class Back(NamedTuple):
    """lo..hi: the places of the outputs that are computed, at least those asked for. needs: for each input
    the places to have, None for all of them. how: what the node must know beyond that."""

    lo: int
    hi: int
    needs: tuple[Window | None, ...]
    how: Any = None


class Local(NamedTuple):
    """One node of a window's network in the making.

    inputs: names of the operands, cut to what is needed. outputs: shapes. how: of each role. constant: puts
    an array into the network and returns its name.
    """

    node: Node
    inputs: tuple[str, ...]
    outputs: tuple[tuple[int, ...], ...]
    how: Mapping[int, Any]
    constant: Callable[[Array], str]


def _as_it_is(local: Local) -> Node:
    return local.node.with_(inputs=local.inputs)


@dataclass(slots=True)
class Rule:
    """What a node does to windows.

    roles: of each output. cut: for each input, role -> the axis that is cut with it. back: see `Back`; by
    default places are the same everywhere. emit: the node for a window. scale: for each role, how many
    outputs there are for an input.
    """

    roles: tuple[Roles, ...]
    cut: tuple[Mapping[int, int], ...]
    back: Callable[[int, int, int], Back] | None = None
    emit: Callable[[Local], Node] = _as_it_is
    scale: Mapping[int, Any] = field(default_factory=dict)

    def window(self, role: int, lo: int, hi: int) -> Back:
        """What is needed for the outputs lo..hi along a role."""
        if self.back is None:
            return Back(lo, hi, tuple((lo, hi) if role in axes else None for axes in self.cut))
        return self.back(role, lo, hi)


class Look(NamedTuple):
    """A node and what is known of its values in the whole run."""

    node: Node
    facts: Mapping[str, Fact]
    constants: Mapping[str, Array]
    held: Mapping[str, Roles]
    aligned: bool

    def shape(self, number: int) -> tuple[int, ...]:
        """Of an input."""
        return self._concrete(self.node.inputs[number])

    def out(self, number: int = 0) -> tuple[int, ...]:
        """Of an output."""
        return self._concrete(self.node.outputs[number])

    def _concrete(self, name: str) -> tuple[int, ...]:
        fact = self.facts[name]
        if not fact.concrete:
            self.refuse(f"makes a result of a size that depends on the image ({name!r})")
        return fact.shape  # type: ignore[return-value]

    def dtype(self, number: int = 0) -> np.dtype[Any]:
        """Of an input."""
        dtype = self.facts[self.node.inputs[number]].dtype
        assert dtype is not None
        return dtype

    def roles(self, number: int = 0) -> Roles:
        """Of an input."""
        name = self.node.inputs[number]
        return self.held.get(name) or (None,) * len(self.shape(number))

    def value(self, number: int) -> Array | None:
        """An input that is a constant; None where it is left out."""
        if number >= len(self.node.inputs) or not self.node.inputs[number]:
            return None
        name = self.node.inputs[number]
        found = self.constants.get(name)
        if found is None:
            found = self.facts[name].known
        if found is None:
            self.refuse(f"takes {name!r} from the data, so that it cannot be cut")
        return found

    def spared(self, axes: Sequence[int], what: str) -> None:
        """Refuse where one of these axes of the first input is cut."""
        roles = self.roles()
        for axis in axes:
            role = roles[axis]
            if role is not None:
                self.refuse(f"{what} all {ROLES[role]}")

    def refuse(self, reason: str) -> NoReturn:
        """The error: this node cannot be cut."""
        raise Refused(f"{named(self.node)} {reason}")


Maker = Callable[[Look], Rule]
RULES: dict[str, Maker] = {}


def rule(*kinds: str) -> Callable[[Maker], Maker]:
    """Enter a rule for some kinds."""

    def enter(function: Maker) -> Maker:
        for kind in kinds:
            assert kind not in RULES, kind
            RULES[kind] = function
        return function

    return enter


def aligned(look: Look, result: int = 0) -> Rule:
    """Operands that broadcast: places are the same everywhere; constants of full size are cut, too."""
    out = look.out(result)
    roles: list[int | None] = [None] * len(out)
    for number, name in enumerate(look.node.inputs):
        if not name:
            continue
        shape, found = look.shape(number), look.roles(number)
        shift = len(out) - len(shape)
        for axis, role in enumerate(found):
            if role is None:
                continue
            if shape[axis] != out[axis + shift] or roles[axis + shift] not in (None, role):
                look.refuse(f"meets {ROLES[role]} with something else")
            roles[axis + shift] = role
    return Rule((tuple(roles),) * len(look.node.outputs), cut_like(look, roles, out))


def cut_like(look: Look, roles: Sequence[int | None], out: tuple[int, ...]) -> tuple[dict[int, int], ...]:
    """For each input, which of its axes are cut where the result's are."""
    cut: list[dict[int, int]] = []
    used = [role for role in roles if role is not None]
    if len(set(used)) < len(used):
        look.refuse("has one axis of the image along two of its own")
    for number, name in enumerate(look.node.inputs):
        shape = look.shape(number) if name else ()
        shift = len(out) - len(shape)
        cut.append(
            {
                role: axis - shift
                for axis, role in enumerate(roles)
                if role is not None and axis >= shift and shape[axis - shift] == out[axis]
            }
        )
    return tuple(cut)
