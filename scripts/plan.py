"""Print what a study would cost."""

from pathlib import Path

from scruple.costs.text import told
from scruple.jobs import bar, job
from scruple.study import load_study

with job(snakemake) as log:
    tables = {name: Path(path) for name, path in snakemake.params.tables.items()}
    study = load_study(snakemake.config)
    text = told(study, tables, Path("results") / study.study / "plan", bar)
    print(text, flush=True)
    log.info("planned")
