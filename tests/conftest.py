"""What the tests of matrices share."""

import pytest
import torch


@pytest.fixture
def float64():
    """Compute in float64, from the same random numbers in every test."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)
