"""`fanlight serve` and `fanlight demo` serve a folder on the loopback interface with this."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from fanlight.errors import FanlightError
from fanlight.hosts.serving import LOOPBACK, Site, SiteServer


def open_server(
    folder: str | Path, port: int = 8000, log: Callable[[str], None] | None = None
) -> SiteServer:
    """A server of `folder` at http://127.0.0.1:port, bound but not yet serving.

    Args:
        folder: a bundle folder, or any folder of static files.
        port: 0 = any free port.
        log: called with one line per request.

    Raises:
        FanlightError: E-CLI-001 the port is in use, E-CLI-002 no such folder, or no such port.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FanlightError(
            "E-CLI-002",
            "There is no folder to serve here.",
            where=root,
            expected="a folder, as `fanlight build SRC -o DIR` writes it",
            received="a file" if root.exists() else "nothing",
            next="a one-file page needs no server: open it in a browser."
            if root.exists()
            else None,
        )
    try:
        return SiteServer(Site(root), port, log)
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise FanlightError(
                "E-CLI-001",
                f"Port {port} is in use.",
                where=f"http://{LOOPBACK}:{port}",
                next=f"take another: --port {port + 1} (or --port 0 for any free one).",
            ) from problem
        raise FanlightError(
            "E-CLI-002",
            f"Port {port} cannot be opened.",
            where=f"http://{LOOPBACK}:{port}",
            received=problem.strerror or str(problem),
            next="take one above 1023, such as --port 8000.",
        ) from problem
