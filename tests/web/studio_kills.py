"""Kill a tab, or the whole browser, while Studio's store writes; then look at what is kept.

Each batch of six photos, each head with its run, each deletion of a batch is one change. A page
makes changes without end and tells the server of each that was kept; at a random moment it dies.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Error

from fanlight.hosts.browser import chromium_flags
from tests.web.server import Site
from tests.web.studio_lab import enter

HELPERS = (Path(__file__).parent / "studio_store.js").read_text("utf-8")
BATCH = 6
WAYS = ("kill the tab", "close the tab", "kill the browser")
START_SECONDS = 60

# Changes without end. A number that only grows names each: `done-N` is told after it was kept.
_WORK = """async ([first, size]) => {
  const say = (what) => fetch(`/told/${what}`).catch(() => {});
  const store = await Store.open();
  const [project] = await store.projects();
  const id = project?.id ?? (await store.create('0', { classes: [cat] })).id;
  await say(`start-${first}`);
  for (let n = first; ; n++) {
    const photos = [];
    for (let i = 0; i < size; i++) {
      photos.push(await shot('cat', 2000 + Math.floor(Math.random() ** 3 * 4e5), `${n}`));
    }
    await store.add(id, photos);
    await say(`done-${n}`);
    const head = new Uint8Array(Uint32Array.from({ length: 3e4 }, () => n).buffer);
    await store.putHead(id, 'linear', head, { name: `${n}`, runs: [{ at: n }] });
    await say(`head-${n}`);
    const examples = await store.examples(id);
    const names = [...new Set(examples.map(({ name }) => name))];
    if (names.length > 4) {
      await say(`going-${names[0]}`);
      await store.delete(examples.filter(({ name }) => name === names[0]).map((e) => e.id));
      await say(`gone-${names[0]}`);
    }
  }
}"""

# What is kept: photos by batch, what does not belong together, the number of head and run.
_LOOK = """async () => {
  const store = await Store.open();
  const [project] = await store.projects();
  if (!project) return { batches: {}, wrong: [], head: 0 };
  const wrong = [];
  const batches = {};
  for (const { id, name, hash } of await store.examples(project.id)) {
    batches[name] = (batches[name] ?? 0) + 1;
    if (await hashOf(await store.photo(id)) !== hash) wrong.push(`photo ${id}`);
    if ((await store.thumb(id)).size !== 500) wrong.push(`thumb ${id}`);
  }
  const all = await keys();
  for (const name of ['photos', 'thumbs']) {
    if (String(all[name]) !== String(all.examples)) wrong.push(`${name} that are of no example`);
  }
  const bytes = await store.head(project.id, 'linear');
  const head = new Set(bytes ? new Uint32Array(bytes.buffer) : [0]);
  const run = project.runs[0]?.at ?? 0;
  if (head.size !== 1 || !head.has(run) || project.name !== `${run}`) {
    wrong.push(`head ${[...head]}, run ${run}, name ${project.name}`);
  }
  store.close();
  return { batches, wrong, head: run };
}"""


class Browser:
    """A Chromium with a profile that stays, as a process that can be killed."""

    def __init__(self, kind: Any, path: str, profile: Path) -> None:
        self._kind, self._path, self._profile = kind, path, profile
        self.process: subprocess.Popen[bytes] | None = None
        self.context: Any = None

    def start(self) -> None:
        port = self._profile / "DevToolsActivePort"
        port.unlink(missing_ok=True)
        flags = [*chromium_flags(), "--headless", "--remote-debugging-port=0", "--no-first-run"]
        self.process = subprocess.Popen(
            [self._path, *flags, f"--user-data-dir={self._profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + START_SECONDS
        while not port.is_file() or not port.read_text().strip():
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError("Chromium did not start")
            time.sleep(0.05)
        url = f"http://127.0.0.1:{port.read_text().split()[0]}"
        self.context = self._kind.connect_over_cdp(url).contexts[0]

    def kill(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = self.context = None

    def kill_tabs(self, page: Any) -> None:
        """The process of each page dies at once; nothing is asked of it or told to it."""
        session = self.context.browser.new_browser_cdp_session()
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        with page.expect_event("crash", timeout=1000 * START_SECONDS):
            for process in processes:
                if process["type"] == "renderer":
                    os.kill(process["id"], signal.SIGKILL)
        session.detach()
        page.close()

    def page(self, site: Site, arrive: Callable[[Any, Site], Any]) -> Any:
        """A new page, as `arrive` makes it of an empty one."""
        if self.process is None:
            self.start()
        try:
            opened = self.context.new_page()
        except Error:  # the browser itself went with its tabs: that is one kill more
            self.kill()
            self.start()
            opened = self.context.new_page()
        return arrive(opened, site)


def _arrive(page: Any, site: Site) -> Any:
    enter(page, site, "store")
    page.evaluate(f"() => {{ {HELPERS} }}")
    return page


def _numbers(log: list[str], what: str) -> set[int]:
    return {int(path.rsplit("-", 1)[1]) for path in log if path.startswith(f"told/{what}-")}


def check(seen: dict[str, Any], log: list[str]) -> list[str]:
    """What is wrong with what is kept, by what the server was told."""
    wrong = list(seen["wrong"])
    batches = {int(name): count for name, count in seen["batches"].items()}
    wrong += [f"{count} photos of batch {n}" for n, count in batches.items() if count != BATCH]
    kept, going, gone = (_numbers(log, what) for what in ("done", "going", "gone"))
    wrong += [f"batch {n} is lost" for n in kept - going - batches.keys()]
    wrong += [f"batch {n} was deleted" for n in gone & batches.keys()]
    last = max(_numbers(log, "head"), default=0)
    if seen["head"] < last:
        wrong.append(f"head {last} is lost: it is {seen['head']}")
    return wrong


def kill_again_and_again(
    kind: Any, path: str, site: Site, profile: Path, *, rounds: int, seed: int
) -> tuple[Counter[str], int, list[str]]:
    """Kill `rounds` times.

    Args:
        kind: Playwright's `BrowserType` of Chromium.
        path: the browser to start.
        profile: an empty folder for its profile.

    Returns:
        how often each way, how many changes had been kept, and what was wrong afterwards.
    """
    rng = random.Random(seed)
    browser = Browser(kind, path, profile)
    ways: Counter[str] = Counter()
    wrong: list[str] = []
    first = 1
    try:
        for turn in range(rounds):
            page = browser.page(site, _arrive)
            page.evaluate(f"(args) => {{ ({_WORK})(args); }}", [first, BATCH])
            end = time.monotonic() + START_SECONDS
            while f"told/start-{first}" not in site.log and time.monotonic() < end:
                page.wait_for_timeout(5)
            page.wait_for_timeout(rng.uniform(0, 700))
            way = WAYS[turn % len(WAYS)]
            ways[way] += 1
            if way == "kill the browser":
                browser.kill()
            elif way == "kill the tab":
                browser.kill_tabs(page)
            else:
                page.close()
            page = browser.page(site, _arrive)
            seen = page.evaluate(_LOOK)
            page.close()
            wrong += [f"round {turn} ({way}): {what}" for what in check(seen, site.log)]
            begun = [int(n) for n in seen["batches"]]
            first = max([first, *begun, seen["head"], *_numbers(site.log, "done")]) + 1
    finally:
        if browser.process is not None:
            browser.kill()
    changes = sum(len(_numbers(site.log, what)) for what in ("done", "head", "gone"))
    return ways, changes, wrong
