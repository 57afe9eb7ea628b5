"""build, open_bundle, run and check: what a bundle holds, and that it is always whole."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime

import fanlight as fl
from bench.parity import IMAGE_MODELS
from fanlight.built import HOSTS
from fanlight.bundle.read import check_manifest, schema
from fanlight.codegen.plan import make_plan
from fanlight.graph import Builder, Graph, evaluate
from fanlight.passes import optimize
from fanlight.targets import TARGETS
from tests.build.nets import classifier
from tests.support import run_python

RUNTIME = {"fanlight.js", "worker.js", "index.html", "package.json", "fanlight.d.ts", "element.js"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A bundle folder with the classify task."""
    task = fl.tasks.classify([f"<{i}> & co" for i in range(5)])
    fl.build(classifier(), tmp_path / "site", task=task, card="What it knows").close()
    return tmp_path / "site"


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


# --- what a bundle holds --------------------------------------------------------------------------


def test_manifest_follows_its_schema(site: Path) -> None:
    import jsonschema

    manifest = json.loads((site / "manifest.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.Draft202012Validator(schema()).validate(manifest)
    check_manifest(manifest, site)


def test_every_file_is_listed_with_its_hash(site: Path) -> None:
    manifest = json.loads((site / "manifest.json").read_text())
    listed = {e["path"]: e for e in (*manifest["weights"], *manifest["modules"])}
    listed |= manifest["files"]
    # Compressed copies are for hosts: whoever reads the bundle does without them.
    files = {n: d for n, d in files_of(site).items() if not n.endswith((".gz", ".br"))}
    assert set(files) == set(listed) | {"manifest.json"}
    assert set(files) >= RUNTIME
    for path, entry in listed.items():
        assert len(files[path]) == entry["bytes"], path
        assert hashlib.sha256(files[path]).hexdigest() == entry["sha256"], path
    for entry in (*manifest["weights"], *manifest["modules"]):
        assert entry["sha256"][:8] in entry["path"]


def test_nothing_in_a_bundle_needs_another_origin(site: Path) -> None:
    for path, data in files_of(site).items():
        if Path(path).suffix in {".html", ".js", ".css"}:
            text = re.sub(rb"http://www\.w3\.org/\S+", b"", data)
            assert not re.search(rb"""(?:src|href|from|import\()\s*=?\s*["']?https?:""", text), path


def test_every_module_is_valid_and_imports_memory_only(site: Path) -> None:
    config = wasmtime.Config()
    config.wasm_simd = True
    config.wasm_relaxed_simd = True
    engine = wasmtime.Engine(config)
    strict = wasmtime.Config()
    strict.wasm_relaxed_simd = False
    without = wasmtime.Engine(strict)
    manifest = json.loads((site / "manifest.json").read_text())
    assert [m["simd"] for m in manifest["modules"]] == ["relaxed", "plain"]
    for entry in manifest["modules"]:
        data = (site / entry["path"]).read_bytes()
        module = wasmtime.Module(engine, data)
        assert [(i.module, i.name) for i in module.imports] == [("fanlight", "memory")]
        assert [e.name for e in module.exports] == ["run"]
        if entry["simd"] == "plain":
            wasmtime.Module.validate(without, data)


def test_kernels_are_told_with_their_cost(site: Path) -> None:
    manifest = json.loads((site / "manifest.json").read_text())
    convolution = next(k for k in manifest["kernels"] if k["op"] == "conv2d")
    assert convolution["flops"] >= 2 * 4 * 4 * 8 * 27
    assert all(k["bytes"] > 0 for k in manifest["kernels"])


def test_labels_and_cards_are_text_on_the_page(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    task = fl.tasks.classify([evil] * 5)
    for out in ("site", "page.html"):
        fl.build(classifier(), tmp_path / out, task=task, name=evil, title=evil, card=evil).close()
    for page in (tmp_path / "site" / "index.html", tmp_path / "page.html"):
        assert "<script>alert" not in page.read_text("utf-8")
    assert fl.open_bundle(tmp_path / "page.html").labels == [evil] * 5


# --- opening and running --------------------------------------------------------------------------


def test_the_folder_and_the_page_answer_alike(tmp_path: Path) -> None:
    graph, task = classifier(), fl.tasks.classify()
    photo = {"image": np.random.default_rng(1).integers(0, 256, (33, 21, 3)).astype(np.uint8)}
    answers = []
    for out in ("site", "page.html"):
        with fl.build(graph, tmp_path / out, task=task) as bundle:
            assert bundle.path == tmp_path / out
            answers.append(bundle.run(photo))
        with fl.open_bundle(tmp_path / out) as opened:
            for host in ("wasm", "wasm-plain", "numpy"):
                answers.append(opened.run(photo, host=host))
    for found in answers[1:]:
        assert list(found) == ["scores", "top_scores", "top_indices"]
        np.testing.assert_allclose(found["scores"], answers[0]["scores"], atol=1e-6)
        np.testing.assert_array_equal(found["top_indices"], answers[0]["top_indices"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "site"]


def test_a_model_without_a_task_takes_and_gives_arrays(tmp_path: Path) -> None:
    x = np.random.default_rng(2).normal(size=(1, 8, 8, 3)).astype(np.float32)
    graph = classifier()
    with fl.build(graph, tmp_path / "site") as bundle:
        assert bundle.labels is None and bundle.manifest["task"] is None
        for host in ("wasm", "wasm-plain", "numpy"):
            found = bundle.run({"x": x}, host=host)
            np.testing.assert_allclose(found["y"], evaluate(graph, {"x": x})["y"], atol=1e-6)
        kernels = bundle.profile({"x": x})
        assert [k["name"] for k in kernels] == [k["name"] for k in bundle.manifest["kernels"]]
        assert all(k["ms"] >= 0 for k in kernels)


@pytest.mark.chromium
def test_the_browser_answers_as_numpy_does(site: Path, chromium_path: str) -> None:
    with fl.open_bundle(site) as bundle:
        report = fl.check(bundle)
        assert report.ok and not report.not_run, str(report)
        assert {r.host for r in report.rows} == {"wasm", "wasm-plain", "browser"}


def test_check_tells_what_does_not_agree(site: Path) -> None:
    """A bundle whose graph says something else than its module is found out."""
    with fl.open_bundle(site) as bundle:
        graph = bundle.graph
        for value, array in graph.weights.items():
            if array.ndim == 4:
                graph.weights[value] = array * np.float32(1.01)
        report = fl.check(bundle, hosts=("wasm",))
    assert not report.ok
    assert "NOT in agreement" in str(report) and "FAIL wasm" in str(report)


def test_unknown_host(site: Path) -> None:
    with fl.open_bundle(site) as bundle:
        with pytest.raises(fl.FanlightError, match="E-HOST-002") as caught:
            bundle.run({"image": np.zeros((1, 1, 4), np.uint8)}, host="abacus")
    assert "abacus" in str(caught.value) and all(h in str(caught.value) for h in HOSTS)


def test_a_batch_is_one_run_per_item(shared: Path, tmp_path: Path) -> None:
    model = fl.load(shared / "data" / "models" / "mobilenet-v1-0.25-layers-mitcml")
    (name, type), (output, _) = model.inputs[0], model.outputs[0]
    x = np.random.default_rng(3).uniform(-1, 1, (3, *type.bound[1:])).astype(np.float32)
    with fl.build(model, tmp_path / "site") as bundle:
        whole = bundle.run({name: x})[output]
        single = [bundle.run({name: x[i : i + 1]})[output] for i in range(3)]
        with pytest.raises(fl.FanlightError, match="E-INPUT-002"):
            bundle.run({name: x[:0]})
        with pytest.raises(fl.FanlightError, match="E-INPUT-002"):
            bundle.run({name: x[:, :-1]})
        np.testing.assert_allclose(whole, bundle.run({name: x}, host="numpy")[output], atol=1e-5)
    np.testing.assert_array_equal(whole, np.concatenate(single))


def test_nothing_is_left_of_an_earlier_run(tmp_path: Path) -> None:
    b = Builder("sum")
    x = b.input("x", (1, 40), "float32")
    graph = b.finish({"y": b.add("sum", x, axes=(1,), keepdims=False)})
    with fl.build(graph, tmp_path / "site") as bundle:
        ones = np.ones((1, 40), np.float32)
        assert [float(bundle.run({"x": ones * k})["y"][0]) for k in (1, 3, 0, 1)] == [
            40,
            120,
            0,
            40,
        ]


@pytest.mark.parametrize("precision", ["f8", "", None, "F32", "F16"])
def test_unknown_precision(precision: Any, tmp_path: Path) -> None:
    with pytest.raises(fl.FanlightError, match="E-BUILD-005"):
        fl.build(classifier(), tmp_path / "site", precision=precision)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", [[], ["site"], None, 3, b"site", {"a": 1}, "a\0b"])
def test_a_build_to_what_is_no_path(out: Any) -> None:
    with pytest.raises(fl.FanlightError, match="E-BUILD-005") as caught:
        fl.build(classifier(), out)
    assert caught.value.where == "out" and "pathlib.Path" in str(caught.value)


# --- the same bytes, and always a whole bundle ----------------------------------------------------

BUILD = """
import sys, fanlight as fl
from tests.build.nets import classifier
for out in ("site", "page.html"):
    fl.build(classifier(), sys.argv[1] + "/" + out, task=fl.tasks.classify(), card="c").close()
"""


def test_two_builds_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        folder = tmp_path / seed
        folder.mkdir()
        done = run_python("-c", BUILD, str(folder))
        assert done.returncode == 0, done.stderr
        found.append(files_of(folder))
    assert set(found[0]) == set(found[1]) and len(found[0]) > 10
    assert [p for p in found[0] if found[0][p] != found[1][p]] == []


def test_a_published_model_gives_the_same_bytes_twice(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "models" / "blazeface-google"
    for name in ("a", "b"):
        fl.build(fl.load(folder), tmp_path / name).close()
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_new_build_replaces_the_old_bundle_whole(tmp_path: Path) -> None:
    site = tmp_path / "site"
    fl.build(classifier(classes=5), site, task=fl.tasks.classify()).close()
    old = set(files_of(site))
    with fl.build(classifier(classes=9), site, task=fl.tasks.classify()) as bundle:
        assert bundle.run({"image": np.zeros((2, 2, 3), np.uint8)})["scores"].shape == (9,)
    new = files_of(site)
    manifest = json.loads(new["manifest.json"])
    assert not {p for p in old & set(new) if p.endswith((".wasm", ".bin"))}
    assert {p for p in new if p.endswith((".wasm", ".bin"))} == {
        e["path"] for e in (*manifest["modules"], *manifest["weights"])
    }
    assert [p.name for p in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("out", ["site", "page.html"])
@pytest.mark.parametrize("step", ["page_files", "module_file", "make_manifest", "open_bundle"])
def test_a_failing_build_leaves_the_old_one(
    step: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    target = tmp_path / out
    fl.build(classifier(), target, task=fl.tasks.classify()).close()

    def content() -> Any:
        return target.read_bytes() if target.is_file() else files_of(target)

    before = content()

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(sys.modules["fanlight.build"], step, fail)
    with pytest.raises(OSError, match="disk is full"):
        fl.build(classifier(classes=9), target, task=fl.tasks.classify())
    if step != "open_bundle":  # by then the new one is in place
        assert content() == before
    assert [p.name for p in tmp_path.iterdir()] == [out]
    monkeypatch.undo()
    fl.open_bundle(target).close()


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    fl.build(classifier(), tmp_path / "site").close()
    assert (tmp_path / "site" / "manifest.json").is_file()


# --- memory ---------------------------------------------------------------------------------------


def plan_of(graph: Graph) -> Any:
    targets = TARGETS
    return make_plan(optimize(graph, targets[0]), targets)


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_the_arena_is_hardly_larger_than_what_lives_in_it(name: str, shared: Path) -> None:
    model = fl.load(shared / "data" / "models" / name, **IMAGE_MODELS[name])
    plan = plan_of(model.graph)
    assert plan.live_bytes <= plan.arena_bytes <= 1.1 * plan.live_bytes


def test_the_arena_of_a_classifier_of_photos(shared: Path) -> None:
    model = fl.load(shared / "data" / "models" / "mobilenet-v1-0.25-layers-mitcml")
    graph, _ = fl.tasks.classify().apply(model.graph)
    plan = plan_of(graph)
    assert plan.arena_bytes <= 1.1 * plan.live_bytes


@pytest.fixture
def wasmtime_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts what wasmtime is asked for."""
    made: list[int] = []
    original: Callable[..., Any] = wasmtime.Memory.__init__

    def counted(self: Any, *args: Any) -> None:
        made.append(1)
        original(self, *args)

    monkeypatch.setattr(wasmtime.Memory, "__init__", counted)
    yield made


def test_runs_share_one_memory(site: Path, wasmtime_memory: list[int]) -> None:
    with fl.open_bundle(site) as bundle:
        for size in (3, 50, 3):
            bundle.run({"image": np.zeros((size, size, 3), np.uint8)})
    assert wasmtime_memory == [1]
