"""What others answer for a model file: TF.js in Node, Keras, LiteRT; and arithmetic in float64."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.graph import Graph
from fanlight.ops import row as rows

ROOT = Path(__file__).resolve().parents[1]


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The worst difference, relative to the largest number; infinite if shapes or NaN differ."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape or not np.isfinite(b).all() or not np.isfinite(a).all():
        return float("inf")
    return float(np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), 1e-30))


# --- TF.js ----------------------------------------------------------------------------------------


def packages() -> tuple[Path, str] | None:
    """The node_modules that hold TF.js, and the back end that they have."""
    for folder in (ROOT / "bench" / "node_modules", ROOT / "node_modules"):
        if (folder / "@tensorflow" / "tfjs").is_dir():
            fast = (folder / "@tensorflow" / "tfjs-backend-wasm").is_dir()
            return folder, "wasm" if fast else "cpu"
    return None


def ask_tfjs(
    file: Path,
    model: Any,
    inputs: Mapping[str, np.ndarray],
    seconds: float,
    fixed: Mapping[str, Any] | None = None,
    backend: str | None = None,
) -> list[np.ndarray]:
    """TF.js's answers, in the order of the model's outputs.

    Args:
        inputs: by the names of inputs, or of nodes that are fed.
        fixed: inputs that Fanlight's model does not have, as the source names them.
        backend: of TF.js; the fastest one that is right, if it is left out.

    Raises:
        RuntimeError: what TF.js says, or that it took too long.
    """
    found = packages()
    if found is None:
        raise RuntimeError("no TF.js in node_modules")
    folder = found[0]
    if backend is None and any(node.op == "non_max_suppression" for node in model.graph.nodes):
        backend = "cpu"  # that of wasm keeps other boxes than TF.js's own on the CPU does
    names = {port.name: port.source.removesuffix(":0") for port in model.source.inputs}
    given = {names.get(n, n): packed(x) for n, x in inputs.items()}
    given |= {n: packed(np.asarray(x)) for n, x in (fixed or {}).items()}
    request = {
        "backend": backend or found[1],
        "inputs": given,
        "outputs": [port.source.removesuffix(":0") for port in model.source.outputs],
    }
    with tempfile.TemporaryDirectory() as temporary:
        asked, told = Path(temporary) / "request.json", Path(temporary) / "answer.json"
        asked.write_text(json.dumps(request))
        script = str(ROOT / "tools" / "models_tfjs.js")
        command = ["node", script, str(file), str(asked), str(told), str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"takes TF.js more than {seconds:.0f} s") from None
        if done.returncode:
            lines = [x for x in done.stderr.splitlines() if x.strip()] or ["no message"]
            raise RuntimeError(f"TF.js: {lines[-1][:160]}")
        return [unpacked(a) for a in json.loads(told.read_text())]


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array as the script takes it."""
    kind = {"bool": "bool", "float32": "float32"}.get(array.dtype.name, "int32")
    data = np.ascontiguousarray(array, np.uint8 if kind == "bool" else kind)
    text = base64.b64encode(data.tobytes()).decode()
    return {"shape": list(array.shape), "dtype": kind, "data": text}


def unpacked(answer: Mapping[str, Any]) -> np.ndarray:
    """An array that the script gave."""
    kind = np.uint8 if answer["dtype"] == "bool" else np.dtype(str(answer["dtype"]))
    flat = np.frombuffer(base64.b64decode(answer["data"]), kind)
    return flat.reshape(answer["shape"]).astype(np.float32)


# --- others ---------------------------------------------------------------------------------------


def ask_keras(file: Path, model: Any, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The answers of Keras on JAX.

    Raises:
        RuntimeError: it is not installed, or what it says.
    """
    if find_spec("keras") is None or find_spec("jax") is None:
        raise RuntimeError("Keras with JAX is not installed")
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    try:
        made = keras.saving.load_model(str(file), compile=False)
        given = [inputs[name] for name, _ in model.inputs]
        found = made(given[0] if len(given) == 1 else given)
    except Exception as error:  # whatever it says is told in the table
        raise RuntimeError(f"Keras: {str(error).strip().splitlines()[0][:120]}") from error
    return [np.asarray(y) for y in (found if isinstance(found, list | tuple) else [found])]


def ask_litert(file: Path, model: Any, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The answers of LiteRT's interpreter, in the order of the model's outputs.

    Raises:
        RuntimeError: it is not installed, or what it says.
    """
    if find_spec("ai_edge_litert") is None:
        raise RuntimeError("LiteRT is not installed")
    from ai_edge_litert.interpreter import Interpreter

    try:
        made = Interpreter(model_content=file.read_bytes())
        made.allocate_tensors()
        places = {d["name"]: d for d in made.get_input_details()}
        for port in model.source.inputs:
            place = places[port.source]
            made.set_tensor(place["index"], inputs[port.name].astype(place["dtype"]))
        made.invoke()
        ends = {d["name"]: d["index"] for d in made.get_output_details()}
        return [np.asarray(made.get_tensor(ends[p.source])) for p in model.source.outputs]
    except (RuntimeError, ValueError, KeyError) as error:
        raise RuntimeError(f"LiteRT: {str(error).strip().splitlines()[0][:120]}") from error


# --- arithmetic in float64 ------------------------------------------------------------------------


def in_float64(
    graph: Graph, inputs: Mapping[str, np.ndarray], noise: float = 0.0, seed: int = 0
) -> tuple[list[np.ndarray], set[str]]:
    """The outputs as NumPy computes them in float64, and the ops that round to float32 even so.

    Args:
        noise: how much weights are off, relative to themselves, at random by `seed`.
    """
    rng = np.random.default_rng(seed)

    def wide(array: np.ndarray) -> np.ndarray:
        return array.astype(np.float64) if array.dtype == np.float32 else array

    known = {value: wide(array) for value, array in graph.weights.items()}
    if noise:
        for value, array in known.items():
            if array.dtype == np.float64:
                known[value] = array * (1 + rng.uniform(-noise, noise, array.shape))
    known |= {value: wide(inputs[value.name]) for value in graph.inputs}
    ends = {value for _, value in graph.outputs}
    last = {value: at for at, node in enumerate(graph.nodes) for value in node.inputs}
    rounding = set()
    for at, node in enumerate(graph.nodes):
        results = rows.evaluate(node.op, [known[v] for v in node.inputs], node.attrs)
        for value, made in zip(node.outputs, results, strict=True):
            wide_inputs = any(known[v].dtype == np.float64 for v in node.inputs)
            if made.dtype == np.float32 and wide_inputs:
                rounding.add(node.op)
            known[value] = wide(made)
        for value in set(node.inputs) - ends:
            if last[value] <= at:
                known.pop(value, None)
    return [known[value] for _, value in graph.outputs], rounding
