"""From a study's sums to metrics, effects, verdicts, curves, sensitivity and power."""
