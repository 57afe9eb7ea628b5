"""One Chromium, one loopback server, one page per engine."""

from __future__ import annotations

import gzip
import http.server
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from fanlight.hosts.browser import chromium_flags, find_browser

HERE = Path(__file__).parent
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".css": "text/css",
}


COMPRESSED = {".html", ".js", ".mjs", ".json", ".wasm", ".css"}


@dataclass
class Traffic:
    """Bytes of the bodies that servers sent since `clear`."""

    sent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def clear(self) -> None:
        with self._lock:
            self.sent = 0

    def add(self, count: int) -> None:
        with self._lock:
            self.sent += count


@cache
def _gzipped(file: Path, stamp: int) -> bytes:
    """A file as a static host sends it; `stamp` is its time: a new file is not an old one."""
    return gzip.compress(file.read_bytes(), 6, mtime=0)


def install_peers() -> None:
    """npm install the pinned peers, once; RuntimeError with npm's own words where it fails."""
    ready = HERE / "node_modules" / ".fanlight-ready"
    pins = (HERE / "package.json").read_text()
    if ready.is_file() and ready.read_text() == pins:
        return
    print("bench: installing the peers' npm packages", flush=True)
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    command = [str(HERE.parent / "tools" / "with_node.sh"), *command, "--prefix", str(HERE)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"npm cannot install the packages of {HERE / 'package.json'}:\n"
            f"{(done.stderr or done.stdout)[-2000:]}\n"
            "Next: check the network or npm's registry setting, then run this again."
        )
    ready.write_text(pins)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"
    # Headers and body leave in one packet: in two, Nagle's algorithm and the browser's delayed
    # acknowledgement would add 40 ms to every request, of every engine.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        _, mount, rest = (*path.split("/", 2), "")[:3]
        root = self.server.mounts.get(mount)
        file = (root / rest).resolve() if root else None
        if file is None or not file.is_relative_to(root.resolve()) or not file.is_file():
            self.send_error(404)
            return
        # As static hosts do: text and WebAssembly are compressed, once; weights travel as they are.
        packed = file.suffix in COMPRESSED and "gzip" in self.headers.get("Accept-Encoding", "")
        data = _gzipped(file, file.stat().st_mtime_ns) if packed else file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", TYPES.get(file.suffix, "application/octet-stream"))
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-cache")
        if self.server.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(data)
        if self.server.traffic is not None:
            self.server.traffic.add(len(data))

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def serve(
    mounts: Mapping[str, Path], *, isolated: bool = False, traffic: Traffic | None = None
) -> Iterator[str]:
    """Serve folders by mount name on the loopback; yields the base URL. `traffic` counts bytes."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.mounts, server.isolated = dict(mounts), isolated  # type: ignore[attr-defined]
    server.traffic = traffic  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def chromium(*extra: str) -> Iterator[Any]:
    """A headless Chromium, as a Playwright Browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = [*chromium_flags(), *extra]
        browser = playwright.chromium.launch(executable_path=find_browser(), args=flags)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Engine:
    """One competitor: which page, with which query."""

    name: str
    page: str
    query: Mapping[str, str]

    def url(self, base: str) -> str:
        return f"{base}/pages/bench.html?{urlencode({'engine': self.page, **self.query})}"


def open_page(browser: Any, base: str, engine: Engine, *, script: str | None = None) -> Any:
    """A page with the engine's model loaded; `script` runs in it before anything else."""
    page = browser.new_context().new_page()
    if script is not None:
        page.add_init_script(script)
    page.goto(engine.url(base))
    page.wait_for_function("globalThis.ready || globalThis.failure", timeout=180_000)
    failure = page.evaluate("globalThis.failure")
    if failure:
        raise SystemExit(f"bench: {engine.name} failed: {failure}")
    page.wait_for_function("globalThis.turn")
    return page
