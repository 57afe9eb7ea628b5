"""The arena: buffers alive together never overlap, and little is wasted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanlight.codegen import arena
from fanlight.codegen.arena import ALIGNMENT, Buffer, align, live_bytes, place

BUFFERS = st.lists(
    st.builds(
        lambda size, first, length: Buffer(size, first, first + length),
        st.integers(0, 5000),
        st.integers(0, 30),
        st.integers(0, 6),
    ),
    max_size=40,
)


@given(BUFFERS)
def test_buffers_alive_together_never_overlap(buffers: list[Buffer]) -> None:
    offsets, total = place(buffers)
    assert len(offsets) == len(buffers)
    for i, a in enumerate(buffers):
        assert offsets[i] % ALIGNMENT == 0
        assert offsets[i] + align(a.size) <= total
        for j in range(i):
            b = buffers[j]
            if a.meets(b) and a.size and b.size:
                apart = (
                    offsets[i] + align(a.size) <= offsets[j]
                    or offsets[j] + align(b.size) <= offsets[i]
                )
                assert apart, (a, offsets[i], b, offsets[j])


@given(BUFFERS)
def test_no_plan_is_smaller_than_the_largest_live_set(buffers: list[Buffer]) -> None:
    assert place(buffers)[1] >= live_bytes(buffers)


def test_a_chain_needs_two_neighbours_at_a_time() -> None:
    sizes = [64 * n for n in (3, 9, 4, 8, 1, 7)]
    chain = [Buffer(size, i, i + 1) for i, size in enumerate(sizes)]
    assert live_bytes(chain) == 64 * 13
    assert place(chain)[1] <= 1.1 * live_bytes(chain)


def test_a_chain_with_a_large_middle_wastes_nothing() -> None:
    """The first layers of MobileNet v1: every plain order wastes a sixth or more."""
    sizes = [602112, 607500, 401408, 401408, 802816, 200704, 401408, 401408]
    chain = [Buffer(size, i - 1, i) for i, size in enumerate(sizes)]
    assert place(chain)[1] == live_bytes(chain)


@pytest.mark.parametrize("count", [1, 2, 30, 200])
def test_arrays_find_the_places_that_the_loop_finds(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(count)
    buffers = []
    for first, long in rng.integers(0, 2 * count, (count, 2)).tolist():
        size = int(rng.choice([0, 4, 64, 100, 4096, 70_000]))
        buffers.append(arena.Buffer(size, first, first + long // 2))
    by_loop = arena.place(buffers)
    monkeypatch.setattr(arena, "MANY", 0)
    assert arena.place(buffers) == by_loop
