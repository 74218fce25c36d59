"""Labelled texts of any data set on the Hugging Face hub."""

from __future__ import annotations

from typing import Any

from data.labelled.files import example
from data.labelled.texts import Labelled, LabelledSplits
from data.settings import LabelledText
from data.sources import hub
from doping.errors import DataError


def read(settings: LabelledText) -> LabelledSplits:
    """Read a data set of the hub, or the copy of it in the cache.

    Raises:
        DataError: it cannot be had, or a row has no text or no label.

    """
    if settings.dataset is None:
        raise DataError("the corpus hub needs the setting dataset; give a name such as PolyAI/banking77")
    try:
        parts = hub.load(settings.dataset, settings.revision, name=settings.configuration, split=list(settings.splits))
    except hub.HubError as error:
        raise DataError(f"{settings.dataset} on the Hugging Face hub: {error}; check its name and splits") from error
    train, validation, test = (_examples(part, settings, split) for part, split in zip(parts, settings.splits, strict=True))
    source = f"{settings.dataset} ({settings.revision or 'newest revision'}) on the Hugging Face hub"
    return LabelledSplits(train, validation, test, source)


def _examples(part: Any, settings: LabelledText, split: str) -> list[Labelled]:
    names = getattr(part.features.get(settings.label), "names", None)
    rows = []
    for number, row in enumerate(part, 1):
        if names is not None and isinstance(row[settings.label], int):
            row = row | {settings.label: names[row[settings.label]]}
        rows.append(example(row, settings, f"{settings.dataset}, row {number} of {split}"))
    if not rows:
        raise DataError(f"{settings.dataset}: the split {split} is empty")
    return rows
