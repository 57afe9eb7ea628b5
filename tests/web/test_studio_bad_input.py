"""What goes wrong in Studio, in its real page with its real session: told, and nothing is lost."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import Site, serve
from tests.web.studio_photos import BLUE, GREEN, RED, WHITE, bad_photos, good_photos
from tests.web.studio_site import photo, write_studio
from tests.web.waiting import until

pytestmark = pytest.mark.chromium

# An element that no page has: where it is found, a name was read as markup.
MARKUP = "<img src=x onerror=alert(1)><from-name>red</from-name>"
INTERPRETED = "() => deep('from-name, img[onerror]').map((e) => e.outerHTML)"
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
# `session()`: of the page; `deep(selector)`: all such elements, those in shadow trees, too.
HELPERS = """() => {
  globalThis.session = () => document.querySelector('fanlight-studio').session;
  globalThis.deep = (selector, root = document) => [...root.querySelectorAll(selector),
    ...[...root.querySelectorAll('*')].flatMap((e) => (
      e.shadowRoot ? deep(selector, e.shadowRoot) : []))];
}"""
# What is kept of the model's files is not what is tested.
FORGET = "async () => { for (const name of await caches.keys()) await caches.delete(name); }"
# What a visitor has, however it is kept: names of classes, and names of photos by class.
STATE = """() => {
  const { classes, examples } = session();
  return classes.map(({ id, name }) => [name,
    examples.filter((e) => e.class === id).map((e) => e.name).sort()]);
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio") / "site"
    write_studio(folder)
    return folder


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    with serve(folder) as site:
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
def context(camera_browser: Any) -> Iterator[Any]:
    """One visitor; every tab of theirs has `errors` that nobody caught, which fail the test."""
    context = camera_browser.new_context(service_workers="block")
    context.set_default_timeout(20_000)
    pages: list[Any] = []
    context.on("page", lambda page: watch(page, pages))
    yield context
    context.close()
    assert [page.errors for page in pages if page.errors] == []


def watch(page: Any, pages: list[Any]) -> None:
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("dialog", lambda dialog: page.errors.append(dialog.message))
    pages.append(page)


def arrive(page: Any) -> Any:
    """Wait for the page's session."""
    page.wait_for_selector("fl-class >> nth=1")
    page.evaluate(HELPERS)
    return page


def enter(context: Any, site: Site) -> Any:
    page = context.new_page()
    page.goto(site.url + "index.html")
    return arrive(page)


def again(page: Any) -> Any:
    page.reload()
    return arrive(page)


def card(page: Any, index: int) -> Any:
    return page.locator("fl-class").nth(index)


def give(page: Any, index: int, files: dict[str, bytes]) -> None:
    """Choose files for a class."""
    card(page, index).locator("input.files").set_input_files(
        [{"name": name, "mimeType": "", "buffer": data} for name, data in files.items()]
    )


def some(kind: str, count: int, start: int = 0) -> dict[str, bytes]:
    return {f"{kind} {start + i}.png": photo(kind, start + i) for i in range(count)}


def collected(page: Any, count: int = 4) -> Any:
    """So many photos of each class."""
    for i, kind in enumerate(("red", "blue")):
        give(page, i, some(kind, count))
    until(page, f"session().examples.length === {2 * count} && !session().waiting")
    return page


def taught(page: Any, **settings: Any) -> Any:
    collected(page)
    page.evaluate(
        "(how) => session().configure(how)", {"epochs": 15, "learningRate": 0.05, **settings}
    )
    page.locator("fl-train").get_by_role("button", name="Train").click()
    until(page, "session().trained && !session().busy")
    return page


def toast(page: Any, words: str) -> str:
    told = page.locator("fl-toast.foot").get_by_text(words)
    told.wait_for()
    return told.inner_text()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


# --- files -------------------------------------------------------------------------------------

WORDS = {
    "empty.jpg": "empty",
    "notes.jpg": "no photo that can be read",
    "cut.jpg": "cut off",
    "huge.png": "too many pixels",
    "phone.heic": "JPEG",
}


def test_files_that_are_no_photos_are_told_and_the_others_stay(context: Any, site: Site) -> None:
    page = collected(enter(context, site))
    before = page.evaluate(STATE)
    bad = {name: bad_photos()[name][0] for name in WORDS}
    bad["100mp.png"] = bad["huge.png"]
    for name, words in WORDS.items():
        give(page, 0, {name: bad[name]})
        note = card(page, 0).get_by_role("alert").filter(has_text=name)
        note.wait_for()
        assert words.lower() in note.inner_text().lower(), note.inner_text()
        note.get_by_label("Close this message").click()
    give(page, 0, bad | some("red", 1, 50))  # all at once, a good one among them
    card(page, 0).get_by_text("6 files could not be used").wait_for()
    before[0][1] = sorted([*before[0][1], "red 50.png"])
    assert page.evaluate(STATE) == before
    assert again(page).evaluate(STATE) == before


LOOK = """async (name) => {
  const { id } = session().examples.find((e) => e.name === name);
  const bitmap = await createImageBitmap(await session().photo(id));
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  context.drawImage(bitmap, 0, 0);
  return { size: [width, height], colours: [[1, 1], [3, 1], [1, 3], [3, 3]].map(([x, y]) => (
    [...context.getImageData(width * x >> 2, height * y >> 2, 1, 1).data].slice(0, 3))) };
}"""


def test_odd_photos_are_shown_as_they_look(context: Any, site: Site) -> None:
    """Turned by EXIF, of printers' colours, moving, see-through: quarters, upright, on white."""
    names = ["turned3.jpg", "turned6.jpg", "turned8.jpg", "cmyk.jpg", "moving.gif", "clear.png"]
    page = enter(context, site)
    give(page, 0, {name: good_photos()[name] for name in names})
    until(page, f"session().examples.length === {len(names)} && !session().waiting")
    again(page)
    for name in names:
        found = page.evaluate(LOOK, name)
        assert found["size"] == [64, 48], name
        for seen, wanted in zip(found["colours"], (RED, GREEN, BLUE, WHITE)):
            most = max(abs(a - b) for a, b in zip(seen, wanted))
            assert most <= (60 if name == "cmyk.jpg" else 30), (name, found["colours"])


def test_zip_files_that_mean_harm(context: Any, site: Site) -> None:
    page = collected(enter(context, site))
    before = page.evaluate(STATE)
    bomb = zipped({f"{i}.png": bytes(40_000_000) for i in range(8)})
    out = zipped({"../../out.png": photo("red", 1)})
    for name, data in {"bomb.zip": bomb, "out.zip": out}.items():
        give(page, 1, {name: data})
        note = card(page, 1).get_by_role("alert").filter(has_text=name)
        note.wait_for()
        note.get_by_label("Close this message").click()
    assert page.evaluate(STATE) == before
    assert again(page).evaluate(STATE) == before


# --- names -------------------------------------------------------------------------------------


def files_of(page: Any, kind: str) -> bytes:
    return bytes(
        page.evaluate(
            """async (kind) => [...new Uint8Array(
              await (await session().export(kind)).arrayBuffer())]""",
            kind,
        )
    )


def test_markup_in_names_is_never_interpreted(context: Any, site: Site, tmp_path: Path) -> None:
    page = enter(context, site)
    name = card(page, 0).get_by_label("Name of the class")
    name.fill(MARKUP)
    name.press("Enter")
    until(page, "session().classes[0].name.startsWith('<img')")
    project = page.get_by_label("Name of the project")
    project.fill("</script><from-name>mine</from-name>")
    project.press("Enter")
    until(page, "session().project.name.startsWith('</script')")
    collected(page)
    give(page, 0, {"<from-name>photo.png": photo("red", 70)})
    until(page, "session().examples.length === 9 && !session().waiting")
    page.evaluate("() => session().configure({ epochs: 15, learningRate: 0.05 })")
    page.locator("fl-train").get_by_role("button", name="Train").click()
    until(page, "session().trained && !session().busy")
    page.locator("fl-train fl-confusion").wait_for()
    assert page.locator("fl-confusion").get_by_text(MARKUP).count() > 0
    assert page.evaluate(INTERPRETED) == []

    for kind, entry in {"page": "index.html", "html": None}.items():
        data = files_of(page, kind)
        out = tmp_path / kind
        out.mkdir()
        if entry:
            zipfile.ZipFile(io.BytesIO(data)).extractall(out)
        else:
            (out / "index.html").write_bytes(data)
        entry_at = next(out.rglob("index.html"))
        with serve(entry_at.parent) as own:
            shown = context.new_page()
            shown.goto(own.url + "index.html")
            shown.evaluate(
                "() => customElements.whenDefined('fanlight-classifier')"
                ".then(() => document.querySelector('fanlight-classifier').ready).then(() => 0)"
            )
            shown.locator("fanlight-classifier input[type=file]").set_input_files(
                {"name": "a.png", "mimeType": "image/png", "buffer": photo("red", 90)}
            )
            shown.locator("fanlight-classifier li").get_by_text(MARKUP).wait_for()
            shown.evaluate(HELPERS)
            assert shown.evaluate(INTERPRETED) == []
            assert "</script><from-name>mine</from-name>" in shown.locator("body").inner_text()

    with zipfile.ZipFile(io.BytesIO(files_of(page, "tfjs"))) as archive:
        (labels,) = [n for n in archive.namelist() if n.endswith("metadata.json")]
        assert json.loads(archive.read(labels))["labels"][0] == MARKUP

    page.get_by_role("button", name="Tag photos").click()
    page.locator("fl-tag input[type=file]:not([webkitdirectory])").first.set_input_files(
        {"name": "<from-name>x.png", "mimeType": "image/png", "buffer": photo("red", 91)}
    )
    page.locator("fl-tag").get_by_text("<from-name>x.png").first.wait_for()
    assert page.evaluate(INTERPRETED) == []


def test_a_name_that_is_being_typed_stays(context: Any, site: Site) -> None:
    page = enter(context, site)
    name = card(page, 0).get_by_label("Name of the class")
    fields = [name, page.get_by_label("Name of the project")]
    for i, field in enumerate(fields):
        field.focus()
        page.keyboard.type("Dog")
        give(page, 1, some("blue", 3, 10 * i))  # all is shown anew
        until(page, f"session().examples.length === {3 + 3 * i}")
        page.wait_for_timeout(200)
        field.focus()
        page.keyboard.press("End")
        page.keyboard.type("gy")
        page.keyboard.press("Enter")
        assert field.input_value().endswith("Doggy")
    until(page, "session().classes[0].name === 'Doggy'")
    until(page, "session().project.name.endsWith('Doggy')")


# --- two tabs ----------------------------------------------------------------------------------


def test_photos_added_in_two_tabs_are_all_kept(context: Any, site: Site) -> None:
    one = enter(context, site)
    two = enter(context, site)
    give(one, 0, some("red", 6))
    give(two, 0, some("red", 6, 20))
    give(two, 1, some("blue", 3))
    for page in (one, two):
        until(page, "session().examples.length === 15 && !session().waiting")
    want = one.evaluate(STATE)
    assert two.evaluate(STATE) == want and len(want[0][1]) == 12
    for page in (one, two):
        assert again(page).evaluate(STATE) == want


def test_a_class_removed_in_one_tab_while_the_other_learns(context: Any, site: Site) -> None:
    one = collected(enter(context, site))
    one.evaluate("async () => { await session().addClass('third'); }")
    give(one, 2, some("green", 3))
    until(one, "session().examples.length === 11 && !session().waiting")
    two = enter(context, site)
    one.evaluate("() => session().configure({ epochs: 400, patience: 0, learningRate: 0.05 })")
    one.evaluate(
        """() => { globalThis.learning = session().train().then(
          ({ stopped }) => stopped, (e) => [e.code ?? e.name, e.message]); }"""
    )
    until(one, "session().busy === 'train'")
    two.evaluate("() => session().removeClass(session().classes[2].id)")
    ended = one.evaluate("() => learning")
    assert ended == "done", ended
    until(one, "session().classes.length === 2 && session().examples.length === 8")
    answer = one.evaluate(
        """async (bytes) => (await session().predict(new Blob([Uint8Array.from(bytes)]))).results
          .map(({ label }) => label)""",
        list(photo("red", 80)),
    )
    assert sorted(answer) == ["Class 1", "Class 2"] and answer[0] == "Class 1"  # not the third
    for page in (one, two):
        again(page)
        assert len(page.evaluate(STATE)) == 2 and page.evaluate("() => session().trained")


def test_a_project_deleted_in_another_tab(context: Any, site: Site) -> None:
    one = collected(enter(context, site))
    two = enter(context, site)
    two.evaluate(
        """async () => {
          const { id } = session().project;
          await session().create('New');
          await session().store.remove(id);
        }"""
    )
    note = one.locator("fl-status").get_by_role("alert")
    note.wait_for()
    assert "Another tab has removed this project" in note.inner_text()
    give(one, 0, some("red", 1, 90))
    assert "Another tab has removed the project" in toast(one, "Another tab")
    # There is a way on from here.
    note.get_by_role("button").click()
    until(one, "session().project.name === 'New'")
    until(  # its classes are the ones that are drawn now
        one,
        "deep('fl-class').every(({ info }) => session().classes.some(({ id }) => id === info.id))",
    )
    give(one, 0, some("red", 1, 91))
    until(one, "session().examples.length === 1")


# --- storage, camera ---------------------------------------------------------------------------


def test_a_full_storage_loses_nothing(context: Any, site: Site) -> None:
    page = context.new_page()
    cdp = context.new_cdp_session(page)
    # Before the database is first opened: from then on the browser remembers how much there is.
    quota = {"origin": site.url.rstrip("/"), "quotaSize": 8_000_000}
    cdp.send("Storage.overrideQuotaForOrigin", quota)
    page.goto(site.url + "index.html")
    collected(arrive(page))
    page.evaluate("() => session().configure({ epochs: 15, learningRate: 0.05 })")
    # Somebody else's data of this site takes what is left, to the last pieces.
    page.evaluate(
        """() => new Promise((resolve, reject) => {
          const opening = indexedDB.open('other', 1);
          opening.onupgradeneeded = () => opening.result.createObjectStore('all', {
            autoIncrement: true });
          opening.onsuccess = async () => {
            const db = opening.result;
            for (let size = 2 ** 21; size >= 128;) {
              const tx = db.transaction('all', 'readwrite');
              tx.objectStore('all').add(crypto.getRandomValues(new Uint8Array(Math.min(size,
                65536))).buffer);
              const full = await new Promise((done) => {
                tx.oncomplete = () => done(false);
                tx.onabort = () => done(true);
              });
              if (full) size /= 2;
            }
            resolve();
          };
          opening.onerror = reject;
        })"""
    )
    before = page.evaluate(STATE)
    give(page, 0, {"large.png": big()})
    assert "full" in toast(page, "storage of this page is full")
    assert page.evaluate(STATE) == before
    page.locator("fl-train").get_by_role("button", name="Train").click()
    until(page, "session().trained && !session().busy")
    note = page.locator("fl-status").get_by_role("alert")
    note.wait_for()
    assert "full" in note.inner_text() and "zip" in note.inner_text()
    # What was learnt answers, and all of it can be saved.
    assert len(zipfile.ZipFile(io.BytesIO(files_of(page, "project"))).namelist()) > 8
    assert again(page).evaluate(STATE) == before


def big() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.effect_noise((1200, 1200), 90).convert("RGB").save(out, "PNG")
    return out.getvalue()


def test_a_camera_that_is_unplugged(context: Any, site: Site) -> None:
    page = collected(enter(context, site))
    card(page, 0).get_by_role("button", name="Camera").click()
    hold = card(page, 0).get_by_role("button", name="Hold to take photos")
    hold.wait_for()
    until(page, "deep('video')[0]?.videoWidth > 0")
    hold.dispatch_event("pointerdown", {"button": 0, "pointerId": 1})
    until(page, "session().examples.length >= 10")
    page.evaluate(
        """() => {
          const [track] = deep('video')[0].srcObject.getVideoTracks();
          track.stop();
          track.dispatchEvent(new Event('ended'));
        }"""
    )
    note = card(page, 0).get_by_role("alert").filter(has_text="unplugged")
    note.wait_for()
    assert note.get_by_role("button", name="Choose photos").is_visible()
    page.wait_for_timeout(400)
    before = page.evaluate(STATE)
    assert len(before[0][1]) >= 6
    note.get_by_role("button", name="Try again").click()
    hold.wait_for()
    assert again(page).evaluate(STATE) == before


def test_a_camera_that_is_refused(context: Any, site: Site) -> None:
    page = enter(context, site)
    page.evaluate(
        """() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(
          new DOMException('no', 'NotAllowedError')); }"""
    )
    card(page, 0).get_by_role("button", name="Camera").click()
    note = card(page, 0).get_by_role("alert").filter(has_text="not allowed")
    note.wait_for()
    assert "choose photos instead" in note.inner_text()


# --- newer, wrong, missing ---------------------------------------------------------------------


def test_projects_of_a_newer_studio_are_left_alone(context: Any, site: Site) -> None:
    page = taught(enter(context, site))
    before = page.evaluate(STATE)
    data = files_of(page, "project")
    newer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(newer, "w") as new:
        for name in old.namelist():
            held = old.read(name)
            if name.endswith("project.json"):
                about = json.loads(held)
                about["version"] = 99
                held = json.dumps(about).encode()
            new.writestr(name, held)
    page.locator("fl-keep input#project").set_input_files(
        {"name": "newer.zip", "mimeType": "application/zip", "buffer": newer.getvalue()}
    )
    note = page.locator("fl-keep").get_by_role("alert").filter(has_text="newer Studio")
    note.wait_for()
    assert page.evaluate(STATE) == before
    # One that a newer Studio has kept here.
    kept = page.evaluate(
        """() => new Promise((resolve) => {
          indexedDB.open('fanlight-studio').onsuccess = ({ target: { result: db } }) => {
            const rows = db.transaction('projects', 'readwrite').objectStore('projects');
            rows.getAll().onsuccess = ({ target: { result: [own] } }) => {
              rows.put({ ...own, id: 'fromthefuture', name: 'Future', version: 99,
                updated: own.updated + 1e9 });
              rows.transaction.oncomplete = () => resolve(db.close());
            };
          };
        })"""
    )
    assert kept is None
    assert again(page).evaluate(STATE) == before
    error = page.evaluate("() => session().load('fromthefuture').catch(({ code }) => code)")
    assert error == "E-STUDIO-031"
    assert page.evaluate(STATE) == before
    versions = page.evaluate(
        "async () => (await session().store.projects()).map(({ version }) => version).sort()"
    )
    assert versions == [1, 99]


def test_another_tab_that_is_a_newer_studio(context: Any, site: Site) -> None:
    page = collected(enter(context, site), 2)
    page.evaluate(
        """() => new Promise((resolve) => {
          indexedDB.open('fanlight-studio').onsuccess = ({ target: { result: db } }) => {
            const rows = db.transaction('projects', 'readwrite').objectStore('projects');
            rows.getAll().onsuccess = ({ target: { result: [own] } }) => {
              rows.put({ ...own, version: 99 });
              rows.transaction.oncomplete = () => {
                db.close();
                const channel = new BroadcastChannel('fanlight-studio');
                channel.postMessage({ project: own.id, kind: 'project' });
                resolve();
              };
            };
          };
        })"""
    )
    note = page.locator("fl-status").get_by_role("alert")
    note.wait_for()
    assert "newer Studio" in note.inner_text() and "Reload" in note.inner_text()
    give(page, 0, some("red", 1, 60))
    toast(page, "newer Studio")
    # Reloading brings the newer Studio; this one leaves the project as it is, and goes on beside.
    assert again(page).evaluate("() => session().examples.length") == 0
    versions = page.evaluate(
        "async () => (await session().store.projects()).map(({ version }) => version).sort()"
    )
    assert versions == [1, 99]


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "cannot be read"),
        ("[1]", "is wrong"),
        ('{"version": 1, "heads": 3}', "is wrong"),
        ('{"version": 7}', "newer Studio"),
        (None, "neither Studio nor a bundle"),
    ],
)
def test_studio_json_that_is_wrong(context: Any, site: Site, text: str | None, words: str) -> None:
    page = collected(enter(context, site), 2)
    before = page.evaluate(STATE)
    if text is None:
        site.fail("studio.json", "missing")
    else:
        site.pages["studio.json"] = text
    page.reload()
    note = page.locator("fl-status").get_by_role("alert")
    note.wait_for()
    assert words in note.inner_text()
    site.pages.pop("studio.json", None)
    note.get_by_role("button", name="Try again").click()
    assert arrive(page).evaluate(STATE) == before


def test_a_model_file_that_is_wrong(context: Any, folder: Path, tmp_path: Path) -> None:
    """The page opens, the photos are there, and the model comes when its file is right again."""
    own = tmp_path / "site"
    shutil.copytree(folder, own)
    with serve(own) as site:
        page = taught(enter(context, site))
        before = page.evaluate(STATE)
        (linear,) = (
            h for h in json.loads((own / "studio.json").read_text())["heads"] if h["id"] == "linear"
        )
        manifest = own / linear["url"]
        weights = json.loads(manifest.read_text())["weights"][0]["path"]
        files = [manifest, own / linear["files"]["training.json"], own / "models" / weights]
        for file in files:
            good = file.read_bytes()
            damaged = bytes([good[0] ^ 255]) + good[1:]
            for wrong, words in (
                (None, "A file of the bundle could not be fetched."),
                (damaged, "not JSON" if file == manifest else "is not the one that was built."),
            ):
                page.evaluate(FORGET)
                file.unlink()
                if wrong is not None:
                    file.write_bytes(wrong)
                again(page)
                note = page.locator("fl-status").get_by_role("alert")
                note.wait_for()
                assert words in note.inner_text(), (file.name, wrong is None)
                assert page.evaluate(STATE) == before
                file.write_bytes(good)
                note.get_by_role("button", name="Try again").click()
                until(page, "session().trained")
                note.wait_for(state="detached")
                assert page.evaluate(STATE) == before
