"""Every model of the shared data: does it load, how fast, and is it what TF.js computes?

    python tools/models_table.py                 # prints the table
    python tools/models_table.py --write         # and writes it to docs/models.md
    python tools/models_table.py posenet yolo    # those with a word in their names
    python tools/models_table.py --rows FILE     # goes on from the rows in a file, and keeps them

Models without weights get seeded ones; their shapes and axes are guessed, and written out with the
rest, so that TF.js reads the same files. TF.js runs in Node, one process per model, with its
WebAssembly back end where bench/node_modules has it, else with its JavaScript one.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl
from fanlight.formats.manifest import parse_manifest
from fanlight.formats.random_weights import random_array

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "models"
PAGE = ROOT / "docs" / "models.md"
LIMIT = 1e-3  # worst relative difference to TF.js
SUFFIXES = (".json", ".h5", ".hdf5", ".keras")
# Where a model leaves sizes open: small ones that it takes.
SIZES: dict[str, Any] = {
    "deeplab-image-segmenter-graph": 513, "human-pose-estimator-graph": 96,
    "mobilenet_v1_1.0_224-graph": 224, "style-inception-graph": 96, "yolo3-layers": 96,
}  # fmt: skip
SIZE = 65
LENGTH = 12  # of texts
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "spice-pitch": {"input_audio_samples": (16000,)},
    "universal-sentence-encoder-lite": {"values": (7,)},
}
# Inputs whose numbers decide sizes are fixed: here, sentences of 4 and of 3 tokens.
VALUES: dict[str, dict[str, Any]] = {
    "universal-sentence-encoder-lite": {
        "indices": [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [1, 1], [1, 2]],
    },
}
# Inputs that are no numbers in [0, 1]: here, ids of tokens, which are not 0.
INPUTS: dict[str, dict[str, Any]] = {
    "universal-sentence-encoder-lite": {"values": [5, 19, 403, 8, 7000, 31, 2]},
}


def models(words: Sequence[str] = ()) -> list[Path]:
    """The files that hold a topology."""
    found = []
    for path in sorted(SHARED.rglob("*")):
        name = str(path.relative_to(SHARED))
        if path.suffix not in SUFFIXES or not path.is_file():
            continue
        if words and not any(w in name for w in words):
            continue
        if path.suffix != ".json" or b'"modelTopology"' in path.read_bytes():
            found.append(path)
    return found


def load(path: Path, weights: str) -> Any:
    """The model, with a size where it asks for one."""
    name = path.stem
    try:
        return fl.load(
            path,
            weights=weights,
            input_shapes=SHAPES.get(name),
            input_values=VALUES.get(name),
        )
    except fl.FanlightError as error:
        if error.code != "E-FORMAT-017":
            raise
        if "image size" not in error.message:
            one = error.message.split("'")[1]
            dims = str(error.received).strip("[]").split(", ")
            sizes = tuple(int(d) if d.isdigit() else LENGTH if i else 1 for i, d in enumerate(dims))
            return fl.load(path, weights=weights, input_shapes={one: sizes})
    return fl.load(path, weights=weights, size=SIZES.get(name, SIZE))


def with_weights(path: Path, constants: Mapping[str, np.ndarray], folder: Path) -> Path:
    """A copy of a topology with weights: `constants`, and seeded ones for the rest."""
    model = json.loads(path.read_text())
    groups = parse_manifest(model.get("weightsManifest") or [], path)
    entries, parts = [], []
    for _, group in groups:
        for spec in group:
            array = constants.get(spec.name)
            if array is None:
                array = (
                    random_array(spec.name, spec.shape)
                    if spec.dtype == "float32"
                    else np.zeros(spec.shape, spec.dtype)
                )
            entries.append({"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype})
            parts.append(np.ascontiguousarray(array, spec.dtype).tobytes())
    (folder / "weights.bin").write_bytes(b"".join(parts))
    model["weightsManifest"] = [{"paths": ["weights.bin"], "weights": entries}]
    made = folder / path.name
    made.write_text(json.dumps(model))
    return made


def inputs_for(model: Any, seed: int = 3) -> dict[str, np.ndarray]:
    """Numbers as models meet them: in [0, 1], token ids small, masks true."""
    rng = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {}
    for name, type in model.inputs:
        if type.dtype == "float32":
            made[name] = rng.uniform(0, 1, type.bound).astype(np.float32)
        elif type.dtype == "bool":
            made[name] = np.ones(type.bound, bool)
        else:
            made[name] = rng.integers(0, 2, type.bound).astype(type.dtype)
    return made


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
) -> list[np.ndarray]:
    """TF.js's answers, in the order of the model's outputs.

    Args:
        fixed: inputs that Fanlight's model does not have, as the source names them.

    Raises:
        RuntimeError: what TF.js says, or that it took too long.
    """
    found = packages()
    if found is None:
        raise RuntimeError("no TF.js in node_modules")
    folder, backend = found
    if any(node.op == "non_max_suppression" for node in model.graph.nodes):
        backend = "cpu"  # that of wasm keeps other boxes than TF.js's own on the CPU does
    names = {port.name: port.source.removesuffix(":0") for port in model.source.inputs}
    given = {names[n]: packed(x) for n, x in inputs.items()}
    given |= {n: packed(np.asarray(x)) for n, x in (fixed or {}).items()}
    request = {
        "backend": backend,
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
            raise RuntimeError(f"more than {seconds:.0f} s") from None
        if done.returncode:
            lines = [x for x in done.stderr.splitlines() if x.strip()] or ["no message"]
            raise RuntimeError(lines[-1][:160])
        return [unpacked(a) for a in json.loads(told.read_text())]


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array as the script takes it."""
    kind = {"bool": "bool", "float32": "float32"}.get(array.dtype.name, "int32")
    data = np.ascontiguousarray(array, np.uint8 if kind == "bool" else kind)
    return {"shape": list(array.shape), "dtype": kind, "data": base64.b64encode(data).decode()}


def unpacked(answer: Mapping[str, Any]) -> np.ndarray:
    """An array that the script gave."""
    kind = np.uint8 if answer["dtype"] == "bool" else np.dtype(str(answer["dtype"]))
    flat = np.frombuffer(base64.b64decode(answer["data"]), kind)
    return flat.reshape(answer["shape"]).astype(np.float32)


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The worst difference, relative to the largest number; infinite if shapes or NaN differ."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape or not np.isfinite(b).all() or not np.isfinite(a).all():
        return float("inf")
    return float(np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), 1e-30))


# --- the table ------------------------------------------------------------------------------------


def measure(path: Path, seconds: float = 240, tfjs: bool = True) -> dict[str, Any]:
    """One row: what reads a model, its ops, how long it takes, how far from TF.js it is."""
    name = str(path.relative_to(SHARED)) if path.is_relative_to(SHARED) else path.name
    row: dict[str, Any] = {"model": name}
    bare = "topologies-only" in path.parts
    with tempfile.TemporaryDirectory() as temporary:
        file = path
        try:
            if bare:
                bare_model = load(path, "random")
                file = with_weights(path, bare_model.source.constants, Path(temporary))
            start = time.perf_counter()
            model = load(file, "stored")
            row["seconds"] = round(time.perf_counter() - start, 2)
            row |= {"reader": model.source.format, "ops": len(model.graph.nodes)}
            row["inputs"] = ", ".join(str(list(t.bound)) for _, t in model.inputs)
            inputs = inputs_for(model)
            for told, value in INPUTS.get(path.stem, {}).items():
                inputs[told] = np.asarray(value, inputs[told].dtype)
            ours = list(model(inputs).values())
        except fl.FanlightError as error:
            return row | {"error": f"{error.code} {error.message}"}
        row["finite"] = all(np.isfinite(y).all() for y in ours)
        if path.suffix != ".json":
            return row | {"tfjs": "does not read such files"}
        if not tfjs:
            return row | {"tfjs": "not asked"}
        try:
            theirs = ask_tfjs(file, model, inputs, seconds, VALUES.get(path.stem))
        except RuntimeError as error:
            return row | {"tfjs": str(error)}
        row["difference"] = max(relative(a, b) for a, b in zip(ours, theirs, strict=True))
    return row


def line(row: Mapping[str, Any]) -> str:
    """A row of the table in Markdown."""
    if "error" in row:
        return f"| {row['model']} | | | | | **{row['error']}** |"
    far = row.get("difference")
    answer = row.get("tfjs", "") if far is None else f"{far:.0e}" if far else "0"
    if far is not None and not far <= LIMIT:
        answer = f"**{answer}**"
    if not row.get("finite", True):
        answer += " (not finite)"
    cells = (row["model"], row["reader"], row["inputs"], row["ops"], row["seconds"], answer)
    return "| " + " | ".join(str(c).replace("|", "/") for c in cells) + " |"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table in Markdown."""
    head = "| model | read as | inputs | ops | load, s | to TF.js |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(line(r) for r in rows) + "\n"


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """docs/models.md."""
    loaded = sum("error" not in r for r in rows)
    compared = [r["difference"] for r in rows if "difference" in r]
    same = sum(d <= LIMIT for d in compared)
    return (
        "# Models that are read\n\n"
        "Made by `python tools/models_table.py --write`; do not edit.\n\n"
        f"Of {len(models())} model files {len(rows)} were measured, and {loaded} of these load and "
        f"run; TF.js answered for {len(compared)} of "
        f"these, and {same} are within {LIMIT:g} of its answer. The last column is the worst "
        "difference of any output to what TF.js 4.22 in Node computes from the same files, "
        "relative to the largest number of that output; or why TF.js gave none. Models under "
        '`topologies-only` came without their weights: `fl.load(path, weights="random")` seeds '
        "them by name and guesses the shapes and axes among them from their roles. Sizes that a "
        "model leaves open are small here.\n\n" + table(rows)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("words", nargs="*", help="parts of names")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument("--seconds", type=float, default=240, help="for TF.js, per model")
    parser.add_argument("--rows", type=Path, help="JSON lines: what was measured before")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.seconds)))
        return 0
    before: dict[str, dict[str, Any]] = {}
    if options.rows and options.rows.is_file():
        found = (json.loads(x) for x in options.rows.read_text().splitlines())
        before = {r["model"]: r for r in found}
    rows = [] if options.words else list(before.values())
    for path in models(options.words):
        if str(path.relative_to(SHARED)) in before:
            continue
        # A process each: what a large model took is given back.
        command = [sys.executable, __file__, "--one", str(path), "--seconds", str(options.seconds)]
        name = str(path.relative_to(SHARED))
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
        except subprocess.TimeoutExpired:
            rows.append({"model": name, "error": "more than 600 s"})
        except (IndexError, ValueError):
            rows.append({"model": name, "error": done.stderr.strip().splitlines()[-1][:160]})
        print(line(rows[-1]), flush=True)
        if options.rows:
            with options.rows.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    if options.write:
        PAGE.write_text(page(sorted(rows, key=lambda r: str(r["model"]))))
    return 0 if all("error" not in r and r.get("difference", 0) <= LIMIT for r in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
