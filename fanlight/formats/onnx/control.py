"""Importers of If, Loop and Scan, and of sequences, whose lengths are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.counts import Bounded, Named, as_tensor, bounded, count_of, counted
from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.call import Call, Given, importer
from fanlight.formats.onnx.protos import Graph
from fanlight.formats.onnx.scope import Body, Scope, taken_by
from fanlight.formats.wire import Message
from fanlight.graph import Value
from fanlight.ops.types import TensorType

# Turns that are written out one by one where nothing else will do.
_UNROLLED = 4096
# Turns from which on a loop of known length stays a loop.
_SHORT = 4
# Turns of a loop that numbers end, if it has a result for each.
_ROOM = 1 << 16


def _type(x: Tensor) -> TensorType:
    return TensorType(tuple(x.shape), dtype_of(x))


def _listed(made: Any) -> list[Tensor]:
    return list(made) if isinstance(made, tuple) else [made]


def _given(call: Call, found: Sequence[tuple[Given, int]]) -> tuple[Given, ...]:
    for i, (_, kind) in enumerate(found):
        call.made_kinds[i] = kind
    return tuple(x for x, _ in found)


@importer("If")
def if_(call: Call) -> tuple[Given, ...]:
    """One branch, where the condition is known; else a decision of the graph."""
    then, other = call.graph("then_branch"), call.graph("else_branch")
    condition = call.x()
    if isinstance(condition, np.ndarray):
        chosen = then if bool(condition.reshape(-1)[0]) else other
        return _given(call, call.scope.inlined(chosen, []))
    pred = call.reshape(call.cast(condition, "bool"), (), "pred")
    results: list[list[Given]] = []

    def kept(inner: Scope, inputs: list[Value], found: Any) -> Sequence[Tensor]:
        results.append([x for x, _ in found])
        return []

    bodies = [call.scope.body(g, [], f"{call.name}/{n}", kept) for g, n in
              ((then, "then"), (other, "else"))]  # fmt: skip
    axes = _agreed(call, bodies, results)
    first, second = ([v.type for v in b.outputs] for b in bodies)
    if first != second:
        raise call.refuse(
            "the branches give different types",
            expected=", ".join(map(str, first)),
            received=", ".join(map(str, second)),
        )
    taken = taken_by(*bodies)
    true_fn, false_fn = (b.finish(taken) for b in bodies)
    made = iter(_listed(call.op("cond", pred, *taken, true_fn=true_fn, false_fn=false_fn)))
    for i, kind in enumerate(bodies[0].kinds):
        call.made_kinds[i] = kind
    return tuple(_counted(next(made), axis, made) for axis in axes)


def _counted(tensor: Tensor, axis: int | None, rest: Iterator[Tensor]) -> Given:
    """A result whose count is the next one; the result itself if it has none."""
    if axis is None:
        return tensor
    return Bounded(tensor, axis, count_of(next(rest), tensor.shape[axis]))


def _agreed(call: Call, bodies: Sequence[Body], results: Sequence[list[Given]]) -> list[int | None]:
    """Outputs for both branches of one type: of what one of them counts, the greatest size and
    the count. Returns which dim of each result is counted.
    """
    if len(results[0]) != len(results[1]):
        raise call.refuse("the branches give different numbers of results",
                          expected=len(results[0]), received=len(results[1]))  # fmt: skip
    axes: list[int | None] = []
    for pair in zip(*results, strict=True):
        found = [x for x in pair if isinstance(x, Bounded)]
        axis = found[0].axis if found else None
        axes.append(axis)
        if axis is None:
            for body, x in zip(bodies, pair, strict=True):
                made = as_tensor(Named(body.em, call.name), x)
                if not isinstance(made, Value | np.ndarray):
                    raise call.refuse("a branch gives a sequence", expected="tensors")
                body.outputs.append(body.em.value(made))
            continue
        if any(isinstance(x, list | None) or x.shape[:axis] + x.shape[axis + 1 :]
               != found[0].shape[:axis] + found[0].shape[axis + 1 :] for x in pair):  # fmt: skip
            raise call.refuse("the branches give results that do not fit each other")
        if any(x.axis != axis for x in found):
            raise call.refuse("the branches count different dims")
        size = max(x.shape[axis] for x in pair)
        for body, x in zip(bodies, pair, strict=True):
            maker = Named(body.em, call.name)
            tensor = x.tensor if isinstance(x, Bounded) else as_tensor(maker, x)
            count = x.count if isinstance(x, Bounded) else counted(x.shape[axis])
            pads = tuple((0, size - n if a == axis else 0) for a, n in enumerate(x.shape))
            if size != x.shape[axis]:
                number: Any = 0.0 if dtype_of(tensor) == "float32" else 0
                tensor = maker.op("pad", tensor, part="filled", paddings=pads, value=number)
            body.outputs += [body.em.value(tensor), body.em.value(count.value(maker))]
    return axes


# --- Loop -----------------------------------------------------------------------------------------


@importer("Loop")
def loop(call: Call) -> tuple[Given, ...]:
    """Inputs: how often at most, whether to begin, what is carried."""
    body = call.graph("body")
    carried = [(x, call.kinds[i]) for i, x in enumerate(call.inputs) if i >= 2]
    count = len(carried)
    if len(body.inputs) != count + 2 or len(body.outputs) < count + 1:
        raise call.refuse("the body does not fit", received=f"{len(body.inputs)} inputs")
    most, begin = call.maybe(0), call.maybe(1)
    known = most is None or isinstance(most, np.ndarray)
    turns = int(np.asarray(most).reshape(-1)[0]) if known and most is not None else None
    if isinstance(begin, np.ndarray) and not bool(begin.reshape(-1)[0]):
        turns = 0
    begins = begin is None or isinstance(begin, np.ndarray)
    tensors = all(isinstance(x, Value | np.ndarray) for x, _ in carried)
    constant = _keeps_on(body)
    if begins and turns is not None and constant and tensors and turns >= _SHORT:
        made = _as_scan(call, body, carried, turns)
        if made is not None:
            return made
    if begins and known:
        made = _unrolled(call, body, carried, turns)
        if made is not None:
            return made
    return _as_while(call, body, carried)


def _keeps_on(body: Graph) -> bool:
    """Whether the condition that a body gives is the one that it got, or true."""
    condition = body.outputs[0].name
    for node in reversed(body.nodes):
        if condition in node.outputs:
            if node.op == "Identity" and node.inputs:
                condition = node.inputs[0]
            elif node.op == "Constant":
                return _is_true(node.attributes())
            else:
                return False
    stored = body.initializers.get(condition)
    if stored is not None:
        return isinstance(stored, Message) and _is_true({"value": stored})
    return condition == body.inputs[1].name


def _is_true(attributes: dict[str, Any]) -> bool:
    tensor = attributes.get("value")
    raw = bytes(tensor.data(9)) if tensor is not None and 9 in tensor.fields else None
    if raw is not None:
        return raw == b"\1"
    return tensor is not None and tensor.ints(5) == [1]


def _unrolled(
    call: Call, body: Graph, carried: list[tuple[Given, int]], turns: int | None
) -> tuple[Given, ...] | None:
    """Turn by turn, as long as it is known whether there is another; None where it is not."""
    count, rows = len(carried), []
    state, turn, first = carried, 0, True
    most = _UNROLLED if turns is None else turns
    condition: Given = np.asarray(True)
    if turns is None and not _folds(carried):
        return None
    while turn < most:
        number = np.asarray(turn, np.int32)
        given = [(number, kinds.INT64), (condition, kinds.BOOL), *state]
        found = call.scope.inlined(body, given)
        condition = found[0][0]
        if not isinstance(condition, np.ndarray):
            if first:
                return None
            raise call.refuse("whether the loop goes on depends on numbers in a later turn")
        state, first = found[1 : count + 1], False
        rows.append(found[count + 1 :])
        turn += 1
        if not bool(condition.reshape(-1)[0]):
            break
    if turns is None and turn == most:
        raise call.refuse("the loop does not end", expected=f"at most {_UNROLLED} turns")
    scans = [_stacked(call, body, i, rows) for i in range(len(body.outputs) - count - 1)]
    return _given(call, [*state, *scans])


def _folds(carried: Sequence[tuple[Given, int]]) -> bool:
    return all(not isinstance(x, Value) for x, _ in carried)


def _stacked(
    call: Call, body: Graph, index: int, rows: Sequence[Sequence[tuple[Given, int]]]
) -> tuple[Given, int]:
    """The results of all turns as one tensor."""
    declared = body.outputs[len(body.outputs) - len(rows[0]) + index] if rows else None
    if declared is None:
        out = body.outputs[index - (len(body.outputs) - 1)] if body.outputs else None
        dims = tuple(d or 0 for d in (out.dims or ())) if out else ()
        kind = out.kind if out else kinds.FLOAT
        dtype = kinds.dtype_of_kind(kind, call.where)
        return call.em.full((0, *dims), 0, dtype, call.where), kind
    parts = [as_tensor(call, row[index][0]) for row in rows]
    if any(isinstance(x, Bounded) for x in parts):
        raise FanlightError(
            "E-FORMAT-019",
            "a turn of a loop gives as many elements as the numbers want.",
            where=call.where,
            expected="results of a size that is known at import",
            received="a result of NonZero, Compress, Unique, or what is made of it",
            next="end the model before it, or export it with padded results.",
        )
    columns = [call.reshape(x, (1, *x.shape), f"turn{i}") for i, x in enumerate(parts)]
    made = (
        columns[0]
        if len(columns) == 1
        else call.op("concat", *columns, part=f"results{index}", axis=0)
    )
    return made, rows[0][index][1]


def _as_scan(
    call: Call, body: Graph, carried: list[tuple[Given, int]], turns: int
) -> tuple[Given, ...] | None:
    """A loop of known length. None if what is carried changes its type."""
    count = len(carried)
    scope, types = call.scope, [(_type(x), kind) for x, kind in carried]
    number = TensorType((), "int32")

    def after(inner: Scope, inputs: list[Value], found: Any) -> Sequence[Tensor]:
        tensors = [x for x, _ in found]
        up = inner.em.op("add", inputs[0], inner.em.const(1, "int32"), name="turn")
        return [up, *tensors[1:]]

    made = _body_with_condition(scope, body, [(number, kinds.INT64), *types], call.name, after)
    if made is None or [v.type for v in made.outputs[1 : count + 1]] != [t for t, _ in types]:
        return None
    taken = taken_by(made)
    zero = call.em.const(0, "int32")
    results = _listed(call.op("scan", zero, *(x for x, _ in carried), *taken,
                              fn=made.finish(taken), carried=count + 1, scanned=0,
                              length=turns))  # fmt: skip
    for i, kind in enumerate(made.kinds[1:]):
        call.made_kinds[i] = kind
    return tuple(results[1:])


def _body_with_condition(scope: Scope, body: Graph, types: Any, name: str, after: Any) -> Any:
    """The body as a sub-graph of the turn and what is carried; its condition is given as true."""
    em_types = list(types)
    try:
        return scope.body(body, em_types, name, after, fixed={1: (np.asarray(True), kinds.BOOL)})
    except FanlightError as error:
        if error.code in ("E-FORMAT-019",):
            return None
        raise


def _as_while(call: Call, body: Graph, carried: list[tuple[Given, int]]) -> tuple[Given, ...]:
    """A loop whose end numbers decide. Results of single turns are as many as there may be turns,
    with a count.
    """
    count, scans = len(carried), len(body.outputs) - len(carried) - 1
    most = call.maybe(0)
    room = int(most.reshape(-1)[0]) if isinstance(most, np.ndarray) and scans else 0
    if scans and not 0 < room <= _ROOM:
        raise call.refuse(
            "how often the loop turns depends on the model's input, and with it the size of its "
            "results",
            expected=f"a number of turns that is known at import, or is at most {_ROOM:,}",
            received=", ".join(o.name for o in body.outputs[count + 1 :])[:200],
        )
    if any(not isinstance(x, Value | np.ndarray) for x, _ in carried):
        raise call.refuse(
            "it carries what is no tensor of a known size, for a number of turns that depends on "
            "the model's input",
            expected="tensors",
        )
    types = [(_type(x), kind) for x, kind in carried]
    number, flag = TensorType((), "int32"), TensorType((), "bool")
    every = [(number, kinds.INT64), (flag, kinds.BOOL), *types]

    def turn(inner: Scope, inputs: list[Value], found: Any) -> Sequence[Tensor]:
        up = inner.em.op("add", inputs[0], inner.em.const(1, "int32"), name="turn")
        on = found[0][0]
        if not isinstance(on, Value | np.ndarray) or np.prod(on.shape) != 1:
            raise call.refuse("its condition is not one truth value", received=on)
        on = inner.em.reshape(on, (), "on")
        kept = [x for x, _ in found[1 : count + 1]]
        return [
            up,
            on,
            *kept,
            *(_noted(call, inner, inputs, room, x) for x, _ in found[count + 1 :]),
        ]

    made = call.scope.body(body, every, f"{call.name}/body", turn)
    rows = [v.type for v in made.inputs[count + 2 :]]
    every += [(t, 0) for t in rows]
    if [v.type for v in made.outputs[2 : count + 2]] != [t for t, _ in types]:
        raise call.refuse(
            "what is carried changes its type",
            expected=", ".join(str(t) for t, _ in types),
            received=", ".join(str(v.type) for v in made.outputs[2:]),
        )
    limit = None if most is None else call.reshape(call.cast(most, "int32", "most"), (), "limit")
    asked = call.scope.empty_body([t for t, _ in every], f"{call.name}/cond")
    go_on: Tensor = asked.inputs[1]
    if limit is not None:
        inner = asked.em
        below = inner.op("less", asked.inputs[0], inner.take(limit), name="below")
        go_on = inner.op("logical_and", go_on, below, name="on")
    else:
        # A sub-graph gives no input as it is: it is a node's result.
        go_on = asked.em.op("logical_and", go_on, go_on, name="on")
    asked.outputs = [asked.em.value(go_on)]
    taken = taken_by(asked, made)
    begin = call.maybe(1)
    first = np.asarray(True) if begin is None else call.reshape(begin, (), "begin")
    blank = [call.em.full(t.bound, 0, t.dtype, call.where) for t in rows]
    results = _listed(call.op(
        "while_loop", call.em.const(0, "int32"), first, *(x for x, _ in carried), *blank, *taken,
        cond_fn=asked.finish(taken), body_fn=made.finish(taken), carried=count + 2 + scans,
    ))  # fmt: skip
    for i, kind in enumerate([*(k for _, k in carried), *made.kinds[count + 1 :]]):
        call.made_kinds[i] = kind
    turns = count_of(results[0], room)
    return (*results[2 : count + 2], *(bounded(call, x, 0, turns) for x in results[count + 2 :]))


def _noted(call: Call, inner: Scope, inputs: list[Value], room: int, x: Any) -> Tensor:
    """A result of one turn in the row of its turn; the rows are one more input of the body."""
    if not isinstance(x, Value | np.ndarray):
        raise call.refuse("a turn gives what is no tensor of a known size", expected="tensors")
    type = TensorType((room, *x.shape), dtype_of(x))
    check_size(type, call.where)
    rows = inner.em.builder.input("rows", type.shape, type.dtype)
    inputs.append(rows)
    place = inner.em.reshape(inputs[0], (1, 1), "place")
    row = inner.em.reshape(x, (1, *x.shape), "row")
    noted: Tensor = inner.em.op("scatter_nd", place, row, rows, name="noted", mode="update")
    return noted


# --- Scan -----------------------------------------------------------------------------------------


@importer("Scan")
def scan(call: Call) -> tuple[Given, ...]:
    """Carried states, then what is cut into slices. Opset 8 has lengths and a batch first."""
    body, scanned = call.graph("body"), call.whole("num_scan_inputs", 1)
    tensors = [(call.x(i), call.kinds[i]) for i in range(len(call.inputs))
               if call.opset >= 9 or i]  # fmt: skip
    states = len(tensors) - scanned
    if scanned < 1 or states < 0 or len(body.inputs) != len(tensors):
        raise call.refuse("the body does not fit", received=f"{len(body.inputs)} inputs")
    if call.opset < 9:
        if any(x.shape[0] != 1 for x, _ in tensors) or call.has(0):
            raise call.refuse("the form of opset 8 with batches", expected="a batch of 1")
        tensors = [(call.reshape(x, x.shape[1:], "one"), k) for x, k in tensors]
    results = len(body.outputs) - states
    ways = call.items("scan_input_directions" if call.opset >= 9 else "directions") or [0] * scanned
    back = call.items("scan_output_directions") or [0] * results
    axes = call.items("scan_input_axes") or [0] * scanned
    out_axes = call.items("scan_output_axes") or [0] * results
    slices = []
    for (x, kind), axis, way in zip(tensors[states:], axes, ways, strict=False):
        at = call.dim(axis, len(x.shape))
        first = call.transpose(x, [at, *(a for a in range(len(x.shape)) if a != at)], "first")
        slices.append((call.op("reverse", first, part="back", axes=(0,)) if way else first, kind))
    length = slices[0][0].shape[0]
    types = [(_type(x), k) for x, k in tensors[:states]]
    types += [(TensorType(tuple(x.shape[1:]), dtype_of(x)), k) for x, k in slices]
    made = call.scope.body(body, types, call.name)
    taken = taken_by(made)
    found = _listed(call.op(
        "scan", *(x for x, _ in tensors[:states]), *(x for x, _ in slices), *taken,
        fn=made.finish(taken), carried=states, scanned=scanned, length=length,
    ))  # fmt: skip
    for i, (axis, way) in enumerate(zip(out_axes, back, strict=False), start=states):
        y = found[i]
        y = call.op("reverse", y, part="turned", axes=(0,)) if way else y
        at = call.dim(axis, len(y.shape))
        perm = list(range(1, len(y.shape)))
        perm.insert(at, 0)
        found[i] = call.transpose(y, perm, "placed")
    for i, kind in enumerate(made.kinds):
        call.made_kinds[i] = kind
    if call.opset < 9:
        found = [call.reshape(x, (1, *x.shape), "batch") for x in found]
    return tuple(found)


# --- sequences and optionals: lists at import -----------------------------------------------------


@importer("SequenceEmpty")
def sequence_empty(call: Call) -> Given:
    return []


@importer("SequenceConstruct")
def sequence_construct(call: Call) -> Given:
    return [call.x(i) for i in range(len(call.inputs))]


def _place(call: Call, index: int, length: int, default: int) -> int:
    at = call.number(index, "the place") if call.has(index) else default
    if not -length <= at <= length:
        raise call.refuse("there is no such place", expected=f"of {length}", received=at)
    return at + length if at < 0 else at


@importer("SequenceInsert")
def sequence_insert(call: Call) -> Given:
    parts = list(call.sequence())
    parts.insert(_place(call, 2, len(parts), len(parts)), call.x(1))
    return parts


@importer("SequenceErase")
def sequence_erase(call: Call) -> Given:
    parts = list(call.sequence())
    at = _place(call, 1, len(parts), len(parts) - 1)
    if at >= len(parts):
        raise call.refuse("there is no such place", expected=f"of {len(parts)}", received=at)
    del parts[at]
    return parts


@importer("SequenceAt")
def sequence_at(call: Call) -> Given:
    parts = call.sequence()
    at = _place(call, 1, len(parts), 0)
    if at >= len(parts):
        raise call.refuse("there is no such place", expected=f"of {len(parts)}", received=at)
    return parts[at]


@importer("SequenceLength")
def sequence_length(call: Call) -> Tensor:
    return np.asarray(len(call.sequence()), np.int32)


@importer("SplitToSequence")
def split_to_sequence(call: Call) -> Given:
    from fanlight.formats.onnx.shaping import cut

    x = call.x()
    axis = call.axis(len(x.shape), 0)
    total = x.shape[axis]
    if not call.has(1):
        parts = cut(call, x, axis, [1] * total)
        if call.flag("keepdims", True):
            return parts
        shape = [d for a, d in enumerate(x.shape) if a != axis]
        return [call.reshape(p, shape, "part") for p in parts]
    sizes = call.ints(1, "the sizes")
    if not call.x(1).shape:
        each = sizes[0]
        if each < 1:
            raise call.refuse("a size is below 1", received=each)
        sizes = tuple(min(each, total - at) for at in range(0, total, each))
    if sum(sizes) != total or min(sizes, default=0) < 0:
        raise call.refuse("the sizes do not add up", expected=total, received=sizes[:16])
    return cut(call, x, axis, sizes)


@importer("ConcatFromSequence")
def concat_from_sequence(call: Call) -> Tensor:
    parts = call.sequence()
    if not parts:
        raise call.refuse("the sequence is empty")
    new = call.flag("new_axis")
    rank = len(parts[0].shape) + new
    axis = call.axis(rank, 0)
    if new:
        parts = [call.reshape(p, (*p.shape[:axis], 1, *p.shape[axis:]), "row") for p in parts]
    return parts[0] if len(parts) == 1 else call.op("concat", *parts, axis=axis)


@importer("SequenceMap")
def sequence_map(call: Call) -> tuple[Given, ...]:
    body, first = call.graph("body"), call.sequence()
    rows = []
    for i in range(len(first)):
        given = [(x[i] if isinstance(x, list) else x, k)
                 for x, k in zip(call.inputs, call.kinds, strict=True)]  # fmt: skip
        rows.append(call.scope.inlined(body, given))
    return tuple([row[i][0] for row in rows] for i in range(len(body.outputs)))


@importer("OptionalHasElement")
def optional_has_element(call: Call) -> Tensor:
    return np.asarray(call.has(0))


@importer("OptionalGetElement")
def optional_get_element(call: Call) -> Given:
    if not call.has(0):
        raise call.refuse("there is no element")
    return call.inputs[0]
