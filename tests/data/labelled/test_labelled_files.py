"""The user's own labelled texts, as CSV or JSON lines."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_examples
from hypothesis import strategies as st
from labelled_texts import texts, write_csv, write_folder

from data.labelled.corpus import load
from data.labelled.files import read, split_by_label
from data.labelled.texts import Labelled
from data.settings import LabelledText
from doping.errors import DataError


def settings(path, **columns):
    return LabelledText(corpus="file", path=str(path), **columns)


def test_a_folder_of_three_files_is_split_by_them(tmp_path):
    splits = read(settings(write_folder(tmp_path)))
    assert [len(split) for split in splits[:3]] == [60, 20, 20]
    text, label = texts(60, 0)[0]
    assert splits.train[0] == Labelled(tuple(text.split()), (label,))
    assert splits.source == str(tmp_path)


def test_a_single_file_is_split_by_label(tmp_path):
    rows = [(f"text {n}", "even" if n % 2 == 0 else "odd") for n in range(40)]
    splits = read(settings(write_csv(tmp_path / "all.csv", rows)))
    assert [text.words[1] for text in splits.validation] == ["16", "17", "36", "37"]
    assert [text.words[1] for text in splits.test] == ["18", "19", "38", "39"]
    assert len(splits.train) == 32


@settings_of_examples(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=10, max_size=400))
def test_training_sees_every_label_and_every_text_is_in_one_split(labels):
    texts = [Labelled((f"text{number}",), (str(label),)) for number, label in enumerate(labels)]
    splits = split_by_label(texts)
    assert sorted(text for split in splits for text in split) == sorted(texts)
    assert all(splits)
    learned = {text.labels[0] for text in splits[0]}
    missing = set(map(str, labels)) - learned
    # Only where a split would be left empty otherwise.
    assert len(missing) <= sum(len(split) == 1 for split in splits[1:])
    for split in splits[1:]:
        assert len(split) <= -(-len(texts) // 10)


@pytest.mark.parametrize("period", [2, 5, 10, 20])
def test_labels_in_rotation_are_all_in_all_splits(period, tmp_path):
    rows = [(f"please do thing {n % period} number {n}", f"intent{n % period}") for n in range(30 * period)]
    splits = read(settings(write_csv(tmp_path / "all.csv", rows)))
    for split in splits[:3]:
        assert {text.labels[0] for text in split} == {f"intent{n}" for n in range(period)}


PLAIN = "text,label\n" + "".join(f"please do thing {n} now,{'on' if n % 3 else 'off'}\n" for n in range(40))


@pytest.mark.parametrize(
    ("name", "content"),
    {
        "blank line at the end": ("a.csv", PLAIN + "\n"),
        "blank lines between": ("a.csv", PLAIN.replace("\n", "\n\n")),
        "lines of blanks": ("a.csv", PLAIN.replace("\n", "\n  \n")),
        "cells that are empty": ("a.csv", PLAIN + ",\n"),
        "semicolons": ("a.csv", PLAIN.replace(",", ";")),
        "tabs": ("a.tsv", PLAIN.replace(",", "\t")),
        "tabs in a .csv": ("a.csv", PLAIN.replace(",", "\t")),
        "an upper-case ending": ("A.CSV", PLAIN),
        "a byte order mark": ("a.csv", "\ufeff" + PLAIN),
        "a byte order mark and semicolons": ("a.csv", "\ufeff" + PLAIN.replace(",", ";")),
        "a blank in the header": ("a.csv", PLAIN.replace("text,label", "text, label")),
        "another column": ("a.csv", PLAIN.replace("\n", ",x\n")),
        "another column twice": ("a.csv", PLAIN.replace("\n", ",x,x\n")),
        "line ends of Windows": ("a.csv", PLAIN.replace("\n", "\r\n")),
        "quotes": ("a.csv", PLAIN.replace("please", '"please,').replace(" now,", ' now",')),
    }.values(),
)
def test_files_are_read_as_people_have_them(name, content, tmp_path):
    (tmp_path / "plain.csv").write_text(PLAIN)
    expected = read(settings(tmp_path / "plain.csv"))
    (tmp_path / name).write_bytes(content.encode())
    splits = read(settings(tmp_path / name))
    for found, split in zip(splits[:3], expected[:3], strict=True):
        assert [(text.words[1:], text.labels) for text in found] == [(text.words[1:], text.labels) for text in split]


def test_a_cell_may_be_long(tmp_path):
    (tmp_path / "a.csv").write_text(PLAIN + '"' + "word " * 300_000 + '",on\n')
    assert max(len(text.words) for text in read(settings(tmp_path / "a.csv")).train) == 300_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PLAIN.replace("text,label", "text,label,label").replace("\n", ",x\n", 1), "'label' is there 2 times"),
        (",".join(map(str, range(1_000_000))) + "\n" + PLAIN, "1,000,000 columns"),
        (",".join(map(str, range(9_000))) + "\n" + ",".join(["x"] * 9_000), "columns 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …"),
    ],
)
def test_a_header_that_is_none_is_one_short_line(content, message, tmp_path):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError) as error:
        read(settings(tmp_path / "a.csv"))
    assert message in str(error.value)
    assert len(str(error.value)) < 500


def test_columns_have_any_names_and_cells_may_have_several_lines(tmp_path):
    path = write_csv(tmp_path / "all.csv", [("two\nlines, one cell", "a")] * 10, header=("request", "intent"))
    assert read(settings(path, text="request", label="intent")).test == [Labelled(("two", "lines,", "one", "cell"), ("a",))]


def test_json_lines_may_have_several_labels(tmp_path):
    rows = [{"text": "one", "label": ["a", "b"]}, {"text": "two", "label": 3, "more": None}] * 5
    path = tmp_path / "all.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read(settings(path)).train[:2] == [Labelled(("one",), ("a", "b")), Labelled(("two",), ("3",))]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\n" + "x,a\n" * 5 + "x\n", "a.csv, line 7: 1 cells, expected 2 as in the header"),
        ("a.csv", "text,label\nx,\n", "a.csv, line 2: the label is ''; expected one that is not empty"),
        ("a.csv", "text,label\n ,a\n", "a.csv, line 2: the text is ' '; expected words"),
        (
            "a.csv",
            "text,intent\nx,a\n",
            "a.csv, line 2: no 'label' in it, it has the columns text, intent; name the columns",
        ),
        ("a.csv", 'text,label\n"x,a\n', "a.csv, line 2: unexpected end of data; expected CSV"),
        ("a.csv", "text,label\n", "a.csv: no texts below the header"),
        ("a.csv", "text,label\nx,a\n", "a.csv: 1 texts, expected at least 10 to split"),
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.jsonl", '{"text": "x", "label": "a"}\n{"text": "x"', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", '{"text": "x", "label": null}', "a.jsonl, line 1: no 'label' in it"),
        ("a.jsonl", "[1]", r"a.jsonl, line 1: no 'text' in it, it has [1]"),
        ("a.xml", "<a/>", "a.xml: the name ends in '.xml'; expected .csv, .tsv, .jsonl"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        read(settings(tmp_path / name))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_split_is_named(tmp_path):
    write_csv(tmp_path / "train.csv", texts(3, 0))
    with pytest.raises(DataError, match=r"has no valid.csv, valid.tsv, valid.jsonl; expected train, valid, test"):
        read(settings(tmp_path))


def test_a_single_label_cannot_be_learned(tmp_path):
    with pytest.raises(DataError, match="all texts to train on are labelled 'a'; expected at least two labels"):
        load(settings(write_csv(tmp_path / "all.csv", [("x", "a")] * 10)))
