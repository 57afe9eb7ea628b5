"""The official list of core operators: each is read, or it is said here why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
import fanlight.formats.torch.reader
from fanlight import from_torch
from fanlight.errors import FanlightError
from fanlight.formats.torch.call import handler_of
from fanlight.formats.torch.symbols import SIZE_FUNCTIONS

torch = pytest.importorskip("torch", reason="the oracle, torch, is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")
F = torch.nn.functional
nn = torch.nn
aten = torch.ops.aten

_GRADIENT = "it computes a gradient: a model that is exported for a page has none"
UNREAD = {
    "_adaptive_avg_pool2d_backward.default": _GRADIENT,
    "avg_pool2d_backward.default": _GRADIENT,
    "convolution_backward.default": _GRADIENT,
    "embedding_dense_backward.default": _GRADIENT,
    "max_pool2d_with_indices_backward.default": _GRADIENT,
    "native_group_norm_backward.default": _GRADIENT,
    "native_layer_norm_backward.default": _GRADIENT,
    "atan2.out": "it writes into an argument; run_decompositions() writes atan2.default",
    "resize_.default": "it changes dims in place, and what is new in it has no numbers",
}


def core() -> list[str]:
    """The overloads with the tag `core`, as "conv2d.default"."""
    found = []
    for schema in torch._C._jit_get_all_schemas():
        room, _, name = schema.name.partition("::")
        if room != "aten":
            continue
        overload = schema.overload_name or "default"
        packet = getattr(aten, name, None)
        op = getattr(packet, overload, None)
        if op is not None and torch.Tag.core in op.tags:
            found.append(f"{name}.{overload}")
    return sorted(found)


def test_every_core_operator_is_read_or_there_is_a_reason() -> None:
    names = core()
    assert len(names) > 180
    read = {n for n in names if handler_of(f"aten.{n}") or f"aten.{n}" in SIZE_FUNCTIONS}
    assert set(names) - read <= set(UNREAD)


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def floats(*shape: int, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def flat(made: Any) -> list[Any]:
    if isinstance(made, tuple | list):
        return [x for part in made for x in flat(part)]
    return [torch.as_tensor(made)]


def arrays(inputs: Any) -> list[np.ndarray]:
    plain = [x.numpy() for x in inputs]
    return [a.astype(np.int32) if a.dtype == np.int64 else a for a in plain]


def same(got: dict[str, np.ndarray], wanted: list[Any]) -> None:
    assert len(got) == len(wanted)
    for (name, value), want in zip(got.items(), wanted, strict=True):
        want = want.detach().numpy()
        assert value.shape == want.shape, name
        np.testing.assert_allclose(value, want.astype(value.dtype), 1e-4, 1e-4, err_msg=name)


def agree(module: Any, *inputs: Any) -> Any:
    """The numbers of PyTorch, of the program as it is exported."""
    module = module.eval() if isinstance(module, nn.Module) else Of(module).eval()
    model = from_torch(torch.export.export(module, inputs))
    got = model(dict(zip([n for n, _ in model.inputs], arrays(inputs), strict=True)))
    with torch.no_grad():
        same(got if isinstance(got, dict) else {"result": got}, flat(module(*inputs)))
    return model


X, Y = floats(3, 4), floats(3, 4, seed=1)
PICTURE, VOLUME = floats(2, 3, 7, 6), floats(1, 2, 5, 4, 6)
WHOLE = torch.tensor([[3, -2, 5, 0], [7, 1, -4, 2], [6, 6, 1, -3]])
INDEX = torch.tensor([[0, 2, 1, 0], [1, 1, 0, 2]])

OPERATORS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "numbers": (
        lambda x, y: (
            aten.add.Scalar(x, 2), aten.sub.Scalar(x, 2), aten.mul.Scalar(x, 2.5),
            aten.div.Scalar(x, 3), aten.div.Scalar_mode(x, 0.4, rounding_mode="floor"),
            aten.div.Tensor_mode(x, y, rounding_mode="trunc"), aten.fmod.Scalar(x, 0.7),
            aten.fmod.Tensor(x, y), aten.remainder.Scalar(x, 0.7), aten.remainder.Tensor(x, y),
            aten.pow.Scalar(2, x), aten.pow.Tensor_Scalar(x, 3), aten.clamp.Tensor(x, y, y + 1),
            aten.fill.Scalar(x, 3.5), aten.scalar_tensor(2.5), aten.copy(x, y[0]),
            aten.elu(x, 0.5, 2.0, 3.0), aten.hardtanh(x, -0.3, 0.6), aten.leaky_relu(x, 0.2),
            aten.gelu(x, approximate="tanh"), aten.log10(x.abs() + 1), aten.full_like(x, 7)),
        (X, Y)),
    "whole numbers": (
        lambda i: (
            aten.bitwise_and.Scalar(i, 3), aten.bitwise_or.Scalar(i, 8),
            aten.bitwise_xor.Scalar(i, 5), aten.bitwise_not(i), aten.remainder.Scalar(i, 3),
            aten.remainder.Scalar(i, -3), aten.fmod.Scalar(i, 3), aten.abs(i), aten.sign(i),
            aten.div.Tensor_mode(i, i * 0 + 2, rounding_mode="floor"),
            aten.div.Tensor_mode(i, i * 0 + 2, rounding_mode="trunc"), aten.amax(i, [1]),
            aten.cumsum(i, 0), aten.sort(i, 1)[0], aten.prod.dim_int(i, 1), aten.mean(i + 0.0)),
        (WHOLE,)),
    "reductions": (
        lambda x: (
            aten.any(x > 2), aten.any.dim(x > 1, 1), aten.any.dims(x > 1, [0, 1]),
            aten.amax(x, [0, 1], True), aten.amin(x, [-1]), aten.argmax(x), aten.argmin(x, 0, True),
            *aten.max.dim(x, -1), *aten.min.dim(x, 0, True), aten.mean.dim(x, [0], True),
            aten.sum.dim_IntList(x, [1]), aten.sum.dim_IntList(x, None), aten.prod(x),
            aten.var.correction(x, [1], correction=0, keepdim=True), aten.var.dim(x, [0]),
            *aten.topk(x, 2, 0, False), aten._log_softmax(x, 0, False), aten._softmax(x, -1, False),
            aten._cdist_forward(x, x + 1, 2.0, None), aten._pdist_forward(x, 2.0)),
        (X,)),
    "places": (
        lambda x, i: (
            aten.gather(x, 0, i), aten.scatter.value(x, 0, i[:1], 9.0),
            aten.scatter.src(x, 0, i[:1], x[:1]), aten.scatter_add(x, 0, i, x[1:]),
            aten.scatter_reduce.two(x, 0, i, x[:2], "amax"),
            aten.scatter_reduce.two(x, 0, i, x[:2], "sum"), aten.index_select(x, 1, i[0]),
            aten.index_put(x, [i[0, :2]], x[:2], True), aten.select_scatter(x, x[0], 0, -1),
            aten.slice_scatter(x, x[:, :2], 1, 0, 4, 2), aten.masked_scatter(x, x > 0, x)),
        (X, INDEX)),
    "shapes": (
        lambda x: (
            aten.diagonal(x, 1, 1, 2), aten.diagonal(x, -1, 0, 2), aten.expand(x, [2, -1, -1, -1]),
            aten.flip(x, [0, -1]), aten.repeat(x, [2, 1, 1, 2]), aten.squeeze.dims(x[:1], [0, 1]),
            *aten.split_with_sizes(x, [1, 3], 2), aten.constant_pad_nd(x, [1, -1, 2, 0], 4.0),
            aten.permute(x, [2, -3, 1]), aten.view(x, [3, -1]), aten.slice.Tensor(x, 2, -3, 99, 2)),
        (floats(3, 5, 4),)),
    "pictures": (
        lambda x: (
            *aten.max_pool2d_with_indices(x, [3, 2], [2, 2], [1, 0]),
            aten.avg_pool2d(x, [3, 3], [2, 2], [1, 1], True, False),
            aten._adaptive_avg_pool2d(x, [3, 2]), aten.reflection_pad2d(x, [1, 2, 0, 3]),
            aten.replication_pad2d(x, [1, 2, 0, 3]),
            aten.upsample_nearest2d.vec(x, [9, 5], None), aten.grid_sampler_2d(
                x, aten.tanh(x[:, :2].permute(0, 2, 3, 1)), 0, 0, False),
            aten.upsample_bilinear2d.vec(x, None, True, [2.0, 1.5]),
            *aten.native_group_norm(x, None, None, 2, 3, 42, 3, 1e-5),
            *aten.native_layer_norm(x, [7, 6], None, None, 1e-5),
            aten.col2im(x.flatten(1)[:, :48].reshape(2, 12, 4), [3, 3], [2, 2], [1, 1], [0, 0],
                        [1, 1])),
        (PICTURE,)),
    "volumes": (
        lambda x: (
            *aten.max_pool3d_with_indices(x, [2, 2, 3]), aten.avg_pool3d(x, [2, 1, 2]),
            aten._adaptive_avg_pool3d(x, [2, 2, 3]), aten.reflection_pad3d(x, [1, 1, 2, 0, 1, 2]),
            aten.replication_pad3d(x, [1, 1, 2, 0, 1, 2]), aten.avg_pool1d(x[0, 0], [2]),
            aten.adaptive_avg_pool1d(x[0, 0], [3]), aten.reflection_pad1d(x[0, 0], [2, 1])),
        (VOLUME,)),
    "batches": (
        lambda x: (
            aten._native_batch_norm_legit.no_stats(x, None, None, True, 0.1, 1e-5)[0],
            aten._native_batch_norm_legit_no_training(
                x, None, None, x.mean((0, 2, 3)), x.var((0, 2, 3)), 0.1, 1e-5)[0],
            aten._embedding_bag(x[0, 0], torch.tensor([1, 2, 4]), torch.tensor([0, 2]))[0]),
        (PICTURE,)),
    "maxima with places": (
        lambda x, v: (
            *F.adaptive_max_pool2d(x, (3, 2), return_indices=True),
            *F.adaptive_max_pool2d(x, (1, 1), return_indices=True),
            *F.adaptive_max_pool1d(x[0], 3, return_indices=True),
            *F.adaptive_max_pool3d(v, (2, 3, 2), return_indices=True),
            F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2, output_size=(7, 6)),
            F.max_unpool3d(*F.max_pool3d(v, 2, return_indices=True), 2, output_size=(5, 4, 6)),
            F.max_unpool1d(*F.max_pool1d(x[0], 2, return_indices=True), 2)),
        (PICTURE, VOLUME)),
    "memory": (
        lambda x: (
            aten.as_strided(x, [2, 3], [1, 2]), aten.as_strided(x, [2, 4], [4, 1], 4),
            aten.as_strided(x, [4, 3], [2, 1]), aten.as_strided(x, [], [], 5),
            x.t().as_strided((3, 2), (1, 5)),
            x[1:].as_strided((2, 2), (4, 2)), x.as_strided((3, 3), (4, 0), 1),
            x.as_strided_scatter(x[:2, 0] * 9, (2,), (5,), 1)),
        (X,)),
    "nothing of memory": (lambda x: (x, aten.as_strided(x, [2, 0], [1, 1])), (X,)),
    "written through memory": (
        lambda x: (lambda y: (y, y.as_strided((2, 2), (5, 1)).mul_(3), y + 0))(x.clone()), (X,)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_against_torch(name: str) -> None:
    function, inputs = OPERATORS[name]
    agree(function, *inputs)


@pytest.mark.parametrize("kind", ["two layers", "both ways", "no bias", "batch first"])
def test_lstm_with_projections(kind: str) -> None:
    torch.manual_seed(2)
    module = nn.LSTM(
        5, 6, 1 + (kind == "two layers"), proj_size=3, bidirectional=kind == "both ways",
        bias=kind != "no bias", batch_first=kind == "batch first",
    )  # fmt: skip
    agree(module, floats(4, 2, 5))


def test_it_does_not_read_memory_of_others() -> None:
    with pytest.raises(FanlightError, match="beside its argument"):
        from_torch(torch.export.export(Of(lambda x: x[1:].as_strided((2,), (1,), 0)), (X,)))
    with pytest.raises(FanlightError, match="one block"):
        from_torch(torch.export.export(Of(lambda x: x[:, ::2].as_strided((2,), (1,))), (X,)))


def test_numbers_are_drawn_once() -> None:
    def draw(x: Any) -> Any:
        return (
            torch.rand(4, 100), torch.randn_like(x), torch.randperm(9), torch.randint(3, 7, (99,)),
            torch.bernoulli(x.sigmoid()), torch.normal(x, 2.0), x,
        )  # fmt: skip

    module = from_torch(torch.export.export(Of(draw), (floats(40, 50),)))
    given = {module.inputs[0][0]: floats(40, 50).numpy()}
    even, normal, order, whole, ones, around, x = module(given).values()
    assert 0.4 < even.mean() < 0.6 and 0 <= even.min() <= even.max() < 1
    assert abs(normal.mean()) < 0.1 and 0.9 < normal.std() < 1.1
    assert sorted(order.tolist()) == list(range(9))
    assert set(whole.tolist()) == {3, 4, 5, 6}
    assert set(np.unique(ones)) == {0.0, 1.0} and abs(ones.mean() - 0.5) < 0.1
    assert 1.9 < (around - x).std() < 2.1
    np.testing.assert_array_equal(even, next(iter(module(given).values())))
    assert any("drawn once" in w for w in module.source.warnings)


@pytest.mark.parametrize("name", ["maxima with places", "memory"])
def test_the_bundle_computes_it(name: str, tmp_path: Path) -> None:
    function, inputs = OPERATORS[name]
    module = Of(function).eval()
    model = from_torch(torch.export.export(module, inputs))
    bundle = fl.build(model, tmp_path)
    given = dict(zip([n for n, _ in model.inputs], arrays(inputs), strict=True))
    same(bundle.run(given, host="wasm"), flat(module(*inputs)))
