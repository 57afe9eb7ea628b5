"""The default model's page of `build --isolate`: first visit, second, second without network.

The clock is the page's own `performance.now()`, which starts at the navigation, and stops when the
first answer is there. A script that the browser puts into the page asks for it as soon as the
element is defined, with a picture of its own, so that nothing but the page is fetched.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import fanlight as fl
from bench.lab import chromium
from fanlight.hosts.serving import Site, SiteServer

GOAL_OFFLINE_MS = 100
SETTLED_MS = 1500  # in which the files are kept and the service worker has started

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


def measure(out: Path, *, rounds: int = 11) -> list[dict[str, Any]]:
    """Milliseconds from navigation to the first answer; medians of visits in turn."""
    folder = out / "default-isolated"
    model, task = fl.default_model()
    fl.build(model, folder, task=task, isolate=True)
    times: dict[str, list[float]] = {"first": [], "second": [], "second, offline": []}
    with chromium() as browser:
        for turn in range(rounds + 1):
            server = SiteServer(Site(folder)).start()
            context = browser.new_context()
            page = context.new_page()
            page.add_init_script(_ASK)
            answers = set()
            for name, own in times.items():
                context.set_offline("offline" in name)
                page.goto(f"{server.url}/index.html")
                answer = page.evaluate("answer")
                answers.add(answer["index"])
                if turn:  # the first round warms up the disk and the browser process
                    own.append(answer["ms"])
                page.wait_for_timeout(SETTLED_MS)
                page.goto("about:blank")
            context.close()
            server.stop()
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
