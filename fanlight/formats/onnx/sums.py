"""MatMulInteger with what follows it, as one op on bytes: weights stay int8.

Quantised models that compute in whole numbers have

    total = MatMulInteger(x, w, zero_x, zero_w)
    y = Mul(Cast(Add(total, bias)), scale)          (Add may be missing)

which is `matmul_int8` of the table where w, the zero points, bias and scale are known: its sums are
int32, too, and its result is float32(sum + bias) * scale. By themselves these nodes would be read
as products of float32, with weights of four times the size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.formats.emitter import dtype_of
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.protos import Node
from fanlight.formats.onnx.scope import Scope
from fanlight.graph import Value

_MIDDLE = 128
_BYTES = {kinds.UINT8: 0, kinds.INT8: _MIDDLE}


def chains(
    nodes: Sequence[Node], outputs: Sequence[str], used: Callable[[Node], set[str]]
) -> list[tuple[Node, ...]]:
    """Rows of nodes, each of which alone reads the one before: MatMulInteger, Add, Cast, Mul.

    Args:
        outputs: names that the graph gives.
        used: the names that a node reads, also by the graphs in it.
    """
    if not any(node.op == "MatMulInteger" for node in nodes):
        return []
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for name in used(node):
            readers.setdefault(name, []).append(node)
    found = []
    for node in nodes:
        if node.op != "MatMulInteger":
            continue
        chain = [node]
        for wanted in (("Add", "Cast"), ("Cast", "Mul"), ("Mul",)):
            name = chain[-1].outputs[0] if len(chain[-1].outputs) == 1 else ""
            then = readers.get(name, [])
            if not name or name in outputs or len(then) != 1 or then[0].op not in wanted:
                break
            if name not in then[0].inputs:  # a graph inside reads it
                break
            chain.append(then[0])
            if then[0].op == "Mul":
                found.append(tuple(chain))
                break
    return found


def fused(scope: Scope, chain: Sequence[Node]) -> bool:
    """Bind what a row of nodes gives, as one op on bytes; False where it cannot be."""
    product, *middle, last = chain
    given = [scope.get(name, product.where) for name in product.inputs]
    x, kind = given[0]
    if not isinstance(x, Value) or kind not in _BYTES or len(x.shape) < 2:
        return False
    w = _weights(given)
    zero_x = _number(given, 2)
    bias, scale = _addend(scope, middle), _other(scope, last, middle[-1].outputs[0])
    if w is None or zero_x is None or bias is None or scale is None:
        return False
    if max(bias.ndim, scale.ndim) > len(x.shape):  # the result gets more dims than x has
        return False
    if middle[-1].attributes().get("to") != kinds.FLOAT or x.shape[-1] != w.shape[0]:
        return False
    columns = w.shape[1]
    row = _row(bias, columns), _row(scale, columns)
    if row[0] is None or row[1] is None or dtype_of(row[1]) != "float32":
        return False
    if not np.isfinite(row[1]).all():
        return False
    taps = w.astype(np.int64)
    zero = zero_x + _BYTES[kind]
    own = row[0].astype(np.int64) - zero * taps.sum(0)
    if (np.abs(taps).sum(0) * 255 + np.abs(own)).max(initial=0) >= 1 << 31:
        return False
    name = last.name
    if kind == kinds.INT8:
        wide = scope.em.cast(x, "int32", f"{name}/whole")
        x = scope.em.op("add", wide, scope.em.const(_MIDDLE, "int32"), name=f"{name}/moved")
    byte = scope.em.cast(x, "uint8", f"{name}/byte")
    label = scope.em.name_of(given[1][0])
    kept = scope.em.value(w, label or f"{name}/kernel")
    y = scope.em.op("matmul_int8", byte, kept, own.astype(np.int32), row[1], name=name,
                    x_high=255, output="float32")  # fmt: skip
    scope.step(last.where)
    scope.bind(last.outputs[0], y, kinds.FLOAT)
    scope.em.result(last.outputs[0], y)
    scope.em.result(name, y)
    return True


def _weights(given: Sequence[tuple[Any, int]]) -> np.ndarray | None:
    """A matrix of weights less their zero point, int8; None if they are not known or do not fit."""
    w = given[1][0]
    if not isinstance(w, np.ndarray) or w.ndim != 2 or given[1][1] not in _BYTES or not w.size:
        return None
    zero: Any = np.int32(0)
    if len(given) > 3 and given[3][0] is not None:
        zero = given[3][0]
        if not isinstance(zero, np.ndarray) or zero.size not in (1, w.shape[1]):
            return None
        zero = zero.astype(np.int32).reshape(-1)
    centred = w.astype(np.int32) - zero
    fits = centred.min() >= -_MIDDLE and centred.max() < _MIDDLE
    return centred.astype(np.int8) if fits else None


def _number(given: Sequence[tuple[Any, int]], index: int) -> int | None:
    """A zero point that is one known number, 0 if it is left out."""
    if len(given) <= index or given[index][0] is None:
        return 0
    found = given[index][0]
    return int(found.reshape(-1)[0]) if isinstance(found, np.ndarray) and found.size == 1 else None


def _addend(scope: Scope, middle: Sequence[Node]) -> np.ndarray | None:
    """What is added to the sums, int32."""
    if len(middle) == 1:
        return np.zeros(1, np.int32)
    add, cast = middle
    found = _other(scope, add, None)
    same = found is not None and dtype_of(found) == "int32"
    return found if same and cast.inputs[0] == add.outputs[0] else None


def _other(scope: Scope, node: Node, of: str | None) -> np.ndarray | None:
    """The input of an op of two that is known; None if neither or both are."""
    if len(node.inputs) != 2 or (of is not None and of not in node.inputs):
        return None
    found = []
    for name in node.inputs:
        held = scope.names.get(name)
        found += [held] if isinstance(held, np.ndarray) else []
    return found[0] if len(found) == 1 else None


def _row(array: np.ndarray, columns: int) -> np.ndarray | None:
    """One number for each column, of what broadcasts along all other dims; else None."""
    if array.size == 1:
        return np.full(columns, array.reshape(-1)[0], array.dtype)
    if array.ndim and array.shape[-1] == columns and array.size == columns:
        return np.ascontiguousarray(array.reshape(columns))
    return None
