"""Inputs, outputs and calls in dicts: Keras counts their parts by sorted keys, and so do files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import evaluate
from fanlight.tensor.tape import flatten, sorted_keys, unflatten
from tests.layers import nets
from tests.layers.keras_oracle import keras
from tests.layers.tfjs_peer import run

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:keras"),
]

Maker = Callable[[Any], Any]


@keras.saving.register_keras_serializable("dicts")
class KerasCross(keras.layers.Layer):
    """Takes a dict and gives one, with keys that are not sorted."""

    def call(self, x: Any) -> Any:
        return {"r": x["z"] * 2, "b": x["a"] + 1}


@fl.register("dicts", name="KerasCross")
class Cross(fl.layers.Layer):
    def call(self, x: Any) -> Any:
        return {"r": x["z"] * 2, "b": x["a"] + 1}


def dense(K: Any, size: int = 3, **options: Any) -> Any:
    return K.layers.Dense(size, bias_initializer="random_normal", **options)


def heads(K: Any) -> Any:
    x = K.Input((6,), name="x")
    return K.Model(x, {"zed": dense(K)(x), "alpha": dense(K)(x), "mid": dense(K)(x)})


def heads_of_sizes(K: Any) -> Any:
    x = K.Input((6,), name="x")
    return K.Model(x, {"zed": dense(K, 2)(x), "alpha": dense(K, 4)(x)})


def deeper_heads(K: Any) -> Any:
    x = K.Input((6,), name="x")
    return K.Model(x, [dense(K)(x), {"q": dense(K)(x), "b": (dense(K)(x), dense(K)(x))}])


def dict_of_lists(K: Any) -> Any:
    x = K.Input((6,), name="x")
    return K.Model(x, {"z": [dense(K)(x), dense(K)(x)], "a": dense(K)(x)})


def two_inputs(K: Any) -> Any:
    p, q = K.Input((6,), name="z"), K.Input((6,), name="a")
    return K.Model({"z": p, "a": q}, K.layers.Concatenate()([dense(K)(p), dense(K)(q)]))


def nested_call(K: Any) -> Any:
    p, q = K.Input((6,), name="z"), K.Input((6,), name="a")
    inner = K.Model({"z": p, "a": q}, K.layers.Concatenate()([dense(K)(p), dense(K)(q)]))
    x = K.Input((6,), name="x")
    return K.Model(x, inner({"z": dense(K, 6)(x), "a": dense(K, 6)(x)}))


def nested_results(K: Any) -> Any:
    """Both results of a model inside go on, each to a layer of its own."""
    p = K.Input((6,), name="p")
    inner = K.Model(p, {"z": dense(K, 4)(p), "a": dense(K, 4)(p)})
    x = K.Input((6,), name="x")
    made = inner(x)
    return K.Model(x, {"y": dense(K)(made["z"]), "b": dense(K)(made["a"])})


def layer_of_dicts(K: Any) -> Any:
    x = K.Input((6,), name="x")
    cross = (KerasCross if K is keras else Cross)(name="cross")
    made = cross({"z": dense(K)(x), "a": dense(K)(x)})
    return K.Model(x, [dense(K)(made["r"]), dense(K)(made["b"])])


def by_keyword(K: Any) -> Any:
    x = K.Input((5, 6), name="x")
    attention = K.layers.MultiHeadAttention(2, 3)
    return K.Model(x, attention(value=dense(K, 6)(x), query=dense(K, 6)(x), key=dense(K, 6)(x)))


MODELS: list[Maker] = [
    heads, heads_of_sizes, deeper_heads, dict_of_lists, two_inputs, nested_call, nested_results,
    layer_of_dicts, by_keyword,
]  # fmt: skip


def examples(make: Maker) -> Any:
    """Inputs as a dict by name, or one array."""
    if make is two_inputs:
        return {"z": nets.numbers(4, 6), "a": nets.numbers(4, 6, seed=1)}
    return nets.numbers(4, 5, 6) if make is by_keyword else nets.numbers(4, 6)


def parts(value: Any, path: str = "") -> dict[str, np.ndarray]:
    """All arrays of a structure by their paths, so that no order is taken for granted."""
    if isinstance(value, dict):
        pairs: Any = value.items()
    elif isinstance(value, list | tuple):
        pairs = enumerate(value)
    else:
        return {path: np.asarray(value)}
    return {k: v for key, part in pairs for k, v in parts(part, f"{path}/{key}").items()}


def same(one: Any, two: Any) -> None:
    ours, theirs = parts(one), parts(two)
    assert ours.keys() == theirs.keys()
    for key in ours:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=0, atol=1e-5, err_msg=key)


def apart(value: Any) -> None:
    """No two outputs of a shape are alike, so that none can stand for another."""
    found = list(parts(value).values())
    for i, one in enumerate(found):
        assert all(one.shape != two.shape or np.abs(one - two).max() > 1e-2 for two in found[:i])


@pytest.mark.parametrize("make", MODELS, ids=lambda make: str(make.__name__))
@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_what_keras_saved(make: Maker, kind: str, tmp_path: Path) -> None:
    theirs, x = make(keras), examples(make)
    want = theirs(x)
    apart(want)
    theirs.save(tmp_path / f"m.{kind}")
    ours = fl.load_model(tmp_path / f"m.{kind}")
    same(ours.predict(x), want)
    ours.save(tmp_path / f"again.{kind}")
    same(keras.models.load_model(tmp_path / f"again.{kind}")(x), want)
    theirs.save_weights(tmp_path / "w.weights.h5")
    other = make(fl)
    other.load_weights(tmp_path / "w.weights.h5")
    same(other.predict(x), want)
    graph = fl.load(tmp_path / f"m.{kind}").graph
    one = {v.name: (x[v.name] if isinstance(x, dict) else x)[:1] for v in graph.inputs}
    first = [part[:1] for part in map(np.asarray, keras.tree.flatten(want))]
    for ours_, theirs_ in zip(evaluate(graph, one).values(), first, strict=True):
        np.testing.assert_allclose(ours_, theirs_, rtol=0, atol=1e-5)


@pytest.mark.parametrize("make", MODELS, ids=lambda make: str(make.__name__))
@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_keras_reads_what_we_saved(make: Maker, kind: str, tmp_path: Path) -> None:
    ours, x = nets.shaken(make(fl)), examples(make)
    want = ours.predict(x)
    apart(want)
    ours.save(tmp_path / f"m.{kind}")
    theirs = keras.models.load_model(tmp_path / f"m.{kind}")
    same(theirs(x), want)
    ours.save_weights(tmp_path / "w.weights.h5")
    other = make(keras)
    other.load_weights(tmp_path / "w.weights.h5")
    same(other(x), want)
    same([w.numpy() for w in ours.weights], [np.asarray(w) for w in theirs.weights])


def test_subclassed_models_that_take_and_give_dicts(tmp_path: Path) -> None:
    def made(K: Any) -> Any:
        class Two(K.Model):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.heads = {"z": dense(K), "a": dense(K)}

            def call(self, x: Any) -> Any:
                return {"y": self.heads["z"](x["z"]), "b": self.heads["a"](x["a"])}

        return Two()

    x = examples(two_inputs)
    theirs, ours = made(keras), made(fl)
    want = theirs(x)
    ours(x)
    theirs.save_weights(tmp_path / "w.weights.h5")
    ours.load_weights(tmp_path / "w.weights.h5")
    same(ours.predict(x), want)


@pytest.mark.parametrize("make", [heads, heads_of_sizes, nested_call, nested_results])
def test_tfjs_gives_the_outputs_in_the_order_of_keras(make: Maker, tmp_path: Path) -> None:
    ours, x = nets.shaken(make(fl)), examples(make)
    want = ours.predict(x)
    ours.save(tmp_path / "web")
    found = run(load=str(tmp_path / "web"), inputs=[x])["before"]
    flat = [want[k] for k in sorted(want)] if isinstance(want, dict) else [want]
    same([np.reshape(a, b.shape) for a, b in zip(found, flat, strict=True)], flat)
    back = fl.load_model(tmp_path / "web").predict(x)
    if isinstance(want, dict):  # the keys are kept beside what TF.js reads
        assert sorted(back) == sorted(want)
        back = [back[k] for k in sorted(want)]
    same(back if isinstance(back, list) else [back], flat)
    told = fl.convert(tmp_path / "web", tmp_path / "graph", to="tfjs-graph")
    assert told.ok
    told = fl.convert(ours, tmp_path / "web2", to="tfjs-layers")
    assert told.ok


def test_order_of_inputs_outputs_losses_and_metrics() -> None:
    theirs, ours = heads(keras), heads(fl)
    names = ["alpha", "mid", "zed"]
    assert ours.output_names == names
    assert [s.name for s in ours.outputs] == [ours.output[n].name for n in names]
    x = examples(heads)
    y = {n: nets.numbers(4, 3, seed=i) for i, n in enumerate(names)}
    ours.set_weights([np.asarray(w) for w in theirs.weights])
    for given in (y, [y[n] for n in names]):
        for model in (theirs, ours):
            model.compile("sgd", loss=["mse", "mae", "mse"], metrics=[["mae"], ["mse"], ["mae"]])
        want = theirs.evaluate(x, given, verbose=0, return_dict=True)
        got = ours.evaluate(x, given, verbose=0, return_dict=True)
        assert got == pytest.approx(want, rel=1e-5)
    want = theirs.fit(x, y, epochs=2, verbose=0, shuffle=False).history
    got = ours.fit(x, y, epochs=2, verbose=0, shuffle=False).history
    assert {k: got[k] for k in want} == {k: pytest.approx(v, rel=1e-5) for k, v in want.items()}
    p, q = fl.Input((2,), name="z"), fl.Input((2,), name="a")
    model = fl.Model({"z": p, "a": q}, fl.layers.Subtract()([p, q]))
    assert [s.name for s in model.inputs] == ["a", "z"]
    z, a = np.full((1, 2), 5, np.float32), np.ones((1, 2), np.float32)
    assert model.predict({"z": z, "a": a})[0, 0] == model([a, z]).numpy()[0, 0] == 4
    assert list(model.input_types()) == ["a", "z"]


def test_flatten_sorts_and_unflatten_keeps_the_order_of_keys() -> None:
    value = {"z": 1.0, "a": [2.0, {"d": 3.0, "c": 4.0}], "m": None}
    flat, form = flatten(value)
    assert [float(t) for t in flat] == [2.0, 4.0, 3.0, 1.0]
    back = unflatten([float(t) for t in flat], form)
    assert back == value and list(back) == ["z", "a", "m"] and list(back["a"][1]) == ["d", "c"]
    assert keras.tree.flatten({**value, "m": 0.0}) == [2.0, 4.0, 3.0, 0.0, 1.0]
    assert sorted_keys({"b": 0, 2: 0, "a": 0, 1: 0}) == [1, 2, "a", "b"]
