"""Every pass does to the graph in its docstring what the docstring says."""

from __future__ import annotations

import os

import pytest

from fanlight.graph import parse, to_text, verify
from fanlight.passes.core import Context, Pass
from fanlight.passes.examples import BUDGETED, FOR_ONNX, example, passes, to_markdown
from fanlight.passes.fold_batch_norm import FoldAffine
from tests.passes.support import assert_same_meaning
from tests.support import ROOT

PAGE = ROOT / "docs" / "passes.md"


ALL = [*passes(), BUDGETED, FoldAffine()]


@pytest.mark.parametrize("step", [*ALL, FOR_ONNX], ids=lambda step: step.name)
def test_before_becomes_after(step: Pass) -> None:
    found = example(step)
    before = parse(found.before)
    context = Context()
    after = verify(step.run(before, context))
    assert to_text(after) == to_text(parse(found.after))
    assert context.hits.total() > 0
    assert all(key.startswith(step.name) for key in context.hits)
    assert_same_meaning(before, after)
    for promised in step.ensures:
        assert promised.fault(after) is None


@pytest.mark.parametrize("step", ALL, ids=lambda step: step.name)
def test_a_second_run_finds_nothing(step: Pass) -> None:
    after = step.run(parse(example(step).before), Context())
    context = Context()
    assert step.run(after, context) is after
    assert not context.hits


def test_page_is_up_to_date() -> None:
    text = to_markdown()
    if os.environ.get("FANLIGHT_UPDATE") == "1":
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "run the tests with FANLIGHT_UPDATE=1 and look at the diff"
