"""What a study's sums say: effects, verdicts, curves, sensitivity, size of the next study."""
