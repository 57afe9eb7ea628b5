"""fl.vmap: a function of one example becomes one of many, without a loop.

Inside, each tensor stands for one example of a batch. It holds the whole batch, examples along the
first dim, and ops on it are applied to the whole (vmap_rules.py says how; ops without a rule are
applied to one example after the other). What tapes hear of the whole is what was computed, so
gradients pass through, from inside and from outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

from fanlight.errors import FanlightError
from fanlight.ops import row as rows
from fanlight.ops.types import TensorType
from fanlight.tensor import vmap_rules
from fanlight.tensor.arguments import as_whole, by_place, function_of
from fanlight.tensor.calls import Call, check_open, state, tell
from fanlight.tensor.core import Function, Tensor, apply, caller, name_of
from fanlight.tensor.tape import flatten, unflatten

Axes = int | None | Sequence[int | None]


class Batch:
    """The level of a function that runs once for `size` examples; see core.Level."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.open = True
        self.depth = state.traces

    def example(self, whole: Tensor) -> Tensor:
        """What stands for one example of a batch."""
        return Tensor(TensorType(whole.shape[1:], whole.dtype), None, self, whole)

    def whole(self, x: Tensor) -> Tensor:
        """The batch that a tensor stands for; the same for every example if it is of outside."""
        if x._trace is self:
            check_open(x, self)
            found: Tensor = x._value
            return found
        return vmap_rules.repeated(x, self.size)

    def apply(
        self, op: str, inputs: Sequence[Tensor], attrs: dict[str, Any]
    ) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
        types = [x.type for x in inputs]
        full, _ = rows.infer(op, types, attrs)  # one example has to be right
        values = []
        for x in inputs:
            if x._trace is self:
                check_open(x, self)
            values.append(x._value if x._trace is self else x)
        many = [x._trace is self for x in inputs]
        try:
            made = vmap_rules.apply_to_all(op, self.size, values, many, types, full)
        except FanlightError as error:
            if error.code == "E-TENSOR-014":
                error.next = "in fl.vmap examples have at most five dims: theirs is one more."
            raise
        return tuple(map(self.example, made)), full

    def alias(self, x: Tensor) -> Tensor:
        check_open(x, self)
        return self.example(x._value.alias())

    def told(self, call: Call) -> None:
        """Tapes outside know the wholes: let them hear of those."""
        many = [x._trace is self for x in call.inputs]

        def backward(*grads: Any) -> list[Any]:
            assert call.backward is not None
            with self._again():
                parts = call.backward(*[None if g is None else self.example(g) for g in grads])
                found = [None if g is None else self.whole(g) for g in parts]
            return [
                g if g is None or is_many else apply("sum", g, axes=(0,), keepdims=False)
                for g, is_many in zip(found, many, strict=True)
            ]

        inputs = tuple(x._value if is_many else x for x, is_many in zip(call.inputs, many))
        outputs = tuple(self.whole(y) for y in call.outputs)
        tell(Call(call.op, inputs, outputs, call.attrs, backward))

    @contextmanager
    def _again(self) -> Iterator[None]:
        """Open for gradients after the function's end."""
        before, self.open = self.open, True
        state.traces += 1
        try:
            yield
        finally:
            self.open = before
            state.traces -= 1


def vmap(fn: Function, in_axes: Axes = 0, out_axes: int = 0) -> Function:
    """A function that applies fn to every example of its arguments at once.

    Args:
        fn: takes one example: tensors, or tuples, lists and dicts of them; and gives the same.
            Python runs once, for all examples: it cannot look at numbers.
        in_axes: which dim of the arguments counts the examples: of all, or one for each argument;
            None for an argument that is the same for every example.
        out_axes: which dim of the results counts the examples.

    Returns:
        The function of batches. vmap(vmap(fn)) has two dims of examples, and vmap(grad(fn)) gives a
        gradient for each example.

    Raises:
        FanlightError: E-TENSOR-013 in_axes does not fit the arguments, or they have different
            numbers of examples; E-TENSOR-003 fn asks for numbers.
    """

    function_of("vmap", "fn", fn)
    placed = as_whole(out_axes)
    if placed is None:
        raise _wrong("out_axes: one whole number", repr(out_axes))

    @wraps(fn)
    def batched(*args: Any, **options: Any) -> Any:
        by_place("vmap", options)
        axes = _axes(in_axes, args)
        flat: list[tuple[Tensor, int | None]] = []
        forms = []
        for arg, axis in zip(args, axes, strict=True):
            parts, form = flatten(arg)
            flat += [(x, axis) for x in parts]
            forms.append((form, len(parts)))
        size = _size(flat)
        state.traces += 1
        batch = Batch(size)
        try:
            inside = [
                x if axis is None else batch.example(vmap_rules.moved(x, axis, 0))
                for x, axis in flat
            ]
            given, at = [], 0
            for form, count in forms:
                given.append(unflatten(inside[at : at + count], form))
                at += count
            results, form = flatten(fn(*given))
            wholes = [batch.whole(y) for y in results]
        finally:
            batch.open = False
            state.traces -= 1
        return unflatten([_placed(y, placed, name_of(fn)) for y in wholes], form)

    return batched


def _axes(in_axes: Axes, args: Sequence[Any]) -> list[int | None]:
    many = isinstance(in_axes, list | tuple) or getattr(in_axes, "ndim", 0) > 0
    given: list[Any] = [*in_axes] if many else [in_axes] * len(args)  # type: ignore[misc]
    axes = [None if a is None else as_whole(a) for a in given]
    whole = all(a is None or b is not None for a, b in zip(given, axes, strict=True))
    if len(axes) != len(args) or not whole or all(a is None for a in axes):
        raise _wrong(
            "one whole number or None per argument, and a number at least once",
            f"in_axes={in_axes!r} for {len(args)} arguments",
        )
    return axes


def _size(flat: Sequence[tuple[Tensor, int | None]]) -> int:
    sizes = []
    for x, axis in flat:
        if axis is None:
            continue
        if not -x.rank <= axis < x.rank:
            raise _wrong(f"a dim of {x.type}", f"in_axes {axis}")
        sizes.append(x.shape[axis])
    if len(set(sizes)) != 1 or not sizes[0]:
        raise _wrong("the same number of examples, at least one, in every argument", repr(sizes))
    return sizes[0]


def _placed(whole: Tensor, axis: int, called: str) -> Tensor:
    if not -whole.rank <= axis < whole.rank:
        raise _wrong(f"out_axes within {whole.type}, a result of {called}", repr(axis))
    return vmap_rules.moved(whole, 0, axis)


def _wrong(expected: str, received: str) -> FanlightError:
    return FanlightError(
        "E-TENSOR-013",
        "fl.vmap cannot tell the examples apart.",
        where=f"fl.vmap, {caller()}",
        expected=expected,
        received=received,
        next="in_axes=(0, None) takes examples from the first argument and repeats the second.",
    )
