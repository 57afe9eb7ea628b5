"""What the tests of PyTorch programs share: the oracle, a function as a module, and its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the oracle, torch, is not installed")
F = torch.nn.functional
nn = torch.nn


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def floats(*shape: int, seed: int = 0) -> Any:
    """Normally distributed float32 of a shape, the same ones for a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
