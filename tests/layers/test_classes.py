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
from fanlight.layers.deploy import deployed
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


def under_two_patterns() -> Any:
    """One optimizer for kernels of both layers and for the bias of the head; another for the rest.

    Both keep what they saw of the head, and the first one counts its steps once.
    """
    kind = fl.optimizers
    one = kind.Adam(0.02)
    rows = {r".*/kernel": one, r"dense_1/bias": one}
    return kind.MultiOptimizer(kind.OptimizerMap(kind.SGD(0.1, momentum=0.9), rows))


def by_a_function() -> Any:
    one, rest = fl.optimizers.Adam(0.02), fl.optimizers.SGD(0.1, momentum=0.9)
    return fl.optimizers.MultiOptimizer(lambda w: rest if w.path.endswith("dense/bias") else one)


@pytest.mark.parametrize("optimizer", [under_two_patterns, by_a_function])
def test_several_optimizers_of_a_free_number_of_classes(optimizer: Any, tmp_path: Path) -> None:
    """Three classes, then five of which two are new: WebAssembly, NumPy and `fit` step alike."""
    batch, rng = 8, np.random.default_rng(5)
    x = rng.normal(size=(batch, 4)).astype(np.float32)
    model = net()
    steps = deployed(model, fl.training(optimizer(), LOSS), {"batch": batch, "classes": 7})
    assert sum(k.path.endswith("iteration") for k in steps.kept) == 3  # both, and around them
    grows = [k for k in steps.kept if k.axis is not None and k.kind == "optimizer"]
    assert [k.first.shape for k in grows] == [(5, 7), (5, 7), (7,), (7,)]
    name, anew = model.input.name, {k.name: k.first for k in steps.kept if k.kind == "metric"}
    with fl.build(steps.graphs["train"], tmp_path / "step") as bundle:
        states: dict[str, dict[str, Any]] = {"wasm": {}, "numpy": {}}
        for count in (3, 5):
            y = (np.arange(batch) % count).astype(np.int32)
            told = {}
            for host, state in states.items():
                for k in steps.kept:
                    first = k.first if k.axis is None else np.take(k.first, range(count), k.axis)
                    if k.axis is not None and k.name in state:  # the columns that there were
                        had = state[k.name]
                        first[tuple(slice(n) for n in had.shape)] = had
                        state[k.name] = first
                    state.setdefault(k.name, first)
                if host == "wasm":
                    same = net(count)
                    same.compile(optimizer(), LOSS)
                    same.optimizer.build(same.trainable_weights)
                    owns = [*same.weights, *same.optimizer.variables]
                    paths = {k.path: state[k.name] for k in steps.kept}
                    for own in owns:
                        own.assign(paths[own.path])
                told[host] = []
                for _ in range(4):
                    given = {**state, **anew, name: x, "y0": y, "w0": np.ones(batch, np.float32)}
                    given = {v.name: given[v.name] for v in steps.graphs["train"].inputs}
                    found = bundle.run(given, host=host)
                    told[host].append(found["results"][0])
                    state |= {steps.updates[n]: a for n, a in found.items() if n in steps.updates}
            np.testing.assert_allclose(told["wasm"], told["numpy"], rtol=1e-5)
            history = same.fit(x, y, batch, epochs=4, shuffle=False, verbose=0).history["loss"]
            np.testing.assert_allclose(told["wasm"], history, rtol=1e-4)
            assert history[-1] < history[0]
            for own in (*same.weights, *same.optimizer.variables):
                (kept,) = (k.name for k in steps.kept if k.path == own.path)
                np.testing.assert_allclose(states["wasm"][kept], own.numpy(), atol=1e-5)


def test_muon_among_several_optimizers_says_so_where_the_head_is_its() -> None:
    kind, model = fl.optimizers, net()
    for pattern, refused in ((r"dense_1/kernel", True), (r"dense/kernel", False)):
        optimizer = kind.MultiOptimizer(kind.OptimizerMap(kind.SGD(), {pattern: kind.Muon()}))
        optimizer.build(model.trainable_weights)
        free = classes_of(model, 7)
        if refused:
            with pytest.raises(FanlightError, match="Muon, which has another way"):
                grown(free, optimizer, model.trainable_weights)
        else:
            assert len(grown(free, optimizer, model.trainable_weights)) == 2


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


METRICS = {
    "macro": lambda: fl.metrics.F1Score(average="macro"),
    "micro": lambda: fl.metrics.F1Score(average="micro"),
    "weighted": lambda: fl.metrics.FBetaScore(average="weighted", beta=2.0),
    "r2": lambda: fl.metrics.R2Score(),
    "r2, by variance": lambda: fl.metrics.R2Score("variance_weighted_average"),
    "precision": lambda: fl.metrics.Precision(),
    "true": lambda: fl.metrics.TruePositives([0.2, 0.4]),
    "top 2": lambda: fl.metrics.TopKCategoricalAccuracy(k=2),
    "recall": lambda: fl.metrics.Recall(0.3),
    "cosine": lambda: fl.metrics.CosineSimilarity(),
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("count", [3, 5])
def test_metrics_count_any_number_of_classes(name: str, count: int) -> None:
    """Two batches at a number of classes: what Python's metric says of them."""
    model = net()
    how = fl.training("sgd", "categorical_crossentropy", [METRICS[name]()])
    steps = deployed(model, how, {"batch": 8, "classes": 7})
    rng = np.random.default_rng(3)
    state = {k.name: k.first for k in steps.kept}
    for k in steps.kept:
        if k.axis is not None:
            state[k.name] = np.take(k.first, range(count), k.axis)
    same = net(count)
    for w in same.weights:
        (own,) = (k.name for k in steps.kept if k.path == w.path)
        w.assign(state[own])
    same.compile("sgd", "categorical_crossentropy", metrics=[METRICS[name]()])
    x = rng.normal(size=(12, 4)).astype(np.float32)
    y = np.eye(count, dtype=np.float32)[rng.integers(0, count, 12)]
    graph = steps.graphs["evaluate"]
    for part in (slice(0, 8), slice(8, 12)):
        ones = np.ones(len(x[part]), np.float32)
        given = {**state, model.input.name: x[part], "y0": y[part], "w0": ones}
        found = evaluate(graph, {v.name: given[v.name] for v in graph.inputs})
        new = {steps.updates[n]: a for n, a in found.items() if n in steps.updates}
        state |= new
    want = same.evaluate(x, y, batch_size=8)
    np.testing.assert_allclose(found["results"], np.hstack(want), atol=1e-5)


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        (lambda: fl.metrics.F1Score(), "average=None"),
        (lambda: fl.metrics.R2Score(None), "class_aggregation=None"),
        (lambda: fl.metrics.AUC(multi_label=True, num_labels=3), "num_labels=3"),
        (lambda: fl.metrics.AUC(multi_label=True), "multi_label"),
        (lambda: fl.metrics.AUC(), "thresholds"),
        (lambda: fl.metrics.RecallAtPrecision(0.5), "thresholds"),
        (lambda: fl.metrics.Precision(class_id=1), "class_id=1"),
        (lambda: fl.metrics.Recall(top_k=2), "top_k=2"),
        (lambda: fl.metrics.ConfusionMatrix(), "pairs of classes"),
        (lambda: fl.metrics.OneHotMeanIoU(3), "num_classes=3"),
    ],
)
def test_metrics_of_a_number_of_classes_say_why(tmp_path: Path, metric: Any, why: str) -> None:
    how = fl.training("sgd", "categorical_crossentropy", [metric()])
    with pytest.raises(FanlightError, match="metrics for any number of classes") as caught:
        fl.build(net(), tmp_path / "b", train=how, dims={"classes": 7})
    assert caught.value.code == "E-BUILD-005" and why in str(caught.value.received)
    assert "metric" in str(caught.value.next)


def test_what_does_other_things_for_other_sizes_says_so(tmp_path: Path) -> None:
    how = fl.training("muon", LOSS)
    with pytest.raises(FanlightError, match="left to the page") as caught:
        fl.build(net(), tmp_path / "b", train=how, dims={"classes": 7})
    assert caught.value.code == "E-BUILD-005" and "exclude_layers" in str(caught.value.next)
    head = net()
    name = head.layers[1].name
    how = fl.training(fl.optimizers.Muon(exclude_layers=[name]), LOSS)
    fl.build(head, tmp_path / "b", train=how, dims={"classes": 7}).close()

    def flat(y: Any, p: Any) -> Any:
        return fl.sum(fl.reshape(y - p, (-1,)) ** 2)

    with pytest.raises(FanlightError, match="left to the page") as caught:
        fl.build(net(), tmp_path / "own", train=fl.training("sgd", flat), dims={"classes": 7})
    assert "is merged with dims behind it alone" in str(caught.value.received)
    assert "test_classes.py" in str(caught.value.received)

    class Own(fl.Model):
        def __init__(self) -> None:
            super().__init__()
            self.head = fl.layers.Dense(3)

        def call(self, inputs: Any) -> Any:
            return self.head(inputs)

    own = Own()
    own(np.zeros((1, 4), np.float32))
    with pytest.raises(FanlightError, match="a functional model") as caught:
        fl.build(own, tmp_path / "own", train=fl.training("sgd", LOSS), dims={"classes": 7})
    assert "Own" in str(caught.value.received)
