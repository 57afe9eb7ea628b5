"""Training beside TF.js in one Chromium, on one thread; and from Python beside PyTorch.

TF.js trains convolutions on its cpu back end only (the wasm one has no gradients of them): one step
is measured there, since it takes seconds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl
from bench.lab import HERE, Engine, chromium, install_peers, open_page, serve

ROUNDS = 7
BATCH = 16
SIDE = 128
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip


def head() -> Any:
    """512 features to 2 classes over 100 units."""
    dense = fl.layers.Dense
    return fl.Sequential(
        [fl.Input((512,)), dense(100, activation="relu"), dense(2, activation="softmax")]
    )


def mobilenet(alpha: float = 0.25, classes: int = 2) -> Any:
    """MobileNet v1 with batch norm, at 128 pixels (Howard et al. 2017)."""
    layers = fl.layers

    def norm(x: Any) -> Any:
        return layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x))

    def conv(x: Any, filters: int, size: int, strides: int) -> Any:
        made = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)
        return norm(made(x))

    begin = fl.Input((SIDE, SIDE, 3))
    x = conv(begin, int(32 * alpha), 3, 2)
    for filters, strides in _BLOCKS:
        depthwise = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)
        x = conv(norm(depthwise(x)), int(filters * alpha), 1, 1)
    x = layers.GlobalAveragePooling2D()(x)
    return fl.Model(begin, layers.Dense(classes, activation="softmax")(x))


def measure(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """A row per case: medians in ms, and the other's time over ours."""
    install_peers()
    how = fl.training("adam", "sparse_categorical_crossentropy")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fl.set_random_seed(0)
        fl.build(head(), folder / "head", train=how, dims={"batch": BATCH}).close()
        how = fl.training("adam", "sparse_categorical_crossentropy")
        fl.build(mobilenet(), folder / "mobilenet", train=how, dims={"batch": BATCH}).close()
        mounts = {"pages": HERE / "pages", "peers": HERE / "node_modules", "work": folder}
        with serve(mounts) as base, chromium() as browser:
            pages = {
                who: open_page(browser, base, Engine(who, "training", {"who": who}))
                for who in ("fanlight", "tfjs")
            }
            rows.append(
                _row(
                    "head 512-100-2, Adam, 500 examples, batch 16, 20 epochs",
                    pages,
                    {"program": "head", "count": 500, "shape": [512], "epochs": 20},
                    "wasm",
                    8.0,
                    rounds,
                )
            )
            step = {"program": "mobilenet", "count": BATCH, "shape": [SIDE, SIDE, 3], "epochs": 1}
            rows.append(
                _row("a step of MobileNet v1 0.25, 128 px, batch 16", pages, step, "cpu", 50.0, 1)
            )
    return [*rows, *_python()]


def _row(
    name: str,
    pages: dict[str, Any],
    what: dict[str, Any],
    backend: str,
    goal: float,
    rounds: int,
) -> dict[str, Any]:
    what |= {"classes": 2, "batchSize": BATCH, "backend": backend}
    program = what["program"]
    times: dict[str, list[float]] = {}
    for who, page in pages.items():
        given = {**what, "bundle": f"/work/{program}/"}
        page.evaluate("([name, what]) => prepare(name, what)", [program, given])
        times[who] = []
        for _ in range(3 if who == "fanlight" else min(rounds, 2)):  # warm up
            page.evaluate("(name) => train(name)", program)
    for _ in range(rounds):
        for who, page in pages.items():
            page.bring_to_front()
            turns = 9 if who == "fanlight" and rounds == 1 else 1
            found = [page.evaluate("(name) => train(name)", program) for _ in range(turns)]
            assert all(np.isfinite(loss) for _, loss in found)
            times[who].append(statistics.median(ms for ms, _ in found))
    ours, theirs = (statistics.median(times[who]) for who in ("fanlight", "tfjs"))
    return _told(name, ours, f"tfjs {backend}", theirs, goal)


def _told(name: str, ours: float, beside: str, theirs: float | None, goal: float) -> dict[str, Any]:
    times = None if theirs is None else theirs / ours
    return {
        "what": name,
        "ours": round(ours, 2),
        "beside": beside,
        "theirs": None if theirs is None else round(theirs, 2),
        "times": None if times is None else round(times, 2),
        "goal": goal,
        "ok": None if times is None else times >= goal,
    }


# --- Python ---------------------------------------------------------------------------------------


def _best(call: Callable[[], Any], count: int = 12) -> float:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def _python() -> list[dict[str, Any]]:
    """The same step from Python, and PyTorch's, if it is installed."""
    x = np.random.default_rng(0).random((BATCH, SIDE, SIDE, 3), np.float32)
    y = (np.arange(BATCH) % 2).astype(np.int32)
    model = mobilenet()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(x, y)
    model.predict_on_batch(x)
    step = _best(lambda: model.train_on_batch(x, y))
    forward = _best(lambda: model.predict_on_batch(x))
    rows = [
        {
            **_told("that step in Python over its forward pass", step, "forward", forward, 3.5),
            "times": round(step / forward, 2),
            "ok": step / forward <= 3.5,
        }
    ]
    try:
        import torch
    except ImportError:
        return [*rows, _told("that step in Python", step, "torch: not installed", None, 0.5)]
    torch.set_num_threads(2)
    rows.append(_told("that step in Python", step, "torch, 2 threads", _torch(torch, x, y), 0.5))
    return rows


def _torch(torch: Any, x: np.ndarray, y: np.ndarray) -> float:
    nn = torch.nn

    def conv(into: int, out: int, size: int, strides: int, groups: int = 1) -> list[Any]:
        made = nn.Conv2d(into, out, size, strides, size // 2, groups=groups, bias=False)
        return [made, nn.BatchNorm2d(out), nn.ReLU6()]

    parts, wide = conv(3, 8, 3, 2), 8
    for filters, strides in _BLOCKS:
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

    for _ in range(3):
        step()
    return _best(step)
