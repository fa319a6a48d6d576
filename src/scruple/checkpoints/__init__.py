"""Checkpoints from the hub, a local folder, or a GGUF file inside an installed package.

A checkpoint is fetched once and described by a small manifest. The weights stay where they are (in
the hub's cache, the folder or the package), and jobs load them from there without network access.
"""
