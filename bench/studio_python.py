"""The head that Studio's page trains, trained in Python: same photos, settings and split."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from fanlight.layers import Dense, GlobalAveragePooling2D, Input, optimizers
from fanlight.layers.callbacks import LearningRateScheduler
from fanlight.layers.model import Model
from fanlight.studio import backbone_of

AT_ONCE = 50


def same_head(
    photos: Mapping[str, bytes],
    learn: Mapping[str, Sequence[str]],
    test: Mapping[str, Sequence[str]],
    checked: Sequence[str],
    settings: Mapping[str, Any],
) -> float:
    """Accuracy on `test` of the linear head, mean of five trainings.

    Args:
        photos: files by name.
        learn, test: names of photos by class.
        checked: names of `learn` that the page kept to check with, and did not learn from.
        settings: of the page: epochs, batchSize, learningRate; schedule "cosine".
    """
    backbone = backbone_of(None)
    base = backbone.fresh()
    sees = Model(base.inputs[0], GlobalAveragePooling2D()(base.outputs[0]))

    def features(names: Sequence[str]) -> np.ndarray:
        pictures = [np.asarray(Image.open(io.BytesIO(photos[n])).convert("RGB")) for n in names]
        parts = [
            sees.predict(backbone.task.pictures(base, pictures[i : i + AT_ONCE]), verbose=0)
            for i in range(0, len(pictures), AT_ONCE)
        ]
        return np.concatenate([np.asarray(part) for part in parts])

    kept = {name: [n for n in all_ if n not in checked] for name, all_ in learn.items()}
    if sum(map(len, learn.values())) - sum(map(len, kept.values())) != len(checked):
        raise ValueError(f"the page checks with photos that it was not given: {checked}")
    x = features([n for names in kept.values() for n in names])
    y = np.repeat(np.arange(len(kept)), [len(names) for names in kept.values()])
    x_test = features([n for names in test.values() for n in names])
    y_test = np.repeat(np.arange(len(test)), [len(names) for names in test.values()])
    epochs, rate = settings["epochs"], settings["learningRate"]
    found = []
    for seed in range(5):
        photo = Input((x.shape[1],))
        head = Model(photo, Dense(len(kept), "softmax")(photo))
        head.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy")
        order = np.random.default_rng(seed).permutation(len(y))
        head.fit(
            x[order], y[order].astype(np.int32), batch_size=settings["batchSize"], epochs=epochs,
            verbose=0,
            callbacks=[LearningRateScheduler(
                lambda epoch, _: rate * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
            )],
        )  # fmt: skip
        found.append((np.asarray(head.predict(x_test, verbose=0)).argmax(1) == y_test).mean())
    return float(np.mean(found))
