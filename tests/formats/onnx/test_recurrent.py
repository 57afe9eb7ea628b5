"""RNN, GRU and LSTM in all directions and both layouts, against onnx's own evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.build import build
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.graph import evaluate

REASON = "the oracle of these tests is the onnx package"
onnx = pytest.importorskip("onnx", reason=REASON)
reference = pytest.importorskip("onnx.reference", reason=REASON)

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STEPS, BATCH, SIZE, HIDDEN = 4, 3, 2, 5


def model(op: str, direction: str, layout: int, arrays: dict[str, Any], known: bool) -> Any:
    helper = onnx.helper
    names = ["x", "w", "r", "b", "lengths", "h", "c", "p"]
    last = max(names.index(n) for n in arrays)
    given = [n if n in arrays else "" for n in names[: last + 1]]
    outputs = ["y", "y_h", "y_c"][: 3 if op == "LSTM" else 2]
    node = helper.make_node(op, given, outputs, hidden_size=HIDDEN, direction=direction,
                            layout=layout)  # fmt: skip
    free = [n for n in arrays if not known or n in ("x", "h", "c", "lengths")]
    kinds = {n: helper.np_dtype_to_tensor_dtype(arrays[n].dtype) for n in arrays}
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info(n, kinds[n], arrays[n].shape) for n in free],
        [helper.make_tensor_value_info(n, 1, None) for n in outputs],
        [onnx.numpy_helper.from_array(arrays[n], n) for n in arrays if n not in free],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def numbers(op: str, directions: int, layout: int, initial: bool) -> dict[str, np.ndarray]:
    random, gates = np.random.default_rng(7), GATES[op]
    x, state = (STEPS, BATCH, SIZE), (directions, BATCH, HIDDEN)
    shapes: dict[str, tuple[int, ...]] = {
        "x": (x[1], x[0], x[2]) if layout else x,
        "w": (directions, gates * HIDDEN, SIZE),
        "r": (directions, gates * HIDDEN, HIDDEN),
        "b": (directions, 2 * gates * HIDDEN),
    }
    if initial:
        shapes["h"] = (state[1], state[0], state[2]) if layout else state
    if initial and op == "LSTM":
        shapes |= {"c": shapes["h"], "p": (directions, 3 * HIDDEN)}
    return {k: random.normal(size=s).astype(np.float32) * 0.7 for k, s in shapes.items()}


def saved(made: Any, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", list(GATES))
def test_all_forms(tmp_path: Path, op: str, direction: str, layout: int, initial: bool) -> None:
    directions = 2 if direction == "bidirectional" else 1
    arrays = numbers(op, directions, layout, initial)
    made = model(op, direction, layout, arrays, known=initial)
    graph = load_graph(saved(made, tmp_path)).graph
    given = {v.name: arrays[v.name] for v in graph.inputs}
    wanted = reference.ReferenceEvaluator(made).run(None, given)
    for own, other in zip(evaluate(graph, given).values(), wanted, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)
    if direction == "bidirectional" and layout and initial:
        for own, other in zip(
            build(graph, tmp_path / "b").run(given).values(), wanted, strict=True
        ):
            np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("op", list(GATES))
def test_lengths_of_both_directions(tmp_path: Path, op: str, layout: int) -> None:
    """Each sequence cut to its length alone gives its part of the whole; the rest is 0."""
    arrays = numbers(op, 2, layout, True)
    lengths = np.array([4, 1, 3], np.int32)
    graph = load_graph(
        saved(model(op, "bidirectional", layout, {**arrays, "lengths": lengths}, True), tmp_path)
    ).graph
    given = {v.name: {**arrays, "lengths": lengths}[v.name] for v in graph.inputs}
    made = list(evaluate(graph, given).values())
    for i, length in enumerate(lengths):
        row = (slice(i, i + 1), slice(0, length)) if layout else (slice(0, length), slice(i, i + 1))
        one: dict[str, Any] = {**arrays, "x": arrays["x"][row]}
        for name in {"h", "c"} & one.keys():
            one[name] = one[name][i : i + 1] if layout else one[name][:, i : i + 1]
        alone = reference.ReferenceEvaluator(model(op, "bidirectional", layout, one, True)).run(
            None, {k: v for k, v in one.items() if k in ("x", "h", "c")}
        )
        y = made[0][i] if layout else made[0][:, :, i]
        np.testing.assert_allclose(y[:length], alone[0][0] if layout else alone[0][:, :, 0],
                                   rtol=1e-4, atol=1e-5)  # fmt: skip
        assert not y[length:].any()
        for own, other in zip(made[1:], alone[1:], strict=True):
            last, wanted = (own[i], other[0]) if layout else (own[:, i], other[:, 0])
            np.testing.assert_allclose(last, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["w", "b", "h", "c", "p"])
def test_inputs_that_do_not_fit_the_directions_are_refused(tmp_path: Path, name: str) -> None:
    arrays = numbers("LSTM", 2, 1, True)
    axis = 1 if name in ("h", "c") else 0
    arrays[name] = np.take(arrays[name], [0], axis=axis)
    with pytest.raises(FanlightError, match="E-FORMAT-012") as caught:
        load_graph(saved(model("LSTM", "bidirectional", 1, arrays, False), tmp_path))
    assert "directions" in str(caught.value)
