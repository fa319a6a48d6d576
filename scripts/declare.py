"""Record what a study decides before it looks; see `scruple.study.declaration`."""

from scruple.workflow.steps.declare import run

run(snakemake)
