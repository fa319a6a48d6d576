"""What is finished is never lost, never computed twice, and never served to another checkpoint."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from test_engine import REQUESTS, load, neox, silent  # noqa: F401

from scruple.checkpoints.manifest import FileFacts, Manifest, fetch_checkpoint
from scruple.engines import GenerateRequest, Generation, ScoreRequest, Scores
from scruple.prompts.marks import Marks
from scruple.responses.store import Store, fingerprint, reasoning_key, score_key
from scruple.responses.stored_engine import StoredEngine
from scruple.study.families import Checkpoint
from scruple.study.settings import Decoding

OLD = Path(__file__).parent / "store-0.1"
"""A store that version 0.1 wrote, and what is in it."""
DECODING = Decoding(max_new_tokens=6)
ASKS = [GenerateRequest(f"g{i}", "Human: go " * (i % 3 + 1), i, True, Marks()) for i in range(8)]


class Counting:
    """A real engine that counts what it is asked."""

    def __init__(self, engine, stop_after=None):
        self.tokenizer, self.engine = engine.tokenizer, engine
        self.asked, self.stop_after, self.done = [], stop_after, 0

    def score(self, requests, finished):
        self.asked += [request.key for request in requests]
        return self.engine.score(requests, lambda found: self._pass(found, finished))

    def generate(self, requests, decoding, finished):
        self.asked += [request.key for request in requests]
        return self.engine.generate(requests, decoding, lambda found: self._pass(found, finished))

    def _pass(self, found, finished):
        finished(found)
        self.done += len(found)
        if self.stop_after is not None and self.done >= self.stop_after:
            raise KeyboardInterrupt


@pytest.fixture
def engine(neox):  # noqa: F811
    return load(*neox, batch_tokens=60)


def test_the_second_time_nothing_is_computed(engine, tmp_path):
    first = StoredEngine(engine, Store(tmp_path))
    scores, texts = first.score(REQUESTS, silent), first.generate(ASKS, DECODING, silent)
    assert scores == engine.score(REQUESTS, silent)
    assert texts == engine.generate(ASKS, DECODING, silent)
    counting = Counting(engine)
    again = StoredEngine(counting, Store(tmp_path))
    seen = []
    assert again.score(REQUESTS, seen.append) == scores
    assert again.generate(ASKS, DECODING, silent) == texts
    assert counting.asked == []
    assert sum(len(found) for found in seen) == len(REQUESTS)


def test_an_interrupted_job_goes_on_where_it_stopped(engine, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        StoredEngine(Counting(engine, stop_after=5), Store(tmp_path)).score(REQUESTS, silent)
    counting = Counting(engine)
    scores = StoredEngine(counting, Store(tmp_path)).score(REQUESTS, silent)
    assert 0 < len(counting.asked) <= len(REQUESTS) - 5
    assert scores == pytest.approx(engine.score(REQUESTS, silent))


def test_only_what_is_new_is_computed(engine, tmp_path):
    StoredEngine(engine, Store(tmp_path)).score(REQUESTS[:10], silent)
    counting = Counting(engine)
    stored = StoredEngine(counting, Store(tmp_path))
    stored.score(REQUESTS, silent)
    assert counting.asked == [request.key for request in REQUESTS[10:]]
    stored.generate(ASKS, DECODING, silent)
    counting.asked = []
    stored.generate(ASKS, DECODING.model_copy(update={"temperature": 0.5}), silent)
    assert len(counting.asked) == len(ASKS)


def test_equal_requests_are_computed_once(engine, tmp_path):
    counting = Counting(engine)
    twice = [*REQUESTS, *REQUESTS]
    seen = []
    scores = StoredEngine(counting, Store(tmp_path)).score(twice, seen.append)
    assert len(counting.asked) == len(REQUESTS)
    assert scores[: len(REQUESTS)] == scores[len(REQUESTS) :]
    assert sum(len(found) for found in seen) == len(twice)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "renamed"])
def test_a_damaged_part_is_set_aside_and_computed_again(engine, tmp_path, damage, caplog):
    scores = StoredEngine(engine, Store(tmp_path)).score(REQUESTS, silent)
    part = next(tmp_path.glob("scores-*.parquet"))
    content = part.read_bytes()
    middle = len(content) // 2
    if damage == "renamed":
        part.rename(part.with_name("scores-0123456789abcdef.parquet"))
    else:
        part.write_bytes({
            "cut": content[:-20], "empty": b"",
            "changed": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        }[damage])  # fmt: skip
    counting = Counting(engine)
    assert StoredEngine(counting, Store(tmp_path)).score(REQUESTS, silent) == scores
    assert len(counting.asked) == len(REQUESTS)
    assert "is damaged" in caplog.text
    assert len(list(tmp_path.glob("*.damaged"))) == 1


RESULTS = {
    bytes([i, i // 2]) * 8: Scores((float("-inf"), -0.5), (1, 2), 0.75, i) for i in range(1, 100)
}
TEXTS = {bytes([i]) * 16: Generation("é\n…" * i, i, "end") for i in range(3)}


def test_many_parts_become_few(tmp_path, monkeypatch):
    monkeypatch.setattr("scruple.responses.store._FLUSH_AFTER", -1.0)
    monkeypatch.setattr("scruple.responses.store._MERGE_FROM", 4)
    monkeypatch.setattr("scruple.responses.store_parts._GROUP", 5)
    store = Store(tmp_path)
    for key, result in [*RESULTS.items(), *TEXTS.items()]:
        store.add({key: result})
    parts = list(tmp_path.glob("scores-*.parquet"))
    assert 3 <= len(parts) <= 9  # 99 = 64 + 2 × 16 + 3: at most three of each size
    for opened in (store, Store(tmp_path)):
        assert opened.scores(RESULTS) == RESULTS
        assert opened.reasoning(TEXTS) == TEXTS
        assert opened.scores([b"x" * 16, *TEXTS]) == {}


def test_parts_that_another_job_merges_are_found_again(tmp_path, monkeypatch):
    one = Store(tmp_path)
    keys = list(RESULTS)
    for key in keys[:6]:
        one.add({key: RESULTS[key]})
        one.flush()
    monkeypatch.setattr("scruple.responses.store._MERGE_FROM", 5)
    other = Store(tmp_path)  # merges as it opens
    assert len(list(tmp_path.glob("scores-*.parquet"))) == 1
    for store in (one, other):
        assert store.scores(keys) == {key: RESULTS[key] for key in keys[:6]}


def test_a_damaged_part_is_never_merged(tmp_path, monkeypatch, caplog):
    store = Store(tmp_path)
    keys = list(RESULTS)[:6]
    for key in keys[:4]:
        store.add({key: RESULTS[key]})
        store.flush()
    bad = next(tmp_path.glob("scores-*.parquet"))
    content = bad.read_bytes()
    bad.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    monkeypatch.setattr("scruple.responses.store._MERGE_FROM", 5)
    store.add({keys[4]: RESULTS[keys[4]]})
    store.flush()  # five parts: merges, but for the damaged one
    assert "is damaged" in caplog.text
    assert len(store.scores(keys)) == 4
    store.add({keys[5]: RESULTS[keys[5]]})
    store.flush()
    assert store.scores(keys) == Store(tmp_path).scores(keys)
    assert len(store.scores(keys)) == 5
    assert len(list(tmp_path.glob("scores-*.parquet"))) == 1


def test_a_part_that_is_damaged_while_it_is_open_is_set_aside(tmp_path, caplog):
    store = Store(tmp_path)
    store.add(RESULTS)
    store.flush()
    part = next(tmp_path.glob("scores-*.parquet"))
    part.write_bytes(part.read_bytes()[:40])
    assert store.scores(RESULTS) == {}
    assert "is damaged" in caplog.text
    assert store.scores(RESULTS) == Store(tmp_path).scores(RESULTS) == {}


def test_addresses_hold_all_that_a_result_depends_on(make_checkpoint, tmp_path):
    one, other = (make_checkpoint(name, 8, 1)[0] for name in ("one", "other"))
    weights = other / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    manifests = [
        fetch_checkpoint(Checkpoint(name="c", params=1, path=str(path)), silent)
        for path in (one, other)
    ]
    prints = {
        fingerprint(manifests[0], "transformers", "float32"),
        fingerprint(manifests[1], "transformers", "float32"),
        fingerprint(manifests[0], "transformers", "bfloat16"),
        fingerprint(manifests[0], "vllm", "float32"),
    }
    assert len(prints) == 4
    moved = manifests[0].model_copy(update={"folder": "/elsewhere", "checkpoint": "d"})
    assert fingerprint(moved, "transformers", "float32") in prints
    asked = REQUESTS[0]
    from dataclasses import replace

    changes = {"prompt": "x", "candidates": ("a", "b"), "answers": ("x", "y"), "special": False}
    keys = {score_key(replace(asked, **{name: value})) for name, value in changes.items()}
    assert len(keys | {score_key(asked)}) == 5
    assert score_key(replace(asked, key="another name")) == score_key(asked)
    changes = {"prompt": "x", "seed": 99, "special": False, "marks": Marks(("x",))}
    keys = {reasoning_key(replace(ASKS[0], **{name: value}), DECODING)
            for name, value in changes.items()}  # fmt: skip
    keys |= {reasoning_key(ASKS[0], DECODING.model_copy(update={name: value})) for name, value in
             {"max_new_tokens": 7, "temperature": 0.5, "top_p": 0.9}.items()}  # fmt: skip
    assert len(keys | {reasoning_key(ASKS[0], DECODING)}) == 8


def test_a_store_of_version_0_1_is_resumed(tmp_path):
    """Its scores are served, at the same address; its reasonings are asked again and left there."""
    content = json.loads((OLD / "content.json").read_text())
    files = {name: FileFacts(**facts) for name, facts in content["files"].items()}
    manifest = Manifest(checkpoint="c", params=1, origin="", folder="", files=files)
    assert fingerprint(manifest, content["engine"], content["dtype"]) == content["address"]
    shutil.copytree(OLD / content["address"], tmp_path / "store")
    store = Store(tmp_path / "store")
    for entry in content["scores"]:
        asked = {key: tuple(v) if isinstance(v, list) else v for key, v in entry["request"].items()}
        key = score_key(ScoreRequest("s", **asked))
        result = {k: tuple(v) if isinstance(v, list) else v for k, v in entry["result"].items()}
        assert store.scores([key]) == {key: Scores(**result)}
    decoding = Decoding(**content["decoding"])
    for entry in content["reasoning"]:
        asked = {key: entry[key] for key in ("prompt", "seed", "special")}
        key = reasoning_key(GenerateRequest("g", **asked, marks=Marks()), decoding)
        assert store.reasoning([key]) == {}
        store.add({key: Generation("new", 1, "end")})
    store.flush()
    kept = {path.name for path in (OLD / content["address"]).iterdir()}
    there = {path.name for path in (tmp_path / "store").iterdir()}
    assert kept < there
    assert not any(name.endswith(".damaged") for name in there)
    assert Store(tmp_path / "store").reasoning([key])[key].text == "new"


def test_scores_with_another_token_behind_a_text_have_another_key():
    """Version 0.1 left such a token in the prompt, and dropped the end token."""
    request = REQUESTS[0]
    assert score_key(request, ()) == score_key(request)
    assert score_key(request, (7,)) != score_key(request)
    bare = replace(request, special=False)
    assert score_key(bare, (7,)) == score_key(bare)
