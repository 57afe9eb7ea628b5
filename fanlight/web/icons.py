"""The icons of an installed page, drawn: a fanlight, the half round window over a door."""

from __future__ import annotations

import io
import math
from functools import cache

PAPER, NIGHT = "#f8f5ee", "#181612"  # --paper of page.css, by day and by night
GLOW, BARS = "#e8912d", "#ffffff"
_SUPER = 4  # drawn larger and scaled down: Pillow draws no smooth edges

# Of a square of 64: what the SVG says, and what the pictures are drawn from.
_CENTRE, _BASE, _OUTER, _INNER, _BAR = 32.0, 50.0, 28.0, 10.0, 3.0
_SPOKES = (135.0, 90.0, 45.0)  # degrees

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
    f'<path d="M4 50a28 28 0 0 1 56 0z" fill="{GLOW}"/>'
    '<path d="M22 50a10 10 0 0 1 20 0M32 40V22M25 43 12 30M39 43 52 30" fill="none" '
    f'stroke="{BARS}" stroke-width="3"/></svg>\n'
)


@cache
def icon_files() -> dict[str, bytes]:
    """path -> bytes: the drawing, and pictures of it for those who take none."""
    return {
        "icon.svg": SVG.encode(),
        "icon-192.png": draw_icon(192, 1.0),
        "icon-512.png": draw_icon(512, 1.0),
        # A launcher cuts these to its own shape; the middle 80 % is safe.
        "icon-maskable-512.png": draw_icon(512, 0.72, PAPER),
        # iOS takes no transparency.
        "apple-touch-icon.png": draw_icon(180, 0.8, PAPER),
    }


def draw_icon(side: int, share: float, ground: str | None = None) -> bytes:
    """A PNG of side x side pixels.

    Args:
        side: pixels.
        share: of the side that the drawing takes.
        ground: colour behind it; None: transparent.
    """
    from PIL import Image, ImageDraw

    full = side * _SUPER
    unit = full * share / 64
    picture = Image.new("RGBA", (full, full), ground or (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    # The window is 56 by 28 of 64: its middle is put into the picture's.
    middle_y = _BASE - _OUTER / 2

    def at(x: float, y: float) -> tuple[float, float]:
        return full / 2 + (x - _CENTRE) * unit, full / 2 + (y - middle_y) * unit

    def half(radius: float, colour: str) -> None:
        box = [at(_CENTRE - radius, _BASE - radius), at(_CENTRE + radius, _BASE + radius)]
        draw.pieslice(box, 180, 360, fill=colour)

    half(_OUTER, GLOW)
    half(_INNER + _BAR / 2, BARS)
    half(_INNER - _BAR / 2, GLOW)
    for degrees in _SPOKES:
        x, y = math.cos(math.radians(degrees)), -math.sin(math.radians(degrees))
        ends = [at(_CENTRE + x * r, _BASE + y * r) for r in (_INNER, _OUTER)]
        draw.line(ends, fill=BARS, width=round(_BAR * unit))
    buffer = io.BytesIO()
    small = picture.resize((side, side), Image.Resampling.LANCZOS)
    # 64 colours are all that the edges need.
    small.quantize(64, method=Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
