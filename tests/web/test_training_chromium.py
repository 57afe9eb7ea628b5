"""A page trains a model, in Chromium: the numbers of Python, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web import training

pytestmark = pytest.mark.chromium


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_a_page_trains_as_python_does(bare: Any, training_bundle: Path, simd: str) -> None:
    found = bare.evaluate(f"(simd) => ({training.JOURNEY})(simd, 'training')", simd)
    training.as_python(found, training_bundle)
