"""Downloads of single files: resumed, retried, verified, moved into place only when complete."""

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
"""Called with progress messages for the log."""
Result = TypeVar("Result")

_BUSY = (408, 429, 500, 502, 503, 504)
_LARGE, _PIECE = 1 << 30, 8 << 20
"""File size in bytes from which hashing shows a progress bar; bytes that are read at a time."""
_CHUNK = 1 << 16
"""Bytes that are received and written at a time."""
_LONGEST = 120.0
"""Longest wait between two attempts in seconds, even if the server asks for more."""


@dataclass(frozen=True)
class Pinned:
    """The expected content of a file.

    Attributes:
        sha256: SHA-256 of the content; if it is None, `git_blob` is used.
        git_blob: git's blob hash of the content; None if that is unknown too.
        size: size in bytes; None if unknown.
    """

    sha256: str | None = None
    git_blob: str | None = None
    size: int | None = None


class Unreachable(ScrupleError):
    """A server did not answer or was busy at every attempt, or HF_HUB_OFFLINE is set."""


def found_instead(path: Path, pinned: Pinned) -> tuple[str, str] | None:
    """Return the expected and the actual hash of a file; None if they agree or none is pinned."""
    if pinned.sha256 is not None:
        expected, found = pinned.sha256, sha256(path)
    elif pinned.git_blob is not None:
        expected, found = pinned.git_blob, git_blob(path.read_bytes())
    else:
        return None
    return None if expected == found else (expected, found)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content; large files get a progress bar."""
    found, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file, _bar()(
        total=size, desc=f"hashing {path.name}", unit="B", unit_scale=True, disable=size < _LARGE
    ) as bar:  # fmt: skip
        while piece := file.read(_PIECE):
            found.update(piece)
            bar.update(len(piece))
    return found.hexdigest()


def git_blob(content: bytes) -> str:
    """Return git's blob hash of a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def plain(text: object) -> str:
    """Return the first line of a message, without credentials in URLs."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return re.sub(r"//[^/@\s]+@", "//", lines[0] if lines else type(text).__name__)


def patiently(ask: Callable[[], Result], place: str, say: Say, tries: int = 5) -> Result:
    """Call a function that sends a request, and retry while the server is busy or does not answer.

    The wait between attempts doubles from 1 s, unless the server says how long to wait.

    Args:
        ask: sends one request; raises the errors of huggingface_hub and of its HTTP library.
        place: name of what is requested, for messages.
        say: called with a message before each wait.
        tries: number of attempts.

    Returns:
        The return value of `ask`.

    Raises:
        Unreachable: if the last attempt fails too, or HF_HUB_OFFLINE is set.
        HfHubHTTPError: if the server answers with any other error.
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
    """Download a file unless it exists, and resume where an earlier run stopped.

    A partial download is kept next to the target. If another process is downloading the same file,
    this one waits for it. If the hash is wrong, the file is downloaded once more from the start.

    Args:
        url: address of the file.
        target: path to write to.
        pinned: expected content.
        say: called with progress messages.
        lock: lock file that processes downloading the same file share.
        title: name in the progress bar and in messages.
        headers: headers of the request.

    Raises:
        ScrupleError: if the hash is wrong twice, or the file cannot be written.
        Unreachable: if the server does not answer.
        HfHubHTTPError: if the server refuses the request, for example because the file does not
            exist or access is denied.
    """
    from huggingface_hub.errors import HfHubHTTPError

    part = part_of(target)
    try:
        with alone(lock, title, say):
            if target.exists():
                return
            target.parent.mkdir(parents=True, exist_ok=True)
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
    """Complete a partial file; on a wrong hash, delete it and return expected and actual hash."""
    _download(url, part, pinned, title, headers, say)
    wrong = found_instead(part, pinned)
    if wrong is not None:
        part.unlink()
    return wrong


def part_of(target: Path) -> Path:
    """Return the path of a file's partial download."""
    return target.with_name(f"{target.name}.partial.incomplete")


@contextlib.contextmanager
def alone(lock: Path, title: str, say: Say) -> Iterator[None]:
    """Hold a lock; if another process has it, say so and wait.

    Args:
        lock: the lock file; its folder need not exist.
        title: what is being done, for the message.
        say: called with a message before waiting.
    """
    from filelock import Timeout
    from huggingface_hub.utils import WeakFileLock

    lock.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(WeakFileLock(lock, timeout=0.1))
        except Timeout:
            say(f"{title}: another run is at it; waiting")
            stack.enter_context(WeakFileLock(lock))
        yield


def _download(
    url: str, part: Path, pinned: Pinned, title: str, headers: dict[str, str], say: Say
) -> None:
    """Append the missing bytes to a partial file; huggingface_hub resumes broken connections."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get

    # a broken connection loses the incomplete chunk, which the library makes 10 MB large
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
    headers["Accept-Encoding"] = "identity"  # byte ranges must refer to the uncompressed file

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
        if error.response.status_code != 416:  # 416: the file is already complete
            raise
    except OSError as error:
        if error.errno is not None:  # disk error; else a wrong size, left to the hash
            raise


def _bar() -> Any:
    """Return a tqdm class for stderr that updates every 10 s if stderr is not a terminal."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            pace = 0.5 if sys.stderr.isatty() else 10
            super().__init__(*args, **{**options, "file": sys.stderr, "mininterval": pace})

    return Bar
