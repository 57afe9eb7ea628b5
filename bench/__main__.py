"""`python -m bench`: measure, print the tables, write them as JSON and Markdown.

    python -m bench [latency] [coldstart] [peak] [sizes] [accuracy] [--rounds 30] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import accuracy, coldstart, latency, pointwise, sizes
from bench.networks import ROOT

OUT = ROOT / "bench" / "out"
NETS = ("mobilenet_v1_1.0_224", "mobilenet_v2_1.0_224", "mobilenet_v1_0.25_224")


def table(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    if not rows:
        return f"### {title}\n\nnothing measured\n"
    names = [n for n in rows[0] if n != "info"]
    lines = [f"### {title}", "", "| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [_cell(row.get(n)) for n in names]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
    if isinstance(value, list):
        return " to ".join(map(_cell, value))
    return "" if value is None else str(value)


def measure_sizes() -> list[dict[str, Any]]:
    """One row per figure."""
    out = OUT / "sizes"
    cost = sizes.build_cost(out)
    built = sizes.bundle_sizes(out / "built")
    runtime = sizes.runtime_bytes()
    core = sum(n for name, n in runtime.items() if name != "element.js")
    return [
        {"figure": "runtime JavaScript, gzip bytes", "value": core, "goal": 12 * 1024},
        {"figure": "with the custom element", "value": sum(runtime.values()), "goal": None},
        {"figure": "module of MobileNet v1, gzip bytes", "value": built["module_gzip"], "goal": 40 * 1024},
        {"figure": "build of MobileNet v1 1.0 224, seconds", "value": cost["seconds"], "goal": 5},
        {"figure": "its peak memory over the weights", "value": cost["peak_over_weights"], "goal": 6},
        {"figure": "arena over the largest live set", "value": sizes.arena_ratio(), "goal": 1.1},
    ]


def main() -> None:
    """Parse the command line, measure what was asked for (default: all but accuracy)."""
    parts: dict[str, Callable[[argparse.Namespace], list[dict[str, Any]]]] = {
        "latency": lambda a: latency.measure(a.nets, OUT, peers=a.peers, rounds=a.rounds),
        "coldstart": lambda a: coldstart.measure(OUT, peers=a.peers),
        "peak": lambda a: pointwise.measure(OUT, rounds=a.rounds),
        "sizes": lambda a: measure_sizes(),
        "accuracy": lambda a: [accuracy.measure()],
    }
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=", ".join(parts))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=NETS)
    parser.add_argument("--peers", type=lambda s: s.split(","), default=["tfjs", "ort"])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    unknown = sorted(set(args.parts) - set(parts))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(parts)}")
    results: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "date": time.strftime("%Y-%m-%d"),
    }
    for name in args.parts or list(parts):
        print(f"bench: {name} ...", flush=True)
        results[name] = parts[name](args)
        print(table(name, results[name]), flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    target = args.json or OUT / "results.json"
    target.write_text(json.dumps(results, indent=1))
    print(f"bench: results in {target}")


if __name__ == "__main__":
    main()
