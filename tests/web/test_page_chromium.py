"""Pictures, the element, the page and the one-file page in a real Chromium."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fanlight.web.single_file import single_file
from tests.web.server import Site
from tests.web.toy import write_colours, write_page
from tests.web.waiting import until

pytestmark = pytest.mark.chromium

GREEN, RED = (0, 255, 0), (255, 0, 0)


def picture(colour: tuple[int, ...] = GREEN, size: tuple[int, int] = (64, 48), kind: str = "PNG",
            **options: Any) -> bytes:  # fmt: skip
    """An image file of one colour."""
    from PIL import Image

    mode = "RGBA" if len(colour) == 4 else "RGB"
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, kind, **options)
    return out.getvalue()


def uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


SOURCES = {
    "img": "Object.assign(new Image(), { src: photo })",
    "blob": "blob",
    "file": "new File([blob], 'photo.png')",
    "canvas": """(() => { const c = Object.assign(document.createElement('canvas'), size);
        c.getContext('2d').drawImage(bitmap, 0, 0); return c; })()""",
    "offscreen": """(() => { const c = new OffscreenCanvas(64, 48);
        c.getContext('2d').drawImage(bitmap, 0, 0); return c; })()""",
    "bitmap": "bitmap",
    "imagedata": """(() => { const c = new OffscreenCanvas(64, 48).getContext('2d');
        c.drawImage(bitmap, 0, 0); return c.getImageData(0, 0, 64, 48); })()""",
    "frame": "new VideoFrame(bitmap, { timestamp: 0 })",
    "video": """await (async () => {
        const c = Object.assign(document.createElement('canvas'), size);
        const g = c.getContext('2d'); const video = document.createElement('video');
        setInterval(() => g.drawImage(bitmap, 0, 0), 20);
        g.drawImage(bitmap, 0, 0); video.muted = true; video.srcObject = c.captureStream(30);
        await video.play(); return video; })()""",
}


@pytest.mark.parametrize("worker", ["true", "false"])
def test_every_source_is_classified_and_left_alone(bare: Any, worker: str) -> None:
    code = ", ".join(f"{name}: async () => {text}" for name, text in SOURCES.items())
    found = bare.evaluate(
        f"""async (photo) => {{
      const model = await load('colours', {{ worker: {worker} }});
      const blob = await (await new Promise((resolve) => {{
        const bytes = Uint8Array.from(atob(photo.split(',')[1]), (c) => c.charCodeAt(0));
        resolve(new Blob([bytes], {{ type: 'image/png' }}));
      }}));
      const bitmap = await createImageBitmap(blob);
      const found = {{}};
      const size = {{ width: 64, height: 48 }};
      for (const [name, make] of Object.entries({{ {code} }})) {{
        found[name] = await model.classify(await make(), {{ top: 2 }}).catch((e) => e.message);
      }}
      return [found, bitmap.width];
    }}""",
        uri(picture()),
    )
    for name in SOURCES:
        first, second = found[0][name]
        assert first["label"] == "green" and first["index"] == 1, name
        assert first["score"] == pytest.approx(1, abs=0.02), name
        assert second["score"] < 0.02
    assert found[1] == 64, "the caller's bitmap was closed"


def classify(bare: Any, data: bytes, kind: str = "png", bundle: str = "colours") -> Any:
    return bare.evaluate(
        """async ([photo, bundle]) => {
          const bytes = Uint8Array.from(atob(photo.split(',')[1]), (c) => c.charCodeAt(0));
          const model = await load(bundle);
          return caught(model.classify(new Blob([bytes], { type: 'image/png' }), { top: 3 })
            .then((found) => { globalThis.found = found; })).then((error) => (
              error === 'no error' ? globalThis.found : error));
        }""",
        [uri(data, kind), bundle],
    )


def test_transparent_pictures_lie_on_white(bare: Any) -> None:
    scores = {row["label"]: row["score"] for row in classify(bare, picture((255, 0, 0, 128)))}
    # Half red on white: (255, 127, 127), so 1/2, 1/4, 1/4.
    assert scores["red"] == pytest.approx(0.5, abs=0.01)
    assert scores["green"] == pytest.approx(0.25, abs=0.01)
    same = bare.evaluate("""async () => {
      const model = await load('colours');
      const data = new ImageData(4, 4);
      for (let i = 0; i < 64; i += 4) data.data.set([255, 0, 0, 128], i);
      return [await model.classify(data, { top: 1 }), data.data[3]];
    }""")
    assert same[0][0]["score"] == pytest.approx(0.5, abs=0.01) and same[1] == 128


def test_exif_orientation_is_respected(bare: Any) -> None:
    """The toy sees the sizes through its bounds; so run() on what image.js reads is checked."""
    from PIL import Image

    image = Image.new("RGB", (40, 20), RED)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    found = bare.evaluate(
        """async (photo) => {
          const bytes = Uint8Array.from(atob(photo.split(',')[1]), (c) => c.charCodeAt(0));
          const { pixels } = await import('/runtime/image.js');
          const dims = { height: { min: 1, max: 4096 }, width: { min: 1, max: 4096 } };
          const manifest = { inputs: [{ name: 'i', shape: ['height', 'width', 4] }], dims };
          const { shape } = await pixels(new Blob([bytes]), manifest, 'i');
          const fixed = { inputs: [{ name: 'i', shape: [7, 9, 4] }], dims: {} };
          return [shape, (await pixels(new Blob([bytes]), fixed, 'i')).shape];
        }""",
        uri(out.getvalue(), "jpeg"),
    )
    assert found == [[40, 20, 4], [7, 9, 4]]


@pytest.fixture(autouse=True)
def sources_served(site: Site) -> None:
    """The commented sources, for what the shipped file does not export."""
    from fanlight.web.site import RUNTIME

    for path in RUNTIME.glob("*.js"):
        site.pages[f"runtime/{path.name}"] = path.read_text("utf-8")


@pytest.mark.parametrize("size", [(3000, 20), (20, 3000), (1000, 1000), (256, 256), (1, 1)])
def test_large_pictures_are_made_to_fit(bare: Any, size: tuple[int, int]) -> None:
    found = classify(bare, picture(GREEN, size))
    assert found[0]["label"] == "green" and found[0]["score"] == pytest.approx(1, abs=0.01)


def test_large_image_data_is_made_to_fit(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      const model = await load('colours');
      const data = new ImageData(1000, 700);
      for (let i = 0; i < data.data.length; i += 4) data.data.set([0, 0, 255, 255], i);
      return model.classify(data);
    }""")
    assert found[0]["label"] == "<b>blue</b>" and len(found) == 3


def test_what_is_no_picture_is_told(bare: Any, site: Site) -> None:
    error = classify(bare, b"%PDF-1.7 not a photo")
    assert error["code"] == "E-WEB-016" and error["next"]
    truncated = picture(GREEN, (300, 300), "JPEG")[:200]
    assert classify(bare, truncated)["code"] == "E-WEB-016"
    found = bare.evaluate("""async () => {
      const model = await load('colours');
      const bad = [null, 'photo.jpg', new Image(), document.createElement('video'),
        Object.assign(document.createElement('canvas'), { width: 0 }),
        Object.assign(new Image(), { src: 'nowhere.png' })];
      const codes = [];
      for (const source of bad) codes.push((await caught(model.classify(source))).code);
      const double = await load('double');
      codes.push((await caught(double.classify(new ImageData(2, 2)))).code);
      return codes;
    }""")
    assert found == ["E-WEB-017"] * 6 + ["E-WEB-015"]


def test_pictures_of_another_origin_are_told(page: Any, site: Site, toys: Path) -> None:
    from tests.web.server import serve

    with serve(toys) as other:
        site.pages["plain.html"] = "<!doctype html><title>plain</title>"
        page.goto(site.url + "plain.html")
        codes = page.evaluate(
            """async (photo) => {
              const { load } = await import('/colours/fanlight.js');
              const codes = [];
              for (const worker of [true, false]) {
                const model = await load('colours', { worker });
                const image = Object.assign(new Image(), { src: photo });
                codes.push(await model.classify(image).catch((e) => e.code));
              }
              return codes;
            }""",
            other.url + "green_field.jpg",
        )
    assert codes == ["E-WEB-017", "E-WEB-017"]


def test_sizes_out_of_bounds_are_told(bare: Any) -> None:
    found = bare.evaluate("""async () => {
      const model = await load('colours');
      const errors = [];
      for (const [h, w] of [[300, 2], [2, 300]]) {
        const image = { data: new Uint8Array(h * w * 4).fill(255), shape: [h, w, 4] };
        errors.push(await caught(model.run({ image })));
      }
      errors.push(await caught(model.run({ image: new Uint8Array(64) })));
      const image = { data: new Uint8ClampedArray(4 * 4 * 4).fill(255), shape: [4, 4, 4] };
      return [errors, (await model.run({ image })).top_indices.dtype];
    }""")
    assert [error["code"] for error in found[0]] == ["E-WEB-013", "E-WEB-013", "E-WEB-011"]
    assert "width" in found[0][1]["reason"]
    assert found[1] == "int32"


# --- the page -----------------------------------------------------------------------------------


def open_page(page: Any, url: str) -> Any:
    """Open a page with the element and wait for its model."""
    page.goto(url)
    page.evaluate("""() => customElements.whenDefined('fanlight-classifier').then(
      () => document.querySelector('fanlight-classifier').ready).then(() => true)""")
    return page.locator("fanlight-classifier")


def choose(element: Any, data: bytes, name: str = "photo.png", kind: str = "image/png") -> None:
    element.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": kind, "buffer": data}
    )


def test_choose_a_photo(page: Any, site: Site) -> None:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    element = open_page(page, site.url + "photos/index.html")
    assert page.title() == "colours"
    choose(element, picture())
    rows = element.locator("li")
    rows.first.wait_for()
    assert rows.all_inner_texts() == ["Green\n100 %", "Red\n0.0 %", "<b>blue</b>\n0.0 %"]
    assert "on this device" in element.locator(".note").inner_text()
    assert element.locator(".spoken").inner_text() == "green, 100 percent. Then red, <b>blue</b>."
    assert element.locator("img[alt='Your photo']").get_attribute("src").startswith("blob:")
    page.locator("summary").click()
    assert "Says which colour" in page.locator("#about").inner_text()
    assert "in a worker of its own" in page.locator("#engine").inner_text()
    choose(element, b"not a photo")
    element.locator(".error").wait_for()
    assert "not an image" in element.locator(".error").inner_text()
    assert "E-WEB-016" in element.locator(".error").inner_text()
    assert rows.count() == 0 and element.locator(".empty").is_visible()
    choose(element, picture(RED))
    rows.first.wait_for()
    assert rows.first.inner_text() == "Red\n100 %" and not element.locator(".error").is_visible()
    assert errors == []


def test_samples_drop_and_paste(page: Any, site: Site) -> None:
    element = open_page(page, site.url + "photos/index.html")
    sample = element.get_by_role("button", name="green field")
    sample.focus()
    page.keyboard.press("Enter")
    row = element.locator("li").first
    row.wait_for()
    assert row.inner_text() == "Green\n73 %"
    give = """([selector, type, photo]) => {
      const bytes = Uint8Array.from(atob(photo.split(',')[1]), (c) => c.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], 'a.png', { type: 'image/png' }));
      document.querySelector(selector).dispatchEvent(type === 'paste'
        ? new ClipboardEvent(type, { clipboardData: data, bubbles: true })
        : new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    for selector, kind, colour in [
        ("fanlight-classifier", "drop", RED),
        ("body", "paste", GREEN),
        ("footer", "drop", RED),
    ]:
        page.evaluate(give, [selector, kind, uri(picture(colour))])
        name = "red" if colour == RED else "green"
        element.locator("li").filter(has_text=f"{name}100 %").wait_for()


def test_the_page_makes_no_request_outside_and_none_after_load(page: Any, site: Site) -> None:
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    element = open_page(page, site.url + "photos/index.html")
    page.wait_for_timeout(1500)  # choice.js and keep.js come when nobody waits
    loaded = len(seen)
    choose(element, picture())
    element.locator("li").first.wait_for()
    assert [url for url in seen[loaded:] if not url.startswith("blob:")] == []
    assert all(url.startswith((site.url, "blob:", "data:")) for url in seen)
    refused = page.evaluate("""async () => {
      const blocked = new Promise((resolve) => document.addEventListener(
        'securitypolicyviolation', (event) => resolve(event.effectiveDirective), { once: true }));
      const answer = await fetch('https://example.org/?secret').then(() => 'came', () => 'refused');
      return [answer, await blocked];
    }""")
    assert refused == ["refused", "connect-src"]


def test_a_missing_bundle_and_a_new_src(page: Any, site: Site) -> None:
    site.fail("photos/manifest.json", "missing")
    page.goto(site.url + "photos/index.html")
    element = page.locator("fanlight-classifier")
    element.locator(".error").wait_for()
    assert "E-WEB-005" in element.locator(".error").inner_text()
    page.evaluate("""() => {
      const element = document.querySelector('fanlight-classifier');
      return new Promise((resolve) => {
        element.addEventListener('fanlight-ready', resolve, { once: true });
        element.setAttribute('src', '../colours/');
      }).then(() => true);
    }""")
    choose(element, picture())
    element.locator("li").first.wait_for()
    page.evaluate("() => document.querySelector('fanlight-classifier').remove()")
    page.wait_for_timeout(1500)  # it ends when it has kept its files
    assert page.workers == []


def longest_task(page: Any, act: Callable[[], None]) -> float:
    """Processor time, in ms, of the longest task of the page's main thread while `act` runs.

    Not time by the clock: other tests run beside this one, and a thread may wait for a core.
    """
    browser = page.context.browser
    browser.start_tracing(categories=["toplevel", "blink.user_timing"])
    act()
    page.evaluate("() => { performance.mark('ours'); }")  # Chromium has pages of its own
    events = json.loads(browser.stop_tracing())["traceEvents"]
    main = {(event["pid"], event["tid"]) for event in events if event["name"] == "ours"}
    assert len(main) == 1
    return max(e["tdur"] for e in events if "tdur" in e and (e["pid"], e["tid"]) in main) / 1000


def test_the_main_thread_stays_free(chromium: Any, site: Site, tmp_path: Path) -> None:
    """No task over 50 ms while loading and while reading a 12-megapixel photo."""
    from PIL import Image

    noise = Image.effect_noise((4000, 3000), 60).convert("RGB")
    noise.save(tmp_path / "photo.jpg", quality=80)
    page = chromium.new_context().new_page()

    def read_a_photo() -> None:
        element = open_page(page, site.url + "photos/index.html")
        element.locator("input[type=file]").set_input_files(tmp_path / "photo.jpg")
        element.locator("li").first.wait_for()
        page.wait_for_timeout(300)

    def busy() -> None:
        page.evaluate("() => { const t = performance.now(); while (performance.now() - t < 600); }")

    assert longest_task(page, read_a_photo) < 50
    assert longest_task(page, busy) > 50  # what it would look like
    page.context.close()


def test_the_camera(chromium: Any, chromium_path: str, site: Site) -> None:
    from fanlight.hosts.browser import chromium_flags

    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    browser = chromium.browser_type.launch(
        executable_path=chromium_path, args=[*chromium_flags(), *flags]
    )
    page = browser.new_page()
    element = open_page(page, site.url + "photos/index.html")
    page.evaluate("""() => {
      globalThis.answers = 0;
      document.addEventListener('fanlight-result', () => { answers += 1; });
    }""")
    button = element.locator(".camera")
    button.click()
    element.locator("li").first.wait_for()
    page.wait_for_timeout(1000)
    live = page.evaluate("answers")
    assert live > 5 and button.get_attribute("aria-pressed") == "true"
    assert element.locator(".live").is_visible()
    # Hidden: no more answers; shown again: they go on.
    hide = """(hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(hide, True)
    page.wait_for_timeout(300)
    paused = page.evaluate("answers")
    page.wait_for_timeout(600)
    assert page.evaluate("answers") == paused
    page.evaluate(hide, False)
    page.wait_for_timeout(600)
    assert page.evaluate("answers") > paused
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    page.wait_for_timeout(300)
    stopped = page.evaluate("answers")
    page.wait_for_timeout(400)
    assert page.evaluate("answers") == stopped
    button.click()
    element.locator("video").wait_for()
    choose(element, picture())
    element.locator("li").filter(has_text="green100 %").wait_for()
    assert not element.locator("video").is_visible()
    # A photo that is dropped while the video starts: that it was broken off is no error.
    page.evaluate("""() => {
      HTMLMediaElement.prototype.play = () => new Promise((_, reject) => {
        globalThis.breakOff = () => reject(new DOMException('interrupted', 'AbortError'));
      });
    }""")
    button.click()
    until(page, "!!globalThis.breakOff")
    choose(element, picture())
    element.locator("li").filter(has_text="green100 %").wait_for()
    page.evaluate("async () => { breakOff(); await new Promise((done) => setTimeout(done)); }")
    assert element.evaluate("(element) => element.errors.map(String)") == []
    assert element.locator(".error").is_hidden() and element.locator("li").count()
    browser.close()


def test_the_camera_refused_or_missing(chromium: Any, page: Any, site: Site) -> None:
    element = open_page(page, site.url + "photos/index.html")
    for name, text in [
        ("NotAllowedError", "The camera was refused."),
        ("NotFoundError", "There is no camera."),
        ("NotReadableError", "The camera cannot be used."),
    ]:
        page.evaluate(
            """(name) => {
          navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('x', name); };
        }""",
            name,
        )
        element.locator(".camera").click()
        element.locator(".error p").filter(has_text=text).wait_for()
    assert "E-WEB-019" in element.locator(".error").inner_text()
    page.evaluate("""() => {
      Object.defineProperty(navigator, 'mediaDevices', { value: undefined });
    }""")
    element.locator(".camera").click()
    element.locator(".error p").filter(has_text="https").wait_for()


# --- the page that is one file ------------------------------------------------------------------


def test_one_file_works_from_file(page: Any, toys: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.html"
    path.write_text(single_file(toys / "photos"), "utf-8")
    seen: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    element = open_page(page, path.as_uri())
    choose(element, picture())
    element.locator("li").filter(has_text="green100 %").wait_for()
    element.get_by_role("button", name="green field").click()
    element.locator("li").filter(has_text="green73 %").wait_for()
    assert page.evaluate(
        "document.querySelector('fanlight-classifier').ready.then(({ info }) => info.worker)"
    )
    assert all(url.startswith(("blob:", "data:", path.as_uri())) for url in seen)
    assert errors == []
    blocked = "fetch('https://example.org').then(() => 'came', () => 'refused')"
    assert page.evaluate(blocked) == "refused"
    assert page.workers[0].evaluate(blocked) == "refused"
    refused = page.evaluate("""() => {
      const script = document.createElement('script');
      script.textContent = 'globalThis.injected = 1';
      document.body.append(script);
      return globalThis.injected ?? 'refused';
    }""")
    assert refused == "refused"


def test_one_file_of_a_model_without_a_task(page: Any, toys: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "double"
    shutil.copytree(toys / "double", folder)
    write_page(folder)
    path = tmp_path / "one.html"
    path.write_text(single_file(folder), "utf-8")
    page.goto(path.as_uri())
    page.get_by_text("Ready. One run takes").wait_for()
    assert page.locator("#tensors td").all_inner_texts()[:4] == ["takes", "x", "float32", "1 × 4"]
    page.locator("#profile").click()
    page.locator("#kernels td").first.wait_for()
    assert page.locator("#kernels td").all_inner_texts()[:2] == ["mul", "mul"]


def test_labels_and_titles_are_never_markup(page: Any, tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    manifest = write_colours(folder)
    evil = "</script><img src=x onerror=globalThis.hit=1><!--{{csp}}"
    manifest["name"] = evil
    manifest["task"]["labels"] = [evil, evil, evil]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    write_page(folder)
    path = tmp_path / "one.html"
    path.write_text(single_file(folder), "utf-8")
    element = open_page(page, path.as_uri())
    choose(element, picture())
    element.locator("li").first.wait_for()
    assert page.title() == evil and page.locator("h1").inner_text() == evil
    assert element.locator("li .name").first.inner_text() == evil
    assert page.evaluate("globalThis.hit ?? 'safe'") == "safe"
