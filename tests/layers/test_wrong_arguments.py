"""Whatever a part of a model is given, it works or raises a FanlightError that says where.

Each argument of each public class is replaced by values of all kinds. Those that are taken are
used: a layer is called, a loss computed, an optimizer makes a step. Then layers are called with
inputs of wrong shapes, dtypes and kinds.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

BAD: list[Any] = [
    *(None, -1, 0, 1.5, float("nan"), 10**30, 2**40, "nonsense", b"x", [], {}, (-1, 2), ["a"]),
    *({"class_name": "x"}, {"class_name": 3, "config": 4}, object(), int, np.zeros((0, 2))),
]  # fmt: skip


def floats(*shape: int) -> np.ndarray:
    return np.linspace(0.1, 0.9, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def trouble(name: str, call: Callable[[], Any]) -> str | None:
    """What a call raises that is no FanlightError, or an error that says too little."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except FanlightError as error:
        told = (error.where, error.expected, error.received)
        return None if None not in told else f"{name}: {error.code} {error} says too little"
    except Exception as error:  # the point of it all
        if isinstance(error, TypeError) and "multiple values for" in str(error):
            return None  # a wrong signature: the class sets this argument of its base itself
        import traceback

        at = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"{name}: {type(error).__name__} {str(error)[:100]} @ {at.filename[-40:]}:{at.lineno}"
        )
    return None


def classes(room: Any) -> dict[str, type]:
    """The public classes of a module, each once."""
    found: dict[int, tuple[str, type]] = {}
    for name in sorted(room.__all__):
        kind = getattr(room, name)
        if isinstance(kind, type):
            found.setdefault(id(kind), (name, kind))
    return dict(found.values())


def parameters(kind: type) -> dict[str, inspect.Parameter]:
    """The arguments of a class, those of its bases that go through **options included."""
    found: dict[str, inspect.Parameter] = {}
    for base in kind.__mro__:
        init = base.__dict__.get("__init__")
        if init is None or base is object:
            continue
        own = list(inspect.signature(init).parameters.values())[1:]
        inherited = bool(found)  # what its base needs the class says by itself
        for p in own:
            named = p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            if named and not (inherited and p.default is p.empty):
                found.setdefault(p.name, p)
        if "fn" in found:  # whose arguments the others are
            break
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            break
    return found


def one_wrong(kind: type, right: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The right arguments, with each in turn replaced by everything."""
    for name in parameters(kind):
        for value in BAD:
            own = name in FUNCTIONS or name.startswith("on_")
            if not (own and (value is int or isinstance(value, dict))):
                yield {**right, name: value}


# Functions of the caller's may raise what they like.
FUNCTIONS = {
    "arguments", "fn", "function", "mask", "optimizer_map", "schedule", "split", "standardize",
}  # fmt: skip


def told(name: str, options: dict[str, Any], right: dict[str, Any]) -> str:
    wrong = [f"{k}={v!r}"[:60] for k, v in options.items() if k not in right or v is not right[k]]
    return f"{name}({', '.join(wrong)})"


# --- layers ---------------------------------------------------------------------------------------


@fl.register("wrong_arguments")
def twice(x: Any) -> Any:
    return x * 2.0


SEQUENCE, IMAGE = floats(2, 2, 3), floats(1, 3, 3, 3)
VOLUME = floats(1, 2, 2, 2, 2)
WHOLE = np.array([[0, 1, 2], [2, 1, 0]], np.int32)
TEXTS = np.array([["a b"], ["c"]])
RIGHT: dict[str, dict[str, Any]] = {
    "Activation": {"activation": "relu"},
    "AdaptiveAveragePooling1D": {"output_size": 2},
    "AdaptiveMaxPooling1D": {"output_size": 2},
    "AdaptiveAveragePooling2D": {"output_size": 2},
    "AdaptiveMaxPooling2D": {"output_size": 2},
    "AdaptiveAveragePooling3D": {"output_size": 2},
    "AdaptiveMaxPooling3D": {"output_size": 2},
    "CategoryEncoding": {"num_tokens": 3},
    "CenterCrop": {"height": 2, "width": 2},
    "Dense": {"units": 2},
    "Discretization": {"bin_boundaries": [0.3, 0.6]},
    "Dot": {"axes": 1},
    "EinsumDense": {"equation": "abc,cd->abd", "output_shape": (None, 2)},
    "Embedding": {"input_dim": 3, "output_dim": 2},
    "GroupNormalization": {"groups": 1},
    "GroupQueryAttention": {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1},
    "HashedCrossing": {"num_bins": 3},
    "Hashing": {"num_bins": 3},
    "InputLayer": {"shape": (3,)},
    "IntegerLookup": {"vocabulary": [0, 1, 2]},
    "Lambda": {"function": twice},
    "MelSpectrogram": {"fft_length": 8, "num_mel_bins": 2, "sequence_stride": 4},
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 2},
    "Neighbours": {"capacity": 4, "most": 2, "k": 1},
    "Normalization": {"mean": 0.0, "variance": 1.0},
    "Permute": {"dims": (2, 1)},
    "Pipeline": {"layers": [fl.layers.Dense(2, name="piped")]},
    "RNN": {"cell": fl.layers.SimpleRNNCell(2)},
    "RandomCrop": {"height": 2, "width": 2},
    "RandomHeight": {"factor": 0.2},
    "RandomPosterization": {"factor": 4},
    "RandomWidth": {"factor": 0.2},
    "RepeatVector": {"n": 2},
    "Rescaling": {"scale": 0.5},
    "Reshape": {"target_shape": (-1,)},
    "Resizing": {"height": 2, "width": 2},
    "ReversibleEmbedding": {"input_dim": 3, "output_dim": 2},
    "STFTSpectrogram": {"frame_length": 2},
    "SpectralNormalization": {"layer": fl.layers.Dense(2)},
    "StackedRNNCells": {"cells": [fl.layers.SimpleRNNCell(2)]},
    "StringLookup": {"vocabulary": ["a", "b"]},
    "TextVectorization": {"vocabulary": ["a", "b"]},
    "TimeDistributed": {"layer": fl.layers.Dense(2)},
    "Bidirectional": {"layer": fl.layers.LSTM(2)},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomZoom": {"height_factor": 0.2},
}
# What the rest of the name says: of arguments, and of the input.
ARGUMENTS = {
    "filters": 2,
    "pool_size": 2,
    "kernel_size": 2,
    "units": 2,
    "rate": 0.2,
    "factor": 0.2,
    "stddev": 0.2,
}
LAYERS = {
    k: v for k, v in classes(fl.layers).items() if k not in ("Layer", "DTypePolicy", "Wrapper")
}


def right_of(name: str) -> dict[str, Any]:
    needed = [n for n, p in parameters(LAYERS[name]).items() if p.default is p.empty]
    return RIGHT.get(name) or {n: ARGUMENTS[n] for n in needed}


PICTURES = (
    *("AugMix", "AutoContrast", "Center", "ContrastLimited", "CutMix", "Equalization", "MixUp"),
    *("Rand", "Resizing", "Solarization"),
)


def input_of(name: str) -> Any:
    """An input that the layer takes."""
    if name in ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply"):
        return [SEQUENCE, SEQUENCE]
    if name == "Subtract":
        return [SEQUENCE, SEQUENCE]
    if "Attention" in name:
        return SEQUENCE
    if name in ("Embedding", "ReversibleEmbedding", "IntegerLookup", "CategoryEncoding", "Hashing"):
        return WHOLE
    if name == "HashedCrossing":
        return [WHOLE[:, 0], WHOLE[:, 1]]
    if name == "MelSpectrogram":
        return floats(2, 20)
    if name in ("StringLookup", "TextVectorization"):
        return TEXTS
    if name == "ConvLSTM2DCell":
        return floats(2, 2, 2, 1)
    if name.startswith("ConvLSTM"):
        return floats(1, 1, *[2] * int(name[-2]), 1)
    if name.endswith("Cell") or name == "StackedRNNCells":
        return floats(2, 3)
    if name == "RepeatVector":
        return floats(2, 3)
    if name.startswith("Cropping"):
        return floats(1, *[3] * int(name[-2]), 1)
    if "3D" in name:
        return VOLUME
    if "2D" in name or name.startswith(PICTURES):
        return IMAGE
    return SEQUENCE


def used(layer: Any, x: Any) -> Any:
    """A layer called in training, and described."""
    if isinstance(layer, fl.layers.GroupQueryAttention | fl.layers.MultiHeadAttention):
        y = layer(x, x)
    elif type(layer).__name__ in ("Attention", "AdditiveAttention"):
        y = layer([x, x])
    elif isinstance(layer, fl.layers.ConvLSTM2DCell):
        y = layer(x, [np.zeros((2, 1, 1, min(layer.filters, 8)), np.float32)] * 2)
    elif type(layer).__name__.endswith(("Cell", "Cells")):
        states = layer.state_size
        sizes = states if isinstance(states, list | tuple) else [states]
        y = layer(x, [np.zeros((2, min(n, 8)), np.float32) for n in sizes])
    elif "training" in inspect.signature(type(layer).call).parameters:
        y = layer(x, training=True)
    else:
        y = layer(x)
    layer.get_config()
    return y


@pytest.mark.parametrize("name", LAYERS)
def test_layers_with_one_wrong_argument(name: str) -> None:
    right, x = right_of(name), input_of(name)
    used(LAYERS[name](**right), x)
    found = []
    for options in one_wrong(LAYERS[name], right):
        said = told(name, options, right)
        found.append(trouble(said, lambda options=options: used(LAYERS[name](**options), x)))
    assert [f for f in found if f] == []


INPUTS: list[Any] = [
    *(None, 3, "text", b"x", object(), {}, [], [None], [[1], [2, 3]], 10**30, np.float32(1)),
    *(np.zeros(0), np.zeros((0, 3)), np.zeros((2, 0)), floats(3), floats(2, 3), floats(2, 4, 2)),
    *(floats(2, 1, 1, 3), floats(1, 1, 1, 1, 1), floats(1, 1, 1, 1, 1, 1), np.zeros((1,) * 7)),
    *(np.array(["a", "b"]), np.array([object()]), np.zeros((2, 4, 3), bool)),
    *(np.full((2, 4, 3), 10**12), np.zeros((2, 4, 3), complex), np.full((2, 4, 3), np.nan)),
    *([floats(2, 3)], [floats(2, 3), "x"], {"a": floats(2, 3)}, (floats(2, 3), floats(3, 2))),
    np.full((2, 3), -5),
]


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "Lambda"])
def test_layers_called_with_anything(name: str) -> None:
    right, x = right_of(name), input_of(name)
    found = []
    for given in INPUTS:
        said = f"{name} called with {given!r}"[:120]
        found.append(trouble(said, lambda given=given: used(LAYERS[name](**right), given)))
    built = LAYERS[name](**right)
    used(built, x)
    for given in INPUTS:
        said = f"{name}, built, called with {given!r}"[:120]
        found.append(trouble(said, lambda given=given: used(built, given)))
    assert [f for f in found if f] == []


# --- what else models are made of -----------------------------------------------------------------

PARTS: dict[str, dict[str, dict[str, Any]]] = {
    "losses": {"Function": {"fn": fl.metrics.mean_squared_error}},
    "metrics": {
        "IoU": {"num_classes": 3, "target_class_ids": [0]},
        "OneHotIoU": {"num_classes": 3, "target_class_ids": [0]},
        "MeanIoU": {"num_classes": 3},
        "OneHotMeanIoU": {"num_classes": 3},
        "ConfusionMatrix": {"num_classes": 3},
        "MeanMetricWrapper": {"fn": fl.metrics.mean_squared_error},
        "PrecisionAtRecall": {"recall": 0.5},
        "RecallAtPrecision": {"precision": 0.5},
        "SensitivityAtSpecificity": {"specificity": 0.5},
        "SpecificityAtSensitivity": {"sensitivity": 0.5},
    },
    "optimizers": {
        "MultiOptimizer": {
            "optimizer_map": fl.optimizers.OptimizerMap(fl.optimizers.SGD())
        },
    },
    "schedules": {
        "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 3},
        "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 3},
        "ExponentialDecay": {
            "initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5
        },
        "InverseTimeDecay": {
            "initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5
        },
        "PiecewiseConstantDecay": {"boundaries": [2, 4], "values": [0.1, 0.2, 0.3]},
        "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 3},
    },
    "initializers": {},
    "constraints": {},
    "regularizers": {},
    "callbacks": {
        "BackupAndRestore": {"backup_dir": "backup"},
        "CSVLogger": {"filename": "log.csv"},
        "LearningRateScheduler": {"schedule": abs},
        "ModelCheckpoint": {"filepath": "model.weights.h5"},
    },
}  # fmt: skip
BASES = {
    "Callback", "Constraint", "Initializer", "LearningRateSchedule", "Loss", "Metric", "Optimizer",
    "Regularizer", "CallbackList", "OptimizerMap",
}  # fmt: skip


def parts() -> Iterator[tuple[str, str]]:
    for room in PARTS:
        for name in classes(room_of(room)):
            if name not in BASES:
                yield room, name


def room_of(room: str) -> Any:
    return fl.optimizers.schedules if room == "schedules" else getattr(fl, room)


def put_to_use(room: str, made: Any) -> None:
    """One use of a part as training makes it."""
    y, p = np.eye(3, dtype=np.float32), floats(3, 3)
    if room == "losses" and type(made).__name__ == "CTC":
        made(np.array([[1], [2]]), floats(2, 4, 3))
    elif room == "losses":
        sparse = type(made).__name__.startswith(("Sparse", "Circle"))
        made(np.array([0, 1, 2]) if sparse else y, p)
        made.get_config()
    elif room == "metrics":
        name = type(made).__name__
        if name in ("Mean", "Sum"):
            made.update_state(p)
        elif name.startswith("Sparse"):
            made.update_state(np.array([0, 1, 2]), p)
        else:
            made.update_state(y, p)
        made.result()
        made.get_config()
    elif room == "optimizers":
        weight = fl.layers.Layer().add_weight((2, 2), "ones")
        made.apply([np.ones((2, 2), np.float32)], [weight])
        made.get_config()
    elif room == "schedules":
        made(fl.scalar(1, "int32"))
        made.get_config()
    elif room == "initializers":
        made((3, 1, 3) if type(made).__name__ == "STFT" else (3, 3))
        made.get_config()
    elif room in ("constraints", "regularizers"):
        made(fl.tensor(floats(3, 3)))
        made.get_config()
    else:
        model = fl.Sequential([fl.Input((1,)), fl.layers.Dense(1)])
        model.compile(fl.optimizers.SGD(0.0, use_ema=True), "mse", run_eagerly=True)
        model.fit(
            np.ones((2, 1)), np.ones((2, 1)), epochs=1, verbose=0, callbacks=[made],
            validation_data=(np.ones((2, 1)), np.ones((2, 1))),
        )  # fmt: skip


@pytest.mark.parametrize(("room", "name"), list(parts()), ids=lambda v: v)
def test_parts_with_one_wrong_argument(
    room: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = classes(room_of(room))[name]
    right = PARTS[room].get(name, {})
    put_to_use(room, kind(**right))
    found = []
    for options in one_wrong(kind, right):
        said = told(name, options, right)
        found.append(trouble(said, lambda options=options: put_to_use(room, kind(**options))))
    assert [f for f in found if f] == []


def test_what_files_and_people_write_is_taken() -> None:
    """Numbers of NumPy, None for what is off, one number for several, ranges for lists."""
    assert fl.losses.Huber(np.float32(0.5), reduction=None).reduction == "none"
    assert fl.layers.Dense(2, use_bias=None).use_bias in (None, False)
    assert fl.layers.Reshape(4).target_shape == (4,)
    assert fl.Input(3).shape == (None, 3)
    assert fl.regularizers.L1L2(None, 0.5).get_config() == {"l1": 0.0, "l2": 0.5}
    assert fl.optimizers.schedules.CosineDecay(0.1, 12.5).decay_steps == 12.5
    assert fl.metrics.IoU(3, range(2)).target_class_ids == [0, 1]
    assert fl.initializers.RandomNormal(seed=np.int64(-3))((2,)).shape == (2,)
