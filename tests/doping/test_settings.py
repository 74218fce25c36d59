import pytest
from pydantic import ValidationError

from doping.errors import SettingsError
from doping.families import methods
from doping.method import Annealing, Method
from doping.settings import Settings, added_later


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "doped_kq"}, "name: 'doped_kq' is not known; did you mean 'doped_kp'?"),
        ({"name": None}, "name: None is not known; known are " + ", ".join(methods())),
        ({"name": "doped_kp", "factr": 20}, "factr: unknown key; did you mean 'factor'?"),
        ({"factor": -1}, "factor: -1 was given, expected greater than or equal to 1"),
        ({"name": "pruned", "factor": float("nan")}, "factor: nan was given, expected a finite number"),
        ({"name": "pruned", "factor": "many"}, "factor: 'many' was given, expected number"),
        ({"name": "dense", "factor": 5}, "factor is 5, but a dense matrix is not compressed: leave factor out"),
        ({"name": "kp", "cmr": {"probability": 0.3}}, "cmr needs a doped method, not 'kp'"),
        ({"name": "doped_kp", "cmr": 0.3}, "cmr: 0.3 was given, expected dictionary or instance of RowDropout"),
        ({"name": "pruned", "structured_share": 0.3}, "structured_share needs a doped method, not 'pruned'"),
        ({"name": "lmf", "terms": 2}, "left_shape and terms need kp or doped_kp, not 'lmf'"),
        ({"name": "kp", "terms": 1.5}, "terms: 1.5 was given, expected integer, got a number with a fractional part"),
        ({"name": "kp", "left_shape": (1, -2)}, "left_shape[1]: -2 was given, expected greater than 0"),
        ({"name": "pruned", "pattern": "row"}, "pattern: 'row' is not known; did you mean 'rows'?"),
        ({"name": "pruned", "annealing": {"strat": 0.1}}, "annealing.strat: unknown key; did you mean 'start'?"),
        (
            {"name": "pruned", "annealing": {"start": 0.6, "length": 0.6}},
            "annealing: start + length is 1.2: the schedule must end within the training (at most 1)",
        ),
    ],
)
def test_senseless_settings_are_one_line(settings, message):
    with pytest.raises(SettingsError) as error:
        Method(**settings)
    assert str(error.value) == f"Method: {message}"


def test_settings_have_names_and_are_not_changed():
    with pytest.raises(SettingsError, match=r"^Method was given 'doped_kp' without a name; give each setting by its name$"):
        Method("doped_kp", 20)
    method = Method(name="doped_kp", factor=20)
    with pytest.raises(SettingsError, match=r"^Method: factor cannot be changed; make another Method, with factor=10$"):
        method.factor = 10
    with pytest.raises(SettingsError, match=r"^Method: factr: unknown key; did you mean 'factor'\?$"):
        method.factr = 10
    assert method == Method(name="doped_kp", factor=20)
    with pytest.raises(SettingsError, match=r"^Annealing: start: 2 was given, expected less than 1$"):
        Method(name="pruned", annealing=Annealing(start=2))


def test_what_is_read_says_where_a_mistake_is():
    """As from a file, where a study says it in a line of its own."""
    with pytest.raises(ValidationError) as error:
        Method.model_validate({"name": "pruned", "annealing": {"start": 2}})
    assert error.value.errors()[0]["loc"] == ("annealing", "start")


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
    later = {"pattern": "unstructured", "values": "float32", "embedding_values": None, "embedding_rank": None}
    later |= {"units": None, "bias": True, "size": None, "free_rows": None}
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
