"""Dense layers, shapes, embeddings, functions and einsums against Keras 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.convert.report import report_of
from fanlight.errors import FanlightError
from fanlight.formats.keras.config import LAMBDA_CODE
from fanlight.layers import scope
from tests.layers.keras_oracle import check_layer, keras, numbers


def pair(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    return getattr(fl.layers, name)(*args, **options), getattr(keras.layers, name)(*args, **options)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (3, 4)),
        ({"activation": "softmax", "use_bias": False}, (3, 4)),
        ({"activation": "gelu", "kernel_initializer": "he_normal"}, (2, 3, 4)),
        ({"kernel_regularizer": "l2", "bias_constraint": "max_norm"}, (3, 4)),
        ({"activity_regularizer": "l1"}, (3, 4)),
    ],
    ids=str,
)
def test_dense(options: dict[str, Any], shape: Any) -> None:
    check_layer(*pair("Dense", 5, **options), shape, steps=True)


def test_activation_flatten_identity() -> None:
    check_layer(*pair("Activation", "swish"), (3, 4))
    check_layer(*pair("Activation", "linear"), (3, 4))
    check_layer(*pair("Flatten"), (2, 3, 4))
    check_layer(*pair("Flatten"), (2,), shape=False)
    check_layer(*pair("Flatten", data_format="channels_first"), (2, 3, 4, 2))
    check_layer(*pair("Identity"), (2, 3))


def test_shapes() -> None:
    check_layer(*pair("Reshape", (4, 3)), (2, 3, 4))
    check_layer(*pair("Reshape", (2, -1)), (2, 3, 4))
    check_layer(*pair("Reshape", (-1,)), (2, 3, 4))
    check_layer(*pair("Permute", (3, 1, 2)), (2, 3, 4, 5))
    check_layer(*pair("RepeatVector", 3), (2, 4))


def test_embedding() -> None:
    x = np.array([[1, 0, 4], [2, 2, 0]], np.int32)
    check_layer(*pair("Embedding", 5, 3), values=[x], steps=True)
    options = {"embeddings_initializer": "normal", "embeddings_regularizer": "l2"}
    check_layer(*pair("Embedding", 5, 3, mask_zero=True, **options), values=[x])


def test_embedding_masks_and_table() -> None:
    table = numbers(5, 3)
    layer = fl.layers.Embedding(5, 3, mask_zero=True, weights=[table])
    y = layer(np.array([[1, 0, 4]], np.int32))
    np.testing.assert_array_equal(y.numpy()[0], table[[1, 0, 4]])
    np.testing.assert_array_equal(scope.mask_of(y).numpy(), [[True, False, True]])
    floats = layer(np.array([[1.0, 2.0]], np.float32))
    np.testing.assert_array_equal(floats.numpy()[0], table[[1, 2]])


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_masking(value: float) -> None:
    x = numbers(2, 4, 3)
    x[0, 2:], x[1, 0] = value, value
    x[1, 1, 0] = value
    y = check_layer(*pair("Masking", value), values=[x])
    expected = [[True, True, False, False], [False, True, True, True]]
    np.testing.assert_array_equal(scope.mask_of(y).numpy(), expected)


@pytest.mark.parametrize(
    ("args", "options", "shape"),
    [
        (("ab,bc->ac", 5), {"bias_axes": "c"}, (2, 3)),
        (("abc,cd->abd", (None, 5)), {"bias_axes": "d", "activation": "relu"}, (2, 3, 4)),
        (("...x,xy->...y", 5), {"bias_axes": "y"}, (2, 3, 4)),
        (("abc,cde->abde", (3, 2, 5)), {"bias_axes": "de"}, (2, 3, 4)),
        (("abcd,bde->acbe", (4, 3, 5)), {"bias_axes": "be"}, (2, 3, 4, 6)),
        (("ab...,bc->ac...", 5), {"bias_axes": "c"}, (2, 3, 4)),
        (("...abc,ab->...c", 4), {}, (2, 3, 5, 4)),
    ],
    ids=str,
)
def test_einsum_dense(args: Any, options: dict[str, Any], shape: Any) -> None:
    # Keras gives no sizes where output_shape has None, even if it could know them.
    known = None not in args[1] if isinstance(args[1], tuple) else True
    check_layer(*pair("EinsumDense", *args, **options), shape, shape=known, steps=True)


def double(x: Any, by: float = 2.0) -> Any:
    return x * by


def test_lambda() -> None:
    ours = fl.layers.Lambda(lambda x: x * 2.0)
    check_layer(ours, keras.layers.Lambda(lambda x: x * 2.0), (2, 3), config=False)
    with pytest.raises(FanlightError) as caught:
        ours.get_config()
    assert caught.value.code == "E-LAYER-004"
    assert "fl.register" in str(caught.value)


def test_lambda_by_name() -> None:
    fl.register("tests")(double)
    keras.saving.register_keras_serializable("tests")(double)
    ours, theirs = pair("Lambda", double, arguments={"by": 3.0})
    check_layer(ours, theirs, (2, 3))
    named = ours.get_config()["function"]
    assert named == theirs.get_config()["function"]
    again = fl.layers.Lambda.from_config(theirs.get_config())
    np.testing.assert_array_equal(again(np.ones((1, 2))).numpy(), [[3.0, 3.0]])


def test_lambda_of_an_unknown_function() -> None:
    config = {"name": "x", "function": {"class_name": "function", "config": "no_such_function"}}
    with pytest.raises(FanlightError) as caught:
        fl.layers.Lambda.from_config(config)
    assert caught.value.code == "E-LAYER-003"
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}}
    with pytest.raises(FanlightError) as caught:
        fl.layers.Lambda.from_config({"name": "x", "function": code})
    assert caught.value.code == "E-LAYER-003" and "4wEAAAA" not in str(caught.value)
    assert "Python bytecode" in str(caught.value) and '@fl.register(name="x")' in str(caught.value)


@pytest.mark.filterwarnings("ignore")  # of Keras, about NumPy and about .h5
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_lambdas_of_bytecode(tmp_path: Path, ending: str) -> None:
    x = keras.Input((2,))
    y = keras.layers.Lambda(lambda x: x * 2, name="code_1")(keras.layers.Dense(2)(x))
    net = keras.Model(x, keras.layers.Lambda(lambda x: x + 1, lambda s: s, name="code_2")(y))
    path = tmp_path / f"net.{ending}"
    net.save(path)
    for load in (fl.load, fl.load_model):
        with pytest.raises(FanlightError) as caught:
            load(path)
        told = str(caught.value)
        assert "Python bytecode x2 (code_1, code_2)" in told and "4wEA" not in told
        assert "custom_objects" in told and "fl.register" in told and "Rescaling" in told
    found = report_of(str(path)).found
    assert found is not None and found.unread == {LAMBDA_CODE}
    assert found.coverage == pytest.approx(0.5)
    data = np.ones((1, 2), np.float32)
    own = {"code_1": lambda x: x * 2, "code_2": lambda x: x + 1}
    made = fl.load_model(path, custom_objects=own)
    np.testing.assert_allclose(made.predict(data), np.asarray(net(data)), 1e-6, 1e-6)
    with fl.saving.custom_object_scope(own):
        assert report_of(str(path)).ok
        np.testing.assert_allclose(fl.load(path)(data), np.asarray(net(data)), 1e-6, 1e-6)


def test_lambda_takes_training() -> None:
    layer = fl.layers.Lambda(lambda x, training: x * (2.0 if training else 1.0))
    assert layer(np.ones((1, 1)), training=True).numpy() == 2
    assert layer(np.ones((1, 1))).numpy() == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.layers.Dense(0),
        lambda: fl.layers.Dense("many"),
        lambda: fl.layers.Flatten(data_format="NHWC"),
        lambda: fl.layers.Reshape((-1, -1)),
        lambda: fl.layers.Reshape("flat"),
        lambda: fl.layers.Permute((0, 1)),
        lambda: fl.layers.RepeatVector(0),
        lambda: fl.layers.Embedding(0, 3),
        lambda: fl.layers.Masking("none"),
        lambda: fl.layers.Lambda("x * 2"),
        lambda: fl.layers.EinsumDense("ab->c", 3),
        lambda: fl.layers.EinsumDense("ab,bc->ac", 3, bias_axes="z"),
    ],
)
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        make()
    assert caught.value.code == "E-LAYER-004"


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.layers.Reshape((5, 3), name="l"),
        lambda: fl.layers.Permute((2, 1, 3), name="l"),
        lambda: fl.layers.RepeatVector(2, name="l"),
        lambda: fl.layers.EinsumDense("ab,bc->ac", 3, name="l"),
    ],
)
def test_wrong_inputs(make: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        make()(numbers(2, 3, 4))
    assert caught.value.code == "E-LAYER-001"
    assert "layer l" in str(caught.value)
