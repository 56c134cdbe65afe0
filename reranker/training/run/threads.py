"""How many cores training takes."""

import os

import torch


def use_all_cores() -> None:
    """Let torch use every core that this process may run on; by itself it may settle for fewer."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
