"""What is written through views: the numbers are those of PyTorch, or there is an error."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats.torch.call import HANDLERS, handler_of, written_as
from fanlight.formats.torch.memory import VIEWS
from tests.formats.pytorch.modules import Of, floats, nn, torch

pytestmark = pytest.mark.filterwarnings("ignore")


def compare(module: Any, x: Any, model: fl.Model) -> None:
    want = module(x.clone())
    want = list(want) if isinstance(want, tuple | list) else [want]
    got = model(x.numpy())
    got = list(got.values()) if isinstance(got, dict) else [got]
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w.numpy(), 1e-5, 1e-6)


def box(b: Any) -> Any:
    o = b.clone()
    o[..., 0] = b[..., 0] - b[..., 2] / 2
    o[..., 1] = b[..., 1] - b[..., 3] / 2
    return o


def fill(x: Any) -> Any:
    y = x.clone()
    y[:, 0:2] = 0.0
    return y


def plus(x: Any) -> Any:
    y = x.clone()
    y[:, 0:6:2] += 1
    y[1:3, 1].mul_(2)
    return y


def flat(x: Any) -> Any:
    y = x.clone()
    y.view(-1)[1:4].zero_()
    y.view(2, -1)[0].sub_(1)
    return y


def turned(x: Any) -> Any:
    y = x.clone()
    z = y.t()
    z.add_(1)
    z[2:4] = 7
    return y, z


def later(x: Any) -> Any:
    y = x.clone()
    z, u, w = y[1], y.unsqueeze(0), y.permute(1, 0)[3]
    y.add_(1)
    return z, u, w


def rows(x: Any) -> Any:
    h = torch.zeros(3, 9)
    for i in range(3):
        h[i] = x[i] * 2 + (h[i - 1] if i else 0)
    return h


def chunks(x: Any) -> Any:
    y = x.clone()
    a, b = y.chunk(2, 0)
    a.mul_(2)
    for part in y.unbind(1):
        part.add_(b.sum())
    return y, a, b


def given(x: Any) -> Any:
    x.add_(1)
    return x * 2


def relus(x: Any) -> Any:
    y = x.reshape(4, 3, 3)
    y.relu_()
    return x


def copied(x: Any) -> Any:
    y = x.t().reshape(6, 6)  # no view: its strides cannot say it
    y.relu_()
    return x, y


def dropped(x: Any) -> Any:
    y = torch.nn.functional.dropout(x.clone(), 0.5, False)
    z = y.to(torch.float32).contiguous()
    z.neg_()
    return y


def converted(x: Any) -> Any:
    y = x.to(torch.int32)
    z = y.to(torch.int64)
    z.add_(1)
    return y, z


def diagonal(x: Any) -> Any:
    y = x.clone()
    y.diagonal(1).fill_(3)
    return y


def masks(x: Any) -> Any:
    y = x.clone()
    y[:, 2:5].masked_fill_(y[:, 2:5] > 0, -1)
    y[2][torch.tensor([0, 3])] = 5.0
    y[3].sin_().clamp_(-0.5, 0.5)
    return y


def table(x: Any) -> Any:
    angles = torch.arange(4.0)[:, None] * torch.arange(1.0, 6.0)
    pe = torch.zeros(4, 9)
    pe[:, 0::2] = torch.sin(angles)
    pe[:, 1::2] = torch.cos(angles)[:, :4]
    return x + pe


def windows(x: Any) -> Any:
    mask, count = torch.zeros(1, 8, 8, 1), 0
    for h in (slice(0, -4), slice(-4, -2), slice(-2, None)):
        for w in (slice(0, -4), slice(-4, -2), slice(-2, None)):
            mask[:, h, w, :] = count
            count += 1
    seen = mask.view(1, 2, 4, 2, 4, 1).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16)
    return (seen[:, None] - seen[:, :, None]) * x[0, 0]


WRITES = [box, fill, plus, flat, turned, later, rows, chunks, given, relus, copied, dropped,
          converted, diagonal, masks, table, windows]  # fmt: skip


@pytest.mark.parametrize("function", WRITES, ids=lambda f: f.__name__)
def test_writes_through_views(function: Callable[[Any], Any], tmp_path: Path) -> None:
    x = floats(4, 9)
    module = Of(function).eval()
    program = torch.export.export(module, (x.clone(),))
    torch.export.save(program, tmp_path / "a.pt2")
    compare(module, x, fl.load(tmp_path / "a.pt2"))
    compare(module, x, fl.from_torch(program))


class Cache(nn.Module):
    """A buffer that each run writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(4, 3))

    def forward(self, x: Any) -> Any:
        self.rows[0] = x
        self.rows.add_(1)
        return self.rows * 2


def test_buffers(tmp_path: Path) -> None:
    """Right within a run; that the next one begins anew is told."""
    program = torch.export.export(Cache(), (torch.ones(3),))
    torch.export.save(program, tmp_path / "a.pt2")
    x = floats(3)
    for model in (fl.load(tmp_path / "a.pt2"), fl.from_torch(Cache(), (x,))):
        for _ in range(2):
            np.testing.assert_allclose(model(x.numpy()), Cache()(x).numpy())
        (told,) = model.source.warnings
        assert "would change rows" in told


def test_a_free_batch(tmp_path: Path) -> None:
    batch = torch.export.Dim("batch", min=2, max=64)
    module = Of(lambda x: box(x.reshape(-1, 2, 4)).flatten(1).relu_()).eval()
    program = torch.export.export(module, (floats(3, 8),), dynamic_shapes=(({0: batch},),))
    torch.export.save(program, tmp_path / "a.pt2")
    x = floats(5, 8, seed=2)
    compare(module, x, fl.load(tmp_path / "a.pt2"))


def random_program(seed: int) -> Callable[[Any], Any]:
    """Views of views, some of them written to; all are results."""

    def run(x: Any) -> Any:
        rng = random.Random(seed)
        known = [x.clone()]
        for _ in range(12):
            v = rng.choice(known)
            kind, axis = rng.randrange(11), rng.randrange(v.dim()) if v.dim() else 0
            if kind == 0 and v.dim() > 1:
                known.append(v.select(axis, rng.randrange(v.shape[axis])))
            elif kind == 1 and v.dim():
                begin = rng.randrange(v.shape[axis])
                cut = [slice(None)] * axis + [slice(begin, None, rng.randint(1, 2))]
                known.append(v[tuple(cut)])
            elif kind == 2 and v.dim() > 1:
                known.append(v.transpose(axis, rng.randrange(v.dim())))
            elif kind == 3:
                known.append(v.reshape(-1))
            elif kind == 4 and v.dim():
                known.extend(v.split(rng.randint(1, 3), axis)[:2])
            elif kind == 5 and v.dim() > 1 and v.shape[0] == v.shape[1]:
                known.append(v.diagonal())
            elif kind == 6 and v.dim() < 4:
                known.append(v.unsqueeze(axis).expand(*v.shape[:axis], 1, *v.shape[axis:]))
            elif kind == 7:
                v.mul_(2)
            elif kind == 8:
                v.add_(rng.choice(known).sum())
            elif kind == 9:
                v.copy_(v.flip(0) if v.dim() else v + 1)
            elif kind == 10:
                known.append(v.contiguous())
        return tuple(known)

    return run


@pytest.mark.parametrize("seed", range(14))
def test_random_views(seed: int) -> None:
    x = floats(4, 4, 2, seed=seed)
    module = Of(random_program(seed)).eval()
    compare(module, x, fl.from_torch(torch.export.export(module, (x.clone(),))))


def test_a_view_without_a_way_back(tmp_path: Path) -> None:
    """A dim of one element, made wide: what lies under it is lost, and that is an error of a file;
    a live program is written anew by PyTorch.
    """

    def wide(x: Any) -> Any:
        y = x[:, :1].clone()
        torch.ops.aten.copy_(y.expand(4, 3)[:, :1], x[:, 1:2])
        return y

    x = floats(4, 9)
    program = torch.export.export(Of(wide), (x,))
    compare(Of(wide), x, fl.from_torch(program))
    torch.export.save(program, tmp_path / "a.pt2")
    with pytest.raises(FanlightError, match="memory that it may share") as caught:
        fl.load(tmp_path / "a.pt2")
    assert caught.value.code == "E-FORMAT-012"
    assert "run_decompositions" in str(caught.value)


def test_the_table_of_views_is_that_of_pytorch() -> None:
    """Each operator that is read and whose schema says that it may share memory is known as such;
    each that writes is known by its name, or not read.
    """
    views, writes = set(), set()
    for name in dir(torch.ops.aten):
        packet = getattr(torch.ops.aten, name)
        for overload in packet.overloads() if hasattr(packet, "overloads") else ():
            target = f"aten.{name}.{overload}"
            if not handler_of(target):
                continue
            schema = getattr(packet, overload)._schema
            infos = [a.alias_info for a in schema.arguments if a.alias_info]
            if any(i.is_write for i in infos):
                if not written_as(target):
                    writes.add(name)
            elif infos and any(r.alias_info for r in schema.returns):
                views.add(name)
    # Statistics of training, which nothing reads; sort and copy of lists are TorchScript's.
    assert writes <= {"_native_batch_norm_legit", "sort"}
    assert views - VIEWS <= {"copy"}
    assert {f"aten.{v}" for v in VIEWS} <= HANDLERS.keys() | {"aten.detach_"}
