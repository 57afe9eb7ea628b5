"""progress.js: words for downloads."""

from __future__ import annotations

from typing import Any

import pytest

from fanlight.web.site import PAGES
from tests.web.server import Site

pytestmark = pytest.mark.chromium


def words(page: Any, site: Site, steps: list[tuple[float, int]], total: int) -> list[str]:
    """What is told at each (ms, loaded)."""
    site.pages["progress.js"] = (PAGES / "progress.js").read_text("utf-8")
    page.goto(site.url + "bare.html")
    return page.evaluate(
        """async ([steps, total]) => {
          const { tellProgress } = await import('./progress.js');
          let time = 0;
          const words = tellProgress(() => time);
          return steps.map(([at, loaded]) => {
            time = at;
            return words({ loaded, total });
          });
        }""",
        [steps, total],
    )


def test_bytes_and_seconds(page: Any, site: Site) -> None:
    steps = [(0, 0), (100, 100_000), (2000, 3_100_000), (5900, 9_200_000), (6000, 9_400_000)]
    assert words(page, site, steps, 9_400_000) == [
        "0.0 of 9.4 MB",
        "0.1 of 9.4 MB",
        "3.1 of 9.4 MB, about 5 s left",
        "9.2 of 9.4 MB",
        "9.4 of 9.4 MB",
    ]


def test_the_speed_is_that_of_the_last_seconds(page: Any, site: Site) -> None:
    slow = [(second * 1000, second * 10_000) for second in range(11)]
    fast = [(10_000 + second * 1000, 100_000 + second * 1_000_000) for second in range(1, 6)]
    told = words(page, site, slow + fast, 20_100_000)
    assert told[10].endswith("about 33 min left")
    assert told[-1] == "5.1 of 20.1 MB, about 15 s left"


def test_what_cannot_be_told_is_left_out(page: Any, site: Site) -> None:
    # Nothing came; a clock that stands; a small file; going back, as after a wrong file.
    assert words(page, site, [(0, 0), (9000, 0)], 5_000_000)[-1] == "0.0 of 5.0 MB"
    assert words(page, site, [(7, 0), (7, 9)], 5_000_000)[-1] == "0.0 of 5.0 MB"
    assert words(page, site, [(0, 0), (1000, 1000)], 5000)[-1] == "1 of 5 kB, about 4 s left"
    assert words(page, site, [(0, 500), (1000, 100)], 5000)[-1] == "0 of 5 kB"
