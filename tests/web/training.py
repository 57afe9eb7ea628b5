"""A model that a page trains: a small net with batch norm and dropout, step by step as Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl

SIDE, CLASSES, COUNT, BATCH, EPOCHS = 8, 4, 90, 16, 9
STEPS = EPOCHS * -(-COUNT // BATCH)  # over 50
SEED = 7


def model() -> Any:
    """The net; its weights are the same at every call."""
    fl.clear_session()
    fl.set_random_seed(3)
    layers = fl.layers
    return fl.Sequential(
        [
            fl.Input((SIDE, SIDE, 1)),
            layers.Conv2D(6, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, strides=2, padding="same"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(12, activation="tanh", kernel_regularizer="l2"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def training() -> Any:
    """How it learns."""
    return fl.training(
        fl.optimizers.Adam(0.01, global_clipnorm=1.0),
        "sparse_categorical_crossentropy",
        ["accuracy"],
    )


def examples() -> tuple[np.ndarray, np.ndarray]:
    """Pictures of four kinds: bright in one of the quarters."""
    rng = np.random.default_rng(0)
    y = (np.arange(COUNT) % CLASSES).astype(np.int32)
    x = rng.random((COUNT, SIDE, SIDE, 1), np.float32)
    half = SIDE // 2
    for i, c in enumerate(y):
        x[i, c // 2 * half :, c % 2 * half :][:half, :half] += 0.5
    return x, y


def write_training(folder: Path) -> None:
    """The bundle, the examples, and what Python makes of them."""
    net = model()
    fl.build(net, folder, train=training(), dims={"batch": BATCH}).close()
    x, y = examples()
    losses: list[float] = []

    class Losses(fl.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            losses.append((logs or {})["loss"])

    how = training()
    net.compile(how.optimizer, how.loss, metrics=how.metrics)
    net.set_random_key(SEED)
    shown = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
    history = net.fit(x, y, epochs=EPOCHS, callbacks=[Losses()], **shown)
    found = {
        "losses": losses,
        "history": history.history,
        "evaluate": net.evaluate(x, y, batch_size=BATCH, return_dict=True),
        "weights": {w.path: w.numpy().reshape(-1).tolist() for w in net.weights},
        "predict": net.predict(x[:3]).tolist(),
    }
    (folder / "python.json").write_text(json.dumps(found))
    given = {"x": x.reshape(-1).tolist(), "y": y.tolist()}
    (folder / "examples.json").write_text(json.dumps(given))


# An expression of an async function (simd, folder) => what a page found.
JOURNEY = Path(__file__).with_suffix(".js").read_text("utf-8").partition("\n")[2].strip()
for _word, _number in (("BATCH", BATCH), ("EPOCHS", EPOCHS), ("SEED", SEED)):
    JOURNEY = JOURNEY.replace(_word, str(_number))

ERRORS = (
    "E-WEB-032 E-WEB-011 E-WEB-011 E-WEB-031 E-WEB-013 E-WEB-011 E-WEB-012 E-WEB-001 E-WEB-033 "
    "E-WEB-034 E-WEB-034 E-WEB-036"
).split()


def as_python(found: dict[str, Any], folder: Path) -> int:
    """What a page found is what Python found, and errors have their codes; how many losses are."""
    want = json.loads((folder / "python.json").read_text())
    assert len(found["losses"]) == len(want["losses"]) == STEPS > 50
    # All that a page finds is within what the losses of the first 50 steps have to be.
    np.testing.assert_allclose(found["losses"], want["losses"], atol=1e-4)
    assert found["epochs"] == list(range(EPOCHS))
    per = -(-COUNT // BATCH)
    assert found["batches"] == [[e, b] for e in range(EPOCHS) for b in range(per)]
    for name, values in want["history"].items():
        np.testing.assert_allclose(found["history"][name], values, atol=1e-4)
    for name, value in want["evaluate"].items():
        assert abs(found["evaluate"][name] - value) < 1e-4, name
        assert abs(found["again"][name] - value) < 1e-4, name
    assert list(found["weights"]) == list(want["weights"])
    for path, numbers in want["weights"].items():
        np.testing.assert_allclose(found["weights"][path], numbers, atol=1e-4, err_msg=path)
    np.testing.assert_allclose(
        np.reshape(found["predict"], (3, CLASSES)), want["predict"], atol=1e-4
    )
    assert found["errors"] == ERRORS
    assert found["names"] == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert found["more"] == found["same"]  # the same seed, the same run
    assert found["stopped"] == "AbortError"
    file = folder.with_name("learnt.safetensors")
    file.write_bytes(bytes(found["file"]))
    learnt = fl.load(file)
    x, y = examples()
    own = learnt.evaluate(x, y, batch_size=BATCH, return_dict=True)
    assert abs(own["loss"] - found["before"]["loss"]) < 1e-4
    assert learnt.optimizer.iterations.item() == 27  # since it began again
    learnt.fit(x, y, BATCH, verbose=0)  # and learns on
    assert found["restored"] == [True, False] and found["kept"] == found["before"]
    return len(found["losses"][:50])
