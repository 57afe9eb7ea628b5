"""Weights as the original converter of TF.js writes them: the same bytes, the same manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.errors import FanlightError
from fanlight.formats.manifest import dequantize, parse_manifest, read_weights
from fanlight.formats.shards import ShardWriter, quantization, write_weights
from tests.support import SHARED

# How the SHA-256 of manifest and shards begins that the original converter (4.22.0) made of these.
GOLDEN = {
    "x_conv_bn/sm_graph_f16": "b76cb4ffb1bfe44dceb83069",
    "x_conv_bn/sm_graph_u8": "656dae81e91f72e039e68a5e",
    "x_conv_bn/sm_graph_u16": "a33df90f19a3145c2be4e0b6",
    "x_conv_bn/h5_layers_f16": "0c9dae4a02a04cee5c79b02e",
    "x_conv_bn/h5_layers_u8": "041e1dc837d526fbdd7553df",
    "x_conv_bn__keras2/sm_graph_f16": "231ea5f922fa2e53e4de7b1e",
    "x_conv_bn__keras2/sm_graph_u8": "cc28a05f1e9f353222ba8f0f",
    "x_conv_bn__keras2/sm_graph_u16": "fee3c2164816324e5387e519",
    "x_conv_bn__keras2/h5_layers_f16": "67d48297117ac811dd150fd4",
    "x_conv_bn__keras2/h5_layers_u8": "04bc96a49f5acd767a2c99d3",
    "mobilenet_v1_025_128_classic__keras2/sm_graph_f16": "771151be9ff4363f4df0dc4b",
    "mobilenet_v1_025_128_classic__keras2/sm_graph_u8": "3cb8f69f873170bdcca12e1b",
    "mobilenet_v1_025_128_classic__keras2/h5_layers_f16": "f5de3f441762581bfc50f19e",
    "mobilenet_v1_025_128_classic__keras2/h5_layers_u8": "c5d63f50e2f4a015e39c05aa",
    "rnn__keras2/sm_graph_f16": "b2022bd1651be190853e4783",
    "rnn__keras2/sm_graph_u8": "dca15d4f8afc3f10eae23756",
    "rnn__keras2/sm_graph_u16": "ac31d280d7390894e765b1b4",
    "rnn__keras2/h5_layers_f16": "2e16a36dd9a8f2d0c27ad14d",
    "rnn__keras2/h5_layers_u8": "d704d4aa3ebbed96695e5cd4",
    "x_layernorm__keras2/sm_graph_f16": "8c609f95b012066cf5412d4a",
    "x_layernorm__keras2/h5_layers_f16": "a695340b6e75031b4a179315",
    "x_layernorm__keras2/h5_layers_u8": "2fdab2a4d6919913d36389b2",
    "attention/h5_layers_f16": "4fd20eb33086eadb7305907b",
    "attention/h5_layers_u8": "0a74835314d62fdb83f89755",
}
KINDS = {"f16": "float16", "u8": "uint8", "u16": "uint16"}


def whole(folder: Path, manifest: Any) -> str:
    data = b"".join((folder / p).read_bytes() for g in manifest for p in g["paths"])
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode() + data).hexdigest()[:24]


def stored(folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Names in the order of the files, and the arrays."""
    manifest = json.loads((folder / "model.json").read_bytes())["weightsManifest"]
    names = [w["name"] for g in manifest for w in g["weights"]]
    return names, read_weights(parse_manifest(manifest, folder), folder)


@pytest.mark.parametrize("route", GOLDEN)
def test_the_bytes_are_those_of_the_original_converter(route: str, tmp_path: Path) -> None:
    model, _, kind = route.rpartition("_")
    model, _, form = model.rpartition("/")
    source = SHARED / "fixtures" / model / "tfjs"
    if not source.is_dir():
        pytest.skip(f"{source} is missing")
    _, arrays = stored(source / form)
    names, _ = stored(source / f"{form}_{kind}")
    manifest = write_weights(tmp_path, [(n, arrays[n]) for n in names], quantize=KINDS[kind])
    assert whole(tmp_path, manifest) == GOLDEN[route]


def test_weights_go_over_the_ends_of_shards(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    weights = [(f"w{i}", rng.normal(size=n).astype("float32")) for i, n in enumerate((5, 0, 7, 1))]
    weights.append(("n", np.arange(6, dtype="int64").reshape(2, 3)))
    weights.append(("flag", np.array([True, False, True])))
    (group,) = write_weights(tmp_path, weights, shard_bytes=10)
    count = -(-(13 * 4 + 6 * 4 + 3) // 10)
    assert group["paths"] == [f"group1-shard{i + 1}of{count}.bin" for i in range(count)]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(group["paths"])
    assert {(tmp_path / p).stat().st_size for p in group["paths"][:-1]} == {10}
    read = read_weights(parse_manifest([group], tmp_path), tmp_path)
    for name, array in weights:
        assert np.array_equal(read[name], array), name


def test_names_choose_what_is_quantised(tmp_path: Path) -> None:
    x = np.linspace(-1, 2, 12, dtype="float32")
    weights = [("conv/kernel", x), ("dense/kernel", x), ("dense/bias", x), ("steps", np.arange(3))]
    (group,) = write_weights(tmp_path, weights, quantize=["uint8=conv*", "float16=*/bias"])
    kinds = [w.get("quantization", {}).get("dtype") for w in group["weights"]]
    assert kinds == ["uint8", None, "float16", None]
    rest = quantization({"uint16": True, "uint8": ["dense/*"]})
    assert [rest.of(n) for n, _ in weights[:3]] == ["uint16", "uint8", "uint8"]


@pytest.mark.parametrize(
    "asked",
    ["int8", "uint8=", "uint8=a,,b", 8, ["uint8", "float16"], {"uint8": 3}, {"uint8": [1]}, [None]],
)
def test_what_is_no_quantisation_is_refused(asked: Any) -> None:
    with pytest.raises(FanlightError, match="E-FORMAT-041"):
        quantization(asked)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    both = ShardWriter(tmp_path, quantize=["uint8=a*", "uint16=*b"])
    with pytest.raises(FanlightError, match="E-FORMAT-041"):
        both.write("ab", np.ones(2, "float32"))
    with pytest.raises(FanlightError, match="E-FORMAT-009"):
        both.write("a", np.array([1, np.nan], "float32"))
    with pytest.raises(FanlightError, match="E-FORMAT-008"):
        both.write("c", np.ones(2, "complex64"))
    with pytest.raises(FanlightError, match="E-FORMAT-041"):
        ShardWriter(tmp_path, shard_bytes=0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=1, max_size=40),
    st.sampled_from(["uint8", "uint16"]),
)
def test_quantised_weights_are_within_a_step(numbers: list[float], kind: str) -> None:
    import tempfile

    x = np.array(numbers, "float32")
    with tempfile.TemporaryDirectory() as folder:
        (group,) = write_weights(Path(folder), [("w", x)], quantize=kind)
        raw = np.frombuffer((Path(folder) / group["paths"][0]).read_bytes(), kind)
    told = group["weights"][0]["quantization"]
    back = dequantize(raw, told["min"], told["scale"], "float32")
    # The range moves by up to half a step, so that 0 is one; its ends then are cut.
    room = told["scale"] if x.min() != x.max() else 0.0
    assert np.all(np.abs(back - x) <= room * (1 + 1e-6) + np.abs(x) * 2.0**-23)
    if x.min() <= 0 <= x.max():
        assert np.all(back[x == 0] == 0)


@pytest.mark.parametrize(
    ("array", "bytes_"),
    [
        (np.arange(-128, 128, dtype=np.float32).reshape(16, 16), True),
        (np.arange(1000, 1256, dtype=np.float32), True),
        (np.arange(-128, 129, dtype=np.float32), False),
        (np.arange(256, dtype=np.float32) + np.float32(0.5), False),
        (np.append(np.arange(200, dtype=np.float32), np.float32(np.nan)), False),
        (np.append(np.arange(200, dtype=np.float32), np.float32(np.inf)), False),
        (np.float32(2**30) + 64 * np.arange(200, dtype=np.float32), False),
        (np.arange(8, dtype=np.float32), False),
        (np.zeros(400, np.float32), False),
    ],
)
def test_bytes_are_written_as_bytes(tmp_path: Path, array: np.ndarray, bytes_: bool) -> None:
    """Where they were bytes before: exactly, at a quarter of the size."""
    with ShardWriter(tmp_path) as writer:
        writer.write("w", array, bytewise=True)
        group = writer.finish()
    (entry,) = group["weights"]
    assert ("quantization" in entry) == bytes_
    size = sum((tmp_path / n).stat().st_size for n in group["paths"])
    assert size == array.size * (1 if bytes_ else 4)
    if bytes_:
        raw = np.frombuffer(b"".join((tmp_path / n).read_bytes() for n in group["paths"]), np.uint8)
        told = entry["quantization"]
        assert told["dtype"] == "uint8" and entry["dtype"] == "float32"
        again = raw * np.float32(told["scale"]) + np.float32(told["min"])
        np.testing.assert_array_equal(again.reshape(array.shape), array)
    (tmp_path / "plain").mkdir()
    with ShardWriter(tmp_path / "plain") as writer:
        writer.write("w", array)
        assert "quantization" not in writer.finish()["weights"][0]
