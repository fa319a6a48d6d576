"""Shapes of curves, sensitivity, planning: against hand-made cases and simulation."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from scipy import stats

from scruple.analysis.abilities import abilities_table
from scruple.analysis.curves import curves_table
from scruple.analysis.power import power_table
from scruple.analysis.sensitivity import components, sensitivity_table
from scruple.analysis.verdicts import effects_table, emergence_table
from scruple.cli import main
from scruple.statistics.clusters import (
    ClusterSums,
    Estimate,
    jackknife,
    jackknife_covariance,
    leave_out,
)
from scruple.statistics.curves import DRAWS, MODELS, compare, fit
from scruple.statistics.power import clusters_needed
from scruple.study.declaration import Timing
from scruple.study.model import load_study

X = np.array([7.0, 7.5, 8.0, 8.5, 9.0, 9.5])
FLAT = np.full(6, 0.1)
LINE = 0.1 + 0.2 * (X - 7)
BENT = np.where(X > 8, 0.3 * (X - 8), 0.0)


def covariance(size=0.01):
    return size**2 * (0.5 * np.eye(6) + 0.5)  # checkpoints share their items


@pytest.mark.parametrize(
    ("effects", "exact"),
    [(FLAT, set(MODELS)), (LINE, {"linear", "break", "isotonic"}), (BENT, {"break", "isotonic"})],
)
def test_shapes_fit_what_they_are(effects, exact):
    fits = fit(X, effects, covariance())
    assert {name for name, found in fits.items() if found.distance < 1e-9} == exact
    for name in exact:
        assert fits[name].fitted == pytest.approx(effects)


def test_a_falling_curve_is_pooled_by_the_isotonic_fit():
    found = fit(X, LINE[::-1].copy(), np.diag([1.0, 1, 1, 1, 1, 4]))["isotonic"].fitted
    assert found == pytest.approx(np.average(LINE[::-1], weights=[4, 4, 4, 4, 4, 1]))


def test_gls_is_that_of_the_formula():
    v = covariance() + np.diag(np.arange(6) * 1e-5)
    y = LINE + np.sin(np.arange(6)) * 0.02
    design = np.column_stack([np.ones(6), X])
    inverse = np.linalg.inv(v)
    beta = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ y)
    rest = y - design @ beta
    found = fit(X, y, v)["linear"]
    assert found.fitted == pytest.approx(design @ beta)
    assert found.distance == pytest.approx(rest @ inverse @ rest)


def test_comparisons_find_a_slope_and_err_as_often_as_they_say():
    assert compare(X, LINE, covariance(), "constant", "linear", 1) == pytest.approx(1 / (DRAWS + 1))
    assert compare(X, BENT, covariance(), "linear", "break", 1) < 0.01
    rng = np.random.default_rng(2)
    noise = rng.multivariate_normal(FLAT, covariance(), size=150)
    values = [compare(X, y, covariance(), "constant", "linear", k) for k, y in enumerate(noise)]
    assert stats.kstest(values, "uniform").pvalue > 0.001


def test_a_break_that_is_the_line_is_no_better():
    """Where effects saturate, the best break lies at the first size, and is the line."""
    bowed = 0.4 * np.sqrt(X - 7)
    fits = fit(X, bowed, covariance(1e-4))
    assert fits["break"].distance == pytest.approx(fits["linear"].distance)
    assert fits["linear"].distance > 1000
    assert compare(X, bowed, covariance(1e-4), "linear", "break", 1) == 1.0


def test_a_singular_covariance_is_refused():
    with pytest.raises(np.linalg.LinAlgError):
        fit(X, LINE, np.zeros((6, 6)))


def test_the_covariance_of_one_statistic_is_its_variance():
    rng = np.random.default_rng(3)
    data = ClusterSums(("a", "n"), rng.random((12, 2)) + 1, np.arange(12) % 3, ("x", "y", "z"))

    def ratio(sums):
        total = sums.sum(axis=-2)
        return total[..., 0] / total[..., 1]

    both = np.column_stack([leave_out(data, ratio), 2 * leave_out(data, ratio)])
    found = jackknife_covariance(both, data.stratum)
    assert math.sqrt(found[0, 0]) == pytest.approx(jackknife(data, ratio).error)
    assert found[1] == pytest.approx(2 * found[0])


def test_components_of_variance_are_those_that_were_put_in():
    rng = np.random.default_rng(4)
    found = []
    for _ in range(400):
        rows, columns = rng.normal(0, 0.3, size=(4, 1)), rng.normal(0, 0.1, size=(1, 6))
        found.append(components(rows + columns + rng.normal(0, 0.05, size=(4, 6))))
    squares = {name: np.mean([one[name] ** 2 for one in found]) for name in found[0]}
    assert squares["sd_wording"] == pytest.approx(0.09, rel=0.2)
    assert squares["sd_order"] == pytest.approx(0.01, rel=0.2)
    assert squares["sd_rest"] == pytest.approx(0.0025, rel=0.1)
    alone = components(np.array([[0.1, 0.2, 0.3]]))
    assert math.isnan(alone["sd_wording"])
    assert alone["sd_order"] == pytest.approx(0.1)
    assert all(math.isnan(v) for v in components(np.array([[0.1, math.nan]])).values())


@pytest.mark.parametrize("distance", [0.02, 0.05, 0.2])
def test_the_number_of_clusters_gives_the_power_that_was_asked(distance):
    pilot = Estimate(0.3, 0.2, 0.4, 0.05, 19, 20)
    n = clusters_needed(pilot, distance, 0.8)
    spread = 0.05 * math.sqrt(20)
    rng = np.random.default_rng(5)
    draws = rng.normal(distance, spread, size=(4000, int(n)))
    p = stats.ttest_1samp(draws, 0, axis=1, alternative="greater").pvalue
    assert np.mean(p < 0.025) == pytest.approx(0.8, abs=0.06)
    assert clusters_needed(pilot, distance, 0.9) > n


def test_what_cannot_be_planned_is_said():
    pilot = Estimate(0.3, 0.2, 0.4, 0.05, 19, 20)
    assert clusters_needed(pilot, 0.0, 0.8) == math.inf
    assert math.isnan(clusters_needed(Estimate(0.3, math.nan, math.nan), 0.1, 0.8))
    assert math.isnan(clusters_needed(Estimate(0.3, 0.3, 0.3, 0.0, 19, 20), 0.1, 0.8))
    exact = Estimate(0.3, 0.3, 0.3, 1e-9, 19, 20)
    assert clusters_needed(exact, 0.1, 0.8) == 3
    assert clusters_needed(replace(exact, strata=6), 0.1, 0.8) == 12  # two of each stratum


def effects():
    row = {
        "family": "f", "checkpoint": "c", "benchmark": "bbq", "condition": "q+if",
        "metric": "bias_ambiguous", "margin": 0.05, "standard_error": 0.05, "n_clusters": 20,
        "n_items": 100, "n_strata": 1, "degrees": 19.0, "status": "effect", "runs": 1,
        "effect": 0.1, "ci_low": 0.0, "ci_high": 0.2, "primary": True, "reference": "q",
    }  # fmt: skip
    return pd.DataFrame([row, {**row, "reference": "q+placebo"}, {**row, "primary": False}])


def test_the_table_and_the_command_agree(tmp_path, capsys):
    table = power_table(effects(), 0.8)
    assert list(table["effect"]) == pytest.approx([0.075, 0.1, 0.15])
    assert table["clusters_to_show"].is_monotonic_decreasing
    assert table["clusters_to_exclude"].nunique() == 1
    path = tmp_path / "effects.csv"
    effects().to_csv(path, index=False)
    assert main(["power", str(path), "--effect", "0.1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    shown = dict(zip(printed[0].split(","), printed[1].split(","), strict=True))
    assert shown["clusters_to_show"] == str(table["clusters_to_show"][1])
    assert float(shown["items_to_show"]) == 5 * float(shown["clusters_to_show"])


@pytest.mark.parametrize(
    ("column", "value", "part"),
    [
        ("standard_error", "often", "line 3: column `standard_error` is 'often'"),
        ("degrees", -5, "line 3: column `degrees`"),
        ("primary", 1, "column `primary` must be True or False"),
    ],
)
def test_wrong_cells_are_named(tmp_path, capsys, column, value, part):
    table = effects().astype({column: object})
    table.loc[1, column] = value
    table.to_csv(tmp_path / "effects.csv", index=False)
    assert main(["power", str(tmp_path / "effects.csv")]) == 1
    assert part in capsys.readouterr().err


def test_what_is_missing_in_a_row_is_not_planned(tmp_path, capsys):
    effects().assign(standard_error=np.nan).to_csv(tmp_path / "effects.csv", index=False)
    assert main(["power", str(tmp_path / "effects.csv"), "--effect", "0.05"]) == 0
    captured = capsys.readouterr()
    assert "cannot be shown" in captured.err
    assert len(captured.out.splitlines()) == 2


def test_a_study_without_effects_has_empty_tables():
    study = load_study(yaml.safe_load((ROOT / "config.yaml").read_text()))
    empty = effects_table(study, [])
    verdicts = emergence_table(study, [], Timing())
    for table in (empty, verdicts, power_table(empty), curves_table(study, {}, []),
                  sensitivity_table(study, {}, []), abilities_table(study, {}, verdicts)):  # fmt: skip
        assert table.empty
        assert len(table.columns) > 5


@pytest.mark.parametrize(
    ("content", "options", "parts"),
    [
        (None, [], "cannot be read"),
        ("a,b\n1,2\n", [], "is no table of effects, since it lacks benchmark"),
        ("", [], "cannot be read as a table"),
        ("a\n1\n", ["--power", "1.2"], "--power: 1.2"),
        ("a\n1\n", ["--effect", "nan"], "--effect: nan"),
        ("a\n1\n", ["--effect", "-0.2"], "--effect: -0.2"),
    ],
)
def test_bad_input_gets_one_message(tmp_path, capsys, content, options, parts):
    path = tmp_path / "effects.csv"
    if content is not None:
        path.write_text(content)
    assert main(["power", str(path), *options]) == 1
    message = capsys.readouterr().err
    assert parts in message
    assert len(message.splitlines()) == 1
