"""The sizes that a method will have on a task, known before anything is trained; and what is deployed of a trained model.

Factors and sizes of a method refer to the dense model of the task's own width, whatever the width of the method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, Self

from doping.layers.token_matrices import check_rank
from doping.matrices import BudgetError, Shape, Size, plan_matrix
from doping.matrices.budget import VALUE_BYTES, dense_size
from doping.method import Method, Values

if TYPE_CHECKING:
    from doping.layers.lstm import CompressedLSTM

SMALLEST = 0.8
"""A method that can only have less than this share of a size is said not to reach it."""
SCAN = 1.004
"""Ratio of the factors that are tried for a size."""
WIDTHS = 32
"""How far from a width that a method cannot have others are looked for."""


@dataclass(frozen=True)
class PlannedSizes:
    """Size of all LSTM weight matrices together, once annealing is over and if they were dense."""

    compressed: Size
    dense: Size
    """Of the task's own width."""
    matrices: dict[str, str]
    """What is planned for each matrix, by its name in the task."""
    cautions: tuple[str, ...]
    """What users should know of matrices that are planned, each once."""
    deployed_bytes: int
    """Bytes of the LSTM's layers in the precision of the method, biases included."""
    task: HasMatrices
    """The task at the width of the method."""
    method: Method
    """The method for matrices of that width: at a factor, without a width or a size of its own."""


class HasMatrices(Protocol):
    """A task, as far as its sizes go."""

    def lstm_shapes(self) -> dict[str, Shape]:
        """Shapes of all LSTM weight matrices, by their names in the task."""
        ...

    def compressed(self, matrix: str) -> bool:
        """Whether the matrix of this name is compressed."""
        ...

    def with_units(self, units: int) -> Self:
        """The same task with another width."""
        ...

    def token_shapes(self) -> dict[str, Shape]:
        """Shapes of the matrices that may have a rank of the method's (``embedding_rank``), by their names in the task."""
        ...


def plan_sizes(task: HasMatrices, method: Method) -> PlannedSizes:
    """Plan all matrices of a task.

    Raises:
        BudgetError: if the method cannot come within 1 % of the factor, or has no size just below the one asked for; the
            message names the nearest ones; or embedding and softmax cannot have the rank that is asked for.
        ValueError: if given Kronecker factors do not divide a matrix, or the task cannot have the width or must have biases.

    """
    if not method.bias and not task.lstm_shapes():
        raise ValueError("the function makes the model, and says whether there are biases: leave bias out")
    dense = _total(dense_size(shape) for shape in task.lstm_shapes().values())
    try:
        planned = _of_size(task, method, method.size, dense) if method.size else _of_factor(task, method, dense)
    except BudgetError as error:
        raise BudgetError(f"{error}{_other_widths(task, method, dense)}") from error
    if method.embedding_rank:
        check_rank(method.embedding_rank, planned.task.token_shapes())
    return planned


@lru_cache(maxsize=1024)
def resolved(task: Any, method: Method) -> tuple[Any, Method]:
    """The task at the width of a method, and the method for matrices of that width: both as they are, if it has no own.

    Raises:
        ValueError: as :func:`plan_sizes`.

    """
    if method.units is None and method.size is None and method.embedding_rank is None:
        return task, method
    planned = plan_sizes(task, method)
    return planned.task, planned.method


def _of_factor(task: HasMatrices, method: Method, dense: Size) -> PlannedSizes:
    narrow = task.with_units(method.units) if method.units else task
    factor = method.factor
    if method.units and method.name != "dense":
        own = _total(dense_size(shape) for shape in narrow.lstm_shapes().values())
        factor *= own.values / dense.values
        if factor < 1:
            raise BudgetError(
                f"{method.units} units have {own.values:,} values, fewer than the {dense.values / method.factor:,.0f} that "
                f"factor {method.factor:g} leaves of {dense.values:,}: take more units or a larger factor"
            )
    return _planned(narrow, method.model_copy(update={"factor": factor, "units": None}), dense)


def _of_size(task: HasMatrices, method: Method, size: int, dense: Size) -> PlannedSizes:
    if method.name == "dense":
        return _dense_of_size(task, method, size, dense)
    narrow, factor, largest = _largest(task, method, size, dense)
    fits = largest if largest and largest.deployed_bytes <= size else None
    if fits and SMALLEST * size <= fits.deployed_bytes:
        return fits
    above = (_tried(narrow, method, factor / 1.02**k, dense) for k in range(1, 90) if factor / 1.02**k >= 1)
    next_above = next((planned for planned in above if planned and planned.deployed_bytes > size), None)
    nearest = " and ".join(_kb(planned.deployed_bytes) for planned in (fits, next_above) if planned)
    width = f"{method.units} units" if method.units else "the task's width"
    raise BudgetError(
        f"size {_kb(size)} cannot be had of {method.label} at {width} in {method.values}: "
        f"nearest possible {nearest or 'none'}; choose such a size, or another width (units)"
    )


def _largest(task: HasMatrices, method: Method, size: int, dense: Size) -> tuple[HasMatrices, float, PlannedSizes | None]:
    """The task at the method's width, the factor that a size asks of it, and what comes nearest to the size from below.

    If all that can be had is larger, the last of these; None if nothing can be had.
    """
    narrow = task.with_units(method.units) if method.units else task
    shapes = narrow.lstm_shapes()
    kept = [shape for name, shape in shapes.items() if not narrow.compressed(name)]
    fixed = _bias_bytes(shapes, method) + _total(map(dense_size, kept)).bytes_in(method.values)
    free = _total(dense_size(shape) for name, shape in shapes.items() if narrow.compressed(name))
    if size <= fixed:
        raise BudgetError(f"size {_kb(size)} is impossible: biases and what is not compressed weigh {_kb(fixed)} alone")
    factor = free.bytes / (size - fixed)
    largest = None
    # The finer steps are for those that miss by a block, the coarser ones to say what is nearest.
    for tried in [factor * SCAN**k for k in range(56)] + [factor * 1.25 * 1.06**k for k in range(36)]:
        largest = _tried(narrow, method, tried, dense)
        if largest and largest.deployed_bytes <= size:
            break
    return narrow, factor, largest


def _tried(task: HasMatrices, method: Method, factor: float, dense: Size) -> PlannedSizes | None:
    try:
        return _planned(
            task, method.model_copy(update={"factor": max(factor, 1.0), "unit": "bytes", "units": None, "size": None}), dense
        )
    except BudgetError:
        return None


def _dense_of_size(task: HasMatrices, method: Method, size: int, dense: Size) -> PlannedSizes:
    plain = method.model_copy(update={"units": None, "size": None})

    def at(units: int) -> PlannedSizes | None:
        try:
            return _planned(task.with_units(units), plain, dense)
        except ValueError:  # a width that the task cannot have, such as an odd one
            return None

    if method.units:
        asked = at(method.units)
        if asked and asked.deployed_bytes <= size:
            return asked
    low, high = 1, 1 << 16
    while low < high:
        middle = (low + high + 1) // 2
        planned = at(middle) or at(middle - 1)
        low, high = (middle, high) if planned and planned.deployed_bytes <= size else (low, middle - 1)
    widest = next((planned for units in (low, low - 1) if units and (planned := at(units))), None)
    if widest is None or widest.deployed_bytes > size:
        raise BudgetError(f"size {_kb(size)} cannot be had of dense in {method.values}: one unit weighs more")
    if method.units:
        weight = "more" if asked is None else _kb(asked.deployed_bytes)
        raise BudgetError(
            f"size {_kb(size)} cannot be had of dense with {method.units} units in {method.values}, which weigh {weight}: "
            f"nearest possible {low} units ({_kb(widest.deployed_bytes)}); leave units out to get the widest that fits"
        )
    return widest


def _planned(task: HasMatrices, method: Method, dense: Size) -> PlannedSizes:
    shapes = task.lstm_shapes()
    uncompressed, of_lstm = Method(values=method.values), method.of_matrices
    plans = {name: plan_matrix(of_lstm if task.compressed(name) else uncompressed, shape) for name, shape in shapes.items()}
    compressed = _total(plan.size() for plan in plans.values())
    return PlannedSizes(
        compressed=compressed,
        dense=dense,
        matrices={name: str(plan) for name, plan in plans.items()},
        cautions=tuple(dict.fromkeys(caution for plan in plans.values() if (caution := plan.caution()))),
        deployed_bytes=compressed.bytes_in(method.values) + _bias_bytes(shapes, method),
        task=task,
        method=method,
    )


def _other_widths(task: HasMatrices, method: Method, dense: Size) -> str:
    """What to add to the error of a width that a method cannot have: the nearest that it can."""
    if method.name == "dense":
        return ""
    units = method.units or next(
        (shape[1] for name, shape in task.lstm_shapes().items() if name.rpartition(".")[2].startswith("weight_hh")), 0
    )
    found = []
    for direction in (-1, 1):
        for off in range(1, WIDTHS):
            other = method.model_copy(update={"units": units + direction * off})
            try:
                if other.units and other.units > 0 and _can_be_had(task, other, dense):
                    found.append(str(other.units))
                    break
            except ValueError:
                continue
    return f"; nearest widths that can: {' and '.join(found)} units" if found else ""


def _can_be_had(task: HasMatrices, method: Method, dense: Size) -> bool:
    if not method.size:
        return bool(_of_factor(task, method, dense))
    _, _, largest = _largest(task, method, method.size, dense)
    return largest is not None and SMALLEST * method.size <= largest.deployed_bytes <= method.size


def lstm_bytes(lstms: Iterable[CompressedLSTM], values: Values) -> int:
    """Bytes of the layers of LSTMs as deployed, biases included: one per row, the sum of the two that ``nn.LSTM`` has."""
    return sum(
        lstm.size().bytes_in(values) + VALUE_BYTES * sum(bias.numel() for bias in lstm.biases.values()) // 2
        for lstm in lstms
    )


def _bias_bytes(shapes: Mapping[str, Shape], method: Method) -> int:
    if not method.bias:
        return 0
    return sum(VALUE_BYTES * shape[0] for name, shape in shapes.items() if name.rpartition(".")[2].startswith("weight_hh"))


def _total(sizes: Iterable[Size]) -> Size:
    return sum(sizes, Size(0, 0, 0))


def _kb(number: int) -> str:
    return f"{number / 1000:.4g} kB"
