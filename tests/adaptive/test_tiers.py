"""Tiers: which are built, in which order, how good they are, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.adaptive.sizes import resized
from fanlight.graph import Builder, evaluate
from tests.adaptive.nets import LABELS, TASK, WRONG_OF_PAGE, colours, pictures
from tests.support import SHARED, fanlight_cli, refused


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return pictures()[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photos: list[np.ndarray]) -> Path:
    out = tmp_path_factory.mktemp("tiers") / "site"
    fl.build_tiers(colours(64), out, task=TASK, calibration=photos)
    return out


def test_auto_goes_from_best_to_cheapest(folder: Path) -> None:
    listed = json.loads((folder / "tiers.json").read_text())
    tiers = listed["tiers"]
    assert [t["id"] for t in tiers] == ["f32-64", "f16-64", "int8-64", "int8-48"]
    assert [t["size"] for t in tiers] == [[64, 64]] * 3 + [[48, 48]]
    assert [t["arithmetic"] for t in tiers] == ["float32", "float32", "int8", "int8"]
    assert tiers[0]["agreement"] == 1 and min(t["agreement"] for t in tiers) > 0.9
    assert tiers[3]["flops"] < 0.6 * tiers[2]["flops"]
    assert listed["photos"] == 60 and len(listed["hash"]) == 64


def test_a_folder_has_one_runtime_and_lists_every_file(folder: Path) -> None:
    assert len(list(folder.rglob("fanlight.js"))) == 1 and len(list(folder.rglob("*.html"))) == 1
    manifest = json.loads((folder / "manifest.json").read_text())
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    copies = {path for path in found if path.endswith((".gz", ".br"))}
    assert {"fanlight.js.gz", "tiers.json.gz", "int8-64/manifest.json.gz"} <= copies
    assert set(manifest["files"]) | {"manifest.json"} == found - copies
    page = (folder / "index.html").read_text()
    assert 'src="./tiers.json"' in page and 'href="tiers.json"' in page


def test_a_folder_is_replaced_by_another_build(folder: Path, photos: list[np.ndarray]) -> None:
    made = fl.build_tiers(colours(64), folder, task=TASK, calibration=photos)
    assert [t["id"] for t in made.tiers] == ["f32-64", "f16-64", "int8-64", "int8-48"]
    (folder / "precious.txt").write_text("mine")
    refused("E-BUILD-004", lambda: fl.build_tiers(colours(), folder, task=TASK, tiers=["f32"]))
    (folder / "precious.txt").unlink()


def test_python_opens_the_best_or_the_one_that_is_named(
    folder: Path, photos: list[np.ndarray]
) -> None:
    with fl.open_bundle(folder) as best, fl.open_bundle(folder, tier="int8-48") as cheap:
        assert best.path == folder / "f32-64" and cheap.manifest["precision"] == "int8"
        said = [b.run({"image": photos[0]})["scores"].argmax() for b in (best, cheap)]
        assert said[0] == said[1]
        assert fl.check(best, hosts=["wasm"]).ok
    refused("E-BUNDLE-006", lambda: fl.open_bundle(folder, tier="f64"), "f16-64")
    refused("E-BUNDLE-006", lambda: fl.open_bundle(folder / "f32-64", tier="f32-64"))


@pytest.mark.parametrize(
    "text",
    ["[", "{}", '{"kind": "tiers", "tiers": []}', '{"kind": "tiers", "tiers": [{"id": 1}]}',
     '{"kind": "tiers", "tiers": [{"id": "a", "url": "../"}]}',
     '{"kind": "exits", "stages": [{"id": "a", "url": "a/"}]}'],
)  # fmt: skip
def test_a_malformed_list_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text('{"fanlight": 1, "group": "tiers.json"}')
    (tmp_path / "tiers.json").write_text(text)
    refused("E-BUNDLE-006", lambda: fl.open_bundle(tmp_path), "tiers.json")


def test_without_photos_there_is_no_int8(tmp_path: Path) -> None:
    made = fl.build_tiers(colours(64), tmp_path / "site", task=TASK)
    assert [t["id"] for t in made.tiers] == ["f32-64", "f16-64", "f16-48"]
    assert [t["agreement"] for t in made.tiers] == [None] * 3
    assert any("--calibrate" in note for note in made.notes)
    assert "not measured" in str(made)


def test_a_list_says_which(tmp_path: Path, photos: list[np.ndarray]) -> None:
    made = fl.build_tiers(
        colours(64), tmp_path / "a", task=TASK, tiers="int8@32x48, f16", calibration=photos
    )
    assert [t["id"] for t in made.tiers] == ["f16-64", "int8-32x48"]
    assert made.best.labels == list(LABELS)

    def build(**more):
        return fl.build_tiers(colours(), tmp_path / "b", **{"task": TASK, **more})

    for tiers in (["f64"], ["f32", "f32@32"], [], ["int8@0x"], [3]):
        refused("E-BUILD-005", lambda t=tiers: build(tiers=t))
    refused("E-BUILD-005", lambda: build(task=None, tiers=["f32@16"]))
    refused("E-BUILD-005", lambda: fl.build_tiers(colours(), tmp_path / "b.html", task=TASK))
    refused("E-CALIB-001", lambda: build(tiers=["int8"]))
    for where, value in WRONG_OF_PAGE.items():
        refused("E-BUILD-005", lambda more={where: value}: build(**more), where)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_model_of_one_size_says_so(tmp_path: Path) -> None:
    b = Builder("flat")
    x = b.input("x", (1, 32, 32, 3))
    flat = b.add("reshape", x, shape=(1, 3072))
    w = b.weight(np.ones((3072, 3), np.float32))
    graph = b.finish({"y": b.add("softmax", b.add("matmul", flat, w), axis=-1)})
    refused("E-BUILD-003", lambda: resized(graph, (16, 16)), "another input size", "reshape")
    made = fl.build_tiers(graph, tmp_path / "site", task=TASK)
    assert [t["id"] for t in made.tiers] == ["f32-32", "f16-32"]
    assert any("f16-16 is left out" in note for note in made.notes)
    refused(
        "E-BUILD-003", lambda: fl.build_tiers(graph, tmp_path / "b", task=TASK, tiers=["f32@16"])
    )


@pytest.mark.parametrize("side", [33, 48, 224])
def test_another_size_is_what_layers_give(side: int) -> None:
    """The graph told again computes what the same layers do at that size, odd sizes too."""
    layers = fl.layers

    def model(n: int):
        return fl.Sequential(
            [
                fl.Input((n, n, 3)),
                layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
                layers.MaxPooling2D(3, 2, padding="same"),
                layers.DepthwiseConv2D(5, padding="same", strides=2),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3, activation="softmax"),
            ]
        )

    whole, other = model(64), model(side)
    other.set_weights(whole.get_weights())
    x = np.random.default_rng(0).normal(size=(1, side, side, 3)).astype(np.float32)
    graph = resized(whole.graph, (side, side))
    found = evaluate(graph, {graph.inputs[0].name: x})
    np.testing.assert_allclose(next(iter(found.values())), other.predict(x), rtol=1e-5, atol=1e-6)


def test_a_pool_over_the_whole_picture_stays_one() -> None:
    b = Builder("pooled")
    x = b.input("x", (1, 8, 8, 3))
    y = b.add("avg_pool", x, size=(8, 8), strides=(8, 8))
    graph = b.finish({"y": b.add("reshape", y, shape=(1, 3))})
    x = np.random.default_rng(0).normal(size=(1, 12, 10, 3)).astype(np.float32)
    (found,) = evaluate(resized(graph, (12, 10)), {"x": x}).values()
    np.testing.assert_allclose(found, x.mean((1, 2)), rtol=1e-5, atol=1e-6)


def test_the_command(tmp_path: Path, folder: Path, photos: list[np.ndarray]) -> None:
    from PIL import Image

    place = tmp_path / "photos"
    place.mkdir()
    for i, photo in enumerate(photos[:20]):
        Image.fromarray(photo).save(place / f"{i}.png")
    model = fl.Sequential(
        [
            fl.Input((64, 64, 3)),
            fl.layers.Conv2D(8, 3, padding="same", activation="relu"),
            fl.layers.GlobalAveragePooling2D(),
            fl.layers.Dense(3, activation="softmax"),
        ]
    )
    model.save(tmp_path / "model.keras")
    out = tmp_path / "site"
    base = ("build", tmp_path / "model.keras", "-o", out, "--input-range", "0,1", "--lazy")
    done = fanlight_cli(*base, "--tiers", "f32,int8@48", "--calibrate", place)
    assert done.returncode == 0, done.stderr
    assert "Built 2 tiers" in done.stdout and "int8-48" in done.stdout
    assert 'loading="lazy"' in (out / "index.html").read_text()
    assert 'preload" as="fetch' not in (out / "index.html").read_text()
    run = fanlight_cli("run", out, place / "1.png", "--json")
    assert run.returncode == 0 and len(json.loads(run.stdout)[0]["predictions"]) == 3
    check = fanlight_cli("check", out, "--host", "wasm", "--json")
    assert check.returncode == 0 and json.loads(check.stdout)["ok"]
    part = fanlight_cli("run", out / "int8-48", place / "1.png")
    assert part.returncode == 0, part.stderr
    wrong = fanlight_cli(*base, "--tiers", "auto", "--precision", "f16")
    assert wrong.returncode == 1 and "E-BUILD-005" in wrong.stderr


@pytest.mark.chromium
def test_the_browser_host_runs_a_tier(
    folder: Path, photos: list[np.ndarray], chromium: object
) -> None:
    with fl.open_bundle(folder, tier="int8-48") as bundle:
        wasm, page = (
            bundle.run({"image": photos[0]}, host=h)["scores"] for h in ("wasm", "browser")
        )
    np.testing.assert_allclose(wasm, page, atol=1e-6)


def test_a_real_model_has_tiers(tmp_path: Path) -> None:
    path = SHARED / "data" / "models" / "mobilenet-v1-0.25-layers-mitcml" / "mobilenet_model.json"
    archive = SHARED / "data" / "images" / "imagenet_1000x1_224.tar"
    if not path.exists() or not archive.exists():
        pytest.skip(f"{path.parent.name} or {archive.name} is not at {SHARED}")
    from fanlight.calibration import read_items

    photos = read_items(archive, limit=40).pictures
    made = fl.build_tiers(
        fl.load(path), tmp_path / "site", task=fl.tasks.classify(), calibration=photos
    )
    ids = [t["id"] for t in made.tiers]
    assert ids == ["f32-224", "f16-224", "int8-224", "int8-160"], str(made)
    shares = [t["agreement"] for t in made.tiers]
    assert shares[0] == 1 and shares[1] >= 0.9 and shares[2] >= 0.7 and shares[3] >= 0.6
    sizes = [t["bytes"] for t in made.tiers]
    assert sizes[1] < 0.6 * sizes[0] and sizes[2] < 0.5 * sizes[0]
