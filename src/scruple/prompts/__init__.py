"""Prompts: reading and checking prompt files, and rendering prompts as text."""
