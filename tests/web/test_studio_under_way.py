"""Photos on their way in Studio's page, in Chromium: how far they are, and what stops them.

The session is a fake (studio_fake.js), but where the model itself has to come.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import serve
from tests.web.studio_site import write_studio
from tests.web.test_studio_collect import (  # noqa: F401
    FIND,
    camera_browser,
    card,
    examples,
    files,
    photo,
    studio,
    studio_site,
    until,
)

pytestmark = pytest.mark.chromium


def folders(root: Path, each: int) -> Path:
    for kind in ("cats", "dogs"):
        (root / "pets" / kind).mkdir(parents=True)
        for n in range(each):
            (root / "pets" / kind / f"{n}.png").write_bytes(photo(n))
    return root / "pets"


# --- adding ------------------------------------------------------------------------------------


def test_folders_tell_how_far_they_are_and_can_be_stopped(studio: Any, tmp_path: Path) -> None:  # noqa: F811
    studio.evaluate("session.waits = 60")
    studio.locator("fl-collect input.folders").set_input_files(folders(tmp_path, 20))
    status = studio.locator("fl-collect").get_by_text("of 40")
    status.wait_for()
    assert status.inner_text().startswith("Adding ")
    studio.get_by_role("button", name="Stop").click()
    status.wait_for(state="detached")
    studio.wait_for_timeout(200)
    taken = len(examples(studio, "id"))
    studio.wait_for_timeout(300)
    assert len(examples(studio, "id")) == taken < 40


def test_before_anything_is_found_it_says_that_it_looks(studio: Any, tmp_path: Path) -> None:  # noqa: F811
    studio.evaluate("""() => { session.add = () => new Promise((resolve) => {
      globalThis.done = () => resolve({ added: [], refused: [] }); }); }""")
    card(studio, 0).locator("input.zip").set_input_files(
        {"name": "a.zip", "mimeType": "application/zip", "buffer": b"PK"}
    )
    studio.get_by_text("Looking for photos").wait_for()
    studio.evaluate("done()")
    studio.get_by_text("Looking for photos").wait_for(state="detached")


@pytest.mark.parametrize("way", ["folders", "class"])
def test_another_project_stops_what_is_on_its_way_to_the_first(
    studio: Any,  # noqa: F811
    tmp_path: Path,
    way: str,
) -> None:
    studio.evaluate("session.waits = 60")
    if way == "folders":
        studio.locator("fl-collect input.folders").set_input_files(folders(tmp_path, 20))
    else:
        card(studio, 0).locator("input.files").set_input_files(files(*range(40)))
    until(studio, "session.examples.length > 1")
    studio.evaluate("""async () => { globalThis.late = 0; await session.load('p2');
      session.addEventListener('change', () => { late++; }); }""")
    told = studio.locator("fl-toast.foot")
    told.get_by_text("Another project was opened while photos came in.").wait_for()
    assert studio.get_by_text("of 40").count() == 0
    studio.evaluate("late = 0")
    studio.wait_for_timeout(400)
    assert studio.evaluate("late") == 0


def test_two_takings_of_folders_are_told_together(studio: Any, tmp_path: Path) -> None:  # noqa: F811
    studio.evaluate("session.waits = 60")
    chosen = studio.locator("fl-collect input.folders")
    chosen.set_input_files(folders(tmp_path / "one", 10))
    chosen.set_input_files(folders(tmp_path / "two", 20))
    studio.get_by_text("of 60").wait_for()
    studio.get_by_role("button", name="Stop").click()
    studio.get_by_text("of 60").wait_for(state="detached")
    studio.wait_for_timeout(200)
    taken = len(examples(studio, "id"))
    studio.wait_for_timeout(300)
    assert len(examples(studio, "id")) == taken


def test_a_project_that_is_unpacked_tells_how_far_it_is(studio: Any) -> None:  # noqa: F811
    studio.evaluate("""() => { session.importProject = async (file, { onProgress }) => {
      onProgress(32, 300);
      await new Promise((resolve) => { globalThis.go = resolve; });
      return session.project; }; }""")
    studio.get_by_role("button", name="Your projects").click()
    window = studio.locator("fl-projects")
    window.get_by_role("button", name="Open a file").wait_for()
    window.locator("input.file").set_input_files(
        {"name": "x.zip", "mimeType": "application/zip", "buffer": b"PK.."}
    )
    window.get_by_text("Unpacking 32 of 300 photos").wait_for()
    studio.evaluate("go()")
    window.get_by_text("Unpacking").wait_for(state="detached")


# --- the camera --------------------------------------------------------------------------------

# Photos are made when the test says so: `shots` holds those that are asked for.
GATE = """() => {
  globalThis.shots = [];
  const make = OffscreenCanvas.prototype.convertToBlob;
  OffscreenCanvas.prototype.convertToBlob = async function (...how) {
    await new Promise((resolve) => { shots.push(resolve); });
    return make.apply(this, how);
  };
}"""
PRESS = """(types) => { const hold = find('.hold');
  for (const type of types) {
    hold.dispatchEvent(new KeyboardEvent(type, { key: ' ', bubbles: true, composed: true }));
  } }"""


def film(page: Any) -> None:
    card(page, 0).get_by_role("button", name="Camera", exact=True).click()
    page.get_by_label("How fast").select_option("10")
    until(page, "find('video')?.videoWidth > 0")


def test_photos_that_could_not_be_kept_are_not_counted(studio: Any) -> None:  # noqa: F811
    film(studio)
    studio.evaluate(
        """() => { session.add = async () => {
          throw Object.assign(new Error(), { code: 'E-STUDIO-030', reason: 'The storage is full',
            next: 'delete some photos' }); }; }"""
    )
    studio.evaluate(PRESS, ["keydown"])
    studio.locator("fl-toast.foot").get_by_text("The storage is full").wait_for()
    until(studio, "find('fl-camera').taken === 0 && !find('fl-camera').holding")


def test_a_quick_second_press_takes_no_more_than_one_photo_at_a_time(studio: Any) -> None:  # noqa: F811
    film(studio)
    studio.evaluate(GATE)
    studio.evaluate(PRESS, ["keydown", "keyup", "keydown"])
    assert studio.evaluate("shots.length") == 2  # one of each press
    studio.evaluate("shots.splice(0).forEach((go) => go())")
    until(studio, "shots.length > 0")
    studio.wait_for_timeout(600)  # six times what is between two photos
    assert studio.evaluate("shots.length") == 1
    studio.evaluate(PRESS, ["keyup"])
    studio.evaluate("shots.splice(0).forEach((go) => go())")
    until(studio, "session.examples.length === 3")
    studio.wait_for_timeout(300)
    assert studio.evaluate("shots.length") == 0


def test_a_countdown_after_a_press_takes_all_its_photos(studio: Any) -> None:  # noqa: F811
    film(studio)
    studio.evaluate(GATE)
    studio.evaluate(PRESS, ["keydown", "keyup"])
    studio.get_by_role("button", name="3 s").click()
    until(studio, "shots.length === 2")
    studio.evaluate("() => { globalThis.timer = setInterval(() => shots.shift()?.(), 5); }")
    until(studio, "session.examples.length === 21", 20)
    studio.wait_for_timeout(400)
    assert len(examples(studio, "id")) == 21
    studio.evaluate("clearInterval(timer)")


def test_a_refused_frame_does_not_take_those_that_wait_with_it(studio: Any) -> None:  # noqa: F811
    film(studio)
    studio.evaluate("""() => { globalThis.given = []; globalThis.gates = [];
      const add = session.add.bind(session);
      session.add = async (to, photos, how) => {
        given.push(photos.length);
        if (given.length > 1) return add(to, photos, how);
        await new Promise((resolve) => { gates.push(resolve); });
        return { added: [], refused: photos.map(() => ({ name: 'frame', error: {
          code: 'E-STUDIO-010', reason: 'This frame is broken', next: 'go on' } })) }; }; }""")
    studio.evaluate(PRESS, ["keydown"])
    until(studio, "find('fl-camera').taken >= 4")
    studio.evaluate("gates[0]()")
    studio.locator("fl-toast.foot").get_by_text("This frame is broken.").wait_for()
    # All that waited are there, it says so, and more can be taken.
    until(studio, "given.length > 1 && session.examples.length === given[1]")
    assert studio.evaluate("given[0]") == 1 and len(examples(studio, "id")) >= 3
    studio.get_by_text(f"{len(examples(studio, 'id'))} photos taken").wait_for()
    studio.evaluate(PRESS, ["keyup", "keydown"])
    until(studio, "session.examples.length > given[1]")
    studio.evaluate(PRESS, ["keyup"])


# --- the model ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio") / "site"
    write_studio(folder)
    return folder


def test_the_models_download_is_told_with_its_bytes(page: Any, whole: Path) -> None:
    with serve(whole) as site:
        # Both halves of each file: one of them alone could be all but nothing of the whole.
        site.fail("models/weights", "wait, hold", "wait, hold")
        page.goto(site.url + "index.html")
        page.wait_for_selector("fl-class >> nth=1")
        card(page, 0).locator("input.files").set_input_files(files(1, 2, 3))
        # Not a byte has come: the photos are there, and it says that they wait.
        page.get_by_text("0 of 3 photos ready").wait_for()
        site.go.set()
        status = page.locator("fl-status .get")
        status.wait_for()
        assert re.search(r"model: \d+ kB of 128 kB", status.inner_text()), status.inner_text()
        assert "You can add photos already." in status.inner_text()
        share = int(status.get_by_role("progressbar").get_attribute("aria-valuenow"))
        assert 0 < share < 100
        site.release.set()
        status.wait_for(state="detached")
        page.get_by_text("photos ready").wait_for(state="detached")


def test_while_a_project_waits_for_its_model_no_photos_are_asked_for(studio: Any) -> None:  # noqa: F811
    studio.evaluate("""() => {
      Object.assign(document.querySelector('fanlight-studio'),
        { session: null, progress: { loaded: 2e6, total: 8e6 } }); }""")
    status = studio.locator("fl-status .get")
    status.wait_for()
    assert "2.0 MB of 8.0 MB" in status.inner_text()
    assert "add photos" not in status.inner_text()
