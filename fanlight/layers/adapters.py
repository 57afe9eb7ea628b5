"""Low-rank adapters (LoRA) of Keras in .h5 files: what they add to a weight becomes part of it.

Keras writes the sum into .keras files, and the weight with both factors into .h5 files.
Source: Hu et al. 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.formats.keras.call import LORA, lora_scale
from fanlight.layers.places import Stored


def adapters(description: Any) -> dict[str, float]:
    """Layer -> by what the product of its factors is multiplied, of a model's description."""
    found: dict[str, float] = {}
    stack = [description]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            scale = lora_scale(item)
            if scale is not None:
                found[str(item.get("name"))] = scale
            stack += item.values()
        elif isinstance(item, list):
            stack += item
    return found


def merged(arrays: Sequence[Stored], scales: Mapping[str, float]) -> list[Stored]:
    """The weights of a layer, or of those inside a model, with their factors multiplied into them.

    Keras orders weights that train first, which one with factors does not: it goes to the first
    place of its layer again.
    """
    by_name = {a.name.split(":")[0]: a for a in arrays}
    moved: set[str] = set()
    gone: set[int] = set()
    first: dict[str, Stored] = {}
    for name in by_name:
        owner, _, own = name.rpartition("/")
        factors = [by_name.get(f"{owner}/lora_{own}_{end}") for end in "ab"]
        layer = owner.rpartition("/")[2]
        if own not in LORA or layer not in scales or None in factors:
            continue
        first[owner] = _sum(by_name[name], factors, scales[layer])
        gone |= {id(by_name[name]), *map(id, factors)}
    made: list[Stored] = []
    for array in arrays:
        owner = array.name.split(":")[0].rpartition("/")[0]
        if owner in first and owner not in moved:
            moved.add(owner)
            made.append(first[owner])
        if id(array) not in gone:
            made.append(array)
    return made


def _sum(base: Stored, factors: Sequence[Any], scale: float) -> Stored:
    a, b = factors
    fits = (
        len(a.shape) == len(base.shape)
        and len(b.shape) == 2
        and a.shape[:-1] == base.shape[:-1]
        and (a.shape[-1], base.shape[-1]) == tuple(b.shape)
    )
    if not fits:  # which the weights of the model do not fit either
        return a

    def load() -> np.ndarray:
        wide = [np.asarray(x.load(), np.float32) for x in (base, a, b)]
        return wide[0] + np.float32(scale) * np.matmul(wide[1], wide[2])

    return Stored(base.name, base.shape, load)


__all__ = ["adapters", "merged"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
