"""Calls that keep examples apart: each example of a result is made of the same one of the inputs.

What nothing learns may be computed example by example then, once, whatever batches come later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fanlight.ops import symbols
from fanlight.ops.row import Row
from fanlight.ops.types import Dim, TensorType

# Along a dim that these name, what has no padding to fill is a matter of order, which counts here.
_ALONG = {
    "cumsum": "axis",
    "cumprod": "axis",
    "cummax": "axis",
    "cummin": "axis",
    "reverse": "axes",
    "mean": "axes",
}
# Read or write wherever numbers say, or draw.
_ANYWHERE = ("scatter_nd", "random_bits", "non_max_suppression", "search_sorted")
# What is the same for all examples stays so in these.
_REPEAT = ("broadcast_to", "tile")


def keeps_apart(
    row: Row,
    types: Sequence[TensorType],
    attrs: Mapping[str, Any],
    outputs: Sequence[TensorType],
    name: str,
) -> bool:
    """Whether a call makes each example of a batch of that example alone.

    Of what is no example (weights, and what is made of them) it may make anything. Where it is not
    known to be so, the answer is no.

    Args:
        name: of the symbol that counts examples; the dim may be a multiple of it, an example being
            so many places one after the other.
    """
    given = [_axes(t, name) for t in types]
    made = [_axes(t, name) for t in outputs]
    if not any(given):
        # Numbers that are counted out along the batch are other ones for each example.
        return not any(made) or row.name in _REPEAT
    if any(len(axes) > 1 for axes in given) or any(len(axes) != 1 for axes in made):
        return False  # how many there are, a sum of all, or each with each
    if row.name in _ANYWHERE or (row.scalar is None and row.name not in (*symbols.RULES, "fused")):
        return False
    fills = symbols.fills(row, types, attrs)
    if any(
        by.get(a) is not symbols.FREE for by, axes in zip(fills, given, strict=True) for a in axes
    ):
        return False
    axes = given[0]
    if row.name in _ALONG:
        along = attrs[_ALONG[row.name]]
        named = {a % types[0].rank for a in ([along] if isinstance(along, int) else along)}
        return not named & set(axes)
    if row.name == "gather":
        return attrs["axis"] % types[0].rank not in axes
    if row.name == "gather_nd":
        return not axes or axes[0] >= types[1].bound[-1]
    if row.name in ("slice", "strided_slice") and axes:
        a = axes[0]
        steps = attrs.get("strides") or (1,) * types[0].rank
        return outputs[0].shape[a] == types[0].shape[a] and (attrs["begin"][a], steps[a]) == (0, 1)
    return True


def _axes(type: TensorType, name: str) -> list[int]:
    return [a for a, d in enumerate(type.shape) if isinstance(d, Dim) and d.name == name]
