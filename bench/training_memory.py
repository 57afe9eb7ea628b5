"""The memory of a training step, against what no step can do without.

Against: the weights and the optimizer's numbers, and the most bytes of values that are alive at one
step of the plan. Alive is what a step reads or makes, and what a later one reads; a value in the
memory of another, under another shape, counts once, and so does an update that takes the place of
what it updates. It is counted from the graph and the order of its kernels, whatever addresses they
were given: scratch memory of kernels, alignment and gaps in the arena count for us only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fanlight as fl
from bench.training_rows import row
from fanlight.codegen.plan import PAGE, Part, Plan, is_alias
from fanlight.graph import Value
from fanlight.targets import TARGETS
from fanlight.trainable import trainable

MIB = 2**20


def row_of(bundle: Path, model: Any, batch: int) -> dict[str, Any]:
    """The row of a bundle that was built from such a model."""
    pages = json.loads((bundle / "manifest.json").read_text())["memory"]["pages"]
    learns = trainable(
        model,
        fl.training("adam", "sparse_categorical_crossentropy"),
        {"batch": batch},
        TARGETS,
    )
    kept = sum(k.first.nbytes for k in learns.steps.kept)
    (part,) = (p for p in learns.plan.parts if p.name == "train")
    names = {k.name for k in learns.steps.kept}
    live = live_bytes(learns.plan, part, names, set(learns.steps.updates))
    needed = kept + live
    return row(
        "memory of that step, MiB",
        pages * PAGE / MIB,
        f"weights and optimizer {kept / MIB:.2f}, live {live / MIB:.2f}",
        needed / MIB,
        1.3,
        times=pages * PAGE / needed,
        most=True,
    )


def live_bytes(plan: Plan, part: Part, kept: set[str], updates: set[str]) -> int:
    """The most bytes of values that are alive at one step of a part.

    Args:
        kept: inputs that last from step to step, which are counted elsewhere.
        updates: outputs that take their places.
    """
    graph = part.graph
    root: dict[Value, Value] = {v: v for v in graph.values()}
    for node in graph.nodes:
        if is_alias(node):
            root[node.output] = root[node.inputs[0]]
    nodes = [step.node for step in plan.steps[part.first : part.last]]
    lives: dict[Value, list[int]] = {v: [0, 0] for v in graph.inputs if v.name not in kept}
    for index, node in enumerate(nodes):
        for v in node.outputs:
            lives.setdefault(root[v], [index, index])[1] = index
        for v in node.inputs:
            if root[v] in lives:  # not a constant, nor what is kept
                lives[root[v]][1] = index
    for name, v in graph.outputs:
        if root[v] in lives:
            if name in updates:
                del lives[root[v]]
            else:
                lives[root[v]][1] = len(nodes) - 1
    alive = [0] * len(nodes)
    for v, (first, last) in lives.items():
        for index in range(first, last + 1):
            alive[index] += v.type.nbytes
    return max(alive)
