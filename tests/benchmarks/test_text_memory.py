"""The benchmark of large texts, on a text that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import text_memory
from benchmarks.text_memory import measure, write_text


def test_a_text_has_the_size_asked_for_and_new_words_to_its_end(tmp_path: Path) -> None:
    write_text(tmp_path / "text.txt", 1)
    text = (tmp_path / "text.txt").read_text()
    assert 1_000_000 <= len(text) < 1_010_000
    words = text.split()
    assert any(word not in words[:-300] for word in words[-300:])


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
def test_a_text_is_loaded_read_and_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_memory, "STEPS", 3)
    write_text(tmp_path / "text.txt", 1)
    measured = measure(tmp_path / "text.txt", "word")
    lines = (tmp_path / "text.txt").read_text().splitlines()
    assert measured["tokens"] == sum(len(line.split()) + 1 for line in lines)
    assert measured["epoch_batches"] == pytest.approx(0.9 * measured["tokens"] / 64 / 35, rel=0.02)
    assert measured["steps"] == 3
    assert 100 < measured["peak_mb"] < 10_000
