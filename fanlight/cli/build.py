"""`fanlight build`: a trained model in, a folder or one HTML file out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rich_click as click

from fanlight.cli.options import ModelOptions, choose_task, load_model, model_options, quantized
from fanlight.cli.output import human_bytes, json_option, print_json, progress, stderr, stdout
from fanlight.errors import FanlightError
from fanlight.web.headers import HOSTS

# What a visit fetches before the model.
FIRST = (
    "index.html", "page.css", "page.js", "fanlight.js", "element.js", "element.css", "worker.js",
    "manifest.json", "register.js", "app.webmanifest",
)  # fmt: skip


@click.command("build")
@click.argument("source")
@click.option("-o", "--out", required=True, help="A folder to write, or a file ending in .html.")
@model_options
@click.option("--name", help="Name of the bundle.  [default: the model's]")
@click.option("--title", help="Heading of the page.  [default: the model's name]")
@click.option(
    "--samples",
    multiple=True,
    metavar="PHOTO",
    help="A picture to offer on the page; may be repeated.",
)
@click.option(
    "--bench-page",
    is_flag=True,
    help="Add bench/speed.html: whoever opens it sees how fast the model is on their device.",
)
@click.option(
    "--offline",
    is_flag=True,
    help="Make the page an app: it installs, and works without a network after one visit.",
)
@click.option(
    "--isolate",
    is_flag=True,
    help="Only the service worker of --offline: threads on hosts that send no headers.",
)
@click.option(
    "--headers",
    multiple=True,
    type=click.Choice([*HOSTS, "all"]),
    help="Write what tells this static host the headers to send; may be repeated.",
)
@click.option(
    "--compress/--no-compress",
    default=True,
    help="Write compressed copies beside the files.  [default: compress]",
)
@click.option(
    "--lazy",
    is_flag=True,
    help="The page fetches nothing of the model before a visitor touches it.",
)
@click.option(
    "--tiers",
    metavar="auto|LIST",
    help="Several variants, of which the page takes what fits the device: `auto`, or such as "
    "f32,f16,int8,int8@160. With --calibrate, int8 too, and how well each answers.",
)
@json_option
def command(
    source: str,
    out: str,
    options: ModelOptions,
    name: str | None,
    title: str | None,
    samples: tuple[str, ...],
    bench_page: bool,
    offline: bool,
    isolate: bool,
    headers: tuple[str, ...],
    compress: bool,
    lazy: bool,
    tiers: str | None,
    as_json: bool,
) -> None:
    """Build SOURCE for the browser.

    SOURCE is a TF.js model.json (layers or graph), a Keras .h5 or .keras file, or a folder with
    one. The result is at once a page, an npm package and a folder for a CDN; with -o PAGE.html it
    is one file that works from file:// too. Nothing is left at the output path after an error.
    """
    import fanlight as fl

    start = time.perf_counter()
    with progress(f"Reading {Path(source).name}", total=1) as advance:
        model = load_model(source, options)
        task = choose_task(model, options)
        advance()
    if tiers is not None:
        pages = {
            "name": name, "title": title, "samples": samples, "offline": offline,
            "isolate": isolate, "headers": headers, "compress": compress, "lazy": lazy,
        }  # fmt: skip
        _build_tiers(model, out, task, tiers, options, pages, bench_page, as_json)
        return
    ready = quantized(model, task, options)
    with progress(f"Building {model.name}", total=1):
        bundle = fl.build(
            ready,
            out,
            task=task,
            precision=options.precision,
            name=name,
            title=title,
            samples=samples,
            bench_page=bench_page,
            offline=offline,
            isolate=isolate,
            headers=headers,
            compress=compress,
            lazy=lazy,
        )
    warnings = list(model.source.warnings)
    if isinstance(ready, fl.QuantizedModel):
        warnings += ready.report.notes
    report = summary(bundle, time.perf_counter() - start, warnings)
    if isinstance(ready, fl.QuantizedModel):
        report["quantization"] = ready.report.to_json()
    folder = Path(out).suffix.lower() not in (".html", ".htm")
    report["page"] = page_sizes(bundle.path) if folder else None
    if as_json:
        print_json(report)
        return
    console = stdout()
    for warning in report["warnings"]:
        stderr().print(f"[yellow]Note:[/] {warning}")
    console.print(f"Built [bold]{report['name']}[/] in {report['seconds']:.1f} s: {report['path']}")
    named = bool(getattr(task, "labels", None) or model.labels)
    guessed = getattr(task, "input_range", None) is None
    console.print(f"  task     {_task_line(report, named=named, guessed=guessed)}")
    kind = " as float16" if report["precision"] == "f16" else ""
    console.print(f"  weights  {human_bytes(report['weights_bytes'])}{kind}", highlight=False)
    if isinstance(ready, fl.QuantizedModel):
        console.print(f"  int8     {ready.report.summary()}", highlight=False)
    for module in report["modules"]:
        console.print(f"  module   {human_bytes(module['bytes'])}, {module['simd']} SIMD")
    console.print(f"  memory   {human_bytes(report['memory_bytes'])} while it runs")
    if folder and compress:
        console.print(f"  page     {_page_line(report['page'])}", highlight=False)
    _note_github(headers, offline or isolate)
    if not folder:
        console.print(f"Next: open {report['path']} in a browser.", markup=False)
    else:
        console.print(f"Next: fanlight serve {report['path']}", markup=False)
        if bench_page:
            console.print("      and open bench/speed.html there.", markup=False)


def _build_tiers(
    model: Any,
    out: str,
    task: Any,
    tiers: str,
    options: ModelOptions,
    pages: dict[str, Any],
    bench_page: bool,
    as_json: bool,
) -> None:
    """The folder of tiers, and what there is to say of it."""
    import fanlight as fl

    for given, option in (
        (options.precision != "f32", "--precision"),
        (bench_page, "--bench-page"),
    ):
        if given:
            raise FanlightError(
                "E-BUILD-005",
                f"{option} does not go with tiers, which are of several precisions.",
                where=option,
                expected=f"--tiers without {option}",
                received=f"--tiers {tiers} and {option}",
                next="say the precisions in the list: --tiers f32,int8.",
            )
    start = time.perf_counter()
    with progress("Building tiers", total=1000, lines=True, first=False) as advance:
        done = 0

        def at(title: str, share: float) -> None:
            nonlocal done
            advance(round(1000 * share) - done, title)
            done = round(1000 * share)

        made = fl.build_tiers(
            model, out, task=task, tiers=tiers, calibration=options.calibrate, progress=at, **pages
        )
    seconds = time.perf_counter() - start
    if as_json:
        report = {"path": str(made.path), "seconds": round(seconds, 3), "tiers": made.tiers}
        print_json({**report, "notes": made.notes})
        return
    console = stdout()
    console.print(f"Built {len(made.tiers)} tiers in {seconds:.1f} s: {made.path}", markup=False)
    for line in str(made).splitlines()[1 : len(made.tiers) + 1]:
        console.print(line, markup=False, highlight=False)
    for note in made.notes:
        stderr().print(f"[yellow]Note:[/] {note}")
    _note_github(pages["headers"], pages["offline"] or pages["isolate"])
    console.print(f"Next: fanlight serve {made.path}", markup=False)


def _note_github(headers: tuple[str, ...], worker: bool) -> None:
    if {"github", "all"} & set(headers) and not worker:
        stderr().print("[yellow]Note:[/] GitHub Pages sends no headers: --offline makes up for it.")


def summary(bundle: Any, seconds: float, warnings: list[str]) -> dict[str, Any]:
    """What was built, in figures."""
    manifest = bundle.manifest
    task = manifest["task"]
    return {
        "path": str(bundle.path),
        "name": manifest["name"],
        "seconds": round(seconds, 3),
        "task": None if task is None else task["kind"],
        "preprocess": None if task is None else task.get("preprocess"),
        "labels": None if task is None else len(task["labels"] or []),
        "precision": manifest["precision"],
        "weights_bytes": sum(shard["bytes"] for shard in manifest["weights"]),
        "modules": [{k: m[k] for k in ("path", "bytes", "simd")} for m in manifest["modules"]],
        "memory_bytes": manifest["memory"]["pages"] * 65536,
        "kernels": len(manifest["kernels"]),
        "flops": sum(kernel["flops"] for kernel in manifest["kernels"]),
        "warnings": warnings,
    }


def page_sizes(folder: Path) -> dict[str, int | None]:
    """Bytes of the scripts, styles and page that a visit fetches: plain, by gzip, by Brotli.

    None for a coding of which no copies were written.
    """
    sizes: dict[str, int | None] = {"bytes": 0, "gzip": 0, "br": 0}
    names = [n for n in FIRST if (folder / n).is_file()]
    for key, suffix in (("bytes", ""), ("gzip", ".gz"), ("br", ".br")):
        if suffix and not any((folder / (n + suffix)).is_file() for n in names):
            sizes[key] = None
            continue
        copies = [folder / (n + suffix) for n in names]
        sizes[key] = sum(
            (copy if copy.is_file() else folder / name).stat().st_size
            for copy, name in zip(copies, names, strict=True)
        )
    return sizes


def _page_line(sizes: dict[str, int | None]) -> str:
    line = f"{human_bytes(sizes['bytes'] or 0)} without the model"
    if sizes["gzip"] is not None:
        line += f", {human_bytes(sizes['gzip'])} by gzip"
    if sizes["br"] is not None:
        return f"{line}, {human_bytes(sizes['br'])} by Brotli"
    return f"{line} (for smaller .br copies: pip install 'fanlight[brotli]')"


def _task_line(report: dict[str, Any], *, named: bool, guessed: bool) -> str:
    if report["task"] is None:
        return "none: arrays in, arrays out (--task classify makes a page for photos)"
    steps = report["preprocess"] or {}
    low, high = steps.get("input_range", (None, None))
    size = " x ".join(map(str, steps.get("size", ())))
    source = " (guessed; --input-range says it)" if guessed else ""
    names = "labels" if named else "classes without names (--labels names them)"
    return (
        f"{report['task']}, {report['labels']} {names}, {size} pixels "
        f"from {low:g} to {high:g}{source}"
    )
