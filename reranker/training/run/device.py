"""Where training runs: the first CUDA device where there is one, else the processor."""

import torch


def choose_device() -> torch.device:
    """Return the device to train on."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def use_half_precision(device: torch.device) -> torch.autocast:
    """Return the context in which matrix products are made in bfloat16, here as on a GPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16)
