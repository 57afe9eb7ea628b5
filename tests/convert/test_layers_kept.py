"""Layers stay layers: with random weights, with sizes that were given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.convert.report import report_of


def network(side: int | None = 8) -> fl.Model:
    x = fl.Input((side, side, 3), name="image")
    y = fl.layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    y = fl.layers.BatchNormalization(name="norm")(y)
    y = fl.layers.GlobalAveragePooling2D(name="pool")(y)
    return fl.Model(x, fl.layers.Dense(2, activation="softmax", name="scores")(y))


@pytest.mark.parametrize("source", ["m.keras", "m.h5", "m"])
@pytest.mark.parametrize(("name", "kind"), [("web", "tfjs-layers"), ("b.keras", "keras")])
def test_random_weights_of_layers_are_written_as_layers(
    tmp_path: Path, source: str, name: str, kind: str
) -> None:
    model = network()
    model.save(tmp_path / source)
    made = fl.convert(tmp_path / source, tmp_path / name, weights="random")
    assert made.kind == kind and made.ok and not made.notes
    again = fl.load_model(tmp_path / name)
    kernel = np.asarray(again.get_layer("conv").kernel)
    assert np.abs(kernel - np.asarray(model.get_layer("conv").kernel)).max() > 0.1
    assert np.asarray(again.get_layer("norm").moving_variance).std() > 0
    # Seeded: the same ones again.
    fl.convert(tmp_path / source, tmp_path / "more.keras", weights="random")
    same = fl.load_model(tmp_path / "more.keras").get_layer("conv").kernel
    np.testing.assert_array_equal(np.asarray(same), kernel)


def test_a_topology_without_its_weights_becomes_layers(tmp_path: Path) -> None:
    fl.convert(network(), tmp_path / "web")
    for shard in (tmp_path / "web").glob("*.bin"):
        shard.unlink()
    made = fl.convert(tmp_path / "web", tmp_path / "m.keras", weights="random")
    assert made.ok and fl.load_model(tmp_path / "m.keras").count_params() == 4 * 28 + 16 + 10


def test_random_weights_leave_no_use_for_a_signature(tmp_path: Path) -> None:
    network().save(tmp_path / "m.keras")
    with pytest.raises(fl.FanlightError, match="E-FORMAT-018"):
        fl.convert(tmp_path / "m.keras", tmp_path / "web", weights="random", signature="a")


@pytest.mark.parametrize("name", ["web", "b.keras"])
def test_sizes_that_layers_have_no_use_for_are_told(tmp_path: Path, name: str) -> None:
    network(None).save(tmp_path / "m.keras")
    made = fl.convert(tmp_path / "m.keras", tmp_path / name, size=16)
    (note,) = made.notes
    assert "image [1, 16, 16, 3] was for the check alone" in note
    shapes = {"image": (2, 16, 24, 3)}
    (note,) = fl.convert(tmp_path / "m.keras", tmp_path / "c.h5", input_shapes=shapes).notes
    assert "[2, 16, 24, 3]" in note
    assert not fl.convert(tmp_path / "m.keras", tmp_path / "d.keras").notes
    made = fl.convert(tmp_path / "m.keras", tmp_path / "e.onnx", size=16)
    assert not made.notes and fl.load(tmp_path / "e.onnx").inputs[0][1].shape == (1, 16, 16, 3)


def test_a_shape_that_is_the_layers_own_is_not_worth_a_note(tmp_path: Path) -> None:
    network().save(tmp_path / "m.keras")
    shapes = {"image": (1, 8, 8, 3)}
    assert not fl.convert(tmp_path / "m.keras", tmp_path / "web", input_shapes=shapes).notes


def heads() -> fl.Model:
    x = fl.Input((4,), name="x")
    h = fl.layers.Dense(3, name="h")(x)
    probs = fl.layers.Dense(2, name="a", bias_initializer="ones")(h)
    return fl.Model(x, {"probs": probs, "aux": fl.layers.Dense(1, name="b")(h)})


@pytest.mark.parametrize("name", ["web", "m.keras", "m.h5", "m.safetensors"])
def test_outputs_by_name_keep_their_names(tmp_path: Path, name: str) -> None:
    model = heads()
    made = fl.convert(model, tmp_path / name)
    assert made.ok and not made.notes
    x = np.ones((2, 4), np.float32)
    found, wanted = fl.load_model(tmp_path / name).predict(x), model.predict(x)
    assert found.keys() == wanted.keys() == {"probs", "aux"}
    for key in wanted:
        np.testing.assert_allclose(found[key], wanted[key], atol=1e-6)
    if name != "m.safetensors":  # read as a graph, too
        graph = fl.load(tmp_path / name)(x)
        np.testing.assert_allclose(graph["probs"], wanted["probs"], atol=1e-6)
        assert graph["aux"].shape == (2, 1)


@pytest.mark.parametrize("names", [["probs"], ["probs", "probs"], ["probs", 3], "probs", {}])
def test_names_of_outputs_that_do_not_fit_are_left_out(tmp_path: Path, names: Any) -> None:
    fl.convert(heads(), tmp_path / "web")
    told = json.loads((tmp_path / "web" / "model.json").read_text())
    assert told["modelTopology"]["config"]["output_names"] == ["aux", "probs"]
    told["modelTopology"]["config"]["output_names"] = names
    (tmp_path / "web" / "model.json").write_text(json.dumps(told))
    assert [n for n, _ in fl.load(tmp_path / "web").outputs] == ["b", "a"]
    assert fl.load_model(tmp_path / "web").output_names == ["b", "a"]


def test_keys_that_a_list_cannot_have_are_told(tmp_path: Path) -> None:
    x = fl.Input((4,), name="x")
    a, b = fl.layers.Dense(2, name="a")(x), fl.layers.Dense(1, name="b")(x)
    made = fl.convert(fl.Model(x, {"one": {"two": a}, "three": b}), tmp_path / "web")
    (note,) = made.notes
    assert "keys of dicts" in note and "order is a, b" in note


def test_a_report_of_layers_that_leave_sizes_open_tells_what_they_become(tmp_path: Path) -> None:
    network(None).save(tmp_path / "m.keras")
    report = report_of(str(tmp_path / "m.keras"))
    assert report.ok and "tfjs-layers" in report.targets
    (note,) = report.notes
    assert "leaves the image size of its input 'image' open" in note and "a graph needs" in note


def test_a_part_of_layers_with_open_sizes_stays_layers(tmp_path: Path) -> None:
    network(None).save(tmp_path / "m.keras")
    made = fl.convert(
        tmp_path / "m.keras", tmp_path / "web", inputs=["conv"], outputs=["pool"], size=9
    )
    assert made.ok and made.kind == "tfjs-layers" and "conv [1, 7, 7, 4]" in made.notes[0]


def test_layers_saved_by_a_page_take_sizes(tmp_path: Path) -> None:
    network(None).save(tmp_path / "m.safetensors")
    with pytest.raises(fl.FanlightError, match="E-FORMAT-017"):
        fl.convert(tmp_path / "m.safetensors", tmp_path / "a.onnx")
    assert fl.convert(tmp_path / "m.safetensors", tmp_path / "a.onnx", size=8).ok
    assert fl.convert(tmp_path / "m.safetensors", tmp_path / "web").kind == "tfjs-layers"
    with pytest.raises(fl.FanlightError, match="E-FORMAT-018"):
        fl.convert(tmp_path / "m.safetensors", tmp_path / "b.onnx", size=8, signature="a")


def test_structured_outputs_make_a_graph_of_layers_and_say_so(tmp_path: Path) -> None:
    made = fl.convert(network(), tmp_path / "web", structured_outputs=True)
    assert made.kind == "tfjs-graph" and "A graph-model, for" in made.notes[0]
    made = fl.convert(network(), tmp_path / "b", structured_outputs=True, to="tfjs-graph")
    assert not made.notes
