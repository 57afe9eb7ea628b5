"""How photos come in: whatever is given, each is ready to be kept or refused in words."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.web.server import Site
from tests.web.studio_lab import STUDIO, enter, lab
from tests.web.studio_photos import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    bad_photos,
    good_photos,
    quarters,
    saved,
)

GOOD, BAD = good_photos(), bad_photos()

# `file(name)`: one of the files served; `all(given, options)`: what intake gives, as plain data,
# with the colours in the middle of each quarter of the photo and of its small picture.
HELPERS = """() => {
  globalThis.file = async (name, as = name) => (
    new File([await (await fetch(`/files/${name}`)).arrayBuffer()], as));
  const look = async (blob) => {
    const bitmap = await createImageBitmap(blob);
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext('2d');
    context.drawImage(bitmap, 0, 0);
    const colours = [[1, 1], [3, 1], [1, 3], [3, 3]].map(([x, y]) => (
      [...context.getImageData(width * x >> 2, height * y >> 2, 1, 1).data].slice(0, 3)));
    return { size: [width, height], colours };
  };
  globalThis.plain = async (item) => {
    if (item.error) return { name: item.name, code: item.error.code, text: item.error.message };
    const { blob, thumb, ...rest } = item.photo;
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
    return { ...rest, folder: item.folder, type: blob.type, bytes: bytes.length,
      text: String.fromCharCode(...bytes.subarray(0, 60000)),
      right: rest.hash === [...digest].map((b) => b.toString(16).padStart(2, '0')).join(''),
      photo: await look(blob), thumb: { type: thumb.type, ...await look(thumb) } };
  };
  globalThis.all = async (given, options) => {
    const items = [];
    for await (const item of intake(given, options)) items.push(await plain(item));
    return items;
  };
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "files").mkdir()
    for name, data in GOOD.items():
        (folder / "files" / name).write_bytes(data)
    for name, (data, _, _) in BAD.items():
        (folder / "files" / name).write_bytes(data)
    with lab(folder) as site:
        yield site


@pytest.fixture
def tab(page: Any, site: Site) -> Any:
    enter(page, site, "intake", "images")
    page.evaluate(HELPERS)
    return page


def near(seen: list[list[int]], *expected: tuple[int, int, int], by: int = 30) -> bool:
    return all(abs(a - b) <= by for s, e in zip(seen, expected) for a, b in zip(s, e))


QUARTERS = (RED, GREEN, BLUE, WHITE)
# As the files are: nothing has to be written anew.
AS_IS = {"plain.jpg", "progressive.jpg", "plain.png", "palette.png", "plain.webp", "lossy.webp"}


def test_every_kind_of_photo(tab: Any) -> None:
    names = list(GOOD)
    code = "async (names) => all(await Promise.all(names.map((name) => file(name))))"
    items = tab.evaluate(code, names)
    assert tab.evaluate("() => Images.shared.why") == ""  # in a worker
    assert [item["name"] for item in items] == names  # in order
    for item in items:
        name = item["name"]
        assert "code" not in item, item
        assert (item["width"], item["height"]) == (64, 48), name
        assert item["photo"]["size"] == [64, 48] and item["thumb"]["size"] == [64, 48], name
        assert item["right"] and item["source"] == "file" and item["folder"] == ""
        by = 60 if name == "cmyk.jpg" else 30
        assert near(item["photo"]["colours"], *QUARTERS, by=by), (name, item["photo"])
        assert near(item["thumb"]["colours"], *QUARTERS, by=by), (name, item["thumb"])
        assert item["thumb"]["type"] == "image/jpeg"
        if name in AS_IS:
            assert item["text"].encode("latin1") == GOOD[name], name
        elif name != "turned1.jpg":
            assert item["type"] == "image/jpeg" and item["text"].encode("latin1") != GOOD[name]
        for secret in ("Exif", "somebody", "secret"):
            assert secret not in item["text"], name


def test_what_is_beside_a_photo_goes_and_the_photo_stays(tab: Any) -> None:
    """An upright JPEG is not written anew: its pixels are the very ones."""
    (item,) = tab.evaluate("async () => all(await file('turned1.jpg'))")
    kept = Image.open(io.BytesIO(item["text"].encode("latin1")))
    original = Image.open(io.BytesIO(GOOD["turned1.jpg"]))
    assert kept.tobytes() == original.tobytes()
    assert not kept.getexif() and original.getexif()


def test_what_is_no_photo_is_refused_in_words(tab: Any) -> None:
    code = "async (names) => all(await Promise.all(names.map((name) => file(name))))"
    for item in tab.evaluate(code, list(BAD)):
        _, code, words = BAD[item["name"]]
        assert item["code"] == code, item
        assert words in item["text"] and "next:" in item["text"], item


def test_no_header_upsets_the_reader(tab: Any) -> None:
    """Bytes changed and cut by chance: a header is read, or refused in words; nothing else."""
    wrong = tab.evaluate(
        """async (names) => {
          const { readHeader, Refusal } = await import('/web/studio/header.js');
          const { generator } = await import('/web/studio/learning.js');
          const random = generator(5);
          const below = (n) => Math.floor(random() * n);
          const wrong = [];
          for (const name of names) {
            const good = new Uint8Array(await (await file(name)).arrayBuffer());
            for (let i = 0; i < 400; i++) {
              const bytes = good.slice(0, random() < 0.3 ? below(good.length + 1) : good.length);
              for (let n = below(6); n > 0; n--) {
                const far = random() < 0.7 ? Math.min(200, bytes.length) : bytes.length;
                bytes[below(far)] = [0, 255, below(256), 127][below(4)];
              }
              try {
                const { width, height } = readHeader(bytes);
                if (!(width > 0 && height > 0)) wrong.push([name, width, height]);
              } catch (error) {
                if (!(error instanceof Refusal)) wrong.push([name, String(error), [...bytes]]);
              }
            }
          }
          return wrong;
        }""",
        [*GOOD, "phone.heic"],
    )
    assert wrong == []


def test_a_bad_file_hinders_nothing_else(tab: Any) -> None:
    items = tab.evaluate(
        """async () => all([await file('plain.jpg'), await file('cut.jpg'),
          new File([new Uint8Array(65 * 2 ** 20)], 'large.jpg'), await file('plain.png')])"""
    )
    assert [item.get("code") for item in items] == [None, "E-STUDIO-010", "E-STUDIO-011", None]
    assert "at most 64 MB" in items[2]["text"]


def test_large_photos_become_small(tab: Any, site: Site) -> None:
    (site.folder / "files/large.jpg").write_bytes(saved(quarters(4000, 3000), "JPEG"))
    (site.folder / "files/long.png").write_bytes(saved(quarters(9000, 4), "PNG"))
    large, long = tab.evaluate("async () => all([await file('large.jpg'), await file('long.png')])")
    assert (large["width"], large["height"]) == (1280, 960)
    assert large["photo"]["size"] == [1280, 960] and large["thumb"]["size"] == [160, 120]
    assert near(large["photo"]["colours"], *QUARTERS)
    assert long["photo"]["size"] == [1280, 1] and long["thumb"]["size"] == [160, 1]


def test_names_are_only_names(tab: Any) -> None:
    items = tab.evaluate(
        """async () => all(await Promise.all([
          '../../etc/pass\\u202ewd.jpg', 'x'.repeat(300) + '.jpeg', '<img src=x>.jpg',
          '\\u0007.png', 'C:\\\\photos\\\\cat.jpg'].map((name) => file('plain.jpg', name))))"""
    )
    names = [item["name"] for item in items]
    assert names[0] == "passwd.jpg"
    assert names[1] == "x" * 115 + ".jpeg"
    assert names[2:] == ["<img src=x>.jpg", ".png", "cat.jpg"]


def test_the_kind_is_in_the_bytes_not_in_the_name(tab: Any) -> None:
    (item,) = tab.evaluate("async () => all(await file('plain.png', 'photo.jpg'))")
    assert item["type"] == "image/png" and item["name"] == "photo.jpg"


def test_what_is_not_a_file(tab: Any) -> None:
    items = tab.evaluate(
        """async () => {
          const canvas = document.createElement('canvas');
          Object.assign(canvas, { width: 64, height: 48 });
          const bitmap = await createImageBitmap(await file('plain.png'));
          canvas.getContext('2d').drawImage(bitmap, 0, 0);
          const img = new Image();
          img.src = URL.createObjectURL(await file('plain.png'));
          const pixels = canvas.getContext('2d').getImageData(0, 0, 64, 48);
          const broken = new Image();
          broken.src = URL.createObjectURL(new Blob(['no']));
          const items = await all([canvas, bitmap, img, pixels, broken, await file('plain.jpg')]);
          return [...items, ...await all(canvas), bitmap.width];
        }"""
    )
    assert items.pop() == 64  # ours is left open
    broken = items.pop(4)
    assert broken["code"] == "E-STUDIO-010"
    for item in items:
        assert near(item["photo"]["colours"], *QUARTERS)
    assert [i["source"] for i in items] == [*["camera"] * 4, "file", "camera"]
    assert all(item["name"] for item in items)


def test_a_paste_and_a_drop_are_taken_when_they_happen(tab: Any) -> None:
    items = tab.evaluate(
        """async () => {
          const given = (file) => {
            const data = new DataTransfer();
            data.items.add(file);
            data.setData('text/plain', 'words');
            return data;
          };
          const photo = await file('plain.jpg');
          const paste = gather(new ClipboardEvent('paste', { clipboardData: given(photo) }));
          const drop = gather(new DragEvent('drop', { dataTransfer: given(photo) }));
          return [...await all(paste), ...await all(drop), ...await all(given(photo).files),
            ...await all(new DataTransfer())];
        }"""
    )
    assert [item.get("source") for item in items] == ["paste", "file", "file", None]
    assert items[3]["code"] == "E-STUDIO-013"


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """pets/cat with 130 photos, pets/dog/puppies with one, and what lies about in folders."""
    for i in range(130):
        path = tmp_path / f"pets/cat/{i:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(GOOD["plain.jpg"])
    files = {
        "cat/.DS_Store": b"x",
        "cat/Thumbs.db": b"x",
        "cat/notes.txt": b"notes",
        "cat/index": b"no photo, and no word about it",
        "dog/puppies/one.png": GOOD["plain.png"],
        "dog/puppies/cut.jpg": BAD["cut.jpg"][0],
    }
    for name, data in files.items():
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "pets"


def check_album(items: list[dict[str, Any]], source: str) -> None:
    photos = [item for item in items if "code" not in item]
    assert sorted((i["folder"], i["name"]) for i in photos) == [
        *(("cat", f"{i:03}.jpg") for i in range(130)),
        ("puppies", "one.png"),
    ]
    assert {item["source"] for item in photos} == {source}
    assert [i["name"] for i in items if "code" in i] == ["cut.jpg"]


def test_a_folder_that_is_chosen(tab: Any, album: Path) -> None:
    tab.evaluate(
        """() => {
          const input = document.createElement('input');
          Object.assign(input, { type: 'file', webkitdirectory: true });
          document.documentElement.append(input);
        }"""
    )
    tab.locator("input").set_input_files(album)
    check_album(tab.evaluate("() => all(document.querySelector('input').files)"), "file")


def test_a_folder_that_is_dropped(tab: Any, album: Path) -> None:
    tab.evaluate(
        """() => {
          document.documentElement.addEventListener('dragover', (event) => event.preventDefault());
          document.documentElement.addEventListener('drop', (event) => {
            event.preventDefault();
            globalThis.dropped = gather(event);
          });
        }"""
    )
    cdp = tab.context.new_cdp_session(tab)
    data = {"items": [], "files": [str(album)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        cdp.send("Input.dispatchDragEvent", {"type": kind, "x": 50, "y": 50, "data": data})
    tab.wait_for_function("() => globalThis.dropped")
    check_album(tab.evaluate("() => all(dropped)"), "file")


def test_it_tells_how_far_it_is_and_stops_when_told_to(tab: Any) -> None:
    seen, some, reason = tab.evaluate(
        """async () => {
          const photos = await Promise.all(Array(20).fill('plain.jpg').map((name) => file(name)));
          const seen = [];
          await all(photos, { onProgress: ({ done, count }) => seen.push([done, count]) });
          const stop = new AbortController();
          const some = [];
          let reason = '';
          try {
            for await (const item of intake(photos, { signal: stop.signal })) {
              if (some.push(item.photo.name) === 5) stop.abort();
            }
          } catch (error) {
            reason = error.name;
          }
          return [seen, some.length, reason];
        }"""
    )
    assert seen == [[n, 20] for n in range(21)]
    assert some == 5 and reason == "AbortError"


def test_without_a_worker_this_thread_does_it(tab: Any) -> None:
    why, items = tab.evaluate(
        """async () => {
          Images.worker = () => { throw new Error('no workers here'); };
          const items = await all(await Promise.all(
            ['plain.png', 'turned6.jpg', 'cut.jpg'].map((name) => file(name))));
          return [Images.shared.why, items];
        }"""
    )
    assert why == "no workers here"
    assert all(near(item["photo"]["colours"], *QUARTERS) for item in items[:2])
    assert items[2]["code"] == "E-STUDIO-010"


def test_the_worker_of_a_page_in_one_file(tab: Any) -> None:
    """As a classic script from a Blob, without any other file."""
    if not (STUDIO / "dist/imaging.js").is_file():
        pytest.skip("Studio's page is not bundled: make setup, or npm run studio")
    why, items = tab.evaluate(
        """async () => {
          const script = await (await fetch('/web/studio/dist/imaging.js')).blob();
          const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
          Images.worker = () => new Worker(url);
          const items = await all([await file('plain.png'), await file('cut.jpg')]);
          return [Images.shared.why, items];
        }"""
    )
    assert why == ""
    assert near(items[0]["photo"]["colours"], *QUARTERS) and items[1]["code"] == "E-STUDIO-010"


def test_a_worker_that_dies_is_replaced(tab: Any) -> None:
    error, item = tab.evaluate(
        """async () => {
          const script = `onmessage = () => { throw new Error('out of memory'); };
            postMessage({ id: 0 });`;
          const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
          Images.worker = () => new Worker(url);
          const [error] = await all(await file('plain.png'));
          Images.worker = null;
          return [error, (await all(await file('plain.png')))[0]];
        }"""
    )
    assert error["code"] == "E-STUDIO-010" and "out of memory" in error["text"]
    assert near(item["photo"]["colours"], *QUARTERS)


def test_the_sum_is_the_same_on_plain_http(tab: Any) -> None:
    assert tab.evaluate(
        """async () => {
          const { sha256 } = await import('/web/studio/sha256.js');
          const samples = [0, 1, 55, 56, 63, 64, 65, 1000, 70001].map((size) => (
            Uint8Array.from({ length: size }, (_, i) => i * 7)));
          const native = await Promise.all(samples.map(sha256));
          Object.defineProperty(crypto, 'subtle', { value: undefined });
          const ours = await Promise.all(samples.map(sha256));
          return ours.every((sum, i) => sum === native[i]) && native[0].length === 64;
        }"""
    )
