"""Train one checkpoint of the control family."""

from scruple.workflow.steps.train_control import run

run(snakemake)
