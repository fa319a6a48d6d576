"""Measure how long a job takes to load a GGUF checkpoint, from the file and from its copy.

    python bench/loading.py

Each round reads the GGUF file as every job did before there were copies, then the dequantised copy
as jobs do now, and compares tokenizers and logits. Making the copy is timed once.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path
from typing import Any

import psutil
from common import machine, measured, study_of, summary, write
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from scruple.checkpoints.manifest import fetch_checkpoint

_TEXT = "The nurse and the doctor met, and she was late.\nWho was late?"


def main() -> None:
    """Run the rounds, print seconds and ratios and write them as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--out", type=Path, default=Path("bench/results/loading.json"))
    args = options.parse_args()
    checkpoint = study_of({"name": "bbq"}, ["q"]).families[0].checkpoints[0]
    with tempfile.TemporaryDirectory() as name:
        made: dict[str, float] = {}
        before = psutil.Process().memory_info().rss
        with measured(made):
            manifest = fetch_checkpoint(checkpoint, print, copies=Path(name))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        copy = manifest.location.folder
        rounds = []
        for _ in range(args.rounds):
            file, found = load(manifest.folder, gguf_file=manifest.gguf)
            saved, again = load(copy)
            assert torch.equal(found[0], again[0])
            assert found[1:] == again[1:]
            rounds.append({"file": file, "copy": saved, "ratio": file / saved})
            print(rounds[-1])
    result = {
        "making": made["wall_s"],
        "making_memory_to_weights": peak / (4 * checkpoint.params),
        **{key: summary([one[key] for one in rounds]) for key in rounds[0]},
    }
    print(result)
    write(args.out, result | {"rounds": rounds, "machine": machine()})


def load(folder: str, **options: Any) -> tuple[float, tuple[Any, ...]]:
    """Load tokenizer and model; return the seconds, and logits and tokens to compare."""
    took: dict[str, float] = {}
    with measured(took):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **options)
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, **options
        )
    ids = tokenizer(_TEXT)["input_ids"]
    with torch.inference_mode():
        logits = model.eval()(torch.tensor([ids])).logits
    return took["wall_s"], (logits, ids, tokenizer.backend_tokenizer.to_str())


if __name__ == "__main__":
    main()
