"""Functions of tensors as layers: `h[:, 0]`, `h ** 2` and `fl.mean(h, 1)` in functional models.

What `fl.Input` and layers give has no numbers, so a function that is called with it becomes a layer
of its own, an `Operation`. Keras 3 names it by a class of `keras.src.ops` in its files (kinds.py),
Keras 2 writes a TFOpLambda with the name of a TensorFlow function. Sums, products and activations
of files become the layers that the stand-ins' own arithmetic makes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from fanlight.formats.keras.config import is_op
from fanlight.layers import activations as _activations  # noqa: F401  # its functions are some
from fanlight.layers import config as configs
from fanlight.layers import losses as _losses  # noqa: F401
from fanlight.layers import tf_functions
from fanlight.layers.keras_ops import OPS
from fanlight.layers.kinds import BY_CLASS, BY_FUNCTION, read, written
from fanlight.layers.layer import Layer, argument_error
from fanlight.layers.standing import FUNCTIONS as _ROOMS
from fanlight.layers.standing import either
from fanlight.layers.symbolic import Symbolic, symbols
from fanlight.tensor import (
    arithmetic,
    bitwise,
    blocks,
    core,
    einsum,
    functions,
    image,
    indices,
    linalg,
    matrices,
    neural,
    parts,
    scans,
    sorting,
    statistics,
    tensor,
)

# --- what operations there are --------------------------------------------------------------------


def _getitem(x: Any, key: Any) -> Any:
    return tensor(x)[key]


def _argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    return _place(functions.arg_max, x, axis, keepdims)


def _argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    return _place(functions.arg_min, x, axis, keepdims)


def _place(find: Any, x: Any, axis: int | None, keepdims: bool) -> Any:
    x = tensor(x)
    found = find(functions.reshape(x, (-1,)) if axis is None else x, 0 if axis is None else axis)
    if not keepdims:
        return found
    if axis is None:
        return functions.reshape(found, (1,) * x.rank)
    return functions.expand_dims(found, axis % x.rank)


def _normalize(x: Any, axis: Any = -1, order: float = 2, epsilon: float | None = None) -> Any:
    """x divided by its norm, as keras.ops.normalize has it."""
    x = functions.floating(x)
    least = 1e-7 if epsilon is None else epsilon
    if order == 2:  # keras: of the sum of squares, so that its gradient at 0 is finite
        squares = functions.sum(functions.square(x), axis, True)
        return x * functions.rsqrt(functions.maximum(squares, least**2))
    size = matrices.norm(x, math.inf if order == "inf" else order, axis, True)
    return x / functions.maximum(size, least)


def _array_split(x: Any, places: Any, axis: int = 0) -> Any:
    """A number of equal parts, or parts that end before each of some places (numpy.split)."""
    if isinstance(places, int):
        return parts.split(x, places, axis)
    ends = [int(n) for n in np.asarray(places)]
    length = tensor(x).shape[axis]
    sizes = [b - a for a, b in zip([0, *ends], [*ends, length], strict=True)]
    return parts.split(x, sizes, axis)


def _take(x: Any, places: Any, axis: int | None = None) -> Any:
    """fl.gather with places from the end, too; of all elements in one row without an axis."""
    x, places = tensor(x), tensor(places)
    if axis is None:
        x, axis = functions.reshape(x, (-1,)), 0
    length = x.shape[axis]
    return indices.gather(x, functions.where(places < 0, places + length, places), axis)


def _padded(x: Any, value: Any = None, pad_width: Any = 0, mode: str = "constant") -> Any:
    """x, padded as numpy.pad has it: one width, or a pair of them, is that of all dims."""
    x, widths = tensor(x), np.asarray(pad_width)
    pairs = [(int(a), int(b)) for a, b in np.broadcast_to(widths, (x.rank, 2))]
    if mode == "constant":
        return functions.pad(x, pairs, 0 if value is None else value)
    return blocks.mirror_pad(x, pairs, mode)


# Those of Keras that no function of fl is.
_OWN: dict[str, Callable[..., Any]] = {
    "getitem": _getitem,
    "argmax": _argmax,
    "argmin": _argmin,
    "normalize": _normalize,
    "padded": _padded,
    "array_split": _array_split,
    "take": _take,
    **OPS,
}


def _of(module: ModuleType, names: str) -> dict[str, Callable[..., Any]]:
    return {name: getattr(module, name) for name in names.split()}


# Functions of fl that take stand-ins. Those with random numbers, and those whose result's shape
# hangs on numbers, are none.
PUBLIC: dict[str, Callable[..., Any]] = {
    **_of(
        functions,
        """
        abs acos acosh add all any arg_max arg_min asin asinh atan atan2 atanh broadcast_to ceil
        clip concat cos cosh div div_no_nan dot elu equal erf exp expand_dims expm1 floor floor_div
        floor_mod gelu greater greater_equal hard_sigmoid hard_swish hypot is_finite is_inf is_nan
        leaky_relu less less_equal log log1p log_sigmoid log_softmax logical_and logical_not
        logical_or matmul max maximum mean min minimum mish mul neg not_equal one_hot ones_like pad
        pow prelu prod reciprocal relu relu6 reshape reverse round rsqrt selu sigmoid sign sin sinh
        softmax softplus softsign sqrt square squared_difference squeeze stack step sub sum swish
        tan tanh tile top_k transpose where zeros_like
        """,
    ),
    **_of(core, "cast"),
    **_of(arithmetic, "clip_by_value erfc log2 log10 logical_xor mod"),
    **_of(bitwise, "bitwise_and bitwise_not bitwise_or bitwise_xor invert left_shift right_shift"),
    **_of(einsum, "einsum"),
    **_of(indices, "gather gather_nd roll take_along_axis"),
    **_of(matrices, "euclidean_norm norm outer tensordot"),
    **_of(neural, "log_sum_exp moments"),
    **_of(parts, "moveaxis repeat split swapaxes unstack"),
    **_of(scans, "cummax cummin cumprod cumsum logcumsumexp"),
    **_of(sorting, "argsort sort"),
    **_of(statistics, "std var"),
}
# How many boxes are left hangs on numbers, too; and threshold takes one image, no batch.
_TENSORS: dict[str, dict[str, Callable[..., Any]]] = {
    "linalg": _of(linalg, " ".join(linalg.__all__)),
    "image": _of(
        image, " ".join(n for n in image.__all__ if "suppression" not in n and n != "threshold")
    ),
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **PUBLIC,
    **_OWN,
    **_ROOMS,
    **{f"{room}.{n}": f for room, named in _TENSORS.items() for n, f in named.items()},
}


class Operation(Layer):
    """A function of tensors as a layer, that files name.

    Args:
        function: the name of a function of fl.
        arguments: what it is called with beside tensors, by name, as plain data.
    """

    fields = ("function", "arguments")

    def __init__(
        self, function: str, arguments: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        kind = BY_FUNCTION.get(function) if isinstance(function, str) else None
        options.setdefault("name", None)
        if options["name"] is None and function in FUNCTIONS:
            from fanlight.layers.layer import unique_name

            own = function.rpartition(".")[2]
            options["name"] = unique_name(configs.snake(kind.name) if kind else own)
        super().__init__(**options)
        if function not in FUNCTIONS:
            raise argument_error(self, "function", "a function of tensors of fl", function)
        self.function = function
        self.arguments = {k: _plain(v) for k, v in (arguments or {}).items()}

    def _build(self, shapes: Any) -> None:
        self.built = True  # and Keras's operations know no build_config

    def __call__(self, *args: Any, **options: Any) -> Any:
        """What the function gives; options are operands that Keras calls by their names."""
        operands = self._in_order(args, options)
        if self.function == "getitem" and len(operands) == 2 and isinstance(operands[1], list):
            operands = (operands[0], tuple(operands[1]))  # as Keras's files have a tuple
        return super().__call__(*operands)

    def _in_order(self, args: tuple[Any, ...], options: Mapping[str, Any]) -> tuple[Any, ...]:
        """All operands by position: of `OPS` by the names that Keras has for them, too."""
        names = list(inspect.signature(OPS[self.function]).parameters) if self.named else []
        given = {k: v for k, v in options.items() if k in names[len(args) :]}
        if not given or set(options) - set(given) - {"training"}:
            return (*args, *(v for k, v in options.items() if k not in ("training", "mask")))
        last = max(names.index(k) for k in given)
        return (*args, *(given.get(k) for k in names[len(args) : last + 1]))

    @property
    def named(self) -> bool:
        """Whether operands have the names that Keras has for them."""
        return self.function in OPS

    def operands_in_file(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments of a call as Keras's files have them: an index is a list there."""
        index = self.function == "getitem" and isinstance(args[1], tuple)
        return (args[0], list(args[1])) if index else args

    def call(self, *operands: Any) -> Any:
        compute = FUNCTIONS[self.function]
        if self.function == "einsum":
            return compute(self.arguments["equation"], *operands)
        return compute(*operands, **self.arguments)

    def described(self) -> dict[str, Any]:
        """What a file has for it: an operation of Keras, where that has the same one."""
        found = written(self.function, self.arguments)
        if found is None:
            return {
                "module": "keras.layers",
                "class_name": "Operation",
                "config": self.get_config(),
                "registered_name": None,
            }
        kind, own = found
        return {
            "module": f"keras.src.ops.{kind.room}",
            "class_name": kind.name,
            "config": {"name": self.name, **configs.plain(own)},
            "registered_name": kind.name,
        }


def _plain(value: Any) -> Any:
    """An argument as files have it, so that a model that was loaded is the one that was saved."""
    if isinstance(value, str | bool | int | float) or value is None:
        return value
    if isinstance(value, type) or isinstance(value, np.dtype):
        return core.dtype_name(value)
    return configs.plain(value)


def operate(name: str, *operands: Any, **arguments: Any) -> Any:
    """What a function gives for stand-ins."""
    return Operation(name, arguments)(*operands)


def symbolic_call(name: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """What a function gives that is called with stand-ins among its arguments."""
    if name == "einsum":
        return operate(name, *args[1:], equation=args[0])
    try:
        bound = inspect.signature(FUNCTIONS[name]).bind(*args, **options)
    except TypeError as error:
        raise TypeError(f"fl.{name}: {error}") from None
    if "." in name:  # what is said at its default is not said
        defaults = bound.signature.parameters
        for key in [k for k, v in bound.arguments.items() if _same(v, defaults[k].default)]:
            del bound.arguments[key]
    if name.startswith("activations."):
        return _activation(name, **bound.arguments)
    names = list(bound.arguments)
    last = max(i for i, key in enumerate(names) if symbols(bound.arguments[key]))
    kind = BY_FUNCTION.get(name)
    count = max(last + 1, kind.operands if kind is not None else 1)
    operands = [bound.arguments[key] for key in names[:count]]
    return operate(name, *operands, **{key: bound.arguments[key] for key in names[count:]})


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and not symbols(value) and bool(value == default)


def _activation(name: str, x: Any, **arguments: Any) -> Any:
    """An activation: the layer of its name, or an operation where it has arguments."""
    from fanlight.layers.activation_layers import ReLU
    from fanlight.layers.core import Activation

    own = name.rpartition(".")[2]
    if own == "relu" and arguments:
        return ReLU(**arguments)(x)
    if not arguments and own != "glu":  # which in Keras the layer gives as wide as its input
        return Activation(own)(x)
    return operate(
        name, x if x.dtype == "float32" else operate("cast", x, dtype="float32"), **arguments
    )


def standing(name: str) -> Callable[..., Any]:
    """A function of fl that takes stand-ins, too."""
    made = either(name, PUBLIC[name])
    made.__module__ = "fanlight"  # where pickle finds it
    return made


# --- stand-ins ------------------------------------------------------------------------------------


def _method(name: str) -> Callable[..., Any]:
    def method(self: Symbolic, *args: Any, **options: Any) -> Any:
        return symbolic_call(name, (self, *args), options)

    method.__name__, method.__qualname__ = name, f"Symbolic.{name}"
    method.__doc__ = FUNCTIONS[name].__doc__
    return method


def _reshape(self: Symbolic, *shape: Any) -> Any:
    """The same elements under another shape: h.reshape(-1, 3), or h.reshape((-1, 3))."""
    return operate("reshape", self, shape=shape[0] if len(shape) == 1 else shape)


def _astype(self: Symbolic, dtype: Any) -> Any:
    """It in another dtype, see fl.cast."""
    return operate("cast", self, dtype=dtype)


def _argmax_method(self: Symbolic, axis: int = 0) -> Any:
    """fl.arg_max under NumPy's name, along the first axis unless another is given."""
    return operate("argmax", self, axis=axis)


def _argmin_method(self: Symbolic, axis: int = 0) -> Any:
    """fl.arg_min under NumPy's name, along the first axis unless another is given."""
    return operate("argmin", self, axis=axis)


def bind() -> None:
    """Give stand-ins the methods of tensors that are operations, and to functions of rooms of
    tensors that they take them; called once, by fanlight/layers/__init__.py."""
    from fanlight.tensor.methods import TABLE

    for room, module in (("linalg", linalg), ("image", image)):
        for name, function in _TENSORS[room].items():
            setattr(module, name, either(f"{room}.{name}", function))

    for name in set(TABLE) & set(PUBLIC) - {"concat", "stack", "where", "reshape"}:
        setattr(Symbolic, name, _method(name))
    own = {
        "reshape": _reshape,
        "astype": _astype,
        "argmax": _argmax_method,
        "argmin": _argmin_method,
    }
    for name, method in own.items():
        setattr(Symbolic, name, method)


# --- files ----------------------------------------------------------------------------------------

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}
_NAMES = {"subtract": "sub", "multiply": "mul", "divide": "div", "truedivide": "div"}
# Activations that are operations in a file.
_UNARY = {
    "relu": "relu",
    "relu6": "relu6",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "silu": "silu",
    "swish": "silu",
    "hard_silu": "hard_silu",
    "hardsilu": "hard_silu",
    "hardswish": "hard_silu",
    "exp": "exponential",
    "gelu": "gelu",
    "softplus": "softplus",
    "softmax": "softmax",
}


def is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a model's layers is an operation that is known."""
    return _elementary(entry) is not None or _kind(entry) is not None


def operation(entry: Mapping[str, Any], where: object = "a config") -> Any:
    """A layer, or a function of stand-ins, for an entry of a model's layers that is an operation;
    else None.

    Raises:
        FanlightError: E-LAYER-004 an argument that the function does not take here.
    """
    found = _elementary(entry)
    if found is not None:
        return found
    kind = _kind(entry)
    if kind is None:
        return None
    from fanlight.layers.reading import untupled

    own = untupled(entry.get("config") or {})
    arguments, wrong = read(kind, own)
    made = Operation(kind.function, arguments, name=own.get("name") or entry.get("name"))
    if wrong:
        names = ", ".join([*kind.arguments, *(f"{k}={v}" for k, v in kind.always.items())])
        error = argument_error(made, "argument", names or "no arguments", ", ".join(wrong))
        error.where = f"operation {made.name!r} ({kind.name}) in {where}"
        raise error
    return made


def _kind(entry: Mapping[str, Any]) -> Any:
    name, module = str(entry.get("class_name")), entry.get("module")
    if isinstance(module, str) and module.startswith("keras.src.ops"):
        return BY_CLASS.get(name)
    if module:
        return None
    # The .h5 files of Keras 3 leave out the module.
    from fanlight.layers.registry import find

    if name in BY_CLASS and is_op(entry) and configs.registered(name) is None:
        return BY_CLASS[name]
    own = entry.get("config")
    mine = isinstance(own, Mapping) and (_has_number(entry) or "newshape" in own)
    if name in BY_CLASS and (mine or find(name, entry.get("registered_name")) is None):
        return BY_CLASS[name]
    return None


def _elementary(entry: Mapping[str, Any]) -> Any:
    """Arithmetic and activations, which are layers of theirs; or None."""
    kind, module = str(entry.get("class_name")), entry.get("module")
    inner = entry.get("config")
    own = inner if isinstance(inner, Mapping) else {}
    function = tf_functions.named(entry)
    if function is not None:
        return tf_functions.found(function)
    if isinstance(module, str) and module.startswith("keras.src.ops"):
        name = kind.lower()
    elif not module and kind in ("Add", "Subtract", "Multiply") and _has_number(entry):
        name = kind.lower()  # the .h5 files of Keras 3 leave out the module
    elif not module and kind in ("TrueDivide", "Divide"):
        name = "divide"
    else:
        return None
    name = _NAMES.get(name, name)
    if name in BINARY:
        return _called(BINARY[name], 2)
    # Those with arguments of their own are operations: Keras's gelu is approximate there.
    said = set(own) - {"name", "trainable", "dtype", "axis", "function"}
    if name in _UNARY and not said and own.get("axis", -1) == -1:
        return _activated(_UNARY[name])
    return None


def _has_number(entry: Mapping[str, Any]) -> bool:
    """Whether an operand is a number, which no layer takes."""
    for node in entry.get("inbound_nodes") or []:
        args = node.get("args") if isinstance(node, Mapping) else None
        if isinstance(args, list) and (
            len(args) > 1 or any(isinstance(a, int | float) for a in args)
        ):
            return True
    return False


def _called(compute: Callable[..., Any], count: int) -> Callable[..., Any]:
    def operator(*args: Any, **options: Any) -> Any:
        given = [*args, *(options[k] for k in ("x", "y", "b", "x1", "x2") if k in options)]
        if len(given) != count:
            raise TypeError(f"{count} operands, not {len(given)}")
        return compute(*given)

    return operator


def _activated(name: str) -> Callable[..., Any]:
    def operator(x: Any = None, features: Any = None, **options: Any) -> Any:
        from fanlight.layers.core import Activation

        return Activation(name)(features if x is None else x)

    return operator


__all__ = ["BINARY", "FUNCTIONS", "PUBLIC", "Operation", "bind", "is_operation", "operate",
           "operation", "standing", "symbolic_call"]  # fmt: skip


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
