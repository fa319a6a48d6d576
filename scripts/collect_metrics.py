"""Put the metrics of all checkpoints and benchmarks into one table."""

from scruple.workflow.steps.collect_metrics import run

run(snakemake)
