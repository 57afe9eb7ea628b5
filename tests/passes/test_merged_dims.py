"""Random functions in which the batch is merged with dims behind it and split again: eagerly,
traced for a free size, bound with poison behind the actual size, and in WebAssembly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import fanlight as fl
from fanlight.codegen.leading import leading_symbols
from fanlight.errors import FanlightError
from fanlight.graph import evaluate, parse, to_text
from fanlight.graph.verify import verify
from fanlight.ops import TABLE
from fanlight.passes import optimize
from fanlight.passes.bind_symbols import BindSymbols
from fanlight.passes.core import Context
from fanlight.tensor.trace import trace

MOST = 5
# A size of a shape: a number, or so many times n.
Size = int | tuple[str, int]
Step = Callable[[Any, int], Any]
MOST_ELEMENTS = 400


def known(shape: Sequence[Size], n: int) -> tuple[int, ...]:
    return tuple(d if isinstance(d, int) else d[1] * n for d in shape)


def free(shape: Sequence[Size]) -> list[int]:
    return [axis for axis, d in enumerate(shape) if not isinstance(d, int)]


def merge(draw: Any, shape: list[Size]) -> tuple[str, list[Size], Step]:
    """Some dims become one; of those that are no numbers the first."""
    first = draw(st.integers(0, len(shape) - 1))
    last = first + 1
    while last < len(shape) and isinstance(shape[last], int) and draw(st.booleans()):
        last += 1
    count = prod(d for d in shape[first:last] if isinstance(d, int))
    head = shape[first]
    one: Size = count if isinstance(head, int) else ("n", head[1] * count)
    made = [*shape[:first], one, *shape[last:]]
    if draw(st.booleans()) and len(free(made)) <= 1:  # -1 stands for what is left
        spelled = [*shape[:first], -1, *shape[last:]]
        if all(isinstance(d, int) for d in spelled):
            return f"merged to {made}", made, lambda x, n: fl.reshape(x, spelled)
    return f"merged to {made}", made, lambda x, n: fl.reshape(x, known(made, n))


def split(draw: Any, shape: list[Size]) -> tuple[str, list[Size], Step]:
    """A dim becomes two."""
    axis = draw(st.integers(0, len(shape) - 1))
    d = shape[axis]
    count = d if isinstance(d, int) else d[1]
    part = draw(st.sampled_from([k for k in range(1, count + 1) if count % k == 0]))
    head: Size = count // part if isinstance(d, int) else ("n", count // part)
    made = [*shape[:axis], head, part, *shape[axis + 1 :]]
    return f"split to {made}", made, lambda x, n: fl.reshape(x, known(made, n))


def turn(draw: Any, shape: list[Size]) -> tuple[str, list[Size], Step]:
    perm = draw(st.permutations(range(len(shape))))
    return f"transposed {perm}", [shape[k] for k in perm], lambda x, n: fl.transpose(x, perm)


REDUCED = {"sum": fl.sum, "mean": fl.mean, "max": fl.max, "min": fl.min}


def reduce(draw: Any, shape: list[Size]) -> tuple[str, list[Size], Step]:
    axis = draw(st.integers(0, len(shape) - 1))
    name, back = draw(st.sampled_from(sorted(REDUCED))), draw(st.booleans())
    if back:  # and spread again
        return f"less its {name} {axis}", shape, lambda x, n: x - REDUCED[name](x, axis, True) * 0.5
    made = [*shape[:axis], 1, *shape[axis + 1 :]]
    return f"{name} {axis}", made, lambda x, n: REDUCED[name](x, axis, True)


def along(draw: Any, shape: list[Size]) -> tuple[str, list[Size], Step]:
    axis = draw(st.integers(0, len(shape) - 1))
    ways: dict[str, Step] = {
        "cumsum": lambda x, n: fl.tanh(fl.cumsum(x, axis)),
        "cumsum from behind": lambda x, n: fl.tanh(fl.cumsum(x, axis, reverse=True)),
        "softmax": lambda x, n: fl.softmax(x, axis),
        "reversed": lambda x, n: fl.reverse(x, axis),
        "sorted": lambda x, n: fl.sort(x),
        "square": lambda x, n: x * x + 0.1 * x,
        "tanh": lambda x, n: fl.tanh(x * 3.0),
    }
    if len(free(shape)) > 1:  # its gradient counts all rows, which is no size of two free ones
        del ways["sorted"]
    name = draw(st.sampled_from(sorted(ways)))
    return f"{name} {axis}", shape, ways[name]


def last(draw: Any, shape: list[Size]) -> tuple[str, list[Size], Step]:
    """The last along a dim, counted from the end."""
    axis = draw(st.integers(0, len(shape) - 1))
    at = (slice(None),) * axis + (slice(-1, None),)
    return f"last {axis}", [*shape[:axis], 1, *shape[axis + 1 :]], lambda x, n: x[at]


def double(draw: Any, shape: list[Size]) -> tuple[str, list[Size], Step]:
    """Joined with itself along a known dim."""
    axes = [axis for axis, d in enumerate(shape) if isinstance(d, int)]
    if not axes:
        return along(draw, shape)
    axis = draw(st.sampled_from(axes))
    made = [*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]]  # type: ignore[operator]
    return f"doubled {axis}", made, lambda x, n: fl.concat([x, x * 0.5], axis)


def products(draw: Any, shape: list[Size]) -> tuple[str, list[Size], Step]:
    """With itself transposed."""
    if len(shape) < 2:
        return along(draw, shape)
    made = [*shape[:-1], shape[-2]]
    turned = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    return "product", made, lambda x, n: fl.tanh(fl.matmul(x, fl.transpose(x, turned)))


def scanned(draw: Any, shape: list[Size]) -> tuple[str, list[Size], Step]:
    """A loop along the first dim."""
    if len(shape) < 2 or free(shape[1:]):
        return along(draw, shape)
    start = known(shape[1:], 1)
    back = draw(st.booleans())

    def step(x: Any, n: int) -> Any:
        def turn(c: Any, row: Any) -> Any:
            c = fl.tanh(0.5 * c + row)
            return c, c

        return fl.scan(turn, fl.zeros(start), x, reverse=back)[1]

    return "scanned", shape, step


def taken(draw: Any, shape: list[Size]) -> tuple[str, list[Size], Step]:
    """Rows by a permutation that follows the size, as pixels of a batch are sampled."""
    length = shape[0]
    if isinstance(length, int):
        return along(draw, shape)
    times = length[1]

    def step(x: Any, n: int) -> Any:
        places = np.arange(times * n, dtype=np.int32).reshape(n, times)[:, ::-1].reshape(-1)
        return fl.gather(x, fl.tensor(np.ascontiguousarray(places)), axis=0)

    return "taken", shape, step


STEPS = (merge, merge, split, turn, reduce, along, last, double, products, scanned, taken)


@st.composite
def programs(draw: Any) -> tuple[list[str], list[int], list[Size], list[Step]]:
    """What it does, the shape behind the batch that it takes, the one that it gives, and steps."""
    behind = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    shape: list[Size] = [("n", 1), *behind]
    told, steps = [f"[n, {behind}]"], []
    for kind in (merge, *draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=6))):
        said, made, step = kind(draw, shape)
        if len(made) > 5 or prod(known(made, MOST)) > MOST_ELEMENTS or len(free(made)) > 2:
            continue
        told, shape, steps = [*told, said], made, [*steps, step]
    return told, behind, shape, steps


def function(program: Any, whole: bool) -> Callable[[Any], Any]:
    """The program, and the gradient of its squares.

    Args:
        whole: whether merged dims go out as they are.
    """
    _, _, shape, steps = program
    parted = [p for d in shape for p in ((d,) if isinstance(d, int) else (("n", 1), d[1]))]

    def forward(x: Any) -> Any:
        n = x.shape[0]
        for step in steps:
            x = step(x, n)
        return x if whole else fl.reshape(x, known(parted, n))

    def both(x: Any) -> Any:
        return {"y": forward(x), "slope": fl.grad(lambda x: fl.sum(fl.square(forward(x))))(x)}

    return both


def close(made: Mapping[str, np.ndarray], wanted: Mapping[str, Any], told: Sequence[str]) -> None:
    for name, value in wanted.items():
        reference = value.numpy()
        assert made[name].shape == reference.shape, (told, name)
        scale = max(1.0, float(np.abs(reference).max(initial=0.0)))
        worst = float(np.abs(made[name] - reference).max(initial=0.0))
        assert worst <= 1e-4 * scale, (told, name, worst)


def examples(behind: Sequence[int], n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    # Far apart, so that rounding does not sort them otherwise.
    count = n * prod(behind)
    x = rng.permutation(count).reshape(n, *behind) / count * 2 - 1
    return x.astype(np.float32)


def poisoned(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    (made,) = PLAIN.eval(arrays, attrs)
    junk = np.array([np.nan, np.inf, -np.inf, 1e30], np.float32)
    behind = made.reshape(-1)[arrays[0].size :]
    behind[:] = np.resize(junk, behind.size)
    return [made]


PLAIN = TABLE["to_bound"]
# A build takes a while: what fails is told as it is, not made small.
SLOW = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}
SLOW["phases"] = (Phase.explicit, Phase.generate)


@settings(max_examples=60, **SLOW)
@given(programs())
def test_bound_with_poison(program: Any) -> None:
    told, behind, _, _ = program
    fn = function(program, whole=True)
    graph = trace(fn, {"x": fl.spec(("n", *behind))}, "f", dims={"n": MOST})
    verify(graph)
    assert to_text(parse(to_text(graph), {v.name: a for v, a in graph.weights.items()}))
    bound = BindSymbols().run(graph, Context())
    legal = optimize(graph, verify=True)
    for n in (MOST, 1, 3):
        x = examples(behind, n)
        wanted = fn(fl.tensor(x))
        close(evaluate(graph, {"x": x}), wanted, told)
        TABLE["to_bound"] = replace(PLAIN, eval=poisoned)
        try:
            with np.errstate(all="ignore"):
                close(evaluate(bound, {"x": x}), wanted, told)
                close(evaluate(legal, {"x": x}), wanted, told)
        finally:
            TABLE["to_bound"] = PLAIN


@settings(max_examples=12, **SLOW)
@given(programs())
def test_in_webassembly(tmp_path_factory: pytest.TempPathFactory, program: Any) -> None:
    """In memory that larger batches have left full of other numbers."""
    told, behind, _, _ = program
    fn = function(program, whole=False)
    out: Path = tmp_path_factory.mktemp("merged") / "out"
    with fl.build(fn, out, inputs={"x": fl.spec(("n", *behind))}, dims={"n": MOST}) as bundle:
        for n in (MOST, 1, 3, 2):
            x = examples(behind, n)
            close(bundle.run({"x": x * 7 + 3}), fn(fl.tensor(x * 7 + 3)), told)
            close(bundle.run({"x": x}), fn(fl.tensor(x)), told)


def test_a_page_gets_no_merged_dim(tmp_path: Path) -> None:
    """What goes out has to be [n, 3, ...]; the error says so."""
    with pytest.raises(FanlightError, match="E-OP-007") as caught:
        fl.build(
            lambda x: fl.reshape(x, (-1, 2)) * 2.0,
            tmp_path / "out",
            inputs={"x": fl.spec(("n", 3, 2))},
            dims={"n": 4},
        )
    assert "[n, 3, ...]" in str(caught.value) and "output" in str(caught.value)
    with pytest.raises(FanlightError, match="E-TENSOR-006"):
        fl.spec((fl.Dim("n", 8, 2, 2), 3))


def test_kernels_stop_where_a_merged_dim_does() -> None:
    """Products of all steps of the batch, and what is split from them again."""

    def fn(x: Any) -> Any:
        rows = fl.tanh(fl.matmul(fl.reshape(x, (-1, 4)), fl.tensor(np.eye(4, dtype=np.float32))))
        return fl.relu(fl.reshape(rows, (-1, 3, 4)) * 2.0)

    graph = trace(fn, {"x": fl.spec(("n", 3, 4))}, "f", dims={"n": 5})
    assert "f32[3*n<=15, 4]" in to_text(graph)
    legal = optimize(graph, verify=True)
    first = {v.shape[0]: d for v, d in leading_symbols(legal).items()}
    assert {str(d) for d in first.values()} == {"n<=5", "3*n<=15"}
    assert all(d.max == size for size, d in first.items())
    products = [n for n in legal.nodes if n.op in ("matmul", "fused")]
    assert products and all(n.output in leading_symbols(legal) for n in products)


MERGED_TEXT = """graph "g"(%x: f32[n<=5, 3, 2]) {
  %y: f32[3*n<=15, 2] = reshape(%x) {shape=[{"n": [3, 15, 3]}, 2]}
  return "y"=%y
}
"""


def test_merged_dims_print_and_parse() -> None:
    graph = parse(MERGED_TEXT)
    assert to_text(graph) == MERGED_TEXT
    assert graph.nodes[0].output.shape[0] == fl.Dim("n", 15, 3, 3)
    least = parse(
        MERGED_TEXT.replace("n<=5", "2<=n<=5").replace("3*n", "6<=3*n").replace("[3,", "[6,")
    )
    assert str(least.nodes[0].output.type) == "f32[6<=3*n<=15, 2]"
    for wrong in ("3*n<=14", "0*n<=15", "4<=3*n<=15", "*n<=15", "3*<=15"):
        with pytest.raises(FanlightError, match="E-GRAPH-00"):
            parse(MERGED_TEXT.replace("3*n<=15", wrong))
    for wrong in ("[3, 14, 3]", "[3, 15, 0]", "[3, 15, 3, 1]", '[3, 15, "a"]'):
        with pytest.raises(FanlightError, match="E-GRAPH-004"):
            parse(MERGED_TEXT.replace("[3, 15, 3]", wrong))


def test_inputs_of_a_graph_may_be_merged() -> None:
    graph = parse("graph g(%x: f32[3*n<=15]) {\n  %y = sum(%x) {axes=[0]}\n  return y=%y\n}")
    assert evaluate(graph, {"x": np.ones(6, np.float32)})["y"] == 6
    for size in (7, 18, 0):
        with pytest.raises(FanlightError, match="E-INPUT-004"):
            evaluate(graph, {"x": np.ones(size, np.float32)})
