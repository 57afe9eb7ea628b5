"""What each op tells of the shapes of its inputs and outputs; see inference.py."""

from __future__ import annotations

from collections.abc import Sequence

from fanlight.formats.tfgraph.inference import Dims, Shapes, tells
from fanlight.formats.tfgraph.layout import reads_image, usual_order
from fanlight.formats.tfgraph.nodes import GraphNode, Ref

_UNARY = (
    "Identity Relu Relu6 LeakyRelu Elu Selu Sigmoid Tanh Cast Exp Expm1 Log Log1p Sqrt Rsqrt "
    "Square Abs Neg Reciprocal Inv Floor Ceil Round Sign Sin Cos Erf Softplus Softsign Softmax "
    "LogSoftmax LogicalNot ZerosLike OnesLike ClipByValue StopGradient Snapshot "
    "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Prelu Cumsum ReverseV2 IsNan IsInf IsFinite"
).split()
_BINARY = (
    "Add AddV2 Sub Mul RealDiv Div DivNoNan Maximum Minimum FloorDiv FloorMod Mod Pow "
    "SquaredDifference Equal NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr "
    "SelectV2 BroadcastArgs"
).split()
_CHAIN = 12  # nodes behind each other that are one pattern
_REDUCTIONS = "Sum Mean Max Min Prod Any All".split()
_WINDOWS = (
    "Conv2D _FusedConv2D DepthwiseConv2dNative FusedDepthwiseConv2dNative MaxPool AvgPool".split()
)


def _out(node: GraphNode, index: int = 0) -> Ref:
    return Ref(node.name, index)


def _with(dims: Dims, axis: int, size: int | None) -> Dims:
    return (*dims[:axis], size, *dims[axis:])


def _without(dims: Dims, axes: Sequence[int]) -> Dims:
    return tuple(d for a, d in enumerate(dims) if a not in axes)


def _count(s: Shapes, ref: Ref) -> int | None:
    """How many numbers a vector holds; 1 for a single one."""
    dims = s.dims(ref)
    if dims is None or len(dims) > 1:
        return None
    return dims[0] if dims else 1


def _axis(s: Shapes, ref: Ref, rank: int | None) -> int | None:
    """A single axis, if it and the rank are known."""
    found = s.known(ref)
    if found is None or len(found) != 1 or rank is None or not -rank <= found[0] < rank:
        return None
    return found[0] % rank


# --- one element each -----------------------------------------------------------------------------


@tells(*_UNARY)
def unary(s: Shapes, node: GraphNode) -> None:
    s.same([_out(node), node.inputs[0]])


@tells("BiasAdd")
def bias_add(s: Shapes, node: GraphNode) -> None:
    x, bias, out = *node.inputs[:2], _out(node)
    s.same([out, x])
    s.tell(bias, [None])
    rank, channels = s.rank(out), s.dims(bias)
    if rank and channels and node.attrs.text("data_format", "NHWC").upper() != "NCHW":
        s.tell(out, [*[None] * (rank - 1), channels[-1]])
        s.tell(bias, (s.dims(out) or (None,))[-1:])


@tells("AddN")
def add_n(s: Shapes, node: GraphNode) -> None:
    s.same([_out(node), *node.inputs])


@tells("Select")
def select(s: Shapes, node: GraphNode) -> None:
    if len(node.inputs) != 3:
        return
    s.same([_out(node), *node.inputs[1:]])
    if s.rank(node.inputs[0]) == s.rank(_out(node)) and s.rank(_out(node)):
        s.same([_out(node), node.inputs[0]])
    elif s.supposing and s.rank(node.inputs[0]) is None:
        s.same([_out(node), node.inputs[0]])


@tells(*_BINARY)
def broadcast(s: Shapes, node: GraphNode) -> None:
    out = _out(node)
    wide = [r for r in node.inputs if s.rank(r) != 0]
    if not wide:
        s.tell(out, ())
        return
    if len({s.root(r) for r in wide}) == 1:
        s.same([out, *wide])
        return
    found = [s.dims(r) for r in wide]
    whole = s.dims(out)
    if None in found:
        known = [len(d) for d in found if d is not None]
        open_ = [r for r, d in zip(wide, found, strict=True) if d is None]
        alone = len({s.root(r) for r in open_}) == 1
        if whole is not None and (s.supposing or (alone and max(known, default=0) < len(whole))):
            for ref in open_:
                s.tell(ref, [None] * len(whole))
        elif s.supposing and known and alone:
            s.tell(open_[0], [None] * max(known))
        return
    dims = [d for d in found if d is not None]
    rank = max(map(len, dims))
    if whole is not None and len(whole) != rank:
        return
    made: list[int | None] = list(whole or [None] * rank)
    columns: list[list[int | None]] = [[*[1] * (rank - len(d)), *d] for d in dims]
    for axis in range(rank):
        column = [c[axis] for c in columns]
        large = [d for d in column if d is not None and d != 1]
        if made[axis] is None and (large or None not in column):
            made[axis] = large[0] if large else 1
        elif made[axis] is None and s.supposing:
            # Known sizes are 1 here; those of dims that a shape lacks tell nothing.
            own = [c for c, d in zip(column, dims, strict=True) if axis >= rank - len(d)]
            made[axis] = 1 if 1 in own else None
        size = made[axis]
        open_at = [i for i, d in enumerate(column) if d is None]
        alone = len({s.root(wide[i]) for i in open_at}) == 1 and not large
        if size is None:
            continue
        for i in open_at:
            total = s.total(wide[i])
            if total and size and total % size:
                columns[i][axis] = 1  # it has too few elements for that dim
            elif size == 1 or alone or s.supposing:
                columns[i][axis] = size
    s.tell(out, made)
    for ref, old, new in zip(wide, dims, columns, strict=True):
        s.tell(ref, new[rank - len(old) :])
    if all(d == 1 for d in dims[0]) and len(wide) == 2:
        s.tell_total(wide[1], s.total(out))
    elif len(wide) == 2 and all(d == 1 for d in dims[1]):
        s.tell_total(wide[0], s.total(out))


# --- the same elements in other dims --------------------------------------------------------------


@tells("Reshape")
def reshape(s: Shapes, node: GraphNode) -> None:
    x, out = node.inputs[0], _out(node)
    s.tell_total(out, s.total(x))
    s.tell_total(x, s.total(out))
    count = _count(s, node.inputs[1])
    if count is not None and count <= 8:
        s.tell(out, [d if d != -1 else None for d in s.partly(node.inputs[1], count)])
    if s.rank(x) == 3 and count == 4:
        bins = bins_of_sides(s, node)
        s.tell(x, [None, 4 * bins, None] if bins is not None else None)


def bins_of_sides(s: Shapes, node: GraphNode) -> int | None:
    """Of how many numbers a side of a box is the mean, if the Reshape `node` parts them.

    Detectors give a side as a softmax over distances; a filter [1, 1, bins, 1] weighs them.
    """
    for _ in range(_CHAIN):
        users = s.users.get(node.name, [])
        if len(users) != 1 or users[0][1] != 0:
            return None
        node = users[0][0]
        if node.op == "Conv2D":
            weight = s.dims(node.inputs[1])
            single = weight is not None and len(weight) == 4 and weight[3] == 1
            return weight[2] if weight and single and weight[:2] == (1, 1) else None
        if node.op not in ("Transpose", "Softmax"):
            return None
    return None


@tells("Squeeze")
def squeeze(s: Shapes, node: GraphNode) -> None:
    x, out = node.inputs[0], _out(node)
    s.tell_total(out, s.total(x))
    s.tell_total(x, s.total(out))
    axes = node.attrs.ints("squeeze_dims") or node.attrs.ints("axis")
    rank = s.rank(x)
    if rank is None and s.rank(out) is not None and axes:
        rank = (s.rank(out) or 0) + len(axes)
    if not axes or rank is None or not all(-rank <= a < rank for a in axes):
        return
    drop = sorted({a % rank for a in axes})
    s.tell(x, [1 if a in drop else None for a in range(rank)])
    s.tell(out, _without(s.dims(x) or (None,) * rank, drop))
    inner = s.dims(out)
    if inner is not None:
        for axis in drop:
            inner = _with(inner, axis, 1)
        s.tell(x, inner)


@tells("ExpandDims")
def expand_dims(s: Shapes, node: GraphNode) -> None:
    x, out = node.inputs[0], _out(node)
    s.tell_total(out, s.total(x))
    s.tell_total(x, s.total(out))
    inner, outer = s.dims(x), s.dims(out)
    rank = len(outer) if outer is not None else len(inner) + 1 if inner is not None else None
    if rank is None:
        return
    axis = _axis(s, node.inputs[1], rank)
    if axis is None:
        s.tell(out, [None] * rank)
        s.tell(x, [None] * (rank - 1))
        return
    s.tell(out, _with(inner if inner is not None else (None,) * (rank - 1), axis, 1))
    s.tell(x, _without(s.dims(out) or (None,) * rank, [axis]))


@tells("Transpose")
def transpose(s: Shapes, node: GraphNode) -> None:
    x, out = node.inputs[0], _out(node)
    s.tell_total(out, s.total(x))
    s.tell_total(x, s.total(out))
    count = _count(s, node.inputs[1])
    if count is None or count > 8:
        return
    perm = s.known(node.inputs[1])
    inner, outer = s.dims(x) or (None,) * count, s.dims(out) or (None,) * count
    if len(inner) != count or len(outer) != count:
        return
    if perm is None or sorted(perm) != list(range(count)):
        likely = s.supposes(node) and count in (2, 3, 4)
        perm = usual_order(s.nodes, s.users, node, count) if likely else None
    s.tell(out, [inner[p] for p in perm] if perm else [None] * count)
    s.tell(x, [outer[perm.index(a)] for a in range(count)] if perm else [None] * count)


@tells("Pack")
def pack(s: Shapes, node: GraphNode) -> None:
    s.same(node.inputs)
    _stacked(s, node, node.inputs[0], _out(node), len(node.inputs))


@tells("Unpack")
def unpack(s: Shapes, node: GraphNode) -> None:
    count = node.attrs.whole("num", 0)
    if not 0 < count <= 64:
        return
    s.same([_out(node, i) for i in range(count)])
    _stacked(s, node, _out(node), node.inputs[0], count)


def _stacked(s: Shapes, node: GraphNode, part: Ref, whole: Ref, count: int) -> None:
    inner, outer = s.dims(part), s.dims(whole)
    if inner is None and outer is None:
        return
    rank = len(outer) if outer is not None else len(inner or ()) + 1
    axis = node.attrs.whole("axis", 0)
    if not -rank <= axis < rank:
        return
    s.tell(whole, _with(inner if inner is not None else (None,) * (rank - 1), axis % rank, count))
    s.tell(part, _without(s.dims(whole) or (None,) * rank, [axis % rank]))


# --- fewer or more elements -----------------------------------------------------------------------


@tells(*_REDUCTIONS, "ArgMax", "ArgMin")
def reduction(s: Shapes, node: GraphNode) -> None:
    x, out = node.inputs[0], _out(node)
    keeps = node.attrs.flag("keep_dims") or node.attrs.flag("keepdims")
    count = _count(s, node.inputs[1]) if len(node.inputs) > 1 else None
    if count is None:
        return
    inner, outer = s.dims(x), s.dims(out)
    less = 0 if keeps else count
    rank = len(inner) if inner is not None else len(outer) + less if outer is not None else None
    if rank is None or rank < count:
        return
    inner = inner if inner is not None else (None,) * rank
    known = s.known(node.inputs[1])
    likely = s.supposes(node) and known is None and not (rank == 4 and count == 2)
    axes = list(range(rank - count, rank)) if likely else known
    if axes is None or not all(-rank <= a < rank for a in axes):
        s.tell(out, [None] * (rank - less))
        return
    axes = [a % rank for a in axes]
    if keeps:
        s.tell(out, [1 if a in axes else d for a, d in enumerate(inner)])
        outer = s.dims(out)
        s.tell(x, [None if a in axes else d for a, d in enumerate(outer or ())])
        return
    s.tell(out, _without(inner, axes))
    outer = s.dims(out)
    if outer is None or len(outer) != rank - len(set(axes)):
        return
    rest = iter(outer)
    s.tell(x, [None if a in axes else next(rest) for a in range(rank)])


@tells("TopKV2")
def top_k(s: Shapes, node: GraphNode) -> None:
    x, out = node.inputs[0], _out(node)
    s.same([out, _out(node, 1)])
    k = s.known(node.inputs[1])
    inner, outer = s.dims(x), s.dims(out)
    if inner:
        s.tell(out, (*inner[:-1], k[0] if k else None))
    if outer:
        s.tell(x, (*outer[:-1], None))


@tells("Tile")
def tile(s: Shapes, node: GraphNode) -> None:
    x, out = node.inputs[0], _out(node)
    rank = _count(s, node.inputs[1])
    if rank is None or rank > 8:
        return
    times: Sequence[int | None] = s.known(node.inputs[1]) or [None] * rank
    inner, outer = s.dims(x) or (None,) * rank, s.dims(out) or (None,) * rank
    if not len(inner) == len(outer) == len(times) == rank:
        return
    pairs = list(zip(inner, outer, times, strict=True))
    s.tell(out, [d * t if d is not None and t is not None else None for d, _, t in pairs])
    s.tell(x, [o // t if o is not None and t and o % t == 0 else None for _, o, t in pairs])


@tells("GatherNd")
def gather_nd(s: Shapes, node: GraphNode) -> None:
    inner, at = s.dims(node.inputs[0]), s.dims(node.inputs[1])
    if inner is not None and at and at[-1] is not None and at[-1] <= len(inner):
        s.tell(_out(node), (*at[:-1], *inner[at[-1] :]))
    outer = s.dims(_out(node))
    if inner is not None and at and at[-1] is not None and outer is not None:
        depth = len(outer) - (len(inner) - at[-1])
        if depth == len(at) - 1:
            s.tell(node.inputs[1], (*outer[:depth], at[-1]))
            s.tell(node.inputs[0], [*[None] * at[-1], *outer[depth:]])


@tells("StridedSlice")
def strided_slice(s: Shapes, node: GraphNode) -> None:
    """The dims that are left whole, and those that are new or gone."""
    x, out = node.inputs[0], _out(node)
    count = _count(s, node.inputs[1])
    mask = {
        m: node.attrs.whole(f"{m}_mask", 0)
        for m in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    steps = s.known(node.inputs[3]) if len(node.inputs) > 3 else None
    inner, outer = s.dims(x), s.dims(out)
    if count is None or count > 8:
        return
    marks = ["new" if mask["new_axis"] >> i & 1 else "" for i in range(count)]
    marks = ["all" if mask["ellipsis"] >> i & 1 else m for i, m in enumerate(marks)]
    marks = [m or ("gone" if mask["shrink_axis"] >> i & 1 else "") for i, m in enumerate(marks)]
    rank = len(inner) if inner is not None else None
    if rank is None and outer is not None:
        rank = len(outer) - marks.count("new") + marks.count("gone")
    real = marks.count("") + marks.count("gone")
    if rank is None or rank < real or marks.count("all") > 1:
        return
    inner = inner if inner is not None and len(inner) == rank else (None,) * rank
    made: list[int | None] = []
    whole: list[tuple[int, int]] = []  # axis of x, axis of the result
    axis = 0
    for i, mark in enumerate([*marks, *["all"] * ("all" not in marks)]):
        if mark == "new":
            made.append(1)
        elif mark == "all":
            for _ in range(rank - real):
                whole.append((axis, len(made)))
                made.append(inner[axis])
                axis += 1
        else:
            full = mask["begin"] >> i & mask["end"] >> i & 1 and (
                not steps or steps[i : i + 1] == [1]
            )
            if full and not mark:
                whole.append((axis, len(made)))
            if not mark:
                made.append(inner[axis] if full else None)
            axis += 1
    s.tell(out, made)
    outer = s.dims(out)
    if outer is not None and len(outer) == len(made):
        told: list[int | None] = [None] * rank
        for before, after in whole:
            told[before] = outer[after]
        s.tell(x, told)


@tells("ConcatV2")
def concat(s: Shapes, node: GraphNode) -> None:
    parts, out = node.inputs[:-1], _out(node)
    ranks = [r for r in map(s.rank, (*parts, out)) if r is not None]
    if not ranks:
        return
    rank = ranks[0]
    for ref in (*parts, out):
        s.tell(ref, [None] * rank)
    found = [s.dims(r) for r in (*parts, out)]
    if any(d is None or len(d) != rank for d in found):
        return
    dims = [d for d in found if d is not None]
    axis = _axis(s, node.inputs[-1], rank)
    if axis is None:
        # The dim in which a part is not like another, or not like the whole.
        sizes = [{d[a] for d in dims} - {None} for a in range(rank)]
        differ = [a for a in range(rank) if len(sizes[a]) > 1]
        # Likely the last; but rows [batch, rows, width] are joined to more rows.
        alike = rank != 3 or len({s.root(r) for r in parts}) == 1
        likely = rank - 1 if alike and s.supposes(node) else None
        axis = differ[0] if len(differ) == 1 else likely
    if axis is None:
        return
    shared = [next((d[a] for d in dims if d[a] is not None), None) for a in range(rank)]
    own = [d[axis] for d in dims]
    open_at = [i for i, d in enumerate(own[:-1]) if d is None]
    told = sum(d for d in own[:-1] if d is not None)
    whole = own[-1]
    if not open_at:
        own[-1] = told
    elif whole is not None and whole > told and (whole - told) % len(open_at) == 0:
        if len({s.root(parts[i]) for i in open_at}) == 1:
            for i in open_at:
                own[i] = (whole - told) // len(open_at)
    for ref, size in zip((*parts, out), own, strict=True):
        s.tell(ref, [size if a == axis else d for a, d in enumerate(shared)])


@tells("Split")
def split(s: Shapes, node: GraphNode) -> None:
    count = node.attrs.whole("num_split", 0)
    if not 0 < count <= 64 or len(node.inputs) != 2:
        return
    s.same([_out(node, i) for i in range(count)])
    x, out = node.inputs[1], _out(node)
    rank = s.rank(x) if s.rank(x) is not None else s.rank(out)
    if rank is None:
        return
    inner, outer = s.dims(x) or (None,) * rank, s.dims(out) or (None,) * rank
    axis = _axis(s, node.inputs[0], rank)
    axis = rank - 1 if axis is None and s.supposes(node) else axis
    if axis is None or len(inner) != rank or len(outer) != rank:
        return
    size, part = inner[axis], outer[axis]
    size = part * count if size is None and part is not None else size
    part = size // count if part is None and size is not None and size % count == 0 else part
    s.tell(x, [size if a == axis else d for a, d in enumerate(outer)])
    s.tell(out, [part if a == axis else d for a, d in enumerate(inner)])


@tells("Real", "Imag")
def part(s: Shapes, node: GraphNode) -> None:
    s.same([_out(node), node.inputs[0]])


@tells("RFFT")
def rfft(s: Shapes, node: GraphNode) -> None:
    """Half as many frequencies as numbers, and one; likely no numbers are added or left out."""
    x, out = node.inputs[0], _out(node)
    inner, outer = s.dims(x), s.dims(out)
    known = s.known(node.inputs[1]) if len(node.inputs) > 1 else None
    if inner:
        s.tell(out, (*inner[:-1], known[0] // 2 + 1 if known else None))
    if outer and outer[-1] is not None:
        likely = 2 * (outer[-1] - 1) if s.supposing else None
        s.tell(x, (*outer[:-1], likely))


@tells("MatMul", "_FusedMatMul")
def matmul(s: Shapes, node: GraphNode) -> None:
    turned = [node.attrs.flag("transpose_a"), node.attrs.flag("transpose_b")]
    for ref in (*node.inputs[:2], _out(node)):
        s.tell(ref, (None, None))
    a, b, out = (s.dims(r) for r in (*node.inputs[:2], _out(node)))
    if not a or not b or not out or not len(a) == len(b) == len(out) == 2:
        return
    (rows, inner), (inner_b, columns) = (
        d[::-1] if t else d for d, t in zip((a, b), turned, strict=True)
    )
    rows = rows if rows is not None else out[0]
    inner = inner if inner is not None else inner_b
    columns = columns if columns is not None else out[1]
    s.tell(node.inputs[0], (inner, rows) if turned[0] else (rows, inner))
    s.tell(node.inputs[1], (columns, inner) if turned[1] else (inner, columns))
    s.tell(_out(node), (rows, columns))


@tells(*_WINDOWS)
def window(s: Shapes, node: GraphNode) -> None:
    """Batch and channels, and the sides where these follow from the input."""
    x, out = node.inputs[0], _out(node)
    for ref in (x, out):
        s.tell(ref, (None,) * 4)
    inner, outer = s.dims(x), s.dims(out)
    if not inner or not outer or len(inner) != 4 or len(outer) != 4:
        return
    wide: int | None
    deep: int | None
    size = list(node.attrs.ints("ksize")[1:3])
    if node.op.endswith("Pool"):
        wide = inner[3] if inner[3] is not None else outer[3]
        deep = wide
    else:
        weight = s.dims(node.inputs[1])
        if not weight or len(weight) != 4 or None in weight:
            return
        h, w, wide, last = (d or 0 for d in weight)
        deep = last if node.op in ("Conv2D", "_FusedConv2D") else wide * last
        gaps = node.attrs.ints("dilations") or (1, 1, 1, 1)
        size = [(k - 1) * g + 1 for k, g in zip((h, w), gaps[1:3], strict=False)]
    steps = node.attrs.ints("strides")[1:3]
    padding = node.attrs.text("padding", "VALID").upper()
    sides: list[int | None] = [None, None]
    back: list[int | None] = [None, None]
    if len(steps) == 2 and len(size) == 2 and padding in ("SAME", "VALID") and min(steps) > 0:
        for i, (d, o, k, step) in enumerate(zip(inner[1:3], outer[1:3], size, steps, strict=True)):
            take = 0 if padding == "SAME" else k - 1
            sides[i] = -(-(d - take) // step) if d is not None and d > take else None
            back[i] = o + take if o is not None and step == 1 else None
    s.tell(x, (outer[0], *back, wide))
    s.tell(out, (inner[0], *sides, deep))


@tells("ResizeBilinear", "ResizeNearestNeighbor")
def resize(s: Shapes, node: GraphNode) -> None:
    x, out = node.inputs[0], _out(node)
    size = s.known(node.inputs[1])
    inner, outer = s.dims(x) or (None,) * 4, s.dims(out) or (None,) * 4
    if len(inner) == len(outer) == 4:
        s.tell(out, (inner[0], *(size if size and len(size) == 2 else (None, None)), inner[3]))
        s.tell(x, (outer[0], None, None, outer[3]))


@tells("Slice", "Fill", "BroadcastTo")
def sized(s: Shapes, node: GraphNode) -> None:
    at = {"Slice": 2, "Fill": 0, "BroadcastTo": 1}[node.op]
    if at >= len(node.inputs):
        return
    count = _count(s, node.inputs[at])
    dims: Sequence[int | None] = ()
    if count is not None and count <= 8:
        dims = s.partly(node.inputs[at], count)
        s.tell(_out(node), [d if d is not None and d >= 0 else None for d in dims])
    if node.op == "Slice" and s.rank(_out(node)) is not None:
        s.tell(node.inputs[0], [None] * (s.rank(_out(node)) or 0))
        if s.supposing and s.rank(_out(node)) == len(dims):
            # What is cut out begins at 0, and what is left of a dim is but rarely one of many.
            s.tell(node.inputs[0], [d if d is not None and d > 1 else None for d in dims])


@tells("Pad", "PadV2", "MirrorPad")
def pad(s: Shapes, node: GraphNode) -> None:
    x, out = node.inputs[0], _out(node)
    rank = s.rank(x) if s.rank(x) is not None else s.rank(out)
    if rank is None:
        return
    for ref in (x, out):
        s.tell(ref, [None] * rank)
    pairs = s.known(node.inputs[1])
    inner = s.dims(x)
    if pairs is not None and inner is not None and len(pairs) == 2 * len(inner):
        more = [pairs[2 * a] + pairs[2 * a + 1] for a in range(rank)]
        s.tell(out, [d + m if d is not None else None for d, m in zip(inner, more, strict=True)])
    elif s.supposes(node) and rank == 4:
        channels = 3 if reads_image(s.users, node) else 1  # which are not padded
        outer = s.dims(out) or (None,) * rank
        s.tell(x, [d if a == channels else None for a, d in enumerate(outer)])


@tells("TensorListStack", "TensorArrayGatherV3")
def stack(s: Shapes, node: GraphNode) -> None:
    """What is put into a list is as what reads the list behind the loop says."""
    said = node.attrs.dims("element_shape") if node.op == "TensorArrayGatherV3" else None
    for element in s.elements(node):
        s.tell(element, said)
        outer, inner = s.dims(_out(node)), s.dims(element)
        s.tell(element, outer[1:] if outer else None)
        s.tell(_out(node), (None, *inner) if inner is not None else None)
