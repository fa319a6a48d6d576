"""Compare packed prefix trees with plain batches on a model with sliding windows.

    python bench/windows.py [--checkpoint FOLDER] [--data FOLDER]

Without --checkpoint, the model is a random Gemma 3 with six layers of width 256 and a window of 512
tokens, five layers of which have windows, and a tokenizer trained on the prompts. Without --data,
the prompts are those of the project's own BBQ items. Both sides score the same requests in turn, in
every round, in one process. Times are CPU seconds, on a GPU seconds by the clock.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import transformers
from common import (
    Recorded,
    count_tokens,
    items_of,
    machine,
    measured,
    renderer_of,
    silent,
    some,
    study_of,
    summary,
    write,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    PreTrainedTokenizerFast,
)

from scruple.engines import ScoreRequest, Scores
from scruple.engines.budget import default_tokens
from scruple.engines.choose import PACK
from scruple.engines.plain import Plain
from scruple.engines.transformers_engine import TransformersEngine
from scruple.responses.table import respond

CONDITIONS = ["q", "q+if", "q+placebo"]


def main() -> None:
    """Run the rounds, print the ratios and write them as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--checkpoint", type=Path, help="a folder with config and weights")
    options.add_argument("--data", type=Path, help="folder with the published benchmark files")
    options.add_argument("--items", type=int, default=64)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--width", type=int, default=256, help="of the random model")
    options.add_argument("--window", type=int, default=512, help="of the random model")
    options.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    options.add_argument("--out", type=Path, default=Path("bench/results/windows.json"))
    args = options.parse_args()
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(args.threads)

    study = study_of({"name": "bbq", "source": "upstream" if args.data else "own"}, CONDITIONS)
    items = some(items_of(study, args.data), args.items, 0)
    recorded = Recorded(_Counts())
    writer = renderer_of(study, None, "dialogue")
    list(respond(study, study.benchmarks[0], items, recorded, writer, "model", silent))
    requests = [request for piece in recorded.asked for request in piece]
    tokenizer, load = source_of(args, requests)
    packed, plain = (TransformersEngine(load(), tokenizer) for _ in range(2))
    plain._forward = Plain(load(), default_tokens(packed._model))
    print("forward:", packed.describe()["forward"], "|", plain.describe()["forward"])
    counts = count_tokens([requests], tokenizer, PACK)
    print(f"{len(requests)} requests:", counts)

    rounds: list[dict[str, Any]] = []
    for number in range(args.rounds + 1):  # the first round is a warm-up
        record: dict[str, Any] = {}
        found = {}
        for name, engine in (("packed", packed), ("plain", plain)):
            record[name] = {}
            with measured(record[name]):
                found[name] = engine.score(requests, lambda _: None)
        record["largest_difference"] = largest(found["packed"], found["plain"])
        if number:
            rounds.append(record)
            print(f"round {number}:", record)
    clock = "wall_s" if args.device == "cuda" else "cpu_s"
    ratios = {
        "plain's seconds to packed's": [r["plain"][clock] / r["packed"][clock] for r in rounds],
        "largest difference of a log-probability": [r["largest_difference"] for r in rounds],
    }
    result: dict[str, Any] = {"ratios": {name: summary(values) for name, values in ratios.items()}}
    for name, value in result["ratios"].items():
        print(f"{name:<42}", "  ".join(f"{key} {v:.3g}" for key, v in value.items()))
    result |= {"rounds": rounds, "counts": counts, "machine": machine()}
    result["options"] = {name: str(value) for name, value in vars(args).items()}
    write(args.out, result)


class _Counts:
    """An engine that gives every candidate the same score, to collect the requests."""

    tokenizer = None

    def score(self, requests: Any, finished: Any) -> list[Scores]:
        """Return equal scores."""
        found = [
            Scores((-1.0,) * len(each.candidates), (1,) * len(each.candidates), 1.0, 1)
            for each in requests
        ]
        finished(dict(enumerate(found)))
        return found


def source_of(args: argparse.Namespace, requests: list[ScoreRequest]) -> tuple[Any, Any]:
    """Return the tokenizer, and a function that returns the model."""
    dtype = getattr(torch, args.dtype)
    if args.checkpoint:
        folder = args.checkpoint

        def load() -> Any:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
            return model.to(args.device).eval()

        return AutoTokenizer.from_pretrained(folder), load
    tokenizer = trained_on([request.prompt for request in requests])
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer), hidden_size=args.width, intermediate_size=4 * args.width,
        num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=1,
        head_dim=args.width // 4, query_pre_attn_scalar=args.width // 4,
        sliding_window=args.window, max_position_embeddings=4096,
        layer_types=["sliding_attention"] * 5 + ["full_attention"],
    )  # fmt: skip

    def make() -> Any:
        torch.manual_seed(0)
        return Gemma3ForCausalLM(config).to(args.device, dtype).eval()

    return tokenizer, make


def trained_on(texts: list[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with at most 4,096 tokens."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096, special_tokens=["<eos>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<eos>")


def largest(one: list[Scores], two: list[Scores]) -> float:
    """Return the largest difference of a log-probability."""
    pairs = [(a.logprobs, b.logprobs) for a, b in zip(one, two, strict=True)]
    return max(abs(x - y) for a, b in pairs for x, y in zip(a, b, strict=True))


if __name__ == "__main__":
    main()
