"""Where the randomness of layers and steps comes from: see fanlight/tensor/seeds.py."""

from __future__ import annotations

from fanlight.tensor.seeds import count, fresh, generator, set_random_seed

__all__ = ["count", "fresh", "generator", "set_random_seed"]
