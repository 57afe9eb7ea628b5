"""Models whose number of classes the page chooses, as far as Python sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.built import open_bundle
from fanlight.errors import FanlightError
from fanlight.graph import Builder, evaluate, parse, to_text, verify
from fanlight.layers.classes import classes_of, grown
from fanlight.ops.types import Dim

LOSS = "sparse_categorical_crossentropy"


def net(units: int = 3) -> Any:
    fl.clear_session()
    fl.set_random_seed(2)
    dense = fl.layers.Dense
    return fl.Sequential(
        [fl.Input((4,)), dense(5, activation="relu"), dense(units), fl.layers.Softmax()]
    )


@pytest.mark.parametrize("most", [3, 7])
def test_a_bundle_begins_with_the_classes_of_its_model(tmp_path: Path, most: int) -> None:
    model = net()
    how = fl.training("adam", LOSS)
    bundle = fl.build(model, tmp_path / "b", train=how, dims={"batch": 8, "classes": most})
    dims = bundle.manifest["dims"]
    assert [dims["classes"][key] for key in ("min", "size", "max")] == [2, 3, most]
    x = np.random.default_rng(0).random((2, 4), np.float32)
    want = model.predict(x, verbose=0)
    again = open_bundle(tmp_path / "b")
    for some in (bundle, again):
        for host in ("wasm", "wasm-plain", "numpy"):
            (found,) = some.run({model.input.name: x}, host=host).values()
            np.testing.assert_allclose(found, want, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "bound", "expected"),
    [
        (net, 2, "bounds around the 3"),
        (net, (4, 9), "bounds around the 3"),
        (net, 0, "the most classes"),
        (net, "many", "the most classes"),
        (net, (3, 2), "the most classes"),
        (net, True, "the most classes"),
        (net, (3, 3), "bounds that leave a choice"),
        (lambda: fl.Sequential([fl.Input((4, 1)), fl.layers.Conv1D(3, 2)]), 9, "a Dense layer"),
        (lambda: fl.Sequential([fl.Input((4,)), fl.layers.Softmax()]), 9, "a Dense layer"),
        (
            lambda: fl.Sequential([fl.Input((4,)), fl.layers.Dense(6), fl.layers.Reshape((2, 3))]),
            9,
            "a Dense layer",
        ),
    ],
)
def test_what_cannot_have_free_classes(make: Any, bound: Any, expected: str) -> None:
    with pytest.raises(FanlightError) as caught:
        classes_of(make(), bound)
    assert caught.value.code == "E-BUILD-005" and expected in str(caught.value)


def test_other_models_and_metrics_are_refused(tmp_path: Path) -> None:
    x = fl.Input((4,))
    dense = fl.layers.Dense
    two = fl.Model(x, [dense(3)(x), dense(3)(x)])
    how = fl.training("adam", "mse")
    with pytest.raises(FanlightError, match="a model with one output"):
        fl.build(two, tmp_path / "b", train=how, dims={"classes": 9})
    metric = fl.metrics.SparseCategoricalAccuracy()
    counted = fl.metrics.MeanIoU(3, sparse_y_pred=False)
    with pytest.raises(FanlightError, match="metrics for any number of classes") as caught:
        how = fl.training("adam", LOSS, [metric, counted])
        fl.build(net(), tmp_path / "b", train=how, dims={"classes": 9})
    assert "mean_io_u" in str(caught.value)
    with pytest.raises(FanlightError, match="no such free size"):
        fl.build(net(), tmp_path / "b", train=fl.training("adam", LOSS), dims={"width": 9})
    held = fl.Sequential(
        [fl.Input((4,)), dense(3, kernel_initializer=fl.initializers.Constant(np.ones((4, 3))))]
    )
    with pytest.raises(FanlightError, match="Constant cannot make"):
        how = fl.training("adam", "mse")
        fl.build(held, tmp_path / "b", train=how, dims={"classes": 9})
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "name", ["SGD", "Adam", "AdamW", "Adamax", "Nadam", "Lion", "RMSprop", "Adagrad", "Adafactor"]
)
def test_slots_grow_with_their_weights(name: str) -> None:
    """Each has room for the most classes, and what it is for those that there are."""
    model = net()
    optimizer = getattr(fl.optimizers, name)(0.01, use_ema=True)
    model.compile(optimizer, LOSS)
    x = np.random.default_rng(0).random((8, 4), np.float32)
    model.fit(x, np.arange(8) % 3, epochs=2, verbose=0)
    found = grown(classes_of(model, 7), optimizer, model.trainable_weights)
    head = model.layers[1]
    assert found[id(head.kernel)].array.shape == (5, 7) and found[id(head.bias)].array.shape == (7,)
    for v in optimizer.variables:
        if id(v) not in found:
            assert 3 not in v.shape
            continue
        part = found[id(v)]
        assert part.array.shape[part.axis] == 7
        assert np.array_equal(np.split(part.array, [3], part.axis)[0], v.numpy())


def test_a_weight_of_a_free_size_has_the_size_of_its_array() -> None:
    builder = Builder("g")
    x = builder.input("x", (2, 3), "float32")
    w = builder.weight(np.ones((3, 4), np.float32), "w", (3, Dim("classes", 6, 2)))
    graph = verify(builder.finish({"y": builder.add("matmul", x, w)}))
    given = {"x": np.ones((2, 3), np.float32)}
    assert evaluate(graph, given)["y"].shape == (2, 4)
    wide = np.full((3, 6), 2, np.float32)
    again = parse(to_text(graph), {"w": wide})
    assert evaluate(again, given)["y"].shape == (2, 6)
    assert to_text(again) == to_text(graph)
    with pytest.raises(FanlightError, match="E-GRAPH-006"):
        parse(to_text(graph), {"w": np.ones((3, 7), np.float32)})
