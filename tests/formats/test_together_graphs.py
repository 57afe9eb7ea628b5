"""Examples of a batch that meet, in TensorFlow's graphs, in live modules and in JAX's functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.convert import convert
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.source import Source
from tests.formats import crafted, graph_peer
from tests.formats import savedmodels as sm

Nodes = Sequence[tuple[Any, ...]]
KINDS = {"float32": sm.FLOAT, "int32": 3}

# op, name, inputs, attributes; "x" is the input, [n, 4], and "y" the output. Whole numbers in place
# of an input are constants.
MEET: dict[str, tuple[Nodes, Callable[[np.ndarray], np.ndarray]]] = {
    "x times x transposed": (
        [("MatMul", "y", ["x", "x"], {"transpose_b": True})], lambda x: x @ x.T),
    "less the mean of the batch": (
        [("Mean", "m", ["x", [0]], {"keep_dims": True}), ("Sub", "y", ["x", "m"], {})],
        lambda x: x - x.mean(0, keepdims=True)),
    "the mean of all": (
        [("Mean", "m", ["x", [0, 1]], {}), ("Sub", "y", ["x", "m"], {})],
        lambda x: x - x.mean()),
    "softmax over the batch": (
        [("Transpose", "t", ["x", [1, 0]], {}), ("Softmax", "s", ["t"], {}),
         ("Transpose", "y", ["s", [1, 0]], {})],
        lambda x: np.exp(x) / np.exp(x).sum(0)),
    "all in one row": (
        [("Reshape", "r", ["x", [1, -1]], {}), ("Softmax", "s", ["r"], {}),
         ("Reshape", "y", ["s", [-1, 4]], {})],
        lambda x: np.exp(x) / np.exp(x).sum()),
    "running sums": ([("Cumsum", "y", ["x", 0], {})], lambda x: x.cumsum(0)),
    "less the first": (
        [("StridedSlice", "f", ["x", [0], [1], [1]], {}), ("Sub", "y", ["x", "f"], {})],
        lambda x: x - x[:1]),
    "by how many there are": (
        [("Shape", "d", ["x"], {}),
         ("StridedSlice", "n", ["d", [0], [1], [1]], {"shrink_axis_mask": 1}),
         ("Cast", "f", ["n"], {"SrcT": ("type", 3), "DstT": ("type", 1)}),
         ("RealDiv", "y", ["x", "f"], {})],
        lambda x: x / len(x)),
}  # fmt: skip
APART: dict[str, tuple[Nodes, Callable[[np.ndarray], np.ndarray]]] = {
    "softmax of each": (
        [("Softmax", "y", ["x"], {})], lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    "each with itself": (
        [("ExpandDims", "e", ["x", 2], {}),
         ("BatchMatMulV2", "p", ["e", "e"], {"adj_y": True}), ("Sum", "y", ["p", [1]], {})],
        lambda x: x * x.sum(1, keepdims=True)),
    "with the batch's size in a shape": (
        [("Shape", "d", ["x"], {}),
         ("StridedSlice", "n", ["d", [0], [1], [1]], {"shrink_axis_mask": 1}),
         ("Pack", "s", ["n", 2, 2], {"N": 3, "axis": 0}), ("Reshape", "r", ["x", "s"], {}),
         ("Max", "y", ["r", [2]], {})],
        lambda x: x.reshape(-1, 2, 2).max(2)),
    "beside zeros": (
        [("ZerosLike", "z", ["x"], {}), ("ConcatV2", "y", ["x", "z", 1], {"N": 2})],
        lambda x: np.concatenate([x, 0 * x], 1)),
}  # fmt: skip


def _spelled(nodes: Nodes) -> tuple[list[tuple[Any, ...]], dict[str, np.ndarray]]:
    """Nodes whose constants have names, and these."""
    made, known = [], {}
    for op, name, inputs, attrs in nodes:
        names = []
        for index, x in enumerate(inputs):
            if not isinstance(x, str):
                known[f"{name}_{index}"] = np.array(x, np.int32)
            names.append(x if isinstance(x, str) else f"{name}_{index}")
        made.append((op, name, names, attrs))
    return made, known


def _json(value: Any) -> dict[str, Any]:
    if isinstance(value, tuple):
        return {value[0]: value[1]}
    return {"b": value} if isinstance(value, bool) else {"i": str(value)}


def graph_model(folder: Path, nodes: Nodes, key: str = "x") -> Path:
    listed, known = _spelled(nodes)
    made = [crafted.node(o, n, *i, **{k: _json(v) for k, v in a.items()}) for o, n, i, a in listed]
    topology, stored = crafted.graph_of([*made, crafted.placeholder("x", -1, 4)], known)
    signature = {"inputs": {key: {"name": "x:0"}}, "outputs": {"y": {"name": "y:0"}}}
    return crafted.write_tfjs(folder, topology, stored, signature=signature, format="graph-model")


def _protos(nodes: Nodes) -> bytes:
    listed, known = _spelled(nodes)
    made = [sm.placeholder("x", -1, 4), *(sm.const(n, a) for n, a in known.items())]
    return sm.graph([*made, *(sm.node(o, n, *i, **a) for o, n, i, a in listed)])


def frozen(folder: Path, nodes: Nodes, key: str = "x") -> Path:
    folder.mkdir()
    (folder / "a.pb").write_bytes(_protos(nodes))
    return folder / "a.pb"


def saved_model(folder: Path, nodes: Nodes, key: str = "x") -> Path:
    folder.mkdir()
    told = sm.signature({key: sm.info("x:0", -1, 4)}, {"y": sm.info("y:0", -1, 4)})
    meta = sm.meta_graph(_protos(nodes), {"serving_default": told})
    (folder / "saved_model.pb").write_bytes(sm.saved_model(meta))
    return folder


WRITERS = {"graph-model": graph_model, "frozen": frozen, "SavedModel": saved_model}


def numbers(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 4)).astype(np.float32)


def met(source: Source) -> bool:
    """Whether a source says that examples meet; then its batch is fixed, and a warning tells."""
    free = [p.batched for p in (*source.inputs, *source.outputs)]
    if source.mixes:
        assert not any(free) and any("input_shapes" in w for w in source.warnings)
        return True
    assert source.inputs[0].batched
    return False


@pytest.mark.parametrize("kind", list(WRITERS))
@pytest.mark.parametrize("name", list(MEET))
def test_examples_that_meet(tmp_path: Path, name: str, kind: str) -> None:
    """One example as it is; several where their number is said."""
    nodes, meaning = MEET[name]
    path = WRITERS[kind](tmp_path / "m", nodes)
    assert met(load_graph(path))
    x = numbers(3)
    with pytest.raises(FanlightError, match=r"(?s)E-INPUT-002.*examples of a batch meet"):
        fl.load(path)(x)
    made = fl.load(path, input_shapes={"x": x.shape})(x)
    np.testing.assert_allclose(made, meaning(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fl.load(path)(x[:1]), meaning(x[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", list(WRITERS))
@pytest.mark.parametrize("name", list(APART))
def test_examples_that_stay_apart(tmp_path: Path, name: str, kind: str) -> None:
    nodes, meaning = APART[name]
    path = WRITERS[kind](tmp_path / "m", nodes)
    assert not met(load_graph(path))
    x = numbers(3)
    np.testing.assert_allclose(fl.load(path)(x), meaning(x), rtol=1e-4, atol=1e-5)


def test_tensorflow_js_means_the_same(tmp_path: Path) -> None:
    cases = {**MEET, **APART}
    x = numbers(3)
    folders = [tmp_path / str(i) for i in range(len(cases))]
    for folder, (nodes, _) in zip(folders, cases.values(), strict=True):
        graph_model(folder, nodes)
    found = graph_peer.run_all([(f, {"x": x}, ["y"]) for f in folders])
    for (theirs,), (name, (_, meaning)) in zip(found, cases.items(), strict=True):
        np.testing.assert_allclose(theirs, meaning(x), rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["graph-model", "SavedModel"])
def test_inputs_are_named_as_the_signature_does(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path / "m", MEET["running sums"][0], "pixels")
    source = load_graph(path)
    assert met(source) and "input_shapes={'pixels': (8, 4)}" in source.warnings[-1]
    with pytest.raises(FanlightError, match=r"input_shapes=\{'pixels': \(3, 4\)\}"):
        fl.load(path)(numbers(3))


def test_a_free_batch_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    path = graph_model(tmp_path / "m", MEET["less the first"][0])
    with pytest.raises(FanlightError, match="E-CONVERT-002") as caught:
        convert(path, tmp_path / "out", dynamic=["batch"])
    assert "examples of a batch meet" in str(caught.value)
    assert convert(path, tmp_path / "out").ok


def test_variables_are_not_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanlight.formats.savedmodel.tensorbundle import Bundle

    read: list[str] = []
    whole = Bundle.array
    monkeypatch.setattr(Bundle, "array", lambda self, key: read.append(key) or whole(self, key))
    folder, _ = sm.small(tmp_path / "m")
    assert load_graph(folder).inputs[0].batched
    assert len(read) == len(set(read)) == 2


# --- what is live ---------------------------------------------------------------------------------


def test_live_modules_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="torch, the oracle of this reader, is not there")

    class Net(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, rule: Any) -> None:
            super().__init__()
            self.rule = rule

        def forward(self, x: Any) -> Any:
            return self.rule(x * 2.0)

    batch = torch.export.Dim("batch", min=1, max=64)
    x = numbers(3)
    rules = {
        lambda x: x @ x.T: True,
        lambda x: x - x.mean(0): True,
        lambda x: x - x[:1]: True,
        lambda x: torch.softmax(x, 0): True,
        lambda x: torch.softmax(x, 1): False,
        lambda x: x.reshape(-1, 2, 2).sum(2): False,
    }
    for rule, meets in rules.items():
        net = Net(rule)
        program = torch.export.export(net, (torch.from_numpy(x),), dynamic_shapes=({0: batch},))
        model = fl.from_torch(program)
        assert met(model.source) == meets
        wanted = net(torch.from_numpy(x)).numpy()
        if meets:
            with pytest.raises(FanlightError, match=r"(?s)E-INPUT-002.*fl.from_torch"):
                model(x)
            model = fl.from_torch(program, input_shapes={"x": x.shape})
        np.testing.assert_allclose(model(x), wanted, rtol=1e-4, atol=1e-5)


def test_functions_of_jax() -> None:
    """Of a function a free batch is asked for, so that it is an error where examples meet."""
    jax = pytest.importorskip("jax", reason="jax, the oracle of this reader, is not there")
    jnp = jax.numpy
    x = numbers(3)
    rules = {
        lambda x: x @ x.T: True,
        lambda x: x - x.mean(0): True,
        lambda x: x - x[:1]: True,
        lambda x: x / x.shape[0]: True,
        lambda x: jnp.roll(x, 1, 0): True,
        lambda x: x - jnp.broadcast_to(x[0], x.shape): True,
        lambda x: jax.nn.softmax(x, 0): True,
        lambda x: jax.nn.softmax(x, 1): False,
        lambda x: x.reshape(-1, 2, 2).sum(2): False,
    }
    for index, (rule, meets) in enumerate(rules.items()):
        if meets:
            with pytest.raises(FanlightError, match="E-FORMAT-018"):
                fl.from_jax(rule, x, batch=True)
                pytest.fail(f"function {index} is taken")
            np.testing.assert_allclose(fl.from_jax(rule, x)(x), rule(x), rtol=1e-4, atol=1e-5)
        else:
            model = fl.from_jax(rule, x[:2], batch=True)
            assert model.batched == {"x": True}
            np.testing.assert_allclose(model(x), rule(x), rtol=1e-4, atol=1e-5)
