"""How far whole quantised .tflite networks are from each of LiteRT's sets of kernels.

    python tools/tflite_table.py FILE... [--inputs 3]

LiteRT (`pip install ai-edge-litert`) has three sets: the reference kernels, the optimised ones, and
XNNPACK. Printed is the worst difference of an output in steps of its grid, over random images of
all numbers and of smooth ones: ours from each set, and the sets' from each other.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fanlight.formats import load_graph
from fanlight.formats.tflite.reader import Source
from fanlight.graph import evaluate
from tests.formats import litert

SETS = ("reference", "optimised", "xnnpack")
COLUMNS = ("ours-xnnpack", "ours-optimised", "ours-reference", "xnnpack-optimised",
           "xnnpack-reference", "optimised-reference")  # fmt: skip


def pictures(details: Any, rng: np.random.Generator, smooth: bool) -> np.ndarray:
    """An input of all numbers; or of a few broad waves, as in a photograph."""
    noise = litert.noise(details, rng)
    if not smooth or noise.ndim != 4:
        return noise
    rows, columns = (np.linspace(0, np.pi, n) for n in noise.shape[1:3])
    waves = np.zeros(noise.shape)
    for _ in range(6):
        down, across, phase = rng.uniform((-4, -4, 0), (4, 4, 6))
        plane = np.sin(down * rows[:, None] + across * columns + phase)
        waves += plane[..., None] * rng.uniform(0.2, 1, noise.shape[3])
    waves = (waves - waves.min()) / np.ptp(waves)
    if noise.dtype.kind == "f":
        return (2 * waves - 1).astype(noise.dtype)
    limits = np.iinfo(noise.dtype) if noise.dtype.itemsize == 1 else np.iinfo(np.uint8)
    return np.rint(limits.min + waves * (limits.max - limits.min)).astype(noise.dtype)


def step(detail: Any) -> float:
    """The size of a step of an output's grid; of a float one, of the grid that it comes from."""
    scale = float(detail["quantization"][0])
    return 1.0 if not scale or np.dtype(detail["dtype"]).itemsize == 1 else scale


def differences(path: Path, inputs: int) -> dict[str, float]:
    """Column -> the worst difference, in steps where the outputs are whole numbers."""
    data = path.read_bytes()
    source: Source = load_graph(path)
    runs = {name: litert.interpreter(data, kernels=name) for name in SETS}
    worst = dict.fromkeys(COLUMNS, 0.0)
    rng = np.random.default_rng(0)
    for number in range(inputs):
        given: dict[str, np.ndarray] = {}
        made: dict[str, list[np.ndarray]] = {}
        for name, run in runs.items():
            for detail in run.get_input_details():
                port = next(p for p in source.inputs if p.source == detail["name"])
                if port.name not in given:
                    given[port.name] = pictures(detail, rng, bool(number % 2))
                run.set_tensor(detail["index"], given[port.name])
            run.invoke()
            by_name = {d["name"]: d for d in run.get_output_details()}
            outputs = [by_name[p.source] for p in source.outputs]
            made[name] = [run.get_tensor(d["index"]) / step(d) for d in outputs]
        ready = {v.name: given[v.name].astype(litert.NUMBERS[v.dtype]) for v in source.graph.inputs}
        found = evaluate(source.graph, ready)
        named = zip(source.outputs, outputs, strict=True)
        made["ours"] = [found[p.name] / step(d) for p, d in named]
        for column in COLUMNS:
            a, b = (made[n] for n in column.split("-"))
            apart = max(float(np.abs(x - y).max(initial=0)) for x, y in zip(a, b, strict=True))
            worst[column] = max(worst[column], apart)
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--inputs", type=int, default=4)
    arguments = parser.parse_args()
    print(f"| model | {' | '.join(c.replace('-', ' from ') for c in COLUMNS)} |")
    print(f"|---|{'---|' * len(COLUMNS)}")
    for path in arguments.files:
        worst = differences(path, arguments.inputs)
        print(f"| {path.stem} | {' | '.join(f'{worst[c]:.3g}' for c in COLUMNS)} |", flush=True)


if __name__ == "__main__":
    main()
