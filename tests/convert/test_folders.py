"""Sources that are folders: the file within may have any name; folders within are told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.convert.report import report_of


def recurrent() -> fl.Model:
    """Layers that no reader of graphs knows: their graph is that of `fl.load_model`'s model."""
    return fl.Sequential([fl.Input((4, 3)), fl.layers.LSTM(2), fl.layers.GroupNormalization(1)])


@pytest.mark.parametrize("name", ["my.keras", "my.h5", "nwp.json"])
def test_layers_in_a_folder_have_a_file_of_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "source"
    model = fl.Sequential([fl.Input((4, 3)), fl.layers.LSTM(2)])
    if name.endswith(".json"):
        model.save(folder)
        (folder / "model.json").rename(folder / name)
    else:
        folder.mkdir()
        model.save(folder / name)
    (folder / "SOURCE.txt").write_text("where it came from")
    x = np.ones((1, 4, 3), np.float32)
    wanted = model(x)
    np.testing.assert_allclose(fl.load(folder)(x), wanted, rtol=1e-5)
    np.testing.assert_allclose(fl.load_model(folder)(x), wanted, rtol=1e-5)
    if name.endswith(".json"):  # the other files hold their weights
        assert fl.load(folder, weights="random")(x).shape == (1, 2)
    for target in ("x.onnx", "web", "x.keras"):
        assert fl.convert(folder, tmp_path / target).ok
    assert fl.convert(folder, tmp_path / "seeded.onnx", weights="random").ok
    report = report_of(str(folder))
    assert report.ok and report.format == fl.load(folder / name).source.format
    assert "all of them read: 100 %" in str(report)


def test_layers_that_graphs_have_not_are_read_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    recurrent().save(tmp_path / "source" / "net.keras")
    made = fl.convert(tmp_path / "source", tmp_path / "web")
    assert made.ok and made.kind == "tfjs-graph"


def test_models_of_a_collection_are_read_from_their_folders(shared: Path, tmp_path: Path) -> None:
    models = shared / "data" / "models"
    for name, format in (("keras-v3-lstm-small", "keras-v3"), ("text-prediction-layers", None)):
        report = report_of(str(models / name))
        assert report.ok and report.format == (format or "tfjs-layers")


def test_the_file_in_the_source_s_folder_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "source" / "net.keras"
    path.parent.mkdir()
    recurrent().save(path)
    before = path.read_bytes()
    with pytest.raises(fl.FanlightError, match=r"(?s)E-CONVERT-002.*overwritten"):
        fl.convert(path.parent, path)
    assert path.read_bytes() == before


def test_several_files_of_layers(tmp_path: Path) -> None:
    recurrent().save(tmp_path / "a.keras")
    shutil.copy(tmp_path / "a.keras", tmp_path / "b.keras")
    for function in (fl.load, fl.load_model):
        with pytest.raises(fl.FanlightError, match=r"(?s)several models.*a.keras, b.keras"):
            function(tmp_path)


def test_folders_with_models_within_are_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        recurrent().save(tmp_path / name / "net.keras")
    fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)]).save(tmp_path / "web")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.json").write_text(json.dumps([1]))
    with pytest.raises(fl.FanlightError) as caught:
        fl.load(tmp_path)
    assert caught.value.code == "E-FORMAT-002"
    assert caught.value.received == "one/, other/, two/, web/"
    assert caught.value.next == "name one of the folders within: one/, two/, web/."
    (tmp_path / "none" / "within").mkdir(parents=True)
    with pytest.raises(fl.FanlightError) as caught:
        fl.load(tmp_path / "none")
    assert caught.value.received == "within/" and caught.value.next == "check the path."
    with pytest.raises(fl.FanlightError) as caught:
        fl.load(tmp_path / "none" / "within")
    assert caught.value.received == "an empty folder"
