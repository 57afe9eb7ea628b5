"""Who is compared: each engine with the network in its own format, per precision and threads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

import fanlight as fl
from bench.export import Unwritable, plain, to_onnx, to_tfjs
from bench.jaxjs import to_jaxjs
from bench.lab import HERE
from bench.networks import MODELS
from bench.onnx_int8 import to_onnx_int8
from bench.parity import inputs_for
from bench.tflite import to_tflite
from fanlight.build import PRECISIONS
from fanlight.graph import Graph

OURS = "fanlight"
PEERS = ("tfjs", "ort", "litert", "jaxjs")
NAMES = {
    OURS: "Fanlight",
    "tfjs": "TF.js",
    "ort": "ONNX Runtime Web",
    "litert": "LiteRT.js",
    "jaxjs": "jax-js",
}
PACKAGES = {
    "tfjs": "@tensorflow/tfjs",
    "ort": "onnxruntime-web",
    "litert": "@litertjs/core",
    "jaxjs": "@jax-js/jax",
}
# network -> an int8 file with other weights and the same shapes (uint8 in and out).
LITERT_INT8 = {"mobilenet_v2_1.0_224": MODELS / "tflite" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"}


PICTURES = 3  # to calibrate with: this bench measures speed, not accuracy


@dataclass(frozen=True)
class Entry:
    """One row to be: an engine at a precision on a number of threads."""

    engine: str
    precision: str
    threads: int
    query: dict[str, str] = field(default_factory=dict)
    same_weights: bool = True
    problem: str | None = None  # why it cannot run; it is reported, and the others run

    def path(self) -> str:
        """The page of the engine, with its query, below the server's root."""
        pairs = {"threads": str(self.threads), "version": version(self.engine), **self.query}
        query = "&".join(f"{k}={v}" for k, v in pairs.items())
        return f"/pages/peers/{self.engine}.html?{query}"


def version(engine: str) -> str:
    """The pinned version of a peer; ours is the package's own."""
    if engine == OURS:
        return fl.__version__
    pins = json.loads((HERE / "package.json").read_text())["dependencies"]
    return pins[PACKAGES[engine]]


def pattern(shape: Sequence[int]) -> np.ndarray:
    """The input that every page makes for itself (`pattern` in pages/peers/protocol.js)."""
    steps = np.arange(int(np.prod(shape)), dtype=np.int64) * 7919 % 1021
    return (steps / 510 - 1).astype(np.float32).reshape(shape)


@dataclass(frozen=True)
class Form:
    """A network as one engine takes it: how it is written, and where its page finds it."""

    engine: str
    precision: str
    write: Callable[[], object]
    query: dict[str, str]
    same_weights: bool = True


def entries(
    model: fl.Model,
    name: str,
    out: Path,
    peers: Sequence[str],
    threads: Sequence[int],
    *,
    broken: str | None = None,
) -> list[Entry]:
    """Write the network for every engine below `out`/name; ours first, then the peers asked for.

    A format that cannot be written becomes the `problem` of its entries; so does `broken`, why the
    peers' packages are not there, of every peer's.
    """
    found: list[Entry] = []
    for form in _forms(model, name, out / name):
        if form.engine not in (OURS, *peers):
            continue
        problem = None if form.engine == OURS else broken
        try:
            form.write()
        except (Unwritable, fl.FanlightError, OSError) as error:
            problem = problem or str(error).splitlines()[0]
        made = (form.query, form.same_weights, problem)
        found += [Entry(form.engine, form.precision, count, *made) for count in threads]
    return found


def _forms(model: fl.Model, name: str, folder: Path) -> Iterator[Form]:
    """The network in every form; `folder` is /work/name on the bench's servers."""
    flat, root = plain(model.graph), f"/work/{name}"
    shape = ",".join(map(str, model.inputs[0][1].bound))

    def ours(precision: str) -> None:
        how = {"calibration": np.concatenate(calibration(model))} if precision == "int8" else {}
        fl.build(model, folder / f"{OURS}-{precision}", name=name, precision=precision, **how)

    for precision in PRECISIONS:
        yield Form(
            OURS, precision, partial(ours, precision), {"model": f"{root}/{OURS}-{precision}/"}
        )
    write: Callable[[], object] = partial(to_tfjs, flat, folder / "tfjs")
    yield Form("tfjs", "f32", write, {"model": f"{root}/tfjs/model.json"})
    write = partial(to_onnx, flat, folder / "f32.onnx")
    yield Form("ort", "f32", write, {"model": f"{root}/f32.onnx", "shape": shape})

    def int8() -> None:
        to_onnx_int8(flat, calibration(model), folder / "int8.onnx")

    yield Form("ort", "int8", int8, {"model": f"{root}/int8.onnx", "shape": shape})
    write = partial(to_tflite, flat, folder / "f32.tflite")
    yield Form("litert", "f32", write, {"model": f"{root}/f32.tflite"})
    if name in LITERT_INT8:
        write = partial(shutil.copyfile, LITERT_INT8[name], folder / "int8.tflite")
        yield Form("litert", "int8", write, {"model": f"{root}/int8.tflite"}, same_weights=False)
    write = partial(to_jaxjs, flat, folder / "jaxjs")
    yield Form("jaxjs", "f32", write, {"model": f"{root}/jaxjs/"})


def calibration(model: fl.Model) -> list[np.ndarray]:
    """What quantised forms take their ranges from, -1 to 1: smooth pictures, and the pattern."""
    smooth = [2 * next(iter(inputs_for(model, seed).values())) - 1 for seed in range(PICTURES)]
    return [*smooth, pattern(model.inputs[0][1].bound)]


def one_picture(graph: Graph) -> bool:
    """Whether the pages can feed this network: one float32 input of four fixed sizes."""
    if len(graph.inputs) != 1 or graph.inputs[0].dtype != "float32":
        return False
    shape = graph.inputs[0].shape
    return len(shape) == 4 and all(isinstance(d, int) for d in shape)
