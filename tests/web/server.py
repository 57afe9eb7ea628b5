"""A local web server that can be told to go wrong: corrupt, cut short, missing, slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
TYPES |= {".png": "image/png", ".svg": "image/svg+xml"}
TYPES |= {".json": "application/json", ".wasm": "application/wasm", ".jpg": "image/jpeg"}
# Headers with which a page is cross-origin isolated.
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


class Site:
    """A folder being served: `log` is every path asked for, `faults` what goes wrong how often.

    `down` is a server that hangs up on everybody: nothing is answered, whoever asks. (Playwright's
    `set_offline` reaches pages only, and not the browser's own look for a newer service worker.)
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}/"
        self.log: list[str] = []
        self.faults: dict[str, list[str]] = {}
        self.headers: dict[str, str] = {}
        self.pages: dict[str, str] = {}
        self.down = False
        self.release = threading.Event()  # what "hold" waits for
        self.parts = False  # whether Range is answered, with 206
        self.ranges: list[tuple[str, str]] = []  # paths and ranges that were asked for
        self.go = threading.Event()  # what "wait" waits for

    def fail(self, prefix: str, *faults: str) -> None:
        """The next requests of paths that begin so: "corrupt", "short", "missing", "slow", "stall"
        (the body comes late), "wait" (the body comes when `go` is set), "hold" (the second half of
        it comes when `release` is set), "wait, hold" (first the one, then the other) or "cut" (the
        connection ends in the middle of it).
        """
        self.faults[prefix] = list(faults)

    def fault(self, path: str) -> str:
        for prefix, faults in self.faults.items():
            if path.startswith(prefix) and faults:
                return faults.pop(0)
        return ""


@contextmanager
def serve(folder: Path) -> Iterator[Site]:
    """Serve `folder` on the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.lstrip("/").split("?")[0]
            site.log.append(path)
            if site.down:
                self.close_connection = True
                return
            fault = site.fault(path)
            if fault == "slow":
                time.sleep(1.5)
            if path in site.pages:
                data = site.pages[path].encode()
            else:
                file = folder / (path + "index.html" if path.endswith("/") else path)
                if fault == "missing" or not file.is_file():
                    self.send_error(404)
                    return
                data = file.read_bytes()
            if fault == "corrupt":
                data = bytes([data[0] ^ 255]) + data[1:]
            if fault == "short":
                data = data[:-1]
            size, start = len(data), 0
            wanted = self.headers.get("Range")
            if wanted:
                site.ranges.append((path, wanted))
                start = int(wanted.removeprefix("bytes=").split("-")[0]) if site.parts else 0
                data = data[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            suffix = ".html" if path.endswith("/") else Path(path).suffix
            self.send_header("Content-Type", TYPES.get(suffix, "application/octet-stream"))
            self.send_header("Content-Length", str(len(data)))
            for name, value in site.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if fault == "stall":
                time.sleep(1.5)
            if fault.startswith("wait"):
                site.go.wait(60)
            if fault.endswith("hold"):
                half, data = data[: len(data) // 2], data[len(data) // 2 :]
                try:
                    self.wfile.write(half)
                    self.wfile.flush()
                except ConnectionError:
                    return
                site.release.wait(60)
            if fault == "cut":
                data = data[: len(data) // 2]
                self.close_connection = True
            try:
                self.wfile.write(data)
            except ConnectionError:
                pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site = Site(folder, server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.go.set()
        site.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
