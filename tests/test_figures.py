import importlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scruple.analysis.metrics import read_metrics
from scruple.figures.catalogue import CATALOGUE, figures_of
from scruple.figures.published import marks_of
from scruple.figures.results import Tables
from scruple.figures.scaling import draw_scaling
from scruple.figures.style import CONDITIONS, look_of, save, size
from scruple.study.model import load_study
from scruple.study.settings import Benchmark

SIZES = [70e6, 410e6, 2.8e9]


@pytest.fixture
def metrics():
    rows = []
    for condition in ("q", "q+if"):
        for place, params in enumerate(SIZES):
            value = 0.1 * place - (0.1 if condition == "q+if" else 0)
            rows.append({
                "family": "f", "checkpoint": f"c{params:.0f}-200", "stage": "base", "params": params, "benchmark": "bbq",
                "subset": "pooled", "condition": condition, "scoring": "text",
                "wording": "" if condition == "q" else "a", "step": 200, "metric": "bias_ambiguous",
                "value": value, "ci_low": value - 0.05, "ci_high": value + 0.05,
            })  # fmt: skip
    return pd.DataFrame(rows)


def tables_of(metrics, families=("f",), benchmarks=("bbq",), conditions=("q", "q+if", "q+follow")):
    """Return a study's tables of which only the metrics are there."""
    study = load_study({
        "study": "s", "conditions": list(conditions),
        "families": [
            {"name": name, "checkpoints": [
                {"name": f"c{params:.0f}-{step}", "params": int(params), "path": "x", "step": step}
                for params in SIZES for step in (None, 100, 200)
            ]}
            for name in families
        ],
        "benchmarks": [
            {"name": name, "kind": "winogender" if name == "winogender" else "bbq", "source": "own"}
            for name in benchmarks
        ],
    })  # fmt: skip
    nothing = pd.DataFrame()
    return Tables(study, metrics, nothing, nothing, nothing, {})


def drawn(metrics, **changes):
    return draw_scaling(tables_of(metrics, **changes))


def test_points_are_the_tables(metrics):
    axis = drawn(metrics).axes[0]
    lines = {line.get_color(): line for line in axis.lines if len(line.get_xdata()) == 3}
    for condition in ("q", "q+if"):
        expected = metrics[metrics["condition"] == condition]
        line = lines[CONDITIONS[condition][0]]
        assert line.get_ydata() == pytest.approx(expected["value"].tolist())
        # beside each other, and nearer to their own size than to the next
        assert np.asarray(line.get_xdata()) == pytest.approx(SIZES, rel=1)
    assert axis.get_xscale() == "log"
    parity = [line for line in axis.lines if set(line.get_ydata()) == {0}]
    assert parity


def test_other_wordings_and_scorings_are_not_drawn(metrics):
    other = metrics.assign(scoring="letter", value=9.0)
    axis = drawn(pd.concat([metrics, other])).axes[0]
    assert max(max(line.get_ydata()) for line in axis.lines) < 1


def test_undefined_values_leave_a_gap(metrics):
    metrics.loc[1, ["value", "ci_low", "ci_high"]] = np.nan
    line = next(line for line in drawn(metrics).axes[0].lines if len(line.get_xdata()) == 3)
    assert np.isnan(line.get_ydata()[1])


def test_legend_names_what_is_drawn(metrics):
    figure = drawn(metrics)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Q", "Q+IF"]
    assert figure.axes[0].get_ylabel() == "f"


def test_each_family_has_a_row_and_rows_share_their_scale(metrics):
    other = metrics.assign(family="g", value=metrics["value"] * 10)
    figure = drawn(
        pd.concat([metrics, other]), families=("f", "g"), benchmarks=("bbq", "winogender")
    )
    assert len(figure.axes) == 6  # BBQ, and correlation and slope of Winogender
    names = [axis.get_ylabel() for axis in figure.axes]
    assert [name for name in names if name] == ["f", "g"]
    assert figure.axes[0].get_ylim() == figure.axes[3].get_ylim()
    assert len({len(axis.lines) for axis in (figure.axes[0], figure.axes[3])}) == 1


def test_the_same_table_gives_the_same_bytes(metrics, tmp_path):
    for kind in ("png", "svg", "pdf"):
        one, two = tmp_path / f"one.{kind}", tmp_path / f"two.{kind}"
        save(drawn(metrics), [str(one)])
        save(drawn(metrics), [str(two)])
        assert one.read_bytes() == two.read_bytes()


def test_every_condition_looks_different():
    looks = [look_of(name, CONDITIONS) for name in CONDITIONS]
    own = ["q+kind", "q+fair"]
    looks += [look_of(name, own) for name in own]
    assert len({color for color, _, _ in looks}) == len({marker for _, marker, _ in looks}) == 9


def test_the_last_of_several_steps_is_drawn(metrics):
    early = metrics.assign(
        step=100, value=9.0, checkpoint=metrics["checkpoint"].str.replace("-200", "-100")
    )
    axis = drawn(pd.concat([metrics, early])).axes[0]
    assert max(max(line.get_ydata()) for line in axis.lines) < 1


@pytest.mark.parametrize(
    ("params", "text"),
    [(70426624, "70.4M"), (999_960_000, "1B"), (11_846_072_320, "11.8B"), (950, "950")],
)
def test_sizes_are_written_shortly(params, text):
    assert size(params) == text


def test_names_stay_names_whatever_they_look_like(metrics, tmp_path):
    odd = metrics.assign(family="NA", benchmark="007", n_items=1, n_clusters=1)
    odd.to_csv(tmp_path / "m.csv", index=False)
    read = read_metrics(tmp_path / "m.csv")
    figure = drawn(read, families=("NA",), benchmarks=("007",))
    assert len([line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]) == 2


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_the_legend_stays_inside_the_figure(metrics, panels):
    every = [name for name in CONDITIONS if name != "q+follow"]
    rows = pd.concat(
        metrics[metrics["condition"] == "q"].assign(
            condition=name, benchmark=f"b{panel}", family="smollm2"
        )
        for name in every for panel in range(panels)
    )  # fmt: skip
    figure = drawn(
        rows.assign(wording=""), families=("smollm2",), conditions=every,
        benchmarks=[f"b{panel}" for panel in range(panels)],
    )  # fmt: skip
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_training_runs_are_drawn_as_points_around_their_mean(metrics):
    study = load_study({
        "study": "s", "conditions": ["q", "q+if"],
        "families": [{"name": "f", "checkpoints": [
            {"name": f"c{params:.0f}-{seed}", "params": int(params), "path": "x", "seed": seed}
            for params in SIZES for seed in (1, 2)
        ]}],
        "benchmarks": [{"name": "bbq", "source": "own"}],
    })  # fmt: skip
    runs = pd.concat(
        metrics.assign(
            step=None, value=metrics["value"] + shift,
            checkpoint=metrics["checkpoint"].str.replace("-200", f"-{seed}"),
        )
        for seed, shift in ((1, -0.05), (2, 0.05))
    )  # fmt: skip
    nothing = pd.DataFrame()
    axis = draw_scaling(Tables(study, runs, nothing, nothing, nothing, {})).axes[0]
    means = next(line for line in axis.lines if len(line.get_xdata()) == 3)
    assert means.get_ydata() == pytest.approx([0.0, 0.1, 0.2])
    assert [len(line.get_xdata()) for line in axis.lines].count(6) == 2


def test_published_values_are_marked_on_published_items_only(metrics):
    tables = tables_of(metrics)
    assert marks_of(tables.study, "bbq", "bias_ambiguous") == []
    upstream = tables.study.model_copy(
        update={"benchmarks": (Benchmark(name="bbq", source="upstream"),)}
    )
    marks = {mark.condition: mark.value for mark in marks_of(upstream, "bbq", "bias_ambiguous")}
    assert marks == {"q": 0.2, "q+if": 0.114}
    figure = draw_scaling(replace(tables, study=upstream))
    assert "not measured here" in figure.legends[0].get_title().get_text()


def test_every_figure_has_a_drawing_and_a_caption():
    names = [entry.name for entry in CATALOGUE]
    assert len(set(names)) == len(names)
    for entry in CATALOGUE:
        module = importlib.import_module(f"scruple.figures.{entry.module}")
        assert callable(getattr(module, f"draw_{entry.name}"))
        assert entry.caption.endswith(".")


def test_a_study_has_the_figures_that_it_can_have():
    one = load_study({
        "study": "s", "conditions": ["q"], "benchmarks": [{"name": "winogender", "source": "own"}],
        "families": [{"name": "f", "checkpoints": [{"name": "c", "params": 10, "path": "x"}]}],
    })  # fmt: skip
    assert [entry.name for entry in figures_of(one)] == [
        "scaling", "pronouns", "measures", "validity",
    ]  # fmt: skip
