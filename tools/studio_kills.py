"""Kill the tab or the browser while Studio's store writes: nothing is lost, nothing is half.

    python tools/studio_kills.py [--rounds 100] [--seed 1]

Prints how often each way, how many changes had been told to be kept, and what was wrong (nothing).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import sync_playwright

from fanlight.hosts.browser import INSTALL, find_browser
from tests.web.studio_kills import kill_again_and_again
from tests.web.studio_lab import lab


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    path = find_browser("chromium")
    if path is None:
        print(f"no Chromium was found: {INSTALL}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        (folder / "site").mkdir()
        (folder / "profile").mkdir()
        with lab(folder / "site") as site:
            ways, changes, wrong = kill_again_and_again(
                playwright.chromium, path, site, folder / "profile",
                rounds=options.rounds, seed=options.seed,
            )  # fmt: skip
    print(f"{changes} changes kept, {sum(ways.values())} kills:", dict(ways))
    for what in wrong:
        print(what)
    print("nothing was lost, nothing is half" if not wrong else f"{len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
