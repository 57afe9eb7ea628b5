"""The browser host: a bundle in a real headless Chromium gives what NumPy gives."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import Builder
from fanlight.hosts import browser
from fanlight.hosts.browser import BrowserHost
from tests.support import relative_error, run_python

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, chromium_path: str) -> Iterator[fl.Bundle]:
    b = Builder("host_test")
    x = b.input("x", (1, 4, 4, 3), "float32")
    k = b.input("k", (3,), "int32")
    y = b.add("softmax", b.add("mul", x, b.weight(np.float32(2))), axis=-1)
    z = b.add("add", k, k)
    graph = b.finish({"y": y, "z": z, "big": b.add("greater", x, b.weight(np.float32(0)))})
    with fl.build(graph, tmp_path_factory.mktemp("hosts") / "bundle") as bundle:
        yield bundle


@pytest.fixture
def inputs() -> dict[str, np.ndarray]:
    x = np.random.default_rng(3).standard_normal((1, 4, 4, 3)).astype(np.float32)
    return {"x": x, "k": np.array([1, -2, 2**30], np.int32)}


def test_it_computes_what_numpy_computes(bundle: fl.Bundle, inputs: dict[str, np.ndarray]) -> None:
    expected = bundle.run(inputs, host="numpy")
    received = bundle.run(inputs, host="browser")
    assert set(received) == {"y", "z", "big"}
    assert relative_error(received["y"], expected["y"]) < 1e-6
    np.testing.assert_array_equal(received["z"], expected["z"])
    np.testing.assert_array_equal(received["big"], expected["big"])
    assert {n: a.dtype for n, a in received.items()} == {n: a.dtype for n, a in expected.items()}
    assert received["y"].flags.writeable


def test_both_modules_and_threads_of_python(
    bundle: fl.Bundle, inputs: dict[str, np.ndarray]
) -> None:
    expected = bundle.run(inputs, host="numpy")["y"]
    answers: dict[str, np.ndarray] = {}

    def work(simd: str) -> None:
        with BrowserHost(bundle.path, {"simd": simd}) as host:
            assert host.info["simd"] == simd and host.info["worker"]
            answers[simd] = host.run(inputs)["y"]

    threads = [threading.Thread(target=work, args=(simd,)) for simd in ("relaxed", "plain")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert relative_error(answers["relaxed"], expected) < 1e-6
    assert relative_error(answers["plain"], expected) < 1e-6


def test_profile_and_time(bundle: fl.Bundle, inputs: dict[str, np.ndarray]) -> None:
    with BrowserHost(bundle.path) as host:
        kernels = host.profile(inputs)
        assert [k["op"] for k in kernels] == [k["op"] for k in bundle.manifest["kernels"]]
        assert all(k["ms"] >= 0 for k in kernels)
        assert len(host.time(inputs, times=4, warmup=1)) == 4


def test_images(tmp_path: Path, chromium_path: str) -> None:
    b = Builder("pictures")
    x = b.input("x", (1, 8, 8, 3), "float32")
    scores = b.add("mean", x, axes=(1, 2), keepdims=False)
    model = b.finish({"scores": b.add("softmax", scores, axis=-1)})
    rgb = np.random.default_rng(5).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    task = fl.tasks.classify(labels=["red", "green", "blue"], input_range=(0, 1))
    with fl.build(model, tmp_path / "pictures", task=task) as bundle:
        expected = bundle.run({"image": rgb}, host="numpy")
        received = bundle.run({"image": rgb}, host="browser")
        assert relative_error(received["scores"], expected["scores"]) < 1e-5
        np.testing.assert_array_equal(received["top_indices"], expected["top_indices"])


def test_one_of_several_manifests_of_a_folder(
    bundle: fl.Bundle, inputs: dict[str, np.ndarray], tmp_path: Path
) -> None:
    folder = tmp_path / "several"
    shutil.copytree(bundle.path, folder)
    (folder / "manifest.json").rename(folder / "the one.json")
    with fl.open_bundle(folder / "the one.json") as one:
        received = one.run(inputs, host="browser")
    np.testing.assert_array_equal(received["z"], bundle.run(inputs, host="numpy")["z"])


def test_wrong_inputs_are_told_as_by_every_host(
    bundle: fl.Bundle, inputs: dict[str, np.ndarray]
) -> None:
    for wrong, code in (
        ({"x": inputs["x"]}, "E-INPUT-001"),
        ({**inputs, "x": inputs["x"][0]}, "E-INPUT-002"),
        ({**inputs, "k": inputs["k"].astype(np.float32)}, "E-INPUT-003"),
    ):
        with pytest.raises(fl.FanlightError) as caught:
            bundle.run(wrong, host="browser")
        assert caught.value.code == code


def test_a_corrupt_bundle_is_reported_with_the_runtimes_code(
    bundle: fl.Bundle, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundle.path, broken)
    for module in json.loads((broken / "manifest.json").read_text())["modules"]:
        path = broken / module["path"]
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(fl.FanlightError) as caught:
        BrowserHost(broken)
    assert caught.value.code == "E-HOST-005" and "E-WEB-006" in str(caught.value)


def test_no_bundle_and_closed_host(bundle: fl.Bundle, tmp_path: Path) -> None:
    with pytest.raises(fl.FanlightError) as caught:
        BrowserHost(tmp_path)
    assert caught.value.code == "E-BUNDLE-001"
    host = BrowserHost(bundle.path)
    host.close()
    host.close()
    with pytest.raises(fl.FanlightError) as caught:
        host.run({"x": np.zeros((1, 4, 4, 3), np.float32), "k": np.zeros(3, np.int32)})
    assert caught.value.code == "E-HOST-004"


def test_a_browser_that_died_is_told_and_replaced(
    bundle: fl.Bundle, inputs: dict[str, np.ndarray]
) -> None:
    host = BrowserHost(bundle.path)
    assert browser._shared is not None
    browser._shared.call(lambda chromium: chromium.close())
    with pytest.raises(fl.FanlightError) as caught:
        host.run(inputs)
    assert caught.value.code == "E-HOST-004"
    host.close()
    with BrowserHost(bundle.path) as again:
        assert again.run(inputs)["y"].shape == (1, 4, 4, 3)


def test_a_missing_chromium_says_what_to_install(
    bundle: fl.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FANLIGHT_CHROMIUM", "/no/such/browser")
    assert browser.find_browser("chromium") is None
    browser.close_browser()
    with pytest.raises(fl.FanlightError) as caught:
        BrowserHost(bundle.path)
    assert caught.value.code == "E-HOST-001" and "playwright install" in str(caught.value)


def test_it_runs_inside_an_event_loop_and_ends_cleanly(
    bundle: fl.Bundle, chromium_path: str
) -> None:
    code = (
        "import asyncio, numpy as np, fanlight as fl\n"
        "async def main():\n"
        f"    bundle = fl.open_bundle({str(bundle.path)!r})\n"
        "    x = np.zeros((1, 4, 4, 3), np.float32)\n"
        "    k = np.zeros(3, np.int32)\n"
        "    print(bundle.run({'x': x, 'k': k}, host='browser')['y'].shape)\n"
        "asyncio.run(main())\n"
    )
    result = run_python("-W", "error", "-c", code)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "(1, 4, 4, 3)\n" and result.stderr == ""
