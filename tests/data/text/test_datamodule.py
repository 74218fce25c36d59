import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data import DataError, build, data_hash
from data.settings import Corpus
from data.sources.registry import READERS
from data.text.corpus import load
from data.text.datamodule import TextDataModule
from lightning_modules.settings import StreamTraining

TEXT = "".join(f"line number {i} of the text\n" for i in range(60))
SMALL = StreamTraining(batch_size=4, sequence_length=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in (("train", TEXT), ("valid", "line of zebras\n"), ("test", "the number of lines\n")):
        (tmp_path / f"{name}.txt").write_text(content)
    return tmp_path


def corpus(path: Path, **settings: Any) -> Corpus:
    return Corpus(corpus="text", path=str(path), **settings)


def test_tokens_are_those_of_the_files(folder: Path) -> None:
    data = build(corpus(folder), SMALL)
    assert data.vocabulary.decode(data.train_tokens[:]) == TEXT
    assert data.vocabulary.decode(data.validation_tokens[:]) == "line of <unk>ebr<unk><unk>\n"
    assert data.train_tokens[:].dtype == np.int64


def test_words_that_training_lacks_are_unknown(folder: Path) -> None:
    data = build(corpus(folder, level="word"), SMALL)
    assert data.vocabulary.decode(data.validation_tokens[:]) == "line of <unk>\n"


def test_training_runs_in_lanes_and_evaluation_in_one(folder: Path) -> None:
    data = build(corpus(folder), SMALL, evaluation_length=6)
    first = next(iter(data.train_dataloader()))
    assert first.tokens_TB.shape == (8, 4)
    for loader, tokens in (
        (data.val_dataloader(), data.validation_tokens),
        (data.test_dataloader(), data.test_tokens),
    ):
        batches = list(loader)
        assert batches[0].tokens_TB.shape == (6, 1)
        assert torch.equal(torch.cat([batch.targets_TB for batch in batches]).flatten(), torch.from_numpy(tokens[1:]))


def test_a_limit_shortens_training_and_keeps_the_vocabulary(folder: Path) -> None:
    whole, limited = build(corpus(folder), SMALL), build(corpus(folder, limit=100), SMALL)
    assert np.array_equal(limited.train_tokens[:], whole.train_tokens[:100])
    assert limited.vocabulary == whole.vocabulary
    assert np.array_equal(limited.validation_tokens[:], whole.validation_tokens[:])
    assert limited.data_hash != whole.data_hash


def test_equal_content_has_an_equal_hash_wherever_it_lies(folder: Path) -> None:
    copy = folder / "copy"
    copy.mkdir()
    for file in folder.glob("*.txt"):
        (copy / file.name).write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert data_hash(corpus(copy)) == data_hash(corpus(folder)) == build(corpus(folder), SMALL).data_hash


@pytest.mark.parametrize("changed", ["train", "valid", "test"])
def test_one_changed_character_in_any_split_changes_the_hash(folder: Path, changed: str) -> None:
    before = data_hash(corpus(folder))
    copy = folder / "copy"
    copy.mkdir()
    for file in folder.glob("*.txt"):
        content = file.read_text()
        (copy / file.name).write_text(content.replace("line", "lime", 1) if file.stem == changed else content)
    assert data_hash(corpus(copy)) != before


def test_the_level_changes_the_hash(folder: Path) -> None:
    assert data_hash(corpus(folder)) != data_hash(corpus(folder, level="word"))


def test_moving_text_between_splits_changes_the_hash(folder: Path) -> None:
    before = data_hash(corpus(folder))
    copy = folder / "copy"
    copy.mkdir()
    (copy / "train.txt").write_text(TEXT)
    (copy / "valid.txt").write_text("line of zebras\nthe ")
    (copy / "test.txt").write_text("number of lines\n")
    assert data_hash(corpus(copy)) != before


def test_the_embedded_text_has_one_hash_in_all_processes() -> None:
    code = "import data; from data.settings import Corpus; print(data.data_hash(Corpus()))"
    code += "; import sys; assert not {'torch', 'pytorch_lightning', 'datasets'} & set(sys.modules)"
    root = Path(__file__).parents[3]
    printed = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True).stdout
    assert printed.strip() == data_hash(Corpus())


@pytest.mark.parametrize(
    ("settings", "training", "message"),
    [
        ({"limit": 32}, SMALL, r"32 training tokens, but one batch \(batch_size 4 × sequence_length 8 \+ 1\) takes 33"),
        ({}, StreamTraining(batch_size=2000), "takes 70001; give more text or a larger limit, or make these smaller"),
    ],
)
def test_a_text_shorter_than_a_batch_is_refused(
    folder: Path, settings: dict[str, Any], training: StreamTraining, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        build(corpus(folder, **settings), training)


def test_a_text_of_just_one_batch_is_enough(folder: Path) -> None:
    assert len(build(corpus(folder, limit=33), SMALL).train_dataloader()) == 1


def test_a_held_out_split_of_one_token_is_refused(folder: Path) -> None:
    (folder / "valid.txt").write_text("l")
    with pytest.raises(DataError, match="the validation split has 1 tokens, expected at least 2"):
        build(corpus(folder), SMALL)


def test_every_corpus_has_a_reader() -> None:
    for place in READERS.values():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_an_unknown_corpus_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no corpus 'penn'; expected one of embedded, ptb, wikitext2, hub, text"):
        Corpus(corpus="penn")


def test_a_new_corpus_is_one_file_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is here, the line is the entry in the registry; nothing else is touched."""
    (tmp_path / "my_corpus.py").write_text(
        "from data.sources.raw import RawCorpus, Text\n"
        "def read(corpus):\n"
        "    lines = [f'line {n} of my own' for n in range(100)]\n"
        "    parts = lines[:80], lines[80:90], lines[90:]\n"
        "    return RawCorpus(*map(Text.of_lines, parts), 'my own lines')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(READERS, "mine", "my_corpus:read")
    data = build(Corpus(corpus="mine"), SMALL)
    assert data.source == "my own lines"
    assert data.vocabulary.decode(data.validation_tokens[:20].tolist()) == "line 80 of my own\nli"
    assert len(data.train_dataloader()) > 0


def test_a_process_reads_a_corpus_once(folder: Path) -> None:
    assert load(corpus(folder)) is load(corpus(folder))


def test_it_is_a_lightning_data_module(folder: Path) -> None:
    import pytorch_lightning as pl

    assert isinstance(build(corpus(folder), SMALL), pl.LightningDataModule)
    assert isinstance(build(corpus(folder), SMALL), TextDataModule)
