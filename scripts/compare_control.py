"""Compare control checkpoints that were trained here with those that come with the project."""

from scruple.workflow.steps.compare_control import run

run(snakemake)
