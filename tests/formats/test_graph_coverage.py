"""Every op that TensorFlow.js's converter knows is read, or there is a reason."""

from __future__ import annotations

from collections import Counter

from tools import gen_graph_ops as ops


def test_every_op_is_read_or_there_is_a_reason() -> None:
    every = [op for names in ops.OPS.values() for op in names]
    assert len(every) == len(set(every)) == 248
    left = [op for op in every if not ops.handled(op)]
    assert [op for op in left if not ops.REASONS.get(op)] == []
    counts = Counter("read" if ops.handled(op) else ops.REASONS[op] for op in every)
    print(dict(counts))
    control = set(ops.OPS["control"])
    assert [op for op in ops.REASONS if ops.handled(op) and op not in control] == []


def test_the_page_lists_them() -> None:
    """docs/graph_ops.md; written by tools/gen_graph_ops.py."""
    assert ops.PAGE.read_text() == ops.page()
