"""The table of tests/conformance.py cannot lie: it is of what tests that passed have compared."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests import conformance
from tests.support import run_python

SUITE = """
import pytest
from tests.conformance import IN_KERAS, compared, counted

@pytest.fixture
def breaks():
    yield
    raise ValueError("afterwards")

def test_passes():
    compared("layers", "Dense", "outputs", "configs")
    counted(IN_KERAS, 3, of=4)

def test_passes_too():
    compared("layers", "Dense", "outputs")
    compared("activations", "sparsemax", "defined")
    counted(IN_KERAS, 1, of=1)

def test_fails():
    compared("layers", "Conv2D", "outputs")
    counted(IN_KERAS, 100, of=100)
    assert False

def test_is_skipped():
    compared("layers", "Conv1D", "outputs")
    pytest.skip("not here")

def test_breaks_afterwards(breaks):
    compared("layers", "Conv3D", "outputs")

@pytest.mark.xfail(strict=True)
def test_is_known_to_fail():
    compared("layers", "LSTM", "outputs")
    assert False
"""


def run(folder: Any, *arguments: str) -> Any:
    (folder / "test_suite.py").write_text(SUITE)
    return run_python(
        *("-m", "pytest", "-p", "tests.conformance", "-p", "no:cacheprovider", "--rootdir", "."),
        *("-q", *arguments),
        cwd=folder,
    )


def test_only_tests_that_passed_count(tmp_path: Any) -> None:
    done = run(tmp_path)
    row = next(line for line in done.stdout.splitlines() if line.startswith("layers  "))
    public = len(conformance.members()["layers"])
    cells = row.split()
    assert cells[:2] == ["layers", str(public)]
    assert [cells[i] for i in (2, 5, 8, 11)] == ["1", "0", "0", "1"], row  # Dense, and its config
    assert "4 of 5 saved models answer in Keras" in done.stdout
    assert "zeros where several have a share: sparsemax" in done.stdout
    # All of it ran, so what nothing compares is the failure of a test, by name.
    assert done.returncode == 1
    assert "layers: Conv2D, outputs" in done.stdout and "layers: Dense, 20 steps" in done.stdout
    assert "layers: Dense, outputs" not in done.stdout
    assert "FAILED tests/conformance.py::what_is_public_is_compared" in done.stdout
    assert "2 failed, 3 passed" in done.stdout


def test_a_part_of_the_suite_need_not_compare_all(tmp_path: Any) -> None:
    done = run(tmp_path, "-k", "passes_too")
    assert done.returncode == 0, done.stdout
    assert "1 of 1 saved models answer in Keras" in done.stdout
    assert "what_is_public" not in done.stdout and "Conv2D" not in done.stdout
    done = run(tmp_path, "test_suite.py::test_passes")
    assert done.returncode == 0 and "3 of 4 saved models" in done.stdout
    assert "what_is_public" not in done.stdout


def test_members_are_public_and_tables_name_them() -> None:
    members = conformance.members()
    assert set(members) == set(conformance.COLUMNS)
    assert len(members["layers"]) > 100 and "Dense" in members["layers"]
    assert set(members["layers"]) >= conformance.LEARNING
    for kind, reasons in conformance.ELSEWHERE.items():
        assert reasons.keys() <= set(members[kind])
    for (kind, column), reasons in conformance.WITHOUT.items():
        assert column in conformance.COLUMNS[kind] and reasons.keys() <= set(members[kind])


def test_what_is_missing_is_named() -> None:
    names = {
        (kind, column): set(conformance.wanted(kind, column, public))
        for kind, public in conformance.members().items()
        for column in conformance.COLUMNS[kind]
    }
    assert conformance.missing(names) == []
    names["layers", "20 steps"].remove("Conv2D")
    names["activations", "outputs"] -= {"sparsemax", "relu"}
    names["activations", "defined"] = {"sparsemax", "relu"}  # the second has to be Keras's
    assert conformance.missing(names) == [
        "layers: Conv2D, 20 steps",
        "activations: relu, outputs",
    ]


def test_notes_are_of_known_kinds() -> None:
    with pytest.raises(KeyError):
        conformance.compared("layer", "Dense", "outputs")
    with pytest.raises(AssertionError):
        conformance.compared("layers", "Dense", "output")
    with pytest.raises(AssertionError):
        conformance.counted("cases of something", 1, of=1)


def test_nothing_is_printed_where_nothing_is_compared() -> None:
    terminal = SimpleNamespace(stats={"passed": []})
    assert conformance.found(terminal) == ({}, {})
