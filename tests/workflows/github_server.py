"""A local stand-in for GitHub's REST API, which holds both sides to GitHub's own description.

`github_api.json` has what the description says about the operations that the scripts use. A request with
another path, parameter or property is a violation, and so is an answer of this server that has not the
described fields.
"""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]

OPERATIONS: dict[str, Json] = json.loads(Path(__file__).with_name("github_api.json").read_text())[
    "operations"
]
BOT = {"login": "github-actions[bot]", "type": "Bot"}
TYPES = {"integer": int, "string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}


def archive(**files: str | bytes) -> bytes:
    """A ZIP archive; `__` stands for a dot in a name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in files.items():
            file.writestr(name.replace("__", "."), text)
    return content.getvalue()


@dataclass
class GitHubServer:
    """The API of one repository, and the storage that has the artifacts' archives."""

    repository: str = "octo-org/octo-repo"
    token: str = "token-of-the-job"
    pulls: list[Json] = field(default_factory=list[Json])
    files: list[Json] = field(default_factory=list[Json])
    """The files that every pull request changes."""
    runs: list[Json] = field(default_factory=list[Json])
    artifacts: dict[int, list[Json]] = field(default_factory=dict[int, list[Json]])
    """Run → its artifacts. `content` is the archive's."""
    jobs: dict[int, list[Json]] = field(default_factory=dict[int, list[Json]])
    comments: list[Json] = field(default_factory=list[Json])
    issues: list[Json] = field(default_factory=list[Json])
    requests: list[str] = field(default_factory=list[str])
    violations: list[str] = field(default_factory=list[str])
    failing: int = 0
    """Requests that are answered with 502 before the next one works."""
    page: int = 100
    """The largest page, so that a test can have many pages with few items."""
    next_page: str = ""
    """Another address for the next page."""

    def __enter__(self) -> GitHubServer:
        handler = type("Handler", (_Handler,), {"github": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def artifact(self, run: int, name: str, content: bytes, **changes: Any) -> None:
        """Adds an artifact to a run."""
        number = 9000 + sum(map(len, self.artifacts.values()))
        found = {
            "id": number,
            "name": name,
            "size_in_bytes": len(content),
            "expired": False,
            "content": content,
        }
        self.artifacts.setdefault(run, []).append({**found, **changes})

    def answer(self, operation: str, found: re.Match[str], query: dict[str, str], body: Json | None) -> Any:
        """What the operation does, and its answer."""
        match operation:
            case "pulls/list":
                return [
                    pull
                    for pull in self.pulls
                    if pull["state"] == query["state"] and pull["head"]["label"] == query.get("head")
                ]
            case "pulls/list-files":
                return self.files
            case "actions/list-workflow-runs-for-repo":
                return [run for run in self.runs if run["head_sha"] == query["head_sha"]]
            case "actions/list-workflow-run-artifacts":
                return self.artifacts.get(int(found["run_id"]), [])
            case "actions/list-jobs-for-workflow-run":
                return self.jobs.get(int(found["run_id"]), [])
            case "issues/list-comments":
                return [one for one in self.comments if one["issue"] == int(found["issue_number"])]
            case "issues/list-for-repo":
                return [one for one in self.issues if one["state"] == query["state"]]
            case "issues/create-comment":
                return self._add(self.comments, issue=int(found["issue_number"]), user=BOT, **(body or {}))
            case "issues/update-comment":
                return self._change(self.comments, "id", int(found["comment_id"]), body or {})
            case "issues/create":
                return self._add(self.issues, state="open", user=BOT, **(body or {}))
            case "issues/update":
                return self._change(self.issues, "number", int(found["issue_number"]), body or {})
            case "repos/create-release":
                return {
                    "html_url": f"https://github.com/{self.repository}/releases/{(body or {})['tag_name']}"
                }
            case "git/get-ref":
                return {"ref": f"refs/{found['ref']}"}
            case _:
                raise AssertionError(operation)

    def _add(self, items: list[Json], **values: Any) -> Json:
        number = 1000 + len(items)
        items.append({"id": number, "number": number, "html_url": f"https://github.com/x/{number}", **values})
        return items[-1]

    def _change(self, items: list[Json], key: str, number: int, values: Json) -> Json:
        (item,) = (item for item in items if item[key] == number)
        item.update(values)
        return item


class _Handler(BaseHTTPRequestHandler):
    github: GitHubServer

    def log_message(self, format: str, *args: Any) -> None:
        """Prints nothing."""

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PATCH(self) -> None:
        self._handle()

    def _handle(self) -> None:
        github, address = self.github, urlsplit(self.path)
        query = dict(parse_qsl(address.query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        github.requests.append(f"{self.command} {address.path}")
        if address.path.startswith("/storage/"):
            self._storage(int(address.path.split("/")[2]))
            return
        if self.headers.get("Authorization") != f"Bearer {github.token}":
            self._send(401, {"message": "Bad credentials"})
            return
        if github.failing:
            github.failing -= 1
            self._send(502, {"message": "Server Error"})
            return
        for name, operation in OPERATIONS.items():
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(operation["path"]))
            pattern = pattern.replace("(?P<ref>[^/]+)", "(?P<ref>.+)")
            found = re.fullmatch(pattern, address.path)
            if found and operation["method"] == self.command:
                self._operate(name, operation, found, query, json.loads(body) if body else None)
                return
        github.violations.append(f"{self.command} {address.path} is not an operation")
        self._send(404, {"message": "Not Found"})

    def _operate(
        self, name: str, operation: Json, found: re.Match[str], query: dict[str, str], body: Json | None
    ) -> None:
        github = self.github
        if f"{found['owner']}/{found['repo']}" != github.repository:
            github.violations.append(f"{name}: another repository")
        github.violations += [*_query(name, operation, query), *_body(name, operation, body)]
        if body and len(body.get("body") or "") > 65_536:
            self._send(422, {"message": "Validation Failed: body is too long (maximum is 65536 characters)"})
            return
        if name == "actions/download-artifact":
            location = f"{github.url}/storage/{found['artifact_id']}"
            self._send(302, {}, {"Location": location})
            return
        answer = github.answer(name, found, query, body)
        described = operation["answer"]
        for item in answer if described["list"] else [answer]:
            github.violations += [f"{name}: {problem}" for problem in _fields(item, described["fields"])]
        headers: dict[str, str] = {}
        if described["list"]:
            answer, headers = self._page(answer, query)
        content = {described["key"]: answer, "total_count": 0} if described.get("key") else answer
        self._send(operation["status"], content, headers)

    def _page(self, items: list[Json], query: dict[str, str]) -> tuple[list[Json], dict[str, str]]:
        number, size = int(query.get("page", 1)), min(int(query.get("per_page", 30)), self.github.page)
        shown = [
            {key: value for key, value in item.items() if key != "content"}
            for item in items[(number - 1) * size : number * size]
        ]
        if number * size >= len(items):
            return shown, {}
        address = urlsplit(self.path)
        others = "&".join(f"{key}={value}" for key, value in parse_qsl(address.query) if key != "page")
        following = self.github.next_page or f"{self.github.url}{address.path}?{others}&page={number + 1}"
        last = f'<{self.github.url}{address.path}?page=99>; rel="last"'
        return shown, {"Link": f'<{following}>; rel="next", {last}'}

    def _storage(self, number: int) -> None:
        if self.headers.get("Authorization"):
            self.github.violations.append("the token was sent to the storage")
        for artifact in (artifact for found in self.github.artifacts.values() for artifact in found):
            if artifact["id"] == number:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(artifact["content"])
                return
        self._send(404, {})

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)


def _query(name: str, operation: Json, query: dict[str, str]) -> list[str]:
    described = operation["query"]
    problems = [f"{name}: unknown parameter {key}" for key in query if key not in described]
    return problems + [
        f"{name}: {key}={value}"
        for key, value in query.items()
        if value not in described.get(key, {}).get("enum", [value])
        or (described.get(key, {}).get("type") == "integer" and not value.isdecimal())
    ]


def _body(name: str, operation: Json, body: Json | None) -> list[str]:
    if "body" not in operation:
        return [f"{name}: has a body"] if body is not None else []
    values, described = body or {}, operation["body"]
    problems = [f"{name}: {key} is missing" for key in described["required"] if key not in values]
    for key, value in values.items():
        if key not in described["properties"]:
            problems.append(f"{name}: unknown property {key}")
        elif value not in described["properties"][key].get("enum", [value]):
            problems.append(f"{name}: {key}={value!r}")
        else:
            problems += _fields(values, {key: described["properties"][key]["type"]})
    return problems


def _fields(item: Json, described: dict[str, list[str]]) -> list[str]:
    problems: list[str] = []
    for path, types in described.items():
        value: Any = item
        for key in path.split("."):
            value = cast("Json", value).get(key) if isinstance(value, dict) else None
        accepted = tuple(TYPES[name] for name in types)
        optional = path in ("pull_request", "head.repo.full_name", "head_repository.full_name")
        if not isinstance(value, accepted) and not (optional and value is None):
            problems.append(f"{path} is {value!r}, expected {types}")
    return problems
