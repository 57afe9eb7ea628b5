"""The weights of a large model are written piece by piece: they are not in memory twice."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.bundle import BundleWriter
from fanlight.codegen import kernel
from fanlight.codegen.kernel import RAW, Packing, groups, panels, row_quads
from fanlight.graph import Builder, Graph

WIDE, COUNT = 2048, 2
SIZE = 4 * WIDE * WIDE * (COUNT + 1)  # bytes of the weights: 50 MB


def chain() -> Graph:
    """Dense layers, and one that is twice as large as the others."""
    builder = Builder("chain")
    x = builder.input("x", (1, WIDE))
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        wide = WIDE * (1 + (number == COUNT - 1))
        weight = rng.standard_normal((WIDE, wide), np.float32) / WIDE
        x = builder.add("matmul", x, builder.weight(weight, f"w{number}"))
    return builder.finish({"y": x})


def grown(work: Callable[[], Any]) -> int:
    """The most bytes that there were at a time beyond those before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_a_build_holds_its_weights_once(tmp_path: Path) -> None:
    graph = chain()
    fl.build(chain_of_one(), tmp_path / "first")  # what is imported and kept is no memory of it
    found = grown(lambda: fl.build(graph, tmp_path / "site"))
    assert found < 0.5 * SIZE, f"{found / SIZE:.2f} times the weights"
    with fl.open_bundle(tmp_path / "site") as bundle:
        x = np.ones((1, WIDE), np.float32)
        w0, w1 = graph.weights.values()
        y = bundle.run({"x": x})["y"]
    np.testing.assert_allclose(y, x @ w0 @ w1, rtol=1e-3, atol=1e-5)


def test_a_page_is_written_and_opened_piece_by_piece(tmp_path: Path) -> None:
    graph, page = chain(), tmp_path / "app.html"
    fl.build(chain_of_one(), page)
    found = grown(lambda: fl.build(graph, page))
    assert found < 0.9 * SIZE, f"{found / SIZE:.2f} times the weights"
    assert grown(lambda: fl.open_bundle(page)) < 0.9 * SIZE
    assert sorted(p.name for p in tmp_path.iterdir()) == ["app.html"]


def chain_of_one() -> Graph:
    builder = Builder("one")
    x = builder.input("x", (1, 8))
    weight = builder.weight(np.ones((8, 8), np.float32), "w")
    return builder.finish({"y": builder.add("matmul", x, weight)})


@pytest.mark.parametrize(
    "packing,shape",
    [
        (RAW, (3, 5)),
        (panels(8), (9, 45)),
        (panels(8), (3, 3, 5, 16)),
        (panels(8), (1, 1)),
        (panels(4, 2), (3, 3, 5, 3)),
        (groups(8, 5, 4), (3, 5, 43)),
        (groups(8, 9, 2), (3, 3, 3, 16)),
        (row_quads(8), (3, 3, 17, 1)),
    ],
)
def test_pieces_are_what_is_packed_at_once(
    packing: Packing, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.random.default_rng(0).integers(-127, 128, shape).astype(np.int16)
    whole = packing.pack(array).reshape(-1)
    for most in (1, 200, 4 << 20):
        monkeypatch.setattr(kernel, "_PIECE", most)
        pieces = [p.reshape(-1) for p in packing.pieces(array)]
        assert len(pieces) > 1 or most > 1 or packing.split is None or max(shape) < 8
        np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("halves", [None, 0, 2048, 5 << 20])
def test_shards_do_not_depend_on_the_pieces(halves: int | None, tmp_path: Path) -> None:
    size = (18 << 20) + 64
    image = np.random.default_rng(0).random(size // 4).astype(np.float16).astype(np.float32)
    data = image.view(np.uint8)
    cuts = [0, 1, 3, 3, 4 << 20, (4 << 20) + 1, 13 << 20, size]
    pieces = [data[a:b] for a, b in itertools.pairwise(cuts)]
    found = []
    for name, given in (("one", [data]), ("many", iter(pieces))):
        with BundleWriter(tmp_path / name) as writer:
            at = None if halves is None else 2048 + halves
            found.append(writer.add_weights(given, 2048, size, at))
            shards = [(writer.folder / s["path"]).read_bytes() for s in found[-1]]
            assert max(map(len, shards)) == 4 << 20
            if halves is None:
                assert b"".join(shards) == data.tobytes()
    assert found[0] == found[1]
    assert [s["offset"] for s in found[0]][:1] == [2048]


def test_no_weights_are_no_shards(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "site") as writer:
        assert writer.add_weights([np.zeros(0, np.uint8)], 2048, 0) == []
