"""A stand-in for the W&B server on this machine's loopback: it keeps what the real client sends."""

import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any


@dataclass
class WandbServer:
    """Answers the client's calls within its `with` block, or refuses them with the status `refusing`.

    `rows` holds the history rows by run id, `files` what was uploaded by name, `views` the saved
    workspaces and reports, and `calls` the GraphQL operations in order.
    """

    rows: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    views: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    exits: dict[str, int] = field(default_factory=dict)
    refusing: int | None = None
    port: int = 0

    def __enter__(self) -> "WandbServer":
        """Listen, on the earlier port where there was one."""
        handler = type("Handler", (_Handler,), {"kept": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.port = self._http.server_port
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port: whoever calls then is refused."""
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def history(self, run: str) -> list[dict[str, Any]]:
        """Return the run's rows in order, without W&B's own columns."""
        rows = sorted(self.rows.get(run, {}).items())
        return [{key: value for key, value in row.items() if key[0] != "_"} for _, row in rows]

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Return the data of one GraphQL call."""
        operation = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = operation.group(1) if operation else ""
        self.calls.append(name)
        reply = getattr(self, f"_{name[:1].lower()}{name[1:]}", None)
        return reply(variables) if reply else {}

    def _viewer(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}
        }

    def _upsertBucket(self, sent: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.setdefault(sent["name"], {})
        run.update({key: value for key, value in sent.items() if value is not None})
        project = {"id": "p", "name": sent["project"], "entity": {"id": "e", "name": "me"}}
        names = {"id": "b", "name": sent["name"], "displayName": run.get("displayName"), "description": ""}
        more = {"config": "{}", "sweepName": None, "historyLineCount": 0, "project": project}
        return {"upsertBucket": {"bucket": names | more, "inserted": True}}

    def _createRunFiles(self, sent: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in sent["files"]]
        return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}

    def _artifactType(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _createArtifact(self, _: dict[str, Any]) -> dict[str, Any]:
        stored = {"id": "a", "state": "COMMITTED", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": stored}}

    def _getProjects(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"models": {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}}

    def _upsertView(self, sent: dict[str, Any]) -> dict[str, Any]:
        self.views.append(sent)
        project = {"id": "p", "name": sent["projectName"], "entityName": sent["entityName"]}
        names = {key: sent.get(key) for key in ("type", "name", "displayName", "description", "spec")}
        more = {"id": f"view{len(self.views)}", "project": project, "updatedAt": None}
        return {"upsertView": {"view": names | more, "inserted": True}}

    _upsertView2 = _upsertView

    def stream(self, run: str, sent: dict[str, Any]) -> None:
        """Keep rows by their number, so that a row that is sent again does not count twice."""
        history = sent.get("files", {}).get("wandb-history.jsonl", {"offset": 0, "content": []})
        for number, line in enumerate(history["content"], start=history["offset"]):
            self.rows.setdefault(run, {})[number] = json.loads(line)
        if sent.get("complete"):
            self.exits[run] = sent["exitcode"]


class _Handler(BaseHTTPRequestHandler):
    kept: WandbServer

    def do_POST(self) -> None:
        content = self._body()
        if self.path == "/graphql" and not self.kept.refusing:
            sent = json.loads(content)
            self._send({"data": self.kept.answer(sent["query"], sent.get("variables") or {})})
            return
        if self.path.endswith("/file_stream") and not self.kept.refusing:
            self.kept.stream(self.path.split("/")[-2], json.loads(content))
        self._send({})

    def do_PUT(self) -> None:
        content = self._body()
        if not self.kept.refusing:
            self.kept.files[self.path.removeprefix("/upload/")] = content
        self._send({})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, reply: dict[str, Any]) -> None:
        text = json.dumps(reply).encode()
        self.send_response(self.kept.refusing or 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""
