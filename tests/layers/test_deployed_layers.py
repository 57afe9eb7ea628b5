"""Every layer and every metric in a step of a free batch, as a page trains it: what Python's fit
gives by NumPy, the last batch being smaller. What lies behind the actual batch is poison.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.graph import Graph, evaluate
from fanlight.layers.deploy import deployed
from fanlight.layers.file_safetensors import named
from fanlight.ops import TABLE
from fanlight.passes import optimize
from fanlight.tensor import random
from tests.layers.test_wrong_arguments import LAYERS, PARTS, classes, input_of, right_of

L: Any = fl.layers
BATCH, COUNT, SEED = 3, 8, 7  # batches of 3, 3 and 2


@contextmanager
def poison() -> Iterator[None]:
    """Inputs at their bounds have anything behind the actual size."""
    row = TABLE["to_bound"]

    def poisoned(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
        (made,) = row.eval(arrays, attrs)
        junk = np.array([np.nan, np.inf, -np.inf, 1e30] if made.dtype.kind == "f" else [7, -9, 1])
        behind = made.reshape(-1)[arrays[0].size :]
        behind[:] = np.resize(junk, behind.size).astype(made.dtype)
        return [made]

    TABLE["to_bound"] = replace(row, eval=poisoned)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        TABLE["to_bound"] = row


def run(graph: Graph, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A step; a graph takes some of what is given."""
    return evaluate(graph, {v.name: given[v.name] for v in graph.inputs})


def page(
    model: Any, how: Any, x: Sequence[np.ndarray], y: np.ndarray, tested: bool
) -> tuple[Any, Any]:
    """What the steps of a page report after each batch, and the weights after the last; then, if
    `tested`, what they report of the last batch without training.
    """
    steps = deployed(model, how, {"batch": BATCH})
    kinds = ("train", "features", *(["evaluate"] if tested else []))
    graphs = {k: optimize(g) for k, g in steps.graphs.items() if k in kinds}
    state = {k.name: random.key(SEED).numpy() if k.kind == "key" else k.first for k in steps.kept}
    names = [v.name for v in steps.graphs["predict"].inputs if v.name not in state]
    told = []
    for first in range(0, len(y), BATCH):
        rows = slice(first, first + BATCH)
        given = {"y0": y[rows], "w0": np.ones(len(y[rows]), np.float32)}
        given |= {name: part[rows] for name, part in zip(names, x, strict=True)}
        if "features" in graphs:
            one = [{n: given[n][i : i + 1] for n in names} for i in range(len(y[rows]))]
            made = [run(graphs["features"], example) for example in one]
            given |= {n: np.concatenate([m[n] for m in made]) for n in made[0]}
        with poison():
            found = run(graphs["train"], {**given, **state})
        told.append(found["results"])
        state |= {steps.updates[n]: array for n, array in found.items() if n in steps.updates}
    weights = {k.path: state[k.name] for k in steps.kept if k.kind == "weight"}
    if tested:
        anew = {k.name: k.first for k in steps.kept if k.kind == "metric"}
        with poison():
            told.append(run(graphs["evaluate"], {**given, **state, **anew})["results"])
    return told, weights


def python(
    model: Any, how: Any, x: Sequence[np.ndarray], y: np.ndarray, tested: bool
) -> tuple[Any, Any]:
    """The same by `fit` and `evaluate`, op by op."""
    told: list[list[float]] = []

    class Reports(fl.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            told.append([n for v in (logs or {}).values() for n in np.ravel(v)])

    options = {"metrics": how.metrics, "weighted_metrics": how.weighted_metrics}
    model.compile(how.optimizer, how.loss, run_eagerly=True, **options)
    model.set_random_key(SEED)
    given: Any = list(x) if len(x) > 1 else x[0]
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
    model.fit(given, y, callbacks=[Reports()], **options)
    if tested:
        last = slice(len(y) // BATCH * BATCH, None)
        part = [a[last] for a in x] if len(x) > 1 else x[0][last]
        logs = model.evaluate(part, y[last], return_dict=True, verbose=0)
        told.append([n for v in logs.values() for n in np.ravel(v)])
    return told, {path: w.numpy() for path, w in named(model)}


def same(
    model: Any, how: Any, x: Sequence[np.ndarray], y: np.ndarray, tested: bool = False
) -> None:
    """The page and Python report the same, and learn the same."""
    told, learnt = page(model, how, x, y, tested)
    wanted, weights = python(model, how, x, y, tested)
    assert len(told) == -(-len(y) // BATCH) + tested
    for found, numbers in zip(told, wanted, strict=True):
        np.testing.assert_allclose(found, numbers, rtol=1e-4, atol=1e-6)
    for path, array in learnt.items():
        np.testing.assert_allclose(array, weights[path], rtol=1e-4, atol=1e-5, err_msg=path)
    assert learnt


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


# --- layers ---------------------------------------------------------------------------------------

SHAPES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("BatchNormalization", "Bidirectional", "GRU", "LSTM", "RNN"), (4, 3)),
    **dict.fromkeys(("SimpleRNN", "TimeDistributed"), (4, 3)),
    "ConvLSTM1D": (3, 4, 2),
    "ConvLSTM2D": (3, 4, 3, 2),
    "ConvLSTM3D": (2, 3, 2, 3, 1),
}
# A page has no strings, and none of the functions of Python that hash.
HOST = {
    "HashedCrossing": "hashes are computed in Python",
    "Hashing": "hashes are computed in Python",
    "StringLookup": "takes strings",
    "TextVectorization": "takes strings",
}
NOT_CALLED = {"InputLayer"}  # it is what fl.Input makes; every model here begins with one


def called(name: str, layer: Any, x: Sequence[Any]) -> Any:
    if name == "ConvLSTM2DCell":
        return L.RNN(layer)(L.Reshape((1, *x[0].shape[1:]))(x[0]))
    if name.endswith(("Cell", "Cells")):
        return L.RNN(layer)(L.Reshape((1, -1))(x[0]))
    if name in ("GroupQueryAttention", "MultiHeadAttention"):
        return layer(x[0], x[0])
    return layer(x if len(x) > 1 else [x[0], x[0]] if name.endswith("Attention") else x[0])


def model_of(
    name: str, options: Mapping[str, Any], shape: tuple[int, ...] | None = None
) -> tuple[Any, list[np.ndarray]]:
    """A model whose weights lie before and behind the layer, and what it takes."""
    fl.clear_session()
    fl.set_random_seed(4)
    example = input_of(name)
    begins, arrays, x = [], [], []
    for i, part in enumerate(example if isinstance(example, list) else [example]):
        size, kind = shape or SHAPES.get(name, part.shape[1:]), part.dtype.kind
        a = numbers(COUNT, *size, seed=i)
        a = (np.abs(a * 10).astype(np.int32) % 3) if kind == "i" else a
        begins.append(fl.Input(size, dtype={"i": "int32", "f": "float32"}.get(kind, "string")))
        # What gives whole numbers has no slope.
        learns = kind == "f" and name != "Discretization"
        x.append(L.Dense(size[-1], "sigmoid")(begins[-1]) if learns else begins[-1])
        arrays.append(a)
    y = L.Flatten()(called(name, LAYERS[name](**options), x))
    return fl.Model(begins, L.Dense(2)(L.Rescaling(1.0)(y))), arrays


@pytest.mark.parametrize("name", [n for n in LAYERS if n not in {*HOST, *NOT_CALLED}])
def test_a_layer_in_a_step_of_a_free_batch(name: str) -> None:
    model, x = model_of(name, right_of(name))
    same(model, fl.training(fl.optimizers.SGD(0.1), "mse"), x, numbers(COUNT, 2, seed=9))


# Layers that do more with other arguments, or with more dims.
FURTHER: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("TimeDistributed", {"layer": L.Conv2D(2, 2)}, (3, 4, 4, 2)),
    ("TimeDistributed", {"layer": L.LSTM(2)}, (2, 3, 4)),
    ("EinsumDense", {"equation": "abc,cde->abde", "output_shape": (None, 2, 3)}, (3, 4)),
    ("Bidirectional", {"layer": L.GRU(2, return_sequences=True)}, (4, 3)),
    ("Conv3D", {"filters": 2, "kernel_size": 2, "strides": 2, "padding": "same"}, (3, 4, 3, 2)),
    ("Conv3DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2}, (2, 3, 2, 2)),
    ("AveragePooling3D", {"pool_size": 2, "padding": "same"}, (3, 3, 3, 2)),
    ("ConvLSTM2D", {"filters": 2, "kernel_size": 2, "return_sequences": True}, (3, 4, 3, 2)),
    ("RandomRotation", {"factor": 0.2, "fill_mode": "constant"}, (4, 5, 2)),
    ("RandomZoom", {"height_factor": 0.3, "fill_mode": "wrap"}, (4, 5, 2)),
    # Histograms of more than one bin: of the whole batch, and of parts of each picture.
    ("Equalization", {"value_range": (0, 1)}, (4, 5, 3)),
    (
        "ContrastLimitedAdaptiveHistogramEqualization",
        {"value_range": (0, 1), "tile_grid_size": (2, 2)},
        (4, 5, 3),
    ),
    ("Dense", {"units": 3}, (2, 3, 4)),
    ("LayerNormalization", {"axis": (1, 2)}, (3, 4)),
    ("BatchNormalization", {"axis": 1}, (3, 4, 2)),
    ("Softmax", {"axis": (1, 2)}, (3, 4)),
]


@pytest.mark.parametrize(
    ("name", "options", "shape"), FURTHER, ids=[f"{n}-{s}" for n, _, s in FURTHER]
)
def test_a_layer_of_more_dims(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    model, x = model_of(name, options, shape)
    same(model, fl.training(fl.optimizers.SGD(0.1), "mse"), x, numbers(COUNT, 2, seed=9), True)


@pytest.mark.parametrize("name", HOST)
def test_layers_of_the_host_say_so(name: str, tmp_path: Path) -> None:
    more = {"output_sequence_length": 3} if name == "TextVectorization" else {}
    model, _ = model_of(name, {**right_of(name), **more})
    with pytest.raises(FanlightError, match=r"E-BUILD-005|E-TENSOR-003") as caught:
        fl.build(model, tmp_path / "out", train=fl.training("sgd", "mse"))
    assert caught.value.next, HOST[name]


@pytest.mark.parametrize("size", [1, 4])
def test_a_fixed_batch_is_refused_with_what_to_do(size: int, tmp_path: Path) -> None:
    for layer, word in ((L.LSTM(2, stateful=True), "stateful=False"), (L.LSTM(2), "batch_size")):
        model = fl.Sequential([fl.Input((4, 3), batch_size=size), layer, L.Dense(1)])
        for dims in ({}, {"batch": size}):
            with pytest.raises(FanlightError, match="E-BUILD-005") as caught:
                fl.build(model, tmp_path / "out", train=fl.training("sgd", "mse"), dims=dims)
            assert word in str(caught.value.next)


# --- metrics --------------------------------------------------------------------------------------

METRICS = classes(fl.metrics)
ALONE = {
    "Mean": "takes values, not labels and predictions",
    "Sum": "takes values, not labels and predictions",
    "Metric": "the base of the others",
}
SPARSE = [name for name in METRICS if name.startswith("Sparse")]
CLASSES = ["F1Score", "FBetaScore", "R2Score", "OneHotIoU", "OneHotMeanIoU"]  # [examples, classes]
WHOLE = ["IoU", "MeanIoU", "ConfusionMatrix"]  # of class numbers
COLUMNS = [n for n in METRICS if n not in {*ALONE, *SPARSE, *CLASSES, *WHOLE}]
COUNTS = [n for n in COLUMNS if METRICS[n].__module__.endswith("thresholds")]
OTHERS = [n for n in COLUMNS if n not in COUNTS]
GROUPS: list[tuple[list[str], tuple[int, ...]]] = [
    *((group, shape) for group in (SPARSE, WHOLE, COUNTS, OTHERS) for shape in ((3,), (2, 3))),
    (CLASSES, (3,)),
]


@pytest.mark.parametrize(("group", "shape"), GROUPS, ids=[f"{g[0]}-{s}" for g, s in GROUPS])
def test_metrics_in_a_step_of_a_free_batch(group: list[str], shape: tuple[int, ...]) -> None:
    """Of one column and of several."""
    fl.clear_session()
    fl.set_random_seed(4)
    metrics = [METRICS[n](**PARTS["metrics"].get(n, {}), name=n) for n in group]
    x = fl.Input((*shape[:-1], 5))
    y = L.Dense(shape[-1], "softmax" if group is SPARSE else "sigmoid")(x)
    if group is WHOLE:
        y = L.Rescaling(2.9)(y)
    labels = np.random.default_rng(5).integers(0, 2, (COUNT, *shape)).astype(np.float32)
    if group is SPARSE:
        labels = np.argmax(labels + numbers(COUNT, *shape) * 0.1, -1).astype(np.int32)
    loss = "sparse_categorical_crossentropy" if group is SPARSE else "mse"
    how = fl.training(fl.optimizers.SGD(0.5), loss, metrics)
    same(fl.Model(x, y), how, [numbers(COUNT, *shape[:-1], 5)], labels, True)


def test_every_metric_is_tried() -> None:
    assert sorted([*ALONE, *(n for group, _ in GROUPS[::2] for n in group)]) == sorted(METRICS)


# --- as WebAssembly -------------------------------------------------------------------------------

MERGED = [
    ("TimeDistributed", {"layer": L.Conv2D(2, 2)}, (3, 4, 4, 2)),
    ("Conv3D", {"filters": 2, "kernel_size": 2}, (3, 4, 3, 2)),
    ("ConvLSTM2D", {"filters": 2, "kernel_size": 2}, (3, 4, 3, 2)),
    ("RandomRotation", {"factor": 0.2}, (4, 5, 2)),
    ("Equalization", {"value_range": (0, 1), "bins": 16}, (4, 5, 2)),
]


@pytest.mark.parametrize(("name", "options", "shape"), MERGED, ids=[n for n, *_ in MERGED])
def test_a_step_in_webassembly(
    name: str, options: dict[str, Any], shape: tuple[int, ...], tmp_path: Path
) -> None:
    """In memory that a larger batch has left full; kernels stop where the batch does."""
    model, (x,) = model_of(name, options, shape)
    metrics = [fl.metrics.AUC(), fl.metrics.MeanIoU(2)]
    steps = deployed(model, fl.training("sgd", "mse", metrics), {"batch": 5})
    graph = steps.graphs["train"]
    first = {k.name: k.first for k in steps.kept}
    with fl.build(graph, tmp_path / "out") as bundle:
        for count in (5, 1, 3):
            given = {**first, "y0": np.abs(numbers(count, 2, seed=9)) % 1}
            given |= {"w0": np.ones(count, np.float32), model.inputs[0].name: x[:count]}
            wanted = evaluate(graph, given)
            for key, array in bundle.run(given).items():
                np.testing.assert_allclose(array, wanted[key], rtol=1e-4, atol=1e-5, err_msg=key)
