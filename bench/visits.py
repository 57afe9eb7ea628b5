"""The default model's page of `build --isolate`: first visit, second, second without network.

The clock is the page's own `performance.now()`, which starts at the navigation, and stops when the
first answer is there. A script that the browser puts into the page asks for it as soon as the
element is defined, with a picture of its own, so that nothing but the page is fetched. The model is
built as `fanlight demo` builds it. "Offline" is a server that is gone. An empty page of the same
site, visited likewise, tells what of the time is the browser's on this machine. Profiles are
incognito ones: what they keep is in memory, and not read from a disk.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import fanlight as fl
from bench.visitor import visitors
from fanlight.hosts.serving import Site, SiteServer

GOAL_OFFLINE_MS = 100
STAY_S = 1.5  # in which the files are kept and the service worker has started

_ASK = """
globalThis.answer = customElements.whenDefined('fanlight-classifier').then(async () => {
  const canvas = new OffscreenCanvas(320, 240);
  const context = canvas.getContext('2d');
  context.fillStyle = '#a63';
  context.fillRect(60, 40, 200, 160);
  const picture = context.getImageData(0, 0, 320, 240);
  const element = document.querySelector('fanlight-classifier');
  const model = await element.ready;
  const ready = performance.now();
  const [{ index }] = await model.classify(picture, { top: 1 });
  return { ms: performance.now(), ready, index, cached: model.info.cached };
});
"""


_EMPTY = """
globalThis.answer = new Promise((resolve) => {
  addEventListener('load', () => resolve({ ms: performance.now() }));
});
"""
_EMPTY_PAGE = '<!doctype html>\n<title>empty</title>\n<script type="module"></script>\n'


def measure(out: Path, *, rounds: int = 11) -> list[dict[str, Any]]:
    """Milliseconds from navigation to the first answer; medians of visits in turn."""
    folder = out / "default-isolated"
    model, task = fl.default_model()
    fl.build(model, folder, task=task, isolate=True, precision="f16")
    site = Site(folder, {"/empty.html": _EMPTY_PAGE.encode()})
    times: dict[str, list[float]] = {
        "empty page": [], "first": [], "second": [], "second, offline": [],
    }  # fmt: skip
    with visitors() as visitor:
        for turn in range(rounds + 1):
            server = SiteServer(site).start()
            answers = set()
            for name, own in times.items():
                empty = name == "empty page"
                if empty or name == "first":
                    person = visitor()
                if "offline" in name:
                    server.stop()
                answer = person.visit(
                    f"{server.url}/{'empty' if empty else 'index'}.html",
                    script=_EMPTY if empty else _ASK,
                    stay_s=0 if empty else STAY_S,
                )
                if not empty:
                    answers.add(answer["index"])
                    if answer["cached"] is not (name != "first"):
                        raise SystemExit(f"bench: {name} visit: cached is {answer['cached']}")
                if empty:
                    person.close()
                if turn:  # the first round warms up the disk and the browser process
                    own.append(answer["ms"])
            person.close()
            if len(answers) != 1:
                raise SystemExit(f"bench: visits were answered differently: {answers}")
    return [
        {
            "visit": name,
            "median_ms": round(statistics.median(own), 1),
            "min_ms": round(min(own), 1),
            "goal": GOAL_OFFLINE_MS if "offline" in name else None,
            "ok": statistics.median(own) <= GOAL_OFFLINE_MS if "offline" in name else None,
        }
        for name, own in times.items()
    ]
