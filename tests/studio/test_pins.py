"""What Studio's page is bundled from is pinned to exact versions, also what comes with it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support import ROOT

MODULES = ROOT / "node_modules"
BUNDLED = ("fflate", "idb", "lit", "uplot")


def package(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MODULES / name / "package.json").read_text("utf-8"))
    return found


def test_all_that_is_bundled_is_pinned_as_it_is_installed() -> None:
    if not MODULES.is_dir():
        pytest.skip("no node_modules: make setup")
    root = json.loads((ROOT / "package.json").read_text("utf-8"))
    pinned = root["devDependencies"] | root["overrides"]
    left, seen = list(BUNDLED), set[str]()
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        assert re.fullmatch(r"\d+\.\d+\.\d+", pinned.get(name, "")), f"{name} floats"
        assert pinned[name] == package(name)["version"], name
        left += package(name).get("dependencies", {})
    assert "lit-html" in seen
