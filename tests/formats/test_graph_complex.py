"""Complex numbers in graphs of TensorFlow: what comes up on the way, against NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from fanlight.graph import evaluate
from tests.formats import crafted
from tests.formats.crafted import node, write_tfjs

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4, 6)).astype(np.float32)
W = RNG.normal(size=(3, 4, 6)).astype(np.float32)
Z = X + 1j * W
COMPLEX = {"type": "DT_COMPLEX64"}


def i32(*values: int) -> np.ndarray:
    return np.asarray(values, np.int32)


def computed(folder: Path, *nodes: Any, **known: Any) -> np.ndarray:
    """The real and imaginary part, side by side, of the node "y" of z = x + i w."""
    listed = [
        crafted.placeholder("x", *X.shape),
        crafted.placeholder("w", *W.shape),
        node("Complex", "z", "x", "w"),
        *nodes,
        node("Real", "y_real", "y"),
        node("Imag", "y_imag", "y"),
    ]
    signature = {
        "inputs": {"x": {"name": "x:0"}, "w": {"name": "w:0"}},
        "outputs": {"a": {"name": "y_real"}, "b": {"name": "y_imag"}},
    }
    arrays = {n: np.asarray(a) for n, a in known.items()}
    topology, stored = crafted.graph_of(listed, arrays)
    source = load_graph(write_tfjs(folder, topology, stored, signature=signature))
    given = {v.name: X if v.name == "x" else W for v in source.graph.inputs}
    real, imag = evaluate(source.graph, given).values()
    return np.asarray(real + 1j * imag)


CASES = {
    "Mul": ([node("Conj", "c", "z"), node("Mul", "y", "z", "c")], {}, Z * Z.conj()),
    "AddV2": ([node("Cast", "r", "x", DstT=COMPLEX), node("AddV2", "y", "z", "r")], {}, Z + X),
    "Sub": ([node("Neg", "n", "z"), node("Sub", "y", "n", "z")], {}, -2 * Z),
    "RealDiv": ([node("Exp", "e", "z"), node("RealDiv", "y", "z", "e")], {}, Z / np.exp(Z)),
    "Reshape": ([node("Reshape", "y", "z", "s")], {"s": i32(12, 6)}, Z.reshape(12, 6)),
    "Transpose": ([node("Transpose", "y", "z", "p")], {"p": i32(2, 0, 1)}, Z.transpose(2, 0, 1)),
    "ConcatV2": (
        [node("Square", "q", "z"), node("ConcatV2", "y", "z", "q", "a")],
        {"a": np.int32(1)},
        np.concatenate([Z, Z * Z], 1),
    ),
    "Sum": ([node("Sum", "y", "z", "a")], {"a": i32(0, 2)}, Z.sum((0, 2))),
    "Prod": ([node("Prod", "y", "z", "a")], {"a": i32(1)}, Z.prod(1)),
    "BatchMatMulV2": (
        [node("BatchMatMulV2", "y", "z", "z", adj_y={"b": True})],
        {},
        Z @ Z.conj().swapaxes(1, 2),
    ),
    "Rsqrt": ([node("Rsqrt", "y", "z")], {}, 1 / np.sqrt(Z)),
    "FFT2D": ([node("FFT2D", "y", "z")], {}, np.fft.fft2(Z)),
    "IFFT2D": ([node("IFFT2D", "y", "z")], {}, np.fft.ifft2(Z)),
    "FFT3D": ([node("FFT3D", "y", "z")], {}, np.fft.fftn(Z)),
    "IFFT3D": ([node("IFFT3D", "y", "z")], {}, np.fft.ifftn(Z)),
    "RFFT2D": ([node("RFFT2D", "y", "x", "n")], {"n": i32(5, 7)}, np.fft.rfft2(X, (5, 7))),
    "RFFT3D": (
        [node("RFFT3D", "y", "x", "n")],
        {"n": i32(2, 4, 6)},
        np.fft.rfftn(X, (2, 4, 6), (0, 1, 2)),
    ),
    "IRFFT2D": (
        [node("IRFFT2D", "r", "z", "n"), node("Complex", "y", "r", "r")],
        {"n": i32(4, 9)},
        np.fft.irfft2(Z, (4, 9)) * (1 + 1j),
    ),
    "IRFFT3D": (
        [node("IRFFT3D", "r", "z", "n"), node("Complex", "y", "r", "r")],
        {"n": i32(3, 5, 10)},
        np.fft.irfftn(Z, (3, 5, 10), (0, 1, 2)) * (1 + 1j),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_complex(tmp_path: Path, name: str) -> None:
    nodes, known, wanted = CASES[name]
    found = computed(tmp_path, *nodes, **known)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, 1e-4, 1e-4)


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    for nodes, words in (
        ([node("Sigmoid", "y", "z")], "not taken here"),
        ([node("RFFT2D", "y", "x", "n")], "out of range"),
        ([node("Mul", "y", "z", "x")], "real numbers came"),
    ):
        with pytest.raises(FanlightError, match=words):
            computed(tmp_path, *nodes, n=i32(0, 4))
