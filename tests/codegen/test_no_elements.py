"""Ops whose result has no elements, and models that would give or take nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import Builder
from fanlight.ops import row as rows
from fanlight.ops.types import TensorType
from tests.codegen.kernel_runner import TARGETS, run_op

CASES: list[tuple[str, list[tuple[int, ...]], dict[str, Any]]] = [
    ("conv2d", [(0, 4, 4, 3), (1, 1, 3, 4)], {}),
    ("conv2d", [(0, 4, 4, 3), (3, 3, 3, 4)], {}),
    ("conv2d", [(1, 4, 4, 3), (1, 1, 3, 0)], {}),
    ("depthwise_conv2d", [(0, 4, 4, 3), (3, 3, 3, 1)], {}),
    ("matmul", [(0, 3), (3, 4)], {}),
    ("matmul", [(2, 0, 3), (2, 3, 4)], {}),
    ("max_pool", [(0, 4, 4, 3)], {"size": (2, 2)}),
    ("resize_bilinear", [(0, 4, 4, 3)], {"size": (2, 2)}),
    ("softmax", [(0, 3)], {"axis": -1}),
    ("arg_max", [(0, 3)], {"axis": -1}),
    ("top_k", [(0, 3)], {"k": 2}),
    ("sort", [(0, 3)], {}),
    ("sort", [(3, 0)], {}),
    ("cumsum", [(0, 3)], {}),
    ("search_sorted", [(0, 3), (0, 2)], {}),
    ("relu", [(0, 3)], {}),
]


@pytest.mark.parametrize("op,shapes,attrs", CASES)
def test_nothing_is_computed(op: str, shapes: list, attrs: dict[str, Any]) -> None:
    arrays = [np.ones(s, np.float32) for s in shapes]
    full, types = rows.infer(op, [TensorType(s) for s in shapes], attrs)
    assert types == [TensorType(a.shape, a.dtype.name) for a in rows.evaluate(op, arrays, full)]
    for target in TARGETS:
        for array, type in zip(run_op(op, arrays, target, **attrs), types, strict=True):
            assert array.shape == type.shape


def test_models_that_take_or_give_nothing_are_refused(tmp_path: Path) -> None:
    def refused(shape: tuple[int, ...] | None) -> str:
        builder = Builder("g")
        x = builder.weight(np.ones(2, np.float32)) if shape is None else builder.input("x", shape)
        with pytest.raises(fl.FanlightError) as caught:
            fl.build(builder.finish({"y": builder.add("relu", x)}), tmp_path / "site")
        assert list(tmp_path.iterdir()) == []
        return caught.value.code

    assert refused((0, 4)) == "E-BUILD-010"
    assert refused(None) == "E-BUILD-010"


@pytest.mark.parametrize("out", ["site", "page.html"])
def test_what_no_manifest_can_hold_leaves_nothing_behind(tmp_path: Path, out: str) -> None:
    builder = Builder("g")
    y = builder.add("relu", builder.input("x", (2,)))
    with pytest.raises(fl.FanlightError) as caught:
        fl.build(builder.finish({"y" * 400: y}), tmp_path / out)
    assert caught.value.code == "E-BUNDLE-002"
    assert list(tmp_path.iterdir()) == []
