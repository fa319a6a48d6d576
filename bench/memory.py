"""Measure the peak memory of a job relative to the size of its weights and to the amount of data.

    python bench/memory.py --data FOLDER

First SmolLM2-135M-Instruct runs on a few items, with and without reasoning. Then a tiny checkpoint
with random weights and the same tokenizer runs on a tenth of the items and on all of them.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import items_of, machine, manifest_of, silent, some, study_of, write
from scruple.responses.job import ask_checkpoint
from scruple.checkpoints.manifest import fetch_checkpoint
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.study.model import Study

PLAIN = ["q", "q+if", "q+placebo", "q+follow"]
BBQ = {"name": "bbq", "categories": ["Age"]}
CASES = ("real", "tenth", "whole")


def main() -> None:
    """Run each case in a separate process, print the results and write them as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, help="folder with the published benchmark files")
    options.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options.add_argument("--tiny", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--out", type=Path, default=Path("bench/results/memory.json"))
    args = options.parse_args()
    if args.case:
        print(json.dumps(ask(args.case, args.data, args.tiny)))
        return
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        make_tiny(Path(name))
        for case in CASES:
            command = [sys.executable, __file__, *sys.argv[1:], "--case", case, "--tiny", name]
            lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            result[case] = json.loads(lines.splitlines()[-1])
            print(case, result[case])
    real = result["real"]
    result["peak_to_allowed"] = real["peak"] / (1.5 * real["weights"] + 1e9)
    result["whole_to_tenth"] = result["whole"]["peak"] / result["tenth"]["peak"]
    print({name: round(result[name], 3) for name in ("peak_to_allowed", "whole_to_tenth")})
    write(args.out, result | {"machine": machine()})


def ask(case: str, data: Path | None, small: Path) -> dict[str, Any]:
    """Run a job; return its peak memory and weights in bytes, and its number of responses."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if case == "real":
            study = study_of(BBQ, [*PLAIN, "q+if+cot"])
            items = some(items_of(study, data), 30, 0)
            manifest = manifest_of(study)
        else:
            study = tiny(small)
            items = items_of(study, data)
            items = items if case == "whole" else some(items, len(items) // 10, 0)
            manifest = fetch_checkpoint(study.families[0].checkpoints[0], lambda _: None)
        facts = ask_checkpoint(
            study, study.families[0].name, "bbq", items, manifest, 2, 0, folder / "store",
            folder / "out.parquet", silent, logging.getLogger(),
        )  # fmt: skip
    return {
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "weights": facts["params"] * 4,
        "responses": facts["responses"],
    }


def make_tiny(folder: Path) -> None:
    """Save a tiny checkpoint with random weights and the tokenizer of SmolLM2."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = load_tokenizer(manifest_of(study_of(BBQ, PLAIN)).location).tokenizer
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=2048,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tiny(folder: Path) -> Study:
    """Return the study of the tiny checkpoint."""
    checkpoint = {"name": "tiny", "params": 1_575_472, "path": str(folder)}
    family = {"name": "tiny", "primary_scoring": "letter", "checkpoints": [checkpoint]}
    return study_of(BBQ | {"orders": 6}, PLAIN, families=[family])


if __name__ == "__main__":
    main()
