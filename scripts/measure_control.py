"""Measure one checkpoint of the control family on a large part of its world."""

from scruple.workflow.steps.measure_control import run

run(snakemake)
