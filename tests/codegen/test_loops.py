"""The generic loop generator under wasmtime: elementwise, reducing and moving ops against NumPy."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight import dtypes, ops
from fanlight.codegen.kernel import lower
from fanlight.codegen.wasm.kernels import loop_forms
from fanlight.ops.row import complete_attrs
from fanlight.ops.types import TensorType
from fanlight.targets import WASM_PLAIN, WASM_RELAXED, Target
from tests.codegen.kernel_runner import TARGETS, node, run_op

RNG = np.random.default_rng(0)


def array(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    """Different values everywhere, as far as the dtype has them."""
    count = int(np.prod(shape))
    if dtype == "bool":
        return RNG.random(shape) < 0.5
    values = RNG.permutation(count).reshape(shape) - (0 if dtype == "uint8" else count // 2)
    return (values % 256).astype(dtype) if dtype == "uint8" else values.astype(dtype)


def close(got: np.ndarray, want: np.ndarray, tolerance: float, what: object = "") -> None:
    """Equal where special; otherwise within `tolerance` of max(1, |wanted|)."""
    assert got.shape == want.shape and got.dtype == want.dtype, (what, got.dtype, want.dtype)
    if want.dtype != np.float32:
        np.testing.assert_array_equal(got, want, err_msg=str(what))
        return
    plain = np.isfinite(want)
    np.testing.assert_array_equal(got[~plain], want[~plain], err_msg=str(what))
    error = np.abs(got[plain].astype(np.float64) - want[plain])
    allowed = tolerance * np.maximum(1, np.abs(want[plain]))
    assert (error <= allowed).all(), (what, np.max(error / np.maximum(1, np.abs(want[plain]))))


# --- elementwise ----------------------------------------------------------------------------------

POINTWISE = sorted(name for name, row in ops.TABLE.items() if row.scalar and name != "fused")
ATTRS: dict[str, dict[str, Any]] = {
    "clip": {"lo": -1.5, "hi": 2.5},
    "cast": {"dtype": "int32"},
    "quantize": {"scale": 0.07, "zero": 60},
    "dequantize": {"scale": 0.07, "zero": 60},
    "add_int8": {"scale_a": 0.6, "zero_a": 9, "scale_b": -0.7, "zero_b": 80, "zero": 70},
    "mul_int8": {"zero_a": 9, "zero_b": 80, "scale": 0.01, "zero": 70, "high": 255},
    "prelu_int8": {"zero_x": 100, "scale": 0.7, "zero": 50},
}
# How many of the inputs are bytes.
BYTE_INPUTS = {"dequantize": 1, "add_int8": 2, "mul_int8": 2, "prelu_int8": 1}
SHAPES = [((1,), (1,)), ((5,), (5,)), ((130,), ()), ((3, 7), (7,)), ((2, 3, 16), (3, 1))]


def inputs(name: str, shapes: tuple[tuple[int, ...], ...]) -> list[np.ndarray]:
    """Arrays that the row takes: floats if it can, else ints, else bools."""
    count = ops.lookup(name).arity[0]
    made = []
    for index in range(count):
        shape = shapes[0] if index == 0 else shapes[1]
        if name == "batch_norm" and index:
            shape = shapes[0][-1:]
        values = (RNG.standard_normal(shape) * 3).astype(np.float32)
        if name == "batch_norm" and index == 2:
            values = np.abs(values)
        made.append(values)
    return made


def as_accepted(name: str, arrays: list[np.ndarray]) -> list[np.ndarray]:
    if name == "select":
        return [arrays[0] > 0, *arrays[1:]]
    if name.startswith("logical"):
        return [a > 0 for a in arrays]
    if ops.lookup(name).family == "bitwise":
        return [(a * 1e8).astype(np.int32) for a in arrays]
    if name in BYTE_INPUTS:
        count = BYTE_INPUTS[name]
        return [*(np.abs(a * 20).astype(np.uint8) for a in arrays[:count]), *arrays[count:]]
    return arrays


@pytest.mark.parametrize("name", POINTWISE)
def test_every_elementwise_row(name: str) -> None:
    row, attrs = ops.lookup(name), ATTRS.get(name, {})
    for shapes, target in product(SHAPES, TARGETS):
        arrays = as_accepted(name, inputs(name, shapes))
        (want,) = row.eval(arrays, complete_attrs(row, attrs))
        (got,) = run_op(name, arrays, target, **attrs)
        tolerance = row.tol.get("float32", 0.0)
        exact = row.family in ("quantized", "bitwise")
        close(got, want, 0.0 if exact else max(tolerance, 1e-6), (name, shapes, target.name))


SPECIAL = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-42, 3e38], np.float32)


@pytest.mark.parametrize("name", ["maximum", "minimum", "add", "less", "equal", "relu", "abs"])
def test_special_values(name: str) -> None:
    row = ops.lookup(name)
    a, b = (x.ravel() for x in np.meshgrid(SPECIAL, SPECIAL))
    arrays = [a.copy(), b.copy()][: row.arity[0]]
    with np.errstate(all="ignore"):
        (want,) = row.eval(arrays, complete_attrs(row, {}))
    close(run_op(name, arrays)[0], want, 0.0)


@pytest.mark.parametrize("to", ["float32", "int32", "uint8", "bool"])
@pytest.mark.parametrize("of", ["float32", "int32", "uint8", "bool"])
def test_casts_between_all_dtypes(of: str, to: str) -> None:
    for count in (1, 3, 4, 67, 128):
        x = array((count,), of)
        if of == "float32":
            x = x * np.float32(37.3)
        (want,) = ops.lookup("cast").eval([x], {"dtype": to})
        (got,) = run_op("cast", [x], dtype=to)
        close(got, want, 0.0)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_fused_bodies(target: Target) -> None:
    x, bias = array((2, 9, 11)), array((11,))
    scale = np.array(0.5, np.float32)
    body = "min(max(mul(add(a0, a1), a2), 0), 6)"
    (got,) = run_op("fused", [x, bias, scale], target, body=body)
    close(got, np.clip((x + bias) * scale, 0, 6), 1e-6)
    # A heavy body shares its code between whole vectors and the tail.
    for count in (1, 3, 4, 5, 63, 64, 65, 200):
        x = RNG.standard_normal(count).astype(np.float32)
        (got,) = run_op(
            "fused", [x], target, body="t0 = exp(neg(abs(a0))); div(t0, add(1, exp(t0)))"
        )
        e = np.exp(-np.abs(x))
        close(got, e / (1 + np.exp(e)), 2e-6)


def test_fused_body_that_ignores_an_input() -> None:
    x, y = array((3, 1)), array((1, 5))
    (got,) = run_op("fused", [x, y], body="mul(a1, 2)")
    close(got, np.broadcast_to(y * 2, (3, 5)), 0.0)


def test_integers_and_bytes() -> None:
    a, b = array((67,), "int32"), array((67,), "int32")[::-1].copy()
    close(run_op("mul", [a * 100003, b])[0], a * 100003 * b, 0.0)
    close(run_op("floor_div", [a, b])[0], ops.lookup("floor_div").eval([a, b], {})[0], 0.0)
    x = array((5, 13), "uint8")
    (got,) = run_op("fused", [x], body="div(float32(a0), 255.0)")
    close(got, x.astype(np.float32) / np.float32(255), 1e-7)


# --- reductions -----------------------------------------------------------------------------------

REDUCE_SHAPES = [(1,), (3,), (9,), (64,), (130,), (4, 7), (5, 1, 6), (3, 20, 33), (2, 7, 7, 19)]


@pytest.mark.parametrize("op", ["sum", "mean", "max", "min", "prod"])
def test_reductions_over_all_axes(op: str) -> None:
    for shape in REDUCE_SHAPES:
        x = RNG.standard_normal(shape).astype(np.float32)
        for count in range(1 << len(shape)):
            axes = tuple(d for d in range(len(shape)) if count >> d & 1)
            want = getattr(np, op)(x.astype(np.float64), axis=axes, keepdims=count % 2 == 0)
            (got,) = run_op(op, [x], axes=axes, keepdims=count % 2 == 0)
            close(got, np.asarray(want, np.float32), 1e-5, (op, shape, axes))


def test_reductions_of_integers_and_bools() -> None:
    for shape in ((7,), (3, 5), (4, 3, 9)):
        x = array(shape, "int32")
        flags = RNG.random(shape) < 0.3
        for axis in range(len(shape)):
            for op in ("sum", "max", "min", "prod"):
                want = getattr(np, op)(x, axis=axis).astype(np.int32)
                np.testing.assert_array_equal(run_op(op, [x], axes=(axis,))[0], want)
            for op in ("any", "all"):
                want = getattr(np, op)(flags, axis=axis)
                np.testing.assert_array_equal(run_op(op, [flags], axes=(axis,))[0], want)


def test_reductions_of_special_values() -> None:
    x = RNG.standard_normal((6, 10)).astype(np.float32)
    x[1, 2], x[2, 3], x[3, 9], x[4, 0] = np.nan, np.inf, -np.inf, np.nan
    for op, axis in product(("max", "min", "sum"), (0, 1)):
        with np.errstate(invalid="ignore"):
            want = getattr(np, op)(x, axis=axis)
        close(run_op(op, [x], axes=(axis,))[0], want, 1e-6)


def test_long_sums_keep_their_digits() -> None:
    x = RNG.random(200_000).astype(np.float32)
    for shape in ((200_000,), (20_000, 10), (10, 20_000)):
        y = x.reshape(shape)
        axis = int(np.argmax(shape))
        (got,) = run_op("sum", [y], axes=(axis,))
        np.testing.assert_allclose(got, y.astype(np.float64).sum(axis), rtol=1e-6)


def test_reduction_of_nothing() -> None:
    x = np.zeros((3, 0), np.float32)
    np.testing.assert_array_equal(run_op("sum", [x], axes=(1,))[0], [0, 0, 0])
    np.testing.assert_array_equal(run_op("prod", [x], axes=(1,))[0], [1, 1, 1])
    assert run_op("sum", [x], axes=(0,))[0].shape == (0,)


# --- movement -------------------------------------------------------------------------------------

MOVED = ["float32", "uint8", "bool"]
MOVE_SHAPES = [
    (7,),
    (1,),
    (100,),
    (300,),
    (2, 150),
    (2, 3, 4, 5),
    (1, 13, 11, 6),
    (1, 8, 8, 64),
    (3, 1, 300),
]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(
    "shape,perm",
    [
        ((3, 5), (1, 0)),
        ((8, 8), (1, 0)),
        ((33, 18), (1, 0)),
        ((2, 7, 9, 3), (0, 3, 1, 2)),
        ((2, 3, 7, 9), (0, 2, 3, 1)),
        ((2, 5, 7, 9), (0, 2, 3, 1)),
        ((4, 5, 6), (2, 1, 0)),
        ((3, 4, 5, 6), (3, 1, 0, 2)),
        ((17, 16, 4), (1, 2, 0)),
        ((2, 64, 40), (0, 2, 1)),
        ((5, 1, 7), (2, 1, 0)),
        ((2, 3, 4, 5, 6), (0, 4, 2, 1, 3)),
        ((131, 77), (1, 0)),
        ((9, 2, 70), (2, 1, 0)),
        ((9, 10, 4), (1, 0, 2)),
        ((2, 5, 7, 2), (0, 2, 1, 3)),
    ],
)
def test_transpose(shape: tuple[int, ...], perm: tuple[int, ...], dtype: str) -> None:
    x = array(shape, dtype)
    np.testing.assert_array_equal(run_op("transpose", [x], perm=perm)[0], x.transpose(perm))


@pytest.mark.parametrize("dtype", MOVED)
@pytest.mark.parametrize("shape", MOVE_SHAPES, ids=str)
def test_parts_of_a_tensor(shape: tuple[int, ...], dtype: str) -> None:
    x = array(shape, dtype)
    begin = tuple(int(RNG.integers(0, n)) for n in shape)
    size = tuple(int(RNG.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True))
    want = x[tuple(slice(b, b + n) for b, n in zip(begin, size, strict=True))]
    np.testing.assert_array_equal(run_op("slice", [x], begin=begin, size=size)[0], want)
    want = x[tuple(slice(b, None, 2) for b in begin)]
    twos = (2,) * len(shape)
    got = run_op("strided_slice", [x], begin=begin, end=shape, strides=twos)[0]
    np.testing.assert_array_equal(got, want)
    for step in (3, 4):
        want = x[..., ::step]
        ones = (1,) * (len(shape) - 1)
        begins = (0,) * len(shape)
        got = run_op("strided_slice", [x], begin=begins, end=shape, strides=(*ones, step))[0]
        np.testing.assert_array_equal(got, want)
    want = x[tuple(slice(None, None, -3) for _ in shape)]
    last, ends = tuple(n - 1 for n in shape), (-1,) * len(shape)
    got = run_op("strided_slice", [x], begin=last, end=ends, strides=(-3,) * len(shape))[0]
    np.testing.assert_array_equal(got, want)
    for axes in [*((d,) for d in range(len(shape))), tuple(range(len(shape)))]:
        np.testing.assert_array_equal(run_op("reverse", [x], axes=axes)[0], np.flip(x, axes))


@pytest.mark.parametrize("dtype", MOVED)
@pytest.mark.parametrize("shape", MOVE_SHAPES, ids=str)
def test_larger_than_the_tensor(shape: tuple[int, ...], dtype: str) -> None:
    x = array(shape, dtype)
    for axis in range(len(shape)):
        b = array((*shape[:axis], 4, *shape[axis + 1 :]), dtype)
        c = array((*shape[:axis], 1, *shape[axis + 1 :]), dtype)
        got = run_op("concat", [x, b, c], axis=axis)[0]
        np.testing.assert_array_equal(got, np.concatenate([x, b, c], axis))
    pads = tuple((int(RNG.integers(0, 4)), int(RNG.integers(0, 4))) for _ in shape)
    for value in (0, 1):
        want = np.pad(x, pads, constant_values=value)
        np.testing.assert_array_equal(run_op("pad", [x], paddings=pads, value=value)[0], want)
    for mode, room in (("reflect", 1), ("symmetric", 0)):
        fitting = tuple(
            (min(p, n - room), min(q, n - room)) for (p, q), n in zip(pads, shape, strict=True)
        )
        got = run_op("mirror_pad", [x], paddings=fitting, mode=mode)[0]
        np.testing.assert_array_equal(got, np.pad(x, fitting, mode=mode))
    multiples = tuple(int(RNG.integers(1, 4)) for _ in shape)
    np.testing.assert_array_equal(
        run_op("tile", [x], multiples=multiples)[0], np.tile(x, multiples)
    )
    got = run_op("broadcast_to", [x], shape=(3, *shape))[0]
    np.testing.assert_array_equal(got, np.broadcast_to(x, (3, *shape)))
    thin = x[..., :1].copy()
    got = run_op("broadcast_to", [thin], shape=shape)[0]
    np.testing.assert_array_equal(got, np.broadcast_to(thin, shape))


@pytest.mark.parametrize("dtype", MOVED)
def test_blocks(dtype: str) -> None:
    for block, channels in ((2, 12), (3, 9), (2, 64), (2, 4), (2, 8), (2, 16), (4, 16)):
        x = array((2, 3, 4, channels), dtype)
        parts = x.reshape(2, 3, 4, block, block, -1).transpose(0, 1, 3, 2, 4, 5)
        want = parts.reshape(2, 3 * block, 4 * block, -1)
        np.testing.assert_array_equal(run_op("depth_to_space", [x], block=block)[0], want)
        np.testing.assert_array_equal(run_op("space_to_depth", [want], block=block)[0], x)
    none = ((0, 0), (0, 0))
    for shape, block2, pads in (
        ((2, 4, 6, 3), (2, 2), none),
        ((1, 5, 7, 4), (2, 3), ((1, 2), (0, 2))),
        ((2, 10, 10, 8), (4, 4), ((4, 6), (4, 6))),
        ((1, 2, 2, 5), (4, 4), ((1, 1), (1, 1))),
    ):
        x = array(shape, dtype)
        padded = np.pad(x, ((0, 0), *pads, (0, 0)))
        n, h, w, c = padded.shape
        cut = padded.reshape(n, h // block2[0], block2[0], w // block2[1], block2[1], c)
        want = cut.transpose(2, 4, 0, 1, 3, 5).reshape(-1, h // block2[0], w // block2[1], c)
        got = run_op("space_to_batch", [x], block=block2, paddings=pads)[0]
        np.testing.assert_array_equal(got, want)
        got = run_op("batch_to_space", [want], block=block2, crops=pads)[0]
        np.testing.assert_array_equal(got, x)


@settings(max_examples=30)
@given(data=st.data())
def test_elementwise_over_any_broadcast(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=0, max_size=4)))
    parts = [
        tuple(n if data.draw(st.booleans()) else 1 for n in shape)[data.draw(st.integers(0, 2)) :]
        for _ in range(3)
    ]
    arrays = [RNG.standard_normal(p).astype(np.float32) for p in parts]
    want = arrays[0] * arrays[1] - arrays[2]
    (got,) = run_op("fused", arrays, body="sub(mul(a0, a1), a2)")
    close(got, np.asarray(want), 1e-6, parts)


@settings(max_examples=30)
@given(data=st.data())
def test_transpose_of_any_shape(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 18), min_size=1, max_size=4)))
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    for dtype in ("float32", "uint8"):
        x = array(shape, dtype)
        np.testing.assert_array_equal(run_op("transpose", [x], perm=perm)[0], x.transpose(perm))


# --- the kernels themselves -----------------------------------------------------------------------


def kernel_of(op: str, *shapes: tuple[int, ...], target: Target = WASM_PLAIN, **attrs: Any):  # type: ignore[no-untyped-def]
    return lower(node(op, [TensorType(s) for s in shapes], **attrs), target, set())


def test_equal_code_is_shared_between_sizes() -> None:
    assert kernel_of("relu", (64, 100)).key == kernel_of("relu", (1, 8, 80)).key
    assert kernel_of("relu", (1, 8, 80)).key == kernel_of("relu", (6400,), target=WASM_RELAXED).key
    assert kernel_of("relu", (6401,)).key != kernel_of("relu", (6400,)).key
    assert kernel_of("add", (56, 32), (32,)).key == kernel_of("add", (7, 32), (32,)).key


def test_work_can_be_split() -> None:
    assert kernel_of("relu", (112, 112, 64)).work == 112 * 112 * 64 // loop_forms.GROUP
    assert kernel_of("mean", (1, 7, 7, 1024), axes=(1, 2)).work == 1024 // loop_forms.BLOCK
    assert kernel_of("transpose", (1, 32, 32, 64), perm=(0, 3, 1, 2)).work == 4


def test_dtype_sizes_are_those_of_numpy() -> None:
    assert all(dtypes.to_numpy(d).itemsize == dtypes.size(d) for d in MOVED)
