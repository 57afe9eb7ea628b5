"""Sets of addresses, as intervals."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Intervals:
    """A set of addresses that grows by intervals [start, end).

    It is kept as the fewest intervals, in order: what touches is one. So a question takes time with
    the logarithm of their number, however many were added.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __len__(self) -> int:
        """Of how many intervals it consists."""
        return len(self._starts)

    def overlap(self, start: int, end: int) -> bool:
        """Whether an address of [start, end) is in the set."""
        at = bisect_right(self._ends, start)
        return start < end and at < len(self._starts) and self._starts[at] < end

    def add(self, start: int, end: int) -> None:
        """Put the addresses of [start, end) into the set."""
        if start >= end:
            return
        first, behind = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if first < behind:
            start = min(start, self._starts[first])
            end = max(end, self._ends[behind - 1])
        self._starts[first:behind] = [start]
        self._ends[first:behind] = [end]
