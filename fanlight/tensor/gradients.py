"""Gradients of functions of tensors, of any order, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.tensor.arguments import as_whole, as_wholes, by_place, function_of, listed, refused
from fanlight.tensor.calls import Call, listening, state, tell, unheard
from fanlight.tensor.core import Function, Tensor, apply, caller, cast, name_of, tensor
from fanlight.tensor.tape import flatten, positions_heard, recording, renamed, unflatten


def value_and_grad(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that gives (fn(*args), gradients).

    Args:
        fn: gives one float32 number: a tensor of one element.
        argnums: which arguments to derive after; each is a tensor, or tuples, lists or dicts of
            tensors (float32). With several numbers the gradients come as a tuple.

    Raises:
        FanlightError: when called: E-TENSOR-005 the result is no float32 number; E-OP-008 an op
            without a gradient is on the way.
    """

    function_of("grad", "fn", fn)
    several = as_wholes(argnums)
    one = as_whole(argnums) if several is None and not isinstance(argnums, list | tuple) else None
    if several is None and one is None:
        raise refused(
            "grad",
            "argnums",
            "the place of an argument, or several of them",
            argnums,
            "arguments count from 0: fl.grad(f, argnums=0), fl.grad(f, argnums=(0, 2)).",
        )

    @wraps(fn)
    def both(*args: Any, **options: Any) -> tuple[Any, Any]:
        numbers = list(several or ()) if one is None else [one]
        if not numbers or not all(0 <= n < len(args) for n in numbers):
            raise FanlightError(
                "E-TENSOR-006",
                "the arguments to derive after are given by position.",
                where=caller(),
                expected=f"at least {max(numbers, default=0) + 1} arguments without names",
                received=f"{len(args)}, and {', '.join(options) or 'none'} by name",
            )
        flat, forms = zip(*(flatten(args[n]) for n in numbers), strict=True)
        # Tensors of their own: the same one may be given twice.
        own = [[copied(_float(x)) for x in part] for part in flat]
        given = list(args)
        for number, part, form in zip(numbers, own, forms, strict=True):
            given[number] = unflatten(part, form)
        with recording([x for part in own for x in part]) as tape:
            result = fn(*given, **options)
            many = result is None or isinstance(result, list | tuple | dict)
            y = result if many else tensor(result)
        if not isinstance(y, Tensor) or _float(y).size != 1:
            raise FanlightError(
                "E-TENSOR-005",
                "only a result of one number has a gradient.",
                where=caller(),
                expected="float32 with one element",
                received=str(y.type)
                if isinstance(y, Tensor)
                else "None"
                if y is None
                else type(y).__name__,
                next="the function has no return."
                if y is None
                else "sum or average it, or use fl.vjp with a weight for every element.",
            )
        grads = tape.pull([y], [_ones(y)], [x for part in own for x in part])
        found, at = [], 0
        for part, form in zip(own, forms, strict=True):
            found.append(unflatten(grads[at : at + len(part)], form))
            at += len(part)
        return result, found[0] if several is None else tuple(found)

    return both


def grad(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that gives the gradient of fn after its argument `argnums`; see value_and_grad."""
    both = value_and_grad(fn, argnums)

    @wraps(fn)
    def gradient(*args: Any, **options: Any) -> Any:
        return both(*args, **options)[1]

    return gradient


def grads(fn: Function) -> Function:
    """A function that gives the gradients of fn after each of its arguments, as a tuple."""
    function_of("grads", "fn", fn)

    @wraps(fn)
    def every(*args: Any, **options: Any) -> Any:
        return grad(fn, tuple(range(len(args))))(*args, **options)

    return every


def vjp(fn: Function, *primals: Any) -> tuple[Any, Function]:
    """(fn(*primals), pull): pull(u) gives u^T J, a tuple with one gradient per primal.

    `u` has the structure and shapes of the result; J is the matrix of all derivatives.
    """
    function_of("vjp", "fn", fn)
    flat, form = flatten(primals)
    own = [copied(_float(x)) for x in flat]
    with recording(own) as tape:
        result = fn(*unflatten(own, form))
    outputs, shape_of = flatten(result)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        weights = _matching(cotangent, outputs)
        found: tuple[Any, ...] = unflatten(tape.pull(outputs, weights, own), form)
        return found

    return unflatten(outputs, shape_of), pull


def jvp(fn: Function, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """(fn(*primals), J t): how the result moves when the primals move along the tangents.

    Args:
        primals, tangents: a tuple or list with one entry per argument; of a function of one
            argument they may be given as they are.

    J t is the gradient of u^T J after u, in the direction t (the transpose of a transpose).
    """
    function_of("jvp", "fn", fn)
    if not isinstance(primals, list | tuple):
        primals, tangents = (primals,), (tangents,)
    tangents = listed("jvp", "tangents", tangents, "jvp(f, (x, y), (dx, dy))")
    flat, _ = flatten(tuple(primals))
    directions = _matching(tuple(tangents), flat)

    results: list[Any] = []

    def weighted(weights: Any) -> Any:
        result, pull = vjp(fn, *primals)
        results.append(result)
        return pull(weights)

    with unheard():
        outputs, form = flatten(fn(*primals))
    zeros = [tensor(np.zeros(y.shape, np.float32)) for y in outputs]
    _, pull = vjp(weighted, unflatten(zeros, form))
    (moved,) = pull(unflatten(directions, flatten(tuple(primals))[1]))
    return results[0], moved


def hvp(fn: Function, x: Any, v: Any) -> Any:
    """The product of the Hessian of fn at x with v: the gradient of grad(fn)(x) . v."""

    function_of("hvp", "fn", fn)

    def along(point: Any) -> Tensor:
        parts, _ = flatten(grad(fn)(point))
        total: Any = None
        for part, direction in zip(parts, _matching(v, parts), strict=True):
            product = apply("mul", part, direction)
            term = apply("sum", product, axes=tuple(range(product.rank)))
            total = term if total is None else apply("add", total, term)
        result: Tensor = total
        return result

    return grad(along)(x)


def stop_gradient(x: Any) -> Tensor:
    """x itself; no gradient passes."""
    return tensor(x).alias()


def custom_gradient(fn: Callable[..., tuple[Any, Function]]) -> Function:
    """A function with a gradient of its own.

    Args:
        fn: gives (result, backward); backward(g) gives the gradients of the arguments, a tensor or
            a tuple of them. Both are made of tensor ops, so that they have gradients, too.
    """

    function_of("custom_gradient", "fn", fn)

    @wraps(fn)
    def wrapped(*args: Any, **options: Any) -> Tensor:
        by_place("custom_gradient", options)
        inputs = tuple(tensor(a) for a in args)
        # Heard: what `backward` takes from here has gradients, too.
        pair = fn(*inputs)
        if not isinstance(pair, tuple) or len(pair) != 2 or not callable(pair[1]):
            raise FanlightError(
                "E-TENSOR-006",
                "a function with a gradient of its own gives two things.",
                where=f"{name_of(fn)}, {caller()}",
                expected="return result, backward",
                received=repr(pair)[:200],
            )
        result, backward = pair
        if any(x.dtype == COMPLEX for x in (*inputs, tensor(result))):
            raise FanlightError(
                "E-TENSOR-005",
                "a gradient of one's own is written between real tensors.",
                where=f"{name_of(fn)}, {caller()}",
                expected="float32 arguments and result",
                received=", ".join(str(x.type) for x in (*inputs, tensor(result))),
                next="give it fl.real(z) and fl.imag(z), and join results with fl.complex.",
            )
        # A tensor of its own: nothing flows back through what it was computed by.
        y = tensor(result).alias()

        def back(g: Tensor) -> Sequence[Any]:
            found = backward(g)
            found = list(found) if isinstance(found, list | tuple) else [found]
            if len(found) != len(inputs):
                found = _matching(found, inputs)  # which refuses them
            return [
                None if part is None else _matching(part, [x])[0]
                for part, x in zip(found, inputs, strict=True)
            ]

        tell(Call("custom_gradient", inputs, (y,), backward=back))
        return y

    return wrapped


class Captured:
    """What a function takes from outside of it, as its calls are heard."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        self._inside = state.inside
        self._outer = tuple(state.listeners)
        self._own: dict[int, Tensor] = {id(x): x for x in inputs}
        self.tensors: dict[int, Tensor] = {}

    def heard(self, call: Call) -> None:
        if state.inside > self._inside:
            return
        for x in call.inputs:
            if x.dtype == "float32" and id(x) not in self._own:
                self.tensors[id(x)] = x
        self._own.update((id(y), y) for y in call.outputs)

    def takes(self, inputs: Sequence[Tensor]) -> None:
        """These are of inside."""
        self._own.update((id(x), x) for x in inputs)

    def wants(self, x: Tensor) -> bool:
        """Whether x may depend on something that is derived after."""
        return id(x) in self._own or any(listener.wants(x) for listener in self._outer)

    def wanted(self) -> list[Tensor]:
        """What was taken from outside, if anybody outside cares for it."""
        return [x for x in self.tensors.values() if any(outer.wants(x) for outer in self._outer)]


def checkpoint(fn: Function) -> Function:
    """A function whose inside is not kept for the gradient, but computed again (Chen et al. 2016).

    Args:
        fn: takes and gives tensors, or tuples, lists and dicts of them. It has to give the same
            when it is called again.

    Gradients of any order pass, also to what fn takes from outside its arguments. In a built or
    compiled function, too, the inside is computed twice and its memory used for something else in
    between.
    """

    function_of("checkpoint", "fn", fn)

    @wraps(fn)
    def light(*args: Any, **options: Any) -> Any:
        by_place("checkpoint", options)
        flat, form = flatten(args)
        # Tensors of its own: fn may take one of them from outside, too.
        own = [x.alias() for x in flat]
        captured = Captured(own)
        with unheard(), listening(captured):
            results, shape_of = flatten(fn(*unflatten(own, form)))
        # What is handed on as it is was taken from outside, too.
        captured.heard(Call("results", tuple(results), ()))
        outside, known = captured.wanted(), positions_heard()
        outputs = [y.alias() for y in results]

        def back(*grads: Any) -> list[Any]:
            first = next(g for g in grads if g is not None)
            # Not before the gradient is there: nothing of it is what was computed before.
            again = [apply("after", x, first) for x in flat]
            floats = [x for x in again if x.dtype == "float32"]
            with recording([*floats, *outside], renamed(known, flat, again)) as tape:
                made, _ = flatten(fn(*unflatten(again, form)))
            weights = [
                tensor(np.zeros(y.shape, np.float32)) if g is None else g
                for y, g in zip(made, grads, strict=True)
            ]
            found = iter(tape.pull(made, weights, [*floats, *outside]))
            return [
                *[next(found) if x.dtype == "float32" else None for x in again],
                *found,
            ]

        tell(Call("checkpoint", (*flat, *outside), tuple(outputs), backward=back))
        return unflatten(outputs, shape_of)

    return light


def _float(x: Tensor) -> Tensor:
    if x.dtype != "float32":
        raise FanlightError(
            "E-TENSOR-005",
            "only float32 tensors have gradients.",
            where=caller(),
            expected="float32",
            received=str(x.type),
            next="cast it, or leave it out of argnums.",
        )
    return x


def copied(x: Tensor) -> Tensor:
    """The same tensor under another identity; outer tapes know that it is the same."""
    y = x.alias()
    tell(Call("identity", (x,), (y,), backward=lambda g: (g,)))
    return y


def _ones(y: Tensor) -> Tensor:
    return tensor(np.ones(y.shape, np.float32))


def _matching(value: Any, like: Sequence[Tensor]) -> list[Tensor]:
    """The tensors of a structure, which have the shapes of others."""
    found, _ = flatten(value)
    found = [cast(v, "float32") for v in found]
    if [v.shape for v in found] != [v.shape for v in like]:
        raise FanlightError(
            "E-OP-004",
            "a direction or weight has another shape than what it belongs to.",
            where=caller(),
            expected=", ".join(str(v.type) for v in like) or "nothing",
            received=", ".join(str(v.type) for v in found),
        )
    return found
