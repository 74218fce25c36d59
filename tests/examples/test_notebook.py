"""The notebook of the examples runs as it stands, and gives what it promises."""

import json

import pytest

from examples.notebook import TEXT_TO_MODEL, run


@pytest.mark.exhaustive
def test_ten_cells_give_a_model_of_60_kilobytes_that_writes():
    notebook, names = run(TEXT_TO_MODEL)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) == 10
    printed = ["".join(output["text"]) for cell in cells for output in cell["outputs"]]
    size = next(line for line in printed if line.startswith("model.lstm: "))
    assert int(size.split()[1].replace(",", "")) <= 60_000
    assert names["model"].size().values == names["sizes"].compressed.values
    bits = next(line for line in printed if line.endswith(" bits per character\n"))
    assert float(bits.split()[0]) < 3, "guessing has 6.7 bits per character"
    assert len(printed[-1]) > 300
    assert printed[-1].startswith("The ")


def test_what_is_committed_shows_its_outputs():
    cells = [cell for cell in json.loads(TEXT_TO_MODEL.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, 11))
    assert cells[-1]["outputs"]
