"""Benchmark files, and transfers that are resumed and verified."""
