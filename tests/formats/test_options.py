"""Options of readers: what is no signature, tag or name is refused, and so is what has no use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.source import make_options
from tests.formats import crafted


@pytest.mark.parametrize(
    "options",
    [{"signature": ""}, {"signature": 3}, {"tags": 3}, {"inputs": [""]}, {"outputs": {"a": 1}}],
)
def test_what_is_no_name_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(FanlightError, match=r"named|by name") as caught:
        make_options(None, None, "stored", **options)
    assert caught.value.code == "E-FORMAT-018"


def test_one_name_is_a_list_of_one_and_repeats_count_once() -> None:
    options = make_options(None, None, "stored", "serve", "gpu", ["a", "b", "a"], ("c",))
    assert (options.signature, options.tags) == ("serve", ("gpu",))
    assert (options.inputs, options.outputs) == (("a", "b"), ("c",))


@pytest.mark.parametrize("options", [{"signature": "serving_default"}, {"tags": "serve"}])
def test_an_option_that_the_format_does_not_know_is_refused(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = crafted.write_tfjs(tmp_path, *crafted.small_graph())
    load_graph(path)
    with pytest.raises(FanlightError, match="means nothing") as caught:
        load_graph(path, **options)
    assert caught.value.code == "E-FORMAT-018"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"signature": "serving_default"}, "E-FORMAT-018"),
        ({"tags": "serve"}, "E-FORMAT-018"),
        ({"inputs": ["a"]}, "E-FORMAT-018"),
        ({"outputs": ["a"]}, "E-FORMAT-018"),
        ({"size": 32}, "E-FORMAT-018"),
        ({"input_shapes": {"a": (1, 2)}}, "E-FORMAT-018"),
        ({"weights": "random"}, "E-FORMAT-024"),
        ({"weights": "some"}, "E-FORMAT-024"),
    ],
)
def test_safetensors_take_no_options(tmp_path: Path, options: dict[str, Any], code: str) -> None:
    path = tmp_path / "net.safetensors"
    fl.Sequential([fl.Input((2,)), fl.layers.Dense(3)]).save(path)
    assert fl.load(path).layers
    with pytest.raises(FanlightError) as caught:
        fl.load(path, **options)
    assert caught.value.code == code and next(iter(options)) in str(caught.value)


def test_two_inputs_are_given_by_name_or_in_their_order(tmp_path: Path) -> None:
    a, b = fl.Input((2,), name="a"), fl.Input((2,), name="b")
    fl.convert(fl.Model([a, b], fl.layers.Subtract()([a, b])), tmp_path / "net.onnx")
    model, x = fl.load(tmp_path / "net.onnx"), np.ones((1, 2), np.float32)
    names = [name for name, _ in model.inputs]
    (by_name,) = model(dict(zip(names, [3 * x, x], strict=True))).values()
    for given in (([3 * x, x],), ((3 * x, x),), (3 * x, x)):
        (result,) = model(*given).values()
        assert result.tolist() == by_name.tolist() == [[2, 2]]
    three = "3 in a list"
    for wrong, told in (((x,), "one array"), (([x],), "1 in a list"), ((x, x, x), three)):
        with pytest.raises(FanlightError, match=told) as caught:
            model(*wrong)
        assert caught.value.code == "E-INPUT-001"


def test_one_input_is_not_given_two(tmp_path: Path) -> None:
    fl.convert(fl.Sequential([fl.Input((2,)), fl.layers.Dense(3)]), tmp_path / "net.onnx")
    model, x = fl.load(tmp_path / "net.onnx"), np.ones((1, 2), np.float32)
    assert model(x).shape == (1, 3)
    with pytest.raises(FanlightError, match="2 in a list") as caught:
        model(x, x)
    assert caught.value.code == "E-INPUT-001"
