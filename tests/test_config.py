"""Bad configs get one message that names the key and the remedy, before anything runs."""

import copy
import json
import re
import shutil

import pytest
import yaml
from conftest import ROOT, run_snakemake, write_yaml
from safetensors.torch import load_file, save_file

from scruple.errors import ScrupleError
from scruple.study.model import load_study
from scruple.workflow.graph import Plan

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(**changes):
    return {**copy.deepcopy(CONFIG), **changes}


def test_default_config_is_the_pythia_study():
    study = load_study(CONFIG)
    sizes = [checkpoint.params for checkpoint in study.families[0].checkpoints]
    assert len(sizes) == 8
    assert sizes == sorted(sizes)
    assert [benchmark.kind for benchmark in study.benchmarks] == ["bbq", "winogender", "admissions"]
    assert len(study.conditions) == 7


def test_larger_checkpoints_are_as_if_they_were_not_listed():
    other = {**FAMILY, "name": "g", "checkpoints": [{"name": "big", "params": 10**9, "hub": "a/b"}]}
    # that it is not scored so does not matter either
    other["primary_scoring"] = "letter"
    bbq = [{"name": "bbq", "scoring": ["text"]}]
    families = ["pythia", FAMILY, other]
    study = load_study(changed(families=families, benchmarks=bbq, max_params=410_000_000))
    names = [checkpoint for _, checkpoint in study.members()]
    assert names == ["pythia-70m", "pythia-160m", "pythia-410m", "c"]
    assert [family.name for family in study.families] == ["pythia", "f"]
    with pytest.raises(ScrupleError, match="`g` has `primary_scoring: letter`"):
        load_study(changed(families=families, benchmarks=bbq, max_params=10**9))


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda p: p.stem)
def test_nothing_of_pythia_leaks_into_other_studies(path):
    overlay = yaml.safe_load(path.read_text())
    plan = Plan({**CONFIG, **overlay}, [path])
    if not path.stem.startswith("pythia"):
        assert "pythia" not in str(plan.study.families).lower()
    assert plan.study.study == path.stem


MARGIN = CONFIG["margins"]["bbq"]
FAMILY = {"name": "f", "checkpoints": [{"name": "c", "params": 5, "hub": "a/b"}]}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"conditons": ["q"]}, ["`conditons`", "did you mean `conditions`"]),
        ({"decoding": {"max_tokens": 3}}, ["`decoding.max_tokens`", "`max_new_tokens`"]),
        ({"decoding": {"temperature": 0}}, ["`decoding.temperature`", "equal to 0.01"]),
        ({"decoding": {"temperature": 1e-320}}, ["`decoding.temperature`", "equal to 0.01"]),
        ({"margins": {"bbq": {**MARGIN, "metric": "rho"}}},
         ["`margins`", "`bbq.metric` is `rho`", "bias_ambiguous"]),
        ({"margins": {"bbq": {**MARGIN, "subset": "Age"}}}, ["`bbq.subset`", "macro, pooled"]),
        ({"margins": {"bbq": {**MARGIN, "delta": 0}}}, ["`margins.bbq.delta`", "greater than 0"]),
        ({"margins": {"bbq": {**MARGIN, "reason": ""}}}, ["`margins.bbq.reason`"]),
        ({"margins": {"bbq": {**MARGIN, "delta": float("nan")}}}, ["`margins.bbq.delta`"]),
        ({"compute": {"batch_tokens": "many"}}, ["`compute.batch_tokens`", "or `auto`"]),
        ({"compute": {"batch_tokens": -5}}, ["`compute.batch_tokens`", "above 0"]),
        ({"compute": {"batch_tokens": True}}, ["`compute.batch_tokens`", "or `auto`"]),
        ({"study": None}, ["`study`", "add this key"]),
        ({"study": "a/b"}, ["`study`", "'a/b'"]),
        ({"study": "sources"}, ["`study`", "another name"]),
        ({"families": ["pythja"]}, ["`families`", "data/families/pythja.yaml", "pythia"]),
        ({"families": []}, ["`families`", "this is empty"]),
        ({"families": [FAMILY, FAMILY]}, ["`families` names f more than once"]),
        (
            {"families": [{"name": "f", "checkpoints": [{"name": "c", "params": 5}]}]},
            ["`families[0].checkpoints[0]`", "exactly one origin", "`hub`"],
        ),
        (
            {"families": [{"name": "f", "checkpoints": [{"name": "c", "params": 5, "path": "x",
                                                         "revison": "main"}]}]},
            ["`families[0].checkpoints[0].revison`", "`revision`"],
        ),
        (
            {"families": [{"name": "f", "checkpoints": [{"name": "c", "params": 5, "path": "x",
                                                         "revision": "main"}]}]},
            ["`revision` goes with `hub` only"],
        ),
        ({"benchmarks": [{"name": "bqq"}]}, ["`benchmarks[0].kind`", "bbq"]),
        ({"benchmarks": [{"name": "winogender", "orders": 2}]}, ["winogender", "orders", "bbq"]),
        ({"benchmarks": [{"name": "bbq", "source": "mine"}]}, ["no source 'mine'", "own, upstream"]),
        ({"benchmarks": [{"name": "bbq", "categories": ["Aeg"]}]}, ["`categories`", "Aeg", "Age"]),
        ({"conditions": ["q+if"]}, ["`conditions`", "lacks `q`"]),
        ({"conditions": ["q", "q+fi"]}, ["'q+fi'", "no prompt file", "remove the condition"]),
        ({"conditions": ["q", "if"]}, ["'if' is not a condition", "q+NAME"]),
        ({"wordings": ["z"]}, ["`wordings`", "'z'", "a, b, c"]),
        ({"language": "xx"}, ["no such prompt file", "`language`"]),
        ({"mirror": "no/such/folder"}, ["`mirror`", "lacks", "bbq/Age.jsonl"]),
        ({"max_params": 0}, ["`max_params`", "greater than 0"]),
        ({"max_params": 4, "families": [FAMILY]},
         ["`families`", "`max_params: 4`", "smallest is `c` with 5", "raise `max_params`"]),
        ({"axes": []}, ["`axes`", "this is empty"]),
        ({"axes": ["size", "sizes"]}, ["`axes[1]`", "'size', 'stage' or 'step'"]),
        ({"axes": ["size", "size"]}, ["`axes` names size more than once"]),
        ({"only_finished": "perhaps"}, ["`only_finished`", "perhaps"]),
        ({"only_finished": True}, ["`only_finished`", "results/pythia/responses has none"]),
        ({"compute": {"device": "tpu"}}, ["`compute.device`", "'auto', 'cpu' or 'cuda'"]),
    ],
)  # fmt: skip
def test_wrong_keys_are_named_with_a_remedy(changes, parts):
    with pytest.raises(ScrupleError) as caught:
        Plan(changed(**changes))
    message = str(caught.value)
    for part in parts:
        assert part in message.replace("upstream, own", "own, upstream"), message


def test_a_study_file_without_a_name_is_refused(tmp_path):
    overlay = write_yaml(tmp_path / "mine.yaml", {"conditions": ["q"]})
    with pytest.raises(ScrupleError, match=r"mine\.yaml.*lacks `study`"):
        Plan(changed(conditions=["q"]), [overlay])


def test_snakemake_says_it_once_and_without_traceback(project):
    bad = write_yaml(project / "bad.yaml", {"study": "x", "conditons": ["q"]})
    done = run_snakemake(project, "--configfile", bad, "-n")
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert output.count("did you mean `conditions`") == 1
    assert "Traceback" not in output
    assert "bad.yaml" in output


def test_dry_run_shows_eight_sizes_without_a_network(project):
    done = run_snakemake(project, "-n")
    assert done.returncode == 0, done.stderr
    # the largest one's answers about BBQ come in two shards
    counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
    asked = {"respond": "23", "respond_shard": "2", "gather_shards": "1", "measure": "24"}
    assert asked.items() <= counts.items()
    for size in ("70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b"):
        assert f"pythia-{size}" in done.stdout


def test_without_network_the_run_stops_at_once_with_one_message(project):
    done = run_snakemake(project, timeout=60)
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert "8 checkpoints: EleutherAI/pythia-70m@step143000" in output
    assert "15 benchmark files" in output
    assert "make demo" in output
    assert "Traceback" not in output
    assert not (project / "results" / "pythia").exists()


def test_missing_local_checkpoint_is_refused_before_any_job(project):
    family = {"name": "f", "checkpoints": [{"name": "c", "params": 5, "path": "not/here"}]}
    study = write_yaml(project / "s.yaml", {
        "study": "s", "families": [family], "benchmarks": [{"name": "winogender", "source": "own"}],
    })  # fmt: skip
    done = run_snakemake(project, "--configfile", study)
    assert done.returncode == 1
    assert "not/here is not a checkpoint" in done.stdout + done.stderr
    assert not (project / "results" / "s" / "items").exists()


def test_a_wrong_size_in_the_config_is_refused(project, make_checkpoint):
    path, params = make_checkpoint("sized", 8, 1)
    family = {"name": "f", "checkpoints": [{"name": "c", "params": 2 * params, "path": str(path)}]}
    study = write_yaml(project / "s.yaml", {
        "study": "s", "families": [family], "conditions": ["q"],
        "benchmarks": [{"name": "winogender", "source": "own", "max_items": 3}],
    })  # fmt: skip
    done = run_snakemake(project, "--configfile", study)
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert f"has {params:,} parameters" in output
    assert not (project / "results/s/responses/f/c/winogender.parquet").exists()


def test_lists_given_with_config_alone_are_refused_too(project):
    done = run_snakemake(project, "-n", "--config", "conditions=[q]")
    assert done.returncode == 1
    assert "lacks `study`" in done.stdout + done.stderr


def test_each_file_that_changes_what_is_studied_names_its_study(project):
    more = write_yaml(project / "more.yaml", {"benchmarks": [{"name": "winogender"}]})
    done = run_snakemake(project, "-n", "--configfile", "studies/smollm2.yaml", more)
    assert done.returncode == 1
    assert "more.yaml sets `benchmarks` and lacks `study`" in done.stdout + done.stderr


def test_groups_of_tiny_checkpoints_have_names_of_their_own():
    checkpoints = [{"name": f"d{k}", "params": 10 * k, "hub": "a/b"} for k in (1, 2)]
    families = [{"name": name, "checkpoints": checkpoints} for name in ("f-2", "f.2", "f_2")]
    plan = Plan({
        "study": "s", "families": families, "conditions": ["q"],
        "benchmarks": [{"name": "winogender", "source": "own"}],
    })  # fmt: skip
    assert len({group.name for group in plan.asking.groups()}) == 3
    assert all(re.fullmatch(r"\w+", group.name) for group in plan.asking.groups())
    assert not re.match(plan.asking.alone(), "f-2/d1/winogender")


def test_a_file_where_results_should_go_is_named(project):
    (project / "results").write_text("mine")
    done = run_snakemake(project, "-n", "--configfile", "studies/smollm2.yaml")
    assert done.returncode == 1
    assert "rename it" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_workflow_runs_from_another_folder(project, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = run_snakemake(
        elsewhere,
        "results/smollm2/declaration.json",
        "-s",
        project / "Snakefile",
        "--configfile",
        project / "studies/smollm2.yaml",
    )
    assert done.returncode == 0, done.stderr
    declaration = json.loads((elsewhere / "results/smollm2/declaration.json").read_text())
    assert "slope" in str(declaration)  # the project's own config.yaml lies under the study


def one_checkpoint(folder, params, **more):
    family = {"name": "f", "checkpoints": [{"name": "c", "params": params, "path": str(folder)}]}
    return {
        "study": "s",
        "families": [family],
        "benchmarks": [{"name": "winogender", "source": "own", "max_items": 3}],
        "conditions": ["q"],
        "compute": {"device": "cpu", "threads": 1},
        **more,
    }


@pytest.mark.parametrize("damage", ["short", "empty", "tokenizer", "weights"])
def test_damaged_checkpoints_are_refused_before_the_graph_is_built(
    make_checkpoint, tmp_path, damage
):
    path, params = make_checkpoint("damaged", 8, 1)
    broken = tmp_path / "broken"
    shutil.copytree(path, broken)
    weights = broken / "model.safetensors"
    if damage == "tokenizer":
        (broken / "tokenizer.json").unlink()
    elif damage == "weights":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-100] if damage == "short" else b"")
    config = {**CONFIG, **one_checkpoint(broken, params)}
    with pytest.raises(ScrupleError, match=r"checkpoint c: .*broken"):
        Plan(config)


@pytest.mark.workflow
def test_a_checkpoint_saved_again_is_asked_again(project, make_checkpoint, tmp_path):
    path, params = make_checkpoint("again", 8, 1)
    folder = tmp_path / "folder"
    shutil.copytree(path, folder)
    study = write_yaml(project / "s.yaml", one_checkpoint(folder, params))
    asked = ("results/s/metrics.csv", "--configfile", study)
    assert run_snakemake(project, *asked).returncode == 0
    first = (project / "results/s/metrics.csv").read_text()
    quiet = run_snakemake(project, *asked, "-n")
    assert "Nothing to be done" in quiet.stdout + quiet.stderr
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {k: v * 1.1 for k, v in tensors.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    assert run_snakemake(project, *asked).returncode == 0
    assert (project / "results/s/metrics.csv").read_text() != first
