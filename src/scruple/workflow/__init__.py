"""What the Snakefile and its scripts do."""
