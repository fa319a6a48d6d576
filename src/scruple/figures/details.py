"""Winogender's occupations and the admission profiles at each family's largest checkpoint."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scruple import texts
from scruple.figures.lines import add_legend, not_measured
from scruple.figures.results import Tables
from scruple.figures.style import MM, WIDTH, called, look_of, set_style
from scruple.study.kinds import LSAT_CENTRE

_COLORS = {"neutral": "#999999", "female": "#D55E00", "male": "#0072B2"}


def draw_pronouns(tables: Tables) -> Figure:
    """Draw pronouns per occupation and the calibration under Match (original: figure 4).

    The upper panels show the probability mass on neutral, female and male pronouns per occupation,
    sorted by neutral mass. Their condition is the first of `q+if+cot`, `q+if` and `q` that the
    study has, or else its first condition. The lower panels show p(female) against the real share
    of women under `q` and `q+match`; on the diagonal, both are equal.
    """
    set_style()
    study = tables.study
    benchmark, families = tables.largest("winogender")
    if not families:
        return not_measured(tables.notes())
    condition = next(
        (c for c in ("q+if+cot", "q+if", "q") if c in study.conditions), study.conditions[0]
    )
    figure, axes = plt.subplots(
        2, len(families), figsize=(min(WIDTH, 80 * MM * len(families)), 105 * MM),
        squeeze=False, layout="constrained", sharey="row",
    )  # fmt: skip
    for column, (family, checkpoint) in enumerate(families.items()):
        above, below = axes[0, column], axes[1, column]
        _masses(above, tables.clusters(family, checkpoint, benchmark, condition))
        above.set_title(f"{checkpoint}\n({family}), {called(condition)}")
        for name in ("q", "q+match"):
            _calibration(below, tables.clusters(family, checkpoint, benchmark, name), name, tables)
        below.plot([0, 1], [0, 1], color="0.5", linewidth=0.6, linestyle=(0, (4, 3)))
        below.set_xlabel(texts.SHARE_OF_WOMEN)
    axes[0, 0].set_ylabel(texts.PROBABILITY)
    axes[1, 0].set_ylabel(texts.P_FEMALE)
    axes[0, -1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    notes = tables.notes()
    add_legend(figure, ["q", "q+match"], study.conditions, notes, len(families), bars="")
    return figure


def _masses(axis: Axes, table: pd.DataFrame | None) -> None:
    axis.set_xlabel(texts.OCCUPATIONS)
    axis.set_xticks([])
    if table is None:
        return
    neutral = (table["neutral_mass"] / table["n"]).to_numpy()
    female, male = ((table[name] / table["n"]).to_numpy() for name in ("female", "male"))
    valid = np.asarray((table["valid_mass"] / table["n"]).to_numpy())
    parts = pd.DataFrame({"neutral": neutral, "female": female * valid, "male": male * valid})
    parts = parts.sort_values(["neutral", "female"], kind="stable").reset_index(drop=True)
    axis.stackplot(
        parts.index, *(parts[name] for name in _COLORS),
        labels=[texts.PRONOUNS[name] for name in _COLORS], colors=list(_COLORS.values()),
        step="mid", linewidth=0,
    )  # fmt: skip
    axis.set_xlim(0, len(parts) - 1)
    axis.set_ylim(0, 1)


def _calibration(axis: Axes, table: pd.DataFrame | None, name: str, tables: Tables) -> None:
    if table is None or "x" not in table:
        return
    color, marker, _ = look_of(name, tables.study.conditions)
    axis.plot(
        table["x"] / table["n"] + 0.5, table["female"] / table["n"], marker, color=color,
        markersize=2.5, alpha=0.7,
    )  # fmt: skip
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)


def draw_profiles(tables: Tables) -> Figure:
    """Draw p(yes) against the LSAT score for Black and white applicants at the largest checkpoints.

    Profiles with the same rounded score are averaged, weighted by their number of people.
    """
    set_style()
    study = tables.study
    benchmark, families = tables.largest("admissions")
    if not families:
        return not_measured(tables.notes())
    shown = [c for c in ("q", "q+if", "q+if+cot", "q+placebo") if c in study.conditions]
    figure, axes = plt.subplots(
        len(families), len(shown), figsize=(WIDTH, (45 * len(families) + 12) * MM), squeeze=False,
        layout="constrained", sharex=True, sharey=True,
    )  # fmt: skip
    dark, light = sns.color_palette("colorblind")[0], sns.color_palette("colorblind")[1]
    for row, (family, checkpoint) in enumerate(families.items()):
        for column, condition in enumerate(shown):
            axis = axes[row, column]
            table = tables.clusters(family, checkpoint, benchmark, condition)
            if row == 0:
                axis.set_title(called(condition))
            if row == len(families) - 1:
                axis.set_xlabel(texts.LSAT)
            if table is None:
                continue
            table = table.assign(score=(table["lsat"] / table["n"] + LSAT_CENTRE).round())
            sums = table.groupby("score").sum()
            axis.plot(sums.index, sums["p_black"] / sums["n_black"], "-", color=dark,
                      label=texts.APPLICANTS["black"], linewidth=1)  # fmt: skip
            axis.plot(sums.index, sums["p_white"] / sums["n_white"], "--", color=light,
                      label=texts.APPLICANTS["white"], linewidth=1)  # fmt: skip
            axis.set_ylim(-0.02, 1.02)
        axes[row, 0].set_ylabel(f"{family}\n{checkpoint}\n{texts.P_YES}")
    axes[0, -1].legend(frameon=False)
    notes = tables.notes()
    if notes:
        add_legend(figure, [], study.conditions, notes, 4, bars="")
    return figure
