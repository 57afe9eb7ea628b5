"""Calibration data: what is taken, what is refused, and that nothing leaves its bounds."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fanlight as fl
from fanlight import calibration
from fanlight.calibration import read_items
from fanlight.errors import FanlightError
from fanlight.graph import Builder, evaluate
from fanlight.models.tasks import guess_input_range
from tests.quantize.nets import NETS, Net

TASK = fl.tasks.classify(input_range=(-1, 1))


def photo(seed: int = 0, size: tuple[int, int] = (20, 24)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BILINEAR))


def encoded(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo(seed)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six photos, two of them in a subfolder, and three files that are none."""
    place = tmp_path / "photos"
    (place / "more").mkdir(parents=True)
    for i in range(6):
        (place / ("more" if i > 3 else "") / f"{i}.png").write_bytes(encoded(i))
    (place / "broken.jpg").write_bytes(b"\xff\xd8\xff not a photo")
    (place / "empty.png").write_bytes(b"")
    (place / "notes.txt").write_text("text")
    return place


def archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


# --- what is taken --------------------------------------------------------------------------------


def test_a_folder(folder: Path) -> None:
    items = read_items(folder)
    assert len(items.pictures) == 6 and not items.arrays
    assert sorted(s.split(": ")[1] for s in items.skipped) == ["E-INPUT-010", "E-INPUT-011"] or (
        len(items.skipped) == 2 and all("E-INPUT" in s for s in items.skipped)
    )


def test_an_archive_is_the_same_as_its_folder(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(folder, "photos")
    inside = read_items(tmp_path / "photos.tar")
    outside = read_items(str(folder))
    assert len(inside.pictures) == 6 and len(inside.skipped) == 2
    for a, b in zip(inside.pictures, outside.pictures, strict=True):
        assert np.array_equal(a, b)


def test_more_than_the_limit_are_evenly_spread(tmp_path: Path) -> None:
    for i in range(10):
        Image.fromarray(np.full((2, 2, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
    items = read_items(tmp_path, limit=5)
    assert [int(p[0, 0, 0]) for p in items.pictures] == [0, 2, 4, 6, 8]


def forms(folder: Path) -> dict[str, Any]:
    paths = sorted(folder.glob("*.png"))[:3]

    def lazily() -> Iterator[np.ndarray]:
        for i in range(10_000):
            assert i < 5, "more is asked for than is used"
            yield photo(i)

    return {
        "one photo": folder / "0.png",
        "paths": paths,
        "texts": [str(p) for p in paths],
        "arrays": [photo(1), photo(2)],
        "an array of photos": np.stack([photo(1), photo(2)]),
        "a generator": lazily(),
        "a callable": lazily,
        "model inputs": np.zeros((3, 16, 16, 3), np.float32),
        "with a leading one": [np.zeros((1, 16, 16, 3), np.float32)],
        "by name": {"x": np.zeros((3, 16, 16, 3), np.float64)},
        "items by name": [{"x": np.zeros((16, 16, 3))}, {"x": np.ones((1, 16, 16, 3))}],
    }


@pytest.mark.parametrize("form", forms(Path()))
def test_every_form_quantises(form: str, folder: Path) -> None:
    source = forms(folder)[form]
    quantized = fl.quantize(NETS["mobile"](), source, task=TASK, limit=4)
    assert isinstance(quantized, fl.QuantizedModel)
    assert 1 <= quantized.report.items <= 4
    x = np.float32(np.random.default_rng(0).normal(size=(1, 16, 16, 3)))
    assert quantized(x).shape == (1, 7)


def test_photos_are_prepared_as_the_task_does(folder: Path) -> None:
    graph = NETS["mobile"]()
    by_photos = fl.quantize(graph, folder, task=TASK)
    prepared = TASK.preprocess(graph)
    arrays = [evaluate(prepared, {"image": p})["input"] for p in read_items(folder).pictures]
    by_arrays = fl.quantize(graph, arrays)
    ours = [layer.low for layer in by_photos.report.layers]
    assert ours == [layer.low for layer in by_arrays.report.layers]
    assert any("2 files could not be read" in note for note in by_photos.report.notes)


def test_a_quantised_model_builds_with_a_task(folder: Path, tmp_path: Path) -> None:
    graph = NETS["mobile"]()
    task = fl.tasks.classify([f"kind {i}" for i in range(7)])
    quantized = fl.quantize(graph, folder, task=task)
    image = photo(3, (40, 50))
    with fl.build(graph, tmp_path / "f32", task=task) as bundle:
        exact = bundle.run({"image": image})
    with fl.build(quantized, tmp_path / "int8", task=task) as bundle:
        got = bundle.run({"image": image})
        assert bundle.manifest["precision"] == "int8"
        assert bundle.manifest["task"]["preprocess"]["input_range"] == [-1, 1]
        assert sum(s["bytes"] for s in bundle.manifest["weights"]) < 3000
    assert np.abs(got["scores"] - exact["scores"]).max() < 0.05
    with fl.build(
        graph, tmp_path / "one", task=task, precision="int8", calibration=folder
    ) as bundle:
        again = bundle.run({"image": image})
    assert np.array_equal(again["scores"], got["scores"])


@pytest.mark.parametrize("ends", [(-1, 1), (0, 1), (0, 255), (-2, 3)])
def test_a_quantised_graph_tells_its_input_range(ends: tuple[float, float], folder: Path) -> None:
    task = fl.tasks.classify(input_range=ends)
    quantized = fl.quantize(NETS["mobile"](), folder, task=task)
    assert guess_input_range(quantized.graph) == pytest.approx(ends, abs=1e-3)


def test_a_guess_that_folding_hides_is_kept(folder: Path, tmp_path: Path) -> None:
    """The model maps 0 .. 1 to -1 .. 1 itself; quantisation folds that into a convolution."""
    n = Net()
    x = n.b.add("mul", n.x, n.b.weight(np.float32(2)))
    x = n.b.add("sub", x, n.b.weight(np.float32(1)))
    graph = n.head(n.conv(x, 8, 3, act="relu"))
    assert guess_input_range(graph) == (0, 1)
    quantized = fl.quantize(graph, folder)
    with fl.build(quantized, tmp_path / "site", task=fl.tasks.classify()) as bundle:
        assert bundle.manifest["task"]["preprocess"]["input_range"] == [0, 1]


# --- what is refused ------------------------------------------------------------------------------


def refused(source: Any, code: str, *words: str, graph: Any = None, **options: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        fl.quantize(graph or NETS["mobile"](), source, task=TASK, **options)
    assert caught.value.code == code, str(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_nothing(tmp_path: Path) -> None:
    refused(None, "E-CALIB-001", "photos", "--calibrate")
    refused([], "E-CALIB-001")
    refused(iter(()), "E-CALIB-001")
    refused(np.zeros((0, 16, 16, 3), np.float32), "E-CALIB-001")
    refused(tmp_path, "E-CALIB-001")
    refused({}, "E-CALIB-001")
    refused([photo()], "E-CALIB-001", "limit", limit=0)
    (tmp_path / "a.png").write_bytes(b"no photo")
    refused(tmp_path, "E-CALIB-001", "1 files, none of them readable")
    archive(tmp_path / "empty.tar", [])
    refused(tmp_path / "empty.tar", "E-CALIB-001")


def test_not_calibration_data(tmp_path: Path) -> None:
    refused(3, "E-CALIB-002", "int")
    refused(tmp_path / "nowhere", "E-CALIB-002", "nothing")
    refused([object()], "E-CALIB-002")
    refused(["no such file.png"], "E-CALIB-001", "No such file")
    refused([photo(), np.zeros((16, 16, 3), np.float32)], "E-CALIB-002", "mixed")
    refused({"x": np.zeros((2, 16, 16, 3)), "y": np.zeros((3, 1))}, "E-CALIB-002", "different")
    refused([photo()], "E-BUILD-003", graph=_vectors())
    refused(np.zeros((2, 5), np.float32), "E-INPUT-002")
    refused([{"nonsense": np.zeros((16, 16, 3))}], "E-INPUT-001")


def _vectors() -> Any:
    n = Net((1, 8))
    return n.b.finish({"y": n.dense(n.x, 3)})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_numbers_that_are_none(bad: float) -> None:
    data = np.zeros((4, 16, 16, 3))
    data[2, 3, 4, 1] = bad
    refused(data, "E-CALIB-004", "item 2", "1 of 768")


def test_a_huge_outlier_is_left_out() -> None:
    rng = np.random.default_rng(0)
    data = np.float32(rng.normal(size=(12, 16, 16, 3)))
    wanted = fl.quantize(NETS["mobile"](), data[:11], task=TASK)
    data[11] *= 1e6
    got = fl.quantize(NETS["mobile"](), data, task=TASK)
    assert any("1 items with numbers 100 times the usual" in n for n in got.report.notes)
    assert [r.high for r in got.report.layers] == [r.high for r in wanted.report.layers]


def test_a_quantised_model_is_not_quantised_again(folder: Path, tmp_path: Path) -> None:
    quantized = fl.quantize(NETS["mobile"](), folder, task=TASK)
    refused(folder, "E-CALIB-005", "already", graph=quantized)
    # But it builds, with the precision said or not.
    with fl.build(quantized, tmp_path / "site", precision="int8") as bundle:
        assert bundle.manifest["precision"] == "int8"
    with pytest.raises(FanlightError, match=r"E-BUILD-005 .*float16"):
        fl.build(quantized, tmp_path / "halves", precision="f16")
    assert not (tmp_path / "halves").exists()


def test_build_wants_data_for_int8_and_only_for_that(tmp_path: Path) -> None:
    for precision, data, code in (("int8", None, "E-CALIB-001"), ("f32", [], "E-BUILD-005")):
        with pytest.raises(FanlightError) as caught:
            fl.build(NETS["mobile"](), tmp_path / "s", precision=precision, calibration=data)
        assert caught.value.code == code
        assert not (tmp_path / "s").exists()


def test_without_data_it_says_what_it_needs() -> None:
    with pytest.raises(FanlightError, match="E-CALIB-001"):
        fl.quantize(NETS["mobile"]())


def test_a_model_without_layers() -> None:
    b = Builder("none")
    x = b.input("x", (1, 4, 4, 3))
    graph = b.finish({"y": b.add("relu", x)})
    refused([photo()], "E-CALIB-005", "relu", graph=graph)


# --- archives that mean harm ----------------------------------------------------------------------


def test_hostile_names_are_only_names(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(encoded(9))
    names = ["../../evil.png", "/etc/evil.png", "a\nb\x1b[31m.png", "x" * 90 + ".png", "ü.png"]
    members = [(member(n), encoded(i)) for i, n in enumerate(names)]
    members += [(member("bad\x1b[31m.png"), b"nonsense")]
    before = sorted(os.listdir(tmp_path))
    path = archive(tmp_path / "evil.tar", members)
    items = read_items(path)
    assert len(items.pictures) == 5
    assert items.skipped == ["bad?[31m.png: E-INPUT-010"]
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "evil.tar"])


def test_links_and_devices_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(encoded(9))
    path = archive(
        tmp_path / "links.tar",
        [
            (member("good.png"), encoded(1)),
            (member("soft.png", tarfile.SYMTYPE, str(secret)), b""),
            (member("hard.png", tarfile.LNKTYPE, "good.png"), b""),
            (member("pipe.png", tarfile.FIFOTYPE), b""),
            (member("device.png", tarfile.CHRTYPE), b""),
            (member("folder.png", tarfile.DIRTYPE), b""),
        ],
    )
    assert len(read_items(path).pictures) == 1


def test_links_of_a_folder(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "a.png").write_bytes(encoded(1))
    (inside / "around").symlink_to(inside)
    (inside / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert len(read_items(inside).pictures) == 1


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A header that claims more than the file holds.
    info = member("huge.png")
    info.size = 1 << 40
    (tmp_path / "claims.tar").write_bytes(info.tobuf() + b"\0" * 1024)
    with pytest.raises(FanlightError, match=r"E-CALIB-00[13]"):
        read_items(tmp_path / "claims.tar")
    # A compressed archive is refused before anything is decompressed.
    with tarfile.open(tmp_path / "zipped.tar", "w:gz") as tar:
        big = member("big.png")
        big.size = 10 << 20
        tar.addfile(big, io.BytesIO(bytes(10 << 20)))
    with pytest.raises(FanlightError, match="E-CALIB-003"):
        read_items(tmp_path / "zipped.tar")
    # A photo of a few bytes that claims many megapixels.
    header = encoded(0)
    fake = header[:16] + (60_000).to_bytes(4, "big") * 2 + header[24:]
    (tmp_path / "bomb.png").write_bytes(fake)
    (tmp_path / "good.png").write_bytes(encoded(2))
    items = read_items([tmp_path / "bomb.png", tmp_path / "good.png"])
    assert len(items.pictures) == 1 and len(items.skipped) == 1
    # More entries than any collection of photos has.
    monkeypatch.setattr(calibration, "MAX_ENTRIES", 3)
    path = archive(tmp_path / "many.tar", [(member(f"{i}.png"), encoded(i)) for i in range(9)])
    assert len(read_items(path).pictures) == 3
    monkeypatch.setattr(calibration, "MAX_PHOTO_BYTES", 50)
    assert "too large" in _skipped(path)


def _skipped(path: Path) -> str:
    with pytest.raises(FanlightError) as caught:
        read_items(path)
    return str(caught.value)


def test_damaged_archives(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.tar", [(member(f"{i}.png"), encoded(i)) for i in range(3)])
    data = whole.read_bytes()
    for name, broken in {
        "text.tar": b"this is no archive" * 100,
        "empty.tar": b"",
        "cut.tar": data[: len(data) // 3],
        "flipped.tar": data[:600] + bytes(600) + data[1200:],
    }.items():
        (tmp_path / name).write_bytes(broken)
        try:
            found = read_items(tmp_path / name)
        except FanlightError as error:
            assert error.code in ("E-CALIB-001", "E-CALIB-003"), name
        else:
            assert len(found.pictures) <= 3


def test_a_task_that_does_not_fit_is_told_before_anything_is_read(tmp_path: Path) -> None:
    def never() -> list[np.ndarray]:
        raise AssertionError("the calibration data were read")

    task = fl.tasks.classify(labels=["one", "two"])
    with pytest.raises(FanlightError) as caught:
        fl.build(NETS["mobile"](), tmp_path / "x", task=task, precision="int8", calibration=never)
    assert caught.value.code == "E-BUILD-002"
