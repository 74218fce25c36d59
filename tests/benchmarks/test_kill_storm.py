"""A round of kills, and the table that goes on where it stopped."""

import pytest

from benchmarks.kill_storm import Round, main, read, write


@pytest.mark.exhaustive
def test_a_round_kills_and_finds_nothing_lost_twice_or_different(tmp_path, capsys):
    out = tmp_path / "kills.csv"
    arguments = ["--kills", "2", "--kills-a-round", "2", "--seeds", "2", "--out", str(out)]
    assert main(arguments) == 0
    rounds = read(out)
    assert sum(each.kills for each in rounds) >= 2
    assert all((each.rows, each.lost, each.twice, each.different, each.traces) == (4, 0, 0, 0, 0) for each in rounds)
    capsys.readouterr()
    assert main(arguments) == 0
    assert read(out) == rounds


def test_harm_in_the_table_is_exit_code_1(tmp_path):
    write(tmp_path / "kills.csv", [Round(0, kills=5, rows=4, lost=1)])
    assert main(["--kills", "5", "--seeds", "1", "--out", str(tmp_path / "kills.csv")]) == 1
