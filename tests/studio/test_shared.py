"""What several classifiers have in common is cut out of their weights, and stands once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.bundle import BundleWriter, sha256
from fanlight.bundle.halves import image_of, place_bytes
from fanlight.studio.shared import LEAST, Made, write_heads

MODULE = b"\0asm of all of them"


def bundle(folder: Path, state: list[np.ndarray], halves: list[bytes]) -> Made:
    """Something like a bundle: float32 that learns, then what travels as float16."""
    folder.mkdir()
    at, shards, kept = 2048, [], []
    for array in state:
        kept.append({"path": f"w{len(kept)}", "offset": at, "bytes": array.nbytes})
        at += array.nbytes
    learns = b"".join(array.tobytes() for array in state)
    at = 2048
    for data, more in ((learns, {}), *((part, {"encoding": "f16"}) for part in halves)):
        path = f"weights-{len(shards) + 1}-{sha256(data)[:8]}.bin"
        (folder / path).write_bytes(data)
        entry: dict[str, Any] = {"path": path, "bytes": len(data), "sha256": sha256(data)}
        shards.append({**entry, "offset": at, **more})
        at += place_bytes(shards[-1])
    module = f"model-plain-{sha256(MODULE)[:8]}.wasm"
    training = json.dumps({"state": kept}).encode()
    manifest = {
        "weights": shards,
        "modules": [{"path": module, "bytes": len(MODULE), "sha256": sha256(MODULE)}],
        "files": {
            "training.json": {"bytes": len(training), "sha256": sha256(training)},
            "fanlight.js": {"bytes": 3, "sha256": sha256(b"app")},
        },
    }
    return Made(folder.name, manifest, folder, {module: MODULE, "training.json": training})


def memory(folder: Path, shards: list[dict[str, Any]]) -> bytes:
    """What lies in memory when all shards are there."""
    image = np.zeros(16 << 20, np.uint8)
    seen = np.zeros(image.size, bool)
    for shard in shards:
        data = (folder / shard["path"]).read_bytes()
        assert len(data) == shard["bytes"] and sha256(data) == shard["sha256"]
        at, size = shard["offset"], place_bytes(shard)
        assert not seen[at : at + size].any()
        seen[at : at + size] = True
        image[at : at + size] = image_of(shard, data)
    return image.tobytes()


def numbers(seed: int, count: int) -> bytes:
    """float16, none of them special."""
    return np.random.default_rng(seed).normal(size=count).astype(np.float16).tobytes()


def test_parts_that_are_equal_are_one_file_and_memory_is_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    kernel, own = rng.normal(size=(2, 4 * LEAST // 4)).astype(np.float32)
    bias = rng.normal(size=16).astype(np.float32)
    frozen = numbers(2, 3 * LEAST)
    zeros = bytes(20 * LEAST)
    few = frozen[: 2 * LEAST + 1024]
    heads = [
        # A shard ends where it likes: what is alike goes on over the border.
        bundle(tmp_path / "linear", [bias], [frozen[: 5 * LEAST], frozen[5 * LEAST :]]),
        bundle(tmp_path / "near", [bias * 2], [frozen + zeros + numbers(3, 64)]),
        bundle(tmp_path / "tune-1", [kernel, bias], [few + numbers(4, 512)]),
        bundle(tmp_path / "tune-2", [own, bias, kernel], [few[: 2 * LEAST] + numbers(5, 8)]),
    ]
    with BundleWriter(tmp_path / "all", "studio.json") as writer:
        found = write_heads(writer, heads)
        writer.add_manifest({"fanlight": 1})
        writer.commit()
    folder = tmp_path / "all" / "models"
    for made in heads:
        told = json.loads((tmp_path / "all" / found[made.id]["url"]).read_text())
        assert memory(folder, told["weights"]) == memory(made.folder, made.manifest["weights"])
        (module,) = told["modules"]
        assert (folder / module["path"]).read_bytes() == MODULE
        assert found[made.id]["bytes"] == sum(e["bytes"] for e in told["weights"]) + len(MODULE)
        training = found[made.id]["files"]["training.json"]
        assert training == "models/" + told["files"]["training.json"]["path"]
        assert (tmp_path / "all" / training).read_bytes() == made.files["training.json"]
        assert "path" not in told["files"]["fanlight.js"]  # it is at the root
    written = sum(path.stat().st_size for path in folder.glob("weights*"))
    unique = kernel.nbytes + own.nbytes + len(frozen)
    assert unique < written < unique + LEAST // 8  # ends, biases, and nothing of the zeros
    assert len(list(folder.glob("*.wasm"))) == 1
    assert max(path.stat().st_size for path in folder.iterdir()) <= 4 << 20


def test_a_classifier_alone_is_not_cut(tmp_path: Path) -> None:
    made = bundle(tmp_path / "linear", [np.ones(8, np.float32)], [numbers(1, 4 * LEAST)])
    with BundleWriter(tmp_path / "all", "studio.json") as writer:
        (found,) = write_heads(writer, [made]).values()
        told = json.loads((writer.folder / found["url"]).read_text())
    before = made.manifest["weights"]
    assert [e["sha256"] for e in told["weights"]] == [e["sha256"] for e in before]
