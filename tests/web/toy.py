"""Hand-made bundles, small enough to know every answer: what the runtime is tested with.

`write_double`: y = x * w for four floats, weights in two shards, batched.
`write_colours`: classifies a picture by its mean colour (red, green, blue), with free sizes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import wasmtime

from fanlight.web.site import page_files, runtime_files

WEIGHTS = np.array([2.0, 3.0, 5.0, 7.0], np.float32)
COLOURS = ("red", "green", "<b>blue</b>")  # a label is text, never markup

_DOUBLE = """
(module
  (import "fanlight" "memory" (memory 1))
  (func (export "run") (param $first i32) (param $last i32) (param i32 i32)
    (if (i32.and (i32.le_s (local.get $first) (i32.const 0))
                 (i32.gt_s (local.get $last) (i32.const 0)))
      (then
        (if (f32.eq (f32.load (i32.const 2048)) (f32.const 666)) (then unreachable))
        (v128.store (i32.const 3072) {product})))))
"""
_PRODUCT = {
    "relaxed": "(f32x4.relaxed_madd (v128.load (i32.const 2048)) (v128.load (i32.const 1024))"
    " (v128.const f32x4 0 0 0 0))",
    "plain": "(f32x4.mul (v128.load (i32.const 2048)) (v128.load (i32.const 1024)))",
}

# Step 0 sums each channel, step 1 divides and picks the largest. Scores at 2048, top at 2112, 2176.
_COLOURS = """
(module
  (import "fanlight" "memory" (memory 1))
  (func $mean
    (local $i i32) (local $end i32) (local $r i32) (local $g i32) (local $b i32) (local $sum f32)
    (local.set $end (i32.add (i32.const 65536) (i32.mul (i32.const 4)
      (i32.mul (i32.load (i32.const 1024)) (i32.load (i32.const 1028))))))
    (local.set $i (i32.const 65536))
    (loop $pixel
      (if (i32.ne (i32.load8_u offset=3 (local.get $i)) (i32.const 255)) (then unreachable))
      (local.set $r (i32.add (local.get $r) (i32.load8_u (local.get $i))))
      (local.set $g (i32.add (local.get $g) (i32.load8_u offset=1 (local.get $i))))
      (local.set $b (i32.add (local.get $b) (i32.load8_u offset=2 (local.get $i))))
      (br_if $pixel (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4)))
                              (local.get $end))))
    (local.set $sum (f32.add (f32.convert_i32_u (i32.add (local.get $r)
      (i32.add (local.get $g) (local.get $b)))) (f32.load (i32.const 1088))))
    (f32.store (i32.const 2048) (f32.div (f32.convert_i32_u (local.get $r)) (local.get $sum)))
    (f32.store (i32.const 2052) (f32.div (f32.convert_i32_u (local.get $g)) (local.get $sum)))
    (f32.store (i32.const 2056) (f32.div (f32.convert_i32_u (local.get $b)) (local.get $sum))))
  (func $top
    (local $i i32) (local $best i32)
    (loop $next
      (if (f32.gt (f32.load offset=2048 (i32.mul (local.get $i) (i32.const 4)))
                  (f32.load offset=2048 (i32.mul (local.get $best) (i32.const 4))))
        (then (local.set $best (local.get $i))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                             (i32.const 3))))
    (f32.store (i32.const 2112) (f32.load offset=2048 (i32.mul (local.get $best) (i32.const 4))))
    (i32.store (i32.const 2176) (local.get $best)))
  (func (export "run") (param $first i32) (param $last i32) (param i32 i32)
    (local $k i32)
    (local.set $k (local.get $first))
    (loop $step
      (if (i32.lt_s (local.get $k) (local.get $last))
        (then
          (if (i32.eqz (local.get $k)) (then (call $mean)) (else (call $top)))
          (local.set $k (i32.add (local.get $k) (i32.const 1)))
          (br $step))))))
"""


def _tensor(name: str, dtype: str, shape: list[Any], at: int, size: int, batched: bool = False):
    return {
        "name": name, "dtype": dtype, "shape": shape, "offset": at, "bytes": size,
        "batched": batched,
    }  # fmt: skip


def _put(folder: Path, stem: str, suffix: str, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    path = f"{stem}-{digest[:8]}.{suffix}"
    (folder / path).write_bytes(data)
    return {"path": path, "bytes": len(data), "sha256": digest}


def _kernel(name: str) -> dict[str, Any]:
    return {"name": name, "op": name, "source": f"toy/{name}", "flops": 4, "bytes": 32}


def _finish(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    for name, data in runtime_files().items():
        (folder / name).write_bytes(data)
    base = {"fanlight": 1, "producer": "toy", "precision": "f32", "task": None, "dims": {}}
    manifest = {**base, **manifest}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return manifest


def write_double(folder: Path) -> dict[str, Any]:
    """A bundle that multiplies by WEIGHTS; an input of 666 makes the module trap."""
    folder.mkdir(parents=True, exist_ok=True)
    data = WEIGHTS.tobytes()
    shards = [
        {**_put(folder, "weights-1of2", "bin", data[:8]), "offset": 1024},
        {**_put(folder, "weights-2of2", "bin", data[8:]), "offset": 1032},
    ]
    modules = []
    for simd, product in _PRODUCT.items():
        wasm = bytes(wasmtime.wat2wasm(_DOUBLE.replace("{product}", product)))
        modules.append({**_put(folder, f"model-{simd}", "wasm", wasm), "simd": simd})
        modules[-1]["threads"] = False
    return _finish(folder, {
        "name": "double",
        "inputs": [_tensor("x", "float32", [1, 4], 2048, 16, True)],
        "outputs": [_tensor("y", "float32", [1, 4], 3072, 16, True)],
        "memory": {"pages": 1},
        "weights": shards,
        "modules": modules,
        "kernels": [_kernel("mul")],
    })  # fmt: skip


def write_page(folder: Path, samples: list[Path] | None = None) -> None:
    """The page of the bundle in `folder`."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    card = "Says which colour a picture has most of.\nA toy."
    for name, data in page_files(manifest, card=card, samples=samples or []).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)


def write_colours(folder: Path, *, side: int = 256) -> dict[str, Any]:
    """A bundle that classifies pictures of up to `side` x `side`."""
    folder.mkdir(parents=True, exist_ok=True)
    shard = {**_put(folder, "weights-1of1", "bin", np.float32(0).tobytes()), "offset": 1088}
    wasm = bytes(wasmtime.wat2wasm(_COLOURS))
    area = side * side
    module = {**_put(folder, "model-plain", "wasm", wasm), "simd": "plain", "threads": False}
    return _finish(folder, {
        "name": "colours",
        "task": {
            "kind": "classify", "image": "image", "scores": "scores",
            "top_scores": "top_scores", "top_indices": "top_indices", "labels": list(COLOURS),
        },
        "inputs": [_tensor("image", "uint8", ["height", "width", 4], 65536, area * 4)],
        "outputs": [
            _tensor("scores", "float32", [3], 2048, 12),
            _tensor("top_scores", "float32", [1], 2112, 4),
            _tensor("top_indices", "int32", [1], 2176, 4),
        ],
        "dims": {
            "height": {"min": 1, "max": side, "offset": 1024},
            "width": {"min": 1, "max": side, "offset": 1028},
        },
        "memory": {"pages": 1 + -(-area * 4 // 65536)},
        "weights": [shard],
        "modules": [module],
        "kernels": [_kernel("mean"), _kernel("top")],
    })  # fmt: skip
