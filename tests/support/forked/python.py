"""A Python that is forked from a process which has imported PyTorch, Lightning, W&B and this project already.

The imports of a command take up to nine seconds of processor time, and tests start hundreds of commands. ``PYTHON`` takes
the place of ``sys.executable``: what follows runs in a process forked from a server (``server.py``), in the folder and
the environment of the caller, on its standard streams, and ends with the exit code that it would have. Signals are passed
on, and who kills the one kills the other. What a program does before its imports are done only a real process shows.

Run as a script, this file is what stands between the caller and the forked process. The server is started by the first that
needs it, serves all processes of a session of tests, and ends with it.
"""

import array
import fcntl
import json
import os
import signal
import socket
import sys
import time


def main(session, *words):
    server = _connect(session)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, lambda number, frame: server.sendall(bytes([number])))
    leads = os.getsid(0) == os.getpid()
    order = json.dumps([words, os.getcwd(), dict(os.environ), leads]).encode()
    streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", range(3)))]
    server.sendmsg([len(order).to_bytes(4, "big")], streams)
    server.sendall(order)
    status = int.from_bytes(server.recv(4), "big")
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))


def _connect(session):
    _await_server(session)
    server = socket.socket(socket.AF_UNIX)
    server.connect(_address(session))
    return server


def _await_server(session):
    if os.path.exists(_address(session)):
        return
    with open(f"{_address(session)}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(_address(session)):
            _start_server(session)


def _start_server(session):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "server.py")
    log = f"{_address(session)}.log"
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    actions += [(os.POSIX_SPAWN_OPEN, stream, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for stream in (1, 2)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-I", script, _address(session), str(session)]
    pid = os.posix_spawn(sys.executable, command, environment, file_actions=actions, setsid=True)
    while not os.path.exists(_address(session)):
        if os.waitpid(pid, os.WNOHANG)[0]:
            with open(log) as said:
                sys.exit(f"the server of forked processes does not start: {said.read()}")
        time.sleep(0.02)


def _address(session):
    """A path, short as those of sockets have to be."""
    return f"/tmp/lstm-doping-tests-{os.getuid()}-{session}"


def words(session):
    """What stands in place of ``sys.executable`` in a session of tests."""
    return (sys.executable, "-I", "-S", os.path.abspath(__file__), str(session))


# With pytest-xdist the parent, which all workers share.
SESSION = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


class _Python:
    """The words of ``[*PYTHON, …]``; the first to ask waits for the server, so that no test does while it counts seconds."""

    def __iter__(self):
        _await_server(SESSION)
        return iter(words(SESSION))


PYTHON = _Python()
"""In place of ``sys.executable``, before a script, ``-m module`` or ``-c code``."""

if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
