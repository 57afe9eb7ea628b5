"""Every model of the shared data: does it load, how fast, and is it what its framework computes?

    python tools/models_table.py                 # prints the table
    python tools/models_table.py --write         # and writes it to docs/models.md
    python tools/models_table.py posenet yolo    # those with a word in their names
    python tools/models_table.py --rows FILE     # goes on from the rows in a file, and keeps them
    python tools/models_table.py --rows FILE --again   # those rows once more that are not good

Models without weights get seeded ones; their shapes and axes are guessed, and written out with the
rest, so that TF.js reads the same files. TF.js runs in Node, with its WebAssembly back end where
bench/node_modules has it, else with its JavaScript one; Keras and LiteRT run where they are
installed. Each model has a process of its own, whose time and memory are bounded. Answers that
differ by more than rounding usually does are computed in float64, which tells who is nearer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import fanlight as fl  # noqa: E402
from fanlight.formats.manifest import parse_manifest  # noqa: E402
from fanlight.formats.random_weights import random_array  # noqa: E402
from tests.formats.custom_layers import custom_objects  # noqa: E402
from tools.models_peers import (  # noqa: E402
    ask_keras,
    ask_litert,
    ask_tfjs,
    in_float64,
    packages,
    relative,
)

__all__ = ["LIMIT", "measure", "models", "packages"]

SHARED = ROOT.parent / "shared" / "data" / "models"
PAGE = ROOT / "docs" / "models.md"
LIMIT = 1e-3  # worst relative difference to TF.js
# More than this from float64 is not rounding.
ROUNDING = 0.02
# A difference of more is looked at in float64.
DOUBTFUL = 2e-4
SUFFIXES = (".json", ".h5", ".hdf5", ".keras", ".tflite", ".onnx", ".pt2", ".pb")
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
    "keras-net-h5": {"flatten_input": (1, 28, 28)},
    "fasterrcnn-layers": {"input_6": (1, 2, 4)},  # two regions
    "gru": {"X": (1, 784)},
    "graphdef": {"X": (3,)},
    "hub_module_v1_mini": {"default": (3,)},
    "hub_module_v1_mini_train": {"default": (3,)},
    "saved_model_v2_mini": {"x": (3,)},
}
# Inputs that are fixed: what decides sizes (sentences of 4 and of 3 tokens), and what trains.
VALUES: dict[str, dict[str, Any]] = {
    "universal-sentence-encoder-lite": {
        "indices": [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [1, 1], [1, 2]],
    },
    "gru": {"keep_prob": 1.0},
    "lstm": {"keep_prob": 1.0},
}
SIGNATURES = {"saved_model_counter": "get_counter"}
# Tables of words that no file fills; and texts.
TABLES = {"rnn-textvectorization-graph": {"unknown": ["", "[UNK]", "the", "film", "was", "great"]}}
TEXT = "The film was great, I would see it again!"
# Inputs that are no numbers in [0, 1]: here, ids of tokens, which are not 0.
INPUTS: dict[str, dict[str, Any]] = {
    "universal-sentence-encoder-lite": {"values": [5, 19, 403, 8, 7000, 31, 2]},
}


def models(words: Sequence[str] = (), root: Path = SHARED) -> list[Path]:
    """The files that hold a model: of .json and .pb files those that are one."""
    found = []
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.suffix not in SUFFIXES or not path.is_file():
            continue
        if words and not any(w in name for w in words):
            continue
        if path.suffix == ".json" and b'"modelTopology"' not in path.read_bytes():
            continue
        if path.suffix == ".pb" and path.name != "saved_model.pb" and "frozen" not in path.name:
            continue
        found.append(path)
    return found


def about(table: Mapping[str, Any], path: Path) -> Any:
    """What a table says of a file, by its name or that of a folder it lies in."""
    for name in (path.stem, *reversed(path.parts[:-1])):
        if name in table:
            return table[name]
    return None


def load(path: Path, weights: str) -> Any:
    """The model, with a size where it asks for one."""
    name, shapes = path.stem, about(SHAPES, path)
    options = {
        "input_values": about(VALUES, path),
        "signature": about(SIGNATURES, path),
        "tables": about(TABLES, path),
    }
    try:
        return fl.load(path, weights=weights, input_shapes=shapes, **options)
    except fl.FanlightError as error:
        if error.code != "E-FORMAT-017":
            raise
        if "image size" not in error.message:
            one = error.message.split("'")[1]
            dims = str(error.received).strip("[]").split(", ")
            sizes = tuple(int(d) if d.isdigit() else LENGTH if i else 1 for i, d in enumerate(dims))
            return fl.load(path, weights=weights, input_shapes={one: sizes}, **options)
    size = SIZES.get(name, SIZE)
    return fl.load(path, weights=weights, size=size, input_shapes=shapes, **options)


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
        elif type.dtype == "string":
            made[name] = np.full(type.bound, TEXT)
        else:
            made[name] = rng.integers(0, 2, type.bound).astype(type.dtype)
    return made


# --- one row --------------------------------------------------------------------------------------


def measure(path: Path, seconds: float = 240, tfjs: bool = True) -> dict[str, Any]:
    """One row: what reads a model, its ops, how long it takes, how far from its framework it is."""
    return list(stages(path, seconds, tfjs, wasm=False))[-1]


def stages(
    path: Path, seconds: float, peer: bool = True, wasm: bool = True
) -> Iterator[dict[str, Any]]:
    """A row as it grows: loaded and run, compared, built and run as WebAssembly, in float64."""
    row: dict[str, Any] = {"model": path.name}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            file, custom = path, False
            if "topologies-only" in path.parts:
                bare, custom = loaded(path, "random")
                file = with_weights(path, bare.source.constants, folder)
                del bare
            start = time.perf_counter()
            try:
                model, custom = loaded(file, "stored", custom)
            except fl.FanlightError as error:
                if error.code != "E-FORMAT-011" or not str(error.received).startswith("0 weights"):
                    raise
                model, custom = loaded(file, "random", custom)
                row["why"] = "the file holds no weights"
            row["seconds"] = round(time.perf_counter() - start, 2)
            row |= {"reader": model.source.format, "ops": len(model.graph.nodes)}
            row["inputs"] = ", ".join(str(list(t.bound)) for _, t in model.inputs)
            inputs = inputs_for(model)
            for given, value in (about(INPUTS, path) or {}).items():
                inputs[given] = np.asarray(value, inputs[given].dtype)
            answers = model(inputs)
            if any(t.dtype == "string" for _, t in model.inputs):  # others get what becomes of them
                inputs = model.prepared(inputs)
        except fl.FanlightError as error:
            yield row | {"error": f"{error.code} {error.message}"}
            return
        ours = meant(model, answers)
        row["finite"] = all(np.isfinite(y).all() for y in ours)
        yield row
        theirs = None
        if peer and "why" not in row:
            try:
                row["peer"], theirs = ask(file, path, model, inputs, seconds, custom)
                row |= compared(ours, theirs)
            except RuntimeError as error:
                row["why"] = str(error)
            yield row
            if row.get("peer") == "TF.js" and row["difference"] > LIMIT:
                try:
                    plain = ask(file, path, model, inputs, seconds, custom, "cpu")[1]
                except RuntimeError as error:
                    row["off"] = str(error)
                else:
                    found = compared(ours, plain)
                    if found["difference"] <= LIMIT:  # TF.js's back ends do not agree
                        off = f"its wasm back end {row['difference']:.0e}"
                        theirs, row = plain, row | found | {"peer": "TF.js (cpu)", "off": off}
                yield row
        built = None
        if wasm and model.inputs:  # what has none is a constant, which nobody builds
            try:
                texts = any(t.dtype == "string" for _, t in model.inputs)
                bundle = fl.build(model.graph if texts else model, folder / "built")
                built = meant(model, bundle.run(inputs))
                row["wasm"] = compared(built, ours)
            except fl.FanlightError as error:
                row["wasm"] = f"{error.code} {error.message}"
            yield row
        if theirs is not None and row.get("difference", 0) > DOUBTFUL:
            wide, rounding = in_float64(model.graph, inputs)
            exact = meant(model, dict(zip(answers, wide, strict=True)))
            found = {"NumPy": ours, "WebAssembly": built, row["peer"]: theirs}
            row["exact"] = {
                who: max(map(relative, made, exact)) for who, made in found.items() if made
            }
            row["rounding"] = sorted(rounding)
            row["noise"] = 0.0
            for seed in range(3):
                rounded = in_float64(model.graph, inputs, 2.0**-24, seed)[0]
                near = meant(model, dict(zip(answers, rounded, strict=True)))
                row["noise"] = max(row["noise"], *map(relative, near, exact))
            yield row


def loaded(path: Path, weights: str, custom: bool = False) -> tuple[Any, bool]:
    """The model, and whether it has layers of its makers' own, which are registered then."""
    if custom:
        with fl.utils.custom_object_scope(custom_objects()):
            return load(path, weights), True
    try:
        return load(path, weights), False
    except fl.FanlightError as error:
        if error.code != "E-FORMAT-014":
            raise
    return loaded(path, weights, True)


def meant(model: Any, answers: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs as the source has them: those with a count are cut to it."""
    made: list[np.ndarray] = []
    for port in model.source.outputs:
        name, array = port.name, np.asarray(answers[port.name])
        whole = name.removesuffix("_count")
        said = [w for w in model.source.warnings if w.startswith(f"output {whole!r} is as long")]
        if name != whole and said:
            axis = int(said[0].split("along dim ")[1].split(",")[0])
            made[-1] = np.take(made[-1], range(int(array)), axis=axis)
        else:
            made.append(array)
    return made


def ask(
    file: Path,
    path: Path,
    model: Any,
    inputs: Mapping[str, np.ndarray],
    seconds: float,
    custom: bool,
    backend: str | None = None,
) -> tuple[str, list[np.ndarray]]:
    """Who else computes such files, and the answers; RuntimeError says why there are none."""
    if custom:
        raise RuntimeError("TF.js does not have its layers")
    if path.suffix == ".json":
        fixed = about(VALUES, path)
        try:
            theirs = ask_tfjs(file, model, inputs, seconds, fixed, backend)
        except RuntimeError:  # not all of TF.js runs on its wasm back end
            theirs = ask_tfjs(file, model, inputs, seconds, fixed, "cpu")
        counts = [p.name.endswith("_count") for p in model.source.outputs]
        # A counted output was asked for twice.
        if len(theirs) == len(counts) and model.source.warnings:
            names = {p.name for p in model.source.outputs}
            theirs = [
                y
                for y, p in zip(theirs, model.source.outputs, strict=True)
                if p.name.removesuffix("_count") not in names - {p.name}
            ]
        return "TF.js", theirs
    if path.suffix in (".h5", ".hdf5", ".keras"):
        return "Keras", ask_keras(file, model, inputs)
    if path.suffix == ".tflite":
        return "LiteRT", ask_litert(file, model, inputs)
    others = {".pb": "TensorFlow", ".onnx": "ONNX Runtime", ".pt2": "PyTorch"}
    raise RuntimeError(f"{others[path.suffix]} is not asked")


def compared(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> dict[str, Any]:
    """How far the answers are from each other; of bytes in steps."""
    if len(ours) != len(theirs):
        return {"difference": float("inf")}
    bytes_ = [i for i, y in enumerate(theirs) if y.dtype in (np.uint8, np.int8)]
    found: dict[str, Any] = {}
    if bytes_:
        gaps = [np.abs(ours[i].astype(int) - theirs[i]).max(initial=0) for i in bytes_]
        found["steps"] = int(max(gaps))
    rest = [relative(a, b) for i, (a, b) in enumerate(zip(ours, theirs)) if i not in bytes_]
    if rest or not bytes_:
        found["difference"] = max(rest, default=0.0)
    return found


# --- the table ------------------------------------------------------------------------------------


def good(row: Mapping[str, Any]) -> bool:
    """Whether a model loads and runs, and differs from its framework by no more than rounding."""
    close = row.get("difference", 0.0) <= LIMIT or rounds(row)
    runs = "error" not in row and not isinstance(row.get("wasm", {}), str)
    return runs and close and row.get("steps", 0) <= 1


def rounds(row: Mapping[str, Any]) -> bool:
    """Whether it is rounding that differs: ours is about as near to float64 as the other answer, or
    weights that are half a last digit off make a tenth of that.
    """
    exact: dict[Any, float] = dict(row.get("exact", {}))
    other = exact.pop(row.get("peer"), 0.0)
    usual = max(2 * other, 10 * row.get("noise", 0.0))
    return bool(exact) and other < ROUNDING and max(exact.values()) <= min(usual, ROUNDING)


def told(found: Mapping[str, Any]) -> str:
    """A difference, and steps of bytes, in words."""
    far, steps = found.get("difference"), found.get("steps")
    parts = [] if far is None else [f"{far:.0e}" if far else "0"]
    parts += [] if steps is None else [f"{steps} step{'' if steps == 1 else 's'}"]
    return " and ".join(parts)


def line(row: Mapping[str, Any]) -> str:
    """A row of the table in Markdown."""
    if "error" in row:
        cells = [row["model"], "", "", "", "", f"**{row['error']}**", ""]
        return "| " + " | ".join(c.replace("|", "/") for c in cells) + " |"
    answer = row.get("why", "not asked")
    if "peer" in row:
        far = told(row)
        far = far if good({**row, "wasm": {}}) else f"**{far}**"
        answer = f"{row['peer']} {far}" + (" (see below)" if row.get("exact") else "")
        answer += f"; {row['off']}" if "off" in row else ""
    if not row.get("finite", True):
        answer += " (not finite)"
    wasm = row.get("wasm", "")
    wasm = wasm if isinstance(wasm, str) else told(wasm)
    cells = [
        row["model"], row["reader"], row["inputs"], row["ops"], row["seconds"], answer, wasm,
    ]  # fmt: skip
    return "| " + " | ".join(str(c).replace("|", "/") for c in cells) + " |"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table in Markdown."""
    head = (
        "| model | read as | inputs | ops | load, s | to its framework | WebAssembly to NumPy |\n"
    )
    return head + "|---" * 7 + "|\n" + "\n".join(line(r) for r in rows) + "\n"


def notes(rows: Sequence[Mapping[str, Any]]) -> str:
    """What float64 says of the models whose answers differ by more than usual."""
    found = [r for r in rows if r.get("exact")]
    if not found:
        return ""
    lines = [
        "\n## Rounding\n",
        "Where an answer differs by more than usual, the graph was computed in float64, too. This "
        "is how far each answer in float32 is from that, relative to the largest number, and how "
        "far the answer in float64 moves if each weight is half a last digit of float32 off:\n",
    ]
    for row in found:
        far = ", ".join(f"{who} {d:.1e}" for who, d in row["exact"].items())
        last = "the difference is rounding." if rounds(row) else "**more than rounding.**"
        kept = f" (float32 even so: {', '.join(row['rounding'])})" if row["rounding"] else ""
        moved = f"; half a digit of the weights {row['noise']:.1e}" if "noise" in row else ""
        lines.append(f"- {row['model']}: {far}{moved}{kept}: {last}")
    return "\n".join(lines) + "\n"


def page(rows: Sequence[Mapping[str, Any]], there: int) -> str:
    """docs/models.md, of some of the models that are there."""
    runs = sum("error" not in r for r in rows)
    wasm = sum(isinstance(r.get("wasm"), dict) for r in rows)
    asked = [r for r in rows if "peer" in r]
    same = sum(good(r) for r in asked)
    rounded = sum(r.get("difference", 0) > LIMIT and rounds(r) for r in asked)
    return (
        "# Models that are read\n\n"
        "Made by `python tools/models_table.py --write`; do not edit.\n\n"
        f"Of {there} model files {len(rows)} were measured. {runs} of these load and run, "
        f"{wasm} of them as WebAssembly, too. Their own framework answered for {len(asked)} (TF.js "
        f"4.22 in Node, Keras 3, LiteRT), and {same} are its answer within {LIMIT:g}, or within "
        f"one step where answers are bytes ({rounded} of these differ by more, which is rounding). "
        "The difference is the worst one of any output, relative to the largest number of that "
        "output; where there is none, the column says why. Models under `topologies-only` came "
        'without their weights: `fl.load(path, weights="random")` seeds them by name and guesses '
        "the shapes and axes among them from their roles. Sizes that a model leaves open are small "
        "here. Two faults of TF.js are mended on the way (tools/models_tfjs.js): it loses what a "
        "loop puts into a list, and takes the statistics of channels that come first as if they "
        "came last.\n\n" + table(rows) + notes(rows)
    )


# --- processes ------------------------------------------------------------------------------------


def apart(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A row that is measured in a process of its own; as far as that came, if it is stopped."""
    command = [sys.executable, __file__, "--one", str(path), "--seconds", str(options.seconds)]
    limit = int(options.memory * 2**30)
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )
    stopped = ""
    try:
        said, complained = child.communicate(timeout=options.limit)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)  # Node, too
        said, complained = child.communicate()
        stopped = f"more than {options.limit:.0f} s"
    row: dict[str, Any] = {}
    for text in said.splitlines():
        if text.startswith('{"model"'):
            row = json.loads(text)
    row["model"] = str(path.relative_to(options.models))
    if child.returncode and not stopped:
        last = (complained.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
        stopped = f"stopped: {last[:160]}"
    if stopped and "reader" not in row:
        return row | {"error": stopped}
    if stopped and "peer" not in row and "why" not in row:
        row["why"] = stopped
    if stopped and "wasm" not in row:
        row["wasm"] = stopped
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("words", nargs="*", help="parts of names")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument("--seconds", type=float, default=240, help="for TF.js, per model")
    parser.add_argument("--limit", type=float, default=600, help="seconds for all of a model")
    parser.add_argument("--memory", type=float, default=8, help="GB for a process")
    parser.add_argument("--rows", type=Path, help="JSON lines: what was measured before")
    parser.add_argument("--again", action="store_true", help="measure the rows that are not good")
    parser.add_argument("--models", type=Path, default=SHARED, help="the folder of the models")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        for row in stages(options.one, options.seconds):
            print(json.dumps(row), flush=True)
        return 0
    rows: dict[str, dict[str, Any]] = {}
    if options.rows and options.rows.is_file():
        kept = (json.loads(x) for x in options.rows.read_text().splitlines() if x.strip())
        rows = {r["model"]: r for r in kept}
    measured = []
    for path in models(options.words, options.models):
        name = str(path.relative_to(options.models))
        if name in rows and not (options.again and not good(rows[name])):
            continue
        rows[name] = apart(path, options)
        measured.append(rows[name])
        print(line(rows[name]), flush=True)
        if options.rows:
            with options.rows.open("a") as file:
                file.write(json.dumps(rows[name]) + "\n")
    there = {str(p.relative_to(options.models)) for p in models((), options.models)}
    listed = [rows[n] for n in sorted(rows) if n in there]
    if options.write:
        PAGE.write_text(page(listed, len(there)))
    return 0 if all(map(good, measured if options.words else listed)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
