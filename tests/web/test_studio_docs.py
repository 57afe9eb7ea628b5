"""The page of docs/studio.md for developers works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.web.server import serve
from tests.web.studio_site import photo, write_studio

pytestmark = pytest.mark.chromium


def shown(kind: str, *numbers: int) -> list[dict[str, Any]]:
    return [
        {"name": f"{kind} {n}.png", "mimeType": "image/png", "buffer": photo(kind, n)}
        for n in numbers
    ]


def test_the_page_for_developers_teaches_and_tells_apart(page: Any, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "studio.md").read_text("utf-8")
    (html,) = re.findall(r"^```html\n(.*?)^```$", text, re.M | re.S)
    assert html.count("\n") <= 20
    write_studio(tmp_path / "site")
    with serve(tmp_path / "site") as site:
        site.pages["fruit.html"] = html.replace("<title>", '<link rel="icon" href="data:,"><title>')
        page.goto(site.url + "fruit.html")
        page.get_by_text("Show it some apples and plums.").wait_for()
        page.set_input_files("[name=ask]", shown("blue", 7))  # nothing was shown
        page.get_by_text("Nothing was learnt yet.").wait_for()
        page.set_input_files("[name=apple]", [*shown("red", *range(10)), bad()])
        page.get_by_text("10 photos added, 1 refused. Add photos to plum.").wait_for()
        page.set_input_files("[name=plum]", shown("blue", 1, 2, 3, 4, 5, 6, 7, 8))
        page.get_by_text("% of 3 others").wait_for()
        page.set_input_files("[name=ask]", shown("blue", 77))
        page.get_by_text(re.compile(r"^plum: \d+ %$")).wait_for()
        page.set_input_files("[name=ask]", shown("red", 77))
        page.get_by_text(re.compile(r"^apple: \d+ %$")).wait_for()
        page.reload()  # it is kept
        page.get_by_text("Show it some apples and plums.").wait_for()
        page.set_input_files("[name=ask]", shown("blue", 78))
        page.get_by_text(re.compile(r"^plum: \d+ %$")).wait_for()


def bad() -> dict[str, Any]:
    return {"name": "no photo.png", "mimeType": "image/png", "buffer": b"no photo"}
