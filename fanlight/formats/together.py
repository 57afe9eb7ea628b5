"""Sources whose examples meet: their batch is fixed, for item by item they give something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fanlight.errors import FanlightError
from fanlight.formats.source import Options, Source
from fanlight.graph.examples import Unlike, mixed

# A batch of so many is read beside that of one. No size of a model is that times another by chance.
_COUNT = 7
# What a reader may stumble over in weights that are all zeros: that says nothing of the model.
_FAULTS = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError,
           MemoryError)  # fmt: skip


def told_apart(source: Source, options: Options, read: Callable[[Options], Source]) -> Source:
    """The source; with its batch fixed if examples of one meet.

    Where Python does a part with texts nothing is looked for.

    Args:
        read: reads the source once more. Where it cannot with several examples, it takes one at a
            time, and nothing meets.
    """
    free = [p for p in source.inputs if p.batched]
    if not free or source.text is not None:
        return source
    shapes = {v.name: v.shape for v in source.graph.inputs}
    wanted = {p.asked: (_COUNT, *shapes[p.name][1:]) for p in free}
    asked = replace(options, input_shapes={**options.input_shapes, **wanted}, sketch=True)
    try:
        found = mixed(source.graph, read(asked).graph, _COUNT)
    except (FanlightError, Unlike, *_FAULTS):
        return source
    if not found:
        return source
    size = tuple(wanted[free[0].asked][1:])
    told = (
        f"the examples of a batch meet in {'; '.join(found)}. The model takes one example as it "
        f"is; input_shapes={{{free[0].asked!r}: {(8, *size)}}} makes it one for batches of 8."
    )
    return replace(
        source,
        inputs=tuple(replace(p, batched=False) for p in source.inputs),
        outputs=tuple(replace(p, batched=False) for p in source.outputs),
        warnings=(*source.warnings, told),
        mixes=tuple(found),
    )
