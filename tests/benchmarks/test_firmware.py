"""Exported models on an emulated Cortex-M4: the numbers of Python, memory to the byte, no heap; and the page about it."""

import csv
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.firmware import image
from benchmarks.firmware.command import BEGIN, END, KINDS, PAGE, ROWS, UNITS, bundle_of, main, measure, table, write_table
from doping.inference.exporters.c import write_c

needs_board = pytest.mark.skipif(bool(image.missing()), reason=f"not found: {', '.join(image.missing())}")


@pytest.fixture(scope="module")
def rows():
    with ROWS.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def small_image(tmp_path_factory):
    sources = tmp_path_factory.mktemp("firmware") / "lm"
    write_c(bundle_of(100, KINDS[-1]), sources, weights="binary")
    return image.build(sources)


@pytest.mark.exhaustive(keep_every=3)
@needs_board
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.method}-{kind.pattern}-{kind.values}")
def test_it_computes_what_python_does_in_the_memory_of_the_committed_row(kind, rows):
    measured = measure(100, kind)
    assert float(measured["off_by"]) < 1e-5  # measure() itself refuses 1e-4
    (row,) = (row for row in rows if row["units"] == "100" and all(row[k] == str(v) for k, v in kind._asdict().items()))
    assert measured["state"] == 2 * 100 * 4
    if row["programs"] != image.versions():
        pytest.skip(f"the committed bytes are those of {row['programs']}; here is {image.versions()}")
    exact = ("lstm_bytes", "flash", "weights", "code", "ram", "state", "workspace", "stack")
    assert {name: str(measured[name]) for name in exact} == {name: row[name] for name in exact}
    assert measured["instructions"] == pytest.approx(int(row["instructions"]), rel=0.001)


@needs_board
def test_the_image_has_no_heap_no_system_calls_and_no_panels(small_image):
    names = image.symbols(small_image)
    assert "lm_step_small" in names
    for forbidden in ("malloc", "calloc", "realloc", "free", "_sbrk", "sbrk", "_write", "abort", "exit"):
        assert not [name for name in names if name.strip("_").removesuffix("_r") == forbidden.strip("_")], forbidden
    assert not [name for name in names if "panel" in name]


@needs_board
def test_a_wrong_weight_is_noticed(tmp_path):
    sources = tmp_path / "lm"
    write_c(bundle_of(100, KINDS[0]), sources, weights="binary")
    right = image.run(image.build(sources))
    weights = np.fromfile(sources / "weights.bin", np.float32)
    weights[:400] += 1
    weights.tofile(sources / "weights.bin")
    assert np.abs(image.run(image.build(sources)).outputs - right.outputs).max() > 1e-3


@needs_board
def test_a_model_too_large_for_the_board_is_refused_in_a_line(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    assert main(["--units", "400", "--out", str(tmp_path / "rows.csv"), "--page", str(page)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: arm-none-eabi-gcc ended with 1: ")
    assert said.count("\n") == 1


def test_without_the_programs_a_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert main([]) == 2
    assert "apt-get install gcc-arm-none-eabi" in capsys.readouterr().err


def test_the_table_of_the_page_is_made_of_the_committed_rows(rows, tmp_path):
    assert [(int(row["units"]), row["method"], row["pattern"], row["values"]) for row in rows] == [
        (units, kind.method, kind.pattern, kind.values) for units in UNITS for kind in KINDS
    ]
    page = tmp_path / "firmware.md"
    shutil.copy(PAGE, page)
    write_table(page, rows)
    assert page.read_text() == PAGE.read_text()
    assert table(rows).count("\n") == len(rows) + 1


def test_the_code_of_the_page_runs(tmp_path):
    text = PAGE.read_text()
    (python,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    subprocess.run([sys.executable, "-c", python], cwd=tmp_path, check=True, env={"PYTHONPATH": str(PAGE.parents[1])})
    (c,) = re.findall(r"```c\n(.*?)```", text, re.DOTALL)
    (tmp_path / "use.c").write_text(c)
    if image.missing():
        pytest.skip("no cross compiler")
    (make,) = re.findall(r"```sh\n(make -C vad.*?)```", text, re.DOTALL)
    subprocess.run(make, shell=True, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    command = [image.COMPILER, *image.PROCESSOR, "-DDOPED_SMALL", "-Wall", "-Werror", "-Ivad", "-c", "use.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    listed = subprocess.run(["arm-none-eabi-nm", "use.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    wanted = set(re.findall(r"U (\w+)", listed))
    given = subprocess.run(["arm-none-eabi-nm", "vad/libmodel.a"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert wanted == {"vad_init", "vad_step_small"}
    assert wanted <= set(re.findall(r"T (\w+)", given.stdout))
