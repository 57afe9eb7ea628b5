"""What is said to those who give something else than a model, or leave out what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.cli.convert import command
from fanlight.cli.wording import in_options

STATE = {"fc.weight": np.ones((2, 3), np.float32), "fc.bias": np.zeros(2, np.float32)}


class Own(fl.Model):
    pass


def told(function: Any, *given: Any) -> str:
    with pytest.raises(fl.FanlightError) as caught:
        function(*given)
    return str(caught.value)


def live(module: Any) -> Any:
    return fl.from_torch(module, (np.zeros((1, 3), np.float32),))


@pytest.mark.parametrize("function", ["load", "convert", "load_model", "from_torch"])
def test_a_class_and_a_state_dict(function: str, tmp_path: Path) -> None:
    calls = {
        "load": fl.load,
        "load_model": fl.load_model,
        "from_torch": live,
        "convert": lambda x: fl.convert(x, tmp_path / "x.onnx"),
    }
    said = told(calls[function], Own)
    assert "the class tests.convert.test_told.Own, not a model made of it" in said
    assert "model = Own(...)" in said
    said = told(calls[function], STATE)
    assert "a dict of 2 arrays, such as 'fc.weight' [2, 3]: weights, without the model" in said
    assert "model.load_torch_state(state)" in said and "fl.from_torch(module" in said
    assert "array([" not in said
    for other in (None, 3, {}, {"a": 1}):
        said = told(calls[function], other)
        assert "Received: " + repr(other) in said and "dict of" not in said


def test_a_class_and_an_object_of_pytorch(tmp_path: Path) -> None:
    linear = type("Linear", (), {"__module__": "torch.nn.modules.linear"})
    said = told(fl.load, linear)
    assert "model = Linear(...)" in said and "fl.from_torch(model, (example,))" in said
    said = told(lambda x: fl.convert(x, tmp_path / "a.onnx"), linear())
    assert "Received: Linear, an object of PyTorch" in said
    assert "fl.from_torch(model, (example,))" in said


def open_picture(path: Path) -> Path:
    x = fl.Input((None, None, 3), name="image")
    fl.Model(x, fl.layers.GlobalAveragePooling2D()(x)).save(path)
    return path


@pytest.mark.parametrize("saved", [True, False])
def test_a_size_that_is_open_is_said_in_the_words_of_convert(tmp_path: Path, saved: bool) -> None:
    path = open_picture(tmp_path / "m.keras")
    source = path if saved else fl.load_model(path)
    with pytest.raises(fl.FanlightError) as caught:
        fl.convert(source, tmp_path / "a.onnx")
    assert caught.value.code == "E-FORMAT-017"
    assert caught.value.next == "say it: fl.convert(source, destination, size=224)."
    assert in_options(caught.value, command).next == "say it: --size 224."
    with pytest.raises(fl.FanlightError, match="E-FORMAT-017") as caught:
        fl.load(path)
    assert caught.value.next == "say it: fl.load(path, size=224)."
    assert fl.convert(source, tmp_path / "a.onnx", size=8).ok


def test_the_source_is_never_overwritten(tmp_path: Path) -> None:
    path = open_picture(tmp_path / "m.keras")
    fl.convert(path, tmp_path / "web")
    (tmp_path / "web" / "model.json").rename(tmp_path / "web" / "other.json")
    before = {f.name: f.read_bytes() for f in (tmp_path / "web").iterdir()}
    said = told(lambda: fl.convert(tmp_path / "web" / "other.json", tmp_path / "web"))
    assert "a folder with other things in it" in said
    assert {f.name: f.read_bytes() for f in (tmp_path / "web").iterdir()} == before


def test_a_function_of_jax(tmp_path: Path) -> None:
    def double(x: Any) -> Any:
        return x * 2

    for said in (told(fl.convert, double, tmp_path / "a.onnx"), told(fl.load, double)):
        assert "fl.from_jax(function, example, params=params)" in said
    assert "what fl.from_jax gives" in told(fl.convert, 3, tmp_path / "a.onnx")


def test_names_alone_are_in_a_file_of_own_functions(tmp_path: Path) -> None:
    @fl.register("tests_told")
    def twice(x: Any) -> Any:
        return x * 2

    source = tmp_path / "m.keras"
    own = fl.layers.Lambda(twice)
    inner = fl.Sequential([fl.Input((3,)), own, fl.layers.Dense(2)])
    fl.Sequential([fl.Input((3,)), inner]).save(source)
    for name in ("a.keras", "a.h5"):
        (note,) = [n for n in fl.convert(source, tmp_path / name).notes if "names alone" in n]
        assert "tests_told>twice: Keras" in note and "register_keras_serializable()" in note
    plain = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)])
    assert not fl.convert(plain, tmp_path / "b.keras").notes
