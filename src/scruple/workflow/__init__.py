"""The code behind the Snakefile, its rules and their scripts."""
