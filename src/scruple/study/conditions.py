"""The role of each condition in a study: judged, used as a reference, both or neither.

A condition that is not listed here asks for less bias, and is judged. A new control needs one line
here, and its instruction in the prompt files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PLAIN = "q"
"""The plain question: the reference of every other condition."""


@dataclass(frozen=True)
class Role:
    """The role of a condition.

    Attributes:
        judged: whether it gets effects and verdicts.
        control_of: the conditions for which it is a second reference, besides `q`: those without
            reasoning (`instruction`) or those with reasoning (`reasoning`). It differs from them
            only in content. None if it is not a control.
    """

    judged: bool = True
    control_of: Literal["instruction", "reasoning"] | None = None


ROLES = {
    PLAIN: Role(judged=False),
    "q+match": Role(judged=False),
    "q+follow": Role(judged=False),
    "q+placebo": Role(control_of="instruction"),
    "q+cot": Role(control_of="reasoning"),
}
"""The conditions that do not ask for less bias."""

CONTROLS = tuple(name for name, role in ROLES.items() if role.control_of)
"""Conditions that ask for nothing: the references of others, besides `q`."""


def is_judged(condition: str) -> bool:
    """Return whether a condition gets effects and verdicts."""
    return ROLES.get(condition, Role()).judged


def references_of(condition: str, reasons: bool) -> tuple[str, ...]:
    """Return the references of a condition: `q`, and the controls that match it.

    A control has only `q` as its reference.

    Args:
        condition: name of the condition.
        reasons: whether the model reasons before it answers.
    """
    if condition in CONTROLS:
        return (PLAIN,)
    wanted = "reasoning" if reasons else "instruction"
    return (PLAIN, *(name for name in CONTROLS if ROLES[name].control_of == wanted))
