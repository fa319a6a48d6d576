"""Checkpoints: from the hub, a local folder, or a GGUF file inside an installed package.

A checkpoint is fetched once and described by a small manifest; the weights stay where they are
(the hub's own cache, the folder, the package), and jobs load them from there without a network.
"""
