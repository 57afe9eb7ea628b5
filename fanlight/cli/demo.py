"""`fanlight demo`: the model that ships, on a photo in the terminal and as a page to open."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import rich_click as click

from fanlight.cli.output import human_bytes, progress, stdout
from fanlight.cli.run import picture_bounds, predict, print_predictions
from fanlight.cli.serve import port_option, serve_until_interrupted
from fanlight.hosts.serving import Site
from fanlight.pictures import decode_image
from fanlight.server import open_server
from fanlight.studio.site import DIST

HERE, STUDIO = "What is this?", "Studio"


@click.command("demo")
@click.argument("photo", required=False)
@port_option
@click.option("-o", "--out", help="Keep the built page in this folder.  [default: a temporary one]")
@click.option("--no-serve", is_flag=True, help="Stop after the answer in the terminal.")
def command(photo: str | None, port: int, out: str | None, no_serve: bool) -> None:
    """Build the model that ships with Fanlight, look at PHOTO, serve the page.

    Without PHOTO it looks at a picture that Fanlight draws. The page has a second tab: Studio,
    where the model learns classes of your own.
    """
    import fanlight as fl
    from fanlight.models import default_card

    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fanlight-demo-")))
        if photo is None:
            from fanlight.cli.sample import draw_sample

            shown, path = "a picture drawn by Fanlight", scratch / "orange.png"
            draw_sample().save(path)
        else:
            shown, path = photo, Path(photo)
            decode_image(path)  # a photo that is none is reported before anything is built
        # So is a port that is taken.
        server = None if no_serve else open_server(scratch, port)
        folder = Path(out) if out else scratch / "site"
        teaches = server is not None and (DIST / "studio.js").is_file()
        console = stdout()
        start = time.perf_counter()
        with progress("Building the default model"):
            model, task = fl.default_model()
            bundle = stack.enter_context(
                fl.build(
                    model,
                    folder,
                    task=task,
                    precision="f16",  # what its file holds: half the download, and nothing is lost
                    name="fanlight-default",
                    title=HERE,
                    card=default_card(),
                    samples=[path],
                    links={HERE: "./", STUDIO: "studio/"} if teaches else None,
                )
            )
        weights = sum(shard["bytes"] for shard in bundle.manifest["weights"])
        console.print(
            f"Built the default model in {time.perf_counter() - start:.1f} s: "
            f"{len(bundle.labels or ())} classes, {human_bytes(weights)} of weights.\n"
        )
        picture_bounds(bundle)
        console.print("What it sees, by the same WebAssembly under CPython:")
        print_predictions(shown, predict(bundle, str(path), 5, "wasm"))
        if server is None:
            return
        if teaches:
            _teach(folder / "studio")
        else:
            console.print(
                "The second tab, Studio, is left out: its scripts are made by make setup."
            )
        server.site = Site(folder)
        console.print(
            f"\nThe page is at [bold]{server.url}[/] (nothing you show it leaves this machine). "
            "Ctrl+C stops.",
            soft_wrap=True,
        )
        serve_until_interrupted(server)


def _teach(folder: Path) -> None:
    """Write the second tab."""
    import fanlight as fl

    with progress("Building Studio", total=6) as advance:
        fl.studio(
            folder,
            title=STUDIO,
            links={HERE: "../", STUDIO: "./"},
            compress=False,
            progress=lambda name, done, count: advance(1),
        )
