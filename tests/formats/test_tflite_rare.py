"""TFLite operators that run both ways, diagonals, and the boxes of detectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.build import build
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.formats.tflite.flexbuffer import read_map
from fanlight.graph import evaluate
from tests.formats import litert
from tests.formats.test_tflite_ops import compare, sequence, single, state
from tests.formats.tflite_writer import Graph, Op, Tensor, constant, write

flexbuffers = pytest.importorskip("flatbuffers.flexbuffers", reason="it writes custom options")
RNG = np.random.default_rng(5)
i32 = np.int32
F = Tensor


def weights(*shape: int) -> Tensor:
    return constant(RNG.normal(size=shape).astype(np.float32))


def lstm(n: int, cells: int) -> list[Tensor | None]:
    made = [weights(cells, n) for _ in range(4)] + [weights(cells, cells) for _ in range(4)]
    return [*made, None, None, None, *(weights(cells) for _ in range(4)), None, None]


def two_results(graph: Graph, out: Tensor) -> Graph:
    """The same operator, whose two ways stay apart."""
    graph.tensors.append(out)
    graph.outputs.append(len(graph.tensors) - 1)
    graph.ops[0].outputs.append(len(graph.tensors) - 1)
    return graph


def two_lstms(parts: list[Tensor | None], batch: int, major: bool, merged: bool) -> Graph:
    def sized(size: int) -> Tensor:
        return F((5, batch, size) if major else (batch, 5, size))

    states = [state(batch, 4) for _ in range(4)]
    graph = sequence("BIDIRECTIONAL_SEQUENCE_LSTM", [sized(3), *parts, *states, *[None] * 9],
                     sized(8 if merged else 4), 69, activation=4, time_major=major,
                     merge_outputs=merged)  # fmt: skip
    return graph if merged else two_results(graph, sized(4))


@pytest.mark.parametrize("major", [False, True])
@pytest.mark.parametrize("merged", [False, True])
def test_lstms_both_ways(tmp_path: Path, major: bool, merged: bool) -> None:
    # LiteRT 2.3 gives other numbers from run to run for a batch of 2 that is the first dim.
    parts = [*lstm(3, 4), *lstm(3, 4)]
    compare(tmp_path, two_lstms(parts, 2 if major else 1, major, merged))


def test_batches_first_or_time_first(tmp_path: Path) -> None:
    """Batches, which LiteRT is not asked for: laid out either way they give the same."""
    parts = [*lstm(3, 4), *lstm(3, 4)]
    x = RNG.normal(size=(2, 5, 3)).astype(np.float32)
    results = []
    for major in (False, True):
        (tmp_path / "m.tflite").write_bytes(write(two_lstms(parts, 2, major, True)))
        graph = load_graph(tmp_path / "m.tflite").graph
        given_ = np.ascontiguousarray(x.swapaxes(0, 1)) if major else x
        (y,) = evaluate(graph, {graph.inputs[0].name: given_}).values()
        results.append(y.swapaxes(0, 1) if major else y)
    assert results[0].shape == (2, 5, 8) and np.ptp(results[0]) > 0.01
    np.testing.assert_allclose(results[0], results[1], atol=1e-6)


@pytest.mark.parametrize("major", [False, True])
@pytest.mark.parametrize("merged", [False, True])
def test_rnns_both_ways(tmp_path: Path, major: bool, merged: bool) -> None:
    def sized(size: int) -> Tensor:
        return F((5, 2, size) if major else (2, 5, size))

    out = sized(8 if merged else 4)
    one = [weights(4, 3), weights(4, 4), weights(4), state(2, 4)]
    two = [weights(4, 3), weights(4, 4), weights(4), state(2, 4)]
    graph = sequence("BIDIRECTIONAL_SEQUENCE_RNN", [sized(3), *one, *two, None, None, None], out,
                     70, activation=4, time_major=major, merge_outputs=merged)  # fmt: skip
    compare(tmp_path, graph if merged else two_results(graph, sized(4)))


def test_backwards_is_forwards_of_what_is_turned(tmp_path: Path) -> None:
    """Without LiteRT: the second result, on a sequence that is turned around, is the first."""
    w, r, b = weights(4, 3), weights(4, 4), weights(4)
    inputs = [F((2, 5, 3)), w, r, b, state(2, 4), w, r, b, state(2, 4), None, None, None]
    graph = sequence("BIDIRECTIONAL_SEQUENCE_RNN", inputs, F((2, 5, 4)), 70, activation=4)
    (tmp_path / "m.tflite").write_bytes(write(two_results(graph, F((2, 5, 4)))))
    read = load_graph(tmp_path / "m.tflite").graph
    x = RNG.normal(size=(2, 5, 3)).astype(np.float32)
    name = read.inputs[0].name
    forwards, backwards = evaluate(read, {name: x}).values()
    turned, _ = evaluate(read, {name: np.ascontiguousarray(x[:, ::-1])}).values()
    np.testing.assert_allclose(backwards[:, ::-1], turned, atol=1e-5)
    assert not np.allclose(forwards, backwards)


CASES: dict[str, Graph] = {
    "reverse sequence": single("REVERSE_SEQUENCE", [F((2, 5, 3)), constant(i32([2, 4]))],
                               [F((2, 5, 3))], 87, seq_dim=1, batch_dim=0),
    "diagonal": single("MATRIX_DIAG", [F((2, 3))], [F((2, 3, 3))]),
    "other diagonal": single("MATRIX_SET_DIAG", [F((2, 3, 4)), F((2, 3))], [F((2, 3, 4))]),
    "high diagonal": single("MATRIX_SET_DIAG", [F((2, 4, 3)), F((2, 3))], [F((2, 4, 3))]),
}  # fmt: skip
WANTED: dict[str, Any] = {
    "reverse sequence": lambda x: np.stack(
        [np.concatenate([r[:n][::-1], r[n:]]) for r, n in zip(x, (2, 4), strict=True)]
    ),
    "diagonal": lambda x: np.stack([np.diag(r) for r in x]),
}


@pytest.mark.parametrize("name", CASES)
def test_places(tmp_path: Path, name: str) -> None:
    compare(tmp_path, CASES[name])


@pytest.mark.parametrize("name", WANTED)
def test_places_by_numpy(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.tflite").write_bytes(write(CASES[name]))
    graph = load_graph(tmp_path / "m.tflite").graph
    x = RNG.normal(size=graph.inputs[0].shape).astype(np.float32)
    (made,) = evaluate(graph, {graph.inputs[0].name: x}).values()
    np.testing.assert_array_equal(made, WANTED[name](x))


# --- detectors ------------------------------------------------------------------------------------

OPTIONS = {"max_detections": 6, "max_classes_per_detection": 1, "num_classes": 4,
           "nms_score_threshold": 0.2, "nms_iou_threshold": 0.5, "y_scale": 10.0, "x_scale": 10.0,
           "h_scale": 5.0, "w_scale": 5.0, "use_regular_nms": False}  # fmt: skip


def flexed(options: dict[str, Any]) -> bytes:
    builder = flexbuffers.Builder()
    builder.MapFromElements(options)
    return bytes(builder.Finish())


def detector(options: dict[str, Any], count: int = 12, classes: int = 5) -> Graph:
    centre = RNG.uniform(0.2, 0.8, size=(count, 2))
    anchors = np.concatenate([centre, RNG.uniform(0.2, 0.5, size=(count, 2))], 1)
    places = options["max_detections"] * options["max_classes_per_detection"]
    tensors = [F((1, count, 4)), F((1, count, classes)), constant(anchors.astype(np.float32)),
               F((1, places, 4)), F((1, places)), F((1, places)), F((1,))]  # fmt: skip
    op = Op("CUSTOM TFLite_Detection_PostProcess", [0, 1, 2], [3, 4, 5, 6], custom=flexed(options))
    return Graph(tensors, [0, 1], [3, 4, 5, 6], [op])


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize(
    "more", [{}, {"max_classes_per_detection": 2}, {"use_regular_nms": True},
             {"use_regular_nms": True, "detections_per_class": 2}, {"max_detections": 40}]
)  # fmt: skip
def test_detector_against_litert(tmp_path: Path, more: dict[str, Any], background: bool) -> None:
    data = write(detector({**OPTIONS, **more}, classes=5 if background else 4))
    (tmp_path / "m.tflite").write_bytes(data)
    source = load_graph(tmp_path / "m.tflite")
    interpreter = litert.interpreter(data, kernels="optimised")
    kept = set()
    for _ in range(4):
        given_: dict[str, np.ndarray] = {}
        details = {d["name"]: d for d in interpreter.get_input_details()}
        for port in source.inputs:
            detail = details[port.source]
            array = RNG.normal(size=detail["shape"]).astype(np.float32)
            array = array if array.shape[-1] == 4 and port is source.inputs[0] else abs(array) / 3
            interpreter.set_tensor(detail["index"], array)
            given_[port.name] = array
        interpreter.invoke()
        wanted = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
        found = [*evaluate(source.graph, given_).values()]
        count = int(wanted[3][0])
        kept.add(count)
        assert [f.shape for f in found] == [w.shape for w in wanted] and found[3][0] == count
        each = {**OPTIONS, **more}["max_classes_per_detection"]
        places = count * (1 if more.get("use_regular_nms") else each)
        for own, other in zip(found[:3], wanted[:3], strict=True):
            np.testing.assert_allclose(own[:, :places], other[:, :places], rtol=1e-4, atol=1e-5)
            assert not own[:, places:].any()
    assert max(kept) > 2


@pytest.mark.parametrize("regular", [False, True])
def test_detector_finds_what_is_there(tmp_path: Path, regular: bool) -> None:
    """Two boxes apart, one of them twice: no LiteRT needed. What is built says the same."""
    options = {**OPTIONS, "max_detections": 3, "use_regular_nms": regular}
    anchors = [[0.3, 0.3, 0.2, 0.2], [0.31, 0.3, 0.2, 0.2], [0.8, 0.7, 0.1, 0.3]]
    graph = detector(options, count=3)
    graph.tensors[2] = constant(np.array(anchors, np.float32))
    (tmp_path / "m.tflite").write_bytes(write(graph))
    read = load_graph(tmp_path / "m.tflite").graph
    scores = np.zeros((1, 3, 5), np.float32)
    scores[0, :, 0] = 1.0  # the background, which does not count
    scores[0, 0, 3], scores[0, 1, 3], scores[0, 2, 1] = 0.9, 0.8, 0.5
    names = [v.name for v in read.inputs]
    inputs = dict(zip(names, (np.zeros((1, 3, 4), np.float32), scores), strict=True))
    built = build(read, tmp_path / "bundle").run(inputs)
    for found in (evaluate(read, inputs), built):
        boxes, classes, values, count = found.values()
        assert count == [2]
        np.testing.assert_allclose(
            boxes[0], [[0.2, 0.2, 0.4, 0.4], [0.75, 0.55, 0.85, 0.85], [0] * 4], atol=1e-6
        )
        np.testing.assert_allclose(classes[0], [2, 0, 0])
        np.testing.assert_allclose(values[0], [0.9, 0.5, 0], atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [{"max_detections": 1 << 30}, {"max_detections": 0}, {"num_classes": 9}, {"y_scale": 0.0},
     {"h_scale": float("nan")}, {"nms_iou_threshold": 0.0}, {"nms_iou_threshold": 1.5},
     {"max_classes_per_detection": -1}, {"detections_per_class": 1 << 20}],
)  # fmt: skip
def test_options_that_make_no_sense(tmp_path: Path, wrong: dict[str, Any]) -> None:
    graph = detector(OPTIONS)
    graph.ops[0].custom = flexed({**OPTIONS, **wrong})
    (tmp_path / "m.tflite").write_bytes(write(graph))
    with pytest.raises(FanlightError, match="E-FORMAT-01") as caught:
        load_graph(tmp_path / "m.tflite")
    assert "TFLite_Detection_PostProcess" in str(caught.value)


def test_maps_are_read_as_they_were_written() -> None:
    options = {"a": 1, "b": -70000, "long_name": 2.5, "c": 1e-300, "yes": True, "no": False,
               "text": "left out", "list": [1, 2], "big": 1 << 40}  # fmt: skip
    found = read_map(flexed(options), "here")
    assert found == {k: v for k, v in options.items() if k not in ("text", "list")}
    assert read_map(flexed({}), "here") == {}


@pytest.mark.parametrize("raw", [b"", b"\0", b"\1\2\3", flexed(OPTIONS)[5:], b"\0" * (1 << 17)])
def test_what_is_no_map(raw: bytes) -> None:
    with pytest.raises(FanlightError, match="E-FORMAT-005"):
        read_map(raw, "here")


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 1 << 16), byte=st.integers(0, 255), cut=st.integers(0, 40))
def test_damaged_maps_are_refused_or_read(at: int, byte: int, cut: int) -> None:
    raw = bytearray(flexed(OPTIONS))
    raw[at % len(raw)] = byte
    try:
        found = read_map(bytes(raw[cut if cut < 20 else 0 :]), "here")
    except FanlightError as error:
        assert error.code == "E-FORMAT-005"
    else:
        assert len(found) <= 256 and all(isinstance(v, int | float) for v in found.values())
