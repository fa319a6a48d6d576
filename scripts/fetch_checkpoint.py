"""Make a checkpoint's files local and write its manifest."""

from scruple.workflow.steps.fetch_checkpoint import run

run(snakemake)
