from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.byte_nets import write_bytes
from tests.web.families import write_families
from tests.web.free_sizes import write_free_sizes
from tests.web.groups import write_groups
from tests.web.halves import write_half
from tests.web.server import Site, serve
from tests.web.toy import write_colours, write_double, write_page
from tests.web.training import write_training

# A bare page with the policy of ours, to call the runtime from.
BARE = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="'
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval'; connect-src 'self'; "
    "worker-src 'self' blob:; img-src 'self' blob: data:; media-src blob:\">"
    '<link rel="icon" href="data:,"><title>bare</title>'
)


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy bundles: double/, colours/ (256 px), photos/ (4096 px, with a page) and half/ (f16)."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("toys")
    write_double(folder / "double")
    write_colours(folder / "colours")
    write_colours(folder / "photos", side=4096)
    write_half(folder / "half")
    image = Image.new("RGB", (700, 500), (20, 160, 40))
    image.save(folder / "green_field.jpg")
    write_page(folder / "photos", [folder / "green_field.jpg"])
    return folder


@pytest.fixture(scope="session")
def byte_bundles(toys: Path) -> Path:
    """bytes/ among the toys: quantised bundles, and cases.json with their inputs."""
    write_bytes(toys / "bytes")
    return toys / "bytes"


@pytest.fixture(scope="session")
def family_bundle(toys: Path) -> Path:
    """families/ among the toys: one function with results of every family, and inputs.json."""
    write_families(toys / "families")
    return toys / "families"


@pytest.fixture(scope="session")
def free_sizes_bundle(toys: Path) -> Path:
    """free_sizes/ among the toys: a function of any number of rows."""
    write_free_sizes(toys / "free_sizes")
    return toys / "free_sizes"


@pytest.fixture(scope="session")
def training_bundle(toys: Path) -> Path:
    """training/ among the toys: a model that a page trains, and what Python makes of it."""
    write_training(toys / "training")
    return toys / "training"


@pytest.fixture(scope="session")
def groups(toys: Path) -> Path:
    """tiers/, lazy/, cascade/ and exits/ among the toys: folders of several bundles each."""
    write_groups(toys)
    return toys


@pytest.fixture
def site(toys: Path) -> Iterator[Site]:
    with serve(toys) as site:
        site.pages["bare.html"] = BARE
        yield site


@pytest.fixture
def bare(page: Any, site: Site) -> Any:
    """A page with `load`, and `caught(promise)` that gives an error as plain data.

    `kept(test)` waits until the files in Cache Storage (an array of sizes) are as a test wants.
    """
    page.goto(site.url + "bare.html")
    page.evaluate(
        """async (url) => {
          Object.assign(globalThis, await import(url));
          globalThis.caught = (promise) => promise.then(() => 'no error', (e) => (
            { name: e.name, code: e.code, reason: e.reason, next: e.next, message: e.message,
              expected: e.expected, received: e.received, where: e.where }));
          globalThis.kept = async (test) => {
            for (let i = 0; i < 200; i++) {
              const sizes = [];
              if (await caches.has('fanlight-v1')) {
                const store = await caches.open('fanlight-v1');
                for (const key of await store.keys()) {
                  sizes.push((await (await store.match(key)).arrayBuffer()).byteLength);
                }
              }
              if (test(sizes)) return;
              await new Promise((resolve) => setTimeout(resolve, 50));
            }
            throw new Error('the files were not kept');
          };
        }""",
        site.url + "double/fanlight.js",
    )
    return page
