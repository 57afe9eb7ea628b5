"""Sizes, build time and memory: everything that can be measured without a peer."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.networks import MODELS, NETWORKS, ROOT

RUNTIME = ("fanlight.js", "engine.js", "worker.js", "image.js", "manifest.js", "errors.js", "sha256.js")
FULL = "mobilenet_v1_1.0_224"


def gzipped(data: bytes) -> int:
    """Bytes after gzip -9."""
    return len(gzip.compress(data, 9, mtime=0))


def runtime_bytes() -> dict[str, int]:
    """gzip bytes of the runtime's modules (without the page and its element)."""
    folder = ROOT / "fanlight" / "web" / "runtime"
    return {p.name: gzipped(p.read_bytes()) for p in sorted(folder.glob("*.js"))}


def bundle_sizes(folder: Path) -> dict[str, Any]:
    """What one visitor downloads, and how the arena compares with the largest live set."""
    manifest = json.loads((folder / "manifest.json").read_text())
    module = manifest["modules"][0]
    return {
        "module_gzip": gzipped((folder / module["path"]).read_bytes()),
        "module_bytes": module["bytes"],
        "weight_bytes": sum(s["bytes"] for s in manifest["weights"]),
        "arena_bytes": manifest["memory"]["arena"]["bytes"],
        "kernels": len(manifest["kernels"]),
    }


_BUILD = """
import resource, sys, time
start = time.perf_counter()
import fanlight as fl
model = fl.load(sys.argv[1], weights=sys.argv[3])
loaded = time.perf_counter()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fl.build(model, sys.argv[2])
print("seconds", time.perf_counter() - start, "loading", loaded - start)
print("peak_kib", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "before", before)
print("weights", model.graph.weight_bytes())
"""


def build_cost(out: Path) -> dict[str, float]:
    """Wall seconds and peak memory (over the weights' bytes) of a whole build, in a new process."""
    source, options = NETWORKS[FULL]
    command = [sys.executable, "-c", _BUILD, str(MODELS / source), str(out / "built")]
    command.append(options.get("weights", "stored"))
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = {k: float(v) for k, v in re.findall(r"(\w+) ([\d.]+)", text)}
    return {
        "seconds": round(found["seconds"], 2),
        "peak_over_weights": round(found["peak_kib"] * 1024 / found["weights"], 2),
        "peak_mib": round(found["peak_kib"] / 1024, 1),
    }
