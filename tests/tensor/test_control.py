"""fl.cond, fl.while_loop and fl.scan: compiled, derived and batched they mean what Python means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.graph import Graph, evaluate, parse, to_text, verify
from fanlight.passes import optimize
from fanlight.tensor.tape import flatten
from fanlight.tensor.trace import trace
from tests.web.server import serve

RNG = np.random.default_rng(0)
W = RNG.normal(0, 0.6, (3, 3)).astype(np.float32)
X = RNG.normal(0, 1, (5, 3)).astype(np.float32)
V = RNG.normal(0, 1, 3).astype(np.float32)


def same(found: Any, expected: Any, tol: float = 1e-5) -> None:
    a, b = flatten(found)[0], flatten(expected)[0]
    assert [x.type for x in a] == [y.type for y in b]
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=tol, atol=tol)


def compiled(fn: Callable[..., Any], *args: Any, tol: float = 1e-5) -> Any:
    """What fn gives, eagerly, which has to be what it gives compiled."""
    expected = fn(*map(fl.tensor, args))
    same(fl.jit(fn)(*args), expected, tol)
    return expected


def ops_of(fn: Callable[..., Any], **inputs: Any) -> list[str]:
    return [node.op for node in trace(fn, inputs).nodes]


# --- what they compute ----------------------------------------------------------------------------


def collatz(n: Any) -> Any:
    """How many steps it takes to come to 1."""

    def turn(state: dict[str, Any]) -> dict[str, Any]:
        n = state["n"]
        odd = fl.equal(fl.mod(n, 2), 1)
        # Another order of keys.
        return {"steps": state["steps"] + 1, "n": fl.where(odd, 3 * n + 1, fl.floor_div(n, 2))}

    return fl.while_loop(lambda s: s["n"] > 1, turn, {"n": n, "steps": 0})["steps"]


@pytest.mark.parametrize(("n", "steps"), [(1, 0), (27, 111), (97, 118)])
def test_a_loop_whose_length_depends_on_numbers(n: int, steps: int) -> None:
    assert collatz(fl.tensor(n)).item() == steps
    assert fl.jit(collatz)(n).item() == steps
    assert ops_of(collatz, n=fl.spec((), "int32")).count("while_loop") == 1


def test_only_the_branch_that_is_taken_counts() -> None:
    def f(x: Any) -> Any:
        return fl.cond(fl.sum(x) > 0, lambda a, k: (a * k, fl.sum(a)), lambda a, k: (-a, k), x, 3.0)

    for x in (V, -V):
        compiled(f, x)
    assert "cond" in ops_of(f, x=(3,))
    # Eagerly the other one is never called.
    assert fl.cond(True, lambda: fl.scalar(1.0), lambda: 1 / 0).item() == 1


def test_what_is_carried_may_change_places_and_stay() -> None:
    def swap(a: Any, b: Any, n: Any) -> Any:
        return fl.while_loop(
            lambda s: s[2] > 0, lambda s: (s[1], s[0], s[2] - 1, s[3]), (a, b, n, a)
        )

    for n in (0, 1, 2, 5):
        compiled(swap, V, V * 2, n)

    def rotate(a: Any, b: Any, xs: Any) -> Any:
        return fl.scan(lambda c, x: ((c[1], x, c[0]), (c[0], x, c[1] + 1.0)), (a, b, b), xs)

    compiled(rotate, V, V + 1, X)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_a_recurrent_network(reverse: bool) -> None:
    def rnn(w: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = fl.tanh(fl.matmul(fl.reshape(h, (1, 3)), w)[0] + x)
            return h, {"sum": fl.sum(h), "h": [h]}

        return fl.scan(step, fl.zeros(3), xs, reverse=reverse)

    last, results = compiled(rnn, W, X)
    h = np.zeros(3, np.float32)
    expected = np.zeros((5, 3), np.float32)
    for i in range(5)[:: -1 if reverse else 1]:
        h = np.tanh(h @ W + X[i])
        expected[i] = h
    np.testing.assert_allclose(results["h"][0].numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(last.numpy(), h, rtol=1e-5, atol=1e-6)
    assert ops_of(rnn, w=(3, 3), xs=(5, 3)).count("scan") == 1


def test_scan_without_slices_or_results_or_carry() -> None:
    compiled(lambda x: fl.scan(lambda c, _: (c * 1.5, None), x, length=4)[0], V)
    compiled(lambda x: fl.scan(lambda c, _: (c * 1.5, c), x, None, 4), V)
    assert compiled(lambda x: fl.scan(lambda c, v: (c, v * v), (), x), X)[0] == ()
    compiled(lambda x: fl.scan(lambda c, v: (c + v[0], v[1] > 0), 0.0, (x, x)), V)
    compiled(lambda z: fl.scan(lambda c, v: (c * v, c), z[0], z), (V + 1j * V).astype(np.complex64))


def test_other_dtypes_are_carried() -> None:
    picture = RNG.integers(0, 256, (5, 7)).astype(np.uint8)
    mask = RNG.normal(0, 1, (5, 7)) > 0

    def f(picture: Any, mask: Any) -> Any:
        def step(c: Any, v: Any) -> Any:
            total, seen, last, key = c
            row, here = v
            carry = (total + fl.cast(row, "int32"), seen | here, row, fl.random.fold_in(key, 1))
            return carry, (here, last, fl.random.uniform((2,), key=key))

        start = (fl.zeros(7, "int32"), mask[0], picture[0], fl.random.key(3))
        return fl.scan(step, start, (picture, mask), reverse=True)

    compiled(f, picture, mask)


def test_one_in_another() -> None:
    def f(x: Any, n: Any) -> Any:
        def outer(c: Any, v: Any) -> Any:
            def inner(s: Any) -> Any:
                k, y = s
                return k + 1, fl.cond(fl.sum(y) > 1, lambda y: y / (2.0 + v), lambda y: y + x[0], y)

            c = fl.while_loop(lambda s: s[0] < n, inner, (0, c))[1]
            return c, fl.sum(c * v)

        return fl.scan(outer, x[0], fl.abs(x))

    for n in (0, 1, 4):
        compiled(f, X, n)


def test_what_they_take_from_outside() -> None:
    table = fl.tensor(np.arange(40, dtype=np.float32))

    def f(n: Any, w: Any) -> Any:
        # Nothing that is given to the loop is traced; what it takes from outside is.
        total = fl.while_loop(lambda i: i < n, lambda i: i + 1, 0)
        picked = fl.scan(lambda c, i: (c + table[i] * w, w + table[i]), 1.0, fl.range(5))
        return total, picked

    compiled(f, 7, np.float32(2))
    # What depends on nothing of the function is computed while it is traced.
    assert (
        ops_of(lambda x: x + fl.scan(lambda c, i: (c + i, None), 0, fl.range(5))[0], x=(2,)).count(
            "scan"
        )
        == 0
    )


def test_many_kinds_of_kernels_inside() -> None:
    image = RNG.normal(0, 1, (1, 6, 6, 2)).astype(np.float32)
    kernel = RNG.normal(0, 0.3, (3, 3, 2, 2)).astype(np.float32)

    def f(x: Any, k: Any, n: Any) -> Any:
        def turn(s: Any) -> Any:
            i, y = s
            y = fl.conv2d(y, k, padding="same")
            y = fl.softmax(fl.relu(y) + fl.sort(y)) - fl.mean(y, axis=(1, 2), keepdims=True)
            return i + 1, fl.reshape(fl.transpose(fl.reshape(y, (6, 12)))[:, ::-1], (1, 6, 6, 2))

        return fl.while_loop(lambda s: s[0] < n, turn, (0, x))[1]

    compiled(f, image, kernel, 3, tol=1e-4)


# --- graphs ---------------------------------------------------------------------------------------


def graph_of_all() -> Graph:
    def f(x: Any, n: Any) -> Any:
        y = fl.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 0.5), (0, x))[1]
        c, ys = fl.scan(
            lambda c, v: (fl.cond(v > 0, lambda a: a + v, lambda a: a * y[0], c), v), 1.0, y
        )
        return {"c": c, "ys": ys, "y": y}

    return trace(f, {"x": fl.spec(4), "n": fl.spec((), "int32")})


def test_they_print_and_parse() -> None:
    graph = verify(graph_of_all())
    text = to_text(graph)
    assert "    body_fn: graph" in text and "        true_fn: graph" in text
    again = verify(parse(text))
    assert to_text(again) == text
    inputs = {"x": np.float32([1, -2, 3, 4]), "n": np.int32(2)}
    expected = evaluate(graph, inputs)
    for other in (again, optimize(graph, verify=True), parse(to_text(optimize(graph)))):
        found = evaluate(other, inputs)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("      return", "      # return", "E-GRAPH-004"),
        ("    true_fn: ", "    else_fn: ", "E-OP-002"),
        ('graph "true_fn"(%x: f32[])', 'graph "true_fn"(%x: i32[])', "E-GRAPH-003"),
        ("    false_fn: graph", "    false_fn: grph", "E-OP-002"),
    ],
)
def test_a_damaged_text_is_refused(old: str, new: str, code: str) -> None:
    graph = trace(
        lambda p, x: fl.cond(p, fl.neg, fl.sqrt, x), {"p": fl.spec((), "bool"), "x": fl.spec(())}
    )
    text = to_text(graph)
    assert old in text
    with pytest.raises(FanlightError, match=code):
        parse(text.replace(old, new, 1))
    with pytest.raises(FanlightError):
        parse(text[: text.index("false_fn")] + 'false_fn: graph "f"(%x: f32[]) {')


def test_equal_loops_merge_and_others_do_not() -> None:
    def f(x: Any) -> Any:
        halves = [fl.scan(lambda c, v: (c + v * 0.5, None), 0.0, x)[0] for _ in range(2)]
        third = fl.scan(lambda c, v: (c + v * 0.25, None), 0.0, x)[0]
        return fl.stack([*halves, third])

    graph = optimize(trace(f, {"x": fl.spec(4)}), verify=True)
    assert [node.op for node in graph.nodes].count("scan") == 2
    compiled(f, V)


def test_bodies_are_optimised_and_hold_no_large_constants() -> None:
    table = fl.tensor(np.arange(300, dtype=np.float32).reshape(100, 3))

    def f(x: Any) -> Any:
        def step(c: Any, v: Any) -> Any:
            c = fl.relu(c * 2.0 + v) * 0.25
            return c, fl.sum(c * (fl.exp(table / 100.0) + 1.0))

        return fl.scan(step, fl.zeros(3), x)

    graph = optimize(trace(f, {"x": fl.spec((5, 3))}), verify=True)
    (node,) = [n for n in graph.nodes if n.op == "scan"]
    body = node.attrs["fn"].graph
    assert [n.op for n in body.nodes] == ["fused", "fused_sum"]
    assert all(a.size == 1 for a in body.weights.values())
    assert sorted(a.size for a in graph.weights.values()) == [3, 300]
    assert optimize(graph, verify=True).nodes[-1].attrs == node.attrs
    compiled(f, X)


# --- gradients ------------------------------------------------------------------------------------


def unrolled(fn: Any, init: Any, xs: Any) -> Any:
    carry, results = init, []
    for x in xs:
        carry, y = fn(carry, x)
        results.append(y)
    return carry, fl.stack(results)


def recurrent(scan: Any, w: Any, xs: Any, h: Any) -> Any:
    scale = w[0, 0] * 2.0  # of outside, and made of what is derived after

    def step(state: Any, x: Any) -> Any:
        h, count = state
        h = fl.tanh(fl.matmul(fl.reshape(h, (1, 3)), w)[0] + x * scale)
        return (h, count + 1), fl.sum(h * fl.cast(count, "float32") + fl.stop_gradient(x) * h)

    (h, _), ys = scan(step, (h, fl.tensor(0)), xs)
    return fl.sum(fl.square(h)) + fl.sum(ys * ys)


def test_gradients_of_a_scan() -> None:
    for number in range(3):
        expected = fl.grad(lambda *a: recurrent(unrolled, *a), number)(W, X, V)
        for scan in (fl.scan, unrolled):
            slope = fl.grad(lambda *a, scan=scan: recurrent(scan, *a), number)
            same(fl.jit(slope)(W, X, V), expected, 1e-4)
    names = ops_of(lambda w: fl.grad(lambda w: recurrent(fl.scan, w, X, V))(w), w=(3, 3))
    assert names.count("scan") == 2  # there and back


def test_second_order_through_a_scan() -> None:
    u = RNG.normal(0, 1, (3, 3)).astype(np.float32)
    expected = fl.hvp(lambda w: recurrent(unrolled, w, X, V), W, u)
    same(
        fl.jit(lambda w, u: fl.hvp(lambda w: recurrent(fl.scan, w, X, V), w, u))(W, u),
        expected,
        1e-3,
    )
    moved = fl.jvp(lambda x: recurrent(unrolled, W, x, V), X, X)
    same(fl.jit(lambda x: fl.jvp(lambda x: recurrent(fl.scan, W, x, V), x, x))(X), moved, 1e-3)


def chosen(w: Any, x: Any) -> Any:
    def one(v: Any, k: Any) -> Any:
        return fl.sum(fl.tanh(fl.matmul(fl.reshape(v, (1, 3)), w)) ** 2), v * k

    def other(v: Any, k: Any) -> Any:
        return fl.sum(w) * fl.sum(v), fl.sin(v)

    a, b = fl.cond(fl.sum(x) > 0, one, other, x * 2.0, 3)
    return a * a + fl.sum(b * b * b)


@pytest.mark.parametrize("x", [V, -V])
def test_gradients_of_a_choice(x: Any) -> None:
    u = RNG.normal(0, 1, (3, 3)).astype(np.float32)
    for number in range(2):
        compiled(fl.grad(chosen, number), W, x, tol=1e-4)
    compiled(lambda w, x, u: fl.hvp(lambda w: chosen(w, x), w, u), W, x, u, tol=1e-3)
    # A branch that only hands on what is of outside.
    compiled(fl.grad(lambda w, x: fl.sum(fl.cond(x[0] > 0, lambda: w, lambda: -w * w))), W, x)


def test_gradients_through_all_of_them_and_checkpoints() -> None:
    def f(scan: Any, w: Any, x: Any) -> Any:
        def step(c: Any, v: Any) -> Any:
            pick = fl.checkpoint(
                lambda c: fl.cond(fl.sum(c) > 0, lambda: c @ w, lambda: c + v * w[0])
            )
            return fl.tanh(pick(c)), fl.sum(fl.sin(c) * fl.sum(w))

        block = fl.checkpoint(lambda x: scan(step, x[0], x))
        c, ys = block(x)
        return fl.sum(c * c) + fl.sum(ys)

    for number in range(2):
        expected = fl.grad(lambda w, x: f(unrolled, w, x), number)(W, X)
        same(fl.jit(fl.grad(lambda w, x: f(fl.scan, w, x), number))(W, X), expected, 1e-4)


def test_an_argument_that_is_taken_from_outside_too() -> None:
    same(fl.grad(lambda x: fl.sum(fl.checkpoint(lambda a: a * x)(x)))(V), 2 * V)
    same(fl.grad(lambda x: fl.sum(fl.checkpoint(lambda: x)()))(V), np.ones_like(V))
    f = lambda x: fl.scan(lambda c, v: (c * v * x[1] * x[0], None), x[0], x)[0]  # noqa: E731
    compiled(fl.grad(f), V)
    compiled(fl.grad(lambda x: fl.cond(x > 0, lambda a: a * x, lambda a: x, x)), 3.0)


def test_eager_tensors_and_variables_that_are_watched_while_something_is_traced() -> None:
    def f(x: Any) -> Any:
        # w is eager; x is traced.
        return fl.grad(lambda w: fl.sum(fl.scan(lambda c, v: (c * w + v, c), 1.0, x)[1]))(
            fl.scalar(0.5)
        )

    compiled(f, V)
    v = fl.variable([2.0, 3.0], name="v")

    def g(x: Any) -> Any:
        _, slopes = fl.variable_grads(
            lambda: fl.sum(fl.scan(lambda c, y: (c * y, c * v), 1.0, x)[1])
        )
        return slopes["v"]

    found = evaluate(trace(g, {"x": (3,)}), {"x": V})["output"]
    np.testing.assert_allclose(found, g(fl.tensor(V)).numpy(), rtol=1e-5)


def test_a_while_loop_has_no_gradient_and_says_what_has() -> None:
    def f(x: Any) -> Any:
        return fl.while_loop(lambda s: s < 10.0, lambda s: s * 2.0, x)

    assert fl.grad(f)(fl.scalar(1.0)).item() == 16  # eagerly it is a row of ops
    with pytest.raises(FanlightError, match="E-OP-008") as caught:
        fl.jit(fl.grad(f))(1.0)
    assert "fl.scan" in str(caught.value) and "test_control.py" in str(caught.value)
    # Where it is not in the way, it does not matter.
    assert fl.jit(fl.grad(lambda x: x * fl.stop_gradient(f(x))))(1.0).item() == 16


# --- many examples --------------------------------------------------------------------------------


def looped(fn: Callable[..., Any], *columns: Any) -> Any:
    results = [flatten(fn(*map(fl.tensor, row)))[0] for row in zip(*columns, strict=True)]
    return [fl.stack(parts) for parts in zip(*results, strict=True)]


def batched(fn: Callable[..., Any], *columns: Any, tol: float = 1e-5) -> None:
    expected = looped(fn, *columns)
    for many in (fl.vmap(fn), fl.jit(fl.vmap(fn))):
        same(flatten(many(*columns))[0], expected, tol)


B = RNG.normal(0, 1, (4, 3)).astype(np.float32)
BX = RNG.normal(0, 1, (4, 5, 3)).astype(np.float32)


def test_examples_choose_each_for_itself() -> None:
    batched(lambda x: fl.cond(x[0] > 0, lambda a: a * 2.0, lambda a: a - x[1], x), B)
    batched(fl.grad(lambda x: fl.sum(fl.cond(x[0] > 0, lambda a: a * x, fl.sin, x))), B)

    def shared(p: Any) -> Any:
        return fl.vmap(lambda x: fl.cond(p, lambda a: a * 2.0, lambda a: a - x, x))(B)

    compiled(shared, True)
    compiled(shared, False)


def test_examples_are_scanned_together() -> None:
    def f(xs: Any) -> Any:
        return fl.scan(
            lambda c, x: (fl.tanh(c * x + xs[0]), fl.sum(c)), fl.ones(3), xs, reverse=True
        )

    batched(f, BX)
    batched(lambda x: fl.scan(lambda c, v: (c * v + x, x), fl.ones(3), V)[1], B)
    batched(fl.grad(lambda xs: fl.sum(f(xs)[1])), BX, tol=1e-4)

    def total(w: Any) -> Any:
        each = lambda xs: recurrent(fl.scan, w, xs, V)  # noqa: E731
        return fl.sum(fl.vmap(each)(BX))

    def plain(w: Any) -> Any:
        return sum(recurrent(unrolled, w, xs, V) for xs in BX)

    same(fl.jit(fl.grad(total))(W), fl.grad(plain)(W), 1e-3)
    same(fl.grad(total)(W), fl.grad(plain)(W), 1e-3)
    names = ops_of(lambda x: fl.vmap(f)(x), x=(4, 5, 3))
    assert names.count("scan") == 1


def test_each_example_loops_as_often_as_it_wants() -> None:
    batched(collatz, np.int32([1, 27, 6, 97]))

    def shared(n: Any) -> Any:
        turn = lambda s: (s[0] + 1, s[1] * 2.0)  # noqa: E731
        return fl.vmap(lambda x: fl.while_loop(lambda s: s[0] < n, turn, (0, x))[1])(B)

    compiled(shared, 3)


def test_batches_of_batches() -> None:
    def f(x: Any, y: Any) -> Any:
        def step(c: Any, v: Any) -> Any:
            return fl.cond(v > y, lambda c: c + v, lambda c: c * y, c), c

        return fl.scan(step, 1.0, x)[1]

    both = fl.vmap(fl.vmap(f, (None, 0)), (0, None))
    expected = np.stack([[f(fl.tensor(x), fl.tensor(y)).numpy() for y in V] for x in B])
    np.testing.assert_allclose(both(B, V).numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(fl.jit(both)(B, V).numpy(), expected, rtol=1e-5)


# --- bad input ------------------------------------------------------------------------------------


BAD: dict[str, tuple[Callable[[Any], Any], str]] = {
    "pred has dims": (lambda x: fl.cond(x > 0, fl.neg, fl.neg, x), "fl.any"),
    "pred is a float": (lambda x: fl.cond(fl.sum(x), fl.neg, fl.neg, x), "bool[]"),
    "condition": (lambda x: fl.while_loop(lambda s: s, fl.neg, x), "fl.any"),
    "carried type": (
        lambda x: fl.while_loop(lambda s: s < fl.sum(x) + 99, lambda s: s + 0.5, 0),
        "i32[]",
    ),
    "carried shape": (lambda x: fl.scan(lambda c, v: (fl.stack([v, v]), v), x[0], x), "f32[2]"),
    "carried structure": (lambda x: fl.scan(lambda c, v: ((c, c), v), x[0], x), "tuple"),
    "one result": (lambda x: fl.scan(lambda c, v: c, x[0], x), "return carry"),
    "lengths": (lambda x: fl.scan(lambda c, v: (c, v), 0.0, (x, x[1:])), "f32[2]"),
    "another length": (lambda x: fl.scan(lambda c, v: (c, v), 0.0, x, length=4), "length=4"),
    "no turn": (lambda x: fl.scan(lambda c, v: (c, v), 0.0, x[:0]), "f32[0]"),
    "no length": (lambda x: fl.scan(lambda c, v: (c, v), x), "length=None"),
    "no dims": (lambda x: fl.scan(lambda c, v: (c, v), 0.0, x[0]), "f32[]"),
    "nothing carried": (lambda x: fl.while_loop(lambda s: True, lambda s: s, ()), "()"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("traced", [False, True])
def test_bad_input_is_refused_with_the_line(name: str, traced: bool) -> None:
    fn, word = BAD[name]
    with pytest.raises(FanlightError, match="E-TENSOR-030") as caught:
        (fl.jit(fn) if traced else fn)(fl.tensor(V))
    assert word in str(caught.value), str(caught.value)
    assert "test_control.py" in str(caught.value.where)


@pytest.mark.parametrize(
    ("other", "word"),
    [(lambda x: x > 0, "bool[3]"), (lambda x: (x, x), "tuple"), (lambda x: x[:2], "f32[2]")],
)
def test_branches_that_differ_are_refused(other: Any, word: str) -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-030") as caught:
        fl.jit(lambda x: fl.cond(x[0] > 0, fl.neg, other, x))(V)
    assert word in str(caught.value) and "test_control.py" in str(caught.value.where)


def test_tensors_of_inside_stay_inside() -> None:
    kept: list[Any] = []

    def leak(x: Any) -> Any:
        fl.scan(lambda c, v: (c, kept.append(c + v)), x[0], x)
        return kept[0] + 1.0

    with pytest.raises(FanlightError, match="E-TENSOR-004"):
        fl.jit(leak)(V)
    with pytest.raises(FanlightError, match="E-TENSOR-003"):
        fl.jit(lambda x: fl.scan(lambda c, v: (c + float(v), None), 0.0, x))(V)


# --- built ----------------------------------------------------------------------------------------


def root(x: Any) -> Any:
    """Newton's square root; how many steps it takes depends on x."""

    def turn(state: Any) -> Any:
        steps, y = state
        return steps + 1, (y + x / y) * 0.5

    steps, y = fl.while_loop(lambda s: fl.abs(s[1] * s[1] - x) > 1e-4 * x, turn, (0, x))
    return {"root": y, "steps": steps}


def test_a_built_loop_runs(tmp_path: Path) -> None:
    with fl.build(root, tmp_path / "out", inputs={"x": fl.spec(())}) as bundle:
        steps = []
        for x in (1.0, 2.0, 1e6):
            found = bundle.run({"x": np.float32(x)})
            expected = root(fl.scalar(x))
            assert found["root"] == pytest.approx(expected["root"].item(), rel=1e-5)
            assert int(found["steps"]) == expected["steps"].item()
            steps.append(int(found["steps"]))
    assert steps[0] == 0 and steps[1] < steps[2]


@pytest.mark.chromium
def test_a_loop_in_a_page_turns_as_often_as_the_input_says(page: Any, tmp_path: Path) -> None:
    fl.build(root, tmp_path / "site", inputs={"x": fl.spec(())})
    with serve(tmp_path) as site:
        site.pages["site/bare.html"] = "<!doctype html><title>bare</title>"
        page.goto(site.url + "site/bare.html")
        found = page.evaluate("""async () => {
          const { load } = await import('./fanlight.js');
          const f = await load('./');
          const rows = [];
          for (const x of [1, 2, 1e6]) {
            const { root, steps } = await f.run({ x: Float32Array.of(x) });
            rows.push([root.data[0], steps.data[0]]);
          }
          return rows;
        }""")
    for x, (y, steps) in zip((1.0, 2.0, 1e6), found, strict=True):
        expected = root(fl.scalar(x))
        assert y == pytest.approx(expected["root"].item(), rel=1e-5)
        assert steps == expected["steps"].item()
    assert len({steps for _, steps in found}) == 3
