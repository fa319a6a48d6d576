"""A hub on this machine that speaks what huggingface_hub asks for: the API's part that tells of a
repository, files behind redirects, ranges, restricted repositories; and that can misbehave."""

import hashlib
import json
import re
import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".gguf")
"""Files that the hub keeps outside git, and sends from another address."""


@dataclass
class Faults:
    """How the hub misbehaves.

    Attributes:
        busy: status to answer with → how many requests still get it.
        wait: seconds that a busy answer asks to wait.
        cut: bytes of a large file after which the connection breaks, as often as `cuts` says.
        flip: how many large files are still sent with a flipped byte.
        pace: bytes of a large file a second; None for no limit.
    """

    busy: dict[int, int] = field(default_factory=dict)
    wait: int | None = None
    cut: int | None = None
    cuts: int = 0
    flip: int = 0
    pace: int | None = None


class StandIn:
    """The hub: repositories with revisions, all on disk."""

    def __init__(self, folder: Path) -> None:
        """Start it; `folder` holds what is published."""
        self.folder, self.faults = folder, Faults()
        self.repositories: dict[str, dict[str, Path]] = {}
        self.gated: dict[str, str] = {}
        self.requests: list[tuple[str, str, str | None, str | None]] = []
        self.sent: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._servers = []
        self.address, self.storage = self._serve(), self._serve()

    def _serve(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    def publish(self, name: str, source: Path, revision: str = "main", token: str = "") -> str:
        """Publish a folder as a revision; with a token, to its holder alone. Returns the commit."""
        content = hashlib.sha1(f"{name} {revision}".encode())
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            content.update(path.name.encode() + path.read_bytes())
        commit = content.hexdigest()
        target = self.folder / name.replace("/", "--") / commit
        shutil.copytree(source, target, dirs_exist_ok=True)
        self.repositories.setdefault(name, {})[revision] = target
        if token:
            self.gated[name] = token
        return commit

    def take(self, kind: str) -> bool:
        """Count a fault down; tell whether it happens now."""
        with self._lock:
            left = getattr(self.faults, kind)
            setattr(self.faults, kind, max(0, left - 1))
            return left > 0

    def busy(self) -> int | None:
        """Return the status that a request is put off with, if it is."""
        with self._lock:
            for status, left in self.faults.busy.items():
                if left:
                    self.faults.busy[status] -= 1
                    return status
        return None

    def stop(self) -> None:
        """Be gone."""
        for server in self._servers:
            server.shutdown()
            server.server_close()


def _handler(hub: StandIn):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = unquote(urlsplit(self.path).path)
            token = self.headers.get("Authorization")
            hub.requests.append((self.command, path, self.headers.get("Range"), token))
            status = hub.busy()
            if status is not None:
                wait = {} if hub.faults.wait is None else {"Retry-After": str(hub.faults.wait)}
                return self.answer(status, {}, **wait)
            if path.startswith("/storage/"):
                return self.send_large(path)
            if match := re.fullmatch(r"/api/models/(.+?)/auth-check", path):
                return self.answer(200, {}) if self.known(match[1], True) else None
            if match := re.fullmatch(r"/api/models/(.+?)(/revision/(.+))?", path):
                return self.tell(match[1], match[3] or "main")
            if match := re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path):
                return self.send_file(*match.groups())
            return self.answer(404, {"error": "no such page"})

        def known(self, name, open_it=False):
            """Tell whether a repository is there, and may be read; answer if not."""
            if name not in hub.repositories:
                self.answer(
                    404, {"error": "Repository not found"}, **{"X-Error-Code": "RepoNotFound"}
                )
                return False
            wanted = hub.gated.get(name)
            if open_it and wanted and self.headers.get("Authorization") != f"Bearer {wanted}":
                self.answer(403, {"error": "restricted"}, **{"X-Error-Code": "GatedRepo"})
                return False
            return True

        def revision(self, name, revision):
            """Return the folder of a branch, tag or commit; answer if there is none."""
            revisions = hub.repositories[name]
            commits = {path.name: path for path in revisions.values()}
            folder = revisions.get(revision) or commits.get(revision)
            if folder is None:
                self.answer(
                    404, {"error": "Invalid rev id"}, **{"X-Error-Code": "RevisionNotFound"}
                )
            return folder

        def tell(self, name, revision):
            if not self.known(name) or not (folder := self.revision(name, revision)):
                return None
            siblings = []
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                name_there = path.relative_to(folder).as_posix()
                entry = {"rfilename": name_there, "size": path.stat().st_size, "blobId": blob(path)}
                if path.suffix in LARGE:
                    entry["lfs"] = {
                        "sha256": sha(path),
                        "size": path.stat().st_size,
                        "pointerSize": 134,
                    }
                siblings.append(entry)
            gated = "manual" if name in hub.gated else False
            return self.answer(200, {
                "id": name, "modelId": name, "sha": folder.name, "private": False, "gated": gated,
                "disabled": False, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings,
            })  # fmt: skip

        def send_file(self, name, revision, file):
            if not self.known(name, True) or not (folder := self.revision(name, revision)):
                return None
            path, commit = folder / file, {"X-Repo-Commit": folder.name}
            if not path.is_file():
                return self.answer(404, {}, **commit, **{"X-Error-Code": "EntryNotFound"})
            if path.suffix in LARGE:
                return self.answer(302, {}, **commit, **{
                    "Location": f"{hub.storage}/storage/{name.replace('/', '--')}/{folder.name}/{file}",
                    "X-Linked-Size": str(path.stat().st_size), "X-Linked-ETag": f'"{sha(path)}"',
                    "ETag": f'"{sha(path)}"',
                })  # fmt: skip
            return self.send(path.read_bytes(), 200, **commit, ETag=f'"{blob(path)}"')

        def send_large(self, path):
            content = (hub.folder / path.removeprefix("/storage/")).read_bytes()
            start = int(re.sub(r"\D", "", self.headers.get("Range") or "") or 0)
            if start >= len(content) and start:
                return self.answer(416, {})
            body = bytearray(content[start:])
            if self.command == "GET" and hub.take("flip"):
                body[len(body) // 2] ^= 1
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Accept-Ranges", "bytes")
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.end_headers()
            if self.command == "HEAD":
                return None
            end = len(body)
            if hub.faults.cut is not None and hub.take("cuts"):
                end = min(end, hub.faults.cut)
            step = max(1, hub.faults.pace // 20) if hub.faults.pace else len(body) or 1
            try:
                for at in range(0, end, step):
                    self.wfile.write(body[at : min(at + step, end)])
                    hub.sent[path] += min(at + step, end) - at
                    if hub.faults.pace:
                        time.sleep(0.05)
            except (BrokenPipeError, ConnectionResetError):
                pass
            if end < len(body):
                self.close_connection = True
            return None

        def answer(self, status, content, **headers):
            return self.send(json.dumps(content).encode(), status, **headers)

        def send(self, body, status, **headers):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def blob(path):
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
