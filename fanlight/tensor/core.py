"""Tensor, and `apply`: the one way in which ops are applied to tensors.

Eager tensors hold a NumPy array, and `apply` computes at once by the meaning of the op's row. While
a function is traced (trace.py) its tensors stand for values of a graph, and `apply` adds nodes.
Tapes (tape.py) listen to every call, of either kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError, ProtocolError
from fanlight.ops import row as rows
from fanlight.ops.types import TensorType
from fanlight.tensor import stored
from fanlight.tensor.caller import caller as caller
from fanlight.tensor.caller import function_called, place
from fanlight.tensor.calls import Call, Level, deepest, newest, shared, state, tell, watch
from fanlight.tensor.standard import Standard
from fanlight.tensor.stored import STORED

if TYPE_CHECKING:
    from fanlight.tensor.method_types import Methods
else:

    class Methods:  # bound by fanlight.tensor.methods
        __slots__ = ()


Function = Callable[..., Any]
DTYPES = ("float32", "int32", "bool", "uint8")
_ORDER = ("bool", "uint8", "int32", "float32", dtypes.COMPLEX)


# What computes a call, its complete attributes, and the types of its results.
_Checked = tuple[rows.Run, dict[str, Any], list[TensorType]]
# Calls whose rules were found to hold, by op, attributes and types.
_CHECKED: dict[tuple[Any, ...], _Checked] = {}
_MOST_CHECKED = 10_000
MOST_DIMS = 6
MOST_BYTES = 4 << 30  # WebAssembly has addresses for no more
MOST_BESIDE_NONE = 1 << 48  # NumPy multiplies dims of no elements, too


@lru_cache(maxsize=_MOST_CHECKED)
def type_of(shape: tuple[int, ...], dtype: str) -> TensorType:
    """One object for equal types, which makes them quick to compare.

    Raises:
        FanlightError: E-TENSOR-014 more dims or bytes than a tensor may have.
    """
    made = TensorType(shape, dtype)
    wide = not made.nbytes and prod(n or 1 for n in made.bound) > MOST_BESIDE_NONE
    if made.rank > MOST_DIMS or made.nbytes > MOST_BYTES or wide:
        raise FanlightError(
            "E-TENSOR-014",
            "this tensor would have too many dims."
            if made.rank > MOST_DIMS
            else "this tensor would be too large.",
            where=caller(),
            expected=f"at most {MOST_DIMS} dims and {MOST_BYTES >> 30} GiB",
            received=f"{made}, {made.nbytes / 2**30:.3g} GiB"[:200],
            next="join dims with fl.reshape."
            if made.rank > MOST_DIMS
            else "take a smaller part at a time.",
        )
    return made


class Tensor(Methods, Standard):
    """An n-dimensional array of one dtype; or, while a function is traced, one of its values.

    Tensors do not change. Made by `fl.tensor` and by ops; a NumPy array or a number may stand
    wherever a tensor may.

    Attributes:
        shape: a tuple of ints.
        kept: whether `fl.tidy` spares it.
        dtype: "float32", "int32", "bool" or "uint8"; "complex64" (tensor/complex.py); or one that
            only stores: "int8", "float16", "string".
    """

    __slots__ = ("__weakref__", "_array", "_trace", "_type", "_value", "kept")
    __hash__ = object.__hash__
    varies = False  # whether its numbers may change: those of a variable

    def __init__(
        self,
        type: TensorType,
        array: np.ndarray | None,
        trace: Level | None = None,
        value: Any = None,
    ) -> None:
        self._type, self._array, self._trace, self._value = type, array, trace, value
        self.kept = False
        if array is not None:
            shared.alive.add(ref(self, shared.alive.discard))
            if state.scopes:
                scope = state.scopes[-1]
                scope.add(ref(self, scope.discard))

    # --- what it is -------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._type.bound

    @property
    def dtype(self) -> str:
        return self._type.dtype

    @property
    def rank(self) -> int:
        """Number of dims."""
        return self._type.rank

    @property
    def ndim(self) -> int:
        """Number of dims."""
        return self._type.rank

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._type.size

    @property
    def traced(self) -> bool:
        """Whether it stands for a value of a function that is being traced."""
        return self._trace is not None

    @property
    def type(self) -> TensorType:
        """Shape and dtype together."""
        return self._type

    @property
    def T(self) -> Tensor:
        """The tensor with its dims reversed."""
        return self.transpose()

    # --- its numbers ------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """The elements as a NumPy array, which is not a copy and cannot be written to.

        Raises:
            FanlightError: E-TENSOR-002 it was disposed; E-TENSOR-003 it has no numbers yet, since
                the function that it is in is only being traced.
        """
        if self._trace is not None:
            over = not getattr(self._trace, "open", True)
            raise FanlightError(
                "E-TENSOR-003",
                f"this tensor has no numbers: its function {'was' if over else 'is being'} traced.",
                where=place(),
                expected="only ops on tensors in a traced function, and its results outside",
                received=str(self._type),
                next="compute with tensors; for a choice by numbers use fl.where or fl.cond.",
            )
        if self._array is None:
            raise FanlightError(
                "E-TENSOR-002",
                "this tensor was disposed.",
                where=place(),
                expected="a tensor that is held",
                received=str(self._type),
                next="keep it: leave it out of dispose(), or return it from fl.tidy.",
            )
        return self._array

    def item(self) -> float | int | bool:
        """The only element, as a Python number."""
        if self.size != 1:
            raise ProtocolError(  # a TypeError, as Python's float() and NumPy have it
                "E-TENSOR-008",
                "only a tensor of one element is a number.",
                where=caller(),
                expected="one element",
                received=str(self._type),
                next="index it, or reduce it first: fl.sum, fl.all, fl.any.",
            )
        result: float | int | bool = self.numpy().item()
        return result

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.numpy().tolist()

    def __format__(self, form: str) -> str:
        if not isinstance(form, str) or not form:
            return repr(self)
        return format(self.item(), form)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's operators leave mixed expressions to ours; its other functions are not taken."""
        op = _OPERATORS.get(ufunc.__name__)
        if op is None or method != "__call__" or options or len(inputs) != 2:
            from fanlight.tensor.numpys import refused

            raise refused(ufunc.__name__, self)
        a, b = (v if isinstance(v, Tensor) else tensor(v) for v in inputs)
        return op(a, b)

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        """NumPy's other functions get arrays, where no gradient gets lost with that."""
        from fanlight.tensor.numpys import called

        return called(function, self, given, options)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        # What steps over elements is no piece of memory that can be told: a copy is.
        array = np.ascontiguousarray(self.__array__(copy=False)).reshape(self.shape)
        # The memory is told as an object, which who reads it keeps: it outlives the tensor.
        return {**array.__array_interface__, "data": array.data, "strides": array.strides}

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if state.listeners:
            from fanlight.tensor.numpys import arrays

            arrays(self, None)  # which refuses what a gradient depends on
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __complex__(self) -> complex:
        return complex(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype not in ("int32", "uint8", "int8"):
            raise ProtocolError(
                "E-TENSOR-015",
                f"a tensor of {self.dtype} is no whole number, and no index.",
                where=caller(),
                expected="a tensor of one whole number",
                received=str(self._type),
                next="cast it: fl.cast(x, 'int32').",
            )
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __len__(self) -> int:
        if not self.rank:
            raise ProtocolError(
                "E-TENSOR-015",
                "a tensor without dims has no length, and nothing to go through.",
                where=caller(),
                expected="a tensor with a first dim",
                received=str(self._type),
                next="x.item() is its number.",
            )
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        if self._trace is not None or self._array is None:
            what = "traced" if self._trace is not None else "disposed"
            return f"<{what} tensor {self._type}>"
        numbers = np.array2string(
            self._array, separator=", ", prefix="tensor(", threshold=200, edgeitems=3, precision=5
        )
        return f"tensor({numbers}, {self.dtype}{list(self.shape)})"

    def alias(self) -> Tensor:
        """The same numbers as a tensor of its own, which no tape connects with this one."""
        if self._trace is not None:
            return self._trace.alias(self)
        return Tensor(self._type, self.numpy())  # which refuses what was disposed

    # --- memory -----------------------------------------------------------------------------------

    def dispose(self) -> None:
        """Give the memory back now; it goes back by itself when nobody holds the tensor."""
        if self._trace is None:
            self._array = None

    @property
    def disposed(self) -> bool:
        """Whether `dispose` was called."""
        return self._trace is None and self._array is None

    # --- operators (broadcasting, and the wider of two dtypes: see `promoted`) --------------------

    def __getitem__(self, index: Any) -> Tensor:
        from fanlight.tensor.indexing import take

        return take(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise ProtocolError(
            "E-TENSOR-016",
            "tensors do not change.",
            where=caller(),
            expected="a new tensor with other elements",
            received=f"an assignment to elements of {self._type}",
            next="fl.where(mask, value, x), fl.tensor_scatter_update(x, indices, values) and "
            "fl.scatter_add give one; fl.variable has v.assign, fl.buffer is written by places.",
        )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("assign") and not self.varies:
                from fanlight.tensor.numpys import not_assigned

                raise not_assigned(self, name)
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(text, name=name, obj=self)

    def __add__(self, other: Any) -> Tensor:
        return binary("add", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return binary("add", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return binary("sub", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return binary("sub", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return binary("mul", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return binary("mul", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return binary("div", self, other, least="float32")

    def __rtruediv__(self, other: Any) -> Tensor:
        return binary("div", other, self, least="float32")

    def __floordiv__(self, other: Any) -> Tensor:
        return binary("floor_div", self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return binary("floor_div", other, self)

    def __mod__(self, other: Any) -> Tensor:
        return binary("floor_mod", self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return binary("floor_mod", other, self)

    def __pow__(self, other: Any) -> Tensor:
        from fanlight.tensor.functions import pow

        return pow(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        from fanlight.tensor.functions import pow

        return pow(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        from fanlight.tensor.functions import matmul

        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        from fanlight.tensor.functions import matmul

        return matmul(other, self)

    def __neg__(self) -> Tensor:
        return apply("neg", self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return apply("abs", self)

    def __invert__(self) -> Tensor:
        return _bits().bitwise_not(self)

    def __and__(self, other: Any) -> Tensor:
        return _bits().bitwise_and(self, other)

    def __rand__(self, other: Any) -> Tensor:
        return _bits().bitwise_and(other, self)

    def __or__(self, other: Any) -> Tensor:
        return _bits().bitwise_or(self, other)

    def __ror__(self, other: Any) -> Tensor:
        return _bits().bitwise_or(other, self)

    def __xor__(self, other: Any) -> Tensor:
        return _bits().bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return _bits().bitwise_xor(other, self)

    def __lshift__(self, other: Any) -> Tensor:
        return _bits().left_shift(self, other)

    def __rlshift__(self, other: Any) -> Tensor:
        return _bits().left_shift(other, self)

    def __rshift__(self, other: Any) -> Tensor:
        return _bits().right_shift(self, other)

    def __rrshift__(self, other: Any) -> Tensor:
        return _bits().right_shift(other, self)

    def __lt__(self, other: Any) -> Tensor:
        return binary("less", self, other)

    def __le__(self, other: Any) -> Tensor:
        return binary("less_equal", self, other)

    def __gt__(self, other: Any) -> Tensor:
        return binary("greater", self, other)

    def __ge__(self, other: Any) -> Tensor:
        return binary("greater_equal", self, other)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return binary("equal", self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return binary("not_equal", self, other)


# The ufuncs behind NumPy's operators, for arrays on the left.
_OPERATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": Tensor.__add__,
    "subtract": Tensor.__sub__,
    "multiply": Tensor.__mul__,
    "divide": Tensor.__truediv__,
    "floor_divide": Tensor.__floordiv__,
    "remainder": Tensor.__mod__,
    "power": Tensor.__pow__,
    "matmul": Tensor.__matmul__,
    "less": Tensor.__lt__,
    "less_equal": Tensor.__le__,
    "greater": Tensor.__gt__,
    "greater_equal": Tensor.__ge__,
    "equal": Tensor.__eq__,
    "not_equal": Tensor.__ne__,
}


def _bits() -> Any:
    from fanlight.tensor import bitwise

    return bitwise


def name_of(fn: Function) -> str:
    """What a graph of this function is called."""
    name = str(getattr(fn, "__name__", "function"))
    return "function" if name == "<lambda>" else name


# --- making tensors -------------------------------------------------------------------------------


def tensor(value: Any, dtype: Any = None) -> Tensor:
    """A tensor of a number, nested lists, or an array.

    Args:
        value: floats become float32, whole numbers int32, truth values bool. An array that has one
            of the four dtypes is not copied where its memory is contiguous; do not write to it.
        dtype: "float32", "int32", "bool" or "uint8" (or NumPy's name of it); default: as above.
            "int8", "float16" and "string" hold what they are given, and nothing computes in them.
            Numbers that do not fit a dtype that was asked for saturate, as `cast` has it.

    Raises:
        FanlightError: E-TENSOR-001, also for whole numbers beyond int32 where no dtype is given.
    """
    if dtype is None and type(value) is float:
        return _number(value, "float32")
    name = None if dtype is None else dtype_name(dtype)
    if isinstance(value, Tensor):
        return value if name in (None, value.dtype) else cast(value, str(name))
    return _made(value, name)


def _made(value: Any, name: str | None) -> Tensor:
    """A tensor of what is none yet."""
    if name is None and type(value) is np.ndarray and value.flags.c_contiguous:
        known = dtypes.from_numpy(value.dtype)
        if known in DTYPES:
            return _wrap(value)
    if isinstance(value, list | tuple) and _holds_tensors(value):
        return _stacked(value, name)
    array = _array(value)
    if array.dtype == object or name in STORED:
        if (array.dtype == object) != (name in (None, dtypes.STRING)) and array.size:
            raise _no_tensor(value, f"{array.dtype} as {name}")
        array = stored.array(array, name)
        return _owned(array, TensorType(array.shape, name or dtypes.STRING))
    if name == dtypes.COMPLEX or array.dtype.kind == "c":
        from fanlight.tensor.complex import from_array

        return from_array(array, name)
    if name is None:
        known = dtypes.from_numpy(array.dtype)
        narrowed = dtypes.from_numpy(dtypes.narrow(array).dtype)
        name = next((n for n in (known, narrowed) if n in DTYPES), None)
        name = name or {"f": "float32", "b": "bool"}.get(array.dtype.kind, "int32")
        if array.dtype.kind in "iu" and array.size:
            _check_range(array)
    kind = array.dtype.kind
    if name in ("int32", "uint8") and kind == "f":
        # As the op has it, but float64 holds all of them.
        return _wrap(rows.evaluate("cast", [array.astype(np.float64)], {"dtype": name})[0])
    with np.errstate(all="ignore"):
        if name in ("int32", "uint8") and kind in "iu" and array.size:
            limits = np.iinfo(name)
            array = np.clip(array, limits.min, limits.max) if _beyond(array, limits) else array
        return _wrap(np.ascontiguousarray(array, dtypes.to_numpy(name)).reshape(array.shape))


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_tensors, value))
    return isinstance(value, Tensor)


def _stacked(value: Any, dtype: str | None) -> Tensor:
    """Nested lists with tensors in them, joined by ops: gradients pass, and traces see it."""
    parts = [tensor(v, dtype) for v in value]
    parts = [*promoted(*parts)]
    if len({p.shape for p in parts}) != 1:
        raise _no_tensor(value, ", ".join(str(p.type) for p in parts)[:200])
    rows = [apply("reshape", p, shape=(1, *p.shape)) for p in parts]
    result: Tensor = apply("concat", *rows, axis=0)
    return result


def dtype_name(dtype: Any) -> str:
    """The name of a dtype, from that or from what NumPy takes for one; E-TENSOR-001."""
    name: Any = dtype
    known = (*DTYPES, dtypes.COMPLEX, *STORED)
    if not isinstance(dtype, str | int | float | list | tuple | Tensor):
        try:
            name = np.dtype(dtype).name
        except (TypeError, ValueError):
            name = None
        # float, int and complex
        wide = {"float64": "float32", "int64": "int32", "complex128": dtypes.COMPLEX}
        name = wide.get(name, name)
    if not isinstance(name, str) or name not in known:
        raise FanlightError(
            "E-TENSOR-001",
            "there are no tensors of this dtype.",
            where=caller(),
            expected=", ".join(known),
            received=repr(dtype)[:200],
            next="a shape of several dims is one tuple: fl.ones((2, 3))."
            if isinstance(dtype, int)
            else None,
        )
    return str(name)


def _beyond(array: np.ndarray, limits: Any) -> bool:
    return bool(array.min() < limits.min or array.max() > limits.max)


def _check_range(array: np.ndarray) -> None:
    limits = np.iinfo(np.int32)
    if _beyond(array, limits):
        raise FanlightError(
            "E-TENSOR-001",
            "a whole number does not fit int32.",
            where=caller(),
            expected=f"{limits.min} to {limits.max}",
            received=f"{array.min()} to {array.max()}",
            next="make it a float, or give dtype='float32'.",
        )


def _array(value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as problem:
        raise _no_tensor(value, str(problem)) from None
    if array.dtype.kind in "USO":
        strings = stored.strings(value)
        if strings is None:
            what = "None" if value is None else f"{type(value).__name__} of {array.dtype}"
            raise _no_tensor(value, what if value is None else f"{what}, not all strings", _OBJECTS)
        return strings
    if array.dtype.kind not in "fiubc":
        raise _no_tensor(value, f"{type(value).__name__} of {array.dtype}")
    return array


_OBJECTS = 'x.astype("float32") makes numbers of an array of objects, as that of a data frame.'


def _no_tensor(value: Any, received: str, next: str | None = None) -> FanlightError:
    return FanlightError(
        "E-TENSOR-001",
        "a tensor cannot be made of this.",
        where=caller(),
        expected="numbers, in lists of equal lengths, or an array of numbers",
        received=received,
        next=next,
    )


def _wrap(array: np.ndarray) -> Tensor:
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    name = dtypes.from_numpy(array.dtype)
    return Tensor(type_of(array.shape, str(name)), array)


def promoted(*values: Any, least: str = "bool") -> tuple[Tensor, ...]:
    """Tensors of the values, in the widest of their dtypes: bool, uint8, int32, float32.

    A Python number takes the dtype of the tensors beside it, unless it does not fit: a float beside
    whole numbers makes float32 (TensorFlow.js widens likewise).
    """
    found = {least}
    weak: list[Any] = []
    for value in values:
        if isinstance(value, bool | int | float):
            weak.append(value)
        else:
            found.add(tensor(value).dtype)
    if not found.isdisjoint(STORED):
        if stored.are_strings([tensor(v).type for v in values]):
            return tuple(map(tensor, values))
        found = {stored.WIDENED.get(n, n) for n in found}
    name = max(found, key=_ORDER.index)
    for value in weak:
        name = max(name, _least(value, name), key=_ORDER.index)
    return tuple(
        v
        if isinstance(v, Tensor) and v._type.dtype == name
        else _number(v, name)
        if type(v) in (float, int)
        else tensor(v, name)
        for v in values
    )


def _number(value: float | int, name: str) -> Tensor:
    """A Python number as a tensor of a dtype that holds it."""
    if name == "float32" and -_LARGEST <= value <= _LARGEST:
        array = np.array(value, np.float32)
        array.flags.writeable = False
        return Tensor(type_of((), name), array)
    return _made(value, None if type(value) is float or name == "int32" else name)


_LARGEST = float(np.finfo(np.float32).max)


def _least(value: float | int | bool, beside: str) -> str:
    """The least dtype that holds a Python number which stands beside a tensor of some dtype."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, float):
        return "float32"
    return "uint8" if beside == "uint8" and 0 <= value <= 255 else "int32"


def cast(x: Any, dtype: Any) -> Tensor:
    """x in another dtype; numbers that do not fit saturate, NaN becomes 0.

    Of complex numbers the real part is taken (bool: whether they are not 0).
    """
    x, name = tensor(x), dtype_name(dtype)
    if x.dtype == name:
        return x
    if name in STORED or x.dtype in STORED:
        return _cast_stored(x, name)
    if name == dtypes.COMPLEX:
        from fanlight.tensor.complex import complex

        return complex(x, 0.0)
    return apply("cast", x, dtype=name)


def _cast_stored(x: Tensor, name: str) -> Tensor:
    """To or from a dtype that only stores: in Python, and no gradient passes."""
    stored.check_cast(x.type, name, traced=x.traced)
    wide = x.numpy().astype(dtypes.to_numpy(stored.WIDENED.get(x.dtype, x.dtype)))
    return tensor(wide, name)


def binary(op: str, a: Any, b: Any, least: str = "bool") -> Tensor:
    """An op of two inputs, brought to the wider of their dtypes."""
    # The usual cases leave nothing to find out.
    of_a = a._type.dtype if type(a) is Tensor else None
    of_b = b._type.dtype if type(b) is Tensor else None
    if of_a == of_b and (of_a == "float32" or (least == "bool" and of_a in DTYPES)):
        pass
    elif of_a == "float32" and type(b) is float:
        b = _number(b, "float32")
    elif of_b == "float32" and type(a) is float:
        a = _number(a, "float32")
    else:
        a, b = promoted(a, b, least=least)
    result: Tensor = apply(op, a, b)
    return result


# --- the funnel -----------------------------------------------------------------------------------


def apply(op: str, *values: Any, **attrs: Any) -> Any:
    """Apply an op of the table. Returns its result, or a tuple of them if it has several.

    Raises:
        FanlightError: E-OP-00x where the call does not fit the op's row, with the line of the
            caller; E-TENSOR-00x where a value is no tensor.
    """
    inputs = tuple(v if isinstance(v, Tensor) else tensor(v) for v in values)
    if state.steps and state.steps[-1].assigned:
        inputs = tuple(newest(x) if x.varies else x for x in inputs)
    level = deepest(inputs)
    start = perf_counter() if state.watchers else 0.0
    try:
        if level is None:
            outputs, full = _computed(op, inputs, attrs)
        else:
            state.inside += 1
            try:
                outputs, full = level.apply(op, inputs, attrs)
            finally:
                state.inside -= 1
    except FanlightError as error:
        line = caller()
        if not str(error.where or "").endswith(line):
            where, name = str(error.where or op), function_called()
            if name and where.split()[0] != name.rpartition(".")[2]:
                where = f"{where}, in {name}"
            error.where = f"{where}, {line}"
        raise
    if state.watchers and not state.inside:
        watch(Call(op, inputs, outputs, full), perf_counter() - start)
    if state.listeners:
        tell(Call(op, inputs, outputs, full))
    return outputs[0] if len(outputs) == 1 else outputs


def _computed(
    op: str, inputs: Sequence[Tensor], attrs: dict[str, Any]
) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    key = (op, repr(attrs) if attrs else "", *[v._type for v in inputs])
    known = _CHECKED.get(key)
    if known is None:
        if len(_CHECKED) > _MOST_CHECKED:
            _CHECKED.clear()
        known = _CHECKED[key] = _checked(op, [v._type for v in inputs], attrs)
    run, full, results = known
    arrays = run([v._array if v._array is not None else v.numpy() for v in inputs])
    return tuple(map(_owned, arrays, results)), full


def _checked(op: str, types: Sequence[TensorType], attrs: dict[str, Any]) -> _Checked:
    full, results = rows.infer(op, types, attrs)
    same = [type_of(tuple(t.bound), t.dtype) for t in results]
    prepared = shared.backend or rows.prepared
    return prepared(op, types, full), full, same


def set_backend(backend: Any) -> None:
    """Let something else than NumPy (None) compute eager ops."""
    shared.backend = backend
    _CHECKED.clear()


def _owned(array: np.ndarray, type: TensorType) -> Tensor:
    """A result of an op, which nobody else writes to."""
    array = np.asarray(array)  # of no dims, NumPy may give a number
    array.flags.writeable = False
    return Tensor(type, array)
