"""The same functions where they are traced: compiled they give what they give eagerly, and float
results have gradients. Where a shape depends on numbers, the error says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.array_api import make_strategies_namespace

import fanlight as fl
import fanlight.array_api as xp
from fanlight import FanlightError
from tests.array_api.standard import BINARY, EXTENSIONS, FUNCTIONS, UNARY
from tests.array_api.support import COUNTS, quick, same

X = fl.tensor(np.float32([[0.3, 0.7, 0.2], [0.9, 0.4, 0.6]]))
Y = fl.tensor(np.float32([[0.5, 0.1, 0.8], [0.2, 0.7, 0.3]]))
N, M = fl.tensor(np.int32([[3, 1, 2], [5, 4, 0]])), fl.tensor(np.int32([[1, 2, 1], [0, 2, 3]]))
B, C = fl.tensor([True, False]), fl.tensor([True, True])
U = fl.tensor(np.uint8([250, 3]))
S = fl.tensor(np.float32([[4, 1], [1, 3]]))
LA, FT = xp.linalg, xp.fft

WHOLE = ("bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor")
TRUTH = ("logical_and", "logical_or", "logical_xor")


def of_one(name: str) -> tuple[Any, ...]:
    if name == "bitwise_invert":
        return (N,)
    return (B,) if name == "logical_not" else (X + 1.5,) if name == "acosh" else (X,)


def of_two(name: str) -> tuple[Any, ...]:
    return (N, M) if name in WHOLE else (B, C) if name in TRUTH else (X, Y)


# What depends on numbers for its shape, or makes tensors of none: no tensor goes in.
BY_NUMBERS = ("nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values")
MAKERS = (
    *("arange", "asarray", "empty", "eye", "from_dlpack", "full", "linspace", "ones", "zeros"),
    *("can_cast", "finfo", "iinfo", "isdtype", "result_type", "__array_namespace_info__"),
    *("fftfreq", "rfftfreq"),
)
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    **{name: (getattr(xp, name), of_one(name)) for name in UNARY},
    **{name: (getattr(xp, name), of_two(name)) for name in BINARY},
    "clip": (lambda x: xp.clip(x, 0.35, 0.65), (X,)),
    "remainder": (xp.remainder, (X, Y + 0.15)),
    **{n: (getattr(xp, n), (X,)) for n in ("empty_like", "ones_like", "zeros_like")},
    "full_like": (lambda x: xp.full_like(x, 3), (X,)),
    "meshgrid": (lambda x, y: xp.meshgrid(x[0], y[0]), (X, Y)),
    "tril": (xp.tril, (X,)),
    "triu": (lambda x: xp.triu(x, k=1), (X,)),
    "astype": (lambda x: xp.astype(x, xp.int32), (X * 9,)),
    "take": (lambda x, i: xp.take(x, i[0] - 3, axis=1), (X, N % 3)),
    "take_along_axis": (lambda x, i: xp.take_along_axis(x, i, axis=-1), (X, N % 3)),
    "matmul": (lambda x, y: xp.matmul(x, y.mT), (X, Y)),
    "matrix_transpose": (xp.matrix_transpose, (X,)),
    "tensordot": (xp.tensordot, (X, Y)),
    "vecdot": (xp.vecdot, (X, Y)),
    "broadcast_arrays": (lambda x, y: xp.broadcast_arrays(x, y[0]), (X, Y)),
    "broadcast_to": (lambda x: xp.broadcast_to(x, (2, 2, 3)), (X,)),
    "concat": (lambda x, y: xp.concat([x, y], axis=1), (X, Y)),
    "expand_dims": (xp.expand_dims, (X,)),
    "flip": (xp.flip, (X,)),
    "moveaxis": (lambda x: xp.moveaxis(x, 0, 1), (X,)),
    "permute_dims": (lambda x: xp.permute_dims(x, (1, 0)), (X,)),
    "repeat": (lambda x: xp.repeat(x, 2, axis=1), (X,)),
    "reshape": (lambda x: xp.reshape(x, (3, 2)), (X,)),
    "roll": (lambda x: xp.roll(x, 2), (X,)),
    "squeeze": (lambda x: xp.squeeze(x[:1], 0), (X,)),
    "stack": (lambda x, y: xp.stack([x, y], axis=-1), (X, Y)),
    "tile": (lambda x: xp.tile(x, (2, 1)), (X,)),
    "unstack": (xp.unstack, (X,)),
    "argmax": (xp.argmax, (X,)),
    "argmin": (lambda x: xp.argmin(x, axis=0, keepdims=True), (X,)),
    "count_nonzero": (xp.count_nonzero, (N,)),
    "searchsorted": (xp.searchsorted, (fl.tensor([0.1, 0.5, 0.6]), X)),
    "where": (lambda x, y: xp.where(x > y, x, y), (X, Y)),
    "argsort": (lambda x: xp.argsort(x, descending=True), (X,)),
    "sort": (xp.sort, (X,)),
    "cumulative_prod": (lambda x: xp.cumulative_prod(x, axis=1, include_initial=True), (X,)),
    "cumulative_sum": (lambda x: xp.cumulative_sum(x, axis=1), (X,)),
    **{n: (getattr(xp, n), (X,)) for n in ("max", "mean", "min", "prod", "std", "sum", "var")},
    "all": (xp.all, (B,)),
    "any": (xp.any, (N,)),
    "diff": (lambda x: xp.diff(x, n=2), (X,)),
    "cholesky": (LA.cholesky, (S,)),
    "cross": (LA.cross, (X, Y)),
    "det": (LA.det, (S,)),
    "diagonal": (LA.diagonal, (X,)),
    "eigh": (LA.eigh, (S,)),
    "eigvalsh": (LA.eigvalsh, (S,)),
    "inv": (LA.inv, (S,)),
    "matrix_norm": (LA.matrix_norm, (X,)),
    "matrix_power": (lambda x: LA.matrix_power(x, 3), (S,)),
    "matrix_rank": (LA.matrix_rank, (X,)),
    "outer": (lambda x, y: LA.outer(x[0], y[1]), (X, Y)),
    "pinv": (LA.pinv, (X,)),
    "qr": (LA.qr, (S,)),
    "slogdet": (LA.slogdet, (S,)),
    "solve": (LA.solve, (S, fl.tensor([1.0, 2.0]))),
    "svd": (lambda x: LA.svd(x, full_matrices=False), (X,)),
    "svdvals": (LA.svdvals, (X,)),
    "trace": (LA.trace, (X,)),
    "vector_norm": (lambda x: LA.vector_norm(x, axis=0, ord=3), (X,)),
    **{n: (getattr(FT, n), (X,)) for n in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")},
    **{n: (getattr(FT, n), (X,)) for n in ("fftn", "ifftn", "rfftn", "irfftn")},
    **{n: (getattr(FT, n), (X,)) for n in ("fftshift", "ifftshift")},
}
# Results that jump, or do not move at all.
FLAT = {
    *("ceil", "floor", "round", "sign", "trunc", "astype", "floor_divide", "imag"),
    *("empty_like", "ones_like", "zeros_like", "full_like", "nextafter"),
}


def test_every_function_is_called() -> None:
    names = {n for group in (*FUNCTIONS.values(), *EXTENSIONS.values()) for n in group}
    assert names == {*CALLS, *BY_NUMBERS, *MAKERS}


def parts(value: Any) -> list[fl.Tensor]:
    return list(value) if isinstance(value, list | tuple) else [value]


@pytest.mark.parametrize("name", CALLS)
def test_compiled_is_eager(name: str) -> None:
    function, inputs = CALLS[name]
    eager = parts(function(*inputs))
    compiled = parts(fl.jit(lambda *args: list(parts(function(*args))))(*inputs))
    assert len(eager) == len(compiled)
    for a, b in zip(eager, compiled, strict=True):
        same(f"jit {name}", b, a.numpy(), a.dtype, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CALLS)
def test_many_examples_at_once(name: str) -> None:
    """fl.vmap gives of each example what the function gives of it alone."""
    function, inputs = CALLS[name]
    alone = parts(function(*inputs))
    batches = [fl.stack([x, fl.reverse(x), x]) for x in inputs]
    many = parts(fl.vmap(lambda *args: list(parts(function(*args))))(*batches))
    assert len(alone) == len(many)
    for a, b in zip(alone, many, strict=True):
        same(f"vmap {name}", b[2], a.numpy(), a.dtype, rtol=1e-4, atol=1e-5)


def slope(name: str, loss: Callable[[fl.Tensor], fl.Tensor], x: fl.Tensor) -> None:
    """A gradient in one direction, against finite differences."""
    rng = np.random.default_rng(len(name))
    direction = rng.standard_normal(x.shape).astype(np.float32)
    got = float(np.sum(fl.grad(loss)(x).numpy() * direction))
    h = 2.0**-8
    up, down = (loss(x + sign * h * direction).item() for sign in (1, -1))
    want = (up - down) / (2 * h)
    COUNTS[f"grad {name}"] += 1
    assert got == pytest.approx(want, rel=2e-2, abs=2e-2), name


@pytest.mark.parametrize("name", [n for n in CALLS if n not in FLAT])
def test_gradients(name: str) -> None:
    function, (x, *others) = CALLS[name]
    made = parts(function(x, *others))
    if x.dtype != "float32" or made[0].dtype not in ("float32", "complex64"):
        return

    def loss(v: fl.Tensor) -> fl.Tensor:
        total: Any = 0.0
        for at, part in enumerate(parts(function(v, *others))):
            weights = xp.sin(xp.arange(part.size, dtype=xp.float32) + at + 1)
            flat = xp.reshape(part, (part.size,))
            if flat.dtype == "complex64":
                flat = xp.real(flat) + 0.5 * xp.imag(flat)
            if name in ("eigh", "svd"):  # whose vectors may turn
                flat = flat * flat
            total = total + xp.sum(flat * weights)
        return total

    slope(name, loss, x)


@pytest.mark.parametrize("name", BY_NUMBERS)
def test_shapes_that_depend_on_numbers(name: str) -> None:
    function = getattr(xp, name)
    with pytest.raises(FanlightError, match="E-TENSOR-003"):
        fl.jit(lambda x: parts(function(x)))(X)


def test_masks_while_traced() -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-003"):
        fl.jit(lambda x: x[x > 0.5])(X)


def test_uint8_wraps_around_compiled() -> None:
    for name, want in (("add", [244, 6]), ("multiply", [36, 9]), ("subtract", [0, 0])):
        got = fl.jit(getattr(xp, name))(U, U)
        same(f"jit {name}", got, np.uint8(want), "uint8")
    same("jit negative", fl.jit(xp.negative)(U), np.uint8([6, 253]), "uint8")


def test_gradients_pass_what_is_taken_by_numbers() -> None:
    slopes = fl.grad(lambda x: xp.sum(xp.unique_values(x) * xp.asarray([1.0, 2.0, 3.0])))
    assert slopes(fl.tensor([3.0, 1.0, 2.0, 1.0])).tolist() == [3, 1, 2, 0]


def test_vmap_over_a_function_of_the_standard() -> None:
    got = fl.vmap(lambda x: xp.std(x, correction=1))(X)
    same("vmap std", got, np.std(X.numpy(), 1, ddof=1))


def test_built_for_any_number_of_rows(tmp_path: Path) -> None:
    def report(x: fl.Tensor) -> dict[str, fl.Tensor]:
        centred = x - xp.mean(x, axis=0, keepdims=True)
        return {
            "spread": xp.std(x, axis=0),
            "best": xp.argmax(x, axis=1),
            "sorted": xp.sort(x, axis=0),
            "running": xp.cumulative_sum(centred, axis=0),
            "clipped": xp.clip(xp.pow(xp.abs(centred), 1.5), 0.1, 0.9),
            "joined": xp.concat([x, xp.flip(x, axis=1)], axis=1),
            "angles": xp.atan2(x, xp.remainder(x, 0.3)),
            "all": xp.all(x > 0, axis=1),
        }

    with fl.build(
        report, tmp_path / "out", inputs={"x": fl.spec(("rows", 3))}, dims={"rows": 8}
    ) as bundle:
        for rows in (1, 2, 5, 8):
            x = np.random.default_rng(rows).uniform(0.1, 1, (rows, 3)).astype(np.float32)
            found = bundle.run({"x": x})
            for key, want in report(fl.tensor(x)).items():
                COUNTS[f"built {key}"] += 1
                np.testing.assert_allclose(found[key], want.numpy(), rtol=1e-4, atol=1e-5)


# --- hypothesis's own strategies for the standard, as any test suite uses them --------------------

xps = make_strategies_namespace(xp, api_version="2024.12")


@pytest.mark.filterwarnings("ignore:Array module fanlight.array_api does not have")  # int64
@quick
@given(x=xps.arrays(xps.scalar_dtypes(), xps.array_shapes(min_dims=0, min_side=0, max_side=3)))
def test_tensors_that_hypothesis_makes(x: fl.Tensor) -> None:
    COUNTS["hypothesis"] += 1
    assert x.__array_namespace__() is xp
    assert x.dtype in xp.__array_namespace_info__().dtypes()
    again = xp.reshape(xp.reshape(x, (x.size,)), x.shape)
    assert bool(xp.all((again == x) | (x != x)))
    assert (
        xp.concat([xp.reshape(x, (-1,)) if x.size else xp.zeros(0), xp.zeros(1)]).size == x.size + 1
    )


def test_counts() -> None:
    """Printed with -s; the files before this one count, too, if they ran."""
    if len(COUNTS) > 420:  # all files ran
        assert sum(COUNTS.values()) > 3_000
    print(f"\narray API: {sum(COUNTS.values())} comparisons of {len(COUNTS)} functions and methods")
