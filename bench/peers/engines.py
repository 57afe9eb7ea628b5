"""Who is compared: each engine with the network in its own format, per precision and threads."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import fanlight as fl
from bench.export import Unwritable, plain, to_onnx, to_tfjs
from bench.jaxjs import to_jaxjs
from bench.lab import HERE
from bench.networks import MODELS
from bench.tflite import to_tflite
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
    folder, root = out / name, f"/work/{name}"
    flat = plain(model.graph)
    found: list[Entry] = []

    def add(engine: str, precision: str, write: Callable[[], object], **how: str) -> None:
        problem = None if engine == OURS else broken
        try:
            write()
        except (Unwritable, fl.FanlightError) as error:
            problem = problem or str(error).splitlines()[0]
        for count in threads:
            found.append(Entry(engine, precision, count, how, problem=problem))

    for precision, write in _ours(model, name, folder).items():
        add(OURS, precision, write, model=f"{root}/{OURS}-{precision}/")
    shape = ",".join(map(str, model.inputs[0][1].bound))
    if "tfjs" in peers:
        add("tfjs", "f32", lambda: to_tfjs(flat, folder / "tfjs"), model=f"{root}/tfjs/model.json")
    if "ort" in peers:
        model_file = f"{root}/model.onnx"
        add(
            "ort",
            "f32",
            lambda: to_onnx(flat, folder / "model.onnx"),
            model=model_file,
            shape=shape,
        )
    if "litert" in peers:
        add("litert", "f32", lambda: to_tflite(flat, folder / "model.tflite"),
            model=f"{root}/model.tflite")  # fmt: skip
    if "jaxjs" in peers:
        add("jaxjs", "f32", lambda: to_jaxjs(flat, folder / "jaxjs"), model=f"{root}/jaxjs/")
    return found


def _ours(model: fl.Model, name: str, folder: Path) -> dict[str, Callable[[], object]]:
    """precision -> how its bundle is built; the precisions that this version of `build` knows."""

    def build(precision: str) -> Callable[[], object]:
        return lambda: fl.build(
            model, folder / f"{OURS}-{precision}", name=name, precision=precision
        )

    return {"f32": build("f32")}


def one_picture(graph: Graph) -> bool:
    """Whether the pages can feed this network: one float32 input of four fixed sizes."""
    if len(graph.inputs) != 1 or graph.inputs[0].dtype != "float32":
        return False
    shape = graph.inputs[0].shape
    return len(shape) == 4 and all(isinstance(d, int) for d in shape)
