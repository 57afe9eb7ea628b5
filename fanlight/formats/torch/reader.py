"""A program of torch.export -> a graph. Images stay NCHW outside; convolutions turn them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.formats import pairs
from fanlight.formats.counts import Bounded, Count, Named, first, parts
from fanlight.formats.emitter import Emitter, Tensor, dtype_of
from fanlight.formats.inventory import Inventory, listed
from fanlight.formats.names import output_names, tally
from fanlight.formats.pairs import Pair, is_tensor
from fanlight.formats.random_weights import random_array
from fanlight.formats.source import Options, Port, Source, check_options, static_shape
from fanlight.formats.torch import complex as complexes
from fanlight.formats.torch import (  # noqa: F401  (fill the table)
    counted,
    counted_moves,
    counted_places,
    drawn,
    elementwise,
    fourier,
    images,
    indexing,
    memory,
    neural,
    rare,
    recurrent,
    selection,
    shaping,
    strided,
    unbacked,
    windows,
)
from fanlight.formats.torch.archive import open_archive
from fanlight.formats.torch.call import HANDLERS, Call, handler_of, written_as
from fanlight.formats.torch.complex import real_parts
from fanlight.formats.torch.memory import Alias, Storage
from fanlight.formats.torch.program import Body, Graph, Meta, Node, Program, Ref, parse_program
from fanlight.formats.torch.symbols import SIZE_FUNCTIONS, is_size, size_of
from fanlight.formats.unread import Unread, in_front
from fanlight.graph import Builder, Value
from fanlight.graph.subgraph import Subgraph

COND = "higher_order.cond"
Fetch = Callable[[str, str], np.ndarray]


def read_pt2(path: Path, options: Options) -> Source:
    """Import a .pt2 file of torch.export.save, without torch.

    Raises:
        FanlightError: E-FORMAT-020 broken or hostile archive, E-FORMAT-008 pickled tensors,
            E-FORMAT-013 with every unsupported op at once, and the other codes.
    """
    with open_archive(path) as archive:
        program = parse_program(archive.model(), str(path))
        forget = archive.mapped.forget
        return import_program(program, archive.tensor, options, path.stem, str(path), forget)


def import_program(
    program: Program,
    fetch: Fetch,
    options: Options,
    name: str,
    where: str,
    forget: Callable[[np.ndarray], None] | None = None,
) -> Source:
    """The graph of a program; fetch(fqn, "weights" or "constants") gives its tensors.

    Args:
        forget: gives back the memory of a tensor that was used.
    """
    if not options.readable:
        _refuse_unsupported(program, where)
    run = _Import(program, fetch, options, name, where)
    if forget is not None:
        run.em.forget = forget
    return run.run()


def ops_of(path: Path, options: Options) -> Inventory:
    """The operators of a .pt2 file, those of its branches and bodies, too."""
    with open_archive(path) as archive:
        return inventory(parse_program(archive.model(), str(path)).graph)


def inventory(graph: Graph) -> Inventory:
    """The operators of a graph, those of its branches and bodies, too."""
    return _inventory(graph.nodes)


def _inventory(nodes: Sequence[Node]) -> Inventory:
    found: list[tuple[str, str]] = []

    def look(nodes: Sequence[Node]) -> None:
        for node in nodes:
            found.append((node.target, node.name))
            for value in node.args.values():
                if isinstance(value, Body):
                    look(value.graph.nodes)

    look(nodes)
    return listed(
        found, lambda target: target in SIZE_FUNCTIONS or target == COND or handler_of(target)
    )


def _used(value: Any) -> list[str]:
    """The results that an argument refers to."""
    if isinstance(value, list):
        return [name for one in value for name in _used(one)]
    return [value.name] if isinstance(value, Ref) else []


def _inputs(node: Node) -> list[str]:
    return _used(list(node.args.values()))


def _outputs(node: Node) -> list[str]:
    return [name for name in node.outputs if name is not None]


def _refuse_unsupported(program: Program, where: str) -> None:
    unknown = inventory(program.graph).unknown
    if unknown:
        rows = ((not _inventory([n]).unknown, _inputs(n), _outputs(n)) for n in program.graph.nodes)
        front = in_front(program.inputs, rows)
        raise FanlightError(
            "E-FORMAT-013",
            f"the program uses {len(unknown)} operator{'s' if len(unknown) > 1 else ''} "
            "that Fanlight does not have.",
            where=where,
            expected=f"some of the {len(HANDLERS)} operators that docs/formats.md lists",
            received=tally(unknown),
            next="try program.run_decompositions() before saving, which writes operators as "
            f"simpler ones; or {front}export the part of the model before them; or ask for them "
            "in an issue.",
        )


class _Import:
    """One import: nodes in order, each turned into ops, known arrays or sizes."""

    def __init__(
        self, program: Program, fetch: Fetch, options: Options, name: str, where: str
    ) -> None:
        self.program = program
        self.fetch = fetch
        self.options = options
        self.where = where
        self.builder = Builder(name)
        self.em = Emitter(self.builder, options.sketch)
        self.env: dict[str, Any] = {}
        self.symbols: dict[str, int] = {}
        self.ports: list[Port] = []
        self.warnings: list[str] = []
        # Buffers and inputs that a run of the program changes.
        self.changes = list(program.changes)
        self.unread = Unread() if options.readable else None
        self.stopped = False  # whether nothing more is read

    def run(self) -> Source:
        metas = self.program.graph.metas
        declared: dict[str, Any] = {}
        for name in self.program.inputs:
            if name not in metas:
                continue  # a size: it is what the tensors say
            declared[name] = tuple(
                d if isinstance(d, int) else None for d in metas[name].outer_sizes
            )
        # `size` speaks of pictures whose channels come last; here they come first.
        last = {n: (*d[:1], *d[2:], d[1]) if len(d) == 4 else d for n, d in declared.items()}
        check_options(self.options, last, self.where)
        for name in declared:
            self._input(name, metas[name])
        for name in self.program.inputs:
            self.env.setdefault(name, self.symbols.get(name, 1))
        self.env.update(self.program.constants)
        for name, (kind, fqn) in self.program.held.items():
            array = self._held(name, kind, fqn)
            is_complex = array.dtype.kind == "c"
            held: Any = (pairs.known if is_complex else Emitter.named)(self.em, array, fqn)
            self.env[name] = Alias(held, Storage(fqn))
        self.nodes(self.program.graph, self.env)
        return self._finish()

    def _input(self, name: str, meta: Meta) -> None:
        where = f"input {name!r} of {self.where}"
        dims: list[int | None] = []
        sizes = meta.outer_sizes
        for d in sizes:
            known = d if isinstance(d, int) else self.symbols.get(d)
            # The leading dim of each input is its batch, even where another has it already.
            dims.append(None if not dims and isinstance(d, str) and known in (None, 1) else known)
        if len(dims) == 4 and self.options.size is not None:
            dims[2:] = [
                s if d is None else d for d, s in zip(dims[2:], self.options.size, strict=True)
            ]
        plain = Options(None, self.options.input_shapes, self.options.weights)
        # Not (free, free, channels): torch has no pictures without a batch in that order.
        lone = (
            len(dims) == 3
            and dims[0] is None
            and dims[1] is None
            and name not in plain.input_shapes
        )
        if lone:
            static_shape(name, [1, *dims[1:]], plain, where)
        shape, batched = static_shape(name, dims, plain, where)
        for d, s in zip(sizes, shape, strict=True):
            if not isinstance(d, str):
                continue
            if re.fullmatch(r"\w+", d):
                if self.symbols.setdefault(d, s) != s:
                    raise FanlightError(
                        "E-FORMAT-018",
                        f"the inputs give the size {d} more than one value.",
                        where=where,
                        expected=self.symbols[d],
                        received=s,
                        next="they have one size in the program: give the same number.",
                    )
                low, high = self.program.ranges.get(d, (0, None))
                if s > 1 and (s < low or (high is not None and s > high)):
                    raise FanlightError(
                        "E-FORMAT-018",
                        f"input {name!r} has a size that the program was not exported for.",
                        where=where,
                        expected=f"{low} to {high}",
                        received=s,
                        next="give a size in that range, or export again: torch.export.Dim.",
                    )
        if meta.dtype is None:
            raise FanlightError(
                "E-FORMAT-008",
                "an input has a dtype that browsers lack.",
                where=where,
                expected="floats, whole numbers, bool or complex numbers",
                received="64 bits without sign, or floats of 8 bits",
            )
        is_complex = meta.dtype == COMPLEX
        value = self.builder.input(name, shape, "float32" if is_complex else meta.dtype)
        given: Any = value
        if is_complex:
            given = pairs.split(self.em, value, name)
            self.warnings.append(pairs.told("input", name))
        self.env[name] = Alias(given, Storage(name))
        self.ports.append(Port(value.name, name, batched))

    def _held(self, name: str, kind: str, fqn: str) -> np.ndarray:
        if self.options.weights == "random" and kind == "weights":
            meta = self.program.graph.metas.get(name)
            sizes = meta.sizes if meta else ()
            if meta and meta.dtype == "float32" and all(isinstance(d, int) for d in sizes):
                return random_array(fqn, tuple(int(d) for d in sizes))
        return self.fetch(fqn, kind)

    # --- nodes ------------------------------------------------------------------------------------

    def nodes(self, graph: Graph, env: dict[str, Any]) -> None:
        """Compute a graph's nodes in an environment of names."""
        for node in graph.nodes:
            if self.unread is not None and env is self.env:
                results = self._read(node, graph, self.unread)
            else:
                results = self._computed(node, graph, env)
            for key, result in zip(node.outputs, results, strict=False):
                if key is not None:
                    env[key] = result
                    if env is self.env:
                        self.em.result(key, result.value if isinstance(result, Alias) else result)

    def _read(self, node: Node, graph: Graph, unread: Unread) -> list[Any]:
        """A node's results; none if it is left out, for it cannot be read."""
        if not self.stopped and unread.names.isdisjoint(_inputs(node)):
            try:
                if _inventory([node]).unknown:
                    raise FanlightError(
                        "E-FORMAT-013",
                        "the program has an operator that Fanlight does not have.",
                        where=node.where,
                        expected="the operators that docs/formats.md lists",
                        received=node.target[:80],
                    )
                return self._computed(node, graph, self.env)
            except FanlightError as error:
                unread.fail(error)
        unread.lose([node.name, *_outputs(node)], _inputs(node))
        # It may have written into memory that later nodes read.
        writes = written_as(node.target) is not None or node.target.endswith("out")
        self.stopped = self.stopped or writes or not node.target.startswith("aten.")
        return []

    def _computed(self, node: Node, graph: Graph, env: Mapping[str, Any]) -> list[Any]:
        args = {k: self.resolve(v, env, node) for k, v in node.args.items()}
        if unbacked.concerns(node.target, args):
            return [unbacked.computed(self._call(node, real_parts(args), graph))]
        if is_size(node.target, args):
            made: Any = SIZE_FUNCTIONS[node.target](self._call(node, real_parts(args), graph))
            return list(made) if isinstance(made, list | tuple) else [made]
        return self._remembered(node, args, graph, env)

    def _ends(self) -> list[tuple[Any, str | None]]:
        """The outputs and their names; where some are not read, what is read last, too."""
        outputs, given = self.program.outputs, self.program.names
        if len(given) != len(outputs):
            given = (None,) * len(outputs)
        ends = list(zip(outputs, given, strict=True))
        if self.unread is None:
            return ends
        lost = self.unread.names
        ends = [(output, name) for output, name in ends if lost.isdisjoint(_used(output))]
        for name in self.unread.last:
            found = self.env.get(name)
            value = found.value if isinstance(found, Alias) else None
            if isinstance(value, Value):
                # One that was written into later is another than what its node has made.
                made = self.em.results.get(name) == value.name
                ends.append((Ref(name), name if made else f"{name}/written"))
        return ends

    def _remembered(
        self, node: Node, args: dict[str, Any], graph: Graph, env: Mapping[str, Any]
    ) -> list[Any]:
        """A node's results, with the memory that they share with its arguments."""
        results = self._node(node, args, graph)
        call = self._call(node, real_parts(args), graph)
        first = next(iter(node.args), "")
        given = node.args.get(first)
        parent = env.get(given.name) if isinstance(given, Ref) else None
        parent = parent if isinstance(parent, Alias) else None
        name = memory.name_of(node.target)
        if parent is not None and written_as(node.target) and name not in memory.VIEWS:
            value = counted.fitting(call, results, parent.value)
            of = parent.write(value, node.where)
            if of is not None and of not in self.changes:
                self.changes.append(of)
            return [parent, *map(self._own, results[1:])]
        if name not in memory.VIEWS:
            return [self._own(r) for r in results]
        if counted.concerns([*args.values(), *results]):
            # How a part of a counted size lies in the other's memory is not followed.
            return [memory.doubted(r, [] if parent is None else [parent]) for r in results]
        meta = graph.metas.get(given.name) if isinstance(given, Ref) else None
        shared = memory.shares(call, meta, call.metas[0] if call.metas else None)
        if shared is False:
            return [self._own(r) for r in results]
        if shared is None or parent is None:
            uses = given if isinstance(given, list) else [given]
            names = [r.name for r in uses if isinstance(r, Ref)]
            others = [a for a in map(env.get, names) if isinstance(a, Alias)]
            return [memory.doubted(r, others) for r in results]

        def again(index: int) -> Callable[[Tensor], Tensor]:
            return lambda base: self._node(node, {**args, first: base}, graph)[index]

        return [memory.view(call, parent, i, r, again(i)) for i, r in enumerate(results)]

    def _own(self, result: Any) -> Any:
        """A result with memory of its own."""
        owned = is_tensor(result) or isinstance(result, Bounded)
        return Alias(result, Storage()) if owned else result

    def _call(self, node: Node, args: dict[str, Any], graph: Graph) -> Call:
        metas = [graph.metas.get(o) if o else None for o in node.outputs]
        used = [o in graph.used for o in node.outputs]
        limits = {}
        for index, name in enumerate(node.outputs):
            meta = metas[index]
            sizes = [d for d in meta.sizes if isinstance(d, str)] if meta else []
            symbol = sizes[0] if len(sizes) == 1 else graph.sizes.get(name or "", "")
            if symbol in self.program.ranges:
                limits[index] = self.program.ranges[symbol]
        source = next(iter(node.args.values()), None)
        given = graph.metas.get(source.name) if isinstance(source, Ref) else None
        return Call(node, self.em, args, metas, self.warnings, used, limits, given)

    def _node(self, node: Node, args: dict[str, Any], graph: Graph) -> list[Any]:
        call = self._call(node, dict(args), graph)
        handler = self.cond if node.target == COND else handler_of(node.target)
        if handler is None:  # a size function whose argument is a tensor
            raise call.depends("an argument")
        try:
            if node.target != COND and (
                counted.concerns(list(args.values())) or counted_places.indexed_by_mask(call)
            ):
                made = counted.handle(call, handler)
            else:
                made = complexes.imported(call, handler)
        except FanlightError as error:
            if error.code.startswith(("E-OP-", "E-TENSOR-")):
                error.where = f"{call.where}: {error.where}"
            raise
        results = list(made) if isinstance(made, list | tuple) else [made]
        if any(call.needs(i) for i in range(len(results), len(node.outputs))):
            raise call.refuse(
                "not all of its results are supported",
                expected=f"a program that uses the first {len(results)} alone",
                received=f"uses of {len(node.outputs)}",
            )
        return [self._checked(call, r, i) for i, r in enumerate(results)]

    def cond(self, call: Call) -> list[Tensor]:
        """torch.cond: one of two graphs, by a number of the model; a known one is taken at once."""
        pred, *branches, operands = (call.get(str(i)) for i in range(4))
        if (
            not isinstance(pred, Value | np.ndarray)
            or math.prod(pred.shape) != 1
            or not all(isinstance(b, Body) for b in branches)
            or not isinstance(operands, list)
        ):
            raise call.refuse("its arguments are not those of torch.cond")
        pred = call.em.reshape(call.cast(pred, "bool", "decision"), (), call.name("decision"))
        bodies: list[Graph] = [b.graph for b in branches]
        if isinstance(pred, np.ndarray):
            return self._results(bodies[0 if pred else 1], operands, call)
        # Numbers and sizes are known inside, too; tensors are passed.
        given = counted.opened(call, operands)
        tensors = [x for x in given if isinstance(x, Value | np.ndarray)]
        first, second = (self._subgraph(b, operands, call, i) for i, b in enumerate(bodies))
        if first.results != second.results:
            raise call.refuse(
                "the branches give different types",
                expected=", ".join(map(str, first.results)),
                received=", ".join(map(str, second.results)),
            )
        made = call.op("cond", pred, *tensors, true_fn=first, false_fn=second)
        return list(made) if isinstance(made, tuple) else [made]

    def _results(self, graph: Graph, given: list[Any], call: Call) -> list[Tensor]:
        """What a graph gives of some arguments."""
        if len(graph.inputs) != len(given):
            raise call.refuse("a branch does not fit", expected=len(given), received="others")
        env = {
            name.name: self._own(x)
            for name, x in zip(graph.inputs, given, strict=True)
            if isinstance(name, Ref)
        }
        self.nodes(graph, env)
        results = [self.resolve(o, env, call.node) for o in graph.outputs]
        if not all(isinstance(r, Value | np.ndarray) for r in results):
            raise call.refuse("a branch gives something else than tensors")
        return results

    def _subgraph(self, graph: Graph, given: list[Any], call: Call, number: int) -> Subgraph:
        builder = Builder(f"{call.name()}/branch{number}")
        outer, self.em = self.em, Emitter(builder, budget=self.em.budget)
        inputs: list[Value] = []
        try:
            flat = counted.opened(call, given)
            inside = list(flat)
            for i, x in enumerate(flat):
                if isinstance(x, Value | np.ndarray):
                    inside[i] = builder.input(f"x{i}", tuple(x.shape), dtype_of(x))
                    inputs.append(inside[i])
            outputs: dict[str, Value] = {}
            for i, x in enumerate(self._results(graph, counted.closed(inside, given), call)):
                value = self.em.value(x)
                # It gives neither an input, a weight nor anything twice: a copy of it.
                if isinstance(x, np.ndarray) or value in inputs or value in outputs.values():
                    made: Any = builder.add("reshape", value, name=f"copy{i}", shape=value.shape)
                    value = made
                outputs[f"y{i}"] = value
            return Subgraph(builder.finish(outputs))
        finally:
            self.em = outer

    def _checked(self, call: Call, result: Any, index: int, counted_axis: int | None = None) -> Any:
        """A result in the dtype that the program declares; E-FORMAT-016 for another shape."""
        meta = call.metas[index] if index < len(call.metas) else None
        if meta is not None and isinstance(result, Bounded):
            size = meta.sizes[result.axis] if result.axis < len(meta.sizes) else None
            known = size_of(size, self.symbols) if size is not None else None
            plain = self._checked(call, result.tensor, index, result.axis)
            if known is not None and known <= plain.shape[result.axis]:
                return first(unbacked.Labelled(call), plain, result.axis, known)
            return replace(result, tensor=plain)
        if meta is None or not is_tensor(result):
            return result
        if isinstance(result, Pair) != (meta.dtype == COMPLEX):
            raise FanlightError(
                "E-FORMAT-016",
                "a result is not of the dtype that the program says.",
                where=call.where,
                expected=meta.dtype,
                received=COMPLEX if isinstance(result, Pair) else dtype_of(result),
                next="save the program again; if it is fresh, please report it with the file.",
            )
        if (
            not isinstance(result, Pair)
            and meta.dtype is not None
            and dtype_of(result) != meta.dtype
        ):
            result = call.cast(result, meta.dtype, "result")
        wanted = [size_of(d, self.symbols) for d in meta.sizes]
        if len(wanted) != len(result.shape) or any(
            w is not None and w != d and axis != counted_axis
            for axis, (w, d) in enumerate(zip(wanted, result.shape, strict=True))
        ):
            raise FanlightError(
                "E-FORMAT-016",
                "a result has not the shape that the program says.",
                where=call.where,
                expected=[d if w is None else w for d, w in zip(meta.sizes, wanted, strict=True)],
                received=list(result.shape),
                next="save the program again; if it is fresh, please report it with the file.",
            )
        return result

    def resolve(self, value: Any, env: Mapping[str, Any], node: Node | None = None) -> Any:
        """An argument with its Refs replaced by what they are."""
        if isinstance(value, list):
            return [self.resolve(v, env, node) for v in value]
        if not isinstance(value, Ref):
            return value
        if value.name not in env:
            raise FanlightError(
                "E-FORMAT-016",
                "a node uses a result that does not come before it.",
                where=node.where if node else self.where,
                expected="names of inputs and earlier results",
                received=value.name[:120],
            )
        found = env[value.name]
        if isinstance(found, Alias):
            return found.read(node.where if node else self.where)
        return found

    def _tell_changes(self) -> None:
        if self.changes:
            names = ", ".join(self.changes[:6]) + (", ..." if len(self.changes) > 6 else "")
            self.warnings.insert(
                0,
                f"{self.where}: each run of the program would change {names}. That is left out: "
                "every run begins with the numbers of the file. Statistics and counters of "
                "training go away with model.eval() before torch.export.export; a state that has "
                "to last is made an input and an output.",
            )

    def _finish(self) -> Source:
        self._tell_changes()
        results: list[tuple[str, Any]] = []
        for output, name in self._ends():
            made = self.resolve(output, self.env)
            if isinstance(made, Pair | Count | Bounded | Value | np.ndarray):
                results.append((str(name or getattr(output, "name", "")), made))
        if not results:
            raise FanlightError(
                "E-FORMAT-005",
                "the program gives no tensor.",
                where=self.where,
                expected="at least one tensor as result",
                received=repr(self.program.outputs)[:80],
            )
        names = output_names([n for n, _ in results], [p.name for p in self.ports])
        taken = [*names, *(p.name for p in self.ports)]
        batch = any(p.batched for p in self.ports)
        values: dict[str, Value] = {}
        ports: list[Port] = []
        for name, (source, made) in zip(names, results, strict=True):
            if isinstance(made, Pair):
                made = pairs.joined(self.em, made, f"{name}/pairs")
                self.warnings.append(pairs.told("output", name))
            if isinstance(made, Count):
                made = made.value(Named(self.em, name))
            whole = not (isinstance(made, Bounded) and made.axis == 0)
            for label, tensor in parts(self.em, name, made, self.warnings, taken):
                values[label] = self.em.value(tensor, label)
                batched = batch and whole and tuple(tensor.shape[:1]) == (1,)
                ports.append(Port(label, source if label == name else f"{source}_count", batched))
        return Source(
            graph=self.builder.finish(values),
            format="torch",
            inputs=tuple(self.ports),
            outputs=tuple(ports),
            warnings=tuple(dict.fromkeys(self.warnings)),
            metadata={"torch_version": self.program.torch_version},
            results=self.em.results,
            unread=self.unread,
        )
