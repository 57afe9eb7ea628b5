"""What the importers of single nodes share, whatever format a node comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.emitter import Emitter, Tensor, dtype_of
from fanlight.graph import Value
from fanlight.ops.types import TensorType
from fanlight.tensor.trace import capture


def type_of(x: Tensor) -> TensorType:
    """The type of a value or a known array."""
    return TensorType(tuple(x.shape), dtype_of(x))


def written_out(
    em: Emitter,
    function: Callable[..., Any],
    inputs: Sequence[Tensor],
    label: str,
    depends: Callable[[str], FanlightError],
) -> list[Tensor]:
    """A function of tensors on some inputs, as the ops that it is made of; its results.

    Args:
        label: the name of the last op; the others are label/op.
        depends: the error for a size or place that would depend on numbers, given the types.
    """

    def named(given: Sequence[Any]) -> dict[str, Any]:
        made = function(*given)
        return dict(enumerate(made if isinstance(made, tuple) else (made,)))  # type: ignore

    types = [type_of(x) for x in inputs]
    try:
        graph = capture(named, [f"x{i}" for i in range(len(inputs))], types, label)
    except FanlightError as error:
        if error.code != "E-TENSOR-003":
            raise
        raise depends(", ".join(map(str, types))) from None
    made: dict[Value, Tensor] = {**dict(zip(graph.inputs, inputs, strict=True)), **graph.weights}
    for node in graph.nodes:
        name = label if node is graph.nodes[-1] else f"{label}/{node.op}"
        results = em.op(node.op, *(made[v] for v in node.inputs), name=name, **node.attrs)
        results = results if isinstance(results, tuple) else (results,)
        made.update(zip(node.outputs, results, strict=True))
    return [made[v] for _, v in graph.outputs]


def sizes_of(wanted: Sequence[int], total: int) -> list[int] | None:
    """The sizes of a Reshape of `total` elements with its one -1 told; None if they do not fit."""
    dims = list(wanted)
    if dims.count(-1) == 1:
        rest = math.prod(d for d in dims if d != -1)
        dims[dims.index(-1)] = total // rest if rest else 0
    return dims if all(d >= 0 for d in dims) and math.prod(dims) == total else None


def refusal(
    what: str, where: object, message: str, expected: object = None, received: object = None
) -> FanlightError:
    """E-FORMAT-012 about one node: `what` is its op."""
    return FanlightError(
        "E-FORMAT-012", f"{what}: {message}.", where=where, expected=expected, received=received
    )
