"""What ``--dashboard`` starts: Optuna's dashboard on the journal of a folder, on this machine only, and read-only.

The dashboard itself can rename and delete studies and change trials. Here it gets a journal that takes no entries, and
answers nothing but requests to read. Reading takes no lock, so a study that runs does not notice it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from doping.errors import UserError
from sweeps.commands.status import studies_in
from sweeps.optuna_view.journal import JOURNAL
from sweeps.results.files import shown
from sweeps.results.folder import ResultsFolder

HOST = "127.0.0.1"

_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class ReadOnlyError(RuntimeError):
    """Something tried to change a study through the dashboard."""


class _ReadOnlyJournal(JournalFileBackend):
    """All that an Optuna storage writes goes through ``append_logs``."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise ReadOnlyError("the dashboard does not change studies")


def serve(folder: ResultsFolder, study: str | None, port: int) -> None:
    """Show the studies of a folder until Ctrl-C. Raises ``UserError`` if there are none, or if the port is taken."""
    studies_in(folder, study)
    storage = open_read_only(folder)
    from optuna_dashboard import wsgi

    try:
        server = make_server(HOST, port, reading_only(wsgi(storage)), _Server, _Handler)
    except OSError as error:
        raise UserError(
            f"the dashboard cannot use port {port}: {error.strerror}; give another with --port, or --port 0 for any free one"
        ) from error
    place = "" if study is None else f"/studies/{_number_of(storage, study)}"
    with server:
        try:
            print(f"{study or shown(folder.path)}, read-only: http://{HOST}:{server.server_port}/dashboard{place}")
            print("Ctrl-C ends the dashboard, and nothing else", flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            print("the dashboard has ended")


def open_read_only(folder: ResultsFolder) -> BaseStorage:
    """The journal of a folder as a storage that refuses to be written to. Raises ``UserError`` if there is none."""
    path = folder.path / JOURNAL
    if not path.is_file():
        raise UserError(f"{shown(folder.path)} has no {JOURNAL} yet: it is made when its study runs")
    try:
        return JournalStorage(_ReadOnlyJournal(str(path)))
    except Exception as error:  # whatever Optuna makes of garbage
        raise UserError(f"{shown(path)} is unreadable; the study makes it anew when it runs the next time") from error


def reading_only(application: Application) -> Application:
    """The same application, which refuses all but GET and HEAD, and all that was not asked under a name of this machine.

    A page of a stranger can have its own name point to 127.0.0.1, and would then read what is shown here; but the browser
    says under which name it asks.
    """

    def guarded(environment: dict[str, Any], respond: Callable[..., Any]) -> Iterable[bytes]:
        if not _LOCAL.fullmatch(environment.get("HTTP_HOST", "")):
            respond("403 Forbidden", [("Content-Type", "application/json")])
            return [b'{"reason": "This dashboard answers to localhost and 127.0.0.1 only."}']
        if environment["REQUEST_METHOD"] in ("GET", "HEAD"):
            return application(environment, respond)
        respond("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "This dashboard is read-only."}']

    return guarded


def _number_of(storage: BaseStorage, study: str) -> int:
    try:
        return storage.get_study_id_from_name(study)
    except KeyError:
        raise UserError(f"the journal does not hold {study!r} yet: it is written when the study runs") from None


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request: browsers open connections that they do not use at once, which would block a single one."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing of each request."""
