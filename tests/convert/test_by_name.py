"""Inputs that are fixed and tables that are filled when a model is converted."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import fanlight as fl
from fanlight.cli.app import cli
from fanlight.cli.by_name import tables_by_name, values_by_name
from fanlight.convert.model import Reading
from fanlight.convert.report import report_of
from fanlight.errors import FanlightError
from tests.formats.crafted import node
from tests.formats.test_dynamic import i32, written
from tests.formats.test_fixed_inputs import PLACES, WORDS, sentences, switched
from tests.formats.test_savedmodel_tables import INT64, of_file


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["convert", *arguments])
    return result.exit_code, result.output


# --- inputs that are fixed ------------------------------------------------------------------------


def test_a_conversion_of_fixed_inputs(tmp_path: Path) -> None:
    path = switched(tmp_path / "in")
    made = fl.convert(path, tmp_path / "a.onnx", input_values={"training": False, "rate": 0.25})
    assert made.ok
    model = fl.load(tmp_path / "a.onnx")
    assert [n for n, _ in model.inputs] == ["x"]
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_allclose(model(x), x * 0.25)


def test_places_that_decide_sizes(tmp_path: Path) -> None:
    path = sentences(tmp_path / "in")
    made = fl.convert(path, tmp_path / "out", to="bundle", input_values={"places": PLACES})
    assert made.ok
    found = fl.open_bundle(tmp_path / "out").run({"words": WORDS})
    expected = fl.load(path, input_values={"places": PLACES})({"words": WORDS})
    np.testing.assert_allclose(found["sums"], expected["sums"], rtol=1e-5)


def test_the_command_line_fixes_them(tmp_path: Path) -> None:
    path, out = str(switched(tmp_path / "in")), tmp_path / "a.onnx"
    code, text = run(path, str(out), "--input-value", "training=true", "--input-value", "rate=0.25")
    assert code == 0, text
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_allclose(fl.load(out)(x), x + 0.25)
    np.save(tmp_path / "places.npy", PLACES)
    path = str(sentences(tmp_path / "more"))
    code, text = run(path, "--report", "--json")
    problem = json.loads(text)["problem"]
    assert (code, problem["code"]) == (1, "E-FORMAT-019")
    assert "decides it: fanlight convert --input-value places=array.npy" in problem["next"]
    assert "places=VALUE" not in problem["next"]
    given = f"places={tmp_path / 'places.npy'}"
    code, text = run(path, "--report", "--json", "--input-value", given)
    assert code == 0 and json.loads(text)["inputs"] == ["words: i32[5]"]
    listed = f"places={json.dumps(PLACES.tolist())}"
    assert run(path, "--report", "--input-value", listed)[0] == 0
    assert report_of(path, Reading(input_values={"places": PLACES})).ok


def test_which_input_decides_is_told_where_that_is_plain(tmp_path: Path) -> None:
    """Whole numbers do; of a picture nobody would fix the numbers."""
    for dtype, told in ((np.int32, True), (np.float32, False)):
        nodes = [
            node("Cast", "whole", "n", DstT={"type": "DT_INT32"}),
            node("Reshape", "y", "x", "whole"),
        ]
        fed = {"x": np.ones(6, np.float32), "n": np.array([2, 3], dtype)}
        path = written(tmp_path / str(told), nodes, {}, fed, ["y"])
        with pytest.raises(FanlightError, match="E-FORMAT-019") as caught:
            fl.load(path)
        assert ("'n': array" in str(caught.value)) == told
        assert "--input-value" in str(caught.value)
        assert fl.load(path, input_values={"n": [2, 3]})(np.ones(6)).shape == (2, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("training", "NAME=VALUE"),
        ("=3", "NAME=VALUE"),
        ("training=False", "JSON"),
        ("training=", "JSON"),
        ("training=[1,", "JSON"),
        ("training=" + "[" * 9000, "JSON"),
        ('training="yes"', "E-FORMAT-018"),
        ("training=" + "[" * 90 + "1" + "]" * 90, "E-FORMAT-018"),
        ("training=1" + "0" * 300, "E-FORMAT-018"),
        ("training={}", "E-FORMAT-018"),
        ("nobody=1", "E-FORMAT-018"),
        ("training=none.npy", "E-CLI-004"),
    ],
)
def test_values_that_are_none(tmp_path: Path, given: str, said: str) -> None:
    code, text = run(str(switched(tmp_path)), str(tmp_path / "o.onnx"), "--input-value", given)
    assert code == (1 if said.startswith("E-") else 2) and said in text
    assert not (tmp_path / "o.onnx").exists()


def _npy(array: Any, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), version, allow_pickle=True)
    return file.getvalue()


def test_files_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    rng = np.random.default_rng(1)
    for array in (
        np.array(True), np.arange(6).reshape(2, 3), np.arange(6.0).reshape(2, 3).T,
        np.zeros((0, 3), np.float32), np.float16([1, 2]), np.array([1, 2], ">i4"),
    ):  # fmt: skip
        for version in ((1, 0), (2, 0)):
            path.write_bytes(_npy(array, version))
            made = values_by_name([f"a={path}"])["a"]
            assert made.dtype == array.dtype
            np.testing.assert_array_equal(made, array)
    good = _npy(np.arange(6.0).reshape(2, 3))
    bad = [
        b"", good[:9], good[:-1], good + b"\0", b"PK\x03\x04", b"\x80\x04N.",
        _npy(np.array([{}], object)), _npy(np.array(["a"])), _npy(np.zeros(2, "i4,f4")),
        good.replace(b"(2, 3)", b"(9, 9)"), good.replace(b"(2, 3)", b"(-2,3)"),
        good.replace(b"(2, 3), }    ", b"(1<<60, 3), }"),
        good.replace(b"(2, 3), }           ", b"(" + b"9" * 12 + b", 3), }"),
    ]  # fmt: skip
    for _ in range(300):  # flipped bytes
        broken = bytearray(good)
        broken[rng.integers(0, 128)] = rng.integers(0, 256)
        bad.append(bytes(broken))
    for data in bad:
        path.write_bytes(data)
        try:
            made = values_by_name([f"a={path}"])["a"]
        except FanlightError as error:
            assert error.code == "E-CLI-010"
        else:
            assert data not in bad[:13] and made.nbytes <= 48
    with pytest.raises(FanlightError, match="E-CLI-004"):
        values_by_name(["a=/dev/zero.npy"])
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 27)
    with pytest.raises(FanlightError, match="E-FORMAT-004"):
        values_by_name([f"a={path}"])


# --- tables ---------------------------------------------------------------------------------------


def numbered(folder: Path) -> Path:
    """Whole numbers looked up in a table that no file fills."""
    nodes = [
        node("Placeholder", "ids_of", dtype={"type": "DT_RESOURCE"}),
        node("LookupTableFindV2", "found", "ids_of", "x", "none"),
        node("Cast", "y", "found", DstT={"type": "DT_FLOAT"}),
    ]
    return written(folder, nodes, {"none": i32(-1).reshape(())}, {"x": i32(7, 8, 9)}, ["y"])


def test_a_table_is_asked_for_and_given(tmp_path: Path) -> None:
    path = numbered(tmp_path / "in")
    with pytest.raises(FanlightError, match="E-FORMAT-012") as caught:
        fl.convert(path, tmp_path / "a.onnx")
    assert "tables={'ids_of'" in str(caught.value) and "--table ids_of=" in str(caught.value)
    assert fl.convert(path, tmp_path / "a.onnx", tables={"ids_of": {9: 1, 7: 0}}).ok
    assert fl.load(tmp_path / "a.onnx")(i32(7, 8, 9)).tolist() == [0, -1, 1]


@pytest.mark.parametrize("found", [[7, 9], [[9, 1], [7, 0]]], ids=["listed", "in pairs"])
def test_the_command_line_fills_tables(tmp_path: Path, found: Any) -> None:
    path, out = str(numbered(tmp_path / "in")), tmp_path / "a.onnx"
    (tmp_path / "t.json").write_text(json.dumps(found))
    code, text = run(path, str(out), "--table", f"ids_of={tmp_path / 't.json'}")
    assert code == 0, text
    assert fl.load(out)(i32(7, 8, 9)).tolist() == [0, -1, 1]
    assert run(path, "--report")[0] == 1
    assert run(path, "--report", "--table", f"ids_of={tmp_path / 't.json'}")[0] == 0


def test_files_of_words(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes("a\r\né\nb\n".encode())
    (tmp_path / "words.json").write_text('{"a": 0, "b": 2}')
    made = tables_by_name([f"t={tmp_path / 'words.txt'}", f"u={tmp_path / 'words.json'}"])
    assert made == {"t": [b"a", "é".encode(), b"b"], "u": {"a": 0, "b": 2}}


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    path = str(numbered(tmp_path / "in"))
    for text, code in (
        ("", "E-FORMAT-003"), ("[1", "E-FORMAT-003"), ("[" * 5000, "E-FORMAT-004"),
        ("3", "E-FORMAT-018"), ('["a", {}]', "E-FORMAT-018"), ('{"a": []}', "E-FORMAT-018"),
        ("[[1, 2], 3]", "E-CLI-010"), ("[[1, 2], [1, 3]]", "E-CLI-010"), ("[[]]", "E-CLI-010"),
        ("[[[1], 2]]", "E-CLI-010"), ("[7, 7]", "E-FORMAT-012"),
    ):  # fmt: skip
        (tmp_path / "t.json").write_text(text)
        status, said = run(path, "x", "--table", f"ids_of={tmp_path / 't.json'}")
        assert status == 1 and code in said, (text, said)
    for given, said in (("ids_of", "NAME=FILE"), ("ids_of=", "NAME=FILE")):
        status, text = run(path, "x", "--table", given)
        assert status == 2 and said in text
    for given in (f"ids_of={tmp_path}", f"ids_of={tmp_path / 'none'}", "ids_of=/dev/zero"):
        status, text = run(path, "x", "--table", given)
        assert status == 1 and "E-CLI-004" in text


def test_a_table_that_is_given_needs_no_file(tmp_path: Path) -> None:
    """Of a SavedModel whose file of words was lost."""
    folder = of_file(tmp_path / "in", b"30\n-4\n", key=INT64)
    (folder / "assets" / "vocab.txt").unlink()
    with pytest.raises(FanlightError, match="E-FORMAT-006"):
        fl.convert(folder, tmp_path / "a.onnx")
    assert fl.convert(folder, tmp_path / "a.onnx", tables={"hash_table": [30, -4]}).ok
    made = fl.load(tmp_path / "a.onnx")
    assert made(np.array([-4], np.int32)).tolist() == [1]


# --- both -----------------------------------------------------------------------------------------


def test_a_model_that_was_read_takes_neither(tmp_path: Path) -> None:
    model = fl.load(switched(tmp_path / "in"), input_values={"training": False})
    for told in ({"input_values": {"rate": 1}}, {"tables": {"t": ["a"]}}, {"size": 3},
                 {"weights": "random"}, {"signature": "a"}):  # fmt: skip
        with pytest.raises(FanlightError, match=f"(?s)E-CONVERT-002.*{next(iter(told))}"):
            fl.convert(model, tmp_path / "a.onnx", **told)  # type: ignore[arg-type]
    assert fl.convert(model, tmp_path / "a.onnx", input_values={}, tags=[], tables={}).ok


def test_a_file_of_layers_takes_neither(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)])
    for name in ("net.keras", "net.safetensors"):
        model.save(tmp_path / name)
        for told in ({"input_values": {"x": 1}}, {"tables": {"t": ["a"]}}):
            with pytest.raises(FanlightError, match="E-FORMAT-018"):
                fl.convert(tmp_path / name, tmp_path / "a.onnx", **told)  # type: ignore[arg-type]


def test_texts_within_a_model_of_numbers_are_refused(tmp_path: Path) -> None:
    """The graph begins behind them, and would be another model."""
    nodes = [
        node("AsString", "words", "x"),
        node("StringToHashBucketFast", "ids", "words", num_buckets={"i": "50"}),
        node("Cast", "y", "ids", DstT={"type": "DT_FLOAT"}),
    ]
    path = written(tmp_path / "in", nodes, {}, {"x": i32(7, 8, 9)}, ["y"])
    with pytest.raises(FanlightError, match="E-CONVERT-002"):
        fl.convert(path, tmp_path / "a.onnx")
