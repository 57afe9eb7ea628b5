"""Formats by name: those that readers use, those that `from_` takes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from click.testing import CliRunner

import fanlight as fl
from fanlight.cli.convert import command
from fanlight.convert import kinds
from fanlight.convert.kinds import SOURCES, check_source, target_kind
from fanlight.errors import FanlightError
from fanlight.formats.source import FORMATS

READERS = Path(fl.__file__).parent / "formats"
# What no reader of a file calls so: weights that a page saved with their layers.
OF_PAGES = {"safetensors"}


def names_in_readers() -> set[str]:
    """Texts that readers give as the format of a Source."""
    found = set()
    for path in READERS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            given = [k.value for k in node.keywords if k.arg == "format"]
            if called == "import_model":
                given += node.args[4:5]
            if called in ("Source", "replace", "import_model"):
                texts = [g.value for g in given if isinstance(g, ast.Constant)]
                found |= {t for t in texts if isinstance(t, str)}
    return found


def test_every_reader_s_format_is_known() -> None:
    assert names_in_readers() == set(FORMATS)


def test_every_format_can_be_named_as_a_source() -> None:
    assert {name for names in SOURCES.values() for name in names} == set(FORMATS) | OF_PAGES
    for name in FORMATS:
        check_source(name, name, "a file")


def test_another_format_than_it_is_said_to_be() -> None:
    with pytest.raises(FanlightError, match="E-CONVERT-001") as caught:
        check_source("keras-v3", "onnx", "a.onnx")
    assert "keras-v3" in str(caught.value) and "a.onnx" in str(caught.value)


def test_old_names_stay() -> None:
    check_source("tf_saved_model", "saved-model", "folder")
    check_source("tf_frozen_model", "frozen-graph", "a.pb")
    check_source("keras", "keras-v3", "a.keras")
    check_source("keras", "keras-h5", "a.h5")
    for name in ("tf_saved_model", "tf_frozen_model", "keras"):
        with pytest.raises(FanlightError, match="E-CONVERT-001"):
            check_source(name, "onnx", "a.onnx")


@pytest.mark.parametrize("name", ["site.zip", "out.js", "model.mlmodel", "net.json", "net.bin"])
@pytest.mark.parametrize("to", [None, "tfjs-graph", "bundle"])
def test_a_folder_is_not_called_like_a_file(tmp_path: Path, name: str, to: str | None) -> None:
    with pytest.raises(fl.FanlightError, match=r"(?s)E-CONVERT-001.*folder"):
        kinds.target_kind(to, tmp_path / name)
    (tmp_path / name).mkdir()  # whoever has such a folder means it
    assert kinds.target_kind(to, tmp_path / name) == (to or "tfjs")


@pytest.mark.parametrize("name", ["net.tflite", "net.pb", "net.pt2"])
def test_what_is_read_only_is_said_to_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(fl.FanlightError, match=r"(?s)E-CONVERT-001.*does not write it"):
        kinds.target_kind(None, tmp_path / name)


@pytest.mark.parametrize("to", ["tfjs-layers", "tfjs-graph"])
def test_model_json_stands_for_its_folder(tmp_path: Path, to: str) -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)])
    made = fl.convert(model, tmp_path / "web" / "model.json", to=to)
    assert (tmp_path / "web" / "model.json").is_file()
    assert set(made.files) == {p.name for p in (tmp_path / "web").iterdir()}
    assert len(made.files) == 2


def test_the_source_is_not_overwritten(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)])
    web, single = tmp_path / "web", tmp_path / "m.onnx"
    fl.convert(model, web)
    fl.convert(model, single)
    before = {p: p.read_bytes() for p in (single, *web.iterdir())}
    for source, target in ((web, web), (web / "model.json", web), (single, single),
                           (web, web / ".." / "web" / "model.json")):  # fmt: skip
        with pytest.raises(fl.FanlightError, match=r"(?s)E-CONVERT-002.*overwritten"):
            fl.convert(source, target)
    assert before == {p: p.read_bytes() for p in (single, *web.iterdir())}


def test_outputs_by_name_are_those_of_a_graph(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)])
    made = fl.convert(model, tmp_path / "web", structured_outputs=True)
    assert made.kind == "tfjs-graph"
    with pytest.raises(fl.FanlightError, match="E-CONVERT-002"):
        fl.convert(model, tmp_path / "layers", to="tfjs-layers", structured_outputs=True)


@pytest.mark.parametrize(
    "name", ["tensorflowjs", "TF.js", "tfjs", "TFJS", "tensorflow.js", "tf-js"]
)
def test_names_of_tfjs(name: str) -> None:
    assert target_kind(name, Path("web")) == "tfjs"
    check_source(name, "tfjs-layers", "model.json")


def test_names_that_are_written_in_other_ways() -> None:
    assert target_kind("layers_model", Path("web")) == "tfjs-layers"
    assert target_kind("ONNX", Path("a.onnx")) == "onnx"
    assert target_kind("keras-v3", Path("a.keras")) == "keras"
    check_source("PyTorch", "torch", "a.pt2")
    check_source("SavedModel", "saved-model", "folder")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tensorflowj", "did you mean 'tfjs'?"),
        ("kears", "did you mean 'keras'?"),
        ("tfjs-graphs", "did you mean 'tfjs-graph'?"),
        ("tflite", "reads tflite and does not write it"),
        ("pytorch", "reads torch and does not write it"),
        ("coreml", "take one of those"),
    ],
)
def test_what_no_format_is_called(name: str, said: str) -> None:
    with pytest.raises(FanlightError) as caught:
        target_kind(name, Path("web"))
    assert caught.value.code == "E-CONVERT-001" and said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [("model.onxx", ".onnx"), ("m.kera", ".keras"), ("m.safetensor", ".safetensors"),
     ("m.hdf", ".hdf5"), ("m.html5", ".html")],
)  # fmt: skip
def test_an_ending_that_is_nearly_one_of_a_file(tmp_path: Path, name: str, near: str) -> None:
    with pytest.raises(FanlightError) as caught:
        target_kind(None, tmp_path / name)
    assert caught.value.code == "E-CONVERT-001"
    assert caught.value.next is not None and f"did you mean {near}?" in caught.value.next
    assert target_kind("tfjs", tmp_path / name) == "tfjs"  # whoever says so means a folder
    (tmp_path / name).mkdir()
    assert target_kind(None, tmp_path / name) == "tfjs"


def test_a_folder_with_another_ending_is_told(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)])
    note = "x.xyz is a folder, for TF.js: no format has the ending '.xyz'."
    assert note in fl.convert(model, tmp_path / "x.xyz").notes
    assert (tmp_path / "x.xyz" / "model.json").is_file()
    for name, to in (("x.xyz", None), ("y.xyz", "tfjs"), ("web", None), ("web-1.5", None)):
        assert not any("ending" in n for n in fl.convert(model, tmp_path / name, to=to).notes)


@pytest.mark.parametrize("to", ["tfjs", "bundle"])
def test_a_model_json_among_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)])
    (tmp_path / "mine.txt").write_text("kept")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FanlightError) as caught:
        fl.convert(model, "model.json", to=to)
    assert str(caught.value.where).endswith(f"stands for its folder, {tmp_path.resolve()}")
    assert caught.value.next == "name a folder that is new: web/model.json, or web."
    assert [f.name for f in tmp_path.iterdir()] == ["mine.txt"]
    assert fl.convert(model, "web/model.json", to=to).ok


@pytest.mark.parametrize("option", ["--outputs", "--inputs", "--subgraph"])
def test_names_of_nothing_are_refused(tmp_path: Path, option: str) -> None:
    path = tmp_path / "m.keras"
    fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)]).save(path)
    value = ":," if option == "--subgraph" else ","
    made = CliRunner().invoke(command, [str(path), str(tmp_path / "web"), option, value])
    assert made.exit_code == 2 and "names nothing" in " ".join(made.output.split())
    assert not (tmp_path / "web").exists()
