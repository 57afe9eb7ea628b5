"""Projects as zips, in Chromium: what is packed is unpacked, Python opens it, and lies are told."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.web import studio_lab

pytestmark = pytest.mark.chromium

CLASSES = ["cat", "cat!", "<img src=x>", "con", "猫"]
FOLDERS = ["cat", "cat-2", "img-src-x", "class", "class-2"]
# A project of 12 photos; `readBlob` counts how many photos are in the page's hands at once.
MAKE = """async ({ classes, count, bytes, model }) => {
  const hex = async (blob) => [...new Uint8Array(await crypto.subtle.digest('SHA-256',
    await blob.arrayBuffer()))].map((b) => b.toString(16).padStart(2, '0')).join('');
  const { DEFAULTS } = await import('/web/studio/learning.js');
  const blobs = new Map();
  const examples = [];
  for (let i = 0; i < count; i++) {
    const data = new Uint8Array(bytes).map((_, k) => (k * 7 + i * 13) & 255);
    const type = i % 3 ? 'image/jpeg' : 'image/png';
    const blob = new Blob([data], { type });
    blobs.set(`e${i}`, blob);
    examples.push({ id: `e${i}`, project: 'p', class: `c${i % classes.length}`, added: 1000 + i,
      name: i === 1 ? '../../<b>.jpeg' : `photo ${i}.png`, width: 40, height: 30, bytes,
      hash: await hex(blob), source: 'file', held: i % 4 === 0 });
  }
  const report = { count: 2, loss: 0.5, accuracy: 1,
    perClass: [{ class: 'c0', count: 2, accuracy: 1 }],
    confusion: [[2]], cells: [[['e0', 'e5']]] };
  const settings = structuredClone(DEFAULTS);
  const project = { id: 'p', name: 'My <pets>', created: 5, updated: 6, version: 1,
    form: 'f'.repeat(64),
    classes: classes.map((name, i) => ({ id: `c${i}`, name, color: '#a0b1c2' })), settings,
    runs: [{ at: 7, settings, epochs: 2, history: { loss: [1, 0.5] }, report, seconds: 0.5,
      examples: count, stopped: 'done' }] };
  const rows = examples.slice(2).map(({ id }, i) => [id, Float32Array.of(i, 0.5, -i)]);
  const features = { form: 'f', of: new Map(rows) };
  const file = model && new Blob([Uint8Array.from(model)]);
  const steps = [];
  const zip = await packed(project, examples, async (id) => blobs.get(id), file, {
    features, onProgress: (...at) => steps.push(at) });
  Object.assign(globalThis, { project, examples, features, zip, blobs });
  const reader = new FileReader();
  await new Promise((resolve) => { reader.onload = resolve; reader.readAsDataURL(zip); });
  return { name: zip.name, data: reader.result.replace(/^[^,]*,/, ''), steps };
}"""
UNPACK = """async (given) => {
  const file = given == null ? zip
    : new Blob([Uint8Array.from(atob(given), (c) => c.charCodeAt(0))]);
  try {
    const found = await unpacked(file);
    const photos = found.examples.map(({ blob }) => [blob.type, blob.size]);
    return { project: found.project, model: found.model && found.model.size, photos,
      examples: found.examples.map(({ blob, ...rest }) => rest),
      features: found.features && [
        found.features.form, [...found.features.of].map(([k, v]) => [k, [...v]])] };
  } catch ({ name, code, reason, where, received, next }) {
    return { name, code, reason, where, received, next };
  }
}"""


# Count, from here on, the bytes that come of unpacking.
COUNTED = """async () => {
  const { Inflate } = await import('/node_modules/fflate/esm/browser.js');
  const { push } = Inflate.prototype;
  const known = new WeakSet();
  globalThis.came = 0;
  Inflate.prototype.push = function (...given) {
    const { ondata } = this;
    if (!known.has(this)) {
      this.ondata = (data, end) => { came += data.length; ondata(data, end); };
    }
    known.add(this);
    push.apply(this, given);
  };
}"""
# No array of so many bytes can be had.
NO_MEMORY = """(most) => {
  globalThis.bytesWere ??= Uint8Array;
  globalThis.Uint8Array = new Proxy(bytesWere, {
    construct(bytes, given) {
      if (given[0] === most) throw new RangeError('Array buffer allocation failed');
      return Reflect.construct(bytes, given);
    },
  });
}"""


@pytest.fixture
def studio(page: Any, tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "site").mkdir()
    with studio_lab.lab(tmp_path / "site") as site:
        yield studio_lab.enter(page, site, "project_zip", "archive")


def made(studio: Any, **how: Any) -> bytes:
    given = {"classes": CLASSES, "count": 12, "bytes": 3000, "model": None, **how}
    return base64.b64decode(studio.evaluate(MAKE, given)["data"])


def told(studio: Any, data: bytes) -> Any:
    return studio.evaluate(UNPACK, base64.b64encode(data).decode())


def again(data: bytes, change: Callable[[dict[str, bytes]], None], how: int = 0) -> bytes:
    """The same zip with other members."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def edited(data: bytes, edit: Callable[[Any], None]) -> bytes:
    """The same zip with another project.json."""

    def change(members: dict[str, bytes]) -> None:
        about = json.loads(members["project.json"])
        edit(about)
        members["project.json"] = json.dumps(about).encode()

    return again(data, change)


def test_a_project_goes_there_and_back(studio: Any) -> None:
    data = made(studio, model=[1, 2, 3, 4, 5])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        photos = [info for info in archive.infolist() if info.filename.startswith("photos/")]
        about = json.loads(archive.read("project.json"))
    assert {info.compress_type for info in photos} == {zipfile.ZIP_STORED}
    assert names[:3] == ["project.json", "model.safetensors", "features.bin"]
    assert {n.split("/")[1] for n in names[3:]} == set(FOLDERS)
    assert names[3:5] == ["photos/cat/1-photo-0.png", "photos/cat-2/1-b.jpg"]
    assert [c["name"] for c in about["classes"]] == CLASSES
    found = studio.evaluate(UNPACK)
    want = studio.evaluate("() => ({ project, examples })")
    assert found["project"] == want["project"] and found["model"] == 5
    assert found["examples"] == [{**e, "project": ""} for e in want["examples"]]
    assert found["photos"] == [["image/jpeg" if i % 3 else "image/png", 3000] for i in range(12)]
    form, rows = found["features"]
    assert form == "f" and rows == [[f"e{i + 2}", [i, 0.5, -i]] for i in range(10)]
    same = told(studio, again(data, lambda members: None, zipfile.ZIP_DEFLATED))
    assert same == found  # others pack it anew


def test_nothing_was_learnt_yet(studio: Any) -> None:
    data = made(studio, count=0, classes=["a", "b"])
    found = told(studio, data)
    assert found["model"] is None and found["features"] is None and found["examples"] == []


def test_python_opens_what_the_page_packed(studio: Any, tmp_path: Path) -> None:
    fl.clear_session()
    net = fl.Sequential([fl.Input((4,)), fl.layers.Dense(2, activation="softmax")])
    net.labels = CLASSES[:2]
    net.save(tmp_path / "m.safetensors")
    data = made(studio, model=list((tmp_path / "m.safetensors").read_bytes()))
    (tmp_path / "p.zip").write_bytes(data)
    model = fl.load(tmp_path / "p.zip")
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(model.predict(x), net.predict(x))
    assert list(model.labels) == CLASSES[:2]


def test_photos_are_in_memory_one_at_a_time(studio: Any) -> None:
    most, size, parts = studio.evaluate("""async () => {
      const { zipOf } = await import('/web/studio/archive.js');
      let now = 0, most = 0;
      const files = Array.from({ length: 40 }, (_, i) => [`${i}.jpg`, async () => {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve));
        now--;
        return new Uint8Array(1 << 20).fill(i);
      }]);
      const done = [];
      const zip = await zipOf('x.zip', files, { onProgress: (n) => done.push(n) });
      const list = await members(zip, (reason) => { throw new Error(reason); }, { bytes: 1e9 });
      const last = await list.get('39.jpg').bytes();
      return [most, zip.size, [list.size, last.length, last[5], done.at(-1)]];
    }""")
    assert most == 1 and size > 40 << 20 and parts == [40, 1 << 20, 39, 40]


def test_exporting_can_be_stopped(studio: Any) -> None:
    made(studio)
    name = studio.evaluate("""async () => {
      const stopper = new AbortController();
      const stop = () => stopper.abort();
      const one = await caught(packed(project, examples, async (id) => blobs.get(id), null, {
        signal: stopper.signal, onProgress: stop }));
      const other = new AbortController();
      const two = await caught(unpacked(zip, {
        signal: other.signal, onProgress: () => other.abort() }));
      return [one.name, two.name];
    }""")
    assert name == ["AbortError", "AbortError"]


def test_projects_that_are_wrong_say_why(studio: Any) -> None:
    data = made(studio, model=[1, 2])

    def wrong(edit: Callable[[Any], None], word: str) -> None:
        found = told(studio, edited(data, edit))
        assert found["code"] == "E-STUDIO-032" and found["next"], found
        assert word in json.dumps(found), found

    newer = told(studio, edited(data, lambda p: p.update(version=2)))
    assert newer["code"] == "E-STUDIO-031" and newer["received"] == 2
    for version in (0, "1", None):
        wrong(lambda p, v=version: p.update(version=v), "how it was written")  # type: ignore[misc]
    wrong(lambda p: p.update(name=""), "name")
    wrong(lambda p: p["classes"][0].update(color="red; x"), "classes[0].color")
    wrong(lambda p: p["classes"][1].update(name="cat"), "Two classes")
    wrong(lambda p: p["settings"].update(epochs=1e9), "settings.epochs")
    wrong(lambda p: p["settings"]["augment"].pop("flip"), "settings.augment.flip")
    wrong(lambda p: p["runs"][0].update(history=[1]), "history")
    wrong(lambda p: p["runs"][0]["history"].update(loss=["<b>"]), "history.loss[0]")
    wrong(lambda p: p["runs"][0]["report"].update(confusion=[["x"]]), "confusion[0][0]")
    for key in ("confusion", "cells"):  # as many rows and columns as classes

        def resized(p: Any, value: Any, key: str = key) -> None:
            p["runs"][0]["report"][key] = value

        one = [2] if key == "confusion" else [["e0"]]
        for value in ([], [one, one], [[]], [one * 2]):
            wrong(lambda p, v=value: resized(p, v), f"report.{key}")  # type: ignore[misc]
    wrong(lambda p: p["examples"][3].update({"class": "nobody"}), "of no class")
    wrong(lambda p: p["examples"][3].update(id="e0"), "twice")
    wrong(lambda p: p["examples"][3].update(hash="0" * 64), "changed")
    wrong(lambda p: p["examples"][3].update(bytes=2999), "missing")
    wrong(lambda p: p["examples"][3].update(file="photos/x"), "missing")
    wrong(lambda p: p["features"].update(width=9), "Features")
    wrong(lambda p: p["features"].update(of=["e99"]), "features.of[0]")
    wrong(lambda p: p["features"].update(of=["e2"] * 10), "twice")  # of the same size
    many = [f"e{i}" for i in range(300)]
    large = edited(
        made(studio, count=300, bytes=9), lambda p: p["features"].update(width=10**6, of=many)
    )
    assert "too many features" in told(studio, large)["reason"]
    for content in (b"{", b"[]", b"\xff\xfe", b"null"):
        changed = again(data, lambda m, c=content: m.update({"project.json": c}))  # type: ignore[misc]
        assert told(studio, changed)["code"] == "E-STUDIO-032"
    without = told(studio, again(data, lambda m: m.pop("project.json") and None))
    assert "no project" in without["reason"]


def test_hostile_zips_are_refused(studio: Any) -> None:
    data = made(studio)

    def refused(changed: bytes) -> str:
        found = told(studio, changed)
        assert found["code"] == "E-STUDIO-032", found
        return str(found["reason"])

    for name in ("../x", "/x", "a/../b", "a\\b", "c:x"):
        reason = refused(again(data, lambda m, n=name: m.update({n: b""})))  # type: ignore[misc]
        assert "name" in reason
    for end in (0, 10, len(data) // 2, len(data) - 1):
        assert "damaged" in refused(data[:end])
    bomb = bytearray(again(data, lambda m: None, zipfile.ZIP_DEFLATED))
    at = bomb.index(b"PK\x01\x02")
    bomb[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)
    assert "far too much" in refused(bytes(bomb))
    # A file that unpacks to more than it says, and one of other bytes.
    small = bytearray(again(data, lambda m: None, zipfile.ZIP_DEFLATED))
    size = struct.unpack("<I", small[at + 24 : at + 28])[0]
    small[at + 24 : at + 28] = struct.pack("<I", size - 9)
    assert "damaged" in refused(bytes(small))
    flipped = bytearray(data)
    flipped[data.index(b"PK\x01\x02") - 500] ^= 1
    assert refused(bytes(flipped))
    # Far more than it says: no more is unpacked than one piece of it gives.
    bomb = bytearray(again(data, lambda m: m.update({"project.json": bytes(1 << 26)}), 8))
    at = bomb.index(b"PK\x01\x02")
    bomb[at + 24 : at + 28] = struct.pack("<I", 1000)
    studio.evaluate(COUNTED)
    assert "damaged" in refused(bytes(bomb))
    assert 1000 < studio.evaluate("came") < 17 << 20
    # Where the browser has no memory for what one says it is.
    studio.evaluate(NO_MEMORY, 3000)
    assert "memory" in refused(data)
    studio.evaluate(NO_MEMORY, -1)
    # Two files that are the same bytes.
    twice = bytearray(data)
    one = twice.index(b"PK\x01\x02")
    two = twice.index(b"PK\x01\x02", one + 4)
    twice[two + 42 : two + 46] = twice[one + 42 : one + 46]
    assert "overlap" in refused(bytes(twice))
    rng = np.random.default_rng(0)
    for _ in range(40):
        random = bytearray(data)
        for _ in range(3):
            random[int(rng.integers(len(random)))] = int(rng.integers(256))
        found = told(studio, bytes(random))
        assert "project" in found or found["code"] in ("E-STUDIO-031", "E-STUDIO-032"), found
