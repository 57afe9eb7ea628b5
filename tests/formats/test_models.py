"""Published models and converter fixtures: they load, and their numbers are the source's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import load, load_graph
from fanlight.graph import verify
from fanlight.ops.types import TensorType
from tests.support import relative_error

TOLERANCE = 1e-4

# folder -> size to give, expected outputs
PUBLISHED: dict[str, tuple[int | None, dict[str, tuple[int, ...]]]] = {
    "mobilenet-v1-0.25-graph": (
        None,
        {"module_apply_default/MobilenetV1/Logits/SpatialSqueeze": (1, 1001)},
    ),
    "mobilenet-v1-0.25-layers-mitcml": (None, {"reshape_2": (1, 1000)}),
    "mobilenet-v2-graph-tafsiri": (
        None,
        {"module_apply_default/hub_output/feature_vector/SpatialSqueeze": (1, 1280)},
    ),
    "nsfwjs-mobilenet-v2-layers-uint8": (None, {"dense_3": (1, 5)}),
    "squeezenet-layers": (None, {}),
    "teachable-machine-a": (None, {"sequential_11": (1, 4)}),
    "posenet-mobilenet-quant2-050": (
        129,
        {
            "MobilenetV1/offset_2/BiasAdd": (1, 9, 9, 34),
            "MobilenetV1/heatmap_2/BiasAdd": (1, 9, 9, 17),
            "MobilenetV1/displacement_fwd_2/BiasAdd": (1, 9, 9, 32),
            "MobilenetV1/displacement_bwd_2/BiasAdd": (1, 9, 9, 32),
        },
    ),
    "bodypix-mobilenet-quant1-050": (129, {}),
    "blazeface-google": (None, {"Identity": (1, 896, 17)}),
    "facemesh-google": (
        None,
        {"Identity_1": (1, 266), "Identity_2": (1, 1), "Identity": (1, 1404)},
    ),
    "human-selfie": (None, {"activation_10": (1, 256, 256, 1)}),
    "human-emotion": (None, {"Identity": (1, 7)}),
    "human-blazepose-lite": (
        None,
        {
            "world_3d": (1, 117),
            "activation_heatmap": (1, 64, 64, 39),
            "activation_segmentation": (1, 256, 256, 1),
            "output_poseflag": (1, 1),
            "ld_3d": (1, 195),
        },
    ),
    "human-handlandmark-lite": (None, {}),
    "human-centernet": (
        None,
        {
            "tower_0/wh": (1, 128, 128, 4),
            "tower_0/keypoints": (1, 128, 128, 80),
            "tower_0/detections": (1, 100, 6),
        },
    ),
    "doodlenet-layers": (None, {"dense_1": (1, 345)}),
    "crepe-pitch-layers": (None, {"crepe_classifier": (1, 360)}),
    "style-transformer-separable-graph": (
        64,
        {"transformer/expand/conv3/dilate_conv/Sigmoid": (1, 64, 64, 3)},
    ),
    "nanodet-m-coco": (None, {}),
    "sentiment-graph": (None, {"Identity": (1, 1)}),
}
# What takes NumPy over a second is only checked for its types.
HEAVY = {"human-centernet"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_model(shared: Path, name: str) -> None:
    size, outputs = PUBLISHED[name]
    model = load(shared / "data" / "models" / name, size=size)
    verify(model.graph)
    assert not model.source.warnings
    shapes = {n: t.shape for n, t in model.outputs}
    assert not outputs or shapes == outputs
    if name in HEAVY:
        return
    rng = np.random.default_rng(0)
    x = {n: rng.uniform(0, 1, t.bound).astype(np.float32) for n, t in model.inputs}
    for output, y in model(x).items():
        assert y.shape == shapes[output] and np.isfinite(y).all(), output


def test_teachable_machine_carries_its_labels(shared: Path) -> None:
    model = load(shared / "data" / "models" / "teachable-machine-a")
    assert model.labels == ("RedBullSuFree", "Room", "WaterBottle", "Arttu")
    assert model.outputs == [("sequential_11", TensorType((1, 4)))]


def test_open_image_sizes_are_asked_for(shared: Path) -> None:
    with pytest.raises(FanlightError, match="size=224"):
        load(shared / "data" / "models" / "posenet-mobilenet-quant2-050")


def test_tiny_models_of_tfjs(shared: Path) -> None:
    """x [2, 2] of ones times w, from the tests of TensorFlow.js itself."""
    folder = shared / "data" / "models" / "tfjs-tiny-models"
    paths = sorted(p for p in folder.rglob("*.json") if b'"modelTopology"' in p.read_bytes())
    assert len(paths) >= 6
    for path in paths:
        if path.parent.name == "layers_model":
            with pytest.raises(FanlightError, match="GRU x1"):
                load(path)
            assert fl.load(path).outputs == [("gru_GRU1", TensorType((1, 4)))]
            continue
        model = load(path)
        x = {n: np.ones(t.bound, np.float32) for n, t in model.inputs}
        assert all(np.isfinite(y).all() for y in model(x).values())


@pytest.mark.parametrize("name", ["mobilenet_v1_1.0_224-layers", "mobilenet_v2_1.0_224-layers"])
def test_topology_with_random_weights(shared: Path, name: str) -> None:
    path = shared / "data" / "models" / "topologies-only" / f"{name}.json"
    with pytest.raises(FanlightError, match="E-FORMAT-006"):
        load(path)
    model = load(path, weights="random")
    x = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    scores = model(x)
    # Alive, not saturated: some spread over the classes.
    assert scores.shape == (1, 1000) and 1e-5 < scores.std() and scores.max() < 0.99


# --- fixtures: the answers of Keras and of TF.js itself -------------------------------------------

FIXTURES = [
    "mobilenet_v1_025_128",
    "mobilenet_v1_025_128_classic__keras2",
    *(
        f"{name}{suffix}"
        for name in (
            "seq_cnn",
            "func_resnet",
            "x_conv_bn",
            "x_sepconv_bn",
            "x_dense_elu_selu_gelu_tanh",
            "x_dense_relu",
            "x_dense_tanh",
            "x_gelu",
            "x_upbilinear",
            "x_resize_norm",
            "x_nested",
            "x_layernorm",
        )
        for suffix in ("", "__keras2")
    ),
]
# TF.js interpolates `UpSampling2D(interpolation="bilinear")` without half-pixel centres, which
# is not what the model was trained with: there, Keras is right and TF.js is not.
TFJS_IS_WRONG = ("func_resnet", "x_upbilinear")


def routes(folder: Path) -> list[Path]:
    """Every file of one fixture that holds the model."""
    found = [folder / "model.keras", folder / "model.h5"]
    return [p for p in found if p.exists()] + sorted(folder.glob("tfjs/*/model.json"))


def reference(path: Path, outputs: list[np.ndarray], name: str) -> list[np.ndarray] | None:
    """What the route should give: Keras' outputs, or TF.js' where weights were rounded."""
    if not path.parent.name.endswith(("_f16", "_u8", "_u16")):
        return outputs
    files = sorted(path.parent.glob("tfjs_output_*.bin"))
    if len(files) != len(outputs) or (
        "layers" in path.parent.name and name.startswith(TFJS_IS_WRONG)
    ):
        return None
    arrays = [np.fromfile(f, "<f4").reshape(o.shape) for f, o in zip(files, outputs, strict=True)]
    return arrays if all(np.isfinite(a).all() for a in arrays) else None


@pytest.mark.parametrize("name", FIXTURES)
def test_fixture(shared: Path, name: str) -> None:
    folder = shared / "fixtures" / name
    io = np.load(folder / "io.npz")
    inputs = [io[k] for k in io.files if k.startswith("input")]
    outputs = [io[k] for k in io.files if k.startswith("output")]
    paths = routes(folder)
    assert len(paths) >= 4
    for path in paths:
        model = load(path)
        assert not model.source.warnings, path
        got = list(model({n: x for (n, _), x in zip(model.inputs, inputs, strict=True)}).values())
        # A SavedModel's signature keeps no order: func_resnet's outputs tell apart by shape.
        got.sort(key=lambda g: [o.shape for o in outputs].index(g.shape))
        assert [g.shape for g in got] == [o.shape for o in outputs], path
        wanted = reference(path, outputs, name)
        if wanted is None:
            # No independent answer: rounded weights must at least give nearly the same one.
            assert all(np.isfinite(g).all() for g in got), path
            continue
        for g, w in zip(got, wanted, strict=True):
            assert relative_error(g, w) < TOLERANCE, path


@pytest.mark.parametrize(
    "name, code, says",
    [
        ("rnn", "E-FORMAT-014", "Bidirectional x1"),
        ("attention", "E-FORMAT-014", "MultiHeadAttention x1"),
        ("mixed", "E-FORMAT-014", "LSTM x1"),
    ],
)
def test_what_is_not_supported_yet_says_so(shared: Path, name: str, code: str, says: str) -> None:
    with pytest.raises(FanlightError) as caught:
        load_graph(shared / "fixtures" / name / "model.keras")
    assert caught.value.code == code and says in str(caught.value)
