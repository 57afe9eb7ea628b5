"""Writing and reading bundles: atomic, verified, and nothing outside the folder."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanlight.bundle import BundleWriter, read_bundle
from fanlight.bundle.read import check_manifest
from fanlight.bundle.write import SHARD_BYTES
from fanlight.errors import FanlightError

TENSOR = {
    "name": "x",
    "dtype": "float32",
    "shape": [1, 4],
    "offset": 4096,
    "bytes": 16,
    "batched": False,
}


def manifest() -> dict[str, Any]:
    return {
        "fanlight": 1,
        "name": "toy",
        "producer": "test",
        "precision": "f32",
        "task": None,
        "inputs": [dict(TENSOR)],
        "outputs": [{**TENSOR, "name": "y", "offset": 8192}],
        "dims": {},
        "memory": {
            "pages": 1,
            "weights": {"offset": 2048, "bytes": 0},
            "arena": {"offset": 4096, "bytes": 8192},
        },
        "kernels": [{"name": "k", "op": "add", "source": "k", "flops": 1, "bytes": 1}],
    }


def write(target: Path, weights: np.ndarray | None = None) -> None:
    with BundleWriter(target) as writer:
        image = np.arange(10, dtype=np.uint8) if weights is None else weights
        whole = manifest()
        if weights is not None:
            whole["memory"]["pages"] = 1 + (4096 + weights.size) // 65536
        whole["weights"] = writer.add_weights([image], 2048, image.size)
        whole["modules"] = [writer.add_module(b"\0asm", simd="plain", threads=False)]
        writer.add("index.html", b"<p>hello")
        writer.add_manifest(whole)
        writer.commit()


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, SHARD_BYTES + 7).astype(np.uint8)
    write(tmp_path / "site", image)
    bundle = read_bundle(tmp_path / "site")
    shards = bundle.manifest["weights"]
    assert [s["bytes"] for s in shards] == [SHARD_BYTES, 7]
    assert b"".join(bundle.read(s) for s in shards) == image.tobytes()
    assert bundle.read_file("index.html") == b"<p>hello"


def test_nothing_is_left_when_a_build_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"), BundleWriter(tmp_path / "site") as writer:
        writer.add("index.html", b"x")
        raise RuntimeError("half way")
    assert list(tmp_path.iterdir()) == []


def test_an_older_bundle_is_replaced_and_other_folders_are_not(tmp_path: Path) -> None:
    write(tmp_path / "site")
    write(tmp_path / "site")
    assert [p.name for p in tmp_path.iterdir()] == ["site"]
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_bytes(b"precious")
    with pytest.raises(FanlightError) as caught:
        write(other)
    assert caught.value.code == "E-BUILD-004"
    assert (other / "cat.jpg").read_bytes() == b"precious"


@pytest.mark.parametrize("theirs", ['{"name": "a web app"}', "[1, 2]", "{"])
def test_a_folder_with_another_manifest_is_not_replaced(tmp_path: Path, theirs: str) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "manifest.json").write_text(theirs)
    (folder / "app.js").write_text("precious")
    with pytest.raises(FanlightError) as caught:
        write(folder)
    assert caught.value.code == "E-BUILD-004"
    assert (folder / "app.js").read_text() == "precious"


def test_a_bundle_with_files_of_others_in_it_is_not_replaced(tmp_path: Path) -> None:
    write(tmp_path / "site")
    (tmp_path / "site" / ".git").mkdir()
    (tmp_path / "site" / ".git" / "HEAD").write_text("precious")
    with pytest.raises(FanlightError) as caught:
        write(tmp_path / "site")
    assert caught.value.code == "E-BUILD-004"
    assert ".git/HEAD" in str(caught.value)
    assert (tmp_path / "site" / ".git" / "HEAD").read_text() == "precious"


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_shard_is_found(tmp_path: Path, damage: str) -> None:
    write(tmp_path / "site")
    bundle = read_bundle(tmp_path / "site")
    shard = bundle.manifest["weights"][0]
    path = tmp_path / "site" / shard["path"]
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "flip":
        path.write_bytes(b"\xff" + path.read_bytes()[1:])
    else:
        path.unlink()
    with pytest.raises(FanlightError) as caught:
        bundle.read(shard)
    assert caught.value.code == "E-BUNDLE-003"
    assert shard["path"] in str(caught.value)


def test_a_path_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "site")
    (tmp_path / "secret").write_bytes(b"0123456789")
    path = tmp_path / "site" / "manifest.json"
    whole = json.loads(path.read_text())
    whole["weights"][0]["path"] = "../secret"
    path.write_text(json.dumps(whole))
    with pytest.raises(FanlightError) as caught:
        read_bundle(tmp_path / "site")
    assert caught.value.code == "E-BUNDLE-002"


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "site")
    bundle = read_bundle(tmp_path / "site")
    shard = bundle.manifest["weights"][0]
    secret = tmp_path / "secret"
    secret.write_bytes((tmp_path / "site" / shard["path"]).read_bytes())
    (tmp_path / "site" / shard["path"]).unlink()
    (tmp_path / "site" / shard["path"]).symlink_to(secret)
    with pytest.raises(FanlightError) as caught:
        bundle.read(shard)
    assert caught.value.code == "E-BUNDLE-005"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "E-BUNDLE-002"),
        ("[" * 100_000, "E-BUNDLE-002"),
        ("{}", "E-BUNDLE-002"),
        ('{"fanlight": 2}', "E-BUNDLE-004"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(FanlightError) as caught:
        read_bundle(tmp_path)
    assert caught.value.code == code


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(FanlightError) as caught:
        read_bundle(tmp_path / "nowhere")
    assert caught.value.code == "E-BUNDLE-001"


def complete() -> dict[str, Any]:
    digest = "0" * 64
    return manifest() | {
        "weights": [{"path": "w.bin", "bytes": 10, "sha256": digest, "offset": 2048}],
        "modules": [
            {"path": "m.wasm", "bytes": 4, "sha256": digest, "simd": "plain", "threads": False}
        ],
        "files": {},
    }


def test_the_sample_manifest_is_valid() -> None:
    check_manifest(complete(), "test")


def leaves(tree: Any, path: tuple = ()) -> list[tuple]:
    if isinstance(tree, dict):
        return [p for k, v in tree.items() for p in [(*path, k), *leaves(v, (*path, k))]]
    if isinstance(tree, list):
        return [p for i, v in enumerate(tree) for p in [(*path, i), *leaves(v, (*path, i))]]
    return [path]


JUNK = st.one_of(
    st.none(),
    st.integers(-(2**40), 2**40),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(st.data())
def test_a_changed_manifest_is_valid_or_refused_with_a_code(data: st.DataObject) -> None:
    whole = copy.deepcopy(complete())
    path = data.draw(st.sampled_from(leaves(whole)))
    spot = whole
    for step in path[:-1]:
        spot = spot[step]
    spot[path[-1]] = data.draw(JUNK)
    try:
        check_manifest(whole, "test")
    except FanlightError as error:
        assert error.code in ("E-BUNDLE-002", "E-BUNDLE-004")


def with_rows(**changes: Any) -> dict[str, Any]:
    """The manifest with a symbolic first dim."""
    whole = complete()
    for tensor in (*whole["inputs"], *whole["outputs"]):
        tensor.update(shape=["rows", 4], bytes=64)
    whole["dims"] = {"rows": {"min": 1, "max": 4, "offset": 1024, **changes}}
    return whole


def test_sizes_stand_where_a_build_puts_them() -> None:
    check_manifest(with_rows(), "here")
    for wrong in ({"offset": 0}, {"offset": 1025}, {"offset": 300}, {"offset": 2048}, {"min": 9}):
        with pytest.raises(FanlightError, match="E-BUNDLE-002"):
            check_manifest(with_rows(**wrong), "x")
    whole = with_rows()
    whole["inputs"][0].update(shape=[4, 4])
    with pytest.raises(FanlightError, match="dims of inputs"):
        check_manifest(whole, "here")


@pytest.mark.parametrize("where", ["inputs", "outputs", "weights"])
def test_addresses_outside_the_memory_are_refused(where: str) -> None:
    whole = complete()
    whole[where][0]["offset"] = 65536 - 4
    with pytest.raises(FanlightError) as caught:
        check_manifest(whole, "test")
    assert caught.value.code == "E-BUNDLE-002"
