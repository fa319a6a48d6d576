"""Draw the scaling figure."""

import pandas as pd

from scruple.figures.scaling import draw_scaling
from scruple.figures.style import save
from scruple.jobs import job

with job(snakemake) as log:
    metrics = pd.read_csv(snakemake.input[0], keep_default_na=True)
    figure = draw_scaling(
        metrics,
        kinds=snakemake.params.kinds,
        conditions=snakemake.params.conditions,
        wording=snakemake.params.wording,
        scoring=snakemake.params.scoring,
    )
    save(figure, snakemake.output)
    log.info("drew %s", ", ".join(snakemake.output))
