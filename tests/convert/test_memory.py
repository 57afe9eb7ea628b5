"""Large models are converted and checked without being in memory twice."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.convert import check
from fanlight.formats import write_onnx
from fanlight.graph import Graph
from fanlight.tensor.trace import trace
from tests.formats import savedmodels as sm

WIDE, COUNT = 4096, 3
SIZE = 4 * COUNT * WIDE * WIDE  # bytes of the weights: 201 MB
MOST = 1.5

_MEASURED = """
import json, sys
import fanlight as fl
from fanlight.convert import check  # the imports are no memory of the model

def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024

base = peak()
made = fl.convert(sys.argv[1], sys.argv[2])
print(json.dumps([peak() - base, made.worst]))
"""


def _onnx(path: Path) -> None:
    """Kernels of convolutions, which are turned when they are read, and a dense layer."""
    from fanlight.graph import Builder

    builder = Builder("large")
    x = builder.input("x", (1, 2, 2, WIDE))
    kernel = np.zeros((1, 1, WIDE, WIDE), np.float32)
    for number in range(COUNT - 1):
        weight = builder.weight(kernel, f"kernel{number}")
        x = builder.add("relu", builder.add("conv2d", x, weight, name=f"conv{number}"))
    x = builder.add("mean", x, axes=(1, 2), keepdims=False)
    y = builder.add("matmul", x, builder.weight(kernel.reshape(WIDE, WIDE), "dense"))
    write_onnx(builder.finish({"y": y}), path)


def _saved_model(folder: Path) -> None:
    """Dense layers, their weights in a file with holes for zeros."""
    nodes, last = [sm.placeholder("x", -1, WIDE)], "x"
    entries = {b"": sm.pb((1, 1))}
    for i in range(COUNT):
        shape, place = sm.shape(WIDE, WIDE), SIZE // COUNT
        nodes += [
            sm.node("VarHandleOp", f"v{i}", dtype=("type", 1), shape=("shape", shape)),
            sm.node("ReadVariableOp", f"r{i}", f"v{i}", dtype=("type", 1)),
            sm.node("MatMul", f"m{i}", last, f"r{i}", T=("type", 1)),
        ]
        entries[f"v{i}".encode()] = sm.pb((1, 1), (2, shape), (4, place * i), (5, place))
        last = f"m{i}"
    (folder / "variables").mkdir(parents=True)
    with (folder / "variables" / "variables.data-00000-of-00001").open("wb") as file:
        file.truncate(SIZE)
    (folder / "variables" / "variables.index").write_bytes(sm.table(entries))
    ends = {"x": sm.info("x:0", -1, WIDE)}, {"y": sm.info(f"{last}:0", -1, WIDE)}
    graph = sm.meta_graph(sm.graph(nodes), {"serving_default": sm.signature(*ends)})
    (folder / "saved_model.pb").write_bytes(sm.saved_model(graph))


def _tflite(path: Path) -> None:
    """Kernels of convolutions, which are turned when they are read, and a dense layer."""
    pytest.importorskip("flatbuffers", reason="flatbuffers writes the model")
    from tests.formats.tflite_writer import Graph, Op, Tensor, constant, write

    kernel = constant(np.zeros((WIDE, 1, 1, WIDE), np.float32))
    tensors = [Tensor((1, 2, 2, WIDE)), kernel, Tensor((1, 2, 2, WIDE)), kernel]
    tensors += [Tensor((1, 2, 2, WIDE)), constant(kernel.data.reshape(WIDE, WIDE))]
    tensors += [Tensor((4, WIDE)), constant(np.zeros(WIDE, np.float32))]
    given = {"padding": 0, "stride_w": 1, "stride_h": 1, "activation": 1}
    ops = [
        Op("CONV_2D", [0, 1, 7], [2], 1, given),
        Op("CONV_2D", [2, 3, 7], [4], 1, given),
        Op("FULLY_CONNECTED", [4, 5, 7], [6], 8),
    ]
    path.write_bytes(write(Graph(tensors, [0], [6], ops)))


def _pt2(path: Path) -> None:
    """Linear layers, whose weights are turned when they are read."""
    from tests.formats.pytorch.test_files import meta, node, small, tensor

    model, config = small(WIDE), {}
    graph, names = model["graph_module"]["graph"], [f"p_w{i}" for i in range(COUNT)]
    last, graph["nodes"], values = "x", [], {"x": meta("s0", WIDE)}
    for name in names:
        values[name], values[f"y_{name}"] = meta(WIDE, WIDE), meta("s0", WIDE)
        made = node("linear.default", f"y_{name}", input=tensor(last), weight=tensor(name))
        graph["nodes"].append(made)
        last = f"y_{name}"
    graph |= {"inputs": [*map(tensor, names), tensor("x")], "outputs": [tensor(last)]}
    graph["tensor_values"] = values
    signature = model["graph_module"]["signature"]
    signature["input_specs"][:1] = [
        {"parameter": {"arg": {"name": n}, "parameter_name": n[2:]}} for n in names
    ]
    signature["output_specs"] = [{"user_output": {"arg": tensor(last)}}]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("m/models/model.json", json.dumps(model))
        for i, name in enumerate(names):
            about = {"path_name": f"weight_{i}", "use_pickle": False,
                     "tensor_meta": meta(WIDE, WIDE)}  # fmt: skip
            config[name[2:]] = about
            member = zipfile.ZipInfo(f"m/data/weights/weight_{i}")
            spare = -(file.start_dir + 30 + len(member.filename) + 4) % 64  # as PyTorch aligns it
            member.extra = b"FB" + spare.to_bytes(2, "little") + bytes(spare)
            file.writestr(member, bytes(SIZE // COUNT))
        about = {"config": config}
        file.writestr("m/data/weights/model_weights_config.json", json.dumps(about))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's VmHWM")
@pytest.mark.parametrize(
    ("make", "source", "result"),
    [
        (_onnx, "a.onnx", "b.onnx"),
        (_saved_model, "saved", "web"),
        (_tflite, "a.tflite", "web"),
        (_pt2, "a.pt2", "web"),
    ],
)
def test_a_large_model_is_in_memory_once(
    make: Any, source: str, result: str, tmp_path: Path
) -> None:
    make(tmp_path / source)
    run = [sys.executable, "-c", _MEASURED, str(tmp_path / source), str(tmp_path / result)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=300, check=False)
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert done.returncode == 0, done.stderr
    grown, worst = json.loads(done.stdout)
    print(f"{source} -> {result}: {grown / SIZE:.2f} times its size")
    assert worst == 0
    assert grown <= MOST * SIZE


def _small(path: Path, factor: float) -> Graph:
    graph = trace(lambda x: fl.relu(x * factor), {"x": fl.spec((1, 3))})
    write_onnx(graph, path)
    return graph


def test_a_large_source_is_read_again_only_where_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "_LARGE", 0)
    read: list[Path] = []
    load = fl.load

    def counted(path: Any, **options: Any) -> Any:
        read.append(Path(path))
        return load(path, **options)

    monkeypatch.setattr("fanlight.layers.saving.load", counted)
    source, result = tmp_path / "a.onnx", tmp_path / "web"
    _small(source, 2.0)
    made = fl.convert(source, result)
    assert made.identical and read == [source, result]
    read.clear()
    made = fl.convert(source, tmp_path / "page", to="bundle")
    assert made.ok and not made.identical and read == [source, source]
