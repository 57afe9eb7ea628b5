"""Threads: any number gives the same bytes; they wait where they must, and never for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from bench.parity import IMAGE_MODELS, inputs_for
from fanlight.built import Bundle
from fanlight.check import random_inputs
from fanlight.codegen.plan import Plan, make_plan
from fanlight.codegen.walk import barriers, pieces, solo
from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph
from fanlight.hosts.team import PATIENCE, TAKEN, Team
from fanlight.hosts.wasmtime import WasmtimeHost
from fanlight.passes import optimize
from fanlight.targets import TARGETS
from tests.build.nets import classifier

# Convolutions, residuals, resizing, pooling; the others of the list take the same kernels.
MODELS = ("mobilenet-v1-0.25-graph", "blazeface-google", "human-selfie", "human-emotion")


def plan_of(graph: Graph) -> Plan:
    return make_plan(optimize(graph, TARGETS[0]), TARGETS)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    with fl.build(classifier(), tmp_path_factory.mktemp("threads") / "site") as bundle:
        yield bundle


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_a_small_net_gives_the_same_bytes(small: Bundle, simd: str) -> None:
    inputs = random_inputs(small.manifest)
    alone = WasmtimeHost(small.files, simd=simd).run(inputs)["y"].tobytes()
    for threads in (2, 3, 5):
        host = WasmtimeHost(small.files, simd=simd, threads=threads)
        assert {host.run(inputs)["y"].tobytes() for _ in range(20)} == {alone}
        host.close()


@pytest.mark.parametrize("name", MODELS)
def test_published_models_give_the_same_bytes(name: str, shared: Path, tmp_path: Path) -> None:
    model = fl.load(shared / "data" / "models" / name, **IMAGE_MODELS[name])
    inputs = inputs_for(model)
    with fl.build(model, tmp_path / "site") as bundle:
        alone = WasmtimeHost(bundle.files).run(inputs)
        for threads in (2, 3):
            host = WasmtimeHost(bundle.files, threads=threads)
            for _ in range(3):
                for output, array in host.run(inputs).items():
                    assert array.tobytes() == alone[output].tobytes(), (output, threads)
            assert len(host.profile(inputs, rounds=1)) == len(bundle.manifest["kernels"])
            host.close()


def test_pieces_are_all_taken_and_each_thread_asks_once_in_vain(tmp_path: Path) -> None:
    """The counter is never reset, so it has to stand where every thread expects it."""
    rng = np.random.default_rng(0)
    b = Builder("chain")
    h = b.input("x", (1, 40, 40, 16), "float32")
    for _ in range(5):
        w = b.weight(rng.normal(0, 0.2, (1, 1, 16, 16)).astype(np.float32))
        h = b.add("conv2d", h, w, strides=(1, 1), padding=((0, 0), (0, 0)), dilations=(1, 1))
        h = b.add("relu", h)
    graph = b.finish({"y": h})
    plan = plan_of(graph)
    kernels = [step.kernels[0] for step in plan.steps]
    waits = barriers(plan, 0)
    assert waits[1:] == [True] * (len(waits) - 1) and not any(map(solo, kernels))
    assert max(map(pieces, kernels)) > 2
    inputs = {"x": rng.normal(size=(1, 40, 40, 16)).astype(np.float32)}
    with fl.build(graph, tmp_path / "site") as bundle:
        alone = WasmtimeHost(bundle.files).run(inputs)["y"].tobytes()
        for threads in (2, 3, 4):
            host = WasmtimeHost(bundle.files, threads=threads)
            words = host._instance._words
            for runs in (1, 2, 3):
                assert host.run(inputs)["y"].tobytes() == alone
                assert words[TAKEN] == runs * sum(pieces(k) + threads for k in kernels)
            host.close()


def test_of_branches_without_a_barrier_the_first_lies_in_pieces(tmp_path: Path) -> None:
    """One counter counts for one step between two barriers; the other has fixed shares."""
    rng = np.random.default_rng(0)
    b = Builder("branches")
    x = b.input("x", (1, 40, 40, 16), "float32")
    outs = {}
    for name in ("y", "z"):
        w = b.weight(rng.normal(0, 0.2, (1, 1, 16, 24)).astype(np.float32))
        outs[name] = b.add(
            "conv2d", x, w, strides=(1, 1), padding=((0, 0), (0, 0)), dilations=(1, 1)
        )
    graph = b.finish(outs)
    plan = plan_of(graph)
    assert barriers(plan, 0) == [False, False]
    inputs = {"x": rng.normal(size=(1, 40, 40, 16)).astype(np.float32)}
    with fl.build(graph, tmp_path / "site") as bundle:
        alone = WasmtimeHost(bundle.files).run(inputs)
        for threads in (2, 3):
            host = WasmtimeHost(bundle.files, threads=threads)
            for _ in range(5):
                found = host.run(inputs)
                assert all(np.array_equal(found[name], alone[name]) for name in outs)
            taken = host._instance._words[TAKEN]
            assert taken == 5 * (pieces(plan.steps[0].kernels[0]) + threads)
            host.close()


def test_bytes_give_the_same_bytes_with_every_twin(shared: Path, tmp_path: Path) -> None:
    model = fl.load(shared / "data" / "models" / "mobilenet-v1-0.25-graph")
    inputs = inputs_for(model)
    quantized = fl.quantize(model, calibration=[*inputs.values()])
    answers = set()
    with fl.build(quantized, tmp_path / "site") as bundle:
        for module in bundle.manifest["modules"]:
            names = [c["name"] for c in module.get("choices", ())]
            for variants in ([], *([name] for name in names)):
                for threads in (1, 2, 3):
                    host = WasmtimeHost(
                        bundle.files, simd=module["simd"], threads=threads, variants=variants
                    )
                    answers.add(b"".join(a.tobytes() for a in host.run(inputs).values()))
                    host.close()
    assert len(answers) == 1


def test_a_thread_that_never_comes_is_not_waited_for_for_ever(small: Bundle) -> None:
    host = WasmtimeHost(small.files, threads=2)
    inputs = random_inputs(small.manifest)
    right = host.run(inputs)
    team: Team = host._instance
    team._words[PATIENCE] = 3
    away = team._part
    team._part = lambda thread, *steps: away(thread, *steps) if thread == 0 else None
    start = time.perf_counter()
    with pytest.raises(FanlightError) as error:
        host.run(inputs)
    assert error.value.code == "E-HOST-003" and "barrier" in str(error.value)
    assert 0.2 < time.perf_counter() - start < 60  # a busy machine needs longer than a free one
    team._part = away
    assert host.run(inputs)["y"].tobytes() == right["y"].tobytes()


def test_a_thread_that_traps_frees_the_others_at_once(small: Bundle) -> None:
    host = WasmtimeHost(small.files, threads=2)
    inputs = random_inputs(small.manifest)
    right = host.run(inputs)
    team: Team = host._instance
    real = team._runs[1]

    def trap(*arguments: int) -> None:
        raise RuntimeError("a trap")

    team._runs[1] = trap
    team._words[PATIENCE] = 600  # rounds of 100 ms
    start = time.perf_counter()
    with pytest.raises(RuntimeError):
        host.run(inputs)
    assert time.perf_counter() - start < 30
    team._runs[1] = real
    assert host.run(inputs)["y"].tobytes() == right["y"].tobytes()


def test_barriers_are_only_where_something_is_waited_for() -> None:
    b = Builder("barriers")
    x = b.input("x", (64, 64))
    w = [b.weight(np.full((64, 64), v, np.float32)) for v in (1, 2)]
    left, right = b.add("matmul", x, w[0]), b.add("matmul", x, w[1])
    product = b.add("matmul", left, right)
    top = b.add("top_k", b.add("reshape", product, shape=(4096,)), k=3)
    plan = plan_of(b.finish({"values": top[0], "indices": top[1]}))
    kernels = [s.kernels[0] for s in plan.steps]
    assert [s.node.op for s in plan.steps] == ["matmul", "matmul", "matmul", "top_k"]
    assert [solo(k) for k in kernels] == [False, False, False, True]
    # The second product needs nothing of the first; the third needs both.
    assert barriers(plan, 0) == [False, False, True, True]


def test_steps_of_the_first_thread_need_no_barrier_between_them() -> None:
    b = Builder("small")
    x = b.input("x", (4, 4))
    y = b.add("softmax", b.add("matmul", x, b.weight(np.eye(4, dtype=np.float32))), axis=-1)
    plan = plan_of(b.finish({"y": y, "z": b.add("top_k", y, k=1)[0]}))
    assert all(solo(s.kernels[0]) for s in plan.steps)
    assert not any(barriers(plan, 0))


def test_memory_that_is_used_again_is_waited_for() -> None:
    """A step may write where an earlier one still reads, though it does not need its result."""
    b = Builder("again")
    x = b.input("x", (64, 64))
    y = x
    for _ in range(6):
        y = b.add("matmul", y, b.weight(np.eye(64, dtype=np.float32)))
    plan = plan_of(b.finish({"y": y}))
    assert barriers(plan, 0) == [False] + [True] * 5


def test_a_bundle_without_such_a_module_is_refused(small: Bundle) -> None:
    manifest = small.manifest
    modules = [{**m, "threads": False} for m in manifest["modules"]]
    files = replace(small.files, manifest={**manifest, "modules": modules})
    assert WasmtimeHost(files).run(random_inputs(manifest))["y"].shape == (1, 5)
    with pytest.raises(FanlightError) as error:
        WasmtimeHost(files, threads=2)
    assert error.value.code == "E-HOST-003"
