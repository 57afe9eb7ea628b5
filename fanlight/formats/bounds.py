"""Between which numbers whole values lie: indices that are known to be inside need no Clip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fanlight.graph import Node, Value
from fanlight.ops.types import Dim

Bounds = tuple[int, int]
_ALL: Bounds = (-(2**31), 2**31 - 1)
_DEEP = 16  # how many nodes back are looked at
_MOVED = ("reshape", "transpose", "broadcast_to", "slice", "strided_slice", "reverse", "tile")


class Known:
    """What is known of the values of a graph.

    Args:
        maker: the node that makes a value, if one does.
        array: the numbers of a weight, None for anything else.
    """

    def __init__(
        self,
        maker: Callable[[Value], Node | None],
        array: Callable[[Value], np.ndarray | None],
    ) -> None:
        self._maker = maker
        self._array = array
        self._found: dict[Value, Bounds] = {}

    def bounds(self, value: Value, deep: int = _DEEP) -> Bounds:
        """The least and the greatest that an int32, uint8 or bool value may hold."""
        if value.dtype in ("uint8", "bool"):
            return 0, 255 if value.dtype == "uint8" else 1
        if value not in self._found:
            self._found[value] = self._bounds(value, deep)
        return self._found[value]

    def _bounds(self, value: Value, deep: int) -> Bounds:
        array = self._array(value)
        if array is not None:
            whole = array.size and array.dtype.kind in "iu"
            return (int(array.min()), int(array.max())) if whole else _ALL
        node = self._maker(value)
        if node is None or value.dtype != "int32" or not deep:
            return _ALL
        low, high = self._made(node, value, deep - 1)
        return max(low, _ALL[0]), min(high, _ALL[1])

    def columns(self, value: Value, deep: int = _DEEP) -> list[Bounds]:
        """The same for each place along the last dim, whose size is known."""
        count = value.shape[-1]
        assert isinstance(count, int)
        array = self._array(value)
        if array is not None and array.size:
            flat = array.reshape(-1, count)
            return [
                (int(a), int(b)) for a, b in zip(flat.min(axis=0), flat.max(axis=0), strict=True)
            ]
        node = self._maker(value)
        if node is not None and node.op == "concat" and deep:
            rank = len(value.shape)
            if node.attrs["axis"] % rank == rank - 1:
                return [b for v in node.inputs for b in self.columns(v, deep - 1)]
        return [self.bounds(value)] * count

    def _made(self, node: Node, value: Value, deep: int) -> Bounds:
        x = node.inputs[0] if node.inputs else value
        if node.op == "clip":
            low, high = self.bounds(x, deep)
            least, most = _whole(node.attrs["lo"]), _whole(node.attrs["hi"])
            return min(max(low, least), most), min(max(high, least), most)
        if node.op in ("maximum", "minimum"):
            pick = max if node.op == "maximum" else min
            one, two = (self.bounds(v, deep) for v in node.inputs)
            return pick(one[0], two[0]), pick(one[1], two[1])
        if node.op in ("arg_max", "arg_min"):
            return 0, _most(x.shape[node.attrs["axis"] % len(x.shape)]) - 1
        if node.op in ("top_k", "sort") and value is node.outputs[1]:
            return 0, _most(x.shape[-1]) - 1
        if node.op in _MOVED or node.op == "gather":
            return self.bounds(x, deep)
        if node.op == "cast" and x.dtype != "float32":
            return self.bounds(x, deep)
        if node.op == "concat":
            every = [self.bounds(v, deep) for v in node.inputs]
            return min(b[0] for b in every), max(b[1] for b in every)
        return _ALL


def _whole(limit: float) -> int:
    return int(min(max(limit, _ALL[0]), _ALL[1]))


def _most(size: int | Dim) -> int:
    return size.max if isinstance(size, Dim) else size
