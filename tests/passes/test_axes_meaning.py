"""Regions computed in another order of dims mean the same: random graphs full of transposes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.graph import Builder, Graph, Value, evaluate, to_text, verify
from fanlight.passes import fold, optimize
from fanlight.passes.channels_first import ChannelsFirst
from fanlight.passes.core import Context
from fanlight.passes.min_cut import Network
from fanlight.passes.sink_transposes import SinkTransposes
from tests.passes.support import assert_same_meaning, random_inputs

SEEDS = st.integers(0, 2**32 - 1)
LIMIT = 3000  # elements of a value


class Blocks:
    """A graph of [N, C, H, W] blocks between ops on [N, H, W, C], of int32 or float32.

    int32 wraps, so that sums are the same in any order, and results must be equal bit for bit.
    """

    def __init__(self, seed: int, dtype: str, steps: int = 14) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.b = Builder(f"blocks_{seed}")
        n, c = int(self.rng.integers(1, 3)), int(self.rng.choice([1, 2, 4, 6, 8, 12]))
        size = (n, *self.rng.choice([1, 2, 3, 4], 2).tolist(), c)
        x = self.b.input("x", size, dtype)
        self.values: list[Value] = [x, self.b.add("transpose", x, perm=(0, 3, 1, 2))]
        kinds = [getattr(self, k) for k in dir(type(self)) if k.startswith("do_")]
        for _ in range(steps):
            made = kinds[self.rng.integers(len(kinds))](self.pick())
            if made is not None and 0 < made.type.size <= LIMIT:
                self.values.append(made)
        ends = {"y": self.values[-1]}
        if self.values[-1].type.rank == 4:
            ends["y"] = self.b.add("transpose", ends["y"], perm=(0, 2, 3, 1))
        if self.rng.random() < 0.5:
            ends["z"] = self.pick()
        self.graph: Graph = self.b.finish(ends)

    def pick(self) -> Value:
        late = self.rng.random() < 0.6
        return self.values[-1 if late else self.rng.integers(len(self.values))]

    def flip(self) -> bool:
        return bool(self.rng.integers(2))

    def axes(self, x: Value) -> tuple[int, ...]:
        rank = x.type.rank
        return tuple(sorted(self.rng.permutation(rank)[: self.rng.integers(1, rank + 1)].tolist()))

    def constant(self, shape: tuple[int, ...]) -> Value:
        array = self.rng.integers(-3, 4, shape)
        return self.b.weight(np.asarray(array, self.dtype))

    def do_turn(self, x: Value) -> Value:
        if x.type.rank == 4 and self.rng.random() < 0.7:
            perm = ((0, 2, 3, 1), (0, 3, 1, 2))[self.rng.integers(2)]
        else:
            perm = tuple(self.rng.permutation(x.type.rank).tolist())
        return self.b.add("transpose", x, perm=perm)

    do_turn_again = do_turn

    def do_image(self, x: Value) -> Value | None:
        """An op that wants [N, H, W, C], in transposes as of an importer."""
        if x.type.rank != 4 or self.dtype != "float32":
            return None
        inside = self.b.add("transpose", x, perm=(0, 2, 3, 1))
        if self.flip():
            made = self.b.add("resize_nearest", inside, size=(2, 3))
        else:
            kernel = self.constant((1, 1, inside.shape[-1], int(self.rng.integers(1, 5))))
            made = self.b.add("conv2d", inside, kernel)
            if self.flip():
                made = self.b.add("add", made, self.constant((kernel.shape[-1],)))
        return self.b.add("transpose", made, perm=(0, 3, 1, 2))

    do_image_again = do_image

    def do_elementwise(self, x: Value) -> Value:
        return self.b.add(("neg", "abs", "square", "relu")[self.rng.integers(4)], x)

    def do_constant(self, x: Value) -> Value:
        keep = [self.flip() for _ in x.shape]
        shape = tuple(n if k else 1 for n, k in zip(x.shape, keep, strict=True))
        shape = shape[self.rng.integers(0, len(shape) + 1) :]
        op = ("add", "mul", "maximum", "sub")[self.rng.integers(4)]
        pair = (x, self.constant(shape)) if self.flip() else (self.constant(shape), x)
        return self.b.add(op, *pair)

    def do_both(self, x: Value) -> Value | None:
        def fits(v: Value) -> bool:
            tail = x.shape[len(x.shape) - len(v.shape) :]
            return len(v.shape) <= len(x.shape) and all(
                a in (1, b) for a, b in zip(v.shape, tail, strict=True)
            )

        others = [v for v in self.values if v.dtype == x.dtype and fits(v)]
        other = others[self.rng.integers(len(others))]
        if self.rng.random() < 0.2:
            return self.b.add("select", self.b.add("less", x, other), x, other)
        return self.b.add(("add", "sub", "maximum")[self.rng.integers(3)], x, other)

    do_both_again = do_both

    def do_widen(self, x: Value) -> Value | None:
        """Two values that broadcast in both ways: [n, h, 1] and [n, 1, w]."""

        def fits(v: Value) -> bool:
            pairs = zip(v.shape[::-1], x.shape[::-1], strict=False)
            return all(a == b or 1 in (a, b) for a, b in pairs)

        others = [v for v in self.values if v.dtype == x.dtype and fits(v)]
        other = others[self.rng.integers(len(others))]
        return self.b.add(("add", "sub", "maximum")[self.rng.integers(3)], x, other)

    do_widen_again = do_widen

    def do_unsqueeze(self, x: Value) -> Value | None:
        if x.type.rank > 5:
            return None
        at = int(self.rng.integers(x.type.rank + 1))
        return self.b.add("reshape", x, shape=(*x.shape[:at], 1, *x.shape[at:]))

    do_unsqueeze_again = do_unsqueeze

    def do_squeeze(self, x: Value) -> Value:
        return self.b.add("reshape", x, shape=tuple(n for n in x.shape if n != 1))

    def do_statistics(self, x: Value) -> Value | None:
        """x less what is reduced of it."""
        if not x.shape:
            return None
        op = ("sum", "max", "min")[self.rng.integers(3)]
        return self.b.add("sub", x, self.b.add(op, x, axes=self.axes(x), keepdims=True))

    def do_reduce(self, x: Value) -> Value | None:
        if x.type.rank < 2:
            return None
        op = ("sum", "max", "min", "prod", "mean")[self.rng.integers(4 + (self.dtype != "int32"))]
        return self.b.add(op, x, axes=self.axes(x)[:2], keepdims=self.flip())

    def do_norm(self, x: Value) -> Value | None:
        """A group norm as importers spell it: [N, G, C/G * H * W]."""
        if x.type.rank != 4:
            return None
        n, c = x.shape[:2]
        groups = int(self.rng.choice([g for g in range(1, c + 1) if c % g == 0]))
        flat = self.b.add("reshape", x, shape=(n, groups, -1))
        low = self.b.add("min", flat, axes=(2,), keepdims=True)
        flat = self.b.add("maximum", self.b.add("sub", flat, low), self.b.add("neg", low))
        return self.b.add("reshape", flat, shape=x.shape)

    do_norm_again = do_norm

    def do_merge(self, x: Value) -> Value | None:
        if x.type.rank < 3:
            return None
        at = int(self.rng.integers(0, x.type.rank - 1))
        return self.b.add("reshape", x, shape=(*x.shape[:at], -1, *x.shape[at + 2 :]))

    def do_split(self, x: Value) -> Value | None:
        if not 0 < x.type.rank < 5:
            return None
        at = int(self.rng.integers(0, x.type.rank))
        first = int(self.rng.choice([g for g in range(1, x.shape[at] + 1) if x.shape[at] % g == 0]))
        return self.b.add(
            "reshape", x, shape=(*x.shape[:at], first, x.shape[at] // first, *x.shape[at + 1 :])
        )

    def do_shuffle(self, x: Value) -> Value | None:
        if x.type.rank != 4 or x.shape[1] % 2:
            return None
        n, c, *rest = x.shape
        wide = self.b.add("reshape", x, shape=(n, 2, c // 2, *rest))
        return self.b.add("reshape", self.b.add("transpose", wide, perm=(0, 2, 1, 3, 4)),
                          shape=x.shape)  # fmt: skip

    def do_back(self, x: Value) -> Value | None:
        """Any reshape to four dims that there are already."""
        others = [v for v in self.values if v.type.size == x.type.size and v.type.rank == 4]
        if not others:
            return None
        return self.b.add("reshape", x, shape=others[self.rng.integers(len(others))].shape)

    def do_concat(self, x: Value) -> Value | None:
        if x.type.rank == 0:
            return None
        axis = int(self.rng.integers(x.type.rank))

        def alike(v: Value) -> bool:
            return (
                v.type.rank == x.type.rank
                and v.dtype == x.dtype
                and all(
                    a == b or d == axis
                    for d, (a, b) in enumerate(zip(v.shape, x.shape, strict=True))
                )
            )

        others = [v for v in self.values if alike(v)]
        parts = [x, others[self.rng.integers(len(others))]]
        if self.flip():
            parts.append(self.constant(x.shape))
        return self.b.add("concat", *parts, axis=axis)

    def pairs(self, x: Value, most: int) -> tuple:
        return tuple(
            (0, 0) if self.flip() else (int(min(most, n - 1) if most else 0), 1 if n > 1 else 0)
            for n in x.shape
        )

    def do_pad(self, x: Value) -> Value:
        paddings = tuple((0, 0) if self.flip() else (int(self.rng.integers(2)), 1) for _ in x.shape)
        return self.b.add("pad", x, paddings=paddings, value=1)

    def do_mirror(self, x: Value) -> Value:
        return self.b.add("mirror_pad", x, paddings=self.pairs(x, 2), mode="reflect")

    def do_slice(self, x: Value) -> Value:
        begin = [0 if self.flip() else int(self.rng.integers(0, n)) for n in x.shape]
        size = [n - b if self.flip() else int(self.rng.integers(1, n - b + 1))
                for n, b in zip(x.shape, begin, strict=True)]  # fmt: skip
        return self.b.add("slice", x, begin=tuple(begin), size=tuple(size))

    def do_strides(self, x: Value) -> Value:
        strides = [(1, 1, 2, -1)[self.rng.integers(4)] for _ in x.shape]
        begin = [0 if s > 0 else n - 1 for n, s in zip(x.shape, strides, strict=True)]
        end = [n if s > 0 else -1 for n, s in zip(x.shape, strides, strict=True)]
        return self.b.add(
            "strided_slice", x, begin=tuple(begin), end=tuple(end), strides=tuple(strides)
        )

    def do_reverse(self, x: Value) -> Value | None:
        return self.b.add("reverse", x, axes=self.axes(x)) if x.shape else None

    def do_tile(self, x: Value) -> Value:
        return self.b.add(
            "tile", x, multiples=tuple(1 + int(self.rng.random() < 0.2) for _ in x.shape)
        )

    def do_broadcast(self, x: Value) -> Value:
        shape = tuple(int(self.rng.integers(1, 4)) if n == 1 else n for n in x.shape)
        return self.b.add(
            "broadcast_to", x, shape=(*((2,) if self.rng.random() < 0.2 else ()), *shape)
        )

    def do_along(self, x: Value) -> Value | None:
        if not x.shape:
            return None
        axis = int(self.rng.integers(-x.type.rank, x.type.rank))
        ops = (
            ("cumsum", "cummax") if self.dtype == "int32" else ("softmax", "cumsum", "log_softmax")
        )
        return self.b.add(ops[self.rng.integers(len(ops))], x, axis=axis)

    def do_gather(self, x: Value) -> Value | None:
        if not x.shape:
            return None
        axis = int(self.rng.integers(x.type.rank))
        indices = self.b.weight(
            np.int32(self.rng.integers(0, x.shape[axis], int(self.rng.integers(1, 4))))
        )
        return self.b.add("gather", x, indices, axis=axis)

    def do_extreme(self, x: Value) -> Value | None:
        if x.type.rank < 2:
            return None
        found = self.b.add("arg_max", x, axis=int(self.rng.integers(x.type.rank)))
        return self.b.add("cast", found, dtype=self.dtype)

    def do_scale_channels(self, x: Value) -> Value | None:
        if self.dtype != "float32" or not x.shape or x.type.rank < 2:
            return None
        c = x.shape[-1]
        numbers = [self.constant((c,)) for _ in range(4)]
        numbers[1] = self.b.weight(np.float32(self.rng.uniform(0.5, 2, c)))
        return self.b.add("batch_norm", x, *numbers, epsilon=1e-3)


def assert_equal(before: Graph, after: Graph) -> None:
    assert after.inputs == before.inputs
    assert [(n, v.type) for n, v in after.outputs] == [(n, v.type) for n, v in before.outputs]
    inputs = random_inputs(before)
    for (name, a), b in zip(evaluate(before, inputs).items(), evaluate(after, inputs).values()):
        assert np.array_equal(a, b), f"{name}\n{to_text(before)}\n{to_text(after)}"


def transposed(graph: Graph) -> int:
    return sum(n.output.type.size for n in graph.nodes if n.op == "transpose")


@given(seed=SEEDS)
@settings(max_examples=120, deadline=None)
def test_integers_are_equal_bit_for_bit(seed: int) -> None:
    before = Blocks(seed, "int32").graph
    after = verify(SinkTransposes().run(before, Context()))
    assert_equal(before, after)


@given(seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_floats_are_equal_but_for_the_order_of_sums(seed: int) -> None:
    before = Blocks(seed, "float32").graph
    with np.errstate(all="ignore"):
        for after in (SinkTransposes().run(before, Context()), fold(before), optimize(before)):
            assert_same(before, verify(after))


@given(seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_channels_first_means_the_same(seed: int) -> None:
    with np.errstate(all="ignore"):
        before = Blocks(seed, "float32").graph
        assert_same(before, verify(fold(before, channels_first=True)))
        whole = Blocks(seed, "int32").graph
        assert_equal(whole, verify(ChannelsFirst().run(whole, Context())))


def assert_same(before: Graph, after: Graph) -> None:
    values = evaluate(before, random_inputs(before))
    if all(np.isfinite(v).all() and np.abs(v).max() < 1e6 for v in values.values()):
        assert_same_meaning(before, after, tolerance=2e-4)


def test_random_graphs_lose_transposes() -> None:
    """The graphs of these tests are of a kind for which there is something to do."""
    graphs = [Blocks(seed, "int32").graph for seed in range(60)]
    after = [SinkTransposes().run(g, Context()) for g in graphs]
    assert sum(a is not g for a, g in zip(after, graphs, strict=True)) >= 20
    assert sum(map(transposed, after)) < 0.7 * sum(map(transposed, graphs))


@pytest.mark.parametrize("seed", range(30))
def test_a_cut_costs_the_least(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 7
    edges = [
        (int(a), int(b), int(rng.integers(1, 9)))
        for a in range(count) for b in range(count) if a != b and rng.random() < 0.4
    ]  # fmt: skip
    network = Network()
    for _ in range(count - 2):
        network.node()
    for edge in edges:
        network.edge(*edge)

    def price(side: list[bool]) -> int:
        return sum(c for a, b, c in edges if side[a] and not side[b])

    found = network.cut()
    assert found is not None
    sides = [[True, False, *(bool(k >> i & 1) for i in range(count - 2))] for k in range(32)]
    least = min(map(price, sides))
    assert found[0] == least == price(found[1])
    assert sum(found[1]) == max(sum(s) for s in sides if price(s) == least)


def test_statistics_of_rows_and_of_columns_of_a_square() -> None:
    """Both lie as [n, 3, c] without their dims of 1, and are added as a square."""
    b = Builder("strips")
    x = b.input("x", (2, 3, 3, 4), "float32")
    turned = b.add("transpose", x, perm=(0, 3, 1, 2))
    rows = b.add("reshape", b.add("sum", turned, axes=(3,)), shape=(2, 4, 3, 1))
    columns = b.add("reshape", b.add("sum", turned, axes=(2,)), shape=(2, 4, 1, 3))
    made = b.add("transpose", b.add("add", rows, columns), perm=(0, 2, 3, 1))
    graph = b.finish({"y": made})
    after = SinkTransposes().run(graph, Context())
    verify(after)
    assert "transpose" not in to_text(after)
    assert_same_meaning(graph, after)
