"""Look up checkpoints on the hub, download them into the hub's cache and verify them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scruple.checkpoints.cache import cache_folder, check_room, missing_bytes, recorded, storage_of
from scruple.checkpoints.choice import (
    check_code,
    check_parts,
    describing_files,
    gguf_hint,
    has_tokenizer,
    weight_files,
)
from scruple.checkpoints.gguf import check_gguf
from scruple.checkpoints.local import check_safetensors
from scruple.checkpoints.location import Location
from scruple.checkpoints.tokenizer import load_tokenizer
from scruple.errors import ScrupleError
from scruple.fetch.transfer import Pinned, Say, bring, git_blob, patiently, plain
from scruple.prompts.rendering import check_writing
from scruple.study.families import Checkpoint, Hub, Writing

_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True)
class Remote:
    """The commit and files of a checkpoint on the hub.

    Attributes:
        commit: the commit that the revision refers to.
        files: name of each file that is needed → its hash and size.
        weights: the names of the weight files among them.
    """

    commit: str
    files: dict[str, Pinned]
    weights: list[str]


def place_of(checkpoint: Checkpoint) -> str:
    """Return the name of a checkpoint of the hub for messages."""
    return f"checkpoint {checkpoint.name} ({checkpoint.hub}@{checkpoint.revision or 'main'})"


def look_up(checkpoint: Checkpoint, hub: Hub, say: Say, tries: int = 5) -> Remote:
    """Query the hub for a checkpoint's commit and files, without downloading anything.

    Args:
        checkpoint: a checkpoint of the hub.
        hub: what may be used from the hub.
        say: called with a message before each wait.
        tries: how often to try if the hub is busy or does not answer.

    Raises:
        ScrupleError: if HF_ENDPOINT is not a URL, the repository or revision does not exist, access
            is restricted, config.json, the tokenizer or the GGUF file is missing, or the
            weights are missing or in a format that is not allowed.
        Unreachable: if the hub does not answer, or HF_HUB_OFFLINE is set.
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
        if info.gated:  # anyone may list the files, so check access separately
            patiently(lambda: api.auth_check(name), place, say, tries)
    pinned = {
        entry.rfilename: Pinned(
            sha256=entry.lfs.sha256 if entry.lfs else None,
            git_blob=None if entry.lfs else entry.blob_id,
            size=entry.lfs.size if entry.lfs else entry.size,
        )
        for entry in info.siblings or []
    }
    if checkpoint.file is not None:
        if checkpoint.file not in pinned:
            there = sorted(file for file in pinned if file.endswith(".gguf"))
            raise ScrupleError(
                f"{place}: the repository has no file {checkpoint.file}; its GGUF files: "
                f"{', '.join(there) or 'none'}. Correct `file`."
            )
        return Remote(str(info.sha), {checkpoint.file: pinned[checkpoint.file]}, [checkpoint.file])
    code = name in hub.allow_code
    if "config.json" not in pinned or not has_tokenizer(pinned, code):
        lacking = "tokenizer" if "config.json" in pinned else "config.json"
        raise ScrupleError(
            f"{place}: the repository has no {lacking}; take a checkpoint that has one, or a local "
            f"folder (`path`) into which one was saved.{gguf_hint(pinned)}"
        )
    weights = weight_files(pinned, hub, place)
    chosen = [*describing_files(pinned, code), *weights]
    return Remote(str(info.sha), {key: pinned[key] for key in chosen}, weights)


def download(
    checkpoint: Checkpoint, remote: Remote, hub: Hub, say: Say, writing: Writing | None = None
) -> Path:
    """Download a checkpoint's files into the hub's cache.

    Config and tokenizer files come first, since they may show that the checkpoint cannot be used.
    Then come the weight files, each verified before it is moved to its final name. Files from an
    earlier run are kept.

    Returns:
        The folder of the snapshot.

    Raises:
        ScrupleError: if the checkpoint cannot be downloaded, needs code that is not allowed, lacks
            a weight file, has no tokenizer that transformers can read or no chat template that can
            be used, does not match the hub's hashes, or does not fit on the disk.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    assert checkpoint.hub is not None
    name, place = checkpoint.hub, place_of(checkpoint)
    check_room(missing_bytes(checkpoint, remote.files.values()), place)
    storage = storage_of(checkpoint)
    locks = storage.parent / ".locks" / storage.name  # huggingface_hub's own lock folder
    folder = describe(checkpoint, remote, say)
    with _explained(checkpoint):
        if checkpoint.file is None:
            check_parts(folder, remote.weights, place)
            if not check_code(folder, name, hub, place):  # its own code runs in the jobs that ask
                tokenizer = load_tokenizer(Location(place, str(folder))).tokenizer
                if writing is not None:
                    check_writing(writing, tokenizer, checkpoint.name)
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
            _link(checkpoint, remote, file, say)
    return folder


def describe(checkpoint: Checkpoint, remote: Remote, say: Say) -> Path:
    """Download a checkpoint's config and tokenizer files, without its weights.

    Returns:
        The folder of the snapshot; of a GGUF file, which describes itself, there is nothing in it.

    Raises:
        ScrupleError: if they cannot be downloaded.
    """
    from huggingface_hub import HfApi

    name, place = str(checkpoint.hub), place_of(checkpoint)
    with _explained(checkpoint):
        # stores the revision's commit in the cache, so that it can be resolved without a network
        patiently(lambda: HfApi().resolve_revision(name, revision=checkpoint.revision), place, say)
        for file in remote.files:
            if file not in remote.weights:
                _link(checkpoint, remote, file, say)
    return storage_of(checkpoint) / "snapshots" / remote.commit


def _link(checkpoint: Checkpoint, remote: Remote, file: str, say: Say) -> Path:
    """Return a file's place in the snapshot, downloaded if it is not in the cache."""
    from huggingface_hub import hf_hub_download

    name, place = str(checkpoint.hub), place_of(checkpoint)
    return Path(patiently(lambda: hf_hub_download(name, file, revision=remote.commit), place, say))


def remove_damaged(
    checkpoint: Checkpoint, folder: Path, files: Mapping[str, str], remote: Remote | None, say: Say
) -> list[str]:
    """Return the damaged files of a snapshot, and delete them unless HF_HUB_OFFLINE is set.

    Args:
        checkpoint: a checkpoint of the hub.
        folder: the folder of its snapshot.
        files: name of each file that is used → SHA-256 of its content.
        remote: the hub's record of the files; if None, the hashes in the cache's file names are
            used.
        say: called with a message for each damaged file.

    Raises:
        ScrupleError: if a safetensors or GGUF file has the right hash but is not a valid one.
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
        elif file == checkpoint.file:
            check_gguf(path, checkpoint.name)
    if not is_offline_mode():
        with contextlib.suppress(OSError):  # leave a read-only cache as it is
            for file in damaged:
                (folder / file).resolve().unlink(missing_ok=True)
                (folder / file).unlink(missing_ok=True)
    return damaged


@contextlib.contextmanager
def _explained(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn errors of the hub's client into a ScrupleError with a remedy."""
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
