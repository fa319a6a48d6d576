"""One look, before the first job, at whether a study can get what it needs."""

from __future__ import annotations

import os
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scruple.checkpoints import cached_snapshot, check_local
from scruple.errors import ScrupleError
from scruple.prompt_check import check_prompts
from scruple.sources import check_mirror, files_of, in_mirror, load_source, local_path
from scruple.study import Study

_HUB = "https://huggingface.co"


def check_study(study: Study) -> None:
    """Refuse what is wrong with a study's own files: prompts, sources, mirror, local checkpoints.

    Raises:
        ScrupleError: naming the file and key.
    """
    check_prompts(study)
    for benchmark in study.benchmarks:
        files_of(study, benchmark)
    check_mirror(study)
    for family in study.families:
        for checkpoint in family.checkpoints:
            if study.compute.engine == "vllm" and checkpoint.package is not None:
                raise ScrupleError(
                    f"config: `compute.engine` is vllm, and checkpoint `{checkpoint.name}` of "
                    f"family `{family.name}` is a GGUF file, which vLLM does not read; give `path` "
                    "or `hub` with safetensors, or set the engine to transformers."
                )
            check_local(checkpoint)
    own = (f"{name}/{study.study}" for name in ("results", "figures"))
    for name in ("results", "figures", "results/store", *own):
        folder = Path(name)
        if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise ScrupleError(
                f"{folder.resolve()}: results go into this folder, and it is a file or cannot be "
                "written to; rename it, or change its permissions."
            )


def preflight(study: Study, rules: Collection[str], deployed: Collection[Any]) -> None:
    """Refuse to start a run that would stop for want of an engine, a checkpoint or a file.

    Args:
        study: the study.
        rules: names of the rules whose jobs are to run.
        deployed: the ways in which snakemake makes environments of its own, if any.

    Raises:
        ScrupleError: one message with everything that is missing and what can be done.
    """
    if not deployed and any(name.startswith("respond") for name in rules):
        _check_engine(study)
    if {"fetch_checkpoint", "download_source"} & set(rules):
        _check_network(study)


def _check_engine(study: Study) -> None:
    if study.compute.engine == "vllm" and find_spec("vllm") is None:
        raise ScrupleError(
            "config: `compute.engine` is vllm, and it is not installed in this environment: make "
            "one with `pip install -e '.[vllm]'` and run snakemake from it, or let snakemake make "
            "it (`--software-deployment-method conda`), or set the engine to transformers."
        )


def _check_network(study: Study) -> None:
    checkpoints = missing_checkpoints(study)
    files = missing_files(study)
    unreachable = []
    if checkpoints:
        unreachable += _unreachable(os.environ.get("HF_ENDPOINT", _HUB), f"{study.study}: hub")
    if files:
        unreachable += _unreachable(files[0], "benchmark files")
    if not unreachable:
        return
    lines = [f"The study `{study.study}` cannot start: part of it is not here yet."]
    if checkpoints:
        lines.append(f"  - {len(checkpoints)} checkpoints: {_some(checkpoints)}")
    if files:
        lines.append(f"  - {len(files)} benchmark files: {_some(files)}")
    lines += [f"  - no answer from {place}" for place in unreachable]
    lines += [
        "What you can do:",
        "  - connect to the network and run again (behind a mirror of the hub: set HF_ENDPOINT);",
        "  - or fetch on a machine that is connected, `snakemake --cores 1 --until "
        "fetch_checkpoint download_source`, and bring the hub's cache and results/ along;",
        "  - or put the benchmark files into a folder and name it under `mirror:` in the config;",
        "  - or see the whole pipeline run without any download: `make demo`.",
    ]
    raise ScrupleError("\n".join(lines))


def missing_checkpoints(study: Study) -> list[str]:
    """Return the hub's checkpoints that are neither fetched nor in the hub's cache."""
    return [
        f"{checkpoint.hub}@{checkpoint.revision or 'main'}"
        for family in study.families
        for checkpoint in family.checkpoints
        if checkpoint.hub is not None
        and not manifest_path(study.study, family.name, checkpoint.name).is_file()
        and cached_snapshot(checkpoint) is None
    ]


def missing_files(study: Study) -> list[str]:
    """Return the addresses of benchmark files that are neither downloaded nor in the mirror."""
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


def manifest_path(study: str, family: str, checkpoint: str) -> Path:
    """Return where `fetch_checkpoint` writes its manifest."""
    return Path("results") / study / "checkpoints" / family / f"{checkpoint}.json"


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _unreachable(url: str, what: str) -> list[str]:
    """Return [where] if nothing answers at a url, else []."""
    import urllib.error
    import urllib.request

    host = "/".join(url.split("/")[:3])
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") and "hub" in what:
        return [f"{host} (HF_HUB_OFFLINE is set)"]
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5).close()
    except urllib.error.HTTPError:
        return []  # something answers; the job that fetches says what is wrong
    except (OSError, ValueError) as error:
        return [f"{host} ({getattr(error, 'reason', error)})"]
    return []
