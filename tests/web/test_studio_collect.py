"""Studio's page in a real Chromium: the frame, collecting, the camera, the grid and projects.

The session is a fake (studio_fake.js): what is tested is what a visitor sees and does.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fanlight.studio.site import page_files
from tests.web.server import Site, serve
from tests.web.waiting import until

pytestmark = pytest.mark.chromium

ROOT = Path(__file__).parents[2]
# A camera that is always there and allowed.
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SIZES = {"phone": (360, 740), "tablet": (768, 1024), "desktop": (1280, 800)}
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def studio_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Studio's page as `make setup` bundles it, with a session for tests."""
    folder = tmp_path_factory.mktemp("studio")
    for name, data in page_files("Studio").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    page = (folder / "index.html").read_text("utf-8")
    assert page.count(' src="./" heading=') == 1
    page = page.replace(' src="./" heading=', " heading=")
    page = page.replace("</head>", '<script type="module" src="fake.js"></script></head>')
    (folder / "fake.js").write_bytes((ROOT / "tests/web/studio_fake.js").read_bytes())
    (folder / "sw.js").write_text("")  # the page begins it; it is tested elsewhere
    with serve(folder) as site:
        site.pages["index.html"] = page
        yield site


@pytest.fixture(scope="module")
def camera_browser(chromium_path: str, playwright: Any) -> Iterator[Any]:
    from fanlight.hosts.browser import chromium_flags

    browser = playwright.chromium.launch(
        executable_path=chromium_path, headless=True, args=[*chromium_flags(), *CAMERA]
    )
    yield browser
    browser.close()


@pytest.fixture
def studio(camera_browser: Any, studio_site: Site) -> Iterator[Any]:
    """The page; any error in it fails the test."""
    context = camera_browser.new_context(viewport={"width": 1280, "height": 900})
    page = enter(context, studio_site)
    yield page
    context.close()
    assert page.errors == []


# `find(selector)`: the first such element, in shadow trees, too.
FIND = """() => {
  globalThis.find = (selector, root = document) => root.querySelector(selector)
    ?? [...root.querySelectorAll("*")].map(({ shadowRoot: at }) => at && find(selector, at))
      .find(Boolean);
}"""


def enter(context: Any, site: Site) -> Any:
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on(
        "console",
        lambda message: page.errors.append(message.text) if message.type == "error" else None,
    )
    page.goto(site.url + "index.html")
    page.wait_for_selector("fl-class >> nth=1")
    page.evaluate(FIND)
    return page


def card(page: Any, index: int) -> Any:
    return page.locator("fl-class").nth(index)


def fill(page: Any, *counts: int) -> None:
    """So many photos in each of the classes."""
    page.evaluate(
        """async (counts) => {
          for (const [i, n] of counts.entries()) {
            await session.fill(session.classes[i].id, n, i ? 'hill' : 'sun');
          }
        }""",
        list(counts),
    )


def photo(number: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 48), (number * 37 % 256, 120, 200)).save(out, "PNG")
    return out.getvalue()


def files(*numbers: int) -> list[dict[str, Any]]:
    return [
        {"name": f"photo {n}.png", "mimeType": "image/png", "buffer": photo(n)} for n in numbers
    ]


def examples(page: Any, key: str) -> list[Any]:
    return page.evaluate("(key) => session.examples.map((one) => one[key])", key)


# --- the first look ----------------------------------------------------------------------------


def test_a_new_visitor_finds_two_classes_and_what_to_do(studio: Any) -> None:
    assert [card(studio, i).get_by_label("Name of the class").input_value() for i in (0, 1)] == [
        "Class 1",
        "Class 2",
    ]
    for i in (0, 1):
        for name in ("Camera", "Photos"):
            assert card(studio, i).get_by_role("button", name=name, exact=True).is_visible()
    headings = studio.locator("main .step > h2").all_inner_texts()
    assert [text.split()[-1] for text in headings] == ["Collect", "Train", "Try", "Keep"]
    assert studio.locator("section.now").get_attribute("id") == "collect"


def test_photos_are_chosen_and_the_next_step_is_shown(studio: Any) -> None:
    for i in (0, 1):
        with studio.expect_file_chooser() as chooser:
            card(studio, i).get_by_role("button", name="Photos", exact=True).click()
        chooser.value.set_files(files(1 + i, 11 + i, 21 + i))
    until(studio, "session.examples.length === 6")
    studio.wait_for_selector("section.train.now")
    assert card(studio, 0).get_by_role("option").count() == 3
    assert studio.evaluate("session.asked") == 1  # for storage that stays
    assert studio.locator("section.collect.done").count() == 1


def test_what_is_no_photo_is_told_in_its_card(studio: Any) -> None:
    broken = {"name": "<b>notes</b>.txt", "mimeType": "text/plain", "buffer": b"no photo"}
    card(studio, 0).locator("input.files").set_input_files([*files(1), broken])
    note = card(studio, 0).get_by_role("alert").filter(has_text="no photo")
    note.wait_for()
    assert "<b>notes</b>.txt" in note.inner_text()
    assert "Choose a JPEG or PNG." in note.inner_text()
    note.get_by_label("Close this message").click()
    note.wait_for(state="detached")
    assert len(examples(studio, "id")) == 1


# --- classes -----------------------------------------------------------------------------------


def test_names_of_classes_are_text_and_are_checked(studio: Any) -> None:
    name = card(studio, 0).get_by_label("Name of the class")
    name.fill("<img src=x onerror=alert(1)>")
    name.press("Enter")
    until(studio, "session.classes[0].name.startsWith('<img')")
    assert studio.evaluate("document.querySelectorAll('img[onerror]').length") == 0
    second = card(studio, 1).get_by_label("Name of the class")
    second.fill("<IMG src=x onerror=alert(1)>")
    assert "has this name already" in card(studio, 1).get_by_role("alert").inner_text()
    second.press("Escape")
    assert second.input_value() == "Class 2"
    second.fill("   ")
    assert "needs a name" in card(studio, 1).get_by_role("alert").inner_text()
    second.blur()
    assert second.input_value() == "Class 2"
    second.fill("x" * 200)
    assert len(second.input_value()) == 80
    assert studio.evaluate("session.classes[1].name") == "Class 2"


def test_the_colour_of_a_class_is_chosen(studio: Any) -> None:
    fill(studio, 3, 3)
    colour = card(studio, 1).get_by_label("Colour of Class 2")
    assert colour.input_value() == studio.evaluate("session.classes[1].color")
    colour.fill("#12ab34")
    until(studio, "session.classes[1].color === '#12ab34'")
    shown = "(e) => getComputedStyle(e).backgroundColor"
    for place in (card(studio, 1).locator(".color .dot"), studio.locator(".balance i").nth(1)):
        assert place.evaluate(shown) == "rgb(18, 171, 52)"
    assert studio.evaluate("session.classes[0].color") != "#12ab34"
    # What cannot be kept is told.
    studio.evaluate(
        """() => { session.recolorClass = async () => {
          throw Object.assign(new Error(), { code: 'E-STUDIO-030', reason: 'The storage is full',
            next: 'delete some photos' }); }; }"""
    )
    colour.fill("#000000")
    studio.locator("fl-toast.foot").get_by_text("The storage is full").wait_for()


# What has the keys, in shadow trees, too.
FOCUSED = """((find) => find(document.activeElement, find))(
  (at, find) => at?.shadowRoot?.activeElement ? find(at.shadowRoot.activeElement, find) : at)"""


def test_a_class_is_added_removed_and_had_back(studio: Any) -> None:
    fill(studio, 4, 3)
    studio.get_by_role("button", name="Another class").click()
    studio.wait_for_selector("fl-class >> nth=2")
    assert card(studio, 2).get_by_label("Name of the class").evaluate("e => e.matches(':focus')")
    card(studio, 0).get_by_role("button", name="More for Class 1").click()
    card(studio, 0).get_by_role("button", name="Remove this class").click()
    status = studio.locator("fl-toast.foot")
    status.get_by_text("Class 1 and its 4 photos removed").wait_for()
    assert studio.locator("fl-class").count() == 2
    until(studio, f"{FOCUSED}.value === 'Class 2'")
    assert studio.evaluate("session.classes.length") == 3  # until it is too late to have it back
    status.get_by_role("button", name="Undo").click()
    studio.wait_for_selector("fl-class >> nth=2")
    until(studio, f"{FOCUSED}.value === 'Class 1'")
    assert len(examples(studio, "id")) == 7
    card(studio, 0).get_by_role("button", name="More for Class 1").click()
    card(studio, 0).get_by_role("button", name="Remove this class").click()
    status.get_by_role("button", name="Undo").wait_for()
    studio.locator("#train").press("Tab")  # the way to Undo leads past the other steps
    assert studio.evaluate("session.classes.length") == 3
    # What is done next is done without it, and then there is nothing to be had back.
    studio.get_by_role("button", name="Tag photos").click()
    until(studio, "session.classes.length === 2 && session.examples.length === 3", 6)
    status.get_by_role("button", name="Undo").wait_for(state="detached")


def test_uneven_classes_are_pointed_out(studio: Any) -> None:
    fill(studio, 40, 4)
    hint = studio.get_by_text("could use more photos")
    hint.wait_for()
    assert "Class 2 could use more photos" in hint.inner_text()
    assert "10 times as many" in hint.inner_text()
    bar = studio.locator(".balance")
    assert bar.get_attribute("aria-label") == "Class 1: 40 photos, Class 2: 4 photos"


def test_progress_of_features_is_told(studio: Any) -> None:
    fill(studio, 3, 3)
    studio.evaluate("session.tell('features', { done: 2, count: 6 })")
    studio.get_by_text("2 of 6 photos ready").wait_for()
    studio.evaluate("session.tell('features', { done: 6, count: 6 })")
    studio.get_by_text("photos ready").wait_for(state="detached")


def test_adding_shows_how_far_it_is_and_can_be_stopped(studio: Any) -> None:
    studio.evaluate("session.waits = 60")
    card(studio, 0).locator("input.files").set_input_files(files(*range(40)))
    studio.get_by_text("of 40").wait_for()
    card(studio, 1).locator("input.files").set_input_files(files(50))
    card(studio, 0).get_by_role("button", name="Stop").click()
    studio.get_by_text("of 40").wait_for(state="detached")
    until(studio, "session.examples.some((one) => one.name === 'photo 50.png')")
    assert 1 <= len(examples(studio, "id")) < 41


# --- drops and pastes --------------------------------------------------------------------------

DROP = """([selector, count, type]) => {
  const data = new DataTransfer();
  for (let n = 0; n < count; n++) {
    data.items.add(new File([globalThis.shot], `dropped ${n}.${type}`, { type: `image/${type}` }));
  }
  const at = find(selector);
  const how = { dataTransfer: data, bubbles: true, composed: true, cancelable: true };
  for (const name of ['dragover', 'drop']) at.dispatchEvent(new DragEvent(name, how));
}"""


def test_photos_dropped_on_a_class_go_there(studio: Any) -> None:
    studio.evaluate("async () => { globalThis.shot = await picture(4); }")
    studio.evaluate(DROP, [".head", 3, "jpeg"])
    until(studio, "session.examples.length === 3")
    assert set(examples(studio, "class")) == {studio.evaluate("session.classes[0].id")}


def test_photos_dropped_beside_the_classes_are_asked_for(studio: Any) -> None:
    studio.evaluate("async () => { globalThis.shot = await picture(4); }")
    studio.evaluate(DROP, ["header.top", 2, "jpeg"])
    asked = studio.locator("fl-dialog.ask dialog")
    asked.wait_for()
    assert "What do these photos show?" in asked.inner_text()
    studio.locator("fl-dialog.ask").get_by_role("button", name="Class 2").click()
    until(studio, "session.examples.length === 2")
    assert set(examples(studio, "class")) == {studio.evaluate("session.classes[1].id")}
    studio.evaluate(DROP, ["header.top", 1, "jpeg"])
    studio.locator("fl-dialog.ask").get_by_role("button", name="A new class").click()
    until(studio, "session.classes.length === 3 && session.examples.length === 3")


def test_folders_become_classes(studio: Any, tmp_path: Path) -> None:
    for folder in ("cats", "dogs"):
        (tmp_path / "pets" / folder).mkdir(parents=True)
        for n in (1, 2):
            (tmp_path / "pets" / folder / f"{n}.png").write_bytes(photo(n))
    studio.locator("fl-collect input.folders").set_input_files(tmp_path / "pets")
    until(studio, "session.examples.length === 4")
    assert {"cats", "dogs"} <= set(studio.evaluate("session.classes.map(({ name }) => name)"))
    studio.locator("fl-toast.foot").get_by_text("4 photos added").wait_for()
    # A class that was thrown away takes none of them, or it would take them along.
    cats = studio.evaluate("session.classes.find(({ name }) => name === 'cats').id")
    at = studio.evaluate("session.classes.findIndex(({ name }) => name === 'cats')")
    card(studio, at).get_by_role("button", name="More for cats").click()
    card(studio, at).get_by_role("button", name="Remove this class").click()
    studio.locator("fl-collect input.folders").set_input_files(tmp_path / "pets")
    until(studio, "session.examples.length === 6")
    assert not studio.evaluate(f"session.examples.some((e) => e.class === '{cats}')")
    assert studio.evaluate("session.classes.filter(({ name }) => name === 'cats').length") == 1


def test_a_zip_on_the_page_may_be_a_class_for_each_folder(studio: Any) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as pack:
        pack.writestr("cats/1.png", photo(1))
    studio.evaluate("(bytes) => { globalThis.shot = new Uint8Array(bytes); }", list(out.getvalue()))
    studio.evaluate(DROP, ["header.top", 1, "zip"])
    studio.evaluate(
        """() => { globalThis.given = [];
        session.add = async (to, photos) => {
          given.push([to, photos.map(({ name }) => name)]);
          return { added: [], refused: [] }; }; }"""
    )
    asked = studio.locator("fl-dialog.ask")
    asked.get_by_role("button", name="for each folder").click()
    until(studio, "given.length > 0")
    # Its folders say which classes; none is made for the zip itself.
    assert studio.evaluate("given") == [[None, ["dropped 0.zip"]]]
    studio.locator("fl-toast.foot").get_by_text("0 photos added").wait_for()
    assert not asked.locator("dialog").is_visible()
    assert studio.evaluate("session.classes.length") == 2


def test_a_picture_is_pasted_into_the_class_used_last(studio: Any) -> None:
    card(studio, 1).get_by_label("Name of the class").click()
    studio.evaluate(
        """async () => {
          const data = new DataTransfer();
          data.items.add(new File([await picture(2)], 'image.png', { type: 'image/png' }));
          const how = { clipboardData: data, bubbles: true, composed: true, cancelable: true };
          document.activeElement.dispatchEvent(new ClipboardEvent('paste', how));
        }"""
    )
    until(studio, "session.examples.length === 1")
    assert examples(studio, "source") == ["paste"]
    assert examples(studio, "class") == [studio.evaluate("session.classes[1].id")]


# What is on the clipboard: a picture, or words.
COPY = """async (what) => {
  const canvas = new OffscreenCanvas(64, 48);
  canvas.getContext('2d').fillRect(8, 8, 20, 20);
  const data = what === 'picture'
    ? { 'image/png': await canvas.convertToBlob({ type: 'image/png' }) }
    : { 'text/plain': new Blob(['words'], { type: 'text/plain' }) };
  await navigator.clipboard.write([new ClipboardItem(data)]);
}"""


def test_a_picture_is_pasted_by_the_menu_of_a_class(studio: Any) -> None:
    def paste() -> None:
        card(studio, 1).get_by_role("button", name="More for Class 2").click()
        card(studio, 1).get_by_role("button", name="Paste a picture").click()

    allowed = ["clipboard-read", "clipboard-write"]
    studio.context.grant_permissions(allowed)
    studio.evaluate(COPY, "words")
    paste()
    told = studio.locator("fl-toast.foot")
    told.get_by_text("There is no picture to paste: copy one first.").wait_for()
    assert examples(studio, "id") == []
    studio.evaluate(COPY, "picture")
    paste()
    until(studio, "session.examples.length === 1")
    assert examples(studio, "source") == ["paste"]
    assert examples(studio, "class") == [studio.evaluate("session.classes[1].id")]
    assert examples(studio, "width") == [64] and examples(studio, "height") == [48]
    # Where the browser does not let a page read it.
    studio.evaluate(
        """() => { navigator.clipboard.read = async () => {
          throw new DOMException('no', 'NotAllowedError'); }; }"""
    )
    paste()
    told.get_by_text("press Ctrl+V here instead").wait_for()
    assert len(examples(studio, "id")) == 1


# --- the camera --------------------------------------------------------------------------------


def test_holding_the_button_takes_photos(studio: Any) -> None:
    card(studio, 0).get_by_role("button", name="Camera", exact=True).click()
    hold = studio.get_by_role("button", name="Hold to take photos")
    until(studio, "find('video')?.videoWidth > 0")
    hold.hover()
    studio.mouse.down()
    until(studio, "session.examples.length >= 3")
    studio.mouse.up()
    studio.get_by_role("button", name="Hold to take photos").wait_for()
    studio.wait_for_timeout(500)
    taken = len(examples(studio, "id"))
    studio.wait_for_timeout(600)
    assert len(examples(studio, "id")) == taken
    assert set(examples(studio, "source")) == {"camera"}
    # With the keys: the button has the focus from the beginning.
    hold.focus()
    studio.keyboard.down(" ")
    until(studio, f"session.examples.length > {taken}")
    studio.keyboard.up(" ")
    studio.get_by_label("Close the camera").click()
    assert studio.locator("fl-camera").count() == 0
    assert (
        card(studio, 0)
        .get_by_role("button", name="Camera", exact=True)
        .evaluate("e => e.matches(':focus')")
    )


def test_one_camera_at_a_time_and_a_countdown(studio: Any) -> None:
    card(studio, 0).get_by_role("button", name="Camera", exact=True).click()
    studio.locator("fl-camera").wait_for()
    card(studio, 1).get_by_role("button", name="Camera", exact=True).click()
    card(studio, 1).locator("fl-camera").wait_for()
    assert studio.locator("fl-camera").count() == 1
    studio.get_by_label("How fast").select_option("10")
    studio.get_by_role("button", name="3 s").click()
    until(studio, "session.examples.length === 20", 20)
    studio.wait_for_timeout(400)
    assert len(examples(studio, "id")) == 20


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "The camera is not allowed here."),
        ("NotFoundError", "No camera was found."),
        ("NotReadableError", "Another program is using the camera."),
    ],
)
def test_without_a_camera_there_is_a_way_on(studio: Any, name: str, words: str) -> None:
    studio.evaluate(
        """(name) => { navigator.mediaDevices.getUserMedia = async () => {
          throw new DOMException('no', name);
        }; }""",
        name,
    )
    card(studio, 0).get_by_role("button", name="Camera", exact=True).click()
    note = studio.locator("fl-camera").get_by_role("alert")
    note.wait_for()
    assert words in note.inner_text()
    with studio.expect_file_chooser():
        note.get_by_role("button", name="Choose photos").click()
    studio.evaluate("delete navigator.mediaDevices.getUserMedia")
    note.get_by_role("button", name="Try again").click()
    studio.get_by_role("button", name="Hold to take photos").wait_for()


def test_an_unplugged_camera_is_told(studio: Any) -> None:
    card(studio, 0).get_by_role("button", name="Camera", exact=True).click()
    studio.get_by_role("button", name="Hold to take photos").wait_for()
    until(
        studio,
        """() => {
      const track = find('video')?.srcObject?.getVideoTracks()[0];
      track?.dispatchEvent(new Event('ended'));
      return Boolean(track);
    }""",
    )
    note = studio.locator("fl-camera").get_by_role("alert")
    note.wait_for()
    assert "unplugged" in note.inner_text()


# --- the grid ----------------------------------------------------------------------------------


def gallery(page: Any, index: int = 0) -> Any:
    card(page, index).get_by_role("button", name="Show all").click()
    grid = page.locator("fl-gallery fl-grid")
    grid.get_by_role("option").first.wait_for()
    return grid


def selected(page: Any) -> int:
    return page.locator("fl-gallery [aria-selected=true]").count()


def test_only_what_is_seen_of_2000_photos_exists(studio: Any) -> None:
    studio.evaluate(
        """() => { globalThis.urls = new Set();
          const { createObjectURL, revokeObjectURL } = URL;
          URL.createObjectURL = (blob) => {
            const url = createObjectURL.call(URL, blob);
            urls.add(url);
            return url;
          };
          URL.revokeObjectURL = (u) => { urls.delete(u); revokeObjectURL.call(URL, u); }; }"""
    )
    fill(studio, 1000, 1000)
    grid = gallery(studio)
    studio.locator("fl-gallery").get_by_role("button", name="All 2000").click()
    assert grid.get_by_role("option").count() < 150
    assert studio.evaluate("session.live") < 300
    for top in (20_000, 3_000, 12_000, 0, 27_000):
        grid.evaluate("(e, top) => { e.scrollTop = top; }", top)
        studio.wait_for_timeout(100)
    until(studio, "urls.size > 20")
    assert studio.evaluate("urls.size") < 200  # what went out of sight was given back
    assert grid.get_by_role("option").count() < 150
    grid.evaluate("(e) => { e.scrollTop = 1e6; }")
    grid.locator("[aria-posinset='2000']").wait_for()
    studio.locator("fl-gallery").get_by_label("Close").first.click()
    until(studio, "urls.size < 40")


def test_cells_are_used_again_and_the_focus_stays_among_them(studio: Any) -> None:
    fill(studio, 600, 5)
    grid = gallery(studio)
    grid.get_by_role("option").nth(3).focus()
    grid.evaluate(
        """(e) => { for (const one of e.renderRoot.querySelectorAll('.cell')) one.known = true; }"""
    )
    grid.evaluate("(e) => { e.scrollTop = 3000; }")
    grid.locator("[aria-posinset='200']").wait_for()
    assert grid.get_by_role("option").first.is_visible()
    cells = "[...e.renderRoot.querySelectorAll('.cell')]"
    assert grid.evaluate(f"(e) => {cells}.every((cell) => cell.known)")
    places = grid.evaluate(
        f"(e) => {cells}.map((cell) => Number(cell.dataset.at)).toSorted((a, b) => a - b)"
    )
    assert places == list(range(places[0], places[0] + len(places))) and places[0] > 3
    # The photo that had the focus is out of sight: the first one that is there has it now.
    focused = grid.locator(":focus")
    assert focused.get_attribute("aria-posinset") == str(places[0] + 1)
    assert focused.get_attribute("tabindex") == "0"
    pictures = f"(e) => {cells}.every((cell) => cell.querySelector('img').naturalWidth)"
    until(
        studio,
        f"() => ({pictures})(document.querySelector('fanlight-studio')"
        ".renderRoot.querySelector('fl-collect').renderRoot.querySelector('fl-gallery')"
        ".renderRoot.querySelector('fl-grid'))",
    )


def test_selection_by_mouse_and_keys(studio: Any) -> None:
    fill(studio, 60, 5)
    grid = gallery(studio)
    options = grid.get_by_role("option")
    options.nth(1).click(modifiers=["Control"])
    options.nth(4).click(modifiers=["Shift"])
    assert selected(studio) == 4
    options.nth(2).click(modifiers=["Control"])
    assert selected(studio) == 3
    options.nth(2).press("Escape")
    assert selected(studio) == 0
    options.nth(2).focus()
    studio.keyboard.press("Space")
    studio.keyboard.press("Shift+ArrowRight")
    studio.keyboard.press("Shift+ArrowRight")
    assert selected(studio) == 3
    studio.keyboard.press("Control+a")
    studio.get_by_text("60 selected").wait_for()
    studio.keyboard.press("Escape")
    studio.keyboard.press("End")
    assert grid.locator(":focus").get_attribute("aria-posinset") == "60"
    studio.keyboard.press("Enter")
    studio.locator("fl-viewer dialog[open]").wait_for()


def test_photos_are_moved_held_out_deleted_and_had_back(studio: Any) -> None:
    fill(studio, 30, 5)
    grid = gallery(studio)
    first, second = studio.evaluate("session.classes.map(({ id }) => id)")
    options = grid.get_by_role("option")
    options.nth(0).click(modifiers=["Control"])
    options.nth(2).click(modifiers=["Shift"])
    tools = studio.locator("fl-gallery .chosen")
    tools.get_by_role("button", name="Move to another class").click()
    tools.get_by_role("button", name="Class 2").click()
    until(studio, f"session.examples.filter((e) => e.class === '{second}').length === 8")
    told = studio.locator("fl-gallery > fl-dialog fl-toast").first
    told.get_by_role("button", name="Undo").click()
    until(studio, f"session.examples.filter((e) => e.class === '{second}').length === 5")
    options.nth(0).click(modifiers=["Control"])
    tools.get_by_role("button", name="Only for testing").click()
    until(studio, "session.examples.filter(({ held }) => held).length === 1")
    assert "only for testing" in str(options.nth(0).get_attribute("aria-label"))
    options.nth(1).focus()
    studio.keyboard.press("Delete")
    told.get_by_text("1 photo deleted").wait_for()
    studio.locator("fl-gallery").get_by_role("button", name="Class 1 29").wait_for()
    told.get_by_role("button", name="Undo").click()
    studio.locator("fl-gallery").get_by_role("button", name="Class 1 30").wait_for()
    assert len(examples(studio, "id")) == 35
    assert first != second


def test_the_keys_go_on_where_a_button_has_gone(studio: Any) -> None:
    fill(studio, 30, 2)
    name = card(studio, 0).get_by_label("Name of the class")
    name.fill("Sun")
    choosers: list[object] = []
    studio.on("filechooser", lambda chooser: choosers.append(chooser))
    name.press("Enter")
    until(studio, f"{FOCUSED}.textContent.trim() === 'Photos'")
    until(studio, "session.classes[0].name === 'Sun'")
    name = studio.get_by_label("Name of the project")
    name.press("Enter")
    until(studio, f"{FOCUSED}.title === 'Your projects'")
    assert not choosers and not studio.locator("fl-projects dialog[open]").count()
    # The button of all photos is none of them, and the one that it lies over is out of reach.
    assert card(studio, 0).locator("fl-grid .cell[inert]").count() == 1
    rest = card(studio, 0).get_by_role("button", name="show all 30 photos")
    rest.press("Delete")
    rest.press("Enter")
    gallery = studio.locator("fl-gallery")
    gallery.locator("fl-dialog").first.get_by_role("option").nth(1).press("Space")
    told = gallery.locator("> fl-dialog fl-toast").first
    tools = gallery.locator(".chosen")
    option = f"{FOCUSED}.getAttribute('role') === 'option'"
    tools.get_by_role("button", name="None").press("Enter")
    until(studio, option)
    studio.keyboard.press("Space")
    tools.get_by_role("button", name="Only for testing").press("Enter")
    until(studio, f"session.examples.some(({{ held }}) => held) && {option}")
    studio.keyboard.press("Space")
    tools.get_by_role("button", name="Move to another class").press("Enter")
    tools.get_by_role("button", name="Class 2").press("Enter")
    gallery.get_by_role("button", name="Class 2 3").wait_for()
    until(studio, option)
    told.get_by_role("button", name="Undo").press("Enter")
    gallery.get_by_role("button", name="Class 2 2").wait_for()
    until(studio, option)
    # At the last photo, the keys still go back.
    studio.keyboard.press("End")
    studio.keyboard.press("ArrowLeft")
    studio.keyboard.press("Enter")
    viewer = gallery.locator("fl-viewer")
    after = viewer.get_by_role("button", name="Next photo")
    for _ in range(2):
        after.press("Enter")
    viewer.get_by_text("30 of 30").wait_for()
    assert after.get_attribute("aria-disabled") == "true"
    studio.keyboard.press("ArrowLeft")
    viewer.get_by_text("29 of 30").wait_for()
    assert len(examples(studio, "id")) == 32


def test_a_photo_is_dragged_onto_another_class(studio: Any) -> None:
    fill(studio, 4, 2)
    options = card(studio, 0).get_by_role("option")
    options.nth(0).drag_to(card(studio, 1).locator(".head"))
    second = studio.evaluate("session.classes[1].id")
    until(studio, f"session.examples.filter((e) => e.class === '{second}').length === 3")


def test_look_alikes_are_pointed_out_and_thinned(studio: Any) -> None:
    studio.evaluate("""async () => {
      const [a, b] = session.classes.map(({ id }) => id);
      const same = await picture(1);
      await session.add(a, [same, same, same, await picture(2)]);
      await session.add(b, [await picture(3)]);
    }""")
    studio.get_by_role("button", name="3 photos look alike").click()
    studio.locator("fl-gallery").get_by_role("button", name="Look-alikes 3").wait_for()
    assert studio.locator("fl-gallery fl-grid").get_by_role("option").count() == 3
    studio.get_by_role("button", name="Keep one of each, delete 2").click()
    studio.locator("fl-gallery").get_by_role("button", name="All 3").wait_for()
    studio.locator("fl-gallery").get_by_label("Close").first.click()
    studio.get_by_role("button", name="Tag photos").click()
    until(studio, "session.examples.length === 3", 6)  # sooner than by itself
    assert len(set(examples(studio, "hash"))) == 3


def test_look_alikes_in_two_classes_are_said_to_be(studio: Any) -> None:
    studio.evaluate("""async () => {
      const [a, b] = session.classes.map(({ id }) => id);
      const same = await picture(1);
      await session.add(a, [same, await picture(2)]);
      await session.add(b, [same, await picture(3), await picture(3)]);
      await session.addClass('Class 3');
    }""")
    studio.get_by_role("button", name="4 photos look alike").click()
    window = studio.locator("fl-gallery")
    window.get_by_text("1 photo is in more than one class").wait_for()
    # What is deleted is what is seen.
    for name, count in (("Class 1 2", 0), ("Class 3 0", 0), ("Class 2 3", 2), ("All 5", 2)):
        window.get_by_role("button", name=name).click()
        window.locator(f".top [aria-pressed=true]:has-text('{name[:-2]}')").wait_for()
        keep = window.get_by_role("button", name="Keep one of each")
        assert keep.count() == (count > 0)
        if count:
            assert f"delete {count}" in keep.inner_text()


def test_a_photo_is_pressed_before_the_window_of_photos_has_come(
    camera_browser: Any, studio_site: Site
) -> None:
    context = camera_browser.new_context()
    held: list[Any] = []
    context.route("**/*gallery*", lambda route: held.append(route))
    page = enter(context, studio_site)
    fill(page, 2, 1)
    card(page, 0).get_by_role("option").first.click()
    page.wait_for_timeout(50)
    for route in held:
        route.continue_()
    page.locator("fl-gallery fl-viewer img").wait_for()
    assert held and page.errors == []
    context.close()


def test_one_photo_is_looked_at(studio: Any) -> None:
    fill(studio, 5, 2)
    card(studio, 0).get_by_role("option").nth(1).click()
    viewer = studio.locator("fl-gallery fl-viewer")
    viewer.locator("img").wait_for()
    assert viewer.locator("h2").inner_text() == "sun 4.jpg"
    studio.keyboard.press("ArrowRight")
    viewer.get_by_text("sun 3.jpg").wait_for()
    second = studio.evaluate("session.classes[1].id")
    viewer.get_by_label("This is").select_option(second)
    until(studio, f"session.examples.filter((e) => e.class === '{second}').length === 3")
    viewer.get_by_role("button", name="Delete").click()
    viewer.get_by_text("sun 2.jpg").wait_for()
    studio.keyboard.press("Escape")
    # What can be undone can be undone behind the window, too.
    studio.locator("fl-toast.foot").get_by_role("button", name="Undo").click()
    until(studio, "session.examples.length === 7")


# --- projects, and the frame -------------------------------------------------------------------


def test_projects_are_begun_renamed_deleted_and_had_back(studio: Any) -> None:
    name = studio.get_by_label("Name of the project")
    name.fill("Fruit")
    name.press("Enter")
    until(studio, "session.project.name === 'Fruit'")
    studio.get_by_role("button", name="Your projects").click()
    window = studio.locator("fl-projects")
    window.get_by_text("Leaves").wait_for()
    window.get_by_text("2.0 MB of 100.0 MB").wait_for()
    window.get_by_role("button", name="More for Leaves").click()
    window.get_by_role("button", name="Rename").click()
    window.get_by_label("Name of the project").fill("Trees")
    window.get_by_role("button", name="Save", exact=True).press("Enter")
    window.get_by_text("Trees").wait_for()
    # The row has the keys; it goes, and the next one has them; it comes back by a key.
    until(studio, f"{FOCUSED}.textContent.includes('Trees')")
    window.get_by_role("button", name="More for Trees").press("Enter")
    window.get_by_role("button", name="Delete").press("Enter")
    trees = window.locator("li").filter(has_text="Trees")
    trees.wait_for(state="detached")
    until(studio, f"{FOCUSED}.textContent.includes('Fruit')")
    studio.keyboard.press("Control+z")
    trees.wait_for()
    # It can be had back when the window is closed, too.
    window.get_by_role("button", name="More for Trees").click()
    window.get_by_role("button", name="Delete").click()
    trees.wait_for(state="detached")
    studio.keyboard.press("Escape")
    told = studio.locator("fl-toast.foot")
    told.get_by_text("Trees deleted").wait_for()
    told.get_by_role("button", name="Undo").click()
    studio.get_by_role("button", name="Your projects").click()
    trees.wait_for()
    assert studio.evaluate("session.others.length") == 1
    with studio.expect_download() as download:
        window.locator(".row").get_by_role("button", name="Save as a file").click()
    assert download.value.suggested_filename == "Fruit.zip"
    window.locator("input.file").set_input_files(
        {"name": "x.zip", "mimeType": "application/zip", "buffer": b"no"}
    )
    window.get_by_text("This file is no project.").wait_for()
    window.get_by_role("button", name="New project").click()
    until(studio, "session.project.name === 'My project'")
    studio.wait_for_selector("fl-class >> nth=1")


def test_storage_that_is_nearly_full_and_another_tab_are_told(studio: Any) -> None:
    studio.evaluate("session.used = 9.2e7")
    fill(studio, 3, 3)
    studio.get_by_text("nearly full").wait_for()
    studio.evaluate("""() => session.tell('problem', { code: 'E-STUDIO-033',
      reason: 'Another tab has changed the project', next: 'load it again' })""")
    status = studio.locator("fl-status")
    status.get_by_text("Another tab has changed the project.").wait_for()
    status.get_by_role("button", name="Go on").click()
    status.get_by_text("Another tab").wait_for(state="detached")


def test_the_models_download_and_a_newer_version_are_told(studio: Any) -> None:
    studio.evaluate("""() => {
      document.querySelector('fanlight-studio').progress = { loaded: 2e6, total: 8e6 };
      globalThis.began = 0;
      globalThis.asked = dispatchEvent(new CustomEvent('fanlight-update', { cancelable: true,
        detail: { accept: async () => { began++; return false; } } }));
    }""")
    assert studio.evaluate("asked") is False  # the page asks in its own way
    status = studio.locator("fl-status")
    status.get_by_text("2.0 MB of 8.0 MB").wait_for()
    assert status.get_by_role("progressbar").get_attribute("aria-valuenow") == "25"
    status.get_by_text("A new version is ready.").wait_for()
    status.get_by_role("button", name="Reload").click()
    status.get_by_text("Another tab is at work").wait_for()
    assert studio.evaluate("began") == 1


def test_a_page_without_its_model_says_so(camera_browser: Any, studio_site: Site) -> None:
    studio_site.pages["alone.html"] = (
        studio_site.pages["index.html"]
        .replace('<script type="module" src="fake.js"></script>', "")
        .replace("<fanlight-studio ", '<fanlight-studio src="./nothing/" ')
    )
    context = camera_browser.new_context()
    page = context.new_page()
    page.goto(studio_site.url + "alone.html")
    alert = page.locator("fl-status").get_by_role("alert")
    alert.wait_for()
    assert page.locator("fl-status").get_by_role("button", name="Try again").is_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_serious(
    camera_browser: Any, studio_site: Site, size: str, scheme: str
) -> None:
    width, height = SIZES[size]
    context = camera_browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        bypass_csp=True,
        reduced_motion="reduce",
    )
    page = enter(context, studio_site)
    axe = (ROOT / "node_modules/axe-core/axe.min.js").read_text("utf-8")

    def check(where: str) -> None:
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        bad = [
            (where, one["id"], one["nodes"][0]["html"][:200])
            for one in found["violations"]
            if one["impact"] in SERIOUS
        ]
        assert bad == []

    check("the first look")
    fill(page, 40, 4)
    page.wait_for_timeout(300)
    check("photos")
    page.evaluate("session.renameClass(session.classes[1].id, 'W'.repeat(60))")
    page.locator("fl-train").get_by_text("WWW").first.wait_for()
    wide = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert wide, "the page is wider than its window"
    gallery(page)
    check("the gallery")
    page.locator("fl-gallery fl-grid").get_by_role("option").first.click()
    page.locator("fl-viewer img").wait_for()
    check("one photo")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    card(page, 1).get_by_role("button", name="Camera", exact=True).click()
    page.get_by_role("button", name="Hold to take photos").wait_for()
    check("the camera")
    page.get_by_role("button", name="Your projects").click()
    page.locator("fl-projects li").first.wait_for()
    check("projects")
    page.keyboard.press("Escape")
    if size == "phone":  # the step that was asked for is lit, though the page may be too short
        steps = page.get_by_role("navigation", name="Steps")
        for name in ("Train", "Keep", "Collect"):
            steps.get_by_role("button", name=name).click()
            page.wait_for_timeout(300)
            assert steps.locator("[aria-current=step]").inner_text().strip() == name
    context.close()
