"""Ask one checkpoint, or several tiny ones, all that a study wants to know of one benchmark."""

from scruple.workflow.steps.respond import run

run(snakemake)
