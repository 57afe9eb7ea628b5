"""The process that opens an HDF5 file first: started ahead, and found again by the reader."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from fanlight.errors import FanlightError
from fanlight.formats.keras import guard

h5py = pytest.importorskip("h5py")


@pytest.fixture(autouse=True)
def none_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that ended early leaves a process that nobody waits for."""
    monkeypatch.setattr(guard, "_started", {})


def started() -> list[object]:
    return list(guard._started)


def hdf5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["x"] = [1.0, 2.0]
    return path


def test_a_process_started_ahead_is_the_one_that_is_waited_for(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5")
    guard.ahead(path)
    (process,) = guard._started.values()
    with guard.Probe(path, path) as probe:
        assert probe._process is process and not guard._started
        probe.wait()
    assert process.returncode == 0


def test_so_is_that_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(hdf5(tmp_path / "w.h5"), guard.MEMBER)
    guard.ahead(path)
    (process,) = guard._started.values()
    guard.probe(path, path, guard.MEMBER)
    assert process.returncode == 0 and not guard._started


def test_a_file_that_changed_meanwhile_has_a_process_of_its_own(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5")
    guard.ahead(path)
    (process,) = guard._started.values()
    try:
        path.write_bytes(b"\x89HDF\r\n\x1a\n and no more")
        with pytest.raises(FanlightError, match="E-FORMAT-021"):
            guard.probe(path, path)
        assert len(guard._started) == 1
    finally:
        guard._started.clear()
        guard._stop(process)


def test_of_other_files_nothing_is_started(tmp_path: Path) -> None:
    for name, data in {"a.h5": b"", "a.keras": b"no zip", "a.zip": b"PK\x03\x04"}.items():
        (tmp_path / name).write_bytes(data)
        guard.ahead(tmp_path / name)
    guard.ahead(tmp_path / "absent.h5")
    guard.ahead(tmp_path)
    assert started() == []
