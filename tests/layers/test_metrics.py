"""Metrics against Keras 3, over several batches, with weights; and in the compiled step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers import metrics, scope
from tests.conformance import compared
from tests.layers import keras_oracle
from tests.layers.keras_oracle import keras

pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.default_rng(1)
N, C, BATCHES = 12, 4, 2


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=(BATCHES, *shape)).astype(np.float32)


def shares(*shape: int) -> np.ndarray:
    x = np.exp(2 * floats(*shape))
    return (x / x.sum(-1, keepdims=True)).astype(np.float32)


def parts(*shape: int) -> np.ndarray:
    return RNG.uniform(size=(BATCHES, *shape)).astype(np.float32)


def bits(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, (BATCHES, *shape)).astype(np.float32)


def classes(*shape: int) -> np.ndarray:
    return RNG.integers(0, C, (BATCHES, *shape)).astype(np.int32)


def one_hot(*shape: int) -> np.ndarray:
    return np.eye(C, dtype=np.float32)[classes(*shape)]


LABELS = {
    "floats": (floats(N, C), floats(N, C)),
    "positive": (np.abs(floats(N, C)), np.abs(floats(N, C))),
    "shares": (shares(N, C), shares(N, C)),
    "sparse": (classes(N), shares(N, C)),
    "sparse column": (classes(N, 1), shares(N, C)),
    "sparse steps": (classes(N, 5), shares(N, 5, C)),
    "one hot": (one_hot(N), shares(N, C)),
    "one hot logits": (one_hot(N), floats(N, C)),
    "bits": (bits(N, C), parts(N, C)),
    "bits flat": (bits(N), parts(N)),
    "bits column": (bits(N), parts(N, 1)),
    "bits steps": (bits(N, C), floats(N, C)),
    "bits logits": (bits(N), floats(N)),
    "answers": (classes(N), classes(N)),
    "maps": (classes(N, 3, 2), classes(N, 3, 2)),
    "one hot maps": (one_hot(N, 3), shares(N, 3, C)),
    "ids": (classes(N), np.argsort(parts(N, C)).astype(np.float32)),
    "near": (np.cumsum(floats(N, C), 2), np.cumsum(floats(N, C), 2)),
}
ROUNDED = np.round(parts(N, C), 1)  # many on the thresholds themselves
LABELS["rounded"] = (bits(N, C), ROUNDED.astype(np.float32))

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("Accuracy", {}, "answers"),
    ("BinaryAccuracy", {}, "bits"),
    ("BinaryAccuracy", {"threshold": 0.3}, "bits column"),
    ("CategoricalAccuracy", {}, "one hot"),
    ("CategoricalAccuracy", {}, "one hot maps"),
    ("SparseCategoricalAccuracy", {}, "sparse"),
    ("SparseCategoricalAccuracy", {}, "sparse column"),
    ("SparseCategoricalAccuracy", {}, "sparse steps"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one hot"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one hot maps"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "sparse"),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, "sparse steps"),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, "ids"),
    ("BinaryCrossentropy", {}, "bits"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "bits steps"),
    ("CategoricalCrossentropy", {}, "one hot"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "one hot logits"),
    ("SparseCategoricalCrossentropy", {}, "sparse"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "sparse steps"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "sparse"),
    ("Hinge", {}, "floats"),
    ("SquaredHinge", {}, "bits"),
    ("CategoricalHinge", {}, "one hot logits"),
    ("KLDivergence", {}, "shares"),
    ("Poisson", {}, "positive"),
    ("MeanSquaredError", {}, "floats"),
    ("MeanAbsoluteError", {}, "floats"),
    ("MeanAbsolutePercentageError", {}, "floats"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("RootMeanSquaredError", {}, "floats"),
    ("LogCoshError", {}, "floats"),
    ("CosineSimilarity", {}, "floats"),
    ("PearsonCorrelation", {}, "near"),
    ("ConcordanceCorrelation", {}, "near"),
    ("R2Score", {}, "near"),
    ("R2Score", {"class_aggregation": None}, "near"),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, "near"),
    ("R2Score", {"num_regressors": 3}, "near"),
    ("R2Score", {"num_regressors": 500}, "near"),
    ("TruePositives", {}, "bits"),
    ("TrueNegatives", {"thresholds": 0.3}, "bits flat"),
    ("FalsePositives", {"thresholds": [0.1, 0.5, 0.7]}, "bits"),
    ("FalseNegatives", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, "rounded"),
    ("Precision", {}, "bits"),
    ("Precision", {"top_k": 2}, "bits"),
    ("Precision", {"class_id": 1, "thresholds": [0.2, 0.8]}, "one hot"),
    ("Recall", {}, "bits column"),
    ("Recall", {"top_k": 1, "class_id": 2}, "one hot"),
    ("Recall", {"thresholds": [0.0, 0.5, 1.0]}, "rounded"),
    ("SensitivityAtSpecificity", {"specificity": 0.6}, "bits flat"),
    ("SensitivityAtSpecificity", {"specificity": 0.6, "num_thresholds": 1}, "bits flat"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 30}, "rounded"),
    ("PrecisionAtRecall", {"recall": 0.7, "class_id": 1}, "one hot"),
    ("RecallAtPrecision", {"precision": 0.5, "num_thresholds": 11}, "rounded"),
    *[
        ("AUC", {"curve": curve, "summation_method": method, "num_thresholds": 21}, "rounded")
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "minoring", "majoring")
    ],
    ("AUC", {}, "bits flat"),
    ("AUC", {"thresholds": [0.1, 0.4, 0.45]}, "bits"),
    ("AUC", {"multi_label": True, "num_thresholds": 9}, "rounded"),
    (
        "AUC",
        {
            "multi_label": True,
            "num_labels": C,
            "label_weights": [0.1, 0.2, 0.3, 0.4],
            "curve": "PR",
            "thresholds": [0.2, 0.3],
        },
        "rounded",
    ),
    ("AUC", {"label_weights": [1.0, 0.5, 0.0, 2.0]}, "bits"),
    ("AUC", {"from_logits": True}, "bits logits"),
    ("F1Score", {}, "one hot"),
    ("F1Score", {"average": "micro", "threshold": 0.4}, "bits"),
    ("FBetaScore", {"average": "macro", "beta": 2.0}, "one hot"),
    ("FBetaScore", {"average": "weighted", "beta": 0.5, "threshold": 0.2}, "bits"),
    ("IoU", {"num_classes": C, "target_class_ids": [0, 2]}, "answers"),
    ("IoU", {"num_classes": 3, "target_class_ids": [1], "ignore_class": 0}, "maps"),
    ("BinaryIoU", {"threshold": 0.4}, "bits flat"),
    ("BinaryIoU", {"target_class_ids": [1]}, "bits"),
    ("MeanIoU", {"num_classes": C}, "maps"),
    ("MeanIoU", {"num_classes": C, "sparse_y_pred": False}, "sparse steps"),
    ("OneHotIoU", {"num_classes": C, "target_class_ids": [1, 3]}, "one hot maps"),
    ("OneHotMeanIoU", {"num_classes": C}, "one hot maps"),
]
IDS = [f"{name}-{case}-{i}" for i, (name, _, case) in enumerate(CASES)]
WEIGHTS = RNG.uniform(0.1, 2.0, (BATCHES, N)).astype(np.float32)


def close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    keras_oracle.close(ours, theirs, "", tolerance)


def pair(name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    return getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)


@pytest.mark.parametrize(("name", "options", "case"), CASES, ids=IDS)
def test_several_batches_with_and_without_weights(
    name: str, options: dict[str, Any], case: str
) -> None:
    y, p = LABELS[case]
    for weighted in (False, True):
        ours, theirs = pair(name, options)
        for i in range(BATCHES):
            w = WEIGHTS[i] if weighted else None
            if "IoU" in name and weighted:  # their weights are whole, one for each label
                w = RNG.integers(0, 3, y[i].shape if "hot" not in case else y[i].shape[:-1])
            ours.update_state(y[i], p[i], w)
            theirs.update_state(y[i], p[i], w)
            assert ours.result().shape == tuple(theirs.result().shape)
            close(ours.result(), theirs.result())
        ours.reset_state()
        ours.update_state(y[0], p[0])
        again = getattr(metrics, name)(**options)
        again.update_state(y[0], p[0])
        close(ours.result(), again.result(), 0)
    compared("metrics", name, "outputs")


@pytest.mark.parametrize(("name", "options", "case"), CASES, ids=IDS)
def test_configurations_go_both_ways(name: str, options: dict[str, Any], case: str) -> None:
    y, p = LABELS[case]
    ours, theirs = pair(name, options)
    back = getattr(keras.metrics, name).from_config(ours.get_config())
    forth = type(ours).from_config(theirs.get_config())
    for m in (ours, theirs, back, forth):
        m.update_state(y[0], p[0])
    close(back.result(), theirs.result())
    close(forth.result(), ours.result())
    assert set(theirs.get_config()) - {"dtype"} <= set(ours.get_config())
    assert type(metrics.get(keras.metrics.serialize(theirs))) is type(ours)
    compared("metrics", name, "configs")


def test_default_names_are_those_of_keras() -> None:
    fl.clear_session()
    keras.utils.clear_session()
    for name, options, _ in CASES:
        ours, theirs = pair(name, options)
        assert ours.name == theirs.name
    assert metrics.AUC().name != metrics.AUC().name
    assert metrics.get("AUC").name == "AUC" and metrics.get("mse").name == "mse"


def test_every_metric_of_keras_is_here_and_tested() -> None:
    theirs = {n for n in dir(keras.metrics) if not n.startswith("_")}
    assert theirs <= set(metrics.__all__)
    tested = {name for name, _, _ in CASES} | {"Mean", "Sum", "MeanMetricWrapper", "Metric"}
    assert {n for n in metrics.__all__ if n[0].isupper()} - tested == {"ConfusionMatrix"}


def compiled(ours: list[Any], y: np.ndarray, p: np.ndarray, w: np.ndarray) -> dict[str, Any]:
    """Results of metrics in the compiled step of a model that gives its input."""
    inputs = fl.Input(p.shape[2:])
    model = fl.Model(inputs, fl.layers.Activation("linear")(inputs))
    model.compile("sgd", lambda a, b: fl.sum(b * 0.0), weighted_metrics=ours)
    batches = [(p[i], y[i], w[i]) for i in range(BATCHES)]
    found: dict[str, Any] = model.evaluate(((a, b, c) for a, b, c in batches), return_dict=True)
    assert model._steps is not None and model._steps.compiled, model._steps.why
    return found


@pytest.mark.parametrize("case", sorted({c for _, _, c in CASES}))
def test_in_the_compiled_step(case: str) -> None:
    y, p = LABELS[case]
    if case in ("answers", "maps", "ids", "bits flat", "bits logits"):
        p = p.astype(np.float32)
    if p.ndim == 2:
        y, p = y[..., None], p[..., None]
    made, theirs = [], []
    for i, (name, options, at) in enumerate(CASES):
        if at == case and "IoU" not in name:
            ours, other = pair(name, options)
            ours.name = f"m{i}"
            made.append(ours)
            theirs.append(other)
        elif at == case and case not in ("maps",):
            made.append(getattr(metrics, name)(**options, name=f"m{i}", dtype="float32"))
            theirs.append(getattr(keras.metrics, name)(**options, dtype="float32"))
    if not made:
        return
    found = compiled(made, y, p, WEIGHTS if case != "one hot maps" else np.ones_like(WEIGHTS))
    for ours, other in zip(made, theirs, strict=True):
        for i in range(BATCHES):
            w = WEIGHTS[i] if case != "one hot maps" else None
            if "IoU" in type(ours).__name__ and w is not None:  # Keras takes one for each label
                w = np.repeat(w, y[i].size // N)
            other.update_state(y[i], p[i], w)
        close(found[ours.name], other.result())


def test_mean_and_sum() -> None:
    for name in ("Mean", "Sum"):
        ours, theirs = pair(name, {})
        for values, weights in (
            (3.0, None),
            (2.0, 4.0),
            (floats(5)[0], None),
            (floats(5, 3)[0], parts(5)[0]),
            (floats(5, 3)[0], parts(5, 3)[0]),
            (floats(5)[0], parts(5, 1)[0]),
        ):
            ours.update_state(values, weights)
            theirs.update_state(values, weights)
            close(ours.result(), theirs.result())
        assert ours.name == theirs.name
        back = type(theirs).from_config(ours.get_config())
        assert back.get_config() == theirs.get_config()
        assert type(ours).from_config(theirs.get_config()).get_config() == ours.get_config()
        compared("metrics", name, "outputs", "configs")
    assert metrics.Mean().result().item() == 0.0
    assert metrics.Mean()([1.0, 3.0]).item() == 2.0


def test_masks_count() -> None:
    import jax.numpy as jnp

    y, p = LABELS["sparse steps"]
    for weights in (None, parts(N, 5)[0]):
        ours, theirs = pair("SparseCategoricalAccuracy", {})
        for i in range(BATCHES):
            mask = bits(N, 5)[0].astype(bool)
            q, given = fl.tensor(p[i]), jnp.asarray(p[i])
            scope.set_mask(q, fl.tensor(mask))
            keras.src.backend.set_keras_mask(given, jnp.asarray(mask))
            ours.update_state(y[i], q, weights)
            theirs.update_state(y[i], given, weights)
        close(ours.result(), theirs.result())


def test_confusion_matrix() -> None:
    y, p = LABELS["sparse"]
    wanted = np.zeros((C, C))
    np.add.at(wanted, (y.ravel(), p.argmax(-1).ravel()), 1)
    for labels in (y, y[..., None], np.eye(C, dtype=np.float32)[y]):
        m = metrics.ConfusionMatrix()
        for i in range(BATCHES):
            m.update_state(labels[i], p[i])
        np.testing.assert_array_equal(m.result().numpy(), wanted)
    weighted = metrics.ConfusionMatrix(C)
    weighted.update_state(y[0], p[0], WEIGHTS[0])
    close(weighted.result().numpy().sum(), WEIGHTS[0].sum())
    y, p = LABELS["bits column"]
    m = metrics.ConfusionMatrix()
    m.update_state(y[0], p[0])
    above = p[0][:, 0] > 0.5
    wanted = [[((y[0] == a) & (above == b)).sum() for b in (False, True)] for a in (0, 1)]
    np.testing.assert_array_equal(m.result().numpy(), wanted)
    assert type(m).from_config(m.get_config()).get_config() == m.get_config()
    compared("metrics", "ConfusionMatrix", "defined")


def test_fit_reports_matrices_and_numbers_per_class() -> None:
    x, y = floats(N, 3)[0], classes(N)[0]
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(C, "softmax")])
    model.compile(
        "sgd",
        "categorical_crossentropy",
        metrics=["accuracy", fl.metrics.ConfusionMatrix(name="cells"), fl.metrics.F1Score()],
    )
    history = model.fit(x, np.eye(C, dtype=np.float32)[y], epochs=2, batch_size=4, verbose=0)
    assert model._steps.compiled
    cells = history.history["cells"]
    assert [m.shape for m in cells] == [(C, C)] * 2 and cells[1].sum() == N
    np.testing.assert_array_equal(cells[0].sum(1), np.bincount(y, minlength=C))
    assert history.history["f1_score"][0].shape == (C,)
    close(history.history["accuracy"][0], np.trace(cells[0]) / N)


def test_all_that_fit_reports_of_two_outputs() -> None:
    """Names and numbers, with weights, validation and a rate that a callback lowers."""
    x, w = RNG.normal(size=(32, 3)).astype(np.float32), RNG.uniform(0.5, 2, 32).astype(np.float32)
    y = [RNG.integers(0, 2, (32, 1)).astype(np.float32), RNG.integers(0, C, 32)]
    first = [RNG.normal(size=s).astype(np.float32) for s in ((3, 1), (1,), (3, C), (C,))]
    found = []
    for library in (keras, fl):
        begin, of = library.Input((3,)), library.metrics
        bit = library.layers.Dense(1, "sigmoid", name="bit")(begin)
        model = library.Model(begin, [bit, library.layers.Dense(C, "softmax", name="kind")(begin)])
        model.set_weights(first)
        model.compile(
            library.optimizers.Adam(0.01),
            ["binary_crossentropy", "sparse_categorical_crossentropy"],
            loss_weights=[1.0, 0.5],
            metrics=[
                ["accuracy", of.AUC(name="auc"), of.Precision(name="p")],
                ["acc", of.SparseTopKCategoricalAccuracy(2)],
            ],
            weighted_metrics=[[of.Recall(name="r")], [of.SparseCategoricalAccuracy(name="wa")]],
        )
        lower = library.callbacks.ReduceLROnPlateau(
            monitor="loss", factor=0.5, patience=1, min_delta=10.0
        )
        history = model.fit(
            x,
            y,
            sample_weight=[w, w],
            batch_size=8,
            epochs=4,
            shuffle=False,
            verbose=0,
            validation_data=(x, y),
            callbacks=[lower],
        )
        found.append(history.history)
    assert found[0].keys() == found[1].keys() and "val_kind_wa" in found[0]
    for name, values in found[0].items():
        close(found[1][name], values)


@pytest.mark.parametrize("loss", ["mse", "crossentropy", "ce"])
@pytest.mark.parametrize(
    ("units", "labels"), [(1, "bits"), (C, "class"), (C, "column"), (C, "one hot"), (C, "many")]
)
def test_what_accuracy_means(units: int, labels: str, loss: str) -> None:
    """It follows from shapes, whatever the loss is."""
    x, y = floats(N, 3)[0], classes(N)[0]
    y = {
        "bits": bits(N, 1)[0],
        "class": y,
        "column": y[:, None],
        "one hot": np.eye(C, dtype=np.float32)[y],
        "many": bits(N, C)[0],
    }[labels]
    if loss == "mse" and labels in ("class", "column"):
        return  # shapes of their own
    found = []
    first = [floats(3, units)[0], floats(units)[0]]
    for library in (keras, fl):
        last = library.layers.Dense(units, "sigmoid" if units == 1 else "softmax")
        model = library.Sequential([library.Input((3,)), last])
        model.set_weights(first)
        model.compile("sgd", loss, metrics=["accuracy", "acc"])
        found.append(model.evaluate(x, y, verbose=0, return_dict=True))
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        close(found[1][name], value)


def test_a_function_of_ones_own() -> None:
    @fl.register()
    def off(y: Any, p: Any, power: float = 1.0) -> Any:
        return fl.mean(fl.pow(fl.abs(y - p), power), -1)

    y, p = LABELS["floats"]
    m = metrics.MeanMetricWrapper(off, power=2.0)
    m.update_state(y[0], p[0])
    close(m.result(), ((y[0] - p[0]) ** 2).mean())
    again = metrics.get({"class_name": "MeanMetricWrapper", "config": m.get_config()})
    again.update_state(y[0], p[0])
    close(m.result(), again.result())
    assert m.name == "off" and metrics.get(off).name == "off"
    ours = metrics.MeanMetricWrapper(fl.metrics.huber, name="far", delta=0.5)
    theirs = keras.metrics.MeanMetricWrapper(keras.losses.huber, name="far", delta=0.5)
    for i in range(BATCHES):
        ours.update_state(y[i], p[i], WEIGHTS[i])
        theirs.update_state(y[i], p[i], WEIGHTS[i])
    close(ours.result(), theirs.result())
    for back in (type(theirs).from_config(ours.get_config()),
                 type(ours).from_config(theirs.get_config())):  # fmt: skip
        back.update_state(y[0], p[0])
        close(back.result(), np.mean(np.asarray(keras.losses.huber(y[0], p[0], 0.5))))
    compared("metrics", "MeanMetricWrapper", "outputs", "configs")


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "crossentropy",
        fl.losses.CategoricalGeneralizedCrossEntropy(),
    ],
)
def test_labels_that_name_no_output(loss: Any) -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(C, "softmax")])
    model.compile("sgd", loss)
    with pytest.raises(FanlightError, match="0 to 3") as error:
        model.fit(floats(N, 3)[0], np.arange(N), verbose=0)
    assert error.value.code == "E-TRAIN-004"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: metrics.AUC(curve="P"), "E-LAYER-004"),
        (lambda: metrics.AUC(summation_method="exact"), "E-LAYER-004"),
        (lambda: metrics.AUC(num_thresholds=1), "E-LAYER-004"),
        (lambda: metrics.AUC(num_labels=3), "E-LAYER-004"),
        (lambda: metrics.Precision(thresholds=[0.5, 2.0]), "E-LAYER-004"),
        (lambda: metrics.RecallAtPrecision(1.5), "E-LAYER-004"),
        (lambda: metrics.RecallAtPrecision(0.5, num_thresholds=0), "E-LAYER-004"),
        (lambda: metrics.F1Score("all"), "E-LAYER-004"),
        (lambda: metrics.F1Score(threshold=0.0), "E-LAYER-004"),
        (lambda: metrics.FBetaScore(beta=-1.0), "E-LAYER-004"),
        (lambda: metrics.IoU(2, [2]), "E-LAYER-004"),
        (lambda: metrics.R2Score("mean"), "E-LAYER-004"),
        (lambda: metrics.R2Score(num_regressors=-1), "E-LAYER-004"),
        (lambda: metrics.F1Score()([1.0, 0.0], [0.5, 0.5]), "E-LAYER-001"),
        (lambda: metrics.R2Score()([1.0, 0.0], [0.5, 0.5]), "E-LAYER-001"),
        (lambda: metrics.AUC(multi_label=True)([1.0, 0.0], [0.5, 0.5]), "E-LAYER-001"),
        (lambda: metrics.MeanIoU(2)([1, 0, 1], [1, 0]), "E-LAYER-001"),
        (lambda: metrics.get("acuracy"), "E-LAYER-003"),
        (lambda: metrics.SparseCategoricalAccuracy()([[1, 0]], [[0.5, 0.5]]), "E-OP-004"),
    ],
)
def test_wrong_arguments(make: Any, code: str) -> None:
    with pytest.raises(FanlightError) as error:
        make()
    assert error.value.code == code
