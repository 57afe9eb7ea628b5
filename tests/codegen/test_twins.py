"""Twins: a module holds several kernels of one node, and the host chooses between them."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.codegen import kernel as kernels
from fanlight.codegen.kernel import Kernel
from fanlight.codegen.plan import make_plan
from fanlight.codegen.walk import choices
from fanlight.codegen.wasm.module import Module
from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, Node, Value
from fanlight.hosts.browser import BrowserHost
from fanlight.hosts.wasmtime import WasmtimeHost
from fanlight.passes import optimize
from fanlight.targets import TARGETS, Target


def fills(value: float, elements: int) -> Kernel:
    """A twin of a 2-input kernel that fills the output with a value, by way of its scratch."""

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 6)
        _, _, out, scratch, low, high = f.params
        at = f.local("i32")
        f.get(scratch).f32(value).op("f32.store")
        with f.range(at, low, high):
            f.address(out, at, 4).get(scratch).op("f32.load").op("f32.store")

    return Kernel(f"fills {value}", emit, elements, scratch=4)


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Graph:
    """x @ w, where each matmul has the twins "ones" and "twos", then relu (which has none)."""
    import fanlight.codegen.wasm.kernels  # noqa: F401  (fills LOWERINGS)

    real = kernels.LOWERINGS["matmul"]

    def lower(node: Node, target: Target, weights: Set[Value]) -> Kernel:
        base = real(node, target, weights)
        made = {n: fills(v, node.output.type.size) for n, v in (("ones", 1), ("twos", 2))}
        return replace(base, twins={n: replace(t, packing=base.packing) for n, t in made.items()})

    monkeypatch.setitem(kernels.LOWERINGS, "matmul", lower)
    b = Builder("twins")
    x = b.input("x", (3, 4))
    y = b.add("matmul", x, b.weight(np.arange(20, dtype=np.float32).reshape(4, 5)))
    return b.finish({"y": y, "z": b.add("softmax", y, axis=-1)})


X = {"x": np.arange(12, dtype=np.float32).reshape(3, 4)}
Y = X["x"] @ np.arange(20, dtype=np.float32).reshape(4, 5)
EXPECTED = {(): Y, ("ones",): np.ones_like(Y), ("twos",): np.full_like(Y, 2)}


def test_the_host_chooses_while_it_runs(graph: Graph, tmp_path: Path) -> None:
    with fl.build(graph, tmp_path / "site") as bundle:
        assert [m["choices"] for m in bundle.manifest["modules"]] == 2 * [
            [{"name": "ones", "offset": 256, "bit": 0}, {"name": "twos", "offset": 256, "bit": 1}]
        ]
        for variants, expected in EXPECTED.items():
            for simd in ("relaxed", "plain"):
                host = WasmtimeHost(bundle.files, simd=simd, variants=variants)
                np.testing.assert_array_equal(host.run(X)["y"], expected)
                host.close()
        host = WasmtimeHost(bundle.files, variants=("twos", "ones"))
        np.testing.assert_array_equal(host.run(X)["y"], EXPECTED["ones",])
        host.close()
        with pytest.raises(FanlightError) as error:
            WasmtimeHost(bundle.files, variants=("wide",))
        assert error.value.code == "E-HOST-003" and error.value.expected == "ones, twos"


@pytest.mark.chromium
def test_so_does_a_page(graph: Graph, tmp_path: Path, chromium_path: str) -> None:
    with fl.build(graph, tmp_path / "site"):
        for variants, expected in EXPECTED.items():
            with BrowserHost(tmp_path / "site", {"variants": variants}) as host:
                np.testing.assert_array_equal(host.run(X)["y"], expected)
                assert host.info["variants"] == list(variants)
        with pytest.raises(FanlightError) as error:
            BrowserHost(tmp_path / "site", {"variants": ["wide"]})
        assert "E-WEB-001" in str(error.value) and "twos" in str(error.value)


def test_kernels_without_twins_leave_no_choice(tmp_path: Path) -> None:
    b = Builder("plain")
    graph = b.finish({"y": b.add("relu", b.input("x", (4,)))})
    with fl.build(graph, tmp_path / "site") as bundle:
        assert all("choices" not in m for m in bundle.manifest["modules"])
        with pytest.raises(FanlightError) as error:
            WasmtimeHost(bundle.files, variants=("ones",))
        assert error.value.expected == "none: there is nothing to choose"


def test_twins_of_another_form_are_refused(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    twinned = kernels.LOWERINGS["matmul"]

    def lower(node: Node, target: Target, weights: Set[Value]) -> Kernel:
        kernel = twinned(node, target, weights)
        return replace(kernel, twins={"ones": replace(kernel.twins["ones"], packing={})})

    monkeypatch.setitem(kernels.LOWERINGS, "matmul", lower)
    legal = optimize(graph, TARGETS[0])
    with pytest.raises(FanlightError) as error:
        make_plan(legal, TARGETS)
    assert error.value.code == "E-BUILD-008"


def test_the_number_of_choices_is_bounded(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    twinned = kernels.LOWERINGS["matmul"]

    def lower(node: Node, target: Target, weights: Set[Value]) -> Kernel:
        kernel = twinned(node, target, weights)
        return replace(kernel, twins={f"t{i}": kernel.twins["ones"] for i in range(33)})

    monkeypatch.setitem(kernels.LOWERINGS, "matmul", lower)
    plan = make_plan(optimize(graph, TARGETS[0]), TARGETS)
    with pytest.raises(FanlightError) as error:
        choices(plan, TARGETS[0])
    assert error.value.code == "E-BUILD-008"
