"""Threads in a real Chromium: the same bytes, why there are so many, and whatever can go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import Builder, Graph
from tests.web.conftest import BARE
from tests.web.server import ISOLATED, Site, serve

pytestmark = pytest.mark.chromium

# A worker of the page's own, which goes wrong in a way that the test writes before it.
WORKER = "import './net/fanlight.js';\nimport './net/worker.js';\n"


def net(size: int = 32) -> Graph:
    """Layers that are large enough to be shared between threads, and small ones that are not."""
    rng = np.random.default_rng(5)
    b = Builder("shared")
    y = b.input("x", (1, size, size, 8))
    for channels in (16, 32, 32):
        shape = (3, 3, y.shape[-1], channels)
        w = b.weight(rng.normal(0, 0.2, shape).astype(np.float32))
        y = b.add("conv2d", y, w, strides=(1, 1), padding=((1, 1), (1, 1)), dilations=(1, 1))
        y = b.add("relu", y)
    y = b.add("mean", y, axes=(1, 2), keepdims=False)
    y = b.add("matmul", y, b.weight(rng.normal(0, 1, (32, 10)).astype(np.float32)))
    return b.finish({"y": b.add("softmax", y, axis=-1)})


X = np.random.default_rng(6).normal(0, 1, (1, 32, 32, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("threads")
    fl.build(net(), folder / "net")
    (folder / "x.bin").write_bytes(X.tobytes())
    return folder


@pytest.fixture(scope="module")
def right(folder: Path) -> list[float]:
    with fl.open_bundle(folder / "net") as bundle:
        return bundle.run({"x": X})["y"].reshape(-1).tolist()


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    with serve(folder) as site:
        site.headers.update(ISOLATED)
        site.pages["bare.html"] = BARE
        yield site


@pytest.fixture
def go(page: Any, site: Site, right: list[float]) -> Callable[..., dict[str, Any]]:
    """`go(script, before, worker)`: runs the script in a page with `load`, `x` and `same(answer)`.

    `before` is run in the page before the runtime is there. `worker` is a script for a worker that
    becomes the model's: it changes what the worker finds there before the runtime comes.
    """

    def go(script: str, before: str = "", worker: str | None = None) -> dict[str, Any]:
        if worker is not None:
            # Imports come first whatever the order, so the change is a module of its own.
            site.pages["change.js"] = worker
            site.pages["worker.js"] = "import './change.js';\n" + WORKER
        page.goto(site.url + "bare.html")
        return page.evaluate(
            """async ([script, before, right, own]) => {
              await (0, eval)(`(async () => { ${before} })()`);
              globalThis.load = async (options = {}) => {
                const { load } = await import('./net/fanlight.js');
                const worker = own ? () => new Worker('worker.js', { type: 'module' }) : true;
                return load('net', { worker, ...options });
              };
              const data = new Float32Array(await (await fetch('x.bin')).arrayBuffer());
              globalThis.x = { x: { data, shape: [1, 32, 32, 8] } };
              globalThis.same = ({ y }) => y.data.every((v, i) => v === right[i]);
              globalThis.caught = (promise) => promise.then(() => 'no error', ({ code }) => code);
              globalThis.pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
              return (0, eval)(`(async () => { ${script} })()`);
            }""",
            [script, before, right, worker is not None],
        )

    return go


def test_any_number_of_threads_gives_the_same_bytes(go: Callable) -> None:
    found = go("""
      const found = [];
      for (const simd of ['relaxed', 'plain']) {
        const answers = [];
        for (const threads of [1, 2, 'auto']) {
          const model = await load({ threads, simd });
          for (let i = 0; i < 30; i++) answers.push(String((await model.run(x)).y.data));
          if (threads === 2) found.push(model.info.threads, model.info.reasons.threads);
          model.dispose();
        }
        found.push(new Set(answers).size);
      }
      return found;
    """)
    assert found == 2 * [2, "2 threads, as asked", 1]


def test_profile_and_batches_use_them_too(go: Callable) -> None:
    found = go("""
      const model = await load({ threads: 2 });
      const times = await model.profile(x);
      const answers = await Promise.all([model.run(x), model.run(x), model.run(x)]);
      return [times.length, times.every(({ ms }) => ms >= 0), answers.every(same)];
    """)
    assert found[0] > 5 and found[1:] == [True, True]


@pytest.mark.parametrize("threads", ["'auto'", "2"])
def test_a_page_that_is_not_isolated_says_how_to_mend_it(
    go: Callable, site: Site, threads: str
) -> None:
    site.headers.clear()
    count, why, right = go(f"""
      const model = await load({{ threads: {threads} }});
      const answer = same(await model.run(x));
      await pause(300);
      return [model.info.threads, model.info.why, answer];
    """)
    assert (count, right) == (1, True)
    assert "not cross-origin isolated" in why and "COOP and COEP" in why and "--isolate" in why


BLOCKED = {
    "no SharedArrayBuffer": "delete globalThis.SharedArrayBuffer",
    "no shared memory": """
      const { Memory } = WebAssembly;
      WebAssembly.Memory = function (type) {
        if (type.shared) throw new RangeError('shared memory is blocked');
        return new Memory(type);
      };
      WebAssembly.Memory.prototype = Memory.prototype;
    """,
    "it cannot be sent": """
      globalThis.structuredClone = () => { throw new Error('shared memory is blocked'); };
    """,
}


@pytest.mark.parametrize("way", BLOCKED)
def test_shared_memory_that_is_there_but_blocked(go: Callable, way: str) -> None:
    count, why, right = go(
        """
      const model = await load({ threads: 2 });
      return [model.info.threads, model.info.why, same(await model.run(x))];
    """,
        worker=BLOCKED[way],
    )
    assert right is True
    if way != "no SharedArrayBuffer":  # then WebAssembly's own way to it is still there
        assert count == 1 and "blocked" in why


def test_on_the_page_s_own_thread_there_is_one(go: Callable) -> None:
    found = go("""
      const model = await load({ threads: 2, worker: false });
      return [model.info.threads, model.info.why, same(await model.run(x))];
    """)
    assert found[0] == 1 and "no worker" in found[1] and found[2] is True


def test_more_threads_than_cores(go: Callable) -> None:
    """They are not taken; and if the browser is wrong about its cores, all is right but slower."""
    found = go("""
      const model = await load({ threads: 1000 });
      const { threads, why } = model.info;
      return [threads === Math.min(1000, navigator.hardwareConcurrency), why,
        same(await model.run(x))];
    """)
    assert found[0] is True and "one per core" in found[1] and found[2] is True
    found = go(
        """
      const model = await load({ threads: 7 });
      const answers = [];
      for (let i = 0; i < 20; i++) answers.push(same(await model.run(x)));
      return [model.info.threads, answers.every((answer) => answer)];
    """,
        worker="Object.defineProperty(navigator, 'hardwareConcurrency', { value: 7 });",
    )
    assert found == [7, True]


def test_memory_that_is_not_given(go: Callable) -> None:
    script = "return caught(load())"
    refuse = "WebAssembly.Memory = function () { throw new RangeError('could not allocate') };"
    assert go(script, before=refuse, worker=refuse) == "E-WEB-004"


# What the helpers of the model's worker do from their third turn on, or at once.
HELPERS = {
    "never comes": "run = () => {};",
    "ends itself": "run = () => { close(); for (;;); };",
    "traps": "run = () => { throw new Error('a trap'); };",
}
_SPOIL = """
const { Worker: Real } = globalThis;
const Made = Blob;
globalThis.Blob = function (parts, options) {
  const text = String(parts[0]).replace('/** @type {Function} */ (exports.run)', 'exports.run')
    .replace(/\\(?exports\\.run\\)?\\(/, '(++turns < 3 || !spoilt ? exports.run : run)(');
  return new Made([`let turns = 0; const spoilt = ${spoilt()}; let %s;`, text], options);
};
let helpers = 0;
const spoilt = () => ++helpers === 1;
// Patience for half a second: the tests have not more.
const { notify } = Atomics;
Atomics.notify = (words, at) => {
  if (at === 16) words[21] = 5;
  return notify(words, at);
};
"""


@pytest.mark.parametrize("way", HELPERS)
def test_a_thread_that_dies_in_mid_run(go: Callable, way: str) -> None:
    found = go(
        """
      const model = await load({ threads: 2 });
      const answers = [];
      for (let i = 0; i < 2; i++) answers.push(same(await model.run(x)));
      const start = performance.now();
      const code = await caught(model.run(x));
      const ms = performance.now() - start;
      const next = same(await model.run(x));
      let i = 0;
      while (model.info.threads < 2 && i++ < 100) await pause(50);
      for (let i = 0; i < 20; i++) answers.push(same(await model.run(x)));
      return { answers, code, ms, next, threads: model.info.threads };
    """,
        worker=_SPOIL % HELPERS[way],
    )
    assert found["answers"] == 22 * [True]
    assert found["code"] == "E-WEB-021" and found["next"] is True
    assert found["ms"] < 5000
    assert found["threads"] == 2  # another one came for it


def test_a_lost_thread_where_no_new_memory_is_given(go: Callable) -> None:
    """It may still write to the old memory, so no answer comes from there; later there is room."""
    spoil = _SPOIL % HELPERS["traps"]
    spoil += """
      const { Memory } = WebAssembly;
      let asked = 0;
      WebAssembly.Memory = function (type) {
        if (++asked > 1 && asked < 5) throw new RangeError('no memory');
        return new Memory(type);
      };
    """
    found = go(
        """
      const model = await load({ threads: 2 });
      const codes = [];
      for (let i = 0; i < 8; i++) codes.push(await model.run(x).then(same, ({ code }) => code));
      for (let i = 0; model.info.threads < 2 && i < 100; i++) await pause(50);
      return [codes, model.info.threads, same(await model.run(x))];
    """,
        worker=spoil,
    )
    lost = ["E-WEB-021", "E-WEB-004", "E-WEB-004", "E-WEB-021"]
    assert found == [[True, True, *lost, True, True], 2, True]


def test_threads_that_die_again_and_again_are_given_up(go: Callable) -> None:
    spoil = _SPOIL.replace("++helpers === 1", "true") % HELPERS["traps"]
    found = go(
        """
      // No variants to try: a trial of the runtime's own would meet one of the losses.
      const model = await load({ threads: 2, variants: [] });
      const codes = [];
      for (let i = 0; i < 60; i++) {
        codes.push(await model.run(x).then(same, ({ code }) => code));
        await pause(20);
      }
      return [codes.filter((code) => code === 'E-WEB-021').length,
        codes.every((code) => code === true || code === 'E-WEB-021'), codes.slice(-5),
        model.info.threads, model.info.why];
    """,
        worker=spoil,
    )
    assert found[0] == 3 and found[1] is True and found[2] == 5 * [True]
    assert found[3] == 1 and "got lost" in found[4]


def test_threads_that_were_asked_for_stay_while_variants_are_tried(go: Callable) -> None:
    found = go("""
      const model = await load({ threads: 2 });
      await model.run(x);
      for (let i = 0; !model.info.tried && i < 200; i++) await pause(50);
      const { threads, tried, why } = model.info;
      return [threads, tried?.map((trial) => trial.threads), why, same(await model.run(x))];
    """)
    assert found[0] == 2 and "2 threads, as asked" in found[2] and found[3] is True
    assert len(found[1]) > 1 and set(found[1]) == {2}  # the net has variants


def test_a_helper_that_may_not_start(go: Callable) -> None:
    found = go(
        """
      const model = await load({ threads: 2 });
      return [model.info.threads, model.info.why, same(await model.run(x))];
    """,
        worker="globalThis.Worker = function () { throw new Error('no workers in workers') };",
    )
    assert found == [1, found[1], True]
    assert "no workers in workers" in found[1]


def test_where_blob_workers_are_not_allowed(go: Callable, site: Site) -> None:
    """The helper starts from its file then."""
    site.pages["bare.html"] = BARE.replace("worker-src 'self' blob:", "worker-src 'self'")
    found = go("""
      const model = await load({ threads: 2 });
      return [model.info.threads, same(await model.run(x))];
    """)
    assert found == [2, True]


def test_nothing_waits_for_a_timer(go: Callable) -> None:
    """A tab in the background: timers of its threads come late, here never."""
    never = "setTimeout = () => 0; setInterval = () => 0;"
    found = go(
        """
      const found = [];
      for (const threads of [2, 'auto']) {
        const model = await load({ threads });
        for (let i = 0; i < 10; i++) found.push(same(await model.run(x)));
      }
      return found;
    """,
        worker=never,
    )
    assert found == 20 * [True]


def test_a_tab_that_is_frozen_goes_on_later(go: Callable, page: Any) -> None:
    go("""
      globalThis.model = await load({ threads: 2 });
      globalThis.answers = [];
      globalThis.ended = (async () => {
        for (let i = 0; i < 300; i++) answers.push(same(await model.run(x)));
      })();
      return 0;
    """)
    session = page.context.new_cdp_session(page)
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    page.wait_for_timeout(500)
    session.send("Page.setWebLifecycleState", {"state": "active"})
    found = page.evaluate("ended.then(() => [answers.length, answers.every((a) => a === true)])")
    assert found == [300, True]


def test_dispose_ends_the_helpers(go: Callable, page: Any) -> None:
    found = go("""
      const model = await load({ threads: 2 });
      await model.run(x);
      const waiting = caught(model.run(x));
      model.dispose();
      return [await waiting, await caught(model.run(x))];
    """)
    assert found == ["E-WEB-014", "E-WEB-014"]


def test_the_manifest_is_checked(go: Callable, folder: Path, site: Site) -> None:
    manifest = json.loads((folder / "net" / "manifest.json").read_text())
    for threads in ({"flags": 3, "control": 256}, {"flags": 60}, {"flags": 60, "control": 1 << 31}):
        broken = {**manifest, "modules": [{**m, "threads": threads} for m in manifest["modules"]]}
        site.pages["net/manifest.json"] = json.dumps(broken)
        assert go("return caught(load({ threads: 2 }))") == "E-WEB-007"


# Whatever the worker allocates of a shard's size, said aloud.
_COUNTED = """
const Real = Uint8Array;
const channel = new BroadcastChannel('made');
globalThis.Uint8Array = class extends Real {
  constructor(...given) {
    super(...given);
    if (typeof given[0] === 'number') channel.postMessage(given[0]);
  }
};
"""


@pytest.mark.parametrize("shared", [False, True])
def test_weights_land_where_they_are_used(go: Callable, folder: Path, shared: bool) -> None:
    """No other array has them; WebCrypto reads no shared memory, so there each is copied once."""
    manifest = json.loads((folder / "net" / "manifest.json").read_text())
    shards = [shard["bytes"] for shard in manifest["weights"]]
    made = go(
        f"""
      const made = [];
      const channel = new BroadcastChannel('made');
      channel.onmessage = ({{ data }}) => made.push(data);
      const model = await load({{ threads: {2 if shared else 1}, cache: false }});
      const right = same(await model.run(x));
      await pause(100);
      return right && model.info.threads === {2 if shared else 1} && made;
    """,
        worker=_COUNTED,
    )
    assert len(made) > 0  # the module's bytes at least
    assert [size for size in made if size in shards] == (shards if shared else [])
