"""Preprocessing layers: against Keras where its own runs without TensorFlow, else as documented."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers.hashes import siphash
from tests.conformance import compared

RNG = np.random.default_rng(0)
L = fl.layers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras, on NumPy 2


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ["KERAS_BACKEND"] = "jax"
    return pytest.importorskip("keras")


def refused(code: str, call: Any) -> FanlightError:
    with pytest.raises(FanlightError) as caught:
        call()
    assert caught.value.code == code, caught.value
    return caught.value


def again(layer: Any) -> Any:
    """The layer that its configuration makes."""
    made = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    assert made.get_config() == layer.get_config()
    return made


# --- Normalization --------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [-1, None, 1, (1, 2), 2])
def test_normalization_is_that_of_keras(keras: Any, axis: Any) -> None:
    import jax

    x = RNG.normal(3, 5, (8, 3, 4)).astype(np.float32)
    for invert in (False, True):
        ours, theirs = (m.layers.Normalization(axis=axis, invert=invert) for m in (fl, keras))
        ours.adapt(x)
        theirs.adapt(x)
        want = np.asarray(theirs(x))
        np.testing.assert_allclose(ours(x).numpy(), want, atol=1e-5, rtol=1e-5)
        assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
        assert [w.name for w in ours.weights] == ["mean", "variance", "count"]
        slope = fl.grad(lambda t, ours=ours: fl.sum(fl.square(ours(t))))(fl.tensor(x)).numpy()
        wanted = jax.grad(lambda t, theirs=theirs: (theirs(t) ** 2).sum())(jax.numpy.asarray(x))
        np.testing.assert_allclose(slope, np.asarray(wanted), atol=1e-5, rtol=1e-5)
        taken = type(ours).from_config(theirs.get_config())
        taken(x)
        taken.set_weights([np.asarray(w) for w in theirs.get_weights()])
        np.testing.assert_allclose(taken(x).numpy(), want, atol=1e-5, rtol=1e-5)
        back = keras.layers.Normalization.from_config(ours.get_config())
        assert back.axis == theirs.axis and back.invert == theirs.invert
        compared("layers", "Normalization", "outputs", "gradients", "configs")


def test_normalization_of_batches_and_datasets_is_that_of_all() -> None:
    x = RNG.normal(100, 2, (50, 3)).astype(np.float32)
    whole = L.Normalization()
    whole.adapt(x)
    np.testing.assert_allclose(whole.adapted_mean.numpy(), x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(whole.adapted_variance.numpy(), x.var(0), rtol=1e-4)
    for data in (
        fl.data.from_arrays(x, np.zeros(50)).batch(7),
        [x[:20], x[20:21], x[21:]],
        fl.tensor(x),
    ):
        parts = L.Normalization()
        parts.adapt(data)
        for a, b in zip(parts.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)
    back = L.Normalization(invert=True)
    back.adapt(x)
    np.testing.assert_allclose(back(whole(x)).numpy(), x, rtol=1e-5)
    assert abs(whole(x).numpy().mean(0)).max() < 1e-3


def test_normalization_with_numbers_that_are_given(keras: Any) -> None:
    x = RNG.normal(size=(5, 2, 3)).astype(np.float32)
    for axis, mean, variance in ((-1, 1.5, 4.0), (-1, [1, 2, 3], [4, 0, 1]), ((1, 2), [[1], [2]],
                                 [[3], [4]]), (None, 2.0, 9.0)):  # fmt: skip
        options = {"axis": axis, "mean": mean, "variance": variance}
        ours, theirs = (m.layers.Normalization(**options) for m in (fl, keras))
        want = np.asarray(theirs(x))
        np.testing.assert_allclose(ours(x).numpy(), want, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(again(ours)(x).numpy(), want, rtol=1e-5, atol=1e-5)
        assert ours.weights == []
    refused("E-LAYER-004", lambda: L.Normalization(mean=1.0))
    refused("E-LAYER-004", lambda: L.Normalization(mean=[1.0], variance=[1.0, 2.0]))
    refused("E-LAYER-004", lambda: L.Normalization(mean=1.0, variance=1.0).adapt(x))
    refused("E-LAYER-001", lambda: L.Normalization(axis=3)(x))
    refused("E-LAYER-001", lambda: L.Normalization().adapt(iter(())))
    refused("E-LAYER-001", lambda: L.Normalization(axis=1)(fl.Input((None, 3))))
    fitted = L.Normalization()
    fitted.adapt(x)
    refused("E-LAYER-001", lambda: fitted.adapt(x[..., :2]))


# --- Discretization, CategoryEncoding -------------------------------------------------------------


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_discretization_is_that_of_keras(keras: Any, mode: str) -> None:
    x = np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, np.inf]], np.float32)
    bounds = [0.0, 1.0, 2.5, 3.0]
    ours, theirs = (m.layers.Discretization(bounds, output_mode=mode) for m in (fl, keras))
    want = np.asarray(theirs(x))
    for layer in (ours, again(ours), type(ours).from_config(theirs.get_config())):
        found = layer(x).numpy()
        np.testing.assert_array_equal(found, want)
        assert found.dtype == (np.int32 if mode == "int" else np.float32)
    assert ours.compute_output_shape((None, 4)) == (None, *want.shape[1:])
    back = keras.layers.Discretization.from_config(ours.get_config())
    np.testing.assert_array_equal(np.asarray(back(x)), want)
    compared("layers", "Discretization", "outputs", "configs")


@pytest.mark.parametrize("count", [3, 40, 100])
def test_boundaries_are_those_of_keras(keras: Any, count: int) -> None:
    x = RNG.normal(size=(count, 1)).astype(np.float32)
    ours, theirs = (m.layers.Discretization(num_bins=4) for m in (fl, keras))
    ours.adapt(x)
    theirs.update_state(x)  # its adapt asks TensorFlow what x is
    theirs.finalize_state()
    np.testing.assert_allclose(ours.bin_boundaries, theirs.bin_boundaries, atol=1e-5)
    taken = type(ours).from_config(theirs.get_config())
    np.testing.assert_array_equal(taken(x).numpy(), np.asarray(theirs(x)))
    assert again(ours).bin_boundaries == ours.bin_boundaries


def test_bins_of_much_data_have_as_many_numbers_each() -> None:
    x = RNG.normal(size=20_000).astype(np.float32) ** 3
    layer = L.Discretization(num_bins=10)
    layer.adapt(fl.data.from_arrays(x).batch(999))
    counts = np.bincount(layer(x).numpy(), minlength=10)
    assert abs(counts - 2000).max() <= 2
    assert L.Discretization([])(x[:3]).numpy().tolist() == [0, 0, 0]
    refused("E-LAYER-004", lambda: L.Discretization())
    refused("E-LAYER-004", lambda: L.Discretization([1.0], num_bins=3))
    refused("E-LAYER-004", lambda: L.Discretization([2.0, 1.0]))
    refused("E-LAYER-004", lambda: L.Discretization([1.0], output_mode="bits"))
    refused("E-LAYER-004", lambda: L.Discretization([1.0], output_mode="count", sparse=True))
    refused("E-LAYER-004", lambda: L.Discretization([1.0]).adapt(x))
    refused("E-LAYER-001", lambda: L.Discretization(num_bins=3)(x))
    refused("E-LAYER-001", lambda: L.Discretization(num_bins=3).adapt(np.zeros((0, 1))))


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
def test_category_encoding_is_that_of_keras(keras: Any, mode: str) -> None:
    ours, theirs = (m.layers.CategoryEncoding(5, output_mode=mode) for m in (fl, keras))
    for x in ([[0, 1, 1], [4, 2, 4]], [[3], [0]], [2, 2, 0]):
        x = np.array(x, np.int32)
        want = np.asarray(theirs(x))
        np.testing.assert_array_equal(ours(x).numpy(), want)
        np.testing.assert_array_equal(again(ours)(x).numpy(), want)
    assert ours.compute_output_shape((None, 3)) == theirs.compute_output_shape((None, 3))
    back = keras.layers.CategoryEncoding.from_config(ours.get_config())
    assert (back.num_tokens, back.output_mode) == (5, mode)
    compared("layers", "CategoryEncoding", "outputs", "configs")
    if mode == "count":
        weights = np.array([[0.5, 2, 3]], np.float32)
        x = np.array([[1, 3, 1]], np.int32)
        want = np.asarray(theirs(x, count_weights=weights))
        np.testing.assert_allclose(ours(x, count_weights=weights).numpy(), want)
    else:
        refused("E-LAYER-001", lambda: ours(np.array([[1]]), count_weights=np.array([[1.0]])))
    refused("E-LAYER-004", lambda: L.CategoryEncoding())
    assert L.CategoryEncoding(3)(np.array([[5, 1]])).numpy().tolist() == [[0, 1, 0]]


# --- Hashing --------------------------------------------------------------------------------------


def test_siphash_by_the_vectors_of_its_authors() -> None:
    key = bytes(range(16))
    first, second = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    # Aumasson & Bernstein 2012, appendix A, and vectors.h of their code.
    assert siphash(bytes(range(15)), first, second) == 0xA129CA6149BE45E5
    assert siphash(b"", first, second) == 0x726FDB47DD0E0E31
    assert siphash(bytes(range(8)), first, second) == 0x93F5F5799A932462


def test_hashing_as_keras_documents_it() -> None:
    letters = np.array([["A"], ["B"], ["C"], ["D"], ["E"]])
    for options, want in (
        ({}, [1, 0, 1, 1, 2]),
        ({"salt": [133, 137]}, [1, 2, 1, 0, 2]),
        ({"salt": 133}, [0, 0, 2, 1, 0]),
    ):
        layer = L.Hashing(3, **options)
        assert layer(letters).numpy()[:, 0].tolist() == want
        assert again(layer)(letters).numpy()[:, 0].tolist() == want
    masked = L.Hashing(3, mask_value="")
    assert masked(np.array([["A"], ["B"], [""], ["C"], ["D"]])).numpy()[:, 0].tolist() == [
        1, 1, 0, 2, 2
    ]  # fmt: skip
    # Numbers are hashed as their digits.
    found = L.Hashing(7)(np.array([[12, 3]])).numpy()
    assert found.tolist() == L.Hashing(7)(np.array([["12", "3"]])).numpy().tolist()
    counts = L.Hashing(3, output_mode="count")(letters.T).numpy()
    assert counts.tolist() == [[1, 3, 1]]
    hot = L.Hashing(3, output_mode="one_hot")(letters)
    assert hot.shape == (5, 3) and L.Hashing(3, output_mode="one_hot").compute_output_shape(
        (None, 1)
    ) == (None, 3)
    assert L.Hashing(3, output_mode="multi_hot")(letters.T).numpy().tolist() == [[1, 1, 1]]
    for wrong in (
        {"num_bins": 0},
        {"num_bins": 3, "salt": "x"},
        {"num_bins": 3, "sparse": True},
        {"num_bins": 3, "dtype": "float32"},
        {"num_bins": 3, "output_mode": "tf_idf"},
    ):
        refused("E-LAYER-004", lambda wrong=wrong: L.Hashing(**wrong))
    compared("layers", "Hashing", "defined")


# --- lookups --------------------------------------------------------------------------------------


def test_string_lookup_as_keras_documents_it() -> None:
    data = np.array([["a", "c", "d"], ["d", "z", "b"]])
    layer = L.StringLookup(vocabulary=["a", "b", "c", "d"])
    assert layer(data).numpy().tolist() == [[1, 3, 4], [4, 0, 2]]
    layer = L.StringLookup()
    layer.adapt(data)
    assert layer.get_vocabulary() == ["[UNK]", "d", "z", "c", "b", "a"]
    assert again(layer)(data).numpy().tolist() == layer(data).numpy().tolist()
    layer = L.StringLookup(vocabulary=["a", "b", "c", "d"], num_oov_indices=2)
    found = layer(np.array([["a", "c", "d"], ["m", "z", "b"]])).numpy()
    assert found.tolist() == [[2, 4, 5], [0, 1, 3]]
    hot = L.StringLookup(vocabulary=["a", "b", "c", "d"], output_mode="one_hot")
    np.testing.assert_array_equal(hot(np.array(["a", "b", "c", "d", "z"])).numpy(),
                                  np.eye(5)[[1, 2, 3, 4, 0]])  # fmt: skip
    data = np.array([["a", "c", "d", "d"], ["d", "z", "b", "z"]])
    many = L.StringLookup(vocabulary=["a", "b", "c", "d"], output_mode="multi_hot")
    assert many(data).numpy().tolist() == [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]]
    count = L.StringLookup(vocabulary=["a", "b", "c", "d"], output_mode="count")
    assert count(data).numpy().tolist() == [[0, 1, 0, 1, 2], [2, 0, 1, 0, 1]]
    weights = [0.25, 0.75, 0.6, 0.4]
    idf = L.StringLookup(output_mode="tf_idf", vocabulary=["a", "b", "c", "d"], idf_weights=weights)
    want = [[0, 0.25, 0, 0.6, 0.8], [1.0, 0, 0.75, 0, 0.4]]
    np.testing.assert_allclose(idf(data).numpy(), want, rtol=1e-6)
    np.testing.assert_allclose(again(idf)(data).numpy(), want, rtol=1e-6)
    special = L.StringLookup(
        output_mode="tf_idf",
        vocabulary=["[UNK]", "a", "b", "c", "d"],
        idf_weights=[0.9, *weights],
    )
    np.testing.assert_allclose(special(data).numpy()[:, 1:], np.array(want)[:, 1:], rtol=1e-6)
    back = L.StringLookup(vocabulary=["a", "b", "c", "d"], invert=True)
    assert back(np.array([[1, 3, 4], [4, 0, 9]])).numpy().tolist() == [
        ["a", "c", "d"], ["d", "[UNK]", "[UNK]"]
    ]  # fmt: skip
    compared("layers", "StringLookup", "defined")


def test_weights_of_special_tokens_are_kept() -> None:
    """The weight for others is given with the vocabulary, if that has the special tokens."""
    layer = L.StringLookup(
        output_mode="tf_idf", vocabulary=["[UNK]", "a", "b"], idf_weights=[0.9, 0.25, 0.75]
    )
    found = layer(np.array([["x", "a"]])).numpy()
    np.testing.assert_allclose(found, [[0.9, 0.25, 0]], rtol=1e-6)
    np.testing.assert_allclose(again(layer)(np.array([["x", "a"]])).numpy(), found, rtol=1e-6)


def test_masks_and_others() -> None:
    words = ["a", "b"]
    layer = L.StringLookup(vocabulary=words, mask_token="")
    assert layer(np.array([["", "a", "x", "b"]])).numpy().tolist() == [[0, 2, 1, 3]]
    assert layer.get_vocabulary() == ["", "[UNK]", "a", "b"] and layer.vocabulary_size() == 4
    assert layer.get_vocabulary(False) == words
    count = L.StringLookup(vocabulary=words, mask_token="", output_mode="count")
    assert count(np.array([["", "a", "x", ""]])).numpy().tolist() == [[1, 1, 0]]
    padded = L.StringLookup(6, vocabulary=words, output_mode="multi_hot", pad_to_max_tokens=True)
    assert padded(np.array([["a", "x"]])).numpy().tolist() == [[1, 1, 0, 0, 0, 0]]
    strict = L.StringLookup(vocabulary=words, num_oov_indices=0)
    assert strict(np.array(["b", "a"])).numpy().tolist() == [1, 0]
    error = refused("E-LAYER-001", lambda: strict(np.array(["b", "x"])))
    assert "'x'" in str(error.received)
    back = L.StringLookup(vocabulary=words, mask_token="", invert=True)
    assert back(np.array([0, 1, 2, 3])).numpy().tolist() == ["", "[UNK]", "a", "b"]
    assert L.StringLookup(vocabulary=["", "[UNK]", "a"], mask_token="")(np.array(["a"])).item() == 2


def test_adapt_orders_by_number_and_then_backwards() -> None:
    data = np.array([["c", "a", "b"], ["c", "b", ""], ["c", "[UNK]", ""]])
    layer = L.StringLookup(mask_token="")
    layer.adapt(data)
    assert layer.get_vocabulary() == ["", "[UNK]", "c", "b", "a"]
    layer = L.StringLookup(max_tokens=3, mask_token="")
    layer.adapt(data)
    assert layer.get_vocabulary() == ["", "[UNK]", "c"]
    for given in (fl.data.from_arrays(data, [1, 2, 3]).batch(2), [data[:1], data[1:]],
                  data.tolist(), fl.tensor(data)):  # fmt: skip
        layer = L.StringLookup(mask_token="")
        layer.adapt(given)
        assert layer.get_vocabulary() == ["", "[UNK]", "c", "b", "a"]
    idf = L.StringLookup(output_mode="tf_idf")
    idf.adapt(np.array([["a", "b", "a"], ["a", "c", "c"]]))
    weights = dict(zip(idf.get_vocabulary()[1:], idf.idf_weights[1:], strict=True))
    # log(1 + documents / (1 + documents with the word))
    want = {"a": np.log(1 + 2 / 3), "b": np.log(2), "c": np.log(2)}
    assert weights == pytest.approx(want)
    found = idf(np.array([["a", "a", "x"]])).numpy()
    np.testing.assert_allclose(found[0, 0], np.mean(list(want.values())), rtol=1e-6)
    np.testing.assert_allclose(found[0, 1:].max(), 2 * want["a"], rtol=1e-6)
    refused("E-LAYER-004", lambda: L.StringLookup(vocabulary=["a"]).adapt(data))
    refused("E-LAYER-001", lambda: L.StringLookup().adapt([]))
    refused("E-LAYER-001", lambda: L.StringLookup()(data))


def test_vocabularies_of_files_and_wrong_ones(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("grün\nblau\n", "utf-8")
    layer = L.StringLookup(vocabulary=str(path))
    assert layer.get_vocabulary() == ["[UNK]", "grün", "blau"]
    config = {**layer.get_config(), "vocabulary": str(path)}
    error = refused("E-LAYER-004", lambda: L.StringLookup.from_config(config))
    assert "path" in str(error.expected)
    for make in (
        lambda: L.StringLookup(vocabulary=str(tmp_path / "no.txt")),
        lambda: L.StringLookup(vocabulary=[]),
        lambda: L.StringLookup(vocabulary=["a", "b", "a"]),
        lambda: L.StringLookup(vocabulary=["a", ""], mask_token=""),
        lambda: L.StringLookup(vocabulary=["a", "[UNK]"], invert=True),
        lambda: L.StringLookup(max_tokens=2, vocabulary=["a", "b"]),
        lambda: L.StringLookup(max_tokens=1),
        lambda: L.StringLookup(num_oov_indices=-1),
        lambda: L.StringLookup(pad_to_max_tokens=True),
        lambda: L.StringLookup(invert=True, output_mode="count"),
        lambda: L.StringLookup(vocabulary=["a"], output_mode="tf_idf"),
        lambda: L.StringLookup(vocabulary=["a"], idf_weights=[1.0]),
        lambda: L.StringLookup(vocabulary=["a"], output_mode="tf_idf", idf_weights=[1.0, 2.0]),
        lambda: L.StringLookup(output_mode="bits"),
        lambda: L.StringLookup(sparse=True, output_mode="count"),
        lambda: L.IntegerLookup(vocabulary=["a"]),
        lambda: L.IntegerLookup(oov_method="modulo"),
        lambda: L.IntegerLookup(salt=3),
        lambda: L.IntegerLookup(vocabulary_dtype="float32"),
    ):
        refused("E-LAYER-004", make)
    refused("E-LAYER-001", lambda: layer(np.array([1, 2])))


def test_integer_lookup_as_keras_documents_it() -> None:
    layer = L.IntegerLookup(vocabulary=[12, 36, 1138, 42])
    data = np.array([[12, 1138, 42], [42, 1000, 36]])
    assert layer(data).numpy().tolist() == [[1, 3, 4], [4, 0, 2]]
    learnt = L.IntegerLookup()
    learnt.adapt(data)
    assert learnt.get_vocabulary() == [-1, 42, 1138, 1000, 36, 12]
    assert learnt(data).numpy().tolist() == [[5, 2, 1], [1, 3, 4]]
    several = L.IntegerLookup(vocabulary=[12, 36, 1138, 42], num_oov_indices=2)
    assert several(np.array([[12, 1138, 42], [37, 1000, 36]])).numpy().tolist() == [
        [2, 4, 5], [1, 0, 3]
    ]  # fmt: skip
    data = np.array([[12, 1138, 42, 42], [42, 7, 36, 7]])
    many = L.IntegerLookup(vocabulary=[12, 36, 1138, 42], output_mode="multi_hot")
    assert many(data).numpy().tolist() == [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]]
    count = L.IntegerLookup(vocabulary=[12, 36, 1138, 42], output_mode="count")
    assert count(data).numpy().tolist() == [[0, 1, 0, 1, 2], [2, 0, 1, 0, 1]]
    idf = L.IntegerLookup(output_mode="tf_idf", vocabulary=[12, 36, 1138, 42],
                          idf_weights=[0.25, 0.75, 0.6, 0.4])  # fmt: skip
    np.testing.assert_allclose(
        idf(data).numpy(), [[0, 0.25, 0, 0.6, 0.8], [1.0, 0, 0.75, 0, 0.4]], rtol=1e-6
    )
    back = L.IntegerLookup(vocabulary=[12, 36, 1138, 42], invert=True)
    assert back(np.array([[1, 3, 4], [4, 0, 9]])).numpy().tolist() == [
        [12, 1138, 42], [42, -1, -1]
    ]  # fmt: skip
    masked = L.IntegerLookup(vocabulary=[5, 3], mask_token=0)
    assert masked(np.array([[0, 5, 9, 3]])).numpy().tolist() == [[0, 2, 1, 3]]
    dropped = L.IntegerLookup(vocabulary=[5, 3], mask_token=0, output_mode="count")
    assert dropped(np.array([[0, 5, 9, 0]])).numpy().tolist() == [[1, 1, 0]]
    strict = L.IntegerLookup(vocabulary=[5, 3], num_oov_indices=0)
    assert strict(np.array([3, 5])).numpy().tolist() == [1, 0]
    refused("E-LAYER-001", lambda: strict(np.array([3, 4])))
    hashed = L.IntegerLookup(vocabulary=[5], num_oov_indices=9, oov_method="farmhash")
    texts = L.StringLookup(vocabulary=["5"], num_oov_indices=9)
    values = np.arange(6, 30)
    assert hashed(values).numpy().tolist() == texts(values.astype(str)).numpy().tolist()
    for layer in (several, count, idf, back, masked, dropped, hashed):
        given = np.array([[0, 12, 3]])
        assert again(layer)(given).numpy().tolist() == layer(given).numpy().tolist()
    compared("layers", "IntegerLookup", "defined")


# --- texts ----------------------------------------------------------------------------------------


def test_text_vectorization_as_keras_documents_it() -> None:
    layer = L.TextVectorization(
        max_tokens=5000, output_sequence_length=4, vocabulary=["earth", "wind", "and", "fire"]
    )
    assert layer.get_vocabulary() == ["", "[UNK]", "earth", "wind", "and", "fire"]
    texts = np.array([["Earth, wind!"], ["and FIRE and  water\tnow"]])
    want = [[2, 3, 0, 0], [4, 5, 4, 1]]
    assert layer(texts).numpy().tolist() == want
    assert layer(texts[:, 0]).numpy().tolist() == want
    assert layer(texts[:, 0].tolist()).numpy().tolist() == want
    assert again(layer)(texts).numpy().tolist() == want
    assert layer(np.array("wind")).numpy().tolist() == [3, 0, 0, 0]
    free = L.TextVectorization(vocabulary=["a"])
    assert free(["a b a", "a", ""]).numpy().tolist() == [[2, 1, 2], [2, 0, 0], [0, 0, 0]]
    assert free(["", ""]).shape == (2, 0)
    compared("layers", "TextVectorization", "defined")


def test_texts_are_standardized_and_split() -> None:
    def words(text: str, **options: Any) -> list[str]:
        layer = L.TextVectorization(vocabulary=["a"], **options)
        return layer.words(np.array([text], object))[0]

    assert words("It's A-b, ÄÖ! (c)") == ["its", "ab", "ÄÖ", "c"]
    assert words("A, b", standardize="lower") == ["a,", "b"]
    assert words("A, b", standardize="strip_punctuation") == ["A", "b"]
    assert words(" A,  b\n", standardize=None) == ["A,", "b"]
    assert words("A b", split="character") == ["a", " ", "b"]
    assert words("A b", split=None) == ["a b"]
    assert words("a b c", ngrams=2) == ["a", "b", "c", "a b", "b c"]
    assert words("a b c", ngrams=(2, 3)) == ["a b", "b c", "a b c"]
    assert words("a", ngrams=(2,)) == []
    assert words("x-y", standardize=None, split=lambda t: [s.split("-") for s in t]) == ["x", "y"]
    assert words("x", standardize=lambda t: fl.string.upper(t)) == ["X"]


def test_texts_of_other_modes() -> None:
    texts = ["the cat", "the the dog", "bird"]
    layer = L.TextVectorization(output_mode="count")
    layer.adapt(texts)
    assert layer.get_vocabulary() == ["[UNK]", "the", "dog", "cat", "bird"]
    assert layer([*texts, "a the a", ""]).numpy().tolist() == [
        [0, 1, 0, 1, 0], [0, 2, 1, 0, 0], [0, 0, 0, 0, 1], [2, 1, 0, 0, 0], [0] * 5
    ]  # fmt: skip
    layer = L.TextVectorization(6, output_mode="multi_hot", pad_to_max_tokens=True)
    layer.adapt(fl.data.from_arrays(texts, [0, 1, 2]).batch(2))
    assert layer(["the the cat"]).numpy().tolist() == [[0, 1, 0, 1, 0, 0]]
    layer = L.TextVectorization(output_mode="tf_idf")
    layer.adapt(np.array(texts)[:, None])
    found = layer(texts).numpy()
    np.testing.assert_allclose(found[1, 1], 2 * np.log(1 + 3 / 3), rtol=1e-6)
    np.testing.assert_allclose(found[0, 3], np.log(1 + 3 / 2), rtol=1e-6)
    np.testing.assert_allclose(again(layer)(texts).numpy(), found, rtol=1e-6)
    for make in (
        lambda: L.TextVectorization(standardize="upper"),
        lambda: L.TextVectorization(split=3),
        lambda: L.TextVectorization(ngrams=0),
        lambda: L.TextVectorization(ragged=True),
        lambda: L.TextVectorization(output_mode="one_hot"),
        lambda: L.TextVectorization(output_mode="count", output_sequence_length=3),
        lambda: L.TextVectorization(output_sequence_length=0),
        lambda: L.TextVectorization(vocabulary=["a"]).adapt(texts),
        lambda: L.TextVectorization.from_config({"vocabulary": "/etc/passwd"}),
    ):
        refused("E-LAYER-004", make)
    refused("E-LAYER-001", lambda: L.TextVectorization()(texts))
    refused("E-LAYER-001", lambda: L.TextVectorization().adapt(np.zeros((2, 1))))
    refused("E-LAYER-001", lambda: L.TextVectorization(vocabulary=["a"])(np.array([["a", "b"]])))


def test_functions_of_texts_are_named_in_a_file() -> None:
    @fl.register("tests")
    def shout(texts: Any) -> Any:
        return fl.string.upper(texts)

    layer = L.TextVectorization(vocabulary=["A"], standardize=shout)
    assert layer.get_config()["standardize"] == "tests>shout"
    assert again(layer)(["a b"]).numpy().tolist() == [[2, 1]]


# --- in models ------------------------------------------------------------------------------------


def test_models_with_numbers_are_traced_and_built(tmp_path: Path) -> None:
    ages, codes = fl.Input((1,), name="ages"), fl.Input((1,), dtype="int32", name="codes")
    scaled = L.Normalization()
    data = RNG.normal(40, 10, (30, 1)).astype(np.float32)
    scaled.adapt(data)
    binned = L.Discretization(num_bins=3, output_mode="one_hot")
    binned.adapt(data)
    looked = L.IntegerLookup(vocabulary=[7, 300, -2], output_mode="one_hot")
    parts = [scaled(ages), binned(ages), looked(codes)]
    assert [p.shape for p in parts] == [(None, 1), (None, 3), (None, 4)]
    outputs = [L.Dense(1)(p) for p in parts]
    model = fl.Model([ages, codes], outputs)
    model.compile("adam", ["mse"] * 3)
    x = [data, RNG.choice([7, 300, -2, 5], (30, 1)).astype(np.int32)]
    y = [np.ones((30, 1), np.float32)] * 3
    model.fit(x, y, epochs=2, verbose=0)
    assert model._steps is not None and model._steps.compiled, model._steps.why
    want = model.predict([a[:1] for a in x])
    bundle = fl.build(model, tmp_path / "out")
    found = bundle.run({"ages": data[:1], "codes": x[1][:1]}).values()
    for a, b in zip(found, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_model_of_texts_learns() -> None:
    fl.set_random_seed(0)
    good, bad = ["good", "great", "lovely"], ["bad", "awful", "poor"]
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 60)
    texts = np.array([f"a {rng.choice(good if c else bad)} film, really" for c in y])[:, None]
    vectors = L.TextVectorization(output_mode="multi_hot")
    vectors.adapt(texts)
    given = fl.Input((1,), dtype="string")
    hidden = vectors(given)
    assert hidden.shape == (None, vectors.vocabulary_size()) and hidden.dtype == "float32"
    model = fl.Model(given, L.Dense(1, activation="sigmoid")(hidden))
    rate = fl.optimizers.get({"class_name": "Adam", "config": {"learning_rate": 0.1}})
    model.compile(rate, "binary_crossentropy", metrics=["accuracy"])
    data = fl.data.from_arrays(texts, y.astype(np.float32)[:, None]).shuffle(seed=0).batch(20)
    history = model.fit(data, epochs=8, verbose=0).history
    assert history["accuracy"][-1] == 1.0
    # The words are found on the host, the rest is WebAssembly.
    assert model._steps is not None and model._steps.compiled and model._steps._programs
    assert history["accuracy"][-1] == model.evaluate(data, return_dict=True)["accuracy"]
    found = model.predict(np.array([["what a LOVELY film"], ["awful"]]))[:, 0]
    assert found[0] > 0.5 > found[1]
    fl.set_random_seed(None)


def test_models_of_texts_and_numbers_are_cut_behind_the_texts() -> None:
    words = L.StringLookup(vocabulary=["a", "b", "c"])
    hashed = L.Hashing(4, output_mode="one_hot")
    strict = L.IntegerLookup(vocabulary=[1, 2], num_oov_indices=0, output_mode="one_hot")
    first, second = fl.Input((1,), dtype="string"), fl.Input((1,), dtype="string")
    number, code = fl.Input((2,)), fl.Input((1,), dtype="int32")
    encode = L.CategoryEncoding(4, output_mode="one_hot")
    dense = L.Dense(2)
    outputs = {
        "one": dense(encode(words(first))),
        "two": dense(encode(words(second))),  # the same layer, twice
        "three": L.Dense(1)(number),
        "four": hashed(first),
        "five": L.Dense(1)(strict(code)),
    }
    model = fl.Model([first, number, second, code], outputs)
    x = [
        np.array([["a"], ["c"], ["z"]]),
        RNG.normal(size=(3, 2)).astype(np.float32),
        np.array([["b"], ["a"], ["c"]]),
        np.array([[1], [2], [1]], np.int32),
    ]
    want = {k: v.numpy() for k, v in model(x).items()}
    found = model.predict(x)
    assert list(found) == list(outputs)
    for name, value in want.items():
        np.testing.assert_allclose(found[name], value, atol=1e-6)
    np.testing.assert_array_equal(found["four"], hashed(x[0]).numpy())
    assert model._steps is not None and model._steps.compiled and model._steps._programs
    model.compile("sgd", dict.fromkeys(outputs, "mse"))
    y = {n: np.ones_like(v) for n, v in want.items()}
    losses = model.fit(x, y, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and model._steps.compiled
    x[3][0] = 5
    refused("E-LAYER-001", lambda: model.predict(x))


def test_a_model_of_preprocessing_is_done_on_the_host_inside_of_another() -> None:
    text, number = fl.Input((1,), dtype="string"), fl.Input((1,))
    words = L.TextVectorization(vocabulary=["a", "b"], output_mode="count")
    scaled = L.Normalization()
    scaled.adapt(np.arange(9.0)[:, None])
    inner = fl.Model([text, number], {"words": words(text), "number": scaled(number)})
    assert inner.host and not fl.Model(number, L.Dense(1)(number)).host
    given = [fl.Input((1,), dtype="string"), fl.Input((1,))]
    made = inner(given)
    assert made["words"].shape == (None, 3) and made["number"].shape == (None, 1)
    model = fl.Model(given, L.Dense(1)(L.Concatenate()([made["words"], made["number"]])))
    model.compile("sgd", "mse")
    x = [np.array([["a a b"], ["c"]]), np.array([[4.0], [5.0]], np.float32)]
    losses = model.fit(x, np.ones((2, 1), np.float32), epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and model._steps is not None
    assert model._steps.compiled and model._steps._programs
    np.testing.assert_allclose(model.predict(x), model(x).numpy(), atol=1e-6)
    # One that learns inside is trained by NumPy, words and all.
    inner = fl.Model(text, L.Dense(2)(words(text)))
    assert not inner.host
    outer = fl.Sequential([fl.Input((1,), dtype="string"), inner, L.Dense(1)])
    outer.compile("sgd", "mse")
    before = inner.weights[0].numpy().copy()
    outer.fit(x[0], np.ones((2, 1), np.float32), epochs=2, verbose=0)
    assert not np.array_equal(before, inner.weights[0].numpy())


def test_a_recurrent_model_of_texts_is_trained_saved_and_loaded(tmp_path: Path) -> None:
    fl.set_random_seed(0)
    texts = np.array([["good film"], ["bad film this is"], ["so good"], ["bad"]])
    words = L.TextVectorization(output_sequence_length=4)
    words.adapt(texts)
    model = fl.Sequential(
        [
            fl.Input((1,), dtype="string"),
            words,
            L.Embedding(words.vocabulary_size(), 5, mask_zero=True),
            L.LSTM(4),
            L.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    y = np.array([[1.0], [0.0], [1.0], [0.0]], np.float32)
    losses = model.fit(texts, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model._steps is not None and model._steps.compiled and model._steps._programs
    want = model.predict(texts)
    np.testing.assert_allclose(want, model(texts).numpy(), atol=1e-5)
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        np.testing.assert_allclose(fl.load_model(tmp_path / name).predict(texts), want, atol=1e-6)
    fl.set_random_seed(None)
