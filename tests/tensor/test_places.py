"""Errors say what was called, on what, and on which line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

X = fl.ones((2, 3))


def gone() -> Any:
    x = fl.ones((2, 3))
    fl.dispose(x)
    return x


def escaped() -> Any:
    held: list[Any] = []

    def keeps(x: Any) -> Any:
        held.append(x)
        return x * 2

    fl.jit(keeps)(X)
    return held[0]


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        (lambda: gone() + 1, "E-TENSOR-002", ("add, ", "f32[2, 3]")),
        (lambda: fl.relu(gone()), "E-TENSOR-002", ("relu, ", "f32[2, 3]")),
        (lambda: fl.layer_norm(gone(), 1.0, 0.0), "E-TENSOR-002", ("f32[2, 3]",)),
        (lambda: gone().numpy(), "E-TENSOR-002", ("numpy, ",)),
        (lambda: escaped().numpy(), "E-TENSOR-003", ("was traced", "numpy, ")),
        (lambda: escaped() + 1, "E-TENSOR-004", ("f32[2, 3]",)),
        (lambda: X[5], "E-TENSOR-007", ("x[...]", "-2 to 1, for f32[2, 3]", "5")),
        (lambda: X[0, 9], "E-TENSOR-007", ("x[...]", "f32[2, 3]", "(0, 9)")),
        (lambda: X[np.ones(5, bool)], "E-TENSOR-007", ("x[...]", "f32[2, 3]")),
        (lambda: X[0, 0, 0], "E-TENSOR-007", ("at most 2 dims for f32[2, 3]",)),
        (lambda: fl.squeeze(X, 0), "E-OP-005", ("squeeze axis", "0 of f32[2, 3]")),
        (lambda: fl.set_backend("gpu"), "E-TENSOR-012", ("fl.set_backend",)),
    ],
)
def test_where_it_happened(call: Callable[[], Any], code: str, words: tuple[str, ...]) -> None:
    with pytest.raises(FanlightError) as caught:
        call()
    text = str(caught.value)
    assert caught.value.code == code, text
    assert "test_places.py:" in text, text
    for word in words:
        assert word in text, text
