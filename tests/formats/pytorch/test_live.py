"""Modules as people have them: what PyTorch must write in simpler operators, and mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.formats.pytorch.modules import F, Of, floats, nn, torch

pytestmark = pytest.mark.filterwarnings("ignore")


def agree(module: Any, *inputs: Any) -> fl.Model:
    module = module.eval() if isinstance(module, nn.Module) else Of(module).eval()
    want = []
    with torch.no_grad():
        made = module(*inputs)
    for w in made if isinstance(made, tuple | list) else [made]:
        want.extend(w if isinstance(w, tuple | list) else [w])
    model = fl.from_torch(module, inputs)
    given = {n: x.numpy() for (n, _), x in zip(model.inputs, inputs, strict=True)}
    given = {n: a.astype(np.int32) if a.dtype == np.int64 else a for n, a in given.items()}
    got = list(model(given).values())
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        w = w.detach().numpy()
        assert g.shape == w.shape
        np.testing.assert_allclose(g, w.astype(g.dtype), 1e-4, 1e-5)
    return model


def test_training_flags_stay() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout())
    module.train()
    module[1].eval()
    fl.from_torch(module, (torch.zeros(2, 4),))
    assert [m.training for m in module.modules()] == [True, True, False, True]


RARE = {
    "weight norm": (nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 3)), floats(1, 3, 8)),
    "affine grid": (
        lambda x, t: F.grid_sample(
            x, F.affine_grid(t, (1, 3, 4, 4), align_corners=False), align_corners=False
        ),
        floats(1, 3, 5, 6), floats(1, 2, 3, seed=1),
    ),
    "affine grid aligned": (
        lambda t: F.affine_grid(t, (1, 3, 4, 1), align_corners=True), floats(1, 2, 3),
    ),
    "isin": (
        lambda i: (torch.isin(i, torch.tensor([1, 2])), torch.isin(i, 3, invert=True)),
        torch.arange(6).reshape(2, 3),
    ),
    "shifts": (lambda i: (i << 1, i >> 1, 1 << i), torch.tensor([[0, 5, 3], [-7, 1, 2]]).abs()),
    "masked scatter": (lambda x, s: x.masked_scatter(x > 0, s), floats(3, 4), floats(12, seed=1)),
    "windows": (lambda x: (x.unfold(1, 3, 2), x.unfold(0, 2, 1)), floats(4, 9)),
    "fold": (lambda x: F.fold(x, (8, 9), 3, padding=1, stride=2), floats(2, 27, 20)),
    "fold dilated": (lambda x: F.fold(x, (7, 8), 2, dilation=2), floats(12, 30)),
    "bags": (nn.EmbeddingBag(20, 4), torch.tensor([[1, 2, 3], [4, 4, 19]])),
    "bags padded": (
        lambda i, w: (
            F.embedding_bag(i, w, torch.tensor([0, 2, 2]), mode="sum", padding_idx=2),
            F.embedding_bag(i, w, torch.tensor([0, 3]), mode="max"),
            F.embedding_bag(i, w, torch.tensor([0, 4]), mode="mean", padding_idx=3),
        ),
        torch.tensor([2, 0, 1, 3, 3]), floats(5, 3),
    ),
    "pdist": (lambda x: (F.pdist(x), F.pdist(x, 1), F.pdist(x, 3)), floats(4, 3)),
    "median": (
        lambda x: (x.median(), *x.median(1), *x.median(0, keepdim=True)), floats(3, 4),
    ),
    "rrelu": (nn.RReLU(), floats(3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", RARE)
def test_rare_operators(name: str) -> None:
    agree(*RARE[name])


WRITTEN_SIMPLER = {
    "cross": (lambda x, y: torch.linalg.cross(x, y), floats(2, 3), floats(2, 3, seed=1)),
    "out": (lambda x: torch.add(x, 1, out=torch.empty(2, 3)) * 2, floats(2, 3)),
    "dims in place": (lambda x: x.clone().t_().mul_(2), floats(2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN_SIMPLER)
def test_written_simpler(name: str) -> None:
    agree(*WRITTEN_SIMPLER[name])


def test_what_is_known_stays_whole() -> None:
    """Only what has no importer is taken apart: a GELU beside it stays one."""
    model = agree(lambda x, y: F.gelu(torch.linalg.cross(x, y)), floats(2, 3), floats(2, 3, seed=1))
    kinds = [n.op for n in model.source.graph.nodes]
    assert kinds.count("gelu") == 1 and "erf" not in kinds, kinds


def test_options_that_an_importer_lacks() -> None:
    """Projections of an LSTM are not imported, but written as products by PyTorch."""
    torch.manual_seed(0)
    agree(nn.LSTM(4, 6, proj_size=3), floats(3, 1, 4))


def test_cubic_grids() -> None:
    agree(
        lambda x, g: F.grid_sample(x, g, mode="bicubic", padding_mode="border"),
        floats(1, 2, 4, 5),
        floats(1, 3, 3, 2, seed=1).tanh(),
    )


def test_results_of_classes_of_their_own() -> None:
    agree(lambda x: torch.topk(x, 3), floats(2, 9))
    agree(lambda x: (x.max(1), [*torch.sort(x, 1)], x.amin(0)), floats(2, 9))


def refused(code: str, *words: str, module: Any, inputs: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        fl.from_torch(module, inputs)
    assert caught.value.code == code, caught.value
    assert caught.value.__cause__ is None
    for word in words:
        assert word in str(caught.value)


def branching(x: Any) -> Any:
    return x * 2 if x.sum() > 0 else x - 1


def test_mistakes_are_told() -> None:
    linear = nn.Linear(2, 2)
    refused("E-FORMAT-018", "(1, 3)", "Linear", module=linear, inputs=(torch.zeros(1, 3),))
    refused("E-FORMAT-018", "tuple", module=linear, inputs=(torch.zeros(1, 2), torch.zeros(2)))
    refused("E-FORMAT-017", "example_inputs", module=linear, inputs=None)
    refused("E-FORMAT-019", "torch.where", module=Of(branching), inputs=(torch.zeros(2, 4),))
    traced = torch.jit.trace(linear, torch.zeros(1, 2))
    refused("E-FORMAT-002", "nn.Module", module=traced, inputs=(torch.zeros(1, 2),))


def test_quantised_modules_are_told() -> None:
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("this PyTorch has no quantised layers")
    from torch.ao.quantization import quantize_dynamic

    module = quantize_dynamic(nn.Sequential(nn.Linear(4, 4)), {nn.Linear})
    refused("E-FORMAT-008", "before", "quantize", module=module, inputs=(torch.zeros(2, 4),))


def test_examples_of_numpy() -> None:
    module = nn.Linear(2, 2)
    x = np.ones((1, 2), np.float32)
    with torch.no_grad():
        want = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(fl.from_torch(module, (x,))(x), want, 1e-6, 1e-6)


class Keywords(nn.Module):
    """Takes inputs by keyword, as modules of transformers do."""

    def forward(self, ids: Any = None, *, mask: Any = None, scale: Any = 1) -> dict[str, Any]:
        if ids is None:
            raise ValueError("You have to give ids")
        return {"scaled": ids * scale, "masked": ids - mask}


def test_examples_by_keyword() -> None:
    ids, mask = floats(2, 3), np.ones((2, 3), np.float32)
    model = fl.from_torch(Keywords(), {"mask": mask, "ids": ids})
    assert {n for n, _ in model.inputs} == {"ids", "mask"}
    got = model({"ids": ids.numpy(), "mask": mask})
    np.testing.assert_array_equal(got["scaled"], ids.numpy())
    np.testing.assert_array_equal(got["masked"], ids.numpy() - mask)
    got = fl.from_torch(Keywords(), {"ids": ids, "mask": mask, "scale": 3})(
        {"ids": ids.numpy(), "mask": mask}
    )
    np.testing.assert_allclose(got["scaled"], ids.numpy() * 3)
    refused("E-FORMAT-018", "mask=torch.float32 (2, 3)", "have to give ids", "keyword",
            module=Keywords(), inputs={"mask": torch.ones(2, 3)})  # fmt: skip
    refused("E-FORMAT-018", "unexpected keyword", module=nn.Linear(3, 2), inputs={"x": ids})


def test_a_dict_as_an_argument() -> None:
    module, batch = Of(lambda d: d["a"] - d["b"]), {"a": floats(2, 3), "b": floats(2, 3, seed=1)}
    model = fl.from_torch(module, (batch,))
    given = {n: batch[n[-1]].numpy() for n, _ in model.inputs}
    (got,) = model(given).values()
    np.testing.assert_allclose(got, module(batch).numpy())


def test_places_of_maxima() -> None:
    x = floats(2, 3, 7, 8)
    agree(lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True), x)
    agree(lambda x: F.max_pool2d(x, 2, ceil_mode=True, return_indices=True), x[0])
    agree(lambda x: F.max_pool1d(x[0], 2, dilation=2, return_indices=True), x)
    agree(lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), x[..., :6, :])


def test_places_that_nothing_uses() -> None:
    model = agree(lambda x: F.max_pool2d(x, 2, return_indices=True)[0], floats(1, 3, 4, 4))
    assert "greater" not in [n.op for n in model.source.graph.nodes]


def test_results_that_are_not_supported() -> None:
    def bags(x: Any) -> Any:
        places, starts = torch.tensor([0, 1, 2]), torch.tensor([0, 2])
        sums, bag_of_each, *_ = torch.ops.aten._embedding_bag(x, places, starts)
        return sums, bag_of_each

    refused("E-FORMAT-012", "_embedding_bag", module=Of(bags), inputs=(floats(3, 4),))


def test_a_decision_of_the_graph() -> None:
    offset = floats(4, seed=3)

    def decide(x: Any) -> Any:
        def then(x: Any) -> Any:
            y = x * 2 + offset
            y[0].mul_(3)
            return y, x.sum()

        return torch.cond(x.sum() > 0, then, lambda x: (x.clone(), x.sum() - 1), (x,))

    x = torch.ones(2, 4)
    model = agree(decide, x)
    assert "cond" in [n.op for n in model.source.graph.nodes]
    for given in (x, -x):
        for got, want in zip(model(given.numpy()).values(), decide(given), strict=True):
            np.testing.assert_allclose(got, want.numpy(), 1e-6)


def test_what_pytorch_cannot_write_down_is_told() -> None:
    def then(x: Any) -> Any:
        y = x * 2
        y[0] = 1  # a number that PyTorch keeps beside the graph of the branch
        return y

    def decide(x: Any) -> Any:
        return torch.cond(x.sum() > 0, then, lambda x: x - 1, (x,))

    try:
        model = fl.from_torch(Of(decide), (torch.ones(2, 4),))
    except FanlightError as error:
        assert error.code == "E-FORMAT-012" and "writes down" in str(error)
    else:  # a newer PyTorch can
        x = -np.ones((2, 4), np.float32)
        np.testing.assert_allclose(model(x), x - 1)


def test_what_no_decomposition_helps_is_named() -> None:
    module = Of(lambda x: torch.linalg.inv(x @ x.T + torch.eye(3)))
    refused("E-FORMAT-013", "linalg_inv", module=module, inputs=(floats(3, 3),))
    with pytest.raises(FanlightError) as caught:
        fl.from_torch(module, (floats(3, 3),))
    # That is done already.
    assert "run_decompositions" not in str(caught.value)


class _Causal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.triu(torch.full((5, 5), float("-inf")), 1))

    def forward(self, x: Any) -> Any:
        return torch.softmax(x + self.mask, -1)


class _Padded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Any, m: Any) -> Any:
        return self.attention(x, x, x, key_padding_mask=m == 0, need_weights=False)[0]


KEPT = torch.tensor([[1, 1, 1, 0, 0]])
MASKED = {
    "scalar": (Of(lambda x, m: torch.softmax(x.masked_fill(m == 0, -torch.inf), -1)),
               floats(1, 5), KEPT),
    "causal": (_Causal(), floats(1, 5, 5)),
    "padding": (_Padded(), floats(1, 5, 8), KEPT),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKED)
def test_masks_of_minus_infinity_become_pages(name: str, tmp_path: Any) -> None:
    module, *inputs = MASKED[name]
    model = agree(module, *inputs)
    with torch.no_grad():
        want = module.eval()(*inputs).numpy()
    arrays = [x.numpy().astype(np.int32 if x.dtype == torch.int64 else np.float32) for x in inputs]
    with fl.build(model, tmp_path / "page") as bundle:
        feeds = dict(zip((n for n, _ in model.inputs), arrays, strict=True))
        (made,) = bundle.run(feeds, host="wasm").values()
    np.testing.assert_allclose(made, want, 1e-5, 1e-6)
