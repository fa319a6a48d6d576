"""Sizes, stages, steps and training runs: which checkpoints stand where, and what is said of them."""

import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from scruple.analysis.axes import axes_of, recipes_of
from scruple.analysis.curves import curves_table
from scruple.analysis.measurements import measured
from scruple.analysis.verdicts import curves_of, effects_table, emergence_table
from scruple.benchmarks import admissions
from scruple.errors import ScrupleError
from scruple.figures.catalogue import figures_of
from scruple.study.declaration import Timing
from scruple.study.families import Family
from scruple.study.model import load_study
from scruple.study.settings import Benchmark

sys.path.insert(0, str(ROOT / "bench"))
from worlds import Admissions, Truth

ALL = ("size", "stage", "step")
MARGIN = {
    "metric": "admission_gap", "delta": 0.03, "reason": "chosen for a test",
    "gate": {"metric": "lsat_slope", "above": 0.002, "reason": "chosen for a test"},
    "keep": {"metric": "lsat_slope", "loss": 0.004, "reason": "chosen for a test"},
}  # fmt: skip
STAGES = [
    {"name": f"{stage}-{params}", "params": params, "stage": stage, "path": "x"}
    for stage in ("base", "sft", "dpo")
    for params in (10, 100, 1000)
]
STEPS = [{"name": f"early-{step}", "params": 1000, "step": step, "path": "x"} for step in (5, 50)]
SEEDS = [
    {"name": f"d{params}-seed{seed}", "params": params, "seed": seed, "path": "x"}
    for params in (10, 100, 1000, 10_000)
    for seed in (1, 2, 3, 4, 5)
]


def study_of(checkpoints, **more):
    return load_study({
        "study": "s", "families": [{"name": "f", "checkpoints": checkpoints}],
        "benchmarks": [{"name": "admissions", "source": "own"}], "conditions": ["q", "q+if"],
        "margins": {"admissions": MARGIN}, **more,
    })  # fmt: skip


@pytest.fixture(scope="module")
def world():
    folder = ROOT / "data" / "items" / "en" / "admissions"
    table = admissions.read(sorted(folder.glob("*.csv")), Benchmark(name="admissions")).table
    return Admissions(table)


def sums_of(world, study, effects, noise=0.0):
    """Draw every checkpoint's sums: bias 0.1 under q, an effect under q+if by the checkpoint."""
    rng = np.random.default_rng(1)
    found = {}
    for checkpoint in study.families[0].checkpoints:
        effect = effects(checkpoint) + rng.normal(0, noise)
        drawn = world.draw(rng, {"q": Truth(0.1, 0.008), "q+if": Truth(0.1 - effect, 0.008)})
        tables = [
            pd.DataFrame(sums.sums, columns=list(sums.columns)).assign(
                condition=name, wording="a" if name != "q" else "", scoring="", order=0,
                stratum="", cluster=[f"{k:04d}" for k in range(len(sums.sums))],
            )
            for name, sums in drawn.items()
        ]  # fmt: skip
        found["f", checkpoint.name, "admissions"] = pd.concat(tables)
    return found


def test_what_stands_where():
    family = Family(name="f", checkpoints=STAGES + STEPS)
    axes = {(axis.name, axis.stage): axis.places for axis in axes_of(family, ALL)}
    assert list(axes["params", "sft"].items()) == [
        (10.0, ("sft-10",)), (100.0, ("sft-100",)), (1000.0, ("sft-1000",)),
    ]  # fmt: skip
    assert list(axes["stage at 100", ""]) == ["base", "sft", "dpo"]
    assert axes["step at 1000", "base"] == {5.0: ("early-5",), 50.0: ("early-50",)}
    assert axes["params", "base"][1000.0] == ("early-50",)  # the last step stands for a size
    assert len(axes) == 3 + 3 + 1
    assert [axis.name for axis in axes_of(family, ["step"])] == ["step at 1000"]


def test_verdicts_and_figures_are_made_along_the_chosen_axes(world):
    checkpoints = STAGES + STEPS
    every, chosen = study_of(checkpoints), study_of(checkpoints, axes=["stage"])
    found = measured(chosen, sums_of(world, chosen, lambda c: 0.0))
    table = emergence_table(chosen, found, Timing())
    assert set(table["axis"]) == {"stage at 10", "stage at 100", "stage at 1000"}
    both = {"emergence", "training", "grid"}
    drawn = {name: {entry.name for entry in figures_of(study)} & both for name, study in (
        ("every", every), ("stage", chosen), ("size", study_of(checkpoints, axes=["size"])),
    )}  # fmt: skip
    assert drawn == {"every": both, "stage": both - {"emergence"}, "size": {"emergence"}}


def test_what_is_not_finished_is_left_out_of_its_place_and_named(world):
    study = study_of(SEEDS)
    sums = sums_of(world, study, lambda c: 0.0)
    for name in ("d100-seed2", *(f"d1000-seed{seed}" for seed in range(1, 6))):
        del sums["f", name, "admissions"]
    unfinished = {f"f/{key}": ["admissions"] for key in ("d100-seed2", "d1000-seed1")}
    found = measured(study, sums)
    row = emergence_table(study, found, Timing(), unfinished).query("primary").iloc[0]
    assert row["runs"] == 4
    assert row["reason"].endswith("; not finished: d100-seed2, d1000-seed1")
    curve = curves_of(study, found)[0]
    assert list(curve.points) == [10.0, 100.0, 10_000.0]
    assert len(curve.points[100.0].checkpoints) == 4


def test_correction_emerges_with_a_stage(world):
    study = study_of(STAGES)
    sums = sums_of(world, study, lambda c: 0.08 if c.stage == "dpo" and c.params > 10 else 0.0)
    found = measured(study, sums)
    table = emergence_table(study, found, Timing())
    table = table[table["primary"]].set_index(["axis", "stage"])
    row = table.loc["stage at 1000", ""]
    assert (row["verdict"], row["above"], row["at_most"]) == ("emerges", "sft", "dpo")
    assert "none up to sft, one at each from dpo on" in row["reason"]
    assert table.loc["stage at 10", ""]["verdict"] == "absent"
    assert table.loc["params", "dpo"]["at_most"] == 100
    assert (table["verdicts"] == len(table)).all()
    assert (table["runs"] == 1).all()


def test_runs_of_a_recipe_are_read_together(world):
    study = study_of(SEEDS)
    assert recipes_of(study.families[0])[10, "base", None] == tuple(
        f"d10-seed{k}" for k in range(1, 6)
    )
    sums = sums_of(world, study, lambda c: 0.12 if c.params >= 1000 else 0.0, noise=0.01)
    found = measured(study, sums)
    effects = effects_table(study, found)
    singles = effects[effects["runs"] == 1]
    assert set(singles["checkpoint"]) == {entry["name"] for entry in SEEDS}
    pooled = effects[effects["primary"] & (effects["runs"] == 5) & (effects["reference"] == "q")]
    assert len(pooled) == 4
    together = [one for one in found if len(one.checkpoints) == 5 and one.spec.primary]
    for one in together:
        alone = effects[effects["checkpoint"].isin(one.checkpoints) & effects["primary"]]
        effect = one.reading.effects["q"]
        assert effect.value == pytest.approx(alone["effect"].mean())
        assert effect.error > alone["effect"].std() / np.sqrt(5)
        assert effect.degrees < 60  # four between runs, 119 between profiles
    verdict = emergence_table(study, found, Timing()).query("primary").iloc[0]
    assert (verdict["verdict"], verdict["above"], verdict["at_most"]) == ("emerges", 100, 1000)
    assert verdict["runs"] == 5
    curves = curves_table(study, sums, found).query("primary")
    assert set(curves["model"]) == {
        "constant", "linear", "break", "isotonic",
    }  # fmt: skip


def test_recipes_that_are_lucky_once_have_no_verdict(world):
    """One run of five corrects: true of that checkpoint, and not of the recipe."""
    study = study_of(SEEDS)
    sums = sums_of(world, study, lambda c: 0.3 if c.seed == 1 and c.params >= 1000 else 0.0)
    found = measured(study, sums)
    effects = effects_table(study, found).query("primary").set_index("checkpoint")
    assert effects.loc["d1000-seed1", "status"] in ("effect", "overcorrects")
    verdict = emergence_table(study, found, Timing()).query("primary").iloc[0]
    assert pd.isna(verdict["at_most"])


def test_twins_without_seeds_are_refused():
    for seeds in ((None, None), (1, None), (1, 1)):
        with pytest.raises(ScrupleError, match="give each its own `seed`"):
            study_of([
                {"name": f"c{k}", "params": 10, "path": "x", "seed": seed}
                for k, seed in enumerate(seeds)
            ])  # fmt: skip
