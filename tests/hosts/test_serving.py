"""The static server: types, caching, compression, policies, and nothing outside its folder."""

from __future__ import annotations

import gzip
import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanlight.errors import FanlightError
from fanlight.hosts import serving
from fanlight.hosts.serving import Site, SiteServer
from fanlight.server import open_server
from fanlight.web.headers import STRICT_CSP

LONG = b"// a comment that compresses well\n" * 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "sub").mkdir(parents=True)
    (root / "bare").mkdir()
    (root / "index.html").write_text("<!doctype html><title>page</title>")
    (root / "sub" / "index.html").write_text(
        "<!doctype html><meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
    )
    (root / "fanlight.js").write_bytes(LONG)
    (root / "model-relaxed-3fa9c1d2.wasm").write_bytes(b"\0asm\1\0\0\0")
    (root / "weights-1of1-00ff00ff.bin").write_bytes(bytes(5000))
    (root / ".secret").write_text("no")
    (tmp_path / "outside.txt").write_text("no")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    return root


@pytest.fixture
def server(folder: Path) -> Iterator[SiteServer]:
    server = SiteServer(Site(folder, {"/made/up.js": b"1"})).start()
    yield server
    server.stop()


class Answer:
    def __init__(self, server: SiteServer, target: str, method: str = "GET", **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.putrequest(
            method, target, skip_host="Host" in headers, skip_accept_encoding=True
        )
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()
        connection.close()


@pytest.mark.parametrize(
    ("path", "type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/fanlight.js?v=1", "text/javascript; charset=utf-8"),
        ("/model-relaxed-3fa9c1d2.wasm", "application/wasm"),
        ("/weights-1of1-00ff00ff.bin", "application/octet-stream"),
        ("/sub/", "text/html; charset=utf-8"),
        ("/made/up.js", "text/javascript; charset=utf-8"),
    ],
)
def test_types_and_isolation(server: SiteServer, path: str, type: str) -> None:
    answer = Answer(server, path)
    assert answer.status == 200 and answer.headers["Content-Type"] == type
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_idle_connection_ends_in_silence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving._Handler, "timeout", 0.2)
    lines: list[str] = []
    server = SiteServer(Site(folder), log=lines.append).start()
    try:
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as idle:
            assert idle.recv(1) == b""  # the server has hung up
        assert lines == []
        assert Answer(server, "/").status == 200 and len(lines) == 1
    finally:
        server.stop()


def test_policies(server: SiteServer) -> None:
    assert Answer(server, "/").headers["Content-Security-Policy"] == STRICT_CSP
    assert Answer(server, "/fanlight.js").headers["Content-Security-Policy"] == STRICT_CSP
    # A page with a policy of its own keeps that one.
    assert Answer(server, "/sub/").headers["Content-Security-Policy"] == "frame-ancestors 'self'"


def test_only_hash_named_files_are_immutable(server: SiteServer) -> None:
    for path in ("/model-relaxed-3fa9c1d2.wasm", "/weights-1of1-00ff00ff.bin"):
        assert "immutable" in Answer(server, path).headers["Cache-Control"]
    for path in ("/", "/fanlight.js"):
        assert Answer(server, path).headers["Cache-Control"] == "no-cache"


def test_etags(server: SiteServer, folder: Path) -> None:
    first = Answer(server, "/fanlight.js")
    again = Answer(server, "/fanlight.js", If_None_Match=f'"other", W/{first.headers["ETag"]}')
    assert again.status == 304 and again.body == b""
    (folder / "fanlight.js").write_bytes(LONG + b"changed")
    changed = Answer(server, "/fanlight.js", If_None_Match=first.headers["ETag"])
    assert changed.status == 200 and changed.body.endswith(b"changed")


def test_gzip(server: SiteServer) -> None:
    packed = Answer(server, "/fanlight.js", Accept_Encoding="br, gzip;q=0.8")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == LONG and len(packed.body) < len(LONG) / 4
    plain = Answer(server, "/fanlight.js", Accept_Encoding="gzip;q=0")
    assert plain.headers["Content-Encoding"] is None and plain.body == LONG
    assert plain.headers["ETag"] != packed.headers["ETag"]
    weights = Answer(server, "/weights-1of1-00ff00ff.bin", Accept_Encoding="gzip")
    assert weights.headers["Content-Encoding"] is None


def test_head_has_the_headers_and_no_body(server: SiteServer) -> None:
    answer = Answer(server, "/fanlight.js", "HEAD")
    assert answer.status == 200 and answer.body == b""
    assert answer.headers["Content-Length"] == str(len(LONG))


@pytest.mark.parametrize(
    "target",
    [
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/sub/..%2f..%2foutside.txt",
        "/sub/%2e%2e/%2e%2e/outside.txt",
        "//etc/passwd",
        "/..\\outside.txt",
        "/link.txt",
        "/.secret",
        "/%00",
        "/bare/",
        "/nothing.js",
        "/" + "a" * 5000,
    ],
)
def test_nothing_outside_and_no_listing(server: SiteServer, target: str) -> None:
    answer = Answer(server, target)
    assert answer.status == 404 and b"no" not in answer.body.lower().replace(b"not found", b"")


def test_folders_redirect_within_the_site(server: SiteServer) -> None:
    answer = Answer(server, "/sub")
    assert answer.status == 307 and answer.headers["Location"] == "/sub/"
    assert Answer(server, "/sub?x=1&y=%2F").headers["Location"] == "/sub/?x=1&y=%2F"
    assert answer.headers["Cache-Control"] == "no-store"  # another site may be here next time
    for slashes in range(2, 8):
        assert Answer(server, "/" * slashes + "sub").headers["Location"] in (None, "/sub/")


def test_other_hosts_and_methods_are_refused(server: SiteServer) -> None:
    assert Answer(server, "/", Host="evil.example").status == 421
    assert Answer(server, "/", Host=f"localhost:{server.server_port}").status == 200
    assert Answer(server, "/", "POST").status == 501


def test_it_listens_on_loopback_only(server: SiteServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_the_port_is_free_after_stop(folder: Path) -> None:
    server = SiteServer(Site(folder)).start()
    port = server.server_port
    server.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_open_server_tells_what_is_wrong(folder: Path) -> None:
    with SiteServer(Site(folder)) as taken:
        with pytest.raises(FanlightError, match="in use") as caught:
            open_server(folder, taken.server_port)
    assert caught.value.code == "E-CLI-001"
    for wrong in (folder / "nothing", folder / "fanlight.js"):
        with pytest.raises(FanlightError) as caught:
            open_server(wrong)
        assert caught.value.code == "E-CLI-002"


def test_a_deleted_file_is_a_404(server: SiteServer, folder: Path) -> None:
    os.remove(folder / "fanlight.js")
    assert Answer(server, "/fanlight.js").status == 404


def write_copy(file: Path, suffix: str, data: bytes, *, older_by: int = 0) -> None:
    copy = file.with_name(file.name + suffix)
    copy.write_bytes(data)
    time = file.stat().st_mtime_ns - older_by
    os.utime(copy, ns=(time, time))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0.5, gzip;q=0.9", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("*", "br"),
        ("*;q=0, gzip;q=0.001", "gzip"),
        ("br;q=0.2, identity;q=0.8", None),
        ("GZIP ; Q=1.0", "gzip"),
        ("identity", None),
        ("br;q=none", None),
        ("", None),
        ("zstd", None),
    ],
)
def test_codings_are_negotiated(
    server: SiteServer, folder: Path, accepted: str, coding: str | None
) -> None:
    write_copy(folder / "fanlight.js", ".br", b"as brotli")
    write_copy(folder / "fanlight.js", ".gz", b"as gzip")
    answer = Answer(server, "/fanlight.js", Accept_Encoding=accepted)
    assert answer.headers["Content-Encoding"] == coding
    bodies = {"br": b"as brotli", "gzip": b"as gzip", None: LONG}
    assert answer.body == bodies[coding] and answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    tag = answer.headers["ETag"]
    again = Answer(server, "/fanlight.js", Accept_Encoding=accepted, If_None_Match=tag)
    assert again.status == 304


def test_a_copy_that_is_older_is_not_sent(server: SiteServer, folder: Path) -> None:
    write_copy(folder / "fanlight.js", ".br", b"of an older build", older_by=1)
    answer = Answer(server, "/fanlight.js", Accept_Encoding="br")
    assert answer.headers["Content-Encoding"] is None and answer.body == LONG


def test_weights_are_sent_compressed_where_a_copy_is(server: SiteServer, folder: Path) -> None:
    path = "/weights-1of1-00ff00ff.bin"
    write_copy(folder / path[1:], ".gz", gzip.compress(bytes(5000)))
    answer = Answer(server, path, Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip" and len(answer.body) < 100
    assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=100-", 206, (100, None)),
        ("bytes=-20", 206, (-20, None)),
        ("bytes=0-999999", 206, (0, None)),
        ("bytes=-999999", 206, (0, None)),
        ("bytes=999999-", 416, (0, 0)),
        ("bytes=-0", 416, (0, 0)),
        ("bytes=5-4", 200, (0, None)),
        ("bytes=0-1,4-5", 200, (0, None)),
        ("bytes=-", 200, (0, None)),
        ("lines=1-2", 200, (0, None)),
    ],
)
def test_parts_of_files(
    server: SiteServer, asked: str, status: int, part: tuple[int, int | None]
) -> None:
    answer = Answer(server, "/fanlight.js", Range=asked, Accept_Encoding="br, gzip")
    assert answer.status == status and answer.body == LONG[slice(*part)]
    assert answer.headers["Content-Encoding"] is None
    assert answer.headers["Accept-Ranges"] == "bytes"
    if status == 206:
        start = len(LONG) - len(answer.body) if part[1] is None else 0
        end = start + len(answer.body) - 1
        assert answer.headers["Content-Range"] == f"bytes {start}-{end}/{len(LONG)}"
    elif status == 416:
        assert answer.headers["Content-Range"] == f"bytes */{len(LONG)}"


def test_a_part_of_another_file_is_not_sent(server: SiteServer, folder: Path) -> None:
    tag = Answer(server, "/fanlight.js").headers["ETag"]
    part = Answer(server, "/fanlight.js", Range="bytes=10-", If_Range=tag)
    assert part.status == 206 and part.body == LONG[10:]
    (folder / "fanlight.js").write_bytes(LONG + b"changed")
    whole = Answer(server, "/fanlight.js", Range="bytes=10-", If_Range=tag)
    assert whole.status == 200 and whole.body.endswith(b"changed")
    head = Answer(server, "/fanlight.js", "HEAD", Range="bytes=0-9")
    assert head.status == 206 and head.body == b"" and head.headers["Content-Length"] == "10"
