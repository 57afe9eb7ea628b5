"""Where the windows of convolution and pooling lie, along one dim of a picture."""

from __future__ import annotations

from dataclasses import dataclass

from fanlight.graph import Node


@dataclass(frozen=True)
class Sweep:
    """A window that steps along one dim.

    Attributes:
        extent: pixels of the picture.
        places: how many results there are.
        size, stride, dilation: of the window.
        before: padding in front of the picture.
    """

    extent: int
    places: int
    size: int
    stride: int
    dilation: int
    before: int

    def taps(self, place: int) -> tuple[int, int]:
        """The window's taps [first, last) that lie inside the picture for one result."""
        start = place * self.stride - self.before
        inside = [t for t in range(self.size) if 0 <= start + t * self.dilation < self.extent]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)

    def whole(self) -> tuple[int, int]:
        """The results [first, last) whose whole window is inside."""
        inside = [place for place in range(self.places) if self.taps(place) == (0, self.size)]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)

    def misses(self) -> bool:
        """Whether some window lies wholly in the padding."""
        return any(self.taps(place) == (0, 0) for place in range(self.places))


class Swept:
    """Base of the shapes of depthwise convolutions, of floats and of bytes."""

    height: int
    width: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    top: int
    left: int
    out_height: int
    out_width: int

    def _sweep(self, axis: int) -> Sweep:
        rows, columns = (self.height, self.out_height), (self.width, self.out_width)
        return Sweep(
            *(rows, columns)[axis],
            self.kernel[axis],
            self.strides[axis],
            self.dilations[axis],
            (self.top, self.left)[axis],
        )

    def columns(self, ox: int) -> tuple[int, int]:
        """The kernel columns [first, last) that lie inside the picture for output column ox."""
        return self._sweep(1).taps(ox)

    def rows_inside(self) -> tuple[int, int]:
        """Output rows [first, last) whose whole window is inside."""
        return self._sweep(0).whole()


@dataclass(frozen=True)
class Windows:
    """The sizes of one pooling call; `pad` before the first row and column."""

    image: tuple[int, int, int, int]  # N, H, W, C
    out: tuple[int, int]
    size: tuple[int, int]
    strides: tuple[int, int]
    pad: tuple[int, int]

    @classmethod
    def of(cls, node: Node) -> Windows:
        """From the attributes and types of a pooling node."""
        (top, _), (left, _) = node.attrs["padding"]
        n, height, width, channels = node.inputs[0].type.bound
        _, rows, columns, _ = node.outputs[0].type.bound
        size, strides = tuple(node.attrs["size"]), tuple(node.attrs["strides"])
        return cls((n, height, width, channels), (rows, columns), size, strides, (top, left))

    @property
    def rows(self) -> int:
        """Units of work: rows of all images."""
        return self.image[0] * self.out[0]

    def sweep(self, axis: int) -> Sweep:
        """Along the height (0) or the width (1)."""
        return Sweep(
            self.image[1 + axis],
            self.out[axis],
            self.size[axis],
            self.strides[axis],
            1,
            self.pad[axis],
        )
