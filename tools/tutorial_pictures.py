"""Make the pictures of docs/tutorial.md, by running it.

    python tools/tutorial_pictures.py [--to docs/tutorial]

Its Python blocks run from top to bottom in a folder of their own and draw history.svg and
confusion.svg; what they build for photos is opened in Chromium, where the tutorial's script
teaches the page: page.png shows it afterwards. The photos are drawn here, so that the picture is
ours: Python learns from balls and boxes on a table, the page from pencil sketches of them. The
published MobileNet is read from ../shared.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fanlight.hosts.browser import chromium_flags, find_browser  # noqa: E402
from tests.support import SHARED  # noqa: E402
from tests.web.server import serve  # noqa: E402

SIDE = 224
LIGHT = np.array([0.55, 0.75, -0.36])
EYE, TARGET = np.array([0.0, 2.2, -4.6]), np.array([0.0, 0.55, 0.0])


def _rays() -> np.ndarray:
    """Unit vectors [SIDE, SIDE, 3] from the eye through the pixels."""
    ahead = (TARGET - EYE) / np.linalg.norm(TARGET - EYE)
    right = np.cross([0.0, 1.0, 0.0], ahead)
    right /= np.linalg.norm(right)
    up = np.cross(ahead, right)
    v, u = np.mgrid[1 : -1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    rays = ahead + 0.42 * (u[..., None] * right + v[..., None] * up)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def _ball(at: np.ndarray, rays: np.ndarray, middle: np.ndarray, size: float) -> Any:
    """How far rays go until they meet the ball (inf: never), and which way it faces there."""
    to = at - middle
    b, c = (to * rays).sum(-1), (to * to).sum(-1) - size**2
    inside = b * b - c
    t = np.where(inside > 0, -b - np.sqrt(np.maximum(inside, 0)), np.inf)
    t = np.where(t > 1e-3, t, np.inf)
    place = at + np.where(np.isfinite(t), t, 0)[..., None] * rays
    return t, (place - middle) / size


def _box(at: np.ndarray, rays: np.ndarray, middle: np.ndarray, size: float, turn: float) -> Any:
    """The same of a cube that is turned about its upright axis."""
    c, s = np.cos(turn), np.sin(turn)
    frame = np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
    origin, along = (at - middle) @ frame.T, rays @ frame.T
    along = np.where(np.abs(along) < 1e-9, 1e-9, along)
    near, far = (-np.sign(along) * size - origin) / along, (np.sign(along) * size - origin) / along
    t = near.max(-1)
    t = np.where((t < far.min(-1)) & (t > 1e-3), t, np.inf)
    face = np.eye(3)[near.argmax(-1)] * -np.sign(along)
    return t, face @ frame


def _drawn(t: np.ndarray, normal: np.ndarray, lit: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """Pencil on paper: lines where surfaces end or turn sharply, hatches where no light comes."""
    inside = np.isfinite(t)
    surface = np.where(inside[..., None], normal, 0.0)
    line = np.zeros(t.shape, bool)
    for step in (1, 2):
        for axis in (0, 1):
            moved = np.roll(surface, step, axis)
            line |= np.abs(surface - moved).sum(-1) > 0.6
    v, u = np.mgrid[:SIDE, :SIDE]
    hatched = np.where(inside, lit < 0.45, shade > 0.5) & ((u + v) % 7 < 2)
    ink = np.where(line, 0.75, np.where(hatched, 0.35, 0.0))
    return np.array([0.97, 0.96, 0.93]) - ink[..., None] * [0.9, 0.9, 0.85]


def photo(kind: str, rng: np.random.Generator, sketch: bool = False) -> np.ndarray:
    """uint8 [SIDE, SIDE, 3]: a ball or a box on a table, or a pencil sketch of one."""
    size = rng.uniform(0.45, 0.75)
    middle = np.array([rng.uniform(-0.6, 0.6), size, rng.uniform(-0.5, 0.5)])
    turn, colour = rng.uniform(0, np.pi / 2), rng.uniform(0.25, 0.95, 3)
    light = LIGHT * [rng.choice([-1.0, 1.0]), 1.0, 1.0] + rng.normal(0, 0.08, 3)
    light /= np.linalg.norm(light)

    def thing(at: np.ndarray, rays: np.ndarray) -> Any:
        return (
            _ball(at, rays, middle, size) if kind == "ball" else _box(at, rays, middle, size, turn)
        )

    rays = _rays()
    t, normal = thing(np.broadcast_to(EYE, rays.shape), rays)
    down = np.where(rays[..., 1] < 0, -EYE[1] / np.minimum(rays[..., 1], -1e-6), np.inf)
    table = EYE + np.where(np.isfinite(down), down, 0)[..., None] * rays
    # Wood: wavy rings along x; a wall behind the table.
    rings = np.sin(9 * table[..., 2] + 1.4 * np.sin(1.3 * table[..., 0] + 3) + 3 * rng.random())
    wood = np.array([0.55, 0.38, 0.22]) * (1 + 0.16 * rings[..., None])
    wall = np.array([0.72, 0.70, 0.65]) * (0.75 + 0.5 * rays[..., 1:2])
    shade = np.zeros(rays.shape[:2])
    for spread in rng.normal(0, 0.06, (6, 3)):  # a lamp has a size: soft shadows
        lamp = light + spread
        lit, _ = thing(table, np.broadcast_to(lamp / np.linalg.norm(lamp), rays.shape))
        shade += np.isfinite(lit) / 6
    ground = np.where((table[..., 2] < 3.5)[..., None] & np.isfinite(down)[..., None],
                      wood * (1 - 0.62 * shade[..., None]), wall)  # fmt: skip
    facing = np.clip((normal * light).sum(-1), 0, 1)[..., None]
    shine = np.clip((normal * ((light - rays) / np.sqrt(2))).sum(-1), 0, 1)[..., None] ** 40
    own = colour * (0.3 + 0.75 * facing) + 0.25 * shine
    image = np.where(np.isfinite(t)[..., None], own, ground)
    if sketch:
        image = _drawn(t, normal, facing[..., 0], shade * (t == np.inf) * (down < 12))
    image = image + rng.normal(0, 0.012, image.shape)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def write_photos(
    folder: Path, count: int, seed: int, sketch: bool = False
) -> list[tuple[str, str]]:
    """`count` JPEG files of each kind, as ball/0.jpg; gives (kind, path in the folder)."""
    from PIL import Image

    rng, made = np.random.default_rng(seed), []
    for kind in ("ball", "box"):
        (folder / kind).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(photo(kind, rng, sketch)).save(folder / kind / f"{i}.jpg", quality=90)
            made.append((kind, f"{folder.name}/{kind}/{i}.jpg"))
    return made


def blocks(language: str) -> list[str]:
    """The fenced blocks of the tutorial in a language."""
    text = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Balls and boxes</title>
<link rel="stylesheet" href="photos-page/page.css">
<style>
  .lesson { margin-top: 1.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
  .lesson p { margin: 0 0 .5rem; color: var(--soft); }
  .row { display: flex; gap: 1.5rem; align-items: end; justify-content: space-between; }
  .mine { display: grid; grid-template-columns: repeat(6, 4rem); gap: .5rem; }
  .mine img { width: 4rem; height: 4rem; border-radius: .5rem; }
  svg.curve { width: 22rem; height: 8rem; overflow: visible; }
</style>
<body><header>
<svg viewBox="0 0 64 36"><path class="pane" d="M2 34a30 30 0 0 1 60 0z"/><path
 d="M22 34a10 10 0 0 1 20 0M32 24V4M25 27 11 13M39 27 53 13"/></svg>
<h1>Balls and boxes</h1><p>A MobileNet that learns in this page. Photos stay on this device.</p>
</header>
<fanlight-classifier src="photos-page/"></fanlight-classifier>
<section class="lesson"><p id="told"></p><div class="row"><div class="mine">SHOWN</div>
<svg class="curve" viewBox="0 0 352 128"></svg></div></section>
<script type="module">
const losses = [];
const told = (epoch, { loss }) => {
  losses.push(loss);
  const top = Math.max(...losses);
  const at = (v, i) => `${(i / 29) * 352},${124 - (v / top) * 116}`;
  document.querySelector('.curve').innerHTML =
    `<path d="M0 124H352" stroke="#e2dccf"/><polyline points="${losses.map(at).join(' ')}"
      fill="none" stroke="#e8912d" stroke-width="3"/>
     <text x="352" y="14" text-anchor="end" font-size="13" fill="#6a6353">loss, epoch ${epoch + 1}:
      ${loss.toPrecision(1)}</text>`;
};
SCRIPT
const after = await learner.evaluate(x, y);
const right = ({ accuracy, loss }) =>
  `${Math.round(accuracy * mine.length)} of ${mine.length} right, loss ${loss.toPrecision(1)}`;
document.querySelector('#told').textContent = `Taught by these sketches for 30 epochs. ` +
  `Before: ${right(before)}; now: ${right(after)}. The sketch above is new to it.`;
globalThis.found = { before, after, losses, answer };
</script>"""


def script() -> str:
    """The tutorial's script for the page, which tells of each epoch and looks before it learns."""
    (text,) = (b for b in blocks("js") if "fanlight-classifier" in b)
    for old, new in (
        ("{ epochs: 30 }", "{ epochs: 30, onEpochEnd: told }"),
        ("await learner.fit", "const before = await learner.evaluate(x, y);\nawait learner.fit"),
        ("{ persist: 'my pets' }", "{}"),
        (
            "element.classify(mine[0])",
            "element.classify(await (await fetch('new/ball/0.jpg')).blob())",
        ),
    ):
        if text.count(old) != 1:
            raise SystemExit(f"the tutorial's script has no {old} any more: change this tool, too")
        text = text.replace(old, new)
    return text


def taken(site_url: str) -> bytes:
    """The page in Chromium, after it has learned, as PNG."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = find_browser("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=chromium_flags())
        page = browser.new_page(viewport={"width": 1060, "height": 400})
        page.on("pageerror", lambda error: print(error, file=sys.stderr))
        page.goto(site_url + "page.html")
        page.wait_for_function("globalThis.found !== undefined", timeout=120_000)
        found = page.evaluate("found")
        print(f"before {found['before']}, after {found['after']}, answer {found['answer']}")
        page.wait_for_timeout(500)
        shot: bytes = page.screenshot(full_page=True)
        browser.close()
    return shot


def main() -> None:
    """Run the command line."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "tutorial")
    to = parser.parse_args().to.resolve()
    published = SHARED / "data" / "models" / "mobilenet-v1-0.25-layers-mitcml"
    if not published.is_dir():
        raise SystemExit(f"the published MobileNet is not at {published}")
    with tempfile.TemporaryDirectory() as name:
        desk = Path(name)
        (desk / "mobilenet").mkdir()
        for file in published.iterdir():
            plain = "model.json" if file.suffix == ".json" else file.name
            (desk / "mobilenet" / plain).symlink_to(file)
        write_photos(desk / "photos", 48, seed=1)
        mine = write_photos(desk / "mine", 6, seed=2, sketch=True)
        write_photos(desk / "new", 1, seed=3, sketch=True)
        os.chdir(desk)
        names: dict[str, Any] = {}
        for block in blocks("python"):
            exec(compile(block, "docs/tutorial.md", "exec"), names)
        names["bundle"].close()
        for picture in ("history.svg", "confusion.svg"):
            text = (desk / picture).read_text("utf-8")
            (to / picture).write_text(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE), "utf-8")
        shown = "".join(f'<img class="{kind}" src="{path}" alt="">' for kind, path in mine)
        with serve(desk) as site:
            site.pages["page.html"] = PAGE.replace("SHOWN", shown).replace("SCRIPT", script())
            shot = taken(site.url)
        image = Image.open(io.BytesIO(shot)).convert("RGB")
        image.quantize(200, dither=Image.Dither.NONE).save(to / "page.png", optimize=True)
        os.chdir(ROOT)
    for picture in ("history.svg", "confusion.svg", "page.png"):
        print(f"{to / picture}: {(to / picture).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
