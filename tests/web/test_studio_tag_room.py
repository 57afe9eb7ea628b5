"""Studio's table of tags when its room is left, and when the project or its classes change.

In a real Chromium; the session is a fake (studio_parts.js), but in the last test.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import serve
from tests.web.studio_parts import parts, parts_folder, parts_site, pictures  # noqa: F401
from tests.web.studio_site import photo, photos, write_studio
from tests.web.test_studio_collect import FIND, until
from tests.web.test_studio_tag import show

pytestmark = pytest.mark.chromium

LEAVE = "() => { el.remove(); }"
RETURN = "async () => { globalThis.el = await parts.show('fl-tag', s); }"
TAGS = "() => el.records().map(({ tag }) => tag)"
# Another project is opened, and its classes come with it.
OPEN = """([id, names]) => { globalThis.home ??= s.project;
  s.project = id === home.id ? home : { ...home, id,
    classes: names.map((name, i) => ({ id: `${id}${i}`, name, color: '#123456' })) };
  s.dispatchEvent(new Event('change')); }"""
# Another session of the same project had these classes: what `removeClass` and another tab come to.
CLASSES = """(keep) => {
  const classes = s.project.classes.filter(({ name }) => keep.includes(name));
  s.project = { ...s.project, classes };
  s.dispatchEvent(new Event('change')); }"""


def saved(page: Any, button: str, path: Path) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    download.value.save_as(path)
    return path.read_bytes()


def test_the_table_is_there_again_when_the_room_is_entered_again(parts: Any) -> None:  # noqa: F811
    show(parts, 8)
    parts.get_by_label("Tag of beach/IMG_0001.png").select_option("owl")
    before = parts.evaluate("el.records()")
    assert len(before) == 8 and before[1]["corrected"]
    parts.evaluate(LEAVE)
    parts.evaluate(RETURN)
    parts.get_by_role("button", name="All 8").wait_for()
    parts.get_by_role("button", name="Put right 1").wait_for()
    assert parts.evaluate("el.records()") == before
    # Nothing was asked twice; more photos come to the same table.
    asked = parts.evaluate("s.asked")
    parts.evaluate("async () => el.add(await parts.folder(2, 'lake/'))")
    parts.get_by_role("button", name="All 10").wait_for()
    parts.get_by_role("progressbar").wait_for(state="detached")
    assert parts.evaluate("s.asked") == asked + 2


def test_what_is_not_answered_waits_while_nobody_looks(parts: Any) -> None:  # noqa: F811
    show(parts, 0, "s.lag = 20")
    parts.evaluate("async () => el.add(await parts.folder(30))")
    parts.wait_for_function("() => el.done > 1")
    parts.evaluate(LEAVE)
    parts.evaluate("parts.pause(100)")  # one may be on its way
    asked = parts.evaluate("s.asked")
    parts.evaluate("parts.pause(200)")
    assert parts.evaluate("s.asked") == asked < 30
    parts.evaluate(RETURN)
    parts.get_by_role("progressbar").wait_for(state="detached")
    assert parts.evaluate("[el.done, s.asked]") == [30, 30]
    # Whoever has paused it finds it paused.
    parts.evaluate("async () => el.add(await parts.folder(20, 'lake/'))")
    parts.get_by_role("button", name="Pause").click()
    parts.evaluate(LEAVE)
    parts.evaluate(RETURN)
    parts.get_by_role("button", name="Go on").wait_for()


def test_each_project_has_a_table_of_its_own(parts: Any) -> None:  # noqa: F811
    show(parts, 4)
    tags = parts.evaluate(TAGS)
    assert tags[:3] == ["cat", "dog", "owl"]
    parts.get_by_label("Pick beach/IMG_0002.png").check()
    parts.get_by_role("button", name="cat 1").click()
    parts.evaluate(OPEN, ["q", ["oak", "elm", "ash"]])
    parts.get_by_text("Drop a folder of photos here").wait_for()
    assert parts.evaluate(TAGS) == []
    parts.evaluate("""() => { globalThis.own = s.predict;
      const results = [{ class: 'q1', label: 'elm', score: 0.9, index: 1 }];
      s.predict = async () => ({ results, sure: true, label: 'elm' }); }""")
    parts.evaluate("async () => el.add(await parts.folder(2, 'wood/'))")
    parts.get_by_role("button", name="All 2").wait_for()
    parts.get_by_role("progressbar").wait_for(state="detached")
    assert parts.evaluate(TAGS) == ["elm", "elm"]
    parts.evaluate(OPEN, ["p", []])
    parts.get_by_role("button", name="All 4").wait_for()
    assert parts.evaluate(TAGS) == tags
    assert not parts.locator("fl-tag .many").count()  # what was picked there is not picked here


def test_an_answer_of_another_project_is_none(parts: Any) -> None:  # noqa: F811
    show(parts, 0)
    parts.evaluate("""() => { globalThis.own = s.predict.bind(s);
      s.predict = () => new Promise((resolve) => { globalThis.answer = resolve; }); }""")
    parts.evaluate("async () => el.add(await parts.folder(3))")
    parts.wait_for_function("() => globalThis.answer")
    parts.evaluate(OPEN, ["q", ["oak", "elm", "ash"]])
    parts.get_by_text("Drop a folder of photos here").wait_for()
    parts.evaluate("""() => { s.predict = own;
      const results = [{ class: 'q1', label: 'elm', score: 0.9, index: 1 }];
      answer({ results, sure: true, label: 'elm' }); }""")
    parts.evaluate(OPEN, ["p", []])
    parts.get_by_role("progressbar").wait_for(state="detached")
    assert parts.evaluate(TAGS) == ["cat", "dog", "owl"]


def test_the_tag_of_a_removed_class_becomes_none_and_is_told(
    parts: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    show(parts, 8)
    parts.get_by_label("Tag of beach/IMG_0000.png").select_option("owl")
    parts.get_by_role("button", name="owl 3").click()
    # It goes while the room is empty, as it does where classes are worked on.
    parts.evaluate(LEAVE)
    parts.evaluate(CLASSES, ["cat", "dog"])
    parts.evaluate(RETURN)
    note = parts.locator("fl-tag .note")
    assert '3 photos had the tag "owl". That class is gone' in note.inner_text()
    tags = parts.evaluate(TAGS)
    assert tags == [None, "dog", None, None, "cat", "dog", None, None]
    text = saved(parts, "JSON", tmp_path / "tags.json").decode()
    photos = json.loads(text)["photos"]
    assert [p["tag"] for p in photos] == tags and [p["said"] for p in photos][2] is None
    assert not any("" in (p["tag"], p["said"]) for p in photos) and not photos[0]["corrected"]
    table = csv.reader(io.StringIO(saved(parts, "CSV", tmp_path / "t.csv").decode("utf-8-sig")))
    assert [row[1] or None for row in table][1:] == tags
    cars = saved(parts, "Tags for photo managers", tmp_path / "tags.zip")
    assert cars.count(b"PK\x01\x02") == 3
    pictures(parts, "tag-lost")
    lines = parts.locator("fl-rows .line").all_inner_texts()
    assert len(lines) == 8 and not any("undefined" in line for line in lines)
    note.get_by_role("button", name="OK").click()
    note.wait_for(state="detached")
    assert parts.get_by_role("button", name="Not sure 5").count() == 1


def test_a_class_that_is_removed_while_the_table_is_shown(parts: Any) -> None:  # noqa: F811
    show(parts, 6)
    parts.get_by_label("Pick beach/IMG_0000.png").check()
    parts.get_by_label("Pick beach/IMG_0002.png").check()
    parts.get_by_role("combobox", name="Tag all").select_option("dog")
    parts.get_by_role("button", name="owl").first.click()
    parts.evaluate(CLASSES, ["cat", "dog"])
    parts.get_by_role("button", name="All 6").wait_for()
    assert parts.get_by_role("button", name="All 6").get_attribute("aria-pressed") == "true"
    # The undo of a correction does not bring the class back; what it learnt may still name it.
    parts.evaluate("heard.find(({ act }) => act).act()")
    assert parts.evaluate(TAGS)[:3] == ["cat", "dog", None]
    parts.evaluate("""() => { const results = [{ class: 'c2', label: 'owl', score: 0.9, index: 2 }];
      s.predict = async () => ({ results, sure: true, label: 'owl' }); }""")
    parts.evaluate("async () => el.add(await parts.folder(1, 'wood/'))")
    parts.get_by_role("button", name="All 7").wait_for()
    parts.get_by_role("progressbar").wait_for(state="detached")
    last = parts.evaluate("el.records().at(-1)")
    assert (last["tag"], last["said"]) == (None, None)


def test_a_renamed_class_has_its_new_name_everywhere(parts: Any, tmp_path: Path) -> None:  # noqa: F811
    show(parts, 2)
    parts.evaluate("""() => { s.project = { ...s.project, classes: s.project.classes.map(
      (one) => (one.id === 'c1' ? { ...one, name: 'wolf' } : one)) };
      s.dispatchEvent(new Event('change')); }""")
    parts.get_by_role("button", name="wolf 1").wait_for()
    assert not parts.locator("fl-tag .note").count()
    saved_tags = json.loads(saved(parts, "JSON", tmp_path / "tags.json"))["photos"]
    assert [p["tag"] for p in saved_tags] == ["cat", "wolf"]


def test_photos_wait_while_the_session_is_at_other_work(parts: Any) -> None:  # noqa: F811
    show(parts, 0)
    parts.evaluate("""() => { const own = s.predict.bind(s); let busy = 2;
      s.predict = async (photo) => {
        if (busy-- > 0) throw new parts.FanlightError('E-STUDIO-023', 'train has not ended.', {});
        return own(photo); }; }""")
    parts.evaluate("async () => el.add(await parts.folder(3))")
    parts.get_by_text("goes on when it has learnt").wait_for()
    parts.get_by_role("progressbar").wait_for(state="detached")
    assert parts.evaluate(TAGS) == ["cat", "dog", "owl"]
    assert not parts.get_by_role("button", name="Not readable").count()


def test_after_a_training_photos_are_asked_again_where_that_is_wanted(parts: Any) -> None:  # noqa: F811
    show(parts, 4)
    parts.get_by_label("Tag of beach/IMG_0000.png").select_option("owl")
    parts.evaluate("""async () => { await s.train();
      const results = [{ class: 'c1', label: 'dog', score: 0.9, index: 1 }];
      s.predict = async () => ({ results, sure: true, label: 'dog' }); }""")
    note = parts.locator("fl-tag .note", has_text="It has learnt more")
    note.wait_for()
    assert parts.evaluate(TAGS)[:3] == ["owl", "dog", "owl"]
    note.get_by_role("button", name="Ask again").click()
    note.wait_for(state="detached")
    parts.get_by_role("progressbar").wait_for(state="detached")
    parts.wait_for_function("() => el.done === 4")
    assert parts.evaluate(TAGS) == ["owl", "dog", "dog", "dog"]


# --- with the real session ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio") / "site"
    write_studio(folder)
    return folder


TEACH = """async ({ red, blue, settings }) => {
  globalThis.session = document.querySelector('fanlight-studio').session;
  const files = (all) => all.map((bytes, i) => new File([Uint8Array.from(bytes)], `${i}.png`));
  const [one, two] = session.classes;
  await session.renameClass(one.id, 'red');
  await session.renameClass(two.id, 'blue');
  await session.add(one.id, files(red));
  await session.add(two.id, files(blue));
  await session.train(settings);
}"""
ROOM = "find('fl-tag').records().map(({ tag }) => tag)"
SETTINGS = {"epochs": 30, "batchSize": 8, "learningRate": 0.05, "seed": 1}


def given(*kinds: str) -> list[dict[str, Any]]:
    return [
        {"name": f"{i}.png", "mimeType": "image/png", "buffer": photo(kind, 50 + i)}
        for i, kind in enumerate(kinds)
    ]


def test_a_visit_with_trainings_and_projects(page: Any, whole: Path) -> None:
    with serve(whole) as site:
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(site.url + "index.html")
        page.wait_for_selector("fl-class >> nth=1")
        taught = {"red": photos("red", 12), "blue": photos("blue", 12), "settings": SETTINGS}
        page.evaluate(TEACH, taught)
        page.evaluate(FIND)
        # What was put right is not to be taken back after a training, and the photo is asked again.
        page.locator("fl-try input[type=file]").set_input_files(given("red"))
        page.get_by_role("button", name="That's wrong").click()
        page.locator("fl-try .chips").get_by_role("button", name="red").click()
        page.locator("fl-try").get_by_role("button", name="Undo").wait_for()
        page.evaluate("async () => { await session.train(); }")
        page.locator("fl-try").get_by_role("button", name="Undo").wait_for(state="detached")
        page.get_by_role("button", name="That's wrong").wait_for()
        assert not page.locator("fl-try").get_by_role("alert").count()
        # The table stays while the room is left, while it learns, and in another project.
        room = page.get_by_role("button", name="Tag photos")
        room.click()
        page.locator("fl-tag #files").set_input_files(given("red", "blue", "red", "blue"))
        until(page, "find('fl-tag').done === 4")
        tags = page.evaluate(ROOM)
        assert tags == ["red", "blue", "red", "blue"]
        room.click()
        until(page, "!find('fl-tag')")
        page.evaluate("async () => { await session.train(); }")
        room.click()
        page.locator("fl-tag").get_by_role("button", name="Ask again").click()
        until(page, "find('fl-tag').done === 4 && !find('fl-tag .bar')")
        assert page.evaluate(ROOM) == tags
        page.evaluate("""async () => { globalThis.first = session.project.id;
          await session.create('Other'); }""")
        page.get_by_text("There is nothing to tag with yet.").wait_for()
        assert page.evaluate(ROOM) == []
        page.evaluate("async () => { await session.load(first); }")
        page.locator("fl-tag").get_by_role("button", name="All 4").wait_for()
        assert page.evaluate(ROOM) == tags
        page.evaluate("async () => { await session.removeClass('blue'); }")
        page.get_by_text('2 photos had the tag "blue".').wait_for()
        assert page.evaluate(ROOM) == ["red", None, "red", None]
        assert problems == []
