"""The benchmark of large texts, on a text that is not."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from benchmarks.text_memory import write_text

ROOT = Path(__file__).resolve().parents[2]


def test_a_text_has_the_size_asked_for_and_new_words_to_its_end(tmp_path: Path) -> None:
    write_text(tmp_path / "text.txt", 1)
    text = (tmp_path / "text.txt").read_text()
    assert 1_000_000 <= len(text) < 1_010_000
    words = text.split()
    assert any(word not in words[:-300] for word in words[-300:])


def test_a_large_and_a_small_text_are_measured(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "text_memory.py"), "--megabytes", "3", "--levels", "word"]
    subprocess.run([*command, "--folder", str(tmp_path), "--out", str(tmp_path / "table.csv")], check=True)
    with (tmp_path / "table.csv").open() as file:
        small, *large = csv.DictReader(file)
    assert [row["text_mb"] for row in (small, *large)] == ["2", "3", "3"]
    assert small["extra_mb"] == "0"
    assert all(int(row["steps"]) == 50 and int(row["tokens"]) > int(small["tokens"]) for row in large)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
