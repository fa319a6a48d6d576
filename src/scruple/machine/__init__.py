"""Resources of this machine and its cluster: GPUs, memory, Slurm."""
