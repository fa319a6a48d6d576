"""Print the complete prompts of a study before anything is run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scruple.benchmarks import benchmark_module
from scruple.benchmarks.base import draw
from scruple.checkpoints.hub import describe, look_up
from scruple.checkpoints.local import check_local
from scruple.checkpoints.location import Location
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.costs.counts import local_tokenizer
from scruple.errors import ScrupleError
from scruple.fetch.sources import files_of, in_mirror, load_source, local_path
from scruple.prompts.check import check_prompts
from scruple.prompts.files import load_dialogue
from scruple.prompts.rendering import Renderer
from scruple.responses.examples import examples, legible
from scruple.responses.trials import build_trials
from scruple.study.model import ROOT, Study, load_study, read_yaml
from scruple.study.overrides import check_overrides
from scruple.study.settings import Benchmark


def read_study(overrides: Sequence[Path]) -> Study:
    """Return the study of config.yaml with the given config overrides, as snakemake merges them.

    Raises:
        ScrupleError: if a file cannot be read, or the config is not valid.
    """
    from snakemake.utils import update_config

    base = Path("config.yaml") if Path("config.yaml").is_file() else ROOT / "config.yaml"
    config = read_yaml(base)
    for path in overrides:
        given = read_yaml(path)
        if not isinstance(given, dict):
            raise ScrupleError(f"{path}: is no mapping of config keys.")
        try:
            update_config(config, given)
        except (AttributeError, TypeError) as error:
            raise ScrupleError(f"{path}: cannot be merged with {base}: {error}") from None
    origin = "config.yaml" + (f" with {', '.join(map(str, overrides))}" if overrides else "")
    check_overrides(overrides, {}, origin)
    return load_study(config, origin)


@dataclass(frozen=True)
class Printed:
    """A prompt to print, or a remark on prompts.

    Attributes:
        text: the prompt with its heading, or the remark.
        remark: whether it is a remark.
        missing: whether the remark is about prompts that cannot be shown.
    """

    text: str
    remark: bool = False
    missing: bool = False


def printed_prompts(study: Study, checkpoint: str | None, tokens: bool) -> Iterator[Printed]:
    """Yield the study's complete prompts, one per benchmark, checkpoint and condition.

    A prompt that several checkpoints of a family have in common is yielded once.

    Args:
        study: the study.
        checkpoint: the name of a checkpoint; None for all.
        tokens: whether the tokens are shown as well.

    Raises:
        ScrupleError: if the study has no such checkpoint, or its prompt files are not valid.
    """
    check_prompts(study)
    members = [pair for pair in study.members() if checkpoint in (None, pair[1])]
    if not members:
        names = ", ".join(name for _, name in study.members())
        raise ScrupleError(f"--checkpoint: the study has no {checkpoint}; there are: {names}")
    refused: set[tuple[str, str]] = set()
    for benchmark in study.benchmarks:
        try:
            item, remark = _item(study, benchmark)
        except ScrupleError as error:
            yield Printed(str(error), remark=True, missing=True)
            continue
        if remark:
            yield Printed(remark, remark=True)
        known: dict[Any, tuple[list[str], str]] = {}
        for family, name in members:
            if (family, name) in refused:
                continue
            try:
                for key, text in _prompts(study, benchmark, item, family, name, tokens):
                    known.setdefault((family, *key), ([], text))[0].append(name)
            except ScrupleError as error:
                refused.add((family, name))
                yield Printed(str(error), remark=True, missing=True)
        for key, (alike, text) in known.items():
            title = f"{benchmark.name}, {key[1]}: {', '.join(alike)} ({key[0]})"
            yield Printed(f"{title}\n{'─' * len(title)}\n{visible(text)}\n")


def _prompts(
    study: Study, benchmark: Benchmark, item: pd.DataFrame, family: str, name: str, tokens: bool
) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield for each condition what tells prompts apart, and the text to print."""
    tokenizer = load_tokenizer(_location(study, family, name)).tokenizer
    renderer = Renderer(
        study.writing(family, name), load_dialogue(study, benchmark), tokenizer, name
    )
    renderer.check([trial.turns for trial in build_trials(study, benchmark, item)])
    scoring = study.primary_scoring(family, benchmark)
    for one in examples(study, benchmark, item, scoring, renderer, tokenizer):
        forms = " | ".join(repr(form) for each in one["candidates"].values() for form in each)
        lines = [one["prompt"], f"→ scored: {forms}", f"→ {len(one['tokens'])} tokens"]
        if "asked" in one:
            lines.insert(0, f"{one['asked']}\n→ sampled: the reasoning, […] below\n")
        if tokens:
            pairs = zip(one["tokens"], one["token_ids"], strict=True)
            lines.append("  " + " ".join(f"{legible(token)}⟨{number}⟩" for token, number in pairs))
        yield (one["condition"], one["prompt"], tuple(one["token_ids"])), "\n".join(lines)


def visible(text: str) -> str:
    """Return a text in which control characters are escaped, except for line breaks and tabs."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else repr(character)[1:-1]
        for character in text
    )


def _location(study: Study, family: str, name: str) -> Location:
    """Return where a checkpoint's tokenizer is, which is fetched from the hub if necessary."""
    checkpoint = study.checkpoint(family, name)
    here = local_tokenizer(checkpoint, study.hub)
    if here is not None:
        return here
    if checkpoint.hub is None or checkpoint.file is not None:
        check_local(checkpoint, study.hub)
        raise ScrupleError(
            f"checkpoint {name}: its tokenizer is in a file that is not on this machine, so its "
            "prompts cannot be shown; fetch it first (`--until fetch_checkpoint`)."
        )
    remote = look_up(checkpoint, study.hub, _say, tries=1)
    folder = describe(checkpoint, remote, _say)
    return Location(name, str(folder), code=checkpoint.hub in study.hub.allow_code)


def _say(text: str) -> None:
    print(f"scruple: {text}", file=sys.stderr)


def _item(study: Study, benchmark: Benchmark) -> tuple[pd.DataFrame, str]:
    """Return a benchmark's first item as a table, and a remark if it is a stand-in.

    It is taken from the study's table of items if there is one, else from the source's files if
    they are here, else from the project's own items.
    """
    table = Path("results") / study.study / "items" / f"{benchmark.name}.parquet"
    if table.is_file():
        return pd.read_parquet(table).head(1), ""
    module, remark = benchmark_module(benchmark.kind), ""
    files = _files(study, benchmark)
    if files is None:
        own = benchmark.model_copy(update={"source": "own", "categories": None})
        load_source(study, benchmark.kind, "own")
        files = _files(study, own)
        remark = (
            f"{benchmark.name}: its items are not on this machine yet; an item of the project's "
            "own stands in for them."
        )
    if files is None:
        raise ScrupleError(
            f"{benchmark.name}: its items are not on this machine, so its prompts cannot be shown. "
            "Fetch them first (`--until build_items`)."
        )
    items = module.read(files, benchmark).table
    drawn = draw(items, module.SAMPLING_UNIT, benchmark.max_items, study.seed, module.STRATA)
    return drawn.head(1), remark


def _files(study: Study, benchmark: Benchmark) -> list[Path] | None:
    """Return the files of a benchmark's items; None if one of them is not on this machine."""
    found = []
    for file in files_of(study, benchmark):
        path = local_path(study, benchmark, file)
        here = path if path.is_file() else in_mirror(study, benchmark.kind, file)
        if here is None and not file.optional:
            return None
        if here is not None:
            found.append(here)
    return found
