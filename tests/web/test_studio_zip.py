"""Photos in a zip file, and zip files that mean harm."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.web.server import Site
from tests.web.studio_lab import enter, lab
from tests.web.studio_photos import bad_photos, good_photos

PHOTO = good_photos()["plain.jpg"]
PNG = good_photos()["plain.png"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "files").mkdir()
    with lab(folder) as site:
        yield site


@pytest.fixture
def tab(page: Any, site: Site) -> Any:
    return enter(page, site, "intake", "zip")


def packed(files: dict[str, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def taken(tab: Any, site: Site, data: bytes, name: str = "photos.zip") -> list[dict[str, Any]]:
    """What comes of a zip file: name, folder, size of each, or its error."""
    (site.folder / "files/it.zip").write_bytes(data)
    return tab.evaluate(
        """async (name) => {
          const data = await (await fetch('/files/it.zip', { cache: 'no-store' })).arrayBuffer();
          const items = [];
          for await (const { photo, folder, error, ...rest } of intake(new File([data], name))) {
            items.push(error ? { name: rest.name, code: error.code, text: error.message }
              : { name: photo.name, folder, source: photo.source,
                size: [photo.width, photo.height] });
          }
          return items;
        }""",
        name,
    )


def test_folders_of_a_zip_name_classes(tab: Any, site: Site) -> None:
    files = {
        "pets/": b"",
        "pets/cat/one.jpg": PHOTO,
        "pets\\dog\\two.png": PNG,
        "top.jpg": PHOTO,
        "pets/größe/drei.jpg": PHOTO,
        "__MACOSX/pets/cat/._one.jpg": b"x",
        "pets/.DS_Store": b"x",
        "pets/cat/Thumbs.db": b"x",
        "pets/labels.csv": b"a,b",
        "pets/unknown": b"no photo",
        "pets/cut.jpg": bad_photos()["cut.jpg"][0],
        "pets/more.zip": packed({"x.jpg": PHOTO}),
    }
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        items = taken(tab, site, packed(files, compression=method))
        photos = [item for item in items if "code" not in item]
        assert [(p["folder"], p["name"]) for p in photos] == [
            ("cat", "one.jpg"),
            ("dog", "two.png"),
            ("", "top.jpg"),
            ("größe", "drei.jpg"),
        ]
        assert all(p["source"] == "zip" and p["size"] == [64, 48] for p in photos)
        errors = [(item["name"], item["code"]) for item in items if "code" in item]
        # What stands first in the zip is known first: the nested one is told before any photo.
        assert errors == [("more.zip", "E-STUDIO-012"), ("cut.jpg", "E-STUDIO-010")]


def test_a_zip_is_known_by_its_bytes_and_may_have_a_comment(tab: Any, site: Site) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"PK" * 1000
        with archive.open(zipfile.ZipInfo("a.jpg"), "w") as file:  # its sum comes after it
            file.write(PHOTO)
    (item,) = taken(tab, site, buffer.getvalue(), "download")
    assert item["name"] == "a.jpg"


def _sizes(data: bytes, size: int) -> bytes:
    """The list says another size of the first file."""
    changed = bytearray(data)
    at = changed.index(b"PK\x01\x02")
    changed[at + 24 : at + 28] = struct.pack("<I", size)
    return bytes(changed)


def _overlapping(data: bytes) -> bytes:
    """All files of the list are the first one."""
    changed = bytearray(data)
    at = -1
    while (at := changed.find(b"PK\x01\x02", at + 1)) >= 0:
        changed[at + 42 : at + 46] = bytes(4)
    return bytes(changed)


def _flag(data: bytes) -> bytes:
    changed = bytearray(data)
    at = changed.index(b"PK\x01\x02")
    changed[at + 8] |= 1
    return bytes(changed)


def _damaged(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[len(changed) // 4] ^= 255
    return bytes(changed)


def _zip64(data: bytes) -> bytes:
    return data[:-6] + b"\xff\xff\xff\xff\0\0"


two = packed({"a.jpg": PHOTO, "b.jpg": PHOTO})
HARM: dict[str, tuple[bytes, str]] = {
    "up": (packed({"a.jpg": PHOTO, "cat/../../b.jpg": PHOTO}), "leads out of itself"),
    "up2": (packed({"..\\b.jpg": PHOTO}), "leads out of itself"),
    "root": (packed({"/etc/b.jpg": PHOTO}), "leads out of itself"),
    "drive": (packed({"C:\\b.jpg": PHOTO}), "leads out of itself"),
    "bomb": (
        packed({f"{i}.bmp": bytes(2_000_000) for i in range(40)}, compression=zipfile.ZIP_DEFLATED),
        "far too much",
    ),
    "many": (packed({f"{i}.jpg": b"" for i in range(10_001)}), "too many files"),
    "overlap": (_overlapping(two), "overlap"),
    "locked": (_flag(two), "password"),
    "cut": (two[: len(two) // 2], "cut off"),
    "cut2": (two[:-100], "cut off"),
    "zip64": (_zip64(two), "too large"),
    "no list": (b"PK\x03\x04" + bytes(100), "damaged"),
    "list": (two.replace(b"PK\x01\x02", b"PK\x01\x03"), "damaged"),
}


def test_harm_is_refused_before_anything_is_unpacked(tab: Any, site: Site) -> None:
    for name, (data, words) in HARM.items():
        items = taken(tab, site, data)
        assert [item.get("code") for item in items] == ["E-STUDIO-012"], (name, items)
        assert words in items[0]["text"] and "next:" in items[0]["text"], (name, items)


def test_one_bad_file_in_a_zip_hinders_no_other(tab: Any, site: Site) -> None:
    deflated = packed({"a.jpg": PHOTO * 3, "b.jpg": PHOTO}, compression=zipfile.ZIP_DEFLATED)
    # Large, but not packed enough to be a bomb.
    noise = np.random.default_rng(1).integers(0, 256, 2**20, np.uint8).tobytes()
    large = packed({"a.jpg": bytes(65 * 2**20), "b.jpg": PHOTO, "c.bin": noise}, compression=8)
    method = bytearray(two)
    method[method.index(b"PK\x01\x02") + 10] = 12
    cases = [
        (_sizes(deflated, 50), "E-STUDIO-012", "more than it says"),
        (_sizes(deflated, len(PHOTO) * 3 + 1), "E-STUDIO-012", "damaged"),
        (_damaged(two), "E-STUDIO-012", "damaged"),
        (bytes(method), "E-STUDIO-012", "method 12"),
        (large, "E-STUDIO-011", "at most 64 MB"),
    ]
    for data, code, words in cases:
        items = taken(tab, site, data)
        assert items[0].get("code") == code and words in items[0]["text"], items
        assert items[1]["name"] == "b.jpg" and "code" not in items[1]


def test_no_zip_upsets_the_reader(tab: Any, site: Site) -> None:
    """Bytes changed and cut by chance: files come out as they were put in, or are refused."""
    files = {"cat/a.jpg": PHOTO, "b.png": PNG, "c.bmp": bytes(5000)}
    (site.folder / "files/fuzz.zip").write_bytes(packed(files, compression=zipfile.ZIP_DEFLATED))
    wrong, read = tab.evaluate(
        """async () => {
          const { Refusal } = await import('/web/studio/header.js');
          const { generator } = await import('/web/studio/learning.js');
          const random = generator(9);
          const below = (n) => Math.floor(random() * n);
          const good = new Uint8Array(await (await fetch('/files/fuzz.zip')).arrayBuffer());
          const contents = new Map();
          for (const entry of await listZip(new Blob([good]))) {
            contents.set(entry.crc, String(await unzipped(new Blob([good]), entry)));
          }
          const wrong = [];
          let read = 0;
          for (let i = 0; i < 1500; i++) {
            const bytes = good.slice(random() < 0.1 ? below(100) : 0);
            for (let n = below(4); n > 0; n--) {
              const at = random() < 0.7 ? bytes.length - 1 - below(250) : below(bytes.length);
              bytes[at] = [0, 255, below(256), 1][below(4)];
            }
            try {
              const zip = new Blob([bytes]);
              for (const entry of await listZip(zip)) {
                const same = String(await unzipped(zip, entry)) === contents.get(entry.crc);
                if (!same) wrong.push(['other bytes', entry]);
                read++;
              }
            } catch (error) {
              if (!(error instanceof Refusal)) wrong.push([String(error.stack), [...bytes]]);
            }
          }
          return [wrong, read];
        }"""
    )
    assert wrong == []
    assert read > 100


def test_an_empty_zip_has_no_photos(tab: Any, site: Site) -> None:
    for data in (packed({}), packed({"notes.txt": b"notes"})):
        (item,) = taken(tab, site, data)
        assert item["code"] == "E-STUDIO-013"
