"""A published model on real photos: the page answers what Python answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.web.server import serve
from tests.web.test_page_chromium import open_page

pytestmark = pytest.mark.chromium
PHOTOS = ("cat.jpg", "dog.jpg", "elephants.jpg", "hot_dog.jpg")


def test_the_page_answers_as_python_does(
    page: Any, shared: Path, built: Callable[..., Path]
) -> None:
    from PIL import Image

    folder = built(
        shared / "data" / "models" / "mobilenet-v1-0.25-layers-mitcml",
        task=fl.tasks.classify(labels=[f"class {i}" for i in range(1000)], input_range=(-1, 1)),
    )
    bundle = fl.open_bundle(folder)
    with serve(folder) as site:
        element = open_page(page, site.url + "index.html")
        for name in PHOTOS:
            path = shared / "data" / "photos" / name
            scores = bundle.run({"image": np.asarray(Image.open(path).convert("RGB"))})["scores"]
            page.evaluate("""() => { globalThis.answer = new Promise((resolve) => document
              .addEventListener('fanlight-result', (e) => resolve(e.detail), { once: true })); }""")
            element.locator("input[type=file]").set_input_files(path)
            results = page.evaluate("() => answer.then(({ results }) => results)")
            assert len(results) == 5
            assert results[0]["index"] == int(np.argmax(scores))
            for row in results:
                # The two decoders differ by a level or two per pixel.
                assert row["score"] == pytest.approx(float(scores[row["index"]]), abs=0.03)
                assert row["label"] == f"class {row['index']}"
