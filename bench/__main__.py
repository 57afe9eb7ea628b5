"""`python -m bench`: measure, print the tables, write them as JSON and Markdown.

    python -m bench [peers] [coldstart] [visits] [pointwise] [models] [scaling] [rooflines] [shapes]
                    [core] [training] [ops] [sizes] [conversion] [parity] [accuracy] [int8_accuracy]
                    [studio]
                    [--rounds 30] [--nets NAME ...] [--peers tfjs,ort,litert,jaxjs]
                    [--threads 1,2] [--out FILE.json|.md|.svg ...]

Without a part: all of them, in about half an hour. Tables go to bench/out/results.md and .json, the
chart of the peers to bench/out/peers.svg.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import (
    accuracy,
    coldstart,
    conversion,
    core,
    int8_accuracy,
    models,
    ops,
    parity,
    pointwise,
    rooflines,
    scaling,
    sizes,
    studio,
    training,
    visits,
)
from bench.networks import ROOT
from bench.peers.engines import PEERS
from bench.peers.report import markdown, text_of
from bench.peers.run import machine, measure_networks

OUT = ROOT / "bench" / "out"
VISITS = 3  # cold ones per engine; `fanlight bench --peers` makes five
NETS = ("mobilenet_v1_1.0_224", "mobilenet_v2_1.0_224", "mobilenet_v1_0.25_224")
TITLES = {
    "peers": "Beside the peers",
    "coldstart": "Navigation to first answer, MobileNet v1 0.25 (goal: a quarter of TF.js's time)",
    "visits": "The default model's page: first visit, and again without a network (goal: 100 ms)",
    "pointwise": "Kernels of MobileNet v1 1.0 224 (goal: pointwise at 90 % of the peak)",
    "models": "Every published image model against TF.js on its own file (goal: 1.2 x)",
    "scaling": "Time per pixel over input size and batch (goal: at most 15 % more than the least)",
    "rooflines": "Every image model against the machine's limits (goal: no weak kernel)",
    "shapes": "Ops and recurrent steps against the machine's limits",
    "core": "Functions of tensors beside TF.js wasm and jax-js, ms; and Python's overhead",
    "training": "Training beside TF.js on one thread, and from Python beside PyTorch, ms",
    "ops": "Every op of the table against memory and multiply-adds (goal: a third of either)",
    "sizes": "Sizes, build, memory",
    "conversion": "The converter beside tensorflowjs 4.22",
    "parity": "Difference from NumPy, relative (goals: 1e-4, TF.js 1e-3)",
    "accuracy": "1,000 ImageNet photos, MobileNet v1 0.25 (goal: 99 % the same as TF.js)",
    "studio": "Studio: taught, corrected, 2,000 photos, offline, Lighthouse, kills",
    "int8_accuracy": "What int8 costs (goals: the greatest loss of top-1, or of the same answers)",
}


def table(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a Markdown table; `ok` becomes a verdict."""
    names = [n for n in rows[0] if n not in ("info", "ok")]
    judged = any("ok" in row for row in rows)
    heads = [*names, "verdict"] if judged else names
    lines = [f"### {title}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [_cell(row.get(n)) for n in names]
        if judged:
            cells.append({True: "met", False: "MISSED", None: ""}[row.get("ok")])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return (
            f"{value:.2g}"
            if abs(value) < 0.01 and value
            else f"{value:.3f}".rstrip("0").rstrip(".")
        )
    if isinstance(value, list):
        return " to ".join(map(_cell, value))
    return "" if value is None else str(value)


def arguments() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(TITLES))
    parser.add_argument("--rounds", type=int, default=30, help="of peers and pointwise")
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=NETS)
    parser.add_argument("--peers", type=lambda s: s.split(","), default=list(PEERS))
    parser.add_argument("--threads", type=numbers, default=[1, 2], help="of peers: 1,2")
    parser.add_argument("--json", type=Path, default=OUT / "results.json")
    parser.add_argument("--out", type=Path, nargs="+", default=[], help="also the report of peers")
    args = parser.parse_args()
    for path in args.out:
        if path.suffix not in (".json", ".md", ".svg"):
            parser.error(f"{path} does not end in .json, .md or .svg")
    for what, given, known in (("part", args.parts, TITLES), ("peer", args.peers, PEERS)):
        unknown = sorted(set(given) - set(known))
        if unknown:
            parser.error(f"there is no {what} {', '.join(unknown)}; there are {', '.join(known)}")
    if args.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return args


def numbers(text: str) -> list[int]:
    """ "1,2" as numbers of threads; ValueError where it is something else."""
    counts = [int(part) for part in text.split(",")]
    if not all(1 <= count <= 64 for count in counts):
        raise ValueError(text)
    return counts


def beside_peers(args: argparse.Namespace) -> dict[str, Any]:
    """The report of bench.peers on the networks asked for; its files are written on the way."""

    def keep(report: dict[str, Any]) -> None:
        for path in (OUT / "peers.svg", *args.out):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text_of(report, path.suffix), "utf-8")

    return measure_networks(
        args.nets,
        OUT,
        peers=args.peers,
        threads=args.threads,
        rounds=args.rounds,
        cold=VISITS,
        say=lambda text: print(f"bench: {text}", file=sys.stderr, flush=True),
        keep=keep,
    )


def shown(name: str, found: Any) -> str:
    """A part's result as Markdown."""
    if name != "peers":
        return table(TITLES[name], found)
    goals = table("Goals", found["goals"]) if found["goals"] else ""
    return f"### {TITLES[name]}\n\n{markdown(found['rows'])}\n{goals}"


def main() -> int:
    """Measure what was asked for. Returns 0 even where a figure is missed: the table says so."""
    args = arguments()
    parts: dict[str, Callable[[], Any]] = {
        "peers": lambda: beside_peers(args),
        "coldstart": lambda: coldstart.measure(OUT, peers=args.peers),
        "visits": lambda: visits.measure(OUT),
        "pointwise": lambda: pointwise.measure(rounds=args.rounds),
        "models": lambda: models.measure(rounds=args.rounds),
        "scaling": lambda: scaling.measure(OUT),
        "rooflines": rooflines.measure,
        "shapes": rooflines.measure_shapes,
        "core": lambda: core.measure(args.rounds),
        "training": training.measure,
        "ops": ops.measure,
        "sizes": lambda: sizes.measure(OUT / "sizes"),
        "conversion": lambda: conversion.measure(OUT / "conversion"),
        "parity": parity.measure,
        "accuracy": accuracy.measure,
        "int8_accuracy": int8_accuracy.measure,
        "studio": lambda: studio.measure(OUT),
    }
    OUT.mkdir(parents=True, exist_ok=True)
    load = [round(x, 1) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None
    results: dict[str, Any] = {
        "machine": machine(),
        "load_at_start": load,
        "date": time.strftime("%Y-%m-%d"),
    }
    about = f"{results['machine']}, {results['date']}, load {load}"
    text = f"## Bench\n\n{about}\n"
    print(about, flush=True)
    for name in args.parts or parts:
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        results[name] = parts[name]()
        part = shown(name, results[name])
        text += "\n" + part
        print("\n" + part, flush=True)
        print(f"bench: {name} took {time.perf_counter() - start:.0f} s", file=sys.stderr)
        args.json.write_text(json.dumps(results, indent=1))
        args.json.with_suffix(".md").write_text(text)
    print(f"bench: results in {args.json} and {args.json.with_suffix('.md').name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
