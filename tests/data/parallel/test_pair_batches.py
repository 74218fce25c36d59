"""Batches of sentences and their translations."""

from pathlib import Path

import pytest
import torch
import toy_translation

from data.parallel.datamodule import TranslationData
from data.parallel.pairs import load
from data.parallel.subwords import Subwords
from data.settings import ParallelText
from doping.errors import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_translation.write(tmp_path_factory.mktemp("toy"), train=50)


def settings(folder: Path, **changed: int) -> ParallelText:
    return ParallelText(corpus="folder", source="xx", target="yy", path=str(folder), vocabulary_size=400, **changed)


@pytest.fixture
def data(folder: Path) -> TranslationData:
    torch.manual_seed(1)
    return TranslationData(load(settings(folder)), batch_size=8)


def sentences(column_L: torch.Tensor, vocabulary: Subwords) -> str:
    return vocabulary.decode([int(each) for each in column_L])


def test_a_batch_holds_sentences_and_their_translations_the_longest_first(data: TranslationData) -> None:
    for batch in data.train_dataloader():
        assert list(batch.source_lengths) == sorted(batch.source_lengths, reverse=True)
        assert batch.source_SB.shape == (max(batch.source_lengths), len(batch.references))
        assert batch.target_TB.shape[0] == max(batch.target_lengths) + 1
        columns = zip(batch.source_SB.T, batch.source_lengths, batch.target_TB.T, batch.target_lengths, strict=True)
        for (source, source_length, target, target_length), reference in zip(columns, batch.references, strict=True):
            assert toy_translation.translated(sentences(source, data.corpus.source_vocabulary)) == reference
            assert sentences(target, data.corpus.target_vocabulary) == reference
            assert (source == Subwords.PAD).tolist() == [step >= source_length for step in range(len(source))]
            assert source[source_length - 1] == Subwords.END
            assert target[0] == Subwords.BEGIN
            assert target[target_length] == Subwords.END
            assert (target[target_length + 1 :] == Subwords.PAD).all()


def test_every_pair_comes_once_an_epoch_in_another_order_each_time(data: TranslationData) -> None:
    loader = data.train_dataloader()
    epochs = [[reference for batch in loader for reference in batch.references] for _ in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(pair.reference for pair in data.corpus.train)
    assert epochs[0] != epochs[1]


def test_evaluation_goes_by_length_and_leaves_nothing_out(data: TranslationData) -> None:
    lengths = [length for batch in data.test_dataloader() for length in batch.source_lengths[::-1]]
    assert lengths == sorted(len(pair.source) + 1 for pair in data.corpus.test)
    assert data.monitored_batch().references == data.monitored_batch().references


def test_long_pairs_are_left_out_of_training_only(folder: Path) -> None:
    full, short = load(settings(folder)), load(settings(folder, max_length=3))
    assert 0 < len(short.train) < len(full.train)
    assert all(max(len(pair.source), len(pair.target)) <= 3 for pair in short.train)
    assert (short.validation, short.test) == (full.validation, full.test)
    toy_translation.write(folder / "long", train=2)
    with pytest.raises(DataError, match="no training pair has at most 1 subwords; raise max_length"):
        load(settings(folder / "long", max_length=1))


def test_a_limit_keeps_the_vocabulary(folder: Path) -> None:
    full, limited = load(settings(folder)), load(settings(folder, limit=10))
    assert limited.train == full.train[:10]
    assert limited.source_vocabulary.to_json() == full.source_vocabulary.to_json()


def test_the_hash_is_that_of_the_content(folder: Path, tmp_path: Path) -> None:
    again = load(settings(toy_translation.write(tmp_path / "again", train=50)))
    assert again.data_hash == load(settings(folder)).data_hash
    hashes = {again.data_hash}
    for changed in ({"limit": 10}, {"max_length": 5}):
        hashes.add(load(settings(folder).model_copy(update=changed)).data_hash)
    (tmp_path / "again" / "test.yy").write_text("Katze\n" * 60)
    hashes.add(load(settings(folder).model_copy(update={"path": str(tmp_path / "again"), "limit": 49})).data_hash)
    assert len(hashes) == 4
