"""What tests need of the machine."""

import pytest

from lightning_modules.precision import precision_problem

needs_bfloat16 = pytest.mark.skipif(bool(precision_problem("bf16-mixed")), reason=precision_problem("bf16-mixed"))
