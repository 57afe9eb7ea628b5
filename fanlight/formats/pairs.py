"""Complex numbers on their way through an import: pairs of real tensors, as in docs/adr/0007.

No value of a graph is complex. What comes in or goes out as complex numbers is a real tensor with a
last dim of 2, real and imaginary part, as torch.view_as_real has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.formats.emitter import Emitter, Tensor
from fanlight.graph import Value
from fanlight.tensor.complex import Complex


@dataclass(frozen=True, eq=False)
class Pair:
    """Complex numbers: the real and the imaginary part, float32 of one shape."""

    real: Tensor
    imag: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.real.shape)

    @property
    def parts(self) -> tuple[Tensor, Tensor]:
        return self.real, self.imag


def is_tensor(value: Any) -> bool:
    """Whether something is a tensor, real or complex."""
    return isinstance(value, Value | np.ndarray | Pair)


def holds_complex(value: Any) -> bool:
    """Whether an argument is complex, or a list in which something is."""
    if isinstance(value, list):
        return any(holds_complex(v) for v in value)
    return isinstance(value, Pair | complex)


def on_parts(function: Callable[..., Tensor]) -> Callable[..., Any]:
    """A function that moves elements, for pairs as well: the same for both parts."""

    def both(*tensors: Any) -> Any:
        if not any(isinstance(t, Pair) for t in tensors):
            return function(*tensors)
        return Pair(function(*(t.real for t in tensors)), function(*(t.imag for t in tensors)))

    return both


def split(em: Emitter, x: Tensor, name: str) -> Pair:
    """Pairs of numbers in the last dim as complex ones; a known array becomes known ones."""
    shape = tuple(x.shape[:-1])
    parts = []
    for at, label in enumerate(("real", "imag")):
        size, begin = (*shape, 1), (*(0,) * len(shape), at)
        part = em.op("slice", x, name=f"{name}/{label}_part", begin=begin, size=size)
        parts.append(em.reshape(part, shape, f"{name}/{label}"))
    return Pair(*parts)


def joined(em: Emitter, z: Pair, name: str) -> Tensor:
    """Complex numbers as pairs of numbers in a new last dim."""
    columns = [em.reshape(p, (*p.shape, 1), f"{name}/column") for p in z.parts]
    made: Tensor = em.op("concat", *columns, name=name, axis=len(z.shape))
    return made


def computed(run: Callable[..., Any], function: Callable[..., Any], *operands: Any) -> Any:
    """A function of tensors (fanlight.tensor) on operands, some of them complex, as ops.

    Args:
        run: writes a function of real tensors on some of them out: `function` of a reader's Call.
        operands: tensors, pairs, and numbers, which the function gets as they are.
    """
    flat: list[Tensor] = []
    for x in operands:
        if isinstance(x, Pair):
            flat += x.parts
        elif is_tensor(x):
            flat.append(x)
    kinds: list[bool] = []

    def compute(*given: Any) -> Any:
        left = iter(given)
        inputs = [
            Complex(next(left), next(left)) if isinstance(x, Pair)
            else next(left) if is_tensor(x) else x
            for x in operands
        ]  # fmt: skip
        made = function(*inputs)
        parts: list[Any] = []
        kinds.clear()
        for y in made if isinstance(made, tuple) else (made,):
            kinds.append(isinstance(y, Complex))
            parts += y.parts if isinstance(y, Complex) else [y]
        return tuple(parts)

    made = run(compute, *flat)
    left = iter(made if isinstance(made, list) else [made])
    results = [Pair(next(left), next(left)) if k else next(left) for k in kinds]
    return results if len(results) > 1 else results[0]


def told(kind: str, name: str) -> str:
    """What a conversion says of a complex input or output."""
    return (
        f"The {kind} {name!r} is complex: it has a last dim of 2 on the page, the real and the "
        "imaginary part (torch.view_as_real; np.stack([z.real, z.imag], -1))."
    )


def known(em: Emitter, array: np.ndarray, name: str) -> Pair:
    """A stored complex tensor."""
    with np.errstate(all="ignore"):
        array = np.asarray(array, np.complex64)
    real, imag = (np.ascontiguousarray(p).reshape(array.shape) for p in (array.real, array.imag))
    return Pair(em.named(real, f"{name}.real"), em.named(imag, f"{name}.imag"))
