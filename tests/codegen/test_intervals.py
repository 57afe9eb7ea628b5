"""Sets of addresses as intervals, against Python's own sets."""

from __future__ import annotations

import numpy as np

from fanlight.codegen.intervals import Intervals


def test_they_are_the_set_of_what_was_added() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        known, right = Intervals(), set()
        for _ in range(40):
            start, size = (int(n) for n in rng.integers(0, (120, 9)))
            asked, length = (int(n) for n in rng.integers(0, (120, 9)))
            assert known.overlap(asked, asked + length) == bool(
                right & set(range(asked, asked + length))
            )
            known.add(start, start + size)
            right |= set(range(start, start + size))
        begins = [a for a in right if a - 1 not in right]
        assert len(known) == len(begins)


def test_what_touches_is_one_interval() -> None:
    known = Intervals()
    for start in (0, 8, 4, 20, 12):
        known.add(start, start + 4)
    assert len(known) == 2
    assert known.overlap(15, 16) and not known.overlap(16, 20) and known.overlap(19, 21)


def test_an_empty_interval_is_nowhere() -> None:
    known = Intervals()
    known.add(3, 3)
    assert not len(known)
    known.add(0, 8)
    assert not known.overlap(4, 4)
