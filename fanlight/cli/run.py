"""`fanlight run`: what a model sees in photos, by the WebAssembly that visitors get."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rich_click as click

from fanlight.built import Bundle
from fanlight.cli.options import ModelOptions, model_options, open_or_build
from fanlight.cli.output import json_option, print_json, progress, stdout
from fanlight.errors import FanlightError

BAR_WIDTH = 24


@click.command("run")
@click.argument("source")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many.")
@click.option(
    "--host",
    type=click.Choice(["wasm", "numpy", "browser"]),
    default="wasm",
    show_default=True,
    help="What runs it: the WASM under CPython, NumPy, or a headless Chromium.",
)
@model_options
@json_option
def command(
    source: str,
    images: tuple[str, ...],
    top: int,
    host: str,
    options: ModelOptions,
    as_json: bool,
) -> None:
    """Say what IMAGE shows. SOURCE is a model or a bundle."""
    results: list[dict[str, Any]] = []
    with opened(source, options) as bundle:
        picture_bounds(bundle)  # a bundle that takes no photos fails before any work is done
        with progress("Running", total=len(images)) as advance:
            for image in images:
                results.append({"image": image, "predictions": predict(bundle, image, top, host)})
                advance(title=f"Running {Path(image).name}")
    if as_json:
        print_json(results)
        return
    for result in results:
        print_predictions(result["image"], result["predictions"])


@contextmanager
def opened(source: str, options: ModelOptions) -> Iterator[Bundle]:
    """The bundle at `source`, or one built from it that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="fanlight-") as folder:
        with open_or_build(source, options, Path(folder), task="classify") as bundle:
            yield bundle


def predict(bundle: Bundle, image: str, top: int, host: str) -> list[dict[str, Any]]:
    """The `top` likeliest classes of one photo: `{"index", "label", "score"}` each."""
    from fanlight.pictures import decode_image

    task = bundle.manifest["task"]
    pixels = decode_image(image, **picture_bounds(bundle))
    outputs = bundle.run({task["image"]: pixels}, host=host)
    scores, indices = outputs[task["top_scores"]], outputs[task["top_indices"]]
    labels = task["labels"]
    return [
        {
            "index": int(index),
            "label": labels[index] if labels else f"class {index}",
            "score": float(score),
        }
        for index, score in zip(indices[:top], scores[:top])
    ]


def picture_bounds(bundle: Bundle) -> dict[str, int | None]:
    """The bounds that the bundle sets on a photo, as arguments of decode_image.

    Raises:
        FanlightError: E-CLI-006 if it is no classifier of photos.
    """
    manifest = bundle.manifest
    task = manifest["task"]
    if task is None or task["kind"] != "classify":
        raise FanlightError(
            "E-CLI-006",
            "This bundle does not classify photos, so there is nothing to print.",
            where=bundle.path,
            expected="a bundle that was built with --task classify",
            received="a bundle without a task" if task is None else f"the task {task['kind']}",
            next="build it with --task classify, or run it from Python: bundle.run({...}).",
        )
    shape = next(t["shape"] for t in manifest["inputs"] if t["name"] == task["image"])
    sides = [manifest["dims"][d]["max"] if isinstance(d, str) else d for d in shape[:2]]
    return {"max_height": sides[0], "max_width": sides[1]}


def print_predictions(image: str, predictions: list[dict[str, Any]]) -> None:
    """One photo's answers with bars."""
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    console.print(image, style="bold", markup=False)
    table = Table.grid(padding=(0, 2))
    for answer in predictions:
        filled = round(BAR_WIDTH * min(max(answer["score"], 0.0), 1.0))
        bar = Text("█" * filled, style="cyan") + Text("░" * (BAR_WIDTH - filled), style="dim")
        table.add_row(f"  {100 * answer['score']:5.1f} %", bar, Text(answer["label"]))
    console.print(table)
