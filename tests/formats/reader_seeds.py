"""Small sound models of every kind that is read, as files by name: what mutations start from."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl
from tests.convert.test_round_trips import pictures, two_heads, words
from tests.formats import crafted, savedmodels, test_control, test_graph_fuzz, tflite_writer
from tests.formats.onnx import test_reader as onnx_tests
from tests.formats.pytorch import test_files as torch_tests
from tests.formats.test_tflite_bad import SMALL, Graph, Op, Tensor, constant
from tests.formats.test_tflite_rare import OPTIONS, detector

Case = dict[str, bytes]  # the files of a model by their names in its folder


def files(folder: Path) -> Case:
    """All files of a folder, small as they are."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def recurrent() -> Any:
    x = fl.Input((6, 3), name="series")
    y = fl.layers.Bidirectional(fl.layers.GRU(3, return_sequences=True), name="both")(x)
    y = fl.layers.MultiHeadAttention(2, 2, name="attention")(y, y)
    y = fl.layers.Conv1D(2, 3, padding="causal", name="conv")(y)
    return fl.Model(x, fl.layers.Flatten(name="flat")(y), name="net")


Seeds = Callable[[Path], Iterator[Case]]


def _saved(name: str, *builds: Callable[[], Any]) -> Seeds:
    """Models of layers in a file of that name."""

    def made(folder: Path) -> Iterator[Case]:
        for build in builds or (pictures, words, two_heads, recurrent):
            fl.set_random_seed(8)
            into = folder / build.__name__
            into.mkdir()
            if name.endswith(("keras", "h5", "safetensors")):
                build().save(into / name)
            else:
                fl.convert(build(), into / name, check=False)
            yield files(into)

    return made


def _layers(folder: Path) -> Iterator[Case]:
    for number, (model, arrays) in enumerate(
        [
            crafted.small_cnn(),
            (crafted.functional(), crafted.functional_weights()),
            (crafted.functional_keras3(), crafted.functional_weights()),
        ]
    ):
        crafted.write_tfjs(folder / str(number), crafted.keras2(model), arrays)
        yield files(folder / str(number))
    for build in (words, two_heads):
        fl.convert(build(), folder / build.__name__, to="tfjs-layers", check=False)
        yield files(folder / build.__name__)


def _graphs(folder: Path) -> Iterator[Case]:
    for codes in (False, True):
        yield files(crafted.write_tfjs(folder / str(codes), *crafted.small_graph(codes)).parent)
    for path, weights in test_graph_fuzz.bases(folder):
        if weights == test_graph_fuzz.RANDOM:
            continue  # as test_graph_fuzz.py changes them
        yield files(path.parent)
    for name, (build, _, _) in test_control.CASES.items():
        net, outputs = build()
        signature = {"outputs": {f"y{i}": {"name": o} for i, o in enumerate(outputs)}}
        path = crafted.write_tfjs(folder / name, net.topology(), net.arrays, signature=signature)
        yield files(path.parent)


def _weights(folder: Path) -> Iterator[Case]:
    """What manifests have: several files, quantised weights of each kind, texts."""
    for kind in ("uint8", "uint16", "float16"):
        fl.convert(pictures(), folder / kind, to="tfjs-graph", quantize=kind, shard_bytes=128,
                   check=False)  # fmt: skip
        yield files(folder / kind)


def _saved_models(folder: Path) -> Iterator[Case]:
    for shards in (1, 2):
        yield files(savedmodels.small(folder / str(shards), shards)[0])


def _frozen(folder: Path) -> Iterator[Case]:
    sm = savedmodels
    weight = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    body = sm.function("f", {"a": sm.FLOAT}, [sm.node("Neg", "n", "a")], {"r": "n:y:0"})
    nodes = [
        sm.placeholder("x", -1, 3), sm.const("w", weight), sm.node("MatMul", "m", "x", "w"),
        sm.node("PartitionedCall", "c", "m", f=("func", "f")), sm.const("axis", np.int32(1)),
        sm.node("Softmax", "s", "c"), sm.node("ConcatV2", "y", "s", "m", "axis", N=2),
    ]  # fmt: skip
    yield {"model.pb": sm.graph(nodes, [body])}
    image = np.ones((3, 3, 2, 4), np.float32)
    nodes = [
        sm.placeholder("x", 1, 6, 6, 2), sm.const("w", image), sm.const("two", np.int32([-1, 36])),
        sm.node("Conv2D", "c", "x", "w", strides=[1, 1, 1, 1], padding="SAME"),
        sm.node("MaxPool", "p", "c", ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID"),
        sm.node("Reshape", "y", "p", "two"),
    ]  # fmt: skip
    yield {"model.pb": sm.graph(nodes)}


def _lite(folder: Path) -> Iterator[Case]:
    yield {"model.tflite": SMALL}
    yield {"model.tflite": tflite_writer.write(detector(OPTIONS))}
    one = Tensor((2,))
    call = {"then_subgraph_index": 1, "else_subgraph_index": 2}
    main = Graph([Tensor((), "bool"), one, one], [0, 1], [2], [Op("IF", [0, 1], [2], 92, call)])
    branches = [Graph([one, one], [0], [1], [Op(kind, [0], [1])]) for kind in ("NEG", "ABS")]
    yield {"model.tflite": tflite_writer.write(main, *branches)}
    weights = [constant(np.full((4, n), 0.1, np.float32)) for n in (3, 3, 3, 3, 4, 4, 4, 4)]
    biases = [constant(np.zeros(4, np.float32)) for _ in range(4)]
    states = [Tensor((1, 4), variable=True), Tensor((1, 4), variable=True)]
    inputs = [0, *range(1, 9), -1, -1, -1, *range(9, 13), -1, -1, 13, 14, -1, -1, -1, -1]
    lstm = Op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [15], 71, {"activation": 4})
    tensors = [Tensor((1, 5, 3)), *weights, *biases, *states, Tensor((1, 5, 4))]
    yield {"model.tflite": tflite_writer.write(Graph(tensors, [0], [15], [lstm]))}


def _zips(*members: tuple[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return held.getvalue()


def _lite_zips(folder: Path) -> Iterator[Case]:
    graph = Graph([Tensor((1, 4)), Tensor((1, 4))], [0], [1], [Op("ABS", [0], [1])])
    model = tflite_writer.write(graph, metadata=tflite_writer.about("labels.txt"))
    yield {"model.tflite": model + _zips(("labels.txt", b"a\nb\nc\nd"))}
    yield {"model.tflite": _zips(("net.tflite", SMALL), ("labels.txt", b"a"))}  # a .task


def _onnx(folder: Path) -> Iterator[Case]:
    yield {"model.onnx": onnx_tests.base()}
    for test in (onnx_tests.test_decisions_and_loops, onnx_tests.test_functions_of_the_model):
        test(folder)  # leaves its file
        (path,) = folder.glob("*.onnx")
        yield {"model.onnx": path.read_bytes()}
        path.unlink()
    yield from _saved("model.onnx")(folder)


def _onnx_outside(folder: Path) -> Iterator[Case]:
    path = onnx_tests.external(folder, "w.bin", offset=8)
    yield {"model.onnx": path.read_bytes(), "w.bin": bytes(24)}


def _torch(folder: Path) -> Iterator[Case]:
    yield {"model.pt2": torch_tests.write(folder / "a.pt2", torch_tests.small()).read_bytes()}
    meta, node, tensor = torch_tests.meta, torch_tests.node, torch_tests.tensor
    model = torch_tests.small()
    graph = model["graph_module"]["graph"]
    whole = {"as_int": 1}
    graph["nodes"] += [
        node("unsqueeze.default", "u", self=tensor("relu"), dim=whole),
        node("cat.default", "c", tensors={"as_tensors": [{"name": "u"}, {"name": "u"}]}, dim=whole),
        node("permute.default", "p", self=tensor("c"), dims={"as_ints": [0, 2, 1]}),
        node("sum.dim_IntList", "s", self=tensor("p"), dim={"as_ints": [-1]},
             keepdim={"as_bool": False}),
    ]  # fmt: skip
    graph["tensor_values"] |= {
        "u": meta("s0", 1, 3), "c": meta("s0", 2, 3), "p": meta("s0", 3, 2), "s": meta("s0", 3)
    }  # fmt: skip
    graph["outputs"] = [tensor("s")]
    model["graph_module"]["signature"]["output_specs"] = [{"user_output": {"arg": tensor("s")}}]
    yield {"model.pt2": torch_tests.write(folder / "b.pt2", model).read_bytes()}


def _bundle(folder: Path) -> Iterator[Case]:
    """The parts that hosts of Python read; the page's own files are left out."""
    fl.set_random_seed(8)
    fl.build(two_heads(), folder / "site")
    case = files(folder / "site")
    manifest = json.loads(case["manifest.json"])
    kept = {e["path"] for e in manifest["weights"]} | {"manifest.json", "graph.json"}
    yield {n: d for n, d in case.items() if n in kept}


def _keras(folder: Path) -> Iterator[Case]:
    weights = crafted.functional_weights()
    names = (("", "a/kernel"), ("_1", "s/kernel"))
    arrays = {f"layers/dense{s}/vars/0": weights[n] for s, n in names}
    path = crafted.write_keras(folder / "m.keras", crafted.functional_keras3(), arrays)
    yield {"model.keras": path.read_bytes()}
    yield from _saved("model.keras", recurrent, words)(folder)


def _h5(folder: Path) -> Iterator[Case]:
    path = crafted.write_h5(folder / "m.h5", *crafted.small_cnn(), "2.15.0")
    yield {"model.h5": path.read_bytes()}
    yield from _saved("model.h5", words, two_heads)(folder)


KINDS: dict[str, Seeds] = {
    "keras": _keras,
    "h5": _h5,
    "tfjs-layers": _layers,
    "tfjs-graph": _graphs,
    "tfjs-weights": _weights,
    "savedmodel": _saved_models,
    "frozen": _frozen,
    "tflite": _lite,
    "tflite-zip": _lite_zips,
    "onnx": _onnx,
    "onnx-external": _onnx_outside,
    "torch": _torch,
    "safetensors": _saved("model.safetensors"),
    "bundle": _bundle,
}


def seeds(kind: str) -> Sequence[Case]:
    """The models of a kind; those that are smallest first."""
    with tempfile.TemporaryDirectory() as folder:
        made = list(KINDS[kind](Path(folder)))
    return sorted(made, key=lambda case: sum(map(len, case.values())))
