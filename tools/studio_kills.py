"""Kill the tab or the browser while Studio keeps something: nothing is lost, nothing is half.

    python tools/studio_kills.py [--rounds 100] [--within 25] [--seed 1]

`--rounds` kills while the store adds photos, keeps heads and deletes without end; `--within` kills
while a session trains, corrects, or takes a project in. Prints how often each way or amid what, how
many changes had been told to be kept, and what was wrong (nothing).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import sync_playwright

from fanlight.hosts.browser import INSTALL, find_browser
from tests.web.server import serve
from tests.web.studio_kills import kill_again_and_again
from tests.web.studio_lab import lab
from tests.web.studio_session_kills import kill_within_sessions
from tests.web.studio_site import write_studio


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="kills while the store writes")
    parser.add_argument("--within", type=int, default=25, help="kills while a session works")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    path = find_browser("chromium")
    if path is None:
        print(f"no Chromium was found: {INSTALL}", file=sys.stderr)
        return 2
    told, wrong = [], []
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        for part in ("lab", "first", "second"):
            (folder / part).mkdir()
        if options.rounds:
            with lab(folder / "lab") as site:
                ways, changes, found = kill_again_and_again(
                    playwright.chromium, path, site, folder / "first",
                    rounds=options.rounds, seed=options.seed,
                )  # fmt: skip
            told.append(f"{changes} changes kept, {sum(ways.values())} kills: {dict(ways)}")
            wrong += found
        if options.within:
            write_studio(folder / "studio")
            with serve(folder / "studio") as site:
                amid, kept, found = kill_within_sessions(
                    playwright.chromium, path, site, folder / "second",
                    rounds=options.within, seed=options.seed,
                )  # fmt: skip
            told.append(f"{kept} kept by sessions, {options.within} kills, amid {dict(amid)}")
            wrong += found
    print("; ".join(told))
    for what in wrong:
        print(what)
    print("nothing was lost, nothing is half" if not wrong else f"{len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
