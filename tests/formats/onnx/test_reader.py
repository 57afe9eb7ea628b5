"""The ONNX reader: whole models, external data, opsets, functions, and what is refused."""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.graph import evaluate, verify
from fanlight.passes.pipeline import optimize

onnx = pytest.importorskip("onnx", reason="these tests make models with the onnx package")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="shared/fixtures is not here")


def value(name: str, shape: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes: Any, inputs: Any, outputs: Any, weights: Any = (), opset: int = 20,
          **more: Any) -> Any:  # fmt: skip
    graph = helper.make_graph(nodes, "net", inputs, outputs, list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], **more)


def weight(name: str, array: Any) -> Any:
    return numpy_helper.from_array(np.asarray(array), name)


def saved(tmp_path: Path, made: Any) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def refused(path: Path, code: str, **options: Any) -> str:
    with pytest.raises(FanlightError) as caught:
        load_graph(path, **options)
    assert caught.value.code == code, str(caught.value)
    return str(caught.value)


# --- whole models ---------------------------------------------------------------------------------


@needs_fixtures
@pytest.mark.parametrize(
    "name", ["mobilenet_v1_025_128", "func_resnet", "mixed", "seq_cnn", "x_gru", "x_lstm",
             "x_layernorm", "x_mha", "attention"],
)  # fmt: skip
def test_fixtures(name: str) -> None:
    """The answers of Keras, from which the files were exported."""
    source = load_graph(FIXTURES / name / "model.onnx")
    stored = FIXTURES / name / ("io.npz" if name == "seq_cnn" else "io_onnx.npz")
    arrays = np.load(stored if stored.exists() else FIXTURES / name / "io.npz")
    named = np.load(FIXTURES / name / "io_onnx.npz") if name == "seq_cnn" else arrays
    inputs = [named[k] for k in sorted(named) if k.startswith("in")]
    wanted = [arrays[k] for k in sorted(arrays) if k.startswith("out")]
    for row in range(len(inputs[0])):
        given = {p.name: x[row : row + 1] for p, x in zip(source.inputs, inputs, strict=True)}
        for own, other in zip(evaluate(source.graph, given).values(), wanted, strict=True):
            np.testing.assert_allclose(own[0], other[row], rtol=1e-3, atol=1e-5)


@needs_fixtures
@pytest.mark.parametrize("name", ["net", "tr"])
def test_torch(name: str) -> None:
    """The answers of onnx's own evaluator: the weights are not those of the .pt2 beside it."""
    from onnx.reference import ReferenceEvaluator

    path = FIXTURES / "torch" / f"{name}.onnx"
    x = np.load(FIXTURES / "torch" / f"{name}_io.npz")["input_0"][:1]
    source = load_graph(path)
    assert source.inputs[0].batched
    wanted = ReferenceEvaluator(onnx.load(path)).run(None, {source.inputs[0].source: x})[0]
    own = evaluate(source.graph, {source.inputs[0].name: x})
    np.testing.assert_allclose(next(iter(own.values())), wanted, rtol=1e-3, atol=1e-6)


@needs_fixtures
def test_channels_are_turned_once() -> None:
    """NCHW goes to NHWC at the door, and nowhere else; Keras's exports need not even that."""
    counts = [
        Counter(n.op for n in optimize(load_graph(FIXTURES / f).graph).nodes)
        for f in ("torch/net.onnx", "mobilenet_v1_025_128/model.onnx", "func_resnet/model.onnx")
    ]
    assert [c["transpose"] for c in counts] == [1, 0, 0]
    assert load_graph(FIXTURES / "torch/net.onnx").metadata["layouts"] == {"x": "NCHW"}


# --- inputs ---------------------------------------------------------------------------------------


def test_free_sizes(tmp_path: Path) -> None:
    pool = helper.make_node("GlobalAveragePool", ["x"], ["y"])
    path = saved(tmp_path, model([pool], [value("x", ["n", 3, "h", "w"])], [value("y", None)]))
    assert "input_shapes" in refused(path, "E-FORMAT-017")
    source = load_graph(path, size=(8, 6))
    assert source.graph.inputs[0].shape == (1, 3, 8, 6)
    assert source.inputs[0].batched
    other = load_graph(path, input_shapes={"x": (3, 5, 7)})
    assert other.graph.inputs[0].shape == (1, 3, 5, 7)


def test_shapes_fold(tmp_path: Path) -> None:
    """Shape -> Gather -> Concat -> Reshape leaves a reshape."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Concat", ["n", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["y"]),
    ]
    weights = [weight("zero", np.array([0])), weight("rest", np.array([-1]))]
    made = model(nodes, [value("x", ["n", 2, 3])], [value("y", None)], weights)
    graph = load_graph(saved(tmp_path, made)).graph
    assert [n.op for n in graph.nodes] == ["reshape"]
    assert graph.outputs[0][1].shape == (1, 6)


def test_large_numbers_are_told(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    weights = [weight("w", np.array([2**40, 1]))]
    made = model(nodes, [value("x", [2], TensorProto.INT64)], [value("y", [2], TensorProto.INT64)],
                 weights)  # fmt: skip
    source = load_graph(saved(tmp_path, made))
    assert any("32 bits" in w for w in source.warnings)


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 18])
def test_attributes_or_inputs(tmp_path: Path, opset: int) -> None:
    """Clip, Slice, Squeeze as each opset writes them."""
    names, weights = {}, []

    def given(name: str, array: Any, first: int) -> list[str]:
        if opset < first:
            names[name] = array
            return []
        weights.append(weight(name, np.asarray(array)))
        return [name]

    starts = given("starts", [1], 10) + given("ends", [3], 10) + given("axes", [0], 10)
    cut = helper.make_node("Slice", ["x", *starts], ["a"], **names)
    names = {}
    limits = given("min", np.float32(-1.0), 11) + given("max", np.float32(1.0), 11)
    clip = helper.make_node(
        "Clip", ["a", *limits], ["b"], **{k: float(v) for k, v in names.items()}
    )
    squeeze = helper.make_node("Squeeze", ["b", "dims"] if opset >= 13 else ["b"], ["y"],
                               **({} if opset >= 13 else {"axes": [1]}))  # fmt: skip
    weights += [weight("dims", np.array([1]))] if opset >= 13 else []
    made = model([cut, clip, squeeze], [value("x", [4, 1])], [value("y", None)], weights, opset)
    x = np.array([[5.0], [-3.0], [0.5], [9.0]], np.float32)
    own = evaluate(load_graph(saved(tmp_path, made)).graph, {"x": x})["y"]
    np.testing.assert_array_equal(own, np.array([-1.0, 0.5], np.float32))


def test_functions_of_the_model(tmp_path: Path) -> None:
    scaled = helper.make_node("LeakyRelu", ["a"], ["b"])
    scaled.attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    function = helper.make_function("own", "Leaky", ["a"], ["b"], [scaled],
                                    [helper.make_opsetid("", 20)], ["slope"])  # fmt: skip
    node = helper.make_node("Leaky", ["x"], ["y"], domain="own", slope=0.5)
    made = model([node], [value("x", [2])], [value("y", [2])], functions=[function])
    own = evaluate(load_graph(saved(tmp_path, made)).graph, {"x": np.float32([-2, 4])})["y"]
    np.testing.assert_array_equal(own, np.float32([-1, 4]))


def test_functions_of_one_name_differ_in_their_overload(tmp_path: Path) -> None:
    """From IR version 10 on; exporters of PyTorch make them."""
    functions = []
    for overload, op in (("", "Neg"), ("twice", "Add")):
        inner = helper.make_node(op, ["a", "a"] if op == "Add" else ["a"], ["b"])
        made = helper.make_function("own", "F", ["a"], ["b"], [inner],
                                    [helper.make_opsetid("", 20)], overload=overload)  # fmt: skip
        functions.append(made)
    nodes = [helper.make_node("F", ["x"], ["h"], domain="own", overload="twice"),
             helper.make_node("F", ["h"], ["y"], domain="own")]  # fmt: skip
    ports = [value("x", [2])], [value("y", [2])]
    for order in (functions, functions[::-1]):
        path = saved(tmp_path, model(nodes, *ports, functions=order))
        own = evaluate(load_graph(path).graph, {"x": np.float32([1, -3])})["y"]
        np.testing.assert_array_equal(own, np.float32([-2, 6]))
    text = refused(saved(tmp_path, model(nodes, *ports, functions=functions[:1])), "E-FORMAT-013")
    assert "own.F (overload 'twice') x1" in text


def test_decisions_and_loops(tmp_path: Path) -> None:
    """If and Loop that numbers decide become cond and while_loop."""
    then = helper.make_graph([helper.make_node("Mul", ["x", "two"], ["t"])], "a", [],
                             [value("t", [2])])  # fmt: skip
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["e"])], "b", [], [value("e", [2])])
    body = helper.make_graph(
        [
            helper.make_node("Add", ["v", "z"], ["w"]),
            helper.make_node("ReduceSum", ["w"], ["total"], keepdims=0),
            helper.make_node("Less", ["total", "hundred"], ["on"]),
        ],
        "body",
        [value("i", [], TensorProto.INT64), value("c", [], TensorProto.BOOL), value("v", [2])],
        [value("on", [], TensorProto.BOOL), value("w", [2])],
    )
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["p"]),
        helper.make_node("If", ["p"], ["z"], then_branch=then, else_branch=other),
        helper.make_node("Loop", ["", "", "z"], ["y"], body=body),
    ]
    weights = [weight(n, np.float32(v)) for n, v in (("two", 2), ("zero", 0), ("hundred", 100))]
    made = model(nodes, [value("x", [2])], [value("y", [2])], weights)
    graph = load_graph(saved(tmp_path, made)).graph
    assert {"cond", "while_loop"} <= {n.op for n in graph.nodes}
    for x, z in (([1, 2], [2, 4]), ([-5, -2], [5, 2])):
        state = np.float32(z)
        while True:
            state = state + np.float32(z)
            if state.sum() >= 100:
                break
        own = evaluate(graph, {"x": np.float32(x)})["y"]
        np.testing.assert_array_equal(own, state)


# --- data outside of the file ---------------------------------------------------------------------


def external(tmp_path: Path, location: str, length: int = 16, offset: int = 0) -> Path:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4],
                         data_location=TensorProto.EXTERNAL)  # fmt: skip
    for key, text in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(text))
    add = helper.make_node("Add", ["x", "w"], ["y"])
    return saved(tmp_path, model([add], [value("x", [4])], [value("y", [4])], [tensor]))


def test_external_data(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(8) + np.arange(4, dtype="<f4").tobytes())
    path = external(tmp_path, "w.bin", offset=8)
    own = evaluate(load_graph(path).graph, {"x": np.zeros(4, np.float32)})["y"]
    np.testing.assert_array_equal(own, np.arange(4))


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "a/../../w", "..\\w", "file:x"])
def test_external_data_outside_is_refused(tmp_path: Path, location: str) -> None:
    refused(external(tmp_path, location), "E-FORMAT-010")


def test_external_data_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "w.bin").write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").symlink_to(tmp_path / "real" / "w.bin")
    refused(external(folder, "w.bin"), "E-FORMAT-010")
    (folder / "sub").symlink_to(tmp_path / "real")
    refused(external(folder, "sub/w.bin"), "E-FORMAT-010")


def test_external_data_cut_short(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(12))
    refused(external(tmp_path, "w.bin"), "E-FORMAT-007")
    refused(external(tmp_path, "missing.bin"), "E-FORMAT-001")


# --- refusals -------------------------------------------------------------------------------------


def test_unsupported_ops_at_once(tmp_path: Path) -> None:
    nodes = [helper.make_node("Foo", ["x"], ["a"], name="f"),
             helper.make_node("Bar", ["a"], ["y"], domain="own", name="b")]  # fmt: skip
    made = model(nodes, [value("x", [2])], [value("y", [2])])
    text = refused(saved(tmp_path, made), "E-FORMAT-013")
    assert "Foo x1 (f)" in text
    assert "own.Bar x1 (b)" in text


def test_infinite_masks_can_be_built(tmp_path: Path) -> None:
    """Exports of attention hold minus infinity; weights of a build are finite."""
    mask = np.array([0, -np.inf, 0], np.float32)
    nodes = [helper.make_node("Add", ["x", "m"], ["a"]), helper.make_node("Softmax", ["a"], ["y"])]
    made = model(nodes, [value("x", [1, 3])], [value("y", [1, 3])], [weight("m", mask)])
    source = load_graph(saved(tmp_path, made))
    assert any("infinities" in w for w in source.warnings)
    assert all(np.isfinite(w).all() for w in source.graph.weights.values())
    own = evaluate(source.graph, {"x": np.zeros((1, 3), np.float32)})["y"]
    np.testing.assert_allclose(own, [[0.5, 0, 0.5]])


def test_unused_nodes_do_not_matter(tmp_path: Path) -> None:
    nodes = [helper.make_node("Foo", ["x"], ["a"]), helper.make_node("Relu", ["x"], ["y"])]
    made = model(nodes, [value("x", [2])], [value("y", [2])])
    assert len(load_graph(saved(tmp_path, made)).graph.nodes) == 1


def test_refusals(tmp_path: Path) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    ports = [value("x", [2])], [value("y", [2])]
    refused(saved(tmp_path, model([relu], *ports, opset=6)), "E-FORMAT-002")
    refused(
        saved(tmp_path, model([helper.make_node("Relu", ["z"], ["y"])], *ports)), "E-FORMAT-016"
    )
    texts = [value("x", [2], TensorProto.STRING)], [value("y", [2], TensorProto.STRING)]
    refused(saved(tmp_path, model([helper.make_node("Identity", ["x"], ["y"])], *texts)),
            "E-FORMAT-012")  # fmt: skip
    huge = helper.make_node("ConstantOfShape", ["s"], ["y"])
    many = [weight("s", np.array([1 << 20, 1 << 20]))]
    refused(saved(tmp_path, model([huge], *ports, many)), "E-FORMAT-023")
    shape = helper.make_node("Reshape", ["x", "s"], ["y"])
    inputs = [value("x", [2]), value("s", [1], TensorProto.INT64)]
    text = refused(saved(tmp_path, model([shape], inputs, ports[1])), "E-FORMAT-019")
    assert "Reshape" in text
    (tmp_path / "model.onnx").write_bytes(b"\x00\x01junk")
    refused(tmp_path / "model.onnx", "E-FORMAT-005")
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07")
    refused(tmp_path / "model.onnx", "E-FORMAT-002")


def test_functions_that_call_themselves(tmp_path: Path) -> None:
    again = helper.make_node("F", ["a"], ["b"], domain="own")
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "F", ["a"], ["b"], [again], opsets)
    node = helper.make_node("F", ["x"], ["y"], domain="own")
    made = model([node], [value("x", [2])], [value("y", [2])], functions=[function])
    refused(saved(tmp_path, made), "E-FORMAT-004")


# --- size -----------------------------------------------------------------------------------------


def test_many_nodes_take_work_in_proportion(tmp_path: Path) -> None:
    """Counted in lines of Python that run, which no other process changes."""

    def lines(count: int) -> int:
        nodes = [helper.make_node("Neg", [f"v{i}"], [f"v{i + 1}"]) for i in range(count)]
        path = saved(tmp_path, model(nodes, [value("v0", [2])], [value(f"v{count}", [2])]))
        ran = 0

        def trace(frame: Any, event: str, argument: Any) -> Any:
            nonlocal ran
            ran += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            graph = load_graph(path).graph
        finally:
            sys.settrace(before)
        assert len(graph.nodes) == count
        return ran

    lines(10)  # imports
    few, many = lines(200), lines(1000)
    assert many < 5.5 * few


def test_weights_are_not_copied(tmp_path: Path) -> None:
    """32 MB of weights: what the import itself keeps is little, for the file is mapped."""
    array = np.zeros((2048, 4096), np.float32)
    array[0, 0] = 1
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [value("x", [1, 2048])],
                 [value("y", [1, 4096])], [weight("w", array)])  # fmt: skip
    path = saved(tmp_path, made)
    del made
    tracemalloc.start()
    graph = load_graph(path).graph
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert next(iter(graph.weights.values()))[0, 0] == 1
    assert peak < 0.5 * array.nbytes


# --- mutated files --------------------------------------------------------------------------------


def loads_or_refuses(path: Path) -> None:
    try:
        verify(load_graph(path).graph)
    except FanlightError as error:
        assert error.code.startswith(("E-FORMAT", "E-OP", "E-GRAPH")), str(error)
        assert "in a way that the reader does not expect" not in error.message, str(error)


def base() -> bytes:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("MaxPool", ["a"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("Gemm", ["f", "k"], ["g"], transB=1),
        helper.make_node("Softmax", ["g"], ["y"]),
    ]
    weights = [weight("w", np.ones((2, 3, 3, 3), np.float32)), weight("b", np.zeros(2, np.float32)),
               weight("k", np.ones((5, 8), np.float32))]  # fmt: skip
    made = model(nodes, [value("x", ["n", 3, 4, 4])], [value("y", None)], weights)
    return bytes(made.SerializeToString())


def test_cut_short(tmp_path: Path) -> None:
    data, path = base(), tmp_path / "cut.onnx"
    for end in range(1, len(data), 7):
        path.write_bytes(data[:end])
        loads_or_refuses(path)


def mutated(rng: random.Random, data: bytes) -> bytes:
    bytes_ = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(bytes_))
        kind = rng.random()
        if kind < 0.6:
            bytes_[at] = rng.choice([0, 1, 2, 7, 127, 128, 255, rng.randrange(256)])
        elif kind < 0.8:
            del bytes_[at : at + rng.randint(1, 8)]
        else:
            bytes_[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 8)))
    return bytes(bytes_)


def test_mutations(tmp_path: Path) -> None:
    rng = random.Random(1)
    data, path = base(), tmp_path / "mutated.onnx"
    for _ in range(200):
        made = mutated(rng, data)
        path.write_bytes(made)
        try:
            loads_or_refuses(path)
        except BaseException:
            print("failed:", made.hex())
            raise


@settings(max_examples=60, deadline=None)
@given(data=st.binary(min_size=1, max_size=80))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(data)
    loads_or_refuses(path)


def test_page_is_up_to_date() -> None:
    root = Path(__file__).resolve().parents[3]
    tool = root / "tools" / "gen_onnx_docs.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], cwd=root, check=False)
    assert done.returncode == 0, "run tools/gen_onnx_docs.py"
