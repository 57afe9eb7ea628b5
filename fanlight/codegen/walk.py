"""The function `run` of a module: it walks the steps of a plan.

The control block, in low memory, is what a host tells `run` beside its arguments:

    CHOICES   bit i set: steps whose kernel has the module's choice i compute it by that twin

Nothing is set when memory is new, and then every step uses its own kernel.
"""

from __future__ import annotations

from fanlight.codegen.kernel import Kernel
from fanlight.codegen.plan import Plan, Step
from fanlight.codegen.wasm.assembler import Function
from fanlight.codegen.wasm.module import Module
from fanlight.errors import FanlightError
from fanlight.targets import Target

CHOICES = 256  # address of an i32
MAX_CHOICES = 32


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


def emit(plan: Plan, target: Target) -> bytes:
    """The module for one of the plan's targets.

    It exports `run(first, last, thread, threads)`: steps first .. last - 1, each over its share
    of the work. One target without threads always does all of it.
    """
    which = plan.targets.index(target)
    bits = choices(plan, target)
    module = Module(plan.pages, relaxed_simd=target.relaxed_simd)
    # Base kernels first, then all twins: what is used lies together.
    kernels = [s.kernels[which] for s in plan.steps]
    functions = {k.key: module.define(k.key, k.emit) for k in kernels}
    twins = [t for k in kernels for t in k.twins.values()]
    functions |= {t.key: module.define(t.key, t.emit) for t in twins}
    run = module.function("run", ("i32",) * 4, export=True)
    first, last, _, _ = run.params
    # Each step asks whether it is in [first, last), so that one call runs the whole net and one
    # kernel can be timed alone. (k - first) < (last - first), unsigned, says both at once.
    count, chosen = run.locals(2, "i32")
    run.get(last).get(first).op("i32.sub").set(count)
    if bits:
        run.i32(CHOICES).op("i32.load").set(chosen)
    for index, (step, kernel) in enumerate(zip(plan.steps, kernels, strict=True)):
        run.i32(index).get(first).op("i32.sub").get(count).op("i32.lt_u")
        with run.if_(), run.block() as done:
            for name in sorted(kernel.twins, key=bits.__getitem__):
                run.get(chosen).i32(1 << bits[name]).op("i32.and")
                with run.if_():
                    _call(run, step, kernel.twins[name], functions)
                    run.br(done)
            _call(run, step, kernel, functions)
    return module.encode()


def _call(run: Function, step: Step, kernel: Kernel, functions: dict[str, str]) -> None:
    """All of one kernel's work."""
    for pointer in step.pointers(kernel):
        run.i32(pointer)
    run.i32(0).i32(kernel.work).call(functions[kernel.key])
