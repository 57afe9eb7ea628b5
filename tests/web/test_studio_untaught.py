"""What the page says of classes that are not taught yet, of corrections, of another backbone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.studio_parts import parts, parts_folder, parts_site  # noqa: F401
from tests.web.test_studio_collect import camera_browser, studio, studio_site  # noqa: F401

pytestmark = pytest.mark.chromium

TEXT = "Trained on 3 of 4 classes. Train again to teach <b>fox</b>."


@pytest.mark.parametrize("name", ["fl-train", "fl-try", "fl-keep"])
def test_classes_that_were_added_since_are_named(parts: Any, name: str) -> None:  # noqa: F811
    parts.evaluate(
        """async ([name, text]) => {
          globalThis.s = await parts.pets(3);
          s.trained = true;
          globalThis.el = await parts.show(name, s);
          globalThis.before = el.renderRoot.textContent.includes('Trained on');
          s.untaught = text;
          s.dispatchEvent(new Event('change'));
          await el.updateComplete;
        }""",
        [name, TEXT],
    )
    assert parts.evaluate("before") is False
    parts.get_by_text(TEXT).wait_for()  # a name is never markup
    parts.evaluate("async () => { s.untaught = ''; s.dispatchEvent(new Event('change')); }")
    parts.get_by_text(TEXT).wait_for(state="detached")


def test_a_correction_says_what_it_was_measured_on(parts: Any) -> None:  # noqa: F811
    parts.evaluate(
        """async () => {
          globalThis.s = await parts.pets(6);
          await s.train();
          const { correct } = s;
          const report = { count: 4, loss: 0, accuracy: 1, perClass: [], confusion: [], cells: [] };
          s.correct = async (...given) => ({
            ...await correct.apply(s, given), before: report, after: report,
            measured: 'validation', learnt: globalThis.learns });
          globalThis.el = await parts.show('fl-try', s);
          await el.show([new File([await parts.photo([200, 90, 30])], 'a.png')]);
        }"""
    )
    for learns, said in [(True, "Learnt in"), (False, "Kept for checking.")]:
        parts.evaluate("(learns) => { globalThis.learns = learns; el._learnt = null; }", learns)
        parts.evaluate(
            "async () => { await el.correct(s.classes[0].id); await el.updateComplete; }"
        )
        text = parts.locator(".note[role=status]").inner_text()
        assert ("It now says" in text) == learns
        assert said in text and "On photos it did not learn from:" in text


def test_another_backbone_is_told_until_it_was_trained_again(studio: Any) -> None:  # noqa: F811
    studio.evaluate("""() => {
      const reason = 'The project was taught on another backbone';
      session.problem = { code: 'E-STUDIO-034', reason, next: 'train again' };
      session.tell('problem', session.problem);
    }""")
    status = studio.locator("fl-status")
    status.get_by_text("another backbone. Train again.").wait_for()
    assert status.get_by_role("button").count() == 0  # to try again would change nothing
    studio.evaluate("() => { session.problem = null; session.tell('trained'); }")
    status.get_by_text("another backbone").wait_for(state="detached")
