"""A built function of every family gives in Chromium what fl.jit and the eager function give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web import families

pytestmark = pytest.mark.chromium


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_build_equals_jit(bare: Any, family_bundle: Path, simd: str) -> None:
    found = bare.evaluate(f"(simd) => ({families.JOURNEY})(simd, load)", simd)
    families.same_as_elsewhere(found)
