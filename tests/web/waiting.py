"""Waiting for something in a page whose policy forbids to evaluate text."""

from __future__ import annotations

import time
from typing import Any


def until(page: Any, condition: str, seconds: float = 60) -> None:
    """Wait until `condition`, an expression or a promise of one, is true in the page.

    Playwright's `wait_for_function` evaluates an expression anew in the page each time, which the
    policy forbids, and takes a promise for true.
    """
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"it never came: {condition}"
        page.wait_for_timeout(50)
