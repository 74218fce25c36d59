"""A small, synthetic folder of results gives exactly the committed tables; see make_golden.py."""

from pathlib import Path

import pytest

from analysis.main import main

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("golden")
    assert main(["--results", str(GOLDEN), "--out", str(out), "--only", "tables"]) == 0
    return out


@pytest.mark.parametrize("name", ["tables.md", "tables.csv", "tables.tex", "equal_quality.csv"])
def test_tables_are_exactly_the_committed_ones(made: Path, name: str):
    assert (made / name).read_bytes() == (GOLDEN / name).read_bytes()


@pytest.mark.exhaustive
def test_there_is_a_figure_of_each_kind_for_each_study(tmp_path: Path):
    assert main(["--results", str(GOLDEN), "--out", str(tmp_path), "--only", "figures"]) == 0
    figures = {path.name for path in tmp_path.iterdir()}
    stems = {f"{kind}-{study}" for kind in ("pareto", "cma") for study in ("synthetic", "synthetic_paper")}
    assert figures == {f"{stem}.{suffix}" for stem in stems | {"equal_quality-synthetic"} for suffix in ("png", "svg")}
