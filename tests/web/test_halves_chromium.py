"""float16 weights in a real Chromium: exact, on both modules, in a page that is one file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.codegen.wasm.module import Module
from tests.build.nets import classifier
from tests.codegen.test_expand import HALVES, float_bits
from tests.web import halves
from tests.web.server import Site
from tests.web.test_page_chromium import open_page, picture

pytestmark = pytest.mark.chromium

RUN = "model.run({ x: Float32Array.from({ length: 64 }, (_, i) => i - 30) })"


def test_every_half_is_exact(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      const memory = new WebAssembly.Memory({ initial: 6 });
      const bytes = await (await fetch('half/expand.wasm')).arrayBuffer();
      const { instance } = await WebAssembly.instantiate(bytes, { fanlight: { memory } });
      const expand = () => {
        new Uint16Array(memory.buffer, 1024 + 131072, 65536).forEach((_, i, a) => { a[i] = i; });
        instance.exports.expand(1024, 65536);
        return [...new Uint32Array(memory.buffer, 1024, 65536)];
      };
      // The optimising compiler takes over after some calls, and must find the same.
      const first = expand();
      for (let i = 0; i < 50; i++) expand();
      return [first, expand()];
    }""")
    for bits in found:
        np.testing.assert_array_equal(bits, float_bits(HALVES))


@pytest.mark.parametrize("worker", ["true", "false"])
@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_answers_are_exact(bare: Any, worker: str, simd: str) -> None:
    found = bare.evaluate(f"""async () => {{
      const model = await load('half', {{ worker: {worker}, simd: '{simd}' }});
      return [...(await {RUN}).y.data];
    }}""")
    assert found == halves.answer()


def test_a_second_visit_expands_what_the_cache_keeps(bare: Any, site: Site) -> None:
    bare.evaluate("async () => { await load('half'); await kept((n) => n.length === 3); }")
    site.log.clear()
    found = bare.evaluate(f"""async () => {{
      const model = await load('half');
      return [model.info.cached, [...(await {RUN}).y.data]];
    }}""")
    assert found == [True, halves.answer()]
    assert not [path for path in site.log if path.endswith(".bin")]


def test_every_half_is_kept_as_it_came(bare: Any) -> None:
    """What is put into the cache is made of the floats again: only a NaN may become another one."""
    kept = bare.evaluate("""async () => {
      const memory = new WebAssembly.Memory({ initial: 6 });
      const bytes = await (await fetch('half/expand.wasm')).arrayBuffer();
      const { instance } = await WebAssembly.instantiate(bytes, { fanlight: { memory } });
      const { keep } = await import('./half/keep.js');
      const landed = new Uint8Array(memory.buffer, 1024 + 131072, 131072);
      new Uint16Array(memory.buffer, landed.byteOffset, 65536).forEach((_, i, a) => { a[i] = i; });
      instance.exports.expand(1024, 65536);
      const key = location.origin + '/' + 'a'.repeat(64);
      const fresh = [[key, landed, 'f16']];
      await keep({ base: '', fresh, store: 'other', stored: true }, { modules: [], weights: [] });
      const found = await caches.match(key, { cacheName: 'other' });
      return [...new Uint16Array(await found.arrayBuffer())];
    }""")
    nan = (HALVES & 0x7FFF) > 0x7C00
    np.testing.assert_array_equal(np.uint16(kept)[~nan], HALVES[~nan])
    assert np.isnan(np.uint16(kept)[nan].view(np.float16)).all()


def test_a_first_visit_holds_no_copy(bare: Any, toys: Path) -> None:
    shards = json.loads((toys / "half" / "manifest.json").read_text())["weights"]
    copied, later = bare.evaluate("""async () => {
      const copied = [];
      const { slice } = Uint8Array.prototype;
      Uint8Array.prototype.slice = function (...given) {
        copied.push(this.length);
        return slice.apply(this, given);
      };
      await load('half', { worker: false });
      const first = [...copied];
      await kept((n) => n.length === 3);
      return [first, copied];
    }""")
    assert len(shards) == 2 and not {shard["bytes"] for shard in shards} & set(copied)
    # To write a file is to copy it; what is float16 is made again instead.
    plain = [shard["bytes"] for shard in shards if "encoding" not in shard]
    assert sorted(later[len(copied) :])[: len(plain)] == plain


def test_a_place_is_as_large_as_what_is_expanded(bare: Any, site: Site, toys: Path) -> None:
    manifest = json.loads((toys / "half" / "manifest.json").read_text())
    shard = next(s for s in manifest["weights"] if s.get("encoding"))
    shard["offset"] = manifest["memory"]["pages"] * 65536 - shard["bytes"]
    site.pages["half/manifest.json"] = json.dumps(manifest)
    assert bare.evaluate("() => caught(load('half'))")["code"] == "E-WEB-007"


def test_a_shard_is_of_whole_groups(bare: Any, site: Site, toys: Path) -> None:
    manifest = json.loads((toys / "half" / "manifest.json").read_text())
    shard = next(s for s in manifest["weights"] if s.get("encoding"))
    shard["bytes"] -= 2
    site.pages["half/manifest.json"] = json.dumps(manifest)
    error = bare.evaluate("() => caught(load('half'))")
    assert error["code"] == "E-WEB-007" and "bytes" in error["message"]


@pytest.mark.parametrize("kind", ["none", "trap"])
def test_a_module_that_does_not_expand(
    bare: Any, site: Site, toys: Path, tmp_path: Path, kind: str
) -> None:
    module = Module(1)
    module.function("run", ("i32",) * 4, export=True)
    if kind == "trap":
        module.function("expand", ("i32",) * 2, export=True).unreachable()
    data = module.encode()
    manifest = json.loads((toys / "half" / "manifest.json").read_text())
    (toys / "half" / f"{kind}.wasm").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    file = {"path": f"{kind}.wasm", "bytes": len(data), "sha256": digest, "threads": False}
    manifest["modules"][0] |= file
    site.pages["half/manifest.json"] = json.dumps(manifest)
    for worker in ("true", "false"):
        found = bare.evaluate(f"() => caught(load('half', {{ worker: {worker}, cache: false }}))")
        assert found["code"] == "E-WEB-018" and f"{kind}.wasm" in found["where"]


def test_the_page_that_is_one_file(page: Any, tmp_path: Path) -> None:
    labels = [f"kind {i}" for i in range(5)]
    green = np.zeros((48, 64, 3), np.uint8) + np.uint8([0, 255, 0])
    task = fl.tasks.classify(labels)
    with fl.build(classifier(), tmp_path / "one.html", task=task, precision="f16") as bundle:
        scores = bundle.run({"image": green}, host="numpy")["scores"]
    element = open_page(page, (tmp_path / "one.html").as_uri())
    page.evaluate("""() => { globalThis.answer = new Promise((resolve) => document
      .addEventListener('fanlight-result', (e) => resolve(e.detail), { once: true })); }""")
    element.locator("input[type=file]").set_input_files(
        {"name": "green.png", "mimeType": "image/png", "buffer": picture()}
    )
    results = page.evaluate("() => answer.then(({ results }) => results)")
    assert len(results) == 5
    for row in results:
        assert row["label"] == labels[row["index"]]
        assert row["score"] == pytest.approx(float(scores[row["index"]]), abs=1e-5)
