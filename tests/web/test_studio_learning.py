"""How a session of Studio learns from altered copies, and stops by itself: in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import serve
from tests.web.studio_site import BARE, photo, photos, write_studio
from tests.web.test_studio_session import ASK, SETUP, TEACH, teach

pytestmark = pytest.mark.chromium


@pytest.fixture
def bare(page: Any, tmp_path: Path) -> Iterator[Any]:
    write_studio(tmp_path / "site")
    with serve(tmp_path / "site") as site:
        site.pages["bare.html"] = BARE
        page.goto(site.url + "bare.html")
        page.evaluate(SETUP)
        yield page


# Counts the steps of each round, and the canvases that the page makes to draw on.
WITH_COPIES = """async (settings) => {
  let canvases = 0, steps = 0;
  globalThis.OffscreenCanvas = class extends OffscreenCanvas {
    constructor(...size) { super(...size); canvases++; }
  };
  const told = [], losses = [], rounds = [];
  let gone;
  const run = await session.train(settings, {
    onPrepare: (done, count) => {
      told.push([done, count]);
      // One of those that are still to be altered goes: its copies are missing, and no others.
      gone ??= session.remove([session.examples.at(-1).id]);
    },
    onBatch: () => steps++,
    onEpoch: (_, { loss }) => {
      losses.push(loss);
      rounds.push(steps);
      steps = 0;
    },
  });
  await gone;
  return { run, told, losses, rounds, canvases, left: session.examples.length };
}"""


def test_altered_copies_are_learnt_from_too(bare: Any) -> None:
    teach(bare, epochs=1, validationSplit=0)
    how = {"copies": 2, "rotate": 20, "shift": 0.1, "zoom": 0.2, "flip": True, "brightness": 0.1}
    found = bare.evaluate(WITH_COPIES, {"epochs": 12, "batchSize": 1, "augment": how})
    run = found["run"]
    assert run["stopped"] == "done" and run["settings"]["augment"] == how
    assert found["told"][-1] == [24, 24] and found["left"] == 23
    # 24 photos, and two copies of each but of the one that was removed.
    assert found["rounds"] == [24 + 2 * 23] * 12
    assert found["losses"][-1] < 0.5 * found["losses"][0]
    assert run["report"]["accuracy"] == 1 and run["report"]["count"] == 23
    for kind in ("red", "blue"):
        answer = bare.evaluate(ASK, list(photo(kind, 77)))
        assert answer["label"] == kind and answer["sure"]
    assert found["canvases"] == 0  # drawn in the worker: this page stays free


def test_stopped_by_itself_it_is_as_it_was_at_its_best(bare: Any) -> None:
    # Nothing tells these two apart, so that what it learns by heart is wrong for other photos.
    given = {"red": photos("red", 20), "blue": photos("red", 20, 20), "options": {}}
    how = {"epochs": 60, "learningRate": 0.2, "schedule": "constant", "patience": 3,
           "validationSplit": 0.3, "batchSize": 8}  # fmt: skip
    run = bare.evaluate(TEACH, {**given, "settings": how})["run"]
    losses = run["history"]["val_loss"]
    best = losses.index(min(losses))
    assert run["stopped"] == "early" and run["epochs"] == len(losses) == best + 1 + 3
    assert best > 0 and losses[-1] > losses[best] + 0.002  # it had become worse
    now = bare.evaluate("async () => (await session.evaluate('validation')).loss")
    assert abs(now - losses[best]) < 1e-4 and run["report"]["loss"] == now
