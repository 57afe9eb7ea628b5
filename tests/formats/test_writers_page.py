"""docs/writers.md is what the writers are."""

from __future__ import annotations

from fanlight.formats.spelling import SPELLINGS
from fanlight.ops.row import TABLE
from tools import gen_writers_docs as writers


def test_the_page_is_up_to_date() -> None:
    assert writers.PAGE.read_text() == writers.page(), "run tools/gen_writers_docs.py"


def test_reasons_are_given_for_what_is_not_written_alone() -> None:
    for op in writers.REASONS:
        assert op in TABLE and op not in SPELLINGS
        assert any(op not in ops for ops in writers.FORMATS.values())


def test_limits_are_those_that_the_writers_tell() -> None:
    page = writers.page()
    assert "- an image whose size is free" in page and "- sorting along a free dim" in page
