import pytest
from pydantic import ValidationError

from doping.method import Method
from doping.settings import Settings, added_later


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "dense", "factor": 5}, "a dense matrix is not compressed"),
        ({"name": "kp", "cmr": {"probability": 0.3}}, "cmr needs a doped method"),
        ({"name": "pruned", "structured_share": 0.3}, "structured_share needs a doped method"),
        ({"name": "lmf", "terms": 2}, "left_shape and terms need kp or doped_kp"),
        ({"name": "pruned", "annealing": {"start": 0.6, "length": 0.6}}, "must end within the training"),
        ({"name": "pruned", "factor": 0.5}, "greater than or equal to 1"),
        ({"name": "pruned", "facctor": 5}, "Extra inputs are not permitted"),
        ({"name": "doped"}, "Input should be"),
        ({"name": "pruned", "pattern": "columns"}, "'unstructured', 'gates', 'rows', 'tiles'"),
        ({"name": "pruned", "factor": float("nan")}, "finite number"),
    ],
)
def test_senseless_settings_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Method(**settings)


def test_labels_and_kinds():
    assert Method(name="doped_kp", factor=20, cmr={"probability": 0.3}).label == "doped_kp + cmr"
    assert Method(name="doped_kp", factor=20).label == "doped_kp"
    assert Method(name="doped_kp", factor=20, cmr={"probability": 0.3}, pattern="rows").label == "doped_kp + cmr, rows"
    assert Method(name="kp", factor=20, pattern="rows").label == "kp"
    assert [Method(name=n).sparse for n in ("dense", "kp", "pruned", "doped_lmf")] == [False, False, True, True]


def test_a_field_that_was_added_later_is_written_where_it_has_another_value_than_its_default():
    class Old(Settings):
        size: int = 3

    class New(Old):
        colour: str = added_later("grey")

    assert New(colour="grey").model_dump() == Old().model_dump()
    assert New(colour="grey").model_dump_json() == Old().model_dump_json()
    assert New(colour="red").model_dump() == {"size": 3, "colour": "red"}
    assert New().complete() == {"size": 3, "colour": "grey"}
    for written in (New(), New(colour="red")):
        assert New.model_validate_json(written.model_dump_json()) == written


def test_all_fields_of_nested_settings_can_be_had():
    method = Method(name="doped_kp", factor=5, left_shape=(4, 5))
    written = method.model_dump(mode="json")
    annealing = written["annealing"] | {"criterion": "magnitude"}
    later = {"pattern": "unstructured", "values": "float32", "embedding_values": None}
    later |= {"units": None, "size": None, "free_rows": None}
    assert method.complete() == written | later | {"annealing": annealing, "rounding": {"share": 0.0, "annealed": 0.5}}


@pytest.mark.parametrize(
    ("written", "size"), [("12kB", 12_000), ("1.5 MB", 1_500_000), ("64KiB", 65_536), ("900", 900), ("7b", 7), (64, 64)]
)
def test_a_size_may_have_a_unit(written, size):
    assert Method(name="pruned", size=written).size == size


@pytest.mark.parametrize("written", ["12 apples", "kB", "-3kB", "1e4", ""])
def test_a_text_that_is_no_size_is_refused(written):
    with pytest.raises(ValueError, match="is no size; expected bytes, or a number with a unit, like 64kB"):
        Method(name="pruned", size=written)


def test_settings_of_the_time_before_widths_and_precisions_have_the_ids_they_had():
    assert not {"values", "units", "size", "rounding"} & Method(name="pruned", factor=5).model_dump(mode="json").keys()


def test_free_rows_are_a_setting_of_hybrids_only_and_the_old_ones_are_not_written():
    assert Method(name="hmd", factor=5).model_dump(mode="json")["free_rows"] == "gates"
    assert "free_rows" not in Method(name="hmd", factor=5, free_rows="stacked").model_dump(mode="json")
    assert "free_rows" not in Method(name="lmf", factor=5).model_dump(mode="json")
    with pytest.raises(ValueError, match="free_rows needs hmd or doped_hmd, not 'lmf'"):
        Method(name="lmf", factor=5, free_rows="gates")
