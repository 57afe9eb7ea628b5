"""Weight shards that travel as float16 and lie in memory as float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

HALF = "f16"
# Bytes of a shard come in groups that the module expands in one step: eight halves.
GROUP_BYTES = 16


def is_half(shard: Mapping[str, Any]) -> bool:
    """Whether a shard's manifest entry says that its bytes are float16."""
    return shard.get("encoding") == HALF


def place_bytes(shard: Mapping[str, Any]) -> int:
    """Bytes that a shard fills in memory."""
    return shard["bytes"] * (2 if is_half(shard) else 1)


def to_halves(image: np.ndarray) -> np.ndarray:
    """A memory image of float32 values that float16 has (uint8) as float16 (uint8)."""
    return image.view("<f4").astype("<f2").view(np.uint8)


def image_of(shard: Mapping[str, Any], data: bytes) -> np.ndarray:
    """What a shard's bytes are in memory, uint8."""
    raw = np.frombuffer(data, np.uint8)
    return raw.view("<f2").astype("<f4").view(np.uint8) if is_half(shard) else raw
