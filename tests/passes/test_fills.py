"""Padding that is filled as a value is made, and sums that leave it out: what comes out, how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import evaluate
from fanlight.passes import pipeline
from fanlight.tensor.trace import trace

RNG = np.random.default_rng(0)
NAN = np.float32("nan")


def framed(value: float) -> Callable[[Any], dict[str, Any]]:
    def f(x: Any) -> dict[str, Any]:
        y = fl.relu(x)
        frame = fl.pad(y, [[0, 0], [1, 1], [0, 0]], value=value)
        return {"whole": fl.sum(y, axis=0), "framed": fl.sum(frame, axis=0)}

    return f


def normalised(x: Any) -> dict[str, Any]:
    """What a batch norm does, and its gradients need."""
    y = fl.relu(x)
    mean = fl.mean(y, axis=(0, 1), keepdims=True)
    off = y - mean
    return {
        "mean": mean,
        "variance": fl.mean(off * off, axis=(0, 1)),
        "slope": fl.sum(y * off, axis=(0, 1)),
        "rows": fl.sum(y * 2.0, axis=0),
        "greatest": fl.max(y, axis=0),
    }


@pytest.mark.parametrize("f", [framed(0.0), framed(1.0), framed(-2.5), normalised])
def test_padding_never_comes_out(f: Callable[[Any], Any], tmp_path: Path) -> None:
    bundle = fl.build(f, tmp_path, inputs={"x": fl.spec(("n", 3, 8))}, dims={"n": 5})
    bundle.run({"x": np.full((5, 3, 8), NAN)})  # poison, behind a smaller batch from now on
    for n in (5, 2, 1, 4):
        x = RNG.normal(size=(n, 3, 8)).astype(np.float32)
        with np.errstate(all="ignore"):
            wanted = {name: y.numpy() for name, y in f(fl.tensor(x)).items()}
        found = bundle.run({"x": x})
        for name, y in wanted.items():
            np.testing.assert_allclose(found[name], y, rtol=1e-5, atol=1e-6, err_msg=f"{name}, {n}")


def test_no_pass_over_a_batch_only_fills_it() -> None:
    """Each choice over whole examples is part of what makes them; sums choose once a part."""
    graph = trace(normalised, {"x": fl.spec(("n", 64, 8))}, "g", dims={"n": 16})
    made = pipeline.run(graph, pipeline.PIPELINE_F32)
    chosen = [n.output.type.size for n in made.nodes if n.op == "select"]
    assert chosen and max(chosen) <= 16 * 8
    sums = [n for n in made.nodes if n.op == "fused_sum" and n.attrs["axes"] != (0,)]
    assert len(sums) == 3 and not any("select" in n.attrs["body"] for n in sums)


def test_what_is_chosen_twice_keeps_its_length() -> None:
    """The inner choice is made already, and its other side alone is as long as the whole."""

    def f(m: Any, a: Any, b: Any) -> dict[str, Any]:
        return {"y": fl.sum(fl.where(m, fl.where(m, a, b), 0.0), axis=(1, 2))}

    given = {
        "m": np.array([True, False, True, True]).reshape(4, 1, 1),
        "a": RNG.normal(size=(4, 1, 8)).astype(np.float32),
        "b": RNG.normal(size=(4, 3, 8)).astype(np.float32),
    }
    types = {name: fl.spec(x.shape, str(x.dtype)) for name, x in given.items()}
    graph = trace(f, types, "g")
    made = pipeline.run(graph, pipeline.PIPELINE_F32)
    assert [n.op for n in made.nodes] == ["fused_sum"]
    found, wanted = evaluate(made, given)["y"], evaluate(graph, given)["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
