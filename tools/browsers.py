"""Prints the path of an installed browser, or fails: `tools/browsers.py chromium|firefox`."""

from __future__ import annotations

import sys

from fanlight.hosts.browser import find_browser

if __name__ == "__main__":
    path = find_browser(sys.argv[1])
    if path is None:
        sys.exit(f"no {sys.argv[1]} that starts was found")
    print(path)
