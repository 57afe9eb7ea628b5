"""Studio as one HTML file, from file:// in Chromium: teaches, keeps, exports, fetches nothing."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import fanlight as fl
from fanlight.cli.app import cli
from tests.studio.nets import plain
from tests.web.server import serve
from tests.web.studio_site import photos

pytestmark = pytest.mark.chromium

TITLE = 'Kids\' </title><script>document.title = "pwned"</script> & "pets" {{csp}}'
# Not wait_for_function: the page's policy refuses texts as scripts.
READY = """async () => {
  for (let i = 0; i < 300 && !document.querySelector('fanlight-studio')?.session; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return Boolean(document.querySelector('fanlight-studio').session);
}"""
TEACH = """async ({ red, blue, settings }) => {
  const { session } = document.querySelector('fanlight-studio');
  globalThis.files = (all, name) => all.map((bytes, i) => (
    new File([Uint8Array.from(bytes)], `${name}${i}.png`, { type: 'image/png' })));
  await session.renameClass(session.classes[0].id, 'red');
  await session.renameClass(session.classes[1].id, '<b>blue</b>');
  const one = await session.add('red', files(red, 'red'));
  const two = await session.add('<b>blue</b>', files(blue, 'blue'));
  const run = await session.train(settings);
  await session.save();
  const added = one.added.length + two.added.length;
  return { added, accuracy: run.history.accuracy?.at(-1) ?? null };
}"""
SAY = """async (photos) => {
  const { session } = document.querySelector('fanlight-studio');
  const said = [];
  for (const bytes of photos) {
    const file = new File([Uint8Array.from(bytes)], 'asked.png', { type: 'image/png' });
    said.push((await session.predict(file)).results[0].label);
  }
  return { said, trained: session.trained, count: session.examples.length };
}"""
EXPORT = """async (kind) => {
  const file = await document.querySelector('fanlight-studio').session.export(kind);
  const reader = new FileReader();
  await new Promise((resolve) => { reader.onload = resolve; reader.readAsDataURL(file); });
  return { name: file.name, data: reader.result.replace(/^[^,]*,/, '') };
}"""
SETTINGS = {"epochs": 30, "batchSize": 8, "learningRate": 0.05, "seed": 1, "validationSplit": 0}


@pytest.fixture(scope="module")
def studio_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("studio") / "my studio.html"
    made = fl.studio(path, plain(), input_range=(-1, 1), unfreeze=[2], title=TITLE)
    assert made.path == path and made.bytes["all"] == path.stat().st_size
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    return path


Photos = Callable[..., list[list[int]]]  # of a class: how many, and from which number on


class Visit:
    """A page that is open; what it said and asked for."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page, self.path = page, path
        self.said: list[str] = []
        self.asked: list[str] = []
        self.workers: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("worker", lambda worker: self.workers.append(worker.url))
        page.goto(path.as_uri())
        assert page.evaluate(READY)

    def teach(self, make: Photos = photos, **settings: Any) -> dict[str, Any]:
        given = {"red": make("red", 8), "blue": make("blue", 8)}
        return self.page.evaluate(TEACH, given | {"settings": SETTINGS | settings})

    def say(self, make: Photos = photos) -> dict[str, Any]:
        return self.page.evaluate(SAY, make("red", 2, 50) + make("blue", 2, 50))

    def export(self, kind: str) -> tuple[str, bytes]:
        found = self.page.evaluate(EXPORT, kind)
        return found["name"], base64.b64decode(found["data"])


WANT = ["red", "red", "<b>blue</b>", "<b>blue</b>"]


@pytest.fixture(scope="module")
def taught(chromium: Any, studio_file: Path) -> Iterator[Visit]:
    """A visit in which two classes were taught."""
    context = chromium.new_context()
    visit = Visit(context.new_page(), studio_file)
    found = visit.teach()
    assert found["added"] == 16 and found["accuracy"] >= 0.9
    yield visit
    context.close()


def test_two_classes_are_taught_and_still_there_after_a_reload(taught: Visit) -> None:
    assert taught.say() == {"said": WANT, "trained": True, "count": 16}
    assert len(taught.workers) >= 2  # that of the photos, and that of the model
    assert all(url.startswith("blob:") for url in taught.workers)
    taught.page.reload()
    assert taught.page.evaluate(READY)
    assert taught.say() == {"said": WANT, "trained": True, "count": 16}
    names = taught.page.get_by_label("Name of the class")
    names.nth(1).wait_for()
    assert [name.input_value() for name in names.all()] == ["red", "<b>blue</b>"]
    own = taught.path.as_uri()
    assert all(url.startswith(("blob:", "data:", own)) for url in taught.asked)
    assert taught.said == []


def test_it_is_usable_by_what_a_visitor_sees(taught: Visit) -> None:
    page = taught.page
    for tag in ("fl-collect", "fl-train", "fl-try", "fl-keep"):
        page.locator(tag).wait_for()
    assert page.title() == TITLE
    assert page.locator("b", has_text=re.compile("^blue$")).count() == 0
    assert page.get_by_text("Saved on this device").count() == 1


def test_it_tells_what_it_chose_and_why(taught: Visit) -> None:
    page = taught.page
    page.get_by_role("button", name="About this Studio").click()
    report = page.locator("fanlight-diagnostics pre")
    report.get_by_text("browser says").wait_for()
    text = report.inner_text()
    assert "\nmodel: linear, built by fanlight " in text and "\nwhy: " in text
    assert "\nproject: 2 classes, 16 photos" in text and "\npage: file, " in text
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert taught.said == []


def test_a_page_is_exported_and_classifies(taught: Visit, tmp_path: Path) -> None:
    name, data = taught.export("page")
    assert name.endswith(".zip")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(tmp_path / "page")
    files = {p.name for p in (tmp_path / "page").iterdir()}
    assert {"index.html", "fanlight.js", "worker.js", "page.js", "package.json"} <= files
    assert "page.html.tpl" not in files and {"sw.js", "register.js"} <= files  # an app
    bundle = fl.open_bundle(tmp_path / "page")
    assert list(bundle.manifest["task"]["labels"]) == ["red", "<b>blue</b>"]
    bundle.close()
    with serve(tmp_path / "page") as site:
        other = taught.page.context.new_page()
        other.goto(f"{site.url}/index.html")
        said = classified(other)
        other.close()
    assert said == WANT


def test_an_html_file_is_exported_and_classifies(taught: Visit, tmp_path: Path) -> None:
    name, data = taught.export("html")
    path = tmp_path / name
    path.write_bytes(data)
    other = taught.page.context.new_page()
    other.goto(path.as_uri())
    assert classified(other) == WANT
    other.close()


def classified(page: Any) -> list[str]:
    """What an exported page says of photos that were not learnt."""
    found: list[str] = page.evaluate(
        """async (photos) => {
          await customElements.whenDefined('fanlight-classifier');
          const model = await document.querySelector('fanlight-classifier').ready;
          const said = [];
          for (const bytes of photos) {
            const photo = new Blob([Uint8Array.from(bytes)], { type: 'image/png' });
            said.push((await model.classify(photo, { top: 1 }))[0].label);
          }
          return said;
        }""",
        photos("red", 2, 50) + photos("blue", 2, 50),
    )
    return found


def test_project_package_and_weights_are_exported(taught: Visit, tmp_path: Path) -> None:
    for kind in ("npm", "tfjs", "project"):
        name, data = taught.export(kind)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
        wanted = {"npm": "package.json", "tfjs": "model.json", "project": "project.json"}[kind]
        assert any(n.endswith(wanted) for n in names), (kind, names)
        if kind == "npm":
            assert {"fanlight.d.ts", "README.md"} <= set(names)
        assert name.endswith(".zip")
    name, data = taught.export("safetensors")
    (tmp_path / name).write_bytes(data)
    assert isinstance(fl.load(tmp_path / name), fl.Model)


@pytest.mark.parametrize("how", [{"head": "hidden"}, {"head": "neighbours"}, {"unfreeze": 2}])
def test_the_other_heads_learn_too(page: Any, studio_file: Path, how: dict[str, Any]) -> None:
    visit = Visit(page, studio_file)
    visit.teach(**how)
    assert visit.say()["said"] == WANT
    assert visit.said == []


def test_without_a_database_it_goes_on_and_says_so(page: Any, studio_file: Path) -> None:
    page.add_init_script(
        "IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); };"
    )
    visit = Visit(page, studio_file)
    page.get_by_text("This browser keeps nothing for a page like this").wait_for()
    assert page.get_by_text("Saved on this device").count() == 0
    visit.teach()
    assert visit.say()["said"] == WANT
    _, data = visit.export("project")
    assert zipfile.is_zipfile(io.BytesIO(data))


def test_what_is_cut_off_or_damaged_says_so(page: Any, studio_file: Path, tmp_path: Path) -> None:
    text = studio_file.read_text("utf-8")
    found = re.search(r'id="file-[0-9a-f]{64}">', text)
    assert found
    (tmp_path / "cut.html").write_text(text[: found.end() + 2000], "utf-8")
    told = re.search(r'id="fanlight-studio">(.*?)</script>', text, re.S)
    assert told
    studio = json.loads(told[1])
    needed = studio["files"][studio["heads"][0]["files"]["training.json"]]["sha256"]
    begin = text.index(f'id="file-{needed}">') + len(f'id="file-{needed}">')
    (tmp_path / "wrong.html").write_text(text[:begin] + "!!!!" + text[begin + 4 :], "utf-8")
    for name in ("cut.html", "wrong.html"):
        page.goto((tmp_path / name).as_uri())
        assert page.evaluate(READY)
        code = page.evaluate(
            """async ({ red, blue }) => {
              const { session } = document.querySelector('fanlight-studio');
              const files = (all) => all.map((bytes, i) => (
                new File([Uint8Array.from(bytes)], `${i}.png`, { type: 'image/png' })));
              const [one, two] = session.classes;
              await session.add(one.id, files(red));
              await session.add(two.id, files(blue));
              return session.train({ epochs: 1 }).then(() => 'none', ({ code }) => code);
            }""",
            {"red": photos("red", 4), "blue": photos("blue", 4)},
        )
        assert code == "E-STUDIO-004", name


def drawn(kind: str, count: int, start: int = 0) -> list[list[int]]:
    """PNGs of 160 pixels: red discs or blue stripes somewhere on paper, of many shades."""
    from PIL import Image, ImageDraw

    made = []
    for number in range(start, start + count):
        rng = np.random.default_rng(number + 1000 * (kind == "blue"))
        light, dark = (int(rng.integers(*span)) for span in ((190, 255), (0, 60)))
        image = Image.new("RGB", (160, 160), (light, light, light - 15))
        pen = ImageDraw.Draw(image)
        x, y, r = (int(rng.integers(*span)) for span in ((20, 80), (20, 80), (20, 40)))
        if kind == "red":
            pen.ellipse((x, y, x + 2 * r, y + 2 * r), fill=(light, dark, dark))
        else:
            for row in range(y % 20, 160, 20):
                pen.rectangle((0, row, 160, row + r // 4), fill=(dark, dark, light))
        data = io.BytesIO()
        image.save(data, "PNG")
        made.append(list(data.getvalue()))
    return made


@pytest.mark.slow
def test_one_file_with_the_model_that_ships(page: Any, tmp_path: Path) -> None:
    """As a teacher would make it, by the command line."""
    path = tmp_path / "studio.html"
    result = CliRunner().invoke(cli, ["studio", "-o", str(path), "--json"], prog_name="fanlight")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["heads"] == ["linear", "hidden", "neighbours", "tune-2"]
    assert told["bytes"]["all"] == path.stat().st_size < 11e6
    page.set_viewport_size({"width": 360, "height": 740})
    visit = Visit(page, path)
    assert visit.teach(drawn)["accuracy"] >= 0.9
    assert visit.say(drawn)["said"] == WANT
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360 and visit.said == []


def test_its_policy_allows_no_connection_and_it_names_none(studio_file: Path) -> None:
    text = studio_file.read_text("utf-8")
    (policy,) = [html.unescape(line) for line in text.splitlines() if "http-equiv=" in line]
    assert "connect-src 'none'" in policy and "script-src 'sha256-" in policy
    assert "unsafe-inline" not in policy and "'self'" not in policy and "http" not in policy[30:]
    outside = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.S)
    urls = re.findall(r'(?:src|href)="([^"]*)"', outside)
    assert len(urls) == 1 and urls[0].startswith("data:image/svg+xml,")
    assert "<link" in outside and outside.count('<script type="module">') == 1
