"""Metrics against the number of parameters, and against training steps and stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd
from matplotlib.figure import Figure

from scruple import texts
from scruple.analysis.axes import Axis, axes_of, last_steps, recipes_of
from scruple.figures.lines import Panel, draw_lines
from scruple.figures.published import marks_of
from scruple.figures.results import Tables
from scruple.figures.style import size

_SHARE = (-0.02, 1.04)
"""Limits of a y axis that shows shares."""


def draw_scaling(tables: Tables) -> Figure:
    """Draw the primary metric of bias of every benchmark against size (original: figure 1)."""
    panels: list[tuple[str, str, str, str | None]] = []
    for benchmark in tables.study.benchmarks:
        metric, subset = tables.measure(benchmark.name)
        for other, title in benchmark.traits.beside:
            panels.append((benchmark.name, other, benchmark.traits.subset, title))
        panels.append((benchmark.name, metric, subset, None))
    return along_size(tables, panels)


def draw_accuracy(tables: Tables) -> Figure:
    """Draw BBQ's accuracy in both contexts against size (original: figures 6 and 7)."""
    named = [
        (entry.name, f"accuracy_{context}", tables.measure(entry.name)[1],
         texts.ACCURACY_IN[context])
        for entry in tables.study.benchmarks if entry.kind == "bbq"
        for context in ("ambiguous", "disambiguated")
    ]  # fmt: skip
    return along_size(tables, named, parity=None, level=1 / 3, limits=_SHARE)


def draw_disambiguated(tables: Tables) -> Figure:
    """Draw BBQ's bias in disambiguated contexts against size (original: figure 8)."""
    named = [
        (entry.name, "bias_disambiguated", tables.measure(entry.name)[1],
         texts.BIAS_DISAMBIGUATED)
        for entry in tables.study.benchmarks if entry.kind == "bbq"
    ]  # fmt: skip
    return along_size(tables, named)


def draw_categories(tables: Tables) -> Figure:
    """Draw BBQ's bias against size, overall and per social dimension (original: figure 3)."""
    named = []
    for entry in tables.study.benchmarks:
        if entry.kind == "bbq":
            metric, subset = tables.measure(entry.name)
            mine = tables.metrics[tables.metrics["benchmark"] == entry.name]
            categories = sorted(set(mine["subset"]) - {"", "macro", "pooled"})
            named.append((entry.name, metric, subset, texts.ALL_CATEGORIES.format(subset=subset)))
            named += [(entry.name, metric, name, name.replace("_", " ")) for name in categories]
    return along_size(tables, named)


def draw_validity(tables: Tables) -> Figure:
    """Draw two checks of the answers against size: valid mass and position bias."""
    named = []
    for entry in tables.study.benchmarks:
        subset = entry.traits.subset
        named.append((entry.name, "valid_mass", subset, texts.VALID_MASS))
        named.append((entry.name, "position_bias", subset, texts.POSITION_BIAS))
    return along_size(tables, named, parity=None, limits=_SHARE)


def draw_measures(tables: Tables) -> Figure:
    """Draw each primary metric of bias next to its counterpart, against size.

    A jump that appears in only one of the two is a property of the metric (Schaeffer et al. 2023,
    "Are emergent abilities of large language models a mirage?").
    """
    named = []
    for entry in tables.study.benchmarks:
        metric, subset = tables.measure(entry.name)
        for name in (metric, entry.traits.measures.counterparts[metric]):
            named.append((entry.name, name, subset, None))
    return along_size(tables, named)


def draw_training(tables: Tables) -> Figure:
    """Draw the primary metrics of bias against steps and stages per size (original: figure 2)."""
    study = tables.study
    axes = [
        (family.name, axis)
        for family in study.families
        for axis in axes_of(family, study.axes)
        if axis.kind != "size"
    ]
    labels = list(dict.fromkeys(_label(place) for _, axis in axes for place in axis.places))
    panels = []
    for benchmark in study.benchmarks:
        metric, subset = tables.measure(benchmark.name)
        rows = tables.rows(benchmark.name, metric, subset)
        table = pd.concat([_placed(rows, family, axis, labels) for family, axis in axes])
        panels.append(Panel(tables.title(benchmark.name, metric), table))
    lines = [_line(family, axis) for family, axis in axes]
    return draw_lines(
        panels, list(dict.fromkeys(lines)), study.conditions, tables.notes(), labels,
        texts.STEPS_OR_STAGES,
    )  # fmt: skip


def along_size(
    tables: Tables,
    named: Sequence[tuple[str, str, str, str | None]],
    parity: float | None = 0.0,
    level: float | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw metrics against parameters at the last step, one row per family and stage.

    Args:
        tables: the study's tables.
        named: benchmark, metric, subset and title of each panel; a title of None stands for the
            title of the metric.
        parity: the value at which there is no bias; None if the metrics have no such value.
        level: a value to mark with a line, such as chance; None for no line.
        limits: limits of the y axes; None to fit the values.
    """
    panels = []
    for benchmark, metric, subset, title in named:
        rows = tables.rows(benchmark, metric, subset)
        table = pd.concat([rows.iloc[:0].assign(line="", place=0.0), *at_last_steps(tables, rows)])
        name = tables.title(benchmark, metric) if title is None else f"{benchmark}: {title}"
        whole = subset in ("", "macro", "pooled")
        marks = marks_of(tables.study, benchmark, metric) if whole else []
        panels.append(Panel(name, table, parity, level, marks, limits))
    return draw_lines(panels, size_lines(tables), tables.study.conditions, tables.notes())


def size_lines(tables: Tables) -> list[str]:
    """Return the names of a study's curves along size, one per family and stage."""
    return [
        _family_line(family.name, stage)
        for family in tables.study.families
        for stage in dict.fromkeys(c.stage for c in family.checkpoints)
    ]


def at_last_steps(tables: Tables, rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield each family's rows at the last step of each size and stage, with `line` and `place`."""
    for family in tables.study.families:
        recipes = recipes_of(family)
        kept = {name for recipe in last_steps(family).values() for name in recipes[recipe]}
        mine = rows[(rows["family"] == family.name) & rows["checkpoint"].isin(kept)]
        yield mine.assign(
            line=[_family_line(family.name, stage) for stage in mine["stage"]],
            place=mine["params"].astype(float),
        )


def _placed(rows: pd.DataFrame, family: str, axis: Axis, labels: Sequence[str]) -> pd.DataFrame:
    """Return a family's rows on an axis of stages or steps, with `line` and `place`."""
    where = {
        name: labels.index(_label(place)) for place, names in axis.places.items() for name in names
    }
    mine = rows[(rows["family"] == family) & rows["checkpoint"].isin(where)]
    return mine.assign(line=_line(family, axis), place=mine["checkpoint"].map(where).astype(float))


def _label(place: float | str) -> str:
    return f"{place:g}" if isinstance(place, float) else place


def _line(family: str, axis: Axis) -> str:
    assert axis.at is not None
    stage = f", {axis.stage}" if axis.stage not in ("", "base") else ""
    return f"{family}{stage}\n{texts.TRAINING_OF[axis.kind].format(size=size(axis.at))}"


def _family_line(family: str, stage: str) -> str:
    return family if stage == "base" else f"{family}, {stage}"
