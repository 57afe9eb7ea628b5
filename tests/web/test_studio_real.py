"""Studio's real page and session: folders and zips, copies, one camera in two rooms."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageEnhance

from tests.web.server import Site, serve
from tests.web.studio_film import BETWEEN, film
from tests.web.studio_site import photo, write_studio
from tests.web.test_studio_bad_input import arrive, card, enter, give, some, until, zipped

pytestmark = pytest.mark.chromium

# Names of the classes, and of the photos of each.
CLASSES = """() => session().classes.map(({ id, name }) => [name,
  session().examples.filter((e) => e.class === id).map((e) => e.name).sort()])"""
DROP = """([bytes, name]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(bytes)], name, { type: 'application/zip' }));
  const how = { dataTransfer: data, bubbles: true, composed: true, cancelable: true };
  const [at] = deep('header.top');
  for (const kind of ['dragover', 'drop']) at.dispatchEvent(new DragEvent(kind, how));
}"""
PAIRS = """async () => {
  const names = new Map(session().examples.map(({ id, name }) => [id, name]));
  return (await session().duplicates()).map(({ a, b, similarity }) => (
    [[names.get(a), names.get(b)].sort().join(), similarity]));
}"""
# Red of the left of a picture.
LEFT = """() => { globalThis.left = (canvas) => canvas.getContext('2d')
  .getImageData(canvas.width / 4, canvas.height / 2, 1, 1).data[0]; }"""
KEPT = """async () => {
  const bitmap = await createImageBitmap(await session().photo(session().examples.at(-1).id));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext('2d').drawImage(bitmap, 0, 0);
  return left(canvas);
}"""
ASKED = """() => {
  const { predict } = session();
  session().predict = function (source, how) {
    globalThis.asked = left(source);
    return predict.call(this, source, how);
  };
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio") / "site"
    write_studio(folder)
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    with serve(folder) as site:
        yield site


@pytest.fixture(scope="module")
def browser(
    chromium_path: str, playwright: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A Chromium whose camera shows a picture with a dark half and a light one."""
    from fanlight.hosts.browser import chromium_flags

    flags = film(tmp_path_factory.mktemp("film") / "halves.y4m")
    browser = playwright.chromium.launch(
        executable_path=chromium_path, headless=True, args=[*chromium_flags(), *flags]
    )
    yield browser
    browser.close()


@pytest.fixture
def visitor(browser: Any, site: Site) -> Iterator[Any]:
    """The page; any error in it fails the test."""
    context = browser.new_context(service_workers="block")
    context.set_default_timeout(20_000)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield enter(context, site)
    context.close()
    assert errors == []


def brighter(data: bytes) -> bytes:
    """The photo, a little brighter, as a JPEG."""
    out = io.BytesIO()
    image = ImageEnhance.Brightness(Image.open(io.BytesIO(data))).enhance(1.04)
    image.save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue()


def test_folders_and_zips_become_classes_and_copies_are_found(visitor: Any, tmp_path: Path) -> None:
    page = visitor
    red, green, blue = (photo(kind, 1) for kind in ("red", "green", "blue"))
    for name, data in {"Reds/red.png": red, "Blues/blue.png": blue}.items():
        (tmp_path / "all" / name).parent.mkdir(parents=True)
        (tmp_path / "all" / name).write_bytes(data)
    page.locator("fl-collect input.folders").set_input_files(tmp_path / "all")
    until(page, "session().examples.length === 2 && !session().waiting")
    # The two classes that a project begins with are taken first, and no name is left of them.
    found = page.evaluate(CLASSES)
    assert sorted(found) == [["Blues", ["blue.png"]], ["Reds", ["red.png"]]]
    # Of a zip: a class that is there takes its own, another one is made.
    both = zipped({"Reds/same.png": red, "Greens/green.png": green})
    page.evaluate(DROP, [list(both), "both.zip"])
    page.locator("fl-dialog.ask").get_by_role("button", name="for each folder").click()
    until(page, "session().examples.length === 4 && !session().waiting")
    want = [["Blues", ["blue.png"]], ["Greens", ["green.png"]], ["Reds", ["red.png", "same.png"]]]
    assert sorted(page.evaluate(CLASSES)) == want
    # A zip that one class is given belongs to it as a whole.
    reds = next(i for i, (name, _) in enumerate(page.evaluate(CLASSES)) if name == "Reds")
    card(page, reds).locator("input.zip").set_input_files(
        {
            "name": "more.zip",
            "mimeType": "application/zip",
            "buffer": zipped({"other/brighter.jpg": brighter(red)}),
        }
    )
    until(page, "session().examples.length === 5 && !session().waiting")
    assert page.evaluate(CLASSES)[reds][1] == ["brighter.jpg", "red.png", "same.png"]
    # The same file and the same photo anew are copies; photos of other things are none.
    pairs = dict(page.evaluate(PAIRS))
    assert pairs.keys() == {"red.png,same.png", "brighter.jpg,red.png", "brighter.jpg,same.png"}
    assert pairs["red.png,same.png"] == pytest.approx(1, abs=1e-6)
    assert 0.97 <= pairs["brighter.jpg,red.png"] < 1
    page.get_by_role("button", name="3 photos look alike").wait_for()


def mirror(room: Any) -> Any:
    return room.get_by_role("button", name="Mirror the picture")


def test_what_is_tried_is_seen_as_what_was_taught(visitor: Any) -> None:
    """Words and hands that were kept as they are must not be asked in a mirror."""
    page = visitor
    page.evaluate(LEFT)
    give(page, 1, some("blue", 6))
    until(page, "session().examples.length === 6 && !session().waiting")

    def kept() -> str:
        """How one more photo from the camera is kept."""
        count = page.evaluate("session().examples.length")
        # A press as a screen reader makes it: one photo.
        page.get_by_role("button", name="Hold to take photos").evaluate("(e) => e.click()")
        until(page, f"session().examples.length === {count + 1} && !session().waiting")
        return "as it is" if page.evaluate(KEPT) < BETWEEN else "in a mirror"

    def asked(how: str) -> None:
        """Wait until Try asks in this way."""
        until(page, f"globalThis.asked {'<' if how == 'as it is' else '>'} {BETWEEN}")

    card(page, 0).get_by_role("button", name="Camera", exact=True).click()
    collect, tried = page.locator("fl-camera"), page.locator("fl-try")
    until(page, "deep('fl-camera')[0]?.renderRoot.querySelector('video')?.videoWidth > 0")
    # A camera that looks at whom it shows to is a mirror as long as nobody wants it otherwise.
    assert mirror(collect).get_attribute("aria-pressed") == "true"
    assert [kept() for _ in range(3)] == ["in a mirror"] * 3
    mirror(collect).click()
    assert [kept() for _ in range(3)] == ["as it is"] * 3
    page.get_by_label("Close the camera").click()
    page.evaluate("() => session().configure({ epochs: 40, learningRate: 0.05 })")
    page.locator("fl-train").get_by_role("button", name="Train").click()
    until(page, "session().trained && !session().busy")

    page.evaluate(ASKED)
    tried.get_by_role("button", name="Use the camera").click()
    asked("as it is")
    assert tried.locator("video.mirror").count() == 0
    tried.locator(".said strong", has_text="Class 1").wait_for()
    mirror(tried).click()
    asked("in a mirror")
    assert tried.locator("video.mirror").count() == 1
    # And the other way round.
    card(page, 0).get_by_role("button", name="Camera", exact=True).click()
    until(page, "Boolean(deep('fl-camera')[0]?.camera)")
    assert mirror(collect).get_attribute("aria-pressed") == "true"
    assert kept() == "in a mirror"
    mirror(collect).click()
    tried.scroll_into_view_if_needed()
    asked("as it is")
    until(page, "session().settings.mirror === false")

    page.reload()
    arrive(page)
    page.evaluate(LEFT)
    until(page, "session().trained")
    page.evaluate(ASKED)
    tried.get_by_role("button", name="Use the camera").click()
    asked("as it is")
    assert mirror(tried).get_attribute("aria-pressed") == "false"
    # The project takes it along.
    again = """async () => (await session().importProject(await session().export('project')))
      .settings.mirror"""
    assert page.evaluate(again) is False
