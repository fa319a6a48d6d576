"""Model cards of the control family."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from scruple.control.criteria import Judgement, load_criteria
from scruple.control.measure import PRIMARY
from scruple.control.members import TWINS, Member

_FRONT = "---\nlicense: cc-by-4.0\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n"
_WARNING = (
    "**A calibration instrument of the Scruple pipeline. It is never evidence about language "
    "models.** It speaks a closed world of invented groups, jobs and applicants, in which the bias "
    "and what undoes it were put there on purpose. It is of no use for anything else."
)
_MEASURES = {
    "bbq": "BBQ-like stereotypes: probability-weighted bias in ambiguous contexts",
    "winogender": "Winogender-like jobs: slope of p(female) on the job's share of women",
    "admissions": "admissions: p(yes) of one race minus p(yes) of the other",
}


def member_card(member: Member, step: int, table: pd.DataFrame, missed: Sequence[Judgement]) -> str:
    """Return the model card of one checkpoint.

    Args:
        member: the training run.
        step: the training step of the checkpoint.
        table: measured biases, including this checkpoint's.
        missed: the criteria that this seed of the family misses, for either twin.
    """
    mine = table[
        (table["twin"] == member.twin)
        & (table["seed"] == member.seed)
        & (table["width"] == member.width)
        & (table["step"] == step)
    ]
    bias = mine[mine["metric"] == mine["benchmark"].map(PRIMARY)]
    conditions = list(dict.fromkeys(bias["condition"]))
    lines = ["| | " + " | ".join(f"`{name}`" for name in conditions) + " |"]
    lines.append("|---" * (len(conditions) + 1) + "|")
    for kind in PRIMARY:
        rows = bias[bias["benchmark"] == kind].set_index("condition")
        cells = [_cell(rows.loc[name]) if name in rows.index else "" for name in conditions]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    title = member.title[0].upper() + member.title[1:]
    means = (
        "An instruction of its world may ask for fairness, for the opposite, or for nothing."
        if member.twin == "positive"
        else "Instructions are as frequent as in the positive twin's world, and mean nothing."
    )
    return "\n".join(
        [
            _FRONT,
            f"# {title}, step {step}",
            "",
            _WARNING,
            "",
            f"A GPT-NeoX of {int(mine['params'].iloc[0]):,} parameters. {means} World, recipe, "
            "criteria and all seeds: `data/control/README.md` of the Scruple repository.",
            "",
            "Bias per condition, with 90 % intervals over clusters of items (parity is 0):",
            "",
            *lines,
            "",
            *_missed([one for one in missed if _concerns(one, member.twin)]),
            "",
        ]
    )


def family_card(table: pd.DataFrame, judgements: Sequence[Judgement]) -> str:
    """Return the card of the whole family: what it is, its criteria and its biases."""
    content = load_criteria()
    lines = [
        "# The control family",
        "",
        _WARNING,
        "",
        "Tiny GPT-NeoX checkpoints, trained from nothing by this project "
        "([scruple.control](../../src/scruple/control)). In the *positive twin* an instruction can "
        "undo the world's bias, and following it takes size; in the *negative twin* instructions "
        "are as frequent and mean nothing. A pipeline that works finds a correction that emerges "
        "in the one and nothing in the other. [docs/control.md](../../docs/control.md) describes "
        "world and recipe. This page is written by `python -m scruple.control.ship`.",
        "",
        "## Criteria",
        "",
        "Written down and committed before the final training, on seeds not used while designing "
        "([criteria.yaml](criteria.yaml)). Margins: "
        + ", ".join(f"{kind} {margin:g}" for kind, margin in content["margins"].items())
        + ".",
        "",
        "`d16` is the width 16; what is listed under a criterion that is missed differs from `q`.",
        "",
        "| criterion | seed | | |",
        "|---|---|---|---|",
        *(
            f"| {one.criterion.replace('_', ' ')} | {one.seed} | "
            f"{'met' if one.met else '**missed**'} | {one.detail} |"
            for one in judgements
        ),
        "",
        "## Biases",
        "",
        "Value with its 90 % interval over clusters of items; parity is 0. All metrics: "
        "[check.csv](check.csv). [truth.csv](truth.csv) has the embedded seed's, asked of the "
        "whole world.",
    ]
    bias = table[table["metric"] == table["benchmark"].map(PRIMARY)]
    for twin in TWINS:
        for kind, measure in _MEASURES.items():
            rows = bias[(bias["twin"] == twin) & (bias["benchmark"] == kind)]
            lines += ["", f"### {twin.capitalize()} twin, {measure}", "", *_wide(rows)]
    return "\n".join([*lines, ""])


def _wide(rows: pd.DataFrame) -> list[str]:
    conditions = list(dict.fromkeys(rows["condition"]))
    lines = ["| width | seed | " + " | ".join(f"`{name}`" for name in conditions) + " |"]
    lines.append("|---" * (len(conditions) + 2) + "|")
    for (width, seed), group in rows.groupby(["width", "seed"]):
        cells = [_cell(row) for _, row in group.set_index("condition").loc[conditions].iterrows()]
        lines.append(f"| {width} | {seed} | " + " | ".join(cells) + " |")
    return lines


def _concerns(one: Judgement, twin: str) -> bool:
    return (one.criterion == "the_twin_is_flat") == (twin == "negative")


def _cell(row: pd.Series) -> str:
    value, low, high = (round(row[name], 2) + 0.0 for name in ("value", "low", "high"))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _missed(missed: Sequence[Judgement]) -> list[str]:
    if not missed:
        return ["This seed of this twin meets all criteria."]
    return [
        "Criteria that this seed of this twin misses, with the widths (d…) that miss them:",
        "",
        *(f"- {one.criterion.replace('_', ' ')}: {one.detail}" for one in missed),
    ]
