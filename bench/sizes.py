"""Sizes, build time and memory: everything that can be measured without a peer."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import fanlight as fl
from bench.lab import HERE, Engine, chromium, open_page, serve
from bench.networks import MODELS, NETWORKS, ROOT
from bench.parity import IMAGE_MODELS
from fanlight.codegen.plan import make_plan
from fanlight.codegen.walk import emit
from fanlight.passes import optimize
from fanlight.targets import WASM_PLAIN, WASM_RELAXED
from fanlight.web.site import LAZY, runtime_files

FULL = "mobilenet_v1_1.0_224"
RUNS = 1000


def gzipped(data: bytes) -> int:
    """Bytes after gzip -9."""
    return len(gzip.compress(data, 9, mtime=0))


def runtime_bytes() -> dict[str, int]:
    """gzip bytes of the JavaScript files that a visitor fetches before the first answer."""
    scripts = {n: d for n, d in runtime_files().items() if n.endswith(".js") and n not in LAZY}
    return {name: gzipped(data) for name, data in scripts.items()}


def bundle_sizes(folder: Path) -> dict[str, Any]:
    """What one visitor downloads."""
    manifest = json.loads((folder / "manifest.json").read_text())
    module = manifest["modules"][0]
    return {
        "module_gzip": gzipped((folder / module["path"]).read_bytes()),
        "module_bytes": module["bytes"],
        "weight_bytes": sum(s["bytes"] for s in manifest["weights"]),
        "kernels": len(manifest["kernels"]),
    }


def arena_ratios() -> dict[str, float]:
    """Arena over the largest set of buffers alive together, for every image model."""
    ratios = {}
    for name, options in IMAGE_MODELS.items():
        graph = fl.load(MODELS / name, **options).graph
        plan = make_plan(optimize(graph, WASM_RELAXED), (WASM_RELAXED, WASM_PLAIN))
        ratios[name] = plan.arena_bytes / plan.live_bytes
    return ratios


def variants_ratio() -> float:
    """The module with all its variants (twins of kernels, threads) over the same one without."""
    source, options = NETWORKS[FULL]
    graph = fl.load(MODELS / source, **options).graph
    alone = replace(WASM_RELAXED, threads=False)
    plan = make_plan(optimize(graph, alone), (WASM_RELAXED, alone))
    steps = [
        replace(step, kernels=tuple(replace(k, twins={}) for k in step.kernels))
        for step in plan.steps
    ]
    without = emit(replace(plan, steps=tuple(steps)), alone)
    return round(len(emit(plan, WASM_RELAXED).data) / len(without.data), 3)


_BUILD = """
import sys, time
start = time.perf_counter()
import fanlight as fl
model = fl.load(sys.argv[1], weights=sys.argv[3])
loaded = time.perf_counter()
fl.build(model, sys.argv[2])
print("seconds", time.perf_counter() - start, "loading", loaded - start)
# Not getrusage: a child starts with the peak that its parent had when it forked.
status = open("/proc/self/status").read()
print("peak_kib", status.split("VmHWM:")[1].split()[0])
print("weights", model.graph.weight_bytes())
"""


def build_cost(out: Path) -> dict[str, float]:
    """Wall seconds and peak memory (over the weights' bytes) of a whole build, in a new process.

    The time is from the start of `import fanlight`, reading the source included; the memory is all
    that the process holds, Python and NumPy included.
    """
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


_COUNT = """
const made = [];
globalThis.memories = made;
WebAssembly.Memory = class extends WebAssembly.Memory {
  constructor(...how) { super(...how); made.push(this); }
};
"""
_BYTES = "memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)"


def allocations(folder: Path) -> dict[str, float]:
    """What 1,000 runs leave behind, after a first one: in WASM memory and in the page's heap.

    The arrays that `run` returns are new by design, for the caller owns them; here nobody keeps
    them. What must not grow is the WASM memory, the number of memories, and what is left of the
    page's heap (objects and array buffers) after a garbage collection.
    """
    with serve({"pages": HERE / "pages", "work": folder}) as base, chromium() as browser:
        engine = Engine("fanlight", "fanlight", {"model": "/work/"})
        page = open_page(browser, base, engine, script=_COUNT)
        session = page.context.new_cdp_session(page)

        def heap() -> float:
            for _ in range(2):
                session.send("HeapProfiler.collectGarbage")
            usage = session.send("Runtime.getHeapUsage")
            return usage["usedSize"] + usage.get("backingStorageSize", 0)

        page.evaluate("(n) => turn(n).then(() => 0)", RUNS)  # the first, and V8's own tables
        before, wasm, count = heap(), page.evaluate(_BYTES), page.evaluate("memories.length")
        page.evaluate("(n) => turn(n).then(() => 0)", RUNS)
        after = heap()
        return {
            "wasm_growth": page.evaluate(_BYTES) - wasm,
            "new_memories": page.evaluate("memories.length") - count,
            "heap_bytes_per_run": round((after - before) / RUNS, 2),
        }


def measure(out: Path) -> list[dict[str, Any]]:
    """One row per figure: value, goal, and what it is of."""
    cost = build_cost(out)
    built = bundle_sizes(out / "built")
    ratios = arena_ratios()
    worst = max(ratios, key=ratios.__getitem__)
    left = allocations(out / "built")
    rows: list[tuple[str, float, float]] = [
        ("runtime JavaScript, gzip bytes", sum(runtime_bytes().values()), 13 * 1024),
        ("module of MobileNet v1 1.0 224, gzip bytes", built["module_gzip"], 40 * 1024),
        ("its module with all variants over one without", variants_ratio(), 1.6),
        ("build of MobileNet v1 1.0 224, seconds", cost["seconds"], 5),
        ("its peak memory over the weights", cost["peak_over_weights"], 6),
        (f"arena over the largest live set, worst of {len(ratios)} ({worst})", ratios[worst], 1.1),
        ("growth of WASM memory in 1,000 runs, bytes", left["wasm_growth"], 0),
        ("memories made in 1,000 runs", left["new_memories"], 0),
        ("left in the JavaScript heap per run, bytes", left["heap_bytes_per_run"], 1),
    ]
    return [{"figure": f, "value": v, "goal": g, "ok": v <= g} for f, v, g in rows]
