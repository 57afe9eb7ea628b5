"""Duplicates among photos, and altered copies of them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.web.server import Site
from tests.web.studio_lab import enter, lab
from tests.web.studio_photos import BLUE, GREEN, RED, WHITE, quarters, saved


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "files").mkdir()
    (folder / "files/quarters.png").write_bytes(saved(quarters(96, 96), "PNG"))
    square = Image.new("RGB", (96, 96), WHITE)
    square.paste(BLUE, (36, 36, 60, 60))
    (folder / "files/square.png").write_bytes(saved(square, "PNG"))
    with lab(folder) as site:
        yield site


@pytest.fixture
def tab(page: Any, site: Site) -> Any:
    enter(page, site, "duplicates", "augment", "learning")
    page.evaluate(
        """() => {
          globalThis.rowsOf = (text, size) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const all = new Float32Array(bytes.buffer);
            const count = all.length / size;
            return new Map(Array.from({ length: count }, (_, i) => (
              [`${i}`, all.slice(i * size, (i + 1) * size)])));
          };
        }"""
    )
    return page


def features(count: int, size: int, seed: int = 1) -> np.ndarray:
    """Rows of which some are nearly others, many times as long."""
    rng = np.random.default_rng(seed)
    rows = rng.random((count, size), np.float32)
    for i in range(3, count, 7):
        near = rows[i // 2] + rng.normal(0, 0.3 * rng.random(), size)
        rows[i] = near * rng.uniform(0.1, 50)
    return rows.astype(np.float32)


def expected(rows: np.ndarray, threshold: float) -> dict[tuple[int, int], float]:
    unit = rows.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosines = unit @ unit.T
    found = np.argwhere(np.tril(cosines >= threshold, -1))
    return {(int(j), int(i)): float(cosines[i, j]) for i, j in found}


def text(rows: np.ndarray) -> str:
    return base64.b64encode(rows.tobytes()).decode()


def check(pairs: list[dict[str, Any]], rows: np.ndarray, threshold: float) -> None:
    found = {(int(p["a"]), int(p["b"])): p["similarity"] for p in pairs}
    wanted = expected(rows, threshold)
    assert found.keys() == wanted.keys() and len(found) == len(pairs)
    assert all(abs(found[key] - wanted[key]) < 1e-5 for key in wanted)
    assert [p["similarity"] for p in pairs] == sorted(found.values(), reverse=True)


@pytest.mark.parametrize(("count", "size"), [(1, 8), (2, 8), (53, 13), (201, 64), (700, 128)])
def test_near_duplicates_are_those_of_numpy(tab: Any, count: int, size: int) -> None:
    rows = features(count, size)
    pairs = tab.evaluate("([t, size]) => near(rowsOf(t, size))", [text(rows), size])
    check(pairs, rows, 0.97)
    assert count < 50 or len(pairs) > 3
    pairs = tab.evaluate("([t, s]) => near(rowsOf(t, s), { threshold: 0.9 })", [text(rows), size])
    check(pairs, rows, 0.9)


def test_new_photos_are_compared_with_all(tab: Any) -> None:
    """In three goes, with some known already: together they find what one go finds."""
    rows = features(150, 32)
    pairs = tab.evaluate(
        """async (t) => {
          const all = [...rowsOf(t, 32)];
          const search = new Near(0.97);
          const pairs = [];
          for (const some of [all.slice(0, 101), all.slice(90, 102), all]) {
            pairs.push(...await search.add(new Map(some)));
          }
          return pairs.sort((a, b) => b.similarity - a.similarity);
        }""",
        text(rows),
    )
    check(pairs, rows, 0.97)


def test_removed_photos_are_not_compared_again(tab: Any) -> None:
    assert tab.evaluate(
        """async () => {
          const row = Float32Array.of(1, 2, 3);
          const search = new Near();
          await search.add(new Map([['a', row], ['b', row], ['c', row]]));
          search.remove(['a', 'nobody']);
          const pairs = await search.add(new Map([['d', row]]));
          return pairs.map(({ a, b }) => a + b).sort();
        }"""
    ) == ["bd", "cd"]


def test_rows_without_a_direction_are_passed_over(tab: Any) -> None:
    assert (
        tab.evaluate(
            """async () => (await near(new Map([['a', Float32Array.of(0, 0)],
          ['b', Float32Array.of(0, 0)], ['c', Float32Array.of(NaN, 1)], ['d', Float32Array.of(1)],
          ['e', Float32Array.of(Infinity, 1)], ['f', Float32Array.of(1, 1)]]))).length"""
        )
        == 0
    )


def test_one_photo_many_times_is_bounded_and_can_be_stopped(tab: Any) -> None:
    count, most, name = tab.evaluate(
        """async () => {
          const one = Float32Array.of(1, 2, 3, 4);
          const many = new Map(Array.from({ length: 3000 }, (_, i) => [`${i}`, one]));
          const pairs = await near(many);
          const stop = new AbortController();
          const rows = rowsOf(btoa('abcdefghijkl'.repeat(200000)), 500);
          const search = near(rows, { signal: stop.signal });
          setTimeout(() => stop.abort());
          return [pairs.length, MAX_PAIRS, (await caught(search)).name];
        }"""
    )
    assert count == most and name == "AbortError"


def test_the_very_same_photos(tab: Any) -> None:
    pairs = tab.evaluate(
        """() => exact(['x', 'y', 'x', 'z', 'x', 'y'].map((hash, i) => ({ id: `${i}`, hash })))"""
    )
    assert [(p["a"], p["b"], p["similarity"]) for p in pairs] == [
        ("0", "2", 1),
        ("0", "4", 1),
        ("1", "5", 1),
    ]


OFF = {"copies": 1, "rotate": 0, "shift": 0, "zoom": 0, "flip": False, "brightness": 0}


def copies(
    tab: Any,
    count: int = 1,
    seed: int = 0,
    size: Any = 96,
    photo: str = "quarters.png",
    **changes: Any,
) -> np.ndarray:
    """Altered copies of a photo, [count, height, width, 3]."""
    data = tab.evaluate(
        """async ([photo, augment, options]) => {
          const blob = await (await fetch(`/files/${photo}`)).blob();
          const bitmap = await createImageBitmap(blob);
          const made = await augmented(bitmap, augment, options);
          const again = await augmented(blob, augment, options);
          const bytes = (image) => {
            const { width, height } = image;
            const context = new OffscreenCanvas(width, height).getContext('2d');
            context.drawImage(image, 0, 0);
            return context.getImageData(0, 0, width, height).data;
          };
          if (!bitmap.width) throw new Error('the bitmap was closed');
          const [all, same] = [made, again].map((images) => images.map(bytes));
          if (JSON.stringify(all) !== JSON.stringify(same)) throw new Error('not the same again');
          return { shape: [made.length, made[0].height, made[0].width, 4],
            data: all.map((one) => btoa(Array.from(one, (b) => String.fromCharCode(b)).join(''))) };
        }""",
        [photo, OFF | changes, {"count": count, "seed": seed, "size": size}],
    )
    raw = b"".join(base64.b64decode(part) for part in data["data"])
    return np.frombuffer(raw, np.uint8).reshape(data["shape"])[..., :3].astype(int)


def colours(image: np.ndarray) -> list[tuple[int, ...]]:
    """In the middle of each quarter."""
    h, w = image.shape[0] // 4, image.shape[1] // 4
    return [tuple(image[y * h, x * w]) for y, x in [(1, 1), (1, 3), (3, 1), (3, 3)]]


def test_nothing_to_alter_changes_nothing(tab: Any) -> None:
    (image,) = copies(tab)
    assert np.array_equal(image, np.asarray(quarters(96, 96)))
    (image,) = copies(tab, size=[48, 64])
    assert image.shape == (48, 64, 3)
    assert colours(image) == [RED, GREEN, BLUE, WHITE]


def test_seeds_and_photos_make_different_copies_each_as_often_as_wanted(tab: Any) -> None:
    ways = {"rotate": 20, "shift": 0.1, "zoom": 0.2, "flip": True, "brightness": 0.2}
    five = copies(tab, count=5, seed=3, **ways)
    assert len({image.tobytes() for image in five}) == 5
    assert np.array_equal(five[:2], copies(tab, count=2, seed=3, **ways))
    assert not np.array_equal(five, copies(tab, count=5, seed=4, **ways))
    seeds = tab.evaluate(
        "() => [1, 2, 3].flatMap((n) => ['a', 'b', 'ab', 'ba', ''].map((id) => seedOf(n, id)))"
    )
    assert len(set(seeds)) == 15


def test_a_worker_draws_the_same_and_a_page_without_one_does_it_itself(tab: Any) -> None:
    found = tab.evaluate(
        """async (augment) => {
          const { Images } = await import('/web/studio/images.js');
          let canvases = 0;
          const Own = OffscreenCanvas;
          globalThis.OffscreenCanvas = class extends Own {
            constructor(...size) { super(...size); canvases++; }
          };
          const blob = await (await fetch('/files/quarters.png')).blob();
          const bytes = (image) => {
            const context = new Own(image.width, image.height).getContext('2d');
            context.drawImage(image, 0, 0);
            return String(context.getImageData(0, 0, image.width, image.height).data);
          };
          const how = { seed: 5, count: 3, size: [48, 64] };
          const there = (await Images.shared.copies(blob, augment, how)).map(bytes);
          const drawn = canvases;
          const here = (await augmented(blob, augment, how)).map(bytes);
          Images.worker = () => { throw new Error('no workers here'); };
          const alone = (await new Images().copies(blob, augment, how)).map(bytes);
          const bad = (await caught(Images.shared.copies(new Blob(['no']), augment, how))).code;
          const same = [here, alone].map((all) => String(all) === String(there));
          return [there.length, drawn, same, canvases > 0, bad];
        }""",
        OFF | {"rotate": 20, "shift": 0.1, "flip": True, "brightness": 0.2},
    )
    assert found == [3, 0, [True, True], True, "E-STUDIO-010"]


def test_half_of_them_are_mirrored(tab: Any) -> None:
    seen = [colours(image) for image in copies(tab, count=60, flip=True)]
    mirrored = seen.count([GREEN, RED, WHITE, BLUE])
    assert 15 <= mirrored <= 45 and mirrored + seen.count([RED, GREEN, BLUE, WHITE]) == 60


def test_brightness_is_a_factor(tab: Any) -> None:
    plain = np.asarray(quarters(96, 96)).astype(float)
    factors = []
    for image in copies(tab, count=40, brightness=0.1):
        factor = image[70, 10, 2] / plain[70, 10, 2]  # the blue, which this makes never too bright
        assert 0.89 <= factor <= 1.11
        assert np.abs(image - np.clip(plain * factor, 0, 255)).max() <= 2
        factors.append(factor)
    assert min(factors) < 0.95 and max(factors) > 1.05


def test_a_shift_moves_it_and_mirrors_the_edge(tab: Any) -> None:
    moved = set()
    for image in copies(tab, count=30, shift=0.2):
        corner = np.argwhere(np.abs(image - WHITE).sum(2) < 60)
        top, left = corner.min(0)
        assert 28 <= top <= 68 and 28 <= left <= 68
        # Mirrored at the edge, the quarters go on: nothing else is ever seen.
        near = [np.abs(image - colour).sum(2).min(initial=999) for colour in (RED, GREEN, BLUE)]
        assert max(near) < 60
        dark = (image.max(2) < 100).sum()
        assert dark == 0
        moved.add((top, left))
    assert len(moved) > 15


def test_a_zoom_keeps_the_middle(tab: Any) -> None:
    zooms = []
    for image in copies(tab, count=30, zoom=0.5, photo="square.png"):
        square = np.argwhere(np.abs(image - BLUE).sum(2) < 200)
        assert np.abs(square.mean(0) - 47.5).max() < 1
        zooms.append((np.ptp(square, axis=0) + 1).mean() / 24)
    assert 0.63 < min(zooms) < 0.85 and 1.2 < max(zooms) < 1.55


def test_a_rotation_turns_about_the_middle_within_its_bounds(tab: Any) -> None:
    angles = []
    for image in copies(tab, count=30, rotate=30):
        # The border of red and green above the middle: how far to the side it is 30 pixels up.
        row = image[48 - 30]
        red = np.flatnonzero(np.abs(row - RED).sum(1) < 120)
        edge = red[red < 80].max() + 1 - 48
        angles.append(np.degrees(np.arctan2(edge, 30)))
    assert -33 <= min(angles) < -10 and 10 < max(angles) <= 33
