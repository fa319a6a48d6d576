"""Config overrides (`--configfile`, `--config`), and the keys that they must set together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scruple.errors import ScrupleError
from scruple.study.model import read_yaml

_LISTS = ("families", "benchmarks", "conditions")


def shown(path: Path) -> Path:
    """Return a path relative to the working folder if it is inside that folder."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _check_reasons(name: str, given: Mapping[str, Any], origin: str) -> None:
    """Raise an error if a margin is changed without a new reason, which would keep the old one."""
    margins = given.get("margins")
    for kind, margin in (margins if isinstance(margins, Mapping) else {}).items():
        changed = {"delta", "metric"} & set(margin if isinstance(margin, Mapping) else ())
        if changed and "reason" not in margin:
            raise ScrupleError(
                f"{origin}: {name} sets `margins.{kind}.{min(changed)}` and lacks `reason`; say "
                "why that one, or the reason of another number would stand beside it."
            )


def check_overrides(overrides: Sequence[Path], options: Mapping[str, Any], origin: str) -> None:
    """Check that config overrides set `study` and `reason` where they must.

    An override that changes families, benchmarks or conditions must set `study`, or it would write
    into the results of another study. One that changes `delta` or `metric` of a margin must give a
    `reason`.

    Args:
        overrides: files given with `--configfile`.
        options: keys given with `--config`.
        origin: the config files, for error messages.

    Raises:
        ScrupleError: if one of these keys is missing.
    """
    sources = [(str(shown(path)), read_yaml(path)) for path in overrides]
    for name, content in (*sources, ("--config", options)):
        given = content if isinstance(content, Mapping) else {}
        _check_reasons(name, given, origin)
        changed = [key for key in _LISTS if key in given]
        if changed and "study" not in given:
            raise ScrupleError(
                f"{origin}: {name} sets {', '.join(f'`{key}`' for key in changed)} and lacks "
                "`study`; name the study there, a new one or the one that is meant, or its results "
                "would be written over another's."
            )
