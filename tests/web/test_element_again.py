"""`<fanlight-classifier>` after a load that failed: the next one begins again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.server import Site

pytestmark = pytest.mark.chromium

MISSING = ["missing"] * 20
# An element whose first load fails; `told` are its events.
FAILED = """async () => {
  await import('./colours/element.js');
  globalThis.element = document.createElement('fanlight-classifier');
  globalThis.told = [];
  for (const type of ['ready', 'error']) {
    element.addEventListener(`fanlight-${type}`, () => told.push(type));
  }
  globalThis.code = (promise) => promise.then(() => 'ready', (error) => error.code);
  globalThis.complains = () => !element.shadowRoot.querySelector('.error').hidden;
  element.setAttribute('src', 'colours/');
  document.body.append(element);
  globalThis.first = element.ready;
  return [await code(first), complains()];
}"""


@pytest.fixture
def failed(page: Any, site: Site) -> Any:
    """A page with an element that could not load; the network is back."""
    page.goto(site.url + "bare.html")
    site.fail("colours/weights", *MISSING)
    assert page.evaluate(FAILED) == ["E-WEB-005", True]
    site.faults.clear()
    return page


def test_who_needs_the_model_again_begins_again(failed: Any) -> None:
    found = failed.evaluate("""async () => {
      const results = await element.classify(new ImageData(8, 8));
      const model = await element.ready;
      return [results.length, typeof model.classify, element.ready === first,
        element.load() === element.ready, complains(), told];
    }""")
    assert found == [3, "function", False, True, False, ["error", "ready"]]


def test_it_tries_again_when_the_network_is_back(failed: Any) -> None:
    found = failed.evaluate("""async () => {
      dispatchEvent(new Event('online'));
      const ready = await code(element.ready);
      dispatchEvent(new Event('online')); // loaded: nothing to do
      await new Promise((resolve) => setTimeout(resolve, 50));
      return [ready, complains(), told, await code(first)];
    }""")
    assert found == ["ready", False, ["error", "ready"], "E-WEB-005"]


def test_a_failure_of_the_second_load_is_of_the_second_load(failed: Any, site: Site) -> None:
    site.fail("colours/weights", *MISSING)
    assert failed.evaluate("code(element.load())") == "E-WEB-005"
    assert failed.evaluate("[complains(), element.ready === first]") == [True, False]
    site.faults.clear()
    assert failed.evaluate("code(element.load())") == "ready"
    assert failed.evaluate("code(element.ready)") == "ready"


def test_another_address_gives_another_ready(failed: Any, site: Site) -> None:
    found = failed.evaluate("""async () => {
      element.setAttribute('src', 'photos/');
      const second = element.ready;
      const ready = await code(second);
      return [ready, second === first, second === element.ready, complains(), told];
    }""")
    assert found == ["ready", False, True, False, ["error", "ready"]]


def test_a_lazy_element_that_failed_loads_at_the_next_use(page: Any, site: Site) -> None:
    page.goto(site.url + "bare.html")
    site.fail("colours/weights", *MISSING)
    lazy = FAILED.replace(
        "element.setAttribute('src'",
        "element.setAttribute('loading', 'lazy'); element.setAttribute('src'",
    )
    lazy = lazy.replace("globalThis.first = element.ready;", "globalThis.first = element.load();")
    assert page.evaluate(lazy) == ["E-WEB-005", True]
    site.faults.clear()
    assert page.evaluate("element.classify(new ImageData(8, 8)).then((all) => all.length)") == 3
