"""Matrices of all first and second derivatives: fl.jacobian, fl.hessian."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from math import prod
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import functions as F
from fanlight.tensor.core import Function, Tensor, caller, tensor
from fanlight.tensor.gradients import grad, jvp, vjp
from fanlight.tensor.tape import flatten, unflatten
from fanlight.tensor.vmap import vmap


def jacobian(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that gives all derivatives of what fn gives after its argument `argnums`.

    Of a result of shape [a, b] and an argument of shape [c] they are [a, b, c]: at [i, j, k] how
    result [i, j] moves with element k of the argument.

    Args:
        fn: takes and gives float32 tensors, or tuples, lists and dicts of them.
        argnums: which argument, or several: then the derivatives come as a tuple.

    Returns:
        A function of the arguments of fn. Of structures it gives, for every tensor of the result, a
        structure like the argument. It goes backwards from every element of the result at once, or
        forwards from every element of the arguments if those are fewer, and may be nested in any
        order with fl.grad, fl.vmap, fl.jit and itself.

    Raises:
        FanlightError: when called: E-TENSOR-006 there is no such argument; E-TENSOR-005 a result is
            not float32; E-OP-008 an op without a gradient is on the way.
    """

    @wraps(fn)
    def derivatives(*args: Any, **options: Any) -> Any:
        numbers = [argnums] if isinstance(argnums, int) else list(argnums)
        if not numbers or not all(0 <= n < len(args) for n in numbers):
            raise FanlightError(
                "E-TENSOR-006",
                "the arguments to derive after are given by position.",
                where=f"fl.jacobian, {caller()}",
                expected=f"at least {max(numbers, default=0) + 1} arguments without names",
                received=f"{len(args)}, and {', '.join(options) or 'none'} by name",
            )

        def of_these(*some: Any) -> Any:
            given = list(args)
            for number, x in zip(numbers, some, strict=True):
                given[number] = x
            return fn(*given, **options)

        found = _derivatives(of_these, tuple(args[n] for n in numbers))
        alone = isinstance(argnums, int)
        flat, form = found
        return unflatten([part[0] if alone else part for part in flat], form)

    return derivatives


def hessian(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that gives all second derivatives of fn after its argument `argnums`.

    Of an argument of shape [n] they are [n, n]: the Jacobian of the gradient.

    Args:
        fn: gives one float32 number.
        argnums: which argument, or several: then a tuple of tuples comes, one row for each.

    Raises:
        FanlightError: when called: as `fl.grad` and `fl.jacobian`.
    """
    return jacobian(grad(fn, argnums), argnums)


def _derivatives(fn: Function, primals: tuple[Any, ...]) -> tuple[list[Any], Any]:
    """For every tensor of fn's result a structure like the primals; and the result's form."""
    inputs, form_in = flatten(primals)
    result, pull = vjp(fn, *primals)
    outputs, form = flatten(result)
    for y in outputs:
        if y.dtype != "float32":
            raise FanlightError(
                "E-TENSOR-005",
                "only float32 results have derivatives.",
                where=f"fl.jacobian, {caller()}",
                expected="float32",
                received=str(y.type),
                next="cast it, or leave it out of what the function gives.",
            )
    rows, columns = [y.size for y in outputs], [x.size for x in inputs]
    shapes = [[(*y.shape, *x.shape) for x in inputs] for y in outputs]
    if not sum(rows) or not sum(columns):
        found = [[tensor(np.zeros(s, np.float32)) for s in part] for part in shapes]
    elif sum(rows) <= sum(columns):
        whole = vmap(pull)(unflatten(_unit(outputs), form))
        # Each [all results, x]: cut by the results they belong to.
        columns_of = [_cut(x, rows) for x in flatten(whole)[0]]
        found = [
            [F.reshape(columns_of[j][i], s) for j, s in enumerate(part)]
            for i, part in enumerate(shapes)
        ]
    else:
        along = unflatten(_unit(inputs), form_in)
        whole = vmap(lambda t: jvp(fn, primals, t)[1])(along)
        rows_of = [_cut(F.reshape(y, (sum(columns), -1)), columns) for y in flatten(whole)[0]]
        found = [
            [F.reshape(F.transpose(rows_of[i][j]), s) for j, s in enumerate(part)]
            for i, part in enumerate(shapes)
        ]
    return [unflatten(part, form_in) for part in found], form


def _unit(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Every direction of a space that tensors make up together: [all, ...shape] of each."""
    sizes = [x.size for x in tensors]
    eye = np.eye(sum(sizes), dtype=np.float32)
    parts = np.split(eye, np.cumsum(sizes)[:-1], axis=1)
    return [
        tensor(np.ascontiguousarray(part).reshape(sum(sizes), *x.shape))
        for part, x in zip(parts, tensors, strict=True)
    ]


def _cut(x: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """x cut along its first dim."""
    flat = F.reshape(x, (x.shape[0], prod(x.shape[1:])))
    ends = np.cumsum(sizes)
    return [flat[int(end) - n : int(end)] for end, n in zip(ends, sizes, strict=True)]
