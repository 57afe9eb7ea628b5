"""Drawn numbers, and ops that TensorFlow has and TensorFlow.js has not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.graph import evaluate
from tests.formats import crafted
from tests.formats.crafted import ints, node, text, write_tfjs
from tests.formats.test_graph_functions import answers, i32

RNG = np.random.default_rng(8)
A = RNG.normal(size=(4, 6)).astype(np.float32)
CONV = RNG.normal(size=(3, 6, 2)).astype(np.float32)


def seeded(seed: int) -> Any:
    return {"seed": {"i": str(seed)}}


@pytest.mark.parametrize("op", ["RandomStandardNormal", "RandomUniform", "TruncatedNormal"])
def test_draws_are_seeded_and_distributed(tmp_path: Path, op: str) -> None:
    def draw(name: str, seed: int) -> np.ndarray:
        known = {"0": i32(5000, 2)}
        return answers(tmp_path / name, op, {}, 1, known, **seeded(seed))[0]

    x = draw("a", 1)
    assert x.shape == (5000, 2) and x.dtype == np.float32
    np.testing.assert_array_equal(x, draw("b", 1))
    assert not np.array_equal(x, draw("c", 2))
    mean, deviation = {"RandomUniform": (0.5, 0.2887), "TruncatedNormal": (0, 0.8796)}.get(
        op, (0, 1)
    )
    assert abs(x.mean() - mean) < 0.03 and abs(x.std() - deviation) < 0.03
    if op == "TruncatedNormal":
        assert np.abs(x).max() <= 2


def test_whole_draws_and_classes(tmp_path: Path) -> None:
    known = {"0": i32(4000), "1": np.int32(-2), "2": np.int32(3)}
    (x,) = answers(tmp_path / "ints", "RandomUniformInt", {}, 1, known)
    assert x.dtype == np.int32 and set(x.tolist()) == {-2, -1, 0, 1, 2}
    shares = np.array([[0.2, 0.5, 0.3], [0.9, 0.1, 1e-9]], np.float32)
    known = {"1": np.int32(4000)}
    (x,) = answers(tmp_path / "m", "Multinomial", {"0": np.log(shares)}, 1, known)
    found = np.stack([np.bincount(row, minlength=3) / 4000 for row in x])
    np.testing.assert_allclose(found, shares, atol=0.03)


def test_a_model_that_draws_says_so(tmp_path: Path) -> None:
    nodes = [node("RandomUniform", "r", "shape"), node("AddV2", "y", "x", "r")]
    nodes.append(crafted.placeholder("x", 3))
    source = load_graph(write_tfjs(tmp_path, *crafted.graph_of(nodes, {"shape": i32(3)})))
    assert "drawn once" in source.warnings[0]


def keys(x: float) -> float:
    """Keys's filter with a = -1/2."""
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def bicubic(x: np.ndarray, size: int) -> np.ndarray:
    """The first dim of x at half pixels, without what is outside."""
    out = []
    for i in range(size):
        at = (i + 0.5) * len(x) / size - 0.5
        weights = np.array([keys(at - j) for j in range(len(x))])
        out.append(np.tensordot(weights / weights.sum(), x, 1))
    return np.array(out)


PERM = i32(2, 0, 3, 1)
X1 = RNG.normal(size=(2, 7, 6)).astype(np.float32)


def conv1d(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.stack([np.einsum("nkc,kcd->nd", x[:, i : i + 3], w) for i in (0, 2, 4)], 1)


def backwards(x: np.ndarray, lengths: Any) -> np.ndarray:
    y = x.copy()
    for row, long in enumerate(lengths):
        y[row, :long] = x[row, :long][::-1]
    return y


WITH_ZERO = np.array([[0, 1, 2, 0, -1, 3]], np.float32)
FIVE = np.array([[0, 2, 3, -4, 1, 0.5]], np.float32)
IMAGE = RNG.uniform(size=(5, 5)).astype(np.float32)
CASES: dict[str, tuple[Any, Any, Any, Any]] = {
    "Conv1D": ({"0": X1, "1": CONV}, {}, {"stride": {"i": "2"}, "padding": text("VALID")},
               conv1d(X1, CONV)),
    "Xlogy": ({"0": WITH_ZERO, "1": np.abs(FIVE)}, {}, {},
              np.where(WITH_ZERO == 0, 0, WITH_ZERO * np.log(np.abs(FIVE) + (WITH_ZERO == 0)))),
    "Xdivy": ({"0": WITH_ZERO, "1": FIVE}, {}, {},
              np.where(WITH_ZERO == 0, 0, WITH_ZERO / (FIVE + (WITH_ZERO == 0)))),
    "L2Loss": ({"0": A}, {}, {}, np.float32((A**2).sum() / 2)),
    "InvertPermutation": ({"0": PERM}, {}, {}, i32(1, 3, 0, 2)),
    "ReverseSequence": ({"0": A, "1": i32(6, 0, 3, 1)}, {}, {"seq_dim": {"i": "1"}},
                        backwards(A, (6, 0, 3, 1))),
    "SegmentSum": ({"0": A}, {"1": i32(0, 0, 2, 2)}, {},
                   np.stack([A[:2].sum(0), 0 * A[0], A[2:].sum(0)])),
    "SegmentMax": ({"0": A}, {"1": i32(0, 0, 0, 1)}, {}, np.stack([A[:3].max(0), A[3]])),
    "ResizeBicubic": ({"0": IMAGE[None, :, :, None]}, {"1": i32(8, 3)},
                      {"half_pixel_centers": {"b": True}},
                      bicubic(bicubic(IMAGE, 8).T, 3).T[None, :, :, None]),
    "Bitcast": ({}, {"0": A}, {"type": {"type": "DT_INT32"}}, A.view(np.int32)),
    "Ones": ({}, {}, {"shape": ints(2, 3)}, np.ones((2, 3))),
}  # fmt: skip


@pytest.mark.parametrize("op", CASES)
def test_against_numpy(tmp_path: Path, op: str) -> None:
    fed, known, attrs, expected = CASES[op]
    (found,) = answers(tmp_path, op, fed, 1, known, **attrs)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_transposed_convolution_of_volumes(tmp_path: Path) -> None:
    x = RNG.normal(size=(1, 2, 2, 2, 3)).astype(np.float32)
    w = RNG.normal(size=(2, 2, 2, 4, 3)).astype(np.float32)
    attrs = {"strides": ints(1, 2, 2, 2, 1), "padding": text("VALID")}
    (found,) = answers(
        tmp_path, "Conv3DBackpropInputV2", {"2": x}, 1, {"0": i32(1, 4, 4, 4, 4), "1": w}, **attrs
    )
    parts = np.einsum("nabci,dhwoi->nadbhcwo", x, w)
    np.testing.assert_allclose(found, parts.reshape(1, 4, 4, 4, 4), atol=1e-5)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for op, fed, known, attrs in (
        ("RandomUniformInt", {}, {"0": i32(4), "1": np.int32(3), "2": np.int32(3)}, {}),
        ("InvertPermutation", {}, {"0": i32(0, 0)}, {}),
        ("ReverseSequence", {"0": A, "1": i32(1, 1, 1, 1)}, {}, {"seq_dim": {"i": "7"}}),
        ("SegmentSum", {"0": A}, {"1": i32(3, 1, 0, 0)}, {}),
        ("Bitcast", {}, {"0": A}, {"type": {"type": "DT_BOOL"}}),
        ("RandomUniform", {}, {"0": i32(-1)}, {}),
    ):
        with pytest.raises(FanlightError) as caught:
            answers(tmp_path / op, op, fed, 1, known, **attrs)  # type: ignore[arg-type]
        assert caught.value.code == "E-FORMAT-012", op
    with pytest.raises(FanlightError) as caught:
        answers(tmp_path, "RandomUniform", {}, 1, {"0": i32(1 << 20, 1 << 10)})
    assert caught.value.code == "E-FORMAT-023"


def test_drawn_numbers_are_part_of_the_graph(tmp_path: Path) -> None:
    nodes = [node("Multinomial", "y", "x", "count"), crafted.placeholder("x", 2, 3)]
    path = write_tfjs(tmp_path, *crafted.graph_of(nodes, {"count": np.array(9, np.int32)}))
    graph = load_graph(path).graph
    x = np.zeros((2, 3), np.float32)
    first, again = (next(iter(evaluate(graph, {"x": x}).values())) for _ in range(2))
    np.testing.assert_array_equal(first, again)
