"""Bundles that were tampered with, hashes included: one coded error, and nothing else happens."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.bundle import sha256
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Builder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    builder = Builder("toy")
    x = builder.input("x", (1, 4))
    w = builder.weight(np.eye(4, dtype=np.float32), "w")
    fl.build(builder.finish({"y": builder.add("matmul", x, w)}), tmp_path / "site")
    return tmp_path / "site"


X = np.ones((1, 4), np.float32)
HUGE = "  %huge = broadcast_to(%x) {shape=[1000000000, 4]}"


def edit(site: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((site / "manifest.json").read_bytes())
    change(manifest)
    (site / "manifest.json").write_text(json.dumps(manifest))


def put(site: Path, entry: dict[str, Any], path: str, data: bytes) -> None:
    (site / path).write_bytes(data)
    entry.update(bytes=len(data), sha256=sha256(data))


def good(site: Path) -> dict[str, Any]:
    return json.loads((site / "graph.json").read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        lambda g: [],
        lambda g: {"text": 1, "weights": {}},
        lambda g: {**g, "weights": []},
        lambda g: {**g, "weights": {"w": 3}},
        lambda g: {**g, "weights": {"w": {**g["weights"]["w"], "shape": [float("inf")]}}},
        lambda g: {**g, "weights": {"w": {**g["weights"]["w"], "shape": [1 << 40, 1 << 40]}}},
        lambda g: {**g, "weights": {"w": {**g["weights"]["w"], "shape": [-1, -1]}}},
        lambda g: {**g, "weights": {"w": {**g["weights"]["w"], "offset": 0}}},
        lambda g: {**g, "weights": {"w": {**g["weights"]["w"], "dtype": "object"}}},
        lambda g: {**g, "weights": {"w": {**g["weights"]["w"], "packing": "panels(0)"}}},
        lambda g: {**g, "text": g["text"].replace("  return ", f"{HUGE}\n  return ")},
        lambda g: {**g, "text": g["text"].replace('"y"=', '"z"=')},
        lambda g: {**g, "text": g["text"].replace("f32[1, 4]", "f32[2, 4]")},
    ],
)
def test_graph_that_we_did_not_write(site: Path, change: Callable[[Any], Any]) -> None:
    data = json.dumps(change(good(site))).encode()
    edit(site, lambda m: put(site, m["files"]["graph.json"], "graph.json", data))
    with fl.open_bundle(site) as bundle, pytest.raises(fl.FanlightError) as caught:
        bundle.run({"x": X}, host="numpy")
    assert caught.value.code == "E-BUNDLE-003"


def test_graph_of_endless_nesting(site: Path) -> None:
    data = b"[" * 200_000
    edit(site, lambda m: put(site, m["files"]["graph.json"], "graph.json", data))
    with pytest.raises(fl.FanlightError) as caught:
        _ = fl.open_bundle(site).graph
    assert caught.value.code == "E-BUNDLE-003"


def other_module(params: tuple[str, ...] | None) -> bytes:
    module = Module(1)
    if params is not None:
        module.function("run", params, export=True)
    return module.encode()


@pytest.mark.parametrize("params", [None, (), ("i32",) * 3, ("f32",) * 4])
def test_module_that_we_did_not_write(site: Path, params: tuple[str, ...] | None) -> None:
    def change(manifest: dict[str, Any]) -> None:
        entry = manifest["modules"][0]
        put(site, entry, entry["path"], other_module(params))
        entry["threads"] = False

    edit(site, change)
    with fl.open_bundle(site) as bundle, pytest.raises(fl.FanlightError) as caught:
        bundle.run({"x": X})
    assert caught.value.code == "E-HOST-003"


def test_a_host_that_is_not_installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanlight.hosts import wasmtime

    wasmtime.engine.cache_clear()
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    with fl.open_bundle(site) as bundle, pytest.raises(fl.FanlightError) as caught:
        bundle.run({"x": X})
    assert caught.value.code == "E-HOST-001"


def test_the_graph_of_a_one_file_page(site: Path, tmp_path: Path) -> None:
    builder = Builder("toy")
    x = builder.input("x", (1, 8, 8, 3))
    scores = builder.finish({"y": builder.add("mean", x, axes=(1, 2))})
    taken = tmp_path / "page.bundle"
    taken.write_text("not ours")
    task = fl.tasks.classify(labels=["<b>", "</script>", "&"])
    fl.build(scores, tmp_path / "page.html", task=task)
    image = np.arange(5 * 9 * 3, dtype=np.uint8).reshape(5, 9, 3)
    with fl.open_bundle(tmp_path / "page.html") as bundle:
        assert bundle.labels == ["<b>", "</script>", "&"]
        assert fl.check(bundle, hosts=("wasm",), inputs={"image": image}).ok
    assert {p.name for p in tmp_path.iterdir()} == {"site", "page.html", "page.bundle"}


def threads_of(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["modules"][0]["threads"]


def page(tmp_path: Path) -> Path:
    builder = Builder("toy")
    x = builder.input("x", (1, 4))
    fl.build(builder.finish({"y": builder.add("relu", x)}), tmp_path / "page.html").close()
    return tmp_path / "page.html"


@pytest.mark.parametrize(
    "part,code",
    [
        ('id="odd.bin">abc', "E-BUNDLE-003"),
        ('id="odd.bin">ab*=', "E-BUNDLE-003"),
        ('id="../odd.bin">YWJj', "E-BUNDLE-005"),
        ('id="/odd.bin">YWJj', "E-BUNDLE-005"),
        ('id="manifest.json/odd.bin">YWJj', "E-BUNDLE-003"),
        (f'id="{"a" * 5000}">YWJj', "E-BUNDLE-003"),
    ],
)
def test_page_with_parts_that_we_did_not_write(tmp_path: Path, part: str, code: str) -> None:
    path = page(tmp_path)
    tag = f'<script type="application/octet-stream;base64" {part}</script>\n  </body>'
    path.write_text(path.read_text("utf-8").replace("  </body>", tag), "utf-8")
    with pytest.raises(fl.FanlightError) as caught:
        fl.open_bundle(path)
    assert caught.value.code == code
    assert not (tmp_path.parent / "odd.bin").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["memory"].update(pages=1.0),
        lambda m: m["inputs"][0].update(offset=float(m["inputs"][0]["offset"])),
        lambda m: m["inputs"].append(dict(m["inputs"][0])),
        lambda m: m["outputs"].append(dict(m["outputs"][0])),
        lambda m: m.update(task=TASK),
        lambda m: m["files"]["graph.json"].update(path="../graph.json"),
        lambda m: threads_of(m).update(flags=m["modules"][0]["bytes"]),
        lambda m: threads_of(m).update(flags=1 << 30),
        lambda m: threads_of(m).update(flags=8),
        lambda m: threads_of(m).update(control=m["memory"]["pages"] * 65536),
        lambda m: threads_of(m).update(control=m["memory"]["pages"] * 65536 - 64),
        lambda m: threads_of(m).update(control=4),
    ],
)
def test_manifest_that_we_did_not_write(
    site: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    edit(site, change)
    with pytest.raises(fl.FanlightError) as caught:
        fl.open_bundle(site)
    assert caught.value.code == "E-BUNDLE-002"


TASK = {
    "kind": "classify",
    "image": "x",
    "scores": "y",
    "top_scores": "y",
    "top_indices": "elsewhere",
    "labels": [],
    "preprocess": {"size": [1, 4], "crop": "none", "method": "nearest", "input_range": [0, 1]},
}
