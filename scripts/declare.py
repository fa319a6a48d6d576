"""Record what a study decides before it looks; see `scruple.study.declaration`."""

import json
from pathlib import Path

from scruple.files import whole
from scruple.study.declaration import declare, timing
from scruple.study.model import load_study
from scruple.workflow.script import job

with job(snakemake) as log:
    target = Path(snakemake.output[0])
    history = declare(load_study(snakemake.config), target.parent)
    log.info("%s", timing(history))
    with whole(target) as part:
        part.write_text(json.dumps(history, indent=2) + "\n", encoding="utf-8")
