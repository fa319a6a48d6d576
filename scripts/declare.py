"""Record what a study decides before it looks; see `scruple.declaration`."""

import json
from pathlib import Path

from scruple.declaration import declare, timing
from scruple.jobs import job, whole
from scruple.study import load_study

with job(snakemake) as log:
    target = Path(snakemake.output[0])
    history = declare(load_study(snakemake.config), target.parent)
    log.info("%s", timing(history))
    with whole(target) as part:
        part.write_text(json.dumps(history, indent=2) + "\n", encoding="utf-8")
