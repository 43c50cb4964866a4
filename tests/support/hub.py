"""A stand-in for the Hugging Face Hub on loopback: what `datasets` and `huggingface_hub` ask for.

Written after https://huggingface.co/docs/hub/api, the Git LFS batch API and what the libraries (`datasets` 5,
`huggingface_hub` 1) send. Xet storage is not spoken: clients need HF_HUB_DISABLE_XET.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Fault:
    """What befalls requests: a status, or a connection that breaks (0).

    Attributes:
        request: the beginning of `METHOD path`.
        times: how many requests; all if not given.
    """

    request: str
    status: int
    times: int = 1_000


class Hub:
    """Datasets by name, each with its files; to be used as a context manager.

    Attributes:
        requests: `METHOD path` of every request.
        sent: bytes of files that were sent.
        tokens: the `Authorization` headers that came.
        users: token → the user whose it is, who may write to their own datasets.
        private: names of datasets that are private.
        stored: what was uploaded by its hash, whether a commit shows it or not.
        commits: messages of the commits, with the paths that each changed.
        faults: what befalls requests.
        before_commit: called before each commit is looked at.
    """

    def __init__(
        self, datasets: Mapping[str, Mapping[str, bytes]] | None = None, users: Mapping[str, str] | None = None
    ) -> None:
        self.datasets = {name: dict(files) for name, files in (datasets or {}).items()}
        self.users = dict(users or {})
        self.private: set[str] = set()
        self.stored: dict[str, bytes] = {}
        self.commits: list[tuple[str, list[str]]] = []
        self.faults: list[Fault] = []
        self.before_commit: Callable[[], None] = lambda: None
        self.requests: list[str] = []
        self.tokens: list[str] = []
        self.sent = 0
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def commit(self, name: str) -> str:
        """The newest commit of a dataset: a hash of its files."""
        return hashlib.sha1(repr(sorted(self.datasets[name].items())).encode()).hexdigest()

    def fault(self, request: str) -> int | None:
        """The status of the fault that befalls a request, if one does."""
        for place, fault in enumerate(self.faults):
            if request.startswith(fault.request) and fault.times:
                self.faults[place] = Fault(fault.request, fault.status, fault.times - 1)
                return fault.status
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a reply goes out at once, not in two packets of which the second waits for the first

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's
        pass

    def do_GET(self) -> None:
        body = self._body()
        url = urlsplit(self.path)
        request = f"{self.command} {self.path}"
        self.hub.requests.append(request)
        if token := self.headers.get("Authorization"):
            self.hub.tokens.append(token)
        if (status := self.hub.fault(request)) is not None:
            if status:
                self._answer(status, {"error": f"a fault of {status}"})
            else:
                self.close_connection = True
            return
        match unquote(url.path).strip("/").split("/"):
            case ["api", "datasets", space, name, *rest] if f"{space}/{name}" in self.hub.datasets:
                if self.command == "POST" and rest[0] in ("preupload", "commit"):
                    self._write(f"{space}/{name}", rest, body)
                else:
                    self._api(f"{space}/{name}", rest, body.decode())
            case ["datasets", space, name, "resolve", revision, *path] if f"{space}/{name}" in self.hub.datasets:
                self._file(f"{space}/{name}", revision, "/".join(path))
            case ["datasets", space, name, "info", "lfs", "objects", "batch"]:
                self._batch(f"{space}/{name.removesuffix('.git')}", json.loads(body))
            case ["lfs", oid] if self.command == "PUT":
                good = hashlib.sha256(body).hexdigest() == oid
                if good:
                    self.hub.stored[oid] = body
                self._answer(200 if good else 400, {})
            case ["api", "whoami-v2"]:
                user = self._user()
                self._answer(200 if user else 401, {"name": user} if user else {"error": "Invalid user token."})
            case ["api", "repos", "create"]:
                self._create(json.loads(body))
            case ["api", "validate-yaml"]:
                self._answer(200, {"errors": [], "warnings": []})
            case ["api", "datasets", *_] | ["datasets", *_]:
                self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            case _:
                self._answer(404, {"error": "Not found"})

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815  # the base class's names

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _user(self) -> str | None:
        return self.hub.users.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    def _may_write(self, name: str) -> bool:
        user = self._user()
        if user is None:
            self._answer(401, {"error": "Invalid user token."})
        elif name.partition("/")[0] != user:
            self._answer(403, {"error": f"You don't have the rights to write to {name}"})
        return user == name.partition("/")[0]

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or self._user()}/{asked['name']}"
        if self._may_write(name):
            found = name in self.hub.datasets
            if not found:
                self.hub.datasets[name] = {".gitattributes": b"*.parquet filter=lfs"}
                if asked.get("private") or asked.get("visibility") == "private":
                    self.hub.private.add(name)
            url = {"url": f"{self.hub.url}/datasets/{name}"}
            self._answer(409 if found else 200, {**url, "error": "You already created this dataset repo"})

    def _batch(self, name: str, asked: dict[str, Any]) -> None:
        if self._may_write(name):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}} for one in asked["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})

    def _write(self, name: str, rest: list[str], body: bytes) -> None:
        if not self._may_write(name):
            return
        if rest[0] == "preupload":
            modes = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["path"].endswith(".parquet") else "regular",
                    "shouldIgnore": False,
                }
                for one in json.loads(body)["files"]
            ]
            self._answer(200, {"files": modes})
            return
        self.hub.before_commit()
        lines = [json.loads(line) for line in body.splitlines()]
        header = lines[0]["value"]
        if header.get("parentCommit") not in (None, self.hub.commit(name)):
            self._answer(412, {"error": "A commit has happened since. Please refresh and try again."})
            return
        files = dict(self.hub.datasets[name])
        for line in lines[1:]:
            match line["key"], line["value"]:
                case "file", value:
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile", value:
                    files[value["path"]] = self.hub.stored[value["oid"]]
                case "deletedFile", value:
                    del files[value["path"]]
        self.hub.datasets[name] = files
        self.hub.commits.append((header["summary"], [line["value"]["path"] for line in lines[1:]]))
        oid = self.hub.commit(name)
        self._answer(200, {"commitUrl": f"{self.hub.url}/datasets/{name}/commit/{oid}", "commitOid": oid})

    def _api(self, name: str, rest: list[str], body: str) -> None:
        files, commit = self.hub.datasets[name], self.hub.commit(name)
        match rest:
            case [] | ["revision", _]:
                about = {
                    "private": name in self.hub.private,
                    "gated": False,
                    "disabled": False,
                    "downloads": 0,
                    "likes": 0,
                    "tags": [],
                }
                siblings = [{"rfilename": path} for path in files]
                self._answer(200, {"id": name, "sha": commit, "siblings": siblings, **about})
            case ["paths-info", _]:
                wanted = parse_qs(body).get("paths") or json.loads(body or "{}").get("paths", [])
                self._answer(200, [one for one in _entries(files) if one["path"] in wanted])
            case ["tree", _, *folder] if not folder or "/".join(folder) in _folders(files):
                start = "".join(f"{part}/" for part in folder)
                entries = [one for one in _entries(files) if one["path"].startswith(start)]
                if "recursive=true" not in self.path:
                    entries = [one for one in entries if "/" not in one["path"].removeprefix(start)]
                self._answer(200, entries)
            case _:
                self._answer(404, {"error": "Not found"}, {"X-Error-Code": "EntryNotFound"})

    def _file(self, name: str, revision: str, path: str) -> None:
        content = self.hub.datasets[name].get(path)
        if content is None:
            self._answer(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {
            "X-Repo-Commit": self.hub.commit(name),
            "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        status = 200
        if (asked := self.headers.get("Range")) and self.command == "GET":
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        if self.command == "GET":
            self.hub.sent += len(content)
        self._send(status, content, headers)

    def _answer(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _folders(files: Mapping[str, bytes]) -> set[str]:
    return {parent.as_posix() for path in files for parent in PurePosixPath(path).parents if parent.name}


def _entries(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    folders = [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in sorted(_folders(files))]
    return folders + [
        {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        for path, content in files.items()
    ]
