"""After a run in which a checkpoint failed: figures, verdicts and report of what has finished."""

import copy
import json
import re

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import yaml
from conftest import ROOT, copy_project, run_snakemake, write_yaml

from scruple.analysis.measurements import measured
from scruple.analysis.verdicts import emergence_table
from scruple.figures import draw
from scruple.figures.catalogue import figures_of
from scruple.figures.results import read_tables
from scruple.figures.style import save
from scruple.report.browse import browse
from scruple.report.write import Material, write_page
from scruple.study.declaration import Timing, declared
from scruple.study.model import load_study
from scruple.study.unfinished import notes_of
from scruple.workflow.graph import Plan

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SAID = "Not finished, so left out of everything below"


@pytest.fixture(scope="module")
def failed(tmp_path_factory, make_checkpoint):
    """Run a study of which one checkpoint fails; return project, study and the run's output."""
    folder = copy_project(tmp_path_factory.mktemp("unfinished") / "project")
    checkpoints = []
    for number, width in enumerate([8, 16, 24]):
        path, params = make_checkpoint(f"part-{number}", width, 1)
        checkpoints.append({"name": f"part-{number}", "params": params, "path": str(path)})
    study = {
        "study": "part",
        "families": [{"name": "neox", "format": "dialogue", "checkpoints": checkpoints}],
        "benchmarks": [{"name": "winogender", "source": "own", "max_items": 9}],
        "conditions": ["q", "q+if"],
        "compute": {"device": "cpu", "threads": 1, "share_below": 0},
    }
    wrong = copy.deepcopy(study)
    wrong["families"][0]["checkpoints"][2]["params"] *= 2
    config = write_yaml(folder / "part.yaml", wrong)
    done = run_snakemake(folder, "--configfile", config, "--keep-going")
    assert done.returncode == 1
    return folder, study, done.stdout + done.stderr


def places(folder):
    """Return the places in which what did not finish is said or left out, by their names."""
    results = folder / "results" / "part"
    return {
        "provenance": json.loads((results / "provenance.json").read_text())["unfinished"],
        "reasons": list(pd.read_csv(results / "emergence.csv")["reason"]),
        "metrics": set(pd.read_csv(results / "metrics.csv")["checkpoint"]),
        "report": (results / "report.html").read_text(),
        "figure": (folder / "figures/part/scaling.svg").read_bytes(),
    }


def scaling(folder, study, unfinished):
    """Draw the scaling figure of the two checkpoints that are finished; return the file's bytes."""
    results = folder / "results" / "part"
    jobs = [("neox", f"part-{k}", "winogender") for k in (0, 1)]
    sums = {job: results / "sums" / f"{'/'.join(job)}.parquet" for job in jobs}
    tables = read_tables(load_study({**CONFIG, **study}), results, sums, unfinished)
    save(draw("scaling", tables), [folder / "drawn.svg"])
    return (folder / "drawn.svg").read_bytes()


@pytest.mark.workflow
def test_what_is_finished_is_shown_and_what_is_not_is_named_until_it_is(failed):
    folder, study, output = failed
    told = "snakemake --cores all --configfile part.yaml --config only_finished=true"
    assert output.count(told) == 1
    assert output.count("No responses yet: neox/part-2 (winogender).") == 1
    assert not (folder / "results/part/report.html").exists()

    given = ("--configfile", "part.yaml", "--config", "only_finished=true")
    dry = run_snakemake(folder, *given, "-n")
    assert dry.returncode == 0, dry.stderr
    assert not re.search(r"respond|fetch_checkpoint|build_items", dry.stdout)
    done = run_snakemake(folder, *given)
    assert done.returncode == 0, done.stderr[-3000:]
    partial = places(folder)
    assert partial["provenance"] == {"neox/part-2": ["winogender"]}
    assert partial["metrics"] == {"part-0", "part-1"}
    assert partial["reasons"]
    assert all(reason.endswith("; not finished: part-2") for reason in partial["reasons"])
    assert partial["figure"] == scaling(folder, study, partial["provenance"])  # with the remark
    assert partial["figure"] != scaling(folder, study, {})
    head = partial["report"].split('id="verdicts"')[0]
    assert SAID in head
    assert "neox: part-2." in head
    assert "2 checkpoints of 1 family" in " ".join(head.split())
    assert "Not finished, so left out: part-2." in partial["report"]

    # what has finished is out of date: nothing of it is asked in such a run, nor shown as it was
    other = write_yaml(folder / "other.yaml", {"seed": 3})
    stale = run_snakemake(folder, "--configfile", "part.yaml", other, *given[2:])
    output = stale.stdout + stale.stderr
    assert stale.returncode == 1
    assert "would make again results/part/" in output
    assert "without `only_finished`" in output
    assert "Traceback" not in output
    assert places(folder) == partial

    # the corrected study asks what was missing, and all that was said of it is gone
    write_yaml(folder / "part.yaml", study)
    done = run_snakemake(folder, "--configfile", "part.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"\nrespond +1\n", done.stdout + done.stderr)
    whole = places(folder)
    assert whole["provenance"] == {}
    assert not any("not finished" in reason for reason in whole["reasons"])
    assert "ot finished" not in whole["report"]
    assert whole["figure"] != partial["figure"]
    assert whole["metrics"] == {"part-0", "part-1", "part-2"}
    verdicts = pd.read_csv(folder / "results/part/emergence.csv")
    assert set(verdicts["declared"]) == {"declared before the first response"}
    assert set(verdicts["declared_late"]) == {False}
    # nothing is missing, so it does not matter any more
    again = run_snakemake(folder, *given, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.workflow
def test_families_and_benchmarks_of_which_nothing_is_finished(failed, monkeypatch):
    """Every figure, the analysis and the page of a study of which most was never asked."""
    folder, study, _ = failed
    monkeypatch.chdir(folder)
    later = {"name": "later", "note": "a pilot", "checkpoints": [
        {"name": f"later-{step}", "params": 10**6, "step": step, "hub": "a/b"} for step in (1, 2)
    ]}  # fmt: skip
    benchmarks = [
        *study["benchmarks"],
        *({"name": n, "source": "own"} for n in ("bbq", "admissions")),
    ]
    config = {
        **CONFIG, **study, "families": [*study["families"], later], "benchmarks": benchmarks,
        "only_finished": True,
    }  # fmt: skip
    plan = Plan(config)
    jobs = [job for job in plan.jobs() if job[1] != "part-2"]
    assert {benchmark for _, _, benchmark in jobs} == {"winogender"}
    assert plan.unfinished()["later/later-2"] == ["winogender", "bbq", "admissions"]
    results = folder / "results" / "part"
    sums = {job: results / "sums" / f"{'/'.join(job)}.parquet" for job in jobs}
    found = measured(plan.study, {job: pd.read_parquet(path) for job, path in sums.items()})
    verdicts = emergence_table(plan.study, found, Timing())
    assert set(verdicts["benchmark"]) <= {"winogender"}
    tables = read_tables(plan.study, results, sums, plan.unfinished())
    for entry in figures_of(plan.study):
        figure = draw(entry.name, tables)
        assert "later: a pilot; not finished: later-1, later-2" in {
            line for legend in figure.legends for line in legend.get_title().get_text().splitlines()
        }, entry.name
        plt.close(figure)
    responses = {job: results / "responses" / f"{'/'.join(job)}.parquet" for job in jobs}
    shown = browse(plan.study, {"winogender": results / "items/winogender.parquet"}, responses)
    picture = results / "../../figures/part/scaling.svg"
    figures = {entry.name: picture for entry in figures_of(plan.study)}
    record = json.loads((results / "provenance.json").read_text())
    page = write_page(Material(tables, results, figures, shown, Timing(), record))
    assert "later: later-1, later-2." in page.split('id="verdicts"')[0]


def plan_of(tmp_path, monkeypatch, finished, **more):
    """Return the plan of a study of which some tables and records of responses are there."""
    monkeypatch.chdir(tmp_path)
    for name in finished:
        for kind in ("parquet", "json"):
            path = tmp_path / "results/pythia/responses/pythia" / f"{name}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return Plan({**CONFIG, **more}, [ROOT / "config.yaml"], {"max_params": 10**9 + 10**8})


SMALL = {"max_params": 200_000_000, "benchmarks": [{"name": "bbq"}, {"name": "winogender"}]}


def test_a_table_without_its_record_is_not_finished(tmp_path, monkeypatch):
    finished = ["pythia-70m/bbq", "pythia-160m/bbq", "pythia-160m/winogender"]
    plan = plan_of(tmp_path, monkeypatch, finished, **SMALL)
    assert len(plan.jobs()) == 4
    assert plan.unfinished() == {}
    (tmp_path / "results/pythia/responses/pythia/pythia-160m/bbq.json").unlink()
    plan = Plan({**CONFIG, **SMALL, "only_finished": True})
    assert plan.unfinished() == {"pythia/pythia-70m": ["winogender"], "pythia/pythia-160m": ["bbq"]}
    assert plan.per_benchmark("{benchmark}") == ["bbq", "winogender"]
    assert plan.per_checkpoint("{{study}}/{checkpoint}") == [
        "{study}/pythia-70m", "{study}/pythia-160m",
    ]  # fmt: skip
    assert notes_of(plan.study, plan.unfinished()) == {
        "pythia": "not finished: pythia-70m (winogender), pythia-160m (bbq)"
    }


def test_checkpoints_that_share_a_process_finish_together(tmp_path, monkeypatch):
    shared = {**SMALL, "compute": {"share_below": 200_000_000}, "only_finished": True}
    finished = ["pythia-70m/bbq", "pythia-70m/winogender", "pythia-160m/winogender"]
    plan = plan_of(tmp_path, monkeypatch, finished, **shared)
    assert plan.jobs() == [
        ("pythia", "pythia-70m", "winogender"), ("pythia", "pythia-160m", "winogender"),
    ]  # fmt: skip


def test_a_failed_run_says_how_to_see_what_is_finished_if_there_is_something(tmp_path, monkeypatch):
    assert plan_of(tmp_path, monkeypatch, [], **SMALL).advice(str(tmp_path / "Snakefile")) == ""
    finished = ["pythia-70m/bbq", "pythia-70m/winogender"]
    plan = plan_of(tmp_path, monkeypatch, finished, **SMALL)
    told = plan.advice(str(ROOT / "Snakefile"))
    assert "No responses yet: pythia/pythia-160m (bbq, winogender)." in told
    assert f"--configfile {ROOT / 'config.yaml'} --config max_params=1100000000" in told
    assert told.endswith("only_finished=true")
    assert "/Snakefile" in told
    assert "-s " not in plan.advice(str(tmp_path / "Snakefile"))
    done = [f"pythia-{size}/{name}" for size in ("70m", "160m") for name in ("bbq", "winogender")]
    assert plan_of(tmp_path, monkeypatch, done, **SMALL).advice("Snakefile") == ""


def test_what_is_shown_of_a_study_is_no_part_of_it(tmp_path, monkeypatch):
    plan = plan_of(tmp_path, monkeypatch, ["pythia-70m/bbq"], **SMALL)
    partly = plan_of(tmp_path, monkeypatch, [], **SMALL, only_finished=True)
    assert partly.unfinished()
    assert partly.plain() == plan.plain()
    assert declared(partly.study) == declared(plan.study)
    settings = [p.response_settings("pythia", ["pythia-70m"], "bbq") for p in (plan, partly)]
    assert settings[0] == settings[1]
