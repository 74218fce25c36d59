"""What a checkpoint says of how its weights are compressed, so that it is not loaded into a model of another kind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def packed(described: Mapping[str, str]) -> Tensor:
    """JSON as bytes, uint8: checkpoints hold tensors."""
    return torch.tensor(list(json.dumps(described).encode()), dtype=torch.uint8)


def differences(state_dict: Mapping[str, Any], prefix: str, ours: Mapping[str, str]) -> Iterator[str]:
    """Errors of loading a checkpoint into a layer whose weights are to be ``ours``: what differs, a line each.

    A checkpoint without a record, of a version that did not write it, is taken as it is.
    """
    for name in ours:
        if f"{prefix}{name}" in state_dict:
            yield (
                f"the checkpoint has {prefix}{name} as a dense weight, and this model has it compressed: load a dense "
                "checkpoint before compress_"
            )
            return
    record = state_dict.get(f"{prefix}_extra_state")
    if record is None:
        return
    theirs = json.loads(bytes(record.tolist()))
    for name in dict.fromkeys([*ours, *theirs]):
        if ours.get(name) != theirs.get(name):
            yield (
                f"the checkpoint has {prefix}{name} as {theirs.get(name, 'a dense weight')}; this model has it as "
                f"{ours.get(name, 'a dense weight')}: compress the model as that of the checkpoint was"
            )
