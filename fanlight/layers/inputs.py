"""What a functional model is called with: in the order of its inputs, and with their ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import scope
from fanlight.layers.symbolic import Symbolic, symbols
from fanlight.tensor import functions as fn
from fanlight.tensor.caller import caller
from fanlight.tensor.tape import sorted_keys


def fitted(name: str, form: Any, wanted: Sequence[Symbolic], inputs: Any) -> list[Any]:
    """The inputs in the order of the stand-ins, and as Keras has it with their ranks.

    Args:
        name: of the model.
        form: its stand-ins as it was made with them: one, or a list or dict of some.
        wanted: the stand-ins, in order.
        inputs: what it is called with: tensors of [n], where [n, 1] is wanted, get that dim, and
            those of [n, 4, 1], where [n, 4] is wanted, lose it.

    Raises:
        FanlightError: E-LAYER-001 other shapes, texts for numbers, or another number of inputs.
    """
    names = names_in(form)
    given = _like(form, inputs)
    if given is None and isinstance(inputs, Mapping):
        if not set(names) <= set(inputs):
            raise _wrong(name, names, wanted, f"names {', '.join(map(str, inputs))}")
        given = [inputs[n] for n in names]
    elif given is None:
        given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    told = ", ".join(_told(x) for x in given)
    if len(given) != len(wanted) or not all(hasattr(x, "shape") for x in given):
        raise _wrong(name, names, wanted, told)
    pairs = zip(wanted, given, strict=True)
    found = [x if isinstance(x, Symbolic) else _ranked(x, s) for s, x in pairs]
    for n, s, x, before in zip(names, wanted, found, given, strict=True):
        if isinstance(x, Symbolic) or (_fits(x.shape, s.shape) and _texts(x) == _texts(s)):
            continue
        if len(names) == 1:
            raise _wrong(name, names, wanted, told, _next(before, s))
        error = _wrong(name, [n], [s], f"{n}: {_told(before)}", _next(before, s))
        error.message = f"this is not the input {n} of {name}."
        raise error
    return found


def flat_dict(value: Any) -> bool:
    """Whether a structure is a dict without lists or dicts in it."""
    nested = Mapping | list | tuple
    return isinstance(value, Mapping) and not any(isinstance(v, nested) for v in value.values())


def names_in(form: Any) -> list[str]:
    """The names of inputs or outputs in their order: of a dict its keys, else of their layers."""
    return sorted_keys(form) if flat_dict(form) else [s.name for s in symbols(form)]


def _like(form: Any, value: Any) -> list[Any] | None:
    """The parts of a value that has the structure of a form, in order; None if it has another."""
    if isinstance(form, Mapping):
        if not isinstance(value, Mapping) or not set(form) <= set(value):
            return None
        pairs = [(form[key], value[key]) for key in sorted_keys(form)]
    elif isinstance(form, list | tuple):
        if not isinstance(value, list | tuple) or len(value) != len(form):
            return None
        pairs = list(zip(form, value, strict=True))
    else:
        return None if isinstance(value, Mapping | list | tuple) else [value]
    found = [_like(part, own) for part, own in pairs]
    return None if None in found else [x for part in found for x in part or ()]


def _ranked(x: Any, s: Symbolic) -> Any:
    """A tensor with a last dim of size 1 more or less, where that is the rank of an input."""
    rank = len(x.shape)
    if rank and rank == s.rank - 1 and s.shape[-1] == 1:
        made = fn.expand_dims(x, -1)
    elif rank == s.rank + 1 and x.shape[-1] == 1:
        made = fn.squeeze(x, -1)
    else:
        return x
    mask = scope.mask_of(x)
    if mask is not None:
        scope.set_mask(made, mask)
    return made


def _fits(given: Sequence[int], shape: Sequence[int | None]) -> bool:
    return len(given) == len(shape) and all(
        n is None or n == m for n, m in zip(shape, given, strict=True)
    )


def _texts(x: Any) -> bool:
    return bool(x.dtype == "string")


def _told(x: Any) -> str:
    return f"{x.dtype}{list(x.shape)}" if hasattr(x, "shape") else type(x).__name__


def _next(x: Any, s: Symbolic) -> str | None:
    """What makes the shape that is wanted of what was given."""
    own = s.shape[1:]
    if _texts(x) != _texts(s):
        return None
    if _fits(x.shape, own):
        return "the first dim counts examples: x[None] is a batch of one."
    if None not in own and math.prod(x.shape[1:]) == math.prod(n or 0 for n in own):
        return f"x.reshape({(-1, *own)}) has the same numbers in this shape."
    return None


def _wrong(
    name: str,
    names: Sequence[str],
    wanted: Sequence[Symbolic],
    received: str,
    next: str | None = None,
) -> FanlightError:
    pairs = zip(names, wanted, strict=True)
    return FanlightError(
        "E-LAYER-001",
        f"these are not the inputs of {name}.",
        where=f"{name}, {caller()}",
        expected=", ".join(f"{n}: {s.dtype}{list(s.shape)}" for n, s in pairs),
        received=received,
        next=next,
    )
