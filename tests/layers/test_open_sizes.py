"""Sizes that a source leaves open: layers keep them open, graphs need them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import fanlight as fl
from fanlight.cli.app import cli as command
from fanlight.convert import check
from fanlight.errors import FanlightError
from fanlight.formats.source import Options, static_shape
from tests.layers.keras_oracle import keras
from tests.layers.tfjs_peer import run as in_tfjs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:keras")
L = fl.layers


def texts(recurrent: Any = None) -> Any:
    x = fl.Input((None,), dtype="int32", name="tokens")
    y = L.Embedding(20, 4)(x)
    y = (recurrent or L.LSTM(3))(y)
    return fl.Model(x, L.Dense(2, name="scores")(y), name="texts")


def pictures(convolutions: int = 1) -> Any:
    x = y = fl.Input((None, None, 3), name="image")
    for _ in range(convolutions):
        y = L.Conv2D(4, 5, strides=2)(y)
    return fl.Model(x, L.Dense(2)(L.GlobalAveragePooling2D()(y)), name="pictures")


def signals() -> Any:
    x = fl.Input((None, 3), name="signal")  # no picture, though three channels come last
    return fl.Model(x, L.Dense(2)(L.GlobalAveragePooling1D()(L.Conv1D(4, 3)(x))), name="signals")


def inputs(model: Any, length: int) -> np.ndarray:
    shape = [length if n is None else n for n in model.input_shape[1:]]
    rng = np.random.default_rng(length)
    if model.inputs[0].dtype == "int32":
        return rng.integers(0, 20, (2, *shape)).astype(np.int32)
    return rng.standard_normal((2, *shape)).astype(np.float32)


def cli(*arguments: Any) -> tuple[int, str]:
    found = CliRunner().invoke(command, [str(a) for a in arguments])
    return found.exit_code, found.output


@pytest.mark.parametrize("make", [texts, pictures, signals])
def test_layers_keep_sizes_open(make: Any, tmp_path: Path) -> None:
    model = make()
    model.save(tmp_path / "m.keras")
    source: Any = tmp_path / "m.keras"
    for name in ("web", "back.h5", "again.keras"):
        made = fl.convert(source, tmp_path / name)
        assert made.ok and made.worst is not None and made.worst <= 1e-6, name
        source = tmp_path / name
    described = json.loads((tmp_path / "web" / "model.json").read_text())["modelTopology"]
    assert described["config"]["layers"][0]["config"]["batch_input_shape"] == list(
        model.input_shape
    )
    theirs = keras.models.load_model(tmp_path / "again.keras")
    for length in (9, 17):
        x = inputs(model, length)
        want = model.predict(x)
        np.testing.assert_allclose(np.asarray(theirs(x)), want, rtol=0, atol=1e-5)
        (found,) = in_tfjs(load=str(tmp_path / "web"), inputs=[x])["before"]
        np.testing.assert_allclose(np.reshape(found, want.shape), want, rtol=0, atol=1e-5)


def test_sizes_that_are_given_are_those_of_the_check(tmp_path: Path) -> None:
    pictures().save(tmp_path / "m.keras")
    for name in ("web", "m.h5", "m.safetensors"):
        made = fl.convert(tmp_path / "m.keras", tmp_path / name, size=64)
        assert made.ok and made.worst is not None, name
    assert fl.load_model(tmp_path / "web").input_shape == (None, None, None, 3)
    code, said = cli("convert", tmp_path / "m.keras", tmp_path / "w7", "--size", "64")
    assert code == 0 and "checked" in said


def test_the_check_finds_sizes_that_fit(tmp_path: Path) -> None:
    deep = pictures(4)  # nothing is left of a picture of 32 x 32
    made = fl.convert(deep, tmp_path / "deep.keras")
    assert made.ok and made.worst is not None
    graph = fl.convert(deep, tmp_path / "deep.onnx", input_shapes={"image": (1, 80, 80, 3)})
    assert graph.ok and graph.kind == "onnx"
    with pytest.raises(FanlightError, match="E-FORMAT-017"):
        fl.convert(deep, tmp_path / "no.onnx")


def test_what_needs_sizes_says_so_in_the_words_of_the_caller(tmp_path: Path) -> None:
    texts(L.GRU(3)).save(tmp_path / "gru.keras")  # reset_after, which TF.js has not
    with pytest.raises(FanlightError) as caught:
        fl.convert(tmp_path / "gru.keras", tmp_path / "web")
    error = caught.value
    assert error.code == "E-FORMAT-017" and "reset_after" in error.message
    assert "input_shapes={'tokens': (1, 32)}" in str(error.next) and "--" not in str(error.next)
    assert not (tmp_path / "web").exists()
    shapes = {"tokens": (1, 20)}
    made = fl.convert(tmp_path / "gru.keras", tmp_path / "web", input_shapes=shapes)
    assert made.kind == "tfjs-graph" and made.ok
    pictures().save(tmp_path / "any.keras")
    for name, target, words in (
        ("gru.keras", "g.onnx", "--input-shape tokens=1,32"),
        ("gru.keras", "web3", "--input-shape tokens=1,32"),
        ("any.keras", "a.onnx", "--size 224"),
        ("any.keras", "a.html", "--size 224"),
    ):
        code, said = cli("convert", tmp_path / name, tmp_path / target)
        assert code == 1 and words in said and "fl.load" not in said, said
        assert not (tmp_path / target).exists()
    code, said = cli("convert", tmp_path / "gru.keras", "--report")
    assert code == 0 and "GRU" in said, said
    with pytest.raises(FanlightError) as caught:
        fl.load(tmp_path / "any.keras")
    assert caught.value.next == "say it: fl.load(path, size=224)."


def test_a_check_that_cannot_be_made_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts().save(tmp_path / "m.keras")

    def broken(*_: Any) -> Any:
        raise FanlightError("E-FORMAT-007", "a weight is cut short.", where="here")

    monkeypatch.setattr(check, "_read", broken)
    made = fl.convert(tmp_path / "m.keras", tmp_path / "a.h5")
    assert not made.ok and made.problem is not None and made.problem.code == "E-FORMAT-007"
    assert made.worst is None
    code, said = cli("convert", tmp_path / "m.keras", tmp_path / "b.h5")
    assert code == 1 and "NOT CHECKED" in said and "E-FORMAT-007" in said
    code, said = cli("convert", tmp_path / "m.keras", tmp_path / "b.h5", "--json")
    assert code == 1 and json.loads(said)["problem"]["code"] == "E-FORMAT-007"
    assert json.loads(said)["ok"] is False
    assert fl.convert(tmp_path / "m.keras", tmp_path / "c.h5", check=False).ok


def test_a_sequence_of_three_channels_is_no_picture() -> None:
    options = Options(input_shapes={"x": (1, 8, 3)})
    assert static_shape("x", (None, None, 3), options, "", examples=True) == ((1, 8, 3), True)
    assert static_shape("x", (None, None, 3), options, "") == ((1, 8, 3), False)
    with pytest.raises(FanlightError) as caught:
        static_shape("x", (None, None, 3), Options(), "", examples=True)
    assert "(1, 32, 3)" in str(caught.value.next)
