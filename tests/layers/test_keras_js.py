"""What Keras 2 computed for the tests of keras.js, 2018: inputs, weights and outputs of layers.

The files name no arguments: those of every case, found by trying, are in keras_js.json; sizes
follow from the weights. Source of the numbers: ../shared/data/models/keras-js-layer-fixtures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

ARGUMENTS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "keras_js.json").read_text()
)
KINDS = sorted({key.rpartition(".")[0] for key in ARGUMENTS})


def array(given: Any) -> np.ndarray:
    return np.array(given["data"], np.float32).reshape(given["shape"])


def cases(shared: Path, kind: str) -> dict[str, Any]:
    """The cases of a kind: of layers/core/Dense.json for "core.Dense"."""
    folder = shared / "data" / "models" / "keras-js-layer-fixtures" / "test" / "data" / "layers"
    path = folder / f"{kind.replace('.', '/')}.json"
    path = path if path.exists() else folder / f"{kind.split('.')[0]}.json"
    found = json.loads(path.read_text())
    return {k: v for k, v in found.items() if k.rpartition(".")[0] == kind}


def sized(name: str, options: dict[str, Any], weights: list[Any], shape: Any) -> dict[str, Any]:
    """The arguments of a layer, those that follow from its weights among them."""
    if name == "Reshape":
        return {"target_shape": shape}
    if name == "Dense":
        return {"units": weights[0].shape[1], **options}
    if name == "Embedding":
        return {"input_dim": weights[0].shape[0], "output_dim": weights[0].shape[1], **options}
    if "Conv" not in name:
        return options
    dims = int(name[name.index("D") - 1]) if "Separable" not in name else 2
    kernel = weights[0].shape
    made = {"filters": kernel[-1], "kernel_size": kernel[:dims]}
    if "Transpose" in name:
        made["filters"] = kernel[-2]
    if "Separable" in name:
        made |= {"filters": weights[1].shape[-1], "depth_multiplier": kernel[-1]}
    return made | options


def branches(x: np.ndarray, weights: list[Any], repeat: int) -> list[np.ndarray]:
    """What dense layers give that all see x, each repeated so often, as merges take it."""
    made = []
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        y = fl.layers.Dense(kernel.shape[1])
        y(x)
        y.set_weights([kernel, bias])
        made.append(fl.layers.RepeatVector(repeat)(y(x)) if repeat else y(x))
    return made


BEHIND_DENSE = {"core.Activation", "core.Dropout"}


@pytest.mark.parametrize("kind", KINDS)
def test_layer(shared: Path, kind: str) -> None:
    found = cases(shared, kind)
    assert sorted(found) == sorted(k for k in ARGUMENTS if k.rpartition(".")[0] == kind)
    for key, case in found.items():
        name, options = key.split(".")[1], dict(ARGUMENTS[key])
        x: Any = array(case["input"])[None]
        weights = [array(w) for w in case.get("weights", [])]
        if kind in BEHIND_DENSE or kind.split(".")[0] in ("merge", "noise"):
            several = branches(x, weights, options.pop("repeat", 0))
            x, weights = (several if len(several) > 1 else several[0]), []
        if options.get("activation") == "hard_sigmoid_2":  # Keras 2's
            options["activation"] = fl.activations.hard_sigmoid_2
        expected = array(case["expected"])
        layer = getattr(fl.layers, name)(**sized(name, options, weights, expected.shape))
        layer(x)
        if weights:
            layer.set_weights(weights)
        np.testing.assert_allclose(layer(x).numpy()[0], expected, atol=2e-5, err_msg=key)


OPTIONS: dict[str, dict[str, float]] = {
    "activations.elu.3": {"alpha": 0.5},
    "activations.relu.3": {"max_value": 0.5},
    "activations.relu.4": {"negative_slope": 0.3},
}


def test_activations(shared: Path) -> None:
    folder = shared / "data" / "models" / "keras-js-layer-fixtures" / "test" / "data"
    found = json.loads((folder / "activations.json").read_text())
    for key, case in found.items():
        name = key.split(".")[1]
        known = fl.activations.hard_sigmoid_2 if name == "hard_sigmoid" else None
        options = OPTIONS.get(key, {})
        y = (known or fl.activations.get(name))(fl.tensor(array(case["input"])), **options)
        np.testing.assert_allclose(y.numpy(), array(case["expected"]), atol=2e-5, err_msg=key)
    assert len(found) == 33


def test_how_many() -> None:
    assert len(ARGUMENTS) == 239
