"""What a build for training takes of a model, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.graph import evaluate
from fanlight.layers.deploy import deployed

L = fl.layers
LOSS = "sparse_categorical_crossentropy"


def net(units: int = 3) -> Any:
    fl.clear_session()
    fl.set_random_seed(2)
    return fl.Sequential(
        [
            fl.Input((4,), name="x"),
            L.Dense(5, activation="relu", name="hidden"),
            L.Dense(units, activation="softmax", name="head"),
        ]
    )


def examples(count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((count, 4), np.float32), (np.arange(count) % 3).astype(np.int32)


def test_a_bundle_that_learns_is_called_by_the_name_of_its_model(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((4,)), L.Dense(3)], name="house_prices")
    for train in (None, fl.training("sgd", "mse")):
        with fl.build(model, tmp_path / "b", train=train) as bundle:
            assert bundle.manifest["name"] == "house_prices"
        page = (tmp_path / "b" / "index.html").read_text("utf-8")
        assert "<title>house_prices" in page and "<h1>house_prices</h1>" in page
        package = json.loads((tmp_path / "b" / "package.json").read_bytes())
        assert package["name"] == "house_prices"
    fl.build(model, tmp_path / "b", train=fl.training("sgd", "mse"), title="What a house costs")
    page = (tmp_path / "b" / "index.html").read_text("utf-8")
    assert "<title>What a house costs" in page and "<h1>What a house costs</h1>" in page


def test_an_optimizer_stays_as_it_is_and_goes_on_in_the_page() -> None:
    """One object trains two models, and is given to two builds: each has what is its own."""
    fl.clear_session()
    x, y = examples()
    rate = fl.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    optimizer = fl.optimizers.Adam(rate, use_ema=True)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = net()
    model.compile(optimizer, LOSS)
    model.fit(x, y, epochs=3, verbose=0)
    before = [(v, v.numpy().copy()) for v in optimizer.variables]
    trained = list(optimizer.trained)
    steps = deployed(model, fl.training(optimizer, LOSS), None)
    other = deployed(net(7), fl.training(optimizer, LOSS), None)
    assert [id(w) for w in optimizer.trained] == [id(w) for w in trained]
    assert [id(v) for v, _ in before] == [id(v) for v in optimizer.variables]
    for variable, array in before:
        np.testing.assert_array_equal(variable.numpy(), array)
    kept = {k.path: k.first for k in steps.kept if k.kind == "optimizer"}
    assert {v.path for v, _ in before} == set(kept)
    for variable, array in before:
        np.testing.assert_array_equal(kept[variable.path], array)
    assert kept["adam/iteration"] == 3
    shapes = {k.first.shape for k in other.kept if k.kind == "optimizer"}
    assert (5, 7) in shapes and (5, 3) not in shapes
    model.fit(x, y, epochs=1, verbose=0)  # goes on here, too


def by_map(default: Any, head: Any) -> Any:
    """One optimizer of the head and one of the rest, the first under two patterns."""
    rows = {"head/kernel": head, "head/bias": head}
    return fl.optimizers.MultiOptimizer(fl.optimizers.OptimizerMap(default, rows))


def by_function(default: Any, head: Any) -> Any:
    return fl.optimizers.MultiOptimizer(lambda w: head if w.path.startswith("head") else default)


@pytest.mark.parametrize("made", [by_map, by_function])
def test_optimizers_inside_of_one_stay_as_they_are(made: Any) -> None:
    fl.clear_session()
    x, y = examples()
    parts = [fl.optimizers.SGD(0.1, momentum=0.9), fl.optimizers.Adam(0.01)]
    optimizer = made(*parts)

    def state() -> list[Any]:
        every = [optimizer, *parts, *optimizer.optimizers]
        return [[*map(id, o.variables), *map(id, o.trained), o.loss_scale_factor] for o in every]

    fresh = state()
    steps = deployed(net(), fl.training(optimizer, LOSS), None)
    assert state() == fresh
    wanted = {"sgd/hidden_kernel_momentum", "adam/head_kernel_velocity", "adam/iteration"}
    assert wanted < {k.path for k in steps.kept if k.kind == "optimizer"}
    model = net()
    model.compile(optimizer, LOSS)
    model.fit(x, y, epochs=2, verbose=0)
    trained, arrays = state(), [v.numpy().copy() for v in optimizer.variables]
    steps = deployed(model, fl.training(optimizer, LOSS), None)
    deployed(net(7), fl.training(optimizer, LOSS), None)
    assert state() == trained
    kept = [k.first for k in steps.kept if k.kind == "optimizer"]
    for found, own, before in zip(kept, optimizer.variables, arrays, strict=True):
        np.testing.assert_array_equal(found, before)
        np.testing.assert_array_equal(own.numpy(), before)


def test_metrics_that_have_counted_begin_anew_in_the_page() -> None:
    x, y = examples()
    counts = fl.metrics.SparseCategoricalAccuracy()
    model = net()
    model.compile("sgd", LOSS, metrics=[counts])
    model.fit(x, y, verbose=0)
    assert counts.variables[1].item() == 8
    steps = deployed(model, fl.training("sgd", LOSS, [counts]), None)
    kept = [k for k in steps.kept if k.kind == "metric"]
    assert len(kept) == 4 and not any(k.first.any() for k in kept)
    assert counts.variables[1].item() == 8


def test_a_model_that_learns_nothing_is_refused(tmp_path: Path) -> None:
    model = net()
    model.trainable = False
    with pytest.raises(FanlightError, match="nothing of this model learns") as caught:
        fl.build(model, tmp_path / "b", train=fl.training("sgd", LOSS))
    assert caught.value.code == "E-BUILD-005" and "model.trainable = True" in str(caught.value.next)
    model.trainable = True
    for layer in model.layers:
        layer.trainable = False
    with pytest.raises(FanlightError, match="all are frozen: hidden, head") as caught:
        fl.build(model, tmp_path / "b", train=fl.training("sgd", LOSS))
    assert 'get_layer("head")' in str(caught.value.next)
    bare = fl.Sequential([fl.Input((4,)), L.Softmax()])
    with pytest.raises(FanlightError, match="no weights at all"):
        fl.build(bare, tmp_path / "b", train=fl.training("sgd", LOSS))
    assert not (tmp_path / "b").exists()
    model.layers[-1].trainable = True
    fl.build(model, tmp_path / "b", train=fl.training("sgd", LOSS)).close()


@pytest.mark.parametrize("train", [None, fl.training("sgd", "mse")])
def test_texts_are_left_to_the_page(tmp_path: Path, train: Any) -> None:
    """The error names the layer; what it says to do is done, and works."""
    words = L.TextVectorization(vocabulary=["a", "b", "c"], output_sequence_length=4)
    text = fl.Input((1,), dtype="string", name="text")
    numbers = words(text)
    y = L.Dense(2)(L.Flatten()(L.Embedding(6, 3)(numbers)))
    model = fl.Model(text, y)
    with pytest.raises(FanlightError, match="texts cannot be built") as caught:
        fl.build(model, tmp_path / "b", train=train)
    error = caught.value
    assert error.code == "E-BUILD-005" and repr(words.name) in str(error.where)
    if train is None:
        code = str(error.next).removeprefix("build ").partition(" and send")[0]
        assert code == f'fl.Model(model.get_layer("{words.name}").output, model.output)'
        part = eval(code, {"fl": fl, "model": model})
    else:
        code = str(error.next).partition("called again with ")[2].partition(", and send")[0]
        begun = again = eval(code, {"fl": fl})
        for layer in model.layers[2:]:
            again = layer(again)
        part = fl.Model(begun, again)
    with fl.build(part, tmp_path / "b", train=train) as bundle:
        (name,) = [entry["name"] for entry in bundle.manifest["inputs"]]
        given = np.asarray(words(np.array([["a c b"]])))
        dtype = bundle.manifest["inputs"][0]["dtype"]
        (found,) = bundle.run({name: given.astype(dtype)}).values()
    np.testing.assert_allclose(found, model.predict(np.array([["a c b"]])), atol=1e-6)


def test_a_class_of_ones_own_that_reads_texts_is_refused_too(tmp_path: Path) -> None:
    class Reads(fl.Model):
        def __init__(self) -> None:
            super().__init__()
            self.words = L.StringLookup(vocabulary=["a", "b"])
            self.head = L.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.head(fl.cast(self.words(inputs), "float32"))

    model = Reads()
    model(np.array([["a"]]))
    with pytest.raises(FanlightError, match="texts cannot be built") as caught:
        fl.build(model, tmp_path / "b")
    assert "StringLookup" in str(caught.value.where)


@pytest.mark.parametrize("name", ["y0", "w0", "state_1", "f0", "results", "_y0"])
def test_inputs_may_have_any_name(name: str) -> None:
    fl.clear_session()
    fl.set_random_seed(1)
    x = fl.Input((4,), name=name)
    model = fl.Model(x, L.Dense(3, activation="softmax")(L.Dense(5, trainable=False)(x)))
    steps = deployed(model, fl.training("sgd", LOSS), {"batch": 8})
    given, labels = examples()
    features = [evaluate(steps.graphs["features"], {name: row[None]}) for row in given]
    graph = steps.graphs["train"]
    own = {k.name: k.first for k in steps.kept}
    free = [v.name for v in graph.inputs if v.name not in own]
    parts = [np.concatenate([f for row in features for f in row.values()])]
    parts += [labels, np.ones(8, np.float32)]
    found = evaluate(graph, {**own, **dict(zip(free, parts, strict=True))})
    model.compile("sgd", LOSS)
    loss = model.train_on_batch(given, labels)
    np.testing.assert_allclose(found["results"][0], loss, rtol=1e-5)


def test_labels_are_told_by_the_losses_of_their_outputs(tmp_path: Path) -> None:
    x = fl.Input((6,), name="x")
    heads = {
        "kind": L.Dense(4, activation="softmax", name="kind")(x),
        "some": L.Dense(5, activation="softmax", name="some")(x),
        "yes": L.Dense(1, activation="sigmoid", name="yes")(x),
        "rows": L.Permute((2, 1))(L.Reshape((2, 3))(L.Dense(6, name="six")(x))),
        "size": L.Dense(2, name="size")(x),
    }
    losses = {
        "kind": LOSS,
        "some": fl.losses.SparseCategoricalCrossentropy(ignore_class=9),
        "yes": "binary_crossentropy",
        "rows": fl.losses.SparseCategoricalCrossentropy(from_logits=True, axis=1),
        "size": "mse",
    }
    model = fl.Model(x, heads)
    fl.build(model, tmp_path / "b", train=fl.training("sgd", losses), dims={"batch": 4}).close()
    told = json.loads((tmp_path / "b" / "training.json").read_text())
    assert told["labels"] == [  # the outputs of a dict by its sorted keys
        {"name": "kind", "classes": 4, "ignored": None, "share": False},
        {"name": "rows", "classes": 3, "ignored": None, "share": False},
        {"name": "size", "classes": None, "ignored": None, "share": False},
        {"name": "some", "classes": 5, "ignored": 9, "share": False},
        {"name": "yes", "classes": None, "ignored": None, "share": True},
    ]
    inputs = told["programs"]["train"]["inputs"]
    shapes = [(spec["dtype"], spec["shape"][1:]) for spec in inputs[1:6]]
    want = [("int32", []), ("int32", [2]), ("float32", [2]), ("int32", []), ("float32", [1])]
    assert shapes == want
