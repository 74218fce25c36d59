"""Language modelling: text from anywhere, and an LSTM that predicts its next token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from data.settings import Corpus
from doping.method import Method
from lightning_modules.settings import Model, StreamTraining
from tasks.base import TaskSettings

if TYPE_CHECKING:
    from data.text.datamodule import TextDataModule
    from doping.matrices import Shape
    from lightning_modules.language_model import RecurrentLanguageModel


class LanguageModelTask(TaskSettings):
    """Language modelling: data, model, training."""

    distills = True

    name: Literal["language_model"] = "language_model"
    """Which task this is."""
    data: Corpus = Corpus()
    """The text."""
    model: Model = Model()
    """The network."""
    training: StreamTraining = StreamTraining()
    """The regime."""

    @property
    def label(self) -> str:
        """Corpus and level."""
        return f"{self.data.corpus}-{self.data.level}"

    def lstm_shapes(self) -> dict[str, Shape]:
        """Those of one LSTM."""
        from doping.layers.lstm import weight_shapes

        model = self.model
        shapes = weight_shapes(model.embedding or model.hidden, model.hidden, model.layers)
        return {f"lstm.{name}": shape for name, shape in shapes.items()}

    def token_shapes(self) -> dict[str, Shape]:
        """Those of embedding and softmax."""
        from data.text.corpus import load

        tokens, model = len(load(self.data).vocabulary), self.model
        return {"embedding": (tokens, model.embedding or model.hidden), "softmax": (tokens, model.hidden)}

    def data_hash(self) -> str:
        """Hash of level, vocabulary and tokens. Raises ``DataError`` also if they are too few to train on."""
        from data.text.corpus import check_lengths, load

        corpus = load(self.data)
        check_lengths(corpus, self.training.batch_size, self.training.sequence_length)
        return corpus.data_hash

    def build(self, method: Method) -> tuple[RecurrentLanguageModel, TextDataModule]:
        """A model of the corpus's vocabulary."""
        import data

        corpus = data.build(self.data, self.training)

        from lightning_modules.language_model import RecurrentLanguageModel

        model = RecurrentLanguageModel(self.model, self.training, method, len(corpus.vocabulary), self.data.level)
        return model, corpus
