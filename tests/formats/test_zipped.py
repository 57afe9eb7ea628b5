"""Models in zips: projects of Studio, image-models of Teachable Machine, zipped TF.js folders."""

from __future__ import annotations

import errno
import io
import json
import shutil
import struct
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.formats import zips
from fanlight.formats.zipped import unzipped
from tests.layers.tfjs_peer import answers
from tests.support import fanlight_cli, refused

CLASSES = ["cat", "<i>dog</i>"]
SIZE = 96


def classifier(labels: Any = CLASSES) -> Any:
    fl.clear_session()
    fl.set_random_seed(1)
    net = fl.Sequential(
        [
            fl.Input((16, 16, 3)),
            fl.layers.Conv2D(6, 3, activation="relu", trainable=False),
            fl.layers.GlobalAveragePooling2D(),
            fl.layers.Dense(2, activation="softmax", name="head"),
        ]
    )
    net.labels = labels
    net.compile("adam", "sparse_categorical_crossentropy")
    return net


def described(**changes: Any) -> bytes:
    listed = [{"id": f"c{i}", "name": n, "color": "#112233"} for i, n in enumerate(CLASSES)]
    return json.dumps({"version": 1, "name": "Pets", "classes": listed, **changes}).encode()


def packed(path: Path, members: Mapping[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def learnt(tmp_path: Path) -> bytes:
    classifier().save(tmp_path / "one.safetensors")
    return (tmp_path / "one.safetensors").read_bytes()


@pytest.fixture
def project(tmp_path: Path, learnt: bytes) -> Path:
    photos = {f"photos/cat/{n}-x.jpg": b"\xff\xd8 no picture" for n in range(3)}
    members = {"project.json": described(), **photos, "model.safetensors": learnt}
    return packed(tmp_path / "pets.zip", members)


def test_a_project_is_its_classifier(project: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
    want = classifier().predict(x)
    for read in (fl.load, fl.load_model):
        model = read(project)
        assert list(model.labels) == CLASSES
        np.testing.assert_array_equal(model.predict(x), want)
    model.fit(x, np.array([0, 1, 0]), verbose=0)  # and it learns on
    (tmp_path / "moved.data").write_bytes(project.read_bytes())  # its content tells what it is
    np.testing.assert_array_equal(fl.load(tmp_path / "moved.data").predict(x), want)


def test_it_is_unpacked_again_where_its_folder_was_tidied_up(project: Path) -> None:
    first = unzipped(project)
    assert unzipped(project) == first  # once is enough
    shutil.rmtree(first.parent)
    again = unzipped(project)
    assert again.is_file() and fl.load(project) is not None


def test_labels_that_are_ids_are_told_by_names(tmp_path: Path) -> None:
    classifier(["c1", "c0"]).save(tmp_path / "one.safetensors")
    members = {
        "project.json": described(),
        "model.safetensors": (tmp_path / "one.safetensors").read_bytes(),
    }
    model = fl.load(packed(tmp_path / "ids.zip", members))
    assert list(model.labels) == CLASSES[::-1]


@pytest.mark.parametrize("target", ["pets.keras", "web", "pets.onnx", "pets.html", "p.safetensors"])
def test_a_project_is_converted(project: Path, tmp_path: Path, target: str) -> None:
    made = fl.convert(project, tmp_path / "out" / target)
    assert made.ok and made.format == "safetensors"
    x = np.random.default_rng(2).random((1, 16, 16, 3), np.float32)
    if target == "pets.keras":
        model = fl.load_model(tmp_path / "out" / target)
        np.testing.assert_allclose(model.predict(x), classifier().predict(x), atol=1e-6)


def test_commands_take_a_project(project: Path, tmp_path: Path) -> None:
    done = fanlight_cli("convert", project, tmp_path / "model.keras")
    assert done.returncode == 0, done.stderr
    done = fanlight_cli("inspect", project, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["labels"] == CLASSES
    done = fanlight_cli("inspect", project)
    assert "safetensors in a project of Studio" in done.stdout, done.stderr
    done = fanlight_cli("build", project, "-o", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert fl.open_bundle(tmp_path / "site").labels == CLASSES
    done = fanlight_cli("convert", project, "--report")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("read", [fl.load, fl.load_model])
def test_a_project_that_is_wrong_says_why(tmp_path: Path, learnt: bytes, read: Any) -> None:
    def told(code: str, about: bytes, model: bytes | None, *words: str) -> Any:
        members = {"project.json": about} | ({"model.safetensors": model} if model else {})
        return refused(code, partial(read, packed(tmp_path / "x.zip", members)), *words)

    told("E-FORMAT-002", described(), None, "no model yet")
    told("E-STUDIO-031", described(version=2), learnt, "newer")
    for about in (b"[]", described(version="1"), described(version=0), b"{}"):
        told("E-STUDIO-032", about, learnt)
    for about in (described(classes=3), described(classes=[{"id": 1}])):
        told("E-FORMAT-005", about, learnt)
    told("E-FORMAT-003", b"{", learnt)
    error = told("E-FORMAT-007", described(), learnt[:-9])
    assert "x.zip" in str(error.where) and "fanlight-" not in str(error)


def test_a_full_disk_is_told_as_such(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zips, "unpack", full)
    error = refused("E-FORMAT-001", lambda: fl.load(project), "no room", "TMPDIR")
    assert not Path(str(error.where)).exists()  # nothing is left there


def test_hostile_archives_are_refused(tmp_path: Path, project: Path, learnt: bytes) -> None:
    path = tmp_path / "x.zip"
    whole = project.read_bytes()
    for name in ("../up.jpg", "/etc/x", "a\\..\\b", "c:x"):
        packed(path, {"project.json": described(), "model.safetensors": learnt, name: b""})
        refused("E-FORMAT-020", lambda: fl.load(path), "names inside")
    # A bomb: a member that claims far more than its bytes can hold.
    packed(path, {"project.json": described(), "model.safetensors": b"\0" * 1000})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1 << 31)
    path.write_bytes(bytes(data))
    refused("E-FORMAT-020", lambda: fl.load(path), "at most")
    # One that unpacks to less than it says.
    data[at + 24 : at + 28] = struct.pack("<I", 1001)
    path.write_bytes(bytes(data))
    refused("E-FORMAT-020", lambda: fl.load(path))
    for end in (30, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:end])
        refused("E-FORMAT-020", lambda: fl.load(path))
    flipped = bytearray(whole)
    flipped[whole.index(b"model.safetensors") + 60] ^= 255
    path.write_bytes(bytes(flipped))
    refused("E-FORMAT-020", lambda: fl.load_model(path))
    refused("E-FORMAT-002", lambda: fl.load(packed(path, {"readme.txt": b"hello"})))


@pytest.fixture(scope="module")
def teachable(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, list[float]]:
    """A folder as Teachable Machine's, made by TF.js; an image, and what TF.js says of it."""
    folder = tmp_path_factory.mktemp("tm")
    image = np.random.default_rng(5).uniform(-1, 1, (1, SIZE, SIZE, 3)).astype(np.float32)
    script = Path(__file__).with_name("teachable.mjs")
    job = {"folder": str(folder), "size": SIZE, "labels": [*CLASSES, "none"]}
    (told,) = answers(script, {**job, "image": image.reshape(-1).tolist()})
    return folder, image, told["scores"]


def zipped(folder: Path, target: Path, before: str = "") -> Path:
    return packed(target, {before + p.name: p.read_bytes() for p in sorted(folder.iterdir())})


@pytest.mark.parametrize("form", ["folder", "zip", "folder in zip"])
def test_teachable_machine(
    teachable: tuple[Path, np.ndarray, list[float]], tmp_path: Path, form: str
) -> None:
    folder, image, scores = teachable
    path = {
        "folder": lambda: folder,
        "zip": lambda: zipped(folder, tmp_path / "converted_tfjs.zip"),
        "folder in zip": lambda: zipped(folder, tmp_path / "my model.zip", "my_model/"),
    }[form]()
    graph = fl.load(path)
    assert list(graph.labels) == [*CLASSES, "none"]
    np.testing.assert_allclose(graph(image)[0], scores, atol=1e-5)
    layers = fl.load_model(path)
    assert list(layers.labels) == [*CLASSES, "none"]
    np.testing.assert_allclose(layers.predict(image)[0], scores, atol=1e-5)
    if form != "zip":
        return
    # Its pictures are from -1 to 1, which is what a page makes of photos.
    with fl.build(graph, tmp_path / "site", task=fl.tasks.classify()) as bundle:
        task = bundle.manifest["task"]
        assert task["preprocess"]["input_range"] == [-1, 1]
        assert task["preprocess"]["size"] == [SIZE, SIZE] and task["labels"] == list(graph.labels)
        pixels = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
        want = layers.predict(pixels[None].astype(np.float32) / 127.5 - 1)[0]
        np.testing.assert_allclose(bundle.run({"image": pixels})["scores"], want, atol=1e-4)


def test_a_zipped_model_that_is_wrong_says_why(
    teachable: tuple[Path, np.ndarray, list[float]], tmp_path: Path
) -> None:
    folder, _, _ = teachable
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    path = tmp_path / "x.zip"
    packed(path, {**files, "weights.bin": files["weights.bin"][:-4]})
    error = refused("E-FORMAT-007", lambda: fl.load(path))
    assert "x.zip" in str(error.where)
    model = json.loads(files["model.json"])
    model["weightsManifest"][0]["paths"] = ["../weights.bin"]
    packed(path, {**files, "model.json": json.dumps(model).encode()})
    refused("E-FORMAT-010", lambda: fl.load(path))
    packed(path, {**files, "../x": b""})
    refused("E-FORMAT-020", lambda: fl.load_model(path))
    # A program of PyTorch is no TF.js model, whatever it has inside.
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("m/models/model.json", "{}")
    path.write_bytes(data.getvalue())
    refused("E-FORMAT-005", lambda: fl.load(path), "schema_version")
