"""Orders, searches and counts."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor.arguments import choice, flag
from fanlight.tensor.core import Tensor, apply, caller, cast, promoted, tensor
from fanlight.tensor.functions import any as any_of
from fanlight.tensor.functions import axis_of, broadcast_to, expand_dims, reshape, top_k, transpose
from fanlight.tensor.known import count, inside, numbers_of, whole


def _sorted(x: Any, axis: int, descending: bool) -> tuple[Tensor, Tensor]:
    x = tensor(x)
    kept = x.dtype
    if kept in ("bool", "uint8"):
        x = cast(x, "int32")
    axis = axis_of(x.type, axis, "sort")
    order = [*(d for d in builtins.range(x.rank) if d != axis), axis]
    last = axis == x.rank - 1
    values, indices = apply("sort", x if last else transpose(x, order), descending=descending)
    if not last:
        back = [order.index(d) for d in builtins.range(x.rank)]
        values, indices = transpose(values, back), transpose(indices, back)
    return cast(values, kept), indices


def sort(x: Any, axis: int = -1, descending: bool = False) -> Tensor:
    """The elements along an axis in order, of the shape of x; NaN comes last.

    Gradients go to where the elements were. Source: numpy.sort, tf.sort.

    Raises:
        FanlightError: E-OP-005 an axis that x does not have.
    """
    return _sorted(x, axis, descending)[0]


def argsort(x: Any, axis: int = -1, descending: bool = False) -> Tensor:
    """int32, of the shape of x: the indices along an axis that `sort` takes the elements from.

    Stable in both orders: equal elements keep their order; NaN comes last.
    Source: numpy.argsort(kind="stable").

    Raises:
        FanlightError: E-OP-005 an axis that x does not have.
    """
    return _sorted(x, axis, descending)[1]


# --- searching ------------------------------------------------------------------------------------


def search_sorted(sequence: Any, values: Any, side: str = "left") -> Tensor:
    """How many elements of a sorted sequence come before each value: int32, where it would go.

    Args:
        sequence: [..., n], every row in ascending order.
        values: [..., m], a row for each of the sequence; of any shape if there is one sequence [n].
        side: "left": smaller elements count; "right": equal ones, too.

    Raises:
        FanlightError: E-OP-004 other dims than the last differ; E-OP-005 another side.
        Source: numpy.searchsorted, tf.searchsorted.
    """
    choice("search_sorted", "side", side, ("left", "right"))
    sequence, values = promoted(sequence, values, least="int32")
    shape = values.shape
    flat = reshape(values, (values.size,)) if sequence.rank == 1 else values
    found: Tensor = apply("search_sorted", sequence, flat, right=side == "right")
    return reshape(found, shape) if found.shape != shape else found


def lower_bound(sequence: Any, values: Any) -> Tensor:
    """`search_sorted` with side "left": the first place whose element is not smaller."""
    return search_sorted(sequence, values, "left")


def upper_bound(sequence: Any, values: Any) -> Tensor:
    """`search_sorted` with side "right": the first place whose element is larger."""
    return search_sorted(sequence, values, "right")


def in_top_k(predictions: Any, targets: Any, k: int) -> Tensor:
    """bool [...]: whether the target is among the k greatest predictions of its row.

    Args:
        predictions: [..., classes]; of equal ones the lower class counts as greater.
        targets: [...], whole numbers: a class per row.
        k: 1 to the number of classes.

    Raises:
        FanlightError: E-OP-004 the targets are not one per row; E-OP-005 k. Source: tf.inTopKAsync.
    """
    predictions, targets = tensor(predictions), whole("in_top_k", "targets", targets)
    if targets.shape != predictions.shape[:-1]:
        raise FanlightError(
            "E-OP-004",
            "in_top_k cannot take targets of this shape.",
            where=f"in_top_k targets, {caller()}",
            expected=str(list(predictions.shape[:-1])),
            received=str(targets.type),
        )
    _, best = top_k(predictions, k)
    return any_of(apply("equal", best, expand_dims(targets, -1)), axis=-1)


# --- counting -------------------------------------------------------------------------------------


def bincount(
    x: Any, weights: Any = None, size: int | None = None, binary_output: bool = False
) -> Tensor:
    """[size]: how often each of 0, 1, ..., size - 1 is among the elements of x, which is flat.

    Args:
        x: whole numbers of any shape, 0 or more; those from `size` on are left out.
        weights: of the shape of x: sums of weights, in their dtype, instead of counts in int32.
        size: default: the largest number and one, where the numbers are known.
        binary_output: 1 for each that is there, instead of how often.

    Raises:
        FanlightError: E-TENSOR-007 a negative number (left out in a traced function); E-TENSOR-003
            no size in a traced function; E-OP-004 weights of another shape.
            Source: tf.math.bincount.
    """
    x = whole("bincount", "x", x)
    return _counted("bincount", reshape(x, (1, x.size)), weights, size, binary_output)[0]


def dense_bincount(
    x: Any, weights: Any = None, size: int | None = None, binary_output: bool = False
) -> Tensor:
    """`bincount` of x [n], or of each row of x [rows, n]: [rows, size].

    Raises:
        FanlightError: as `bincount`; E-OP-004 x has other dims. Source: tf.math.bincount(axis=-1).
    """
    x = whole("dense_bincount", "x", x)
    if x.rank not in (1, 2):
        raise FanlightError(
            "E-OP-004",
            "dense_bincount cannot take x of this shape.",
            where=f"dense_bincount x, {caller()}",
            expected="[n] or [rows, n]",
            received=str(x.type),
        )
    rows = x if x.rank == 2 else expand_dims(x, 0)
    found = _counted("dense_bincount", rows, weights, size, binary_output)
    return found if x.rank == 2 else found[0]


def _counted(
    function: str, x: Tensor, weights: Any, size: int | None, binary_output: bool
) -> Tensor:
    """[rows, size] of x [rows, n]."""
    inside(function, "x", x, 0, 2**31 - 1)
    if size is None:
        numbers = numbers_of(function, "x", x, f"give the size: fl.{function}(x, size=10).")
        size = int(numbers.max()) + 1 if numbers.size else 0
    size = count(function, "size", size)
    given = tensor(np.ones((), np.int32)) if weights is None else tensor(weights)
    if flag(function, "binary_output", binary_output):
        given = tensor(1, "int32" if given.dtype in ("bool", "uint8") else given.dtype)
    elif weights is not None:
        if given.size != x.size:
            raise FanlightError(
                "E-OP-004",
                f"{function} cannot take weights of this shape.",
                where=f"{function} weights, {caller()}",
                expected=f"one for each of the {x.size} elements of x",
                received=str(given.type),
            )
        given = cast(given, "int32") if given.dtype in ("bool", "uint8") else given
        given = reshape(given, x.shape)
    rows = np.broadcast_to(np.arange(x.shape[0], dtype=np.int32)[:, None, None], (*x.shape, 1))
    places = apply("concat", np.ascontiguousarray(rows), expand_dims(x, -1), axis=2)
    updates = given if given.shape == x.shape else broadcast_to(given, x.shape)
    mode = "max" if binary_output else "add"
    result: Tensor = apply("scatter_nd", places, updates, shape=(x.shape[0], size), mode=mode)
    return result


def confusion_matrix(
    labels: Any, predictions: Any, num_classes: int | None = None, weights: Any = None
) -> Tensor:
    """[classes, classes]: how often class j was predicted where the label is i, in row i.

    Args:
        labels, predictions: [n], whole numbers from 0 to num_classes - 1.
        num_classes: default: the largest of both and one, where the numbers are known.
        weights: [n]: sums of weights, in their dtype, instead of counts in int32.

    Raises:
        FanlightError: E-TENSOR-007 a class outside; E-TENSOR-003 no num_classes in a traced
            function; E-OP-004 other shapes. Source: tf.math.confusion_matrix.
    """
    name = "confusion_matrix"
    labels, predictions = whole(name, "labels", labels), whole(name, "predictions", predictions)
    if labels.rank != 1 or labels.shape != predictions.shape:
        raise FanlightError(
            "E-OP-004",
            f"{name} cannot take labels and predictions of these shapes.",
            where=f"{name}, {caller()}",
            expected="[n] and [n]",
            received=f"{labels.type} and {predictions.type}",
        )
    pairs = apply("concat", expand_dims(labels, 1), expand_dims(predictions, 1), axis=1)
    if num_classes is None:
        numbers = numbers_of(name, "labels", pairs, "give the number: num_classes=10.")
        num_classes = builtins.max(int(numbers.max()) + 1, 0) if numbers.size else 0
    num_classes = count(name, "num_classes", num_classes)
    inside(name, "labels and predictions", pairs, 0, num_classes - 1)
    given = tensor(np.ones(labels.shape, np.int32)) if weights is None else tensor(weights)
    shape: Sequence[int] = (num_classes, num_classes)
    result: Tensor = apply("scatter_nd", pairs, given, shape=shape)
    return result
