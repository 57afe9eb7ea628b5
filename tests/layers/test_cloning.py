"""Models made anew, and what models and callbacks have by Keras's names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers.keras_oracle import keras, numbers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy, in Keras
layers = fl.layers


def row(**options: Any) -> Any:
    return fl.Sequential(
        [fl.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(2)], **options
    )


def branched() -> Any:
    a, b = fl.Input((4,), name="a"), fl.Input((4,), name="b")
    shared = layers.Dense(3, name="shared")
    inner = fl.Sequential([fl.Input((3,)), layers.Dense(3, name="deep")], name="inner")
    y = layers.Add()([shared(a), shared(b)]) * 2.0
    return fl.Model({"a": a, "b": b}, [inner(y), layers.Dropout(0.5)(y)], name="branched")


class Own(fl.Model):
    def __init__(self, units: int = 2, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.dense = layers.Dense(units)

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def get_config(self) -> dict[str, Any]:
        return {"units": self.units, "name": self.name}


def names(model: Any) -> list[str]:
    return [w.path for w in model.weights]


def test_a_row_is_made_anew() -> None:
    model = row(name="row")
    clone = fl.clone_model(model)
    assert type(clone) is fl.Sequential and clone.name == "row"
    assert names(clone) == names(model) and clone.input_shape == model.input_shape
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    x = numbers(3, 4)
    assert not np.allclose(clone.predict(x), model.predict(x))
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(x), model.predict(x))
    clone.layers[0].kernel.assign(np.zeros((4, 3)))
    assert np.abs(model.layers[0].kernel.numpy()).max() > 0
    later = fl.clone_model(fl.Sequential([layers.Dense(3)]))
    assert later(x).shape == (3, 3)


def test_a_graph_is_made_anew_with_its_shared_layers() -> None:
    model = branched()
    clone = fl.clone_model(model)
    assert names(clone) == names(model) and list(clone.inputs_form) == ["a", "b"]
    x = {"a": numbers(3, 4), "b": numbers(3, 4, seed=1)}
    clone.set_weights(model.get_weights())
    for mine, theirs in zip(clone.predict(x), model.predict(x), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    frozen = branched()
    frozen.get_layer("shared").trainable = False
    assert len(fl.clone_model(frozen).trainable_weights) == len(frozen.trainable_weights) == 2


def test_layers_are_replaced_as_in_keras() -> None:
    """The same functions given to both."""

    def made(library: Any) -> tuple[Any, Any]:
        def wider(layer: Any) -> Any:
            own = layer.get_config()
            if "units" in own:
                own["units"] += 1
            return type(layer).from_config(own)

        if library is keras:
            a, dense = keras.Input((4,)), keras.layers.Dense
            model = keras.Model(a, dense(2)(dense(3)(a)))
            return model, keras.models.clone_model(model, clone_function=wider)
        a = fl.Input((4,))
        model = fl.Model(a, layers.Dense(2)(layers.Dense(3)(a)))
        return model, fl.clone_model(model, clone_function=wider)

    ours, theirs = made(fl)[1], made(keras)[1]
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert ours.output_shape == theirs.output_shape == (None, 3)


def test_inputs_calls_and_models_inside() -> None:
    model, begin = row(), fl.Input((4,), name="begin")
    assert fl.clone_model(model, input_tensors=begin).inputs[0].name == "begin"
    graph = branched()
    seen: list[str] = []

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        seen.append(type(layer).__name__)
        return layer(*args, **options)

    given = {"a": begin, "b": fl.Input((4,))}
    clone = fl.clone_model(graph, given, call_function=call)
    assert clone.inputs[0] is begin and "Dense" in seen and "Sequential" in seen
    kinds: list[str] = []

    def noted(layer: Any) -> Any:
        kinds.append(layer.name)
        return type(layer).from_config(layer.get_config())

    fl.clone_model(graph, clone_function=noted)
    assert "inner" in kinds and "deep" not in kinds and kinds.count("shared") == 1
    kinds.clear()
    fl.clone_model(graph, clone_function=noted, recursive=True)
    assert "deep" in kinds and "inner" not in kinds
    same = fl.clone_model(row(), clone_function=lambda layer: layer)
    assert same.layers[0].nodes


def test_models_of_one_s_own_and_wrong_arguments() -> None:
    model = Own(3, name="own")
    with fl.utils.custom_object_scope({"Own": Own}):
        pass
    fl.register("tests")(Own)
    try:
        clone = fl.clone_model(model)
    finally:
        del fl.utils.get_custom_objects()["tests>Own"]
    assert type(clone) is Own and clone.units == 3 and clone.dense is not model.dense
    for wrong in (
        lambda: fl.clone_model(layers.Dense(2)),
        lambda: fl.clone_model(model, clone_function=lambda layer: layer),
        lambda: fl.clone_model(row(), call_function=lambda layer, x: layer(x)),
        lambda: fl.clone_model(row(), clone_function=lambda layer: None),
        lambda: fl.clone_model(branched(), [fl.Input((4,))]),
    ):
        with pytest.raises(FanlightError, match="E-LAYER-004"):
            wrong()


def test_what_was_compiled_is_compiled_anew() -> None:
    model = row()
    model.compile(
        fl.optimizers.Adam(0.01, beta_1=0.8), fl.losses.Huber(0.5), metrics=["mae"],
        run_eagerly=True,
    )  # fmt: skip
    x, y = numbers(8, 4), numbers(8, 2)
    model.fit(x, y, verbose=0)
    clone = fl.clone_model(model)
    assert clone.optimizer is not model.optimizer and clone._eager
    assert clone.optimizer.get_config()["beta_1"] == 0.8
    assert clone.optimizer.iterations.item() == 0
    clone.set_weights(model.get_weights())
    assert clone.evaluate(x, y) == model.evaluate(x, y)
    assert clone.metrics_names == ["loss", "mae"]


# --- what models say ------------------------------------------------------------------------------


def test_metrics_of_a_model() -> None:
    model = row()
    assert model.metrics == [] and not model.compiled
    model.compile("sgd", "mse", metrics=["mae", fl.metrics.RootMeanSquaredError()])
    assert model.compiled
    wanted = ["loss", "mae", "root_mean_squared_error"]
    assert model.metrics_names == wanted
    x, y = numbers(16, 4), numbers(16, 2)
    history = model.fit(x, y, verbose=0).history
    assert list(history) == model.metrics_names == wanted
    found = model.get_metrics_result()
    for name in wanted:
        assert float(found[name]) == pytest.approx(history[name][0], rel=1e-6)
    model.reset_metrics()
    assert float(model.get_metrics_result()["mae"]) == 0.0
    several = branched()
    several.compile("sgd", "mse", metrics=[["mae"], None])
    inner, last = several.output_names
    assert several.metrics_names == ["loss", f"{inner}_loss", f"{last}_loss", f"{inner}_mae"]
    own = Own()
    own.compile("sgd", "mse")
    assert own.metrics == []
    own.fit(x, y, verbose=0)
    assert own.metrics_names == ["loss"]


def test_weights_and_shapes_by_keras_s_names() -> None:
    model = branched()
    model.get_layer("shared").trainable = False
    assert [v.name for v in model.variables] == [w.name for w in model.weights]
    assert len(model.trainable_variables) == 2 and len(model.non_trainable_variables) == 2
    assert model.compute_output_shape({"a": (5, 4), "b": (5, 4)}) == [(5, 3), (5, 3)]
    assert row().compute_output_shape((None, 4)) == (None, 2)
    again = fl.Model.from_config(model.get_config())
    assert names(again) == names(model)
    assert fl.model_from_json(model.to_json()).count_params() == model.count_params()


def test_models_are_called_with_lists_and_dicts() -> None:
    model = branched()
    x = {"a": numbers(3, 4), "b": numbers(3, 4, seed=1)}
    want = [y.numpy() for y in model(x)]
    for given in ([x["a"], x["b"]], (x["a"], x["b"]), {"b": x["b"], "a": x["a"], "c": x["a"]}):
        for y, w in zip(model(given), want, strict=True):
            np.testing.assert_array_equal(y.numpy(), w)
    model.stop_training = True
    model.compile("sgd", ["mse", "mse"])
    stopped = model.fit(x, [want[0], want[1]], epochs=2, verbose=0)
    assert len(stopped.history["loss"]) == 2 and not model.stop_training


def test_layers_add_losses_as_in_keras() -> None:
    """The divergence of a code from normal numbers, as variational autoencoders have it."""

    def trained(library: Any) -> tuple[list[float], list[Any], float]:
        class Code(library.layers.Layer):
            def call(self, inputs: Any) -> Any:
                ops = fl if library is fl else library.ops
                self.add_loss(0.3 * ops.mean(inputs * inputs))
                self.add_loss([0.1 * ops.sum(inputs), 0.2 * inputs[0]])
                return inputs

        model = library.Sequential(
            [library.Input((4,)), library.layers.Dense(3), Code(), library.layers.Dense(2)]
        )
        model.set_weights([numbers(4, 3), numbers(3), numbers(3, 2), numbers(2)])
        model.compile(library.optimizers.SGD(0.05), "mse")
        x, y = numbers(12, 4), numbers(12, 2)
        options = {"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0}
        history = model.fit(x, y, **options).history["loss"]
        return history, model.get_weights(), model.evaluate(x, y, batch_size=12, verbose=0)

    ours, theirs = trained(fl), trained(keras)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    for a, b in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert ours[2] == pytest.approx(theirs[2], rel=1e-5)
