"""What part each condition has in a study: judged, compared with, or neither.

A condition that is not named here asks for less bias, and is judged. A new control needs one line
here, and its instruction in the prompt files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PLAIN = "q"
"""The plain question, which every other condition is compared with."""


@dataclass(frozen=True)
class Role:
    """The part of a condition.

    Attributes:
        judged: whether it gets effects and verdicts.
        control_of: which conditions are compared with it beside `q`: those without reasoning
            (`instruction`) or those with it (`reasoning`), since it differs from them by its
            content alone; None for none.
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
"""Conditions that ask for nothing: what others are compared with beside `q`."""


def is_judged(condition: str) -> bool:
    """Tell whether a condition gets effects and verdicts."""
    return ROLES.get(condition, Role()).judged


def references_of(condition: str, reasons: bool) -> tuple[str, ...]:
    """Return what a condition is compared with: `q`, and the controls that match it.

    Args:
        condition: its name.
        reasons: whether the model reasons before it answers.
    """
    if condition in CONTROLS:
        return (PLAIN,)
    wanted = "reasoning" if reasons else "instruction"
    return (PLAIN, *(name for name in CONTROLS if ROLES[name].control_of == wanted))
