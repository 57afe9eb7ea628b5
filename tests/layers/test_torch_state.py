"""State dicts of PyTorch in models of layers, without PyTorch: layouts, matching, leftovers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers.file_safetensors import write_arrays

RNG = np.random.default_rng(0)
L = fl.layers


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def predicted(model: Any, x: Any) -> np.ndarray:
    return np.asarray(model.predict(x, verbose=0))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def linear(prefix: str, outputs: int, inputs: int) -> dict[str, np.ndarray]:
    return {f"{prefix}.weight": normal(outputs, inputs), f"{prefix}.bias": normal(outputs)}


def through(x: np.ndarray, state: dict[str, np.ndarray], *names: str) -> np.ndarray:
    for name in names:
        x = x @ state[f"{name}.weight"].T + state[f"{name}.bias"]
    return x


def test_linear() -> None:
    model = fl.Sequential([fl.Input((3,)), L.Dense(5), L.Dense(2)])
    state = linear("0", 5, 3) | linear("1", 2, 5)
    assert model.load_torch_state(state) == ([], [])
    x = normal(4, 3)
    np.testing.assert_allclose(predicted(model, x), through(x, state, "0", "1"), 1e-4, 1e-5)


def test_convolution_and_batch_norm() -> None:
    model = fl.Sequential([fl.Input((4, 4, 2)), L.Conv2D(3, 1), L.BatchNormalization(epsilon=1e-5)])
    state = {
        "c.weight": normal(3, 2, 1, 1), "c.bias": normal(3), "b.weight": normal(3),
        "b.bias": normal(3), "b.running_mean": normal(3), "b.running_var": normal(3) ** 2 + 1,
        "b.num_batches_tracked": np.array(7),
    }  # fmt: skip
    assert model.load_torch_state(state) == ([], [])
    x = normal(1, 4, 4, 2)
    y = np.einsum("nhwc,oc->nhwo", x, state["c.weight"][:, :, 0, 0]) + state["c.bias"]
    y = (y - state["b.running_mean"]) / np.sqrt(state["b.running_var"] + 1e-5)
    want = y * state["b.weight"] + state["b.bias"]
    np.testing.assert_allclose(predicted(model, x), want, 1e-3, 1e-4)


@pytest.mark.parametrize("functional", [False, True])
def test_a_dense_behind_a_flattened_image(functional: bool) -> None:
    image = fl.Input((2, 3, 4))
    parts = [L.ReLU(), L.Flatten(), L.Dropout(0.5), L.Dense(5)]
    model: fl.Model = fl.Sequential([image, *parts])
    if functional:
        y = image
        for part in parts:
            y = part(y)
        model = fl.Model(image, y)
    state = linear("fc", 5, 24)
    model.load_torch_state(state)
    x = np.abs(normal(3, 2, 3, 4))
    want = through(x.transpose(0, 3, 1, 2).reshape(3, 24), state, "fc")
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)


def test_sequences_and_turned_images_are_flattened_as_they_are() -> None:
    state = linear("fc", 5, 24)
    x = normal(3, 6, 4)
    model = fl.Sequential([fl.Input((6, 4)), L.Flatten(), L.Dense(5)])
    model.load_torch_state(state)
    want = through(x.reshape(3, 24), state, "fc")
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)
    model = fl.Sequential([fl.Input((2, 3, 4)), L.Permute((3, 1, 2)), L.Flatten(), L.Dense(5)])
    model.load_torch_state(state)
    x = normal(3, 2, 3, 4)
    want = through(x.transpose(0, 3, 1, 2).reshape(3, 24), state, "fc")
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)


def test_a_dense_that_becomes_an_image() -> None:
    model = fl.Sequential([fl.Input((5,)), L.Dense(24, activation="relu"), L.Reshape((2, 3, 4))])
    state = linear("fc", 24, 5)
    model.load_torch_state(state)
    x = normal(3, 5)
    want = np.maximum(through(x, state, "fc"), 0).reshape(3, 4, 2, 3).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)


def gru(x: np.ndarray, state: dict[str, np.ndarray], end: str) -> np.ndarray:
    """One layer of torch.nn.GRU by its definition: [n, time, in] -> [n, time, units]."""
    wi, wh = state[f"g.weight_ih{end}"], state[f"g.weight_hh{end}"]
    bi, bh = state[f"g.bias_ih{end}"], state[f"g.bias_hh{end}"]
    h = np.zeros((len(x), wh.shape[1]), np.float32)
    out = []
    for t in range(x.shape[1]):
        ir, iz, in_ = np.split(x[:, t] @ wi.T + bi, 3, axis=1)
        hr, hz, hn = np.split(h @ wh.T + bh, 3, axis=1)
        r, z = sigmoid(ir + hr), sigmoid(iz + hz)
        h = (1 - z) * np.tanh(in_ + r * hn) + z * h
        out.append(h)
    return np.stack(out, 1)


def gru_state(inputs: int, units: int, *ends: str) -> dict[str, np.ndarray]:
    made: dict[str, np.ndarray] = {}
    for end in ends:
        width = inputs if end.startswith("_l0") else units
        made[f"g.weight_ih{end}"] = normal(3 * units, width)
        made[f"g.weight_hh{end}"] = normal(3 * units, units)
        made |= {f"g.bias_{k}{end}": normal(3 * units) for k in ("ih", "hh")}
    return made


def test_stacked_gru() -> None:
    state = gru_state(4, 5, "_l0", "_l1")
    parts = [L.GRU(5, return_sequences=True) for _ in range(2)]
    model = fl.Sequential([fl.Input((6, 4)), *parts])
    model.load_torch_state(state)
    x = normal(2, 6, 4)
    want = gru(gru(x, state, "_l0"), state, "_l1")
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)


def test_bidirectional_gru() -> None:
    state = gru_state(4, 5, "_l0", "_l0_reverse")
    model = fl.Sequential([fl.Input((6, 4)), L.Bidirectional(L.GRU(5, return_sequences=True))])
    model.load_torch_state(state)
    x = normal(2, 6, 4)
    back = gru(x[:, ::-1], state, "_l0_reverse")[:, ::-1]
    want = np.concatenate([gru(x, state, "_l0"), back], -1)
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_a_gru_of_another_kind_is_refused(bias: bool) -> None:
    state = {k: v for k, v in gru_state(4, 5, "_l0").items() if bias or "bias" not in k}
    model = fl.Sequential([fl.Input((6, 4)), L.GRU(5, reset_after=False, use_bias=bias)])
    with pytest.raises(FanlightError, match="reset_after=True") as caught:
        model.load_torch_state(state)
    assert "g.weight_ih_l0" in str(caught.value) and "gru" in str(caught.value)


def test_attention() -> None:
    q = fl.Input((5, 6))
    model = fl.Model(q, L.MultiHeadAttention(2, 3)(q, q))
    state = {"a.in_proj_weight": normal(18, 6), "a.in_proj_bias": normal(18),
             "a.out_proj.weight": normal(6, 6), "a.out_proj.bias": normal(6)}  # fmt: skip
    assert model.load_torch_state(state) == ([], [])
    x = normal(2, 5, 6)
    weights, biases = (np.split(state[f"a.in_proj_{k}"], 3) for k in ("weight", "bias"))
    heads = [
        (x @ w.T + b).reshape(2, 5, 2, 3).transpose(0, 2, 1, 3)
        for w, b in zip(weights, biases, strict=True)
    ]
    scores = heads[0] @ heads[1].swapaxes(-1, -2) / np.sqrt(3)
    share = np.exp(scores - scores.max(-1, keepdims=True))
    y = share / share.sum(-1, keepdims=True) @ heads[2]
    y = y.transpose(0, 2, 1, 3).reshape(2, 5, 6)
    want = y @ state["a.out_proj.weight"].T + state["a.out_proj.bias"]
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)


# --- nothing is dropped ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        ({"0.bias2": normal(5)}, "0.bias2"),
        ({"head.weight": normal(2, 2)}, "head.weight"),
        (gru_state(4, 5, "_l0"), "g.bias_hh_l0"),
        ({"mask": np.ones((3, 3), bool)}, "mask"),
    ],
)
def test_what_is_left_over_is_named(extra: dict[str, np.ndarray], name: str) -> None:
    model = fl.Sequential([fl.Input((3,)), L.Dense(5)])
    state = linear("0", 5, 3)
    with pytest.raises(FanlightError) as caught:
        model.load_torch_state(state | extra)
    assert caught.value.code == "E-LAYER-006" and f"nothing from {name}" in str(caught.value)
    missing, unexpected = model.load_torch_state(state | extra, strict=False)
    assert not missing and set(unexpected) == set(extra)
    x = normal(2, 3)
    np.testing.assert_allclose(predicted(model, x), through(x, state, "0"), 1e-4, 1e-5)


def test_layers_of_stacked_and_reversed_modules_are_not_dropped() -> None:
    model = fl.Sequential([fl.Input((6, 4)), L.GRU(5)])
    for end in ("_l1", "_l0_reverse"):
        with pytest.raises(FanlightError, match=f"g.weight_hh{end}"):
            model.load_torch_state(gru_state(4, 5, "_l0", end))


def test_what_gets_nothing_is_named() -> None:
    model = fl.Sequential([fl.Input((3,)), L.Dense(5, name="one"), L.Dense(2, name="two")])
    state = linear("fc", 5, 3) | {"head.weight": normal(9, 5)}
    with pytest.raises(FanlightError) as caught:
        model.load_torch_state(state)
    said = str(caught.value)
    assert "two/kernel [5, 2] from head.weight [5, 9]" in said and "two/bias [2] from" in said
    before = model.layers[-1].get_weights()
    missing, unexpected = model.load_torch_state(state, strict=False)
    assert missing == ["two/kernel", "two/bias"] and unexpected == ["head.weight"]
    np.testing.assert_array_equal(model.layers[-1].get_weights()[0], before[0])
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], state["fc.weight"].T)
    with pytest.raises(FanlightError, match="E-LAYER-006"):
        model.load_torch_state({})


# --- which is which -------------------------------------------------------------------------------


def two(**names: str) -> Any:
    return fl.Sequential([fl.Input((3,)), *(L.Dense(3, name=n) for n in names.values())])


def test_by_name_and_by_names() -> None:
    state = linear("b", 3, 3) | linear("a", 3, 3)
    x = normal(2, 3)
    model = two(first="a", second="b")  # by name, though the order is another one
    model.load_torch_state(state)
    np.testing.assert_allclose(predicted(model, x), through(x, state, "a", "b"), 1e-4, 1e-5)
    model = two(first="one", second="two")  # in order
    model.load_torch_state(state)
    np.testing.assert_allclose(predicted(model, x), through(x, state, "b", "a"), 1e-4, 1e-5)
    model.load_torch_state(state, names={"one": "a"})
    np.testing.assert_allclose(predicted(model, x), through(x, state, "a", "b"), 1e-4, 1e-5)
    for wrong, said in (({"on": "a"}, "did you mean 'one'"), ({"one": "c"}, "'c'")):
        with pytest.raises(FanlightError, match=said):
            model.load_torch_state(state, names=wrong)


def test_kinds_keep_to_themselves() -> None:
    model = fl.Sequential(
        [fl.Input((2, 2, 3)), L.Conv2D(3, 1), L.GroupNormalization(1), L.Conv2D(3, 1)]
    )
    conv = {f"c{i}.weight": normal(3, 3, 1, 1) for i in (1, 2)}
    conv |= {f"c{i}.bias": normal(3) for i in (1, 2)}
    state = {"norm.weight": normal(3), "norm.bias": normal(3)} | conv
    assert model.load_torch_state(state) == ([], [])
    np.testing.assert_array_equal(model.layers[1].get_weights()[0], state["norm.weight"])


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    counted: dict[str, np.ndarray] = {}
    for i in (0, 10, 2):  # as files sort them
        counted |= linear(f"net.{i}", 3, 3)
    write_arrays(path, counted)
    model = two(a="one", b="two", c="three")
    assert model.load_torch_state(path) == ([], [])
    x = normal(2, 3)
    want = through(x, counted, "net.0", "net.2", "net.10")
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)
    write_arrays(path, linear("key", 3, 3) | linear("query", 3, 3))
    model = two(a="one", b="two")
    with pytest.raises(FanlightError, match="do not keep the order") as caught:
        model.load_torch_state(str(path))
    assert "names={'one': 'key'" in str(caught.value)
    assert model.load_torch_state(str(path), names={"one": "query"}) == ([], [])


def test_a_file_of_weights_says_how_they_get_into_layers(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write_arrays(path, linear("layer.0", 3, 2) | linear("layer.1", 3, 3))
    for call in (fl.load, fl.load_model, lambda p: fl.convert(p, tmp_path / "web")):
        with pytest.raises(FanlightError, match="weights of a PyTorch model") as caught:
            call(path)
        assert caught.value.code == "E-LAYER-009" and "layer.0.weight" in str(caught.value)
        assert "model.load_torch_state(path)" in str(caught.value.next)


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.bin", "net.npz"])
def test_pickles_are_never_opened(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x80\x02not looked at")
    with pytest.raises(FanlightError, match="save_file") as caught:
        two(a="one").load_torch_state(path)
    assert caught.value.code == "E-FORMAT-002"


@pytest.mark.parametrize(
    "state", [None, 3, [1], {"state_dict": {"w": 1}}, {1: normal(2)}, {"w": "text"}]
)
def test_what_is_no_state_dict(state: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        two(a="one").load_torch_state(state)
    assert caught.value.code == "E-LAYER-006"


def test_a_model_without_weights() -> None:
    with pytest.raises(FanlightError, match="E-LAYER-002"):
        fl.Sequential([L.Dense(3)]).load_torch_state({})


# --- a convolution of one pixel is a product ------------------------------------------------------


def conv(prefix: str, outputs: int, inputs: int, dims: int = 2) -> dict[str, np.ndarray]:
    shape = (outputs, inputs, *[1] * dims)
    return {f"{prefix}.weight": normal(*shape), f"{prefix}.bias": normal(outputs)}


def flat(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {n: a.reshape(a.shape[:2]) for n, a in state.items()}


def test_a_convolution_of_one_pixel_into_a_dense() -> None:
    state = conv("a", 5, 3) | conv("b", 5, 5, dims=1) | linear("c", 2, 5)
    model = fl.Sequential([fl.Input((3,)), L.Dense(5), L.Dense(5), L.Dense(2)])
    assert model.load_torch_state(state) == ([], [])
    x = normal(4, 3)
    want = through(x, flat(state), "a", "b", "c")
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)


def test_a_linear_into_a_convolution_of_one_pixel(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((2, 2, 3)), L.Conv2D(5, 1), L.Conv2D(5, 1), L.Conv2D(2, 1)])
    x = normal(2, 2, 2, 3)
    state = linear("l.0", 5, 3) | conv("l.1", 5, 5) | linear("l.2", 2, 5)
    assert model.load_torch_state(state) == ([], [])
    want = through(x, flat(state), "l.0", "l.1", "l.2")
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)
    write_arrays(tmp_path / "a.safetensors", state, {})
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    model.load_torch_state(tmp_path / "a.safetensors")
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)


def test_they_are_exchanged_only_where_one_has_to_be() -> None:
    """Of equal shapes; a model that has both takes each from its own kind."""
    image = fl.Input((1, 1, 4))
    model = fl.Sequential([image, L.Conv2D(4, 1), L.Flatten(), L.Dense(4)])
    state = linear("dense", 4, 4) | conv("conv", 4, 4)  # the module's order is another one
    model.load_torch_state(state)
    x = normal(3, 1, 1, 4)
    want = through(x.reshape(3, 4), flat(state), "conv", "dense")
    np.testing.assert_allclose(predicted(model, x), want, 1e-4, 1e-5)
    model = fl.Sequential([fl.Input((4,)), L.Dense(4), L.Dense(4)])
    state = conv("first", 4, 4) | linear("second", 4, 4)
    model.load_torch_state(state)
    want = through(x.reshape(3, 4), flat(state), "first", "second")
    np.testing.assert_allclose(predicted(model, x.reshape(3, 4)), want, 1e-4, 1e-5)


def test_what_is_no_product_is_refused() -> None:
    for layer, state in (
        (L.Conv2DTranspose(4, 1), linear("l", 4, 4)),
        (L.DepthwiseConv2D(1), linear("l", 4, 4)),
        (L.Conv2D(4, 2), linear("l", 4, 4)),
        (L.Dense(4), {"l.weight": normal(4, 4, 2, 2), "l.bias": normal(4)}),
        (L.Embedding(4, 4), conv("l", 4, 4)),
    ):
        shape = (
            ()
            if isinstance(layer, L.Embedding)
            else (4,)
            if isinstance(layer, L.Dense)
            else (2, 2, 4)
        )
        model = fl.Sequential([fl.Input(shape), layer])
        with pytest.raises(FanlightError, match="E-LAYER-006"):
            model.load_torch_state(state)


# --- weights in parts -----------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("weight_g", "weight_v"), ("original0", "original1")])
def test_weight_norm(names: tuple[str, str]) -> None:
    g, v, bias = normal(5, 1), normal(5, 3), normal(5)
    prefix = "" if names[0] == "weight_g" else "parametrizations.weight."
    parts = {f"fc.{prefix}{names[0]}": g, f"fc.{prefix}{names[1]}": v}
    model = fl.Sequential([fl.Input((3,)), L.Dense(5)])
    assert model.load_torch_state({"fc.bias": bias, **parts}) == ([], [])
    w = g * v / np.linalg.norm(v, axis=1, keepdims=True)
    x = normal(2, 3)
    np.testing.assert_allclose(predicted(model, x), x @ w.T + bias, 1e-4, 1e-5)
    # What nobody takes is named as it is in the state dict.
    model = fl.Sequential([fl.Input((3,)), L.Dense(5, use_bias=False)])
    more = {n.replace("fc", "other"): a for n, a in parts.items()}
    found = model.load_torch_state(parts | more, strict=False)
    assert found.unexpected == list(more)


def test_parts_that_fit_nothing() -> None:
    model = fl.Sequential([fl.Input((3,)), L.Dense(5, use_bias=False)])
    for parts in (
        {"weight_g": normal(7, 1), "weight_v": normal(5, 3)},
        {"weight_g": normal(5), "weight_v": normal(5, 3)},
        {"weight_v": normal(5, 3)},
        {"weight_orig": normal(5, 3), "weight_u": normal(9), "weight_v": normal(3)},
        {"parametrizations.weight.original": normal(5, 3)},
        {"parametrizations.weight.original0": normal(5, 1)},
    ):
        with pytest.raises(FanlightError, match="E-LAYER-006"):
            model.load_torch_state(parts)
