"""Studio's trying view in a real Chromium, with a camera that is none, and what is kept.
Answers, heat, corrections, photos aside; files, projects, trainings that were done.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fanlight.hosts.browser import chromium_flags
from tests.web.server import Site
from tests.web.studio_parts import (  # noqa: F401
    open_parts,
    parts,
    parts_folder,
    parts_site,
    pictures,
)

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def filmed(chromium_path: str, chromium: Any) -> Iterator[Any]:
    """A Chromium whose camera shows a moving test picture."""
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    browser = chromium.browser_type.launch(
        executable_path=chromium_path, headless=True, args=[*chromium_flags(), *flags]
    )
    yield browser
    browser.close()


def show(page: Any, name: str = "fl-try", more: str = "await s.train()") -> None:
    page.evaluate(
        f"""async () => {{ globalThis.s = await parts.pets(20); s.slow = 1; {more};
        globalThis.el = await parts.show({name!r}, s);
        globalThis.heard = []; el.addEventListener('fl-tell', (e) => heard.push(e.detail));
        globalThis.file = async (colour, name = 'a.png') => new File(
            [await parts.photo(colour, 7)], name, {{ type: 'image/png' }});
        globalThis.heat = () => el.renderRoot.querySelector('fl-heat').renderRoot
            .querySelector('canvas');
        globalThis.video = () => el.renderRoot.querySelector('video')?.srcObject; }}"""
    )


def test_without_training_there_is_nothing_to_try(parts: Any) -> None:  # noqa: F811
    show(parts, more="")
    assert "Train first" in parts.locator("fl-try p").inner_text()
    parts.evaluate("s.train()")
    parts.get_by_role("button", name="Use the camera").wait_for()


def test_photos_are_answered_with_bars_heat_and_not_sure(parts: Any) -> None:  # noqa: F811
    show(parts)
    pictures(parts, "try-empty")
    parts.evaluate(
        "async () => el.show([await file([180, 118, 66]), await file([112, 128, 150], '<b>.png')])"
    )
    said = parts.locator(".said")
    assert said.inner_text().split() == ["It", "says", "cat"]
    scores = parts.evaluate("el._answer.results.map((r) => [r.label, r.score])")
    rows = parts.locator("fl-bars li").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["cat", "dog", "owl"]  # they keep their places
    assert rows[0].split("\n")[1] == parts.evaluate(f"parts.percent({scores[0][1]})")
    # Where it looks: drawn over the picture, strongest where the map is.
    parts.get_by_role("switch", name="Show where it looks").check()
    parts.wait_for_function("() => el._answer?.heat")
    alpha = """([x, y]) => { const c = heat();
        return c.getContext('2d').getImageData(x * c.width, y * c.height, 1, 1).data[3]; }"""
    assert parts.evaluate(alpha, [0.7, 0.3]) > 150 > 20 > parts.evaluate(alpha, [0.05, 0.95])
    pictures(parts, "try-photo")
    parts.get_by_role("button", name="Next photo").click()
    parts.wait_for_function("() => el._answer?.label === 'dog'")
    assert parts.get_by_role("img", name="<b>.png").count() == 1
    parts.get_by_role("button", name="Next photo").press("Enter")  # there is none, and it says so
    assert parts.get_by_text("2 of 2 photos").is_visible()
    slider = parts.get_by_label('Say "not sure" below')
    slider.fill("0.99")
    assert "Not sure" in said.inner_text()
    parts.wait_for_function("() => s.settings.threshold === 0.99")
    slider.fill("0.1")
    assert "dog" in said.inner_text()


def test_a_file_that_is_no_photo_is_said_in_words(parts: Any) -> None:  # noqa: F811
    show(parts)
    parts.evaluate("el.show([new File(['hello'], 'a.png', { type: 'image/png' })])")
    parts.get_by_role("alert").wait_for()
    assert "save it as JPEG" in parts.get_by_role("alert").inner_text()
    # What is pasted comes next.
    parts.evaluate(
        """async () => { const data = new DataTransfer();
        data.items.add(await file([112, 128, 150]));
        document.dispatchEvent(
            new ClipboardEvent('paste', { clipboardData: data, cancelable: true })); }"""
    )
    parts.wait_for_function("() => el._answer?.label === 'dog'")
    assert not parts.get_by_role("alert").count()
    # And what is dropped.
    parts.evaluate(
        """async () => { const data = new DataTransfer();
        data.items.add(await file([180, 118, 66]));
        el.renderRoot.querySelector('.view').dispatchEvent(
            new DragEvent('drop', { dataTransfer: data, cancelable: true })); }"""
    )
    parts.wait_for_function("() => el._answer?.label === 'cat'")


def test_what_is_wrong_is_put_right_measured_and_taken_back(parts: Any) -> None:  # noqa: F811
    show(parts)
    aside = parts.get_by_role("switch", name="Keep some photos aside")
    aside.click()
    parts.get_by_text("It has already learnt from these photos").wait_for()
    assert (
        parts.evaluate("s.examples.filter((e) => e.held).length") == 12
    )  # one in five of each class
    parts.locator("fl-aside").get_by_role("button", name="Train again").click()
    parts.get_by_text("photos put aside").wait_for()
    right = parts.evaluate("Math.round(12 * s.report.accuracy)")
    assert f"{right} of 12" in parts.locator("fl-aside .note").inner_text()
    assert s_held_never_learnt(parts)
    parts.evaluate("async () => el.show([await file([140, 130, 110])])")
    parts.get_by_role("button", name="That's wrong").click()
    choice = parts.get_by_role("group", name="What it really is")
    assert choice.get_by_role("button").all_inner_texts() == ["cat", "dog", "owl", "Cancel"]
    pictures(parts, "try-wrong")
    choice.get_by_role("button", name="Cancel").press("Enter")
    parts.wait_for_function("() => el.renderRoot.activeElement?.id === 'wrong'")
    parts.get_by_role("button", name="That's wrong").click()
    choice.get_by_role("button", name="dog").click()
    parts.get_by_text("Learnt in 0.4 seconds.").wait_for()
    note = parts.locator(".note", has_text="Learnt in").inner_text()
    learnt = parts.evaluate(
        "({ before: el._learnt.before.accuracy, after: el._learnt.after.accuracy })"
    )
    assert f"{round(12 * learnt['before'])} of 12 before" in note
    assert f"{round(12 * learnt['after'])} of 12 now" in note
    assert parts.evaluate("s.examples.at(-1).class + s.examples.at(-1).source") == "c1correction"
    pictures(parts, "try-learnt")
    # The keys go to what stands where the pressed button was.
    parts.wait_for_function("() => el.renderRoot.activeElement?.id === 'undo'")
    parts.get_by_role("button", name="Undo").click()
    parts.wait_for_function("() => !el._learnt && !el._busy")
    parts.wait_for_function("() => el.renderRoot.activeElement?.id === 'wrong'")
    assert parts.evaluate("s.examples.length") == 60
    aside.click()
    parts.wait_for_function("() => !s.examples.some((e) => e.held)")


def s_held_never_learnt(page: Any) -> bool:
    """The last training had all photos but those put aside."""
    return bool(page.evaluate("s.calls.at(-1)[0] === 'train' && s.report.count === 12"))


def learn(page: Any) -> None:
    """A photo is put right: it can be taken back."""
    page.evaluate("async () => el.show([await file([140, 130, 110])])")
    page.get_by_role("button", name="That's wrong").click()
    page.get_by_role("group", name="What it really is").get_by_role("button", name="dog").click()
    page.get_by_role("button", name="Undo").wait_for()


def test_after_a_training_there_is_nothing_to_take_back(parts: Any) -> None:  # noqa: F811
    show(parts)
    learn(parts)
    asked = parts.evaluate("s.asked")
    parts.evaluate("s.train()")
    parts.get_by_role("button", name="Undo").wait_for(state="detached")
    # The photo is asked again, as of what was learnt now.
    parts.wait_for_function("() => el._answer")
    assert parts.evaluate("s.asked") == asked + 1
    assert parts.get_by_role("img", name="a.png").count() == 1
    assert not parts.locator(".note", has_text="Learnt in").count()


def test_another_project_begins_with_nothing(parts: Any) -> None:  # noqa: F811
    show(parts)
    learn(parts)
    parts.evaluate("""() => { s.project = { ...s.project, id: 'q' };
        s.dispatchEvent(new Event('change')); }""")
    parts.get_by_text("Here you see what it says.").wait_for()
    assert not parts.get_by_role("button", name="Undo").count()
    assert not parts.get_by_role("img", name="a.png").count()


def test_a_correction_that_another_project_overtakes_is_not_shown(parts: Any) -> None:  # noqa: F811
    show(parts)
    parts.evaluate("async () => el.show([await file([140, 130, 110])])")
    parts.evaluate("s.lag = 150")
    parts.get_by_role("button", name="That's wrong").click()
    parts.get_by_role("group", name="What it really is").get_by_role("button", name="dog").click()
    parts.wait_for_function("() => s.examples.length === 61")
    parts.evaluate("""() => { s.project = { ...s.project, id: 'q' };
        s.dispatchEvent(new Event('change')); }""")
    parts.wait_for_function("() => !el._busy")
    assert not parts.get_by_role("button", name="Undo").count()


def test_the_camera_is_looked_at_while_it_is_seen(filmed: Any, parts_site: Site) -> None:  # noqa: F811
    context = filmed.new_context(permissions=["camera"])
    page = open_parts(context.new_page(), parts_site)
    try:
        show(page, more="await s.train(); s.lag = 40")
        page.evaluate(
            """() => { const of = HTMLVideoElement.prototype; globalThis.frames = 0;
            const ask = of.requestVideoFrameCallback;
            of.requestVideoFrameCallback = function (then) {
                return ask.call(this, (...told) => { frames++; then(...told); }); }; }"""
        )
        page.get_by_role("button", name="Use the camera").click()
        page.wait_for_function("() => s.asked > 3")
        # What is asked is of frames that the browser has told of, by the runtime's `watch`.
        assert page.evaluate("frames >= s.asked")
        assert page.locator("fl-bars li").first.inner_text().endswith("%")
        # The keys stay with the button that starts and stops it.
        focused = "el.renderRoot.activeElement?.textContent.trim()"
        assert page.evaluate(focused) == "Stop the camera"
        page.keyboard.press("Enter")
        page.wait_for_function(f"() => {focused} === 'Use the camera'")
        page.keyboard.press("Enter")
        page.wait_for_function(f"() => video() && {focused} === 'Stop the camera'")
        asked = page.evaluate("s.asked")
        page.wait_for_function(f"() => s.asked > {asked}")
        pictures(page, "try-live")
        # Latest wins: never two at once. Out of sight, nothing is asked.
        page.evaluate(
            """() => { let now = 0; globalThis.most = 0; const ask = s.predict.bind(s);
            s.predict = async (...given) => { most = Math.max(most, ++now);
                try { return await ask(...given); } finally { now--; } }; }"""
        )
        page.evaluate("s.asked = 0")
        page.wait_for_function("() => s.asked > 3")
        assert page.evaluate("most") == 1
        page.evaluate("el.hidden = true")
        page.evaluate("parts.pause(200)")
        asked = page.evaluate("s.asked")
        page.evaluate("parts.pause(300)")
        assert page.evaluate("s.asked") == asked
        page.evaluate("el.hidden = false")
        page.wait_for_function(f"() => s.asked > {asked}")
        # The picture stands still while it is put right.
        page.get_by_role("button", name="That's wrong").click()
        page.locator("#frozen").wait_for()
        page.get_by_role("button", name="owl").click()
        page.get_by_text("Learnt in").wait_for()
        assert page.evaluate("s.examples.at(-1).class") == "c2"
        assert page.evaluate("el._frozen") is None
        tracks = page.evaluate(
            "() => { globalThis.v = video().getTracks(); return v.map((t) => t.readyState); }"
        )
        assert tracks == ["live"]
        # A camera that is unplugged is said.
        page.evaluate("v[0].dispatchEvent(new Event('ended'))")
        assert "unplugged" in page.get_by_role("alert").inner_text()
        page.get_by_role("button", name="Use the camera").click()
        page.wait_for_function("() => video()")
        page.evaluate("() => { globalThis.v = video().getTracks(); el.remove(); }")
        assert page.evaluate("v.map((t) => t.readyState)") == ["ended"]
        assert page.problems == []
    finally:
        context.close()


# A session that learns answers nobody.
LEARNS = """() => { s.busy = 'train'; const ask = s.predict.bind(s);
  s.predict = async (...given) => {
    if (s.busy) { globalThis.refused = true; throw Object.assign(new Error('train has not ended.'),
      { code: 'E-STUDIO-023' }); }
    return ask(...given); };
  s.dispatchEvent(new CustomEvent('training', { detail: { epoch: 0, epochs: 9, logs: {} } })); }"""


def test_the_camera_waits_while_it_learns(filmed: Any, parts_site: Site) -> None:  # noqa: F811
    context = filmed.new_context(permissions=["camera"])
    page = open_parts(context.new_page(), parts_site)
    try:
        show(page)
        page.get_by_role("button", name="Use the camera").click()
        page.wait_for_function("() => s.asked > 1")
        page.evaluate(LEARNS)
        page.get_by_text("Waits while it learns").wait_for()
        asked = page.evaluate("s.asked")
        page.evaluate("parts.pause(300)")
        assert page.evaluate("[s.asked, el._camera, el._error]") == [asked, "on", None]
        page.evaluate("s.busy = undefined")
        page.get_by_text("Live", exact=True).wait_for()
        assert page.evaluate("s.asked") > asked and page.problems == []
    finally:
        context.close()


def test_a_photo_that_comes_while_it_learns_is_answered_after_that(parts: Any) -> None:  # noqa: F811
    show(parts)
    parts.evaluate(LEARNS)
    parts.evaluate("async () => { el.show([await file([180, 118, 66])]); }")
    parts.get_by_text("It is learning: the answer comes after that.").wait_for()
    parts.wait_for_function("() => globalThis.refused")
    parts.evaluate("s.busy = undefined")
    parts.get_by_text("It says").wait_for()
    assert parts.get_by_role("alert").count() == 0


def test_a_page_without_a_camera_says_what_to_do(parts: Any) -> None:  # noqa: F811
    show(parts)
    parts.get_by_role("button", name="Use the camera").click()
    parts.get_by_role("alert").wait_for()
    assert "choose photos instead" in parts.get_by_role("alert").inner_text()


def test_a_map_is_bilinear_between_its_places(parts: Any) -> None:  # noqa: F811
    found = parts.evaluate(
        """() => { const map = { data: Float32Array.from([0, 1]), width: 2, height: 1 };
        const image = parts.heatPixels(map, 8, 2);
        return [...image.data].filter((_, i) => i % 4 === 3); }"""
    )
    # Centres of the two places are at 2 and 6 of 8: flat beyond, even steps between.
    shares = [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]
    expected = [round(share**1.5 * 0.72 * 255) for share in shares]
    assert found == pytest.approx(expected * 2, abs=1)


def test_nothing_is_made_of_what_was_thrown_away(parts: Any) -> None:  # noqa: F811
    throw = "() => { parts.Trash.of(s).put({ examples: [s.examples[0].id] }); s.calls = []; }"
    first = "s.calls.map(([name]) => name).filter((name) => !['train', 'configure'].includes(name))"
    show(parts, "fl-keep")
    count = parts.evaluate("s.examples.length")
    parts.evaluate(throw)
    with parts.expect_download():
        parts.evaluate("el.export('page')")
    assert parts.evaluate("s.examples.length") == count - 1
    parts.get_by_role("link", name="Save again").wait_for()
    show(parts)
    parts.evaluate(throw)
    parts.evaluate("async () => { await el.show([await file([140, 130, 110])]); }")
    parts.evaluate("async () => { await el.correct(s.classes[1].id); }")
    assert parts.evaluate(first)[0] == "remove"
    parts.evaluate(throw)
    parts.get_by_role("switch", name="Keep some photos aside").click()
    parts.wait_for_function("() => s.calls.some(([name]) => name === 'hold')")
    assert parts.evaluate(first)[0] == "remove"


def test_files_are_made_and_saved(parts: Any) -> None:  # noqa: F811
    show(parts, "fl-keep", "await s.train(); await s.train({ epochs: 60, head: 'hidden' })")
    parts.get_by_text("For developers").click()
    pictures(parts, "keep")
    for name, size in (("Web page", "11.8 MB"), ("One file", "7.0 MB"), ("Weights", "7.0 MB")):
        assert f"about {size}" in parts.locator("fl-keep li", has_text=name).inner_text()
    with parts.expect_download() as download:
        parts.get_by_role("button", name="Save: Web page").press("Enter")
    parts.wait_for_function("() => el.renderRoot.activeElement?.id === 'save-page'")
    assert download.value.suggested_filename == "pets-page.zip"
    link = parts.get_by_role("link", name="Save again")
    assert link.get_attribute("download") == "pets-page.zip"
    assert "4 kB" in parts.locator("fl-keep li", has_text="Web page").inner_text()
    # What was made is of what was there: it goes when something changes.
    parts.evaluate("s.dispatchEvent(new Event('change'))")
    link.wait_for(state="detached")
    # So does one that came while it was made, once it is saved.
    parts.evaluate("s.slow = 400")
    with parts.expect_download() as download:
        parts.get_by_role("button", name="Save: Web page").click()
        parts.wait_for_function("() => el._states.page.share > 0.2")
        parts.evaluate("s.dispatchEvent(new Event('change'))")
    assert Path(download.value.path()).stat().st_size > 1000
    parts.get_by_role("button", name="Save: Web page").wait_for()
    parts.get_by_role("button", name="Save: Weights").click()
    bar = parts.get_by_role("progressbar")
    parts.wait_for_function("() => el._states.safetensors.share > 0.2")
    assert bar.get_attribute("aria-valuenow") in {"25", "50", "75"}
    parts.get_by_role("button", name="Stop: Weights").click()
    parts.get_by_role("button", name="Save: Weights").wait_for()
    parts.evaluate(
        "s.fails = new parts.FanlightError('E-STUDIO-050', 'This head has no such form',"
        " { next: 'choose another' })"
    )
    parts.get_by_role("button", name="Save: TensorFlow.js").click()
    assert parts.get_by_role("alert").inner_text() == "This head has no such form. Choose another."


def test_untrained_only_the_project_can_be_saved(parts: Any) -> None:  # noqa: F811
    show(parts, "fl-keep", "")
    assert parts.get_by_role("button", name="Save: Web page").is_disabled()
    with parts.expect_download() as download:
        parts.get_by_role("button", name="Save: Whole project").click()
    assert download.value.suggested_filename == "pets-project.zip"


def test_a_project_is_brought_in_and_what_is_none_refused(parts: Any) -> None:  # noqa: F811
    show(parts, "fl-keep", "")
    parts.evaluate(
        "el.addEventListener('fl-project', ({ detail }) => { globalThis.came = detail.name; })"
    )
    chooser = parts.get_by_label("Project file")
    chooser.set_input_files({"name": "a.zip", "mimeType": "application/zip", "buffer": b"PK"})
    assert "choose a zip" in parts.get_by_role("alert").inner_text().lower()
    chooser.set_input_files({"name": "a.zip", "mimeType": "application/zip", "buffer": b"PK" * 99})
    parts.wait_for_function("() => globalThis.came === 'Birds'")
    assert not parts.get_by_role("alert").count()


def test_storage_is_shown_and_asked_for(parts: Any) -> None:  # noqa: F811
    show(parts, "fl-keep", "")
    section = parts.locator("section", has_text="On this device")
    assert "48.2 MB used" in section.inner_text()
    parts.get_by_role("button", name="Keep it safely").click()
    parts.get_by_text("Kept safely on this device").wait_for()
    parts.evaluate("s.store.usage = async () => ({ used: 95, quota: 100, persisted: true })")
    parts.evaluate("s.dispatchEvent(new Event('change'))")
    parts.get_by_text("Storage is nearly full").wait_for()


def test_earlier_trainings_are_listed_and_their_settings_come_back(parts: Any) -> None:  # noqa: F811
    show(
        parts,
        "fl-keep",
        "await s.configure({ mirror: true }); await s.train({ epochs: 8 });"
        " await s.train({ epochs: 60, head: 'hidden', mirror: false })",
    )
    rows = parts.locator("fl-runs tbody tr").all_inner_texts()
    assert len(rows) == 2 and "head: deeper" in rows[0] and "60 rounds" in rows[0]
    assert "8 rounds" in rows[1] and "head" not in rows[1]
    parts.get_by_role("button", name="Use again").last.click()
    parts.wait_for_function("() => s.settings.epochs === 8 && s.settings.head === 'linear'")
    assert parts.evaluate("s.settings.mirror") is False  # it is no matter of how is learnt
    parts.evaluate("heard.at(-1).act()")
    parts.wait_for_function("() => s.settings.epochs === 60")
