"""`python -m bench ops`: every op of the table against the memory and the multiply-adds.

Each op runs as `fl.jit` and `fl.build` compile it, alone, on one thread, in Chromium and in
wasmtime, at two sizes: out of every cache and within the second one. Its bound is the larger of two
times: its bytes, each input and output once, at the rate at which WebAssembly reads or copies a set
of that size; and its instructions at the rate of multiply-adds on registers. Both rates are
measured in the same rounds as the ops and in the same engine.

What counts as instructions: of a kernel that declares its operations (products, pools, transforms),
half of those, four lanes at a time, for a multiply-add is two; of a loop over an expression, the
arithmetic instructions that the expression became, those of its approximations of exp and log
among them, but no loads, stores, constants or pointers.

`python -m bench.ops FILE` also writes the tables into FILE, between its two marks.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.lab import HERE, Engine, chromium, open_page, serve
from bench.op_cases import LEFT_OUT, WHY, Case, cases
from fanlight import dtypes
from fanlight.codegen.plan import WEIGHTS_OFFSET, Plan, Step, make_plan
from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.kernels.loop_ir import Nest
from fanlight.codegen.wasm.kernels.loops import nests
from fanlight.codegen.wasm.module import Module
from fanlight.codegen.wasm.probes import FLOPS_PER_ITERATION, peak_module, traffic_module
from fanlight.graph import Builder, Graph
from fanlight.hosts.wasmtime import engine as wasm_engine
from fanlight.ops.row import lookup
from fanlight.passes import optimize
from fanlight.targets import WASM_RELAXED, Target

SIZES = {"memory": (2048, 2048), "cache": (128, 256)}
GOAL = 1 / 3
SETS = (64 << 10, 128 << 10, 256 << 10, 384 << 10, 1 << 20, 4 << 20, 32 << 20)
LEAST = 2e-3  # seconds of a measurement: short ops run several times in it
ITERATIONS = 1 << 15
MOVED = 8 << 20  # bytes per measurement of a rate, or the whole set if that is larger
TRIES = 3
GROUP = 16  # cases at a time: each holds a memory
BEGIN, END = "<!-- bench ops: begin -->\n", "<!-- bench ops: end -->\n"


# --- engines --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """A module, and what lies in its memory before the first call."""

    name: str
    code: bytes
    pages: int
    image: np.ndarray


class Runner(Protocol):
    """Runs exports of modules that were loaded."""

    def load(self, module: Loaded) -> None: ...
    def best(self, name: str, export: str, *args: float) -> float: ...
    def forget(self, name: str) -> None: ...


class Wasmtime:
    """In this process."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Any, Any]] = {}

    def load(self, module: Loaded) -> None:
        import wasmtime

        store = wasmtime.Store(wasm_engine())
        limits = wasmtime.Limits(module.pages, module.pages)
        memory = wasmtime.Memory(store, wasmtime.MemoryType(limits))
        compiled = wasmtime.Module(wasm_engine(), module.code)
        exports = wasmtime.Instance(store, compiled, [memory]).exports(store)
        pointer = memory.data_ptr(store)
        whole = np.ctypeslib.as_array(pointer, (memory.data_len(store),))
        whole[: module.image.size] = module.image
        self._open[module.name] = store, exports

    def best(self, name: str, export: str, *args: float) -> float:
        """Seconds of this thread: what it waits for a processor is not counted."""
        store, exports = self._open[name]
        found = []
        for _ in range(TRIES):
            start = time.thread_time()
            exports[export](store, *args)
            found.append(time.thread_time() - start)
        return min(found)

    def forget(self, name: str) -> None:
        store, _ = self._open.pop(name)
        store.close()


class Chromium:
    """In a page. Where the system tells how long its thread ran, that is the time taken."""

    def __init__(self, page: Any, folder: Path) -> None:
        self._page = page
        self._folder = folder
        page.evaluate("spin(300)")
        before = {pid: _thread_seconds(pid) for pid in _renderers()}
        page.evaluate("spin(300)")
        ran = {pid: _thread_seconds(pid) - t for pid, t in before.items()}
        self._pid = max(ran, key=lambda pid: ran[pid]) if any(ran.values()) else None
        self._idle = 0.0
        if self._pid is not None:
            self._idle = statistics.median(self._ran("spin(0)", None) for _ in range(20))

    def load(self, module: Loaded) -> None:
        (self._folder / f"{module.name}.wasm").write_bytes(module.code)
        (self._folder / f"{module.name}.bin").write_bytes(module.image.tobytes())
        self._page.evaluate("([name, pages]) => load(name, pages)", [module.name, module.pages])

    def best(self, name: str, export: str, *args: float) -> float:
        call = "([name, call, args, tries]) => best(name, call, args, tries)"
        if self._pid is None:
            return float(self._page.evaluate(call, [name, export, list(args), TRIES])) / 1e3
        found = [self._ran(call, [name, export, list(args), 1]) for _ in range(TRIES)]
        return max(min(found) - self._idle, 1e-7)

    def _ran(self, call: str, argument: Any) -> float:
        """Seconds that the page's thread ran."""
        assert self._pid is not None
        before = _thread_seconds(self._pid)
        self._page.evaluate(call, argument)
        return _thread_seconds(self._pid) - before

    def forget(self, name: str) -> None:
        self._page.evaluate("(name) => forget(name)", name)
        for kind in ("wasm", "bin"):
            (self._folder / f"{name}.{kind}").unlink()


def _renderers() -> list[int]:
    """Processes of pages among the descendants of this one (Linux; elsewhere none)."""
    parents: dict[int, int] = {}
    pages: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            pid = int(folder.name)
            parents[pid] = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            if "--type=renderer" in folder.joinpath("cmdline").read_text():
                pages.append(pid)
        except OSError:
            continue  # it has ended

    def is_ours(pid: int) -> bool:
        while pid in parents and pid != os.getpid():
            pid = parents[pid]
        return pid == os.getpid()

    return [pid for pid in pages if is_ours(pid)]


def _thread_seconds(pid: int) -> float:
    """How long the main thread of a process has run."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


@contextmanager
def runners() -> Iterator[dict[str, Runner]]:
    """Chromium and wasmtime."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mounts = {"pages": HERE / "pages", "work": folder}
        base = stack.enter_context(serve(mounts, isolated=True))
        page = open_page(stack.enter_context(chromium()), base, Engine("ops", "ops", {}))
        yield {"Chromium": Chromium(page, folder), "wasmtime": Wasmtime()}


# --- what the machine can do ----------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """Multiply-adds a second (as two operations each), and bytes a second by size of set."""

    flops: float
    read: dict[int, float]
    copy: dict[int, float]

    def seconds(self, read: int, written: int) -> float:
        """The least that moving these bytes takes."""
        paired = 2 * min(read, written)
        # What only writes goes at the rate of copying, too: lines are fetched before.
        alone = self.read if read > written else self.copy
        size = read + written
        return paired / _rate(self.copy, size) + (size - paired) / _rate(alone, size)


def _rate(rates: dict[int, float], size: float) -> float:
    """Interpolated over the logarithm of the size."""
    return float(np.interp(np.log(max(size, 1)), np.log(list(rates)), list(rates.values())))


def load_limits(runner: Runner) -> None:
    """Load the modules that `limits` calls."""
    pages = max(SETS) >> 16
    nothing = np.zeros(0, np.uint8)
    runner.load(Loaded("peak", peak_module(True), 1, nothing))
    runner.load(Loaded("traffic", traffic_module(pages), pages, np.ones(max(SETS), np.uint8)))


def limits(runner: Runner) -> Machine:
    """One round."""
    peak = runner.best("peak", "peak", ITERATIONS, 1.0, 0.0)
    rates: list[dict[int, float]] = []
    for name in ("read", "copy"):
        times = {size: max(1, MOVED // size) for size in SETS}
        rates.append({s: s * n / runner.best("traffic", name, s, n) for s, n in times.items()})
    return Machine(ITERATIONS * FLOPS_PER_ITERATION / peak, *rates)


# --- the ops --------------------------------------------------------------------------------------


class Subject:
    """One case, compiled."""

    def __init__(self, name: str, case: Case, target: Target = WASM_RELAXED) -> None:
        self.case = case
        arrays = case.make()
        plan = make_plan(optimize(_graph(case, arrays), target), (target,))
        self.module = Loaded(name, _repeated(plan, target), plan.pages, _image(plan, case, arrays))
        self.read = sum(a.nbytes for a in arrays)
        self.written = sum(v.type.nbytes for _, v in plan.graph.outputs)
        if case.op in ("slice", "strided_slice", "gather"):
            self.read = min(self.read, self.written)
        if case.op.startswith("resize") and case.attrs.get("method") != "antialias":
            self.read = min(self.read, 4 * self.written)
        self.flops = sum(map(_flops, plan.steps))
        self.times: dict[str, int] = {}
        # By engine, seconds: taken, for its bytes, for its multiply-adds.
        self.found: dict[str, list[tuple[float, float, float]]] = {}

    def load(self, engine: str, runner: Runner) -> None:
        """Load the module, and find out how often it runs per measurement."""
        runner.load(self.module)
        self.found[engine] = []
        runner.best(self.module.name, "repeat", 1)
        once = runner.best(self.module.name, "repeat", 1)
        least = LEAST if engine == "wasmtime" else 4 * LEAST  # a call into the page takes longer
        self.times[engine] = max(1, min(20000, round(least / max(once, 1e-6))))

    def measure(self, engine: str, runner: Runner, machine: Machine) -> None:
        """One round, with what the machine could do in the same round."""
        times = self.times[engine]
        taken = runner.best(self.module.name, "repeat", times) / times
        memory = machine.seconds(self.read, self.written)
        self.found[engine].append((taken, memory, self.flops / machine.flops))

    def row(self, where: str) -> dict[str, Any]:
        """The line of the table: medians of the rounds."""
        line: dict[str, Any] = {"op": self.case.op, "call": self.case.how, "in": where}
        for engine, rounds in self.found.items():
            memory, compute = (statistics.median(r[i] for r in rounds) for i in (1, 2))
            share = statistics.median(max(m, c) / t for t, m, c in rounds)
            line["bound"] = "memory" if memory >= compute else "FMA"
            line[f"{engine}, ms"] = statistics.median(r[0] for r in rounds) * 1e3
            line[f"{engine}, %"] = round(100 * share)
        line["ok"] = line["Chromium, %"] >= 100 * GOAL or None
        return line


def _graph(case: Case, arrays: Sequence[np.ndarray]) -> Graph:
    builder = Builder(case.op)
    inputs = [
        builder.weight(a)
        if i in case.constant
        else builder.input(f"x{i}", a.shape, dtypes.from_numpy(a.dtype) or "")
        for i, a in enumerate(arrays)
    ]
    made = builder.add(case.op, *inputs, **case.attrs)
    outputs = made if isinstance(made, tuple) else (made,)
    return builder.finish({f"y{i}": y for i, y in enumerate(outputs)})


def _image(plan: Plan, case: Case, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The memory up to the last weight or input."""
    ends = [plan.offsets[v] + v.type.nbytes for v in plan.graph.inputs if v in plan.offsets]
    image = np.zeros(max(WEIGHTS_OFFSET + plan.weight_bytes, *ends), np.uint8)
    weights = plan.weight_image()
    image[WEIGHTS_OFFSET : WEIGHTS_OFFSET + weights.size] = weights
    given = [a for i, a in enumerate(arrays) if i not in case.constant]
    for value, array in zip(plan.graph.inputs, given, strict=True):
        if value in plan.offsets:
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            image[plan.offsets[value] : plan.offsets[value] + data.size] = data
    return image


def _repeated(plan: Plan, target: Target) -> bytes:
    """A module whose `repeat(times)` runs all steps that often, in one call from outside."""
    module = Module(plan.pages, relaxed_simd=target.relaxed_simd)
    names = [module.define(s.kernels[0].key, s.kernels[0].emit) for s in plan.steps]
    f = module.function("repeat", ("i32",), export=True)
    (times,) = f.params
    with f.loop() as again:
        for step, name in zip(plan.steps, names, strict=True):
            kernel = step.kernels[0]
            for pointer in step.pointers(kernel):
                f.i32(pointer)
            f.i32(0).i32(kernel.work).call(name)
        f.get(times).i32(1).op("i32.sub").tee(times).br_if(again)
    return module.encode()


def _flops(step: Step) -> int:
    """Operations of a step, by the convention at the top of this file."""
    node = step.node
    row = lookup(node.op)
    if row.wasm != "loops":
        # Vectors of float64 hold half as many.
        return step.kernels[0].flops * (2 if row.family == "linalg" else 1)
    types = [v.type for v in node.inputs]
    return sum(map(_nest_flops, nests(node.op, types, node.outputs[0].type, node.attrs)))


def _nest_flops(nest: Nest) -> int:
    kinds = [a.dtype for a in nest.loads]
    count = scalar_code.instructions(nest.body, kinds)
    if nest.reduce is not None:
        count += scalar_code.instructions(nest.reduce.combine, [kinds[0]] * 2)
    # Bytes that stay bytes are sixteen to a vector: their bound is memory.
    narrow = all(a.width == 1 for a in nest.accesses)
    return 0 if narrow else 2 * count * nest.elements


def measure(rounds: int = 11, only: Sequence[str] = ()) -> list[dict[str, Any]]:
    """A row per case and size, the weakest first."""
    rows: list[dict[str, Any]] = []
    with runners() as engines:
        for runner in engines.values():
            load_limits(runner)
        for where, size in SIZES.items():
            wanted = [c for c in cases(*size) if not only or c.op in only]
            for first in range(0, len(wanted), GROUP):
                group = [Subject(f"s{i}", c) for i, c in enumerate(wanted[first : first + GROUP])]
                rows += _measured(group, engines, rounds, where)
    return sorted(rows, key=lambda row: row["Chromium, %"])


def _measured(
    group: Sequence[Subject], engines: dict[str, Runner], rounds: int, where: str
) -> list[dict[str, Any]]:
    for engine, runner in engines.items():
        for subject in group:
            subject.load(engine, runner)
        for _ in range(rounds):
            machine = limits(runner)
            for subject in group:
                subject.measure(engine, runner, machine)
        for subject in group:
            runner.forget(subject.module.name)
    return [subject.row(where) for subject in group]


# --- the tables of the documentation --------------------------------------------------------------


def section(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line per op, its weakest call in each column; then what is weak in both."""
    by_op: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_op.setdefault(row["op"], []).append(row)
    lines = [
        "| op | calls | bound | Chromium, memory | Chromium, cache | wasmtime, memory | cache |",
        "|---|---|---|---|---|---|---|",
    ]
    for op, own in sorted(by_op.items()):
        least = [
            min((r[f"{engine}, %"] for r in own if r["in"] == where), default=0)
            for engine in ("Chromium", "wasmtime")
            for where in SIZES
        ]
        bound = " or ".join(sorted({r["bound"] for r in own}, reverse=True))
        calls = len({r["call"] for r in own})
        lines.append(f"| {op} | {calls} | {bound} | {' | '.join(f'{s} %' for s in least)} |")
    under = {e: [r for r in rows if r[f"{e}, %"] < 100 * GOAL] for e in ("Chromium", "wasmtime")}
    weak = [r for r in under["Chromium"] if r in under["wasmtime"]]
    counts = ", ".join(f"{len(found)} in {engine}" for engine, found in under.items())
    lines += ["", f"Of {len(rows)} measurements under a third: {counts}, {len(weak)} in both:", ""]
    lines += [
        "| op | call | in | bound | Chromium | wasmtime | why |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in sorted(weak, key=lambda r: (r["op"], r["call"], r["in"])):
        shares = f"{r['Chromium, %']} % | {r['wasmtime, %']} %"
        why = WHY.get(r["op"], "")
        lines.append(f"| {r['op']} | {r['call']} | {r['in']} | {r['bound']} | {shares} | {why} |")
    lines += ["", "Not timed:", ""]
    reasons: dict[str, list[str]] = {}
    for op, why in LEFT_OUT.items():
        reasons.setdefault(why, []).append(op)
    lines += [f"- {', '.join(ops)}: {why}." for why, ops in reasons.items()]
    return "\n".join(lines) + "\n"


def write_into(path: Path, text: str) -> None:
    """Replace what stands between the marks."""
    before, _, rest = path.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    write_into(Path(sys.argv[1]), section(measure(int(sys.argv[2]) if sys.argv[2:] else 11)))
