"""Find the effects of a study's conditions, and where along its axes they emerge."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scruple.analysis.abilities import abilities_table
from scruple.analysis.curves import curves_table
from scruple.analysis.measurements import measured
from scruple.analysis.power import power_table
from scruple.analysis.sensitivity import sensitivity_table
from scruple.analysis.verdicts import effects_table, emergence_table
from scruple.files import read_json, whole
from scruple.study.declaration import timing
from scruple.study.model import load_study
from scruple.workflow.script import job


def run(snakemake: Any) -> None:
    """Write effects, verdicts, curves, sensitivity, abilities and power from all sums."""
    with job(snakemake) as log:
        study = load_study(snakemake.config)
        history = read_json(snakemake.input.declaration)
        sums = {
            tuple(key): pd.read_parquet(path)
            for key, path in zip(snakemake.params.jobs, snakemake.input.sums, strict=True)
        }
        found = measured(study, sums)
        effects = effects_table(study, found)
        verdicts = emergence_table(study, found, timing(history), snakemake.params.unfinished)
        tables = {
            "effects": effects,
            "emergence": verdicts,
            "curves": curves_table(study, sums, found),
            "sensitivity": sensitivity_table(study, sums, found),
            "abilities": abilities_table(study, sums, verdicts),
            "power": power_table(effects),
        }
        log.info("%s; %d effects, %d verdicts", timing(history), len(effects), len(verdicts))
        for name, table in tables.items():
            with whole(snakemake.output[name]) as part:
                table.to_csv(part, index=False)
