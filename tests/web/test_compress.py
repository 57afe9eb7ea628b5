"""Compressed copies: what is written, that it is the file, and that nothing else changes."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.web.compress import compress_folder
from tests.build.nets import classifier

TEXT = b"// words that come again and again\n" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("a.js", "sub/b.css", "graph.json", "types.d.ts", "photo.jpg", "zeros.bin"):
        (tmp_path / name).write_bytes(TEXT)
    (tmp_path / "small.js").write_bytes(TEXT[:1000])
    (tmp_path / "noise.bin").write_bytes(np.random.default_rng(0).bytes(1 << 16))
    return tmp_path


def test_what_gets_smaller_has_copies(folder: Path) -> None:
    brotli = pytest.importorskip("brotli", reason="the option fanlight[brotli] is not installed")
    found = compress_folder(folder)
    copies = {p.relative_to(folder).as_posix() for p in folder.rglob("*.[bg][rz]")}
    names = {"a.js", "sub/b.css", "zeros.bin"}
    assert copies == {name + end for name in names for end in (".br", ".gz")}
    for name in names:
        assert gzip.decompress((folder / f"{name}.gz").read_bytes()) == TEXT
        assert brotli.decompress((folder / f"{name}.br").read_bytes()) == TEXT
        assert (folder / f"{name}.br").stat().st_mtime_ns == (folder / name).stat().st_mtime_ns
    assert found.codings == ("br", "gz")
    assert found.brotli < found.gzip < found.before == 3 * len(TEXT) + (1 << 16)


def test_without_the_package_there_is_gzip_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    assert compress_folder(folder).codings == ("gz",)
    assert (folder / "a.js.gz").is_file() and not (folder / "a.js.br").exists()


def test_builds_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    for name in ("one", "two"):
        fl.build(classifier(), tmp_path / name, offline=True)
    one, two = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")
         if p.is_file()}
        for n in ("one", "two")
    )  # fmt: skip
    assert one == two and any(path.suffix == ".gz" for path in one)


def test_manifests_know_nothing_of_them(tmp_path: Path) -> None:
    manifests = []
    for compress in (True, False):
        fl.build(classifier(), tmp_path / "site", compress=compress)
        manifests.append((tmp_path / "site" / "manifest.json").read_bytes())
        assert bool(list((tmp_path / "site").glob("*.gz"))) is compress
    assert manifests[0] == manifests[1]
    assert not any(path.endswith((".gz", ".br")) for path in json.loads(manifests[0])["files"])
