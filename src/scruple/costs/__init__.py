"""The plan: what a study would cost in tokens, memory and hours."""
