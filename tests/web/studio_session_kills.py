"""Kill a tab, or the browser, while a session of Studio trains, corrects or takes a project in.

A page with a real session does one of the three without end, and tells the server of what was kept
and of every head that was told as saved; at a random moment it dies. `studio_kills.py` does the
same to the store alone, which is faster.
"""

from __future__ import annotations

import copy
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.web.server import Site
from tests.web.studio_kills import START_SECONDS, Browser
from tests.web.studio_site import BARE

ACTS = ("train", "correct", "import")
WAYS = ("kill the tab", "kill the browser")
LATEST_MS = 1500  # of the moment at which it dies

# The page: `session`, `shot(kind)` a photo, `state()` what is kept of each project.
_ENTER = """async () => {
  const { TransferSession } = await import('./transfer.js');
  globalThis.say = (what) => fetch(`/told/${what}`).catch(() => {});
  globalThis.hashOf = async (data) => [...new Uint8Array(await crypto.subtle.digest(
    'SHA-256', data))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  globalThis.shot = async (kind, name = kind) => {
    const pixels = new ImageData(24, 24);
    pixels.data.forEach((_, i) => {
      const own = i % 4 === 3 ? 255 : i % 4 === { red: 0, blue: 2 }[kind] ? 140 : 0;
      pixels.data[i] = own + Math.floor(90 * Math.random());
    });
    const canvas = new OffscreenCanvas(24, 24);
    canvas.getContext('2d').putImageData(pixels, 0, 0);
    return new File([await canvas.convertToBlob()], name, { type: 'image/png' });
  };
  globalThis.state = async () => {
    const found = {};
    const { store } = session;
    for (const { id, classes, runs } of await store.projects()) {
      const head = await store.head(id, 'head');
      found[id] = { photos: (await store.examples(id)).map(({ name }) => name),
        classes: classes.map(({ name }) => name), runs: runs.map(({ at }) => at),
        head: head ? await hashOf(head) : '' };
    }
    return found;
  };
  globalThis.session = await TransferSession.open('./');
}"""

# What is kept, and what is wrong with it: photos of other bytes, a head that does not answer.
_LOOK = """async () => {
  const wrong = [];
  const { store, project: { id: now } } = session;
  if (session.problem) wrong.push(`taken up: ${session.problem.message}`);
  const found = await state();
  for (const [id, { head }] of Object.entries(found)) {
    for (const { id: one, hash, name } of await store.examples(id)) {
      const bytes = await (await store.photo(one)).arrayBuffer();
      if (await hashOf(bytes) !== hash) wrong.push(`photo ${name}`);
      if (!(await store.thumb(one)).size) wrong.push(`thumb ${name}`);
    }
    if (!head) continue;
    if (session.project.id !== id) await session.load(id);
    for (const kind of ['red', 'blue']) {
      const { results } = await session.predict(await shot(kind));
      const sum = results.reduce((all, { score }) => all + score, 0);
      const right = results[0].label === kind && Math.abs(sum - 1) < 1e-3;
      if (!right) wrong.push(`${kind} is ${results[0].label}`);
    }
  }
  if (session.project.id !== now) await session.load(now);
  return { found, wrong, now };
}"""

# One project of a few photos that were learnt, with which a round begins.
_READY = """async () => {
  const { store } = session;
  for (const { id } of await store.projects()) {
    if (id !== session.project.id) await store.remove(id);
  }
  for (const [i, kind] of ['red', 'blue'].entries()) {
    const own = session.classes[i];
    if (own.name !== kind) await session.renameClass(own.id, kind);
    const has = session.examples.filter((e) => e.class === own.id).map((e) => e.id);
    await session.remove(has.slice(8));
    for (let n = has.length; n < 6; n++) {
      await session.add(kind, [await shot(kind, `first-${n}-${kind}`)]);
    }
  }
  const settings = { epochs: 25, batchSize: 4, learningRate: 0.05, validationSplit: 0 };
  if (!session.trained) await session.train(settings);
  return { found: await state(), now: session.project.id };
}"""

_WORK = """async ([act, turn]) => {
  // What the store was given last is what is told as saved.
  const { store } = session;
  const { putHead } = store;
  let count = 0;
  let given;
  store.putHead = (id, key, bytes, ...rest) => {
    given = { id, hash: hashOf(bytes) };
    return putHead.call(store, id, key, bytes, ...rest);
  };
  session.addEventListener('saved', async () => {
    const { id, hash } = given;
    const number = ++count;
    await say(`head/${id}/${number}/${await hash}`);
  });
  const file = act === 'import' && await session.export('project');
  await say(`start/${turn}`);
  for (let n = 0; ; n++) {
    const { id } = session.project;
    const name = (kind) => `${turn}-${n}-${kind}`;
    await say(`begin/${turn}`);
    if (act === 'import') {
      const made = await session.importProject(file);
      await say(`project/${id}/${made.id}`);
    } else if (act === 'correct') {
      const kind = n % 2 ? 'red' : 'blue';
      await session.correct(await shot(kind, name(kind)), kind);
      await say(`photo/${id}/${name(kind)}`);
    } else {
      for (const kind of ['red', 'blue']) {
        await session.add(kind, [await shot(kind, name(kind))]);
        await say(`photo/${id}/${name(kind)}`);
      }
      await say(`run/${id}/${(await session.train()).at}`);
    }
    await say(`end/${turn}`);
  }
}"""


def _arrive(page: Any, site: Site) -> Any:
    page.goto(site.url + "bare.html")
    page.evaluate(_ENTER)
    return page


def check(before: dict[str, Any], log: list[str], seen: dict[str, Any]) -> list[str]:
    """What is wrong with what is kept, by what there was and what the server was told since."""
    wrong = list(seen["wrong"])
    want = copy.deepcopy(before["found"])
    heads = {id: [one["head"]] for id, one in want.items()}
    for kind, *rest in (path.split("/")[1:] for path in log if path.startswith("told/")):
        if kind == "photo":
            want[rest[0]]["photos"].append(rest[1])
        elif kind == "run":
            want[rest[0]]["runs"].append(int(rest[1]))
        elif kind == "project":
            want[rest[1]] = copy.deepcopy(want[rest[0]])
        elif kind == "head":
            heads.setdefault(rest[0], []).append(rest[2])
    for id, one in want.items():
        got = seen["found"].get(id)
        if got is None:
            wrong.append(f"project {id} is lost")
            continue
        for part in ("photos", "classes", "runs"):
            wrong += [f"{part}: {x} is lost" for x in one[part] if x not in got[part]]
    for id, told in heads.items():
        head = seen["found"].get(id, {"head": ""})["head"]
        if not head:
            wrong.append(f"the head of {id} is lost")
        elif head != told[-1] and head in told:
            wrong.append(f"the head of {id} is an older one")
    # A project that came in, and of which nobody was told: it is whole.
    whole = before["found"][before["now"]]
    for id in seen["found"].keys() - want.keys():
        for part in ("photos", "classes"):
            if sorted(seen["found"][id][part]) != sorted(whole[part]):
                wrong.append(f"project {id} is half: {part}")
    return wrong


def kill_within_sessions(
    kind: Any, path: str, site: Site, profile: Path, *, rounds: int, seed: int
) -> tuple[Counter[str], int, list[str]]:
    """Kill `rounds` times; each act in its turn, each way in its turn.

    Args:
        kind: Playwright's `BrowserType` of Chromium.
        path: the browser to start.
        site: the folder of a Studio that tells red from blue.
        profile: an empty folder for the browser's profile.

    Returns:
        how often amid each act, how many things had been told as kept, and what was wrong.
    """
    site.pages["bare.html"] = BARE
    rng = random.Random(seed)
    browser = Browser(kind, path, profile)
    amid: Counter[str] = Counter()
    wrong: list[str] = []
    kept = 0
    try:
        page = browser.page(site, _arrive)
        for turn in range(rounds):
            act, way = ACTS[turn % len(ACTS)], WAYS[turn // len(ACTS) % len(WAYS)]
            before = page.evaluate(_READY)
            since = len(site.log)
            page.evaluate(f"(args) => {{ ({_WORK})(args); }}", [act, turn])
            end = time.monotonic() + START_SECONDS
            while f"told/start/{turn}" not in site.log and time.monotonic() < end:
                page.wait_for_timeout(5)
            page.wait_for_timeout(rng.uniform(0, LATEST_MS))
            if way == "kill the browser":
                browser.kill()
            else:
                browser.kill_tabs(page)
            log = site.log[since:]
            amid[act] += log.count(f"told/begin/{turn}") > log.count(f"told/end/{turn}")
            kept += sum(path.split("/")[1] in ("photo", "run", "project", "head") for path in log
                        if path.startswith("told/"))  # fmt: skip
            page = browser.page(site, _arrive)
            seen = page.evaluate(_LOOK)
            wrong += [f"round {turn} ({act}, {way}): {what}" for what in check(before, log, seen)]
    finally:
        if browser.process is not None:
            browser.kill()
    return amid, kept, wrong
