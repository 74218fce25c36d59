"""PostgreSQL as Optuna's storage: whatever is wrong with it is one line, soon, without the password."""

import signal
import socket
import subprocess
import sys
import time

import optuna
import pytest
from cluster import PASSWORD, ROOT, postgresql
from forked.python import PYTHON

from doping.errors import UserError, hide_passwords
from runs import ENVIRONMENT, STUDY, assert_complete, run, start, until
from sweeps.commands.main import main
from sweeps.optuna_view import entries
from sweeps.optuna_view.backends import check, study_name
from sweeps.trials.dotted_names import Functions

FUNCTIONS = Functions(train="fake_training:instant", data_hash="fake_training:data_hash")


@pytest.fixture(scope="module")
def database():
    with postgresql() as server:
        yield server


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY % "0, 1")
    return path


def silent_port():
    """A port whose listener never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, listener.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///study.db", ["SQLite", "journal"]),
        ("sqlite+pysqlite:///study.db", ["SQLite", "journal"]),
        ("mysql://user:s3cret@host/db", ["mysql", "postgresql://user@host/database"]),
        ("postgres-ql://user:s3cret@host/db", ["did you mean 'postgresql'?"]),
        ("studies", ["no URL", "postgresql://"]),
        ("postgresql://user:s3cret@host:port/db", ["postgresql://user@host:port/database"]),
        ("postgresql://user:s3cret@127.0.0.1:5432", ["names no database"]),
        ("postgresql://user:s3cret@127.0.0.1:1/db", ["refused"]),
        ("postgresql://user:s3cret@no-such-host.invalid/db", ["no-such-host.invalid"]),
        ("postgresql://user:s3cret@127.0.0.1:1/db?colour=red", ["colour"]),
    ],
)
def test_a_wrong_url(url, words, tmp_path, capsys):
    pytest.importorskip("psycopg", reason="needs requirements-cluster.txt")
    begun = time.monotonic()
    code = main(["--study", "kp_vs_pruning", "--storage", url, "--out", str(tmp_path / "out")], FUNCTIONS)
    assert_one_line(code, capsys.readouterr().err, words)
    assert time.monotonic() - begun < 8


def assert_one_line(code, err, words):
    assert code == 2
    assert err.startswith("error: --storage ")
    assert err.count("\n") == 1, err
    assert PASSWORD not in err
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    ("given", "instead", "word"),
    [
        (PASSWORD, "wrong", "password authentication failed"),
        ("/postgres", "/nothing", 'database "nothing" does not exist'),
        ("sweep:", "nobody:", "password authentication failed"),
    ],
)
def test_a_server_that_says_no(database, given, instead, word):
    with pytest.raises(UserError, match=word) as caught:
        check(database.url.replace(given, instead))
    assert PASSWORD not in str(caught.value)


def test_a_server_that_does_not_answer():
    pytest.importorskip("psycopg", reason="needs requirements-cluster.txt")
    listener, port = silent_port()
    begun = time.monotonic()
    with listener, pytest.raises(UserError, match="timeout"):
        check(f"postgresql://user@127.0.0.1:{port}/db")
    assert time.monotonic() - begun < 8


def test_a_user_without_the_right_to_make_tables(database, study, tmp_path):
    import psycopg

    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 's3cret'")
        connection.execute("CREATE DATABASE closed")
    url = database.url.replace("sweep:", "guest:").replace("/postgres", "/closed")
    code, _, err = run("instant", study, tmp_path / "out", "--storage", url)
    assert_one_line(code, err, ["permission denied for schema public"])


def test_without_the_driver_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-cluster\.txt"):
        check("postgresql://user@host/db")


def test_the_password_is_hidden_wherever_the_command_line_is_shown(tmp_path, capsys):
    url = f"postgresql://user:{PASSWORD}@host/db"
    assert hide_passwords(f"a {url} b") == "a postgresql://user:***@host/db b"
    assert hide_passwords("postgresql://user:p@ss@host/db") == "postgresql://user:***@host/db"
    assert hide_passwords("postgresql://user@host:5432/db") == "postgresql://user@host:5432/db"
    assert (
        hide_passwords(f"postgresql://user@host/db?a=b&password={PASSWORD}") == "postgresql://user@host/db?a=b&password=***"
    )
    assert main(["--study", "kp_vs_pruning", f"--storge={url}", "--out", str(tmp_path)], FUNCTIONS) == 2
    assert PASSWORD not in capsys.readouterr().err


def test_several_processes_that_open_a_fresh_database_at_once(database):
    import psycopg

    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE fresh")
    url = database.url.replace("/postgres", "/fresh")
    code = "import sys; from pathlib import Path; from sweeps.optuna_view.backends import open_storage\n"
    code += "sys.stdin.read(); open_storage(sys.argv[1], Path('.'), print)"
    command = [*PYTHON, "-c", code, url]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT, **pipes) for _ in range(4)]
    time.sleep(1)
    for process in processes:
        process.stdin.close()
    for process in processes:
        assert (process.wait(timeout=60), process.stderr.read()) == (0, "")


def test_a_database_holds_the_studies_of_many_folders(database, study, tmp_path):
    import psycopg

    for name in ("one", "two"):
        assert run("instant", study, tmp_path / name, "--storage", database.url)[0] == 0
        assert_complete(tmp_path / name, 6)
    with psycopg.connect(database.url) as connection:
        names = {name for (name,) in connection.execute("SELECT study_name FROM studies")}
    assert {study_name(database.url, "tiny-quick", tmp_path / name) for name in ("one", "two")} <= names


def test_a_study_that_began_before_there_was_a_family_goes_on_with_it(database, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    path = tmp_path / "grown.yaml"
    command = ["--study", str(path), "--storage", database.url, "--out", str(tmp_path / "out"), "--wandb", "off"]
    whole, later = STUDY % "0", "      - {method: [pruned, doped_kp], factor: 5}\n"
    path.write_text(whole.replace(later, ""))
    with monkeypatch.context() as then:
        then.setattr(entries, "_METHODS", optuna.distributions.CategoricalDistribution(["dense", "pruned"]))
        assert main(command, FUNCTIONS) == 0
    path.write_text(whole)
    assert main(command, FUNCTIONS) == 0
    (name,) = (s for s in optuna.get_all_study_names(database.url) if str(tmp_path) in s)
    found = optuna.load_study(study_name=name, storage=database.url).get_trials()
    methods = {entry.user_attrs["label"].split()[0]: entry.params.get("method") for entry in found}
    assert methods == {"dense": "dense", "pruned": "pruned", "doped_kp": None}


def test_a_server_that_dies_is_one_line_and_the_same_command_goes_on(study, tmp_path):
    out = tmp_path / "out"
    with postgresql() as database:
        process = start("slow", study, out, "--workers", "1", "--storage", database.url)
        until(lambda: list(out.glob("trials/*/row.json")), "a trial is done")
        database.send_signal(signal.SIGQUIT)
        _, err = process.communicate(timeout=30)
    assert_one_line(process.returncode, err, ["the results are safe"])
    assert run("slow", study, out)[0] == 0
    assert_complete(out, 6)
