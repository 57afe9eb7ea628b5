"""`fanlight studio`: the page in which visitors teach a classifier with photos of their own."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import rich_click as click

from fanlight.cli.options import RESIZE_MODES, Range
from fanlight.cli.output import human_bytes, json_option, print_json, progress, stderr, stdout
from fanlight.cli.serve import port_option, serve_until_interrupted
from fanlight.hosts.serving import Site
from fanlight.server import open_server
from fanlight.web.headers import HOSTS


@click.command("studio")
@click.option(
    "--backbone",
    metavar="SRC",
    help="A classifier of Keras or TF.js that sees; what it names is learnt anew.  "
    "[default: the model that ships]",
)
@click.option(
    "-o",
    "--out",
    metavar="DIR|FILE.html",
    help="A folder to write, or one HTML file that needs no server and no network.  "
    "[default: a temporary folder that is served]",
)
@click.option("--title", default="Studio", show_default=True, help="Heading of the page.")
@click.option(
    "--unfreeze",
    metavar="N,N",
    help="How many of the backbone's last layers may learn, too, as choices.  "
    "[default: 2,4,6; in one file 2]",
)
@click.option(
    "--heads",
    metavar="NAME,NAME",
    help="What the page offers: linear, hidden, neighbours.  [default: all of them]",
)
@click.option(
    "--input-range",
    type=Range(),
    help="What the backbone takes the values of a pixel as.  [default: as its layers tell]",
)
@click.option("--resize", type=click.Choice(RESIZE_MODES), help="How photos are made small.")
@click.option("--crop", type=click.Choice(["center", "none"]), help="What is left out of a photo.")
@click.option(
    "--headers",
    multiple=True,
    type=click.Choice([*HOSTS, "all"]),
    help="Write what tells this static host the headers to send; may be repeated.",
)
@click.option("--serve", is_flag=True, help="Serve the page when it is written.")
@port_option
@json_option
def command(
    backbone: str | None,
    out: str | None,
    title: str,
    unfreeze: str | None,
    heads: str | None,
    input_range: tuple[float, float] | None,
    resize: str | None,
    crop: str | None,
    headers: tuple[str, ...],
    serve: bool,
    port: int,
    as_json: bool,
) -> None:
    """Write Studio: a page that learns classes of your own from photos, and keeps them.

    Photos, training and what was learnt stay in the visitor's browser. The folder is static: any
    host will do. One file, FILE.html, is opened as it is.
    """
    import fanlight as fl

    start = time.perf_counter()
    one_file = out is not None and Path(out).suffix.lower() in (".html", ".htm")
    if one_file and serve:
        raise click.UsageError(
            "--serve serves a folder: open the file as it is, or write a folder."
        )
    counts = _counts(unfreeze)
    with ExitStack() as stack:
        served = serve or out is None
        server = None
        if served:  # a port that is taken is told before anything is built
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="fanlight-studio-"))
            server = open_server(scratch, port)
            folder = Path(out) if out else Path(scratch) / "studio"
        else:
            folder = Path(str(out))
        with progress("Reading the backbone", total=8) as advance:

            def told(name: str, done: int, count: int) -> None:
                words = f"Building {name} ({done + 1} of {count})" if name else "Writing"
                advance(1, title=words)

            made = fl.studio(
                folder,
                backbone,
                title=title,
                unfreeze=counts,
                heads=None if heads is None else [name.strip() for name in heads.split(",")],
                input_range=input_range,
                resize=resize,
                crop=crop,
                headers=headers,
                progress=told,
            )
        report: dict[str, Any] = {
            "path": str(made.path),
            "backbone": made.backbone.name,
            "heads": [head.id for head in made.heads],
            "bytes": made.bytes,
            "seconds": round(time.perf_counter() - start, 3),
        }
        if as_json:
            print_json(report)
        else:
            console = stdout()
            console.print(f"Wrote {title} in {report['seconds']:.1f} s: {made.path}", markup=False)
            console.print(
                f"  backbone  {made.backbone.name}, {made.backbone.size[0]} x "
                f"{made.backbone.size[1]} pixels",
                markup=False,
            )
            console.print(f"  heads     {', '.join(report['heads'])}", markup=False)
            if one_file:
                console.print(f"  size      {human_bytes(made.bytes['all'])}", markup=False)
                console.print(f"Next: open {made.path} in a browser", markup=False)
            else:
                console.print(
                    f"  download  {human_bytes(made.bytes['model'])} to begin with, "
                    f"{human_bytes(made.bytes['all'])} in all",
                    markup=False,
                )
            if server is None and not one_file:
                console.print(f"Next: fanlight serve {made.path}", markup=False)
        if server is None:
            return
        server.site = Site(folder)
        (stderr() if as_json else stdout()).print(
            f"\nStudio is at [bold]{server.url}[/] (what you show it stays on this machine). "
            "Ctrl+C stops.",
            soft_wrap=True,
        )
        serve_until_interrupted(server)


def _counts(given: str | None) -> list[int] | None:
    if given is None:
        return None
    try:
        counts = [int(part) for part in given.split(",") if part.strip()]
    except ValueError:
        counts = [-1]
    if any(n < 0 for n in counts):
        raise click.UsageError(f"--unfreeze is a list of whole numbers: 2,4, not {given!r}.")
    return [n for n in counts if n]
