"""Labelled texts as batches."""

import pytest
import torch
from labelled_texts import texts, write_csv, write_folder

from data.labelled.corpus import load
from data.labelled.datamodule import IntentData
from data.settings import LabelledText
from doping.errors import DataError
from doping.vocabulary import Vocabulary
from lightning_modules.settings import Training


def corpus(path):
    return load(LabelledText(corpus="file", path=str(path)))


def test_a_batch_is_sorted_by_length_and_padded(tmp_path):
    found = corpus(write_folder(tmp_path))
    data = IntentData(found, Training(batch_size=16))
    rows = []
    for batch in data.val_dataloader():
        assert batch.lengths_B.tolist() == sorted(batch.lengths_B.tolist(), reverse=True)
        assert batch.words_TB.shape == (batch.lengths_B[0], 20)
        for column, length in enumerate(batch.lengths_B):
            words = batch.words_TB[:, column]
            assert not words[length:].any()
            label = found.labels[batch.first_B[column]]
            assert batch.labels_BL[column].nonzero().flatten().tolist() == [batch.first_B[column]]
            rows.append((found.vocabulary.decode(words[:length].tolist()), label))
    assert sorted(rows) == sorted(texts(20, 1))


def test_the_order_follows_from_the_seed(tmp_path):
    found = corpus(write_folder(tmp_path))

    def first(seed):
        torch.manual_seed(seed)
        return next(iter(IntentData(found, Training(batch_size=16)).train_dataloader()))

    assert torch.equal(first(1).words_TB, first(1).words_TB)
    assert first(1).lengths_B.tolist() != first(2).lengths_B.tolist()


def test_labels_that_training_never_sees_are_named(tmp_path, capsys):
    write_folder(tmp_path)
    write_csv(tmp_path / "test.csv", [("a new thing", "another"), ("one more", "third"), ("fly", "flight")])
    corpus(tmp_path)
    said = capsys.readouterr().err
    assert "2 of 3 texts to test have labels not in training" in said
    assert "'another', 'third'" in said
    assert said.count("\n") == 1


def test_a_split_of_which_nothing_can_be_learned_is_a_mistake(tmp_path):
    write_folder(tmp_path)
    write_csv(tmp_path / "valid.csv", [("a new thing", "another")] * 5)
    with pytest.raises(DataError, match="every text to validate has a label that no text to train on has"):
        corpus(tmp_path)


def test_labels_that_differ_in_case_only_are_named(tmp_path, capsys):
    write_folder(tmp_path)
    with (tmp_path / "train.csv").open("a") as file:
        file.write("a flight,FLIGHT\n")
    corpus(tmp_path)
    assert "'FLIGHT', 'flight'" in capsys.readouterr().err


def test_a_label_that_is_not_in_the_training_split_comes_last(tmp_path):
    write_folder(tmp_path)
    write_csv(tmp_path / "test.csv", [("a new thing", "another"), ("fly", "flight")])
    found = corpus(tmp_path)
    assert found.labels == ("fare", "flight", "meal", "another")
    assert found.classes == 3
    assert found.test[0].labels == (3,)
    assert found.test[0].words == (found.vocabulary.unknown,) * 3


def test_the_hash_is_that_of_the_content(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here, there = corpus(write_folder(tmp_path / "here")), corpus(write_folder(tmp_path / "there"))
    assert here.data_hash == there.data_hash
    (tmp_path / "other").mkdir()
    assert corpus(write_folder(tmp_path / "other", train=61)).data_hash != here.data_hash


def test_words_and_labels_go_into_checkpoints(tmp_path):
    found = corpus(write_folder(tmp_path))
    state = IntentData(found, Training()).state_dict()
    assert Vocabulary.from_json(state["vocabulary"]) == found.vocabulary
    assert state["labels"] == ["fare", "flight", "meal"]
