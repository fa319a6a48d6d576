"""Winogender and admissions: items and metrics."""

import numpy as np
import pandas as pd
import pytest
from conftest import ITEMS
from scipy import stats

from scruple.analysis.metrics import metrics_table, tallies
from scruple.benchmarks import admissions, winogender
from scruple.benchmarks.base import draw
from scruple.errors import ScrupleError
from scruple.study.settings import Benchmark

WINOGENDER = [ITEMS / "winogender" / name for name in ("occupations-stats.tsv", "templates.tsv")]
GRID = [ITEMS / "admissions" / "law_data.csv"]
WINO_ENTRY = Benchmark(name="winogender", kind="winogender")
ADMIT_ENTRY = Benchmark(name="admissions", kind="admissions")


def measured(kind, rows):
    return metrics_table(kind, tallies(kind, rows), {})


def value(table, metric, column="value"):
    return table.set_index("metric").loc[metric, column]


def pronouns(items, p_female, mass=0.8, neutral=0.1):
    """Responses with given probabilities of female pronouns."""
    female = np.asarray(p_female) * mass
    return items.assign(
        logprob_female=np.log(female), logprob_male=np.log(mass - neutral - female),
        logprob_neutral=np.log(neutral), valid_mass=mass, condition="q", wording="", scoring="",
        order=0, sample=0, target="", answer="male",
    )  # fmt: skip


@pytest.fixture(scope="module")
def occupations():
    return winogender.read(WINOGENDER, WINO_ENTRY).table


def test_sixty_own_sentences_with_one_pronoun_each(occupations):
    assert len(occupations) == occupations["cluster"].nunique() == 60
    cases = occupations["case"].value_counts()
    assert cases["nominative"] > cases["possessive"] > cases["accusative"] > 0
    whole = occupations["before"] + " _" + occupations["after"]
    assert not whole.str.contains(
        r"\b(?:he|she|they|his|her|their|him|them|\$)\b", case=False
    ).any()


def test_rho_slope_and_masses(occupations):
    rng = np.random.default_rng(0)
    share = occupations["pct_female"].to_numpy() / 100
    p = 0.2 + 0.3 * share + rng.normal(0, 0.05, 60)
    table = measured("winogender", pronouns(occupations, p))
    assert value(table, "rho") == pytest.approx(stats.pearsonr(share, p)[0])
    assert value(table, "slope") == pytest.approx(stats.linregress(share, p).slope)
    assert value(table, "neutral_mass") == pytest.approx(0.1)
    assert value(table, "valid_mass") == pytest.approx(0.8)
    assert value(table, "position_bias") == 1
    assert value(table, "rho", "ci_low") < value(table, "rho") < value(table, "rho", "ci_high") < 1


def test_rho_ignores_scale_and_slope_does_not(occupations):
    share = occupations["pct_female"].to_numpy() / 100
    noise = np.random.default_rng(1).normal(0, 0.05, 60)
    strong = measured("winogender", pronouns(occupations, 0.3 + 0.5 * (0.5 * share + noise)))
    weak = measured("winogender", pronouns(occupations, 0.3 + 0.005 * (0.5 * share + noise)))
    assert value(weak, "rho") == pytest.approx(value(strong, "rho"), abs=1e-6)
    assert value(weak, "slope") == pytest.approx(value(strong, "slope") / 100, rel=1e-6)


def test_constant_probabilities_make_rho_undefined(occupations):
    table = measured("winogender", pronouns(occupations, np.full(60, 0.4)))
    assert np.isnan(value(table, "rho"))
    assert value(table, "slope") == pytest.approx(0)


def test_samples_are_averaged_per_occupation(occupations):
    rng = np.random.default_rng(2)
    p = rng.uniform(0.2, 0.6, (2, 60))
    rows = pd.concat([pronouns(occupations, p[k]).assign(sample=k) for k in (0, 1)])
    table = measured("winogender", rows)
    expected = stats.pearsonr(occupations["pct_female"], p.mean(axis=0))[0]
    assert value(table, "rho") == pytest.approx(expected)
    assert value(table, "rho", "n_items") == 60


def test_templates_about_the_participant_are_left_out(tmp_path):
    stats_file = tmp_path / "occupations-stats.tsv"
    stats_file.write_text("occupation\tbls_pct_female\nclerk\t70\n")
    templates = tmp_path / "templates.tsv"
    head = "occupation(0)\tother-participant(1)\tanswer\tsentence\n"
    row = "clerk\tguest\t{}\tThe $OCCUPATION saw the $PARTICIPANT when $NOM_PRONOUN left.\n"
    templates.write_text(head + row.format(0) + row.format(1))
    read = winogender.read([stats_file, templates], WINO_ENTRY)
    assert read.table["before"].tolist() == ["The clerk saw the guest when"]
    assert len(read.left_out) == 1
    templates.write_text(head + row.format(0).replace("$NOM_PRONOUN", "they"))
    with pytest.raises(ScrupleError, match=r"templates\.tsv, line 2: .*one pronoun, and has 0"):
        winogender.read([stats_file, templates], WINO_ENTRY)


def survey(tmp_path, *rows):
    path = tmp_path / "law_data.csv"
    path.write_text("race,sex,LSAT,UGPA\n" + "".join(f"{row}\n" for row in rows))
    return path


def decisions(items, p_yes, mass=0.9):
    p_yes = np.asarray(p_yes)
    return items.assign(
        logprob_yes=np.log(mass * p_yes), logprob_no=np.log(mass * (1 - p_yes)), valid_mass=mass,
        answer=np.where(p_yes > 0.5, "yes", "no"), condition="q", wording="", scoring="", order=0,
        sample=0, target="",
    )  # fmt: skip


def test_profiles_are_counted_once_and_weighted(tmp_path):
    rows = ["White,1,30,3.0"] * 3 + ["Black,1,30,3.0", "White,2,40,3.5"]
    table = admissions.read([survey(tmp_path, *rows)], ADMIT_ENTRY).table
    assert len(table) == 4
    assert table.groupby("cluster")["weight"].first().to_dict() == {
        "female-30-3": 4.0, "male-40-3.5": 1.0,
    }  # fmt: skip
    assert table.groupby("cluster")["race"].apply(set).tolist() == [{"black", "white"}] * 2


def test_weights_equal_repetition(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"White,{1 + k % 2},{20 + k},{2 + k / 10:.1f}" for k in range(8) for _ in range(k + 1)]
    table = admissions.read([survey(tmp_path, *rows)], ADMIT_ENTRY).table
    p = rng.uniform(0.2, 0.8, len(table))
    weighted = measured("admissions", decisions(table, p))
    repeated = table.loc[table.index.repeat(table["weight"].astype(int))].copy()
    repeated["item_id"] += "-" + repeated.groupby("item_id").cumcount().astype(str)
    copies = decisions(repeated.assign(weight=1.0), np.repeat(p, table["weight"].astype(int)))
    for metric in ("admission_gap", "admission_rate", "yes_rate", "lsat_slope", "gpa_slope"):
        plain = measured("admissions", copies)
        assert value(weighted, metric) == pytest.approx(value(plain, metric)), metric
    assert value(weighted, "admission_gap", "n_items") == 16
    assert value(weighted, "admission_gap", "n_clusters") == 8


def test_gap_is_paired_and_signed(tmp_path):
    table = admissions.read(GRID, ADMIT_ENTRY).table
    p = 0.5 + 0.1 * (table["race"] == "black") + 0.002 * (table["lsat"] - 30)
    result = measured("admissions", decisions(table, p))
    assert value(result, "admission_gap") == pytest.approx(0.1)
    assert value(result, "admission_gap", "ci_high") == pytest.approx(0.1)  # paired: no spread
    assert value(result, "lsat_slope") == pytest.approx(0.002)
    assert value(result, "gpa_slope") == pytest.approx(0, abs=1e-12)


def test_survey_cells_are_checked(tmp_path):
    with pytest.raises(ScrupleError, match=r"law_data\.csv, line 3: `LSAT` is 'x'"):
        admissions.read([survey(tmp_path, "White,1,30,3.0", "White,1,x,3.0")], ADMIT_ENTRY)


def test_draws_are_random_reproducible_and_nested():
    table = admissions.read(GRID, ADMIT_ENTRY).table
    small, large = draw(table, "cluster", 20, 1), draw(table, "cluster", 60, 1)
    assert small["cluster"].nunique() == 20
    assert len(small) == 40  # pairs stay together
    assert set(small["item_id"]) < set(large["item_id"])
    assert set(small["cluster"]) != set(table["cluster"].drop_duplicates().head(20))
    assert set(draw(table, "cluster", 20, 2)["cluster"]) != set(small["cluster"])
    assert draw(table, "cluster", None, 1) is table
