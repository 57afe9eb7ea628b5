"""One bundle with results of every family of the Core API, and what they are on other hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl

RNG = np.random.default_rng(8)
INPUTS: dict[str, np.ndarray] = {
    "x": (RNG.permutation(60).reshape(3, 4, 5) * 0.25 - 7).astype(np.float32),
    "square": (RNG.normal(0, 1, (2, 4, 4)) + 4 * np.eye(4)).astype(np.float32),
    "image": RNG.normal(0, 1, (1, 6, 7, 3)).astype(np.float32),
    "signal": RNG.normal(0, 1, (2, 12)).astype(np.float32),
    "places": np.int32([[0, 1], [2, 3], [0, 1], [1, 0], [2, 2]]),
    "boxes": np.float32(
        [[0, 0, 4, 4], [0, 1, 4, 5], [5, 5, 9, 9], [5, 5, 8, 9], [0, 6, 2, 9], [1, 1, 3, 3]]
    ),
    "scores": np.float32([0.5, 0.75, 0.625, 0.875, 0.25, 0.125]),
    "key": np.int32([123, -456]),
}
# What is the same to the last bit everywhere: whole numbers, and floats that are only moved.
EXACT = {
    *("sorted", "order", "top", "top_places", "scattered", "counts", "running_count"),
    *(
        "running_max",
        "bits",
        "drawn",
        "kept",
        "picked",
        "where_most",
        "any_large",
        "shifted",
        "found",
    ),
}


def families(
    x: Any, square: Any, image: Any, signal: Any, places: Any, boxes: Any, scores: Any, key: Any
) -> dict[str, Any]:
    """Results by name."""
    top, top_places = fl.top_k(x, 3)
    # The kernel of the convolution is computed, and so no weight.
    kernel = fl.tanh(fl.reshape(signal[0] * 2.0, (2, 2, 3, 1))) * fl.tensor([[1.0, -0.5]])
    q, r = fl.linalg.qr(square)
    values, _ = fl.linalg.eigh(fl.matmul(square, fl.transpose(square, (0, 2, 1))))
    spectrum = fl.fft(signal)
    whole = fl.cast(fl.floor(x), "int32")
    return {
        "sorted": fl.sort(x, descending=True),
        "order": fl.argsort(x, axis=1),
        "top": top,
        "top_places": top_places,
        "scattered": fl.tensor_scatter_update(fl.zeros((3, 4)), places, scores[:5]),
        "added": fl.scatter_nd(places, signal[0, :5], (3, 4)),
        "counts": fl.bincount(places[:, 1], size=4),
        "running_sum": fl.cumsum(x, axis=1, exclusive=True),
        "running_count": fl.cumsum(whole, axis=0, reverse=True),
        "running_max": fl.cummax(x, axis=-1),
        "solved": fl.linalg.solve(square, fl.transpose(x[:2], (0, 1, 2))),
        "determinant": fl.linalg.det(square),
        "restored": fl.matmul(q, r),
        "eigenvalues": values,
        "real": fl.real(spectrum),
        "back": fl.irfft(fl.rfft(signal)),
        "bits": fl.random.bits((3, 5), key=key),
        "drawn": fl.random.uniform_int((7,), 0, 100, key=key),
        "normal": fl.random.normal((9,), key=key),
        "convolved": fl.conv2d(image, kernel, padding="same"),
        "transposed": fl.conv2d_transpose(
            image, fl.reshape(fl.sin(signal), (2, 2, 2, 3)), (1, 12, 14, 2), 2, "same"
        ),
        "kept": fl.image.non_max_suppression_padded(boxes, scores, 4, 0.5)[0],
        "picked": fl.gather_nd(x, places),
        "product": fl.einsum("bik,bjk->bij", x, x + 1.0),
        "shares": fl.softmax(x, axis=1),
        "mean": fl.mean(x, axis=(0, 2)),
        "where_most": fl.arg_max(x, axis=2),
        "any_large": fl.any(x > 6.0, axis=1),
        "shifted": fl.left_shift(whole, 3),
        "found": fl.search_sorted(fl.sort(signal), signal[:, ::3]),
    }


def write_families(folder: Path) -> None:
    """The bundle, and inputs.json with its inputs."""
    specs = {name: fl.spec(a.shape, a.dtype.name) for name, a in INPUTS.items()}
    fl.build(families, folder, inputs=specs).close()
    inputs = {n: [a.dtype.name, a.reshape(-1).astype(float).tolist()] for n, a in INPUTS.items()}
    (folder / "inputs.json").write_text(json.dumps(inputs), encoding="utf-8")


# An expression of an async function (simd, load) => results, for any browser.
JOURNEY = """async (simd, load) => {
  const types = { float32: Float32Array, int32: Int32Array };
  const given = await (await fetch('families/inputs.json')).json();
  const model = await load('families', { simd, variants: [], threads: 1, cache: false });
  if (model.info.simd !== simd) throw new Error(`runs with ${model.info.simd} SIMD`);
  const inputs = Object.fromEntries(Object.entries(given).map(
    ([name, [dtype, data]]) => [name, types[dtype].from(data)]));
  let first;
  for (let i = 0; i < 3; i++) {
    const outputs = await model.run(inputs);
    const answer = JSON.stringify(Object.fromEntries(
      Object.entries(outputs).map(([name, { data, shape }]) => [name, [shape, [...data]]])));
    first ??= answer;
    if (answer !== first) throw new Error(`call ${i} gave something else`);
  }
  model.dispose();
  return JSON.parse(first);
}"""


def same_as_elsewhere(found: dict[str, Any]) -> None:
    """The answers of a page are those of fl.jit and of the eager function."""
    eager = {name: y.numpy() for name, y in families(**tensors()).items()}
    compiled = {n: y.numpy() for n, y in fl.jit(families)(**tensors()).items()}
    assert set(found) == set(eager) == set(compiled)
    for name, (shape, numbers) in found.items():
        for host, want in (("jit", compiled[name]), ("eager", eager[name])):
            assert tuple(shape) == want.shape, name
            got = np.array(numbers, want.dtype).reshape(shape)
            if name in EXACT:
                assert got.tobytes() == np.ascontiguousarray(want).tobytes(), (name, host)
            else:
                scale = max(1.0, float(np.abs(want).max()))
                np.testing.assert_allclose(
                    got, want, rtol=0, atol=2e-5 * scale, err_msg=f"{name}, {host}"
                )


def tensors() -> dict[str, Any]:
    return {name: fl.tensor(a) for name, a in INPUTS.items()}
