"""The layering holds, and the contract that checks it bites when it is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support import ROOT, run_python

LINT = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its contract, to be broken."""
    shutil.copytree(
        ROOT / "fanlight",
        tmp_path / "fanlight",
        ignore=shutil.ignore_patterns("__pycache__", "*.bin"),
    )
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """lint-imports in `folder`, on the fanlight that lies there."""
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_tree_keeps_its_contract(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("room", "bad_import", "contract"),
    [
        ("hosts", "from fanlight.graph import Graph", "A host reads artifacts"),
        ("hosts", "from fanlight.codegen import plan", "A host reads artifacts"),
        ("graph", "import fanlight.passes", "Rooms look down only"),
        ("errors", "from fanlight.ops import row", "Rooms look down only"),
        ("formats", "import fanlight.bundle", "Front ends never see the back end"),
        ("codegen", "import fanlight.passes", "Code generators do not call passes"),
    ],
)
def test_sabotage_is_caught(copy: Path, room: str, bad_import: str, contract: str) -> None:
    folder = copy / "fanlight" / room
    target = folder / "sabotage.py" if folder.is_dir() else folder.with_suffix(".py")
    with target.open("a") as file:
        file.write(f"\n{bad_import}\n")
    result = lint(copy)
    assert result.returncode == 1, result.stdout + result.stderr
    broken = [line for line in result.stdout.splitlines() if " BROKEN" in line]
    assert any(contract in line for line in broken), result.stdout


def test_a_room_that_the_contract_does_not_know_is_caught(copy: Path) -> None:
    (copy / "fanlight" / "attic.py").write_text("")
    result = lint(copy)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "attic" in result.stdout + result.stderr


def test_import_loads_numpy_and_the_standard_library_only() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import fanlight, fanlight.public;"
        "known = sys.stdlib_module_names | {'numpy', 'fanlight'};"
        "print(sorted({m.partition('.')[0] for m in set(sys.modules) - before} - known))"
    )
    result = run_python("-c", code)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def test_no_folder_of_tests_is_left_out(pytestconfig: pytest.Config) -> None:
    """pytest skips folders of some names, "build" among them, without a word."""
    left_out = pytestconfig.getini("norecursedirs")
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    names = {part for folder in folders for part in folder.relative_to(ROOT).parts}
    assert {"build", "codegen", "tensor"} <= names
    assert {n for n in names if any(fnmatch(n, pattern) for pattern in left_out)} == set()
