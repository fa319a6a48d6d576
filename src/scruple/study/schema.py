"""The config as JSON schema, for editors that complete and check YAML while one writes it.

Run as `python -m scruple.study.schema FOLDER`. The workflow itself validates with
`scruple.study.model`, whose models these schemas are made from.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from scruple.study.families import Family
from scruple.study.model import Study


def schemas() -> dict[str, dict[str, Any]]:
    """Return file name → schema, of the config and of a family file."""
    config = Study.model_json_schema()
    families = config["properties"]["families"]
    named = {"type": "string", "description": "name of a file in data/families"}
    families["items"] = {"anyOf": [named, families["items"]]}
    # a benchmark's kind is its name unless it is given
    config["$defs"]["Benchmark"]["required"].remove("kind")
    # a file of studies/ is an overlay: any key may be missing
    del config["required"]
    return {"config.schema.json": config, "family.schema.json": Family.model_json_schema()}


def write_schemas(folder: Path) -> None:
    """Write the schemas into a folder."""
    for name, schema in schemas().items():
        (folder / name).write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the JSON schemas of the config.")
    parser.add_argument("folder", type=Path)
    write_schemas(parser.parse_args().folder)
