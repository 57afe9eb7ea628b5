"""The function `run` of a module: it walks the steps of a plan, alone or with other threads.

`run(first, last, thread, threads)` does steps first .. last - 1. Every one of `threads` threads
calls it once, with a `thread` of its own, and does its share of each step; where a step needs what
others made, all wait for each other at a *barrier*, inside WebAssembly. One thread meets none.

After a barrier the work lies in pieces, and who is free takes the next one: a slow core, or one
that is taken away for a while, holds nobody up for longer than a piece takes. Two threads begin at
opposite ends, so that each finds in its caches what it made in the step before.

The control block, in low memory, is what a host tells `run` beside its arguments. Its int32 words:

    0   CHOICES   bit i set: steps whose kernel has choice i compute it by that twin
    8   TAKEN     how many pieces were asked for, modulo 2**32
    16 .. 19      the host's own, for handing work to its threads
    20  BASE      what word 32 was before the call; the host copies it when no thread is in `run`
    21  PATIENCE  waits of 100 ms without any arrival after which a thread gives up; 0: never
    22  STOP      not 0: give up. `run` returns early, and what it leaves in memory is undefined
    23  PIECE     what word 8 was before the call; `run` leaves it so. After one that gave up, the
                  host copies it when no thread is in `run`, or takes new memory
    32  ARRIVED   how often threads have come to barriers, modulo 2**32
    48  SLEEPING  how many threads wait for a notification

The counters keep cache lines of their own. Nothing is set when memory is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fanlight.codegen.intervals import Intervals
from fanlight.codegen.kernel import Kernel
from fanlight.codegen.plan import WEIGHTS_OFFSET, Plan, Step
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.expand import emit_expand
from fanlight.codegen.wasm.module import Module
from fanlight.errors import FanlightError
from fanlight.targets import Target

CONTROL = 256  # address of the control block
MAX_CHOICES = 32
TAKEN, BASE, PATIENCE, STOP, PIECE, ARRIVED, SLEEPING = (
    CONTROL + 4 * word for word in (8, 20, 21, 22, 23, 32, 48)
)

# Looks at the counter before a thread goes to sleep. A look takes 1 to 2 ns, waking up 15 us.
SPINS = 30_000
WAIT_NS = 100_000_000
# Steps that take less than this are not worth a barrier: the first thread does them alone.
SOLO_NS = 1_500
FLOPS_PER_NS, BYTES_PER_NS = 32, 16
# What threads cost: to begin a run by hosts in Python, and to come together at a barrier.
CALL_NS, MEETING_NS = 100_000, 500
# A piece takes at least this; to ask for one takes about 50 ns.
PIECE_NS = 3_000
LEAST_PIECES, MOST_PIECES = 4, 24


@dataclass(frozen=True)
class Code:
    """A module and what its manifest entry says of it.

    Attributes:
        choices: name -> bit of the word CHOICES.
        memory_flags: see `Module.memory_flags`.
    """

    data: bytes
    choices: dict[str, int]
    memory_flags: int


def choices(plan: Plan, target: Target) -> dict[str, int]:
    """The choices that the module of a target leaves to its host: name -> bit of the word CHOICES.

    Where a kernel has several twins that are chosen, the one of the lowest bit computes.
    """
    which = plan.targets.index(target)
    names = sorted({name for s in plan.steps for name in s.kernels[which].twins})
    if len(names) > MAX_CHOICES:
        raise FanlightError(
            "E-BUILD-008",
            "the kernels have twins of too many names.",
            where=plan.graph.name,
            expected=f"at most {MAX_CHOICES}",
            received=", ".join(names),
        )
    return {name: bit for bit, name in enumerate(names)}


def emit(plan: Plan, target: Target, *, once: bool = False, maximum: int | None = None) -> Code:
    """The module for one of the plan's targets; it exports `run` (and `expand`, for f16).

    Args:
        once: it exports, too, a function of this name that runs all of it on one thread: hosts to
            which every argument costs time need give none.
        maximum: the largest size of the memory, in pages; a shared one has no larger one itself.
            Default: that of the plan, if several threads share it.
    """
    which = plan.targets.index(target)
    bits = choices(plan, target)
    if target.threads and maximum is None:
        maximum = plan.pages
    module = Module(plan.pages, maximum=maximum, relaxed_simd=target.relaxed_simd)
    # Base kernels first, then all twins: what is used lies together.
    kernels = [s.kernels[which] for s in plan.steps]
    for kernel in (*kernels, *(t for k in kernels for t in k.twins.values())):
        module.define(kernel.key, kernel.emit)
    if target.threads:
        _emit_barrier(module)
        _emit_share(module)
    walk = _Walk(module, bits, target.threads)
    waits = barriers(plan, which) if target.threads else [False] * len(kernels)
    for index, (step, kernel, wait) in enumerate(zip(plan.steps, kernels, waits, strict=True)):
        walk.step(index, step, kernel, wait)
    walk.finish()
    if once:
        whole = module.function("once", (), export=True)
        whole.i32(0).i32(len(plan.steps)).i32(0).i32(1).call("run")
    if plan.halves_offset < WEIGHTS_OFFSET + plan.weight_bytes:
        emit_expand(module)
    return Code(module.encode(), bits, module.memory_flags)


# --- which steps need barriers ------------------------------------------------------------------


def _cost(kernel: Kernel) -> float:
    """A rough guess of its time on one thread, in ns."""
    return kernel.flops / FLOPS_PER_NS + kernel.bytes / BYTES_PER_NS


def solo(kernel: Kernel) -> bool:
    """Whether the first thread computes a step alone: its work is one piece, or very small."""
    return kernel.work == 1 or _cost(kernel) < SOLO_NS


def pieces(kernel: Kernel) -> int:
    """Into how many pieces the work of a step is cut, for whoever is free."""
    return min(kernel.work, MOST_PIECES, max(LEAST_PIECES, int(_cost(kernel) / PIECE_NS)))


def saved_by(threads: int, plan: Plan, which: int = 0) -> float:
    """A guess of how many ns a run of the whole plan takes less with several threads.

    Not more than 0: they have to be called, and to wait for each other, for too little.
    """
    kernels = [s.kernels[which] for s in plan.steps]
    split = sum(_cost(k) for k in kernels if not solo(k))
    meetings = sum(barriers(plan, which)) + 1
    return split * (1 - 1 / threads) - meetings * MEETING_NS - CALL_NS


def barriers(plan: Plan, which: int) -> list[bool]:
    """Whether the threads must wait for each other before each step.

    They need not where nothing that the step touches was touched, since the last barrier, by what
    another thread may still be doing. Weights are only read and count for nothing.
    """
    waits = []
    since = _Touched()
    for step in plan.steps:
        own = list(_accesses(plan, step, which))
        wait = any(since.meets(a) for a in own)
        if wait:
            since = _Touched()
        for a in own:
            since.add(a)
        waits.append(wait)
    return waits


@dataclass(frozen=True)
class _Access:
    start: int
    end: int
    writes: bool
    alone: bool


class _Touched:
    """What was touched since a barrier, by kind of access: (writes, alone) -> where."""

    def __init__(self) -> None:
        self._of = {(w, a): Intervals() for w in (False, True) for a in (False, True)}

    def add(self, access: _Access) -> None:
        self._of[access.writes, access.alone].add(access.start, access.end)

    def meets(self, access: _Access) -> bool:
        """Whether another thread could disturb an access, or be disturbed by it."""
        return any(
            where.overlap(access.start, access.end)
            for (writes, alone), where in self._of.items()
            if (writes or access.writes) and not (alone and access.alone)
        )


def _accesses(plan: Plan, step: Step, which: int) -> Iterator[_Access]:
    kernel = step.kernels[which]
    alone = solo(kernel)
    inputs = [v for i, v in enumerate(step.node.inputs) if i not in kernel.folded]
    for position, value in enumerate((*inputs, *step.node.outputs)):
        start = step.tensors[position]
        if start >= plan.arena_offset or start < plan.weights_at:
            yield _Access(start, start + value.type.nbytes, position >= len(inputs), alone)
    scratch = max(k.most_scratch for k in step.kernels)
    if scratch:
        yield _Access(step.scratch, step.scratch + scratch, True, alone)


# --- code -----------------------------------------------------------------------------------------


class _Walk:
    """The function `run` under construction."""

    def __init__(self, module: Module, bits: dict[str, int], threaded: bool) -> None:
        self.module, self.bits, self.threaded = module, bits, threaded
        self.f = f = module.function("run", ("i32",) * 4, export=True)
        first, last, self.thread, self.threads = f.params
        self.count, self.chosen, self.several, self.target = f.locals(4, "i32")
        self.piece, self.low, self.high, self.at, self.own = f.locals(5, "i32")
        # Whether pieces of a step may still be asked for: that of the next step, only after a
        # barrier, or one counter would count for both.
        self.open = True
        f.get(last).get(first).op("i32.sub").set(self.count)
        if bits:
            f.i32(CONTROL).op("i32.load").set(self.chosen)
        if threaded:
            f.get(self.threads).i32(1).op("i32.gt_u").set(self.several)
            f.i32(BASE).op("i32.load").set(self.target)
            f.i32(PIECE).op("i32.load").set(self.piece)

    def step(self, index: int, step: Step, kernel: Kernel, wait: bool) -> None:
        """One step, if it is in [first, last): (k - first) < (last - first), unsigned."""
        f = self.f
        alone = solo(kernel)
        self.open = self.open or wait
        shared, self.open = self.open and not alone, self.open and alone
        f.i32(index).get(f.params[0]).op("i32.sub").get(self.count).op("i32.lt_u")
        with f.if_():
            if wait:
                self._wait()
            with f.block() as done:
                if self.threaded and alone:
                    f.get(self.thread).br_if(done)
                for name in sorted(kernel.twins, key=self.bits.__getitem__):
                    f.get(self.chosen).i32(1 << self.bits[name]).op("i32.and")
                    with f.if_():
                        self._call(step, kernel.twins[name], alone, shared)
                        f.br(done)
                self._call(step, kernel, alone, shared)

    def _call(self, step: Step, kernel: Kernel, alone: bool, shared: bool) -> None:
        """This thread's part of one kernel's work: pieces of it if `shared`, else a fixed share."""
        if alone or not self.threaded:
            self._whole(step, kernel)
        elif shared:
            self._pieces(step, kernel)
        else:
            self._part(step, kernel, self.thread, lambda: self.f.get(self.threads))

    def _work(self, step: Step, kernel: Kernel) -> Function:
        """Push how many units of a kernel's work are to be done: all, or work * size / bound.

        That is rounded up; what is too much by it lies in the padding.
        """
        f = self.f
        if not step.leading:
            return f.i32(kernel.work)
        address, bound = step.leading
        f.i32(0).op("i32.load", address).op("i64.extend_i32_u")
        f.i32(kernel.work).op("i64.extend_i32_u").op("i64.mul")
        f.i32(bound - 1).op("i64.extend_i32_u").op("i64.add")
        return f.i32(bound).op("i64.extend_i32_u").op("i64.div_u").op("i32.wrap_i64")

    def _whole(self, step: Step, kernel: Kernel) -> None:
        self._arguments(step, kernel).i32(0)
        self._work(step, kernel)
        self.f.call(self.module.define(kernel.key, kernel.emit))

    def _part(
        self, step: Step, kernel: Kernel, which: Local, parts: Callable[[], Function]
    ) -> None:
        """Part `which` of so many equal parts of the work."""
        f = self.f
        for local, more in ((self.low, 0), (self.high, 1)):
            self._work(step, kernel).get(which).plus(more)
            parts()
            f.call("share").set(local)
        f.get(self.low).get(self.high).op("i32.lt_u")
        with f.if_():
            self._arguments(step, kernel).get(self.low).get(self.high)
            f.call(self.module.define(kernel.key, kernel.emit))

    def _pieces(self, step: Step, kernel: Kernel) -> None:
        """Pieces until none is left. Every thread asks once more than there are pieces for it, so
        all know what the counter stands at after the step.
        """
        f, count = self.f, pieces(kernel)
        f.get(self.several)
        with f.if_():
            f.i32(0).set(self.own)
            with f.block() as done, f.loop() as again:
                f.i32(0).i32(1).op("i32.atomic.rmw.add", TAKEN).get(self.piece).op("i32.sub")
                f.tee(self.at).i32(count).op("i32.ge_u").br_if(done)
                # Of two threads the second begins at the end: how many pieces are taken is all
                # that they have to agree on.
                f.get(self.threads).i32(2).op("i32.eq")
                with f.if_():
                    f.i32(count - 1).get(self.own).op("i32.sub").get(self.own)
                    f.get(self.thread).select().set(self.at)
                f.get(self.own).plus(1).set(self.own)
                self._part(step, kernel, self.at, lambda: f.i32(count))
                f.br(again)
            f.get(self.piece).plus(count).get(self.threads).op("i32.add").set(self.piece)
            f.else_()
            self._whole(step, kernel)

    def _arguments(self, step: Step, kernel: Kernel) -> Function:
        for pointer in step.pointers(kernel):
            self.f.i32(pointer)
        return self.f

    def _wait(self) -> None:
        f = self.f
        f.get(self.several)
        with f.if_():
            f.get(self.target).get(self.threads).op("i32.add").tee(self.target)
            f.call("barrier")
            with f.if_():
                f.return_()

    def finish(self) -> None:
        """The last barrier: when the first thread returns, the work of all is done."""
        f = self.f
        if self.threaded:
            self._wait()
            f.get(self.thread).op("i32.eqz")
            with f.if_():
                f.i32(PIECE).get(self.piece).op("i32.store")


def _emit_share(module: Module) -> None:
    """share(work, thread, threads): the first unit of a thread's share."""
    f = module.function("share", ("i32",) * 3, ("i32",))
    work, thread, threads = f.params
    f.get(work).op("i64.extend_i32_u").get(thread).op("i64.extend_i32_u").op("i64.mul")
    f.get(threads).op("i64.extend_i32_u").op("i64.div_u").op("i32.wrap_i64")


def _emit_barrier(module: Module) -> None:
    """barrier(target): come, then wait until ARRIVED has come to `target`; not 0: give up.

    Nobody can miss the wake-up: who goes to sleep says so first, and the engine lets nobody sleep
    whose counter has moved on; who comes last moves the counter first, and then looks for sleepers.
    """
    f = module.function("barrier", ("i32",), ("i32",))
    (target,) = f.params
    left, seen, result = f.locals(3, "i32")
    f.i32(0).i32(1).op("i32.atomic.rmw.add", ARRIVED).i32(1).op("i32.add")
    f.get(target).op("i32.eq")
    with f.if_():
        f.i32(0).op("i32.atomic.load", SLEEPING)
        with f.if_():
            _wake(f)
        f.i32(0).return_()
    f.i32(SPINS).set(left)
    with f.loop() as again:
        _return_if_here(f, target)
        f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
    f.i32(0).i32(1).op("i32.atomic.rmw.add", SLEEPING).drop()
    f.i32(PATIENCE).op("i32.load").set(left)
    with f.block() as done:
        with f.loop() as again:
            f.i32(0).op("i32.atomic.load", ARRIVED).tee(seen)
            f.get(target).op("i32.sub").i32(0).op("i32.ge_s").br_if(done)
            f.i32(0).op("i32.atomic.load", STOP).tee(result).br_if(done)
            f.i32(0).get(seen).i32(WAIT_NS).op("i64.extend_i32_s")
            f.op("memory.atomic.wait32", ARRIVED).i32(2).op("i32.ne")  # 2: timed out
            with f.if_():
                f.i32(PATIENCE).op("i32.load").set(left).br(again)  # there was news
            f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        # Somebody does not come any more. Nobody else shall wait for him.
        f.i32(1).set(result)
        f.i32(0).i32(1).op("i32.atomic.store", STOP)
        _wake(f)
    f.i32(0).i32(1).op("i32.atomic.rmw.sub", SLEEPING).drop()
    f.get(result)


def _return_if_here(f: Function, target: Local) -> None:
    f.i32(0).op("i32.atomic.load", ARRIVED).get(target).op("i32.sub").i32(0).op("i32.ge_s")
    with f.if_():
        f.i32(0).return_()


def _wake(f: Function) -> None:
    f.i32(0).i32(-1).op("memory.atomic.notify", ARRIVED).drop()
