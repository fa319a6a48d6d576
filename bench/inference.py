"""Compare the speed of responses with lm-evaluation-harness and a floor, in paired rounds.

    python bench/inference.py --data FOLDER

FOLDER holds the published files, laid out like the config's `mirror`. Both sides use
SmolLM2-135M-Instruct in float32, load it once, and take turns in every round. Times are CPU
seconds. Ours cover everything from items to rows of the table, including rendering, tokenising and
storing. The peer's cover only the calls of its model class.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers
from common import (
    Recorded,
    count_tokens,
    flops,
    items_of,
    machine,
    manifest_of,
    matmul_rate,
    measured,
    renderer_of,
    silent,
    some,
    study_of,
    summary,
    write,
)
from peer import choose, continue_texts, wrap
from transformers import AutoModelForCausalLM

from scruple.engines import GenerateRequest, load_engine
from scruple.engines.choose import PACK
from scruple.responses.stored_engine import StoredEngine
from scruple.responses.table import respond
from scruple.responses.store import Store
from scruple.study.model import Study

PLAIN = ["q", "q+if", "q+placebo"]
BBQ = {"name": "bbq", "categories": ["Age"], "scoring": ["letter"]}


def main() -> None:
    """Run the rounds, print the ratios and write the results as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, help="folder with the published benchmark files")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--bbq-items", type=int, default=32)
    options.add_argument("--profiles", type=int, default=120, help="admissions: ours, of 1,944")
    options.add_argument("--peer-prompts", type=int, default=48, help="admissions: the peer's")
    options.add_argument("--reasonings", type=int, default=24)
    options.add_argument("--batch", type=int, default=16, help="the peer's batch size")
    options.add_argument("--full", action="store_true", help="all admission profiles, once")
    options.add_argument("--out", type=Path, default=Path("bench/results/inference.json"))
    args = options.parse_args()

    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    bbq = study_of(BBQ, PLAIN)
    admissions = study_of({"name": "admissions"}, PLAIN[:2])
    reasoning = study_of(BBQ, ["q", "q+if+cot"])
    manifest = manifest_of(bbq)
    engine = load_engine(manifest, bbq.compute, args.threads)
    other = AutoModelForCausalLM.from_pretrained(
        manifest.location.folder, dtype=torch.float32
    ).eval()
    lm = wrap(other, engine.tokenizer, args.batch)
    rounds: list[dict[str, Any]] = []
    data = {study.benchmarks[0].name: items_of(study, args.data) for study in (bbq, admissions)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(args.rounds + 1):  # the first round is a warm-up
            take = [n if number else 4 for n in (args.bbq_items, args.profiles, args.reasonings)]
            stereotypes, people = data["bbq"], data["admissions"]
            pair = partial(paired, engine=engine, lm=lm, model=other, folder=folder)
            record = {
                "matmul_rate": matmul_rate(),
                "bbq": pair(bbq, some(stereotypes, take[0], number), None),
                "admissions": pair(
                    admissions, profiles(people, take[1], number), args.peer_prompts
                ),
                "reasoning": sampled(
                    reasoning, some(stereotypes, take[2], number), engine, lm, folder
                ),
            }
            if number:
                rounds.append(record)
                print(f"round {number}:", {name: brief(value) for name, value in record.items()})
        full = None
        if args.full:
            full = ours(admissions, data["admissions"], engine, folder / "full")
            del full["requests"]
            print("full admissions:", brief(full))
    result = report(rounds, other, full) | {"rounds": rounds, "full": full, "machine": machine()}
    result["options"] = {name: str(value) for name, value in vars(args).items()}
    for name, value in result["ratios"].items():
        print(f"{name:<68}", "  ".join(f"{key} {v:.3g}" for key, v in value.items()))
    write(args.out, result)


def brief(value: Any) -> Any:
    """Round the numbers of a record for printing."""
    if isinstance(value, dict):
        return {k: brief(v) for k, v in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def profiles(items: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Return the items of n random profiles, which include both races."""
    chosen = some(items["cluster"].drop_duplicates().to_frame(), n, seed)["cluster"]
    return items[items["cluster"].isin(chosen)]


def ours(study: Study, items: pd.DataFrame, engine: Any, store: Path) -> dict[str, Any]:
    """Time the whole path from items to rows of the table, starting with an empty store."""
    entry = study.benchmarks[0]
    recorded = Recorded(engine)
    record: dict[str, Any] = {}
    with measured(record):
        stored = StoredEngine(recorded, Store(store))
        writer = renderer_of(study, engine.tokenizer)
        rows = pd.concat(respond(study, entry, items, stored, writer, "smollm2", silent))
    record["rows"] = len(rows)
    record["people"] = float(items["weight"].sum()) * len(study.conditions)
    record |= count_tokens(recorded.asked, engine.tokenizer, PACK)
    record["requests"] = recorded.asked
    return record


def paired(
    study: Study, items: pd.DataFrame, most: int | None, engine: Any, lm: Any, model: Any,
    folder: Path,
) -> dict[str, Any]:  # fmt: skip
    """Score the same prompts on both sides; the peer gets a random sample of at most `most`."""
    with tempfile.TemporaryDirectory(dir=folder) as store:
        one = ours(study, items, engine, Path(store))
    requests = [request for piece in one.pop("requests") for request in piece]
    if most is not None and most < len(requests):
        places = torch.randperm(len(requests), generator=torch.Generator().manual_seed(0))
        requests = [requests[int(place)] for place in places[:most]]
    two: dict[str, Any] = {"rows": len(requests)}
    with tempfile.TemporaryDirectory(dir=folder) as docs:
        theirs = choose(lm, requests, Path(docs))
    two["cpu_s"] = lm.cpu_s
    mine = engine.score(requests, lambda _: None)
    two["largest_difference"] = max(
        abs(torch.tensor(a.logprobs).exp() - torch.tensor(b).exp()).max().item()
        for a, b in zip(mine, theirs, strict=True)
    )
    one["flops_computed"] = flops(model, one["computed"], one["rows"])
    one["flops_distinct"] = flops(model, one["distinct"], one["rows"])
    return {"scruple": one, "peer": two}


class Generating(Recorded):
    """An engine that records the requests to sample text, and the time that they took."""

    def __init__(self, engine: Any) -> None:
        """Wrap an engine."""
        super().__init__(engine)
        self.requests: list[GenerateRequest] = []
        self.record: dict[str, Any] = {"tokens": 0}

    def generate(self, requests: Any, decoding: Any, finished: Any) -> Any:
        """Record the requests, pass them on and time them."""
        self.requests += requests
        with measured(self.record):
            found = super().generate(requests, decoding, finished)
        self.texts = [each.text for each in found]
        return found

    def score(self, requests: Any, finished: Any) -> Any:
        """Raise Done instead of scoring, since only sampling is measured."""
        raise Done


class Done(Exception):
    """Raised when everything to measure is complete."""


def sampled(
    study: Study, items: pd.DataFrame, engine: Any, lm: Any, folder: Path
) -> dict[str, Any]:
    """Sample reasoning for the same prompts on both sides."""
    recorded = Generating(engine)
    with contextlib.suppress(Done):
        writer = renderer_of(study, engine.tokenizer)
        list(respond(study, study.benchmarks[0], items, recorded, writer, "smollm2", silent))
    two: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=folder) as docs:
        texts = continue_texts(lm, recorded.requests, study.decoding, Path(docs))
    two["cpu_s"] = lm.cpu_s
    one = recorded.record
    for record, found in ((one, recorded.texts), (two, texts)):
        record["tokens"] = sum(len(ids) for ids in engine.tokenizer(found)["input_ids"])
        record["reasonings"] = len(found)
    return {"scruple": one, "peer": two}


def report(rounds: list[dict[str, Any]], model: Any, full: Any) -> dict[str, Any]:
    """Return minimum, median and maximum of each ratio over the rounds."""

    def per(record: dict[str, Any], what: str) -> float:
        return record[what] / record["cpu_s"]

    ratios: dict[str, list[float]] = {
        "BBQ, 3 conditions: prompts per CPU second, to the peer's": [
            per(r["bbq"]["scruple"], "rows") / per(r["bbq"]["peer"], "rows") for r in rounds
        ],
        "admissions, 2 conditions: prompts per CPU second, to the peer's": [
            per(r["admissions"]["scruple"], "people") / per(r["admissions"]["peer"], "rows")
            for r in rounds
        ],
        "reasoning: tokens per CPU second, to the peer's": [
            per(r["reasoning"]["scruple"], "tokens") / per(r["reasoning"]["peer"], "tokens")
            for r in rounds
        ],
    }
    if full is not None:
        ratios["admissions, all profiles: prompts per CPU second, to the peer's"] = [
            per(full, "people") / per(r["admissions"]["peer"], "rows") for r in rounds
        ]
    for name in ("bbq", "admissions"):
        ratios[f"{name}: share of the matmul rate"] = [
            per(r[name]["scruple"], "flops_computed") / r["matmul_rate"] for r in rounds
        ]
        ratios[f"{name}: share of the floor"] = [
            per(r[name]["scruple"], "flops_distinct") / r["matmul_rate"] for r in rounds
        ]
        ratios[f"{name}: computed tokens to distinct ones"] = [
            r[name]["scruple"]["computed"] / r[name]["scruple"]["distinct"] for r in rounds
        ]
        ratios[f"{name}: largest difference of a probability to the peer's"] = [
            r[name]["peer"]["largest_difference"] for r in rounds
        ]
    return {"ratios": {name: summary(values) for name, values in ratios.items()}}


if __name__ == "__main__":
    main()
