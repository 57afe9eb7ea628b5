"""`fanlight inspect`: what is in a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from fanlight.cli.by_name import shapes_by_name
from fanlight.cli.cost import node_bytes, node_flops, node_parameters
from fanlight.cli.options import ModelOptions, is_bundle, load_model, model_options, require_path
from fanlight.cli.output import (
    human_bytes,
    human_count,
    json_option,
    print_json,
    progress,
    stdout,
    write_text,
)
from fanlight.formats.zipped import format_in
from fanlight.graph import Graph


@click.command("inspect")
@click.argument("source")
@click.option(
    "--graph",
    "form",
    type=click.Choice(["text", "svg"]),
    help="Print the graph instead: as `text` that parses, or as an `svg` picture.",
)
@click.option(
    "--names",
    is_flag=True,
    help="Print the names that `fanlight convert --outputs` and `--inputs` take, one a line, with "
    "the type there.",
)
@click.option("-o", "--out", help="Write the graph to this file.")
@model_options
@json_option
def command(
    source: str,
    form: str | None,
    names: bool,
    out: str | None,
    options: ModelOptions,
    as_json: bool,
) -> None:
    """Show the ops, shapes, weights, FLOPs and bytes of SOURCE, a model or a bundle."""
    if out is not None and form is None:
        if not out.lower().endswith((".svg", ".txt")):
            raise click.UsageError("-o writes the graph: say --graph text or --graph svg.")
        form = "svg" if out.lower().endswith(".svg") else "text"
    if names and form is None:
        _print_names(source, options, as_json)
        return
    with progress(f"Reading {Path(source).name}"):
        graph, about = _read(source, options)
    if form is not None:
        _write_graph(graph, form, out)
        return
    report = describe(graph, about)
    if as_json:
        print_json(report)
    else:
        _print(report, format_in(source, report["format"]))


def _print_names(source: str, options: ModelOptions, as_json: bool) -> None:
    """The names that a model can be cut at; of a bundle, which cannot be, those of its values."""
    import fanlight as fl
    from fanlight.convert.model import Reading, names_of, open_readable

    require_path(source)
    unread = None
    with progress(f"Reading {Path(source).name}"):
        if is_bundle(source):
            graph = fl.open_bundle(source).graph
            found = {v.name: str(v.type) for n in graph.nodes for v in n.outputs}
        else:
            weights = "random" if options.random_weights else "stored"
            shapes = shapes_by_name(options.shapes)
            reading = Reading(size=options.size, input_shapes=shapes, weights=weights)
            opened = open_readable(source, reading)
            found, unread = names_of(opened), opened.unread
    if as_json:
        told = {} if unread is None else {"unread": unread.told}
        print_json({"names": [{"name": n, "type": t} for n, t in found.items()], **told})
        return
    for name, type in found.items():
        click.echo(f"{name}\t{type}")
    if unread is not None:
        click.echo(unread.told, err=True)


def _read(source: str, options: ModelOptions) -> tuple[Graph, dict[str, Any]]:
    import fanlight as fl

    require_path(source)
    if is_bundle(source):
        bundle = fl.open_bundle(source)
        return bundle.graph, {
            "format": "fanlight-bundle",
            "precision": bundle.manifest["precision"],
            "download_bytes": sum(s["bytes"] for s in bundle.manifest["weights"]),
            "labels": bundle.labels,
            "warnings": [],
        }
    model = load_model(source, options)
    labels = None if model.labels is None else list(model.labels)
    about = {
        "format": model.source.format,
        "labels": labels,
        "warnings": list(model.source.warnings),
    }
    return model.graph, about


def _write_graph(graph: Graph, form: str, out: str | None) -> None:
    if form == "svg":
        from fanlight.cli.picture import graph_svg

        text = graph_svg(graph)
    else:
        from fanlight.graph import to_text

        text = to_text(graph)
    if out is None:
        click.echo(text)
    else:
        write_text(out, text)
        stdout().print(f"Wrote {out}", markup=False, soft_wrap=True)


def describe(graph: Graph, about: dict[str, Any]) -> dict[str, Any]:
    """The model in figures: inputs, outputs, one entry per node, totals."""
    nodes = [
        {
            "name": node.name,
            "op": node.op,
            "inputs": [_type(v) for v in node.inputs if v not in graph.weights],
            "outputs": [_type(v) for v in node.outputs],
            "parameters": node_parameters(graph, node),
            "flops": node_flops(node),
            "bytes": node_bytes(graph, node),
        }
        for node in graph.nodes
    ]
    return {
        "name": graph.name,
        **about,
        "inputs": [{"name": v.name, "type": _type(v)} for v in graph.inputs],
        "outputs": [{"name": name, "type": _type(v)} for name, v in graph.outputs],
        "nodes": nodes,
        "totals": {
            "nodes": len(nodes),
            "parameters": sum(array.size for array in graph.weights.values()),
            "weight_bytes": sum(array.nbytes for array in graph.weights.values()),
            "flops": sum(node["flops"] for node in nodes),
            "bytes": sum(node["bytes"] for node in nodes),
        },
    }


def _type(value: Any) -> str:
    return str(value.type)


def _print(report: dict[str, Any], form: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    console.print(f"[bold]{report['name']}[/]  {form}")
    for kind in ("inputs", "outputs"):
        for port in report[kind]:
            console.print(f"  {kind[:-1]:<6}  {port['name']}: {port['type']}", markup=False)
    if report["labels"]:
        console.print(f"  labels  {len(report['labels'])}")
    # One line per node, also in 80 columns; what does not fit gives way in the middle columns.
    table = Table(show_footer=True, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    totals = report["totals"]
    table.add_column("op", f"{totals['nodes']} nodes", no_wrap=True)
    table.add_column("name")
    table.add_column("output")
    for heading, footer in (
        ("weights", human_count(totals["parameters"])),
        ("FLOPs", human_count(totals["flops"])),
        ("bytes", human_bytes(totals["bytes"])),
    ):
        table.add_column(heading, footer, justify="right", no_wrap=True)
    for node in report["nodes"]:
        table.add_row(
            node["op"],
            Text(node["name"], no_wrap=True, overflow="ellipsis"),
            Text(",".join(node["outputs"]).replace(" ", ""), no_wrap=True, overflow="ellipsis"),
            human_count(node["parameters"]) if node["parameters"] else "",
            human_count(node["flops"]) if node["flops"] else "",
            human_bytes(node["bytes"]) if node["bytes"] else "",
        )
    console.print(table)
    if any(len(node["name"]) > console.width // 3 for node in report["nodes"]):
        console.print(
            "Names that do not fit are cut: --json has them whole, and --names has those that "
            "fanlight convert takes."
        )
    sent = f", {human_bytes(report['download_bytes'])} to download" if "precision" in report else ""
    console.print(f"Weights take {human_bytes(totals['weight_bytes'])}{sent}.")
    for warning in report["warnings"]:
        console.print(f"[yellow]Note:[/] {warning}")
