"""Copy a trained control family into `data/control`, and compare other checkpoints with it.

Run `python -m scruple.control.ship results/control-family` after `snakemake control_families`. It
copies checkpoints and tables, and writes model cards and family files.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from scruple.control.criteria import judge, load_criteria
from scruple.control.measure import PRIMARY, count_params
from scruple.control.members import EMBEDDED_SEED, SEEDS, STEPS, TWINS, Member, members, shipped
from scruple.control.model_cards import family_card, member_card
from scruple.errors import ScrupleError
from scruple.study.model import ROOT

HOME = ROOT / "data" / "control"
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
_KEYS = ["twin", "seed", "width", "step", "benchmark", "condition", "metric"]
_DIGITS = 6


def read_shipped(effort: str) -> pd.DataFrame:
    """Return a table that comes with the project: `check` for all seeds, or `truth` for one.

    Raises:
        ScrupleError: if the file is missing.
    """
    path = HOME / f"{effort}.csv"
    if not path.is_file():
        raise ScrupleError(f"{path}: not there; it comes with the project, get it back from git.")
    return pd.read_csv(path)


def compare(
    trained: pd.DataFrame, shipped_table: pd.DataFrame, margins: Mapping[str, float]
) -> pd.DataFrame:
    """Compare the biases of checkpoints trained here with those of the shipped checkpoints.

    Args:
        trained: outputs of `measure_member` for any of the family's checkpoints.
        shipped_table: the same table for the shipped checkpoints.
        margins: kind of benchmark → δ.

    Returns:
        One row per checkpoint × benchmark × condition, with both values, their `change`, and
        whether it is `within` the margin.
    """
    primary = trained["metric"] == trained["benchmark"].map(PRIMARY)
    table = trained.loc[primary, [*_KEYS, "value"]].rename(columns={"value": "trained"})
    known = shipped_table[[*_KEYS, "value"]].rename(columns={"value": "shipped"})
    table = table.merge(known, on=_KEYS, how="left", validate="one_to_one")
    table["change"] = table["trained"] - table["shipped"]
    table["within"] = table["change"].abs() < table["benchmark"].map(margins)
    return table


def ship(results: Path) -> None:
    """Copy a whole trained family from the workflow's results, and write its tables and cards.

    Raises:
        ScrupleError: if part of the results is missing.
    """
    check = pd.concat([_table(results, m, STEPS[-1], "check") for m in members()])
    truth = pd.concat(
        [_table(results, m, step, "truth") for m, step in shipped() if m.seed == EMBEDDED_SEED]
    )
    judgements = judge(check, load_criteria())
    for twin in TWINS:
        shutil.rmtree(HOME / twin, ignore_errors=True)
    for member, step in shipped():
        source, target = member.folder(results, step), member.folder(HOME, step)
        target.mkdir(parents=True)
        for name in _FILES:
            shutil.copyfile(source / name, target / name)
        known = check if step == STEPS[-1] else truth
        missed = [one for one in judgements if one.seed == member.seed and not one.met]
        (target / "README.md").write_text(member_card(member, step, known, missed))
    for name, table in (("check", check), ("truth", truth)):
        table.round(_DIGITS).to_csv(HOME / f"{name}.csv", index=False)
    (HOME / "README.md").write_text(family_card(check, judgements))
    for twin in TWINS:
        for seed in SEEDS:
            _write_family(twin, seed)
        _write_family(twin, None)


def family_name(twin: str, seed: int | None) -> str:
    """Return the name of a family file.

    The embedded seed has the plain name. With None, the file lists all seeds as training runs of
    one recipe.
    """
    if seed is None:
        return f"control-{twin}-seeds"
    return f"control-{twin}" + ("" if seed == EMBEDDED_SEED else f"-seed{seed}")


def _table(results: Path, member: Member, step: int, effort: str) -> pd.DataFrame:
    path = member.folder(results, step) / f"{effort}.csv"
    if not path.is_file():
        raise ScrupleError(f"{path}: not there; run `snakemake --cores all control_families`.")
    return pd.read_csv(path)


def _write_family(twin: str, seed: int | None) -> None:
    which = "all seeds, as training runs of one recipe" if seed is None else f"seed {seed}"
    meaning = "ask for something" if twin == "positive" else "mean nothing"
    content = {
        "name": family_name(twin, seed),
        "format": "dialogue",
        "primary_scoring": "text",
        "note": "a calibration instrument, never evidence about language models",
        "checkpoints": list(_checkpoints(twin, seed)),
    }
    header = (
        "# yaml-language-server: $schema=../../workflow/schemas/family.schema.json\n"
        f"# The control family's {twin} twin, {which}: instructions {meaning}.\n"
        "# World, recipe, criteria and what it shows: data/control/README.md\n"
    )
    path = ROOT / "data" / "families" / f"{content['name']}.yaml"
    path.write_text(header + yaml.safe_dump(content, sort_keys=False, default_flow_style=None))


def _checkpoints(twin: str, seed: int | None) -> Iterator[dict[str, Any]]:
    for member, step in shipped():
        if member.twin != twin or member.seed != (seed or member.seed):
            continue
        if seed is None and step != STEPS[-1]:
            continue
        folder = member.folder(HOME, step)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        last = "" if step == STEPS[-1] else f"-step{step}"
        yield {
            "name": f"d{member.width}{last}" + (f"-seed{member.seed}" if seed is None else ""),
            "params": count_params(config),
            "step": step,
            **({"seed": member.seed} if seed is None else {}),
            "path": str(folder.relative_to(ROOT)),
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Put a trained control family into data/control.")
    parser.add_argument("results", type=Path)
    try:
        ship(parser.parse_args().results)
    except ScrupleError as error:
        sys.exit(f"ERROR: {error}")
