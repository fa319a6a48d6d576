"""Compare the plan's times with measured ones, on a small checkpoint and this machine's CPU.

The plan describes a card by its rate and its memory bandwidth. This script measures both for the
CPU, times the checkpoint's real work, and compares it with the times that the plan predicts from
them. It prints the ratios of measured to predicted time, separately for reading and for sampling.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from common import machine, manifest_of, renderer_of, silent, study_of, summary, write

import psutil
import torch

from scruple.responses.trials import pieces
from scruple.benchmarks import benchmark_module
from scruple.benchmarks.base import draw
from scruple.costs.counts import count
from scruple.costs.need import BANDWIDTH_SHARE, COMPUTE_SHARE, Card, need
from scruple.costs.workload import estimate
from scruple.engines import GenerateRequest, load_engine
from scruple.engines.choose import PACK
from scruple.engines.prefix_tree import count_nodes, plan_packs
from scruple.engines.tokens import tokenise_prompts
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.responses.table import respond
from scruple.study.architecture import Shape
from scruple.fetch.sources import files_of, local_path
from scruple.study.families import Writing
from scruple.study.model import Study
from scruple.study.settings import Compute

SMOLLM2 = Shape(
    kind="llama", layers=30, width=576, heads=9, kv_heads=3, mlp=1536, vocab=49152, tied=True
)
THREADS = 2


def card() -> Card:
    """Measure this CPU as a card: 10^12 operations and 10^9 bytes per second."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    a @ b
    start = time.perf_counter()
    for _ in range(4):
        a @ b
    rate = 2 * 2048**3 * 4 / (time.perf_counter() - start)
    weights = torch.randn(64_000_000)
    weights.sum()
    start = time.perf_counter()
    for _ in range(4):
        weights.sum()  # reads every weight once, as sampling a token does
    band = 4 * weights.numel() * 4 / (time.perf_counter() - start)
    memory = psutil.virtual_memory().total / 1e9
    return Card("this CPU", memory, rate / 1e12, band / 1e9)


def study(conditions: list[str], tokens: int, items: int) -> Study:
    """Return a study of SmolLM2 on a sample of the project's own BBQ items."""
    return study_of(
        {"name": "bbq", "source": "own", "max_items": items, "scoring": ["letter", "text"]},
        conditions, decoding={"max_new_tokens": tokens},
    )  # fmt: skip


def main() -> None:
    """Run the rounds, print the ratios and write the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=int, default=48)
    parser.add_argument("--reasonings", type=int, default=48)
    parser.add_argument("--tokens", type=int, default=48, help="of one reasoning")
    parser.add_argument("--out", type=Path, default=Path("bench/results/plan.json"))
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    asked = study(["q", "q+if", "q+placebo"], args.tokens, args.items)
    manifest, entry = manifest_of(asked), asked.benchmarks[0]
    engine = load_engine(manifest, Compute(device="cpu", dtype="float32"), THREADS)
    files = [local_path(asked, entry, file) for file in files_of(asked, entry)]
    module = benchmark_module("bbq")
    table = module.read(files, entry).table
    items = draw(table, module.SAMPLING_UNIT, args.items, asked.seed, module.STRATA)
    reader = load_tokenizer(manifest.location)
    exact = count(asked, entry, items, reader, Writing("chat", None, asked.date), silent)
    guess = estimate(asked, entry, items["weight"].tolist())
    reasoning = study(["q", "q+if+cot"], args.tokens, args.items)
    renderer = renderer_of(reasoning, reader.tokenizer)
    openings = [
        ask for asks in pieces(reasoning, entry, items) for ask in asks
        if ask.reasons and ask.keys[3] == "letter"
    ][: args.reasonings]  # fmt: skip
    requests = [
        GenerateRequest(
            str(i), renderer.reasoning_prompt(ask.turns), i, renderer.special, renderer.marks
        )
        for i, ask in enumerate(openings)
    ]
    prompts = tokenise_prompts(reader.tokenizer, requests)
    opened = sum(count_nodes(pack) for pack in plan_packs(sorted(set(prompts)), PACK))
    length = sum(map(len, prompts)) / len(prompts) + args.tokens / 2
    rounds = []
    for number in range(args.rounds + 1):
        here = card()
        start = time.perf_counter()
        list(respond(asked, entry, items, engine, renderer, "smollm2", silent))
        reading = time.perf_counter() - start
        start = time.perf_counter()
        found = engine.generate(requests, reasoning.decoding, silent())
        sampling = time.perf_counter() - start
        sampled = sum(one.tokens for one in found)
        work = replace(exact, rows=0, distinct=opened, sampled=sampled, length=length)
        planned = {
            "reading": need(SMOLLM2, exact, "float32", here).hours * 3600,
            "sampling": need(SMOLLM2, work, "float32", here).hours * 3600,
        }
        if number:  # the first round is a warm-up
            rounds.append({
                "tflops": here.tflops, "bandwidth_gbs": here.bandwidth_gbs, "planned_s": planned,
                "measured_s": {"reading": reading, "sampling": sampling}, "sampled": sampled,
                "ratio": {"reading": reading / planned["reading"],
                          "sampling": sampling / planned["sampling"]},
            })  # fmt: skip
            print(rounds[-1])
    tokens = {
        "counted": exact.distinct, "estimated": guess.distinct,
        "ratio": exact.distinct / guess.distinct, "rows": [exact.rows, guess.rows],
        "length": [exact.length, guess.length],
    }  # fmt: skip
    ratios = {
        part: summary([each["ratio"][part] for each in rounds]) for part in ("reading", "sampling")
    }
    print("measured to predicted time:", ratios)
    print("tokens:", tokens)
    write(args.out, {
        "ratios": ratios, "tokens": tokens, "rounds": rounds, "machine": machine(),
        "shares": {"compute": COMPUTE_SHARE, "bandwidth": BANDWIDTH_SHARE},
    })  # fmt: skip


if __name__ == "__main__":
    main()
