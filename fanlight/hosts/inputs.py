"""What every host does with inputs and outputs: check against the manifest, loop over a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError


@dataclass(frozen=True)
class Items:
    """Inputs split into runs of one item each."""

    arrays: Mapping[str, np.ndarray]
    batch: int | None  # None: the caller gave exactly the declared shapes
    batched: frozenset[str]
    dims: Mapping[str, int]

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        for index in range(1 if self.batch is None else self.batch):
            yield {
                name: array[index : index + 1]
                if self.batch is not None and name in self.batched
                else array
                for name, array in self.arrays.items()
            }

    def join(
        self, manifest: Mapping[str, Any], results: Sequence[Mapping[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """The outputs of all runs: batched outputs are concatenated, others stacked."""
        if self.batch is None:
            return dict(results[0])
        joined = {}
        for tensor in manifest["outputs"]:
            parts = [r[tensor["name"]] for r in results]
            whole = np.concatenate(parts) if tensor["batched"] else np.stack(parts)
            joined[tensor["name"]] = whole
        return joined


def with_alpha(array: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8 as opaque [H, W, 4]."""
    alpha = np.full((*array.shape[:2], 1), 255, np.uint8)
    return np.concatenate([array, alpha], axis=2)


def check_and_split(manifest: Mapping[str, Any], inputs: Mapping[str, np.ndarray]) -> Items:
    """Check inputs against the manifest's tensors; coded errors E-INPUT-00x where they do not fit.

    An image input [height, width, 4] also takes RGB [H, W, 3] uint8. Numbers in lists have no dtype
    yet: they get that of the input, if it holds them.
    """
    tensors = {t["name"]: t for t in manifest["inputs"]}
    if not isinstance(inputs, Mapping):
        raise FanlightError(
            "E-INPUT-001",
            "inputs are given by name.",
            where=manifest["name"],
            expected=", ".join(f"{n} {t['dtype']}{t['shape']}" for n, t in tensors.items()),
            received=type(inputs).__name__,
            next=f"run({{{next(iter(tensors), 'x')!r}: array}})",
        )
    if set(inputs) != set(tensors):
        raise FanlightError(
            "E-INPUT-001",
            "the inputs given are not the inputs of the model.",
            where=manifest["name"],
            expected=", ".join(f"{n} {t['dtype']}{t['shape']}" for n, t in tensors.items()),
            received=", ".join(inputs) or "nothing",
        )
    arrays: dict[str, np.ndarray] = {}
    dims: dict[str, int] = {}
    batch: int | None = None
    for name, tensor in tensors.items():
        array = _array(name, tensor, inputs[name])
        rgb = array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8
        if rgb and tensor["shape"][2:] == [4] and tensor["dtype"] == "uint8":
            array = with_alpha(array)
        array = _checked_dtype(name, tensor, array)
        _check_shape(name, tensor, array, manifest["dims"], dims)
        if tensor["batched"]:
            leading = array.shape[0]
            if batch not in (None, leading):
                raise FanlightError(
                    "E-INPUT-002",
                    "the inputs have different batch sizes.",
                    where=name,
                    expected=batch,
                    received=leading,
                )
            batch = leading
        arrays[name] = np.ascontiguousarray(array).reshape(array.shape)  # NumPy makes of () (1,)
    for dim, bounds in manifest["dims"].items():
        if "size" in bounds:  # no input tells it
            dims.setdefault(dim, bounds["size"])
    batched = frozenset(n for n, t in tensors.items() if t["batched"])
    # A batch of one is the declared shape itself.
    return Items(arrays, None if batch == 1 else batch, batched, dims)


def _array(name: str, tensor: Mapping[str, Any], given: Any) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError as problem:
        raise FanlightError(
            "E-INPUT-002",
            f"the input {name!r} is no array.",
            where=name,
            expected=f"{tensor['dtype']}{tensor['shape']}",
            received=f"{type(given).__name__}: {problem}"[:200],
            next="give lists of one length, or pad them.",
        ) from None
    own = dtypes.to_numpy(tensor["dtype"])
    plain = isinstance(given, list | tuple | bool | int | float)
    if plain and _RANKS.get(array.dtype.kind, 3) <= _RANKS[own.kind]:
        with np.errstate(over="ignore"):
            made = array.astype(own)
        if own.kind == "f" or (made == array).all():
            return made
    return array


_RANKS = {"b": 0, "u": 1, "i": 1, "f": 2}  # kinds of dtypes: the higher hold the lower


def _checked_dtype(name: str, tensor: Mapping[str, Any], array: np.ndarray) -> np.ndarray:
    narrowed = dtypes.narrow(array)
    if narrowed.dtype != dtypes.to_numpy(tensor["dtype"]):
        raise FanlightError(
            "E-INPUT-003",
            f"the input {name!r} has the wrong dtype.",
            where=name,
            expected=tensor["dtype"],
            received=array.dtype,
            next=f"convert it: x.astype({tensor['dtype']!r}).",
        )
    if array.dtype.kind in "iu" and array.dtype != narrowed.dtype and (narrowed != array).any():
        raise FanlightError(
            "E-INPUT-003",
            f"the input {name!r} has numbers that its dtype does not hold.",
            where=name,
            expected=tensor["dtype"],
            received=f"{array.dtype} from {array.min()} to {array.max()}",
            next="scale it, or build the model with another dtype.",
        )
    return narrowed


def _check_shape(
    name: str,
    tensor: Mapping[str, Any],
    array: np.ndarray,
    bounds: Mapping[str, Any],
    dims: dict[str, int],
) -> None:
    """E-INPUT-002 or -004 if an array does not fit; a batched one may have any number of items."""
    shape = tensor["shape"]
    fits = array.ndim == len(shape) and all(
        isinstance(d, str) or d == s or (axis == 0 and tensor["batched"] and s > 0)
        for axis, (d, s) in enumerate(zip(shape, array.shape, strict=True))
    )
    if not fits:
        wanted = ["n", *shape[1:]] if tensor["batched"] else shape
        raise FanlightError(
            "E-INPUT-002",
            f"the input {name!r} has the wrong shape.",
            where=name,
            expected=f"{tensor['dtype']}{wanted}",
            received=list(array.shape),
        )
    for d, s in zip(shape, array.shape, strict=True):
        if isinstance(d, str):
            low, high = bounds[d]["min"], bounds[d]["max"]
            if not (low <= s <= high and dims.setdefault(d, s) == s):
                raise FanlightError(
                    "E-INPUT-004",
                    f"the size of {d} is outside its bounds, or differs between inputs.",
                    where=name,
                    expected=f"{low} to {high}, the same everywhere",
                    received=s,
                    next="give fewer at a time, or build with larger bounds; a picture is resized "
                    "first.",
                )
