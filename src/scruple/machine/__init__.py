"""What this machine and its cluster have: GPUs, memory, Slurm."""
