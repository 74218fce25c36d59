"""Optuna's dashboard shows a study while it runs, and cannot change it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_training import STUDY
from filelock import FileLock
from forked.python import PYTHON

from sweeps.commands.main import main
from sweeps.optuna_view.dashboard import ReadOnlyError, open_read_only, reading_only
from sweeps.results.folder import ResultsFolder

ROOT = Path(__file__).parents[3]
SUPPORT = ROOT / "tests" / "support"
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{SUPPORT}{os.pathsep}{ROOT}"}


@contextmanager
def running(*arguments, **environment):
    """A command in a process of its own, which is ended in the end."""
    process = subprocess.Popen(
        [*PYTHON, *map(str, arguments)],
        env=ENVIRONMENT | environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def sweep(folder, **environment):
    study = folder / "tiny.yaml"
    study.write_text(STUDY.replace("[1, 2]", "[1, 2, 3, 4]"))
    flags = ("--study", study, "--out", folder / "out", "--wandb", "off", "--workers", 2)
    return running("-m", "fake_training", "slow", *flags, **environment)


def dashboard(folder, *flags):
    return running("sweeps/run.py", "--dashboard", "--out", folder / "out", "--port", 0, *flags)


def address(process):
    line = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line + process.stderr.read()
    return found.group(), line


def ask(url, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    with sweep(folder, FAKE_TICK_SECONDS="0") as process:
        assert process.wait(60) == 0
    return folder


def test_a_study_is_shown_while_it_runs_and_does_not_notice(tmp_path):
    """Also in a browser, and also while somebody holds the journal's lock: reading takes none."""
    with sweep(tmp_path, FAKE_TICK_SECONDS="0.15") as study:
        _until(lambda: list(tmp_path.glob("out/trials/*/row.json")))
        with dashboard(tmp_path, "--study", tmp_path / "tiny.yaml") as process:
            url, line = address(process)
            assert line.endswith("/dashboard/studies/0\n")
            assert "read-only" in line
            with FileLock(tmp_path / "out" / "optuna.lock"):
                code, said = ask(f"{url}/api/studies/0?after=0")
            shown = json.loads(said)
            states = [trial["state"] for trial in shown["trials"]]
            assert (code, shown["name"], set(states)) == (200, "tiny-quick", {"Complete"})
            assert 0 < len(states) < 12
            if shutil.which("chromium"):
                page = f"{url}/dashboard/studies/0"
                flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom"]
                dom = subprocess.run(["chromium", *flags, page], capture_output=True, text=True, timeout=60).stdout
                assert "tiny-quick" in dom
                assert "Hyperparameter Importance" in dom
            assert study.wait(60) == 0
            _until(lambda: len(json.loads(ask(f"{url}/api/studies/0?after=0")[1])["trials"]) == 12)


def test_the_study_cannot_be_changed_through_it(finished):
    journal = finished / "out" / "optuna.journal"
    before = journal.read_bytes()
    with dashboard(finished) as process:
        url, _ = address(process)
        note = {"body": "mine", "version": 1}
        for method, path, body in (
            ("DELETE", "/api/studies/0", {}),
            ("POST", "/api/studies/0/rename", {"study_name": "mine"}),
            ("POST", "/api/studies", {"study_name": "mine", "directions": ["minimize"]}),
            ("PUT", "/api/studies/0/note", note),
            ("PUT", "/api/studies/0/0/note", note),
            ("POST", "/api/trials/0/tell", {"state": "Fail"}),
            ("POST", "/api/trials/0/user-attrs", {"user_attrs": {"a": 1}}),
        ):
            code, said = ask(url + path, method, body)
            assert (code, json.loads(said)) == (403, {"reason": "This dashboard is read-only."}), path
        assert json.loads(ask(f"{url}/api/studies")[1])["study_summaries"][0]["study_name"] == "tiny-quick"
    assert journal.read_bytes() == before


def test_the_storage_itself_refuses_to_be_written_to(finished):
    journal = finished / "out" / "optuna.journal"
    before = journal.read_bytes()
    storage = open_read_only(ResultsFolder(finished / "out"))
    study = storage.get_study_id_from_name("tiny-quick")
    assert len(storage.get_all_trials(study)) == 12
    for change in (
        lambda: storage.delete_study(study),
        lambda: storage.create_new_trial(study),
        lambda: storage.set_study_user_attr(study, "a", 1),
    ):
        with pytest.raises(ReadOnlyError):
            change()
    assert journal.read_bytes() == before


def test_ctrl_c_ends_it(finished):
    with dashboard(finished) as process:
        address(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")


def test_a_port_that_is_taken_is_one_line(finished, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code = main(["--dashboard", "--out", str(finished / "out"), "--port", port])
    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (2, 1)
    assert port in said
    assert "--port" in said


@pytest.mark.parametrize("content", [None, b"\x00garbage\nmore\n"], ids=["none", "garbage"])
def test_a_folder_without_a_readable_journal_is_one_line(content, finished, tmp_path, capsys):
    shutil.copytree(finished / "out", tmp_path / "out")
    journal = tmp_path / "out" / "optuna.journal"
    journal.unlink()
    if content:
        journal.write_bytes(content)
    assert main(["--dashboard", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "optuna.journal" in said
    assert journal.exists() == bool(content), "nothing is written"


def _until(condition):
    import time

    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come about")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", "200"),
        ("LOCALHOST", "200"),
        ("127.0.0.1:1", "200"),
        ("[::1]:8080", "200"),
        ("evil.example:8080", "403"),
        ("127.0.0.1.evil.example", "403"),
        ("localhost.evil.example", "403"),
        ("localhost:80@evil.example", "403"),
        ("192.168.0.7", "403"),
        ("", "403"),
        (None, "403"),
    ],
)
def test_it_answers_under_a_name_of_this_machine_only(host, status):
    def application(environment, respond):
        respond("200 OK", [])
        return [b"secret"]

    answered = []
    environment = {"REQUEST_METHOD": "GET"} | ({} if host is None else {"HTTP_HOST": host})
    body = b"".join(reading_only(application)(environment, lambda line, headers: answered.append(line)))
    assert answered[0].startswith(status)
    assert (b"secret" in body) == (status == "200")
