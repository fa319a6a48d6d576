"""Find the effects of a study's conditions, and where along its axes they emerge."""

from scruple.workflow.steps.find_effects import run

run(snakemake)
