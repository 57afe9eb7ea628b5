"""Random functional models of Keras through both doors: what each gives is what Keras gives."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.layers.keras_oracle import close, keras, numbers

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, about .h5 and NumPy
DOORS = ("load", "load_model")
ENDINGS = ("keras", "h5")


def results(made: Any) -> list[np.ndarray]:
    """What a model gives, as a list."""
    if isinstance(made, dict):
        return [np.asarray(v) for v in made.values()]
    return [np.asarray(v) for v in (made if isinstance(made, list | tuple) else [made])]


def same(model: Any, fed: Any, folder: Path, endings: tuple[str, ...] = ENDINGS) -> None:
    """Both doors to the files of a model of Keras give what it gives."""
    wanted = results(model(fed))
    for ending in endings:
        path = folder / f"m.{ending}"
        model.save(path)
        for door in DOORS:
            given: Any = fed
            if door == "load" and isinstance(fed, list):
                given = dict(zip([t.name for t in model.inputs], fed, strict=True))
            found = results(getattr(fl, door)(path)(given))
            assert len(found) == len(wanted), (door, ending)
            for i, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
                close(ours, theirs, f"output {i} by fl.{door} of {path.name}")


def nested() -> Any:
    """A model of two layers, to be called in others."""
    q = keras.Input((4,))
    return keras.Model(q, keras.layers.Dense(4)(keras.layers.Dense(4)(q)))


def stirred(model: Any, seed: int = 0) -> Any:
    """The model with random weights, biases included."""
    for i, weight in enumerate(model.weights):
        weight.assign(numbers(*weight.shape, seed=seed + i) * 0.5)
    return model


def network(draw: random.Random) -> Any:
    """Up to nine calls of layers and models, some of them called again, and up to four outputs."""
    inputs = [keras.Input((4,), name=f"in{j}") for j in range(draw.choice([1, 2, 3]))]
    pool, layers = list(inputs), []
    for _ in range(draw.randint(3, 9)):
        if layers and draw.random() < 0.35:
            layer = draw.choice(layers)
        else:
            layer = nested() if draw.random() < 0.3 else keras.layers.Dense(4)
            layers.append(layer)
        x = draw.choice(pool)
        if draw.random() < 0.3 and len(pool) > 1:
            x = x + draw.choice(pool)
        pool.append(layer(x))
    made = pool[len(inputs) :]
    outputs = draw.sample(made, min(len(made), draw.choice([1, 2, 3])))
    if draw.random() < 0.4:
        outputs.append(pool[-1])
    shuffled = draw.sample(inputs, len(inputs))
    return keras.Model(shuffled if len(inputs) > 1 else shuffled[0], outputs)


@pytest.mark.parametrize("seed", range(20))
def test_random_networks(seed: int, tmp_path: Path) -> None:
    model = stirred(network(random.Random(seed)), seed)
    fed = [numbers(2, 4, seed=seed + i) for i in range(len(model.inputs))]
    # Each model in one form of file, in turn, so that all of them take a few seconds.
    same(model, fed if len(fed) > 1 else fed[0], tmp_path, (ENDINGS[seed % 2],))


@pytest.mark.parametrize("last", ["both", "difference", "second", "three"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_one_model_called_again(last: str, ending: str, tmp_path: Path) -> None:
    x = keras.Input((4,))
    twin = nested()
    a, b = twin(x), twin(x * 3.0)
    outputs = {
        "both": [a, b, keras.layers.Dense(4)(b)],
        "difference": [b, a - b],
        "second": [b],
        "three": [twin(b), a, b],
    }[last]
    same(stirred(keras.Model(x, outputs)), numbers(2, 4), tmp_path, (ending,))
