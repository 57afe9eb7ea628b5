"""`fanlight convert`: a model of one format becomes one of another, and is checked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import rich_click as click

from fanlight.cli.options import _Size, require_path
from fanlight.cli.output import human_bytes, json_option, print_json, progress, stderr, stdout
from fanlight.cli.wording import in_options
from fanlight.errors import FanlightError
from fanlight.formats.keras.guard import ahead
from fanlight.formats.zipped import format_in


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (value or "").split(",") if part.strip())


@click.command("convert")
@click.argument("source")
@click.argument("destination", required=False)
@click.option("--from", "from_", metavar="FORMAT", help="What SOURCE must be; it is found out.")
@click.option(
    "--to",
    metavar="FORMAT",
    help="tfjs, tfjs-layers, tfjs-graph, keras, h5, onnx, safetensors or bundle.  [default: by the "
    "ending of DESTINATION; a folder is for TF.js]",
)
@click.option(
    "--quantize",
    multiple=True,
    metavar="DTYPE[=GLOBS]",
    help="Weights as float16, uint8 or uint16, all or those whose names match; may be repeated.",
)
@click.option("--signature", help="Of a SavedModel.  [default: serving_default]")
@click.option("--inputs", metavar="NAMES", help="Begin at these nodes, separated by commas.")
@click.option("--outputs", metavar="NAMES", help="End at these nodes, separated by commas.")
@click.option("--subgraph", metavar="IN:OUT", help="--inputs IN --outputs OUT in one.")
@click.option(
    "--dynamic",
    metavar="DIMS",
    help="Dims that stay free: batch, or none.  [default: batch, where that can be]",
)
@click.option(
    "--metadata",
    multiple=True,
    metavar="KEY:FILE",
    help="JSON of one's own for the model.json; may be repeated.",
)
@click.option("--tags", help="Of a SavedModel, separated by commas.  [default: serve]")
@click.option(
    "--structured-outputs", is_flag=True, help="`predict` of a graph-model gives outputs by name."
)
@click.option(
    "--strip-debug-ops",
    is_flag=True,
    help="Say nothing of TensorFlow's ops that only print or check; they are left out anyhow.",
)
@click.option(
    "--shard-bytes",
    type=click.IntRange(1024, 1 << 31),
    default=4 << 20,
    show_default=True,
    help="The most bytes of one weight file.",
)
@click.option(
    "--opset", type=click.IntRange(17, 21), help="The version of ONNX to write.  [default: 18]"
)
@click.option("--size", type=_Size(), help="Image size, where the source leaves it open.")
@click.option(
    "--input-shape",
    "shapes",
    multiple=True,
    metavar="NAME=1,224,224,3",
    help="Shape of an input; may be repeated.",
)
@click.option(
    "--input-value",
    "values",
    multiple=True,
    metavar="NAME=VALUE",
    help="Fix an input of a TensorFlow graph to JSON (false, 0.25, [[0, 1]]) or a .npy file; may "
    "be repeated.",
)
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="NAME=FILE",
    help="Words of a table that the model's files do not fill: one per line, or JSON; may be "
    "repeated.",
)
@click.option("--random-weights", is_flag=True, help="Seeded random weights for a topology.")
@click.option("--no-check", is_flag=True, help="Do not compare the result with the source.")
@click.option("--report", is_flag=True, help="Only say what is in SOURCE and what can be read.")
@json_option
def command(
    source: str,
    destination: str | None,
    from_: str | None,
    to: str | None,
    quantize: tuple[str, ...],
    signature: str | None,
    inputs: str | None,
    outputs: str | None,
    subgraph: str | None,
    dynamic: str | None,
    metadata: tuple[str, ...],
    tags: str | None,
    structured_outputs: bool,
    strip_debug_ops: bool,
    shard_bytes: int,
    opset: int | None,
    size: tuple[int, int] | None,
    shapes: tuple[str, ...],
    values: tuple[str, ...],
    tables: tuple[str, ...],
    random_weights: bool,
    no_check: bool,
    report: bool,
    as_json: bool,
) -> None:
    """Convert SOURCE, a model of any format, into DESTINATION.

    `fanlight convert model.keras web/` writes a TF.js model, `fanlight convert web/ model.onnx`
    ONNX. What was written is compared with the source on random inputs; the exit code is 1 if they
    differ.
    """
    require_path(source)
    for option, given in (("inputs", inputs), ("outputs", outputs)):
        if given is not None and not _names(given):
            raise click.UsageError(
                f"--{option} {given!r} names nothing: leave it out, or name nodes."
            )
    if subgraph is not None:
        if inputs or outputs or ":" not in subgraph:
            raise click.UsageError("--subgraph is IN:OUT, and instead of --inputs and --outputs.")
        inputs, _, outputs = subgraph.rpartition(":")
        if not _names(inputs) and not _names(outputs):
            raise click.UsageError(f"--subgraph {subgraph!r} names nothing: it is IN:OUT.")
    if not report and not random_weights:
        ahead(Path(source))  # before the imports, which take as long
    from fanlight.cli.by_name import shapes_by_name, tables_by_name, values_by_name

    reading: dict[str, Any] = {
        "inputs": _names(inputs),
        "outputs": _names(outputs),
        "size": size,
        "input_shapes": shapes_by_name(shapes),
        "weights": "random" if random_weights else "stored",
        "signature": signature,
        "tags": _names(tags),
        "input_values": values_by_name(values),
        "tables": tables_by_name(tables),
    }
    if report:
        _report(source, reading, as_json)
        return
    if destination is None:
        raise click.UsageError("Missing argument 'DESTINATION'.")
    from fanlight.convert import convert

    with progress(f"Converting {Path(source).name}"):
        made = convert(
            source,
            destination,
            to=to,
            from_=from_,
            quantize=list(quantize) or None,
            structured_outputs=structured_outputs,
            dynamic=None if dynamic is None else [d for d in _names(dynamic) if d != "none"],
            metadata=_metadata(metadata),
            strip_debug_ops=strip_debug_ops,
            shard_bytes=shard_bytes,
            opset=opset,
            check=not no_check,
            **reading,
        )
    if as_json:
        print_json(_summary(made))
    else:
        _print(made)
    if not made.ok:
        raise SystemExit(1)


def _metadata(given: tuple[str, ...]) -> dict[str, Any]:
    """The JSON of each key's file."""
    made: dict[str, Any] = {}
    for one in given:
        key, colon, path = one.partition(":")
        if not colon or not key:
            raise click.UsageError(f"--metadata is KEY:FILE, not {one!r}.")
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
            made[key] = json.loads(text)
        except OSError as problem:
            raise FanlightError(
                "E-CLI-004",
                "a file of metadata cannot be read.",
                where=path,
                expected="a JSON file",
                received=problem.strerror,
                next="check the path given to --metadata.",
            ) from problem
        except (ValueError, RecursionError) as problem:
            raise FanlightError(
                "E-CLI-010",
                "a file of metadata is no JSON.",
                where=path,
                expected='JSON, such as ["cat", "dog"]',
                received=str(problem)[:120],
            ) from problem
    return made


def _summary(made: Any) -> dict[str, Any]:
    return {
        "source": made.source,
        "format": made.format,
        "destination": made.destination,
        "kind": made.kind,
        "files": dict(made.files),
        "bytes": sum(made.files.values()),
        "ok": made.ok,
        "identical": made.identical,
        "worst": _finite(made.worst),
        "differences": {d.output: _finite(d.worst) for d in made.differences},
        "problem": None if made.problem is None else made.problem.to_json(),
        "notes": list(made.notes),
        "seconds": round(made.seconds, 3),
    }


def _finite(value: float | None) -> float | str | None:
    """JSON has no infinity."""
    return "infinite" if value == float("inf") else value


# What to do with what was written.
_NEXT = {
    "tfjs-layers": "await tf.loadLayersModel('{}/model.json') in a page with TF.js.",
    "tfjs-graph": "await tf.loadGraphModel('{}/model.json') in a page with TF.js.",
    "bundle": "fanlight serve {}. A page that takes photos: fanlight build SOURCE -o DIR.",
}


def _print(made: Any) -> None:
    from rich.markup import escape

    console = stdout()
    for note in made.notes:
        stderr().print(f"[yellow]Note:[/] {escape(note)}")
    source = format_in(made.source, made.format)
    console.print(
        f"Wrote [bold]{escape(made.destination)}[/] ({made.kind}) from {source} "
        f"in {made.seconds:.1f} s: {len(made.files)} file{'s'[: len(made.files) != 1]}, "
        f"{human_bytes(sum(made.files.values()))}",
        highlight=False,
    )
    _print_check(made)
    after = _NEXT.get(made.kind)
    if made.kind == "bundle" and Path(made.destination).is_file():
        after = "open the file in a browser."
    if after is not None and made.ok:
        console.print(f"  next: {escape(after.format(made.destination))}", highlight=False)


def _print_check(made: Any) -> None:
    from rich.markup import escape

    console = stdout()
    if made.problem is not None:
        console.print("  [bold red]NOT CHECKED[/]: the result cannot be computed", highlight=False)
        told = str(_said(made.problem))
        console.print(told, markup=False, highlight=False, soft_wrap=True)
        return
    if made.worst is None:
        console.print("  not checked (--no-check)")
        return
    if made.identical:
        same = "weights" if made.kind == "safetensors" else "graph[/] with the same weights[green]"
        console.print(f"  checked: [green]the same {same}[/]", highlight=False)
        return
    rounded = made.rounded
    word = "[green]same[/]" if not rounded else "rounded"
    if not made.ok:
        word = "[bold red]DIFFERENT[/]"
    console.print(
        f"  checked on random inputs: {word}, worst difference {made.worst:.1e} of the largest "
        "number",
        highlight=False,
    )
    if not made.ok or rounded:
        for one in made.differences:
            console.print(f"    {escape(one.output)}: {one.worst:.1e}", highlight=False)


def _said(problem: FanlightError) -> FanlightError:
    """An error in the words of this command."""
    context = click.get_current_context(silent=True)
    return in_options(problem, None if context is None else context.command)


def _report(source: str, reading: dict[str, Any], as_json: bool) -> None:
    from fanlight.convert.model import Reading
    from fanlight.convert.report import report_of

    report = report_of(source, Reading(**reading))
    if report.problem is not None:
        report = replace(report, problem=_said(report.problem))
    if as_json:
        print_json(report.to_json())
    else:
        stdout().print(str(report), markup=False, highlight=False, soft_wrap=True)
    if not report.ok:
        raise SystemExit(1)
