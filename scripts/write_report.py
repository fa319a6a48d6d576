"""Write the report, one page that needs nothing else."""

from scruple.workflow.steps.write_report import run

run(snakemake)
