"""fl.data.image_folder: folders, archives, labels, damage, and archives made to do harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fanlight as fl
from fanlight.data import archives
from fanlight.errors import FanlightError
from fanlight.pictures import decode_sized
from tests.support import SHARED

COLOURS = {"cat": (250, 10, 10), "dog": (10, 10, 250)}
DOG_CAT = SHARED / "data" / "images" / "dog_cat_160.tar"


def picture(
    colour: tuple[int, int, int], size: tuple[int, int] = (12, 8), kind: str = "PNG"
) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def folder(root: Path, each: int = 3) -> Path:
    for name, colour in COLOURS.items():
        (root / name / "deep").mkdir(parents=True)
        for i in range(each):
            place = root / name / ("deep" if i else "") / f"{name}.{i}.png"
            place.write_bytes(picture(colour, (12 + i, 8)))
    (root / "notes.txt").write_text("no picture")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "x.png").write_bytes(b"")
    return root


def refused(code: str, call: Any) -> FanlightError:
    with pytest.raises(FanlightError) as caught:
        call()
    assert caught.value.code == code, caught.value
    return caught.value


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    data = fl.data.image_folder(folder(tmp_path), size=(6, 10))
    assert len(data) == 6 and data.class_names == ["cat", "dog"]
    assert data.class_counts() == {"cat": 3, "dog": 3}
    for image, label in data:
        assert image.shape == (6, 10, 3) and image.dtype == np.float32 and label.dtype == np.int32
        assert np.abs(image - COLOURS[data.class_names[label]]).max() <= 1
    turned = fl.data.image_folder(tmp_path, 4, class_names=["dog", "cat"])
    assert int(turned.first()[1]) == 1 and turned.class_names == ["dog", "cat"]
    x, y = fl.data.image_folder(tmp_path, 4, dtype="uint8", channels=1).arrays()
    assert x.shape == (6, 4, 4, 1) and x.dtype == np.uint8 and y.tolist() == [0, 0, 0, 1, 1, 1]
    assert x[0, 0, 0, 0] == round(0.299 * 250 + 0.587 * 10 + 0.114 * 10)
    sizes = {image.shape for image, _ in fl.data.image_folder(tmp_path)}
    assert sizes == {(8, 12, 3), (8, 13, 3), (8, 14, 3)}


def test_labels_of_names_and_functions(tmp_path: Path) -> None:
    for name in ("cat.1.png", "cat_2.png", "dog-9.png", "dog 8.png"):
        (tmp_path / name).write_bytes(picture(COLOURS[name[:3]]))
    data = fl.data.image_folder(tmp_path, 4, label="prefix")
    assert data.class_counts() == {"cat": 2, "dog": 2}
    data = fl.data.image_folder(tmp_path, 4, label=lambda name: int(name.startswith("dog")))
    assert data.class_counts() == {0: 2, 1: 2} and data.class_names is None
    data = fl.data.image_folder(tmp_path, 4, label=None)
    assert data.first().shape == (4, 4, 3) and len(data) == 4
    error = refused("E-DATA-002", lambda: fl.data.image_folder(tmp_path, 4))
    assert 'label="prefix"' in str(error.next)
    refused("E-DATA-008", lambda: fl.data.image_folder(tmp_path, 4, label=lambda name: 1.5))
    refused("E-DATA-008", lambda: fl.data.image_folder(tmp_path, 4, label="names"))
    refused(
        "E-DATA-002", lambda: fl.data.image_folder(tmp_path, label="prefix", class_names=["cat"])
    )


def packed(root: Path, kind: str, to: Path) -> Path:
    files = sorted(p for p in root.rglob("*") if p.is_file())
    if kind == "zip":
        with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
            for p in files:
                archive.write(p, f"all/{p.relative_to(root)}")
        return to
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for p in files:
            archive.add(p, f"./all/{p.relative_to(root)}")
    packers: dict[str, Any] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    to.write_bytes(packers.get(kind, bytes)(out.getvalue()))
    return to


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "bz2", "xz"])
def test_archives_give_what_their_folders_give(tmp_path: Path, kind: str) -> None:
    root = folder(tmp_path / "files")
    want = fl.data.image_folder(root, 5).arrays()
    # The name of the archive says nothing about what it is.
    data = fl.data.image_folder(packed(root, kind, tmp_path / "archive.bin"), 5)
    found = data.shuffle(seed=0).prefetch(threads=4).arrays()
    assert data.class_names == ["cat", "dog"]
    np.testing.assert_array_equal(data.arrays()[0], want[0])
    np.testing.assert_array_equal(np.sort(found[1]), want[1])


def test_a_damaged_picture_is_named_or_left_out(tmp_path: Path, capsys: Any) -> None:
    root = folder(tmp_path)
    good = (root / "cat" / "cat.0.png").read_bytes()
    (root / "cat" / "deep" / "cat.1.png").write_bytes(good[: len(good) // 2])
    (root / "dog" / "dog.0.png").write_text("<html>not found</html>")
    data = fl.data.image_folder(root, 4)
    error = refused("E-DATA-003", lambda: list(data))
    assert "cat.1.png" in str(error.where) and 'on_error="skip"' in str(error.next)
    refused("E-DATA-003", lambda: list(data.batch(2).prefetch(threads=2)))
    data = fl.data.image_folder(root, 4, on_error="skip")
    assert len(data) == 4 and data.class_counts() == {"cat": 2, "dog": 2}
    assert [Path(name).name for name, _ in data.skipped] == ["cat.1.png", "dog.0.png"]
    assert "not an image" in data.skipped[1][1]
    assert len(list(data)) == 4 and data.batch(2).skipped == data.skipped
    assert "2 of 6 pictures" in capsys.readouterr().err


def test_nothing_to_read(tmp_path: Path) -> None:
    refused("E-DATA-002", lambda: fl.data.image_folder(tmp_path))
    refused("E-DATA-002", lambda: fl.data.image_folder(tmp_path / "missing"))
    root = folder(tmp_path / "files")
    (root / "bird").mkdir()
    error = refused("E-DATA-002", lambda: fl.data.image_folder(root))
    assert "bird" in str(error.where)
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    (root / "bird").rmdir()
    refused("E-DATA-002", lambda: fl.data.image_folder(root, on_error="skip"))


def test_arguments(tmp_path: Path) -> None:
    root = folder(tmp_path)
    for wrong in (
        {"size": 0},
        {"size": (1, 2, 3)},
        {"size": 2.5},
        {"size": (100_000, 100_000)},
        {"how": "fit"},
        {"dtype": "int8"},
        {"channels": 4},
        {"on_error": "ignore"},
    ):
        refused("E-DATA-008", lambda wrong=wrong: fl.data.image_folder(root, **wrong))


def test_sizes(tmp_path: Path) -> None:
    # Left half red, right half blue; upright after its EXIF orientation (6: turn right).
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20, 0] = pixels[:, 20:, 2] = 200
    image = Image.fromarray(pixels)
    out = io.BytesIO()
    image.save(out, "PNG")
    stretched = decode_sized(out.getvalue(), (10, 10))
    assert (
        stretched.shape == (10, 10, 3) and stretched[5, 1, 0] == 200 and stretched[5, 8, 2] == 200
    )
    cropped = decode_sized(out.getvalue(), (10, 10), "crop")
    assert cropped[0, 0, 0] == 200 and cropped[9, 9, 2] == 200
    padded = decode_sized(out.getvalue(), (20, 20), "pad")
    assert padded[:5].max() == 0 and padded[15:].max() == 0 and padded[10, 2, 0] == 200
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    upright = decode_sized(out.getvalue(), (40, 20))
    assert upright[5, 10, 0] > 150 and upright[35, 10, 2] > 150


# --- archives that are not to be trusted ----------------------------------------------------------


def tarred(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], pack: Any = bytes) -> Path:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, data in members:
            info.size = info.size or len(data)
            archive.addfile(info, io.BytesIO(data) if data else None)
    path.write_bytes(pack(out.getvalue()))
    return path


@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:\\x.png", "a\\..\\x.png"]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    data = picture((1, 2, 3))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), data)
    refused("E-DATA-005", lambda: fl.data.image_folder(tmp_path / "a.zip", label=None))
    for pack in (bytes, gzip.compress):
        path = tarred(tmp_path / "a.tar", [(tarfile.TarInfo(name), data)], pack)
        refused("E-DATA-005", lambda path=path: fl.data.image_folder(path, label=None))


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture((1, 2, 3)))
    members = []
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        info = tarfile.TarInfo(f"a/{kind.decode()}.png")
        info.type, info.linkname = kind, str(tmp_path / "secret.png")
        members.append((info, b""))
    path = tarred(tmp_path / "a.tar", members)
    refused("E-DATA-002", lambda: fl.data.image_folder(path))
    info = zipfile.ZipInfo("a/x.png")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, str(tmp_path / "secret.png"))
    refused("E-DATA-002", lambda: fl.data.image_folder(tmp_path / "a.zip"))


def test_bombs_are_not_unpacked(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(archives, "MOST_OF_ONE", 1 << 20)
    monkeypatch.setattr(archives, "MOST_IN_MEMORY", 4 << 20)
    zeros = bytes(2 << 20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/x.png", zeros)
    refused("E-DATA-005", lambda: fl.data.image_folder(tmp_path / "a.zip"))
    # A zip that lies about the size of what is in it.
    lying = (tmp_path / "a.zip").read_bytes().replace((2 << 20).to_bytes(4, "little"), b"\1\0\0\0")
    (tmp_path / "lying.zip").write_bytes(lying)
    data = fl.data.image_folder(tmp_path / "lying.zip", 4)
    assert refused("E-DATA-005", lambda: list(data)) or True
    for pack in (bytes, gzip.compress, bz2.compress, lzma.compress):
        path = tarred(tmp_path / "a.tar", [(tarfile.TarInfo("a/x.png"), zeros)], pack)
        refused("E-DATA-005", lambda path=path: fl.data.image_folder(path))
    # Many small files, or a giant one that is no picture and would only be passed over.
    many = [(tarfile.TarInfo(f"a/{i}.png"), bytes(900_000)) for i in range(6)]
    path = tarred(tmp_path / "a.tar", many, gzip.compress)
    refused("E-DATA-005", lambda: fl.data.image_folder(path))
    path = tarred(tmp_path / "a.tar", [(tarfile.TarInfo("x.bin"), bytes(5 << 20))], gzip.compress)
    refused("E-DATA-005", lambda: fl.data.image_folder(path))


def test_a_zip_of_terabytes_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(40):
            archive.writestr(f"a/{i}.png", b"x")
        for info in archive.infolist():
            info.file_size = 60 << 20  # the directory is written at the end
    refused("E-DATA-005", lambda: fl.data.image_folder(path))


def test_archives_that_are_damaged(tmp_path: Path) -> None:
    root = folder(tmp_path / "files")
    rng = np.random.default_rng(0)
    for kind in ("zip", "tar", "gz", "xz"):
        path = packed(root, kind, tmp_path / "archive")
        whole = path.read_bytes()
        # A tar has zeros at its end, which nobody misses.
        end = {"zip": len(whole) - 30, "tar": 3000}.get(kind, len(whole) // 2)
        for cut in (0, 1, 10, end):
            path.write_bytes(whole[:cut])
            with pytest.raises(FanlightError) as caught:
                fl.data.image_folder(path, 4).arrays()
            assert caught.value.code in ("E-DATA-002", "E-DATA-003", "E-DATA-005")
        for _ in range(12):
            noisy = bytearray(whole)
            for at in rng.integers(0, len(whole), 20):
                noisy[at] = rng.integers(256)
            path.write_bytes(noisy)
            try:
                fl.data.image_folder(path, 4).arrays()
            except FanlightError as error:
                assert error.code.startswith("E-DATA-00"), error
    (tmp_path / "text.zip").write_text("no archive at all")
    refused("E-DATA-005", lambda: fl.data.image_folder(tmp_path / "text.zip"))


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/x.png", picture((1, 2, 3)))
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    path.write_bytes(data)
    refused("E-DATA-005", lambda: list(fl.data.image_folder(path, 4)))


# --- a real one -----------------------------------------------------------------------------------


@pytest.mark.skipif(not DOG_CAT.exists(), reason="no shared photos")
def test_photos_of_dogs_and_cats() -> None:
    data = fl.data.image_folder(DOG_CAT, 32)
    assert data.class_counts() == {"cat": 400, "dog": 400}
    by_name = fl.data.image_folder(DOG_CAT, 32, label="prefix")
    assert by_name.class_counts() == data.class_counts()
    train, held = data.split(0.25, stratified=True, seed=1)
    assert held.class_counts() == {"cat": 100, "dog": 100}
    x, y = next(iter(train.shuffle(seed=1).batch(16).prefetch(threads=2)))
    assert x.shape == (16, 32, 32, 3) and 0 < y.mean() < 1 and 50 < x.mean() < 200
    assert os.path.exists(DOG_CAT)
