"""Checkpoints of the hub: looked up, then downloaded into the hub's own cache, verified."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scruple.checkpoints.cache import cache_folder, check_room, missing_bytes, recorded, storage_of
from scruple.checkpoints.choice import check_code, check_parts, describing_files, weight_files
from scruple.checkpoints.local import TOKENIZERS, check_safetensors
from scruple.errors import ScrupleError
from scruple.fetch.transfer import Pinned, Say, bring, git_blob, patiently, plain
from scruple.study.families import Checkpoint, Hub

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
    if not api.endpoint.startswith(("http://", "https://")):
        raise ScrupleError(
            f"HF_ENDPOINT is {plain(api.endpoint)!r}, which is no address; write it with https://, "
            "or unset it."
        )
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
    if "config.json" not in pinned or not TOKENIZERS & set(pinned):
        lacking = "tokenizer" if "config.json" in pinned else "config.json"
        raise ScrupleError(
            f"{place}: the repository has no {lacking}; take a checkpoint that has one, or a local "
            "folder (`path`) into which one was saved."
        )
    weights = weight_files(pinned, hub, place)
    chosen = [*describing_files(pinned, name in hub.allow_code), *weights]
    return Remote(str(info.sha), {key: pinned[key] for key in chosen}, weights)


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
    check_room(missing_bytes(checkpoint, remote.files.values()), place)
    storage = storage_of(checkpoint)
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
        check_parts(folder, remote.weights, place)
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
        pinned = remote.files[file] if remote else recorded(path)
        if pinned.sha256 is None and pinned.git_blob is not None:
            found = git_blob(path.read_bytes())
        expected = pinned.sha256 or pinned.git_blob or found
        if found != expected:
            say(f"{checkpoint.name}: {file} is damaged: expected {expected}, found {found}")
            damaged.append(file)
        elif file.endswith(".safetensors"):
            check_safetensors(path, checkpoint.name)
    if not is_offline_mode():
        with contextlib.suppress(OSError):  # a cache that is only read stays as it is
            for file in damaged:
                (folder / file).resolve().unlink(missing_ok=True)
                (folder / file).unlink(missing_ok=True)
    return damaged


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
        if isinstance(error, OSError) and error.errno is not None:
            raise ScrupleError(
                f"{place}: the hub's cache, {cache_folder()}, cannot be written to "
                f"({plain(error)}). Make room or set its permissions, or set HF_HOME to another "
                "folder."
            ) from None
        raise ScrupleError(
            f"{place}: cannot be fetched from the hub ({plain(error)}). Run again when the network "
            "is there; what was downloaded is kept."
        ) from None
