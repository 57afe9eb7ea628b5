"""A tab that dies amid anything leaves the old or the new, never half. (125 times:
tools/studio_kills.py)
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.web import studio_session_kills
from tests.web.server import serve
from tests.web.studio_kills import check, kill_again_and_again
from tests.web.studio_lab import lab
from tests.web.studio_session_kills import kill_within_sessions
from tests.web.studio_site import write_studio


def test_the_check_sees_what_is_lost_or_half() -> None:
    whole = {"batches": {"1": 6, "2": 6}, "wrong": [], "head": 2}
    log = ["told/done-1", "told/done-2", "told/head-1", "told/head-2"]
    assert check(whole, log) == []
    assert check(whole | {"batches": {"1": 6, "2": 5}}, log) == ["5 photos of batch 2"]
    assert check(whole | {"batches": {"2": 6}}, log) == ["batch 1 is lost"]
    assert check(whole | {"batches": {"2": 6}}, [*log, "told/going-1"]) == []
    assert check(whole, [*log, "told/gone-1"]) == ["batch 1 was deleted"]
    assert check(whole | {"head": 1}, log) == ["head 2 is lost: it is 1"]


def test_the_check_of_sessions_sees_what_is_lost_or_half() -> None:
    own = {"photos": ["x"], "classes": ["red"], "runs": [1], "head": "h0"}
    before = {"found": {"p": own}, "now": "p"}
    log = ["told/start/0", "told/photo/p/y", "told/run/p/2", "told/head/p/1/h1", "models/w.bin"]

    def wrong(log: list[str], others: Any = None, **now: Any) -> list[str]:
        kept = {"photos": ["x", "y"], "classes": ["red"], "runs": [1, 2], "head": "h1"} | now
        found = {"p": kept, **copy.deepcopy(others or {})}
        return studio_session_kills.check(before, log, {"found": found, "wrong": []})

    assert wrong(log) == [] and wrong(log, head="newer") == []
    assert wrong(log, photos=["y"]) == ["photos: x is lost"]
    assert wrong(log, classes=[]) == ["classes: red is lost"]
    assert wrong(log, runs=[1]) == ["runs: 2 is lost"]
    assert wrong(log, head="") == ["the head of p is lost"]
    assert wrong(log, head="h0") == ["the head of p is an older one"]
    # A project that comes in: told, and not there; there before it is told, whole or half.
    assert wrong([*log, "told/project/p/q"]) == ["project q is lost"]
    assert wrong(log, {"q": own}) == []
    assert wrong(log, {"q": own | {"photos": []}}) == ["project q is half: photos"]
    lost = wrong(["told/head/q/1/h2"], {"q": own | {"head": ""}})
    assert "the head of q is lost" in lost
    seen = {"found": {"p": own}, "wrong": ["photo x"]}
    assert studio_session_kills.check(before, [], seen) == ["photo x"]


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


@pytest.mark.slow
def test_a_session_that_is_killed_while_it_learns_or_takes_a_project_in(
    chromium: Any, chromium_path: str, tmp_path: Path
) -> None:
    write_studio(tmp_path / "site")
    (tmp_path / "profile").mkdir()
    with serve(tmp_path / "site") as site:
        amid, kept, wrong = kill_within_sessions(
            chromium.browser_type, chromium_path, site, tmp_path / "profile", rounds=6, seed=7
        )
    assert wrong == []
    assert sum(amid.values()) > 0 and kept > 0  # it was amid something
