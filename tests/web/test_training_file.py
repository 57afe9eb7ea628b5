"""A page in one file that trains, in Chromium, from file://: the numbers of Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.web import training

pytestmark = pytest.mark.chromium

JOURNEY = """async ({ x: xs, y: ys, how }) => {
  const x = Float32Array.from(xs), y = Int32Array.from(ys);
  const model = await fanlight.load(fanlight.bundle, how.worker ? {} : { worker: false });
  const losses = [];
  const options = { batchSize: how.batch, shuffle: false, seed: how.seed };
  await model.fit(x, y, { ...options, epochs: how.epochs,
    onBatchEnd: (batch, logs) => losses.push(logs.loss) });
  const { loss } = await model.evaluate(x, y, { batchSize: how.batch });
  const error = await model.fit(x, y.map(() => 4), options).catch(({ code }) => code);
  const file = [...new Uint8Array(await (await model.save()).arrayBuffer())];
  const { worker } = model.info;
  const kept = await model.store('one file').then(
    async () => {
      const again = await fanlight.load(fanlight.bundle, { persist: 'one file' });
      return { restored: again.restored, loss: (await again.evaluate(x, y)).loss };
    },
    ({ code, next }) => ({ code, next }));
  return { losses, loss, error, file, worker, kept };
}"""


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("one") / "learns.html"
    how = {"train": training.training(), "dims": {"batch": training.BATCH}}
    with fl.build(training.model(), path, **how) as bundle:  # type: ignore[arg-type]
        x, _ = training.examples()
        assert bundle.run({"input_layer": x[:2]})["dense_1"].shape == (2, training.CLASSES)
    return path


def opened(page: Any, path: Path) -> list[str]:
    """The page, ready; what it says in its console."""
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.goto(path.as_uri())
    page.get_by_text("Ready. One run takes").wait_for()
    return errors


def given(folder: Path, worker: bool) -> dict[str, Any]:
    """What the journey is given, by the folder that `write_training` wrote."""
    how = {"batch": training.BATCH, "epochs": training.EPOCHS, "seed": training.SEED}
    examples = json.loads((folder / "examples.json").read_text())
    return {**examples, "how": {**how, "worker": worker}}


def as_python(found: dict[str, Any], folder: Path, worker: bool) -> None:
    """What a page in one file found is what Python found, and its file can be loaded."""
    want = json.loads((folder / "python.json").read_text())
    assert len(found["losses"]) == training.STEPS
    np.testing.assert_allclose(found["losses"][:50], want["losses"][:50], atol=1e-4)
    assert found["worker"] is worker and found["error"] == "E-WEB-032"
    # Browsers of today keep databases for pages of file://.
    assert found["kept"]["restored"] is True
    assert abs(found["kept"]["loss"] - found["loss"]) < 1e-6
    path = folder.with_name("learnt-in-one-file.safetensors")
    path.write_bytes(bytes(found["file"]))
    x, y = training.examples()
    own = fl.load(path).evaluate(x, y, batch_size=training.BATCH, return_dict=True)
    assert abs(own["loss"] - found["loss"]) < 1e-4


@pytest.mark.parametrize("worker", [True, False])
def test_a_page_in_one_file_trains(
    page: Any, one_file: Path, training_bundle: Path, worker: bool
) -> None:
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    errors = opened(page, one_file)
    as_python(page.evaluate(JOURNEY, given(training_bundle, worker)), training_bundle, worker)
    assert all(url.startswith(("blob:", "data:", one_file.as_uri())) for url in seen)
    assert errors == []


def test_without_a_database_the_error_says_what_to_do(page: Any, one_file: Path) -> None:
    opened(page, one_file)
    found = page.evaluate("""async () => {
      indexedDB.open = () => { throw new DOMException('no', 'SecurityError'); };
      const model = await fanlight.load(fanlight.bundle, { worker: false, persist: 'mine' });
      const { unkept: { code, next } } = await model.fit(new Float32Array(64), Int32Array.of(1));
      const error = { code, next };
      return { restored: model.restored, error, size: (await model.save()).size };
    }""")
    assert found["restored"] is False and found["size"] > 1000
    assert found["error"]["code"] == "E-WEB-035" and "save()" in found["error"]["next"]


def test_its_policy_is_as_strict_as_ever(page: Any, one_file: Path) -> None:
    text = one_file.read_text("utf-8")
    (policy,) = [line for line in text.splitlines() if "http-equiv=" in line]
    assert "connect-src 'none'" in policy and "script-src 'sha256-" in policy
    assert "unsafe-inline" not in policy and "'self'" not in policy
    opened(page, one_file)
    refused = page.evaluate("""() => {
      const script = document.createElement('script');
      script.textContent = 'globalThis.injected = 1';
      document.body.append(script);
      return globalThis.injected ?? 'refused';
    }""")
    assert refused == "refused"


def test_only_what_trains_has_what_trains(one_file: Path, tmp_path: Path) -> None:
    net = fl.Sequential([fl.Input((4,)), fl.layers.Dense(2)])
    fl.build(net, tmp_path / "plain.html").close()
    plain, learns = (p.read_text("utf-8") for p in (tmp_path / "plain.html", one_file))
    for part in ("globalThis.fanlight", 'id="training.json"', "stepsHere"):
        assert part in learns and part not in plain
