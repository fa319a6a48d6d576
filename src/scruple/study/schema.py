"""The config as a JSON schema, and its keys as tables for the docs.

Run it as `python -m scruple.study.schema workflow/schemas docs/config.md`. Editors use the schema
to complete and check YAML. The workflow itself validates with `scruple.study.model`; schema and
tables are generated from the same models.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scruple.study.model import Family, Study

START, END = "<!-- keys: generated -->", "<!-- end of keys -->"
"""The lines of the docs page between which the tables are inserted."""
_SECTIONS = {
    "Study": ("", "The study"),
    "Family": ("families[].", "A family"),
    "Checkpoint": ("families[].checkpoints[].", "A checkpoint"),
    "Shape": ("families[].checkpoints[].shape.", "The shape of a checkpoint"),
    "Benchmark": ("benchmarks[].", "A benchmark"),
    "Margin": ("margins.NAME.", "A margin"),
    "Gate": ("margins.NAME.gate.", "A gate"),
    "Keep": ("margins.NAME.keep.", "A capability to keep"),
    "Decoding": ("decoding.", "Decoding"),
    "Hub": ("hub.", "The hub"),
    "Compute": ("compute.", "Compute"),
}
"""Name of a model → prefix of its keys, and title of its table."""


def schemas() -> dict[str, dict[str, Any]]:
    """Return file name → schema, for the config and for a family file."""
    config = Study.model_json_schema()
    families = config["properties"]["families"]
    named = {"type": "string", "description": "name of a file in data/families"}
    families["items"] = {"anyOf": [named, families["items"]]}
    # the default of a benchmark's kind is its name
    config["$defs"]["Benchmark"]["required"].remove("kind")
    # a file in studies/ is a config override: any key may be missing
    del config["required"]
    return {"config.schema.json": config, "family.schema.json": Family.model_json_schema()}


def write_schemas(folder: Path) -> None:
    """Write the schemas to a folder, as indented JSON."""
    for name, schema in schemas().items():
        (folder / name).write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


def reference() -> str:
    """Return Markdown tables of all keys of the config, one per model."""
    config = schemas()["config.schema.json"]
    parts = []
    for name, (start, title) in _SECTIONS.items():
        model = config if name == "Study" else config["$defs"][name]
        rows = "\n".join(_rows(start, model, set(model.get("required", ()))))
        parts.append(f"### {title}\n\n| key | default | meaning |\n|---|---|---|\n{rows}")
    return "\n\n".join(parts)


def _rows(start: str, model: Mapping[str, Any], required: set[str]) -> Iterator[str]:
    for key, field in model["properties"].items():
        default = field.get("default")
        if key in required or isinstance(default, dict):
            shown = ""
        elif default is None:
            shown = "none"
        else:
            shown = f"`{json.dumps(default)}`"
        meaning = " ".join(field.get("description", "").split())
        yield f"| `{start}{key}` | {shown} | {meaning} |"


def write_reference(path: Path) -> None:
    """Insert the tables of keys into a page, between the lines START and END."""
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{START}\n\n{reference()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the JSON schemas and the docs' keys.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("page", type=Path)
    arguments = parser.parse_args()
    write_schemas(arguments.folder)
    write_reference(arguments.page)
