"""Bad input, end to end: one coded error, within bounds of time and memory, nothing left behind.

Every case runs the command line as a user does, in a process of its own. The readers' own cases,
by the hundred, are in formats/test_bad_input.py and formats/test_fuzz.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import CATALOGUE, FanlightError
from fanlight.finite import check_weights
from fanlight.graph import Builder
from tests.formats import crafted
from tests.formats.crafted import node, placeholder, write_tfjs
from tests.support import ROOT

SECONDS = 10.0
BYTES = 1500 << 20


@dataclass(frozen=True)
class Finished:
    """A process that ended: what it said, its exit code, its time on the processor, which a busy
    machine does not make longer, and its peak of memory.
    """

    stdout: str
    stderr: str
    code: int
    seconds: float
    peak_bytes: int


# A process between: what a child is said to take begins with what its parent takes, and this one,
# after thousands of tests, takes much.
_MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    file.write(f"{used.ru_maxrss} {used.ru_utime + used.ru_stime}")
sys.exit(code if code >= 0 else 128 - code)
"""


def fanlight(*arguments: object, folder: Path) -> Finished:
    """`fanlight ARGUMENTS`, measured; killed after some minutes."""
    out, err = folder / "stdout.txt", folder / "stderr.txt"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", _MEASURED, str(folder / "used.txt"),
             sys.executable, "-m", "fanlight", *map(str, arguments)],
            cwd=ROOT, stdout=stdout, stderr=stderr, env={**os.environ, "COLUMNS": "200"},
            start_new_session=True,
        )  # fmt: skip
        timer = threading.Timer(200, lambda: os.killpg(process.pid, signal.SIGKILL))
        timer.start()
        process.wait()
        timer.cancel()
    peak, seconds = (folder / "used.txt").read_text().split()
    unit = 1 if sys.platform == "darwin" else 1024
    return Finished(
        out.read_text(encoding="utf-8"),
        err.read_text(encoding="utf-8"),
        process.returncode,
        float(seconds),
        int(peak) * unit,
    )


@pytest.fixture
def refused(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """`refused(code, *says, args=[...])`: the command fails with that error, and cleanly."""

    def run(code: str, *says: str, args: list[object]) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("refused")
        site = folder / "site"
        site.mkdir()
        done = fanlight(
            *(str(a).replace("{out}", str(site)) for a in args), "--json", folder=folder
        )
        assert done.code == 1, done
        assert done.stderr == "", done
        answer = json.loads(done.stdout)
        assert list(answer) == ["error"], "one error, and nothing else"
        error = answer["error"]
        assert error["code"].startswith(code), error
        assert set(error) >= {"message", "expected", "received", "where", "next"}, error
        assert all(error.values()), error
        for words in says:
            assert any(words in text for text in error.values()), (words, error)
        assert done.seconds < SECONDS, done
        assert done.peak_bytes < BYTES, done
        assert list(site.iterdir()) == [], "something was left at the output path"
        return error

    return run


def build(source: Path, *more: object) -> list[object]:
    """The arguments that build `source` into a folder of which nothing may remain."""
    return ["build", source, "-o", "{out}/new/bundle", *more]


@pytest.fixture
def cnn(tmp_path: Path) -> Path:
    """A sound layers-model with 5 scores, to be spoiled."""
    model, arrays = crafted.small_cnn()
    return write_tfjs(tmp_path / "cnn", crafted.keras2(model), arrays)


@pytest.fixture
def sharded(cnn: Path) -> Path:
    """The same in three shards."""
    data = cnn.with_name("weights.bin").read_bytes()
    names = [f"group1-shard{i}of3.bin" for i in (1, 2, 3)]
    for name, part in zip(names, (data[:200], data[200:400], data[400:]), strict=True):
        cnn.with_name(name).write_bytes(part)
    cnn.with_name("weights.bin").unlink()
    edit(cnn, lambda m: m["weightsManifest"][0].update(paths=names))
    return cnn


def edit(path: Path, change: Callable[[Any], Any]) -> Path:
    model = json.loads(path.read_text())
    change(model)
    path.write_text(json.dumps(model))
    return path


def graph_model(
    folder: Path, nodes: list[Any], arrays: dict[str, np.ndarray] | None = None
) -> Path:
    return write_tfjs(folder / "graph", *crafted.graph_of(nodes, arrays or {}))


# --- models ---------------------------------------------------------------------------------------


def test_the_sound_model_builds(cnn: Path, tmp_path: Path) -> None:
    done = fanlight("build", cnn, "-o", tmp_path / "site", "--json", folder=tmp_path)
    assert done.code == 0, done
    assert (tmp_path / "site" / "manifest.json").is_file()
    assert done.peak_bytes < BYTES and done.seconds < SECONDS


def test_truncated_shard(sharded: Path, refused: Callable[..., dict[str, str]]) -> None:
    shard = sharded.with_name("group1-shard2of3.bin")
    shard.write_bytes(shard.read_bytes()[:-7])
    refused("E-FORMAT-007", "group1-shard2of3.bin", args=build(sharded))


def test_shard_longer_than_the_manifest(
    sharded: Path, refused: Callable[..., dict[str, str]]
) -> None:
    shard = sharded.with_name("group1-shard3of3.bin")
    size = 400 + shard.stat().st_size
    shard.write_bytes(shard.read_bytes() + bytes(64))
    error = refused("E-FORMAT-007", "group1-shard3of3.bin", args=build(sharded))
    assert f"{size} bytes" in error["expected"] and f"{size + 64} bytes" in error["received"]


def test_missing_shard(sharded: Path, refused: Callable[..., dict[str, str]]) -> None:
    sharded.with_name("group1-shard1of3.bin").unlink()
    refused("E-FORMAT-006", "group1-shard1of3.bin", args=build(sharded))


def test_nan_weights(tmp_path: Path, refused: Callable[..., dict[str, str]]) -> None:
    model, arrays = crafted.small_cnn()
    arrays["d/kernel"][1, 2] = np.nan
    path = write_tfjs(tmp_path / "nan", crafted.keras2(model), arrays)
    refused("E-FORMAT-009", "d/kernel", "1 NaN", args=build(path))


def test_infinite_weights(tmp_path: Path, refused: Callable[..., dict[str, str]]) -> None:
    model, arrays = crafted.small_cnn()
    arrays["d/bias"][0] = np.inf
    path = write_tfjs(tmp_path / "inf", crafted.keras2(model), arrays)
    refused("E-BUILD-006", "d/bias", args=build(path))


@pytest.mark.parametrize(
    ("numbers", "built"),
    [
        ([-np.inf], True),
        ([[0, -np.inf], [0, 0]], True),
        ([1, np.inf, -1, 0], True),
        ([0.5, np.inf], False),
        ([0, -np.inf, np.nan], False),
        ([1, 0, np.nan], False),
    ],
)
def test_infinity_is_for_masks(numbers: list[Any], built: bool) -> None:
    b = Builder("m")
    x = b.input("x", np.shape(numbers), "float32")
    graph = b.finish({"y": b.add("add", x, b.weight(np.float32(numbers), "mask"))})
    if built:
        check_weights(graph)
        return
    with pytest.raises(FanlightError, match="NaN or infinity") as info:
        check_weights(graph)
    assert info.value.code == "E-BUILD-006" and info.value.where == "mask"


def test_unknown_op(tmp_path: Path, refused: Callable[..., dict[str, str]]) -> None:
    path = graph_model(tmp_path, [placeholder("x", 1, 4), node("Warp", "bend", "x")])
    refused("E-FORMAT-013", "Warp", "bend", "model.json", args=build(path))


def test_unsupported_ops_are_listed_at_once(
    tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    nodes = [
        placeholder("x", 1, 4),
        node("Warp", "a", "x"),
        node("Weft", "b", "a"),
        node("Warp", "c", "b"),
        node("Relu", "d", "c"),
        node("Woof", "e", "d"),
    ]
    error = refused("E-FORMAT-013", args=build(graph_model(tmp_path, nodes)))
    listed = " ".join(error.values())
    assert all(op in listed for op in ("Warp", "Weft", "Woof"))
    assert "Relu" not in error["received"]


def test_unknown_layers_are_listed_at_once(
    tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    model = crafted.sequential(
        crafted.layer("SpectralPooling", "s"),
        crafted.layer("Flatten", "f"),
        crafted.layer("Telepathy", "t"),
    )
    path = write_tfjs(tmp_path / "layers", crafted.keras2(model), crafted.weights_of({"w": (1,)}))
    error = refused("E-FORMAT-014", "SpectralPooling", "Telepathy", "model.json", args=build(path))
    assert "Flatten" not in error["received"]


def test_cyclic_graph(tmp_path: Path, refused: Callable[..., dict[str, str]]) -> None:
    nodes = [
        placeholder("x", 1, 4),
        node("Add", "a", "x", "c"),
        node("Relu", "b", "a"),
        node("Relu", "c", "b"),
        node("Identity", "out", "c"),
    ]
    refused("E-FORMAT-015", "c <- b <- a <- c", args=build(graph_model(tmp_path, nodes)))


def test_cyclic_layers(tmp_path: Path, refused: Callable[..., dict[str, str]]) -> None:
    model = crafted.functional()
    layers = {entry["name"]: entry for entry in model["config"]["layers"]}
    layers["a"]["inbound_nodes"] = [[["s", 0, 0, {}]]]
    topology = crafted.keras2(model)
    path = write_tfjs(tmp_path / "layers", topology, crafted.functional_weights())
    refused("E-FORMAT-015", "model.json", args=build(path))


def test_model_json_that_is_not_json(cnn: Path, refused: Callable[..., dict[str, str]]) -> None:
    cnn.write_text("<!DOCTYPE html><title>404 Not Found</title>")
    refused("E-FORMAT-003", "<!DOCTYPE", "model.json", args=build(cnn))


def test_half_a_gigabyte_of_nesting(tmp_path: Path, refused: Callable[..., dict[str, str]]) -> None:
    path = tmp_path / "model.json"
    part = b'{"modelTopology":[' + b"[" * (1 << 20)
    with path.open("wb") as file:
        for _ in range(500):
            file.write(part[-(1 << 20) :])
    assert path.stat().st_size >= 500 << 20
    refused("E-FORMAT-004", "model.json", args=build(path))
    path.unlink()


def test_as_deep_a_nesting_as_the_size_limit_lets_in(
    tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(b'{"modelTopology":' + b"[" * (30 << 20))
    refused("E-FORMAT-004", "model.json", args=build(path))


def test_a_folder_with_half_a_gigabyte_of_nesting(
    tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    with (folder / "topology.json").open("wb") as file:  # a name that must be looked into
        file.write(b'{"modelTopology":' + b"[" * (1 << 20))
        file.truncate(500 << 20)
    error = refused("E-FORMAT-", "model", args=build(folder))
    assert error["code"] in ("E-FORMAT-002", "E-FORMAT-004")


@pytest.mark.parametrize("name", ["empty.json", "empty.h5", "empty.keras"])
def test_empty_files(name: str, tmp_path: Path, refused: Callable[..., dict[str, str]]) -> None:
    (tmp_path / name).touch()
    refused("E-FORMAT-001", name, "0 bytes", args=build(tmp_path / name))


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_damaged_keras_files(
    suffix: str, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    model, arrays = crafted.small_cnn()
    path = tmp_path / f"cut.{suffix}"
    if suffix == "h5":
        crafted.write_h5(path, model, arrays, "2.15.0")
    else:
        crafted.write_keras(path, crafted.functional_keras3(), crafted.functional_weights())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code = "E-FORMAT-021" if suffix == "h5" else "E-FORMAT-020"
    refused(code, path.name, args=build(path))


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil.txt", "a/../../evil.txt"])
def test_zip_with_names_that_lead_out(
    name: str, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    path = tmp_path / "in" / "model.keras"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
        archive.writestr(name, "gotcha")
    refused("E-FORMAT-020", name, "model.keras", args=build(path))
    assert not (tmp_path / "evil.txt").exists() and not Path("/etc/evil.txt").exists()


def test_zip_bomb(tmp_path: Path, refused: Callable[..., dict[str, str]]) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        with archive.open("config.json", "w", force_zip64=True) as file:
            for _ in range(600):
                file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    error = refused("E-FORMAT-020", "model.keras", args=build(path))
    assert "config.json" in " ".join(error.values())


def test_weights_outside_the_folder(cnn: Path, refused: Callable[..., dict[str, str]]) -> None:
    edit(cnn, lambda m: m["weightsManifest"][0].update(paths=["../../secret.bin"]))
    refused("E-FORMAT-010", "../../secret.bin", args=build(cnn))


def test_source_that_is_not_there(tmp_path: Path, refused: Callable[..., dict[str, str]]) -> None:
    refused("E-CLI-004", "nothing.json", args=build(tmp_path / "nothing.json"))


# --- build options --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 4, 6])
def test_label_count(
    count: int, cnn: Path, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"label {i}" for i in range(count)))
    error = refused("E-BUILD-002", args=build(cnn, "--labels", labels))
    assert error["expected"] == "5 labels" and error["received"] == f"{count} labels"
    assert ("--background" in error["next"]) == (count == 4)


def test_label_count_leaves_an_older_bundle_as_it_was(cnn: Path, tmp_path: Path) -> None:
    site = tmp_path / "out" / "site"
    fl.build(fl.load(cnn), site)
    before = {p.name: p.read_bytes() for p in site.iterdir()}
    labels = tmp_path / "labels.txt"
    labels.write_text("one\ntwo")
    done = fanlight("build", cnn, "-o", site, "--labels", labels, folder=tmp_path)
    assert done.code == 1
    assert {p.name: p.read_bytes() for p in site.iterdir()} == before
    assert [p.name for p in site.parent.iterdir()] == ["site"]


def test_one_file_page_is_not_left_half_written(
    cnn: Path, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("one\ntwo")
    args = ["build", cnn, "-o", "{out}/page.html", "--labels", labels]
    refused("E-BUILD-002", args=args)


def test_output_path_that_is_not_a_bundle(
    cnn: Path, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.txt").write_text("four years")
    refused("E-BUILD-004", "precious", args=["build", cnn, "-o", folder])
    assert [p.name for p in folder.iterdir()] == ["thesis.txt"]
    assert (folder / "thesis.txt").read_text() == "four years"


def test_page_over_a_file_that_is_not_ours(
    cnn: Path, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    page = tmp_path / "index.html"
    page.write_text("my home page")
    refused("E-BUILD-004", "index.html", args=["build", cnn, "-o", page])
    assert page.read_text() == "my home page"


# --- images ---------------------------------------------------------------------------------------


def picture(path: Path, size: tuple[int, int] = (64, 48)) -> Path:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_image_that_is_no_image(
    cnn: Path, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    image = tmp_path / "cat.jpg"
    image.write_text("meow")
    refused("E-INPUT-010", "cat.jpg", "meow", args=["run", cnn, image])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif"])
def test_truncated_image(
    suffix: str, cnn: Path, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    image = picture(tmp_path / f"cut.{suffix}")
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    refused("E-INPUT-011", f"cut.{suffix}", args=["run", cnn, image])


def test_image_bomb(cnn: Path, tmp_path: Path, refused: Callable[..., dict[str, str]]) -> None:
    from PIL import Image

    image = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(image)
    refused("E-INPUT-012", "bomb.png", args=["run", cnn, image])


def test_image_that_is_missing(
    cnn: Path, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    refused("E-INPUT-013", "no.jpg", args=["run", cnn, tmp_path / "no.jpg"])


# --- bundles --------------------------------------------------------------------------------------


@pytest.fixture
def bundle(cnn: Path, tmp_path: Path) -> Path:
    fl.build(fl.load(cnn), tmp_path / "bundle", task=fl.tasks.classify())
    return tmp_path / "bundle"


@pytest.mark.parametrize("stem", ["weights-", "model-"])
@pytest.mark.parametrize("spoil", ["cut", "flip", "gone"])
def test_damaged_bundle(
    stem: str, spoil: str, bundle: Path, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    # The files that are read: a host may take the compressed ones beside them, nobody here does.
    named = [p for p in bundle.iterdir() if p.suffix not in (".gz", ".br")]
    path = next(p for p in named if p.name.startswith(stem) and "plain" not in p.name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data if spoil == "flip" else data[:-1])
    if spoil == "gone":
        path.unlink()
    image = picture(tmp_path / "a.png")
    refused("E-BUNDLE-003", path.name, args=["run", bundle, image])


def test_manifest_that_is_no_manifest(
    bundle: Path, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    (bundle / "manifest.json").write_text("[" * 100_000)
    refused("E-BUNDLE-002", "manifest.json", args=["run", bundle, picture(tmp_path / "a.png")])


def test_manifest_that_leaves_its_folder(
    bundle: Path, tmp_path: Path, refused: Callable[..., dict[str, str]]
) -> None:
    def lead_out(manifest: dict[str, Any]) -> None:
        manifest["weights"][0]["path"] = "../secret.bin"

    edit(bundle / "manifest.json", lead_out)
    error = refused("E-BUNDLE-002", args=["run", bundle, picture(tmp_path / "a.png")])
    assert "../secret.bin" in error["received"]


# --- the Python API -------------------------------------------------------------------------------


def caught(call: Callable[[], object], code: str) -> fl.FanlightError:
    with pytest.raises(fl.FanlightError) as info:
        call()
    error = info.value
    assert error.code == code, str(error)
    assert None not in (error.expected, error.received, error.where), str(error)
    assert str(error).count("Next: ") == 1
    return error


@pytest.mark.parametrize("host", ["wasm", "wasm-plain", "numpy"])
@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"image": np.zeros((8, 8), np.uint8)}, "E-INPUT-002"),
        ({"image": np.zeros((8, 8, 2), np.uint8)}, "E-INPUT-002"),
        ({"image": np.zeros((1, 8, 8, 4), np.uint8)}, "E-INPUT-002"),
        ({"image": np.zeros((0, 8, 4), np.uint8)}, "E-INPUT-004"),
        ({"image": np.zeros((2049, 1, 4), np.uint8)}, "E-INPUT-004"),
        ({"image": np.zeros((8, 8, 4), np.float32)}, "E-INPUT-003"),
        ({"image": np.zeros((8, 8, 4), np.int64)}, "E-INPUT-003"),
        ({"image": np.array([["a"]])}, "E-INPUT-003"),
        ({"image": np.array(None)}, "E-INPUT-003"),
        ({"photo": np.zeros((8, 8, 4), np.uint8)}, "E-INPUT-001"),
        ({}, "E-INPUT-001"),
    ],
)  # fmt: skip
def test_inputs_of_a_bundle(host: str, inputs: dict[str, Any], code: str, cnn: Path,
                            tmp_path: Path) -> None:  # fmt: skip
    with fl.build(fl.load(cnn), tmp_path / "site", task=fl.tasks.classify()) as bundle:
        caught(lambda: bundle.run(inputs, host=host), code)


def test_inputs_of_a_model(cnn: Path) -> None:
    model = fl.load(cnn)
    caught(lambda: model(np.zeros((1, 8, 8, 4), np.float32)), "E-INPUT-002")
    caught(lambda: model({"x": np.zeros((1, 8, 8, 3), np.uint8)}), "E-INPUT-003")
    caught(lambda: model({"y": np.zeros((1, 8, 8, 3), np.float32)}), "E-INPUT-001")


# --- how it is told -------------------------------------------------------------------------------


def test_people_get_the_same_error_in_words(cnn: Path, tmp_path: Path) -> None:
    cnn.write_text("{")
    done = fanlight("build", cnn, "-o", tmp_path / "site", folder=tmp_path)
    assert done.code == 1
    assert done.stdout == ""
    for words in ("E-FORMAT-003", "Where:", "Expected:", "Received:", "Next:", str(cnn)):
        assert words in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_every_code_here_is_explained(tmp_path: Path) -> None:
    done = fanlight("explain", "E-FORMAT-007", folder=tmp_path)
    assert done.code == 0
    assert CATALOGUE["E-FORMAT-007"][:40] in " ".join(done.stdout.split())
