"""Print what a study would cost."""

from scruple.workflow.steps.plan import run

run(snakemake)
