"""Every way in which a model file is known to go wrong gives one coded error that helps."""

from __future__ import annotations

import json
import os
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from tests.formats import crafted
from tests.formats.crafted import const, node, placeholder, text, write_tfjs


def refused(path: Path, code: str, *says: str, **options: Any) -> FanlightError:
    """Load `path`; it must fail with `code`, in a message that says all of `says`."""
    with pytest.raises(FanlightError) as caught:
        load_graph(path, **options)
    error = caught.value
    assert error.code == code, str(error)
    assert error.__cause__ is None, repr(error.__cause__)
    for words in says:
        assert words in str(error), str(error)
    return error


@pytest.fixture
def cnn(tmp_path: Path) -> Path:
    model, arrays = crafted.small_cnn()
    return write_tfjs(tmp_path / "cnn", crafted.keras2(model), arrays)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_tfjs(tmp_path / "graph", *crafted.small_graph())


def edit(path: Path, change: Any) -> Path:
    """Change a model.json in place."""
    model = json.loads(path.read_text())
    change(model)
    path.write_text(json.dumps(model))
    return path


# --- paths and formats ----------------------------------------------------------------------------


def test_path_that_does_not_exist(tmp_path: Path) -> None:
    refused(tmp_path / "no.json", "E-FORMAT-001", "no.json")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "model.json").touch()
    error = refused(tmp_path / "model.json", "E-FORMAT-001", "0 bytes")
    assert "model.json" in str(error.where) and ".h5" not in str(error)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.json")
    refused(tmp_path / "model.json", "E-FORMAT-001", "not a regular file")


def test_unknown_file(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    refused(tmp_path / "photo.png", "E-FORMAT-002", ".keras")


@pytest.mark.parametrize(("name", "words"), [("m.pt", "torch.export")])
def test_other_formats_are_told_what_to_do(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02.")
    refused(tmp_path / name, "E-FORMAT-002", words)


def test_a_saved_model_without_a_graph(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    refused(tmp_path, "E-FORMAT-005", "export the model again")


def test_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}")
    refused(tmp_path, "E-FORMAT-002", "package.json")


def test_folder_with_two_models(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text('{"modelTopology": {}}')
    refused(tmp_path, "E-FORMAT-002", "a.json", "b.json")


def test_weights_only_json(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"modelTopology": null, "weightsManifest": []}')
    refused(tmp_path / "m.json", "E-FORMAT-002", "modelTopology")


# --- JSON -----------------------------------------------------------------------------------------


def test_not_json(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("<!DOCTYPE html><title>404</title>")
    refused(tmp_path / "model.json", "E-FORMAT-003", "<!DOCTYPE html>")


def test_not_text(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(b"\xff\xfe\x00\x01")
    refused(tmp_path / "model.json", "E-FORMAT-003", "0xff")


@pytest.mark.parametrize("depth", [200, 5_000, 1_000_000])
def test_nesting(tmp_path: Path, depth: int) -> None:
    (tmp_path / "model.json").write_text("[" * depth + "]" * depth)
    refused(tmp_path / "model.json", "E-FORMAT-004", "deep")


def test_half_a_gigabyte_of_nesting_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    with path.open("wb") as file:
        file.write(b"[" * 4096)
        file.truncate(500 << 20)
    refused(path, "E-FORMAT-004", "524,288,000 bytes")


def test_too_many_values(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(b"[" + b"0," * 4_100_000 + b"0]")
    refused(tmp_path / "model.json", "E-FORMAT-004", "values")


@pytest.mark.parametrize("value", [None, 3, "x", [], {"model_config": 3}, {"node": 3}])
def test_wrong_types(cnn: Path, value: Any) -> None:
    edit(cnn, lambda m: m.update(modelTopology=value))
    error = refused(cnn, "E-FORMAT-005" if value is not None else "E-FORMAT-002")
    assert error.expected is not None


# --- weights --------------------------------------------------------------------------------------


def test_missing_shard(cnn: Path) -> None:
    cnn.with_name("weights.bin").unlink()
    refused(cnn, "E-FORMAT-006", "weights.bin")


def test_truncated_shard(cnn: Path) -> None:
    data = cnn.with_name("weights.bin").read_bytes()
    cnn.with_name("weights.bin").write_bytes(data[:-3])
    refused(cnn, "E-FORMAT-007", f"{len(data)} bytes", f"{len(data) - 3} bytes", "weights.bin")


def test_truncated_shard_of_several_is_named(cnn: Path) -> None:
    data = cnn.with_name("weights.bin").read_bytes()
    parts = [data[:200], data[200:390], data[400:600], data[600:]]
    names = [f"group1-shard{i}of4.bin" for i in range(1, 5)]
    for name, part in zip(names, parts, strict=True):
        cnn.with_name(name).write_bytes(part)
    edit(cnn, lambda m: m["weightsManifest"][0].update(paths=names))
    assert "group1-shard2of4.bin" in str(refused(cnn, "E-FORMAT-007").next)


def test_shard_larger_than_the_manifest_says(cnn: Path) -> None:
    path = cnn.with_name("weights.bin")
    path.write_bytes(path.read_bytes() + b"\0\0\0\0")
    refused(cnn, "E-FORMAT-007", "weights.bin")


def test_manifest_that_claims_terabytes_allocates_nothing(cnn: Path) -> None:
    def grow(model: dict) -> None:
        model["weightsManifest"][0]["weights"][0]["shape"] = [1 << 20, 1 << 20]

    refused(edit(cnn, grow), "E-FORMAT-007", "4,398,046,51")


@pytest.mark.parametrize("shape", [[-1, 3], ["3"], [3.5], [1 << 62], "3", None, [1] * 9])
def test_shape_that_is_no_shape(cnn: Path, shape: Any) -> None:
    edit(cnn, lambda m: m["weightsManifest"][0]["weights"][0].update(shape=shape))
    refused(cnn, "E-FORMAT-005", "weight 'c/kernel'")


def test_unknown_dtype(cnn: Path) -> None:
    edit(cnn, lambda m: m["weightsManifest"][0]["weights"][1].update(dtype="float8"))
    refused(cnn, "E-FORMAT-008", "b/gamma", "float8")


def test_unknown_quantisation(cnn: Path) -> None:
    entry = {"dtype": "int4", "min": 0, "scale": 1}
    edit(cnn, lambda m: m["weightsManifest"][0]["weights"][1].update(quantization=entry))
    refused(cnn, "E-FORMAT-008", "b/gamma", "int4")


def test_nan_weights(tmp_path: Path) -> None:
    model, arrays = crafted.small_cnn()
    arrays["b/beta"][2] = np.nan
    path = write_tfjs(tmp_path, crafted.keras2(model), arrays)
    refused(path, "E-FORMAT-009", "'b/beta'", "1 NaN of 4 values", "weights.bin")


@pytest.mark.parametrize(
    "name", ["../weights.bin", "/etc/hosts", "a/../../w.bin", "..\\w.bin", "C:\\w.bin", "C:/w.bin"]
)
def test_paths_that_leave_the_folder(cnn: Path, name: str) -> None:
    edit(cnn, lambda m: m["weightsManifest"][0].update(paths=[name]))
    refused(cnn, "E-FORMAT-010", name.replace("\\", "\\"))


def test_url_of_weights(cnn: Path) -> None:
    url = "https://example.com/weights.bin"
    edit(cnn, lambda m: m["weightsManifest"][0].update(paths=[url]))
    assert "download" in str(refused(cnn, "E-FORMAT-010", url).next)


def test_weight_twice(cnn: Path) -> None:
    edit(cnn, lambda m: m["weightsManifest"][0]["weights"][1].update(name="c/kernel"))
    refused(cnn, "E-FORMAT-005", "twice")


def test_weight_that_no_layer_gets(cnn: Path) -> None:
    edit(cnn, lambda m: m["weightsManifest"][0]["weights"][0].update(name="other/kernel"))
    refused(cnn, "E-FORMAT-011", "layer 'c' (Conv2D)", "kernel [3, 3, 3, 4]")


def test_weight_of_another_shape(cnn: Path) -> None:
    edit(cnn, lambda m: m["weightsManifest"][0]["weights"][0].update(shape=[3, 3, 4, 3]))
    refused(cnn, "E-FORMAT-011", "[3, 3, 3, 4]", "[3, 3, 4, 3]")


def test_string_weight_that_is_cut_off(tmp_path: Path) -> None:
    model, arrays = crafted.small_cnn()
    path = write_tfjs(tmp_path, crafted.keras2(model), arrays)
    entry = {"name": "words", "shape": [2], "dtype": "string"}
    edit(path, lambda m: m["weightsManifest"][0]["weights"].append(entry))
    with path.with_name("weights.bin").open("ab") as file:
        file.write(struct.pack("<I", 1) + b"a" + struct.pack("<I", 0xFFFFFFF0) + b"b")
    refused(path, "E-FORMAT-007", "'words'", "4,294,967,280")


# --- graphs ---------------------------------------------------------------------------------------


def graph_file(tmp_path: Path, nodes: list, arrays: dict | None = None) -> Path:
    return write_tfjs(tmp_path, *crafted.graph_of(nodes, arrays or {}))


def test_all_unsupported_ops_at_once(tmp_path: Path) -> None:
    nodes = [
        placeholder("x", 1, 4),
        node("FancyOp", "f1", "x"),
        node("FancyOp", "f2", "f1"),
        node("OtherOp", "g", "f2"),
        node("UnusedOp", "unused", "x"),
        node("Relu", "y", "g"),
    ]
    path = graph_file(tmp_path, nodes)
    signature = {"outputs": {"y:0": {"name": "y:0"}}}
    edit(path, lambda m: m.update(signature=signature))
    error = refused(path, "E-FORMAT-013", "2 ops", "FancyOp x2 (", "f1", "f2", "OtherOp x1 (g)")
    assert "UnusedOp" not in str(error) and "model.json" in str(error)


def test_cycle(tmp_path: Path) -> None:
    nodes = [
        placeholder("x", 1, 4),
        node("Add", "a", "x", "c"),
        node("Relu", "b", "a"),
        node("Relu", "c", "b"),
        node("Identity", "out", "c"),
    ]
    refused(graph_file(tmp_path, nodes), "E-FORMAT-015", "c <- b <- a <- c")


def test_graph_that_is_all_cycle(tmp_path: Path) -> None:
    nodes = [node("Relu", "a", "b"), node("Relu", "b", "a")]
    refused(graph_file(tmp_path, nodes), "E-FORMAT-015")


def test_input_from_nowhere(tmp_path: Path) -> None:
    refused(graph_file(tmp_path, [node("Relu", "y", "ghost")]), "E-FORMAT-016", "'ghost'", "'y'")


def test_output_that_an_op_does_not_have(tmp_path: Path) -> None:
    nodes = [placeholder("x", 1, 4), node("Relu", "y", "x"), node("Neg", "z", "y:1")]
    refused(graph_file(tmp_path, nodes), "E-FORMAT-016", "y:1", "'z'")


def test_constant_without_a_value(graph: Path, tmp_path: Path) -> None:
    nodes = [placeholder("x", 1, 4), const("w", np.zeros((4, 4), np.float32))]
    path = graph_file(tmp_path, [*nodes, node("MatMul", "y", "x", "w")])
    refused(path, "E-FORMAT-011", "'w'")


def test_two_nodes_of_one_name(tmp_path: Path) -> None:
    nodes = [placeholder("x", 1, 4), node("Relu", "y", "x"), node("Neg", "y", "x")]
    refused(graph_file(tmp_path, nodes), "E-FORMAT-005", "'y'")


def test_shape_that_depends_on_the_input(tmp_path: Path) -> None:
    cast = node("Cast", "n", "x", DstT={"type": "DT_INT32"})
    nodes = [placeholder("x", 1, 4), cast, node("Reshape", "y", "x", "n")]
    refused(graph_file(tmp_path, nodes), "E-FORMAT-019", "'y'", "Reshape")


def test_unknown_fused_op(tmp_path: Path) -> None:
    fused = {"list": {"s": [text("Mystery")["s"]]}}
    nodes = [placeholder("x", 1, 4), node("_FusedMatMul", "y", "x", "w", fused_ops=fused)]
    path = graph_file(tmp_path, nodes, crafted.weights_of({"w": (4, 4)}))
    refused(path, "E-FORMAT-012", "Mystery", "'y'")


def test_misfitting_shapes_name_the_node_and_its_op(tmp_path: Path) -> None:
    nodes = [placeholder("x", 1, 4), node("MatMul", "y", "x", "w")]
    path = graph_file(tmp_path, nodes, crafted.weights_of({"w": (5, 4)}))
    with pytest.raises(FanlightError) as caught:
        load_graph(path)
    assert caught.value.code == "E-OP-004"
    assert "'y'" in str(caught.value) and "MatMul" in str(caught.value)


def test_constant_expressions_cannot_fill_the_memory(tmp_path: Path) -> None:
    arrays = {"size": np.array([1 << 20, 1 << 12], np.int32), "one": np.float32(1).reshape(())}
    nodes = [placeholder("x", 1), node("Fill", "f", "size", "one"), node("Add", "y", "x", "f")]
    refused(graph_file(tmp_path, nodes, arrays), "E-FORMAT-023", "f")


def test_absurd_activation(tmp_path: Path) -> None:
    arrays = {"n": np.array([1 << 20, 1 << 20], np.int32)}
    nodes = [placeholder("x", 1, 4), node("Tile", "y", "x", "n")]
    refused(graph_file(tmp_path, nodes, arrays), "E-FORMAT-023", "y")


def test_size_that_is_open(tmp_path: Path) -> None:
    nodes = [placeholder("x", 1, -1, -1, 3), node("Relu", "y", "x")]
    path = graph_file(tmp_path, nodes)
    assert "size=224" in str(refused(path, "E-FORMAT-017", "'x'", "[1, ?, ?, 3]").next)
    assert load_graph(path, size=(32, 48)).graph.inputs[0].shape == (1, 32, 48, 3)
    shapes = {"x": (1, 16, 16, 3)}
    assert load_graph(path, input_shapes=shapes).graph.inputs[0].shape == (1, 16, 16, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"size": 16},
        {"size": 0},
        {"size": (1, 2, 3)},
        {"input_shapes": {"nope": (1, 2)}},
        {"input_shapes": {"x": (1, 9, 8, 3)}},
        {"input_shapes": {"x": (1, 8)}},
        {"input_shapes": {"x": (1, -8, 8, 3)}},
    ],
)
def test_sizes_that_do_not_fit(graph: Path, options: dict) -> None:
    refused(graph, "E-FORMAT-018", **options)


def test_random_weights_that_nobody_invents(graph: Path) -> None:
    refused(graph, "E-FORMAT-024", weights="invented")


# --- layers ---------------------------------------------------------------------------------------


def layers_file(tmp_path: Path, *layers: dict, shape: tuple = (None, 8, 8, 3)) -> Path:
    return write_tfjs(tmp_path, crafted.keras2(crafted.sequential(*layers, shape=shape)), {})


def test_all_unsupported_layers_at_once(tmp_path: Path) -> None:
    inner = crafted.sequential(crafted.layer("LSTM", "deep"))
    inner["config"]["name"] = "inner"
    wrapped = {"class_name": "GRU", "config": {"name": "g"}}
    path = layers_file(
        tmp_path,
        crafted.layer("LSTM", "one"),
        crafted.layer("MyLayer", "two"),
        inner,
        crafted.layer("TimeDistributed", "t", layer=wrapped),
    )
    refused(path, "E-FORMAT-014", "3 kinds", "LSTM x2 (one, deep)", "MyLayer x1 (two)", "GRU x1")


def test_option_that_no_importer_knows(tmp_path: Path) -> None:
    path = layers_file(tmp_path, crafted.layer("Flatten", "f", new_option="spin"))
    refused(path, "E-FORMAT-012", "'new_option'", "layer 'f' (Flatten)", "spin")


@pytest.mark.parametrize(
    "kind, options",
    [
        ("MaxPooling2D", {"padding": "full"}),
        ("UpSampling2D", {"interpolation": "lanczos5"}),
        ("Activation", {"activation": "wobble"}),
        ("Resizing", {"height": 4, "width": 4, "antialias": True}),
        ("BatchNormalization", {"axis": 9}),
        ("BatchNormalization", {"axis": 3, "renorm": True}),
        ("Cropping2D", {"cropping": [[4, 4], [0, 0]]}),
        ("Reshape", {"target_shape": [7]}),
        ("Permute", {"dims": [1, 1, 2]}),
        ("Softmax", {"axis": [1, 2]}),
        ("Flatten", {"data_format": "sideways"}),
        ("ReLU", {"dtype": {"class_name": "QuantizedDTypePolicy", "config": {}}}),
    ],
)
def test_options_that_are_not_supported(tmp_path: Path, kind: str, options: dict) -> None:
    refused(layers_file(tmp_path, crafted.layer(kind, "z", **options)), "E-FORMAT-012", "'z'")


def test_layers_in_a_circle(tmp_path: Path) -> None:
    model = crafted.functional()
    model["config"]["layers"][1]["inbound_nodes"] = [[["sum", 0, 0, {}]]]
    path = write_tfjs(tmp_path, crafted.keras2(model), crafted.functional_weights())
    refused(path, "E-FORMAT-015", "sum")


@pytest.mark.parametrize("ref", [["ghost", 0, 0, {}], ["a", 7, 0, {}], ["a", 0, 5, {}]])
def test_layer_from_nowhere(tmp_path: Path, ref: list) -> None:
    model = crafted.functional()
    model["config"]["layers"][2]["inbound_nodes"][0] = [ref]
    path = write_tfjs(tmp_path, crafted.keras2(model), crafted.functional_weights())
    refused(path, "E-FORMAT-016", ref[0])


def test_arguments_that_are_not_tensors(tmp_path: Path) -> None:
    model = crafted.functional()
    model["config"]["layers"][1]["inbound_nodes"][0][0][3] = {"scale": 3}
    path = write_tfjs(tmp_path, crafted.keras2(model), crafted.functional_weights())
    refused(path, "E-FORMAT-012", "'scale': 3", "'a'")


def test_subclassed_model(tmp_path: Path) -> None:
    path = write_tfjs(tmp_path, {"class_name": "MyModel", "config": {}}, {})
    refused(path, "E-FORMAT-014", "MyModel")


# --- Keras files ----------------------------------------------------------------------------------


@pytest.fixture
def keras_file(tmp_path: Path) -> Path:
    weights = crafted.functional_weights()
    arrays = {
        "layers/dense/vars/0": weights["a/kernel"],
        "layers/dense_1/vars/0": weights["s/kernel"],
    }
    return crafted.write_keras(tmp_path / "m.keras", crafted.functional_keras3(), arrays)


def repack(path: Path, change: Any) -> Path:
    """Rewrite a zip; `change` gets the dict of names and contents."""
    with zipfile.ZipFile(path) as archive:
        files = {n: archive.read(n) for n in archive.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize("name", ["../evil.py", "/etc/cron.d/x", "a/../../b", "..\\evil", "C:evil"])
def test_zip_names_that_lead_out(keras_file: Path, name: str) -> None:
    repack(keras_file, lambda files: files.update({name: b"evil"}))
    refused(keras_file, "E-FORMAT-020", "do not trust")


def test_zip_bomb(keras_file: Path) -> None:
    repack(keras_file, lambda files: files.update({"config.json": b" " * (80 << 20)}))
    assert keras_file.stat().st_size < 1 << 20
    refused(keras_file, "E-FORMAT-020", "83,886,080")


def test_zip_that_lies_about_its_sizes(keras_file: Path) -> None:
    data = bytearray(keras_file.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"config.json"))
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    keras_file.write_bytes(bytes(data))
    refused(keras_file, "E-FORMAT-020")


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_zip_without_a_part(keras_file: Path, name: str) -> None:
    repack(keras_file, lambda files: files.pop(name))
    refused(keras_file, "E-FORMAT-020", name)


def test_zip_that_is_cut_off(keras_file: Path) -> None:
    keras_file.write_bytes(keras_file.read_bytes()[:500])
    refused(keras_file, "E-FORMAT-020")


def test_keras_file_that_is_no_zip(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(b"no zip at all")
    refused(tmp_path / "m.keras", "E-FORMAT-020")


def test_h5_that_is_no_hdf5(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(b"no hdf5 at all")
    refused(tmp_path / "m.h5", "E-FORMAT-021")


def test_h5_that_is_cut_off(tmp_path: Path) -> None:
    path = crafted.write_h5(tmp_path / "m.h5", *crafted.small_cnn(), "2.15.0")
    path.write_bytes(path.read_bytes()[:-2000])
    refused(path, "E-FORMAT-021")


def test_h5_with_weights_only(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(crafted.weights_h5({"a": np.zeros(3, np.float32)}))
    refused(tmp_path / "m.h5", "E-FORMAT-021", "model_config", "save the whole model")


@pytest.mark.parametrize("kind", ["external_link", "soft_link", "external_data", "huge"])
def test_h5_that_reaches_out(tmp_path: Path, kind: str) -> None:
    import h5py

    path = crafted.write_h5(tmp_path / "m.h5", *crafted.small_cnn(), "2.15.0")
    with h5py.File(path, "r+") as file:
        group = file["model_weights/d"]
        del group["d/bias:0"]
        if kind == "external_link":
            group["d/bias:0"] = h5py.ExternalLink("/etc/passwd", "/x")
        elif kind == "soft_link":
            group["d/bias:0"] = h5py.SoftLink("/model_weights/c/c/kernel:0")
        elif kind == "external_data":
            group.create_dataset("d/bias:0", (5,), "f4", external=[("/etc/hostname", 0, 20)])
        else:
            group.create_dataset("d/bias:0", (1 << 40,), "f4", chunks=(1 << 20,))
    code = "E-FORMAT-011" if kind == "huge" else "E-FORMAT-021"
    refused(path, code)


def test_weights_that_unpack_to_terabytes(tmp_path: Path) -> None:
    import h5py

    units = 1 << 22
    model = crafted.sequential(
        crafted.layer("Dense", "d", units=units, use_bias=False), shape=(None, 4)
    )
    path = crafted.write_h5(tmp_path / "m.h5", model, {"d/kernel": np.zeros(1)}, "2.15.0")
    with h5py.File(path, "r+") as file:
        del file["model_weights/d/d/kernel:0"]
        file["model_weights/d"].create_dataset("d/kernel:0", (4, units), "f4", chunks=(4, 4096))
    refused(path, "E-FORMAT-023", "d/kernel", "67,108,864 bytes")


def test_nan_in_h5(tmp_path: Path) -> None:
    model, arrays = crafted.small_cnn()
    arrays["d/bias"][:] = np.nan
    refused(crafted.write_h5(tmp_path / "m.h5", model, arrays, "2.15"), "E-FORMAT-009", "d/bias")


def test_a_library_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanlight.formats.keras import guard, probe_hdf5

    slow = tmp_path / "slow.py"
    slow.write_text("while True: pass\n")
    path = crafted.write_h5(tmp_path / "m.h5", *crafted.small_cnn(), "2.15.0")
    monkeypatch.setattr(guard, "_SECONDS", 0.5)
    monkeypatch.setattr(probe_hdf5, "__file__", str(slow))
    refused(path, "E-FORMAT-021", "did not finish")
    slow.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(guard, "_SECONDS", 30.0)
    refused(path, "E-FORMAT-021", "crashed (signal 11)")


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_without_h5py(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for member in ("config.json", "model.weights.h5"):
            archive.writestr(member, b"anything")
    monkeypatch.setitem(sys.modules, "h5py", None)
    refused(tmp_path / name, "E-FORMAT-022", "pip install 'fanlight[keras]'")
