"""The runtime in a real Chromium: `load`, `run`, errors, cache, worker, cancellation."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import Site, serve

pytestmark = pytest.mark.chromium


@pytest.mark.parametrize("worker", ["true", "false"])
@pytest.mark.parametrize("simd", ["auto", "relaxed", "plain"])
def test_run_answers_one_item_and_a_batch(bare: Any, worker: str, simd: str) -> None:
    found = bare.evaluate(f"""async () => {{
      const model = await load('double', {{ worker: {worker}, simd: '{simd}' }});
      const one = await model.run({{ x: Float32Array.of(1, 2, 3, 4) }});
      const two = await model.run({{
        x: {{ data: Float32Array.from([1, 1, 1, 1, 2, 2, 2, 2]), shape: [2, 4] }} }});
      return {{ info: model.info, one: [...one.y.data], shape: one.y.shape, dtype: one.y.dtype,
        two: [...two.y.data], shapes: two.y.shape, inputs: model.inputs, outputs: model.outputs }};
    }}""")
    assert found["one"] == [2, 6, 15, 28]
    assert (found["shape"], found["dtype"]) == ([1, 4], "float32")
    assert (found["two"], found["shapes"]) == ([2, 3, 5, 7, 4, 6, 10, 14], [2, 4])
    info = found["info"]
    assert info["backend"] == "wasm" and info["threads"] == 1 and info["bytes"] > 16
    assert info["simd"] == ("plain" if simd == "plain" else "relaxed")
    assert info["worker"] is (worker == "true") and info["cached"] is False
    assert "SIMD" in info["why"] and "thread" in info["why"]
    assert [spec["name"] for spec in found["inputs"] + found["outputs"]] == ["x", "y"]


def test_calls_may_overlap_and_inputs_are_taken_at_once(bare: Any) -> None:
    sums = bare.evaluate("""async () => {
      const model = await load('double');
      const x = new Float32Array(4);
      const answers = [];
      for (let i = 0; i < 50; i++) answers.push(model.run({ x: x.fill(i) }));
      const big = new Float32Array(1 << 20).fill(9);
      answers.push(model.run({ x: big.subarray(4, 8) }));
      return [(await Promise.all(answers)).map(({ y }) => y.data[0]), x.length, big.length];
    }""")
    assert sums == [[2 * i for i in [*range(50), 9]], 4, 1 << 20]


BAD_RUNS = {
    "E-WEB-010": ["{}", "{ z: new Float32Array(4) }", "undefined"],
    "E-WEB-011": [
        "{ x: new Float32Array(5) }",
        "{ x: { data: new Float32Array(4), shape: [4] } }",
        "{ x: { data: new Float32Array(4), shape: [1, 2, 2] } }",
        "{ x: { data: new Float32Array(4), shape: [0, 4] } }",
        "{ x: { data: new Float32Array(4), shape: [1.5, 4] } }",
        "{ x: { data: new Float32Array(8), shape: [1, 4] } }",
    ],
    "E-WEB-012": [
        "{ x: [1, 2, 3, 4] }",
        "{ x: new Float64Array(4) }",
        "{ x: null }",
        "{ x: { data: new Int32Array(4), shape: [1, 4] } }",
    ],
    "E-WEB-018": ["{ x: Float32Array.of(666, 0, 0, 0) }"],
}


@pytest.mark.parametrize("worker", ["true", "false"])
def test_wrong_inputs_are_told_and_the_model_goes_on(bare: Any, worker: str) -> None:
    found = bare.evaluate(
        f"""async (bad) => {{
      const model = await load('double', {{ worker: {worker} }});
      const errors = [];
      for (const text of bad) errors.push(await caught(model.run(eval(`(${{text}})`))));
      const {{ y }} = await model.run({{ x: Float32Array.of(1, 1, 1, 1) }});
      return [errors, [...y.data]];
    }}""",
        [text for texts in BAD_RUNS.values() for text in texts],
    )
    expected = [code for code, texts in BAD_RUNS.items() for _ in texts]
    assert [error["code"] for error in found[0]] == expected
    assert all(error["name"] == "FanlightError" for error in found[0])
    assert found[0][3]["expected"] == ["items", 4]
    assert 'input "x"' in found[0][3]["message"]
    assert found[1] == [2, 3, 5, 7]


def test_dispose(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      const codes = [];
      for (const worker of [true, false]) {
        const model = await load('double', { worker });
        const waiting = worker ? caught(model.run({ x: new Float32Array(4) })) : null;
        model.dispose();
        codes.push((await waiting)?.code);
        codes.push((await caught(model.run({ x: new Float32Array(4) }))).code);
      }
      return codes;
    }""")
    assert found == ["E-WEB-014", "E-WEB-014", None, "E-WEB-014"]


def test_memory_comes_back_without_dispose(chromium: Any, site: Site) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(site.url + "bare.html")
    cdp = context.new_cdp_session(page)
    page.evaluate(
        """async (url) => {
      const { load } = await import(url);
      for (let i = 0; i < 4; i++) await (await load('double')).run({ x: new Float32Array(4) });
    }""",
        site.url + "double/fanlight.js",
    )
    for _ in range(20):
        cdp.send("HeapProfiler.collectGarbage")
        page.wait_for_timeout(100)
        if not page.workers:
            break
    assert page.workers == []
    context.close()


def test_progress_is_told_by_bytes(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      const seen = [];
      const model = await load('double', { onProgress: (p) => seen.push(p) });
      return [seen, model.info.bytes];
    }""")
    seen, total = found
    loaded = [progress["loaded"] for progress in seen]
    assert loaded == sorted(loaded) and loaded[-1] == total
    assert {progress["total"] for progress in seen} == {total}


@pytest.mark.parametrize("worker", ["true", "false"])
def test_abort(bare: Any, site: Site, worker: str) -> None:
    site.fail("double/weights", "slow", "slow")
    found = bare.evaluate(f"""async () => {{
      const aborter = new AbortController();
      setTimeout(() => aborter.abort(), 200);
      const start = performance.now();
      const slow = await caught(load('double', {{ signal: aborter.signal, worker: {worker} }}));
      const ms = performance.now() - start;
      const late = await caught(load('double', {{ signal: aborter.signal }}));
      const why = await caught(load('double', {{ signal: AbortSignal.abort(new Error('mine')) }}));
      return [slow.name, ms, late.name, why.message];
    }}""")
    assert found[0] == "AbortError" and found[1] < 1200
    assert found[2:] == ["AbortError", "mine"]


@pytest.mark.parametrize("worker", ["true", "false"])
def test_a_manifest_that_does_not_come_whole(bare: Any, site: Site, worker: str) -> None:
    site.fail("double/manifest.json", "cut")
    error = bare.evaluate(f"() => caught(load('double', {{ worker: {worker} }}))")
    assert error["code"] == "E-WEB-005"


@pytest.mark.parametrize("worker", ["true", "false"])
def test_an_abort_in_the_middle_of_the_manifest(bare: Any, site: Site, worker: str) -> None:
    site.fail("double/manifest.json", "stall")
    why = bare.evaluate(f"""() => {{
      const aborter = new AbortController();
      setTimeout(() => aborter.abort(new Error('mine')), 300);
      return caught(load('double', {{ worker: {worker}, signal: aborter.signal }}));
    }}""")
    assert why["message"] == "mine"


def test_files_are_kept_though_the_model_was_disposed_at_once(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      const model = await load('double');
      await model.run({ x: Float32Array.of(1, 1, 1, 1) });
      model.dispose();
      await kept((sizes) => sizes.length === 3);
      return (await load('double')).info.cached;
    }""")
    assert found is True


def test_a_second_load_comes_from_the_cache(bare: Any, site: Site) -> None:
    bare.evaluate("async () => { await load('double'); await kept((n) => n.length === 3); }")
    first = [path for path in site.log if path.endswith((".wasm", ".bin"))]
    site.log.clear()
    info = bare.evaluate("async () => (await load('double')).info")
    assert len(first) == 3 and info["cached"] is True
    assert not [path for path in site.log if path.endswith((".wasm", ".bin"))]
    info = bare.evaluate("async () => (await load('double', { cache: false })).info")
    assert info["cached"] is False


@pytest.mark.parametrize("worker", ["true", "false"])
@pytest.mark.parametrize("fault", ["corrupt", "short"])
@pytest.mark.parametrize("what", ["weights-2of2", "model-relaxed"])
def test_a_wrong_file_is_fetched_once_more(
    bare: Any, site: Site, fault: str, what: str, worker: str
) -> None:
    site.fail(f"double/{what}", fault)
    found = bare.evaluate(f"""async () => {{
      let last;
      const onProgress = (progress) => {{ last = progress; }};
      const model = await load('double', {{ worker: {worker}, onProgress }});
      const {{ y }} = await model.run({{ x: Float32Array.of(1, 1, 1, 1) }});
      return [...y.data, last.loaded === last.total];
    }}""")
    assert found == [2, 3, 5, 7, True]
    assert len([path for path in site.log if path.startswith(f"double/{what}")]) == 2


@pytest.mark.parametrize("fault", ["corrupt", "short"])
def test_a_file_that_stays_wrong_is_reported(bare: Any, site: Site, fault: str) -> None:
    site.fail("double/weights-1of2", fault, fault, fault)
    error = bare.evaluate("() => caught(load('double'))")
    assert error["code"] == "E-WEB-006"
    assert "weights-1of2" in error["where"] and "SHA-256" in error["expected"]
    assert error["received"] and error["next"]
    assert len([path for path in site.log if "weights-1of2" in path]) == 2


def test_a_wrong_file_in_the_cache_is_replaced(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      await load('double');
      await kept((sizes) => sizes.length === 3);
      const cache = await caches.open('fanlight-v1');
      const keys = await cache.keys();
      for (const key of keys) await cache.put(key, new Response(new Uint8Array(8)));
      await cache.put(new URL('double/' + '0'.repeat(64), location.href), new Response('old'));
      const second = await load('double');
      let third;
      for (let i = 0; i < 100 && !third?.info.cached; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        third = await load('double');
      }
      await kept((sizes) => sizes.length === 3); // the old one has gone
      const { y } = await third.run({ x: Float32Array.of(1, 1, 1, 1) });
      return [keys.length, second.info.cached, third.info.cached, [...y.data],
        (await cache.keys()).length];
    }""")
    assert found == [3, False, True, [2, 3, 5, 7], 3]


def test_missing_files_and_folders(bare: Any, site: Site) -> None:
    found = bare.evaluate("() => caught(load('nowhere'))")
    assert found["code"] == "E-WEB-005" and found["received"] == "HTTP 404"
    site.fail("double/model", "missing")
    found = bare.evaluate("() => caught(load('double'))")
    assert found["code"] == "E-WEB-005" and "model-relaxed" in found["where"]
    found = bare.evaluate("() => caught(load('http://127.0.0.1:9/x'))")
    assert found["code"] == "E-WEB-005"
    assert bare.evaluate("() => caught(load('http://'))")["code"] == "E-WEB-001"
    for wrong in ("backend: 'x'", "simd: 'avx'", "threads: 'two'", "threads: 1.5", "threads: 0"):
        problem = bare.evaluate(f"() => caught(load('double', {{ {wrong} }}))")
        assert problem["code"] == "E-WEB-001" and "auto or" in str(problem), wrong
    for wrong in ("'wide'", "['wider']"):
        problem = bare.evaluate(f"() => caught(load('double', {{ variants: {wrong} }}))")
        assert problem["code"] == "E-WEB-001", problem
    for wrong, next in (
        ("perist: 'a'", None),
        ("thread: 1", "threads"),
        ("on_progress: 1", "onProgress"),
    ):
        problem = bare.evaluate(f"() => caught(load('double', {{ {wrong} }}))")
        assert problem["code"] == "E-WEB-001" and problem["received"] == wrong.split(":")[0]
        assert (
            problem["next"] == (next and f"did you mean {next}?")
            and "signal" in problem["expected"]
        )
    for wrong in ("7", "null"):
        assert bare.evaluate(f"() => caught(load('double', {wrong}))")["code"] == "E-WEB-001"
    assert bare.evaluate("() => load(new URL('double/manifest.json', location.href)).then(() => 1)")


def test_corrupt_manifests_are_refused(bare: Any, site: Site, toys: Path) -> None:
    good = json.loads((toys / "double" / "manifest.json").read_text())
    pages = good["memory"]["pages"] * 65536
    changes: list[tuple[str, Any]] = [
        ("fanlight", "1"),
        ("fanlight", None),
        ("memory", {}),
        ("memory.pages", 0),
        ("memory.pages", 65537),
        ("memory.pages", 1.5),
        ("weights", {}),
        ("weights", [None]),
        ("weights.0.path", "../double/x.bin"),
        ("weights.0.path", "/etc/passwd"),
        ("weights.0.path", "https://example.org/x.bin"),
        ("weights.0.path", "a\\b"),
        ("weights.0.path", "%2e%2e/x"),
        ("weights.0.path", 7),
        ("weights.0.bytes", -1),
        ("weights.0.bytes", 2**60),
        ("weights.0.offset", pages - 4),
        ("weights.0.sha256", "00"),
        ("weights.0.encoding", "f8"),
        ("weights.0.encoding", ""),
        ("weights.0.encoding", ["f16"]),
        ("files", {"training.json": {"path": "../double/x.json"}}),
        ("files", {"graph.json": {"path": "//example.org/x.json"}}),
        ("modules.0.simd", 3),
        ("kernels", None),
        ("inputs.0.dtype", "constructor"),
        ("inputs.0.dtype", "float64"),
        ("inputs.0.shape", "no"),
        ("inputs.0.shape", ["height"]),
        ("inputs.0.shape", [-1]),
        ("inputs.0.offset", 2049),
        ("outputs.0.offset", pages),
        ("outputs.0.name", None),
        ("dims", {"n": {"min": 1, "max": 2, "offset": pages}}),
        ("dims", {"n": None}),
        ("task", {"kind": "classify", "image": "x", "scores": "y"}),
    ]
    for path, value in changes:
        bad = json.loads(json.dumps(good))
        *parents, last = path.split(".")
        at = bad
        for key in parents:
            at = at[int(key)] if isinstance(at, list) else at[key]
        if value is None:
            del at[last]
        else:
            at[last] = value
        site.pages["double/manifest.json"] = json.dumps(bad)
        found = bare.evaluate("() => caught(load('double', { worker: false }))")
        assert found["code"] == "E-WEB-007", (path, value, found)
    for text, code in [
        ("{", "E-WEB-007"),
        ("null", "E-WEB-007"),
        ("[]", "E-WEB-007"),
        ('{"fanlight": 2}', "E-WEB-008"),
    ]:
        site.pages["double/manifest.json"] = text
        assert bare.evaluate("() => caught(load('double'))")["code"] == code
    # A tensor may not claim more of the memory than its place.
    good["outputs"][0]["bytes"] = 8
    site.pages["double/manifest.json"] = json.dumps(good)
    found = bare.evaluate("""async () => caught(
      (await load('double')).run({ x: new Float32Array(4) }))""")
    assert found["code"] == "E-WEB-007"


def test_old_browsers_are_told(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      const { validate, Memory } = WebAssembly;
      WebAssembly.validate = (bytes) => !bytes.includes(133) && validate(bytes);
      const plain = (await load('double', { worker: false })).info.simd;
      WebAssembly.validate = () => false;
      const none = await caught(load('double', { worker: false }));
      WebAssembly.validate = validate;
      WebAssembly.Memory = function () { throw new RangeError('no room'); };
      const memory = await caught(load('double', { worker: false }));
      WebAssembly.Memory = Memory;
      const all = globalThis.WebAssembly;
      globalThis.WebAssembly = undefined;
      const wasm = await caught(load('double', { worker: false }));
      globalThis.WebAssembly = all;
      return [plain, none.code, memory.code, wasm.code];
    }""")
    assert found == ["plain", "E-WEB-003", "E-WEB-004", "E-WEB-002"]


def test_a_policy_without_wasm_is_named(page: Any, site: Site) -> None:
    site.headers["Content-Security-Policy"] = "script-src 'self'; worker-src 'self' blob:"
    page.goto(site.url + "double/fanlight.js")
    page.goto(site.url + "double/manifest.json")
    error = page.evaluate(
        """async (url) => {
      const { load } = await import(url);
      return load('./').catch(({ code, next }) => ({ code, next }));
    }""",
        site.url + "double/fanlight.js",
    )
    assert error["code"] == "E-WEB-018" and "wasm-unsafe-eval" in error["next"]


def test_without_a_worker_it_says_so(page: Any, site: Site) -> None:
    site.headers["Content-Security-Policy"] = (
        "script-src 'self' 'wasm-unsafe-eval'; worker-src 'none'"
    )
    page.goto(site.url + "double/manifest.json")
    info = page.evaluate(
        """async (url) => {
      const { load } = await import(url);
      return (await load('./')).info;
    }""",
        site.url + "double/fanlight.js",
    )
    assert info["worker"] is False and "on this thread: E-WEB-020" in info["why"]


def test_nothing_leaves_the_origin(bare: Any, site: Site, toys: Path) -> None:
    """The worker obeys the policy of the page: it cannot fetch from elsewhere either."""
    seen: list[str] = []
    bare.on("request", lambda request: seen.append(request.url))
    with serve(toys) as elsewhere:
        found = bare.evaluate(
            """async (other) => {
          globalThis.model = await load('double');
          await model.run({ x: new Float32Array(4) });
          return fetch(other).then(() => 'came', () => 'refused');
        }""",
            elsewhere.url + "bare.html",
        )
        worker = bare.workers[0].evaluate(
            "(other) => fetch(other).then(() => 'came', () => 'refused')",
            elsewhere.url + "double/manifest.json",
        )
        assert (found, worker, elsewhere.log) == ("refused", "refused", [])
    outside = [url for url in seen if not url.startswith((site.url, "blob:" + site.url[:-1]))]
    assert [url for url in outside if url != elsewhere.url + "bare.html"] == []


def test_the_runtime_may_come_from_another_origin(page: Any, site: Site, toys: Path) -> None:
    with serve(toys) as cdn:
        cdn.headers["Access-Control-Allow-Origin"] = "*"
        site.pages["plain.html"] = "<!doctype html><title>plain</title>"
        page.goto(site.url + "plain.html")
        found = page.evaluate(
            """async (url) => {
          const { load } = await import(url + 'fanlight.js');
          const model = await load(url);
          const { y } = await model.run({ x: new Float32Array(4).fill(1) });
          return [model.info.worker, y.data[3]];
        }""",
            cdn.url + "double/",
        )
    assert found == [True, 7]


def test_a_bundle_in_memory(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      const manifest = await (await fetch('double/manifest.json')).json();
      const files = {};
      for (const { path } of [...manifest.modules, ...manifest.weights]) {
        const bytes = new Uint8Array(await (await fetch('double/' + path)).arrayBuffer());
        files[path] = path.endsWith('.wasm') ? bytes
          : new Blob([btoa(String.fromCharCode(...bytes))], { type: 'text/base64' });
      }
      const model = await load({ manifest, files });
      const { y } = await model.run({ x: Float32Array.of(1, 1, 1, 1) });
      files[manifest.weights[0].path] = new Uint8Array(8);
      return [model.info.worker, [...y.data], (await caught(load({ manifest, files }))).code];
    }""")
    assert found == [True, [2, 3, 5, 7], "E-WEB-006"]


def test_profile_times_each_kernel(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      const model = await load('double');
      return model.profile({ x: new Float32Array(4) });
    }""")
    assert [kernel["name"] for kernel in found] == ["mul"]
    assert found[0]["op"] == "mul" and found[0]["source"] == "toy/mul" and found[0]["ms"] >= 0


def test_the_hash_in_javascript_is_sha256(
    bare: Any, site: Site, toys: Path, tmp_path: Path
) -> None:
    """Plain http has no crypto.subtle: then our own SHA-256 must find the same."""
    folder = tmp_path / "double"
    shutil.copytree(toys / "double", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["memory"]["pages"] = 3
    at = 65536
    for size in [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 70000]:
        data = bytes((i * 7 + size) % 256 for i in range(size))
        (folder / f"extra{size}.bin").write_bytes(data)
        manifest["weights"].append({
            "path": f"extra{size}.bin", "bytes": size, "offset": at,
            "sha256": hashlib.sha256(data).hexdigest(),
        })  # fmt: skip
        at += size
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with serve(tmp_path) as site:
        site.headers["Access-Control-Allow-Origin"] = "*"
        site.pages["bare.html"] = "<!doctype html>"
        bare.goto(site.url + "bare.html")
        found = bare.evaluate(
            """async (url) => {
          const { load } = await import(url + 'fanlight.js');
          Object.defineProperty(crypto, 'subtle', { value: undefined });
          const model = await load(url, { worker: false, cache: false });
          return (await model.run({ x: new Float32Array(4).fill(1) })).y.data[3];
        }""",
            site.url + "double/",
        )
    assert found == 7
