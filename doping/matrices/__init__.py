"""Weight matrices under a budget: one interface, one file a family.

    >>> plan = plan_matrix(Method(name="doped_kp", factor=20), (2600, 650))
    >>> print(plan)
    (50 x 26) ⊗ (52 x 25) + 81,900 nonzeros
    >>> matrix = plan.initialized(std=0.03)     # or plan.fitted(trained_weight)

A new structured family is one file with a ``Matrix`` and a ``StructuredPlan``, and a line in ``doping.families``.
"""

from __future__ import annotations

from typing import Any

from doping.matrices.base import Matrix, Plan
from doping.matrices.budget import Budget, BudgetError, Shape, Size, dense_size
from doping.matrices.dense import DensePlan
from doping.matrices.doped import Doped, DopedPlan
from doping.matrices.sparse import Sparse, SparsePlan
from doping.method import Method

__all__ = ["Budget", "BudgetError", "Doped", "Matrix", "Plan", "Shape", "Size", "Sparse", "plan_at_least", "plan_matrix"]

OF_WHOLE_MODELS = ("size", "units", "embedding_rank", "bias")
"""Settings of a method that say nothing of a single matrix."""
_DEFAULT = Method()
LEEWAY = 1.5
"""How many times smaller than asked a matrix of a user's own model may become, where its family has no plan in between."""


def plan_at_least(method: Method, shape: Shape) -> Plan:
    """The plan of a matrix that is as small as asked, or a little smaller: by at most ``LEEWAY`` times.

    For a model of one's own, where the plan of exactly the factor, which ``plan_matrix`` gives, does not matter.

    Raises:
        BudgetError: if the method has no such plan.
        ValueError: as ``plan_matrix``.

    """
    try:
        return plan_matrix(method, shape)
    except BudgetError as error:
        above = [factor for factor in error.nearest if method.factor < factor <= LEEWAY * method.factor]
        if not above:
            raise
        return plan_matrix(method.model_copy(update={"factor": min(above)}), shape)


def plan_matrix(method: Method, shape: Shape) -> Plan:
    """The plan of a matrix of this shape under a method's budget.

    Raises:
        BudgetError: if the method cannot come within 1 % of the factor, the message names the nearest ones; or if it has a
            size, a width or a rank of embeddings, or is without biases, which are those of a whole model.
        ValueError: if given Kronecker factors do not divide the shape, or four gates the rows that are pruned by gates.

    """
    given = next((setting for setting in OF_WHOLE_MODELS if getattr(method, setting) != getattr(_DEFAULT, setting)), None)
    if given:
        raise BudgetError(
            f"the setting {given} belongs to a whole model, not to a matrix of {shape[0]} x {shape[1]}; give a factor "
            "(doping.sizes.resolved finds that of a task)"
        )
    if method.name == "dense":
        return DensePlan(shape)
    budget, pattern = Budget(method.factor, method.unit, method.values), method.pattern
    if method.name == "pruned":
        return SparsePlan(shape, budget.nonzeros(shape, pattern=pattern), pattern)
    assert method.family
    plans_of = method.family.plan_class()
    options: dict[str, Any] = {argument: getattr(method, setting) for setting, argument in method.family.options}
    values = budget.structured_values(shape)
    if not method.doped:
        plans = plans_of.around(shape, values, **options)
        for _ in range(4 if method.unit == "bytes" and method.values != "float32" else 0):
            # Scales depend on the plan: a few rounds agree on both.
            if plans:
                values = budget.structured_values(shape, plans[0].size().overhead(method.values))
                plans = plans_of.around(shape, values, **options)
        return budget.fit(shape, plans, f"as {method.name}")
    structured = plans_of.for_doping(shape, values, method.structured_share, **options)
    if method.unit == "bytes" and method.structured_share:
        # Scales, and factors that keep more bits, are no values: M gets its share of the bytes.
        share = method.structured_share * dense_size(shape).bytes / method.factor
        for _ in range(8):
            if (weight := structured.size().bytes_in(method.values)) <= share:
                break
            values *= min(share / weight, 0.98)
            structured = plans_of.for_doping(shape, values, method.structured_share, **options)
    if structured.size().values >= budget.structured_values(shape):
        largest = budget.reached(shape, structured.size())
        nearest = [(f"{structured} alone", largest)]
        raise BudgetError(budget.refusal(shape, f"as {method.name}", nearest) + plans_of.smaller_hint, [largest])
    sparse = SparsePlan(shape, budget.nonzeros(shape, structured.size(), pattern), pattern)
    return DopedPlan(shape, structured, sparse, method.sparse_variance, method.cmr)
