"""Draw the scaling figure."""

from scruple.figures.scaling import draw_scaling
from scruple.figures.style import save
from scruple.jobs import job
from scruple.metrics import read_metrics

with job(snakemake) as log:
    figure = draw_scaling(
        read_metrics(snakemake.input[0]),
        kinds=snakemake.params.kinds,
        conditions=snakemake.params.conditions,
        wording=snakemake.params.wording,
        scoring=snakemake.params.scoring,
        notes=snakemake.params.notes,
    )
    save(figure, snakemake.output)
    log.info("drew %s", ", ".join(snakemake.output))
