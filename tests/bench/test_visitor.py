"""Visits without a debugger: answers, failures, and pages that never answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import visitor
from bench.lab import serve
from bench.visitor import NoAnswer, visitors

PAGES = {
    "answers": "globalThis.answer = Promise.resolve({ ms: performance.now(), told });",
    "fails": "globalThis.failure = 'no such operator';",
    "rejects": "globalThis.answer = Promise.reject(new Error('worn out'));",
    "hangs": "globalThis.answer = new Promise(() => {});",
    "says nothing": "",
    "keeps": "globalThis.answer = [localStorage.getItem('x')]; localStorage.setItem('x', 1);",
}


@pytest.fixture
def visit(tmp_path: Path, chromium_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(visitor, "LIMIT_S", 3)
    for name, script in PAGES.items():
        (tmp_path / f"{name.replace(' ', '-')}.html").write_text(f"<script>{script}</script>")
    with serve({"pages": tmp_path}) as base, visitors() as make:
        yield (
            lambda person, name, **how: person.visit(
                f"{base}/pages/{name.replace(' ', '-')}.html", **how
            ),
            make,
        )


@pytest.mark.chromium
def test_answers_and_what_a_profile_keeps(visit: Any) -> None:
    go, make = visit
    one, other = make(), make()
    found = go(one, "answers", script="globalThis.told = 7;")
    assert found["told"] == 7 and 0 < found["ms"] < 60_000
    assert go(one, "keeps") == [None]
    assert go(one, "keeps") == ["1"]
    assert go(other, "keeps") == [None]
    for person in (one, other):
        person.close()


@pytest.mark.chromium
@pytest.mark.parametrize(
    "name, words",
    [
        ("fails", "no such operator"),
        ("rejects", "worn out"),
        ("hangs", "no answer within 3 s"),
        ("says nothing", "no answer within 3 s"),
    ],
)
def test_a_page_that_does_not_answer_holds_nobody_up(visit: Any, name: str, words: str) -> None:
    go, make = visit
    with pytest.raises(NoAnswer, match=words):
        go(make(), name)
    assert go(make(), "keeps") == [None]  # the next visit is as ever


def test_without_a_chromium(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor, "find_browser", lambda: None)
    with pytest.raises(SystemExit, match="make setup"), visitors():
        pass
