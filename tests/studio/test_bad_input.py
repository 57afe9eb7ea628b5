"""Bad input to `fl.studio` and `fanlight studio`: coded words, and nothing is left behind."""

from __future__ import annotations

import json
import socket
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import fanlight as fl
from fanlight.cli.app import cli
from fanlight.errors import FanlightError
from fanlight.studio import site
from tests.studio.nets import plain


def fanlight(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="fanlight")


def refused(out: Path, *args: Any, **options: Any) -> FanlightError:
    with pytest.raises(FanlightError) as told:
        fl.studio(out, *args, **options)
    return told.value


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's scripts need not have been bundled for what is told of a model."""
    monkeypatch.setattr(site, "page_files", lambda title, links: {"index.html": title.encode()})


@pytest.mark.parametrize(
    "options",
    [
        {"most_classes": 1},
        {"most_classes": 1001},
        {"most_classes": True},
        {"most_classes": "many"},
        {"unfreeze": 2},
        {"unfreeze": "2,4"},
        {"unfreeze": [1.5]},
        {"unfreeze": [-1]},
        {"unfreeze": {"a": 1}},
        {"title": "x" * 10_000},
        {"title": "  "},
        {"title": None},
    ],
)
def test_wrong_options_are_told_before_anything_is_built(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    error = refused(tmp_path / "out", "a file that is never looked for", **options)
    assert error.code == "E-STUDIO-003" and error.where in options
    assert error.expected and len(str(error)) < 600
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("unfreeze", [[99], [2, 4]])
def test_more_layers_than_the_backbone_has(tmp_path: Path, unfreeze: list[int]) -> None:
    for out in (tmp_path / "out", tmp_path / "out.html"):
        error = refused(out, plain(), input_range=(-1, 1), unfreeze=unfreeze)
        assert error.code == "E-STUDIO-003" and error.where == "unfreeze"
        assert "1 to 3" in str(error.expected) and error.received == str(unfreeze[-1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_page")
def test_headers_of_hosts_that_there_are_not_and_of_one_file(tmp_path: Path) -> None:
    error = refused(tmp_path / "out", plain(), headers=["geocities"])
    assert error.code == "E-BUILD-005" and "netlify" in str(error.expected)
    error = refused(tmp_path / "out.html", plain(), headers=["netlify"])
    assert error.code == "E-BUILD-005" and "headers files" in error.message
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_path_to_write_to(no_page: None) -> None:
    for out in (None, 3, "a\0b"):
        assert refused(out, plain()).code == "E-BUILD-005"  # type: ignore[arg-type]


def test_a_title_with_markup_is_text(tmp_path: Path) -> None:
    title = "</title><script>alert(1)</script>{{csp}}"
    made = fl.studio(
        tmp_path / "s", plain(), input_range=(-1, 1), unfreeze=[], title=title, compress=False
    )
    page = (made.path / "index.html").read_text("utf-8")
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert json.loads((made.path / "studio.json").read_text("utf-8"))["title"] == title
    app = json.loads((made.path / "app.webmanifest").read_text("utf-8"))
    assert title in app["name"]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "photos"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work", "utf-8")
    error = refused(out, plain(), input_range=(-1, 1), unfreeze=[])
    assert error.code.startswith("E-B") and "photos" in str(error)
    assert (out / "thesis.txt").read_text("utf-8") == "years of work"
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]


def test_a_page_that_was_not_bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "DIST", site.PAGE / "no such folder")
    error = refused(tmp_path / "out", plain())
    assert error.code == "E-STUDIO-001" and "make setup" in str(error.next)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_page")
class TestBackbones:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        result = fanlight("studio", "--backbone", tmp_path / "none.keras", "-o", tmp_path / "out")
        assert result.exit_code == 1 and "E-FORMAT-001" in result.output
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("name", ["notes", "notes.txt", "notes.keras", "n.h5", "model.json"])
    def test_a_text(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("Not a model.", "utf-8")
        result = fanlight("studio", "--backbone", tmp_path / name, "-o", tmp_path / "out")
        assert result.exit_code == 1 and result.output.startswith("E-")
        assert "Next:" in result.output and "Traceback" not in result.output
        assert f"{name}/model.json" not in result.output  # nobody spoke of that
        assert not (tmp_path / "out").exists()

    def test_what_has_no_layers(self, tmp_path: Path, shared: Path) -> None:
        """A graph alone computes, but nothing of it can learn."""
        folder = shared / "fixtures/mobilenet_v1_025_128"
        graph = shared / "fixtures/x_layernorm/tfjs/sm_graph_u8/model.json"
        for source in (folder / "model.onnx", folder / "saved_model", graph):
            result = fanlight("studio", "--backbone", source, "-o", tmp_path / "out", "--json")
            assert result.exit_code == 1, source
            error = json.loads(result.output)["error"]
            assert error["code"] == "E-STUDIO-002", source
            assert "MobileNet" in error["next"] and "layers" in error["expected"]

    def test_what_is_no_model_at_all(self, tmp_path: Path) -> None:
        for wrong in (42, b"bytes", ["a"], object()):
            error = refused(tmp_path / "out", wrong)
            assert error.code == "E-STUDIO-002" and type(wrong).__name__ in str(error)

    def test_a_model_without_a_map(self, tmp_path: Path) -> None:
        flat = fl.Sequential([fl.Input((4,)), fl.layers.Dense(2)])
        flat.save(tmp_path / "flat.keras")
        source = tmp_path / "flat.keras"
        result = fanlight("studio", "--backbone", source, "-o", tmp_path / "out", "--json")
        error = json.loads(result.output)["error"]
        assert result.exit_code == 1 and error["code"] == "E-STUDIO-002"
        assert error["received"] == "[None, 4]" and error["next"]

    @pytest.mark.parametrize("wrong", ["2,x", "-1", "1.5"])
    def test_numbers_of_layers_that_are_none(self, tmp_path: Path, wrong: str) -> None:
        result = fanlight("studio", "--unfreeze", wrong, "-o", tmp_path / "out")
        assert result.exit_code == 2 and "--unfreeze" in result.output

    def test_more_layers_than_there_are(self, tmp_path: Path) -> None:
        plain().save(tmp_path / "plain.keras")
        result = fanlight(
            "studio", "--backbone", tmp_path / "plain.keras", "--input-range", "-1,1",
            "--unfreeze", "2,99", "-o", tmp_path / "out",
        )  # fmt: skip
        assert result.exit_code == 1 and "E-STUDIO-003" in result.output
        assert "1 to 3" in result.output and "99" in result.output
        assert not (tmp_path / "out").exists()

    def test_a_port_in_use_is_told_before_anything_is_built(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            result = fanlight(
                "studio", "--backbone", "never looked for", "--serve", "--port", port,
                "-o", tmp_path / "out", "--json",
            )  # fmt: skip
        error = json.loads(result.output)["error"]
        assert result.exit_code == 1 and str(port) in json.dumps(error)
        assert not (tmp_path / "out").exists()


def test_a_zip_as_teachable_machine_makes_it_is_a_backbone(tmp_path: Path) -> None:
    layers = tmp_path / "layers"
    net = plain()
    net.labels = ["one", "two", "three"]
    net.save(layers)
    with zipfile.ZipFile(tmp_path / "converted.zip", "w") as archive:
        for file in layers.iterdir():
            archive.write(file, file.name)
        about = {"tfjsVersion": "1.3.1", "imageSize": 16, "labels": ["one", "two", "three"]}
        archive.writestr("metadata.json", json.dumps(about))
    result = fanlight(
        "studio", "--backbone", tmp_path / "converted.zip", "-o", tmp_path / "out",
        "--input-range", "-1,1", "--unfreeze", "0", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    made = json.loads(result.output)
    assert made["heads"] == ["linear", "hidden", "neighbours"]
    about = json.loads((tmp_path / "out/studio.json").read_text("utf-8"))
    assert about["backbone"]["size"] == [16, 16]
