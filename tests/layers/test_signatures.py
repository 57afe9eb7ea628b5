"""Names, arguments, defaults and masks of all layers that Keras has, too."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import fanlight as fl
from tests.layers.keras_oracle import keras

# What Keras's layers take that ours are without: training in parts, and fewer bits.
KERAS_ONLY = {"gptq_unpacked_column_size", "lora_alpha", "lora_rank", "quantization_config"}
FAMILIES = (
    "activation_layers",
    "convolution",
    "core",
    "merging",
    "normalization",
    "pooling",
    "regularization",
    "reshaping",
)
SHARED = [
    n
    for n in fl.layers.__all__
    if inspect.isclass(getattr(keras.layers, n, None))
    and getattr(fl.layers, n).__module__.rpartition(".")[2] in FAMILIES
]
# The first arguments of layers that need others than numbers.
FIRST: dict[str, Any] = {
    "Activation": ("relu",),
    "CenterCrop": (3, 3),
    "Dense": (3,),
    "Dot": (1,),
    "EinsumDense": ("ab,bc->ac", 3),
    "Embedding": (3, 3),
    "GaussianNoise": (0.5,),
    "Lambda": (abs,),
    "Permute": ((1,),),
    "RepeatVector": (2,),
    "Rescaling": (1.0,),
    "Reshape": ((3,),),
    "Resizing": (3, 3),
}


def arguments(kind: Any) -> dict[str, inspect.Parameter]:
    found = inspect.signature(kind.__init__).parameters
    return {
        n: p
        for n, p in found.items()
        if n != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }


def same(ours: Any, theirs: Any) -> bool:
    """One number stands for as many of it."""
    while isinstance(theirs, tuple) and len(set(theirs)) == 1 and ours != theirs:
        theirs = theirs[0]
    return bool(ours == theirs)


@pytest.mark.parametrize("name", SHARED)
def test_arguments_and_defaults(name: str) -> None:
    ours, theirs = arguments(getattr(fl.layers, name)), arguments(getattr(keras.layers, name))
    wanted = [n for n in theirs if n not in KERAS_ONLY]
    assert list(ours)[: len(wanted)] == wanted
    for n in wanted:
        if n != "dtype":  # Keras's default is its policy, ours float32
            assert same(ours[n].default, theirs[n].default), n


def made(module: Any, name: str) -> Any:
    kind = getattr(module, name)
    if name == "SpectralNormalization":
        return kind(module.Dense(3))
    needed = [p for p in arguments(kind).values() if p.default is p.empty]
    first = FIRST.get(name, (0.2,) if "rate" in arguments(kind) else (2,) * len(needed))
    return kind(*first)


@pytest.mark.parametrize("name", SHARED)
def test_masks_are_passed_on_where_keras_does(name: str) -> None:
    assert made(fl.layers, name).supports_masking == made(keras.layers, name).supports_masking


def test_the_list_is_long() -> None:
    """Aliases apart."""
    distinct = {getattr(fl.layers, n) for n in SHARED}
    assert len(distinct) == 79


# As Keras 2 and TensorFlow.js write what Keras 3 calls otherwise, or not at all.
OLD = [
    ("LeakyReLU", {"alpha": 0.1}, {"negative_slope": 0.1}),
    (
        "DepthwiseConv2D",
        {"kernel_size": [3, 3], "groups": 1, "kernel_initializer": None},
        {"kernel_size": (3, 3)},
    ),
    (
        "SeparableConv2D",
        {"filters": 2, "kernel_size": [3, 3], "groups": 1, "kernel_constraint": None},
        {"filters": 2},
    ),
    ("BatchNormalization", {"axis": [3]}, {"axis": 3}),
    ("SpatialDropout1D", {"rate": 0.5, "noise_shape": None, "seed": None}, {"rate": 0.5}),
    ("Embedding", {"input_dim": 3, "output_dim": 2, "input_length": 5}, {"output_dim": 2}),
    ("ReLU", {"max_value": 6}, {"max_value": 6.0, "negative_slope": 0.0}),
    ("Conv2D", {"filters": 2, "kernel_size": [1, 1], "dtype": "float32"}, {"groups": 1}),
]


@pytest.mark.parametrize(("name", "config", "expected"), OLD, ids=[name for name, *_ in OLD])
def test_old_configurations(name: str, config: Any, expected: Any) -> None:
    layer = getattr(fl.layers, name).from_config({"name": "x", "trainable": True, **config})
    assert {k: getattr(layer, k) for k in expected} == expected
