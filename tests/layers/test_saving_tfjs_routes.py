"""All models that Keras saved go into TF.js by one of two routes; it answers as Keras did."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers.saving import write_tfjs
from tests.formats.tfjs_graph_peer import run
from tests.support import SHARED

FIXTURES = SHARED / "fixtures"
FILES = sorted(p for p in FIXTURES.glob("*/model.*") if p.suffix in (".keras", ".h5"))
TOLERANCE = 3e-5
pytestmark = pytest.mark.skipif(not FILES, reason=f"no models of Keras in {FIXTURES}")


def test_every_keras_model_goes_into_tfjs(tmp_path: Path, capsys: Any) -> None:
    jobs, wants, told = [], [], []
    for i, file in enumerate(FILES):
        model = fl.load_model(file, compile=False)
        folder = tmp_path / str(i)
        route, why = write_tfjs(model, folder)
        assert all("batch is fixed" not in line for line in why), file
        told.append((file, route, why))
        stored = np.load(file.parent / "io.npz")
        inputs = [stored[k] for k in sorted(k for k in stored.files if k.startswith("input"))]
        names = [v.name for v in model.graph.inputs]
        jobs.append((folder, dict(zip(names, inputs, strict=True))))
        wants.append([stored[k] for k in sorted(k for k in stored.files if k.startswith("out"))])
    lines, bad = [], []
    for (file, route, why), answer, wanted in zip(told, run(jobs), wants, strict=True):
        name = f"{file.parent.name}/{file.name}"
        made = answer.get("list") or list(answer.get("outputs", {}).values())
        off = np.inf
        if len(made) == len(wanted):
            off = max(float(np.abs(a - b).max()) for a, b in zip(made, wanted, strict=True))
        reason = "; ".join(why).removeprefix("a graph-model, for TF.js has not: ")
        lines.append(f"{name:50} {route:13} {off:.1e}  {reason[:90]}")
        if not off <= TOLERANCE:
            bad.append(lines[-1] + answer.get("error", ""))
    with capsys.disabled():
        print("\n" + "\n".join(lines))
        print(f"{len(lines) - len(bad)} of {len(lines)}")
    assert not bad, "\n".join(bad)


@functools.cache
def loaded(file: Path) -> fl.Model:
    """A model, which is written in each form; that does not change it."""
    return fl.load_model(file, compile=False)


@pytest.mark.parametrize(("form", "kind"), [("", None), ("_f16", "float16"), ("_u8", "uint8")])
def test_layers_models_have_the_weights_of_the_original_converter(
    form: str, kind: str | None, tmp_path: Path
) -> None:
    compared = 0
    for file in FILES:
        original = file.parent / "tfjs" / f"h5_layers{form}"
        if file.suffix != ".h5" or not file.parent.name.endswith("keras2") or not original.is_dir():
            continue
        model = loaded(file)
        folder = tmp_path / file.parent.name
        try:
            write_tfjs(model, folder, layers=True, quantize=kind)
        except FanlightError as error:
            assert error.code == "E-LAYER-009"
            continue
        ours, theirs = (json.loads((f / "model.json").read_bytes()) for f in (folder, original))
        for weight in theirs["weightsManifest"][0]["weights"]:
            # h5 has the name of a recurrent layer's cell, which TF.js drops when it reads it.
            weight["name"] = re.sub(r"/[a-z_]*cell(_\d+)?/", "/", weight["name"])
        assert ours["weightsManifest"] == theirs["weightsManifest"], file
        for path in theirs["weightsManifest"][0]["paths"]:
            assert (folder / path).read_bytes() == (original / path).read_bytes(), file
        compared += 1
    assert compared >= 5


@pytest.mark.parametrize("name", ["seq_cnn", "x_lstm", "x_sepconv_bn__keras2", "x_nested"])
def test_keras_to_tfjs_and_back_is_the_same(name: str, tmp_path: Path) -> None:
    file = FIXTURES / name / "model.keras"
    if not file.is_file():
        pytest.skip(f"{file} is missing")
    model = fl.load_model(file, compile=False)
    write_tfjs(model, tmp_path / "m", layers=True)
    fl.load_model(tmp_path / "m").save(tmp_path / "back.keras")
    again = fl.load_model(tmp_path / "back.keras")
    stored = np.load(FIXTURES / name / "io.npz")
    x = stored[min(k for k in stored.files if k.startswith("input"))]
    assert np.array_equal(model.predict(x), again.predict(x))
    ours, theirs = (sorted(w.numpy().tobytes() for w in m.weights) for m in (model, again))
    assert ours == theirs


def test_metadata_and_shards(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(4, name="d")])
    write_tfjs(model, tmp_path / "m", shard_bytes=20, metadata={"labels": ["a", "b"]})
    told = json.loads((tmp_path / "m" / "model.json").read_bytes())
    assert told["userDefinedMetadata"] == {"labels": ["a", "b"]}
    assert len(told["weightsManifest"][0]["paths"]) == 4
    again = fl.load_model(tmp_path / "m")
    x = np.ones((2, 3), "float32")
    assert np.array_equal(again.predict(x), model.predict(x))


def test_a_layers_model_that_cannot_be_says_what_to_do(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((4, 6)), fl.layers.GRU(2, name="g")])
    with pytest.raises(FanlightError, match="E-LAYER-009") as caught:
        write_tfjs(model, tmp_path / "m", layers=True)
    assert "reset_after" in str(caught.value.received)
    assert "tfjs-graph" in str(caught.value.next)
    assert write_tfjs(model, tmp_path / "m")[0] == "graph-model"
