"""Bools and comparisons of bytes, sixteen at a time: reductions, logic, broadcasting."""

from __future__ import annotations

import numpy as np
import pytest

from tests.codegen.kernel_runner import TARGETS, run_op

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("op", ["any", "all"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((16,), (0,)),
        ((5, 131), (1,)),
        ((5, 131), (0,)),
        ((3, 4, 80), (0, 1)),
        ((3, 70, 33), (1,)),
        ((3, 4, 33), (0, 2)),
        ((4, 3, 17), (0, 1, 2)),
        ((9, 15), (0,)),
    ],
)
def test_reductions(op: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    for share in (0.02, 0.5, 0.98):
        x = RNG.random(shape) < share
        for what in (x, np.zeros_like(x), np.ones_like(x)):
            (got,) = run_op(op, [what], axes=axes)
            np.testing.assert_array_equal(got, getattr(np, op)(what, axes))


def test_one_bool_among_many_is_seen_wherever_it_is() -> None:
    for size in (16, 63, 64, 65, 130):
        rows = np.eye(size, dtype=bool)
        assert run_op("any", [rows], axes=(1,))[0].all()
        assert run_op("any", [rows], axes=(0,))[0].all()
        assert not run_op("all", [~rows], axes=(1,))[0].any()
        assert not run_op("all", [~rows], axes=(0,))[0].any()


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_comparisons_of_bytes(target: object) -> None:
    for shape, other in (((3, 70), (3, 70)), ((3, 70), (70,)), ((3, 70), (3, 1)), ((5,), (5,))):
        a = RNG.integers(0, 256, shape).astype(np.uint8)
        b = RNG.integers(0, 256, other).astype(np.uint8)
        b.flat[::3] = a.flat[: b.size : 3] if b.size <= a.size else b.flat[::3]
        for op in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"):
            (got,) = run_op(op, [a, b], target)  # type: ignore[arg-type]
            np.testing.assert_array_equal(got, getattr(np, op)(a, b))


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_logic_of_bools_stays_0_and_1(target: object) -> None:
    a, b = RNG.random((3, 70)) < 0.5, RNG.random((3, 70)) < 0.5
    for body, want in (
        ("and(a0, not(a1))", a & ~b),
        ("or(not(a0), a1)", ~a | b),
        ("eq(a0, a1)", a == b),
        ("not(eq(a0, a1))", a != b),
    ):
        (got,) = run_op("fused", [a, b], target, body=body)  # type: ignore[arg-type]
        np.testing.assert_array_equal(got, want)
        assert set(np.unique(got.view(np.uint8))) <= {0, 1}
    x = RNG.integers(0, 3, (3, 70)).astype(np.uint8)
    (got,) = run_op("cast", [x], target, dtype="bool")  # type: ignore[arg-type]
    np.testing.assert_array_equal(got.view(np.uint8), x != 0)
