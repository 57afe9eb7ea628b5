"""Folders of tiers, of a cascade, of early exits in a real Chromium: what is fetched, and why."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fanlight as fl
from tests.adaptive.nets import pictures
from tests.adaptive.test_cascade import closed, walk
from tests.web.server import Site
from tests.web.test_page_chromium import choose, open_page, picture
from tests.web.waiting import until

pytestmark = [pytest.mark.chromium, pytest.mark.usefixtures("groups")]

__all__ = ["closed"]  # which closes what `walk` has opened
# Milliseconds of each tier, for a test that is about choosing and not about this machine.
MS = "({ 'f32-32': 80, 'f16-32': 80, 'int8-32': 30, 'int8-16': 10 })"
OPEN = f"""async (options) => {{
  const {{ loadTiers }} = await import(new URL('../tiers/tiers.js', location.href).href);
  const measured = [];
  const measure = (model, {{ id }}) => {{ measured.push(id); return {MS}[id]; }};
  const model = await loadTiers('../tiers/', {{ measure, ...options }});
  const {{ tier, tiersTried, why, choice }} = model.info;
  await model.classify(new ImageData(8, 8));
  model.dispose();
  return {{ tier, tiersTried, why, choice, measured }};
}}"""


@pytest.fixture
def tiers(page: Any, site: Site) -> Any:
    """A page that opens tiers/ with these options and says what was chosen."""
    site.pages["play/bare.html"] = site.pages["bare.html"]
    page.goto(site.url + "play/bare.html")
    return lambda **options: page.evaluate(OPEN, options)


def fetched(site: Site) -> set[str]:
    """Folders of tiers/ that were asked for anything since the last look."""
    found = {p.split("/")[1] for p in site.log if p.startswith("tiers/") and p.count("/") == 2}
    site.log.clear()
    return found


def test_the_best_that_is_fast_enough(tiers: Any, site: Site) -> None:
    site.log.clear()
    found = tiers(targetMs=100)
    assert found["tier"] == "f32-32" and fetched(site) == {"f32-32"}
    assert found["choice"] == "tier f32-32 of 4, 80 ms measured, at most 100 ms wanted"
    assert found["why"].startswith(found["choice"]) and "SIMD" in found["why"]


def test_step_by_step_to_what_is_fast_enough(tiers: Any, site: Site) -> None:
    site.log.clear()
    found = tiers(targetMs=50)
    assert found["tier"] == "int8-32" and found["measured"] == ["f32-32", "int8-32"]
    assert fetched(site) == {"f32-32", "int8-32"}  # f16 computes the same as f32: not fetched
    assert found["tiersTried"] == [
        {"tier": "f32-32", "ms": 80},
        {"tier": "f16-32", "skipped": "computes the same"},
        {"tier": "int8-32", "ms": 30},
    ]
    assert "f32-32 took 80 ms; f16-32 computes the same" in found["why"]


def test_where_nothing_is_fast_enough_the_fastest_is_kept(tiers: Any) -> None:
    found = tiers(targetMs=1)
    assert found["tier"] == "int8-16" and "the fastest, though 1.0 ms were wanted" in found["why"]
    assert {"tier": "int8-32", "skipped": "cannot be fast enough"} in found["tiersTried"]


def test_the_choice_is_remembered_for_this_build_and_budget(tiers: Any, site: Site) -> None:
    assert tiers(targetMs=50)["measured"] == ["f32-32", "int8-32"]
    site.log.clear()
    again = tiers(targetMs=50)
    assert again["tier"] == "int8-32" and again["measured"] == []
    assert "30 ms as measured before" in again["why"] and fetched(site) <= {"int8-32"}
    assert tiers(targetMs=100)["tier"] == "f32-32"  # another budget is another question


def test_a_slow_choice_is_remembered_with_what_was_slower(
    page: Any, tiers: Any, site: Site
) -> None:
    uneven = OPEN.replace(MS, "({ 'f32-32': 80, 'int8-32': 30, 'int8-16': 40 })")
    found = page.evaluate(uneven, {"targetMs": 20})
    assert found["tier"] == "int8-32" and found["measured"] == ["f32-32", "int8-32", "int8-16"]
    for _ in range(2):
        site.log.clear()
        again = page.evaluate(uneven, {"targetMs": 20})
        assert again["tier"] == "int8-32" and again["measured"] == []
        assert fetched(site) <= {"int8-32"}
        assert "30 ms as measured before: the fastest, though" in again["why"]
        assert "int8-16 was slower before" in again["why"]
    # Another budget is another question.
    other = page.evaluate(uneven, {"targetMs": 25})
    assert other["measured"] == ["f32-32", "int8-32", "int8-16"]


def test_beside_a_slow_choice_what_did_not_come_is_tried_again(
    page: Any, tiers: Any, site: Site
) -> None:
    missing = ["missing"] * 20
    site.fail("tiers/int8-16/weights", *missing)
    assert tiers(targetMs=20)["measured"] == ["f32-32", "int8-32"]
    site.fail("tiers/int8-16/weights", *missing)
    site.log.clear()
    again = tiers(targetMs=20)
    assert again["tier"] == "int8-32" and again["measured"] == []
    assert "int8-16" in fetched(site)
    at = "JSON.parse(Object.values(localStorage)[0]).at"
    before = page.evaluate(at)
    site.faults.clear()
    last = tiers(targetMs=20)
    assert last["tier"] == "int8-16" and last["measured"] == ["int8-16"]
    assert page.evaluate(at) > before  # another choice, of now
    assert tiers(targetMs=20)["measured"] == []


def test_where_a_slow_choice_does_not_come_the_others_are_tried(tiers: Any, site: Site) -> None:
    site.fail("tiers/int8-16/weights", *["missing"] * 20)
    assert tiers(targetMs=20)["tier"] == "int8-32"
    site.faults.clear()
    site.fail("tiers/int8-32/", *["missing"] * 20)
    found = tiers(targetMs=20)
    assert found["tier"] == "int8-16" and found["measured"] == ["int8-16"]


def test_bytes_and_save_data_decide_before_anything_is_fetched(tiers: Any, site: Site) -> None:
    listed = json.loads((site.folder / "tiers" / "tiers.json").read_text())
    sizes = {t["id"]: t["bytes"] for t in listed["tiers"]}
    least = min(sizes, key=lambda name: sizes[name])
    site.log.clear()
    found = tiers(saveData=True, targetMs=1)
    assert found["tier"] == least and fetched(site) == {least} and found["measured"] == []
    assert "Save-Data" in found["why"]
    limit = sizes["f16-32"]
    found = tiers(maxBytes=limit, targetMs=1000)
    best = next(t["id"] for t in listed["tiers"] if t["bytes"] <= limit)
    assert found["tier"] == best and "f32-32" not in fetched(site)
    found = tiers(maxBytes=1)
    assert found["tier"] == least and "none is of at most" in found["why"]


def test_what_fails_is_stepped_over(tiers: Any, site: Site) -> None:
    site.fail("tiers/f32-32/weights", "corrupt", "corrupt")
    found = tiers(targetMs=100)
    assert found["tier"] == "f16-32" and "E-WEB-006" in found["tiersTried"][0]["problem"]
    assert "f32-32 failed" in found["why"]


def test_where_all_fail_the_first_failure_is_told(page: Any, tiers: Any, site: Site) -> None:
    for tier in ("f32", "f16", "int8"):
        site.fail(f"tiers/{tier}", *["missing"] * 9)
    error = page.evaluate(f"(options) => ({OPEN})(options).catch((e) => e.code)", {"targetMs": 5})
    assert error == "E-WEB-005"


def test_memory_that_is_refused_is_stepped_over(page: Any, tiers: Any) -> None:
    page.evaluate("""() => {
      const { Memory } = WebAssembly;
      let times = 0;
      WebAssembly.Memory = function (options) {
        if (!times++) throw new RangeError('no memory');
        return new Memory(options);
      };
    }""")
    found = tiers(targetMs=100, worker=False)
    assert found["tier"] == "f16-32" and "E-WEB-004" in found["tiersTried"][0]["problem"]


def test_wrong_budgets_and_lists(page: Any, tiers: Any, site: Site) -> None:
    ask = f"(options) => ({OPEN})(options).catch((e) => [e.code, e.message])"
    for options in ({"targetMs": 0}, {"maxBytes": -1}, {"targetMs": "fast"}):
        assert page.evaluate(ask, options)[0] == "E-WEB-001"
    good = json.loads((site.folder / "tiers" / "tiers.json").read_text())
    for wrong in (
        {"tiers": []},
        {"tiers": good["tiers"] * 20},
        {"tiers": [{**good["tiers"][0], "url": "../../double/"}]},
        {"tiers": [{**good["tiers"][0], "url": "https://example.org/"}]},
        {"tiers": [{**good["tiers"][0], "bytes": "many"}]},
        {"kind": "other"},
    ):
        site.pages["tiers/tiers.json"] = json.dumps({**good, **wrong})
        assert page.evaluate(ask, {})[0] == "E-WEB-007"
    site.pages["tiers/tiers.json"] = json.dumps({**good, "fanlight": 2})
    assert page.evaluate(ask, {})[0] == "E-WEB-008"
    site.pages["tiers/manifest.json"] = json.dumps({"fanlight": 1, "group": "../x.json"})
    assert page.evaluate(ask, {})[0] == "E-WEB-007"


def test_what_an_answer_takes_is_the_median_once_code_is_fast(page: Any, site: Site) -> None:
    page.goto(site.url + "bare.html")
    found = page.evaluate("""async () => {
      const { time } = await import('./tiers/tiers.js');
      let now = 0;
      performance.now = () => now;
      const told = async (costs, rest, enough) => {
        let calls = 0;
        const model = { labels: ['a'], classify: async () => { now += costs[calls++] ?? rest; } };
        return [await time(model, { size: [8, 8] }, enough), calls];
      };
      return [
        await told([900, 700], 10, 50), // slow at first
        await told([], 900, 50), // slow for good: no more than is needed to know
        await told([500, 500, 500, 40, 40, 90], 20, 200), // one pause among the five
      ];
    }""")
    assert found == [[10, 8], [900, 3], [40, 8]]


def test_an_abort_ends_it(page: Any, tiers: Any, site: Site) -> None:
    site.fail("tiers/f32-32/weights", "slow")
    assert (
        page.evaluate(
            """async () => {
          const { load } = await import(new URL('../tiers/fanlight.js', location.href).href);
          const aborter = new AbortController();
          setTimeout(() => aborter.abort(new Error('mine')), 300);
          return load('../tiers/', { signal: aborter.signal }).then(() => 'open', (e) => e.message);
        }"""
        )
        == "mine"
    )


def test_nothing_is_kept_of_tiers_that_were_left(page: Any, tiers: Any, site: Site) -> None:
    listed = json.loads((site.folder / "tiers" / "tiers.json").read_text())["tiers"]
    least = min(listed, key=lambda tier: tier["bytes"])["id"]
    chosen, left = "int8-32", "f32-32"
    assert left != least
    kept = """async () => {
      const keys = await caches.has('fanlight-v1')
        ? await (await caches.open('fanlight-v1')).keys() : [];
      return [...new Set(keys.map(({ url }) => url.split('/').at(-2)))];
    }"""
    assert tiers(targetMs=50)["tier"] == chosen
    # Both were loaded, and their workers keep what they loaded as they end.
    until(page, f"({kept})().then((folders) => folders.includes('{chosen}'))")
    until(page, f"({kept})().then((folders) => !folders.includes('{left}'))")
    page.wait_for_timeout(6500)
    assert set(page.evaluate(kept)) <= {chosen, least}
    # What another page has left there goes, too.
    page.evaluate(
        """async () => {
          const store = await caches.open('fanlight-v1');
          const key = new URL(`../tiers/f32-32/${'0'.repeat(64)}`, location.href).href;
          await store.put(key, new Response('old'));
        }"""
    )
    assert tiers(targetMs=50)["measured"] == []
    until(page, f"({kept})().then((folders) => !folders.includes('{left}'))")


def test_the_page_of_a_folder_needs_no_attribute(page: Any, site: Site) -> None:
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    site.log.clear()
    element = open_page(page, site.url + "tiers/index.html")
    choose(element, picture((0, 200, 0)))
    element.locator("li").first.filter(has_text="green").wait_for()
    page.locator("summary").click()
    page.locator("#engine", has_text="Chosen: tier f32-32 of 4").wait_for()
    assert fetched(site) == {"f32-32"} and seen == []
    assert site.log == []
    # Another page's element, with the folder's address only.
    page.evaluate(
        "() => { document.querySelector('fanlight-classifier').setAttribute('src', '../tiers/'); }"
    )
    info = page.evaluate(
        "document.querySelector('fanlight-classifier').ready.then(({ info }) => info.tier)"
    )
    assert info == "f32-32"


def test_the_attributes_are_a_budget(page: Any, site: Site) -> None:
    page.goto(site.url + "bare.html")
    site.log.clear()
    found = page.evaluate("""async () => {
      await import('./tiers/element.js');
      const element = document.createElement('fanlight-classifier');
      element.setAttribute('src', 'tiers/');
      element.setAttribute('max-bytes', '1');
      document.body.append(element);
      const { info } = await element.ready;
      element.remove();
      element.setAttribute('target-ms', '0.000001');
      element.removeAttribute('max-bytes');
      document.body.append(element);
      return [info.why, (await element.ready).info.tiersTried];
    }""")
    assert "the smallest download" in found[0]
    assert found[1][0]["tier"] == "f32-32" and found[1][0]["ms"] > 0


# --- cascades and early exits ---------------------------------------------------------------------


def sure_and_unsure(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """A picture that the first stage answers, and one that it hands on."""
    from fanlight.adaptive.threshold import margins

    listed = json.loads((folder / "cascade.json").read_text())
    first = listed["stages"][0]
    with fl.open_bundle(folder, tier=first["id"]) as bundle:
        photos = pictures(40, seed=9)[0]
        leads = [margins(bundle.run({"image": p})["scores"].reshape(1, -1))[0] for p in photos]
    assert min(leads) < first["threshold"] <= max(leads)
    return photos[int(np.argmax(leads))], photos[int(np.argmin(leads))]


def rgba(photo: np.ndarray) -> list[Any]:
    """A picture as `[bytes, width]` of an ImageData."""
    opaque = np.pad(photo, [(0, 0), (0, 0), (0, 1)], constant_values=255)
    return [opaque.reshape(-1).tolist(), photo.shape[1]]


ASK = """async ([folder, pictures, how]) => {
  const { load } = await import(new URL(folder + 'fanlight.js', location.href).href);
  const model = globalThis.staged = await load(folder);
  const found = [];
  for (const [bytes, width] of pictures) {
    const image = new ImageData(Uint8ClampedArray.from(bytes), width);
    const given = how === 'bitmap' ? await createImageBitmap(image) : image;
    found.push(await model.classify(given, { top: 2 }));
  }
  return { found, info: model.info, why: model.info.why };
}"""


@pytest.mark.parametrize("how", ["data", "bitmap"])
@pytest.mark.parametrize("kind", ["cascade", "exits"])
def test_the_next_stage_is_loaded_when_it_is_needed(
    page: Any, site: Site, kind: str, how: str
) -> None:
    sure, unsure = sure_and_unsure(site.folder / kind)
    page.goto(site.url + "bare.html")
    site.log.clear()
    found = page.evaluate(ASK, [f"{kind}/", [rgba(sure)], how])
    later = {"cascade": "large", "exits": "stage-2"}[kind]
    assert not any(path.startswith(f"{kind}/{later}/") for path in site.log)
    assert found["info"]["stages"]["asked"][:2] == [1, 0]
    both = page.evaluate(ASK, [f"{kind}/", [rgba(sure), rgba(unsure)], how])
    assert any(path.startswith(f"{kind}/{later}/") for path in site.log)
    assert both["info"]["stages"]["asked"][:2] == [2, 1] and both["info"]["stages"]["share"] == 0.5
    assert "2 answers in stages: " in both["why"]
    assert len(both["found"][1]) == 2
    # What Python says, stage by stage.
    for photo, said in zip((sure, unsure), both["found"], strict=True):
        scores, _ = walk(site.folder / kind, photo)
        assert said[0]["index"] == scores.argmax()
        assert said[0]["score"] == pytest.approx(scores.max(), abs=1e-5)


@pytest.mark.parametrize("kind", ["cascade", "exits"])
def test_photos_are_decoded_in_the_worker(page: Any, site: Site, kind: str) -> None:
    """A page whose own thread can read no pixel: classify and run take files all the same."""
    _, unsure = sure_and_unsure(site.folder / kind)
    page.goto(site.url + "bare.html")
    out = io.BytesIO()
    Image.fromarray(unsure).save(out, "PNG")
    found = page.evaluate(
        """async ([folder, bytes]) => {
          const { load } = await import(new URL(folder + 'fanlight.js', location.href).href);
          const model = await load(folder);
          globalThis.createImageBitmap = async () => { throw new Error('on the page'); };
          OffscreenCanvas.prototype.getContext = () => { throw new Error('on the page'); };
          const photo = new Blob([Uint8Array.from(bytes)], { type: 'image/png' });
          const told = await model.classify(photo, { top: 1 });
          const { scores } = await model.run({ image: photo });
          const wrong = new Blob(['none'], { type: 'image/png' });
          const refused = await model.classify(wrong).catch((error) => error.code);
          const { asked } = model.info.stages;
          model.dispose();
          return { told, scores: Array.from(scores.data), asked, refused };
        }""",
        [f"{kind}/", list(out.getvalue())],
    )
    assert found["asked"][1] == 2 and found["refused"] == "E-WEB-016"
    scores, _ = walk(site.folder / kind, unsure)
    assert found["told"][0]["index"] == scores.argmax()
    assert found["told"][0]["score"] == pytest.approx(scores.max(), abs=1e-5)
    assert found["scores"] == pytest.approx(scores.tolist(), abs=1e-5)


def test_a_large_model_that_does_not_come_leaves_the_small_ones_answer(
    page: Any, site: Site
) -> None:
    _, unsure = sure_and_unsure(site.folder / "cascade")
    page.goto(site.url + "bare.html")
    site.fail("cascade/large/", "missing", "missing", "missing")
    found = page.evaluate(ASK, ["cascade/", [rgba(unsure)], "data"])
    assert len(found["found"][0]) == 2 and found["info"]["stages"]["asked"] == [1, 0]
    assert "E-WEB-005" in found["info"]["stages"]["problem"]
    site.faults.clear()
    again = page.evaluate(
        """async ([bytes, width]) => {
          await staged.classify(new ImageData(Uint8ClampedArray.from(bytes), width));
          const { asked } = staged.info.stages;
          staged.dispose();
          const gone = await staged.classify(new ImageData(4, 4)).catch((e) => e.code);
          return [asked, gone];
        }""",
        rgba(unsure),
    )
    assert again == [[2, 1], "E-WEB-014"]


def test_a_page_of_a_cascade(page: Any, site: Site) -> None:
    _, unsure = sure_and_unsure(site.folder / "cascade")
    element = open_page(page, site.url + "cascade/index.html")
    out = io.BytesIO()
    Image.fromarray(unsure).save(out, "PNG")
    choose(element, out.getvalue())
    element.locator("li").first.wait_for()
    counts = page.evaluate(
        "document.querySelector('fanlight-classifier').ready.then(({ info }) => info.stages.asked)"
    )
    assert counts == [1, 1] and not element.locator(".loading").is_visible()
