"""Every differentiable op against finite differences, first and second order.

In a random direction d, with random weights u: u . (f(x + h d) - f(x - h d)) / 2h is u^T J d. Ops
that are linear along d are exact for any h; the others are computed in float64 where they can be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.ops import TABLE
from fanlight.ops import row as rows
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.fft import roots
from fanlight.tensor import Tensor, apply, grad, tensor, vjp
from fanlight.tensor.functions import sum as total

LINALG = {row.name for row in TABLE.values() if row.family == "linalg"}
FRAME = ((1, 0), (0, 2))
WINDOW = {"size": (2, 3), "strides": (2, 1), "padding": ((1, 0), (0, 1))}


@dataclass(frozen=True)
class Case:
    """One call: shapes of its float inputs, or arrays where the values matter."""

    op: str
    shapes: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    low: float = -2.0
    high: float = 2.0
    distinct: bool = False
    # Whether f is linear along any direction, so that h may be large.
    linear: bool = False
    # Which of several results is looked at.
    result: int = 0

    def __str__(self) -> str:
        plain = {k: v for k, v in self.attrs.items() if k != "body"}
        shapes = [getattr(s, "shape", s) for s in self.shapes]
        return f"{self.op} {shapes} {plain or ''} {self.result or ''}".strip()


def elementwise() -> list[Case]:
    within = {"asin", "acos", "atanh", "tan"}  # -1 to 1
    positive = {"sqrt", "rsqrt", "log", "log1p", "reciprocal", "pow", "div", "div_no_nan", "atan2"}
    attrs: dict[str, Any] = {
        "clip": {"lo": -1, "hi": 0.5},
        "cast": {"dtype": "float32"},
        "fused": {"body": "add(mul(a0, a1), exp(min(a0, a1)))"},
    }
    cases = []
    for row in TABLE.values():
        if row.scalar is None or isinstance(row.vjp, NotDifferentiable):
            continue
        if row.family == "normalization" or row.name in ("select", "floor_mod"):
            continue  # below, with inputs of their own
        count = 2 if row.name == "fused" else row.arity[0]
        try:
            (out,) = rows.infer(row.name, [FLOAT] * count, attrs.get(row.name, {}))[1]
        except FanlightError:
            continue  # it takes no floats
        if out.dtype != "float32":
            continue
        shapes = ((3, 4), (4,), (3, 1))[:count]
        low, high = (0.3, 2.0) if row.name in positive else (-2.0, 2.0)
        low, high = (-0.9, 0.9) if row.name in within else (low, high)
        low, high = (1.2, 3.0) if row.name == "acosh" else (low, high)
        cases.append(Case(row.name, shapes, attrs.get(row.name, {}), low=low, high=high))
    return cases


FLOAT = rows.TensorType((2,))
# Matrices whose eigenvalues and singular values lie apart.
FAR = np.random.default_rng(3).normal(0, 0.2, (2, 4, 4)).astype(np.float32)
FAR += np.diag(np.float32([3.2, -2.3, 1.4, 0.6]))
POSITIVE = (FAR @ FAR.transpose(0, 2, 1))[:, :3, :3] * np.float32(0.3)
INDICES = np.array([[0, 2], [2, 1]], np.int32)
PLACES = np.int32([[[0, 0], [2, 3], [0, 0]], [[1, 1], [3, 0], [1, -1]]])  # twice, and outside
CONDITION = np.array([[True], [False], [True]])
CASES = [
    *elementwise(),
    Case("select", (CONDITION, (3, 4), (4,))),
    # Away from where the quotient jumps.
    Case("floor_mod", (np.float32([5.3, -4.2, 3.3]), np.float32([2.1, 1.7, -1.4]))),
    Case("gelu", ((5,),), {"approximate": True}),
    Case("elu", ((5,),), {"alpha": 0.5}),
    Case("batch_norm", ((2, 3), (3,), (3,), (3,), (3,)), low=0.5),
    *(Case(op, ((2, 3, 4),), {"axes": (0, -1)}, low=0.5) for op in ("sum", "mean", "prod")),
    *(
        Case(op, ((2, 3, 4),), {"axes": (1,), "keepdims": True}, distinct=True)
        for op in ("max", "min")
    ),
    Case("sum", ((2, 3),), {"axes": ()}),
    Case("softmax", ((2, 5),)),
    Case("softmax", ((2, 5),), {"axis": 0}),
    Case("log_softmax", ((2, 5),)),
    Case("after", ((2, 3), INDICES), linear=True),
    Case("reshape", ((2, 6),), {"shape": (3, -1)}, linear=True),
    Case("transpose", ((2, 3, 4),), {"perm": (2, 0, 1)}, linear=True),
    Case("broadcast_to", ((3, 1),), {"shape": (2, 3, 4)}, linear=True),
    Case("slice", ((4, 5),), {"begin": (1, 0), "size": (2, 5)}, linear=True),
    Case(
        "strided_slice", ((7, 6, 3),),
        {"begin": (1, 5, 2), "end": (7, -1, 0), "strides": (3, -2, -1)}, linear=True,
    ),
    Case(
        "strided_slice", ((7, 6),), {"begin": (0, 0), "end": (0, 6), "strides": (1, 4)}, linear=True
    ),
    Case("reverse", ((2, 3),), {"axes": (1,)}, linear=True),
    Case("pad", ((2, 3),), {"paddings": FRAME, "value": 2}, linear=True),
    Case("mirror_pad", ((3, 4),), {"paddings": ((2, 1), (0, 3))}, linear=True),
    Case(
        "mirror_pad", ((3, 4),), {"paddings": ((3, 1), (2, 4)), "mode": "symmetric"}, linear=True
    ),
    Case("tile", ((2, 3),), {"multiples": (2, 3)}, linear=True),
    Case("concat", ((2, 3), (2, 1), (2, 2)), {"axis": -1}, linear=True),
    Case("gather", ((3, 4), INDICES), {}, linear=True),
    Case("gather", ((2, 3, 4), INDICES), {"axis": 1}, linear=True),
    Case("depth_to_space", ((1, 2, 3, 8),), {"block": 2}, linear=True),
    Case("space_to_depth", ((1, 4, 6, 2),), {"block": 2}, linear=True),
    Case(
        "space_to_batch", ((2, 3, 4, 2),), {"block": (2, 2), "paddings": ((1, 0), (0, 0))},
        linear=True,
    ),
    Case(
        "batch_to_space", ((8, 2, 2, 2),), {"block": (2, 2), "crops": ((1, 0), (0, 1))},
        linear=True,
    ),
    *(
        Case(
            "matmul", ((3, 4) if not ta else (4, 3), (4, 2) if not tb else (2, 4)),
            {"transpose_a": ta, "transpose_b": tb},
        )
        for ta in (False, True)
        for tb in (False, True)
    ),
    Case("matmul", ((2, 1, 3, 4), (5, 4, 2))),
    Case("conv2d", ((2, 5, 6, 3), (3, 2, 3, 4))),
    Case("conv2d", ((1, 7, 8, 2), (1, 1, 2, 3)), {"strides": (2, 3)}),
    Case(
        "conv2d", ((2, 7, 8, 2), (2, 3, 2, 3)),
        {"strides": (2, 3), "padding": ((1, 2), (0, 1)), "dilations": (2, 1)},
    ),
    Case("depthwise_conv2d", ((2, 5, 6, 3), (3, 2, 3, 1)), {"padding": FRAME}),
    *(
        Case("fused_sum", ((3, 2, 4), (4,), (2, 1)), {"body": "mul(add(a0, exp(a1)), a2)", **how})
        for how in ({"axes": (0, -1)}, {"axes": (1,), "mean": True, "keepdims": True})
    ),
    Case("conv2d_kernel", ((2, 5, 6, 3), (2, 3, 3, 2)), {"size": (3, 2), "strides": (1, 2)}),
    Case("conv2d_kernel", ((2, 3, 4, 3), (2, 3, 4, 2)), {"size": (1, 1)}),
    Case(
        "depthwise_conv2d_kernel",
        ((2, 5, 6, 3), (2, 3, 3, 3)),
        {"size": (3, 2), "strides": (1, 2)},
    ),
    Case(
        "depthwise_conv2d", ((1, 7, 8, 2), (2, 3, 2, 3)), {"strides": (2, 2), "dilations": (1, 2)}
    ),
    Case(
        "conv2d_transpose", ((2, 3, 4, 2), (3, 2, 3, 2)),
        {"strides": (2, 2), "output_size": (7, 8)},
    ),
    Case(
        "conv2d_transpose", ((1, 3, 3, 2), (3, 3, 1, 2)),
        {"strides": (2, 2), "padding": ((0, 1), (0, 1)), "output_size": (6, 6)},
    ),
    Case("max_pool", ((2, 5, 6, 2),), WINDOW, distinct=True),
    Case("avg_pool", ((2, 5, 6, 2),), WINDOW, linear=True),
    *(
        Case(op, ((1, 3, 4, 2),), {"size": (5, 2), "coordinates": coordinates}, linear=True)
        for op in ("resize_bilinear", "resize_nearest")
        for coordinates in ("half_pixel", "align_corners", "asymmetric")
    ),
    Case("top_k", ((2, 5),), {"k": 3}, distinct=True),
    *(Case("sort", ((2, 5),), {"descending": down}, distinct=True) for down in (False, True)),
    Case("gather_nd", ((3, 4, 2), PLACES), linear=True),
    Case("gather_nd", ((3, 4, 2), PLACES), {"outside": "zero"}, linear=True),
    *(
        Case("scatter_nd", (PLACES, (2, 3, 2)), {"shape": (3, 4, 2), "mode": mode, "value": value})
        for mode, value in (("add", 1), ("mul", 2), ("update", 1))
    ),
    *(Case("scatter_nd", (PLACES, (2, 3, 2), (3, 4, 2)), {"mode": m}) for m in ("add", "mul")),
    Case("scatter_nd", (PLACES, (2, 3, 2), (3, 4, 2)), {"mode": "update"}, linear=True),
    *(
        Case("scatter_nd", (PLACES, (2, 3), (3, 4)), {"mode": m}, distinct=True)
        for m in ("max", "min")
    ),
    *(
        Case("scatter_nd", (PLACES, (2, 3)), {"mode": m, "shape": (3, 4), "value": v},
            distinct=True)
        for m, v in (("max", -9), ("min", 9))
    ),
    # Of one place no factor is 0, or one, or two.
    Case("scatter_nd", (np.int32([[0], [1], [0], [2], [1], [2]]), np.float32([2, 0, 3, 0, 4, 0]),
        np.float32([1.5, 2, 3])), {"mode": "mul"}),
    *(
        Case(op, ((2, 4, 3),), {"axis": axis, "reverse": back, **more}, distinct=op[3] == "m")
        for op in ("cumsum", "cumprod", "cummax", "cummin")
        for axis, back in ((-1, False), (1, True))
        for more in (({}, {"exclusive": True}) if op[3] != "m" else ({},))
    ),
    Case("cumprod", (np.float32([[2, 0, 3, 1.5], [0, 2, 0, 3], [1, 2, 3, 0]]),)),
    *(Case("fft", ((2, n), (2, n), roots(n)), {"inverse": i}, result=r, linear=True)
      for n in (4, 6) for i in (False, True) for r in (0, 1)),
    Case("cholesky", (POSITIVE,)),
    *(
        Case("triangular_solve", (POSITIVE, (2, 3, 2)), {"lower": lower, "transpose": transpose})
        for lower in (True, False)
        for transpose in (True, False)
    ),
    Case("solve", (FAR[:, :3, :3], (2, 3, 2))),
    Case("det", (POSITIVE,)),
    Case("slogdet", (POSITIVE,), result=1),
    *(Case("qr", (FAR[:, :m, :n],), result=r)
      for m, n in ((4, 4), (4, 2), (2, 4)) for r in (0, 1)),
    Case("qr", (FAR[:, :2],), {"full_matrices": True}, result=1),
    *(Case("eigh", (POSITIVE,), result=r) for r in (0, 1)),
    *(Case("svd", (FAR[:, :m, :n],), result=r)
      for m, n in ((3, 3), (4, 2), (2, 4)) for r in (0, 1, 2)),
]  # fmt: skip


def arrays_of(case: Case, rng: np.random.Generator) -> list[np.ndarray]:
    arrays = []
    for shape in case.shapes:
        if isinstance(shape, np.ndarray):
            arrays.append(shape)
            continue
        size = int(np.prod(shape))
        values = rng.uniform(case.low, case.high, size)
        if case.distinct:
            values = rng.permutation(size) * 0.25 - 2
        arrays.append(values.reshape(shape).astype(np.float32))
    return arrays


def away_from_kinks(case: Case, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Moved off whole and half numbers, where clips and rounding have their corners."""
    if case.op in LINALG or case.op == "fft":  # nothing to be away from
        return arrays
    return [
        a if a.dtype != np.float32 or case.distinct else
        np.where(np.abs(a * 2 - np.rint(a * 2)) < 0.1, a + np.float32(0.13), a).astype(np.float32)
        for a in arrays
    ]  # fmt: skip


def first(result: Any, which: int = 0) -> Any:
    return result[which] if isinstance(result, tuple) else result


def along(case: Case, arrays: list[np.ndarray], d: list[np.ndarray], h: float) -> np.ndarray:
    """The op a step along d, in float64 where its meaning allows."""
    moved = [
        a.astype(np.float64) + h * v if a.dtype == np.float32 else a
        for a, v in zip(arrays, d, strict=True)
    ]
    full, _ = rows.infer(case.op, [tensor(a).type for a in arrays], case.attrs)
    return np.asarray(rows.evaluate(case.op, moved, full)[case.result], np.float64)


def directions(arrays: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.normal(0, 1, a.shape).astype(np.float32) for a in arrays]


def inner(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    pairs = zip(a, b, strict=True)
    return float(sum((np.asarray(x, np.float64) * y).sum() for x, y in pairs))


def floats(values: list[np.ndarray], arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [v for v, a in zip(values, arrays, strict=True) if a.dtype == np.float32]


def call(case: Case, arrays: list[np.ndarray]) -> Callable[..., Tensor]:
    """The op as a function of its float inputs."""

    def function(*given: Tensor) -> Tensor:
        parts = iter(given)
        inputs = [next(parts) if a.dtype == np.float32 else a for a in arrays]
        result: Tensor = first(apply(case.op, *inputs, **case.attrs), case.result)
        return result

    return function


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_gradient_is_that_of_finite_differences(case: Case) -> None:
    rng = np.random.default_rng(11)
    arrays = away_from_kinks(case, arrays_of(case, rng))
    d = directions(arrays, rng)
    y, pull = vjp(call(case, arrays), *floats(arrays, arrays))
    u = rng.normal(0, 1, y.shape).astype(np.float32)
    grads = [g.numpy() for g in pull(u)]
    assert [g.shape for g in grads] == [a.shape for a in floats(arrays, arrays)]
    h = 0.5 if case.linear else 0.02 if case.distinct else 1e-3
    slope = (along(case, arrays, d, h) - along(case, arrays, d, -h)) / (2 * h)
    expected = inner([u], [slope])
    scale = max(1.0, float(np.abs(u * slope).sum()))
    # Convolutions and the like have a float32 meaning only.
    assert abs(inner(grads, floats(d, arrays)) - expected) < 2e-3 * scale


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_gradient_of_the_gradient(case: Case) -> None:
    rng = np.random.default_rng(12)
    arrays = away_from_kinks(case, arrays_of(case, rng))
    given = floats(arrays, arrays)
    d, e = floats(directions(arrays, rng), arrays), floats(directions(arrays, rng), arrays)
    function = call(case, arrays)
    u = rng.normal(0, 1, function(*map(tensor, given)).shape).astype(np.float32)

    def slope(*x: Tensor) -> Tensor:
        """u^T J(x) d, where u bends, too, so that linear ops have a second derivative."""
        bend = lambda y: total(u * y * y)  # noqa: E731
        grads = grad(lambda *x: bend(function(*x)), tuple(range(len(x))))(*x)
        parts = [total(g * v) for g, v in zip(grads, d, strict=True)]
        result = parts[0]
        for part in parts[1:]:
            result = result + part
        return result

    second = [g.numpy() for g in grad(slope, tuple(range(len(given))))(*given)]
    h = 0.02
    ahead = slope(*[tensor(a + np.float32(h) * v) for a, v in zip(given, e, strict=True)])
    behind = slope(*[tensor(a - np.float32(h) * v) for a, v in zip(given, e, strict=True)])
    expected = (ahead.item() - behind.item()) / (2 * h)
    found = inner(second, e)
    scale = max(1.0, abs(expected), abs(ahead.item()))
    assert abs(found - expected) < 0.02 * scale


def test_every_row_is_among_the_cases_or_says_why_not() -> None:
    tried = {case.op for case in CASES}
    for row in TABLE.values():
        if isinstance(row.vjp, NotDifferentiable):
            assert len(row.vjp.why) > 10
        elif row.name not in tried:
            # What is left has no float result, or takes no float.
            assert row.scalar is not None
            with pytest.raises(FanlightError):
                (out,) = rows.infer(row.name, [FLOAT] * row.arity[0], {})[1]
                if out.dtype != "float32":
                    raise FanlightError("E-OP-003", "no float")


@pytest.mark.parametrize(
    "name", [row.name for row in TABLE.values() if isinstance(row.vjp, NotDifferentiable)]
)
def test_an_op_without_a_gradient_says_why(name: str) -> None:
    from fanlight.ops.backward import Step

    step = Step(name, (), (), (None,), {}, (), apply, tensor)
    with pytest.raises(FanlightError, match="E-OP-008") as caught:
        TABLE[name].backward(step)
    assert "stop_gradient" in str(caught.value)


_POSITIONS = {
    "arg_max": lambda x: fl.cast(fl.arg_max(x), "float32"),
    "sort": lambda x: fl.sum(fl.cast(fl.argsort(x)[1:] * 2 + 1, "float32")),
    "top_k": lambda x: fl.sum(fl.top_k(x, 2)[1] * 0.5),
    "search_sorted": lambda x: fl.sum(
        fl.cast(fl.search_sorted(fl.tensor([1.0, 2.0, 3.0]), x), "float32")
    ),
    "non_max_suppression": lambda x: fl.sum(
        fl.cast(fl.image.non_max_suppression_padded(fl.ones((3, 4)), x, 2)[0], "float32")
    ),
}


@pytest.mark.parametrize("level", ["eager", "jit", "vmap", "checkpoint"])
@pytest.mark.parametrize("name", _POSITIONS)
def test_a_number_made_of_positions_has_no_gradient(name: str, level: str) -> None:
    fn, x = _POSITIONS[name], fl.tensor([1.0, 3.0, 2.0])
    slope = fl.grad(fl.checkpoint(fn) if level == "checkpoint" else fn)
    if level == "jit":
        slope = fl.jit(slope)
    if level == "vmap":
        slope, x = fl.vmap(slope), x[None]
    with pytest.raises(FanlightError, match="E-OP-008") as caught:
        slope(x)
    assert name in str(caught.value)
    assert "test_rules.py" in str(caught.value.where)


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (lambda x: fl.sum(fl.cast(x > 1, "float32") * x), [0, 1, 1]),
        (lambda x: fl.sum(fl.one_hot(fl.arg_max(x), 3) * x), [0, 1, 0]),
        (lambda x: x[fl.arg_max(x)] * 2, [0, 2, 0]),
        (lambda x: fl.stop_gradient(fl.cast(fl.arg_max(x), "float32")) * x[0], [1, 0, 0]),
        (lambda x: fl.cast(fl.stop_gradient(fl.arg_max(x)), "float32") * x[0], [1, 0, 0]),
        (lambda x: fl.cast(fl.equal(fl.arg_max(x), 1), "float32") * x[0], [1, 0, 0]),
        (lambda x: fl.sum(fl.cast(fl.tensor([5, 6, 7])[fl.arg_max(x)], "float32") * x), [6] * 3),
        (lambda x: fl.sum(fl.cast(fl.cast(x, "int32"), "float32") * x), [1, 3, 2]),
        (lambda x: fl.sort(x)[1], [0, 0, 1]),
    ],
)
def test_masks_and_choices_are_constants(fn: Callable[..., Any], expected: list[float]) -> None:
    assert fl.grad(fn)(fl.tensor([1.0, 3.0, 2.0])).tolist() == expected


def _cast(x: Any) -> Any:
    return fl.cast(x, "float32")


_THROUGH: list[Callable[..., Any]] = [
    lambda x: (
        _cast(fl.cond(fl.sum(x) > 0, lambda: fl.arg_max(x), lambda: fl.tensor(0))) * fl.sum(x)
    ),
    lambda x: fl.cond(fl.sum(x) > 0, lambda i: _cast(i) * x[0], lambda i: x[1], fl.arg_max(x)),
    lambda x: (lambda i: fl.cond(fl.sum(x) > 0, lambda: _cast(i) * x[0], lambda: x[1]))(
        fl.arg_max(x)
    ),
    lambda x: fl.scan(lambda c, a: (c + _cast(fl.arg_max(x)) * a, a), 0.0, x)[0],
    lambda x: _cast(fl.checkpoint(fl.arg_max)(x)) * fl.sum(x),
    lambda x: fl.checkpoint(lambda y, i: _cast(i) * fl.sum(y))(x, fl.arg_max(x)),
    lambda x: (lambda i: fl.checkpoint(lambda y: _cast(i) * fl.sum(y))(x))(fl.arg_max(x)),
]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("number", range(len(_THROUGH)))
def test_positions_are_known_through_loops_and_choices(number: int, compiled: bool) -> None:
    slope = fl.grad(_THROUGH[number])
    with pytest.raises(FanlightError, match="E-OP-008"):
        (fl.jit(slope) if compiled else slope)(fl.tensor([3.0, 1.0, 2.0]))


@pytest.mark.parametrize("compiled", [False, True])
def test_places_may_be_looked_up_inside_of_choices(compiled: bool) -> None:
    fn = lambda x: fl.cond(fl.sum(x) > 0, lambda i: x[i] * 2, lambda i: x[0], fl.arg_max(x))  # noqa: E731
    slope = fl.jit(fl.grad(fn)) if compiled else fl.grad(fn)
    assert slope(fl.tensor([3.0, 1.0, 2.0])).tolist() == [2, 0, 0]
