"""What the ops of TensorFlow want their axes, sizes, paddings and limits to be; see roles.py."""

from __future__ import annotations

import itertools
import math

from fanlight.formats.counts import Sizes
from fanlight.formats.tfgraph.boxes import columns, copies, of_columns, shared_rows
from fanlight.formats.tfgraph.layout import ELEMENTWISE, reads_image, usual_order
from fanlight.formats.tfgraph.nodes import GraphNode, Ref
from fanlight.formats.tfgraph.parts import (
    heads,
    last_size,
    made_by,
    masks,
    of_sizes,
    shared_shape,
    squeezed,
    told_split,
)
from fanlight.formats.tfgraph.roles import MANY, Guesser, Wanted, fitted, rule
from fanlight.formats.tfgraph.tellers import bins_of_sides
from fanlight.formats.tfgraph.turns import step

__all__ = ["Guesser"]

_BACK = 40  # nodes in which an earlier shape is looked for
_BOXES = 100
_ARITHMETIC = ("Mul", "Add", "AddV2", "Sub", "FloorDiv", "RealDiv", "Cast", "Identity")
_MOST_TRIED = 120  # axes, or orders of dims, of one constant


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
    if count > rank:
        return None
    likely = [1, 2] if rank == 4 and count == 2 else list(range(rank - count, rank))
    keeps = user.attrs.flag("keep_dims") or user.attrs.flag("keepdims")
    if keeps:
        return likely
    others = itertools.islice(itertools.combinations(range(rank), count), _MOST_TRIED)
    tried = [likely, *map(list, others)]
    left = [[d for a, d in enumerate(shape) if a not in axes] for axes in tried]
    fit = [i for i in range(len(tried)) if g.agrees(user, left[i])]
    if len(fit) > 1:
        asked = g.expected(user.name, rank - count)
        fit.sort(key=lambda i: sum(a not in (None, d) for a, d in zip(asked, left[i], strict=True)))
    return tried[fit[0]] if fit else likely


@rule("ArgMax", "ArgMin")
def arg(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """The last dim; of a picture made flat its places."""
    shape = g.shape(user.inputs[0])
    if index != 1 or not shape:
        return None
    maker = made_by(g, user.inputs[0], "Reshape")
    flat = maker is not None and len(shape) == 3 and len(g.shape(maker.inputs[0]) or ()) == 4
    likely = 1 if flat else len(shape) - 1
    for axis in (likely, *range(len(shape))):
        if g.agrees(user, [d for a, d in enumerate(shape) if a != axis]):
            return [axis]
    return [likely]


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
    if not shape or index == 0 or not count:
        return None
    sizes = g.shape(user.inputs[1])
    told = told_split(g, user, sizes[0]) if sizes else None
    if told is not None:
        return [told[0]] if index == 2 else told[1]
    if index == 2:
        return [len(shape) - 1]
    axis = (g.known(user.inputs[2]) or [-1])[0]
    size = shape[axis % len(shape)]
    if count == 3 and size == 1:
        return [0, 1, 0]  # a shape: what is before the dim, the dim, what is after it
    return [size // count] * (count - 1) + [size - size // count * (count - 1)]


@rule("ExpandDims")
def expand(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    shape = g.shape(user.inputs[0])
    back = squeezed(g, user)
    if index == 1 and back is not None:
        return [back]
    if index == 1 and shape is None and reads_image(g.users, user):
        return [0]  # a batch of one image, in a loop that does not turn yet
    if index != 1 or shape is None:
        return None
    if masks(g, user):
        return [len(shape)]
    asked = g.expected(user.name, len(shape) + 1)
    if not any(asked) and of_columns(g, user.inputs[0]):
        return [len(shape) - 1]
    tiled = [r for r, at in g.users.get(user.name, []) if r.op == "Tile" and at == 0]
    larger = g.expected(tiled[0].name, len(shape) + 1) if tiled else [None] * (len(shape) + 1)
    beside = _joined(g, user, len(shape) + 1)
    if beside:
        asked = [None] * (len(shape) + 1)
    found = []
    for axis in range(len(shape) + 1):
        made = (*shape[:axis], 1, *shape[axis:])
        if beside and sum(a != b for a, b in zip(made, beside, strict=True)) > 1:
            continue
        if all(a is None or a == d for a, d in zip(asked, made, strict=True)):
            found.append(axis)
            # What is repeated along the new dim is whole along the others.
            if tiled and all(a is None or d in (1, a) for a, d in zip(larger, made, strict=True)):
                return [axis]
    if beside is None and any(r.op == "ConcatV2" for r, _ in g.users.get(user.name, [])):
        found.reverse()  # joined along the last dim, as most are
    return found[:1] or [0]


def _joined(g: Guesser, node: GraphNode, rank: int) -> tuple[int, ...] | None:
    """The shape of a known tensor that a result is joined with: it differs in one dim."""
    for user, index in g.users.get(node.name, []):
        if user.op == "ConcatV2" and index < len(user.inputs) - 1:
            parts = user.inputs[:-1][:MANY]
            others = [g.shape(r) for i, r in enumerate(parts) if i != index]
            return next((s for s in others if s is not None and len(s) == rank), None)
    return None


@rule("GatherV2")
def gather(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    shape = g.shape(user.inputs[0])
    if index == 2:
        return [0]
    if index == 1 and shape is None and count > 1 and made_by(g, user.inputs[0], "Shape"):
        return list(range(count))  # the dims that a product of tensors keeps
    if index != 1 or not shape:
        return None
    maker = g.nodes.get(user.inputs[0].node)
    if maker is not None and maker.op == "Shape":
        # tf.tensordot: a matrix of the dims that stay, and of those that are summed over.
        packs = [
            (pack, at)
            for product, _ in g.users.get(user.name, [])
            for pack, at in g.users.get(product.name, [])
            if product.op == "Prod" and pack.op == "Pack"
        ]
        if any(at == 1 for _, at in packs):
            return list(range(shape[0] - count, shape[0]))
    return [i % max(1, shape[0]) for i in range(count)]


@rule("GatherNd")
def gather_nd(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    return [0] * count if index == 1 else None


@rule("ReverseV2")
def reverse(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    return list(range(count)) if index == 1 else None


@rule("Transpose")
def transpose(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """The likely order, unless what is behind has sizes that tell of another."""
    shape = g.shape(user.inputs[0])
    if index != 1 or not shape or len(shape) != count:
        return None
    likely = _likely_order(g, user, shape)
    for perm in (likely, *itertools.islice(itertools.permutations(range(count)), _MOST_TRIED)):
        if g.agrees(user, [shape[p] for p in perm]):
            return list(perm)
    return likely


def _likely_order(g: Guesser, user: GraphNode, shape: tuple[int, ...]) -> list[int]:
    """Images to the layout that a convolution asks for; else the middle dims change places."""
    count = len(shape)
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
        widths = [(g.shapes.dims(Ref(r.name)) or (None,))[-1] for r in readers]
        if shape[1] * shape[3] in widths:
            return [0, 2, 1, 3]  # columns of a picture, one after another
        asked = g.expected(user.name, 4)
        for perm in ([0, 3, 1, 2], [0, 2, 3, 1]) if any(asked) else ():
            if all(a is None or shape[p] == a for a, p in zip(asked, perm, strict=True)):
                return perm
    return usual_order(g.nodes, g.users, user, count)


# --- sizes ----------------------------------------------------------------------------------------


@rule("Reshape")
def reshape(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    shape = g.shape(user.inputs[0])
    if index != 1 or shape is None:
        return None
    total = math.prod(shape)
    bins = bins_of_sides(g.shapes, user) if count == 4 and len(shape) == 3 else None
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
    if count == 4:
        dims[2:] = heads(g, user, dims)
    maker = g.nodes.get(user.inputs[0].node)
    if maker is not None and maker.op == "GatherNd" and 0 < len(shape) < count:
        # What was picked is one row after another; the batch comes back before them.
        rows = [1, shape[0], *dims[2:]]
        if all(d is None or d == r for d, r in zip(dims, rows, strict=True)):
            dims = rows
    restored = _restored(g, user, dims) if count > len(shape) else None
    spread = all(r.op in ELEMENTWISE | {"Tile"} for r, _ in g.users.get(user.name, []))
    if restored is None and len(shape) == 1 and count > 2 and spread and not any(dims):
        dims = [*[1] * (count - 1), total]  # numbers for every place, as channels are
    found = restored or fitted(total, dims, shape) or fitted(total, known, shape)
    open_dim = shared_shape(g, user, count)
    if found and open_dim is not None:
        found[open_dim] = -1
    return found


def _restored(g: Guesser, user: GraphNode, dims: list[int | None]) -> Wanted:
    """The dims that an earlier Reshape has made one of, with what each place holds now behind."""
    if sum(d is None for d in dims) < 2:
        return None
    total = math.prod(g.shape(user.inputs[0]) or (0,))
    behind = [user.inputs[0].node]
    for name in behind:  # which grows
        node = g.nodes.get(name)
        if node is None or len(behind) > _BACK:
            break
        shape = g.shape(node.inputs[0]) if node.op == "Reshape" else None
        more = total % math.prod(shape) if shape and 0 not in shape else 1
        if shape and len(shape) in (len(dims), len(dims) - 1) and not more:
            made = [*shape, total // math.prod(shape)][: len(dims)]
            fits = all(d is None or d == m for d, m in zip(dims, made, strict=True))
            if fits and math.prod(made) == total and g.agrees(user, made):
                return made
        behind += [r.node for r in node.inputs if not g.is_constant(r) and r.node not in behind]
    return None


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
    strides = user.attrs.ints("strides") or (1, 1, 1, 1)
    if index != 0 or count != 4 or not weight or not image:
        return None
    if not len(weight) == len(image) == len(strides) == 4:
        return None
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
    asked = g.shapes.dims(Ref(user.name))
    if asked and asked[-1]:
        return [min(asked[-1], shape[-1])]
    told = [d[1] for d in g.declared.values() if len(d) == 3 and d[1]]
    return [min(told[0] if told and told[0] else 10, shape[-1])]


@rule("NonMaxSuppressionV2", "NonMaxSuppressionV3", "NonMaxSuppressionV4", "NonMaxSuppressionV5")
def non_max_suppression(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """As many boxes as detectors keep, if there are so many."""
    shape = g.shape(user.inputs[0])
    return [min(_BOXES, shape[0]) if shape else _BOXES] if index == 2 else None


@rule("OneHot")
def one_hot(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    return {1: [8], 2: [1], 3: [0]}.get(index)


@rule("Range")
def range_(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    return [(0, 8, 1)[index]]  # arity.py has looked how many there are


# --- arithmetic with sizes ------------------------------------------------------------------------


@rule("Mul", "FloorDiv", "RealDiv", "Add", "AddV2", "Sub", "Maximum", "Minimum", "FloorMod")
def arithmetic(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """What makes of the other operand what is wanted of the result."""
    if len(user.inputs) != 2:
        return None
    if user.op in ("Add", "AddV2") and step(g, user, index):
        return [1] * count
    counts = g.made(user.inputs[1]) if user.op == "Sub" and index == 0 and count == 1 else None
    if isinstance(counts, Sizes):
        # Filled up to as many as there can be.
        return [max((c.most for c in counts.counts.reshape(-1).tolist()), default=0)]
    neutral = 1 if user.op in ("Mul", "FloorDiv", "RealDiv", "FloorMod") else 0
    other = g.known(user.inputs[1 - index])
    if other is None:
        if not g.is_constant(user.inputs[1 - index]):
            return g.place(user, index) if count == 1 else None
        other = [neutral]
    if not other:
        return None
    size = max(count, len(other))
    wanted = g.of_users(user, size, 1)
    side = g.canvas if user.op == "Sub" and index == 0 and count == 1 else None
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
    if len(gaps) != 4:
        return None
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
        start = g.nodes.get(start.inputs[0].node, start)
    if start.op != "SpaceToBatchND":
        return None
    image, block = g.shape(start.inputs[0]), g.known(start.inputs[1])
    if not image or not block or count != 2 * len(block) or len(block) >= len(image):
        return None
    if len(block) > 2 or min(block) < 1:
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
    if index == 1 and count == 1:
        return last_size(g, user) or [0]
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
    new, ellipsis = (user.attrs.whole(f"{m}_mask", 0) for m in ("new_axis", "ellipsis"))
    skipped = new | ellipsis
    real = sum(1 for i in range(count) if not skipped >> i & 1)
    padded = any(n.op == "Pad" for n, _ in g.users.get(user.name, []))
    asked = g.expected(user.name, len(shape)) if not shrink and not new else [None] * len(shape)
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
            axis += max(0, len(shape) - real) if ellipsis >> i & 1 else 0
            continue
        size = shape[axis] if axis < len(shape) else 1
        part = asked[axis] if axis < len(shape) else None
        axis += 1
        if part is None and count == len(shape) == i + 1 and _weighs(g, user):
            part = 1
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


def _weighs(g: Guesser, user: GraphNode) -> bool:
    """Whether a slice with two ends multiplies one that is open to the end: a score for all."""
    if user.attrs.whole("end_mask", 0) >> (len(g.shape(user.inputs[0]) or ()) - 1) & 1:
        return False
    for reader, index in g.users.get(user.name, []):
        if reader.op == "Mul":
            other = g.nodes.get(reader.inputs[1 - index].node)
            if other is not None and other.op == "StridedSlice" and other.name != user.name:
                return other.inputs[0] == user.inputs[0]
    return False


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
    while readers and readers[0].op in _ARITHMETIC and not g.tired():
        readers = [r for r, _ in g.users.get(readers[0].name, [])]
    if readers and readers[0].op.startswith("Resize"):
        return [1 if index == 1 else 3]
    return [0 if index == 1 else rank]
