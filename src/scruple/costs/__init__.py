"""What a study would cost, before any of it is spent."""
