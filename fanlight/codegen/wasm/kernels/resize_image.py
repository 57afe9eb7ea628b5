"""resize_image: RGBA bytes of any size from a decoder to the float image that a model wants.

A pixel is one vector: four bytes become R, G, B, A lanes. A unit of work is a row of the output,
but a band of rows for antialias (see `resize_antialias`).
"""

from __future__ import annotations

from dataclasses import dataclass

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.resize import Axis, check_range, lerp
from fanlight.codegen.wasm.kernels.resize_antialias import Antialias, Region, emit_antialias
from fanlight.codegen.wasm.kernels.vectors import store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.ops.types import Dim
from fanlight.targets import Target


@dataclass(frozen=True)
class ImageResize:
    """A resize of RGBA bytes [H, W, 4], H and W given or read at run time, to f32 [1, h, w, 3].

    `bound`: the largest H and W. `dims`: bytes into the dims block of H and W, None where fixed.
    """

    method: str  # "bilinear", "nearest" or "antialias"
    center: bool
    bound: tuple[int, int]
    dims: tuple[int | None, int | None]
    out: tuple[int, int]
    coordinates: str

    @property
    def units(self) -> int:
        return self.antialias.units if self.method == "antialias" else self.out[0]

    @property
    def antialias(self) -> Antialias:
        return Antialias(self.bound, self.out)

    @property
    def scratch(self) -> int:
        return self.antialias.scratch if self.method == "antialias" else 0


@register("resize_image")
def lower_image(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel that brings a decoded picture to the size that a model wants.

    Symbolic sizes are read from the dims block, whose first entries are this image's Dims.
    """
    image = node.inputs[0].type
    height, width, _ = image.bound
    dims: list[Dim] = []
    for d in image.shape[:2]:
        if isinstance(d, Dim) and d not in dims:
            dims.append(d)
    places = [4 * dims.index(d) if isinstance(d, Dim) else None for d in image.shape[:2]]
    resize = ImageResize(
        node.attrs["method"],
        node.attrs["crop"] == "center",
        (height, width),
        (places[0], places[1]),
        tuple(node.attrs["size"]),
        node.attrs["coordinates"],
    )
    check_range(node, (height, width), resize.out)

    def emit(module: Module, name: str) -> None:
        extra = bool(resize.scratch) + bool(dims)
        f = module.function(name, ("i32",) * (4 + extra))
        x, y, *more, low, high = f.params
        scratch = more[0] if resize.scratch else None
        emit_image_resize(
            module, f, target, resize, x, y, scratch, more[-1] if dims else None, low, high
        )

    return Kernel(
        key=f"{resize}",
        emit=emit,
        work=resize.units,
        scratch=resize.scratch,
        flops=9 * node.outputs[0].type.size,
        bytes=node_bytes(node),
        dims=bool(dims),
    )


def emit_image_resize(
    module: Module,
    f: Function,
    target: Target,
    resize: ImageResize,
    x: Local,
    y: Local,
    scratch: Local | None,
    dims: Local | None,
    low: Local,
    high: Local,
) -> None:
    """Units [low, high) of the output at `y` from the RGBA bytes at `x`."""
    region = _region(f, resize, x, dims)
    if scratch is not None:
        emit_antialias(module, f, target, resize.antialias, region, y, scratch, low, high)
    else:
        _interpolate(f, target, resize, region, y, low, high)


def _region(f: Function, resize: ImageResize, x: Local, dims: Local | None) -> Region:
    """Read the actual sizes and cut out the part that is used."""
    image, height, width, line, spare = f.locals(5, "i32")
    for size, known, at in zip((height, width), resize.bound, resize.dims, strict=True):
        if at is None or dims is None:
            f.i32(known).set(size)
        else:
            f.get(dims).op("i32.load", at).set(size)
    f.get(width).times(4).set(line)
    f.get(x).set(image)
    if resize.center:
        _center(f, resize.out, image, height, width, line, spare)
    return Region(image, height, width, line)


def _center(
    f: Function,
    out: tuple[int, int],
    image: Local,
    height: Local,
    width: Local,
    line: Local,
    spare: Local,
) -> None:
    """Shrink the region to the largest centred rectangle of the output's aspect."""
    rows, columns = out
    # Wider than the output: keep all rows. The product of two sizes fits 32 bits.
    f.get(width).times(rows).get(height).times(columns).op("i32.gt_s")
    with f.if_():
        _part(f, height, columns, rows, width, spare)
        f.get(image).get(spare).times(4).op("i32.add").set(image)
        f.else_()
        _part(f, width, rows, columns, height, spare)
        f.get(image).get(spare).get(line).op("i32.mul").op("i32.add").set(image)


def _part(f: Function, other: Local, times: int, by: int, size: Local, begin: Local) -> None:
    """size -> other * times / by, rounded, at least 1; begin = how much is cut off before it."""
    whole = f.local("i32")
    f.get(size).set(whole)
    f.get(other).times(2 * times).plus(by).i32(2 * by).op("i32.div_u").tee(size)
    f.i32(1).get(size).select().set(size)
    f.get(whole).get(size).op("i32.sub").i32(1).op("i32.shr_s").set(begin)


def _pixel(f: Function, address: Local) -> Function:
    """Push the four bytes at an address as floats."""
    f.get(address).op("v128.load32_zero").op("i16x8.extend_low_i8x16_u")
    return f.op("i32x4.extend_low_i16x8_u").op("f32x4.convert_i32x4_u")


def _interpolate(
    f: Function,
    target: Target,
    resize: ImageResize,
    region: Region,
    y: Local,
    low: Local,
    high: Local,
) -> None:
    """Rows [low, high) by the nearest pixel, or between the nearest four."""
    rows = Axis(region.height, resize.out[0], resize.coordinates)
    columns = Axis(region.width, resize.out[1], resize.coordinates)
    row, column, out, at = f.locals(4, "i32")
    sides = f.locals(4, "i32")
    down, across, value, other, top = f.locals(5, "v128")
    f.address(y, low, resize.out[1] * 12).set(out)
    nearest = resize.method == "nearest"
    with f.range(row, low, high):
        if nearest:
            rows.nearest(f, row, sides[0])
        else:
            rows.between(f, row, sides[0], sides[1], down)
        for side in sides[: 1 if nearest else 2]:
            f.get(region.image).get(side).get(region.line).op("i32.mul").op("i32.add").set(side)
        with f.range(column, 0, resize.out[1]):
            if nearest:
                columns.nearest(f, column, at)
                f.address(sides[0], at, 4).set(at)
                _pixel(f, at).set(value)
            else:
                columns.between(f, column, sides[2], sides[3], across)
                for upper in (True, False):
                    for into, side in ((value, sides[2]), (other, sides[3])):
                        f.address(sides[0 if upper else 1], side, 4).set(at)
                        _pixel(f, at).set(into)
                    lerp(f, target, value, other, across).set(top if upper else other)
                lerp(f, target, top, other, down).set(value)
            store_bytes(f, out, value, 12)
            f.advance(out, 12)
