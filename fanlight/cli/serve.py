"""`fanlight serve`: a bundle folder at http://127.0.0.1, with the headers that it should have."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

import rich_click as click

from fanlight.cli.output import stderr, stdout
from fanlight.hosts.serving import SiteServer
from fanlight.server import open_server

port_option = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port on this machine's loopback interface; 0 takes any free one.",
)


@click.command("serve")
@click.argument("folder")
@port_option
@click.option("--quiet", "-q", is_flag=True, help="Do not print each request.")
def command(folder: str, port: int, quiet: bool) -> None:
    """Serve FOLDER at http://127.0.0.1:PORT, to this machine only.

    With the right MIME types, a strict Content-Security-Policy, cross-origin isolation, caching
    for ever of files that are named by their hash, the compressed copies that `build` wrote, and
    parts of files for downloads that go on.
    """
    log = None if quiet else _log
    server = open_server(folder, port, log)
    stdout().print(f"Serving {folder} at [bold]{server.url}[/]  (Ctrl+C stops)", soft_wrap=True)
    if not quiet:
        stdout().print(
            "Pages get a strict policy: scripts and styles from files only, none written in line.",
            style="dim",
        )
    serve_until_interrupted(server)


def _log(line: str) -> None:
    stderr().print(line, style="dim", markup=False, soft_wrap=True)


def serve_until_interrupted(server: SiteServer, ready: Callable[[], None] | None = None) -> None:
    """Serve until Ctrl+C or SIGTERM, then free the port."""
    stop = threading.Event()

    def finish(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {name: signal.signal(name, finish) for name in (signal.SIGINT, signal.SIGTERM)}
    server.start()
    try:
        if ready is not None:
            ready()
        while not stop.wait(timeout=1):  # a wait without end would not see Ctrl+C on Windows
            pass
    finally:
        server.stop()
        for name, handler in before.items():
            signal.signal(name, handler)
