"""How close the kernels come to the peak of the machine, layer by layer, in Chromium."""

from __future__ import annotations

import base64
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.lab import HERE, chromium, serve
from fanlight.codegen.kernel import Kernel, lower
from fanlight.codegen.wasm.kernels.epilogue import Epilogue
from fanlight.codegen.wasm.module import Module
from fanlight.codegen.wasm.probes import FLOPS_PER_ITERATION, peak_module
from fanlight.graph import Builder, Node
from fanlight.targets import WASM_PLAIN, WASM_RELAXED, Target

GOAL = 0.9
# (side of the picture, input channels, output channels, how often) of MobileNet v1 1.0 224.
POINTWISE = (
    (112, 32, 64, 1),
    (56, 64, 128, 1),
    (56, 128, 128, 1),
    (28, 128, 256, 1),
    (28, 256, 256, 1),
    (14, 256, 512, 1),
    (14, 512, 512, 5),
    (7, 512, 1024, 1),
    (7, 1024, 1024, 1),
)
# (side, channels, stride, how often)
DEPTHWISE = (
    (112, 32, 1, 1),
    (112, 64, 2, 1),
    (56, 128, 1, 1),
    (56, 128, 2, 1),
    (28, 256, 1, 1),
    (28, 256, 2, 1),
    (14, 512, 1, 5),
    (14, 512, 2, 1),
    (7, 1024, 1, 1),
)


@dataclass(frozen=True)
class Case:
    """One layer to time, and how often the network has it."""

    name: str
    node: Node
    times: int


def pointwise_case(side: int, channels: int, columns: int, times: int) -> Case:
    """A 1x1 convolution with bias and relu6."""
    builder = Builder("pointwise")
    x = builder.input("x", (1, side, side, channels))
    w = builder.input("w", (1, 1, channels, columns))
    bias = builder.input("bias", (columns,))
    y = builder.add("conv2d", x, w, bias, epilogue="min(max(add(a0, a1), 0.0), 6.0)")
    graph = builder.finish({"y": y})
    return Case(f"pointwise {side * side} x {channels} x {columns}", graph.nodes[0], times)


def depthwise_case(side: int, channels: int, stride: int, times: int) -> Case:
    """A 3x3 depthwise convolution, padding SAME, with bias and relu6."""
    builder = Builder("depthwise")
    x = builder.input("x", (1, side, side, channels))
    w = builder.input("w", (3, 3, channels, 1))
    bias = builder.input("bias", (channels,))
    before = 1 if stride == 1 else 0
    y = builder.add(
        "depthwise_conv2d",
        x,
        w,
        bias,
        strides=(stride, stride),
        padding=((before, 1), (before, 1)),
        epilogue="min(max(add(a0, a1), 0.0), 6.0)",
    )
    graph = builder.finish({"y": y})
    return Case(f"depthwise {side} x {channels} stride {stride}", graph.nodes[0], times)


def conv_case(
    name: str, shape: Sequence[int], kernel: Sequence[int], stride: int, times: int = 1
) -> Case:
    """A convolution of an input that is padded already, with bias and relu6."""
    builder = Builder("conv")
    x = builder.input("x", (1, *shape))
    w = builder.input("w", tuple(kernel))
    bias = builder.input("bias", (kernel[-1],))
    body = "min(max(add(a0, a1), 0.0), 6.0)"
    y = builder.add("conv2d", x, w, bias, strides=(stride, stride), epilogue=body)
    return Case(name, builder.finish({"y": y}).nodes[0], times)


def network_cases() -> list[Case]:
    """The layers of MobileNet v1 1.0 224, and a 3x3 convolution of another network."""
    return [
        conv_case("first 225 x 3 x 32 stride 2", (225, 225, 3), (3, 3, 3, 32), 2),
        *(pointwise_case(*c) for c in POINTWISE),
        *(depthwise_case(*c) for c in DEPTHWISE),
        conv_case("dense 1024 x 1000", (1, 1, 1024), (1, 1, 1024, 1000), 1),
        conv_case("3x3 30 x 64 x 64", (30, 30, 64), (3, 3, 64, 64), 1, 0),
        conv_case("3x3 9 x 256 x 256", (9, 9, 256), (3, 3, 256, 256), 1, 0),
    ]


def _item(case: Case, target: Target) -> tuple[dict[str, Any], Kernel]:
    kernel = lower(case.node, target, set(case.node.inputs[1:]))
    pointers, end = [], 65536
    for position, value in enumerate((*case.node.inputs, *case.node.outputs)):
        pointers.append(end)
        packing = kernel.packing.get(position)
        end += (packing.nbytes(value.type) if packing else value.type.nbytes) + 127 & -64
    pages = end // 65536 + 2
    module = Module(pages, relaxed_simd=target.relaxed_simd)
    module.export(module.define(kernel.key, kernel.emit), "kernel")
    wasm = base64.b64encode(module.encode()).decode()
    return {"wasm": wasm, "pages": pages, "pointers": pointers, "work": kernel.work}, kernel


def measure_cases(
    browser: Any, base: str, cases: Sequence[Case], target: Target, rounds: int
) -> list[dict[str, Any]]:
    """One row per layer: ms, GFLOP/s, the peak in the same moments, and their ratio."""
    items, kernels = zip(*(_item(c, target) for c in cases), strict=True)
    page = browser.new_context().new_page()
    page.goto(f"{base}/pages/kernels.html")
    page.wait_for_function("globalThis.ready")
    wasm = base64.b64encode(peak_module(target.relaxed_simd)).decode()
    peak = {"wasm": wasm, "flops": FLOPS_PER_ITERATION}
    times = page.evaluate("([p, k, n]) => measure(p, k, n)", [peak, list(items), rounds])
    page.context.close()
    rows = []
    for case, kernel, ms, peaks in zip(cases, kernels, times["ms"], times["peak"], strict=True):
        # Multiply-adds only: what the epilogue does on top is not what the goal is about.
        flops = kernel.flops - case.node.output.type.size * Epilogue.of(case.node, 2).cost
        share = statistics.median(flops / m / p for m, p in zip(ms, peaks, strict=True))
        middle = statistics.median(ms)
        rows.append(
            {
                "layer": case.name,
                "simd": "relaxed" if target.relaxed_simd else "plain",
                "times": case.times,
                "ms": round(middle, 4),
                "gflops": round(flops / middle / 1e6, 1),
                "peak_gflops": round(statistics.median(peaks) / 1e6, 1),
                "of_peak": round(share, 3),
                "goal": None,
                "ok": None,
            }
        )
    return [*rows, *_summaries(rows)]


def _summaries(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers of the network by kind, weighted by their time in it."""
    made = []
    for kind in ("pointwise", "depthwise"):
        layers = [r for r in rows if r["layer"].startswith(kind) and r["times"]]
        if not layers:
            continue
        ms = sum(r["ms"] * r["times"] for r in layers)
        work = sum(r["gflops"] * r["ms"] * r["times"] for r in layers)
        share = sum(r["of_peak"] * r["ms"] * r["times"] for r in layers) / ms
        # The fused multiply-add is the peak that the figure means.
        judged = kind == "pointwise" and layers[0]["simd"] == "relaxed"
        made.append(
            {
                **layers[0],
                "layer": f"all {kind}",
                "times": 1,
                "ms": round(ms, 3),
                "gflops": round(work / ms, 1),
                "of_peak": round(share, 3),
                "goal": GOAL if judged else None,
                "ok": share >= GOAL if judged else None,
            }
        )
    return made


def measure(*, rounds: int = 30) -> list[dict[str, Any]]:
    """The layers of MobileNet v1 1.0 224 on both targets."""
    rows: list[dict[str, Any]] = []
    with serve({"pages": HERE / "pages"}, isolated=True) as base, chromium() as browser:
        for target in (WASM_RELAXED, WASM_PLAIN):
            rows += measure_cases(browser, base, network_cases(), target, rounds)
    return rows
