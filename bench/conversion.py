"""The converter: what it weighs once installed, how long it takes, how much memory it needs.

Sizes and times of the old converter are those of a machine with TensorFlow: see `_OLD`.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np

from bench.networks import ROOT

ROUNDS = 7
MB = 1e6
_OLD = {"install, MB": 2900, "MobileNet v2, s": 6}  # tensorflowjs 4.22 with TensorFlow 2.19
_SIDE, _LAYERS = 4096, 8  # 8 square matrices of 64 MiB: 537 MB

_NETWORK = """
import sys, keras
keras.applications.MobileNetV2(weights=None).save(sys.argv[1])
"""
_PEAK = """
import sys
import fanlight as fl
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
fl.convert  # imports are no memory of the model
before = peak()
fl.convert(sys.argv[1], sys.argv[2], to=sys.argv[3])
print("peak", peak() - before)
"""


def measure(out: Path) -> list[dict[str, Any]]:
    """The rows of the table; `out` is a folder for what is made on the way, which is emptied."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    try:
        return [*_installed(out), *_mobilenet(out), *_memory(out)]
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _row(what: str, found: float, goal: float, old: float | None = None) -> dict[str, Any]:
    return {"figure": what, "fanlight": found, "goal": goal, "old": old, "ok": found <= goal}


# --- what is installed ----------------------------------------------------------------------------


def _installed(out: Path) -> list[dict[str, Any]]:
    """Each extra in an empty environment, from a wheel: bytes and seconds."""
    _run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(out), str(ROOT))
    (wheel,) = out.glob("fanlight-*.whl")
    rows = []
    for extra, goal, seconds in (("keras", 170, 15), ("all", 250, None)):
        folder = out / extra
        venv.create(folder, with_pip=True)
        python = folder / "bin" / "python"
        before = _bytes(folder)
        start = time.perf_counter()
        _run(str(python), "-m", "pip", "install", "-q", f"{wheel}[{extra}]")
        took = time.perf_counter() - start
        old = _OLD["install, MB"] if extra == "keras" else None
        rows.append(_row(f"fanlight[{extra}], MB", (_bytes(folder) - before) / MB, goal, old))
        if seconds:
            rows.append(_row(f"fanlight[{extra}], s to install", took, seconds))
        shutil.rmtree(folder)
    return rows


def _bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink())


# --- how long -------------------------------------------------------------------------------------


def _mobilenet(out: Path) -> list[dict[str, Any]]:
    """`fanlight convert` as a command, .keras to TF.js: medians of wall and processor time."""
    source = out / "mobilenet.keras"
    _run(sys.executable, "-c", _NETWORK, str(source), env={"KERAS_BACKEND": "jax"})
    walls, processor = [], []
    for _ in range(ROUNDS):
        shutil.rmtree(out / "web", ignore_errors=True)
        start, used = time.perf_counter(), _used()
        _run(sys.executable, "-m", "fanlight", "convert", str(source), str(out / "web"))
        walls.append(time.perf_counter() - start)
        processor.append(_used() - used)
    old = _OLD["MobileNet v2, s"]
    return [
        _row("MobileNet v2 .keras to TF.js, s", statistics.median(walls), 2, old),
        _row("the same, s of processor time", statistics.median(processor), 2),
    ]


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# --- how much memory ------------------------------------------------------------------------------


def _memory(out: Path) -> list[dict[str, Any]]:
    """Half a gigabyte into TF.js and into a bundle: the peak beyond the interpreter, over the size
    of the model.
    """
    rows = []
    for name, make in (("SavedModel", _saved_model), ("ONNX", _onnx)):
        source = make(out / f"large_{name.lower()}")
        size = _bytes(source) if source.is_dir() else _bytes(source.parent)
        for kind in ("tfjs-graph", "bundle"):
            text = _run(sys.executable, "-c", _PEAK, str(source), str(out / "web"), kind)
            found = re.search(r"peak (\d+)", text)
            assert found, text
            what = f"peak memory, {name} of {size / MB:.0f} MB to {kind}, times"
            rows.append(_row(what, int(found[1]) / size, 1.5))
            shutil.rmtree(out / "web")
        shutil.rmtree(source if source.is_dir() else source.parent)
    return rows


def _matrices() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    shape = (_SIDE, _SIDE)
    return {f"w{i}": rng.standard_normal(shape, np.float32) / _SIDE for i in range(_LAYERS)}


def _onnx(folder: Path) -> Path:
    """A chain of matrix products, its weights in a file beside it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir()
    given = _matrices()
    names = ["x", *(f"h{i}" for i in range(_LAYERS - 1)), "y"]
    nodes = [
        helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]) for i in range(_LAYERS)
    ]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", _SIDE]) for n in ("x", "y")
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in given.items()]
    graph = helper.make_graph(nodes, "large", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    path = folder / "model.onnx"
    onnx.save_model(model, str(path), save_as_external_data=True, location="model.data")
    return path


def _saved_model(folder: Path) -> Path:
    """The same as TensorFlow 2 would save it."""
    from tests.formats.savedmodels import chain

    return chain(folder, _matrices())


def _run(*command: str, env: dict[str, str] | None = None) -> str:
    """What a command printed; it must succeed."""
    place = {**os.environ, **(env or {})}
    done = subprocess.run(command, cwd=ROOT, env=place, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]}\n{done.stderr[-2000:]}")
    return done.stdout
