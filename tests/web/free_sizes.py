"""A function whose batch is free, as a page runs it: a Newton step of a logistic regression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl

MOST = 40
SIZES = (40, 1, 7, 33)


def step(w: Any, x: Any, y: Any) -> dict[str, Any]:
    """One Newton step, and what can be asked of any number of rows."""

    def loss(w: Any) -> Any:
        return fl.mean(fl.log1p(fl.exp(-y * (x @ w)))) + 0.05 * fl.sum(fl.square(w))

    p = fl.sigmoid(x @ w)
    curve = (x * (p * (1.0 - p)).reshape((-1, 1))).T @ x / x.shape[0] + 0.1 * fl.eye(3)
    slope = fl.grad(loss)(w)
    return {
        "w": w - fl.linalg.solve(curve, slope.reshape((3, 1))).reshape((3,)),
        "loss": loss(w),
        "p": p,
        "columns": x.T,
        "best": fl.arg_max(p),
    }


def write_free_sizes(folder: Path) -> None:
    """The bundle: up to MOST rows of three."""
    inputs = {"w": fl.spec((3,)), "x": fl.spec(("rows", 3)), "y": fl.spec(("rows",))}
    fl.build(step, folder, inputs=inputs, dims={"rows": MOST}).close()


def rows(n: int) -> dict[str, np.ndarray]:
    """Inputs of n rows, of numbers that a page makes, too."""
    x = ((np.arange(3 * n) * 7 % 11) / 4 - 1).astype(np.float32).reshape(n, 3)
    y = np.where(np.arange(n) % 3 == 0, -1, 1).astype(np.float32)
    return {"w": np.float32([0.5, -0.25, 0.125]), "x": x, "y": y}


# An expression of an async function (simd, load) => what each number of rows gives, and errors.
JOURNEY = """async (simd, load) => {
  const model = await load('free_sizes', { simd, cache: false });
  const given = (n) => ({
    w: Float32Array.of(0.5, -0.25, 0.125),
    x: Float32Array.from({ length: 3 * n }, (_, i) => (i * 7 % 11) / 4 - 1),
    y: Float32Array.from({ length: n }, (_, i) => (i % 3 ? 1 : -1)),
  });
  const found = {};
  for (const n of SIZES) {
    const outputs = await model.run(given(n));
    found[n] = Object.fromEntries(
      Object.entries(outputs).map(([name, { data, shape }]) => [name, [shape, [...data]]]));
  }
  const said = (inputs) => model.run(inputs).catch(({ code }) => code);
  const errors = [
    await said(given(41)), await said({ ...given(4), y: new Float32Array(3) }),
    await said({ ...given(4), x: new Float32Array(11) }), await said(given(0)),
    await said({ ...given(4), x: { data: new Float32Array(12), shape: [3, 4] } })];
  const { rows } = model.dims;
  model.dispose();
  return { found, errors, most: rows.max };
}""".replace("SIZES", str(list(SIZES)))


def as_eager(answer: dict[str, Any]) -> None:
    """What a page found is what the function gives eagerly, and errors have their codes."""
    assert answer["most"] == MOST
    bad = ["E-WEB-013", "E-WEB-011", "E-WEB-011", "E-WEB-013", "E-WEB-011"]
    assert answer["errors"] == bad
    for n in SIZES:
        results = answer["found"][str(n)]
        for name, want in step(**{k: fl.tensor(a) for k, a in rows(n).items()}).items():
            shape, numbers = results[name]
            assert tuple(shape) == want.shape, (n, name)
            got = np.array(numbers, np.float64).reshape(shape)
            np.testing.assert_allclose(
                got, want.numpy(), rtol=2e-5, atol=2e-5, err_msg=f"{n} {name}"
            )
