"""Read a benchmark's files into its table of items."""

from scruple.workflow.steps.build_items import run

run(snakemake)
