"""Translation: sentences and their translations, and an LSTM encoder and decoder with attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from data.settings import ParallelText
from lightning_modules.settings import Method, TranslationModel, TranslationTraining
from tasks.base import TaskSettings

if TYPE_CHECKING:
    from data.translation import TranslationData
    from lightning_modules.matrices import Shape
    from lightning_modules.translation import Translator


class TranslationTask(TaskSettings):
    """Translation: data, model, training."""

    name: Literal["translation"] = "translation"
    """Which task this is."""
    data: ParallelText = ParallelText()
    """Sentences and their translations."""
    model: TranslationModel = TranslationModel()
    """The network."""
    training: TranslationTraining = TranslationTraining()
    """The regime."""

    @property
    def label(self) -> str:
        """Corpus and languages."""
        return f"{self.data.corpus}-{self.data.source}-{self.data.target}"

    def lstm_shapes(self) -> dict[str, Shape]:
        """Those of the bidirectional encoder, and of the decoder."""
        from lightning_modules.lstm import weight_shapes

        model = self.model
        shapes = {
            "encoder": weight_shapes(model.embedding, model.hidden // 2, model.layers, bidirectional=True),
            "decoder": weight_shapes(model.embedding, model.hidden, model.layers),
        }
        return {f"{lstm}.{name}": shape for lstm, own in shapes.items() for name, shape in own.items()}

    def compressed(self, matrix: str) -> bool:
        """As ``model.compressed`` says."""
        return self.model.compressed in ("both", matrix.partition(".")[0])

    def data_hash(self) -> str:
        """Hash of vocabularies and pairs."""
        from data.pairs import load

        return load(self.data).data_hash

    def build(self, method: Method) -> tuple[Translator, TranslationData]:
        """A model of the vocabularies of the corpus."""
        from data.pairs import load

        corpus = load(self.data)  # before the heavy imports: a mistake is answered at once

        from data.translation import TranslationData
        from lightning_modules.translation import Translator

        model = Translator(self.model, self.training, method, corpus.source_vocabulary, corpus.target_vocabulary)
        return model, TranslationData(corpus, self.training.batch_size)
