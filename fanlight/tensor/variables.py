"""Variables: tensors that may be assigned, for programs that keep state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, Protocol

import numpy as np

from fanlight.dtypes import COMPLEX, STRING
from fanlight.errors import FanlightError
from fanlight.tensor.arguments import flag, function_of, listed, refused
from fanlight.tensor.calls import Call, listened, listening, newest, state, tracing
from fanlight.tensor.core import Tensor, caller, tensor
from fanlight.tensor.tape import Tape

_NUMBERS = count()


class Home(Protocol):
    """A memory in which programs compute with variables, and change them (fanlight/kept.py)."""

    def read(self, variable: Variable) -> np.ndarray:
        """A copy of the numbers of a variable."""


class Variable(Tensor):
    """A tensor whose numbers may be replaced; made by `fl.variable`. Shape and dtype stay.

    A function that is built holds the numbers that the variable had; one that `fl.jit` compiles
    reads them at every call. Neither can assign them.

    Attributes:
        name: what it is called in `variable_grads`.
        trainable: whether `variable_grads` derives after it by itself.
    """

    __slots__ = ("_away", "_numbers", "name", "trainable")
    varies = True

    def __init__(self, value: Tensor, trainable: bool, name: str, given: bool = False) -> None:
        """
        Args:
            given: whether nobody else has the numbers of `value`, so that they need no copy.
        """
        self._away: Home | None = None
        super().__init__(value.type, value.numpy() if given else _own(value))
        self.trainable, self.name = trainable, name
        self.kept = True

    def __repr__(self) -> str:
        return f"variable({self.name!r}, {super().__repr__()})"

    @property
    def _array(self) -> np.ndarray | None:
        if self._away is not None:
            self._array = self._away.read(self)
        return self._numbers

    @_array.setter
    def _array(self, array: np.ndarray | None) -> None:
        if array is not None:
            array.flags.writeable = False
        self._numbers, self._away = array, None

    def __getstate__(self) -> Any:
        """What copies and pickles have of it: the numbers, and not the memory that they were in."""
        if self._away is not None:
            self._array = self._away.read(self)
        return super().__getstate__()

    @property
    def here(self) -> np.ndarray | None:
        """The numbers, if they are here."""
        return None if self._away is not None else self._numbers

    @property
    def away(self) -> Home | None:
        """The memory that has the numbers, if they are not here."""
        return self._away

    def changed_in(self, home: Home) -> None:
        """The numbers are now those in a memory; they are read when somebody asks for them."""
        self._numbers, self._away = None, home

    # In a function that is compiled, a variable is one of its inputs.

    @property
    def _trace(self) -> Any:
        return None if state.compiling is None else state.compiling.level_of(self)

    @_trace.setter
    def _trace(self, trace: Any) -> None:
        """It belongs to none."""

    @property
    def _value(self) -> Any:
        return None if self._trace is None else state.compiling.variable(self)

    @_value.setter
    def _value(self, value: Any) -> None:
        """See _trace."""

    def numpy(self) -> np.ndarray:
        """The numbers as an array; in a step of a model, what they were last assigned there."""
        new = newest(self)
        return super().numpy() if new is self else new.numpy()

    def assign(self, value: Any) -> Variable:
        """Replace the numbers; gives the variable.

        In a step of a model (in `call` of a layer, or `update_state` of a metric) what reads it
        from here on reads the new value. The numbers are replaced when the step ends.

        Raises:
            FanlightError: E-OP-003 the value has another dtype, or numbers that this one would
                change: 1.7 in int32; E-OP-004 it has another shape; E-TENSOR-021 a function is
                being traced or derived, and no step of a model.
        """
        step = state.steps[-1] if state.steps else None
        if step is None and (tracing() or listened()):
            raise not_kept(self)
        new = self._checked(value)
        if step is None:
            return self.put(new)
        step.assign(self, newest(new))
        return self

    def put(self, new: Tensor, given: bool = False) -> Variable:
        """Replace the numbers now, in a step, too, by what has the same shape and dtype.

        Args:
            given: whether nobody else has the new numbers, so that they need no copy.
        """
        super().numpy()  # refuses what was disposed
        self._array = new.numpy() if given else _own(new)
        return self

    def _checked(self, value: Any) -> Tensor:
        """A value that can be assigned; E-OP-003, E-OP-004."""
        new = _fitting(value, self.dtype)
        for code, what, wanted, found in (
            ("E-OP-003", "dtype", self.dtype, new.dtype),
            ("E-OP-004", "shape", self.shape, new.shape),
        ):
            if wanted != found:
                raise FanlightError(
                    code,
                    f"a variable cannot be assigned a value of another {what}.",
                    where=f"{self.name}, {caller()}",
                    expected=str(self.type),
                    received=str(new.type),
                    next=f"cast it, if that is meant: v.assign(fl.cast(x, {self.dtype!r}))."
                    if what == "dtype"
                    else "make a new variable for another shape.",
                )
        return new

    def assign_add(self, value: Any) -> Variable:
        """Add to the numbers; see assign."""
        return self.assign(self + value)

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the numbers; see assign."""
        return self.assign(self - value)


def not_kept(variable: Variable, next: str | None = None) -> FanlightError:
    """E-TENSOR-021: nothing keeps track of an assignment."""
    return FanlightError(
        "E-TENSOR-021",
        "a variable cannot be assigned while a function is traced or derived.",
        where=f"{variable.name}, {caller()}",
        expected="functions that give back what they change",
        received=f"an assignment to {variable.name}",
        next=next or "return the new value, and assign it outside: v.assign(step(v, x)).",
    )


class _Bound:
    """Tensors of a traced function that stand for variables; others are constants."""

    def __init__(self, pairs: Sequence[tuple[Variable, Tensor]]) -> None:
        self._tensors = {id(v): x for v, x in pairs}

    def level_of(self, x: Tensor) -> Any:
        found = self._tensors.get(id(x))
        return None if found is None else found._trace

    def variable(self, x: Tensor) -> Any:
        return self._tensors[id(x)]._value


@contextmanager
def bound(pairs: Sequence[tuple[Variable, Tensor]]) -> Iterator[None]:
    """Inside, each of these variables is the traced tensor beside it, of whatever shape that is."""
    before, state.compiling = state.compiling, _Bound(pairs)
    types = [v.type for v, _ in pairs]
    try:
        for v, x in pairs:
            v._type = x.type
        yield
    finally:
        state.compiling = before
        for (v, _), type in zip(pairs, types, strict=True):
            v._type = type


def _fitting(value: Any, dtype: str) -> Tensor:
    """The value in the dtype of a variable; in its own, where it would lose numbers in that."""
    if isinstance(value, Tensor):
        return value
    new = tensor(value, dtype)
    if dtype == STRING or not new.size:
        return new
    if dtype in ("float32", "float16"):
        return tensor(value) if np.iscomplexobj(value) else new
    own = tensor(value)
    whole = own.dtype in ("bool", "uint8", "int32", "int8")
    return new if whole and np.array_equal(new.numpy(), own.numpy()) else own


def _own(value: Tensor) -> np.ndarray:
    """The numbers, which nobody else can write to: an array of the caller's may be used again."""
    array = value.numpy().copy()
    array.flags.writeable = False
    return array


def variable(
    value: Any, trainable: bool = True, name: str | None = None, dtype: Any = None
) -> Variable:
    """A variable that starts with a value.

    Args:
        value, dtype: as `fl.tensor` takes them.
        trainable: whether `variable_grads` derives after it without being told to.
        name: default: variable_0, variable_1, ...

    Raises:
        FanlightError: E-TENSOR-001 no tensor can be made of the value; E-OP-003 it is complex;
            E-TENSOR-003 it is one of a traced function.
    """
    if name is not None and not isinstance(name, str):
        raise refused("variable", "name", "a text", name)
    trainable = flag("variable", "trainable", trainable)
    first = tensor(value, dtype)
    if first.dtype == COMPLEX:
        raise FanlightError(
            "E-OP-003",
            "a variable holds real numbers.",
            where=f"variable, {caller()}",
            expected="float32, int32, bool or uint8",
            received=str(first.type),
            next="keep two, of fl.real(z) and fl.imag(z), and join them: fl.complex(x, y).",
        )
    return Variable(first, trainable, name or f"variable_{next(_NUMBERS)}")


class _Readers(Tape):
    """A tape that watches the trainable variables that are read."""

    def __init__(self) -> None:
        super().__init__(())
        self.found: dict[int, Variable] = {}

    def heard(self, call: Call) -> None:
        """Watch the variables among the inputs, and keep the call."""
        for x in call.inputs:
            if isinstance(x, Variable) and x.trainable and x.dtype == "float32":
                self.found[id(x)] = x
        self.reached.update(self.found)
        super().heard(call)

    def wants(self, x: Tensor) -> bool:
        """Any variable may be one that it will watch."""
        return isinstance(x, Variable) or super().wants(x)


def variable_grads(
    fn: Callable[[], Any], variables: Sequence[Variable] | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The result of a function without arguments, and its gradient after each variable, by name.

    Args:
        fn: gives one float32 number.
        variables: which; default: the trainable float32 ones that fn reads.

    Raises:
        FanlightError: E-TENSOR-005 the result is no float32 number; E-TENSOR-006 there are no
            variables, or two of one name; E-OP-008 an op without a gradient is on the way.
    """
    function_of("variable_grads", "fn", fn)
    if variables is not None:
        variables = listed("variable_grads", "variables", variables, "[v, w]")
        for v in variables:
            if not isinstance(v, Variable):
                raise refused("variable_grads", "variables", "what fl.variable gives", v)
    tape = _Readers() if variables is None else Tape(variables)
    with listening(tape):
        y = tensor(fn())
    if y.dtype != "float32" or y.size != 1:
        raise FanlightError(
            "E-TENSOR-005",
            "only a result of one number has a gradient.",
            where=caller(),
            expected="float32 with one element",
            received=str(y.type),
            next="sum or average it.",
        )
    chosen = list(tape.found.values() if isinstance(tape, _Readers) else variables or ())
    names = [v.name for v in chosen]
    if not names or len(set(names)) < len(names):
        raise FanlightError(
            "E-TENSOR-006",
            "gradients are given by the names of variables.",
            where=f"variable_grads, {caller()}",
            expected="at least one trainable variable that the function reads, names that differ",
            received=", ".join(names) or "none",
        )
    grads = tape.pull([y], [tensor(np.ones(y.shape, np.float32))], chosen)
    return y, dict(zip(names, grads, strict=True))
