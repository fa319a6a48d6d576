"""Print what a study would cost."""

from pathlib import Path

from scruple.costs.plan import told
from scruple.jobs import job
from scruple.study import load_study

with job(snakemake) as log:
    tables = {name: Path(path) for name, path in snakemake.params.tables.items()}
    text = told(load_study(snakemake.config), tables)
    print(text, flush=True)
    log.info("planned")
