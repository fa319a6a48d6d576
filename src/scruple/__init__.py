"""Scruple: where, on the axes of size and post-training, moral self-correction emerges."""
