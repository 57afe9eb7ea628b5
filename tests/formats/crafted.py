"""Small models of our own, one per format and dialect, written to a folder."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Json = dict[str, Any]


def weights_of(shapes: Mapping[str, Sequence[int]], seed: int = 0) -> dict[str, np.ndarray]:
    """Seeded float32 arrays, positive where the name says variance."""
    rng = np.random.default_rng(seed)
    made = {n: rng.normal(0, 0.5, tuple(s)).astype(np.float32) for n, s in shapes.items()}
    return {n: np.abs(a) + np.float32(0.5) if "variance" in n else a for n, a in made.items()}


def manifest(arrays: Mapping[str, np.ndarray], path: str = "weights.bin") -> list[Json]:
    """A manifest of one group in one file."""
    weights = [
        {"name": n, "shape": list(a.shape), "dtype": str(a.dtype)} for n, a in arrays.items()
    ]
    return [{"paths": [path], "weights": weights}]


def write_tfjs(folder: Path, topology: Json, arrays: Mapping[str, np.ndarray], **more: Any) -> Path:
    """model.json and weights.bin in `folder`; returns the path of model.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.bin").write_bytes(b"".join(a.tobytes() for a in arrays.values()))
    model = {"modelTopology": topology, "weightsManifest": manifest(arrays), **more}
    (folder / "model.json").write_text(json.dumps(model))
    return folder / "model.json"


# --- Keras configs --------------------------------------------------------------------------------


def layer(kind: str, name: str, **config: Any) -> Json:
    """A layer as Keras 2 writes it inside a Sequential."""
    return {"class_name": kind, "config": {"name": name, **config}}


def sequential(*layers: Json, shape: Sequence[int | None] = (None, 8, 8, 3)) -> Json:
    """A Sequential config with an InputLayer in front."""
    first = layer("InputLayer", "x", batch_input_shape=list(shape), dtype="float32")
    return {"class_name": "Sequential", "config": {"name": "net", "layers": [first, *layers]}}


def keras2(model: Json) -> Json:
    return {"keras_version": "2.15.0", "backend": "tensorflow", "model_config": model}


def small_cnn() -> tuple[Json, dict[str, np.ndarray]]:
    """Conv, batch norm, activation, pooling, dense."""
    model = sequential(
        layer("Conv2D", "c", filters=4, kernel_size=[3, 3], strides=[2, 2], padding="same",
              activation="linear", use_bias=False, data_format="channels_last", groups=1),
        layer("BatchNormalization", "b", axis=[3], epsilon=0.001, center=True, scale=True),
        layer("ReLU", "r", max_value=6.0, negative_slope=0.0, threshold=0.0),
        layer("GlobalAveragePooling2D", "g", data_format="channels_last"),
        layer("Dense", "d", units=5, activation="softmax", use_bias=True),
    )  # fmt: skip
    arrays = weights_of(
        {
            "c/kernel": (3, 3, 3, 4),
            "b/gamma": (4,),
            "b/beta": (4,),
            "b/moving_mean": (4,),
            "b/moving_variance": (4,),
            "d/kernel": (4, 5),
            "d/bias": (5,),
        }
    )
    return model, arrays


def functional() -> Json:
    """x -> a, b (shared twice) -> sum; Keras 2 spelling. Needs a/kernel [4, 4] and s/kernel."""
    dense = {"units": 4, "use_bias": False, "activation": "linear"}

    def node(kind: str, name: str, inbound: Any, **config: Any) -> Json:
        return {
            "class_name": kind,
            "name": name,
            "config": {"name": name, **config},
            "inbound_nodes": inbound,
        }

    return {
        "class_name": "Functional",
        "config": {
            "name": "fun",
            "layers": [
                node("InputLayer", "x", [], batch_input_shape=[None, 4], dtype="float32"),
                node("Dense", "a", [[["x", 0, 0, {}]]], **dense),
                node("Dense", "s", [[["a", 0, 0, {}]], [["s", 0, 0, {}]]], **dense),
                node("Add", "sum", [[["s", 0, 0, {}], ["s", 1, 0, {}]]]),
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["sum", 0, 0], ["a", 0, 0]],
        },
    }


def functional_weights() -> dict[str, np.ndarray]:
    return weights_of({"a/kernel": (4, 4), "s/kernel": (4, 4)}, 1)


def functional_keras3() -> Json:
    """The same model as Keras 3 writes it."""
    model = functional()

    def tensor(ref: list[Any]) -> Json:
        config = {"shape": [None, 4], "dtype": "float32", "keras_history": ref[:3]}
        return {"class_name": "__keras_tensor__", "config": config}

    for item in model["config"]["layers"]:
        calls: list[Json] = []
        for call in item["inbound_nodes"]:
            tensors = [tensor(ref) for ref in call]
            args = [tensors] if item["class_name"] == "Add" else tensors
            calls.append({"args": args, "kwargs": {}})
        item["inbound_nodes"] = calls
        config = item["config"]
        if "batch_input_shape" in config:
            config["batch_shape"] = config.pop("batch_input_shape")
        policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
        config["dtype"] = policy
    model["config"]["input_layers"] = ["x", 0, 0]
    return model


# --- GraphDefs ------------------------------------------------------------------------------------


def text(value: str, codes: bool = False) -> Json:
    """A string attribute, in base64 or as character codes."""
    return {"s": list(value.encode()) if codes else base64.b64encode(value.encode()).decode()}


def ints(*values: int) -> Json:
    return {"list": {"i": [str(v) for v in values]}}


def dims(*sizes: int) -> Json:
    return {"shape": {"dim": [{"size": str(s)} for s in sizes]}}


def node(op: str, name: str, *inputs: str, **attr: Json) -> Json:
    return {"name": name, "op": op, "input": list(inputs), "attr": attr}


def const(name: str, array: np.ndarray) -> Json:
    dtype = {"float32": "DT_FLOAT", "int32": "DT_INT32", "bool": "DT_BOOL"}[str(array.dtype)]
    tensor = {"dtype": dtype, "tensorShape": {"dim": [{"size": str(d)} for d in array.shape]}}
    return node("Const", name, dtype={"type": dtype}, value={"tensor": tensor})


def placeholder(name: str, *sizes: int, dtype: Any = "DT_FLOAT") -> Json:
    return node("Placeholder", name, dtype={"type": dtype}, shape=dims(*sizes))


def graph_of(
    nodes: Sequence[Json], arrays: Mapping[str, np.ndarray]
) -> tuple[Json, dict[str, np.ndarray]]:
    """A GraphDef with a Const for every array, consumers first (order means nothing)."""
    consts = [const(name, array) for name, array in arrays.items()]
    topology = {"node": [*nodes, *consts], "versions": {"producer": 175}}
    return topology, dict(arrays)


def small_graph(codes: bool = False) -> tuple[Json, dict[str, np.ndarray]]:
    """Pad, fused convolution, pooling, and the Shape -> StridedSlice -> Pack -> Reshape chain."""
    window = {"strides": ints(1, 2, 2, 1), "data_format": text("NHWC", codes)}
    float_ = {"T": {"type": 1 if codes else "DT_FLOAT"}}
    fused = {"list": {"s": [text(t, codes)["s"] for t in ("BiasAdd", "Relu6")]}}
    shrink = {"shrink_axis_mask": {"i": "1"}, "begin_mask": {"i": "0"}}
    nodes = [
        node("Identity", "out", "reshaped", "^noop", **float_),
        node("Reshape", "reshaped", "pool:0", "packed", **float_),
        node("NoOp", "noop"),
        node("Pack", "packed", "batch", "minus", N={"i": "2"}, axis={"i": "0"}),
        node("StridedSlice", "batch", "shape", "zero", "one", "one", **shrink),
        node("Shape", "shape", "pool", out_type={"type": "DT_INT32"}),
        node("MaxPool", "pool", "conv", ksize=ints(1, 2, 2, 1), padding=text("SAME", codes),
             **window),
        node("_FusedConv2D", "conv", "padded", "w", "bias", "^noop", fused_ops=fused,
             num_args={"i": "1"}, padding=text("VALID", codes), dilations=ints(1, 1, 1, 1),
             **window),
        node("Pad", "padded", "x", "pads"),
        placeholder("x", -1, 8, 8, 3, dtype=1 if codes else "DT_FLOAT"),
    ]  # fmt: skip
    arrays = weights_of({"w": (3, 3, 3, 4), "bias": (4,)}, 2)
    arrays |= {
        "pads": np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32),
        "zero": np.array([0], np.int32),
        "one": np.array([1], np.int32),
        "minus": np.array(-1, np.int32),
    }
    return graph_of(nodes, arrays)


# --- Keras files ----------------------------------------------------------------------------------


def write_h5(path: Path, model: Json, arrays: Mapping[str, np.ndarray], version: str) -> Path:
    """An .h5 file as `model.save` lays it out."""
    import h5py

    layers: dict[str, list[str]] = {}
    for name in arrays:
        layers.setdefault(name.split("/")[0], []).append(name)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model)
        file.attrs["keras_version"] = version
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [n.encode() for n in layers]
        for owner, names in layers.items():
            filed = group.create_group(owner)
            filed.attrs["weight_names"] = [f"{n}:0".encode() for n in names]
            for name in names:
                filed.create_dataset(f"{name}:0", data=arrays[name])
    return path


def weights_h5(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A model.weights.h5 with datasets at the given paths."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
    return buffer.getvalue()


def write_keras(
    path: Path, model: Json, arrays: Mapping[str, np.ndarray], version: str = "3.4.0"
) -> Path:
    """A .keras archive; `arrays` by their paths in model.weights.h5."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("model.weights.h5", weights_h5(arrays))
    return path
