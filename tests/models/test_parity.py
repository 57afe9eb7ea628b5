"""Every published image model: NumPy, wasmtime, Chromium, and TF.js itself, on the same inputs.

One output is excused from the 1e-4, and the excuse is proved: the segmentation mask of
human-blazepose-lite is the sigmoid of logits of up to +-1,000. One part in 10^5 of those, which is
what float32 leaves after eighty convolutions, moves a sigmoid at the edge of the mask by 10^-3,
on photos of people as on smooth pictures, so NumPy's own float32 misses the 1e-4 against float64.
There the logits are compared, relative to their size, and the mask with its float64 value.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from bench.lab import install_peers
from bench.parity import IMAGE_MODELS, inputs_for, tfjs_answers
from fanlight.check import difference
from fanlight.graph import Graph, Value
from tests.models.float64 import evaluate_float64

pytestmark = pytest.mark.chromium

HOSTS = ("wasm", "wasm-plain", "browser")
OURS, THEIRS = 1e-4, 1e-3
# model -> (its mask, the node of its logits in the source)
SATURATED = {
    "human-blazepose-lite": (
        "activation_segmentation",
        "StatefulPartitionedCall/model/output_segmentation/BiasAdd",
    )
}


@pytest.fixture(scope="session")
def peers() -> None:
    """TF.js from npm, at the bench's pinned version; installed on first use."""
    try:
        install_peers()
    except (OSError, RuntimeError) as problem:
        pytest.fail(f"TF.js is needed to compare with: {problem}")


@pytest.mark.parametrize("name", [n for n in IMAGE_MODELS if n not in SATURATED])
def test_every_host_and_tfjs_agree(
    name: str, shared: Path, chromium: Any, peers: None, tmp_path: Path
) -> None:
    folder = shared / "data" / "models" / name
    model = fl.load(folder, **IMAGE_MODELS[name])
    inputs = inputs_for(model)
    with fl.build(model, tmp_path / "bundle") as bundle:
        report = fl.check(bundle, hosts=HOSTS, inputs=inputs, tolerance=OURS)
        assert report.ok, str(report)
        assert not report.not_run
        assert {r.host for r in report.rows} == set(HOSTS)
        expected = bundle.run(inputs, host="numpy")
    theirs = tfjs_answers(chromium, folder, model, inputs)
    assert len(theirs) == len(expected)
    for (output, ours), other in zip(expected.items(), theirs, strict=True):
        assert np.ptp(ours) > 0 or ours.size == 1, f"{output} says nothing about this input"
        assert_near(output, ours.astype(np.float32), other, THEIRS)


def assert_near(name: str, expected: np.ndarray, received: np.ndarray, tolerance: float) -> None:
    """Compares numbers in order: TF.js and Fanlight may write dims of size 1 differently."""
    found = difference(expected.reshape(-1), received.reshape(-1))
    assert found <= tolerance, f"{name}: {found:.1e} of the largest value"


@pytest.mark.parametrize("name", SATURATED)
def test_saturated_masks_agree_in_their_logits(
    name: str, shared: Path, chromium: Any, peers: None, tmp_path: Path
) -> None:
    mask, node = SATURATED[name]
    folder = shared / "data" / "models" / name
    model = fl.load(folder, **IMAGE_MODELS[name])
    graph = with_logits(model.graph, mask)
    inputs = {n: photo_of_people(shared, t.bound) for n, t in model.inputs}
    truth = evaluate_float64(graph, inputs)
    with fl.build(graph, tmp_path / "bundle") as bundle:
        answers = {h: bundle.run(inputs, host=h) for h in ("numpy", *HOSTS)}
    *theirs, logits = tfjs_answers(chromium, folder, model, inputs, nodes=[node])
    names = [n for n, _ in model.outputs]
    answers["tfjs"] = {**dict(zip(names, theirs, strict=True)), "logits": logits}

    assert np.abs(truth["logits"]).max() > 500
    excused = error(truth[mask], answers["numpy"][mask])
    assert excused > OURS, "float32 is exact enough here: compare this model like the others"
    for host, found in answers.items():
        for output in (*names, "logits"):
            if output != mask:
                limit = THEIRS if host == "tfjs" else OURS
                assert_near(f"{host} {output}", answers["numpy"][output], found[output], limit)
        # A sigmoid is nowhere steeper than 1/4: a mask differs by no more than its logits explain.
        moved = np.abs(found["logits"].reshape(-1) - truth["logits"].reshape(-1))
        off = np.abs(found[mask].reshape(-1) - truth[mask].reshape(-1))
        assert (off <= moved / 4 + 1e-6).all(), host
        assert off.mean() < 1e-5, host  # and but for the edge of the mask it does not differ
        if host != "tfjs":
            assert off.max() <= 4 * excused, host


def error(truth: np.ndarray, received: np.ndarray) -> float:
    return difference(truth.reshape(-1), received.reshape(-1).astype(np.float64))


def with_logits(graph: Graph, mask: str) -> Graph:
    """The graph with what the mask is the sigmoid of as one more output, `logits`."""
    value: Value = dict(graph.outputs)[mask]
    sigmoid = graph.producers()[value]
    assert sigmoid.op == "sigmoid"
    return dataclasses.replace(graph, outputs=(*graph.outputs, ("logits", sigmoid.inputs[0])))


def photo_of_people(shared: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A photo as the model meets it: stretched to its input, in [0, 1]."""
    from PIL import Image

    with Image.open(shared / "data" / "photos" / "people.jpg") as image:
        small = image.convert("RGB").resize((shape[2], shape[1]))
    return np.asarray(small, np.float32)[None] / np.float32(255)
