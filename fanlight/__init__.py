"""Fanlight: build machine-learning models in Python, run them in the browser."""

from __future__ import annotations

__version__ = "0.1.0"

from fanlight.errors import FanlightError

__all__ = ["FanlightError"]
