"""Intent detection: labelled texts from anywhere, and a bidirectional LSTM that tells the label of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from data.settings import LabelledText
from doping.method import Method
from lightning_modules.settings import IntentModel, IntentTraining
from tasks.base import TaskSettings

if TYPE_CHECKING:
    from data.labelled.datamodule import IntentData
    from doping.matrices import Shape
    from lightning_modules.intent import IntentClassifier


class IntentTask(TaskSettings):
    """Intent detection: data, model, training."""

    distills = True

    name: Literal["intent"] = "intent"
    """Which task this is."""
    data: LabelledText = LabelledText()
    """The labelled texts."""
    model: IntentModel = IntentModel()
    """The network."""
    training: IntentTraining = IntentTraining()
    """The regime."""

    @property
    def label(self) -> str:
        """Where the texts are from."""
        return f"{self.data.corpus}-intent"

    def lstm_shapes(self) -> dict[str, Shape]:
        """Those of a bidirectional LSTM."""
        from doping.layers.lstm import weight_shapes

        model = self.model
        shapes = weight_shapes(model.embedding or model.hidden, model.hidden, model.layers, bidirectional=True)
        return {f"lstm.{name}": shape for name, shape in shapes.items()}

    def token_shapes(self) -> dict[str, Shape]:
        """That of the embedding; the softmax has a row per label."""
        from data.labelled.corpus import load

        return {"embedding": (len(load(self.data).vocabulary), self.model.embedding or self.model.hidden)}

    def data_hash(self) -> str:
        """Hash of vocabulary, labels and texts."""
        from data.labelled.corpus import load

        return load(self.data).data_hash

    def build(self, method: Method) -> tuple[IntentClassifier, IntentData]:
        """A model of the corpus's vocabulary and labels."""
        from data.labelled.corpus import load

        corpus = load(self.data)  # before the heavy imports: a mistake is answered at once

        from data.labelled.datamodule import IntentData
        from lightning_modules.intent import IntentClassifier

        model = IntentClassifier(
            self.model,
            self.training,
            method,
            vocabulary_size=len(corpus.vocabulary),
            unknown=corpus.vocabulary.unknown,
            classes=corpus.classes,
            labels=len(corpus.labels),
            counts=corpus.counts,
        )
        return model, IntentData(corpus, self.training)
