"""Files of models that Keras has quantised: the numbers that they stand for."""

from __future__ import annotations

import io
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanlight as fl
from fanlight.layers.packed import by_position, dequantized, quantized_policy
from fanlight.layers.places import Stored
from tests.layers.keras_oracle import close, keras, numbers
from tests.layers.test_random_networks import stirred

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, and that weights were quantised
L = keras.layers
GROUPED, WHOLE = "int4 in groups of 4", "int4"


def dense() -> tuple[Any, np.ndarray]:
    x = keras.Input((21,))
    y = L.Dense(9, activation="relu", name="d")(x)
    return keras.Model(x, L.Dense(1, use_bias=False)(y)), numbers(4, 21)


def einsum() -> tuple[Any, np.ndarray]:
    x = keras.Input((5, 6))
    y = L.EinsumDense("abc,dec->aebd", (3, 5, 3), bias_axes="d")(x)
    return keras.Model(x, L.EinsumDense("aebd,dbx->aex", (3, 7))(y)), numbers(4, 5, 6)


def tables() -> tuple[Any, np.ndarray]:
    x = keras.Input((5,), dtype="int32")
    both = L.ReversibleEmbedding(11, 7, tie_weights=False)
    y = L.Add()([both(x), L.Embedding(11, 7)(x)])
    return keras.Model(x, both(y, reverse=True)), np.arange(20).reshape(4, 5) % 11


def heads() -> tuple[Any, np.ndarray]:
    x = keras.Input((5, 6))
    return keras.Model(x, L.MultiHeadAttention(2, 4)(x, x)), numbers(4, 5, 6)


def quantize(model: Any, mode: str) -> None:
    if mode in (WHOLE, GROUPED):
        size = 4 if mode == GROUPED else -1
        model.quantize(config=keras.quantizers.Int4QuantizationConfig(block_size=size))
    else:
        model.quantize(mode)


@pytest.mark.parametrize(
    ("make", "mode"),
    [(dense, "int8"), (dense, WHOLE), (dense, GROUPED), (einsum, "int8"), (einsum, WHOLE),
     (einsum, GROUPED), (tables, "int8"), (tables, GROUPED), (heads, "int8"), (heads, GROUPED)],
)  # fmt: skip
def test_quantized_models_answer_as_in_keras(make: Any, mode: str, tmp_path: Path) -> None:
    """int4 within rounding; int8 up to the rounding of what goes into layers, which Keras adds."""
    model, fed = make()
    stirred(model)
    quantize(model, mode)
    wanted = np.asarray(model(fed))
    for ending in ("keras", "h5"):
        model.save(tmp_path / f"m.{ending}")
        found = fl.load_model(tmp_path / f"m.{ending}")
        largest = np.abs(wanted).max()
        near = 0.02 * largest if mode == "int8" else 1e-5 * max(largest, 1)
        np.testing.assert_allclose(found.predict(fed), wanted, rtol=0, atol=near)
        loaded = fl.load(tmp_path / f"m.{ending}")
        close(loaded(fed), found.predict(fed), ending)
        kind = "int4 in groups" if mode == GROUPED else mode
        assert any("were quantised" in w and kind in w for w in loaded.source.warnings)


@pytest.mark.parametrize("mode", ["int8", GROUPED])
def test_layers_of_one_name_in_several_models(mode: str, tmp_path: Path) -> None:
    """Groups of .h5 files name what is in them as if there were nothing else; so two kernels of
    one shape, too, have their own scales, by the axis of their own layer.
    """
    x = keras.Input((5, 6))
    parts = {
        "left": L.Dense(7, name="dense"),
        "right": L.Dense(3, name="dense"),
        "third": L.EinsumDense("abc,cd->abd", (5, 7), bias_axes="d", name="dense"),
    }
    made = [keras.Sequential([keras.Input((5, 6)), p], name=n)(x) for n, p in parts.items()]
    y = L.Concatenate()(made)
    model = keras.Model(x, L.Dense(2, name="dense")(y))  # and a last one outside
    stirred(model)
    quantize(model, mode)
    fed = numbers(4, 5, 6)
    model.save(tmp_path / "m.h5")
    model.save(tmp_path / "m.keras")
    found, wanted = (fl.load_model(tmp_path / f"m.{e}") for e in ("h5", "keras"))
    near = 0.03 if mode == "int8" else 1e-5
    answer = np.asarray(model(fed))
    np.testing.assert_allclose(found.predict(fed) / np.abs(answer).max(),
                               answer / np.abs(answer).max(), rtol=0, atol=near)  # fmt: skip
    for ours, other in zip(found.weights, wanted.weights, strict=True):
        assert np.array_equal(ours.numpy(), other.numpy()), ours.name
        ours.assign(np.zeros(ours.shape, np.float32))
    found.load_weights(tmp_path / "m.h5", by_name=True)
    for ours, other in zip(found.weights, wanted.weights, strict=True):
        assert np.array_equal(ours.numpy(), other.numpy()), ours.name


def test_weights_are_whole_numbers_times_scales(tmp_path: Path) -> None:
    model, _ = dense()
    stirred(model)
    model.quantize("int8")
    model.save_weights(tmp_path / "m.weights.h5")
    model.save(tmp_path / "m.keras")
    layer = model.get_layer("d")
    wanted = np.asarray(layer._kernel) / np.asarray(layer.kernel_scale)
    with pytest.warns(UserWarning, match="m.keras: 2 weights were quantised") as told:
        found = fl.load_model(tmp_path / "m.keras")
    assert "rounds what goes into such layers" in str(told[0].message)
    assert np.array_equal(found.get_layer("d").kernel.numpy(), wanted)
    assert found.get_layer("d").dtype_policy.name == "float32"
    found.get_layer("d").kernel.assign(np.zeros((21, 9), np.float32))
    found.load_weights(tmp_path / "m.weights.h5")
    assert np.array_equal(found.get_layer("d").kernel.numpy(), wanted)


def test_a_quantized_model_trains_and_is_written(tmp_path: Path) -> None:
    model, fed = dense()
    stirred(model)
    model.quantize("int8")
    model.save(tmp_path / "m.keras")
    found = fl.load_model(tmp_path / "m.keras")
    found.compile("sgd", "mse")
    found.fit(fed, numbers(4, 1), epochs=1, verbose=0)
    found.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras", compile=False)
    close(again(fed), found.predict(fed), "what was written")
    told = fl.convert(tmp_path / "m.keras", tmp_path / "page", to="tfjs-graph")
    assert any("were quantised (int8)" in note for note in told.notes)


@pytest.mark.parametrize("options", [{}, {"weights": "random"}], ids=["stored", "random"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_conversion_notes_that_weights_were_quantized_and_warns_not(
    ending: str, options: dict[str, Any], tmp_path: Path
) -> None:
    model, _ = dense()
    model.quantize("int8")
    model.save(tmp_path / f"m.{ending}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for made in ("m.onnx", "again.keras"):
            told = fl.convert(tmp_path / f"m.{ending}", tmp_path / made, **options)
            assert sum("were quantised (int8)" in n for n in told.notes) == (not options)
    with pytest.warns(UserWarning, match="were quantised"):
        fl.load_model(tmp_path / f"m.{ending}")


def test_low_rank_adapters_over_quantized_weights(tmp_path: Path) -> None:
    model, fed = dense()
    stirred(model)
    model.get_layer("d").enable_lora(2)
    model.get_layer("d").lora_kernel_b.assign(numbers(2, 9))
    quantize(model, GROUPED)
    model.save(tmp_path / "m.h5")
    close(fl.load_model(tmp_path / "m.h5").predict(fed), model(fed), "in two factors")
    model.save(tmp_path / "m.keras")  # quantised anew with what they add
    again = keras.models.load_model(tmp_path / "m.keras")
    close(fl.load_model(tmp_path / "m.keras").predict(fed), again(fed), "in one")


def test_float8_is_the_weights_before(tmp_path: Path) -> None:
    model, fed = dense()
    stirred(model)
    wanted = np.asarray(model(fed))
    model.quantize("float8")
    for ending in ("keras", "h5"):
        model.save(tmp_path / f"m.{ending}")
        close(fl.load_model(tmp_path / f"m.{ending}").predict(fed), wanted, ending)


def packed(whole: np.ndarray, axis: int) -> np.ndarray:
    """Two numbers to a byte, by Keras."""
    made, _, _ = keras.quantizers.pack_int4(whole.astype(np.int8), axis=axis)
    return np.asarray(made, np.float32)


@pytest.mark.parametrize(
    ("shape", "axis", "equation", "scale"),
    [
        ((5, 7), 0, None, (7,)),
        ((7, 1), 0, None, (1,)),
        ((3, 3, 7), 2, ("dec", "aebd"), (1, 3, 1, 3)),
        ((3, 5, 7), 0, ("dbx", "aex"), (1, 1, 7)),
        ((4, 4), 1, ("cb", "ac"), (1, 4)),
    ],
)
def test_int4_as_keras_3_12_packed_it(shape: Any, axis: int, equation: Any, scale: Any) -> None:
    """Along the dim that is summed over; scales have the dims of the result."""
    whole = np.random.default_rng(0).integers(-8, 8, shape)
    scales = 1 + np.arange(np.prod(scale), dtype=np.float32).reshape(scale)
    made = dequantized(
        packed(whole, axis), scales, None, None, shape=shape, table=False, equation=equation
    )
    if equation == ("dec", "aebd"):
        scales = scales.reshape(3, 3).T[..., None]
    elif equation == ("cb", "ac"):
        scales = scales.reshape(4, 1)
    assert made is not None and np.array_equal(made, whole.astype(np.float32) / scales)


def test_bytes_of_one_small_number() -> None:
    """A table of one column in int4 has as many bytes as in int8, where one is always 127."""
    small = dequantized(
        np.float32([[15], [7], [0]]), np.float32([1, 1, 1]), None, None,
        shape=(3, 1), table=True, equation=None,
    )  # fmt: skip
    assert small is not None and small.ravel().tolist() == [-1, 7, 0]
    large = dequantized(
        np.float32([[15], [127], [0]]), np.float32([1]), None, None,
        shape=(3, 1), table=False, equation=None,
    )  # fmt: skip
    assert large is not None and large.ravel().tolist() == [15, 127, 0]


@pytest.mark.parametrize(
    ("told", "before"),
    [
        ("int8_from_mixed_bfloat16", "mixed_bfloat16"),
        ("int4/32_from_float32", "float32"),
        ({"class_name": "QuantizedDTypePolicy",
          "config": {"mode": "int8", "source_name": "float32"}}, "float32"),
        ({"class_name": "QuantizedFloat8DTypePolicy",
          "config": {"mode": "float8", "source_name": "float16"}}, "float16"),
        ({"class_name": "DTypePolicyMap", "config": {"default_policy": "int8_from_float16",
                                                     "policy_map": {}}}, "float16"),
        ("float32", None),
        ("gptq/4/128_from_float32", None),
        ({"config": {"name": 3}}, None),
        ({"config": 7}, None),
        (None, None),
    ],
)  # fmt: skip
def test_the_policy_before(told: Any, before: str | None) -> None:
    assert quantized_policy(told) == before


def test_other_ways_are_refused() -> None:
    told = {"class_name": "GPTQDTypePolicy", "config": {"mode": "gptq/4/128", "source_name": "a"}}
    layer = {"class_name": "Dense", "config": {"units": 3, "name": "d", "dtype": told}}
    model = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    from fanlight.layers.reading import Reader

    with pytest.raises(fl.FanlightError, match="save the model before it was quantized"):
        Reader("m.keras").whole(model)


# --- what is damaged ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, _ = dense()
    stirred(model)
    quantize(model, GROUPED)
    path: Path = tmp_path_factory.mktemp("quantized") / "m.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def changed(saved: Path, path: Path, name: str, array: np.ndarray | None) -> Path:
    """The file with another array in the place of one, or without it."""
    import h5py

    shutil.copy(saved, path)
    with zipfile.ZipFile(saved) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as root:
        del root[name]
        if array is not None:
            root[name] = array
    members["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


@pytest.mark.parametrize(
    ("index", "array"),
    [
        (0, np.zeros((21, 4), np.int8)),
        (0, np.zeros((2, 2), np.int8)),
        (2, np.zeros((6, 8), np.float32)),
        (2, np.zeros((5, 9), np.float32)),
        (2, np.full((6, 9), 3e38, np.float32)),
        (2, None),
        (3, np.zeros((9,), np.int8)),
        (4, np.full((21,), 99, np.float32)),
        (4, np.full((21,), -1, np.float32)),
        (4, np.zeros((3,), np.float32)),
        (4, None),
    ],
)
def test_parts_that_do_not_fit(saved: Path, tmp_path: Path, index: int, array: Any) -> None:
    path = changed(saved, tmp_path / "bad.keras", f"layers/dense/vars/{index}", array)
    with pytest.raises(fl.FanlightError, match="E-LAYER-006"):
        fl.load_model(path)


shapes = st.lists(st.integers(0, 4), min_size=0, max_size=3).map(tuple)
equations = st.none() | st.sampled_from([("bc", "abd"), ("bcd", "acd"), ("cb", "ac"), ("b", "a")])


@settings(max_examples=200, deadline=None)
@given(shapes, shapes, st.none() | shapes, st.none() | shapes, shapes, st.booleans(), equations)
def test_any_sizes_fit_or_are_refused(
    whole: Any, scale: Any, zero: Any, groups: Any, shape: Any, table: bool, equation: Any
) -> None:
    if equation is not None and len(equation[0]) != len(shape):
        return
    parts = [None if s is None else np.ones(s, np.float32) for s in (whole, scale, zero, groups)]
    made = dequantized(*parts, shape=shape, table=table, equation=equation)  # type: ignore[arg-type]
    assert made is None or (made.shape == shape and made.dtype == np.float32)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(shapes, st.sampled_from(["int8", "float32", "uint8"])), max_size=6))
def test_any_arrays_are_given_to_a_layer_or_refused(parts: list[Any]) -> None:
    layer = fl.layers.Dense(3)
    layer(np.zeros((1, 4), np.float32))
    stored = {
        f"vars/{i}": Stored(f"vars/{i}", s, lambda s=s: np.ones(s, np.float32), dtype)
        for i, (s, dtype) in enumerate(parts)
    }
    try:
        made, _ = by_position(layer, stored)
    except fl.FanlightError as error:
        assert error.code == "E-LAYER-006"
    else:
        assert all(one.load().shape == one.shape for one in made.values())
