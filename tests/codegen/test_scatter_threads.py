"""Scattering, gathering, scans and sorts on several threads give the same bytes as on one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fanlight as fl
from fanlight.hosts.wasmtime import WasmtimeHost


def test_several_threads_give_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (600, 96)).astype(np.float32)
    ids = rng.integers(-1, 60, 600).astype(np.int32)

    def f(x: fl.Tensor, ids: fl.Tensor) -> dict[str, fl.Tensor]:
        def loss(x: fl.Tensor) -> fl.Tensor:
            groups = fl.unsorted_segment_sum(fl.cumsum(x), ids, 60)
            return fl.sum(fl.gather(groups, ids) * fl.sort(x)[:, ::-1]) / 1e4

        largest = fl.unsorted_segment_max(x, ids, 60)
        few = fl.scatter_add(x, ids[:40], x[:40])
        return {"dx": fl.grad(loss)(x), "largest": largest, "few": few, "sums": fl.cumsum(x, 1)}

    inputs = {"x": x, "ids": ids}
    eager = f(fl.tensor(x), fl.tensor(np.maximum(ids, 0)))
    specs = {"x": fl.spec(x.shape), "ids": fl.spec(ids.shape, "int32")}
    with fl.build(f, tmp_path / "site", inputs=specs) as bundle:
        alone = WasmtimeHost(bundle.files).run(inputs)
        for threads in (2, 4):
            host = WasmtimeHost(bundle.files, threads=threads)
            for _ in range(5):
                for name, array in host.run(inputs).items():
                    assert array.tobytes() == alone[name].tobytes(), name
            host.close()
        received = bundle.run({"x": x, "ids": np.maximum(ids, 0)})
    for name, array in received.items():
        np.testing.assert_allclose(array, eager[name].numpy(), rtol=1e-4, atol=1e-4)
