"""A new user walks through the whole of Studio: collect, train, try, correct, keep, come back, tag.

With FANLIGHT_SCREENSHOTS=DIR it writes the pictures of docs/studio.md.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

import fanlight as fl
from tests.support import ROOT
from tests.web.server import Site, serve
from tests.web.studio_parts import serious
from tests.web.waiting import until

pytestmark = pytest.mark.chromium

CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
TIMEOUT = 120_000
STUDIO = "document.querySelector('fanlight-studio')"
SESSION = f"{STUDIO}.session"

# What a drop of files does. A page's script may not make folders of a drop: those are picked.
DROP = """(card, all) => {
  const data = new DataTransfer();
  for (const [name, bytes] of all) {
    data.items.add(new File([Uint8Array.from(bytes)], name, { type: 'image/png' }));
  }
  const how = { dataTransfer: data, bubbles: true, composed: true, cancelable: true };
  const at = card.shadowRoot.firstElementChild;
  for (const name of ['dragover', 'drop']) at.dispatchEvent(new DragEvent(name, how));
}"""
PAINTED = """(view) => {
  const canvas = view.shadowRoot.querySelector('canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return new Set(data.filter((_, i) => i % 4 === 3)).size;
}"""


def drawing(kind: str, number: int) -> bytes:
    """A drawn apple (red) or plum (blue) on a table, of 96 pixels."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(number + 1000 * (kind == "plum"))
    table = tuple(int(v) for v in rng.integers(60, 75, 3))
    image = Image.new("RGB", (96, 96), table)
    draw = ImageDraw.Draw(image)
    x, y = (int(v) for v in rng.integers(38, 58, 2))
    r = int(rng.integers(34, 44))
    shade = int(rng.integers(0, 50))
    body = (215 - shade, 45, 40) if kind == "apple" else (70, 50, 190 - shade)
    draw.ellipse((x - r, y + r - 8, x + r, y + r + 4), fill=tuple(v - 45 for v in table))
    draw.ellipse((x - r, y - r, x + r, y + r), fill=body)
    light = tuple(min(255, v + 60) for v in body)
    draw.ellipse((x - r // 2, y - r // 2, x - r // 6, y - r // 6), fill=light)
    draw.line((x, y - r + 4, x + 4, y - r - 9), fill=(90, 60, 30), width=3)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def files(kind: str, count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"name": f"{kind} {n}.png", "mimeType": "image/png", "buffer": drawing(kind, n)}
        for n in range(start, start + count)
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("walk") / "site"
    fl.studio(folder, unfreeze=[], compress=False)  # the backbone that ships
    with serve(folder) as site:
        yield site


@pytest.fixture
def visitor(chromium_path: str, playwright: Any, site: Site) -> Iterator[Any]:
    """Somebody's first visit, with a camera; any error in the page fails the test."""
    from fanlight.hosts.browser import chromium_flags

    errors: list[str] = []
    browser = playwright.chromium.launch(
        executable_path=chromium_path, headless=True, args=[*chromium_flags(), *CAMERA]
    )
    page = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page.set_default_timeout(TIMEOUT)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda message: errors.append(message.text) if message.type == "error" else None,
    )
    page.goto(site.url + "index.html")
    page.locator("fl-class").nth(1).wait_for()
    yield page
    browser.close()
    assert errors == []


def picture(
    page: Any, name: str, width: int = 1280, scheme: str = "light", at: str | None = None
) -> None:
    """A picture of what is seen, where pictures are asked for; `at`: the step it begins with."""
    folder = os.environ.get("FANLIGHT_SCREENSHOTS")
    if not folder:
        return
    page.evaluate(f"{STUDIO}.shadowRoot.querySelector('fl-toast.foot').hide()")  # it covers things
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900 if width > 400 else 760})
    if at:
        page.locator(at).evaluate("(step) => step.scrollIntoView({ behavior: 'instant' })")
    page.wait_for_timeout(400)
    page.screenshot(path=Path(folder) / f"{name}.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 900})


def audit(page: Any, scheme: str = "light") -> None:
    """Nothing serious stands in the way of those who do not see it all."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no colour is half way
    page.wait_for_timeout(300)
    page.evaluate((ROOT / "node_modules/axe-core/axe.min.js").read_text("utf-8"))
    assert serious(page) == []
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")


def saved(page: Any, name: str, folder: Path) -> Path:
    """The file that a button gives."""
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def collect(page: Any) -> None:
    for i, name in enumerate(("Apple", "Plum")):
        box = page.locator("fl-class").nth(i).get_by_label("Name of the class")
        box.fill(name)
        box.press("Enter")
    until(page, f"{SESSION}.classes.map((c) => c.name).join() === 'Apple,Plum'", 60)
    picture(page, "empty")
    with page.expect_file_chooser() as chooser:
        first = page.locator("fl-class").first
        first.get_by_role("button", name="Photos", exact=True).click()
    chooser.value.set_files(files("apple", 15))
    plums = [[f["name"], list(f["buffer"])] for f in files("plum", 15)]
    page.locator("fl-class").nth(1).evaluate(DROP, plums)
    until(page, f"{SESSION}.examples.length === 30 && {SESSION}.waiting === 0")
    picture(page, "collect")
    picture(page, "collect-tablet", 768, "dark")


def by_camera(page: Any) -> None:
    """A third class of what the camera sees; then it is thought better of."""
    page.get_by_role("button", name="Another class").click()
    third = page.locator("fl-class").nth(2)
    third.get_by_role("button", name="Camera", exact=True).click()
    hold = page.get_by_role("button", name="Hold to take photos")
    expect(hold).to_be_enabled(timeout=TIMEOUT)  # the camera runs
    hold.hover()
    page.mouse.down()
    until(page, f"{SESSION}.examples.length >= 32")
    page.mouse.up()
    page.get_by_role("button", name="Close the camera").click()
    sources = page.evaluate(f"{SESSION}.examples.slice(30).map((e) => e.source)")
    assert set(sources) == {"camera"}
    third.get_by_role("button", name="More for").click()
    third.get_by_role("button", name="Remove this class").click()
    page.locator("fl-class").nth(2).wait_for(state="detached")


def train(page: Any) -> None:
    page.locator("fl-train").get_by_role("button", name="Train", exact=True).click()
    page.locator("fl-train #result").wait_for()
    assert page.evaluate(f"{SESSION}.classes.length") == 2
    report = page.evaluate(f"{SESSION}.report")
    assert (report["count"], report["accuracy"]) == (4, 1)
    page.locator("fl-train summary").filter(has_text="How it learnt").click()
    curves = page.get_by_role("img", name="How often it is right")
    curves.wait_for()
    assert page.locator("fl-confusion").get_by_role("button").count() >= 2
    picture(page, "train", at="#train")
    picture(page, "train-dark", scheme="dark", at="#train")
    audit(page)
    audit(page, "dark")


def ask_and_correct(page: Any) -> None:
    tried = page.locator("fl-try")
    tried.locator("input[type=file]").set_input_files(files("plum", 2, 70))
    tried.locator(".said strong").filter(has_text="Plum").wait_for()
    tried.get_by_role("switch", name="Show where it looks").check()
    heat = tried.locator("fl-heat")
    heat.wait_for()
    until(page, f"{STUDIO}.shadowRoot.querySelector('fl-try')._answer?.heat !== null")
    page.wait_for_timeout(100)
    assert heat.evaluate(PAINTED) > 20  # not one colour
    picture(page, "try", at="#try")
    tried.get_by_role("switch", name="Keep some photos aside").check()
    until(page, f"{SESSION}.examples.filter((e) => e.held).length === 6")
    tried.get_by_role("button", name="That's wrong").click()
    tried.locator(".chips").get_by_role("button", name="Plum").click()
    tried.get_by_text("Learnt in").wait_for()
    effect = tried.locator(".change")
    assert effect.inner_text().count("of 6") == 2  # before, and now
    assert page.evaluate(f"{SESSION}.examples.at(-1).source") == "correction"
    picture(page, "correct", 360, at="fl-try .answers")
    audit(page)


def keep(page: Any, folder: Path) -> Path:
    page.locator("fl-keep summary").filter(has_text="For developers").click()
    names = ["Web page", "One file", "Whole project", "npm folder", "TensorFlow.js", "Weights"]
    got = {name: saved(page, f"Save: {name}", folder) for name in names}
    assert len({path.name for path in got.values()}) == 6  # none hides another
    for name, path in got.items():
        assert path.stat().st_size > 1000, name
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None and len(archive.namelist()) > 2
    picture(page, "keep", at="#keep")
    return got["Whole project"]


def come_back(page: Any, project: Path) -> None:
    page.reload()
    page.locator("fl-try").wait_for()
    state = f"[{SESSION}.examples.length, {SESSION}.trained, {SESSION}.project.runs.length]"
    assert page.evaluate(state) == [31, True, 1]
    page.locator("fl-keep input[type=file]").set_input_files(project)
    page.locator("fl-toast").get_by_text("Here it is").wait_for()
    assert page.evaluate(state) == [31, True, 1]
    assert len(page.evaluate(f"{SESSION}.store.projects()")) == 2


def tag(page: Any, folder: Path) -> None:
    photos = folder / "fruit"
    photos.mkdir()
    for kind in ("apple", "plum"):
        for n in (80, 81):
            (photos / f"{kind} {n}.png").write_bytes(drawing(kind, n))
    page.get_by_role("button", name="Tag photos").click()
    page.locator("fl-tag #folder").set_input_files(photos)
    page.get_by_role("button", name="Table (CSV)").wait_for()
    until(page, f"{SESSION}.busy === undefined")
    picture(page, "tag")
    audit(page)
    table = saved(page, "Table (CSV)", folder).read_text("utf-8-sig").splitlines()
    assert table[0].startswith("file,tag,score")
    said = {line.split(",")[0].split("/")[-1].split()[0] + line.split(",")[1] for line in table[1:]}
    assert len(table) == 5 and said == {"appleApple", "plumPlum"}


def test_a_new_user_teaches_tries_corrects_keeps_and_comes_back(
    visitor: Any, tmp_path: Path
) -> None:
    collect(visitor)
    by_camera(visitor)
    train(visitor)
    ask_and_correct(visitor)
    project = keep(visitor, tmp_path)
    come_back(visitor, project)
    tag(visitor, tmp_path)
