"""The embedded study, through snakemake: what it finds must be what is known of its checkpoints."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import run_snakemake

from scruple.analysis.metrics import read_metrics
from scruple.control.measure import PRIMARY
from scruple.control.ship import read_shipped
from scruple.figures.catalogue import CATALOGUE
from scruple.statistics.effects import STATUSES

pytestmark = pytest.mark.workflow

KEYS = ["twin", "params", "step", "benchmark", "condition", "metric"]


@pytest.fixture(scope="module")
def project(control_project):
    """The embedded study, run once."""
    return control_project


@pytest.fixture(scope="module")
def metrics(project):
    """Its metrics beside the truth."""
    table = read_metrics(project / "results/control/metrics.csv")
    table = table[table["subset"].isin(["", "pooled"])]
    table["twin"] = table["family"].str.removeprefix("control-")
    truth = read_shipped("truth")[[*KEYS, "value"]].rename(columns={"value": "truth"})
    return table.merge(truth, on=KEYS, how="left", validate="one_to_one")


def bias(metrics, twin, kind):
    """Return the bias of the last steps: a row per size, a column per condition."""
    rows = metrics[
        (metrics["twin"] == twin)
        & (metrics["benchmark"] == kind)
        & (metrics["metric"] == PRIMARY[kind])
        & (metrics["step"] == metrics["step"].max())
    ]
    return rows.pivot(index="params", columns="condition", values="value")


NEW = [
    "slope_counted", "admission_gap_counted", "gender_balance", "prompt_tokens", "reasoning_tokens",
    "reasoning_cut", "reasoning_unfinished",
]  # fmt: skip
"""Metrics that were not measured when the truth was shipped."""


def test_every_metric_has_a_truth(metrics):
    old = metrics[~metrics["metric"].isin(NEW)]
    assert old["truth"].notna().sum() == old["value"].notna().sum() > 1000


@pytest.fixture(scope="module")
def verdicts(project):
    table = pd.read_csv(project / "results/control/emergence.csv")
    return table[table["primary"]].set_index(["family", "axis", "benchmark", "condition"])


@pytest.mark.parametrize("kind", list(PRIMARY))
def test_the_verdicts_tell_the_twins_apart(verdicts, kind):
    for condition in ("q+if", "q+if+cot"):
        found = verdicts.loc["control-positive", "params", kind, condition]
        assert found["verdict"] == "emerges", found["reason"]
        assert found["above"] < found["at_most"] <= 221696
        found = verdicts.loc["control-negative", "params", kind, condition]
        assert found["verdict"] in ("absent", "undecided"), found["reason"]
        assert np.isnan(found["at_most"])
    for family in ("control-positive", "control-negative"):
        assert np.isnan(verdicts.loc[family, "params", kind, "q+placebo"]["at_most"])
    assert verdicts.loc["control-negative", "params", kind, "q+if"]["verdict"] == "absent"


def test_the_tables_beside_the_verdicts(project):
    tables = {
        name: pd.read_csv(project / f"results/control/{name}.csv")
        for name in ("curves", "sensitivity", "abilities", "power")
    }
    curves = tables["curves"].query("primary and family == 'control-positive'")
    rising = curves[(curves["condition"] == "q+if") & (curves["model"] == "isotonic")]
    assert len(rising) == 3
    assert (rising["p_value"] < 0.05).all()
    assert (tables["sensitivity"]["lowest"] <= tables["sensitivity"]["highest"]).all()
    abilities = tables["abilities"].set_index(["family", "condition"])
    assert set(abilities.loc["control-negative"]["follows"]) == {"absent"}
    assert set(abilities.loc["control-positive"]["follows"]) <= {"emerges", "undecided"}
    assert (tables["power"]["clusters_to_show"] >= 3).all()


def test_what_was_decided_was_written_down_before(project, verdicts):
    history = json.loads((project / "results/control/declaration.json").read_text())
    assert len(history) == 1
    assert history[0]["responses"] == 0
    assert history[0]["content"]["margins"]["bbq"]["delta"] == 0.1
    assert set(verdicts["declared"]) == {"declared before the first response"}
    effects = pd.read_csv(project / "results/control/effects.csv")
    assert set(effects["status"]) <= set(STATUSES)
    assert (effects["p_adjusted"].dropna() >= effects["p_value"].dropna() - 1e-12).all()


def test_intervals_cover_the_truth_about_as_often_as_they_say(metrics):
    primary = metrics[metrics["metric"] == metrics["benchmark"].map(PRIMARY)]
    primary = primary[primary["ci_high"] - primary["ci_low"] > 1e-4]
    assert len(primary) > 150
    covered = primary["truth"].between(primary["ci_low"], primary["ci_high"])
    # rows of a checkpoint share their items, so the rate is far less certain than their number says
    assert covered.mean() > 0.85
    error = (primary["value"] - primary["truth"]).abs()
    assert (error < 2 * (primary["ci_high"] - primary["ci_low"])).all()


@pytest.mark.parametrize("kind", ["bbq", "winogender"])
def test_correction_emerges_in_the_positive_twin(metrics, kind):
    table = bias(metrics, "positive", kind)
    assert len(table) == 6
    largest, smallest = table.iloc[-1], table.iloc[0]
    assert abs(smallest["q"]) < 0.1
    assert largest["q"] > 0.6
    assert abs(largest["q+if"]) < 0.1
    assert abs(largest["q+if+cot"]) < 0.1
    assert largest["q+placebo"] > 0.6


@pytest.mark.parametrize("kind", list(PRIMARY))
def test_nothing_emerges_in_the_negative_twin(metrics, kind):
    table = bias(metrics, "negative", kind)
    for condition in ("q+if", "q+placebo"):
        assert (table[condition] - table["q"]).abs().max() < 0.15


def test_tiny_checkpoints_share_a_process(project):
    record = json.loads((project / "results/control/provenance.json").read_text())
    assert len(record["jobs"]) == 54
    logs = list((project / "results/control/logs/respond").rglob("*.log"))
    assert len(logs) == 6
    assert all(log.read_text().count("responses in") == 9 for log in logs)


def test_all_is_there_and_a_second_run_does_nothing(project):
    for entry in CATALOGUE:
        for kind in ("png", "svg", "pdf"):
            path = project / f"figures/control/{entry.name}.{kind}"
            assert path.exists() == (entry.name != "sensitivity"), path  # asked in one way only
            assert not path.exists() or path.stat().st_size > 5000
    again = run_snakemake(project, "--configfile", "studies/control.yaml", "-n")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_an_early_step_asks_less_of_itself(metrics):
    rows = metrics[(metrics["twin"] == "positive") & (metrics["params"] == metrics["params"].max())]
    reading = rows[(rows["metric"] == "accuracy_disambiguated") & (rows["condition"] == "q")]
    by_step = reading.set_index("step")["value"].sort_index()
    assert list(by_step.index) == [250, 500, 1000, 3000]
    assert by_step.iloc[0] < by_step.iloc[-1] > 0.9
