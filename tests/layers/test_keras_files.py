"""What files of Keras have in their own way: through both doors, or said in a message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.layers.keras_oracle import close, keras, numbers
from tests.layers.test_random_networks import ENDINGS, same, stirred

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, about .h5 and NumPy
L = keras.layers


@pytest.mark.parametrize("ending", ENDINGS)
def test_grouped_queries(ending: str, tmp_path: Path) -> None:
    x = keras.Input((7, 8))
    model = stirred(keras.Model(x, L.GroupQueryAttention(4, 4, 2)(x, x)))
    same(model, numbers(2, 7, 8), tmp_path, (ending,))


@pytest.mark.parametrize("ending", ENDINGS)
def test_keras_reads_grouped_queries_that_fanlight_wrote(ending: str, tmp_path: Path) -> None:
    x = keras.Input((7, 8))
    model = stirred(keras.Model(x, L.GroupQueryAttention(4, 4, 2)(x, x)))
    model.save(tmp_path / f"a.{ending}")
    fl.load_model(tmp_path / f"a.{ending}").save(tmp_path / f"b.{ending}")
    again = keras.models.load_model(tmp_path / f"b.{ending}", compile=False)
    data = numbers(2, 7, 8)
    np.testing.assert_allclose(again.predict(data, verbose=0), model.predict(data, verbose=0))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_softmax_with_a_mask(ending: str, tmp_path: Path) -> None:
    x = keras.Input((5,), name="x")
    mask = keras.Input((5,), dtype="bool", name="mask")
    model = keras.Model([x, mask], L.Softmax()(x, mask=mask))
    same(model, [numbers(2, 5), np.arange(10).reshape(2, 5) % 3 > 0], tmp_path, (ending,))


@pytest.mark.parametrize("ending", ENDINGS)
def test_wide_numbers_become_32_bits(ending: str, tmp_path: Path) -> None:
    x = keras.Input((4,), dtype="float64")
    model = stirred(keras.Model(x, L.Dense(3, dtype="float64")(x)))
    same(model, numbers(2, 4), tmp_path, (ending,))


@pytest.mark.parametrize("layer", ["GlobalMaxPooling1D", "GRU"])
def test_the_length_of_rows_is_asked_for(layer: str, tmp_path: Path) -> None:
    x = keras.Input((None, 3), name="rows")
    model = stirred(keras.Model(x, L.GRU(4)(x) if layer == "GRU" else L.GlobalMaxPooling1D()(x)))
    model.save(tmp_path / "m.keras")
    with pytest.raises(fl.FanlightError, match="E-FORMAT-017") as caught:
        fl.load(tmp_path / "m.keras")
    assert "leaves the length of its input 'rows' open" in str(caught.value)
    assert "input_shapes={'rows': (1, 32, 3)}" in str(caught.value)
    fed = numbers(2, 9, 3)
    found = fl.load(tmp_path / "m.keras", input_shapes={"rows": (1, 9, 3)})(fed)
    close(found, model(fed), "rows of 9")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "function",
    [
        lambda a: a - keras.ops.mean(a, axis=0, keepdims=True),
        lambda a: a + a[0],
        lambda a: keras.ops.flip(a, 0),
        lambda a: L.Concatenate(axis=0)([a, a]),
    ],
)
def test_a_graph_of_examples_that_meet_keeps_its_batch(
    ending: str, function: Callable[[Any], Any], tmp_path: Path
) -> None:
    a = keras.Input((5, 8), name="a")
    model = keras.Model(a, function(a))
    path = tmp_path / f"model.{ending}"
    model.save(path)
    data = numbers(2, 5, 8)
    source = fl.load(path)
    assert source.source.mixes and not source.source.inputs[0].batched
    with pytest.raises(fl.FanlightError, match="E-INPUT-002"):
        source(data)
    fixed = fl.load(path, input_shapes={"a": (2, 5, 8)})
    np.testing.assert_allclose(fixed(data), model.predict(data, verbose=0), atol=1e-6)


def test_examples_that_stay_apart_keep_their_batch_free(tmp_path: Path) -> None:
    a = keras.Input((5, 8), name="a")
    model = keras.Model(a, a + L.Dense(8)(a) * 2.0 - keras.ops.mean(a, axis=1, keepdims=True))
    model.save(tmp_path / "model.keras")
    data = numbers(3, 5, 8)
    loaded = fl.load(tmp_path / "model.keras")
    assert loaded.source.mixes == ()
    np.testing.assert_allclose(loaded(data), model.predict(data, verbose=0), atol=1e-5)
