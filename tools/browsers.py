"""Prints the path of an installed browser, or fails: `tools/browsers.py chromium|firefox`."""

from __future__ import annotations

import sys

from fanlight.hosts.browser import find_browser

NOT_FOUND = 3

if __name__ == "__main__":
    path = find_browser(sys.argv[1])
    if path is None:
        sys.exit(NOT_FOUND)
    print(path)
