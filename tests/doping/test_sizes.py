import pytest
from matrix_references import METHODS, method_of

from doping.matrices import BudgetError, Sparse
from doping.method import Method
from doping.sizes import plan_sizes
from lightning_modules.language_model import LanguageModel
from tasks.language_model import LanguageModelTask

TASK = LanguageModelTask(model={"hidden": 40, "layers": 2})


@pytest.mark.parametrize("name", METHODS)
def test_planned_sizes_are_those_of_the_trained_model(name):
    method = method_of(name, 4)
    planned = plan_sizes(TASK, method)
    model = LanguageModel(TASK.model, TASK.training, method, 10, TASK.data.level)
    for module in model.modules():
        if isinstance(module, Sparse):
            module.prune(module.planned_nonzeros)
    assert planned.compressed == model.size()
    assert planned.dense == model.uncompressed_size()
    assert list(planned.matrices) == [name for name, _ in model.named_matrices()]


def test_an_impossible_factor_is_refused_before_anything_is_made():
    with pytest.raises(BudgetError):
        plan_sizes(TASK, Method(name="lmf", factor=30))
