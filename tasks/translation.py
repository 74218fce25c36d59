"""Translation: sentences and their translations, and an LSTM encoder and decoder with attention."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from data.settings import ParallelText
from doping.method import Method
from lightning_modules.settings import TranslationModel, TranslationTraining
from tasks.base import TaskSettings

if TYPE_CHECKING:
    from data.parallel.datamodule import TranslationData
    from doping.matrices import Shape
    from lightning_modules.translation import Translator


class TranslationTask(TaskSettings):
    """Translation: data, model, training."""

    distills = True

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
        from doping.layers.lstm import weight_shapes

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
        from data.parallel.pairs import load

        return load(self.data).data_hash

    def build(self, method: Method) -> tuple[Translator, TranslationData]:
        """A model of the vocabularies of the corpus."""
        from data.parallel.pairs import load

        corpus = load(self.data)  # before the heavy imports: a mistake is answered at once

        from data.parallel.datamodule import TranslationData
        from lightning_modules.translation import Translator

        model = Translator(self.model, self.training, method, corpus.source_vocabulary, corpus.target_vocabulary)
        return model, TranslationData(corpus, self.training.batch_size)


def load(folder: str | Path) -> Translator:
    """A trained translator, from the ``trial.json`` and ``model.ckpt`` of its trial; it needs no data.

    Raises:
        ValueError: the folder is not that of a finished trial of translation.

    """
    import torch

    from data.parallel.subwords import Subwords
    from lightning_modules.translation import Translator

    try:
        trial = json.loads((Path(folder) / "trial.json").read_text(encoding="utf-8"))
        checkpoint = torch.load(Path(folder) / "model.ckpt", map_location="cpu", weights_only=True)
        written = checkpoint["vocabularies"]
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{folder}: {error}; expected the folder of a finished trial of translation, with trial.json and model.ckpt"
        ) from error
    from doping.sizes import resolved

    task, method = resolved(
        TranslationTask.model_validate_json(json.dumps(trial["task"])),
        Method.model_validate_json(json.dumps(trial["method"])),
    )
    source, target = (Subwords.from_json(written[side]) for side in ("source", "target"))
    model = Translator(task.model, task.training, method, source, target)
    model.load_state_dict(checkpoint["state_dict"])
    return model.eval()
