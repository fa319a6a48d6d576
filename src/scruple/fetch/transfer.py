"""Brings one file here over the network: resumed, waited for, verified, never half-written."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from scruple.errors import ScrupleError

Say = Callable[[str], Any]
"""Called with what is done, for the log."""
Result = TypeVar("Result")

_BUSY = (408, 429, 500, 502, 503, 504)
_LARGE, _PIECE = 1 << 30, 8 << 20
"""Bytes of a file from which on hashing it shows progress; bytes that are read at a time."""
_CHUNK = 1 << 16
"""Bytes that are written at a time while they come."""
_LONGEST = 120.0
"""Seconds that a server's request to wait is heeded for, at most."""


@dataclass(frozen=True)
class Pinned:
    """What a file must be.

    Attributes:
        sha256: hash of its content; where it is None, `git_blob` counts.
        git_blob: the hash that git gives a file of that content; None if that is unknown too.
        size: in bytes; None if unknown.
    """

    sha256: str | None = None
    git_blob: str | None = None
    size: int | None = None


class Unreachable(ScrupleError):
    """A server gave no answer, or none but that it is busy, each time that it was asked."""


def found_instead(path: Path, pinned: Pinned) -> tuple[str, str] | None:
    """Return the hash that a file must have and the one that it has; None if they are the same."""
    if pinned.sha256 is not None:
        expected, found = pinned.sha256, sha256(path)
    elif pinned.git_blob is not None:
        expected, found = pinned.git_blob, git_blob(path.read_bytes())
    else:
        return None
    return None if expected == found else (expected, found)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, with a progress bar for a large one."""
    found, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file, _bar()(
        total=size, desc=f"hashing {path.name}", unit="B", unit_scale=True, disable=size < _LARGE
    ) as bar:  # fmt: skip
        while piece := file.read(_PIECE):
            found.update(piece)
            bar.update(len(piece))
    return found.hexdigest()


def git_blob(content: bytes) -> str:
    """Return the hash that git gives a file of that content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def plain(text: object) -> str:
    """Return a message's first line, without a password that an address may hold."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return re.sub(r"//[^/@\s]+@", "//", lines[0] if lines else type(text).__name__)


def patiently(ask: Callable[[], Result], place: str, say: Say, tries: int = 5) -> Result:
    """Return what a server answers; ask again while it is busy, asks to wait, or is silent.

    Args:
        ask: asks once, and raises what huggingface_hub or its HTTP library do.
        place: what is asked for, for the messages.
        say: called before each wait.
        tries: how often it is asked.

    Raises:
        Unreachable: if it gave no answer at the last try either.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils import parse_ratelimit_headers

    for attempt in range(tries):
        wait = 2.0**attempt
        try:
            return ask()
        except HfHubHTTPError as error:
            if error.response.status_code not in _BUSY:
                raise
            headers = error.response.headers
            told = headers.get("Retry-After", "")
            limit = parse_ratelimit_headers(headers)
            if told.isdigit():
                wait = float(told)
            elif limit is not None and limit.remaining == 0:
                wait = limit.reset_in_seconds + 1.0
            reason = f"{error.response.status_code} {error.response.reason_phrase}"
        except OfflineModeIsEnabled:
            raise Unreachable(f"{place}: not asked for, since HF_HUB_OFFLINE is set") from None
        except httpx2.TransportError as error:
            reason = plain(error)
        if attempt < tries - 1:
            say(f"{place}: {reason}; asking again in {min(wait, _LONGEST):.0f} s")
            time.sleep(min(wait, _LONGEST))
    raise Unreachable(f"{place}: given up after {tries} tries ({reason})")


def bring(
    url: str,
    target: Path,
    pinned: Pinned,
    say: Say,
    *,
    lock: Path,
    title: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Download a file to its place, unless it is there; go on where an earlier run stopped.

    What has come so far is kept beside the target. Another process that brings the same file is
    waited for. A file that differs from its hash is fetched once more from its beginning.

    Args:
        url: where it is.
        target: where it goes.
        pinned: what it must be.
        say: called with what is done.
        lock: file on which processes wait for each other.
        title: what the progress bar and the messages call it.
        headers: of the request.

    Raises:
        ScrupleError: if it differs from its hash twice, or cannot be written.
        Unreachable: if the server does not answer.
        HfHubHTTPError: if it answers that there is no such file, or that it may not be had.
    """
    from huggingface_hub.errors import HfHubHTTPError

    part = part_of(target)
    try:
        with _alone(lock, title, say):
            if target.exists():
                return
            wrong = _fetched(url, part, pinned, title, dict(headers or {}), say)
            if wrong is not None:
                say(f"{title}: damaged on the way; fetching it again from the beginning")
                wrong = _fetched(url, part, pinned, title, dict(headers or {}), say)
            if wrong is None:
                os.replace(part, target)
                return
    except HfHubHTTPError:
        raise
    except OSError as error:
        raise ScrupleError(f"{title}: {target} cannot be written ({plain(error)}).") from None
    raise ScrupleError(
        f"{title}: {plain(url)} is not the file that it should be: expected {wrong[0]}, found "
        f"{wrong[1]}, twice. Nothing of it was kept; try again later, or from another mirror."
    )


def _fetched(
    url: str, part: Path, pinned: Pinned, title: str, headers: dict[str, str], say: Say
) -> tuple[str, str] | None:
    """Complete a part; if its hash is wrong, remove it and return the right and the wrong one."""
    _download(url, part, pinned, title, headers, say)
    wrong = found_instead(part, pinned)
    if wrong is not None:
        part.unlink()
    return wrong


def part_of(target: Path) -> Path:
    """Return where what has come of a file so far is kept."""
    return target.with_name(f"{target.name}.partial.incomplete")


@contextlib.contextmanager
def _alone(lock: Path, title: str, say: Say) -> Iterator[None]:
    """Hold a lock, and say so before waiting for another process."""
    from filelock import Timeout
    from huggingface_hub.utils import WeakFileLock

    lock.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(WeakFileLock(lock, timeout=0.1))
        except Timeout:
            say(f"{title}: another run is fetching it; waiting")
            stack.enter_context(WeakFileLock(lock))
        yield


def _download(
    url: str, part: Path, pinned: Pinned, title: str, headers: dict[str, str], say: Say
) -> None:
    """Append what is missing to a part; huggingface_hub resumes a connection that breaks."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get

    # a chunk that has not come whole is lost when the connection breaks: the library's has 10 MB
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
    headers["Accept-Encoding"] = "identity"  # a range is one of the file, not of its compression

    def ask() -> None:
        there = part.stat().st_size if part.exists() else 0
        if pinned.size is not None and there > pinned.size:
            part.unlink()
            there = 0
        say(f"{title}: going on at byte {there:,}" if there else f"{title}: downloading")
        with part.open("ab") as file:
            http_get(
                url, file, resume_size=there, headers=headers, expected_size=pinned.size,
                displayed_filename=title, tqdm_class=_bar(),
            )  # fmt: skip

    try:
        patiently(ask, title, say)
    except HfHubHTTPError as error:
        if error.response.status_code != 416:  # there, nothing is left to ask for
            raise
    except OSError as error:
        if error.errno is not None:  # of the disk; else the size is wrong, and the hash decides
            raise


def _bar() -> Any:
    """Return the class of progress bars: a line now and then where there is no terminal."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            pace = 0.5 if sys.stderr.isatty() else 10
            super().__init__(*args, **{**options, "file": sys.stderr, "mininterval": pace})

    return Bar
