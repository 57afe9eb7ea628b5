"""A part of a model can be read, whatever comes behind it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

import fanlight as fl
from fanlight.cli.app import cli
from fanlight.errors import FanlightError
from fanlight.formats.detect import load_graph
from tests.formats import crafted, savedmodels, tflite_writer
from tests.formats.pytorch import test_files as programs

RNG = np.random.default_rng(11)
X = RNG.standard_normal((1, 3)).astype(np.float32)
W = RNG.standard_normal((3, 4)).astype(np.float32)
RELU = np.maximum(X @ W, 0)


def refused(code: str, function: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(FanlightError) as caught:
        function(*args, **kwargs)
    assert caught.value.code == code, caught.value
    return str(caught.value)


def inspected(path: Path, *options: str) -> Result:
    result = CliRunner().invoke(cli, ["inspect", str(path), "--names", *options])
    assert result.exit_code == 0, result.output
    return result


def listed(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(inspected(path, "--json").stdout)
    return {n["name"]: n["type"] for n in told["names"]} | {"unread": told.get("unread")}


# --- ONNX -----------------------------------------------------------------------------------------


def onnx_file(path: Path, *behind: onnx.NodeProto, functions: Any = ()) -> Path:
    """matmul and relu1, and some nodes behind them; the last one makes y."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["mm"], name="matmul"),
        helper.make_node("Relu", ["mm"], ["relu1"], name="relu1"),
        *behind,
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(W, "w")],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("my.ops", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, functions=functions), path)
    return path


def mystery(*ports: str) -> onnx.NodeProto:
    return helper.make_node("Mystery", [ports[0]], [ports[1]], domain="my.ops", name="myst")


BEHIND = {
    "op": [mystery("relu1", "m"), helper.make_node("Abs", ["m"], ["y"], name="abs")],
    "branch": [
        mystery("relu1", "m"),
        helper.make_node("Neg", ["relu1"], ["n"], name="neg"),
        helper.make_node("Add", ["m", "n"], ["y"], name="sum"),
    ],
    "shape that depends on the input": [
        helper.make_node("Cast", ["relu1"], ["s"], to=TensorProto.INT64, name="cast"),
        helper.make_node("Reshape", ["relu1", "s"], ["y"], name="shaped"),
    ],
    "body": [
        helper.make_node("ReduceMax", ["relu1"], ["top"], keepdims=0, name="top"),
        helper.make_node("Cast", ["top"], ["c"], to=TensorProto.BOOL, name="cast"),
        helper.make_node(
            "If",
            ["c"],
            ["y"],
            name="choice",
            **{
                side: helper.make_graph(
                    [mystery("relu1", f"z_{side}")],
                    side,
                    [],
                    [helper.make_tensor_value_info(f"z_{side}", TensorProto.FLOAT, None)],
                )
                for side in ("then_branch", "else_branch")
            },
        ),
    ],
}


@pytest.mark.parametrize("behind", BEHIND)
def test_onnx(tmp_path: Path, behind: str) -> None:
    path = onnx_file(tmp_path / "a.onnx", *BEHIND[behind])
    with pytest.raises(FanlightError):
        fl.load(path)
    done = fl.convert(path, tmp_path / "part.onnx", outputs=["relu1"])
    assert done.ok
    count = 1 if behind == "body" else 2  # its top is that of all examples
    found = fl.load(tmp_path / "part.onnx")(np.repeat(X, count, 0))
    np.testing.assert_allclose(found, np.repeat(RELU, count, 0), rtol=1e-6)
    names = listed(path)
    assert names["relu1"] == "f32[1, 4]" and "y" not in names and "left out" in names["unread"]


def test_onnx_says_where_to_cut(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "a.onnx", *BEHIND["op"])
    assert "outputs=['relu1']" in refused("E-FORMAT-013", fl.load, path)
    result = CliRunner().invoke(cli, ["convert", str(path), str(tmp_path / "b")])
    assert result.exit_code and "--outputs relu1" in result.stderr
    told = inspected(path)
    names = [line.split("\t")[0] for line in told.stdout.splitlines()]
    assert sorted(names) == ["matmul", "mm", "relu1", "x"]
    assert told.stderr.count("\n") == 1 and "my.ops.Mystery" in told.stderr


def test_onnx_what_is_behind_is_refused(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "a.onnx", *BEHIND["branch"])
    for name in ("m", "y", "sum"):
        told = refused("E-FORMAT-013", fl.convert, path, tmp_path / "b", outputs=[name])
        assert "my.ops.Mystery" in told
    assert "relu1" in refused("E-CONVERT-003", fl.convert, path, tmp_path / "b", outputs=["relu"])
    both = fl.convert(path, tmp_path / "b.onnx", outputs=["neg", "relu1"])
    assert both.ok
    made = fl.load(tmp_path / "b.onnx")({"x": X})
    np.testing.assert_allclose(made["neg"], -RELU, rtol=1e-6)
    np.testing.assert_allclose(made["relu1"], RELU, rtol=1e-6)


def test_onnx_inside_of_a_function(tmp_path: Path) -> None:
    inner = helper.make_function(
        "my.ops", "Wrapped", ["a"], ["b"], [mystery("a", "b")], [helper.make_opsetid("my.ops", 1)]
    )
    call = helper.make_node("Wrapped", ["relu1"], ["y"], domain="my.ops", name="call")
    path = onnx_file(tmp_path / "a.onnx", call, functions=[inner])
    assert "outputs=['relu1']" in refused("E-FORMAT-013", fl.load, path)
    assert fl.convert(path, tmp_path / "b.onnx", outputs=["relu1"]).ok


def test_nothing_is_left(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "a.onnx", mystery("x", "y"))
    refused("E-FORMAT-013", fl.convert, path, tmp_path / "b", outputs=["y"])
    refused("E-CONVERT-003", fl.convert, path, tmp_path / "b", outputs=["z"])


def test_onnx_damaged(tmp_path: Path) -> None:
    """Nothing but errors of files, whatever bytes are there."""
    whole = onnx_file(tmp_path / "a.onnx", *BEHIND["branch"]).read_bytes()
    assert load_graph(tmp_path / "a.onnx", readable=True).unread is not None
    for _ in range(300):
        data = bytearray(whole)
        for place in RNG.integers(0, len(data), 2):
            data[place] = RNG.integers(0, 256)
        (tmp_path / "a.onnx").write_bytes(data)
        try:
            load_graph(tmp_path / "a.onnx", readable=True)
        except FanlightError as error:
            assert "does not expect" not in error.message, error


# --- graphs of TensorFlow -------------------------------------------------------------------------


def tfjs_file(folder: Path) -> Path:
    float_ = {"T": {"type": "DT_FLOAT"}}
    nodes = [
        crafted.placeholder("x", -1, 3),
        crafted.node("MatMul", "net/dense/MatMul", "x", "w", **float_),
        crafted.node("Relu", "net/dense/Relu", "net/dense/MatMul", **float_),
        crafted.node("Mystery", "net/mystery", "net/dense/Relu", **float_),
        crafted.node("Abs", "out", "net/mystery", **float_),
    ]
    return crafted.write_tfjs(folder, *crafted.graph_of(nodes, {"w": W}))


def frozen_file(path: Path) -> Path:
    float_ = ("type", savedmodels.FLOAT)
    nodes = [
        savedmodels.placeholder("x", -1, 3),
        savedmodels.const("w", W),
        savedmodels.node("MatMul", "net/dense/MatMul", "x", "w", T=float_),
        savedmodels.node("Relu", "net/dense/Relu", "net/dense/MatMul", T=float_),
        savedmodels.node("Mystery", "net/mystery", "net/dense/Relu", T=float_),
        savedmodels.node("Abs", "out", "net/mystery", T=float_),
    ]
    path.write_bytes(savedmodels.graph(nodes))
    return path


def saved_folder(folder: Path) -> Path:
    """All of it is inside of a function."""
    float_ = ("type", savedmodels.FLOAT)
    body = savedmodels.function(
        "inner",
        {"x": savedmodels.FLOAT},
        [
            savedmodels.const("w", W),
            savedmodels.node("MatMul", "dense/MatMul", "x", "w:output:0", T=float_),
            savedmodels.node("Relu", "dense/Relu", "dense/MatMul:product:0", T=float_),
            savedmodels.node("Mystery", "mystery", "dense/Relu:activations:0", T=float_),
        ],
        {"y": "mystery:y:0"},
    )
    nodes = [
        savedmodels.placeholder("serving_default_x", -1, 3),
        savedmodels.node("StatefulPartitionedCall", "net", "serving_default_x",
                         f=("func", "inner")),
    ]  # fmt: skip
    made = savedmodels.signature(
        {"x": savedmodels.info("serving_default_x:0", -1, 3)},
        {"y": savedmodels.info("net:0", -1, 4)},
    )
    folder.mkdir()
    meta = savedmodels.meta_graph(savedmodels.graph(nodes, [body]), {"serving_default": made})
    (folder / "saved_model.pb").write_bytes(savedmodels.saved_model(meta))
    return folder


TENSORFLOW = {"tfjs": tfjs_file, "frozen.pb": frozen_file, "saved": saved_folder}


@pytest.mark.parametrize("form", TENSORFLOW)
def test_graphs(tmp_path: Path, form: str) -> None:
    path = TENSORFLOW[form](tmp_path / form)
    told = refused("E-FORMAT-013", fl.load, path)
    assert "net/dense/Relu" in told and "outputs=" in told
    names = listed(path)
    assert names["net/dense/Relu"] == "f32[1, 4]" and "Mystery" in names["unread"]
    assert not {"out", "net/mystery", "net"} & set(names)
    for name in ("net/dense/Relu", "dense/Relu", "net/dense/Relu:0"):
        done = fl.convert(path, tmp_path / "part.onnx", outputs=[name])
        assert done.ok
        found = fl.load(tmp_path / "part.onnx")(np.repeat(X, 2, 0))
        np.testing.assert_allclose(found, np.repeat(RELU, 2, 0), rtol=1e-6)
    told = refused("E-FORMAT-013", fl.convert, path, tmp_path / "b", outputs=["net/mystery"])
    assert "Mystery" in told


def test_a_graph_whose_output_is_complex(tmp_path: Path) -> None:
    nodes = [
        crafted.placeholder("x", -1, 3),
        crafted.node("Relu", "relu", "x", T={"type": "DT_FLOAT"}),
        crafted.node("Complex", "both", "relu", "relu", T={"type": "DT_FLOAT"}),
    ]
    path = crafted.write_tfjs(tmp_path / "a", *crafted.graph_of(nodes, {}))
    refused("E-FORMAT-012", fl.load, path)
    assert fl.convert(path, tmp_path / "part.onnx", outputs=["relu"]).ok
    found = fl.load(tmp_path / "part.onnx")(X)
    np.testing.assert_allclose(found, np.maximum(X, 0))
    assert "complex" in listed(path)["unread"]
    refused("E-FORMAT-012", fl.convert, path, tmp_path / "b", outputs=["both"])


def test_graphs_with_random_weights(tmp_path: Path) -> None:
    path = tfjs_file(tmp_path / "a")
    (tmp_path / "a" / "weights.bin").unlink()
    names = json.loads(inspected(path, "--json", "--random-weights").stdout)["names"]
    assert "net/dense/Relu" in {n["name"] for n in names}


# --- PyTorch --------------------------------------------------------------------------------------


def program_file(path: Path, *behind: dict[str, Any]) -> Path:
    """linear and relu of rows, and nodes of one result behind them; the last one is the output."""
    model = programs.small()
    graph = model["graph_module"]["graph"]
    graph["nodes"] += behind
    for node in behind:
        graph["tensor_values"][node["name"]] = programs.meta("s0", 3)
    last = programs.tensor(behind[-1]["name"])
    graph["outputs"] = [last]
    model["graph_module"]["signature"]["output_specs"] = [{"user_output": {"arg": last}}]
    return programs.write(path, model)


def call(target: str, output: str, of: str) -> dict[str, Any]:
    return programs.node(target, output, self=programs.tensor(of))


ROWS = RNG.standard_normal((2, 4)).astype(np.float32)
POSITIVE = np.maximum(ROWS @ programs.WEIGHT.T, 0)


def test_programs(tmp_path: Path) -> None:
    behind = [call("linalg_inv.default", "linalg_inv", "relu"), call("neg.default", "y",
                                                                     "linalg_inv")]  # fmt: skip
    path = program_file(tmp_path / "a.pt2", *behind)
    assert "outputs=['relu']" in refused("E-FORMAT-013", fl.load, path)
    names = listed(path)
    assert names["relu"] == "f32[1, 3]" and not {"y", "linalg_inv"} & set(names)
    assert "linalg_inv" in names["unread"]
    assert fl.convert(path, tmp_path / "part.onnx", outputs=["relu"]).ok
    np.testing.assert_allclose(fl.load(tmp_path / "part.onnx")(ROWS), POSITIVE, rtol=1e-5)
    refused("E-FORMAT-013", fl.convert, path, tmp_path / "b", outputs=["y"])


@pytest.mark.parametrize("writes", [True, False])
def test_programs_that_write_into_memory(tmp_path: Path, writes: bool) -> None:
    """Nobody knows what an unknown operator writes into a tensor that is read later."""
    target = "mystery_.default" if writes else "mystery.default"
    behind = [call(target, "m", "relu"), call("neg.default", "y", "relu")]
    path = program_file(tmp_path / "a.pt2", *behind)
    assert ("y" in listed(path)) is not writes
    if writes:
        refused("E-FORMAT-013", fl.convert, path, tmp_path / "b", outputs=["y"])
    else:
        assert fl.convert(path, tmp_path / "b.onnx", outputs=["y"]).ok
        np.testing.assert_allclose(fl.load(tmp_path / "b.onnx")(ROWS), -POSITIVE, rtol=1e-5)


def test_a_program_that_is_written_into_in_front(tmp_path: Path) -> None:
    """A cut is at what a node has made, not at what became of its memory later."""
    behind = [call("neg_.default", "n", "relu"), call("linalg_inv.default", "y", "relu")]
    path = program_file(tmp_path / "a.pt2", *behind)
    for name, wanted in (("relu", POSITIVE), ("n", -POSITIVE)):
        assert fl.convert(path, tmp_path / "b.onnx", outputs=[name]).ok
        np.testing.assert_allclose(fl.load(tmp_path / "b.onnx")(ROWS), wanted, rtol=1e-5)


# --- TensorFlow Lite ------------------------------------------------------------------------------


def lite_file(path: Path, *behind: tuple[str, list[int], list[int]]) -> Path:
    """relu of rows (tensor 1), and operators behind it; the last tensor is the output."""
    count = 2 + max(n for _, _, made in behind for n in made) - 1
    names = ["x", "net/relu", *(f"t{i}" for i in range(2, count))]
    tensors = [tflite_writer.Tensor((1, 4), name=name) for name in names]
    ops = [tflite_writer.Op("RELU", [0], [1]), *(tflite_writer.Op(*o) for o in behind)]
    graph = tflite_writer.Graph(tensors, [0], [count - 1], ops)
    path.write_bytes(tflite_writer.write(graph))
    return path


def test_lite(tmp_path: Path) -> None:
    path = lite_file(tmp_path / "a.tflite", ("CUSTOM Nobody", [1], [2]), ("ABS", [2], [3]))
    assert "outputs=['net/relu']" in refused("E-FORMAT-013", fl.load, path)
    names = listed(path)
    assert names["net/relu"] == "f32[1, 4]" and not {"t2", "t3"} & set(names)
    assert "Nobody" in names["unread"]
    for name in ("net/relu", "relu"):
        assert fl.convert(path, tmp_path / "part.onnx", outputs=[name]).ok
        found = fl.load(tmp_path / "part.onnx")(ROWS[:1])
        np.testing.assert_allclose(found, np.maximum(ROWS[:1], 0))
    refused("E-FORMAT-013", fl.convert, path, tmp_path / "b", outputs=["t3"])


def test_lite_with_a_branch_that_is_read(tmp_path: Path) -> None:
    path = lite_file(tmp_path / "a.tflite", ("CUSTOM Nobody", [1], [2]), ("NEG", [1], [3]))
    assert {"t3", "net/relu"} <= set(listed(path)) and "t2" not in listed(path)


# --- damaged files --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["model.json", "frozen.pb", "a.tflite"])
def test_damaged(tmp_path: Path, form: str) -> None:
    """Nothing but errors of files, whatever bytes are there."""
    if form == "a.tflite":
        path = lite_file(tmp_path / form, ("CUSTOM Nobody", [1], [2]), ("ABS", [2], [3]))
    else:
        path = frozen_file(tmp_path / form) if form == "frozen.pb" else tfjs_file(tmp_path)
    assert load_graph(path, readable=True).unread is not None
    whole = path.read_bytes()
    for _ in range(150):
        data = bytearray(whole)
        for place in RNG.integers(0, len(data), 2):
            data[place] = RNG.integers(0, 256)
        path.write_bytes(data)
        try:
            load_graph(path, readable=True)
        except FanlightError as error:
            assert "does not expect" not in error.message, error
