"""The frame of Studio: sessions that take turns, the offer to install, an undo that fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.test_studio_collect import (
    camera_browser,
    files,
    studio,
    studio_site,
    until,
)

pytestmark = pytest.mark.chromium

__all__ = ["camera_browser", "studio", "studio_site"]

# Sessions by address: each is opened when the test says so, and tells when it was closed.
SESSIONS = """async () => {
  const { FakeSession } = await import('./fake.js');
  globalThis.app = document.querySelector('fanlight-studio');
  globalThis.opened = {};
  globalThis.ended = [];
  const made = (name) => {
    const made = new FakeSession();
    made.project = { ...made.project, name };
    made.dispose = () => ended.push([name, made.examples.length]);
    return made;
  };
  app.constructor.open = async (url) => {
    const name = url.pathname.split('/').at(-2);
    if (name === 'none') throw new Error('There is nothing.');
    if (name === 'late') await new Promise((resolve) => { globalThis.arrive = resolve; });
    return opened[name] = made(name);
  };
  globalThis.given = app.session;
  given.dispose = () => ended.push(['given', 0]);
  globalThis.go = (src) => { app.src = src; };
}"""


@pytest.fixture
def sessions(studio: Any) -> Any:
    studio.evaluate(SESSIONS)
    return studio


def shows(page: Any, name: str) -> None:
    until(page, f"app.session?.project.name === '{name}'")
    until(page, "app.session.classes.length === 2")  # it is made ready
    page.evaluate("app.updateComplete")


def test_the_session_of_another_address_takes_the_place_of_the_last(sessions: Any) -> None:
    sessions.evaluate("go('one/')")
    shows(sessions, "one")
    assert sessions.evaluate("ended") == []  # what a script gave, it may go on with
    sessions.evaluate("go('two/')")
    shows(sessions, "two")
    assert sessions.evaluate("ended") == [["one", 0]]
    sessions.evaluate("app.session = given")
    until(sessions, "ended.length === 2")
    assert sessions.evaluate("ended[1][0]") == "two"
    sessions.evaluate("app.session = null")
    sessions.evaluate("go('three/')")
    shows(sessions, "three")
    assert sessions.evaluate("ended.length") == 2


def test_a_session_is_closed_without_what_was_thrown_away(sessions: Any) -> None:
    sessions.evaluate("go('one/')")
    shows(sessions, "one")
    first = sessions.locator("fl-class").first
    first.locator("input.files").set_input_files(files(1, 2))
    until(sessions, "app.session.examples.length === 2")
    first.get_by_role("button", name="More for Class 1").click()
    first.get_by_role("button", name="Remove this class").click()
    sessions.locator("fl-toast.foot").get_by_text("Class 1 and its 2 photos removed").wait_for()
    assert sessions.evaluate("app.session.examples.length") == 2  # they could still be had back
    sessions.evaluate("go('two/')")
    shows(sessions, "two")
    assert sessions.evaluate("ended") == [["one", 0]]


def test_a_session_that_comes_too_late_is_closed(sessions: Any) -> None:
    sessions.evaluate("go('one/')")
    shows(sessions, "one")
    sessions.evaluate("go('late/')")
    until(sessions, "!!globalThis.arrive")
    assert sessions.evaluate("[ended, app.session]") == [[["one", 0]], None]
    sessions.evaluate("go('two/')")
    shows(sessions, "two")
    sessions.evaluate("arrive()")
    until(sessions, "ended.length === 2")
    assert sessions.evaluate("[ended[1][0], app.session.project.name]") == ["late", "two"]


def test_an_address_where_nothing_is_shows_nothing_of_the_last(sessions: Any) -> None:
    sessions.evaluate("go('one/')")
    shows(sessions, "one")
    sessions.evaluate("go('none/')")
    sessions.get_by_text("There is nothing.").wait_for()
    assert sessions.evaluate("[ended, app.session]") == [[["one", 0]], None]
    sessions.evaluate("app.src = 'two/'")
    shows(sessions, "two")


# --- the offer to install ------------------------------------------------------------------------

OFFER = """(fails) => {
  globalThis.prompts ??= [];
  const offer = new Event('beforeinstallprompt', { cancelable: true });
  const number = globalThis.offers = (globalThis.offers ?? 0) + 1;
  let used = false;
  offer.prompt = async () => {
    prompts.push(number);
    if (used || fails) throw new Error('This was asked before.');
    used = true;
    return { outcome: 'dismissed' };
  };
  dispatchEvent(offer);
  return offer.defaultPrevented;
}"""


def test_each_offer_to_install_can_be_taken_up_once(studio: Any) -> None:
    button = studio.get_by_role("button", name="Install")
    assert button.count() == 0
    for number in (1, 2):
        assert studio.evaluate(OFFER)
        button.wait_for()
        button.click()
        button.wait_for(state="detached")  # until the browser makes another one
        assert studio.evaluate("prompts") == list(range(1, number + 1))
    assert studio.evaluate(OFFER)
    button.wait_for()
    studio.evaluate("dispatchEvent(new Event('appinstalled'))")
    button.wait_for(state="detached")


def test_an_offer_that_cannot_be_taken_up_is_told(studio: Any) -> None:
    studio.evaluate(OFFER, True)
    studio.get_by_role("button", name="Install").click()
    studio.locator("fl-toast.foot").get_by_text("This was asked before.").wait_for()


# --- an undo that fails --------------------------------------------------------------------------

# Something was done, as an element tells it, and its undo ends in this way.
TELL = """([selector, how, inside]) => {
  const ends = {
    rejects: async () => { throw Object.assign(new Error('code'), {
      reason: 'The photo is gone', next: 'add it again' }); },
    throws: () => { throw new Error('Nothing to undo.'); },
    stopped: async () => { throw new DOMException('stopped', 'AbortError'); },
    waits: () => new Promise((_, reject) => {
      globalThis.end = () => reject(new Error('It came to nothing.'));
    }),
  };
  const from = find(selector);
  const detail = { text: 'Moved.', label: 'Undo', act: ends[how] };
  (inside ? from.shadowRoot.querySelector(inside) : from).dispatchEvent(
    new CustomEvent('fl-tell', { bubbles: true, composed: true, detail }));
}"""


def test_an_undo_that_fails_says_what_went_wrong(studio: Any) -> None:
    # Whatever nobody handles fails the test, too: see `enter`.
    toast = studio.locator("fl-toast.foot")
    for how, words in (
        ("rejects", "The photo is gone. Add it again."),
        ("throws", "Nothing to undo."),
    ):
        studio.evaluate(TELL, ["fl-collect", how])
        toast.get_by_role("button", name="Undo").click()
        toast.get_by_text(words).wait_for()
        assert toast.get_by_role("status").get_attribute("aria-live") == "assertive"
        assert toast.get_by_role("button", name="Undo").count() == 0
    studio.evaluate(TELL, ["fl-collect", "stopped"])  # nothing to tell
    toast.get_by_role("button", name="Undo").click()
    studio.wait_for_timeout(200)
    assert toast.get_by_role("status").inner_text() == ""


def test_an_undo_that_fails_when_its_window_is_closed_is_told_behind_it(studio: Any) -> None:
    studio.get_by_role("button", name="Your projects").click()
    window = studio.locator("fl-projects fl-dialog")
    window.get_by_text("Leaves").first.wait_for()
    studio.evaluate(TELL, ["fl-projects", "waits", "fl-dialog > *"])
    window.locator("fl-toast").get_by_role("button", name="Undo").click()
    until(studio, "!!globalThis.end")
    studio.keyboard.press("Escape")
    until(studio, "!find('fl-projects').shadowRoot.querySelector('fl-dialog').open")
    studio.evaluate("end()")
    studio.locator("fl-toast.foot").get_by_text("It came to nothing.").wait_for()
