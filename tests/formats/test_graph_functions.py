"""Ops of graph-models that are functions of tensors here: recorded results, and NumPy."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.graph import evaluate, verify
from tests.formats import crafted
from tests.formats.crafted import ints, node, text, write_tfjs
from tools import conformance

Arrays = dict[str, np.ndarray]
RNG = np.random.default_rng(3)


def answers(
    folder: Path, op: str, fed: Arrays, count: int, known: Mapping[str, Any] = {}, **attrs: Any
) -> list[np.ndarray]:
    """The outputs of one node, whose inputs are `fed` or `known`, in the order of the names."""
    types = {"float32": "DT_FLOAT", "int32": "DT_INT32", "bool": "DT_BOOL"}
    fed = {f"fed{i}_{n}": a for i, (n, a) in enumerate(fed.items())}
    arrays = {n: np.asarray(a) for n, a in known.items()}
    order = sorted([*fed, *arrays], key=lambda n: n.rsplit("_", 1)[-1])
    nodes = [node(op, "y", *order, **attrs)]
    nodes += [crafted.placeholder(n, *a.shape, dtype=types[str(a.dtype)]) for n, a in fed.items()]
    described = {
        "inputs": {n: {"name": f"{n}:0"} for n in fed},
        "outputs": {f"y{i}": {"name": f"y:{i}"} for i in range(count)},
    }
    topology, stored = crafted.graph_of(nodes, arrays)
    path = write_tfjs(folder, topology, stored, signature=described)
    source = load_graph(path)
    verify(source.graph)
    found = evaluate(source.graph, fed)
    return [found[f"y{i}"] for i in range(count)]


# --- recorded by TensorFlow.js --------------------------------------------------------------------


def flag(value: Any) -> Any:
    return {"b": bool(value)}


def real(value: Any) -> Any:
    return {"f": value}


def pads(a: Mapping[str, Any]) -> Any:
    return text(a["pad"].upper())


def steps(value: Any, count: int) -> Any:
    inner = value if isinstance(value, list) else [value] * count
    return ints(1, *inner, 1)


def i32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def _scan(a: Any) -> Any:
    return {"1": np.int32(a["axis"])}, {
        "exclusive": flag(a["exclusive"]),
        "reverse": flag(a["reverse"]),
    }


def _windows(a: Any) -> Any:
    return {}, {
        "ksize": steps(a["filterSize"], 3),
        "strides": steps(a["strides"], 3),
        "padding": pads(a),
    }


def _plain(a: Any) -> Any:
    return {}, {}


# Kernel -> the node, and what it has as constants and attributes in the place of a kernel's.
KERNELS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Cumsum": ("Cumsum", _scan),
    "Cumprod": ("Cumprod", _scan),
    "GatherNd": ("GatherNd", _plain),
    "TensorScatterUpdate": ("TensorScatterUpdate", _plain),
    "ScatterNd": ("ScatterNd", lambda a: ({"2": i32(*a["shape"])}, {})),
    "Einsum": ("Einsum", lambda a: ({}, {"equation": text(a["equation"])})),
    "UnsortedSegmentSum": ("UnsortedSegmentSum", lambda a: ({"2": np.int32(a["numSegments"])}, {})),
    "AvgPool3D": ("AvgPool3D", _windows),
    "MaxPool3D": ("MaxPool3D", _windows),
    "Conv3D": (
        "Conv3D",
        lambda a: (
            {},
            {
                "strides": steps(a["strides"], 3),
                "padding": pads(a),
                "dilations": steps(a["dilations"], 3),
            },
        ),
    ),
    "Dilation2D": (
        "Dilation2D",
        lambda a: (
            {},
            {
                "strides": steps(a["strides"], 2),
                "padding": pads(a),
                "rates": steps(a["dilations"], 2),
            },
        ),
    ),
    "MaxPoolWithArgmax": (
        "MaxPoolWithArgmax",
        lambda a: (
            {},
            {
                "ksize": steps(a["filterSize"], 2),
                "strides": steps(a["strides"], 2),
                "padding": pads(a),
                "include_batch_in_index": flag(a["includeBatchInIndex"]),
            },
        ),
    ),
    "CropAndResize": (
        "CropAndResize",
        lambda a: (
            {"3": i32(*a["cropSize"])},
            {
                "method": text(a["method"]),
                "extrapolation_value": real(a["extrapolationValue"]),
            },
        ),
    ),
    "Transform": (
        "ImageProjectiveTransformV3",
        lambda a: (
            {"2": i32(*(a.get("outputShape") or a["size"])), "3": np.float32(a["fillValue"])},
            {
                "interpolation": text(a["interpolation"].upper()),
                "fill_mode": text(a["fillMode"].upper()),
            },
        ),
    ),
    "NonMaxSuppressionV4": (
        "NonMaxSuppressionV4",
        lambda a: (
            {
                "2": np.int32(a["maxOutputSize"]),
                "3": np.float32(a["iouThreshold"]),
                "4": np.float32(a["scoreThreshold"]),
            },
            {"pad_to_max_output_size": flag(True)},
        ),
    ),
}


def fits(case: Any) -> bool:
    """Whether a graph-model could hold the call."""
    a, inputs = case["a"], case["i"]
    if any(not isinstance(t, dict) or "v" not in t for t in inputs.values()):
        return False
    return (
        isinstance(a.get("pad", "same"), str)
        and a.get("padToMaxOutputSize", True)
        and all(0 not in t["s"] for t in inputs.values())
        # TensorFlow.js passes over NaN there, and nowhere else.
        and not (case["k"] == "MaxPool3D" and "NaN" in inputs["x"]["v"])
        and not any("string" in t["d"] for t in inputs.values())
    )


@pytest.fixture(scope="module")
def recorded(shared: Path) -> dict[str, list[Any]]:
    path = shared / "conformance" / "tfjs_core_kernels.jsonl.gz"
    found: dict[str, list[Any]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            if case["k"] in KERNELS and fits(case):
                found.setdefault(case["k"], []).append(case)
    return found


@pytest.mark.parametrize("kernel", KERNELS)
def test_recorded_results(tmp_path: Path, recorded: Any, kernel: str) -> None:
    op, adapt = KERNELS[kernel]
    cases = recorded[kernel]
    assert cases, kernel
    for index, case in enumerate(cases):  # a folder of its own for each
        size = next(iter(case["i"].values()))["s"][1:3]
        known, attrs = adapt({"size": size, **case["a"]})
        fed = {str(i): conformance._array(t) for i, t in enumerate(case["i"].values())}
        if kernel == "ScatterNd" and fed["0"].ndim == 1:  # a short form that nodes do not have
            fed["0"] = fed["0"][:, None]
        wanted = case["o"] if isinstance(case["o"], list) else [case["o"]]
        found = answers(tmp_path / str(index), op, fed, len(wanted), known, **attrs)
        for got, want in zip(found, wanted, strict=True):
            assert conformance.compare(got, conformance._array(want)) == "", case["a"]


# --- NumPy ----------------------------------------------------------------------------------------

A = RNG.normal(size=(4, 5)).astype(np.float32)
SQUARE = (A @ A.T + 2 * np.eye(4)).astype(np.float32)
SIDES = RNG.normal(size=(4, 2)).astype(np.float32)
WHOLE, OTHER = i32(5, -7, 12, 2**30), i32(3, 2, 4, 1)
IDS = i32(1, 0, 1, 3)
LOGITS = np.float32([[0.1, 0.9, 0.3], [0.5, 0.2, 0.4]])

# op -> (fed, known, attributes, what NumPy says)
NUMPY: dict[str, tuple[Arrays, Mapping[str, Any], Mapping[str, Any], list[Any]]] = {
    "BitwiseAnd": ({"0": WHOLE, "1": OTHER}, {}, {}, [WHOLE & OTHER]),
    "BitwiseOr": ({"0": WHOLE, "1": OTHER}, {}, {}, [WHOLE | OTHER]),
    "BitwiseXor": ({"0": WHOLE, "1": OTHER}, {}, {}, [WHOLE ^ OTHER]),
    "Invert": ({"0": WHOLE}, {}, {}, [~WHOLE]),
    "LeftShift": ({"0": WHOLE, "1": OTHER}, {}, {}, [WHOLE << OTHER]),
    "RightShift": ({"0": WHOLE, "1": OTHER}, {}, {}, [WHOLE >> OTHER]),
    "Roll": ({"0": A}, {"1": i32(1, -2), "2": i32(0, 1)}, {}, [np.roll(A, (1, -2), (0, 1))]),
    "LowerBound": (
        {"0": np.sort(A, axis=1), "1": A[:, :3]},
        {},
        {},
        [np.stack([np.searchsorted(np.sort(r), r[:3]) for r in A])],
    ),
    "UpperBound": (
        {"0": np.sort(A, axis=1), "1": A[:, :3]},
        {},
        {},
        [np.stack([np.searchsorted(np.sort(r), r[:3], "right") for r in A])],
    ),
    "InTopKV2": ({"0": LOGITS, "1": i32(2, 1)}, {"2": np.int32(2)}, {}, [[True, False]]),
    "TensorScatterAdd": (
        {"0": A, "1": i32(1, 1)[:, None], "2": A[:2]},
        {},
        {},
        [A + np.float32([0, 1, 0, 0])[:, None] * (A[0] + A[1])],
    ),
    "TensorScatterSub": (
        {"0": A, "1": i32(3)[:, None], "2": A[:1]},
        {},
        {},
        [A - np.float32([0, 0, 0, 1])[:, None] * A[0]],
    ),
    "TensorScatterMax": (
        {"0": A, "1": i32(0, 2)[:, None], "2": A[1:3]},
        {},
        {},
        [np.stack([np.maximum(A[0], A[1]), A[1], A[2], A[3]])],
    ),
    "TensorScatterMin": (
        {"0": A, "1": i32(0, 2)[:, None], "2": A[1:3]},
        {},
        {},
        [np.stack([np.minimum(A[0], A[1]), A[1], A[2], A[3]])],
    ),
    "Bincount": ({"0": IDS}, {"1": np.int32(5), "2": np.zeros(0, np.int32)}, {}, [[1, 2, 0, 1, 0]]),
    "DenseBincount": (
        {"0": IDS.reshape(2, 2), "2": np.float32([[1, 2], [4, 8]])},
        {"1": np.int32(4)},
        {"binary_output": flag(False)},
        [[[2, 1, 0, 0], [0, 4, 0, 8]]],
    ),
    "UnsortedSegmentMax": (
        {"0": A, "1": i32(0, 0, 1, 1)},
        {"2": np.int32(2)},
        {},
        [np.stack([A[:2].max(0), A[2:].max(0)])],
    ),
    "UnsortedSegmentMin": (
        {"0": A, "1": i32(0, 0, 1, 1)},
        {"2": np.int32(2)},
        {},
        [np.stack([A[:2].min(0), A[2:].min(0)])],
    ),
    "UnsortedSegmentProd": (
        {"0": A, "1": i32(0, 0, 1, 1)},
        {"2": np.int32(3)},
        {},
        [np.stack([A[:2].prod(0), A[2:].prod(0), np.ones(5)])],
    ),
    "SparseSegmentSum": (
        {"0": A, "1": i32(3, 0, 1)},
        {"2": i32(0, 0, 1)},
        {},
        [np.stack([A[3] + A[0], A[1]])],
    ),
    "SparseSegmentMean": (
        {"0": A, "1": i32(3, 0, 1)},
        {"2": i32(0, 0, 1)},
        {},
        [np.stack([(A[3] + A[0]) / 2, A[1]])],
    ),
    "Cholesky": ({"0": SQUARE}, {}, {}, [np.linalg.cholesky(SQUARE)]),
    "MatrixDeterminant": ({"0": SQUARE}, {}, {}, [np.linalg.det(SQUARE)]),
    "LogMatrixDeterminant": ({"0": SQUARE}, {}, {}, [*np.linalg.slogdet(SQUARE)]),
    "MatrixInverse": (
        {"0": SQUARE + np.triu(SQUARE)},
        {},
        {"adjoint": flag(True)},
        [np.linalg.inv((SQUARE + np.triu(SQUARE)).T)],
    ),
    "MatrixSolve": ({"0": SQUARE, "1": SIDES}, {}, {}, [np.linalg.solve(SQUARE, SIDES)]),
    "MatrixTriangularSolve": (
        {"0": SQUARE, "1": SIDES},
        {},
        {"lower": flag(False), "adjoint": flag(True)},
        [np.linalg.solve(np.triu(SQUARE).T, SIDES)],
    ),
    "Qr": ({"0": A.T.copy()}, {}, {}, [*np.linalg.qr(A.T)]),
    "MatrixBandPart": (
        {"0": A},
        {"1": np.int32(1), "2": np.int32(-1)},
        {},
        [np.triu(A, -1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("op", NUMPY)
def test_against_numpy(tmp_path: Path, op: str) -> None:
    fed, known, attrs, wanted = NUMPY[op]
    found = answers(tmp_path, op, fed, len(wanted), known, **attrs)
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_decompositions_put_matrices_together_again(tmp_path: Path) -> None:
    s, u, v = answers(tmp_path / "svd", "Svd", {"0": A}, 3)
    np.testing.assert_allclose(u * s @ v.T, A, atol=1e-5)
    (alone,) = answers(tmp_path / "s", "Svd", {"0": A}, 1, compute_uv=flag(False))
    np.testing.assert_allclose(alone, s, atol=1e-5)
    w, vectors = answers(tmp_path / "eigh", "SelfAdjointEigV2", {"0": SQUARE}, 2)
    np.testing.assert_allclose(SQUARE @ vectors, vectors * w, atol=1e-4)


def test_what_is_known_at_import_is_computed_there(tmp_path: Path) -> None:
    """A node of constants leaves no node behind."""
    arrays = {"a_0": A, "b_1": A}
    nodes = [
        node("Einsum", "e", "a_0", "b_1", equation=text("ij,kj->ik")),
        node("AddV2", "y", "x", "e"),
        crafted.placeholder("x", 4, 4),
    ]
    source = load_graph(write_tfjs(tmp_path, *crafted.graph_of(nodes, arrays)))
    assert [n.op for n in source.graph.nodes] == ["add"]
    (weight,) = source.graph.weights.values()
    np.testing.assert_allclose(weight, A @ A.T, rtol=1e-5)


REPEATED = i32(7, 3, 7, 9, 3, 1)
# op -> (constants, what comes out)
CONSTANTS: dict[str, tuple[Mapping[str, Any], list[Any]]] = {
    "Where": ({"0": np.eye(3, dtype=bool)}, [[[0, 0], [1, 1], [2, 2]]]),
    "Unique": ({"0": REPEATED}, [[7, 3, 9, 1], [0, 1, 0, 2, 1, 3]]),
    "UniqueV2": ({"0": REPEATED, "1": i32(0)}, [[7, 3, 9, 1], [0, 1, 0, 2, 1, 3]]),
    "ListDiff": ({"0": REPEATED, "1": i32(7, 1, 4)}, [[3, 9, 3], [1, 3, 4]]),
    "BroadcastArgs": ({"0": i32(2, 1, 3), "1": i32(4, 1)}, [[2, 4, 3]]),
}


@pytest.mark.parametrize("op", CONSTANTS)
def test_sizes_that_depend_on_numbers_need_constants(tmp_path: Path, op: str) -> None:
    known, wanted = CONSTANTS[op]
    found = answers(tmp_path / "known", op, {}, len(wanted), known)
    for got, want in zip(found, wanted, strict=True):
        assert got.dtype == np.int32 and got.tolist() == want
    if op != "BroadcastArgs":  # of the others, test_dynamic.py
        return
    with pytest.raises(FanlightError) as caught:
        answers(tmp_path / "fed", op, {n: np.asarray(a) for n, a in known.items()}, 1)
    assert caught.value.code == "E-FORMAT-019"


@pytest.mark.parametrize(
    ("op", "fed", "known", "attrs", "code"),
    [
        ("BroadcastArgs", {}, {"0": i32(2), "1": i32(3)}, {}, "E-FORMAT-012"),
        ("Unique", {}, {"0": A}, {}, "E-FORMAT-012"),
        ("UniqueV2", {}, {"0": REPEATED, "1": i32(1)}, {}, "E-FORMAT-012"),
        ("Einsum", {"0": A, "1": A}, {}, {"equation": text("ij,jk->ik")}, "E-OP-004"),
        ("Einsum", {"0": A}, {}, {"equation": text("??")}, "E-OP-005"),
        ("Cumsum", {"0": A}, {"1": np.int32(2)}, {}, "E-FORMAT-012"),
        ("Cumsum", {"0": A, "1": i32(0)}, {}, {}, "E-FORMAT-019"),
        ("Roll", {"0": A}, {"1": i32(1), "2": i32(5)}, {}, "E-OP-005"),
        ("UnsortedSegmentSum", {"0": A, "1": IDS}, {"2": np.int32(2**30)}, {}, "E-FORMAT-012"),
        ("SparseSegmentSum", {"0": A, "1": IDS}, {"2": i32(1, 0, 1, 1)}, {}, "E-FORMAT-012"),
        ("CropAndResize", {"0": A}, {"1": A, "2": IDS, "3": i32(2**20, 2)}, {}, "E-FORMAT-012"),
        (
            "MaxPool3D", {"0": A},
            {}, {"ksize": ints(1, 99, 99, 99, 1), "strides": ints(1, 1, 1, 1, 1)}, "E-FORMAT-012",
        ),
        ("MatrixInverse", {"0": A}, {}, {}, "E-OP-004"),
        ("GatherNd", {"0": A, "1": i32(1, 1, 1)[None]}, {}, {}, "E-OP-004"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(
    tmp_path: Path, op: str, fed: Arrays, known: Any, attrs: Any, code: str
) -> None:
    with pytest.raises(FanlightError) as caught:
        answers(tmp_path, op, fed, 1, known, **attrs)
    assert caught.value.code == code
    assert "'y'" in str(caught.value.where) and f"({op})" in str(caught.value.where)


SOUND = RNG.normal(size=(3, 16)).astype(np.float32)


def spectrum(folder: Path, *nodes: Any, outputs: tuple[str, ...], **known: Any) -> list[np.ndarray]:
    """Outputs of a graph that is fed SOUND as x."""
    arrays = {n: np.asarray(a) for n, a in known.items()}
    listed = [*nodes, crafted.placeholder("x", *SOUND.shape)]
    signature = {
        "inputs": {"x": {"name": "x:0"}},
        "outputs": {f"y{i}": {"name": name} for i, name in enumerate(outputs)},
    }
    topology, stored = crafted.graph_of(listed, arrays)
    source = load_graph(write_tfjs(folder, topology, stored, signature=signature))
    return list(evaluate(source.graph, {"x": SOUND}).values())


@pytest.mark.parametrize("length", [16, 10, 20])
def test_spectra(tmp_path: Path, length: int) -> None:
    """Rows are cut or filled up; what comes out is real again."""
    nodes = [
        node("RFFT", "z", "x", "length"),
        node("Identity", "same", "z"),
        node("ComplexAbs", "size", "same"),
        node("Real", "real", "z"),
        node("Imag", "imag", "z"),
        node("Angle", "angle", "z"),
        node("Conj", "conj", "z"),
        node("Imag", "below", "conj"),
        node("IRFFT", "back", "z", "length"),
    ]
    names = ("size", "real", "imag", "below", "back", "angle")
    *found, angle = spectrum(tmp_path, *nodes, outputs=names, length=i32(length))
    z = np.fft.rfft(SOUND, length)
    wanted = [abs(z), z.real, z.imag, -z.imag, np.fft.irfft(z, length)]
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4)
    # Half a turn to the left is half a turn to the right.
    np.testing.assert_allclose(abs(z) * np.exp(1j * angle), z, atol=1e-4)


def test_complex_numbers_go_there_and_back(tmp_path: Path) -> None:
    nodes = [
        node("Neg", "minus", "x"),
        node("Complex", "z", "x", "minus"),
        node("FFT", "there", "z"),
        node("IFFT", "back", "there"),
        node("Real", "there_real", "there"),
        node("Imag", "back_imag", "back"),
    ]
    real, imag = spectrum(tmp_path, *nodes, outputs=("there_real", "back_imag"))
    np.testing.assert_allclose(real, np.fft.fft(SOUND - 1j * SOUND).real, atol=1e-4)
    np.testing.assert_allclose(imag, -SOUND, atol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("RFFT", "y", "x", "length")], "output of the model is complex"),
        ([node("RFFT", "z", "x", "length"), node("Erf", "y", "z")], "not taken here"),
        ([node("ComplexAbs", "y", "x")], "real numbers came"),
        ([node("RFFT", "z", "x", "long"), node("Real", "y", "z")], "out of range"),
    ],
)
def test_complex_numbers_stop_where_they_must(tmp_path: Path, nodes: Any, words: str) -> None:
    with pytest.raises(FanlightError, match=words) as caught:
        spectrum(tmp_path, *nodes, outputs=("y",), length=i32(16), long=i32(2**30))
    assert caught.value.code == "E-FORMAT-012"


def test_such_a_model_builds(tmp_path: Path) -> None:
    """Crops, an einsum, a scan, what is taken by index and a pool, as WebAssembly."""
    arrays = {
        "boxes": np.float32([[0, 0, 1, 1], [0.2, 0.1, 0.7, 0.9]]),
        "which": i32(0, 0),
        "size": i32(4, 5),
        "w": RNG.normal(size=(3, 6)).astype(np.float32),
        "axis": np.int32(1),
        "at": i32(0, 1, 1, 2).reshape(2, 2),
    }
    windows = {"ksize": ints(1, 2, 2, 1), "strides": ints(1, 2, 2, 1), "padding": text("SAME")}
    nodes = [
        crafted.placeholder("x", 1, 8, 8, 3),
        node("CropAndResize", "crop", "x", "boxes", "which", "size", method=text("bilinear")),
        node("Einsum", "e", "crop", "w", equation=text("bhwc,cd->bhwd")),
        node("Cumsum", "c", "e", "axis"),
        node("GatherNd", "g", "c", "at"),
        node("MaxPoolWithArgmax", "m", "e", **windows),
    ]
    names = {"taken": "g:0", "sums": "c:0", "pooled": "m:0", "places": "m:1"}
    signature = {
        "inputs": {"x": {"name": "x:0"}},
        "outputs": {key: {"name": name} for key, name in names.items()},
    }
    path = write_tfjs(tmp_path, *crafted.graph_of(nodes, arrays), signature=signature)
    model = fl.load(path)
    x = RNG.normal(size=(1, 8, 8, 3)).astype(np.float32)
    wanted = evaluate(model.graph, {"x": x})
    with fl.build(model, tmp_path / "out") as bundle:
        found = bundle.run({"x": x})
    assert set(found) == set(names)
    for key, want in wanted.items():
        np.testing.assert_allclose(found[key], want, atol=1e-5, err_msg=key)
