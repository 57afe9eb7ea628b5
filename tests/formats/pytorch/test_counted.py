"""Results as long as the numbers want, against PyTorch itself: padded, with a count."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight import from_torch
from fanlight.errors import FanlightError
from fanlight.formats.source import Options
from fanlight.formats.torch.program import parse_program
from fanlight.formats.torch.reader import import_program
from tests.formats.pytorch.test_files import VALUES, spots

torch = pytest.importorskip("torch", reason="the oracle, torch, is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")
F = torch.nn.functional
nn = torch.nn


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


def compared(model: Any, got: dict[str, np.ndarray], wanted: list[Any]) -> None:
    """Each result is PyTorch's as far as its count says; then come its counts."""
    names = [n for n, _ in model.outputs]
    left = iter(wanted)
    seen = 0
    for index, name in enumerate(names):
        if name.endswith("_count"):
            continue
        want = next(left).numpy()
        value = got[name]
        if index + 1 < len(names) and names[index + 1] == f"{name}_count":
            count = int(got[f"{name}_count"])
            axis = next(
                (a for a, (n, m) in enumerate(zip(value.shape, want.shape, strict=True)) if n != m),
                next((a for a, m in enumerate(want.shape) if m == count), 0),
            )
            assert want.shape[axis] == count, name
            value = np.take(value, np.arange(count), axis)
        assert value.shape == want.shape, name
        np.testing.assert_allclose(value, want.astype(value.dtype), 1e-5, 1e-5, err_msg=name)
        seen += 1
    assert seen == len(wanted)


def agree(function: Any, *cases: tuple[Any, ...], decomposed: bool = False) -> Any:
    """Exported with the first inputs, as it is or in core operators; right for all of them."""
    module = Of(function).eval()
    with torch.no_grad():
        program = torch.export.export(module, cases[0])
    model = from_torch(program.run_decompositions() if decomposed else program)
    for inputs in cases:
        given = dict(zip([n for n, _ in model.inputs], arrays(inputs), strict=True))
        got = model(given)
        got = got if isinstance(got, dict) else {model.outputs[0][0]: got}
        compared(model, got, flat(module(*inputs)))
    return model


X = floats(4, 5)
# A usual one, all that is taken, and nothing that is.
TABLE = floats(7, 3)
THREE = ((X,), (X.abs() + 1,), (-X.abs() - 1,))
TWO = THREE[:2]  # where nothing taken is an error in PyTorch, too
V = torch.tensor([3, 1, 1, 0, 3, 3, 2])
VS = ((V,), (torch.full((7,), 2),), (torch.arange(7),), (-V,))


def limited(n: Any, most: int) -> Any:
    torch._check(n >= 0)
    torch._check(n <= most)
    return n


def put(x: Any) -> Any:
    y = torch.zeros_like(x)
    mask = x > 0
    y[mask] = x[mask] * 2
    return y


def put_rows(x: Any) -> Any:
    y = torch.ones_like(x)
    rows = (x[:, 0] > 0).nonzero().squeeze(1)
    y[rows] = x[rows] + 3
    return y, y.index_add(0, rows, x[rows]), y.index_fill(0, rows, 7.0)


def sizes(x: Any) -> Any:
    taken = x[x > 0]
    n = taken.shape[0]
    return n, n * 2 + 1, taken.numel() // 2, torch.full((n,), 2.0), x * n, n / 4


def parts(x: Any) -> Any:
    y = x[x[:, 1] > 0]
    return y[:2], y[1:], y[::2], y[:-1], y[:, 1:3], y[:, -1], y[0:3, 0]


def moved(x: Any) -> Any:
    y = x[x[:, 1] > 0]
    return (
        y.T, y.unsqueeze(0), y[:, :, None].squeeze(2), y.reshape(-1), y.flatten(), y.flip(0),
        y.view(-1, 5, 1), y.expand(2, -1, -1), *y.split(2, 1), *y[:, :2].unbind(1),
    )  # fmt: skip


def joined(x: Any) -> Any:
    y, z = x[x > 0], x[x < 0.5]
    return torch.cat([y, z]), torch.cat([y, x[0]]), torch.stack([y, y * 2], 1), torch.cat([x[1], y])


def by_item(x: Any, i: Any) -> Any:
    k = limited(i.item(), 3)
    return x[k], x[:k].sum(), x[k:], torch.arange(k) * 2, x[:, 0] * k


def counts_of(v: Any) -> Any:
    y = torch.bincount(v, minlength=2)
    limited(y.shape[0], 9)
    return y, y.sum()


def repeated(x: Any, times: Any) -> Any:
    y = x.repeat_interleave(times, dim=0)
    limited(y.shape[0], 30)
    return y, x.repeat_interleave(times, dim=0, output_size=6)


ONCE: dict[str, tuple[Callable[..., Any], tuple[tuple[Any, ...], ...]]] = {
    "mask": (lambda x: (x[x > 0], x[x > 0].sum(), x.masked_select(x > 0)), THREE),
    "mask of rows": (lambda x: (x[x[:, 0] > 0], x[:, x[0] > 0], x[None, :, x[0] > 0]), THREE),
    "mask of two dims": (lambda x: x.reshape(2, 2, 5)[x.reshape(2, 2, 5)[..., 0] > 0], THREE),
    "wide mask": (lambda x: x.masked_select(x[:1] > 0), THREE),
    "nonzero": (
        lambda x: (x.relu().nonzero(), torch.argwhere(x > 0), *torch.where(x > 0),
                   *x.relu().nonzero(as_tuple=True)), THREE),
    "by places": (
        lambda x: (x[(x[:, 0] > 0).nonzero().squeeze(1)],
                   x.index_select(1, (x[0] > 0).nonzero().squeeze(1)),
                   x[torch.where(x > 0)], x[torch.where(x > 0)[0], 1]), THREE),
    "reduced": (
        lambda x: (x[x > 0].sum(), x[x > 0].mean(), x[x > 0].prod(), x[x[:, 0] > 0].sum(0),
                   x[x[:, 0] > 0].sum(1), x[x[:, 0] > 0].mean(0, keepdim=True),
                   (x[x > 0] > 1).any(), (x[x > 0] > 0.1).all(), (x[x > 0] > 1).sum(),
                   x[x > 0].norm(), torch.count_nonzero(x[x > 0])), THREE),
    "extremes": (
        lambda x: (x[x > 0].max(), x[x > 0].min(), x[x > 0].argmax(), x[x > 0].argmin(),
                   *x[x[:, 0] > 0].max(0), *x[x[:, 0] > 0].min(1), x[x[:, 0] > 0].amax((0, 1))),
        ((X,), (X.abs() + 1,), (floats(4, 5, seed=3),))),
    "place of all": (
        lambda x: (x[:, x[0] > 0].argmax(), x[:, x[0] > 0].argmin(keepdim=True),
                   x.view(2, 2, 5).mT[:, x[0] > 0].argmax(), x[x[:, 0] > 0].argmax()),
        ((X,), (X.abs() + 1,), (-floats(4, 5, seed=3),))),
    "spread": (
        lambda x: (x[x[:, 1] > -9].var(0), x[x > 0].std(), x[x > 0].var(correction=0)), TWO),
    "order": (
        lambda x: (*x[x > 0].sort(), *x[x > 0].sort(descending=True), x[x > 0].cumsum(0),
                   x[x > 0].softmax(0), x[x[:, 0] > 0].softmax(1)), TWO),
    "order of what is no number": (
        lambda x: (*(x - 1).log()[x > 0].sort(stable=True), (x / 0)[x[:, 0] > 0].msort(),
                   *(x - 1).log()[x > 0].sort(stable=True, descending=True),
                   *(x - 1).log()[:, x[0] > 0].sort(stable=True)),
        ((X + 1,), (X.abs() + 0.5,), (floats(4, 5, seed=3) + 1,))),
    "first": (lambda x: (*x[x > 0].topk(3), *x[x > 0].topk(2, largest=False)), TWO),
    "elementwise": (
        lambda x: (x[x > 0] * 2 + x[x > 0], x[x[:, 0] > 0] - x[0], x[x > 0].relu().sqrt().int(),
                   torch.where(x[x > 0] > 1, x[x > 0], -1.0), x[x > 0].clamp(0.2, 0.5),
                   torch.zeros_like(x[x > 0]), x[x[:, 0] > 0][:, None] - x[:3]), THREE),
    "slopes": (
        lambda x: (F.prelu(x[x > -1], torch.tensor([0.1])), F.prelu(x[:, x[0] > 0], X[0, :1]),
                   F.prelu(x[x[:, 0] > 0], torch.arange(5) / 4)), THREE),
    "sizes": (sizes, THREE),
    "parts": (parts, TWO),
    "last": (lambda x: (x[x > 0][-1], x[x > 0][0], x[x[:, 0] > 0][-1, 2]), TWO),
    "moved": (moved, THREE),
    "joined": (joined, THREE),
    "padded": (lambda x: F.pad(x[x > 0], (0, 20 - x[x > 0].shape[0]), value=-1.0), THREE),
    "written": (put, THREE),
    "rows written": (put_rows, THREE),
    "products": (
        lambda x: (x[x[:, 0] > 0] @ x.T, x[x[:, 0] > 0].T @ x[x[:, 0] > 0], x @ x[x[:, 0] > 0].T,
                   F.linear(x[x[:, 0] > 0], x, x[:, 0]), F.layer_norm(x[x[:, 0] > 0], (5,))),
        THREE),
    "item": (by_item, tuple((X, torch.tensor(k)) for k in (2, 0, 3))),
    "unique": (
        lambda v: (*torch.unique(v, return_inverse=True, return_counts=True),
                   torch.unique(v.float() / 2)), VS),
    "unique rows": (
        lambda v: torch.unique(torch.stack([v, v % 2], 1), dim=0, return_inverse=True,
                               return_counts=True), VS),
    "runs": (
        lambda v: torch.unique_consecutive(v, return_inverse=True, return_counts=True), VS),
    "runs of rows": (
        lambda v: torch.unique_consecutive(torch.stack([v, v % 2]), dim=1), VS),
    "unique of some": (lambda v: torch.unique(v[v > 0], return_counts=True), VS[:3]),
    "bincount": (counts_of, VS[:3]),
    "repeat": (repeated, ((X, torch.tensor([1, 0, 2, 3])), (X, torch.tensor([6, 0, 0, 0])))),
    "embedding": (lambda v: F.embedding(v[v > 1], TABLE), VS[:3]),
    "one_hot": (lambda v: F.one_hot(v[v > 0], 7), VS[:3]),
    "gather": (
        lambda x: x[x[:, 0] > 0].gather(1, x[x[:, 0] > 0].argmax(1, keepdim=True)), THREE),
    "contained": (
        lambda x: (torch.isin(torch.arange(5) - 2.0, x.round()[x > 0]),
                   torch.isin(x.round()[x > -1], torch.tensor([0.0, 1.0])),
                   torch.isin(x.round()[x[:, 0] > 0], x.round()[:, x[0] > 0], invert=True),
                   torch.isin(x.round()[x > 0], 1.0)), THREE),
    "scatter": (
        lambda v: torch.zeros(7).scatter_add(0, v[v > 1], v[v > 1].float()), VS[:3]),
}  # fmt: skip


@pytest.mark.parametrize("name", ONCE)
def test_against_torch(name: str) -> None:
    function, cases = ONCE[name]
    agree(function, *cases)


CORE = ("mask", "mask of rows", "nonzero", "by places", "reduced", "spread", "moved", "written",
        "products", "item", "repeat")  # fmt: skip


@pytest.mark.parametrize("name", CORE)
def test_in_core_operators(name: str) -> None:
    function, cases = ONCE[name]
    agree(function, *cases, decomposed=True)


# --- boxes ----------------------------------------------------------------------------------------


def kept(dets: Any, scores: Any, iou_threshold: float) -> Any:
    """torchvision.ops.nms in NumPy: boxes x1, y1, x2, y2."""
    boxes, order = dets.numpy(), np.argsort(-scores.numpy(), kind="stable")
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    found: list[int] = []
    for i in order:
        corners = [(np.maximum(boxes[i, :2], boxes[j, :2]), np.minimum(boxes[i, 2:], boxes[j, 2:]))
                   for j in found]  # fmt: skip
        shared = [float(np.prod(np.maximum(high - low, 0))) for low, high in corners]
        if all(s / (area[i] + area[j] - s) <= iou_threshold for s, j in zip(shared, found)):
            found.append(int(i))
    return torch.tensor(found, dtype=torch.int64)


@pytest.fixture(scope="module")
def nms() -> Any:
    """torchvision's operator, from its package or as one of its name."""
    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library
        name = "torchvision::nms"
        library.define(name, "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.impl(name, "cpu")(kept)

        def size(dets: Any, scores: Any, iou_threshold: float) -> Any:
            context = torch.library.get_ctx()
            many = context.new_dynamic_size()
            return dets.new_empty((many,), dtype=torch.int64)

        library.register_fake(name)(size)
    return torch.ops.torchvision.nms.default


def some_boxes(seed: int) -> tuple[Any, Any]:
    corner = floats(12, 2, seed=seed).abs() * 2
    size = floats(12, 2, seed=seed + 1).abs() * 3 + 0.5
    return torch.cat([corner, corner + size], 1), floats(12, seed=seed + 2).sigmoid()


def test_suppression(nms: Any) -> None:
    def detect(boxes: Any, scores: Any) -> Any:
        found = nms(boxes, scores, 0.3)
        likely = scores > 0.4  # as most models have it: by the score first
        boxes, scores = boxes[likely], scores[likely]
        best = nms(boxes, scores, 0.5)
        return found, boxes[best], scores[best][:3], best

    agree(detect, *(some_boxes(seed) for seed in range(0, 40, 7)))


def test_suppression_of_each_class(nms: Any) -> None:
    """As batched_nms writes it: boxes of other classes are moved away."""

    def detect(boxes: Any, scores: Any) -> Any:
        label = (scores * 10).int() % 3
        moved = boxes + (label.float() * (boxes.max() + 1))[:, None]
        best = nms(moved, scores, 0.4)
        return torch.cat([boxes[best], scores[best][:, None], label[best][:, None].float()], 1)

    agree(detect, *(some_boxes(seed) for seed in range(3, 30, 7)))


# --- around them ----------------------------------------------------------------------------------


def test_outputs_are_padded_and_have_a_count() -> None:
    model = from_torch(Of(lambda x: {"places": (x > 0).nonzero(), "many": (x > 0).sum()}), (X,))
    assert [n for n, _ in model.outputs] == ["places", "places_count", "many"]
    got = model({model.inputs[0][0]: X.numpy()})
    assert got["places"].shape == (20, 2)
    assert got["places_count"] == got["many"] == int((X > 0).sum())


def test_a_branch_takes_a_counted_tensor() -> None:
    def choose(x: Any) -> Any:
        taken = x[x > 0]
        return torch.cond(
            taken.sum() > 2, lambda t: t.sum() * 2, lambda t: t.sum() - t.shape[0], (taken,)
        )

    agree(choose, *THREE)


def test_what_is_written_later_is_never_an_old_number() -> None:
    def write(x: Any) -> Any:
        y = x[x > 0]
        z = y.view(-1, 1)
        y.mul_(2)
        return y, z

    agree(write, *THREE)  # the reader refuses it, and PyTorch writes it without shared memory
    agree(lambda x: x[x > 0].add_(1).mul_(2), *THREE)


def normed(x: Any) -> Any:
    y = x[x[:, 0] > 0]
    torch._check(y.shape[0] > 1)
    return torch.batch_norm(y, None, None, None, None, True, 0.1, 1e-5, False)


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "a norm of the batch": (normed, "the mean of what is counted"),
    "two counts": (lambda x: x[x[:, 0] > 0] @ x[x[:, 1] > 0].T, "two dims are counted"),
    "an operator": (lambda x: torch.cumsum(x[x > 0].unfold(0, 1, 1), 0), "known size only"),
    "mixed": (lambda x: x[:, x[0] > 0].reshape(-1), "mixed with others"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_says_what_to_do(name: str) -> None:
    function, why = REFUSED[name]
    with pytest.raises(FanlightError, match=why) as caught:
        from_torch(torch.export.export(Of(function), (X,)))
    assert caught.value.code == "E-FORMAT-019"
    assert "torch.where(mask, x, 0)" in str(caught.value)
    assert "run_decompositions()" in str(caught.value)


def test_what_helps_as_the_refusal_says() -> None:
    def more(x: Any) -> Any:
        y = x[x[:, 0] > 0]
        return F.glu(y[:, :2]), torch.einsum("ni,ij->nj", y, X.T), torch.outer(y[:, 0], x[0])

    with pytest.raises(FanlightError, match=r"run_decompositions\(\)"):
        from_torch(torch.export.export(Of(more), (X,)))
    agree(more, *THREE, decomposed=True)


@pytest.mark.parametrize("function", [
    lambda v: torch.bincount(v), lambda v: v.repeat_interleave(v),
    lambda v: torch.arange(limited(v.sum().item(), 2**40)),
])  # fmt: skip
def test_a_size_without_a_bound(function: Callable[..., Any]) -> None:
    with pytest.raises(FanlightError, match="how long") as caught:
        from_torch(torch.export.export(Of(function), (V,)))
    assert "torch._check(" in str(caught.value)


IN_WASM = ("mask", "nonzero", "reduced", "sizes", "written", "unique", "runs", "item", "joined")


@pytest.mark.parametrize("name", IN_WASM)
def test_the_bundle_computes_it(name: str, tmp_path: Path) -> None:
    function, cases = ONCE[name]
    module = Of(function).eval()
    model = from_torch(torch.export.export(module, cases[0]))
    bundle = fl.build(model, tmp_path)
    for inputs in cases:
        given = dict(zip([n for n, _ in model.inputs], arrays(inputs), strict=True))
        compared(model, bundle.run(given, host="wasm"), flat(module(*inputs)))


def test_mutations() -> None:
    """A changed program loads, or is refused with one coded error."""
    from fanlight.formats.torch.live import _serialized

    programs = []
    for function, inputs in ((parts, (X,)), (put_rows, (X,)), (counts_of, (V,))):
        text = _serialized(torch, torch.export.export(Of(function), inputs))
        model = json.loads(text)
        model["graph_module"].pop("module_call_graph", None)
        for node in model["graph_module"]["graph"]["nodes"]:
            node.pop("metadata", None)
        programs.append(model)
    rng, loaded = random.Random(11), 0
    for _ in range(150):
        model = copy.deepcopy(rng.choice(programs))
        graph = model["graph_module"]["graph"]
        whole = {
            "nodes": graph["nodes"],
            "metas": graph["tensor_values"],
            "ranges": model["range_constraints"],
            "sizes": graph["sym_int_values"],
        }
        if rng.random() < 0.3:
            one, other = rng.choice(graph["nodes"]), rng.choice(graph["nodes"])
            one["target"] = other["target"]
        for _ in range(rng.randint(0, 2)):
            *lead, last = rng.choice(spots(whole))
            parent: Any = whole
            for key in lead:
                parent = parent[key]
            parent[last] = copy.deepcopy(rng.choice(VALUES))
        try:
            import_program(parse_program(model, "m"), _no_tensor, Options(), "m", "m")
            loaded += 1
        except FanlightError:
            continue
    assert loaded > 10


class Kept(nn.Module):
    """Results of the names that its inputs have."""

    def forward(self, boxes: Any, scores: Any) -> dict[str, Any]:
        keep = scores > 0.5
        return {"boxes": boxes[keep], "scores": scores[keep], "rest_count": scores + 1,
                "rest": scores[~keep]}  # fmt: skip


def test_counts_are_named_as_their_results(tmp_path: Path) -> None:
    boxes, scores = floats(6, 4), torch.tensor([0.9, 0.1, 0.7, 0.6, 0.2, 0.8])
    model = from_torch(Kept(), (boxes, scores))
    whole = ["boxes_1", "boxes_1_count", "scores_1", "scores_1_count"]
    assert [n for n, _ in model.outputs] == [*whole, "rest_count", "rest", "rest_count_1"]
    told = [w for w in model.source.warnings if "as long as" in w]
    for text, name, count in zip(
        told,
        ("boxes_1", "scores_1", "rest"),
        ("boxes_1_count", "scores_1_count", "rest_count_1"),
        strict=True,
    ):
        assert f"output {name!r}" in text and f"of which {count} are" in text
    given = {"boxes": boxes.numpy(), "scores": scores.numpy()}
    got = fl.build(model, tmp_path / "bundle").run(given, host="wasm")
    wanted = Kept()(boxes, scores)
    assert (got["boxes_1_count"], got["scores_1_count"], got["rest_count_1"]) == (4, 4, 2)
    np.testing.assert_array_equal(got["boxes_1"][:4], wanted["boxes"])
    np.testing.assert_array_equal(got["scores_1"][:4], wanted["scores"])
    np.testing.assert_array_equal(got["rest"][:2], wanted["rest"])
    np.testing.assert_array_equal(got["rest_count"], wanted["rest_count"])


def _no_tensor(fqn: str, kind: str) -> np.ndarray:
    return np.zeros(3, np.float32)
