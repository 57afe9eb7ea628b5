"""Quantised nets in a real Chromium give the bytes that NumPy gives, whatever they run with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web import byte_nets
from tests.web.server import ISOLATED, Site

pytestmark = pytest.mark.chromium


@pytest.fixture
def isolated(site: Site) -> None:
    """`bare` is then a page that may have threads."""
    site.headers.update(ISOLATED)


@pytest.mark.parametrize("setting", byte_nets.SETTINGS)
def test_the_same_bytes(isolated: None, bare: Any, byte_bundles: Path, setting: str) -> None:
    found = bare.evaluate(f"(setting) => ({byte_nets.JOURNEY})(setting, load)", setting)
    assert found == byte_nets.meaning(byte_bundles)
