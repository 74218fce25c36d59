"""The tables of docs/ are those that the committed rows give."""

import re
import shutil
from pathlib import Path

import pytest

from analysis.docs_tables.command import TABLES, main

ROOT = Path(__file__).parents[2]


def test_the_committed_pages_are_what_the_rows_give(capsys):
    assert main(["--check"]) == 0, "run: python -m analysis.docs_tables\n" + capsys.readouterr().out


def test_every_table_stands_in_some_page():
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert set(re.findall(r"<!-- table: (\w+) -->", text)) == set(TABLES)
    assert text.count("<!-- table: ") == text.count("<!-- end of table -->")


@pytest.fixture
def docs(tmp_path):
    shutil.copy(ROOT / "docs" / "findings.md", tmp_path)
    return tmp_path


@pytest.mark.exhaustive
def test_a_number_changed_by_hand_is_found_and_mended(docs, capsys):
    page = docs / "findings.md"
    right = page.read_text(encoding="utf-8")
    assert "| 2.026 (1) |" not in right
    page.write_text(right.replace("| 2.025 (1) |", "| 2.026 (1) |"), encoding="utf-8")
    assert main(["--check", "--docs", str(docs)]) == 1
    assert "findings.md" in capsys.readouterr().out
    assert main(["--docs", str(docs)]) == 0
    assert page.read_text(encoding="utf-8") == right


@pytest.mark.exhaustive
def test_a_marker_without_a_table_is_one_line(docs, capsys):
    (docs / "page.md").write_text("<!-- table: speeed -->\n<!-- end of table -->\n")
    assert main(["--docs", str(docs)]) == 2
    assert capsys.readouterr().err.startswith("error: no table 'speeed'; expected one of ")
