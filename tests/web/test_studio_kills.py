"""A tab that dies amid anything leaves the old or the new, never half. (100 times:
tools/studio_kills.py)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web.studio_kills import check, kill_again_and_again
from tests.web.studio_lab import lab


def test_the_check_sees_what_is_lost_or_half() -> None:
    whole = {"batches": {"1": 6, "2": 6}, "wrong": [], "head": 2}
    log = ["told/done-1", "told/done-2", "told/head-1", "told/head-2"]
    assert check(whole, log) == []
    assert check(whole | {"batches": {"1": 6, "2": 5}}, log) == ["5 photos of batch 2"]
    assert check(whole | {"batches": {"2": 6}}, log) == ["batch 1 is lost"]
    assert check(whole | {"batches": {"2": 6}}, [*log, "told/going-1"]) == []
    assert check(whole, [*log, "told/gone-1"]) == ["batch 1 was deleted"]
    assert check(whole | {"head": 1}, log) == ["head 2 is lost: it is 1"]


@pytest.mark.slow
def test_a_tab_that_is_killed_amid_anything(
    chromium: Any, chromium_path: str, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "profile").mkdir()
    with lab(tmp_path / "site") as site:
        ways, changes, wrong = kill_again_and_again(
            chromium.browser_type, chromium_path, site, tmp_path / "profile", rounds=21, seed=7
        )
    assert wrong == []
    assert set(ways.values()) == {7}
    assert changes > 21  # it was amid something
