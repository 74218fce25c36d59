"""The process that those of ``python.py`` are forked from: ``python server.py ADDRESS SESSION``.

It has one thread, imports what commands, workers and trainings need, and then waits on a socket for what to run.
"""

import array
import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
IMPORTED = (
    "analysis.main",
    "analysis.report.charts",
    "datasets",
    "hypothesis",
    "optuna",
    "sweeps.commands.main",
    "sweeps.running.sweep",
    "sweeps.worker.execute",
    "sweeps.worker.train",
    "wandb.cli.cli",
    "wandb.sdk.launch",
    "wandb_workspaces.reports.v2",
)


def main(address, session):
    installed = sys.path[1:]
    sys.path[:] = [str(ROOT), str(ROOT / "tests" / "support"), *installed]
    for module in IMPORTED:
        importlib.import_module(module)
    python = importlib.import_module("forked.python")
    python.SESSION = int(session)
    # A run that is forked has workers that are.
    forked_workers = importlib.import_module("forked.workers")
    forked_workers.local.worker_process = forked_workers.forking()
    assert threading.active_count() == 1, threading.enumerate()
    gc.freeze()
    (words, folder, environment, leads), streams = _serve(address, session)
    if leads:
        os.setsid()
    for stream, given in enumerate(streams):
        os.dup2(given, stream)
        os.close(given)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # Those of the server know of files what does not hold of pipes and terminals.
    sys.stdin, sys.stdout, sys.stderr = (_stream(number, mode) for number, mode in enumerate("rww"))
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    os._exit(_run(words, installed))


def _stream(number, mode):
    stream = os.fdopen(number, mode, encoding="utf-8", errors="backslashreplace" if number == 2 else "strict", closefd=False)
    if number == 2:
        stream.reconfigure(line_buffering=True)
    elif number == 1 and os.environ.get("PYTHONUNBUFFERED"):
        stream.reconfigure(write_through=True)
    return stream


def _serve(address, session):
    """Fork a process for each order, and pass on signals and exit codes; returns in a forked process only."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(64)
    Path(f"{address}.new").rename(address)
    wake, woken = socket.socketpair()
    for end in (wake, woken):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    waiting.register(woken, selectors.EVENT_READ)
    callers = {}
    while Path(f"/proc/{session}").exists():
        for key, _ in waiting.select(timeout=1):
            if key.fileobj is listener:
                caller, _ = listener.accept()
                received = _received(caller)
                if received is None:
                    caller.close()
                    continue
                order, streams = received
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for end in (waiting, listener, wake, woken, caller, *callers.values()):
                        end.close()
                    return order, streams
                for stream in streams:
                    os.close(stream)
                callers[pid] = caller
                waiting.register(caller, selectors.EVENT_READ, pid)
            elif key.fileobj is woken:
                woken.recv(4096)
                for pid, status in _ended():
                    caller = callers.pop(pid)
                    waiting.unregister(caller)
                    with contextlib.suppress(OSError):
                        caller.sendall(status.to_bytes(4, "big"))
                    caller.close()
            elif key.data in callers:
                # Whoever is killed can pass on nothing.
                for number in _read(key.fileobj) or [signal.SIGKILL]:
                    os.kill(key.data, number)
    for name in ("", ".lock", ".log"):
        Path(address + name).unlink()
    for pid in callers:
        os.kill(pid, signal.SIGKILL)
    sys.exit()


def _received(caller):
    """The order and the streams; None of a caller that was killed before it had said all."""
    try:
        size, control, _, _ = caller.recvmsg(4, socket.CMSG_SPACE(3 * array.array("i").itemsize))
        if not control:
            return None
        ((_, _, content),) = control
        streams = array.array("i", content)
        order = b""
        while len(order) < int.from_bytes(size, "big"):
            if not (more := caller.recv(1 << 20)):
                break
            order += more
        else:
            return json.loads(order), streams
    except ConnectionError:
        return None
    for stream in streams:
        os.close(stream)
    return None


def _read(caller):
    try:
        return caller.recv(100)
    except ConnectionError:
        return b""


def _ended():
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found


def _run(words, installed):
    """What Python does with the words of a command line, until the process may end; returns its exit code."""
    first, *rest = words[1:] if words[0] == "-u" else words
    path = os.environ.get("PYTHONPATH")
    sys.path[:] = [*(str(Path(part).absolute()) for part in path.split(os.pathsep)), *installed] if path else installed
    sys.orig_argv = [sys.executable, *words]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    code = 0
    try:
        if first == "-c":
            sys.path.insert(0, "")
            sys.argv = ["-c", *rest[1:]]
            exec(compile(rest[0], "<string>", "exec"), vars(main))
        elif first == "-m":
            sys.path.insert(0, str(Path.cwd()))
            sys.argv = ["-m", *rest[1:]]
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            assert not first.startswith("-"), f"{first} is for a real process"
            sys.path.insert(0, str(Path(first).resolve().parent))
            sys.argv = words
            runpy.run_path(first, run_name="__main__")
    except SystemExit as end:
        code = end.code
        if not isinstance(code, int | None):
            print(code, file=sys.stderr)
            code = 1
    except BaseException as error:
        traceback.print_exc()
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    if code and code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return (code or 0) & 255


if __name__ == "__main__":
    main(*sys.argv[1:])
