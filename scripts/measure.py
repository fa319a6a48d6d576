"""Compute the metrics of one checkpoint, or of several tiny ones, on one benchmark."""

from scruple.workflow.steps.measure import run

run(snakemake)
