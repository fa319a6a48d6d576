"""Put the shards of a table of responses together."""

from scruple.workflow.steps.gather_shards import run

run(snakemake)
