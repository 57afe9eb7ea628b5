"""Builds with precision f16: half the bytes on the way, and the same answers everywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.bundle import sha256
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Builder, Graph
from fanlight.hosts.wasmtime import WasmtimeHost
from tests.build.nets import classifier

X = np.random.default_rng(5).standard_normal((1, 16, 16, 3)).astype(np.float32)


def net(classes: int = 40) -> Graph:
    """Convolutions, a depthwise one, a dense layer: all with biases that are no halves."""
    rng = np.random.default_rng(1)
    b = Builder("net")
    h = b.input("x", (1, 16, 16, 3))

    def weight(*shape: int) -> Any:
        return b.weight(rng.normal(0, 0.2, shape).astype(np.float32))

    for op, shape, channels in (
        ("conv2d", (3, 3, 3, 64), 64),
        ("depthwise_conv2d", (3, 3, 64, 1), 64),
        ("conv2d", (1, 1, 64, 128), 128),
    ):
        h = b.add(op, h, weight(*shape), padding=((shape[0] // 2,) * 2,) * 2)
        h = b.add("relu", b.add("add", h, weight(channels)))
    h = b.add("mean", h, axes=(1, 2), keepdims=False)
    h = b.add("add", b.add("matmul", h, weight(128, classes)), weight(classes))
    return b.finish({"y": h})


def table(values: np.ndarray) -> Graph:
    b = Builder("table")
    k = b.input("k", (3,), "int32")
    return b.finish({"y": b.add("gather", b.weight(values, "table"), k, axis=0)})


def download(bundle: fl.Bundle) -> int:
    return sum(shard["bytes"] for shard in bundle.manifest["weights"])


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`f32`, `f16`, and `rounded`: the rounded weights of f16 in a float32 bundle."""
    folder = tmp_path_factory.mktemp("halves")
    fl.build(net(), folder / "f32").close()
    with fl.build(net(), folder / "f16", precision="f16") as bundle:
        fl.build(bundle.graph, folder / "rounded").close()
    return folder


@pytest.mark.parametrize(
    "host", ["wasm", "wasm-plain", pytest.param("browser", marks=pytest.mark.chromium)]
)
def test_every_host_gives_the_bytes_of_the_rounded_weights(
    sites: Path, host: str, request: pytest.FixtureRequest
) -> None:
    if host == "browser":
        request.getfixturevalue("chromium_path")
    answers = {}
    for name in ("f32", "f16", "rounded"):
        with fl.open_bundle(sites / name) as bundle:
            answers[name] = bundle.run({"x": X}, host=host)["y"]
            if name == "f16":
                numpy = bundle.run({"x": X}, host="numpy")["y"]
    np.testing.assert_array_equal(answers["f16"], answers["rounded"])
    assert np.abs(answers["f16"] - numpy).max() < 1e-5 * np.abs(numpy).max()
    moved = np.abs(answers["f16"] - answers["f32"]).max() / np.abs(numpy).max()
    assert 1e-5 < moved < 2e-3


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_threads_share_what_was_expanded_once(sites: Path, simd: str) -> None:
    with fl.open_bundle(sites / "f16") as bundle:
        alone = WasmtimeHost(bundle.files, simd=simd)
        team = WasmtimeHost(bundle.files, simd=simd, threads=3)
        answers = [host.run({"x": X})["y"].tobytes() for host in (alone, team)]
        alone.close()
        team.close()
    assert answers[0] == answers[1]


def test_what_is_stored_is_what_was_built(sites: Path, tmp_path: Path) -> None:
    with fl.build(net(), tmp_path / "site", precision="f16") as built:
        stored = fl.open_bundle(tmp_path / "site").graph
        ours = {v.name: a for v, a in built.graph.weights.items()}
        theirs = {v.name: a for v, a in stored.weights.items()}
        assert ours.keys() == theirs.keys() and len(ours) == 8
        for name, array in ours.items():
            np.testing.assert_array_equal(theirs[name], array)
        half = [np.array_equal(a, a.astype(np.float16)) for a in ours.values()]
        assert sorted(half) == [False] * 4 + [True] * 4  # kernels are halves, biases are not
        assert fl.check(built, hosts=("wasm", "wasm-plain")).ok


def test_half_the_download_and_one_kind_per_shard(sites: Path) -> None:
    small, whole = (fl.open_bundle(sites / name) for name in ("f16", "f32"))
    assert small.manifest["precision"] == "f16" and whole.manifest["precision"] == "f32"
    assert download(small) < 0.56 * download(whole)  # its biases are a large part of it
    assert [s.get("encoding") for s in small.manifest["weights"]] == [None, "f16"]
    assert [s.get("encoding") for s in whole.manifest["weights"]] == [None]
    memory = [b.manifest["memory"]["weights"]["bytes"] for b in (small, whole)]
    assert memory[0] == memory[1]


def test_a_large_model_comes_in_several_shards(tmp_path: Path) -> None:
    values = np.random.default_rng(2).standard_normal((1100, 2048)).astype(np.float32)
    with fl.build(table(values), tmp_path / "site", precision="f16") as bundle:
        shards = bundle.manifest["weights"]
        assert [s["bytes"] for s in shards] == [4 << 20, values.size * 2 - (4 << 20)]
        assert shards[1]["offset"] == shards[0]["offset"] + (8 << 20)
        k = np.int32([0, 1023, 1099])
        for host in ("numpy", "wasm", "wasm-plain"):
            found = bundle.run({"k": k}, host=host)["y"]
            np.testing.assert_array_equal(found, values[k].astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("peak", [70_000.0, 1e-30])
def test_a_tensor_that_would_be_spoilt_travels_whole(tmp_path: Path, peak: float) -> None:
    values = np.full((4, 3), peak, np.float32)
    with fl.build(table(values), tmp_path / "site", precision="f16") as bundle:
        assert [s.get("encoding") for s in bundle.manifest["weights"]] == [None]
        found = bundle.run({"k": np.int32([0, 1, 3])})["y"]
        np.testing.assert_array_equal(found, values[:3])


def test_a_model_without_weights(tmp_path: Path) -> None:
    b = Builder("bare")
    graph = b.finish({"y": b.add("relu", b.input("x", (1, 4)))})
    with fl.build(graph, tmp_path / "site", precision="f16") as bundle:
        assert bundle.manifest["weights"] == []
        assert bundle.run({"x": np.ones((1, 4), np.float32)})["y"].sum() == 4


def test_the_page_that_is_one_file_answers_as_the_folder(tmp_path: Path) -> None:
    photo = {"image": np.random.default_rng(1).integers(0, 256, (33, 21, 3)).astype(np.uint8)}
    answers = []
    for out in ("site", "page.html"):
        task = fl.tasks.classify()
        fl.build(classifier(), tmp_path / out, task=task, precision="f16").close()
        with fl.open_bundle(tmp_path / out) as bundle:
            assert fl.check(bundle, hosts=("wasm", "wasm-plain"), inputs=photo).ok
            answers.append(bundle.run(photo)["scores"])
    np.testing.assert_array_equal(*answers)


# --- bundles that we did not write ----------------------------------------------------------------


@pytest.fixture
def site(sites: Path, tmp_path: Path) -> Path:
    shutil.copytree(sites / "f16", tmp_path / "site")
    return tmp_path / "site"


def edit(site: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((site / "manifest.json").read_bytes())
    change(manifest)
    (site / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "change",
    [
        *({"encoding": e} for e in ("f8", "F16", "float16", "", 1, True, None, [], {})),
        {"bytes": 24},
        {"bytes": 8},
    ],
)
def test_an_encoding_that_there_is_not(site: Path, change: dict[str, Any]) -> None:
    edit(site, lambda m: m["weights"][1].update(change))
    with pytest.raises(fl.FanlightError) as caught:
        fl.open_bundle(site)
    assert caught.value.code == "E-BUNDLE-002"


def test_a_place_is_as_large_as_what_is_expanded(site: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        shard = manifest["weights"][1]
        shard["offset"] = manifest["memory"]["pages"] * 65536 - shard["bytes"]

    edit(site, change)
    with pytest.raises(fl.FanlightError, match="lies outside the memory") as caught:
        fl.open_bundle(site)
    assert caught.value.code == "E-BUNDLE-002"


@pytest.mark.parametrize("encoding", [["f16", "f16"], [None, None], ["f16", None]])
def test_shards_of_another_kind_than_they_say(site: Path, encoding: list[str | None]) -> None:
    """They fit in no place or are numbers that nobody trained; nothing else happens."""

    def change(manifest: dict[str, Any]) -> None:
        for shard, kind in zip(manifest["weights"], encoding, strict=True):
            shard.pop("encoding", None)
            shard |= {} if kind is None else {"encoding": kind}

    edit(site, change)
    with fl.open_bundle(site) as bundle:
        for host in ("wasm", "numpy"):
            try:
                assert bundle.run({"x": X}, host=host)["y"].shape == (1, 40)
            except fl.FanlightError as error:
                assert error.code == "E-BUNDLE-003"


def other_module(params: tuple[str, ...] | None) -> bytes:
    module = Module(1)
    module.function("run", ("i32",) * 4, export=True)
    if params is not None:
        module.function("expand", params, export=True).unreachable()
    return module.encode()


@pytest.mark.parametrize("params", [None, (), ("i32",), ("f32", "f32"), ("i32", "i32")])
def test_a_module_that_does_not_expand(site: Path, params: tuple[str, ...] | None) -> None:
    def change(manifest: dict[str, Any]) -> None:
        entry, data = manifest["modules"][0], other_module(params)
        (site / entry["path"]).write_bytes(data)
        # Where its memory would become a shared one is told of the module that was built.
        entry.update(bytes=len(data), sha256=sha256(data), threads=False)

    edit(site, change)
    with fl.open_bundle(site) as bundle, pytest.raises(fl.FanlightError) as caught:
        bundle.run({"x": X})
    assert caught.value.code == "E-HOST-003"
