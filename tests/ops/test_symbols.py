"""Symbolic dims: what every op of the table makes of them, on NumPy and in WebAssembly.

An op that takes a symbol must give at the bound, with anything at all behind the actual size, what
it gives at the actual size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, evaluate
from fanlight.graph.verify import verify
from fanlight.ops import TABLE, Dim, TensorType, symbols
from fanlight.ops import row as rows
from fanlight.passes import optimize
from fanlight.passes.bind_symbols import BindSymbols
from fanlight.passes.core import Context
from tests.support import ROOT

N, M = Dim("n", 5), Dim("m", 4)
TWICE = N.merged(2)
LONG = Dim("n", 5, 2)  # for what needs two elements
SIZES = ({"n": 5, "m": 4}, {"n": 2, "m": 1}, {"n": 3, "m": 4}, {"n": 1, "m": 2})
F, INT, B, U = "float32", "int32", "bool", "uint8"

Case = tuple[str, list[tuple[tuple[Any, ...], str]], dict[str, Any]]


def f(*shape: Any) -> tuple[tuple[Any, ...], str]:
    return shape, F


def i(*shape: Any) -> tuple[tuple[Any, ...], str]:
    return shape, INT


CASES: list[Case] = [
    ("add", [f(N, 3), f(3)], {}),
    ("add", [f(3, N), f(M, 1, N)], {}),
    ("select", [((N, 1), B), f(N, 3), f()], {}),
    ("floor_div", [i(N), i(N)], {}),
    ("floor_mod", [i(N), i(N)], {}),
    ("cast", [f(N, 3)], {"dtype": INT}),
    ("fused", [f(N, 3), f(N, 1)], {"body": "add(mul(a0, a1), 1.0)"}),
    *((op, [f(N, 3)], {"axes": (0,)}) for op in ("sum", "mean", "prod", "max", "min")),
    *((op, [f(3, N, M)], {"axes": (0, -1)}) for op in ("sum", "mean", "prod", "max", "min")),
    *((op, [f(N, M)], {"axes": (0, 1), "keepdims": True}) for op in ("sum", "mean", "max")),
    *((op, [i(N, 3)], {"axes": (0,)}) for op in ("sum", "prod", "max", "min")),
    *((op, [((N, 3), B)], {"axes": (0,)}) for op in ("any", "all")),
    *((op, [make(N, 3)], {"axis": 0}) for op in ("arg_max", "arg_min") for make in (f, i)),
    *((op, [f(N, 3)], {"axis": 1}) for op in ("arg_max", "softmax", "log_softmax")),
    *((op, [f(2, N)], {}) for op in ("arg_max", "arg_min", "softmax", "log_softmax")),
    *((op, [f(N, 3)], {"axis": 0}) for op in ("softmax", "log_softmax")),
    ("reshape", [f(N, 2, 3)], {"shape": (1, N, 6)}),
    ("reshape", [f(2, 2, N, 3)], {"shape": (4, N, 3, 1)}),
    ("transpose", [f(N, 2, M)], {"perm": (2, 0, 1)}),
    ("broadcast_to", [f(3)], {"shape": (N, 3)}),
    ("broadcast_to", [f(N, 1)], {"shape": (2, N, 3)}),
    ("slice", [f(N, 6)], {"begin": (0, 2), "size": (N, 3)}),
    ("slice", [f(10, 2)], {"begin": (0, 0), "size": (N, 2)}),
    ("slice", [f(LONG, 3)], {"begin": (1, 0), "size": (1, 3)}),
    ("strided_slice", [f(N, 6)], {"begin": (0, 5), "end": (N, -1), "strides": (1, -2)}),
    ("reverse", [f(N, 3)], {"axes": (1,)}),
    ("reverse", [f(N, 3, M)], {"axes": (0, 1)}),
    ("pad", [f(N, 3)], {"paddings": ((0, 0), (1, 2)), "value": 7}),
    ("mirror_pad", [f(N, 3)], {"paddings": ((0, 0), (1, 1))}),
    ("tile", [f(N, 2)], {"multiples": (1, 3)}),
    ("concat", [f(N, 2), f(N, 3)], {"axis": 1}),
    ("gather", [f(7, 3), i(N, M)], {}),
    ("gather", [f(N, 3), i(4)], {}),
    ("gather", [f(2, N), i(M)], {"axis": 1}),
    ("gather_nd", [f(3, 3, M), i(N, 2)], {}),
    ("gather_nd", [f(N, 3, M), i(6, 2)], {}),
    ("gather_nd", [f(N, M), i(6, 2)], {"outside": "zero"}),
    ("conv2d", [f(2, 3, 3, N), f(2, 2, N, M)], {}),
    ("scatter_nd", [i(N, 1), f(N, 2)], {"shape": (6, 2)}),
    ("scatter_nd", [i(N, 1), f(N, 2)], {"shape": (6, 2), "mode": "update", "value": 3}),
    ("scatter_nd", [i(3, 1), f(3, 2), f(N, 2)], {}),
    ("search_sorted", [f(6), f(N)], {}),
    *((op, [f(N, 3)], {"axis": 0}) for op in ("cumsum", "cumprod", "cummax", "cummin")),
    *((o, [f(N, 3)], {"axis": 0, "reverse": True}) for o in ("cumsum", "cumprod", "cummax")),
    ("cummin", [i(N)], {"reverse": True}),
    ("cumsum", [i(2, N)], {"reverse": True, "exclusive": True}),
    *(("sort", [make(3, N)], {"descending": d}) for d in (False, True) for make in (f, i)),
    *(("top_k", [make(2, LONG)], {"k": 2}) for make in (f, i)),
    ("top_k", [f(N, 6)], {"k": 2}),
    ("matmul", [f(N, 3), f(3, 4)], {}),
    ("matmul", [f(3, N), f(N, 4)], {}),
    ("matmul", [f(N, 3), f(N, 4)], {"transpose_a": True}),
    ("matmul", [f(N, 2, M), f(N, 3, M)], {"transpose_b": True}),
    ("matmul", [f(N, 2, 3), f(3, M)], {}),
    ("after", [f(N, 3), f(M)], {}),
    ("random_bits", [i(2)], {"shape": (N, 3)}),
    ("conv2d", [f(N, 5, 5, 3), f(3, 3, 3, 4)], {"strides": (2, 2), "padding": ((1, 1), (1, 1))}),
    ("conv2d", [f(N, 3, 3, 3), f(1, 1, 3, 4)], {}),
    ("depthwise_conv2d", [f(N, 5, 5, 3), f(3, 3, 3, 1)], {"padding": ((1, 1), (1, 1))}),
    ("conv2d_kernel", [f(N, 5, 5, 3), f(N, 3, 3, 2)], {"size": (3, 3)}),
    ("conv2d_kernel", [f(N, 3, 3, 3), f(N, 3, 3, 2)], {"size": (1, 1)}),
    ("depthwise_conv2d_kernel", [f(N, 5, 5, 3), f(N, 3, 3, 3)], {"size": (3, 3)}),
    (
        "conv2d_transpose",
        [f(N, 3, 3, 2), f(2, 2, 3, 2)],
        {"strides": (2, 2), "output_size": (6, 6)},
    ),
    *(
        (op, [f(N, 4, 4, 3)], {"size": (2, 2), "strides": (2, 2)})
        for op in ("max_pool", "avg_pool")
    ),
    *((o, [f(N, 3, 3, 2)], {"size": (5, 4)}) for o in ("resize_bilinear", "resize_nearest")),
    ("depth_to_space", [f(N, 2, 2, 4)], {"block": 2}),
    ("space_to_depth", [f(N, 4, 2, 3)], {"block": 2}),
    ("batch_norm", [f(N, M, 3), f(3), f(3), f(3), f(3)], {}),
    *((op, [f(N, 3, 3)], {}) for op in ("det", "slogdet", "qr", "svd")),
    ("solve", [f(N, 3, 3), f(N, 3, M)], {}),
    ("triangular_solve", [f(N, 3, 3), f(N, 3, M)], {}),
    ("fft", [f(N, 4), f(N, 4), f(2, 4)], {}),
    ("non_max_suppression", [f(N, 4), f(N)], {"max_output_size": 3}),
]


def merged(value: Any) -> Any:
    """Twice as large where it is n: the batch and a dim of 2 behind it, as one."""
    if isinstance(value, Dim):
        return value.merged(2) if value.name == "n" else value
    return tuple(map(merged, value)) if isinstance(value, tuple) else value


# What these are given has a form of its own.
SQUARE = {"cholesky": lambda a: a @ a.swapaxes(-1, -2) + np.eye(3, dtype=F)}
SQUARE["eigh"] = lambda a: a + a.swapaxes(-1, -2)
CASES += [(op, [f(N, 3, 3)], {}) for op in SQUARE]
CASES += [
    (op, [(merged(shape), dtype) for shape, dtype in inputs], {k: merged(v) for k, v in a.items()})
    for op, inputs, a in CASES
]
CASES += [
    ("reshape", [f(N, 2, 3)], {"shape": (TWICE, 3)}),
    ("reshape", [f(N, 2, 3)], {"shape": (-1,)}),
    ("reshape", [f(2, N, 4, M)], {"shape": (2, N.merged(2), 2, M, 1)}),
    ("reshape", [f(N.merged(6), 2)], {"shape": (1, N.merged(3), 2, -1)}),
    ("reshape", [f(N.merged(6), 2)], {"shape": (-1, 6, 2)}),
    ("reshape", [f(N.merged(6), M.merged(4))], {"shape": (N, 6, M.merged(2), 2)}),
    ("slice", [f(TWICE, 2)], {"begin": (0, 0), "size": (N, 2)}),
    ("slice", [f(TWICE, 2)], {"begin": (1, 0), "size": (N, 2)}),
    ("strided_slice", [f(TWICE)], {"begin": (0,), "end": (TWICE,), "strides": (2,)}),
    ("strided_slice", [f(TWICE)], {"begin": (1,), "end": (TWICE,), "strides": (2,)}),
    ("tile", [f(1, 2)], {"multiples": (TWICE, 2)}),
    ("gather", [f(N, 3), i(TWICE)], {}),
    ("gather", [f(TWICE, 3), i(N)], {}),
    ("scatter_nd", [i(TWICE, 1), f(TWICE, 2)], {"shape": (N, 2)}),
    ("matmul", [f(N, TWICE), f(TWICE, 3)], {}),
    ("top_k", [f(2, TWICE)], {"k": N}),
]


def arrays_of(case: Case, sizes: Mapping[str, int], seed: int = 0) -> list[np.ndarray]:
    op, inputs, _ = case
    rng = np.random.default_rng(seed)
    made = []
    for shape, dtype in inputs:
        known = symbols.resolve(tuple(shape), sizes)
        if dtype == B:
            array: np.ndarray = rng.random(known) < 0.5
        elif dtype == INT:
            array = rng.integers(1 if op.startswith("floor") else 0, 4, known).astype(np.int32)
        else:
            array = rng.standard_normal(known).astype(np.float32)
        made.append(np.asarray(array))
    if op in SQUARE:
        made[0] = SQUARE[op](made[0])
    if op == "batch_norm":
        made[2] = np.abs(made[2])
    if op == "search_sorted":
        made[0] = np.sort(made[0])
    return made


def graph_of(case: Case) -> Graph:
    op, inputs, attrs = case
    builder = Builder(op)
    # Someone has to say how large every symbol is; what is merged comes in as two dims.
    own = [builder.input(f"x{k}", parted(s), t) for k, (s, t) in enumerate(inputs)]
    own = [
        x if x.shape == s else builder.add("reshape", x, shape=s)
        for x, (s, _) in zip(own, inputs, strict=True)
    ]
    told = {d.name for s, _ in inputs for d in s if isinstance(d, Dim)}
    for d in symbols.symbols_of(op, [], attrs).values():
        if d.name not in told:
            builder.input(f"size_of_{d.name}", (d,), INT)
    made = builder.add(op, *own, **attrs)
    outputs = made if isinstance(made, tuple) else (made,)
    outputs = tuple(
        v if v.shape == parted(v.shape) else builder.add("reshape", v, shape=parted(v.shape))
        for v in outputs
    )
    return builder.finish({f"y{k}": v for k, v in enumerate(outputs)})


def parted(shape: Sequence[Any]) -> tuple[Any, ...]:
    """The shape with merged dims as two: those of a page are symbols as they are."""
    merged = [isinstance(d, Dim) and d.times != 1 for d in shape]
    pairs = [(d.symbol, d.times) if m else (d,) for d, m in zip(shape, merged, strict=True)]
    return tuple(d for pair in pairs for d in pair)


def fed(graph: Graph, arrays: Sequence[np.ndarray], sizes: Mapping[str, int]) -> dict[str, Any]:
    given = {
        v.name: a.reshape(v.type.at(sizes).bound)
        for v, a in zip(graph.inputs[: len(arrays)], arrays, strict=True)
    }
    for v in graph.inputs[len(arrays) :]:
        given[v.name] = np.zeros(v.type.at(sizes).bound, np.int32)
    return given


def fitting(case: Case, graph: Graph) -> list[Mapping[str, int]]:
    least = {d.name: d.min for v in graph.inputs for d in v.shape if isinstance(d, Dim)}
    return [s for s in SIZES if all(s[name] >= low for name, low in least.items())]


def compared(case: Case, results: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> None:
    op, _, attrs = case
    full = rows.complete_attrs(TABLE[op], symbols.resolved(attrs, sizes))
    expected = rows.evaluate(op, arrays_of(case, sizes), full)
    for k, reference in enumerate(expected):
        value = results[f"y{k}"]
        assert value.size == reference.size and value.dtype == reference.dtype
        value = value.reshape(reference.shape)  # merged dims went out as two
        np.testing.assert_allclose(value, reference, rtol=2e-5, atol=2e-5, err_msg=f"{op} {sizes}")


IDS = [f"{n}-{c[0]}" for n, c in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_padding_does_not_matter_on_numpy(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound with poison as padding: what the op is at the actual sizes."""
    row = TABLE["to_bound"]

    def poisoned(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
        (made,) = row.eval(arrays, attrs)
        junk = np.array([np.nan, np.inf, -np.inf, 1e30] if made.dtype.kind == "f" else [7, -9, 1])
        flat = made.reshape(-1)
        behind = flat[arrays[0].size :]
        behind[:] = np.resize(junk, behind.size).astype(made.dtype)
        return [made]

    graph = graph_of(case)
    bound = BindSymbols().run(graph, Context())
    verify(bound)
    assert BindSymbols().run(bound, Context()) is bound
    monkeypatch.setitem(TABLE, "to_bound", replace(row, eval=poisoned))
    for sizes in fitting(case, graph):
        given = fed(graph, arrays_of(case, sizes), sizes)
        compared(case, evaluate(graph, given), sizes)
        with np.errstate(all="ignore"):
            compared(case, evaluate(bound, given), sizes)
            compared(case, evaluate(optimize(graph), given), sizes)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_wasm_stops_early_and_is_right(case: Case, tmp_path: Path) -> None:
    """In memory that larger calls have left full of something else."""
    graph = graph_of(case)
    with fl.build(graph, tmp_path / "out") as bundle:
        for seed in (1, 0):
            for sizes in fitting(case, graph):
                arrays = arrays_of(case, sizes, seed)
                results = bundle.run(fed(graph, arrays, sizes))
                if not seed:
                    compared(case, results, sizes)


def test_every_row_says_what_symbols_mean() -> None:
    for name, row in TABLE.items():
        ways = [name in symbols.RULES, name in symbols.REFUSED, name in symbols.OWN]
        ways += [row.scalar is not None or name == "fused"]
        assert sum(ways) == 1, name
    for name in (*symbols.RULES, *symbols.REFUSED, *symbols.OWN):
        assert name in TABLE
    tested = {op for op, _, _ in CASES}
    assert not set(symbols.RULES) - tested


def test_the_page_of_ops_says_which_sizes_may_be_free() -> None:
    page = (ROOT / "docs" / "ops.md").read_text("utf-8")
    for name, row in TABLE.items():
        section = page.split(f"\n### {name}\n")[1].split("\n### ")[0]
        assert f"Free sizes: {symbols.told(row)}." in section
    assert symbols.told(TABLE["conv2d"]) == "the batch and the channels"
    assert symbols.told(TABLE["matmul_int8"]).startswith("none, for")


@pytest.mark.parametrize("op", sorted(symbols.REFUSED))
def test_refusals_say_why(op: str) -> None:
    row, x = TABLE[op], TensorType((N, 2, 2, 4), U)
    given: dict[str, Any] = dict.fromkeys(row.attrs, ())
    with pytest.raises(FanlightError, match="E-OP-007") as caught:
        rows.infer(op, [x] * row.arity[0], given)
    assert symbols.REFUSED[op] in str(caught.value)


WRONG: list[tuple[str, list[TensorType], dict[str, Any], str]] = [
    ("reshape", [TensorType((N, 3))], {"shape": (15,)}, "merged"),
    ("reshape", [TensorType((3, N))], {"shape": (N.merged(3),)}, "merged"),
    ("reshape", [TensorType((3, N))], {"shape": (-1,)}, "merged"),
    ("reshape", [TensorType((N, M))], {"shape": (-1,)}, "merged"),
    ("reshape", [TensorType((TWICE,))], {"shape": (2, N)}, "merged"),
    ("reshape", [TensorType((TWICE, 3))], {"shape": (-1, 4)}, "merged"),
    # What is a multiple beside one that is merged is none: padding lies in between.
    ("concat", [TensorType((N, TWICE))] * 2, {"axis": 0}, "neither a number nor n"),
    ("concat", [TensorType((N,)), TensorType((TWICE,))], {"axis": 0}, "neither a number nor n"),
    ("tile", [TensorType((N, TWICE))], {"multiples": (2, 1)}, "neither a number nor n"),
    ("pad", [TensorType((N, TWICE))], {"paddings": ((0, N), (0, 0))}, "paddings has to be known"),
    ("slice", [TensorType((TWICE,))], {"begin": (N,), "size": (N,)}, "begin has to be known"),
    ("resize_nearest", [TensorType((1, 4, 4, 2))], {"size": (N, 3)}, "size has to be known"),
    ("add", [TensorType((N,)), TensorType((Dim("n", 12, 2, 2),))], {}, "two bounds"),
    ("reshape", [TensorType((N, M))], {"shape": (M, N)}, "merged"),
    ("concat", [TensorType((N, 3)), TensorType((2, 3))], {"axis": 0}, "neither a number nor n"),
    ("concat", [TensorType((N, 3)), TensorType((N, 3))], {"axis": 0}, "neither a number nor n"),
    ("tile", [TensorType((N, 3))], {"multiples": (2, 1)}, "neither a number nor n"),
    ("pad", [TensorType((N,))], {"paddings": ((1, 0),)}, "neither a number nor n"),
    ("slice", [TensorType((N,))], {"begin": (0,), "size": (3,)}, "for n = 1"),
    ("top_k", [TensorType((N,))], {"k": 2}, "for n = 1"),
    ("add", [TensorType((N,)), TensorType((5,))], {}, "for n = 4"),
    ("add", [TensorType((N,)), TensorType((Dim("n", 9),))], {}, "two bounds"),
    ("add", [TensorType((Dim("n", 2), 3)), TensorType((2, 3))], {}, "broadcast"),
    ("matmul", [TensorType((2, N)), TensorType((M, 2))], {}, "rows"),
    ("gather_nd", [TensorType((3, 3)), TensorType((4, M), INT)], {}, "last dim"),
    ("scatter_nd", [TensorType((4, M), INT), TensorType((4,))], {"shape": (3,)}, "last dim"),
    ("random_bits", [TensorType((2,), INT)], {"shape": (3, N)}, "first dim"),
    ("conv2d", [TensorType((1, N, 5, 3)), TensorType((1, 1, 3, 4))], {}, "dim 1 of input 0"),
    ("fft", [TensorType((2, N)), TensorType((2, N)), TensorType((2, N))], {}, "dim 1"),
    ("cholesky", [TensorType((N, N))], {}, "dim 0 of input 0"),
]


@pytest.mark.parametrize(("op", "types", "attrs", "word"), WRONG)
def test_what_a_symbol_cannot_be(
    op: str, types: list[TensorType], attrs: dict[str, Any], word: str
) -> None:
    with pytest.raises(FanlightError) as caught:
        rows.infer(op, types, attrs)
    assert caught.value.code in ("E-OP-007", "E-OP-004"), str(caught.value)
    assert word in str(caught.value), str(caught.value)
    assert op in str(caught.value)


def test_dtypes_of_symbols_are_what_they_were() -> None:
    _, (y,) = rows.infer("cast", [TensorType((N, 3), U)], {"dtype": F})
    assert y == TensorType((N, 3), F)


def test_nothing_may_be_joined_to_a_symbol() -> None:
    _, (y,) = rows.infer("concat", [TensorType((TWICE, 2)), TensorType((0, 2))], {"axis": 0})
    assert y == TensorType((TWICE, 2))
