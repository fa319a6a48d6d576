"""Draw one figure."""

from scruple.workflow.steps.plot_figure import run

run(snakemake)
