"""Labelled texts of the hub; its client is replaced, as tests go nowhere."""

import datasets
import pytest

from data.labelled.hub import read
from data.labelled.texts import Labelled
from data.settings import LabelledText, ParallelText
from data.sources import hub
from doping.errors import DataError

SETTINGS = LabelledText(
    corpus="hub",
    dataset="me/requests",
    revision="abc",
    text="request",
    label="intent",
    splits=("train[:90%]", "dev", "test"),
)


def part(text, intent, names=("fare", "flight")):
    features = datasets.Features({"request": datasets.Value("string"), "intent": datasets.ClassLabel(names=list(names))})
    return datasets.Dataset.from_dict({"request": [text], "intent": [intent]}, features=features)


@pytest.fixture
def asked(monkeypatch):
    import datasets.load

    calls = []

    def load_dataset(*arguments, **options):
        calls.append((arguments, options))
        return [
            part("to denver", 1),
            part("how much", 0),
            part("", 0) if options["revision"] == "bad" else part("to boston", 1),
        ]

    monkeypatch.setattr(datasets.load, "load_dataset", load_dataset)
    monkeypatch.setattr(hub, "reachable", lambda url: True)
    return calls


def test_rows_become_texts_and_numbers_of_labels_their_names(asked):
    splits = read(SETTINGS)
    assert splits[:3] == (
        [Labelled(("to", "denver"), ("flight",))],
        [Labelled(("how", "much"), ("fare",))],
        [Labelled(("to", "boston"), ("flight",))],
    )
    assert splits.source == "me/requests (abc) on the Hugging Face hub"
    options = {"revision": "abc", "name": None, "split": ["train[:90%]", "dev", "test"]}
    assert asked == [(("me/requests",), options)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"revision": "bad"}, "me/requests, row 1 of test: the text is ''; expected words"),
        ({"label": "answer"}, "me/requests, row 1 of train.*: no 'answer' in it, it has the columns request, intent"),
        ({"dataset": None}, "the corpus hub needs the setting dataset"),
    ],
)
def test_what_cannot_be_used_is_named(asked, changed, message):
    with pytest.raises(DataError, match=message):
        read(SETTINGS.model_copy(update=changed))


def test_a_hub_out_of_reach_is_told(monkeypatch):
    monkeypatch.setattr(hub, "reachable", lambda url: False)
    with pytest.raises(DataError, match="me/requests on the Hugging Face hub: cannot be reached; check its name and splits"):
        read(SETTINGS)


@pytest.mark.parametrize("kind", [LabelledText, ParallelText])
def test_a_data_set_is_named_as_for_texts_and_kept_as_it_was_first(kind):
    hub = {"name": "owner/set", "config": "small", "train": "train[:90%]", "revision": "0123abc"}
    first = {"dataset": "owner/set", "configuration": "small", "revision": "0123abc"}
    written = kind(corpus="hub", hub=hub)
    assert written == kind(corpus="hub", splits=["train[:90%]", "validation", "test"], **first)
    assert "hub" not in written.model_dump_json().replace('"corpus":"hub"', "")
    assert kind.model_validate_json(written.model_dump_json()) == written


def test_a_data_set_is_named_once():
    with pytest.raises(ValueError, match="both hub and dataset were given: hub is enough"):
        LabelledText(corpus="hub", hub={"name": "owner/set"}, dataset="owner/other")
