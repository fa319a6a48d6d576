"""Prompts: read from files, checked, and rendered as the text that a checkpoint reads."""
