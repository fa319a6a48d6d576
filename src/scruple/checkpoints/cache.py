"""The hub's cache: which files of a checkpoint it holds, and the space that the rest needs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from scruple.checkpoints.local import is_complete
from scruple.errors import ScrupleError
from scruple.fetch.transfer import Pinned, part_of
from scruple.study.families import NOTHING_UNSAFE, Checkpoint, Hub


def cache_folder() -> Path:
    """Return the folder of the hub's cache, as set by HF_HOME and related variables."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE).expanduser()


def storage_of(checkpoint: Checkpoint) -> Path:
    """Return the folder of a checkpoint's repository in the hub's cache."""
    from huggingface_hub.file_download import repo_folder_name

    return cache_folder() / repo_folder_name(repo_id=str(checkpoint.hub), repo_type="model")


def cached_snapshot(checkpoint: Checkpoint, hub: Hub = NOTHING_UNSAFE) -> Path | None:
    """Return the folder of a checkpoint's snapshot in the hub's cache, or None if incomplete.

    The snapshot of a GGUF file is complete if it has that file.

    Args:
        checkpoint: a checkpoint of the hub.
        hub: its `allow_pickle` says whether pickled weights in the cache count.
    """
    from huggingface_hub import try_to_load_from_cache

    assert checkpoint.hub is not None
    file = checkpoint.file or "config.json"
    found = try_to_load_from_cache(checkpoint.hub, file, revision=checkpoint.revision)
    if not isinstance(found, str):
        return None
    folder = Path(found.removesuffix(file))  # a GGUF file may be in a folder of the repository
    if checkpoint.file is not None:
        return folder
    code = checkpoint.hub in hub.allow_code
    return folder if is_complete(folder, hub.allow_pickle, code) else None


def recorded(path: Path) -> Pinned:
    """Return the hash of a file as recorded in the cache, which names each blob by its hash."""
    name = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", name):
        return Pinned(sha256=name)
    return Pinned(git_blob=name) if re.fullmatch(r"[0-9a-f]{40}", name) else Pinned()


def missing_bytes(checkpoint: Checkpoint, files: Iterable[Pinned]) -> int:
    """Return how many bytes of these files the hub's cache lacks; partial downloads count."""
    blobs = storage_of(checkpoint) / "blobs"
    total = 0
    for pinned in files:
        blob = blobs / (pinned.sha256 or pinned.git_blob or "")
        part = part_of(blob)
        if not blob.is_file():
            total += (pinned.size or 0) - (part.stat().st_size if part.is_file() else 0)
    return total


def free_bytes() -> int:
    """Return the free bytes on the disk of the hub's cache; its folder need not exist yet."""
    cache = cache_folder()
    return shutil.disk_usage(next(p for p in (cache, *cache.parents) if p.exists())).free


def check_room(needed: int, what: str) -> None:
    """Raise an error if a download does not fit on the disk of the hub's cache.

    Raises:
        ScrupleError: with the needed and free space and the folder.
    """
    free = free_bytes()
    if needed > free:
        raise ScrupleError(
            f"{what}: {told_bytes(needed)} are to be downloaded, and {told_bytes(free)} are free "
            f"where the hub's cache is ({cache_folder()}). Make room, set HF_HOME to a folder on a "
            "larger disk, or take fewer checkpoints (`max_params`)."
        )


def told_bytes(size: float) -> str:
    """Format a number of bytes in GB or MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.2f} MB"
