"""Quantised nets in a real Chromium give the bytes that NumPy gives, on both modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web import byte_nets

pytestmark = pytest.mark.chromium


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_the_same_bytes(bare: Any, byte_bundles: Path, simd: str) -> None:
    found = bare.evaluate(f"(simd) => ({byte_nets.JOURNEY})(simd, load)", simd)
    assert found == byte_nets.meaning(byte_bundles)
