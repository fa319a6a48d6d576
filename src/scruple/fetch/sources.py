"""The benchmarks' files: pinned by hash, fetched once, verified.

This module must stay fast to import, because the Snakefile imports it.
"""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from scruple.errors import ScrupleError
from scruple.fetch.transfer import Pinned, Say, Unreachable, bring, found_instead, plain
from scruple.files import whole
from scruple.study.messages import explain
from scruple.study.model import Study, read_yaml, resolve
from scruple.study.settings import Benchmark


class SourceFile(BaseModel):
    """One file of a source, and its pinned hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: str
    category: str | None = None
    optional: bool = False
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    git_blob: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None

    @property
    def name(self) -> str:
        """Return the file name without its folders."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def pinned(self) -> Pinned:
        """Return the hash that the content must have."""
        return Pinned(sha256=self.sha256, git_blob=self.git_blob)


class Source(BaseModel):
    """A place from which a kind of benchmark gets its items: a URL or a folder of the project."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    about: str
    licence: str
    url: str | None = None
    folder: str | None = None
    files: tuple[SourceFile, ...]


class Sources(RootModel[dict[str, dict[str, Source]]]):
    """All sources: kind of benchmark → name → source."""


def load_source(study: Study, kind: str, name: str) -> Source:
    """Return one source from the study's sources file.

    Args:
        study: the study, which names the file.
        kind: kind of benchmark.
        name: name of the source.

    Raises:
        ScrupleError: if the file is not valid or does not contain the source.
    """
    path = resolve(study.sources)
    state = path.stat() if path.is_file() else None
    key = (state.st_mtime_ns, state.st_size) if state else (0, 0)
    known = _read(path, *key).get(kind, {})
    if name not in known:
        raise ScrupleError(
            f"config: `benchmarks`: {path} has no source {name!r} for {kind}; there are: "
            f"{', '.join(known) or 'none'}. Choose one of them or add it."
        )
    return known[name]


@lru_cache(maxsize=8)
def _read(path: Path, changed: int, size: int) -> dict[str, dict[str, Source]]:
    """Read the file of sources once, as long as it does not change."""
    try:
        return Sources.model_validate(read_yaml(path)).root
    except ValidationError as error:
        raise ScrupleError(explain(error, Source, str(path))) from None


def files_of(study: Study, benchmark: Benchmark) -> list[SourceFile]:
    """Return the files that a benchmark needs: all, or those of its `categories`.

    Optional files that the study's mirror lacks are left out.

    Raises:
        ScrupleError: if a category does not exist.
    """
    source = load_source(study, benchmark.kind, benchmark.source)
    known = {file.category for file in source.files if file.category}
    wanted = set(benchmark.categories or known)
    if unknown := sorted(wanted - known):
        raise ScrupleError(
            f"config: benchmark `{benchmark.name}`: `categories` names {', '.join(unknown)}, "
            f"which {benchmark.source} does not have; there are: {', '.join(sorted(known))}."
        )
    chosen = [file for file in source.files if file.category is None or file.category in wanted]
    lacking = {
        file.path
        for file in chosen
        if file.optional and study.mirror and in_mirror(study, benchmark.kind, file) is None
    }
    return [file for file in chosen if file.path not in lacking]


def local_path(study: Study, benchmark: Benchmark, file: SourceFile) -> Path:
    """Return the path of a file in this project, whether or not it has been fetched."""
    source = load_source(study, benchmark.kind, benchmark.source)
    if source.folder is not None:
        return resolve(source.folder.format(language=study.language_of(benchmark))) / file.path
    return Path("results") / "sources" / benchmark.kind / benchmark.source / file.name


def in_mirror(study: Study, kind: str, file: SourceFile) -> Path | None:
    """Return a file's path in the study's mirror; None if the mirror does not contain it."""
    if study.mirror is None:
        return None
    folder = resolve(study.mirror) / kind
    places = (folder / file.name, folder / file.path)
    return next((place for place in places if place.is_file()), None)


def check_mirror(study: Study) -> None:
    """Check that the mirror, if there is one, contains the files that the study needs.

    Raises:
        ScrupleError: if files are missing; the message names the folder and the files.
    """
    if study.mirror is None:
        return
    folder = resolve(study.mirror)
    missing = [
        f"{benchmark.kind}/{file.name}"
        for benchmark in study.benchmarks
        for file in files_of(study, benchmark)
        if load_source(study, benchmark.kind, benchmark.source).url is not None
        and in_mirror(study, benchmark.kind, file) is None
        and not local_path(study, benchmark, file).is_file()
    ]
    if missing:
        raise ScrupleError(
            f"config: `mirror`: {folder} lacks {', '.join(missing)}; put them there, narrow the "
            "benchmark's `categories`, or remove `mirror` to download them."
        )


def fetch(study: Study, benchmark: Benchmark, file: SourceFile, target: Path, say: Say) -> None:
    """Fetch one file from the mirror or the network, verify it, and write it atomically.

    Args:
        study: the study, which names the mirror.
        benchmark: the benchmark, which names kind and source.
        file: the file to fetch.
        target: path to write to.
        say: called with progress messages for the log.

    Raises:
        ScrupleError: if the file cannot be fetched, or differs from the pinned one.
    """
    mirrored = in_mirror(study, benchmark.kind, file)
    if mirrored is not None:
        say(f"copying {mirrored}")
        verify(mirrored, file)
        with whole(target) as part:
            shutil.copyfile(mirrored, part)
        return
    source = load_source(study, benchmark.kind, benchmark.source)
    url = (source.url or "").format(path=file.path)
    say(f"downloading {plain(url)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        bring(
            url, target, file.pinned, say,
            lock=target.with_name(f".{target.name}.lock"), title=file.name,
        )  # fmt: skip
    except (Unreachable, OSError) as error:
        raise ScrupleError(
            f"{plain(url)}: cannot be downloaded ({plain(error)}). Connect to the network, or put "
            "the file into a folder and name that folder under `mirror:` in the config."
        ) from None


def verify(path: Path, file: SourceFile) -> None:
    """Compare a file with its pinned hash.

    Raises:
        ScrupleError: if the hash differs; the message names both hashes.
    """
    wrong = found_instead(path, file.pinned)
    if wrong is not None:
        raise ScrupleError(
            f"{path}: not the file that data/sources.yaml pins: expected {wrong[0]}, found "
            f"{wrong[1]}. Correct the mirror's copy, or remove it to download the file."
        )
