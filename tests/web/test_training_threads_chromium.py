"""A page trains on several threads: the same numbers, to the bit, and no more threads than help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.layers.test_training_threads import compiled, examples
from tests.web.conftest import BARE
from tests.web.server import ISOLATED, Site, serve
from tests.web.test_threads_chromium import _SPOIL, HELPERS, WORKER

pytestmark = pytest.mark.chromium

COUNT, BATCH = 36, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training_threads")
    how = fl.training("adam", "sparse_categorical_crossentropy", ["accuracy"])
    fl.build(compiled(1), folder / "net", train=how, dims={"batch": BATCH}).close()
    (folder / "x.bin").write_bytes(examples(COUNT)[0].tobytes())
    return folder


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    with serve(folder) as site:
        site.headers.update(ISOLATED)
        site.pages["bare.html"] = BARE
        yield site


@pytest.fixture
def go(page: Any, site: Site) -> Callable[..., Any]:
    """`go(script, worker)`: runs the script in a page with `load`, `x`, `y` and `told(weights)`."""

    def go(script: str, worker: str | None = None) -> Any:
        if worker is not None:
            site.pages["change.js"] = worker
            site.pages["worker.js"] = "import './change.js';\n" + WORKER
        page.goto(site.url + "bare.html")
        return page.evaluate(
            """async ([script, own]) => {
              globalThis.load = async (options = {}) => {
                const { load } = await import('./net/train.js');
                const worker = own ? () => new Worker('worker.js', { type: 'module' }) : true;
                return load('net', { worker, ...options });
              };
              globalThis.x = new Float32Array(await (await fetch('x.bin')).arrayBuffer());
              globalThis.y = Int32Array.from({ length: COUNT }, (_, i) => i % 3);
              globalThis.told = (weights) => String(Object.values(weights).map(({ data }) => data));
              return (0, eval)(`(async () => { ${script} })()`);
            }""".replace("COUNT", str(COUNT)),
            [script, worker is not None],
        )

    return go


OPTIONS = f"{{ batchSize: {BATCH}, epochs: 8, shuffle: false, seed: 8, validationSplit: 0.34 }}"


def test_any_number_of_threads_gives_the_same_weights(go: Callable, folder: Path) -> None:
    found = go(f"""
      const weights = [], losses = [], threads = [];
      for (const [simd, count] of [['relaxed', 1], ['relaxed', 2], ['relaxed', 'auto']]) {{
        const model = await load({{ simd, threads: count }});
        const {{ history }} = await model.fit(x, y, {OPTIONS});
        losses.push(history.loss);
        weights.push(told(await model.getWeights()));
        threads.push(model.info.threads);
        model.dispose();
      }}
      return {{ same: new Set(weights).size, losses, threads }};
    """)
    assert found["same"] == 1
    assert found["losses"][0] == found["losses"][1] == found["losses"][2]
    assert found["threads"][:2] == [1, 2]
    model = compiled(2)
    x, y = examples(COUNT)
    history = model.fit(x, y, BATCH, 8, 0, shuffle=False, validation_split=0.34).history
    np.testing.assert_allclose(found["losses"][0], history["loss"], atol=1e-4)


def test_training_finds_out_how_many_threads_help(go: Callable) -> None:
    """It says what it has measured; a step of less than a millisecond is not worth a trial."""
    script = f"""
      const model = await load();
      await model.fit(x, y, {{ ...{OPTIONS}, epochs: 30 }});
      return model.info.reasons.training;
    """
    clock = """
      Object.defineProperty(navigator, 'hardwareConcurrency', { value: 3 });
      const now = performance.now.bind(performance);
      performance.now = () => now() * SCALE;
    """
    why = go(script, worker=clock.replace("SCALE", "100"))
    assert "training: 1 of 3 threads" in why or "training: 3 of 3 threads" in why
    assert " and " in why
    why = go(script, worker=clock.replace("SCALE", "1e-3"))
    assert "training: 1 of 3 threads" in why and " and " not in why


def test_predictions_keep_their_threads_after_a_training(go: Callable) -> None:
    """What predicts finds out for itself; what trains may want more, or fewer, meanwhile."""
    script = f"""
      const model = await load();
      const {{ inputs: [{{ name }}] }} = await (await fetch('net/manifest.json')).json();
      await model.run({{ [name]: {{ data: x.slice(0, 32 * 32 * 3), shape: [1, 32, 32, 3] }} }});
      for (let i = 0; i < 1000 && !model.info.tried; i++) {{
        await new Promise((done) => setTimeout(done, 50));
      }}
      const before = model.info.threads;
      // At once: a thread that was tried and let go has not ended yet, and must do no work.
      const {{ history: {{ loss }} }} = await model.fit(x, y, {OPTIONS});
      for (let i = 0; i < 200 && model.info.threads !== before; i++) {{
        await new Promise((done) => setTimeout(done, 20)); // it is told a moment later
      }}
      const {{ threads, reasons, tried }} = model.info;
      return [before, threads, reasons.threads, reasons.training, tried.length, loss];
    """
    clock = "const now = performance.now.bind(performance); performance.now = () => now() * 100;"
    before, after, predicts, trains, tried, loss = go(script, worker=clock)
    assert before == after and tried > 1 and "training: " in trains
    model = compiled(2)
    x, y = examples(COUNT)
    history = model.fit(x, y, BATCH, 8, 0, shuffle=False, validation_split=0.34).history
    np.testing.assert_allclose(loss, history["loss"], atol=1e-4)
    assert predicts.startswith("one thread" if after == 1 else f"{after} threads")


# The runtime runs the model when nobody does for 200 ms: the thread would die there.
_NO_WARMING_UP = """
const { setTimeout: later } = globalThis;
globalThis.setTimeout = (call, ms, ...rest) => (ms === 200 ? 0 : later(call, ms, ...rest));
"""


@pytest.mark.parametrize("way", HELPERS)
def test_a_thread_that_dies_in_mid_step(go: Callable, way: str) -> None:
    """The weights are those before the epoch, and training goes on."""
    found = go(
        f"""
      const options = {{ ...{OPTIONS}, epochs: 1 }};
      const model = await load({{ threads: 2 }});
      const before = told(await model.getWeights());
      const code = await model.fit(x, y, options).then(() => 'none', (error) => error.code);
      const after = told(await model.getWeights());
      const {{ history }} = await model.fit(x, y, options);
      return {{ code, same: before === after, loss: history.loss[0] }};
    """,
        worker=(_SPOIL % HELPERS[way]).replace("< 3", "< 2") + _NO_WARMING_UP,
    )
    assert found["code"] == "E-WEB-021" and found["same"] is True
    x, y = examples(COUNT)
    model = compiled(2)
    how = {"verbose": 0, "shuffle": False, "validation_split": 0.34}
    expected = model.fit(x, y, BATCH, **how).history["loss"][0]
    assert abs(found["loss"] - expected) < 1e-4
