"""One training run on this machine: folder, checkpoints, interrupts, device, time and progress."""
