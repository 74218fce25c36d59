"""W&B's terminal dashboard on the folder ``wandb/`` of a study, in a terminal."""

import shutil

import pytest
from wandb_runs.trials import DOPED, run, tiny

from benchmarks.leet_picture import capture, draw
from doping.method import Method

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux on the path (Debian: apt-get install tmux)"),
]


@pytest.mark.exhaustive
def test_the_dashboard_shows_all_runs_of_a_study_by_their_names_and_few_charts_first(tmp_path, monkeypatch):
    from PIL import Image
    from rich.text import Text

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("LSTM_WANDB_LINKS", str(tmp_path / "study" / "wandb"))
    trials = [tiny(Method()), tiny(Method(name="kp", factor=5)), tiny(DOPED)]
    (tmp_path / "study" / "trials").mkdir(parents=True)
    for trial in trials:
        run(trial, tmp_path / "study" / "trials" / trial.id)
    screen = capture(tmp_path / "study" / "wandb")
    plain = "\n".join(Text.from_ansi(line).plain for line in screen.split("\n"))
    assert "Runs [3 items]" in plain
    for name in ("dense s1", "kp 5x s1", "doped_kp 5x cmr 0.3 s1"):
        line = next(line for line in plain.split("\n") if f"-{name} " in line)
        assert line.strip()[0] in "▶●", f"{name} is drawn: {line}"
    titles = ["by_sparsity/energy_", "by_sparsity/sparse_", "by_sparsity/structur", "by_sparsity/validation"]
    assert [title in plain for title in titles] == [True] * 4
    assert "[x: sparsity]" in plain
    assert str(tmp_path) not in plain
    draw(screen, tmp_path / "screen.png")
    with Image.open(tmp_path / "screen.png") as picture:
        assert picture.size[0] > 1000
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 4
