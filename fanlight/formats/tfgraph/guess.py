"""What the ops of TensorFlow want their axes, sizes, paddings and limits to be; see roles.py."""

from __future__ import annotations

import math

from fanlight.formats.tfgraph.boxes import columns, copies, of_columns, shared_rows
from fanlight.formats.tfgraph.nodes import GraphNode, Ref
from fanlight.formats.tfgraph.parts import (
    made_by,
    masks,
    of_sizes,
    shared_shape,
    squeezed,
    told_split,
)
from fanlight.formats.tfgraph.roles import Guesser, Wanted, fitted, rule
from fanlight.formats.tfgraph.turns import step

__all__ = ["Guesser"]

_ARITHMETIC = ("Mul", "Add", "AddV2", "Sub", "FloorDiv", "RealDiv", "Cast", "Identity")


# --- axes -----------------------------------------------------------------------------------------


@rule("Mean", "Sum", "Max", "Min", "Prod", "Any", "All")
def reduction(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """Of images the space dims, else the last ones."""
    shape = g.shape(user.inputs[0])
    if index == 1 and shape is None and count == 1 and of_sizes(g, user.inputs[0]):
        return [0]
    if index != 1 or shape is None:
        return None
    rank = len(shape)
    if rank == 4 and count == 2:
        return [1, 2]
    return list(range(max(0, rank - count), rank)) if count <= rank else None


@rule("ArgMax", "ArgMin")
def arg(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """The last dim; of a picture made flat its places."""
    shape = g.shape(user.inputs[0])
    if index != 1 or not shape:
        return None
    maker = g.nodes[user.inputs[0].node]
    flat = maker.op == "Reshape" and len(shape) == 3 and len(g.shape(maker.inputs[0]) or ()) == 4
    return [1 if flat else len(shape) - 1]


@rule("ConcatV2")
def concat(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """The dim in which the parts differ; of equal ones the last."""
    shapes = [s for s in map(g.shape, user.inputs[:-1]) if s]
    if index != len(user.inputs) - 1 or not shapes:
        return None
    rank = max(map(len, shapes))
    shapes = [s for s in shapes if len(s) == rank]
    differ = [a for a in range(rank) if len({s[a] for s in shapes}) > 1]
    if len(differ) == 1:
        return [differ[0]]
    told = g.expected(user.name, rank)
    for axis, size in enumerate(told):
        if size is not None and len(shapes) > 1 and size == sum(s[axis] for s in shapes):
            return [axis]
    # Not a dim whose size is told, and is that of the parts.
    first = shapes[0]
    left = [
        a for a, (t, d) in enumerate(zip(told, first, strict=True)) if t != d or len(shapes) == 1
    ]
    return [left[-1] if left and left[-1] else rank - 1]


@rule("Split")
def split(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    shape, parts = g.shape(user.inputs[1]), user.attrs.whole("num_split", 1)
    if index != 0 or shape == ():
        return None
    if shape is None:
        return [-1]  # in a loop: gates lie beside each other
    fits = [a for a, d in enumerate(shape) if d % max(1, parts) == 0]
    return [fits[-1]] if fits else None


@rule("SplitV")
def split_v(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    shape = g.shape(user.inputs[0])
    if not shape or index == 0:
        return None
    sizes = g.shape(user.inputs[1])
    told = told_split(g, user, sizes[0]) if sizes else None
    if told is not None:
        return [told[0]] if index == 2 else told[1]
    if index == 2:
        return [len(shape) - 1]
    axis = (g.known(user.inputs[2]) or [len(shape) - 1])[0]
    size = shape[axis]
    if count == 3 and size == 1:
        return [0, 1, 0]  # a shape: what is before the dim, the dim, what is after it
    return [size // count] * (count - 1) + [size - size // count * (count - 1)]


@rule("ExpandDims")
def expand(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    shape = g.shape(user.inputs[0])
    back = squeezed(g, user)
    if index == 1 and back is not None:
        return [back]
    if index == 1 and shape is None and g.space(user) is not None:
        return [0]  # a batch of one image, in a loop that does not turn yet
    if index != 1 or shape is None:
        return None
    if masks(g, user):
        return [len(shape)]
    asked = g.expected(user.name, len(shape) + 1)
    if not any(asked) and of_columns(g, user.inputs[0]):
        return [len(shape) - 1]
    for axis in range(len(shape) + 1):
        made = (*shape[:axis], 1, *shape[axis:])
        if all(a is None or a == d for a, d in zip(asked, made, strict=True)):
            return [axis]
    return [0]


@rule("GatherV2")
def gather(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    shape = g.shape(user.inputs[0])
    if index == 2:
        return [0]
    if index == 1 and shape is None and count > 1 and made_by(g, user.inputs[0], "Shape"):
        return list(range(count))  # the dims that a product of tensors keeps
    if index != 1 or not shape:
        return None
    return [i % max(1, shape[0]) for i in range(count)]


@rule("GatherNd")
def gather_nd(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    return [0] * count if index == 1 else None


@rule("ReverseV2")
def reverse(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    return list(range(count)) if index == 1 else None


@rule("Transpose")
def transpose(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """Images to the layout that a convolution asks for; else the middle dims change places."""
    shape = g.shape(user.inputs[0])
    if index != 1 or not shape or len(shape) != count:
        return None
    for reader, at in g.users.get(user.name, []):
        parts = reader.attrs.whole("num", 0)
        if reader.op == "Unpack" and at == 0 and parts in shape:
            axis = reader.attrs.whole("axis", 0)
            rest = [a for a in range(count) if a != shape.index(parts)]
            return [*rest[:axis], shape.index(parts), *rest[axis:]]
    if count == 4:
        readers = [r for r, _ in g.users.get(user.name, []) if r.op == "Reshape"]
        if any(g.of_sides(r.name) for r in readers):
            return [0, 3, 1, 2]
        asked = g.expected(user.name, 4)
        for perm in ([0, 3, 1, 2], [0, 2, 3, 1]) if any(asked) else ():
            if all(a is None or shape[p] == a for a, p in zip(asked, perm, strict=True)):
                return perm
        if g.space(user) is not None:
            return [0, 2, 3, 1]
        return [0, 3, 1, 2] if g.of_image(user.inputs[0]) else [0, 2, 1, 3]
    if count == 2:
        return [1, 0]
    if count == 3 and any(
        r.op in ("TensorListFromTensor", "ReverseV2") for r, _ in g.users.get(user.name, [])
    ):
        return [1, 0, 2]  # steps first, for a loop over them
    if count == 5 and shape[0] == 1:
        return [0, 2, 1, 3, 4]  # channels shuffled among groups
    return [*range(count - 2), count - 1, count - 2]


# --- sizes ----------------------------------------------------------------------------------------


@rule("Reshape")
def reshape(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    shape = g.shape(user.inputs[0])
    if index != 1 or shape is None:
        return None
    total = math.prod(shape)
    bins = g.bins(user) if count == 4 and len(shape) == 3 else None
    if bins is not None and shape[1] == 4 * bins:
        return [shape[0], 4, bins, shape[2]]
    if count == 3 and len(shape) == 4 and g.of_sides(user.name):
        return [shape[0], shape[1], shape[2] * shape[3]]
    known = g.partly(user.inputs[1], count)
    asked = g.expected(user.name, count)
    if count == 3:
        asked[2] = g.row(user) or asked[2]
    if count > 1:
        asked[-1] = asked[-1] or columns(g, user.name, count)
    if count > 2:
        asked[1] = asked[1] or shared_rows(g, user)
    dims = [k if k is not None and k >= 0 else a for k, a in zip(known, asked, strict=True)]
    if len(shape) == 1 and count > 2 and not any(dims):
        dims = [*[1] * (count - 1), total]  # numbers for every place, as channels are
    found = fitted(total, dims, shape) or fitted(total, known, shape)
    open_dim = shared_shape(g, user, count)
    if found and open_dim is not None:
        found[open_dim] = -1
    return found


@rule("Fill", "BroadcastTo")
def fill(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    at = 0 if user.op == "Fill" else 1
    if index != at:
        return None
    known = g.partly(user.inputs[at], count)
    asked = g.expected(user.name, count)
    return [k or a or 1 for k, a in zip(known, asked, strict=True)]


@rule("Tile")
def tile(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    shape = g.shape(user.inputs[0])
    if index != 1 or shape is None or len(shape) != count:
        return None
    asked = g.expected(user.name, count)
    if not any(asked):
        return copies(g, user, shape)
    return [a // d if a and d and a % d == 0 else 1 for a, d in zip(asked, shape, strict=True)]


@rule("Conv2DBackpropInput")
def transposed(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    weight, image = g.shape(user.inputs[1]), g.shape(user.inputs[2])
    if index != 0 or count != 4 or not weight or not image or len(image) != 4:
        return None
    strides = user.attrs.ints("strides") or (1, 1, 1, 1)
    same = user.attrs.text("padding", "VALID").upper() == "SAME"
    sides = [
        d * s if same else (d - 1) * s + k
        for d, s, k in zip(image[1:3], strides[1:3], weight[:2], strict=True)
    ]
    return [image[0], *sides, weight[2]]


@rule("ResizeBilinear", "ResizeNearestNeighbor")
def resize(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """What the other side of a skip connection has, or twice the size."""
    image = g.shape(user.inputs[0])
    asked = g.expected(user.name, 4) if index == 1 else [None] * 4
    if asked[1] and asked[2]:
        return [asked[1], asked[2]]  # also for a loop that does not turn yet
    if index != 1 or not image or len(image) != 4:
        return None
    return [asked[1] or 2 * image[1], asked[2] or 2 * image[2]]


@rule("RFFT", "IRFFT")
def fft(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    shape = g.shape(user.inputs[0])
    if index != 1 or not shape:
        return None
    return [_transformed(shape[-1])]


def _transformed(size: int) -> int:
    """How long a Fourier transform of `size` numbers is."""
    return 1 << max(0, size - 1).bit_length()


@rule("TopKV2")
def top_k(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    shape = g.shape(user.inputs[0])
    if index != 1 or not shape:
        return None
    told = [d[1] for d in g.declared.values() if len(d) == 3 and d[1]]
    return [min(told[0] if told and told[0] else 10, shape[-1])]


@rule("OneHot")
def one_hot(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    return {1: [8], 2: [1], 3: [0]}.get(index)


@rule("Range")
def range_(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    return [(0, 8, 1)[index]]


# --- arithmetic with sizes ------------------------------------------------------------------------


@rule("Mul", "FloorDiv", "RealDiv", "Add", "AddV2", "Sub", "Maximum", "Minimum", "FloorMod")
def arithmetic(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """What makes of the other operand what is wanted of the result."""
    if len(user.inputs) != 2:
        return None
    if user.op in ("Add", "AddV2") and step(g, user, index):
        return [1] * count
    neutral = 1 if user.op in ("Mul", "FloorDiv", "RealDiv", "FloorMod") else 0
    other = g.known(user.inputs[1 - index])
    if other is None:
        if not g.is_constant(user.inputs[1 - index]):
            return g.place(user, index) if count == 1 else None
        other = [neutral]
    size = max(count, len(other))
    wanted = g.of_users(user, size, 1)
    side = g.canvas() if user.op == "Sub" and index == 0 and count == 1 else None
    if side is not None:
        return [side]  # what a picture is padded to
    if wanted is None:
        return [2 if user.op == "FloorMod" else neutral] * count
    result = []
    for i in range(count):
        w, o = wanted[i % len(wanted)], other[i % len(other)]
        if user.op == "Mul":
            result.append(w // o if o and w >= o else neutral)
        elif user.op in ("Add", "AddV2"):
            result.append(w - o)
        elif user.op == "Sub":
            result.append(o - w if index == 1 else w + o)
        elif user.op in ("FloorDiv", "RealDiv") and index == 1:
            result.append(max(1, o // w) if w > 0 else neutral)
        else:
            result.append(w if user.op in ("Maximum", "Minimum") else neutral)
    return result


# --- paddings and limits --------------------------------------------------------------------------


@rule("Pad", "PadV2", "MirrorPad")
def pad(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """What the convolution behind it takes off; or the channels that a sum asks for."""
    image = g.shape(user.inputs[0])
    if index != 1 or not image or count != 2 * len(image):
        return None
    pairs = [(0, 0)] * len(image)
    for reader, _ in g.users.get(user.name, []):
        if reader.op == "RFFT":  # its length is a power of two
            pairs[-1] = (0, _transformed(image[-1]) - image[-1])
    if len(image) == 4:
        for reader, at in g.users.get(user.name, []):
            axes = (1, 2)
            if reader.op == "Transpose":  # channels come first here
                axes, (reader, at) = (2, 3), (g.users.get(reader.name) or [(reader, 1)])[0]
            window = _window(g, reader, at)
            if window is not None:
                for axis, size in zip(axes, window, strict=True):
                    total = size - 1
                    pairs[axis] = (total // 2, total - total // 2)
                break
            if reader.op in ("Add", "AddV2", "AddN"):
                others = [r for i, r in enumerate(reader.inputs) if i != at]
                wide = next((c for c in map(g.channels, others) if c), image[3])
                pairs[3] = (0, max(0, wide - image[3]))
    maker = g.nodes.get(user.inputs[0].node)
    if maker is not None and maker.op == "StridedSlice":
        # What a slice has cut off one end comes back at the other.
        whole, begin = g.shape(maker.inputs[0]), g.known(maker.inputs[1]) or []
        if whole and len(whole) == len(image):
            for axis, (old, new) in enumerate(zip(whole, image, strict=True)):
                first = axis < len(begin) and begin[axis] > 0
                pairs[axis] = (0, old - new) if first else (old - new, 0)
    return [n for pair in pairs for n in pair]


def _window(g: Guesser, node: GraphNode, at: int) -> tuple[int, int] | None:
    """Height and width of the window of a convolution or pooling without padding of its own."""
    if node.attrs.text("padding", "SAME").upper() != "VALID" or at != 0:
        return None
    if node.op in ("MaxPool", "AvgPool"):
        size = node.attrs.ints("ksize")
        return (size[1], size[2]) if len(size) == 4 else None
    weight = g.shape(node.inputs[1]) if len(node.inputs) > 1 else None
    if not weight or len(weight) != 4:
        return None
    gaps = node.attrs.ints("dilations") or (1, 1, 1, 1)
    return (weight[0] - 1) * gaps[1] + 1, (weight[1] - 1) * gaps[2] + 1


@rule("SpaceToBatchND", "BatchToSpaceND")
def space_to_batch(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """A convolution with gaps: blocks of 2, edges that its window takes off."""
    if index == 1:
        return [2] * count
    if index != 2:
        return None
    start = user
    for _ in range(12):
        if start.op == "SpaceToBatchND" or not start.inputs:
            break
        start = g.nodes[start.inputs[0].node]
    image, block = g.shape(start.inputs[0]), g.known(start.inputs[1])
    if start.op != "SpaceToBatchND" or not image or not block or count != 2 * len(block):
        return None
    pairs: list[int] = []
    for axis, size in enumerate(block):
        more = -image[axis + 1] % size
        edge = 0
        for reader, at in g.users.get(start.name, []):
            window = _window(g, reader, at)
            edge = (window[axis] - 1) * size // 2 if window else 0
        pairs += [0, more] if user.op == "BatchToSpaceND" else [edge, edge + more]
    return pairs


@rule("Slice")
def slice_(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """All; of the scores of classes for rows all but the first, which is of no class."""
    shape = g.shape(user.inputs[0])
    if index == 1 and shape and len(shape) == count == 3 and shape[2] > 1:
        if made_by(g, user.inputs[0], "Sigmoid", "Softmax"):
            return [0, 0, 1]
    return {1: [0] * count, 2: [-1] * count}.get(index)


@rule("StridedSlice")
def strided_slice(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """Of a shape the place where the number goes; of other tensors all, or the first."""
    x = user.inputs[0]
    shape = g.shape(x)
    if index == 3:
        return [1] * count
    if index not in (1, 2) or shape is None:
        return None
    shrink = user.attrs.whole("shrink_axis_mask", 0)
    if g.known(x) is not None and len(shape) == 1 and count == 1:
        return _of_shape(g, user, index, shape[0], bool(shrink & 1))
    open_end = user.attrs.whole("end_mask", 0)
    open_begin = user.attrs.whole("begin_mask", 0)
    skipped = user.attrs.whole("new_axis_mask", 0) | user.attrs.whole("ellipsis_mask", 0)
    padded = any(n.op == "Pad" for n, _ in g.users.get(user.name, []))
    asked = g.expected(user.name, len(shape)) if not shrink and not skipped else [None] * len(shape)
    if not shrink and not skipped:
        asked = [
            _left(g, user, a, d) if w is None else w
            for a, (w, d) in enumerate(zip(asked, shape, strict=True))
        ]
    limits = []
    axis = 0
    for i in range(count):
        if skipped >> i & 1:
            limits.append(0)
            continue
        size = shape[axis] if axis < len(shape) else 1
        part = asked[axis] if axis < len(shape) else None
        axis += 1
        told = part is not None and part < size
        if part is None or part >= size:
            part = size - 1 if padded else (size + 1) // 2
        from_here, to_here = not open_begin >> i & 1, not open_end >> i & 1
        if shrink >> i & 1:
            limits.append(0 if index == 1 else 1)
        elif from_here and to_here:
            limits.append((size - part if told else 0) if index == 1 else size)
        elif index == 1:
            limits.append(size - part if from_here else 0)
        else:
            limits.append(part if to_here else 0)
    return limits


def _left(g: Guesser, user: GraphNode, axis: int, size: int) -> int | None:
    """What another slice leaves of a dim, if that one has its beginning and this one not."""
    if user.attrs.whole("begin_mask", 0) >> axis & 1:
        return None
    for other, index in g.users.get(user.inputs[0].node, []):
        if other.op != "StridedSlice" or index or other.name == user.name:
            continue
        if other.attrs.whole("begin_mask", 0) >> axis & 1:
            rank = len(g.shape(user.inputs[0]) or ())
            known = list(g.shape(Ref(other.name)) or ()) or g.expected(other.name, rank)
            taken = known[axis] if len(known) == rank else None
            if taken is not None and 0 < taken < size:
                return size - taken
    return None


def _of_shape(g: Guesser, user: GraphNode, index: int, rank: int, single: bool) -> Wanted:
    if single:
        at = g.position(user)
        at = 0 if at is None else at
        begin = min(at, rank - 1)
        return [begin if index == 1 else begin + 1]
    readers = [r for r, _ in g.users.get(user.name, [])]
    while readers and readers[0].op in _ARITHMETIC:
        readers = [r for r, _ in g.users.get(readers[0].name, [])]
    if readers and readers[0].op.startswith("Resize"):
        return [1 if index == 1 else 3]
    return [0 if index == 1 else rank]
