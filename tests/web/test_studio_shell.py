"""Studio and the shell of its page: a newer version waits while it works, all is kept when idle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web.server import serve
from tests.web.studio_site import BARE, photos, write_studio

pytestmark = pytest.mark.chromium

OPEN = """async ({ red, blue }) => {
  const { TransferSession } = await import('./transfer.js');
  const files = (all, kind) => all.map((bytes, i) => (
    new File([Uint8Array.from(bytes)], `${kind} ${i}.png`, { type: 'image/png' })));
  const session = await TransferSession.open('./', { store: false });
  await session.add(session.classes[0].id, files(red, 'red'));
  await session.add(session.classes[1].id, files(blue, 'blue'));
  // The page's worker has locks of its own, while it fetches.
  const held = async () => (await navigator.locks.query()).held.map(({ name }) => name)
    .filter((name) => name.startsWith('fanlight-busy'));
  const seen = [];
  const stopper = new AbortController();
  const onEpoch = async () => {
    seen.push(...await held());
    if (seen.length) stopper.abort();
  };
  const given = { epochs: 5000, schedule: 'constant' };
  await session.train(given, { onEpoch, signal: stopper.signal });
  await new Promise((resolve) => setTimeout(resolve, 50));
  return { seen: [...new Set(seen)], after: await held() };
}"""


def test_a_training_holds_up_a_newer_version_where_there_is_a_shell(
    page: Any, tmp_path: Path
) -> None:
    write_studio(tmp_path / "site")
    given = {"red": photos("red", 4), "blue": photos("blue", 4)}
    script = '<script type="module" src="register.js"></script>'
    with serve(tmp_path / "site") as site:
        site.pages["with.html"] = BARE + script
        page.goto(site.url + "with.html")
        found = page.evaluate(OPEN, given)
        assert found["seen"] == [f"fanlight-busy {site.url}"] and found["after"] == []
