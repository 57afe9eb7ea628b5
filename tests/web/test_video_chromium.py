"""Live video: the newest frame only, rest while nobody looks, and ways on when the camera goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fanlight.hosts.browser import chromium_flags
from tests.web.server import Site
from tests.web.test_page_chromium import choose, open_page, picture

pytestmark = pytest.mark.chromium

# A video of a canvas that changes its colour, and a model that answers when the test says so.
SCENE = """async () => {
  const { watch, warm } = await import(new URL('double/video.js', location.href).href);
  const canvas = Object.assign(document.createElement('canvas'), { width: 32, height: 32 });
  const context = canvas.getContext('2d');
  let frame = 0;
  const paint = setInterval(() => {
    context.fillStyle = `rgb(${frame++ % 256} 0 0)`;
    context.fillRect(0, 0, 32, 32);
  }, 20);
  const video = document.createElement('video');
  video.muted = true;
  video.srcObject = canvas.captureStream(50);
  await video.play();
  const scene = { watch, warm, video, canvas, asked: [], answers: 0, problems: [], waiting: [] };
  scene.model = {
    classify: (source, options) => new Promise((resolve, reject) => {
      scene.asked.push([source === video ? 'video' : source.constructor.name, options.top]);
      scene.waiting.push({ resolve, reject });
    }),
  };
  scene.options = {
    top: 2,
    onAnswer: ({ results, ms }) => { scene.answers++; scene.last = [results, ms]; },
    onProblem: ({ code, message, reason, next }) => {
      scene.problems.push([code ?? message, reason, next]);
    },
  };
  scene.answer = () => scene.waiting.shift().resolve([{ label: 'a', index: 0, score: 1 }]);
  scene.until = async (test) => {
    for (let i = 0; i < 300 && !test(); i++) await new Promise((r) => setTimeout(r, 20));
    if (!test()) throw new Error('did not happen: ' + test);
  };
  scene.pause = (ms) => new Promise((r) => setTimeout(r, ms));
  scene.end = () => clearInterval(paint);
  globalThis.scene = scene;
}"""


@pytest.fixture
def scene(bare: Any) -> Any:
    bare.evaluate(SCENE)
    return bare


def test_frames_do_not_queue(scene: Any) -> None:
    """While one frame is answered, ten may come: the next that is asked about is the newest."""
    found = scene.evaluate("""async () => {
      const { video, model, options, until } = scene;
      const watching = scene.watch(video, model, options);
      await until(() => scene.asked.length === 1);
      const before = watching.frames;
      await until(() => watching.frames > before + 10);
      const during = scene.asked.length;
      scene.answer();
      await until(() => scene.asked.length === 2);
      scene.answer();
      await until(() => scene.answers === 2);
      watching.stop();
      return [during, watching.answers, scene.asked, scene.last[0]];
    }""")
    assert found[0] == 1 and found[1] == 2
    assert found[2][0] == ["video", 2] and found[3][0]["label"] == "a"


def test_it_rests_while_hidden_or_paused_and_stops_for_good(scene: Any) -> None:
    found = scene.evaluate("""async () => {
      const { video, model, options, until, pause } = scene;
      const seen = [];
      const hide = (hidden) => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      };
      const watching = scene.watch(video, model, options);
      await until(() => scene.asked.length === 1);
      hide(true);
      scene.answer();
      await pause(300);
      seen.push(scene.asked.length);
      hide(false);
      await until(() => scene.asked.length === 2);
      video.pause();
      scene.answer();
      await pause(300);
      seen.push(scene.asked.length);
      await video.play();
      await until(() => scene.asked.length === 3);
      watching.stop();
      scene.answer();
      await pause(300);
      return [seen, scene.asked.length, scene.answers, scene.problems];
    }""")
    assert found == [[1, 2], 3, 2, []]


def test_a_camera_that_goes_gives_words_once(scene: Any) -> None:
    found = scene.evaluate("""async () => {
      const { video, model, options, until, pause } = scene;
      const watching = scene.watch(video, model, options);
      await until(() => scene.asked.length === 1);
      const [track] = video.srcObject.getVideoTracks();
      track.dispatchEvent(new Event('ended'));
      track.dispatchEvent(new Event('ended'));
      scene.answer();
      await pause(200);
      return [scene.problems, scene.asked.length, scene.answers];
    }""")
    ((code, reason, then),), asked, answers = found
    assert code == "E-WEB-019" and "unplugged" in reason and "choose a photo" in then
    assert (asked, answers) == (1, 0)


def test_a_call_that_fails_ends_it(scene: Any) -> None:
    found = scene.evaluate("""async () => {
      const { video, model, options, until, pause } = scene;
      scene.watch(video, model, options);
      await until(() => scene.asked.length === 1);
      scene.waiting[0].reject(new Error('broken'));
      await pause(200);
      return [scene.problems.map(([code]) => code), scene.asked.length];
    }""")
    assert found == [["broken"], 1]


def test_it_warms_up_while_the_camera_starts(scene: Any) -> None:
    found = scene.evaluate("""async () => {
      const { model, options, until, canvas } = scene;
      const video = document.createElement('video');
      video.muted = true;
      const watching = scene.watch(video, model, options);
      await until(() => scene.asked.length === 1);
      video.srcObject = canvas.captureStream(50);
      await video.play();
      scene.answer();
      await until(() => scene.asked.length === 2);
      watching.stop();
      return scene.asked;
    }""")
    assert [kind for kind, _ in found] == ["ImageData", "HTMLVideoElement"]


def test_each_frame_is_one_that_the_browser_tells_of(scene: Any) -> None:
    """No clock of its own: where no frame comes, nothing is asked."""
    found = scene.evaluate("""async () => {
      const { video, model, options, until } = scene;
      const told = [];
      video.requestVideoFrameCallback = (callback) => told.push(callback);
      const watching = scene.watch(video, model, options);
      for (let n = 1; n <= 3; n++) {
        await until(() => told.length === n);
        await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)));
        if (scene.asked.length !== n - 1) throw new Error('asked without a frame');
        told[n - 1]();
        await until(() => scene.asked.length === n);
        scene.answer();
      }
      watching.stop();
      return [watching.frames, told.length];
    }""")
    assert found == [3, 4]


def test_where_there_are_no_frame_callbacks(scene: Any) -> None:
    found = scene.evaluate("""async () => {
      const { video, model, options, until } = scene;
      Object.defineProperty(video, 'requestVideoFrameCallback', { value: undefined });
      const watching = scene.watch(video, model, options);
      await until(() => scene.asked.length === 1);
      scene.answer();
      await until(() => scene.asked.length === 2);
      watching.stop();
      return watching.answers;
    }""")
    assert found == 1


@pytest.fixture
def camera_page(chromium: Any, chromium_path: str, site: Site) -> Iterator[Any]:
    """A page of a browser with a fake camera."""
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    browser = chromium.browser_type.launch(
        executable_path=chromium_path, args=[*chromium_flags(), *flags]
    )
    yield browser.new_page()
    browser.close()


def test_the_element_says_that_the_camera_went_and_goes_on(camera_page: Any, site: Site) -> None:
    page = camera_page
    element = open_page(page, site.url + "photos/index.html")
    button = element.locator(".camera")
    button.click()
    element.locator("li").first.wait_for()
    page.evaluate("""() => {
      const video = document.querySelector('fanlight-classifier').shadowRoot.querySelector('video');
      video.srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'));
    }""")
    element.locator(".error p").filter(has_text="unplugged").wait_for()
    assert "choose a photo" in element.locator(".error").inner_text().lower()
    assert button.get_attribute("aria-pressed") == "false"
    assert not element.locator("video").is_visible()
    button.click()
    element.locator("li").first.wait_for()
    assert not element.locator(".error").is_visible()
    choose(element, picture())
    element.locator("li").filter(has_text="green100 %").wait_for()
    assert not element.locator("video").is_visible()


# --- nothing before it is wanted ------------------------------------------------------------------


def of_model(site: Site) -> list[str]:
    """What was asked for of a model: its lists, code and weights."""
    return [p for p in site.log if p.endswith((".json", ".wasm", ".bin"))]


@pytest.mark.usefixtures("groups")
@pytest.mark.parametrize("act", ["choose", "click", "load", "drag"])
def test_a_lazy_page_fetches_no_model_before_it_is_wanted(page: Any, site: Site, act: str) -> None:
    site.log.clear()
    page.goto(site.url + "lazy/index.html")
    element = page.locator("fanlight-classifier")
    element.locator(".note", has_text="The model comes when you choose a photo").wait_for()
    page.wait_for_timeout(600)
    assert of_model(site) == [] and "lazy/element.js" in site.log
    assert page.evaluate("document.querySelector('fanlight-classifier').ready === undefined")
    assert not element.locator(".loading").is_visible()
    if act == "choose":
        choose(element, picture())
    elif act == "click":
        element.locator(".pick").click()
    elif act == "drag":
        element.dispatch_event("dragenter")
    else:
        page.evaluate("document.querySelector('fanlight-classifier').load().then(() => 1)")
    page.wait_for_function("document.querySelector('fanlight-classifier').ready")
    page.evaluate("document.querySelector('fanlight-classifier').ready.then(() => 1)")
    wanted = of_model(site)
    assert wanted[0] == "lazy/tiers.json" and len(wanted) == len(set(wanted)) >= 4
    if act == "choose":
        element.locator("li").filter(has_text="green").wait_for()


def test_progress_says_how_long_it_takes(page: Any, site: Site) -> None:
    page.goto(site.url + "bare.html")
    said = page.evaluate("""async () => {
      const { FanlightClassifier } = await import('./photos/element.js');
      const element = document.createElement('fanlight-classifier');
      const span = () => element.shadowRoot.querySelector('.loading span');
      const real = performance.now.bind(performance);
      let skip = 0;
      performance.now = () => real() + skip;
      element.setAttribute('src', 'photos/');
      document.body.append(element);
      const seen = [];
      new MutationObserver(() => seen.push(span().textContent)).observe(
        element.shadowRoot, { subtree: true, childList: true, characterData: true });
      skip = 1e9;
      await element.ready;
      return seen.filter((text) => text.includes('left'));
    }""")
    assert said and all("of 0.0 MB, " in text and text.endswith(" s left") for text in said)
