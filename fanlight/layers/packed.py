"""Weights that Keras quantised (`model.quantize("int8")`, "int4", "float8"), as the float32 numbers
that they stand for.

Keras keeps beside such a weight what its whole numbers mean. In the order of a .keras file:

- int8: kernel, bias, scale. The weight is kernel / scale, one scale per channel of the result.
- int4: the same with two numbers to a byte, the first in the low half. In groups of rows, which is
  what Keras does unless it is told otherwise: kernel, bias, scale, zero, g_idx; the weight is
  (kernel - zero[g]) * scale[g], g_idx[i] being the group of row i.
- float8: the kernel itself, and six numbers and histories for training.

Keras 3.15 packs int4 along the last dim, kernels of EinsumDense as matrices; Keras up to 3.12 along
the dim that is summed over. The sizes tell which it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from string import ascii_lowercase
from typing import Any, NamedTuple

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers.attention import Projection
from fanlight.layers.core import EinsumDense
from fanlight.layers.layer import Layer
from fanlight.layers.places import Stored, kept, own_weights, walked

_WHOLE = "int8"
# inputs, kernel and gradients of outputs: a scale, and a history of largest values
_FLOAT8_EXTRAS = 6
_FLOAT8_NAMES = ("inputs_scale", "outputs_grad_scale")
_SUFFIXES = ("_scale", "_zero")

_NOTE = (
    "{count} weights were quantised ({kinds}): they are read as the float32 numbers "
    "that they stand for. {more}"
)
_ROUNDED = (
    "Keras also rounds what goes into such layers to 8 bits at each call, which is not done here: "
    "answers differ from Keras's by that, and are nearer to those of the model before."
)
_EXACT = "Keras computes with the same numbers."
_GROUPED = "int4 in groups"


class _Parts(NamedTuple):
    """A quantised weight of a file: whole numbers, and what they mean."""

    whole: Stored
    scale: Stored
    zero: Stored | None = None
    groups: Stored | None = None


def quantized_policy(dtype: Any) -> Any:
    """The policy that a layer had before Keras quantised it, of a description of its policy; None
    if it is not quantised in a way that is read.
    """
    if isinstance(dtype, str):
        mode, found, source = dtype.partition("_from_")
        return source if found and _mode(mode) else None
    inner = dtype.get("config") if isinstance(dtype, dict) else None
    if not isinstance(inner, dict):
        return None
    if "policy_map" in inner:  # a policy for each layer inside; weights tell theirs
        default = inner.get("default_policy", "float32")
        return quantized_policy(default) or default
    if "mode" in inner and _mode(inner["mode"]):
        return inner.get("source_name") or "float32"
    named = inner.get("name")
    return quantized_policy(named) if isinstance(named, str) else None


def _mode(mode: Any) -> str:
    """int8, int4 or float8 of a mode such as "int4/128"; "" for others."""
    base = str(mode).partition("/")[0]
    return base if base in ("int8", "int4", "float8") else ""


# --- by position: .keras and .weights.h5 files ----------------------------------------------------


def by_position(model: Layer, stored: dict[str, Stored]) -> tuple[dict[str, Stored], str | None]:
    """The arrays of a file with those of quantised layers as float32, and what to say of it.

    Args:
        stored: path -> array: "layers/dense/vars/0".

    Raises:
        FanlightError: E-LAYER-006 the parts of a quantised weight do not fit each other.
    """
    made, kinds = dict(stored), list[str]()
    for path, _, layer in walked(model):
        prefix = f"{path}/vars" if path else "vars"
        arrays: list[Stored] = []
        while f"{prefix}/{len(arrays)}" in stored:
            arrays.append(stored[f"{prefix}/{len(arrays)}"])
        weights = own_weights(layer)
        if len(arrays) <= len(weights):
            continue
        kind = _kind(arrays, len(weights))
        if kind is None:
            continue
        for i in range(len(arrays)):
            del made[f"{prefix}/{i}"]
        if kind == "float8":
            kinds.append(kind)
            arrays = arrays[: len(weights)]
        else:
            arrays = _decoded(layer, weights, arrays, kinds)
        for i, one in enumerate(arrays):
            made[f"{prefix}/{i}"] = one
    return made, note(kinds)


def note(kinds: Sequence[str]) -> str | None:
    """What to say of layers that were quantised in these ways."""
    if not kinds:
        return None
    rounded = set(kinds) - {_GROUPED}
    return _NOTE.format(
        count=len(kinds),
        kinds=", ".join(sorted(set(kinds))),
        more=_ROUNDED if rounded else _EXACT,
    )


def _kind(arrays: Sequence[Stored], weights: int) -> str | None:
    """How the arrays of a layer were quantised, if they were."""
    if any(a.dtype == _WHOLE and len(a.shape) > 1 for a in arrays):
        return _WHOLE
    extra = arrays[weights:]
    ranks = [len(a.shape) for a in extra]
    return "float8" if ranks == [0, 1] * (_FLOAT8_EXTRAS // 2) else None


def _decoded(
    layer: Layer, weights: Sequence[Any], arrays: Sequence[Stored], kinds: list[str]
) -> list[Stored]:
    """The arrays of a layer as its weights are, of what .keras files have in their place; how
    they were quantised is added to `kinds`.
    """
    left = list(arrays)
    bias = [w for w in weights if w.name == "bias"]
    groups: Stored | None = None
    made: list[Stored] = []
    for weight in weights:
        if weight.name == "bias" or not left:
            continue
        whole = left.pop(0)
        behind = [left.pop(0)] if bias and left else []
        if whole.dtype == _WHOLE and left:
            scale, zero = left.pop(0), None
            if left and left[0].shape == scale.shape:
                zero = left.pop(0)
                if left and left[0].dtype != _WHOLE and len(left[0].shape) == 1:
                    groups = left.pop(0)  # a table and its reverse share them
            parts = _Parts(whole, scale, zero, groups)
            kinds.append(_told(weight, parts))
            whole = _real(layer, weight, parts)
        made += [whole, *behind]
    return [*made, *left]


# --- by name: .h5 files ---------------------------------------------------------------------------


def by_name(
    tops: Mapping[str, Layer], layers: Sequence[tuple[str, list[Stored]]]
) -> tuple[list[tuple[str, list[Stored]]], str | None]:
    """As `by_position`, of arrays that an .h5 file keeps by the names of layers.

    Keras orders weights that train first, which a quantised one does not: it goes to the first
    place of its layer.

    Args:
        tops: a group of the file -> the layer that gets its arrays. Names in a group are relative
            to it, and layers inside of others may have the same ones.
        layers: groups with their arrays.
    """
    made: list[tuple[str, list[Stored]]] = []
    kinds: list[str] = []
    for name, arrays in layers:
        top = tops.get(name)
        places = [] if top is None else _places(top)
        owners: dict[str, dict[str, Stored]] = {}
        for one in arrays:
            owner, _, own = one.name.split(":")[0].rpartition("/")
            owners.setdefault(owner, {})[own] = one
        for owner, held in owners.items():
            whole = [k for k, v in held.items() if v.dtype == _WHOLE and f"{k}_scale" in held]
            layer = _owner(owner, places)
            if layer is None or not (whole or "inputs_amax_history" in held):
                continue
            if not whole:
                kinds.append("float8")
            left = {k: v for k, v in held.items() if not _extra(k, held)}
            for own in whole:
                weight = next((w for w in layer._weights if w.name == own), None)
                if weight is not None:  # else what the weights are given to says so
                    scale, zero = held[f"{own}_scale"], held.get(f"{own}_zero")
                    parts = _Parts(held[own], scale, zero, held.get("g_idx"))
                    kinds.append(_told(weight, parts))
                    left[own] = _real(layer, weight, parts)
            owners[owner] = {**{k: left[k] for k in whole}, **left}
        made.append((name, [one for held in owners.values() for one in held.values()]))
    return (made, note(kinds)) if kinds else (list(layers), None)


def _extra(name: str, held: dict[str, Stored]) -> bool:
    """Whether an array is there for the sake of a quantised weight."""
    whole = name.endswith(_SUFFIXES) and name.rpartition("_")[0] in held
    return whole or name == "g_idx" or name in _FLOAT8_NAMES or name.endswith("_amax_history")


def _places(top: Layer) -> list[tuple[str, Layer]]:
    """A layer and those in it that have weights of their own, by the names down to them."""
    return [
        ("/".join((top.name, *chain)), layer) for _, chain, layer in walked(top) if layer._weights
    ]


def _owner(owner: str, places: Sequence[tuple[str, Layer]]) -> Layer | None:
    """The layer that a name in a file means: the last of its parts, among nested ones the most."""
    parts = owner.split("/")

    def alike(chain: str) -> int:
        names = chain.split("/")
        count = 0
        while count < min(len(names), len(parts)) and names[-1 - count] == parts[-1 - count]:
            count += 1
        return count

    best = max(places, key=lambda place: alike(place[0]), default=None)
    return best[1] if best is not None and alike(best[0]) else None


# --- numbers --------------------------------------------------------------------------------------


def _told(weight: Any, parts: _Parts) -> str:
    """How a weight was quantised, in words."""
    if parts.zero is not None:
        return _GROUPED
    return _WHOLE if parts.whole.shape == tuple(weight.shape) else "int4"


def _real(layer: Layer, weight: Any, parts: _Parts) -> Stored:
    """A quantised weight as float32, of the shape that the layer has it in."""
    shape = tuple(weight.shape)
    made = None
    if prod(shape) <= 2 * prod(parts.whole.shape):
        whole, scale = parts.whole.load(), parts.scale.load()
        zero, groups = (None if p is None else p.load() for p in (parts.zero, parts.groups))
        with np.errstate(all="ignore"):
            table = weight.name == "embeddings"
            letters = _equation(layer)
            made = dequantized(
                whole, scale, zero, groups, shape=shape, table=table, equation=letters
            )
    if made is None or not np.isfinite(made).all():
        raise FanlightError(
            "E-LAYER-006",
            "the parts of a quantised weight do not fit each other or the layer.",
            where=f"{weight.name} of layer {layer.name!r} ({type(layer).__name__})",
            expected=f"whole numbers for {list(shape)}, one or two to a byte, with a scale other "
            "than 0 for each channel, or for each group of rows",
            received=", ".join(f"{p.name} {list(p.shape)}" for p in parts if p is not None),
            next="save the model again, with the newest Keras; or before it is quantised.",
        )
    return Stored(parts.whole.name, shape, kept(made))


def _equation(layer: Layer) -> tuple[str, str] | None:
    """Of a layer that computes an einsum, the letters of its kernel and of its result."""
    if isinstance(layer, Projection):
        letters = ascii_lowercase[: layer.bound + len(layer.out)]
        return letters, "..." + letters[layer.bound :]
    return (layer._w, layer._y) if isinstance(layer, EinsumDense) else None


def dequantized(
    whole: np.ndarray,
    scale: np.ndarray,
    zero: np.ndarray | None,
    groups: np.ndarray | None,
    *,
    shape: tuple[int, ...],
    table: bool,
    equation: tuple[str, str] | None,
) -> np.ndarray | None:
    """What whole numbers stand for; None if they do not fit.

    Args:
        whole: float32, whole numbers of a byte, or bytes of two numbers each.
        scale: one number per channel, or, with `zero`, per group and channel.
        groups: the group of each row, float32; None: groups of one size.
        shape: of the result.
        table: whether rows have the scales, not columns.
        equation: letters of kernel and result, of an einsum.
    """
    form: tuple[int, ...]
    axes: tuple[int, ...]
    if equation is None:
        form, axes = shape, (1, 0)
        if len(form) != 2:
            return None
    else:
        kernel, result = equation
        summed = [i for i, letter in enumerate(kernel) if letter not in result]
        if zero is None and scale.ndim > 1:  # by the letters of the result
            spread = _spread(scale, shape, kernel, result)
            whole_numbers = _unpacked(whole, shape, tuple(summed[:1]))
            if spread is None or whole_numbers is None:
                return None
            return np.asarray(whole_numbers / spread, np.float32)
        rows = prod(shape[i] for i in summed)
        form, axes = (rows, prod(shape) // max(rows, 1)), (1,)
    numbers = _unpacked(whole, form, axes)
    if numbers is None:
        return None
    channels, length = (form[0], form[1]) if table else (form[1], form[0])
    if zero is None:
        if scale.shape != (channels,):
            return None
        made = numbers / (scale[:, None] if table else scale)
    else:
        axis = 1 if table else 0
        if scale.ndim != 2 or scale.shape[1 - axis] != channels or zero.shape != scale.shape:
            return None
        count = scale.shape[axis]
        if groups is None:
            return None
        if groups.shape != (length,) or not ((groups >= 0) & (groups < count)).all():
            return None
        group = groups.astype(np.int64)
        made = (numbers - np.take(zero, group, axis)) * np.take(scale, group, axis)
    return np.asarray(made, np.float32).reshape(shape)


def _spread(
    scale: np.ndarray, shape: tuple[int, ...], kernel: str, result: str
) -> np.ndarray | None:
    """A scale that multiplies the result of an einsum, in the dims of the kernel."""
    letters = [letter for letter in result.replace("...", "") if letter in kernel]
    sizes = dict(zip(kernel, shape, strict=True))
    if scale.size != prod(sizes[letter] for letter in letters):
        return None
    held = scale.reshape([sizes[letter] for letter in letters])
    held = held.transpose([letters.index(letter) for letter in kernel if letter in letters])
    return held.reshape([sizes[letter] if letter in letters else 1 for letter in kernel])


def _unpacked(whole: np.ndarray, form: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray | None:
    """Whole numbers of this form, of bytes with one or, along one of these axes, two each."""
    if whole.shape == form and not (whole.size and 0 <= whole.min() <= whole.max() <= 15):
        return whole
    for axis in axes:
        halved = [(n + 1) // 2 if i == axis else n for i, n in enumerate(form)]
        if list(whole.shape) == halved:
            low, high = _signed(whole), _signed(np.floor(whole / 16))
            both = np.stack([low, high], axis + 1)
            doubled = [2 * n if i == axis else n for i, n in enumerate(halved)]
            kept_part = [slice(0, n) for n in form]
            return both.reshape(doubled)[tuple(kept_part)]
    return whole if whole.shape == form else None


def _signed(numbers: np.ndarray) -> np.ndarray:
    """The lowest 4 bits of whole numbers, -8 to 7."""
    return np.mod(numbers + 8, 16) - 8


__all__ = ["by_name", "by_position", "dequantized", "note", "quantized_policy"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
