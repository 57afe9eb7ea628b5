"""Elements of datasets: arrays, alone or in tuples and dicts; how several become one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import Tensor
from fanlight.tensor.caller import caller


def is_structure(value: Any) -> bool:
    """Whether a value is made of several: a tuple, a dict, or a list of arrays."""
    if isinstance(value, tuple | Mapping):
        return True
    return isinstance(value, list) and any(
        isinstance(v, np.ndarray | Tensor | Mapping | tuple) for v in value
    )


def mapped(value: Any, rule: Callable[[Any], Any]) -> Any:
    """A structure with `rule` of each of its leaves."""
    if not is_structure(value):
        return rule(value)
    if isinstance(value, Mapping):
        return {k: mapped(v, rule) for k, v in value.items()}
    made = [mapped(v, rule) for v in value]
    return tuple(made) if isinstance(value, tuple) else made


def leaves(value: Any) -> list[Any]:
    """The leaves of a structure, in order."""
    found: list[Any] = []
    mapped(value, found.append)
    return found


def as_array(value: Any) -> Any:
    """A leaf as an array: float32, int32, bool, uint8 or strings, as training takes them."""
    if isinstance(value, Tensor):
        return value.numpy()
    return narrowed(np.asarray(value))


def narrowed(array: np.ndarray) -> np.ndarray:
    """float64 as float32, and whole numbers as int32 where they fit."""
    if array.dtype == np.float64 or array.dtype == np.float16:
        with np.errstate(over="ignore"):  # beyond float32 it is infinite
            return array.astype(np.float32)
    if array.dtype.kind in "iu" and array.dtype.name not in ("int32", "uint8"):
        fits = not array.size or (array.min() >= -(2**31) and array.max() < 2**31)
        return array.astype(np.int32) if fits else array
    return array


def locked(value: Any) -> Any:
    """A structure whose arrays cannot be written to: those who come later see them, too."""

    def lock(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        view = leaf.view()
        view.flags.writeable = False
        return view

    return mapped(value, lock)


def untensored(value: Any) -> Any:
    """A structure with arrays for its tensors."""
    return mapped(value, lambda v: v.numpy() if isinstance(v, Tensor) else v)


def stacked(elements: Sequence[Any]) -> Any:
    """Elements of one structure as one, with arrays that have a first dim for the elements."""
    first = elements[0]
    if is_structure(first):
        if any(type(e) is not type(first) or len(e) != len(first) for e in elements):
            raise misfit(first, next(e for e in elements if type(e) is not type(first)
                                     or len(e) != len(first)))  # fmt: skip
        if isinstance(first, Mapping):
            if any(set(e) != set(first) for e in elements):
                raise misfit(first, next(e for e in elements if set(e) != set(first)))
            return {k: stacked([e[k] for e in elements]) for k in first}
        parts = [stacked([e[i] for e in elements]) for i in range(len(first))]
        return tuple(parts) if isinstance(first, tuple) else parts
    arrays = [np.asarray(e.numpy() if isinstance(e, Tensor) else e) for e in elements]
    for array in arrays:
        if array.shape != arrays[0].shape:
            raise misfit(arrays[0], array)
    if arrays[0].dtype == object:
        made = np.empty((len(arrays), *arrays[0].shape), object)
        for i, array in enumerate(arrays):
            made[i] = array
        return made
    return narrowed(np.stack(arrays))


def unstacked(batch: Any) -> list[Any]:
    """The elements of a batch."""
    parts = leaves(batch)
    sizes = {len(p) for p in parts if np.ndim(p)}
    if len(sizes) != 1 or any(not np.ndim(p) for p in parts):
        raise FanlightError(
            "E-DATA-007",
            "this is no batch: its arrays have no first dim of one size.",
            where=f"unbatch, {caller()}",
            expected="arrays with as many rows each",
            received=described(batch),
        )
    return [mapped(batch, lambda a: a[i]) for i in range(sizes.pop())]  # noqa: B023


def described(value: Any) -> str:
    """Shapes and dtypes of an element, for people."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {described(v)}" for k, v in value.items()) + "}"
    if is_structure(value):
        return "(" + ", ".join(described(v) for v in value) + ")"
    array = np.asarray(value.numpy() if isinstance(value, Tensor) else value)
    kind = "str" if array.dtype.kind in "USO" else str(array.dtype)
    return f"{kind}{list(array.shape)}"


def misfit(first: Any, other: Any) -> FanlightError:
    """E-DATA-007: two elements that cannot be in one batch."""
    return FanlightError(
        "E-DATA-007",
        "the elements of a batch differ in their shapes.",
        where=f"batch, {caller()}",
        expected=f"elements like the first one: {described(first)}",
        received=described(other),
        next="bring them to one size first: .map(...), or size=(height, width) for pictures.",
    )


def wrong(argument: str, expected: str, received: object) -> FanlightError:
    """E-DATA-008 of an argument."""
    return FanlightError(
        "E-DATA-008",
        f"a dataset does not take this {argument}.",
        where=f"{argument}, {caller()}",
        expected=expected,
        received=repr(received)[:200],
    )


def whole(argument: str, value: Any, least: int = 1) -> int:
    """A whole number from `least` on; E-DATA-008."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise wrong(argument, f"a whole number from {least} on", value)
    return int(value)
