"""The examples in the passes' docstrings: docs/passes.md shows them, and tests run them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fanlight.passes.channels_first import ChannelsFirst
from fanlight.passes.core import Pass
from fanlight.passes.pipeline import PIPELINE_F16, PIPELINE_F32, Repeat, Step
from fanlight.passes.recompute import Recompute

# The pass that runs where a step of training has a budget, with that of its example.
BUDGETED = Recompute(64)
# The pass that runs last for files of ONNX.
FOR_ONNX = ChannelsFirst()


@dataclass(frozen=True)
class Example:
    """What a pass says about itself.

    Attributes:
        name: the pass.
        text: its description, paragraphs of prose.
        before, after: graphs in text form; running the pass on the first gives the second.
    """

    name: str
    text: str
    before: str
    after: str


def example(step: Pass) -> Example:
    """The example in a pass's docstring; ValueError if it has none."""
    doc = inspect.cleandoc(type(step).__doc__ or "")
    match = re.fullmatch(r"(.*?)\n+Before:\n(.*?)\n+After:\n(.*)", doc, re.DOTALL)
    if match is None:
        raise ValueError(f"the docstring of {type(step).__name__} has no Before and After")
    text, before, after = match.groups()
    return Example(step.name, text, inspect.cleandoc(before), inspect.cleandoc(after))


def passes(steps: Sequence[Step] = PIPELINE_F32) -> list[Pass]:
    """The different passes of a pipeline, in order of their first run."""
    return [s for s in steps if not isinstance(s, Repeat)]


def to_markdown() -> str:
    """docs/passes.md."""
    lines = [
        "# Passes",
        "",
        "What happens to a graph between loading and code generation. This page is written from",
        "the docstrings in `fanlight/passes/`; the examples on it are run by the tests.",
        "",
        "A pass takes a graph to a graph that means the same. It *requires* and *ensures* named",
        "properties; a pipeline whose order breaks them is refused (E-GRAPH-008), and so is one",
        "that runs a pass twice without saying why. With `FANLIGHT_VERIFY=1` the graph and the",
        "promised properties are checked after every pass (E-GRAPH-007).",
        "",
        "The pipeline of float32 models:",
        "",
    ]
    for number, item in enumerate(PIPELINE_F32, 1):
        step = item.step if isinstance(item, Repeat) else item
        why = f" again: {item.because}" if isinstance(item, Repeat) else ""
        lines.append(f"{number}. [`{step.name}`](#{step.name}){why}")
    added = passes(PIPELINE_F16[len(PIPELINE_F32) :])
    names = ", ".join(f"[`{step.name}`](#{step.name})" for step in added)
    lines += ["", f"With the precision f16 one more follows, which changes values: {names}."]
    name = BUDGETED.name
    lines += [
        "",
        f"Where a step of training has a budget of memory, [`{name}`](#{name}) runs last.",
        "",
        "Files of other run times get the first folds only, and those of ONNX after them",
        f"[`{FOR_ONNX.name}`](#{FOR_ONNX.name}).",
    ]
    for step in [*passes(), *added, BUDGETED, FOR_ONNX]:
        found = example(step)
        lines += ["", f"## {step.name}", "", found.text]
        for title, properties in (
            ("Requires", step.requires),
            ("Ensures", step.ensures),
            ("Breaks", step.breaks),
        ):
            if properties:
                lines += ["", f"{title}: {', '.join(map(str, properties))}."]
        for title, graph in (("Before", found.before), ("After", found.after)):
            lines += ["", f"{title}:", "```", graph, "```"]
    return "\n".join(lines) + "\n"
