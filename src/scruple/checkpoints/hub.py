"""Checkpoints of the hub: looked up, then downloaded into the hub's own cache, verified."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scruple.checkpoints.choice import check_code, describing_files, weight_files
from scruple.checkpoints.local import check_safetensors, is_complete
from scruple.errors import ScrupleError
from scruple.families import NOTHING_UNSAFE, Checkpoint, Hub
from scruple.transfer import Pinned, Say, bring, git_blob, patiently, plain

_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True)
class Remote:
    """What the hub has of a checkpoint.

    Attributes:
        commit: that its revision names.
        files: those that are needed → what they must be.
        weights: the names of the weights among them.
    """

    commit: str
    files: dict[str, Pinned]
    weights: list[str]


def place_of(checkpoint: Checkpoint) -> str:
    """Return how messages call a checkpoint of the hub."""
    return f"checkpoint {checkpoint.name} ({checkpoint.hub}@{checkpoint.revision or 'main'})"


def cached_snapshot(checkpoint: Checkpoint, hub: Hub = NOTHING_UNSAFE) -> Path | None:
    """Return a checkpoint's folder in the hub's cache; None if it is not complete there.

    Args:
        checkpoint: one of the hub.
        hub: what may be taken: without leave, pickled weights that lie there do not count.
    """
    from huggingface_hub import try_to_load_from_cache

    assert checkpoint.hub is not None
    found = try_to_load_from_cache(checkpoint.hub, "config.json", revision=checkpoint.revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    return folder if is_complete(folder, hub.allow_pickle) else None


def look_up(checkpoint: Checkpoint, hub: Hub, say: Say, tries: int = 5) -> Remote:
    """Ask the hub for a checkpoint's commit and files; nothing is downloaded.

    Args:
        checkpoint: one of the hub.
        hub: what may be taken.
        say: called before each wait.
        tries: how often a silent or busy hub is asked.

    Raises:
        ScrupleError: if there is no such repository or revision, access is restricted, or its
            weights are of a kind that may not be taken.
        Unreachable: if the hub does not answer.
    """
    from huggingface_hub import HfApi

    assert checkpoint.hub is not None
    name, api, place = checkpoint.hub, HfApi(), place_of(checkpoint)
    revision = checkpoint.revision or "main"
    with _explained(checkpoint):
        info = patiently(
            lambda: api.model_info(name, revision=revision, files_metadata=True, timeout=_TIMEOUT),
            place, say, tries,
        )  # fmt: skip
        if info.gated:  # its files are listed to everyone
            patiently(lambda: api.auth_check(name), place, say, tries)
    pinned = {
        entry.rfilename: Pinned(
            sha256=entry.lfs.sha256 if entry.lfs else None,
            git_blob=None if entry.lfs else entry.blob_id,
            size=entry.lfs.size if entry.lfs else entry.size,
        )
        for entry in info.siblings or []
    }
    weights = weight_files(pinned, hub, place)
    chosen = [*describing_files(pinned, name in hub.allow_code), *weights]
    return Remote(str(info.sha), {key: pinned[key] for key in chosen}, weights)


def missing_bytes(checkpoint: Checkpoint, remote: Remote) -> int:
    """Return how many bytes of a checkpoint are not in the hub's cache yet."""
    blobs = _storage(checkpoint) / "blobs"
    total = 0
    for pinned in remote.files.values():
        blob = blobs / (pinned.sha256 or pinned.git_blob or "")
        part = blob.with_name(f"{blob.name}.partial.incomplete")
        if not blob.is_file():
            total += (pinned.size or 0) - (part.stat().st_size if part.is_file() else 0)
    return total


def check_room(needed: int, what: str) -> None:
    """Refuse to download more than fits on the disk of the hub's cache.

    Raises:
        ScrupleError: with both numbers and the folder.
    """
    cache = cache_folder()
    there = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise ScrupleError(
            f"{what}: {needed / 1e9:.1f} GB are to be downloaded, and {free / 1e9:.1f} GB are free "
            f"where the hub's cache is ({cache}). Make room, set HF_HOME to a folder on a larger "
            "disk, or take fewer checkpoints (`max_params`)."
        )


def cache_folder() -> Path:
    """Return the folder of the hub's cache, as HF_HOME and the like say."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE).expanduser()


def download(checkpoint: Checkpoint, remote: Remote, hub: Hub, say: Say) -> Path:
    """Bring a checkpoint's files into the hub's cache.

    What describes it comes first, since it may be a reason not to go on; then the weights, part by
    part, each verified before it is there. What an earlier run has brought is kept.

    Returns:
        The folder of its snapshot.

    Raises:
        ScrupleError: if it cannot be had, is not what the hub says, or does not fit on the disk.
    """
    from huggingface_hub import HfApi, hf_hub_download, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    assert checkpoint.hub is not None
    name, place = checkpoint.hub, place_of(checkpoint)
    check_room(missing_bytes(checkpoint, remote), place)
    storage = _storage(checkpoint)
    locks = storage.parent / ".locks" / storage.name  # where other users of the cache look too

    def link(file: str) -> Path:
        return Path(
            patiently(lambda: hf_hub_download(name, file, revision=remote.commit), place, say)
        )

    with _explained(checkpoint):
        # writes down which commit the revision names, so that it is found without a network
        patiently(lambda: HfApi().resolve_revision(name, revision=checkpoint.revision), place, say)
        for file in remote.files:
            if file not in remote.weights:
                folder = link(file).parent
        check_code(folder, name, hub, place)
        for number, file in enumerate(remote.weights, 1):
            pinned = remote.files[file]
            if pinned.sha256 is not None:
                bring(
                    hf_hub_url(name, file, revision=remote.commit),
                    storage / "blobs" / pinned.sha256, pinned, say,
                    lock=locks / f"{pinned.sha256}.lock",
                    title=f"{checkpoint.name} {number}/{len(remote.weights)}",
                    headers=build_hf_headers(),
                )  # fmt: skip
            link(file)
    return folder


def remove_damaged(
    checkpoint: Checkpoint, folder: Path, files: Mapping[str, str], remote: Remote | None, say: Say
) -> list[str]:
    """Return the damaged files of a snapshot, taken out of the cache if there is a network.

    Args:
        checkpoint: one of the hub.
        folder: its snapshot.
        files: the names of the files that are used → SHA-256 of what they hold.
        remote: what the hub says; without it, the cache's own record of the hashes counts.
        say: called with what is found.

    Raises:
        ScrupleError: if weights are what the hub has, and no safetensors.
    """
    from huggingface_hub.constants import is_offline_mode

    damaged = []
    for file, found in files.items():
        path = folder / file
        pinned = remote.files[file] if remote else _recorded(path)
        if pinned.sha256 is None and pinned.git_blob is not None:
            found = git_blob(path.read_bytes())
        expected = pinned.sha256 or pinned.git_blob or found
        if found != expected:
            say(f"{checkpoint.name}: {file} is damaged: expected {expected}, found {found}")
            damaged.append(file)
        elif file.endswith(".safetensors"):
            check_safetensors(path, checkpoint.name)
    if not is_offline_mode():
        for file in damaged:
            (folder / file).resolve().unlink(missing_ok=True)
            (folder / file).unlink(missing_ok=True)
    return damaged


def _recorded(path: Path) -> Pinned:
    """Return what the cache says of a file: its content lies under the name of its hash."""
    name = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", name):
        return Pinned(sha256=name)
    return Pinned(git_blob=name) if re.fullmatch(r"[0-9a-f]{40}", name) else Pinned()


def _storage(checkpoint: Checkpoint) -> Path:
    from huggingface_hub.file_download import repo_folder_name

    return cache_folder() / repo_folder_name(repo_id=str(checkpoint.hub), repo_type="model")


@contextlib.contextmanager
def _explained(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn what the hub's client raises into a message with a remedy."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
        RevisionResolutionError,
    )

    place = place_of(checkpoint)
    try:
        yield
    except GatedRepoError:
        raise ScrupleError(
            f"{place}: access is restricted; accept its terms on the hub's page and log in with "
            "`hf auth login` (or set HF_TOKEN)."
        ) from None
    except RevisionNotFoundError:
        raise ScrupleError(
            f"{place}: the hub has no revision {checkpoint.revision!r}; correct `revision`."
        ) from None
    except RepositoryNotFoundError:
        raise ScrupleError(
            f"{place}: the hub has no such public repository; correct `hub`, or log in with "
            "`hf auth login` if it is private."
        ) from None
    except (HfHubHTTPError, RevisionResolutionError, OSError) as error:
        raise ScrupleError(
            f"{place}: cannot be fetched from the hub ({plain(error)}). Run again when the network "
            "is there; what was downloaded is kept."
        ) from None
