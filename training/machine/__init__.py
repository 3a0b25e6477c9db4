"""What this machine has and allows: disk, memory, cores, GPUs."""
