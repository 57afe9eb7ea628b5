"""non_max_suppression: one pass over the boxes per box that is kept.

The pass after a box was kept drops what overlaps it, shrinks scores, and finds the next best box.
Scores of boxes that are left lie in scratch memory; -infinity marks those that are gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.ops import scalar as sc
from fanlight.targets import Target


@dataclass(frozen=True)
class Suppression:
    """Of `count` boxes at most `kept` stay."""

    count: int
    kept: int
    overlap: float
    least: float
    sigma: float


@register("non_max_suppression")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a non_max_suppression node."""
    attrs = node.attrs
    shape = Suppression(
        node.inputs[1].type.size,
        attrs["max_output_size"],
        float(attrs["iou_threshold"]),
        float(attrs["score_threshold"]),
        float(attrs["soft_nms_sigma"]),
    )

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 8)
        _Emitter(f, shape, target.relaxed_simd).run()

    return Kernel(
        key=f"{shape} {target.relaxed_simd}",
        emit=emit,
        work=1,
        scratch=max(16, shape.count * 4),
        flops=20 * shape.count * min(shape.kept, shape.count),
        bytes=node_bytes(node),
    )


class _Emitter:
    def __init__(self, f: Function, shape: Suppression, fused: bool) -> None:
        self.f, self.shape, self.fused = f, shape, fused
        self.boxes, self.scores, self.indices, self.kept, self.found = f.params[:5]
        self.left, self.low, self.high = f.params[5:]
        self.count, self.best, self.next, self.box = f.locals(4, "i32")
        self.top, self.score, self.share = f.locals(3, "f32")
        self.own, self.other = f.locals(4, "f32"), f.locals(4, "f32")  # y, x low; y, x high
        self.own_area, self.area = f.locals(2, "f32")

    def run(self) -> None:
        f, shape = self.f, self.shape
        unit = f.local("i32")
        with f.range(unit, self.low, self.high):
            for out in (self.indices, self.kept):
                f.get(out).i32(0).i32(4 * shape.kept).op("memory.fill")
            f.i32(0).set(self.count)
            self._begin()
            with f.block() as done, f.loop() as again:
                f.get(self.next).i32(0).op("i32.lt_s").br_if(done)
                f.get(self.count).i32(shape.kept).op("i32.ge_s").br_if(done)
                self._keep()
                self._pass()
                f.br(again)
            f.get(self.found).get(self.count).op("i32.store")

    def _begin(self) -> None:
        """Copy the scores that are high enough, and find the best."""
        f = self.f
        self._nothing_found()
        with f.range(self.box, 0, self.shape.count):
            f.address(self.left, self.box, 4)
            f.address(self.scores, self.box, 4).op("f32.load").tee(self.score).f32(-inf)
            f.get(self.score).f32(self.shape.least).op("f32.gt").select()
            f.tee(self.score).op("f32.store")
            self._compare()

    def _nothing_found(self) -> None:
        self.f.f32(-inf).set(self.top).i32(-1).set(self.next)

    def _compare(self) -> None:
        """The box is the next one if its score beats those before it."""
        f = self.f
        f.get(self.score).get(self.top).op("f32.gt")
        with f.if_():
            f.get(self.score).set(self.top).get(self.box).set(self.next)

    def _keep(self) -> None:
        f = self.f
        f.get(self.next).set(self.best)
        f.address(self.indices, self.count, 4).get(self.best).op("i32.store")
        f.address(self.kept, self.count, 4).get(self.top).op("f32.store")
        f.address(self.left, self.best, 4).f32(-inf).op("f32.store")
        f.advance(self.count, 1)
        self._load(self.best, self.own, self.own_area)
        self._nothing_found()

    def _pass(self) -> None:
        f, shape = self.f, self.shape
        with f.range(self.box, 0, shape.count), f.block() as over:
            f.address(self.left, self.box, 4).op("f32.load").tee(self.score)
            f.f32(-inf).op("f32.eq").br_if(over)
            self._load(self.box, self.other, self.area)
            self._overlap()
            f.get(self.share).f32(shape.overlap).op("f32.ge")
            with f.if_():
                f.address(self.left, self.box, 4).f32(-inf).op("f32.store").br(over)
            if shape.sigma > 0:
                self._shrink()
            self._compare()

    def _load(self, box: Local, corners: list[Local], area: Local) -> None:
        """The corners of a box in order, and its area."""
        f = self.f
        at = f.local("i32")
        f.address(self.boxes, box, 16).set(at)
        for kind, pair in (("f32.min", corners[:2]), ("f32.max", corners[2:])):
            for d, corner in enumerate(pair):
                f.get(at).op("f32.load", 4 * d).get(at).op("f32.load", 8 + 4 * d)
                f.op(kind).set(corner)
        f.get(corners[2]).get(corners[0]).op("f32.sub")
        f.get(corners[3]).get(corners[1]).op("f32.sub").op("f32.mul").set(area)

    def _overlap(self) -> None:
        """share = intersection over union, 0 where one of the two boxes has no area."""
        f = self.f
        f.f32(0.0).set(self.share)
        f.get(self.own_area).f32(0.0).op("f32.gt").get(self.area).f32(0.0).op("f32.gt")
        f.op("i32.and")
        with f.if_():
            for d in (0, 1):
                f.get(self.own[2 + d]).get(self.other[2 + d]).op("f32.min")
                f.get(self.own[d]).get(self.other[d]).op("f32.max")
                f.op("f32.sub").f32(0.0).op("f32.max")
            f.op("f32.mul").tee(self.share)
            f.get(self.own_area).get(self.area).op("f32.add").get(self.share).op("f32.sub")
            f.op("f32.div").set(self.share)

    def _shrink(self) -> None:
        """The score falls with the overlap; at the threshold the box goes."""
        f, shape = self.f, self.shape
        x = sc.arg(0)
        vector = f.local("v128")
        f.get(self.share).op("f32x4.splat").set(vector)
        body = sc.exp(x * x * sc.const(-0.5 / shape.sigma))
        scalar_code.emit(f, body, [vector], ["float32"], fused=self.fused)
        f.op("f32x4.extract_lane", 0).get(self.score).op("f32.mul").tee(self.score)
        f.f32(-inf).get(self.score).f32(shape.least).op("f32.gt").select().set(self.score)
        f.address(self.left, self.box, 4).get(self.score).op("f32.store")
