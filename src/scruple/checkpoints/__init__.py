"""Checkpoints from the hub, a local folder or an installed package; some are GGUF files.

A checkpoint is fetched once and described by a small manifest. The weights stay where they are (in
the hub's cache, the folder or the package), and jobs load them from there without network access. A
GGUF file is dequantised once, and jobs load the copy.
"""
