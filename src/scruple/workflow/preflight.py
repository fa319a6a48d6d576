"""Checks before the first job: whether a study's inputs, engine and memory are available."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scruple.checkpoints.cache import cached_snapshot, check_room, missing_bytes
from scruple.checkpoints.hub import Remote, look_up
from scruple.checkpoints.local import check_local
from scruple.checkpoints.manifest import Manifest
from scruple.costs.cards import card_of
from scruple.errors import ScrupleError
from scruple.fetch.sources import check_mirror, files_of, in_mirror, load_source, local_path
from scruple.fetch.transfer import Unreachable, plain
from scruple.machine.gpus import visible_gpus
from scruple.machine.memory import check_memory_here
from scruple.prompts.check import check_prompts
from scruple.study.families import Checkpoint
from scruple.study.model import Study
from scruple.study.settings import Benchmark

_TRIES = 3
"""Attempts to reach the hub before a run starts; the job that fetches makes more."""


def check_study(study: Study) -> None:
    """Check what needs no network: prompts, card, sources, mirror, local checkpoints, folders.

    Raises:
        ScrupleError: if something is wrong; the message names the file or key.
    """
    check_prompts(study)
    card_of(study)
    if os.environ.get("CUDA_VISIBLE_DEVICES"):
        visible_gpus()
    for benchmark in study.benchmarks:
        _check_own_files(study, benchmark)
    check_mirror(study)
    for family in study.families:
        for checkpoint in family.checkpoints:
            if study.compute.engine == "vllm" and checkpoint.file is not None:
                raise ScrupleError(
                    f"config: `compute.engine` is vllm, and checkpoint `{checkpoint.name}` of "
                    f"family `{family.name}` is a GGUF file, which vLLM does not read; give `path` "
                    "or `hub` with safetensors and no `file`, or set the engine to transformers."
                )
            check_local(checkpoint, study.hub)
    own = (f"{name}/{study.study}" for name in ("results", "figures"))
    for name in ("results", "figures", "results/store", "results/dequantised", *own):
        folder = Path(name)
        if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise ScrupleError(
                f"{folder.resolve()}: results go into this folder, and it is a file or cannot be "
                "written to; rename it, or change its permissions."
            )


def _check_own_files(study: Study, benchmark: Benchmark) -> None:
    """Raise an error if a source is a folder here and lacks files, in this language say."""
    own = load_source(study, benchmark.kind, benchmark.source).folder is not None
    paths = [local_path(study, benchmark, file) for file in files_of(study, benchmark)]
    missing = [path for path in paths if own and not path.is_file()]
    if missing:
        raise ScrupleError(
            f"config: benchmark `{benchmark.name}`: source `{benchmark.source}` has no items in "
            f"language `{study.language_of(benchmark)}` ({missing[0]} is missing). Choose another "
            "`language` or `source`, or add the files."
        )


def preflight(
    study: Study,
    rules: Collection[str],
    deployed: Collection[Any],
    asked_here: Iterable[tuple[str, str, str]] = (),
) -> None:
    """Refuse a run that would fail because an engine, memory, a checkpoint or a file is missing.

    Args:
        study: the study.
        rules: names of the rules whose jobs are to run.
        deployed: snakemake's software deployment methods in this run, if any.
        asked_here: (family, checkpoint, benchmark) of the jobs that ask on this machine.

    Raises:
        ScrupleError: if anything is missing; one message lists it with the remedies.
    """
    if not deployed and any(name.startswith("respond") for name in rules):
        _check_engine(study)
    refused = []
    for check in (
        partial(check_memory_here, study, dict.fromkeys(job[:2] for job in asked_here)),
        partial(_check_network, study, rules),
    ):
        try:
            check()
        except ScrupleError as error:
            refused.append(str(error))
    if refused:
        raise ScrupleError("\n".join(refused))


def _check_engine(study: Study) -> None:
    if study.compute.engine == "vllm" and find_spec("vllm") is None:
        raise ScrupleError(
            "config: `compute.engine` is vllm, and it is not installed in this environment: make "
            "one with `pip install -e '.[vllm]'` and run snakemake from it, or let snakemake make "
            "it (`--software-deployment-method conda`), or set the engine to transformers."
        )


def _check_network(study: Study, rules: Collection[str]) -> None:
    if not {"fetch_checkpoint", "download_source"} & set(rules):
        return
    checkpoints, files = missing_checkpoints(study), missing_files(study)
    refused, silent, needed = _looked_up(study, checkpoints)
    if refused:
        raise ScrupleError(
            f"The study `{study.study}` cannot start: {len(refused)} of its checkpoints cannot be "
            "had.\n" + "\n".join(f"  - {reason}" for reason in refused)
        )
    if files:
        silent += _unreachable(files[0])
    if silent:
        raise ScrupleError(_absent(study, checkpoints, files, silent))
    if needed:
        check_room(needed, f"The study `{study.study}`")


def _looked_up(study: Study, checkpoints: Sequence[Checkpoint]) -> tuple[list[str], list[str], int]:
    """Look up checkpoints on the hub; return refusals, unreachable hosts and bytes to fetch."""
    refused, silent, needed = [], [], 0

    def ask(checkpoint: Checkpoint) -> Remote | ScrupleError:
        try:
            return look_up(checkpoint, study.hub, _say, _TRIES)
        except ScrupleError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        for checkpoint, found in zip(checkpoints, pool.map(ask, checkpoints), strict=True):
            if isinstance(found, Remote):
                needed += missing_bytes(checkpoint, found.files.values())
            elif isinstance(found, Unreachable):
                silent.append(str(found))
            else:
                refused.append(str(found))
    return refused, silent[:1], needed  # all are on one hub, so one message is enough


def _absent(
    study: Study, checkpoints: Sequence[Checkpoint], files: list[str], silent: list[str]
) -> str:
    """Return the message: what is not here yet, which host did not answer, and the remedies."""
    lines = [f"The study `{study.study}` cannot start: part of it is not here yet."]
    if checkpoints:
        names = [f"{c.hub}@{c.revision or 'main'}" for c in checkpoints]
        lines.append(f"  - {len(names)} checkpoints: {_some(names)}")
    if files:
        lines.append(f"  - {len(files)} benchmark files: {_some(files)}")
    lines += [f"  - {reason}" for reason in silent]
    lines += [
        "What you can do:",
        "  - run again when the network and the hub are there (a mirror of it: set HF_ENDPOINT);",
        "  - or fetch on a machine that is connected, with this command and `--until "
        "fetch_checkpoint download_source`, and bring the hub's cache and results/ along;",
    ]
    if files:
        lines.append("  - or put the benchmark files into a folder and name it under `mirror:`;")
    lines.append("  - or see the whole pipeline run without any download: `make demo`.")
    return "\n".join(lines)


def missing_checkpoints(study: Study) -> list[Checkpoint]:
    """Return the hub checkpoints that have neither a manifest nor files in the hub's cache."""
    return [
        checkpoint
        for family in study.families
        for checkpoint in family.checkpoints
        if checkpoint.hub is not None
        and not manifest_path(study.study, family.name, checkpoint.name).is_file()
        and cached_snapshot(checkpoint, study.hub) is None
    ]


def missing_files(study: Study) -> list[str]:
    """Return the URLs of benchmark files that are neither downloaded nor in the mirror."""
    missing = []
    for benchmark in study.benchmarks:
        source = load_source(study, benchmark.kind, benchmark.source)
        if source.url is None:
            continue
        missing += [
            source.url.format(path=file.path)
            for file in files_of(study, benchmark)
            if not local_path(study, benchmark, file).is_file()
            and in_mirror(study, benchmark.kind, file) is None
        ]
    return missing


def check_manifests(study: Study, members: Iterable[tuple[str, str]]) -> None:
    """Raise an error for manifests that are damaged or belong to another checkpoint.

    Args:
        study: the study.
        members: (family, checkpoint) of those that are used as they are.

    Raises:
        ScrupleError: one message with a line per manifest.
    """
    wrong = []
    for family, name in members:
        path = manifest_path(study.study, family, name)
        try:
            if path.is_file():
                Manifest.read(path).check(study.checkpoint(family, name))
        except ScrupleError as error:
            wrong.append(str(error))
    if wrong:
        raise ScrupleError("\n".join(wrong))


def manifest_path(study: str, family: str, checkpoint: str) -> Path:
    """Return the path to which `fetch_checkpoint` writes a checkpoint's manifest."""
    return Path("results") / study / "checkpoints" / family / f"{checkpoint}.json"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _unreachable(url: str) -> list[str]:
    """Return a list with the failure if nothing answers at a URL, else an empty list."""
    import urllib.error
    import urllib.request

    host = "/".join(url.split("/")[:3])
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5).close()
    except urllib.error.HTTPError:
        return []  # the server answers; the job that fetches reports what is wrong
    except (OSError, ValueError) as error:
        return [f"no answer from {plain(host)} ({plain(getattr(error, 'reason', error))})"]
    return []
