"""Estimates, intervals, tests and verdicts for clustered items."""
