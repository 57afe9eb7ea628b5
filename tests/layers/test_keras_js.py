"""What Keras 2 computed for the tests of keras.js, 2018: inputs, weights and outputs of layers.

The files name no arguments: those of every case, found by trying, are in keras_js.json (sizes of
layers follow from the weights) and keras_js_networks.json. Source of the numbers:
../shared/data/models/keras-js-layer-fixtures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.conformance import KERAS_JS, counted
from tests.layers.keras_oracle import close

HERE = Path(__file__).parent
ARGUMENTS: dict[str, dict[str, Any]] = json.loads((HERE / "keras_js.json").read_text())
NETWORKS: dict[str, Any] = json.loads((HERE / "keras_js_networks.json").read_text())
KINDS = sorted({key.rpartition(".")[0] for key in ARGUMENTS})


def array(given: Any) -> np.ndarray:
    return np.array(given["data"], np.float32).reshape(given["shape"])


def of_keras_js(shared: Path) -> Path:
    return shared / "data" / "models" / "keras-js-layer-fixtures" / "test" / "data"


def cases(shared: Path, kind: str) -> dict[str, Any]:
    """The cases of a kind: of layers/core/Dense.json for "core.Dense"."""
    folder = of_keras_js(shared) / "layers"
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
    if name in RECURRENT:
        return {"units": weights[1].shape[0], **options}
    if "layer" in options:  # a wrapper; a bidirectional one has the weights of two
        inner, own = options["layer"]
        half = weights[: len(weights) // 2] if name == "Bidirectional" else weights
        layer = getattr(fl.layers, inner)(**sized(inner, own, half, None))
        return {**options, "layer": layer}
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


RECURRENT = {"GRU", "LSTM", "SimpleRNN"}
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
        expected = array(case["expected"])
        layer = getattr(fl.layers, name)(**sized(name, options, weights, expected.shape))
        layer(x)
        if weights:
            layer.set_weights(weights)
        if options.get("stateful"):  # the files have what a second call gives after the first
            layer.reset_states()
            layer(x)
        close(layer(x).numpy()[0], expected, key)
    counted(KERAS_JS, len(found), of=len(found))


def chain(layers: list[Any], x: Any) -> Any:
    for name, options in layers:
        x = getattr(fl.layers, name)(**options)(x)
    return x


def network(made_of: Any, shapes: list[Any]) -> fl.Model:
    """A chain of layers, or branches that are merged, and what follows."""
    inputs = [fl.Input(tuple(s)) for s in shapes]
    if isinstance(made_of, list):
        return fl.Model(inputs, chain(made_of, *inputs))
    parts = [chain(b, x) for b, x in zip(made_of["branches"], inputs, strict=True)]
    merged = getattr(fl.layers, made_of["merge"])()(parts)
    return fl.Model(inputs, chain(made_of.get("after", []), merged))


@pytest.mark.parametrize("key", NETWORKS)
def test_network(shared: Path, key: str) -> None:
    """`set_weights` takes Keras 2's list: layers of all branches by their depth.

    In pipeline_13 no unit of the first Dense is above 0: its file says nothing of what is before.
    """
    kind, number = key.split("_")
    case = json.loads((of_keras_js(shared) / kind / f"{number}.json").read_text())[key]
    x = [array(a)[None] for a in case.get("inputs", [case.get("input")])]
    model = network(NETWORKS[key], [a.shape[1:] for a in x])
    model.set_weights([array(w) for w in case["weights"]])
    found = model(x if len(x) > 1 else x[0]).numpy()[0]
    close(found, array(case["expected"]), key)
    counted(KERAS_JS, 1, of=1)


OPTIONS: dict[str, dict[str, float]] = {
    "activations.elu.3": {"alpha": 0.5},
    "activations.relu.3": {"max_value": 0.5},
    "activations.relu.4": {"negative_slope": 0.3},
}


def test_activations(shared: Path) -> None:
    found = json.loads((of_keras_js(shared) / "activations.json").read_text())
    for key, case in found.items():
        name = key.split(".")[1]
        known = fl.activations.hard_sigmoid_2 if name == "hard_sigmoid" else None
        options = OPTIONS.get(key, {})
        y = (known or fl.activations.get(name))(fl.tensor(array(case["input"])), **options)
        close(y.numpy(), array(case["expected"]), key)
    assert len(found) == 33
    counted(KERAS_JS, len(found), of=len(found))


def test_how_many(shared: Path) -> None:
    """Every case of every file is compared above."""
    files = of_keras_js(shared).rglob("*.json")
    there = {key for path in files for key in json.loads(path.read_text())}
    activations = {key for key in there if key.startswith("activations.")}
    compared = ARGUMENTS.keys() | NETWORKS.keys() | activations
    assert there == compared and len(there) == 334
