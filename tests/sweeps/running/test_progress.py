"""What one sees while a study runs: bars in a terminal, lines elsewhere, more with --verbose, nothing with --quiet."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_training import STUDY
from forked.python import PYTHON

from doping.method import Method
from sweeps.results.rows import row_of
from sweeps.running.progress import Lines
from sweeps.running.standing import Standing, best_per_method
from sweeps.trials.outcome import Outcome, Progress
from sweeps.trials.trial import Trial
from tasks.language_model import LanguageModelTask

ROOT = Path(__file__).parents[3]
SUPPORT = ROOT / "tests" / "support"


@pytest.fixture
def command(tmp_path):
    (tmp_path / "tiny.yaml").write_text(STUDY)
    flags = ["--study", str(tmp_path / "tiny.yaml"), "--out", str(tmp_path / "out"), "--wandb", "off"]

    def of(train, *more):
        return [*PYTHON, "-m", "fake_training", train, *flags, "--workers", "2", *more]

    return of


def environment(**more):
    return os.environ | {"PYTHONPATH": f"{SUPPORT}{os.pathsep}{ROOT}", "FAKE_TICK_SECONDS": "0.05"} | more


def lines_of(command):
    done = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def screen_of(command, columns, rows=24):
    """All that a command writes to a terminal of that size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        command, env=environment(TERM="xterm-256color"), cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    try:
        while block := os.read(ours, 65536):
            written += block
    except OSError:
        pass  # on Linux the end of a terminal is an error
    finally:
        os.close(ours)
        process.wait(60)
    return written.decode()


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.exhaustive(keep=["80"])
@pytest.mark.parametrize("columns", [80, 40])
def test_in_a_terminal_bars_move_and_go_away(command, columns):
    written = screen_of(command("slow"), columns)
    seen = plain(written)
    assert "━" in seen
    assert re.search(r"\d of 6 trials", seen)
    if columns == 80:
        assert re.search(r"dense seed 1 +━+.* +\d\d%", seen)
        assert re.search(r"about \d s left", seen)
        assert re.search(r"best validation +1x +5x", seen), "the best of each method, while it runs"
        for result in ("dense seed 1: 1.143", "pruned 5x seed 2: 5.286", "doped_kp 5x seed 1: 5.143"):
            assert result in seen
    assert written.index("\x1b[?25l") < written.rindex("\x1b[?25h"), "the cursor is there again"
    assert "━" not in seen[seen.rindex("next: python") :]


def test_a_failure_is_told_in_a_terminal(command):
    seen = plain(screen_of(command("crashes_at_seed_2", "--retries", "0"), 120))
    assert "dense seed 2: failed: RuntimeError: out of paper" in seen
    assert "3 finished, 3 failed" in seen
    assert "--retry-failed" in seen


def test_elsewhere_there_is_a_line_a_trial_and_the_best_in_the_end(command):
    """With --verbose a line more for each that begins."""
    said = lines_of(command("slow", "--verbose"))
    assert len(re.findall(r"seed \d: begun, trial [0-9a-f]{12}$", said, re.MULTILINE)) == 6
    assert "\x1b" not in said
    assert [line[:5] for line in said.splitlines() if line.startswith("[")] == [f"[{n}/6]" for n in range(1, 7)]
    assert re.search(r"^\[1/6\] dense seed \d: 1\.\d+ perplexity \(\d s\), about \d+ s left$", said, re.MULTILINE)
    assert re.search(r"^best validation +1x +5x\ndense +1\.143\npruned +5\.143\ndoped_kp +5\.143$", said, re.MULTILINE)


def test_quiet_says_only_how_it_ended(command):
    said = lines_of(command("slow", "--quiet"))
    assert said.splitlines()[0].startswith("tiny-quick: 6 finished in ")
    assert len(said.splitlines()) == 2


def trial(name="dense", factor=1.0, seed=1, **method):
    settings = Method.model_validate({"name": name, "factor": factor, **method})
    return Trial(task=LanguageModelTask(), method=settings, seed=seed, data_hash="0" * 64)


def row(of, validation, seconds=10.0):
    sizes = {"values": 100, "bytes": 400, "multiply_adds": 100}
    dense = {f"dense_{name}": 1000 for name in sizes}
    outcome = Outcome("finished", "perplexity", validation, validation, validation, 20, **sizes, **dense)
    return row_of(of, outcome, seconds=seconds, started="now")


def test_verbose_tells_every_validation_once(capsys):
    one = trial()
    lines = Lines(Standing(SimpleNamespace(jobs={}, expected=1), 1, {}), verbose=True)
    for share, metric in ((0.1, None), (0.2, None), (0.3, 2.5), (0.4, 2.5), (0.5, 2.25)):
        lines.running(one, Progress(share, int(100 * share), metric))
    assert capsys.readouterr().out.splitlines() == [
        f"dense seed 1: begun, trial {one.id}",
        "dense seed 1: 2.5 at step 30 (30%)",
        "dense seed 1: 2.25 at step 50 (50%)",
    ]


def test_the_best_of_each_method_at_each_factor():
    cmr = {"cmr": {"probability": 0.3}}
    rows = [
        row(trial(), 2.0),
        row(trial(seed=2), 1.5),
        row(trial("pruned", 10), 3.25),
        row(trial("doped_kp", 5), 2.5),
        row(trial("doped_kp", 5, **cmr), 2.25),
        row_of(trial("kp", 5), "RuntimeError: out of paper", seconds=1, started="now"),
    ]
    assert best_per_method(rows) == [
        "best validation   1x    5x   10x",
        "dense            1.5",
        "pruned                      3.25",
        "doped_kp               2.5",
        "doped_kp + cmr        2.25",
    ]
    assert best_per_method([]) == []
