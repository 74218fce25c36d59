"""A stand-in for W&B's server on 127.0.0.1: it answers what wandb-core 0.31 asks for, and keeps what it is sent.

It knows one user, one key, and as many runs as there come. What it does not know it refuses with status 400 and notes in
``unknown``, so that a new version of W&B that asks for more shows in the tests.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789abcdef0123456789abcdef01234567"
"""The key of the only user."""
ENTITY = "tester"


@dataclass
class Run:
    """A run as the server has it."""

    id: str
    project: str
    fields: dict[str, Any] = field(default_factory=dict)
    """What the upserts said last: displayName, groupName, jobType, config, …"""
    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    """Lines of each streamed file by their number: what is sent again replaces itself."""
    uploads: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def history(self) -> list[dict[str, Any]]:
        """Its rows, in order."""
        lines = self.lines.get("wandb-history.jsonl", {})
        return [json.loads(lines[number]) for number in sorted(lines)]

    @property
    def summary(self) -> dict[str, Any]:
        """Its summary as it was streamed last."""
        lines = self.lines.get("wandb-summary.json", {})
        return dict(json.loads(lines[max(lines)])) if lines else {}

    @property
    def config(self) -> dict[str, Any]:
        """Its configuration, without W&B's own part."""
        config = json.loads(self.fields.get("config") or "{}")
        return {name: entry["value"] for name, entry in config.items() if name != "_wandb"}


class _Listener(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may go away in the midst of a request; that is no line of the command that is tested."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """The server and what it was told; ``running`` and ``down`` make it answer or not."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.views: list[dict[str, Any]] = []
        """Workspaces and reports that were saved."""
        self.asked: list[str] = []
        """Names of the operations, in order."""
        self.unknown: list[str] = []
        self.bodies: list[bytes] = []
        """All that came, as it came."""
        self.sweep_config = ""
        """YAML of the only sweep."""
        self.sweep_commands: list[list[dict[str, Any]]] = []
        """What the next heartbeats of an agent without a run are answered with; then it is told to end."""
        self.lock = threading.Lock()
        self.refuse_after_viewers: int | None = None
        """After how many questions who the user is the key is refused; None for never."""
        self.port = 0
        self._http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Its address, for ``WANDB_BASE_URL``."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, key: str = KEY) -> dict[str, str]:
        """Variables that send W&B here."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": key, "NO_PROXY": "127.0.0.1"}

    def start(self) -> None:
        """Listen; after ``stop``, on the same port as before."""
        self._http = _Listener(("127.0.0.1", self.port), _handler(self))
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Be gone: connections are refused."""
        if self._http:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any] | None:
        """What GraphQL asks for; None where it is not known."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = found[1] if found else ("viewer" if "viewer" in query else "anonymous")
        self.asked.append(name)
        answer = getattr(self, f"_{name}", None)
        if answer is None:
            self.unknown.append(f"{name}: {' '.join(query.split())[:1500]} {json.dumps(variables)[:300]}")
            return None
        return dict(answer(variables))

    def _viewer(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "VXNlcjox", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": {"edges": []}}}

    _Viewer = _viewer

    def _ServerFeaturesQuery(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _RunResumeStatus(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(variables["name"])
        if run is None:
            return {
                "model": {"id": "m", "name": variables["project"], "entity": {"id": "e", "name": ENTITY}, "bucket": None}
            }
        streamed = run.lines.get("wandb-history.jsonl", {})
        counts = {"historyLineCount": len(streamed), "logLineCount": 0, "eventsLineCount": 0}
        tails = {"historyTail": json.dumps([streamed[max(streamed)]] if streamed else []), "eventsTail": "[]"}
        said = {"summaryMetrics": json.dumps(run.summary), "config": run.fields.get("config") or "{}"}
        bucket = {**self._bucket(run), **counts, **tails, **said, "tags": [], "notes": None, "wandbConfig": '{"t": 1}'}
        return {"model": {"id": "m", "name": run.project, "entity": {"id": "e", "name": ENTITY}, "bucket": bucket}}

    def _UpsertBucket(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables["name"]
        new = name not in self.runs
        run = self.runs.setdefault(name, Run(name, variables.get("project") or "uncategorized"))
        run.fields |= {key: value for key, value in variables.items() if value is not None}
        return {"upsertBucket": {"bucket": self._bucket(run), "inserted": new}}

    def _bucket(self, run: Run) -> dict[str, Any]:
        project = {"id": "p", "name": run.project, "entity": {"id": "e", "name": ENTITY}}
        fields = {"displayName": run.fields.get("displayName"), "description": "", "config": run.fields.get("config")}
        return {
            "id": f"storage-{run.id}",
            "name": run.id,
            "sweepName": None,
            "historyLineCount": 0,
            "project": project,
            **fields,
        }

    def _CreateRunFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{variables['run']}/{name}"} for name in variables["files"]]
        return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}

    def _MarkRunFilesUploaded(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"markRunFilesUploaded": {"success": True}}

    def _UpsertView2(self, variables: dict[str, Any]) -> dict[str, Any]:
        self.views.append(variables)
        project = {"id": "p", "name": variables["projectName"], "entityName": variables["entityName"]}
        asked = {key: variables.get(key) for key in ("type", "name", "displayName", "description", "spec")}
        view = {"id": f"view{len(self.views)}", "project": project, "updatedAt": "2026-01-01T00:00:00Z", **asked}
        return {"upsertView": {"view": view, "inserted": True}}

    _upsertView = _UpsertView2

    def _ProjectInternalId(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"id": "UHJvamVjdDox", "internalId": "UHJvamVjdEludGVybmFsSWQ6MQ=="}}

    def _GetProjects(self, variables: dict[str, Any]) -> dict[str, Any]:
        user = {
            "__typename": "User",
            "id": "u",
            "name": ENTITY,
            "username": ENTITY,
            "email": "",
            "admin": False,
            "flags": "{}",
        }
        user |= {"entity": ENTITY, "deletedAt": None, "apiKeys": {"edges": []}, "teams": {"edges": []}}
        node = {
            "__typename": "Project",
            "id": "UHJvamVjdDox",
            "name": "lstm-doping",
            "entityName": ENTITY,
            "isBenchmark": False,
        }
        node |= {"createdAt": "2026-01-01T00:00:00Z", "user": user}
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"models": {"pageInfo": page, "edges": [{"node": node}]}}

    def _OrganizationCoreWeaveOrganizationID(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}

    def _SweepWithRuns(self, variables: dict[str, Any]) -> dict[str, Any]:
        sweep = {
            "id": "s",
            "name": variables["sweep"],
            "state": "RUNNING",
            "config": self.sweep_config,
            "runs": {"edges": []},
        }
        return {"project": {"sweep": sweep}}

    def _CreateAgent(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"createAgent": {"agent": {"id": "agent"}}}

    def _Heartbeat(self, variables: dict[str, Any]) -> dict[str, Any]:
        idle = True not in json.loads(variables.get("runState") or "{}").values()
        commands = self.sweep_commands.pop(0) if self.sweep_commands and idle else []
        if not self.sweep_commands and not commands and idle:
            commands = [{"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(commands)}}


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer(404, {})

        def do_PUT(self) -> None:
            body = self._body()
            run, _, name = self.path.removeprefix("/upload/").partition("/")
            with server.lock:
                server.runs[run].uploads[name] = body
            self._answer(200, {})

        def do_POST(self) -> None:
            body = self._body()
            if not self._known():
                self._answer(401, {"errors": [{"message": "user is not logged in"}]})
                return
            content = {} if self.path.startswith("/sdk/otel/") else json.loads(body or b"{}")
            with server.lock:
                server.bodies.append(body)
                if self.path == "/graphql":
                    data = server.answer(content["query"], content.get("variables") or {})
                    if data is None:
                        self._answer(400, {"errors": [{"message": "the stand-in does not know this"}]})
                    else:
                        self._answer(200, {"data": data})
                    return
                if self.path.startswith("/sdk/otel/"):  # W&B's measurements of itself
                    self._answer(200, {})
                    return
                stream = re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path)
                if not stream:
                    server.unknown.append(self.path)
                    self._answer(404, {})
                    return
                run = server.runs[stream[1]]
                for name, part in (content.get("files") or {}).items():
                    lines = run.lines.setdefault(name, {})
                    lines.update(enumerate(part["content"], part.get("offset", 0)))
                if content.get("complete"):
                    run.exit_code = content.get("exitcode")
                self._answer(200, {"limits": {}})

        def _known(self) -> bool:
            kind, _, token = self.headers.get("Authorization", "").partition(" ")
            refused = server.refuse_after_viewers is not None and server.asked.count("Viewer") >= server.refuse_after_viewers
            return not refused and kind == "Basic" and base64.b64decode(token).decode() == f"api:{KEY}"

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

        def _answer(self, status: int, content: object) -> None:
            text = json.dumps(content).encode()
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

    return Handler


@contextlib.contextmanager
def wandb_server() -> Iterator[Server]:
    """A server for as long as the context lasts."""
    server = Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()
