"""Each operator against PyTorch itself: tiny modules, exported as they are and decomposed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from fanlight import from_torch
from tests.formats.pytorch.modules import F, Of, floats, nn, torch

# torch warns of its own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore")


def agree(module: Any, *inputs: Any, decomposed: bool = True) -> None:
    """Fanlight's numbers are PyTorch's, from the graph as exported and from its core form."""
    torch.manual_seed(0)
    module = module.eval() if isinstance(module, nn.Module) else Of(module).eval()
    with torch.no_grad():
        expected = module(*inputs)
        program = torch.export.export(module, inputs)
    expected = list(expected) if isinstance(expected, tuple | list) else [expected]
    flat = []
    for e in expected:
        flat.extend(e if isinstance(e, tuple | list) else [e])
    programs = [program, program.run_decompositions()] if decomposed else [program]
    for p in programs:
        model = from_torch(p)
        given = {n: x.numpy() for (n, t), x in zip(model.inputs, inputs, strict=True)}
        given = {n: a.astype(np.int32) if a.dtype == np.int64 else a for n, a in given.items()}
        results = list(model(given).values())
        assert len(results) == len(flat)
        for got, want in zip(results, flat, strict=True):
            want = want.numpy()
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want.astype(got.dtype), 1e-4, 1e-4)


LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), (2, 4, 11)),
    "conv2d": (lambda: nn.Conv2d(4, 6, (3, 5), (2, 1), (1, 2), (1, 1)), (2, 4, 9, 8)),
    "conv2d dilated": (lambda: nn.Conv2d(4, 6, 3, padding=2, dilation=2), (1, 4, 9, 8)),
    "conv2d same": (lambda: nn.Conv2d(4, 6, 4, padding="same"), (1, 4, 9, 8)),
    "conv2d grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2), (1, 4, 7, 7)),
    "conv2d depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4, bias=False), (1, 4, 7, 7)),
    "conv2d alone": (lambda: nn.Conv2d(4, 6, 3), (4, 7, 7)),
    "conv2d reflect": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), (1, 4, 7, 7)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 3, padding=1, stride=2), (1, 2, 5, 6, 7)),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(4, 3, 3, 2, 1, 1), (1, 4, 7)),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1), (1, 4, 5, 6)),
    "conv_transpose2d grouped": (lambda: nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=2), (1, 4, 5, 6)),
    "conv_transpose2d dilated": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, dilation=2), (1, 4, 5, 6)),
    "conv_transpose3d": (lambda: nn.ConvTranspose3d(2, 3, 2, 2), (1, 2, 3, 4, 3)),
    "batch_norm2d": (lambda: nn.BatchNorm2d(4), (2, 4, 5, 5)),
    "batch_norm1d": (lambda: nn.BatchNorm1d(4, affine=False), (2, 4)),
    "instance_norm": (lambda: nn.InstanceNorm2d(4, affine=True), (2, 4, 5, 5)),
    "group_norm": (lambda: nn.GroupNorm(2, 4), (2, 4, 5, 5)),
    "layer_norm": (lambda: nn.LayerNorm(6), (2, 5, 6)),
    "layer_norm two": (lambda: nn.LayerNorm((5, 6), elementwise_affine=False), (2, 5, 6)),
    "rms_norm": (lambda: nn.RMSNorm(6), (2, 5, 6)),
    "local_response_norm": (lambda: nn.LocalResponseNorm(3), (2, 4, 5, 5)),
    "linear": (lambda: nn.Linear(6, 3), (2, 5, 6)),
    "linear of a vector": (lambda: nn.Linear(6, 3), (6,)),
    "max_pool2d": (lambda: nn.MaxPool2d(3, 2, 1), (1, 4, 8, 9)),
    "max_pool2d ceil": (lambda: nn.MaxPool2d(3, 2, ceil_mode=True), (1, 4, 8, 8)),
    "max_pool2d dilated": (lambda: nn.MaxPool2d(2, 2, dilation=2), (1, 4, 8, 8)),
    "max_pool1d": (lambda: nn.MaxPool1d(3), (1, 4, 10)),
    "max_pool3d": (lambda: nn.MaxPool3d(2), (1, 2, 4, 6, 4)),
    "avg_pool2d": (lambda: nn.AvgPool2d(3, 2, 1), (1, 4, 8, 9)),
    "avg_pool2d ceil": (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), (1, 4, 8, 8)),
    "avg_pool2d uncounted": (lambda: nn.AvgPool2d(3, 2, 1, False, False), (1, 4, 8, 9)),
    "avg_pool2d divisor": (lambda: nn.AvgPool2d(3, 2, divisor_override=5), (1, 4, 8, 9)),
    "avg_pool1d": (lambda: nn.AvgPool1d(3, 2), (1, 4, 10)),
    "avg_pool3d": (lambda: nn.AvgPool3d(2), (1, 2, 4, 6, 4)),
    "adaptive_avg_pool2d": (lambda: nn.AdaptiveAvgPool2d(1), (1, 4, 8, 9)),
    "adaptive_avg_pool2d even": (lambda: nn.AdaptiveAvgPool2d((4, 3)), (1, 4, 8, 9)),
    "adaptive_avg_pool2d uneven": (lambda: nn.AdaptiveAvgPool2d((3, 5)), (1, 4, 8, 9)),
    "adaptive_avg_pool1d": (lambda: nn.AdaptiveAvgPool1d(3), (1, 4, 8)),
    "prelu": (lambda: nn.PReLU(4), (2, 4, 3, 3)),
    "upsample nearest": (lambda: nn.Upsample(scale_factor=2), (1, 3, 4, 5)),
    "upsample bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 3, 4, 5)),
    "upsample aligned": (
        lambda: nn.Upsample(size=(7, 9), mode="bilinear", align_corners=True),
        (1, 3, 4, 5),
    ),
    "upsample bicubic": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), (1, 3, 4, 5)),
    "upsample uneven": (lambda: nn.Upsample(scale_factor=1.3, mode="bilinear"), (1, 3, 4, 5)),
    "upsample exact": (lambda: nn.Upsample(size=(7, 7), mode="nearest-exact"), (1, 3, 4, 5)),
    "upsample linear": (lambda: nn.Upsample(scale_factor=2, mode="linear"), (1, 3, 5)),
    "pixel_shuffle": (lambda: nn.PixelShuffle(2), (1, 8, 3, 4)),
    "pixel_unshuffle": (lambda: nn.PixelUnshuffle(2), (1, 2, 4, 6)),
    "channel_shuffle": (lambda: nn.ChannelShuffle(2), (1, 4, 3, 3)),
    "unfold": (lambda: nn.Unfold(3, padding=1, stride=2), (1, 2, 5, 6)),
    "zero_pad": (lambda: nn.ZeroPad2d((1, 2, 0, 1)), (1, 2, 3, 4)),
    "reflection_pad": (lambda: nn.ReflectionPad2d((1, 2, 0, 1)), (1, 2, 3, 4)),
    "replication_pad": (lambda: nn.ReplicationPad2d((1, 2, 0, 1)), (1, 2, 3, 4)),
    "circular_pad": (lambda: nn.CircularPad2d(1), (1, 2, 3, 4)),
    "lstm": (lambda: nn.LSTM(5, 4, 2, bidirectional=True, batch_first=True), (2, 6, 5)),
    "gru": (lambda: nn.GRU(5, 4, 2), (6, 2, 5)),
    "rnn": (lambda: nn.RNN(5, 4, nonlinearity="relu", bias=False), (6, 2, 5)),
    "lstm alone": (lambda: nn.LSTM(5, 4), (6, 5)),
    "transformer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(1)
    module = make()
    for key, value in module.state_dict().items():
        if "running_var" in key:
            value.uniform_(0.5, 2)
        elif "running_mean" in key:
            value.normal_()
    # Decomposed recurrent layers are many nodes: once is enough.
    agree(module, floats(*shape), decomposed=not name.startswith(("lstm alone", "rnn")))


UNARY = (
    "abs neg sign square floor ceil round sqrt rsqrt reciprocal exp expm1 log log1p sin cos tan "
    "asin acos atan sinh cosh asinh acosh atanh erf erfc sigmoid tanh trunc frac log2 log10 exp2 "
    "isnan isinf isfinite nan_to_num logical_not relu"
).split()
POSITIVE = "sqrt rsqrt reciprocal log log1p log2 log10 asin acos atanh".split()


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    x = floats(3, 4)
    if name in POSITIVE:
        x = torch.sigmoid(x)
    if name == "acosh":
        x = x.abs() + 1.1
    agree(getattr(torch, name), x)


ACTIVATIONS = (
    "relu6 hardtanh hardsigmoid hardswish silu mish selu elu celu gelu leaky_relu softplus "
    "logsigmoid softsign tanhshrink softshrink hardshrink"
).split()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    agree(getattr(F, name), floats(3, 7) * 4)


BINARY = (
    "add sub mul div floor_divide remainder fmod maximum minimum atan2 hypot eq ne lt le gt ge "
    "logical_and logical_or logical_xor fmax fmin"
).split()


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str) -> None:
    agree(getattr(torch, name), floats(3, 4), floats(4, seed=1))


ROWS = torch.tensor([[0, 2, 1], [3, 3, 0]])
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "numbers": (lambda x: (2 - x) * 3 + x / 4 - 1, (floats(3, 4),)),
    "whole numbers": (lambda i: (i * 2 + 1, i / 2, i // 2, i % 2, i * 0.5, -i), (ROWS,)),
    "promotion": (lambda i, x: i + x, (ROWS, floats(2, 3))),
    "bools": (lambda x: (x > 0) & (x < 1) | (x > 2), (floats(3, 4),)),
    "bool arithmetic": (lambda x: (x > 0) * x + (x > 1), (floats(3, 4),)),
    "not": (lambda x: ~(x > 0), (floats(3, 4),)),
    "pow": (lambda x: (x**2, x**3, x.abs() ** 0.5, x.abs() ** 1.7, 2**x), (floats(3, 4),)),
    "rsub": (lambda x: torch.rsub(x, 2), (floats(3),)),
    "alpha": (lambda x, y: torch.add(x, y, alpha=2), (floats(3), floats(3, seed=1))),
    "div modes": (
        lambda x, y: (
            torch.div(x, y, rounding_mode="floor"),
            torch.div(x, y, rounding_mode="trunc"),
        ),
        (floats(5), floats(5, seed=1)),
    ),
    "where": (lambda x: (torch.where(x > 0, x, -x), torch.where(x > 0, x, 1.0)), (floats(3, 4),)),
    "masked_fill": (lambda x: x.masked_fill(x > 0, float("-inf")), (floats(3, 4),)),
    "clamp": (lambda x: (x.clamp(-1, 1), x.clamp(min=0.2), x.clamp(max=0.1)), (floats(9),)),
    "lerp": (lambda x, y: torch.lerp(x, y, 0.3), (floats(5), floats(5, seed=1))),
    "addcmul": (lambda x, y: torch.addcmul(x, y, y, value=0.5), (floats(5), floats(5, seed=1))),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), (floats(9),)),
    "glu": (lambda x: F.glu(x, 1), (floats(3, 4),)),
    "matmul": (lambda x, y: x @ y, (floats(2, 3, 4), floats(4, 5, seed=1))),
    "matmul vectors": (lambda x, y: (x @ y, y @ x.T, y @ y), (floats(3, 4), floats(4, seed=1))),
    "bmm": (torch.bmm, (floats(2, 3, 4), floats(2, 4, 5, seed=1))),
    "baddbmm": (torch.baddbmm, (floats(2, 3, 5), floats(2, 3, 4), floats(2, 4, 5, seed=1))),
    "addmm": (
        lambda b, x, y: torch.addmm(b, x, y, beta=0.5, alpha=2),
        (floats(5), floats(3, 4), floats(4, 5, seed=1)),
    ),
    "einsum": (
        lambda x, y: torch.einsum("bij,bkj->bik", x, y),
        (floats(2, 3, 4), floats(2, 5, 4, seed=1)),
    ),
    "outer": (torch.outer, (floats(3), floats(4))),
    "embedding": (lambda i, w: F.embedding(i, w), (ROWS, floats(4, 5))),
    "softmax": (lambda x: (x.softmax(1), x.log_softmax(-1)), (floats(2, 3, 4),)),
    "attention": (
        lambda q, k: F.scaled_dot_product_attention(q, k, k),
        (floats(1, 2, 5, 4), floats(1, 2, 6, 4)),
    ),
    "attention causal": (
        lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True),
        (floats(1, 2, 5, 4),),
    ),
    "attention mask": (
        lambda q, m: F.scaled_dot_product_attention(q, q, q, attn_mask=m > 0),
        (floats(1, 2, 5, 4), torch.eye(5) + torch.ones(5, 5).tril()),
    ),
    "cosine": (lambda x, y: F.cosine_similarity(x, y), (floats(3, 4), floats(3, 4, seed=1))),
    "normalize": (lambda x: F.normalize(x, dim=-1), (floats(3, 4),)),
    "cdist": (torch.cdist, (floats(3, 4), floats(5, 4, seed=1))),
    "view": (
        lambda x: (x.view(-1, 2), x.reshape(4, 3), x.flatten(1), x.flatten()),
        (floats(2, 3, 2),),
    ),
    "dims": (
        lambda x: (x.unsqueeze(1), x.unsqueeze(0).squeeze(0), x.unsqueeze(1).squeeze()),
        (floats(2, 3),),
    ),
    "permute": (
        lambda x: (x.permute(2, 0, 1), x.transpose(0, 1), x.movedim(0, 2), x.mT),
        (floats(2, 3, 4),),
    ),
    "expand": (lambda x: (x.expand(5, -1, 3), x.repeat(2, 1, 3)), (floats(2, 1),)),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 1), (floats(2, 3),)),
    "cat": (
        lambda x, y: (torch.cat([x, y], 1), torch.stack([x, x], -1)),
        (floats(2, 3), floats(2, 4)),
    ),
    "split": (
        lambda x: (*x.split(2, 1), *x.chunk(2, 1), *x.unbind(0), *x.split([1, 4], 1)),
        (floats(2, 5),),
    ),
    "slices": (
        lambda x: (x[1:, ::2], x[..., -1], x[:, None, 1:-1], x.narrow(1, 1, 2)),
        (floats(3, 5),),
    ),
    "flip": (lambda x: (x.flip(0, 1), x.roll(1, 0), x.roll((1, 2), (0, 1))), (floats(3, 4),)),
    "tril": (lambda x: (x.tril(), x.triu(1)), (floats(2, 4, 4),)),
    "diagonal": (lambda x: x.diagonal(dim1=0, dim2=1), (floats(4, 4, 3),)),
    "pad cut": (lambda x: F.pad(x, (-1, 2, 1, 0), value=3.0), (floats(2, 3, 4),)),
    "created": (
        lambda x: (
            x + torch.zeros(3),
            x + torch.ones_like(x),
            x + torch.full((3,), 2.5),
            x + torch.arange(3),
            x + torch.linspace(0, 1, 3),
            x + torch.eye(3),
        ),
        (floats(2, 3, 3),),
    ),
    "sums": (
        lambda x: (x.sum(), x.sum(1), x.mean((0, 2), keepdim=True), x.prod(1)),
        (floats(2, 3, 4),),
    ),
    "extremes": (
        lambda x: (x.amax(1), x.amin((0, 1)), x.max(), x.min(1)[0], x.max(1)[1]),
        (floats(2, 3, 4),),
    ),
    "places": (lambda x: (x.argmax(1), x.argmin(-1, keepdim=True), x.argmax()), (floats(2, 3, 4),)),
    "some": (lambda x: ((x > 0).any(), (x > 0).all(1), (x > 0).sum()), (floats(2, 3, 4),)),
    "spread": (
        lambda x: (x.var(1), x.std(), x.var(1, correction=0), *torch.var_mean(x, 1)),
        (floats(2, 3, 4),),
    ),
    "norms": (
        lambda x: (x.norm(), torch.linalg.vector_norm(x, 1, 1), x.norm(p=3, dim=0)),
        (floats(3, 4),),
    ),
    "logsumexp": (lambda x: x.logsumexp(1), (floats(3, 4),)),
    "scans": (lambda x: (x.cumsum(1), x.cumprod(0)), (floats(3, 4),)),
    "topk": (lambda x: (*x.topk(2), *x.topk(2, 0, largest=False)), (floats(3, 5),)),
    "sort": (lambda x: (*x.sort(0), x.argsort(1, descending=True)), (floats(3, 5),)),
    "index_select": (lambda x, i: x.index_select(1, i), (floats(2, 4), torch.tensor([3, 0]))),
    "index": (lambda x, i: (x[i], x[:, i], x[i, i], x[:, i, i]), (floats(4, 4, 4), ROWS)),
    "index negative": (lambda x: x[:, [-1, 0]], (floats(2, 4),)),
    "gather": (lambda x, i: x.gather(1, i), (floats(2, 4), ROWS)),
    "scatter": (
        lambda x, i, s: (x.scatter(1, i, s), x.scatter_add(1, i, s), x.scatter(1, i, 2.0)),
        (floats(2, 4), torch.tensor([[0, 2, 1], [3, 1, 0]]), floats(2, 3, seed=1)),
    ),
    "index_put": (
        lambda x, s: (x.index_put((torch.tensor([0, 2]),), s),),
        (floats(4, 3), floats(2, 3)),
    ),
    "index_add": (
        lambda x, s: x.index_add(1, torch.tensor([0, 2]), s),
        (floats(3, 4), floats(3, 2)),
    ),
    "one_hot": (lambda i: F.one_hot(i, 4), (ROWS,)),
    "slice_scatter": (
        lambda x, s: (x.slice_scatter(s, 1, 1, 3), x.select_scatter(s[:, 0], 1, 2)),
        (floats(3, 4), floats(3, 2)),
    ),
    "grid_sample": (
        lambda x, g: F.grid_sample(x, g, align_corners=False),
        (floats(1, 2, 5, 6), floats(1, 3, 4, 2, seed=1).tanh()),
    ),
    "interpolate area": (
        lambda x: F.interpolate(x, size=(2, 3), mode="area"),
        (floats(1, 2, 4, 6),),
    ),
    "antialias": (
        lambda x: F.interpolate(x, size=(4, 3), mode="bilinear", antialias=True),
        (floats(1, 2, 9, 7),),
    ),
    "cast": (lambda x: (x.to(torch.int64), x.bool().float(), x.int() + 1), (floats(3, 4) * 3,)),
    "in place": (lambda x: F.relu(x.clone().add_(1).mul_(2), inplace=True), (floats(3, 4),)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    function, inputs = FUNCTIONS[name]
    agree(function, *inputs)


def test_results_by_name() -> None:
    module = Of(lambda x: {"zed": x + 1, "a": (x * 2, x)})
    made = from_torch(module, (floats(2, 3),))
    assert [name for name, _ in made.outputs] == ["zed", "a_0", "a_1"]


def test_results_of_another_class() -> None:
    class Pair(NamedTuple):
        score: Any
        box: Any

    x = floats(2, 3)
    made = from_torch(Of(lambda v: Pair(v + 1, v * 2)), (x,))
    assert [name for name, _ in made.outputs] == ["score", "box"]
    found = made({made.inputs[0][0]: x.numpy()})
    np.testing.assert_allclose(found["score"], x.numpy() + 1, 1e-6)
    np.testing.assert_allclose(found["box"], x.numpy() * 2, 1e-6)


def test_results_of_functions_that_give_several_have_their_names() -> None:
    x = floats(2, 5)
    made = from_torch(Of(lambda v: torch.topk(v, 3)), (x,))
    assert [name for name, _ in made.outputs] == ["values", "indices"]
    wanted = torch.topk(x, 3)
    found = made({made.inputs[0][0]: x.numpy()})
    np.testing.assert_allclose(found["values"], wanted.values.numpy(), 1e-6)
    np.testing.assert_array_equal(found["indices"], wanted.indices.numpy())


def test_nansum_leaves_out_what_is_no_number() -> None:
    x = torch.tensor([[1.0, float("nan"), 2.0], [float("nan")] * 3])
    made = from_torch(Of(lambda v: torch.nansum(v, 1)), (x,))
    np.testing.assert_array_equal(made(x.numpy()), [3, 0])
