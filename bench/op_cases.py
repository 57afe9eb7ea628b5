"""Calls of every row of the op table: what `bench ops` measures, and what it leaves out.

Numbers lie between 0.1 and 0.9, so that every function is defined there; indices are random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops import TABLE, TensorType
from fanlight.ops import row as rows
from fanlight.ops.fft import roots

Arrays = list[np.ndarray]
Make = Callable[[], Arrays]

# Rows that are not timed, and why.
LEFT_OUT = {
    "reshape": "no work: its output is its input's memory",
    "after": "no work: its output is its input's memory",
    "to_bound": "no work: its output is its input's memory",
    "from_bound": "no work: its output is its input's memory",
    "dim_size": "no work: one number is loaded and stored",
    "fused": "what passes make of chains: timed as the ops that it holds",
    "fused_sum": "what passes make of chains that end in a sum: timed as the ops that it holds",
    "cond": "runs other ops",
    "while_loop": "runs other ops",
    "scan": "runs other ops",
    "eigh": "loops whose length depends on the numbers",
    "svd": "loops whose length depends on the numbers",
    "non_max_suppression": "loops whose length depends on the numbers",
    "conv2d_int8": "`bench rooflines` and `bench pointwise` time it in whole models",
    "depthwise_conv2d_int8": "`bench rooflines` times it in whole models",
    "matmul_int8": "`bench rooflines` times it in whole models",
    "avg_pool_int8": "`bench rooflines` times it in whole models",
    "mean_int8": "`bench rooflines` times it in whole models",
    "resize_bilinear_int8": "`bench rooflines` times it in whole models",
    "prelu_int8": "`bench rooflines` times it in whole models",
}

# Rows with calls under a third of their bound, and why.
_BY_ONE = "an address per number: no vector instruction takes numbers from several places"
_SHORT = "runs of a few bytes, each with loads and stores of its own"
_STRIDE = "lines a power of two apart share few places of the nearest caches"
_DOUBLE = (
    "float64, without fused multiply-adds; a row is added to another, which moves three numbers"
)
_TILES = "small K or small matrices: tiles begin and end more often than they add up"
WHY: dict[str, str] = {
    "add_int8": "bytes become float32, four at a time, and are rounded back",
    "mul_int8": "bytes become float32, four at a time, and are rounded back",
    "select": "bools are widened to lanes of 32 bits and narrowed again",
    "cast": "bools are widened to lanes of 32 bits and narrowed again",
    "broadcast_to": "a loop per row around stores of one vector; short rows are mostly its start",
    "search_sorted": "log n steps, each waiting for the one before",
    "sort": "n log n: four passes over keys, and over counters",
    "top_k": "a comparison with the list so far, and moves within it",
    "gather": _BY_ONE,
    "gather_nd": _BY_ONE,
    "scatter_nd": "one update after another: two may want the same place",
    "concat": _SHORT,
    "tile": _SHORT,
    "depth_to_space": _SHORT,
    "space_to_depth": _SHORT,
    "transpose": f"{_STRIDE}; three channels: {_SHORT}",
    "cumsum": "a total per column or row, read and written for every vector",
    "cumprod": "a total per column or row, read and written for every vector",
    "cummax": "a total per column or row, read and written for every vector",
    "cummin": "a total per column or row, read and written for every vector",
    "lookup": "a table of 256 bytes is sixteen vectors, each picked from",
    "cholesky": _DOUBLE,
    "triangular_solve": _DOUBLE,
    "solve": _DOUBLE,
    "det": _DOUBLE,
    "slogdet": _DOUBLE,
    "qr": _DOUBLE,
    "conv2d": _TILES,
    "conv2d_transpose": f"{_TILES}; and its results are put between one another afterwards",
    "matmul": _TILES,
    "max_pool": "one channel of four lanes; a window of 3 x 3 by 1 loads every number nine times",
    "avg_pool": "a window of 3 x 3 by 1 loads every number nine times",
    "resize_image": "four channels of bytes, widened and narrowed for every pixel",
    "resize_bilinear": "four channels: one vector per pixel, with weights of its own",
    "softmax": "rows of 10 leave lanes empty; columns compute exp twice",
    "log_softmax": "rows of 10: one log per row, of one number in four lanes",
    "sum": "rows of 3 leave lanes empty",
    "arg_max": "two passes, or a choice of index and value per element",
    "arg_min": "two passes, or a choice of index and value per element",
    "sqrt": "one square root at a time",
    "rsqrt": "a square root and a division, one at a time",
    "strided_slice": "every third number: three loads and two shuffles for one vector",
}


@dataclass(frozen=True)
class Case:
    """One call of an op.

    Attributes:
        how: what is special about the call, for the table.
        make: the input arrays.
        constant: inputs that are weights, which kernels may lay out as they like.
    """

    op: str
    how: str
    make: Make
    attrs: dict[str, Any] = field(default_factory=dict)
    constant: tuple[int, ...] = ()


def numbers(shape: tuple[int, ...], dtype: str = "float32", high: int = 0) -> np.ndarray:
    """Seeded by the shape: the same in every run."""
    rng = np.random.default_rng(sum(shape))
    if high:
        return rng.integers(0, high, shape).astype(np.int32)
    if dtype == "bool":
        return rng.random(shape, np.float32) < 0.5
    if dtype == "uint8":
        return rng.integers(0, 256, shape, np.uint8)
    if dtype == "int32":
        return rng.integers(1, 1000, shape, np.int32)
    return rng.random(shape, np.float32) * np.float32(0.8) + np.float32(0.1)


def cases(height: int, width: int) -> Iterator[Case]:
    """Calls on matrices of this size, and on images of about as many elements."""
    flat = (height, width)
    yield from _elementwise(flat)
    yield from _along(flat)
    yield from _moving(flat)
    yield from _indexed(flat)
    yield from _images(height, width)
    yield from _matrices(height * width)


DTYPES = ("float32", "int32", "bool", "uint8")


def _elementwise(flat: tuple[int, int]) -> Iterator[Case]:
    for row in TABLE.values():
        name = row.name
        if row.scalar is None or name in ("batch_norm", "cast") or name in LEFT_OUT:
            continue
        if row.family == "quantized":
            continue
        attrs = {"lo": 0, "hi": 5} if name == "clip" else {}
        for dtype in DTYPES:
            kinds = [dtype] * row.arity[0]
            if name == "select":
                kinds[0] = "bool"
            try:
                rows.infer(name, [TensorType(flat, k) for k in kinds], attrs)
            except FanlightError:
                continue  # not one of its dtypes

            def make(kinds: list[str] = kinds) -> Arrays:
                return [numbers((flat[0], flat[1]), k) for k in kinds]

            yield Case(name, dtype, make, attrs)
    for source in DTYPES:
        for to in DTYPES:
            if source != to:
                one = (lambda s: lambda: [numbers(flat, s)])(source)
                yield Case("cast", f"{source} to {to}", one, {"dtype": to})
    yield Case("add", "a row to all", lambda: [numbers(flat), numbers(flat[1:])])
    yield Case("add", "a column to all", lambda: [numbers(flat), numbers((flat[0], 1))])
    yield Case("add", "a matrix and its like, turned", lambda: [
        numbers((flat[0], 1)), numbers((1, flat[1]))])  # fmt: skip
    norm = lambda: [numbers(flat), *(numbers(flat[1:]) for _ in range(4))]  # noqa: E731
    yield Case("batch_norm", "float32", norm)
    quantum = {"scale": 0.01, "zero": 3}
    yield Case("quantize", "", lambda: [numbers(flat)], {**quantum, "high": 255})
    yield Case("dequantize", "", lambda: [numbers(flat, "uint8")], quantum)
    zeros, pair = {"zero_a": 3, "zero_b": 5, "zero": 7}, lambda: [
        numbers(flat, "uint8") for _ in range(2)]  # fmt: skip
    yield Case("add_int8", "", pair, {"scale_a": 0.5, "scale_b": 0.25, **zeros})
    yield Case("mul_int8", "", pair, {"scale": 0.01, **zeros})
    yield Case("lookup", "", lambda: [numbers(flat, "uint8"), numbers((256,), "uint8")])


def _along(flat: tuple[int, int]) -> Iterator[Case]:
    kinds = {
        "sum": "fi",
        "mean": "f",
        "prod": "fi",
        "max": "fi",
        "min": "fi",
        "any": "b",
        "all": "b",
    }
    letters = {"f": "float32", "i": "int32", "b": "bool"}
    r, c = flat
    for op, dtypes in kinds.items():
        for letter in dtypes:
            dtype = letters[letter]
            one = (lambda d: lambda: [numbers(flat, d)])(dtype)
            yield Case(op, f"{dtype}, rows", one, {"axes": (1,)})
            yield Case(op, f"{dtype}, columns", one, {"axes": (0,)})
            yield Case(op, f"{dtype}, all", one, {"axes": (0, 1)})
    image = lambda: [numbers((1, r, c // 16, 16))]  # noqa: E731
    yield Case("sum", "channels of 16", image, {"axes": (3,)})
    yield Case("mean", "an image to its channels", image, {"axes": (1, 2)})
    yield Case("sum", "rows of 3", lambda: [numbers((r * c // 3, 3))], {"axes": (1,)})
    for op in ("arg_max", "arg_min"):
        for dtype in ("float32", "int32"):
            one = (lambda d: lambda: [numbers(flat, d)])(dtype)
            yield Case(op, f"{dtype}, rows", one, {"axis": 1})
            yield Case(op, f"{dtype}, columns", one, {"axis": 0})
    for op in ("softmax", "log_softmax"):
        yield Case(op, "rows", lambda: [numbers(flat)], {"axis": 1})
        yield Case(op, "columns", lambda: [numbers(flat)], {"axis": 0})
        yield Case(op, "rows of 10", lambda: [numbers((r * c // 10, 10))], {"axis": 1})
    for op in ("cumsum", "cumprod", "cummax", "cummin"):
        for dtype in ("float32", "int32"):
            one = (lambda d: lambda: [numbers(flat, d)])(dtype)
            yield Case(op, f"{dtype}, rows", one, {"axis": 1})
            yield Case(op, f"{dtype}, columns", one, {"axis": 0})
    yield Case("cumsum", "backwards", lambda: [numbers(flat)], {"axis": 1, "reverse": True})
    yield Case("sort", "rows, float32", lambda: [numbers(flat)])
    yield Case("sort", "rows, int32", lambda: [numbers(flat, "int32")])
    yield Case("top_k", "8 of rows", lambda: [numbers(flat)], {"k": 8})
    line = lambda: [np.sort(numbers((r,))), numbers((r * c // 4,))]  # noqa: E731
    yield Case("search_sorted", "", line)


def _moving(flat: tuple[int, int]) -> Iterator[Case]:
    r, c = flat
    for dtype in ("float32", "uint8"):
        one = (lambda d: lambda: [numbers(flat, d)])(dtype)
        cube = (lambda d: lambda: [numbers((r // 4, 4, c), d)])(dtype)
        image = (lambda d: lambda: [numbers((1, r, c // 16, 16), d)])(dtype)
        three = (lambda d: lambda: [numbers((r * c // 96, 32, 3), d)])(dtype)
        yield Case("transpose", f"{dtype}, matrix", one, {"perm": (1, 0)})
        yield Case("transpose", f"{dtype}, odd", (lambda d: lambda: [
            numbers((r - 3, c - 1), d)])(dtype), {"perm": (1, 0)})  # fmt: skip
        yield Case("transpose", f"{dtype}, outer dims", cube, {"perm": (1, 0, 2)})
        yield Case("transpose", f"{dtype}, NHWC to NCHW", image, {"perm": (0, 3, 1, 2)})
        yield Case("transpose", f"{dtype}, 3 channels first", three, {"perm": (2, 0, 1)})
        yield Case("transpose", f"{dtype}, 3 channels last", (lambda d: lambda: [
            numbers((3, r * c // 3), d)])(dtype), {"perm": (1, 0)})  # fmt: skip
        yield Case("slice", f"{dtype}, inside", one, {
            "begin": (1, 1), "size": (r - 2, c - 2)})  # fmt: skip
        yield Case("strided_slice", f"{dtype}, every second", one, {
            "begin": (0, 0), "end": (r, c), "strides": (1, 2)})  # fmt: skip
        yield Case("strided_slice", f"{dtype}, every third", one, {
            "begin": (0, 0), "end": (r, c), "strides": (1, 3)})  # fmt: skip
        yield Case("strided_slice", f"{dtype}, every second row", one, {
            "begin": (0, 0), "end": (r, c), "strides": (2, 1)})  # fmt: skip
        yield Case("reverse", f"{dtype}, rows", one, {"axes": (1,)})
        yield Case("reverse", f"{dtype}, order of rows", one, {"axes": (0,)})
        yield Case("pad", f"{dtype}, by 1", one, {"paddings": ((1, 1), (1, 1))})
        yield Case("pad", f"{dtype}, an image by 1", image, {
            "paddings": ((0, 0), (1, 1), (1, 1), (0, 0))})  # fmt: skip
        yield Case("mirror_pad", f"{dtype}, by 2", one, {
            "paddings": ((2, 2), (2, 2)), "mode": "reflect"})  # fmt: skip
        yield Case("tile", f"{dtype}, 2 x 2", (lambda d: lambda: [
            numbers((r // 2, c // 2), d)])(dtype), {"multiples": (2, 2)})  # fmt: skip
        yield Case("tile", f"{dtype}, numbers 4 times", (lambda d: lambda: [
            numbers((r * c // 4, 1), d)])(dtype), {"multiples": (1, 4)})  # fmt: skip
        yield Case("broadcast_to", f"{dtype}, a row", (lambda d: lambda: [
            numbers((c,), d)])(dtype), {"shape": flat})  # fmt: skip
        yield Case("broadcast_to", f"{dtype}, a column", (lambda d: lambda: [
            numbers((r, 1), d)])(dtype), {"shape": flat})  # fmt: skip
        yield Case("concat", f"{dtype}, rows", (lambda d: lambda: [
            numbers((r // 2, c), d) for _ in range(2)])(dtype), {"axis": 0})  # fmt: skip
        yield Case("concat", f"{dtype}, columns", (lambda d: lambda: [
            numbers((r, c // 2), d) for _ in range(2)])(dtype), {"axis": 1})  # fmt: skip
        yield Case("concat", f"{dtype}, pairs", (lambda d: lambda: [
            numbers((r * c // 2, 1), d) for _ in range(2)])(dtype), {"axis": 1})  # fmt: skip
        yield Case("depth_to_space", f"{dtype}, 4 channels", image, {"block": 2})
        yield Case("depth_to_space", f"{dtype}, 1 channel", (lambda d: lambda: [
            numbers((1, r, c // 4, 4), d)])(dtype), {"block": 2})  # fmt: skip
        yield Case("space_to_depth", f"{dtype}, 16 channels", image, {"block": 2})
        yield Case("space_to_depth", f"{dtype}, 1 channel", (lambda d: lambda: [
            numbers((1, r, c, 1), d)])(dtype), {"block": 2})  # fmt: skip
        yield Case("space_to_batch", dtype, image, {"block": (2, 2), "paddings": ((0, 0), (0, 0))})
        yield Case("batch_to_space", dtype, (lambda d: lambda: [
            numbers((4, r // 2, c // 32, 16), d)])(dtype), {
            "block": (2, 2), "crops": ((0, 0), (0, 0))})  # fmt: skip


def _indexed(flat: tuple[int, int]) -> Iterator[Case]:
    r, c = flat
    for dtype in ("float32", "uint8"):
        rows = (lambda d: lambda: [numbers(flat, d), numbers((r,), high=r)])(dtype)
        yield Case("gather", f"{dtype}, rows", rows, {"axis": 0})
        yield Case("gather", f"{dtype}, columns", (lambda d: lambda: [
            numbers(flat, d), numbers((c,), high=c)])(dtype), {"axis": 1})  # fmt: skip
        yield Case("gather", f"{dtype}, numbers of a row", (lambda d: lambda: [
            numbers((c,), d), numbers((r * c,), high=c)])(dtype), {"axis": 0})  # fmt: skip
        yield Case("gather_nd", f"{dtype}, rows", (lambda d: lambda: [
            numbers(flat, d), numbers((r, 1), high=r)])(dtype))  # fmt: skip
    yield Case("gather_nd", "float32, numbers", lambda: [
        numbers((64, 64)), numbers((r * c // 2, 2), high=64)])  # fmt: skip
    for mode in ("add", "max", "update"):
        yield Case("scatter_nd", f"{mode}, rows", lambda: [
            numbers((r, 1), high=r), numbers(flat)],
            {"mode": mode, "shape": flat, "value": 0})  # fmt: skip
    yield Case("scatter_nd", "add, numbers into 4096", lambda: [
        numbers((r * c // 2, 1), high=4096), numbers((r * c // 2,))],
        {"mode": "add", "shape": (4096,), "value": 0})  # fmt: skip
    yield Case("random_bits", "", lambda: [numbers((2,), "int32")], {"shape": flat, "stream": 0})


def _images(height: int, width: int) -> Iterator[Case]:
    r, c = height // 2, width // 16
    image = lambda: [numbers((1, r, c, 32))]  # noqa: E731
    photo = lambda: [numbers((1, r, c * 8, 4))]  # noqa: E731
    for size in (2, 3):
        pooling: dict[str, Any] = {"size": (size, size), "strides": (2, 2)}
        pooling["padding"] = ((0, 0), (0, 0)) if size == 2 else ((0, 1), (0, 1))
        for op in ("max_pool", "avg_pool"):
            yield Case(op, f"{size} x {size} by 2", image, pooling)
    still = {"size": (3, 3), "strides": (1, 1), "padding": ((1, 1), (1, 1))}
    yield Case("max_pool", "3 x 3 by 1", image, still)
    yield Case("avg_pool", "3 x 3 by 1", image, still)
    yield Case("max_pool", "uint8, 2 x 2 by 2", lambda: [numbers((1, r, c, 32), "uint8")], {
        "size": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0))})  # fmt: skip
    yield Case("max_pool", "1 channel, 2 x 2 by 2", lambda: [numbers((1, r, c * 32, 1))], {
        "size": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0))})  # fmt: skip
    for op in ("resize_bilinear", "resize_nearest"):
        yield Case(op, "to a half", image, {"size": (r // 2, c // 2), "coordinates": "half_pixel"})
        yield Case(op, "to twice", lambda: [numbers((1, r // 2, c // 2, 32))], {
            "size": (r, c), "coordinates": "half_pixel"})  # fmt: skip
        yield Case(op, "4 channels, to 3/4", photo, {
            "size": (r * 3 // 4, c * 6), "coordinates": "half_pixel"})  # fmt: skip
    for method in ("bilinear", "nearest", "antialias"):
        yield Case("resize_image", f"{method}, to a quarter", lambda: [
            numbers((r, c * 8, 4), "uint8")], {
            "size": (r // 4, c * 2), "crop": "none", "method": method})  # fmt: skip
    window = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilations": (1, 1)}
    point = {**window, "padding": ((0, 0), (0, 0))}
    by_two = {"strides": (2, 2), "padding": ((0, 0), (0, 0)), "output_size": (r // 2, c * 2)}
    for constant, which in (((1,), ""), ((), ", computed weights")):
        yield Case("conv2d", f"3 x 3, 32 to 32{which}", lambda: [
            numbers((1, r // 4, c, 32)), numbers((3, 3, 32, 32))], window, constant)  # fmt: skip
        yield Case("conv2d", f"1 x 1, 32 to 32{which}", lambda: [
            numbers((1, r // 4, c, 32)), numbers((1, 1, 32, 32))], point, constant)  # fmt: skip
        yield Case("depthwise_conv2d", f"3 x 3, 32 channels{which}", lambda: [
            numbers((1, r, c, 32)), numbers((3, 3, 32, 1))], window, constant)  # fmt: skip
        yield Case("conv2d_kernel", f"1 x 1, 32 to 32{which}", lambda: [
            numbers((1, r // 4, c, 32)), numbers((1, r // 4, c, 32))],
            {"size": (1, 1)}, ())  # fmt: skip
        yield Case("depthwise_conv2d_kernel", f"3 x 3, 32 channels{which}", lambda: [
            numbers((1, r + 2, c + 2, 32)), numbers((1, r, c, 32))],
            {"size": (3, 3)}, ())  # fmt: skip
        yield Case("conv2d_transpose", f"2 x 2 by 2, 32 to 32{which}", lambda: [
            numbers((1, r // 4, c, 32)), numbers((2, 2, 32, 32))], by_two, constant)  # fmt: skip


def _matrices(elements: int) -> Iterator[Case]:
    n = 1024 if elements > 1 << 20 else 128
    square = lambda: [numbers((n, n)), numbers((n, n))]  # noqa: E731
    yield Case("matmul", f"{n} cubed", square)
    yield Case("matmul", f"{n} cubed, constant right side", square, {}, (1,))
    yield Case("matmul", f"{n} cubed, right side turned", square, {"transpose_b": True})
    yield Case("matmul", "a vector by a matrix", lambda: [numbers((1, n)), numbers((n, n))])
    yield Case("matmul", "a matrix by a vector", lambda: [numbers((n, n)), numbers((n, 1))])
    yield Case("matmul", "batches of 16 cubed", lambda: [
        numbers((n * n // 256, 16, 16)), numbers((n * n // 256, 16, 16))])  # fmt: skip
    m = 256 if elements > 1 << 20 else 64

    def dominant() -> np.ndarray:
        return numbers((m, m)) + np.eye(m, dtype=np.float32) * m

    def positive() -> np.ndarray:
        a = numbers((m, m))
        return a @ a.T + np.eye(m, dtype=np.float32) * m

    yield Case("cholesky", f"{m}", lambda: [positive()])
    yield Case("triangular_solve", f"{m}", lambda: [dominant(), numbers((m, m))])
    yield Case("solve", f"{m}", lambda: [dominant(), numbers((m, m))])
    for op in ("det", "slogdet", "qr"):
        yield Case(op, f"{m}", lambda: [dominant()])
    for size in (1024, 1000):
        count = max(1, elements // 4 // size)
        yield Case("fft", f"rows of {size}", (lambda k, s: lambda: [
            numbers((k, s)), numbers((k, s)), roots(s)])(count, size))  # fmt: skip


def uncovered() -> list[str]:
    """Rows that are neither timed nor left out with a reason."""
    timed = {case.op for case in cases(2048, 2048)}
    return sorted(set(TABLE) - timed - set(LEFT_OUT))
