"""The step of MobileNet from Python: over its forward pass, and beside PyTorch on its CPU.

PyTorch is no dependency: without it its rows say so. PYTHONPATH may name where it is installed.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench.training_models import BLOCKS, SIDE
from bench.training_rows import row

ROUNDS = 15
TURNS = 3  # steps of a turn
THREADS = (1, 2)


def measure(make: Callable[[], Any], batch: int, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """A row per number of threads, and one for the forward pass."""
    x = np.random.default_rng(0).random((batch, SIDE, SIDE, 3), np.float32)
    y = (np.arange(batch) % 2).astype(np.int32)
    models = {n: _ours(make, n, x, y) for n in THREADS if n <= (os.cpu_count() or 1)}
    steps: dict[str, Callable[[], Any]] = {
        f"ours {n}": lambda m=m: m.train_on_batch(x, y) for n, m in models.items()
    }
    one = models[1]
    steps["forward"] = lambda: one.predict_on_batch(x)
    torch = _torch()
    if torch is not None:
        step = _torch_step(torch, x, y)
        for n in models:
            steps[f"torch {n}"] = lambda n=n: (torch.set_num_threads(n), step())
    times = _in_turn(steps, rounds)
    forward = times["forward"]
    name = "that step in Python over its forward pass, 1 thread"
    ratio = times["ours 1"] / forward
    rows = [row(name, times["ours 1"], "forward", forward, 3.5, times=ratio, most=True)]
    for n in models:
        name = f"that step in Python, {n} thread{'s' * (n > 1)}"
        beside = f"torch {torch.__version__}" if torch else "torch is not installed: skipped"
        rows.append(row(name, times[f"ours {n}"], beside, times.get(f"torch {n}"), 0.5))
    return rows


def _ours(make: Callable[[], Any], threads: int, x: np.ndarray, y: np.ndarray) -> Any:
    model = make()
    model.compile("adam", "sparse_categorical_crossentropy", threads=threads)
    model.train_on_batch(x, y)
    model.predict_on_batch(x)
    return model


def _in_turn(steps: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Medians in ms: everything has its turn in each round, so that slow moments fall on all."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            step()  # of another program before, caches hold other things
            start = time.perf_counter()
            for _ in range(TURNS):
                step()
            if turn:
                times[name].append((time.perf_counter() - start) / TURNS * 1e3)
    return {name: statistics.median(found) for name, found in times.items()}


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch


def _torch_step(torch: Any, x: np.ndarray, y: np.ndarray) -> Callable[[], None]:
    """The step as PyTorch's documentation writes it, in the layout of its fastest convolutions."""
    nn = torch.nn

    def conv(into: int, out: int, size: int, strides: int, groups: int = 1) -> list[Any]:
        made = nn.Conv2d(into, out, size, strides, size // 2, groups=groups, bias=False)
        return [made, nn.BatchNorm2d(out), nn.ReLU6()]

    parts, wide = conv(3, 8, 3, 2), 8
    for filters, strides in BLOCKS:
        parts += conv(wide, wide, 3, strides, wide) + conv(wide, filters // 4, 1, 1)
        wide = filters // 4
    net = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, 2))
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(y.astype(np.int64))
    loss = nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(net(images), labels).backward()
        optimizer.step()

    return step
