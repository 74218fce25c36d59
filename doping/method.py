"""How the weights of an LSTM are compressed.

Times are shares of the whole training, so that the same method means the same thing for a short and for a long training.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from doping.families import DOPED, FAMILIES, Family, has_sparse_part, is_doped, methods
from doping.patterns import PatternName
from doping.settings import Settings, added_later, byte_size, one_of


def _as_tuple(given: Any) -> Any:
    """A list as JSON and YAML have it, also where types are strict."""
    return tuple(given) if isinstance(given, list) else given


MethodName = Annotated[str, one_of(methods)]
"""One of ``doping.families.methods()``."""
FreeRows = Literal["gates", "stacked"]
Values = Literal["float32", "int8", "int4"]
"""How the values of weights are stored where a model is deployed; see ``doping.matrices.budget``."""


class Annealing(Settings):
    """How a sparse matrix loses its values: the gradual schedule of Zhu & Gupta (arXiv 1710.01878)."""

    start: float = Field(default=0.15, ge=0, lt=1)
    """When the pruning starts, as a share of all optimizer steps."""
    length: float = Field(default=0.55, gt=0, le=1)
    """How long it lasts, as a share of all optimizer steps; after it the mask is frozen."""
    exponent: float = Field(default=3.0, gt=0)
    """Exponent of the schedule; 3 is the cubic one of the paper."""
    interval: PositiveInt = 10
    """Optimizer steps between two prunings (the paper's frequency)."""
    criterion: Literal["magnitude", "saliency"] = added_later("magnitude")
    """What is pruned first: the smallest values, as in the paper, or those that the loss depends on least, by their size
    times the root of their mean squared gradient (LeCun, Denker & Solla 1989, with the Fisher information as curvature)."""

    @model_validator(mode="after")
    def _ends_in_time(self) -> Annealing:
        if self.start + self.length > 1:
            raise ValueError(
                f"start + length is {self.start + self.length:g}: the schedule must end within the training (at most 1)"
            )
        return self


class RowDropout(Settings):
    """Co-matrix row dropout regularization (CMR) of a doped matrix M + S."""

    probability: float = Field(default=0.0, ge=0, lt=1)
    """Probability that an output row of a matrix is dropped in a training step; 0 turns CMR off."""
    anneal: bool = True
    """Whether the probability falls to zero together with the pruning schedule, or stays constant."""
    on: Literal["both", "sparse"] = "both"
    """Whose rows are dropped: those of M and S independently, or those of S only."""


class RoundedTraining(Settings):
    """Training with weights that are rounded as they are deployed, for the last stretch."""

    share: float = Field(default=0.0, ge=0, le=1)
    """Last share of all optimizer steps in which weights are rounded; 0 rounds after the training only."""
    annealed: float = Field(default=0.5, ge=0, le=1)
    """Share of that stretch in which the rounding grows from none to all of it."""


Rank = Annotated[int, Field(ge=2)]
"""Of the factors of a matrix; those of rank 1 would be vectors, which are not stored in narrow values."""
ByteSize = Annotated[PositiveInt, BeforeValidator(byte_size)]
"""Bytes; may be written with a unit, like ``64kB``."""


class Method(Settings):
    """A compression method: a matrix family, plus (maybe) doping, plus (maybe) CMR, at a compression factor."""

    SIZED_BY: ClassVar[frozenset[str]] = frozenset(
        {"structured_share", "left_shape", "terms", "units", "size", "values", "embedding_rank", "bias"}
    )
    """Settings that, beside name, factor, unit and pattern, decide what a matrix consists of."""

    name: MethodName = "dense"
    """The family; ``doped_*`` adds an annealed sparse matrix S to the structured one."""
    factor: float = Field(default=1.0, ge=1)
    """Compression factor of each LSTM weight matrix; 1 for ``dense``."""
    unit: Literal["values", "bytes"] = "values"
    """What the factor counts: remaining values, or bytes in the deployed format, indices included; those of the dense model
    are float32."""
    structured_share: float | None = Field(default=None, gt=0, lt=1)
    """Share of the budget given to M in a doped method; by default the smallest Kronecker product of full rank,
    and half of the budget for low rank and hybrid."""
    sparse_variance: float = Field(default=0.5, ge=0, lt=1)
    """Share of the initial variance of M + S that S starts with."""
    left_shape: Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_as_tuple)] | None = None
    """Shape of the left Kronecker factor B, in place of the automatic choice."""
    terms: PositiveInt | None = None
    """Number of Kronecker products that are summed, in place of the automatic choice."""
    pattern: PatternName = added_later("unstructured")
    """What the sparse part is pruned by: single values; blocks of the four gates of a hidden unit, or of eight rows, each in
    one column; tiles of four gates x four units x four columns; or equally many values in every 16 or 32 columns of a row
    (blocks run much faster on a CPU; tiles are what int8 instructions like). Ignored by methods without a sparse part."""
    values: Values = added_later("float32")
    """How values are stored where the model is deployed: int8 and int4 have a scale for each row. Validation and test are
    those of the rounded model, and ``unit: bytes`` counts its bytes."""
    embedding_values: Literal["int8", "int4"] | None = added_later(None)
    """How embedding and softmax, and all other matrices beside the LSTMs, are stored where ``values`` are narrow; int8
    unless given."""
    embedding_rank: Rank | None = added_later(None)
    """Rank of the matrices with a row for each token: of the embedding and of a language model's softmax, in whose place
    are factors (tokens, rank) and (rank, width); full unless given."""
    rounding: RoundedTraining = added_later(RoundedTraining())
    """Training with rounded weights; ignored where values are float32."""
    units: PositiveInt | None = added_later(None)
    """Width of the model, in place of the task's own; factor and sizes refer to the dense model of the task's own width."""
    bias: bool = added_later(True)
    """Whether the LSTMs have biases. As deployed they take 16 bytes a unit of a layer, a third of wide ones in few bytes."""
    size: ByteSize | None = added_later(None)
    """Most bytes of the LSTM's layers as deployed, biases included, in place of a factor: the largest model of the method
    that fits is taken. Of a dense one without ``units``, the widest that fits."""
    free_rows: FreeRows | None = Field(default=None, exclude_if=lambda rows: rows in (None, "stacked"))
    """Which rows of a hybrid matrix are unconstrained: as many of each gate (``gates``, unless given), or the first of the
    stacked matrix, which all are of the input gate (``stacked``, what ``hmd`` meant until version 2). None for others.
    ``stacked`` is not written, so that trials of that time keep their ids, and those of today have others."""
    annealing: Annealing = Annealing()
    """Schedule of the sparse part; ignored by methods without one."""
    cmr: RowDropout = RowDropout()
    """Co-matrix row dropout; doped methods only."""

    @model_validator(mode="before")
    @classmethod
    def _rows_by_gates(cls, given: Any) -> Any:
        if isinstance(given, dict) and str(given.get("name", "")).endswith("hmd") and given.get("free_rows") is None:
            return {**given, "free_rows": "gates"}
        return given

    @model_validator(mode="after")
    def _makes_sense(self) -> Method:
        if self.name == "dense" and self.factor != 1:
            raise ValueError(f"factor is {self.factor:g}, but a dense matrix is not compressed: leave factor out")
        if self.size and self.factor != 1:
            raise ValueError(f"size is {self.size:,} bytes and factor {self.factor:g}: give one of them")
        if self.cmr.probability > 0 and not self.doped:
            raise ValueError(f"cmr needs a doped method, not {self.name!r}")
        if self.structured_share is not None and not self.doped:
            raise ValueError(f"structured_share needs a doped method, not {self.name!r}")
        for settings in (("left_shape", "terms"), ("free_rows",)):
            if any(getattr(self, setting) and not self.uses(setting) for setting in settings):
                takers = [name for name, family in FAMILIES.items() if settings[0] in dict(family.options)]
                fitting = " or ".join(f"{name} or {DOPED}{name}" for name in takers)
                raise ValueError(
                    f"{' and '.join(settings)} {'needs' if len(settings) == 1 else 'need'} {fitting}, not {self.name!r}"
                )
        return self

    @property
    def family(self) -> Family | None:
        """The structured family, alone or doped; none of ``dense`` and ``pruned``."""
        return FAMILIES.get(self.name.removeprefix(DOPED))

    @property
    def doped(self) -> bool:
        """Whether the weight is a structured matrix plus a sparse one."""
        return is_doped(self.name)

    @property
    def sparse(self) -> bool:
        """Whether a part of the weight is pruned on the annealing schedule."""
        return has_sparse_part(self.name)

    @property
    def of_matrices(self) -> Method:
        """What it says of single matrices: without a rank of embeddings, and whether there are biases."""
        return self.model_copy(update={"embedding_rank": None, "bias": True})

    def uses(self, setting: str) -> bool:
        """Whether one of the settings above has an effect on this method."""
        match setting:
            case "annealing" | "pattern":
                return self.sparse
            case "cmr":
                return self.cmr.probability > 0
            case "rounding" | "embedding_values":
                return self.values != "float32"
            case "sparse_variance" | "structured_share":
                return self.doped
            case "left_shape" | "terms" | "free_rows":
                return self.family is not None and setting in dict(self.family.options)
            case _:
                return True

    @property
    def label(self) -> str:
        """Name in messages, e.g. ``doped_kp + cmr`` or ``pruned, gates``."""
        pattern = f", {self.pattern}" if self.sparse and self.pattern != "unstructured" else ""
        return self.name + (" + cmr" if self.cmr.probability > 0 else "") + pattern

    @property
    def budget(self) -> str:
        """What it may weigh, in words: ``20x``, ``64 kB``, and what it has of its own: width, precision, rank, no biases."""
        size = f"{self.size / 1000:g} kB" if self.size else "" if self.name == "dense" else f"{self.factor:g}x"
        units = f"{self.units} units" if self.units else ""
        rank = f"embedding rank {self.embedding_rank}" if self.embedding_rank else ""
        values, biases = "" if self.values == "float32" else self.values, "" if self.bias else "no biases"
        return ", ".join(filter(None, (size, units, values, rank, biases)))
