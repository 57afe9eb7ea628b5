"""Seeded weights for topologies that came without theirs: for benchmarks and load tests.

Every array depends on its name and shape alone, so two machines (and a peer engine that is
given the same arrays) compute with the same numbers. Their spread keeps activations sane
through deep networks: He et al. 2015 for kernels, near 1 for scales and variances.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from fanlight.formats.emitter import check_size
from fanlight.ops.types import TensorType

_NEAR_ONE = ("gamma", "variance", "scale", "running_std")
# What scales and does not normalise (NoNorm; Sun et al. 2020): sums of branches would only grow.
_ONLY_SCALES = "fakelayernorm/gamma"


def random_array(name: str, shape: Sequence[int]) -> np.ndarray:
    """A float32 array for the weight `name`; what it is for is read off its name and rank."""
    check_size(TensorType(tuple(shape)), name, 1 << 29)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    noise = np.random.Generator(np.random.Philox(seed)).standard_normal(tuple(shape), np.float32)
    last = name.lower()
    if any(part in last for part in _NEAR_ONE):
        mean = 0.5 if last.endswith(_ONLY_SCALES) else 1
        return (mean + 0.1 * np.clip(noise, -3, 3)).astype(np.float32)
    if len(shape) < 2:
        return (0.05 * noise).astype(np.float32)
    # A depthwise kernel [kh, kw, channels, multiplier] sums over its window only.
    window = shape[:2] if "depthwise" in last and len(shape) == 4 else shape[:-1]
    return (noise * math.sqrt(2 / max(1, math.prod(window)))).astype(np.float32)
