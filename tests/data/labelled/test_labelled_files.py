"""The user's own labelled texts, as CSV or JSON lines."""

import json

import pytest
from labelled_texts import texts, write_csv, write_folder

from data.labelled.corpus import load
from data.labelled.files import read
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


def test_a_single_file_is_split_by_position(tmp_path):
    rows = [(f"text {n}", "even" if n % 2 == 0 else "odd") for n in range(25)]
    splits = read(settings(write_csv(tmp_path / "all.csv", rows)))
    assert [text.words[1] for text in splits.validation] == ["8", "18"]
    assert [text.words[1] for text in splits.test] == ["9", "19"]
    assert len(splits.train) == 21


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
        ("a.xml", "<a/>", "a.xml: the name ends in '.xml'; expected .csv or .jsonl"),
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
    with pytest.raises(DataError, match=r"has no valid.csv or valid.jsonl; expected train, valid, test as .csv or .jsonl"):
        read(settings(tmp_path))


def test_a_single_label_cannot_be_learned(tmp_path):
    with pytest.raises(DataError, match="all texts to train on are labelled 'a'; expected at least two labels"):
        load(settings(write_csv(tmp_path / "all.csv", [("x", "a")] * 10)))
