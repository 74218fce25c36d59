"""Studies whose runs ask for sizes, widths and precisions: what tables and figures make of them."""

import pytest
from synthetic_results import trial, write

from analysis.results import load
from analysis.summary import summarize
from analysis.tables.content import main_table


@pytest.fixture
def section(tmp_path):
    def sized(method, size, seed, **settings):
        own = {f"method__{name}": value for name, value in {"size": size, **settings}.items()}
        return trial(method, size, seed, cf_unit="size", deployed_bytes=size - 500, model_bytes=2 * size, **own)

    rows = [trial("dense", 1, 1, validation=2.0, deployed_bytes=1_283_200, model_bytes=1_400_000)]
    rows += [trial("dense", 1, 1, validation=1.9, method__units=300), trial("dense", 1, 1, validation=2.5, method__units=40)]
    rows += [sized("pruned", 64_000, 1, values="int8", pattern="tiles"), sized("kp", 64_000, 1, values="int4", units=300)]
    rows += [sized("dense", 64_000, 1, values="int8"), sized("kp", 32_000, 1, values="int4", units=300)]
    write(tmp_path, rows)
    (found,) = summarize(load(tmp_path))
    return found


def test_losses_refer_to_the_tasks_own_dense_model_whatever_is_better(section):
    assert section.dense.validation.mean == 2.0
    assert section.dense.whole
    assert section.narrow


def test_each_row_names_its_precision_and_width_and_what_was_asked_for(section):
    named = {(row.asked, row.label) for row in section.rows}
    assert named == {
        ("1×", "Dense, float32"),
        ("1×", "Dense, units 300, float32"),
        ("1×", "Dense, units 40, float32"),
        ("64 kB", "Dense, int8"),
        ("64 kB", "Pruned, int8"),
        ("64 kB", "KP, units 300, int4"),
        ("32 kB", "KP, units 300, int4"),
    }


def test_narrower_dense_models_are_lines_of_their_own(section):
    assert {key.variant for key in section.lines() if key.method == "dense"} == {
        "units 300, float32",
        "units 40, float32",
        "int8",
    }


def test_the_best_of_a_size_is_marked_among_all_methods(section):
    best = [row.asked for row in section.rows if row.best]
    assert best.count("64 kB") == 1


def test_the_table_has_the_bytes_as_deployed(section):
    table = main_table(section)
    column = table.header.index("LSTM deployed")
    deployed = {line.cells[0]: line.cells[column] for line in table.lines if "KP" in line.cells[1]}
    assert deployed == {"64 kB": "63.5 kB", "32 kB": "31.5 kB"}
    assert table.header[0] == "CF asked"
