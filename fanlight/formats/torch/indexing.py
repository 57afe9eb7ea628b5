"""Importers of operators that take places as numbers: index, gather, scatter."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.torch.call import Call, importer
from fanlight.graph import Value
from fanlight.tensor import functions as fn
from fanlight.tensor import indices as places
from fanlight.tensor import sorting


@importer("index_select")
def index_select(call: Call) -> Tensor:
    x = call.x()
    axis = call.axis("dim", len(x.shape), 0)
    return call.op("gather", x, _positive(call, call.x("index"), x.shape[axis]), axis=axis)


def _positive(call: Call, index: Tensor, size: int) -> Tensor:
    """Places counted from the end become places from the start."""
    index = call.cast(index, "int32", "places")
    if isinstance(index, np.ndarray):
        return np.where(index < 0, index + size, index).astype(np.int32)
    return call.function(lambda i: fn.where(fn.less(i, 0), fn.add(i, size), i), index)


def _places(call: Call, x: Tensor) -> tuple[list[int], list[Tensor]]:
    """The dims that are indexed, and their places; masks that are known become places."""
    given = call.get("indices")
    if not isinstance(given, list) or len(given) > len(x.shape):
        raise call.refuse("the indices do not fit", received=repr(given)[:80])
    axes: list[int] = []
    found: list[Tensor] = []
    at = 0
    for index in given:
        if index is None:
            at += 1
            continue
        if not isinstance(index, Value | np.ndarray):
            raise call.refuse("an index is no tensor", received=repr(index)[:80])
        if dtype_of(index) == "bool":
            if not isinstance(index, np.ndarray):
                raise call.depends("how many elements a mask takes")
            for where in np.nonzero(index):
                axes.append(at)
                found.append(where.astype(np.int32))
                at += 1
            continue
        axes.append(at)
        found.append(_positive(call, index, x.shape[at]))
        at += 1
    if not axes or at > len(x.shape):
        raise call.refuse("the indices do not fit", received=len(given))
    return axes, found


@importer("index", "_unsafe_index")
def index(call: Call) -> Tensor:
    """NumPy's indexing with arrays: the indexed dims become one block."""
    x = call.x()
    axes, found = _places(call, x)
    if len(axes) == 1:
        return call.op("gather", x, found[0], axis=axes[0])
    rest = [d for d in range(len(x.shape)) if d not in axes]
    together = axes == list(range(axes[0], axes[0] + len(axes)))
    turned = call.em.transpose(x, (*axes, *rest), call.name("first"))

    def compute(x: Any, *index: Any) -> Any:
        return places.gather_nd(x, _joined(index))

    y = call.function(compute, turned, *found)
    block = len(y.shape) - len(rest)
    lead = axes[0] if together else 0
    perm = [*range(block, block + lead), *range(block), *range(block + lead, len(y.shape))]
    return call.em.transpose(y, perm, call.name("block"))


def _joined(index: Any) -> Any:
    """Places of several dims, broadcast and side by side."""
    shape = np.broadcast_shapes(*(tuple(i.shape) for i in index))
    return fn.stack([fn.broadcast_to(i, shape) for i in index], -1)


@importer("index_put", "index_put_", "_unsafe_index_put")
def index_put(call: Call) -> Tensor:
    x = call.x()
    given = call.get("indices")
    values = call.x("values", dtype_of(x))
    if (
        isinstance(given, list)
        and len(given) == 1
        and isinstance(given[0], Value)
        and given[0].dtype == "bool"
        and not values.shape
    ):
        mask = call.em.reshape(
            given[0], (*given[0].shape, *(1 for _ in x.shape[len(given[0].shape) :])),
            call.name("mask"),
        )  # fmt: skip
        return call.op("select", mask, values, x)
    axes, found = _places(call, x)
    rest = [d for d in range(len(x.shape)) if d not in axes]
    line = len(axes) == 1 and len(found[0].shape) == 1  # its block of values is one dim
    if axes != list(range(axes[0], axes[0] + len(axes))) or (
        axes[0] and len(values.shape) > 1 and not line
    ):
        raise call.refuse("indices of dims that are not the first ones", received=axes)
    perm = [*axes, *rest]
    back = [perm.index(d) for d in range(len(perm))]
    put = places.tensor_scatter_add if call.flag("accumulate") else places.tensor_scatter_update

    def compute(x: Any, values: Any, *index: Any) -> Any:
        at = _joined(index)
        turned = fn.transpose(x, perm)
        shape = (*at.shape[:-1], *turned.shape[at.shape[-1] :])
        if line:
            whole = [index[0].shape[0] if d == axes[0] else n for d, n in enumerate(x.shape)]
            values = fn.transpose(fn.broadcast_to(values, whole), perm)
        return fn.transpose(put(turned, at, fn.broadcast_to(values, shape)), back)

    return call.function(compute, x, values, *found)


@importer("gather")
def gather(call: Call) -> Tensor:
    x, index = call.x(), call.x("index", "int32")
    if not x.shape:
        return call.op("broadcast_to", x, shape=tuple(index.shape))
    axis = call.axis("dim", len(x.shape))
    return call.function(lambda x, i: places.gather_nd(x, _along(i, axis)), x, index)


@importer("take_along_dim")
def take_along_dim(call: Call) -> Tensor:
    axis = call.axis("dim", len(call.x().shape))
    return call.function(
        lambda x, i: places.take_along_axis(x, i, axis), call.x(), call.x("indices", "int32")
    )


def _along(index: Any, axis: int) -> Any:
    """Tuples of places: `index` along one dim, where each element is along the others."""
    shape = tuple(index.shape)
    parts = []
    for d, n in enumerate(shape):
        if d == axis:
            parts.append(index)
            continue
        own = np.arange(n, dtype=np.int32).reshape([n if i == d else 1 for i in range(len(shape))])
        parts.append(fn.broadcast_to(own, shape))
    return fn.stack(parts, -1)


_MODES = {
    "sum": places.tensor_scatter_add,
    "add": places.tensor_scatter_add,
    "amax": places.tensor_scatter_max,
    "amin": places.tensor_scatter_min,
}


@importer("scatter", "scatter_", "scatter_add", "scatter_add_", "scatter_reduce")
def scatter(call: Call) -> Tensor:
    x, index = call.x(), call.x("index", "int32")
    axis = call.axis("dim", len(x.shape))
    name = "value" if "value" in call.args else "src"
    updates = call.x(name, dtype_of(x))
    how = call.get("reduce") or ("add" if "scatter_add" in call.node.target else None)
    put = places.tensor_scatter_update if how is None else _MODES.get(how)
    if put is None or not call.flag("include_self", True):
        raise call.refuse("this way to reduce", expected=", ".join(_MODES), received=how)
    shape = tuple(index.shape)
    if updates.shape and tuple(updates.shape) != shape:
        updates = call.op("slice", updates, part="used", begin=(0,) * len(shape), size=shape)

    def compute(x: Any, i: Any, u: Any) -> Any:
        return put(x, _along(i, axis), fn.broadcast_to(u, shape))

    return call.function(compute, x, index, updates)


@importer("select_scatter", "slice_scatter")
def part_scatter(call: Call) -> Tensor:
    x, src = call.x(), call.x("src", dtype_of(call.x()))
    axis = call.axis("dim", len(x.shape), 0)
    size = x.shape[axis]
    if "select" in call.node.target:
        taken = [call.whole("index") % max(size, 1)]
        src = call.em.reshape(src, (*src.shape[:axis], 1, *src.shape[axis:]), call.name("src"))
    else:
        limits = [call.get(n) for n in ("start", "end", "step")]
        taken = list(range(size))[slice(*limits)]
    if not taken:
        return x
    # Each place of the result is one of x, or one of src behind it.
    order = np.arange(size, dtype=np.int32)
    order[taken] = size + np.arange(len(taken), dtype=np.int32)
    both = call.op("concat", x, src, part="both", axis=axis)
    return call.op("gather", both, order, axis=axis)


@importer("index_add", "index_copy", "index_fill")
def index_add(call: Call) -> Tensor:
    x, index = call.x(), call.x("index", "int32")
    axis = call.axis("dim", len(x.shape))
    source = call.x("source" if "source" in call.args else "value", dtype_of(x))
    put = (
        places.tensor_scatter_add
        if "index_add" in call.node.target
        else places.tensor_scatter_update
    )
    perm = [axis, *(d for d in range(len(x.shape)) if d != axis)]
    back = [perm.index(d) for d in range(len(perm))]

    def compute(x: Any, i: Any, s: Any) -> Any:
        turned = fn.transpose(x, perm)
        wide = (i.shape[0], *turned.shape[1:])
        s = fn.broadcast_to(s, wide) if s.rank == 0 else fn.transpose(s, perm)
        return fn.transpose(put(turned, fn.expand_dims(i, -1), s), back)

    return call.function(compute, x, index, source)


@importer("one_hot")
def one_hot(call: Call) -> Tensor:
    depth = call.whole("num_classes", -1)
    if not 0 < depth < 1 << 20:
        raise call.depends("the number of classes")
    return call.function(lambda i: fn.one_hot(i, depth), call.x(dtype="int32"))


@importer("searchsorted", "bucketize")
def searchsorted(call: Call) -> Tensor:
    bucket = "bucketize" in call.node.target
    edges = call.x("boundaries" if bucket else "sorted_sequence", "float32")
    side = "right" if call.flag("right") else "left"
    values = call.x("self", "float32")
    return call.function(lambda e, v: sorting.search_sorted(e, v, side), edges, values)
