"""How ops are applied to a whole batch, whose first dim counts the examples.

A rule gets the wholes (and what is the same for every example), and the attributes of one example.
Ops without a rule are applied to one example after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.ops import lookup
from fanlight.ops.types import TensorType
from fanlight.tensor.core import Tensor, apply, tensor


@dataclass(frozen=True)
class Many:
    """One call for a whole batch.

    Attributes:
        values: the inputs: wholes, or what is the same for every example.
        many: which of them are wholes.
        types: of one example.
    """

    op: str
    size: int
    values: Sequence[Tensor]
    many: Sequence[bool]
    types: Sequence[TensorType]
    attrs: dict[str, Any]

    def whole(self, index: int) -> Tensor:
        """An input as a whole."""
        x = self.values[index]
        return x if self.many[index] else repeated(x, self.size)

    def same(self, *values: Tensor, **changed: Any) -> Any:
        """The op itself, with some attributes changed."""
        return apply(self.op, *values, **{**self.attrs, **changed})


Rule = Callable[[Many], Any]
_RULES: dict[str, Rule] = {}


def _rule(*ops: str) -> Callable[[Rule], Rule]:
    def put(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(ops, rule))
        return rule

    return put


def apply_to_all(
    op: str,
    size: int,
    values: Sequence[Tensor],
    many: Sequence[bool],
    types: Sequence[TensorType],
    attrs: dict[str, Any],
) -> tuple[Tensor, ...]:
    """The results of a call, as wholes."""
    call = Many(op, size, values, many, types, attrs)
    rule = _RULES.get(op)
    if rule is None:
        rule = _elementwise if lookup(op).scalar is not None else _one_by_one
    made = rule(call)
    return made if isinstance(made, tuple) else (made,)


def repeated(x: Tensor, size: int) -> Tensor:
    """The same for every example, as a whole."""
    one: Tensor = apply("reshape", x, shape=(1, *x.shape))
    whole: Tensor = apply("broadcast_to", one, shape=(size, *x.shape))
    return whole


def moved(x: Tensor, source: int, target: int) -> Tensor:
    """One dim put elsewhere; the others keep their order."""
    source, target = source % x.rank, target % x.rank
    if source == target:
        return x
    order = [d for d in range(x.rank) if d != source]
    order.insert(target, source)
    result: Tensor = apply("transpose", x, perm=tuple(order))
    return result


def _one_by_one(call: Many) -> tuple[Tensor, ...]:
    """Each example for itself, and the results stacked."""
    columns: list[list[Tensor]] = []
    for i in range(call.size):
        inputs = [
            _example(x, i) if many else x for x, many in zip(call.values, call.many, strict=True)
        ]
        made = call.same(*inputs)
        made = made if isinstance(made, tuple) else (made,)
        columns.append([apply("reshape", y, shape=(1, *y.shape)) for y in made])
    return tuple(apply("concat", *parts, axis=0) for parts in zip(*columns, strict=True))


def _example(whole: Tensor, index: int) -> Tensor:
    begin = (index, *(0 for _ in whole.shape[1:]))
    part = apply("slice", whole, begin=begin, size=(1, *whole.shape[1:]))
    result: Tensor = apply("reshape", part, shape=whole.shape[1:])
    return result


def _lifted(x: Tensor, rank: int, lead: int = 0) -> Tensor:
    """A whole whose examples get dims of size 1 after their first `lead` dims, up to a rank."""
    missing = rank - (x.rank - 1)
    if not missing:
        return x
    at = 1 + lead
    shape = (*x.shape[:at], *(1,) * missing, *x.shape[at:])
    result: Tensor = apply("reshape", x, shape=shape)
    return result


def _elementwise(call: Many) -> Any:
    """What broadcasts among examples: they all get the same rank."""
    rank = max(t.rank for t in call.types)
    values = [
        _lifted(x, rank) if many else x for x, many in zip(call.values, call.many, strict=True)
    ]
    return call.same(*values)


def _after(axis: int, rank: int) -> int:
    """A dim of an example as a dim of the whole."""
    return axis % rank + 1 if rank else 1


@_rule("sum", "mean", "prod", "max", "min", "any", "all", "reverse")
def _axes(call: Many) -> Any:
    rank = call.types[0].rank
    return call.same(call.values[0], axes=tuple(_after(d, rank) for d in call.attrs["axes"]))


@_rule("arg_max", "arg_min", "softmax", "log_softmax", "cumsum", "cumprod", "cummax", "cummin")
def _axis(call: Many) -> Any:
    return call.same(call.values[0], axis=_after(call.attrs["axis"], call.types[0].rank))


@_rule("batch_norm")
def _first_only(call: Many) -> Any:
    return _one_by_one(call) if any(call.many[1:]) else call.same(*call.values)


@_rule("after")
def _after_all(call: Many) -> Any:
    return call.same(call.whole(0), call.values[1])


@_rule("top_k", "sort", "cholesky", "det", "slogdet", "qr", "eigh", "svd")
def _last(call: Many) -> Any:
    return call.same(call.values[0])


@_rule("reshape")
def _reshape(call: Many) -> Any:
    (x,) = call.values
    shape = list(call.attrs["shape"])
    if -1 in shape:
        known = int(np.prod([n for n in shape if n != -1]))
        shape[shape.index(-1)] = call.types[0].size // known if known else 0
    return call.same(x, shape=(call.size, *shape))


@_rule("transpose")
def _transpose(call: Many) -> Any:
    rank = call.types[0].rank
    return call.same(call.values[0], perm=(0, *(_after(d, rank) for d in call.attrs["perm"])))


@_rule("broadcast_to")
def _broadcast_to(call: Many) -> Any:
    shape = call.attrs["shape"]
    return call.same(_lifted(call.values[0], len(shape)), shape=(call.size, *shape))


@_rule("slice")
def _slice(call: Many) -> Any:
    begin, size = call.attrs["begin"], call.attrs["size"]
    return call.same(call.values[0], begin=(0, *begin), size=(call.size, *size))


@_rule("strided_slice")
def _strided_slice(call: Many) -> Any:
    attrs = call.attrs
    return call.same(
        call.values[0],
        begin=(0, *attrs["begin"]),
        end=(call.size, *attrs["end"]),
        strides=(1, *attrs["strides"]),
    )


@_rule("pad", "mirror_pad")
def _pad(call: Many) -> Any:
    return call.same(call.values[0], paddings=((0, 0), *call.attrs["paddings"]))


@_rule("tile")
def _tile(call: Many) -> Any:
    return call.same(call.values[0], multiples=(1, *call.attrs["multiples"]))


@_rule("concat")
def _concat(call: Many) -> Any:
    parts = [call.whole(i) for i in range(len(call.values))]
    return call.same(*parts, axis=_after(call.attrs["axis"], call.types[0].rank))


@_rule("gather")
def _gather(call: Many) -> Any:
    x, indices = call.values
    kind = call.types[0]
    axis = call.attrs["axis"] % kind.rank
    if not call.many[1]:
        return call.same(x, indices, axis=axis + 1)
    if not call.many[0]:
        return moved(call.same(x, indices, axis=axis), axis, 0)
    # Rows of all examples behind one another, and indices that know their example.
    n = kind.bound[axis]
    first = moved(x, axis + 1, 1)
    rest = first.shape[2:]
    flat = apply("reshape", first, shape=(call.size * n, *rest))
    bounded = apply("minimum", apply("maximum", indices, tensor(0)), tensor(n - 1))
    lead = np.arange(call.size, dtype=np.int32).reshape(-1, *(1,) * (indices.rank - 1)) * n
    found = apply("gather", flat, apply("add", bounded, tensor(lead)), axis=0)
    # [examples, indices..., dims before the axis, dims after it]
    count = indices.rank - 1
    before = [1 + count + d for d in range(axis)]
    after = [1 + count + d for d in range(axis, len(rest))]
    return apply("transpose", found, perm=(0, *before, *range(1, 1 + count), *after))


@_rule("matmul")
def _matmul(call: Many) -> Any:
    rank = max(t.rank for t in call.types)
    values = [
        _lifted(x, rank) if many else x for x, many in zip(call.values, call.many, strict=True)
    ]
    return call.same(*values)


@_rule("solve", "triangular_solve")
def _solve(call: Many) -> Any:
    return call.same(call.whole(0), call.whole(1))


@_rule("fft")
def _fft(call: Many) -> Any:
    if call.many[2]:
        return _one_by_one(call)
    return call.same(call.whole(0), call.whole(1), call.values[2])


def _with_example(indices: Tensor) -> Tensor:
    """Indices [examples, ..., n] with the example as the first of n + 1."""
    count = np.arange(indices.shape[0], dtype=np.int32)
    lead = (*indices.shape[:-1], 1)
    first = np.broadcast_to(count.reshape(-1, *(1,) * (indices.rank - 1)), lead)
    result: Tensor = apply("concat", tensor(np.ascontiguousarray(first)), indices, axis=-1)
    return result


@_rule("gather_nd")
def _gather_nd(call: Many) -> Any:
    if not call.many[0]:
        return call.same(*call.values)
    return call.same(call.values[0], _with_example(call.whole(1)))


@_rule("scatter_nd")
def _scatter_nd(call: Many) -> Any:
    shape = call.attrs["shape"]
    others = [call.whole(i) for i in range(1, len(call.values))]
    whole = (call.size, *shape) if len(others) == 1 else shape
    return call.same(_with_example(call.whole(0)), *others, shape=whole)


@_rule(
    "conv2d",
    "depthwise_conv2d",
    "conv2d_transpose",
    "max_pool",
    "avg_pool",
    "resize_bilinear",
    "resize_nearest",
    "depth_to_space",
    "space_to_depth",
)
def _images(call: Many) -> Any:
    """[examples, N, ...] are as many images, unless something else differs between examples."""
    if not call.many[0] or any(call.many[1:]):
        return _one_by_one(call)
    x = call.values[0]
    images = apply("reshape", x, shape=(call.size * x.shape[1], *x.shape[2:]))
    made = call.same(images, *call.values[1:])
    return apply("reshape", made, shape=(call.size, x.shape[1], *made.shape[1:]))
