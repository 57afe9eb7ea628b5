"""What the bench of training stands on: one model for all engines, and memory that is counted."""

from __future__ import annotations

import builtins
import json
import re
from pathlib import Path
from typing import Any

import pytest

import fanlight as fl
from bench import training_memory, training_python
from bench.__main__ import table
from bench.lab import HERE
from bench.training import cases
from bench.training_models import BLOCKS, mobilenet
from bench.training_rows import row
from fanlight.targets import TARGETS
from fanlight.trainable import trainable


def test_a_row_is_judged_by_its_goal() -> None:
    more = row("step", 2.0, "tfjs", 11.0, 5.0)
    less = row("memory", 12.0, "needed", 10.0, 1.3, times=1.2, most=True)
    none = row("step", 2.0, "torch is not installed: skipped", None, 0.5)
    assert (more["times"], more["ok"], more["goal"]) == (5.5, True, "5 or more")
    assert (less["times"], less["ok"], less["goal"]) == (1.2, True, "1.3 or less")
    assert row("memory", 1.0, "", 1.0, 1.3, times=1.4, most=True)["ok"] is False
    assert (none["times"], none["ok"]) == (None, None)
    assert "met" in table("Training", [more, less, none])


def test_every_engine_trains_the_same_network() -> None:
    """Layers in the pages are written out again; their filters and strides are these."""
    page = (HERE / "pages" / "training_tfjs.js").read_text()
    found = re.search(r"BLOCKS = (\[\[.*?\]\]);", page, re.DOTALL)
    assert found and json.loads(found[1]) == [list(block) for block in BLOCKS]
    assert mobilenet().count_params() == 219_058  # Keras's MobileNet(alpha=0.25) with 2 classes
    programs = [case.program for case in cases()]
    assert all(f"{name}: (tf" in page or f"'{name}'" in page for name in programs)


def test_live_bytes_are_counted_from_the_order_of_kernels() -> None:
    x = fl.Input((4,))
    model = fl.Model(x, fl.layers.Dense(8, use_bias=False)(x))
    learns = trainable(model, fl.training("sgd", "mse"), {"batch": 16}, TARGETS)
    (part,) = (p for p in learns.plan.parts if p.name == "predict")
    kept = {k.name for k in learns.steps.kept}
    # One example: its four numbers and eight of the output, while the product is made.
    assert training_memory.live_bytes(learns.plan, part, kept, set()) == 4 * (4 + 8)


def test_the_arena_holds_what_is_alive(tmp_path: Path) -> None:
    x = fl.Input((8, 8, 4))
    y = fl.layers.ReLU()(fl.layers.Conv2D(8, 3)(x))
    model = fl.Model(x, fl.layers.Dense(2, activation="softmax")(fl.layers.Flatten()(y)))
    how = fl.training("adam", "sparse_categorical_crossentropy")
    fl.build(model, tmp_path / "net", train=how, dims={"batch": 8}).close()
    found = training_memory.row_of(tmp_path / "net", model, 8)
    pages = json.loads((tmp_path / "net" / "manifest.json").read_text())["memory"]["pages"]
    assert found["ours"] == pytest.approx(pages / 16, abs=1e-3)
    assert 1 < found["times"] < 3


def test_without_torch_its_rows_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "torch":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert training_python._torch() is None
