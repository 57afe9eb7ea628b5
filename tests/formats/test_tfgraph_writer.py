"""Graph-models that are written: TensorFlow.js itself computes with them what the graph means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import load, write_graph_model
from fanlight.graph import Builder, Graph, evaluate
from fanlight.tensor.control import cond, scan, while_loop
from fanlight.tensor.trace import trace
from tests.formats.tfjs_graph_peer import run
from tests.support import SHARED

FIXTURES = SHARED / "fixtures"
NAMES = sorted(p.parent.name for p in FIXTURES.glob("*/model.keras"))
TOLERANCE = 3e-5


def given(model: Any, folder: Path) -> dict[str, np.ndarray]:
    """The stored inputs, by the names of the model."""
    stored = np.load(folder / "io.npz")
    arrays = [stored[k] for k in sorted(k for k in stored.files if k.startswith("input"))]
    return {n: x for (n, _), x in zip(model.inputs, arrays, strict=True)}


def worst(answer: Mapping[str, Any], wanted: Mapping[str, np.ndarray]) -> float:
    """The largest difference; shapes have to be the same."""
    assert "error" not in answer, answer["error"]
    assert list(answer["outputs"]) == list(wanted)
    differences = [0.0]
    for name, array in wanted.items():
        made = answer["outputs"][name]
        assert made.shape == array.shape, name
        np.testing.assert_array_equal(np.isnan(made), np.isnan(array), name)
        if array.size:
            differences.append(float(np.nanmax(np.abs(made - array), initial=0.0)))
    return max(differences)


def test_all_fixtures_run_in_tfjs_with_free_batches(tmp_path: Path, capsys: Any) -> None:
    if not NAMES:
        pytest.skip(f"{FIXTURES} is missing")
    jobs, wants = [], []
    for name in NAMES:
        model = fl.load(FIXTURES / name / "model.keras")
        assert write_graph_model(model, tmp_path / name) == (), name
        inputs = given(model, FIXTURES / name)
        jobs.append((tmp_path / name, inputs))
        wants.append(model(dict(inputs)))
    told = []
    for name, answer, wanted in zip(NAMES, run(jobs), wants, strict=True):
        off = worst(answer, wanted)
        told.append(f"{name:45} {off:.1e}")
        assert off < TOLERANCE, name
        assert not answer["waited"], name
    with capsys.disabled():
        print("\n" + "\n".join(told))


def of(function: Any, **inputs: Any) -> Graph:
    return trace(function, {n: fl.spec(s) for n, s in inputs.items()})


F = fl


def _pools(x: Any) -> Any:
    p = ((1, 0), (2, 1))
    return {
        "m": F.max_pool(x, 3, 2, p),
        "a": F.avg_pool(x, 3, 2, p),
        "s": F.avg_pool(x, 3, 2, "same"),
    }


def _branches(x: Any) -> Any:
    return cond(F.sum(x) > 0, lambda a: a * 2.0, lambda a: a - 1.0, x)


def _loop(x: Any) -> Any:
    return while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] * 0.5 + x), (0, x))[1]


def _scan(x: Any) -> Any:
    return scan(lambda c, row: (c + row, c * row), x[0], x, reverse=True)[1]


CASES: dict[str, tuple[Any, dict[str, tuple[int, ...]]]] = {
    "pools": (_pools, {"x": (1, 7, 8, 3)}),
    "branches": (_branches, {"x": (3, 2)}),
    "loop": (_loop, {"x": (3,)}),
    "scan": (_scan, {"x": (4, 2)}),
    "activations": (
        lambda x: [
            getattr(F, n)(x)
            for n in "gelu swish mish hard_swish softsign log_sigmoid softplus elu selu".split()
        ],
        {"x": (3, 5)},
    ),
    "order": (lambda x: [*F.sort(x), *F.top_k(x, 3)], {"x": (2, 6)}),
    "slices": (lambda x: [x[::-1, 1:5:2], x[2:0:-1], F.reverse(x, 1)], {"x": (4, 6)}),
    "sums": (lambda x: [F.cumsum(x, 1), F.softmax(x, 0), F.arg_max(x, 0)], {"x": (4, 6)}),
}


@pytest.mark.parametrize("name", CASES)
def test_functions_run_in_tfjs(name: str, tmp_path: Path) -> None:
    function, inputs = CASES[name]
    graph = of(function, **inputs)
    rng = np.random.default_rng(3)
    arrays = {n: rng.normal(size=s).astype("float32") for n, s in inputs.items()}
    write_graph_model(graph, tmp_path / "m")
    (answer,) = run([(tmp_path / "m", arrays)])
    assert worst(answer, evaluate(graph, arrays)) < TOLERANCE


def test_our_reader_reads_it_again(tmp_path: Path) -> None:
    folder = FIXTURES / "func_resnet"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    model = fl.load(folder / "model.keras")
    write_graph_model(model, tmp_path / "m", shard_bytes=1000, metadata={"by": "us"})
    again = load(tmp_path / "m")
    inputs = given(model, folder)
    wanted, made = model(dict(inputs)), again(dict(inputs))
    for a, b in zip(wanted.values(), made.values(), strict=True):
        assert np.abs(a - b).max() < 1e-5
    assert json.loads((tmp_path / "m" / "model.json").read_text())["userDefinedMetadata"] == {
        "by": "us"
    }


def test_quantised_weights_are_read_as_such(tmp_path: Path) -> None:
    graph = of(
        lambda x: x @ F.tensor(np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)), x=(2, 3)
    )
    write_graph_model(graph, tmp_path / "m", quantize="uint8")
    arrays = {"x": np.ones((2, 3), "float32")}
    (answer,) = run([(tmp_path / "m", arrays)])
    assert 0 < worst(answer, evaluate(graph, arrays)) < 0.02


def test_weights_of_ops_on_bytes_are_bytes(tmp_path: Path) -> None:
    """TF.js makes float32 of them, and answers the same."""
    rng = np.random.default_rng(0)
    builder = Builder("bytes")
    x = builder.input("x", (2, 6, 6, 8), "uint8")
    w = builder.weight(rng.integers(-128, 128, (3, 3, 8, 16)).astype(np.int8), "w")
    bias = builder.weight(rng.integers(-90, 90, 16).astype(np.int32), "b")
    scale = builder.weight(rng.uniform(0.001, 0.002, 16).astype(np.float32), "s")
    y = builder.add("conv2d_int8", x, w, bias, scale, pad=5, zero=5, high=255, x_high=255,
                    padding=((1, 1), (1, 1)))  # fmt: skip
    graph = builder.finish({"y": y})
    fed = {"x": rng.integers(0, 256, (2, 6, 6, 8)).astype(np.uint8)}
    write_graph_model(graph, tmp_path / "m")
    size = sum(p.stat().st_size for p in (tmp_path / "m").glob("*.bin"))
    assert size < 1.2 * 3 * 3 * 8 * 16
    (answer,) = run([(tmp_path / "m", fed)])
    assert worst(answer, evaluate(graph, fed)) == 0
    made = load(tmp_path / "m")
    np.testing.assert_array_equal(made(fed["x"].astype(np.int32)), evaluate(graph, fed)["y"])


def test_names_of_the_signature(tmp_path: Path) -> None:
    graph = of(lambda x: {"y": x + 1.0}, x=(2,))
    write_graph_model(
        graph, tmp_path / "m", signature={"x": "pixels", "y": "scores"}, structured_outputs=True
    )
    (answer,) = run([(tmp_path / "m", {"pixels": np.zeros(2, "float32")})])
    assert list(answer["outputs"]) == ["scores"]
    told = json.loads((tmp_path / "m" / "model.json").read_text())
    assert told["userDefinedMetadata"]["structuredOutputKeys"] == ["scores"]
    with pytest.raises(FanlightError, match="E-FORMAT-018"):
        write_graph_model(graph, tmp_path / "n", signature={"z": "scores"})
    assert not (tmp_path / "n").exists()


def test_all_ops_that_tfjs_has_not_are_listed(tmp_path: Path) -> None:
    graph = of(lambda x: [F.linalg.det(x), F.linalg.cholesky(x)], x=(3, 3))
    with pytest.raises(FanlightError, match="E-FORMAT-040") as caught:
        write_graph_model(graph, tmp_path / "m")
    assert "det" in str(caught.value.received)
    assert "cholesky" in str(caught.value.received)
    assert not (tmp_path / "m").exists()


def test_what_mixes_a_batch_keeps_it_fixed(tmp_path: Path) -> None:
    x = fl.Input((3,), name="x")
    model = fl.Model(x, fl.layers.Lambda(lambda a: a - F.mean(a, 0, keepdims=True))(x))
    told = write_graph_model(model, tmp_path / "m")
    assert "batch is fixed to 1" in told[0]
    (answer,) = run([(tmp_path / "m", {"x": np.ones((1, 3), "float32")})])
    assert worst(answer, {next(iter(answer["outputs"])): np.zeros((1, 3), "float32")}) == 0
