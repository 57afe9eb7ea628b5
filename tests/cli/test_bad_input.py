"""Bad input: one coded message that fits a screen, exit code 1, and nothing left behind."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fanlight.cli.app import cli
from fanlight.hosts.serving import Site, SiteServer
from tests.cli.conftest import write_model
from tests.support import fanlight_cli


def fanlight(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="fanlight")


def edited(change: Callable[[dict], object]) -> Callable[[Path], Path]:
    """A spoiler that changes the model.json."""

    def spoil(folder: Path) -> Path:
        path = write_model(folder)
        model = json.loads(path.read_text())
        change(model)
        path.write_text(json.dumps(model))
        return path

    return spoil


def layers_of(model: dict) -> list[dict]:
    return model["modelTopology"]["model_config"]["config"]["layers"]


def truncated_shard(folder: Path) -> Path:
    path = write_model(folder)
    shard = folder / "group1-shard1of1.bin"
    shard.write_bytes(shard.read_bytes()[:-5])
    return path


def missing_shard(folder: Path) -> Path:
    path = write_model(folder)
    (folder / "group1-shard1of1.bin").unlink()
    return path


def oversized_shard(folder: Path) -> Path:
    path = write_model(folder)
    with (folder / "group1-shard1of1.bin").open("ab") as file:
        file.write(bytes(12))
    return path


def nan_weights(folder: Path) -> Path:
    return write_model(folder, nan=True)


def not_json(folder: Path) -> Path:
    path = write_model(folder)
    path.write_text("<html>404</html>")
    return path


def deep_nesting(folder: Path) -> Path:
    path = write_model(folder)
    path.write_text("[" * 200_000)
    return path


def empty_file(folder: Path) -> Path:
    path = write_model(folder)
    path.write_bytes(b"")
    return path


def zip_with_escaping_name(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../evil.json", "{}")
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
    return path


def not_hdf5(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"rubbish" * 20)
    return path


def unknown_layer(model: dict) -> None:
    layers_of(model)[1]["class_name"] = "Telepathy"


def cyclic(model: dict) -> None:
    layers_of(model)[1]["inbound_nodes"] = [[["dense", 0, 0, {}]]]


def empty_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


SOURCES: dict[str, Callable[[Path], Path]] = {
    "truncated shard": truncated_shard,
    "missing shard": missing_shard,
    "oversized shard": oversized_shard,
    "NaN weights": nan_weights,
    "not JSON": not_json,
    "deep nesting": deep_nesting,
    "empty file": empty_file,
    "zip with ../": zip_with_escaping_name,
    "not HDF5": not_hdf5,
    "unknown layer": edited(unknown_layer),
    "cycle": edited(cyclic),
    "JSON of something else": edited(lambda model: model.clear()),
    "empty folder": empty_folder,
    "no such path": lambda folder: folder / "model.json",
}


def assert_told(result: Result, code: str = "E-") -> None:
    """A coded message on standard error with a next step: no traceback, at most a screen."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith(code), result.stderr
    assert len(lines) <= 24 and "Traceback" not in result.stderr
    assert any(line.strip().startswith("Next:") for line in lines)
    assert "E-CLI-008" not in result.stderr, "an error that nobody coded: " + result.stderr


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("out", ["site", "page.html"])
def test_build_of_bad_sources(tmp_path: Path, name: str, out: str) -> None:
    source = SOURCES[name](tmp_path / "source")
    target = tmp_path / "out" / out
    target.parent.mkdir()
    assert_told(fanlight("build", source, "-o", target))
    assert list(target.parent.iterdir()) == [], "something was left at the output path"


def test_a_failed_build_leaves_the_older_bundle(tmp_path: Path, model: Path) -> None:
    out = tmp_path / "site"
    assert fanlight("build", model, "-o", out).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert_told(fanlight("build", nan_weights(tmp_path / "bad"), "-o", out), "E-FORMAT-009")
    assert before == {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad", "site", "source"]


def test_label_count(tmp_path: Path, model: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("one\ntwo\n")
    assert_told(fanlight("build", model, "-o", tmp_path / "x", "--labels", labels), "E-BUILD-002")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00bad", b'{"a": 1}', b"[1, 2, 3]", b"[["])
def test_labels_that_are_none(tmp_path: Path, model: Path, content: bytes) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_bytes(content)
    assert_told(fanlight("build", model, "-o", tmp_path / "x", "--labels", labels), "E-CLI-009")
    missing = tmp_path / "nothing"
    assert_told(fanlight("build", model, "-o", tmp_path / "x", "--labels", missing), "E-CLI-004")


def test_images_that_are_none(tmp_path: Path, model: Path, photo: Path) -> None:
    text = tmp_path / "photo.jpg"
    text.write_text("not a photo")
    assert_told(fanlight("run", model, text), "E-INPUT-010")
    assert_told(fanlight("run", model, photo, text), "E-INPUT-010")
    cut = tmp_path / "cut.png"
    cut.write_bytes(photo.read_bytes()[:60])
    assert_told(fanlight("run", model, cut), "E-INPUT-01")
    assert_told(fanlight("run", model, tmp_path / "none.png"), "E-INPUT-013")
    folder = fanlight("run", model, tmp_path)
    assert_told(folder, "E-INPUT-013")
    assert "*.jpg" in folder.stderr
    assert_told(fanlight("demo", text, "--no-serve"), "E-INPUT-010")


def test_output_paths_that_cannot_be(tmp_path: Path, model: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    assert_told(fanlight("build", model, "-o", precious), "E-BUILD-004")
    assert (precious / "thesis.txt").read_text() == "years of work"
    file = tmp_path / "file"
    file.write_text("x")
    assert_told(fanlight("build", model, "-o", file), "E-BUILD-004")
    assert_told(fanlight("build", model, "-o", file / "below"), "E-BUILD-004")
    out = file / "graph.svg"
    assert_told(fanlight("inspect", model, "--graph", "svg", "-o", out), "E-CLI-007")


@pytest.mark.parametrize("damage", ["manifest", "weights", "module", "version", "escape"])
def test_damaged_bundles(tmp_path: Path, model: Path, photo: Path, damage: str) -> None:
    site = tmp_path / "site"
    assert fanlight("build", model, "-o", site).exit_code == 0
    path = site / "manifest.json"
    manifest = json.loads(path.read_text())
    if damage == "manifest":
        path.write_text("{")
    elif damage == "version":
        path.write_text(json.dumps({**manifest, "fanlight": 99}))
    elif damage == "escape":
        manifest["weights"][0]["path"] = "../source/group1-shard1of1.bin"
        path.write_text(json.dumps(manifest))
    else:
        entry = manifest["weights" if damage == "weights" else "modules"][0]
        file = site / entry["path"]
        file.write_bytes(file.read_bytes()[:-1])
    assert_told(fanlight("run", site, photo), "E-BUNDLE-00")
    if damage != "module":  # which `inspect` does not read
        assert_told(fanlight("inspect", site), "E-BUNDLE-00")


def test_a_bundle_without_a_task_has_no_predictions(
    tmp_path: Path, model: Path, photo: Path
) -> None:
    site = tmp_path / "site"
    assert fanlight("build", model, "-o", site, "--task", "none").exit_code == 0
    assert_told(fanlight("run", site, photo), "E-CLI-006")
    assert_told(fanlight("run", model, photo, "--task", "none"), "E-CLI-006")
    told = fanlight("build", model, "-o", tmp_path / "x", "--task", "none", "--crop", "none")
    assert_told(told, "E-BUILD-005")


def test_ports_folders_and_codes(tmp_path: Path, model: Path) -> None:
    with SiteServer(Site(tmp_path)) as taken:
        assert_told(fanlight("serve", tmp_path, "--port", taken.server_port), "E-CLI-001")
        assert_told(fanlight("demo", "--port", taken.server_port), "E-CLI-001")
    assert_told(fanlight("serve", tmp_path / "nothing"), "E-CLI-002")
    assert_told(fanlight("explain", "E-NOPE-1"), "E-CLI-003")
    out = ("-o", tmp_path / "site")
    assert_told(fanlight("build", model, *out, "--precision", "int8"), "E-CALIB-001")
    assert_told(fanlight("build", model, *out, "--calibrate", tmp_path), "E-BUILD-005")
    nowhere = ("--precision", "int8", "--calibrate", tmp_path / "nowhere")
    assert_told(fanlight("build", model, *out, *nowhere), "E-CALIB-002")
    assert not (tmp_path / "site").exists()


def test_json_errors_are_for_machines(tmp_path: Path, model: Path) -> None:
    result = fanlight("run", model, tmp_path / "none.png", "--json")
    assert result.exit_code == 1 and result.stderr == ""
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "E-INPUT-013" and error["message"] and error["next"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "x"],
        ["build", "x", "-o", "y", "--input-range", "1"],
        ["build", "x", "-o", "y", "--input-range", "2,1"],
        ["build", "x", "-o", "y", "--size", "0"],
        ["build", "x", "-o", "y", "--precision", "f8"],
        ["run", "x"],
        ["run", "x", "y", "--top", "0"],
        ["inspect", "x", "-o", "picture.bmp"],
        ["bench", "x", "--peers", "torch"],
        ["bench", "x", "--plot", "roofline.gif"],
        ["bench", "x", "--threads", "0"],
        ["bench", "x", "--threads", "1,two"],
        ["bench", "x", "--peers", "tfjs", "--out", "figures.csv"],
        ["bench", "x", "--out", "figures.svg"],
        ["serve", "x", "--port", "70000"],
        ["fly"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str]) -> None:
    result = fanlight(*arguments)
    assert result.exit_code == 2 and "Traceback" not in result.output


def test_a_misspelt_command_is_met_with_the_right_one() -> None:
    result = fanlight("biuld", "x")
    assert result.exit_code == 2 and "build" in result.output.split("No such command 'biuld'")[1]


def test_ctrl_c_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(value: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fanlight.cli.explain.print_json", interrupt)
    result = fanlight("explain", "--json")
    assert result.exit_code == 130 and result.stderr == "Interrupted.\n"


def test_debug_shows_the_traceback_and_a_process_shows_none(tmp_path: Path) -> None:
    quiet = fanlight_cli("build", tmp_path / "none", "-o", tmp_path / "x")
    assert quiet.returncode == 1 and "E-CLI-004" in quiet.stderr and "Trace" not in quiet.stderr
    loud = fanlight_cli("--debug", "build", tmp_path / "none", "-o", tmp_path / "x")
    assert loud.returncode == 1 and "Traceback" in loud.stderr and "E-CLI-004" in loud.stderr
