"""TensorLists and TensorArrays on their way through an import.

A list has a known number of elements. While indices are known it keeps its elements apart, so that
a loop that is written out just hands them on; where an index is computed it becomes one tensor
[count, *element], which loops carry. A TensorArray is the list that its flow carries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.tfgraph.call import TAKE_LISTS, Call, importer
from fanlight.ops.types import TensorType

MAX_COUNT = 1 << 16
Shape = tuple[int | None, ...] | None


@dataclass(frozen=True, eq=False)
class TensorList:
    """A list of tensors.

    Attributes:
        dtype: of its elements.
        shape: of each element, as far as it is known: None for an open rank, and for an open dim.
        count: how many elements.
        items: the elements, None for one that was never set; None if they lie in `dense`.
        dense: all of them as one tensor [count, *shape].
    """

    dtype: str
    shape: Shape
    count: int
    items: tuple[Tensor | None, ...] | None = None
    dense: Tensor | None = None

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """The shape of its elements if every size is known."""
        if self.shape is None or None in self.shape:
            return None
        return tuple(d for d in self.shape if d is not None)


@dataclass(frozen=True, eq=False)
class Handle:
    """What a TensorArray is called by; the list itself is in its flow."""

    dtype: str
    shape: Shape


def refined(a: Shape, b: Shape) -> Shape:
    """What two shapes say together; the second wins where both know."""
    if a is None or b is None:
        return b if a is None else a
    if len(a) != len(b):
        return b
    return tuple(y if y is not None else x for x, y in zip(a, b, strict=True))


def reserved(dtype: str, shape: Shape, count: int) -> TensorList:
    """A list of elements that are not set."""
    return TensorList(dtype, shape, count, items=(None,) * count)


def make_dense(call: Call, given: TensorList, shape: Shape = None) -> Tensor:
    """The list as one tensor [count, *element]; what was never set is zeros."""
    if given.dense is not None:
        return given.dense
    items = given.items or ()
    shape = refined(given.shape, shape)
    for item in items:
        if item is not None:
            shape = refined(shape, tuple(item.shape))
    sizes = replace(given, shape=shape).sizes
    if sizes is None:
        raise call.refuse(
            "the shape of the elements of an empty list is not known",
            expected="an element_shape of known sizes, or an element",
            received=f"{given.count} elements of shape {shape}",
        )
    check_size(TensorType((given.count, *sizes), given.dtype), call.where)
    rows: list[Tensor] = []
    for item, run in _runs(items):
        if item is None:
            rows.append(call.em.full((run, *sizes), 0, given.dtype, call.where))
            continue
        if tuple(item.shape) != sizes:
            raise call.refuse(
                "the elements of a list differ in shape",
                expected=list(sizes),
                received=list(item.shape),
            )
        rows.append(call.em.reshape(item, (1, *sizes), f"{call.node.name}/row"))
    if not rows:
        return np.zeros((0, *sizes), dtypes.to_numpy(given.dtype))
    return rows[0] if len(rows) == 1 else call.op("concat", *rows, axis=0, part="rows")


def _runs(items: Sequence[Tensor | None]) -> Iterator[tuple[Tensor | None, int]]:
    """Every element that is set, and how many beside each other are not: a list may be long."""
    unset = 0
    for item in items:
        if item is None:
            unset += 1
            continue
        if unset:
            yield None, unset
        unset = 0
        yield item, 1
    if unset:
        yield None, unset


def listed(call: Call, index: int = 0) -> TensorList:
    """Input `index`, which is a list."""
    x: Any = call.x(index)
    if not isinstance(x, TensorList):
        raise call.refuse("this is no list", expected="a list", received=repr(x)[:80])
    return x


def _numbers(call: Call, index: int = 0) -> Tensor:
    """Input `index`, which is a tensor."""
    x: Any = call.x(index)
    if is_list(x):
        raise call.refuse("numbers are wanted here", expected="a tensor", received="a list")
    return x


def _handle(call: Call) -> Handle:
    x: Any = call.x()
    if not isinstance(x, Handle):
        raise call.refuse("this is no TensorArray", expected="its handle", received=repr(x)[:80])
    return x


def _count(call: Call, count: int) -> int:
    """The length of a list that is made."""
    if not 0 <= count <= MAX_COUNT:
        raise call.refuse(
            "the length of the list is out of range",
            expected=f"0 to {MAX_COUNT}",
            received=count,
        )
    call.em.budget.keep_elements(count, call.where)
    return count


def _shape(call: Call, index: int) -> Shape:
    """An element shape as an input: known sizes, -1 for open ones, or the number -1."""
    if index >= len(call.inputs) or not isinstance(call.inputs[index], np.ndarray):
        return None
    given = call.known(index, "the element shape")
    if given.ndim == 0:
        return None
    return tuple(None if d < 0 else d for d in call.ints(index, "the element shape"))


def _known_index(call: Call, index: int) -> int | None:
    known = isinstance(_numbers(call, index), np.ndarray)
    return call.number(index, "the index") if known else None


def _place(call: Call, index: int) -> Tensor:
    """A computed index as [1]."""
    given = call.em.cast(call.x(index), "int32", f"{call.node.name}/index")
    return call.em.reshape(given, (1,), f"{call.node.name}/index")


# --- elements -------------------------------------------------------------------------------------


def get(call: Call, given: TensorList, index: int, shape: Shape = None) -> Tensor:
    """The element that input `index` names."""
    at = _known_index(call, index)
    if at is not None and not 0 <= at < given.count:
        raise call.refuse("the index is outside", expected=f"0 to {given.count - 1}", received=at)
    if at is not None and given.items is not None:
        item = given.items[at]
        if item is not None:
            return item
        sizes = replace(given, shape=refined(given.shape, shape)).sizes
        if sizes is None:
            raise call.refuse("an element is read that was never set", received=f"element {at}")
        return call.em.full(sizes, 0, given.dtype, call.where)
    dense = make_dense(call, given, shape)
    element = tuple(dense.shape[1:])
    if at is not None:
        row = call.op(
            "slice", dense, part="row", begin=(at, *[0] * len(element)), size=(1, *element)
        )
        return call.em.reshape(row, element, call.node.name)
    row = call.op("gather", dense, _place(call, index), axis=0, part="row")
    return call.em.reshape(row, element, call.node.name)


def put(call: Call, given: TensorList, index: int, item: Tensor) -> TensorList:
    """The list with another element at the place that input `index` names."""
    at = _known_index(call, index)
    shape = refined(given.shape, tuple(item.shape))
    if at is not None:
        if not 0 <= at < MAX_COUNT:
            raise call.refuse("the index is outside", expected=given.count, received=at)
        items = list(apart(call, given))
        items += [None] * (at + 1 - len(items))  # a TensorArray may grow
        _count(call, len(items))
        items[at] = item
        return TensorList(given.dtype, shape, len(items), items=tuple(items))
    dense = make_dense(call, given, tuple(item.shape))
    if tuple(dense.shape[1:]) != tuple(item.shape):
        raise call.refuse(
            "an element of another shape is put into a list",
            expected=list(dense.shape[1:]),
            received=list(item.shape),
        )
    where = call.em.reshape(_place(call, index), (1, 1), f"{call.node.name}/index")
    row = call.em.reshape(item, (1, *item.shape), f"{call.node.name}/row")
    dense = call.op("scatter_nd", where, row, dense, mode="update")
    return TensorList(given.dtype, tuple(item.shape), given.count, dense=dense)


def apart(call: Call, given: TensorList) -> tuple[Tensor | None, ...]:
    """The elements of a list, each as a tensor.

    Raises:
        FanlightError: E-FORMAT-023 if the lists of the model are taken apart into too many.
    """
    if given.items is not None:
        return given.items
    assert given.dense is not None
    call.em.budget.take_apart(given.count, call.where)
    element = tuple(given.dense.shape[1:])
    rows = []
    for i in range(given.count):
        begin = (i, *[0] * len(element))
        row = call.op("slice", given.dense, part="row", begin=begin, size=(1, *element))
        rows.append(call.em.reshape(row, element, f"{call.node.name}/row"))
    return tuple(rows)


def _of_tensor(call: Call, x: Tensor) -> TensorList:
    if not x.shape:
        raise call.refuse("a number is no list", expected="at least one dim")
    _count(call, x.shape[0])
    return TensorList(dtype_of(x), tuple(x.shape[1:]), x.shape[0], dense=x)


def _gathered(call: Call, given: TensorList, index: int, shape: Shape) -> Tensor:
    indices = _numbers(call, index)
    dense = make_dense(call, given, shape)
    if isinstance(indices, np.ndarray) and list(indices.reshape(-1)) == list(range(given.count)):
        return dense
    if not given.count:
        raise call.refuse("elements of an empty list are wanted", received=list(indices.shape))
    indices = call.em.cast(indices, "int32", f"{call.node.name}/indices")
    return call.op("gather", dense, indices, axis=0)


def _scattered(call: Call, base: TensorList, index: int, x: Tensor) -> TensorList:
    """The list with the rows of x put at the places that input `index` names."""
    indices = _numbers(call, index)
    if len(indices.shape) != 1 or not x.shape or indices.shape[0] != x.shape[0]:
        raise call.refuse(
            "indices and rows do not fit", received=f"{list(indices.shape)}, {list(x.shape)}"
        )
    if isinstance(indices, np.ndarray):
        places = call.ints(index, "the indices")
        if places == tuple(range(x.shape[0])) and base.count <= x.shape[0]:
            return _of_tensor(call, x)
        if max(places, default=0) >= MAX_COUNT or min(places, default=0) < 0:
            raise call.refuse("an index is outside", received=places[:8])
        count = _count(call, max(base.count, max(places, default=-1) + 1))
        items = list(apart(call, base)) + [None] * (count - base.count)
        for place, row in zip(places, apart(call, _of_tensor(call, x)), strict=True):
            items[place] = row
        return TensorList(dtype_of(x), tuple(x.shape[1:]), count, items=tuple(items))
    dense = make_dense(call, base, tuple(x.shape[1:]))
    column = call.em.cast(indices, "int32", f"{call.node.name}/indices")
    column = call.em.reshape(column, (*indices.shape, 1), f"{call.node.name}/indices")
    dense = call.op("scatter_nd", column, x, dense, mode="update")
    return TensorList(dtype_of(x), tuple(x.shape[1:]), base.count, dense=dense)


def _cut(call: Call, x: Tensor, index: int) -> TensorList:
    """x cut along its first dim into parts of known lengths."""
    lengths = call.ints(index, "the lengths")
    if not x.shape or sum(lengths) != x.shape[0] or min(lengths, default=0) < 0:
        raise call.refuse("the lengths do not add up", expected=x.shape[:1], received=lengths[:16])
    items, start = [], 0
    for count in lengths:
        begin = (start, *[0] * (len(x.shape) - 1))
        items.append(call.op("slice", x, part="part", begin=begin, size=(count, *x.shape[1:])))
        start += count
    return TensorList(dtype_of(x), (None, *x.shape[1:]), len(items), items=tuple(items))


def _joined(call: Call, given: TensorList) -> list[Tensor]:
    """All elements in a row, along their first dim, and the length of each."""
    if given.dense is not None and len(given.dense.shape) > 1:
        dense = given.dense
        count, length = dense.shape[:2]
        joined = call.em.reshape(dense, (count * length, *dense.shape[2:]), call.node.name)
        return [joined, np.full(count, length, np.int32)]
    items = []
    for item in given.items or ():
        if item is None or not item.shape:
            raise call.refuse("an element without a first dim is joined", received=repr(item)[:80])
        items.append(item)
    if not items:
        raise call.refuse("nothing is joined", expected="a list with elements")
    lengths = np.array([item.shape[0] for item in items], np.int32)
    return [items[0] if len(items) == 1 else call.op("concat", *items, axis=0), lengths]


# --- TensorList -----------------------------------------------------------------------------------


@importer("EmptyTensorList")
def empty(call: Call) -> Any:
    return reserved(call.attrs.dtype("element_dtype"), _shape(call, 0), 0)


@importer("TensorListReserve")
def reserve(call: Call) -> Any:
    count = _count(call, max(0, call.number(1, "the number of elements")))
    return reserved(call.attrs.dtype("element_dtype"), _shape(call, 0), count)


@importer("TensorListFromTensor")
def from_tensor(call: Call) -> Any:
    return _of_tensor(call, _numbers(call))


@importer("TensorListStack")
def stack(call: Call) -> Tensor:
    return make_dense(call, listed(call), _shape(call, 1))


@importer("TensorListGetItem")
def get_item(call: Call) -> Tensor:
    return get(call, listed(call), 1, _shape(call, 2))


@importer("TensorListSetItem")
def set_item(call: Call) -> Any:
    return put(call, listed(call), 1, _numbers(call, 2))


@importer("TensorListGather")
def gather(call: Call) -> Tensor:
    return _gathered(call, listed(call), 1, _shape(call, 2))


@importer("TensorListScatter", "TensorListScatterV2")
def scatter(call: Call) -> Any:
    x, count = _numbers(call), 0
    if call.node.op == "TensorListScatterV2":
        count = max(0, call.number(3, "the number of elements"))
    base = reserved(dtype_of(x), tuple(x.shape[1:]), _count(call, count))
    return _scattered(call, base, 1, x)


@importer("TensorListScatterIntoExistingList")
def scatter_into(call: Call) -> Any:
    return _scattered(call, listed(call), 2, _numbers(call, 1))


@importer("TensorListSplit")
def split(call: Call) -> Any:
    return _cut(call, _numbers(call), 2)


@importer("TensorListConcat", "TensorListConcatV2")
def concat(call: Call) -> list[Tensor]:
    return _joined(call, listed(call))


@importer("TensorListPushBack")
def push_back(call: Call) -> Any:
    given, item = listed(call), _numbers(call, 1)
    _count(call, given.count + 1)
    shape = refined(given.shape, tuple(item.shape))
    items = (*apart(call, given), item)
    return TensorList(given.dtype, shape, len(items), items=items)


@importer("TensorListPopBack")
def pop_back(call: Call) -> list[Any]:
    given = listed(call)
    if not given.count:
        raise call.refuse("an element of an empty list is wanted")
    _count(call, given.count - 1)
    items = apart(call, given)
    last = items[-1]
    if last is None:
        sizes = replace(given, shape=refined(given.shape, _shape(call, 1))).sizes
        if sizes is None:
            raise call.refuse("an element is read that was never set")
        last = call.em.full(sizes, 0, given.dtype, call.where)
    return [TensorList(given.dtype, given.shape, given.count - 1, items=items[:-1]), last]


@importer("TensorListLength")
def length(call: Call) -> Tensor:
    return np.array(listed(call).count, np.int32)


@importer("TensorListResize")
def resize(call: Call) -> Any:
    given, count = listed(call), _count(call, call.number(1, "the length"))
    if count == given.count:
        return given
    items = apart(call, given)[:count]
    items += (None,) * (count - len(items))
    return TensorList(given.dtype, given.shape, count, items=items)


# --- TensorArray ----------------------------------------------------------------------------------


@importer("TensorArrayV3")
def array(call: Call) -> list[Any]:
    dtype, shape = call.attrs.dtype("dtype"), call.attrs.dims("element_shape")
    count = _count(call, max(0, call.number(0, "the size")))
    return [Handle(dtype, shape), reserved(dtype, shape, count)]


@importer("TensorArrayWriteV3")
def array_write(call: Call) -> Any:
    _handle(call)
    return put(call, listed(call, 3), 1, _numbers(call, 2))


@importer("TensorArrayReadV3")
def array_read(call: Call) -> Tensor:
    return get(call, listed(call, 2), 1, _handle(call).shape)


@importer("TensorArrayGatherV3")
def array_gather(call: Call) -> Tensor:
    return _gathered(call, listed(call, 2), 1, _handle(call).shape)


@importer("TensorArrayScatterV3")
def array_scatter(call: Call) -> Any:
    _handle(call)
    return _scattered(call, listed(call, 3), 1, _numbers(call, 2))


@importer("TensorArrayConcatV3")
def array_concat(call: Call) -> list[Tensor]:
    _handle(call)
    return _joined(call, listed(call, 1))


@importer("TensorArraySplitV3")
def array_split(call: Call) -> Any:
    _handle(call)
    return _cut(call, _numbers(call, 1), 2)


@importer("TensorArraySizeV3")
def array_size(call: Call) -> Tensor:
    _handle(call)
    return np.array(listed(call, 1).count, np.int32)


@importer("TensorArrayCloseV3")
def array_close(call: Call) -> list[Tensor]:
    _handle(call)
    return []


def is_list(x: object) -> bool:
    """Whether a value of the import is a list or the handle of one."""
    return isinstance(x, TensorList | Handle)


def shown(values: Sequence[object]) -> str:
    """Some values in words, for messages."""
    return ", ".join("a list" if is_list(v) else str(getattr(v, "type", v))[:40] for v in values)


TAKE_LISTS.update(
    """EmptyTensorList TensorListReserve TensorListFromTensor TensorListStack TensorListGetItem
    TensorListSetItem TensorListGather TensorListScatterIntoExistingList TensorListConcat
    TensorListConcatV2 TensorListPushBack TensorListPopBack TensorListLength TensorListResize
    TensorArrayWriteV3 TensorArrayReadV3 TensorArrayGatherV3 TensorArrayScatterV3
    TensorArrayConcatV3 TensorArraySplitV3 TensorArraySizeV3 TensorArrayCloseV3
    Identity IdentityN If StatelessIf While StatelessWhile Switch""".split()
)
