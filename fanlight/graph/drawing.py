"""Boxes and edges as an SVG picture: layers from top to bottom, families in colours, curved edges.

The layout is the layered one of Sugiyama, small: a node's layer is its longest path from an input,
an edge over several layers gets a waypoint in each, and a few sweeps put every node near the
middle of its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

BOX_WIDTH, BOX_HEIGHT = 236, 40
WAY_WIDTH = 18
GAP_X, GAP_Y = 22, 30
MARGIN = 24
SWEEPS = 12
MAX_TEXT, MAX_DETAIL = 34, 42  # characters that fit into a box

_STYLE = """
svg { background: #ffffff; color: #1c1f24; font: 12px system-ui, sans-serif; }
rect { fill: var(--f, #eef0f3); stroke: var(--s, #8b93a1); rx: 7px; }
text { fill: currentColor; text-anchor: middle; }
.t { font-size: 10.5px; opacity: .75; }
path { fill: none; stroke: #8b93a1; stroke-width: 1.4; }
.port rect { rx: 19px; --f: #ffffff; --s: #1c1f24; }
.conv { --f: #dbe8ff; --s: #4a7bd6; } .matmul { --f: #e5dcff; --s: #7c5fd0; }
.elementwise, .activation { --f: #ffeccf; --s: #cf8b1f; }
.normalization { --f: #ffe0e4; --s: #cf5568; }
.pool, .reduce { --f: #d9f3e2; --s: #37a161; } .image { --f: #d6f1f5; --s: #2c98a8; }
@media (prefers-color-scheme: dark) {
svg { background: #16181c; color: #e8eaee; } rect { --f: #2a2e35; }
.port rect { --f: #16181c; --s: #e8eaee; }
.conv { --f: #1d3156; } .matmul { --f: #33275c; } .elementwise, .activation { --f: #4a3712; }
.normalization { --f: #4d2129; } .pool, .reduce { --f: #173f27; } .image { --f: #123e45; }
}
"""


@dataclass(eq=False)
class Box:
    """A node, a port of the graph, or (without a title) a waypoint of a long edge."""

    title: str = ""
    detail: str = ""
    hint: str = ""
    family: str = ""
    layer: int = 0
    x: float = 0.0
    above: list[Box] = field(default_factory=list)
    below: list[Box] = field(default_factory=list)

    @property
    def width(self) -> int:
        return BOX_WIDTH if self.title else WAY_WIDTH

    @property
    def y(self) -> float:
        return MARGIN + self.layer * (BOX_HEIGHT + GAP_Y)


class Drawing:
    """Boxes in layers, each below those that feed it."""

    def __init__(self) -> None:
        self.layers: list[list[Box]] = []

    def place(self, box: Box, sources: list[Box]) -> None:
        """Add a box below its sources."""
        box.layer = max((source.layer + 1 for source in sources), default=0)
        while len(self.layers) <= box.layer:
            self.layers.append([])
        self.layers[box.layer].append(box)
        for source in sources:
            _connect(source, box, self.layers)

    def svg(self, name: str) -> str:
        """The picture as a self-contained SVG document."""
        layers = self.layers
        for layer in layers:
            _spread(layer)
        for sweep in range(SWEEPS):
            downwards = sweep % 2 == 0
            for layer in layers if downwards else reversed(layers):
                _pull(layer, downwards)
        boxes = [box for layer in layers for box in layer]
        left = min(box.x - box.width / 2 for box in boxes) - MARGIN
        right = max(box.x + box.width / 2 for box in boxes) + MARGIN
        height = max(box.y for box in boxes) + BOX_HEIGHT + MARGIN
        return _document(boxes, left, right - left, height, name)


def _connect(source: Box, target: Box, layers: list[list[Box]]) -> None:
    last = source
    for layer in range(source.layer + 1, target.layer):
        way = Box(layer=layer)
        layers[layer].append(way)
        last.below.append(way)
        way.above.append(last)
        last = way
    last.below.append(target)
    target.above.append(last)


def _spread(layer: list[Box]) -> None:
    x = 0.0
    for box in layer:
        box.x = x + box.width / 2
        x += box.width + GAP_X
    for box in layer:
        box.x -= x / 2


def _pull(layer: list[Box], downwards: bool) -> None:
    """Move each box towards the middle of its neighbours, then part those that overlap."""
    wanted: dict[Box, float] = {}
    for box in layer:
        near = (box.above if downwards else box.below) or box.above or box.below
        wanted[box] = sum(other.x for other in near) / len(near) if near else box.x
    layer.sort(key=wanted.__getitem__)
    at = 0.0
    shift = 0.0
    for index, box in enumerate(layer):
        least = wanted[box] if index == 0 else at + GAP_X + box.width / 2
        box.x = max(wanted[box], least)
        shift += wanted[box] - box.x
        at = box.x + box.width / 2
    for box in layer:  # parting pushes to the right only: centre the layer again
        box.x += shift / len(layer)


def _document(boxes: list[Box], left: float, width: float, height: float, name: str) -> str:
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{left:.0f} 0 {width:.0f} {height:.0f}" role="img">',
        f"<title>{escape(name)}</title><style>{_STYLE}</style>",
    ]
    for box in boxes:
        if not box.title:
            parts.append(f'<path d="M{box.x:.1f} {box.y:.1f}v{BOX_HEIGHT}"/>')
        for other in box.below:
            parts.append(_edge(box, other))
    parts += [_drawn(box) for box in boxes if box.title]
    return "\n".join([*parts, "</svg>", ""])


def _edge(box: Box, other: Box) -> str:
    start, end = box.y + BOX_HEIGHT, other.y
    middle = (start + end) / 2
    return (
        f'<path d="M{box.x:.1f} {start:.1f}C{box.x:.1f} {middle:.1f} '
        f'{other.x:.1f} {middle:.1f} {other.x:.1f} {end:.1f}"/>'
    )


def _drawn(box: Box) -> str:
    x, y = box.x - BOX_WIDTH / 2, box.y
    detail = escape(_short(box.detail, MAX_DETAIL))
    return (
        f'<g class="{box.family}"><title>{escape(box.hint)}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}"/>'
        f'<text x="{box.x:.1f}" y="{y + 17:.1f}">{escape(_short(box.title))}</text>'
        f'<text class="t" x="{box.x:.1f}" y="{y + 32:.1f}">{detail}</text></g>'
    )


def _short(text: str, most: int = MAX_TEXT) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
