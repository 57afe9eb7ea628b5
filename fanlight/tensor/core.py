"""Tensor, and `apply`: the one way in which ops are applied to tensors.

Eager tensors hold a NumPy array, and `apply` computes at once by the meaning of the op's row. While
a function is traced (trace.py) its tensors stand for values of a graph, and `apply` adds nodes.
Tapes (tape.py) listen to every call, of either kind.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakValueDictionary, ref

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph import Builder, Value
from fanlight.ops import row as rows
from fanlight.ops.types import TensorType

Function = Callable[..., Any]
DTYPES = ("float32", "int32", "bool", "uint8")
_ORDER = ("bool", "uint8", "int32", "float32", dtypes.COMPLEX)
_PACKAGE = str(Path(__file__).resolve().parent.parent)


class Trace:
    """A function that is being traced: the graph so far."""

    def __init__(self, name: str) -> None:
        self.builder = Builder(name)
        self.open = True
        self.constants: dict[int, tuple[Tensor, Value]] = {}


class Listener(Protocol):
    """What is told of every call: a tape."""

    def heard(self, call: Call) -> None:
        """A call has happened."""


@dataclass(frozen=True)
class Call:
    """One application of an op to tensors; or of something with a gradient of its own.

    Attributes:
        backward: where it is not None, what turns the gradients of the outputs into those of the
            inputs, instead of the op's row.
    """

    op: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    backward: Callable[..., Sequence[Any]] | None = None


@dataclass
class _State:
    """What goes on in this process: the only global state of the room."""

    listeners: list[Listener] = field(default_factory=list)
    scopes: list[list[ref[Tensor]]] = field(default_factory=list)
    traces: int = 0  # functions that are being traced
    # By identity: == of tensors is an op.
    alive: WeakValueDictionary[int, Tensor] = field(default_factory=WeakValueDictionary)


state = _State()
# Calls whose rules were found to hold: (op, types, attributes) -> complete attributes, results.
_CHECKED: dict[tuple[Any, ...], tuple[dict[str, Any], list[TensorType]]] = {}
_MOST_CHECKED = 10_000


class Tensor:
    """An n-dimensional array of one dtype; or, while a function is traced, one of its values.

    Tensors do not change. Made by `fl.tensor` and by ops; a NumPy array or a number may stand
    wherever a tensor may.

    Attributes:
        shape: a tuple of ints.
        kept: whether `fl.tidy` spares it.
        dtype: "float32", "int32", "bool" or "uint8"; or "complex64" (tensor/complex.py).
    """

    __slots__ = ("__weakref__", "_array", "_trace", "_type", "_value", "kept")
    __hash__ = object.__hash__

    def __init__(
        self,
        type: TensorType,
        array: np.ndarray | None,
        trace: Trace | None = None,
        value: Value | None = None,
    ) -> None:
        self._type, self._array, self._trace, self._value = type, array, trace, value
        self.kept = False
        if array is not None:
            state.alive[id(self)] = self
            if state.scopes:
                state.scopes[-1].append(ref(self))

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

    # --- its numbers ------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """The elements as a NumPy array, which is not a copy and cannot be written to.

        Raises:
            FanlightError: E-TENSOR-002 it was disposed; E-TENSOR-003 it has no numbers yet, since
                the function that it is in is only being traced.
        """
        if self._trace is not None:
            raise FanlightError(
                "E-TENSOR-003",
                "this tensor has no numbers: its function is being traced.",
                where=caller(),
                expected="only ops on tensors in a traced function",
                received=str(self._type),
                next="compute with tensors; for a choice that depends on numbers use fl.where.",
            )
        if self._array is None:
            raise FanlightError(
                "E-TENSOR-002",
                "this tensor was disposed.",
                where=caller(),
                received=str(self._type),
                next="keep it: leave it out of dispose(), or return it from fl.tidy.",
            )
        return self._array

    def item(self) -> float | int | bool:
        """The only element, as a Python number."""
        if self.size != 1:
            raise FanlightError(
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
        return format(self.item(), form) if form else repr(self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's operators leave mixed expressions to ours; its other functions are not taken."""
        op = _OPERATORS.get(ufunc.__name__)
        if op is None or method != "__call__" or options or len(inputs) != 2:
            raise FanlightError(
                "E-TENSOR-009",
                f"NumPy's {ufunc.__name__} does not take tensors.",
                where=caller(),
                expected="functions of fanlight, or arrays",
                received=str(self._type),
                next=f"use fl.{ufunc.__name__} if there is one, or give it x.numpy().",
            )
        a, b = (v if isinstance(v, Tensor) else tensor(v) for v in inputs)
        return op(a, b)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        # DLPack cannot say that memory is not to be written, so it gets memory of its own.
        return self.numpy().copy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self.numpy().__dlpack_device__()
        return device

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype in ("float32", "bool"):
            raise TypeError(f"a tensor of {self.dtype} is no index")
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __len__(self) -> int:
        if not self.rank:
            raise TypeError("a tensor without dims has no length")
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
        if self._trace is None:
            self.numpy()  # refuses what was disposed
        return Tensor(self._type, self._array, self._trace, self._value)

    # --- memory -----------------------------------------------------------------------------------

    def dispose(self) -> None:
        """Give the memory back now; it goes back by itself when nobody holds the tensor."""
        if self._trace is None:
            self._array = None
            state.alive.pop(id(self), None)

    @property
    def disposed(self) -> bool:
        """Whether `dispose` was called."""
        return self._trace is None and self._array is None

    # --- operators (broadcasting, and the wider of two dtypes: see `promoted`) --------------------

    def __getitem__(self, index: Any) -> Tensor:
        from fanlight.tensor.indexing import take

        return take(self, index)

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
        return binary("pow", other, self, least="float32")

    def __matmul__(self, other: Any) -> Tensor:
        from fanlight.tensor.functions import matmul

        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        from fanlight.tensor.functions import matmul

        return matmul(other, self)

    def __neg__(self) -> Tensor:
        return apply("neg", self)

    def __abs__(self) -> Tensor:
        return apply("abs", self)

    def __invert__(self) -> Tensor:
        return apply("logical_not", self)

    def __and__(self, other: Any) -> Tensor:
        return apply("logical_and", self, other)

    def __or__(self, other: Any) -> Tensor:
        return apply("logical_or", self, other)

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


def caller() -> str:
    """The line of the user's code that led here: "file.py:12"."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        outer = frame.f_back
        if outer is None:
            break
        frame = outer
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


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
            Numbers that do not fit a dtype that was asked for saturate, as `cast` has it.

    Raises:
        FanlightError: E-TENSOR-001, also for whole numbers beyond int32 where no dtype is given.
    """
    name = None if dtype is None else dtype_name(dtype)
    if isinstance(value, Tensor):
        return value if name in (None, value.dtype) else cast(value, str(name))
    if isinstance(value, list | tuple) and _holds_tensors(value):
        return _stacked(value, name)
    array = _array(value)
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
    if not isinstance(dtype, str | int | float | list | tuple | Tensor):
        try:
            name = np.dtype(dtype).name
        except TypeError:
            pass
        # float, int and complex
        wide = {"float64": "float32", "int64": "int32", "complex128": dtypes.COMPLEX}
        name = wide.get(name, name)
    if name not in DTYPES and name != dtypes.COMPLEX:
        raise FanlightError(
            "E-TENSOR-001",
            "there are no tensors of this dtype.",
            where=caller(),
            expected=", ".join((*DTYPES, dtypes.COMPLEX)),
            received=repr(dtype),
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
    if array.dtype.kind not in "fiubc":
        raise _no_tensor(value, f"{type(value).__name__} of {array.dtype}")
    return array


def _no_tensor(value: Any, received: str) -> FanlightError:
    return FanlightError(
        "E-TENSOR-001",
        "a tensor cannot be made of this.",
        where=caller(),
        expected="numbers, in lists of equal lengths, or an array of numbers",
        received=received,
    )


def _wrap(array: np.ndarray) -> Tensor:
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    name = dtypes.from_numpy(array.dtype)
    return Tensor(TensorType(array.shape, str(name)), array)


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
    name = max(found, key=_ORDER.index)
    for value in weak:
        name = max(name, _least(value, name), key=_ORDER.index)
    return tuple(
        tensor(v) if name == "int32" and type(v) is int else tensor(v, name) for v in values
    )


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
    if name == dtypes.COMPLEX and x.dtype != name:
        from fanlight.tensor.complex import complex

        return complex(x, 0.0)
    return x if x.dtype == name else apply("cast", x, dtype=name)


def binary(op: str, a: Any, b: Any, least: str = "bool") -> Tensor:
    """An op of two inputs, brought to the wider of their dtypes."""
    result: Tensor = apply(op, *promoted(a, b, least=least))
    return result


# --- the funnel -----------------------------------------------------------------------------------


def apply(op: str, *values: Any, **attrs: Any) -> Any:
    """Apply an op of the table. Returns its result, or a tuple of them if it has several.

    Raises:
        FanlightError: E-OP-00x where the call does not fit the op's row, with the line of the
            caller; E-TENSOR-00x where a value is no tensor.
    """
    inputs = tuple(v if isinstance(v, Tensor) else tensor(v) for v in values)
    trace = next((v._trace for v in inputs if v._trace is not None), None)
    if trace is not None and any(v.dtype == dtypes.COMPLEX for v in inputs):
        from fanlight.tensor.complex import apply_complex

        return apply_complex(op, inputs, attrs)
    try:
        if trace is None:
            outputs, full = _computed(op, inputs, attrs)
        else:
            outputs, full = _traced(trace, op, inputs, attrs)
    except FanlightError as error:
        line = caller()
        if not str(error.where or "").endswith(line):
            error.where = f"{error.where or op}, {line}"
        raise
    if state.listeners:
        tell(Call(op, inputs, outputs, full))
    return outputs[0] if len(outputs) == 1 else outputs


def _computed(
    op: str, inputs: Sequence[Tensor], attrs: dict[str, Any]
) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    types = tuple(v._type for v in inputs)
    key = (op, types, repr(attrs) if attrs else "")
    known = _CHECKED.get(key)
    if known is None:
        if len(_CHECKED) > _MOST_CHECKED:
            _CHECKED.clear()
        known = _CHECKED[key] = rows.infer(op, types, attrs)
    full, results = known
    arrays = rows.evaluate(op, [v.numpy() for v in inputs], full)
    return tuple(map(_owned, arrays, results)), full


def _owned(array: np.ndarray, type: TensorType) -> Tensor:
    """A result of an op, which nobody else writes to."""
    array = np.asarray(array)  # of no dims, NumPy may give a number
    array.flags.writeable = False
    return Tensor(type, array)


def _traced(
    trace: Trace, op: str, inputs: Sequence[Tensor], attrs: dict[str, Any]
) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    values = [value_in(trace, v) for v in inputs]
    made = trace.builder.add(op, *values, **attrs)
    made = made if isinstance(made, tuple) else (made,)
    outputs = tuple(Tensor(v.type, None, trace, v) for v in made)
    full, _ = rows.infer(op, [v.type for v in values], attrs)
    return outputs, full


def value_in(trace: Trace, x: Tensor) -> Value:
    """The graph's value of a tensor; an eager tensor becomes a weight."""
    if x._trace is None:
        known = trace.constants.get(id(x))
        if known is None:
            known = trace.constants[id(x)] = (x, trace.builder.weight(x.numpy()))
        return known[1]
    if x._trace is not trace or not trace.open:
        raise FanlightError(
            "E-TENSOR-004",
            "a tensor of another traced function was used.",
            where=caller(),
            expected="inputs of this function, and what was computed from them",
            received=str(x._type),
            next="return it from the function that it belongs to.",
        )
    assert x._value is not None
    return x._value


def tell(call: Call) -> None:
    """Let every listener hear a call."""
    for listener in tuple(state.listeners):
        listener.heard(call)


def tracing() -> bool:
    """Whether a function is being traced."""
    return state.traces > 0


def listened() -> bool:
    """Whether anybody is told of calls."""
    return bool(state.listeners)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a listener of every call."""
    state.listeners.append(listener)
    try:
        yield
    finally:
        state.listeners.remove(listener)


@contextmanager
def unheard() -> Iterator[None]:
    """Nobody is told of calls."""
    kept, state.listeners = state.listeners, []
    try:
        yield
    finally:
        state.listeners = kept
