"""Every image model of the shared data: NumPy, wasmtime, Chromium, and TF.js itself."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl
from bench.lab import HERE, Engine, chromium, install_peers, open_page, serve
from bench.networks import MODELS
from fanlight.check import difference

# Sigmoid of logits up to +-1,000: float32 itself is 1e-3 off at the edge of the mask, in every
# engine. tests/models/test_parity.py proves it against float64 and compares the logits instead.
EXCUSED = {"human-blazepose-lite": "activation_segmentation"}
OURS, PEERS = 1e-4, 1e-3  # how far, relative to NumPy, our hosts and TF.js may be
# folder -> options of fl.load; sizes where the model leaves them open
IMAGE_MODELS: dict[str, dict[str, Any]] = {
    "mobilenet-v1-0.25-graph": {},
    "mobilenet-v1-0.25-layers-mitcml": {},
    "mobilenet-v2-graph-tafsiri": {},
    "nsfwjs-mobilenet-v2-layers-uint8": {},
    "squeezenet-layers": {},
    "teachable-machine-a": {},
    "posenet-mobilenet-quant2-050": {"size": 257},
    "bodypix-mobilenet-quant1-050": {"size": 257},
    "blazeface-google": {},
    "facemesh-google": {},
    "human-selfie": {},
    "human-emotion": {},
    "human-centernet": {},
    "human-blazepose-lite": {},
    "human-handlandmark-lite": {},
    "doodlenet-layers": {},
    "crepe-pitch-layers": {},
    "style-transformer-separable-graph": {"size": 128},
}


def topology_file(folder: Path) -> Path:
    """The model.json of a folder, whatever its name."""
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        if isinstance(content, dict) and "modelTopology" in content:
            return path
    raise SystemExit(f"bench: no model.json in {folder}")


def inputs_for(model: fl.Model, seed: int = 3) -> dict[str, np.ndarray]:
    """Inputs as the models meet them: smooth pictures in [0, 1], not noise."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, type in model.inputs:
        shape = type.bound
        if len(shape) == 4 and shape[1] > 8:
            coarse = rng.uniform(0, 1, (shape[0], 9, 9, shape[3])).astype(np.float32)
            rows = np.linspace(0, 8, shape[1], dtype=np.float32)
            columns = np.linspace(0, 8, shape[2], dtype=np.float32)
            made[name] = _stretch(_stretch(coarse, rows, 1), columns, 2)
        else:
            made[name] = rng.uniform(-1, 1, shape).astype(np.float32)
    return made


def _stretch(x: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    low = np.minimum(at.astype(int), x.shape[axis] - 2)
    shape = [1] * x.ndim
    shape[axis] = -1
    part = (at - low).astype(np.float32).reshape(shape)
    return x.take(low, axis) * (1 - part) + x.take(low + 1, axis) * part


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array as pages take it."""
    data = base64.b64encode(np.ascontiguousarray(array)).decode()
    return {"shape": list(array.shape), "base64": data, "dtype": array.dtype.name}


def packed_inputs(model: fl.Model, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The inputs under the names that TF.js knows them by."""
    ports = model.source.inputs
    return {port.source.removesuffix(":0"): packed(inputs[port.name]) for port in ports}


@contextmanager
def tfjs_page(browser: Any, folder: Path, layers: bool) -> Iterator[Any]:
    """A page in which TF.js has loaded the model of a folder."""
    query = {"model": f"/model/{topology_file(folder).name}", "layers": "1" if layers else "0"}
    mounts = {"pages": HERE / "pages", "peers": HERE / "node_modules", "model": folder}
    with serve(mounts) as base:
        page = open_page(browser, base, Engine("tfjs", "parity", query))
        yield page
        page.context.close()


def tfjs_answers(
    browser: Any,
    folder: Path,
    model: fl.Model,
    inputs: dict[str, np.ndarray],
    *,
    nodes: Sequence[str] = (),
) -> list[np.ndarray]:
    """TF.js's outputs, in the order of ours; then those of more `nodes` of a graph-model."""
    layers = model.source.format == "tfjs-layers"
    given = packed_inputs(model, inputs)
    names = [port.source.removesuffix(":0") for port in model.source.outputs]
    with tfjs_page(browser, folder, layers) as page:
        found = page.evaluate("([x, names]) => answer(x, names)", [given, [*names, *nodes]])
    return [_unpacked(f) for f in found]


def _unpacked(answer: dict[str, Any]) -> np.ndarray:
    dtype = np.uint8 if answer["dtype"] == "bool" else np.dtype(answer["dtype"])
    flat = np.frombuffer(base64.b64decode(answer["base64"]), dtype)
    return flat.reshape(answer["shape"]).astype(np.float32)


def measure_model(name: str, browser: Any, *, hosts: Sequence[str], tfjs: bool) -> dict[str, Any]:
    """Worst relative difference from NumPy per host, and of TF.js."""
    folder = MODELS / name
    model = fl.load(folder, **IMAGE_MODELS[name])
    inputs = inputs_for(model)
    excused = EXCUSED.get(name)
    row: dict[str, Any] = {"model": name + (f" without {excused}" if excused else "")}
    with tempfile.TemporaryDirectory() as temporary:
        with fl.build(model, Path(temporary) / "bundle", name=name) as bundle:
            report = fl.check(bundle, hosts=hosts, inputs=inputs)
            for host in hosts:
                found = [r for r in report.rows if r.host == host and r.output != excused]
                row[host] = max(r.difference for r in found)
            expected = bundle.run(inputs, host="numpy")
    if tfjs:
        theirs = tfjs_answers(browser, folder, model, inputs)
        row["tfjs"] = max(
            difference(a.reshape(-1), b.astype(a.dtype).reshape(-1))
            for (output, a), b in zip(expected.items(), theirs, strict=True)
            if output != excused
        )
    ours = max(row[host] for host in hosts)
    row["ok"] = ours <= OURS and row.get("tfjs", 0.0) <= PEERS
    return row


def measure(names: Sequence[str] = tuple(IMAGE_MODELS)) -> list[dict[str, Any]]:
    """The parity table."""
    install_peers()
    with chromium() as browser:
        hosts = ("wasm", "wasm-plain", "browser")
        return [measure_model(n, browser, hosts=hosts, tfjs=True) for n in names]
