"""An ``nn.LSTM`` that is compressed from the start, as the tasks of this project have it.

For a layer of a model of one's own there is :func:`doping.compress_`; here weights are drawn at random, or the nearest to a
trained LSTM, pruned at once.

Legend: T steps, B batch, H hidden units, I inputs, M = 4·H rows of a weight (the gates input, forget, cell, output stacked).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache

import torch
from torch import Tensor, nn

from doping.errors import CompressionError
from doping.layers.compressed import CompressedLayer, compressed_class
from doping.layers.kinds import weight_names
from doping.layers.plain_weights import read, widened
from doping.matrices import BudgetError, Matrix, Plan, Shape, plan_matrix
from doping.matrices.base import uniform
from doping.method import Method

State = tuple[Tensor, Tensor]
"""Hidden and cell state, each (layers · directions, B, H)."""


def weight_shapes(input_size: int, hidden_size: int, num_layers: int = 1, bidirectional: bool = False) -> dict[str, Shape]:
    """Shapes (4·H, inputs) of the weight matrices of an LSTM, by the names that ``nn.LSTM`` gives them, in its order."""
    return dict(_weight_shapes(input_size, hidden_size, num_layers, bidirectional))


@lru_cache(maxsize=256)
def _weight_shapes(input_size: int, hidden_size: int, num_layers: int, bidirectional: bool) -> dict[str, Shape]:
    return _shapes(nn.LSTM(input_size, hidden_size, num_layers, bidirectional=bidirectional, device="meta"))


def _shapes(lstm: nn.LSTM) -> dict[str, Shape]:
    weights = {name: lstm.get_parameter(name) for name in weight_names(lstm)}
    return {name: (weight.shape[0], weight.shape[1]) for name, weight in weights.items()}


class CompressedLSTM(CompressedLayer, nn.LSTM):
    """Long short-term memory with compressed weights: an ``nn.LSTM`` in all else.

    Its biases are in ``biases`` and its weights in ``matrices``, by the names of ``nn.LSTM``; they are read by these too.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype: as
            ``nn.LSTM`` has them.
        method: what every weight matrix is ...
        keep_dense: ... but for those of these names, such as ``weight_ih_l0`` of an LSTM with few inputs.
        init_range: replaces the range ± 1 / √H in which ``nn.LSTM`` draws weights and biases; compressed weights get the
            same variance.

    Raises:
        ValueError: there is no weight of a name in ``keep_dense``, or ``nn.LSTM`` refuses an argument.
        BudgetError: a weight cannot be compressed by the method's factor.

    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        method: Method,
        init_range: float | None = None,
        keep_dense: Collection[str] = (),
    ):
        # On the device meta, PyTorch draws no numbers for weights that are thrown away.
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device="meta"
        )
        plans = self._plan(method, keep_dense)
        bound = init_range or hidden_size**-0.5
        matrices, biases = {}, nn.ParameterDict()
        for name, plan in plans.items():
            matrices[name] = plan.initialized(std=bound / 3**0.5)
            if bias and not name.startswith("weight_hr"):
                biases[name.replace("weight", "bias")] = nn.Parameter(uniform(plan.shape[0]) * bound / 3**0.5)
        self._take(matrices, plans, biases)
        self.to(device, dtype)

    def _plan(self, method: Method, keep_dense: Collection[str]) -> dict[str, Plan]:
        """Decide what each weight will be."""
        shapes = _shapes(self)
        if unknown := sorted(set(keep_dense) - set(shapes)):
            raise ValueError(f"keep_dense names {', '.join(unknown)}; the weights are {', '.join(shapes)}")
        self.method = method
        self.methods = {name: Method() if name in keep_dense else method for name in shapes}
        return {name: _plan(self.methods[name], name, shape) for name, shape in shapes.items()}

    def _take(self, matrices: dict[str, Matrix], plans: dict[str, Plan], biases: nn.ParameterDict) -> None:
        """Have these in place of the parameters of ``nn.LSTM``."""
        self._parameters.clear()
        self.__class__ = compressed_class(type(self), (*matrices, *biases))  # type: ignore[assignment]
        self.compress(matrices, plans, self.methods, {})
        self.biases = biases

    @classmethod
    def from_lstm(cls, lstm: nn.LSTM, method: Method, keep_dense: Collection[str] = ()) -> CompressedLSTM:
        """The nearest compressed LSTM to a trained one, at the method's factor: pruned at once, for use without training.

        Weights that PyTorch's pruning, ``weight_norm`` or others make are taken as the tensors that they are.

        Raises:
            ValueError: there is no weight of a name in ``keep_dense``, or a weight cannot be read.
            BudgetError: a weight cannot be compressed by the method's factor.

        """
        if not isinstance(lstm, nn.LSTM):
            raise CompressionError(f"{type(lstm).__name__} is no nn.LSTM; compress such a layer with doping.compress_")
        made = cls.__new__(cls)  # without ``__init__``, which draws weights
        nn.LSTM.__init__(
            made, lstm.input_size, lstm.hidden_size, lstm.num_layers, lstm.bias, lstm.batch_first, lstm.dropout,
            lstm.bidirectional, lstm.proj_size, device="meta",
        )  # fmt: skip
        plans = made._plan(method, keep_dense)
        weights = {name: read(lstm, name, name) for name in plans}
        matrices = {name: plan.fitted(widened(weights[name])).to(weights[name].dtype) for name, plan in plans.items()}
        biases = nn.ParameterDict(
            {name: nn.Parameter(bias.detach().clone()) for name, bias in lstm.named_parameters() if name.startswith("bias")}
        )
        made._take(matrices, plans, biases)
        first = next(iter(weights.values()))
        made.to(first.device, first.dtype)
        return made.train(lstm.training)

    @torch.no_grad()
    def start_from(self, dense: CompressedLSTM) -> None:
        """Take the weights and biases of a dense LSTM to start training with: nothing is pruned yet.

        Raises:
            RuntimeError: if it has another shape.

        """
        self.biases.load_state_dict(dense.biases.state_dict())
        for name, matrix in self.named_matrices():
            matrix.load_state_dict(self.plans[name].unpruned(dense.matrix(name).dense()).state_dict())

    @torch.no_grad()
    def to_lstm(self) -> nn.LSTM:
        """A plain ``nn.LSTM`` with the composed weights."""
        parameters = {name: getattr(self, name).detach() for name in self._composed}
        first = next(iter(parameters.values()))
        lstm = nn.LSTM(
            self.input_size, self.hidden_size, self.num_layers, self.bias, self.batch_first, self.dropout,
            self.bidirectional, self.proj_size, first.device, first.dtype,
        )  # fmt: skip
        lstm.load_state_dict(parameters)
        return lstm.train(self.training)

    def composed(self, name: str) -> Tensor:
        """A weight or a bias by its name in ``nn.LSTM``."""
        return self.biases[name] if name.startswith("bias") else super().composed(name)

    def _plain_parameter(self, name: str) -> nn.Parameter:
        return self.biases[name] if name.startswith("bias") else super()._plain_parameter(name)

    def weight_matrices(self) -> Iterator[Matrix]:
        """The weight matrices, in the order of ``nn.LSTM``."""
        return (matrix for _, matrix in self.named_matrices())


def _plan(method: Method, name: str, shape: Shape) -> Plan:
    try:
        return plan_matrix(method, shape)
    except BudgetError as error:
        raise BudgetError(f"{error}; or leave it dense: keep_dense=[{name!r}]", error.nearest) from None
