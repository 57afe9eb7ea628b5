"""Labels whose shapes do not fit what they are compared with, and those that do, as in Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight import FanlightError
from fanlight.layers.loss_functions import FUNCTIONS
from tests.layers.keras_oracle import keras

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype(np.float32)

# Those of class numbers, of sequences and of pairs have shapes of their own.
COMPARED = sorted(
    set(FUNCTIONS)
    - {"sparse_categorical_crossentropy", "categorical_generalized_cross_entropy"}
    - {"circle", "ctc"}
)
SHAPES = [
    *(((8, 1), y) for y in ((8,), (8, 3), (8, 1, 1))),
    *(((8, 3), y) for y in ((8, 1), (8, 2), (8,), (8, 4, 3))),
    *(((8, 4, 3), y) for y in ((8, 4), (8, 3), (8, 4, 1), (8, 1, 3), (8,))),
]


@pytest.mark.parametrize("name", COMPARED)
def test_which_shapes_a_loss_takes_is_as_in_keras(name: str) -> None:
    kind = type(fl.losses.get(name)).__name__
    for shape, labels in SHAPES:
        if name.startswith("categorical_") and shape[-1] == 1:
            continue  # classes of one unit: Keras warns that they mean nothing
        p = RNG.uniform(0.1, 0.9, shape).astype(np.float32)
        y = (RNG.uniform(size=labels) > 0.5).astype(np.float32)
        try:
            theirs = float(getattr(keras.losses, kind)()(y, p))
        except (ValueError, TypeError):
            with pytest.raises(FanlightError) as error:
                getattr(fl.losses, kind)()(y, p)
            assert error.value.code == "E-OP-004" and error.value.next
            continue
        ours = getattr(fl.losses, kind)()(y, p).item()
        np.testing.assert_allclose(ours, theirs, 1e-4, 1e-5, err_msg=f"{shape} {labels}")


def model(units: int, loss: Any, **options: Any) -> Any:
    begin = fl.Input((4,))
    found = fl.Model(begin, fl.layers.Dense(units, "sigmoid", name="head")(begin), name="net")
    found.compile("sgd", loss, **options)
    return found


def told(net: Any, call: str, y: Any) -> FanlightError:
    with pytest.raises(FanlightError) as error:
        getattr(net, call)(X, y, **({"verbose": 0} if call == "fit" else {}))
    return error.value


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
@pytest.mark.parametrize(
    ("loss", "units", "labels", "words"),
    [
        ("binary_crossentropy", 1, (8, 3), "y.argmax(-1)"),
        ("binary_crossentropy", 3, (8, 1), "sparse_categorical_crossentropy"),
        (fl.losses.BinaryFocalCrossentropy(), 3, (8, 2), "give the last layer 2 units"),
        ("mse", 3, (8, 2), "give the last layer 2 units"),
        ("cosine_similarity", 3, (8, 4, 3), "model.summary()"),
        ("poisson", 3, (8,), "a last layer of one unit"),
        ("categorical_crossentropy", 3, (8,), "sparse_categorical_crossentropy"),
        ("sparse_categorical_crossentropy", 3, (8, 3), "categorical_crossentropy"),
        (fl.losses.CategoricalGeneralizedCrossEntropy(), 3, (8, 3), "class numbers"),
        (fl.losses.Circle(), 3, (8, 2), "class numbers"),
        (fl.losses.CategoricalFocalCrossentropy(), 3, (8, 2), "one-hot"),
        (lambda y, p: fl.metrics.mean_squared_error(y, p), 3, (8, 2), "2 units"),
    ],
)
def test_the_output_that_labels_do_not_fit_is_named(
    call: str, loss: Any, units: int, labels: tuple[int, ...], words: str
) -> None:
    error = told(model(units, loss), call, np.ones(labels, np.float32))
    assert error.code == "E-TRAIN-002"
    assert "'head'" in error.where and "net" in error.where
    assert "test_label_shapes.py" in error.where
    assert f"[{', '.join(map(str, labels))}]" in str(error.received)
    assert f"[8, {units}]" in str(error.received)
    assert words in str(error)


@pytest.mark.parametrize("eagerly", [False, True])
def test_several_outputs_and_metrics_are_told_apart(eagerly: bool) -> None:
    begin = fl.Input((4,))
    heads = [fl.layers.Dense(n, name=name)(begin) for n, name in ((2, "place"), (1, "score"))]
    net = fl.Model(begin, heads)
    net.compile("sgd", "mae", run_eagerly=eagerly)
    error = told(net, "fit", [np.ones((8, 3)), np.ones(8)])
    assert "'place'" in error.where and "'score'" not in error.where
    net = model(3, "sparse_categorical_crossentropy", metrics=["mse"], run_eagerly=eagerly)
    error = told(net, "evaluate", np.ones(8))
    assert error.code == "E-TRAIN-002" and "metric mse" in error.where and "'head'" in error.where


def test_errors_of_own_losses_stay_what_they_are() -> None:
    def own(y: Any, p: Any) -> Any:
        return fl.matmul(p, p)

    assert told(model(3, own), "fit", np.ones((8, 3))).code == "E-OP-004"
