"""--quantize with layers-models and graph-models: globs, shared layers, the original's answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.formats.test_tfgraph_writer import FIXTURES, given
from tests.formats.tfjs_graph_peer import run

KINDS = {"f16": "float16", "u8": "uint8", "u16": "uint16"}
# Routes of the original converter (4.22.0) that TF.js ran: our file of the same model gives TF.js's
# stored answer, within float32's rounding times what the network makes of it.
ROUTES = {
    "x_conv_bn/sm_graph": 1e-6,
    "x_conv_bn__keras2/sm_graph": 1e-6,
    "x_conv_bn__keras2/h5_layers": 1e-6,
    "x_dense_relu/sm_graph": 1e-6,
    "x_layernorm/sm_graph": 1e-6,
    "x_sepconv_bn__keras2/sm_graph": 1e-6,
    "mobilenet_v1_025_128_classic__keras2/h5_layers": 1e-6,
    # A fold in float64 rounds a byte otherwise than one in float32 here and there.
    "mobilenet_v1_025_128_classic__keras2/sm_graph": 1e-3,
}


@pytest.mark.parametrize("route", ROUTES)
def test_the_original_s_answers(route: str, tmp_path: Path) -> None:
    name, _, form = route.partition("/")
    folder = FIXTURES / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    to = "tfjs-graph" if form == "sm_graph" else "tfjs-layers"
    inputs = given(fl.load(folder / "model.keras"), folder)
    jobs, wants = [], []
    for short, kind in KINDS.items():
        stored = (folder / "tfjs" / f"{form}_{short}").glob("tfjs_output_0.bin")
        files = list(stored)
        if not files:
            continue
        out = tmp_path / short
        made = fl.convert(folder / "model.keras", out, to=to, quantize=kind)
        assert made.ok and made.rounded and made.kind == to
        jobs.append((out, inputs))
        wants.append(np.fromfile(files[0], "<f4"))
    assert jobs
    for answer, wanted in zip(run(jobs), wants, strict=True):
        assert "error" not in answer, answer["error"]
        (found,) = answer["list"] if "list" in answer else answer["outputs"].values()
        assert np.abs(found.ravel() - wanted).max() <= ROUTES[route]


def network() -> Any:
    """Two heads that share a convolution and its batch norm; GRU sends it to a graph-model."""
    fl.set_random_seed(4)
    a, b = fl.Input((6, 6, 2), name="a"), fl.Input((6, 6, 2), name="b")
    conv = fl.layers.Conv2D(4, 3, name="conv")
    norm = fl.layers.BatchNormalization(name="norm")
    one, two = (fl.layers.ReLU()(norm(conv(x))) for x in (a, b))
    y = fl.layers.Add(name="sum")([one, two])
    y = fl.layers.Dense(3, name="out")(fl.layers.GlobalAveragePooling2D(name="pool")(y))
    return fl.Model([a, b], y, name="net")


def kinds(folder: Path) -> dict[str, str | None]:
    described = json.loads((folder / "model.json").read_bytes())
    listed = [w for g in described["weightsManifest"] for w in g["weights"]]
    return {w["name"]: w.get("quantization", {}).get("dtype") for w in listed}


@pytest.mark.parametrize("to", ["tfjs-layers", "tfjs-graph"])
@pytest.mark.parametrize("saved", [True, False])
def test_globs_and_shared_layers(to: str, saved: bool, tmp_path: Path) -> None:
    source: Any = network()
    for w in source.weights:
        w.assign(np.random.default_rng(1).uniform(0.2, 1, w.shape).astype("float32"))
    if saved:
        source.save(tmp_path / "net.keras")
        source = tmp_path / "net.keras"
    quantize = ["uint8=conv/*", "float16=out/kernel", "uint16=*nothing*"]
    made = fl.convert(source, tmp_path / "web", to=to, quantize=quantize)
    assert made.ok and made.worst is not None and 0 < made.worst < 0.01
    (note,) = made.notes
    assert "*nothing*" in note
    found = kinds(tmp_path / "web")
    assert found["conv/kernel"] == "uint8" and found["out/kernel"] == "float16"
    assert found["out/bias"] is None
    assert len([n for n in found if "conv/kernel" in n]) == 1  # shared layers share it
    random = np.random.default_rng(2)
    x = {n: random.uniform(0, 1, (2, 6, 6, 2)).astype("float32") for n in "ab"}
    (answer,) = run([(tmp_path / "web", x)])
    (there,) = answer["list"] if "list" in answer else answer["outputs"].values()
    ours = fl.load(tmp_path / "web")(x)
    np.testing.assert_allclose(there, next(iter(ours.values())), 1e-5, 1e-5)


def test_layers_that_tfjs_lacks_keep_their_names(tmp_path: Path) -> None:
    x = fl.Input((5, 3), name="x")
    y = fl.layers.GRU(4, name="gru")(x)  # reset_after: TF.js has none
    model = fl.Model(x, fl.layers.Dense(2, name="out")(y))
    made = fl.convert(model, tmp_path / "web", quantize="uint8=*/kernel")
    assert made.kind == "tfjs-graph" and made.ok
    found = kinds(tmp_path / "web")
    assert found["out/kernel"] == "uint8" and found["out/bias"] is None
    assert any("gru" in n and n.endswith("kernel") and k == "uint8" for n, k in found.items())
