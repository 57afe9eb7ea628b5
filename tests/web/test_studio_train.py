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


def test_what_is_told_is_of_what_was_measured(parts: Any) -> None:  # noqa: F811
    show(parts)
    parts.evaluate(
        "async () => { await s.train(); s.project.runs.at(-1).measured = 'validation'; }"
    )
    parts.evaluate("async () => { await s.hold(s.examples.slice(0, 8).map((e) => e.id), true); }")
    start = parts.get_by_role("region", name="Train")
    start.get_by_text("and 8 put aside: train again to measure on them").wait_for()
    assert "photos it did not learn from" in parts.locator(".verdict").inner_text()
    # They are of one class alone: that says little.
    parts.evaluate("""async () => { s.report = await s.evaluate('held');
        s.project.runs.at(-1).measured = 'held'; s.dispatchEvent(new Event('trained')); }""")
    parts.locator(".verdict").get_by_text("So few say little: put 5 or more of each").wait_for()
    # A new name is said everywhere; and what nothing is taught any more has no result.
    parts.evaluate("s.classes[0].name = 'Minka', s.dispatchEvent(new Event('change'))")
    parts.locator("fl-confusion").get_by_text("Minka").first.wait_for()
    parts.evaluate(
        "async () => { s.trained = false; el.requestUpdate(); await el.updateComplete; }"
    )
    assert not parts.locator("#result").count()
    parts.evaluate("s.trained = true")
    # A class that was thrown away is not counted, though it can still be had back.
    parts.evaluate("parts.Trash.of(s).put({ classes: [s.classes[0].id] })")
    start.get_by_text("2 classes").wait_for()
    parts.evaluate("parts.Trash.of(s).undo()")
    parts.evaluate("parts.Trash.of(s).put({ classes: s.classes.slice(0, 2).map((c) => c.id) })")
    start.get_by_text("Add a second class.").wait_for()
    assert start.get_by_role("button", name="Train again").is_disabled()


# Of each round but the ends of the line: how high the middle of what is drawn in the
# line's colour lies, and how high it should, in pixels of the screen; then how wide the canvas is.
LINE = """async ([name, key]) => {
  const curves = el.renderRoot.querySelector('fl-curves');
  await curves.updateComplete;
  await new Promise((done) => requestAnimationFrame(done)); // uPlot draws when all is said
  const plot = curves.renderRoot.querySelector(`#${name}`);
  const canvas = plot.querySelector('canvas');
  const [whole, area] = [canvas, plot.querySelector('.u-over')]
    .map((e) => e.getBoundingClientRect());
  const scale = canvas.width / whole.width;
  const { history, epochs } = curves;
  const top = name === 'accuracy' ? 1 : 1.08 * Math.max(...history.loss, ...history.val_loss);
  const probe = new OffscreenCanvas(1, 1).getContext('2d');
  probe.fillStyle = getComputedStyle(curves).getPropertyValue('--accent');
  probe.fillRect(0, 0, 1, 1);
  const ink = probe.getImageData(0, 0, 1, 1).data;
  const context = canvas.getContext('2d');
  const found = history[key].slice(1, -1).map((value, i) => {
    const x = Math.round((area.left - whole.left + (i + 1) / (epochs - 1) * area.width) * scale);
    const { data } = context.getImageData(x, 0, 1, canvas.height);
    const rows = Array.from({ length: canvas.height }, (_, y) => y).filter((y) => (
      [0, 1, 2, 3].every((c) => Math.abs(data[4 * y + c] - ink[c]) < 40)));
    const middle = rows.length ? (rows[0] + rows.at(-1) + 1) / 2 / scale : -1;
    return [middle, area.top - whole.top + (1 - value / top) * area.height];
  });
  return [found, canvas.width];
}"""


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
    parts.get_by_role("button", name="Train").press("Enter")
    # The button has gone: the keys are with the one that stops it.
    parts.wait_for_function("() => el.renderRoot.activeElement?.textContent.trim() === 'Stop'")
    parts.locator("fl-curves").wait_for()
    parts.wait_for_function("() => el._work?.history.loss?.length > 12")
    parts.evaluate("s.slow = 1e5")  # it stands still for its pictures
    curves = parts.get_by_role("img", name="How often it is right")
    assert " of 40 rounds" in curves.get_attribute("aria-label")
    assert parts.get_by_role("progressbar").get_attribute("aria-valuenow") not in {"0", "100"}
    # Each round of the solid line is where its number says, and nothing of it is elsewhere.
    for name, key in (("accuracy", "val_accuracy"), ("loss", "val_loss")):
        drawn, width = parts.evaluate(LINE, [name, key])
        assert len(drawn) > 10 and width > 200
        assert all(abs(seen - wanted) <= 2 for seen, wanted in drawn), f"{name}: {drawn}"
        heights = [wanted for _, wanted in drawn]
        assert max(heights) - min(heights) > 30  # it goes somewhere
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


# A training that does a round when the test says so, by a clock of the test.
BY_HAND = """() => {
  let now = 1000;
  performance.now = () => now;
  s.project.runs.push({ stopped: 'cancelled', epochs: 30, seconds: 3, settings: s.settings,
    history: { loss: Array(30).fill(0.5) }, report: null });
  s.train = (_, { onEpoch, signal }) => new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
    globalThis.round = async (epoch, ms) => {
      now += ms;
      onEpoch(epoch, { loss: 0.4 });
      await el.updateComplete;
      return ['.stage', '.left'].map((part) => el.renderRoot.querySelector(part).textContent);
    };
  });
  s.dispatchEvent(new Event('change'));
}"""


def test_the_time_left_is_reckoned_by_the_rounds_of_this_training(parts: Any) -> None:  # noqa: F811
    show(parts, 1)
    parts.evaluate(BY_HAND)
    parts.get_by_role("button", name="Go on").click()
    parts.wait_for_function("() => globalThis.round")
    rounds = [parts.evaluate(f"round({n})") for n in ("30, 60000", "31, 4000", "32, 2000")]
    assert rounds == [
        ["Round 32 of 40", "The page stays usable."],
        ["Round 33 of 40", "about 32 seconds left"],
        ["Round 34 of 40", "about 21 seconds left"],
    ]
    parts.get_by_role("button", name="Stop").click()
    # Where it cannot go on it begins anew, and all rounds are to come again.
    parts.evaluate("delete globalThis.round")
    parts.get_by_role("button", name="Go on").click()
    parts.wait_for_function("() => globalThis.round")
    assert [parts.evaluate(f"round({n})") for n in ("0, 500", "1, 2000")] == [
        ["Round 2 of 40", "The page stays usable."],
        ["Round 3 of 40", "about 76 seconds left"],
    ]
    assert parts.evaluate("el._work.history.loss.length") == 2
    parts.get_by_role("button", name="Stop").click()


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


# Counts the canvases that this page makes to draw on.
COUNT = """() => { globalThis.canvases = 0;
  globalThis.OffscreenCanvas = class extends OffscreenCanvas {
    constructor(...size) { super(...size); canvases++; }
  }; }"""
# Whether all copies are drawn; they are pixels then, in `seen()`.
DRAWN = """() => {
  globalThis.seen = () => [...el.renderRoot.querySelector('fl-settings').renderRoot
    .querySelector('fl-preview').renderRoot.querySelectorAll('canvas')].map((c) =>
      [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]);
  const all = seen();
  return all.length === 6 && all.every((data) => data.every((v, i) => i % 4 < 3 || v === 255));
}"""
# How far the copies are from their photos, in levels of a colour.
FAR = """async () => Promise.all(seen().map(async (copy, i) => {
  const id = s.examples.find((e) => e.class === s.classes[Math.floor(i / 3)].id).id;
  const side = Math.sqrt(copy.length / 4);
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  Object.assign(context.canvas, { width: side, height: side });
  context.drawImage(await createImageBitmap(await s.photo(id)), 0, 0, side, side);
  const { data } = context.getImageData(0, 0, side, side);
  return copy.reduce((sum, v, k) => sum + Math.abs(v - data[k]), 0) / (3 * side * side);
}))"""


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
    over = parts.get_by_label("Over time", exact=True)
    over.press("ArrowRight")
    assert over.get_attribute("aria-valuetext") == "ten times smaller in the last third"
    assert parts.evaluate("settings().schedule") == "step"
    assert parts.evaluate("[settings().epochs, settings().learningRate]") == [12, 0.01]
    parts.evaluate(COUNT)
    parts.wait_for_function("() => s.saves === 1")  # once, when nobody turns a knob any more
    parts.get_by_role("button", name="Reset Rounds: 40").press("Enter")
    assert parts.evaluate("settings().epochs") == 40
    focused = "el.renderRoot.querySelector('fl-settings').renderRoot.activeElement?.id"
    parts.wait_for_function(f"() => {focused} === 'epochs'")
    share = parts.get_by_role("slider", name="Kept for checking")
    share.fill("0")
    assert "none are kept" in parts.locator("#patience-hint").inner_text()
    share.fill("0.2")
    assert "photos kept for checking." in parts.locator("#patience-hint").inner_text()
    parts.get_by_label("How much of what it knew").select_option("2")
    assert parts.evaluate("settings().unfreeze") == 2
    parts.get_by_role("radio", name="By example").check()
    assert parts.evaluate("[settings().head, settings().unfreeze]") == ["neighbours", 0]
    assert not rounds.count()  # it has no rounds
    assert parts.get_by_label("Photos it asks").count()
    assert not parts.locator("fl-preview").count()
    # Nor has it any use for copies, and nothing stands over fields that are not there.
    assert parts.locator("fl-settings legend").all_inner_texts() == ["What learns", "How it learns"]
    assert not parts.get_by_label("Copies of each photo").count()
    assert "each round" not in parts.locator("#validationSplit-hint").inner_text()
    parts.get_by_role("radio", name="Simple").check()
    parts.get_by_label("Copies of each photo").fill("3")
    parts.get_by_label("Turned").fill("30")
    assert parts.evaluate("[settings().augment.copies, settings().augment.rotate]") == [3, 30]
    # Each copy is another one, and none is the photo as it is.
    parts.wait_for_function(DRAWN)
    assert len(set(parts.evaluate("seen().map(String)"))) == 6
    far = parts.evaluate(FAR)
    assert len(far) == 6 and min(far) > 3, far
    assert parts.evaluate("canvases") == 0  # they are drawn in the worker
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
    photos = panel.locator("img[src^='blob:']")
    photos.nth(min(most, 24) - 1).wait_for()
    assert photos.count() == min(most, 24)
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
