"""How a bundle folder is served, by the browser host and by `fanlight serve` alike.

Loopback only. The headers are the ones to ask of a real server: right MIME types (WASM streams
only as application/wasm), a Content-Security-Policy under which nothing leaves the origin, and
the isolation that shared memory needs.
"""

from __future__ import annotations

import gzip
import http.server
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from fanlight.web.site import CSP

LOOPBACK = "127.0.0.1"

# Everything but a page's own scripts, workers, WASM, styles, pictures and camera is refused.
# The page's own policy, and frame-ancestors, which a meta element cannot say.
STRICT_CSP = f"{CSP}; frame-ancestors 'self'"
# A page with a policy of its own (one that pins its inline scripts by hash) keeps that; a meta
# element cannot say frame-ancestors.
OWN_POLICY = "frame-ancestors 'self'"
_META_CSP = re.compile(rb"<meta[^>]+http-equiv=[\"']?content-security-policy", re.IGNORECASE)

_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

# Python's mimetypes module reads the machine's tables, which are often wrong about .wasm and .js.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".bin": "application/octet-stream",
    ".wgsl": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".ico": "image/x-icon",
}
_COMPRESSIBLE = {".html", ".js", ".mjs", ".ts", ".css", ".json", ".webmanifest"}
_COMPRESSIBLE |= {".wasm", ".wgsl", ".txt", ".md", ".svg"}
_SMALL = 1024  # bytes; below this gzip saves nothing

# `model-relaxed-3fa9c1d2.wasm`: the name changes with the contents, so it may be kept for ever.
_HASH_NAMED = re.compile(r"-[0-9a-f]{8,64}\.[a-z0-9]+$")


@dataclass(frozen=True)
class Reply:
    """One HTTP answer, before it is put on the wire."""

    status: HTTPStatus
    headers: dict[str, str]
    body: bytes


class Site:
    """The files below one folder (and a few made-up ones), as HTTP replies.

    Args:
        root: the folder; nothing outside it is ever read, by `..` or by a symbolic link.
        extra: path -> contents of files that are not on disk, such as the browser host's page.
    """

    def __init__(self, root: str | Path, extra: Mapping[str, bytes] | None = None) -> None:
        self.root = Path(root).resolve()
        self.extra = dict(extra or {})
        self._gzipped: OrderedDict[str, bytes] = OrderedDict()  # ETag -> body
        self._lock = threading.Lock()

    def reply(self, target: str, headers: Mapping[str, str]) -> Reply:
        """The answer to GET `target` (a request target such as `/a%20b.js?x`)."""
        path = unquote(urlsplit(target).path)
        if path in self.extra:
            return self._file_reply(path, self.extra[path], "", headers)
        file = self.locate(path)
        if file is None:
            return self.failure(HTTPStatus.NOT_FOUND)
        if file.is_dir():
            if not path.endswith("/"):
                return Reply(
                    HTTPStatus.MOVED_PERMANENTLY,
                    # One slash: two would name another host.
                    {**_HEADERS, "Location": "/" + urlsplit(target).path.strip("/") + "/"},
                    b"",
                )
            file = file / "index.html"
        try:
            stat = file.stat()
            body = file.read_bytes()
        except OSError:
            return self.failure(HTTPStatus.NOT_FOUND)
        tag = f"{stat.st_mtime_ns:x}-{stat.st_size:x}-{stat.st_ino:x}"
        return self._file_reply(file.name, body, tag, headers)

    def locate(self, path: str) -> Path | None:
        """The file or folder of a decoded URL path; None where there is none to be had."""
        parts = PurePosixPath(path).parts[1:] if path.startswith("/") else None
        if parts is None or any(p.startswith(".") or "\\" in p or "\0" in p for p in parts):
            return None
        try:
            file = self.root.joinpath(*parts).resolve()
            return file if file.is_relative_to(self.root) and file.exists() else None
        except (OSError, RuntimeError):  # a name too long, a loop of symbolic links
            return None

    def failure(self, status: HTTPStatus) -> Reply:
        """A plain-text error."""
        headers = {**_HEADERS, "Content-Type": _TYPES[".txt"], "Cache-Control": "no-store"}
        return Reply(status, headers, f"{status.value} {status.phrase}\n".encode())

    def _file_reply(self, name: str, body: bytes, tag: str, asked: Mapping[str, str]) -> Reply:
        suffix = PurePosixPath(name).suffix.lower()
        page = suffix == ".html"
        headers = {
            **_HEADERS,
            "Content-Type": _TYPES.get(suffix, "application/octet-stream"),
            "Content-Security-Policy": (
                OWN_POLICY if page and _META_CSP.search(body[:4096]) else STRICT_CSP
            ),
            "Cache-Control": (
                "public, max-age=31536000, immutable" if _HASH_NAMED.search(name) else "no-cache"
            ),
            "Vary": "Accept-Encoding",
        }
        compress = suffix in _COMPRESSIBLE and len(body) >= _SMALL and _accepts_gzip(asked)
        if tag:
            headers["ETag"] = f'"{tag}{"-gz" if compress else ""}"'
            if headers["ETag"] in _etags(asked):
                return Reply(HTTPStatus.NOT_MODIFIED, headers, b"")
        if compress:
            headers["Content-Encoding"] = "gzip"
            body = self._gzip(tag, body)
        return Reply(HTTPStatus.OK, headers, body)

    def _gzip(self, tag: str, body: bytes) -> bytes:
        if not tag:
            return gzip.compress(body, mtime=0)
        with self._lock:
            known = self._gzipped.get(tag)
            if known is not None:
                self._gzipped.move_to_end(tag)
                return known
        packed = gzip.compress(body, compresslevel=6, mtime=0)
        with self._lock:
            self._gzipped[tag] = packed
            while len(self._gzipped) > 64:
                self._gzipped.popitem(last=False)
        return packed


def _accepts_gzip(headers: Mapping[str, str]) -> bool:
    for part in (headers.get("Accept-Encoding") or "").lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in {"q=0", "q=0.0"}
    return False


def _etags(headers: Mapping[str, str]) -> list[str]:
    return [t.strip().removeprefix("W/") for t in (headers.get("If-None-Match") or "").split(",")]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fanlight"
    sys_version = ""
    timeout = 30  # seconds that an idle connection may hold its thread
    server: SiteServer

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        site = self.server.site
        # A name that some other DNS server points at 127.0.0.1 must not read these files.
        host = (self.headers.get("Host") or "").rpartition(":")[0] or self.headers.get("Host")
        if host not in {LOOPBACK, "localhost"}:
            reply = site.failure(HTTPStatus.MISDIRECTED_REQUEST)
        else:
            reply = site.reply(self.path, self.headers)  # type: ignore[arg-type]
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if with_body:
            self.wfile.write(reply.body)

    def log_error(self, format: str, *args: object) -> None:
        """A browser keeps connections that it does not use: their end is no event."""
        if args and isinstance(args[0], TimeoutError):
            return
        self.log_message(format, *args)

    def log_message(self, format: str, *args: object) -> None:
        if self.server.log is not None:
            self.server.log(format % args)


class SiteServer(http.server.ThreadingHTTPServer):
    """Serves a Site on the loopback interface.

    Args:
        site: what to serve.
        port: 0 = any free port.
        log: called with one line per request; None = silent.

    Raises:
        OSError: the port cannot be bound.
    """

    daemon_threads = True
    # A second server on the same port must fail, not share it.
    allow_reuse_port = False

    def __init__(self, site: Site, port: int = 0, log: object = None) -> None:
        self.site = site
        self.log = log if callable(log) else None
        self._thread: threading.Thread | None = None
        super().__init__((LOOPBACK, port), _Handler)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.server_port}"

    def start(self) -> SiteServer:
        """Serve from a thread of its own until `stop()`."""
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and free the port."""
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
            self._thread = None
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A visitor who closes the tab in mid-transfer is no event."""
        import sys

        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
