"""`model.summary()` and `fl.plot_model`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers import nets
from tests.layers.nets import L


def told(model: Any, **options: Any) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append, line_length=100, **options)
    assert len(lines) == 1
    return lines[0]


def test_a_row() -> None:
    text = told(nets.dense())
    assert 'Model: "row"' in text
    for cells in (("one (Dense)", "(None, 5)", "25"), ("two (Dense)", "(None, 2)", "12")):
        line = next(line for line in text.splitlines() if cells[0] in line)
        assert all(c in line for c in cells)
    assert "Total params: 37 (148.00 B)" in text
    assert "Connected to" not in text


def test_a_graph_with_shared_layers_and_models_inside() -> None:
    model = nets.shared()
    text = told(model, show_trainable=True, expand_nested=True)
    for part in ("Connected to", "both[0][0]", "both[1][0]", "first[0][0]", "sum[0][0]"):
        assert part in text
    assert re.search(r"inner \(Functional\) +│ \(None, 2\) +│ +8", text)
    assert "  deep (Dense)" in text
    assert "deep" not in told(model)
    model.get_layer("first").trainable = False
    assert "Trainable params: 23 (92.00 B)" in told(model)
    assert "Non-trainable params: 20 (80.00 B)" in told(model)
    assert re.search(r"first \(Dense\).*no", told(model, show_trainable=True))


def test_the_state_of_training_is_counted_as_keras_does() -> None:
    model = nets.dense()
    model.compile("adam", "mse")
    assert "Optimizer" not in told(model)
    model.fit(nets.inputs_of(model)[0], nets.labels_of(model)[0], verbose=0)
    assert "Optimizer params: 76 (304.00 B)" in told(model)
    assert "Total params: 113" in told(model)


def test_before_it_is_built_and_on_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    fl.Sequential([L.Dense(2, name="later")]).summary()
    text = capsys.readouterr().out
    assert "later (Dense)" in text and "not built" in text and "?" in text


def test_a_picture(tmp_path: Path) -> None:
    model = nets.shared()
    model.get_layer("first").trainable = False
    picture = fl.plot_model(model, tmp_path / "m.svg", show_trainable=True)
    assert (tmp_path / "m.svg").read_text() == picture == picture._repr_svg_()
    root = ElementTree.fromstring(picture)
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    # Both calls of the shared layer, and what the outputs are.
    for part in (
        "both (call 1) · 15 weights",
        "both (call 2)",
        "first · 20 weights · frozen",
        "sum",
    ):
        assert part in texts
    assert "Dense · (None, 4)" in texts and "output · (None, 2)" in texts
    assert "float32" in fl.plot_model(model, show_dtype=True)
    plain = fl.plot_model(model, show_shapes=False, show_layer_names=False, show_params=False)
    assert "None" not in plain.replace("<title>", "").split("</style>")[1].split("InputLayer")[0]
    assert "weights" not in plain


def test_pictures_that_cannot_be() -> None:
    with pytest.raises(FanlightError, match="E-LAYER-010"):
        fl.plot_model(nets.dense(), "m.png")
    with pytest.raises(FanlightError, match="E-LAYER-002"):
        fl.plot_model(fl.Sequential([L.Dense(2)]))
