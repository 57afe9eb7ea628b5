"""tools/array_api.py: runs the standard's suite where there is a checkout of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from tests.support import ROOT, run_python

TOOL = ROOT / "tools" / "array_api.py"

# A suite of two tests, with the options and variables of the real one.
CONFTEST = """
import os
import pytest

def pytest_addoption(parser):
    parser.addoption("--skips-file")
    parser.addoption("--max-examples", type=int)

def pytest_collection_modifyitems(config, items):
    with open(config.getoption("--skips-file")) as file:
        lines = [line for line in file if line.strip() and line[0] != "#"]
    for item in items:
        if any(line.strip() in item.nodeid for line in lines):
            item.add_marker(pytest.mark.skip(reason="skips file"))
"""
TESTS = """
import os
from importlib import import_module
import pytest

xp = import_module(os.environ["ARRAY_API_TESTS_MODULE"])

@pytest.mark.parametrize("name", ["__add__(x1, x2)", "add(x1, x2)"])
def test_add(name):
    skipped = os.getenv("ARRAY_API_TESTS_SKIP_DTYPES", "").split(",")
    x = xp.asarray([250, 9], dtype=xp.int32 if "uint8" in skipped else xp.uint8)
    found = x + x if "__" in name else xp.add(x, x)
    assert found.dtype == x.dtype

def test_version():
    assert os.environ["ARRAY_API_TESTS_VERSION"] == xp.__array_api_version__ == "2024.12"

def test_setitem():
    assert False
"""


def tool() -> Any:
    spec = importlib.util.spec_from_file_location("array_api_tool", TOOL)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_line_that_is_left_out_has_a_reason() -> None:
    found = tool().reasons((ROOT / "tools" / "array_api_skips.txt").read_text("utf-8"))
    assert len(found) > 50
    assert [line for line, reason in found.items() if len(reason) < 40] == []
    assert [line for line in found if not line.startswith("array_api_tests/test_")] == []


def test_a_suite_is_run_with_and_without_uint8(tmp_path: Path) -> None:
    folder = tmp_path / "array_api_tests"
    folder.mkdir()
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (folder / "test_array_object.py").write_text(TESTS)
    done = run_python(str(TOOL), "--suite", str(tmp_path), "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed, 1 skipped" in done.stdout
    assert "2 passed, 1 skipped, 1 deselected" in done.stdout


def test_a_suite_that_fails_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "array_api_tests"
    folder.mkdir()
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text("def test_it():\n    assert False\n")
    assert run_python(str(TOOL), "--suite", str(tmp_path), "-p", "no:cacheprovider").returncode == 1
    assert run_python(str(TOOL), "--suite", str(folder)).returncode == 2
    done = run_python(str(TOOL))
    assert done.returncode == 0 and "__setitem__" in done.stdout
