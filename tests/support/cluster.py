"""A small cluster on this machine, for tests: Dask's scheduler and workers, and PostgreSQL, each a process of its own."""

import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from runs import until

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"
HOST = "127.0.0.1"
PASSWORD = "s3cret"


def free_port():
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


class Cluster:
    """A Dask scheduler, and workers that are nannies with one process each; encrypted where it has certificates."""

    def __init__(self, folder, certificates=None):
        self.folder, self.port, self.environment = folder, free_port(), certificates or {}
        self.address = f"{'tls' if certificates else 'tcp'}://{HOST}:{self.port}"
        self.flags = ("--engine", "dask", "--scheduler", self.address)
        self._processes = []
        command = ["scheduler", "--host", self._host, "--port", str(self.port), "--no-dashboard"]
        self.scheduler = self._start(command, "scheduler")
        until(self._answers, "the scheduler answers")

    def worker(self, *flags, name="worker", before=(), ready=True, **environment):
        """Start a worker; ``before`` are words of the command before Python's."""
        flags = flags or ("--nthreads", "1")
        command = ["worker", self.address, "--host", self._host, "--no-dashboard", "--memory-limit", "0", *flags]
        process = self._start([*command, "--local-directory", str(self.folder / "dask")], name, before, environment)
        if ready:
            log = Path(process.log)
            until(lambda: "Registered to" in log.read_text(), "the worker is registered")
        return process

    @property
    def _host(self):
        return f"{self.address.partition(':')[0]}://{HOST}"

    def kill(self, process):
        """The whole node dies at once: the nanny and its worker."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self):
        for process in reversed(self._processes):
            if process.poll() is None:
                self.kill(process)

    def _start(self, command, name, before=(), environment=None):
        log = self.folder / f"{name}-{len(self._processes)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*map(str, before), sys.executable, "-m", "dask", *command],
                # The project is not on a worker's path: it is told where it is.
                env=os.environ
                | {"PYTHONPATH": str(SUPPORT), "FAKE_TICK_SECONDS": "0.03"}
                | self.environment
                | (environment or {}),
                cwd=self.folder,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process.log = log
        self._processes.append(process)
        return process

    def _answers(self):
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return True


def certificates(folder):
    """An authority of one's own, and a certificate by it, made anew; gives the settings that tell Dask of them."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder.mkdir()

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority of a test")
    openssl("req", *new, "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=node")
    openssl("x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "node.pem")
    roles = {f"{role}__{kind}": f"node.{end}" for role in ("SCHEDULER", "WORKER", "CLIENT") for kind, end in _KINDS}
    files = {"CA_FILE": "ca.pem", **roles}
    settings = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(folder / file) for name, file in files.items()}
    return settings | {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}


_KINDS = (("KEY", "key"), ("CERT", "pem"))


@contextmanager
def dask_cluster(folder, certificates=None):
    pytest.importorskip("distributed", reason="needs requirements-cluster.txt")
    cluster = Cluster(folder, certificates)
    try:
        yield cluster
    finally:
        cluster.close()


@contextmanager
def postgresql(fsync="off"):
    """A PostgreSQL server with an empty database; gives its URL, the password in it. Skips where it cannot be had."""
    psycopg = pytest.importorskip("psycopg", reason="needs requirements-cluster.txt")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [*map(Path, filter(None, [shutil.which("initdb")]))]
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    programs = found[-1].resolve().parent
    user = "postgres" if os.getuid() == 0 else getpass.getuser()  # it refuses to run as root
    if user not in (entry.pw_name for entry in pwd.getpwall()):
        pytest.skip(f"there is no user {user} to run PostgreSQL as")
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    try:
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password"):
            shutil.chown(path, user)
        options = {"user": user} if os.getuid() == 0 else {}
        made = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--username=sweep", "--no-sync"]
        command = [programs / "initdb", "-D", folder / "data", "--encoding=UTF8", *made]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **options)
        port = free_port()
        settings = {"listen_addresses": HOST, "unix_socket_directories": "", "fsync": fsync}
        server = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-p", str(port), *(f"--{k}={v}" for k, v in settings.items())],
            cwd="/",
            stderr=subprocess.DEVNULL,
            **options,
        )
        url = f"postgresql://sweep:{PASSWORD}@{HOST}:{port}/postgres"

        def answers():
            try:
                psycopg.connect(url, connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            return True

        try:
            until(answers, "PostgreSQL answers")
            server.url = url
            yield server
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait()
    finally:
        shutil.rmtree(folder)
