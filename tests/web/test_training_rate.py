"""A page says the learning rate of each epoch, in Chromium: the numbers of Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

pytestmark = pytest.mark.chromium

LOSS = "sparse_categorical_crossentropy"


def net() -> Any:
    fl.clear_session()
    fl.set_random_seed(4)
    layers = [fl.Input((5,)), fl.layers.Dense(6, activation="tanh", name="hidden")]
    return fl.Sequential([*layers, fl.layers.Dense(3, activation="softmax", name="kind")])


def build(out: Path, optimizer: Any) -> None:
    fl.build(net(), out, train=fl.training(optimizer, LOSS), dims={"batch": 4}).close()


EXAMPLES = """
  const x = Float32Array.from({ length: 55 }, (_, i) => i * 5 % 7 / 7);
  const y = Int32Array.from({ length: 11 }, (_, i) => i % 3);
  const how = { batchSize: 4, shuffle: false };
"""


def test_the_page_says_the_rate_of_each_epoch(bare: Any, toys: Path) -> None:
    build(toys / "rates", fl.optimizers.Adam(0.01))
    x = (np.arange(55) * 5 % 7 / 7).astype(np.float32).reshape(11, 5)
    y = np.arange(11) % 3

    def rate(epoch: int) -> float:
        return 0.1 / (epoch + 1)

    model = net()
    model.compile(fl.optimizers.Adam(0.01), LOSS)
    shown = {"batch_size": 4, "shuffle": False, "verbose": 0}
    scheduler = fl.callbacks.LearningRateScheduler(rate)
    scheduled = model.fit(x, y, epochs=4, callbacks=[scheduler], validation_data=(x, y), **shown)
    after = model.fit(x, y, epochs=2, **shown)  # goes on with the last rate
    model.optimizer.learning_rate = 0.002
    fixed = model.fit(x, y, epochs=2, **shown)
    found = bare.evaluate(f"""async () => {{
      const {{ load }} = await import('./rates/train.js');
      const model = await load('rates');{EXAMPLES}
      const asked = [];
      const learningRate = (epoch) => {{ asked.push(epoch); return 0.1 / (epoch + 1); }};
      const parts = [
        await model.fit(x, y, {{ ...how, epochs: 4, learningRate, validationData: [x, y] }}),
        await model.fit(x, y, {{ ...how, epochs: 2 }}),
        await model.fit(x, y, {{ ...how, epochs: 2, learningRate: 0.002 }}),
      ];
      const file = Array.from(new Uint8Array(await (await model.save()).arrayBuffer()));
      const code = (promise) => promise.then(() => 'none', (e) => [e.code, e.expected]);
      const wrong = [
        await code(model.fit(x, y, {{ learningRate: -1 }})),
        await code(model.fit(x, y, {{ learningRate: () => NaN }})),
        await code(model.fit(x, y, {{ learningRate: '0.1' }})),
      ];
      return {{ asked, histories: parts.map(({{ history }}) => history), file, wrong }};
    }}""")
    assert found["asked"] == [0, 1, 2, 3]
    first, second, third = found["histories"]
    assert list(first) == list(scheduled.history) == ["loss", "val_loss", "learning_rate"]
    assert "learning_rate" not in second
    np.testing.assert_array_equal(first["learning_rate"], scheduled.history["learning_rate"])
    np.testing.assert_array_equal(third.pop("learning_rate"), [np.float32(0.002)] * 2)
    for page, python in ((first, scheduled), (second, after), (third, fixed)):
        np.testing.assert_allclose(page["loss"], python.history["loss"], atol=1e-5)
    path = toys / "rates.safetensors"
    path.write_bytes(bytes(found["file"]))
    assert fl.load(path).optimizer.learning_rate.item() == np.float32(0.002)
    rule = "a number from 0 on, or a function of the epoch"
    rates = [rule, "a number from 0 on", rule]
    assert found["wrong"] == [["E-WEB-001", expected] for expected in rates]


def decaying() -> Any:
    return fl.optimizers.Adam(fl.optimizers.schedules.CosineDecay(0.01, 50))


def replaced() -> Any:
    """A number was set first: the optimizer keeps its place, and does not look there."""
    optimizer = fl.optimizers.Adam(0.01)
    optimizer.learning_rate = fl.optimizers.schedules.CosineDecay(0.01, 50)
    return optimizer


def several() -> Any:
    table = {"kind/.*": fl.optimizers.SGD(0.1)}
    return fl.optimizers.MultiOptimizer(fl.optimizers.OptimizerMap(fl.optimizers.Adam(0.01), table))


@pytest.mark.parametrize("optimizer", [decaying, replaced, several])
def test_where_something_else_says_the_rate_it_is_refused(
    bare: Any, toys: Path, optimizer: Any
) -> None:
    folder = f"rate_{optimizer.__name__}"
    build(toys / folder, optimizer())
    found = bare.evaluate(
        f"""async (folder) => {{
      const {{ load }} = await import(`./${{folder}}/train.js`);
      const model = await load(folder);{EXAMPLES}
      const before = await model.getWeights();
      const error = await caught(model.fit(x, y, {{ ...how, learningRate: 0.1 }}));
      const after = await model.getWeights();
      const {{ history }} = await model.fit(x, y, how);
      return {{ error, history, same: JSON.stringify(before) === JSON.stringify(after) }};
    }}""",
        folder,
    )
    assert found["error"]["code"] == "E-WEB-001" and found["same"]
    assert found["error"]["expected"] == "one optimizer, without a schedule"
    assert len(found["history"]["loss"]) == 1
