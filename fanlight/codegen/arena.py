"""Place buffers with lifetimes in one arena, so that those alive together never overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

ALIGNMENT = 64
# Placements to try where the plain orders waste memory; each takes about a millisecond.
MAX_TRIES = 400
MAX_PAIRS = 4_000_000
# Buffers from which on arrays find a place faster than a loop does.
MANY = 400


def align(size: int) -> int:
    """`size` rounded up to the alignment of every buffer."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Buffer:
    """Something that needs `size` bytes from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether the two are alive at the same step."""
        return self.first <= other.last and other.first <= self.last


def live_bytes(buffers: Sequence[Buffer]) -> int:
    """Bytes of the largest set of buffers that are alive together: no plan can need less."""
    changes: dict[int, int] = {}
    for b in buffers:
        changes[b.first] = changes.get(b.first, 0) + align(b.size)
        changes[b.last + 1] = changes.get(b.last + 1, 0) - align(b.size)
    most = now = 0
    for step in sorted(changes):
        now += changes[step]
        most = max(most, now)
    return most


def place(buffers: Sequence[Buffer]) -> tuple[list[int], int]:
    """Offsets for all buffers and the size of the arena.

    First fit in several orders, the best result wins. Placing large buffers first is the
    "greedy by size" of Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net
    Inference (2020); the other orders win on nets whose large buffers chain. Where the best still
    wastes memory, buffers are moved to the front of the order one at a time, as long as it helps.
    """
    orders: list[Callable[[int], tuple]] = [
        lambda i: (-buffers[i].size, buffers[i].first),
        lambda i: (-(buffers[i].last - buffers[i].first), -buffers[i].size),
        lambda i: (buffers[i].first, -buffers[i].size),
        lambda i: (-buffers[i].last, -buffers[i].size),
        lambda i: (-buffers[i].size * (buffers[i].last - buffers[i].first + 1),),
    ]
    bound = live_bytes(buffers)
    best: tuple[list[int], int] | None = None
    sequences = [sorted(range(len(buffers)), key=order) for order in orders]
    for sequence in sequences:
        found = _first_fit(buffers, sequence)
        if best is None or found[1] < best[1]:
            best = found
        if best[1] <= bound:
            break
    assert best is not None
    # A try takes time with the square of the number: of many buffers there are few.
    tries = min(MAX_TRIES, MAX_PAIRS // max(1, len(buffers) ** 2))
    while sequences and tries > 0 and best[1] > bound:
        best, tries = _improve(buffers, sequences.pop(0), best, bound, tries)
    return best


def _improve(
    buffers: Sequence[Buffer],
    sequence: list[int],
    best: tuple[list[int], int],
    bound: int,
    tries: int,
) -> tuple[tuple[list[int], int], int]:
    """Hill climbing from one order: the better of `best` and what it finds, and the tries left."""
    here = _first_fit(buffers, sequence)[1]
    large = sorted(sequence, key=lambda i: -buffers[i].size)
    climbing = True
    while climbing:
        climbing = False
        for index in large:
            if tries <= 0 or best[1] <= bound:
                return best, tries
            moved = [index, *(i for i in sequence if i != index)]
            found = _first_fit(buffers, moved)
            tries -= 1
            if found[1] < here:
                sequence, here, climbing = moved, found[1], True
            if found[1] < best[1]:
                best = found
    return best, tries


def _first_fit(buffers: Sequence[Buffer], order: Sequence[int]) -> tuple[list[int], int]:
    if len(buffers) >= MANY:
        return _first_fit_of_many(buffers, order)
    offsets = [0] * len(buffers)
    placed: list[int] = []  # by offset
    total = 0
    for index in order:
        buffer = buffers[index]
        size = align(buffer.size)
        offset = 0
        for other in placed:
            if not buffer.meets(buffers[other]):
                continue
            if offset + size <= offsets[other]:
                break
            offset = max(offset, offsets[other] + align(buffers[other].size))
        offsets[index] = offset
        total = max(total, offset + size)
        at = 0
        while at < len(placed) and offsets[placed[at]] <= offset:
            at += 1
        placed.insert(at, index)
    return offsets, total


def _first_fit_of_many(buffers: Sequence[Buffer], order: Sequence[int]) -> tuple[list[int], int]:
    """The same places as `_first_fit`, found by arrays, which pays where there are many."""
    offsets = [0] * len(buffers)
    total = 0
    # Of those that have a place, by offset: where they begin and end, in memory and in time.
    placed = np.zeros((4, len(buffers)), np.int64)
    for count, index in enumerate(order):
        buffer = buffers[index]
        size = align(buffer.size)
        starts, ends, firsts, lasts = placed[:, :count]
        meeting = np.flatnonzero((firsts <= buffer.last) & (lasts >= buffer.first))
        free = np.concatenate(([0], np.maximum.accumulate(ends[meeting])))
        gaps = np.flatnonzero(free[:-1] + size <= starts[meeting])
        offset = int(free[gaps[0] if gaps.size else -1])
        at = int(np.searchsorted(starts, offset, "right"))
        placed[:, at + 1 : count + 1] = placed[:, at:count].copy()
        placed[:, at] = offset, offset + size, buffer.first, buffer.last
        offsets[index] = offset
        total = max(total, offset + size)
    return offsets, total
