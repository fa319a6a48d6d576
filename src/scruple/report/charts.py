"""The interactive charts: Vega-Lite specifications and their data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from scruple import texts
from scruple.figures.results import Tables
from scruple.figures.scaling import at_last_steps
from scruple.figures.style import CONDITIONS, called, look_of

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_COLUMNS = {
    "line": "line", "checkpoint": "checkpoint", "params": "params",
    "condition": "condition", "value": "value", "ci_low": "low", "ci_high": "high",
    "n_items": "items", "status": "status",
}  # fmt: skip
_BESIDE = 1.6
"""Factor on the size axis over which the conditions of one size are spread."""
_FIELDS = ("checkpoint", "params", "condition", "value", "low", "high", "items", "status")


def bias_charts(tables: Tables) -> list[dict[str, Any]]:
    """Return one chart per benchmark: its primary metric of bias against size."""
    charts = []
    for benchmark in tables.study.benchmarks:
        metric, subset = tables.measure(benchmark.name)
        rows = tables.rows(benchmark.name, metric, subset)
        name = tables.title(benchmark.name, metric).replace("\n", " ")
        charts.append(_chart(tables, rows, name, f"bias-{benchmark.name}"))
    return [chart for chart in charts if chart["values"]]


def effect_charts(tables: Tables) -> list[dict[str, Any]]:
    """Return one chart per benchmark: the conditions' effects against size, with the margin."""
    charts = []
    effects = tables.primary_effects().rename(columns={"effect": "value"})
    for benchmark in tables.study.benchmarks:
        rows = effects[effects["benchmark"] == benchmark.name]
        if len(rows):
            name = texts.CHART_OF_EFFECT.format(benchmark=benchmark.name)
            margin = float(rows["margin"].iloc[0])
            charts.append(_chart(tables, rows, name, f"effect-{benchmark.name}", margin))
    return charts


def _chart(
    tables: Tables, rows: pd.DataFrame, title: str, identity: str, margin: float | None = None
) -> dict[str, Any]:
    """Return a chart as its id, title, description, Vega-Lite specification and values."""
    placed = pd.concat([rows.iloc[:0], *at_last_steps(tables, rows)])
    kept = placed[[name for name in _COLUMNS if name in placed]].rename(columns=_COLUMNS)
    kept = kept[kept["value"].notna()]
    names = list(tables.study.conditions)
    shift = kept["condition"].map(lambda name: (names.index(name) + 0.5) / len(names) - 0.5)
    kept = kept.assign(
        x=kept["params"] * _BESIDE ** shift.astype(float),
        condition=kept["condition"].map(called),
        told=[
            texts.CHART_MARK.format(
                checkpoint=row["checkpoint"],
                params=row["params"],
                condition=called(row["condition"]),
                value=row["value"],
                low=row["low"],
                high=row["high"],
            )
            for row in kept.to_dict("records")
        ],
    )
    sizes = sorted({int(each) for each in kept["params"]}) or [1]
    values = json.loads(kept.to_json(orient="records", double_precision=6))
    return {
        "id": identity,
        "title": title,
        "description": texts.CHART_DESCRIPTION.format(title=title),
        "spec": _spec(
            title,
            tables.study.conditions,
            margin,
            {str(name) for name in kept},
            sizes,
        ),
        "values": values,
    }


def _spec(
    title: str,
    conditions: Sequence[str],
    margin: float | None,
    fields: set[str],
    sizes: Sequence[int],
) -> dict[str, Any]:
    names = [called(condition) for condition in conditions]
    looks = [look_of(condition, conditions) for condition in conditions]
    dashes = [[1, 0] if line == "-" else [2, 3] for _, _, line in looks]
    color = {
        "field": "condition", "type": "nominal", "legend": None,
        "scale": {"domain": names, "range": [color for color, _, _ in looks]},
    }  # fmt: skip
    x = {
        "field": "x", "type": "quantitative", "title": texts.PARAMETERS,
        "scale": {"type": "log", "nice": False, "domain": [sizes[0] / 2, 2 * sizes[-1]]},
        "axis": {"format": ".3~s", "values": list(sizes), "labelOverlap": "greedy", "grid": False},
    }  # fmt: skip
    y = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": True}}
    tooltip = [
        {"field": field, "type": "quantitative" if field in ("value", "low", "high") else "nominal",
         **({"format": ".3f"} if field in ("value", "low", "high") else {})}
        for field in _FIELDS if field in fields
    ]  # fmt: skip
    zero = {
        "data": {"values": [{"zero": 0}]},
        "mark": {"type": "rule", "strokeDash": [4, 3], "color": "#888"},
        "encoding": {"y": {"datum": 0, "type": "quantitative"}},
    }
    layers: list[dict[str, Any]] = [zero]
    if margin is not None:
        layers.insert(0, {
            "data": {"values": [{"low": -margin, "high": margin}]},
            "mark": {"type": "rect", "color": "#e8e8e8"},
            "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
        })  # fmt: skip
    layers += [
        {
            "mark": {"type": "line", "strokeWidth": 1.5, "aria": False},
            "encoding": {"x": x, "y": {**y, "aggregate": "mean"}, "color": color,
                         "strokeDash": {"field": "condition", "type": "nominal", "legend": None,
                                        "scale": {"domain": names, "range": dashes}}},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.6, "aria": False},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"},
                         "color": color},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 45},
            "encoding": {
                "x": x, "y": y, "color": color, "tooltip": tooltip,
                "description": {"field": "told", "type": "nominal"},
                "shape": {"field": "condition", "type": "nominal", "legend": None,
                          "scale": {"domain": names, "range": [_SHAPES[m] for _, m, _ in looks]}},
            },
        },
    ]  # fmt: skip
    return {
        "$schema": SCHEMA,
        "title": title,
        "description": title,
        "width": "container",
        "height": 240,
        "autosize": {"type": "fit", "contains": "padding"},
        "config": {"font": "system-ui, sans-serif", "background": "white",
                   "title": {"anchor": "start", "fontSize": 13}},
        "params": [{"name": "shown", "value": names}, {"name": "line", "value": ""}],
        "transform": [
            {"filter": "indexof(shown, datum.condition) >= 0"},
            {"filter": "datum.line == line"},
        ],
        "data": {"name": "table"},
        "layer": layers,
    }  # fmt: skip


_SHAPES = {
    "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down",
    "P": "cross", "X": "stroke", "p": "wedge", "h": "arrow", "<": "triangle-left",
}  # fmt: skip
"""Matplotlib marker → Vega shape, so that figures and charts look alike."""
assert {marker for _, marker, _ in CONDITIONS.values()} <= set(_SHAPES)
