"""Several processes that train one model together."""

from __future__ import annotations

import torch


def place() -> tuple[int, int]:
    """Rank of this process among those that train together, and how many they are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
