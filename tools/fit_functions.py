"""Fit the rational functions of fanlight/ops/functions.py and print their coefficients.

    python tools/fit_functions.py

An odd function is x * P(x^2) / Q(x^2); the fit minimises the largest relative error by reweighted
linear least squares (Lawson 1961, with the denominator of the step before as in Sanathanan &
Koerner 1963). Coefficients are rounded to float32; the printed error is that of float32 arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

# function, limit beyond which float32 rounds it to 1 (or nobody evaluates it), degrees of P and Q
FUNCTIONS: dict[str, tuple[Callable[[float], float], float, int, int]] = {
    "tanh": (math.tanh, 9.0, 4, 4),
    "erf": (math.erf, 4.0, 5, 5),
    "atan": (math.atan, 1.0, 3, 3),
}


def fit(
    function: Callable[[float], float], limit: float, p_degree: int, q_degree: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of P and Q, lowest first, Q starting with 1."""
    count = 4000
    x = np.maximum(limit * (1 - np.cos(np.pi * (np.arange(count) + 0.5) / count)) / 2, 1e-3)
    wanted = np.array([function(v) for v in x]) / x
    powers = (x / limit)[:, None] ** (2 * np.arange(max(p_degree, q_degree) + 1))
    weight, denominator = np.ones(count), np.ones(count)
    best = (math.inf, np.zeros(0), np.zeros(0))
    for _ in range(200):
        w = np.sqrt(weight) / np.abs(wanted * denominator)
        left = np.hstack(
            [powers[:, : p_degree + 1], -wanted[:, None] * powers[:, 1 : q_degree + 1]]
        )
        left *= w[:, None]
        scale = np.linalg.norm(left, axis=0)
        found = np.linalg.lstsq(left / scale, wanted * w, rcond=1e-15)[0] / scale
        p, q = found[: p_degree + 1], np.r_[1, found[p_degree + 1 :]]
        denominator = powers[:, : q_degree + 1] @ q
        error = np.abs(powers[:, : p_degree + 1] @ p / denominator / wanted - 1)
        if error.max() < best[0]:
            best = (
                error.max(),
                p / limit ** (2 * np.arange(p_degree + 1)),
                q / limit ** (2 * np.arange(q_degree + 1)),
            )
        weight *= error / error.max() + 1e-3
        weight /= weight.mean()
    return best[1], best[2]


def float32_error(
    function: Callable[[float], float], limit: float, p: np.ndarray, q: np.ndarray
) -> float:
    """The largest relative error of the fit in float32 arithmetic."""

    def horner(coefficients: np.ndarray, t: np.ndarray) -> np.ndarray:
        total = np.full_like(t, coefficients[-1])
        for c in coefficients[-2::-1]:
            total = total * t + c
        return total

    x = np.r_[np.linspace(1e-6, limit + 1, 200_001), 10 ** np.linspace(-30, 1, 20_001)]
    x = x.astype(np.float32)
    if abs(function(limit) - 1) > 1e-6:
        x = x[x <= limit]
    clipped = np.minimum(x, np.float32(limit))
    t = clipped * clipped
    value = np.minimum(clipped * horner(p, t) / horner(q, t), np.float32(1))
    exact = np.array([function(float(v)) for v in x])
    return float(np.abs(value / exact - 1).max())


def main() -> None:
    """Print what functions.py holds."""
    for name, (function, limit, p_degree, q_degree) in FUNCTIONS.items():
        p, q = (c.astype(np.float32) for c in fit(function, limit, p_degree, q_degree))
        print(f"_{name.upper()}_LIMIT = {limit}")
        for letter, c in (("P", p), ("Q", q)):
            print(f"_{name.upper()}_{letter} = ({', '.join(str(v) for v in c)})")
        print(f"# largest relative error in float32: {float32_error(function, limit, p, q):.1e}")


if __name__ == "__main__":
    main()
