"""The study as typed objects: the config, its families, benchmarks and margins."""
