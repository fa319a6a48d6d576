"""The benchmarks' files: pinned, fetched once, verified. Cheap to import: the Snakefile does."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from scruple.errors import ScrupleError
from scruple.messages import explain
from scruple.study import Benchmark, Study, read_yaml, resolve

_RETRIES = 3
_TIMEOUT = 20.0  # seconds


class SourceFile(BaseModel):
    """One file of a source, and the hash that it must have."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: str
    category: str | None = None
    optional: bool = False
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    git_blob: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None

    @property
    def name(self) -> str:
        """Return the file's name without its folders."""
        return self.path.rsplit("/", 1)[-1]


class Source(BaseModel):
    """Where the items of one kind of benchmark come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    about: str
    licence: str
    url: str | None = None
    folder: str | None = None
    files: tuple[SourceFile, ...]


class Sources(RootModel[dict[str, dict[str, Source]]]):
    """All sources: kind of benchmark → name → source."""


def load_source(study: Study, kind: str, name: str) -> Source:
    """Return one source of `data/sources.yaml`.

    Raises:
        ScrupleError: if the file is wrong or has no such source.
    """
    path = resolve(study.sources)
    try:
        sources = Sources.model_validate(read_yaml(path)).root
    except ValidationError as error:
        raise ScrupleError(explain(error, Source, str(path))) from None
    known = sources.get(kind, {})
    if name not in known:
        raise ScrupleError(
            f"config: `benchmarks`: {path} has no source {name!r} for {kind}; there are: "
            f"{', '.join(known)}. Choose one of them or add it."
        )
    return known[name]


def files_of(study: Study, benchmark: Benchmark) -> list[SourceFile]:
    """Return the files that a benchmark needs: all, or those of the categories asked for.

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
    """Return where a file is, or will be once it is fetched."""
    source = load_source(study, benchmark.kind, benchmark.source)
    if source.folder is not None:
        return resolve(source.folder.format(language=study.language)) / file.path
    return Path("results") / "sources" / benchmark.kind / benchmark.source / file.name


def in_mirror(study: Study, kind: str, file: SourceFile) -> Path | None:
    """Return a file's place in the study's mirror; None if it is not there."""
    if study.mirror is None:
        return None
    folder = resolve(study.mirror) / kind
    places = (folder / file.name, folder / file.path)
    return next((place for place in places if place.is_file()), None)


def check_mirror(study: Study) -> None:
    """Refuse a mirror that lacks a file the study needs.

    Raises:
        ScrupleError: naming the folder and the files.
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


def fetch(
    study: Study, benchmark: Benchmark, file: SourceFile, target: Path, say: Callable[[str], Any]
) -> None:
    """Bring one file to its place: from the mirror or the network, verified, never half-written.

    Args:
        study: names the mirror.
        benchmark: names kind and source.
        file: which file.
        target: where it goes.
        say: called with what is done, for the log.

    Raises:
        ScrupleError: if it cannot be had or is not the pinned file.
    """
    source = load_source(study, benchmark.kind, benchmark.source)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        mirrored = in_mirror(study, benchmark.kind, file)
        if mirrored is not None:
            say(f"copying {mirrored}")
            shutil.copyfile(mirrored, part)
            origin = str(mirrored)
        else:
            origin = (source.url or "").format(path=file.path)
            say(f"downloading {origin}")
            _download(origin, part)
        verify(part, file, origin)
        os.replace(part, target)
    except OSError as error:
        raise ScrupleError(f"{target}: cannot be written ({error}).") from None
    finally:
        part.unlink(missing_ok=True)


def verify(path: Path, file: SourceFile, origin: str) -> None:
    """Compare a file with its pinned hash.

    Raises:
        ScrupleError: if it differs, naming both hashes.
    """
    content = path.read_bytes()
    pinned, found = file.sha256, hashlib.sha256(content).hexdigest()
    if pinned is None:
        pinned, found = file.git_blob, git_blob(content)
    if pinned is not None and pinned != found:
        raise ScrupleError(
            f"{origin}: not the file that data/sources.yaml pins: expected {pinned}, found "
            f"{found}. Fetch it again, or correct the mirror's copy."
        )


def git_blob(content: bytes) -> str:
    """Return the hash that git gives a file of that content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _download(url: str, target: Path) -> None:
    for attempt in range(1, _RETRIES + 1):
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, target.open("wb") as out:
                shutil.copyfileobj(answer, out)
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            gone = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if attempt == _RETRIES or gone:
                reason = getattr(error, "reason", error)
                raise ScrupleError(
                    f"{url}: cannot be downloaded ({reason}). Connect to the network, or put the "
                    "file into a folder and name that folder under `mirror:` in the config."
                ) from None
            time.sleep(2**attempt)
