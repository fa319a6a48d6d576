"""Fetch one benchmark file: from the mirror or the network, verified."""

from scruple.workflow.steps.download_source import run

run(snakemake)
