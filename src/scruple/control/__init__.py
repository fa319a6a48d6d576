"""The control family: tiny checkpoints trained on a world in which the truth is known.

They calibrate the pipeline. They are never evidence about language models.
"""
