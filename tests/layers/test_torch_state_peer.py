"""State dicts of PyTorch's own modules: the model computes what the module does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
nn = torch.nn
L = fl.layers
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


def same(module: Any, model: Any, x: np.ndarray, given: Any = None, back: Any = None) -> None:
    """Load the weights; compare on `x`, turned by `given` for PyTorch and `back` from it."""
    torch.manual_seed(0)
    module.eval()
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                value.uniform_(0.5, 1.5) if name.endswith("running_var") else value.normal_(0, 0.5)
        assert model.load_torch_state(module.state_dict()) == ([], [])
        want = module(torch.from_numpy(x if given is None else given(x)))
    want = (want[0] if isinstance(want, tuple) else want).numpy()
    want = want if back is None else back(want)
    got = np.asarray(model.predict(x, verbose=0))
    np.testing.assert_allclose(got, want, 1e-4, 1e-5 * max(1, np.abs(want).max()))


def test_a_convolutional_network() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(),
        nn.Flatten(), nn.BatchNorm1d(128), nn.Linear(128, 10), nn.ReLU(), nn.Linear(10, 4),
    )  # fmt: skip
    model = fl.Sequential([
        fl.Input((8, 8, 3)), L.Conv2D(8, 3, padding="same"), L.BatchNormalization(epsilon=1e-5),
        L.ReLU(), L.MaxPooling2D(2), L.Dropout(0.5), L.Flatten(),
        L.BatchNormalization(epsilon=1e-5), L.Dense(10, activation="relu"), L.Dense(4),
    ])  # fmt: skip
    same(module, model, normal(2, 8, 8, 3), first)


def test_a_decoder() -> None:
    module = nn.Sequential(
        nn.Linear(5, 24), nn.ReLU(), nn.Unflatten(1, (4, 2, 3)), nn.ConvTranspose2d(4, 6, 3, 2)
    )
    model = fl.Sequential([
        fl.Input((5,)), L.Dense(24, activation="relu"), L.Reshape((2, 3, 4)),
        L.Conv2DTranspose(6, 3, strides=2),
    ])  # fmt: skip
    same(module, model, normal(2, 5), back=last)


def test_one_dim_and_a_layer_norm_of_what_is_flattened() -> None:
    module = nn.Sequential(
        nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8), nn.Flatten(), nn.LayerNorm(48), nn.Linear(48, 2)
    )
    model = fl.Sequential([
        fl.Input((8, 3)), L.Conv1D(8, 3), L.BatchNormalization(epsilon=1e-5), L.Flatten(),
        L.LayerNormalization(epsilon=1e-5), L.Dense(2),
    ])  # fmt: skip
    same(module, model, normal(2, 8, 3), first)


def test_three_dims() -> None:
    module = nn.Sequential(nn.Conv3d(2, 3, 2), nn.Flatten(), nn.Linear(24, 2))
    model = fl.Sequential([fl.Input((3, 3, 3, 2)), L.Conv3D(3, 2), L.Flatten(), L.Dense(2)])
    same(module, model, normal(2, 3, 3, 3, 2), first)


def test_groups() -> None:
    module = nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(8, 6, 1, groups=2), nn.GroupNorm(3, 6), nn.PReLU(6)
    )
    model = fl.Sequential([
        fl.Input((5, 5, 4)), L.DepthwiseConv2D(3, depth_multiplier=2), L.Conv2D(6, 1, groups=2),
        L.GroupNormalization(3, epsilon=1e-5), L.PReLU(shared_axes=[1, 2]),
    ])  # fmt: skip
    same(module, model, normal(2, 5, 5, 4), first, last)
    module = nn.Sequential(nn.Conv2d(4, 8, 3, groups=4, bias=False), nn.Conv2d(8, 6, 1))
    model = fl.Sequential([fl.Input((5, 5, 4)), L.SeparableConv2D(6, 3, depth_multiplier=2)])
    same(module, model, normal(2, 5, 5, 4), first, last)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("both", [True, False], ids=["bidirectional", "forward"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_modules(kind: str, both: bool, bias: bool) -> None:
    module = getattr(nn, kind)(4, 5, 2, bias=bias, batch_first=True, bidirectional=both)
    layer = {"LSTM": L.LSTM, "GRU": L.GRU, "RNN": L.SimpleRNN}[kind]
    parts = [layer(5, return_sequences=True, use_bias=bias) for _ in range(2)]
    model = fl.Sequential([fl.Input((6, 4)), *(L.Bidirectional(p) if both else p for p in parts)])
    same(module, model, normal(2, 6, 4))


class _Attends(nn.Module):  # type: ignore[name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.out = nn.Linear(8, 3, bias=False)

    def forward(self, tokens: Any) -> Any:
        x = self.embedding(tokens)
        return self.out(self.norm(x + self.attention(x, x, x)[0]))


def test_attention() -> None:
    tokens = fl.Input((5,), dtype="int32")
    x = L.Embedding(11, 8)(tokens)
    y = L.LayerNormalization(epsilon=1e-5)(L.Add()([x, L.MultiHeadAttention(2, 4)(x, x)]))
    model = fl.Model(tokens, L.Dense(3, use_bias=False)(y))
    same(_Attends(), model, RNG.integers(0, 11, (2, 5)).astype(np.int32))


def test_bfloat16() -> None:
    model = fl.Sequential([fl.Input((3,)), L.Dense(5)])
    module = nn.Linear(3, 5).to(torch.bfloat16)
    model.load_torch_state(module.state_dict())
    want = module.weight.float().detach().numpy().T
    np.testing.assert_array_equal(model.get_weights()[0], want)


# --- weights that are kept in parts ---------------------------------------------------------------

PARTED = {
    "weight_norm": torch.nn.utils.parametrizations.weight_norm,
    "spectral_norm": torch.nn.utils.parametrizations.spectral_norm,
    "old weight_norm": torch.nn.utils.weight_norm,
    "old spectral_norm": torch.nn.utils.spectral_norm,
}


def trained(module: Any, x: np.ndarray) -> Any:
    """Other numbers, and a step of training, which makes u and v of them."""
    torch.manual_seed(0)
    with torch.no_grad():
        for value in module.parameters():
            value.normal_(0, 0.5)
        module.train()(torch.from_numpy(first(x)))
    return module.eval()


def equal(module: Any, model: Any, x: np.ndarray) -> None:
    assert model.load_torch_state(module.state_dict()) == ([], [])
    with torch.no_grad():
        want = module(torch.from_numpy(first(x))).numpy()
    want = last(want) if want.ndim == 4 else want
    np.testing.assert_allclose(np.asarray(model.predict(x, verbose=0)), want, 1e-4, 1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", list(PARTED))
def test_weights_in_parts(name: str) -> None:
    norm = PARTED[name]
    x = normal(2, 4, 4, 3)
    module = nn.Sequential(
        norm(nn.Conv2d(3, 8, 3, bias=False)), nn.ReLU(), norm(nn.ConvTranspose2d(8, 6, 2)),
        nn.ReLU(), norm(nn.ConvTranspose2d(6, 6, 1)), nn.Flatten(), norm(nn.Linear(54, 5)),
        norm(nn.Linear(5, 5)),
    )  # fmt: skip
    model = fl.Sequential([
        fl.Input((4, 4, 3)), L.Conv2D(8, 3, activation="relu", use_bias=False),
        L.Conv2DTranspose(6, 2, activation="relu"), L.Conv2DTranspose(6, 1), L.Flatten(),
        L.Dense(5), L.Dense(5),
    ])  # fmt: skip
    equal(trained(module, x), model, x)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_other_dims_and_vectors() -> None:
    parametrizations = torch.nn.utils.parametrizations
    x = normal(2, 2, 2, 3)
    for dim in (0, 1, None):
        for norm in (parametrizations.weight_norm, torch.nn.utils.weight_norm):
            module = norm(nn.Conv2d(3, 8, 2), dim=dim)
            equal(trained(module, x), fl.Sequential([fl.Input((2, 2, 3)), L.Conv2D(8, 2)]), x)
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 4), parametrizations.spectral_norm(nn.LayerNorm(4))
    )
    model = fl.Sequential([
        fl.Input((2, 2, 3)), L.Flatten(), L.Dense(4), L.LayerNormalization(epsilon=1e-5)
    ])  # fmt: skip
    equal(trained(module, x), model, x)


def test_gates_in_parts() -> None:
    module = nn.LSTM(3, 4, batch_first=True)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        torch.nn.utils.parametrizations.weight_norm(module, name)
    model = fl.Sequential([fl.Input((5, 3)), L.LSTM(4, return_sequences=True)])
    same(module, model, normal(2, 5, 3))


def test_other_parametrizations_are_refused() -> None:
    parametrizations = torch.nn.utils.parametrizations
    for module in (
        parametrizations.orthogonal(nn.Linear(3, 3)),
        parametrizations.spectral_norm(parametrizations.weight_norm(nn.Linear(3, 3))),
    ):
        model = fl.Sequential([fl.Input((3,)), L.Dense(3)])
        with pytest.raises(fl.FanlightError, match="E-LAYER-006") as caught:
            model.load_torch_state(module.state_dict())
        assert "remove_parametrizations" in str(caught.value)
