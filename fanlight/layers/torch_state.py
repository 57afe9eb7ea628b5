"""The state dict of a PyTorch module into a model of layers: names and layouts mapped.

Modules and layers that hold weights meet in order; inside them names decide. A Dense behind a
Flatten sees channels last here and first there: such a module's rows must be reordered before.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers.file_safetensors import arrays
from fanlight.layers.layer import Layer
from fanlight.layers.places import Found, Stored, assign, places

_SKIPPED = "num_batches_tracked"


def load_torch_state(model: Layer, state: Mapping[str, Any] | str | Path) -> None:
    """Give a model the weights of a PyTorch state dict, or of its .safetensors file.

    Args:
        model: layers in the order of the modules; kernels are turned (OIHW to HWIO, linear
            weights transposed, gates of GRUs reordered).
        state: names to tensors or arrays, or the path of a .safetensors file. Files may have
            their names sorted, which is not the order of the modules: then give a dict in order.

    Raises:
        FanlightError: E-LAYER-006 with every weight that has no counterpart of its shape.
    """
    where = "the state dict"
    if isinstance(state, str | Path):
        where = str(state)
        read: dict[str, Any] = {n: s.load() for n, s in arrays(Path(state)).items()}
    else:
        read = {str(n): _array(t) for n, t in state.items()}
    modules: dict[str, dict[str, np.ndarray]] = {}
    for name, array in read.items():
        prefix, _, last = name.rpartition(".")
        if last != _SKIPPED:
            modules.setdefault(prefix, {})[last] = array
    groups: dict[str, list[Any]] = {}
    for place in places(model):
        groups.setdefault(place.name.rpartition("/")[0], []).append(place)
    if len(groups) != len(modules):
        raise FanlightError(
            "E-LAYER-006",
            "the model and the state dict have different numbers of layers with weights.",
            where=where,
            expected=f"{len(groups)}: {', '.join(list(groups)[:12])}",
            received=f"{len(modules)}: {', '.join(list(modules)[:12])}",
            next="make the model as the module is, layer by layer.",
        )
    pairs = []
    for (layer, held), (prefix, given) in zip(groups.items(), modules.items(), strict=True):
        for place in held:
            last = place.name.rpartition("/")[2]
            array = _turned(last, tuple(place.weight.shape), given)
            name = f"{layer}/{last} (from {prefix})"
            stored = (
                None if array is None else Stored(name, array.shape, partial(np.asarray, array))
            )
            pairs.append((name, place.weight, stored))
    assign(Found(pairs, []), where)


def _array(tensor: Any) -> np.ndarray:
    plain = tensor.detach().cpu().float() if hasattr(tensor, "detach") else tensor
    return np.asarray(plain)


def _turned(last: str, shape: tuple[int, ...], given: Mapping[str, np.ndarray]) -> Any:
    """The array for a weight of a layer; None if the module has none of that meaning."""
    if "weight_ih_l0" in given:
        return _gates(last, shape, given)
    names = {
        "gamma": "weight", "scale": "weight", "beta": "bias", "bias": "bias",
        "moving_mean": "running_mean", "moving_variance": "running_var", "embeddings": "weight",
    }  # fmt: skip
    if last in names:
        return given.get(names[last])
    weight = given.get("weight")
    if weight is None or last not in ("kernel", "depthwise_kernel"):
        return None
    if weight.ndim == 2:
        return weight.T
    turned = np.transpose(weight, (*range(2, weight.ndim), 1, 0))
    if turned.shape != shape and weight.shape[1] == 1:  # depthwise: [C M, 1, h, w]
        turned = np.transpose(weight, (*range(2, weight.ndim), 0, 1))
        if turned.size == int(np.prod(shape)):
            return turned.reshape(shape)
    return turned


def _gates(last: str, shape: tuple[int, ...], given: Mapping[str, np.ndarray]) -> Any:
    """LSTM: the same order (i, f, g, o), one bias. GRU: r, z, n there, z, r, n here."""
    units = given["weight_hh_l0"].shape[1]

    def ordered(array: np.ndarray) -> np.ndarray:
        if len(array) != 3 * units:
            return array
        r, z, n = np.split(array, 3)
        return np.concatenate([z, r, n])

    if last == "kernel":
        return ordered(given["weight_ih_l0"]).T
    if last == "recurrent_kernel":
        return ordered(given["weight_hh_l0"]).T
    if last != "bias" or "bias_ih_l0" not in given:
        return None
    first, second = ordered(given["bias_ih_l0"]), ordered(given["bias_hh_l0"])
    return np.stack([first, second]) if len(shape) == 2 else first + second
