"""How a bundle folder is served, by the browser host and by `fanlight serve` alike.

Loopback only. The headers are the ones to ask of a real server (fanlight.web.headers): right MIME
types (WASM streams only as application/wasm), a Content-Security-Policy under which nothing leaves
the origin, and the isolation that shared memory needs. Compressed copies are sent where they lie
beside a file, and parts of files to who resumes a download.
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

from fanlight.web.compress import COMPRESSIBLE, SMALL, WEIGHTS
from fanlight.web.headers import CSP, OWN_POLICY, RULES, TYPES, headers_of

LOOPBACK = "127.0.0.1"

_META_CSP = re.compile(
    rb"<meta[^>]+http-equiv=[\"']?content-security-policy[\"']?[^>]*>", re.IGNORECASE
)
_OURS = CSP.replace("'", "&#x27;").encode()
# What an error has too: all that is not about a file.
_HEADERS = {
    name: value
    for name, value in RULES[0].headers.items()
    if name not in ("Content-Security-Policy", "Cache-Control")
}
# The codings that are understood, best first, and how the copies beside a file are named.
_CODINGS = {"br": ".br", "gzip": ".gz"}
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")  # more digits are no file's


@dataclass(frozen=True)
class Reply:
    """One HTTP answer, before it is put on the wire."""

    status: HTTPStatus
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class _Found:
    """A file that was asked for; `tag`, `path` and `time` (ns) of one that is on disk."""

    name: str
    body: bytes
    tag: str = ""
    path: Path | None = None
    time: int = 0


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
            return self._file_reply(_Found(path, self.extra[path]), headers)
        file = self.locate(path)
        if file is None:
            return self.failure(HTTPStatus.NOT_FOUND)
        if file.is_dir():
            if not path.endswith("/"):
                asked = urlsplit(target)
                query = f"?{asked.query}" if asked.query else ""
                # Not for good: another site may be served here the next time.
                return Reply(
                    HTTPStatus.TEMPORARY_REDIRECT,
                    # One slash: two would name another host.
                    {**_HEADERS, "Location": f"/{asked.path.strip('/')}/{query}",
                     "Cache-Control": "no-store"},
                    b"",
                )  # fmt: skip
            file = file / "index.html"
        try:
            stat = file.stat()
            body = file.read_bytes()
        except OSError:
            return self.failure(HTTPStatus.NOT_FOUND)
        tag = f"{stat.st_mtime_ns:x}-{stat.st_size:x}-{stat.st_ino:x}"
        return self._file_reply(_Found(file.name, body, tag, file, stat.st_mtime_ns), headers)

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
        headers = {**_HEADERS, "Content-Type": TYPES[".txt"], "Cache-Control": "no-store"}
        return Reply(status, headers, f"{status.value} {status.phrase}\n".encode())

    def _file_reply(self, found: _Found, asked: Mapping[str, str]) -> Reply:
        headers = headers_of(found.name) | {"Vary": "Accept-Encoding", "Accept-Ranges": "bytes"}
        policy = _META_CSP.search(found.body[:4096]) if found.name.endswith(".html") else None
        if policy and _OURS not in policy[0] and CSP.encode() not in policy[0]:
            headers["Content-Security-Policy"] = OWN_POLICY
        part = asked.get("Range") or ""
        # A part is one of the file itself, so that a download can go on whatever it began with.
        coding, body = ("", found.body) if part else self._coded(found, asked)
        if found.tag:
            headers["ETag"] = f'"{found.tag}{"-" + coding if coding else ""}"'
            if headers["ETag"] in _etags(asked):
                return Reply(HTTPStatus.NOT_MODIFIED, headers, b"")
            if asked.get("If-Range") not in (None, headers["ETag"]):
                part = ""
        if coding:
            headers["Content-Encoding"] = coding
        return _part_of(body, part, headers)

    def _coded(self, found: _Found, asked: Mapping[str, str]) -> tuple[str, bytes]:
        """The coding that the visitor likes best, and the body in it; "" where there is none."""
        suffix = PurePosixPath(found.name).suffix.lower()
        if suffix not in COMPRESSIBLE | WEIGHTS | {".ts"} or len(found.body) < SMALL:
            return "", found.body
        weights = _weights(asked.get("Accept-Encoding") or "")
        plain = weights.get("identity", 0.001)  # welcome, after all that is named
        for coding in sorted(_CODINGS, key=lambda name: -weights[name]):
            if weights[coding] <= 0 or weights[coding] < plain:
                continue
            copy = _copy_of(found, _CODINGS[coding])
            if copy is not None:
                return coding, copy
            if coding == "gzip" and suffix not in WEIGHTS:
                return coding, self._gzip(found.tag, found.body)
        return "", found.body

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


def _copy_of(found: _Found, suffix: str) -> bytes | None:
    """The compressed copy that `fanlight build` wrote beside a file, unless it is older."""
    if found.path is None:
        return None
    copy = found.path.with_name(found.path.name + suffix)
    try:
        if copy.is_symlink() or copy.stat().st_mtime_ns < found.time:
            return None
        return copy.read_bytes()
    except OSError:
        return None


def _weights(accepted: str) -> dict[str, float]:
    """How welcome each coding is, 0 to 1, by an Accept-Encoding header (RFC 9110, 12.5.3)."""
    given: dict[str, float] = {}
    for part in accepted.lower().split(","):
        coding, *parameters = (text.strip() for text in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    weight = min(1.0, max(0.0, float(value)))
                except ValueError:
                    weight = 0.0
        given[coding] = weight
    rest = given.get("*", 0.0)
    known = {coding: given.get(coding, rest) for coding in _CODINGS}
    return known | ({"identity": given["identity"]} if "identity" in given else {})


def _part_of(body: bytes, part: str, headers: dict[str, str]) -> Reply:
    """The whole body, or the one range of it that was asked for (RFC 9110, 14.2)."""
    match = _RANGE.fullmatch(part.replace(" ", ""))
    size = len(body)
    if match is None or match[0] == "bytes=-":
        return Reply(HTTPStatus.OK, headers, body)  # other units, or several ranges: all of it
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]), size - 1) if match[2] else size - 1
        if match[2] and int(match[2]) < start:
            return Reply(HTTPStatus.OK, headers, body)  # no range at all
    else:
        start, end = max(0, size - int(match[2])), size - 1
    if start > end:
        refused = headers | {"Content-Range": f"bytes */{size}"}
        return Reply(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, refused, b"")
    found = headers | {"Content-Range": f"bytes {start}-{end}/{size}"}
    return Reply(HTTPStatus.PARTIAL_CONTENT, found, body[start : end + 1])


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
