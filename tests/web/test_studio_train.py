"""Studio's training view in a real Chromium: `<fl-train>`, its settings, curves and mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.studio_parts import parts, parts_folder, parts_site, pictures  # noqa: F401

pytestmark = pytest.mark.chromium


def show(page: Any, each: int = 20, more: str = "") -> None:
    page.evaluate(
        f"""async () => {{ globalThis.s = await parts.pets({each}); {more};
        globalThis.el = await parts.show('fl-train', s);
        globalThis.settings = () => parts.settingsOf(s); }}"""
    )


def train(page: Any) -> None:
    page.get_by_role("button", name="Train").click()
    page.locator("#result").wait_for()


def test_what_is_missing_is_said_beside_the_button(parts: Any) -> None:  # noqa: F811
    parts.evaluate(
        """async () => { globalThis.s = new parts.FakeSession();
        globalThis.el = await parts.show('fl-train', s); }"""
    )
    button = parts.get_by_role("button", name="Train")
    said = parts.locator("#plan")
    assert button.is_disabled()
    assert said.inner_text() == "Add a second class."
    markup = "<b>cat</b>"
    parts.evaluate(f"s.addClass('{markup}', '#e8912d'); s.dispatchEvent(new Event('change'))")
    assert said.inner_text() == "Add a second class."
    parts.evaluate("s.addClass('dog', '#3a87b8'); s.dispatchEvent(new Event('change'))")
    assert said.inner_text() == "Add photos to <b>cat</b>, dog."  # a name is never markup
    parts.evaluate(
        """async () => { await s.add('c0', await parts.photo([200, 90, 30]));
        s.dispatchEvent(new Event('change')); await el.updateComplete; }"""
    )
    assert said.inner_text() == "Add photos to dog." and button.is_disabled()
    assert button.get_attribute("aria-describedby") == "plan"
    parts.evaluate(
        """async () => { await s.add('c1', await parts.photo([90, 120, 150]));
        s.dispatchEvent(new Event('change')); await el.updateComplete; }"""
    )
    assert button.is_enabled()
    assert "2 classes, 2 photos" in said.inner_text() and "will help" in said.inner_text()


def test_it_trains_shows_how_it_goes_and_how_good_it_is(parts: Any) -> None:  # noqa: F811
    show(parts, 20, "s.slow = 15")
    pictures(parts, "train-before")
    parts.get_by_role("button", name="Train").click()
    parts.locator("fl-curves").wait_for()
    parts.wait_for_function("() => el._work?.history.loss?.length > 12")
    parts.evaluate("s.slow = 1e5")  # it stands still for its pictures
    curves = parts.get_by_role("img", name="How often it is right")
    assert " of 40 rounds" in curves.get_attribute("aria-label")
    assert parts.get_by_role("progressbar").get_attribute("aria-valuenow") not in {"0", "100"}
    plots = "el.renderRoot.querySelector('fl-curves').renderRoot.querySelectorAll('.plot canvas')"
    assert parts.evaluate(f"[...{plots}].map((c) => c.width > 200)") == [True, True]
    pictures(parts, "train-during")
    parts.get_by_role("button", name="Stop").click()


def test_a_cancelled_training_goes_on_where_it_was(parts: Any) -> None:  # noqa: F811
    show(parts, 20, "s.slow = 15")
    parts.get_by_role("button", name="Train").click()
    parts.wait_for_function("() => el._work?.history.loss?.length > 4")
    parts.get_by_role("button", name="Stop").click()
    parts.get_by_text("Stopped after").wait_for()
    done = parts.evaluate("s.project.runs[0].epochs")
    first = parts.evaluate("s.project.runs[0].history.loss")
    assert parts.evaluate("s.project.runs[0].stopped") == "cancelled"
    assert f"Stopped after {done} rounds" in parts.locator("#plan").inner_text()
    assert not parts.locator("[role=alert]").count()
    parts.get_by_role("button", name="Go on").click()
    parts.locator("#result").wait_for()
    assert parts.evaluate("s.calls.filter(([name]) => name === 'train')") == [
        ["train", False],
        ["train", True],
    ]
    # One run of both: only the rounds that were left, and what the first ones said stays.
    losses = parts.evaluate("[...s.project.runs, el._run].map((run) => run.history.loss)")
    assert len(losses) == 2 and len(losses[0]) == 40 and losses[1] == losses[0]
    assert losses[0][:done] == first
    assert parts.get_by_role("button", name="Train again").is_enabled()


def test_a_failure_is_said_and_the_button_comes_back(parts: Any) -> None:  # noqa: F811
    show(
        parts,
        4,
        "s.fails = new parts.FanlightError('E-STUDIO-030', 'The storage is full',"
        " { next: 'remove photos' })",
    )
    parts.get_by_role("button", name="Train").click()
    assert parts.get_by_role("alert").inner_text() == "The storage is full. Remove photos."
    assert parts.get_by_role("button", name="Train").is_enabled()


def test_settings_have_hints_a_way_back_and_reach_the_session(parts: Any) -> None:  # noqa: F811
    show(parts)
    parts.get_by_text("More", exact=True).click()
    rounds = parts.get_by_label("Rounds", exact=True)
    hint = parts.locator("#epochs-hint")
    assert (
        "photos" in hint.inner_text() and rounds.get_attribute("aria-describedby") == "epochs-hint"
    )
    rounds.fill("12")
    parts.get_by_label("Size of a step").press("ArrowRight")
    assert parts.evaluate("[settings().epochs, settings().learningRate]") == [12, 0.01]
    parts.wait_for_function("() => s.saves === 1")  # once, when nobody turns a knob any more
    parts.get_by_role("button", name="Reset Rounds: 40").click()
    assert parts.evaluate("settings().epochs") == 40
    parts.get_by_label("How much of what it knew").select_option("2")
    assert parts.evaluate("settings().unfreeze") == 2
    parts.get_by_role("radio", name="By example").check()
    assert parts.evaluate("[settings().head, settings().unfreeze]") == ["neighbours", 0]
    assert not rounds.count()  # it has no rounds
    assert parts.get_by_label("Photos it asks").count()
    assert not parts.locator("fl-preview").count()
    parts.get_by_label("Copies of each photo").fill("3")
    parts.get_by_label("Turned").fill("30")
    assert parts.evaluate("[settings().augment.copies, settings().augment.rotate]") == [3, 30]
    drawn = """() => { const all = el.renderRoot.querySelector('fl-settings').renderRoot
        .querySelector('fl-preview').renderRoot.querySelectorAll('canvas');
        return all.length === 6 && [...all].every((c) =>
            c.getContext('2d').getImageData(56, 56, 1, 1).data[3] === 255); }"""
    parts.wait_for_function(drawn)
    parts.get_by_role("radio", name="Simple").check()
    pictures(parts, "train-settings")
    parts.get_by_role("button", name="All as usual").click()
    assert parts.evaluate("[settings().augment.copies, settings().head]") == [0, "linear"]
    assert parts.get_by_role("button", name="All as usual").is_disabled()


def test_mistakes_show_their_photos_by_mouse_and_by_keys(parts: Any) -> None:  # noqa: F811
    show(parts)
    train(parts)
    report = parts.evaluate("s.report")
    right = round(report["accuracy"] * report["count"])
    assert f"Right on {right} of {report['count']}" in parts.locator(".verdict").inner_text()
    assert 0 < right < report["count"]  # there is something to look at
    grid = "el.renderRoot.querySelector('fl-confusion')"
    # Tab comes to the cell of most mistakes.
    wrong = [
        (n, i, j) for i, row in enumerate(report["confusion"]) for j, n in enumerate(row) if i != j
    ]
    most = max(n for n, _, _ in wrong)
    cell = parts.locator("fl-confusion td button[tabindex='0']")
    assert cell.inner_text() == str(most)
    cell.press("Enter")
    panel = parts.locator("fl-confusion .panel")
    assert panel.locator("img[src^='blob:']").count() == min(most, 24)
    _, i, j = max(wrong, key=lambda c: c[0])
    assert parts.evaluate(f"{grid}._open") == [i, j]
    shown = parts.evaluate(f"{grid}.renderRoot.querySelector('fl-photos').ids")
    assert shown == report["cells"][i][j]
    pictures(parts, "train-after")
    # Its photo was in the wrong class: it is moved.
    panel.locator("button.photo").first.click()
    panel.get_by_label("In the wrong class?").select_option(index=1)
    moved = parts.evaluate(f"s.examples.find((e) => e.id === {shown[0]!r}).class")
    assert moved != f"c{i}"
    parts.keyboard.press("Escape")
    cell.focus()
    cell.press("ArrowLeft") if j else cell.press("ArrowRight")
    assert parts.evaluate(f"{grid}._at") == [i, abs(j - 1)]
