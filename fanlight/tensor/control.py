"""fl.cond, fl.while_loop, fl.scan: decisions and loops that a compiled function keeps.

Eagerly Python decides and loops. In a function that is traced branches and bodies become
sub-graphs of one node (bodies.py); in fl.vmap they are applied to whole batches. Gradients are
again decisions and loops, made of the functions that were given, so that they have gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops import lookup
from fanlight.ops.backward import Step
from fanlight.ops.types import TensorType
from fanlight.tensor import batched
from fanlight.tensor.arguments import as_whole, flag, function_of
from fanlight.tensor.bodies import Body, Flat, taken_by
from fanlight.tensor.calls import Call, deepest, listened, listening, tell, tracing, unheard
from fanlight.tensor.core import Function, Tensor, apply, caller, name_of, tensor
from fanlight.tensor.gradients import Captured, copied
from fanlight.tensor.tape import Positions, flatten, positions_heard, recording, renamed, unflatten
from fanlight.tensor.vmap import Batch

Tensors = list[Tensor]


def cond(pred: Any, true_fn: Function, false_fn: Function, *operands: Any) -> Any:
    """true_fn(*operands) if pred, else false_fn(*operands); only that one is computed.

    Args:
        pred: a bool without dims.
        true_fn, false_fn: take the operands (tensors, or tuples, lists and dicts of them) and give
            the same structure, shapes and dtypes. They may use tensors of outside.

    In a compiled function both are traced, and the choice is made when it runs. Under fl.vmap with
    a pred for each example both are computed, and each example takes its own. Gradients pass
    through the branch that was taken. Source: jax.lax.cond.

    Raises:
        FanlightError: E-TENSOR-030 pred is no bool without dims, or (where both are traced) the
            branches give different structures or types.
    """
    function_of("cond", "true_fn", true_fn)
    function_of("cond", "false_fn", false_fn)
    chosen = _predicate(tensor(pred), "fl.cond", "pred")
    if not chosen.traced:
        return (true_fn if chosen.item() else false_fn)(*operands)
    flat, form = flatten(operands)
    forms: list[Any] = []

    def flattened(fn: Function) -> Flat:
        def run(parts: Sequence[Tensor]) -> Tensors:
            results, shape = flatten(fn(*unflatten(parts, form)))
            forms.append(shape)
            if shape != forms[0]:
                raise _unfit(
                    "the branches of fl.cond give different structures.",
                    _described(forms[0]),
                    _described(shape),
                    f"{name_of(true_fn)} and {name_of(false_fn)}",
                )
            return results

        return run

    outputs = _cond(chosen, flattened(true_fn), flattened(false_fn), flat)
    return unflatten(outputs, forms[0])


def while_loop(cond_fn: Function, body_fn: Function, init: Any) -> Any:
    """The state after the last turn of: while cond_fn(state): state = body_fn(state).

    Args:
        cond_fn: takes the state and gives a bool without dims.
        body_fn: takes the state and gives the next one: same structure, shapes and dtypes.
        init: the first state: tensors, or tuples, lists and dicts of them.

    In a compiled function it stays a loop, which turns as often as the numbers say. Under fl.vmap
    it turns until no example wants to, and those that are through keep their state. It has no
    gradient in a traced function; fl.scan has. Source: jax.lax.while_loop.

    Raises:
        FanlightError: E-TENSOR-030 cond_fn gives no bool without dims, or the state changes its
            structure, shapes or dtypes; E-OP-008 a gradient is wanted.
    """
    function_of("while_loop", "cond_fn", cond_fn)
    function_of("while_loop", "body_fn", body_fn)
    flat, form = flatten(init)
    if not flat:
        raise _unfit("fl.while_loop has nothing to carry.", "a state with tensors", repr(init))
    where = f"fl.while_loop of {name_of(body_fn)}"

    def condition(parts: Sequence[Tensor]) -> Tensors:
        given = tensor(cond_fn(unflatten(parts, form)))
        return [_predicate(given, "fl.while_loop", f"what {name_of(cond_fn)} gives")]

    def body(parts: Sequence[Tensor]) -> Tensors:
        return _carried(body_fn(unflatten(parts, form)), form, flat, where)

    outputs = _kept_while(condition, body, flat) if tracing() else None
    if outputs is None:
        outputs = _python_while(condition, body, flat)
    return unflatten(outputs, form)


def scan(
    fn: Function, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False
) -> tuple[Any, Any]:
    """(carry, ys) after: for i in 0 .. length - 1: carry, ys[i] = fn(carry, xs[i]).

    Args:
        fn: takes what is carried and a slice of xs; gives what is carried next (same structure,
            shapes and dtypes) and a result, both tensors or tuples, lists and dicts of them. The
            result may be None.
        init: what is carried first; () for nothing.
        xs: tensors [length, ...] or structures of them, cut along the first dim; or None: fn gets
            None, and length says how often.
        length: how many turns; default: that of xs.
        reverse: begin with the last slice; ys lie where their slices did.

    In a compiled function it stays a loop with one body. Gradients of any order pass, also to what
    fn takes from outside; they are loops, too. Source: jax.lax.scan.

    Raises:
        FanlightError: E-TENSOR-030 xs have different lengths, or none; there is no turn; what is
            carried changes its structure, shapes or dtypes.
    """
    function_of("scan", "fn", fn)
    reverse = flag("scan", "reverse", reverse)
    carry, form = flatten(init)
    slices, form_x = ([], None) if xs is None else flatten(xs)
    count = _length(slices, length)
    where = f"fl.scan of {name_of(fn)}"
    forms: list[Any] = []

    def body(parts: Sequence[Tensor]) -> Tensors:
        x = None if xs is None else unflatten(parts[len(carry) :], form_x)
        pair = fn(unflatten(parts[: len(carry)], form), x)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise _unfit(
                "the function of fl.scan gives two things.",
                "return carry, result (None for no result)",
                repr(pair)[:200],
                where,
            )
        results, shape = ([], None) if pair[1] is None else flatten(pair[1])
        forms.append((pair[1] is None, shape))
        if forms[-1] != forms[0]:
            raise _unfit(
                "the results of fl.scan change their structure.",
                _described(forms[0][1]),
                _described(shape),
                where,
            )
        return [*_carried(pair[0], form, carry, where), *results]

    outputs = _scan(body, carry, slices, count, reverse)
    nothing, shape = forms[0]
    ys = None if nothing else unflatten(outputs[len(carry) :], shape)
    return unflatten(outputs[: len(carry)], form), ys


# --- checks ---------------------------------------------------------------------------------------


def _unfit(message: str, expected: str, received: str, where: str = "") -> FanlightError:
    return FanlightError(
        "E-TENSOR-030",
        message,
        where=", ".join(filter(None, (where, caller()))),
        expected=expected,
        received=received,
    )


def _predicate(x: Tensor, name: str, what: str) -> Tensor:
    if x.dtype == "bool" and x.shape == ():
        return x
    error = _unfit(f"{name} decides by one bool.", f"{what}: bool[]", str(x.type))
    error.next = "compare it (x > 0), and reduce it to one: fl.any, fl.all."
    raise error


def _described(form: Any) -> str:
    """A structure in words."""
    if form is None:
        return "a tensor"
    kind, keys, forms = form
    if keys is not None:
        parts = [f"{key!r}: {_described(f)}" for key, f in zip(keys, forms, strict=True)]
        return "{" + ", ".join(parts) + "}"
    return f"{kind.__name__} of ({', '.join(map(_described, forms))})"


def _like(value: Any, form: Any) -> Any:
    """A structure whose dicts have their keys in the order of another one's."""
    if form is None:
        return value
    kind, keys, forms = form
    if kind is dict and isinstance(value, Mapping) and set(value) == set(keys):
        return {key: _like(value[key], f) for key, f in zip(keys, forms, strict=True)}
    if type(value) is kind and kind in (list, tuple) and len(value) == len(forms):
        return kind(_like(v, f) for v, f in zip(value, forms, strict=True))
    return value


def _carried(value: Any, form: Any, before: Sequence[Tensor], where: str) -> Tensors:
    """What is carried next, which is like what was carried before."""
    found, shape = flatten(_like(value, form))
    types, wanted = [x.type for x in found], [x.type for x in before]
    if shape != form:
        raise _unfit(
            "what is carried changes its structure.", _described(form), _described(shape), where
        )
    if types != wanted:
        error = _unfit(
            "what is carried changes its type.",
            ", ".join(map(str, wanted)),
            ", ".join(map(str, types)),
            where,
        )
        error.next = "begin with the type that the body gives (0.0 is float32, 0 int32), or cast."
        raise error
    return found


def _length(slices: Sequence[Tensor], length: Any) -> int:
    found = [x.shape[0] if x.rank else None for x in slices]
    found += [] if length is None else [as_whole(length)]
    whole = all(n is not None and n > 0 for n in found)
    if not whole or len(set(found)) != 1:
        raise _unfit(
            "fl.scan cannot tell how often to turn.",
            "xs with the same first dim, at least 1, or length where there are none",
            ", ".join([*(str(x.type) for x in slices), f"length={length}"]),
        )
    return int(found[0])  # type: ignore[arg-type]  # which was looked at


# --- cond -----------------------------------------------------------------------------------------


def _cond(pred: Tensor, true_fn: Flat, false_fn: Flat, flat: Sequence[Tensor]) -> Tensors:
    outside = _Outside([pred, *flat])
    with outside:
        outputs = _choose(pred, outside.seen(true_fn), outside.seen(false_fn), flat)
    leaves = outside.leaves

    def back(*grads: Tensor | None) -> list[Tensor | None]:
        floats = [i for i, x in enumerate(flat) if x.dtype == "float32"]
        given = [i for i, g in enumerate(grads) if g is not None]

        def pulled(fn: Flat) -> Flat:
            def run(parts: Sequence[Tensor]) -> Tensors:
                weights = dict(zip(given, parts[len(flat) :], strict=True))
                own = parts[: len(flat)]
                known = renamed(outside.positions, flat, own)
                return _pulled(fn, own, floats, leaves, weights, known)

            return run

        operands = [*flat, *(g for g in grads if g is not None)]
        found = _cond(pred, pulled(true_fn), pulled(false_fn), operands)
        return [None, *_spread(found, floats, len(flat))]

    outside.tell("cond", outputs, back)
    return outputs


def _choose(pred: Tensor, true_fn: Flat, false_fn: Flat, flat: Sequence[Tensor]) -> Tensors:
    types = [x.type for x in flat]
    bodies = [Body(true_fn, types, "true_fn"), Body(false_fn, types, "false_fn")]
    first, second = ([str(v.type) for v in body.outputs] for body in bodies)
    if first != second:
        raise _unfit(
            "the branches of fl.cond give different types.",
            ", ".join(first) or "nothing",
            ", ".join(second) or "nothing",
        )
    taken = taken_by(*bodies)
    level = deepest([pred, *flat, *taken])
    if not first:
        return []
    if not isinstance(level, Batch):
        parts = [body.finish(taken) for body in bodies]
        return _listed(apply("cond", pred, *flat, *taken, true_fn=parts[0], false_fn=parts[1]))
    if pred._trace is level:
        own = [x.alias() for x in flat]
        pairs = zip(true_fn(own), false_fn(own), strict=True)
        return [apply("select", pred, a, b) for a, b in pairs]
    with batched.wholes(level) as batch:
        many = [x._trace is level for x in flat]
        first_fn, other_fn = (batch.function(fn, many) for fn in (true_fn, false_fn))
        return batch.examples(_choose(pred, first_fn, other_fn, batch.values(flat)))


# --- while_loop -----------------------------------------------------------------------------------


def _python_while(condition: Flat, body: Flat, state: Sequence[Tensor]) -> Tensors:
    while condition(state)[0].item():
        state = body(state)
    return list(state)


def _kept_while(condition: Flat, body: Flat, flat: Sequence[Tensor]) -> Tensors | None:
    outside, line = _Outside(flat), caller()
    with outside:
        outputs = _repeat(outside.seen(condition), outside.seen(body), flat)
    if outputs is None:
        return None

    def back(*grads: Tensor | None) -> list[Tensor | None]:
        step = Step("while_loop", (), (), grads, {}, (), apply, tensor)
        try:
            return list(lookup("while_loop").backward(step))  # which refuses
        except FanlightError as error:
            error.where = f"while_loop, {line}"
            raise

    outside.tell("while_loop", outputs, back)
    return outputs


def _repeat(condition: Flat, body: Flat, flat: Sequence[Tensor]) -> Tensors | None:
    """The last state; None where nothing is traced, so that Python can loop."""
    types = [x.type for x in flat]
    bodies = [Body(condition, types, "cond_fn"), Body(body, types, "body_fn")]
    taken = taken_by(*bodies)
    level = deepest([*flat, *taken])
    if level is None:
        return None
    if not isinstance(level, Batch):
        parts = [b.finish(taken) for b in bodies]
        options = {"cond_fn": parts[0], "body_fn": parts[1], "carried": len(flat)}
        return _listed(apply("while_loop", *flat, *taken, **options))
    with batched.wholes(level) as batch:
        first, turn = batch.asked(condition), batch.masked(condition, body)
        whole = [batch.whole(x) for x in flat]
        found = _repeat(first, turn, whole)
        return batch.examples(_python_while(first, turn, whole) if found is None else found)


# --- scan -----------------------------------------------------------------------------------------


def _scan(
    body: Flat, carry: Sequence[Tensor], xs: Sequence[Tensor], length: int, reverse: bool
) -> Tensors:
    if not tracing():
        return _python_scan(body, carry, xs, length, reverse)
    count = len(carry)
    outside = _Outside([*carry, *xs])
    saves = listened()

    def saving(parts: Sequence[Tensor]) -> Tensors:
        """The body; it gives what was carried in, too, which the gradient needs."""
        return [*body(parts), *parts[:count]]

    with outside:
        seen = outside.seen(saving if saves else body)
        outputs = _turn(seen, carry, xs, length, reverse)
    if outputs is None:
        return _python_scan(body, carry, xs, length, reverse)
    if not saves:
        return outputs
    made = len(outputs) - count
    saved, leaves = outputs[made:], outside.leaves
    floats = [i for i, x in enumerate([*carry, *xs]) if x.dtype == "float32"]
    kept = [i for i in floats if i < count]

    def back(*grads: Tensor | None) -> list[Tensor | None]:
        given = [i for i in range(count, made) if grads[i] is not None]
        known = [i for i in kept if grads[made + i] is not None]
        start = [_zeros(saved[i].shape[1:]) if grads[i] is None else grads[i] for i in kept]
        start += [_zeros(x.shape) for x in leaves]

        def turn(parts: Sequence[Tensor]) -> Tensors:
            rest = iter(parts)
            now = [next(rest) for _ in kept]
            sums = [next(rest) for _ in leaves]
            inputs = [next(rest) for _ in range(count + len(xs))]
            weights = {**dict(zip(kept, now, strict=True)), **{i: next(rest) for i in given}}
            more = {i: next(rest) for i in known}
            marks = renamed(outside.positions, [*carry, *xs], inputs)
            found = _pulled(body, inputs, floats, leaves, weights, marks)
            before = [
                apply("add", g, more[i]) if i in more else g
                for i, g in zip(kept, found, strict=False)
            ]
            last = found[len(floats) :]
            sums = [apply("add", a, b) for a, b in zip(sums, last, strict=True)]
            return [*before, *sums, *found[len(kept) : len(floats)]]

        slices = [*saved, *xs, *(grads[i] for i in given), *(grads[made + i] for i in known)]
        found = _scan(turn, start, slices, length, not reverse)  # type: ignore[arg-type]
        ends, sums = found[: len(kept)], found[len(kept) : len(start)]
        own = [*ends, *found[len(start) :], *sums]
        return _spread(own, floats, count + len(xs))

    outside.tell("scan", outputs, back)
    return outputs[:made]


def _turn(
    body: Flat, carry: Sequence[Tensor], xs: Sequence[Tensor], length: int, reverse: bool
) -> Tensors | None:
    """Results of all turns; None where nothing is traced, so that Python can loop."""
    slices = [TensorType(x.shape[1:], x.dtype) for x in xs]
    inner = Body(body, [*(x.type for x in carry), *slices], "fn")
    taken = taken_by(inner)
    level = deepest([*carry, *xs, *taken])
    if level is None:
        return None
    if not inner.outputs:
        return []
    if not isinstance(level, Batch):
        options = {"carried": len(carry), "scanned": len(xs), "length": length}
        fn = inner.finish(taken)
        made = apply("scan", *carry, *xs, *taken, fn=fn, reverse=bool(reverse), **options)
        return _listed(made)
    with batched.wholes(level) as batch:
        many = [*(True for _ in carry), *(x._trace is level for x in xs)]
        turn = batch.function(body, many)
        first = [batch.whole(x) for x in carry]
        cut = [batch.along(x) if x._trace is level else x for x in xs]
        found = _turn(turn, first, cut, length, reverse)
        if found is None:
            found = _python_scan(turn, first, cut, length, reverse)
        ends, stacked = found[: len(carry)], found[len(carry) :]
        return batch.examples([*ends, *map(batch.across, stacked)])


def _python_scan(
    body: Flat, carry: Sequence[Tensor], xs: Sequence[Tensor], length: int, reverse: bool
) -> Tensors:
    count, steps = len(carry), []
    for i in reversed(range(length)) if reverse else range(length):
        results = body([*carry, *(_slice(x, i) for x in xs)])
        carry = results[:count]
        steps.append(results[count:])
    if reverse:
        steps.reverse()
    return [*carry, *(_stacked(parts) for parts in zip(*steps, strict=True))]


def _slice(x: Tensor, index: int) -> Tensor:
    begin = (index, *(0 for _ in x.shape[1:]))
    part = apply("slice", x, begin=begin, size=(1, *x.shape[1:]))
    result: Tensor = apply("reshape", part, shape=x.shape[1:])
    return result


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    if len({p.type for p in parts}) != 1:
        raise _unfit(
            "the results of fl.scan change their type.",
            str(parts[0].type),
            ", ".join(dict.fromkeys(str(p.type) for p in parts)),
        )
    rows = [apply("reshape", p, shape=(1, *p.shape)) for p in parts]
    result: Tensor = apply("concat", *rows, axis=0)
    return result


# --- gradients ------------------------------------------------------------------------------------


class _Outside:
    """Finds what functions take from outside; tapes hear of all of it as one call.

    While it is open nobody else hears: the parts are in the call that is told at the end.
    """

    def __init__(self, flat: Sequence[Tensor]) -> None:
        self.flat = tuple(flat)
        self.leaves: Tensors = []
        self.positions: Positions = {}
        self._captured = Captured(()) if listened() else None
        self._unheard = unheard()

    def __enter__(self) -> None:
        self._unheard.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._unheard.__exit__(None, None, None)
        if self._captured is not None:
            self.leaves = self._captured.wanted()

    def seen(self, fn: Flat) -> Flat:
        """A function of tensors of its own; what else it uses or gives is of outside."""
        captured = self._captured
        if captured is None:
            return fn

        def run(parts: Sequence[Tensor]) -> Sequence[Tensor]:
            captured.takes(parts)
            with listening(captured):
                results = fn(parts)
            captured.heard(Call("results", tuple(results), ()))
            return results

        return run

    def tell(self, op: str, outputs: Sequence[Tensor], back: Callable[..., Any]) -> None:
        """One call for tapes, with a gradient of its own."""
        if self._captured is not None:
            self.positions = positions_heard()
            tell(Call(op, (*self.flat, *self.leaves), tuple(outputs), backward=back))


def _pulled(
    fn: Flat,
    inputs: Sequence[Tensor],
    floats: Sequence[int],
    leaves: Sequence[Tensor],
    weights: Mapping[int, Tensor],
    positions: Positions,
) -> Tensors:
    """Gradients of float inputs, then of what is of outside; the function is computed again.

    Args:
        weights: result number -> its gradient; others have none.
    """
    own = [copied(x) if i in floats else x for i, x in enumerate(inputs)]
    watched = [*(own[i] for i in floats), *leaves]
    with recording(watched, positions) as tape:
        results = fn(own)
    numbers = list(weights)
    return tape.pull([results[i] for i in numbers], [weights[i] for i in numbers], watched)


def _spread(found: Sequence[Tensor], floats: Sequence[int], count: int) -> list[Tensor | None]:
    """Gradients of floats among `count` inputs, then those of leaves."""
    own: list[Tensor | None] = [None] * count
    for i, g in zip(floats, found, strict=False):
        own[i] = g
    return [*own, *found[len(floats) :]]


def _zeros(shape: Sequence[int]) -> Tensor:
    return tensor(np.zeros(tuple(shape), np.float32))


def _listed(outputs: Any) -> Tensors:
    return list(outputs) if isinstance(outputs, tuple) else [outputs]
