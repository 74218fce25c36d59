"""How large numbers in the settings may be: beyond, they are a slip, which would fill the memory or take for ever."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Width = Annotated[int, Field(gt=0, le=32_768)]
"""Units of a layer. A dense LSTM of 32,768 has 34 GB of weights."""
Depth = Annotated[int, Field(gt=0, le=64)]
"""Layers."""
Count = Annotated[int, Field(gt=0, le=1_000_000)]
"""Epochs, validations, time steps, texts in a batch."""
