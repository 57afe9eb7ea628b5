"""Weights that PyTorch keeps in parts: weight_norm and spectral_norm, put together as it does.

Both have an old form (`weight_g` and `weight_v` beside the bias) and one of parametrizations
(`parametrizations.weight.original0`). Others have a program of their own, which no file tells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from fanlight.errors import FanlightError

_NEW = re.compile(r"(?:(.*)\.)?parametrizations\.([^.]+)\.(original\d?|0\._[uv])")
_OLD = re.compile(r"(.*)_(g|v|u|orig)")
_NORM, _SPECTRAL, _ONE = {"g", "v"}, {"w", "u", "v"}, {"w"}
# What a part is called in either form; the v of spectral_norm is another one than weight_norm's.
_PARTS = {"original0": "g", "original1": "v", "original": "w", "0._u": "u", "0._v": "v",
          "orig": "w"}  # fmt: skip


def put_together(
    read: Mapping[str, np.ndarray], where: object
) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, ...]]]:
    """A state dict whose weights are whole, in its order; and of which names each was made.

    Raises:
        FanlightError: E-LAYER-006 a parametrization that is neither.
    """
    parts: dict[str, dict[str, str]] = {}  # weight -> its parts -> their names
    for name in read:
        new, old = _NEW.fullmatch(name), _OLD.fullmatch(name)
        if new:
            whole = f"{new[1]}.{new[2]}" if new[1] else new[2]
            parts.setdefault(whole, {})[_PARTS[new[3]] if new[3] in _PARTS else new[3]] = name
        elif old and old[1] not in read:
            parts.setdefault(old[1], {})[_PARTS.get(old[2], old[2])] = name
    made = {w: _whole(p, read) for w, p in parts.items()}
    whole_of = {n: w for w, p in parts.items() if made[w] is not None for n in p.values()}
    unknown = [n for n in read if ".parametrizations." in f".{n}" and n not in whole_of]
    if unknown:
        raise FanlightError(
            "E-LAYER-006",
            "a weight is parametrized, and its parts do not tell how.",
            where=where,
            expected="weight_norm, or spectral_norm; of one weight one of them",
            received=", ".join(unknown[:6]),
            next="put the weight together in PyTorch: torch.nn.utils.parametrize."
            "remove_parametrizations(module, 'weight').",
        )
    result: dict[str, np.ndarray] = {}
    for name, array in read.items():
        whole = whole_of.get(name, name)
        found = made.get(whole) if name in whole_of else array
        if found is not None:
            result.setdefault(whole, found)
    return result, {w: tuple(parts[w].values()) for w in dict.fromkeys(whole_of.values())}


def _whole(parts: Mapping[str, str], read: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The weight that parts make; None if they make none."""
    found = {part: read[name] for part, name in parts.items()}
    if set(found) == _NORM:
        return _weight_norm(found["g"], found["v"])
    if set(found) == _SPECTRAL:
        return _spectral_norm(found["w"], found["u"], found["v"])
    if set(found) == _ONE and found["w"].ndim == 1:  # of a vector it is its length
        length = max(float(np.sqrt(np.square(found["w"]).sum())), 1e-12)
        return np.asarray(found["w"] / np.float32(length))
    return None


def _weight_norm(g: np.ndarray, v: np.ndarray) -> np.ndarray | None:
    """g * v / |v|; the length is along all dims but those of g (one, as a rule)."""
    if g.ndim not in (0, v.ndim) or any(a not in (1, b) for a, b in zip(g.shape, v.shape)):
        return None
    axes = tuple(a for a in range(v.ndim) if not g.ndim or g.shape[a] == 1)
    with np.errstate(all="ignore"):
        length = np.sqrt(np.square(v).sum(axes, keepdims=True))
        return np.asarray(v * (g / length), v.dtype)


def _spectral_norm(w: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray | None:
    """w / sigma, where sigma = u w v. Outputs are the rows of w: of its first dim, or, of
    transposed convolutions, of its second one.
    """
    found: list[tuple[float, float]] = []  # how far v is off, and sigma
    for dim in range(min(w.ndim, 2)):
        matrix = np.moveaxis(w, dim, 0).reshape(w.shape[dim], -1)
        if matrix.shape == (u.size, v.size):
            # In training v was made of u, so that a square w shows which dim it was.
            back = matrix.T @ u.reshape(-1)
            off = np.abs(back / max(float(np.linalg.norm(back)), 1e-12) - v.reshape(-1)).max()
            found.append((float(off), float(u.reshape(-1) @ matrix @ v.reshape(-1))))
    if not found:
        return None
    with np.errstate(all="ignore"):
        return np.asarray(w / np.float32(min(found)[1]), w.dtype)
