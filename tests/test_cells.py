"""The whole workflow on five cells of the matrix: three are asked, two are refused by name."""

import json

import pandas as pd
import pytest
from cells import CASES, tokenizer_of
from conftest import copy_project, run_snakemake, write_yaml
from scripted import save_scripted

pytestmark = pytest.mark.workflow

CELLS = {
    "chatml": ("chatml, another eos", "byte level"),
    "parts": ("parts", "ends with eos"),
    "closed": ("think that can be closed", "sentencepiece"),
    "open": ("think", "byte level"),
    "silent": ("no generation prompt", "sentencepiece"),
}
SAID = " What of the man"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Ask five checkpoints, each of which knows a reasoning and another turn by heart."""
    folder = copy_project(tmp_path_factory.mktemp("cells") / "project")
    checkpoints = []
    for name, (case, kind) in CELLS.items():
        tokenizer = tokenizer_of(kind, CASES[case].template)
        before, both = (
            tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("x:", f"x:{SAID}")
        )
        mark = "<|im_start|>" if name == "parts" else "<|im_end|>"
        script = [*both[len(before) - 1 :], tokenizer.convert_tokens_to_ids(mark)]
        assert len(set(script)) == len(script) > 3
        path = folder / "checkpoints" / name
        params = save_scripted(path, tokenizer, script, tokenizer.eos_token_id)
        checkpoints.append(
            {"name": name, "params": params, "path": str(path), "seed": len(checkpoints)}
        )
    config = write_yaml(folder / "cells.yaml", {
        "study": "cells", "families": [{"name": "f", "checkpoints": checkpoints}],
        "benchmarks": [{"name": "bbq", "source": "own", "max_items": 2, "scoring": ["text"]}],
        "conditions": ["q", "q+if+cot"], "decoding": {"max_new_tokens": 30},
        "compute": {"device": "cpu", "threads": 1, "share_below": 0},
    })  # fmt: skip
    done = run_snakemake(folder, "--keep-going", "--until", "respond", "--configfile", config)
    return folder / "results" / "cells", done


def test_what_is_refused_is_never_asked(finished):
    results, done = finished
    assert done.returncode != 0
    assert "steps" in done.stdout + done.stderr, done.stderr[-3000:]
    for name, why in (("open", "with <think> and leaves it open"),
                      ("silent", "does not open the assistant's turn")):  # fmt: skip
        log = (results / f"logs/respond/f/{name}/bbq.log").read_text()
        assert why in log
        assert "Traceback" not in log
        assert not list((results / "responses/f").glob(f"{name}/*"))


@pytest.mark.parametrize(
    ("name", "ended"), [("chatml", "end"), ("parts", "turn"), ("closed", "end")]
)
def test_reasonings_are_one_text_with_their_prompt_and_end_with_the_turn(finished, name, ended):
    results, _ = finished
    table = pd.read_parquet(results / f"responses/f/{name}/bbq.parquet")
    record = json.loads((results / f"responses/f/{name}/bbq.json").read_text())
    reasoned = table[table["condition"] == "q+if+cot"]
    assert set(reasoned["reasoning"]) == {SAID}
    assert set(reasoned["reasoning_end"]) == {ended}
    assert table[table["condition"] == "q"]["reasoning_end"].isna().all()
    assert record["reasoning_ended"] == {"end": 0, "turn": 0, "length": 0} | {ended: 2}
    assert record["turns"]["format"] == "chat"
    prompts = {one["condition"]: one for one in record["prompts"]}
    assert list(prompts) == ["q", "q+if+cot"]
    assert f"stereotypes:{SAID}<|im_end|>" in prompts["q+if+cot"]["prompt"]
    opens = "<|im_start|>assistant\n" + ("<think>\n\n</think>\n\n" if name == "closed" else "")
    for one in prompts.values():
        assert one["prompt"].endswith(opens + "The best answer is:")
        assert len(one["tokens"]) == len(one["token_ids"]) > 50
        assert one["candidates"].keys() == {"0", "1", "2"}
