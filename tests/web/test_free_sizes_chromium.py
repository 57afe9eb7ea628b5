"""A built function takes any number of rows up to its bound, in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web import free_sizes

pytestmark = pytest.mark.chromium


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_any_number_of_rows(bare: Any, free_sizes_bundle: Path, simd: str) -> None:
    found = bare.evaluate(f"(simd) => ({free_sizes.JOURNEY})(simd, load)", simd)
    free_sizes.as_eager(found)


def test_its_page_runs_it(page: Any, site: Any, free_sizes_bundle: Path) -> None:
    """With as many rows as may be, where 64 are too many."""
    page.goto(site.url + "free_sizes/index.html")
    page.get_by_text("Ready.").wait_for(timeout=20_000)
    assert "rows × 3" in page.locator("#tensors").inner_text()
