"""Record what the results came from: config, data, weights, software, hardware, cost."""

from scruple.workflow.steps.write_provenance import run

run(snakemake)
